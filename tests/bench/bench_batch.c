/*
 * What checksums, validation and the codecs cost: GB/s and CPU-seconds per GB of batch bytes, in
 * cache (one batch again and again) and out of it (256 MiB of batches in turn).
 *
 *     build/tests/bench/bench_batch
 *
 * Records are uncompressible bytes for the checksum and the walk (what a codec would do there is
 * measured apart) and JSON-like text for the codecs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "protocol/base/mem.h"
#include "protocol/base/random.h"
#include "protocol/batch.h"
#include "protocol/crc32c.h"
#include "protocol/record.h"

enum { BATCH_BYTES = 64 << 10, RUN_BYTES = 256 << 20 };
static const double seconds_min = 0.4;

static double cpu_seconds(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void report(const char *what, double bytes, double seconds)
{
    printf(
        "%-44s %7.2f GB/s %8.4f CPU-s/GB\n", what, bytes / seconds * 1e-9, seconds / bytes * 1e9);
}

static void bench_crc(
    const char *what, uint32_t (*sum)(uint32_t, const void *, size_t), size_t size)
{
    uint8_t *data = mem_zalloc(1, size);
    struct random random = random_seeded(1);
    random_bytes(&random, data, size);
    uint32_t crc = 0;
    double bytes = 0, from = cpu_seconds(), seconds;
    do {
        for (size_t i = 0; i < (size_t)(32 << 20) / size + 1; i++) {
            crc = sum(crc, data, size);
            bytes += (double)size;
        }
        seconds = cpu_seconds() - from;
    } while (seconds < seconds_min);
    char line[64];
    (void)snprintf(
        line, sizeof(line), "crc32c %s, %zu KiB%s", what, size >> 10, crc == 1 ? "." : "");
    report(line, bytes, seconds);
    mem_free(data);
}

/* A value that looks like what people send. */
static size_t fill_text(struct random *random, uint8_t *to, size_t size)
{
    static const char *const words[] = { "\"user\":", "\"amount\":", "\"status\":\"ok\",",
        "\"country\":\"DE\",", "\"item\":\"wheel\",", "\"time\":17", "\"session\":\"" };
    size_t len = 0;
    while (len < size) {
        int n = snprintf((char *)to + len, size - len, "%s%lu,",
            words[random_below(random, ARRAY_COUNT(words))], random_below(random, 100000));
        len += (size_t)n < size - len ? (size_t)n : size - len;
    }
    return size;
}

static void build(struct out *out, struct compressor *compressor, enum codec codec,
    size_t value_size, size_t size_max, bool text, struct random *random)
{
    struct batch_options options = batch_options_plain(codec);
    struct batch_builder builder = { 0 };
    batch_builder_begin(&builder, &options);
    uint8_t *value = mem_alloc(value_size + 1);
    for (int i = 0;; i++) {
        if (text)
            (void)fill_text(random, value, value_size);
        else
            random_bytes(random, value, value_size);
        struct record_view record = {
            .timestamp = 1700000000000 + i / 10,
            .key = bytes_text("key-12345678"),
            .value = bytes_of(value, value_size),
        };
        if (batch_builder_size_with(&builder, &record) > size_max)
            break;
        CHECK(batch_builder_append(&builder, &record) == 0);
    }
    CHECK(batch_builder_finish(&builder, compressor, out) == 0);
    batch_builder_done(&builder);
    mem_free(value);
}

static double validate_all(struct bytes run, struct compressor *compressor)
{
    struct batch_rules rules = {
        .client = true,
        .size_max = 1 << 20,
        .decompressed_max = 64 << 20,
        .now_ms = 1700000000000,
        .before_max_ms = INT64_MAX,
        .after_max_ms = 3600000,
    };
    double records = 0;
    struct bytes rest = run;
    struct batch_view view;
    while (batch_next(&rest, &view) == BATCH_OK) {
        struct batch_verdict verdict;
        batch_validate(bytes_of(view.data, view.size), &rules, compressor, &view, &verdict);
        CHECK(verdict.outcome == BATCH_OK && !verdict.rebuild);
        records += view.count;
    }
    return records;
}

static void bench_validate(size_t value_size, size_t run_bytes)
{
    struct random random = random_seeded(2);
    struct compressor compressor;
    struct out one = { 0 };
    compressor_init(&compressor);
    build(&one, &compressor, CODEC_NONE, value_size, BATCH_BYTES, false, &random);
    size_t count = run_bytes / one.len + 1;
    uint8_t *run = mem_alloc(count * one.len);
    for (size_t i = 0; i < count; i++)
        memcpy(run + i * one.len, one.data, one.len);
    double bytes = 0, records = 0, from = cpu_seconds(), seconds;
    do {
        records += validate_all(bytes_of(run, count * one.len), &compressor);
        bytes += (double)(count * one.len);
        seconds = cpu_seconds() - from;
    } while (seconds < seconds_min);
    char line[64];
    (void)snprintf(line, sizeof(line), "validate %zu B records, 64 KiB, %s", value_size,
        run_bytes > BATCH_BYTES ? "from memory" : "in cache");
    report(line, bytes, seconds);
    printf("%-44s %7.2f ns each, checksum included\n", "", seconds / records * 1e9);
    mem_free(run);
    out_done(&one);
    compressor_done(&compressor);
}

static void bench_codec(enum codec codec)
{
    struct random random = random_seeded(3);
    struct compressor compressor;
    struct out batch = { 0 }, packed = { 0 };
    compressor_init(&compressor);
    double from = cpu_seconds(), bytes = 0, seconds;
    build(&batch, &compressor, codec, 1000, BATCH_BYTES, true, &random);
    struct batch_view view;
    struct bytes records;
    CHECK(batch_parse(bytes_of(batch.data, batch.len), &view) == BATCH_OK);
    from = cpu_seconds();
    do {
        CHECK(batch_records(&view, &compressor, 1 << 20, &records) == 0);
        bytes += (double)records.len;
        seconds = cpu_seconds() - from;
    } while (seconds < seconds_min);
    char line[64];
    double ratio = (double)records.len / (double)view.records.len;
    (void)snprintf(
        line, sizeof(line), "%s read (ratio %.2f), of plain bytes", codec_name(codec), ratio);
    report(line, bytes, seconds);
    struct out plain = { 0 };
    out_bytes(&plain, records.data, records.len);
    from = cpu_seconds();
    bytes = 0;
    do {
        packed.len = 0;
        CHECK(compressor_pack(&compressor, codec, COMPRESS_LEVEL_DEFAULT,
                  bytes_of(plain.data, plain.len), &packed) == 0);
        bytes += (double)plain.len;
        seconds = cpu_seconds() - from;
    } while (seconds < seconds_min);
    (void)snprintf(line, sizeof(line), "%s write", codec_name(codec));
    report(line, bytes, seconds);
    out_done(&plain);
    out_done(&packed);
    out_done(&batch);
    compressor_done(&compressor);
}

int main(void)
{
    const size_t sizes[] = { 1 << 10, 16 << 10, 64 << 10, 1 << 20, 64 << 20 };
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        bench_crc("by table", crc32c_by_table, sizes[i]);
        if (crc32c_has_instruction())
            bench_crc("by instruction", crc32c_by_instruction, sizes[i]);
    }
    const size_t values[] = { 10, 100, 1000 };
    for (size_t i = 0; i < ARRAY_COUNT(values); i++) {
        bench_validate(values[i], 1);
        bench_validate(values[i], RUN_BYTES);
    }
    for (int codec = CODEC_GZIP; codec < CODEC_COUNT; codec++)
        bench_codec((enum codec)codec);
    return 0;
}
