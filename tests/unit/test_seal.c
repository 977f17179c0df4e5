/* Sealed segments: their footers, and what is told of damage to either. */
#include "storage/seal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "protocol/base/mem.h"
#include "protocol/batch.h"
#include "protocol/record.h"
#include "storage/footer.h"
#include "storage/owner.h"
#include "tests/test.h"
#include "tests/unit/storage_test.h"

enum { SEGMENT = 90000, BATCH = 10 };
#define FIRST "t-0/00000000000000000000"

/* A topic of two sealed segments and an active one, all in their files. */
static struct log *begin(struct storage_test *test)
{
    storage_test_setup(test);
    test->config.defaults.segment_bytes = SEGMENT;
    test->config.wal_files_max = 16; /* no checkpoint but by time */
    storage_test_open(test);
    struct log *log = storage_test_topic(test, "t", 1);
    storage_test_fill(test, log, 3 * SEGMENT - 20000);
    storage_test_pass(test, 3000);
    cr_assert_eq(log->body->segment_count, 3);
    return log;
}

static struct log *reopen(struct storage_test *test)
{
    storage_test_open(test);
    return storage_test_log(test, "t", 0);
}

static struct log *end_and_reopen(struct storage_test *test)
{
    storage_test_reopen(test);
    return storage_test_log(test, "t", 0);
}

static char *name_of(const struct segment *segment, const char *extension)
{
    return mem_printf("t-0/%020" PRId64 "%s", segment->claim.base_offset, extension);
}

/* Where the batch that holds `offset` begins in its file. */
static uint64_t position_of(struct storage_test *test, const char *name, int64_t offset)
{
    size_t len;
    uint8_t *bytes = doors_test_file(&test->doors, name, &len);
    cr_assert_not_null(bytes, "%s", name);
    struct bytes run = bytes_of(bytes, len);
    struct batch_view view;
    uint64_t position = 0;
    while (batch_next(&run, &view) == BATCH_OK && batch_last_offset(&view) < offset)
        position += view.size;
    mem_free(bytes);
    return position;
}

static void flip(struct storage_test *test, const char *name, uint64_t at, uint8_t mask)
{
    size_t len;
    uint8_t *bytes = doors_test_file(&test->doors, name, &len);
    cr_assert(bytes && at < len, "%s", name);
    uint8_t byte = bytes[at] ^ mask;
    doors_test_overwrite(&test->doors, name, at, &byte, 1);
    mem_free(bytes);
}

/* The newest of what was said. */
static const char *said_last(const struct storage_test *test)
{
    size_t len = strlen(test->doors.said);
    return test->doors.said + (len > 600 ? len - 600 : 0);
}

/* Reads all of the log, a batch at a time; the offsets from `from` to `end` can't be read, all
 * others can and are what was appended. */
static void expect_damage(struct storage_test *test, struct log *log, int64_t from, int64_t end)
{
    for (int64_t offset = log->start_offset; offset < log->high_watermark; offset += BATCH) {
        struct buffer *buffer;
        int status = storage_test_read(test, log, offset, 1, &buffer);
        if (offset >= from && offset < end) {
            cr_assert_eq(status, -EBADMSG, "offset %" PRId64 ": %d", offset, status);
            continue;
        }
        cr_assert_eq(status, 0, "offset %" PRId64 ": %d: %s", offset, status, said_last(test));
        struct batch_view view;
        cr_assert_eq(batch_parse(bytes_of(buffer->data, buffer->len), &view), BATCH_OK);
        cr_assert_eq(batch_check(&view), BATCH_OK);
        cr_assert_eq(view.base_offset, offset);
        buffer_unref(buffer);
    }
}

/* ---- footers ------------------------------------------------------------------------------- */

TEST(seal, sealed_segments_have_a_footer_and_a_root_and_the_active_one_has_not)
{
    struct storage_test test;
    struct log *log = begin(&test);
    struct segment **segments = log->body->segments;
    cr_assert_eq(storage_stats(test.storage).seals, 2);
    for (int again = 0; again < 3; again++) {
        segments = log->body->segments;
        for (int i = 0; i < 3; i++) {
            char *name = name_of(segments[i], ".idx");
            cr_assert_eq(doors_test_exists(&test.doors, name), i < 2, "%s", name);
            cr_assert_eq(segment_is_rooted(segments[i]), i < 2);
            char *path = mem_printf("%s/%s", test.doors.dir, name);
            struct footer footer = { 0 };
            if (i < 2) {
                cr_assert_eq(
                    footer_read(test.doors.doors.disk, path, segments[i]->claim.base_offset,
                        segments[i]->claim.size, segments[i]->claim.root, &footer),
                    0);
                cr_assert_eq(footer.records,
                    (uint64_t)(segments[i]->claim.end_offset - segments[i]->claim.base_offset));
                cr_assert_eq(footer.max_timestamp, segments[i]->claim.max_timestamp);
            }
            footer_done(&footer);
            mem_free(path);
            mem_free(name);
        }
        log = end_and_reopen(&test);
        storage_test_check(&test, log);
        cr_assert_eq(storage_stats(test.storage).seals, 0, "once is enough");
    }
    storage_test_end(&test);
}

TEST(seal, a_kill_before_the_checkpoint_seals_again)
{
    struct storage_test test;
    struct log *log = begin(&test);
    uint64_t root = log->body->segments[0]->claim.root;
    cr_assert_eq(storage_stats(test.storage).checkpoints, 0);
    storage_test_kill(&test);
    log = storage_test_log(&test, "t", 0);
    cr_assert(!segment_is_rooted(log->body->segments[0]), "no checkpoint said it");
    storage_test_pass(&test, 1000);
    cr_assert(segment_is_rooted(log->body->segments[0]));
    cr_assert_eq(log->body->segments[0]->claim.root, root, "the bytes are the same");
    storage_test_end(&test);
}

TEST(seal, the_footer_is_on_stable_media_before_a_checkpoint_says_its_root)
{
    struct storage_test test;
    struct log *log = begin(&test);
    cr_assert(segment_is_rooted(log->body->segments[0]));
    storage_test_fill(&test, log, SEGMENT / 3); /* a roll, and all of it still in the ring */
    cr_assert_eq(log->body->segment_count, 4);
    test.doors.faults[CALL_SYNC] = (struct disk_fault){ -EIO, ".idx", 0 };
    storage_test_pass(&test, 3000);
    cr_assert_eq(test.failed, -EIO, "no sync fails lightly");
    storage_test_crash(&test);
    test.doors.faults[CALL_SYNC].status = 0;
    log = reopen(&test);
    storage_test_check(&test, log);
    storage_test_end(&test);
}

TEST(seal, a_full_disk_only_delays_it)
{
    struct storage_test test;
    storage_test_setup(&test);
    test.config.defaults.segment_bytes = SEGMENT;
    storage_test_open(&test);
    struct log *log = storage_test_topic(&test, "t", 1);
    test.doors.faults[CALL_WRITE] = (struct disk_fault){ -ENOSPC, ".idx", 0 };
    storage_test_fill(&test, log, 2 * SEGMENT);
    storage_test_pass(&test, 3000);
    cr_assert_eq(storage_stats(test.storage).seals, 0);
    cr_assert_eq(test.failed, 0);
    storage_test_check(&test, log);
    test.doors.faults[CALL_WRITE].status = 0;
    storage_test_pass(&test, SEAL_RETRY_MS + 1000);
    cr_assert_geq(storage_stats(test.storage).seals, 1);
    cr_assert(segment_is_rooted(log->body->segments[0]));
    storage_test_end(&test);
}

TEST(seal, footers_go_with_their_segments_and_with_the_topic)
{
    struct storage_test test;
    struct log *log = begin(&test);
    char *name = name_of(log->body->segments[1], ".idx");
    struct unit_test unit = { 0 };
    unit_init(&unit.unit, NULL);
    cr_assert_eq(unit_raise_start(&unit.unit, log, log->body->segments[1]->claim.base_offset), 0);
    unit_test_commit(&test, &unit);
    storage_test_wait(&test, &unit.done);
    unit_test_end(&unit);
    storage_test_pass(&test, 70000);
    cr_assert(!doors_test_exists(&test.doors, FIRST ".log"));
    cr_assert(!doors_test_exists(&test.doors, FIRST ".idx"));
    cr_assert(doors_test_exists(&test.doors, name));
    storage_test_delete(&test, "t");
    storage_test_pass(&test, 70000);
    cr_assert(!doors_test_exists(&test.doors, "t-0"), "the directory is gone: it was empty");
    mem_free(name);
    storage_test_end(&test);
}

TEST(seal, an_index_comes_from_the_footer_and_not_from_the_segment)
{
    struct storage_test test;
    struct log *log = begin(&test);
    cr_assert_eq(storage_test_close(&test), 0);
    log = reopen(&test);
    struct segment *segment = log->body->segments[1];
    struct buffer *buffer;
    cr_assert_eq(segment->index.count, 0);
    int64_t offset = segment->claim.end_offset - BATCH;
    cr_assert_eq(storage_test_read(&test, log, offset, 1, &buffer), 0);
    buffer_unref(buffer);
    cr_assert_eq(segment->index.from, 0);
    cr_assert_gt(segment->index.count, 5);
    cr_assert_not_null(segment->extents);
    cr_assert_eq(proof_reach(&segment->proof, 0), 0, "the first extent was not read");
    cr_assert_eq(proof_reach(&segment->proof, segment->claim.size - 1), segment->claim.size);
    storage_test_end(&test);
}

TEST(seal, what_footers_take_in_memory_is_limited)
{
    struct storage_test test;
    storage_test_setup(&test);
    test.config.defaults.segment_bytes = SEGMENT;
    test.config.defaults.index_interval_bytes = 500;
    test.config.index_bytes_max = 5000;
    storage_test_open(&test);
    struct log *log = storage_test_topic(&test, "t", 1);
    storage_test_fill(&test, log, 10 * SEGMENT);
    storage_test_pass(&test, 3000);
    log = end_and_reopen(&test);
    for (int64_t offset = log->end_offset - 1; offset > 0; offset -= 37) {
        struct buffer *buffer;
        cr_assert_eq(storage_test_read(&test, log, offset, 1, &buffer), 0);
        buffer_unref(buffer);
        storage_test_turn(&test);
        cr_assert_leq(test.storage->residents.index_bytes, 5000);
    }
    storage_test_check(&test, log);
    storage_test_end(&test);
}

TEST(seal, a_footer_that_is_missing_or_garbled_or_another_ones_is_made_again)
{
    for (int what = 0; what < 4; what++) {
        struct storage_test test;
        struct log *log = begin(&test);
        char *other = name_of(log->body->segments[1], ".idx");
        size_t len, other_len;
        uint8_t *good, *bytes;
        cr_assert_eq(storage_test_close(&test), 0);
        good = doors_test_file(&test.doors, FIRST ".idx", &len);
        bytes = doors_test_file(&test.doors, other, &other_len);
        if (what == 0) {
            char *path = mem_printf("%s/" FIRST ".idx", test.doors.dir);
            cr_assert_eq(remove(path), 0);
            mem_free(path);
        } else if (what == 1) {
            flip(&test, FIRST ".idx", 200, 1);
        } else if (what == 2) {
            doors_test_truncate(&test.doors, FIRST ".idx", len / 2);
        } else {
            doors_test_overwrite(&test.doors, FIRST ".idx", 0, bytes, other_len);
            doors_test_truncate(&test.doors, FIRST ".idx", other_len);
        }
        mem_free(bytes);
        log = reopen(&test);
        storage_test_check(&test, log);
        storage_test_pass(&test, 1000);
        cr_assert_eq(storage_stats(test.storage).seals, 1);
        bytes = doors_test_file(&test.doors, FIRST ".idx", &other_len);
        cr_assert(bytes_equal(bytes_of(good, len), bytes_of(bytes, other_len)));
        mem_free(bytes);
        mem_free(good);
        mem_free(other);
        storage_test_end(&test);
    }
}

/* ---- damage -------------------------------------------------------------------------------- */

/* A byte of each of a batch's header fields and of its records: in a sealed segment, in the active
 * one, and in a sealed one that has lost its footer, too. */
TEST(seal, a_flipped_byte_costs_its_batch_and_is_said, .timeout = 60)
{
    static const uint8_t places[3][6] = { { 0, 11, 15, 20, 40, 66 }, { 6, 8, 11, 12, 16, 66 },
        { 7, 9, 14, 16, 30, 80 } };
    struct storage_test test;
    struct log *log = begin(&test);
    char *active = name_of(log->body->segments[2], ".log");
    int64_t active_offset = log->body->segments[2]->claim.base_offset + 3 * BATCH;
    cr_assert_eq(storage_test_close(&test), 0);
    for (int where = 0; where < 3; where++) {
        const char *name = where == 1 ? active : FIRST ".log";
        int64_t offset = where == 1 ? active_offset : 100;
        uint64_t begin_at = position_of(&test, name, offset);
        for (size_t i = 0; i < ARRAY_COUNT(places[where]); i++) {
            char text[100];
            uint64_t at = begin_at + places[where][i];
            uint8_t mask = (uint8_t)(1 + (at * 37) % 255);
            flip(&test, name, at, mask);
            if (where == 2)
                flip(&test, FIRST ".idx", 30, 1);
            log = reopen(&test);
            expect_damage(&test, log, offset, offset + BATCH);
            (void)snprintf(text, sizeof(text),
                "t-0: offsets %" PRId64 " to %" PRId64 " are damaged", offset, offset + BATCH - 1);
            cr_assert(doors_test_said(&test.doors, text), "%s", said_last(&test));
            cr_assert_eq(storage_test_close(&test), 0);
            flip(&test, name, at, mask);
            if (where == 2)
                flip(&test, FIRST ".idx", 30, 1);
        }
    }
    log = reopen(&test);
    storage_test_check(&test, log);
    mem_free(active);
    storage_test_end(&test);
}

/* Not under the batch's checksum: what tells is that offsets have no holes. */
TEST(seal, a_base_offset_that_is_a_little_larger_is_damage)
{
    struct storage_test test;
    struct log *log = begin(&test);
    struct segment *active = log->body->segments[2];
    char *name = name_of(active, ".log");
    int64_t offset = active->claim.base_offset + 3 * BATCH;
    cr_assert_eq(storage_test_close(&test), 0);
    uint8_t bytes[8];
    be_put64(bytes, (uint64_t)offset + 4);
    doors_test_overwrite(&test.doors, name, position_of(&test, name, offset), bytes, 8);
    log = reopen(&test);
    expect_damage(&test, log, offset, offset + BATCH);
    mem_free(name);
    storage_test_end(&test);
}

TEST(seal, damage_is_neither_cut_nor_sealed)
{
    struct storage_test test;
    storage_test_setup(&test);
    test.config.defaults.segment_bytes = SEGMENT;
    storage_test_open(&test);
    struct log *log = storage_test_topic(&test, "t", 1);
    storage_test_fill(&test, log, SEGMENT / 2);
    cr_assert_eq(storage_test_close(&test), 0);
    flip(&test, FIRST ".log", position_of(&test, FIRST ".log", 50) + 70, 4);
    log = reopen(&test);
    storage_test_fill(&test, log, SEGMENT);
    storage_test_pass(&test, 3000);
    cr_assert_eq(storage_stats(test.storage).seals, 0);
    cr_assert(!segment_is_rooted(log->body->segments[0]));
    cr_assert(doors_test_said(&test.doors, "t-0: offsets 50 to 59 are damaged"), "while it sealed");
    expect_damage(&test, log, 50, 60);
    log = end_and_reopen(&test);
    expect_damage(&test, log, 50, 60);
    storage_test_end(&test);
}

TEST(seal, two_damages_are_two)
{
    struct storage_test test;
    struct log *log = begin(&test);
    cr_assert_eq(storage_test_close(&test), 0);
    uint64_t first = position_of(&test, FIRST ".log", 100);
    uint64_t behind = position_of(&test, FIRST ".log", 110);
    uint64_t second = position_of(&test, FIRST ".log", 300);
    flip(&test, FIRST ".log", first + 8, 0x7f);
    flip(&test, FIRST ".log", second + 16, 0x55);
    log = reopen(&test);
    struct buffer *buffer;
    cr_assert_eq(storage_test_read(&test, log, 0, 1 << 20, &buffer), 0);
    cr_assert_eq(buffer->len, first);
    buffer_unref(buffer);
    for (int round = 0; round < 2; round++) {
        cr_assert_eq(storage_test_read(&test, log, 105, 1 << 20, &buffer), -EBADMSG);
        cr_assert_eq(storage_test_read(&test, log, 110, 1 << 20, &buffer), 0);
        cr_assert_eq(buffer->len, second - behind);
        buffer_unref(buffer);
        cr_assert_eq(storage_test_read(&test, log, 300, 1 << 20, &buffer), -EBADMSG);
        cr_assert_eq(storage_test_read(&test, log, 310, 1 << 20, &buffer), 0);
        buffer_unref(buffer);
    }
    storage_test_end(&test);
}

/* Of a batch whose header is gone only the length of the hole can be known; a client's record that
 * looks like a batch must not be taken for one. */
static void find_behind_fakes(int behind)
{
    struct storage_test test;
    storage_test_setup(&test);
    storage_test_open(&test);
    struct log *log = storage_test_topic(&test, "t", 1);
    cr_assert_eq(storage_test_append(&test, log, BATCH, -1), 0);
    struct out inner = storage_test_batch(&test, log, 15, 2), outer = { 0 };
    batch_set_base_offset(inner.data, 15);
    batch_set_leader_epoch(inner.data, 0);
    struct batch_builder builder = { 0 };
    struct batch_options options = batch_options_plain(CODEC_NONE);
    batch_builder_begin(&builder, &options);
    struct record_view record = { .value = bytes_of(inner.data, inner.len) };
    for (int i = 0; i < BATCH; i++)
        cr_assert_eq(batch_builder_append(&builder, &record), 0);
    cr_assert_eq(batch_builder_finish(&builder, NULL, &outer), 0);
    batch_builder_done(&builder);
    struct unit_test unit = { 0 };
    unit_init(&unit.unit, NULL);
    unit_append(&unit.unit, log, bytes_of(outer.data, outer.len));
    unit_test_commit(&test, &unit);
    storage_test_wait(&test, &unit.done);
    unit_test_end(&unit);
    out_done(&inner);
    out_done(&outer);
    for (int i = 0; i < behind; i++)
        cr_assert_eq(storage_test_append(&test, log, BATCH, -1), 0);
    cr_assert_eq(storage_test_close(&test), 0);
    flip(&test, FIRST ".log", position_of(&test, FIRST ".log", 10) + 9, 1);
    log = reopen(&test);
    expect_damage(&test, log, 10, 20);
    struct buffer *buffer;
    cr_assert_eq(storage_test_read(&test, log, 15, 1, &buffer), -EBADMSG);
    storage_test_end(&test);
}

TEST(seal, a_batch_inside_a_record_is_not_taken_for_one)
{
    find_behind_fakes(3);
    find_behind_fakes(0);
}

TEST(seal, a_file_that_lost_its_end_is_damaged_there)
{
    struct storage_test test;
    struct log *log = begin(&test);
    int64_t end = log->body->segments[0]->claim.end_offset;
    cr_assert_eq(storage_test_close(&test), 0);
    doors_test_truncate(
        &test.doors, FIRST ".log", position_of(&test, FIRST ".log", end - 2 * BATCH) + 5);
    log = reopen(&test);
    expect_damage(&test, log, end - 2 * BATCH, end);
    storage_test_end(&test);
}

/* ---- once ---------------------------------------------------------------------------------- */

TEST(seal, bytes_are_verified_once_and_not_on_the_loop)
{
    struct storage_test test;
    struct log *log = begin(&test);
    log = end_and_reopen(&test);
    storage_test_check(&test, log);
    uint64_t cold = storage_stats(test.storage).reads_cold;
    cr_assert_gt(cold, 0);
    uint64_t warm = storage_stats(test.storage).reads_warm;
    storage_test_check(&test, log);
    cr_assert_eq(storage_stats(test.storage).reads_cold, cold, "nothing is cold any more");
    cr_assert_gt(storage_stats(test.storage).reads_warm, warm);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(
            proof_reach(&log->body->segments[i]->proof, 0), log->body->segments[i]->claim.size);
    storage_test_end(&test);
}

TEST(seal, a_time_is_not_looked_up_in_what_nobody_verified)
{
    struct storage_test test;
    struct log *log = begin(&test);
    struct segment *segment = log->body->segments[2];
    char *active = name_of(segment, ".log");
    int64_t offset = segment->claim.base_offset + 5 * BATCH;
    struct log_find_time find;
    cr_assert_eq(storage_test_find(&test, log, -1, true, &find), 0);
    int64_t newest_ms = find.timestamp_ms, newest = find.offset;
    cr_assert_eq(storage_test_close(&test), 0);
    /* The largest timestamp of a batch in the middle grows. */
    uint64_t at = position_of(&test, active, offset) + BATCH_AT_MAX_TIMESTAMP;
    flip(&test, active, at + 1, 0x40);
    log = reopen(&test);
    struct buffer *buffer; /* the index is there */
    cr_assert_eq(storage_test_read(&test, log, log->end_offset - 1, 1, &buffer), 0);
    buffer_unref(buffer);
    int status = storage_test_find(&test, log, newest_ms, false, &find);
    cr_assert(status == -EBADMSG || find.offset == newest, "%d, %" PRId64, status, find.offset);
    flip(&test, active, at + 1, 0x40);
    mem_free(active);
    storage_test_end(&test);
}
