/* Varints, walking records, building batches byte for byte as the Java client does, control
 * records. */
#include "protocol/record.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "protocol/base/random.h"
#include "tests/test.h"
#include "tests/unit/golden_batches.h"

/* ---- varints ------------------------------------------------------------------------------- */

static void expect_varint(int64_t value, size_t size)
{
    uint8_t bytes[VARLONG_SIZE_MAX];
    cr_assert_eq(varint_size(value), size, "size of %ld", value);
    cr_assert_eq(varint_write(bytes, value) - bytes, (ptrdiff_t)size);
    const uint8_t *at = bytes;
    int64_t back = 0;
    cr_assert(varlong_read(&at, bytes + size, &back));
    cr_assert_eq(back, value);
    cr_assert_eq(at, bytes + size);
    for (size_t cut = 0; cut < size; cut++) {
        at = bytes;
        cr_assert_not(varlong_read(&at, bytes + cut, &back), "%ld cut to %zu bytes", value, cut);
        cr_assert_eq(at, bytes, "a number that is not there was taken");
    }
    if (value >= INT32_MIN && value <= INT32_MAX) {
        int32_t small = 0;
        at = bytes;
        cr_assert(varint_read(&at, bytes + size, &small));
        cr_assert_eq(small, value);
    }
}

TEST(record, varints_at_every_size)
{
    expect_varint(0, 1);
    expect_varint(-1, 1);
    expect_varint(63, 1);
    expect_varint(-64, 1);
    expect_varint(64, 2);
    expect_varint(-65, 2);
    expect_varint(8191, 2);
    expect_varint(8192, 3);
    expect_varint(INT32_MAX, 5);
    expect_varint(INT32_MIN, 5);
    expect_varint((int64_t)INT32_MAX + 1, 5);
    expect_varint(INT64_MAX, 10);
    expect_varint(INT64_MIN, 10);
    struct random random = random_seeded(1);
    for (int i = 0; i < 10000; i++) {
        int64_t value = (int64_t)random_u64(&random) >> random_below(&random, 64);
        expect_varint(value, varint_size(value));
    }
}

/* 32 and 64 bits and no more, in 5 and 10 bytes and no more; padding is tolerated. */
TEST(record, varints_too_long_or_too_big)
{
    const struct {
        uint8_t bytes[12];
        bool is_int, is_long;
        int64_t value;
    } cases[] = {
        { { 0x80, 0x00 }, true, true, 0 },
        { { 0x82, 0x80, 0x80, 0x80, 0x00 }, true, true, 1 },
        { { 0xff, 0xff, 0xff, 0xff, 0x0f }, true, true, INT32_MIN },
        { { 0xff, 0xff, 0xff, 0xff, 0x10 }, false, true, -2281701376 },
        { { 0xff, 0xff, 0xff, 0xff, 0x7f }, false, true, -17179869184 },
        { { 0x80, 0x80, 0x80, 0x80, 0x80, 0x00 }, false, true, 0 },
        { { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01 }, false, true, INT64_MIN },
        { { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02 }, false, false, 0 },
        { { 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00 }, false, false, 0 },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const uint8_t *at = cases[i].bytes, *end = at + sizeof(cases[i].bytes);
        int32_t small = 0;
        int64_t large = 0;
        cr_assert_eq(varint_read(&at, end, &small), cases[i].is_int, "case %zu as int", i);
        cr_assert(!cases[i].is_int || small == cases[i].value, "case %zu gives %d", i, small);
        at = cases[i].bytes;
        cr_assert_eq(varlong_read(&at, end, &large), cases[i].is_long, "case %zu as long", i);
        cr_assert(!cases[i].is_long || large == cases[i].value, "case %zu gives %ld", i, large);
    }
}

/* ---- the records of the golden batches ----------------------------------------------------- */

enum { GOLDEN_COUNT = 12 };

/* What the Java client was given, i = 0 to 11. Borrows from static memory until the next call. */
static struct record_view golden_record(int i, struct out *headers)
{
    static char key[16], value[64];
    (void)snprintf(key, sizeof(key), "key-%d", i);
    (void)snprintf(value, sizeof(value), "value %d of a golden batch, of a golden batch", i);
    struct record_view record = {
        .offset = i,
        .timestamp = 1700000000000 + i * 7 - (i == 3 ? 100 : 0),
        .key = i % 3 == 0 ? (struct bytes){ 0 } : bytes_text(key),
        .value = i % 5 == 4 ? (struct bytes){ 0 } : bytes_text(value),
    };
    headers->len = 0;
    if (i % 2 == 1) {
        char text[8];
        (void)snprintf(text, sizeof(text), "x%d", i);
        record_header_add(headers, bytes_text("trace"), bytes_text(text));
        record_header_add(headers, bytes_text("nil"), (struct bytes){ 0 });
        record.header_count = 2;
        record.headers = bytes_of(headers->data, headers->len);
    }
    return record;
}

static void expect_same_run(struct bytes got, struct bytes want)
{
    cr_assert_eq(got.data == NULL, want.data == NULL, "null is not empty");
    cr_assert(bytes_equal(got, want));
}

static void expect_golden_records(const struct batch_view *batch, struct bytes records)
{
    struct record_reader reader;
    struct record_view record;
    struct out headers = { 0 };
    record_reader_init(&reader, batch, records);
    for (int i = 0; i < GOLDEN_COUNT; i++) {
        struct record_view want = golden_record(i, &headers);
        cr_assert(record_next(&reader, &record), "record %d", i);
        cr_assert_eq(record.offset, i);
        cr_assert_eq(record.timestamp,
            batch_is_log_append_time(batch) ? 1700000009999 : want.timestamp, "record %d", i);
        expect_same_run(record.key, want.key);
        expect_same_run(record.value, want.value);
        cr_assert_eq(record.header_count, want.header_count);
        struct record_header header, want_header;
        while (record_header_next(&want.headers, &want_header)) {
            cr_assert(record_header_next(&record.headers, &header));
            expect_same_run(header.key, want_header.key);
            expect_same_run(header.value, want_header.value);
        }
        cr_assert_not(record_header_next(&record.headers, &header));
    }
    cr_assert_not(record_next(&reader, &record));
    cr_assert_eq(record_reader_end(&reader), 0);
    out_done(&headers);
}

TEST(record, reads_what_the_java_client_wrote)
{
    static const char *const names[] = { "java_none", "java_gzip", "java_snappy", "java_lz4",
        "java_zstd", "java_append_time" };
    struct compressor compressor;
    compressor_init(&compressor);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct out bytes = golden_bytes(names[i]);
        struct batch_view batch;
        struct bytes records;
        cr_assert_eq(batch_parse(bytes_of(bytes.data, bytes.len), &batch), BATCH_OK);
        cr_assert_eq(batch_check(&batch), BATCH_OK, "%s", names[i]);
        cr_assert_eq(batch_records(&batch, &compressor, 1 << 20, &records), 0, "%s", names[i]);
        expect_golden_records(&batch, records);
        out_done(&bytes);
    }
    compressor_done(&compressor);
}

static void expect_same_bytes(struct out *got, struct out *want, const char *what)
{
    cr_assert_eq(got->len, want->len, "%s: %zu bytes, not %zu", what, got->len, want->len);
    for (size_t i = 0; i < got->len; i++)
        cr_assert_eq(got->data[i], want->data[i], "%s: byte %zu", what, i);
    out_done(got);
    out_done(want);
}

static void append_golden(struct batch_builder *builder)
{
    struct out headers = { 0 };
    for (int i = 0; i < GOLDEN_COUNT; i++) {
        struct record_view record = golden_record(i, &headers);
        size_t size = batch_builder_size_with(builder, &record);
        cr_assert_eq(batch_builder_append(builder, &record), 0);
        cr_assert_eq(batch_builder_size(builder), size, "the estimate for record %d", i);
    }
    out_done(&headers);
}

TEST(record, builds_what_the_java_client_wrote)
{
    struct batch_builder builder = { 0 };
    struct batch_options options = batch_options_plain(CODEC_NONE);
    options.producer_id = 4711;
    options.producer_epoch = 3;
    options.base_sequence = 42;
    options.attributes = BATCH_ATTRIBUTE_TRANSACTIONAL;
    batch_builder_begin(&builder, &options);
    append_golden(&builder);
    struct out got = { 0 }, want = golden_bytes("java_none");
    cr_assert_eq(batch_builder_finish(&builder, NULL, &got), 0);
    expect_same_bytes(&got, &want, "transactional");

    options = batch_options_plain(CODEC_NONE);
    options.attributes = BATCH_ATTRIBUTE_LOG_APPEND_TIME;
    options.max_timestamp = 1700000009999;
    batch_builder_begin(&builder, &options);
    append_golden(&builder); /* records keep the client's times, unseen behind the batch's */
    want = golden_bytes("java_append_time");
    cr_assert_eq(batch_builder_finish(&builder, NULL, &got), 0);
    expect_same_bytes(&got, &want, "append time");
    batch_builder_done(&builder);
}

TEST(record, builds_with_every_codec)
{
    struct compressor compressor;
    struct batch_builder builder = { 0 };
    struct out bytes = { 0 };
    compressor_init(&compressor);
    for (int codec = CODEC_NONE; codec < CODEC_COUNT; codec++) {
        struct batch_options options = batch_options_plain((enum codec)codec);
        batch_builder_begin(&builder, &options);
        append_golden(&builder);
        cr_assert_eq(batch_builder_finish(&builder, &compressor, &bytes), 0);
    }
    struct bytes run = bytes_of(bytes.data, bytes.len);
    for (int codec = CODEC_NONE; codec < CODEC_COUNT; codec++) {
        struct batch_view batch;
        struct bytes records;
        cr_assert_eq(batch_next(&run, &batch), BATCH_OK);
        cr_assert_eq(batch_check(&batch), BATCH_OK);
        cr_assert_eq((int)batch_codec(&batch), codec);
        cr_assert_eq(batch.count, GOLDEN_COUNT);
        cr_assert_eq(batch.last_offset_delta, GOLDEN_COUNT - 1);
        cr_assert_eq(batch_records(&batch, &compressor, 1 << 20, &records), 0);
        expect_golden_records(&batch, records);
    }
    cr_assert_eq(run.len, 0);
    out_done(&bytes);
    batch_builder_done(&builder);
    compressor_done(&compressor);
}

/* ---- batches that lose records ------------------------------------------------------------- */

TEST(record, a_thinned_batch_keeps_its_range_and_times)
{
    struct out from = golden_bytes("java_none"), to = { 0 };
    struct batch_view batch, thin;
    struct record_view record;
    struct record_reader reader;
    struct batch_builder builder = { 0 };
    cr_assert_eq(batch_parse(bytes_of(from.data, from.len), &batch), BATCH_OK);
    struct batch_options options = batch_options_like(&batch);
    batch_builder_begin(&builder, &options);
    record_reader_init(&reader, &batch, batch.records);
    while (record_next(&reader, &record)) {
        if (record.offset == 3)
            cr_assert_eq(batch_builder_copy(&builder, &record), 0);
        if (record.offset == 5)
            cr_assert_eq(batch_builder_append_at(&builder, record.offset_delta, &record), 0);
        if (record.offset == 6) {
            struct record_view early = record;
            early.offset_delta = 5;
            cr_assert_eq(batch_builder_copy(&builder, &early), -EINVAL, "offset 5 twice");
            cr_assert_eq(batch_builder_append_at(&builder, 5, &record), -EINVAL);
            cr_assert_eq(batch_builder_append_at(&builder, 4, &record), -EINVAL);
        }
    }
    cr_assert_eq(record_reader_end(&reader), 0);
    cr_assert_eq(batch_builder_finish(&builder, NULL, &to), 0);
    cr_assert_eq(batch_parse(bytes_of(to.data, to.len), &thin), BATCH_OK);
    cr_assert_eq(batch_check(&thin), BATCH_OK);
    cr_assert_eq(thin.count, 2);
    cr_assert_eq(thin.last_offset_delta, GOLDEN_COUNT - 1);
    cr_assert_eq(thin.base_timestamp, 1700000000000);
    cr_assert_eq(thin.max_timestamp, 1700000000035);
    cr_assert_eq(thin.base_sequence, 42);
    cr_assert_eq(batch_last_sequence(&thin), 42 + GOLDEN_COUNT - 1);
    cr_assert(batch_is_transactional(&thin));
    record_reader_init(&reader, &thin, thin.records);
    cr_assert(record_next(&reader, &record));
    cr_assert_eq(record.offset, 3);
    cr_assert_eq(record.timestamp, 1699999999921);
    cr_assert(record_next(&reader, &record));
    cr_assert_eq(record.offset, 5);
    cr_assert_eq(record.timestamp, 1700000000035);
    cr_assert_not(record_next(&reader, &record));
    cr_assert_eq(record_reader_end(&reader), 0);
    batch_builder_done(&builder);
    out_done(&from);
    out_done(&to);
}

/* What compaction leaves when nothing is left: as the Java broker writes it. */
TEST(record, an_empty_batch)
{
    struct out want = golden_bytes("java_empty"), got = { 0 };
    struct batch_view batch;
    struct bytes records;
    struct compressor compressor;
    struct record_reader reader;
    struct record_view record;
    compressor_init(&compressor);
    cr_assert_eq(batch_parse(bytes_of(want.data, want.len), &batch), BATCH_OK);
    cr_assert_eq(batch_check(&batch), BATCH_OK);
    cr_assert_eq(batch_last_offset(&batch), 119);
    cr_assert_eq(batch_records(&batch, &compressor, 100, &records), 0);
    record_reader_init(&reader, &batch, records);
    cr_assert_not(record_next(&reader, &record));
    cr_assert_eq(record_reader_end(&reader), 0);

    struct batch_options options = batch_options_like(&batch);
    options.codec = CODEC_ZSTD;     /* which is dropped */
    options.base_timestamp = 12345; /* likewise */
    struct batch_builder builder = { 0 };
    batch_builder_begin(&builder, &options);
    cr_assert_eq(batch_builder_finish(&builder, &compressor, &got), 0);
    expect_same_bytes(&got, &want, "empty");
    batch_builder_done(&builder);
    compressor_done(&compressor);
}

TEST(record, a_batch_has_its_limits)
{
    struct batch_builder builder = { 0 };
    struct batch_options options = batch_options_plain(CODEC_NONE);
    batch_builder_begin(&builder, &options);
    struct record_view record = { .key = bytes_text("k"), .value = bytes_text("v") };
    struct record_view huge = record;
    huge.value.len = INT32_MAX; /* never read: refused first */
    cr_assert_eq(batch_builder_append(&builder, &huge), -E2BIG);
    huge.value.len = (size_t)INT32_MAX + 1;
    cr_assert_eq(batch_builder_append(&builder, &huge), -E2BIG);
    huge.value.len = SIZE_MAX;
    cr_assert_eq(batch_builder_append(&builder, &huge), -E2BIG);
    cr_assert_eq(builder.count, 0);
    cr_assert_eq(batch_builder_append_at(&builder, INT32_MAX, &record), 0);
    cr_assert_eq(batch_builder_append(&builder, &record), -E2BIG, "no offset left");
    cr_assert_eq(batch_builder_append_at(&builder, -1, &record), -EINVAL);
    batch_builder_done(&builder);
}

/* Deltas of the whole 64 bits: sums wrap, as in Java, and come back. */
TEST(record, timestamps_at_the_ends_of_time)
{
    const int64_t times[] = { INT64_MAX, -1, 0, INT64_MAX - 1, 1 };
    struct batch_builder builder = { 0 };
    struct batch_options options = batch_options_plain(CODEC_NONE);
    struct out bytes = { 0 };
    batch_builder_begin(&builder, &options);
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        struct record_view record = { .timestamp = times[i] };
        cr_assert_eq(batch_builder_append(&builder, &record), 0);
    }
    cr_assert_eq(batch_builder_finish(&builder, NULL, &bytes), 0);
    struct batch_view batch;
    struct record_reader reader;
    struct record_view record;
    cr_assert_eq(batch_parse(bytes_of(bytes.data, bytes.len), &batch), BATCH_OK);
    cr_assert_eq(batch.max_timestamp, INT64_MAX);
    record_reader_init(&reader, &batch, batch.records);
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        cr_assert(record_next(&reader, &record));
        cr_assert_eq(record.timestamp, times[i]);
    }
    cr_assert_not(record_next(&reader, &record));
    out_done(&bytes);
    batch_builder_done(&builder);
}

/* ---- hostile records ----------------------------------------------------------------------- */

/* One record in hexadecimal digits of values: length is computed unless given. */
static int walk(const uint8_t *bytes, size_t len, int32_t count)
{
    struct batch_view batch = { .count = count };
    struct record_reader reader;
    struct record_view record;
    record_reader_init(&reader, &batch, bytes_of(bytes, len));
    while (record_next(&reader, &record)) {
        struct record_header header;
        cr_assert(record.whole.data + record.whole.len <= bytes + len, "beyond the end");
        for (int32_t i = 0; i < record.header_count; i++)
            cr_assert(record_header_next(&record.headers, &header), "an accepted header fails");
        cr_assert_not(record_header_next(&record.headers, &header));
    }
    cr_assert_not(record_next(&reader, &record), "an ended reader goes on");
    return record_reader_end(&reader);
}
#define WALK(count, ...)                                                                           \
    walk((const uint8_t[]){ __VA_ARGS__ }, sizeof((uint8_t[]){ __VA_ARGS__ }), count)

TEST(record, malformed_records_are_errors)
{
    /* length, attributes, timestamp, offset, key, value, headers */
    cr_assert_eq(WALK(1, 12, 0, 0, 0, 1, 1, 0), 0);
    cr_assert_eq(WALK(1, 16, 0, 0, 0, 2, 'k', 2, 'v', 0), 0);
    cr_assert_eq(WALK(1, 12, 0xff, 0, 0, 1, 1, 0), 0, "attributes are anybody's");
    cr_assert_eq(WALK(2, 12, 0, 0, 0, 1, 1, 0), -EBADMSG, "fewer than declared");
    cr_assert_eq(WALK(0, 12, 0, 0, 0, 1, 1, 0), -EBADMSG, "more than declared");
    cr_assert_eq(WALK(-1, 12, 0, 0, 0, 1, 1, 0), -EBADMSG, "a negative count");
    cr_assert_eq(WALK(INT32_MAX, 12, 0, 0, 0, 1, 1, 0), -EBADMSG);
    cr_assert_eq(WALK(1, 14, 0, 0, 0, 1, 1, 0), -EBADMSG, "length beyond the end");
    cr_assert_eq(WALK(1, 14, 0, 0, 0, 1, 1, 0, 0), -EBADMSG, "a byte too many inside");
    cr_assert_eq(WALK(1, 10, 0, 0, 0, 1, 1, 0), -EBADMSG, "length too small");
    cr_assert_eq(WALK(1, 0, 0, 0, 0, 1, 1, 0), -EBADMSG, "length 0");
    cr_assert_eq(WALK(1, 1, 0, 0, 0, 1, 1, 0), -EBADMSG, "length -1");
    cr_assert_eq(WALK(1, 0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0, 1, 1, 0), -EBADMSG);
    cr_assert_eq(WALK(1, 0xfe, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0, 1, 1, 0), -EBADMSG);
    cr_assert_eq(WALK(1, 12, 0, 0, 0, 3, 1, 0), -EBADMSG, "key length -2");
    cr_assert_eq(WALK(1, 12, 0, 0, 0, 1, 3, 0), -EBADMSG, "value length -2");
    cr_assert_eq(WALK(1, 12, 0, 0, 0, 10, 1, 0), -EBADMSG, "key beyond the record");
    cr_assert_eq(WALK(2, 12, 0, 0, 0, 1, 4, 0, 12, 0, 0, 0, 1, 1, 0), -EBADMSG,
        "a value that reaches into the next record");
    cr_assert_eq(WALK(1, 12, 0, 0, 0, 1, 1, 1), -EBADMSG, "header count -1");
    cr_assert_eq(WALK(1, 12, 0, 0, 0, 1, 1, 2), -EBADMSG, "no header there");
    cr_assert_eq(WALK(1, 20, 0, 0, 0, 1, 1, 0xfe, 0xff, 0xff, 0xff, 0x0f), -EBADMSG,
        "2,147,483,647 headers");
    cr_assert_eq(WALK(1, 18, 0, 0, 0, 1, 1, 2, 2, 'h', 1), 0, "a header of null");
    cr_assert_eq(WALK(1, 16, 0, 0, 0, 1, 1, 2, 0, 0), 0, "an empty header");
    cr_assert_eq(WALK(1, 16, 0, 0, 0, 1, 1, 2, 1, 0), -EBADMSG, "a header without a key");
    cr_assert_eq(WALK(1, 16, 0, 0, 0, 1, 1, 2, 0, 3), -EBADMSG, "header value length -2");
    cr_assert_eq(WALK(1, 18, 0, 0, 0, 1, 1, 2, 0, 0, 0), -EBADMSG, "behind the last header");
    cr_assert_eq(WALK(1, 2, 0), -EBADMSG, "nothing but attributes");
    cr_assert_eq(walk((const uint8_t *)"", 0, 0), 0);
    cr_assert_eq(walk((const uint8_t *)"", 0, 1), -EBADMSG);
}

/* Any byte of good records set to anything: an answer, never a crash. */
TEST(record, mutated_records_do_no_harm)
{
    struct out bytes = golden_bytes("java_none");
    uint8_t *records = bytes.data + BATCH_HEADER_SIZE;
    size_t len = bytes.len - BATCH_HEADER_SIZE;
    int refused = 0;
    for (size_t i = 0; i < len; i++) {
        uint8_t was = records[i];
        for (int value = 0; value < 256; value++) {
            records[i] = (uint8_t)value;
            refused += walk(records, len, GOLDEN_COUNT) != 0;
        }
        records[i] = was;
    }
    cr_assert(refused > 10000, "only %d refused", refused);
    cr_assert_eq(walk(records, len, GOLDEN_COUNT), 0);
    for (size_t cut = 0; cut < len; cut++)
        cr_assert_eq(walk(records, cut, GOLDEN_COUNT), -EBADMSG, "cut at %zu", cut);
    out_done(&bytes);
}

/* ---- control records ----------------------------------------------------------------------- */

TEST(record, markers_as_the_java_broker_writes_them)
{
    struct batch_options producer = batch_options_plain(CODEC_NONE);
    producer.producer_id = 4711;
    producer.producer_epoch = 3;
    for (int commit = 0; commit < 2; commit++) {
        struct out want = golden_bytes(commit ? "java_commit" : "java_abort"), got = { 0 };
        struct batch_view batch;
        struct control_marker marker;
        control_build(&got, &producer, commit, 9, 1700000000555);
        batch_set_base_offset(got.data, commit ? 77 : 78);
        batch_set_leader_epoch(got.data, 5);
        cr_assert_eq(batch_parse(bytes_of(got.data, got.len), &batch), BATCH_OK);
        cr_assert(batch_is_control(&batch) && batch_is_transactional(&batch));
        cr_assert_eq(control_parse(&batch, batch.records, &marker), 0);
        cr_assert_eq(marker.type, commit ? CONTROL_COMMIT : CONTROL_ABORT);
        cr_assert_eq(marker.coordinator_epoch, 9);
        expect_same_bytes(&got, &want, commit ? "commit" : "abort");
    }
}

static int parse_control(struct bytes key, struct bytes value, struct control_marker *ret)
{
    struct batch_builder builder = { 0 };
    struct batch_options options = batch_options_plain(CODEC_NONE);
    struct record_view record = { .key = key, .value = value };
    struct out bytes = { 0 };
    struct batch_view batch;
    options.attributes = BATCH_ATTRIBUTE_CONTROL;
    batch_builder_begin(&builder, &options);
    cr_assert_eq(batch_builder_append(&builder, &record), 0);
    cr_assert_eq(batch_builder_finish(&builder, NULL, &bytes), 0);
    cr_assert_eq(batch_parse(bytes_of(bytes.data, bytes.len), &batch), BATCH_OK);
    int r = control_parse(&batch, batch.records, ret);
    batch_builder_done(&builder);
    out_done(&bytes);
    return r;
}

TEST(record, control_records_of_other_kinds)
{
    struct control_marker marker = { 0 };
    const struct bytes value = bytes_of("\0\0\0\0\0\7", 6), null = { 0 };
    cr_assert_eq(parse_control(bytes_of("\0\0\0\2", 4), null, &marker), 0);
    cr_assert_eq(marker.type, CONTROL_LEADER_CHANGE);
    cr_assert_eq(marker.coordinator_epoch, -1);
    cr_assert_eq(parse_control(bytes_of("\0\0\0\7", 4), null, &marker), 0);
    cr_assert_eq(marker.type, CONTROL_UNKNOWN, "one to come");
    cr_assert_eq(parse_control(bytes_of("\0\0\xff\xff", 4), null, &marker), 0);
    cr_assert_eq(marker.type, CONTROL_UNKNOWN);
    cr_assert_eq(
        parse_control(bytes_of("\0\1\0\1\0", 5), bytes_of("\0\1\0\0\0\7more", 10), &marker), 0,
        "later versions append");
    cr_assert_eq(marker.type, CONTROL_COMMIT);
    cr_assert_eq(marker.coordinator_epoch, 7);
    cr_assert_eq(parse_control(bytes_of("\0\0\0", 3), value, &marker), -EBADMSG);
    cr_assert_eq(parse_control(null, value, &marker), -EBADMSG);
    cr_assert_eq(parse_control(bytes_of("\xff\xff\0\1", 4), value, &marker), -EBADMSG);
    cr_assert_eq(
        parse_control(bytes_of("\0\0\0\1", 4), bytes_of(value.data, 5), &marker), -EBADMSG);
    cr_assert_eq(parse_control(bytes_of("\0\0\0\0", 4), null, &marker), -EBADMSG);
    cr_assert_eq(
        parse_control(bytes_of("\0\0\0\1", 4), bytes_of("\xff\xff\0\0\0\7", 6), &marker), -EBADMSG);
}
