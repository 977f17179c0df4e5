/*
 * slices.h - counts by key in windows, kept once per slice instead of once per window.
 *
 * A hop of 60 s / 10 s puts each record in six windows; kept in slices of 10 s (the greatest common
 * divisor of size and step) it is one addition, and a window is the sum of six slices when it
 * closes. Windows start at multiples of the step since 1970. Times are ms and never negative.
 *
 * A window [start, end) is closed when the watermark reached end + grace. What it told then depends
 * only on what was added before, so whoever uses this closes windows between two records that the
 * data determine (slices_boundary), never where a read happened to end.
 *
 * Belongs to one task; used on the thread that runs it. Changes go through the task's journal.
 */
#ifndef PROCESSORS_SLICES_H
#define PROCESSORS_SLICES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "processors/journal.h"
#include "protocol/base/bytes.h"
#include "protocol/base/check.h"

struct window_spec {
    int64_t size_ms, step_ms; /* 1 <= step_ms <= size_ms */
    int64_t grace_ms;
    uint32_t top; /* 0: all */
};

#define SLICES_NEVER    INT64_MIN
#define SLICES_TIME_MAX (INT64_C(1) << 60) /* later times count as no time */

enum { SLICES_LATE = 1, SLICES_KEY_MAX = 65536 };

struct slice;

struct slices {
    struct window_spec spec;
    int64_t width_ms;
    struct slice **live; /* by start */
    size_t count, capacity;
    struct slice *recent; /* the one used last, or NULL */
    int64_t closed_end;   /* all windows with an end up to it are closed, or SLICES_NEVER */
    struct slice_change *dirty;
    size_t dirty_count, dirty_capacity;
    size_t dirty_bytes; /* about what the changelog of this unit takes */
    size_t bytes;       /* memory in use */
    int64_t log_offset; /* set by the owner: where this unit's changelog begins at the earliest */
    struct journal *journal;
};

void slices_init(struct slices *slices, const struct window_spec *spec, struct journal *journal);
/* Accepts a zeroed one. The journal must hold nothing of it. */
void slices_done(struct slices *slices);

/* Adds to `key` in all windows that contain time_ms and are not closed. 0; SLICES_LATE: all are, or
 * the time is negative or beyond SLICES_TIME_MAX; -EINVAL: the key is null or too long; -ERANGE:
 * overflow. */
int slices_add(struct slices *slices, struct bytes key, int64_t time_ms, int64_t delta) MUST_CHECK;

/* From this watermark on a window may close: the owner stops between two records there. */
int64_t slices_boundary(const struct slices *slices);
/* The end of the earliest window that holds anything, is not closed, and whose end + grace is at
 * or below the watermark. */
bool slices_due(const struct slices *slices, int64_t watermark, int64_t *ret_end);
/* The watermark that would make the earliest window due; INT64_MAX if nothing is held. */
int64_t slices_next_due(const struct slices *slices);
/* The window was told: it is closed, slices that no open window needs are dropped. */
void slices_close(struct slices *slices, int64_t end);
/* Nothing is due any more: closes the empty windows as well. */
void slices_advance(struct slices *slices, int64_t watermark);

/* The rows of a window. Zeroed is a valid empty one; memory is used again. */
struct slice_row {
    const uint8_t *key; /* in the slices: valid until the next add, close or undo */
    uint32_t key_len;
    uint64_t hash;
    int64_t num;
};
struct slice_rows {
    struct slice_row *rows;
    size_t count, capacity;
    uint32_t *index;
    size_t index_size;
};
void slice_rows_done(struct slice_rows *rows);
/* With spec.top the greatest first, equal ones by key; else all by key. Keys whose count is 0 are
 * left out. */
void slices_rows(const struct slices *slices, int64_t end, struct slice_rows *ret);

/* ---- changelog: key = the key's bytes and the slice's start (8 bytes, big-endian), value = the
 * count (8 bytes, big-endian) ----------------------------------------------------------------- */

/* Every key changed in this unit, in the order of first change. */
void slices_changes(const struct slices *slices,
    void (*each)(void *context, struct bytes key, struct bytes value), void *context);
/* The unit's end: call before journal_keep, or after journal_undo(journal, 0). */
void slices_settle(struct slices *slices);
/* A record of the changelog at `offset`, oldest first, closed_end set before. -EBADMSG: not ours.
 */
int slices_restore(
    struct slices *slices, struct bytes key, struct bytes value, int64_t offset) MUST_CHECK;
/* The changelog's records below this offset are of no use any more; INT64_MAX: none is. */
int64_t slices_log_start(const struct slices *slices);

#endif
