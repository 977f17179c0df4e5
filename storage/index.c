/* See index.h. Entries ascend in offset, position and max_timestamp alike, so all lookups are
 * binary searches over the same array. */
#include "storage/index.h"

#include <string.h>

#include "protocol/base/mem.h"

void index_init(struct index *index, uint32_t step, uint32_t from)
{
    *index = (struct index){ .step = step ? step : 1, .from = from };
}

void index_done(struct index *index)
{
    mem_free(index->entries);
    *index = (struct index){ .step = index->step, .from = index->from };
}

void index_drop(struct index *index, uint32_t from)
{
    index_done(index);
    index->from = from;
}

/* The new step is twice the distance that entries really have, so that old and new parts stay alike
 * however often this happens. */
static void thin(struct index *index)
{
    uint64_t span = index->entries[index->count - 1].position - index->entries[0].position;
    uint64_t distance = span / index->count + 1;
    uint64_t step = (distance > index->step ? distance : index->step) * 2;
    for (size_t i = 1; i < index->count / 2; i++)
        index->entries[i] = index->entries[i * 2];
    index->count /= 2;
    index->step = step > UINT32_MAX ? UINT32_MAX : (uint32_t)step;
}

void index_note(struct index *index, const struct index_entry *batch)
{
    if (index->count) {
        const struct index_entry *last = &index->entries[index->count - 1];
        if (batch->position - last->position < index->step)
            return;
    }
    if (index->count == INDEX_ENTRIES_MAX)
        thin(index);
    mem_grow(index->entries, &index->capacity, index->count + 1);
    index->entries[index->count++] = *batch;
}

const struct index_entry *index_floor(const struct index *index, uint32_t offset)
{
    size_t low = 0, high = index->count; /* entries below low are ≤, from high on > */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (index->entries[middle].offset <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low ? &index->entries[low - 1] : NULL;
}

const struct index_entry *index_floor_time(const struct index *index, int64_t timestamp)
{
    size_t low = 0, high = index->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (index->entries[middle].max_timestamp < timestamp)
            low = middle + 1;
        else
            high = middle;
    }
    return low ? &index->entries[low - 1] : NULL;
}

size_t index_behind(const struct index *index, uint64_t position)
{
    size_t low = 0, high = index->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (index->entries[middle].position <= position)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void index_prepend(struct index *index, struct index *built)
{
    if (built->step > index->step)
        index->step = built->step;
    for (size_t i = 0; i < index->count; i++) {
        const struct index_entry *entry = &index->entries[i];
        if (!built->count || entry->position > built->entries[built->count - 1].position)
            index_note(built, entry);
    }
    mem_free(index->entries);
    if (built->step > index->step)
        index->step = built->step;
    index->entries = built->entries;
    index->count = built->count;
    index->capacity = built->capacity;
    index->from = built->from;
    *built = (struct index){ 0 };
}
