/* See segment.h. */
#include "storage/segment.h"

#include <inttypes.h>
#include <string.h>

#include "protocol/base/mem.h"
#include "storage/footer.h"
#include "storage/log.h"

struct segment *segment_create(struct log *log, const struct segment_claim *claim)
{
    struct segment *segment = mem_zalloc(1, sizeof(*segment));
    segment->log = log;
    segment->claim = *claim;
    segment->hint_offset = -1;
    segment->fresh_from = claim->size;
    list_init(&segment->resident);
    list_init(&segment->dirty);
    list_init(&segment->seal);
    index_init(&segment->index, log_index_step(log), (uint32_t)claim->size);
    return segment;
}

void segment_destroy(struct segment *segment)
{
    CHECK(!segment->file && segment->users == 0);
    CHECK(list_empty(&segment->resident) && list_empty(&segment->dirty));
    CHECK(list_empty(&segment->seal));
    index_done(&segment->index);
    proof_done(&segment->proof);
    mem_free(segment->extents);
    mem_free(segment);
}

uint64_t segment_reach(const struct segment *segment, uint64_t position)
{
    uint64_t reach = proof_reach(&segment->proof, position);
    return reach >= segment->fresh_from ? segment->written : reach;
}

bool segment_knows_time(const struct segment *segment, const struct index_entry *entry)
{
    return segment_is_rooted(segment) || entry->position == 0 ||
           entry->position >= segment->fresh_from || segment_reach(segment, 0) >= entry->position;
}

void segment_claim_batch(struct segment_claim *claim, const struct batch_view *batch)
{
    /* The header that compaction left of a batch speaks of no record. */
    if (claim->first_timestamp < 0 && batch->count > 0)
        claim->first_timestamp = batch->max_timestamp;
    if (batch->max_timestamp > claim->max_timestamp && batch->count > 0) {
        claim->max_timestamp = batch->max_timestamp;
        claim->max_timestamp_offset = batch->base_offset;
    }
    if (batch->base_offset != claim->end_offset)
        claim->flags |= SEGMENT_SPARSE;
    claim->size += batch->size;
    claim->end_offset = batch_last_offset(batch) + 1;
}

void segment_claim_save(const struct segment_claim *claim, struct out *out)
{
    out_u64(out, (uint64_t)claim->base_offset);
    out_u64(out, (uint64_t)claim->end_offset);
    out_u64(out, claim->size);
    out_u64(out, (uint64_t)claim->first_timestamp);
    out_u64(out, (uint64_t)claim->max_timestamp);
    out_u64(out, (uint64_t)claim->max_timestamp_offset);
    out_u64(out, (uint64_t)claim->append_ms);
    out_u64(out, claim->root);
    out_u32(out, claim->flags);
}

struct segment_claim segment_claim_load(struct cursor *cursor, bool rooted)
{
    struct segment_claim claim = { 0 };
    claim.base_offset = cursor_i64(cursor);
    claim.end_offset = cursor_i64(cursor);
    claim.size = cursor_u64(cursor);
    claim.first_timestamp = cursor_i64(cursor);
    claim.max_timestamp = cursor_i64(cursor);
    claim.max_timestamp_offset = cursor_i64(cursor);
    claim.append_ms = cursor_i64(cursor);
    if (rooted) {
        claim.root = cursor_u64(cursor);
        claim.flags = cursor_u32(cursor);
    }
    return claim;
}

char *segment_claim_path(const struct log *log, const struct segment_claim *claim)
{
    char *directory = log_directory(log), *path;
    if (claim->generation == 0)
        path = mem_printf("%s/%020" PRId64 ".log", directory, claim->base_offset);
    else
        path = mem_printf(
            "%s/%020" PRId64 ".%" PRIu32 ".log", directory, claim->base_offset, claim->generation);
    mem_free(directory);
    return path;
}

char *segment_claim_footer_path(const struct log *log, const struct segment_claim *claim)
{
    char *path = segment_claim_path(log, claim);
    memcpy(path + strlen(path) - 4, ".idx", 4); /* in the place of ".log" */
    return path;
}

char *segment_path(const struct segment *segment)
{
    return segment_claim_path(segment->log, &segment->claim);
}

char *segment_footer_path(const struct segment *segment)
{
    return segment_claim_footer_path(segment->log, &segment->claim);
}

void residents_init(struct residents *residents, const struct disk_table *disk, uint32_t files_max,
    size_t index_bytes_max)
{
    *residents = (struct residents){
        .disk = disk,
        .files_max = files_max,
        .index_bytes_max = index_bytes_max,
    };
    list_init(&residents->used);
}

void residents_touch(struct residents *residents, struct segment *segment)
{
    list_remove(&segment->resident);
    if (segment->file || segment->index.entries || segment->extents)
        list_append(&residents->used, &segment->resident);
}

void residents_adopt(struct residents *residents, struct segment *segment, struct disk_file *file)
{
    if (segment->file || segment->dropped) {
        residents->disk->close(file);
        return;
    }
    segment->file = file;
    residents->files++;
    residents_touch(residents, segment);
}

static void file_close(struct residents *residents, struct segment *segment)
{
    if (!segment->file)
        return;
    residents->disk->close(segment->file);
    segment->file = NULL;
    residents->files--;
}

static size_t known_bytes(const struct segment *segment)
{
    size_t extents = segment->extents ? footer_extent_count(segment->claim.size) : 0;
    return index_bytes(&segment->index) + extents * sizeof(*segment->extents);
}

static void index_forget(struct residents *residents, struct segment *segment)
{
    residents->index_bytes -= known_bytes(segment);
    mem_free(segment->extents);
    segment->extents = NULL;
    index_drop(&segment->index, (uint32_t)segment->claim.size);
}

void residents_remove(struct residents *residents, struct segment *segment)
{
    file_close(residents, segment);
    index_forget(residents, segment);
    list_remove(&segment->resident);
}

void residents_trim(struct residents *residents)
{
    if (residents->files <= residents->files_max &&
        residents->index_bytes <= residents->index_bytes_max)
        return;
    list_foreach_safe (node, following, &residents->used) {
        struct segment *segment = list_entry(node, struct segment, resident);
        if (residents->index_bytes > residents->index_bytes_max && segment->users == 0)
            index_forget(residents, segment);
        if (residents->files > residents->files_max && segment->users == 0 &&
            list_empty(&segment->dirty))
            file_close(residents, segment);
        if (!segment->file && !segment->index.entries && !segment->extents)
            list_remove(&segment->resident);
        if (residents->files <= residents->files_max &&
            residents->index_bytes <= residents->index_bytes_max)
            break;
    }
}

void residents_index(
    struct residents *residents, struct segment *segment, const struct index_entry *batch)
{
    size_t before = index_bytes(&segment->index);
    index_note(&segment->index, batch);
    if (index_bytes(&segment->index) == before)
        return;
    residents->index_bytes += index_bytes(&segment->index) - before;
    if (before == 0)
        residents_touch(residents, segment);
}

void residents_index_built(
    struct residents *residents, struct segment *segment, struct index *built)
{
    residents->index_bytes -= index_bytes(&segment->index);
    index_prepend(&segment->index, built);
    residents->index_bytes += index_bytes(&segment->index);
    residents_touch(residents, segment);
}

void residents_footer(struct residents *residents, struct segment *segment, struct footer *footer)
{
    if (segment->extents || segment->dropped)
        return;
    residents->index_bytes -= known_bytes(segment);
    if (segment->index.from > 0 || !segment->index.entries) {
        index_done(&segment->index);
        segment->index = footer->index;
        footer->index = (struct index){ 0 };
    }
    segment->extents = footer->extents;
    footer->extents = NULL;
    residents->index_bytes += known_bytes(segment);
    residents_touch(residents, segment);
}
