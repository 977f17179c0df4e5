/*
 * See overrides.h.
 *
 * Start: the values of both levels of the broker are read from the store and applied to a copy of
 * the configuration given at the start. A change commits the resource's new list; the store has it
 * at once, and overrides_changed builds the copy anew.
 *
 * Failure modes: a stored value that this version does not know or allow (an older or newer one
 * wrote it) is said once at the start and has no effect; it can still be taken away.
 *
 * Invariant: the fields of `live` that are pointers are those of `given`; only numbers and switches
 * differ.
 */
#include "broker/overrides.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "broker/broker.h"
#include "protocol/base/mem.h"
#include "storage/cursor.h"

enum { VALUE_FORMAT = 1, LEVELS = 2 };

struct overrides {
    struct broker *broker;
    const struct broker_config *given;
    struct broker_config live;
    char **texts[LEVELS]; /* this broker's, all brokers'; in the order of config_keys */
    int32_t log_level;    /* -1: as the configuration says */
};

/* ---- as bytes ------------------------------------------------------------------------------ */

static struct bytes key_of(uint8_t *to, int8_t type, struct bytes name)
{
    to[0] = (uint8_t)type;
    if (name.len)
        memcpy(to + 1, name.data, name.len);
    return bytes_of(to, name.len + 1);
}

static bool entry_next(struct cursor *cursor, struct bytes *name, struct bytes *value)
{
    uint16_t name_len = cursor_u16(cursor);
    uint32_t value_len = cursor_u32(cursor);
    *name = cursor_bytes(cursor, name_len);
    *value = cursor_bytes(cursor, value_len);
    return !cursor->bad;
}

/* Ready for entry_next; the number of entries. */
static uint32_t entries_begin(struct bytes value, struct cursor *ret_cursor)
{
    *ret_cursor = cursor_of(value);
    if (!value.data || cursor_u8(ret_cursor) != VALUE_FORMAT)
        return 0;
    return cursor_count(ret_cursor, 6);
}

static struct bytes stored(struct broker *broker, int8_t type, struct bytes name, uint64_t *ret_lsn)
{
    struct bytes value = { 0 };
    uint8_t *key = mem_alloc(name.len + 1);
    *ret_lsn = 0;
    (void)store_get(broker->storage, STORE_CONFIG, key_of(key, type, name), &value, ret_lsn);
    mem_free(key);
    return value;
}

void overrides_put(
    struct unit *unit, int8_t type, struct bytes name, const struct override_list *list)
{
    uint8_t *key = mem_alloc(name.len + 1);
    struct out value = { 0 };
    out_u8(&value, VALUE_FORMAT);
    out_u32(&value, (uint32_t)list->count);
    for (size_t i = 0; i < list->count; i++) {
        out_u16(&value, (uint16_t)strlen(list->items[i].name));
        out_u32(&value, (uint32_t)strlen(list->items[i].value));
        out_text(&value, list->items[i].name);
        out_text(&value, list->items[i].value);
    }
    unit_put(unit, STORE_CONFIG, key_of(key, type, name),
        list->count ? bytes_of(value.data, value.len) : bytes_of(NULL, 0));
    out_done(&value);
    mem_free(key);
}

/* ---- reading ------------------------------------------------------------------------------- */

bool overrides_read(
    struct request *request, int8_t type, struct bytes name, struct override_list *ret_list)
{
    uint64_t lsn;
    struct cursor cursor;
    struct bytes value = stored(request->broker, type, name, &lsn);
    uint32_t count = entries_begin(value, &cursor);
    struct override_list list = { .capacity = count };
    request_depends(request, lsn);
    list.items = request_alloc(request, count * sizeof(*list.items));
    if (!list.items)
        return false;
    for (struct bytes entry_name, text; list.count < count; list.count++) {
        if (!entry_next(&cursor, &entry_name, &text))
            break;
        char *name_copy = request_alloc(request, entry_name.len + 1);
        char *text_copy = name_copy ? request_alloc(request, text.len + 1) : NULL;
        if (!text_copy)
            return false;
        memcpy(name_copy, entry_name.data, entry_name.len);
        memcpy(text_copy, text.data, text.len);
        list.items[list.count] = (struct topic_config_entry){ name_copy, text_copy };
    }
    *ret_list = list;
    return true;
}

struct bytes overrides_find(
    struct broker *broker, int8_t type, struct bytes name, const char *key_name)
{
    uint64_t lsn;
    struct cursor cursor;
    struct bytes entry_name, text;
    uint32_t count = entries_begin(stored(broker, type, name, &lsn), &cursor);
    for (uint32_t i = 0; i < count && entry_next(&cursor, &entry_name, &text); i++)
        if (bytes_equal_text(entry_name, key_name))
            return text;
    return bytes_of(NULL, 0);
}

struct names_walk {
    bool (*each)(void *context, struct bytes name, uint64_t lsn);
    void *context;
};

static bool names_step(void *context, struct bytes key, struct bytes value, uint64_t lsn)
{
    struct names_walk *walk = context;
    (void)value;
    return walk->each(walk->context, bytes_of(key.data + 1, key.len - 1), lsn);
}

void overrides_each(struct broker *broker, int8_t type,
    bool (*each)(void *context, struct bytes name, uint64_t lsn), void *context)
{
    struct names_walk walk = { each, context };
    uint8_t prefix = (uint8_t)type;
    store_each(broker->storage, STORE_CONFIG, bytes_of(&prefix, 1), names_step, &walk);
}

static bool count_one(void *context, struct bytes name, uint64_t lsn)
{
    size_t *count = context;
    (void)name;
    (void)lsn;
    return ++*count < OVERRIDES_RESOURCES_MAX;
}

bool overrides_room(struct broker *broker, int8_t type, struct bytes name)
{
    uint64_t lsn;
    size_t count = 0;
    if (stored(broker, type, name, &lsn).data)
        return true;
    overrides_each(broker, type, count_one, &count);
    return count < OVERRIDES_RESOURCES_MAX;
}

/* ---- the broker's own ---------------------------------------------------------------------- */

const char *overrides_text(
    const struct overrides *overrides, const struct config_key *key, enum config_origin origin)
{
    size_t count;
    return overrides->texts[origin - ORIGIN_THIS_BROKER][key - config_keys(&count)];
}

/* One value of a level; false: it can't have effect. */
static bool text_take(struct overrides *overrides, int level, struct bytes name, struct bytes value)
{
    size_t count;
    const struct config_key *key = config_key_find(name);
    struct out why = { 0 };
    char *text = NULL;
    bool good = key && config_key_dynamic(key) && config_value_check(key, value, &text, &why) == 0;
    out_done(&why);
    if (!good)
        return false;
    char **slot = &overrides->texts[level][key - config_keys(&count)];
    mem_free(*slot);
    *slot = text;
    return true;
}

static void texts_free(struct overrides *overrides, int level)
{
    size_t count;
    (void)config_keys(&count);
    for (size_t i = 0; i < count; i++) {
        mem_free(overrides->texts[level][i]);
        overrides->texts[level][i] = NULL;
    }
}

static void level_read(struct overrides *overrides, int level, struct bytes name, bool complain)
{
    struct broker *broker = overrides->broker;
    uint64_t lsn;
    struct cursor cursor;
    struct bytes key, value;
    texts_free(overrides, level);
    uint32_t count = entries_begin(stored(broker, RESOURCE_BROKER, name, &lsn), &cursor);
    for (uint32_t i = 0; i < count && entry_next(&cursor, &key, &value); i++)
        if (!text_take(overrides, level, key, value) && complain)
            doors_say(broker->doors, LOG_WARNING,
                "%.*s=%.*s was set at run time and has no effect: no such key or value",
                (int)key.len, (const char *)key.data, (int)value.len, (const char *)value.data);
}

static void apply(struct overrides *overrides)
{
    struct storage *storage = overrides->broker->storage;
    size_t count;
    const struct config_key *keys = config_keys(&count);
    overrides->live = *overrides->given;
    for (int level = LEVELS - 1; level >= 0; level--)
        for (size_t i = 0; i < count; i++)
            if (overrides->texts[level][i])
                broker_config_apply(&overrides->live, &keys[i], overrides->texts[level][i]);
    if (overrides->log_level >= 0)
        overrides->live.log_level = overrides->log_level;
    storage_set_defaults(storage, &overrides->live.topic_defaults);
    storage_set_producer_expiration(storage, overrides->live.producer_id_expiration_ms);
    struct cleaner_config cleaner = broker_cleaner(&overrides->live);
    storage_set_cleaner(storage, &cleaner);
}

static void levels_read(struct overrides *overrides, bool complain)
{
    char id[16];
    int len = snprintf(id, sizeof(id), "%d", overrides->given->node_id);
    level_read(overrides, 0, bytes_of(id, (size_t)len), complain);
    level_read(overrides, 1, bytes_of("", 0), complain);
    apply(overrides);
}

void overrides_changed(struct overrides *overrides)
{
    levels_read(overrides, false);
}

void overrides_set_log_level(struct overrides *overrides, int32_t level)
{
    overrides->log_level = level;
    overrides->live.log_level = level;
}

struct overrides *overrides_create(struct broker *broker)
{
    struct overrides *overrides = mem_zalloc(1, sizeof(*overrides));
    size_t count;
    (void)config_keys(&count);
    overrides->broker = broker;
    overrides->given = broker->config;
    overrides->log_level = -1;
    for (int level = 0; level < LEVELS; level++)
        overrides->texts[level] = mem_zalloc(count, sizeof(char *));
    levels_read(overrides, true);
    broker->config = &overrides->live;
    return overrides;
}

void overrides_destroy(struct overrides *overrides)
{
    if (!overrides)
        return;
    for (int level = 0; level < LEVELS; level++) {
        texts_free(overrides, level);
        mem_free(overrides->texts[level]);
    }
    overrides->broker->config = overrides->given;
    mem_free(overrides);
}
