/*
 * task_world.h - a task without storage: input partitions, outputs, changelogs and frame are lists
 * in memory, so that a crash is to throw the task away and make another from what was committed.
 *
 * What the loop does in the broker, world_turn does here: it hands over some batches of each
 * partition (how many decides a seed), steps, and commits the sealed unit. With a crash seed it
 * sometimes kills the task before or after the commit.
 */
#ifndef TESTS_TASK_WORLD_H
#define TESTS_TASK_WORLD_H

#include <stdio.h>

#include "processors/task.h"
#include "protocol/base/mem.h"
#include "protocol/base/random.h"
#include "tests/test.h"

enum { WORLD_PARTITIONS = 4, WORLD_LOGS = 32, WORLD_BATCHES_MAX = 8192 };

/* One partition: whole batches with their offsets. */
struct world_log {
    struct out bytes;
    size_t at[WORLD_BATCHES_MAX + 1]; /* of each batch */
    int64_t base[WORLD_BATCHES_MAX + 1];
    size_t count;
    int64_t end_offset;
};

struct world {
    struct settings settings;
    struct task *task;
    struct world_log inputs[WORLD_PARTITIONS];
    size_t fed[WORLD_PARTITIONS];            /* batches handed to the task */
    struct world_log targets[WORLD_LOGS][2]; /* by target and partition */
    int32_t target_partitions;
    struct out frame; /* of the last unit; empty: none */
    struct buffer_pool buffers;
    struct random random;
    bool crashes;
    uint32_t codecs; /* batches of the inputs are compressed at random */
    size_t units, crashed, retries;
    uint64_t steps;
};

static inline void world_log_add(struct world_log *log, const void *batch, size_t len)
{
    struct batch_view view;
    cr_assert(log->count < WORLD_BATCHES_MAX);
    log->at[log->count] = log->bytes.len;
    log->base[log->count++] = log->end_offset;
    uint8_t *to = out_add(&log->bytes, len);
    memcpy(to, batch, len);
    batch_set_base_offset(to, log->end_offset);
    cr_assert_eq(batch_parse(bytes_of(to, len), &view), BATCH_OK);
    cr_assert_eq(batch_check(&view), BATCH_OK);
    log->end_offset = batch_last_offset(&view) + 1;
    log->at[log->count] = log->bytes.len;
    log->base[log->count] = log->end_offset;
}

/* Appends records to an input partition as one batch. */
struct world_record {
    int64_t ts;
    const char *key, *value;
};
static inline void world_produce(
    struct world *world, int partition, const struct world_record *records, size_t count)
{
    struct batch_builder builder = { 0 };
    struct compressor compressor;
    struct out batch = { 0 }, headers = { 0 };
    enum codec codec =
        world->codecs ? (enum codec)random_below(&world->random, CODEC_COUNT) : CODEC_NONE;
    struct batch_options options = batch_options_plain(codec);
    compressor_init(&compressor);
    batch_builder_begin(&builder, &options);
    record_header_add(&headers, bytes_text("h"), bytes_text("1"));
    for (size_t i = 0; i < count; i++) {
        struct record_view record = {
            .timestamp = records[i].ts,
            .key = records[i].key ? bytes_text(records[i].key) : (struct bytes){ NULL, 0 },
            .value = records[i].value ? bytes_text(records[i].value) : (struct bytes){ NULL, 0 },
            .headers = bytes_of(headers.data, headers.len),
            .header_count = 1,
        };
        cr_assert_eq(batch_builder_append(&builder, &record), 0);
    }
    cr_assert_eq(batch_builder_finish(&builder, &compressor, &batch), 0);
    world_log_add(&world->inputs[partition], batch.data, batch.len);
    out_done(&batch);
    out_done(&headers);
    batch_builder_done(&builder);
    compressor_done(&compressor);
}

static inline struct uuid world_uuid(uint8_t number)
{
    return (struct uuid){ { number, 1 } };
}

static inline void world_give(
    struct world *world, struct intake *intake, const struct world_log *log, size_t from, size_t to)
{
    size_t len = log->at[to] - log->at[from];
    struct buffer *buffer = buffer_create(&world->buffers, len);
    memcpy(buffer->data, log->bytes.data + log->at[from], len);
    buffer->len = len;
    intake_add(intake, buffer, log->base[to], (struct intake_aborted){ 0 });
}

static inline void world_restore(struct world *world)
{
    struct task *task = world->task;
    for (size_t i = 0; i < world->settings.store_count; i++) {
        struct intake *intake = &task->stores[i].log;
        const struct world_log *log = &world->targets[task_target_changelog(task, i)][0];
        for (size_t j = 0; j < log->count; j++) {
            if (log->base[j + 1] > intake->position)
                world_give(world, intake, log, j, j + 1);
        }
    }
    task_restore(task);
    cr_assert_eq(task->status, TASK_IDLE, "%s", task->reason);
    task_drop_finished(task);
}

/* A task from what was committed. */
static inline void world_start(struct world *world)
{
    struct task_frame frame = { 0 };
    if (world->frame.len)
        cr_assert_eq(task_frame_read(bytes_of(world->frame.data, world->frame.len), &frame), 0);
    struct task *task = world->task = task_create(&world->settings, 0);
    for (int i = 0; i < WORLD_PARTITIONS; i++) {
        struct task_frame_input fresh = task_frame_input_new(0);
        (void)task_add_input(
            task, 0, i, world_uuid(1), frame.input_count ? &frame.inputs[i] : &fresh);
        if (!frame.input_count)
            continue;
        cr_assert_eq(frame.inputs[i].partition, i);
        size_t batch = 0;
        while (world->inputs[i].base[batch + 1] <= frame.inputs[i].position &&
               batch < world->inputs[i].count)
            batch++;
        world->fed[i] = batch;
    }
    for (size_t i = 0; i < task->target_count; i++) {
        task->targets[i].partitions = world->target_partitions;
        task->targets[i].size_max = 1 << 20;
    }
    if (frame.input_count) {
        cr_assert_eq(task_resume(task, &frame), 0, "%s", task->reason);
        world_restore(world);
    } else {
        memset(world->fed, 0, sizeof(world->fed));
    }
    task_frame_done(&frame);
}

static inline void world_begin(struct world *world, const mr_processor *processor,
    const struct setting *given, size_t given_count, uint64_t seed)
{
    char error[512];
    memset(world, 0, sizeof(*world)); /* too large for a compound literal on the stack */
    world->random = random_seeded(seed);
    world->target_partitions = 2;
    buffer_pool_init(&world->buffers, 1 << 20);
    cr_assert_eq(
        settings_init(&world->settings, processor, given, given_count, error, sizeof(error)), 0,
        "%s", error);
}

static inline void world_kill(struct world *world)
{
    if (world->task)
        task_end(world->task);
    task_destroy(world->task);
    world->task = NULL;
}

static inline void world_end(struct world *world)
{
    world_kill(world);
    settings_done(&world->settings);
    for (int i = 0; i < WORLD_PARTITIONS; i++)
        out_done(&world->inputs[i].bytes);
    for (int i = 0; i < WORLD_LOGS; i++) {
        out_done(&world->targets[i][0].bytes);
        out_done(&world->targets[i][1].bytes);
    }
    out_done(&world->frame);
    buffer_pool_done(&world->buffers);
}

static inline void world_commit(struct world *world)
{
    struct task *task = world->task;
    for (size_t i = 0; i < task->batch_count; i++) {
        const struct sealed_batch *batch = &task->batches[i];
        world_log_add(&world->targets[batch->target][batch->partition],
            task->sealed.data + batch->at, batch->len);
    }
    world->frame.len = 0;
    out_bytes(&world->frame, task->frame.data, task->frame.len);
    world->units++;
}

/* Hands over up to `most` batches of each partition and steps once. Returns the status. */
static inline enum task_status world_step(struct world *world, size_t most)
{
    struct task *task = world->task;
    for (int i = 0; i < WORLD_PARTITIONS; i++) {
        size_t left = world->inputs[i].count - world->fed[i];
        size_t give = most > left ? left : most;
        if (give)
            world_give(world, &task->inputs[i].intake, &world->inputs[i], world->fed[i],
                world->fed[i] + give);
        world->fed[i] += give;
    }
    for (size_t i = 0; i < world->settings.store_count; i++)
        task->stores[i].log_next = world->targets[task_target_changelog(task, i)][0].end_offset;
    task->now_ms = 1000;
    task_step(task);
    world->steps++;
    task_drop_finished(task);
    return task->status;
}

static inline bool world_all_fed(const struct world *world)
{
    for (int i = 0; i < WORLD_PARTITIONS; i++) {
        if (world->fed[i] < world->inputs[i].count)
            return false;
    }
    return true;
}

/* Runs until all input is used up, committing, and crashing if asked to. */
static inline void world_run(struct world *world)
{
    if (!world->task)
        world_start(world);
    for (;;) {
        size_t most = 1 + random_below(&world->random, 3);
        enum task_status status = world_step(world, most);
        if (status == TASK_FAILED)
            return;
        world->retries += status == TASK_RETRY;
        bool crash = world->crashes && random_chance(&world->random, 1, 4);
        bool before = random_chance(&world->random, 1, 2);
        if (status == TASK_SEALED && !(crash && before))
            world_commit(world);
        if (crash) {
            world_kill(world);
            world_start(world);
            world->crashed++;
        } else if (status == TASK_IDLE && !world->task->more && world_all_fed(world)) {
            return;
        }
    }
}

/* All records of a target as text, one line each: "partition offset ts key=value {headers}". */
static inline char *world_text(const struct world *world, uint32_t target)
{
    struct out text = { 0 };
    for (int p = 0; p < 2; p++) {
        struct bytes run =
            bytes_of(world->targets[target][p].bytes.data, world->targets[target][p].bytes.len);
        struct batch_view batch;
        while (run.len && batch_next(&run, &batch) == BATCH_OK) {
            struct record_reader reader;
            struct record_view record;
            struct record_header header;
            record_reader_init(&reader, &batch, batch.records);
            while (record_next(&reader, &record)) {
                out_printf(&text, "%d %lld %lld %.*s=%.*s", p, (long long)record.offset,
                    (long long)record.timestamp, (int)record.key.len,
                    record.key.data ? (const char *)record.key.data : "", (int)record.value.len,
                    record.value.data ? (const char *)record.value.data : "");
                while (record_header_next(&record.headers, &header))
                    out_printf(&text, " {%.*s:%.*s}", (int)header.key.len, header.key.data,
                        (int)header.value.len, header.value.data);
                out_text(&text, "\n");
            }
            cr_assert_eq(record_reader_end(&reader), 0);
        }
    }
    out_bytes(&text, "", 1);
    return (char *)text.data;
}

/* Expects the target's text to be `expected`. */
static inline void world_expect(const struct world *world, uint32_t target, const char *expected)
{
    char *text = world_text(world, target);
    cr_assert_str_eq(text, expected, "got:\n%s\nexpected:\n%s", text, expected);
    mem_free(text);
}

#endif
