/*
 * See writeback.h.
 *
 * Happy path
 *  - writeback_step finds a reason (aged, wanted, half full), takes the log with the oldest
 * unwritten bytes out of `ready`, and packs what it has that is written in the write-ahead log, up
 * to the end of one segment: a run. Several small runs make a job.
 *  - job_run, in the pool: makes directory and file if they are new, reserves blocks ahead, writes.
 *  - job_done: the log's `written` moves, it goes back to `ready` if it has more; the ring is
 *    released up to the oldest byte that is still unwritten anywhere.
 *
 * A new file is opened with TRUNCATE, whatever lay there; a file that this process did not write
 * yet is cut to the length the log claims. A replay cuts when it is over, where anything is left to
 * cut: after kill -9 it writes over all that the file has, and a truncate of pages that are on
 * their way to the disk waits for them, file by file. Blocks are reserved ahead in doubling steps
 * without changing the file's size (storage.md 1.6).
 */
#include "storage/writeback.h"

#include <errno.h>
#include <string.h>

#include "protocol/base/mem.h"
#include "storage/barriers.h"
#include "storage/owner.h"
#include "storage/reserve.h"

enum { ALLOCATE_STEP_MIN = 64 * 1024, ALLOCATE_STEP_MAX = 32 * 1024 * 1024 };

/* What one job does to one log. The pool thread touches nothing but this. */
struct run {
    struct log *log;
    struct segment *segment;
    struct disk_file *file; /* the segment's, or opened by the job */
    char *directory;        /* the file is new: its directory */
    bool make_directory;    /* is to be made first */
    char *path;             /* to be opened, or NULL */
    struct iovec *iov;
    int iov_count;
    uint32_t entries; /* of the log's ring queue */
    uint64_t position, len;
    uint64_t allocate; /* bytes to reserve from `position` on; 0: none */
    bool fresh;        /* the file is new: cut it */
    bool unchecked;    /* cut what is behind `position` */
    bool cut_later;    /* ... not now: tell in `found` how long the file is */
    uint64_t found;
    bool transient; /* too many open files: sync and close at the end */
    bool opened, found_short, allocated, no_fallocate;
    int status;
};

struct writeback_job {
    struct work_job work;
    struct list link;
    struct storage *storage;
    struct disk *door;
    struct run runs[WRITEBACK_RUNS_MAX];
    uint32_t run_count;
    uint64_t len;
    uint64_t takes;  /* of the disk, at most */
    char *space_dir; /* look at the free space, or NULL */
    struct disk_space space;
    int space_status;
    uint64_t reserve_at; /* with that much free space the reserve is made; 0: it is there */
    uint64_t reserve;    /* its size */
    bool reserve_made;
};

/* ---- in the pool --------------------------------------------------------------------------- */

static int run_open(struct disk *disk, struct run *run)
{
    if (run->make_directory) {
        int status = disk->table->mkdir(disk, run->directory);
        if (status < 0 && status != -EEXIST)
            return status;
    }
    int flags = DISK_WRITE | DISK_CREATE | (run->fresh && !run->cut_later ? DISK_TRUNCATE : 0);
    int status = disk->table->open(disk, run->path, flags, &run->file);
    run->opened = status == 0;
    return status;
}

static int run_check_size(struct disk *disk, struct run *run)
{
    uint64_t size;
    int status = disk->table->size(run->file, &size);
    if (status < 0)
        return status;
    run->found_short = size < run->position;
    run->found = size;
    return size > run->position && !run->cut_later ? disk->table->truncate(run->file, run->position)
                                                   : 0;
}

static int run_write(struct disk *disk, struct run *run)
{
    int status = run->file ? 0 : run_open(disk, run);
    if (status == 0 && run->unchecked)
        status = run_check_size(disk, run);
    if (status < 0)
        return status;
    if (run->allocate) {
        status = disk->table->fallocate(run->file, run->position, run->allocate);
        run->allocated = status == 0;
        run->no_fallocate = status == -EOPNOTSUPP;
    }
    status = disk->table->writev(run->file, run->position, run->iov, run->iov_count);
    if (status < 0 || !run->transient)
        return status;
    /* A sync that failed is not tried again, whatever it said. */
    if (BARRIER(TRANSIENT_SYNC) && disk->table->sync(run->file) < 0)
        return -EIO;
    return run->directory && BARRIER(TRANSIENT_DIR_SYNC) &&
                   disk->table->sync_dir(disk, run->directory) < 0
               ? -EIO
               : 0;
}

static void job_run(struct work_job *work)
{
    struct writeback_job *job = container_of(work, struct writeback_job, work);
    for (uint32_t i = 0; i < job->run_count; i++)
        job->runs[i].status = run_write(job->door, &job->runs[i]);
    if (!job->space_dir)
        return;
    job->space_status = job->door->table->space(job->door, job->space_dir, &job->space);
    if (job->reserve_at && job->space_status == 0 && job->space.available >= job->reserve_at)
        job->reserve_made = reserve_make(job->door, job->space_dir, job->reserve) == 0;
}

/* ---- ends ---------------------------------------------------------------------------------- */

bool writeback_is_passing(int status)
{
    return status == -ENOSPC || status == -EDQUOT || status == -EMFILE || status == -ENFILE ||
           status == -ENOMEM;
}

static void retry_fired(struct timer *timer)
{
    struct storage *storage = container_of(timer, struct storage, writeback.retry_timer);
    storage->writeback.paused = false;
    storage->writeback.space_at_ns = INT64_MIN;
    writeback_step(storage);
    checkpoint_step(storage);
}

void writeback_disk_full(struct storage *storage, int status)
{
    if (!storage->writeback.full)
        doors_say(storage->doors, LOG_ERROR,
            "the disk of %s takes no more (%s): appends are refused until it does", storage->dir,
            status ? strerrordesc_np(-status) : "too little free space");
    storage->writeback.tell |= !storage->writeback.full;
    storage->writeback.full = true;
    storage->writeback.paused |= status != 0;
    timer_set(storage->doors->timers, &storage->writeback.retry_timer,
        clock_monotonic_ns(storage->doors->clock) + WRITEBACK_RETRY_MS * CLOCK_NS_PER_MS);
}

static void disk_has_room(struct storage *storage)
{
    if (storage->writeback.full)
        doors_say(storage->doors, LOG_INFO, "the disk of %s has room again: appends are accepted",
            storage->dir);
    storage->writeback.full = false;
}

static void run_settle(struct storage *storage, struct run *run)
{
    struct segment *segment = run->segment;
    struct log_body *body = run->log->body;
    segment->created = true;
    segment->unchecked = false;
    if (run->cut_later)
        segment->found = run->found;
    segment->written += run->len;
    body->directory_made = true;
    body->written += run->entries;
    if (run->allocated) {
        segment->allocated = run->position + run->allocate;
        segment->allocate_step = (uint32_t)run->allocate;
    }
    storage->writeback.no_fallocate |= run->no_fallocate;
    if (!run->transient && !segment->dropped && list_empty(&segment->dirty))
        list_append(&storage->dirty, &segment->dirty);
    if (run->found_short)
        doors_say(storage->doors, LOG_ERROR,
            "%s-%d: the file that begins at offset %lld is shorter than it was: what it lost can't "
            "be read any more",
            run->log->topic->name, run->log->partition, (long long)segment->claim.base_offset);
    storage->stats.writebacks++;
    storage->stats.writeback_bytes += run->len;
}

static void run_end(struct storage *storage, struct run *run)
{
    struct segment *segment = run->segment;
    struct log *log = run->log;
    if (run->status == 0)
        run_settle(storage, run);
    /* The names are made even where the write behind them failed: who writes next only finds the
     * file open. */
    if (run->opened) {
        segment->name_dirty |= run->directory && !run->transient;
        storage->root_dirty |= run->make_directory;
    }
    segment->users--;
    storage->residents.opening -= run->path && !run->transient;
    if (run->opened && !run->transient)
        residents_adopt(&storage->residents, segment, run->file);
    else if (run->opened)
        storage->disk->close(run->file);
    log_set_busy(log, false);
    log_release_segment(segment);
    mem_free(run->directory);
    mem_free(run->path);
    mem_free(run->iov);
}

static void job_forget(struct writeback_job *job)
{
    list_remove(&job->link);
    job->storage->writeback.job_count--;
    mem_free(job->space_dir);
    mem_free(job);
}

void writeback_space(struct storage *storage, uint64_t available, uint64_t min)
{
    storage->writeback.disk_free_min = min;
    storage->writeback.space_left = available > min ? (available - min) / 2 : 0;
}

static void space_look(struct storage *storage, const struct writeback_job *job)
{
    storage->writeback.space_at_ns = clock_monotonic_ns(storage->doors->clock);
    storage->reserve_there |= job->reserve_made;
    if (job->space_status < 0)
        return; /* not known: a write will tell */
    uint64_t min = storage->writeback.disk_free_min;
    writeback_space(storage, job->space.available, min);
    if (job->space.available < min)
        writeback_disk_full(storage, 0);
    else
        disk_has_room(storage);
}

void writeback_release(struct storage *storage)
{
    uint64_t position = writeback_position(storage);
    if (position > wal_released(storage->wal))
        wal_release(storage->wal, position);
}

static void job_done(struct work_job *work)
{
    struct writeback_job *job = container_of(work, struct writeback_job, work);
    struct storage *storage = job->storage;
    int passing = 0, failed = 0;
    for (uint32_t i = 0; i < job->run_count; i++) {
        int status = job->runs[i].status;
        run_end(storage, &job->runs[i]);
        if (status < 0 && writeback_is_passing(status))
            passing = status;
        else if (status < 0)
            failed = status;
    }
    if (passing)
        writeback_disk_full(storage, passing);
    else if (job->space_dir)
        space_look(storage, job);
    job_forget(job);
    if (failed) {
        storage_fail(storage, failed, "writing a segment");
        return;
    }
    writeback_release(storage);
    residents_trim(&storage->residents);
    writeback_step(storage);
    checkpoint_step(storage);
    removals_step(storage);
    storage_close_step(storage);
}

/* ---- beginnings ---------------------------------------------------------------------------- */

/* How much to reserve for a write that ends at `end`: doubling steps, never past segment.bytes. */
static uint64_t allocation(const struct storage *storage, const struct run *run)
{
    const struct segment *segment = run->segment;
    uint64_t end = run->position + run->len;
    uint64_t max = (uint64_t)run->log->topic->config.segment_bytes;
    if (end <= segment->allocated || storage->writeback.no_fallocate || storage->writeback.full ||
        segment->sealed || end >= max)
        return 0;
    uint64_t step = (uint64_t)segment->allocate_step * 2;
    if (step < ALLOCATE_STEP_MIN)
        step = ALLOCATE_STEP_MIN;
    if (step > ALLOCATE_STEP_MAX)
        step = ALLOCATE_STEP_MAX;
    if (step < run->len)
        step = run->len;
    if (step > storage->writeback.space_left) /* others need it more */
        return 0;
    return run->position + step > max ? max - run->position : step;
}

/* Fills iov with the log's entries from the first unwritten one on, within one segment. */
static void run_gather(struct storage *storage, struct run *run)
{
    struct log_body *body = run->log->body;
    uint64_t written = wal_written(storage->wal);
    uint32_t count = 0;
    while (body->written + count < body->count && count < WRITEBACK_RUN_BATCHES) {
        const struct ring_entry *entry = log_entry(run->log, body->written + count);
        if (entry->end_lsn > written || entry->base_offset >= run->segment->claim.end_offset ||
            (count && run->len + entry->len > WRITEBACK_JOB_BYTES))
            break;
        run->len += entry->len;
        count++;
    }
    run->iov = mem_zalloc(count, sizeof(*run->iov));
    run->iov_count = (int)count;
    run->entries = count;
    for (uint32_t i = 0; i < count; i++) {
        const struct ring_entry *entry = log_entry(run->log, body->written + i);
        /* writev only reads; iovec knows no const. */
        run->iov[i].iov_base = (void *)(uintptr_t)wal_payload(storage->wal, entry->lsn);
        run->iov[i].iov_len = entry->len;
    }
}

/* What the write needs beside its bytes. */
static void run_prepare(struct storage *storage, struct run *run)
{
    struct log *log = run->log;
    struct segment *segment = run->segment;
    CHECK(run->iov_count > 0 && run->position + run->len <= segment->claim.size);
    run->fresh = !segment->created;
    run->unchecked = segment->created && segment->unchecked;
    run->allocate = allocation(storage, run);
    if (!run->file) {
        run->path = segment_path(segment);
        run->transient =
            storage->residents.files + storage->residents.opening >= storage->residents.files_max;
        storage->residents.opening += !run->transient;
        run->make_directory = !log->body->directory_made;
        if (run->fresh || run->make_directory)
            run->directory = log_directory(log);
    }
    segment->users++;
    log_set_busy(log, true);
}

static void run_begin(struct storage *storage, struct writeback_job *job, struct log *log)
{
    struct run *run = &job->runs[job->run_count++];
    struct segment *segment = log_unwritten_segment(log);
    *run = (struct run){ .log = log, .segment = segment, .file = segment->file };
    run->position = segment->written;
    run_gather(storage, run);
    run_prepare(storage, run);
    job->len += run->len;
    job->takes += run->len > run->allocate ? run->len : run->allocate;
}

int writeback_now(struct segment *segment, struct bytes bytes)
{
    struct storage *storage = segment->log->body->storage;
    struct run run = { .log = segment->log, .segment = segment, .file = segment->file };
    run.position = segment->written;
    run.len = bytes.len;
    run.iov = mem_zalloc(1, sizeof(*run.iov));
    run.iov[0] = (struct iovec){ (void *)(uintptr_t)bytes.data, bytes.len };
    run.iov_count = 1;
    run_prepare(storage, &run);
    run.cut_later = (run.unchecked || run.fresh) && !run.transient; /* then it is open, and dirty */
    run.unchecked |= run.cut_later;
    int status = run.status = run_write(storage->doors->disk, &run);
    run_end(storage, &run);
    return status;
}

int writeback_cut(struct storage *storage)
{
    list_foreach (node, &storage->dirty) {
        struct segment *segment = list_entry(node, struct segment, dirty);
        if (segment->found <= segment->written)
            continue;
        int status = storage->doors->disk->table->truncate(segment->file, segment->written);
        if (status < 0) {
            doors_say(storage->doors, LOG_ERROR, "%s-%d: can't cut the file at offset %lld: %s",
                segment->log->topic->name, segment->log->partition,
                (long long)segment->claim.base_offset, strerrordesc_np(-status));
            return status;
        }
        segment->found = 0;
    }
    return 0;
}

/* Bytes below are to be written back now. */
static uint64_t target(struct storage *storage)
{
    const struct writeback *writeback = &storage->writeback;
    uint64_t appended = wal_appended(storage->wal);
    uint64_t held = appended - wal_released(storage->wal);
    uint64_t half = storage->config.wal_file_bytes / 2;
    uint64_t lsn = writeback->aged > writeback->wanted ? writeback->aged : writeback->wanted;
    if (writeback->pressed)
        return appended;
    if (held > half && appended - half / 2 > lsn)
        lsn = appended - half / 2;
    return lsn;
}

/* The log with the oldest bytes, if they are to be written back now. */
static struct log *next_log(struct storage *storage, uint64_t below)
{
    for (struct heap_node *node; (node = heap_first(&storage->writeback.ready));) {
        struct log *log = container_of(node, struct log_body, writeback_node)->log;
        const struct ring_entry *entry = log_entry(log, log->body->written);
        if (entry->lsn >= below || entry->end_lsn > wal_written(storage->wal))
            return NULL;
        /* A directory of the same name is being removed: the log counts as busy until it is gone.
         */
        if (log->body->directory_made || !removals_block(storage, log))
            return log;
    }
    return NULL;
}

static void age_fired(struct timer *timer)
{
    writeback_step(container_of(timer, struct storage, writeback.age_timer));
}

static void marks_age(struct storage *storage)
{
    struct writeback *writeback = &storage->writeback;
    int64_t age_ns = storage->config.writeback_age_ms * CLOCK_NS_PER_MS;
    int64_t now_ns = clock_monotonic_ns(storage->doors->clock);
    uint32_t old = 0;
    while (old < writeback->mark_count && writeback->marks[old].at_ns + age_ns <= now_ns)
        old++;
    if (old) {
        writeback->aged =
            old < writeback->mark_count ? writeback->marks[old].lsn : wal_appended(storage->wal);
        writeback->mark_count -= old;
        memmove(writeback->marks, writeback->marks + old,
            writeback->mark_count * sizeof(*writeback->marks));
    }
    if (writeback->mark_count && !timer_is_set(&writeback->age_timer))
        timer_set(
            storage->doors->timers, &writeback->age_timer, writeback->marks[0].at_ns + age_ns);
}

void writeback_note(struct storage *storage, uint64_t lsn)
{
    struct writeback *writeback = &storage->writeback;
    int64_t now_ns = clock_monotonic_ns(storage->doors->clock);
    int64_t step_ns = storage->config.writeback_age_ms * CLOCK_NS_PER_MS / WRITEBACK_MARKS;
    uint32_t count = writeback->mark_count;
    if (count == WRITEBACK_MARKS || (count && now_ns < writeback->marks[count - 1].at_ns + step_ns))
        return;
    writeback->marks[writeback->mark_count++] = (struct writeback_mark){ lsn, now_ns };
    marks_age(storage);
}

static void job_begin(struct storage *storage, uint64_t below)
{
    struct writeback *writeback = &storage->writeback;
    struct writeback_job *job = mem_zalloc(1, sizeof(*job));
    job->storage = storage;
    job->door = storage->doors->disk;
    job->work.run = job_run;
    job->work.done = job_done;
    list_append(&writeback->jobs, &job->link);
    writeback->job_count++;
    struct log *log;
    while (job->run_count < WRITEBACK_RUNS_MAX && job->len < WRITEBACK_JOB_BYTES &&
           (log = next_log(storage, below)))
        run_begin(storage, job, log);
    int64_t now_ns = clock_monotonic_ns(storage->doors->clock);
    bool much = job->takes > writeback->space_left;
    writeback->space_left -= much ? writeback->space_left : job->takes;
    if (much || writeback->space_at_ns == INT64_MIN ||
        now_ns - writeback->space_at_ns >= WRITEBACK_RETRY_MS * CLOCK_NS_PER_MS) {
        writeback->space_at_ns = now_ns;
        job->space_dir = mem_strdup(storage->dir);
        job->reserve = reserve_size(storage);
        if (!storage->reserve_there && !writeback->no_fallocate)
            job->reserve_at = writeback->disk_free_min + job->reserve;
    }
    work_submit(storage->doors->work, &job->work);
}

void writeback_step(struct storage *storage)
{
    struct writeback *writeback = &storage->writeback;
    if (storage->failed || storage->recovering || writeback->paused)
        return;
    marks_age(storage);
    uint64_t below = target(storage);
    while (writeback->job_count < WRITEBACK_JOBS_MAX && next_log(storage, below))
        job_begin(storage, below);
    /* A full disk is looked at again even if nothing is there to be written. */
    if (writeback->full && writeback->job_count == 0 && writeback->space_at_ns == INT64_MIN)
        job_begin(storage, 0);
    if (writeback->job_count == 0)
        writeback_release(storage);
}

void writeback_pressed(struct storage *storage)
{
    storage->writeback.pressed = true;
}

void writeback_want(struct storage *storage, uint64_t lsn)
{
    if (lsn > storage->writeback.wanted)
        storage->writeback.wanted = lsn;
}

uint64_t writeback_position(const struct storage *storage)
{
    const struct heap *heaps[] = { &storage->writeback.ready, &storage->writeback.busy };
    uint64_t position = wal_written(storage->wal);
    for (size_t i = 0; i < ARRAY_COUNT(heaps); i++) {
        const struct heap_node *node = heap_first(heaps[i]);
        if (node && (uint64_t)node->key < position)
            position = (uint64_t)node->key;
    }
    return position;
}

void writeback_forget(struct log *log)
{
    struct log_body *body = log->body;
    if (body->writeback_heap)
        heap_remove(body->writeback_heap, &body->writeback_node);
    body->writeback_heap = NULL;
}

void writeback_requeue(struct log *log)
{
    struct log_body *body = log->body;
    struct writeback *writeback = &body->storage->writeback;
    writeback_forget(log);
    if (body->written == body->count)
        return;
    body->writeback_heap = body->busy ? &writeback->busy : &writeback->ready;
    heap_insert(
        body->writeback_heap, &body->writeback_node, (int64_t)log_entry(log, body->written)->lsn);
}

void writeback_init(struct storage *storage)
{
    struct writeback *writeback = &storage->writeback;
    list_init(&writeback->jobs);
    writeback->space_at_ns = INT64_MIN;
    writeback->age_timer.fire = age_fired;
    writeback->retry_timer.fire = retry_fired;
}

/* The pool has nothing in flight any more: jobs that never ended are forgotten with their logs. */
void writeback_done(struct storage *storage)
{
    struct writeback *writeback = &storage->writeback;
    timer_cancel(storage->doors->timers, &writeback->age_timer);
    timer_cancel(storage->doors->timers, &writeback->retry_timer);
    for (struct list *node; (node = list_first(&writeback->jobs));) {
        struct writeback_job *job = list_entry(node, struct writeback_job, link);
        for (uint32_t i = 0; i < job->run_count; i++) {
            job->runs[i].status = -ECANCELED;
            run_end(storage, &job->runs[i]);
        }
        job_forget(job);
    }
}
