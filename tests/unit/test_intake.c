/* Chunks to records: cuts anywhere, codecs, control batches, gaps, damage; seek, seal, undo. */
#include "processors/intake.h"

#include <stdio.h>

#include "protocol/base/mem.h"
#include "protocol/base/random.h"
#include "tests/test.h"

struct made {
    struct out bytes;
    int64_t next;
    struct intake_aborted aborted; /* of the chunk to come */
};

/* One batch of `count` records at the end of `made`; the last offset is `gap` beyond the records.
 */
static void add_batch(struct made *made, int count, int32_t gap, enum codec codec)
{
    struct batch_builder builder = { 0 };
    struct compressor compressor;
    struct batch_options options = batch_options_plain(codec);
    compressor_init(&compressor);
    options.base_offset = made->next;
    options.last_offset_delta = count + gap - 1;
    batch_builder_begin(&builder, &options);
    for (int i = 0; i < count; i++) {
        char value[32];
        int n = snprintf(value, sizeof(value), "v%lld", (long long)made->next + i);
        struct record_view record = { .timestamp = 1, .value = bytes_of(value, (size_t)n) };
        cr_assert_eq(batch_builder_append(&builder, &record), 0);
    }
    cr_assert_eq(batch_builder_finish(&builder, &compressor, &made->bytes), 0);
    batch_builder_done(&builder);
    compressor_done(&compressor);
    made->next += count + gap;
}

static void add_control(struct made *made)
{
    struct batch_options options = batch_options_plain(CODEC_NONE);
    size_t at = made->bytes.len;
    options.producer_id = 1;
    options.producer_epoch = 0;
    control_build(&made->bytes, &options, true, 0, 1);
    batch_set_base_offset(made->bytes.data + at, made->next++);
}

static void give(struct intake *intake, struct made *made)
{
    struct buffer *buffer = buffer_create(NULL, made->bytes.len);
    memcpy(buffer->data, made->bytes.data, made->bytes.len);
    buffer->len = made->bytes.len;
    intake_add(intake, buffer, made->next, made->aborted);
    made->aborted = (struct intake_aborted){ 0 };
}

/* The next record must be the one at `offset`. */
static void expect(struct intake *intake, struct compressor *compressor, int64_t offset)
{
    char value[32];
    cr_assert_eq(intake_peek(intake, compressor, false), INTAKE_RECORD, "%lld", (long long)offset);
    (void)snprintf(value, sizeof(value), "v%lld", (long long)offset);
    cr_assert_eq(intake->head.offset, offset);
    cr_assert(bytes_equal_text(intake->head.value, value));
    intake_take(intake);
    intake->position = offset + 1;
}

TEST(intake, walks_batches_control_batches_and_gaps)
{
    struct intake intake;
    struct compressor compressor;
    struct made made = { .next = 10 };
    compressor_init(&compressor);
    add_batch(&made, 3, 0, CODEC_NONE); /* 10-12 */
    add_batch(&made, 2, 4, CODEC_LZ4);  /* 13-14, to 18 */
    add_control(&made);                 /* 19 */
    add_batch(&made, 1, 0, CODEC_ZSTD); /* 20 */
    add_control(&made);                 /* 21 */
    intake_init(&intake, 11);
    give(&intake, &made);
    static const int64_t offsets[] = { 11, 12, 13, 14, 20 };
    for (size_t i = 0; i < ARRAY_COUNT(offsets); i++)
        expect(&intake, &compressor, offsets[i]);
    cr_assert_eq(intake_peek(&intake, &compressor, false), INTAKE_EMPTY);
    intake_skip_gap(&intake);
    cr_assert_eq(intake.position, 22);
    intake_seal(&intake);
    cr_assert(list_empty(&intake.chunks));
    cr_assert_not(list_empty(&intake.finished));
    intake_drop(&intake, false);
    cr_assert_eq(intake.bytes_held, 0);
    intake_done(&intake);
    out_done(&made.bytes);
    compressor_done(&compressor);
}

TEST(intake, passes_over_what_was_aborted)
{
    struct intake intake;
    struct compressor compressor;
    struct made made = { .next = 10 };
    compressor_init(&compressor);
    add_batch(&made, 3, 0, CODEC_NONE); /* 10-12 aborted */
    add_batch(&made, 2, 0, CODEC_LZ4);  /* 13-14 */
    add_batch(&made, 2, 0, CODEC_LZ4);  /* 15-16 aborted */
    add_batch(&made, 1, 0, CODEC_ZSTD); /* 17 */
    add_batch(&made, 2, 0, CODEC_NONE); /* 18-19 aborted */
    made.aborted = (struct intake_aborted){ mem_alloc(3 * sizeof(int64_t)), 3 };
    memcpy(made.aborted.offsets, (int64_t[]){ 10, 15, 18 }, 3 * sizeof(int64_t));
    intake_init(&intake, 10);
    give(&intake, &made);
    static const int64_t offsets[] = { 13, 14, 17 };
    for (int life = 0; life < 2; life++) {
        for (size_t i = 0; i < ARRAY_COUNT(offsets); i++)
            expect(&intake, &compressor, offsets[i]);
        cr_assert_eq(intake_peek(&intake, &compressor, false), INTAKE_EMPTY);
        if (life == 0)
            intake_undo(&intake);
    }
    intake_skip_gap(&intake);
    cr_assert_eq(intake.position, 20);
    intake_seal(&intake);
    intake_drop(&intake, false);
    intake_done(&intake);
    out_done(&made.bytes);
    compressor_done(&compressor);
}

TEST(intake, undo_goes_back_to_the_last_seal_seek_to_the_position)
{
    struct intake intake;
    struct compressor compressor;
    compressor_init(&compressor);
    intake_init(&intake, 0);
    struct made made = { 0 };
    for (int i = 0; i < 4; i++) {
        made.bytes.len = 0;
        add_batch(&made, 2, 0, i % 2 ? CODEC_SNAPPY : CODEC_NONE);
        give(&intake, &made);
    }
    for (int i = 0; i < 3; i++)
        expect(&intake, &compressor, i);
    intake_seal(&intake); /* the first chunk is behind us, the second is not */
    intake_drop(&intake, false);
    for (int i = 3; i < 8; i++)
        expect(&intake, &compressor, i);
    intake_undo(&intake);
    for (int i = 3; i < 6; i++)
        expect(&intake, &compressor, i);
    intake.position = 4; /* taken, but not processed */
    intake_seek(&intake);
    for (int i = 4; i < 8; i++)
        expect(&intake, &compressor, i);
    cr_assert_eq(intake_peek(&intake, &compressor, false), INTAKE_EMPTY);
    intake_drop(&intake, true);
    intake_done(&intake);
    out_done(&made.bytes);
    compressor_done(&compressor);
}

TEST(intake, a_compressed_batch_waits_for_records_in_use)
{
    struct intake intake;
    struct compressor compressor;
    struct made made = { 0 };
    compressor_init(&compressor);
    add_batch(&made, 1, 0, CODEC_GZIP);
    add_batch(&made, 1, 0, CODEC_GZIP);
    intake_init(&intake, 0);
    give(&intake, &made);
    cr_assert_eq(intake_peek(&intake, &compressor, false), INTAKE_RECORD);
    intake_take(&intake);
    cr_assert_eq(intake_peek(&intake, &compressor, true), INTAKE_BLOCKED);
    intake.position = 1;
    intake_skip_gap(&intake); /* must not jump over what is blocked */
    cr_assert_eq(intake.position, 1);
    expect(&intake, &compressor, 1);
    intake_drop(&intake, true);
    intake_done(&intake);
    out_done(&made.bytes);
    compressor_done(&compressor);
}

TEST(intake, damage_is_told_and_never_read_beyond)
{
    struct compressor compressor;
    struct made made = { 0 };
    struct random random = random_seeded(1);
    size_t bad = 0;
    compressor_init(&compressor);
    for (int i = 0; i < 3; i++)
        add_batch(&made, 3, 0, i == 1 ? CODEC_LZ4 : CODEC_NONE);
    for (int i = 0; i < 3000; i++) {
        struct intake intake;
        size_t at = random_below(&random, made.bytes.len);
        uint8_t was = made.bytes.data[at];
        made.bytes.data[at] = (uint8_t)random_u64(&random);
        intake_init(&intake, 0);
        give(&intake, &made);
        enum intake_outcome outcome;
        while ((outcome = intake_peek(&intake, &compressor, false)) == INTAKE_RECORD) {
            intake_take(&intake);
            intake.position = intake.head.offset + 1;
        }
        bad += outcome == INTAKE_BAD;
        made.bytes.data[at] = was;
        intake_drop(&intake, true);
        intake_done(&intake);
    }
    cr_assert(bad > 300, "%zu", bad);
    out_done(&made.bytes);
    compressor_done(&compressor);
}
