/*
 * See log_find_time in storage.h.
 *
 * A search goes up the log batch by batch from `at`, always below `below`: whole segments are
 * passed by their largest timestamp, inside one the index gives the place to start, and batches are
 * passed by their headers. A batch that may hold the record is read, decompressed and looked
 * through. What is in the ring is looked at on the loop; files and decompression are the pool's.
 *
 * The greatest timestamp takes two passes: one over headers only, to learn what it is (segments
 * that are visible to their end know it), then the search for it.
 *
 * Between two steps bytes may move from the ring to the file; since the search stands at an offset
 * and looks anew where that is, it misses nothing.
 */
#include <errno.h>
#include <string.h>

#include "protocol/base/mem.h"
#include "protocol/record.h"
#include "storage/owner.h"
#include "storage/read.h"

enum { DECOMPRESSED_MAX = 256 << 20 };

struct log_find_state {
    struct visit visit;
    struct log_find_time *find; /* NULL: cancelled */
    struct storage *storage;
    struct log *log;
    int64_t at, below, target;
    int64_t from;         /* the log's start: the first batch may begin before it */
    bool measuring;       /* the first of two passes: target becomes the greatest timestamp */
    struct buffer *batch; /* a copy of one in the ring */
    bool found;
    int64_t offset, timestamp_ms;
    int32_t leader_epoch;
};

/* ---- one batch ----------------------------------------------------------------------------- */

/* May hold what is sought, by its header. */
static bool batch_may(const struct log_find_state *state, const struct batch_view *view)
{
    return view->max_timestamp >= state->target && view->base_offset < state->below &&
           view->count > 0;
}

static void measure(struct log_find_state *state, const struct batch_view *view)
{
    if (batch_last_offset(view) < state->below && view->max_timestamp > state->target &&
        view->count > 0) /* not what compaction left of one */
        state->target = view->max_timestamp;
}

/* Looks through the records of a whole batch. In the pool. */
static int batch_search(struct log_find_state *state, struct bytes bytes)
{
    struct batch_view view;
    struct bytes records;
    if (batch_parse(bytes, &view) != BATCH_OK || batch_check(&view) != BATCH_OK)
        return -EBADMSG;
    struct compressor compressor;
    compressor_init(&compressor);
    int status = batch_records(&view, &compressor, DECOMPRESSED_MAX, &records);
    if (status == 0) {
        struct record_reader reader;
        struct record_view record;
        record_reader_init(&reader, &view, records);
        while (!state->found && record_next(&reader, &record)) {
            if (record.timestamp < state->target || record.offset < state->from ||
                record.offset >= state->below)
                continue;
            state->found = true;
            state->offset = record.offset;
            state->timestamp_ms = record.timestamp;
            state->leader_epoch = view.leader_epoch;
        }
        status = state->found ? 0 : record_reader_end(&reader);
    }
    compressor_done(&compressor);
    return status;
}

/* ---- one file, in the pool ----------------------------------------------------------------- */

static bool pass_batch(void *context, const struct place *place, const struct batch_view *view)
{
    struct log_find_state *state = context;
    (void)place;
    if (view->base_offset >= state->below)
        return false;
    if (state->measuring)
        measure(state, view);
    return state->measuring || !batch_may(state, view);
}

static int file_run(struct visit *visit)
{
    struct log_find_state *state = container_of(visit, struct log_find_state, visit);
    int status = visit_locate(visit, visit->offset);
    while (status == 0 && !state->found) {
        status = visit_walk(visit, pass_batch, state);
        if (status < 0 || visit->place.position >= visit->source.size ||
            visit->place.offset >= state->below || state->measuring)
            break;
        struct take one = { .at_least_one = true, .below = INT64_MAX };
        struct buffer *buffer;
        status = visit_take(visit, &one, &buffer);
        if (status == 0 && !buffer) /* refused for its base offset: nothing is left below */
            break;
        if (status == 0)
            status = batch_search(state, bytes_of(buffer->data, buffer->len));
        if (status == 0 || buffer)
            buffer_unref(buffer);
    }
    return status;
}

static int copy_run(struct visit *visit)
{
    struct log_find_state *state = container_of(visit, struct log_find_state, visit);
    return batch_search(state, bytes_of(state->batch->data, state->batch->len));
}

/* ---- the steps, on the loop ---------------------------------------------------------------- */

static int step(struct log_find_state *state);

static void finish(struct log_find_state *state, int status)
{
    struct log_find_time *find = state->find;
    if (find) {
        find->state = NULL;
        find->offset = state->found ? state->offset : -1;
        find->timestamp_ms = state->found ? state->timestamp_ms : -1;
        find->leader_epoch = state->found ? state->leader_epoch : -1;
    }
    mem_free(state);
    if (find)
        find->done(find, status);
}

static void state_done(struct visit *visit)
{
    struct log_find_state *state = container_of(visit, struct log_find_state, visit);
    int status = visit->status;
    buffer_unref(state->batch);
    state->batch = NULL;
    if (state->log->topic->deleted)
        status = -ENOENT;
    if (status == 0 && state->find && !state->found)
        status = step(state);
    if (status != -EINPROGRESS)
        finish(state, status);
}

static void state_forget(struct visit *visit)
{
    struct log_find_state *state = container_of(visit, struct log_find_state, visit);
    if (state->find)
        state->find->state = NULL;
    buffer_unref(state->batch);
    mem_free(state);
}

static int submit(struct log_find_state *state, struct segment *segment)
{
    struct visit *visit = &state->visit;
    visit->log = state->log;
    visit->segment = segment;
    visit->run = segment ? file_run : copy_run;
    visit->done = state_done;
    visit->forget = state_forget;
    visit_submit(visit);
    return -EINPROGRESS;
}

/* The batch is copied: the ring does not wait for the pool. */
static int submit_entry(struct log_find_state *state, const struct ring_entry *entry)
{
    state->batch = buffer_create(NULL, entry->len);
    if (!state->batch)
        return -ENOMEM;
    memcpy(state->batch->data, wal_payload(state->storage->wal, entry->lsn), entry->len);
    state->batch->len = entry->len;
    state->at = entry->base_offset + entry->last_offset_delta + 1;
    return submit(state, NULL);
}

/* The ring is the end of the log: behind it there is nothing. */
static int step_ring(struct log_find_state *state, uint32_t index)
{
    for (; index < state->log->body->count; index++) {
        const struct ring_entry *entry = log_entry(state->log, index);
        struct batch_view view;
        struct bytes bytes = bytes_of(wal_payload(state->storage->wal, entry->lsn), entry->len);
        if (entry->base_offset >= state->below || batch_parse_header(bytes, &view) != BATCH_OK)
            break;
        if (state->measuring)
            measure(state, &view);
        else if (batch_may(state, &view))
            return submit_entry(state, entry);
    }
    state->at = state->below;
    return 0;
}

static int step_file(struct log_find_state *state, struct segment *segment)
{
    struct visit *visit = &state->visit;
    const struct segment_claim *claim = &segment->claim;
    visit->offset = state->at > claim->base_offset ? state->at : claim->base_offset;
    visit->by_time = !state->measuring && state->at <= claim->base_offset;
    visit->time = state->target;
    if (state->measuring) {
        /* From the last entry below the end on; what lies before it the entry knows. */
        uint64_t end = (uint64_t)(state->below - claim->base_offset);
        const struct index_entry *entry =
            index_floor(&segment->index, end > UINT32_MAX ? UINT32_MAX : (uint32_t)end);
        if (entry && !segment_knows_time(segment, entry))
            entry = NULL;
        visit->build = false;
        visit->place = (struct place){ 0, claim->base_offset };
        if (entry && entry->max_timestamp > state->target)
            state->target = entry->max_timestamp;
        if (entry && claim->base_offset + entry->offset > visit->offset) {
            visit->place = (struct place){ entry->position, claim->base_offset + entry->offset };
            visit->offset = visit->place.offset;
        }
    } else if (visit->by_time) {
        visit->build = !visit_place_time(segment, state->target, &visit->place);
    } else {
        visit->build = !visit_place(segment, visit->offset, &visit->place);
    }
    /* When the visit ends the file is searched as far as it goes now. */
    state->at = claim->end_offset;
    const struct log_body *body = state->log->body;
    if (body->written < body->count && log_unwritten_segment(state->log) == segment)
        state->at = log_entry(state->log, body->written)->base_offset;
    return submit(state, segment);
}

/* Goes up the log until something must be waited for (-EINPROGRESS) or the search is over (0). */
static int pass(struct log_find_state *state)
{
    struct segment *segment;
    while (state->at < state->below && (segment = log_segment(state->log, state->at))) {
        if (segment->claim.base_offset >= state->below)
            break;
        if (state->at < segment->claim.base_offset) /* in a hole that compaction left */
            state->at = segment->claim.base_offset;
        if (segment->claim.max_timestamp < state->target ||
            (state->measuring && segment->claim.max_timestamp == state->target)) {
            state->at = segment->claim.end_offset;
            continue;
        }
        if (state->measuring && segment->claim.max_timestamp_offset < state->below) {
            state->target = segment->claim.max_timestamp;
            state->at = segment->claim.end_offset;
            continue;
        }
        uint32_t entry = log_entry_find(state->log, state->at);
        int status =
            entry < state->log->body->count ? step_ring(state, entry) : step_file(state, segment);
        if (status < 0)
            return status;
    }
    return 0;
}

static int step(struct log_find_state *state)
{
    if (state->measuring) {
        int status = pass(state);
        if (status < 0)
            return status;
        state->measuring = false;
        state->at = state->log->start_offset;
        if (state->target < 0) /* no record has a timestamp */
            state->at = state->below;
    }
    return pass(state);
}

int log_find_time(struct storage *storage, struct log_find_time *find)
{
    struct log *log = find->log;
    find->state = NULL;
    find->offset = find->timestamp_ms = find->leader_epoch = -1;
    if (log->topic->deleted)
        return -ENOENT;
    if (log->source)
        return log->source->find_time(log->source->context, find);
    struct log_find_state *state = mem_zalloc(1, sizeof(*state));
    state->find = find;
    state->storage = storage;
    state->log = log;
    state->at = state->from = log->start_offset;
    state->below = find->end_offset < log->end_offset ? find->end_offset : log->end_offset;
    if (log->body->damaged && log->body->damaged_offset < state->below)
        state->below = log->body->damaged_offset;
    state->measuring = find->max;
    state->target = find->max ? -1 : find->target_ms;
    find->state = state;
    int status = step(state);
    if (status == -EINPROGRESS)
        return status;
    find->state = NULL;
    mem_free(state);
    return status;
}

void log_find_cancel(struct log_find_time *find)
{
    if (!find->state && find->log->source)
        find->log->source->find_cancel(find->log->source->context, find);
    if (find->state)
        find->state->find = NULL;
    find->state = NULL;
}
