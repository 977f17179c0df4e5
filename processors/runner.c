/*
 * The loop's side of a task. See engine.h, task.h.
 *
 * The happy path
 *  - restore: read the changelogs of the state from where the frame says, hand the chunks to the
 *    task on its worker, until the high watermark
 *  - run: read each input up to its last stable offset, two chunks ahead; when there is news (a
 *    chunk, a partition that fell idle, time that went on, a step that stopped at a limit) and no
 *    step is running, hand over what was read and submit a step
 *  - a step that sealed a unit: one log_commit of outputs, changelogs and frame. It may stay in
 *    flight while the next step runs; the next unit waits for its end, so at most one unit is in
 *    flight and units grow with the load
 *
 * Failure modes
 *  - the ring is full: wait for storage_hooks.space; the disk is full: try again every second. The
 *    sealed unit stays as it is meanwhile, and no step runs
 *  - MR_RETRY: step again after 100 ms, doubling
 *  - a topic was deleted, the input is damaged, the plugin gave up: FAILED with a reason, until
 *    somebody unloads the processor; its committed position stays
 *
 * The end (runner_stop): reads and waits are cancelled, a step that runs is waited for, what it
 * sealed is committed and waited for, then the instance is destroyed on the worker.
 *
 * Worker and loop never touch the task at once: everything here that looks into it checks
 * job_running first. (bytes_held of an intake belongs to the loop.)
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "processors/engine.h"
#include "protocol/base/mem.h"

static void kick(struct runner *runner);
static void commit(struct runner *runner);
static void wind_down(struct runner *runner);
static void restore_on(struct runner *runner);

char *runner_key(const struct processor *processor, int32_t index)
{
    return mem_printf("%s/%d", processor->name, index);
}

static int64_t now_ns(const struct runner *runner)
{
    return clock_monotonic_ns(runner->owner->doors->clock);
}

/* The earliest wins: what fires for nothing looks around and sets the next. */
static void set_timer(struct runner *runner, int64_t at_ns)
{
    if (timer_is_set(&runner->timer) && runner->timer_at_ns <= at_ns)
        return;
    runner->timer_at_ns = at_ns;
    timer_set(runner->owner->doors->timers, &runner->timer, at_ns);
}

static void cancel_reads(struct runner *runner)
{
    for (size_t i = 0; i < runner->input_count; i++) {
        struct runner_input *input = &runner->inputs[i];
        if (input->reading)
            log_read_cancel(&input->read);
        input->reading = false;
        log_wait_cancel(&input->waiter);
    }
    if (runner->restore_reading)
        log_read_cancel(&runner->restore_read);
    runner->restore_reading = false;
    timer_cancel(runner->owner->doors->timers, &runner->timer);
}

PRINTF_LIKE(2, 3)
static void fail(struct runner *runner, const char *format, ...)
{
    if (runner->state != RUNNER_RESTORING && runner->state != RUNNER_RUNNING)
        return;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(runner->reason, sizeof(runner->reason), format, args);
    va_end(args);
    runner->state = RUNNER_FAILED;
    runner->sealed = false;
    cancel_reads(runner);
    doors_say(runner->owner->doors, LOG_ERROR, "processor '%s' failed: %s", runner->processor->name,
        runner->reason);
    if (runner->stopping)
        wind_down(runner);
}

/* ---- jobs ------------------------------------------------------------------------------------ */

static void job_run(struct work_job *job)
{
    struct runner *runner = container_of(job, struct runner, job);
    switch (runner->job_kind) {
    case JOB_RESTORE: task_restore(runner->task); break;
    case JOB_STEP: task_step(runner->task); break;
    case JOB_END: task_end(runner->task); break;
    }
}

static void submit(struct runner *runner, enum runner_job kind)
{
    struct processors *owner = runner->owner;
    runner->job_kind = kind;
    runner->job_running = true;
    runner->warned = false;
    runner->watched_ns = now_ns(runner);
    if (!timer_is_set(&owner->watchdog))
        timer_set(
            owner->doors->timers, &owner->watchdog, now_ns(runner) + WATCHDOG_MS * CLOCK_NS_PER_MS);
    work_submit(runner->processor->worker, &runner->job);
}

static void say_lines(struct runner *runner)
{
    static const enum log_level levels[] = { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };
    const struct task *task = runner->task;
    for (size_t i = 0; i < task->line_count; i++) {
        int level = task->lines[i].level;
        doors_say(runner->owner->doors, level >= 0 && level <= 3 ? levels[level] : LOG_INFO,
            "processor '%s': %s", runner->processor->name, task->lines[i].text);
    }
    if (task->lines_lost)
        doors_say(runner->owner->doors, LOG_WARNING, "processor '%s': %llu more lines",
            runner->processor->name, (unsigned long long)task->lines_lost);
}

static void note_metrics(struct runner *runner)
{
    const struct task *task = runner->task;
    runner->metric_count = task->metric_count;
    for (size_t i = 0; i < task->metric_count; i++)
        runner->metrics[i] =
            (struct processors_metric){ task->metrics[i].name, task->metrics[i].value };
}

static void retry_later(struct runner *runner)
{
    int64_t *ms = &runner->retry_ms;
    *ms = *ms ? *ms * 2 : RUNNER_RETRY_MS;
    *ms = *ms < RUNNER_RETRY_MAX_MS ? *ms : RUNNER_RETRY_MAX_MS;
    runner->not_before_ns = now_ns(runner) + *ms * CLOCK_NS_PER_MS;
    runner->news = true;
    doors_say(runner->owner->doors, LOG_WARNING, "processor '%s': %s; again in %lld ms",
        runner->processor->name, runner->task->reason, (long long)*ms);
}

static void step_ended(struct runner *runner)
{
    struct task *task = runner->task;
    switch (task->status) {
    case TASK_SEALED:
        runner->retry_ms = 0;
        runner->sealed = true;
        break;
    case TASK_RETRY: retry_later(runner); break;
    case TASK_FAILED: fail(runner, "%s", task->reason); return;
    case TASK_IDLE: runner->retry_ms = 0; break;
    }
    if (runner->sealed)
        commit(runner);
    else
        kick(runner);
}

static void job_done(struct work_job *job)
{
    struct runner *runner = container_of(job, struct runner, job);
    runner->job_running = false;
    task_drop_finished(runner->task);
    say_lines(runner);
    note_metrics(runner);
    if (runner->job_kind == JOB_END) {
        runner->state = RUNNER_STOPPED;
        processor_runner_stopped(runner->processor);
        return;
    }
    if (runner->state == RUNNER_RUNNING && runner->job_kind == JOB_STEP)
        step_ended(runner);
    else if (runner->state == RUNNER_RESTORING && runner->task->status == TASK_FAILED)
        fail(runner, "%s", runner->task->reason);
    else if (runner->state == RUNNER_RESTORING)
        restore_on(runner);
    if (runner->stopping)
        wind_down(runner);
}

bool runner_watch(struct runner *runner)
{
    if (!runner->job_running)
        return false;
    static const char *const names[] = { "", "create", "destroy", "batch", "window" };
    uint64_t progress = atomic_load_explicit(&runner->task->progress, memory_order_relaxed);
    int running = atomic_load_explicit(&runner->task->running, memory_order_relaxed);
    if (progress != runner->watched || running == CALL_NONE) {
        runner->watched = progress;
        runner->watched_ns = now_ns(runner);
        return true;
    }
    int64_t ms = (now_ns(runner) - runner->watched_ns) / CLOCK_NS_PER_MS;
    if (ms < runner->processor->settings.max_record_ms || runner->warned)
        return true;
    runner->warned = true;
    doors_say(runner->owner->doors, LOG_WARNING,
        "processor '%s': its callback `%s` has made no host call for %lld ms (max.record.ms %lld); "
        "an endless loop? It can't be stopped from outside",
        runner->processor->name, names[running], (long long)ms,
        (long long)runner->processor->settings.max_record_ms);
    return true;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* The offset behind the last batch, or -1 if these are no whole batches. */
static int64_t end_of(const struct buffer *buffer)
{
    int64_t end = -1;
    return batch_run_end(bytes_of(buffer->data, buffer->len), &end) == BATCH_END ? end : -1;
}

/* What a read that did not work means. */
static void read_failed(struct runner *runner, const struct log *log, int64_t offset, int status)
{
    if (status == -ENOENT)
        fail(runner, "topic '%s' was deleted", log->topic->name);
    else
        fail(runner, "%s-%d can't be read at offset %lld: %s", log->topic->name, log->partition,
            (long long)offset, strerror(-status));
}

/* Which batches of the buffer belong to aborted transactions. All of it is below the last stable
 * offset, so each transaction has its end. */
static struct intake_aborted aborted_of(const struct log *log, const struct buffer *buffer)
{
    struct intake_aborted aborted = { 0 };
    struct bytes run = bytes_of(buffer->data, buffer->len);
    struct batch_view batch;
    size_t capacity = 0;
    while (batch_next(&run, &batch) == BATCH_OK) {
        if (!batch_is_transactional(&batch) || batch_is_control(&batch) ||
            !log_is_aborted(log, batch.producer_id, batch.base_offset))
            continue;
        mem_grow(aborted.offsets, &capacity, aborted.count + 1);
        aborted.offsets[aborted.count++] = batch.base_offset;
    }
    return aborted;
}

/* Records that retention took before they were read are passed over. */
static void skip_lost(struct runner_input *input)
{
    if (input->next_offset >= input->log->start_offset)
        return;
    doors_say(input->runner->owner->doors, LOG_WARNING,
        "processor '%s': %s-%d begins at offset %lld now; records from %lld on were never seen",
        input->runner->processor->name, input->log->topic->name, input->log->partition,
        (long long)input->log->start_offset, (long long)input->next_offset);
    input->next_offset = input->log->start_offset;
}

static void take_chunk(struct runner_input *input, struct buffer *buffer)
{
    int64_t end = end_of(buffer);
    if (input->next_offset < input->log->start_offset) {
        /* Retention took them, and the knowledge of what was aborted, while they were read. */
        buffer_unref(buffer);
        skip_lost(input);
        return;
    }
    if (end <= input->next_offset) {
        buffer_unref(buffer);
        read_failed(input->runner, input->log, input->next_offset, -EBADMSG);
        return;
    }
    input->chunks[input->chunk_count++] =
        (struct runner_chunk){ buffer, end, aborted_of(input->log, buffer) };
    input->next_offset = end;
    input->runner->news = true;
}

static size_t read_bytes(const struct runner *runner)
{
    size_t share = RUNNER_INPUT_BYTES / (RUNNER_CHUNKS * runner->input_count);
    if (share > RUNNER_READ_BYTES)
        return RUNNER_READ_BYTES;
    return share < RUNNER_READ_BYTES_MIN ? RUNNER_READ_BYTES_MIN : share;
}

/* Reads ahead, as long as bytes are there at once. */
static void read_more(struct runner_input *input)
{
    struct runner *runner = input->runner;
    const struct task_input *task_input = &runner->task->inputs[input - runner->inputs];
    size_t bytes = read_bytes(runner);
    while (runner->state == RUNNER_RUNNING && !input->reading &&
           input->chunk_count < RUNNER_CHUNKS &&
           task_input->intake.bytes_held < RUNNER_CHUNKS * bytes &&
           input->next_offset < input->log->last_stable_offset) {
        skip_lost(input);
        input->read.offset = input->next_offset;
        input->read.end_offset = input->log->last_stable_offset;
        input->read.max_bytes = bytes;
        input->read.at_least_one = true;
        int status = log_read(runner->owner->storage, &input->read);
        if (status == -EINPROGRESS) {
            input->reading = true;
        } else if (status == -ENOMEM) {
            set_timer(runner, now_ns(runner) + RUNNER_RETRY_MS * CLOCK_NS_PER_MS);
            return;
        } else if (status) {
            read_failed(runner, input->log, input->next_offset, status);
        } else if (!input->read.buffer) {
            return;
        } else {
            take_chunk(input, input->read.buffer);
        }
    }
}

static void read_done(struct log_read *read, int status)
{
    struct runner_input *input = container_of(read, struct runner_input, read);
    struct runner *runner = input->runner;
    input->reading = false;
    if (status == -ENOMEM)
        set_timer(runner, now_ns(runner) + RUNNER_RETRY_MS * CLOCK_NS_PER_MS);
    else if (status == -ERANGE)
        skip_lost(input);
    else if (status)
        read_failed(runner, input->log, input->next_offset, status);
    else if (read->buffer)
        take_chunk(input, read->buffer);
    kick(runner);
}

static void log_moved(struct log_waiter *waiter, struct log *log)
{
    struct runner_input *input = container_of(waiter, struct runner_input, waiter);
    if (log->topic->deleted)
        fail(input->runner, "topic '%s' was deleted", log->topic->name);
    else
        kick(input->runner);
}

/* ---- idle inputs and time -------------------------------------------------------------------- */

struct look {
    bool all_idle, held;  /* held: records wait for another input */
    int64_t next_idle_ns; /* when the next input will be idle */
    int64_t since_ns;     /* when the last of them was caught up with */
    int64_t newest;       /* greatest time of all */
};

/* Says which inputs hold the others back. */
static struct look look_at_inputs(struct runner *runner, int64_t now)
{
    struct look look = { .all_idle = true, .next_idle_ns = INT64_MAX, .newest = TASK_NO_TIME };
    int64_t idle_ns = runner->processor->settings.idle_ms * CLOCK_NS_PER_MS;
    for (size_t i = 0; i < runner->input_count; i++) {
        struct runner_input *input = &runner->inputs[i];
        struct task_input *task_input = &runner->task->inputs[i];
        bool held = input->chunk_count > 0 || task_input->intake.bytes_held > 0;
        bool caught_up =
            !input->chunk_count && task_input->intake.position >= input->log->last_stable_offset;
        if (!caught_up)
            input->caught_up_ns = -1;
        else if (input->caught_up_ns < 0)
            input->caught_up_ns = now;
        bool idle = caught_up && now - input->caught_up_ns >= idle_ns;
        if (task_input->active == idle)
            runner->news = true;
        task_input->active = !idle;
        look.held |= held && !caught_up;
        look.all_idle &= idle;
        if (caught_up && !idle && input->caught_up_ns + idle_ns < look.next_idle_ns)
            look.next_idle_ns = input->caught_up_ns + idle_ns;
        if (input->caught_up_ns > look.since_ns)
            look.since_ns = input->caught_up_ns;
        if (task_input->max_ts > look.newest)
            look.newest = task_input->max_ts;
    }
    return look;
}

/* All inputs are idle: where time has gone to, and when it will have gone far enough to close the
 * next window. */
static int64_t time_goes_on(
    const struct runner *runner, const struct look *look, int64_t now, int64_t *ret_due_ns)
{
    const struct settings *settings = &runner->processor->settings;
    int64_t due = runner->task->next_due, to = TASK_NO_TIME;
    *ret_due_ns = INT64_MAX;
    if (settings->idle_advance == IDLE_ELAPSED && look->newest != TASK_NO_TIME) {
        to = look->newest + (now - look->since_ns) / CLOCK_NS_PER_MS;
        if (due > to)
            *ret_due_ns = look->since_ns + (due - look->newest) * CLOCK_NS_PER_MS;
    } else if (settings->idle_advance == IDLE_WALLCLOCK) {
        to = clock_wall_ms(runner->owner->doors->clock);
        if (due > to && due - to < INT64_MAX / CLOCK_NS_PER_MS - now)
            *ret_due_ns = now + (due - to) * CLOCK_NS_PER_MS;
    }
    return to;
}

/* Looks around before a step; sets the timer for what comes without an event. */
static void look_around(struct runner *runner, int64_t now)
{
    struct task *task = runner->task;
    struct look look = look_at_inputs(runner, now);
    int64_t next_ns = INT64_MAX;
    task->advance_to = TASK_NO_TIME;
    if (look.held || task->next_due != INT64_MAX)
        next_ns = look.next_idle_ns;
    if (look.all_idle && task->next_due != INT64_MAX) {
        task->advance_to = time_goes_on(runner, &look, now, &next_ns);
        if (task->advance_to >= task->next_due && task->watermark < task->next_due)
            runner->news = true;
    }
    if (next_ns != INT64_MAX)
        set_timer(runner, next_ns);
}

/* ---- steps ----------------------------------------------------------------------------------- */

/* Where the task's records go and how much fits. False: it failed. */
static bool prepare_targets(struct runner *runner)
{
    struct task *task = runner->task;
    for (uint32_t i = 0; i < task->target_count; i++) {
        const struct topic *topic =
            storage_topic(runner->owner->storage, bytes_text(runner->processor->targets[i]));
        if (!topic) {
            fail(runner, "topic '%s' was deleted", runner->processor->targets[i]);
            return false;
        }
        task->targets[i].partitions = topic->log_count;
        task->targets[i].size_max = (size_t)topic->config.max_message_bytes;
    }
    for (size_t i = 0; i < runner->processor->settings.store_count; i++) {
        const struct topic *topic = storage_topic(runner->owner->storage,
            bytes_text(runner->processor->targets[task_target_changelog(task, i)]));
        if (runner->index >= topic->log_count ||
            !uuid_equal(topic->id, task->stores[i].changelog)) {
            fail(runner, "its changelog '%s' was deleted", topic->name);
            return false;
        }
        task->stores[i].log_next = topic->logs[runner->index]->end_offset;
    }
    return true;
}

static void step(struct runner *runner, int64_t now)
{
    struct task *task = runner->task;
    if (!prepare_targets(runner))
        return;
    for (size_t i = 0; i < runner->input_count; i++) {
        struct runner_input *input = &runner->inputs[i];
        for (size_t j = 0; j < input->chunk_count; j++)
            intake_add(&task->inputs[i].intake, input->chunks[j].buffer,
                input->chunks[j].end_offset, input->chunks[j].aborted);
        input->chunk_count = 0;
    }
    size_t most = storage_unit_max(runner->owner->storage) / 2;
    task->unit_bytes = most < TASK_UNIT_BYTES ? most : TASK_UNIT_BYTES;
    task->unit_bytes_max = most < TASK_UNIT_BYTES_MAX ? most : TASK_UNIT_BYTES_MAX;
    task->now_ms = clock_wall_ms(runner->owner->doors->clock);
    runner->news = false;
    runner->not_before_ns = now + runner->processor->settings.commit_interval_ms * CLOCK_NS_PER_MS;
    submit(runner, JOB_STEP);
}

/* Something may have changed: read on, and step if that could lead anywhere. */
static void kick(struct runner *runner)
{
    if (runner->state != RUNNER_RUNNING || runner->stopping)
        return;
    for (size_t i = 0; i < runner->input_count; i++)
        read_more(&runner->inputs[i]);
    if (runner->state != RUNNER_RUNNING || runner->job_running || runner->sealed)
        return;
    int64_t now = now_ns(runner);
    look_around(runner, now);
    if (!runner->news)
        return;
    if (now < runner->not_before_ns)
        set_timer(runner, runner->not_before_ns);
    else
        step(runner, now);
}

static void timer_fired(struct timer *timer)
{
    struct runner *runner = container_of(timer, struct runner, timer);
    if (runner->sealed)
        commit(runner);
    else
        kick(runner);
}

/* ---- commits --------------------------------------------------------------------------------- */

static void unit_ended(struct unit *unit)
{
    struct runner *runner = container_of(unit, struct runner, unit);
    unit_done(unit);
    runner->in_flight = false;
    runner->units++;
    runner->last_commit_ms = clock_wall_ms(runner->owner->doors->clock);
    runner->shown = runner->in_ring;
    runner->shown_watermark = runner->in_ring_watermark;
    for (size_t i = 0; i < runner->input_count; i++)
        runner->inputs[i].committed = runner->inputs[i].in_ring;
    if (runner->sealed)
        commit(runner);
    if (runner->stopping)
        wind_down(runner);
}

/* Cuts the beginning of changelogs that no slice needs any more. */
static void trim_changelogs(struct runner *runner)
{
    const struct task *task = runner->task;
    for (size_t i = 0; i < runner->processor->settings.store_count; i++) {
        const struct task_store *store = &task->stores[i];
        const struct topic *topic = storage_topic(runner->owner->storage,
            bytes_text(runner->processor->targets[task_target_changelog(task, i)]));
        struct log *log = topic ? topic_log(topic, runner->index) : NULL;
        if (!log || store->log_start - log->start_offset < RUNNER_TRIM_RECORDS ||
            store->log_start > log->high_watermark)
            continue;
        /* Only fails for a range that was just checked. */
        (void)!unit_raise_start(&runner->unit, log, store->log_start);
    }
}

/* False: it failed. */
static bool build_unit(struct runner *runner)
{
    const struct task *task = runner->task;
    unit_init(&runner->unit, unit_ended);
    for (size_t i = 0; i < task->batch_count; i++) {
        const struct sealed_batch *batch = &task->batches[i];
        const char *name = runner->processor->targets[batch->target];
        const struct topic *topic = storage_topic(runner->owner->storage, bytes_text(name));
        struct log *log = topic ? topic_log(topic, batch->partition) : NULL;
        if (!log) {
            unit_done(&runner->unit);
            fail(runner, "topic '%s' was deleted", name);
            return false;
        }
        unit_append(&runner->unit, log, bytes_of(task->sealed.data + batch->at, batch->len));
    }
    trim_changelogs(runner);
    char *key = runner_key(runner->processor, runner->index);
    unit_put(
        &runner->unit, STORE_TASK, bytes_text(key), bytes_of(task->frame.data, task->frame.len));
    mem_free(key);
    return true;
}

static void committed(struct runner *runner)
{
    const struct task *task = runner->task;
    runner->sealed = runner->wants_space = runner->said_full = false;
    runner->in_flight = true;
    runner->in_ring = task->counters;
    runner->in_ring_watermark = task->watermark;
    for (size_t i = 0; i < runner->input_count; i++)
        runner->inputs[i].in_ring = task->inputs[i].intake.position;
    if (task->more)
        runner->news = true;
    kick(runner);
}

static void refused(struct runner *runner, int status)
{
    unit_done(&runner->unit);
    if (status == -EAGAIN) {
        runner->wants_space = true;
    } else if (status == -ENOSPC && !runner->stopping) {
        if (!runner->said_full)
            doors_say(runner->owner->doors, LOG_WARNING, "processor '%s' waits: the disk is full",
                runner->processor->name);
        runner->said_full = true;
        set_timer(runner, now_ns(runner) + RUNNER_FULL_MS * CLOCK_NS_PER_MS);
    } else if (status == -ENOSPC || status == -ESHUTDOWN || status == -EIO) {
        runner->sealed = false; /* what was not committed is done again after the restart */
    } else {
        fail(runner, "its outputs can't be committed: %s", strerror(-status));
    }
}

/* Puts the sealed unit into the log, unless the one before is still on its way. */
static void commit(struct runner *runner)
{
    if (runner->in_flight || runner->state != RUNNER_RUNNING || !build_unit(runner))
        return;
    int status = log_commit(runner->owner->storage, &runner->unit);
    if (status)
        refused(runner, status);
    else
        committed(runner);
}

void runner_space(struct runner *runner)
{
    if (!runner->wants_space)
        return;
    runner->wants_space = false;
    if (runner->sealed)
        commit(runner);
    if (runner->stopping)
        wind_down(runner);
}

/* ---- restoring ------------------------------------------------------------------------------- */

static void run(struct runner *runner)
{
    runner->state = RUNNER_RUNNING;
    for (size_t i = 0; i < runner->input_count; i++)
        log_wait(runner->inputs[i].log, &runner->inputs[i].waiter);
    runner->news = true;
    kick(runner);
}

static void restore_chunk(struct runner *runner, struct buffer *buffer)
{
    int64_t end = end_of(buffer);
    if (end <= runner->restore_next) {
        buffer_unref(buffer);
        read_failed(runner, runner->restore_log, runner->restore_next, -EBADMSG);
        return;
    }
    intake_add(
        &runner->task->stores[runner->restoring].log, buffer, end, (struct intake_aborted){ 0 });
    runner->restore_next = end;
    submit(runner, JOB_RESTORE);
}

static void restore_read_done(struct log_read *read, int status)
{
    struct runner *runner = container_of(read, struct runner, restore_read);
    runner->restore_reading = false;
    if (status)
        read_failed(runner, runner->restore_log, runner->restore_next, status);
    else if (!read->buffer)
        read_failed(runner, runner->restore_log, runner->restore_next, -EBADMSG);
    else
        restore_chunk(runner, read->buffer);
}

/* Begins with the changelog of the next store that has something to restore. */
static bool restore_next_store(struct runner *runner)
{
    struct task *task = runner->task;
    for (; runner->restoring < runner->processor->settings.store_count; runner->restoring++) {
        const char *name =
            runner->processor->targets[task_target_changelog(task, runner->restoring)];
        const struct topic *topic = storage_topic(runner->owner->storage, bytes_text(name));
        runner->restore_log = topic ? topic_log(topic, runner->index) : NULL;
        if (!runner->restore_log) {
            fail(runner, "its changelog '%s' was deleted", name);
            return false;
        }
        int64_t from = task->stores[runner->restoring].log.position;
        runner->restore_next =
            from > runner->restore_log->start_offset ? from : runner->restore_log->start_offset;
        runner->restore_end = runner->restore_log->end_offset;
        if (runner->restore_next < runner->restore_end)
            return true;
    }
    return false;
}

/* The changelog's next piece, or on to the next store, or to work. */
static void restore_on(struct runner *runner)
{
    if (runner->stopping)
        return;
    if (!runner->restore_log || runner->restore_next >= runner->restore_end) {
        if (runner->restore_log)
            runner->restoring++;
        if (!restore_next_store(runner)) {
            if (runner->state == RUNNER_RESTORING)
                run(runner);
            return;
        }
    }
    runner->restore_read = (struct log_read){
        .log = runner->restore_log,
        .offset = runner->restore_next,
        .end_offset = runner->restore_end,
        .max_bytes = RUNNER_READ_BYTES,
        .at_least_one = true,
        .done = restore_read_done,
    };
    int status = log_read(runner->owner->storage, &runner->restore_read);
    if (status == -EINPROGRESS)
        runner->restore_reading = true;
    else
        restore_read_done(&runner->restore_read, status);
}

void runner_start(struct runner *runner)
{
    if (runner->state == RUNNER_RESTORING)
        restore_on(runner);
}

/* ---- the beginning --------------------------------------------------------------------------- */

/* Where to begin in a log: as of the frame, if that knows this very topic. */
static struct task_frame_input where_to_begin(
    const struct runner *runner, const struct task_frame *frame, const struct log *log)
{
    const struct settings *settings = &runner->processor->settings;
    struct task_frame_input begin =
        task_frame_input_new(settings->start_latest && frame->input_count == 0 ? log->high_watermark
                                                                               : log->start_offset);
    for (size_t i = 0; i < frame->input_count; i++) {
        if (uuid_equal(frame->inputs[i].topic, log->topic->id) &&
            frame->inputs[i].partition == log->partition)
            begin = frame->inputs[i];
    }
    if (begin.position > log->end_offset) {
        doors_say(runner->owner->doors, LOG_WARNING,
            "processor '%s': %s-%d ends at offset %lld, before the position %lld; it goes on from "
            "the end",
            runner->processor->name, log->topic->name, log->partition, (long long)log->end_offset,
            (long long)begin.position);
        begin.position = log->end_offset;
    }
    return begin;
}

static void add_input(
    struct runner *runner, const struct task_frame *frame, uint16_t input, struct log *log)
{
    struct task_frame_input begin = where_to_begin(runner, frame, log);
    (void)task_add_input(runner->task, input, log->partition, log->topic->id, &begin);
    runner->inputs =
        mem_realloc(runner->inputs, (runner->input_count + 1) * sizeof(*runner->inputs));
    runner->inputs[runner->input_count++] = (struct runner_input){
        .runner = runner,
        .log = log,
        .waiter = { .wake = log_moved },
        .read = { .log = log, .done = read_done },
        .next_offset = begin.position,
        .caught_up_ns = -1,
        .committed = begin.position,
    };
}

static void add_inputs(struct runner *runner, const struct task_frame *frame)
{
    const struct settings *settings = &runner->processor->settings;
    bool one_task = settings->processor->flags & MR_P_ONE_TASK;
    for (size_t i = 0; i < settings->input_count; i++) {
        const struct topic *topic =
            storage_topic(runner->owner->storage, bytes_text(settings->inputs[i]));
        for (int32_t p = 0; topic && p < topic->log_count; p++) {
            if (one_task || p == runner->index)
                add_input(runner, frame, (uint16_t)i, topic->logs[p]);
        }
    }
    for (size_t i = 0; i < runner->input_count; i++) /* they have their place now */
        list_init(&runner->inputs[i].waiter.link);
}

/* The changelogs of a task: those the frame means, or new ones that begin at their end. */
static void adopt_changelogs(struct runner *runner, const struct task_frame *frame)
{
    struct task *task = runner->task;
    for (size_t i = 0; i < runner->processor->settings.store_count; i++) {
        struct task_store *store = &task->stores[i];
        const char *name = runner->processor->targets[task_target_changelog(task, i)];
        const struct topic *topic = storage_topic(runner->owner->storage, bytes_text(name));
        struct log *log = topic ? topic_log(topic, runner->index) : NULL;
        const struct task_frame_store *was = NULL;
        for (size_t j = 0; j < frame->store_count; j++) {
            if (bytes_equal_text(frame->stores[j].name, store->decl->name))
                was = &frame->stores[j];
        }
        if (!log || (was && !uuid_equal(was->changelog, topic->id))) {
            fail(runner,
                "its changelog '%s' was deleted: the state is lost; unload the processor with its "
                "state to begin anew",
                name);
            return;
        }
        store->changelog = topic->id;
        if (!was)
            store->log_begin = store->log.position = log->end_offset;
    }
}

int runner_read_frame(const struct processor *processor, int32_t index, struct task_frame *ret)
{
    struct bytes value;
    char *key = runner_key(processor, index);
    bool there = store_get(processor->owner->storage, STORE_TASK, bytes_text(key), &value, NULL);
    mem_free(key);
    *ret = (struct task_frame){ .watermark = TASK_NO_TIME };
    return there ? task_frame_read(value, ret) : 0;
}

struct runner *runner_create(struct processor *processor, int32_t index)
{
    struct runner *runner = mem_zalloc(1, sizeof(*runner));
    runner->processor = processor;
    runner->owner = processor->owner;
    runner->index = index;
    runner->job.run = job_run;
    runner->job.done = job_done;
    runner->timer.fire = timer_fired;
    runner->last_commit_ms = -1;
    runner->task = task_create(&processor->settings, index);
    struct task_frame frame;
    int status = runner_read_frame(processor, index, &frame);
    if (status) {
        fail(runner, "its state can't be read: %s",
            status == -EPROTO ? "it was written by a newer version" : "it is damaged");
        frame = (struct task_frame){ .watermark = TASK_NO_TIME };
    }
    add_inputs(runner, &frame);
    adopt_changelogs(runner, &frame);
    if (runner->state == RUNNER_RESTORING && task_resume(runner->task, &frame))
        fail(runner, "%s", runner->task->reason);
    runner->shown = runner->task->counters;
    runner->shown_watermark = runner->task->watermark;
    task_frame_done(&frame);
    return runner;
}

/* ---- the end --------------------------------------------------------------------------------- */

/* Goes on ending as far as it can now. */
static void wind_down(struct runner *runner)
{
    if (runner->job_running || runner->state == RUNNER_ENDING || runner->state == RUNNER_STOPPED)
        return;
    if (runner->sealed && !runner->in_flight && !runner->wants_space)
        commit(runner);
    if (runner->sealed || runner->in_flight || runner->state == RUNNER_ENDING)
        return;
    runner->state = RUNNER_ENDING;
    submit(runner, JOB_END);
}

void runner_stop(struct runner *runner)
{
    runner->stopping = true;
    cancel_reads(runner);
    wind_down(runner);
}

void runner_free(struct runner *runner)
{
    if (!runner)
        return;
    cancel_reads(runner);
    for (size_t i = 0; i < runner->input_count; i++) {
        for (size_t j = 0; j < runner->inputs[i].chunk_count; j++) {
            mem_free(runner->inputs[i].chunks[j].aborted.offsets);
            buffer_unref(runner->inputs[i].chunks[j].buffer);
        }
    }
    task_end(runner->task); /* nothing to do after a stop */
    task_destroy(runner->task);
    if (runner->in_flight) { /* a crash: nobody will be told */
        list_remove(&runner->unit.link);
        unit_done(&runner->unit);
    }
    mem_free(runner->inputs);
    mem_free(runner);
}
