/*
 * wal.h - the write-ahead log: one sequence for everything, a ring in memory over recycled files.
 *
 * Positions (lsn) count bytes from the first day and never repeat. The ring is file_bytes long and
 * so is every file: lsn L lies in file L / file_bytes, at L % file_bytes in the file and in the
 * ring. A file's first block is its header. A group never crosses a multiple of file_bytes (a PAD
 * record fills the rest). A write starts and ends on a multiple of 4096, never rewrites a block,
 * and holds whole groups: everything appended since the last one, or of a long backlog about 1 MiB.
 *
 *   released ≤ durable ≤ written ≤ appended        (released may lie above durable in mode `os`)
 *
 *  - appended: copied into the ring. written: the write completed (survives a kill -9). durable: on
 * stable media. The durable position moves only by an fdatasync begun after all earlier writes
 * completed, or by an O_DSYNC write with nothing earlier unflushed (storage.md 1.4).
 *  - released: written back to segments; that part of the ring may be overwritten.
 *  - recycled: checkpointed; files wholly below it may be used again.
 *
 * One write in flight, no timer: what arrives meanwhile is the next write. An error of a write or
 * sync is fail-stop: nothing completes any more, failed is called once.
 *
 * One thread: the loop.
 */
#ifndef STORAGE_WAL_H
#define STORAGE_WAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/base/bytes.h"
#include "protocol/base/check.h"
#include "storage/doors.h"

struct wal;

struct wal_config {
    const char *dir;         /* exists; the files are DIR/NNNN.wal */
    uint32_t file_bytes;     /* ring and file: a power of two, 64 KiB to 1 GiB; the files of a
                                directory keep theirs */
    uint32_t files_max;      /* ≥ 2; all in use and none recycled: wal_begin says -EAGAIN */
    int64_t interval_ns;     /* mode `interval`: written bytes are durable after at most this ... */
    uint64_t interval_bytes; /* ... or this many bytes */
    /* Idle that long after a write: a MARK record tells the durable position. 0: never. */
    int64_t idle_mark_ns;
    bool accept_loss; /* open although acknowledged data is damaged */
};

enum wal_type {
    WAL_PAD = 1,    /* the wal's own */
    WAL_MARK = 2,   /* the wal's own */
    WAL_RESUME = 3, /* the wal's own: the first record after each open */
    WAL_USER = 16   /* from here on: the caller's types, up to 255 */
};

/* What a record says beside its payload. */
struct wal_head {
    uint8_t type;
    uint32_t log;        /* the caller's id of a partition log; 0 for none */
    int64_t base_offset; /* the header's checksum covers it; Kafka's batch CRC does not */
    uint32_t len;        /* of the payload */
    /* Bytes of the payload's beginning that the record's payload checksum covers. A caller whose
     * payload carries a checksum of its own (a record batch) covers the rest by it, see
     * wal_replay.check. */
    uint32_t checked_len;
};

struct wal_events {
    void *context;
    /* written or durable moved; once per completed write or sync, from disk_poll. */
    void (*moved)(void *context);
    /* A group of the size to which wal_begin said -EAGAIN or -ENOSPC fits now. From wal_turn,
     * before it looks for something to write; it may append. */
    void (*space)(void *context);
    /* Another file was taken and more than half of files_max are in use: a checkpoint is wanted.
     * From wal_turn. */
    void (*pressure)(void *context);
    /* Once, from disk_poll (or from the end of a job that made a file). */
    void (*failed)(void *context, int status, const char *what);
};

struct wal_replay {
    void *context;
    /* Is the payload whole? Called where checked_len < len. 0, or -EBADMSG. */
    int (*check)(void *context, const struct wal_head *head, struct bytes payload);
    /* One record, in lsn order; only complete groups are shown. `damaged` says that the payload is
     * not what was written (only with head intact and lsn below the known durable position): the
     * caller refuses that partition and goes on. An error ends wal_open with it. */
    int (*record)(void *context, uint64_t lsn, const struct wal_head *head, struct bytes payload,
        bool damaged);
    /* May be NULL. A whole header behind damage: what was acknowledged and can't be reached any
     * more (wal_open ends with -EUCLEAN, or goes on without it). `begin`: as much of the payload's
     * beginning as is at hand, unchecked. In no order. */
    void (*lost)(void *context, const struct wal_head *head, struct bytes begin);
};

struct wal_found {
    uint64_t records, groups, bytes; /* replayed */
    uint64_t torn_lsn;               /* where the log ended */
    uint64_t durable_lsn; /* the greatest durable position that any valid record carried */
    uint64_t damaged;     /* records shown as damaged */
    bool lost; /* accept_loss was needed: a header below durable_lsn was bad, or a file missing */
};

/* Opens or creates the files, syncs them and their directory before trusting what is read, replays
 * from `from` (a position that wal_recycle was told, or 0), and stands ready to append. Blocking.
 * Afterwards everything found is durable, and appended = written = durable = released is the place
 * where the next record goes, at or above torn_lsn and `from`.
 * -EUCLEAN: a header below the durable position, or a whole file, is damaged (said through doors)
 * and accept_loss is off; or positions above all that a log can reach, made by hand; -EBUSY:
 * another process has the files; -EPROTONOSUPPORT: a newer program wrote them; -EIO: a file can't
 * be read (with accept_loss such places are damage). */
int wal_open(struct wal **ret_wal, const struct wal_config *config, struct doors *doors,
    const struct wal_events *events, uint64_t from, const struct wal_replay *replay,
    struct wal_found *ret_found) MUST_CHECK;
/* Ends the wal at once; what is in flight must be over (wal_idle), unless the doors are dead (the
 * simulation's kill). Nothing is written. Accepts NULL. */
void wal_destroy(struct wal *wal);

/* The largest group, payloads and headers, that will ever fit: close to three eighths of the ring.
 */
size_t wal_group_max(const struct wal *wal);
/* Bytes that a record of this payload takes: header and payload, rounded up to 64. */
static inline size_t wal_record_size(size_t len)
{
    return (len + 64 + 63) & ~(size_t)63;
}

/* One group, all or nothing: begin, add each record, end; nothing else in between.
 * begin: `size` is the sum of wal_record_size. -EAGAIN: ring or files are full, or a file is being
 * made; -ENOSPC: another file is needed, none can be recycled, and the disk is full (tried again
 * each second). After both `space` will be called. -EMSGSIZE: above wal_group_max; -EIO: failed. */
int wal_begin(struct wal *wal, size_t size) MUST_CHECK;
/* Would `size` bytes fit, a group and what shall still fit behind it? As wal_begin, but nothing is
 * begun. */
int wal_room(struct wal *wal, size_t size) MUST_CHECK;
/* The returned memory of head->len bytes in the ring is filled by the caller before wal_end; it
 * stays valid and unchanged until its position is released. */
uint8_t *wal_add(struct wal *wal, const struct wal_head *head, uint64_t *ret_lsn);
/* Computes the checksums. Returns the position after the group: it is written (durable) when
 * wal_written (wal_durable) has reached it. */
uint64_t wal_end(struct wal *wal);

/* Somebody waits until `lsn` is durable; the next write or sync will see to it. */
void wal_want_durable(struct wal *wal, uint64_t lsn);
/* Mode `interval`: lsn shall be durable within the interval. */
void wal_want_interval(struct wal *wal, uint64_t lsn);
/* Starts a write or sync if there is something to do and none is in flight. Once per turn of the
 * loop, after all appends of the turn and before disk_flush. */
void wal_turn(struct wal *wal);

uint64_t wal_appended(const struct wal *wal);
uint64_t wal_written(const struct wal *wal);
uint64_t wal_durable(const struct wal *wal);
uint64_t wal_released(const struct wal *wal);
/* The bytes of a payload in the ring; lsn as given by wal_add and not yet released. */
const uint8_t *wal_payload(const struct wal *wal, uint64_t lsn);
/* Nothing in flight: neither a write or sync nor a job that makes a file. */
bool wal_idle(const struct wal *wal);

/* For a clean stop, when everything is durable: appends a MARK that tells so, unless a record does
 * already or there is no room. Returns the position to wait for (wal_want_durable is done). */
uint64_t wal_mark(struct wal *wal);

/* Behind the last append, when idle: no timer begins a write any more. */
void wal_rest(struct wal *wal);

/* Both only move up. wal_release: lsn ≤ written. wal_recycle: lsn ≤ released and ≤ durable, so that
 * where a checkpoint ends is always on the medium, and its absence is damage. */
void wal_release(struct wal *wal, uint64_t lsn);
void wal_recycle(struct wal *wal, uint64_t lsn);

/* For counters and the simulation's proof that things happened. */
struct wal_stats {
    uint64_t writes, durable_writes, syncs, bytes, groups, wraps, files_created, files_recycled,
        marks;
};
struct wal_stats wal_stats(const struct wal *wal);

#endif
