/*
 * Units: the one append path (see log_commit in storage.h).
 *
 * Happy path of log_commit
 *  1. look at everything that could refuse, and sum up the size: nothing has happened yet
 *  2. wal_begin reserves the group in the ring: the last step that can refuse
 *  3. each batch gets its base offset and its copy in the ring, patched there; each put its record
 *  4. wal_end closes the group: its end is what the unit waits for
 *  5. logs take note of their batches, the store and the topics of the puts
 *  6. the unit waits in position.c for its level
 *
 * Replay applies the same records through the same functions (log_place, storage_apply).
 */
#include <errno.h>
#include <string.h>

#include "protocol/base/mem.h"
#include "storage/barriers.h"
#include "storage/owner.h"
#include "storage/position.h"

enum { SPARE_PART = 8 }; /* of the ring, kept for units without records */

/* ---- building ------------------------------------------------------------------------------ */

void unit_init(struct unit *unit, void (*done)(struct unit *unit))
{
    *unit = (struct unit){ .acks = -1, .done = done };
    list_init(&unit->link);
}

void unit_append(struct unit *unit, struct log *log, struct bytes batch)
{
    mem_grow(unit->appends, &unit->append_capacity, unit->append_count + 1);
    unit->appends[unit->append_count++] =
        (struct unit_append){ .log = log, .batch = batch, .base_offset = -1 };
}

struct unit_put *unit_put_any(
    struct unit *unit, uint16_t kind, struct bytes key, struct bytes value)
{
    mem_grow(unit->puts, &unit->put_capacity, unit->put_count + 1);
    struct unit_put *put = &unit->puts[unit->put_count++];
    *put = (struct unit_put){ .kind = kind, .memory = mem_alloc(key.len + value.len) };
    if (key.len)
        memcpy(put->memory, key.data, key.len);
    put->key = bytes_of(put->memory, key.len);
    if (value.len)
        memcpy(put->memory + key.len, value.data, value.len);
    if (value.data)
        put->value = bytes_of(put->memory + key.len, value.len);
    return put;
}

void unit_put(struct unit *unit, uint16_t kind, struct bytes key, struct bytes value)
{
    CHECK(kind >= STORE_OFFSET); /* those below have functions of their own */
    (void)unit_put_any(unit, kind, key, value);
}

int unit_raise_start(struct unit *unit, struct log *log, int64_t offset)
{
    if (log->topic->deleted)
        return -ENOENT;
    if (log->source)
        return -EPERM;
    if (offset > log->high_watermark || offset < 0)
        return -ERANGE;
    uint8_t key[4], value[8];
    be_put32(key, log->body->id);
    le_put64(value, (uint64_t)offset);
    struct unit_put *put =
        unit_put_any(unit, STORE_LOG, bytes_of(key, sizeof(key)), bytes_of(value, sizeof(value)));
    put->condition = PUT_LOG_THERE;
    return 0;
}

void unit_done(struct unit *unit)
{
    if (unit->link.next) /* NULL: never begun */
        list_remove(&unit->link);
    for (size_t i = 0; i < unit->put_count; i++)
        mem_free(unit->puts[i].memory);
    mem_free(unit->puts);
    mem_free(unit->appends);
    unit->puts = NULL;
    unit->appends = NULL;
    unit->put_count = unit->put_capacity = unit->append_count = unit->append_capacity = 0;
}

/* ---- what could refuse --------------------------------------------------------------------- */

static size_t put_size(const struct unit_put *put)
{
    return WAL_PUT_HEAD + put->key.len + put->value.len;
}

static int append_check(const struct unit_append *append)
{
    const struct log *log = append->log;
    struct batch_view view;
    if (log->topic->deleted)
        return -ENOENT;
    if (log->source || log->body->damaged)
        return -EBADMSG;
    if (batch_parse(append->batch, &view) != BATCH_OK || view.size != append->batch.len ||
        view.last_offset_delta < 0 || log->end_offset > INT64_MAX - ((int64_t)INT32_MAX + 1))
        return -EINVAL;
    return 0;
}

static int put_check(const struct storage *storage, const struct unit_put *put)
{
    const struct topic *topic;
    switch (put->condition) {
    case PUT_TOPIC_ABSENT: return storage_topic(storage, put->key) ? -EEXIST : 0;
    case PUT_TOPIC_UNCHANGED:
        topic = storage_topic(storage, put->key);
        if (!topic || !uuid_equal(topic->id, put->topic_id))
            return -ENOENT;
        return topic->lsn == put->topic_lsn ? 0 : -ESTALE;
    case PUT_LOG_THERE: return topics_log_by_id(storage, be_get32(put->key.data)) ? 0 : -ENOENT;
    default: return 0;
    }
}

/* 0 and the size of the group, or the reason why not. */
static int unit_check(const struct storage *storage, const struct unit *unit, size_t *ret_size)
{
    size_t size = 0;
    if (storage->failed)
        return -EIO;
    if (storage->closing)
        return -ESHUTDOWN;
    for (size_t i = 0; i < unit->append_count; i++) {
        int status = append_check(&unit->appends[i]);
        if (status < 0)
            return status;
        size += wal_record_size(unit->appends[i].batch.len);
    }
    for (size_t i = 0; i < unit->put_count; i++) {
        int status = put_check(storage, &unit->puts[i]);
        if (status < 0)
            return status;
        size += wal_record_size(put_size(&unit->puts[i]));
    }
    if (size > storage_unit_max(storage))
        return -EMSGSIZE;
    if (unit->append_count && storage->writeback.full)
        return -ENOSPC;
    *ret_size = size;
    return 0;
}

/* ---- into the ring ------------------------------------------------------------------------- */

static void append_add(struct storage *storage, struct unit_append *append)
{
    struct log *log = append->log;
    struct wal_head head = {
        .type = WAL_BATCH,
        .log = log->body->id,
        .base_offset = log->end_offset,
        .len = (uint32_t)append->batch.len,
        .checked_len = BATCH_HEADER_SIZE,
    };
    uint8_t *room = wal_add(storage->wal, &head, &append->lsn);
    memcpy(room, append->batch.data, append->batch.len);
    batch_set_base_offset(room, log->end_offset);
    batch_set_leader_epoch(room, log->leader_epoch);
    append->base_offset = log->end_offset;
    /* The next batch of the unit may be the same log's. */
    log->end_offset += (int32_t)be_get32(append->batch.data + BATCH_AT_LAST_OFFSET_DELTA);
    log->end_offset++;
}

static void put_add(struct storage *storage, struct unit_put *put)
{
    struct wal_head head = {
        .type = WAL_PUT,
        .len = (uint32_t)put_size(put),
        .checked_len = (uint32_t)put_size(put),
    };
    uint8_t *room = wal_add(storage->wal, &head, &put->lsn);
    put->lsn += wal_record_size(head.len);
    le_put16(room, put->kind);
    le_put16(room + 2, 0);
    le_put32(room + 4, (uint32_t)put->key.len);
    le_put32(room + 8, put->value.data ? (uint32_t)put->value.len : UINT32_MAX);
    if (put->key.len)
        memcpy(room + WAL_PUT_HEAD, put->key.data, put->key.len);
    if (put->value.data && put->value.len)
        memcpy(room + WAL_PUT_HEAD + put->key.len, put->value.data, put->value.len);
}

/* ---- taking effect ------------------------------------------------------------------------- */

static void append_apply(
    struct storage *storage, const struct unit_append *append, const struct unit *unit)
{
    struct log *log = append->log;
    struct bytes bytes = bytes_of(wal_payload(storage->wal, append->lsn), append->batch.len);
    struct batch_view view;
    CHECK(batch_parse(bytes, &view) == BATCH_OK);
    (void)log_place(log, &view, unit->end_lsn);
    struct ring_entry entry = {
        .lsn = append->lsn,
        .end_lsn = unit->end_lsn,
        .base_offset = view.base_offset,
        .len = (uint32_t)view.size,
        .last_offset_delta = (uint32_t)view.last_offset_delta & INT32_MAX,
        .durable = unit->durable,
    };
    log_push(log, &entry);
    storage->stats.batches++;
    storage->stats.bytes += view.size;
}

/* Of one append: what its acknowledgement waits for. */
static enum durability append_level(const struct unit_append *append, int16_t acks)
{
    enum durability level = topic_durability(&append->log->topic->config);
    if (level == DURABILITY_ACKS)
        level = acks == -1 ? DURABILITY_FSYNC : DURABILITY_INTERVAL;
    return level;
}

/* The strictest level of the unit's parts: starts what it needs. */
static void unit_level(struct storage *storage, struct unit *unit)
{
    bool interval = false;
    /* Until the record of this start is durable nothing is promised below that: see recovery.c. */
    unit->durable = (unit->put_count > 0 && BARRIER(UNIT_PUT_DURABLE)) ||
                    wal_durable(storage->wal) < storage->start_lsn;
    for (size_t i = 0; i < unit->append_count; i++) {
        enum durability level = append_level(&unit->appends[i], unit->acks);
        unit->durable |= level == DURABILITY_FSYNC && BARRIER(UNIT_FSYNC);
        interval |= level == DURABILITY_INTERVAL && BARRIER(UNIT_INTERVAL);
    }
    if (unit->durable)
        wal_want_durable(storage->wal, unit->end_lsn);
    else if (interval)
        wal_want_interval(storage->wal, unit->end_lsn);
}

static size_t spare(const struct storage *storage)
{
    return storage->config.wal_file_bytes / SPARE_PART;
}

int log_commit(struct storage *storage, struct unit *unit)
{
    size_t size;
    int status = unit_check(storage, unit, &size);
    if (status < 0)
        return status;
    uint64_t begin = wal_appended(storage->wal);
    /* Records leave some room, so that what a full disk must still take (offsets, a topic's end)
     * fits when the ring is full of records that can't be written back. */
    status = unit->append_count ? wal_room(storage->wal, size + spare(storage)) : 0;
    if (status == 0)
        status = wal_begin(storage->wal, size);
    if (status == -EAGAIN || status == -ENOSPC)
        writeback_pressed(storage);
    if (status < 0)
        return status;
    for (size_t i = 0; i < unit->append_count; i++)
        append_add(storage, &unit->appends[i]);
    for (size_t i = 0; i < unit->put_count; i++)
        put_add(storage, &unit->puts[i]);
    unit->end_lsn = wal_end(storage->wal);
    unit_level(storage, unit);
    for (size_t i = 0; i < unit->append_count; i++)
        append_apply(storage, &unit->appends[i], unit);
    for (size_t i = 0; i < unit->put_count; i++) {
        const struct unit_put *put = &unit->puts[i];
        CHECK(storage_apply(storage, put->kind, put->key, put->value, put->lsn) == 0);
    }
    position_await_unit(storage, unit);
    if (unit->append_count)
        writeback_note(storage, begin);
    storage->checkpoint.changed = true;
    storage->stats.units++;
    return 0;
}

size_t storage_unit_max(const struct storage *storage)
{
    return wal_group_max(storage->wal);
}

enum producer_verdict log_check_producer(const struct log *log, struct bytes batch,
    int64_t *ret_base_offset, int64_t *ret_append_ms, uint64_t *ret_lsn)
{
    struct batch_view view;
    const struct producer_batch *known = NULL;
    if (log->source || batch_parse(batch, &view) != BATCH_OK)
        return PRODUCER_OK; /* log_commit refuses it */
    enum producer_verdict verdict = producers_check(log->producers, &view, &known);
    if (verdict == PRODUCER_DUPLICATE) {
        *ret_base_offset = known->last_offset - known->offset_delta;
        *ret_append_ms = known->append_ms;
        *ret_lsn = known->lsn;
    }
    if (verdict == PRODUCER_OK && batch_is_transactional(&view) && !batch_is_control(&view)) {
        const struct producer *producer = producers_find(log->producers, view.producer_id);
        if (!(producer && producer->open) &&
            transaction_table_is_full(&log->body->storage->transactions))
            return PRODUCER_NO_ROOM;
    }
    return verdict;
}

bool log_takes_appends(const struct log *log)
{
    return !log->topic->deleted && !log->source && !log->body->damaged;
}
