/* Storage when the disk is full, fails, or lies; and what time takes away: retention. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "protocol/base/mem.h"
#include "protocol/batch.h"
#include "tests/test.h"
#include "tests/unit/storage_test.h"

static void put(struct storage_test *test, int expected)
{
    struct unit_test unit = { 0 };
    unit_init(&unit.unit, NULL);
    unit_put(&unit.unit, STORE_GROUP, bytes_text("g"), bytes_text("v"));
    unit_test_commit(test, &unit);
    cr_assert_eq(unit.status, expected);
    if (unit.status == 0)
        storage_test_wait(test, &unit.done);
    unit_test_end(&unit);
}

/* ---- a full disk --------------------------------------------------------------------------- */

TEST(faults, a_full_disk_refuses_appends_and_passes)
{
    struct storage_test test;
    storage_test_begin(&test);
    struct log *log = storage_test_topic(&test, "t", 1);
    cr_assert_eq(storage_test_append(&test, log, 10, -1), 0);
    test.doors.faults[CALL_WRITE] = (struct disk_fault){ -ENOSPC, ".log", 0 };
    storage_test_pass(&test, 1200);
    cr_assert(doors_test_said(&test.doors, "appends are refused until it does"));
    cr_assert_eq(storage_test_append(&test, log, 10, -1), -ENOSPC);
    put(&test, 0);
    storage_test_check(&test, log); /* from the ring */
    storage_test_pass(&test, 5000);
    cr_assert_eq(storage_test_append(&test, log, 10, -1), -ENOSPC);
    storage_test_delete(&test, "t"); /* so somebody can make room */
    log = storage_test_topic(&test, "u", 1);
    test.doors.faults[CALL_WRITE].status = 0;
    storage_test_pass(&test, 2200);
    cr_assert(doors_test_said(&test.doors, "appends are accepted"));
    cr_assert_eq(storage_test_append(&test, log, 10, -1), 0);
    cr_assert_eq(test.failed, 0);
    storage_test_pass(&test, 1200);
    storage_test_check(&test, log);
    storage_test_end(&test);
}

TEST(faults, the_bytes_of_a_full_disk_are_written_when_it_has_room)
{
    struct storage_test test;
    storage_test_begin(&test);
    struct log *log = storage_test_topic(&test, "t", 1);
    cr_assert_eq(storage_test_append(&test, log, 10, -1), 0);
    test.doors.faults[CALL_WRITE] = (struct disk_fault){ -ENOSPC, ".log", 0 };
    storage_test_pass(&test, 3000);
    test.doors.faults[CALL_WRITE].status = 0;
    storage_test_pass(&test, 2200);
    cr_assert_eq(storage_test_append(&test, log, 10, -1), 0);
    storage_test_pass(&test, 1200);
    storage_test_check(&test, log);
    struct storage_stats stats = storage_stats(test.storage);
    cr_assert_gt(stats.reads_warm + stats.reads_cold, 0); /* tmpfs: never warm */
    storage_test_kill(&test);
    storage_test_check(&test, storage_test_log(&test, "t", 0));
    storage_test_end(&test);
}

/* Faster than write-back can tell: the ring is full of records before anybody knows why. */
TEST(faults, a_full_disk_is_told_to_who_waits_and_has_room_for_puts)
{
    struct storage_test test;
    storage_test_begin(&test);
    struct log *log = storage_test_topic(&test, "t", 1);
    test.doors.faults[CALL_WRITE] = (struct disk_fault){ -ENOSPC, ".log", 0 };
    test.doors.hold_jobs = true;
    int status = 0;
    while (status == 0)
        status = storage_test_append(&test, log, 10, -1);
    cr_assert_eq(status, -EAGAIN);
    uint64_t spaces = test.spaces;
    test.doors.hold_jobs = false;
    storage_test_pass(&test, 100);
    cr_assert_gt(test.spaces, spaces, "who waits asks again");
    cr_assert_eq(storage_test_append(&test, log, 10, -1), -ENOSPC);
    for (int i = 0; i < 4; i++)
        put(&test, 0);
    storage_test_delete(&test, "t");
    log = storage_test_topic(&test, "u", 1);
    test.doors.faults[CALL_WRITE].status = 0;
    storage_test_pass(&test, 2200);
    cr_assert_eq(storage_test_append(&test, log, 10, -1), 0);
    storage_test_kill(&test);
    storage_test_check(&test, storage_test_log(&test, "u", 0));
    storage_test_end(&test);
}

/* Between two looks at the clock a lot can be written. */
TEST(faults, free_space_is_looked_at_again_before_it_is_used_up)
{
    struct storage_test test;
    storage_test_setup(&test);
    test.config.disk_free_min = 1000000;
    test.doors.free_bytes = 1100000;
    storage_test_open(&test);
    struct log *log = storage_test_topic(&test, "t", 1);
    int status = 0;
    for (int i = 0; i < 1000 && status == 0; i++) {
        uint64_t before = storage_stats(test.storage).writeback_bytes;
        status = storage_test_append(&test, log, 10, -1);
        if (status == -EAGAIN) {
            storage_test_settle(&test);
            status = storage_test_append(&test, log, 10, -1);
        }
        test.doors.free_bytes -= storage_stats(test.storage).writeback_bytes - before;
    }
    cr_assert_eq(status, -ENOSPC);
    cr_assert_gt(test.doors.free_bytes, 600000, "far below: %" PRIu64, test.doors.free_bytes);
    storage_test_end(&test);
}

TEST(faults, keeps_a_minimum_of_free_space)
{
    struct storage_test test;
    storage_test_setup(&test);
    test.config.disk_free_min = 1000000;
    storage_test_open(&test);
    struct log *log = storage_test_topic(&test, "t", 1);
    test.doors.free_bytes = 999999;
    cr_assert_eq(storage_test_append(&test, log, 10, -1), 0);
    storage_test_pass(&test, 2200);
    cr_assert_eq(storage_test_append(&test, log, 10, -1), -ENOSPC);
    storage_test_check(&test, log);
    cr_assert_gt(storage_stats(test.storage).writebacks, 0, "what is there is still written back");
    test.doors.free_bytes = 1000000;
    storage_test_pass(&test, 2200);
    cr_assert_eq(storage_test_append(&test, log, 10, -1), 0);
    storage_test_end(&test);
}

TEST(faults, a_full_disk_only_delays_a_checkpoint)
{
    struct storage_test test;
    storage_test_begin(&test);
    struct log *log = storage_test_topic(&test, "t", 1);
    cr_assert_eq(storage_test_append(&test, log, 10, -1), 0);
    test.doors.faults[CALL_WRITE] = (struct disk_fault){ -ENOSPC, "meta.", 0 };
    storage_test_pass(&test, 31000);
    cr_assert_eq(storage_stats(test.storage).checkpoints, 0);
    cr_assert_eq(test.failed, 0);
    test.doors.faults[CALL_WRITE].status = 0;
    storage_test_pass(&test, 2200);
    cr_assert_geq(storage_stats(test.storage).checkpoints, 1);
    cr_assert_eq(storage_test_append(&test, log, 10, -1), 0);
    storage_test_end(&test);
}

TEST(faults, a_stop_on_a_full_disk_ends_and_loses_nothing)
{
    struct storage_test test;
    storage_test_begin(&test);
    struct log *log = storage_test_topic(&test, "t", 1);
    cr_assert_eq(storage_test_append(&test, log, 10, -1), 0);
    test.doors.faults[CALL_WRITE] = (struct disk_fault){ -ENOSPC, NULL, 0 };
    cr_assert_eq(storage_test_close(&test), -ENOSPC);
    test.doors.faults[CALL_WRITE].status = 0;
    storage_test_open(&test);
    cr_assert(storage_was_unclean(test.storage));
    storage_test_check(&test, storage_test_log(&test, "t", 0));
    storage_test_end(&test);
}

/* ---- errors that stop everything ----------------------------------------------------------- */

/* The fault strikes; the next life has everything that was acknowledged. */
static void fails_stop(enum disk_call call, int status, const char *path, int64_t pass_ms, int told)
{
    struct storage_test test;
    storage_test_setup(&test);
    test.config.sync_files_max = call == CALL_SYNC_ALL ? 0 : 32;
    storage_test_open(&test);
    struct log *log = storage_test_topic(&test, "t", 1);
    cr_assert_eq(storage_test_append(&test, log, 10, -1), 0);
    test.doors.faults[call] = (struct disk_fault){ status, path, 0 };
    struct unit_test unit = { 0 };
    struct out batch = storage_test_batch(&test, log, 10, 10);
    unit_init(&unit.unit, NULL);
    unit_append(&unit.unit, log, bytes_of(batch.data, batch.len));
    unit_test_commit(&test, &unit);
    storage_test_pass(&test, pass_ms);
    cr_assert_eq(test.failed, told, "call %d: %d", call, test.failed);
    bool acknowledged = unit.done;
    cr_assert_eq(acknowledged, call != CALL_SUBMIT);
    put(&test, -EIO);
    storage_test_crash(&test);
    unit_test_end(&unit);
    out_done(&batch);
    test.doors.faults[call].status = 0;
    test.failed = 0;
    storage_test_open(&test);
    log = storage_test_log(&test, "t", 0);
    cr_assert_geq(log->end_offset, acknowledged ? 20 : 10);
    storage_test_check(&test, log);
    cr_assert_eq(storage_test_append(&test, log, 1, -1), 0);
    storage_test_end(&test);
}

TEST(faults, fails_stop_when_a_write_or_sync_fails)
{
    fails_stop(CALL_SUBMIT, -EIO, "wal", 100, -EIO);
    fails_stop(CALL_WRITE, -EIO, ".log", 1200, -EIO);
    fails_stop(CALL_OPEN, -EACCES, ".log", 1200, -EACCES);
    fails_stop(CALL_SYNC, -EIO, "t-0", 31000, -EIO);
    fails_stop(CALL_SYNC_ALL, -EIO, "lock", 31000, -EIO);
    fails_stop(CALL_SYNC, -ENOSPC, "meta.", 31000, -EIO); /* a sync is never tried again */
}

TEST(faults, reads_that_fail_fail_alone)
{
    struct storage_test test;
    storage_test_begin(&test);
    struct log *log = storage_test_topic(&test, "t", 1);
    storage_test_fill(&test, log, 100 * 1024);
    storage_test_reopen(&test);
    log = storage_test_log(&test, "t", 0);
    struct buffer *buffer;
    test.doors.faults[CALL_READ] = (struct disk_fault){ -EIO, ".log", 0 };
    test.doors.faults[CALL_READ_NOWAIT] = (struct disk_fault){ -EIO, ".log", 0 };
    cr_assert_eq(storage_test_read(&test, log, 0, 1000, &buffer), -EIO);
    struct log_find_time find;
    cr_assert_eq(storage_test_find(&test, log, 1, false, &find), -EIO);
    cr_assert_eq(storage_test_append(&test, log, 1, -1), 0);
    test.doors.faults[CALL_READ].status = 0;
    test.doors.faults[CALL_READ_NOWAIT].status = 0;
    storage_test_check(&test, log);
    cr_assert_eq(test.failed, 0);
    storage_test_end(&test);
}

/* ---- damage in the write-ahead log --------------------------------------------------------- */

static uint64_t find_bytes(const uint8_t *bytes, size_t len, const char *what)
{
    const uint8_t *at = memmem(bytes, len, what, strlen(what));
    cr_assert_not_null(at, "%s", what);
    return (uint64_t)(at - bytes);
}

TEST(faults, a_damaged_batch_stops_its_log_and_no_other)
{
    struct storage_test test;
    storage_test_begin(&test);
    struct log *log = storage_test_topic(&test, "t", 2);
    struct log *other = storage_test_log(&test, "t", 1);
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(storage_test_append(&test, log, 5, -1), 0);
        cr_assert_eq(storage_test_append(&test, other, 5, -1), 0);
    }
    storage_test_crash(&test);
    size_t len;
    uint8_t *bytes = doors_test_file(&test.doors, "wal/0000.wal", &len);
    uint64_t at = find_bytes(bytes, len, "t-0@12 ");
    mem_free(bytes);
    doors_test_overwrite(&test.doors, "wal/0000.wal", at, "damage", 6);
    storage_test_open(&test);
    for (int life = 0; life < 2; life++) {
        log = storage_test_log(&test, "t", 0);
        other = storage_test_log(&test, "t", 1);
        cr_assert(doors_test_said(&test.doors, "t-0: the batch at offset 10 is damaged"));
        storage_test_check(&test, other);
        cr_assert_eq(storage_test_append(&test, other, 1, -1), 0);
        struct buffer *buffer;
        cr_assert_eq(storage_test_read(&test, log, 0, 1 << 20, &buffer), 0);
        struct bytes run = bytes_of(buffer->data, buffer->len);
        struct batch_view batch;
        int64_t offset = 0;
        while (batch_next(&run, &batch) == BATCH_OK)
            offset = batch_last_offset(&batch) + 1;
        cr_assert_eq(offset, 10, "up to the damage and not further");
        buffer_unref(buffer);
        cr_assert_eq(storage_test_read(&test, log, 10, 1 << 20, &buffer), -EBADMSG);
        cr_assert_eq(storage_test_append(&test, log, 1, -1), -EBADMSG);
        if (life == 0)
            storage_test_reopen(&test); /* the checkpoint remembers */
    }
    /* Whoever accepts the loss has his log back: that batch can't be read, all others can. */
    cr_assert_eq(storage_test_close(&test), 0);
    test.config.accept_loss = true;
    storage_test_open(&test);
    test.config.accept_loss = false;
    for (int life = 0; life < 2; life++) {
        log = storage_test_log(&test, "t", 0);
        cr_assert_eq(log->high_watermark, 20 + life);
        struct buffer *buffer;
        cr_assert_eq(storage_test_read(&test, log, 5, 1 << 20, &buffer), 0);
        buffer_unref(buffer);
        cr_assert_eq(storage_test_read(&test, log, 10, 1 << 20, &buffer), -EBADMSG);
        cr_assert_eq(storage_test_read(&test, log, 15, 1 << 20, &buffer), 0);
        buffer_unref(buffer);
        cr_assert_eq(storage_test_append(&test, log, 1, -1), 0);
        storage_test_reopen(&test);
    }
    storage_test_end(&test);
}

/* The same, when the loss is accepted at the very start that meets it. */
TEST(faults, a_damaged_batch_is_given_up_where_loss_is_accepted)
{
    struct storage_test test;
    storage_test_begin(&test);
    struct log *log = storage_test_topic(&test, "t", 1);
    for (int i = 0; i < 4; i++)
        cr_assert_eq(storage_test_append(&test, log, 5, -1), 0);
    storage_test_crash(&test);
    size_t len;
    uint8_t *bytes = doors_test_file(&test.doors, "wal/0000.wal", &len);
    uint64_t at = find_bytes(bytes, len, "t-0@12 ");
    mem_free(bytes);
    doors_test_overwrite(&test.doors, "wal/0000.wal", at, "damage", 6);
    test.config.accept_loss = true;
    storage_test_open(&test);
    cr_assert(doors_test_said(&test.doors, "lost: t-0: the batch at offset 10 is damaged"));
    for (int life = 0; life < 2; life++) {
        struct buffer *buffer;
        log = storage_test_log(&test, "t", 0);
        cr_assert_eq(log->high_watermark, 20 + life);
        cr_assert_eq(storage_test_read(&test, log, 0, 1 << 20, &buffer), 0);
        buffer_unref(buffer);
        cr_assert_eq(storage_test_read(&test, log, 12, 1 << 20, &buffer), -EBADMSG,
            "what recovery wrote itself is verified, too");
        cr_assert_eq(storage_test_read(&test, log, 15, 1 << 20, &buffer), 0);
        buffer_unref(buffer);
        cr_assert_eq(storage_test_append(&test, log, 1, -1), 0);
        storage_test_kill(&test);
    }
    storage_test_end(&test);
}

TEST(faults, a_start_that_refuses_says_what_is_lost)
{
    struct storage_test test;
    storage_test_begin(&test);
    struct topic *topic = storage_test_create(&test, "t", 3, NULL, NULL);
    for (int i = 0; i < 8; i++)
        cr_assert_eq(storage_test_append(&test, topic->logs[i % 2], 5, -1), 0);
    struct unit_test unit = { 0 };
    unit_init(&unit.unit, NULL);
    unit_put(&unit.unit, STORE_OFFSET, bytes_text("group"), bytes_text("7"));
    unit_put(&unit.unit, STORE_CONFIG, bytes_text("key"), bytes_text("value"));
    unit_test_commit(&test, &unit);
    storage_test_wait(&test, &unit.done);
    unit_test_end(&unit);
    cr_assert_eq(storage_test_append(&test, topic->logs[0], 1, -1), 0);
    storage_test_pass(&test, 100); /* a mark tells what is durable */
    storage_test_crash(&test);
    size_t len;
    uint8_t *bytes = doors_test_file(&test.doors, "wal/0000.wal", &len);
    /* The record header is 64 bytes, the batch's 61: the third batch of t-1 (offsets 10 to 14). */
    uint64_t at = find_bytes(bytes, len, "t-1@10 ") / 64 * 64 - 64;
    while (memcmp(bytes + at, bytes + 4096, 4) != 0)
        at -= 64;
    mem_free(bytes);
    doors_test_overwrite(&test.doors, "wal/0000.wal", at + 20, "damage", 6);
    struct storage *storage;
    struct storage_hooks hooks = { 0 };
    for (int accept = 0; accept < 2; accept++) {
        mem_free(test.doors.said);
        test.doors.said = mem_strdup("");
        test.config.accept_loss = accept;
        if (accept)
            storage_test_open(&test);
        else
            cr_assert_eq(storage_open(&storage, &test.config, &test.doors.doors, &hooks), -EUCLEAN);
        cr_assert(doors_test_said(&test.doors, "acknowledged data in ["));
        cr_assert(doors_test_said(&test.doors, "lost: t-0: offsets 15 to at least 20"), "%s",
            test.doors.said);
        cr_assert(doors_test_said(&test.doors, "lost: t-1: offsets 10 to at least 19"));
        cr_assert(!doors_test_said(&test.doors, "lost: t-2"));
        cr_assert(doors_test_said(&test.doors, "lost: 1 changes of committed offsets"));
        cr_assert(doors_test_said(&test.doors, "lost: 1 changes of settings made at run time"));
    }
    cr_assert_eq(storage_test_log(&test, "t", 0)->high_watermark, 15);
    cr_assert_eq(storage_test_log(&test, "t", 1)->high_watermark, 10);
    cr_assert_eq(storage_test_log(&test, "t", 0)->leader_epoch, 1);
    storage_test_check(&test, storage_test_log(&test, "t", 0));
    cr_assert_eq(storage_test_append(&test, storage_test_log(&test, "t", 0), 5, -1), 0);
    storage_test_end(&test);
}

/* What would pass for a directory that was never finished: it must not be made anew. */
TEST(faults, a_format_that_is_gone_is_not_taken_for_a_new_directory)
{
    struct storage_test test;
    storage_test_begin(&test);
    struct unit_test unit = { 0 };
    unit_init(&unit.unit, NULL);
    unit_put(&unit.unit, STORE_GROUP, bytes_text("group"), bytes_text("v"));
    unit_test_commit(&test, &unit);
    storage_test_wait(&test, &unit.done);
    unit_test_end(&unit);
    storage_test_crash(&test);
    doors_test_overwrite(&test.doors, "millrace.format", 0, "\0", 1);
    struct storage *storage;
    struct storage_hooks hooks = { 0 };
    cr_assert_eq(storage_open(&storage, &test.config, &test.doors.doors, &hooks), -EPROTO);
    cr_assert(doors_test_said(&test.doors, "does not name a format"));
    doors_test_overwrite(&test.doors, "millrace.format", 0, "6", 1);
    storage_test_open(&test);
    struct bytes value;
    cr_assert(store_get(test.storage, STORE_GROUP, bytes_text("group"), &value, NULL));
    storage_test_end(&test);
}

TEST(faults, a_damaged_put_refuses_the_start_unless_loss_is_accepted)
{
    struct storage_test test;
    storage_test_begin(&test);
    struct unit_test unit = { 0 };
    unit_init(&unit.unit, NULL);
    unit_put(&unit.unit, STORE_GROUP, bytes_text("group"), bytes_text("a value to damage"));
    unit_test_commit(&test, &unit);
    storage_test_wait(&test, &unit.done);
    unit_test_end(&unit);
    struct log *log = storage_test_topic(&test, "t", 1);
    cr_assert_eq(storage_test_append(&test, log, 5, -1), 0);
    storage_test_crash(&test);
    size_t len;
    uint8_t *bytes = doors_test_file(&test.doors, "wal/0000.wal", &len);
    uint64_t at = find_bytes(bytes, len, "a value to damage");
    mem_free(bytes);
    doors_test_overwrite(&test.doors, "wal/0000.wal", at, "A", 1);
    struct storage *storage;
    struct storage_hooks hooks = { 0 };
    cr_assert_eq(storage_open(&storage, &test.config, &test.doors.doors, &hooks), -EUCLEAN);
    cr_assert(doors_test_said(&test.doors, "a change of the state at"));
    test.config.accept_loss = true;
    storage_test_open(&test);
    storage_test_check(&test, storage_test_log(&test, "t", 0));
    struct bytes value;
    cr_assert(!store_get(test.storage, STORE_GROUP, bytes_text("group"), &value, NULL));
    storage_test_end(&test);
}

enum loss { LOST_BATCH, LOST_PUT, LOST_HEAD, LOST_FILE, LOST_ALL_FILES, LOST_BEFORE, LOSSES };

/* Two appends and a put on the medium, and a third append that may be lost; killed. */
static void loss_prepare(struct storage_test *test, enum loss loss)
{
    storage_test_begin(test);
    struct unit_test unit = { 0 };
    struct log *log = storage_test_topic(test, "t", 1);
    cr_assert_eq(storage_test_append(test, log, 5, -1), 0);
    unit_init(&unit.unit, NULL);
    unit_put(&unit.unit, STORE_GROUP, bytes_text("group"), bytes_text("a value to damage"));
    unit_test_commit(test, &unit);
    storage_test_wait(test, &unit.done);
    unit_test_end(&unit);
    if (loss == LOST_FILE || loss == LOST_ALL_FILES)
        storage_test_fill(test, log, (uint64_t)500 * 1024); /* a checkpoint ends in a later file */
    for (int i = 0; i < 3; i++)
        cr_assert_eq(storage_test_append(test, log, 5, -1), 0);
    storage_test_pass(test, 100); /* a mark tells what is durable */
    storage_test_crash(test);
}

static void loss_make(struct storage_test *test, enum loss loss)
{
    size_t len;
    char path[4200];
    for (int i = 0; i < 4 && (loss == LOST_FILE || loss == LOST_ALL_FILES); i++) {
        (void)snprintf(path, sizeof(path), "%s/wal/%04d.wal", test->doors.dir, i);
        cr_assert(unlink(path) == 0 || i > 0);
        if (loss == LOST_FILE)
            return;
    }
    if (loss == LOST_FILE || loss == LOST_ALL_FILES)
        return;
    uint8_t *bytes = doors_test_file(&test->doors, "wal/0000.wal", &len);
    uint64_t at = find_bytes(bytes, len, loss == LOST_PUT ? "a value to damage" : "t-0@7 ");
    if (loss == LOST_HEAD)
        for (at = at / 64 * 64 - 64; memcmp(bytes + at, bytes + 4096, 4) != 0;)
            at -= 64;
    mem_free(bytes);
    doors_test_overwrite(&test->doors, "wal/0000.wal", at + (loss == LOST_HEAD ? 20 : 0), "D", 1);
}

/* The checkpoint does not wait for its time, or who is killed before is asked once more, and finds
 * his log stopped again. */
TEST(faults, a_loss_that_was_accepted_is_not_asked_for_again)
{
    for (enum loss loss = 0; loss < LOSSES; loss++) {
        struct storage_test test;
        struct storage *storage;
        struct storage_hooks hooks = { 0 };
        loss_prepare(&test, loss);
        loss_make(&test, loss);
        if (loss == LOST_BATCH || loss == LOST_BEFORE)
            storage_test_open(&test); /* it stops its log only */
        else
            cr_assert_eq(storage_open(&storage, &test.config, &test.doors.doors, &hooks), -EUCLEAN);
        if (loss == LOST_BEFORE)
            cr_assert_eq(storage_test_close(&test), 0); /* a checkpoint knows of it */
        else if (loss == LOST_BATCH)
            storage_test_crash(&test);
        test.config.accept_loss = true;
        storage_test_open(&test);
        storage_test_settle(&test); /* no time passes */
        cr_assert_eq(storage_stats(test.storage).checkpoints, 1, "loss %d", loss);
        struct log *log = storage_test_log(&test, "t", 0);
        cr_assert_eq(storage_test_append(&test, log, 5, -1), 0);
        int64_t end = log->high_watermark;
        storage_test_crash(&test);
        test.config.accept_loss = false;
        storage_test_open(&test);
        log = storage_test_log(&test, "t", 0);
        cr_assert_eq(log->high_watermark, end, "loss %d", loss);
        struct buffer *buffer;
        cr_assert_eq(storage_test_read(&test, log, end - 5, 1 << 20, &buffer), 0);
        buffer_unref(buffer);
        cr_assert_eq(storage_test_append(&test, log, 1, -1), 0, "loss %d", loss);
        storage_test_end(&test);
    }
}

/* ---- retention ----------------------------------------------------------------------------- */

static int segments(struct storage_test *test, int64_t from, int64_t to)
{
    int count = 0;
    for (int64_t base = from; base < to; base++) {
        char name[64];
        (void)snprintf(name, sizeof(name), "t-0/%020" PRId64 ".log", base);
        count += doors_test_exists(&test->doors, name);
    }
    return count;
}

TEST(retention, by_size)
{
    struct storage_test test;
    storage_test_setup(&test);
    test.config.retention_check_ms = 1000;
    test.timestamp = test.doors.wall_ms;
    storage_test_open(&test);
    struct topic *topic = storage_test_create(&test, "t", 1, "retention.bytes", "150000");
    struct log *log = topic->logs[0];
    storage_test_fill(&test, log, 400 * 1024);
    int64_t end = log->end_offset;
    storage_test_pass(&test, 2500);
    cr_assert_gt(log->start_offset, 0);
    cr_assert_eq(log->end_offset, end);
    cr_assert_geq(log->size_bytes, 150000);
    cr_assert_lt(log->size_bytes, 150000 + 65536);
    storage_test_check(&test, log);
    struct buffer *buffer;
    cr_assert_eq(storage_test_read(&test, log, log->start_offset - 1, 100, &buffer), -ERANGE);
    int64_t start = log->start_offset;
    cr_assert_gt(segments(&test, 0, start), 0, "the files stay for a minute");
    storage_test_pass(&test, 61000);
    cr_assert_eq(segments(&test, 0, start), 0);
    cr_assert_gt(segments(&test, start, end), 1);
    storage_test_fill(&test, log, 200 * 1024);
    storage_test_pass(&test, 2500);
    cr_assert_gt(log->start_offset, start);
    start = log->start_offset;
    storage_test_kill(&test);
    log = storage_test_log(&test, "t", 0);
    cr_assert_eq(log->start_offset, start);
    storage_test_check(&test, log);
    cr_assert_gt(storage_stats(test.storage).replayed_records, 0);
    storage_test_end(&test);
}

TEST(retention, by_time_takes_the_active_segment_too)
{
    struct storage_test test;
    storage_test_setup(&test);
    test.config.retention_check_ms = 1000;
    test.timestamp = test.doors.wall_ms;
    storage_test_open(&test);
    struct topic *topic = storage_test_create(&test, "t", 1, "retention.ms", "5000");
    struct log *log = topic->logs[0];
    cr_assert_eq(storage_test_append(&test, log, 10, -1), 0);
    storage_test_pass(&test, 4000);
    cr_assert_eq(log->start_offset, 0);
    storage_test_pass(&test, 3000);
    cr_assert_eq(log->start_offset, 10);
    cr_assert_eq(log->size_bytes, 0);
    cr_assert_eq(storage_test_append(&test, log, 5, -1), 0);
    cr_assert_eq(log->end_offset, 15);
    storage_test_check(&test, log);
    storage_test_reopen(&test);
    log = storage_test_log(&test, "t", 0);
    cr_assert_eq(log->start_offset, 10);
    cr_assert_eq(segments(&test, 0, 1), 0, "closing does not wait for the delay");
    storage_test_check(&test, log);
    storage_test_end(&test);
}

TEST(retention, does_not_believe_timestamps_of_the_far_future_and_spares_compacted_topics)
{
    struct storage_test test;
    storage_test_setup(&test);
    test.config.retention_check_ms = 1000;
    test.config.defaults.retention_ms = 5000;
    storage_test_open(&test);
    struct log *log = storage_test_topic(&test, "t", 1);
    struct topic *compacted = storage_test_create(&test, "c", 1, "cleanup.policy", "compact");
    test.timestamp = test.doors.wall_ms + INT64_C(100) * 24 * 3600 * 1000;
    cr_assert_eq(storage_test_append(&test, log, 10, -1), 0);
    test.timestamp = test.doors.wall_ms;
    cr_assert_eq(storage_test_append(&test, compacted->logs[0], 10, -1), 0);
    storage_test_pass(&test, 7000);
    cr_assert_eq(log->start_offset, 10);
    cr_assert_eq(compacted->logs[0]->start_offset, 0);
    storage_test_end(&test);
}

TEST(retention, minus_one_is_for_ever_and_a_change_takes_effect)
{
    struct storage_test test;
    struct unit_test unit = { 0 };
    char name[] = "retention.ms", value[] = "5000";
    struct topic_config_entry entry = { name, value };
    storage_test_setup(&test);
    test.config.retention_check_ms = 1000;
    test.config.defaults.retention_ms = 1000;
    test.timestamp = test.doors.wall_ms;
    storage_test_open(&test);
    struct topic *topic = storage_test_create(&test, "t", 1, "retention.ms", "-1");
    struct log *log = topic->logs[0];
    cr_assert_eq(storage_test_append(&test, log, 10, -1), 0);
    storage_test_pass(&test, 20000);
    cr_assert_eq(log->start_offset, 0);
    unit_init(&unit.unit, NULL);
    cr_assert_eq(unit_set_topic_config(&unit.unit, test.storage, topic, &entry, 1), 0);
    unit_test_commit(&test, &unit);
    storage_test_wait(&test, &unit.done);
    unit_test_end(&unit);
    storage_test_pass(&test, 2000);
    cr_assert_eq(log->start_offset, 10);
    storage_test_end(&test);
}

static int raise_start(struct storage_test *test, struct log *log, int64_t offset)
{
    struct unit_test unit = { 0 };
    unit_init(&unit.unit, NULL);
    int status = unit_raise_start(&unit.unit, log, offset);
    if (status == 0) {
        unit_test_commit(test, &unit);
        cr_assert_eq(unit.status, 0);
        storage_test_wait(test, &unit.done);
    }
    unit_test_end(&unit);
    return status;
}

/* Found by simulation: a crash may bring back what a put that is not durable gave up. */
TEST(retention, a_look_for_leftovers_spares_what_waits_to_be_removed)
{
    struct storage_test test;
    storage_test_begin(&test);
    (void)storage_test_topic(&test, "a", 1); /* is looked through first */
    struct log *log = storage_test_topic(&test, "t", 1);
    storage_test_fill(&test, log, 400 * 1024);
    storage_test_pass(&test, 1200);
    int64_t end = log->end_offset;
    int count = segments(&test, 0, end);
    cr_assert_geq(count, 6);
    test.doors.hold_jobs = true;
    storage_test_kill(&test);
    log = storage_test_log(&test, "t", 0);
    cr_assert_eq(raise_start(&test, log, end), 0);
    test.doors.hold_jobs = false;
    storage_test_pass(&test, 1000);
    cr_assert_eq(segments(&test, 0, end), count, "file.delete.delay.ms is a minute");
    storage_test_pass(&test, 61000);
    cr_assert_eq(segments(&test, 0, end), 0);
    storage_test_end(&test);
}

TEST(retention, records_can_be_deleted_up_to_the_high_watermark)
{
    struct storage_test test;
    storage_test_begin(&test);
    struct log *log = storage_test_topic(&test, "t", 1);
    storage_test_fill(&test, log, 100 * 1024);
    cr_assert_eq(raise_start(&test, log, log->high_watermark + 1), -ERANGE);
    cr_assert_eq(raise_start(&test, log, 15), 0);
    cr_assert_eq(log->start_offset, 15);
    struct buffer *buffer;
    cr_assert_eq(storage_test_read(&test, log, 14, 100, &buffer), -ERANGE);
    storage_test_check(&test, log);
    /* All of it, while the end of it still lies in the ring. */
    storage_test_pass(&test, 1200);
    uint64_t written = storage_stats(test.storage).writeback_bytes;
    storage_test_fill(&test, log, 20 * 1024);
    cr_assert_eq(storage_stats(test.storage).writeback_bytes, written);
    int64_t end = log->end_offset;
    cr_assert_eq(raise_start(&test, log, end), 0);
    cr_assert_eq(log->size_bytes, 0);
    cr_assert_eq(storage_test_append(&test, log, 7, -1), 0);
    cr_assert_eq(storage_test_read(&test, log, end, 100, &buffer), 0);
    buffer_unref(buffer);
    storage_test_pass(&test, 1200);
    storage_test_check(&test, log); /* from its file */
    storage_test_kill(&test);
    log = storage_test_log(&test, "t", 0);
    cr_assert_eq(log->start_offset, end);
    cr_assert_eq(log->end_offset, end + 7);
    storage_test_check(&test, log);
    /* A stop takes the files along, however many. */
    storage_test_fill(&test, log, 400 * 1024);
    storage_test_pass(&test, 1200);
    end = log->end_offset;
    cr_assert_geq(segments(&test, 0, end), 6);
    cr_assert_eq(raise_start(&test, log, end), 0);
    cr_assert_eq(storage_test_close(&test), 0);
    cr_assert_eq(segments(&test, 0, end), 0);
    storage_test_end(&test);
}
