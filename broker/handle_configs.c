/*
 * handle_configs.c - DescribeConfigs, versions 1 to 4.
 *
 *   topic          every key of topic_config_keys: what holds, and where it comes from: the topic,
 *                  a key given to the broker, a default. Synonyms are that chain, nearest first.
 *   broker         every key of config_keys, all read-only (nothing can be changed at run time
 * yet). The resource "" asks for what was set dynamically for all brokers: nothing. broker logger,
 * client metrics, group: nothing can be set on them, so nothing is told.
 *
 * Values of sensitive keys are never told.
 */
#include <stdio.h>

#include "broker/answer.h"
#include "broker/api.h"
#include "broker/broker.h"
#include "broker/config_view.h"
#include "broker/names.h"
#include "protocol/error.h"
#include "protocol/messages.h"

enum resource_type {
    RESOURCE_TOPIC = 2,
    RESOURCE_BROKER = 4,
    RESOURCE_BROKER_LOGGER = 8,
    RESOURCE_CLIENT_METRICS = 16,
    RESOURCE_GROUP = 32,
};

enum { SYNONYMS_MAX = 3 };

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

static void synonym_add(struct describe_configs_response_resource_result *row, struct bytes name,
    struct bytes value, enum config_origin source)
{
    row->synonyms[row->synonyms_count++] =
        (struct describe_configs_response_synonym){ name, value, (int8_t)source };
}

/* The chain from what holds down to the default. False: the request has failed. */
static bool synonyms_make(struct wish *wish, struct describe_configs_response_resource_result *row)
{
    const struct describe_configs_request *body = wish->request->body;
    if (!body->include_synonyms)
        return true;
    row->synonyms =
        answer_array(wish->request, &describe_configs_response_synonym_table, SYNONYMS_MAX);
    return row->synonyms;
}

/* ---- topics -------------------------------------------------------------------------------- */

static bool topic_row(struct wish *wish, const struct topic *topic,
    const struct topic_config_key *key, const struct config_key *set_key)
{
    const struct describe_configs_request *body = wish->request->body;
    const struct broker_config *config = wish->request->broker->config;
    struct describe_configs_response_resource_result *row =
        row_add(wish, key->name, key->type, key->doc);
    const char *own = config_view_own_text(key, topic->entries, topic->entry_count);
    struct config_view view =
        config_view_of_topic(wish->request, key, &topic->config, own, set_key);
    row->value = view.value;
    row->config_source = (int8_t)view.origin;
    if (!synonyms_make(wish, row))
        return false;
    if (!body->include_synonyms)
        return true;
    if (own)
        synonym_add(row, row->name, view.value, ORIGIN_TOPIC);
    if (set_key)
        synonym_add(row, bytes_text(set_key->name),
            text_or_null(broker_config_value(config, set_key, NULL)), ORIGIN_BROKER);
    const char *default_name = key->broker_name ? key->broker_name : key->name;
    synonym_add(row, bytes_text(default_name), text_or_null(key->default_text), ORIGIN_DEFAULT);
    return true;
}

/* False: the request has failed (so below). */
static bool describe_topic(struct wish *wish, const struct config_key **set_keys)
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
        if (wanted(wish, keys[i].name) && !topic_row(wish, topic, &keys[i], set_keys[i]))
            return false;
    return true;
}

/* ---- the broker ---------------------------------------------------------------------------- */

static bool broker_row(struct wish *wish, const struct config_key *key)
{
    const struct describe_configs_request *body = wish->request->body;
    enum config_source source;
    struct describe_configs_response_resource_result *row =
        row_add(wish, key->name, key->type, key->doc);
    const char *text = broker_config_value(wish->request->broker->config, key, &source);
    row->is_sensitive = config_key_sensitive(key);
    row->value = row->is_sensitive ? bytes_of(NULL, 0) : text_or_null(text);
    row->config_source = source == CONFIG_FROM_DEFAULT ? ORIGIN_DEFAULT : ORIGIN_BROKER;
    row->read_only = true;
    if (!synonyms_make(wish, row))
        return false;
    if (!body->include_synonyms)
        return true;
    if (source != CONFIG_FROM_DEFAULT)
        synonym_add(row, row->name, row->value, ORIGIN_BROKER);
    if (key->default_text)
        synonym_add(row, row->name,
            row->is_sensitive ? bytes_of(NULL, 0) : bytes_text(key->default_text), ORIGIN_DEFAULT);
    return true;
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
    if (wish->resource->resource_name.len == 0 || !is_this_node(wish))
        return true;
    size_t count;
    const struct config_key *keys = config_keys(&count);
    if (!rows_make(wish, count))
        return false;
    for (size_t i = 0; i < count; i++)
        if (wanted(wish, keys[i].name) && !broker_row(wish, &keys[i]))
            return false;
    return true;
}

/* ---- the request --------------------------------------------------------------------------- */

static bool describe(struct wish *wish, const struct config_key **set_keys)
{
    switch (wish->resource->resource_type) {
    case RESOURCE_TOPIC: return describe_topic(wish, set_keys);
    case RESOURCE_BROKER: return describe_broker(wish);
    case RESOURCE_BROKER_LOGGER: (void)is_this_node(wish); return true;
    case RESOURCE_CLIENT_METRICS:
    case RESOURCE_GROUP:
        if (wish->resource->resource_name.len == 0)
            refuse(wish, KAFKA_ERROR_INVALID_REQUEST, bytes_text("the name may not be empty"));
        return true;
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
    wish->all = count < 0;
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
    const struct config_key **set_keys = config_view_set_keys(request);
    if (!answer->results || !set_keys)
        return;
    answer->results_count = body->resources_count;
    for (int32_t i = 0; i < body->resources_count; i++) {
        struct wish wish = {
            .request = request, .resource = &body->resources[i], .result = &answer->results[i]
        };
        wish.result->resource_type = wish.resource->resource_type;
        wish.result->resource_name = wish.resource->resource_name;
        if (!names_collect(&wish) || !describe(&wish, set_keys))
            return;
    }
    request_finish(request);
}
