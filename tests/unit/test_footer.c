/* What lies beside a sealed segment: filled, written, read, and refused when it is not whole. */
#include "storage/footer.h"

#include <errno.h>

#include "protocol/base/mem.h"
#include "tests/test.h"
#include "tests/unit/doors_test.h"

enum { BATCHES = 300, STEP = 4096 };

static struct batch_view batch_at(int64_t i)
{
    return (struct batch_view){
        .base_offset = 1000 + i * 10,
        .last_offset_delta = 9,
        .count = 10,
        .size = 700,
        .max_timestamp = i % 7 == 3 ? -1 : 5000 + (i < 200 ? i : 400 - i),
    };
}

/* 300 batches of 700 bytes whose content is `seed`'s. */
static struct footer filled(uint8_t seed, size_t piece)
{
    struct footer footer;
    uint8_t bytes[700];
    footer_init(&footer, 1000, STEP);
    for (int64_t i = 0; i < BATCHES; i++) {
        struct batch_view view = batch_at(i);
        memset(bytes, (int)(seed + i), sizeof(bytes));
        footer_batch(&footer, &view);
        for (size_t at = 0; at < sizeof(bytes); at += piece)
            footer_bytes(
                &footer, bytes + at, at + piece <= sizeof(bytes) ? piece : sizeof(bytes) - at);
    }
    struct aborted_transaction aborted[] = { { 7, 1010, 1040, 1010 }, { -1, 1200, 1900, 1100 } };
    for (size_t i = 0; i < ARRAY_COUNT(aborted); i++)
        cr_assert_eq(footer_abort(&footer, &aborted[i]), 0);
    footer_finish(&footer, 4000);
    return footer;
}

TEST(footer, says_what_its_batches_were)
{
    struct footer footer = filled(1, 700);
    cr_assert_eq(footer.size, 210000);
    cr_assert_eq(footer.batches, BATCHES);
    cr_assert_eq(footer.records, BATCHES * 10);
    cr_assert_eq(footer.min_timestamp, 5000);
    cr_assert_eq(footer.max_timestamp, 5200);
    cr_assert_eq(footer.max_timestamp_offset, 1000 + 200 * 10);
    cr_assert_eq(footer.extent_count, 4, "three whole ones and the rest");
    cr_assert_eq(footer.extent_count, footer_extent_count(footer.size));
    const struct index_entry *entry = index_floor(&footer.index, 1500);
    cr_assert_eq(entry->position % 700, 0);
    cr_assert_leq(entry->offset, 1500);
    cr_assert_gt(entry->offset, 1500 - 2 * STEP / 70);
    footer_done(&footer);
}

TEST(footer, hashes_bytes_and_not_the_pieces_they_came_in)
{
    struct footer whole = filled(1, 700), pieces = filled(1, 13), other = filled(2, 700);
    cr_assert_eq(whole.root, pieces.root);
    cr_assert_neq(whole.root, other.root);
    footer_done(&pieces);
    footer_init(&pieces, 1000, STEP);
    uint8_t *big = mem_zalloc(1, 200000);
    footer_bytes(&pieces, big, 100);
    footer_bytes(&pieces, big, 199900);
    footer_finish(&pieces, 1001);
    cr_assert_eq(pieces.extents[1], footer_extent(big, FOOTER_EXTENT));
    cr_assert_eq(pieces.extents[3], footer_extent(big, 200000 - 3 * FOOTER_EXTENT));
    mem_free(big);
    footer_done(&whole);
    footer_done(&pieces);
    footer_done(&other);
}

static void same(const struct footer *a, const struct footer *b)
{
    struct out x = { 0 }, y = { 0 };
    footer_encode(a, &x);
    footer_encode(b, &y);
    cr_assert(bytes_equal(bytes_of(x.data, x.len), bytes_of(y.data, y.len)));
    out_done(&x);
    out_done(&y);
}

TEST(footer, comes_back_from_its_bytes)
{
    struct footer footer = filled(1, 700), back;
    struct out out = { 0 };
    footer_encode(&footer, &out);
    cr_assert_eq(footer_decode(bytes_of(out.data, out.len), &back), 0);
    same(&footer, &back);
    cr_assert_eq(back.aborted_count, 2);
    cr_assert_eq(back.aborted[0].producer_id, 7);
    cr_assert_eq(back.aborted[0].first_offset, 1010);
    cr_assert_eq(back.aborted[0].last_offset, 1040);
    cr_assert_eq(back.aborted[1].last_stable_offset, 1100);
    footer_done(&back);
    footer_done(&footer);
    out_done(&out);
}

TEST(footer, is_refused_when_a_byte_is_not_what_it_was_or_is_missing)
{
    struct footer footer = filled(1, 700), back;
    struct out out = { 0 };
    footer_encode(&footer, &out);
    for (size_t i = 0; i < out.len; i++) {
        out.data[i] ^= (uint8_t)(1 + i % 255);
        cr_assert_eq(footer_decode(bytes_of(out.data, out.len), &back), -EBADMSG, "byte %zu", i);
        out.data[i] ^= (uint8_t)(1 + i % 255);
        cr_assert_eq(footer_decode(bytes_of(out.data, i), &back), -EBADMSG, "cut to %zu", i);
    }
    footer_done(&footer);
    out_done(&out);
}

/* Whole, but not one that anybody would write: each of these would lead a reader astray. */
TEST(footer, is_refused_when_it_says_what_cannot_be)
{
    for (int what = 0; what < 8; what++) {
        struct footer footer = filled(1, 700), back;
        struct out out = { 0 };
        struct index_entry *entry = &footer.index.entries[5];
        switch (what) {
        case 0: entry->position = (uint32_t)footer.size; break;
        case 1: entry->offset = 3000; break;
        case 2: entry->offset = footer.index.entries[4].offset; break;
        case 3: entry->position = footer.index.entries[4].position; break;
        case 4: entry->max_timestamp = -1; break;
        case 5: footer.index.entries[0].position = 1; break;
        case 6: footer.extents[1]++; break;
        default: footer.end_offset = footer.base_offset; break;
        }
        footer_encode(&footer, &out);
        cr_assert_eq(footer_decode(bytes_of(out.data, out.len), &back), -EBADMSG, "%d", what);
        footer_done(&footer);
        out_done(&out);
    }
}

TEST(footer, holds_no_more_aborted_transactions_than_its_limit)
{
    struct footer footer;
    footer_init(&footer, 0, STEP);
    struct aborted_transaction aborted = { 0 };
    for (int i = 0; i < FOOTER_ABORTED_MAX; i++)
        cr_assert_eq(footer_abort(&footer, &aborted), 0);
    cr_assert_eq(footer_abort(&footer, &aborted), -E2BIG);
    footer_done(&footer);
}

TEST(footer, is_a_file_of_its_segment_and_no_other)
{
    struct doors_test doors;
    doors_test_begin(&doors);
    struct disk *disk = doors.doors.disk;
    struct footer footer = filled(1, 700), back;
    char *path = mem_printf("%s/x.idx", doors.dir);
    cr_assert_eq(disk->table->mkdir(disk, doors.dir), 0);
    cr_assert_eq(footer_read(disk, path, 1000, 210000, footer.root, &back), -ENOENT);
    cr_assert_eq(footer_write(disk, path, doors.dir, &footer), 0);
    cr_assert_eq(doors.calls[CALL_SYNC], 2, "the file, and its name");
    cr_assert_eq(footer_read(disk, path, 1000, 210000, footer.root, &back), 0);
    same(&footer, &back);
    footer_done(&back);
    cr_assert_eq(footer_read(disk, path, 1001, 210000, footer.root, &back), -EBADMSG);
    cr_assert_eq(footer_read(disk, path, 1000, 210001, footer.root, &back), -EBADMSG);
    cr_assert_eq(footer_read(disk, path, 1000, 210000, footer.root + 1, &back), -EBADMSG);
    doors.faults[CALL_SYNC] = (struct disk_fault){ -ENOSPC, NULL, 0 };
    cr_assert_eq(footer_write(disk, path, doors.dir, &footer), -EIO, "no sync fails lightly");
    mem_free(path);
    footer_done(&footer);
    doors_test_end(&doors);
}
