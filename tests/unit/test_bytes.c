/* UTF-8, by every case of its table. */
#include "protocol/base/bytes.h"

#include "tests/test.h"

TEST(bytes, utf8_accepts_well_formed)
{
    static const char *const texts[] = {
        "",
        "a",
        "topic-1.name_X",
        "\x7f",
        "\xc2\x80",
        "\xdf\xbf",
        "\xe0\xa0\x80",
        "\xed\x9f\xbf",
        "\xee\x80\x80",
        "\xef\xbf\xbf",
        "\xf0\x90\x80\x80",
        "\xf4\x8f\xbf\xbf",
        "eight by\xc3\xa9te and eight",
        ("1234567\xe2\x82\xac"
         "90123456"),
    };
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++)
        cr_assert(bytes_utf8(bytes_text(texts[i])), "text %zu", i);
    cr_assert(bytes_utf8(bytes_of("a\0b", 3)));
}

TEST(bytes, utf8_refuses_malformed)
{
    static const char *const texts[] = {
        "\x80",
        "\xbf",
        "\xc0\xaf",
        "\xc1\xbf",
        "\xc2",
        "\xc2\x41",
        "\xc2\xc2",
        "\xe0\x9f\xbf",
        "\xe1\x80",
        "\xe1\x80\x41",
        "\xed\xa0\x80",
        "\xed\xbf\xbf",
        "\xf0\x8f\xbf\xbf",
        "\xf1\x80\x80",
        "\xf1\x80\x80\xc0",
        "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80",
        "\xff",
        "12345678\xff",
        "1234567\xe2\x82",
    };
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++)
        cr_assert_not(bytes_utf8(bytes_text(texts[i])), "text %zu", i);
    /* What lies behind the run does not count. */
    cr_assert_not(bytes_utf8(bytes_of("\xe1\x80\x80", 2)));
    cr_assert_not(bytes_utf8(bytes_of("\xc2\x80", 1)));
}

TEST(bytes, sort_as_memory_and_the_shorter_first)
{
    struct bytes null = bytes_of(NULL, 0);
    cr_assert_eq(bytes_compare(null, bytes_text("")), 0);
    cr_assert_lt(bytes_compare(null, bytes_text("a")), 0);
    cr_assert_lt(bytes_compare(bytes_text("a"), bytes_text("ab")), 0);
    cr_assert_gt(bytes_compare(bytes_text("b"), bytes_text("ab")), 0);
    cr_assert_gt(bytes_compare(bytes_text("\xff"), bytes_text("a")), 0);
    cr_assert_eq(bytes_compare(bytes_text("ab"), bytes_text("ab")), 0);
    cr_assert(bytes_begin_with(bytes_text("ab"), bytes_text("a")));
    cr_assert(bytes_begin_with(null, null));
    cr_assert_not(bytes_begin_with(bytes_text("a"), bytes_text("ab")));
    cr_assert_not(bytes_begin_with(bytes_text("ba"), bytes_text("a")));
}
