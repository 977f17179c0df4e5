/*
 * One table: a row per key, ordered by name. Each row has its own small parser and printer over its
 * field, made by the macros below, so that nothing else knows which key is which type.
 *
 * Keys of Kafka that mean nothing on one node (replica throttles, tiered storage) are known and
 * stored; their values are checked for their type and have no effect.
 */
#include "storage/topic_config.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "protocol/compress.h"

/* ---- parsers and printers of types --------------------------------------------------------- */

static int parse_whole(const char *text, int64_t low, int64_t high, int64_t *ret)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0 || value < low || value > high)
        return -EINVAL;
    *ret = value;
    return 0;
}

static int parse_bool(const char *text, bool *ret)
{
    bool is_true = strcasecmp(text, "true") == 0;
    if (!is_true && strcasecmp(text, "false") != 0)
        return -EINVAL;
    *ret = is_true;
    return 0;
}

/* The place of `text` in a list of words that ends with NULL, or -EINVAL. */
static int parse_word(const char *text, const char *const *words, int32_t *ret)
{
    for (int32_t i = 0; words[i]; i++) {
        if (strcmp(text, words[i]) == 0) {
            *ret = i;
            return 0;
        }
    }
    return -EINVAL;
}

#define WHOLE_KEY(field, low, high)                                                                \
    static int parse_##field(struct topic_config *config, const char *text)                        \
    {                                                                                              \
        return parse_whole(text, (low), (high), &config->field);                                   \
    }                                                                                              \
    static void print_##field(const struct topic_config *config, char *to, size_t size)            \
    {                                                                                              \
        (void)snprintf(to, size, "%" PRId64, config->field);                                       \
    }

#define BOOL_KEY(field)                                                                            \
    static int parse_##field(struct topic_config *config, const char *text)                        \
    {                                                                                              \
        return parse_bool(text, &config->field);                                                   \
    }                                                                                              \
    static void print_##field(const struct topic_config *config, char *to, size_t size)            \
    {                                                                                              \
        (void)snprintf(to, size, "%s", config->field ? "true" : "false");                          \
    }

#define WORD_KEY(field, words)                                                                     \
    static int parse_##field(struct topic_config *config, const char *text)                        \
    {                                                                                              \
        return parse_word(text, (words), &config->field);                                          \
    }                                                                                              \
    static void print_##field(const struct topic_config *config, char *to, size_t size)            \
    {                                                                                              \
        (void)snprintf(to, size, "%s", (words)[config->field]);                                    \
    }

/* Keys without a field: checked, stored by the topic as text, without effect. */
#define IDLE_KEY(name, check, default_text)                                                        \
    static int parse_##name(struct topic_config *config, const char *text)                         \
    {                                                                                              \
        (void)config;                                                                              \
        return (check);                                                                            \
    }                                                                                              \
    static void print_##name(const struct topic_config *config, char *to, size_t size)             \
    {                                                                                              \
        (void)config;                                                                              \
        (void)snprintf(to, size, "%s", (default_text));                                            \
    }

static int check_bool(const char *text)
{
    bool ignored;
    return parse_bool(text, &ignored);
}

static int check_whole(const char *text, int64_t low)
{
    int64_t ignored;
    return parse_whole(text, low, INT64_MAX, &ignored);
}

/* "*", or partition:broker pairs between commas; also empty. */
static int check_replicas(const char *text)
{
    if (strcmp(text, "*") == 0)
        return 0;
    while (*text) {
        for (int part = 0; part < 2; part++) {
            text += strspn(text, " ");
            size_t digits = strspn(text, "0123456789");
            text += digits;
            text += strspn(text, " ");
            if (digits == 0 || (part == 0 && *text != ':') || (*text && !strchr(":,", *text)))
                return -EINVAL;
            if (*text && (part == 1 || *text == ':'))
                text++;
        }
    }
    return 0;
}

/* ---- the keys ------------------------------------------------------------------------------ */

static const char *const durability_words[] = { "acks", "fsync", "interval", "os", NULL };
static const char *const timestamp_words[] = { "CreateTime", "LogAppendTime", NULL };

WHOLE_KEY(segment_bytes, 1024 * 1024, INT32_MAX)
WHOLE_KEY(segment_ms, 1, INT64_MAX)
WHOLE_KEY(segment_jitter_ms, 0, INT64_MAX)
WHOLE_KEY(segment_index_bytes, 4, INT32_MAX)
WHOLE_KEY(index_interval_bytes, 0, INT32_MAX)
WHOLE_KEY(retention_bytes, INT64_MIN, INT64_MAX)
WHOLE_KEY(retention_ms, -1, INT64_MAX)
WHOLE_KEY(file_delete_delay_ms, 0, INT64_MAX)
WHOLE_KEY(delete_retention_ms, 0, INT64_MAX)
WHOLE_KEY(min_compaction_lag_ms, 0, INT64_MAX)
WHOLE_KEY(max_compaction_lag_ms, 1, INT64_MAX)
WHOLE_KEY(max_message_bytes, 0, INT32_MAX)
WHOLE_KEY(min_insync_replicas, 1, INT32_MAX)
WHOLE_KEY(timestamp_before_max_ms, 0, INT64_MAX)
WHOLE_KEY(timestamp_after_max_ms, 0, INT64_MAX)
WHOLE_KEY(compression_lz4_level, 1, 17)
WHOLE_KEY(compression_zstd_level, -131072, 22)
WHOLE_KEY(flush_messages, 1, INT64_MAX)
WHOLE_KEY(flush_ms, 0, INT64_MAX)
BOOL_KEY(preallocate)
BOOL_KEY(unclean_leader_election)
WORD_KEY(durability, durability_words)
WORD_KEY(timestamp_type, timestamp_words)
IDLE_KEY(remote_bool, check_bool(text), "false")
IDLE_KEY(local_retention, check_whole(text, -2), "-2")
IDLE_KEY(remote_enable, strcasecmp(text, "false") == 0 ? 0 : -EINVAL, "false")
IDLE_KEY(throttled_replicas, check_replicas(text), "")

/* -1 (the codec's own choice) or 1 to 9. */
static int parse_compression_gzip_level(struct topic_config *config, const char *text)
{
    int64_t level;
    int status = parse_whole(text, -1, 9, &level);
    if (status < 0 || level == 0)
        return -EINVAL;
    config->compression_gzip_level = level;
    return 0;
}

static void print_compression_gzip_level(const struct topic_config *config, char *to, size_t size)
{
    (void)snprintf(to, size, "%" PRId64, config->compression_gzip_level);
}

static int parse_min_cleanable_dirty_ratio(struct topic_config *config, const char *text)
{
    char *end;
    errno = 0;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || errno != 0 || isnan(value) || value < 0 || value > 1)
        return -EINVAL;
    config->min_cleanable_dirty_ratio = value;
    return 0;
}

static void print_min_cleanable_dirty_ratio(
    const struct topic_config *config, char *to, size_t size)
{
    (void)snprintf(to, size, "%.15g", config->min_cleanable_dirty_ratio);
}

/* "producer" keeps what the producer chose; "uncompressed" is codec 0. */
static int parse_compression_type(struct topic_config *config, const char *text)
{
    enum codec codec;
    if (strcmp(text, "producer") == 0) {
        config->compression_type = -1;
        return 0;
    }
    if (strcmp(text, "uncompressed") == 0) {
        config->compression_type = CODEC_NONE;
        return 0;
    }
    if (!codec_by_name(bytes_text(text), &codec) || codec == CODEC_NONE)
        return -EINVAL;
    config->compression_type = (int32_t)codec;
    return 0;
}

static void print_compression_type(const struct topic_config *config, char *to, size_t size)
{
    const char *word = "producer";
    if (config->compression_type == CODEC_NONE)
        word = "uncompressed";
    else if (config->compression_type > 0)
        word = codec_name((enum codec)config->compression_type);
    (void)snprintf(to, size, "%s", word);
}

/* A list of "delete" and "compact", in any order, also empty (keep everything for ever). */
static int parse_cleanup_policy(struct topic_config *config, const char *text)
{
    int32_t policy = 0;
    while (*text) {
        text += strspn(text, " ");
        size_t len = strcspn(text, ", ");
        if (len == 6 && memcmp(text, "delete", 6) == 0)
            policy |= CLEANUP_DELETE;
        else if (len == 7 && memcmp(text, "compact", 7) == 0)
            policy |= CLEANUP_COMPACT;
        else
            return -EINVAL;
        text += len;
        text += strspn(text, " ");
        if (*text == ',' && text[1] != '\0')
            text++;
        else if (*text != '\0')
            return -EINVAL;
    }
    config->cleanup_policy = policy;
    return 0;
}

static void print_cleanup_policy(const struct topic_config *config, char *to, size_t size)
{
    static const char *const words[] = { "", "delete", "compact", "compact,delete" };
    (void)snprintf(to, size, "%s", words[config->cleanup_policy & 3]);
}

#define DO(field) .parse = parse_##field, .print = print_##field

#define FOREVER         "9223372036854775807"
#define ACCEPTS_AT(low) "a whole number of at least " low

/* clang-format off */
static const struct topic_config_key keys[] = {
    { "cleanup.policy", "log.cleanup.policy", "delete",
        "What happens to old records: delete them by age and size, compact them to the newest of "
        "each key, both, or (empty) nothing.",
        "a list of delete and compact", CONFIG_LIST, true, DO(cleanup_policy) },
    { "compression.gzip.level", "compression.gzip.level", "-1",
        "Level when this topic's compression.type is gzip.",
        "-1 or a whole number from 1 to 9", CONFIG_INT, true, DO(compression_gzip_level) },
    { "compression.lz4.level", "compression.lz4.level", "9",
        "Level when this topic's compression.type is lz4.",
        "a whole number from 1 to 17", CONFIG_INT, true, DO(compression_lz4_level) },
    { "compression.type", "compression.type", "producer",
        "How batches are stored: as the producer compressed them, or always by this codec.",
        "one of uncompressed, zstd, lz4, snappy, gzip, producer",
        CONFIG_STRING, true, DO(compression_type) },
    { "compression.zstd.level", "compression.zstd.level", "3",
        "Level when this topic's compression.type is zstd.",
        "a whole number from -131072 to 22", CONFIG_INT, true, DO(compression_zstd_level) },
    { "delete.retention.ms", "log.cleaner.delete.retention.ms", "86400000",
        "How long a tombstone stays in a compacted topic.",
        ACCEPTS_AT("0"), CONFIG_LONG, true, DO(delete_retention_ms) },
    { "durability", "durability", "acks",
        "What an acknowledgement promises: fsync (on stable media), interval (in the log file, "
        "flushed soon), os (in the log file), or acks: fsync for acks=all, interval for the rest.",
        "one of acks, fsync, interval, os", CONFIG_STRING, true, DO(durability) },
    { "file.delete.delay.ms", "log.segment.delete.delay.ms", "60000",
        "How long the file of a deleted segment stays on the disk.",
        ACCEPTS_AT("0"), CONFIG_LONG, true, DO(file_delete_delay_ms) },
    { "flush.messages", "log.flush.interval.messages", FOREVER,
        "1 means durability=fsync; other values have no effect.",
        ACCEPTS_AT("1"), CONFIG_LONG, true, DO(flush_messages) },
    { "flush.ms", "log.flush.interval.ms", FOREVER,
        "Any value below the default means durability=interval.",
        ACCEPTS_AT("0"), CONFIG_LONG, true, DO(flush_ms) },
    { "follower.replication.throttled.replicas", NULL, "",
        "Replication throttling; there is one node.",
        "'*' or a list of partition:broker", CONFIG_LIST, false, DO(throttled_replicas) },
    { "index.interval.bytes", "log.index.interval.bytes", "4096",
        "Bytes of log between two entries of a segment's index.",
        ACCEPTS_AT("0"), CONFIG_INT, true, DO(index_interval_bytes) },
    { "leader.replication.throttled.replicas", NULL, "",
        "Replication throttling; there is one node.",
        "'*' or a list of partition:broker", CONFIG_LIST, false, DO(throttled_replicas) },
    { "local.retention.bytes", "log.local.retention.bytes", "-2",
        "Tiered storage, which does not exist here.",
        ACCEPTS_AT("-2"), CONFIG_LONG, false, DO(local_retention) },
    { "local.retention.ms", "log.local.retention.ms", "-2",
        "Tiered storage, which does not exist here.",
        ACCEPTS_AT("-2"), CONFIG_LONG, false, DO(local_retention) },
    { "max.compaction.lag.ms", "log.cleaner.max.compaction.lag.ms", FOREVER,
        "A record of a compacted topic is looked at by the cleaner after this time at the latest.",
        ACCEPTS_AT("1"), CONFIG_LONG, true, DO(max_compaction_lag_ms) },
    { "max.message.bytes", "message.max.bytes", "1048588",
        "The largest record batch accepted, as compressed by the producer.",
        ACCEPTS_AT("0"), CONFIG_INT, true, DO(max_message_bytes) },
    { "message.timestamp.after.max.ms", "log.message.timestamp.after.max.ms", "3600000",
        "A record may be stamped this much later than the broker's clock.",
        ACCEPTS_AT("0"), CONFIG_LONG, true, DO(timestamp_after_max_ms) },
    { "message.timestamp.before.max.ms", "log.message.timestamp.before.max.ms", FOREVER,
        "A record may be stamped this much earlier than the broker's clock.",
        ACCEPTS_AT("0"), CONFIG_LONG, true, DO(timestamp_before_max_ms) },
    { "message.timestamp.type", "log.message.timestamp.type", "CreateTime",
        "Whose clock stamps records: the producer's (CreateTime) or the broker's (LogAppendTime).",
        "one of CreateTime, LogAppendTime", CONFIG_STRING, true, DO(timestamp_type) },
    { "min.cleanable.dirty.ratio", "log.cleaner.min.cleanable.ratio", "0.5",
        "A compacted log is cleaned when this part of it is new since the last time.",
        "a number from 0 to 1", CONFIG_DOUBLE, true, DO(min_cleanable_dirty_ratio) },
    { "min.compaction.lag.ms", "log.cleaner.min.compaction.lag.ms", "0",
        "A record of a compacted topic is left alone by the cleaner for this time.",
        ACCEPTS_AT("0"), CONFIG_LONG, true, DO(min_compaction_lag_ms) },
    { "min.insync.replicas", "min.insync.replicas", "1",
        "Replicas that must have a record before acks=all is answered. Cut to the replication "
        "factor, which is 1.",
        ACCEPTS_AT("1"), CONFIG_INT, false, DO(min_insync_replicas) },
    { "preallocate", "log.preallocate", "false",
        "Segment files are always allocated ahead in growing steps; this key changes nothing.",
        "true or false", CONFIG_BOOLEAN, false, DO(preallocate) },
    { "remote.log.copy.disable", NULL, "false",
        "Tiered storage, which does not exist here.",
        "true or false", CONFIG_BOOLEAN, false, DO(remote_bool) },
    { "remote.log.delete.on.disable", NULL, "false",
        "Tiered storage, which does not exist here.",
        "true or false", CONFIG_BOOLEAN, false, DO(remote_bool) },
    { "remote.storage.enable", NULL, "false",
        "Tiered storage, which does not exist here.",
        "false: there is no tiered storage", CONFIG_BOOLEAN, false, DO(remote_enable) },
    { "retention.bytes", "log.retention.bytes", "-1",
        "Above this size a partition loses its oldest segments; negative: no limit.",
        "a whole number", CONFIG_LONG, true, DO(retention_bytes) },
    { "retention.ms", "log.retention.ms", "604800000",
        "Records older than this go with their segment; -1: never.",
        ACCEPTS_AT("-1"), CONFIG_LONG, true, DO(retention_ms) },
    { "segment.bytes", "log.segment.bytes", "1073741824",
        "The size at which a new segment file begins.",
        "a whole number from 1048576 to 2147483647", CONFIG_INT, true, DO(segment_bytes) },
    { "segment.index.bytes", "log.index.size.max.bytes", "10485760",
        "A new segment file begins when the index of the old one would exceed this.",
        ACCEPTS_AT("4"), CONFIG_INT, true, DO(segment_index_bytes) },
    { "segment.jitter.ms", "log.roll.jitter.ms", "0",
        "segment.ms is shortened by up to this, differently for each segment.",
        ACCEPTS_AT("0"), CONFIG_LONG, true, DO(segment_jitter_ms) },
    { "segment.ms", "log.roll.ms", "604800000",
        "The age at which a new segment file begins.",
        ACCEPTS_AT("1"), CONFIG_LONG, true, DO(segment_ms) },
    { "unclean.leader.election.enable", "unclean.leader.election.enable", "false",
        "Leader election among replicas; there is one node.",
        "true or false", CONFIG_BOOLEAN, false, DO(unclean_leader_election) },
};
/* clang-format on */

/* ---- the face ------------------------------------------------------------------------------ */

const struct topic_config_key *topic_config_keys(size_t *ret_count)
{
    *ret_count = ARRAY_COUNT(keys);
    return keys;
}

const struct topic_config_key *topic_config_key(struct bytes name)
{
    for (size_t i = 0; i < ARRAY_COUNT(keys); i++) {
        if (bytes_equal_text(name, keys[i].name))
            return &keys[i];
    }
    return NULL;
}

struct topic_config topic_config_default(void)
{
    struct topic_config config = { 0 };
    for (size_t i = 0; i < ARRAY_COUNT(keys); i++)
        CHECK(keys[i].parse(&config, keys[i].default_text) == 0);
    return config;
}

static bool is_blank(uint8_t byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

static struct bytes bytes_trimmed(struct bytes text)
{
    while (text.len && is_blank(text.data[text.len - 1]))
        text.len--;
    while (text.len && is_blank(text.data[0]))
        text = bytes_of(text.data + 1, text.len - 1);
    return text;
}

int topic_config_set(struct topic_config *config, struct bytes name, struct bytes value,
    char *error, size_t error_size)
{
    const struct topic_config_key *key = topic_config_key(name);
    if (!key) {
        if (error)
            (void)snprintf(error, error_size, "unknown key");
        return -ENOENT;
    }
    value = bytes_trimmed(value);
    char text[TOPIC_CONFIG_VALUE_MAX + 1];
    bool fits = value.len <= TOPIC_CONFIG_VALUE_MAX && !memchr(value.data, '\0', value.len);
    if (fits) {
        memcpy(text, value.data, value.len);
        text[value.len] = '\0';
        if (key->parse(config, text) == 0)
            return 0;
    }
    if (error)
        (void)snprintf(error, error_size, "%s must be %s", key->name, key->accepts);
    return -EINVAL;
}

int topic_config_check(const struct topic_config *config, char *error, size_t error_size)
{
    if (config->min_compaction_lag_ms <= config->max_compaction_lag_ms)
        return 0;
    (void)snprintf(error, error_size,
        "min.compaction.lag.ms (%" PRId64 ") is above max.compaction.lag.ms (%" PRId64 ")",
        config->min_compaction_lag_ms, config->max_compaction_lag_ms);
    return -EINVAL;
}

enum durability topic_durability(const struct topic_config *config)
{
    if (config->durability != DURABILITY_ACKS)
        return (enum durability)config->durability;
    if (config->flush_messages == 1)
        return DURABILITY_FSYNC;
    if (config->flush_ms != INT64_MAX)
        return DURABILITY_INTERVAL;
    return DURABILITY_ACKS;
}
