/*
 * expiry.h - what time takes of groups: committed offsets that are too old
 * (offsets.retention.minutes, or what OffsetCommit 2-4 said), and groups that have neither members
 * nor offsets any more. Every offsets.retention.check.interval.ms all groups are looked at, a piece
 * in a turn.
 *
 * Which offsets, and from when they count, the group's kind says (group.h, retention). Not while an
 * offset of the partition waits for the end of a transaction. Offsets of a topic that is gone go at
 * the next look, whatever their group does.
 *
 * One exception to what Apache Kafka does: of a classic group that had members and is empty, Kafka
 * asks only since when it is empty, so that its next look takes what a tool has just set back, or a
 * reader without a group has committed under its name (seen: 4.3.1, retention a minute, 64 s
 * empty: gone 1.5 s after it was acknowledged), and the reader skips or begins anew. Nobody can
 * want that; here it stays until its commit is old enough, too: one retention more at most.
 */
#ifndef BROKER_EXPIRY_H
#define BROKER_EXPIRY_H

struct broker;
struct expiry;

enum {
    EXPIRY_VISITS_MAX = 1000,           /* groups and offsets looked at in one piece */
    EXPIRY_UNIT_BYTES_MAX = 128 * 1024, /* of keys that one unit deletes, about */
    EXPIRY_PAUSE_MS = 10,               /* between pieces */
    EXPIRY_RETRY_MS = 100,              /* after a full ring */
    EXPIRY_TRANSACTIONS_PER_VISIT = 16, /* open ones that are looked at cost a visit */
};

/* Of the broker's coordinators, which outlive it. The first look is an interval from now. */
struct expiry *expiry_create(struct broker *broker);
/* NULL is fine. */
void expiry_destroy(struct expiry *expiry);

#endif
