/*
 * sessions.h - fetch sessions (KIP-227): what a client wants to fetch, remembered, so that its next
 * request names only what changed and the answer tells only what is new.
 *
 * A cache: a session may go at any time, and its client is told so and begins anew with a full
 * fetch. At most max.incremental.fetch.session.cache.slots sessions, and a share of memory for all
 * their partitions. Whose place a new one takes is Kafka's rule: that of the one unused for the
 * longest time, if that is two minutes; else that of the smallest which has lived two minutes, if
 * the new one is larger; else there is none for the new one, and its client sends full fetches.
 *
 * Pure: no clock of its own. All on the loop thread.
 */
#ifndef BROKER_SESSIONS_H
#define BROKER_SESSIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/base/list.h"
#include "protocol/base/tree.h"
#include "protocol/messages.h"

struct random;

enum { SESSION_NONE = 0, SESSION_EPOCH_FIRST = 0, SESSION_EPOCH_FINAL = -1 };
enum { SESSION_PROTECTED_MS = 120000 };

/* A partition that somebody wants, with where to go on. */
struct session_want {
    struct bytes topic; /* null where topics go by id */
    struct uuid topic_id;
    struct fetch_request_partition asked;
};

struct session_part {
    struct list link; /* in session->parts, in the order in which they are served */
    struct tree_node node;
    struct session_want want;                 /* topic: in key, or null */
    int64_t high_watermark, log_start_offset; /* as told last */
    size_t key_len;
    uint8_t key[]; /* the topic's name or id, the partition behind it */
};

struct session {
    struct list used_link; /* in sessions->used, the longest unused first */
    struct tree_node node;
    int32_t id;
    int32_t epoch; /* of the request that must come next */
    bool by_id;    /* of topics: version 13 and up */
    int64_t created_ms, used_ms;
    struct list parts;
    struct tree parts_by_key;
    size_t bytes;
};

struct sessions {
    struct random *random;
    struct tree by_id;
    struct list used;
    size_t slots, bytes, bytes_max;
    uint64_t evicted;
};

void sessions_init(
    struct sessions *sessions, struct random *random, size_t slots, size_t bytes_max);
/* Accepts a zeroed one. */
void sessions_done(struct sessions *sessions);

/* NULL: there is none (any more). */
struct session *session_find(const struct sessions *sessions, int32_t id);
/* An empty one for so many partitions, with epoch 1. NULL: no room. */
struct session *session_create(
    struct sessions *sessions, bool by_id, size_t part_count, int64_t now_ms);
void session_remove(struct sessions *sessions, struct session *session);
/* It was used: the next epoch, and the last to be evicted. */
void session_touch(struct sessions *sessions, struct session *session, int64_t now_ms);
/* The epoch behind this one: 1 follows the greatest. */
int32_t session_epoch_after(int32_t epoch);

/* Adds the partition behind the others, or changes what is wanted of it. NULL: no memory is left
 * for it; the session should be removed. */
struct session_part *session_want(
    struct sessions *sessions, struct session *session, const struct session_want *want);
/* The topic by name, or by id where the session goes by ids. */
void session_forget(struct sessions *sessions, struct session *session, struct bytes topic,
    const struct uuid *topic_id, int32_t partition);
/* NULL: the session does not have it (any more). */
struct session_part *session_part(const struct session *session, const struct session_want *want);
/* Remembers what is told. */
void session_note(struct session_part *part, const struct fetch_response_partition_data *row);
/* Whether the row must be told: it has records, news or an error. Remembers what is told; what
 * brought records is served last the next time. */
bool session_tell(struct session *session, struct session_part *part,
    const struct fetch_response_partition_data *row);

#endif
