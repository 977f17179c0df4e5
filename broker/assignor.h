/*
 * assignor.h - who reads what: the assignors of the broker (KIP-848), as pure functions.
 *
 *   uniform  as even as the subscriptions allow: nobody has two partitions more than another who
 *            could take one of them. What a member had it keeps, unless that would be uneven.
 *   range    per topic, members in the order of their instance ids, then of their ids, take runs of
 *            partitions; the first ones one more where it does not divide. Topics with as many
 *            partitions and the same subscribers are laid out alike.
 */
#ifndef BROKER_ASSIGNOR_H
#define BROKER_ASSIGNOR_H

#include <stddef.h>

#include "broker/partition_set.h"
#include "broker/subscription.h"

struct assignor_member {
    const char *id, *instance_id;      /* instance_id NULL: dynamic */
    struct topic_list topics;          /* what it is subscribed to; the caller's */
    const struct partition_set *owned; /* by the assignment so far */
    struct partition_set result;       /* filled; the caller's to free */
};

struct assignor {
    const char *name;
    void (*assign)(struct assignor_member *members, size_t count);
};

/* NULL: there is none of this name. */
const struct assignor *assignor_find(struct bytes name);

#endif
