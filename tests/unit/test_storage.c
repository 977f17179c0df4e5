/* Storage as a whole: directories, lives and their ends, units, topics, waiting, close. */
#include "storage/storage.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "protocol/base/mem.h"
#include "protocol/record.h"
#include "tests/test.h"
#include "tests/unit/storage_test.h"

static struct bytes text(const char *value)
{
    return bytes_text(value);
}

static void unit_told(struct unit *unit)
{
    container_of(unit, struct unit_test, unit)->done = true;
}

static void begin(struct unit_test *unit)
{
    *unit = (struct unit_test){ 0 };
    unit_init(&unit->unit, unit_told);
}

static void commit_and_wait(struct storage_test *test, struct unit_test *unit)
{
    unit_test_commit(test, unit);
    cr_assert_eq(unit->status, 0);
    storage_test_wait(test, &unit->done);
    unit_test_end(unit);
}

static void put(struct storage_test *test, const char *key, const char *value)
{
    struct unit_test unit;
    begin(&unit);
    unit_put(&unit.unit, STORE_OFFSET, text(key), value ? text(value) : (struct bytes){ 0 });
    commit_and_wait(test, &unit);
}

static const char *get(struct storage_test *test, const char *key)
{
    static char found[64];
    struct bytes value;
    if (!store_get(test->storage, STORE_OFFSET, text(key), &value, NULL))
        return "(absent)";
    (void)snprintf(found, sizeof(found), "%.*s", (int)value.len, (const char *)value.data);
    return found;
}

/* ---- directories --------------------------------------------------------------------------- */

static int open_status(struct storage_test *test)
{
    struct storage_hooks hooks = { 0 };
    struct storage *storage;
    int status = storage_open(&storage, &test->config, &test->doors.doors, &hooks);
    if (status == 0)
        test->storage = storage;
    return status;
}

TEST(storage, sets_up_a_directory_and_finds_it_again)
{
    struct storage_test test;
    storage_test_begin(&test);
    static const char *const names[] = { "lock", "millrace.format", "meta.a", "wal/0000.wal" };
    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        cr_assert(doors_test_exists(&test.doors, names[i]), "%s", names[i]);
    char id[UUID_TEXT_LEN + 1];
    (void)snprintf(id, sizeof(id), "%s", storage_cluster_id(test.storage));
    cr_assert_eq(strlen(id), 22);
    cr_assert(!storage_was_unclean(test.storage));
    storage_test_reopen(&test);
    cr_assert_str_eq(storage_cluster_id(test.storage), id);
    cr_assert(!storage_was_unclean(test.storage));
    storage_test_settle(&test);
    storage_test_kill(&test);
    cr_assert_str_eq(storage_cluster_id(test.storage), id);
    cr_assert(storage_was_unclean(test.storage));
    storage_test_end(&test);
}

TEST(storage, is_one_process_at_a_time)
{
    struct storage_test test;
    storage_test_begin(&test);
    struct storage *other;
    struct storage_hooks hooks = { 0 };
    cr_assert_eq(storage_open(&other, &test.config, &test.doors.doors, &hooks), -EBUSY);
    cr_assert(doors_test_said(&test.doors, "is in use by another process"));
    storage_test_end(&test);
}

TEST(storage, refuses_other_formats_and_other_programs_directories)
{
    struct storage_test test;
    storage_test_begin(&test);
    cr_assert_eq(storage_test_close(&test), 0);
    doors_test_overwrite(&test.doors, "millrace.format", 0, "99\n", 3);
    cr_assert_eq(open_status(&test), -EPROTO);
    cr_assert(doors_test_said(&test.doors, "use a newer millrace"));
    doors_test_overwrite(&test.doors, "millrace.format", 0, "x\n", 2);
    cr_assert_eq(open_status(&test), -EPROTO);
    doors_test_overwrite(&test.doors, "millrace.format", 0, "0\n", 2);
    cr_assert_eq(open_status(&test), -EPROTO);
    doors_test_overwrite(&test.doors, "millrace.format", 0, "1\n", 2);
    cr_assert_eq(open_status(&test), 0);
    storage_test_end(&test);

    storage_test_setup(&test);
    cr_assert_eq(test.doors.inner->table->mkdir(test.doors.inner, test.doors.dir), 0);
    doors_test_overwrite(&test.doors, "meta.properties", 0, "version=1\n", 10);
    cr_assert_eq(open_status(&test), -EPROTO);
    cr_assert(doors_test_said(&test.doors, "it belongs to another program"));
    cr_assert(!doors_test_exists(&test.doors, "meta.a"), "nothing was touched");
    storage_test_end(&test);
}

TEST(storage, survives_one_damaged_slot_that_is_not_the_newest_and_says_so_of_both)
{
    struct storage_test test;
    storage_test_begin(&test);
    storage_test_topic(&test, "t", 1);
    storage_test_reopen(&test);                 /* generation 2 in meta.b */
    storage_test_reopen(&test);                 /* 3 in meta.a */
    cr_assert_eq(storage_test_close(&test), 0); /* 4 in meta.b */
    doors_test_overwrite(&test.doors, "meta.a", 60, "damage", 6);
    storage_test_open(&test);
    cr_assert(doors_test_said(&test.doors, "one of two state files is not whole"));
    cr_assert_not_null(storage_topic(test.storage, text("t")));
    cr_assert_eq(storage_test_close(&test), 0);
    doors_test_overwrite(&test.doors, "meta.a", 60, "damage", 6);
    doors_test_overwrite(&test.doors, "meta.b", 60, "damage", 6);
    cr_assert_eq(open_status(&test), -EUCLEAN);
    cr_assert(doors_test_said(&test.doors, "can't read the state"));
    storage_test_end(&test);
}

/* A directory that the program of 2026-11-21 (commit f0be195) left when it was killed. */
TEST(storage, opens_a_directory_of_format_1)
{
    struct storage_test test;
    storage_test_setup(&test);
    char *command = mem_printf("tar -xzf " MILLRACE_SOURCE "/tests/unit/format1.tar.gz -C %s && "
                               "mv %s/format1 %s",
        test.doors.base, test.doors.base, test.doors.dir);
    cr_assert_eq(system(command), 0);
    mem_free(command);
    storage_test_open(&test);
    cr_assert(storage_was_unclean(test.storage));
    cr_assert(doors_test_said(&test.doors, "has format 6 now"));
    for (int again = 0; again < 3; again++) {
        struct log *log = storage_test_log(&test, "old", 0);
        struct bytes value;
        cr_assert_eq(log->high_watermark, 810 + again * 10);
        storage_test_check(&test, log);
        cr_assert_eq(storage_test_log(&test, "old", 1)->high_watermark, 110);
        storage_test_check(&test, storage_test_log(&test, "old", 1));
        cr_assert(store_get(test.storage, STORE_GROUP, text("g"), &value, NULL));
        cr_assert(bytes_equal_text(value, "v"));
        cr_assert_eq(storage_test_append(&test, log, 10, -1), 0);
        if (again == 0)
            storage_test_reopen(&test);
        else
            storage_test_kill(&test);
    }
    storage_test_end(&test);
}

/* ---- lsns of the store ---------------------------------------------------------------------- */

static uint64_t lsn_of(const struct storage_test *test, const char *key)
{
    struct bytes value;
    uint64_t lsn;
    return store_get(test->storage, STORE_OFFSET, text(key), &value, &lsn) ? lsn : 0;
}

/* Each change has a place of its own, and keeps it whatever happens. */
TEST(storage, the_lsns_of_changes_are_distinct_and_last)
{
    struct storage_test test;
    struct unit_test unit;
    storage_test_begin(&test);
    begin(&unit);
    for (const char *const *key = (const char *const[]){ "a", "b", "c", "d", NULL }; *key; key++)
        unit_put(&unit.unit, STORE_OFFSET, text(*key), text("v"));
    unit_test_commit(&test, &unit);
    uint64_t end = unit.unit.end_lsn, a = lsn_of(&test, "a"), b = lsn_of(&test, "b");
    storage_test_wait(&test, &unit.done);
    unit_test_end(&unit);
    cr_assert(a < b && b < lsn_of(&test, "c") && lsn_of(&test, "c") < lsn_of(&test, "d"));
    cr_assert_eq(lsn_of(&test, "d"), end, "what waits for the last waits for all");
    cr_assert_eq(store_deleted(test.storage, STORE_OFFSET), 0);
    put(&test, "c", NULL);
    uint64_t deleted = store_deleted(test.storage, STORE_OFFSET);
    cr_assert_gt(deleted, lsn_of(&test, "d"));
    for (int life = 0; life < 6; life++) {
        if (life % 2 == 0)
            storage_test_kill(&test);
        else
            storage_test_reopen(&test);
        cr_assert_eq(lsn_of(&test, "a"), a, "life %d", life);
        cr_assert_eq(lsn_of(&test, "b"), b, "life %d", life);
        cr_assert_eq(store_deleted(test.storage, STORE_OFFSET), deleted, "life %d", life);
    }
    put(&test, "a", "again");
    cr_assert_gt(lsn_of(&test, "a"), deleted);
    storage_test_end(&test);
}

/* ---- lives --------------------------------------------------------------------------------- */

TEST(storage, keeps_everything_over_clean_and_unclean_ends)
{
    struct storage_test test;
    storage_test_begin(&test);
    storage_test_create(&test, "t", 3, NULL, NULL);
    int32_t epoch = 0;
    int64_t ends[3] = { 0 };
    for (int life = 0; life < 12; life++) {
        for (int32_t p = 0; p < 3; p++) {
            struct log *log = storage_test_log(&test, "t", p);
            cr_assert_eq(log->leader_epoch, epoch);
            cr_assert_eq(log->end_offset, ends[p]);
            cr_assert_eq(log->high_watermark, ends[p]);
            storage_test_check(&test, log);
            for (int i = 0; i < 5 + life; i++)
                cr_assert_eq(storage_test_append(&test, log, 1 + i, (int16_t)(i % 2 ? 1 : -1)), 0);
            ends[p] = log->end_offset;
        }
        char key[16];
        (void)snprintf(key, sizeof(key), "life %d", life);
        put(&test, key, "was here");
        put(&test, "latest", key);
        if (life % 4 == 2)
            storage_test_pass(&test, 1200); /* some is in the segments */
        if (life % 3 == 1) {
            storage_test_reopen(&test);
        } else {
            storage_test_kill(&test);
            epoch++;
        }
        cr_assert_str_eq(get(&test, "latest"), key);
        cr_assert_str_eq(get(&test, "life 0"), "was here");
    }
    struct log *log = storage_test_log(&test, "t", 0);
    int32_t found;
    int64_t end;
    log_epoch_end(log, epoch, &found, &end);
    cr_assert_eq(found, epoch);
    cr_assert_eq(end, log->end_offset);
    log_epoch_end(log, epoch + 1, &found, &end);
    cr_assert_eq(found, -1);
    log_epoch_end(log, 0, &found, &end);
    cr_assert_eq(found, 0);
    cr_assert_eq(log_epoch_at(log, end - 1), 0);
    cr_assert_eq(log_epoch_at(log, end), 1);
    storage_test_end(&test);
}

TEST(storage, a_checkpoint_is_no_clean_stop)
{
    struct storage_test test;
    storage_test_begin(&test);
    cr_assert_eq(storage_test_append(&test, storage_test_topic(&test, "t", 1), 3, -1), 0);
    storage_test_pass(&test, 31000);
    cr_assert_geq(storage_stats(test.storage).checkpoints, 1);
    storage_test_kill(&test);
    cr_assert_eq(storage_stats(test.storage).replayed_records, 0);
    cr_assert(storage_was_unclean(test.storage));
    cr_assert_eq(storage_test_log(&test, "t", 0)->leader_epoch, 1);
    storage_test_end(&test);
}

TEST(storage, replays_the_same_however_often_it_is_killed)
{
    struct storage_test test;
    storage_test_begin(&test);
    struct log *log = storage_test_topic(&test, "t", 1);
    storage_test_fill(&test, log, 150 * 1024);
    int64_t end = log->end_offset;
    uint64_t size = log->size_bytes;
    for (int i = 0; i < 5; i++) {
        storage_test_kill(&test);
        log = storage_test_log(&test, "t", 0);
        cr_assert_eq(log->end_offset, end);
        cr_assert_eq(log->size_bytes, size);
        storage_test_check(&test, log);
    }
    storage_test_end(&test);
}

TEST(storage, goes_round_the_ring_and_the_files_many_times)
{
    struct storage_test test;
    storage_test_begin(&test);
    struct log *log = storage_test_topic(&test, "t", 2);
    struct log *other = storage_test_log(&test, "t", 1);
    for (int i = 0; i < 10; i++) {
        storage_test_fill(&test, log, 300 * 1024); /* a file is 256 KiB, there are four */
        storage_test_fill(&test, other, 30 * 1024);
    }
    struct storage_stats stats = storage_stats(test.storage);
    cr_assert_geq(stats.wal_wraps, 10);
    cr_assert_geq(stats.wal_files_recycled, 6);
    cr_assert_geq(stats.checkpoints, 3);
    cr_assert_gt(stats.writeback_bytes, 2000 * 1024);
    storage_test_check(&test, log);
    storage_test_kill(&test);
    cr_assert_leq(storage_stats(test.storage).replayed_records, 1200);
    storage_test_check(&test, storage_test_log(&test, "t", 0));
    storage_test_check(&test, storage_test_log(&test, "t", 1));
    storage_test_end(&test);
}

TEST(storage, recognises_producers_after_any_end)
{
    struct storage_test test;
    storage_test_begin(&test);
    struct log *log = storage_test_topic(&test, "t", 1);
    struct batch_builder builder = { 0 };
    struct batch_options options = batch_options_plain(CODEC_NONE);
    struct record_view record = { .timestamp = 5, .value = text("t-0@0 ") };
    struct out batch = { 0 };
    options.producer_id = 77;
    options.producer_epoch = 2;
    options.base_sequence = 0;
    batch_builder_begin(&builder, &options);
    cr_assert_eq(batch_builder_append(&builder, &record), 0);
    cr_assert_eq(batch_builder_finish(&builder, NULL, &batch), 0);
    struct unit_test unit;
    begin(&unit);
    unit_append(&unit.unit, log, bytes_of(batch.data, batch.len));
    unit_test_commit(&test, &unit);
    int64_t base, append_ms;
    uint64_t lsn;
    struct bytes again = bytes_of(batch.data, batch.len);
    cr_assert_eq(log_check_producer(log, again, &base, &append_ms, &lsn), PRODUCER_DUPLICATE);
    cr_assert_eq(lsn, unit.unit.end_lsn, "not to be told before the first one is durable");
    cr_assert(!storage_is_durable(test.storage, lsn));
    storage_test_wait(&test, &unit.done);
    unit_test_end(&unit);
    for (int life = 0; life < 3; life++) {
        if (life)
            storage_test_kill(&test);
        else
            storage_test_reopen(&test);
        log = storage_test_log(&test, "t", 0);
        base = -1;
        cr_assert_eq(log_check_producer(log, again, &base, &append_ms, &lsn), PRODUCER_DUPLICATE);
        cr_assert_eq(base, 0);
        cr_assert_eq(append_ms, -1);
        cr_assert(storage_is_durable(test.storage, lsn));
    }
    out_done(&batch);
    batch_builder_done(&builder);
    storage_test_end(&test);
}

/* ---- units --------------------------------------------------------------------------------- */

static void unit_of_everything(struct storage_test *test, struct unit_test *unit, struct out *batch)
{
    begin(unit);
    for (int32_t p = 0; p < 3; p++) {
        struct log *log = storage_test_log(test, "t", p);
        batch[p] = storage_test_batch(test, log, log->end_offset, 4);
        unit_append(&unit->unit, log, bytes_of(batch[p].data, batch[p].len));
    }
    unit_put(&unit->unit, STORE_TASK, text("position"), text("12"));
}

TEST(storage, units_happen_whole_or_not_at_all)
{
    struct storage_test test;
    storage_test_begin(&test);
    storage_test_create(&test, "t", 3, "durability", "os");
    struct unit_test unit;
    struct out batch[3];
    struct bytes value;
    uint64_t lsn;
    for (int round = 0; round < 2; round++) {
        unit_of_everything(&test, &unit, batch);
        unit_test_commit(&test, &unit);
        cr_assert_eq(unit.status, 0);
        cr_assert_eq(unit.unit.appends[2].base_offset, round * 4);
        cr_assert(store_get(test.storage, STORE_TASK, text("position"), &value, &lsn));
        cr_assert_eq(lsn, unit.unit.end_lsn);
        if (round == 0) {
            storage_test_wait(&test, &unit.done);
            cr_assert(storage_is_durable(test.storage, lsn), "a put makes it durable");
        }
        unit_test_end(&unit);
        for (int32_t p = 0; p < 3; p++)
            out_done(&batch[p]);
    }
    storage_test_crash(&test); /* the second was never handed to the disk */
    storage_test_open(&test);
    for (int32_t p = 0; p < 3; p++) {
        cr_assert_eq(storage_test_log(&test, "t", p)->end_offset, 4);
        storage_test_check(&test, storage_test_log(&test, "t", p));
    }
    storage_test_end(&test);
}

TEST(storage, a_unit_may_append_twice_to_one_log)
{
    struct storage_test test;
    storage_test_begin(&test);
    struct log *log = storage_test_topic(&test, "t", 1);
    struct out first = storage_test_batch(&test, log, 0, 3);
    struct out second = storage_test_batch(&test, log, 3, 2);
    struct unit_test unit;
    begin(&unit);
    unit_append(&unit.unit, log, bytes_of(first.data, first.len));
    unit_append(&unit.unit, log, bytes_of(second.data, second.len));
    commit_and_wait(&test, &unit);
    cr_assert_eq(log->high_watermark, 5);
    storage_test_check(&test, log);
    out_done(&first);
    out_done(&second);
    storage_test_end(&test);
}

TEST(storage, refuses_what_it_must_and_nothing_happens)
{
    struct storage_test test;
    storage_test_begin(&test);
    struct log *log = storage_test_topic(&test, "t", 1);
    struct out batch = storage_test_batch(&test, log, 0, 3);
    struct unit_test unit;
    begin(&unit);
    unit_append(&unit.unit, log, bytes_of(batch.data, batch.len - 1));
    unit_test_commit(&test, &unit);
    cr_assert_eq(unit.status, -EINVAL);
    unit_test_end(&unit);

    begin(&unit);
    for (size_t size = 0; size <= storage_unit_max(test.storage); size += batch.len)
        unit_append(&unit.unit, log, bytes_of(batch.data, batch.len));
    unit_test_commit(&test, &unit);
    cr_assert_eq(unit.status, -EMSGSIZE);
    unit_test_end(&unit);

    topic_hold(log->topic);
    storage_test_delete(&test, "t");
    storage_test_settle(&test);
    begin(&unit);
    unit_append(&unit.unit, log, bytes_of(batch.data, batch.len));
    unit_test_commit(&test, &unit);
    cr_assert_eq(unit.status, -ENOENT);
    unit_test_end(&unit);
    cr_assert_eq(log->end_offset, 0);
    topic_release(log->topic);
    out_done(&batch);
    storage_test_end(&test);
}

TEST(storage, a_full_ring_asks_to_wait_and_tells_when_there_is_room)
{
    struct storage_test test;
    storage_test_begin(&test);
    struct log *log = storage_test_topic(&test, "t", 1);
    struct out batch = storage_test_batch(&test, log, 0, 100);
    struct unit_test units[64];
    size_t count = 0;
    test.doors.hold_jobs = true; /* nothing is written back */
    for (int status = 0; status == 0 && count < ARRAY_COUNT(units); count++) {
        begin(&units[count]);
        unit_append(&units[count].unit, log, bytes_of(batch.data, batch.len));
        unit_test_commit(&test, &units[count]);
        status = units[count].status;
    }
    count--;
    cr_assert_eq(units[count].status, -EAGAIN, "after %zu", count);
    cr_assert_geq(count, 12);
    int64_t end = log->end_offset;
    cr_assert_eq(end, (int64_t)count * 100);
    storage_test_settle(&test);
    cr_assert_eq(test.spaces, 0);
    test.doors.hold_jobs = false;
    storage_test_settle(&test);
    cr_assert_gt(test.spaces, 0);
    unit_test_commit(&test, &units[count]);
    cr_assert_eq(units[count].status, 0);
    storage_test_wait(&test, &units[count].done);
    for (size_t i = 0; i <= count; i++)
        unit_test_end(&units[i]);
    out_done(&batch);
    storage_test_end(&test);
}

/* ---- the store ----------------------------------------------------------------------------- */

static bool collect(void *context, struct bytes key, struct bytes value, uint64_t lsn)
{
    char *to = context;
    (void)snprintf(to + strlen(to), 100 - strlen(to), "%.*s=%.*s;", (int)key.len,
        (const char *)key.data, (int)value.len, (const char *)value.data);
    return lsn > 0;
}

TEST(storage, lists_keys_by_prefix)
{
    struct storage_test test;
    storage_test_begin(&test);
    put(&test, "g/2", "b");
    put(&test, "g/1", "a");
    put(&test, "h/1", "c");
    put(&test, "g/3", "d");
    put(&test, "g/3", NULL);
    char found[100] = "";
    store_each(test.storage, STORE_OFFSET, text("g/"), collect, found);
    cr_assert_str_eq(found, "g/1=a;g/2=b;");
    found[0] = '\0';
    store_each(test.storage, STORE_OFFSET, text(""), collect, found);
    cr_assert_str_eq(found, "g/1=a;g/2=b;h/1=c;");
    static const char *const seen[][2] = { { "g/", "g/1=a;g/2=b;" }, { "g/1", "g/1=a;g/2=b;" },
        { "g/1\x01", "g/2=b;" }, { "g/3", "" }, { "h", "" } };
    for (size_t i = 0; i < ARRAY_COUNT(seen); i++) {
        found[0] = '\0';
        store_each_from(test.storage, STORE_OFFSET, text("g/"), text(seen[i][0]), collect, found);
        cr_assert_str_eq(found, seen[i][1], "from %s: %s", seen[i][0], found);
    }
    storage_test_kill(&test);
    cr_assert_str_eq(get(&test, "g/3"), "(absent)");
    cr_assert_str_eq(get(&test, "g/1"), "a");
    storage_test_end(&test);
}

/* ---- topics -------------------------------------------------------------------------------- */

static int create_status(struct storage_test *test, const char *name, int32_t partitions)
{
    struct unit_test unit;
    struct uuid id = uuid_random(&test->doors.random);
    begin(&unit);
    int status = unit_create_topic(&unit.unit, test->storage, text(name), &id, partitions, NULL, 0);
    unit_test_end(&unit);
    return status;
}

static int computed_read(void *context, struct log_read *read)
{
    (void)context;
    read->buffer = NULL;
    return 0;
}

TEST(storage, a_computed_topic_takes_nothing)
{
    struct storage_test test;
    storage_test_begin(&test);
    struct log_source source = { .read = computed_read };
    struct uuid id = { { 1 } };
    struct topic *topic =
        storage_add_computed(test.storage, text("view"), &id, 1, NULL, 0, &source);
    cr_assert(topic);
    struct log *log = topic->logs[0];
    struct out batch = storage_test_batch(&test, log, 0, 1);
    be_put16(batch.data + BATCH_AT_ATTRIBUTES, BATCH_ATTRIBUTE_TRANSACTIONAL);
    be_put64(batch.data + BATCH_AT_PRODUCER_ID, 7);
    batch_set_crc(batch.data);
    struct bytes bytes = bytes_of(batch.data, batch.len);
    int64_t base_offset, append_ms;
    uint64_t lsn;
    cr_assert_eq(log_check_producer(log, bytes, &base_offset, &append_ms, &lsn), PRODUCER_OK);
    struct unit_test unit = { 0 };
    unit_init(&unit.unit, NULL);
    unit_append(&unit.unit, log, bytes);
    cr_assert_eq(log_commit(test.storage, &unit.unit), -EBADMSG);
    cr_assert_eq(unit_raise_start(&unit.unit, log, 0), -EPERM);
    cr_assert_eq(unit_delete_topic(&unit.unit, test.storage, topic), -EPERM);
    unit_test_end(&unit);
    out_done(&batch);
    storage_test_end(&test);
}

TEST(storage, checks_names_and_counts_of_topics)
{
    struct storage_test test;
    storage_test_begin(&test);
    char name[260];
    memset(name, 'n', sizeof(name));
    cr_assert_eq(create_status(&test, "a/b", 1), -EINVAL);
    cr_assert_eq(create_status(&test, "..", 1), -EINVAL);
    cr_assert_eq(create_status(&test, ".", 1), -EINVAL);
    cr_assert_eq(create_status(&test, "", 1), -EINVAL);
    cr_assert_eq(create_status(&test, "t", 0), -EINVAL);
    name[249] = '\0';
    cr_assert_eq(create_status(&test, name, 100000), 0, "-99999 fits");
    cr_assert_eq(create_status(&test, name, 100001), -ENAMETOOLONG, "-100000 does not");
    name[249] = 'n';
    name[250] = '\0';
    cr_assert_eq(create_status(&test, name, 1), -ENAMETOOLONG);
    storage_test_topic(&test, "t", 1);
    cr_assert_eq(create_status(&test, "t", 1), -EEXIST);
    storage_test_end(&test);
}

TEST(storage, changes_of_topics_notice_other_changes)
{
    struct storage_test test;
    storage_test_begin(&test);
    struct uuid id = uuid_random(&test.doors.random), other_id = uuid_random(&test.doors.random);
    struct unit_test first, second;
    begin(&first);
    begin(&second);
    cr_assert_eq(unit_create_topic(&first.unit, test.storage, text("t"), &id, 1, NULL, 0), 0);
    cr_assert_eq(
        unit_create_topic(&first.unit, test.storage, text("t"), &other_id, 1, NULL, 0), -EEXIST);
    cr_assert_eq(
        unit_create_topic(&second.unit, test.storage, text("t"), &other_id, 1, NULL, 0), 0);
    commit_and_wait(&test, &first);
    unit_test_commit(&test, &second);
    cr_assert_eq(second.status, -EEXIST);
    unit_test_end(&second);

    struct topic *topic = storage_topic_by_id(test.storage, &id);
    cr_assert_eq(topic, storage_topic(test.storage, text("t")));
    begin(&first);
    begin(&second);
    struct topic_config_entry entry = { (char[]){ "retention.ms" }, (char[]){ "5000" } };
    cr_assert_eq(unit_add_partitions(&first.unit, test.storage, topic, 1), -EINVAL);
    cr_assert_eq(unit_add_partitions(&first.unit, test.storage, topic, 4), 0);
    cr_assert_eq(
        unit_set_topic_config(&first.unit, test.storage, topic, &entry, 1), -ESTALE, "one a unit");
    cr_assert_eq(unit_set_topic_config(&second.unit, test.storage, topic, &entry, 1), 0);
    commit_and_wait(&test, &first);
    cr_assert_eq(topic->log_count, 4);
    unit_test_commit(&test, &second);
    cr_assert_eq(second.status, -ESTALE, "built before there were four");
    unit_test_end(&second);

    begin(&first);
    begin(&second);
    cr_assert_eq(unit_set_topic_config(&first.unit, test.storage, topic, &entry, 1), 0);
    cr_assert_eq(unit_delete_topic(&second.unit, test.storage, topic), 0);
    commit_and_wait(&test, &second);
    unit_test_commit(&test, &first);
    cr_assert_eq(first.status, -ENOENT);
    unit_test_end(&first);
    storage_test_end(&test);
}

TEST(storage, topics_and_their_settings_stay)
{
    struct storage_test test;
    storage_test_begin(&test);
    storage_test_create(&test, "b", 2, "retention.ms", "5000");
    storage_test_create(&test, "a", 1, "cleanup.policy", "compact");
    storage_test_create(&test, "c", 3, NULL, NULL);
    struct unit_test unit;
    begin(&unit);
    cr_assert_eq(
        unit_add_partitions(&unit.unit, test.storage, storage_topic(test.storage, text("b")), 5),
        0);
    commit_and_wait(&test, &unit);
    cr_assert_eq(storage_test_append(&test, storage_test_log(&test, "b", 4), 3, -1), 0);
    struct uuid id = storage_topic(test.storage, text("b"))->id;
    for (int life = 0; life < 2; life++) {
        if (life)
            storage_test_reopen(&test);
        else
            storage_test_kill(&test);
        char order[8] = "";
        for (struct topic *t = NULL; (t = storage_topic_next(test.storage, t));)
            strcat(order, t->name);
        cr_assert_str_eq(order, "abc");
        cr_assert_eq(storage_topic_count(test.storage), 3);
        cr_assert_eq(storage_log_count(test.storage), 9);
        struct topic *topic = storage_topic(test.storage, text("b"));
        cr_assert(uuid_equal(topic->id, id));
        cr_assert_eq(topic->config.retention_ms, 5000);
        cr_assert_eq(topic->entry_count, 1);
        cr_assert_str_eq(topic->entries[0].name, "retention.ms");
        cr_assert_null(topic_log(topic, 5));
        cr_assert_null(topic_log(topic, -1));
        storage_test_check(&test, topic_log(topic, 4));
        cr_assert_eq(
            storage_topic(test.storage, text("a"))->config.cleanup_policy, CLEANUP_COMPACT);
    }
    storage_test_end(&test);
}

TEST(storage, removes_the_files_of_a_deleted_topic_and_no_others)
{
    struct storage_test test;
    storage_test_begin(&test);
    struct log *log = storage_test_topic(&test, "t", 2);
    struct log *kept = storage_test_topic(&test, "t-0", 1); /* a name to be confused with */
    cr_assert_eq(storage_test_append(&test, log, 3, -1), 0);
    cr_assert_eq(storage_test_append(&test, kept, 3, -1), 0);
    storage_test_pass(&test, 1200);
    cr_assert(doors_test_exists(&test.doors, "t-0/00000000000000000000.log"));
    cr_assert(!doors_test_exists(&test.doors, "t-1"));
    storage_test_delete(&test, "t");
    storage_test_settle(&test);
    cr_assert(!doors_test_exists(&test.doors, "t-0"));
    cr_assert(doors_test_exists(&test.doors, "t-0-0/00000000000000000000.log"));
    storage_test_check(&test, kept);
    cr_assert_eq(storage_topic_count(test.storage), 1);
    cr_assert_eq(storage_log_count(test.storage), 1);
    storage_test_end(&test);
}

/* Deleted and made again at once, many times, with a kill after `kill_after` of them. */
static void recreate(int kill_after)
{
    struct storage_test test;
    storage_test_begin(&test);
    for (int i = 0; i < 6; i++) {
        struct log *log = storage_test_topic(&test, "t", 1);
        cr_assert_eq(log->end_offset, 0);
        cr_assert_eq(storage_test_append(&test, log, 20 - i, -1), 0);
        if (i % 2)
            storage_test_pass(&test, 1200);
        if (i == kill_after)
            storage_test_kill(&test);
        log = storage_test_log(&test, "t", 0);
        cr_assert_eq(storage_test_append(&test, log, 1, -1), 0);
        cr_assert_eq(log->end_offset, 21 - i);
        if (i == 5)
            break;
        storage_test_delete(&test, "t");
        if (i == kill_after)
            storage_test_kill(&test);
    }
    storage_test_pass(&test, 1200);
    struct log *log = storage_test_log(&test, "t", 0);
    storage_test_check(&test, log);
    size_t len;
    uint8_t *bytes = doors_test_file(&test.doors, "t-0/00000000000000000000.log", &len);
    cr_assert_eq(len, log->size_bytes);
    mem_free(bytes);
    storage_test_kill(&test);
    storage_test_check(&test, storage_test_log(&test, "t", 0));
    storage_test_end(&test);
}

TEST(storage, a_topic_may_be_made_again_at_once)
{
    for (int kill_after = -1; kill_after < 5; kill_after++)
        recreate(kill_after);
}

TEST(storage, a_new_topic_waits_for_the_old_directory_to_be_gone)
{
    struct storage_test test;
    storage_test_begin(&test);
    struct log *log = storage_test_topic(&test, "t", 1);
    cr_assert_eq(storage_test_append(&test, log, 20, -1), 0);
    storage_test_reopen(&test);
    log = storage_test_log(&test, "t", 0);
    test.doors.hold_jobs = true;
    struct log_read read = { .log = log, .end_offset = 20, .max_bytes = 100, .at_least_one = true };
    cr_assert_eq(log_read(test.storage, &read), -EINPROGRESS);
    log_read_cancel(&read); /* but the pool still has it: the directory can't go yet */
    storage_test_delete(&test, "t");
    log = storage_test_topic(&test, "t", 1);
    cr_assert_eq(storage_test_append(&test, log, 3, -1), 0);
    storage_test_pass(&test, 1500);
    test.doors.hold_jobs = false;
    storage_test_pass(&test, 1500);
    storage_test_check(&test, log);
    /* No file system promises at every time not to wait (tmpfs never does). */
    struct storage_stats stats = storage_stats(test.storage);
    cr_assert_gt(stats.reads_warm + stats.reads_cold, 0);
    cr_assert(doors_test_exists(&test.doors, "t-0/00000000000000000000.log"));
    storage_test_kill(&test);
    storage_test_check(&test, storage_test_log(&test, "t", 0));
    storage_test_end(&test);
}

TEST(storage, a_new_topic_writes_over_an_old_file_of_its_name)
{
    struct storage_test test;
    storage_test_begin(&test);
    struct log *log = storage_test_topic(&test, "t", 1);
    cr_assert_eq(storage_test_append(&test, log, 50, -1), 0);
    storage_test_pass(&test, 1200);
    test.doors.hold_jobs = true; /* the old directory is never removed */
    storage_test_delete(&test, "t");
    log = storage_test_topic(&test, "t", 1);
    cr_assert_eq(storage_test_append(&test, log, 3, -1), 0);
    uint64_t size = log->size_bytes;
    storage_test_crash(&test);
    test.doors.hold_jobs = false;
    size_t len;
    uint8_t *bytes = doors_test_file(&test.doors, "t-0/00000000000000000000.log", &len);
    cr_assert_gt(len, size);
    mem_free(bytes);
    storage_test_open(&test);
    bytes = doors_test_file(&test.doors, "t-0/00000000000000000000.log", &len);
    cr_assert_eq(len, size);
    mem_free(bytes);
    storage_test_check(&test, storage_test_log(&test, "t", 0));
    storage_test_end(&test);
}

TEST(storage, clears_up_what_a_crash_left)
{
    struct storage_test test;
    storage_test_begin(&test);
    struct log *log = storage_test_topic(&test, "t", 1);
    cr_assert_eq(storage_test_append(&test, log, 3, -1), 0);
    storage_test_pass(&test, 1200);
    storage_test_crash(&test);
    doors_test_overwrite(&test.doors, "t-0/00000000000000004711.log", 0, "stale", 5);
    doors_test_overwrite(&test.doors, "t-0/7-notes.txt", 0, "mine", 4);
    char *orphan = mem_printf("%s/gone-3", test.doors.dir);
    cr_assert_eq(test.doors.inner->table->mkdir(test.doors.inner, orphan), 0);
    mem_free(orphan);
    doors_test_overwrite(&test.doors, "gone-3/00000000000000000000.log", 0, "stale", 5);
    storage_test_open(&test);
    storage_test_settle(&test);
    cr_assert(!doors_test_exists(&test.doors, "t-0/00000000000000004711.log"));
    cr_assert(doors_test_exists(&test.doors, "t-0/7-notes.txt"), "not ours to remove");
    cr_assert(!doors_test_exists(&test.doors, "gone-3"));
    storage_test_check(&test, storage_test_log(&test, "t", 0));
    storage_test_end(&test);
}

/* ---- waiting ------------------------------------------------------------------------------- */

struct waker {
    struct log_waiter waiter;
    int64_t seen;
    int times;
};

static void woken(struct log_waiter *waiter, struct log *log)
{
    struct waker *waker = container_of(waiter, struct waker, waiter);
    waker->seen = log->topic->deleted ? -1 : log->high_watermark;
    waker->times++;
    if (log->topic->deleted)
        log_wait_cancel(waiter);
}

TEST(storage, wakes_once_for_all_that_became_visible)
{
    struct storage_test test;
    storage_test_begin(&test);
    struct log *log = storage_test_topic(&test, "t", 1);
    struct waker waker = { .waiter = { .wake = woken } };
    log_wait(log, &waker.waiter);
    struct out batch = storage_test_batch(&test, log, 0, 2);
    struct unit_test units[5];
    for (size_t i = 0; i < ARRAY_COUNT(units); i++) {
        begin(&units[i]);
        unit_append(&units[i].unit, log, bytes_of(batch.data, batch.len));
        unit_test_commit(&test, &units[i]);
    }
    cr_assert_eq(waker.times, 0);
    storage_test_wait(&test, &units[4].done);
    cr_assert_eq(waker.times, 1);
    cr_assert_eq(waker.seen, 10);
    for (size_t i = 0; i < ARRAY_COUNT(units); i++) {
        cr_assert(units[i].done);
        unit_test_end(&units[i]);
    }
    out_done(&batch);
    storage_test_delete(&test, "t");
    cr_assert_eq(waker.times, 2);
    cr_assert_eq(waker.seen, -1);
    storage_test_settle(&test);
    storage_test_end(&test);
}

struct lsn_waiter {
    struct storage_waiter waiter;
    bool done;
};

static void lsn_reached(struct storage_waiter *waiter)
{
    container_of(waiter, struct lsn_waiter, waiter)->done = true;
}

TEST(storage, tells_when_a_position_is_durable)
{
    struct storage_test test;
    storage_test_begin(&test);
    struct topic *topic = storage_test_create(&test, "t", 1, "durability", "os");
    struct lsn_waiter past = { .waiter = { .lsn = topic->lsn, .done = lsn_reached } };
    storage_wait(test.storage, &past.waiter);
    cr_assert(!past.done, "never inside");
    storage_turn(test.storage);
    cr_assert(past.done);
    past.done = false;
    storage_wait(test.storage, &past.waiter);
    doors_test_pass(&test.doors, 0); /* no turn comes: its timer does */
    cr_assert(past.done);

    struct unit_test unit;
    struct out batch = storage_test_batch(&test, topic->logs[0], 0, 2);
    begin(&unit);
    unit_append(&unit.unit, topic->logs[0], bytes_of(batch.data, batch.len));
    unit_test_commit(&test, &unit);
    storage_test_wait(&test, &unit.done);
    cr_assert(!storage_is_durable(test.storage, unit.unit.end_lsn));
    struct lsn_waiter next = { .waiter = { .lsn = unit.unit.end_lsn, .done = lsn_reached } };
    struct lsn_waiter cancelled = next;
    storage_wait(test.storage, &next.waiter);
    storage_wait(test.storage, &cancelled.waiter);
    storage_wait_cancel(&cancelled.waiter);
    storage_test_wait(&test, &next.done);
    cr_assert(storage_is_durable(test.storage, unit.unit.end_lsn), "somebody wanted to know");
    cr_assert(!cancelled.done);
    unit_test_end(&unit);
    out_done(&batch);
    storage_test_end(&test);
}

/* ---- close --------------------------------------------------------------------------------- */

static void close_told(void *context, int status)
{
    int *told = context;
    *told = status;
}

TEST(storage, closing_refuses_commits_and_ends_what_is_on_its_way)
{
    struct storage_test test;
    storage_test_begin(&test);
    struct log *log = storage_test_topic(&test, "t", 1);
    struct out batch = storage_test_batch(&test, log, 0, 2);
    struct unit_test unit, late;
    begin(&unit);
    begin(&late);
    unit_append(&unit.unit, log, bytes_of(batch.data, batch.len));
    unit_append(&late.unit, log, bytes_of(batch.data, batch.len));
    unit_test_commit(&test, &unit);
    int told = 1;
    storage_close(test.storage, close_told, &told);
    cr_assert_eq(told, 1, "never inside");
    unit_test_commit(&test, &late);
    cr_assert_eq(late.status, -ESHUTDOWN);
    for (int i = 0; told == 1 && i < 10000; i++)
        storage_test_turn(&test);
    cr_assert_eq(told, 0);
    cr_assert(unit.done);
    unit_test_end(&unit);
    unit_test_end(&late);
    out_done(&batch);
    storage_destroy(test.storage);
    storage_test_open(&test);
    cr_assert(!storage_was_unclean(test.storage));
    cr_assert_eq(storage_stats(test.storage).replayed_records, 0);
    storage_test_check(&test, storage_test_log(&test, "t", 0));
    storage_test_end(&test);
}
