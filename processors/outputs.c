/* See outputs.h. A batch that was undone to nothing stays in its place and is left out by seal. */
#include "processors/outputs.h"

#include <errno.h>
#include <string.h>

struct output_batch {
    struct batch_builder builder;
    struct outputs *owner;
    uint32_t target;
    int32_t partition;
};

enum { INDEX_SMALLEST = 16, KEEP_MAX = 1 << 20 };

void outputs_init(struct outputs *outputs, size_t batch_max, struct journal *journal)
{
    *outputs = (struct outputs){ .batch_max = batch_max, .journal = journal };
}

void outputs_done(struct outputs *outputs)
{
    for (size_t i = 0; i < outputs->made; i++) {
        batch_builder_done(&outputs->batches[i]->builder);
        mem_free(outputs->batches[i]);
    }
    mem_free(outputs->batches);
    mem_free(outputs->index);
    *outputs = (struct outputs){ 0 };
}

static size_t place_of(const struct outputs *outputs, uint32_t target, int32_t partition)
{
    uint64_t hash = ((uint64_t)target << 32 | (uint32_t)partition) * UINT64_C(0x9e3779b97f4a7c15);
    size_t mask = outputs->index_size - 1, at = (hash >> 32) & mask;
    for (; outputs->index[at]; at = (at + 1) & mask) {
        const struct output_batch *batch = outputs->batches[outputs->index[at] - 1];
        if (batch->target == target && batch->partition == partition)
            break;
    }
    return at;
}

static void reindex(struct outputs *outputs)
{
    outputs->index_size = outputs->index_size ? outputs->index_size * 2 : INDEX_SMALLEST;
    mem_free(outputs->index);
    outputs->index = mem_zalloc(outputs->index_size, sizeof(*outputs->index));
    for (size_t i = 0; i < outputs->count; i++) {
        const struct output_batch *batch = outputs->batches[i];
        outputs->index[place_of(outputs, batch->target, batch->partition)] = (uint32_t)i + 1;
    }
}

static struct output_batch *begin(
    struct outputs *outputs, uint32_t target, int32_t partition, enum codec codec)
{
    if ((outputs->count + 1) * 2 > outputs->index_size)
        reindex(outputs);
    if (outputs->count == outputs->made) {
        mem_grow(outputs->batches, &outputs->capacity, outputs->made + 1);
        outputs->batches[outputs->made++] = mem_zalloc(1, sizeof(struct output_batch));
    }
    struct output_batch *batch = outputs->batches[outputs->count];
    batch->owner = outputs;
    batch->target = target;
    batch->partition = partition;
    struct batch_options options = batch_options_plain(codec);
    batch_builder_begin(&batch->builder, &options);
    size_t at = place_of(outputs, target, partition);
    outputs->index[at] = (uint32_t)++outputs->count;
    return batch;
}

static struct output_batch *newest(
    const struct outputs *outputs, uint32_t target, int32_t partition)
{
    if (!outputs->index_size)
        return NULL;
    uint32_t slot = outputs->index[place_of(outputs, target, partition)];
    return slot ? outputs->batches[slot - 1] : NULL;
}

/* Takes the last record back. */
static void undo_append(struct undo *undo)
{
    struct output_batch *batch = undo->object;
    struct batch_builder *builder = &batch->builder;
    batch->owner->bytes -= builder->records.len - (size_t)undo->a.number;
    builder->records.len = (size_t)undo->a.number;
    builder->max_timestamp = undo->b.number;
    builder->count--;
    builder->last_delta--;
    if (builder->count == 0)
        builder->base_timestamp = BATCH_TIMESTAMP_OF_FIRST;
}

static const struct undo_kind append_kind = { undo_append, NULL };

int outputs_append(struct outputs *outputs, uint32_t target, int32_t partition,
    const struct record_view *record, enum codec codec, size_t size_max)
{
    struct output_batch *batch = newest(outputs, target, partition);
    size_t most = outputs->batch_max < size_max ? outputs->batch_max : size_max;
    if (batch && batch->builder.count && batch_builder_size_with(&batch->builder, record) > most)
        batch = NULL;
    if (!batch)
        batch = begin(outputs, target, partition, codec);
    struct batch_builder *builder = &batch->builder;
    if (builder->count == 0 && batch_builder_size_with(builder, record) > size_max)
        return -EMSGSIZE;
    size_t before = builder->records.len;
    int64_t max_before = builder->max_timestamp;
    int r = batch_builder_append(builder, record);
    if (r)
        return r == -E2BIG ? -EMSGSIZE : r;
    outputs->bytes += builder->records.len - before;
    journal_add(outputs->journal, &append_kind, batch,
        (union undo_value){ .number = (int64_t)before },
        (union undo_value){ .number = max_before });
    return 0;
}

int outputs_seal(struct outputs *outputs, struct compressor *compressor, struct out *bytes,
    struct sealed_batch **ret, size_t *count, size_t *capacity)
{
    for (size_t i = 0; i < outputs->count; i++) {
        struct output_batch *batch = outputs->batches[i];
        if (batch->builder.count == 0)
            continue;
        size_t at = bytes->len;
        int r = batch_builder_finish(&batch->builder, compressor, bytes);
        if (r)
            return r;
        mem_grow(*ret, capacity, *count + 1);
        (*ret)[(*count)++] = (struct sealed_batch){ batch->target, batch->partition,
            batch->builder.count, at, bytes->len - at };
    }
    return 0;
}

void outputs_reset(struct outputs *outputs)
{
    for (size_t i = 0; i < outputs->count; i++) {
        struct batch_builder *builder = &outputs->batches[i]->builder;
        if (builder->records.capacity > KEEP_MAX)
            batch_builder_done(builder);
    }
    outputs->count = 0;
    outputs->bytes = 0;
    if (outputs->index_size)
        memset(outputs->index, 0, outputs->index_size * sizeof(*outputs->index));
}
