/* base64, JSON strings, escapes. */
#include "tools/client/text.h"

#include "protocol/base/mem.h"
#include "protocol/base/random.h"
#include "tests/test.h"

static void expect(struct out *out, const char *text)
{
    cr_assert(bytes_equal_text(bytes_of(out->data, out->len), text), "%.*s is not %s",
        (int)out->len, (const char *)out->data, text);
    out_done(out);
}

static void expect_base64(const char *plain, const char *encoded)
{
    struct out out = { 0 };

    text_base64(&out, bytes_text(plain));
    expect(&out, encoded);
}

TEST(text, writes_the_base64_of_rfc_4648)
{
    expect_base64("", "");
    expect_base64("f", "Zg==");
    expect_base64("fo", "Zm8=");
    expect_base64("foo", "Zm9v");
    expect_base64("foob", "Zm9vYg==");
    expect_base64("fooba", "Zm9vYmE=");
    expect_base64("foobar", "Zm9vYmFy");
    expect_base64("\xff\xfe\xfb", "//77");
}

TEST(text, reads_back_what_it_wrote)
{
    struct random random = random_seeded(7);
    uint8_t data[300], back[400];

    for (size_t len = 0; len < sizeof(data); len++) {
        struct out out = { 0 };
        size_t back_len = 0;
        random_bytes(&random, data, len);
        text_base64(&out, bytes_of(data, len));
        cr_assert_eq(text_base64_decode(bytes_of(out.data, out.len), back, &back_len), 0);
        cr_assert_eq(back_len, len);
        cr_assert_eq(memcmp(back, data, len), 0);
        out_done(&out);
    }
}

TEST(text, refuses_what_is_no_base64)
{
    static const char *const wrong[] = { "Z", "Zg", "Zg=", "Zg==Zg==", "Z===", "====", "Zg=g",
        "Zm9\n", "Zm 9", "Zh==", "Zm9=", "Zm9-" };

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        uint8_t to[16];
        size_t len;
        cr_assert_neq(text_base64_decode(bytes_text(wrong[i]), to, &len), 0, "%s", wrong[i]);
    }
}

TEST(text, quotes_json)
{
    struct out out = { 0 };

    text_json_string(&out, bytes_of("a\"b\\c\n\t\r\x01\0h\xc3\xa4", 13));
    expect(&out, "\"a\\\"b\\\\c\\n\\t\\u000d\\u0001\\u0000h\xc3\xa4\"");
    text_json_string(&out, bytes_text(""));
    expect(&out, "\"\"");
}

TEST(text, unescapes)
{
    struct out out = { 0 };

    cr_assert_eq(text_unescape("a\\n\\t\\r\\\\\\x7C\\x7c", &out), 0);
    expect(&out, "a\n\t\r\\||");
    cr_assert_eq(text_unescape("\\0", &out), 0);
    cr_assert_eq(out.len, 1);
    cr_assert_eq(out.data[0], 0);
    out_done(&out);
    static const char *const wrong[] = { "\\", "\\q", "\\x", "\\x1", "\\xg0" };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        cr_assert_neq(text_unescape(wrong[i], &out), 0, "%s", wrong[i]);
        out_done(&out);
    }
}
