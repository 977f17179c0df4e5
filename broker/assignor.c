/*
 * The assignors.
 *
 * uniform, in three steps
 *  1. everybody keeps what it had and may still read; of two owners of a partition the first.
 *  2. each free partition goes to whoever of its topic's subscribers has least; topics with the
 *     fewest subscribers first, since they leave the least choice.
 *  3. whoever has most gives one to a subscriber that has at least two less, until nobody can. Each
 *     move lowers the sum of squares of the loads, so this ends.
 *
 * Members with the same subscription are a class with one heap of loads: the least loaded
 * subscriber of a topic is the least of a few heads, not of all members.
 */
#include "broker/assignor.h"

#include <stdlib.h>
#include <string.h>

#include "protocol/base/heap.h"
#include "protocol/base/mem.h"

/* ---- what all topics of all members are ---- */

struct topic_row {
    struct topic_facts facts;
    size_t subscriber_count;
    size_t *owners;  /* by partition: slot + 1; 0: nobody */
    size_t *classes; /* indexes of those that are subscribed */
    size_t class_count;
};

struct slot {
    struct assignor_member *member;
    size_t group;
    struct heap_node load, surplus; /* in the class's heap; in `most` */
};

struct subscribers {
    const struct topic_list *topics;
    struct heap loads;
    size_t member_count;
};

struct round {
    struct slot *slots;
    size_t slot_count;
    struct subscribers *classes;
    size_t class_count;
    struct topic_row *rows; /* sorted by id, as topic_list is */
    size_t row_count;
    struct heap most; /* slots by minus their load */
};

static bool same_topics(const struct topic_list *a, const struct topic_list *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (!uuid_equal(a->items[i].id, b->items[i].id))
            return false;
    return true;
}

static size_t class_of(struct round *round, const struct topic_list *topics)
{
    for (size_t c = 0; c < round->class_count; c++)
        if (same_topics(round->classes[c].topics, topics))
            return c;
    round->classes[round->class_count].topics = topics;
    return round->class_count++;
}

static int row_compare(const void *a, const void *b)
{
    const struct topic_row *x = a, *y = b;
    return memcmp(x->facts.id.b, y->facts.id.b, sizeof(x->facts.id.b));
}

static struct topic_row *row_find(const struct round *round, const struct uuid *id)
{
    struct topic_row key = { .facts = { .id = *id } };
    return round->row_count ? bsearch(&key, round->rows, round->row_count, sizeof(key), row_compare)
                            : NULL;
}

static void rows_make(struct round *round)
{
    struct topic_list all = { 0 };
    for (size_t c = 0; c < round->class_count; c++) {
        const struct topic_list *topics = round->classes[c].topics;
        mem_grow(all.items, &all.capacity, all.count + topics->count);
        for (size_t i = 0; i < topics->count; i++)
            all.items[all.count++] = topics->items[i];
    }
    topic_list_sort(&all);
    round->rows = mem_zalloc(all.count, sizeof(*round->rows));
    round->row_count = all.count;
    for (size_t i = 0; i < all.count; i++) {
        struct topic_row *row = &round->rows[i];
        row->facts = all.items[i];
        row->owners = mem_zalloc((size_t)row->facts.partition_count, sizeof(*row->owners));
        row->classes = mem_zalloc(round->class_count, sizeof(*row->classes));
        for (size_t c = 0; c < round->class_count; c++) {
            if (!topic_list_find(round->classes[c].topics, &row->facts.id))
                continue;
            row->classes[row->class_count++] = c;
            row->subscriber_count += round->classes[c].member_count;
        }
    }
    topic_list_done(&all);
}

static void round_init(struct round *round, struct assignor_member *members, size_t count)
{
    *round = (struct round){ .slot_count = count };
    round->slots = mem_zalloc(count, sizeof(*round->slots));
    round->classes = mem_zalloc(count, sizeof(*round->classes));
    for (size_t i = 0; i < count; i++) {
        struct slot *slot = &round->slots[i];
        slot->member = &members[i];
        slot->group = class_of(round, &members[i].topics);
        round->classes[slot->group].member_count++;
        partition_set_clear(&members[i].result);
    }
    rows_make(round);
}

static void round_done(struct round *round)
{
    for (size_t i = 0; i < round->row_count; i++) {
        mem_free(round->rows[i].owners);
        mem_free(round->rows[i].classes);
    }
    for (size_t c = 0; c < round->class_count; c++)
        heap_done(&round->classes[c].loads);
    heap_done(&round->most);
    mem_free(round->rows);
    mem_free(round->classes);
    mem_free(round->slots);
}

/* ---- uniform ---- */

static void keep_owned(struct round *round)
{
    for (size_t s = 0; s < round->slot_count; s++) {
        struct assignor_member *member = round->slots[s].member;
        for (size_t i = 0; i < member->owned->count; i++) {
            const struct partition_id *item = &member->owned->items[i];
            struct topic_row *row = row_find(round, &item->topic);
            if (!row || item->index >= row->facts.partition_count || row->owners[item->index] ||
                !topic_list_find(&member->topics, &item->topic))
                continue;
            row->owners[item->index] = s + 1;
            partition_set_add(&member->result, &item->topic, item->index, 0);
        }
    }
}

static int64_t load_of(const struct slot *slot)
{
    return (int64_t)slot->member->result.count;
}

static void load_changed(struct round *round, struct slot *slot)
{
    struct heap *loads = &round->classes[slot->group].loads;
    heap_remove(loads, &slot->load);
    heap_insert(loads, &slot->load, load_of(slot));
}

/* The subscriber with the least. */
static struct slot *least_of(struct round *round, const struct topic_row *row)
{
    struct heap_node *least = NULL;
    for (size_t i = 0; i < row->class_count; i++) {
        struct heap_node *head = heap_first(&round->classes[row->classes[i]].loads);
        if (!least || head->key < least->key)
            least = head;
    }
    return least ? container_of(least, struct slot, load) : NULL;
}

static int scarce_first(const void *a, const void *b)
{
    const struct topic_row *x = *(struct topic_row *const *)a, *y = *(struct topic_row *const *)b;
    if (x->subscriber_count != y->subscriber_count)
        return x->subscriber_count < y->subscriber_count ? -1 : 1;
    return row_compare(x, y);
}

static void give_free(struct round *round)
{
    struct topic_row **order = mem_zalloc(round->row_count, sizeof(*order));
    for (size_t i = 0; i < round->row_count; i++)
        order[i] = &round->rows[i];
    if (round->row_count)
        qsort(order, round->row_count, sizeof(struct topic_row *), scarce_first);
    for (size_t i = 0; i < round->row_count; i++) {
        for (int32_t p = 0; p < order[i]->facts.partition_count; p++) {
            struct slot *slot = order[i]->owners[p] ? NULL : least_of(round, order[i]);
            if (!slot)
                continue;
            partition_set_add(&slot->member->result, &order[i]->facts.id, p, 0);
            load_changed(round, slot);
        }
    }
    mem_free(order);
}

/* One partition of `slot` that somebody with at least two less could take; one it did not own
 * before if possible. NULL: none. */
static struct slot *taker_find(struct round *round, const struct slot *slot, size_t *ret_item)
{
    struct slot *taker = NULL;
    const struct partition_set *result = &slot->member->result;
    for (size_t i = 0; i < result->count; i++) {
        const struct partition_id *item = &result->items[i];
        struct slot *least = least_of(round, row_find(round, &item->topic));
        if (load_of(least) + 1 >= load_of(slot))
            continue;
        bool fresh = !partition_set_find(slot->member->owned, &item->topic, item->index);
        if (!taker || fresh) {
            taker = least;
            *ret_item = i;
        }
        if (fresh)
            break;
    }
    return taker;
}

static void give_one(struct round *round, struct slot *from, struct slot *to, size_t item)
{
    struct partition_set *set = &from->member->result;
    struct partition_id moved = set->items[item];
    set->items[item] = set->items[--set->count];
    partition_set_add(&to->member->result, &moved.topic, moved.index, 0);
    load_changed(round, from);
    load_changed(round, to);
}

/* Who cannot give any more drops out of the heap for this pass; another's move may change that. */
static bool balance_pass(struct round *round)
{
    bool moved = false;
    for (size_t s = 0; s < round->slot_count; s++)
        heap_insert(&round->most, &round->slots[s].surplus, -load_of(&round->slots[s]));
    struct heap_node *node;
    while ((node = heap_first(&round->most))) {
        struct slot *slot = container_of(node, struct slot, surplus);
        size_t item = 0;
        heap_remove(&round->most, node);
        if (-node->key != load_of(slot)) { /* it was given some since */
            heap_insert(&round->most, node, -load_of(slot));
            continue;
        }
        struct slot *taker = taker_find(round, slot, &item);
        if (!taker)
            continue;
        give_one(round, slot, taker, item);
        heap_insert(&round->most, node, -load_of(slot));
        moved = true;
    }
    return moved;
}

static void assign_uniform(struct assignor_member *members, size_t count)
{
    struct round round;
    round_init(&round, members, count);
    keep_owned(&round);
    for (size_t s = 0; s < count; s++)
        heap_insert(&round.classes[round.slots[s].group].loads, &round.slots[s].load,
            load_of(&round.slots[s]));
    give_free(&round);
    while (balance_pass(&round))
        ;
    for (size_t s = 0; s < count; s++)
        partition_set_sort(&members[s].result);
    round_done(&round);
}

/* ---- range ---- */

static int in_order(const void *a, const void *b)
{
    const struct assignor_member *x = *(struct assignor_member *const *)a,
                                 *y = *(struct assignor_member *const *)b;
    if (x->instance_id && y->instance_id)
        return strcmp(x->instance_id, y->instance_id);
    if (x->instance_id || y->instance_id)
        return x->instance_id ? -1 : 1;
    return strcmp(x->id, y->id);
}

static void range_topic(
    const struct topic_row *row, struct assignor_member **order, size_t member_count)
{
    int32_t total = row->facts.partition_count, at = 0;
    int32_t each = total / (int32_t)row->subscriber_count,
            extra = total % (int32_t)row->subscriber_count;
    for (size_t i = 0; i < member_count; i++) {
        if (!topic_list_find(&order[i]->topics, &row->facts.id))
            continue;
        int32_t end = at + each + (extra > 0);
        extra -= extra > 0;
        for (; at < end; at++)
            partition_set_add(&order[i]->result, &row->facts.id, at, 0);
    }
}

static void assign_range(struct assignor_member *members, size_t count)
{
    struct round round;
    struct assignor_member **order = mem_zalloc(count, sizeof(*order));
    for (size_t i = 0; i < count; i++)
        order[i] = &members[i];
    if (count)
        qsort(order, count, sizeof(struct assignor_member *), in_order);
    round_init(&round, members, count);
    for (size_t i = 0; i < round.row_count; i++)
        range_topic(&round.rows[i], order, count);
    for (size_t i = 0; i < count; i++)
        partition_set_sort(&members[i].result);
    round_done(&round);
    mem_free(order);
}

static const struct assignor assignors[] = {
    { "uniform", assign_uniform },
    { "range", assign_range },
};

const struct assignor *assignor_find(struct bytes name)
{
    for (size_t i = 0; i < ARRAY_COUNT(assignors); i++)
        if (bytes_equal_text(name, assignors[i].name))
            return &assignors[i];
    return NULL;
}
