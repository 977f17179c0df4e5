/*
 * journal.h - what to do to take the effects of a unit back, newest first.
 *
 * State (slices, tables, output batches) is changed in place; each change leaves an entry here. A
 * verdict on one record undoes back to the record's mark, a failed unit undoes everything, a
 * committed one keeps everything. Belongs to one task; used on the thread that runs it.
 */
#ifndef PROCESSORS_JOURNAL_H
#define PROCESSORS_JOURNAL_H

#include <stddef.h>
#include <stdint.h>

#include "protocol/base/mem.h"

struct undo;

struct undo_kind {
    void (*undo)(struct undo *undo);
    void (*keep)(struct undo *undo); /* NULL: nothing to do */
};

struct undo {
    const struct undo_kind *kind;
    void *object;
    union undo_value {
        void *pointer;
        int64_t number;
    } a, b; /* the kind's own */
};

/* Zeroed is a valid empty one. */
struct journal {
    struct undo *entries;
    size_t count, capacity;
};

void journal_done(struct journal *journal); /* must be empty */
/* Undoes every entry from the newest down to (and with) the one at `mark`. */
void journal_undo(struct journal *journal, size_t mark);
/* All entries, oldest first. */
void journal_keep(struct journal *journal);

static inline void journal_add(struct journal *journal, const struct undo_kind *kind, void *object,
    union undo_value a, union undo_value b)
{
    mem_grow(journal->entries, &journal->capacity, journal->count + 1);
    journal->entries[journal->count++] = (struct undo){ kind, object, a, b };
}

#endif
