/*
 * random.h - a seeded generator (xoshiro256**), by value: the same seed gives the same numbers.
 * Not for secrets.
 */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

struct random {
    uint64_t state[4];
};

struct random random_seeded(uint64_t seed);
uint64_t random_u64(struct random *random);
/* Uniform in [0, bound); bound > 0. */
uint64_t random_below(struct random *random, uint64_t bound);
/* Uniform in [low, high], both included. */
int64_t random_between(struct random *random, int64_t low, int64_t high);
/* True `numerator` times in `denominator`. */
int random_chance(struct random *random, uint32_t numerator, uint32_t denominator);
void random_bytes(struct random *random, void *to, size_t size);

#endif
