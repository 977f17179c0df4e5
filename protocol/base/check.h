/*
 * check.h - what a programmer got wrong.
 *
 * CHECK stays on in production: it prints the expression and place to stderr and aborts. Input from
 * wire, disk, plugin or command line must never reach a CHECK; the world's errors are 0 / -errno.
 */
#ifndef BASE_CHECK_H
#define BASE_CHECK_H

#include <stddef.h>

#define MUST_CHECK  __attribute__((warn_unused_result))
#define NORETURN    __attribute__((noreturn))
#define FALLTHROUGH __attribute__((fallthrough)) /* from one case into the next, on purpose */
#define PRINTF_LIKE(format_index, first_index)                                                     \
    __attribute__((format(printf, format_index, first_index)))

/* Prints "FILE:LINE: check failed: TEXT" to stderr and aborts. */
NORETURN void check_failed(const char *file, int line, const char *text);

#define CHECK(expression)                                                                          \
    do {                                                                                           \
        if (__builtin_expect(!(expression), 0))                                                    \
            check_failed(__FILE__, __LINE__, #expression);                                         \
    } while (0)

/* The struct that contains `member` at `pointer`. */
#define container_of(pointer, type, member)                                                        \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))
#define container_of_const(pointer, type, member)                                                  \
    ((const type *)(const void *)((const char *)(pointer)-offsetof(type, member)))

#define ARRAY_COUNT(array) (sizeof(array) / sizeof((array)[0]))

#endif
