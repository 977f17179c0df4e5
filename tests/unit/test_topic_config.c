/* The keys of a topic: the table, each key's parser and printer, the mode that holds. */
#include "storage/topic_config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/test.h"

static int set(struct topic_config *config, const char *name, const char *value)
{
    return topic_config_set(config, bytes_text(name), bytes_text(value), NULL, 0);
}

TEST(topic_config, table_is_ordered_and_prints_what_it_parses)
{
    size_t count;
    const struct topic_config_key *keys = topic_config_keys(&count);
    struct topic_config config = topic_config_default();
    cr_assert_geq(count, 34);
    for (size_t i = 0; i < count; i++) {
        char text[256];
        cr_assert(i == 0 || strcmp(keys[i - 1].name, keys[i].name) < 0, "%s", keys[i].name);
        cr_assert_eq(topic_config_key(bytes_text(keys[i].name)), &keys[i]);
        keys[i].print(&config, text, sizeof(text));
        cr_assert_str_eq(text, keys[i].default_text, "%s: %s", keys[i].name, text);
        cr_assert_eq(set(&config, keys[i].name, text), 0, "%s", keys[i].name);
    }
}

TEST(topic_config, defaults_are_kafkas)
{
    struct topic_config config = topic_config_default();
    cr_assert_eq(config.cleanup_policy, CLEANUP_DELETE);
    cr_assert_eq(config.segment_bytes, 1 << 30);
    cr_assert_eq(config.retention_ms, INT64_C(7) * 24 * 3600 * 1000);
    cr_assert_eq(config.retention_bytes, -1);
    cr_assert_eq(config.max_message_bytes, 1048588);
    cr_assert_eq(config.timestamp_after_max_ms, 3600000);
    cr_assert_eq(config.timestamp_before_max_ms, INT64_MAX);
    cr_assert_eq(config.compression_type, -1);
    cr_assert_eq(config.flush_ms, INT64_MAX);
    cr_assert_eq(topic_durability(&config), DURABILITY_ACKS);
}

TEST(topic_config, refuses_with_a_reason)
{
    static const struct {
        const char *name, *value;
    } bad[] = {
        { "segment.bytes", "1000" },
        { "segment.bytes", "2147483648" },
        { "segment.bytes", "" },
        { "segment.bytes", "1e9" },
        { "segment.bytes", "0x100000" },
        { "retention.ms", "-2" },
        { "retention.ms", "99999999999999999999" },
        { "cleanup.policy", "delete,," },
        { "cleanup.policy", "delete," },
        { "cleanup.policy", "deleted" },
        { "cleanup.policy", "compact delete" },
        { "compression.type", "none" },
        { "compression.type", "lzma" },
        { "compression.gzip.level", "0" },
        { "compression.lz4.level", "18" },
        { "message.timestamp.type", "createtime" },
        { "min.cleanable.dirty.ratio", "1.5" },
        { "min.cleanable.dirty.ratio", "nan" },
        { "preallocate", "yes" },
        { "remote.storage.enable", "maybe" },
        { "durability", "always" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        struct topic_config config = topic_config_default(), before = config;
        char error[128] = "";
        cr_assert_eq(topic_config_set(&config, bytes_text(bad[i].name), bytes_text(bad[i].value),
                         error, sizeof(error)),
            -EINVAL, "%s=%s", bad[i].name, bad[i].value);
        cr_assert(strstr(error, " must be "), "%s", error);
        cr_assert_eq(strncmp(error, bad[i].name, strlen(bad[i].name)), 0);
        cr_assert_eq(memcmp(&config, &before, sizeof(config)), 0, "%s changed", bad[i].name);
    }
    struct topic_config config = topic_config_default();
    cr_assert_eq(set(&config, "segment.byte", "1048576"), -ENOENT);
    char huge[TOPIC_CONFIG_VALUE_MAX + 2];
    memset(huge, 'x', sizeof(huge) - 1);
    huge[sizeof(huge) - 1] = '\0';
    cr_assert_eq(set(&config, "leader.replication.throttled.replicas", huge), -EINVAL);
    cr_assert_eq(topic_config_set(&config, bytes_text("retention.ms"), bytes_of("5\0", 2), NULL, 0),
        -EINVAL);
}

TEST(topic_config, accepts_what_kafka_accepts)
{
    struct topic_config config = topic_config_default();
    cr_assert_eq(set(&config, "cleanup.policy", "compact, delete"), 0);
    cr_assert_eq(config.cleanup_policy, CLEANUP_COMPACT | CLEANUP_DELETE);
    cr_assert_eq(set(&config, "cleanup.policy", ""), 0);
    cr_assert_eq(config.cleanup_policy, 0);
    cr_assert_eq(set(&config, "retention.ms", " -1 "), 0);
    cr_assert_eq(config.retention_ms, -1);
    cr_assert_eq(set(&config, "preallocate", "TRUE"), 0);
    cr_assert(config.preallocate);
    cr_assert_eq(set(&config, "compression.type", "uncompressed"), 0);
    cr_assert_eq(config.compression_type, 0);
    cr_assert_eq(set(&config, "compression.type", "zstd"), 0);
    cr_assert_eq(config.compression_type, 4);
    cr_assert_eq(set(&config, "message.timestamp.type", "LogAppendTime"), 0);
    cr_assert_eq(config.timestamp_type, TIMESTAMP_APPEND);
    cr_assert_eq(set(&config, "min.cleanable.dirty.ratio", "0.25"), 0);
    cr_assert_float_eq(config.min_cleanable_dirty_ratio, 0.25, 1e-9);
}

TEST(topic_config, durability_prefers_its_own_key)
{
    struct topic_config config = topic_config_default();
    cr_assert_eq(set(&config, "flush.ms", "1000"), 0);
    cr_assert_eq(topic_durability(&config), DURABILITY_INTERVAL);
    cr_assert_eq(set(&config, "flush.messages", "1"), 0);
    cr_assert_eq(topic_durability(&config), DURABILITY_FSYNC);
    cr_assert_eq(set(&config, "flush.messages", "2"), 0);
    cr_assert_eq(topic_durability(&config), DURABILITY_INTERVAL);
    cr_assert_eq(set(&config, "durability", "os"), 0);
    cr_assert_eq(topic_durability(&config), DURABILITY_OS);
}
