/*
 * The ring, its groups, and their way to the files. (Bytes: wal_format.h; files: wal_files.h; what
 * happens at open: wal_recovery.c.)
 *
 * Happy path
 *  - wal_begin makes sure that the group fits the ring, the file and the disk; where the file's
 * rest is too small a PAD record fills it and the next file's header block is made in the ring.
 *  - wal_add hands out the place, wal_end closes the group: payload checksums, then headers, each
 *    with the hash of the one before.
 *  - wal_turn closes the block with a PAD record and writes everything since the last write: a
 *    piece. A piece lies in one file. Appending closes a piece by itself at the end of a file and
 *    above PIECE_MAX, so a long backlog is several writes and nobody waits for all of it.
 *  - completed: `written` moves, and `durable` with it after a durable write; then events.moved.
 *
 * How a piece becomes durable
 *   durable == written, somebody waits for it  → one durable write (O_DSYNC)
 *   nobody waits                               → a plain write
 *   durable < written, somebody waits          → plain writes up to what is waited for, then a sync
 *                                                of every file with unflushed bytes. A durable
 * write here would promise nothing of the earlier ones.
 *
 * The ring
 *   released ........ written ........ appended
 *   |  tail cache     |  piece, piece, open piece |        appended - released ≤ file_bytes
 *   Memory is touched as it is used. Bytes between a group's end and the block's end belong to the
 *   PAD; the end-of-file PAD's body is neither touched nor written.
 *
 * Failure: any error of a write or sync ends everything (fail): the kernel may have dropped the
 * pages, so nothing may be tried again. An error in making another file is no such thing: the file
 * is not part of the log yet. It is said, and tried again each second.
 */
#include "storage/wal.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

#include "protocol/base/mem.h"
#include "protocol/crc32c.h"
#include "storage/barriers.h"
#include "storage/rewrite.h"
#include "storage/wal_files.h"
#include "storage/wal_format.h"
#include "storage/wal_recovery.h"

enum { PIECE_MAX = 1 << 20 };
static const int64_t retry_ns = 1000 * CLOCK_NS_PER_MS;

/* [from, to) is one write in one file; behind it the log goes on at `next` ≥ to. */
struct piece {
    uint64_t from, to, next;
    uint64_t told; /* the durable position that its last record carries */
};

struct sync {
    struct disk_op op;
    struct wal *wal;
};

struct wal {
    struct wal_config config;
    struct wal_events events;
    struct doors *doors;
    struct wal_files files;
    uint8_t *ring;
    uint64_t file_bytes, group_max, piece_max;
    int failed; /* -errno */

    /* this life's beginning */
    uint32_t incarnation;
    uint64_t previous_end, start;
    bool resumed; /* the RESUME record is made */

    uint64_t appended, written, durable, released, recycled;
    uint64_t chain;    /* of the next record */
    uint64_t told;     /* the greatest durable position in a written record */
    uint64_t user_end; /* behind the last group of the caller */

    bool in_group;
    uint64_t group_at, group_end;

    struct piece *pieces; /* closed, oldest first: a circle */
    size_t piece_first, piece_count, piece_capacity;
    uint64_t piece_from; /* the open piece is [piece_from, appended) */

    bool writing;
    bool write_is_durable;
    struct piece in_flight;
    struct disk_op write_op;
    struct sync *syncs; /* one for each slot */
    size_t syncing;     /* of them in flight */
    uint64_t sync_target;

    uint64_t want_durable, want_interval;
    uint64_t want_interval_begun; /* as it was when the op in flight began */
    uint64_t want_first;          /* the least wish since nothing was wished for */
    struct timer interval_timer, mark_timer, retry_timer;
    int64_t op_began_ns, op_ended_ns;

    uint64_t starved; /* the size that wal_begin refused; 0: none */
    bool no_space, pressed;
    struct wal_stats stats;
};

static int64_t now_ns(const struct wal *wal)
{
    return clock_monotonic_ns(wal->doors->clock);
}

static uint64_t within(const struct wal *wal, uint64_t lsn)
{
    return lsn & (wal->file_bytes - 1);
}

static uint8_t *ring_at(const struct wal *wal, uint64_t lsn)
{
    return wal->ring + within(wal, lsn);
}

static void fail(struct wal *wal, int status, const char *what)
{
    if (wal->failed)
        return;
    wal->failed = status;
    timer_cancel(wal->doors->timers, &wal->interval_timer);
    timer_cancel(wal->doors->timers, &wal->mark_timer);
    timer_cancel(wal->doors->timers, &wal->retry_timer);
    wal->events.failed(wal->events.context, status, what);
}

/* ---- records ---- */

/* What a record made now may say is durable. At the beginning of a life that is the end of the life
 * before: between it and `start` there is nothing. */
static uint64_t tell_durable(const struct wal *wal)
{
    return wal->durable == wal->start ? wal->previous_end : wal->durable;
}

/* A record whose payload needs no checksum, behind everything. */
static void append_own(struct wal *wal, enum wal_type type, uint32_t len, int64_t base_offset)
{
    uint8_t *place = ring_at(wal, wal->appended);
    struct wal_record record = {
        .lsn = wal->appended,
        .durable_lsn = tell_durable(wal),
        .chain = wal->chain,
        .base_offset = base_offset,
        .len = len,
        .incarnation = wal->incarnation,
        .type = (uint8_t)type,
    };
    wal_record_encode(place, &record, &wal->files.format);
    wal->chain = wal_record_chain(place, &wal->files.format);
    wal->appended += WAL_HEAD_SIZE;
}

/* The open piece ends at `to`; the log goes on at `next`. */
static void piece_close(struct wal *wal, uint64_t to, uint64_t next)
{
    CHECK(wal->piece_count < wal->piece_capacity);
    size_t last = (wal->piece_first + wal->piece_count++) % wal->piece_capacity;
    wal->pieces[last] = (struct piece){
        .from = wal->piece_from, .to = to, .next = next, .told = tell_durable(wal)
    };
    wal->appended = wal->piece_from = next;
}

/* Fills the block and closes the open piece. */
static void block_close(struct wal *wal)
{
    uint64_t to = wal_round_up(wal->appended, WAL_BLOCK);
    if (wal->appended < to) {
        uint32_t len = (uint32_t)(to - wal->appended - WAL_HEAD_SIZE);
        append_own(wal, WAL_PAD, len, 0);
        memset(ring_at(wal, wal->appended), 0, len);
    }
    piece_close(wal, to, to);
}

/* Fills the file; only the block with the PAD's header is written. */
static void file_close(struct wal *wal)
{
    uint64_t left = wal->file_bytes - within(wal, wal->appended);
    uint64_t next = wal->appended + left;
    append_own(wal, WAL_PAD, (uint32_t)(left - WAL_HEAD_SIZE), 0);
    uint64_t to = wal_round_up(wal->appended, WAL_BLOCK);
    if (to > wal->appended)
        memset(ring_at(wal, wal->appended), 0, to - wal->appended);
    piece_close(wal, to, next);
}

/* The next file's turn: its header block is the piece's beginning. */
static void file_open(struct wal *wal)
{
    uint64_t number = wal->appended / wal->file_bytes;
    struct wal_slot *slot = wal_files_pick(&wal->files, number);
    wal->stats.files_recycled += slot->has_head;
    slot->state = WAL_SLOT_USED;
    slot->has_head = true;
    slot->blank = false; /* `unflushed` stays: what the sync owes is not only this turn's */
    slot->head = (struct wal_file_head){
        .format = wal->files.format,
        .number = number,
        .chain = wal->chain,
        .incarnation = wal->incarnation,
    };
    wal_file_head_encode(ring_at(wal, wal->appended), &slot->head);
    wal->appended += WAL_BLOCK;
    wal->stats.wraps++;
    wal->pressed = wal_files_count(&wal->files, WAL_SLOT_USED) > wal->config.files_max / 2;
}

/* After each group. */
static void piece_close_if_long(struct wal *wal)
{
    if (within(wal, wal->appended) == 0)
        piece_close(wal, wal->appended, wal->appended);
    else if (wal->appended - wal->piece_from >= wal->piece_max)
        block_close(wal);
}

static void append_resume(struct wal *wal)
{
    append_own(wal, WAL_RESUME, 0, (int64_t)wal->previous_end);
    wal->resumed = true;
}

/* ---- files ahead of need ---- */

static void prepare_if_wanted(struct wal *wal)
{
    uint64_t used = within(wal, wal->appended);
    if (wal->failed || wal->files.prepare.running || timer_is_set(&wal->retry_timer) ||
        wal_files_count(&wal->files, WAL_SLOT_FREE) > 0 ||
        (used != 0 && used < wal->file_bytes / 8 && !wal->starved))
        return;
    for (size_t i = 0; i < wal->files.count && i < wal->config.files_max; i++) {
        if (wal->files.slots[i].state == WAL_SLOT_EMPTY) {
            wal_files_prepare(&wal->files, i);
            return;
        }
    }
}

static void wal_prepared(struct wal_files *files, size_t index, int status, bool directory_failed)
{
    struct wal *wal = container_of(files, struct wal, files);
    if (status == 0) {
        if (wal->no_space)
            doors_say(wal->doors, LOG_INFO, "%s: %04zu.wal is made, there is room again",
                wal->config.dir, index);
        wal->no_space = false;
        wal->stats.files_created++;
        return;
    }
    if (directory_failed) {
        fail(wal, status, "sync of the directory of the write-ahead files");
        return;
    }
    bool full = status == -ENOSPC || status == -EDQUOT;
    if (!full || !wal->no_space)
        doors_say(wal->doors, LOG_ERROR, "%s/%04zu.wal can't be made: %s; trying again each second",
            wal->config.dir, index, strerror(-status));
    wal->no_space = full;
    if (!wal->failed)
        timer_set(wal->doors->timers, &wal->retry_timer, now_ns(wal) + retry_ns);
}

static void retry_fire(struct timer *timer)
{
    prepare_if_wanted(container_of(timer, struct wal, retry_timer));
}

/* ---- groups ---- */

/* Where a group of `size` would end, and whether it needs another file. */
static uint64_t plan(const struct wal *wal, uint64_t size, bool *ret_file)
{
    uint64_t at = wal->appended;
    uint64_t resume = wal->resumed ? 0 : WAL_HEAD_SIZE;
    if (within(wal, at) != 0)
        at += resume;
    *ret_file = within(wal, at) == 0 || within(wal, at) + size > wal->file_bytes;
    if (*ret_file)
        at = wal_round_up(at, wal->file_bytes) + WAL_BLOCK;
    if (within(wal, wal->appended) == 0)
        at += resume;
    return at + size;
}

/* 0, -EAGAIN or -ENOSPC. */
static int room_for(const struct wal *wal, uint64_t size)
{
    bool file;
    uint64_t end = plan(wal, size, &file);
    uint64_t floor = wal->released & ~(uint64_t)(WAL_BLOCK - 1);
    if (BARRIER(WAL_RING_RELEASED) && wal_round_up(end, WAL_BLOCK) - floor > wal->file_bytes)
        return -EAGAIN;
    if (file && wal_files_count(&wal->files, WAL_SLOT_FREE) == 0)
        return wal->no_space ? -ENOSPC : -EAGAIN;
    return 0;
}

int wal_room(struct wal *wal, size_t size)
{
    if (wal->failed)
        return -EIO;
    int status = room_for(wal, size);
    if (status < 0) {
        wal->starved = size;
        prepare_if_wanted(wal);
    }
    return status;
}

int wal_begin(struct wal *wal, size_t size)
{
    CHECK(!wal->in_group && size > 0 && size % WAL_HEAD_SIZE == 0);
    if (size > wal->group_max)
        return wal->failed ? -EIO : -EMSGSIZE;
    int status = wal_room(wal, size);
    if (status < 0)
        return status;
    bool file;
    (void)plan(wal, size, &file);
    if (!wal->resumed && within(wal, wal->appended) != 0)
        append_resume(wal);
    if (file && within(wal, wal->appended) != 0)
        file_close(wal);
    if (file)
        file_open(wal);
    if (!wal->resumed)
        append_resume(wal);
    wal->in_group = true;
    wal->group_at = wal->appended;
    wal->group_end = wal->appended + size;
    return 0;
}

uint8_t *wal_add(struct wal *wal, const struct wal_head *head, uint64_t *ret_lsn)
{
    size_t size = wal_record_size(head->len);
    CHECK(wal->in_group && head->type >= WAL_USER && head->checked_len <= head->len &&
          size <= wal->group_end - wal->group_at);
    uint8_t *place = ring_at(wal, wal->group_at);
    /* The rest of the header comes with wal_end. */
    struct wal_record record = {
        .lsn = wal->group_at,
        .base_offset = head->base_offset,
        .len = head->len,
        .checked_len = head->checked_len,
        .log = head->log,
        .incarnation = wal->incarnation,
        .type = head->type,
    };
    memcpy(place, &record, sizeof(record));
    size_t used = WAL_HEAD_SIZE + head->len;
    memset(place + used, 0, size - used);
    *ret_lsn = wal->group_at;
    wal->group_at += size;
    return place + WAL_HEAD_SIZE;
}

uint64_t wal_end(struct wal *wal)
{
    CHECK(wal->in_group && wal->group_at == wal->group_end);
    wal->in_group = false;
    uint64_t durable = tell_durable(wal);
    while (wal->appended < wal->group_end) {
        uint8_t *place = ring_at(wal, wal->appended);
        struct wal_record record;
        memcpy(&record, place, sizeof(record));
        wal->appended += wal_record_size(record.len);
        record.durable_lsn = durable;
        record.chain = wal->chain;
        record.payload_crc = crc32c(0, place + WAL_HEAD_SIZE, record.checked_len);
        record.flags = wal->appended < wal->group_end ? WAL_MORE : 0;
        wal_record_encode(place, &record, &wal->files.format);
        wal->chain = wal_record_chain(place, &wal->files.format);
    }
    wal->user_end = wal->group_end;
    wal->stats.groups++;
    piece_close_if_long(wal);
    return wal->group_end;
}

_Static_assert(sizeof(struct wal_record) <= WAL_HEAD_SIZE, "wal_add keeps one in a header's place");

/* ---- wishes ---- */

void wal_want_durable(struct wal *wal, uint64_t lsn)
{
    if (lsn <= wal->durable)
        return;
    if (wal->want_durable <= wal->durable || lsn < wal->want_first)
        wal->want_first = lsn;
    if (lsn > wal->want_durable)
        wal->want_durable = lsn;
}

void wal_want_interval(struct wal *wal, uint64_t lsn)
{
    if (lsn <= wal->durable)
        return;
    if (lsn > wal->want_interval)
        wal->want_interval = lsn;
    if (!wal->failed && !timer_is_set(&wal->interval_timer))
        timer_set(wal->doors->timers, &wal->interval_timer, now_ns(wal) + wal->config.interval_ns);
}

static void interval_fire(struct timer *timer)
{
    struct wal *wal = container_of(timer, struct wal, interval_timer);
    wal_want_durable(wal, wal->want_interval);
    wal_turn(wal);
}

/* ---- MARK ---- */

/* Something of the caller's is durable and no written record says so. */
static bool mark_is_due(const struct wal *wal)
{
    uint64_t durable = wal->durable < wal->user_end ? wal->durable : wal->user_end;
    return durable > wal->start && durable > wal->told;
}

uint64_t wal_mark(struct wal *wal)
{
    bool file;
    if (wal->failed || wal->appended != wal->written || !mark_is_due(wal) ||
        room_for(wal, WAL_HEAD_SIZE) < 0)
        return wal->durable;
    (void)plan(wal, WAL_HEAD_SIZE, &file);
    if (file)
        file_open(wal); /* a mark fits any begun file's rest, so the last one is full */
    append_own(wal, WAL_MARK, 0, 0);
    wal->stats.marks++;
    uint64_t end = wal->appended;
    piece_close_if_long(wal);
    /* Behind unflushed bytes it would cost a sync of all of them. */
    if (wal->durable == wal->written)
        wal_want_durable(wal, end);
    return end;
}

void wal_rest(struct wal *wal)
{
    wal->config.idle_mark_ns = 0;
    timer_cancel(wal->doors->timers, &wal->mark_timer);
    timer_cancel(wal->doors->timers, &wal->interval_timer);
}

static void mark_fire(struct timer *timer)
{
    struct wal *wal = container_of(timer, struct wal, mark_timer);
    if (!mark_is_due(wal) || !BARRIER(WAL_MARK))
        return;
    int64_t at_ns = wal->op_ended_ns + wal->config.idle_mark_ns;
    bool busy = wal->writing || wal->syncing || wal->appended != wal->written;
    if (busy || at_ns > now_ns(wal)) {
        if (!busy)
            timer_set(wal->doors->timers, &wal->mark_timer, at_ns);
        return; /* when busy: the end of the write sets it */
    }
    (void)wal_mark(wal);
    wal_turn(wal);
}

/* ---- writes and syncs ---- */

/* `durable` moved: what is still wished for? */
static void interval_settle(struct wal *wal)
{
    if (!timer_is_set(&wal->interval_timer))
        return;
    if (wal->want_interval <= wal->durable)
        timer_cancel(wal->doors->timers, &wal->interval_timer);
    else if (wal->want_interval_begun <=
             wal->durable) /* the rest was wished for while the op ran */
        timer_set(
            wal->doors->timers, &wal->interval_timer, wal->op_began_ns + wal->config.interval_ns);
}

static void op_ended(struct wal *wal)
{
    wal->op_ended_ns = now_ns(wal);
    interval_settle(wal);
    if (wal->config.idle_mark_ns > 0 && mark_is_due(wal) && !timer_is_set(&wal->mark_timer))
        timer_set(
            wal->doors->timers, &wal->mark_timer, wal->op_ended_ns + wal->config.idle_mark_ns);
    wal->events.moved(wal->events.context);
}

static void write_done(struct disk_op *op, int status)
{
    struct wal *wal = container_of(op, struct wal, write_op);
    wal->writing = false;
    if (status < 0 && BARRIER(WAL_WRITE_FAILS))
        fail(wal, status, "write to the write-ahead log");
    if (wal->failed)
        return;
    wal->written = wal->in_flight.next;
    wal->told = wal->in_flight.told;
    if (wal->write_is_durable)
        wal->durable = wal->written;
    op_ended(wal);
}

static void write_begin(struct wal *wal)
{
    if (wal->piece_count == 0)
        block_close(wal);
    struct piece piece = wal->pieces[wal->piece_first];
    wal->piece_first = (wal->piece_first + 1) % wal->piece_capacity;
    wal->piece_count--;
    struct wal_slot *slot = wal_files_find(&wal->files, piece.from / wal->file_bytes);
    CHECK(slot);
    bool durable = wal->want_durable > piece.from &&
                   (!BARRIER(WAL_DURABLE_ALONE) || wal->durable == wal->written);
    wal->write_is_durable = durable;
    slot->unflushed |= !durable;
    wal->in_flight = piece;
    wal->writing = true;
    wal->op_began_ns = now_ns(wal);
    wal->want_interval_begun = wal->want_interval;
    wal->stats.writes++;
    wal->stats.durable_writes += durable;
    wal->stats.bytes += piece.to - piece.from;
    wal->write_op = (struct disk_op){
        .kind = durable && BARRIER(WAL_WRITE_DURABLE) ? DISK_OP_WRITE_DURABLE : DISK_OP_WRITE,
        .file = slot->file,
        .position = within(wal, piece.from),
        .data = ring_at(wal, piece.from),
        .len = piece.to - piece.from,
        .done = write_done,
    };
    wal->doors->disk->table->submit(wal->doors->disk, &wal->write_op);
}

static void sync_done(struct disk_op *op, int status)
{
    struct wal *wal = container_of(op, struct sync, op)->wal;
    wal->syncing--;
    if (status < 0 && BARRIER(WAL_SYNC_FAILS))
        fail(wal, status, "sync of the write-ahead log");
    if (wal->failed || wal->syncing)
        return;
    wal->durable = wal->sync_target;
    op_ended(wal);
}

static void sync_begin(struct wal *wal)
{
    wal->sync_target = wal->written;
    wal->op_began_ns = now_ns(wal);
    wal->want_interval_begun = wal->want_interval;
    for (size_t i = 0; i < wal->files.count; i++) {
        struct wal_slot *slot = &wal->files.slots[i];
        if (!slot->unflushed)
            continue;
        slot->unflushed = false;
        if (!BARRIER(WAL_SYNC_EVERY_FILE) && wal->syncing > 0)
            continue;
        wal->syncs[i] = (struct sync){
            .op = { .kind = BARRIER(WAL_SYNC) ? DISK_OP_SYNC : DISK_OP_WRITE,
                .file = slot->file,
                .done = sync_done },
            .wal = wal,
        };
        wal->syncing++;
        wal->stats.syncs++;
        wal->doors->disk->table->submit(wal->doors->disk, &wal->syncs[i].op);
    }
    CHECK(wal->syncing > 0); /* durable < written, so some file is unflushed */
}

static void tell_owner(struct wal *wal)
{
    if (wal->starved && room_for(wal, wal->starved) == 0) {
        wal->starved = 0;
        wal->events.space(wal->events.context);
    }
    if (wal->pressed) {
        wal->pressed = false;
        wal->events.pressure(wal->events.context);
    }
}

void wal_turn(struct wal *wal)
{
    CHECK(!wal->in_group);
    if (wal->failed)
        return;
    tell_owner(wal);
    prepare_if_wanted(wal);
    if (wal->failed || wal->writing || wal->syncing)
        return;
    bool unflushed = wal->durable < wal->written;
    if (wal->want_interval > wal->durable &&
        wal->written - wal->durable >= wal->config.interval_bytes)
        wal_want_durable(wal, wal->want_interval);
    /* A sync when it helps somebody; not one more write first, or a stream of writes would starve
     * it. */
    if (unflushed && wal->want_durable > wal->durable && wal->want_first <= wal->written)
        sync_begin(wal);
    else if (wal->appended > wal->written)
        write_begin(wal);
}

/* ---- positions ---- */

void wal_release(struct wal *wal, uint64_t lsn)
{
    CHECK(lsn <= wal->written);
    if (lsn > wal->released)
        wal->released = lsn;
}

void wal_recycle(struct wal *wal, uint64_t lsn)
{
    CHECK(lsn <= wal->released && lsn <= wal->durable);
    if (lsn <= wal->recycled)
        return;
    wal->recycled = lsn;
    for (size_t i = 0; i < wal->files.count; i++) {
        struct wal_slot *slot = &wal->files.slots[i];
        if (slot->state == WAL_SLOT_USED && (slot->head.number + 1) * wal->file_bytes <= lsn)
            slot->state = WAL_SLOT_FREE;
    }
}

size_t wal_group_max(const struct wal *wal)
{
    return wal->group_max;
}
uint64_t wal_appended(const struct wal *wal)
{
    return wal->appended;
}
uint64_t wal_written(const struct wal *wal)
{
    return wal->written;
}
uint64_t wal_durable(const struct wal *wal)
{
    return wal->durable;
}
uint64_t wal_released(const struct wal *wal)
{
    return wal->released;
}
const uint8_t *wal_payload(const struct wal *wal, uint64_t lsn)
{
    return ring_at(wal, lsn) + WAL_HEAD_SIZE;
}
bool wal_idle(const struct wal *wal)
{
    return !wal->writing && !wal->syncing && !wal->files.prepare.running;
}
struct wal_stats wal_stats(const struct wal *wal)
{
    return wal->stats;
}

/* ---- beginning and end ---- */

/* No file has a header. A first file whose making was cut short (a full disk may take a part of the
 * header, too) has zeros where records would be; anything else was a log. */
static int check_new(struct wal *wal, bool *ret_new)
{
    *ret_new = true;
    int status = 0;
    for (size_t i = 0; status == 0 && *ret_new && i < wal->files.count; i++) {
        const struct wal_slot *slot = &wal->files.slots[i];
        if (slot->file)
            status = wal_files_check_blank(&wal->files, slot, ret_new);
    }
    return status;
}

static int open_new(struct wal *wal, uint64_t from)
{
    if (from > 0 && !wal->config.accept_loss) {
        doors_say(wal->doors, LOG_ERROR,
            "%s: the write-ahead files are gone; the last checkpoint ended at %" PRIu64,
            wal->config.dir, from);
        return -EUCLEAN;
    }
    wal->files.format = (struct wal_format){
        .directory_id = random_u64(wal->doors->random),
        .file_bytes = wal->config.file_bytes,
    };
    struct wal_file_head head = {
        .format = wal->files.format,
        .number = from / wal->config.file_bytes,
        .incarnation = 1,
    };
    return wal_files_create(&wal->files, 0, &head);
}

/* Files with bytes in them and no header in any. What is given up goes, or its records would tell
 * the next start that the new log, which counts its lives from one again, is a dead one. */
static int open_without_headers(struct wal *wal)
{
    const struct disk_table *disk = wal->doors->disk->table;
    doors_say(wal->doors, LOG_ERROR,
        "%s: no write-ahead file has a whole header; what they held can't be read%s",
        wal->config.dir, wal->config.accept_loss ? " and is given up" : "");
    if (!wal->config.accept_loss)
        return -EUCLEAN;
    int status = 0;
    for (size_t i = 0; i < wal->files.count; i++) {
        struct wal_slot *slot = &wal->files.slots[i];
        if (status == 0 && slot->file)
            status = disk->truncate(slot->file, 0);
        if (status == 0 && slot->file)
            status = disk->sync(slot->file);
        if (slot->file)
            disk->close(slot->file);
        *slot = (struct wal_slot){ .state = WAL_SLOT_EMPTY };
    }
    if (status < 0)
        doors_say(wal->doors, LOG_ERROR, "%s: the files can't be emptied: %s", wal->config.dir,
            strerror(-status));
    return status;
}

/* Files above files_max that nothing needs (files_max was greater once); from the last one down, so
 * that no hole is made. */
static void drop_surplus(struct wal *wal)
{
    struct disk *disk = wal->doors->disk;
    for (size_t i = wal->files.count; i-- > wal->config.files_max;) {
        struct wal_slot *slot = &wal->files.slots[i];
        if (slot->state == WAL_SLOT_USED)
            return;
        char path[4096];
        wal_files_path(&wal->files, i, path, sizeof(path));
        if (slot->file)
            disk->table->close(slot->file);
        *slot = (struct wal_slot){ .state = WAL_SLOT_EMPTY };
        /* It only takes space. Each removal is durable before the next: else a crash could keep the
         * second and not the first. */
        int status = disk->table->remove(disk, path);
        if (status == 0)
            status = disk->table->sync_dir(disk, wal->config.dir);
        if (status < 0 && status != -ENOENT)
            return;
    }
}

/* Files are made in the order of their names, and each is on the medium before the next: one that
 * is not there was removed, perhaps the newest with all that tells of it. *ret_top: all below it
 * are to be made again; 0 where none is missing. */
static int holes_check(struct wal *wal, size_t *ret_top)
{
    size_t top = 0;
    int status = 0;
    *ret_top = 0;
    for (size_t i = wal->files.count; i-- > 0;) {
        bool there = wal->files.slots[i].file != NULL;
        if (top > 0 && !there && BARRIER(WAL_HOLES)) {
            doors_say(wal->doors, LOG_ERROR, "%s/%04zu.wal is missing%s", wal->config.dir, i,
                wal->config.accept_loss ? "; what it may have held is given up" : "");
            status = wal->config.accept_loss ? 0 : -EUCLEAN;
            *ret_top = top;
        }
        if (there && top == 0)
            top = i + 1;
    }
    return status;
}

/* Their loss was accepted: the next start must not ask for it again. (A file without use keeps its
 * name when its slot is emptied, so the slots do not say which is the last.) */
static int holes_fill(struct wal *wal, size_t top)
{
    for (size_t i = 0; i < top; i++) {
        int status = wal->files.slots[i].file ? 0 : wal_files_prepare_now(&wal->files);
        if (status < 0)
            return status;
    }
    return 0;
}

static void stand_at(struct wal *wal, const struct wal_end *end)
{
    wal->previous_end = end->end;
    wal->start = end->next;
    wal->chain = end->chain;
    wal->incarnation = end->incarnation;
    wal->appended = wal->written = wal->durable = wal->released = wal->piece_from = end->next;
    wal->told = wal->user_end = end->next;
    wal->piece_max = wal->file_bytes / 4 < PIECE_MAX ? wal->file_bytes / 4 : PIECE_MAX;
    /* A group lies in one file. Where it does not fit behind the last one the rest of the file is
     * given up, which the ring holds, too: less than the group and what records leave spare (an
     * eighth, see log_commit). Twice that, with headers, is not more than the ring. */
    wal->group_max = wal->file_bytes / 8 * 3 - 2 * WAL_BLOCK;
    /* A piece is shorter than piece_max only at the end of a file, and the ring meets two. */
    wal->piece_capacity = wal->file_bytes / wal->piece_max + 4;
    wal->pieces = mem_zalloc(wal->piece_capacity, sizeof(*wal->pieces));
    wal->syncs = mem_zalloc(wal->files.count, sizeof(*wal->syncs));
}

/* Every start writes a record. A life that ended again and again before its first checkpoint has
 * used up the files: then there is one more, or nobody could ever start. */
static int make_room(struct wal *wal, const struct wal_end *end)
{
    uint64_t used = within(wal, end->next);
    if ((used != 0 && used <= wal->file_bytes / 2) ||
        wal_files_count(&wal->files, WAL_SLOT_FREE) > 0)
        return 0;
    return wal_files_prepare_now(&wal->files);
}

/* What was found is what we go on from: see rewrite.h. */
static int files_rewrite(struct wal *wal, const struct wal_end *end)
{
    for (size_t i = 0; i < wal->files.count; i++) {
        const struct wal_slot *slot = &wal->files.slots[i];
        if (slot->state != WAL_SLOT_USED || !BARRIER(WAL_REWRITE) ||
            !wal->doors->disk->table->is_buffered(slot->file))
            continue;
        bool last = slot->head.number == end->end / wal->file_bytes;
        int status = rewrite(wal->doors->disk, slot->file,
            last ? wal_round_up(within(wal, end->end), WAL_BLOCK) : wal->file_bytes);
        if (status < 0 && !wal->config.accept_loss) {
            doors_say(wal->doors, LOG_ERROR, "%s/%04zu.wal: can't be written again: %s",
                wal->config.dir, i, strerror(-status));
            return status;
        }
    }
    return 0;
}

static int open_files(
    struct wal *wal, uint64_t from, const struct wal_replay *replay, struct wal_found *ret_found)
{
    bool lost = false;
    size_t holes = 0;
    int status = wal_files_open(&wal->files, wal->doors, wal->config.dir, wal->config.files_max);
    wal->files.prepared = wal_prepared;
    if (status == 0)
        status = holes_check(wal, &holes);
    if (status < 0)
        return status;
    if (wal->files.format.file_bytes == 0) {
        bool is_new = false;
        status = check_new(wal, &is_new);
        lost = from > 0 || !is_new;
        if (status == 0 && !is_new)
            status = open_without_headers(wal);
        if (status == 0)
            status = open_new(wal, from);
        if (status < 0)
            return status;
    }
    wal->file_bytes = wal->files.format.file_bytes;
    wal->ring = wal_memory_map(wal->file_bytes);
    if (!wal->ring)
        return -ENOMEM;
    struct wal_end end;
    status =
        wal_recover(&wal->files, wal->ring, from, wal->config.accept_loss, replay, ret_found, &end);
    if (status < 0)
        return status;
    ret_found->lost |= lost || holes > 0;
    status = files_rewrite(wal, &end);
    if (status == 0)
        status = holes_fill(wal, holes);
    if (status < 0)
        return status;
    /* What recovery read there is no tail cache. */
    CHECK(madvise(wal->ring, wal->file_bytes, MADV_DONTNEED) == 0);
    drop_surplus(wal);
    status = make_room(wal, &end);
    if (status < 0)
        return status;
    stand_at(wal, &end);
    return 0;
}

int wal_open(struct wal **ret_wal, const struct wal_config *config, struct doors *doors,
    const struct wal_events *events, uint64_t from, const struct wal_replay *replay,
    struct wal_found *ret_found)
{
    CHECK(config->files_max >= 2 && config->files_max <= WAL_FILES_COUNT_MAX &&
          config->file_bytes >= WAL_FILE_BYTES_MIN && config->file_bytes <= WAL_FILE_BYTES_MAX &&
          (config->file_bytes & (config->file_bytes - 1)) == 0);
    struct wal *wal = mem_zalloc(1, sizeof(*wal));
    wal->config = *config;
    wal->config.dir = mem_strdup(config->dir);
    wal->events = *events;
    wal->doors = doors;
    wal->interval_timer.fire = interval_fire;
    wal->mark_timer.fire = mark_fire;
    wal->retry_timer.fire = retry_fire;
    struct wal_found found = { 0 };
    int status = open_files(wal, from, replay, &found);
    if (status < 0) {
        wal_destroy(wal);
        return status;
    }
    *ret_found = found;
    *ret_wal = wal;
    return 0;
}

void wal_destroy(struct wal *wal)
{
    if (!wal)
        return;
    timer_cancel(wal->doors->timers, &wal->interval_timer);
    timer_cancel(wal->doors->timers, &wal->mark_timer);
    timer_cancel(wal->doors->timers, &wal->retry_timer);
    wal_files_done(&wal->files);
    wal_memory_unmap(wal->ring, wal->file_bytes);
    mem_free(wal->pieces);
    mem_free(wal->syncs);
    mem_free((char *)(uintptr_t)wal->config.dir); /* our copy */
    mem_free(wal);
}
