/* The keyed store, the leader epochs of a log, and the sparse index. */
#include "storage/store.h"

#include <errno.h>
#include <stdio.h>

#include "storage/epochs.h"
#include "storage/index.h"
#include "tests/test.h"

static struct bytes text(const char *value)
{
    return bytes_text(value);
}

TEST(store, keeps_order_and_positions)
{
    struct store store;
    store_init(&store);
    (void)store_put(&store, 2, text("b"), text("2b"), 20);
    (void)store_put(&store, 1, text("bb"), text("1bb"), 21);
    (void)store_put(&store, 1, text("b"), text("1b"), 22);
    (void)store_put(&store, 1, text("a"), text(""), 23);
    cr_assert_eq(store_put(&store, 1, text("b"), text("a longer value than before"), 24), 22);

    const struct store_entry *entry = store_find(&store, 1, text("b"));
    cr_assert_eq(entry->lsn, 24);
    cr_assert(bytes_equal_text(store_entry_value(entry), "a longer value than before"));
    entry = store_find(&store, 1, text("a"));
    cr_assert_not_null(store_entry_value(entry).data, "an empty value is a value");

    entry = store_at(&store, 1, text(""));
    cr_assert(bytes_equal_text(store_entry_key(entry), "a"));
    entry = store_next(&store, 1, text("a"));
    cr_assert(bytes_equal_text(store_entry_key(entry), "b"));
    entry = store_next(&store, 1, text("b"));
    cr_assert(bytes_equal_text(store_entry_key(entry), "bb"));
    cr_assert_null(store_next(&store, 1, text("bb")), "another kind's entries are not ours");

    cr_assert_eq(store_put(&store, 1, text("b"), (struct bytes){ 0 }, 30), 24);
    cr_assert_eq(store_put(&store, 2, text("absent"), (struct bytes){ 0 }, 31), 0);
    cr_assert_null(store_find(&store, 1, text("b")));
    cr_assert_not_null(store_find(&store, 2, text("b")));
    cr_assert_eq(store.delete_lsn, 31);
    cr_assert_eq(store.deletions[1], 30);
    cr_assert_eq(store.deletions[2], 0, "what was not there has not gone");
    store_done(&store);
    cr_assert_eq(store.bytes, 0);
}

static int put_again(
    void *context, uint16_t kind, struct bytes key, struct bytes value, uint64_t lsn)
{
    (void)store_put(context, kind, key, value, lsn);
    return 0;
}

TEST(store, is_saved_and_loaded_and_cut_bytes_are_refused)
{
    struct store store, copy;
    struct out saved = { 0 }, again = { 0 };
    store_init(&store);
    for (int i = 0; i < 300; i++) {
        char key[16], value[32];
        (void)snprintf(key, sizeof(key), "%d", i * 7919 % 300);
        (void)snprintf(value, sizeof(value), "value %d", i);
        (void)store_put(&store, (uint16_t)(16 + i % 3), text(key), text(value), 5 + (uint64_t)i);
    }
    (void)store_put(&store, 17, text("119"), (struct bytes){ 0 }, 400);
    store_save(&store, &saved);
    for (size_t len = 0; len <= saved.len; len++) {
        struct cursor cursor = cursor_of(bytes_of(saved.data, len));
        store_init(&copy);
        int status = store_load(&copy, &cursor, 400, false, put_again, &copy);
        cr_assert_eq(status, len == saved.len ? 0 : -EUCLEAN, "%zu of %zu bytes", len, saved.len);
        if (status == 0)
            store_save(&copy, &again);
        store_done(&copy);
    }
    struct cursor early = cursor_of(bytes_of(saved.data, saved.len));
    store_init(&copy);
    cr_assert_eq(store_load(&copy, &early, 399, false, put_again, &copy), -EUCLEAN,
        "a change behind the place where it was saved");
    store_done(&copy);
    cr_assert_eq(again.len, saved.len);
    cr_assert_eq(memcmp(again.data, saved.data, saved.len), 0);
    out_done(&saved);
    out_done(&again);
    store_done(&store);
}

static void expect_end(
    const struct epochs *epochs, int32_t latest, int32_t asked, int32_t epoch, int64_t offset)
{
    struct epoch_start end;
    epochs_end(epochs, latest, 100, asked, &end);
    cr_assert_eq(end.epoch, epoch, "asked %d: epoch %d", asked, end.epoch);
    cr_assert_eq(end.offset, offset, "asked %d: offset %ld", asked, (long)end.offset);
}

TEST(epochs, answer_as_kip_320_says)
{
    struct epochs epochs = { 0 };
    expect_end(&epochs, 3, 3, 3, 100);
    expect_end(&epochs, 3, 4, -1, -1);
    expect_end(&epochs, 3, 2, 2, 100); /* below the first known, which begins at the end */
    epochs_note(&epochs, 2, 10);
    epochs_note(&epochs, 2, 15);
    epochs_note(&epochs, 5, 40);
    expect_end(&epochs, 5, 5, 5, 100);
    expect_end(&epochs, 5, 6, -1, -1);
    expect_end(&epochs, 5, 4, 2, 40);
    expect_end(&epochs, 5, 2, 2, 40);
    expect_end(&epochs, 5, 1, 1, 10);
    expect_end(&epochs, 7, 5, 5, 100); /* nothing was appended in 7 yet */
    expect_end(&epochs, 7, 6, 5, 100);
    cr_assert_eq(epochs_at(&epochs, 9), -1);
    cr_assert_eq(epochs_at(&epochs, 10), 2);
    cr_assert_eq(epochs_at(&epochs, 39), 2);
    cr_assert_eq(epochs_at(&epochs, 40), 5);
    epochs_trim(&epochs, 20);
    cr_assert_eq(epochs_at(&epochs, 19), -1);
    cr_assert_eq(epochs_at(&epochs, 20), 2);
    epochs_trim(&epochs, 40);
    cr_assert_eq(epochs.count, 1);
    cr_assert_eq(epochs_at(&epochs, 41), 5);
    epochs_done(&epochs);
}

TEST(index, finds_offsets_and_times)
{
    struct index index;
    index_init(&index, 100, 0);
    for (uint32_t i = 0; i < 1000; i++) {
        struct index_entry batch = { .offset = i * 10, .position = i * 50, .max_timestamp = i };
        index_note(&index, &batch);
    }
    cr_assert_eq(index.count, 500);
    for (uint32_t offset = 0; offset < 10000; offset++)
        cr_assert_eq(index_floor(&index, offset)->offset, offset / 20 * 20);
    cr_assert_null(index_floor_time(&index, 0), "even the first has a timestamp before it");
    cr_assert_eq(index_floor_time(&index, 1)->position, 0);
    cr_assert_eq(index_floor_time(&index, 500)->max_timestamp, 498);
    cr_assert_eq(index_floor_time(&index, 501)->max_timestamp, 500);
    index_done(&index);
}

TEST(index, never_grows_beyond_its_limit)
{
    struct index index;
    index_init(&index, 1, 0);
    for (uint32_t i = 0; i < 10 * INDEX_ENTRIES_MAX; i++) {
        struct index_entry batch = { .offset = i, .position = i * 100, .max_timestamp = i };
        index_note(&index, &batch);
    }
    cr_assert_leq(index.count, INDEX_ENTRIES_MAX);
    cr_assert_leq(index_bytes(&index), 256 * 1024);
    cr_assert_geq(index.count, INDEX_ENTRIES_MAX / 4);
    for (uint32_t offset = 0; offset < 10 * INDEX_ENTRIES_MAX; offset += 97) {
        const struct index_entry *entry = index_floor(&index, offset);
        cr_assert_leq(entry->offset, offset);
        cr_assert_lt(offset - entry->offset, 64);
        cr_assert_eq(entry->position, entry->offset * 100);
    }
    index_done(&index);
}

TEST(index, joins_what_was_built_with_what_came_since)
{
    struct index live, built;
    index_init(&live, 10, 1000);
    index_init(&built, 10, 0);
    cr_assert_null(index_floor(&live, 5));
    for (uint32_t i = 100; i < 200; i++)
        index_note(&live, &(struct index_entry){ .offset = i, .position = i * 10 });
    cr_assert_null(index_floor(&live, 99), "below its beginning it knows nothing");
    for (uint32_t i = 0; i < 120; i++) /* overlaps */
        index_note(&built, &(struct index_entry){ .offset = i, .position = i * 10 });
    index_prepend(&live, &built);
    cr_assert_eq(live.from, 0);
    cr_assert_eq(live.count, 200);
    for (uint32_t i = 0; i < 200; i++)
        cr_assert_eq(index_floor(&live, i)->position, i * 10);
    index_done(&live);
}
