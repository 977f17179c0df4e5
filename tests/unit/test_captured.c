/*
 * What real clients said to this broker and heard from it (captured.txt, made by
 * tests/wire/capture.py with the clients of the check: kcat, librdkafka, Java, Python): each
 * frame decodes, and encoded again it is the same bytes.
 */
#include <stdio.h>

#include "protocol/base/mem.h"
#include "protocol/header.h"
#include "tests/test.h"

enum { LINE_SIZE = 8192, ARENA_LIMIT = 1 << 20, FRAMES_MIN = 200 };

static size_t parse_hex(const char *text, uint8_t *to)
{
    size_t len = 0;
    unsigned byte;
    for (; sscanf(text + 2 * len, "%2x", &byte) == 1; len++)
        to[len] = (uint8_t)byte;
    return len;
}

static void request_again(const struct api_schema *api, struct bytes frame, struct out *again)
{
    struct request_header header;
    struct reader reader = reader_of(frame);
    struct arena arena;
    void *body = mem_alloc(api->request->body->size);
    arena_init(&arena, ARENA_LIMIT);
    cr_assert_eq(request_header_decode(&reader, &header), 0);
    cr_assert_eq(header.request_api_key, api->key);
    int16_t version = header.request_api_version;
    cr_assert_eq(codec_decode(api->request, version, &reader, &arena, body), 0, "%s v%d: %s %s",
        api->name, version, reader.field, reader.reason);
    /* librdkafka 2.0 ends its ListGroups with an empty tag section too many. */
    size_t left = api->key == API_LIST_GROUPS && version == 4 ? 1 : 0;
    cr_assert_leq(reader_left(&reader), left, "%s v%d", api->name, version);
    left = reader_left(&reader);
    cr_assert_eq(
        request_encode(api, version, header.correlation_id, header.client_id, body, again), 0);
    memset(out_add(again, left), 0, left);
    arena_done(&arena);
    mem_free(body);
}

static void response_again(
    const struct api_schema *api, int16_t version, struct bytes frame, struct out *again)
{
    struct response_header header;
    struct reader reader = reader_of(frame);
    struct arena arena;
    void *body = mem_alloc(api->response->body->size);
    arena_init(&arena, ARENA_LIMIT);
    cr_assert_eq(response_header_decode(api, version, &reader, &header), 0);
    cr_assert_eq(codec_decode(api->response, version, &reader, &arena, body), 0, "%s v%d: %s %s",
        api->name, version, reader.field, reader.reason);
    cr_assert_eq(reader_left(&reader), 0, "%s v%d", api->name, version);
    cr_assert_eq(response_encode(api, version, header.correlation_id, body, again, NULL), 0);
    arena_done(&arena);
    mem_free(body);
}

static void check_frame(const char *who, int16_t key, int16_t version, struct bytes frame)
{
    const struct api_schema *api = api_schema_find(key);
    struct out again = { 0 };
    cr_assert_not_null(api, "key %d", key);
    if (strcmp(who, "client") == 0)
        request_again(api, frame, &again);
    else
        response_again(api, version, frame, &again);
    cr_assert(bytes_equal(frame, bytes_of(again.data + 4, again.len - 4)), "%s v%d of the %s",
        api->name, version, who);
    out_done(&again);
}

TEST(captured, frames_of_real_clients_are_the_same_again)
{
    static char line[LINE_SIZE], hex[LINE_SIZE];
    static uint8_t bytes[LINE_SIZE / 2];
    char who[16];
    int key, version, count = 0;
    FILE *file = fopen(MILLRACE_SOURCE "/tests/unit/captured.txt", "r");
    cr_assert_not_null(file);
    while (fgets(line, sizeof(line), file)) {
        if (line[0] == '#')
            continue;
        cr_assert_eq(sscanf(line, "%15s %d %d %8191s", who, &key, &version, hex), 4);
        size_t len = parse_hex(hex, bytes);
        cr_assert_eq(len, strlen(hex) / 2);
        /* A block of its exact size, so that reading beyond it is seen. */
        uint8_t *copy = mem_alloc(len);
        memcpy(copy, bytes, len);
        check_frame(who, (int16_t)key, (int16_t)version, bytes_of(copy, len));
        mem_free(copy);
        count++;
    }
    (void)fclose(file);
    cr_assert_geq(count, FRAMES_MIN);
}
