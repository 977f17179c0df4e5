/* See buffer.h. Capacities are powers of two from 4 KiB; bigger than the largest class: plain heap.
 */
#include "protocol/base/buffer.h"

#include <string.h>

#include "protocol/base/mem.h"

enum { CLASS_SMALLEST = 4096, CLASS_NONE = BUFFER_CLASS_COUNT };

void buffer_pool_init(struct buffer_pool *pool, size_t kept_max)
{
    *pool = (struct buffer_pool){ .kept_max = kept_max };
}

static struct buffer *free_pop(struct buffer_pool *pool, uint32_t size_class)
{
    struct buffer *buffer = pool->free[size_class];
    if (!buffer)
        return NULL;
    memcpy(&pool->free[size_class], buffer->data, sizeof(struct buffer *));
    pool->kept -= buffer->capacity;
    return buffer;
}

void buffer_pool_done(struct buffer_pool *pool)
{
    CHECK(pool->out == 0);
    for (uint32_t i = 0; i < BUFFER_CLASS_COUNT; i++) {
        for (struct buffer *buffer; (buffer = free_pop(pool, i));)
            mem_free(buffer);
    }
}

static uint32_t class_of(size_t capacity)
{
    uint32_t size_class = 0;
    while (size_class < CLASS_NONE && ((size_t)CLASS_SMALLEST << size_class) < capacity)
        size_class++;
    return size_class;
}

struct buffer *buffer_create(struct buffer_pool *pool, size_t capacity)
{
    uint32_t size_class = class_of(capacity);
    struct buffer *buffer = NULL;
    if (size_class != CLASS_NONE)
        capacity = (size_t)CLASS_SMALLEST << size_class;
    if (pool && size_class != CLASS_NONE)
        buffer = free_pop(pool, size_class);
    if (!buffer) {
        buffer = mem_try_alloc(sizeof(*buffer) + capacity);
        if (!buffer)
            return NULL;
        buffer->data = (uint8_t *)(buffer + 1);
        buffer->capacity = capacity;
        buffer->size_class = size_class;
        buffer->pool = pool;
    }
    buffer->references = 1;
    buffer->len = 0;
    if (pool)
        pool->out += capacity;
    return buffer;
}

struct buffer *buffer_ref(struct buffer *buffer)
{
    CHECK(buffer->references > 0);
    buffer->references++;
    return buffer;
}

void buffer_unref(struct buffer *buffer)
{
    if (!buffer)
        return;
    CHECK(buffer->references > 0);
    if (--buffer->references > 0)
        return;
    struct buffer_pool *pool = buffer->pool;
    if (pool)
        pool->out -= buffer->capacity;
    if (!pool || buffer->size_class == CLASS_NONE ||
        pool->kept + buffer->capacity > pool->kept_max) {
        mem_free(buffer);
        return;
    }
    memcpy(buffer->data, &pool->free[buffer->size_class], sizeof(struct buffer *));
    pool->free[buffer->size_class] = buffer;
    pool->kept += buffer->capacity;
}
