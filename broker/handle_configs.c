/*
 * handle_configs.c - DescribeConfigs (1-4) and ListConfigResources (0-1). Changing them:
 * handle_alter_configs.c.
 *
 *   topic          every key of topic_config_keys: what holds, and where it comes from: the topic,
 *                  the broker's keys. Synonyms are that chain, nearest first.
 *   broker         every key of config_keys; those that can't be changed at run time are read-only.
 *                  The resource "" asks for what was set at run time for all brokers.
 *   broker logger  the one there is, root
 *   group, client metrics  every key of resource_keys, also of those that nobody has heard of
 *
 * Values of sensitive keys are never told.
 */
#include <stdio.h>
#include <string.h>

#include "broker/answer.h"
#include "broker/api.h"
#include "broker/broker.h"
#include "broker/config_view.h"
#include "broker/names.h"
#include "protocol/error.h"
#include "protocol/messages.h"

/* What a resource is asked for. */
struct wish {
    struct request *request;
    const struct describe_configs_request_resource *resource;
    struct describe_configs_response_result *result;
    struct name_set names; /* if not all */
    bool all;
};

static void refuse(struct wish *wish, int16_t code, struct bytes message)
{
    wish->result->error_code = code;
    wish->result->error_message = message;
}

static bool wanted(const struct wish *wish, const char *name)
{
    return wish->all || name_set_find(&wish->names, bytes_text(name), NULL) >= 0;
}

/* The next row of the result. */
static struct describe_configs_response_resource_result *row_add(
    struct wish *wish, const char *name, enum config_type type, const char *doc)
{
    const struct describe_configs_request *body = wish->request->body;
    struct describe_configs_response_resource_result *row =
        &wish->result->configs[wish->result->configs_count++];
    row->name = bytes_text(name);
    row->config_type = (int8_t)type;
    row->documentation = body->include_documentation ? bytes_text(doc) : bytes_of(NULL, 0);
    return row;
}

/* Room for the rows of `count` keys, and for their synonyms. False: the request has failed. */
static bool rows_make(struct wish *wish, size_t count)
{
    wish->result->configs = answer_array(
        wish->request, &describe_configs_response_resource_result_table, (int32_t)count);
    return wish->result->configs;
}

static struct bytes text_or_null(const char *text)
{
    return text ? bytes_text(text) : bytes_of(NULL, 0);
}

/* A copy, for it may change before the answer leaves. */
static struct bytes text_keep(struct wish *wish, const char *text)
{
    if (!text)
        return bytes_of(NULL, 0);
    return text_or_null(answer_strdup(wish->request, bytes_text(text)));
}

/* The chain from what holds down to the default, behind `own` if that is given. False: the request
 * has failed. */
static bool synonyms_make(struct wish *wish, struct describe_configs_response_resource_result *row,
    const struct config_link *own, const struct config_link *links, size_t count)
{
    const struct describe_configs_request *body = wish->request->body;
    if (!body->include_synonyms)
        return true;
    row->synonyms = answer_array(
        wish->request, &describe_configs_response_synonym_table, (int32_t)count + (own != NULL));
    if (!row->synonyms)
        return false;
    for (size_t i = 0; i < count + (own != NULL); i++) {
        const struct config_link *link = own && i == 0 ? own : &links[i - (own != NULL)];
        row->synonyms[row->synonyms_count++] = (struct describe_configs_response_synonym){
            .name = bytes_text(link->name),
            .value = row->is_sensitive ? bytes_of(NULL, 0) : text_keep(wish, link->text),
            .source = (int8_t)link->origin,
        };
    }
    return true;
}

/* ---- topics -------------------------------------------------------------------------------- */

static bool topic_row(
    struct wish *wish, const struct topic *topic, const struct topic_config_key *key)
{
    struct config_link links[CONFIG_CHAIN_MAX], own = { .name = key->name, .origin = ORIGIN_TOPIC };
    const struct config_key *broker_key = config_view_default(key);
    size_t count = broker_key ? config_chain(wish->request->broker, broker_key, links) : 0;
    struct describe_configs_response_resource_result *row =
        row_add(wish, key->name, key->type, key->doc);
    own.text = config_view_own_text(key, topic->entries, topic->entry_count);
    struct config_view view = config_view_of_topic(wish->request, key, &topic->config, own.text);
    row->value = view.value;
    row->config_source = (int8_t)view.origin;
    return view.value.data && synonyms_make(wish, row, own.text ? &own : NULL, links, count);
}

/* False: the request has failed (so below). */
static bool describe_topic(struct wish *wish)
{
    struct bytes name = wish->resource->resource_name;
    const char *fault = topic_name_fault(name);
    if (fault) {
        refuse(wish, KAFKA_ERROR_INVALID_TOPIC_EXCEPTION, bytes_text(fault));
        return true;
    }
    struct topic *topic = answer_topic(wish->request, name, NULL);
    if (!topic) {
        refuse(wish, KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION,
            answer_error_text(KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION));
        return true;
    }
    size_t count;
    const struct topic_config_key *keys = topic_config_keys(&count);
    if (!rows_make(wish, count))
        return false;
    for (size_t i = 0; i < count; i++)
        if (wanted(wish, keys[i].name) && !topic_row(wish, topic, &keys[i]))
            return false;
    return true;
}

/* ---- the broker ---------------------------------------------------------------------------- */

static bool broker_row(struct wish *wish, const struct config_key *key)
{
    struct config_link links[CONFIG_CHAIN_MAX];
    size_t count = config_chain(wish->request->broker, key, links);
    struct describe_configs_response_resource_result *row =
        row_add(wish, key->name, key->type, key->doc);
    /* Without a link there may yet be a computed default (log.dirs). */
    const char *text =
        count ? links[0].text : broker_config_value(wish->request->broker->config, key, NULL);
    enum config_origin origin = count ? links[0].origin : ORIGIN_DEFAULT;
    if (origin == ORIGIN_DEFAULT)
        text = broker_config_value(wish->request->broker->config, key, NULL);
    row->is_sensitive = config_key_sensitive(key);
    row->value = row->is_sensitive ? bytes_of(NULL, 0) : text_keep(wish, text);
    row->config_source = (int8_t)origin;
    row->read_only = !config_key_dynamic(key);
    return synonyms_make(wish, row, NULL, links, count);
}

/* What was set for all brokers. */
static bool default_row(struct wish *wish, const struct config_key *key)
{
    const char *text = overrides_text(wish->request->broker->overrides, key, ORIGIN_ALL_BROKERS);
    if (!text)
        return true;
    struct config_link link = { key->name, text, ORIGIN_ALL_BROKERS };
    struct describe_configs_response_resource_result *row =
        row_add(wish, key->name, key->type, key->doc);
    row->is_sensitive = config_key_sensitive(key);
    row->value = row->is_sensitive ? bytes_of(NULL, 0) : text_keep(wish, text);
    row->config_source = ORIGIN_ALL_BROKERS;
    return synonyms_make(wish, row, NULL, &link, 1);
}

/* Both levels wait until what was set is durable. */
static bool broker_depends(struct wish *wish, struct bytes name)
{
    struct override_list list;
    return overrides_read(wish->request, RESOURCE_BROKER, name, &list) &&
           overrides_read(wish->request, RESOURCE_BROKER, bytes_of("", 0), &list);
}

/* Whether a resource of this broker is named by this node's id. */
static bool is_this_node(struct wish *wish)
{
    char id[16];
    (void)snprintf(id, sizeof(id), "%d", wish->request->broker->config->node_id);
    if (bytes_equal_text(wish->resource->resource_name, id))
        return true;
    refuse(wish, KAFKA_ERROR_INVALID_REQUEST,
        answer_text(wish->request, "the only broker has the id %s", id));
    return false;
}

static bool describe_broker(struct wish *wish)
{
    bool all_brokers = wish->resource->resource_name.len == 0;
    if (!all_brokers && !is_this_node(wish))
        return true;
    size_t count;
    const struct config_key *keys = config_keys(&count);
    if (!rows_make(wish, count) || !broker_depends(wish, wish->resource->resource_name))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (!wanted(wish, keys[i].name))
            continue;
        if (!(all_brokers ? default_row(wish, &keys[i]) : broker_row(wish, &keys[i])))
            return false;
    }
    return true;
}

static bool describe_logger(struct wish *wish)
{
    static const char *const levels[] = { "ERROR", "WARN", "INFO", "DEBUG" };
    if (!is_this_node(wish))
        return true;
    if (!rows_make(wish, 1))
        return false;
    if (!wanted(wish, "root"))
        return true;
    struct describe_configs_response_resource_result *row = row_add(wish, "root", 0, "");
    row->value = bytes_text(levels[wish->request->broker->config->log_level]);
    row->config_source = ORIGIN_LOGGER;
    row->documentation = bytes_of(NULL, 0);
    return true;
}

/* ---- groups and client metrics ------------------------------------------------------------- */

static bool resource_row(
    struct wish *wish, const struct config_key *key, const struct override_list *list)
{
    int8_t type = wish->resource->resource_type;
    struct config_link links[CONFIG_CHAIN_MAX];
    struct config_link own = { .name = key->name,
        .origin = type == RESOURCE_GROUP ? ORIGIN_GROUP : ORIGIN_CLIENT_METRICS };
    const struct config_key *broker_key = type == RESOURCE_GROUP ? resource_key_default(key) : NULL;
    size_t count = broker_key ? config_chain(wish->request->broker, broker_key, links) : 0;
    struct describe_configs_response_resource_result *row =
        row_add(wish, key->name, key->type, key->doc);
    if (type == RESOURCE_GROUP && !broker_key)
        links[count++] = (struct config_link){ key->name, key->default_text, ORIGIN_DEFAULT };
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i].name, key->name) == 0)
            own.text = list->items[i].value;
    row->config_source = (int8_t)(own.text ? own.origin : count ? links[0].origin : ORIGIN_DEFAULT);
    row->value = text_keep(wish, own.text ? own.text : count ? links[0].text : key->default_text);
    return synonyms_make(wish, row, own.text ? &own : NULL, links, count);
}

static bool describe_resource(struct wish *wish)
{
    size_t count;
    struct override_list list;
    int8_t type = wish->resource->resource_type;
    const struct config_key *keys = resource_keys(type, &count);
    if (wish->resource->resource_name.len == 0) {
        refuse(wish, KAFKA_ERROR_INVALID_REQUEST, bytes_text("the name may not be empty"));
        return true;
    }
    if (!rows_make(wish, count) ||
        !overrides_read(wish->request, type, wish->resource->resource_name, &list))
        return false;
    for (size_t i = 0; i < count; i++)
        if (wanted(wish, keys[i].name) && !resource_row(wish, &keys[i], &list))
            return false;
    return true;
}

/* ---- the request --------------------------------------------------------------------------- */

static bool describe(struct wish *wish)
{
    switch (wish->resource->resource_type) {
    case RESOURCE_TOPIC: return describe_topic(wish);
    case RESOURCE_BROKER: return describe_broker(wish);
    case RESOURCE_BROKER_LOGGER: return describe_logger(wish);
    case RESOURCE_CLIENT_METRICS:
    case RESOURCE_GROUP: return describe_resource(wish);
    default:
        refuse(wish, KAFKA_ERROR_INVALID_REQUEST,
            answer_text(wish->request, "there is nothing to configure of resource type %d",
                wish->resource->resource_type));
        return true;
    }
}

static bool names_collect(struct wish *wish)
{
    int32_t count = wish->resource->configuration_keys_count, number;
    wish->all = count <= 0; /* none named is all, too */
    if (wish->all)
        return true;
    if (name_set_init(&wish->names, &wish->request->arena, (size_t)count,
            random_u64(wish->request->broker->doors->random), false)) {
        request_fail(wish->request, "the request names too many keys");
        return false;
    }
    for (int32_t i = 0; i < count; i++)
        (void)name_set_add(&wish->names, wish->resource->configuration_keys[i], i, &number, NULL);
    return true;
}

void handle_describe_configs(struct request *request)
{
    const struct describe_configs_request *body = request->body;
    struct describe_configs_response *answer = request->answer;
    answer->results =
        answer_array(request, &describe_configs_response_result_table, body->resources_count);
    if (!answer->results)
        return;
    answer->results_count = body->resources_count;
    for (int32_t i = 0; i < body->resources_count; i++) {
        struct wish wish = {
            .request = request, .resource = &body->resources[i], .result = &answer->results[i]
        };
        wish.result->resource_type = wish.resource->resource_type;
        wish.result->resource_name = wish.resource->resource_name;
        if (!names_collect(&wish) || !describe(&wish))
            return;
    }
    request_finish(request);
}

/* ---- ListConfigResources ------------------------------------------------------------------- */

enum { LISTED_TYPES = 5 };
/* In the order that Kafka tells them. */
static const int8_t listed_types[LISTED_TYPES] = { RESOURCE_GROUP, RESOURCE_CLIENT_METRICS,
    RESOURCE_BROKER_LOGGER, RESOURCE_BROKER, RESOURCE_TOPIC };

struct listing {
    struct request *request;
    int8_t type;
    size_t count, capacity; /* of the answer's array; 0: only count */
    bool failed;
};

static bool listing_add(void *context, struct bytes name, uint64_t lsn)
{
    struct listing *listing = context;
    struct list_config_resources_response *answer = listing->request->answer;
    request_depends(listing->request, lsn);
    if (listing->capacity) {
        char *copy = answer_strdup(listing->request, name);
        listing->failed = !copy;
        if (!copy)
            return false;
        answer->config_resources[listing->count].resource_name = bytes_of(copy, name.len);
        answer->config_resources[listing->count].resource_type = listing->type;
    }
    listing->count++;
    return true;
}

static void listing_type(struct listing *listing)
{
    struct broker *broker = listing->request->broker;
    char id[16];
    int len = snprintf(id, sizeof(id), "%d", broker->config->node_id);
    if (listing->type == RESOURCE_BROKER || listing->type == RESOURCE_BROKER_LOGGER)
        (void)listing_add(listing, bytes_of(id, (size_t)len), 0);
    else if (listing->type != RESOURCE_TOPIC)
        overrides_each(broker, listing->type, listing_add, listing);
    struct topic *topic =
        listing->type == RESOURCE_TOPIC ? storage_topic_next(broker->storage, NULL) : NULL;
    for (; topic; topic = storage_topic_next(broker->storage, topic))
        if (!listing_add(listing, bytes_text(topic->name), topic->lsn))
            return;
}

/* None asked for: client metrics in version 0, all later. */
static bool type_listed(const struct request *request, int8_t type)
{
    const struct list_config_resources_request *body = request->body;
    if (request->version == 0)
        return type == RESOURCE_CLIENT_METRICS;
    for (int32_t i = 0; i < body->resource_types_count; i++)
        if (body->resource_types[i] == type)
            return true;
    return body->resource_types_count == 0;
}

static bool types_known(const struct list_config_resources_request *body)
{
    for (int32_t i = 0; i < body->resource_types_count; i++) {
        bool known = false;
        for (size_t t = 0; t < LISTED_TYPES; t++)
            known |= listed_types[t] == body->resource_types[i];
        if (!known)
            return false;
    }
    return true;
}

void handle_list_config_resources(struct request *request)
{
    struct list_config_resources_response *answer = request->answer;
    struct listing listing = { .request = request };
    if (!types_known(request->body)) {
        answer->error_code = KAFKA_ERROR_UNSUPPORTED_VERSION;
        request_finish(request);
        return;
    }
    request_depends(request, storage_deletion_lsn(request->broker->storage));
    for (int round = 0; round < 2 && !listing.failed; round++) {
        for (size_t i = 0; i < LISTED_TYPES && !listing.failed; i++) {
            listing.type = listed_types[i];
            if (type_listed(request, listing.type))
                listing_type(&listing);
        }
        if (round == 1 || listing.count == 0)
            break;
        answer->config_resources = answer_array(
            request, &list_config_resources_response_config_resource_table, (int32_t)listing.count);
        if (!answer->config_resources)
            return;
        listing.capacity = listing.count;
        listing.count = 0;
    }
    answer->config_resources_count = (int32_t)listing.count;
    if (!listing.failed)
        request_finish(request);
}
