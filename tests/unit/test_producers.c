/* Idempotent producers: sequences, duplicates, epochs, forgetting. */
#include "storage/producers.h"

#include "tests/test.h"

static struct producer_table table;
static struct producers *producers;
static int64_t next_offset;

static void begin(size_t max)
{
    producer_table_init(&table, max, 1000);
    producers = producers_create(&table);
    next_offset = 0;
}

static void end(void)
{
    producers_destroy(producers);
    cr_assert_eq(table.count, 0);
}

static struct batch_view batch(int64_t id, int16_t epoch, int32_t sequence, int32_t count)
{
    return (struct batch_view){
        .base_offset = next_offset,
        .last_offset_delta = count - 1,
        .count = count,
        .producer_id = id,
        .producer_epoch = epoch,
        .base_sequence = sequence,
        .max_timestamp = 77,
    };
}

static enum producer_verdict check(int64_t id, int16_t epoch, int32_t sequence, int32_t count)
{
    struct batch_view view = batch(id, epoch, sequence, count);
    const struct producer_batch *known;
    return producers_check(producers, &view, &known);
}

static void append(int64_t id, int16_t epoch, int32_t sequence, int32_t count)
{
    cr_assert_eq(check(id, epoch, sequence, count), PRODUCER_OK);
    struct batch_view view = batch(id, epoch, sequence, count);
    producers_note(producers, &view, 900 + (uint64_t)next_offset, next_offset);
    next_offset += count;
}

TEST(producers, know_the_last_five_batches)
{
    begin(10);
    for (int i = 0; i < 7; i++)
        append(1, 0, i * 10, 10);
    cr_assert_eq(check(1, 0, 10, 10), PRODUCER_OUT_OF_ORDER, "the sixth last is forgotten");
    for (int i = 2; i < 7; i++) {
        struct batch_view view = batch(1, 0, i * 10, 10);
        const struct producer_batch *known = NULL;
        cr_assert_eq(producers_check(producers, &view, &known), PRODUCER_DUPLICATE);
        cr_assert_eq(known->last_offset - known->offset_delta, i * 10);
        cr_assert_eq(known->lsn, 900 + (uint64_t)i * 10);
        cr_assert_eq(known->append_ms, -1);
    }
    cr_assert_eq(check(1, 0, 60, 9), PRODUCER_OUT_OF_ORDER, "a part of a batch is no duplicate");
    cr_assert_eq(check(1, 0, 71, 1), PRODUCER_OUT_OF_ORDER, "a gap");
    cr_assert_eq(check(1, 0, 70, 1), PRODUCER_OK);
    end();
}

TEST(producers, accept_any_sequence_of_a_stranger)
{
    begin(10);
    cr_assert_eq(check(5, 3, 12345, 1), PRODUCER_OK);
    cr_assert_eq(producers_check(NULL, &(struct batch_view){ .producer_id = 5 },
                     &(const struct producer_batch *){ NULL }),
        PRODUCER_OK);
    end();
}

TEST(producers, fence_old_epochs_and_begin_new_ones_at_zero)
{
    begin(10);
    append(1, 4, 0, 5);
    cr_assert_eq(check(1, 3, 5, 1), PRODUCER_FENCED_EPOCH);
    cr_assert_eq(check(1, 5, 5, 1), PRODUCER_OUT_OF_ORDER);
    append(1, 5, 0, 1);
    cr_assert_eq(check(1, 4, 0, 5), PRODUCER_FENCED_EPOCH, "not a duplicate any more");
    cr_assert_eq(check(1, 5, 0, 1), PRODUCER_DUPLICATE);
    end();
}

TEST(producers, wrap_their_sequences)
{
    begin(10);
    append(1, 0, INT32_MAX - 4, 5); /* ends at 2^31 - 1 */
    append(1, 0, 0, 5);
    append(2, 0, INT32_MAX - 1, 5); /* wraps inside: ends at 2 */
    cr_assert_eq(check(2, 0, 3, 1), PRODUCER_OK);
    cr_assert_eq(check(2, 0, INT32_MAX - 1, 5), PRODUCER_DUPLICATE);
    end();
}

TEST(producers, are_forgotten_by_age_and_by_number)
{
    begin(3);
    append(1, 0, 0, 100); /* used at 0, 100, 200 */
    append(2, 0, 0, 100);
    append(3, 0, 0, 100);
    append(1, 0, 100, 100);
    append(4, 0, 0, 100); /* 2 is the longest unused */
    cr_assert_eq(table.count, 3);
    cr_assert_eq(table.evicted, 1);
    cr_assert_eq(check(2, 0, 0, 100), PRODUCER_OK);
    cr_assert_eq(check(3, 0, 0, 100), PRODUCER_DUPLICATE);
    producer_table_expire(&table, 1300); /* before 300: only 3, used at 200 */
    cr_assert_eq(table.count, 2);
    cr_assert_eq(check(3, 0, 0, 100), PRODUCER_OK);
    cr_assert_eq(check(1, 0, 100, 100), PRODUCER_DUPLICATE);
    end();
}

TEST(producers, are_saved_and_loaded)
{
    begin(100);
    for (int64_t id = 0; id < 20; id++) {
        for (int32_t i = 0; i <= id % 7; i++)
            append(id, (int16_t)(id % 3), i * 3, 3);
    }
    struct out saved = { 0 }, again = { 0 };
    producers_save(producers, &saved);
    for (size_t len = 0; len < saved.len; len++) {
        struct producers *cut = producers_create(&table);
        struct cursor cursor = cursor_of(bytes_of(saved.data, len));
        producers_load(cut, &cursor, 2);
        cr_assert(cursor.bad, "%zu of %zu bytes", len, saved.len);
        producers_destroy(cut);
    }
    producers_destroy(producers);
    producers = producers_create(&table);
    struct cursor cursor = cursor_of(bytes_of(saved.data, saved.len));
    producers_load(producers, &cursor, 2);
    cr_assert(!cursor.bad && !cursor.left);
    producers_save(producers, &again);
    cr_assert(bytes_equal(bytes_of(saved.data, saved.len), bytes_of(again.data, again.len)));
    cr_assert_eq(check(13, 1, 18, 3), PRODUCER_DUPLICATE);
    cr_assert_eq(check(13, 1, 21, 3), PRODUCER_OK);
    out_done(&saved);
    out_done(&again);
    end();
}
