/*
 * bad_inputs.c - a table of about a hundred thousand requests that are wrong in one place, each
 * sent to a whole broker indoors.
 *
 * For every API and version that is served: a request with every field filled, then
 *   - cut after every byte, told so by its frame, and not told (the rest never comes)
 *   - every byte in turn 0x00, 0x7f, 0x80, 0xff
 *   - every length and count -2, -1, 0, one more than what is left, 2^31 - 1
 *   - as many elements as its bytes allow, down to the innermost array
 *   - tag sections with 1, 100 and 1,000 unknown tags, each text no UTF-8
 * Each is decoded by itself under the limit that the broker sets: it may allocate 16 KiB + 4 times
 * its size. Then it is sent: it must be answered or its connection closed, a Fetch, a join or a
 * sync may wait as it asked to, a Produce without acks needs no answer. The time is the thread's
 * CPU time, and what was slow is tried again, since the first time pays for cold caches and pages.
 *
 * At last each array of each API's newest version gets a thousand elements, and sixteen thousand,
 * all different: the time may grow as they do, not with their square.
 *
 * Nothing is random: the same table each time. `bad_inputs [API-KEY]` for one API.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "broker/api.h"
#include "protocol/base/mem.h"
#include "protocol/header.h"
#include "protocol/messages.h"
#include "tests/fuzz/grammar.h"
#include "tests/fuzz/house.h"
#include "tests/fuzz/marks.h"

enum {
    INPUTS_PER_HOUSE = 1000, /* then a fresh broker, so that state does not pile up */
    FRAME_MAX = 64 * 1024,
    TAIL_SIZE = 4096,      /* bytes behind a count that claims them all */
    REQUEST_SIZE = 2048,   /* at most: struct request and struct connection */
    SLOW_NS = 1000 * 1000, /* is tried again ... */
    SLOW_RETRIES = 3,      /* ... so often, the least counts */
    CROWD_FEW = 1000,
    CROWD_MANY = 16000,
    CROWD_FREE_NS = 200 * 1000 * 1000, /* below it the growth does not matter */
    LIMIT_NS = 20 * SLOW_NS, /* of the least: far above what any machine needs, even sanitized */
};

_Static_assert(CODEC_ARENA_MIN == 16384 && CODEC_ARENA_FACTOR == 4, "what is promised");

static const char properties[] = "log.dirs=/data\nmemory.limit=64MiB\nwal.file.bytes=1MiB\n"
                                 "group.initial.rebalance.delay.ms=0\n";

struct worst {
    double value;
    char what[120];
};

struct table {
    struct house house;
    bool open;
    uint64_t count, closed, answered, waiting, silent, unheard;
    uint64_t in_house;
    struct grammar_known known; /* what the house answered while it was furnished */
    struct worst time, decode, large, whole, crowd;
    const struct api_schema *api;
    int16_t version;
    const char *kind;
    bool refused;  /* nothing but a close will do */
    size_t detail; /* position, for the report */
    uint8_t frame[FRAME_MAX];
};

/* Bytes asked of the heap since the start; counted by the wrappers below. */
static uint64_t allocated;

void *__wrap_mem_alloc(size_t size);
void *__wrap_mem_zalloc(size_t count, size_t size);
void *__wrap_mem_realloc(void *pointer, size_t size);
void *__wrap_mem_try_alloc(size_t size);
void *__wrap_mem_try_realloc(void *pointer, size_t size);
void *__real_mem_alloc(size_t size);
void *__real_mem_zalloc(size_t count, size_t size);
void *__real_mem_realloc(void *pointer, size_t size);
void *__real_mem_try_alloc(size_t size);
void *__real_mem_try_realloc(void *pointer, size_t size);

void *__wrap_mem_alloc(size_t size)
{
    allocated += size;
    return __real_mem_alloc(size);
}

void *__wrap_mem_zalloc(size_t count, size_t size)
{
    allocated += count * size;
    return __real_mem_zalloc(count, size);
}

void *__wrap_mem_realloc(void *pointer, size_t size)
{
    allocated += size;
    return __real_mem_realloc(pointer, size);
}

void *__wrap_mem_try_alloc(size_t size)
{
    allocated += size;
    return __real_mem_try_alloc(size);
}

void *__wrap_mem_try_realloc(void *pointer, size_t size)
{
    allocated += size;
    return __real_mem_try_realloc(pointer, size);
}

static int64_t cpu_ns(void)
{
    struct timespec now;
    CHECK(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) == 0);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void note_worst(struct table *t, struct worst *worst, double value)
{
    if (value <= worst->value)
        return;
    worst->value = value;
    (void)snprintf(worst->what, sizeof(worst->what), "%s v%d, %s at %zu", t->api->name, t->version,
        t->kind, t->detail);
}

static void complain(struct table *t, const char *what)
{
    (void)fprintf(stderr, "bad_inputs: %s v%d, %s at %zu: %s\n", t->api->name, t->version, t->kind,
        t->detail, what);
    exit(1);
}

/* ---- the house ---- */

static void send_body(
    struct table *t, const struct api_schema *api, int16_t version, const void *body)
{
    struct out out = { 0 };
    CHECK(request_encode(api, version, 1, bytes_text("f"), body, &out) == 0);
    house_send(&t->house.clients[1], out.data, out.len);
    house_pass(&t->house, 20);
    out_done(&out);
}

static void learn(void *context, const struct api_schema *api, int16_t version, const void *body)
{
    grammar_learn(context, api->response->body, version, body);
}

/* Topics and a group with a member, so that requests meet something. */
static void furnish(struct table *t)
{
    static const struct {
        int16_t key, version;
        int times;
    } rows[] = { { API_CREATE_TOPICS, 7, 6 }, { API_INIT_PRODUCER_ID, 4, 2 }, { API_PRODUCE, 9, 6 },
        { API_JOIN_GROUP, 3, 3 } };
    struct arena arena;
    arena_init(&arena, 1 << 20);
    t->known = (struct grammar_known){ 0 };
    t->house.answered = learn;
    t->house.context = &t->known;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        const struct api_schema *api = api_schema_find(rows[i].key);
        struct grammar grammar = { .random = random_seeded(rows[i].key),
            .arena = &arena,
            .version = rows[i].version,
            .full = true };
        void *body = arena_alloc(&arena, api->request->body->size);
        for (int n = 0; n < rows[i].times; n++) {
            grammar_fill(&grammar, api->request->body, body);
            (void)grammar_bind(&t->known, &arena, api->request->body, rows[i].version, body);
            send_body(t, api, rows[i].version, body);
        }
    }
    t->house.answered = NULL;
    arena_done(&arena);
}

static void close_house(struct table *t)
{
    if (!t->open)
        return;
    t->open = false;
    house_stop(&t->house);
    house_done(&t->house);
}

static void open_house(struct table *t)
{
    if (t->open && t->in_house++ < INPUTS_PER_HOUSE)
        return;
    close_house(t);
    house_open(&t->house, 1, properties);
    furnish(t);
    t->open = true;
    t->in_house = 0;
}

/* ---- one input ---- */

/* As the broker decodes; the memory for it is what counts. */
static void decode_alone(struct table *t, struct bytes frame)
{
    struct request_header header;
    struct reader reader = reader_of(frame);
    if (request_header_decode(&reader, &header) || header.request_api_key != t->api->key ||
        !versions_have(t->api->served, header.request_api_version))
        return;
    const struct message *message = t->api->request;
    struct arena arena;
    void *body = mem_alloc(message->body->size);
    uint64_t before = allocated;
    size_t limit = codec_arena_max(frame.len);
    arena_init(&arena, limit);
    int status = codec_decode(message, header.request_api_version, &reader, &arena, body);
    uint64_t took = allocated - before;
    if (status && status != -EBADMSG && status != -ENOMEM)
        complain(t, "the decoder's status is none of its own");
    if (took > limit)
        complain(t, "decoding it took more than 16 KiB + 4 times its size");
    note_worst(t, &t->decode, (double)took);
    if (took > CODEC_ARENA_MIN)
        note_worst(t, &t->large, (double)(took - CODEC_ARENA_MIN) / (double)frame.len);
    arena_done(&arena);
    mem_free(body);
}

/* By the key in the frame, which may be the one that is wrong. */
static bool may_wait(int16_t key)
{
    switch (key) {
    case API_FETCH:
    case API_JOIN_GROUP:
    case API_SYNC_GROUP: return true;
    default: return false;
    }
}

/* What the broker took with it. Its own work, a checkpoint say, may fall into the same turn. */
struct cost {
    int64_t ns;
    uint64_t bytes;
    bool excessive; /* for a refusal */
};

static struct cost send_once(struct table *t, struct bytes frame, bool whole)
{
    struct house_client *client = &t->house.clients[0];
    uint8_t head[4];
    house_drop(client);
    /* One byte more is announced than comes, or exactly what comes. */
    be_put32(head, (uint32_t)(frame.len + !whole));
    uint64_t before = allocated, answers = t->house.answers;
    int64_t start = cpu_ns();
    house_send(client, head, sizeof(head));
    if (house_is_open(client))
        house_send(client, frame.data, frame.len);
    house_turn(&t->house);
    struct cost cost = { .ns = cpu_ns() - start, .bytes = allocated - before };
    cost.excessive =
        !house_is_open(client) && cost.bytes > codec_arena_max(frame.len) + REQUEST_SIZE;
    if (house_is_open(client) && t->house.answers == answers && whole)
        house_pass(&t->house, 50); /* the disk, which is virtual too */
    return cost;
}

static void classify(struct table *t, uint64_t answers_before, struct bytes frame, bool whole)
{
    int16_t key = frame.len >= 2 ? (int16_t)be_get16(frame.data) : -1;
    struct house_client *client = &t->house.clients[0];
    if (!house_is_open(client))
        t->closed++;
    else if (t->refused)
        complain(t, "was not refused");
    else if (t->house.answers > answers_before)
        t->answered++;
    else if (!whole)
        t->unheard++;
    else if (may_wait(key))
        t->waiting++;
    else if (key == API_PRODUCE)
        t->silent++;
    else
        complain(t, "neither answered nor closed");
}

static void feed(struct table *t, const uint8_t *data, size_t len, bool whole)
{
    struct bytes frame = bytes_of(data, len);
    struct cost least = { INT64_MAX, UINT64_MAX, true };
    t->count++;
    if (whole && len > 0)
        decode_alone(t, frame);
    for (int i = 0; i < SLOW_RETRIES; i++) {
        open_house(t);
        uint64_t answers = t->house.answers;
        struct cost cost = send_once(t, frame, whole);
        least.ns = cost.ns < least.ns ? cost.ns : least.ns;
        least.bytes = cost.bytes < least.bytes ? cost.bytes : least.bytes;
        least.excessive &= cost.excessive;
        if (i == 0)
            classify(t, answers, frame, whole);
        if (cost.ns <= SLOW_NS && !cost.excessive)
            break;
    }
    note_worst(t, &t->time, (double)least.ns / 1000);
    note_worst(t, &t->whole, (double)least.bytes);
    if (least.ns > LIMIT_NS)
        complain(t, "took too much CPU time");
    if (least.excessive)
        complain(t, "refusing it took more than 16 KiB + 4 times its size");
}

/* ---- the ways to be wrong ---- */

static void cut(struct table *t, struct bytes good)
{
    for (size_t len = 0; len < good.len; len++) {
        t->detail = len;
        t->kind = "cut";
        t->refused = true;
        feed(t, good.data, len, true);
        t->refused = false;
        t->kind = "unfinished";
        if (len % 8 == 0)
            feed(t, good.data, len, false);
    }
}

static void damage(struct table *t, struct bytes good)
{
    static const uint8_t becomes[] = { 0, 0x7f, 0x80, 0xff };
    t->kind = "damaged";
    memcpy(t->frame, good.data, good.len);
    for (size_t i = 0; i < good.len; i++) {
        t->detail = i;
        for (size_t n = 0; n < ARRAY_COUNT(becomes); n++) {
            t->frame[i] = becomes[n];
            if (becomes[n] != good.data[i])
                feed(t, t->frame, good.len, true);
        }
        t->frame[i] = good.data[i];
    }
}

/* The frame with other bytes where a mark is. */
static void splice(
    struct table *t, struct bytes good, size_t at, size_t size, const struct bytes *becomes)
{
    CHECK(good.len + becomes->len <= FRAME_MAX);
    memcpy(t->frame, good.data, at);
    memcpy(t->frame + at, becomes->data, becomes->len);
    memcpy(t->frame + at + becomes->len, good.data + at + size, good.len - at - size);
    t->detail = at;
    feed(t, t->frame, good.len - size + becomes->len, true);
}

static void lengths(struct table *t, struct bytes good, const struct mark *mark)
{
    int64_t left = (int64_t)(good.len - mark->at - mark->size);
    const int64_t values[] = { -2, -1, 0, left + 1, INT32_MAX };
    t->kind = "length";
    for (size_t i = 0; i < ARRAY_COUNT(values); i++) {
        uint8_t text[8];
        struct bytes becomes = bytes_of(text, mark_write(mark, values[i], text));
        splice(t, good, mark->at, mark->size, &becomes);
    }
}

/* Everything behind a count is claimed by it; small bytes are counts of their own further in. */
static void claim_all(struct table *t, struct bytes good, const struct mark *mark)
{
    static const uint8_t fill[] = { 0, 1, 2, 0x7f };
    t->kind = "claims all";
    t->detail = mark->at;
    for (size_t i = 0; i < ARRAY_COUNT(fill); i++) {
        for (size_t each = 1; each <= 16; each *= 4) {
            memcpy(t->frame, good.data, mark->at);
            size_t len = mark->at + mark_write(mark, TAIL_SIZE / each, t->frame + mark->at);
            memset(t->frame + len, fill[i], TAIL_SIZE);
            feed(t, t->frame, len + TAIL_SIZE, true);
        }
    }
}

static void tag_bomb(struct table *t, struct bytes good, const struct mark *mark)
{
    static const uint32_t counts[] = { 1, 100, 1000 };
    static uint8_t text[8 * 1024];
    t->kind = "tags";
    for (size_t i = 0; i < ARRAY_COUNT(counts); i++) {
        size_t len = mark_write(mark, counts[i], text);
        for (uint32_t n = 0; n < counts[i]; n++) {
            len += mark_write(mark, 1000 + n, text + len);
            text[len++] = 0;
        }
        struct bytes becomes = bytes_of(text, len);
        splice(t, good, mark->at, mark->size, &becomes);
    }
}

static void no_utf8(struct table *t, struct bytes good, const struct mark *mark)
{
    static const char *const bad[] = { "\xff", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80" };
    t->kind = "no UTF-8";
    t->refused = true;
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        if (strlen(bad[i]) > mark->size)
            continue;
        struct bytes becomes = bytes_text(bad[i]);
        splice(t, good, mark->at, strlen(bad[i]), &becomes);
    }
    t->refused = false;
}

static void wrong_marks(struct table *t, struct bytes good, size_t body_at)
{
    static struct marks marks;
    struct bytes body = bytes_of(good.data + body_at, good.len - body_at);
    marks_find(&marks, t->api->request, t->version, body);
    CHECK(marks.end == body.len);
    for (size_t i = 0; i < marks.count; i++) {
        struct mark mark = marks.items[i];
        mark.at += body_at;
        if (mark.kind == MARK_TEXT) {
            no_utf8(t, good, &mark);
            continue;
        }
        lengths(t, good, &mark);
        if (mark.kind == MARK_COUNT || mark.kind == MARK_TAGS)
            claim_all(t, good, &mark);
        if (mark.kind == MARK_TAGS)
            tag_bomb(t, good, &mark);
    }
}

static void wrong_version(struct table *t, const struct api_schema *api, int16_t version)
{
    struct arena arena;
    struct out out = { 0 };
    arena_init(&arena, 1 << 20);
    struct grammar grammar = {
        .random = random_seeded(7), .arena = &arena, .version = version, .full = true
    };
    void *request = arena_alloc(&arena, api->request->body->size);
    t->api = api;
    t->version = version;
    open_house(t);
    grammar_fill(&grammar, api->request->body, request);
    (void)grammar_bind(&t->known, &arena, api->request->body, version, request);
    CHECK(request_encode(api, version, 9, bytes_text("bad"), request, &out) == 0);
    struct bytes good = bytes_of(out.data + 4, out.len - 4);
    struct request_header header;
    struct reader reader = reader_of(good);
    CHECK(request_header_decode(&reader, &header) == 0);
    t->kind = "as it should be";
    feed(t, good.data, good.len, true);
    cut(t, good);
    damage(t, good);
    wrong_marks(t, good, good.len - reader_left(&reader));
    out_done(&out);
    arena_done(&arena);
}

/* ---- crowded arrays ---- */

/* CPU time for a request whose `which`th array has `count` elements; 0: it has no such array. */
static int64_t crowd_once(
    struct table *t, const struct api_schema *api, size_t which, int32_t count)
{
    struct arena arena;
    struct out out = { 0 };
    arena_init(&arena, 64 << 20);
    struct grammar grammar = {
        .random = random_seeded(7), .arena = &arena, .version = t->version, .full = true
    };
    void *body = arena_alloc(&arena, api->request->body->size);
    int64_t took = 0;
    close_house(t);
    open_house(t);
    grammar_fill(&grammar, api->request->body, body);
    (void)grammar_bind(&t->known, &arena, api->request->body, t->version, body);
    if (grammar_crowd(&grammar, api->request->body, body, which, count) &&
        request_encode(api, t->version, 9, bytes_text("crowd"), body, &out) == 0) {
        int64_t start = cpu_ns();
        house_send(&t->house.clients[0], out.data, out.len);
        house_turn(&t->house);
        took = cpu_ns() - start;
        t->count++;
    }
    out_done(&out);
    arena_done(&arena);
    return took;
}

static void crowds(struct table *t, const struct api_schema *api)
{
    t->api = api;
    t->version = api->served.max;
    t->kind = "crowded array";
    for (t->detail = 0;; t->detail++) {
        int64_t few = crowd_once(t, api, t->detail, CROWD_FEW);
        if (few == 0)
            return;
        int64_t many = crowd_once(t, api, t->detail, CROWD_MANY);
        note_worst(t, &t->crowd, (double)many / 1000000);
        int64_t square = few * (CROWD_MANY / CROWD_FEW) * (CROWD_MANY / CROWD_FEW);
        if (many > CROWD_FREE_NS && many > square / 2)
            complain(t, "its time grows with the square of the elements");
    }
}

static void report(const struct table *t)
{
    printf("%" PRIu64 " bad inputs: %" PRIu64 " closed, %" PRIu64 " answered, %" PRIu64
           " waiting as they asked to, %" PRIu64 " without acks, %" PRIu64 " unfinished\n",
        t->count, t->closed, t->answered, t->waiting, t->silent, t->unheard);
    printf("worst CPU time %.0f us: %s\n", t->time.value, t->time.what);
    printf("most memory to decode one %.0f bytes: %s\n", t->decode.value, t->decode.what);
    printf("worst amplification of decoding: 16 KiB + %.2f bytes per byte (at most %d): %s\n",
        t->large.value, CODEC_ARENA_FACTOR, t->large.what);
    printf("worst CPU time of %d elements in one array %.1f ms: %s\n", CROWD_MANY, t->crowd.value,
        t->crowd.what);
    printf("most memory for one with all that it set off %.0f bytes: %s\n", t->whole.value,
        t->whole.what);
}

int main(int argc, char **argv)
{
    static struct table table;
    size_t count;
    const struct api *apis = api_table(&count);
    for (size_t i = 0; i < count; i++) {
        const struct api_schema *schema = api_schema_find(apis[i].key);
        if (argc > 1 && strtol(argv[1], NULL, 10) != schema->key)
            continue;
        for (int16_t v = schema->served.min; v <= schema->served.max; v++)
            wrong_version(&table, schema, v);
    }
    for (size_t i = 0; i < count; i++) {
        if (argc == 1 || strtol(argv[1], NULL, 10) == apis[i].key)
            crowds(&table, api_schema_find(apis[i].key));
    }
    close_house(&table);
    report(&table);
    return table.count == 0;
}
