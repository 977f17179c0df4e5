/*
 * outputs.h - the record batches of the unit in the making, one run of batches per target
 * partition.
 *
 * A target is anything the task appends to: its outputs, its dead-letter topic, its changelogs; the
 * owner numbers them. Records go into batches of at most batch_max bytes; each append leaves an
 * entry in the journal. Belongs to one task; used on the thread that runs it.
 */
#ifndef PROCESSORS_OUTPUTS_H
#define PROCESSORS_OUTPUTS_H

#include <stddef.h>
#include <stdint.h>

#include "processors/journal.h"
#include "protocol/base/bytes.h"
#include "protocol/base/check.h"
#include "protocol/record.h"

/* A finished batch: [at, at + len) of the sealed bytes. */
struct sealed_batch {
    uint32_t target;
    int32_t partition;
    int32_t count;
    size_t at, len;
};

struct outputs {
    struct output_batch **batches; /* in the order they were begun; used again */
    size_t count, capacity, made;
    uint32_t *index; /* (target, partition) → newest batch + 1 */
    size_t index_size;
    size_t bytes; /* of all batches as they stand, before compression */
    size_t batch_max;
    struct journal *journal;
};

void outputs_init(struct outputs *outputs, size_t batch_max, struct journal *journal);
/* Accepts a zeroed one. The journal must hold nothing of it. */
void outputs_done(struct outputs *outputs);

/* Copies the record (the fields a batch_builder looks at) into the target's newest batch, or a new
 * one. `size_max`: the largest batch the target takes. -EMSGSIZE: the record alone is larger. */
int outputs_append(struct outputs *outputs, uint32_t target, int32_t partition,
    const struct record_view *record, enum codec codec, size_t size_max) MUST_CHECK;

/* Finishes every batch with records, in the order they were begun, to the end of `bytes`, and tells
 * them in `ret` (grown by mem_grow; *count is raised). -ENOMEM, -E2BIG, -ENOTSUP as of
 * batch_builder_finish. */
int outputs_seal(struct outputs *outputs, struct compressor *compressor, struct out *bytes,
    struct sealed_batch **ret, size_t *count, size_t *capacity) MUST_CHECK;
/* Empty again: after journal_keep or journal_undo(journal, 0). */
void outputs_reset(struct outputs *outputs);

#endif
