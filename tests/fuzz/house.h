/*
 * house.h - for hostile bytes: a whole broker on the simulated machine (tests/sim), and four
 * clients whose bytes are anybody's. No Criterion: what is wrong is a CHECK, which every kind of
 * runner sees.
 *
 * The house listens: it cuts what a client sends into frames by itself and knows so which answers
 * are due. Each one that comes must be the next that is due (a Produce may be without), whole, and
 * of its API's form.
 */
#ifndef TESTS_FUZZ_HOUSE_H
#define TESTS_FUZZ_HOUSE_H

#include "broker/broker.h"
#include "broker/connection.h"
#include "processors/workers.h"
#include "protocol/codec.h"
#include "tests/sim/sim.h"

enum { HOUSE_CLIENTS = 4 };

struct house;

struct house_client {
    struct house *house;
    struct transport transport;
    struct connection *connection; /* NULL: closed, or never opened */
    bool paused;
    struct out waiting;  /* not taken yet by a paused connection */
    struct out sent;     /* taken, not yet cut into frames */
    struct out due;      /* struct due: requests whose answer has not come */
    struct out received; /* not yet whole answers */
    size_t due_first;    /* bytes of `due` that are done */
};

struct house {
    struct sim sim;
    struct workers_inline workers;
    struct broker_config config;
    struct broker *broker;
    struct endpoint endpoint;
    struct house_client clients[HOUSE_CLIENTS];
    uint64_t answers;
    bool stopped;
    /* Told of every answer, decoded; may be NULL. */
    void (*answered)(
        void *context, const struct api_schema *api, int16_t version, const void *body);
    void *context;
};

/* A machine with an empty disk, and a broker on it. */
void house_open(struct house *house, uint64_t seed, const char *properties);
/* Clients leave, every share of memory has come back, a clean stop; the machine stays. */
void house_stop(struct house *house);
/* kill -9 at this very point, or the power goes. */
void house_crash(struct house *house, bool power);
/* The next life on the same disk. */
void house_start(struct house *house, const char *properties);
/* After house_stop or house_crash. */
void house_done(struct house *house);

void house_turn(struct house *house);
/* Turns while virtual time passes. */
void house_pass(struct house *house, int64_t ms);
/* Connects the client if it is not. */
void house_send(struct house_client *client, const void *data, size_t len);
void house_drop(struct house_client *client);
bool house_is_open(const struct house_client *client);

#endif
