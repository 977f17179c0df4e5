/*
 * consumer_group.h - one group of the consumer protocol (KIP-848), as a pure state machine: the
 * broker assigns, and each member is led there at its own pace by heartbeats.
 *
 *   group epoch       moves when members come, go or want other topics, or the topics change
 *   assignment epoch  the group epoch that the newest assignment (who is to own what) was made for
 *   member epoch      how far this member has followed
 *
 *               has to give something up             gave it up
 *   STABLE ────────────────────────────▶ UNREVOKED ─────────────┐
 *     ▲  │ is to get what another still has                     │ the next epoch
 *     │  └──────────────────────────────▶ UNRELEASED ◀──────────┤
 *     └──────────── it was released ──────────┘                 │
 *     └─────────────────────────────────────────────────────────┘
 *
 * A member of a classic group that says it is a consumer may live in here too (JoinGroup,
 * SyncGroup; consumer_group_classic.c), so that a group changes its protocol while it runs; when
 * only such members are left the group becomes classic again (operations->settle).
 *
 * Rules: KIP-848, and Kafka 4.3's GroupMetadataManager where that says more. Time is monotonic
 * nanoseconds. One thread.
 */
#ifndef BROKER_CONSUMER_GROUP_H
#define BROKER_CONSUMER_GROUP_H

#include "broker/assignor.h"
#include "broker/classic_group.h"
#include "broker/group.h"
#include "broker/partition_set.h"
#include "broker/subscription.h"
#include "broker/topic_view.h"

enum consumer_member_state {
    CONSUMER_STABLE,
    CONSUMER_UNREVOKED,  /* has to give up what `revoking` says */
    CONSUMER_UNRELEASED, /* others have to give up what it is to get */
};

/* Epochs that a heartbeat says instead of its own. */
enum {
    CONSUMER_EPOCH_JOIN = 0,
    CONSUMER_EPOCH_LEAVE = -1,
    CONSUMER_EPOCH_LEAVE_STATIC = -2, /* for a while: its place is kept for its session */
};

/* Longer ones are refused: they are parts of keys. */
enum { CONSUMER_MEMBER_ID_LEN_MAX = 1024 };

/* What holds for a group now (group.consumer.*, and what is set on the group). */
struct consumer_settings {
    int32_t session_timeout_ms, heartbeat_interval_ms, assignment_interval_ms;
    int32_t classic_session_min_ms, classic_session_max_ms;
    size_t members_max;
    const char *const *assignors; /* names; the first is the one if nobody says */
    size_t assignor_count;
    bool downgrade;       /* may become classic while it runs */
    bool classic_refused; /* classic members may not come */
};

struct consumer_effects {
    void *context;
    void (*settings)(void *context, const struct group *group, struct consumer_settings *ret);
    /* The group is to be a classic one from now on: consumer_group_to_classic, and the group is
     * gone afterwards. */
    void (*downgrade)(void *context, struct group *group, int64_t now);
    const struct topic_view *topics;
    const struct classic_effects *classic;
};

struct consumer_group;

/* What a member that speaks the classic protocol said in JoinGroup. */
struct consumer_classic {
    int32_t session_timeout_ms;
    struct classic_protocol *protocols;
    size_t protocol_count;
};

struct consumer_member {
    struct list link; /* in group->members, in the order of joining */
    struct tree_node by_id;
    struct consumer_group *group;
    char *id;
    char *instance_id;             /* NULL: dynamic */
    char *rack_id;                 /* NULL: none said */
    char *client_id, *client_host; /* of its newest request */
    int32_t rebalance_timeout_ms;
    struct name_list names;
    char *regex;    /* NULL: none */
    char *assignor; /* NULL: none said */
    struct consumer_classic *classic;
    enum consumer_member_state state;
    int32_t epoch, previous_epoch;
    struct partition_set assigned, revoking; /* what it may read; what it has to give up */
    struct partition_set target;             /* of the newest assignment */
    struct heap_node session;
    struct heap_node rebalance;    /* to give up what it has to */
    struct heap_node classic_step; /* to join, or to sync */
    size_t bytes;
    bool changed; /* since it was saved */
    bool untold;  /* epoch or `assigned` changed, and the answer that said so was an error */
};

/* A regular expression of members, and the topics that match. */
struct consumer_regex {
    struct list link;
    char *regex;
    struct name_list names;
    size_t bytes; /* counted in owner->bytes */
};

struct consumer_group {
    struct group base;
    int32_t epoch, assignment_epoch;
    struct list members;
    struct tree by_id; /* members */
    size_t member_count;
    struct list gone;        /* struct consumer_gone: rows that are still to go */
    struct list regexes;     /* struct consumer_regex */
    uint64_t topics_version; /* of the view, at the last look */
    uint64_t topics_hash;    /* of what members are subscribed to (topic_list_hash) */
    int64_t assigned_at;     /* when the newest assignment was made */
    bool assigned_once;      /* in this life */
    bool changed;            /* since it was saved, without its members */
    bool replaced;           /* its last consumer, by a classic member of its name: all stay put */
    const struct consumer_effects *effects;
};

/* Owner and effects outlive it. */
struct consumer_group *consumer_group_create(
    struct bytes id, struct group_owner *owner, const struct consumer_effects *effects);
/* NULL: the group is of another kind. */
struct consumer_group *consumer_group_of(struct group *group);
const char *consumer_group_state_name(const struct consumer_group *group);
/* The assignor in use. */
const char *consumer_group_assignor(const struct consumer_group *group);
struct consumer_member *consumer_group_member(
    const struct consumer_group *group, struct bytes member_id);

/* What a null field left out says: as before. */
struct consumer_heartbeat {
    struct bytes member_id; /* empty: make one (version 0) */
    int32_t epoch;
    struct bytes instance_id, rack_id, client_id;
    const char *client_host;
    int32_t rebalance_timeout_ms; /* -1: as before */
    const struct bytes *names;    /* NULL: as before */
    size_t name_count;
    struct bytes regex, assignor;
    const struct partition_set *owned; /* NULL: not said */
};

/* Borrowed until the next event. */
struct consumer_answer {
    int16_t error;
    char message[320]; /* of an error; else empty */
    const char *member_id;
    int32_t epoch;
    int32_t heartbeat_interval_ms;
    const struct partition_set *assigned; /* NULL: as before */
};
void consumer_group_heartbeat(struct consumer_group *group, const struct consumer_heartbeat *beat,
    int64_t now, struct consumer_answer *ret_answer);

/* ---- between the protocols (consumer_group_classic.c) ---- */

/* Whether a classic group with members can become one of these: all are consumers, and what they
 * say can be read. */
bool consumer_group_can_take(const struct classic_group *classic, size_t members_max);
/* Fills an empty group with the members of a classic one, at its generation, with what they have
 * been assigned. Whoever waits in the classic group hears REBALANCE_IN_PROGRESS. */
void consumer_group_from_classic(
    struct consumer_group *group, struct classic_group *classic, int64_t now);
/* Fills an empty classic group with the classic members of a group that has no other. They
 * rebalance, unless the last consumer was replaced by one of them and all have what they are to. */
void consumer_group_to_classic(
    struct consumer_group *group, struct classic_group *classic, int64_t now);

/* ---- for the files of this machine ---- */

struct consumer_member *consumer_group_add(struct consumer_group *group, struct bytes member_id);
void consumer_group_remove(struct consumer_member *member);
struct consumer_member *consumer_group_instance(
    const struct consumer_group *group, struct bytes instance_id);
/* `member` was given `id` (fresh) in the place of `old`, with all it had. */
struct consumer_member *consumer_group_replace(struct consumer_member *old, struct bytes id);
void consumer_member_classic_free(struct consumer_member *member);
void consumer_member_count_bytes(struct consumer_member *member);
void consumer_member_heard(struct consumer_member *member, int64_t now);
/* After a member came, changed or was heard of: a new group epoch if `bump`, a new assignment if
 * it is time, the member one step nearer to it; and everything kept. Returns a Kafka error. */
int16_t consumer_group_follow(struct consumer_group *group, struct consumer_member *member,
    bool bump, bool subscription_changed, const struct partition_set *owned, int64_t now);
/* Looks at the topics that its members want, as what it was made with. */
void consumer_group_know_topics(struct consumer_group *group);
/* The member is gone, and the group goes on without it. Returns a Kafka error. */
int16_t consumer_group_take_out(struct consumer_member *member, int64_t now);
/* Could it get more now that waits for what others had? */
bool consumer_member_waits(const struct consumer_member *member);

/* What rows say, for those who only look (group_records.c). -EBADMSG: it can't be read. */
struct consumer_group_row {
    int32_t epoch, assignment_epoch;
    uint64_t topics_hash;
    int64_t state_since_ms;
};
int consumer_group_row_parse(struct bytes row, struct consumer_group_row *ret_row);
/* Into a zeroed member, which is in no group and has no id; consumer_member_done must follow, also
 * after an error. */
int consumer_member_row_parse(struct bytes row, struct consumer_member *ret_member);
/* Frees what it has, but not the member. */
void consumer_member_done(struct consumer_member *member);

/* Rows (consumer_group_rows.c). */
void consumer_group_save(struct group *base, const struct group_rows *rows, bool all);
void consumer_group_saved(struct group *base);
int consumer_group_load(struct group *base, struct bytes row, int64_t now);
int consumer_group_load_member(struct group *base, struct bytes id, struct bytes row, int64_t now);

/* Classic members (consumer_group_classic.c). */
void consumer_group_join(
    struct group *base, const struct classic_join *join, void *token, int64_t now);
void consumer_group_sync(
    struct group *base, const struct classic_sync *sync, void *token, int64_t now);
int16_t consumer_group_classic_heartbeat(struct group *base, struct bytes member_id,
    struct bytes instance_id, int32_t generation, int64_t now);
int16_t consumer_group_classic_leave(
    struct group *base, struct bytes member_id, struct bytes instance_id, int64_t now);
void consumer_group_forget_token(struct group *base, const void *token);

struct consumer_gone {
    struct list link;
    char *id;
};

#endif
