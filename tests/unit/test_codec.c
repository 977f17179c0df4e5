/*
 * Every version of every message: round trips, truncation, damage; bytes that Apache Kafka's own
 * classes agree with (golden.txt); hostile lengths; records that stay outside the output.
 */
#include "protocol/codec.h"

#include <errno.h>
#include <stdio.h>

#include "protocol/base/mem.h"
#include "protocol/messages.h"
#include "tests/messages.h"
#include "tests/test.h"

enum { ARENA_LIMIT = 1 << 20 };

/* One message, filled from a seed, with its bytes. */
struct sample {
    const struct message *message;
    int16_t version;
    struct arena arena;
    void *body;
    struct out wire;
};

static void sample_init(
    struct sample *s, const struct message *message, int16_t version, enum fill fill, uint64_t seed)
{
    *s = (struct sample){ .message = message, .version = version };
    arena_init(&s->arena, ARENA_LIMIT);
    struct filler filler = {
        .random = random_seeded(seed),
        .arena = &s->arena,
        .fill = fill,
        .version = version,
    };
    s->body = mem_zalloc(1, message->body->size);
    messages_fill(&filler, message->body, s->body);
    cr_assert_eq(codec_encode(message, version, s->body, &s->wire, NULL), 0, "%s v%d",
        message->name, version);
}

static void sample_done(struct sample *s)
{
    arena_done(&s->arena);
    mem_free(s->body);
    out_done(&s->wire);
}

/* Decodes from a heap copy of exactly `len` bytes, so that reading past them is caught. */
static int decode_copy(
    const struct sample *s, size_t len, void **ret_copy, struct arena *arena, void *body)
{
    uint8_t *copy = mem_alloc(len + !len);
    if (len)
        memcpy(copy, s->wire.data, len);
    struct reader reader = reader_of(bytes_of(copy, len));
    int status = codec_decode(s->message, s->version, &reader, arena, body);
    if (!status)
        cr_assert_eq(reader_left(&reader), 0, "%s v%d", s->message->name, s->version);
    *ret_copy = copy;
    return status;
}

static void check_round_trip(struct sample *s)
{
    struct arena arena;
    struct out again = { 0 };
    void *copy, *back = mem_alloc(s->message->body->size);
    memset(back, 0xa5, s->message->body->size);
    arena_init(&arena, ARENA_LIMIT);
    cr_assert_eq(decode_copy(s, s->wire.len, &copy, &arena, back), 0, "%s v%d", s->message->name,
        s->version);
    cr_assert(
        messages_equal(s->message->body, s->body, back), "%s v%d", s->message->name, s->version);
    cr_assert_eq(codec_encode(s->message, s->version, back, &again, NULL), 0);
    cr_assert(bytes_equal(bytes_of(again.data, again.len), bytes_of(s->wire.data, s->wire.len)));
    arena_done(&arena);
    out_done(&again);
    mem_free(copy);
    mem_free(back);
}

static void for_every_version(void (*check)(struct sample *), enum fill fill, uint64_t seeds)
{
    for (int i = 0; i < MESSAGE_COUNT; i++) {
        const struct message *message = all_messages[i];
        for (int16_t v = message->versions.min; v <= message->versions.max; v++) {
            for (uint64_t seed = 0; seed < seeds; seed++) {
                struct sample sample;
                sample_init(&sample, message, v, fill, seed);
                check(&sample);
                sample_done(&sample);
            }
        }
    }
}

TEST(codec, round_trip_of_defaults)
{
    for_every_version(check_round_trip, FILL_DEFAULTS, 1);
}

TEST(codec, round_trip_of_nulls)
{
    for_every_version(check_round_trip, FILL_NULLS, 2);
}

TEST(codec, round_trip_of_random_values)
{
    for_every_version(check_round_trip, FILL_RANDOM, 10);
}

/* No message is a beginning of itself: whatever is missing is noticed, and nothing beyond is read.
 */
static void check_truncation(struct sample *s)
{
    struct arena arena;
    void *copy, *body = mem_zalloc(1, s->message->body->size);
    arena_init(&arena, ARENA_LIMIT);
    for (size_t len = 0; len < s->wire.len; len++) {
        cr_assert_eq(decode_copy(s, len, &copy, &arena, body), -EBADMSG, "%s v%d cut to %zu of %zu",
            s->message->name, s->version, len, s->wire.len);
        arena_reset(&arena);
        mem_free(copy);
    }
    arena_done(&arena);
    mem_free(body);
}

TEST(codec, truncated_at_every_byte)
{
    for_every_version(check_truncation, FILL_RANDOM, 1);
}

/* Every byte in turn becomes 0x7f, 0x80, 0xff and itself + 1. What still decodes must encode. */
static void check_damage(struct sample *s)
{
    void *copy, *body = mem_zalloc(1, s->message->body->size);
    struct arena arena;
    arena_init(&arena, 64 * 1024);
    for (size_t i = 0; i < s->wire.len * 4; i++) {
        uint8_t *at = s->wire.data + i / 4, old = *at;
        const uint8_t becomes[] = { 0x7f, 0x80, 0xff, (uint8_t)(old + 1) };
        *at = becomes[i % 4];
        copy = mem_alloc(s->wire.len);
        memcpy(copy, s->wire.data, s->wire.len);
        struct reader reader = reader_of(bytes_of(copy, s->wire.len));
        int status = codec_decode(s->message, s->version, &reader, &arena, body);
        cr_assert(status == 0 || status == -EBADMSG || status == -ENOMEM);
        struct out out = { 0 };
        if (!status)
            cr_assert_eq(codec_encode(s->message, s->version, body, &out, NULL), 0);
        out_done(&out);
        arena_reset(&arena);
        mem_free(copy);
        *at = old;
    }
    arena_done(&arena);
    mem_free(body);
}

TEST(codec, damaged_at_every_byte)
{
    for_every_version(check_damage, FILL_RANDOM, 1);
}

/* ---- golden.txt ---- */

static const struct message *message_named(const char *name)
{
    for (int i = 0; i < MESSAGE_COUNT; i++) {
        if (strcmp(all_messages[i]->name, name) == 0)
            return all_messages[i];
    }
    return NULL;
}

static size_t parse_hex(const char *text, uint8_t *to)
{
    size_t len = 0;
    unsigned byte;
    for (; sscanf(text + 2 * len, "%2x", &byte) == 1; len++)
        to[len] = (uint8_t)byte;
    return len;
}

static void check_golden(const char *name, int version, const char *hex)
{
    const struct message *message = message_named(name);
    cr_assert_not_null(message, "%s", name);
    struct arena arena;
    struct out out = { 0 };
    uint8_t *wire = mem_alloc(strlen(hex) / 2 + 1);
    size_t len = parse_hex(hex, wire);
    cr_assert_eq(len, strlen(hex) / 2);
    void *body = mem_alloc(message->body->size);
    struct reader reader = reader_of(bytes_of(wire, len));
    arena_init(&arena, ARENA_LIMIT);
    cr_assert_eq(codec_decode(message, (int16_t)version, &reader, &arena, body), 0, "%s v%d: %s",
        name, version, reader.reason);
    cr_assert_eq(reader_left(&reader), 0);
    cr_assert_eq(codec_encode(message, (int16_t)version, body, &out, NULL), 0);
    cr_assert(out.len == len && memcmp(out.data, wire, len) == 0, "%s v%d", name, version);
    arena_done(&arena);
    out_done(&out);
    mem_free(wire);
    mem_free(body);
}

TEST(codec, bytes_that_kafka_agrees_with)
{
    static char line[8192], hex[8192];
    char name[64];
    int version, count = 0;
    FILE *file = fopen(MILLRACE_SOURCE "/tests/unit/golden.txt", "r");
    cr_assert_not_null(file);
    while (fgets(line, sizeof(line), file)) {
        if (line[0] == '#')
            continue;
        cr_assert_eq(sscanf(line, "%63s %d %8191s", name, &version, hex), 3);
        check_golden(name, version, hex);
        count++;
    }
    (void)fclose(file);
    cr_assert_geq(count, 2 * MESSAGE_COUNT);
}

/* ---- the memory of a request ---- */

enum { CROWD = 20000 };

/* As clients do: names of twelve letters, nothing where nothing need be said. The outermost arrays
 * have so many elements, those in them one. */
static void crowd_fill(
    struct arena *arena, const struct struct_table *table, int16_t version, int32_t count, char *to)
{
    struct_defaults(table, to);
    for (size_t i = 0; i < table->field_count; i++) {
        const struct field *field = &table->fields[i];
        char *at = to + field->offset;
        if (!versions_have(field->versions, version) || versions_have(field->tagged, version))
            continue;
        if (field->array && field->type == FIELD_STRUCT) {
            char *elements = codec_array(arena, field->child, count);
            for (int32_t e = 0; e < count; e++)
                crowd_fill(
                    arena, field->child, version, 1, elements + (size_t)e * field->child->size);
            *(void **)at = elements;
            *(int32_t *)(to + field->count_offset) = count;
        } else if (field->array) {
            struct bytes *elements = arena_alloc(arena, (size_t)count * sizeof(*elements));
            for (int32_t e = 0; field->type == FIELD_STRING && e < count; e++)
                elements[e] = bytes_text("twelve-abcde");
            *(void **)at = elements;
            *(int32_t *)(to + field->count_offset) = count;
        } else if (field->type == FIELD_STRUCT && !versions_have(field->nullable, version)) {
            crowd_fill(arena, field->child, version, count, at);
        } else if (field->type == FIELD_RECORDS) {
            *(struct records *)at = (struct records){ .data = arena_alloc(arena, 61), .len = 61 };
        } else if ((field->type == FIELD_STRING || field->type == FIELD_BYTES) &&
                   !versions_have(field->nullable, version)) {
            *(struct bytes *)at = bytes_text("twelve-abcde");
        }
    }
}

/* The decoder's limit is no limit for clients with sensible names, whatever the version. */
TEST(codec, large_requests_fit_into_four_times_their_size)
{
    for (size_t i = 0; i < API_SCHEMA_COUNT; i++) {
        const struct message *message = api_schemas[i].request;
        if (message == &delete_acls_request_message)
            continue; /* a filter may be three nulls: hundreds of them fit, not thousands */
        for (int16_t v = message->versions.min; v <= message->versions.max; v++) {
            struct arena from, to;
            struct out wire = { 0 };
            arena_init(&from, 256 << 20);
            char *body = arena_alloc(&from, message->body->size);
            crowd_fill(&from, message->body, v, CROWD, body);
            cr_assert_eq(codec_encode(message, v, body, &wire, NULL), 0, "%s", message->name);
            struct reader reader = reader_of(bytes_of(wire.data, wire.len));
            arena_init(&to, codec_arena_max(wire.len));
            cr_expect_eq(codec_decode(message, v, &reader, &to, body), 0,
                "%s v%d: %zu bytes need more than four times so many", message->name, v, wire.len);
            cr_assert_leq(to.held, codec_arena_max(wire.len));
            arena_done(&to);
            arena_done(&from);
            out_done(&wire);
        }
    }
}

/* ---- hostile lengths ---- */

#define WIRE(text) text, sizeof(text) - 1

static void expect_decode(const struct message *message, int16_t version, const char *wire,
    size_t len, size_t arena_limit, int expected)
{
    struct arena arena;
    void *body = mem_zalloc(1, message->body->size);
    struct reader reader = reader_of(bytes_of(wire, len));
    arena_init(&arena, arena_limit);
    cr_assert_eq(codec_decode(message, version, &reader, &arena, body), expected, "%s v%d: %s",
        message->name, version, reader.reason ? reader.reason : "decoded");
    cr_assert_leq(arena.used, arena_limit);
    cr_assert(expected == 0 || expected == -ENOTSUP || reader.field);
    arena_done(&arena);
    mem_free(body);
}

TEST(codec, hostile_lengths)
{
    static const struct {
        const struct message *message;
        int16_t version;
        const char *wire;
        size_t len;
    } rows[] = {
        /* Array counts: too many, below -1, null where the version has none. */
        { &metadata_request_message, 1, WIRE("\x7f\xff\xff\xff") },
        { &metadata_request_message, 1, WIRE("\0\0\0\3\0\0\0\0") },
        { &metadata_request_message, 1, WIRE("\xff\xff\xff\xfe") },
        { &metadata_request_message, 1, WIRE("\x80\0\0\0") },
        { &metadata_request_message, 0, WIRE("\xff\xff\xff\xff") },
        { &metadata_request_message, 9, WIRE("\xff\xff\xff\xff\17\0\0\0\0") },
        { &metadata_request_message, 9, WIRE("\x80\x80\x80\x80\x80\1\0\0\0\0") },
        { &metadata_request_message, 9, WIRE("\x81\x80\x80\x80\20\0\0\0\0") },
        { &metadata_request_message, 9, WIRE("\xff\xff\xff\xff\37\0\0\0\0") },
        /* Strings: below -1, beyond the end, null, longer than allowed, no UTF-8. */
        { &metadata_request_message, 0, WIRE("\0\0\0\1\xff\xfe") },
        { &metadata_request_message, 0, WIRE("\0\0\0\1\x80\0") },
        { &metadata_request_message, 0, WIRE("\0\0\0\1\0\2a") },
        { &metadata_request_message, 0, WIRE("\0\0\0\1\xff\xff") },
        { &metadata_request_message, 0, WIRE("\0\0\0\1\0\1\xff") },
        { &metadata_request_message, 9, WIRE("\2\0\0\0\0\0\0") },
        { &metadata_request_message, 9, WIRE("\2\xff\xff\xff\xff\17\0") },
        /* Bytes and records. */
        { &sync_group_response_message, 0, WIRE("\0\0\xff\xff\xff\xff") },
        { &sync_group_response_message, 0, WIRE("\0\0\xff\xff\xff\xfe") },
        { &sync_group_response_message, 0, WIRE("\0\0\x7f\xff\xff\xff") },
        { &produce_request_message, 3,
            WIRE("\xff\xff\0\1\0\0\0\0\0\0\0\1\0\1t\0\0\0\1\0\0\0\0\0\0\0\1") },
        { &produce_request_message, 3,
            WIRE("\xff\xff\0\1\0\0\0\0\0\0\0\1\0\1t\0\0\0\1\0\0\0\0\x80\0\0\0") },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        expect_decode(
            rows[i].message, rows[i].version, rows[i].wire, rows[i].len, ARENA_LIMIT, -EBADMSG);
    expect_decode(&metadata_request_message, 14, WIRE("\0\0\0\0"), ARENA_LIMIT, -ENOTSUP);
    expect_decode(&metadata_request_message, -1, WIRE("\0\0\0\0"), ARENA_LIMIT, -ENOTSUP);
    expect_decode(&metadata_request_message, 1, WIRE("\xff\xff\xff\xff"), ARENA_LIMIT, 0);
    expect_decode(&metadata_request_message, 1, WIRE("\0\0\0\0"), ARENA_LIMIT, 0);
}

TEST(codec, strings_end_at_32767_bytes)
{
    struct metadata_request body;
    struct metadata_request_topic topic;
    struct out out = { 0 };
    uint8_t *text = mem_alloc(32768);
    memset(text, 'a', 32768);
    codec_defaults(&metadata_request_message, &body);
    struct_defaults(&metadata_request_topic_table, &topic);
    body.topics = &topic;
    body.topics_count = 1;
    topic.name = bytes_of(text, 32768);
    cr_assert_eq(codec_encode(&metadata_request_message, 0, &body, &out, NULL), -EINVAL);
    cr_assert_eq(codec_encode(&metadata_request_message, 9, &body, &out, NULL), -EINVAL);
    cr_assert_eq(out.len, 0);
    topic.name.len = 32767;
    cr_assert_eq(codec_encode(&metadata_request_message, 9, &body, &out, NULL), 0);
    expect_decode(&metadata_request_message, 9, (const char *)out.data, out.len, ARENA_LIMIT, 0);
    /* One more, by hand: the compact length 32769 is 32768 bytes. */
    uint8_t *longer = mem_alloc(out.len + 1);
    memcpy(longer, "\2\x81\x80\2", 4);
    memset(longer + 4, 'a', 32768);
    memset(longer + 4 + 32768, 0, out.len + 1 - 4 - 32768);
    expect_decode(
        &metadata_request_message, 9, (const char *)longer, out.len + 1, ARENA_LIMIT, -EBADMSG);
    mem_free(longer);
    mem_free(text);
    out_done(&out);
}

/* 2 wire bytes an element become 32 in C: the count fits the input, the arena says no. */
TEST(codec, memory_ends_with_the_arena)
{
    enum { COUNT = 10000 };
    struct out wire = { 0 };
    be_put32(out_add(&wire, 4), COUNT);
    memset(out_add(&wire, 2 * COUNT), 0, 2 * COUNT);
    size_t need = COUNT * sizeof(struct metadata_request_topic);
    size_t chunk = 64; /* what the arena adds for itself */
    expect_decode(&metadata_request_message, 0, (const char *)wire.data, wire.len, need + chunk, 0);
    expect_decode(
        &metadata_request_message, 0, (const char *)wire.data, wire.len, need - 1, -ENOMEM);
    out_done(&wire);
}

TEST(codec, the_report_names_field_and_reason)
{
    struct fetch_request body;
    struct reader reader =
        reader_of(bytes_of("\xff\xff\xff\xff\0\0\0\1\0\0\0\1\0\0\0\1\0\x7f\xff\xff\xff", 21));
    struct arena arena;
    arena_init(&arena, ARENA_LIMIT);
    cr_assert_eq(codec_decode(&fetch_request_message, 4, &reader, &arena, &body), -EBADMSG);
    cr_assert_str_eq(reader.field, "Topics");
    cr_assert_str_eq(reader.reason, "count beyond the bytes left");
    cr_assert_eq(codec_decode(&fetch_request_message, 4, &reader, &arena, &body), -EBADMSG,
        "the first error stays");
    arena_done(&arena);
}

/* ---- versions ---- */

TEST(codec, what_a_version_lacks_is_left_out)
{
    struct api_versions_response body, back;
    struct api_versions_response_api_version row = { 18, 0, 4 };
    struct arena arena;
    struct out out = { 0 };
    arena_init(&arena, ARENA_LIMIT);
    codec_defaults(&api_versions_response_message, &body);
    cr_assert_eq(body.finalized_features_epoch, -1);
    body.api_keys = &row;
    body.api_keys_count = 1;
    body.throttle_time_ms = 7;
    body.finalized_features_epoch = 5;
    cr_assert_eq(codec_encode(&api_versions_response_message, 0, &body, &out, NULL), 0);
    cr_assert(bytes_equal(bytes_of(out.data, out.len), bytes_of("\0\0\0\0\0\1\0\x12\0\0\0\4", 12)));
    struct reader reader = reader_of(bytes_of(out.data, out.len));
    memset(&back, 0xff, sizeof(back));
    cr_assert_eq(codec_decode(&api_versions_response_message, 0, &reader, &arena, &back), 0);
    cr_assert_eq(back.throttle_time_ms, 0);
    cr_assert_eq(back.finalized_features_epoch, -1);
    cr_assert_eq(back.finalized_features_count, 0);
    cr_assert_eq(back.zk_migration_ready, false);
    arena_done(&arena);
    out_done(&out);
}

/* ---- records ---- */

struct fetch_answer {
    struct fetch_response body;
    struct fetch_response_fetchable_topic_response topic;
    struct fetch_response_partition_data partitions[4];
};

static void fetch_answer_init(struct fetch_answer *a)
{
    static const char *const contents[] = { "first batch", "", NULL, "second" };
    codec_defaults(&fetch_response_message, &a->body);
    struct_defaults(&fetch_response_fetchable_topic_response_table, &a->topic);
    a->body.responses = &a->topic;
    a->body.responses_count = 1;
    a->topic.topic = bytes_text("t");
    a->topic.partitions = a->partitions;
    a->topic.partitions_count = 4;
    for (int i = 0; i < 4; i++) {
        struct fetch_response_partition_data *p = &a->partitions[i];
        struct_defaults(&fetch_response_partition_data_table, p);
        p->partition_index = i;
        if (contents[i]) {
            p->records.data = (const uint8_t *)contents[i];
            p->records.len = strlen(contents[i]);
        }
    }
}

/* What goes over the wire: the output with each piece put in at its position. */
static void join(const struct out *out, const struct externals *externals, struct out *to)
{
    size_t done = 0;
    for (size_t i = 0; i < externals->count; i++) {
        const struct external *piece = &externals->items[i];
        cr_assert(piece->position >= done && piece->position <= out->len);
        out_bytes(to, out->data + done, piece->position - done);
        const void *data =
            piece->records.data ? (const void *)piece->records.data : piece->records.source;
        out_bytes(to, data, piece->records.len);
        done = piece->position;
    }
    out_bytes(to, out->data + done, out->len - done);
}

TEST(codec, records_may_stay_outside)
{
    for (int16_t version = 4; version <= 18; version++) {
        struct fetch_answer a;
        struct out copied = { 0 }, out = { 0 }, joined = { 0 };
        struct externals externals = { 0 };
        char elsewhere[] = "second";
        fetch_answer_init(&a);
        cr_assert_eq(codec_encode(&fetch_response_message, version, &a.body, &copied, NULL), 0);
        a.partitions[3].records = (struct records){ .len = 6, .source = elsewhere };
        out_text(&out, "before");
        out_text(&joined, "");
        cr_assert_eq(codec_encode(&fetch_response_message, version, &a.body, &out, &externals), 0);
        cr_assert_eq(externals.count, 2);
        cr_assert_eq(externals.len, 17);
        cr_assert_eq(externals.items[1].records.source, elsewhere);
        cr_assert_eq(out.len + externals.len, 6 + copied.len);
        join(&out, &externals, &joined);
        cr_assert(bytes_equal(
            bytes_of(joined.data + 6, joined.len - 6), bytes_of(copied.data, copied.len)));
        externals_done(&externals);
        out_done(&copied);
        out_done(&out);
        out_done(&joined);
    }
}

TEST(codec, a_failed_encoding_leaves_no_trace)
{
    struct fetch_answer a;
    struct out out = { 0 };
    struct externals externals = { 0 };
    char elsewhere[] = "second";
    fetch_answer_init(&a);
    a.partitions[3].records = (struct records){ .len = 6, .source = elsewhere };
    out_text(&out, "before");
    cr_assert_eq(codec_encode(&fetch_response_message, 4, &a.body, &out, NULL), -EINVAL);
    a.topic.topic.data = NULL;
    cr_assert_eq(codec_encode(&fetch_response_message, 4, &a.body, &out, &externals), -EINVAL);
    cr_assert_eq(codec_encode(&fetch_response_message, 19, &a.body, &out, &externals), -ENOTSUP);
    cr_assert_eq(out.len, 6);
    cr_assert(externals.count == 0 && externals.len == 0);
    cr_assert_eq(codec_encode(&fetch_response_message, 13, &a.body, &out, &externals), 0,
        "names are not in version 13");
    externals_done(&externals);
    out_done(&out);
}
