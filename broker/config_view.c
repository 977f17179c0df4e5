/* See config_view.h. */
#include "broker/config_view.h"

#include <string.h>

#include "broker/answer.h"
#include "broker/broker.h"

/* What is said of the key at one place, or NULL. */
static const char *text_at(
    const struct broker *broker, const struct config_key *key, enum config_origin origin)
{
    enum config_source source;
    if (origin == ORIGIN_DEFAULT)
        return key->default_text;
    if (origin != ORIGIN_START)
        return overrides_text(broker->overrides, key, origin);
    const char *text = broker_config_value(broker->config, key, &source);
    return source == CONFIG_FROM_DEFAULT ? NULL : text;
}

size_t config_chain(const struct broker *broker, const struct config_key *key,
    struct config_link links[CONFIG_CHAIN_MAX])
{
    static const enum config_origin origins[] = { ORIGIN_THIS_BROKER, ORIGIN_ALL_BROKERS,
        ORIGIN_START, ORIGIN_DEFAULT };
    const struct config_key *family[CONFIG_FAMILY_MAX];
    size_t family_count = config_key_family(key, family), count = 0;
    for (size_t o = 0; o < ARRAY_COUNT(origins); o++) {
        for (size_t f = 0; f < family_count; f++) {
            const char *text = text_at(broker, family[f], origins[o]);
            if (text && (count > 0 || family[f] == key))
                links[count++] = (struct config_link){ family[f]->name, text, origins[o] };
        }
    }
    return count;
}

const struct config_key *config_view_default(const struct topic_config_key *key)
{
    return key->broker_name ? config_key_find(bytes_text(key->broker_name)) : NULL;
}

const char *config_view_own_text(const struct topic_config_key *key,
    const struct topic_config_entry *entries, size_t entry_count)
{
    for (size_t i = 0; i < entry_count; i++)
        if (strcmp(entries[i].name, key->name) == 0)
            return entries[i].value;
    return NULL;
}

static enum config_origin origin_of(const struct broker *broker, const struct topic_config_key *key)
{
    struct config_link links[CONFIG_CHAIN_MAX];
    const struct config_key *broker_key = config_view_default(key);
    size_t count = broker_key ? config_chain(broker, broker_key, links) : 0;
    return count ? links[0].origin : ORIGIN_DEFAULT;
}

struct config_view config_view_of_topic(struct request *request, const struct topic_config_key *key,
    const struct topic_config *effective, const char *own_text)
{
    char text[TOPIC_CONFIG_VALUE_MAX + 1];
    struct config_view view = {
        .origin = own_text ? ORIGIN_TOPIC : origin_of(request->broker, key),
    };
    /* One without a field: print would tell its default. A copy in any case: the topic may be gone
     * when the answer leaves. */
    const char *from = own_text && !key->effective ? own_text : text;
    if (from == text)
        key->print(effective, text, sizeof(text));
    size_t len = strlen(from);
    const void *copy = arena_copy(&request->arena, from, len + 1);
    if (!copy)
        request_fail(request, "the values do not fit into request.arena.max.bytes");
    view.value = bytes_of(copy, copy ? len : 0);
    return view;
}
