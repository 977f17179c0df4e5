/*
 * cursor.h - one input partition of a task: from buffers of record batches to records.
 *
 * The loop appends chunks (buffers as log_read gave them) while no job of the task runs; the task
 * takes records on its thread. A chunk stays until the unit that consumed it is sealed, so a unit
 * that failed can be read again; the loop then takes the finished chunks back (buffers are counted
 * on the loop's thread).
 */
#ifndef PROCESSORS_CURSOR_H
#define PROCESSORS_CURSOR_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol/base/buffer.h"
#include "protocol/base/check.h"
#include "protocol/base/list.h"
#include "protocol/record.h"

struct cursor {
    struct list chunks;    /* struct chunk, oldest first */
    struct list finished;  /* for the loop to give back */
    struct chunk *current; /* being read; NULL: the next is list_first (or there is none) */
    struct bytes run;      /* what follows the current batch in it */
    struct batch_view batch;
    struct record_reader reader;
    bool in_batch;
    bool unpacked_used; /* the current batch lies in `unpacked` */
    bool peeked;        /* `head` is the next record */
    struct record_view head;
    int64_t position;      /* the next offset to be processed */
    int64_t mark_position; /* as of the unit's beginning */
    struct out unpacked;   /* the current batch, decompressed */
    uint64_t bytes_held;   /* of all chunks */
};

enum cursor_outcome {
    CURSOR_RECORD,  /* head is filled */
    CURSOR_EMPTY,   /* no more in the chunks */
    CURSOR_BLOCKED, /* the next batch would overwrite records handed out: use those first */
    CURSOR_BAD,     /* the bytes at `position` are damaged */
};

enum { CURSOR_UNPACKED_MAX = 64 << 20 };

void cursor_init(struct cursor *cursor, int64_t position);
/* No chunk may be left: see cursor_drop. Accepts a zeroed one. */
void cursor_done(struct cursor *cursor);
/* Loop: takes the reference over. The chunk follows what was added before; end_offset is the offset
 * behind its last batch. */
void cursor_add(struct cursor *cursor, struct buffer *buffer, int64_t end_offset);
/* Loop: gives back the buffers of finished chunks; `all`: of every chunk (the cursor ends). */
void cursor_drop(struct cursor *cursor, bool all);

/* Task: the next record, not yet taken. `handed_out`: records of this cursor are in use, so
 * decompressed bytes must stay as they are. */
enum cursor_outcome cursor_peek(
    struct cursor *cursor, struct compressor *compressor, bool handed_out) MUST_CHECK;
/* Task: head is taken; the caller moves `position` when the record is processed. */
static inline void cursor_take(struct cursor *cursor)
{
    cursor->peeked = false;
}
/* Task: everything taken was processed and nothing follows in this batch: position moves over
 * offsets without records (compaction, control batches). */
void cursor_skip_gap(struct cursor *cursor);
/* Task: the records from `position` on come again (those taken beyond it were not processed). */
void cursor_seek(struct cursor *cursor);
/* Task: the unit is sealed: chunks below `position` are finished; a new unit begins. */
void cursor_seal(struct cursor *cursor);
/* Task: the unit is undone: back to where it began. */
void cursor_undo(struct cursor *cursor);

#endif
