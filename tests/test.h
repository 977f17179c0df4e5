/*
 * test.h - Criterion, with leaks that fail.
 *
 *     TEST(arena, refuses_beyond_its_limit)
 *     {
 *         cr_assert_eq(...);
 *     }
 *
 * Criterion runs each test in a process of its own. Under AddressSanitizer LeakSanitizer would only
 * print at the end of that process and the run would stay green; so each TEST ends with a leak
 * check that aborts. (Criterion then says "crashed during its setup or teardown" and the run's exit
 * code is not 0.) Without a sanitizer the check is absent.
 *
 * A test with options of its own passes them behind its name: TEST(noun, what, .init = prepare).
 * It may not set .fini: what needs an end ends in the test.
 */
#ifndef TESTS_TEST_H
#define TESTS_TEST_H

#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/base/check.h"

/* In every build that has LeakSanitizer; otherwise the weak symbol stays NULL. */
int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

static void test_leaks_fail(void)
{
    if (__lsan_do_recoverable_leak_check && __lsan_do_recoverable_leak_check())
        abort();
}

/* Appends to an array of char what a test reads later; SAY(play->said, "%d", 7). */
#define SAY(said, ...) test_say((said), sizeof(said), __VA_ARGS__)
static inline void test_say(char *said, size_t size, const char *format, ...) PRINTF_LIKE(3, 4);
static inline void test_say(char *said, size_t size, const char *format, ...)
{
    size_t len = strlen(said);
    va_list args;
    va_start(args, format);
    (void)vsnprintf(said + len, size - len, format, args);
    va_end(args);
}

/* clang-format off */
#define TEST(noun, ...) Test(noun, __VA_ARGS__, .fini = test_leaks_fail)
/* clang-format on */

#endif
