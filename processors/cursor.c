/*
 * Records out of chunks. See cursor.h.
 *
 *   chunks:  [ consumed in this unit ][ current: batch batch |batch ... ][ not yet read ]
 *
 * Record bytes handed out lie in a chunk, or, if the batch is compressed, in `unpacked`. A chunk
 * lives longer than any record array, but `unpacked` is overwritten by the next compressed batch:
 * therefore CURSOR_BLOCKED.
 *
 * Batches were checked when they were produced and when they were written; what fails here is
 * damage on disk or a bug, and ends as the task's failure with the offset named. Nothing is trusted
 * to stay in bounds.
 */
#include "processors/cursor.h"

#include "protocol/base/mem.h"

struct chunk {
    struct list link;
    struct buffer *buffer;
    int64_t end_offset; /* behind its last batch */
};

void cursor_init(struct cursor *cursor, int64_t position)
{
    *cursor = (struct cursor){ .position = position, .mark_position = position };
    list_init(&cursor->chunks);
    list_init(&cursor->finished);
}

void cursor_done(struct cursor *cursor)
{
    out_done(&cursor->unpacked);
}

void cursor_add(struct cursor *cursor, struct buffer *buffer, int64_t end_offset)
{
    struct chunk *chunk = mem_alloc(sizeof(*chunk));
    chunk->buffer = buffer;
    chunk->end_offset = end_offset;
    list_append(&cursor->chunks, &chunk->link);
    cursor->bytes_held += buffer->len;
}

static void drop_list(struct cursor *cursor, struct list *list)
{
    for (struct list *node; (node = list_pop(list));) {
        struct chunk *chunk = list_entry(node, struct chunk, link);
        cursor->bytes_held -= chunk->buffer->len;
        buffer_unref(chunk->buffer);
        mem_free(chunk);
    }
}

void cursor_drop(struct cursor *cursor, bool all)
{
    drop_list(cursor, &cursor->finished);
    if (all) {
        drop_list(cursor, &cursor->chunks);
        cursor->current = NULL;
        cursor->in_batch = cursor->peeked = false;
        cursor->run = (struct bytes){ NULL, 0 };
    }
}

/* Begins the chunk behind the current one. False if there is none. */
static bool next_chunk(struct cursor *cursor)
{
    struct list *next = cursor->current ? cursor->current->link.next : cursor->chunks.next;
    if (next == &cursor->chunks)
        return false;
    cursor->current = list_entry(next, struct chunk, link);
    cursor->run = bytes_of(cursor->current->buffer->data, cursor->current->buffer->len);
    return true;
}

/* Begins the next batch with records at or behind `position`. */
static enum cursor_outcome next_batch(
    struct cursor *cursor, struct compressor *compressor, bool handed_out)
{
    for (;;) {
        struct bytes run = cursor->run;
        struct batch_view batch;
        enum batch_outcome outcome = batch_next(&run, &batch);
        if (outcome == BATCH_END) {
            if (!next_chunk(cursor))
                return CURSOR_EMPTY;
            continue;
        }
        if (outcome != BATCH_OK)
            return CURSOR_BAD;
        bool behind = batch_last_offset(&batch) < cursor->position;
        struct bytes records = batch.records;
        if (!behind && !batch_is_control(&batch) && batch_codec(&batch) != CODEC_NONE) {
            if (handed_out && cursor->unpacked_used)
                return CURSOR_BLOCKED;
            cursor->unpacked.len = 0;
            if (compressor_unpack(compressor, batch_codec(&batch), records, CURSOR_UNPACKED_MAX,
                    &cursor->unpacked))
                return CURSOR_BAD;
            records = bytes_of(cursor->unpacked.data, cursor->unpacked.len);
            cursor->unpacked_used = true;
        }
        cursor->run = run;
        if (behind)
            continue;
        cursor->batch = batch;
        record_reader_init(&cursor->reader, &cursor->batch, records);
        cursor->in_batch = true;
        return CURSOR_RECORD;
    }
}

enum cursor_outcome cursor_peek(
    struct cursor *cursor, struct compressor *compressor, bool handed_out)
{
    while (!cursor->peeked) {
        if (!cursor->in_batch) {
            enum cursor_outcome outcome = next_batch(cursor, compressor, handed_out);
            if (outcome != CURSOR_RECORD)
                return outcome;
        }
        if (batch_is_control(&cursor->batch)) {
            cursor->in_batch = false;
            continue;
        }
        if (!record_next(&cursor->reader, &cursor->head)) {
            if (record_reader_end(&cursor->reader))
                return CURSOR_BAD;
            cursor->in_batch = false;
            continue;
        }
        cursor->peeked = cursor->head.offset >= cursor->position;
    }
    return CURSOR_RECORD;
}

void cursor_skip_gap(struct cursor *cursor)
{
    if (!cursor->current || cursor->peeked || cursor->in_batch)
        return;
    int64_t next = batch_last_offset(&cursor->batch) + 1;
    if (next > cursor->position)
        cursor->position = next;
}

void cursor_seek(struct cursor *cursor)
{
    cursor->current = NULL;
    cursor->run = (struct bytes){ NULL, 0 };
    cursor->in_batch = cursor->peeked = cursor->unpacked_used = false;
}

void cursor_seal(struct cursor *cursor)
{
    cursor->mark_position = cursor->position;
    for (struct list *node; (node = list_first(&cursor->chunks));) {
        struct chunk *chunk = list_entry(node, struct chunk, link);
        if (chunk->end_offset > cursor->position)
            break;
        if (chunk == cursor->current)
            cursor_seek(cursor);
        list_remove(node);
        list_append(&cursor->finished, node);
    }
}

void cursor_undo(struct cursor *cursor)
{
    cursor->position = cursor->mark_position;
    cursor_seek(cursor);
}
