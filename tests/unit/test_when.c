/* Where reading starts. */
#include "tools/client/when.h"

#include "tests/test.h"

static const int64_t now_ms = INT64_C(1800000000000);

static void expect(const char *text, enum when_kind kind, int64_t number)
{
    struct when when;

    cr_assert_eq(when_parse(text, now_ms, &when), 0, "%s", text);
    cr_assert_eq(when.kind, kind, "%s", text);
    cr_assert_eq(when.number, number, "%s: %lld", text, (long long)when.number);
}

TEST(when, reads_offsets_and_tails)
{
    expect("beginning", WHEN_BEGINNING, 0);
    expect("end", WHEN_END, 0);
    expect("0", WHEN_OFFSET, 0);
    expect("9223372036854775807", WHEN_OFFSET, INT64_MAX);
    expect("-5", WHEN_TAIL, 5);
}

TEST(when, reads_times)
{
    expect("@1767225600000", WHEN_TIME, INT64_C(1767225600000));
    expect("1970-01-01", WHEN_TIME, 0);
    expect("2026-01-01", WHEN_TIME, INT64_C(1767225600000));
    expect("2024-02-29T00:00", WHEN_TIME, INT64_C(1709164800000));
    expect("2026-01-01T00:00:01.5", WHEN_TIME, INT64_C(1767225601500));
    expect("2026-01-01T00:00:01.123456Z", WHEN_TIME, INT64_C(1767225601123));
    expect("2026-01-01T02:00:00+02:00", WHEN_TIME, INT64_C(1767225600000));
    expect("2025-12-31T18:30:00-0530", WHEN_TIME, INT64_C(1767225600000));
    expect("2000-03-01 00:00:00", WHEN_TIME, INT64_C(951868800000));
    expect("1969-12-31T23:59:59", WHEN_TIME, -1000);
}

TEST(when, reads_times_before_now)
{
    expect("-90s", WHEN_TIME, now_ms - 90000);
    expect("-10m", WHEN_TIME, now_ms - 600000);
    expect("-2h", WHEN_TIME, now_ms - 7200000);
    expect("-1d", WHEN_TIME, now_ms - 86400000);
}

TEST(when, refuses_the_rest)
{
    static const char *const wrong[] = { "", "start", "-", "@", "@x", "12x", "-10x", "-10mm", "--5",
        "+5", " 5", "9223372036854775808", "-99999999999999d", "2026-13-01", "2026-02-29",
        "2026-00-10", "2026-1-1", "2026-01-01T", "2026-01-01T24:00", "2026-01-01T10",
        "2026-01-01T10:00:60", "2026-01-01T10:00:00.", "2026-01-01T10:00:00+25:00",
        "2026-01-01T10:00:00 Z", "2026-01-01T10:00:00Zx", "0000-01-01" };

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct when when;
        cr_assert_neq(when_parse(wrong[i], now_ms, &when), 0, "%s", wrong[i]);
    }
}
