/* See arena.h. Chunks of 1 KiB grow by doubling, up to what the limit leaves; a big piece gets a
 * chunk of its own size. */
#include "protocol/base/arena.h"

#include <stdint.h>
#include <string.h>

#include "protocol/base/mem.h"

enum { CHUNK_MIN = 1024, CHUNK_MAX = 256 * 1024, ALIGNMENT = 16 };

struct arena_chunk {
    struct arena_chunk *next;
    size_t size, used; /* of data */
    _Alignas(ALIGNMENT) unsigned char data[];
};

void arena_init(struct arena *arena, size_t limit)
{
    *arena = (struct arena){ .limit = limit };
}

static struct arena_chunk *chunk_add(struct arena *arena, size_t need)
{
    size_t left = arena->limit > arena->held ? arena->limit - arena->held : 0;
    if (left < sizeof(struct arena_chunk) || need > left - sizeof(struct arena_chunk))
        return NULL;
    left -= sizeof(struct arena_chunk);
    size_t size = arena->chunks ? arena->chunks->size * 2 : CHUNK_MIN;
    if (size > CHUNK_MAX)
        size = CHUNK_MAX;
    if (size > left)
        size = left;
    if (size < need)
        size = need;
    struct arena_chunk *chunk = mem_try_alloc(sizeof(*chunk) + size);
    if (!chunk)
        return NULL;
    chunk->next = arena->chunks;
    chunk->size = size;
    chunk->used = 0;
    arena->chunks = chunk;
    arena->held += sizeof(*chunk) + size;
    return chunk;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    if (size > arena->limit - arena->used)
        return NULL;
    size_t need = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    struct arena_chunk *chunk = arena->chunks;
    if (!chunk || chunk->size - chunk->used < need)
        chunk = chunk_add(arena, need);
    if (!chunk)
        return NULL;
    void *piece = chunk->data + chunk->used;
    chunk->used += need;
    arena->used += size;
    memset(piece, 0, size);
    return piece;
}

void *arena_copy(struct arena *arena, const void *from, size_t size)
{
    void *piece = arena_alloc(arena, size);
    if (piece && size)
        memcpy(piece, from, size);
    return piece;
}

void arena_reset(struct arena *arena)
{
    struct arena_chunk *kept = NULL;
    while (arena->chunks) {
        struct arena_chunk *chunk = arena->chunks;
        arena->chunks = chunk->next;
        if (!kept && chunk->size <= CHUNK_MAX)
            kept = chunk;
        else
            mem_free(chunk);
    }
    if (kept) {
        kept->next = NULL;
        kept->used = 0;
    }
    arena->chunks = kept;
    arena->used = 0;
    arena->held = kept ? sizeof(*kept) + kept->size : 0;
}

void arena_done(struct arena *arena)
{
    while (arena->chunks) {
        struct arena_chunk *chunk = arena->chunks;
        arena->chunks = chunk->next;
        mem_free(chunk);
    }
    arena->used = arena->held = 0;
}
