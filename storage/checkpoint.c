/*
 * See checkpoint.h.
 *
 *   writeback  until all bytes below C are in segments and the write-ahead log is durable to C
 *   sync       pool jobs: fdatasync of every segment written since the last checkpoint, of
 *              directories with new names, or of the whole file system if those are many; what was
 *              reserved beyond the end of a sealed segment is given back
 *   slot       one pool job: the data directory if it has new names, then the slot; then recycle
 *
 * A failed sync is fail-stop. A full disk is not: this checkpoint is given up and another one
 * begins a second later; the write-ahead log keeps what it has.
 *
 * The body of a slot:
 *   next log id u32 | store (store.c; lsns and deletions since format 4) | count u32, of logs that
 * are not as they were created: id u32, start u64, end u64, damaged u8, damaged offset u64, epochs
 * (epochs.c), count u32 of segments: seven u64 each and, since format 3, root u64 and flags u32;
 *     producers (producers.c), since format 2 transactions (transactions.c)
 *   | what compaction keeps, if it ever ran: count u32, of logs that it cleaned:
 *     id u32, first dirty u64, count u32 of segments that it made: base offset u64, generation u32
 */
#include "storage/checkpoint.h"

#include <errno.h>

#include "protocol/base/mem.h"
#include "storage/barriers.h"
#include "storage/owner.h"
#include "storage/slot.h"

/* ---- the state as bytes -------------------------------------------------------------------- */

static bool log_is_fresh(const struct log *log)
{
    return log->end_offset == 0 && !log->body->damaged;
}

static void log_save(const struct log *log, struct out *out)
{
    const struct log_body *body = log->body;
    out_u32(out, body->id);
    out_u64(out, (uint64_t)log->start_offset);
    out_u64(out, (uint64_t)log->end_offset);
    out_u8(out, body->damaged);
    out_u64(out, (uint64_t)body->damaged_offset);
    epochs_save(&body->epochs, out);
    out_u32(out, (uint32_t)body->segment_count);
    for (size_t i = 0; i < body->segment_count; i++)
        segment_claim_save(&body->segments[i]->claim, out);
    producers_save(log->producers, out);
    transactions_save(body->transactions, out);
}

static const struct log_body *next_body(const struct storage *storage, uint32_t after)
{
    struct tree_node *node = tree_after(&storage->logs, &after);
    return node ? container_of(node, struct log_body, by_id) : NULL;
}

void checkpoint_save(const struct storage *storage, struct out *out)
{
    out_u32(out, storage->next_log);
    store_save(&storage->store, out);
    size_t count_at = out->len;
    uint32_t count = 0;
    out_u32(out, 0);
    for (const struct log_body *body = next_body(storage, 0); body;
         body = next_body(storage, body->id)) {
        if (log_is_fresh(body->log))
            continue;
        log_save(body->log, out);
        count++;
    }
    le_put32(out->data + count_at, count);
    compaction_save(storage, out);
}

static void log_load_producers(struct log *log, struct cursor *cursor, uint32_t format)
{
    struct storage *storage = log->body->storage;
    struct producers *producers = producers_create(&storage->producers);
    struct transactions *transactions = transactions_create(&storage->transactions);
    producers_load(producers, cursor, format);
    if (format >= 2)
        transactions_load(transactions, producers, cursor);
    log->producers = producers;
    log->body->transactions = transactions;
    if (!transactions->aborted_count && list_empty(&transactions->unstable)) {
        transactions_destroy(transactions);
        log->body->transactions = NULL;
    }
    if (!producers->tree.count) {
        producers_destroy(producers);
        log->producers = NULL;
    }
}

static int log_load(struct storage *storage, struct cursor *cursor, uint32_t format)
{
    struct log *log = topics_log_by_id(storage, cursor_u32(cursor));
    /* The store came first: it may have raised the start already. */
    if (!log || log->body->segment_count || log->body->epochs.count)
        return -EUCLEAN;
    struct log_body *body = log->body;
    log->start_offset = cursor_i64(cursor);
    log->end_offset = cursor_i64(cursor);
    body->damaged = cursor_u8(cursor);
    body->damaged_offset = cursor_i64(cursor);
    epochs_load(&body->epochs, cursor);
    for (uint32_t count = cursor_count(cursor, 56); count && !cursor->bad; count--) {
        struct segment_claim claim = segment_claim_load(cursor, format >= 3);
        if (format < 3 && body->damaged) /* it has holes where damaged batches lay */
            claim.flags |= SEGMENT_SPARSE;
        int status = log_add_claim(log, &claim);
        if (status < 0)
            return status;
    }
    log_load_producers(log, cursor, format);
    const struct segment *last = log_active_segment(log);
    if (cursor->bad || log->start_offset < 0 || log->start_offset > log->end_offset ||
        (last && last->claim.end_offset > log->end_offset))
        return -EUCLEAN;
    return 0;
}

static int entry_load(
    void *context, uint16_t kind, struct bytes key, struct bytes value, uint64_t lsn)
{
    return storage_apply(context, kind, key, value, lsn);
}

int checkpoint_load(struct storage *storage, struct bytes body, uint32_t format)
{
    struct cursor cursor = cursor_of(body);
    storage->next_log = cursor_u32(&cursor);
    int status = store_load(
        &storage->store, &cursor, storage->checkpoint.lsn, format < 4, entry_load, storage);
    if (status < 0)
        return status;
    for (uint32_t count = cursor_count(&cursor, 33); count && !cursor.bad; count--) {
        status = log_load(storage, &cursor, format);
        if (status < 0)
            return status;
    }
    status = cursor.bad ? -EUCLEAN : compaction_load(storage, &cursor);
    return status < 0 || cursor.left ? -EUCLEAN : 0;
}

/* ---- sync ---------------------------------------------------------------------------------- */

struct sync_item {
    struct segment *segment;
    struct disk_file *file;
    char *path;      /* to be opened, or NULL */
    char *directory; /* to be synced too, or NULL */
    uint64_t size;
    bool cut; /* give back what is reserved behind `size` */
    int status;
};

struct sync_job {
    struct work_job work;
    struct list link;
    struct storage *storage;
    const struct disk_table *disk;
    struct disk *door;
    struct sync_item items[CHECKPOINT_JOB_SEGMENTS];
    uint32_t count;
};

static int item_run(const struct sync_job *job, struct sync_item *item)
{
    if (item->path) {
        int status = job->disk->open(job->door, item->path, DISK_WRITE, &item->file);
        if (status < 0)
            return status;
    }
    int status = item->cut ? job->disk->truncate(item->file, item->size) : 0;
    if (status == 0)
        status = BARRIER(SEGMENT_SYNC) ? job->disk->sync(item->file) : 0;
    if (item->path)
        job->disk->close(item->file);
    if (status == 0 && item->directory && BARRIER(SEGMENT_DIR_SYNC))
        status = job->disk->sync_dir(job->door, item->directory);
    return status;
}

static void sync_run(struct work_job *work)
{
    struct sync_job *job = container_of(work, struct sync_job, work);
    for (uint32_t i = 0; i < job->count; i++)
        job->items[i].status = item_run(job, &job->items[i]);
}

static void item_end(struct sync_item *item)
{
    struct segment *segment = item->segment;
    struct log *log = segment->log;
    if (item->status == 0) {
        segment->name_dirty = false;
        if (item->cut)
            segment->allocated = item->size;
    }
    segment->users--;
    log_set_busy(log, false);
    log_release_segment(segment);
    mem_free(item->path);
    mem_free(item->directory);
}

static void sync_forget(struct sync_job *job)
{
    list_remove(&job->link);
    job->storage->checkpoint.job_count--;
    mem_free(job);
}

static void sync_done(struct work_job *work)
{
    struct sync_job *job = container_of(work, struct sync_job, work);
    struct storage *storage = job->storage;
    int failed = 0;
    for (uint32_t i = 0; i < job->count; i++) {
        if (job->items[i].status < 0)
            failed = job->items[i].status;
        item_end(&job->items[i]);
    }
    sync_forget(job);
    if (failed && BARRIER(SEGMENT_SYNC_FAILS)) {
        storage_fail(storage, failed, "syncing a segment");
        return;
    }
    residents_trim(&storage->residents);
    writeback_step(storage);
    checkpoint_step(storage);
    removals_step(storage);
}

static bool needs_cut(const struct segment *segment)
{
    return segment->sealed && segment->written == segment->claim.size &&
           segment->allocated > segment->claim.size;
}

static void item_begin(struct sync_job *job, struct segment *segment)
{
    struct sync_item *item = &job->items[job->count++];
    item->segment = segment;
    item->file = segment->file;
    item->path = segment->file ? NULL : segment_path(segment);
    item->directory = segment->name_dirty ? log_directory(segment->log) : NULL;
    item->size = segment->claim.size;
    item->cut = needs_cut(segment);
    list_remove(&segment->dirty);
    segment->users++;
    log_set_busy(segment->log, true);
}

/* Packs what can be synced now into a job. False: nothing. */
static bool sync_begin(struct storage *storage)
{
    struct checkpoint *checkpoint = &storage->checkpoint;
    struct sync_job *job = NULL;
    list_foreach_safe (node, following, &checkpoint->todo) {
        struct segment *segment = list_entry(node, struct segment, dirty);
        if (segment->log->body->busy)
            continue;
        if (!segment->created) { /* sealed before a byte of it was written: nothing to sync */
            list_remove(node);
            continue;
        }
        if (!job)
            job = mem_zalloc(1, sizeof(*job));
        item_begin(job, segment);
        if (job->count == CHECKPOINT_JOB_SEGMENTS)
            break;
    }
    if (!job)
        return false;
    job->storage = storage;
    job->disk = storage->disk;
    job->door = storage->doors->disk;
    job->work.run = sync_run;
    job->work.done = sync_done;
    list_append(&checkpoint->jobs, &job->link);
    checkpoint->job_count++;
    work_submit(storage->doors->work, &job->work);
    return true;
}

/* Many files: one sync of the file system costs less than one of each (storage.md 1.12). */
struct whole_job {
    struct work_job work;
    struct storage *storage;
    const struct disk_table *disk;
    struct disk_file *file;
    int status;
};

static void whole_run(struct work_job *work)
{
    struct whole_job *job = container_of(work, struct whole_job, work);
    job->status = BARRIER(WHOLE_SYNC) ? job->disk->sync_all(job->file) : 0;
}

static void whole_forget(struct checkpoint *checkpoint)
{
    mem_free(checkpoint->whole_job);
    checkpoint->whole_job = NULL;
}

static void whole_done(struct work_job *work)
{
    struct whole_job *job = container_of(work, struct whole_job, work);
    struct storage *storage = job->storage;
    int status = job->status;
    whole_forget(&storage->checkpoint);
    if (status < 0) {
        storage_fail(storage, status, "syncing the file system");
        return;
    }
    residents_trim(&storage->residents);
    checkpoint_step(storage);
    storage_close_step(storage);
}

/* What is written while it runs gets dirty anew. */
static void whole_begin(struct storage *storage)
{
    struct checkpoint *checkpoint = &storage->checkpoint;
    struct whole_job *job = mem_zalloc(1, sizeof(*job));
    list_foreach_safe (node, following, &checkpoint->todo) {
        struct segment *segment = list_entry(node, struct segment, dirty);
        if (needs_cut(segment)) /* has a job of its own */
            continue;
        list_remove(node);
        segment->name_dirty = false;
    }
    job->storage = storage;
    job->disk = storage->disk;
    job->file = storage->lock; /* open since the start: no error of the kernel's is missed */
    job->work.run = whole_run;
    job->work.done = whole_done;
    checkpoint->whole_job = job;
    work_submit(storage->doors->work, &job->work);
}

static bool are_many(const struct storage *storage)
{
    uint32_t count = 0;
    list_foreach (node, &storage->checkpoint.todo) {
        if (++count > storage->config.sync_files_max)
            return true;
    }
    return false;
}

/* ---- slot ---------------------------------------------------------------------------------- */

struct slot_job {
    struct work_job work;
    struct storage *storage;
    struct disk *door;
    const char *dir;
    bool sync_root;
    uint64_t generation;
    struct bytes bytes;
    int status;
};

static void slot_run(struct work_job *work)
{
    struct slot_job *job = container_of(work, struct slot_job, work);
    if (job->sync_root && BARRIER(ROOT_SYNC) && job->door->table->sync_dir(job->door, job->dir) < 0)
        job->status = -EIO;
    if (job->status == 0)
        job->status = slot_write(job->door, job->dir, job->generation, job->bytes);
}

static void slot_forget(struct checkpoint *checkpoint)
{
    mem_free(checkpoint->slot_job);
    checkpoint->slot_job = NULL;
    out_done(&checkpoint->slot);
    checkpoint->state = CHECKPOINT_IDLE;
}

static void slot_done(struct work_job *work)
{
    struct slot_job *job = container_of(work, struct slot_job, work);
    struct storage *storage = job->storage;
    struct checkpoint *checkpoint = &storage->checkpoint;
    int status = BARRIER(SLOT_FAILS) ? job->status : 0;
    slot_forget(checkpoint);
    if (status < 0 && !writeback_is_passing(status)) {
        storage_fail(storage, status, "writing a checkpoint");
        return;
    }
    if (status < 0) {
        checkpoint->wanted = true;
        checkpoint->clean = false;
        storage->root_dirty = true;
        writeback_disk_full(storage, status);
    } else {
        checkpoint->generation++;
        checkpoint->lsn = checkpoint->next_lsn;
        storage->stats.checkpoints++;
        wal_recycle(storage->wal, checkpoint->lsn);
    }
    checkpoint_step(storage);
    storage_close_step(storage);
}

static void slot_begin_job(struct storage *storage)
{
    struct checkpoint *checkpoint = &storage->checkpoint;
    struct slot_job *job = mem_zalloc(1, sizeof(*job));
    job->storage = storage;
    job->door = storage->doors->disk;
    job->dir = storage->dir;
    job->sync_root = storage->root_dirty;
    job->generation = checkpoint->generation + 1;
    job->bytes = bytes_of(checkpoint->slot.data, checkpoint->slot.len);
    job->work.run = slot_run;
    job->work.done = slot_done;
    if (!BARRIER(RECYCLE_AFTER_SLOT))
        wal_recycle(storage->wal, checkpoint->next_lsn);
    storage->root_dirty = false;
    checkpoint->slot_job = job;
    checkpoint->state = CHECKPOINT_SLOT;
    work_submit(storage->doors->work, &job->work);
}

/* ---- the steps ----------------------------------------------------------------------------- */

static void begin(struct storage *storage, bool clean)
{
    struct checkpoint *checkpoint = &storage->checkpoint;
    checkpoint->next_lsn = wal_appended(storage->wal);
    checkpoint->changed = checkpoint->wanted = false;
    checkpoint->clean = clean;
    slot_begin(&checkpoint->slot);
    checkpoint_save(storage, &checkpoint->slot);
    struct slot_head head = {
        .generation = checkpoint->generation + 1,
        .lsn = checkpoint->next_lsn,
        .flags = clean ? SLOT_CLEAN : 0,
    };
    slot_seal(&checkpoint->slot, &head);
    checkpoint->state = CHECKPOINT_WRITEBACK;
    writeback_want(storage, checkpoint->next_lsn);
    if (!storage_is_durable(storage, checkpoint->next_lsn))
        wal_want_durable(storage->wal, checkpoint->next_lsn);
}

static bool due(const struct storage *storage)
{
    const struct checkpoint *checkpoint = &storage->checkpoint;
    if (storage->closing || storage->writeback.paused)
        return false;
    return checkpoint->wanted ||
           (checkpoint->changed &&
               wal_appended(storage->wal) - checkpoint->lsn >= storage->config.checkpoint_bytes);
}

static bool written_back(const struct storage *storage)
{
    uint64_t lsn = storage->checkpoint.next_lsn;
    return (!BARRIER(CHECKPOINT_DURABLE) || storage_is_durable(storage, lsn)) &&
           (!BARRIER(CHECKPOINT_WRITTEN_BACK) || writeback_position(storage) >= lsn);
}

void checkpoint_step(struct storage *storage)
{
    struct checkpoint *checkpoint = &storage->checkpoint;
    if (storage->failed || storage->recovering)
        return;
    if (checkpoint->state == CHECKPOINT_IDLE && due(storage)) {
        begin(storage, false);
        writeback_step(storage);
    }
    if (checkpoint->state == CHECKPOINT_WRITEBACK && written_back(storage)) {
        writeback_release(storage);
        checkpoint->state = CHECKPOINT_SYNC;
        list_splice(&checkpoint->todo, &storage->dirty);
        if (are_many(storage))
            whole_begin(storage);
    }
    if (checkpoint->state != CHECKPOINT_SYNC)
        return;
    while (checkpoint->job_count < CHECKPOINT_JOBS_MAX && sync_begin(storage))
        continue;
    if (checkpoint->job_count > 0 || checkpoint->whole_job || !list_empty(&checkpoint->todo))
        return;
    if (storage_is_durable(storage, checkpoint->dropped_lsn))
        slot_begin_job(storage);
    else
        wal_want_durable(storage->wal, checkpoint->dropped_lsn);
}

void checkpoint_close(struct storage *storage)
{
    CHECK(storage->checkpoint.state == CHECKPOINT_IDLE);
    begin(storage, true);
    writeback_step(storage);
    checkpoint_step(storage);
}

void checkpoint_want(struct storage *storage)
{
    storage->checkpoint.wanted = true;
}

static void timer_fired(struct timer *timer)
{
    struct storage *storage = container_of(timer, struct storage, checkpoint.timer);
    storage->checkpoint.wanted |= storage->checkpoint.changed;
    checkpoint_start_timer(storage);
    checkpoint_step(storage);
}

void checkpoint_start_timer(struct storage *storage)
{
    timer_set(storage->doors->timers, &storage->checkpoint.timer,
        clock_monotonic_ns(storage->doors->clock) +
            storage->config.checkpoint_ms * CLOCK_NS_PER_MS);
}

void checkpoint_init(struct storage *storage)
{
    list_init(&storage->checkpoint.todo);
    list_init(&storage->checkpoint.jobs);
    storage->checkpoint.timer.fire = timer_fired;
}

void checkpoint_done(struct storage *storage)
{
    struct checkpoint *checkpoint = &storage->checkpoint;
    timer_cancel(storage->doors->timers, &checkpoint->timer);
    for (struct list *node; (node = list_first(&checkpoint->jobs));) {
        struct sync_job *job = list_entry(node, struct sync_job, link);
        for (uint32_t i = 0; i < job->count; i++) {
            job->items[i].status = -ECANCELED;
            item_end(&job->items[i]);
        }
        sync_forget(job);
    }
    while (list_pop(&checkpoint->todo))
        continue;
    whole_forget(checkpoint);
    slot_forget(checkpoint);
}
