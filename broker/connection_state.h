/* connection_state.h - the inside of a connection, for connection.c and request.c only. */
#ifndef BROKER_CONNECTION_STATE_H
#define BROKER_CONNECTION_STATE_H

#include "broker/connection.h"
#include "protocol/codec.h"
#include "protocol/frame.h"
#include "storage/timers.h"

enum { CONNECTION_SMALL_FRAME = 4096 }; /* not counted in broker->memory.frames */

/* A reference that ends when the stream of answers has been sent up to `position`. */
struct held_buffer {
    struct buffer *buffer;
    uint64_t position;
};

struct connection {
    struct broker *broker;
    struct transport *transport;
    const struct endpoint *endpoint;
    struct list link;          /* in broker->connections */
    struct list ready_link;    /* in broker->ready */
    struct list starving_link; /* in broker->starving */

    /* in */
    struct frame_input input;
    size_t reserved;     /* of a large frame that arrives, counted in broker->memory.frames */
    int64_t reserved_ns; /* since then */
    bool paused;         /* the transport was told */
    bool failed;         /* nothing is handled any more; the next turn closes */

    /* in flight */
    struct list requests; /* struct request, in the order they came */
    uint32_t request_count, parked_count;
    size_t request_bytes;

    /* out: `output` with the externals between its bytes; see connection_output */
    struct out output;
    struct externals externals;
    size_t output_sent;                /* bytes of `output` that went out */
    size_t external_next;              /* the first external not sent whole */
    size_t external_sent;              /* bytes of it that went out */
    size_t unsent;                     /* everything not sent */
    size_t text_unsent;                /* without record bytes; counted in memory.answers */
    uint64_t sent_total, queued_total; /* positions in the stream of answers */
    struct held_buffer *held;          /* by position, from held_first on */
    size_t held_first, held_count, held_capacity;

    struct timer idle;
    bool heard;         /* a whole request has come */
    int64_t created_ns; /* for the first one's deadline */
    int64_t active_ns;  /* the last time bytes came or went */
    int64_t sent_ns;    /* the last time bytes went, or began to wait */
    char peer[CONNECTION_PEER_SIZE], client_host[CONNECTION_PEER_SIZE];
};

/* ---- request.c, called by connection.c ---- */

/* Makes a request of the frame (whose reference it takes) and hands it to its handler. 0, or
 * -errno: the connection ends, a line was said. */
int request_begin(struct connection *connection, struct frame *frame) MUST_CHECK;
/* Its answer is in the output, or none is due: hands the buffers it held to the connection, and
 * frees it. */
void request_leave(struct request *request);
/* The connection goes away: takes the request back from wherever it waits, and frees it. */
void request_end(struct request *request);
/* From broker_turn: the parked requests, in order, as long as there is room. */
void requests_resume(struct broker *broker);

/* ---- connection.c, called by request.c ---- */

/* The answers at the front that are ready go to the output. */
void connection_advance(struct connection *connection);
/* Takes over a reference, with its share of memory.answers, until everything queued so far has been
 * sent. */
void connection_hold(struct connection *connection, struct buffer *buffer);
/* Closes at the next turn. `reason` is said once; NULL: nothing to say. */
void connection_fail(struct connection *connection, const char *reason);
/* The next turn goes on with it. */
void connection_ready(struct connection *connection);

/* ---- connection.c, called by broker.c ---- */

/* While others wait for memory: is this one to blame? Then it has failed. */
void connection_check_stalled(struct connection *connection, int64_t now_ns);
/* Does it still wait for memory? */
bool connection_starves(const struct connection *connection);

#endif
