/*
 * overrides.h - values that were set at run time (AlterConfigs, IncrementalAlterConfigs) on this
 * broker, on all brokers, on groups and on client metrics. What is set on a topic is the topic's
 * own.
 *
 * They live in the store (STORE_CONFIG), so they are durable and there after a start. Of a broker's
 * keys the nearest counts: this broker's, that of all brokers, what was given at the start, the
 * default. broker->config is the configuration with all of that applied: read it where it is used,
 * and a change has effect at once.
 *
 *   key    resource type u8, name
 *   value  format u8 = 1 | count u32, { name len u16, value len u32, name, value } each
 */
#ifndef BROKER_OVERRIDES_H
#define BROKER_OVERRIDES_H

#include "broker/config.h"
#include "broker/request.h"
#include "broker/resource_config.h"

struct overrides;
struct unit;

/* Resources that have values of their own; beyond it new ones are refused. */
enum { OVERRIDES_RESOURCES_MAX = 10000 };

/* Kafka's numbers of sources; DescribeConfigs, CreateTopics. */
enum config_origin {
    ORIGIN_TOPIC = 1,       /* set on the topic */
    ORIGIN_THIS_BROKER = 2, /* set at run time */
    ORIGIN_ALL_BROKERS = 3, /* set at run time, for all */
    ORIGIN_START = 4,       /* given to the broker at its start */
    ORIGIN_DEFAULT = 5,     /* nobody said anything */
    ORIGIN_LOGGER = 6,
    ORIGIN_CLIENT_METRICS = 7,
    ORIGIN_GROUP = 8,
};

struct override_list {
    struct topic_config_entry *items; /* in an arena */
    size_t count, capacity;
};

/* Puts the broker's own configuration, with what the store holds applied, in place of
 * broker->config. The storage is open. */
struct overrides *overrides_create(struct broker *broker);
void overrides_destroy(struct overrides *overrides);

/* Of the broker's key, at ORIGIN_THIS_BROKER or ORIGIN_ALL_BROKERS; NULL: not set. Valid until the
 * next change. */
const char *overrides_text(
    const struct overrides *overrides, const struct config_key *key, enum config_origin origin);

/* What is set on a resource, into the request's arena; the answer waits until that is durable.
 * False: the request has failed. */
bool overrides_read(struct request *request, int8_t type, struct bytes name,
    struct override_list *ret_list) MUST_CHECK;
/* The same without a request, NULL if not set: for whoever obeys a group's or a metrics' key. The
 * text is valid until the next log_commit, and ends at its length. */
struct bytes overrides_find(
    struct broker *broker, int8_t type, struct bytes name, const char *key_name);
/* The whole list anew; an empty one takes the resource away. */
void overrides_put(
    struct unit *unit, int8_t type, struct bytes name, const struct override_list *list);
/* Whether one more resource may have values. */
bool overrides_room(struct broker *broker, int8_t type, struct bytes name);
/* A unit with broker's values was committed: they have effect from now on. */
void overrides_changed(struct overrides *overrides);
/* Names of the resources of a type that have values, in order; `each` must not commit. */
void overrides_each(struct broker *broker, int8_t type,
    bool (*each)(void *context, struct bytes name, uint64_t lsn), void *context);

/* The level of the only logger; in memory only, as Kafka does it. */
void overrides_set_log_level(struct overrides *overrides, int32_t level);

#endif
