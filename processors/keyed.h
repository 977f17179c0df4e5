/*
 * keyed.h - keyed state in memory: point reads by hash, scans in the order of the keys' bytes.
 *
 * Changes go through the task's journal: undo brings the old value back. Belongs to one task; used
 * on the thread that runs it.
 */
#ifndef PROCESSORS_KEYED_H
#define PROCESSORS_KEYED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "processors/journal.h"
#include "protocol/base/bytes.h"
#include "protocol/base/check.h"

enum { KEYED_KEY_MAX = 65536, KEYED_LEVELS = 12 };

struct keyed_entry;

struct keyed {
    struct keyed_entry **slots; /* chains by hash */
    size_t slot_count, count;
    struct keyed_entry **dirty; /* changed in this unit, in the order of first change */
    size_t dirty_count, dirty_capacity;
    size_t dirty_bytes;  /* about what the changelog of this unit takes */
    size_t bytes;        /* memory in use */
    uint64_t generation; /* raised by every change */
    bool ordered;        /* the skip list below is in use, since the first scan */
    struct keyed_entry *first[KEYED_LEVELS];
    struct journal *journal;
};

void keyed_init(struct keyed *keyed, struct journal *journal);
/* Accepts a zeroed one. The journal must hold nothing of it. */
void keyed_done(struct keyed *keyed);

/* data NULL if absent. Valid until the next change of this key, or until the unit is kept or
 * undone. */
struct bytes keyed_get(const struct keyed *keyed, struct bytes key);
/* value.data NULL deletes. Key and value may be views of this table. -EINVAL: the key is null or
 * too long, or the value too long. */
int keyed_put(struct keyed *keyed, struct bytes key, struct bytes value) MUST_CHECK;

/* A place in a scan. Ends when the table changes. */
struct keyed_scan {
    struct keyed *keyed;
    struct keyed_entry *at;
    struct bytes end; /* the caller's bytes; data NULL: no bound */
    uint64_t generation;
};
/* From the first key >= low (data NULL: the first of all) to the last < high. */
void keyed_scan_begin(
    struct keyed_scan *scan, struct keyed *keyed, struct bytes low, struct bytes high);
bool keyed_scan_next(struct keyed_scan *scan, struct bytes *ret_key, struct bytes *ret_value);

/* ---- changelog: key and value as they are; a null value deletes ------------------------------ */

/* Every key changed in this unit, in the order of first change. */
void keyed_changes(const struct keyed *keyed,
    void (*each)(void *context, struct bytes key, struct bytes value), void *context);
/* The unit's end: after journal_keep or journal_undo(journal, 0). */
void keyed_settle(struct keyed *keyed);
/* A record of the changelog, oldest first. -EBADMSG: not ours. */
int keyed_restore(struct keyed *keyed, struct bytes key, struct bytes value) MUST_CHECK;

#endif
