/*
 * group.h - one classic consumer group, as a pure state machine: no sockets, no disk, no clock.
 *
 *            first join                    all joined, or time is up
 *   EMPTY ───────────────▶ PREPARING ─────────────────────────────▶ COMPLETING
 *     ▲                     ▲    │ nobody left                          │ leader's sync
 *     └─────────────────────┼────┘                                      ▼
 *                           └───────────── join, leave, expiry ────── STABLE
 *
 * Events come in as calls with `now`; what follows from them goes out through struct group_effects,
 * in order, during the call. A join or sync that must wait is remembered by the caller's token and
 * answered later, exactly once: by an effect, or never if group_forget_token was called.
 *
 * Rules: KIP-62 (rebalance timeout), KIP-134 (initial delay), KIP-345 (static members), KIP-394
 * (member id required), KIP-559, KIP-800, KIP-814 (skip assignment); Kafka 4.3's
 * GroupMetadataManager. Error codes are Kafka's, since all of this is said to clients.
 *
 * Time is monotonic nanoseconds. One thread.
 */
#ifndef BROKER_GROUP_H
#define BROKER_GROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/base/bytes.h"
#include "protocol/base/heap.h"
#include "protocol/base/list.h"

enum group_state {
    GROUP_EMPTY,
    GROUP_PREPARING,  /* Kafka says PreparingRebalance */
    GROUP_COMPLETING, /* CompletingRebalance */
    GROUP_STABLE,
    GROUP_DEAD,
};
const char *group_state_name(enum group_state state);

struct group;

struct group_protocol {
    char *name;
    struct bytes metadata; /* owned by the member */
};

struct group_member {
    struct list link; /* in group->members, in the order of joining */
    struct group *group;
    char *id;
    char *instance_id; /* static members; else NULL */
    char *client_id, *client_host;
    int64_t session_timeout_ns, rebalance_timeout_ns;
    struct group_protocol *protocols;
    size_t protocol_count;
    struct bytes assignment;       /* owned; null before the first sync */
    void *join_token, *sync_token; /* somebody waits */
    size_t bytes;                  /* counted in limits->bytes */
    bool joined;                   /* in the rebalance that is going on */
    bool synced;                   /* since the last completed join */
    bool fresh;                    /* its first join is not completed yet */
    struct heap_node deadline;     /* in group->deadlines */
};

/* A member id that was given out (KIP-394) and has not joined yet. */
struct group_pending {
    struct list link;
    char *id;
    struct heap_node deadline;
};

struct group_limits {
    int64_t initial_delay_ns; /* group.initial.rebalance.delay.ms */
    int32_t session_min_ms, session_max_ms;
    size_t members_max; /* group.max.size */
    size_t bytes_max;   /* of all groups: their share of memory.limit */
    size_t *bytes;      /* that all groups take; counted here */
};

/* What a JoinGroup answer says. Everything is borrowed until the effect returns. */
struct group_join_answer {
    int16_t error;
    int32_t generation;                        /* -1 on an error */
    const char *protocol_type, *protocol_name; /* NULL: none */
    const char *leader;                        /* "" on an error */
    const char *member_id;
    bool skip_assignment;
    bool with_members; /* the leader's answer: walk group->members, group_member_metadata */
};

struct group_effects {
    void *context;
    void (*join)(
        void *context, struct group *group, void *token, const struct group_join_answer *answer);
    /* assignment null on an error */
    void (*sync)(
        void *context, struct group *group, void *token, int16_t error, struct bytes assignment);
    /* State that must outlive a restart changed; comes before the answers that reveal it. Returns a
     * Kafka error: not NONE is what waiting syncs hear instead (they will join again). */
    int16_t (*persist)(void *context, struct group *group);
    /* The earliest deadline of the group may have changed (group_next_deadline). */
    void (*schedule)(void *context, struct group *group);
    /* A fresh member id: unique for ever. Writes a NUL-terminated text of `prefix`, '-' and a UUID.
     */
    void (*member_id)(void *context, struct bytes prefix, char *to, size_t size);
};

enum {
    GROUP_MEMBER_ID_SIZE = 320,
    GROUP_PROTOCOLS_MAX = 64, /* that one member offers; clients have one to three */
};

struct group {
    char *id;
    enum group_state state;
    int32_t generation;
    char *protocol_type, *protocol_name; /* NULL: none */
    char *leader;                        /* member id; NULL: none */
    struct list members, pending;
    size_t member_count;
    struct heap deadlines;  /* members, pending ids, and `timer` */
    struct heap_node timer; /* of the state: initial delay, rebalance, pending syncs */
    int64_t initial_remaining_ns;
    bool initial;           /* the delayed first join of an empty group */
    bool member_added;      /* since the initial timer was last set */
    int64_t state_since_ms; /* wall time; for expiry, kept over restarts */
    const struct group_limits *limits;
    const struct group_effects *effects;
    /* the coordinator's */
    struct list link, bucket;
    struct heap_node wake;
    uint64_t lsn;
    void *owner;
};

/* limits and effects outlive the group. */
struct group *group_create(
    struct bytes id, const struct group_limits *limits, const struct group_effects *effects);
/* Waiting tokens are not answered. */
void group_destroy(struct group *group);

struct group_join {
    struct bytes member_id, instance_id; /* instance_id null: dynamic */
    struct bytes client_id;
    const char *client_host;
    struct bytes protocol_type;
    const struct group_join_protocol {
        struct bytes name, metadata;
    } * protocols;
    size_t protocol_count;
    int32_t session_timeout_ms, rebalance_timeout_ms;
    bool require_member_id;   /* JoinGroup v4+ */
    bool can_skip_assignment; /* v9+ */
};
/* Answered through effects->join, now or later. */
void group_join(struct group *group, const struct group_join *join, void *token, int64_t now);

struct group_sync {
    struct bytes member_id, instance_id;
    int32_t generation;
    struct bytes protocol_type, protocol_name; /* null: not checked (below v5) */
    const struct group_assignment {
        struct bytes member_id, assignment;
    } * assignments;
    size_t assignment_count;
};
void group_sync(struct group *group, const struct group_sync *sync, void *token, int64_t now);

int16_t group_heartbeat(struct group *group, struct bytes member_id, struct bytes instance_id,
    int32_t generation, int64_t now);
/* By member id, or by instance id with an empty member id. */
int16_t group_leave(
    struct group *group, struct bytes member_id, struct bytes instance_id, int64_t now);
/* May this member (or, generation -1 and no member, a simple consumer) commit offsets? Counts as a
 * sign of life. */
int16_t group_check_commit(struct group *group, struct bytes member_id, struct bytes instance_id,
    int32_t generation, int64_t now);

/* The same for the offsets of a transaction: its producer need not be a member, and may commit
 * while the group rebalances (KIP-447). */
int16_t group_check_transactional_commit(struct group *group, struct bytes member_id,
    struct bytes instance_id, int32_t generation, int64_t now);

/* Whoever waits with this token is gone; the member stays until its session ends. */
void group_forget_token(struct group *group, const void *token);

/* INT64_MAX: none. */
int64_t group_next_deadline(const struct group *group);
void group_tick(struct group *group, int64_t now);

struct group_member *group_member(const struct group *group, struct bytes member_id);
/* The member's metadata for the group's chosen protocol; empty if none is chosen. */
struct bytes group_member_metadata(const struct group_member *member);

/* The durable form: everything but tokens and deadlines. */
void group_encode(const struct group *group, struct out *out);
/* Restores a group that has just been created; members get a full session from `now` to be heard
 * of. -EBADMSG: not a group (said by the caller, who drops it). */
int group_decode(struct group *group, struct bytes data, int64_t now) MUST_CHECK;

#endif
