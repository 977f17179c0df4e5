/*
 * See log_read in storage.h.
 *
 * Happy path
 *  - the offset is still in the ring: copy batches from there
 *  - else from the segment: the hint (the end of the last read: a consumer goes on there) or the
 *    index gives a place; if the file is open and the bytes were verified since the start, try
 *    without waiting
 *  - what would wait (cold bytes, a file to be opened, a footer to be loaded or an index to be
 *    built, bytes that nobody verified yet) goes to the pool
 *
 * Nothing is shown that was not verified (verify.h). Of damage only the batches that it hit can't
 * be read: reads end before it, answer -EBADMSG inside, and go on behind it. Where the write-ahead
 * log was damaged at the start (log_body.damaged), nothing from there on is shown.
 */
#include "storage/read.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "protocol/base/mem.h"
#include "storage/owner.h"

/* ---- places -------------------------------------------------------------------------------- */

/* Behind damage that lies between `place` and the batch of `offset` it goes on at a known place. */
static void pass_damages(const struct segment *segment, int64_t offset, struct place *place)
{
    for (size_t i = 0; i < segment->proof.damage_count; i++) {
        const struct damage *damage = &segment->proof.damages[i];
        if (damage->end_offset <= offset && damage->end_position > place->position)
            *place = (struct place){ damage->end_position, damage->end_offset };
    }
}

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
    pass_damages(segment, offset, ret);
    return true;
}

bool visit_place_time(const struct segment *segment, int64_t time, struct place *ret)
{
    const struct index_entry *entry = index_floor_time(&segment->index, time);
    if (!entry && segment->index.from > 0)
        return false;
    if (entry && !segment_knows_time(segment, entry))
        entry = NULL;
    ret->position = entry ? entry->position : 0;
    ret->offset = segment->claim.base_offset + (entry ? entry->offset : 0);
    return true;
}

/* The offset behind what is in the file. */
static int64_t file_end(const struct segment *segment)
{
    const struct log *log = segment->log;
    const struct log_body *body = log->body;
    if (segment->written == segment->claim.size)
        return segment->claim.end_offset;
    for (uint32_t i = body->written; i < body->count; i++) {
        if (log_entry(log, i)->base_offset >= segment->claim.base_offset)
            return log_entry(log, i)->base_offset;
    }
    return segment->claim.end_offset;
}

struct source visit_source(const struct segment *segment, bool nowait)
{
    return (struct source){
        .disk = segment->log->body->storage->disk,
        .file = segment->file,
        .nowait = nowait,
        .dense = !(segment->claim.flags & SEGMENT_SPARSE),
        .size = segment->written,
        .base_offset = segment->claim.base_offset,
        .end_offset = file_end(segment),
    };
}

struct epoch_start *segment_epochs(const struct segment *segment, size_t *ret_count)
{
    const struct epochs *epochs = &segment->log->body->epochs;
    size_t first = 0, end;
    while (
        first + 1 < epochs->count && epochs->starts[first + 1].offset <= segment->claim.base_offset)
        first++;
    for (end = first; end < epochs->count && epochs->starts[end].offset < segment->claim.end_offset;
         end++)
        continue;
    *ret_count = end - first;
    if (end == first)
        return NULL;
    struct epoch_start *copy = mem_zalloc(end - first, sizeof(*copy));
    memcpy(copy, epochs->starts + first, (end - first) * sizeof(*copy));
    return copy;
}

/* ---- visits, in the pool ------------------------------------------------------------------- */

/* The footer is not there: from the file one is made for this visit. Where that has another root
 * the file is damaged, and where is told batch by batch. */
static int footer_rebuild(struct visit *visit)
{
    visit->footer_lost = true;
    footer_init(&visit->footer, visit->source.base_offset, visit->step);
    int status = verify_all(&visit->verifier, &visit->footer);
    visit->footer_there = status == 0 && visit->footer.root == visit->root;
    if (visit->footer_there)
        return 0;
    footer_done(&visit->footer);
    if (status < 0 && status != -EBADMSG)
        return status;
    if (visit->verifier.proof.damage_count == 0) {
        /* Every batch looks whole, and yet it is not what was written: something that only the
         * hashes covered, and they are gone. */
        struct damage all = { 0, visit->source.size, visit->source.base_offset,
            visit->source.end_offset };
        (void)proof_add_damage(&visit->verifier.proof, &all);
        status = -EBADMSG;
    } else {
        status = 0;
    }
    visit->distrusted = true;
    return status;
}

/* Loads the footer if there must be one. */
static int visit_footer(struct visit *visit)
{
    if (!visit->footer_path || visit->footer_there || visit->distrusted)
        return 0;
    int status = footer_read(visit->disk, visit->footer_path, visit->source.base_offset,
        visit->source.size, visit->root, &visit->footer);
    visit->footer_there = status == 0;
    if (status == -EMFILE || status == -ENFILE)
        return status;
    if (status < 0)
        status = footer_rebuild(visit);
    if (visit->footer_there) {
        visit->verifier.extents = visit->footer.extents;
        visit->verifier.index = &visit->footer.index;
    }
    return status;
}

static int visit_build(struct visit *visit)
{
    int status = visit_footer(visit);
    if (status == 0 && !visit->footer_there) {
        status = verify_index(&visit->verifier, visit->step, &visit->index);
        visit->built = status == 0;
    }
    if (status < 0)
        return status;
    const struct index *index = visit->footer_there ? &visit->footer.index : &visit->index;
    const struct index_entry *entry = NULL;
    if (!visit->by_time)
        entry = index_floor(index, (uint32_t)(visit->offset - visit->source.base_offset));
    else if (visit->footer_there) /* what headers alone say of times was not verified */
        entry = index_floor_time(index, visit->time);
    visit->place.position = entry ? entry->position : 0;
    visit->place.offset = visit->source.base_offset + (entry ? entry->offset : 0);
    return 0;
}

/* Something at or behind the limit is needed, to find `offset`. */
static int visit_more(struct visit *visit, int64_t offset, size_t want)
{
    struct source *source = &visit->source;
    if (visit->damage.end_position > 0) {
        if (offset < visit->damage.end_offset)
            return -EBADMSG;
        visit->place = (struct place){ visit->damage.end_position, visit->damage.end_offset };
        source->limit = visit->place.position;
        visit->damage = (struct damage){ 0 };
    }
    int status = visit_footer(visit);
    if (status < 0)
        return status;
    uint64_t from = source->limit > visit->place.position ? source->limit : visit->place.position;
    uint64_t until = from + (want > FOOTER_EXTENT ? want : FOOTER_EXTENT);
    const struct damage *known = proof_damage_behind(&visit->known, from);
    if (known && known->position <= from) {
        source->limit = from;
        visit->damage = *known;
        return 0;
    }
    if (known && until > known->position)
        until = known->position;
    status = verify_more(&visit->verifier, &visit->place, until, &source->limit, &visit->damage);
    if (source->limit >= visit->fresh_from)
        source->limit = source->size;
    return status < 0 && source->limit > from ? 0 : status;
}

int visit_locate(struct visit *visit, int64_t offset)
{
    int status;
    while ((status = source_locate(&visit->source, &visit->place, offset)) == -EAGAIN) {
        status = visit_more(visit, offset, 0);
        if (status < 0)
            break;
    }
    return status;
}

int visit_walk(struct visit *visit,
    bool (*each)(void *context, const struct place *place, const struct batch_view *view),
    void *context)
{
    int status;
    while ((status = source_walk(&visit->source, &visit->place, each, context)) == -EAGAIN) {
        status = visit_more(visit, visit->place.offset, VERIFY_WINDOW);
        if (status < 0)
            break;
    }
    return status;
}

int visit_take(struct visit *visit, const struct take *take, struct buffer **ret)
{
    int status;
    size_t want = take->max_bytes;
    /* The loop's pool of buffers is not for other threads. */
    while ((status = source_take(&visit->source, &visit->place, take, NULL, ret)) == -EAGAIN) {
        status = visit_more(visit, visit->place.offset, want);
        if (status < 0)
            break;
        want = want < SIZE_MAX / 4 ? want * 2 : want; /* a batch larger than what was wanted */
    }
    return status;
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

/* ---- visits, on the loop ------------------------------------------------------------------- */

void segment_merge_proof(struct segment *segment, const struct proof *proof)
{
    const struct log *log = segment->log;
    for (size_t i = 0; i < proof->span_count; i++)
        proof_add_span(&segment->proof, proof->spans[i].low, proof->spans[i].high);
    for (size_t i = 0; i < proof->damage_count; i++) {
        const struct damage *damage = &proof->damages[i];
        if (proof_add_damage(&segment->proof, damage) && !segment->dropped)
            doors_say(log->body->storage->doors, LOG_ERROR,
                "%s-%" PRId32 ": offsets %" PRId64 " to %" PRId64 " are damaged (bytes %" PRIu64
                " to %" PRIu64 " of %020" PRId64
                ".log): they can't be read, what lies before and behind can",
                log->topic->name, log->partition, damage->offset, damage->end_offset - 1,
                damage->position, damage->end_position - 1, segment->claim.base_offset);
    }
}

static void segment_was_read(struct segment *segment, const struct place *place)
{
    segment->hint_offset = place->offset;
    segment->hint_position = place->position;
}

static void segment_learn(struct visit *visit, struct segment *segment)
{
    struct residents *residents = &visit->storage->residents;
    if (visit->footer_there)
        residents_footer(residents, segment, &visit->footer);
    if (visit->built && !segment->dropped && segment->index.from > 0)
        residents_index_built(residents, segment, &visit->index);
    segment->distrusted |= visit->distrusted;
    segment_merge_proof(segment, &visit->verifier.proof);
    if (visit->footer_lost)
        seals_add(visit->storage, segment);
}

static void visit_leave_segment(struct visit *visit)
{
    struct segment *segment = visit->segment;
    if (visit->opened)
        residents_adopt(&visit->storage->residents, segment, visit->source.file);
    segment_learn(visit, segment);
    if (visit->hint && visit->status == 0)
        segment_was_read(segment, &visit->place);
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
    footer_done(&visit->footer);
    mem_free(visit->epochs);
    proof_done(&visit->known);
    verify_done(&visit->verifier);
    mem_free(visit->path);
    mem_free(visit->footer_path);
    log_unuse(visit->log);
}

static void complain(struct segment *segment, int status)
{
    const struct log *log = segment->log;
    if (segment->complained || (status != -EBADMSG && status != -EIO))
        return;
    if (status == -EBADMSG && segment->proof.damage_count > 0) /* said more exactly */
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
    struct segment *segment = visit->segment;
    if (segment)
        segment->users++; /* not to be gone before it is complained of */
    visit_end(visit);
    if (segment) {
        complain(segment, visit->status);
        segment->users--;
        log_release_segment(segment);
    }
    residents_trim(&storage->residents);
    visit->done(visit);
    removals_step(storage);
    storage_close_step(storage);
}

/* What verifying needs of the segment. */
static void visit_prepare(struct visit *visit, const struct segment *segment)
{
    visit->source = visit_source(segment, false);
    visit->source.limit = visit->build ? 0 : segment_reach(segment, visit->place.position);
    visit->fresh_from = segment->fresh_from;
    visit->root = segment->claim.root;
    visit->step = log_index_step(visit->log);
    visit->verifier = (struct verifier){ .source = &visit->source };
    for (size_t i = 0; i < segment->proof.damage_count; i++)
        (void)proof_add_damage(&visit->known, &segment->proof.damages[i]);
    visit->epochs = segment_epochs(segment, &visit->verifier.epoch_count);
    visit->verifier.epochs = visit->epochs;
    if (segment->sealed && segment->index.from == 0 && segment->index.count)
        visit->verifier.index = &segment->index;
    if (segment_is_rooted(segment) && segment->extents)
        visit->verifier.extents = segment->extents;
    else if (segment_is_rooted(segment))
        visit->footer_path = segment_footer_path(segment);
}

void visit_submit(struct visit *visit)
{
    struct segment *segment = visit->segment;
    struct storage *storage = visit->log->body->storage;
    visit->storage = storage;
    visit->disk = storage->doors->disk;
    visit->path = visit->footer_path = NULL;
    visit->epochs = NULL;
    visit->known = (struct proof){ 0 };
    visit->opened = visit->built = false;
    visit->footer_there = visit->footer_lost = visit->distrusted = false;
    visit->damage = (struct damage){ 0 };
    visit->verifier = (struct verifier){ 0 };
    visit->work.run = visit_run;
    visit->work.done = visit_done;
    if (segment) {
        visit_prepare(visit, segment);
        visit->path = segment->file ? NULL : segment_path(segment);
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
    int64_t end_offset; /* the read's */
    struct buffer *buffer;
};

/* Nothing was taken because damage comes first: so it is in a hole that compaction left. */
static int take_result(
    const struct take *take, int64_t end_offset, const struct buffer *buffer, int status)
{
    bool cut = take->below < end_offset && take->at_least_one;
    return status == 0 && !buffer && cut ? -EBADMSG : status;
}

static int cold_run(struct visit *visit)
{
    struct log_read_state *state = container_of(visit, struct log_read_state, visit);
    int status = visit_locate(visit, visit->offset);
    if (status == 0)
        status = visit_take(visit, &state->take, &state->buffer);
    return take_result(&state->take, state->end_offset, state->buffer, status);
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

/* Up to the damage that is known to come next. */
static struct take take_of(const struct log_read *read, const struct segment *segment)
{
    const struct damage *damage = proof_damage_from(&segment->proof, read->offset);
    return (struct take){
        .max_bytes = read->max_bytes,
        .at_least_one = read->at_least_one,
        .below = damage && damage->offset < read->end_offset ? damage->offset : read->end_offset,
    };
}

static int read_cold(struct storage *storage, struct log_read *read, struct segment *segment)
{
    struct log_read_state *state = mem_zalloc(1, sizeof(*state));
    state->read = read;
    state->take = take_of(read, segment);
    state->end_offset = read->end_offset;
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
    const struct damage *damage = proof_damage_from(&segment->proof, read->offset);
    if (damage && damage->offset <= read->offset)
        return -EBADMSG;
    if (!segment->file || !visit_place(segment, read->offset, &place))
        return read_cold(storage, read, segment);
    struct source source = visit_source(segment, true);
    struct take take = take_of(read, segment);
    source.limit = segment_reach(segment, place.position);
    int status = source_locate(&source, &place, read->offset);
    if (status == 0)
        status = source_take(&source, &place, &take, storage->doors->buffers, &read->buffer);
    if (status == -EAGAIN)
        return read_cold(storage, read, segment);
    status = take_result(&take, read->end_offset, read->buffer, status);
    residents_touch(&storage->residents, segment);
    if (status == 0) {
        storage->stats.reads_warm++;
        segment_was_read(segment, &place);
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
    if (log->source)
        return log->source->read(log->source->context, read);
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
