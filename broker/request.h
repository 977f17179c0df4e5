/*
 * request.h - one request from its frame to its answer.
 *
 * A connection makes it, dispatch (api.c) decodes the body into the arena and calls the API's
 * handler. The handler fills `answer` and ends it, now or later, by exactly one of
 *
 *   request_finish  the answer goes out, after everything it depends on is durable
 *   request_drop    no answer is due (acks=0)
 *   request_fail    close the connection (what cannot be answered)
 *
 * Requests of one connection are handled in the order they came and answered in that order; several
 * may be waiting at a time. A handler that must wait keeps its state in the arena and sets
 * `cancel`, which is called when the connection goes away first: it takes back every waiter and
 * timer, and the request is freed after it.
 *
 * All on the loop thread.
 */
#ifndef BROKER_REQUEST_H
#define BROKER_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol/base/arena.h"
#include "protocol/base/buffer.h"
#include "protocol/base/bytes.h"
#include "protocol/base/list.h"
#include "storage/storage.h"

struct api;
struct api_schema;
struct broker;
struct connection;
struct frame;

enum request_stage {
    REQUEST_HANDLED,  /* the handler has it */
    REQUEST_PARKED,   /* waits for room in the ring */
    REQUEST_FINISHED, /* waits until what it reveals is durable */
    REQUEST_READY,    /* its answer leaves when those before it have */
    REQUEST_DROPPED,  /* no answer is due */
};

struct request {
    struct broker *broker;
    struct connection *connection;
    const struct api *api;
    const struct api_schema *schema;
    int16_t version;
    int32_t correlation_id;
    struct bytes client_id; /* in the frame; data NULL if the client gave none */
    struct buffer *frame;   /* one reference; body's strings and records point into it */
    struct arena arena; /* limit: request.arena.max.bytes; everything that ends with the request */
    void *body;         /* struct x_request, decoded */
    void *answer;       /* struct x_response at its defaults; the handler fills it */
    void *state;        /* the handler's, in the arena */
    void (*cancel)(struct request *request);

    /* the connection's and request.c's own */
    struct list link;     /* in connection->requests */
    uint64_t depends_lsn; /* newest log position that the answer reveals */
    struct storage_waiter durable;
    bool durable_waits;             /* `durable` is with the storage */
    struct request_buffer *buffers; /* references the answer holds */
    struct list parked_link;
    void (*resume)(struct request *request);
    size_t frame_size; /* counted in connection and broker */
    size_t cost;       /* counted in broker->memory.requests */
    uint8_t stage;     /* enum request_stage */
};

/* Zeroed memory that ends with the request. NULL: past the arena's limit, and request_fail was
 * called already: return at once. While a body is decoded the limit is 16 KiB + 4 x the frame; a
 * handler and its answer have config->request_arena_max_bytes. */
void *request_alloc(struct request *request, size_t size) MUST_CHECK;

/* Both: the request may be gone when they return. */
void request_finish(struct request *request);
void request_drop(struct request *request);
/* Nothing is freed inside: the connection closes when the loop comes back to it, and only then
 * cancels its other requests. `reason` is logged with the peer's address, once per connection. */
void request_fail(struct request *request, const char *reason);

/* The answer reveals state of this position: it leaves only when it is durable. May be called many
 * times. */
void request_depends(struct request *request, uint64_t lsn);
/* The answer points into the buffer: keep a reference until the bytes are sent (takes over the
 * caller's). */
void request_hold(struct request *request, struct buffer *buffer);

/* log_commit said -EAGAIN: the connection stops reading and handling; `resume` is called when the
 * ring has room (in the order of parking). */
void request_park(struct request *request, void (*resume)(struct request *request));

/* The request of the same connection that came before or after this one and has not left yet, or
 * NULL. */
struct request *request_before(const struct request *request);
struct request *request_after(const struct request *request);

/* The client has taken all that was sent to it before. */
bool request_client_reads(const struct request *request);

/* What the listener of this request advertises (the Metadata, FindCoordinator, DescribeCluster
 * answer). */
struct bytes request_advertised_host(const struct request *request);
int32_t request_advertised_port(const struct request *request);
/* The client's address as Kafka tells it in DescribeGroups: "/127.0.0.1". Valid as long as the
 * connection. */
const char *request_client_host(const struct request *request);

/* An errno from below as a Kafka code (the one place). 0 → NONE. */
int16_t request_error_of(int status);

#endif
