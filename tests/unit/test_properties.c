/* test_properties.c - Java's .properties syntax. */
#include "broker/properties.h"
#include "tests/test.h"

#include <errno.h>

/* Reads all pairs into "key|value\n" lines, with the line number in front; ends with the status. */
static void read_all(const char *text, size_t len, struct out *to)
{
    struct properties properties;
    int status;
    properties_init(&properties, bytes_of(text, len));
    while ((status = properties_next(&properties)) == 0)
        out_printf(to, "%d %.*s|%.*s\n", properties.line, (int)properties.key.len,
            (const char *)properties.key.data, (int)properties.value.len,
            properties.value.data ? (const char *)properties.value.data : "");
    out_printf(to, "%s\n", status == -ENOENT ? "end" : "broken");
    out_bytes(to, "", 1);
    properties_done(&properties);
}

static void expect_len(const char *text, size_t len, const char *expected)
{
    struct out got = { 0 };
    read_all(text, len, &got);
    cr_assert_str_eq((const char *)got.data, expected);
    out_done(&got);
}

static void expect(const char *text, const char *expected)
{
    expect_len(text, strlen(text), expected);
}

TEST(properties, separators_and_blanks)
{
    expect("a=1\nb:2\nc 3\n  d\t=  4 \ne = : 5\nf",
        "1 a|1\n2 b|2\n3 c|3\n4 d|4 \n5 e|: 5\n6 f|\nend\n");
}

TEST(properties, comments_and_empty_lines)
{
    expect("# x=1\n! y=2\n\n   \n  # z\r\na=1\r\rb=2", "6 a|1\n8 b|2\nend\n");
}

TEST(properties, continued_lines)
{
    expect("a=1,\\\n    2,\\\r\n\t3\nb=\\\\\nc=4\\", "1 a|1,2,3\n4 b|\\\n5 c|4\nend\n");
}

TEST(properties, comment_mark_behind_a_continuation_is_text)
{
    expect("a=1\\\n#2\nb=3", "1 a|1#2\n3 b|3\nend\n");
}

TEST(properties, escapes)
{
    expect("a\\ b\\=c\\:d=\\t\\n\\f\\r\\q\\#", "1 a b=c:d|\t\n\f\rq#\nend\n");
    expect("u=\\u0041\\u00e9\\u20ac\\ud83d\\ude00",
        "1 u|A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\nend\n");
}

TEST(properties, broken_escapes)
{
    expect("a=\\u12", "broken\n");
    expect("a=\\u12g4", "broken\n");
    expect("a=\\ud83d", "broken\n");
    expect("a=\\ud83dxxxxxx", "broken\n");
    expect("a=\\ud83d\\u0041", "broken\n");
    expect("a=\\ude00", "broken\n");
    expect("a=\\u0000", "broken\n");
    expect_len("a=\0b", 4, "broken\n");
}

TEST(properties, goes_on_behind_a_broken_line)
{
    struct properties properties;
    properties_init(&properties, bytes_text("a=\\u12\nb=2\n"));
    cr_assert_eq(properties_next(&properties), -EBADMSG);
    cr_assert_eq(properties.line, 1);
    cr_assert_eq(properties_next(&properties), 0);
    cr_assert_eq(properties.line, 2);
    properties_done(&properties);
}

TEST(properties, any_cut_of_a_text_ends)
{
    static const char text[] = "# c\na=\\u0041\\\n  x\nb:\\t\nc\\ud83d\\ude00 1\n";
    for (size_t len = 0; len < sizeof(text); len++) {
        struct out got = { 0 };
        read_all(text, len, &got);
        out_done(&got);
    }
}
