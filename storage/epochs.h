/*
 * epochs.h - which leader epoch wrote from which offset on, of one log (KIP-101, KIP-320).
 *
 * Derived from the batches appended, live and in replay; the checkpoint carries it.
 */
#ifndef STORAGE_EPOCHS_H
#define STORAGE_EPOCHS_H

#include <stddef.h>
#include <stdint.h>

#include "storage/cursor.h"

struct epoch_start {
    int64_t offset;
    int32_t epoch;
};

/* Zeroed is a valid empty one. Epochs and offsets ascend. */
struct epochs {
    struct epoch_start *starts;
    size_t count, capacity;
};

void epochs_done(struct epochs *epochs);
/* A batch of `epoch` was appended at `offset`. */
void epochs_note(struct epochs *epochs, int32_t epoch, int64_t offset);
/* The log begins at `offset` now: what lies wholly before it is forgotten. */
void epochs_trim(struct epochs *epochs, int64_t offset);
/* The answer to OffsetForLeaderEpoch for `asked`; `latest` is the epoch of now, `end` the log's end
 * offset. See log_epoch_end in storage.h. */
void epochs_end(const struct epochs *epochs, int32_t latest, int64_t end, int32_t asked,
    struct epoch_start *ret);
/* The epoch that wrote `offset`, or -1. */
int32_t epochs_at(const struct epochs *epochs, int64_t offset);

void epochs_save(const struct epochs *epochs, struct out *out);
/* Errors show in the cursor. */
void epochs_load(struct epochs *epochs, struct cursor *cursor);

#endif
