/*
 * classic_group.h - one classic consumer group, as a pure state machine: no sockets, no disk, no
 * clock.
 *
 *            first join                    all joined, or time is up
 *   EMPTY ───────────────▶ PREPARING ─────────────────────────────▶ COMPLETING
 *     ▲                     ▲    │ nobody left                          │ leader's sync
 *     └─────────────────────┼────┘                                      ▼
 *                           └───────────── join, leave, expiry ────── STABLE
 *
 * Events come in as calls with `now`; what follows from them goes out through struct
 * classic_effects, in order, during the call. A join or sync that must wait is remembered by the
 * caller's token and answered later, exactly once: by an effect, or never if group_forget_token was
 * called.
 *
 * Rules: KIP-62 (rebalance timeout), KIP-134 (initial delay), KIP-345 (static members), KIP-394
 * (member id required), KIP-559, KIP-800, KIP-814 (skip assignment); Kafka 4.3's
 * GroupMetadataManager. The durable form is everything but tokens and deadlines.
 */
#ifndef BROKER_CLASSIC_GROUP_H
#define BROKER_CLASSIC_GROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/group.h"
#include "protocol/base/bytes.h"
#include "protocol/base/heap.h"
#include "protocol/base/list.h"
#include "storage/cursor.h"

enum classic_state {
    CLASSIC_EMPTY,
    CLASSIC_PREPARING,  /* Kafka says PreparingRebalance */
    CLASSIC_COMPLETING, /* CompletingRebalance */
    CLASSIC_STABLE,
    CLASSIC_DEAD,
};
const char *classic_state_name(enum classic_state state);

struct classic_group;

struct classic_protocol {
    char *name;
    struct bytes metadata; /* owned by the member */
};

struct classic_member {
    struct list link; /* in group->members, in the order of joining */
    struct tree_node by_id;
    struct classic_group *group;
    char *id;
    char *instance_id; /* static members; else NULL */
    char *client_id, *client_host;
    int64_t session_timeout_ns, rebalance_timeout_ns;
    struct classic_protocol *protocols;
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
struct classic_pending {
    struct list link;
    char *id;
    struct heap_node deadline;
};

struct classic_limits {
    int64_t initial_delay_ns; /* group.initial.rebalance.delay.ms */
    int32_t session_min_ms, session_max_ms;
    size_t members_max; /* group.max.size */
};

/* What a JoinGroup answer says. Everything is borrowed until the effect returns. */
struct classic_join_answer {
    int16_t error;
    int32_t generation;                        /* -1 on an error */
    const char *protocol_type, *protocol_name; /* NULL: none */
    const char *leader;                        /* "" on an error or if the broker assigns */
    const char *member_id;
    bool skip_assignment;
    /* NULL, or the leader's answer: all members. */
    const struct classic_group *members;
};

struct classic_sync_answer {
    int16_t error;
    const char *protocol_type, *protocol_name; /* NULL: none, or an error */
    struct bytes assignment;                   /* null on an error */
};

/* Answers to classic members, whatever the kind of their group. */
struct classic_effects {
    void *context;
    void (*join)(
        void *context, struct group *group, void *token, const struct classic_join_answer *answer);
    void (*sync)(
        void *context, struct group *group, void *token, const struct classic_sync_answer *answer);
};

enum {
    CLASSIC_PROTOCOLS_MAX = 64, /* that one member offers; clients have one to three */
};

struct classic_group {
    struct group base;
    enum classic_state state;
    int32_t generation;
    char *protocol_type, *protocol_name; /* NULL: none */
    char *leader;                        /* member id; NULL: none */
    struct list members, pending;
    struct tree by_id; /* members */
    size_t member_count;
    struct heap_node timer; /* of the state: initial delay, rebalance, pending syncs */
    int64_t initial_remaining_ns;
    bool initial;       /* the delayed first join of an empty group */
    bool member_added;  /* since the initial timer was last set */
    bool somebody_left; /* in the request that is being handled */
    const struct classic_limits *limits;
    const struct classic_effects *effects;
};

/* Owner, limits and effects outlive the group. Destroyed (operations->destroy) it does not answer
 * waiting tokens. */
struct classic_group *classic_group_create(struct bytes id, struct group_owner *owner,
    const struct classic_limits *limits, const struct classic_effects *effects);
/* NULL: the group is of another kind. */
struct classic_group *classic_group_of(struct group *group);

struct classic_join {
    struct bytes member_id, instance_id; /* instance_id null: dynamic */
    struct bytes client_id;
    const char *client_host;
    struct bytes protocol_type;
    const struct classic_join_protocol {
        struct bytes name, metadata;
    } * protocols;
    size_t protocol_count;
    int32_t session_timeout_ms, rebalance_timeout_ms;
    bool require_member_id;   /* JoinGroup v4+ */
    bool can_skip_assignment; /* v9+ */
};
struct classic_sync {
    struct bytes member_id, instance_id;
    int32_t generation;
    struct bytes protocol_type, protocol_name; /* null: not checked (below v5) */
    const struct classic_assignment {
        struct bytes member_id, assignment;
    } * assignments;
    size_t assignment_count;
};

/* ---- from and to another kind ---- */

/* Everybody who waits hears REBALANCE_IN_PROGRESS; afterwards nobody waits. */
void classic_group_release(struct classic_group *group);
/* A member of a group of another kind, which this one takes the place of; `join` as it said it. */
void classic_group_adopt(struct classic_group *group, const struct classic_join *join,
    struct bytes assignment, int64_t now);
/* All are here: they go on from this generation, or rebalance. */
void classic_group_adopted(
    struct classic_group *group, int32_t generation, bool rebalance, int64_t now);

/* ---- the durable row, read without a group (internal_topics.c) ---- */

struct classic_row {
    int32_t generation;
    int64_t state_since_ms;
    struct bytes protocol_type, protocol_name, leader; /* null: none; all borrow from the row */
    uint32_t member_count;
    struct cursor members; /* those that are left: classic_row_next */
};
struct classic_row_member {
    struct bytes id, instance_id, client_id, client_host;
    int64_t session_timeout_ns, rebalance_timeout_ns;
    struct bytes metadata; /* of the row's protocol; null: none */
    struct bytes assignment;
};
/* -EBADMSG: not the row of a classic group. */
int classic_row_parse(struct bytes data, struct classic_row *ret) MUST_CHECK;
/* False: no member is left, or the row is damaged. */
bool classic_row_next(struct classic_row *row, struct classic_row_member *ret);

struct classic_member *classic_group_member(
    const struct classic_group *group, struct bytes member_id);
/* The member's metadata for the group's chosen protocol; empty if none is chosen. */
struct bytes classic_member_metadata(const struct classic_member *member);

#endif
