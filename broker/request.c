/*
 * See request.h.
 *
 * The happy path: a frame comes from the connection; header and body are decoded into the request's
 * arena; the handler fills the answer and calls request_finish, now or from a callback; when the
 * newest position that the answer reveals is durable, the request is ready; when all before it on
 * the connection have left, the answer is encoded into the connection's output and the request is
 * freed.
 *
 *     HANDLED ──finish──▶ FINISHED ──durable──▶ READY ──in order──▶ (freed)
 *      │   ▲  ──drop────────────────────────▶ DROPPED ──in order──▶ (freed)
 *    park  │ resume
 *      ▼   │
 *     PARKED
 *
 * Failure modes: what cannot be decoded or is not served fails the connection, never the broker.
 * request_fail only marks: callers up the stack still hold the request, so it is freed when the
 * turn closes the connection. Until then a finish or drop of it is fine and does nothing.
 *
 * Invariant: a request is in its connection's list from request_begin until it is freed.
 */
#include "broker/request.h"

#include <errno.h>
#include <stdio.h>

#include "broker/api.h"
#include "broker/broker.h"
#include "broker/connection_state.h"
#include "protocol/base/mem.h"
#include "protocol/error.h"
#include "protocol/header.h"

enum {
    SPARE_REQUESTS_MAX = 64,     /* kept with their arena's last chunk ... */
    SPARE_ARENA_MAX = 16 * 1024, /* ... if it stayed small */
};

/* A reference that the answer holds, in the request's arena. */
struct request_buffer {
    struct request_buffer *next;
    struct buffer *buffer;
};

/* ---- life ---- */

static struct request *take(struct broker *broker)
{
    struct list *spare = list_pop(&broker->spare_requests);
    if (spare) {
        struct request *request = list_entry(spare, struct request, link);
        struct arena arena = request->arena;
        broker->spare_count--;
        *request = (struct request){ .arena = arena };
        return request;
    }
    struct request *request = mem_zalloc(1, sizeof(*request));
    arena_init(&request->arena, 0);
    return request;
}

static void give_back(struct broker *broker, struct request *request)
{
    if (broker->spare_count >= SPARE_REQUESTS_MAX || request->arena.held > SPARE_ARENA_MAX) {
        arena_done(&request->arena);
        mem_free(request);
        return;
    }
    arena_reset(&request->arena);
    list_prepend(&broker->spare_requests, &request->link);
    broker->spare_count++;
}

static bool is_large(const struct request *request)
{
    return request->frame_size > CONNECTION_SMALL_FRAME;
}

/* What it takes of the share of requests; told again when it has changed. */
static void count_cost(struct request *request)
{
    size_t cost = sizeof(*request) + request->arena.held;
    if (!is_large(request))
        cost += request->frame_size;
    request->broker->memory.requests += cost - request->cost;
    request->cost = cost;
}

static void request_free(struct request *request)
{
    struct connection *connection = request->connection;
    request->broker->memory.requests -= request->cost;
    if (is_large(request))
        request->broker->memory.frames -= request->frame_size;
    connection->request_count--;
    connection->request_bytes -= request->frame_size;
    list_remove(&request->link);
    while (request->buffers) {
        broker_answer_give(request->broker, request->buffers->buffer->capacity);
        buffer_unref(request->buffers->buffer);
        request->buffers = request->buffers->next;
    }
    buffer_unref(request->frame);
    give_back(request->broker, request);
}

void request_leave(struct request *request)
{
    while (request->buffers) {
        connection_hold(request->connection, request->buffers->buffer);
        request->buffers = request->buffers->next;
    }
    request_free(request);
}

void request_end(struct request *request)
{
    if (request->durable_waits)
        storage_wait_cancel(&request->durable);
    if (request->stage == REQUEST_PARKED) {
        list_remove(&request->parked_link);
        request->connection->parked_count--;
    }
    if (request->cancel)
        request->cancel(request);
    request_free(request);
}

/* ---- dispatch ---- */

static int complain(struct connection *connection, const char *what, const char *more)
{
    connection->broker->counters.bad_frames++;
    broker_complain(connection->broker, "%s: %s%s%s; closed", connection->peer, what,
        more ? ": " : "", more ? more : "");
    return -EBADMSG;
}

/* Fills everything before the body. */
static int decode_header(struct request *request, struct reader *reader)
{
    struct connection *connection = request->connection;
    struct request_header header;
    int status = request_header_decode(reader, &header);
    int16_t key = header.request_api_key, version = header.request_api_version;
    if (status && status != -ENOTSUP)
        return complain(connection, "malformed request header", reader->reason);
    request->api = api_find(key);
    if (status || !request->api) {
        char what[80];
        (void)snprintf(what, sizeof(what), "API key %d (version %d) is not offered", key, version);
        return complain(connection, what, NULL);
    }
    request->schema = api_schema_find(key);
    request->version = version;
    request->correlation_id = header.correlation_id;
    request->client_id = header.client_id;
    if (key != API_API_VERSIONS && !versions_have(request->schema->served, version)) {
        char what[120];
        (void)snprintf(what, sizeof(what), "%s version %d is not served (%d to %d are)",
            request->schema->name, version, request->schema->served.min,
            request->schema->served.max);
        return complain(connection, what, NULL);
    }
    return 0;
}

/* The body, and an answer at its defaults. A version that only ApiVersions may come with is not
 * read: nobody knows its form. */
static int decode_body(struct request *request, struct reader *reader, size_t frame_size)
{
    const struct message *message = request->schema->request;
    int status = 0;
    request->arena.limit = codec_arena_max(frame_size);
    request->body = arena_alloc(&request->arena, message->body->size);
    CHECK(request->body);
    if (versions_have(request->schema->served, request->version))
        status = codec_decode(message, request->version, reader, &request->arena, request->body);
    else
        codec_defaults(message, request->body);
    if (status) {
        char what[160];
        (void)snprintf(what, sizeof(what), "malformed %s version %d%s%s", request->schema->name,
            request->version, reader->field ? ", field " : "", reader->field ? reader->field : "");
        return complain(request->connection, what,
            status == -ENOMEM ? "more elements than its size allows" : reader->reason);
    }
    request->arena.limit =
        request->arena.held + (size_t)request->broker->config->request_arena_max_bytes;
    request->answer = arena_alloc(&request->arena, request->schema->response->body->size);
    CHECK(request->answer);
    codec_defaults(request->schema->response, request->answer);
    return 0;
}

static int begin(struct request *request, const struct frame *frame)
{
    struct reader reader = reader_of(frame->bytes);
    int status = decode_header(request, &reader);
    if (!status)
        status = decode_body(request, &reader, frame->bytes.len);
    if (status)
        return status;
    request->broker->counters.requests++;
    request->api->handle(request);
    return 0;
}

int request_begin(struct connection *connection, struct frame *frame)
{
    struct broker *broker = connection->broker;
    struct request *request = take(broker);
    request->broker = broker;
    request->connection = connection;
    request->frame = frame->buffer;
    request->frame_size = frame->bytes.len;
    list_init(&request->parked_link);
    list_init(&request->durable.link);
    list_append(&connection->requests, &request->link);
    connection->request_count++;
    connection->request_bytes += request->frame_size;
    if (is_large(request))
        broker->memory.frames += request->frame_size;
    count_cost(request);
    int status = begin(request, frame);
    if (status) {
        request_free(request);
        return status;
    }
    /* It may have left already; if the list is not empty, it is the last. */
    if (!list_empty(&connection->requests))
        count_cost(list_entry(connection->requests.prev, struct request, link));
    return connection->failed ? -ECONNABORTED : 0;
}

/* ---- the handler's calls ---- */

void *request_alloc(struct request *request, size_t size)
{
    void *piece = arena_alloc(&request->arena, size);
    if (!piece)
        request_fail(request, "the answer needs more than request.arena.max.bytes");
    return piece;
}

static void ready(struct request *request)
{
    request->stage = REQUEST_READY;
    connection_advance(request->connection);
}

static void durable(struct storage_waiter *waiter)
{
    struct request *request = container_of(waiter, struct request, durable);
    request->durable_waits = false;
    ready(request);
}

void request_finish(struct request *request)
{
    CHECK(request->stage == REQUEST_HANDLED);
    request->cancel = NULL;
    if (request->connection->failed)
        return;
    request->stage = REQUEST_FINISHED;
    if (request->depends_lsn == 0 ||
        storage_is_durable(request->broker->storage, request->depends_lsn)) {
        ready(request);
        return;
    }
    request->durable.lsn = request->depends_lsn;
    request->durable.done = durable;
    request->durable_waits = true;
    storage_wait(request->broker->storage, &request->durable);
}

void request_drop(struct request *request)
{
    CHECK(request->stage == REQUEST_HANDLED);
    request->cancel = NULL;
    if (request->connection->failed)
        return;
    request->stage = REQUEST_DROPPED;
    connection_advance(request->connection);
}

void request_fail(struct request *request, const char *reason)
{
    connection_fail(request->connection, reason);
}

void request_depends(struct request *request, uint64_t lsn)
{
    if (lsn > request->depends_lsn)
        request->depends_lsn = lsn;
}

void request_hold(struct request *request, struct buffer *buffer)
{
    struct request_buffer *node = request_alloc(request, sizeof(*node));
    if (!node) {
        buffer_unref(buffer);
        return;
    }
    broker_answer_take(request->broker, buffer->capacity);
    node->buffer = buffer;
    node->next = request->buffers;
    request->buffers = node;
}

void request_park(struct request *request, void (*resume)(struct request *request))
{
    if (request->connection->failed)
        return;
    CHECK(request->stage == REQUEST_HANDLED);
    request->stage = REQUEST_PARKED;
    request->resume = resume;
    request->connection->parked_count++;
    list_append(&request->broker->parked, &request->parked_link);
}

void requests_resume(struct broker *broker)
{
    struct list *first;
    while ((first = list_first(&broker->parked))) {
        struct request *request = list_entry(first, struct request, parked_link);
        struct connection *connection = request->connection;
        list_remove(&request->parked_link);
        request->stage = REQUEST_HANDLED;
        connection->parked_count--;
        if (!connection->failed)
            request->resume(request);
        connection_ready(connection);
        struct list *last = broker->parked.prev;
        if (last == first && !list_empty(&broker->parked)) {
            /* Full again before it fitted: it stays the first. */
            list_remove(last);
            list_prepend(&broker->parked, last);
            return;
        }
    }
}

struct request *request_before(const struct request *request)
{
    const struct list *head = &request->connection->requests;
    return request->link.prev == head ? NULL : list_entry(request->link.prev, struct request, link);
}

struct request *request_after(const struct request *request)
{
    const struct list *head = &request->connection->requests;
    return request->link.next == head ? NULL : list_entry(request->link.next, struct request, link);
}

bool request_client_reads(const struct request *request)
{
    return request->connection->unsent == 0;
}

struct bytes request_advertised_host(const struct request *request)
{
    return request->connection->endpoint->host;
}

int32_t request_advertised_port(const struct request *request)
{
    return request->connection->endpoint->port;
}

const char *request_client_host(const struct request *request)
{
    return request->connection->client_host;
}

int16_t request_error_of(int status)
{
    switch (status) {
    case 0: return KAFKA_ERROR_NONE;
    case -ENOENT: return KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION;
    case -EEXIST: return KAFKA_ERROR_TOPIC_ALREADY_EXISTS;
    case -EMSGSIZE: return KAFKA_ERROR_MESSAGE_TOO_LARGE;
    case -EBADMSG: return KAFKA_ERROR_CORRUPT_MESSAGE;
    case -ERANGE: return KAFKA_ERROR_OFFSET_OUT_OF_RANGE;
    case -ENOSPC:
    case -EIO: return KAFKA_ERROR_KAFKA_STORAGE_ERROR;
    case -ENOTSUP: return KAFKA_ERROR_UNSUPPORTED_VERSION;
    case -EINVAL: return KAFKA_ERROR_INVALID_REQUEST;
    case -EPERM: return KAFKA_ERROR_INVALID_TOPIC_EXCEPTION; /* a computed topic */
    case -ENOMEM:
    case -EAGAIN: return KAFKA_ERROR_REQUEST_TIMED_OUT;
    case -ESHUTDOWN: return KAFKA_ERROR_NOT_LEADER_OR_FOLLOWER;
    case -ETIMEDOUT: return KAFKA_ERROR_REQUEST_TIMED_OUT;
    default: return KAFKA_ERROR_UNKNOWN_SERVER_ERROR;
    }
}
