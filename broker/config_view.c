/* See config_view.h. */
#include "broker/config_view.h"

#include <string.h>

#include "broker/answer.h"
#include "broker/broker.h"
#include "broker/config_table.h"

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

/* The nearest place that says something of a topic's key, the topic itself set apart. */
static struct config_link nearest_link(
    const struct broker *broker, const struct topic_config_key *key)
{
    struct config_link links[CONFIG_CHAIN_MAX];
    const struct config_key *broker_key = config_view_default(key);
    size_t count = broker_key ? config_chain(broker, broker_key, links) : 0;
    return count ? links[0] : (struct config_link){ .origin = ORIGIN_DEFAULT };
}

/* The parts of a list in the order in which they were given, each once and without blanks: who
 * compares what he set with what he is told shall find it the same. A list of few different words.
 */
static void list_print(const char *given, struct out *out)
{
    struct text_list parts = { 0 };
    size_t kept = 0;
    text_list_split(&parts, given);
    for (size_t i = 0; i < parts.count; i++) {
        bool twice = false;
        for (size_t k = 0; k < kept; k++)
            twice |= strcmp(parts.items[k], parts.items[i]) == 0;
        if (twice)
            continue;
        char *part = parts.items[i];
        out_printf(out, "%s%s", kept ? "," : "", part);
        parts.items[i] = parts.items[kept];
        parts.items[kept++] = part;
    }
    text_list_done(&parts);
}

struct config_view config_view_of_topic(struct request *request, const struct topic_config_key *key,
    const struct topic_config *effective, const char *own_text)
{
    char text[TOPIC_CONFIG_VALUE_MAX + 1];
    struct config_link nearest = nearest_link(request->broker, key);
    struct config_view view = { .origin = own_text ? ORIGIN_TOPIC : nearest.origin };
    const char *given = own_text ? own_text : nearest.text;
    struct out out = { 0 };
    if (own_text && !key->effective) {
        out_text(&out, own_text); /* print would tell the default */
    } else if (given && key->type == CONFIG_LIST) {
        list_print(given, &out);
    } else {
        key->print(effective, text, sizeof(text));
        out_text(&out, text);
    }
    out_bytes(&out, "", 1);
    /* A copy in any case: the topic may be gone when the answer leaves. */
    const void *copy = arena_copy(&request->arena, out.data, out.len);
    if (!copy)
        request_fail(request, "the values do not fit into request.arena.max.bytes");
    view.value = bytes_of(copy, copy ? out.len - 1 : 0);
    out_done(&out);
    return view;
}
