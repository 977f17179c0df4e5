/* See compaction.h: whole logs in a storage on test doors. */
#include "storage/compaction.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "protocol/base/mem.h"
#include "protocol/record.h"
#include "storage/owner.h"
#include "tests/test.h"
#include "tests/unit/storage_test.h"

enum { KEYS = 20 };

/* A compacted log, and what its keys are. */
struct trial {
    struct storage_test test;
    struct log *log;
    int64_t value[KEYS]; /* the number written last; -1: a tombstone, 0: never */
    int64_t next;
    int64_t producer_id; /* -1: none */
};

static void config_set(struct trial *trial, const char *name, const char *key, const char *value)
{
    struct unit unit;
    struct topic *topic = storage_topic(trial->test.storage, bytes_text(name));
    char keys[2][64], values[2][64];
    (void)snprintf(keys[0], 64, "cleanup.policy");
    (void)snprintf(values[0], 64, "compact");
    (void)snprintf(keys[1], 64, "%s", key);
    (void)snprintf(values[1], 64, "%s", value);
    bool policy = strcmp(key, "cleanup.policy") == 0;
    struct topic_config_entry entries[] = { { keys[1], values[1] }, { keys[0], values[0] } };
    unit_init(&unit, unit_done);
    cr_assert_eq(
        unit_set_topic_config(&unit, trial->test.storage, topic, entries, policy ? 1 : 2), 0);
    cr_assert_eq(log_commit(trial->test.storage, &unit), 0);
    storage_test_settle(&trial->test);
}

static void setup(struct trial *trial)
{
    *trial = (struct trial){ .producer_id = -1 };
    storage_test_setup(&trial->test);
    trial->test.config.defaults.segment_bytes = 4096;
    trial->test.config.defaults.file_delete_delay_ms = 0;
    trial->test.config.defaults.min_cleanable_dirty_ratio = 0;
    trial->test.config.checkpoint_ms = 500;
    trial->test.config.cleaner.backoff_ms = 1000;
    trial->test.config.writeback_age_ms = 100;
}

static void open_topic(struct trial *trial)
{
    storage_test_open(&trial->test);
    trial->log =
        topic_log(storage_test_create(&trial->test, "t", 1, "cleanup.policy", "compact"), 0);
}

static void begin(struct trial *trial)
{
    setup(trial);
    open_topic(trial);
}

static void log_again(struct trial *trial)
{
    trial->log = storage_test_log(&trial->test, "t", 0);
}

static void reopen(struct trial *trial)
{
    storage_test_reopen(&trial->test);
    log_again(trial);
}

/* One record: key n gets a new value, or a tombstone. It will be at `offset`. */
static struct out batch_of(struct trial *trial, int key, bool tombstone, int64_t offset)
{
    struct batch_options options = batch_options_plain(CODEC_NONE);
    struct batch_builder builder = { 0 };
    struct out batch = { 0 };
    char text[16], value[200];
    int len = snprintf(text, sizeof(text), "key%d", key);
    int value_len = snprintf(value, sizeof(value), "%" PRId64, ++trial->next);
    memset(value + value_len, ' ', sizeof(value) - (size_t)value_len);
    if (trial->producer_id >= 0) {
        options.producer_id = trial->producer_id;
        options.producer_epoch = 0;
        options.base_sequence = (int32_t)offset;
    }
    struct record_view record = { .timestamp = trial->test.doors.wall_ms,
        .key = bytes_of(text, (size_t)len),
        .value = tombstone ? bytes_of(NULL, 0) : bytes_of(value, sizeof(value)) };
    batch_builder_begin(&builder, &options);
    cr_assert_eq(batch_builder_append(&builder, &record), 0);
    cr_assert_eq(batch_builder_finish(&builder, NULL, &batch), 0);
    batch_builder_done(&builder);
    trial->value[key] = tombstone ? -1 : trial->next;
    return batch;
}

/* Batches of a record each for `count` keys from `key` on, in one unit. */
static void write_keys(struct trial *trial, int key, int count, bool tombstone)
{
    struct unit_test unit = { 0 };
    struct out batches[KEYS];
    unit_init(&unit.unit, NULL);
    unit.unit.acks = 1;
    for (int i = 0; i < count; i++) {
        batches[i] = batch_of(trial, key + i, tombstone, trial->log->end_offset + i);
        unit_append(&unit.unit, trial->log, bytes_of(batches[i].data, batches[i].len));
    }
    unit_test_commit(&trial->test, &unit);
    cr_assert_eq(unit.status, 0);
    for (int i = 0; i < count; i++)
        out_done(&batches[i]);
    storage_test_wait(&trial->test, &unit.done);
    unit_test_end(&unit);
}

static void write_key(struct trial *trial, int key, bool tombstone)
{
    write_keys(trial, key, 1, tombstone);
}

static void write_round(struct trial *trial, int count)
{
    for (; count > 0; count -= KEYS)
        write_keys(trial, 0, count < KEYS ? count : KEYS, false);
}

static void pass(struct trial *trial, int64_t ms)
{
    storage_test_pass(&trial->test, ms);
}

/* A long time in which nothing happens. */
static void pass_at_once(struct trial *trial, int64_t ms)
{
    doors_test_pass(&trial->test.doors, ms);
    storage_test_settle(&trial->test);
}

static struct storage_stats stats(const struct trial *trial)
{
    return storage_stats(trial->test.storage);
}

/* What a consumer from the beginning finds. */
struct found {
    int64_t value[KEYS]; /* as of the trial's */
    int records;
    int64_t last; /* offset after the last batch */
};

static void found_batch(struct found *found, const struct batch_view *batch)
{
    struct record_reader reader;
    struct record_view record;
    cr_assert_eq(batch_check(batch), BATCH_OK);
    cr_assert_geq(batch->base_offset, found->last, "offsets do not go backwards");
    record_reader_init(&reader, batch, batch->records);
    while (record_next(&reader, &record)) {
        int key = atoi((const char *)record.key.data + 3);
        found->value[key] =
            record.value.data ? strtoll((const char *)record.value.data, NULL, 10) : -1;
        found->records++;
    }
    cr_assert_eq(record_reader_end(&reader), 0);
    found->last = batch_last_offset(batch) + 1;
}

static struct found consume(struct trial *trial)
{
    struct found found = { .last = trial->log->start_offset };
    while (found.last < trial->log->high_watermark) {
        struct buffer *buffer;
        int status = storage_test_read(&trial->test, trial->log, found.last, 3000, &buffer);
        cr_assert_eq(status, 0, "%d: %s", status, trial->test.doors.said);
        cr_assert_not_null(buffer, "nothing at %" PRId64, found.last);
        struct bytes run = bytes_of(buffer->data, buffer->len);
        while (run.len) {
            struct batch_view batch;
            cr_assert_eq(batch_next(&run, &batch), BATCH_OK);
            found_batch(&found, &batch);
        }
        buffer_unref(buffer);
    }
    return found;
}

static int check(struct trial *trial)
{
    struct found found = consume(trial);
    for (int i = 0; i < KEYS; i++) {
        bool same =
            found.value[i] == trial->value[i] || (found.value[i] == 0 && trial->value[i] == -1);
        cr_assert(
            same, "key %d is %" PRId64 ", written %" PRId64, i, found.value[i], trial->value[i]);
    }
    return found.records;
}

static int files(const struct trial *trial)
{
    char command[600];
    (void)snprintf(
        command, sizeof(command), "ls %s/t-0/*.log 2>/dev/null | wc -l", trial->test.doors.dir);
    FILE *pipe = popen(command, "r");
    int count = -1;
    cr_assert_eq(fscanf(pipe, "%d", &count), 1);
    (void)pclose(pipe);
    return count;
}

static void end(struct trial *trial)
{
    storage_test_end(&trial->test);
}

/* ---- the whole way ------------------------------------------------------------------------- */

TEST(compaction, leaves_the_newest_of_each_key_over_any_end)
{
    struct trial trial;
    begin(&trial);
    write_round(&trial, 200);
    int before = check(&trial);
    pass(&trial, 3000);
    cr_assert_gt(stats(&trial).compactions, 0, "%s", trial.test.doors.said);
    int after = check(&trial);
    cr_assert_eq(before, 200);
    cr_assert_lt(after, KEYS + 25, "the active segment is left alone: %d", after);
    cr_assert_leq(files(&trial), 3);
    cr_assert(trial.log->body->segments[0]->claim.flags & SEGMENT_SPARSE, "it has holes");
    cr_assert_eq(trial.log->end_offset, 200);
    reopen(&trial);
    cr_assert_eq(check(&trial), after);
    storage_test_kill(&trial.test);
    log_again(&trial);
    cr_assert_eq(check(&trial), after);
    write_round(&trial, 200);
    pass(&trial, 3000);
    cr_assert_lt(check(&trial), KEYS + 25);
    end(&trial);
}

TEST(compaction, groups_small_segments_into_one)
{
    struct trial trial;
    begin(&trial);
    write_round(&trial, 400);
    size_t before = trial.log->body->segment_count;
    pass(&trial, 3000);
    cr_assert_gt(before, 20);
    pass(&trial, 3000);
    write_round(&trial, 100); /* its first pass left pieces; the next one joins them */
    pass(&trial, 3000);
    cr_assert_leq(trial.log->body->segment_count, 4, "%zu", trial.log->body->segment_count);
    uint64_t size = 0;
    for (size_t i = 0; i < trial.log->body->segment_count; i++)
        size += trial.log->body->segments[i]->claim.size;
    cr_assert_eq(trial.log->size_bytes, size);
    (void)check(&trial);
    end(&trial);
}

TEST(compaction, a_log_that_only_deletes_is_left_alone_until_its_policy_changes)
{
    struct trial trial;
    begin(&trial);
    config_set(&trial, "t", "cleanup.policy", "delete");
    write_round(&trial, 200);
    pass(&trial, 5000);
    cr_assert_eq(stats(&trial).compactions, 0);
    config_set(&trial, "t", "cleanup.policy", "delete,compact");
    pass(&trial, 5000);
    cr_assert_gt(stats(&trial).compactions, 0);
    (void)check(&trial);
    end(&trial);
}

TEST(compaction, the_cleaner_can_be_switched_off)
{
    struct trial trial;
    setup(&trial);
    trial.test.config.cleaner.enable = false;
    open_topic(&trial);
    write_round(&trial, 200);
    pass(&trial, 5000);
    cr_assert_eq(stats(&trial).compactions, 0);
    end(&trial);
}

/* ---- when ---------------------------------------------------------------------------------- */

TEST(compaction, waits_for_the_dirty_ratio)
{
    struct trial trial;
    begin(&trial);
    write_round(&trial, 200);
    pass(&trial, 3000);
    uint64_t rounds = stats(&trial).compaction_rounds;
    cr_assert_gt(rounds, 0);
    config_set(&trial, "t", "min.cleanable.dirty.ratio", "0.9");
    write_round(&trial, 100); /* about 20 KB of dirt on 4 KB */
    pass(&trial, 5000);
    cr_assert_eq(stats(&trial).compaction_rounds, rounds, "82 %% is not more than 90 %%");
    write_round(&trial, 400);
    pass(&trial, 5000);
    cr_assert_gt(stats(&trial).compaction_rounds, rounds);
    end(&trial);
}

TEST(compaction, leaves_what_is_younger_than_the_minimal_lag)
{
    struct trial trial;
    begin(&trial);
    config_set(&trial, "t", "min.compaction.lag.ms", "60000");
    write_round(&trial, 200);
    pass(&trial, 3000);
    pass_at_once(&trial, 17000);
    cr_assert_eq(stats(&trial).compactions, 0);
    cr_assert_eq(check(&trial), 200);
    write_round(&trial, 100);
    pass_at_once(&trial, 42000);
    pass(&trial, 3000); /* the first 200 are old enough now, the others are not */
    cr_assert_gt(stats(&trial).compactions, 0);
    int left = check(&trial);
    cr_assert(left > 100 && left < 160, "%d", left);
    end(&trial);
}

TEST(compaction, the_maximal_lag_does_not_wait_for_the_ratio)
{
    struct trial trial;
    begin(&trial);
    config_set(&trial, "t", "min.cleanable.dirty.ratio", "1");
    write_round(&trial, 200);
    pass(&trial, 3000);
    pass_at_once(&trial, 17000);
    cr_assert_eq(stats(&trial).compactions, 0);
    struct unit unit;
    char names[3][64] = { "cleanup.policy", "min.cleanable.dirty.ratio", "max.compaction.lag.ms" };
    char values[3][64] = { "compact", "1", "30000" };
    struct topic_config_entry entries[3];
    for (int i = 0; i < 3; i++)
        entries[i] = (struct topic_config_entry){ names[i], values[i] };
    unit_init(&unit, unit_done);
    cr_assert_eq(unit_set_topic_config(&unit, trial.test.storage, trial.log->topic, entries, 3), 0);
    cr_assert_eq(log_commit(trial.test.storage, &unit), 0);
    pass(&trial, 5000);
    cr_assert_eq(stats(&trial).compactions, 0, "nothing is older than 30 s");
    pass(&trial, 10000);
    cr_assert_gt(stats(&trial).compactions, 0);
    (void)check(&trial);
    end(&trial);
}

TEST(compaction, keeps_a_tombstone_for_its_time_and_then_lets_it_fall)
{
    struct trial trial;
    begin(&trial);
    config_set(&trial, "t", "delete.retention.ms", "60000");
    write_round(&trial, 40);
    write_key(&trial, 3, true);
    write_round(&trial, 3);
    for (int i = 0; i < 40; i++)
        write_key(&trial, 7, false);
    pass(&trial, 5000);
    cr_assert_gt(stats(&trial).compaction_horizons, 0);
    cr_assert_eq(consume(&trial).value[3], -1, "the tombstone is told");
    (void)check(&trial);
    pass_at_once(&trial, 70000);
    for (int i = 0; i < 40; i++) /* dirt, so that it is cleaned again */
        write_key(&trial, 7, false);
    pass(&trial, 5000);
    cr_assert_eq(consume(&trial).value[3], 0, "nothing of the key is left");
    (void)check(&trial);
    end(&trial);
}

TEST(compaction, several_rounds_when_the_keys_do_not_fit)
{
    struct trial trial;
    setup(&trial);
    trial.test.config.cleaner.dedupe_bytes = 0; /* OFFSET_MAP_KEYS_MIN keys */
    open_topic(&trial);
    char name[32];
    for (int i = 0; i < 600; i++) {
        struct storage_test *test = &trial.test;
        struct batch_options options = batch_options_plain(CODEC_NONE);
        struct batch_builder builder = { 0 };
        struct out batch = { 0 };
        struct unit_test unit = { 0 };
        int len = snprintf(name, sizeof(name), "key%d", 100 + i % 200);
        struct record_view record = {
            .timestamp = 1, .key = bytes_of(name, (size_t)len), .value = bytes_text("value")
        };
        batch_builder_begin(&builder, &options);
        cr_assert_eq(batch_builder_append(&builder, &record), 0);
        cr_assert_eq(batch_builder_finish(&builder, NULL, &batch), 0);
        batch_builder_done(&builder);
        unit_init(&unit.unit, NULL);
        unit.unit.acks = 1;
        unit_append(&unit.unit, trial.log, bytes_of(batch.data, batch.len));
        unit_test_commit(test, &unit);
        storage_test_wait(test, &unit.done);
        unit_test_end(&unit);
        out_done(&batch);
    }
    pass(&trial, 10000);
    cr_assert_gt(stats(&trial).compaction_full_maps, 3);
    cr_assert_lt(trial.log->size_bytes, 300 * 90, "%" PRIu64, trial.log->size_bytes);
    end(&trial);
}

TEST(compaction, keeps_the_last_batch_of_a_live_producer)
{
    struct trial trial;
    begin(&trial);
    trial.producer_id = 77;
    trial.test.doors.wall_ms += 1000; /* its records have the greatest timestamps */
    write_round(&trial, 10);
    trial.producer_id = -1;
    trial.test.doors.wall_ms -= 1000;
    write_round(&trial, 200);
    pass(&trial, 3000);
    cr_assert_gt(stats(&trial).compactions, 0);
    struct buffer *buffer;
    struct batch_view batch;
    cr_assert_eq(storage_test_read(&trial.test, trial.log, 0, 100, &buffer), 0);
    struct bytes run = bytes_of(buffer->data, buffer->len);
    cr_assert_eq(batch_next(&run, &batch), BATCH_OK);
    cr_assert_eq(batch.base_offset, 9);
    cr_assert_eq(batch.producer_id, 77);
    cr_assert_eq(batch.base_sequence, 9);
    cr_assert_eq(batch.count, 0);
    buffer_unref(buffer);
    (void)check(&trial);
    struct log_find_time find;
    cr_assert_eq(storage_test_find(&trial.test, trial.log, 0, true, &find), 0);
    cr_assert_gt(find.offset, 9, "an empty batch has no greatest timestamp");
    reopen(&trial);
    cr_assert_eq(storage_test_find(&trial.test, trial.log, 0, true, &find), 0);
    cr_assert_gt(find.offset, 9);
    end(&trial);
}

static void commit_batch(struct trial *trial, const struct out *batch)
{
    struct unit_test unit = { 0 };
    unit_init(&unit.unit, NULL);
    unit.unit.acks = 1;
    unit_append(&unit.unit, trial->log, bytes_of(batch->data, batch->len));
    unit_test_commit(&trial->test, &unit);
    cr_assert_eq(unit.status, 0);
    storage_test_wait(&trial->test, &unit.done);
    unit_test_end(&unit);
}

/* key 0 is written in a transaction that ends so. */
static void write_transaction(struct trial *trial, int32_t sequence, bool commit)
{
    struct batch_options options = batch_options_plain(CODEC_NONE);
    struct batch_builder builder = { 0 };
    struct out batch = { 0 }, marker = { 0 };
    options.producer_id = 5;
    options.producer_epoch = 0;
    options.base_sequence = sequence;
    options.attributes = BATCH_ATTRIBUTE_TRANSACTIONAL;
    struct record_view record = {
        .timestamp = 1, .key = bytes_text("key0"), .value = bytes_text(commit ? "1111" : "6666")
    };
    batch_builder_begin(&builder, &options);
    cr_assert_eq(batch_builder_append(&builder, &record), 0);
    cr_assert_eq(batch_builder_finish(&builder, NULL, &batch), 0);
    batch_builder_done(&builder);
    control_build(&marker, &options, commit, 1, 1);
    commit_batch(trial, &batch);
    commit_batch(trial, &marker);
    out_done(&batch);
    out_done(&marker);
}

static bool count_aborted(void *context, const struct aborted_transaction *aborted)
{
    (void)aborted;
    ++*(int *)context;
    return true;
}

static int aborted(const struct trial *trial)
{
    int count = 0;
    log_each_aborted(trial->log, 0, INT64_MAX, count_aborted, &count);
    return count;
}

TEST(compaction, aborted_data_goes_and_later_so_does_the_memory_of_it)
{
    struct trial trial;
    begin(&trial);
    write_transaction(&trial, 0, true);
    write_transaction(&trial, 1, false);
    for (int i = 1; i < 100; i++)
        write_key(&trial, 1 + i % (KEYS - 1), false);
    cr_assert_eq(aborted(&trial), 1);
    pass(&trial, 3000);
    struct buffer *buffer;
    cr_assert_eq(storage_test_read(&trial.test, trial.log, 0, 400, &buffer), 0);
    cr_assert_not_null(memmem(buffer->data, buffer->len, "1111", 4));
    cr_assert_null(memmem(buffer->data, buffer->len, "6666", 4));
    buffer_unref(buffer);
    cr_assert_eq(aborted(&trial), 1, "somebody may be reading it");
    for (int i = 1; i < 100; i++)
        write_key(&trial, 1 + i % (KEYS - 1), false);
    pass(&trial, 3000);
    cr_assert_eq(aborted(&trial), 0);
    storage_test_kill(&trial.test);
    log_again(&trial);
    cr_assert_eq(aborted(&trial), 0);
    end(&trial);
}

TEST(compaction, an_open_transaction_holds_it_back)
{
    struct trial trial;
    begin(&trial);
    struct batch_options options = batch_options_plain(CODEC_NONE);
    struct batch_builder builder = { 0 };
    struct out batch = { 0 };
    options.producer_id = 5;
    options.producer_epoch = 0;
    options.base_sequence = 0;
    options.attributes = BATCH_ATTRIBUTE_TRANSACTIONAL;
    struct record_view record = { .timestamp = 1, .key = bytes_text("key0") };
    batch_builder_begin(&builder, &options);
    cr_assert_eq(batch_builder_append(&builder, &record), 0);
    cr_assert_eq(batch_builder_finish(&builder, NULL, &batch), 0);
    batch_builder_done(&builder);
    write_round(&trial, 5);
    commit_batch(&trial, &batch);
    out_done(&batch);
    for (int i = 1; i < 200; i++)
        write_key(&trial, 1 + i % (KEYS - 1), false);
    pass(&trial, 5000);
    cr_assert_eq(trial.log->last_stable_offset, 5);
    cr_assert_eq(stats(&trial).compactions, 0);
    batch = (struct out){ 0 };
    control_build(&batch, &options, true, 1, 1);
    commit_batch(&trial, &batch);
    out_done(&batch);
    pass(&trial, 5000);
    cr_assert_gt(stats(&trial).compactions, 0);
    end(&trial);
}

/* ---- beside other things ------------------------------------------------------------------- */

TEST(compaction, reads_go_on_before_and_behind_the_holes)
{
    struct trial trial;
    begin(&trial);
    write_round(&trial, 200);
    pass(&trial, 3000);
    write_round(&trial, 3);
    for (int64_t offset = 0; offset < trial.log->high_watermark; offset++) {
        struct buffer *buffer;
        struct batch_view batch;
        cr_assert_eq(storage_test_read(&trial.test, trial.log, offset, 1, &buffer), 0);
        cr_assert_not_null(buffer, "at %" PRId64, offset);
        cr_assert_eq(batch_parse(bytes_of(buffer->data, buffer->len), &batch), BATCH_OK);
        cr_assert_geq(batch_last_offset(&batch), offset);
        buffer_unref(buffer);
        struct log_find_time find;
        cr_assert_eq(storage_test_find(&trial.test, trial.log, offset, false, &find), 0);
        cr_assert_geq(find.offset, 0);
    }
    end(&trial);
}

TEST(compaction, reads_go_on_into_the_ring)
{
    struct trial trial;
    setup(&trial);
    trial.test.config.writeback_age_ms = 1000000;
    open_topic(&trial);
    write_round(&trial, 40);
    struct log *log = trial.log;
    size_t last = log->body->segment_count - 1;
    int64_t base = log->body->segments[last]->claim.base_offset;
    while (log->body->segments[last]->written < log->body->segments[last]->claim.size ||
           log->body->segment_count == last + 1)
        write_key(&trial, 1, false), pass(&trial, 500);
    cr_assert_gt(log->body->segment_count, last + 1);
    pass(&trial, 3000);
    cr_assert_gt(stats(&trial).compactions, 0);
    write_round(&trial, 30);
    for (int64_t offset = base; offset < log->high_watermark; offset++) {
        struct buffer *buffer;
        cr_assert_eq(storage_test_read(&trial.test, log, offset, 1, &buffer), 0);
        cr_assert_not_null(buffer, "at %" PRId64, offset);
        buffer_unref(buffer);
    }
    (void)check(&trial);
    end(&trial);
}

TEST(compaction, paces_itself)
{
    struct trial trial;
    setup(&trial);
    trial.test.config.cleaner.bytes_per_second = 8192;
    open_topic(&trial);
    write_round(&trial, 200); /* 55 KB: learning takes 7 s, passing as long */
    pass(&trial, 5000);
    cr_assert_eq(stats(&trial).compactions, 0);
    pass(&trial, 20000);
    cr_assert_gt(stats(&trial).compactions, 0);
    (void)check(&trial);
    end(&trial);
}

TEST(compaction, ends_when_the_topic_is_deleted)
{
    struct trial trial;
    setup(&trial);
    trial.test.config.cleaner.bytes_per_second = 1; /* for ever */
    open_topic(&trial);
    write_round(&trial, 200);
    pass(&trial, 5000);
    cr_assert_not_null(trial.test.storage->compaction.round);
    storage_test_delete(&trial.test, "t");
    storage_test_settle(&trial.test);
    cr_assert_null(trial.test.storage->compaction.round);
    cr_assert(!doors_test_exists(&trial.test.doors, "t-0"));
    end(&trial);
}

TEST(compaction, ends_when_storage_closes_and_begins_anew)
{
    struct trial trial;
    setup(&trial);
    trial.test.config.cleaner.bytes_per_second = 1;
    open_topic(&trial);
    write_round(&trial, 200);
    pass(&trial, 5000);
    cr_assert_not_null(trial.test.storage->compaction.round);
    cr_assert_eq(storage_test_close(&trial.test), 0);
    trial.test.config.cleaner.bytes_per_second = 0;
    storage_test_open(&trial.test);
    log_again(&trial);
    pass(&trial, 5000);
    cr_assert_gt(stats(&trial).compactions, 0);
    cr_assert_lt(check(&trial), KEYS + 25);
    end(&trial);
}

TEST(compaction, ends_when_what_it_reads_is_deleted)
{
    struct trial trial;
    setup(&trial);
    trial.test.config.cleaner.bytes_per_second = 1;
    open_topic(&trial);
    write_round(&trial, 200);
    pass(&trial, 5000);
    cr_assert_not_null(trial.test.storage->compaction.round);
    struct unit unit;
    unit_init(&unit, unit_done);
    cr_assert_eq(unit_raise_start(&unit, trial.log, 100), 0);
    cr_assert_eq(log_commit(trial.test.storage, &unit), 0);
    storage_test_settle(&trial.test);
    cr_assert_null(trial.test.storage->compaction.round);
    (void)check(&trial);
    end(&trial);
}

TEST(compaction, a_damaged_batch_makes_a_log_uncleanable_and_the_others_go_on)
{
    struct trial trial;
    setup(&trial);
    trial.test.config.cleaner.enable = false;
    open_topic(&trial);
    write_round(&trial, 100);
    (void)storage_test_create(&trial.test, "u", 1, "cleanup.policy", "compact");
    struct log *first = trial.log;
    trial.log = storage_test_log(&trial.test, "u", 0);
    write_round(&trial, 200);
    pass(&trial, 2000);
    cr_assert_eq(storage_test_close(&trial.test), 0);
    (void)first;
    uint8_t wrong = 0xa5;
    doors_test_overwrite(
        &trial.test.doors, "t-0/00000000000000000000.log", 1000, &wrong, sizeof(wrong));
    trial.test.config.cleaner.enable = true;
    storage_test_open(&trial.test);
    trial.log = storage_test_log(&trial.test, "u", 0);
    pass(&trial, 8000);
    cr_assert(
        doors_test_said(&trial.test.doors, "t-0 can't be compacted"), "%s", trial.test.doors.said);
    cr_assert_eq(stats(&trial).logs_uncleanable, 1);
    cr_assert_gt(stats(&trial).compactions, 0);
    cr_assert_lt(check(&trial), KEYS + 25);
    cr_assert_eq(trial.test.failed, 0);
    end(&trial);
}

TEST(compaction, a_new_segment_has_a_footer_and_its_damage_is_found)
{
    struct trial trial;
    begin(&trial);
    write_round(&trial, 200);
    pass(&trial, 3000);
    const struct segment_claim claim = trial.log->body->segments[0]->claim;
    cr_assert_gt(claim.generation, 0);
    cr_assert(claim.flags & SEGMENT_ROOTED);
    char name[2][100];
    for (int i = 0; i < 2; i++)
        (void)snprintf(name[i], sizeof(name[i]), "t-0/%020" PRId64 ".%" PRIu32 "%s",
            claim.base_offset, claim.generation, i ? ".idx" : ".log");
    cr_assert(doors_test_exists(&trial.test.doors, name[0]));
    cr_assert(doors_test_exists(&trial.test.doors, name[1]));
    cr_assert_eq(storage_test_close(&trial.test), 0);
    uint8_t wrong = 0xa5;
    doors_test_overwrite(&trial.test.doors, name[0], 100, &wrong, 1);
    storage_test_open(&trial.test);
    log_again(&trial);
    struct buffer *buffer;
    cr_assert_eq(
        storage_test_read(&trial.test, trial.log, claim.base_offset, 1000, &buffer), -EBADMSG);
    cr_assert(doors_test_said(&trial.test.doors, "damaged"), "%s", trial.test.doors.said);
    end(&trial);
}

/* Where batches fell out, a base offset may be another one and everything else look right: only the
 * hashes of the footer tell, and without it the root does. */
TEST(compaction, a_base_offset_moved_into_a_hole_is_found_with_the_footer_and_without)
{
    struct trial trial;
    begin(&trial);
    write_round(&trial, 200);
    pass(&trial, 3000);
    const struct segment_claim claim = trial.log->body->segments[0]->claim;
    char name[2][100];
    for (int i = 0; i < 2; i++)
        (void)snprintf(name[i], sizeof(name[i]), "t-0/%020" PRId64 ".%" PRIu32 "%s",
            claim.base_offset, claim.generation, i ? ".idx" : ".log");
    cr_assert_eq(storage_test_close(&trial.test), 0);
    size_t len;
    uint8_t *bytes = doors_test_file(&trial.test.doors, name[0], &len);
    struct bytes run = bytes_of(bytes, len);
    struct batch_view batch = { 0 };
    int64_t behind = claim.base_offset;
    while (batch_next(&run, &batch) == BATCH_OK && batch.base_offset == behind)
        behind = batch_last_offset(&batch) + 1;
    cr_assert_gt(batch.base_offset, behind, "no hole");
    uint8_t moved[8];
    be_put64(moved, (uint64_t)batch.base_offset - 1);
    doors_test_overwrite(
        &trial.test.doors, name[0], (uint64_t)(batch.data - bytes), moved, sizeof(moved));
    mem_free(bytes);
    for (int footer = 1; footer >= 0; footer--) {
        if (!footer)
            doors_test_truncate(&trial.test.doors, name[1], 10);
        storage_test_open(&trial.test);
        log_again(&trial);
        struct buffer *buffer;
        for (int again = 0; again < 2; again++)
            cr_assert_eq(
                storage_test_read(&trial.test, trial.log, batch.base_offset, 1000, &buffer),
                -EBADMSG, "footer %d", footer);
        cr_assert_eq(storage_test_read(&trial.test, trial.log, claim.end_offset, 1000, &buffer), 0,
            "the next segment is whole");
        buffer_unref(buffer);
        cr_assert_eq(storage_test_close(&trial.test), 0);
    }
    storage_test_open(&trial.test);
    end(&trial);
}

TEST(compaction, a_full_disk_passes)
{
    struct trial trial;
    setup(&trial);
    trial.test.config.cleaner.backoff_ms = 3000;
    open_topic(&trial);
    write_round(&trial, 200);
    pass(&trial, 1500); /* all is in the files, no look yet */
    trial.test.doors.faults[CALL_WRITE] = (struct disk_fault){ -ENOSPC, "t-0", 0 };
    pass(&trial, 5000);
    cr_assert_eq(stats(&trial).compaction_rounds, 0); /* groups without a record go all the same */
    cr_assert(doors_test_said(&trial.test.doors, "not compacted now"));
    cr_assert_eq(stats(&trial).logs_uncleanable, 0);
    (void)check(&trial);
    trial.test.doors.faults[CALL_WRITE].status = 0;
    pass(&trial, 5000);
    cr_assert_gt(stats(&trial).compaction_rounds, 0);
    cr_assert_leq(files(&trial), 3, "what was begun is gone");
    (void)check(&trial);
    end(&trial);
}

TEST(compaction, a_sync_that_fails_stops_everything)
{
    struct trial trial;
    setup(&trial);
    trial.test.config.cleaner.backoff_ms = 3000;
    open_topic(&trial);
    write_round(&trial, 200);
    pass(&trial, 1500); /* all is in the files, no look yet */
    trial.test.doors.faults[CALL_SYNC] = (struct disk_fault){ -EIO, "t-0", 0 };
    pass(&trial, 5000);
    cr_assert_eq(trial.test.failed, -EIO);
    trial.test.doors.faults[CALL_SYNC].status = 0;
    storage_test_kill(&trial.test);
    log_again(&trial);
    (void)check(&trial);
    pass(&trial, 5000);
    (void)check(&trial);
    cr_assert_leq(files(&trial), 3, "what the crash left is gone");
    end(&trial);
}

/* ---- crashes ------------------------------------------------------------------------------- */

/* A kill at every point of the way: old or new, never anything else. */
TEST(compaction, a_kill_anywhere_leaves_the_old_segments_or_the_new_one)
{
    uint64_t replaced = 0;
    for (int steps = 0; steps < 60; steps += 25) {
        struct trial trial;
        begin(&trial);
        write_round(&trial, 150);
        write_key(&trial, 5, true);
        write_round(&trial, 60);
        pass(&trial, 700); /* a checkpoint, no look yet */
        doors_test_pass(&trial.test.doors, 400);
        for (int i = 0; i < steps; i++)
            storage_test_turn(&trial.test);
        replaced += stats(&trial).compactions;
        storage_test_kill(&trial.test);
        log_again(&trial);
        (void)check(&trial);
        pass(&trial, 3000);
        (void)check(&trial);
        cr_assert_leq(files(&trial), 3, "after %d steps", steps);
        end(&trial);
    }
    cr_assert_gt(replaced, 1, "%" PRIu64 " of the kills fell behind a replacement", replaced);
}

TEST(compaction, the_first_dirty_offset_is_kept)
{
    struct trial trial;
    begin(&trial);
    write_round(&trial, 200);
    pass(&trial, 3000);
    int64_t dirty = trial.log->body->first_dirty;
    cr_assert_gt(dirty, 100);
    storage_test_kill(&trial.test);
    log_again(&trial);
    cr_assert_eq(trial.log->body->first_dirty, dirty, "from the write-ahead log");
    reopen(&trial);
    cr_assert_eq(trial.log->body->first_dirty, dirty, "from the checkpoint");
    pass(&trial, 5000);
    cr_assert_eq(stats(&trial).compaction_rounds, 0, "nothing is dirty");
    end(&trial);
}

TEST(compaction, a_smaller_segment_limit_does_not_disturb_the_replay)
{
    struct trial trial;
    setup(&trial);
    trial.test.config.checkpoint_ms = 1000000;
    trial.test.config.checkpoint_bytes = 30000;
    open_topic(&trial);
    write_round(&trial, 200);
    pass(&trial, 3000);
    cr_assert_gt(stats(&trial).compactions, 0);
    storage_test_crash(&trial.test);
    trial.test.config.defaults.segment_bytes = 1500;
    storage_test_open(&trial.test);
    log_again(&trial);
    (void)check(&trial);
    end(&trial);
}

TEST(compaction, replacements_that_do_not_fit_are_refused)
{
    struct trial trial;
    begin(&trial);
    trial.test.config.cleaner.enable = false;
    reopen(&trial);
    write_round(&trial, 100);
    struct log *log = trial.log;
    struct segment_claim first = log->body->segments[0]->claim, claim = first;
    claim.generation = 1;
    int64_t from = first.base_offset, to = first.end_offset;
    cr_assert_eq(log_replace(log, from, to + 1, &claim, 0), -EUCLEAN);
    cr_assert_eq(log_replace(log, from + 1, to, &claim, 0), -EUCLEAN);
    cr_assert_eq(log_replace(log, from, log->end_offset, &claim, 0), -EUCLEAN, "the active one");
    claim.end_offset = to + 1;
    cr_assert_eq(log_replace(log, from, to, &claim, 0), -EUCLEAN);
    claim = first;
    cr_assert_eq(log_replace(log, from, to, &claim, 0), -EUCLEAN, "no generation");
    uint8_t key[4], value[26] = { 0 };
    be_put32(key, log->body->id);
    cr_assert_eq(
        compaction_apply(trial.test.storage, bytes_of(key, 4), bytes_of(value, 26), 0), -EUCLEAN);
    (void)check(&trial);
    end(&trial);
}
