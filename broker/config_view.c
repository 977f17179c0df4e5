/* See config_view.h. */
#include "broker/config_view.h"

#include <string.h>

#include "broker/answer.h"
#include "broker/broker.h"

/* Keys in coarser units of a topic's key; where several are set, the last by name counts, which is
 * the finest. */
static const char *topic_key_of(const struct config_key *key)
{
    static const char *const coarse[][2] = {
        { "log.retention.hours", "retention.ms" },
        { "log.retention.minutes", "retention.ms" },
        { "log.roll.hours", "segment.ms" },
        { "log.roll.jitter.hours", "segment.jitter.ms" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(coarse); i++)
        if (strcmp(key->name, coarse[i][0]) == 0)
            return coarse[i][1];
    return key->topic_key;
}

const struct config_key **config_view_set_keys(struct request *request)
{
    const struct broker_config *config = request->broker->config;
    size_t topic_count, count;
    const struct topic_config_key *topic_keys = topic_config_keys(&topic_count);
    const struct config_key *keys = config_keys(&count);
    const struct config_key **set = request_alloc(request, topic_count * sizeof(*set));
    for (size_t i = 0; set && i < count; i++) {
        enum config_source source;
        const char *topic_key = topic_key_of(&keys[i]);
        if (!topic_key)
            continue;
        (void)broker_config_value(config, &keys[i], &source);
        if (source == CONFIG_FROM_DEFAULT)
            continue;
        for (size_t t = 0; t < topic_count; t++)
            if (strcmp(topic_keys[t].name, topic_key) == 0)
                set[t] = &keys[i];
    }
    return set;
}

const char *config_view_own_text(const struct topic_config_key *key,
    const struct topic_config_entry *entries, size_t entry_count)
{
    for (size_t i = 0; i < entry_count; i++)
        if (strcmp(entries[i].name, key->name) == 0)
            return entries[i].value;
    return NULL;
}

struct config_view config_view_of_topic(struct request *request, const struct topic_config_key *key,
    const struct topic_config *effective, const char *own_text, const struct config_key *set_key)
{
    char text[TOPIC_CONFIG_VALUE_MAX + 1];
    struct config_view view = { .origin = own_text  ? ORIGIN_TOPIC
                                          : set_key ? ORIGIN_BROKER
                                                    : ORIGIN_DEFAULT };
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
