/*
 * mutate.c - libFuzzer's custom mutator for fuzz_connection: new inputs by the tables of the
 * schema.
 *
 * One of: a request more, filled by its API's table (any API and version that is served); a field
 * of a request changed and the whole encoded again; pieces dropped, doubled, swapped; time that
 * passes, an end of the broker's life; bytes changed by libFuzzer itself. FUZZ_API=KEY keeps to one
 * API (and those that make topics, groups and producers).
 */
#include <stdlib.h>
#include <string.h>

#include "broker/api.h"
#include "protocol/base/mem.h"
#include "protocol/header.h"
#include "protocol/messages.h"
#include "tests/fuzz/grammar.h"
#include "tests/fuzz/pieces.h"

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t size_max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned seed);

enum { PIECES_MAX = 64, ARENA_MAX = 1 << 20, FRAME_MAX = 8 * 1024 };

struct mutation {
    struct random random;
    struct arena arena;
    struct piece pieces[PIECES_MAX + 2];
    size_t count;
};

static uint64_t below(struct mutation *m, uint64_t bound)
{
    return random_below(&m->random, bound);
}

static void read_pieces(struct mutation *m, struct bytes input)
{
    while (m->count < PIECES_MAX && piece_next(&input, &m->pieces[m->count]))
        m->count++;
}

static void insert(struct mutation *m, struct piece piece)
{
    size_t at = below(m, 3) ? m->count : below(m, m->count + 1);
    if (m->count > PIECES_MAX)
        return;
    memmove(&m->pieces[at + 1], &m->pieces[at], (m->count - at) * sizeof(*m->pieces));
    m->pieces[at] = piece;
    m->count++;
}

static struct piece frame_piece(
    struct mutation *m, const struct api_schema *api, int16_t version, const void *body)
{
    struct out out = { 0 };
    struct piece piece = { .client = (uint8_t)(below(m, 4) ? 0 : below(m, 4)),
        .what = PIECE_FRAME,
        .bytes = { (const uint8_t *)"", 0 } };
    int32_t id = (int32_t)below(m, 1000);
    int status = request_encode(api, version, id, bytes_text("f"), body, &out);
    uint8_t *copy = status == 0 ? arena_copy(&m->arena, out.data + 4, out.len - 4) : NULL;
    if (copy && out.len - 4 <= FRAME_MAX)
        piece.bytes = bytes_of(copy, out.len - 4);
    out_done(&out);
    return piece;
}

static const struct api_schema *any_api(struct mutation *m)
{
    static const int16_t always[] = { API_CREATE_TOPICS, API_JOIN_GROUP, API_INIT_PRODUCER_ID,
        API_PRODUCE };
    const char *only = getenv("FUZZ_API");
    size_t count;
    const struct api *apis = api_table(&count);
    if (only && below(m, 3))
        return api_schema_find((int16_t)strtol(only, NULL, 10));
    if (only || below(m, 5) == 0)
        return api_schema_find(always[below(m, ARRAY_COUNT(always))]);
    return api_schema_find(apis[below(m, count)].key);
}

static void add_request(struct mutation *m)
{
    const struct api_schema *api = any_api(m);
    if (!api)
        return;
    int span = api->served.max - api->served.min + 1;
    struct grammar grammar = { .random = random_seeded(random_u64(&m->random)),
        .arena = &m->arena,
        .version = (int16_t)(api->served.min + (int)below(m, (uint64_t)span)) };
    void *body = arena_alloc(&m->arena, api->request->body->size);
    if (!body)
        return;
    grammar_fill(&grammar, api->request->body, body);
    insert(m, frame_piece(m, api, grammar.version, body));
}

/* A field or two of a request that decodes. */
static void change_request(struct mutation *m)
{
    struct piece *piece = &m->pieces[below(m, m->count)];
    struct request_header header;
    struct reader reader = reader_of(piece->bytes);
    if (piece->what != PIECE_FRAME || request_header_decode(&reader, &header))
        return;
    const struct api_schema *api = api_schema_find(header.request_api_key);
    struct grammar grammar = { .random = random_seeded(random_u64(&m->random)),
        .arena = &m->arena,
        .version = header.request_api_version };
    void *body = arena_alloc(&m->arena, api->request->body->size);
    if (!body || codec_decode(api->request, grammar.version, &reader, &m->arena, body))
        return;
    for (uint64_t i = 1 + below(m, 3); i > 0; i--)
        (void)grammar_change(&grammar, api->request->body, body);
    struct piece changed = frame_piece(m, api, grammar.version, body);
    changed.client = piece->client;
    if (changed.bytes.len > 0)
        *piece = changed;
}

static void change_bytes(struct mutation *m)
{
    struct piece *piece = &m->pieces[below(m, m->count)];
    size_t size = piece->bytes.len, room = size + 64;
    uint8_t *copy = arena_alloc(&m->arena, room);
    if (!copy || size == 0)
        return;
    memcpy(copy, piece->bytes.data, size);
    piece->bytes = bytes_of(copy, LLVMFuzzerMutate(copy, size, room));
}

static void change_order(struct mutation *m)
{
    size_t a = below(m, m->count), b = below(m, m->count);
    struct piece piece = m->pieces[a];
    switch (below(m, 4)) {
    case 0:
        m->count--;
        memmove(&m->pieces[a], &m->pieces[a + 1], (m->count - a) * sizeof(piece));
        return;
    case 1:
        m->pieces[a] = m->pieces[b];
        m->pieces[b] = piece;
        return;
    case 2: m->pieces[a].client = (uint8_t)below(m, 4); return;
    default: insert(m, piece); return;
    }
}

static void add_event(struct mutation *m)
{
    static const uint8_t ends[] = { 0, 0, 0, PIECE_POWER, PIECE_KILL };
    bool pass = below(m, 2);
    insert(m, (struct piece){ .client = (uint8_t)below(m, 4),
                  .what = pass ? PIECE_PASS : PIECE_DROP,
                  .detail = pass ? (uint8_t)below(m, 16) : ends[below(m, ARRAY_COUNT(ends))],
                  .bytes = { (const uint8_t *)"", 0 } });
}

static void change(struct mutation *m)
{
    uint64_t way = m->count ? below(m, 16) : 0;
    if (way < 5)
        add_request(m);
    else if (way < 11)
        change_request(m);
    else if (way < 13)
        change_order(m);
    else if (way < 14)
        add_event(m);
    else
        change_bytes(m);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned seed)
{
    struct mutation *m = mem_zalloc(1, sizeof(*m));
    struct out out = { 0 };
    m->random = random_seeded(seed);
    arena_init(&m->arena, ARENA_MAX);
    if (below(m, 40) == 0) {
        size = LLVMFuzzerMutate(data, size, size_max);
    } else {
        read_pieces(m, bytes_of(data, size));
        for (uint64_t i = 1 + below(m, 3); i > 0; i--)
            change(m);
        for (size_t i = 0; i < m->count; i++)
            piece_write(&out, &m->pieces[i]);
        if (out.len > 0 && out.len <= size_max) {
            memcpy(data, out.data, out.len);
            size = out.len;
        }
    }
    out_done(&out);
    arena_done(&m->arena);
    mem_free(m);
    return size;
}
