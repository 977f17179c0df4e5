/*
 * See cleaning.h. A slice reads whole batches until it has moved enough; where it stands (source,
 * place, chunk) is kept for the next one. Every batch is checked: header against the claim and the
 * offset before, checksum always. What is wrong stops the cleaning (-EBADMSG), nothing is passed
 * on.
 */
#include "storage/cleaning.h"

#include <errno.h>

#include "protocol/base/mem.h"
#include "storage/barriers.h"

void cleaning_done(struct cleaning *cleaning)
{
    const struct disk_table *disk = cleaning->door->table;
    if (cleaning->source.file)
        disk->close(cleaning->source.file);
    if (cleaning->to)
        disk->close(cleaning->to);
    for (size_t i = 0; i < cleaning->source_count; i++) {
        CHECK(!cleaning->sources[i].segment);
        mem_free(cleaning->sources[i].path);
    }
    mem_free(cleaning->sources);
    sieve_done(&cleaning->sieve);
    footer_done(&cleaning->footer);
    footer_done(&cleaning->check);
    out_done(&cleaning->chunk);
    out_done(&cleaning->pending);
    mem_free(cleaning->path);
    mem_free(cleaning->footer_path);
    mem_free(cleaning->directory);
}

static void source_leave(struct cleaning *cleaning)
{
    if (cleaning->source.file)
        cleaning->door->table->close(cleaning->source.file);
    cleaning->source.file = NULL;
    cleaning->chunk.len = 0;
}

void cleaning_start(struct cleaning *cleaning, enum cleaning_step step, size_t source)
{
    source_leave(cleaning);
    cleaning->step = step;
    cleaning->at = source;
    cleaning->over = cleaning->full = false;
}

/* ---- reading ------------------------------------------------------------------------------- */

static int source_enter(struct cleaning *cleaning)
{
    const struct cleaning_source *source = &cleaning->sources[cleaning->at];
    struct disk_file *file;
    int status = cleaning->door->table->open(cleaning->door, source->path, DISK_READ, &file);
    if (status < 0)
        return status == -ENOENT ? -EBADMSG : status;
    cleaning->source = (struct source){
        .disk = cleaning->door->table,
        .file = file,
        .dense = !(source->claim.flags & SEGMENT_SPARSE),
        .size = source->claim.size,
        .base_offset = source->claim.base_offset,
        .end_offset = source->claim.end_offset,
    };
    footer_done(&cleaning->check);
    footer_init(&cleaning->check, source->claim.base_offset, UINT32_MAX);
    cleaning->place = (struct place){ 0, source->claim.base_offset };
    cleaning->chunk.len = 0;
    return 0;
}

/* Makes [place, place + size) part of the chunk. */
static int chunk_fill(struct cleaning *cleaning, size_t size)
{
    uint64_t at = cleaning->place.position, left = cleaning->source.size - at;
    struct out *chunk = &cleaning->chunk;
    if (size > left)
        return -EBADMSG;
    if (chunk->len && at >= cleaning->chunk_at && at + size <= cleaning->chunk_at + chunk->len)
        return 0;
    size_t want = size > CLEANING_CHUNK_BYTES ? size : CLEANING_CHUNK_BYTES;
    if (want > left)
        want = (size_t)left;
    chunk->len = 0;
    int status = out_reserve(chunk, want);
    if (status < 0)
        return status;
    cleaning->chunk_at = at;
    status = cleaning->source.disk->read(cleaning->source.file, at, chunk->data, want, &chunk->len);
    cleaning->moved += chunk->len;
    cleaning->bytes_in += cleaning->step == CLEANING_PASS ? chunk->len : 0;
    if (status == 0 && chunk->len < size)
        status = -EBADMSG;
    return status;
}

static struct bytes chunk_rest(const struct cleaning *cleaning)
{
    size_t skip = (size_t)(cleaning->place.position - cleaning->chunk_at);
    return bytes_of(cleaning->chunk.data + skip, cleaning->chunk.len - skip);
}

/* The batch at the place, whole and checked; moves behind it. */
static int batch_read(struct cleaning *cleaning, struct batch_view *ret)
{
    int status = chunk_fill(cleaning, BATCH_HEADER_SIZE);
    if (status < 0)
        return status;
    if (batch_parse_header(chunk_rest(cleaning), ret) != BATCH_OK ||
        !source_is_sane(&cleaning->source, &cleaning->place, ret) ||
        ret->size > cleaning->batch_max)
        return -EBADMSG;
    status = chunk_fill(cleaning, ret->size);
    if (status < 0)
        return status;
    if (batch_parse(chunk_rest(cleaning), ret) != BATCH_OK ||
        (BARRIER(CLEAN_CHECK) && batch_check(ret) != BATCH_OK))
        return -EBADMSG;
    footer_batch(&cleaning->check, ret);
    footer_bytes(&cleaning->check, ret->data, ret->size);
    cleaning->place.position += ret->size;
    cleaning->place.offset = batch_last_offset(ret) + 1;
    return 0;
}

/* All of the source was read: is it what was sealed? Checksums of batches do not cover their
 * offsets and epochs; its extents do. */
static int source_check(struct cleaning *cleaning)
{
    const struct segment_claim *claim = &cleaning->sources[cleaning->at].claim;
    footer_finish(&cleaning->check, claim->end_offset);
    return cleaning->check.root == claim->root || !BARRIER(CLEAN_CHECK) ? 0 : -EBADMSG;
}

/* The next batch of sources up to `end`. -ENODATA: there is none. */
static int batch_next_of(struct cleaning *cleaning, size_t end, struct batch_view *ret)
{
    while (cleaning->at < end) {
        int status = cleaning->source.file ? 0 : source_enter(cleaning);
        if (status < 0)
            return status;
        if (cleaning->place.position < cleaning->source.size)
            return batch_read(cleaning, ret);
        status = source_check(cleaning);
        if (status < 0)
            return status;
        source_leave(cleaning);
        cleaning->at++;
        if (cleaning->full)
            break;
    }
    return -ENODATA;
}

/* ---- learn --------------------------------------------------------------------------------- */

static int learn_slice(struct cleaning *cleaning)
{
    struct sieve *sieve = &cleaning->sieve;
    while (cleaning->moved < CLEANING_SLICE_BYTES) {
        struct batch_view batch;
        int status = batch_next_of(cleaning, cleaning->source_count, &batch);
        if (status == 0 && !cleaning->full)
            status = sieve_learn(sieve, &batch);
        if (status == -ENODATA) {
            if (!cleaning->full)
                sieve->known_to = sieve->round_end;
            cleaning->over = true;
            return 0;
        }
        if (status == -ENOSPC)
            cleaning->full = true;
        else if (status < 0)
            return status;
    }
    return 0;
}

/* ---- pass ---------------------------------------------------------------------------------- */

static int pending_write(struct cleaning *cleaning)
{
    const struct disk_table *disk = cleaning->door->table;
    struct out *pending = &cleaning->pending;
    int status = 0;
    if (pending->len == 0)
        return 0;
    if (!cleaning->to) {
        cleaning->made = true; /* perhaps even if the open fails */
        status = disk->open(cleaning->door, cleaning->path,
            DISK_WRITE | DISK_CREATE | DISK_TRUNCATE, &cleaning->to);
    }
    struct iovec iov = { pending->data, pending->len };
    if (status == 0)
        status = disk->writev(cleaning->to, cleaning->claim.size - pending->len, &iov, 1);
    cleaning->moved += pending->len;
    cleaning->bytes_out += pending->len;
    pending->len = 0;
    return status;
}

/* `bytes` at the end of `pending` is a batch of the new file. */
static int batch_take(struct cleaning *cleaning, struct bytes bytes)
{
    struct batch_view batch;
    struct segment_claim *claim = &cleaning->claim;
    CHECK(batch_parse(bytes, &batch) == BATCH_OK && batch.size == bytes.len);
    if (bytes.len > UINT32_MAX - claim->size)
        return -E2BIG;
    footer_batch(&cleaning->footer, &batch);
    footer_bytes(&cleaning->footer, bytes.data, bytes.len);
    segment_claim_batch(claim, &batch);
    return 0;
}

static int pass_slice(struct cleaning *cleaning)
{
    struct out *pending = &cleaning->pending;
    while (cleaning->moved < CLEANING_SLICE_BYTES) {
        struct batch_view batch;
        size_t before = pending->len;
        int status = batch_next_of(cleaning, cleaning->group_end, &batch);
        if (status == -ENODATA) {
            cleaning->over = true;
            return pending_write(cleaning);
        }
        if (status == 0)
            status = sieve_pass(&cleaning->sieve, &batch, pending);
        if (status == 0 && pending->len > before)
            status = batch_take(cleaning, bytes_of(pending->data + before, pending->len - before));
        if (status == 0 && pending->len >= CLEANING_CHUNK_BYTES)
            status = pending_write(cleaning);
        if (status < 0)
            return status;
    }
    return 0;
}

/* ---- seal ---------------------------------------------------------------------------------- */

static int seal(struct cleaning *cleaning)
{
    const struct disk_table *disk = cleaning->door->table;
    int status = BARRIER(CLEAN_SYNC) ? disk->sync(cleaning->to) : 0;
    disk->close(cleaning->to);
    cleaning->to = NULL;
    cleaning->sync_failed = status < 0;
    if (status < 0)
        return status;
    footer_finish(&cleaning->footer, cleaning->claim.end_offset);
    const char *directory = BARRIER(CLEAN_DIR_SYNC) ? cleaning->directory : NULL;
    status = footer_write(cleaning->door, cleaning->footer_path, directory, &cleaning->footer);
    cleaning->sync_failed = status == -EIO;
    cleaning->claim.root = cleaning->footer.root;
    cleaning->claim.flags |= SEGMENT_ROOTED;
    cleaning->over = true;
    return status;
}

void cleaning_run(struct work_job *work)
{
    struct cleaning *cleaning = container_of(work, struct cleaning, work);
    cleaning->moved = 0;
    switch (cleaning->step) {
    case CLEANING_LEARN: cleaning->status = learn_slice(cleaning); break;
    case CLEANING_PASS: cleaning->status = pass_slice(cleaning); break;
    case CLEANING_SEAL: cleaning->status = seal(cleaning); break;
    }
}
