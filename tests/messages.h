/*
 * messages.h - for tests: fill any message from a seed, compare two.
 *
 * Both walk the generated tables, by a path of their own: nothing here calls the codec except for
 * defaults.
 */
#ifndef TESTS_MESSAGES_H
#define TESTS_MESSAGES_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol/base/arena.h"
#include "protocol/base/random.h"
#include "protocol/codec.h"

enum fill {
    FILL_DEFAULTS, /* every field its default */
    FILL_NULLS,    /* as RANDOM, but null wherever the version allows it */
    FILL_RANDOM,   /* every field something else than its default, arrays of 1 to 3 elements */
};

struct filler {
    struct random random;
    struct arena *arena;
    enum fill fill;
    int16_t version; /* fields that it lacks keep their defaults */
};

void messages_fill(struct filler *filler, const struct struct_table *table, void *body);
bool messages_equal(const struct struct_table *table, const void *a, const void *b);

#endif
