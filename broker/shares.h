/*
 * shares.h - the owner of what share groups have had (share_partition.h) and of share sessions
 * (KIP-932): finds and makes both, drives the locks, makes state durable.
 *
 * A share-partition lives in STORE_SHARE from its first fetch on; key = that of a committed offset
 * (coordinator.h), value = share_partition_encode. It is in memory while a session names it or
 * somebody holds a record of it. That records were acquired is not written: after a crash they are
 * available again, with the deliveries that the newest write knows (an orderly stop writes all).
 *
 * A session is of one member of one group on one connection; when the connection goes, so does it,
 * and what the member holds is available again.
 *
 * One thread: the loop.
 */
#ifndef BROKER_SHARES_H
#define BROKER_SHARES_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/share_group.h"
#include "broker/share_partition.h"
#include "storage/storage.h"

struct broker;
struct connection;
struct shares;

enum {
    SHARES_PARTS_MAX = 100000,         /* in memory, of all groups */
    SHARES_SESSION_PARTS_MAX = 200000, /* named by all sessions together */
};

struct share_part {
    struct tree_node node;
    struct list waiters; /* struct share_waiter */
    struct list dirty;   /* in shares->dirty */
    struct heap_node wake;
    struct shares *shares;
    struct share_partition partition;
    bool ready; /* where it starts is known */
    bool finding;
    struct log_find_time find; /* where it starts, by time */
    uint64_t lsn; /* of its newest row; 0: it was never written, and nothing may be told of it */
    uint32_t uses;
    size_t ranges;      /* counted in shares->ranges */
    struct bytes group; /* in key */
    struct uuid topic;
    int32_t index;
    size_t key_len;
    uint8_t key[];
};

struct share_session_part {
    struct list link; /* in session->parts, in the order in which they are served */
    struct uuid topic;
    int32_t index;
};

struct share_session {
    struct tree_node node;
    struct list link;
    uint64_t owner; /* of the records that it acquires; kept when the member begins anew */
    int32_t epoch;  /* of the request that must come next */
    struct connection *connection;
    struct list parts; /* struct share_session_part */
    size_t part_count;
    struct bytes group, member; /* in key */
    size_t key_len;
    uint8_t key[];
};

int shares_create(struct shares **ret_shares, struct broker *broker) MUST_CHECK;
/* NULL is fine. */
void shares_destroy(struct shares *shares);
/* An orderly stop: what is known of deliveries is written. */
void shares_stop(struct shares *shares);

/* For coordinator.c: what groups ask, and the end of one. */
struct share_group_effects shares_group_effects(struct broker *broker);
void shares_delete_group(struct shares *shares, struct unit *unit, struct bytes group);
void shares_drop_group(struct shares *shares, struct bytes group);
/* The topic goes with this unit. */
void shares_delete_topic(struct shares *shares, struct unit *unit, const struct uuid *topic);
void shares_connection_gone(struct shares *shares, const struct connection *connection);

/* ---- sessions ---- */

struct share_session *share_session_find(
    const struct shares *shares, struct bytes group, struct bytes member);
/* Makes one, or begins anew: no partitions, epoch 1. NULL: too many. */
struct share_session *share_session_open(
    struct shares *shares, struct bytes group, struct bytes member, struct connection *connection);
/* What it holds is available again. */
void share_session_close(struct shares *shares, struct share_session *session);
/* False: too many. */
bool share_session_add(
    struct shares *shares, struct share_session *session, struct uuid topic, int32_t index);
void share_session_forget(
    struct shares *shares, struct share_session *session, struct uuid topic, int32_t index);
/* It is served last the next time. */
void share_session_served(struct share_session *session, struct uuid topic, int32_t index);
/* The one that must follow: 1 after the greatest. */
int32_t share_session_epoch_after(int32_t epoch);

/* ---- share-partitions ---- */

/* Finds it, loads it or lets it begin where the group's configuration says (then it may not be
 * ready yet: wait for it). One more use. NULL: SHARES_PARTS_MAX. */
struct share_part *share_part_use(struct shares *shares, struct bytes group, struct log *log);
void share_part_unuse(struct share_part *part);
/* Brings it to the log and the time of now. */
void share_part_refresh(struct share_part *part, const struct log *log);
/* May more of it be acquired now? */
bool share_part_has_room(const struct share_part *part);
/* Call after an acquire. */
void share_part_acquired(struct share_part *part);
/* All or nothing, in memory; then shares_save. A Kafka error. */
int16_t share_part_acknowledge(struct shares *shares, const struct share_session *session,
    const struct log *log, const struct share_ack *acks, size_t ack_count);
/* 0: what changed is in units, wait for storage_appended before telling it; -EAGAIN: park and call
 * again; else it could not be kept. */
int shares_save(struct shares *shares) MUST_CHECK;

/* Told once, in a later turn, after more may have become available. The waiter's own. */
struct share_waiter {
    struct list link;
    void (*wake)(struct share_waiter *waiter);
};
void share_part_wait(struct share_part *part, struct share_waiter *waiter);

/* ---- for those who describe and change ---- */

struct share_position {
    int64_t start, lag;
    uint64_t lsn;
};
/* False: the group has nothing of it. */
bool shares_position(
    struct shares *shares, struct bytes group, const struct log *log, struct share_position *ret);
/* All topics and partitions of a group, in order of their keys; `each` must not commit. */
void shares_each(struct shares *shares, struct bytes group,
    void (*each)(void *context, const struct uuid *topic, int32_t index), void *context);
/* Into the unit: it starts there, or (start < 0) is forgotten. shares_moved when it was committed.
 */
void shares_move(
    struct unit *unit, struct bytes group, const struct uuid *topic, int32_t index, int64_t start);
void shares_moved(struct shares *shares, struct bytes group, const struct uuid *topic,
    int32_t index, int64_t start, uint64_t lsn);
/* The same for all partitions of a topic that were forgotten. */
void shares_forgot(
    struct shares *shares, struct bytes group, const struct uuid *topic, uint64_t lsn);

#endif
