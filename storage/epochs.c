/*
 * See epochs.h. An epoch in which nothing was appended leaves no entry; the epoch of now counts as
 * if it began at the log's end until its first batch comes.
 */
#include "storage/epochs.h"

#include "protocol/base/mem.h"

void epochs_done(struct epochs *epochs)
{
    mem_free(epochs->starts);
    *epochs = (struct epochs){ 0 };
}

void epochs_note(struct epochs *epochs, int32_t epoch, int64_t offset)
{
    if (epochs->count && epochs->starts[epochs->count - 1].epoch >= epoch)
        return;
    /* Most logs know one epoch for ever: no spare room for the first. */
    if (epochs->count == 0) {
        mem_free(epochs->starts);
        epochs->starts = mem_alloc(sizeof(*epochs->starts));
        epochs->capacity = 1;
    }
    mem_grow(epochs->starts, &epochs->capacity, epochs->count + 1);
    epochs->starts[epochs->count++] = (struct epoch_start){ .epoch = epoch, .offset = offset };
}

void epochs_trim(struct epochs *epochs, int64_t offset)
{
    size_t gone = 0;
    while (gone + 1 < epochs->count && epochs->starts[gone + 1].offset <= offset)
        gone++;
    for (size_t i = gone; gone && i < epochs->count; i++)
        epochs->starts[i - gone] = epochs->starts[i];
    epochs->count -= gone;
    if (epochs->count && epochs->starts[0].offset < offset)
        epochs->starts[0].offset = offset;
}

void epochs_end(const struct epochs *epochs, int32_t latest, int64_t end, int32_t asked,
    struct epoch_start *ret)
{
    if (asked == latest) {
        *ret = (struct epoch_start){ .epoch = latest, .offset = end };
        return;
    }
    if (asked > latest || asked < 0) {
        *ret = (struct epoch_start){ .epoch = -1, .offset = -1 };
        return;
    }
    size_t above = 0; /* the first entry of a higher epoch than asked */
    while (above < epochs->count && epochs->starts[above].epoch <= asked)
        above++;
    ret->offset = above < epochs->count ? epochs->starts[above].offset : end;
    ret->epoch = above > 0 ? epochs->starts[above - 1].epoch : asked;
}

int32_t epochs_at(const struct epochs *epochs, int64_t offset)
{
    int32_t epoch = -1;
    for (size_t i = 0; i < epochs->count && epochs->starts[i].offset <= offset; i++)
        epoch = epochs->starts[i].epoch;
    return epoch;
}

void epochs_save(const struct epochs *epochs, struct out *out)
{
    out_u32(out, (uint32_t)epochs->count);
    for (size_t i = 0; i < epochs->count; i++) {
        out_u32(out, (uint32_t)epochs->starts[i].epoch);
        out_u64(out, (uint64_t)epochs->starts[i].offset);
    }
}

void epochs_load(struct epochs *epochs, struct cursor *cursor)
{
    for (uint32_t count = cursor_count(cursor, 12); count && !cursor->bad; count--) {
        int32_t epoch = cursor_i32(cursor);
        int64_t offset = cursor_i64(cursor);
        if (epochs->count && epochs->starts[epochs->count - 1].offset > offset)
            cursor->bad = true;
        else
            epochs_note(epochs, epoch, offset);
    }
}
