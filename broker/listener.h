/*
 * listener.h - the addresses that clients come to, and who may come.
 *
 * Bound before the storage is opened (a port in use is told at once), listening after. Limits:
 * connections of all, of one listener, of one address, and how many new ones per second; and never
 * more than `sockets_max`, what the limit of open files leaves for them. Who is over a limit is
 * closed at once, said at most once per second; over a rate, accepting waits.
 */
#ifndef BROKER_LISTENER_H
#define BROKER_LISTENER_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "broker/broker.h"
#include "broker/connection.h"

/* A token bucket of connections per second. */
struct accept_rate {
    int32_t per_second; /* INT32_MAX: no limit */
    double tokens;
    int64_t filled_ns;
};

/* One listener of the configuration; its name may stand for several addresses. */
struct listener {
    struct listeners *owner;
    const struct listener_config *config;
    int32_t port; /* the real one */
    struct listener_port *ports;
    size_t port_count;
    uint32_t connections;
    struct accept_rate rate;
    struct timer resume;      /* accepting goes on */
    struct endpoint endpoint; /* what it advertises; host empty: the address the client came to */
};

struct listener_port {
    uv_poll_t poll;
    struct listener *listener;
    int fd;
    bool polled; /* the handle is open */
};

struct listeners {
    struct broker *broker; /* from listeners_start on */
    struct doors *doors;
    const struct broker_config *config;
    uv_loop_t *loop;
    struct listener *items;
    size_t count;
    uint32_t sockets_max;
    struct address_count **addresses; /* by hash */
    struct address_limit_in *limits;  /* overrides, resolved */
    size_t limit_count;
    struct accept_rate rate;
    struct list sockets; /* struct socket */
    struct list dirty;   /* struct socket: has something to send */
    int64_t said_second;
    uint32_t refused_unsaid;
};

/* Resolves and binds all; blocking. Errors are said through doors: -errno, and nothing to close. */
int listeners_bind(struct listeners *listeners, const struct broker_config *config,
    struct doors *doors, uv_loop_t *loop, uint32_t sockets_max) MUST_CHECK;
/* Listens and accepts; says each address. */
int listeners_start(struct listeners *listeners, struct broker *broker) MUST_CHECK;
/* No new connections. */
void listeners_stop(struct listeners *listeners);
/* Closes every connection; memory goes when the loop has run. */
void listeners_close_sockets(struct listeners *listeners);
/* After the loop has ended. Accepts a zeroed one. */
void listeners_done(struct listeners *listeners);
/* Sends what the turn made; once per turn. */
void listeners_flush(struct listeners *listeners);

/* ---- with socket.c ---- */

struct address_count {
    struct address_count *next;
    struct in6_addr address;
    uint32_t connections;
};
/* The connection of this address ended. */
void listener_forget(struct listener *listener, struct address_count *address);

#endif
