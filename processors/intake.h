/*
 * intake.h - one input partition of a task: from buffers of record batches to records.
 *
 * The loop appends chunks (buffers as log_read gave them) while no job of the task runs; the task
 * takes records on its thread. A chunk stays until the unit that consumed it is sealed, so a unit
 * that failed can be read again; the loop then takes the finished chunks back (buffers are counted
 * on the loop's thread).
 */
#ifndef PROCESSORS_INTAKE_H
#define PROCESSORS_INTAKE_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol/base/buffer.h"
#include "protocol/base/check.h"
#include "protocol/base/list.h"
#include "protocol/record.h"

struct intake {
    struct list chunks;    /* struct chunk, oldest first */
    struct list finished;  /* for the loop to give back */
    struct chunk *current; /* being read; NULL: the next is list_first (or there is none) */
    struct bytes run;      /* what follows the current batch in it */
    struct batch_view batch;
    struct record_reader reader;
    bool in_batch;
    bool hidden;        /* the current batch: its records are not for anybody */
    bool unpacked_used; /* the current batch lies in `unpacked` */
    bool peeked;        /* `head` is the next record */
    struct record_view head;
    int64_t position;      /* the next offset to be processed */
    int64_t mark_position; /* as of the unit's beginning */
    struct out unpacked;   /* the current batch, decompressed */
    uint64_t bytes_held;   /* of all chunks */
};

enum intake_outcome {
    INTAKE_RECORD,  /* head is filled */
    INTAKE_EMPTY,   /* no more in the chunks */
    INTAKE_BLOCKED, /* the next batch would overwrite records handed out: use those first */
    INTAKE_BAD,     /* the bytes at `position` are damaged */
};

enum { INTAKE_UNPACKED_MAX = 64 << 20 };

void intake_init(struct intake *intake, int64_t position);
/* No chunk may be left: see intake_drop. Accepts a zeroed one. */
void intake_done(struct intake *intake);
/* Base offsets, ascending, of batches of a chunk whose transaction was aborted: their records do
 * not exist. mem_alloc'd; NULL: none. */
struct intake_aborted {
    int64_t *offsets;
    size_t count;
};
/* Loop: takes reference and offsets over. The chunk follows what was added before; end_offset is
 * the offset behind its last batch. */
void intake_add(struct intake *intake, struct buffer *buffer, int64_t end_offset,
    struct intake_aborted aborted);
/* Loop: gives back the buffers of finished chunks; `all`: of every chunk (the intake ends). */
void intake_drop(struct intake *intake, bool all);

/* Task: the next record, not yet taken. `handed_out`: records of this intake are in use, so
 * decompressed bytes must stay as they are. */
enum intake_outcome intake_peek(
    struct intake *intake, struct compressor *compressor, bool handed_out) MUST_CHECK;
/* Task: head is taken; the caller moves `position` when the record is processed. */
static inline void intake_take(struct intake *intake)
{
    intake->peeked = false;
}
/* Task: everything taken was processed and nothing follows in this batch: position moves over
 * offsets without records (compaction, control batches). */
void intake_skip_gap(struct intake *intake);
/* Task: the records from `position` on come again (those taken beyond it were not processed). */
void intake_seek(struct intake *intake);
/* Task: the unit is sealed: chunks below `position` are finished; a new unit begins. */
void intake_seal(struct intake *intake);
/* Task: the unit is undone: back to where it began. */
void intake_undo(struct intake *intake);

#endif
