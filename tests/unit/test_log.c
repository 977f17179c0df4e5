/* A partition's log from the outside: append, modes, reads from ring, file and cold, rolls, times.
 */
#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "protocol/base/mem.h"
#include "protocol/record.h"
#include "storage/index.h"
#include "tests/test.h"
#include "tests/unit/storage_test.h"

/* Everything in its segments. */
static void write_back(struct storage_test *test)
{
    storage_test_pass(test, 1200);
}

TEST(log, appends_and_reads_back)
{
    struct storage_test test;
    storage_test_begin(&test);
    struct log *log = storage_test_topic(&test, "t", 1);
    for (int i = 1; i <= 20; i++)
        cr_assert_eq(storage_test_append(&test, log, i, -1), 0);
    cr_assert_eq(log->end_offset, 210);
    cr_assert_eq(log->high_watermark, 210);
    cr_assert_eq(log->last_stable_offset, 210);
    storage_test_check(&test, log);
    cr_assert_gt(storage_stats(test.storage).reads_ring, 0);
    cr_assert_eq(storage_stats(test.storage).reads_warm, 0);
    storage_test_end(&test);
}

TEST(log, reads_from_its_file_what_was_written_back)
{
    struct storage_test test;
    storage_test_begin(&test);
    struct log *log = storage_test_topic(&test, "t", 1);
    cr_assert(!doors_test_exists(&test.doors, "t-0"), "an idle partition has no directory");
    for (int i = 1; i <= 20; i++)
        cr_assert_eq(storage_test_append(&test, log, i, -1), 0);
    write_back(&test);
    storage_test_check(&test, log);
    struct storage_stats stats = storage_stats(test.storage);
    cr_assert_eq(stats.reads_ring, 0);
    cr_assert_gt(stats.reads_warm, 0);
    cr_assert_eq(stats.reads_cold, 0);

    size_t len;
    uint8_t *bytes = doors_test_file(&test.doors, "t-0/00000000000000000000.log", &len);
    cr_assert_eq(len, log->size_bytes, "the file ends where the data does");
    struct bytes run = bytes_of(bytes, len);
    struct batch_view batch;
    int64_t offset = 0;
    while (batch_next(&run, &batch) == BATCH_OK) {
        cr_assert_eq(batch.base_offset, offset);
        cr_assert_eq(batch.leader_epoch, 0);
        cr_assert_eq(batch_check(&batch), BATCH_OK);
        offset = batch_last_offset(&batch) + 1;
    }
    cr_assert_eq(offset, 210);
    cr_assert_eq(run.len, 0);
    mem_free(bytes);
    storage_test_end(&test);
}

/* A read that does not wait is the loop's: it must not walk over a whole segment. */
TEST(log, is_found_in_few_reads_whatever_index_interval_bytes_says)
{
    struct storage_test test;
    storage_test_setup(&test);
    test.config.defaults.segment_bytes = 8 << 20;
    storage_test_open(&test);
    struct log *log =
        storage_test_create(&test, "t", 1, "index.interval.bytes", "2147483647")->logs[0];
    storage_test_fill(&test, log, 1 << 20);
    write_back(&test);
    struct buffer *buffer;
    uint64_t reads = test.doors.calls[CALL_READ_NOWAIT],
             warm = storage_stats(test.storage).reads_warm;
    cr_assert_eq(storage_test_read(&test, log, log->end_offset - 10, 1, &buffer), 0);
    buffer_unref(buffer);
    cr_assert_eq(storage_stats(test.storage).reads_warm, warm + 1);
    cr_assert_leq(test.doors.calls[CALL_READ_NOWAIT] - reads, INDEX_STEP_MAX / 4096 + 4);
    storage_test_end(&test);
}

TEST(log, reads_cold_bytes_in_the_pool)
{
    struct storage_test test;
    storage_test_begin(&test);
    struct log *log = storage_test_topic(&test, "t", 1);
    storage_test_fill(&test, log, 200 * 1024);
    storage_test_reopen(&test);
    log = storage_test_log(&test, "t", 0);
    storage_test_check(&test, log);
    uint64_t cold = storage_stats(test.storage).reads_cold;
    cr_assert_geq(cold, 3, "each segment was opened by a read");
    cr_assert_leq(cold, 6, "and then read on the loop");
    test.doors.faults[CALL_READ_NOWAIT].status = -EAGAIN;
    storage_test_check(&test, log);
    cr_assert_gt(storage_stats(test.storage).reads_cold, cold + 10);
    storage_test_end(&test);
}

TEST(log, keeps_to_its_file_limit)
{
    struct storage_test test;
    storage_test_setup(&test);
    test.config.segment_files_max = 3;
    storage_test_open(&test);
    struct topic *topic = storage_test_create(&test, "t", 12, NULL, NULL);
    for (int round = 0; round < 3; round++) {
        for (int32_t i = 0; i < 12; i++)
            cr_assert_eq(storage_test_append(&test, topic->logs[i], 5, 1), 0);
        write_back(&test);
    }
    for (int32_t i = 0; i < 12; i++)
        storage_test_check(&test, topic->logs[i]);
    cr_assert_gt(storage_stats(test.storage).reads_cold, 0);
    storage_test_kill(&test);
    for (int32_t i = 0; i < 12; i++)
        storage_test_check(&test, storage_test_log(&test, "t", i));
    storage_test_end(&test);
}

TEST(log, many_files_are_synced_at_once)
{
    struct storage_test test;
    storage_test_begin(&test);
    struct topic *topic = storage_test_create(&test, "t", 40, NULL, NULL);
    for (int32_t i = 0; i < 40; i++)
        cr_assert_eq(storage_test_append(&test, topic->logs[i], 1, 1), 0);
    write_back(&test);
    uint64_t syncs = test.doors.calls[CALL_SYNC];
    storage_test_pass(&test, 31000);
    cr_assert_eq(storage_stats(test.storage).checkpoints, 1);
    cr_assert_eq(test.doors.calls[CALL_SYNC_ALL], 1);
    cr_assert_leq(test.doors.calls[CALL_SYNC] - syncs, 4);
    cr_assert_eq(storage_test_append(&test, topic->logs[0], 1, 1), 0);
    storage_test_pass(&test, 31000);
    cr_assert_eq(storage_stats(test.storage).checkpoints, 2);
    cr_assert_eq(test.doors.calls[CALL_SYNC_ALL], 1, "one file is synced alone");
    storage_test_crash(&test);
    storage_test_open(&test);
    storage_test_check(&test, storage_test_log(&test, "t", 0));
    storage_test_end(&test);
}

static size_t read_len(
    struct storage_test *test, struct log *log, int64_t offset, size_t max, bool at_least_one)
{
    struct log_read read = {
        .log = log,
        .offset = offset,
        .end_offset = log->high_watermark,
        .max_bytes = max,
        .at_least_one = at_least_one,
    };
    cr_assert_eq(log_read(test->storage, &read), 0);
    size_t len = read.buffer ? read.buffer->len : 0;
    buffer_unref(read.buffer);
    return len;
}

/* The same questions to the ring and to the file. */
static void check_limits(struct storage_test *test, struct log *log, size_t batch)
{
    cr_assert_eq(read_len(test, log, 0, 0, true), batch);
    cr_assert_eq(read_len(test, log, 0, 0, false), 0);
    cr_assert_eq(read_len(test, log, 0, 60, true), batch);
    cr_assert_eq(read_len(test, log, 0, batch - 1, false), 0);
    cr_assert_eq(read_len(test, log, 0, batch, false), batch);
    cr_assert_eq(read_len(test, log, 0, 2 * batch - 1, true), batch);
    cr_assert_eq(read_len(test, log, 0, 2 * batch, true), 2 * batch);
    cr_assert_eq(read_len(test, log, 7, 2 * batch, true), 2 * batch, "from the middle: whole");
    cr_assert_eq(read_len(test, log, 35, 1 << 20, true), batch);
    cr_assert_eq(read_len(test, log, 40, 1 << 20, true), 0);
    struct log_read read = { .log = log, .offset = 41, .end_offset = 50, .max_bytes = 100 };
    cr_assert_eq(log_read(test->storage, &read), -ERANGE);
    read.offset = -1;
    cr_assert_eq(log_read(test->storage, &read), -ERANGE);
    /* A limit in the middle of the log. */
    read = (struct log_read){ .log = log, .end_offset = 30, .max_bytes = 1 << 20 };
    cr_assert_eq(log_read(test->storage, &read), 0);
    cr_assert_eq(read.buffer->len, 3 * batch);
    buffer_unref(read.buffer);
}

TEST(log, gives_whole_batches_within_limits)
{
    struct storage_test test;
    storage_test_begin(&test);
    struct log *log = storage_test_topic(&test, "t", 1);
    for (int i = 0; i < 4; i++)
        cr_assert_eq(storage_test_append(&test, log, 10, -1), 0);
    size_t batch = (size_t)log->size_bytes / 4;
    /* Offsets of two digits make the later ones longer: make them alike. */
    cr_assert_neq(log->size_bytes % 4, 0);
    batch = read_len(&test, log, 10, 0, true);
    cr_assert_gt(batch, 1000);
    storage_test_delete(&test, "t");
    log = storage_test_topic(&test, "u", 1);
    for (int i = 0; i < 4; i++) {
        struct out bytes = storage_test_batch(&test, log, 50, 10);
        struct unit_test unit = { 0 };
        unit_init(&unit.unit, NULL);
        unit_append(&unit.unit, log, bytes_of(bytes.data, bytes.len));
        unit_test_commit(&test, &unit);
        out_done(&bytes);
        storage_test_wait(&test, &unit.done);
        unit_test_end(&unit);
    }
    check_limits(&test, log, (size_t)log->size_bytes / 4);
    write_back(&test);
    check_limits(&test, log, (size_t)log->size_bytes / 4);
    storage_test_end(&test);
}

TEST(log, acknowledges_what_its_mode_promises)
{
    static const struct {
        const char *mode;
        int16_t acks;
        bool durable_at_once, durable_soon;
    } rows[] = {
        { "acks", -1, true, true },
        { "acks", 1, false, true },
        { "acks", 0, false, true },
        { "fsync", 1, true, true },
        { "interval", -1, false, true },
        { "os", -1, false, false },
        { "os", 1, false, false },
    };
    struct storage_test test;
    storage_test_begin(&test);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "t%zu", i);
        struct topic *topic = storage_test_create(&test, name, 1, "durability", rows[i].mode);
        struct log *log = topic->logs[0];
        struct out batch = storage_test_batch(&test, log, 0, 10);
        struct unit_test unit = { 0 };
        unit_init(&unit.unit, NULL);
        unit.unit.acks = rows[i].acks;
        unit_append(&unit.unit, log, bytes_of(batch.data, batch.len));
        unit_test_commit(&test, &unit);
        cr_assert_eq(log->high_watermark, 0, "not visible before it is safe");
        storage_test_wait(&test, &unit.done);
        uint64_t lsn = unit.unit.end_lsn;
        cr_assert_eq(log->high_watermark, 10);
        cr_assert_eq(storage_is_durable(test.storage, lsn), rows[i].durable_at_once, "row %zu", i);
        storage_test_pass(&test, 100);
        cr_assert_eq(storage_is_durable(test.storage, lsn), rows[i].durable_soon, "row %zu", i);
        unit_test_end(&unit);
        out_done(&batch);
    }
    storage_test_end(&test);
}

TEST(log, rolls_by_size)
{
    struct storage_test test;
    storage_test_begin(&test);
    struct log *log = storage_test_topic(&test, "t", 1);
    storage_test_fill(&test, log, 300 * 1024);
    storage_test_pass(&test, 31000); /* a checkpoint */
    struct storage_stats stats = storage_stats(test.storage);
    cr_assert_geq(stats.rolls, 4);
    cr_assert_geq(stats.checkpoints, 1);
    int64_t base = 0;
    for (uint64_t seen = 0; seen < stats.rolls; seen++) {
        char name[64];
        size_t len;
        (void)snprintf(name, sizeof(name), "t-0/%020" PRId64 ".log", base);
        uint8_t *bytes = doors_test_file(&test.doors, name, &len);
        cr_assert_not_null(bytes, "%s", name);
        cr_assert_leq(len, test.config.defaults.segment_bytes);
        cr_assert_gt(len, test.config.defaults.segment_bytes * 9 / 10);
        struct bytes run = bytes_of(bytes, len);
        struct batch_view batch;
        while (batch_next(&run, &batch) == BATCH_OK)
            base = batch_last_offset(&batch) + 1;
        cr_assert_eq(run.len, 0);
        mem_free(bytes);
    }
    storage_test_check(&test, log);
    storage_test_end(&test);
}

static uint64_t blocks_of(struct storage_test *test, const char *name)
{
    char *path = mem_printf("%s/%s", test->doors.dir, name);
    struct stat stat_now;
    cr_assert_eq(stat(path, &stat_now), 0, "%s", path);
    mem_free(path);
    return (uint64_t)stat_now.st_blocks * 512;
}

TEST(log, reserves_ahead_and_gives_back_when_sealed)
{
    struct storage_test test;
    storage_test_begin(&test);
    struct log *log = storage_test_create(&test, "t", 1, "segment.ms", "1000")->logs[0];
    cr_assert_eq(storage_test_append(&test, log, 10, -1), 0);
    write_back(&test);
    cr_assert_geq(blocks_of(&test, "t-0/00000000000000000000.log"), 60 * 1024);
    test.timestamp += 2000;
    cr_assert_eq(storage_test_append(&test, log, 10, -1), 0);
    storage_test_pass(&test, 31000);
    cr_assert_geq(storage_stats(test.storage).checkpoints, 1);
    cr_assert_leq(blocks_of(&test, "t-0/00000000000000000000.log"), 8 * 1024);
    cr_assert_geq(blocks_of(&test, "t-0/00000000000000000010.log"), 60 * 1024);
    storage_test_end(&test);
}

TEST(log, rolls_by_time_of_its_records)
{
    struct storage_test test;
    storage_test_begin(&test);
    struct topic *topic = storage_test_create(&test, "t", 1, "segment.ms", "1000");
    struct log *log = topic->logs[0];
    cr_assert_eq(storage_test_append(&test, log, 10, -1), 0);
    test.timestamp += 980;
    cr_assert_eq(storage_test_append(&test, log, 10, -1), 0);
    cr_assert_eq(storage_stats(test.storage).rolls, 0);
    test.timestamp += 20;
    cr_assert_eq(storage_test_append(&test, log, 10, -1), 0);
    cr_assert_eq(storage_stats(test.storage).rolls, 1);
    storage_test_kill(&test); /* the replay rolls at the same place */
    cr_assert_eq(storage_test_log(&test, "t", 0)->end_offset, 30);
    cr_assert(doors_test_exists(&test.doors, "t-0/00000000000000000020.log"));
    storage_test_check(&test, storage_test_log(&test, "t", 0));
    storage_test_end(&test);
}

TEST(log, rolls_by_what_an_index_of_kafkas_would_have_grown_to)
{
    struct storage_test test;
    storage_test_setup(&test);
    test.config.defaults.index_interval_bytes = 1024;
    storage_test_open(&test);
    struct log *log = storage_test_create(&test, "t", 1, "segment.index.bytes", "80")->logs[0];
    storage_test_fill(&test, log, 60 * 1024);
    cr_assert_eq(storage_stats(test.storage).rolls, 4, "each has 11 KiB, and a batch");
    storage_test_kill(&test);
    storage_test_check(&test, storage_test_log(&test, "t", 0));
    storage_test_end(&test);
}

/* A batch whose last record lies `delta` behind its first, as compaction leaves them. */
static void append_wide(struct storage_test *test, struct log *log, int32_t delta)
{
    struct out batch = storage_test_batch(test, log, log->end_offset, 1);
    struct unit_test unit = { 0 };
    be_put32(batch.data + BATCH_AT_LAST_OFFSET_DELTA, (uint32_t)delta);
    batch_set_crc(batch.data);
    unit_init(&unit.unit, NULL);
    unit_append(&unit.unit, log, bytes_of(batch.data, batch.len));
    unit_test_commit(test, &unit);
    cr_assert_eq(unit.status, 0);
    storage_test_wait(test, &unit.done);
    unit_test_end(&unit);
    out_done(&batch);
}

TEST(log, rolls_before_a_relative_offset_exceeds_31_bits)
{
    struct storage_test test;
    storage_test_begin(&test);
    struct log *log = storage_test_topic(&test, "t", 1);
    append_wide(&test, log, INT32_MAX - 1);
    append_wide(&test, log, 0);
    cr_assert_eq(log->end_offset, INT64_C(1) << 31);
    cr_assert_eq(storage_stats(test.storage).rolls, 0, "2^31 - 1 is still fine");
    append_wide(&test, log, 0);
    cr_assert_eq(storage_stats(test.storage).rolls, 1);
    write_back(&test);
    cr_assert(doors_test_exists(&test.doors, "t-0/00000000002147483648.log"));
    storage_test_reopen(&test);
    log = storage_test_log(&test, "t", 0);
    static const int64_t offsets[][2] = { { 0, 0 }, { 5, 0 }, { INT32_MAX, INT32_MAX },
        { INT64_C(1) << 31, INT64_C(1) << 31 } };
    for (size_t i = 0; i < ARRAY_COUNT(offsets); i++) {
        struct buffer *buffer;
        struct batch_view batch;
        cr_assert_eq(storage_test_read(&test, log, offsets[i][0], 1, &buffer), 0);
        cr_assert_eq(batch_parse(bytes_of(buffer->data, buffer->len), &batch), BATCH_OK);
        cr_assert_eq(batch.base_offset, offsets[i][1]);
        buffer_unref(buffer);
    }
    storage_test_end(&test);
}

TEST(log, segments_of_one_age_do_not_all_roll_at_once)
{
    enum { LOGS = 8 };
    struct storage_test test;
    storage_test_setup(&test);
    test.config.defaults.segment_ms = 1000;
    test.config.defaults.segment_jitter_ms = 800;
    storage_test_open(&test);
    struct topic *topic = storage_test_create(&test, "t", LOGS, NULL, NULL);
    int64_t began = test.timestamp;
    for (int i = 0; i < LOGS; i++)
        cr_assert_eq(storage_test_append(&test, topic->logs[i], 1, -1), 0);
    uint64_t rolls[3];
    static const int64_t ages[] = { 150, 700, 1100 };
    for (size_t age = 0; age < ARRAY_COUNT(ages); age++) {
        for (int i = 0; i < LOGS; i++) {
            test.timestamp = began + ages[age] + i;
            cr_assert_eq(storage_test_append(&test, topic->logs[i], 1, -1), 0);
        }
        rolls[age] = storage_stats(test.storage).rolls;
    }
    cr_assert_eq(rolls[0], 0, "not before segment.ms - segment.jitter.ms");
    cr_assert(rolls[1] > 0 && rolls[1] < LOGS, "some: %d", (int)rolls[1]);
    cr_assert_geq(rolls[2], LOGS, "all");
    storage_test_end(&test);
}

/* ---- times --------------------------------------------------------------------------------- */

/* The end of the last batch that ends at or below `end`. */
static int64_t batch_end(struct storage_test *test, struct log *log, int64_t end)
{
    for (int64_t offset = end - 1; offset >= 0; offset--) {
        struct buffer *buffer;
        struct batch_view batch;
        cr_assert_eq(storage_test_read(test, log, offset, 0, &buffer), 0);
        cr_assert_eq(batch_parse(bytes_of(buffer->data, buffer->len), &batch), BATCH_OK);
        buffer_unref(buffer);
        if (batch_last_offset(&batch) < end)
            return batch_last_offset(&batch) + 1;
    }
    return 0;
}

static void check_times(struct storage_test *test, struct log *log, int64_t first, int64_t count)
{
    struct log_find_time find;
    for (int64_t i = 0; i < count; i += 1 + count / 150) {
        cr_assert_eq(storage_test_find(test, log, first + i, false, &find), 0);
        cr_assert_eq(find.offset, i, "time %ld: offset %ld", (long)(first + i), (long)find.offset);
        cr_assert_eq(find.timestamp_ms, first + i);
        cr_assert_eq(find.leader_epoch, 0);
    }
    cr_assert_eq(storage_test_find(test, log, first - 500, false, &find), 0);
    cr_assert_eq(find.offset, 0);
    cr_assert_eq(storage_test_find(test, log, first + count, false, &find), 0);
    cr_assert_eq(find.offset, -1);
    cr_assert_eq(find.timestamp_ms, -1);
    /* The greatest below any offset, not only of the whole log. */
    for (int64_t end = count; end > 0; end -= 1 + count / 50) {
        cr_assert_eq(storage_test_find_below(test, log, 0, true, end, &find), 0);
        int64_t whole = batch_end(test, log, end);
        cr_assert_eq(find.offset, whole - 1, "below %ld: %ld", (long)end, (long)find.offset);
        cr_assert_eq(find.timestamp_ms, whole > 0 ? first + whole - 1 : -1);
        cr_assert_eq(storage_test_find_below(test, log, first + end, false, end, &find), 0);
        cr_assert_eq(find.offset, -1);
    }
}

TEST(log, finds_times_in_ring_file_and_cold)
{
    struct storage_test test;
    storage_test_begin(&test);
    struct log *log = storage_test_topic(&test, "t", 1);
    int64_t first = test.timestamp;
    for (int i = 0; i < 30; i++)
        cr_assert_eq(storage_test_append(&test, log, 1 + i % 7, 1), 0);
    check_times(&test, log, first, log->end_offset);
    storage_test_fill(&test, log, 150 * 1024);
    check_times(&test, log, first, log->end_offset); /* partly in the ring */
    write_back(&test);
    check_times(&test, log, first, log->end_offset);
    storage_test_reopen(&test);
    log = storage_test_log(&test, "t", 0);
    check_times(&test, log, first, log->end_offset);
    storage_test_end(&test);
}

TEST(log, finds_times_that_do_not_ascend)
{
    struct storage_test test;
    storage_test_begin(&test);
    struct log *log = storage_test_topic(&test, "t", 1);
    static const int64_t times[] = { 500, 100, 900, 300, 900, 200 };
    struct log_find_time find;
    cr_assert_eq(storage_test_find(&test, log, 0, true, &find), 0);
    cr_assert_eq(find.offset, -1, "an empty log has no greatest timestamp");
    for (size_t i = 0; i < ARRAY_COUNT(times); i++) {
        test.timestamp = times[i];
        cr_assert_eq(storage_test_append(&test, log, 1, -1), 0);
    }
    for (int pass = 0; pass < 2; pass++) {
        cr_assert_eq(storage_test_find(&test, log, 400, false, &find), 0);
        cr_assert_eq(find.offset, 0);
        cr_assert_eq(storage_test_find(&test, log, 501, false, &find), 0);
        cr_assert_eq(find.offset, 2);
        cr_assert_eq(storage_test_find(&test, log, 0, true, &find), 0);
        cr_assert_eq(find.offset, 2);
        cr_assert_eq(find.timestamp_ms, 900);
        write_back(&test);
    }
    storage_test_end(&test);
}

TEST(log, cancels_reads_and_finds)
{
    struct storage_test test;
    storage_test_begin(&test);
    struct log *log = storage_test_topic(&test, "t", 1);
    storage_test_fill(&test, log, 100 * 1024);
    storage_test_reopen(&test);
    log = storage_test_log(&test, "t", 0);
    struct log_read *read = mem_zalloc(1, sizeof(*read));
    *read =
        (struct log_read){ .log = log, .end_offset = 100, .max_bytes = 1000, .at_least_one = 1 };
    cr_assert_eq(log_read(test.storage, read), -EINPROGRESS);
    log_read_cancel(read);
    mem_free(read);
    struct log_find_time *find = mem_zalloc(1, sizeof(*find));
    *find = (struct log_find_time){ .log = log, .target_ms = 1, .end_offset = log->end_offset };
    cr_assert_eq(log_find_time(test.storage, find), -EINPROGRESS);
    log_find_cancel(find);
    mem_free(find);
    storage_test_settle(&test);
    storage_test_end(&test);
}

/* ---- damage -------------------------------------------------------------------------------- */

TEST(log, serves_nothing_that_is_damaged_and_all_that_is_not)
{
    struct storage_test test;
    storage_test_begin(&test);
    struct log *log = storage_test_topic(&test, "t", 1);
    storage_test_fill(&test, log, 200 * 1024);
    storage_test_reopen(&test);
    log = storage_test_log(&test, "t", 0);
    int64_t end = log->end_offset, second_segment = 1;
    char segment[64] = "";
    while (!segment[0] || !doors_test_exists(&test.doors, segment))
        (void)snprintf(segment, sizeof(segment), "t-0/%020" PRId64 ".log", ++second_segment);
    cr_assert_eq(storage_test_close(&test), 0);
    /* The magic of the second batch of the first segment. */
    size_t len;
    uint8_t *bytes = doors_test_file(&test.doors, "t-0/00000000000000000000.log", &len);
    uint64_t second = be_get32(bytes + 8) + 12;
    mem_free(bytes);
    doors_test_overwrite(&test.doors, "t-0/00000000000000000000.log", second + 16, "\x07", 1);
    /* A length that goes beyond everything, in the first batch of the second segment. */
    char name[64];
    (void)snprintf(name, sizeof(name), "t-0/%020" PRId64 ".log", second_segment);
    doors_test_overwrite(&test.doors, name, 8, "\x7f\xff\xff\x00", 4);
    storage_test_open(&test);
    log = storage_test_log(&test, "t", 0);
    struct buffer *buffer;
    cr_assert_eq(storage_test_read(&test, log, second_segment, 1000, &buffer), -EBADMSG);
    cr_assert_eq(storage_test_read(&test, log, second_segment + 10, 1000, &buffer), 0);
    buffer_unref(buffer);
    cr_assert_eq(storage_test_read(&test, log, 3, 1 << 20, &buffer), 0);
    cr_assert_eq(buffer->len, second, "what lies before the damage, and not a byte more");
    buffer_unref(buffer);
    cr_assert_eq(storage_test_read(&test, log, 10, 1 << 20, &buffer), -EBADMSG);
    cr_assert_eq(storage_test_read(&test, log, 10, 1 << 20, &buffer), -EBADMSG);
    cr_assert(doors_test_said(&test.doors, "t-0: offsets 10 to 19 are damaged"));
    cr_assert_eq(storage_test_read(&test, log, 20, 1000, &buffer), 0);
    buffer_unref(buffer);
    cr_assert_eq(storage_test_read(&test, log, end - 1, 1 << 20, &buffer), 0);
    cr_assert_not_null(buffer);
    buffer_unref(buffer);
    cr_assert_eq(storage_test_append(&test, log, 5, -1), 0, "it goes on");
    storage_test_end(&test);
}

TEST(log, cuts_what_is_behind_its_claim_and_says_what_is_missing)
{
    struct storage_test test;
    storage_test_begin(&test);
    struct log *log = storage_test_topic(&test, "t", 2);
    cr_assert_eq(storage_test_append(&test, log, 10, -1), 0);
    cr_assert_eq(storage_test_append(&test, log, 10, -1), 0);
    struct log *other = storage_test_log(&test, "t", 1);
    cr_assert_eq(storage_test_append(&test, other, 10, -1), 0);
    uint64_t size = log->size_bytes;
    cr_assert_eq(storage_test_close(&test), 0);
    char garbage[5000];
    memset(garbage, 'g', sizeof(garbage));
    doors_test_overwrite(
        &test.doors, "t-0/00000000000000000000.log", size, garbage, sizeof(garbage));
    doors_test_truncate(&test.doors, "t-1/00000000000000000000.log", 100);
    storage_test_open(&test);
    log = storage_test_log(&test, "t", 0);
    other = storage_test_log(&test, "t", 1);
    storage_test_check(&test, log);
    cr_assert_eq(storage_test_append(&test, log, 1, -1), 0);
    cr_assert_eq(storage_test_append(&test, other, 1, -1), 0);
    write_back(&test);
    storage_test_check(&test, log);
    size_t len;
    uint8_t *bytes = doors_test_file(&test.doors, "t-0/00000000000000000000.log", &len);
    cr_assert_eq(len, log->size_bytes);
    mem_free(bytes);
    cr_assert(doors_test_said(&test.doors, "t-1: the file that begins at offset 0 is shorter"));
    struct buffer *buffer;
    cr_assert_eq(storage_test_read(&test, other, 0, 1 << 20, &buffer), -EBADMSG);
    storage_test_end(&test);
}

/* A truncate of each file was most of the time of a start with a thousand of them. */
TEST(log, a_start_after_a_kill_cuts_no_file_but_those_that_are_too_long)
{
    static const char first[] = "t-0/00000000000000000000.log";
    static const char second[] = "u-0/00000000000000000000.log";
    struct storage_test test;
    storage_test_begin(&test);
    struct topic *topic = storage_test_create(&test, "t", 3, NULL, NULL);
    storage_test_pass(&test, 31000); /* a checkpoint: the files are known to it */
    for (int32_t i = 0; i < 3; i++)
        cr_assert_eq(storage_test_append(&test, topic->logs[i], 10, -1), 0);
    write_back(&test);
    storage_test_pass(&test, 31000);
    for (int32_t i = 0; i < 3; i++)
        cr_assert_eq(storage_test_append(&test, topic->logs[i], 10, -1), 0);
    struct log *fresh = storage_test_topic(&test, "u", 1); /* of which no checkpoint knows */
    cr_assert_eq(storage_test_append(&test, fresh, 10, -1), 0);
    write_back(&test);
    uint64_t fresh_size = fresh->size_bytes;
    uint64_t size = topic->logs[0]->size_bytes, cuts = test.doors.calls[CALL_TRUNCATE];
    storage_test_kill(&test); /* the files hold more than the checkpoint says */
    cr_assert_geq(storage_stats(test.storage).replayed_records, 3);
    cr_assert_eq(test.doors.calls[CALL_TRUNCATE], cuts, "all of it was written over");
    storage_test_crash(&test);
    char garbage[5000];
    memset(garbage, 'g', sizeof(garbage));
    doors_test_overwrite(&test.doors, first, size, garbage, sizeof(garbage));
    doors_test_overwrite(&test.doors, second, fresh_size, garbage, sizeof(garbage));
    storage_test_open(&test);
    cr_assert_eq(test.doors.calls[CALL_TRUNCATE], cuts + 2);
    size_t len;
    uint8_t *bytes = doors_test_file(&test.doors, first, &len);
    cr_assert_eq(len, size);
    mem_free(bytes);
    bytes = doors_test_file(&test.doors, second, &len);
    cr_assert_eq(len, fresh_size);
    mem_free(bytes);
    storage_test_check(&test, storage_test_log(&test, "u", 0));
    for (int32_t i = 0; i < 3; i++)
        storage_test_check(&test, storage_test_log(&test, "t", i));
    cr_assert_eq(storage_test_append(&test, storage_test_log(&test, "t", 0), 1, -1), 0);
    write_back(&test);
    storage_test_check(&test, storage_test_log(&test, "t", 0));
    storage_test_end(&test);
}

/* ---- memory -------------------------------------------------------------------------------- */

TEST(log, is_cheap_when_idle)
{
    enum { LOGS = 300 };
    struct storage_test test;
    storage_test_begin(&test);
    storage_test_settle(&test);
    size_t before = mallinfo2().uordblks;
    struct topic *topic = storage_test_create(&test, "t", LOGS, NULL, NULL);
    for (int32_t i = 0; i < LOGS; i++)
        cr_assert_eq(storage_test_append(&test, topic->logs[i], 1, 1), 0);
    write_back(&test);
    size_t each = (mallinfo2().uordblks - before) / LOGS;
    cr_assert_leq(each, 1536, "%zu bytes per idle log", each);
    storage_test_crash(&test); /* closing would sync all of them */
    storage_test_end(&test);
}
