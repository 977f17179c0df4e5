/*
 * partition_set.h - a set of partitions, sorted by topic id and index: what a member owns, is to
 * own, or has to give up. Each carries the epoch at which it was handed out, which does not count
 * in comparisons.
 *
 * A zeroed set is a valid empty one.
 */
#ifndef BROKER_PARTITION_SET_H
#define BROKER_PARTITION_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/base/bytes.h"
#include "protocol/uuid.h"

struct cursor;

struct partition_id {
    struct uuid topic;
    int32_t index;
    int32_t epoch;
};

struct partition_set {
    struct partition_id *items;
    size_t count, capacity;
};

void partition_set_done(struct partition_set *set);
void partition_set_clear(struct partition_set *set);
/* In any order, also twice: partition_set_sort afterwards, before anything else. */
void partition_set_add(
    struct partition_set *set, const struct uuid *topic, int32_t index, int32_t epoch);
void partition_set_sort(struct partition_set *set);
/* `to` becomes a copy. */
void partition_set_copy(struct partition_set *to, const struct partition_set *from);
/* `to` takes what `from` has, and `from` is empty. */
void partition_set_move(struct partition_set *to, struct partition_set *from);

/* NULL: it is not in. */
const struct partition_id *partition_set_find(
    const struct partition_set *set, const struct uuid *topic, int32_t index);
bool partition_set_equal(const struct partition_set *a, const struct partition_set *b);
/* Is all of `part` in `whole`? Do they have anything in common? */
bool partition_set_covers(const struct partition_set *whole, const struct partition_set *part);
bool partition_set_meets(const struct partition_set *a, const struct partition_set *b);
/* Drops what is not in `other` (keep), or what is (subtract); adds what is there (union; the epoch
 * is that of `set` where both have it). */
void partition_set_keep(struct partition_set *set, const struct partition_set *other);
void partition_set_subtract(struct partition_set *set, const struct partition_set *other);
void partition_set_union(struct partition_set *set, const struct partition_set *other);

/* How many items from `from` on are of the same topic: the way to walk topic by topic. */
size_t partition_set_run(const struct partition_set *set, size_t from);

/* In rows of groups: u32 topics, each 16 bytes of id, u32 partitions, each i32 index, i32 epoch. */
void partition_set_put(struct out *out, const struct partition_set *set);
void partition_set_take(struct cursor *cursor, struct partition_set *ret_set);

#endif
