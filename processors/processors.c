/*
 * The owner of all processors: what the broker asks is passed on to one of them (processor.c). See
 * processors.h.
 *
 * Requests that are refused at once are answered by a timer that is due now: never inside the call.
 */
#include "processors/processors.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "processors/engine.h"
#include "protocol/base/mem.h"

/* ---- answers that come later ----------------------------------------------------------------- */

static void answer_refused(struct timer *timer)
{
    struct processors *processors = container_of(timer, struct processors, refused_timer);
    struct list loads, unloads;
    list_init(&loads);
    list_init(&unloads);
    list_splice(&loads, &processors->refused_loads);
    list_splice(&unloads, &processors->refused_unloads);
    for (struct list *node; (node = list_pop(&loads));) {
        struct processors_load *load = list_entry(node, struct processors_load, link);
        load->done(load, load->status);
    }
    for (struct list *node; (node = list_pop(&unloads));) {
        struct processors_unload *unload = list_entry(node, struct processors_unload, link);
        unload->done(unload, unload->status);
    }
}

static void answer_soon(struct processors *processors)
{
    timer_set(processors->doors->timers, &processors->refused_timer,
        clock_monotonic_ns(processors->doors->clock));
}

PRINTF_LIKE(4, 5)
static void refuse_load(struct processors *processors, struct processors_load *load, int status,
    const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(load->error, sizeof(load->error), format, args);
    va_end(args);
    load->status = status;
    list_append(&processors->refused_loads, &load->link);
    answer_soon(processors);
}

PRINTF_LIKE(4, 5)
static void refuse_unload(struct processors *processors, struct processors_unload *unload,
    int status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(unload->error, sizeof(unload->error), format, args);
    va_end(args);
    unload->status = status;
    list_append(&processors->refused_unloads, &unload->link);
    answer_soon(processors);
}

/* ---- the watchdog ---------------------------------------------------------------------------- */

static void watch(struct timer *timer)
{
    struct processors *processors = container_of(timer, struct processors, watchdog);
    bool running = false;
    list_foreach (node, &processors->processors) {
        struct processor *processor = list_entry(node, struct processor, link);
        for (size_t i = 0; i < processor->runner_count; i++)
            running |= runner_watch(processor->runners[i]);
    }
    if (running)
        timer_set(processors->doors->timers, timer,
            clock_monotonic_ns(processors->doors->clock) + WATCHDOG_MS * CLOCK_NS_PER_MS);
}

/* ---- life ------------------------------------------------------------------------------------ */

static void stop_limit(struct timer *timer);

struct processors *processors_create(const struct processors_config *config, struct doors *doors,
    struct storage *storage, struct workers *workers)
{
    struct processors *processors = mem_zalloc(1, sizeof(*processors));
    processors->config = *config;
    processors->doors = doors;
    processors->storage = storage;
    processors->workers = workers;
    processors->plugin_dir = mem_printf("%s/plugins", config->dir);
    processors->watchdog.fire = watch;
    processors->stop_limit.fire = stop_limit;
    processors->refused_timer.fire = answer_refused;
    list_init(&processors->processors);
    list_init(&processors->refused_loads);
    list_init(&processors->refused_unloads);
    return processors;
}

static bool start_one(void *context, struct bytes name, struct bytes value, uint64_t lsn)
{
    (void)lsn;
    struct processors *processors = context;
    struct processor *processor;
    int status = entry_read(processors, name, value, &processor);
    if (status) {
        char *shown = mem_strndup((const char *)name.data, name.len);
        processor = processor_create(processors, shown, "?", NULL, 0);
        processor->state = PROCESSOR_FAILED;
        processor->recorded = true;
        (void)snprintf(processor->reason, sizeof(processor->reason), "its entry %s",
            status == -EPROTO ? "was written by a newer version" : "is damaged");
        doors_say(processors->doors, LOG_ERROR, "processor '%s' can't be loaded: %s", shown,
            processor->reason);
        mem_free(shown);
    }
    list_append(&processors->processors, &processor->link);
    return true;
}

void processors_start(struct processors *processors)
{
    store_each(processors->storage, STORE_PROCESSOR, bytes_of("", 0), start_one, processors);
    processor_open_next(processors);
}

void processors_destroy(struct processors *processors)
{
    if (!processors)
        return;
    timer_cancel(processors->doors->timers, &processors->watchdog);
    timer_cancel(processors->doors->timers, &processors->stop_limit);
    timer_cancel(processors->doors->timers, &processors->refused_timer);
    if (processors->timed_out)
        return; /* a callback still runs with all this: the process ends */
    list_foreach_safe (node, following, &processors->processors) {
        struct processor *processor = list_entry(node, struct processor, link);
        processor_free(processor);
    }
    mem_free(processors->plugin_dir);
    mem_free(processors);
}

/* ---- load, unload ---------------------------------------------------------------------------- */

static struct processor *find(struct processors *processors, const char *name, size_t *ret_count)
{
    struct processor *found = NULL;
    *ret_count = 0;
    list_foreach (node, &processors->processors) {
        struct processor *processor = list_entry(node, struct processor, link);
        ++*ret_count;
        if (name && processor->name && strcmp(processor->name, name) == 0)
            found = processor;
    }
    return found;
}

void processors_load(struct processors *processors, struct processors_load *load)
{
    size_t count;
    struct processor *found = find(processors, load->name, &count);
    load->error[0] = '\0';
    load->loaded_name = NULL;
    if (processors->stopping) {
        refuse_load(processors, load, -ESHUTDOWN, "the broker is stopping");
    } else if (found) {
        refuse_load(processors, load, -EEXIST,
            "a processor '%s' is already loaded; unload it first, or give this one another name",
            load->name);
    } else if (count >= PROCESSORS_MAX) {
        refuse_load(
            processors, load, -EMFILE, "%zu processors are loaded, that is the most", count);
    } else {
        struct processor *processor = processor_create(
            processors, load->name, load->file, load->settings, load->setting_count);
        processor->load = load;
        list_append(&processors->processors, &processor->link);
        processor_open_next(processors);
    }
}

void processors_unload(struct processors *processors, struct processors_unload *unload)
{
    size_t count;
    struct processor *processor = find(processors, unload->name, &count);
    unload->error[0] = '\0';
    if (processors->stopping) {
        refuse_unload(processors, unload, -ESHUTDOWN, "the broker is stopping");
    } else if (!processor) {
        refuse_unload(processors, unload, -ENOENT, "no processor '%s' is loaded", unload->name);
    } else if (processor->state != PROCESSOR_RUNNING && processor->state != PROCESSOR_FAILED) {
        refuse_unload(processors, unload, -EBUSY,
            "processor '%s' is being loaded or unloaded; try again", unload->name);
    } else {
        processor->unload = unload;
        processor->forget = unload->forget;
        processor->restart = false;
        processor_stop(processor);
    }
}

/* ---- what the broker tells ------------------------------------------------------------------- */

void processors_space(struct processors *processors)
{
    list_foreach_safe (node, following, &processors->processors)
        processor_space(list_entry(node, struct processor, link));
}

void processors_topics_changed(struct processors *processors)
{
    list_foreach_safe (node, following, &processors->processors) {
        struct processor *processor = list_entry(node, struct processor, link);
        size_t inputs = 0, now = 0;
        if (processor->state != PROCESSOR_RUNNING || processors->stopping)
            continue;
        for (size_t i = 0; i < processor->runner_count; i++)
            inputs += processor->runners[i]->input_count;
        for (size_t i = 0; i < processor->settings.input_count; i++) {
            const struct topic *topic =
                storage_topic(processors->storage, bytes_text(processor->settings.inputs[i]));
            now += topic ? (size_t)topic->log_count : 0;
        }
        if (now <= inputs)
            continue;
        processor->restart = true;
        processor_stop(processor);
    }
}

/* ---- stop ------------------------------------------------------------------------------------ */

static bool has_ended(const struct processor *processor)
{
    return processor->state == PROCESSOR_FAILED || processor->state == PROCESSOR_QUEUED;
}

static void end_stop(struct processors *processors, int status)
{
    void (*done)(void *context, int status) = processors->stop_done;
    processors->stop_done = NULL;
    timer_cancel(processors->doors->timers, &processors->stop_limit);
    if (done)
        done(processors->stop_context, status);
}

void processors_check_stopped(struct processors *processors)
{
    if (!processors->stopping || !processors->stop_done)
        return;
    list_foreach (node, &processors->processors) {
        if (!has_ended(list_entry(node, struct processor, link)))
            return;
    }
    /* From a timer, so that done may destroy everything. */
    timer_set(processors->doors->timers, &processors->stop_limit,
        clock_monotonic_ns(processors->doors->clock));
}

static void stop_limit(struct timer *timer)
{
    struct processors *processors = container_of(timer, struct processors, stop_limit);
    int status = 0;
    list_foreach (node, &processors->processors) {
        const struct processor *processor = list_entry(node, struct processor, link);
        if (has_ended(processor))
            continue;
        status = -ETIMEDOUT;
        doors_say(processors->doors, LOG_ERROR,
            "processor '%s' did not stop within %d ms; it is left as it is, its last commit holds",
            processor->name ? processor->name : processor->file, PROCESSORS_STOP_MS);
    }
    processors->timed_out = status != 0;
    end_stop(processors, status);
}

void processors_stop(
    struct processors *processors, void (*done)(void *context, int status), void *context)
{
    CHECK(!processors->stopping);
    processors->stopping = true;
    processors->stop_done = done;
    processors->stop_context = context;
    timer_set(processors->doors->timers, &processors->stop_limit,
        clock_monotonic_ns(processors->doors->clock) + PROCESSORS_STOP_MS * CLOCK_NS_PER_MS);
    list_foreach_safe (node, following, &processors->processors) {
        struct processor *processor = list_entry(node, struct processor, link);
        if (processor->state == PROCESSOR_RUNNING || processor->state == PROCESSOR_FAILED)
            processor_stop(processor);
        else if (processor->state == PROCESSOR_QUEUED)
            processor_refuse_queued(processor);
    }
    processors_check_stopped(processors);
}

/* ---- what there is --------------------------------------------------------------------------- */

struct listing {
    struct processors_info info;
    struct processors_position *positions;
    size_t position_capacity;
    struct processors_metric *metrics;
    size_t metric_capacity;
};

static void list_metrics(struct listing *listing, const struct runner *runner)
{
    struct processors_info *info = &listing->info;
    for (size_t i = 0; i < runner->metric_count; i++) {
        const struct processors_metric *metric = &runner->metrics[i];
        size_t at = 0;
        while (at < info->metric_count && strcmp(listing->metrics[at].name, metric->name) != 0)
            at++;
        if (at == info->metric_count) {
            mem_grow(listing->metrics, &listing->metric_capacity, at + 1);
            listing->metrics[info->metric_count++] = (struct processors_metric){ metric->name, 0 };
        }
        if (__builtin_add_overflow(
                listing->metrics[at].value, metric->value, &listing->metrics[at].value))
            listing->metrics[at].value = metric->value < 0 ? INT64_MIN : INT64_MAX;
    }
}

static void list_runner(struct listing *listing, const struct runner *runner)
{
    struct processors_info *info = &listing->info;
    for (size_t i = 0; i < runner->input_count; i++) {
        const struct runner_input *input = &runner->inputs[i];
        const struct log *log = input->log;
        bool gone = runner->state != RUNNER_RESTORING && runner->state != RUNNER_RUNNING;
        int64_t end = gone ? input->committed : log->last_stable_offset;
        mem_grow(listing->positions, &listing->position_capacity, info->position_count + 1);
        listing->positions[info->position_count++] = (struct processors_position){
            .topic = runner->processor->settings.inputs[runner->task->inputs[i].input],
            .partition = runner->task->inputs[i].partition,
            .position = input->committed,
            .end = end,
        };
        info->lag += end > input->committed ? end - input->committed : 0;
    }
    info->records += runner->shown.records;
    info->emitted += runner->shown.emitted;
    info->late += runner->shown.late;
    info->dropped += runner->shown.dropped;
    info->dead += runner->shown.dead;
    info->units += runner->units;
    if (runner->shown_watermark < info->watermark || info->tasks == 0)
        info->watermark = runner->shown_watermark;
    if (runner->last_commit_ms > info->last_commit_ms)
        info->last_commit_ms = runner->last_commit_ms;
    info->tasks++;
}

static const char *state_of(const struct processor *processor, const char **ret_error)
{
    bool restoring = false;
    switch (processor->state) {
    case PROCESSOR_QUEUED:
    case PROCESSOR_OPENING:
    case PROCESSOR_MAKING: return "LOADING";
    case PROCESSOR_FAILED: *ret_error = processor->reason; return "FAILED";
    case PROCESSOR_STOPPING:
    case PROCESSOR_REMOVING: return "STOPPING";
    case PROCESSOR_RUNNING: break;
    }
    for (size_t i = 0; i < processor->runner_count; i++) {
        const struct runner *runner = processor->runners[i];
        if (runner->state == RUNNER_FAILED) {
            *ret_error = runner->reason;
            return "FAILED";
        }
        restoring |= runner->state == RUNNER_RESTORING;
    }
    return restoring ? "RESTORING" : "RUNNING";
}

static void list_processor(struct listing *listing, const struct processor *processor)
{
    const struct settings *settings = &processor->settings;
    struct processors_info *info = &listing->info;
    *info = (struct processors_info){
        .name = processor->name ? processor->name : "",
        .file = processor->file,
        .watermark = TASK_NO_TIME,
        .last_commit_ms = -1,
    };
    info->state = state_of(processor, &info->error);
    if (processor->has_settings) {
        info->inputs = (const char *const *)settings->inputs;
        info->outputs = (const char *const *)settings->outputs;
        info->input_count = settings->input_count;
        info->output_count = settings->output_count;
    }
    for (size_t i = 0; i < processor->runner_count; i++) {
        list_runner(listing, processor->runners[i]);
        list_metrics(listing, processor->runners[i]);
    }
    if (processor->runner_count == 0)
        info->lag = -1;
    info->positions = listing->positions;
    info->metrics = listing->metrics;
}

void processors_each(struct processors *processors,
    bool (*each)(void *context, const struct processors_info *info), void *context)
{
    struct listing listing = { 0 };
    list_foreach_safe (node, following, &processors->processors) {
        list_processor(&listing, list_entry(node, struct processor, link));
        if (!each(context, &listing.info))
            break;
    }
    mem_free(listing.positions);
    mem_free(listing.metrics);
}
