/*
 * See seal.h.
 *
 * Happy path: seals_step takes the first segment whose bytes are all in the file, makes a footer
 * with what only the loop knows (aborted transactions), and submits the job; seal_run fills, writes
 * and syncs it; seal_done gives the root to the claim.
 *
 * The file is opened by the job, apart from the segment's own: nothing of a reader's is disturbed.
 * A file of that name that a former life left is written over; whatever is in it, nobody believes
 * it without the root. Errors: a sync that fails is fail-stop, as everywhere; what passes (a full
 * disk) is tried again; a segment that can't be read or is damaged is left as it is until the next
 * start.
 */
#include "storage/seal.h"

#include <errno.h>
#include <inttypes.h>

#include "protocol/base/mem.h"
#include "storage/footer.h"
#include "storage/owner.h"
#include "storage/read.h"
#include "storage/verify.h"

struct seal {
    struct work_job work;
    struct storage *storage;
    struct disk *disk;
    struct segment *segment;
    struct source source;
    struct verifier verifier;
    struct epoch_start *epochs;
    struct footer footer;
    char *path, *footer_path, *directory;
    bool again;    /* there is a root already, and it must come out the same */
    uint64_t root; /* that one */
    bool written;
    int status;
};

/* ---- in the pool --------------------------------------------------------------------------- */

static void seal_run(struct work_job *work)
{
    struct seal *seal = container_of(work, struct seal, work);
    seal->status = seal->disk->table->open(seal->disk, seal->path, DISK_READ, &seal->source.file);
    if (seal->status < 0)
        return;
    seal->status = verify_all(&seal->verifier, &seal->footer);
    seal->disk->table->close(seal->source.file);
    if (seal->status == 0 && seal->again && seal->footer.root != seal->root)
        seal->status = -EBADMSG;
    if (seal->status == 0) {
        seal->written = true;
        seal->status = footer_write(seal->disk, seal->footer_path, seal->directory, &seal->footer);
    }
}

/* ---- on the loop --------------------------------------------------------------------------- */

static void seal_end(struct seal *seal)
{
    struct storage *storage = seal->storage;
    struct segment *segment = seal->segment;
    struct log *log = segment->log;
    storage->seals.running = NULL;
    segment->users--;
    log_release_segment(segment);
    log_unuse(log);
    verify_done(&seal->verifier);
    footer_done(&seal->footer);
    mem_free(seal->epochs);
    mem_free(seal->path);
    mem_free(seal->footer_path);
    mem_free(seal->directory);
    mem_free(seal);
}

static void seal_settle(struct seal *seal)
{
    struct segment *segment = seal->segment;
    segment->claim.root = seal->footer.root;
    segment->claim.flags |= SEGMENT_ROOTED;
    seal->storage->checkpoint.changed = true;
    seal->storage->stats.seals++;
    if (segment->index.from > 0)
        residents_footer(&seal->storage->residents, segment, &seal->footer);
}

static void seal_refuse(struct seal *seal)
{
    const struct segment *segment = seal->segment;
    const struct log *log = segment->log;
    seal->segment->unsealable = true;
    if (seal->status == -EBADMSG && seal->verifier.proof.damage_count > 0)
        return; /* said already, more exactly */
    doors_say(seal->storage->doors, LOG_ERROR,
        "%s-%" PRId32 ": the segment of offset %" PRId64 " gets no footer: %s", log->topic->name,
        log->partition, segment->claim.base_offset,
        seal->status == -EBADMSG ? "it is damaged" : strerrordesc_np(-seal->status));
}

static void timer_fired(struct timer *timer)
{
    struct storage *storage = container_of(timer, struct storage, seals.timer);
    storage->seals.paused = false;
    seals_step(storage);
}

static void seals_pause(struct storage *storage)
{
    storage->seals.paused = true;
    timer_set(storage->doors->timers, &storage->seals.timer,
        clock_monotonic_ns(storage->doors->clock) + SEAL_RETRY_MS * CLOCK_NS_PER_MS);
}

static void seal_done(struct work_job *work)
{
    struct seal *seal = container_of(work, struct seal, work);
    struct storage *storage = seal->storage;
    struct segment *segment = seal->segment;
    int status = seal->status;
    bool failed = status == -EIO && seal->written;
    segment_merge_proof(segment, &seal->verifier.proof);
    if (status == 0 && !segment->dropped) {
        seal_settle(seal);
    } else if (writeback_is_passing(status)) {
        seals_pause(storage);
        seals_add(storage, segment);
    } else if (status < 0 && !failed && !segment->dropped) {
        seal_refuse(seal);
    }
    seal_end(seal);
    if (failed) {
        storage_fail(storage, status, "writing a segment's footer");
        return;
    }
    seals_step(storage);
    checkpoint_step(storage);
    removals_step(storage);
    storage_close_step(storage);
}

static bool add_aborted(void *context, const struct aborted_transaction *aborted)
{
    struct seal *seal = context;
    const struct segment_claim *claim = &seal->segment->claim;
    if (aborted->last_offset < claim->base_offset || aborted->last_offset >= claim->end_offset)
        return true;
    return footer_abort(&seal->footer, aborted) == 0;
}

static void seal_begin(struct storage *storage, struct segment *segment)
{
    struct seal *seal = mem_zalloc(1, sizeof(*seal));
    struct log *log = segment->log;
    const struct segment_claim *claim = &segment->claim;
    seal->storage = storage;
    seal->disk = storage->doors->disk;
    seal->segment = segment;
    seal->source = visit_source(segment, false);
    seal->source.limit = seal->source.size;
    seal->epochs = segment_epochs(segment, &seal->verifier.epoch_count);
    seal->verifier.epochs = seal->epochs;
    seal->verifier.source = &seal->source;
    seal->path = segment_path(segment);
    seal->footer_path = segment_footer_path(segment);
    seal->directory = log_directory(log);
    seal->again = claim->flags & SEGMENT_ROOTED;
    seal->root = claim->root;
    footer_init(&seal->footer, claim->base_offset, log_index_step(log));
    log_each_aborted(log, claim->base_offset, INT64_MAX, add_aborted, seal);
    segment->users++;
    log_use(log);
    storage->seals.running = seal;
    seal->work.run = seal_run;
    seal->work.done = seal_done;
    work_submit(storage->doors->work, &seal->work);
}

void seals_add(struct storage *storage, struct segment *segment)
{
    if (!segment->dropped && !segment->unsealable && list_empty(&segment->seal))
        list_append(&storage->seals.todo, &segment->seal);
}

void seals_step(struct storage *storage)
{
    struct seals *seals = &storage->seals;
    if (storage->failed || storage->recovering || storage->closing || seals->running ||
        seals->paused || storage->writeback.full)
        return;
    list_foreach_safe (node, following, &seals->todo) {
        struct segment *segment = list_entry(node, struct segment, seal);
        if (segment->written < segment->claim.size || !segment->created)
            continue;
        list_remove(node);
        if (segment->log->topic->deleted)
            continue;
        seal_begin(storage, segment);
        return;
    }
}

bool seals_idle(const struct storage *storage)
{
    return !storage->seals.running;
}

void seals_init(struct storage *storage)
{
    list_init(&storage->seals.todo);
    storage->seals.timer.fire = timer_fired;
}

void seals_done(struct storage *storage)
{
    timer_cancel(storage->doors->timers, &storage->seals.timer);
    if (storage->seals.running)
        seal_end(storage->seals.running);
    while (list_pop(&storage->seals.todo))
        continue;
}
