/*
 * group.h - what all kinds of groups have in common: an id, a durable form, deadlines, and a table
 * of what the kind does. The coordinator owns groups through this header alone.
 *
 * A kind (classic_group.h, consumer_group.h) embeds struct group as its first field and keeps its
 * own state machine in its own file: no sockets, no disk, no clock. What it needs of the world it
 * asks of its owner.
 *
 * To add a kind: a number in enum group_kind (it is on disk, so it is never used twice), a table
 * of operations, and a row in the coordinator's list of kinds.
 *
 * Error codes are Kafka's, since all of this is said to clients. Time is monotonic nanoseconds. One
 * thread.
 */
#ifndef BROKER_GROUP_H
#define BROKER_GROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/base/bytes.h"
#include "protocol/base/heap.h"
#include "protocol/base/list.h"
#include "protocol/base/tree.h"
#include "protocol/uuid.h"

struct group;
struct classic_join;
struct classic_sync;

/* The first byte of the durable form of the group. */
enum group_kind {
    GROUP_CLASSIC = 1,  /* also a group that has only offsets */
    GROUP_CONSUMER = 2, /* KIP-848 */
    GROUP_SHARE = 3,    /* KIP-932 */
};

/* Where the durable form goes: one row for the group, and, for kinds that want it, one for each
 * member, so that a change of one member does not write them all. */
struct group_rows {
    void *context;
    /* value null: the row goes away. */
    void (*put_group)(void *context, struct bytes value);
    void (*put_member)(void *context, const char *member_id, struct bytes value);
};

/* What a group needs of its surroundings, which outlive it. */
struct group_owner {
    void *context;
    /* State that must outlive a restart changed; comes before the answers that reveal it: calls
     * operations->save, and sets group->lsn. Returns a Kafka error if that was not possible. */
    int16_t (*persist)(void *context, struct group *group);
    /* The earliest deadline of the group may have changed (group_next_deadline). */
    void (*schedule)(void *context, struct group *group);
    /* A fresh member id: unique for ever. Writes a NUL-terminated text of `prefix`, '-' and a UUID.
     */
    void (*member_id)(void *context, struct bytes prefix, char *to, size_t size);
    size_t bytes;     /* that all groups take; the kinds count */
    size_t bytes_max; /* their share of memory.limit */
};

enum { GROUP_MEMBER_ID_SIZE = 320 };

/* Who commits or reads offsets. */
struct group_offset_client {
    struct bytes member_id, instance_id; /* instance_id null: none said */
    int32_t epoch;                       /* generation, or member epoch; -1: none */
    int16_t version;                     /* of the request */
    bool transactional;                  /* TxnOffsetCommit */
    bool by_partition; /* told by check_commit: ask check_commit_partition for each */
};

/* From when an offset's offsets.retention.minutes count; never while a member is subscribed to its
 * topic. */
enum group_retention {
    GROUP_KEEPS_OFFSETS,     /* they do not, now */
    GROUP_OFFSETS_BY_COMMIT, /* from its commit */
    GROUP_OFFSETS_BY_STATE,  /* from state_since_ms, or its commit if that is later */
};

/* What a kind does. Those that may be NULL say so. */
struct group_operations {
    enum group_kind kind;
    const char *type_name; /* as ListGroups says it: "classic" */

    void (*destroy)(struct group *group);
    const char *(*state_name)(const struct group *group);
    const char *(*protocol_type)(const struct group *group); /* "": none */
    /* No members: it may be deleted, or become a group of another kind. */
    bool (*is_empty)(const struct group *group);
    /* Tells every topic that a member is subscribed to, perhaps more than once: offsets of these
     * are spared by OffsetDelete and by time. False: it may be any topic, for what members say
     * cannot be read. Asked only of groups that are empty or say "consumer" as their protocol type;
     * NULL: there are none. */
    bool (*each_subscribed)(
        const struct group *group, void (*each)(void *context, struct bytes topic), void *context);
    /* Which offsets time may take now. NULL: none ever, nor the group itself. */
    enum group_retention (*retention)(const struct group *group);

    /* A deadline that was set is over; it is not in the heap any more. */
    void (*expire)(struct group *group, struct heap_node *node, int64_t now);

    /* Called by the owner when an event is over. The group may have been replaced by one of another
     * kind afterwards, and is not to be touched any more. NULL: it never is. */
    void (*settle)(struct group *group, int64_t now);

    /* What changed since the last `saved` (or everything, `all`) as rows; `saved`: it is in a
     * unit that was committed. */
    void (*save)(struct group *group, const struct group_rows *rows, bool all);
    void (*saved)(struct group *group); /* NULL: nothing to do */
    /* Into a group that has just been created; members get a full session from `now` to be heard
     * of. First the group's row, then members in the order of their ids, then `loaded`. -EBADMSG:
     * not a group (said by the caller, who drops it). */
    int (*load)(struct group *group, struct bytes row, int64_t now);
    int (*load_member)(struct group *group, struct bytes id, struct bytes row, int64_t now);
    int (*loaded)(struct group *group, int64_t now); /* NULL: nothing to do */

    /* May this one commit offsets, or read them? A commit may count as a sign of life. */
    int16_t (*check_commit)(struct group *group, struct group_offset_client *client, int64_t now);
    int16_t (*check_commit_partition)(struct group *group, const struct group_offset_client *client,
        const struct uuid *topic, int32_t partition); /* NULL: by_partition is never told */
    int16_t (*check_fetch)(
        struct group *group, const struct group_offset_client *client); /* NULL: everybody may */

    /* The protocol of classic members (classic_group.h); NULL, all or none: this kind does not
     * speak it. */
    void (*join)(struct group *group, const struct classic_join *join, void *token, int64_t now);
    void (*sync)(struct group *group, const struct classic_sync *sync, void *token, int64_t now);
    int16_t (*heartbeat)(struct group *group, struct bytes member_id, struct bytes instance_id,
        int32_t generation, int64_t now);
    /* Several may leave in one request; after the last of them `left` (NULL: nothing to do). */
    int16_t (*leave)(
        struct group *group, struct bytes member_id, struct bytes instance_id, int64_t now);
    void (*left)(struct group *group, int64_t now);
    /* Whoever waits with this token is gone. */
    void (*forget_token)(struct group *group, const void *token);
};

struct group {
    const struct group_operations *operations;
    struct group_owner *owner;
    char *id;
    struct heap deadlines;  /* whatever has a time: group_deadline_set */
    int64_t state_since_ms; /* wall time; for expiry, kept over restarts; the owner's */
    uint64_t lsn;           /* of its newest row: wait for it before telling its state */
    /* the owner's */
    struct list link, bucket;
    struct heap_node wake;
};

/* For the kinds: the part of every group. */
void group_init(struct group *group, const struct group_operations *operations, struct bytes id,
    struct group_owner *owner);
void group_done(struct group *group);

int16_t group_persist(struct group *group);
void group_deadline_set(struct group *group, struct heap_node *node, int64_t at);
void group_deadline_clear(struct group *group, struct heap_node *node);
/* Would `more` bytes make the groups larger than they may be? */
bool group_owner_is_full(const struct group_owner *owner, size_t more);
bool group_is_full(const struct group *group, size_t more);
/* Is a member subscribed to the topic, or may be? */
bool group_is_subscribed(const struct group *group, struct bytes topic);

/* INT64_MAX: none. */
int64_t group_next_deadline(const struct group *group);
/* Everything that was due until `now`, in order. */
void group_tick(struct group *group, int64_t now);

/* For rows: a text or run of bytes that may be null (u32 len, 0xffffffff is null). */
struct cursor;
void group_put_blob(struct out *out, struct bytes blob);
struct bytes group_take_blob(struct cursor *cursor); /* borrowed */
char *group_take_text(struct cursor *cursor);        /* the caller's; NULL: null */

#endif
