/* See partition_set.h. */
#include "broker/partition_set.h"

#include <stdlib.h>
#include <string.h>

#include "protocol/base/mem.h"
#include "storage/cursor.h"

static int compare(const void *a, const void *b)
{
    const struct partition_id *x = a, *y = b;
    int order = memcmp(x->topic.b, y->topic.b, sizeof(x->topic.b));
    return order ? order : (x->index > y->index) - (x->index < y->index);
}

void partition_set_done(struct partition_set *set)
{
    mem_free(set->items);
    *set = (struct partition_set){ 0 };
}

void partition_set_clear(struct partition_set *set)
{
    set->count = 0;
}

void partition_set_add(
    struct partition_set *set, const struct uuid *topic, int32_t index, int32_t epoch)
{
    mem_grow(set->items, &set->capacity, set->count + 1);
    set->items[set->count++] = (struct partition_id){ *topic, index, epoch };
}

void partition_set_sort(struct partition_set *set)
{
    size_t kept = 0;
    if (set->count == 0)
        return;
    qsort(set->items, set->count, sizeof(*set->items), compare);
    for (size_t i = 1; i < set->count; i++)
        if (compare(&set->items[kept], &set->items[i]) != 0)
            set->items[++kept] = set->items[i];
    set->count = kept + 1;
}

void partition_set_copy(struct partition_set *to, const struct partition_set *from)
{
    mem_grow(to->items, &to->capacity, from->count);
    if (from->count)
        memcpy(to->items, from->items, from->count * sizeof(*to->items));
    to->count = from->count;
}

void partition_set_move(struct partition_set *to, struct partition_set *from)
{
    partition_set_done(to);
    *to = *from;
    *from = (struct partition_set){ 0 };
}

const struct partition_id *partition_set_find(
    const struct partition_set *set, const struct uuid *topic, int32_t index)
{
    struct partition_id key = { *topic, index, 0 };
    return set->count ? bsearch(&key, set->items, set->count, sizeof(key), compare) : NULL;
}

bool partition_set_equal(const struct partition_set *a, const struct partition_set *b)
{
    return a->count == b->count && partition_set_covers(a, b);
}

bool partition_set_covers(const struct partition_set *whole, const struct partition_set *part)
{
    for (size_t i = 0; i < part->count; i++)
        if (!partition_set_find(whole, &part->items[i].topic, part->items[i].index))
            return false;
    return true;
}

bool partition_set_meets(const struct partition_set *a, const struct partition_set *b)
{
    for (size_t i = 0; i < b->count; i++)
        if (partition_set_find(a, &b->items[i].topic, b->items[i].index))
            return true;
    return false;
}

static void filter(struct partition_set *set, const struct partition_set *other, bool in)
{
    size_t kept = 0;
    for (size_t i = 0; i < set->count; i++) {
        bool found = partition_set_find(other, &set->items[i].topic, set->items[i].index) != NULL;
        if (found == in)
            set->items[kept++] = set->items[i];
    }
    set->count = kept;
}

void partition_set_keep(struct partition_set *set, const struct partition_set *other)
{
    filter(set, other, true);
}

void partition_set_subtract(struct partition_set *set, const struct partition_set *other)
{
    filter(set, other, false);
}

void partition_set_union(struct partition_set *set, const struct partition_set *other)
{
    size_t had = set->count;
    struct partition_set before = { set->items, had, had };
    for (size_t i = 0; i < other->count; i++) {
        const struct partition_id *item = &other->items[i];
        before.items = set->items; /* it may have moved */
        if (!partition_set_find(&before, &item->topic, item->index))
            partition_set_add(set, &item->topic, item->index, item->epoch);
    }
    partition_set_sort(set);
}

size_t partition_set_run(const struct partition_set *set, size_t from)
{
    size_t at = from;
    while (at < set->count && uuid_equal(set->items[at].topic, set->items[from].topic))
        at++;
    return at - from;
}

void partition_set_put(struct out *out, const struct partition_set *set)
{
    uint32_t topics = 0;
    for (size_t i = 0; i < set->count; i += partition_set_run(set, i))
        topics++;
    out_u32(out, topics);
    for (size_t i = 0; i < set->count;) {
        size_t run = partition_set_run(set, i);
        out_bytes(out, set->items[i].topic.b, sizeof(set->items[i].topic.b));
        out_u32(out, (uint32_t)run);
        for (size_t end = i + run; i < end; i++) {
            out_u32(out, (uint32_t)set->items[i].index);
            out_u32(out, (uint32_t)set->items[i].epoch);
        }
    }
}

void partition_set_take(struct cursor *cursor, struct partition_set *ret_set)
{
    struct uuid topic = { 0 };
    uint32_t topics = cursor_count(cursor, sizeof(topic.b) + 4);
    partition_set_clear(ret_set);
    for (uint32_t t = 0; t < topics; t++) {
        struct bytes id = cursor_bytes(cursor, sizeof(topic.b));
        if (id.data)
            memcpy(topic.b, id.data, sizeof(topic.b));
        uint32_t count = cursor_count(cursor, 8);
        for (uint32_t p = 0; p < count; p++) {
            int32_t index = cursor_i32(cursor);
            partition_set_add(ret_set, &topic, index, cursor_i32(cursor));
        }
    }
    partition_set_sort(ret_set);
}
