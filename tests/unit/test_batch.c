/* Batches: the view, what the checksum covers, patches, and what a broker accepts from a client. */
#include "protocol/batch.h"

#include <errno.h>
#include <lz4frame.h>
#include <string.h>

#include "protocol/base/mem.h"
#include "protocol/base/random.h"
#include "protocol/crc32c.h"
#include "protocol/record.h"
#include "tests/test.h"
#include "tests/unit/golden_batches.h"

static const int64_t now_ms = 1700000050000;

/* A topic with Kafka's defaults. */
static struct batch_rules default_rules(void)
{
    return (struct batch_rules){
        .client = true,
        .size_max = 1048588,
        .decompressed_max = 64 << 20,
        .now_ms = now_ms,
        .before_max_ms = INT64_MAX,
        .after_max_ms = 3600000,
    };
}

static struct batch_verdict validate(
    struct bytes from, const struct batch_rules *rules, struct compressor *compressor)
{
    struct batch_view view;
    struct batch_verdict verdict;
    memset(&verdict, 0xee, sizeof(verdict));
    batch_validate(from, rules, compressor, &view, &verdict);
    return verdict;
}

/* The same for bytes whose records nobody looks at afterwards. */
static enum batch_outcome outcome(const struct out *bytes, const struct batch_rules *rules)
{
    struct compressor compressor;
    compressor_init(&compressor);
    struct batch_verdict verdict = validate(bytes_of(bytes->data, bytes->len), rules, &compressor);
    compressor_done(&compressor);
    return verdict.outcome;
}

/* `count` records, a key each, one millisecond apart. */
static struct out build(const struct batch_options *options, int count)
{
    struct batch_builder builder = { 0 };
    struct out bytes = { 0 };
    struct compressor compressor;
    compressor_init(&compressor);
    batch_builder_begin(&builder, options);
    for (int i = 0; i < count; i++) {
        struct record_view record = {
            .timestamp = 1700000000000 + i,
            .key = bytes_text("key"),
            .value = bytes_text("a value, a value"),
        };
        cr_assert_eq(batch_builder_append(&builder, &record), 0);
    }
    cr_assert_eq(batch_builder_finish(&builder, &compressor, &bytes), 0);
    batch_builder_done(&builder);
    compressor_done(&compressor);
    return bytes;
}

static struct out build_plain(int count)
{
    struct batch_options options = batch_options_plain(CODEC_NONE);
    return build(&options, count);
}

/* ---- view and checksum --------------------------------------------------------------------- */

TEST(batch, view_of_a_header)
{
    struct out bytes = golden_bytes("java_none");
    struct batch_view batch, header;
    batch_set_base_offset(bytes.data, 0x0102030405060708);
    batch_set_leader_epoch(bytes.data, 77);
    cr_assert_eq(batch_parse(bytes_of(bytes.data, bytes.len), &batch), BATCH_OK);
    cr_assert_eq(batch.base_offset, 0x0102030405060708);
    cr_assert_eq(batch.leader_epoch, 77);
    cr_assert_eq(batch.size, bytes.len);
    cr_assert_eq(batch.attributes, BATCH_ATTRIBUTE_TRANSACTIONAL);
    cr_assert_eq(batch.last_offset_delta, 11);
    cr_assert_eq(batch_last_offset(&batch), 0x0102030405060708 + 11);
    cr_assert_eq(batch.base_timestamp, 1700000000000);
    cr_assert_eq(batch.max_timestamp, 1700000000077);
    cr_assert_eq(batch.producer_id, 4711);
    cr_assert_eq(batch.producer_epoch, 3);
    cr_assert_eq(batch.base_sequence, 42);
    cr_assert_eq(batch_last_sequence(&batch), 53);
    cr_assert_eq(batch.count, 12);
    cr_assert_eq(batch.records.data, bytes.data + 61);
    cr_assert_eq(batch.records.len, bytes.len - 61);
    cr_assert_eq(batch_check(&batch), BATCH_OK, "the two patches are not under the checksum");
    cr_assert(batch_is_transactional(&batch) && !batch_is_control(&batch));

    cr_assert_eq(batch_parse_header(bytes_of(bytes.data, 61), &header), BATCH_OK);
    cr_assert_eq(header.size, bytes.len);
    cr_assert_eq(header.count, 12);
    cr_assert_null(header.records.data);
    for (size_t cut = 0; cut < 61; cut++)
        cr_assert_eq(batch_parse_header(bytes_of(bytes.data, cut), &header),
            cut ? BATCH_PARTIAL : BATCH_END);
    out_done(&bytes);
}

TEST(batch, sequences_wrap)
{
    cr_assert_eq(batch_sequence_add(0, 0), 0);
    cr_assert_eq(batch_sequence_add(INT32_MAX, 1), 0);
    cr_assert_eq(batch_sequence_add(INT32_MAX - 1, 3), 1);
    cr_assert_eq(batch_sequence_add(INT32_MAX, INT32_MAX), INT32_MAX - 1);
    struct batch_view none = { .base_sequence = -1, .last_offset_delta = 5 };
    cr_assert_eq(batch_last_sequence(&none), -1);
}

/* A run of batches, as a log holds them. */
TEST(batch, a_run_is_walked_batch_by_batch)
{
    struct out run = { 0 };
    for (int i = 1; i <= 3; i++) {
        struct out one = build_plain(i);
        out_bytes(&run, one.data, one.len);
        out_done(&one);
    }
    struct bytes rest = bytes_of(run.data, run.len);
    struct batch_view batch;
    for (int i = 1; i <= 3; i++) {
        cr_assert_eq(batch_next(&rest, &batch), BATCH_OK);
        cr_assert_eq(batch.count, i);
        cr_assert_eq(batch_check(&batch), BATCH_OK);
    }
    cr_assert_eq(batch_next(&rest, &batch), BATCH_END);
    /* Cut anywhere inside the last one: two batches, and a part. */
    struct out last = build_plain(3);
    for (size_t cut = run.len - last.len + 1; cut < run.len; cut++) {
        rest = bytes_of(run.data, cut);
        cr_assert_eq(batch_next(&rest, &batch), BATCH_OK);
        cr_assert_eq(batch_next(&rest, &batch), BATCH_OK);
        size_t left = rest.len;
        cr_assert_eq(batch_next(&rest, &batch), BATCH_PARTIAL, "cut at %zu", cut);
        cr_assert_eq(rest.len, left, "a refused batch was taken off");
    }
    out_done(&last);
    out_done(&run);
}

/* The bytes that no checksum covers: base offset 0-7, length 8-11, leader epoch 12-15, magic 16,
 * and the checksum itself. A flip of any bit must show, but for base offset and leader epoch, which
 * are the broker's to set: it overwrites both. */
TEST(batch, every_flipped_bit_shows_or_does_not_matter)
{
    struct out run = build_plain(2), next = build_plain(1);
    size_t len = run.len;
    out_bytes(&run, next.data, next.len); /* so that a longer length finds bytes */
    for (size_t bit = 0; bit < len * 8; bit++) {
        size_t byte = bit / 8;
        struct batch_view batch;
        run.data[byte] ^= (uint8_t)(1 << bit % 8);
        enum batch_outcome found = batch_parse(bytes_of(run.data, run.len), &batch);
        if (found == BATCH_OK)
            found = batch_check(&batch);
        bool free = byte < 8 || (byte >= 12 && byte < 16);
        cr_assert_eq(found == BATCH_OK, free, "bit %zu of byte %zu", bit % 8, byte);
        run.data[byte] ^= (uint8_t)(1 << bit % 8);
    }
    out_done(&run);
    out_done(&next);
}

/* And from a client: nothing but the leader epoch may differ unnoticed. */
TEST(batch, every_flipped_bit_of_a_clients_batch_shows)
{
    for (int codec = CODEC_NONE; codec < CODEC_COUNT; codec++) {
        struct batch_options options = batch_options_plain((enum codec)codec);
        struct batch_rules rules = default_rules();
        struct out bytes = build(&options, 3);
        for (size_t bit = 0; bit < bytes.len * 8; bit++) {
            size_t byte = bit / 8;
            bytes.data[byte] ^= (uint8_t)(1 << bit % 8);
            bool free = byte >= 12 && byte < 16;
            cr_assert_eq(
                outcome(&bytes, &rules) == BATCH_OK, free, "bit %zu of byte %zu", bit % 8, byte);
            bytes.data[byte] ^= (uint8_t)(1 << bit % 8);
        }
        cr_assert_eq(outcome(&bytes, &rules), BATCH_OK);
        out_done(&bytes);
    }
}

TEST(batch, every_cut_shows)
{
    for (int codec = CODEC_NONE; codec < CODEC_COUNT; codec++) {
        struct batch_options options = batch_options_plain((enum codec)codec);
        struct batch_rules rules = default_rules();
        struct out bytes = build(&options, 3);
        size_t len = bytes.len;
        for (bytes.len = 0; bytes.len < len; bytes.len++)
            cr_assert_eq(outcome(&bytes, &rules), bytes.len ? BATCH_PARTIAL : BATCH_END);
        /* Cut with a length to match: the checksum shows it, and once that is right, the records.
         */
        for (bytes.len = BATCH_HEADER_SIZE; bytes.len < len; bytes.len++) {
            be_put32(bytes.data + BATCH_AT_LENGTH, (uint32_t)bytes.len - BATCH_PREFIX_SIZE);
            be_put32(bytes.data + BATCH_AT_CRC, 1);
            cr_assert_eq(outcome(&bytes, &rules), BATCH_BAD_CRC);
            batch_set_crc(bytes.data);
            enum batch_outcome found = outcome(&bytes, &rules);
            bool header_only = codec == CODEC_SNAPPY && bytes.len == BATCH_HEADER_SIZE + 16;
            cr_assert_eq(found,
                codec == CODEC_NONE || header_only ? BATCH_BAD_RECORDS : BATCH_BAD_COMPRESSION,
                "%s cut at %zu", codec_name((enum codec)codec), bytes.len);
        }
        out_done(&bytes);
    }
}

TEST(batch, sizes_and_formats_that_cannot_be)
{
    struct batch_rules rules = default_rules();
    struct out bytes = build_plain(1);
    const struct {
        int32_t length;
        uint8_t magic;
        enum batch_outcome want;
    } cases[] = {
        { 0, 2, BATCH_BAD_SIZE },
        { -1, 2, BATCH_BAD_SIZE },
        { INT32_MIN, 2, BATCH_BAD_SIZE },
        { 13, 2, BATCH_BAD_SIZE },
        { 13, 0, BATCH_BAD_SIZE },
        { 14, 0, BATCH_OLD_MAGIC },
        { 14, 1, BATCH_OLD_MAGIC },
        { 14, 2, BATCH_BAD_SIZE },
        { 48, 2, BATCH_BAD_SIZE },
        { INT32_MAX, 2, BATCH_PARTIAL },
        { 60, 3, BATCH_BAD_MAGIC },
        { 60, 0xff, BATCH_BAD_MAGIC },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        be_put32(bytes.data + BATCH_AT_LENGTH, (uint32_t)cases[i].length);
        bytes.data[BATCH_AT_MAGIC] = cases[i].magic;
        cr_assert_eq(outcome(&bytes, &rules), cases[i].want, "case %zu", i);
    }
    out_done(&bytes);
}

TEST(batch, each_outcome_has_its_text)
{
    for (int i = 0; i < BATCH_OUTCOME_COUNT; i++) {
        cr_assert_not_null(batch_outcome_text((enum batch_outcome)i), "outcome %d", i);
        for (int k = 0; k < i; k++)
            cr_assert_str_neq(batch_outcome_text((enum batch_outcome)i),
                batch_outcome_text((enum batch_outcome)k));
    }
    cr_assert_str_eq(batch_outcome_text(BATCH_OUTCOME_COUNT), "?");
}

/* ---- patches ------------------------------------------------------------------------------- */

TEST(batch, timestamps_are_patched_with_the_checksum)
{
    const int counts[] = { 1, 2, 1000 };
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        struct out bytes = build_plain(counts[i]);
        struct batch_view batch;
        batch_set_timestamp(bytes.data, true, 123456789);
        cr_assert_eq(batch_parse(bytes_of(bytes.data, bytes.len), &batch), BATCH_OK);
        cr_assert_eq(batch_check(&batch), BATCH_OK, "%d records", counts[i]);
        cr_assert(batch_is_log_append_time(&batch));
        cr_assert_eq(batch.max_timestamp, 123456789);
        batch_set_timestamp(bytes.data, false, INT64_MIN);
        cr_assert_eq(batch_parse(bytes_of(bytes.data, bytes.len), &batch), BATCH_OK);
        cr_assert_eq(batch_check(&batch), BATCH_OK);
        cr_assert_not(batch_is_log_append_time(&batch));
        cr_assert_eq(batch.max_timestamp, INT64_MIN);
        /* Nothing changes: not even a wrong checksum. */
        be_put32(bytes.data + BATCH_AT_CRC, 42);
        batch_set_timestamp(bytes.data, false, INT64_MIN);
        cr_assert_eq(be_get32(bytes.data + BATCH_AT_CRC), 42);
        /* And a wrong one does not become right. */
        batch_set_timestamp(bytes.data, true, INT64_MIN);
        cr_assert_eq(batch_parse(bytes_of(bytes.data, bytes.len), &batch), BATCH_OK);
        cr_assert_eq(batch_check(&batch), BATCH_BAD_CRC);
        batch_set_crc(bytes.data);
        cr_assert_eq(batch_parse(bytes_of(bytes.data, bytes.len), &batch), BATCH_OK);
        cr_assert_eq(batch_check(&batch), BATCH_OK);
        out_done(&bytes);
    }
}

/* ---- what a broker accepts ----------------------------------------------------------------- */

TEST(batch, accepts_what_clients_send)
{
    struct compressor compressor;
    struct batch_rules rules = default_rules();
    rules.now_ms = INT64_C(4000000000000); /* the captures are from any time */
    rules.keys_required = false;
    compressor_init(&compressor);
    int seen = 0;
    for (size_t i = 0; i < sizeof(goldens) / sizeof(goldens[0]); i++) {
        if (strcmp(goldens[i].name, "java_append_time") == 0 || strstr(goldens[i].name, "commit") ||
            strstr(goldens[i].name, "abort") || strstr(goldens[i].name, "empty"))
            continue;
        struct out bytes = golden_bytes(goldens[i].name);
        struct batch_verdict verdict =
            validate(bytes_of(bytes.data, bytes.len), &rules, &compressor);
        cr_assert_eq(verdict.outcome, BATCH_OK, "%s: %s", goldens[i].name,
            batch_outcome_text(verdict.outcome));
        cr_assert_not(verdict.rebuild, "%s", goldens[i].name);
        struct batch_view batch;
        struct record_reader reader;
        struct record_view record;
        cr_assert_eq(batch_parse(bytes_of(bytes.data, bytes.len), &batch), BATCH_OK);
        cr_assert_eq(verdict.max_timestamp, batch.max_timestamp, "%s", goldens[i].name);
        record_reader_init(&reader, &batch, verdict.records);
        while (record_next(&reader, &record))
            cr_assert(!record.value.data ||
                      memmem(record.value.data, record.value.len, "golden batch", 12) != NULL);
        cr_assert_eq(record_reader_end(&reader), 0);
        out_done(&bytes);
        seen++;
    }
    cr_assert_eq(seen, 15, "five codecs from each of three clients, not %d", seen);
    compressor_done(&compressor);
}

/* Patches a header field of `size` bytes in a fresh batch of three and validates it. */
static enum batch_outcome with_field(
    int at, int size, int64_t value, const struct batch_rules *rules)
{
    struct out bytes = build_plain(3);
    for (int i = 0; i < size; i++)
        bytes.data[at + i] = (uint8_t)((uint64_t)value >> 8 * (size - 1 - i));
    batch_set_crc(bytes.data);
    enum batch_outcome found = outcome(&bytes, rules);
    out_done(&bytes);
    return found;
}

TEST(batch, refuses_what_clients_may_not_send)
{
    struct batch_rules rules = default_rules();
    cr_assert_eq(with_field(BATCH_AT_BASE_OFFSET, 8, 0, &rules), BATCH_OK);
    cr_assert_eq(with_field(BATCH_AT_BASE_OFFSET, 8, 5, &rules), BATCH_BAD_OFFSET);
    cr_assert_eq(with_field(BATCH_AT_BASE_OFFSET, 8, -1, &rules), BATCH_BAD_OFFSET);
    cr_assert_eq(with_field(BATCH_AT_LEADER_EPOCH, 4, 99, &rules), BATCH_OK);
    cr_assert_eq(with_field(BATCH_AT_COUNT, 4, 0, &rules), BATCH_BAD_COUNT);
    cr_assert_eq(with_field(BATCH_AT_COUNT, 4, 2, &rules), BATCH_BAD_COUNT);
    cr_assert_eq(with_field(BATCH_AT_COUNT, 4, -1, &rules), BATCH_BAD_COUNT);
    cr_assert_eq(with_field(BATCH_AT_COUNT, 4, INT32_MIN, &rules), BATCH_BAD_COUNT);
    cr_assert_eq(with_field(BATCH_AT_LAST_OFFSET_DELTA, 4, 3, &rules), BATCH_BAD_COUNT);
    cr_assert_eq(with_field(BATCH_AT_LAST_OFFSET_DELTA, 4, -1, &rules), BATCH_BAD_COUNT);
    cr_assert_eq(with_field(BATCH_AT_LAST_OFFSET_DELTA, 4, INT32_MAX, &rules), BATCH_BAD_COUNT);
    cr_assert_eq(
        with_field(BATCH_AT_ATTRIBUTES, 2, BATCH_ATTRIBUTE_CONTROL, &rules), BATCH_CONTROL);
    for (int codec = CODEC_COUNT; codec < 8; codec++)
        cr_assert_eq(with_field(BATCH_AT_ATTRIBUTES, 2, codec, &rules), BATCH_CODEC_UNKNOWN);
    cr_assert_eq(with_field(BATCH_AT_ATTRIBUTES, 2, CODEC_GZIP, &rules), BATCH_BAD_COMPRESSION);
    cr_assert_eq(
        with_field(BATCH_AT_ATTRIBUTES, 2, 0xff00, &rules), BATCH_OK, "Kafka ignores them");
    cr_assert_eq(with_field(BATCH_AT_PRODUCER_ID, 8, 7, &rules), BATCH_BAD_SEQUENCE);
    cr_assert_eq(
        with_field(BATCH_AT_BASE_SEQUENCE, 4, 7, &rules), BATCH_OK, "no producer: ignored");
    cr_assert_eq(with_field(BATCH_AT_BASE_TIMESTAMP, 8, INT64_MAX, &rules), BATCH_BAD_TIMESTAMP);
    struct out two = build_plain(1), one = build_plain(1);
    out_bytes(&two, one.data, one.len);
    cr_assert_eq(outcome(&two, &rules), BATCH_NOT_ALONE);
    two.len = one.len + 1;
    cr_assert_eq(outcome(&two, &rules), BATCH_NOT_ALONE);
    out_done(&one);
    out_done(&two);
}

/* Where two faults meet, the one that Kafka names first. */
TEST(batch, the_order_of_the_checks)
{
    struct batch_rules rules = default_rules();
    struct batch_options options = batch_options_plain(CODEC_ZSTD);
    struct out bytes = build(&options, 1);
    bytes.data[70] ^= 1; /* the checksum is wrong from here on */
    batch_set_base_offset(bytes.data, 1);
    rules.size_max = bytes.len - 1;
    rules.zstd_refused = true;
    cr_assert_eq(outcome(&bytes, &rules), BATCH_CODEC_REFUSED);
    rules.zstd_refused = false;
    cr_assert_eq(outcome(&bytes, &rules), BATCH_BAD_OFFSET);
    batch_set_base_offset(bytes.data, 0);
    cr_assert_eq(outcome(&bytes, &rules), BATCH_TOO_LARGE);
    rules.size_max = bytes.len;
    cr_assert_eq(outcome(&bytes, &rules), BATCH_BAD_CRC);
    bytes.data[70] ^= 1;
    cr_assert_eq(outcome(&bytes, &rules), BATCH_OK, "size_max itself is allowed");
    be_put16(bytes.data + BATCH_AT_ATTRIBUTES, 5 | BATCH_ATTRIBUTE_CONTROL);
    be_put32(bytes.data + BATCH_AT_COUNT, 7);
    be_put64(bytes.data + BATCH_AT_PRODUCER_ID, 7);
    batch_set_crc(bytes.data);
    cr_assert_eq(outcome(&bytes, &rules), BATCH_CODEC_UNKNOWN);
    be_put16(bytes.data + BATCH_AT_ATTRIBUTES, BATCH_ATTRIBUTE_CONTROL);
    batch_set_crc(bytes.data);
    cr_assert_eq(outcome(&bytes, &rules), BATCH_BAD_COUNT);
    be_put32(bytes.data + BATCH_AT_COUNT, 1);
    batch_set_crc(bytes.data);
    cr_assert_eq(outcome(&bytes, &rules), BATCH_CONTROL);
    out_done(&bytes);
}

TEST(batch, coordinators_may_write_more)
{
    struct batch_rules rules = default_rules();
    rules.client = false;
    cr_assert_eq(with_field(BATCH_AT_BASE_OFFSET, 8, 5, &rules), BATCH_OK);
    cr_assert_eq(with_field(BATCH_AT_LAST_OFFSET_DELTA, 4, 9, &rules), BATCH_OK);
    cr_assert_eq(with_field(BATCH_AT_PRODUCER_ID, 8, 7, &rules), BATCH_OK);
    cr_assert_eq(with_field(BATCH_AT_COUNT, 4, 2, &rules), BATCH_BAD_RECORDS);
    cr_assert_eq(with_field(BATCH_AT_COUNT, 4, -1, &rules), BATCH_BAD_COUNT);
    struct out marker = golden_bytes("java_commit"), empty = golden_bytes("java_empty");
    cr_assert_eq(outcome(&marker, &rules), BATCH_OK);
    cr_assert_eq(outcome(&empty, &rules), BATCH_OK);
    be_put16(empty.data + BATCH_AT_ATTRIBUTES, CODEC_GZIP); /* of nothing */
    batch_set_crc(empty.data);
    cr_assert_eq(outcome(&empty, &rules), BATCH_OK);
    out_done(&marker);
    out_done(&empty);
}

/* No records and a range of none: consistent, and still nothing a client may send. */
TEST(batch, clients_send_records)
{
    struct batch_rules rules = default_rules();
    struct out bytes = build_plain(0);
    cr_assert_eq(be_get32(bytes.data + BATCH_AT_LAST_OFFSET_DELTA), UINT32_MAX);
    cr_assert_eq(outcome(&bytes, &rules), BATCH_BAD_COUNT);
    rules.client = false;
    cr_assert_eq(outcome(&bytes, &rules), BATCH_OK);
    out_done(&bytes);
}

/* An empty stream of a codec is not nothing, but holds no records. */
TEST(batch, compressed_batches_of_no_records)
{
    struct batch_rules rules = default_rules();
    rules.client = false;
    struct compressor compressor;
    compressor_init(&compressor);
    for (int codec = CODEC_GZIP; codec < CODEC_COUNT; codec++) {
        struct out bytes = golden_bytes("java_empty");
        cr_assert_eq(compressor_pack(&compressor, (enum codec)codec, COMPRESS_LEVEL_DEFAULT,
                         bytes_text(""), &bytes),
            0);
        be_put32(bytes.data + BATCH_AT_LENGTH, (uint32_t)bytes.len - BATCH_PREFIX_SIZE);
        be_put16(bytes.data + BATCH_AT_ATTRIBUTES, (uint16_t)codec);
        batch_set_crc(bytes.data);
        cr_assert_eq(outcome(&bytes, &rules), BATCH_OK, "%s", codec_name((enum codec)codec));
        be_put32(bytes.data + BATCH_AT_COUNT, 1);
        batch_set_crc(bytes.data);
        cr_assert_eq(outcome(&bytes, &rules), BATCH_BAD_RECORDS);
        out_done(&bytes);
    }
    compressor_done(&compressor);
}

/* ---- keys and timestamps ------------------------------------------------------------------- */

/* Records of the given times; those at odd places have no key. */
static struct out build_times(const int64_t *times, int count, uint16_t attributes)
{
    struct batch_builder builder = { 0 };
    struct batch_options options = batch_options_plain(CODEC_NONE);
    struct out bytes = { 0 };
    options.attributes = attributes;
    options.max_timestamp = now_ms;
    batch_builder_begin(&builder, &options);
    for (int i = 0; i < count; i++) {
        struct record_view record = {
            .timestamp = times[i],
            .key = i % 2 ? (struct bytes){ 0 } : bytes_text(""),
        };
        cr_assert_eq(batch_builder_append(&builder, &record), 0);
    }
    cr_assert_eq(batch_builder_finish(&builder, NULL, &bytes), 0);
    batch_builder_done(&builder);
    return bytes;
}

static struct batch_verdict judge_times(
    const int64_t *times, int count, uint16_t attributes, const struct batch_rules *rules)
{
    struct out bytes = build_times(times, count, attributes);
    struct batch_verdict verdict = validate(bytes_of(bytes.data, bytes.len), rules, NULL);
    out_done(&bytes);
    return verdict;
}

static void expect_error(const struct batch_verdict *verdict, uint32_t slot, int32_t index,
    enum record_fault fault, int64_t timestamp)
{
    cr_assert_eq(verdict->errors[slot].index, index);
    cr_assert_eq(verdict->errors[slot].fault, fault);
    cr_assert_eq(verdict->errors[slot].timestamp, timestamp);
}

TEST(batch, timestamps_within_the_limits)
{
    struct batch_rules rules = default_rules();
    const int64_t at_limit[] = { now_ms, now_ms + 3600000, -1, 0, -1, now_ms - 5 };
    struct batch_verdict verdict = judge_times(at_limit, 6, 0, &rules);
    cr_assert_eq(verdict.outcome, BATCH_OK);
    cr_assert_eq(verdict.max_timestamp, now_ms + 3600000);
    cr_assert_eq(verdict.error_count, 0);

    const int64_t beyond[] = { now_ms, now_ms + 3600001, now_ms, INT64_MAX, INT64_MIN };
    verdict = judge_times(beyond, 5, 0, &rules);
    cr_assert_eq(verdict.outcome, BATCH_BAD_TIMESTAMP);
    cr_assert_eq(verdict.error_count, 2);
    expect_error(&verdict, 0, 1, RECORD_TIMESTAMP_RANGE, now_ms + 3600001);
    expect_error(&verdict, 1, 3, RECORD_TIMESTAMP_RANGE, INT64_MAX);

    rules.before_max_ms = 1000;
    rules.after_max_ms = INT64_MAX;
    const int64_t around[] = { now_ms - 1000, now_ms - 1001, -1, INT64_MAX };
    verdict = judge_times(around, 4, 0, &rules);
    cr_assert_eq(verdict.outcome, BATCH_BAD_TIMESTAMP);
    cr_assert_eq(verdict.error_count, 1);
    expect_error(&verdict, 0, 1, RECORD_TIMESTAMP_RANGE, now_ms - 1001);
    const int64_t none[] = { -1, -1 };
    verdict = judge_times(none, 2, 0, &rules);
    cr_assert_eq(verdict.outcome, BATCH_OK);
    cr_assert_eq(verdict.max_timestamp, -1);
}

TEST(batch, the_broker_sets_log_append_time_not_the_client)
{
    const int64_t times[] = { 5, INT64_MAX, -1 };
    struct batch_rules rules = default_rules();
    rules.log_append_time = true;
    struct batch_verdict verdict = judge_times(times, 3, 0, &rules);
    cr_assert_eq(verdict.outcome, BATCH_OK, "the limits are for CreateTime");
    cr_assert_eq(verdict.max_timestamp, now_ms);
    verdict = judge_times(times, 3, BATCH_ATTRIBUTE_LOG_APPEND_TIME, &rules);
    cr_assert_eq(verdict.outcome, BATCH_BAD_TIMESTAMP);
    cr_assert_eq(verdict.error_count, 3);
    expect_error(&verdict, 0, 0, RECORD_TIMESTAMP_TYPE, 5);
    /* On a CreateTime topic the bit is taken back; Kafka minds it for records without a time. */
    rules.log_append_time = false;
    const int64_t good[] = { 5, 6 };
    verdict = judge_times(good, 2, BATCH_ATTRIBUTE_LOG_APPEND_TIME, &rules);
    cr_assert_eq(verdict.outcome, BATCH_OK);
    cr_assert_eq(verdict.max_timestamp, 6, "the records' own, as it will be read");
    verdict = judge_times(times, 3, BATCH_ATTRIBUTE_LOG_APPEND_TIME, &rules);
    cr_assert_eq(verdict.error_count, 2);
    expect_error(&verdict, 0, 1, RECORD_TIMESTAMP_RANGE, INT64_MAX);
    expect_error(&verdict, 1, 2, RECORD_TIMESTAMP_TYPE, -1);
}

TEST(batch, compacted_topics_need_keys)
{
    const int64_t times[] = { 1, 2, 3, 4, INT64_MAX, INT64_MAX };
    struct batch_rules rules = default_rules();
    cr_assert_eq(judge_times(times, 4, 0, &rules).outcome, BATCH_OK);
    rules.keys_required = true;
    cr_assert_eq(judge_times(times, 1, 0, &rules).outcome, BATCH_OK, "an empty key is a key");
    struct batch_verdict verdict = judge_times(times, 4, 0, &rules);
    cr_assert_eq(verdict.outcome, BATCH_NULL_KEY);
    cr_assert_eq(verdict.error_count, 2);
    expect_error(&verdict, 0, 1, RECORD_NO_KEY, 2);
    expect_error(&verdict, 1, 3, RECORD_NO_KEY, 4);
    /* Both kinds: the timestamp gives the name, each record its own first fault. */
    verdict = judge_times(times, 6, 0, &rules);
    cr_assert_eq(verdict.outcome, BATCH_BAD_TIMESTAMP);
    cr_assert_eq(verdict.error_count, 4);
    expect_error(&verdict, 2, 4, RECORD_TIMESTAMP_RANGE, INT64_MAX);
    expect_error(&verdict, 3, 5, RECORD_NO_KEY, INT64_MAX);
}

TEST(batch, only_so_many_errors_are_listed)
{
    enum { COUNT = 4 * BATCH_ERRORS_MAX };
    static int64_t times[COUNT];
    struct batch_rules rules = default_rules();
    rules.keys_required = true;
    struct batch_verdict verdict = judge_times(times, COUNT, 0, &rules);
    cr_assert_eq(verdict.outcome, BATCH_NULL_KEY);
    cr_assert_eq(verdict.error_count, COUNT / 2);
    expect_error(&verdict, BATCH_ERRORS_MAX - 1, 2 * BATCH_ERRORS_MAX - 1, RECORD_NO_KEY, 0);
    /* Malformed records matter more than faults of single ones. */
    struct out bytes = build_times(times, COUNT, 0);
    bytes.data[bytes.len - 1] = 7;
    batch_set_crc(bytes.data);
    verdict = validate(bytes_of(bytes.data, bytes.len), &rules, NULL);
    cr_assert_eq(verdict.outcome, BATCH_BAD_RECORDS);
    cr_assert_eq(verdict.error_count, 0);
    out_done(&bytes);
}

/* A client may claim any maximum; what counts is in the records. */
TEST(batch, the_maximum_timestamp_is_computed)
{
    struct batch_rules rules = default_rules();
    struct out bytes = build_plain(5);
    batch_set_timestamp(bytes.data, false, 42);
    struct batch_verdict verdict = validate(bytes_of(bytes.data, bytes.len), &rules, NULL);
    cr_assert_eq(verdict.outcome, BATCH_OK);
    cr_assert_eq(verdict.max_timestamp, 1700000000004);
    out_done(&bytes);
}

/* ---- bombs and rebuilding ------------------------------------------------------------------ */

TEST(batch, bombs_are_named)
{
    struct compressor compressor;
    struct batch_builder builder = { 0 };
    struct batch_rules rules = default_rules();
    uint8_t *zeros = mem_zalloc(1, 8 << 20);
    rules.decompressed_max = 1 << 20;
    compressor_init(&compressor);
    for (int codec = CODEC_GZIP; codec < CODEC_COUNT; codec++) {
        struct batch_options options = batch_options_plain((enum codec)codec);
        struct record_view record = { .timestamp = 1, .value = bytes_of(zeros, 8 << 20) };
        struct out bytes = { 0 };
        batch_builder_begin(&builder, &options);
        cr_assert_eq(batch_builder_append(&builder, &record), 0);
        cr_assert_eq(batch_builder_finish(&builder, &compressor, &bytes), 0);
        cr_assert(bytes.len < rules.size_max);
        cr_assert_eq(outcome(&bytes, &rules), BATCH_BOMB, "%s", codec_name((enum codec)codec));
        out_done(&bytes);
    }
    mem_free(zeros);
    batch_builder_done(&builder);
    compressor_done(&compressor);
}

static void expect_equal_records(const struct batch_view *a, struct bytes a_records,
    const struct batch_view *b, struct bytes b_records)
{
    struct record_reader left, right;
    struct record_view one, other;
    record_reader_init(&left, a, a_records);
    record_reader_init(&right, b, b_records);
    for (int64_t i = 0; record_next(&left, &one); i++) {
        cr_assert(record_next(&right, &other));
        cr_assert_eq(other.offset, i);
        cr_assert_eq(other.timestamp, one.timestamp);
        cr_assert(bytes_equal(other.key, one.key) && !other.key.data == !one.key.data);
        cr_assert(bytes_equal(other.value, one.value) && !other.value.data == !one.value.data);
        cr_assert(bytes_equal(other.headers, one.headers));
        cr_assert_eq(other.header_count, one.header_count);
    }
    cr_assert_not(record_next(&right, &other));
    cr_assert_eq(record_reader_end(&left) | record_reader_end(&right), 0);
}

/* Rebuilds `bytes` into every codec; each time the result must be valid and hold the same. */
static void expect_rebuilds(const struct out *bytes, bool must)
{
    struct compressor one, other;
    struct batch_rules rules = default_rules();
    compressor_init(&one);
    compressor_init(&other);
    for (int codec = CODEC_NONE; codec < CODEC_COUNT; codec++) {
        struct batch_view batch, rebuilt;
        struct batch_verdict verdict, again;
        struct out out = { 0 };
        out_text(&out, "before");
        batch_validate(bytes_of(bytes->data, bytes->len), &rules, &one, &batch, &verdict);
        cr_assert_eq(verdict.outcome, BATCH_OK);
        cr_assert_eq(verdict.rebuild, must);
        struct batch_recoding recoding = { (enum codec)codec, COMPRESS_LEVEL_DEFAULT, false };
        cr_assert_eq(batch_rebuild(&batch, &verdict, &recoding, &one, &out), 0);
        struct bytes made = bytes_of(out.data + 6, out.len - 6);
        batch_validate(made, &rules, &other, &rebuilt, &again);
        cr_assert_eq(again.outcome, BATCH_OK, "%s", batch_outcome_text(again.outcome));
        cr_assert_not(again.rebuild);
        cr_assert_eq(again.max_timestamp, rebuilt.max_timestamp);
        cr_assert_eq((int)batch_codec(&rebuilt), codec);
        cr_assert_eq(rebuilt.producer_id, batch.producer_id);
        cr_assert_eq(rebuilt.base_sequence, batch.base_sequence);
        cr_assert_eq(batch_is_transactional(&rebuilt), batch_is_transactional(&batch));
        expect_equal_records(&batch, verdict.records, &rebuilt, again.records);
        recoding.log_append_time = true;
        verdict.max_timestamp = 99;
        out.len = 0;
        cr_assert_eq(batch_rebuild(&batch, &verdict, &recoding, &one, &out), 0);
        cr_assert_eq(batch_parse(bytes_of(out.data, out.len), &rebuilt), BATCH_OK);
        cr_assert_eq(batch_check(&rebuilt), BATCH_OK);
        cr_assert(batch_is_log_append_time(&rebuilt) && rebuilt.max_timestamp == 99);
        out_done(&out);
    }
    compressor_done(&one);
    compressor_done(&other);
}

TEST(batch, batches_are_recompressed)
{
    struct out bytes = golden_bytes("java_zstd"), plain = golden_bytes("java_none");
    expect_rebuilds(&bytes, false);
    expect_rebuilds(&plain, false);
    out_done(&bytes);
    out_done(&plain);
}

/* The bit is the broker's: the records' own times come to light when it is taken away. */
TEST(batch, rebuilding_uncovers_the_records_times)
{
    struct out bytes = build_plain(3), out = { 0 };
    struct batch_rules rules = default_rules();
    struct batch_view batch;
    struct batch_verdict verdict;
    struct record_reader reader;
    struct record_view record;
    struct batch_recoding recoding = { CODEC_NONE, COMPRESS_LEVEL_DEFAULT, false };
    batch_set_timestamp(bytes.data, true, 5);
    batch_validate(bytes_of(bytes.data, bytes.len), &rules, NULL, &batch, &verdict);
    cr_assert_eq(verdict.outcome, BATCH_OK);
    cr_assert_eq(batch_rebuild(&batch, &verdict, &recoding, NULL, &out), 0);
    cr_assert_eq(batch_parse(bytes_of(out.data, out.len), &batch), BATCH_OK);
    cr_assert_not(batch_is_log_append_time(&batch));
    cr_assert_eq(batch.max_timestamp, 1700000000002);
    record_reader_init(&reader, &batch, batch.records);
    for (int i = 0; i < 3; i++) {
        cr_assert(record_next(&reader, &record));
        cr_assert_eq(record.timestamp, 1700000000000 + i);
    }
    out_done(&bytes);
    out_done(&out);
}

/* Offsets inside that are not 0, 1, 2: some old clients. Kafka renumbers them. */
TEST(batch, wrong_inner_offsets_are_renumbered)
{
    for (int codec = CODEC_NONE; codec < CODEC_COUNT; codec++) {
        struct compressor compressor;
        struct batch_builder builder = { 0 };
        struct batch_options options = batch_options_plain((enum codec)codec);
        struct out bytes = { 0 };
        compressor_init(&compressor);
        options.last_offset_delta = 2;
        batch_builder_begin(&builder, &options);
        for (int32_t i = 0; i < 3; i++) {
            struct record_view record = { .timestamp = 7, .key = bytes_of(&"012"[i], 1) };
            cr_assert_eq(batch_builder_append_at(&builder, i * 1000, &record), 0);
        }
        cr_assert_eq(batch_builder_finish(&builder, &compressor, &bytes), 0);
        expect_rebuilds(&bytes, true);
        out_done(&bytes);
        batch_builder_done(&builder);
        compressor_done(&compressor);
    }
}

/* kafka-python writes linked lz4 blocks once a batch is larger than one; Java cannot read them. */
TEST(batch, linked_lz4_blocks_are_rewritten)
{
    struct out plain = build_plain(5000), bytes = { 0 };
    LZ4F_preferences_t preferences = { .frameInfo = { .blockMode = LZ4F_blockLinked } };
    size_t len = plain.len - BATCH_HEADER_SIZE, bound = LZ4F_compressFrameBound(len, &preferences);
    out_bytes(&bytes, plain.data, BATCH_HEADER_SIZE);
    size_t made = LZ4F_compressFrame(
        out_add(&bytes, bound), bound, plain.data + BATCH_HEADER_SIZE, len, &preferences);
    cr_assert_not(LZ4F_isError(made));
    bytes.len = BATCH_HEADER_SIZE + made;
    be_put32(bytes.data + BATCH_AT_LENGTH, (uint32_t)bytes.len - BATCH_PREFIX_SIZE);
    be_put16(bytes.data + BATCH_AT_ATTRIBUTES, CODEC_LZ4);
    batch_set_crc(bytes.data);
    expect_rebuilds(&bytes, true);
    out_done(&plain);
    out_done(&bytes);
}
