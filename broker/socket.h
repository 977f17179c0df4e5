/*
 * socket.h - one accepted TCP socket: bytes between the kernel and a connection.
 *
 * A raw non-blocking descriptor under a uv_poll_t, so reads go straight into the frame's memory and
 * answers leave by one writev of all their pieces. Owned by itself: it ends by socket_close, from
 * any of its callbacks or from outside, and is freed when libuv has let go.
 */
#ifndef BROKER_SOCKET_H
#define BROKER_SOCKET_H

#include <netinet/in.h>
#include <stdbool.h>
#include <uv.h>

#include "broker/connection.h"
#include "broker/listener.h"

struct socket {
    uv_poll_t poll;
    struct transport transport;
    struct connection *connection; /* NULL: closing */
    struct listener *listener;
    struct address_count *address;
    struct list link, dirty_link; /* in listeners->sockets, ->dirty */
    int fd;
    bool paused, wants_write;
    struct endpoint endpoint; /* when the listener does not know its address */
    char host[INET6_ADDRSTRLEN];
};

/* Takes over the descriptor; on failure it is closed. */
int socket_open(int fd, struct listener *listener, struct address_count *address,
    const struct sockaddr_storage *peer) MUST_CHECK;
/* Tries once to send what is ready, then ends. */
void socket_close(struct socket *socket);
/* Sends as much as goes. */
void socket_flush(struct socket *socket);

/* "127.0.0.1" or "::1"; an IPv4 address in IPv6's clothes loses them. Returns the port. */
int32_t socket_address_text(const struct sockaddr_storage *address, char *to, size_t size);

#endif
