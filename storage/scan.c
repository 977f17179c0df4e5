/* See scan.h. Headers are read in chunks: many small batches come with one read; of a large batch
 * only its chunk is read and the rest is jumped over. */
#include "storage/scan.h"

#include <errno.h>

enum { CHUNK_SIZE = 4096 };

bool source_is_sane(
    const struct source *source, const struct place *place, const struct batch_view *view)
{
    return place->position < source->size && view->size <= source->size - place->position &&
           (source->dense ? view->base_offset == place->offset
                          : view->base_offset >= place->offset) &&
           view->last_offset_delta >= 0 && view->base_offset < source->end_offset &&
           view->last_offset_delta < source->end_offset - view->base_offset;
}

static int source_read(
    const struct source *source, uint64_t position, void *to, size_t len, size_t *ret_len)
{
    return source->nowait ? source->disk->read_nowait(source->file, position, to, len, ret_len)
                          : source->disk->read(source->file, position, to, len, ret_len);
}

int source_walk(const struct source *source, struct place *place,
    bool (*each)(void *context, const struct place *place, const struct batch_view *view),
    void *context)
{
    uint8_t chunk[CHUNK_SIZE];
    uint64_t chunk_at = 0;
    size_t chunk_len = 0;
    while (place->position < source->size) {
        if (place->position < chunk_at ||
            place->position + BATCH_HEADER_SIZE > chunk_at + chunk_len) {
            if (place->position + BATCH_HEADER_SIZE > source->limit && source->limit < source->size)
                return -EAGAIN;
            uint64_t left = source->limit - place->position;
            size_t want = left < sizeof(chunk) ? (size_t)left : sizeof(chunk);
            chunk_at = place->position;
            int status = source_read(source, chunk_at, chunk, want, &chunk_len);
            if (status < 0)
                return status;
            if (chunk_len < BATCH_HEADER_SIZE)
                return -EBADMSG;
        }
        size_t at = (size_t)(place->position - chunk_at);
        struct batch_view view;
        if (batch_parse_header(bytes_of(chunk + at, chunk_len - at), &view) != BATCH_OK ||
            !source_is_sane(source, place, &view))
            return -EBADMSG;
        if (!each(context, place, &view))
            return 0;
        place->position += view.size;
        place->offset = batch_last_offset(&view) + 1;
    }
    return 0;
}

static bool is_before(void *context, const struct place *place, const struct batch_view *view)
{
    (void)place;
    return batch_last_offset(view) < *(const int64_t *)context;
}

int source_locate(const struct source *source, struct place *place, int64_t offset)
{
    return source_walk(source, place, is_before, &offset);
}

/* How many of the bytes are whole batches to be taken; moves *place behind them. */
static size_t take_whole(const struct source *source, struct place *place, const struct take *take,
    struct bytes bytes, int *ret_status)
{
    size_t len = 0;
    struct batch_view view;
    *ret_status = 0;
    while (bytes.len - len >= BATCH_HEADER_SIZE) {
        struct bytes rest = bytes_of(bytes.data + len, bytes.len - len);
        if (batch_parse_header(rest, &view) != BATCH_OK || !source_is_sane(source, place, &view)) {
            *ret_status = -EBADMSG;
            break;
        }
        if (view.size > rest.len || batch_last_offset(&view) >= take->below)
            break;
        len += view.size;
        place->position += view.size;
        place->offset = batch_last_offset(&view) + 1;
    }
    return len;
}

/* Reads `want` bytes into a fresh buffer; what can't be there was cut off the file. */
static int read_buffer(const struct source *source, uint64_t position, size_t want,
    struct buffer_pool *pool, struct buffer **ret)
{
    struct buffer *buffer = buffer_create(pool, want);
    if (!buffer)
        return -ENOMEM;
    int status = source_read(source, position, buffer->data, want, &buffer->len);
    if (status == 0 && buffer->len < want)
        status = -EBADMSG;
    if (status < 0)
        buffer_unref(buffer);
    else
        *ret = buffer;
    return status;
}

/* The batch at `place` is larger than what may be taken: it comes alone. */
static int take_one(const struct source *source, struct place *place, const struct take *take,
    size_t size, struct buffer_pool *pool, struct buffer **ret)
{
    struct buffer *buffer;
    int status = read_buffer(source, place->position, size, pool, &buffer);
    if (status < 0)
        return status;
    buffer->len = take_whole(source, place, take, bytes_of(buffer->data, size), &status);
    if (status == 0 && buffer->len) {
        *ret = buffer;
        return 0;
    }
    buffer_unref(buffer);
    return status;
}

/* Nothing of the first `len` bytes at `place` could be taken: was it too little, or is the limit in
 * the way? */
static int take_more(const struct source *source, struct place *place, const struct take *take,
    struct bytes bytes, struct buffer_pool *pool, struct buffer **ret)
{
    struct batch_view view;
    if (batch_parse_header(bytes, &view) != BATCH_OK || view.size <= bytes.len ||
        batch_last_offset(&view) >= take->below ||
        (view.size > take->max_bytes && !take->at_least_one))
        return 0;
    if (place->position + view.size > source->limit)
        return -EAGAIN;
    return take_one(source, place, take, view.size, pool, ret);
}

int source_take(const struct source *source, struct place *place, const struct take *take,
    struct buffer_pool *pool, struct buffer **ret)
{
    *ret = NULL;
    uint64_t left = source->size - place->position;
    size_t want = left < take->max_bytes ? (size_t)left : take->max_bytes;
    if (want < BATCH_HEADER_SIZE && take->at_least_one)
        want = left < BATCH_HEADER_SIZE ? (size_t)left : BATCH_HEADER_SIZE;
    if (want < BATCH_HEADER_SIZE)
        return left < BATCH_HEADER_SIZE && left > 0 ? -EBADMSG : 0;
    if (place->position + BATCH_HEADER_SIZE > source->limit)
        return -EAGAIN;
    if (want > source->limit - place->position)
        want = (size_t)(source->limit - place->position);
    struct buffer *buffer;
    int status = read_buffer(source, place->position, want, pool, &buffer);
    if (status < 0)
        return status;
    struct bytes bytes = bytes_of(buffer->data, want);
    buffer->len = take_whole(source, place, take, bytes, &status);
    if (buffer->len) { /* what is wrong behind it is for the next read to find */
        *ret = buffer;
        return 0;
    }
    if (status == 0)
        status = take_more(source, place, take, bytes, pool, ret);
    buffer_unref(buffer);
    return status;
}
