/*
 * See removal.h. A removal is one of three: a segment's file, a whole directory, or a scrub: a look
 * through a live log's directory after an unclean stop for files that are not its segments'.
 *
 * Happy path: removals_step finds the pool free of us, takes the first that may begin, and submits
 * it; removal_done frees what it held and steps again.
 *
 * Errors are said and otherwise ignored: what stays behind costs space, not data, and the next
 * start after a crash finds it again.
 */
#include "storage/removal.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/base/mem.h"
#include "storage/barriers.h"
#include "storage/owner.h"

enum { OFFSET_DIGITS = 20 };

/* What a segment file's name says. */
struct segment_name {
    int64_t offset;
    uint32_t generation;
};

struct removal {
    struct work_job work;
    struct list link;
    struct heap_node due;     /* segments */
    struct tree_node by_path; /* directories */
    struct storage *storage;
    const struct disk_table *disk;
    struct disk *door;
    char *path;        /* of the directory, or (when it begins) of the segment's file */
    char *footer_path; /* a segment's */
    char *directory;   /* a segment's, to be synced */
    struct segment *segment;
    struct log *log;     /* whose directory it is; NULL: an orphan's */
    struct list blocked; /* struct log_body: wait for the directory to be gone */
    uint64_t lsn;
    bool whole;                /* the directory itself goes, too */
    struct segment_name *keep; /* scrub: ascending */
    size_t keep_count;
    uint64_t removed;
    int status;
};

/* ---- in the pool --------------------------------------------------------------------------- */

struct listing {
    char **names;
    size_t count, capacity;
};

static void listing_add(void *context, const char *name)
{
    struct listing *listing = context;
    mem_grow(listing->names, &listing->capacity, listing->count + 1);
    listing->names[listing->count++] = mem_strdup(name);
}

/* "<20 digits>.log" or "<20 digits>.<generation>.log", or with ".idx". */
static bool is_segment_name(const char *name, struct segment_name *ret)
{
    char *end;
    for (int i = 0; i < OFFSET_DIGITS; i++) {
        if (!isdigit((unsigned char)name[i]))
            return false;
    }
    *ret = (struct segment_name){ .offset = strtoll(name, NULL, 10) };
    name += OFFSET_DIGITS;
    if (name[0] == '.' && name[1] >= '1' && name[1] <= '9') {
        errno = 0;
        unsigned long generation = strtoul(name + 1, &end, 10);
        if (errno || generation > UINT32_MAX)
            return false;
        ret->generation = (uint32_t)generation;
        name = end;
    }
    return strcmp(name, ".log") == 0 || strcmp(name, ".idx") == 0;
}

static int compare_name(const void *a, const void *b)
{
    const struct segment_name *x = a, *y = b;
    int order = (x->offset > y->offset) - (x->offset < y->offset);
    return order ? order : (x->generation > y->generation) - (x->generation < y->generation);
}

static bool is_kept(const struct removal *removal, const struct segment_name *name)
{
    return removal->keep_count &&
           bsearch(name, removal->keep, removal->keep_count, sizeof(*name), compare_name);
}

/* Removes the segment files in the directory that are not to be kept; other files are not ours. */
static int directory_clear(struct removal *removal)
{
    struct listing listing = { 0 };
    int status = removal->disk->list(removal->door, removal->path, listing_add, &listing);
    for (size_t i = 0; i < listing.count; i++) {
        struct segment_name name;
        if (status == 0 && is_segment_name(listing.names[i], &name) && !is_kept(removal, &name)) {
            char *path = mem_printf("%s/%s", removal->path, listing.names[i]);
            status = removal->disk->remove(removal->door, path);
            removal->removed += status == 0;
            mem_free(path);
        }
        mem_free(listing.names[i]);
    }
    mem_free(listing.names);
    return status;
}

static void removal_run(struct work_job *work)
{
    struct removal *removal = container_of(work, struct removal, work);
    if (removal->segment) {
        /* Most segments that go are sealed; of the others there is no footer. */
        (void)removal->disk->remove(removal->door, removal->footer_path);
        removal->status = removal->disk->remove(removal->door, removal->path);
        if (removal->status == 0)
            removal->status = removal->disk->sync_dir(removal->door, removal->directory);
    } else {
        removal->status = directory_clear(removal);
        if (removal->status == 0 && removal->whole)
            removal->status = removal->disk->remove(removal->door, removal->path);
    }
}

/* ---- on the loop --------------------------------------------------------------------------- */

static int compare_path(const void *key, const struct tree_node *node)
{
    return strcmp(key, container_of_const(node, struct removal, by_path)->path);
}

static struct removal *removal_create(struct storage *storage)
{
    struct removal *removal = mem_zalloc(1, sizeof(*removal));
    removal->storage = storage;
    removal->disk = storage->disk;
    removal->door = storage->doors->disk;
    list_init(&removal->link);
    list_init(&removal->blocked);
    return removal;
}

/* Gives back everything it holds. */
static void removal_end(struct removal *removal)
{
    struct storage *storage = removal->storage;
    list_remove(&removal->link);
    heap_remove(&storage->removals.segments, &removal->due);
    if (removal->whole)
        (void)tree_remove(&storage->removals.by_path, removal->path);
    for (struct list *node; (node = list_pop(&removal->blocked));)
        log_set_busy(list_entry(node, struct log_body, blocked_link)->log, false);
    if (removal->segment) {
        removal->segment->removing = false;
        log_release_segment(removal->segment);
        topic_release(removal->log->topic);
    } else if (removal->whole && removal->log) {
        log_unuse(removal->log);
    } else if (removal->log) {
        removal->log->body->scrubbing = false;
        log_set_busy(removal->log, false);
    }
    mem_free(removal->path);
    mem_free(removal->footer_path);
    mem_free(removal->directory);
    mem_free(removal->keep);
    mem_free(removal);
}

static void removal_done(struct work_job *work)
{
    struct removal *removal = container_of(work, struct removal, work);
    struct storage *storage = removal->storage;
    storage->removals.running = NULL;
    if (removal->status < 0 && removal->status != -ENOENT)
        doors_say(storage->doors, LOG_WARNING, "removing %s: %s", removal->path,
            strerrordesc_np(-removal->status));
    if (removal->removed && !removal->whole)
        doors_say(storage->doors, LOG_INFO,
            "%s: removed %" PRIu64 " files that the unclean stop left", removal->path,
            removal->removed);
    removal_end(removal);
    removals_step(storage);
    writeback_step(storage);
    storage_close_step(storage);
}

static void removal_begin(struct removal *removal)
{
    removal->storage->removals.running = removal;
    removal->work.run = removal_run;
    removal->work.done = removal_done;
    work_submit(removal->storage->doors->work, &removal->work);
}

/* ---- what is to be removed ----------------------------------------------------------------- */

void removals_add_segment(struct storage *storage, struct segment *segment, uint64_t lsn)
{
    struct removal *removal = removal_create(storage);
    int64_t delay_ms = segment->log->topic->config.file_delete_delay_ms;
    int64_t now_ns = clock_monotonic_ns(storage->doors->clock);
    int64_t due_ns = clock_after_ms(now_ns, delay_ms);
    removal->segment = segment;
    removal->lsn = lsn;
    removal->log = segment->log;
    topic_hold(removal->log->topic);
    segment->removing = true;
    list_append(&storage->removals.waiting, &removal->link);
    heap_insert(&storage->removals.segments, &removal->due, due_ns);
}

static void directory_add(struct storage *storage, char *path, struct log *log, uint64_t lsn)
{
    struct removal *removal = removal_create(storage);
    removal->whole = true;
    removal->path = path;
    removal->lsn = lsn;
    removal->log = log;
    if (log)
        log_use(log);
    list_append(&storage->removals.directories, &removal->link);
    tree_insert(&storage->removals.by_path, path, &removal->by_path);
}

void removals_add_directory(struct storage *storage, struct log *log, uint64_t lsn)
{
    /* During recovery whatever is left on the disk at its end is found as an orphan. */
    if (storage->recovering || (!log->body->directory_made && !log->body->busy))
        return;
    char *path = log_directory(log);
    if (tree_find(&storage->removals.by_path, path))
        mem_free(path); /* it never got its own: it waits for that removal */
    else
        directory_add(storage, path, log, lsn);
}

void removals_add_orphan(struct storage *storage, const char *path)
{
    doors_say(storage->doors, LOG_INFO, "%s is left of a deleted topic: removing it", path);
    directory_add(storage, mem_strdup(path), NULL, 0);
}

bool removals_block(struct storage *storage, struct log *log)
{
    char *path = log_directory(log);
    struct tree_node *node = tree_find(&storage->removals.by_path, path);
    mem_free(path);
    if (!node || !BARRIER(REMOVAL_BLOCKS))
        return false;
    list_append(&container_of(node, struct removal, by_path)->blocked, &log->body->blocked_link);
    log_set_busy(log, true);
    return true;
}

/* ---- which may begin ----------------------------------------------------------------------- */

static bool directory_next(struct storage *storage)
{
    struct list *node = list_first(&storage->removals.directories);
    if (!node)
        return false;
    struct removal *removal = list_entry(node, struct removal, link);
    /* Its own use is one. */
    if ((BARRIER(REMOVAL_DURABLE) && !storage_is_durable(storage, removal->lsn)) ||
        (removal->log && removal->log->body->users > 1))
        return false;
    list_remove(node);
    removal_begin(removal);
    return true;
}

static bool segment_next(struct storage *storage)
{
    int64_t now_ns = clock_monotonic_ns(storage->doors->clock);
    for (struct heap_node *node; (node = heap_first(&storage->removals.segments));) {
        struct removal *removal = container_of(node, struct removal, due);
        struct log *log = removal->log;
        if (!storage->closing && node->key > now_ns) {
            timer_set(storage->doors->timers, &storage->removals.timer, node->key);
            return false;
        }
        if ((BARRIER(REMOVAL_DURABLE) && !storage_is_durable(storage, removal->lsn)) ||
            removal->segment->users > 0 || log->body->busy)
            return false;
        heap_remove(&storage->removals.segments, node);
        residents_remove(&storage->residents, removal->segment);
        /* With the topic its whole directory goes, and may be another topic's by now. */
        if (removal->segment->created && !log->topic->deleted) {
            removal->path = segment_path(removal->segment);
            removal->footer_path = segment_footer_path(removal->segment);
            removal->directory = log_directory(log);
            removal_begin(removal);
            return true;
        }
        removal_end(removal);
    }
    return false;
}

static void scrub_keep(struct removal *scrub, size_t *capacity, const struct segment *segment)
{
    /* A first write that found no room leaves the file open, and the next one goes there. */
    if (!segment->created && !segment->file)
        return;
    mem_grow(scrub->keep, capacity, scrub->keep_count + 1);
    scrub->keep[scrub->keep_count++] =
        (struct segment_name){ segment->claim.base_offset, segment->claim.generation };
}

static struct removal *scrub_create(struct storage *storage, struct log *log)
{
    struct removal *removal = removal_create(storage);
    struct log_body *body = log->body;
    size_t capacity = 0;
    removal->log = log;
    removal->path = log_directory(log);
    for (size_t i = 0; i < body->segment_count; i++)
        scrub_keep(removal, &capacity, body->segments[i]);
    /* Dropped, but a crash may bring it back: its own removal waits until that can't be. */
    list_foreach (node, &storage->removals.waiting) {
        const struct removal *other = list_entry(node, struct removal, link);
        if (other->log == log)
            scrub_keep(removal, &capacity, other->segment);
    }
    if (removal->keep_count)
        qsort(removal->keep, removal->keep_count, sizeof(*removal->keep), compare_name);
    body->scrubbing = true;
    log_set_busy(log, true);
    return removal;
}

static bool scrub_next(struct storage *storage)
{
    struct list *node = list_first(&storage->removals.scrubs);
    if (!node || storage->closing)
        return false;
    struct log_body *body = list_entry(node, struct log_body, scrub_link);
    if (body->busy)
        return false;
    list_remove(node);
    removal_begin(scrub_create(storage, body->log));
    return true;
}

void removals_step(struct storage *storage)
{
    if (storage->failed || storage->recovering || storage->removals.running)
        return;
    (void)(directory_next(storage) || segment_next(storage) || scrub_next(storage));
}

bool removals_idle(const struct storage *storage)
{
    const struct removals *removals = &storage->removals;
    return !removals->running && list_empty(&removals->directories) &&
           !heap_first(&removals->segments);
}

static void timer_fired(struct timer *timer)
{
    removals_step(container_of(timer, struct storage, removals.timer));
}

void removals_init(struct storage *storage)
{
    list_init(&storage->removals.directories);
    list_init(&storage->removals.scrubs);
    list_init(&storage->removals.waiting);
    storage->removals.by_path.compare = compare_path;
    storage->removals.timer.fire = timer_fired;
}

void removals_done(struct storage *storage)
{
    struct removals *removals = &storage->removals;
    timer_cancel(storage->doors->timers, &removals->timer);
    if (removals->running)
        removal_end(removals->running);
    for (struct list *node; (node = list_first(&removals->directories));)
        removal_end(list_entry(node, struct removal, link));
    for (struct heap_node *node; (node = heap_first(&removals->segments));)
        removal_end(container_of(node, struct removal, due));
    while (list_pop(&removals->scrubs))
        continue;
    heap_done(&removals->segments);
}
