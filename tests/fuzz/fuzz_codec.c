/*
 * fuzz_codec.c - any bytes as any message: what decodes must encode, and come back the same.
 *
 * Decoding never takes more than codec_arena_max says, in bytes taken from the heap.
 *
 * Input: API key (from 0xf0 on: a message of no API), version with the top bit set for a response,
 * then the body.
 */
#include <stdint.h>
#include <string.h>

#include "protocol/base/mem.h"
#include "protocol/messages.h"
#include "tests/messages.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FIRST_LONE = 0xf0 };

static const struct message *message_of(uint8_t key, bool response)
{
    static const struct message *const lone[] = {
        &request_header_message,
        &response_header_message,
        &consumer_protocol_subscription_message,
        &consumer_protocol_assignment_message,
    };
    if (key >= FIRST_LONE)
        return lone[(key - FIRST_LONE) % ARRAY_COUNT(lone)];
    const struct api_schema *api = api_schema_find(key);
    if (!api)
        api = &api_schemas[key % API_SCHEMA_COUNT];
    return response ? api->response : api->request;
}

/* Encodes `body`, decodes that into `back`: equal, and encoded again the same bytes. */
/* `limit`: of the arena that `body` came into; canonical bytes may be fewer. */
static void round_trip(
    const struct message *message, int16_t version, size_t limit, const void *body, void *back)
{
    struct arena arena;
    struct out first = { 0 }, second = { 0 };
    arena_init(&arena, 2 * limit);
    CHECK(codec_encode(message, version, body, &first, NULL) == 0);
    struct reader reader = reader_of(bytes_of(first.data, first.len));
    CHECK(codec_decode(message, version, &reader, &arena, back) == 0);
    CHECK(reader_left(&reader) == 0);
    CHECK(messages_equal(message->body, body, back));
    CHECK(codec_encode(message, version, back, &second, NULL) == 0);
    CHECK(bytes_equal(bytes_of(first.data, first.len), bytes_of(second.data, second.len)));
    arena_done(&arena);
    out_done(&first);
    out_done(&second);
}

/* With record bytes left outside nothing else changes. */
static void with_externals(const struct message *message, int16_t version, const void *body)
{
    struct out copied = { 0 }, out = { 0 };
    struct externals externals = { 0 };
    size_t position = 0, at = 0;
    CHECK(codec_encode(message, version, body, &copied, NULL) == 0);
    CHECK(codec_encode(message, version, body, &out, &externals) == 0);
    CHECK(out.len + externals.len == copied.len);
    for (size_t i = 0; i < externals.count; i++) {
        struct external *piece = &externals.items[i];
        size_t run = piece->position - position;
        CHECK(piece->position >= position && piece->position <= out.len);
        CHECK(bytes_equal(bytes_of(out.data + position, run), bytes_of(copied.data + at, run)));
        position = piece->position;
        at += run;
        CHECK(bytes_equal(
            records_bytes(piece->records), bytes_of(copied.data + at, piece->records.len)));
        at += piece->records.len;
    }
    CHECK(out.len - position == copied.len - at);
    externals_done(&externals);
    out_done(&copied);
    out_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    const struct message *message = message_of(data[0], data[1] & 0x80);
    int span = message->versions.max - message->versions.min + 1;
    int asked = (data[1] & 0x7f) - message->versions.min;
    int16_t version = (int16_t)(message->versions.min + (asked < 0 ? 0 : asked % span));
    struct arena arena;
    struct reader reader = reader_of(bytes_of(data + 2, size - 2));
    void *body = mem_alloc(message->body->size);
    void *back = mem_alloc(message->body->size);
    /* What decoding leaves unset shows. */
    memset(body, 0xa5, message->body->size);
    memset(back, 0x5a, message->body->size);
    size_t limit = codec_arena_max(size - 2);
    arena_init(&arena, limit);
    int status = codec_decode(message, version, &reader, &arena, body);
    CHECK(arena.held <= limit);
    if (status) {
        CHECK(reader.reason);
    } else {
        round_trip(message, version, limit, body, back);
        with_externals(message, version, body);
    }
    arena_done(&arena);
    mem_free(body);
    mem_free(back);
    return 0;
}
