/*
 * connection.h - one client: bytes → frames → requests → answers → bytes. No socket.
 *
 * Bytes come in by reserve/received, so that the socket reads straight into the frame's memory.
 * Answers leave in the order of the requests through `output`, as a list of pieces; the transport
 * tells how much went out.
 *
 * Limits (broker_config): frame size, requests in flight, bytes in flight, bytes of answers not yet
 * sent. At a limit the connection says so through transport.pause and stops handling; it never
 * grows.
 */
#ifndef BROKER_CONNECTION_H
#define BROKER_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "broker/request.h"

/* The way out, filled by the socket or by a test. Called on the loop, never inside
 * connection_received of another connection. */
struct transport {
    void (*wants_output)(struct transport *transport);       /* there is something to send */
    void (*pause)(struct transport *transport, bool paused); /* stop / go on reading */
    void (*close)(
        struct transport *transport, const char *reason); /* close now; then connection_destroy */
};

/* Where the listener stands that the client came in on; answers advertise it. */
struct endpoint {
    const char *listener_name; /* "PLAINTEXT" */
    struct bytes host;
    int32_t port;
};

int connection_create(struct connection **ret_connection, struct broker *broker,
    struct transport *transport, const struct endpoint *endpoint, const char *peer) MUST_CHECK;
/* Cancels every waiting request. */
void connection_destroy(struct connection *connection);

/* Memory for the next bytes; *ret_len 0 while paused. Valid until connection_received. */
void connection_reserve(struct connection *connection, uint8_t **ret_data, size_t *ret_len);
/* len bytes were put there. 0, or -errno: the transport closes (a line was said). */
int connection_received(struct connection *connection, size_t len) MUST_CHECK;
/* For tests: copies bytes in as a socket would, in as many steps as needed. */
int connection_input(struct connection *connection, const void *data, size_t len) MUST_CHECK;

/* The next bytes to send, in order, as at most iov_max runs; 0: nothing. Valid until
 * connection_sent. */
int connection_output(struct connection *connection, struct iovec *iov, int iov_max);
void connection_sent(struct connection *connection, size_t len);

#endif
