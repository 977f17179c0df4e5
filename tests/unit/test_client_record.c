/* Records as JSON and by a format. */
#include "tools/client/record.h"

#include <errno.h>

#include "tests/test.h"

static void expect_out(struct out *out, const char *text)
{
    cr_assert(bytes_equal_text(bytes_of(out->data, out->len), text), "got  %.*s\nwant %s",
        (int)out->len, (const char *)out->data, text);
    out_done(out);
}

static const struct record_header headers[] = {
    { "trace", { (const uint8_t *)"1", 1 } },
    { "bin", { (const uint8_t *)"\xff", 1 } },
    { "none", { NULL, 0 } },
};

TEST(client_record, becomes_json)
{
    struct record record = { "posts", 3, 17, INT64_C(1767225600000), false, bytes_text("k\"1"),
        bytes_of("a\0b", 3), headers, 3 };
    struct out out = { 0 };

    record_to_json(&record, &out);
    expect_out(&out,
        "{\"topic\":\"posts\",\"partition\":3,\"offset\":17,\"timestamp\":1767225600000,"
        "\"timestamp_type\":\"CreateTime\",\"key\":\"k\\\"1\",\"value\":\"a\\u0000b\",\"headers\":["
        "{\"name\":\"trace\",\"value\":\"1\"},{\"name\":\"bin\",\"value_base64\":\"/w==\"},"
        "{\"name\":\"none\",\"value\":null}]}");
}

TEST(client_record, tells_null_from_empty_and_text_from_bytes)
{
    struct record record = { "t", 0, 0, -1, false, bytes_of(NULL, 0), bytes_text(""), NULL, 0 };
    struct out out = { 0 };

    record_to_json(&record, &out);
    expect_out(&out, "{\"topic\":\"t\",\"partition\":0,\"offset\":0,\"key\":null,\"value\":\"\","
                     "\"headers\":[]}");
    record.key = bytes_text("\xc3");
    record.value = bytes_of(NULL, 0);
    record_to_json(&record, &out);
    expect_out(&out, "{\"topic\":\"t\",\"partition\":0,\"offset\":0,\"key_base64\":\"ww==\","
                     "\"value\":null,\"headers\":[]}");
}

struct read {
    struct arena arena;
    struct record record;
    char error[256];
    int result;
};

static struct read *read_text(struct read *read, const char *text)
{
    arena_init(&read->arena, 1 << 16);
    read->result = record_from_json(
        bytes_text(text), &read->arena, &read->record, read->error, sizeof(read->error));
    return read;
}

TEST(client_record, comes_back_from_its_own_json)
{
    struct record record = { "posts", 3, 17, INT64_C(1767225600000), false, bytes_text("\xf0\x28"),
        bytes_of("a\0b", 3), headers, 3 };
    struct out out = { 0 };
    struct read read;

    record_to_json(&record, &out);
    out_bytes(&out, "", 1);
    read_text(&read, (const char *)out.data);
    cr_assert_eq(read.result, 0, "%s", read.error);
    cr_assert_eq(read.record.partition, 3);
    cr_assert_eq(read.record.timestamp_ms, INT64_C(1767225600000));
    cr_assert(bytes_equal(read.record.key, record.key));
    cr_assert(bytes_equal(read.record.value, record.value));
    cr_assert_eq(read.record.header_count, 3);
    for (size_t i = 0; i < 3; i++) {
        cr_assert_str_eq(read.record.headers[i].name, headers[i].name);
        cr_assert(bytes_equal(read.record.headers[i].value, headers[i].value));
        cr_assert_eq(read.record.headers[i].value.data == NULL, headers[i].value.data == NULL);
    }
    arena_done(&read.arena);
    out_done(&out);
}

TEST(client_record, reads_what_people_write)
{
    struct read read;

    read_text(&read,
        "{\"key\":17,\"value\":{\"b\":[1,null],\"a\":\"x\"},\"headers\":{\"n\":\"v\",\"m\":null},"
        "\"timestamp\":\"2026-01-01T00:00:00Z\"}");
    cr_assert_eq(read.result, 0, "%s", read.error);
    cr_assert_eq(read.record.partition, -1);
    cr_assert_eq(read.record.timestamp_ms, INT64_C(1767225600000));
    cr_assert(bytes_equal_text(read.record.key, "17"));
    cr_assert(bytes_equal_text(read.record.value, "{\"b\":[1,null],\"a\":\"x\"}"));
    cr_assert_eq(read.record.header_count, 2);
    cr_assert_str_eq(read.record.headers[0].name, "n");
    cr_assert(bytes_equal_text(read.record.headers[0].value, "v"));
    cr_assert_null(read.record.headers[1].value.data);
    arena_done(&read.arena);
    read_text(&read, "{}");
    cr_assert_eq(read.result, 0);
    cr_assert_null(read.record.key.data);
    cr_assert_null(read.record.value.data);
    arena_done(&read.arena);
    read_text(&read, "{\"value\":\"\"}");
    cr_assert_eq(read.result, 0);
    cr_assert_not_null(read.record.value.data);
    cr_assert_eq(read.record.value.len, 0);
    arena_done(&read.arena);
}

TEST(client_record, refuses_with_a_reason)
{
    static const char *const wrong[][2] = {
        { "", "not JSON" },
        { "{\"value\":", "not JSON" },
        { "{\"value\":1,\"value\":2}", "duplicate" },
        { "[1]", "a record is an object" },
        { "\"text\"", "a record is an object" },
        { "{\"vlaue\":\"x\"}", "no member \"vlaue\"" },
        { "{\"value\":\"x\",\"value_base64\":\"eA==\"}", "both value and value_base64" },
        { "{\"value_base64\":\"x\"}", "value_base64 is not base64" },
        { "{\"key_base64\":1}", "key_base64 must be a string" },
        { "{\"partition\":-1}", "partition" },
        { "{\"partition\":2147483648}", "partition" },
        { "{\"partition\":\"1\"}", "partition" },
        { "{\"timestamp\":-5}", "timestamp" },
        { "{\"timestamp\":\"soon\"}", "timestamp" },
        { "{\"headers\":1}", "headers must be" },
        { "{\"headers\":[1]}", "headers[0]" },
        { "{\"headers\":[{\"value\":\"x\"}]}", "headers[0]" },
        { "{\"headers\":[{\"name\":\"a\\u0000b\"}]}", "NUL" },
    };

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct read read;
        read_text(&read, wrong[i][0]);
        cr_assert_eq(read.result, -EINVAL, "%s", wrong[i][0]);
        cr_assert(strstr(read.error, wrong[i][1]) != NULL, "%s: %s", wrong[i][0], read.error);
        arena_done(&read.arena);
    }
}

TEST(client_record, stays_within_its_arena)
{
    struct arena arena;
    struct record record;
    char error[256];

    arena_init(&arena, 64);
    cr_assert_eq(record_from_json(bytes_text("{\"value\":\"0123456789012345678901234567890123456789"
                                             "0123456789012345678901234567890123456789\"}"),
                     &arena, &record, error, sizeof(error)),
        -ENOMEM);
    arena_done(&arena);
}

static void expect_format(const char *format_text, const char *expected)
{
    struct record record = { "t", 2, 9, 1234, false, bytes_text("key"), bytes_of(NULL, 0), headers,
        3 };
    char error[256];
    struct record_format *format = record_format_create(format_text, error, sizeof(error));
    struct out out = { 0 };

    cr_assert_not_null(format, "%s", error);
    record_format_write(format, &record, &out);
    expect_out(&out, expected);
    record_format_destroy(format);
}

TEST(client_record, follows_a_format)
{
    expect_format("%t/%p/%o@%T %k(%K)=%v(%V)%s(%S)\\n", "t/2/9@1234 key(3)=(-1)(-1)\n");
    expect_format("100%%\\x21\\t", "100%!\t");
    expect_format("%h", "trace=1,bin=\xff,none=NULL");
    expect_format("plain", "plain");
}

TEST(client_record, refuses_a_wrong_format)
{
    static const char *const wrong[] = { "%", "%q", "%v\\", "\\q", "\\x1" };
    char error[256], many[2 * 300 + 1] = "";

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        cr_assert_null(record_format_create(wrong[i], error, sizeof(error)), "%s", wrong[i]);
    for (size_t i = 0; i < 300; i++)
        memcpy(many + 2 * i, "%v", 3);
    cr_assert_null(record_format_create(many, error, sizeof(error)));
    cr_assert(strstr(error, "too many") != NULL, "%s", error);
}
