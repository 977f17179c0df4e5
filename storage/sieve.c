/*
 * See sieve.h.
 *
 * Happy path of a batch in sieve_pass
 *  1. judge: may all of it fall (aborted data; a marker that nobody needs and whose horizon is
 *     over), and must at least its header stay (last of its producer, end of the round)?
 *  2. nothing of it is old (from known_to on): it passes as it is, not even decompressed
 *  3. count what stays; all of it and no new horizon: the batch passes as it is
 *  4. else it is built anew from the encoded records that stay; with a new horizon the base
 *     timestamp is the horizon, so every record is encoded anew
 *
 * A transaction is open from its first data batch to its marker, in the order of the log. A marker
 * whose transaction was not open here has no data left (or its data was before the log's start).
 */
#include "storage/sieve.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/base/mem.h"
#include "storage/barriers.h"

struct judgement {
    bool falls;  /* none of its records stays */
    bool header; /* its header stays all the same */
    bool orphan; /* a marker without data: gets a horizon */
};

/* ---- life ---------------------------------------------------------------------------------- */

static int compare_producers(const void *a, const void *b)
{
    const struct sieve_producer *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

static int compare_aborted(const void *a, const void *b)
{
    const struct sieve_aborted *x = a, *y = b;
    if (x->producer_id != y->producer_id)
        return x->producer_id > y->producer_id ? 1 : -1;
    return (x->first_offset > y->first_offset) - (x->first_offset < y->first_offset);
}

void sieve_sort(struct sieve *sieve)
{
    if (sieve->producer_count)
        qsort(
            sieve->producers, sieve->producer_count, sizeof(*sieve->producers), compare_producers);
    if (sieve->aborted_count)
        qsort(sieve->aborted, sieve->aborted_count, sizeof(*sieve->aborted), compare_aborted);
}

void sieve_done(struct sieve *sieve)
{
    offset_map_done(&sieve->map);
    compressor_done(&sieve->compressor);
    batch_builder_done(&sieve->builder);
    mem_free(sieve->open);
    mem_free(sieve->producers);
    mem_free(sieve->aborted);
    *sieve = (struct sieve){ 0 };
}

void sieve_rewind(struct sieve *sieve)
{
    sieve->open_count = 0;
}

/* ---- transactions -------------------------------------------------------------------------- */

/* The place of the producer among the open ones, or where it would be. */
static size_t open_place(const struct sieve *sieve, int64_t producer_id)
{
    size_t low = 0, high = sieve->open_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (sieve->open[middle] < producer_id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_open(const struct sieve *sieve, size_t place, int64_t producer_id)
{
    return place < sieve->open_count && sieve->open[place] == producer_id;
}

static void open_add(struct sieve *sieve, int64_t producer_id)
{
    size_t at = open_place(sieve, producer_id);
    if (is_open(sieve, at, producer_id))
        return;
    mem_grow(sieve->open, &sieve->open_capacity, sieve->open_count + 1);
    memmove(sieve->open + at + 1, sieve->open + at, (sieve->open_count - at) * sizeof(int64_t));
    sieve->open[at] = producer_id;
    sieve->open_count++;
}

/* True if it was open. */
static bool open_take(struct sieve *sieve, int64_t producer_id)
{
    size_t at = open_place(sieve, producer_id);
    if (!is_open(sieve, at, producer_id))
        return false;
    sieve->open_count--;
    memmove(sieve->open + at, sieve->open + at + 1, (sieve->open_count - at) * sizeof(int64_t));
    return true;
}

static bool is_aborted(const struct sieve *sieve, const struct batch_view *batch)
{
    size_t low = 0, high = sieve->aborted_count; /* below low: at or before the batch */
    struct sieve_aborted sought = { batch->producer_id, batch->base_offset, 0 };
    if (!batch_is_transactional(batch))
        return false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_aborted(&sieve->aborted[middle], &sought) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    const struct sieve_aborted *found = low ? &sieve->aborted[low - 1] : NULL;
    return found && found->producer_id == batch->producer_id &&
           batch->base_offset <= found->last_offset;
}

/* Is the marker one without data? Ends its transaction. */
static int marker_judge(struct sieve *sieve, const struct batch_view *batch, bool *ret_orphan)
{
    struct bytes records;
    struct control_marker marker;
    *ret_orphan = batch->count == 0;
    if (batch->count == 0)
        return 0;
    int status = batch_records(batch, &sieve->compressor, SIEVE_RECORDS_MAX, &records);
    if (status == 0)
        status = control_parse(batch, records, &marker);
    if (status == 0 && (marker.type == CONTROL_ABORT || marker.type == CONTROL_COMMIT))
        *ret_orphan = !open_take(sieve, batch->producer_id);
    return status;
}

/* ---- judging ------------------------------------------------------------------------------- */

static bool is_last_of_producer(const struct sieve *sieve, const struct batch_view *batch)
{
    struct sieve_producer sought = { .id = batch->producer_id };
    if (batch->producer_id < 0 || !sieve->producer_count)
        return false;
    const struct sieve_producer *producer = bsearch(
        &sought, sieve->producers, sieve->producer_count, sizeof(sought), compare_producers);
    if (!producer)
        return false;
    if (producer->last_offset >= 0)
        return batch_last_offset(batch) == producer->last_offset;
    return batch_is_control(batch) && batch->producer_epoch == producer->epoch;
}

static bool has_horizon(const struct batch_view *batch)
{
    return batch->attributes & BATCH_ATTRIBUTE_DELETE_HORIZON;
}

static bool horizon_is_over(const struct sieve *sieve, const struct batch_view *batch)
{
    return has_horizon(batch) &&
           (batch->base_timestamp <= sieve->now_ms || !BARRIER(CLEAN_HORIZON));
}

static int batch_judge(struct sieve *sieve, const struct batch_view *batch, struct judgement *ret)
{
    *ret = (struct judgement){ .header = is_last_of_producer(sieve, batch) ||
                                         batch_last_offset(batch) + 1 == sieve->round_end };
    if (batch_is_control(batch)) {
        int status = marker_judge(sieve, batch, &ret->orphan);
        ret->falls = ret->orphan && horizon_is_over(sieve, batch);
        return status;
    }
    if (batch_is_transactional(batch))
        open_add(sieve, batch->producer_id);
    ret->falls = is_aborted(sieve, batch);
    return 0;
}

static bool record_stays(
    const struct sieve *sieve, const struct batch_view *batch, const struct record_view *record)
{
    if (batch_is_control(batch) || record->offset >= sieve->known_to)
        return true;
    if (!record->key.data || record->offset < offset_map_get(&sieve->map, record->key))
        return false;
    return record->value.data || !horizon_is_over(sieve, batch);
}

/* ---- learning ------------------------------------------------------------------------------ */

static int records_learn(struct sieve *sieve, const struct batch_view *batch, struct bytes records)
{
    struct record_reader reader;
    struct record_view record;
    record_reader_init(&reader, batch, records);
    while (record_next(&reader, &record)) {
        if (!record.key.data || record.offset < sieve->known_from)
            continue;
        if (!offset_map_put(&sieve->map, record.key, record.offset)) {
            sieve->known_to = record.offset;
            return -ENOSPC;
        }
    }
    return record_reader_end(&reader);
}

int sieve_learn(struct sieve *sieve, const struct batch_view *batch)
{
    int status = 0;
    if (batch_last_offset(batch) < sieve->known_from)
        return 0;
    if (!batch_is_control(batch) && batch->count > 0 && !is_aborted(sieve, batch)) {
        struct bytes records;
        status = batch_records(batch, &sieve->compressor, SIEVE_RECORDS_MAX, &records);
        if (status == 0)
            status = records_learn(sieve, batch, records);
    }
    if (status == 0)
        sieve->known_to = batch_last_offset(batch) + 1;
    return status;
}

/* ---- passing ------------------------------------------------------------------------------- */

/* The batch without records. */
static int pass_empty(struct sieve *sieve, const struct batch_view *batch, struct out *out)
{
    struct batch_options options = batch_options_like(batch);
    options.attributes &= (uint16_t)~BATCH_ATTRIBUTE_DELETE_HORIZON;
    batch_builder_begin(&sieve->builder, &options);
    sieve->counts.emptied++;
    return batch_builder_finish(&sieve->builder, NULL, out);
}

static int pass_whole(struct sieve *sieve, const struct batch_view *batch, struct out *out)
{
    sieve->counts.records_out += (uint32_t)batch->count;
    out_bytes(out, batch->data, batch->size);
    return 0;
}

struct tally {
    int32_t stay;
    bool tombstone; /* one of those that stay, below known_to */
};

static int records_tally(const struct sieve *sieve, const struct batch_view *batch,
    struct bytes records, struct tally *ret)
{
    struct record_reader reader;
    struct record_view record;
    *ret = (struct tally){ 0 };
    record_reader_init(&reader, batch, records);
    while (record_next(&reader, &record)) {
        if (!record_stays(sieve, batch, &record))
            continue;
        ret->stay++;
        ret->tombstone |= !record.value.data && !batch_is_control(batch);
    }
    return record_reader_end(&reader);
}

/* Builds the batch of the records that stay; `horizon`: with a new one. */
static int pass_some(struct sieve *sieve, const struct batch_view *batch, struct bytes records,
    bool horizon, struct out *out)
{
    struct batch_options options = batch_options_like(batch);
    if (horizon) {
        options.attributes |= BATCH_ATTRIBUTE_DELETE_HORIZON;
        options.base_timestamp = sieve->now_ms < INT64_MAX - sieve->delete_retention_ms
                                     ? sieve->now_ms + sieve->delete_retention_ms
                                     : INT64_MAX;
        sieve->counts.horizons++;
    }
    batch_builder_begin(&sieve->builder, &options);
    struct record_reader reader;
    struct record_view record;
    int status = 0;
    record_reader_init(&reader, batch, records);
    while (status == 0 && record_next(&reader, &record)) {
        if (!record_stays(sieve, batch, &record))
            continue;
        status = horizon ? batch_builder_append_at(&sieve->builder, record.offset_delta, &record)
                         : batch_builder_copy(&sieve->builder, &record);
    }
    if (status == 0)
        status = batch_builder_finish(&sieve->builder, &sieve->compressor, out);
    sieve->counts.records_out += (uint32_t)sieve->builder.count;
    return status == -EINVAL ? -EBADMSG : status; /* offsets inside do not ascend */
}

static int pass_records(struct sieve *sieve, const struct batch_view *batch,
    const struct judgement *judgement, struct out *out)
{
    struct bytes records;
    struct tally tally = { 0 };
    int status = batch_records(batch, &sieve->compressor, SIEVE_RECORDS_MAX, &records);
    if (status == 0)
        status = records_tally(sieve, batch, records, &tally);
    if (status < 0)
        return status;
    if (tally.stay == 0)
        return judgement->header ? pass_empty(sieve, batch, out) : 0;
    bool known = batch_last_offset(batch) < sieve->known_to;
    bool horizon = !has_horizon(batch) && (judgement->orphan || (tally.tombstone && known));
    if (tally.stay == batch->count && !horizon)
        return pass_whole(sieve, batch, out);
    return pass_some(sieve, batch, records, horizon, out);
}

int sieve_pass(struct sieve *sieve, const struct batch_view *batch, struct out *out)
{
    struct judgement judgement;
    size_t before = out->len;
    sieve->counts.batches_in++;
    sieve->counts.records_in += (uint32_t)batch->count;
    int status = batch_judge(sieve, batch, &judgement);
    if (status < 0)
        return status;
    if (judgement.falls)
        status = judgement.header ? pass_empty(sieve, batch, out) : 0;
    else if (batch->base_offset >= sieve->known_to && !batch_is_control(batch))
        status = pass_whole(sieve, batch, out);
    else
        status = pass_records(sieve, batch, &judgement, out);
    sieve->counts.batches_out += out->len > before;
    return status;
}
