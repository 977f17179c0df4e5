/*
 * share_partition.h - what the members of one share group have had of one partition (KIP-932), as a
 * pure state machine: no sockets, no disk, no clock.
 *
 *                      acquire                       accept, reject, gap
 *     AVAILABLE ────────────────────▶ ACQUIRED ────────────────────────────▶ DONE
 *         ▲                              │ release, time is up, member gone     ▲
 *         └──────────────────────────────┤                                      │
 *                                        └── ... and delivered as often as may be
 *
 *     offset:   0 ────────── start ─────────────────────────── end ──────── log's end
 *               DONE, forgotten  │  ranges, each in one state   │  never delivered
 *
 * What nobody can be given is DONE at once: control batches, batches of aborted transactions for
 * readers of committed records, holes that compaction left. `start` moves to the first record that
 * is not DONE; what the log itself has lost is forgotten.
 *
 * Who holds a record is a number that the caller gives; 0 is nobody. Time is monotonic nanoseconds.
 * Deliveries count from 1, however they ended: a record that ends its readers reaches the limit.
 *
 * Source: KIP-932, KIP-1206 (record limit), KIP-1222 (renew), KIP-1226 (lag); Kafka 4.3's
 * SharePartition. Unlike it, offsets that are DONE behind one that is not do not count against
 * records_max, and no more than that is ever locked, not even to the end of a batch. One thread.
 */
#ifndef BROKER_SHARE_PARTITION_H
#define BROKER_SHARE_PARTITION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/base/bytes.h"
#include "protocol/base/heap.h"
#include "protocol/base/tree.h"

enum share_state { SHARE_AVAILABLE, SHARE_ACQUIRED, SHARE_DONE, SHARE_STATE_COUNT };

/* What a client says of a record. */
enum share_answer {
    SHARE_GAP = 0, /* there is no record at this offset */
    SHARE_ACCEPT = 1,
    SHARE_RELEASE = 2,
    SHARE_REJECT = 3,
    SHARE_RENEW = 4, /* still at it: the lock begins anew */
};

/* Of the group; they may change between calls. */
struct share_limits {
    int64_t records_max; /* neither DONE nor beyond `end`: group.share.partition.max.record.locks */
    int32_t delivery_max; /* group.share.delivery.count.limit */
    int64_t lock_ns;      /* group.share.record.lock.duration.ms */
};

struct share_partition {
    int64_t start, end; /* start ≤ end; ranges cover what is between without gaps */
    struct tree ranges; /* struct share_range by first offset; neighbours differ */
    struct heap locks;  /* of the acquired ranges, by deadline */
    int64_t counts[SHARE_STATE_COUNT]; /* records between start and end by state */
    bool changed; /* since the owner cleared it; that something was acquired is no change */
};

/* An empty one from `start` on. */
void share_partition_init(struct share_partition *partition, int64_t start);
/* Accepts a zeroed one. */
void share_partition_done(struct share_partition *partition);
/* Everything is forgotten; it goes on at `start`. */
void share_partition_reset(struct share_partition *partition, int64_t start);

/* From where to read what may be acquired next; `end` at most. */
int64_t share_partition_next(const struct share_partition *partition);
/* Whether an acquire could get anything if the log had it. */
bool share_partition_has_room(
    const struct share_partition *partition, const struct share_limits *limits);

/* A run of offsets of a batch that was read. */
struct share_span {
    int64_t first, last;
    bool nothing; /* nothing in it may be delivered */
};
struct share_want {
    uint64_t owner;
    int64_t from; /* what was asked of the log: between it and the first span there is nothing */
    const struct share_span *spans; /* in order, not overlapping */
    size_t span_count;
    int64_t records_max;
    int32_t
        batch_size; /* runs that are told end with a span that brings them to so many; ≤ 0: no */
    bool exact;     /* records_max holds to the record; else to the end of a span */
};
struct share_acquired {
    int64_t first, last;
    uint16_t delivery;
};
struct share_acquired_list {
    struct share_acquired *rows; /* freed by the caller with mem_free; zeroed is empty */
    size_t count, capacity;
    int64_t records;
};
/* Adds what was acquired, at most limits->records_max rows. A record whose delivery would be its
 * last comes alone, so that a bad one does not take others with it. */
void share_partition_acquire(struct share_partition *partition, const struct share_want *want,
    const struct share_limits *limits, int64_t now, struct share_acquired_list *list);

struct share_ack {
    int64_t first, last;
    const int8_t *answers; /* one for all, or one for each */
    int32_t answer_count;
};
/* All or nothing. 0; -EINVAL: not well formed, not in order, or beyond `end`; -EPERM: a record that
 * the owner does not hold (any more), or that comes twice. What lies below `start` is passed over.
 */
int share_partition_acknowledge(struct share_partition *partition, uint64_t owner,
    const struct share_ack *acks, size_t ack_count, const struct share_limits *limits,
    int64_t now) MUST_CHECK;
/* The owner goes: what it holds is available again. True: there was some. */
bool share_partition_release(
    struct share_partition *partition, uint64_t owner, const struct share_limits *limits);
/* INT64_MAX: none. */
int64_t share_partition_deadline(const struct share_partition *partition);
/* Ends the locks whose time is up. True: there were some. */
bool share_partition_tick(
    struct share_partition *partition, const struct share_limits *limits, int64_t now);
/* The log begins and ends here now: what is outside is forgotten. True: something was. */
bool share_partition_trim(struct share_partition *partition, int64_t log_start, int64_t log_end);
/* Records that are not DONE, of a log that ends there. */
int64_t share_partition_lag(const struct share_partition *partition, int64_t log_end);

/*
 * The durable form, and back into one that was just initialised. Records that somebody holds are
 * written as available with their deliveries.
 *
 *     u8 1 | varlong start | varlong count of ranges | { varlong length, u8 done, varlong delivery
 * }
 *
 * A new form gets another first byte; the old one stays readable. -EBADMSG: not that.
 */
void share_partition_encode(const struct share_partition *partition, struct out *out);
int share_partition_decode(struct share_partition *partition, struct bytes data) MUST_CHECK;

/* Calls CHECK on everything that must hold between the fields (tests). */
void share_partition_check(const struct share_partition *partition);

/* One after the other, NULL: the first; for tests and those who describe. */
struct share_range {
    struct tree_node node;
    struct heap_node lock; /* while acquired */
    int64_t first, last;
    uint64_t owner;    /* 0 unless acquired */
    uint16_t delivery; /* 0 if DONE */
    uint8_t state;     /* enum share_state */
};
struct share_range *share_partition_range_after(
    const struct share_partition *partition, const struct share_range *range);

#endif
