/*
 * Records out of chunks. See intake.h.
 *
 *   chunks:  [ consumed in this unit ][ current: batch batch |batch ... ][ not yet read ]
 *
 * Record bytes handed out lie in a chunk, or, if the batch is compressed, in `unpacked`. A chunk
 * lives longer than any record array, but `unpacked` is overwritten by the next compressed batch:
 * therefore INTAKE_BLOCKED.
 *
 * Batches were checked when they were produced and when they were written; what fails here is
 * damage on disk or a bug, and ends as the task's failure with the offset named. Nothing is trusted
 * to stay in bounds.
 */
#include "processors/intake.h"

#include "protocol/base/mem.h"

struct chunk {
    struct list link;
    struct buffer *buffer;
    int64_t end_offset; /* behind its last batch */
    struct intake_aborted aborted;
};

void intake_init(struct intake *intake, int64_t position)
{
    *intake = (struct intake){ .position = position, .mark_position = position };
    list_init(&intake->chunks);
    list_init(&intake->finished);
}

void intake_done(struct intake *intake)
{
    out_done(&intake->unpacked);
}

void intake_add(
    struct intake *intake, struct buffer *buffer, int64_t end_offset, struct intake_aborted aborted)
{
    struct chunk *chunk = mem_alloc(sizeof(*chunk));
    chunk->buffer = buffer;
    chunk->end_offset = end_offset;
    chunk->aborted = aborted;
    list_append(&intake->chunks, &chunk->link);
    intake->bytes_held += buffer->len;
}

static void drop_list(struct intake *intake, struct list *list)
{
    for (struct list *node; (node = list_pop(list));) {
        struct chunk *chunk = list_entry(node, struct chunk, link);
        intake->bytes_held -= chunk->buffer->len;
        buffer_unref(chunk->buffer);
        mem_free(chunk->aborted.offsets);
        mem_free(chunk);
    }
}

void intake_drop(struct intake *intake, bool all)
{
    drop_list(intake, &intake->finished);
    if (all) {
        drop_list(intake, &intake->chunks);
        intake->current = NULL;
        intake->in_batch = intake->peeked = false;
        intake->run = (struct bytes){ NULL, 0 };
    }
}

/* Begins the chunk behind the current one. False if there is none. */
static bool next_chunk(struct intake *intake)
{
    struct list *next = intake->current ? intake->current->link.next : intake->chunks.next;
    if (next == &intake->chunks)
        return false;
    intake->current = list_entry(next, struct chunk, link);
    intake->run = bytes_of(intake->current->buffer->data, intake->current->buffer->len);
    return true;
}

/* Nobody sees the records of control batches, nor those of aborted transactions. */
static bool is_hidden(const struct intake *intake, const struct batch_view *batch)
{
    const struct intake_aborted *aborted = &intake->current->aborted;
    size_t low = 0, high = aborted->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (aborted->offsets[middle] < batch->base_offset)
            low = middle + 1;
        else
            high = middle;
    }
    return batch_is_control(batch) ||
           (low < aborted->count && aborted->offsets[low] == batch->base_offset);
}

/* Begins the next batch with records at or behind `position`. */
static enum intake_outcome next_batch(
    struct intake *intake, struct compressor *compressor, bool handed_out)
{
    for (;;) {
        struct bytes run = intake->run;
        struct batch_view batch;
        enum batch_outcome outcome = batch_next(&run, &batch);
        if (outcome == BATCH_END) {
            if (!next_chunk(intake))
                return INTAKE_EMPTY;
            continue;
        }
        if (outcome != BATCH_OK)
            return INTAKE_BAD;
        bool behind = batch_last_offset(&batch) < intake->position;
        struct bytes records = batch.records;
        bool hidden = is_hidden(intake, &batch);
        if (!behind && !hidden && batch_codec(&batch) != CODEC_NONE) {
            if (handed_out && intake->unpacked_used)
                return INTAKE_BLOCKED;
            intake->unpacked.len = 0;
            if (compressor_unpack(compressor, batch_codec(&batch), records, INTAKE_UNPACKED_MAX,
                    &intake->unpacked))
                return INTAKE_BAD;
            records = bytes_of(intake->unpacked.data, intake->unpacked.len);
            intake->unpacked_used = true;
        }
        intake->run = run;
        if (behind)
            continue;
        intake->batch = batch;
        intake->hidden = hidden;
        record_reader_init(&intake->reader, &intake->batch, records);
        intake->in_batch = true;
        return INTAKE_RECORD;
    }
}

enum intake_outcome intake_peek(
    struct intake *intake, struct compressor *compressor, bool handed_out)
{
    while (!intake->peeked) {
        if (!intake->in_batch) {
            enum intake_outcome outcome = next_batch(intake, compressor, handed_out);
            if (outcome != INTAKE_RECORD)
                return outcome;
        }
        if (intake->hidden) {
            intake->in_batch = false;
            continue;
        }
        if (!record_next(&intake->reader, &intake->head)) {
            if (record_reader_end(&intake->reader))
                return INTAKE_BAD;
            intake->in_batch = false;
            continue;
        }
        intake->peeked = intake->head.offset >= intake->position;
    }
    return INTAKE_RECORD;
}

void intake_skip_gap(struct intake *intake)
{
    if (!intake->current || intake->peeked || intake->in_batch)
        return;
    int64_t next = batch_last_offset(&intake->batch) + 1;
    if (next > intake->position)
        intake->position = next;
}

void intake_seek(struct intake *intake)
{
    intake->current = NULL;
    intake->run = (struct bytes){ NULL, 0 };
    intake->in_batch = intake->peeked = intake->unpacked_used = false;
}

void intake_seal(struct intake *intake)
{
    intake->mark_position = intake->position;
    for (struct list *node; (node = list_first(&intake->chunks));) {
        struct chunk *chunk = list_entry(node, struct chunk, link);
        if (chunk->end_offset > intake->position)
            break;
        if (chunk == intake->current)
            intake_seek(intake);
        list_remove(node);
        list_append(&intake->finished, node);
    }
}

void intake_undo(struct intake *intake)
{
    intake->position = intake->mark_position;
    intake_seek(intake);
}
