/* test_log_line.c - the form of a line of the log. */
#include "broker/log_line.h"
#include "tests/test.h"

static void expect(int64_t wall_ms, const char *expected)
{
    char line[200];
    size_t len = log_line_format(line, sizeof(line), wall_ms, LOG_INFO, "x");
    cr_assert_str_eq(line, expected);
    cr_assert_eq(len, strlen(expected));
}

TEST(log_line, dates)
{
    expect(0, "1970-01-01T00:00:00.000Z INFO  x\n");
    expect(951782399999, "2000-02-28T23:59:59.999Z INFO  x\n");
    expect(951782400000, "2000-02-29T00:00:00.000Z INFO  x\n");
    expect(1709164800000, "2024-02-29T00:00:00.000Z INFO  x\n");
    expect(1735689599999, "2024-12-31T23:59:59.999Z INFO  x\n");
    expect(1763728445123, "2025-11-21T12:34:05.123Z INFO  x\n");
    expect(4107542400000, "2100-03-01T00:00:00.000Z INFO  x\n");
    expect(-1, "1969-12-31T23:59:59.999Z INFO  x\n");
}

TEST(log_line, forges_nothing)
{
    char line[200];
    (void)log_line_format(line, sizeof(line), 0, LOG_ERROR, "a\nb\x1b[31m\x7f");
    cr_assert_str_eq(line, "1970-01-01T00:00:00.000Z ERROR a?b?[31m?\n");
}

TEST(log_line, cuts_what_is_too_long)
{
    char line[40];
    size_t len = log_line_format(line, sizeof(line), 0, LOG_WARNING, "0123456789abcdefghij");
    cr_assert_eq(len, sizeof(line) - 1);
    cr_assert_str_eq(line, "1970-01-01T00:00:00.000Z WARN  0123456\n");
}
