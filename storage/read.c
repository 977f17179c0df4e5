/*
 * See log_read in storage.h.
 *
 * Happy path
 *  - the offset is still in the ring: copy batches from there
 *  - else from the segment: the hint (the end of the last read: a consumer goes on there) or the
 *    index gives a place; if the file is open, try without waiting
 *  - what would wait (cold bytes, a file to be opened, an index to be built) goes to the pool
 *
 * A read never shows bytes whose header does not fit the log's claims, and nothing at or behind
 * damage found at the start.
 */
#include "storage/read.h"

#include <errno.h>
#include <string.h>

#include "protocol/base/mem.h"
#include "storage/owner.h"

/* ---- visits -------------------------------------------------------------------------------- */

bool visit_place(const struct segment *segment, int64_t offset, struct place *ret)
{
    const struct segment_claim *claim = &segment->claim;
    if (segment->hint_offset == offset) {
        *ret = (struct place){ segment->hint_position, offset };
        return true;
    }
    const struct index_entry *entry = NULL;
    if (offset >= claim->base_offset)
        entry = index_floor(&segment->index, (uint32_t)(offset - claim->base_offset));
    if (!entry && segment->index.from > 0 && offset > claim->base_offset)
        return false;
    ret->position = entry ? entry->position : 0;
    ret->offset = entry ? claim->base_offset + entry->offset : claim->base_offset;
    return true;
}

bool visit_place_time(const struct segment *segment, int64_t time, struct place *ret)
{
    const struct index_entry *entry = index_floor_time(&segment->index, time);
    if (!entry && segment->index.from > 0)
        return false;
    ret->position = entry ? entry->position : 0;
    ret->offset = segment->claim.base_offset + (entry ? entry->offset : 0);
    return true;
}

struct source visit_source(const struct segment *segment, bool nowait)
{
    return (struct source){
        .disk = segment->log->body->storage->disk,
        .file = segment->file,
        .nowait = nowait,
        .size = segment->written,
        .base_offset = segment->claim.base_offset,
        .end_offset = segment->claim.end_offset,
        .fresh_from = segment->fresh_from,
        .trusted_low = segment->trusted_low,
        .trusted_high = segment->trusted_high,
    };
}

static int visit_build(struct visit *visit)
{
    int status = source_index(&visit->source, visit->step, &visit->index);
    visit->built = status == 0;
    if (status < 0)
        return status;
    const struct index_entry *entry =
        visit->by_time
            ? index_floor_time(&visit->index, visit->time)
            : index_floor(&visit->index, (uint32_t)(visit->offset - visit->source.base_offset));
    visit->place.position = entry ? entry->position : 0;
    visit->place.offset = visit->source.base_offset + (entry ? entry->offset : 0);
    return 0;
}

static void visit_run(struct work_job *work)
{
    struct visit *visit = container_of(work, struct visit, work);
    visit->status = 0;
    if (visit->path) {
        visit->status =
            visit->disk->table->open(visit->disk, visit->path, DISK_WRITE, &visit->source.file);
        visit->opened = visit->status == 0;
        if (visit->status == -ENOENT) /* the log says that it is there */
            visit->status = -EBADMSG;
    }
    if (visit->status == 0 && visit->build)
        visit->status = visit_build(visit);
    if (visit->status == 0)
        visit->status = visit->run(visit);
}

/* `len` bytes up to `place` were taken. */
static void segment_was_read(struct segment *segment, const struct place *place, uint64_t len)
{
    segment->hint_offset = place->offset;
    segment->hint_position = place->position;
    segment_trust(segment, place->position - len, place->position);
}

static void visit_leave_segment(struct visit *visit)
{
    struct segment *segment = visit->segment;
    struct residents *residents = &visit->storage->residents;
    if (visit->opened)
        residents_adopt(residents, segment, visit->source.file);
    if (visit->built && !segment->dropped && segment->index.from > 0)
        residents_index_built(residents, segment, &visit->index);
    if (visit->hint && visit->status == 0)
        segment_was_read(segment, &visit->place, visit->took);
    segment->users--;
    log_release_segment(segment);
}

/* Gives back what the visit holds. */
static void visit_end(struct visit *visit)
{
    list_remove(&visit->link);
    if (visit->segment)
        visit_leave_segment(visit);
    index_done(&visit->index);
    mem_free(visit->path);
    log_unuse(visit->log);
}

static void complain(struct segment *segment, int status)
{
    const struct log *log = segment->log;
    if (segment->complained || (status != -EBADMSG && status != -EIO))
        return;
    segment->complained = true;
    doors_say(log->body->storage->doors, LOG_ERROR, "%s-%d: reading the segment of offset %lld: %s",
        log->topic->name, log->partition, (long long)segment->claim.base_offset,
        status == -EBADMSG ? "damaged" : strerrordesc_np(-status));
}

static void visit_done(struct work_job *work)
{
    struct visit *visit = container_of(work, struct visit, work);
    struct storage *storage = visit->storage;
    if (visit->segment)
        complain(visit->segment, visit->status);
    visit_end(visit);
    residents_trim(&storage->residents);
    visit->done(visit);
    removals_step(storage);
    storage_close_step(storage);
}

void visit_submit(struct visit *visit)
{
    struct segment *segment = visit->segment;
    struct storage *storage = visit->log->body->storage;
    visit->storage = storage;
    visit->disk = storage->doors->disk;
    visit->path = NULL;
    visit->opened = visit->built = false;
    visit->work.run = visit_run;
    visit->work.done = visit_done;
    if (segment) {
        visit->source = visit_source(segment, false);
        visit->path = segment->file ? NULL : segment_path(segment);
        visit->step = (uint32_t)visit->log->topic->config.index_interval_bytes;
        segment->users++;
    }
    log_use(visit->log);
    list_append(&storage->visits, &visit->link);
    work_submit(storage->doors->work, &visit->work);
}

void read_init(struct storage *storage)
{
    list_init(&storage->visits);
}

bool read_idle(const struct storage *storage)
{
    return list_empty(&storage->visits);
}

void read_done(struct storage *storage)
{
    for (struct list *node; (node = list_first(&storage->visits));) {
        struct visit *visit = list_entry(node, struct visit, link);
        visit_end(visit);
        visit->forget(visit);
    }
}

/* ---- from the ring ------------------------------------------------------------------------- */

static bool entry_fits(const struct log_read *read, const struct ring_entry *entry, size_t len)
{
    bool room = len + entry->len <= read->max_bytes || (len == 0 && read->at_least_one);
    return room && entry->base_offset + entry->last_offset_delta < read->end_offset;
}

static int read_ring(struct storage *storage, struct log_read *read, uint32_t first)
{
    size_t len = 0;
    uint32_t end = first;
    while (end < read->log->body->count && entry_fits(read, log_entry(read->log, end), len))
        len += log_entry(read->log, end++)->len;
    if (len == 0)
        return 0;
    struct buffer *buffer = buffer_create(storage->doors->buffers, len);
    if (!buffer)
        return -ENOMEM;
    for (uint32_t i = first; i < end; i++) {
        const struct ring_entry *entry = log_entry(read->log, i);
        memcpy(buffer->data + buffer->len, wal_payload(storage->wal, entry->lsn), entry->len);
        buffer->len += entry->len;
    }
    read->buffer = buffer;
    storage->stats.reads_ring++;
    return 0;
}

/* ---- from a segment ------------------------------------------------------------------------ */

struct log_read_state {
    struct visit visit;
    struct log_read *read; /* NULL: cancelled */
    struct buffer_pool *pool;
    struct take take;
    struct buffer *buffer;
};

static int take_from(const struct source *source, struct place *place, int64_t offset,
    const struct take *take, struct buffer_pool *pool, struct buffer **ret)
{
    int status = source_locate(source, place, offset);
    return status < 0 ? status : source_take(source, place, take, pool, ret);
}

static int cold_run(struct visit *visit)
{
    struct log_read_state *state = container_of(visit, struct log_read_state, visit);
    /* The loop's pool of buffers is not for other threads. */
    return take_from(
        &visit->source, &visit->place, visit->offset, &state->take, NULL, &state->buffer);
}

static void cold_done(struct visit *visit)
{
    struct log_read_state *state = container_of(visit, struct log_read_state, visit);
    struct log_read *read = state->read;
    int status = visit->status;
    if (!read) {
        buffer_unref(state->buffer);
        mem_free(state);
        return;
    }
    if (status == 0 && read->log->topic->deleted)
        status = -ENOENT;
    read->state = NULL;
    read->buffer = status == 0 ? state->buffer : NULL;
    if (status < 0)
        buffer_unref(state->buffer);
    mem_free(state);
    read->done(read, status);
}

static void cold_forget(struct visit *visit)
{
    struct log_read_state *state = container_of(visit, struct log_read_state, visit);
    if (state->read)
        state->read->state = NULL;
    buffer_unref(state->buffer);
    mem_free(state);
}

static struct take take_of(const struct log_read *read)
{
    return (struct take){
        .max_bytes = read->max_bytes,
        .at_least_one = read->at_least_one,
        .below = read->end_offset,
    };
}

static int read_cold(struct storage *storage, struct log_read *read, struct segment *segment)
{
    struct log_read_state *state = mem_zalloc(1, sizeof(*state));
    state->read = read;
    state->take = take_of(read);
    state->visit.log = read->log;
    state->visit.segment = segment;
    state->visit.hint = true;
    state->visit.offset = read->offset;
    state->visit.build = !visit_place(segment, read->offset, &state->visit.place);
    state->visit.run = cold_run;
    state->visit.done = cold_done;
    state->visit.forget = cold_forget;
    read->state = state;
    storage->stats.reads_cold++;
    visit_submit(&state->visit);
    return -EINPROGRESS;
}

static int read_segment(struct storage *storage, struct log_read *read, struct segment *segment)
{
    struct place place;
    if (!segment->file || !visit_place(segment, read->offset, &place))
        return read_cold(storage, read, segment);
    struct source source = visit_source(segment, true);
    struct take take = take_of(read);
    int status =
        take_from(&source, &place, read->offset, &take, storage->doors->buffers, &read->buffer);
    if (status == -EAGAIN)
        return read_cold(storage, read, segment);
    residents_touch(&storage->residents, segment);
    if (status == 0) {
        storage->stats.reads_warm++;
        segment_was_read(segment, &place, read->buffer ? read->buffer->len : 0);
    }
    complain(segment, status);
    return status;
}

/* ---- the face ------------------------------------------------------------------------------ */

int log_read(struct storage *storage, struct log_read *read)
{
    struct log *log = read->log;
    const struct log_body *body = log->body;
    read->buffer = NULL;
    read->state = NULL;
    if (log->topic->deleted)
        return -ENOENT;
    if (read->offset < log->start_offset || read->offset > log->end_offset)
        return -ERANGE;
    if (read->end_offset > log->end_offset)
        read->end_offset = log->end_offset;
    if (body->damaged && read->end_offset > body->damaged_offset) {
        if (read->offset >= body->damaged_offset)
            return -EBADMSG;
        read->end_offset = body->damaged_offset;
    }
    if (read->offset >= read->end_offset)
        return 0;
    /* In a hole that compaction left: what comes behind it, which may be in the ring. */
    struct segment *segment = log_segment(log, read->offset);
    if (!segment)
        return 0;
    int64_t base_offset = segment->claim.base_offset;
    uint32_t entry = log_entry_find(log, read->offset > base_offset ? read->offset : base_offset);
    if (entry < body->count)
        return read_ring(storage, read, entry);
    return read_segment(storage, read, segment);
}

void log_read_cancel(struct log_read *read)
{
    if (read->state)
        read->state->read = NULL;
    read->state = NULL;
}
