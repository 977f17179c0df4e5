/*
 * topic_view.h - the topics of the broker as groups whose partitions the broker assigns see them:
 * names, ids and how many partitions. A door, so that the machines of the groups run without a
 * storage.
 */
#ifndef BROKER_TOPIC_VIEW_H
#define BROKER_TOPIC_VIEW_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol/base/bytes.h"
#include "protocol/uuid.h"

struct storage;

struct topic_facts {
    const char *name; /* valid until the topics change */
    struct uuid id;
    int32_t partition_count;
};

struct topic_view {
    void *context;
    /* Moves with every topic that is made, deleted or grown. */
    uint64_t (*version)(void *context);
    /* False: there is none. */
    bool (*by_name)(void *context, struct bytes name, struct topic_facts *ret_facts);
    bool (*by_id)(void *context, const struct uuid *id, struct topic_facts *ret_facts);
    /* All, in the order of their names; `after` NULL is before the first. */
    bool (*next)(void *context, const char *after, struct topic_facts *ret_facts);
};

/* The view of a storage, which outlives it. */
struct topic_view topic_view_of(struct storage *storage);

#endif
