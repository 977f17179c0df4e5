/*
 * consumer_protocol.h - what members of a classic group say to each other through JoinGroup and
 * SyncGroup when their protocol type is "consumer": subscriptions and assignments (KIP-415,
 * KIP-429, KIP-792). The coordinator looks into them only where a rule needs it (OffsetDelete,
 * groups that change from one protocol to the other).
 */
#ifndef BROKER_CONSUMER_PROTOCOL_H
#define BROKER_CONSUMER_PROTOCOL_H

#include <stdbool.h>

#include "broker/partition_set.h"
#include "broker/topic_view.h"
#include "protocol/base/arena.h"
#include "protocol/base/bytes.h"
#include "protocol/messages.h"

struct consumer_subscription {
    struct arena arena;
    int16_t version; /* as the member wrote it, at most the newest we know */
    struct consumer_protocol_subscription body;
};

/* `data` outlives it. 0, or -EBADMSG: not a subscription, and nothing to be done with. */
int consumer_subscription_read(
    struct consumer_subscription *subscription, struct bytes data) MUST_CHECK;
void consumer_subscription_done(struct consumer_subscription *subscription);
/* What the member says it owns; topics that are not there are left out. */
void consumer_subscription_owned(const struct consumer_subscription *subscription,
    const struct topic_view *topics, struct partition_set *ret_owned);

/* What a leader gave out; an empty run of bytes is nothing. -EBADMSG: no assignment. */
int consumer_assignment_read(
    struct bytes data, const struct topic_view *topics, struct partition_set *ret_assigned);
/* The same in the other direction, appended, in a version that the member reads. */
void consumer_assignment_write(struct out *out, int16_t version,
    const struct partition_set *assigned, const struct topic_view *topics);

#endif
