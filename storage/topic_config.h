/*
 * topic_config.h - the keys of a topic, one table for parsing, defaults, DescribeConfigs and the
 * docs.
 *
 * Names, types and defaults are Kafka 4.3's TopicConfig; `durability` is ours.
 */
#ifndef STORAGE_TOPIC_CONFIG_H
#define STORAGE_TOPIC_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/base/bytes.h"
#include "protocol/base/check.h"

enum durability { DURABILITY_ACKS, DURABILITY_FSYNC, DURABILITY_INTERVAL, DURABILITY_OS };
enum cleanup_policy { CLEANUP_DELETE = 1, CLEANUP_COMPACT = 2 }; /* bits */
enum timestamp_type { TIMESTAMP_CREATE = 0, TIMESTAMP_APPEND = 1 };

/* Values in the units of their keys; -1 means unlimited where Kafka says so. */
struct topic_config {
    int32_t cleanup_policy;
    int64_t segment_bytes, segment_ms, segment_jitter_ms, segment_index_bytes, index_interval_bytes;
    int64_t retention_bytes, retention_ms, file_delete_delay_ms, delete_retention_ms;
    int64_t min_compaction_lag_ms, max_compaction_lag_ms;
    double min_cleanable_dirty_ratio;
    int64_t max_message_bytes, min_insync_replicas;
    int32_t timestamp_type;
    int64_t timestamp_before_max_ms, timestamp_after_max_ms;
    int32_t compression_type; /* -1 = producer, else the codec's id */
    int64_t compression_gzip_level, compression_lz4_level, compression_zstd_level;
    int64_t flush_messages, flush_ms;
    bool preallocate, unclean_leader_election;
    int32_t durability; /* of the key; topic_durability applies flush.* */
};

/* A value set on a topic, as text. */
struct topic_config_entry {
    char *name, *value;
};

enum config_type { /* Kafka's ConfigDef types, with DescribeConfigs' numbers */
    CONFIG_BOOLEAN = 1,
    CONFIG_STRING = 2,
    CONFIG_INT = 3,
    CONFIG_SHORT = 4,
    CONFIG_LONG = 5,
    CONFIG_DOUBLE = 6,
    CONFIG_LIST = 7,
    CONFIG_CLASS = 8,
    CONFIG_PASSWORD = 9,
};

struct topic_config_key {
    const char *name;        /* "retention.ms" */
    const char *broker_name; /* its default's key on the broker: "log.retention.ms"; NULL: none */
    const char *default_text;
    const char *doc;     /* our own words */
    const char *accepts; /* "a whole number of at least 0": ends the sentence "must be ..." */
    enum config_type type;
    bool effective; /* false: known and stored, without effect here (the docs say so) */
    int (*parse)(struct topic_config *config, const char *text); /* 0 / -EINVAL */
    /* The value that holds, as text. A key without a field in struct topic_config (it is never
     * effective) prints its default: a topic that sets it keeps the text in its entries. */
    void (*print)(const struct topic_config *config, char *to, size_t size);
};

enum { TOPIC_CONFIG_VALUE_MAX = 4096 }; /* bytes of a value's text; longer is -EINVAL */

/* The table, ordered by name; ret_count keys. */
const struct topic_config_key *topic_config_keys(size_t *ret_count);
/* NULL if nobody knows it. */
const struct topic_config_key *topic_config_key(struct bytes name);
/* Kafka 4.3's defaults. */
struct topic_config topic_config_default(void);
/* Sets one key from text (blanks around it do not count). -ENOENT: unknown key; -EINVAL: the value
 * is not one (error, if given, says why in at most error_size bytes). */
int topic_config_set(struct topic_config *config, struct bytes name, struct bytes value,
    char *error, size_t error_size) MUST_CHECK;
/* Whether the values go together; -EINVAL: not, and why. */
int topic_config_check(
    const struct topic_config *config, char *error, size_t error_size) MUST_CHECK;
/* The mode that holds: flush.messages=1 means fsync, flush.ms means interval, unless `durability`
 * is set. */
enum durability topic_durability(const struct topic_config *config);

#endif
