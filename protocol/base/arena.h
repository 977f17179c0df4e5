/*
 * arena.h - bump memory with a limit; everything in it ends at once.
 *
 * One request = one arena, reset after its answer is gone. The limit turns a hostile length into an
 * error of the reader instead of an allocation.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

#include "protocol/base/check.h"

struct arena_chunk;

struct arena {
    struct arena_chunk *chunks; /* newest first */
    size_t used;                /* bytes handed out since the last reset */
    size_t held;                /* bytes taken from the heap for them */
    size_t limit;               /* named by the owner; neither exceeds it (but for a chunk kept
                                   from a time of a larger limit) */
};

/* Allocates nothing yet. */
void arena_init(struct arena *arena, size_t limit);
/* Zeroed, aligned to 16 bytes; NULL when the limit is reached. Valid until reset or done. */
void *arena_alloc(struct arena *arena, size_t size) MUST_CHECK;
/* A copy of `size` bytes; NULL when the limit is reached. */
void *arena_copy(struct arena *arena, const void *from, size_t size) MUST_CHECK;
/* Everything handed out is invalid; one chunk is kept for the next request. */
void arena_reset(struct arena *arena);
/* Accepts a zeroed arena. */
void arena_done(struct arena *arena);

#endif
