/*
 * See batch.h.
 *
 * The way of a client's batch: batch_validate reads the header and then every record, and changes
 * nothing; the broker sets base offset, leader epoch and timestamp in place and appends the bytes.
 * Only what cannot be stored as it came is built anew (batch_rebuild).
 *
 * The cost is one pass for the checksum and one that reads the lengths in each record; keys and
 * values are not touched. Setting the timestamp changes the checksum without a third pass.
 */
#include "protocol/batch.h"

#include <errno.h>

#include "protocol/crc32c.h"
#include "protocol/record.h"

static const char *const outcome_texts[BATCH_OUTCOME_COUNT] = {
    [BATCH_OK] = "the batch is valid",
    [BATCH_END] = "there is no batch",
    [BATCH_PARTIAL] = "the batch is cut short",
    [BATCH_BAD_SIZE] = "the batch's length is smaller than its header",
    [BATCH_BAD_MAGIC] = "the batch's format (magic) is unknown",
    [BATCH_OLD_MAGIC] = "the batch's format (magic) is older than 2",
    [BATCH_BAD_CRC] = "the batch's checksum does not match",
    [BATCH_NOT_ALONE] = "there are bytes behind the one batch",
    [BATCH_BAD_OFFSET] = "the base offset of a client's batch is not 0",
    [BATCH_TOO_LARGE] = "the batch is larger than the largest allowed",
    [BATCH_BAD_COUNT] = "the batch's offset range and record count do not agree",
    [BATCH_CONTROL] = "clients may not write control records",
    [BATCH_BAD_SEQUENCE] = "the batch has a producer id and no sequence",
    [BATCH_CODEC_UNKNOWN] = "the batch's compression type is unknown",
    [BATCH_CODEC_REFUSED] = "zstd needs version 7 of the produce request",
    [BATCH_BAD_COMPRESSION] = "the batch's records do not decompress",
    [BATCH_BOMB] = "the batch's records decompress to more than the largest allowed",
    [BATCH_BAD_RECORDS] = "the batch's records are malformed or not as many as declared",
    [BATCH_BAD_TIMESTAMP] = "one or more records have an invalid timestamp",
    [BATCH_NULL_KEY] = "one or more records lack the key that a compacted topic needs",
    [BATCH_NO_MEMORY] = "no memory to decompress the batch's records",
};

const char *batch_outcome_text(enum batch_outcome outcome)
{
    return (unsigned)outcome < BATCH_OUTCOME_COUNT ? outcome_texts[outcome] : "?";
}

/* ---- view ---------------------------------------------------------------------------------- */

enum {
    LENGTH_MIN_EVER = 14, /* of formats 0 and 1 */
    MAGIC_OLDEST = 0,
};

/* What the first bytes say, before anything of format 2 is believed. */
static enum batch_outcome look(struct bytes from, size_t *ret_size)
{
    if (from.len == 0)
        return BATCH_END;
    if (from.len < BATCH_PREFIX_SIZE)
        return BATCH_PARTIAL;
    int32_t length = (int32_t)be_get32(from.data + BATCH_AT_LENGTH);
    if (length < LENGTH_MIN_EVER)
        return BATCH_BAD_SIZE;
    if (from.len <= BATCH_AT_MAGIC)
        return BATCH_PARTIAL;
    int8_t magic = (int8_t)from.data[BATCH_AT_MAGIC];
    if (magic < MAGIC_OLDEST || magic > BATCH_MAGIC)
        return BATCH_BAD_MAGIC;
    if (magic != BATCH_MAGIC)
        return BATCH_OLD_MAGIC;
    if (length < BATCH_HEADER_SIZE - BATCH_PREFIX_SIZE)
        return BATCH_BAD_SIZE;
    *ret_size = (size_t)length + BATCH_PREFIX_SIZE;
    return from.len < BATCH_HEADER_SIZE ? BATCH_PARTIAL : BATCH_OK;
}

enum batch_outcome batch_parse_header(struct bytes from, struct batch_view *ret)
{
    size_t size;
    enum batch_outcome outcome = look(from, &size);
    if (outcome)
        return outcome;
    const uint8_t *data = from.data;
    *ret = (struct batch_view){
        .data = data,
        .size = size,
        .base_offset = (int64_t)be_get64(data + BATCH_AT_BASE_OFFSET),
        .leader_epoch = (int32_t)be_get32(data + BATCH_AT_LEADER_EPOCH),
        .crc = be_get32(data + BATCH_AT_CRC),
        .attributes = be_get16(data + BATCH_AT_ATTRIBUTES),
        .last_offset_delta = (int32_t)be_get32(data + BATCH_AT_LAST_OFFSET_DELTA),
        .base_timestamp = (int64_t)be_get64(data + BATCH_AT_BASE_TIMESTAMP),
        .max_timestamp = (int64_t)be_get64(data + BATCH_AT_MAX_TIMESTAMP),
        .producer_id = (int64_t)be_get64(data + BATCH_AT_PRODUCER_ID),
        .producer_epoch = (int16_t)be_get16(data + BATCH_AT_PRODUCER_EPOCH),
        .base_sequence = (int32_t)be_get32(data + BATCH_AT_BASE_SEQUENCE),
        .count = (int32_t)be_get32(data + BATCH_AT_COUNT),
    };
    return BATCH_OK;
}

enum batch_outcome batch_parse(struct bytes from, struct batch_view *ret)
{
    struct batch_view view;
    enum batch_outcome outcome = batch_parse_header(from, &view);
    if (outcome)
        return outcome;
    if (view.size > from.len)
        return BATCH_PARTIAL;
    view.records = bytes_of(from.data + BATCH_HEADER_SIZE, view.size - BATCH_HEADER_SIZE);
    *ret = view;
    return BATCH_OK;
}

enum batch_outcome batch_next(struct bytes *run, struct batch_view *ret)
{
    enum batch_outcome outcome = batch_parse(*run, ret);
    if (outcome == BATCH_OK)
        *run = bytes_of(run->data + ret->size, run->len - ret->size);
    return outcome;
}

enum batch_outcome batch_run_end(struct bytes run, int64_t *ret_end)
{
    struct batch_view batch;
    enum batch_outcome outcome;
    while ((outcome = batch_next(&run, &batch)) == BATCH_OK)
        *ret_end = batch_last_offset(&batch) + 1;
    return outcome;
}

static uint32_t sum(const uint8_t *batch, size_t size)
{
    return crc32c(0, batch + BATCH_AT_ATTRIBUTES, size - BATCH_AT_ATTRIBUTES);
}

enum batch_outcome batch_check(const struct batch_view *batch)
{
    return sum(batch->data, batch->size) == batch->crc ? BATCH_OK : BATCH_BAD_CRC;
}

int batch_records(const struct batch_view *batch, struct compressor *compressor, size_t size_max,
    struct bytes *ret)
{
    enum codec codec = batch_codec(batch);
    if (codec >= CODEC_COUNT)
        return -ENOTSUP;
    /* Compaction leaves batches of no records with nothing behind the header. */
    if (codec == CODEC_NONE || (batch->count == 0 && batch->records.len == 0)) {
        if (batch->records.len > size_max)
            return -E2BIG;
        *ret = batch->records;
        return 0;
    }
    struct out *scratch = compressor_scratch(compressor);
    int r = compressor_unpack(compressor, codec, batch->records, size_max, scratch);
    /* A stream of nothing may leave the scratch without memory; an empty run is not null. */
    if (!r)
        *ret = bytes_of(scratch->data ? scratch->data : batch->records.data, scratch->len);
    return r;
}

/* ---- patches ------------------------------------------------------------------------------- */

static size_t size_of(const uint8_t *batch)
{
    return be_get32(batch + BATCH_AT_LENGTH) + (size_t)BATCH_PREFIX_SIZE;
}

void batch_set_base_offset(uint8_t *batch, int64_t offset)
{
    be_put64(batch + BATCH_AT_BASE_OFFSET, (uint64_t)offset);
}

void batch_set_leader_epoch(uint8_t *batch, int32_t epoch)
{
    be_put32(batch + BATCH_AT_LEADER_EPOCH, (uint32_t)epoch);
}

void batch_set_crc(uint8_t *batch)
{
    be_put32(batch + BATCH_AT_CRC, sum(batch, size_of(batch)));
}

void batch_set_timestamp(uint8_t *batch, bool log_append_time, int64_t max_timestamp)
{
    /* What changes lies between the attributes and the maximum timestamp, both included. */
    enum { PATCH_SIZE = BATCH_AT_MAX_TIMESTAMP + 8 - BATCH_AT_ATTRIBUTES };
    uint8_t *patch = batch + BATCH_AT_ATTRIBUTES;
    uint16_t attributes = be_get16(batch + BATCH_AT_ATTRIBUTES);
    uint16_t wanted = (uint16_t)(attributes & ~BATCH_ATTRIBUTE_LOG_APPEND_TIME);
    if (log_append_time)
        wanted |= BATCH_ATTRIBUTE_LOG_APPEND_TIME;
    if (wanted == attributes && (int64_t)be_get64(batch + BATCH_AT_MAX_TIMESTAMP) == max_timestamp)
        return;
    uint32_t was = crc32c(0, patch, PATCH_SIZE);
    be_put16(batch + BATCH_AT_ATTRIBUTES, wanted);
    be_put64(batch + BATCH_AT_MAX_TIMESTAMP, (uint64_t)max_timestamp);
    uint32_t is = crc32c(0, patch, PATCH_SIZE);
    size_t after = size_of(batch) - BATCH_AT_ATTRIBUTES - PATCH_SIZE;
    be_put32(batch + BATCH_AT_CRC, crc32c_patch(be_get32(batch + BATCH_AT_CRC), was, is, after));
}

/* ---- validation ---------------------------------------------------------------------------- */

/* Everything that the header alone tells, in Kafka's order. */
static enum batch_outcome judge_header(
    const struct batch_view *batch, size_t given, const struct batch_rules *rules)
{
    if (batch->size != given)
        return BATCH_NOT_ALONE;
    if (rules->zstd_refused && batch_codec(batch) == CODEC_ZSTD)
        return BATCH_CODEC_REFUSED;
    if (rules->client && batch->base_offset != 0)
        return BATCH_BAD_OFFSET;
    if (batch->size > rules->size_max)
        return BATCH_TOO_LARGE;
    enum batch_outcome outcome = batch_check(batch);
    if (outcome)
        return outcome;
    if (batch_codec(batch) >= CODEC_COUNT)
        return BATCH_CODEC_UNKNOWN;
    if (batch->count < 0)
        return BATCH_BAD_COUNT;
    if (!rules->client)
        return BATCH_OK;
    if (batch->count == 0 || batch->last_offset_delta != batch->count - 1)
        return BATCH_BAD_COUNT;
    if (batch_is_control(batch))
        return BATCH_CONTROL;
    if (batch->producer_id >= 0 && batch->base_sequence < 0)
        return BATCH_BAD_SEQUENCE;
    return BATCH_OK;
}

/* One batch before the records' judge. */
struct judge {
    const struct batch_rules *rules;
    struct batch_verdict *verdict;
    int64_t earliest, latest; /* timestamps within need no closer look */
    bool log_append_time;     /* the client says */
};

static struct judge judge_of(
    const struct batch_view *batch, const struct batch_rules *rules, struct batch_verdict *verdict)
{
    struct judge judge = { rules, verdict, INT64_MIN, INT64_MAX, batch_is_log_append_time(batch) };
    if (!rules->log_append_time) {
        if (rules->before_max_ms == INT64_MAX ||
            __builtin_sub_overflow(rules->now_ms, rules->before_max_ms, &judge.earliest))
            judge.earliest = INT64_MIN;
        if (__builtin_add_overflow(rules->now_ms, rules->after_max_ms, &judge.latest))
            judge.latest = INT64_MAX;
    }
    return judge;
}

/* A record that may be at fault: the closer look. */
static void judge_record(const struct judge *judge, int32_t index, bool has_key, int64_t timestamp)
{
    struct batch_verdict *verdict = judge->verdict;
    enum record_fault fault;
    if (judge->rules->keys_required && !has_key) {
        fault = RECORD_NO_KEY;
    } else if (!judge->rules->log_append_time && timestamp != -1) {
        if (timestamp >= judge->earliest && timestamp <= judge->latest)
            return;
        fault = RECORD_TIMESTAMP_RANGE;
    } else if (judge->log_append_time) {
        fault = RECORD_TIMESTAMP_TYPE;
    } else {
        return;
    }
    if (fault != RECORD_NO_KEY)
        verdict->outcome = BATCH_BAD_TIMESTAMP;
    else if (verdict->outcome == BATCH_OK)
        verdict->outcome = BATCH_NULL_KEY;
    if (verdict->error_count < BATCH_ERRORS_MAX)
        verdict->errors[verdict->error_count] = (struct record_error){ index, fault, timestamp };
    verdict->error_count++;
}

static void reject_records(struct batch_verdict *verdict)
{
    verdict->outcome = BATCH_BAD_RECORDS;
    verdict->error_count = 0; /* the faults of single records matter no more */
}

/* The hot path: each record of each produce request. */
static void judge_records(
    const struct batch_view *batch, const struct batch_rules *rules, struct batch_verdict *verdict)
{
    const uint8_t *at = verdict->records.data, *end = bytes_end(verdict->records);
    const struct judge judge = judge_of(batch, rules, verdict);
    const bool keys_required = rules->keys_required;
    const uint64_t base = (uint64_t)batch->base_timestamp;
    const int32_t count = batch->count;
    int64_t max_timestamp = -1;
    bool in_order = true;
    for (int32_t i = 0; i < count; i++) {
        struct record_view record;
        if (!record_parse(&at, end, &record)) {
            reject_records(verdict);
            return;
        }
        int64_t timestamp = (int64_t)(base + (uint64_t)record.timestamp_delta);
        if (timestamp > max_timestamp)
            max_timestamp = timestamp;
        in_order &= record.offset_delta == i;
        if (timestamp < judge.earliest || timestamp > judge.latest || judge.log_append_time ||
            (keys_required && !record.key.data))
            judge_record(&judge, i, record.key.data != NULL, timestamp);
    }
    if (at != end)
        reject_records(verdict);
    if (!in_order && rules->client)
        verdict->rebuild = true;
    verdict->max_timestamp = rules->log_append_time ? rules->now_ms : max_timestamp;
}

static enum batch_outcome outcome_of(int error)
{
    switch (error) {
    case 0: return BATCH_OK;
    case -ENOTSUP: return BATCH_CODEC_UNKNOWN;
    case -E2BIG: return BATCH_BOMB;
    case -ENOMEM: return BATCH_NO_MEMORY;
    default: return BATCH_BAD_COMPRESSION;
    }
}

void batch_validate(struct bytes from, const struct batch_rules *rules,
    struct compressor *compressor, struct batch_view *ret_view, struct batch_verdict *ret)
{
    ret->records = (struct bytes){ 0 };
    ret->max_timestamp = -1;
    ret->rebuild = false;
    ret->error_count = 0;
    ret->outcome = batch_parse(from, ret_view);
    if (ret->outcome)
        return;
    ret->outcome = judge_header(ret_view, from.len, rules);
    if (ret->outcome)
        return;
    ret->outcome =
        outcome_of(batch_records(ret_view, compressor, rules->decompressed_max, &ret->records));
    if (ret->outcome)
        return;
    ret->rebuild = !compress_portable(batch_codec(ret_view), ret_view->records);
    judge_records(ret_view, rules, ret);
}

int batch_rebuild(const struct batch_view *batch, const struct batch_verdict *verdict,
    const struct batch_recoding *recoding, struct compressor *compressor, struct out *out)
{
    struct batch_options options = batch_options_like(batch);
    options.codec = recoding->codec;
    options.level = recoding->level;
    options.attributes &= (uint16_t)~BATCH_ATTRIBUTE_LOG_APPEND_TIME;
    struct batch_builder builder = { 0 };
    struct record_reader reader;
    struct record_view record;
    struct batch_view plain = *batch;
    plain.attributes = options.attributes; /* so that records tell their own timestamps */
    batch_builder_begin(&builder, &options);
    record_reader_init(&reader, &plain, verdict->records);
    int r = 0;
    while (!r && record_next(&reader, &record))
        r = batch_builder_append(&builder, &record);
    if (!r)
        r = record_reader_end(&reader);
    size_t start = out->len;
    if (!r)
        r = batch_builder_finish(&builder, compressor, out);
    if (!r)
        batch_set_timestamp(out->data + start, recoding->log_append_time, verdict->max_timestamp);
    batch_builder_done(&builder);
    return r;
}
