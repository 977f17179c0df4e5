/*
 * client_test.h - a whole broker in a simulated world (tests/sim/sim.h), and clients that speak to
 * it in memory: encode a request, run the world, decode the answer.
 *
 *     struct world world;
 *     world_open(&world, (const char *[]){ "num.partitions=3", NULL });
 *     struct client *client = client_connect(&world);
 *     struct metadata_request request;
 *     codec_defaults(&metadata_request_message, &request);
 *     struct metadata_response *answer = client_call(client, API_METADATA, 12, &request);
 *     ...
 *     world_close(&world);
 *
 * Whatever goes wrong in here fails the test. Answers are valid until world_close or client_close.
 */
#ifndef TESTS_UNIT_CLIENT_TEST_H
#define TESTS_UNIT_CLIENT_TEST_H

#include "broker/broker.h"
#include "broker/connection.h"
#include "processors/workers.h"
#include "protocol/header.h"
#include "protocol/record.h"
#include "tests/sim/sim.h"

struct world {
    struct sim sim;
    struct workers_inline workers;
    struct broker_config config;
    struct broker *broker;
    struct list clients;
    bool closed;
};

struct client {
    struct transport transport;
    struct world *world;
    struct connection *connection; /* NULL: closed by the broker */
    struct list link;              /* in world->clients */
    struct arena arena;            /* requests' and answers' */
    struct out unsent;             /* requests that the broker did not take yet */
    struct out received;           /* bytes of answers not asked for yet */
    int32_t next_correlation;
    const char *id; /* client id; may be changed */
};

/* options: "key=value", the last NULL; NULL: none. log.dirs is set. */
void world_open(struct world *world, const char *const *options);
/* With a world whose sim was initialised (sim_init) by the caller, and may hold a data directory.
 */
void world_start(struct world *world, const char *const *options);
/* The same with --accept-loss. */
void world_start_accepting_loss(struct world *world, const char *const *options);
/* A graceful stop; closes all clients. The sim lives on until world_done. */
void world_stop(struct world *world);
/* The process dies: kill -9, or the power goes. */
void world_crash(struct world *world, bool power);
/* world_stop if needed, and the sim ends. */
void world_close(struct world *world);
/* One turn of the loop, and one event if there is one. False: nothing is left to happen. */
bool world_step(struct world *world);
/* Lets virtual time pass. */
void world_run(struct world *world, int64_t ms);
int64_t world_now_ms(struct world *world); /* monotonic */

struct client *client_connect(struct world *world);
void client_close(struct client *client);
/* Returns the correlation id. */
int32_t client_send(struct client *client, int16_t api, int16_t version, const void *request);
/* Raw bytes of a frame's body (behind the length). */
void client_send_raw(struct client *client, const void *data, size_t len);
/* The next answer, which must be that of the api. Runs the world until it is there. NULL: the
 * broker closed the connection. */
void *client_receive(struct client *client, int16_t api, int16_t version);
/* NULL if no whole answer has come by now; does not run the world. */
void *client_poll(struct client *client, int16_t api, int16_t version);
void *client_call(struct client *client, int16_t api, int16_t version, const void *request);
/* Zeroed memory that lives as long as the client. */
void *client_alloc(struct client *client, size_t size);

/* ---- things that many tests need ---- */

/* A topic of so many partitions, made by CreateTopics, with "key=value" configs (NULL: none). */
void client_create_topic(
    struct client *client, const char *name, int32_t partitions, const char *const *configs);
/* A batch of `count` records "value-<first + i>" at timestamp 1000 + i, in the client's memory. */
struct bytes client_batch(struct client *client, enum codec codec, int32_t first, int32_t count);
/* Produces one batch (version 8), acks=-1; the partition's row. */
struct produce_response_partition_produce_response *client_produce(
    struct client *client, const char *topic, int32_t partition, struct bytes batch);
struct produce_response_partition_produce_response *client_produce_at(struct client *client,
    int16_t version, int16_t acks, const char *topic, int32_t partition, struct bytes batch);
/* A fetch request of one partition; fields may be changed before it is sent. */
struct fetch_request *client_fetch_request(
    struct client *client, const char *topic, int32_t partition, int64_t offset);
/* Its only row. */
struct fetch_response_partition_data *client_fetch(
    struct client *client, int16_t version, const struct fetch_request *request);
struct uuid client_topic_id(struct client *client, const char *topic);

#endif
