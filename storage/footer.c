/* See footer.h. Nothing in a file is believed before its checksum was right, and nothing that a
 * reader goes by (positions, offsets, counts) before it was looked at: a footer may be whole and
 * yet not be this segment's, or made by somebody who means harm. */
#include "storage/footer.h"

#include <errno.h>
#include <string.h>
#include <xxhash.h>

#include "protocol/base/mem.h"
#include "storage/cursor.h"

static const char magic[] = "MILLRIDX";
enum { SUM_SIZE = 8 };

/* ---- filling ------------------------------------------------------------------------------- */

void footer_init(struct footer *footer, int64_t base_offset, uint32_t index_step)
{
    *footer = (struct footer){
        .base_offset = base_offset,
        .end_offset = base_offset,
        .min_timestamp = -1,
        .max_timestamp = -1,
        .max_timestamp_offset = -1,
    };
    index_init(&footer->index, index_step, 0);
}

void footer_done(struct footer *footer)
{
    index_done(&footer->index);
    mem_free(footer->extents);
    mem_free(footer->aborted);
    mem_free(footer->pending);
    *footer = (struct footer){ 0 };
}

void footer_batch(struct footer *footer, const struct batch_view *batch)
{
    struct index_entry entry = {
        .offset = (uint32_t)(batch->base_offset - footer->base_offset),
        .position = (uint32_t)footer->size,
        .max_timestamp = footer->max_timestamp,
    };
    index_note(&footer->index, &entry);
    footer->batches++;
    footer->records += batch->count > 0 ? (uint64_t)batch->count : 0;
    if (batch->max_timestamp >= 0 && batch->count > 0 &&
        (footer->min_timestamp < 0 || batch->max_timestamp < footer->min_timestamp))
        footer->min_timestamp = batch->max_timestamp;
    if (batch->max_timestamp > footer->max_timestamp && batch->count > 0) {
        footer->max_timestamp = batch->max_timestamp;
        footer->max_timestamp_offset = batch->base_offset;
    }
}

uint64_t footer_extent(const void *data, size_t len)
{
    return XXH3_64bits(data, len);
}

static void extent_add(struct footer *footer, const void *data, size_t len)
{
    mem_grow(footer->extents, &footer->extent_capacity, footer->extent_count + 1);
    footer->extents[footer->extent_count++] = footer_extent(data, len);
}

void footer_bytes(struct footer *footer, const void *data, size_t len)
{
    const uint8_t *at = data;
    footer->size += len;
    while (len > 0) {
        if (footer->pending_len == 0 && len >= FOOTER_EXTENT) {
            extent_add(footer, at, FOOTER_EXTENT);
            at += FOOTER_EXTENT;
            len -= FOOTER_EXTENT;
            continue;
        }
        size_t room = FOOTER_EXTENT - footer->pending_len;
        size_t piece = len < room ? len : room;
        if (!footer->pending)
            footer->pending = mem_alloc(FOOTER_EXTENT);
        memcpy(footer->pending + footer->pending_len, at, piece);
        footer->pending_len += piece;
        at += piece;
        len -= piece;
        if (footer->pending_len == FOOTER_EXTENT) {
            extent_add(footer, footer->pending, FOOTER_EXTENT);
            footer->pending_len = 0;
        }
    }
}

int footer_abort(struct footer *footer, const struct aborted_transaction *aborted)
{
    if (footer->aborted_count == FOOTER_ABORTED_MAX)
        return -E2BIG;
    mem_grow(footer->aborted, &footer->aborted_capacity, footer->aborted_count + 1);
    footer->aborted[footer->aborted_count++] = *aborted;
    return 0;
}

static uint64_t root_of(const struct footer *footer)
{
    struct out run = { 0 };
    out_u64(&run, (uint64_t)footer->base_offset);
    out_u64(&run, (uint64_t)footer->end_offset);
    out_u64(&run, footer->size);
    for (size_t i = 0; i < footer->extent_count; i++)
        out_u64(&run, footer->extents[i]);
    uint64_t root = XXH3_64bits(run.data, run.len);
    out_done(&run);
    return root;
}

void footer_finish(struct footer *footer, int64_t end_offset)
{
    if (footer->pending_len > 0)
        extent_add(footer, footer->pending, footer->pending_len);
    mem_free(footer->pending);
    footer->pending = NULL;
    footer->pending_len = 0;
    footer->end_offset = end_offset;
    footer->root = root_of(footer);
}

/* ---- bytes --------------------------------------------------------------------------------- */

void footer_encode(const struct footer *footer, struct out *out)
{
    size_t begin = out->len;
    out_bytes(out, magic, 8);
    out_u32(out, FOOTER_FORMAT);
    out_u32(out, FOOTER_EXTENT);
    out_u64(out, (uint64_t)footer->base_offset);
    out_u64(out, (uint64_t)footer->end_offset);
    out_u64(out, footer->size);
    out_u64(out, footer->records);
    out_u64(out, footer->batches);
    out_u64(out, (uint64_t)footer->min_timestamp);
    out_u64(out, (uint64_t)footer->max_timestamp);
    out_u64(out, (uint64_t)footer->max_timestamp_offset);
    out_u64(out, footer->root);
    out_u32(out, footer->index.step);
    out_u32(out, (uint32_t)footer->index.count);
    out_u32(out, (uint32_t)footer->extent_count);
    out_u32(out, (uint32_t)footer->aborted_count);
    for (size_t i = 0; i < footer->index.count; i++) {
        out_u32(out, footer->index.entries[i].offset);
        out_u32(out, footer->index.entries[i].position);
        out_u64(out, (uint64_t)footer->index.entries[i].max_timestamp);
    }
    for (size_t i = 0; i < footer->extent_count; i++)
        out_u64(out, footer->extents[i]);
    for (size_t i = 0; i < footer->aborted_count; i++) {
        out_u64(out, (uint64_t)footer->aborted[i].producer_id);
        out_u64(out, (uint64_t)footer->aborted[i].first_offset);
        out_u64(out, (uint64_t)footer->aborted[i].last_offset);
        out_u64(out, (uint64_t)footer->aborted[i].last_stable_offset);
    }
    out_u64(out, XXH3_64bits(out->data + begin, out->len - begin));
}

/* Ascending, inside the segment, and from its first batch on. */
static bool index_is_sane(const struct footer *footer)
{
    const struct index *index = &footer->index;
    for (size_t i = 0; i < index->count; i++) {
        const struct index_entry *entry = &index->entries[i];
        const struct index_entry *before = i ? entry - 1 : NULL;
        if (entry->position >= footer->size ||
            entry->offset >= (uint64_t)(footer->end_offset - footer->base_offset) ||
            (before && (entry->position <= before->position || entry->offset <= before->offset ||
                           entry->max_timestamp < before->max_timestamp)))
            return false;
    }
    return index->count > 0 && index->count <= INDEX_ENTRIES_MAX && index->entries[0].position == 0;
}

static void entries_decode(struct footer *footer, struct cursor *cursor, uint32_t count)
{
    footer->index.entries = mem_zalloc(count, sizeof(*footer->index.entries));
    footer->index.count = footer->index.capacity = count;
    for (uint32_t i = 0; i < count; i++) {
        footer->index.entries[i].offset = cursor_u32(cursor);
        footer->index.entries[i].position = cursor_u32(cursor);
        footer->index.entries[i].max_timestamp = cursor_i64(cursor);
    }
}

static void extents_decode(struct footer *footer, struct cursor *cursor, uint32_t count)
{
    footer->extents = mem_zalloc(count, sizeof(*footer->extents));
    footer->extent_count = footer->extent_capacity = count;
    for (uint32_t i = 0; i < count; i++)
        footer->extents[i] = cursor_u64(cursor);
}

static void aborted_decode(struct footer *footer, struct cursor *cursor, uint32_t count)
{
    if (count == 0)
        return;
    footer->aborted = mem_zalloc(count, sizeof(*footer->aborted));
    footer->aborted_count = footer->aborted_capacity = count;
    for (uint32_t i = 0; i < count; i++) {
        footer->aborted[i].producer_id = cursor_i64(cursor);
        footer->aborted[i].first_offset = cursor_i64(cursor);
        footer->aborted[i].last_offset = cursor_i64(cursor);
        footer->aborted[i].last_stable_offset = cursor_i64(cursor);
    }
}

static bool head_is_sane(const struct footer *footer)
{
    return footer->base_offset >= 0 && footer->end_offset > footer->base_offset &&
           footer->size >= BATCH_HEADER_SIZE && footer->size <= UINT32_MAX;
}

static int decode(struct cursor *cursor, struct footer *footer)
{
    footer->base_offset = cursor_i64(cursor);
    footer->end_offset = cursor_i64(cursor);
    footer->size = cursor_u64(cursor);
    footer->records = cursor_u64(cursor);
    footer->batches = cursor_u64(cursor);
    footer->min_timestamp = cursor_i64(cursor);
    footer->max_timestamp = cursor_i64(cursor);
    footer->max_timestamp_offset = cursor_i64(cursor);
    footer->root = cursor_u64(cursor);
    uint32_t step = cursor_u32(cursor);
    uint64_t entries = cursor_u32(cursor);
    uint64_t extents = cursor_u32(cursor);
    uint64_t aborted = cursor_u32(cursor);
    index_init(&footer->index, step, 0);
    if (cursor->bad || !head_is_sane(footer) || step == 0 || entries > INDEX_ENTRIES_MAX ||
        aborted > FOOTER_ABORTED_MAX || extents != footer_extent_count(footer->size) ||
        cursor->left != entries * FOOTER_ENTRY_SIZE + extents * 8 + aborted * FOOTER_ABORTED_SIZE)
        return -EBADMSG;
    entries_decode(footer, cursor, (uint32_t)entries);
    extents_decode(footer, cursor, (uint32_t)extents);
    aborted_decode(footer, cursor, (uint32_t)aborted);
    return index_is_sane(footer) && root_of(footer) == footer->root ? 0 : -EBADMSG;
}

int footer_decode(struct bytes bytes, struct footer *ret)
{
    if (bytes.len < FOOTER_HEAD_SIZE + SUM_SIZE || memcmp(bytes.data, magic, 8) != 0)
        return -EBADMSG;
    size_t len = bytes.len - SUM_SIZE;
    if (XXH3_64bits(bytes.data, len) != le_get64(bytes.data + len) ||
        le_get32(bytes.data + 8) != FOOTER_FORMAT || le_get32(bytes.data + 12) != FOOTER_EXTENT)
        return -EBADMSG;
    struct footer footer = { 0 };
    struct cursor cursor = cursor_of(bytes_of(bytes.data + 16, len - 16));
    int status = decode(&cursor, &footer);
    if (status < 0)
        footer_done(&footer);
    else
        *ret = footer;
    return status;
}

/* ---- the file ------------------------------------------------------------------------------ */

int footer_write(
    struct disk *disk, const char *path, const char *directory, const struct footer *footer)
{
    struct disk_file *file;
    struct out out = { 0 };
    int status = disk->table->open(disk, path, DISK_WRITE | DISK_CREATE | DISK_TRUNCATE, &file);
    if (status < 0)
        return status;
    footer_encode(footer, &out);
    struct iovec iov = { .iov_base = out.data, .iov_len = out.len };
    status = disk->table->writev(file, 0, &iov, 1);
    if (status == 0 && disk->table->sync(file) < 0)
        status = -EIO;
    disk->table->close(file);
    if (status == 0 && directory && disk->table->sync_dir(disk, directory) < 0)
        status = -EIO;
    out_done(&out);
    return status;
}

static uint64_t file_size_max(uint64_t size)
{
    return FOOTER_HEAD_SIZE + SUM_SIZE + (uint64_t)INDEX_ENTRIES_MAX * FOOTER_ENTRY_SIZE +
           footer_extent_count(size) * 8 + (uint64_t)FOOTER_ABORTED_MAX * FOOTER_ABORTED_SIZE;
}

static int file_read(struct disk *disk, struct disk_file *file, uint64_t size_max, struct out *out)
{
    uint64_t size;
    size_t len = 0;
    int status = disk->table->size(file, &size);
    if (status == 0 && (size > size_max || size < FOOTER_HEAD_SIZE))
        status = -EBADMSG;
    if (status < 0)
        return status;
    status = disk->table->read(file, 0, out_add(out, (size_t)size), (size_t)size, &len);
    return status == 0 && len < size ? -EBADMSG : status;
}

int footer_read(struct disk *disk, const char *path, int64_t base_offset, uint64_t size,
    uint64_t root, struct footer *ret)
{
    struct disk_file *file;
    struct out out = { 0 };
    struct footer footer = { 0 };
    int status = disk->table->open(disk, path, DISK_READ, &file);
    if (status < 0)
        return status;
    status = file_read(disk, file, file_size_max(size), &out);
    disk->table->close(file);
    if (status == 0)
        status = footer_decode(bytes_of(out.data, out.len), &footer);
    out_done(&out);
    if (status == 0 &&
        (footer.base_offset != base_offset || footer.size != size || footer.root != root)) {
        footer_done(&footer);
        status = -EBADMSG;
    }
    if (status == 0)
        *ret = footer;
    return status;
}
