/* Transactions in a log: the last stable offset, markers, the list of the aborted; after any end.
 *
 * The words of the tests: data(pid, n) appends a transactional batch of n records, plain(n) one of
 * no producer, commit(pid) and abort_it(pid) a marker. */
#include <stdio.h>
#include <string.h>

#include "protocol/base/mem.h"
#include "protocol/crc32c.h"
#include "protocol/record.h"
#include "storage/slot.h"
#include "tests/test.h"
#include "tests/unit/storage_test.h"

struct world {
    struct storage_test test;
    struct log *log;
    int32_t sequence[10]; /* by producer id */
    int16_t epoch[10];
};

static void begin(struct world *world)
{
    memset(world, 0, sizeof(*world));
    storage_test_begin(&world->test);
    world->log = storage_test_topic(&world->test, "t", 2);
}

static void end(struct world *world)
{
    storage_test_end(&world->test);
}

static void unit_finished(struct unit *unit)
{
    container_of(unit, struct unit_test, unit)->done = true;
}

static void unit_begin(struct unit_test *unit)
{
    *unit = (struct unit_test){ 0 };
    unit_init(&unit->unit, unit_finished);
}

/* Committed, not waited for. */
static void submit(struct world *world, struct unit_test *unit, struct bytes batch)
{
    unit_begin(unit);
    unit_append(&unit->unit, world->log, batch);
    unit_test_commit(&world->test, unit);
    cr_assert_eq(unit->status, 0);
}

static void append(struct world *world, struct out *batch)
{
    struct unit_test unit;
    submit(world, &unit, bytes_of(batch->data, batch->len));
    storage_test_wait(&world->test, &unit.done);
    unit_test_end(&unit);
    out_done(batch);
}

static struct batch_options options_of(const struct world *world, int pid)
{
    struct batch_options options = batch_options_plain(CODEC_NONE);
    options.producer_id = pid;
    options.producer_epoch = world->epoch[pid];
    return options;
}

static struct out data_batch(struct world *world, int pid, int count, bool transactional)
{
    struct batch_builder builder = { 0 };
    struct batch_options options = options_of(world, pid);
    struct record_view record = { .timestamp = world->test.timestamp++,
        .value = bytes_text("value") };
    struct out batch = { 0 };
    options.base_sequence = world->sequence[pid];
    options.attributes = transactional ? BATCH_ATTRIBUTE_TRANSACTIONAL : 0;
    batch_builder_begin(&builder, &options);
    for (int i = 0; i < count; i++)
        cr_assert_eq(batch_builder_append(&builder, &record), 0);
    cr_assert_eq(batch_builder_finish(&builder, NULL, &batch), 0);
    batch_builder_done(&builder);
    return batch;
}

static void data(struct world *world, int pid, int count)
{
    struct out batch = data_batch(world, pid, count, true);
    world->sequence[pid] += count;
    append(world, &batch);
}

static void plain(struct world *world, int count)
{
    cr_assert_eq(storage_test_append(&world->test, world->log, count, -1), 0);
}

static struct out marker_batch(struct world *world, int pid, bool commit)
{
    struct out marker = { 0 };
    struct batch_options options = options_of(world, pid);
    control_build(&marker, &options, commit, 7, world->test.timestamp++);
    return marker;
}

static void mark(struct world *world, int pid, bool commit)
{
    struct out marker = marker_batch(world, pid, commit);
    append(world, &marker);
}

static void commit(struct world *world, int pid)
{
    mark(world, pid, true);
}

static void abort_it(struct world *world, int pid)
{
    mark(world, pid, false);
}

static void expect(const struct world *world, int64_t stable, int64_t high, const char *when)
{
    cr_assert_eq(world->log->last_stable_offset, stable, "%s: LSO %lld, not %lld", when,
        (long long)world->log->last_stable_offset, (long long)stable);
    cr_assert_eq(world->log->high_watermark, high, "%s: HW %lld, not %lld", when,
        (long long)world->log->high_watermark, (long long)high);
}

struct told {
    char text[400];
};

static bool tell(void *context, const struct aborted_transaction *aborted)
{
    struct told *told = context;
    size_t len = strlen(told->text);
    (void)snprintf(told->text + len, sizeof(told->text) - len, "%s%lld:%lld-%lld", len ? " " : "",
        (long long)aborted->producer_id, (long long)aborted->first_offset,
        (long long)aborted->last_offset);
    return true;
}

/* "producer:first-marker ..." */
static void expect_aborted(const struct world *world, int64_t from, int64_t below, const char *text)
{
    struct told told = { "" };
    log_each_aborted(world->log, from, below, tell, &told);
    cr_assert_str_eq(told.text, text);
}

static void after_all_ends(
    struct world *world, void (*check)(struct world *world, const char *when))
{
    check(world, "at first");
    storage_test_kill(&world->test);
    world->log = storage_test_log(&world->test, "t", 0);
    check(world, "after a kill: from the write-ahead log");
    storage_test_reopen(&world->test);
    world->log = storage_test_log(&world->test, "t", 0);
    check(world, "after a clean stop: from the checkpoint");
    storage_test_kill(&world->test);
    world->log = storage_test_log(&world->test, "t", 0);
    check(world, "after a kill behind the checkpoint");
}

TEST(transactions, hold_the_last_stable_offset_until_their_marker_is_visible)
{
    struct world world;
    begin(&world);
    plain(&world, 2);
    expect(&world, 2, 2, "nothing open");
    data(&world, 1, 3);
    expect(&world, 2, 5, "1 is open");
    data(&world, 2, 1);
    plain(&world, 1);
    data(&world, 1, 3);
    expect(&world, 2, 10, "1 and 2 are open");
    struct unit_test before, unit;
    struct out batch = data_batch(&world, 1, 1, true), marker = marker_batch(&world, 1, true);
    submit(&world, &before, bytes_of(batch.data, batch.len));
    storage_turn(world.test.storage); /* its write is on the way; the marker's is the next */
    cr_assert(!before.done);
    submit(&world, &unit, bytes_of(marker.data, marker.len));
    storage_test_wait(&world.test, &before.done);
    cr_assert(!unit.done);
    expect(&world, 2, 11, "its marker is there but not visible");
    storage_test_wait(&world.test, &unit.done);
    expect(&world, 5, 12, "2 is open");
    unit_test_end(&before);
    unit_test_end(&unit);
    out_done(&batch);
    out_done(&marker);
    abort_it(&world, 2);
    expect(&world, 13, 13, "none is open");
    end(&world);
}

static void check_open(struct world *world, const char *when)
{
    struct producer_state one, two;
    expect(world, 4, 12, when);
    expect_aborted(world, 0, 100, "3:1-9");
    cr_assert(log_producer(world->log, 1, &one) && log_producer(world->log, 2, &two), "%s", when);
    cr_assert_eq(one.first_offset, 4);
    cr_assert_eq(two.first_offset, -1);
    cr_assert_eq(two.coordinator_epoch, 7);
    cr_assert_eq(one.coordinator_epoch, -1);
    cr_assert_eq(one.last_sequence, 4);
    cr_assert_gt(one.last_ms, 0);
    cr_assert(!log_producer(world->log, 5, &one));
}

TEST(transactions, are_the_same_after_any_end)
{
    struct world world;
    begin(&world);
    plain(&world, 1);
    data(&world, 3, 2);  /* 1 */
    data(&world, 2, 1);  /* 3 */
    data(&world, 1, 3);  /* 4 */
    data(&world, 3, 1);  /* 7 */
    commit(&world, 2);   /* 8 */
    abort_it(&world, 3); /* 9 */
    data(&world, 1, 2);  /* 10 */
    after_all_ends(&world, check_open);
    abort_it(&world, 1);
    expect(&world, 13, 13, "it ends in another life");
    expect_aborted(&world, 0, 100, "3:1-9 1:4-12");
    end(&world);
}

TEST(transactions, tell_those_aborted_that_a_range_touches)
{
    struct world world;
    begin(&world);
    data(&world, 1, 5);  /* 0 */
    abort_it(&world, 1); /* 5 */
    data(&world, 2, 4);  /* 6 */
    data(&world, 1, 2);  /* 10 */
    abort_it(&world, 1); /* 12 */
    commit(&world, 2);   /* 13 */
    data(&world, 3, 1);  /* 14 */
    abort_it(&world, 3); /* 15 */
    commit(&world, 4);   /* 16: of nothing */
    abort_it(&world, 5); /* 17: of nothing */
    expect_aborted(&world, 0, 18, "1:0-5 1:10-12 3:14-15");
    expect_aborted(&world, 5, 18, "1:0-5 1:10-12 3:14-15");
    expect_aborted(&world, 6, 18, "1:10-12 3:14-15");
    expect_aborted(&world, 11, 12, "1:10-12");
    expect_aborted(&world, 0, 10, "1:0-5");
    expect_aborted(&world, 13, 14, "");
    expect_aborted(&world, 16, 18, "");
    cr_assert(log_is_aborted(world.log, 1, 0) && log_is_aborted(world.log, 1, 11));
    cr_assert(!log_is_aborted(world.log, 2, 6) && !log_is_aborted(world.log, 1, 6));
    end(&world);
}

TEST(transactions, that_began_early_are_told_behind_later_ones)
{
    struct world world;
    begin(&world);
    data(&world, 1, 5);  /* 0 */
    data(&world, 2, 1);  /* 5 */
    abort_it(&world, 2); /* 6 */
    abort_it(&world, 1); /* 7 */
    data(&world, 3, 1);  /* 8 */
    abort_it(&world, 3); /* 9 */
    expect_aborted(&world, 0, 3, "1:0-7");
    expect_aborted(&world, 0, 6, "2:5-6 1:0-7");
    end(&world);
}

static void delete_below(struct world *world, int64_t offset)
{
    struct unit_test unit;
    unit_begin(&unit);
    cr_assert_eq(unit_raise_start(&unit.unit, world->log, offset), 0);
    unit_test_commit(&world->test, &unit);
    storage_test_wait(&world->test, &unit.done);
    unit_test_end(&unit);
}

TEST(transactions, go_with_the_records_that_they_were_of)
{
    struct world world;
    begin(&world);
    data(&world, 1, 5);  /* 0 */
    abort_it(&world, 1); /* 5 */
    data(&world, 1, 2);  /* 6 */
    abort_it(&world, 1); /* 8 */
    data(&world, 2, 4);  /* 9 */
    delete_below(&world, 5);
    expect_aborted(&world, 0, 100, "1:0-5 1:6-8");
    delete_below(&world, 6);
    expect_aborted(&world, 0, 100, "1:6-8");
    expect(&world, 9, 13, "2 is open");
    delete_below(&world, 11);
    expect_aborted(&world, 0, 100, "");
    expect(&world, 11, 13, "into the open one");
    storage_test_kill(&world.test);
    world.log = storage_test_log(&world.test, "t", 0);
    expect(&world, 11, 13, "after a kill");
    commit(&world, 2);
    expect(&world, 14, 14, "and it ends");
    end(&world);
}

static enum producer_verdict verdict(struct world *world, int pid, int count, bool transactional)
{
    int64_t base, append_ms;
    uint64_t lsn;
    struct out batch = data_batch(world, pid, count, transactional);
    enum producer_verdict answer =
        log_check_producer(world->log, bytes_of(batch.data, batch.len), &base, &append_ms, &lsn);
    out_done(&batch);
    return answer;
}

TEST(transactions, of_a_producer_are_fenced_by_the_epoch_of_its_marker)
{
    struct world world;
    begin(&world);
    data(&world, 1, 5);
    cr_assert_eq(verdict(&world, 1, 1, true), PRODUCER_OK);
    cr_assert_eq(verdict(&world, 1, 1, false), PRODUCER_IN_TRANSACTION);
    world.epoch[1] = 1; /* KIP-890: each end raises it */
    abort_it(&world, 1);
    cr_assert_eq(verdict(&world, 1, 1, true), PRODUCER_OUT_OF_ORDER, "a new epoch begins at 0");
    world.sequence[1] = 0;
    cr_assert_eq(verdict(&world, 1, 1, true), PRODUCER_OK);
    cr_assert_eq(verdict(&world, 1, 1, false), PRODUCER_OK);
    world.epoch[1] = 0;
    cr_assert_eq(verdict(&world, 1, 1, true), PRODUCER_FENCED_EPOCH, "a zombie");
    /* A marker of the same epoch (before KIP-890) keeps the sequence. */
    data(&world, 2, 5);
    commit(&world, 2);
    cr_assert_eq(verdict(&world, 2, 1, true), PRODUCER_OK);
    world.sequence[2] = 0;
    cr_assert_eq(verdict(&world, 2, 5, true), PRODUCER_DUPLICATE);
    end(&world);
}

TEST(transactions, have_a_limit_and_their_producers_are_not_forgotten)
{
    struct world world;
    memset(&world, 0, sizeof(world));
    storage_test_setup(&world.test);
    world.test.config.transactions_max = 3;
    world.test.config.producers_max = 2;
    world.test.config.producer_expire_ms = 1000;
    world.test.config.producer_check_ms = 500;
    storage_test_open(&world.test);
    world.log = storage_test_create(&world.test, "t", 2, "retention.ms", "-1")->logs[0];
    data(&world, 1, 1); /* 0 */
    data(&world, 2, 1); /* 1 */
    abort_it(&world, 2);
    data(&world, 3, 1); /* 3 */
    cr_assert_eq(verdict(&world, 4, 1, true), PRODUCER_NO_ROOM);
    cr_assert_eq(verdict(&world, 4, 1, false), PRODUCER_OK);
    cr_assert_eq(verdict(&world, 3, 1, true), PRODUCER_OK, "it has its place");
    storage_test_pass(&world.test, 3000);
    struct producer_state state;
    cr_assert(log_producer(world.log, 1, &state) && log_producer(world.log, 3, &state));
    cr_assert(!log_producer(world.log, 2, &state), "expired");
    expect(&world, 0, 4, "both are open");
    commit(&world, 1);
    cr_assert_eq(verdict(&world, 4, 1, true), PRODUCER_OK, "room again");
    storage_test_pass(&world.test, 3000);
    cr_assert(!log_producer(world.log, 1, &state), "forgotten when it may be");
    delete_below(&world, 3);
    expect(&world, 3, 5, "3 is open");
    end(&world);
}

/* Takes out what the store keeps since format 4: the lsn of each entry, and deletions. */
static size_t make_old_store(uint8_t *bytes, size_t len)
{
    enum {
        COUNT_AT = SLOT_HEAD_SIZE + 4,
        LSN_AT = 2,
        LSN_SIZE = 8,
        HEAD = 2 + 4 + 4,
        DELETION = 10
    };
    uint8_t *at = bytes + COUNT_AT + 8;
    for (uint64_t count = le_get64(bytes + COUNT_AT); count; count--) {
        len -= LSN_SIZE;
        memmove(at + LSN_AT, at + LSN_AT + LSN_SIZE, len - (size_t)(at + LSN_AT - bytes));
        at += HEAD + le_get32(at + 2) + le_get32(at + 6);
    }
    size_t deletions = 2 + (size_t)le_get16(at) * DELETION;
    len -= deletions;
    memmove(at, at + deletions, len - (size_t)(at - bytes));
    return len;
}

/* Turns meta.* into what millrace of format 1 wrote of one log with one producer of one batch. */
static void make_old(struct world *world, const char *name)
{
    enum {
        PRODUCER = 8 + 8 + 2 + 8 + 4 + 1 + 24,
        NEW_AT = 8 + 8 + 2,
        NEW_SIZE = 12,
        LISTS = 8,
        CLAIM_NEW = 12
    };
    size_t len;
    uint8_t *bytes = doors_test_file(&world->test.doors, name, &len);
    uint8_t *producer = bytes + len - LISTS - PRODUCER;
    cr_assert_eq(le_get32(producer - 4), 1, "%s: one producer", name);
    memmove(producer + NEW_AT, producer + NEW_AT + NEW_SIZE, PRODUCER - NEW_AT - NEW_SIZE);
    len -= LISTS + NEW_SIZE;
    /* The one segment's claim lies before; since format 3 it has a root and flags. */
    memmove(producer - 4 - CLAIM_NEW, producer - 4, 4 + PRODUCER - NEW_SIZE);
    len = make_old_store(bytes, len - CLAIM_NEW);
    le_put32(bytes + 8, 1);
    le_put64(bytes + 32, len - SLOT_HEAD_SIZE);
    le_put32(bytes + 40, crc32c(0, bytes + SLOT_HEAD_SIZE, len - SLOT_HEAD_SIZE));
    le_put32(bytes + 44, crc32c(0, bytes, 44));
    doors_test_overwrite(&world->test.doors, name, 0, bytes, len);
    doors_test_truncate(&world->test.doors, name, len);
    mem_free(bytes);
}

TEST(transactions, come_to_a_directory_of_format_1)
{
    struct world world;
    begin(&world);
    struct out batch = data_batch(&world, 1, 3, false);
    append(&world, &batch);
    cr_assert_eq(storage_test_close(&world.test), 0);
    storage_test_open(&world.test);
    cr_assert_eq(storage_test_close(&world.test), 0);
    make_old(&world, "meta.a");
    make_old(&world, "meta.b");
    doors_test_overwrite(&world.test.doors, "millrace.format", 0, "1\n", 2);
    storage_test_open(&world.test);
    world.log = storage_test_log(&world.test, "t", 0);
    expect(&world, 3, 3, "all of it is there");
    cr_assert_eq(verdict(&world, 1, 3, false), PRODUCER_DUPLICATE);
    size_t len;
    uint8_t *text = doors_test_file(&world.test.doors, "millrace.format", &len);
    cr_assert(len == 2 && memcmp(text, "5\n", 2) == 0, "older programs refuse it now");
    mem_free(text);
    world.sequence[1] = 3;
    data(&world, 1, 1);
    storage_test_kill(&world.test);
    world.log = storage_test_log(&world.test, "t", 0);
    expect(&world, 3, 4, "one is open");
    end(&world);
}
