/*
 * handle_alter_configs.c - IncrementalAlterConfigs (0-1) and AlterConfigs (0-2).
 *
 *   both requests → targets (a resource and its edits) → each checked → one unit with all that are
 *   fine → effect at once → answer when it is durable
 *
 * An edit sets a value, takes it away, or adds to or takes from a list. AlterConfigs gives all
 * values of a resource: what it does not name goes back to its default. Each resource has its own
 * error; those at fault do not keep the others from being changed. If the ring is full the request
 * is parked and everything is checked again, since topics may have come and gone meanwhile.
 *
 * What is checked is the list that would hold then, as a whole. Codes are those of Kafka 4.3: an
 * unknown key or a bad value of a topic or a group is INVALID_CONFIG, of a broker INVALID_REQUEST.
 * Kafka takes a broker's keys that it does not know; here they are refused, as in the file.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "broker/answer.h"
#include "broker/api.h"
#include "broker/broker.h"
#include "broker/commit.h"
#include "broker/config_view.h"
#include "broker/names.h"
#include "broker/overrides.h"
#include "protocol/base/mem.h"
#include "protocol/error.h"
#include "protocol/messages.h"

enum edit_op { EDIT_SET, EDIT_DELETE, EDIT_APPEND, EDIT_SUBTRACT };

struct edit {
    struct bytes name, value;
    int8_t op;
};

/* One resource of a request. */
struct target {
    int8_t type;
    struct bytes name;
    struct edit *edits;
    int32_t edit_count;
    int16_t fault;       /* found once for all: shape_faults */
    struct bytes reason; /* of it */
    int16_t *ret_code;   /* in the answer */
    struct bytes *ret_message;
};

struct alter {
    struct target *targets;
    int32_t count;
    bool replace; /* AlterConfigs */
    bool validate_only;
    struct commit *commit; /* of this attempt, or in flight */
    bool brokers;          /* values of a broker are in the unit */
    int32_t log_level;     /* to be set; -1: not */
};

static void fail(struct target *target, int16_t code, struct bytes message)
{
    *target->ret_code = code;
    *target->ret_message = message;
}

/* ---- lists of values ----------------------------------------------------------------------- */

static struct topic_config_entry *entry_find(struct override_list *list, struct bytes name)
{
    for (size_t i = 0; i < list->count; i++)
        if (bytes_equal_text(name, list->items[i].name))
            return &list->items[i];
    return NULL;
}

static void entry_remove(struct override_list *list, struct bytes name)
{
    struct topic_config_entry *entry = entry_find(list, name);
    if (!entry)
        return;
    size_t behind = list->count - 1 - (size_t)(entry - list->items);
    memmove(entry, entry + 1, behind * sizeof(*entry));
    list->count--;
}

/* Texts are the arena's. */
static void entry_set(struct override_list *list, char *name, char *value)
{
    struct topic_config_entry *entry = entry_find(list, bytes_text(name));
    if (!entry) {
        CHECK(list->count < list->capacity);
        entry = &list->items[list->count++];
        entry->name = name;
    }
    entry->value = value;
}

/* The entries, and room for the edits. False: the request has failed. */
static bool list_begin(struct request *request, const struct target *target,
    const struct topic_config_entry *entries, size_t count, struct override_list *ret_list)
{
    size_t capacity = count + (size_t)target->edit_count;
    ret_list->items = request_alloc(request, capacity * sizeof(*ret_list->items));
    if (!ret_list->items)
        return false;
    if (count)
        memcpy(ret_list->items, entries, count * sizeof(*entries));
    ret_list->count = count;
    ret_list->capacity = capacity;
    return true;
}

/* What stands between the commas, without blanks; empty parts are skipped. False: no more. */
static bool part_next(struct bytes *rest, struct bytes *ret_part)
{
    while (rest->len) {
        const uint8_t *comma = memchr(rest->data, ',', rest->len);
        size_t len = comma ? (size_t)(comma - rest->data) : rest->len;
        struct bytes part = bytes_of(rest->data, len);
        *rest = bytes_of(rest->data + len + (comma != NULL), rest->len - len - (comma != NULL));
        while (part.len && part.data[0] == ' ')
            part = bytes_of(part.data + 1, part.len - 1);
        while (part.len && part.data[part.len - 1] == ' ')
            part.len--;
        *ret_part = part;
        if (part.len)
            return true;
    }
    return false;
}

static bool part_in(struct bytes list, struct bytes wanted)
{
    struct bytes part;
    while (part_next(&list, &part))
        if (bytes_equal(part, wanted))
            return true;
    return false;
}

static size_t part_put(char *to, size_t len, struct bytes part)
{
    if (len)
        to[len++] = ',';
    memcpy(to + len, part.data, part.len);
    return len + part.len;
}

/* The list with these added, or without them. NULL: the request has failed. */
static char *list_combine(
    struct request *request, struct bytes old, struct bytes more, bool subtract)
{
    struct bytes rest = old, part;
    size_t len = 0;
    char *text = request_alloc(request, old.len + more.len + 2);
    if (!text)
        return NULL;
    while (part_next(&rest, &part))
        if (!subtract || !part_in(more, part))
            len = part_put(text, len, part);
    rest = more;
    while (!subtract && part_next(&rest, &part))
        if (!part_in(bytes_of(text, len), part))
            len = part_put(text, len, part);
    text[len] = 0;
    return text;
}

/* ---- keys of all types --------------------------------------------------------------------- */

/* Whether the key is a list, and what holds when the resource sets nothing. Texts are valid until
 * the next change. */
static bool key_is_list(struct request *request, const struct target *target, struct bytes name,
    char *ret_text, size_t size)
{
    const struct config_key *key = NULL;
    const char *text = NULL;
    if (target->type == RESOURCE_TOPIC) {
        const struct topic_config_key *topic_key = topic_config_key(name);
        if (topic_key && topic_key->type == CONFIG_LIST)
            topic_key->print(&request->broker->config->topic_defaults, ret_text, size);
        return topic_key && topic_key->type == CONFIG_LIST;
    }
    if (target->type == RESOURCE_BROKER) {
        struct config_link links[CONFIG_CHAIN_MAX];
        key = config_key_find(name);
        if (key && config_chain(request->broker, key, links))
            text = links[0].text;
    } else {
        key = resource_key_find(target->type, name);
        text = key ? key->default_text : NULL;
    }
    (void)snprintf(ret_text, size, "%s", text ? text : "");
    return key && key->type == CONFIG_LIST;
}

/* One edit of the list. False: the target has failed, or the request (*ret_alive). */
static bool edit_apply(struct request *request, struct target *target, const struct edit *edit,
    struct override_list *list, bool *ret_alive)
{
    char text[TOPIC_CONFIG_VALUE_MAX + 1];
    if (edit->op == EDIT_DELETE) {
        entry_remove(list, edit->name);
        return true;
    }
    char *name = answer_strdup(request, edit->name), *value = NULL;
    if (name && edit->op == EDIT_SET) {
        value = answer_strdup(request, edit->value);
    } else if (name) {
        if (!key_is_list(request, target, edit->name, text, sizeof(text))) {
            fail(target, KAFKA_ERROR_INVALID_CONFIG,
                answer_text(
                    request, "%s is not a list: nothing can be added to it or taken away", name));
            return false;
        }
        const struct topic_config_entry *entry = entry_find(list, edit->name);
        value = list_combine(request, bytes_text(entry ? entry->value : text), edit->value,
            edit->op == EDIT_SUBTRACT);
    }
    *ret_alive = value;
    if (value)
        entry_set(list, name, value);
    return value;
}

/* What the resource would have: its entries with the edits. */
static bool list_edit(struct request *request, struct target *target,
    const struct topic_config_entry *entries, size_t count, struct override_list *ret_list,
    bool *ret_alive)
{
    const struct alter *alter = request->state;
    *ret_alive = list_begin(request, target, entries, alter->replace ? 0 : count, ret_list);
    for (int32_t i = 0; *ret_alive && i < target->edit_count; i++)
        if (!edit_apply(request, target, &target->edits[i], ret_list, ret_alive))
            return false;
    return *ret_alive;
}

static struct commit *unit_of(struct request *request);

/* ---- topics -------------------------------------------------------------------------------- */

static void topic_change(struct request *request, struct target *target, struct topic *topic,
    const struct override_list *list)
{
    struct alter *alter = request->state;
    struct topic_config effective = request->broker->config->topic_defaults;
    char error[256];
    int status = 0;
    for (size_t i = 0; i < list->count && !status; i++) {
        const char *name = list->items[i].name;
        status = topic_config_set(
            &effective, bytes_text(name), bytes_text(list->items[i].value), error, sizeof(error));
        if (status == -ENOENT)
            (void)snprintf(error, sizeof(error), "Unknown topic config name: %s", name);
    }
    if (status) {
        fail(target, KAFKA_ERROR_INVALID_CONFIG, answer_text(request, "%s", error));
        return;
    }
    if (topic_config_check(&effective, error, sizeof(error))) {
        fail(target, KAFKA_ERROR_INVALID_CONFIG, answer_text(request, "%s", error));
        return;
    }
    if (alter->validate_only)
        return;
    status = unit_set_topic_config(
        &unit_of(request)->unit, request->broker->storage, topic, list->items, list->count);
    if (status)
        fail(target, request_error_of(status), answer_error_text(request_error_of(status)));
}

/* False: the request has failed (so below). */
static bool topic_alter(struct request *request, struct target *target)
{
    bool alive = true;
    struct override_list list;
    if (target->name.len == 0) {
        fail(target, KAFKA_ERROR_INVALID_REQUEST, bytes_text("there is no default of all topics"));
        return true;
    }
    const char *fault = topic_name_fault(target->name);
    if (fault) {
        fail(target, KAFKA_ERROR_INVALID_TOPIC_EXCEPTION, bytes_text(fault));
        return true;
    }
    struct topic *topic = answer_topic(request, target->name, NULL);
    if (!topic) {
        fail(target, KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION,
            answer_text(request, "The topic '%.*s' does not exist.", (int)target->name.len,
                (const char *)target->name.data));
        return true;
    }
    if (topic->computed) {
        fail(target, KAFKA_ERROR_INVALID_TOPIC_EXCEPTION,
            bytes_text("the broker keeps this topic itself: it can only be read"));
        return true;
    }
    if (list_edit(request, target, topic->entries, topic->entry_count, &list, &alive))
        topic_change(request, target, topic, &list);
    return alive;
}

/* ---- brokers ------------------------------------------------------------------------------- */

static bool is_node(struct request *request, struct target *target)
{
    int64_t id = -1;
    char text[16];
    size_t len = target->name.len;
    if (len > 0 && len < sizeof(text)) {
        memcpy(text, target->name.data, len);
        text[len] = 0;
        char *end;
        id = strtol(text, &end, 10);
        if (*end)
            id = -1;
    }
    if (id == request->broker->config->node_id)
        return true;
    fail(target, KAFKA_ERROR_INVALID_REQUEST,
        id < 0 ? bytes_text("a broker is named by its id, a whole number")
               : answer_text(request, "Unexpected broker id, expected %d, but received %d",
                     request->broker->config->node_id, (int)id));
    return false;
}

/* The values set, in the form that is kept. False: the target has failed, or the request. */
static bool broker_check(struct request *request, struct target *target, const struct edit *edit,
    struct override_list *list, bool *ret_alive)
{
    struct out why = { 0 };
    char *kept = NULL;
    const struct config_key *key = config_key_find(edit->name);
    struct topic_config_entry *entry = entry_find(list, edit->name);
    if (edit->op == EDIT_DELETE || !entry)
        return true;
    if (!key)
        out_text(&why, "nobody knows this key");
    else if (!config_key_dynamic(key))
        out_text(&why, "Cannot update these configs dynamically: it is read at the start");
    else if (config_value_check(key, bytes_text(entry->value), &kept, &why) == 0)
        entry->value = answer_strdup(request, bytes_text(kept));
    if (why.len)
        fail(target, KAFKA_ERROR_INVALID_REQUEST,
            answer_text(request, "%s: %.*s", entry->name, (int)why.len, (const char *)why.data));
    *ret_alive = entry->value;
    bool good = entry->value && !why.len;
    out_done(&why);
    mem_free(kept);
    return good;
}

static void list_put(
    struct request *request, struct target *target, const struct override_list *list)
{
    const struct alter *alter = request->state;
    if (!overrides_room(request->broker, target->type, target->name))
        fail(target, KAFKA_ERROR_POLICY_VIOLATION,
            answer_text(request, "at most %d resources may have values", OVERRIDES_RESOURCES_MAX));
    else if (!alter->validate_only)
        overrides_put(&unit_of(request)->unit, target->type, target->name, list);
}

static bool broker_alter(struct request *request, struct target *target)
{
    struct alter *alter = request->state;
    bool alive = true;
    struct override_list old, list;
    if (target->name.len && !is_node(request, target))
        return true;
    if (!overrides_read(request, target->type, target->name, &old))
        return false;
    if (!list_edit(request, target, old.items, old.count, &list, &alive))
        return alive;
    for (int32_t i = 0; i < target->edit_count; i++)
        if (!broker_check(request, target, &target->edits[i], &list, &alive))
            return alive;
    list_put(request, target, &list);
    alter->brokers |= !alter->validate_only && *target->ret_code == 0;
    return true;
}

/* Kafka's names, and ours: error, warning, info, debug. -1: no level. */
static int32_t level_of(struct bytes text)
{
    static const struct {
        const char *name;
        int32_t level;
    } levels[] = { { "FATAL", 0 }, { "ERROR", 0 }, { "WARN", 1 }, { "INFO", 2 }, { "DEBUG", 3 },
        { "TRACE", 3 } };
    for (size_t i = 0; i < ARRAY_COUNT(levels); i++)
        if (text.len == strlen(levels[i].name) &&
            strncasecmp((const char *)text.data, levels[i].name, text.len) == 0)
            return levels[i].level;
    return -1;
}

static void logger_alter(struct request *request, struct target *target)
{
    struct alter *alter = request->state;
    int32_t level = -1;
    if (!is_node(request, target))
        return;
    for (int32_t i = 0; i < target->edit_count; i++) {
        const struct edit *edit = &target->edits[i];
        if (!bytes_equal_text(edit->name, "root")) {
            fail(target, KAFKA_ERROR_INVALID_CONFIG, bytes_text("the only logger is root"));
            return;
        }
        level = edit->op == EDIT_SET ? level_of(edit->value) : -1;
        if (level < 0) {
            fail(target,
                edit->op == EDIT_SET ? KAFKA_ERROR_INVALID_CONFIG : KAFKA_ERROR_INVALID_REQUEST,
                bytes_text("a level of root can only be set, to DEBUG, ERROR, FATAL, INFO, TRACE "
                           "or WARN"));
            return;
        }
    }
    if (!alter->validate_only && level >= 0)
        alter->log_level = level;
}

/* ---- groups and client metrics ------------------------------------------------------------- */

static int16_t resource_code(const struct target *target, const struct config_key *key)
{
    if (target->type == RESOURCE_GROUP || (key && strcmp(key->name, "match") == 0))
        return KAFKA_ERROR_INVALID_CONFIG;
    return KAFKA_ERROR_INVALID_REQUEST;
}

/* All values, one by one and together; 0 or the code, and `why`. */
static int16_t resource_check(struct request *request, const struct target *target,
    const struct override_list *list, struct out *why)
{
    size_t key_count;
    const struct broker_config *config = request->broker->config;
    const struct config_key *keys = resource_keys(target->type, &key_count);
    const char *texts[32] = { 0 };
    CHECK(key_count <= ARRAY_COUNT(texts));
    for (size_t i = 0; i < list->count; i++) {
        const struct config_key *key =
            resource_key_find(target->type, bytes_text(list->items[i].name));
        char *kept = NULL;
        int status =
            key ? config_value_check(key, bytes_text(list->items[i].value), &kept, why) : -ENOENT;
        if (!key)
            out_printf(why, "nobody knows the key %s", list->items[i].name);
        else if (status)
            out_printf(why, " (%s)", key->name);
        if (!status)
            status = resource_value_check(config, key, kept, why);
        mem_free(kept);
        if (status)
            return resource_code(target, key);
        texts[key - keys] = list->items[i].value;
    }
    return resource_values_check(config, target->type, texts, why) ? KAFKA_ERROR_INVALID_CONFIG : 0;
}

static bool resource_alter(struct request *request, struct target *target)
{
    bool alive = true;
    struct override_list old, list;
    if (target->name.len == 0) {
        fail(target, KAFKA_ERROR_INVALID_REQUEST, bytes_text("the name may not be empty"));
        return true;
    }
    if (!overrides_read(request, target->type, target->name, &old))
        return false;
    if (!list_edit(request, target, old.items, old.count, &list, &alive))
        return alive;
    struct out why = { 0 };
    int16_t code = resource_check(request, target, &list, &why);
    if (code)
        fail(target, code, answer_text(request, "%.*s", (int)why.len, (const char *)why.data));
    else
        list_put(request, target, &list);
    out_done(&why);
    return true;
}

/* ---- the request --------------------------------------------------------------------------- */

static void committed(struct request *request)
{
    struct alter *alter = request->state;
    alter->commit = NULL;
    request_finish(request);
}

static struct commit *unit_of(struct request *request)
{
    struct alter *alter = request->state;
    if (!alter->commit)
        alter->commit = commit_create(request, committed);
    return alter->commit;
}

/* False: the request has failed. */
static bool target_alter(struct request *request, struct target *target)
{
    const struct alter *alter = request->state;
    fail(target, target->fault, target->reason);
    if (target->fault)
        return true;
    switch (target->type) {
    case RESOURCE_TOPIC: return topic_alter(request, target);
    case RESOURCE_BROKER: return broker_alter(request, target);
    case RESOURCE_CLIENT_METRICS:
    case RESOURCE_GROUP: return resource_alter(request, target);
    case RESOURCE_BROKER_LOGGER:
        if (!alter->replace) {
            logger_alter(request, target);
            return true;
        }
        break;
    default: break;
    }
    fail(target, KAFKA_ERROR_INVALID_REQUEST,
        answer_text(request, "Unknown resource type %d", target->type));
    return true;
}

static void alter_cancel(struct request *request)
{
    struct alter *alter = request->state;
    commit_forget(alter->commit);
}

static void alter_attempt(struct request *request)
{
    struct alter *alter = request->state;
    struct overrides *overrides = request->broker->overrides;
    alter->commit = NULL;
    alter->brokers = false;
    alter->log_level = -1;
    for (int32_t i = 0; i < alter->count; i++) {
        if (!target_alter(request, &alter->targets[i])) {
            commit_drop(alter->commit);
            alter->commit = NULL;
            return;
        }
    }
    if (alter->log_level >= 0)
        overrides_set_log_level(overrides, alter->log_level);
    if (alter->commit && !alter->commit->unit.put_count) { /* every change was refused */
        commit_drop(alter->commit);
        alter->commit = NULL;
    }
    if (!alter->commit) {
        request_finish(request);
        return;
    }
    bool brokers = alter->brokers;
    struct commit *commit = alter->commit;
    alter->commit = NULL;
    int error = commit_run(commit);
    if (!error) {
        alter->commit = commit;
        if (brokers)
            overrides_changed(overrides);
        return;
    }
    if (error == -EAGAIN) {
        request_park(request, alter_attempt);
        return;
    }
    int16_t code = error == -EMSGSIZE ? KAFKA_ERROR_POLICY_VIOLATION : request_error_of(error);
    for (int32_t i = 0; i < alter->count; i++)
        if (*alter->targets[i].ret_code == 0)
            fail(&alter->targets[i], code, answer_error_text(code));
    request_finish(request);
}

/* What is wrong with a target whatever the state: Kafka looks at this first. */
static void edits_check(struct request *request, struct target *target, struct name_set *names)
{
    int32_t before;
    for (int32_t i = 0; i < target->edit_count; i++) {
        const struct edit *edit = &target->edits[i];
        struct bytes name = bytes_of(edit->name.data, edit->name.len < 100 ? edit->name.len : 100);
        struct bytes reason = { 0 };
        if (!name_set_add(names, edit->name, i, &before, NULL))
            reason = bytes_text("Error due to duplicate config keys");
        else if (edit->op < EDIT_SET || edit->op > EDIT_SUBTRACT)
            reason = answer_text(request, "there is no operation %d", edit->op);
        else if (edit->op != EDIT_DELETE && !edit->value.data)
            reason = answer_text(request, "Null value not supported for : %.*s", (int)name.len,
                (const char *)name.data);
        else if (edit->op != EDIT_DELETE && (edit->value.len > TOPIC_CONFIG_VALUE_MAX ||
                                                memchr(edit->value.data, 0, edit->value.len)))
            reason = answer_text(
                request, "a value has at most %d bytes, and no NUL", TOPIC_CONFIG_VALUE_MAX);
        else if (edit->name.len == 0 || edit->name.len > 249 ||
                 memchr(edit->name.data, 0, edit->name.len))
            reason = bytes_text("that is no name of a key");
        if (reason.data) {
            target->fault = KAFKA_ERROR_INVALID_REQUEST;
            target->reason = reason;
            return;
        }
    }
}

static bool shape_faults(struct request *request)
{
    struct alter *alter = request->state;
    struct name_set seen;
    uint64_t seed = random_u64(request->broker->doors->random);
    if (name_set_init(&seen, &request->arena, (size_t)alter->count, seed, false)) {
        request_fail(request, "the request names too many resources");
        return false;
    }
    for (int32_t i = 0; i < alter->count; i++) {
        struct target *target = &alter->targets[i];
        struct name_set names;
        int32_t before;
        uint8_t *key = request_alloc(request, target->name.len + 1);
        if (!key)
            return false;
        if (name_set_init(&names, &request->arena, (size_t)target->edit_count, seed, false)) {
            request_fail(request, "the request names too many keys");
            return false;
        }
        key[0] = (uint8_t)target->type;
        if (target->name.len)
            memcpy(key + 1, target->name.data, target->name.len);
        edits_check(request, target, &names);
        if (name_set_add(&seen, bytes_of(key, target->name.len + 1), i, &before, NULL))
            continue;
        target->fault = alter->targets[before].fault = KAFKA_ERROR_INVALID_REQUEST;
        target->reason = alter->targets[before].reason =
            bytes_text("Each resource must appear at most once.");
    }
    return true;
}

/* Sets request->state. NULL: the request has failed. */
static struct alter *alter_create(struct request *request, int32_t count, bool validate_only)
{
    struct alter *alter = request_alloc(request, sizeof(*alter));
    if (!alter)
        return NULL;
    alter->targets = request_alloc(request, (size_t)count * sizeof(*alter->targets));
    if (!alter->targets)
        return NULL;
    alter->count = count;
    alter->validate_only = validate_only;
    request->state = alter;
    request->cancel = alter_cancel;
    return alter;
}

static void alter_begin(struct request *request)
{
    if (shape_faults(request))
        alter_attempt(request);
}

static void target_set(struct target *target, int8_t type, struct bytes name, int16_t *ret_code,
    struct bytes *ret_message)
{
    target->type = type;
    target->name = name;
    target->ret_code = ret_code;
    target->ret_message = ret_message;
}

/* NULL: the request has failed. */
static struct edit *edits_create(struct request *request, struct target *target, int32_t count)
{
    target->edits = request_alloc(request, (size_t)count * sizeof(*target->edits));
    target->edit_count = count;
    return target->edits;
}

void handle_incremental_alter_configs(struct request *request)
{
    const struct incremental_alter_configs_request *body = request->body;
    struct incremental_alter_configs_response *answer = request->answer;
    struct alter *alter = alter_create(request, body->resources_count, body->validate_only);
    answer->responses = answer_array(request,
        &incremental_alter_configs_response_alter_configs_resource_response_table,
        body->resources_count);
    if (!alter || !answer->responses)
        return;
    answer->responses_count = body->resources_count;
    for (int32_t i = 0; i < body->resources_count; i++) {
        const struct incremental_alter_configs_request_alter_configs_resource *from =
            &body->resources[i];
        struct edit *edits = edits_create(request, &alter->targets[i], from->configs_count);
        if (!edits)
            return;
        for (int32_t e = 0; e < from->configs_count; e++)
            edits[e] = (struct edit){ from->configs[e].name, from->configs[e].value,
                from->configs[e].config_operation };
        answer->responses[i].resource_type = from->resource_type;
        answer->responses[i].resource_name = from->resource_name;
        target_set(&alter->targets[i], from->resource_type, from->resource_name,
            &answer->responses[i].error_code, &answer->responses[i].error_message);
    }
    alter_begin(request);
}

void handle_alter_configs(struct request *request)
{
    const struct alter_configs_request *body = request->body;
    struct alter_configs_response *answer = request->answer;
    struct alter *alter = alter_create(request, body->resources_count, body->validate_only);
    answer->responses = answer_array(
        request, &alter_configs_response_resource_response_table, body->resources_count);
    if (!alter || !answer->responses)
        return;
    alter->replace = true;
    answer->responses_count = body->resources_count;
    for (int32_t i = 0; i < body->resources_count; i++) {
        const struct alter_configs_request_resource *from = &body->resources[i];
        struct edit *edits = edits_create(request, &alter->targets[i], from->configs_count);
        if (!edits)
            return;
        for (int32_t e = 0; e < from->configs_count; e++)
            edits[e] = (struct edit){ from->configs[e].name, from->configs[e].value, EDIT_SET };
        answer->responses[i].resource_type = from->resource_type;
        answer->responses[i].resource_name = from->resource_name;
        target_set(&alter->targets[i], from->resource_type, from->resource_name,
            &answer->responses[i].error_code, &answer->responses[i].error_message);
    }
    alter_begin(request);
}
