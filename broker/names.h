/*
 * names.h - Kafka's rules for topic names, and a set of names that lives in an arena.
 *
 * 1 to 249 characters of [a-zA-Z0-9._-], neither "." nor "..". Two names that differ only in '.'
 * and
 * '_' collide, because Kafka's metrics write one for the other; they may not both exist.
 */
#ifndef BROKER_NAMES_H
#define BROKER_NAMES_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol/base/arena.h"
#include "protocol/base/bytes.h"
#include "protocol/base/check.h"

enum { TOPIC_NAME_LEN_MAX = 249 };

/* NULL if a topic may be called so; else what is wrong with it, as a static sentence. */
const char *topic_name_fault(struct bytes name);
/* The topics that Kafka keeps its own state in. Clients may not write to them. */
bool topic_name_is_internal(struct bytes name);

/*
 * A set of keys, each with a number of the caller's. The keys are borrowed. Room for as many as was
 * said at the beginning and no more; hashed with a seed, so that nobody can choose keys that crowd.
 */
struct name_set {
    struct name_entry *entries;
    size_t mask, count, count_max;
    uint64_t seed;
    bool folded; /* '.' and '_' are the same */
};

/* -ENOMEM: the arena's limit. */
int name_set_init(struct name_set *set, struct arena *arena, size_t count_max, uint64_t seed,
    bool folded) MUST_CHECK;
/* Adds the key with `number`; true. Or false if an equal one is there, whose number and key come
 * back (ret_key may be NULL). */
bool name_set_add(struct name_set *set, struct bytes key, int32_t number, int32_t *ret_number,
    struct bytes *ret_key);
/* The number of the key, or -1. */
int32_t name_set_find(const struct name_set *set, struct bytes key, struct bytes *ret_key);

#endif
