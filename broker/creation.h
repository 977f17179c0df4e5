/*
 * creation.h - new topics into one unit, for CreateTopics and for Metadata's auto-creation.
 *
 * Limits: partitions that one request may create, and partitions of the whole broker (each costs
 * memory and a directory).
 */
#ifndef BROKER_CREATION_H
#define BROKER_CREATION_H

#include "broker/commit.h"
#include "broker/names.h"
#include "broker/request.h"

enum {
    CREATION_PARTITIONS_PER_REQUEST_MAX = 10000, /* Kafka's number */
    BROKER_PARTITIONS_MAX = 100000,
};

struct topic_plan {
    struct bytes name;
    int32_t partitions;
    const struct topic_config_entry *entries;
    size_t entry_count;
    struct uuid id; /* out: what the topic got; zero with validate_only */
};

/* One request's creations: zeroed but for `request`. Lives as long as the request's arena, within
 * one call of its handler. */
struct creation {
    struct request *request;
    struct commit *commit; /* made by the first topic that is fine; NULL: nothing to commit */
    bool validate_only;    /* check everything, add nothing to the unit */
    struct name_set folded;
    bool folded_ready;
    size_t topics_max; /* how many creation_add may add */
    int64_t partitions;
    void (*done)(struct request *request); /* of the commit */
};

/* Adds one topic. A Kafka error code; 0: it is part of the unit now. `ret_message` is set with an
 * error. The caller has checked that no name comes twice. -1 (UNKNOWN_SERVER_ERROR) with a null
 * message: the request has failed, return at once. */
int16_t creation_add(struct creation *creation, struct topic_plan *plan, struct bytes *ret_message);

/* Whether the broker may get `more` partitions on top of those the request creates already; else
 * the message. */
bool creation_room(
    struct request *request, int64_t in_request, int64_t more, struct bytes *ret_message);

#endif
