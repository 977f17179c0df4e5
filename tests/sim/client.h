/*
 * client.h - one client of the simulated world: its connection, its requests in flight, and the
 * network that carries both.
 *
 * Bytes go up and down in pieces of any size, each after a while; the client may stall (not read
 * for long), and its connection may be cut at any byte. Requests are encoded and answers decoded
 * with the project's codec; every answer must be that of the oldest request that waits.
 *
 * A role (producer, consumer, ...) embeds a struct client and is driven by `step`.
 */
#ifndef TESTS_SIM_CLIENT_H
#define TESTS_SIM_CLIENT_H

#include "protocol/header.h"
#include "tests/sim/world.h"

struct client;

/* A request in flight; begins what its role needs to remember. `answered` sends nothing: it stores
 * what it heard and lets the client step again. */
struct call {
    struct list link; /* client->calls, in order */
    const struct api_schema *schema;
    int16_t version;
    int32_t correlation;
    uint64_t sent; /* the moment */
    int64_t sent_ns;
    /* Exactly once. answer NULL: the connection was lost first. Frees the call. */
    void (*answered)(struct client *client, struct call *call, void *answer);
};

struct client {
    struct transport transport; /* first */
    struct world *world;
    struct list link; /* world->clients */
    const char *role;
    int index;
    char name[32];

    struct connection *connection; /* NULL: not connected */
    struct out up, down;           /* bytes not delivered yet, bytes not understood yet */
    size_t delivered;              /* of up */
    size_t newest;                 /* where the newest request begins in up */
    struct event deliver, collect, cut;
    struct list calls;
    uint32_t call_count;
    int32_t next_correlation;
    int64_t lag_ns;     /* how long a piece is under way, at most */
    int64_t stalled_ns; /* until when it did not read, the last time */
    bool paused;
    bool connected;     /* the role has not been told of an end */
    bool may_be_closed; /* it does what the broker may close it for */
    bool alone;         /* no random cuts: the oracle's own client */
    struct arena arena; /* of an answer */

    struct event act;
    void (*step)(struct client *client); /* act fired */
    void (*lost)(struct client *client); /* the connection is gone, and every call was told */
    void (*destroy)(struct client *client);
};

/* In memory of the role's; added to the world. It steps after a short while. */
void client_init(struct client *client, struct world *world, const char *role, int index);
void client_done(struct client *client);

/* False: nobody listens now; try later. True also if it was connected already. */
bool client_connect(struct client *client);
/* Cuts the connection (soon, not inside): calls are told, then `lost`. */
void client_reset(struct client *client);
/* Sends a request; the caller filled call->answered. `body` may lie in world->scratch, which is
 * reset. without_answer: acks=0; the call is freed by mem_free at once. */
void client_send(struct client *client, struct call *call, int16_t api, int16_t version,
    const void *body, bool without_answer);
/* The request that was just sent, once more; the answer is for `copy`. */
void client_send_again(struct client *client, struct call *copy, const struct call *call);
/* Some version that is served, from `min` on. */
int16_t client_version(struct client *client, int16_t api, int16_t min);
/* Steps again after up to that many milliseconds. */
void client_again(struct client *client, int64_t ms_max);

/* The broker has died, or stops: what is in `connection` goes. With `drain` what it still had to
 * say is heard first. */
void client_disconnect(struct client *client, bool drain);
/* Behind client_disconnect: tells calls and role, outside of the broker. */
void client_forget(struct client *client);

/* Zeroed memory for the request that is being built. */
void *scratch_alloc(struct world *world, size_t size);
/* `count` elements with their defaults. */
void *scratch_array(struct world *world, const struct struct_table *table, int32_t count);

#endif
