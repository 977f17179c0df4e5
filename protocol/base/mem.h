/*
 * mem.h - the only malloc of the house.
 *
 * For memory whose size the program decides: these abort when memory runs out and so never return
 * NULL. A size that a client or a file names must be bounded first; use mem_try_alloc for it.
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

#include "protocol/base/check.h"

/* `size` bytes, not zeroed. Owned by the caller, freed with mem_free. Aborts on exhaustion. */
void *mem_alloc(size_t size) __attribute__((malloc, returns_nonnull));
/* `count` * `size` bytes, zeroed; an overflow of the product aborts. */
void *mem_zalloc(size_t count, size_t size) __attribute__((malloc, returns_nonnull));
/* As realloc; aborts on exhaustion. `pointer` may be NULL. */
void *mem_realloc(void *pointer, size_t size) __attribute__((returns_nonnull));
/* As malloc: NULL on exhaustion. For sizes that somebody else named. */
void *mem_try_alloc(size_t size) MUST_CHECK;
/* As realloc: NULL on exhaustion, and then `pointer` is as before. */
void *mem_try_realloc(void *pointer, size_t size) MUST_CHECK;
/* A copy of the NUL-terminated `text`. */
char *mem_strdup(const char *text) __attribute__((malloc, returns_nonnull));
/* A NUL-terminated copy of `len` bytes. */
char *mem_strndup(const char *text, size_t len) __attribute__((malloc, returns_nonnull));
/* printf into fresh memory. */
char *mem_printf(const char *format, ...) PRINTF_LIKE(1, 2);
/* NULL is fine. */
void mem_free(void *pointer);

/* Grow `array` (elements of `*array`) so that it holds at least `need` elements; `*capacity` is
 * doubled. For unbounded growth the caller checks a named limit first. */
#define mem_grow(array, capacity, need)                                                            \
    ((array) = mem_grow_bytes((array), (capacity), (need), sizeof(*(array))))
void *mem_grow_bytes(void *array, size_t *capacity, size_t need, size_t element_size);

#endif
