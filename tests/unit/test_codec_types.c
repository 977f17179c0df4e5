/*
 * Every type and kind of field, with bytes written by hand from the rules of the encoding.
 * The tables come from types.schema.
 */
#include <errno.h>

#include "tests/messages.h"
#include "tests/test.h"
#include "tests/unit/types.h"

static void expect_bytes(
    const struct message *message, int16_t version, const void *body, const void *wire, size_t len)
{
    struct out out = { 0 };
    cr_assert_eq(codec_encode(message, version, body, &out, NULL), 0);
    size_t same = 0;
    while (same < out.len && same < len && out.data[same] == ((const uint8_t *)wire)[same])
        same++;
    cr_assert(out.len == len && same == len, "%s v%d: %zu bytes, %zu expected, equal up to %zu",
        message->name, version, out.len, len, same);
    out_done(&out);
}

static int decode(const struct message *message, int16_t version, const void *wire, size_t len,
    struct arena *arena, void *body)
{
    struct reader reader = reader_of(bytes_of(wire, len));
    int status = codec_decode(message, version, &reader, arena, body);
    if (!status)
        cr_assert_eq(reader_left(&reader), 0);
    else
        cr_assert_not_null(reader.reason);
    return status;
}

#define WIRE(text) text, sizeof(text) - 1

TEST(codec_types, scalar_defaults)
{
    struct scalars s;
    codec_defaults(&scalars_message, &s);
    cr_assert_eq(s.truth, false);
    cr_assert_eq(s.lie, true);
    cr_assert_eq(s.tiny, INT8_MIN);
    cr_assert_eq(s.short_, INT16_MAX);
    cr_assert_eq(s.word, UINT16_MAX);
    cr_assert_eq(s.int_, INT32_MIN);
    cr_assert_eq(s.unsigned_, UINT32_MAX);
    cr_assert_eq(s.long_, INT64_MIN);
    cr_assert_eq(s.huge, INT64_MAX);
    cr_assert_eq(s.real, 0.0);
    cr_assert(uuid_zero(s.id));
    cr_assert(s.text.data && s.text.len == 0);
    cr_assert_null(s.note.data);
    cr_assert(s.blob.data && s.blob.len == 0);
    cr_assert_null(s.hole.data);
    cr_assert(!s.log.data && !s.log.source);
    cr_assert_eq(s.default_, 0);
}

static struct scalars some_scalars(void)
{
    struct scalars s;
    codec_defaults(&scalars_message, &s);
    s.truth = true;
    s.lie = false;
    s.tiny = -2;
    s.short_ = 0x0102;
    s.word = 0xfffe;
    s.int_ = 0x01020304;
    s.unsigned_ = 0xfffffffe;
    s.long_ = -2;
    s.huge = 0x0102030405060708;
    s.real = 1.5;
    memcpy(s.id.b, "0123456789abcdef", 16);
    s.text = bytes_text("h\xc3\xa9");
    s.blob = bytes_of("\0\1", 2);
    s.log.data = (const uint8_t *)"rr";
    s.log.len = 2;
    s.default_ = 1;
    return s;
}

#define NUMBERS                                                                                    \
    "\xfe\1\2\xff\xfe\1\2\3\4\xff\xff\xff\xfe\xff\xff\xff\xff\xff\xff\xff\xfe"                     \
    "\1\2\3\4\5\6\7\10\x3f\xf8\0\0\0\0\0\0"                                                        \
    "0123456789abcdef"

TEST(codec_types, scalars_in_both_encodings)
{
    static const char plain[] = "\1\0" NUMBERS "\0\3h\xc3\xa9"
                                "\xff\xff"
                                "\0\0\0\2\0\1"
                                "\xff\xff\xff\xff"
                                "\0\0\0\2rr"
                                "\0\0\0\1";
    static const char compact[] = "\1\0" NUMBERS "\4h\xc3\xa9"
                                  "\0"
                                  "\3\0\1"
                                  "\0"
                                  "\3rr"
                                  "\0\0\0\1"
                                  "\0";
    struct scalars s = some_scalars(), back;
    expect_bytes(&scalars_message, 0, &s, WIRE(plain));
    expect_bytes(&scalars_message, 1, &s, WIRE(compact));
    cr_assert_eq(decode(&scalars_message, 0, WIRE(plain), NULL, &back), 0);
    cr_assert(messages_equal(&scalars_table, &s, &back));
    cr_assert_eq(decode(&scalars_message, 2, WIRE(compact), NULL, &back), 0);
    cr_assert(messages_equal(&scalars_table, &s, &back));
}

/* A C bool that holds a 2 is undefined behaviour. */
TEST(codec_types, any_byte_but_zero_is_true)
{
    static const char wire[] = "\2\x80" NUMBERS "\1\0\1\0\0\0\0\0\1\0";
    struct scalars s;
    uint8_t raw[2];
    cr_assert_eq(decode(&scalars_message, 1, WIRE(wire), NULL, &s), 0);
    memcpy(raw, &s.truth, 2);
    cr_assert_eq(raw[0], 1);
    cr_assert_eq(raw[1], 1);
}

TEST(codec_types, null_only_where_it_may_be)
{
    static const char text_null[] = "\1\0" NUMBERS "\0\0\1\0\0\0\0\0\1\0";
    static const char blob_null[] = "\1\0" NUMBERS "\1\0\0\0\0\0\0\0\1\0";
    struct scalars s = some_scalars();
    struct out out = { 0 };
    cr_assert_eq(decode(&scalars_message, 1, WIRE(text_null), NULL, &s), -EBADMSG);
    cr_assert_eq(decode(&scalars_message, 1, WIRE(blob_null), NULL, &s), -EBADMSG);
    s = some_scalars();
    s.blob.data = NULL;
    cr_assert_eq(codec_encode(&scalars_message, 1, &s, &out, NULL), -EINVAL);
    cr_assert_eq(out.len, 0);
    out_done(&out);
}

TEST(codec_types, arrays_of_every_type)
{
    static const char plain[] = "\0\0\0\2\0\1"
                                "\0\0\0\1\xff"
                                "\0\0\0\1\1\2"
                                "\0\0\0\1\xff\xfe"
                                "\xff\xff\xff\xff"
                                "\0\0\0\1\xff\xff\xff\xfe"
                                "\0\0\0\1\1\2\3\4\5\6\7\10"
                                "\0\0\0\1\xbf\xf0\0\0\0\0\0\0"
                                "\0\0\0\1"
                                "0123456789abcdef"
                                "\0\0\0\2\0\1a\0\0"
                                "\0\0\0\1\0\0\0\1b"
                                "\0\0\0\1\0\7";
    static const char compact[] = "\3\0\1"
                                  "\2\xff"
                                  "\2\1\2"
                                  "\2\xff\xfe"
                                  "\0"
                                  "\2\xff\xff\xff\xfe"
                                  "\2\1\2\3\4\5\6\7\10"
                                  "\2\xbf\xf0\0\0\0\0\0\0"
                                  "\2"
                                  "0123456789abcdef"
                                  "\3\2a\1"
                                  "\2\2b"
                                  "\2\0\7\0"
                                  "\0";
    struct arrays a, back;
    struct arena arena;
    arena_init(&arena, 10000);
    cr_assert_eq(decode(&arrays_message, 0, WIRE(plain), &arena, &a), 0);
    cr_assert(a.truths_count == 2 && !a.truths[0] && a.truths[1]);
    cr_assert(a.tinies_count == 1 && a.tinies[0] == -1);
    cr_assert(a.shorts_count == 1 && a.shorts[0] == 0x0102);
    cr_assert(a.words_count == 1 && a.words[0] == 0xfffe);
    cr_assert(a.ints_count == -1 && !a.ints);
    cr_assert(a.unsigneds_count == 1 && a.unsigneds[0] == 0xfffffffe);
    cr_assert(a.longs_count == 1 && a.longs[0] == 0x0102030405060708);
    cr_assert(a.reals_count == 1 && a.reals[0] == -1.0);
    cr_assert(a.ids_count == 1 && memcmp(a.ids[0].b, "0123456789abcdef", 16) == 0);
    cr_assert(a.texts_count == 2 && bytes_equal_text(a.texts[0], "a") && a.texts[1].data);
    cr_assert(a.blobs_count == 1 && bytes_equal_text(a.blobs[0], "b"));
    cr_assert(a.points_count == 1 && a.points[0].x == 7);
    expect_bytes(&arrays_message, 0, &a, WIRE(plain));
    expect_bytes(&arrays_message, 1, &a, WIRE(compact));
    cr_assert_eq(decode(&arrays_message, 1, WIRE(compact), &arena, &back), 0);
    cr_assert(messages_equal(&arrays_table, &a, &back));
    arena_done(&arena);
}

/* An array may be null where its field is nullable, an element never. */
TEST(codec_types, elements_are_never_null)
{
    static const char compact[] = "\1\1\1\1\1\1\1\1\1\2\0\1\1\0";
    static const char plain[] = "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
                                "\0\0\0\0\0\0\0\1\xff\xff\0\0\0\0\0\0\0\0";
    struct arrays a;
    struct arena arena;
    struct out out = { 0 };
    struct bytes null = { NULL, 0 };
    arena_init(&arena, 10000);
    cr_assert_eq(decode(&arrays_message, 1, WIRE(compact), &arena, &a), -EBADMSG);
    cr_assert_eq(decode(&arrays_message, 0, WIRE(plain), &arena, &a), -EBADMSG);
    codec_defaults(&arrays_message, &a);
    a.texts = &null;
    a.texts_count = 1;
    cr_assert_eq(codec_encode(&arrays_message, 0, &a, &out, NULL), -EINVAL);
    cr_assert_eq(codec_encode(&arrays_message, 1, &a, &out, NULL), -EINVAL);
    arena_done(&arena);
    out_done(&out);
}

static struct nested some_nested(struct nested_place *place, struct nested_inner *inner)
{
    struct nested n;
    codec_defaults(&nested_message, &n);
    struct_defaults(&nested_place_table, place);
    struct_defaults(&nested_inner_table, inner);
    n.always.row = 1;
    place->row = 2;
    n.maybe = place;
    n.tagged.column = 9;
    inner->deep = bytes_text("d");
    inner->deeper.n = 5;
    inner->deeper.m = 6;
    n.maybe_tag = inner;
    n.late = 3;
    n.old = 4;
    n.plain = bytes_text("p");
    return n;
}

TEST(codec_types, nested_structs_and_their_tags)
{
    static const char v0[] = "\0\0\0\4\0\1p\0\0";
    static const char v1[] = "\0\0\0\1"         /* always */
                             "\1\0\0\0\2"       /* maybe, there */
                             "\0\0\0\3\0\0\0\4" /* late, old */
                             "\0\1p\0\0";
    static const char v2[] = "\0\0\0\1\0" /* always and its tags */
                             "\1\0\0\0\2\0"
                             "\0\0\0\3"
                             "\0\1p\1"        /* plain is never compact, narrow is */
                             "\1\0\4\1\2d\0"; /* 1 tag: 0, there, deep, no tags in v2 */
    static const char v4[] = "\0\0\0\1\0\0\0\7\0"
                             "\1\0\0\0\2\0\0\0\7\0"
                             "\0\1p\1"
                             "\3"
                             "\0\21\1\2d\1\4\13\0\0\0\5\1\0\4\0\0\0\6"
                             "\1\11\0\0\0\0\0\0\0\11\0"
                             "\2\4\0\0\0\3";
    struct nested_place place;
    struct nested_inner inner;
    struct nested n = some_nested(&place, &inner), back;
    struct arena arena;
    arena_init(&arena, 10000);
    expect_bytes(&nested_message, 0, &n, WIRE(v0));
    expect_bytes(&nested_message, 1, &n, WIRE(v1));
    n.tagged.column = 7; /* v2 lacks it, so tagged is all default there */
    expect_bytes(&nested_message, 2, &n, WIRE(v2));
    n.tagged.column = 9;
    expect_bytes(&nested_message, 4, &n, WIRE(v4));
    cr_assert_eq(decode(&nested_message, 1, WIRE(v1), &arena, &back), 0);
    cr_assert(back.maybe && back.maybe->row == 2 && back.maybe->column == 7);
    cr_assert(back.late == 3 && back.old == 4 && !back.maybe_tag);
    cr_assert_eq(decode(&nested_message, 4, WIRE(v4), &arena, &back), 0);
    n.old = 0;
    cr_assert(messages_equal(&nested_table, &n, &back));
    arena_done(&arena);
}

TEST(codec_types, null_structs)
{
    static const char v1[] = "\0\0\0\0\xff\0\0\0\0\0\0\0\0\0\0\0\0";
    static const char v2[] = "\0\0\0\0\0\xff\0\0\0\0\0\0\1\0";
    static const char v2_null_tag[] = "\0\0\0\0\0\xff\0\0\0\0\0\0\1\1\0\1\0";
    struct nested n, back;
    struct arena arena;
    arena_init(&arena, 10000);
    codec_defaults(&nested_message, &n);
    expect_bytes(&nested_message, 1, &n, WIRE(v1));
    expect_bytes(&nested_message, 2, &n, WIRE(v2));
    cr_assert_eq(decode(&nested_message, 1, WIRE(v1), &arena, &back), 0);
    cr_assert_null(back.maybe);
    cr_assert_eq(decode(&nested_message, 2, WIRE(v2_null_tag), &arena, &back), 0);
    cr_assert(messages_equal(&nested_table, &n, &back));
    arena_done(&arena);
}

/* Version 4 of Nested up to its tag section. */
#define NESTED "\0\0\0\0\0\0\0\7\0\xff\0\0\1"

TEST(codec_types, tag_sections)
{
    struct nested n;
    struct arena arena;
    arena_init(&arena, 10000);
    struct {
        const char *wire;
        size_t len;
        int status;
    } rows[] = {
        { WIRE(NESTED "\0"), 0 },
        { WIRE(NESTED "\1\2\4\0\0\0\3"), 0 },
        { WIRE(NESTED "\2\2\4\0\0\0\3\x63\2xx"), 0 },              /* tag 99: skipped */
        { WIRE(NESTED "\2\xff\xff\xff\xff\17\0\2\4\0\0\0\3"), 0 }, /* the largest tag */
        { WIRE(NESTED "\1\2\3\0\0\0"), -EBADMSG },                 /* int32 in 3 bytes */
        { WIRE(NESTED "\1\2\5\0\0\0\0\0"), -EBADMSG },             /* in 5 */
        { WIRE(NESTED "\1\2\4\0\0\0"), -EBADMSG },                 /* cut short */
        { WIRE(NESTED "\1\x63\3xx"), -EBADMSG },
        { WIRE(NESTED "\1\5\1\1"), -EBADMSG }, /* "few" ended with version 3 */
        { WIRE(NESTED "\1\1\1\0"), -EBADMSG },
        { WIRE(NESTED "\xff\xff\xff\xff\17"), -EBADMSG },
        { WIRE(NESTED "\xff\xff\xff\xff\37"), -EBADMSG },
        { WIRE(NESTED "\x80\x80\x80\x80\x80\0"), -EBADMSG },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        cr_assert_eq(decode(&nested_message, 4, rows[i].wire, rows[i].len, &arena, &n),
            rows[i].status, "row %zu", i);
    cr_assert_eq(decode(&nested_message, 3, WIRE(NESTED "\1\5\3\2\2x"), &arena, &n), 0);
    cr_assert(n.few_count == 1 && bytes_equal_text(n.few[0], "x"));
    arena_done(&arena);
}

TEST(codec_types, random_round_trips)
{
    for (uint64_t seed = 0; seed < 200; seed++) {
        const struct message *message = all_messages[seed % MESSAGE_COUNT];
        struct arena arena;
        struct filler filler = { .random = random_seeded(seed), .arena = &arena };
        struct out out = { 0 };
        union {
            struct scalars scalars;
            struct arrays arrays;
            struct nested nested;
        } body, back;
        arena_init(&arena, 1 << 20);
        filler.version =
            (int16_t)random_between(&filler.random, message->versions.min, message->versions.max);
        filler.fill = (enum fill)(seed / 3 % 3);
        messages_fill(&filler, message->body, &body);
        cr_assert_eq(codec_encode(message, filler.version, &body, &out, NULL), 0);
        cr_assert_eq(
            decode(message, filler.version, (const char *)out.data, out.len, &arena, &back), 0);
        cr_assert(messages_equal(message->body, &body, &back), "seed %zu", (size_t)seed);
        out_done(&out);
        arena_done(&arena);
    }
}
