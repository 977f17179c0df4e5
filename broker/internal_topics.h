/*
 * internal_topics.h - __consumer_offsets and __transaction_state: what the store holds of groups,
 * offsets and transactions, as views (view.h) with Kafka's own records, for tools that read them.
 *
 *     __consumer_offsets   STORE_OFFSET → OffsetCommit; STORE_GROUP and STORE_GROUP_MEMBER → the
 *                          records of the group's kind (group_records.h). An offset of a topic that
 *                          is gone is left out. Its topic's id is always told; Kafka leaves it out
 *                          of what a transaction committed.
 *     __transaction_state  STORE_TRANSACTION → TransactionLog
 *
 * Clients read them as any topic and can't change them: a change, a deletion, a record or a
 * transaction is refused with INVALID_TOPIC_EXCEPTION, making one says that it is there already.
 * They show from the first use on: something was stored, or a client asked for one by Metadata that
 * may create topics, or by CreateTopics.
 */
#ifndef BROKER_INTERNAL_TOPICS_H
#define BROKER_INTERNAL_TOPICS_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol/base/bytes.h"

struct broker;
struct internal_topics;
struct store_change;

/* Kafka's defaults of offsets.topic.num.partitions and transaction.state.log.num.partitions. */
enum { INTERNAL_TOPIC_PARTITIONS = 50 };

/* Of a group id or transactional id (Kafka's Utils.abs of its hash in Java, modulo `partitions`).
 */
int32_t internal_topic_partition(struct bytes id, int32_t partitions);

/* Of what the broker's storage holds. */
struct internal_topics *internal_topics_create(struct broker *broker);
/* Before the storage. NULL is fine. */
void internal_topics_destroy(struct internal_topics *topics);
void internal_topics_change(struct internal_topics *topics, const struct store_change *change);
/* Once per turn. */
void internal_topics_turn(struct internal_topics *topics);
/* From now on the topic shows, if it is one of them. True: it is there. */
bool internal_topics_show(struct internal_topics *topics, struct bytes name);

#endif
