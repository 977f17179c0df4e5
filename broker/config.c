/*
 * See config.h.
 *
 * The way of a value: a source hands over key and text; the key is found in the table (or among the
 * prefixes that belong to parts which do not exist here), the text is checked by its type
 * (config_value.c) and kept as text with where it came from. broker_config_finish then fills the
 * fields from the texts in force, so the order of the sources does not matter to anybody else.
 *
 * Failure modes: everything wrong is one line in the report; all of it is told, not only the first.
 *
 * Invariants: values[i] belongs to config_keys[i]; a kept text has passed the check of its key.
 */
#include "broker/config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

#include "broker/assignor.h"
#include "broker/config_table.h"
#include "broker/properties.h"
#include "protocol/base/mem.h"
#include "protocol/base/nearest.h"
#include "storage/doors.h"

static const int64_t MS_PER_MINUTE = 60000, MS_PER_HOUR = 3600000;

/* ---- keys ---- */

static int compare_name(const void *wanted, const void *key)
{
    const struct config_key *at = key;
    return bytes_compare(*(const struct bytes *)wanted, bytes_text(at->name));
}

const struct config_key *config_key_find(struct bytes name)
{
    size_t count;
    const struct config_key *keys = config_keys(&count);
    if (name.len == 0)
        return NULL;
    return bsearch(&name, keys, count, sizeof(*keys), compare_name);
}

enum config_effect config_key_effect(const struct config_key *key)
{
    if (!key->topic_key)
        return key->effect;
    const struct topic_config_key *topic_key = topic_config_key(bytes_text(key->topic_key));
    return topic_key && topic_key->effective ? CONFIG_OBEYED : CONFIG_WITHOUT_EFFECT;
}

bool config_key_sensitive(const struct config_key *key)
{
    return key->type == CONFIG_PASSWORD;
}

static size_t index_of(const struct config_key *key)
{
    size_t count;
    return (size_t)(key - config_keys(&count));
}

const char *broker_config_value(const struct broker_config *config, const struct config_key *key,
    enum config_source *ret_source)
{
    const struct config_value *value = &config->values[index_of(key)];
    if (ret_source)
        *ret_source = value->source;
    return value->text ? value->text : key->default_text;
}

struct config_given config_given(const struct broker_config *config, const char *name)
{
    const struct config_key *key = config_key_find(bytes_text(name));
    CHECK(key);
    const struct config_value *value = &config->values[index_of(key)];
    return (struct config_given){
        .text = value->text ? value->text : key->default_text,
        .where = value->where ? value->where : "default",
        .set = value->source != CONFIG_FROM_DEFAULT,
    };
}

/* ---- reports ---- */

void config_report_done(struct config_report *report)
{
    out_done(&report->errors);
    out_done(&report->warnings);
}

void config_error(struct config_report *report, const char *where, const char *key,
    const char *value, const char *format, ...)
{
    char why[512];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(why, sizeof(why), format, args);
    va_end(args);
    if (value)
        out_printf(&report->errors, "%s: %s=%.200s: %s\n", where, key, value, why);
    else
        out_printf(&report->errors, "%s: %s: %s\n", where, key, why);
}

/* ---- life ---- */

void broker_config_init(struct broker_config *config)
{
    size_t count;
    (void)config_keys(&count);
    *config = (struct broker_config){ 0 };
    config->values = mem_zalloc(count, sizeof(*config->values));
}

static void value_done(struct config_value *value)
{
    mem_free(value->text);
    mem_free(value->where);
    *value = (struct config_value){ 0 };
}

void broker_config_done(struct broker_config *config)
{
    size_t count;
    const struct config_key *keys = config_keys(&count);
    for (size_t i = 0; i < count; i++) {
        if (config->values)
            value_done(&config->values[i]);
        if (keys[i].store == STORE_TEXT)
            mem_free(*(char **)((char *)config + keys[i].offset));
    }
    for (size_t i = 0; i < config->extra_count; i++) {
        mem_free(config->extras[i].name);
        mem_free(config->extras[i].text);
        mem_free(config->extras[i].where);
    }
    for (size_t i = 0; i < config->listener_count; i++) {
        mem_free(config->listeners[i].name);
        mem_free(config->listeners[i].host);
        mem_free(config->listeners[i].advertised_host);
    }
    for (size_t i = 0; i < config->address_limit_count; i++)
        mem_free(config->address_limits[i].host);
    mem_free(config->values);
    mem_free(config->extras);
    mem_free(config->listeners);
    mem_free(config->address_limits);
    mem_free(config->log_dir);
    *config = (struct broker_config){ 0 };
}

/* ---- one value ---- */

/* Keys of parts that read their own names: nobody here knows the names, only whose they are. */
static const char *const ignored_prefixes[] = {
    "log4j",
    "confluent.",
    "cruise.control.metrics.",
    "rsm.config.",
    "rlmm.config.",
    "remote.log.storage.manager.impl.",
    "remote.log.metadata.manager.impl.",
    "metrics.jmx.",
    "config.providers.",
    "metrics.context.",
};

static bool has_prefix(struct bytes text, const char *prefix)
{
    size_t len = strlen(prefix);
    return text.len > len && memcmp(text.data, prefix, len) == 0;
}

static void add_extra(
    struct broker_config *config, const char *where, struct bytes name, struct bytes value)
{
    if (config->extra_count == config->extra_capacity)
        mem_grow(config->extras, &config->extra_capacity, config->extra_count + 1);
    config->extras[config->extra_count++] = (struct config_extra){
        .name = mem_strndup((const char *)name.data, name.len),
        .text = mem_strndup(value.len ? (const char *)value.data : "", value.len),
        .where = mem_strdup(where),
    };
}

/* listener.name.NAME.KEY: the key is one of the broker's, after a mechanism for SASL. */
static const struct config_key *listener_key(struct bytes name)
{
    static const size_t prefix = sizeof("listener.name.") - 1;
    if (!has_prefix(name, "listener.name."))
        return NULL;
    for (size_t i = prefix; i < name.len; i++) {
        if (name.data[i] != '.')
            continue;
        struct bytes rest = bytes_of(name.data + i + 1, name.len - i - 1);
        const struct config_key *key = config_key_find(rest);
        if (key)
            return key;
    }
    return NULL;
}

static void unknown_key(
    struct config_report *report, const char *where, struct bytes name, bool lenient)
{
    char wanted[NEAREST_NAME_MAX];
    struct nearest nearest;
    size_t count;
    const struct config_key *keys = config_keys(&count);
    (void)snprintf(wanted, sizeof(wanted), "%.*s", (int)(name.len < 100 ? name.len : 100),
        name.len ? (const char *)name.data : "");
    nearest_init(&nearest, wanted);
    for (size_t i = 0; i < count; i++)
        nearest_offer(&nearest, keys[i].name);
    if (nearest.best && !(lenient && nearest.best_distance > 2))
        out_printf(&report->errors, "%s: nobody knows the key '%s'; did you mean %s?\n", where,
            wanted, nearest.best);
    else if (!lenient)
        out_printf(&report->errors,
            "%s: nobody knows the key '%s' (millrace serve --print-config lists all)\n", where,
            wanted);
    else
        out_printf(&report->warnings, "%s: no key of the broker, ignored\n", where);
}

/* With a lenient source a foreign name is only a warning. */
static void set_value(struct broker_config *config, enum config_source source, const char *where,
    struct bytes name, struct bytes value, struct config_report *report)
{
    const struct config_key *key = config_key_find(name), *checked = key;
    if (!key)
        checked = listener_key(name);
    for (size_t i = 0; !checked && i < ARRAY_COUNT(ignored_prefixes); i++) {
        if (has_prefix(name, ignored_prefixes[i])) {
            add_extra(config, where, name, value);
            return;
        }
    }
    if (!checked) {
        unknown_key(report, where, name, source == CONFIG_FROM_ENVIRONMENT);
        return;
    }
    struct out why = { 0 };
    char *text = NULL;
    if (config_value_check(checked, value, &text, &why)) {
        char *shown = config_key_sensitive(checked)
                          ? mem_strdup("(hidden)")
                          : mem_strndup(value.len ? (const char *)value.data : "", value.len);
        out_bytes(&why, "", 1);
        config_error(report, where, checked->name, shown, "%s", (const char *)why.data);
        mem_free(shown);
    } else if (key) {
        struct config_value *to = &config->values[index_of(key)];
        value_done(to);
        *to = (struct config_value){ .text = text, .where = mem_strdup(where), .source = source };
        text = NULL;
    } else {
        add_extra(config, where, name, bytes_text(text));
    }
    out_done(&why);
    mem_free(text);
}

void broker_config_set(struct broker_config *config, enum config_source source, const char *where,
    struct bytes key, struct bytes value, struct config_report *report)
{
    set_value(config, source, where, key, value, report);
}

/* ---- sources ---- */

void broker_config_set_properties(
    struct broker_config *config, const char *name, struct bytes text, struct config_report *report)
{
    struct properties properties;
    int status;
    properties_init(&properties, text);
    while ((status = properties_next(&properties)) != -ENOENT) {
        char *where = mem_printf("%s:%d", name, properties.line);
        struct bytes key = bytes_of(properties.key.data, properties.key.len);
        struct bytes value = bytes_of(properties.value.data, properties.value.len);
        if (status)
            out_printf(&report->errors, "%s: a broken \\u escape, or a NUL\n", where);
        else
            set_value(config, CONFIG_FROM_FILE, where, key, value, report);
        mem_free(where);
    }
    properties_done(&properties);
}

/* Variables of Kafka's start scripts, and what Kubernetes sets for a service called kafka. */
static bool foreign_variable(struct bytes name)
{
    static const char *const names[] = { "KAFKA_OPTS", "KAFKA_HEAP_OPTS", "KAFKA_JMX_OPTS",
        "KAFKA_JMX_PORT", "KAFKA_JMX_HOSTNAME", "KAFKA_JVM_PERFORMANCE_OPTS", "KAFKA_GC_LOG_OPTS",
        "KAFKA_VERSION", "KAFKA_HOME", "KAFKA_DEBUG", "KAFKA_MODE", "KAFKA_CLUSTER_ID",
        "KAFKA_CLASSPATH", "KAFKA_PORT", "KAFKA_URL", "KAFKA_MIRROR", "KAFKA_PID" };
    static const char *const starts[] = { "KAFKA_LOG4J", "KAFKA_TOOLS_LOG4J", "KAFKA_SERVICE_",
        "KAFKA_PORT_", "KAFKA_CONNECT_", "KAFKA_REST_", "KAFKA_DEBUG_" };
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        if (bytes_equal_text(name, names[i]))
            return true;
    }
    for (size_t i = 0; i < ARRAY_COUNT(starts); i++) {
        if (has_prefix(name, starts[i]))
            return true;
    }
    return false;
}

/* LISTENER_SECURITY_PROTOCOL_MAP → listener.security.protocol.map; ___ → -, __ → _, _ → '.' */
static char *key_of_variable(struct bytes name)
{
    char *key = mem_alloc(name.len + 1);
    size_t len = 0;
    for (size_t i = 0; i < name.len;) {
        size_t run = 0;
        while (run < 3 && i + run < name.len && name.data[i + run] == '_')
            run++;
        if (run) {
            key[len++] = "._-"[run - 1];
            i += run;
            continue;
        }
        uint8_t c = name.data[i++];
        key[len++] = (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
    }
    key[len] = 0;
    return key;
}

void broker_config_set_environment(
    struct broker_config *config, const char *const *environment, struct config_report *report)
{
    static const size_t prefix = sizeof("KAFKA_") - 1;
    for (; *environment; environment++) {
        const char *equals = strchr(*environment, '=');
        if (!equals)
            continue;
        struct bytes name = bytes_of(*environment, (size_t)(equals - *environment));
        if (!has_prefix(name, "KAFKA_") || foreign_variable(name))
            continue;
        char *key = key_of_variable(bytes_of(name.data + prefix, name.len - prefix));
        char *where = mem_printf("environment %.*s", (int)name.len, (const char *)name.data);
        set_value(config, CONFIG_FROM_ENVIRONMENT, where, bytes_text(key), bytes_text(equals + 1),
            report);
        mem_free(where);
        mem_free(key);
    }
}

void broker_config_set_option(
    struct broker_config *config, const char *option, struct config_report *report)
{
    const char *equals = strchr(option, '=');
    if (!equals || equals == option) {
        out_printf(&report->errors, "--set %s: key=value is wanted\n", option);
        return;
    }
    set_value(config, CONFIG_FROM_OPTION, "--set", bytes_of(option, (size_t)(equals - option)),
        bytes_text(equals + 1), report);
}

/* ---- finish ---- */

void text_list_split(struct text_list *list, const char *text)
{
    *list = (struct text_list){ 0 };
    while (text && *text) {
        size_t len = strcspn(text, ","), start = 0, end = len;
        while (start < end && strchr(" \t", text[start]))
            start++;
        while (end > start && strchr(" \t", text[end - 1]))
            end--;
        if (end > start) {
            if (list->count == list->capacity)
                mem_grow(list->items, &list->capacity, list->count + 1);
            list->items[list->count++] = mem_strndup(text + start, end - start);
        }
        text += len + (text[len] == ',');
    }
}

void text_list_done(struct text_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        mem_free(list->items[i]);
    mem_free(list->items);
    *list = (struct text_list){ 0 };
}

static int64_t given_number(const struct broker_config *config, const char *name)
{
    struct config_given given = config_given(config, name);
    int64_t number;
    CHECK(given.text && config_number(given.text, INT64_MIN, INT64_MAX, &number) == 0);
    return number;
}

static void store_value(
    struct broker_config *config, const struct config_key *key, const char *text)
{
    void *to = (char *)config + key->offset;
    int64_t number = 0;
    switch ((enum config_store)key->store) {
    case STORE_NOWHERE: return;
    case STORE_TEXT:
        mem_free(*(char **)to);
        *(char **)to = text && *text ? mem_strdup(text) : NULL;
        return;
    case STORE_DOUBLE: *(double *)to = text ? strtod(text, NULL) : 0; return;
    case STORE_BOOL: *(bool *)to = text && strcmp(text, "true") == 0; return;
    case STORE_INT32:
    case STORE_INT64: break;
    }
    if (text)
        CHECK(config_number(text, INT64_MIN, INT64_MAX, &number) == 0);
    if (key->store == STORE_INT32)
        *(int32_t *)to = (int32_t)number;
    else
        *(int64_t *)to = number;
}

static int32_t log_level_of(const char *text)
{
    static const char *const levels[] = { "error", "warning", "info", "debug" };
    for (size_t i = 0; i < ARRAY_COUNT(levels); i++)
        if (strcmp(text, levels[i]) == 0)
            return (int32_t)i;
    return LOG_INFO;
}

void broker_config_apply(
    struct broker_config *config, const struct config_key *key, const char *text)
{
    CHECK(key->store != STORE_TEXT);
    if (strcmp(key->name, "log.level") == 0) {
        config->log_level = log_level_of(text);
    } else if (!key->topic_key) {
        store_value(config, key, text);
    } else {
        int status = topic_config_set(
            &config->topic_defaults, bytes_text(key->topic_key), bytes_text(text), NULL, 0);
        CHECK(status == 0 || status == -ENOENT); /* the topics' table may lack it: no effect */
    }
}

static void set_topic_default(struct broker_config *config, const char *topic_key, const char *text,
    const char *where, struct config_report *report)
{
    char error[200] = "";
    int status = topic_config_set(
        &config->topic_defaults, bytes_text(topic_key), bytes_text(text), error, sizeof(error));
    if (status && status != -ENOENT)
        config_error(report, where, topic_key, text, "%s", error);
}

/* A coarser key of a topic's default; a finer one that is set afterwards wins. */
static void set_coarser(struct broker_config *config, const char *coarser, int64_t factor,
    const char *topic_key, struct config_report *report)
{
    struct config_given given = config_given(config, coarser);
    if (!given.set)
        return;
    int64_t number = given_number(config, coarser), product;
    if (number < 0)
        product = -1;
    else if (__builtin_mul_overflow(number, factor, &product))
        product = INT64_MAX;
    char text[32];
    (void)snprintf(text, sizeof(text), "%" PRId64, product);
    set_topic_default(config, topic_key, text, given.where, report);
}

static void finish_topics(struct broker_config *config, struct config_report *report)
{
    size_t count;
    const struct config_key *keys = config_keys(&count);
    config->topic_defaults = topic_config_default();
    set_coarser(config, "log.retention.hours", MS_PER_HOUR, "retention.ms", report);
    set_coarser(config, "log.retention.minutes", MS_PER_MINUTE, "retention.ms", report);
    set_coarser(config, "log.roll.hours", MS_PER_HOUR, "segment.ms", report);
    set_coarser(config, "log.roll.jitter.hours", MS_PER_HOUR, "segment.jitter.ms", report);
    set_coarser(config, "log.flush.scheduler.interval.ms", 1, "flush.ms", report);
    for (size_t i = 0; i < count; i++) {
        const struct config_value *value = &config->values[i];
        if (keys[i].topic_key && value->text)
            set_topic_default(config, keys[i].topic_key, value->text, value->where, report);
    }
}

static char *absolute_path(const char *path)
{
    char here[4096];
    if (path[0] == '/')
        return mem_strdup(path);
    if (!getcwd(here, sizeof(here)))
        return mem_strdup(path);
    return mem_printf("%s/%s", here, path);
}

char *config_default_dir(const char *home, bool root)
{
    if (root || !home || home[0] != '/')
        return mem_strdup("/var/lib/millrace");
    return mem_printf("%s/.local/share/millrace", home);
}

/* Puts the text of a default that was computed where broker_config_value finds it. */
static void set_computed(struct broker_config *config, const char *name, char *text)
{
    struct config_value *value = &config->values[index_of(config_key_find(bytes_text(name)))];
    if (value->text)
        mem_free(text);
    else
        *value = (struct config_value){ .text = text, .source = CONFIG_FROM_DEFAULT };
}

static void finish_dir(
    struct broker_config *config, const struct config_place *place, struct config_report *report)
{
    const char *name = config_given(config, "log.dirs").set ? "log.dirs" : "log.dir";
    struct config_given given = config_given(config, name);
    struct text_list dirs;
    text_list_split(&dirs, given.text);
    if (given.set && dirs.count == 0)
        config_error(report, given.where, name, given.text, "a directory is wanted");
    config->log_dir =
        dirs.count ? absolute_path(dirs.items[0]) : config_default_dir(place->home, place->root);
    if (dirs.count > 1)
        out_printf(&report->warnings, "%s: %s: only the first of %zu directories is used: %s\n",
            given.where, name, dirs.count, config->log_dir);
    text_list_done(&dirs);
    set_computed(config, "log.dirs", mem_strdup(config->log_dir));
}

static void finish_identity(struct broker_config *config, struct config_report *report)
{
    struct config_given roles = config_given(config, "process.roles");
    struct config_given node = config_given(config, "node.id");
    struct config_given broker = config_given(config, "broker.id");
    struct text_list list;
    bool is_broker = false;
    text_list_split(&list, roles.text);
    for (size_t i = 0; i < list.count; i++) {
        is_broker = is_broker || strcmp(list.items[i], "broker") == 0;
        if (strcmp(list.items[i], "broker") != 0 && strcmp(list.items[i], "controller") != 0)
            config_error(report, roles.where, "process.roles", roles.text,
                "'%s' is neither broker nor controller", list.items[i]);
    }
    if (list.count && !is_broker)
        config_error(report, roles.where, "process.roles", roles.text,
            "this is the file of a controller; Millrace is a broker that needs none");
    text_list_done(&list);
    int64_t id = broker.set ? given_number(config, "broker.id") : -1;
    if (id < 0) {
        set_computed(config, "broker.id", mem_printf("%" PRId32, config->node_id));
        return;
    }
    if (node.set && config->node_id != id)
        config_error(
            report, broker.where, "broker.id", broker.text, "node.id is %" PRId32, config->node_id);
    config->node_id = (int32_t)id;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* A message as large as may be sent fits into a unit of the write-ahead log (wal_group_max). */
static void finish_ring(struct broker_config *config)
{
    int64_t largest =
        least(config->topic_defaults.max_message_bytes, config->socket_request_max_bytes);
    if (config_given(config, "wal.file.bytes").set || config->wal_file_bytes / 16 * 5 >= largest)
        return;
    while (config->wal_file_bytes / 16 * 5 < largest)
        config->wal_file_bytes *= 2;
    set_computed(config, "wal.file.bytes", mem_printf("%" PRId64, config->wal_file_bytes));
}

/* memory.limit in shares: an eighth for large requests, an eighth for handling, a quarter for
 * answers, a sixteenth kept in the pool, a 32nd for fetch sessions; the write-ahead ring, indexes
 * and processors have the rest. */
static void finish_memory(
    struct broker_config *config, int64_t memory_available, struct config_report *report)
{
    static const int64_t limit_default = INT64_C(256) << 20, limit_min = INT64_C(64) << 20;
    if (config->memory_limit == 0) {
        int64_t half = memory_available > 0 ? memory_available / 2 : limit_default;
        config->memory_limit = least(limit_default, half < limit_min ? limit_min : half);
        set_computed(config, "memory.limit", mem_printf("%" PRId64, config->memory_limit));
    }
    int64_t queued = given_number(config, "queued.max.request.bytes");
    config->frames_bytes_max = config->memory_limit / 8;
    if (queued > 0)
        config->frames_bytes_max = queued < 65536 ? 65536 : queued;
    config->requests_bytes_max = config->memory_limit / 8;
    config->answers_bytes_max = config->memory_limit / 4;
    config->sessions_bytes_max = config->memory_limit / 32;
    config->groups_bytes_max = config->memory_limit / 8;
    config->buffers_kept_max = config->memory_limit / 16;
    config->request_arena_max_bytes =
        least(config->request_arena_max_bytes, config->memory_limit / 4);
    if (config->socket_request_max_bytes > config->frames_bytes_max) {
        struct config_given given = config_given(config, "socket.request.max.bytes");
        config->socket_request_max_bytes = (int32_t)config->frames_bytes_max;
        if (given.set)
            out_printf(&report->warnings,
                "%s: socket.request.max.bytes=%s: requests above %" PRId64
                " bytes are refused, the share of memory.limit=%" PRId64 "\n",
                given.where, given.text, config->frames_bytes_max, config->memory_limit);
    }
    finish_ring(config);
    if (config->wal_file_bytes & (config->wal_file_bytes - 1)) {
        struct config_given given = config_given(config, "wal.file.bytes");
        config_error(report, given.where, "wal.file.bytes", given.text, "not a power of two");
    }
}

/* Of a value, the least and the most that a group may set: in this order. */
static void check_between(const struct broker_config *config, const char *name, const char *low,
    const char *high, struct config_report *report)
{
    struct config_given given = config_given(config, name);
    int64_t value = given_number(config, name);
    if (value < given_number(config, low))
        config_error(
            report, given.where, name, given.text, "must be greater than or equal to %s", low);
    if (value > given_number(config, high))
        config_error(
            report, given.where, name, given.text, "must be less than or equal to %s", high);
}

static void finish_groups(struct broker_config *config, struct config_report *report)
{
    struct text_list assignors = { 0 };
    struct config_given given = config_given(config, "group.consumer.assignors");
    const char *policy = config_given(config, "group.consumer.migration.policy").text;
    config->group_consumer_upgrade =
        strcasecmp(policy, "upgrade") == 0 || strcasecmp(policy, "bidirectional") == 0;
    config->group_consumer_downgrade =
        strcasecmp(policy, "downgrade") == 0 || strcasecmp(policy, "bidirectional") == 0;
    check_between(config, "group.consumer.session.timeout.ms",
        "group.consumer.min.session.timeout.ms", "group.consumer.max.session.timeout.ms", report);
    check_between(config, "group.consumer.heartbeat.interval.ms",
        "group.consumer.min.heartbeat.interval.ms", "group.consumer.max.heartbeat.interval.ms",
        report);
    check_between(config, "group.consumer.assignment.interval.ms",
        "group.consumer.min.assignment.interval.ms", "group.consumer.max.assignment.interval.ms",
        report);
    if (config->group_consumer_heartbeat_interval_ms >= config->group_consumer_session_timeout_ms)
        config_error(report, config_given(config, "group.consumer.heartbeat.interval.ms").where,
            "group.consumer.heartbeat.interval.ms",
            config_given(config, "group.consumer.heartbeat.interval.ms").text,
            "must be less than group.consumer.session.timeout.ms");
    if (config->group_share_max_share_sessions < config->group_share_max_size)
        config_error(report, config_given(config, "group.share.max.share.sessions").where,
            "group.share.max.share.sessions",
            config_given(config, "group.share.max.share.sessions").text,
            "must be greater than or equal to group.share.max.size");
    text_list_split(&assignors, given.text ? given.text : "");
    for (size_t i = 0; i < assignors.count; i++)
        if (!assignor_find(bytes_text(assignors.items[i])))
            config_error(report, given.where, "group.consumer.assignors", given.text,
                "there is no assignor %s, only uniform and range", assignors.items[i]);
    if (assignors.count == 0)
        config_error(report, given.where, "group.consumer.assignors", given.text ? given.text : "",
            "needs at least one of uniform and range");
    text_list_done(&assignors);
}

static void name_ineffective(struct broker_config *config, struct config_report *report)
{
    size_t count, named = 0;
    const struct config_key *keys = config_keys(&count);
    for (size_t i = 0; i < count; i++) {
        if (config->values[i].source == CONFIG_FROM_DEFAULT ||
            config_key_effect(&keys[i]) != CONFIG_WITHOUT_EFFECT)
            continue;
        out_printf(
            &report->warnings, "%s %s", named++ ? "," : "without effect here:", keys[i].name);
    }
    for (size_t i = 0; i < config->extra_count; i++) {
        if (config->extras[i].used)
            continue;
        out_printf(&report->warnings, "%s %s",
            named++ ? "," : "without effect here:", config->extras[i].name);
    }
    if (named)
        out_text(&report->warnings, "\n");
}

void broker_config_finish(
    struct broker_config *config, const struct config_place *place, struct config_report *report)
{
    size_t count;
    const struct config_key *keys = config_keys(&count);
    for (size_t i = 0; i < count; i++)
        store_value(config, &keys[i], broker_config_value(config, &keys[i], NULL));
    const char *disk = config_given(config, "disk").text;
    config->disk = strcmp(disk, "io_uring") == 0 ? DISK_CHOICE_URING
                   : strcmp(disk, "plain") == 0  ? DISK_CHOICE_PLAIN
                                                 : DISK_CHOICE_AUTO;
    config->log_level = log_level_of(config_given(config, "log.level").text);
    finish_identity(config, report);
    finish_dir(config, place, report);
    finish_topics(config, report);
    finish_memory(config, place->memory_available, report);
    finish_groups(config, report);
    config_listeners(config, report);
    config_address_limits(config, report);
    name_ineffective(config, report);
}
