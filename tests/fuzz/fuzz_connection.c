/*
 * fuzz_connection.c - what any clients may send, in any order, to a whole broker indoors: handlers,
 * storage on the simulated disk, and what is left after its process was killed.
 *
 * Input: pieces, each a control byte and what it asks for: bytes for one of four connections (raw,
 * or as a frame with a right length), a connection that goes away, virtual time that passes, an
 * end of the broker's life and a start. Frames that decode are tied to what the broker has answered
 * before (grammar_bind). house.c checks every answer; CHECKs of the broker are on. At the end every
 * share of memory must have come back, and what a client can see (witness.h) must be the same
 * before and after a kill -9.
 *
 * Under libFuzzer mutate.c makes new inputs by the tables of the schema.
 */
#include <stdint.h>
#include <string.h>

#include "protocol/base/mem.h"
#include "protocol/header.h"
#include "tests/fuzz/grammar.h"
#include "tests/fuzz/house.h"
#include "tests/fuzz/pieces.h"
#include "tests/fuzz/witness.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    BIND_ARENA_MAX = 4 << 20,
    LIVES_MAX = 4,
    SETTLE_MS = 1000, /* all that was told is on the medium: durability.interval.ms and more */
};

static const char properties[] = "log.dirs=/data\nmemory.limit=64MiB\nwal.file.bytes=1MiB\n"
                                 "group.initial.rebalance.delay.ms=10\n";

/* A job that is under way when the process is killed: its end never comes, and what it owns ends
 * with the process. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:measure_begin\n";
}

struct play {
    struct house house;
    struct grammar_known known;
    int lives;
};

static void answered(void *context, const struct api_schema *api, int16_t version, const void *body)
{
    grammar_learn(context, api->response->body, version, body);
}

static void send_frame(struct house_client *client, struct bytes frame)
{
    uint8_t head[4];
    be_put32(head, (uint32_t)frame.len);
    house_send(client, head, sizeof(head));
    if (house_is_open(client))
        house_send(client, frame.data, frame.len);
}

/* The frame with its placeholders filled in, if it is one with placeholders. */
static bool send_bound(struct play *play, struct house_client *client, struct bytes frame)
{
    struct request_header header;
    struct reader reader = reader_of(frame);
    struct arena arena;
    struct out out = { 0 };
    if (request_header_decode(&reader, &header))
        return false;
    const struct api_schema *api = api_schema_find(header.request_api_key);
    int16_t version = header.request_api_version;
    arena_init(&arena, BIND_ARENA_MAX);
    void *body = arena_alloc(&arena, api->request->body->size);
    bool bound =
        codec_decode(api->request, version, &reader, &arena, body) == 0 &&
        grammar_bind(&play->known, &arena, api->request->body, version, body) &&
        request_encode(api, version, header.correlation_id, header.client_id, body, &out) == 0;
    if (bound)
        house_send(client, out.data, out.len);
    out_done(&out);
    arena_done(&arena);
    return bound;
}

static void next_life(struct play *play, bool power)
{
    if (play->lives++ >= LIVES_MAX)
        return;
    house_crash(&play->house, power);
    house_start(&play->house, properties);
}

static void act(struct play *play, const struct piece *piece)
{
    struct house_client *client = &play->house.clients[piece->client];
    switch (piece->what) {
    case PIECE_DROP:
        if (piece->detail < PIECE_POWER)
            house_drop(client);
        else
            next_life(play, piece->detail == PIECE_POWER);
        return;
    case PIECE_PASS: house_pass(&play->house, (int64_t)1 << piece->detail); return;
    case PIECE_FRAME:
        if (!send_bound(play, client, piece->bytes))
            send_frame(client, piece->bytes);
        break;
    case PIECE_RAW: house_send(client, piece->bytes.data, piece->bytes.len); break;
    }
    house_turn(&play->house);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct play *play = mem_zalloc(1, sizeof(*play));
    struct bytes input = bytes_of(data, size);
    struct piece piece;
    house_open(&play->house, 1, properties);
    play->house.answered = answered;
    play->house.context = &play->known;
    while (piece_next(&input, &piece))
        act(play, &piece);
    house_pass(&play->house, SETTLE_MS);
    for (int i = 0; i < HOUSE_CLIENTS; i++)
        house_drop(&play->house.clients[i]);
    house_pass(&play->house, SETTLE_MS);
    uint64_t before = witness_sum(&play->house);
    house_crash(&play->house, false);
    house_start(&play->house, properties);
    CHECK(witness_sum(&play->house) == before);
    house_stop(&play->house);
    house_done(&play->house);
    mem_free(play);
    return 0;
}
