/*
 * fuzz_batch.c - anything as the records of a produce request and as a run of batches from a disk.
 *
 * The checksum would stop nearly all of it, so it is set right first. What validation accepts must
 * hold: walking the records again finds as many, patches keep the checksum, and a rebuilt batch is
 * itself accepted with the same records.
 */
#include <stdlib.h>
#include <string.h>

#include "protocol/base/mem.h"
#include "protocol/batch.h"
#include "protocol/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { DECOMPRESSED_MAX = 1 << 20 };

static const struct batch_rules rules[] = {
    { .client = true,
        .size_max = 1 << 20,
        .decompressed_max = DECOMPRESSED_MAX,
        .now_ms = 1700000000000,
        .before_max_ms = INT64_MAX,
        .after_max_ms = INT64_MAX },
    { .client = true,
        .keys_required = true,
        .log_append_time = true,
        .size_max = 1 << 20,
        .decompressed_max = DECOMPRESSED_MAX,
        .now_ms = 1700000000000 },
    { .size_max = SIZE_MAX,
        .decompressed_max = DECOMPRESSED_MAX,
        .now_ms = -1,
        .before_max_ms = 10,
        .after_max_ms = 10 },
};

/* Every record and header; the number of records, or -1. */
static int64_t walk(const struct batch_view *batch, struct bytes records)
{
    struct record_reader reader;
    struct record_view record;
    int64_t count = 0;
    size_t touched = 0;
    record_reader_init(&reader, batch, records);
    while (record_next(&reader, &record)) {
        struct record_header header;
        count++;
        for (int32_t i = 0; i < record.header_count; i++) {
            CHECK(record_header_next(&record.headers, &header));
            touched += header.key.len + header.value.len;
        }
        CHECK(record.headers.len == 0);
        touched += record.key.len + record.value.len;
    }
    CHECK(touched <= records.len);
    return record_reader_end(&reader) ? -1 : count;
}

static void rebuild(const struct batch_view *batch, const struct batch_verdict *verdict,
    struct compressor *compressor, enum codec codec)
{
    struct compressor other;
    struct out out = { 0 };
    struct batch_view again;
    struct batch_verdict second;
    struct batch_recoding recoding = { codec, 1, false };
    compressor_init(&other);
    CHECK(batch_rebuild(batch, verdict, &recoding, compressor, &out) == 0);
    struct batch_rules same = rules[0];
    same.size_max = SIZE_MAX;
    same.decompressed_max = 2 * DECOMPRESSED_MAX; /* offsets may have become longer */
    batch_validate(bytes_of(out.data, out.len), &same, &other, &again, &second);
    CHECK(second.outcome == BATCH_OK && !second.rebuild && again.count == batch->count);
    CHECK(second.max_timestamp == again.max_timestamp);
    out_done(&out);
    compressor_done(&other);
}

static void validate(uint8_t *data, size_t size, const struct batch_rules *some)
{
    struct compressor compressor;
    struct batch_view batch;
    struct batch_verdict verdict;
    compressor_init(&compressor);
    batch_validate(bytes_of(data, size), some, &compressor, &batch, &verdict);
    CHECK(batch_outcome_text(verdict.outcome)[0] != '?');
    if (verdict.outcome == BATCH_OK) {
        struct control_marker marker;
        CHECK(walk(&batch, verdict.records) == batch.count);
        (void)!control_parse(&batch, verdict.records, &marker); /* any answer will do */
        if (some == &rules[0])
            rebuild(&batch, &verdict, &compressor, (enum codec)(size % CODEC_COUNT));
        batch_set_timestamp(data, some->log_append_time, verdict.max_timestamp);
        CHECK(batch_parse(bytes_of(data, size), &batch) == BATCH_OK);
        CHECK(batch_check(&batch) == BATCH_OK);
    } else if (verdict.records.data) {
        (void)walk(&batch, verdict.records);
    }
    compressor_done(&compressor);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    CHECK(copy);
    memcpy(copy, data, size);
    struct bytes run = bytes_of(copy, size);
    struct batch_view batch;
    while (batch_next(&run, &batch) == BATCH_OK) {
        batch_set_crc(copy + (batch.data - copy));
        CHECK(batch_parse(bytes_of(batch.data, batch.size), &batch) == BATCH_OK);
        CHECK(batch_check(&batch) == BATCH_OK);
        for (size_t i = 0; i < ARRAY_COUNT(rules); i++)
            validate(copy + (batch.data - copy), batch.size, &rules[i]);
    }
    for (size_t i = 0; i < ARRAY_COUNT(rules); i++)
        validate(copy, size, &rules[i]);
    free(copy);
    return 0;
}
