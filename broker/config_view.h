/*
 * config_view.h - where the value of a key comes from, as DescribeConfigs and CreateTopics tell it.
 */
#ifndef BROKER_CONFIG_VIEW_H
#define BROKER_CONFIG_VIEW_H

#include "broker/overrides.h"
#include "storage/topic_config.h"

/* One place that says something about a key, or about a key of its family. */
struct config_link {
    const char *name, *text;
    enum config_origin origin;
};
enum { CONFIG_CHAIN_MAX = 4 * CONFIG_FAMILY_MAX };

/* All places that say something about a broker's key, the nearest first; those before the first
 * that names the key itself are left out, as Kafka does (so a value given in hours is no source of
 * the key in milliseconds). Texts are valid until the next change. The count. */
size_t config_chain(const struct broker *broker, const struct config_key *key,
    struct config_link links[CONFIG_CHAIN_MAX]);
/* The key of a topic's default, or NULL. */
const struct config_key *config_view_default(const struct topic_config_key *key);

struct config_view {
    struct bytes value; /* in the request's arena */
    enum config_origin origin;
};

/* One key of a topic. `effective` are all its values in force. A null value: the request has
 * failed. */
struct config_view config_view_of_topic(struct request *request, const struct topic_config_key *key,
    const struct topic_config *effective, const char *own_text);
/* What the entries say of a key, or NULL. */
const char *config_view_own_text(const struct topic_config_key *key,
    const struct topic_config_entry *entries, size_t entry_count);

#endif
