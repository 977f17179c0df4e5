/*
 * resource_config.h - the keys of consumer groups (KIP-848 and its sisters) and of client metrics
 * (KIP-714): stored and checked as Kafka 4.3 does.
 *
 * A group's key X has its default in the broker's key group.X, and is bounded by
 * group.KIND.min.REST and group.KIND.max.REST where these exist.
 */
#ifndef BROKER_RESOURCE_CONFIG_H
#define BROKER_RESOURCE_CONFIG_H

#include "broker/config.h"

/* Kafka's numbers. */
enum resource_type {
    RESOURCE_TOPIC = 2,
    RESOURCE_BROKER = 4,
    RESOURCE_BROKER_LOGGER = 8,
    RESOURCE_CLIENT_METRICS = 16,
    RESOURCE_GROUP = 32,
};

/* Of RESOURCE_GROUP or RESOURCE_CLIENT_METRICS, by name ascending. */
const struct config_key *resource_keys(int8_t type, size_t *ret_count);
/* NULL if nobody knows it. */
const struct config_key *resource_key_find(int8_t type, struct bytes name);
/* The broker's key that has the default, or NULL: it is key->default_text. */
const struct config_key *resource_key_default(const struct config_key *key);

/* One value: -EINVAL and why. */
int resource_value_check(const struct broker_config *config, const struct config_key *key,
    const char *text, struct out *why) MUST_CHECK;
/* Of all values of a group together: texts[i] is that of the i-th key, NULL if not set. */
int resource_values_check(const struct broker_config *config, int8_t type, const char *const *texts,
    struct out *why) MUST_CHECK;

#endif
