/*
 * See check.h.
 *
 * Happy path: the directory is one of ours; a storage is opened on an overlay and never gets a
 * turn, so nothing runs in it; for each log each segment is verified from its first byte to its
 * last, as a reader would, but without believing anything that was verified before.
 *
 * If a start would refuse, it is opened once more with loss accepted, to tell of the rest.
 */
#include "storage/check.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "protocol/base/mem.h"
#include "storage/disk_overlay.h"
#include "storage/footer.h"
#include "storage/owner.h"
#include "storage/read.h"
#include "storage/recovery.h"
#include "storage/verify.h"

enum { WAL_FILES_MAX = 4096, BUFFERS_MAX = 64 << 20 };

struct check {
    const struct check_events *events;
    struct check_totals totals;
    struct disk *disk; /* the overlay */
    struct clock clock;
    struct work work;
    struct timers timers;
    struct random random;
    struct buffer_pool buffers;
    struct doors doors;
    struct storage *storage;
};

/* ---- doors --------------------------------------------------------------------------------- */

static void say(void *context, enum log_level level, const char *line)
{
    struct check *check = context;
    if (level > LOG_WARNING) /* what a start does is not what is found */
        return;
    check->totals.errors += level == LOG_ERROR;
    check->events->say(check->events->context, level, line);
}

/* Without a turn nothing is submitted. */
static void submit(struct work *work, struct work_job *job)
{
    (void)work, (void)job;
    CHECK(false);
}

static void failed(void *context, int status, const char *what)
{
    (void)context, (void)status, (void)what;
}

static void check_begin(struct check *check, struct disk *base)
{
    check->disk = disk_overlay_create(base);
    check->clock = clock_real();
    check->work.submit = submit;
    check->timers = (struct timers){ 0 };
    check->random = random_seeded((uint64_t)clock_monotonic_ns(&check->clock));
    buffer_pool_init(&check->buffers, BUFFERS_MAX);
    check->doors = (struct doors){
        .disk = check->disk,
        .clock = &check->clock,
        .work = &check->work,
        .timers = &check->timers,
        .random = &check->random,
        .buffers = &check->buffers,
        .say = say,
        .say_context = check,
    };
}

static void check_end(struct check *check)
{
    if (check->storage)
        storage_destroy(check->storage);
    check->storage = NULL;
    timers_done(&check->timers);
    buffer_pool_done(&check->buffers);
    check->disk->table->destroy(check->disk);
}

/* ---- one segment --------------------------------------------------------------------------- */

struct look {
    struct check *check;
    const struct segment *segment;
    struct source source;
    struct verifier verifier;
    struct footer footer;
    struct check_segment found;
};

/* By its footer: every byte is covered. */
static int look_at_extents(struct look *look)
{
    struct place place = { 0, look->source.base_offset };
    uint64_t limit = 0;
    look->verifier.extents = look->footer.extents;
    look->verifier.index = &look->footer.index;
    while (limit < look->source.size) {
        struct damage damage;
        int status = verify_more(&look->verifier, &place, look->source.size, &limit, &damage);
        if (status < 0)
            return status;
        if (damage.end_position == 0)
            continue;
        place = (struct place){ damage.end_position, damage.end_offset };
        limit = place.position;
    }
    return 0;
}

static int look_at_batches(struct look *look, uint64_t root, bool rooted)
{
    footer_init(&look->footer, look->source.base_offset, INDEX_STEP_DEFAULT);
    int status = verify_all(&look->verifier, &look->footer);
    if (status == 0 && rooted && look->footer.root != root) {
        struct damage all = { 0, look->source.size, look->source.base_offset,
            look->source.end_offset };
        (void)proof_add_damage(&look->verifier.proof, &all);
    }
    return status == -EBADMSG ? 0 : status;
}

static int look_at(struct look *look)
{
    const struct segment *segment = look->segment;
    struct disk *disk = look->check->disk;
    bool rooted = segment->claim.flags & SEGMENT_ROOTED;
    int status = -ENOENT;
    if (rooted) {
        char *path = segment_footer_path(segment);
        status = footer_read(disk, path, segment->claim.base_offset, segment->claim.size,
            segment->claim.root, &look->footer);
        mem_free(path);
        look->found.footer = status == 0         ? CHECK_FOOTER_WHOLE
                             : status == -ENOENT ? CHECK_FOOTER_MISSING
                                                 : CHECK_FOOTER_BAD;
    }
    return status == 0 ? look_at_extents(look) : look_at_batches(look, segment->claim.root, rooted);
}

/* How many records the readable batches hold. */
static bool count_batch(void *context, const struct place *place, const struct batch_view *view)
{
    struct check_segment *found = context;
    (void)place;
    found->batches++;
    found->records += view->count > 0 ? (uint64_t)view->count : 0;
    return true;
}

static int count(struct look *look)
{
    const struct proof *proof = &look->verifier.proof;
    struct place place = { 0, look->source.base_offset };
    for (size_t i = 0; i <= proof->damage_count; i++) {
        const struct damage *damage = i < proof->damage_count ? &proof->damages[i] : NULL;
        struct source part = look->source;
        if (damage) {
            part.size = part.limit = damage->position;
            part.end_offset = damage->offset;
        }
        int status = source_walk(&part, &place, count_batch, &look->found);
        if (status < 0)
            return status;
        if (damage)
            place = (struct place){ damage->end_position, damage->end_offset };
    }
    return 0;
}

static void segment_look(struct check *check, struct segment *segment)
{
    struct look look = { .check = check, .segment = segment };
    char *path = segment_path(segment);
    size_t epochs_count;
    struct epoch_start *epochs = segment_epochs(segment, &epochs_count);
    struct check_totals *totals = &check->totals;
    look.source = visit_source(segment, false);
    look.source.limit = look.source.size;
    look.verifier.source = &look.source;
    look.verifier.epochs = epochs;
    look.verifier.epoch_count = epochs_count;
    look.found.base_offset = segment->claim.base_offset;
    look.found.end_offset = segment->claim.end_offset;
    look.found.size = segment->claim.size;
    look.found.status = check->disk->table->open(check->disk, path, DISK_READ, &look.source.file);
    if (look.found.status == 0) {
        look.found.status = look_at(&look);
        if (look.found.status == 0)
            look.found.status = count(&look);
        check->disk->table->close(look.source.file);
    }
    look.found.damages = look.verifier.proof.damages;
    look.found.damage_count = look.verifier.proof.damage_count;
    for (size_t i = 0; i < look.found.damage_count; i++)
        totals->offsets_damaged +=
            (uint64_t)(look.found.damages[i].end_offset - look.found.damages[i].offset);
    if (look.found.status < 0)
        totals->offsets_damaged += (uint64_t)(look.found.end_offset - look.found.base_offset);
    totals->damages += look.found.damage_count + (look.found.status < 0);
    totals->segments++;
    totals->records += look.found.records;
    totals->bytes += look.found.size;
    check->events->segment(check->events->context, &look.found);
    footer_done(&look.footer);
    verify_done(&look.verifier);
    mem_free(epochs);
    mem_free(path);
}

static void log_look(struct check *check, struct log *log)
{
    const struct log_body *body = log->body;
    struct check_log found = {
        .topic = log->topic->name,
        .partition = log->partition,
        .start_offset = log->start_offset,
        .end_offset = log->end_offset,
        .size = log->size_bytes,
        .refused_from = body->damaged ? body->damaged_offset : -1,
    };
    check->totals.logs++;
    if (body->damaged) {
        check->totals.damages++;
        check->totals.offsets_damaged += (uint64_t)(log->end_offset - body->damaged_offset);
    }
    check->events->log(check->events->context, &found);
    for (size_t i = 0; i < body->segment_count; i++)
        segment_look(check, body->segments[i]);
}

/* ---- the directory ------------------------------------------------------------------------- */

static void look_for_format(void *context, const char *name)
{
    if (strcmp(name, "millrace.format") == 0)
        *(bool *)context = true;
}

static int directory_is_ours(struct check *check, const char *dir)
{
    bool ours = false;
    int status = check->disk->table->list(check->disk, dir, look_for_format, &ours);
    if (status < 0)
        doors_say(&check->doors, LOG_ERROR, "%s: %s", dir, strerrordesc_np(-status));
    else if (!ours) {
        doors_say(&check->doors, LOG_ERROR,
            "%s is no data directory of Millrace: it has no millrace.format", dir);
        status = -EPROTO;
    }
    return status;
}

static int open_on_overlay(struct check *check, const char *dir, bool accept_loss)
{
    struct storage_config config = storage_config_default();
    struct storage_hooks hooks = { .failed = failed };
    config.dir = dir;
    config.wal_files_max = WAL_FILES_MAX;
    config.disk_free_min = 0;
    config.accept_loss = accept_loss;
    return storage_open(&check->storage, &config, &check->doors, &hooks);
}

int storage_check(
    const char *dir, struct disk *base, const struct check_events *events, struct check_totals *ret)
{
    struct check check = { .events = events };
    check_begin(&check, base);
    int status = directory_is_ours(&check, dir);
    if (status == 0)
        status = open_on_overlay(&check, dir, false);
    if (status == -EUCLEAN) {
        check.totals.refused = true;
        check_end(&check);
        check_begin(&check, base);
        doors_say(&check.doors, LOG_WARNING,
            "a start refuses this directory; what follows is what --accept-loss would find");
        status = open_on_overlay(&check, dir, true);
        if (status == -EUCLEAN) { /* not even then: all is told */
            *ret = check.totals;
            check_end(&check);
            return 0;
        }
    }
    if (status == 0) {
        check.totals.unclean = storage_was_unclean(check.storage);
        check.totals.format = STORAGE_FORMAT;
        for (struct topic *topic = NULL; (topic = storage_topic_next(check.storage, topic));) {
            for (int32_t i = 0; i < topic->log_count; i++)
                log_look(&check, topic->logs[i]);
        }
    }
    check_end(&check);
    *ret = check.totals;
    return status;
}
