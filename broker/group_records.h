/*
 * group_records.h - the rows of groups and of their members as Kafka's records in
 * __consumer_offsets (internal_topics.h): three kinds of groups, each with records of its own.
 *
 *   row of      classic            consumer (KIP-848)          share (KIP-932)
 *   the group   GroupMetadata (2)  Metadata (3)                Metadata (11)
 *                                  TargetAssignmentMetadata    TargetAssignmentMetadata (12)
 *                                  (6)                         StatePartitionMetadata (15)
 *   a member    -                  MemberMetadata (5)          MemberMetadata (10)
 *                                  TargetAssignmentMember (7)  TargetAssignmentMember (13)
 *                                  CurrentMemberAssignment     CurrentMemberAssignment (14)
 *                                  (8)
 *                                  RegularExpression (16)
 *
 * (with ConsumerGroup or ShareGroup in front, but for the classic one.)
 *
 * Where our rows know less than Kafka's records:
 * - 15 tells what the group has at the time of reading; a change of that is no news to a reader who
 *   has read on.
 * - 16 comes with each member that has the expression, once the group has looked in this life which
 *   topics match; it has no tombstones, since nobody remembers what the member's expression was.
 * - The metadata hash is ours (0 for share groups), and the timestamp of an assignment is left out.
 * - A member's records bear the time of its group's newest row.
 *
 * The functions are those of a struct view_kind (view.h), whose forms are kinds of groups.
 */
#ifndef BROKER_GROUP_RECORDS_H
#define BROKER_GROUP_RECORDS_H

#include "broker/view.h"

struct broker;
struct message;

/* Adds a record of `key` and `value`, in front of which stand the key's type and the value's
 * version; value_message NULL: a tombstone. What can't be encoded, which no client could have
 * stored, is left out. */
void internal_record_add(struct view_records *to, int16_t key_type,
    const struct message *key_message, const void *key, int16_t version,
    const struct message *value_message, const void *value);

/* Of STORE_GROUP. */
uint16_t group_records_form(struct bytes value);
int64_t group_records_time_ms(struct bytes value);
void group_records_write(const struct broker *broker, struct bytes key, struct bytes value,
    uint16_t forms, struct view_records *to);

/* Of STORE_GROUP_MEMBER. Null: no key of one. */
struct bytes member_records_group(struct bytes key);
uint16_t member_records_form(const struct broker *broker, struct bytes key);
int64_t member_records_time_ms(const struct broker *broker, struct bytes key);
void member_records_write(const struct broker *broker, struct bytes key, struct bytes value,
    uint16_t forms, struct view_records *to);

#endif
