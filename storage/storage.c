/*
 * The owner: open, close, destroy, the turn, and the store's face.
 *
 * Parts and their files: unit.c (the append path), position.c (what waits for the write-ahead log),
 * log.c, segment.c, index.c (a partition), topics.c, store.c (state), writeback.c, checkpoint.c,
 * slot.c, recovery.c (between the write-ahead log and the files), removal.c, retention.c,
 * compaction.c, cleaning.c, sieve.c (what goes), read.c, find.c (reading).
 *
 * Closing goes in steps, each waiting for the one before: running checkpoint, retention unit and
 * compaction, removals (their delays do not count now), reads, a last checkpoint that says "clean".
 */
#include "storage/storage.h"

#include <errno.h>
#include <string.h>

#include "protocol/base/mem.h"
#include "storage/owner.h"
#include "storage/position.h"
#include "storage/read.h"
#include "storage/recovery.h"
#include "storage/reserve.h"

struct storage_config storage_config_default(void)
{
    return (struct storage_config){
        .wal_file_bytes = 16 << 20,
        .wal_files_max = 16,
        .writeback_age_ms = 1000,
        .checkpoint_ms = 30000,
        .checkpoint_bytes = 64 << 20,
        .interval_ms = 50,
        .interval_bytes = 1 << 20,
        .retention_check_ms = 300000,
        .disk_free_min = STORAGE_DISK_FREE_AUTO,
        .segment_files_max = 1000,
        .sync_files_max = 32,
        .index_bytes_max = 32 << 20,
        .producers_max = 65536,
        .producer_expire_ms = INT64_C(86400000),
        .producer_check_ms = 600000,
        .transactions_max = 262144,
        .cleaner = { .enable = true, .backoff_ms = 15000, .dedupe_bytes = 32 << 20 },
        .defaults = topic_config_default(),
    };
}

/* ---- the write-ahead log's events ---------------------------------------------------------- */

void storage_fail(struct storage *storage, int status, const char *what)
{
    if (storage->failed)
        return;
    storage->failed = true;
    if (storage->recovering) /* storage_open says it by its status */
        return;
    storage->hooks.failed(storage->hooks.context, status, what);
    storage_close_step(storage);
}

static void wal_moved(void *context)
{
    position_moved(context);
}

static void wal_space(void *context)
{
    struct storage *storage = context;
    storage->writeback.pressed = false;
    if (!storage->failed && !storage->recovering && storage->hooks.space)
        storage->hooks.space(storage->hooks.context);
}

static void wal_pressure(void *context)
{
    checkpoint_want(context);
}

static void wal_failed(void *context, int status, const char *what)
{
    storage_fail(context, status, what);
}

/* ---- puts take effect ---------------------------------------------------------------------- */

static int apply_cluster(struct storage *storage, struct bytes key, struct bytes value)
{
    if (bytes_equal_text(key, "id")) {
        if (value.len != UUID_TEXT_LEN || memchr(value.data, '\0', value.len))
            return -EUCLEAN;
        memcpy(storage->cluster_id, value.data, value.len);
        storage->cluster_id[value.len] = '\0';
    } else if (bytes_equal_text(key, "epoch")) {
        if (value.len != 4 || le_get32(value.data) > INT32_MAX)
            return -EUCLEAN;
        storage->epoch = le_get32(value.data);
        for (struct topic *topic = NULL; (topic = storage_topic_next(storage, topic));) {
            for (int32_t i = 0; i < topic->log_count; i++)
                topic->logs[i]->leader_epoch = (int32_t)storage->epoch;
        }
    }
    return 0;
}

static int apply_log(struct storage *storage, struct bytes key, struct bytes value, uint64_t lsn)
{
    struct log *log = key.len == 4 ? topics_log_by_id(storage, be_get32(key.data)) : NULL;
    if (!log || value.len != 8 || le_get64(value.data) > INT64_MAX)
        return -EUCLEAN;
    log_raise_start(log, (int64_t)le_get64(value.data), lsn);
    return 0;
}

int storage_apply(
    struct storage *storage, uint16_t kind, struct bytes key, struct bytes value, uint64_t lsn)
{
    int status = 0;
    if (kind == STORE_TOPIC)
        status = topics_apply(storage, key, value, lsn);
    else if (kind == STORE_LOG && value.data)
        status = apply_log(storage, key, value, lsn);
    else if (kind == STORE_CLUSTER && value.data)
        status = apply_cluster(storage, key, value);
    if (kind == STORE_SEGMENTS)
        return value.data ? compaction_apply(storage, key, value, lsn) : -EUCLEAN;
    if (status < 0)
        return status;
    uint64_t before = store_put(&storage->store, kind, key, value, lsn);
    if (kind >= STORE_OFFSET && !storage->recovering && storage->hooks.changed) {
        struct store_change change = { kind, key, value, lsn, before,
            value.data ? store_find(&storage->store, kind, key) : NULL };
        storage->hooks.changed(storage->hooks.context, &change);
    }
    return 0;
}

bool store_get(const struct storage *storage, uint16_t kind, struct bytes key,
    struct bytes *ret_value, uint64_t *ret_lsn)
{
    const struct store_entry *entry = store_find(&storage->store, kind, key);
    *ret_value = entry ? store_entry_value(entry) : (struct bytes){ 0 };
    if (ret_lsn)
        *ret_lsn = entry ? entry->lsn : storage->store.delete_lsn;
    return entry != NULL;
}

void store_each(const struct storage *storage, uint16_t kind, struct bytes prefix,
    bool (*each)(void *context, struct bytes key, struct bytes value, uint64_t lsn), void *context)
{
    store_each_from(storage, kind, prefix, prefix, each, context);
}

void store_each_from(const struct storage *storage, uint16_t kind, struct bytes prefix,
    struct bytes from,
    bool (*each)(void *context, struct bytes key, struct bytes value, uint64_t lsn), void *context)
{
    const struct store_entry *entry = store_at(&storage->store, kind, from);
    while (entry && bytes_begin_with(store_entry_key(entry), prefix) &&
           each(context, store_entry_key(entry), store_entry_value(entry), entry->lsn))
        entry = store_next(&storage->store, kind, store_entry_key(entry));
}

void store_entry_get(const struct store_entry *entry, struct bytes *ret_key,
    struct bytes *ret_value, uint64_t *ret_lsn)
{
    *ret_key = store_entry_key(entry);
    *ret_value = store_entry_value(entry);
    *ret_lsn = entry->lsn;
}

void store_each_entry(const struct storage *storage, uint16_t kind,
    void (*each)(void *context, const struct store_change *change), void *context)
{
    const struct store_entry *entry = store_at(&storage->store, kind, bytes_of("", 0));
    for (; entry; entry = store_next(&storage->store, kind, store_entry_key(entry))) {
        struct store_change change = { kind, store_entry_key(entry), store_entry_value(entry),
            entry->lsn, 0, entry };
        each(context, &change);
    }
}

uint64_t store_deleted(const struct storage *storage, uint16_t kind)
{
    return kind < STORE_KINDS ? storage->store.deletions[kind] : 0;
}

/* ---- open ---------------------------------------------------------------------------------- */

static int compare_log_id(const void *key, const struct tree_node *node)
{
    uint32_t a = *(const uint32_t *)key, b = container_of_const(node, struct log_body, by_id)->id;
    return (a > b) - (a < b);
}

static struct storage *storage_create(
    const struct storage_config *config, struct doors *doors, const struct storage_hooks *hooks)
{
    struct storage *storage = mem_zalloc(1, sizeof(*storage));
    storage->config = *config;
    storage->doors = doors;
    storage->disk = doors->disk->table;
    storage->hooks = *hooks;
    storage->dir = mem_strdup(config->dir);
    for (size_t len = strlen(storage->dir); len > 1 && storage->dir[len - 1] == '/'; len--)
        storage->dir[len - 1] = '\0';
    storage->config.dir = storage->dir;
    storage->next_log = 1;
    storage->logs.compare = compare_log_id;
    store_init(&storage->store);
    topics_init(&storage->topics);
    producer_table_init(&storage->producers, config->producers_max, config->producer_expire_ms);
    storage->transactions.max = config->transactions_max;
    residents_init(
        &storage->residents, storage->disk, config->segment_files_max, config->index_bytes_max);
    list_init(&storage->dirty);
    list_init(&storage->start_unit.link);
    position_init(storage);
    read_init(storage);
    writeback_init(storage);
    checkpoint_init(storage);
    removals_init(storage);
    retention_init(storage);
    compaction_init(storage);
    seals_init(storage);
    return storage;
}

static int space_min(struct storage *storage)
{
    struct disk_space space;
    int status = storage->disk->space(storage->doors->disk, storage->dir, &space);
    if (status < 0) {
        doors_say(storage->doors, LOG_ERROR, "can't tell the free space of %s: %s", storage->dir,
            strerrordesc_np(-status));
        return status;
    }
    uint64_t min = storage->config.disk_free_min;
    if (min == STORAGE_DISK_FREE_AUTO)
        min = space.total / 50 < (1 << 30) ? space.total / 50 : 1 << 30;
    writeback_space(storage, space.available, min);
    if (!storage->reserve_there && space.available >= min + reserve_size(storage)) {
        status = reserve_make(storage->doors->disk, storage->dir, reserve_size(storage));
        storage->reserve_there = status == 0;
    }
    return 0;
}

int storage_open(struct storage **ret_storage, const struct storage_config *config,
    struct doors *doors, const struct storage_hooks *hooks)
{
    struct storage *storage = storage_create(config, doors, hooks);
    struct wal_events events = {
        .context = storage,
        .moved = wal_moved,
        .space = wal_space,
        .pressure = wal_pressure,
        .failed = wal_failed,
    };
    int status = recovery_run(storage, &events);
    if (status == 0)
        status = space_min(storage);
    if (status < 0) {
        storage_destroy(storage);
        return status;
    }
    checkpoint_start_timer(storage);
    retention_start_timers(storage);
    compaction_start_timer(storage);
    *ret_storage = storage;
    return 0;
}

/* ---- the turn ------------------------------------------------------------------------------ */

void storage_turn(struct storage *storage)
{
    if (storage->failed || storage->close_told) /* told soon: nothing begins any more */
        return;
    if (storage->writeback.tell) {
        storage->writeback.tell = false;
        if (storage->hooks.space)
            storage->hooks.space(storage->hooks.context);
    }
    wal_turn(storage->wal);
    position_turn(storage);
    writeback_step(storage);
    checkpoint_step(storage);
    removals_step(storage);
    retention_step(storage);
    compaction_step(storage);
    seals_step(storage);
    residents_trim(&storage->residents);
    if (!list_empty(&storage->topics.deleted))
        topics_reap(storage);
    storage_close_step(storage);
    /* What the steps want of the write-ahead log begins now, not at the next turn. */
    if (!storage->close_told)
        wal_turn(storage->wal);
}

/* ---- the end ------------------------------------------------------------------------------- */

void storage_close(struct storage *storage, void (*done)(void *context, int status), void *context)
{
    CHECK(!storage->closing);
    storage->closing = true;
    storage->close_done = done;
    storage->close_context = context;
    wal_want_durable(storage->wal, wal_appended(storage->wal));
}

/* Told by a timer, so that done may destroy the storage. */
static void close_fired(struct timer *timer)
{
    struct storage *storage = container_of(timer, struct storage, close_timer);
    storage->close_told(storage->close_context, storage->close_status);
}

static void close_finish(struct storage *storage, int status)
{
    storage->close_told = storage->close_done;
    storage->close_done = NULL;
    storage->close_status = status;
    storage->close_timer.fire = close_fired;
    wal_rest(storage->wal);
    timer_set(
        storage->doors->timers, &storage->close_timer, clock_monotonic_ns(storage->doors->clock));
}

static bool close_is_over(const struct storage *storage)
{
    return storage->checkpoint.clean && storage->checkpoint.state == CHECKPOINT_IDLE &&
           storage->writeback.job_count == 0 && wal_idle(storage->wal);
}

void storage_close_step(struct storage *storage)
{
    if (!storage->close_done)
        return;
    if (storage->failed) {
        close_finish(storage, -EIO);
        return;
    }
    /* What a full disk does not take is in the write-ahead log: the next start writes it. */
    if (storage->writeback.full && storage->writeback.paused && storage->writeback.job_count == 0 &&
        storage->checkpoint.job_count == 0 && !storage->checkpoint.slot_job &&
        !storage->checkpoint.whole_job && !storage->removals.running && read_idle(storage) &&
        seals_idle(storage) && compaction_idle(storage) && wal_idle(storage->wal) &&
        storage_is_durable(storage, wal_appended(storage->wal))) {
        close_finish(storage, -ENOSPC);
        return;
    }
    if (storage->retention.committed || !compaction_idle(storage) || !removals_idle(storage) ||
        !read_idle(storage) || !seals_idle(storage))
        return;
    if (close_is_over(storage)) {
        close_finish(storage, 0);
        return;
    }
    if (!storage->checkpoint.clean && storage->checkpoint.state == CHECKPOINT_IDLE &&
        storage_is_durable(storage, wal_appended(storage->wal)))
        checkpoint_close(storage);
}

void storage_destroy(struct storage *storage)
{
    if (!storage)
        return;
    storage->recovering = true; /* nothing begins any more */
    read_done(storage);
    retention_done(storage);
    compaction_done(storage);
    seals_done(storage);
    checkpoint_done(storage);
    writeback_done(storage);
    removals_done(storage);
    position_done(storage);
    timer_cancel(storage->doors->timers, &storage->close_timer);
    unit_done(&storage->start_unit);
    topics_done(storage);
    store_done(&storage->store);
    heap_done(&storage->await_written);
    heap_done(&storage->await_durable);
    heap_done(&storage->writeback.ready);
    heap_done(&storage->writeback.busy);
    if (storage->wal)
        wal_destroy(storage->wal);
    if (storage->lock)
        storage->disk->close(storage->lock);
    mem_free(storage->dir);
    mem_free(storage);
}

/* ---- small questions ----------------------------------------------------------------------- */

const char *storage_cluster_id(const struct storage *storage)
{
    return storage->cluster_id;
}

bool storage_was_unclean(const struct storage *storage)
{
    return storage->unclean;
}

uint32_t storage_epoch(const struct storage *storage)
{
    return storage->epoch;
}

void storage_set_producer_expiration(struct storage *storage, int64_t expire_ms)
{
    storage->producers.expire_ms = expire_ms;
}

struct storage_stats storage_stats(const struct storage *storage)
{
    struct storage_stats stats = storage->stats;
    struct wal_stats wal = wal_stats(storage->wal);
    stats.wal_writes = wal.writes;
    stats.wal_durable_writes = wal.durable_writes;
    stats.wal_syncs = wal.syncs;
    stats.wal_wraps = wal.wraps;
    stats.wal_files_recycled = wal.files_recycled;
    return stats;
}

void log_epoch_end(
    const struct log *log, int32_t epoch, int32_t *ret_epoch, int64_t *ret_end_offset)
{
    struct epoch_start end;
    if (log->source) {
        *ret_epoch = epoch <= log->leader_epoch ? epoch : -1;
        *ret_end_offset = epoch <= log->leader_epoch ? log->end_offset : -1;
        return;
    }
    epochs_end(&log->body->epochs, log->leader_epoch, log->end_offset, epoch, &end);
    *ret_epoch = end.epoch;
    *ret_end_offset = end.offset;
}

bool log_producer(const struct log *log, int64_t id, struct producer_state *ret)
{
    const struct producer *producer = producers_find(log->producers, id);
    if (producer)
        *ret = producer_state(producer);
    return producer != NULL;
}

void log_each_producer(const struct log *log,
    bool (*each)(void *context, const struct producer_state *producer), void *context)
{
    struct tree_node *node = log->producers ? tree_first(&log->producers->tree) : NULL;
    while (node) {
        const struct producer *producer = container_of_const(node, struct producer, node);
        struct producer_state state = producer_state(producer);
        if (!each(context, &state))
            return;
        node = tree_after(&log->producers->tree, &state.id);
    }
}

void log_each_aborted(const struct log *log, int64_t from, int64_t below,
    bool (*each)(void *context, const struct aborted_transaction *aborted), void *context)
{
    const struct transactions *transactions = log->body ? log->body->transactions : NULL;
    size_t count = transactions ? transactions->aborted_count : 0;
    for (size_t i = transactions_aborted_at(transactions, from); i < count; i++) {
        const struct aborted_transaction *aborted = &transactions->aborted[i];
        if (aborted->first_offset < below && !each(context, aborted))
            return;
        if (aborted->last_stable_offset >= below)
            return;
    }
}

struct aborted_search {
    int64_t producer_id, offset;
    bool found;
};

/* The first marker of the producer behind the batch tells. */
static bool aborted_match(void *context, const struct aborted_transaction *aborted)
{
    struct aborted_search *search = context;
    search->found =
        aborted->producer_id == search->producer_id && aborted->first_offset <= search->offset;
    return !search->found;
}

bool log_is_aborted(const struct log *log, int64_t producer_id, int64_t offset)
{
    struct aborted_search search = { .producer_id = producer_id, .offset = offset };
    log_each_aborted(log, offset, offset + 1, aborted_match, &search);
    return search.found;
}

int32_t log_epoch_at(const struct log *log, int64_t offset)
{
    return log->source ? log->leader_epoch : epochs_at(&log->body->epochs, offset);
}
