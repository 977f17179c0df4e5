/* See journal.h. */
#include "processors/journal.h"

#include "protocol/base/check.h"

void journal_done(struct journal *journal)
{
    CHECK(journal->count == 0);
    mem_free(journal->entries);
    *journal = (struct journal){ 0 };
}

void journal_undo(struct journal *journal, size_t mark)
{
    while (journal->count > mark) {
        struct undo *undo = &journal->entries[--journal->count];
        undo->kind->undo(undo);
    }
}

void journal_keep(struct journal *journal)
{
    for (size_t i = 0; i < journal->count; i++) {
        struct undo *undo = &journal->entries[i];
        if (undo->kind->keep)
            undo->kind->keep(undo);
    }
    journal->count = 0;
}
