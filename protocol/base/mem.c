/*
 * Running out of memory for the program's own small things is not an error anyone can handle:
 * say so and abort; recovery repairs. See mem.h for what must not come through here.
 */
#include "protocol/base/mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void check_failed(const char *file, int line, const char *text)
{
    (void)fprintf(stderr, "%s:%d: check failed: %s\n", file, line, text);
    abort();
}

static void *present(void *pointer)
{
    if (!pointer)
        check_failed(__FILE__, __LINE__, "out of memory");
    return pointer;
}

void *mem_alloc(size_t size)
{
    return present(malloc(size ? size : 1));
}

void *mem_zalloc(size_t count, size_t size)
{
    return present(calloc(count ? count : 1, size ? size : 1));
}

void *mem_realloc(void *pointer, size_t size)
{
    return present(realloc(pointer, size ? size : 1));
}

void *mem_try_alloc(size_t size)
{
    return malloc(size ? size : 1);
}

void *mem_try_realloc(void *pointer, size_t size)
{
    return realloc(pointer, size ? size : 1);
}

char *mem_strdup(const char *text)
{
    return mem_strndup(text, strlen(text));
}

char *mem_strndup(const char *text, size_t len)
{
    char *copy = mem_alloc(len + 1);
    memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}

char *mem_printf(const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int len = vasprintf(&text, format, args);
    va_end(args);
    CHECK(len >= 0);
    return text;
}

void mem_free(void *pointer)
{
    free(pointer);
}

void *mem_grow_bytes(void *array, size_t *capacity, size_t need, size_t element_size)
{
    if (need <= *capacity)
        return array;
    size_t next = *capacity ? *capacity : 8;
    while (next < need)
        next *= 2;
    CHECK(next <= SIZE_MAX / element_size);
    *capacity = next;
    return mem_realloc(array, next * element_size);
}
