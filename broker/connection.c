/*
 * See connection.h.
 *
 * In: frame_input cuts the stream into frames; each becomes a request (request.c), which is handed
 * to its handler at once. Reading pauses when a limit is reached and goes on in a later turn
 * (connection_go_on), when requests have left, bytes were sent or memory came back.
 *
 * Out: answers are encoded in the order of their requests into one run of bytes, `output`. Record
 * bytes are not copied: they are externals, each belonging at a position of `output`, and the
 * buffers they lie in are held until the stream has been sent that far.
 *
 *     output     |---- sent ----|------- text -------|--- text ---|
 *     externals                                      ^ records    ^ records
 *
 * Memory of all connections has three shares. Frames: large ones count from the moment that their
 * size is known until they are answered; one is read on only when it fits, so whoever began can
 * finish. Requests: small frames and what handling takes; at the share nobody gets a second one
 * in flight, at twice the share nobody the first. Answers: what is encoded and not sent; at three
 * quarters of the share no request is begun whose answer may be much longer than itself. Who holds
 * a share and does not go on is closed while others wait (connection_check_stalled).
 *
 * Invariants: while not paused no whole frame waits in `input`; unsent = queued_total - sent_total;
 * a failed connection is in broker->ready until it is closed.
 */
#include "broker/connection.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "broker/api.h"
#include "broker/broker.h"
#include "broker/connection_state.h"
#include "broker/shares.h"
#include "protocol/base/mem.h"
#include "protocol/header.h"

enum {
    OUTPUT_FIRST = 512,      /* first capacity of `output` */
    COMPACT_MIN = 64 * 1024, /* sent bytes worth moving the rest for */
    STALL_RATE = 16 * 1024,  /* bytes per second that a large frame must come with, under need */
};
static const int64_t stall_ns = INT64_C(10) * 1000 * CLOCK_NS_PER_MS;
/* nothing of an answer was taken for so long, while others wait for its memory */
static const int64_t unread_ns = INT64_C(2) * 1000 * CLOCK_NS_PER_MS;
static const int64_t second_ns = INT64_C(1000) * CLOCK_NS_PER_MS;

static int64_t now_ns(const struct connection *connection)
{
    return clock_monotonic_ns(connection->broker->doors->clock);
}

/* ---- life ---- */

void connection_ready(struct connection *connection)
{
    list_remove(&connection->ready_link);
    list_append(&connection->broker->ready, &connection->ready_link);
}

void connection_fail(struct connection *connection, const char *reason)
{
    if (connection->failed)
        return;
    connection->failed = true;
    if (reason)
        broker_complain(connection->broker, "%s: %s; closed", connection->peer, reason);
    connection_ready(connection);
}

bool connection_idle(const struct connection *connection)
{
    return connection->request_count == 0 && connection->unsent == 0;
}

/* When the connection has been silent too long, or its first request is due; INT64_MAX: never. */
static int64_t idle_deadline(const struct connection *connection)
{
    const struct broker_config *config = connection->broker->config;
    int64_t idle_ms = config->connections_max_idle_ms, at = INT64_MAX;
    int64_t first_ms = config->connections_first_request_max_ms;
    static const int64_t ms_max = INT64_MAX / 4 / CLOCK_NS_PER_MS; /* a time, and no overflow */
    if (idle_ms >= 0 && idle_ms < ms_max)
        at = connection->active_ns + idle_ms * CLOCK_NS_PER_MS;
    if (connection->heard || first_ms < 0 || first_ms >= ms_max)
        return at;
    int64_t first = connection->created_ns + first_ms * CLOCK_NS_PER_MS;
    return first < at ? first : at;
}

static void idle_watch(struct connection *connection, int64_t at)
{
    if (at != INT64_MAX)
        timer_set(connection->broker->doors->timers, &connection->idle, at);
}

static void idle_fire(struct timer *timer)
{
    struct connection *connection = container_of(timer, struct connection, idle);
    int64_t at = idle_deadline(connection), now = now_ns(connection);
    if (at > now)
        idle_watch(connection, at);
    else if (connection->request_count == 0)
        connection_fail(connection, NULL);
    else /* it waits for its answers */
        idle_watch(connection, now + second_ns);
}

struct connection *connection_create(struct broker *broker, struct transport *transport,
    const struct endpoint *endpoint, const char *peer, const char *client_host)
{
    struct connection *connection = mem_zalloc(1, sizeof(*connection));
    connection->broker = broker;
    connection->transport = transport;
    connection->endpoint = endpoint;
    (void)snprintf(connection->peer, sizeof(connection->peer), "%s", peer);
    (void)snprintf(connection->client_host, sizeof(connection->client_host), "%s", client_host);
    frame_input_init(&connection->input, broker->doors->buffers,
        (size_t)broker->config->socket_request_max_bytes);
    list_init(&connection->requests);
    list_init(&connection->ready_link);
    list_init(&connection->starving_link);
    list_append(&broker->connections, &connection->link);
    broker->connection_count++;
    broker->counters.connections++;
    connection->active_ns = connection->created_ns = now_ns(connection);
    connection->idle.fire = idle_fire;
    idle_watch(connection, idle_deadline(connection));
    return connection;
}

static void release_buffer(struct connection *connection, struct buffer *buffer)
{
    broker_answer_give(connection->broker, buffer->capacity);
    buffer_unref(buffer);
}

static void release_held(struct connection *connection)
{
    release_buffer(connection, connection->held[connection->held_first++].buffer);
}

static void release_output(struct connection *connection)
{
    out_done(&connection->output);
    externals_done(&connection->externals);
    while (connection->held_first < connection->held_count)
        release_held(connection);
    mem_free(connection->held);
    connection->held = NULL;
    connection->held_first = connection->held_count = connection->held_capacity = 0;
    connection->output_sent = connection->external_next = connection->external_sent = 0;
}

static void release_reserved(struct connection *connection)
{
    connection->broker->memory.frames -= connection->reserved;
    connection->reserved = 0;
}

void connection_destroy(struct connection *connection)
{
    struct broker *broker = connection->broker;
    connection->failed = true;
    struct list *node;
    while ((node = list_first(&connection->requests)))
        request_end(list_entry(node, struct request, link));
    shares_connection_gone(broker->shares, connection);
    timer_cancel(broker->doors->timers, &connection->idle);
    list_remove(&connection->ready_link);
    list_remove(&connection->starving_link);
    list_remove(&connection->link);
    broker->connection_count--;
    broker_answer_give(broker, connection->text_unsent);
    release_reserved(connection);
    release_output(connection);
    frame_input_done(&connection->input);
    mem_free(connection);
}

/* ---- in ---- */

/* A limit of its own: it goes on when something of its own has left. */
static bool at_own_limit(const struct connection *connection)
{
    const struct broker *broker = connection->broker;
    const struct broker_config *config = broker->config;
    return broker->stopping || connection->parked_count > 0 ||
           connection->request_count >= (uint32_t)config->inflight_requests_max ||
           connection->request_bytes >= (size_t)config->inflight_bytes_max ||
           connection->unsent > CONNECTION_OUTPUT_MAX ||
           (connection->unsent > 0 && broker->memory.answers >= (size_t)config->answers_bytes_max);
}

/* Many in flight of one connection only while there is memory; one a while longer. */
static bool lacks_requests(const struct connection *connection)
{
    const struct broker *broker = connection->broker;
    size_t share = (size_t)broker->config->requests_bytes_max;
    return broker->memory.requests >= (connection->request_count > 0 ? share : 2 * share);
}

/* Is the next request one whose answer is about as long as it? A Fetch asks for room by itself. */
static bool answers_briefly(int16_t key)
{
    const struct api *api = api_find(key);
    return api && api->brief;
}

/* A few bytes ask for all topics: not while there is no room for such an answer. */
static bool lacks_answers(const struct connection *connection)
{
    const struct broker *broker = connection->broker;
    struct bytes frame = frame_input_peek(&connection->input);
    return broker_answer_room(broker) == 0 && frame.len >= 2 &&
           !answers_briefly((int16_t)be_get16(frame.data));
}

static void set_paused(struct connection *connection, bool paused)
{
    if (connection->paused == paused)
        return;
    connection->paused = paused;
    connection->transport->pause(connection->transport, paused);
}

/* Keeps its place if it waits already. */
static void starve(struct connection *connection)
{
    struct broker *broker = connection->broker;
    if (list_empty(&connection->starving_link))
        list_append(&broker->starving, &connection->starving_link);
    if (!timer_is_set(&broker->stall))
        timer_set(broker->doors->timers, &broker->stall, now_ns(connection) + second_ns);
    set_paused(connection, true);
}

/* The size of the frame that arrives, with its prefix; 0: not known, or small. */
static size_t arriving_size(const struct connection *connection)
{
    const struct frame_input *input = &connection->input;
    if (!input->buffer || input->buffer->len - input->taken < 4)
        return 0;
    size_t total = input->buffer->len - input->taken + frame_input_wanted(input);
    return total > CONNECTION_SMALL_FRAME ? total : 0;
}

/* Is there no room for the large frame that arrives? Alone it always fits. */
static bool lacks_frame(const struct connection *connection)
{
    const struct broker *broker = connection->broker;
    size_t total = arriving_size(connection);
    size_t others = broker->memory.frames - connection->reserved;
    return total > connection->reserved && others > 0 &&
           others + total > (size_t)broker->config->frames_bytes_max;
}

bool connection_starves(const struct connection *connection)
{
    return lacks_requests(connection) || lacks_answers(connection) || lacks_frame(connection);
}

static void reserve_frame(struct connection *connection)
{
    size_t total = arriving_size(connection);
    if (total <= connection->reserved)
        return;
    connection->broker->memory.frames += total - connection->reserved;
    connection->reserved = total;
    connection->reserved_ns = now_ns(connection);
}

static int complain_input(struct connection *connection, int status)
{
    struct broker *broker = connection->broker;
    const char *reason = connection->input.reason;
    broker->counters.bad_frames++;
    if (status == -EMSGSIZE)
        broker_complain(broker,
            "%s: a request of %" PRId32 " bytes is larger than %" PRId32 " bytes (the less of "
            "socket.request.max.bytes and an eighth of memory.limit); closed",
            connection->peer, connection->input.refused_size,
            broker->config->socket_request_max_bytes);
    else
        broker_complain(broker, "%s: %s; closed", connection->peer, reason ? reason : "no memory");
    return status;
}

static int handle_frame(struct connection *connection, struct frame *frame)
{
    release_reserved(connection);
    connection->heard = true;
    return request_begin(connection, frame);
}

/* Handles the frames that have come whole, as long as nothing forbids it. */
static int handle_frames(struct connection *connection)
{
    struct frame frame;
    int status = 0;
    while (!status && !connection->failed) {
        if (at_own_limit(connection)) {
            list_remove(&connection->starving_link);
            set_paused(connection, true);
            return 0;
        }
        if (lacks_requests(connection) || lacks_answers(connection)) {
            starve(connection);
            return 0;
        }
        status = frame_input_next(&connection->input, &frame);
        if (!status)
            status = handle_frame(connection, &frame);
        else if (status != -EAGAIN)
            return complain_input(connection, status);
    }
    if (connection->failed)
        return -ECONNABORTED;
    if (status != -EAGAIN)
        return status;
    if (lacks_frame(connection)) {
        starve(connection);
        return 0;
    }
    reserve_frame(connection);
    list_remove(&connection->starving_link);
    set_paused(connection, false);
    return 0;
}

void connection_reserve(struct connection *connection, uint8_t **ret_data, size_t *ret_len)
{
    *ret_data = NULL;
    *ret_len = 0;
    if (connection->paused || connection->failed)
        return;
    int status = frame_input_reserve(&connection->input, ret_data, ret_len);
    if (status) {
        *ret_len = 0;
        connection_fail(connection, "no memory for a request");
    }
}

int connection_received(struct connection *connection, size_t len)
{
    connection->active_ns = now_ns(connection);
    connection->broker->counters.bytes_in += len;
    frame_input_received(&connection->input, len);
    return handle_frames(connection);
}

int connection_input(struct connection *connection, const void *data, size_t len, size_t *ret_taken)
{
    const uint8_t *from = data;
    *ret_taken = 0;
    while (*ret_taken < len) {
        uint8_t *to;
        size_t room, left = len - *ret_taken;
        connection_reserve(connection, &to, &room);
        if (room == 0)
            return connection->failed ? -ECONNABORTED : 0;
        room = room < left ? room : left;
        memcpy(to, from + *ret_taken, room);
        *ret_taken += room;
        int status = connection_received(connection, room);
        if (status)
            return status;
    }
    return 0;
}

void connection_go_on(struct connection *connection)
{
    list_remove(&connection->ready_link);
    if (connection->failed || handle_frames(connection) != 0)
        connection->transport->close(connection->transport);
}

void connection_check_stalled(struct connection *connection, int64_t now)
{
    struct broker *broker = connection->broker;
    int64_t waited = now - connection->reserved_ns;
    if (connection->reserved && waited > stall_ns && !list_empty(&broker->starving)) {
        size_t have = connection->reserved - frame_input_wanted(&connection->input);
        if (have < (size_t)(waited / second_ns) * STALL_RATE && !connection->paused)
            connection_fail(connection, "a large request comes too slowly while others wait");
    }
    bool awaited = !list_empty(&broker->hungry) || !list_empty(&broker->starving);
    int64_t patience = awaited ? unread_ns : stall_ns;
    if (connection->unsent && now - connection->sent_ns > patience &&
        broker_answer_room(broker) == 0)
        connection_fail(connection, "answers are not read, and memory for answers is short");
}

/* ---- out ---- */

void connection_hold(struct connection *connection, struct buffer *buffer)
{
    if (connection->unsent == 0) {
        release_buffer(connection, buffer);
        return;
    }
    if (connection->held_count == connection->held_capacity)
        mem_grow(connection->held, &connection->held_capacity, connection->held_count + 1);
    connection->held[connection->held_count++] =
        (struct held_buffer){ .buffer = buffer, .position = connection->queued_total };
}

static void count_queued(struct connection *connection, size_t text, size_t records)
{
    bool first = connection->unsent == 0;
    connection->unsent += text + records;
    connection->text_unsent += text;
    connection->queued_total += text + records;
    broker_answer_take(connection->broker, text);
    if (!first)
        return;
    connection->sent_ns = now_ns(connection);
    connection->transport->wants_output(connection->transport);
}

static int encode(struct connection *connection, struct request *request)
{
    struct out *out = &connection->output;
    size_t len = out->len, external_len = connection->externals.len;
    if (!out->data)
        mem_grow(out->data, &out->capacity, OUTPUT_FIRST);
    int status = response_encode(request->schema, request->version, request->correlation_id,
        request->answer, out, &connection->externals);
    if (!status)
        count_queued(connection, out->len - len, connection->externals.len - external_len);
    return status;
}

void connection_advance(struct connection *connection)
{
    struct list *first;
    while (!connection->failed && (first = list_first(&connection->requests))) {
        struct request *request = list_entry(first, struct request, link);
        if (request->stage == REQUEST_READY) {
            if (encode(connection, request)) {
                connection_fail(connection, "an answer cannot be encoded");
                return;
            }
        } else if (request->stage != REQUEST_DROPPED) {
            return;
        }
        request_leave(request);
        if (connection->paused)
            connection_ready(connection);
    }
}

int connection_output(struct connection *connection, struct iovec *iov, int iov_max)
{
    struct out *out = &connection->output;
    size_t at = connection->output_sent, next = connection->external_next;
    size_t skip = connection->external_sent;
    int count = 0;
    while (count < iov_max) {
        const struct externals *externals = &connection->externals;
        size_t end = next < externals->count ? externals->items[next].position : out->len;
        if (at < end) {
            iov[count++] = (struct iovec){ out->data + at, end - at };
            at = end;
        } else if (next < externals->count) {
            const struct records *records = &externals->items[next++].records;
            /* writev does not write to it */
            union {
                const uint8_t *from;
                void *to;
            } data = { .from = records->data + skip };
            iov[count++] = (struct iovec){ data.to, records->len - skip };
            skip = 0;
        } else {
            break;
        }
    }
    return count;
}

static void let_go(struct connection *connection)
{
    while (connection->held_first < connection->held_count &&
           connection->held[connection->held_first].position <= connection->sent_total)
        release_held(connection);
    if (connection->unsent == 0)
        release_output(connection);
}

static void compact_externals(struct connection *connection, size_t sent)
{
    struct externals *externals = &connection->externals;
    size_t done = connection->external_next;
    for (size_t i = 0; i < done; i++)
        externals->len -= externals->items[i].records.len;
    for (size_t i = done; i < externals->count; i++) {
        externals->items[i - done] = externals->items[i];
        externals->items[i - done].position -= sent;
    }
    externals->count -= done;
    connection->external_next = 0;
}

/* Moves what is left to the front when much was sent. */
static void compact(struct connection *connection)
{
    struct out *out = &connection->output;
    size_t sent = connection->output_sent, first = connection->held_first;
    if (sent < COMPACT_MIN || sent < out->len / 2)
        return;
    memmove(out->data, out->data + sent, out->len - sent);
    out->len -= sent;
    connection->output_sent = 0;
    compact_externals(connection, sent);
    for (size_t i = first; i < connection->held_count; i++)
        connection->held[i - first] = connection->held[i];
    connection->held_count -= first;
    connection->held_first = 0;
}

void connection_sent(struct connection *connection, size_t len)
{
    struct broker *broker = connection->broker;
    CHECK(len <= connection->unsent);
    connection->unsent -= len;
    connection->sent_total += len;
    broker->counters.bytes_out += len;
    connection->active_ns = connection->sent_ns = now_ns(connection);
    while (len > 0) {
        const struct externals *externals = &connection->externals;
        size_t next = connection->external_next;
        size_t end =
            next < externals->count ? externals->items[next].position : connection->output.len;
        bool text = connection->output_sent < end;
        size_t left = text ? end - connection->output_sent
                           : externals->items[next].records.len - connection->external_sent;
        size_t part = len < left ? len : left;
        len -= part;
        if (text) {
            connection->output_sent += part;
            connection->text_unsent -= part;
            broker_answer_give(broker, part);
        } else if (part == left) {
            connection->external_next++;
            connection->external_sent = 0;
        } else {
            connection->external_sent += part;
        }
    }
    let_go(connection);
    compact(connection);
    if (connection->paused && connection->unsent <= CONNECTION_OUTPUT_MAX)
        connection_ready(connection);
}
