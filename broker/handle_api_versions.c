/*
 * handle_api_versions.c - what is offered: the first question of every client (KIP-35, KIP-511).
 *
 * A version that nobody here knows is answered all the same, in the form of version 0 with
 * UNSUPPORTED_VERSION and the range that is served, so that a newer client can ask again.
 *
 * Features (feature_levels.h) are told from version 3 on; those whose lowest level is 0 only from
 * version 4 on, for older clients take a 0 there as an error (KAFKA-17011).
 */
#include "broker/answer.h"
#include "broker/api.h"
#include "broker/feature_levels.h"
#include "protocol/error.h"
#include "protocol/messages.h"

static bool is_word(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* KIP-511: letters, digits, and between them dots and dashes. */
static bool software_name(struct bytes text)
{
    if (text.len == 0 || !is_word(text.data[0]) || !is_word(text.data[text.len - 1]))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (!is_word(text.data[i]) && text.data[i] != '.' && text.data[i] != '-')
            return false;
    }
    return true;
}

static bool list_apis(struct request *request, struct api_versions_response *answer)
{
    size_t count;
    const struct api *table = api_table(&count);
    struct api_versions_response_api_version *rows = request_alloc(request, count * sizeof(*rows));
    if (!rows)
        return false;
    for (size_t i = 0; i < count; i++) {
        const struct api_schema *schema = api_schema_find(table[i].key);
        rows[i].api_key = table[i].key;
        rows[i].min_version = schema->advertised.min;
        rows[i].max_version = schema->advertised.max;
    }
    answer->api_keys = rows;
    answer->api_keys_count = (int32_t)count;
    return true;
}

static bool list_features(struct request *request, struct api_versions_response *answer)
{
    size_t count;
    const struct feature *table = features(&count);
    answer->supported_features =
        answer_array(request, &api_versions_response_supported_feature_key_table, (int32_t)count);
    answer->finalized_features =
        answer_array(request, &api_versions_response_finalized_feature_key_table, (int32_t)count);
    if (!answer->supported_features || !answer->finalized_features)
        return false;
    for (size_t i = 0; i < count; i++) {
        struct bytes name = bytes_text(table[i].name);
        if (table[i].min > 0 || request->version >= 4)
            answer->supported_features[answer->supported_features_count++] =
                (struct api_versions_response_supported_feature_key){ name, table[i].min,
                    table[i].max };
        if (table[i].level > 0)
            answer->finalized_features[answer->finalized_features_count++] =
                (struct api_versions_response_finalized_feature_key){ name, table[i].level,
                    table[i].level };
    }
    answer->finalized_features_epoch = features_epoch();
    return true;
}

/* Only our own row. */
static bool list_self(struct request *request, struct api_versions_response *answer)
{
    struct api_versions_response_api_version *row = request_alloc(request, sizeof(*row));
    if (!row)
        return false;
    row->api_key = API_API_VERSIONS;
    row->min_version = request->schema->advertised.min;
    row->max_version = request->schema->advertised.max;
    answer->api_keys = row;
    answer->api_keys_count = 1;
    return true;
}

void handle_api_versions(struct request *request)
{
    const struct api_versions_request *body = request->body;
    struct api_versions_response *answer = request->answer;
    bool listed = true;
    if (!versions_have(request->schema->served, request->version)) {
        request->version = 0;
        answer->error_code = KAFKA_ERROR_UNSUPPORTED_VERSION;
        listed = list_self(request, answer);
    } else if (request->version >= 3 && (!software_name(body->client_software_name) ||
                                            !software_name(body->client_software_version))) {
        answer->error_code = KAFKA_ERROR_INVALID_REQUEST;
    } else {
        listed =
            list_apis(request, answer) && (request->version < 3 || list_features(request, answer));
    }
    if (listed)
        request_finish(request);
}
