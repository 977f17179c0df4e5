/*
 * storage.h - logs on a disk: the one face of storage/ for processors/ and broker/.
 *
 * One owner, one thread (the loop). Everything goes through log_commit: plain produce, units over
 * several partitions, offsets, groups, metadata. A unit is all or nothing across partitions and
 * keys, also after a crash. Modes differ only in which position its end waits for.
 *
 *   log_commit  assigns offsets, copies into the write-ahead ring, applies puts to the store (now)
 *   unit.done   the unit is as durable as its mode promises; high watermarks have moved (later)
 *
 * A put (and a topic made by one) is seen by store_get and storage_topic at once; whoever answers a
 * client from it waits first until its lsn is durable (storage_wait): no answer reveals what is not
 * yet safe.
 */
#ifndef STORAGE_STORAGE_H
#define STORAGE_STORAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/base/buffer.h"
#include "protocol/base/bytes.h"
#include "protocol/base/list.h"
#include "protocol/base/tree.h"
#include "protocol/uuid.h"
#include "storage/doors.h"
#include "storage/topic_config.h"

struct storage;
struct producers;
struct segment;

/* ---- start and end ------------------------------------------------------------------------------
 */

/* Compaction. */
struct cleaner_config {
    bool enable;             /* log.cleaner.enable; default true */
    int64_t backoff_ms;      /* log.cleaner.backoff.ms; default 15,000 */
    uint64_t dedupe_bytes;   /* memory for keys while a log is cleaned; default 32 MiB */
    double bytes_per_second; /* log.cleaner.io.max.bytes.per.second; 0: no limit */
};

struct storage_config {
    const char *dir;            /* created if missing */
    uint32_t wal_file_bytes;    /* the ring; default 16 MiB */
    uint32_t wal_files_max;     /* default 16 */
    int64_t writeback_age_ms;   /* ring bytes older than this go to their segment; default 1000 */
    int64_t checkpoint_ms;      /* default 30,000 */
    int64_t interval_ms;        /* durability `interval`; default 50 */
    uint64_t interval_bytes;    /* default 1 MiB */
    int64_t retention_check_ms; /* log.retention.check.interval.ms; default 300,000 */
    uint64_t disk_free_min;     /* below it produce gets -ENOSPC; default STORAGE_DISK_FREE_AUTO */
    uint32_t segment_files_max; /* segment files open at once; default 1000 */
    uint32_t sync_files_max;    /* a checkpoint with more syncs the whole file system; default 32 */
    uint64_t index_bytes_max;   /* memory of segment indexes; default 32 MiB */
    uint64_t checkpoint_bytes;  /* of write-ahead log between checkpoints; default 64 MiB */
    uint32_t producers_max;     /* idempotent producers times logs; default 65,536 */
    int64_t producer_expire_ms; /* producer.id.expiration.ms; default one day */
    int64_t producer_check_ms;  /* producer.id.expiration.check.interval.ms; default 600,000 */
    uint32_t transactions_max;  /* open or aborted, over all logs; default 262,144 (8 MiB) */
    struct cleaner_config cleaner;
    struct topic_config
        defaults; /* values of topics that do not set a key (the broker's log.* keys) */
    bool accept_loss;
};
/* min(1 GiB, 2 % of the disk) */
#define STORAGE_DISK_FREE_AUTO UINT64_MAX
/* Every field at its default; dir NULL. */
struct storage_config storage_config_default(void);

/* A change of the store, as it takes effect. */
struct store_change {
    uint16_t kind;
    struct bytes key, value;         /* value.data NULL: the entry is gone */
    uint64_t lsn;                    /* of this change; no two have the same */
    uint64_t before;                 /* of the entry that was there, or 0 */
    const struct store_entry *entry; /* valid until it is deleted; NULL with the value */
};

struct storage_hooks {
    void *context;
    void (*space)(void *context); /* a log_commit that said -EAGAIN may succeed now */
    /* The write-ahead log failed: nothing will be acknowledged any more. Log and abort. */
    void (*failed)(void *context, int status, const char *what);
    /* Within log_commit, for every put that is not storage's own. May be NULL; must not commit. */
    void (*changed)(void *context, const struct store_change *change);
};

/* Opens or creates the directory, takes its lock, recovers. Blocking. -EBUSY: another process has
 * it; -EPROTO: a newer format; -EUCLEAN: acknowledged data is damaged (each said through doors). */
int storage_open(struct storage **ret_storage, const struct storage_config *config,
    struct doors *doors, const struct storage_hooks *hooks) MUST_CHECK;
/* Writes back, checkpoints, marks the stop as clean, then calls done; refuses new commits
 * (-ESHUTDOWN). */
void storage_close(struct storage *storage, void (*done)(void *context, int status), void *context);
/* Frees everything without writing: after storage_close's done, or as a crash does (simulation;
 * then the disk and pool doors must have nothing in flight any more). */
void storage_destroy(struct storage *storage);
/* Once per turn of the loop, after everything of the turn was handled: starts the group commit. */
void storage_turn(struct storage *storage);

/* The cluster's id (Kafka's 22 characters), made at the first start. Valid as long as the storage.
 */
const char *storage_cluster_id(const struct storage *storage);
/* The leader epoch of this life; the same for all logs. */
uint32_t storage_epoch(const struct storage *storage);
/* True if the last stop was not clean: leader epochs were raised. */
bool storage_was_unclean(const struct storage *storage);

/* ---- topics and logs ----------------------------------------------------------------------------
 */

/* A deleted topic stays in memory while it has waiters, units or reads in flight, or holds, and at
 * least until the end of the turn: whoever keeps a pointer to it or its logs beyond the turn in any
 * other way takes a hold. */
struct topic {
    struct list link;                /* storage's own */
    struct tree_node by_name, by_id; /* storage's own */
    uint32_t holds;                  /* storage's own */
    char *name;                      /* valid as long as the topic */
    struct uuid id;                  /* random, never recycled */
    struct log **logs;               /* by partition index */
    int32_t log_count;
    struct topic_config config;         /* effective: own values over defaults */
    struct topic_config_entry *entries; /* the values set on the topic itself */
    size_t entry_count;
    uint64_t lsn;  /* of its newest change: wait for it before telling a client */
    bool deleted;  /* its logs refuse; freed when nobody holds a log any more */
    bool computed; /* see storage_add_computed */
};

/* One partition's log. Fields are storage's to write, everybody's to read. */
struct log {
    struct topic *topic;
    int32_t partition;
    int32_t leader_epoch;
    int64_t start_offset;            /* log start offset: the first that can be read */
    int64_t high_watermark;          /* below it: as durable as promised, visible */
    int64_t last_stable_offset;      /* ≤ high_watermark; below it no open transaction */
    int64_t end_offset;              /* log end offset: the next to be assigned */
    uint64_t size_bytes;             /* all segments and what is in the ring */
    struct list waiters;             /* struct log_waiter */
    struct producers *producers;     /* idempotent sequence state */
    struct log_body *body;           /* storage's own: segments, ring entries, write-back */
    const struct log_source *source; /* of a computed one; else NULL */
};

void topic_hold(struct topic *topic);
void topic_release(struct topic *topic);

struct topic *storage_topic(const struct storage *storage, struct bytes name);
struct topic *storage_topic_by_id(const struct storage *storage, const struct uuid *id);
/* Of the newest deletion: wait for it before telling a client that a topic is not there. */
uint64_t storage_deletion_lsn(const struct storage *storage);
/* All topics in the order of their names: storage_topic_next(s, NULL) is the first. */
struct topic *storage_topic_next(const struct storage *storage, const struct topic *after);
size_t storage_topic_count(const struct storage *storage);
/* Moves with every change of the topics: one is made, deleted, grown, or configured. */
uint64_t storage_topics_version(const struct storage *storage);
size_t storage_log_count(const struct storage *storage);
/* NULL for an unknown topic or a partition out of range. */
struct log *topic_log(const struct topic *topic, int32_t partition);

/* ---- waiting ------------------------------------------------------------------------------------
 */

/* Told when a log's high watermark, last stable offset or start offset moved, or the log was
 * deleted (log->topic->deleted). Owned by the waiter; wake runs at most once per turn, may add and
 * remove waiters, and must remove itself when the log was deleted. */
struct log_waiter {
    struct list link;
    void (*wake)(struct log_waiter *waiter, struct log *log);
};
void log_wait(struct log *log, struct log_waiter *waiter);
void log_wait_cancel(struct log_waiter *waiter);

/* Tells when everything below lsn is durable; may be called with an lsn that already is (then done
 * still runs later, not inside). Owned by the caller. */
struct storage_waiter {
    struct list link;
    uint64_t lsn;
    void (*done)(struct storage_waiter *waiter);
};
bool storage_is_durable(const struct storage *storage, uint64_t lsn);
/* Behind everything committed so far: what tells of now waits for it. */
uint64_t storage_appended(const struct storage *storage);
void storage_wait(struct storage *storage, struct storage_waiter *waiter);
void storage_wait_cancel(struct storage_waiter *waiter);

/* ---- the one append path ------------------------------------------------------------------------
 */

struct unit_append {
    struct log *log;
    struct bytes batch; /* one valid record batch v2 (batch_check passed); borrowed until log_commit
                           returns */
    int64_t base_offset; /* out: what was assigned */
    uint64_t lsn;        /* storage's own */
};

struct unit {
    /* filled by the caller through the unit_* functions */
    struct unit_append *appends;
    size_t append_count, append_capacity;
    struct unit_put *puts;
    size_t put_count, put_capacity;
    int16_t acks; /* Kafka's: -1, 1, 0; used where a topic's durability is `acks`; init: -1 */
    /* Runs once, later, after log_commit returned 0 (never after an error, nor after storage
     * failed). */
    void (*done)(struct unit *unit);
    /* storage's own */
    uint64_t end_lsn;
    bool durable; /* waits for durable, not just written */
    struct list link;
};

/* The unit may live anywhere; it stays until done. */
void unit_init(struct unit *unit, void (*done)(struct unit *unit));
void unit_append(struct unit *unit, struct log *log, struct bytes batch);
/* value.data NULL deletes. Key and value are copied. kind: enum store_kind. */
void unit_put(struct unit *unit, uint16_t kind, struct bytes key, struct bytes value);
/* Frees what the unit holds (not the unit). Between log_commit and done only when the storage is
 * destroyed next: then done will not run. */
void unit_done(struct unit *unit);

/* 0: in the ring, offsets assigned, `done` will run.  Otherwise nothing happened at all:
 * -EAGAIN: the ring is full: stop reading from producing clients until hooks.space;
 * -EMSGSIZE: above storage_unit_max; -ENOSPC: the disk is full (units that only put or delete still
 * work); -ENOENT: a log's topic was deleted; -EBADMSG: a log is damaged (said at the start) and
 * takes nothing; -EINVAL: not one whole batch; -ESHUTDOWN; -EIO: failed. The unit's level is the
 * strictest of its topics' durability; any put makes it durable. Batches get base offset and leader
 * epoch patched in the ring (not in the caller's bytes). Producer state is updated. */
int log_commit(struct storage *storage, struct unit *unit) MUST_CHECK;
size_t storage_unit_max(const struct storage *storage);

/* ---- topics as puts -----------------------------------------------------------------------------
 */

/* Add the change to a unit; it happens with the unit. The caller validated names (Kafka's rules),
 * counts and entries. -EEXIST / -ENOENT against the state of now; log_commit looks again (-EEXIST,
 * -ENOENT, or -ESTALE: the topic changed since; build the change anew). A unit takes one change of
 * a topic: -ESTALE (-EEXIST) for a second. -EINVAL: a name that can't be a directory, or a count
 * that is not above the present one; -ENAMETOOLONG. */
int unit_create_topic(struct unit *unit, struct storage *storage, struct bytes name,
    const struct uuid *id, int32_t partitions, const struct topic_config_entry *entries,
    size_t entry_count) MUST_CHECK;
int unit_delete_topic(struct unit *unit, struct storage *storage, struct topic *topic) MUST_CHECK;
int unit_add_partitions(
    struct unit *unit, struct storage *storage, struct topic *topic, int32_t total) MUST_CHECK;
int unit_set_topic_config(struct unit *unit, struct storage *storage, struct topic *topic,
    const struct topic_config_entry *entries, size_t entry_count) MUST_CHECK;

/* Other values for topics that do not set a key themselves; they hold at once, for all topics. */
void storage_set_defaults(struct storage *storage, const struct topic_config *defaults);
/* From now on; whether it is enabled stays as it is. */
void storage_set_cleaner(struct storage *storage, const struct cleaner_config *cleaner);
/* producer.id.expiration.ms, from now on. */
void storage_set_producer_expiration(struct storage *storage, int64_t expire_ms);

/* ---- the store: small keyed state, in memory, durable through units
 * -------------------------------- */

/* Name, number on the disk, what an operator is told was lost. Storage's own up to 15. */
#define STORE_KIND_TABLE(X)                                                                        \
    X(STORE_TOPIC, 1, "topics (made, changed or deleted)")                                         \
    X(STORE_LOG, 2, "starts of logs (deleted records)")                                            \
    X(STORE_CLUSTER, 3, "the cluster")                                                             \
    /* an event, not kept: compaction replaced segments */                                         \
    X(STORE_SEGMENTS, 4, "segments (compacted)")                                                   \
    /* group, topic id, partition → committed offset */                                          \
    X(STORE_OFFSET, 16, "committed offsets")                                                       \
    /* group → its kind and state */                                                             \
    X(STORE_GROUP, 17, "groups")                                                                   \
    /* the block of producer ids given out so far */                                               \
    X(STORE_PRODUCER_IDS, 18, "blocks of producer ids")                                            \
    /* transactional id → its state */                                                           \
    X(STORE_TRANSACTION, 19, "transactions")                                                       \
    /* producer id, group, topic id, partition → offset that waits */                            \
    X(STORE_TRANSACTION_OFFSET, 20, "offsets of transactions that were not committed")             \
    /* group, member → its state (kinds that want it) */                                         \
    X(STORE_GROUP_MEMBER, 21, "members of groups")                                                 \
    /* group, topic id, partition → what a share group has had */                                \
    X(STORE_SHARE, 22, "what share groups have had")                                               \
    /* resource type, name → values set at run time */                                           \
    X(STORE_CONFIG, 24, "settings made at run time")                                               \
    /* processors: task → input positions and the rest of its frame */                           \
    X(STORE_TASK, 32, "states of processors")                                                      \
    /* processors: name → how it was loaded */                                                   \
    X(STORE_PROCESSOR, 33, "loaded processors")

enum store_kind {
#define STORE_KIND_NUMBER(name, number, text) name = (number),
    STORE_KIND_TABLE(STORE_KIND_NUMBER)
#undef STORE_KIND_NUMBER
};

/* The value is valid until the next log_commit. Returns false (and value null) if absent. ret_lsn
 * (may be NULL): position of the newest change. */
bool store_get(const struct storage *storage, uint16_t kind, struct bytes key,
    struct bytes *ret_value, uint64_t *ret_lsn);
/* All keys of a kind that begin with `prefix` (empty: all), in byte order of the keys; costs what
 * is visited. `each` returns false to stop; it must not commit. */
void store_each(const struct storage *storage, uint16_t kind, struct bytes prefix,
    bool (*each)(void *context, struct bytes key, struct bytes value, uint64_t lsn), void *context);
/* The same from the first key ≥ `from` on, which begins with `prefix`. */
void store_each_from(const struct storage *storage, uint16_t kind, struct bytes prefix,
    struct bytes from,
    bool (*each)(void *context, struct bytes key, struct bytes value, uint64_t lsn), void *context);

/* An entry that a change told of. */
void store_entry_get(const struct store_entry *entry, struct bytes *ret_key,
    struct bytes *ret_value, uint64_t *ret_lsn);
/* As store_each, told as changes with `before` 0. */
void store_each_entry(const struct storage *storage, uint16_t kind,
    void (*each)(void *context, const struct store_change *change), void *context);
/* The lsn of the newest deletion of the kind since the first day, or 0. */
uint64_t store_deleted(const struct storage *storage, uint16_t kind);

/* ---- idempotent producers -----------------------------------------------------------------------
 */

enum producer_verdict {
    PRODUCER_OK,
    PRODUCER_DUPLICATE,      /* one of the last five batches again: answer as the first time */
    PRODUCER_OUT_OF_ORDER,   /* sequence is not the next */
    PRODUCER_FENCED_EPOCH,   /* an older epoch than known */
    PRODUCER_IN_TRANSACTION, /* a batch without a transaction, while its producer has one open */
    PRODUCER_NO_ROOM,        /* it would begin a transaction beyond transactions_max */
};
/* Ask before log_commit, for a batch that carries a producer id. For PRODUCER_DUPLICATE the
 * original base offset, its append time (-1 for CreateTime) and the lsn that must be durable before
 * it is told. */
enum producer_verdict log_check_producer(const struct log *log, struct bytes batch,
    int64_t *ret_base_offset, int64_t *ret_append_ms, uint64_t *ret_lsn);

/* What a log knows of a producer. */
struct producer_state {
    int64_t id;
    int16_t epoch;
    int32_t coordinator_epoch; /* of its newest marker; -1: none */
    int32_t last_sequence;     /* -1: none */
    int64_t last_ms;           /* timestamp of its newest batch; -1: not known */
    int64_t first_offset;      /* of its open transaction; -1: none */
};
/* False: nothing. */
bool log_producer(const struct log *log, int64_t id, struct producer_state *ret);
/* All, by id. `each` returns false to stop. */
void log_each_producer(const struct log *log,
    bool (*each)(void *context, const struct producer_state *producer), void *context);

/* ---- transactions ------------------------------------------------------------------------------
 *
 * A log's transactions follow from its batches alone: the first transactional batch of a producer
 * opens one, a control batch of that producer (control_build of protocol/record.h) ends it. The
 * last stable offset lies at the first batch of the oldest one whose end is not visible yet. Whose
 * transaction it is, and on which logs, the broker knows.
 *
 * For the cleaner: do not touch what lies at or behind last_stable_offset; a transactional data
 * batch is aborted exactly if log_is_aborted says so. */

struct aborted_transaction {
    int64_t producer_id;
    int64_t first_offset, last_offset; /* of its first batch; of its marker */
    int64_t last_stable_offset;        /* those behind this one in the list begin at or after it */
};
/* Those with a batch or marker at or behind `from` and a first batch below `below`, in the order of
 * their markers. `each` returns false to stop. */
void log_each_aborted(const struct log *log, int64_t from, int64_t below,
    bool (*each)(void *context, const struct aborted_transaction *aborted), void *context);
/* Was the transactional batch of this producer at `offset` (below the last stable offset) aborted?
 */
bool log_is_aborted(const struct log *log, int64_t producer_id, int64_t offset);
/* False: damaged or deleted; log_commit would refuse an append. */
bool log_takes_appends(const struct log *log);

/* ---- reading ------------------------------------------------------------------------------------
 */

/* Whole record batches from the one that contains `offset` on, below end_offset. */
struct log_read {
    /* filled by the caller */
    struct log *log;
    int64_t offset; /* start_offset ≤ offset ≤ end_offset */
    int64_t
        end_offset; /* do not show batches at or above it: high_watermark or last_stable_offset */
    size_t max_bytes;
    bool at_least_one; /* the first batch comes even if it is larger than max_bytes */
    void (*done)(struct log_read *read, int status);
    /* result, when log_read returned 0 or done ran with 0; the caller gives the reference back with
     * buffer_unref. buffer NULL: nothing to read (offset == end_offset, or nothing fits). */
    struct buffer *buffer;
    /* storage's own */
    struct log_read_state *state;
};
/* 0: the result is there; -EINPROGRESS: done will run (cold bytes); -ERANGE: offset below
 * start_offset or above end_offset; -ENOENT: deleted; -ENOMEM: no buffer; -EIO / -EBADMSG: that
 * range can't be read. */
int log_read(struct storage *storage, struct log_read *read) MUST_CHECK;
/* done will not run. */
void log_read_cancel(struct log_read *read);

/* The first record with timestamp ≥ target_ms; or (max) the record of the greatest timestamp. */
struct log_find_time {
    struct log *log;
    int64_t target_ms;
    bool max;
    int64_t end_offset; /* look below it only */
    void (*done)(struct log_find_time *find, int status);
    int64_t offset, timestamp_ms; /* result; -1, -1: none */
    int32_t leader_epoch;
    struct log_find_state *state; /* storage's own */
};
/* As log_read: 0, -EINPROGRESS, or an error. Reads records, so it decompresses. */
int log_find_time(struct storage *storage, struct log_find_time *find) MUST_CHECK;
/* done will not run. */
void log_find_cancel(struct log_find_time *find);

/* ---- computed topics ----------------------------------------------------------------------------
 *
 * Topics whose records nobody appends and no disk holds: `source` makes them when they are read. It
 * sets the fields of their logs that tell offsets and sizes, and topic->lsn, and calls log_wake
 * when there is more. Nothing was ever truncated in them: every epoch that was reaches to the end.
 * Units refuse to change them (-EPERM; an append: -EBADMSG). */
struct log_source {
    void *context;
    /* As log_read, in bounds already, and log_find_time. A read is never in progress. */
    int (*read)(void *context, struct log_read *read);
    int (*find_time)(void *context, struct log_find_time *find);
    void (*find_cancel)(void *context, struct log_find_time *find);
};
/* NULL: there is a topic of this name or id. It lives as long as the storage; so must the source.
 */
struct topic *storage_add_computed(struct storage *storage, struct bytes name,
    const struct uuid *id, int32_t partitions, const struct topic_config_entry *entries,
    size_t entry_count, const struct log_source *source);
/* Those who wait for the log look again, now. */
void log_wake(struct log *log);

/* KIP-101 / KIP-320: the epoch and end offset that answer OffsetForLeaderEpoch for `epoch`:
 * epoch == latest: log end offset; above every known: -1, -1; below the first: (epoch, start of the
 * first known); else the floor epoch and the start offset of the next higher. */
void log_epoch_end(
    const struct log *log, int32_t epoch, int32_t *ret_epoch, int64_t *ret_end_offset);
/* The leader epoch of the batch at `offset`, or -1. */
int32_t log_epoch_at(const struct log *log, int64_t offset);

/* DeleteRecords: raise start_offset (≤ high_watermark) within a unit. */
int unit_raise_start(struct unit *unit, struct log *log, int64_t offset) MUST_CHECK;

/* ---- counters (tests, status)
 * --------------------------------------------------------------------- */

struct storage_stats {
    uint64_t units, batches, bytes;
    uint64_t wal_writes, wal_durable_writes, wal_syncs, wal_wraps, wal_files_recycled;
    uint64_t writebacks, writeback_bytes, rolls, checkpoints, segments_deleted, seals;
    uint64_t reads_ring, reads_warm, reads_cold;
    uint64_t replayed_records, recovery_ns;
    uint64_t compactions; /* segments made in place of others */
    uint64_t compaction_rounds, compaction_full_maps, compaction_bytes_in, compaction_bytes_out;
    uint64_t compaction_records_dropped, compaction_horizons, logs_uncleanable;
};
struct storage_stats storage_stats(const struct storage *storage);

#endif
