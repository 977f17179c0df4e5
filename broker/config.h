/*
 * config.h - the broker's keys: one table of every key of Kafka 4.3 and our own, where values come
 * from, and the struct that the broker runs on.
 *
 * Sources, later ones win: defaults, the properties FILE, the environment (KAFKA_NUM_PARTITIONS as
 * in Kafka's container image), --set key=value. What is wrong is told as "WHERE: KEY=VALUE: what is
 * allowed", and the broker does not start. A key nobody knows is refused with the nearest known
 * name.
 *
 * Every known key is obeyed, or without effect here (named once at start if somebody set it), or
 * refused where ignoring it would weaken security.
 */
#ifndef BROKER_CONFIG_H
#define BROKER_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/base/bytes.h"
#include "protocol/base/check.h"
#include "storage/topic_config.h"

/* ---- the table of keys: DescribeConfigs of the broker, --print-config, the docs ---- */

enum config_effect {
    CONFIG_OBEYED,
    CONFIG_WITHOUT_EFFECT,
    CONFIG_REFUSED, /* unless the value is the default, or says the same as none */
};

/* Where a value comes from; DescribeConfigs' source is 4 (static broker config) for all but
 * CONFIG_FROM_DEFAULT, which is 5 (default config). */
enum config_source {
    CONFIG_FROM_DEFAULT,
    CONFIG_FROM_FILE,
    CONFIG_FROM_ENVIRONMENT,
    CONFIG_FROM_OPTION
};

struct config_key {
    const char *name;
    const char *default_text; /* NULL: null */
    const char *doc;          /* one sentence, for people */
    const char *topic_key;    /* the topic's key whose default this is, or NULL */
    const char *allowed;      /* "a|b|c" of a text that is one of these; else NULL */
    enum config_type type;
    enum config_effect effect;
    uint8_t store;    /* config.c's own */
    uint16_t offset;  /* config.c's own */
    int64_t min, max; /* of a number; in the unit of the key */
};

/* By name, ascending. */
const struct config_key *config_keys(size_t *ret_count);
/* NULL if nobody knows it. */
const struct config_key *config_key_find(struct bytes name);
/* Of a topic's default: as the topic's table says. */
enum config_effect config_key_effect(const struct config_key *key);
/* May be changed at run time (overrides.h). What is without effect may be, too, where Kafka lets it
 * be. */
bool config_key_dynamic(const struct config_key *key);
/* The keys that say the same in other units, the key itself among them, the one that wins first. */
enum { CONFIG_FAMILY_MAX = 3 };
size_t config_key_family(
    const struct config_key *key, const struct config_key *ret_family[CONFIG_FAMILY_MAX]);
/* Checks one value of a key. 0 and the text to keep (units resolved; freed with mem_free), or
 * -EINVAL and what is allowed. */
int config_value_check(
    const struct config_key *key, struct bytes value, char **ret_text, struct out *why) MUST_CHECK;
/* Passwords and keys: their value is never told nor logged. */
bool config_key_sensitive(const struct config_key *key);

/* ---- what the broker runs on ---- */

struct listener_config {
    char *name;              /* "PLAINTEXT", upper case */
    char *host;              /* as written; "" is every address */
    int32_t port;            /* 0: the kernel picks one */
    char *advertised_host;   /* NULL: the address that the client connected to */
    int32_t advertised_port; /* 0: the port listened on */
    int32_t connections_max; /* of this listener: listener.name.NAME.max.connections */
    int32_t accept_rate_max; /* connections per second: ....max.connection.creation.rate */
};

struct address_limit { /* one of max.connections.per.ip.overrides */
    char *host;        /* an address or a name */
    int32_t connections_max;
};

enum disk_choice { DISK_CHOICE_AUTO, DISK_CHOICE_URING, DISK_CHOICE_PLAIN };

struct config_extra;

/* One value as it was given. */
struct config_value {
    char *text;  /* NULL: not set */
    char *where; /* for messages; NULL: nobody said it */
    enum config_source source;
};

/* Owned by whoever called broker_config_init; nothing in it changes while the broker runs. */
struct broker_config {
    /* who and where */
    int32_t node_id;
    char *rack;    /* NULL: none */
    char *log_dir; /* absolute; never NULL after broker_config_finish */
    struct listener_config *listeners;
    size_t listener_count;

    /* topics */
    struct topic_config topic_defaults;
    int32_t num_partitions;
    int32_t partitions_per_answer_max; /* of DescribeTopicPartitions */
    bool auto_create_topics, delete_topics;
    bool replication_factor_clamp; /* take any replication factor as 1 */

    /* clients */
    int64_t fetch_max_bytes;
    int32_t fetch_sessions_max;
    int64_t producer_id_expiration_ms, producer_id_check_ms;
    int32_t transaction_max_timeout_ms;
    bool transaction_partition_verification;
    int32_t transactional_id_expiration_ms;
    int32_t transaction_expiry_check_ms;
    int64_t transactions_max;
    int32_t offset_metadata_max_bytes;
    int32_t offsets_retention_minutes;
    int64_t offsets_check_ms; /* between two looks for offsets that are too old */
    int32_t group_initial_rebalance_delay_ms;
    int32_t group_min_session_timeout_ms, group_max_session_timeout_ms;
    int32_t group_max_size;
    int32_t group_consumer_session_timeout_ms;
    int32_t group_consumer_session_timeout_min_ms, group_consumer_session_timeout_max_ms;
    int32_t group_consumer_heartbeat_interval_ms;
    int32_t group_consumer_heartbeat_interval_min_ms, group_consumer_heartbeat_interval_max_ms;
    int32_t group_consumer_assignment_interval_ms;
    int32_t group_consumer_assignment_interval_min_ms, group_consumer_assignment_interval_max_ms;
    int32_t group_consumer_max_size;
    char *group_consumer_assignors;                        /* names, with commas between them */
    bool group_consumer_upgrade, group_consumer_downgrade; /* the migration policy */
    int32_t group_share_delivery_count_limit; /* these are defaults of groups: share_config.h */
    int32_t group_share_heartbeat_interval_ms, group_share_session_timeout_ms;
    int32_t group_share_record_lock_duration_ms, group_share_partition_max_record_locks;
    int32_t group_share_max_share_sessions, group_share_max_size;

    /* sockets */
    int32_t socket_request_max_bytes;
    int32_t socket_send_buffer_bytes, socket_receive_buffer_bytes; /* -1: the kernel's choice */
    int32_t socket_backlog;
    int32_t connections_max, connections_per_ip_max;
    int32_t accept_rate_max;
    int64_t connections_max_idle_ms;          /* -1: never */
    int64_t connections_first_request_max_ms; /* -1: never */
    struct address_limit *address_limits;
    size_t address_limit_count;

    /* memory: shares of memory_limit, see broker_config_finish */
    int64_t memory_limit;
    int64_t frames_bytes_max;   /* large requests that arrive or are handled, all connections */
    int64_t requests_bytes_max; /* what handling requests takes, all connections */
    int64_t answers_bytes_max;  /* answers that wait for slow clients, all connections */
    int64_t groups_bytes_max;   /* groups and their members */
    int64_t
        request_arena_max_bytes;   /* what one request may take to be answered, beside its frame */
    int64_t sessions_bytes_max;    /* what fetch sessions remember */
    int64_t buffers_kept_max;      /* of the buffer pool */
    int32_t inflight_requests_max; /* per connection: 64 */
    int64_t inflight_bytes_max;    /* per connection: 16 MiB (one larger request alone is fine) */

    int32_t log_level; /* enum log_level */

    /* storage */
    enum disk_choice disk;
    int64_t wal_file_bytes;
    int32_t wal_files_max;
    int64_t writeback_age_ms, checkpoint_ms;
    int64_t durability_interval_ms, durability_interval_bytes;
    int64_t retention_check_ms;
    bool cleaner_enable;
    int64_t cleaner_backoff_ms, cleaner_dedupe_bytes;
    double cleaner_bytes_per_second;
    int64_t disk_free_min_bytes; /* -1: storage's own choice */
    uint32_t segment_files_max;  /* no key: what the limit of open files leaves; 0: not known */
    bool accept_loss; /* the option --accept-loss: open although acknowledged data is damaged */

    struct config_value *values; /* as given, in the order of config_keys */
    struct config_extra
        *extras; /* keys with a prefix: listener.name.X.y, and such without effect */
    size_t extra_count, extra_capacity;
};

/* A list of lines about the configuration, for the operator. */
struct config_report {
    struct out errors;   /* each ends with a newline; empty: all is well */
    struct out warnings; /* each ends with a newline */
};
void config_report_done(struct config_report *report);

/* All keys at their defaults, nothing set. */
void broker_config_init(struct broker_config *config);
/* Accepts a zeroed one. */
void broker_config_done(struct broker_config *config);

/* Take values from a source; later calls win. `where` is for messages: "server.properties:12".
 * Everything wrong is added to report->errors; nothing else is touched by what is wrong. */
void broker_config_set(struct broker_config *config, enum config_source source, const char *where,
    struct bytes key, struct bytes value, struct config_report *report);
/* The bytes of a properties file called `name`. */
void broker_config_set_properties(struct broker_config *config, const char *name, struct bytes text,
    struct config_report *report);
/* "NAME=value" strings as in environ; everything but KAFKA_* is skipped. */
void broker_config_set_environment(
    struct broker_config *config, const char *const *environment, struct config_report *report);
/* "key=value" */
void broker_config_set_option(
    struct broker_config *config, const char *option, struct config_report *report);

/* What the machine says. */
struct config_place {
    int64_t memory_available; /* what the container allows; 0: nobody knows */
    const char *home;         /* of the user; NULL: none */
    bool root;
};

/* Fills every field from the values, checks what belongs together, splits memory.limit. One line of
 * warning names the keys that were set and are without effect. Call it once, after the sources. */
void broker_config_finish(
    struct broker_config *config, const struct config_place *place, struct config_report *report);

/* The text of a key's value in force, NULL for null; `ret_source` may be NULL. For a key whose
 * default depends on others (log.dirs) the value in force is told. Valid as long as the config. */
const char *broker_config_value(const struct broker_config *config, const struct config_key *key,
    enum config_source *ret_source);

/* Puts a text that config_value_check gave into the key's field, on top of what is there. Not for
 * fields of text. */
void broker_config_apply(
    struct broker_config *config, const struct config_key *key, const char *text);

/* The data directory when nobody names one: /var/lib/millrace for root (or without a home), else
 * HOME/.local/share/millrace. Freed with mem_free. */
char *config_default_dir(const char *home, bool root);

#endif
