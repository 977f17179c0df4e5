/*
 * connection.h - one client: bytes → frames → requests → answers → bytes. No socket.
 *
 * Bytes come in by reserve/received, so that the socket reads straight into the frame's memory.
 * Answers leave in the order of the requests through `output`, as a list of pieces; the transport
 * tells how much went out.
 *
 * Limits: frame size (socket.request.max.bytes), requests in flight and their bytes
 * (connection.inflight.*), answers not yet sent (CONNECTION_OUTPUT_MAX), the share of memory of all
 * requests. At a limit the connection says so through transport.pause and stops handling; it never
 * grows. A connection without anything in flight goes on below the last.
 */
#ifndef BROKER_CONNECTION_H
#define BROKER_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "broker/request.h"

enum {
    CONNECTION_OUTPUT_MAX = 1024 * 1024, /* above it no further request is handled */
    CONNECTION_PEER_SIZE = 64,
};

/* The way out, filled by the socket or by a test. Called on the loop, never inside
 * connection_received of another connection. */
struct transport {
    /* There is something to send; called when there was nothing before. */
    void (*wants_output)(struct transport *transport);
    void (*pause)(struct transport *transport, bool paused); /* stop / go on reading */
    /* Close now and connection_destroy. Called from broker_turn only. */
    void (*close)(struct transport *transport);
};

/* Where the listener stands that the client came in on; answers advertise it. */
struct endpoint {
    const char *listener_name; /* "PLAINTEXT" */
    struct bytes host;
    int32_t port;
};

/* The endpoint stays the caller's and outlives the connection. peer: "127.0.0.1:51234" for the log,
 * client_host: "/127.0.0.1" for DescribeGroups; both are copied. */
struct connection *connection_create(struct broker *broker, struct transport *transport,
    const struct endpoint *endpoint, const char *peer, const char *client_host);
/* Cancels every waiting request. */
void connection_destroy(struct connection *connection);

/* Memory for the next bytes; *ret_len 0 while paused or failed. Valid until connection_received. */
void connection_reserve(struct connection *connection, uint8_t **ret_data, size_t *ret_len);
/* len bytes were put there. 0, or -errno: the transport closes (a line was said). */
int connection_received(struct connection *connection, size_t len) MUST_CHECK;
/* For tests: copies bytes in as a socket would, in as many steps as needed, as long as the
 * connection is not paused. Returns what was taken in *ret_taken. */
int connection_input(
    struct connection *connection, const void *data, size_t len, size_t *ret_taken) MUST_CHECK;

/* The next bytes to send, in order, as at most iov_max runs; 0: nothing. Valid until
 * connection_sent. */
int connection_output(struct connection *connection, struct iovec *iov, int iov_max);
void connection_sent(struct connection *connection, size_t len);
/* Nothing in flight and nothing to send. */
bool connection_idle(const struct connection *connection);

/* Between broker.c, request.c and connection.c: goes on with what waits (from broker_turn). */
void connection_go_on(struct connection *connection);

#endif
