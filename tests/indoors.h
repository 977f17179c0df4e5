/*
 * indoors.h - for tests: a whole broker without sockets, on the simulated doors (tests/sim), and
 * clients that speak to it through connections in memory.
 *
 *     struct indoors world;
 *     indoors_open(&world, "group.initial.rebalance.delay.ms=100\n");
 *     struct indoors_client *client = indoors_connect(&world);
 *     indoors_send(client, bytes...);   indoors_turn(&world);   indoors_pass(&world, 100);
 *     ... client->received ...
 *     indoors_close(&world);
 */
#ifndef TESTS_INDOORS_H
#define TESTS_INDOORS_H

#include "broker/broker.h"
#include "broker/connection.h"
#include "processors/workers.h"
#include "protocol/codec.h"
#include "tests/sim/sim.h"

struct indoors {
    struct sim sim;
    struct workers_inline workers;
    struct broker_config config;
    struct broker *broker;
    struct list clients;
    struct out said; /* every line that was said */
    bool closed;
};

struct indoors_client {
    struct list link;
    struct indoors *world;
    struct transport transport;
    struct endpoint endpoint;
    struct connection *connection; /* NULL: the broker has closed it */
    struct out received;           /* everything it was sent */
    struct out waiting;            /* given to indoors_send, not yet taken by a paused connection */
    size_t read_max;               /* bytes it takes per turn; SIZE_MAX: all */
    bool paused;
};

/* `properties`: keys of the broker. Fails the test if the broker does not open. */
void indoors_open(struct indoors *world, const char *properties);
/* A clean stop; every share of memory must be given back. */
void indoors_close(struct indoors *world);
/* One turn of the loop: clients that wait go on, broker_turn, output is taken. */
void indoors_turn(struct indoors *world);
/* Turns while virtual time passes. */
void indoors_pass(struct indoors *world, int64_t ms);

struct indoors_client *indoors_connect(struct indoors *world);
/* Ends the client; closes its connection if the broker has not. */
void indoors_leave(struct indoors_client *client);
/* What a paused connection does not take waits for a later turn. */
void indoors_send(struct indoors_client *client, const void *data, size_t len);
/* A whole request; body: struct x_request. */
void indoors_request(struct indoors_client *client, int16_t key, int16_t version,
    int32_t correlation_id, const void *body);
/* Takes the next whole answer out of `received`: its correlation id and the body decoded into
 * `arena`; NULL: none yet. */
void *indoors_answer(struct indoors_client *client, int16_t key, int16_t version,
    int32_t *ret_correlation_id, struct arena *arena);
/* Only the correlation id of the next whole answer, -1: none yet. */
int32_t indoors_next(struct indoors_client *client);

#endif
