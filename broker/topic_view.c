/* See topic_view.h. */
#include "broker/topic_view.h"

#include "storage/storage.h"

static uint64_t version(void *context)
{
    return storage_topics_version(context);
}

static bool tell(const struct topic *topic, struct topic_facts *ret_facts)
{
    if (!topic)
        return false;
    *ret_facts = (struct topic_facts){ topic->name, topic->id, topic->log_count };
    return true;
}

static bool by_name(void *context, struct bytes name, struct topic_facts *ret_facts)
{
    return tell(storage_topic(context, name), ret_facts);
}

static bool by_id(void *context, const struct uuid *id, struct topic_facts *ret_facts)
{
    return tell(storage_topic_by_id(context, id), ret_facts);
}

static bool next(void *context, const char *after, struct topic_facts *ret_facts)
{
    const struct topic *from = after ? storage_topic(context, bytes_text(after)) : NULL;
    if (after && !from)
        return false;
    return tell(storage_topic_next(context, from), ret_facts);
}

struct topic_view topic_view_of(struct storage *storage)
{
    return (struct topic_view){ storage, version, by_name, by_id, next };
}
