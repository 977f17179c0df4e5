/*
 * See record.h.
 *
 * Reading trusts nothing: lengths are held against the bytes that are left, counts only end loops
 * that the bytes would end as well (a negative one never does, so the bytes do), and a record must
 * end exactly where its length says. So a run that record_parse accepted cannot fail later in
 * record_header_next.
 *
 * A builder keeps its records encoded but not compressed, and compresses when it finishes; its
 * header is written last, over a hole left for it.
 */
#include "protocol/record.h"

#include <errno.h>
#include <string.h>

#include "protocol/crc32c.h"

/* ---- reading ------------------------------------------------------------------------------- */

void record_reader_init(
    struct record_reader *reader, const struct batch_view *batch, struct bytes records)
{
    *reader = (struct record_reader){
        .at = records.data,
        .end = records.data + records.len,
        .left = batch->count,
        .base_offset = batch->base_offset,
        .base_timestamp = batch->base_timestamp,
        .append_time = batch->max_timestamp,
        .has_append_time = batch_is_log_append_time(batch),
    };
}

/* Sums wrap: hostile deltas must not be undefined behaviour. */
static int64_t add(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a + (uint64_t)b);
}

bool record_next(struct record_reader *reader, struct record_view *ret)
{
    if (reader->error)
        return false;
    if (reader->left == 0) {
        if (reader->at != reader->end)
            reader->error = -EBADMSG;
        return false;
    }
    if (!record_parse(&reader->at, reader->end, ret)) {
        reader->error = -EBADMSG;
        return false;
    }
    reader->left--;
    ret->offset = add(reader->base_offset, ret->offset_delta);
    ret->timestamp = reader->has_append_time ? reader->append_time
                                             : add(reader->base_timestamp, ret->timestamp_delta);
    return true;
}

int record_reader_end(const struct record_reader *reader)
{
    return reader->error;
}

bool record_header_next(struct bytes *headers, struct record_header *ret)
{
    const uint8_t *at = headers->data, *end = bytes_end(*headers);
    if (!record_run_read(&at, end, &ret->key) || !ret->key.data ||
        !record_run_read(&at, end, &ret->value))
        return false;
    *headers = bytes_of(at, (size_t)(end - at));
    return true;
}

bool record_headers_check(struct bytes headers, int32_t count)
{
    struct record_header header;
    for (int32_t i = 0; i < count; i++) {
        if (!record_header_next(&headers, &header))
            return false;
    }
    return count >= 0 && headers.len == 0;
}

/* ---- building ------------------------------------------------------------------------------ */

static size_t run_size(struct bytes run)
{
    return run.data ? varint_size((int64_t)run.len) + run.len : 1;
}

static uint8_t *run_write(uint8_t *to, struct bytes run)
{
    to = varint_write(to, run.data ? (int64_t)run.len : -1);
    if (run.data && run.len)
        memcpy(to, run.data, run.len);
    return to + run.len;
}

void record_header_add(struct out *headers, struct bytes key, struct bytes value)
{
    CHECK(key.data && key.len <= INT32_MAX && value.len <= INT32_MAX);
    uint8_t *to = out_add(headers, run_size(key) + run_size(value));
    (void)run_write(run_write(to, key), value); /* ends where out_add said */
}

struct batch_options batch_options_plain(enum codec codec)
{
    return (struct batch_options){
        .codec = codec,
        .level = COMPRESS_LEVEL_DEFAULT,
        .leader_epoch = -1,
        .producer_id = -1,
        .producer_epoch = -1,
        .base_sequence = -1,
        .max_timestamp = -1,
        .base_timestamp = BATCH_TIMESTAMP_OF_FIRST,
        .last_offset_delta = -1,
    };
}

struct batch_options batch_options_like(const struct batch_view *batch)
{
    return (struct batch_options){
        .codec = batch_codec(batch),
        .level = COMPRESS_LEVEL_DEFAULT,
        .base_offset = batch->base_offset,
        .leader_epoch = batch->leader_epoch,
        .producer_id = batch->producer_id,
        .producer_epoch = batch->producer_epoch,
        .base_sequence = batch->base_sequence,
        .attributes = (uint16_t)(batch->attributes & ~BATCH_ATTRIBUTE_CODEC),
        .max_timestamp = batch->max_timestamp,
        .base_timestamp = batch->base_timestamp,
        .last_offset_delta = batch->last_offset_delta,
    };
}

void batch_builder_begin(struct batch_builder *builder, const struct batch_options *options)
{
    builder->options = *options;
    builder->records.len = 0;
    builder->count = 0;
    builder->last_delta = -1;
    builder->base_timestamp = options->base_timestamp;
    builder->max_timestamp = -1;
}

void batch_builder_done(struct batch_builder *builder)
{
    out_done(&builder->records);
    *builder = (struct batch_builder){ 0 };
}

size_t batch_builder_size(const struct batch_builder *builder)
{
    return BATCH_HEADER_SIZE + builder->records.len;
}

/* Of the record with all of its deltas known, without its length. */
static size_t body_size(const struct record_view *record)
{
    return 1 + varint_size(record->timestamp_delta) + varint_size(record->offset_delta) +
           run_size(record->key) + run_size(record->value) + varint_size(record->header_count) +
           record->headers.len;
}

/* The record at `offset_delta` with the deltas it will have in this batch. */
static struct record_view placed(
    const struct batch_builder *builder, int32_t offset_delta, const struct record_view *record)
{
    struct record_view copy = *record;
    bool first = builder->base_timestamp == BATCH_TIMESTAMP_OF_FIRST;
    copy.offset_delta = offset_delta;
    copy.timestamp_delta =
        first ? 0 : (int64_t)((uint64_t)record->timestamp - (uint64_t)builder->base_timestamp);
    return copy;
}

size_t batch_builder_size_with(
    const struct batch_builder *builder, const struct record_view *record)
{
    struct record_view copy = placed(builder, builder->last_delta + 1, record);
    size_t size = body_size(&copy);
    return batch_builder_size(builder) + varint_size((int64_t)size) + size;
}

/* Room for `size` more bytes of records within what a batch can tell. */
static int make_room(struct batch_builder *builder, size_t size)
{
    size_t most = INT32_MAX - (BATCH_HEADER_SIZE - BATCH_PREFIX_SIZE);
    if (size > most - builder->records.len || builder->count == INT32_MAX)
        return -E2BIG;
    if (builder->records.capacity - builder->records.len >= size)
        return 0;
    size_t half = builder->records.capacity / 2;
    return out_reserve(&builder->records, size > half ? size : half);
}

static void count_record(struct batch_builder *builder, int32_t offset_delta, int64_t timestamp)
{
    builder->count++;
    builder->last_delta = offset_delta;
    if (timestamp > builder->max_timestamp)
        builder->max_timestamp = timestamp;
}

int batch_builder_append(struct batch_builder *builder, const struct record_view *record)
{
    if (builder->last_delta == INT32_MAX)
        return -E2BIG;
    return batch_builder_append_at(builder, builder->last_delta + 1, record);
}

int batch_builder_append_at(
    struct batch_builder *builder, int32_t offset_delta, const struct record_view *record)
{
    if (offset_delta <= builder->last_delta)
        return -EINVAL;
    struct record_view copy = placed(builder, offset_delta, record);
    if (copy.key.len > INT32_MAX || copy.value.len > INT32_MAX || copy.headers.len > INT32_MAX)
        return -E2BIG;
    size_t size = body_size(&copy), whole = varint_size((int64_t)size) + size;
    int r = make_room(builder, whole);
    if (r)
        return r;
    if (builder->base_timestamp == BATCH_TIMESTAMP_OF_FIRST)
        builder->base_timestamp = record->timestamp;
    uint8_t *to = varint_write(out_add(&builder->records, whole), (int64_t)size);
    *to++ = 0; /* attributes */
    to = varint_write(to, copy.timestamp_delta);
    to = varint_write(to, copy.offset_delta);
    to = run_write(run_write(to, copy.key), copy.value);
    to = varint_write(to, copy.header_count);
    if (copy.headers.len)
        memcpy(to, copy.headers.data, copy.headers.len);
    count_record(builder, offset_delta, record->timestamp);
    return 0;
}

int batch_builder_copy(struct batch_builder *builder, const struct record_view *record)
{
    if (record->offset_delta <= builder->last_delta)
        return -EINVAL;
    int r = make_room(builder, record->whole.len);
    if (r)
        return r;
    out_bytes(&builder->records, record->whole.data, record->whole.len);
    count_record(builder, record->offset_delta, record->timestamp);
    return 0;
}

static void write_header(const struct batch_builder *builder, uint8_t *batch, size_t size)
{
    const struct batch_options *options = &builder->options;
    bool empty = builder->count == 0;
    unsigned attributes = options->attributes | (unsigned)(empty ? CODEC_NONE : options->codec);
    bool first = builder->base_timestamp == BATCH_TIMESTAMP_OF_FIRST;
    int64_t base = first || (empty && !(attributes & BATCH_ATTRIBUTE_DELETE_HORIZON))
                       ? -1
                       : builder->base_timestamp;
    int64_t max = empty || (attributes & BATCH_ATTRIBUTE_LOG_APPEND_TIME) ? options->max_timestamp
                                                                          : builder->max_timestamp;
    int32_t last =
        options->last_offset_delta < 0 ? builder->last_delta : options->last_offset_delta;
    be_put64(batch + BATCH_AT_BASE_OFFSET, (uint64_t)options->base_offset);
    be_put32(batch + BATCH_AT_LENGTH, (uint32_t)(size - BATCH_PREFIX_SIZE));
    be_put32(batch + BATCH_AT_LEADER_EPOCH, (uint32_t)options->leader_epoch);
    batch[BATCH_AT_MAGIC] = BATCH_MAGIC;
    be_put16(batch + BATCH_AT_ATTRIBUTES, (uint16_t)attributes);
    be_put32(batch + BATCH_AT_LAST_OFFSET_DELTA, (uint32_t)last);
    be_put64(batch + BATCH_AT_BASE_TIMESTAMP, (uint64_t)base);
    be_put64(batch + BATCH_AT_MAX_TIMESTAMP, (uint64_t)max);
    be_put64(batch + BATCH_AT_PRODUCER_ID, (uint64_t)options->producer_id);
    be_put16(batch + BATCH_AT_PRODUCER_EPOCH, (uint16_t)options->producer_epoch);
    be_put32(batch + BATCH_AT_BASE_SEQUENCE, (uint32_t)options->base_sequence);
    be_put32(batch + BATCH_AT_COUNT, (uint32_t)builder->count);
    batch_set_crc(batch);
}

int batch_builder_finish(
    struct batch_builder *builder, struct compressor *compressor, struct out *out)
{
    const struct batch_options *options = &builder->options;
    size_t start = out->len;
    enum codec codec = builder->count == 0 ? CODEC_NONE : options->codec;
    int r = out_reserve(out, batch_builder_size(builder));
    if (r)
        return r;
    (void)out_add(out, BATCH_HEADER_SIZE); /* written last */
    r = compressor_pack(compressor, codec, options->level,
        bytes_of(builder->records.data, builder->records.len), out);
    if (!r && out->len - start > BATCH_SIZE_MAX)
        r = -E2BIG;
    if (r)
        out->len = start;
    else
        write_header(builder, out->data + start, out->len - start);
    return r;
}

/* ---- control records ----------------------------------------------------------------------- */

enum { CONTROL_KEY_SIZE = 4, CONTROL_VALUE_SIZE = 6 };

int control_parse(const struct batch_view *batch, struct bytes records, struct control_marker *ret)
{
    struct record_reader reader;
    struct record_view record;
    record_reader_init(&reader, batch, records);
    if (!record_next(&reader, &record) || record.key.len < CONTROL_KEY_SIZE ||
        (int16_t)be_get16(record.key.data) < 0)
        return -EBADMSG;
    int16_t type = (int16_t)be_get16(record.key.data + 2);
    struct control_marker marker = { CONTROL_UNKNOWN, -1 };
    if (type >= CONTROL_ABORT && type <= CONTROL_KRAFT_VOTERS)
        marker.type = (enum control_type)type;
    if (marker.type == CONTROL_ABORT || marker.type == CONTROL_COMMIT) {
        /* Newer versions only append fields. */
        if (record.value.len < CONTROL_VALUE_SIZE || (int16_t)be_get16(record.value.data) < 0)
            return -EBADMSG;
        marker.coordinator_epoch = (int32_t)be_get32(record.value.data + 2);
    }
    *ret = marker;
    return 0;
}

void control_build(struct out *out, const struct batch_options *producer, bool commit,
    int32_t coordinator_epoch, int64_t timestamp)
{
    uint8_t key[CONTROL_KEY_SIZE] = { 0 }, value[CONTROL_VALUE_SIZE] = { 0 };
    be_put16(key + 2, commit ? CONTROL_COMMIT : CONTROL_ABORT);
    be_put32(value + 2, (uint32_t)coordinator_epoch);
    struct batch_options options = batch_options_plain(CODEC_NONE);
    options.producer_id = producer->producer_id;
    options.producer_epoch = producer->producer_epoch;
    options.attributes = BATCH_ATTRIBUTE_CONTROL | BATCH_ATTRIBUTE_TRANSACTIONAL;
    struct record_view record = {
        .timestamp = timestamp,
        .key = bytes_of(key, sizeof(key)),
        .value = bytes_of(value, sizeof(value)),
    };
    struct batch_builder builder = { 0 };
    batch_builder_begin(&builder, &options);
    CHECK(batch_builder_append(&builder, &record) == 0);
    CHECK(batch_builder_finish(&builder, NULL, out) == 0);
    batch_builder_done(&builder);
}
