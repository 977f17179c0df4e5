/*
 * share_group.h - who is in one share group and what they are assigned (KIP-932), as a pure state
 * machine over struct group: no sockets, no disk, no clock.
 *
 * A member joins with epoch 0 and the topics that it wants, and says that it lives by heartbeats
 * with the epoch that it was last told. Whatever changes who gets what (members, what they want,
 * partitions of those topics) raises the group's epoch and assigns anew at once; each member hears
 * of it with its next heartbeat. Nobody must give anything up first: partitions are shared, and
 * records are handed out one by one elsewhere (share_partition.h).
 *
 * The assignor ("simple"), for each topic: with fewer members than partitions each partition goes
 * to one member, else each member gets one partition; numbers differ by one at most, and what a
 * member has it keeps if that is fair. Unlike Kafka's it balances each topic on its own.
 *
 * Source: KIP-932; Kafka 4.3's GroupMetadataManager (shareGroupHeartbeat).
 */
#ifndef BROKER_SHARE_GROUP_H
#define BROKER_SHARE_GROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/group.h"
#include "protocol/uuid.h"

struct share_group;

struct share_place {
    struct uuid topic;
    int32_t partition;
};

struct share_member {
    struct list link; /* in group->members, by id */
    char *id, *client_id, *client_host;
    char *rack;    /* NULL: none */
    char **topics; /* what it wants: names, ascending, each once */
    size_t topic_count;
    int32_t epoch, previous_epoch;
    struct share_place *places; /* what it is assigned: by name of topic, partition */
    size_t place_count, place_capacity;
    bool told;    /* of those places, at `epoch` */
    bool changed; /* since the last save */
    size_t bytes; /* counted in group.owner->bytes */
    struct heap_node deadline;
    struct share_place *next; /* while assigning */
    size_t next_count, next_capacity;
};

/* A topic that a member wants, as it was when it was last assigned. */
struct share_topic {
    char *name;
    struct uuid id;
    int32_t partitions; /* 0: there is no such topic */
};

/* What a share group asks of the world. */
struct share_group_effects {
    void *context;
    /* False: there is none. */
    bool (*topic)(void *context, struct bytes name, struct uuid *ret_id, int32_t *ret_partitions);
    int64_t (*session_ns)(void *context, const struct group *group);
    size_t (*members_max)(void *context);
};

struct share_group {
    struct group base;
    int32_t epoch;       /* of the group, and of the assignment */
    struct list members; /* struct share_member */
    size_t member_count;
    struct share_topic *topics; /* by name */
    size_t topic_count, topic_capacity;
    char **gone; /* ids of members whose rows must go */
    size_t gone_count, gone_capacity;
    bool changed; /* the group's own row */
    const struct share_group_effects *effects;
};

/* Owner and effects outlive the group. */
struct share_group *share_group_create(
    struct bytes id, struct group_owner *owner, const struct share_group_effects *effects);
/* NULL: the group is of another kind, or NULL. */
struct share_group *share_group_of(struct group *group);

enum { SHARE_EPOCH_JOIN = 0, SHARE_EPOCH_LEAVE = -1 };

struct share_heartbeat {
    struct bytes member_id, client_id;
    struct bytes rack; /* null: none, or as before */
    const char *client_host;
    int32_t epoch;
    const struct bytes *topics;
    int32_t topic_count; /* -1: as before */
};
struct share_heartbeat_answer {
    int16_t error;
    const struct share_member *member; /* NULL: an error, or it left */
    bool places;                       /* the member must be told what it is assigned */
};
/* One heartbeat whose form was checked: topics at a join, epoch ≥ -1, ids not empty. */
void share_group_heartbeat(struct share_group *group, const struct share_heartbeat *heartbeat,
    int64_t now, struct share_heartbeat_answer *ret);

/* What rows say, for those who only look (group_records.c). -EBADMSG: it can't be read. */
struct share_group_row {
    int32_t epoch;
    int64_t state_since_ms;
};
int share_group_row_parse(struct bytes row, struct share_group_row *ret_row);
/* Into a zeroed member, which is in no group and has no id; share_member_done must follow, also
 * after an error. */
int share_member_row_parse(struct bytes row, struct share_member *ret_member);
/* Frees what it has, but not the member. */
void share_member_done(struct share_member *member);

struct share_member *share_group_member(const struct share_group *group, struct bytes id);

#endif
