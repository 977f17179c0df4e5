/*
 * config_view.h - where the value of a key comes from, as DescribeConfigs and CreateTopics tell it.
 */
#ifndef BROKER_CONFIG_VIEW_H
#define BROKER_CONFIG_VIEW_H

#include "broker/config.h"
#include "broker/request.h"
#include "storage/topic_config.h"

/* Kafka's numbers of sources, the nearest first. */
enum config_origin {
    ORIGIN_TOPIC = 1,   /* set on the topic */
    ORIGIN_BROKER = 4,  /* given to the broker at its start */
    ORIGIN_DEFAULT = 5, /* nobody said anything */
};

struct config_view {
    struct bytes value; /* null where there is none; in the request's arena, or static */
    enum config_origin origin;
};

/* By topic key, in the order of topic_config_keys: the key of the broker that somebody set and that
 * decides its default (log.retention.hours for retention.ms), or NULL. NULL as a whole: the request
 * has failed. */
const struct config_key **config_view_set_keys(struct request *request) MUST_CHECK;

/* One key of a topic. `effective` are all its values in force, `entries` those set on itself,
 * `set_key` the one of config_view_set_keys. */
struct config_view config_view_of_topic(struct request *request, const struct topic_config_key *key,
    const struct topic_config *effective, const char *own_text, const struct config_key *set_key);
/* What the entries say of a key, or NULL. */
const char *config_view_own_text(const struct topic_config_key *key,
    const struct topic_config_entry *entries, size_t entry_count);

#endif
