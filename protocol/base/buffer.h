/*
 * buffer.h - a refcounted block of bytes for record data and frames.
 *
 * Counts are not atomic: a buffer belongs to one thread at a time; handing it to another thread
 * (through the work door) hands over the reference.
 *
 * Big blocks are kept for reuse in a pool (fresh pages are slow to touch); the pool's size is the
 * owner's named limit. A pool may be NULL: then blocks come from and go to the heap.
 */
#ifndef BASE_BUFFER_H
#define BASE_BUFFER_H

#include <stddef.h>
#include <stdint.h>

#include "protocol/base/check.h"

struct buffer_pool;

struct buffer {
    uint32_t references;
    uint32_t size_class;
    struct buffer_pool *pool;
    size_t capacity;
    size_t len; /* bytes in use; the owner sets it */
    uint8_t *data;
};

enum { BUFFER_CLASS_COUNT = 20 }; /* capacities 4 KiB << class */

struct buffer_pool {
    struct buffer *free[BUFFER_CLASS_COUNT]; /* linked through data[0..8) */
    size_t kept;                             /* bytes in the free lists */
    size_t kept_max;                         /* named by the owner */
    size_t out;                              /* bytes handed out and not returned */
};

void buffer_pool_init(struct buffer_pool *pool, size_t kept_max);
/* Every buffer must have come back. Accepts a zeroed pool. */
void buffer_pool_done(struct buffer_pool *pool);

/* One reference, len 0, at least `capacity` bytes (not zeroed). NULL when memory runs out. */
struct buffer *buffer_create(struct buffer_pool *pool, size_t capacity) MUST_CHECK;
struct buffer *buffer_ref(struct buffer *buffer);
/* Accepts NULL. The last reference gives the block back. */
void buffer_unref(struct buffer *buffer);

#endif
