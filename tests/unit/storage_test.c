/* See storage_test.h. */
#include "tests/unit/storage_test.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "protocol/base/mem.h"
#include "protocol/record.h"

static void hook_space(void *context)
{
    struct storage_test *test = context;
    test->spaces++;
}

static void hook_failed(void *context, int status, const char *what)
{
    struct storage_test *test = context;
    (void)what;
    test->failed = status;
}

void storage_test_setup(struct storage_test *test)
{
    *test = (struct storage_test){ .size = 100, .timestamp = 1000 };
    doors_test_begin(&test->doors);
    test->config = storage_config_default();
    test->config.dir = test->doors.dir;
    test->config.wal_file_bytes = 256 * 1024;
    test->config.wal_files_max = 4;
    test->config.disk_free_min = 0;
    test->config.defaults.segment_bytes = 64 * 1024;
}

void storage_test_open(struct storage_test *test)
{
    struct storage_hooks hooks = { .context = test, .space = hook_space, .failed = hook_failed };
    cr_assert_eq(storage_open(&test->storage, &test->config, &test->doors.doors, &hooks), 0, "%s",
        test->doors.said);
}

void storage_test_begin(struct storage_test *test)
{
    storage_test_setup(test);
    storage_test_open(test);
}

static void turn(void *context)
{
    storage_turn(((struct storage_test *)context)->storage);
}

void storage_test_turn(struct storage_test *test)
{
    turn(test);
    doors_test_poll(&test->doors);
}

void storage_test_settle(struct storage_test *test)
{
    int quiet = 0;
    while (quiet < 3) {
        bool busy = !list_empty(&test->doors.submitted) || !list_empty(&test->doors.finished);
        storage_test_turn(test);
        busy |= test->doors.ops || !list_empty(&test->doors.submitted) ||
                !list_empty(&test->doors.finished);
        quiet = busy && !test->doors.hold_jobs ? 0 : quiet + 1;
    }
}

void storage_test_pass(struct storage_test *test, int64_t ms)
{
    for (int64_t passed = 0; passed < ms; passed += 100) {
        doors_test_pass(&test->doors, ms - passed < 100 ? ms - passed : 100);
        storage_test_settle(test);
    }
}

void storage_test_wait(struct storage_test *test, const bool *flag)
{
    cr_assert(
        doors_test_until(&test->doors, turn, test, flag), "waited in vain: %s", test->doors.said);
}

struct close_state {
    bool done;
    int status;
};

static void closed(void *context, int status)
{
    struct close_state *state = context;
    *state = (struct close_state){ true, status };
}

int storage_test_close(struct storage_test *test)
{
    struct close_state state = { false, 0 };
    storage_close(test->storage, closed, &state);
    storage_test_wait(test, &state.done);
    storage_destroy(test->storage);
    test->storage = NULL;
    return state.status;
}

void storage_test_crash(struct storage_test *test)
{
    doors_test_forget(&test->doors);
    storage_destroy(test->storage);
    test->storage = NULL;
}

void storage_test_kill(struct storage_test *test)
{
    storage_test_crash(test);
    storage_test_open(test);
}

void storage_test_reopen(struct storage_test *test)
{
    cr_assert_eq(storage_test_close(test), 0);
    storage_test_open(test);
}

void storage_test_end(struct storage_test *test)
{
    if (test->storage)
        cr_assert_eq(storage_test_close(test), 0, "%s", test->doors.said);
    doors_test_end(&test->doors);
}

/* ---- units --------------------------------------------------------------------------------- */

static void unit_told(struct unit *unit)
{
    container_of(unit, struct unit_test, unit)->done = true;
}

static void unit_begin(struct unit_test *unit)
{
    *unit = (struct unit_test){ 0 };
    unit_init(&unit->unit, unit_told);
}

void unit_test_commit(struct storage_test *test, struct unit_test *unit)
{
    unit->unit.done = unit_told;
    unit->status = log_commit(test->storage, &unit->unit);
}

void unit_test_end(struct unit_test *unit)
{
    unit_done(&unit->unit);
}

static void unit_wait(struct storage_test *test, struct unit_test *unit)
{
    unit_test_commit(test, unit);
    cr_assert_eq(unit->status, 0);
    storage_test_wait(test, &unit->done);
    unit_test_end(unit);
}

struct topic *storage_test_create(struct storage_test *test, const char *name, int32_t partitions,
    const char *key, const char *value)
{
    struct unit_test unit;
    struct uuid id = uuid_random(&test->doors.random);
    char key_text[64], value_text[64];
    (void)snprintf(key_text, sizeof(key_text), "%s", key ? key : "");
    (void)snprintf(value_text, sizeof(value_text), "%s", value ? value : "");
    struct topic_config_entry entry = { key_text, value_text };
    unit_begin(&unit);
    cr_assert_eq(unit_create_topic(&unit.unit, test->storage, bytes_text(name), &id, partitions,
                     &entry, key ? 1 : 0),
        0);
    unit_wait(test, &unit);
    struct topic *topic = storage_topic(test->storage, bytes_text(name));
    cr_assert_not_null(topic);
    return topic;
}

struct log *storage_test_topic(struct storage_test *test, const char *name, int32_t partitions)
{
    return topic_log(storage_test_create(test, name, partitions, NULL, NULL), 0);
}

void storage_test_delete(struct storage_test *test, const char *name)
{
    struct unit_test unit;
    unit_begin(&unit);
    struct topic *topic = storage_topic(test->storage, bytes_text(name));
    cr_assert_eq(unit_delete_topic(&unit.unit, test->storage, topic), 0);
    unit_wait(test, &unit);
}

struct log *storage_test_log(struct storage_test *test, const char *name, int32_t partition)
{
    struct topic *topic = storage_topic(test->storage, bytes_text(name));
    cr_assert_not_null(topic, "no topic %s", name);
    return topic_log(topic, partition);
}

struct out storage_test_batch(
    struct storage_test *test, const struct log *log, int64_t offset, int32_t count)
{
    struct batch_builder builder = { 0 };
    struct batch_options options = batch_options_plain(CODEC_NONE);
    struct out batch = { 0 };
    char *value = mem_alloc(test->size + 400);
    batch_builder_begin(&builder, &options);
    for (int32_t i = 0; i < count; i++) {
        int len = snprintf(value, 400, "%s-%" PRId32 "@%" PRId64 " ", log->topic->name,
            log->partition, offset + i);
        memset(value + len, 'x', test->size);
        struct record_view record = {
            .timestamp = test->timestamp++,
            .value = bytes_of(value, (size_t)len + test->size),
        };
        cr_assert_eq(batch_builder_append(&builder, &record), 0);
    }
    cr_assert_eq(batch_builder_finish(&builder, NULL, &batch), 0);
    batch_builder_done(&builder);
    mem_free(value);
    return batch;
}

int storage_test_append(struct storage_test *test, struct log *log, int32_t count, int16_t acks)
{
    struct unit_test unit;
    struct out batch = storage_test_batch(test, log, log->end_offset, count);
    unit_begin(&unit);
    unit.unit.acks = acks;
    unit_append(&unit.unit, log, bytes_of(batch.data, batch.len));
    unit_test_commit(test, &unit);
    out_done(&batch);
    if (unit.status == 0)
        storage_test_wait(test, &unit.done);
    unit_test_end(&unit);
    return unit.status;
}

void storage_test_fill(struct storage_test *test, struct log *log, uint64_t bytes)
{
    uint64_t end = log->size_bytes + bytes;
    while (log->size_bytes < end) {
        int status = storage_test_append(test, log, 10, 1);
        cr_assert(status == 0 || status == -EAGAIN, "%d", status);
        if (status == -EAGAIN)
            storage_test_turn(test);
    }
}

/* ---- reading ------------------------------------------------------------------------------- */

struct read_test {
    struct log_read read;
    bool done;
    int status;
};

static void read_told(struct log_read *read, int status)
{
    struct read_test *test = container_of(read, struct read_test, read);
    test->done = true;
    test->status = status;
}

int storage_test_read(struct storage_test *test, struct log *log, int64_t offset, size_t max_bytes,
    struct buffer **ret)
{
    struct read_test read = {
        .read = {
            .log = log,
            .offset = offset,
            .end_offset = log->high_watermark,
            .max_bytes = max_bytes,
            .at_least_one = true,
            .done = read_told,
        },
    };
    int status = log_read(test->storage, &read.read);
    if (status == -EINPROGRESS) {
        storage_test_wait(test, &read.done);
        status = read.status;
    }
    *ret = status == 0 ? read.read.buffer : NULL;
    return status;
}

static int64_t check_batches(const struct log *log, struct bytes bytes, int64_t offset)
{
    struct batch_view batch;
    while (bytes.len) {
        cr_assert_eq(batch_next(&bytes, &batch), BATCH_OK);
        cr_assert_eq(batch_check(&batch), BATCH_OK);
        struct record_reader reader;
        struct record_view record;
        record_reader_init(&reader, &batch, batch.records);
        while (record_next(&reader, &record)) {
            char want[400];
            if (record.offset < offset)
                continue; /* the batch that contains the offset came whole */
            int len = snprintf(want, sizeof(want), "%s-%" PRId32 "@%" PRId64 " ", log->topic->name,
                log->partition, offset);
            cr_assert_eq(record.offset, offset);
            cr_assert(record.value.len >= (size_t)len &&
                          memcmp(record.value.data, want, (size_t)len) == 0,
                "%s: %.60s", want, (const char *)record.value.data);
            offset++;
        }
        cr_assert_eq(record_reader_end(&reader), 0);
    }
    return offset;
}

void storage_test_check(struct storage_test *test, struct log *log)
{
    int64_t offset = log->start_offset;
    while (offset < log->high_watermark) {
        struct buffer *buffer;
        int status = storage_test_read(test, log, offset, 5000, &buffer);
        cr_assert_eq(status, 0, "offset %" PRId64 ": %d: %s", offset, status, test->doors.said);
        cr_assert_not_null(
            buffer, "nothing at offset %" PRId64 " of %" PRId64, offset, log->high_watermark);
        int64_t next = check_batches(log, bytes_of(buffer->data, buffer->len), offset);
        buffer_unref(buffer);
        cr_assert_gt(next, offset);
        offset = next;
    }
    cr_assert_eq(offset, log->high_watermark);
}

struct find_test {
    struct log_find_time find;
    bool done;
    int status;
};

static void find_told(struct log_find_time *find, int status)
{
    struct find_test *test = container_of(find, struct find_test, find);
    test->done = true;
    test->status = status;
}

int storage_test_find(struct storage_test *test, struct log *log, int64_t target_ms, bool max,
    struct log_find_time *ret)
{
    return storage_test_find_below(test, log, target_ms, max, log->high_watermark, ret);
}

int storage_test_find_below(struct storage_test *test, struct log *log, int64_t target_ms, bool max,
    int64_t end_offset, struct log_find_time *ret)
{
    struct find_test find = {
        .find = {
            .log = log,
            .target_ms = target_ms,
            .max = max,
            .end_offset = end_offset,
            .done = find_told,
        },
    };
    int status = log_find_time(test->storage, &find.find);
    if (status == -EINPROGRESS) {
        storage_test_wait(test, &find.done);
        status = find.status;
    }
    *ret = find.find;
    return status;
}
