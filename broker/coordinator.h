/*
 * coordinator.h - the owner of all groups, of every kind (group.h): finds and makes them, drives
 * their deadlines, makes their state and the committed offsets durable through log_commit.
 *
 * Groups live in STORE_GROUP, key = group id, the first byte of the value is the kind; kinds with a
 * row for each member keep them in STORE_GROUP_MEMBER, key = u16 length of the group id, group id,
 * member id (big-endian, so that a group's members stand together). Offsets live in the store only,
 * under STORE_OFFSET: key = u16 length of the group id, group id, topic id (16), u32 partition
 * (big-endian, so that a group's keys stand together); the store is their memory too.
 *
 * One thread: the loop.
 */
#ifndef BROKER_COORDINATOR_H
#define BROKER_COORDINATOR_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/classic_group.h"
#include "broker/consumer_group.h"
#include "protocol/base/bytes.h"
#include "protocol/uuid.h"

struct broker;
struct coordinator;
struct request;
struct unit;

/* More groups than this are refused (each costs about 1 KiB). */
enum { COORDINATOR_GROUPS_MAX = 100000 };

/* Loads what the store holds. The broker outlives it. */
int coordinator_create(struct coordinator **ret_coordinator, struct broker *broker) MUST_CHECK;
/* Waiting requests are not answered; they are cancelled by their connections before. */
void coordinator_destroy(struct coordinator *coordinator);

/* NULL: no such group. */
struct group *coordinator_group(struct coordinator *coordinator, struct bytes id);
/* Makes it if need be, of this kind; what is there may be of another. NULL:
 * COORDINATOR_GROUPS_MAX, or their share of memory. */
struct group *coordinator_group_make(
    struct coordinator *coordinator, struct bytes id, enum group_kind kind);
/* An empty group of another kind and the same id, which nobody knows yet: for
 * coordinator_group_replace, or coordinator_group_discard. */
struct group *coordinator_group_new(
    struct coordinator *coordinator, const struct group *like, enum group_kind kind);
/* `group` takes the place of `old`, on disk and here, and `old` is destroyed; nobody may wait in
 * it. On an error (Kafka's) everything is as before and `group` is still the caller's. */
int16_t coordinator_group_replace(
    struct coordinator *coordinator, struct group *old, struct group *group);
void coordinator_group_discard(struct coordinator *coordinator, struct group *group);
/* The group that a member of the consumer protocol heartbeats to: made for who joins, also from a
 * classic one (group.consumer.migration.policy). NULL: *ret_error. */
struct consumer_group *coordinator_consumer_group(
    struct coordinator *coordinator, struct bytes id, bool joins, int64_t now, int16_t *ret_error);
/* An empty group of another kind is a classic one from now on; NULL: *ret_error, and all is as
 * before. */
struct group *coordinator_classic_group(
    struct coordinator *coordinator, struct group *group, int16_t *ret_error);
/* What holds for consumer groups of this id. */
void coordinator_consumer_settings(
    struct coordinator *coordinator, struct bytes id, struct consumer_settings *ret_settings);
/* An event of the group is over; it may be gone afterwards, and another in its place. */
void coordinator_settle(struct coordinator *coordinator, struct group *group);
/* In the order of their making: NULL is before the first. */
struct group *coordinator_group_next(struct coordinator *coordinator, const struct group *after);

/* A walk over all groups that goes on in later turns, whatever comes and goes meanwhile; there is
 * one. The group it stands at; NULL: it is over. */
void coordinator_walk_begin(struct coordinator *coordinator);
struct group *coordinator_walk_group(const struct coordinator *coordinator);
void coordinator_walk_on(struct coordinator *coordinator);

/* Adds to the unit that the group, which is empty, and all its offsets go; coordinator_drop_group
 * when it was committed. */
void coordinator_delete_group(
    struct coordinator *coordinator, struct unit *unit, const struct group *group);
void coordinator_drop_group(struct coordinator *coordinator, struct bytes id);

/* ---- offsets ---- */

struct committed_offset {
    int64_t offset;
    int32_t leader_epoch; /* -1: the client said none */
    int64_t commit_ms;
    int64_t expire_ms;     /* wall time at which it does, as OffsetCommit 2-4 said; 0: it did not */
    uint64_t placed_lsn;   /* of a transaction: where it stood before that ended; 0: of none */
    struct bytes metadata; /* valid until the next log_commit */
};

/* offset NULL: it goes. */
void coordinator_put_offset(struct unit *unit, struct bytes group, const struct uuid *topic,
    int32_t partition, const struct committed_offset *offset);
/* The store's key (or, topic NULL, what the keys of the group begin with) and value, appended. */
void coordinator_offset_key(
    struct out *out, struct bytes group, const struct uuid *topic, int32_t partition);
void coordinator_offset_value(struct out *value, const struct committed_offset *offset);
/* The reverse. False: it is none. */
struct coordinator_offset_place {
    struct bytes group; /* borrowed */
    struct uuid topic;
    int32_t partition;
};
bool coordinator_offset_place(struct bytes key, struct coordinator_offset_place *ret_place);
bool coordinator_offset_decode(struct bytes value, struct committed_offset *ret_offset);
/* Which of two commits of one partition is the later one: `lsn` is that of the store's entry. */
uint64_t coordinator_offset_order(struct bytes value, uint64_t lsn);
/* The keys of STORE_GROUP_MEMBER: group and member, borrowed. False: it is none. */
bool coordinator_member_place(
    struct bytes key, struct bytes *ret_group, struct bytes *ret_member_id);
/* False: none. *ret_lsn: wait for it before telling (request_depends). */
bool coordinator_get_offset(struct coordinator *coordinator, struct bytes group,
    const struct uuid *topic, int32_t partition, struct committed_offset *ret_offset,
    uint64_t *ret_lsn);
/* All of a group, by topic id and partition; `each` must not commit. */
void coordinator_each_offset(struct coordinator *coordinator, struct bytes group,
    void (*each)(void *context, const struct uuid *topic, int32_t partition,
        const struct committed_offset *offset, uint64_t lsn),
    void *context);

/* A unit in flight for a request (NULL: for nobody): begin, fill pending_commit_unit, then commit
 * or abandon. commit: 0: `done` runs once it is durable; -EAGAIN: nothing happened, abandon it and
 * request_park; any other error: it is gone and `done` never runs. */
struct pending_commit;
struct pending_commit *coordinator_commit_begin(struct coordinator *coordinator,
    struct request *request, void (*done)(struct request *request));
struct unit *pending_commit_unit(struct pending_commit *commit);
int coordinator_commit(struct coordinator *coordinator, struct pending_commit *commit) MUST_CHECK;
void coordinator_commit_abandon(struct pending_commit *commit);
/* The request's connection goes first: `done` will not run; what was committed stays. */
void coordinator_forget(struct coordinator *coordinator, const struct request *request);

#endif
