/*
 * See topics.h. A change of a topic is always its whole new value, put under its name; what differs
 * from the topic in memory takes effect: new logs, another configuration, another topic of the same
 * name (another id: the old one is deleted first).
 *
 * A deleted topic leaves the maps at once and waits in a list until nobody holds it.
 */
#include "storage/topics.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "protocol/base/mem.h"
#include "storage/owner.h"

enum { VALUE_FORMAT = 1 };

static int compare_name(const void *key, const struct tree_node *node)
{
    const struct bytes *name = key;
    return bytes_compare(*name, bytes_text(container_of_const(node, struct topic, by_name)->name));
}

static int compare_id(const void *key, const struct tree_node *node)
{
    const struct uuid *id = key;
    return memcmp(id->b, container_of_const(node, struct topic, by_id)->id.b, sizeof(id->b));
}

void topics_init(struct topics *topics)
{
    *topics = (struct topics){
        .by_name = { .compare = compare_name },
        .by_id = { .compare = compare_id },
    };
    list_init(&topics->deleted);
}

/* ---- life of a topic ----------------------------------------------------------------------- */

static void entries_free(struct topic *topic)
{
    for (size_t i = 0; i < topic->entry_count; i++) {
        mem_free(topic->entries[i].name);
        mem_free(topic->entries[i].value);
    }
    mem_free(topic->entries);
    topic->entries = NULL;
    topic->entry_count = 0;
}

static void topic_destroy(struct topic *topic)
{
    for (int32_t i = 0; i < topic->log_count; i++)
        log_destroy(topic->logs[i]);
    mem_free(topic->logs);
    entries_free(topic);
    mem_free(topic->name);
    mem_free(topic);
}

static void topic_unlink(struct storage *storage, struct topic *topic)
{
    struct bytes name = bytes_text(topic->name);
    (void)tree_remove(&storage->topics.by_name, &name);
    (void)tree_remove(&storage->topics.by_id, &topic->id);
}

void topics_done(struct storage *storage)
{
    for (struct tree_node *node; (node = tree_first(&storage->topics.by_name));) {
        struct topic *topic = container_of(node, struct topic, by_name);
        topic_unlink(storage, topic);
        topic_destroy(topic);
    }
    for (struct list *node; (node = list_pop(&storage->topics.deleted));)
        topic_destroy(list_entry(node, struct topic, link));
}

static bool topic_is_held(const struct topic *topic)
{
    if (topic->holds)
        return true;
    for (int32_t i = 0; i < topic->log_count; i++) {
        if (!list_empty(&topic->logs[i]->waiters))
            return true;
    }
    return false;
}

void topics_reap(struct storage *storage)
{
    list_foreach_safe (node, following, &storage->topics.deleted) {
        struct topic *topic = list_entry(node, struct topic, link);
        if (topic_is_held(topic))
            continue;
        list_remove(node);
        topic_destroy(topic);
    }
}

void topic_hold(struct topic *topic)
{
    topic->holds++;
}

void topic_release(struct topic *topic)
{
    CHECK(topic->holds > 0);
    topic->holds--;
}

static void topic_delete(struct storage *storage, struct topic *topic, uint64_t lsn)
{
    topic_unlink(storage, topic);
    topic->deleted = true;
    topic->lsn = storage->topics.deletion_lsn = lsn;
    list_append(&storage->topics.deleted, &topic->link);
    for (int32_t i = 0; i < topic->log_count; i++) {
        uint8_t key[4];
        be_put32(key, topic->logs[i]->body->id);
        (void)store_put(
            &storage->store, STORE_LOG, bytes_of(key, sizeof(key)), (struct bytes){ 0 }, lsn);
        log_abandon(topic->logs[i], lsn);
    }
}

static struct topic *topic_create(struct storage *storage, struct bytes name, const struct uuid *id)
{
    struct topic *topic = mem_zalloc(1, sizeof(*topic));
    topic->name = mem_strndup((const char *)name.data, name.len);
    topic->id = *id;
    list_init(&topic->link);
    tree_insert(&storage->topics.by_name, &name, &topic->by_name);
    tree_insert(&storage->topics.by_id, id, &topic->by_id);
    return topic;
}

static void topic_evaluate(struct storage *storage, struct topic *topic);

struct topic *storage_add_computed(struct storage *storage, struct bytes name,
    const struct uuid *id, int32_t partitions, const struct topic_config_entry *entries,
    size_t entry_count, const struct log_source *source)
{
    if (storage_topic(storage, name) || storage_topic_by_id(storage, id))
        return NULL;
    struct topic *topic = topic_create(storage, name, id);
    topic->computed = true;
    topic->entries = mem_zalloc(entry_count, sizeof(*topic->entries));
    for (; topic->entry_count < entry_count; topic->entry_count++)
        topic->entries[topic->entry_count] =
            (struct topic_config_entry){ mem_strdup(entries[topic->entry_count].name),
                mem_strdup(entries[topic->entry_count].value) };
    topic_evaluate(storage, topic);
    topic->logs = mem_zalloc((size_t)partitions, sizeof(struct log *));
    for (; topic->log_count < partitions; topic->log_count++) {
        struct log *log = mem_zalloc(1, sizeof(*log));
        log->topic = topic;
        log->partition = topic->log_count;
        log->leader_epoch = (int32_t)storage->epoch;
        log->source = source;
        list_init(&log->waiters);
        topic->logs[topic->log_count] = log;
    }
    return topic;
}

/* ---- a value takes effect ------------------------------------------------------------------ */

/* What a value holds; runs borrow from it. */
struct topic_value {
    struct uuid id;
    uint32_t log_count;
    struct bytes log_ids;
    uint32_t entry_count;
    struct cursor entries;
};

static bool next_entry(struct cursor *cursor, struct bytes *name, struct bytes *value)
{
    uint16_t name_len = cursor_u16(cursor);
    uint32_t value_len = cursor_u32(cursor);
    *name = cursor_bytes(cursor, name_len);
    *value = cursor_bytes(cursor, value_len);
    return !cursor->bad;
}

static int value_parse(struct bytes bytes, struct topic_value *ret)
{
    struct cursor cursor = cursor_of(bytes);
    if (cursor_u8(&cursor) != VALUE_FORMAT)
        return -EUCLEAN;
    struct bytes id = cursor_bytes(&cursor, sizeof(ret->id.b));
    if (id.data)
        memcpy(ret->id.b, id.data, id.len);
    ret->log_count = cursor_count(&cursor, 4);
    ret->log_ids = cursor_bytes(&cursor, (size_t)ret->log_count * 4);
    ret->entry_count = cursor_count(&cursor, 6);
    ret->entries = cursor;
    struct bytes name, value;
    for (uint32_t i = 0; i < ret->entry_count; i++)
        (void)next_entry(&cursor, &name, &value);
    return cursor.bad || cursor.left || ret->log_count == 0 ? -EUCLEAN : 0;
}

/* What holds: the topic's own values over the defaults. */
static void topic_evaluate(struct storage *storage, struct topic *topic)
{
    topic->config = storage->config.defaults;
    for (size_t i = 0; i < topic->entry_count; i++) {
        char error[256];
        const struct topic_config_entry *entry = &topic->entries[i];
        if (topic_config_set(&topic->config, bytes_text(entry->name), bytes_text(entry->value),
                error, sizeof(error)) < 0)
            doors_say(storage->doors, LOG_WARNING, "topic %s: stored setting %s has no effect: %s",
                topic->name, entry->name, error);
    }
}

static void topic_configure(
    struct storage *storage, struct topic *topic, const struct topic_value *value)
{
    entries_free(topic);
    if (value->entry_count)
        topic->entries = mem_zalloc(value->entry_count, sizeof(*topic->entries));
    struct cursor cursor = value->entries;
    for (uint32_t i = 0; i < value->entry_count; i++) {
        struct bytes name, text;
        (void)next_entry(&cursor, &name, &text);
        topic->entries[i].name = mem_strndup((const char *)name.data, name.len);
        topic->entries[i].value = mem_strndup((const char *)text.data, text.len);
        topic->entry_count++;
    }
    topic_evaluate(storage, topic);
}

void storage_set_defaults(struct storage *storage, const struct topic_config *defaults)
{
    storage->config.defaults = *defaults;
    for (struct topic *topic = storage_topic_next(storage, NULL); topic;
         topic = storage_topic_next(storage, topic))
        topic_evaluate(storage, topic);
}

/* The logs that the topic does not have yet. */
static int topic_add_logs(
    struct storage *storage, struct topic *topic, const struct topic_value *value)
{
    for (int32_t i = 0; i < topic->log_count; i++) {
        if (le_get32(value->log_ids.data + (size_t)i * 4) != topic->logs[i]->body->id)
            return -EUCLEAN;
    }
    topic->logs = mem_realloc(topic->logs, value->log_count * sizeof(*topic->logs));
    while ((uint32_t)topic->log_count < value->log_count) {
        uint32_t id = le_get32(value->log_ids.data + (size_t)topic->log_count * 4);
        if (id == 0 || id == UINT32_MAX || topics_log_by_id(storage, id))
            return -EUCLEAN;
        topic->logs[topic->log_count] = log_create(storage, topic, topic->log_count, id);
        topic->log_count++;
        if (id >= storage->next_log)
            storage->next_log = id + 1;
    }
    return 0;
}

/* May `name`-`count - 1` be the name of a directory below ours? */
static int name_check(struct bytes name, uint32_t count)
{
    char digits[16];
    int digits_len = snprintf(digits, sizeof(digits), "%" PRIu32, count - 1);
    if (name.len == 0 || bytes_equal_text(name, ".") || bytes_equal_text(name, "..") ||
        memchr(name.data, '/', name.len) || memchr(name.data, '\0', name.len))
        return -EINVAL;
    if (name.len > TOPIC_NAME_MAX || name.len + 1 + (size_t)digits_len > DIRECTORY_NAME_MAX)
        return -ENAMETOOLONG;
    return 0;
}

int topics_apply(struct storage *storage, struct bytes name, struct bytes value, uint64_t lsn)
{
    struct topic *topic = storage_topic(storage, name);
    CHECK(!topic || !topic->computed); /* units refuse it */
    storage->topics.version++;
    if (!value.data) {
        if (topic)
            topic_delete(storage, topic, lsn);
        return 0;
    }
    struct topic_value parsed;
    if (value_parse(value, &parsed) < 0 || name_check(name, parsed.log_count) < 0 ||
        parsed.log_count > INT32_MAX)
        return -EUCLEAN;
    if (topic && !uuid_equal(topic->id, parsed.id)) {
        topic_delete(storage, topic, lsn);
        topic = NULL;
    }
    if (!topic && storage_topic_by_id(storage, &parsed.id))
        return -EUCLEAN;
    if (!topic)
        topic = topic_create(storage, name, &parsed.id);
    topic->lsn = lsn;
    topic_configure(storage, topic, &parsed);
    if ((uint32_t)topic->log_count > parsed.log_count)
        return -EUCLEAN;
    return topic_add_logs(storage, topic, &parsed);
}

/* ---- the face: looking ---------------------------------------------------------------------- */

struct topic *storage_topic(const struct storage *storage, struct bytes name)
{
    struct tree_node *node = tree_find(&storage->topics.by_name, &name);
    return node ? container_of(node, struct topic, by_name) : NULL;
}

struct topic *storage_topic_by_id(const struct storage *storage, const struct uuid *id)
{
    struct tree_node *node = tree_find(&storage->topics.by_id, id);
    return node ? container_of(node, struct topic, by_id) : NULL;
}

uint64_t storage_deletion_lsn(const struct storage *storage)
{
    return storage->topics.deletion_lsn;
}

struct topic *storage_topic_next(const struct storage *storage, const struct topic *after)
{
    struct tree_node *node;
    if (after) {
        struct bytes name = bytes_text(after->name);
        node = tree_after(&storage->topics.by_name, &name);
    } else {
        node = tree_first(&storage->topics.by_name);
    }
    return node ? container_of(node, struct topic, by_name) : NULL;
}

uint64_t storage_topics_version(const struct storage *storage)
{
    return storage->topics.version;
}

size_t storage_topic_count(const struct storage *storage)
{
    return storage->topics.by_name.count;
}

size_t storage_log_count(const struct storage *storage)
{
    return storage->logs.count;
}

struct log *topic_log(const struct topic *topic, int32_t partition)
{
    return partition >= 0 && partition < topic->log_count ? topic->logs[partition] : NULL;
}

struct log *topics_log_by_id(const struct storage *storage, uint32_t id)
{
    struct tree_node *node = tree_find(&storage->logs, &id);
    return node ? container_of(node, struct log_body, by_id)->log : NULL;
}

/* ---- the face: changing -------------------------------------------------------------------- */

static void value_begin(struct out *out, const struct uuid *id, uint32_t log_count)
{
    out_u8(out, VALUE_FORMAT);
    out_bytes(out, id->b, sizeof(id->b));
    out_u32(out, log_count);
}

static void value_entries(struct out *out, const struct topic_config_entry *entries, size_t count)
{
    out_u32(out, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        out_u16(out, (uint16_t)strlen(entries[i].name));
        out_u32(out, (uint32_t)strlen(entries[i].value));
        out_text(out, entries[i].name);
        out_text(out, entries[i].value);
    }
}

static int entries_check(const struct topic_config_entry *entries, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strlen(entries[i].name) > UINT16_MAX ||
            strlen(entries[i].value) > TOPIC_CONFIG_VALUE_MAX)
            return -EINVAL;
    }
    return 0;
}

/* One change of a topic in a unit: a second one would not know of the first. */
static bool unit_has_topic(const struct unit *unit, struct bytes name)
{
    for (size_t i = 0; i < unit->put_count; i++) {
        if (unit->puts[i].kind == STORE_TOPIC && bytes_equal(unit->puts[i].key, name))
            return true;
    }
    return false;
}

static int change_check(const struct unit *unit, const struct topic *topic)
{
    if (topic->computed)
        return -EPERM;
    if (topic->deleted)
        return -ENOENT;
    return unit_has_topic(unit, bytes_text(topic->name)) ? -ESTALE : 0;
}

static void put_topic(struct unit *unit, const struct topic *topic, struct out *value)
{
    struct unit_put *put = unit_put_any(unit, STORE_TOPIC, bytes_text(topic->name),
        value ? bytes_of(value->data, value->len) : (struct bytes){ 0 });
    put->condition = PUT_TOPIC_UNCHANGED;
    put->topic_id = topic->id;
    put->topic_lsn = topic->lsn;
    if (value)
        out_done(value);
}

/* The value of `topic` with `total` logs and these entries. */
static struct out value_of(struct storage *storage, const struct topic *topic, int32_t total,
    const struct topic_config_entry *entries, size_t entry_count)
{
    struct out value = { 0 };
    value_begin(&value, &topic->id, (uint32_t)total);
    for (int32_t i = 0; i < total; i++)
        out_u32(&value, i < topic->log_count ? topic->logs[i]->body->id : storage->next_log++);
    value_entries(&value, entries, entry_count);
    return value;
}

int unit_create_topic(struct unit *unit, struct storage *storage, struct bytes name,
    const struct uuid *id, int32_t partitions, const struct topic_config_entry *entries,
    size_t entry_count)
{
    if (partitions <= 0 || entries_check(entries, entry_count) < 0)
        return -EINVAL;
    int status = name_check(name, (uint32_t)partitions);
    if (status < 0)
        return status;
    if (storage_topic(storage, name) || storage_topic_by_id(storage, id) ||
        unit_has_topic(unit, name))
        return -EEXIST;
    struct out value = { 0 };
    value_begin(&value, id, (uint32_t)partitions);
    for (int32_t i = 0; i < partitions; i++)
        out_u32(&value, storage->next_log++);
    value_entries(&value, entries, entry_count);
    unit_put_any(unit, STORE_TOPIC, name, bytes_of(value.data, value.len))->condition =
        PUT_TOPIC_ABSENT;
    out_done(&value);
    return 0;
}

int unit_delete_topic(struct unit *unit, struct storage *storage, struct topic *topic)
{
    (void)storage;
    int status = change_check(unit, topic);
    if (status == 0)
        put_topic(unit, topic, NULL);
    return status;
}

int unit_add_partitions(
    struct unit *unit, struct storage *storage, struct topic *topic, int32_t total)
{
    if (total <= topic->log_count)
        return -EINVAL;
    int status = change_check(unit, topic);
    if (status == 0)
        status = name_check(bytes_text(topic->name), (uint32_t)total);
    if (status < 0)
        return status;
    struct out value = value_of(storage, topic, total, topic->entries, topic->entry_count);
    put_topic(unit, topic, &value);
    return 0;
}

int unit_set_topic_config(struct unit *unit, struct storage *storage, struct topic *topic,
    const struct topic_config_entry *entries, size_t entry_count)
{
    int status = change_check(unit, topic);
    if (status == 0)
        status = entries_check(entries, entry_count);
    if (status < 0)
        return status;
    struct out value = value_of(storage, topic, topic->log_count, entries, entry_count);
    put_topic(unit, topic, &value);
    return 0;
}
