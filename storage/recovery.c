/*
 * See recovery.h.
 *
 * Happy path
 *  1. the directory is there, locked, and of a format we know; a new one gets its first slot (with
 *     the cluster's id), then its format file
 *  2. the newest valid slot gives the state as of its position C
 *  3. the write-ahead log from C on is replayed through the functions of the live path; batches are
 *     written to their segments at once, in runs, over whatever lies there
 *  4. everything recovered is visible; directories that are no log's are removed in the background
 *  5. a start record goes into the write-ahead log. After an unclean stop it raises the leader
 * epoch
 *
 * The stop was clean if the slot says so and nothing follows it. Since each life begins with a
 * start record, a life leaves a trace before it acknowledges anything: until that record is durable
 * every unit waits for durable (storage->start_lsn).
 *
 * Recovery changes nothing that a second one would miss: files beyond the slot's claims are written
 * over with the same bytes, and the slot and the write-ahead log stay until the next checkpoint.
 * The time it takes is bounded by the write-ahead log, not by the logs. An exception is a loss that
 * was accepted: until a checkpoint lies behind it the next start would ask again, so that one is
 * wanted at once.
 */
#include "storage/recovery.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/base/mem.h"
#include "storage/barriers.h"
#include "storage/losses.h"
#include "storage/owner.h"
#include "storage/reserve.h"
#include "storage/rewrite.h"
#include "storage/slot.h"

#define FORMAT_TEXT "5\n" /* STORAGE_FORMAT */

enum {
    REPLAY_RUN_BYTES = 256 * 1024,   /* of one log, before they are written */
    REPLAY_BYTES = 16 * 1024 * 1024, /* of all logs */
    FORMAT_TEXT_MAX = 64,
};

/* Bytes of one log on their way to one segment. */
struct replay_run {
    struct list link;
    struct log *log;
    struct segment *segment;
    struct out bytes;
};

struct recovery {
    struct storage *storage;
    struct disk *disk;
    char **names; /* in the data directory, sorted */
    size_t name_count, name_capacity;
    struct list runs;
    uint64_t run_bytes;
    uint64_t records;
    struct losses losses;
};

/* ---- the directory ------------------------------------------------------------------------- */

static char *path_of(const struct storage *storage, const char *name)
{
    return mem_printf("%s/%s", storage->dir, name);
}

/* The directory above, or ".". */
static char *parent_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return mem_strdup(".");
    return slash == path ? mem_strdup("/") : mem_strndup(path, (size_t)(slash - path));
}

static int directory_make(struct storage *storage)
{
    struct disk *disk = storage->doors->disk;
    int status = disk->table->mkdir(disk, storage->dir);
    if (status == -EEXIST)
        return 0;
    if (status < 0)
        doors_say(storage->doors, LOG_ERROR, "can't make the data directory %s: %s", storage->dir,
            strerrordesc_np(-status));
    return status;
}

static int parent_sync(struct storage *storage)
{
    struct disk *disk = storage->doors->disk;
    char *parent = parent_of(storage->dir);
    int status = BARRIER(PARENT_SYNC) ? disk->table->sync_dir(disk, parent) : 0;
    mem_free(parent);
    return status;
}

static int directory_lock(struct storage *storage)
{
    struct disk *disk = storage->doors->disk;
    char *path = path_of(storage, "lock");
    int status = disk->table->open(disk, path, DISK_WRITE | DISK_CREATE, &storage->lock);
    if (status == 0)
        status = disk->table->lock(storage->lock);
    if (status == -EBUSY)
        doors_say(storage->doors, LOG_ERROR, "%s is in use by another process", storage->dir);
    else if (status < 0)
        doors_say(storage->doors, LOG_ERROR, "can't lock %s: %s", path, strerrordesc_np(-status));
    mem_free(path);
    return status;
}

static void name_add(void *context, const char *name)
{
    struct recovery *recovery = context;
    mem_grow(recovery->names, &recovery->name_capacity, recovery->name_count + 1);
    recovery->names[recovery->name_count++] = mem_strdup(name);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool name_is_there(const struct recovery *recovery, const char *name)
{
    return recovery->name_count && bsearch(&name, recovery->names, recovery->name_count,
                                       sizeof(*recovery->names), compare_names);
}

static int directory_list(struct recovery *recovery)
{
    struct storage *storage = recovery->storage;
    int status = recovery->disk->table->list(recovery->disk, storage->dir, name_add, recovery);
    if (status < 0)
        doors_say(
            storage->doors, LOG_ERROR, "can't list %s: %s", storage->dir, strerrordesc_np(-status));
    if (recovery->name_count)
        qsort(recovery->names, recovery->name_count, sizeof(*recovery->names), compare_names);
    return status;
}

/* "<topic>-<partition>"? */
static bool name_is_log(const char *name, struct bytes *ret_topic, int32_t *ret_partition)
{
    const char *dash = strrchr(name, '-');
    char *end;
    if (!dash || dash == name || dash[1] < '0' || dash[1] > '9')
        return false;
    errno = 0;
    long partition = strtol(dash + 1, &end, 10);
    if (*end || errno || partition > INT32_MAX || (dash[1] == '0' && dash[2]))
        return false;
    *ret_topic = bytes_of(name, (size_t)(dash - name));
    *ret_partition = (int32_t)partition;
    return true;
}

/* ---- a new directory ----------------------------------------------------------------------- */

static int file_write(struct storage *storage, const char *name, const char *text)
{
    struct disk *disk = storage->doors->disk;
    char *path = path_of(storage, name);
    struct disk_file *file;
    int status = disk->table->open(disk, path, DISK_WRITE | DISK_CREATE | DISK_TRUNCATE, &file);
    mem_free(path);
    if (status < 0)
        return status;
    struct iovec iov = { (void *)(uintptr_t)text, strlen(text) };
    status = disk->table->writev(file, 0, &iov, 1);
    if (status == 0 && BARRIER(FORMAT_SYNC))
        status = disk->table->sync(file);
    disk->table->close(file);
    return status;
}

/* Somebody else's files? Kafka's own data directory above all. */
static int directory_is_ours_to_take(const struct recovery *recovery)
{
    struct bytes topic;
    int32_t partition;
    for (size_t i = 0; i < recovery->name_count; i++) {
        const char *name = recovery->names[i];
        if (strcmp(name, "meta.properties") != 0 && !name_is_log(name, &topic, &partition))
            continue;
        doors_say(recovery->storage->doors, LOG_ERROR,
            "%s holds %s but no millrace.format: it belongs to another program, choose an empty "
            "directory",
            recovery->storage->dir, name);
        return -EPROTO;
    }
    return 0;
}

static int first_slot(struct storage *storage)
{
    char text[UUID_TEXT_LEN + 1];
    uuid_text(uuid_random(storage->doors->random), text);
    struct slot_head head = { .generation = 1 };
    struct out slot = { 0 };
    int status = storage_apply(storage, STORE_CLUSTER, bytes_text("id"), bytes_text(text), 0);
    CHECK(status == 0);
    slot_begin(&slot);
    checkpoint_save(storage, &slot);
    slot_seal(&slot, &head);
    status = slot_write(storage->doors->disk, storage->dir, 1, bytes_of(slot.data, slot.len));
    out_done(&slot);
    return status;
}

static int directory_create(struct recovery *recovery)
{
    struct storage *storage = recovery->storage;
    struct disk *disk = recovery->disk;
    int status = directory_is_ours_to_take(recovery);
    if (status < 0)
        return status;
    status = parent_sync(storage);
    if (status < 0)
        return status;
    char *wal = path_of(storage, "wal");
    status = disk->table->mkdir(disk, wal);
    mem_free(wal);
    if (status == 0 || status == -EEXIST)
        status = first_slot(storage);
    if (status == 0 && BARRIER(MADE_DIR_SYNC))
        status = disk->table->sync_dir(disk, storage->dir);
    if (status == 0)
        status = file_write(storage, "millrace.format", FORMAT_TEXT);
    if (status == 0 && BARRIER(FORMAT_DIR_SYNC))
        status = disk->table->sync_dir(disk, storage->dir);
    if (status < 0)
        doors_say(storage->doors, LOG_ERROR, "can't set up %s: %s", storage->dir,
            strerrordesc_np(-status));
    return status;
}

static int format_read(struct recovery *recovery, char text[FORMAT_TEXT_MAX + 1])
{
    struct storage *storage = recovery->storage;
    struct disk *disk = recovery->disk;
    char *path = path_of(storage, "millrace.format");
    size_t len = 0;
    struct disk_file *file;
    memset(text, 0, FORMAT_TEXT_MAX + 1);
    int status = disk->table->open(disk, path, DISK_WRITE, &file);
    if (status == 0) {
        status = BARRIER(FORMAT_REWRITE) ? rewrite(disk, file, FORMAT_TEXT_MAX) : 0;
        if (status == 0)
            status = disk->table->read(file, 0, text, FORMAT_TEXT_MAX, &len);
        disk->table->close(file);
    }
    if (status < 0)
        doors_say(storage->doors, LOG_ERROR, "can't read %s: %s", path, strerrordesc_np(-status));
    mem_free(path);
    return status;
}

static void note_file(void *context, const char *name)
{
    (void)name;
    *(bool *)context = true;
}

/* Write-ahead files are made behind the format: where they are, it was there. */
static bool directory_was_used(struct recovery *recovery)
{
    bool used = false;
    char *wal = path_of(recovery->storage, "wal");
    (void)recovery->disk->table->list(recovery->disk, wal, note_file, &used);
    mem_free(wal);
    return used;
}

static int format_check(struct storage *storage, const char *text)
{
    char *end;
    long format = strtol(text, &end, 10);
    if (end != text && *end == '\n' && format >= 1 && format <= STORAGE_FORMAT)
        return 0;
    if (end != text && *end == '\n' && format > STORAGE_FORMAT)
        doors_say(storage->doors, LOG_ERROR,
            "%s has format %ld; this program knows formats up to %d: use a newer millrace",
            storage->dir, format, STORAGE_FORMAT);
    else
        doors_say(
            storage->doors, LOG_ERROR, "%s/millrace.format does not name a format", storage->dir);
    return -EPROTO;
}

/* From now on older programs refuse the directory. Written over in place: a text that a crash left
 * empty would pass for a directory that was never finished. */
static int format_raise(struct storage *storage, const char *text)
{
    struct disk *disk = storage->doors->disk;
    struct disk_file *file;
    if (strcmp(text, FORMAT_TEXT) == 0)
        return 0;
    char *path = path_of(storage, "millrace.format");
    int status = disk->table->open(disk, path, DISK_WRITE, &file);
    if (status == 0) {
        struct iovec iov = { (void *)(uintptr_t)FORMAT_TEXT, strlen(FORMAT_TEXT) };
        status = disk->table->writev(file, 0, &iov, 1);
        if (status == 0)
            status = disk->table->sync(file);
        disk->table->close(file);
    }
    if (status < 0)
        doors_say(storage->doors, LOG_ERROR, "can't write %s: %s", path, strerrordesc_np(-status));
    else
        doors_say(storage->doors, LOG_INFO, "%s has format %d now", storage->dir, STORAGE_FORMAT);
    mem_free(path);
    return status;
}

/* ---- the state ----------------------------------------------------------------------------- */

static int state_load(struct recovery *recovery, bool *ret_clean)
{
    struct storage *storage = recovery->storage;
    struct slot_head head;
    struct out body = { 0 };
    int invalid;
    int status = slot_read(recovery->disk, storage->dir, &head, &body, &invalid);
    if (status == 0) {
        storage->checkpoint.generation = head.generation;
        storage->checkpoint.lsn = head.lsn;
        *ret_clean = head.flags & SLOT_CLEAN;
        status = slot_rewrite(recovery->disk, storage->dir, head.generation);
    }
    if (status == 0)
        status = checkpoint_load(storage, bytes_of(body.data, body.len), head.format);
    out_done(&body);
    if (status == 0 && invalid)
        doors_say(storage->doors, LOG_WARNING,
            "%s: one of two state files is not whole (a checkpoint that was cut short, or damage); "
            "going on from the other one",
            storage->dir);
    if (status == -ENOENT)
        status = -EUCLEAN;
    if (status < 0)
        doors_say(storage->doors, LOG_ERROR, "%s: can't read the state (meta.a, meta.b): %s",
            storage->dir, status == -EUCLEAN ? "damaged" : strerrordesc_np(-status));
    return status;
}

/* ---- replay -------------------------------------------------------------------------------- */

static void run_drop(struct recovery *recovery, struct replay_run *run)
{
    recovery->run_bytes -= run->bytes.len;
    run->log->body->replay = NULL;
    list_remove(&run->link);
    out_done(&run->bytes);
    mem_free(run);
}

static int run_flush(struct recovery *recovery, struct replay_run *run)
{
    struct log *log = run->log;
    int status = 0;
    if (!log->topic->deleted && !run->segment->dropped)
        status = writeback_now(run->segment, bytes_of(run->bytes.data, run->bytes.len));
    if (status < 0)
        doors_say(recovery->storage->doors, LOG_ERROR,
            "%s-%" PRId32 ": can't write %zu recovered bytes to its segment: %s", log->topic->name,
            log->partition, run->bytes.len, strerrordesc_np(-status));
    run_drop(recovery, run);
    return status;
}

static int runs_flush(struct recovery *recovery)
{
    for (struct list *node; (node = list_first(&recovery->runs));) {
        int status = run_flush(recovery, list_entry(node, struct replay_run, link));
        if (status < 0)
            return status;
    }
    return 0;
}

/* The batch has its place at the end of `segment`; its bytes follow those that wait. */
static int run_add(
    struct recovery *recovery, struct log *log, struct segment *segment, struct bytes batch)
{
    struct replay_run *run = log->body->replay;
    if (run && (run->segment != segment || run->bytes.len >= REPLAY_RUN_BYTES)) {
        int status = run_flush(recovery, run);
        if (status < 0)
            return status;
        run = NULL;
    }
    if (!run) {
        run = mem_zalloc(1, sizeof(*run));
        run->log = log;
        run->segment = segment;
        log->body->replay = run;
        list_append(&recovery->runs, &run->link);
    }
    out_bytes(&run->bytes, batch.data, batch.len);
    recovery->run_bytes += batch.len;
    return recovery->run_bytes >= REPLAY_BYTES ? runs_flush(recovery) : 0;
}

static bool is_whole_batch(const struct wal_head *head, struct bytes payload)
{
    struct batch_view view;
    return head->type == WAL_BATCH && batch_parse(payload, &view) == BATCH_OK &&
           view.size == payload.len && view.base_offset == head->base_offset &&
           view.last_offset_delta >= 0 && batch_check(&view) == BATCH_OK;
}

static int replay_check(void *context, const struct wal_head *head, struct bytes payload)
{
    (void)context;
    return is_whole_batch(head, payload) ? 0 : -EBADMSG;
}

static void log_damage(struct log *log, int64_t offset, const char *why)
{
    if (log->body->storage->config.accept_loss) {
        checkpoint_want(log->body->storage);
        doors_say(log->body->storage->doors, LOG_ERROR,
            "lost: %s-%" PRId32 ": the batch at offset %" PRId64
            " is damaged (%s); the log goes on behind it",
            log->topic->name, log->partition, offset, why);
        return;
    }
    if (log->body->damaged)
        return;
    log->body->damaged = true;
    log->body->damaged_offset = offset;
    doors_say(log->body->storage->doors, LOG_ERROR,
        "%s-%" PRId32 ": the batch at offset %" PRId64
        " is damaged (%s): reads from there on and appends are refused",
        log->topic->name, log->partition, offset, why);
}

/* A damaged batch keeps its bytes and its place, and says nothing of itself. */
static struct batch_view damaged_view(const struct log *log, int64_t offset, size_t len)
{
    return (struct batch_view){
        .size = len,
        .base_offset = offset,
        .leader_epoch = log->leader_epoch,
        .max_timestamp = -1,
        .producer_id = -1,
    };
}

static int replay_batch(struct recovery *recovery, uint64_t lsn, const struct wal_head *head,
    struct bytes payload, bool damaged)
{
    struct storage *storage = recovery->storage;
    struct log *log = topics_log_by_id(storage, head->log);
    bool follows = log && (head->base_offset == log->end_offset ||
                              ((log->body->damaged || storage->config.accept_loss) &&
                                  head->base_offset > log->end_offset));
    if (!follows) {
        doors_say(storage->doors, LOG_ERROR,
            "%s: the write-ahead log at %" PRIu64 " does not fit the state: log %" PRIu32
            ", offset %" PRId64 ", expected %" PRId64,
            storage->dir, lsn, head->log, head->base_offset, log ? log->end_offset : -1);
        return -EUCLEAN;
    }
    struct batch_view view;
    if (damaged || batch_parse(payload, &view) != BATCH_OK) {
        log_damage(log, head->base_offset, "in the write-ahead log");
        view = damaged_view(log, head->base_offset, payload.len);
        damaged = true;
    }
    struct segment *segment = log_place(log, &view, 0);
    if (damaged) /* to be verified like anything that was found */
        segment->fresh_from = UINT64_MAX;
    return run_add(recovery, log, segment, payload);
}

static int replay_put(struct recovery *recovery, uint64_t lsn, struct bytes payload, bool damaged)
{
    struct storage *storage = recovery->storage;
    struct cursor cursor = cursor_of(payload);
    uint16_t kind = cursor_u16(&cursor);
    (void)cursor_u16(&cursor);
    uint32_t key_len = cursor_u32(&cursor);
    uint32_t value_len = cursor_u32(&cursor);
    struct bytes key = cursor_bytes(&cursor, key_len);
    struct bytes value = { 0 };
    if (value_len != UINT32_MAX)
        value = cursor_bytes(&cursor, value_len);
    if (!damaged && !cursor.bad && !cursor.left &&
        storage_apply(storage, kind, key, value, lsn + wal_record_size(payload.len)) == 0)
        return 0;
    doors_say(storage->doors, LOG_ERROR,
        "%s: a change of the state at %" PRIu64 " of the write-ahead log is damaged%s",
        storage->dir, lsn, storage->config.accept_loss ? ": left out" : "");
    if (!storage->config.accept_loss)
        return -EUCLEAN;
    checkpoint_want(storage);
    return 0;
}

static int replay_record(
    void *context, uint64_t lsn, const struct wal_head *head, struct bytes payload, bool damaged)
{
    struct recovery *recovery = context;
    recovery->records++;
    switch (head->type) {
    case WAL_BATCH: return replay_batch(recovery, lsn, head, payload, damaged);
    case WAL_PUT: return replay_put(recovery, lsn, payload, damaged);
    default:
        doors_say(recovery->storage->doors, LOG_ERROR,
            "%s: the write-ahead log at %" PRIu64 " has a record of unknown type %u",
            recovery->storage->dir, lsn, head->type);
        return -EUCLEAN;
    }
}

static void replay_lost(void *context, const struct wal_head *head, struct bytes begin)
{
    struct recovery *recovery = context;
    losses_add(&recovery->losses, head, begin);
}

static int replay(struct recovery *recovery, const struct wal_events *events)
{
    struct storage *storage = recovery->storage;
    char *wal_dir = path_of(storage, "wal");
    struct wal_config config = {
        .dir = wal_dir,
        .file_bytes = storage->config.wal_file_bytes,
        .files_max = storage->config.wal_files_max,
        .interval_ns = storage->config.interval_ms * CLOCK_NS_PER_MS,
        .interval_bytes = storage->config.interval_bytes,
        .idle_mark_ns = 5 * CLOCK_NS_PER_MS,
        .accept_loss = storage->config.accept_loss,
    };
    struct wal_replay handlers = {
        .context = recovery,
        .check = replay_check,
        .record = replay_record,
        .lost = replay_lost,
    };
    struct wal_found found = { 0 };
    int status = wal_open(
        &storage->wal, &config, storage->doors, events, storage->checkpoint.lsn, &handlers, &found);
    mem_free(wal_dir);
    losses_say(&recovery->losses, storage);
    if (found.lost)
        checkpoint_want(storage);
    if (status == 0)
        status = runs_flush(recovery);
    if (status == 0)
        status = writeback_cut(storage);
    return status;
}

/* ---- ready --------------------------------------------------------------------------------- */

/* The log of a directory's name, or NULL. */
static struct log *log_by_name(const struct storage *storage, const char *name)
{
    struct bytes topic_name;
    int32_t partition;
    struct topic *topic = NULL;
    if (name_is_log(name, &topic_name, &partition))
        topic = storage_topic(storage, topic_name);
    return topic ? topic_log(topic, partition) : NULL;
}

/* Before the replay, which makes what is missing. */
static void directories_look(struct recovery *recovery)
{
    struct storage *storage = recovery->storage;
    for (struct topic *topic = NULL; (topic = storage_topic_next(storage, topic));) {
        for (int32_t i = 0; i < topic->log_count; i++)
            topic->logs[i]->body->directory_made = false;
    }
    for (size_t i = 0; i < recovery->name_count; i++) {
        struct log *log = log_by_name(storage, recovery->names[i]);
        if (log)
            log->body->directory_made = true;
    }
}

/* After it: directories without a log go; what an unclean stop may have left in the others, too. */
static void directories_match(struct recovery *recovery)
{
    struct storage *storage = recovery->storage;
    for (size_t i = 0; i < recovery->name_count; i++) {
        struct bytes topic_name;
        int32_t partition;
        struct log *log = log_by_name(storage, recovery->names[i]);
        if (log) {
            log->body->directory_made = true;
            if (storage->unclean)
                list_append(&storage->removals.scrubs, &log->body->scrub_link);
        } else if (name_is_log(recovery->names[i], &topic_name, &partition)) {
            char *path = path_of(storage, recovery->names[i]);
            removals_add_orphan(storage, path);
            mem_free(path);
        }
    }
}

static void log_ready(struct recovery *recovery, struct log *log)
{
    struct storage *storage = recovery->storage;
    const struct segment *first = log->body->segment_count ? log->body->segments[0] : NULL;
    log->leader_epoch = (int32_t)storage->epoch;
    log_set_high_watermark(log, log->end_offset);
    if (log->body->damaged && storage->config.accept_loss) {
        log->body->damaged = false;
        checkpoint_want(storage);
        doors_say(storage->doors, LOG_WARNING,
            "%s-%" PRId32 " was damaged at offset %" PRId64 ": what can't be read is given up",
            log->topic->name, log->partition, log->body->damaged_offset);
    }
    if (log->body->damaged)
        doors_say(storage->doors, LOG_ERROR,
            "%s-%" PRId32 " is damaged from offset %" PRId64
            " on: reads there and appends are refused",
            log->topic->name, log->partition, log->body->damaged_offset);
    char *name = mem_printf("%s-%" PRId32, log->topic->name, log->partition);
    /* A log that has an old segment has a directory, or somebody took it away. */
    if (first && first->created && first->unchecked && !name_is_there(recovery, name))
        doors_say(storage->doors, LOG_ERROR, "%s/%s is gone: what was in it can't be read any more",
            storage->dir, name);
    mem_free(name);
}

static void logs_ready(struct recovery *recovery)
{
    struct storage *storage = recovery->storage;
    for (struct topic *topic = NULL; (topic = storage_topic_next(storage, topic));) {
        for (int32_t i = 0; i < topic->log_count; i++)
            log_ready(recovery, topic->logs[i]);
    }
}

static void start_done(struct unit *unit)
{
    unit_done(unit);
}

/* The first record of this life. */
static int start_record(struct storage *storage)
{
    struct unit *unit = &storage->start_unit;
    uint8_t epoch[4], starts[8] = { 0 };
    unit_init(unit, start_done);
    const struct store_entry *last =
        store_find(&storage->store, STORE_CLUSTER, bytes_text("starts"));
    if (last && last->value_len == sizeof(starts))
        memcpy(starts, last->value, sizeof(starts));
    le_put64(starts, le_get64(starts) + 1);
    (void)unit_put_any(unit, STORE_CLUSTER, bytes_text("starts"), bytes_of(starts, sizeof(starts)));
    if (storage->unclean && BARRIER(EPOCH_RAISED)) {
        le_put32(epoch, storage->epoch + 1);
        (void)unit_put_any(
            unit, STORE_CLUSTER, bytes_text("epoch"), bytes_of(epoch, sizeof(epoch)));
    }
    int status = log_commit(storage, unit);
    if (status < 0)
        doors_say(storage->doors, LOG_ERROR, "%s: the write-ahead log takes no record: %s",
            storage->dir, strerrordesc_np(-status));
    storage->start_lsn = unit->end_lsn;
    /* A raised leader epoch is told with each topic: not before it is durable. */
    for (struct topic *topic = NULL; (topic = storage_topic_next(storage, topic));)
        topic->lsn = unit->end_lsn;
    return status;
}

static void recovery_end(struct recovery *recovery)
{
    losses_done(&recovery->losses);
    for (struct list *node; (node = list_first(&recovery->runs));)
        run_drop(recovery, list_entry(node, struct replay_run, link));
    for (size_t i = 0; i < recovery->name_count; i++)
        mem_free(recovery->names[i]);
    mem_free(recovery->names);
}

static int recover(struct recovery *recovery, const struct wal_events *events)
{
    struct storage *storage = recovery->storage;
    /* A life that was killed may have left names here that are not on the medium yet: nothing may
     * be built on what the next power cut takes away. (So with every file that is read below.) */
    int status = 0;
    if (BARRIER(START_DIR_SYNC))
        status = recovery->disk->table->sync_dir(recovery->disk, storage->dir);
    if (status == 0)
        status = directory_list(recovery);
    if (status < 0)
        return status;
    char format[FORMAT_TEXT_MAX + 1] = { 0 };
    if (name_is_there(recovery, "millrace.format"))
        status = format_read(recovery, format);
    if (status < 0)
        return status;
    /* The format is written last: nothing in it, or a part, means that the making was cut short. */
    bool unfinished = strncmp(format, FORMAT_TEXT, strlen(format)) == 0 && !strchr(format, '\n');
    bool fresh = unfinished && !directory_was_used(recovery), clean = fresh;
    if (!fresh)
        status = format_check(storage, format);
    else
        status = directory_create(recovery);
    if (status == 0 && fresh) /* it is read back, so there is one way only */
        store_done(&storage->store);
    if (status == 0)
        status = state_load(recovery, &clean);
    if (status < 0)
        return status;
    directories_look(recovery);
    status = reserve_prepare(storage, name_is_there(recovery, "reserve"));
    if (status == 0)
        status = replay(recovery, events);
    if (status == 0 && !fresh)
        status = format_raise(storage, format);
    if (status < 0)
        return status;
    storage->unclean = !fresh && !(clean && recovery->records == 0);
    storage->stats.replayed_records = recovery->records;
    directories_match(recovery);
    logs_ready(recovery);
    storage->recovering = false;
    return start_record(storage);
}

int recovery_run(struct storage *storage, const struct wal_events *events)
{
    struct recovery recovery = { .storage = storage, .disk = storage->doors->disk };
    list_init(&recovery.runs);
    int64_t began_ns = clock_monotonic_ns(storage->doors->clock);
    storage->recovering = true;
    int status = directory_make(storage);
    if (status == 0)
        status = directory_lock(storage);
    if (status == 0)
        status = recover(&recovery, events);
    recovery_end(&recovery);
    if (status < 0)
        return status;
    int64_t took_ns = clock_monotonic_ns(storage->doors->clock) - began_ns;
    storage->stats.recovery_ns = (uint64_t)took_ns;
    if (storage->unclean)
        doors_say(storage->doors, LOG_WARNING,
            "%s was not closed: recovered %" PRIu64 " records in %" PRId64
            " ms, leader epoch %" PRIu32,
            storage->dir, recovery.records, took_ns / CLOCK_NS_PER_MS, storage->epoch);
    return 0;
}
