/*
 * One processor's life. See engine.h.
 *
 *   QUEUED ─▶ OPENING ─▶ MAKING ─▶ RUNNING ─▶ STOPPING ─▶ REMOVING ─▶ (gone)
 *                │          │         ▲           │
 *                └──────────┴▶ FAILED └───────────┘ restart
 *
 *  - OPENING: the pool reads, copies, tries and loads the file; one at a time
 *  - then, on the loop: declaration and configuration are laid together, the state of before is
 *    compared with what is declared now; nothing has happened yet if any of it is refused
 *  - MAKING: ONE unit makes the topics that are missing and writes the entry by which a restart
 *    finds the processor
 *  - RUNNING: the runners restore and run; each may fail on its own
 *  - STOPPING: every runner commits what it has done; then, by request: the entry (and, to forget,
 *    state and changelogs) is deleted in one unit, or the runners begin again
 *
 * What was loaded before and can't be loaded any more stays in the list as FAILED, and in the
 * store, until somebody unloads it.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "processors/engine.h"
#include "processors/module.h"
#include "protocol/base/mem.h"

static void make(struct processor *processor);

/* ---- memory ---------------------------------------------------------------------------------- */

struct processor *processor_create(struct processors *owner, const char *name, const char *file,
    const struct setting *given, size_t given_count)
{
    struct processor *processor = mem_zalloc(1, sizeof(*processor));
    processor->owner = owner;
    processor->name = name ? mem_strdup(name) : NULL;
    processor->file = mem_strdup(file);
    processor->given = mem_zalloc(given_count, sizeof(*processor->given));
    processor->given_count = given_count;
    for (size_t i = 0; i < given_count; i++) {
        processor->given[i].key = mem_strdup(given[i].key);
        processor->given[i].value = mem_strdup(given[i].value);
    }
    list_init(&processor->link);
    return processor;
}

static void free_settings(struct setting *given, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char *key, *value; /* ours, though the struct says const for its other users */
        memcpy(&key, &given[i].key, sizeof(key));
        memcpy(&value, &given[i].value, sizeof(value));
        mem_free(key);
        mem_free(value);
    }
    mem_free(given);
}

static void free_runners(struct processor *processor)
{
    for (size_t i = 0; i < processor->runner_count; i++)
        runner_free(processor->runners[i]);
    mem_free(processor->runners);
    processor->runners = NULL;
    processor->runner_count = processor->runners_left = 0;
}

static void forget_targets(struct processor *processor)
{
    for (size_t i = 0; i < processor->target_count; i++)
        mem_free(processor->targets[i]);
    mem_free(processor->targets);
    processor->targets = NULL;
    processor->target_count = 0;
}

void processor_free(struct processor *processor)
{
    free_runners(processor);
    forget_targets(processor);
    if (processor->worker)
        processor->owner->workers->stop(processor->owner->workers, processor->worker);
    if (processor->has_settings)
        settings_done(&processor->settings);
    if (processor->unit.link.next) /* a crash: nobody will be told */
        list_remove(&processor->unit.link);
    unit_done(&processor->unit);
    plugin_close(&processor->plugin);
    free_settings(processor->given, processor->given_count);
    list_remove(&processor->link);
    mem_free(processor->name);
    mem_free(processor->file);
    mem_free(processor->copy);
    mem_free(processor->own_name);
    mem_free(processor);
}

/* ---- failing --------------------------------------------------------------------------------- */

PRINTF_LIKE(2, 3)
static int refuse(struct processor *processor, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(processor->reason, sizeof(processor->reason), format, args);
    va_end(args);
    return -EINVAL;
}

/* It can't be loaded, and says why. A new one is gone after this. */
static void load_failed(struct processor *processor, int status)
{
    struct processors_load *load = processor->load;
    struct processors *owner = processor->owner;
    processor->state = PROCESSOR_FAILED;
    processor->load = NULL;
    if (processor->recorded) {
        doors_say(owner->doors, LOG_ERROR, "processor '%s' can't be loaded: %s", processor->name,
            processor->reason);
    } else {
        if (load)
            (void)snprintf(load->error, sizeof(load->error), "%s", processor->reason);
        processor_free(processor);
    }
    if (load)
        load->done(load, status);
    processor_open_next(owner);
    processors_check_stopped(owner);
}

/* ---- opening --------------------------------------------------------------------------------- */

static int open_builtin(struct processor *processor)
{
    const mr_module *const *builtins = processor->owner->config.builtins;
    const char *name = processor->file + strlen("builtin:");
    for (size_t i = 0; builtins && builtins[i]; i++) {
        if (strcmp(builtins[i]->name, name) == 0) {
            processor->module = builtins[i];
            return module_check(builtins[i], processor->reason, sizeof(processor->reason));
        }
    }
    (void)refuse(processor, "there is no built-in module '%s'", name);
    return -ENOENT;
}

/* In the pool. */
static void open_run(struct work_job *job)
{
    struct processor *processor = container_of(job, struct processor, open_job);
    if (strncmp(processor->file, "builtin:", strlen("builtin:")) == 0) {
        processor->open_status = open_builtin(processor);
        return;
    }
    const char *dir = processor->owner->plugin_dir;
    char *path =
        processor->copy ? mem_printf("%s/%s", dir, processor->copy) : mem_strdup(processor->file);
    processor->open_status =
        plugin_open(&processor->plugin, path, dir, processor->reason, sizeof(processor->reason));
    if (processor->open_status == 0)
        processor->module = processor->plugin.module;
    mem_free(path);
}

/* Which of the module's processors, and what it is called. */
static int choose(struct processor *processor)
{
    const char *wanted = processor->own_name ? processor->own_name : processor->name;
    const mr_processor *chosen = wanted ? module_processor(processor->module, wanted) : NULL;
    if (!chosen && !processor->own_name)
        chosen = module_processor(processor->module, NULL);
    if (!chosen) {
        struct out names = { 0 };
        for (size_t i = 0; processor->module->processors[i]; i++)
            out_printf(&names, "%s'%s'", i ? ", " : "", processor->module->processors[i]->name);
        (void)refuse(processor, "%s has the processors %.*s; name one of them%s%s%s",
            processor->file, (int)names.len, (const char *)names.data, wanted ? ", not '" : "",
            wanted ? wanted : "", wanted ? "'" : "");
        out_done(&names);
        return -EINVAL;
    }
    if (!processor->own_name)
        processor->own_name = mem_strdup(chosen->name);
    if (!processor->name)
        processor->name = mem_strdup(chosen->name);
    int r = settings_init(&processor->settings, chosen, processor->given, processor->given_count,
        processor->reason, sizeof(processor->reason));
    processor->has_settings = r == 0;
    return r;
}

static int check_name(struct processor *processor)
{
    size_t len = strlen(processor->name);
    if (len < 1 || len > MODULE_NAME_MAX ||
        strspn(processor->name,
            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != len)
        return refuse(processor, "'%.100s' is not a name: 1 to %d of a-z A-Z 0-9 . _ -",
            processor->name, MODULE_NAME_MAX);
    list_foreach (node, &processor->owner->processors) {
        const struct processor *other = list_entry(node, struct processor, link);
        if (other != processor && other->name && strcmp(other->name, processor->name) == 0) {
            (void)refuse(processor,
                "a processor '%s' is already loaded; unload it first, or give this one another "
                "name",
                processor->name);
            return -EEXIST;
        }
    }
    return 0;
}

static void name_targets(struct processor *processor)
{
    const struct settings *settings = &processor->settings;
    forget_targets(processor);
    processor->targets =
        mem_zalloc(settings->output_count + settings->store_count + 1, sizeof(char *));
    for (size_t i = 0; i < settings->output_count; i++)
        processor->targets[processor->target_count++] = mem_strdup(settings->outputs[i]);
    for (size_t i = 0; i < settings->store_count; i++)
        processor->targets[processor->target_count++] =
            mem_printf("%s-%s-changelog", processor->name, settings->processor->stores[i]->name);
    processor->targets[processor->target_count++] = mem_printf("%s.dead", processor->name);
}

/* No topic may have two roles. */
static int check_topics(struct processor *processor)
{
    const struct settings *settings = &processor->settings;
    for (size_t i = 0; i < processor->target_count; i++) {
        const char *target = processor->targets[i];
        if (strlen(target) > 249)
            return refuse(processor, "topic name '%.100s...' would be longer than 249", target);
        for (size_t j = 0; j < settings->input_count; j++) {
            if (strcmp(settings->inputs[j], target) == 0)
                return refuse(processor, "topic '%s' can't be input and output at once", target);
        }
        for (size_t j = 0; j < i; j++) {
            if (strcmp(processor->targets[j], target) == 0)
                return refuse(processor, "topic '%s' can't be two outputs", target);
        }
    }
    for (size_t i = 0; i < settings->input_count; i++) {
        for (size_t j = 0; j < i; j++) {
            if (strcmp(settings->inputs[i], settings->inputs[j]) == 0)
                return refuse(processor, "topic '%s' can't be two inputs", settings->inputs[i]);
        }
    }
    return 0;
}

/* ---- topics ---------------------------------------------------------------------------------- */

/* Partitions of an input: those it has, or those it will be made with. */
static int32_t partitions_of(const struct processor *processor, const char *name)
{
    const struct topic *topic = storage_topic(processor->owner->storage, bytes_text(name));
    return topic ? topic->log_count : processor->owner->config.default_partitions;
}

static int32_t task_count(const struct processor *processor)
{
    const struct settings *settings = &processor->settings;
    int32_t most = 1;
    if (settings->processor->flags & MR_P_ONE_TASK)
        return 1;
    for (size_t i = 0; i < settings->input_count; i++) {
        int32_t partitions = partitions_of(processor, settings->inputs[i]);
        if (partitions > most)
            most = partitions;
    }
    return most;
}

static int check_partitions(struct processor *processor)
{
    const struct settings *settings = &processor->settings;
    const char *first = NULL;
    for (size_t i = 0; i < settings->input_count; i++) {
        if (!(settings->processor->inputs[i]->flags & MR_IN_COPARTITION))
            continue;
        const char *topic = settings->inputs[i];
        if (!first)
            first = topic;
        else if (partitions_of(processor, first) != partitions_of(processor, topic))
            return refuse(processor,
                "topics '%s' and '%s' must have as many partitions as each other; they have %d and "
                "%d",
                first, topic, partitions_of(processor, first), partitions_of(processor, topic));
    }
    if (task_count(processor) > PROCESSORS_TASKS_MAX)
        return refuse(processor, "its inputs have %d partitions; at most %d tasks are allowed",
            task_count(processor), PROCESSORS_TASKS_MAX);
    return 0;
}

/* Whether the state of before, if there is any, fits what is declared now. */
static int check_state(struct processor *processor)
{
    int status = 0;
    int32_t count = task_count(processor);
    for (int32_t i = 0; i < count && status == 0; i++) {
        struct task_frame frame;
        if (runner_read_frame(processor, i, &frame))
            continue; /* its runner will say so */
        struct task *task = task_create(&processor->settings, i);
        status = task_resume(task, &frame);
        if (status)
            (void)refuse(processor, "%s", task->reason);
        task_destroy(task);
        task_frame_done(&frame);
    }
    return status;
}

static int add_topic(
    struct processor *processor, const char *name, int32_t partitions, bool changelog)
{
    struct processors *owner = processor->owner;
    struct topic *topic = storage_topic(owner->storage, bytes_text(name));
    if (topic && changelog && topic->log_count < partitions)
        return unit_add_partitions(&processor->unit, owner->storage, topic, partitions);
    if (topic)
        return 0;
    char policy[] = "cleanup.policy", compact[] = "compact";
    struct topic_config_entry entry = { policy, compact };
    struct uuid id = uuid_random(owner->doors->random);
    return unit_create_topic(&processor->unit, owner->storage, bytes_text(name), &id, partitions,
        &entry, changelog ? 1 : 0);
}

/* Everything it reads and writes, as far as it is missing, into the unit. */
static int add_topics(struct processor *processor)
{
    const struct settings *settings = &processor->settings;
    int32_t ours = processor->owner->config.default_partitions;
    int r = 0;
    for (size_t i = 0; r == 0 && i < settings->input_count; i++)
        r = add_topic(processor, settings->inputs[i], ours, false);
    for (size_t i = 0; r == 0 && i < settings->output_count; i++) {
        int32_t declared = settings->processor->outputs[i]->partitions;
        r = add_topic(processor, settings->outputs[i], declared ? declared : ours, false);
    }
    for (size_t i = 0; r == 0 && i < settings->store_count; i++)
        r = add_topic(
            processor, processor->targets[settings->output_count + i], task_count(processor), true);
    if (r == 0)
        r = add_topic(processor, processor->targets[processor->target_count - 1], ours, false);
    if (r)
        (void)refuse(processor, "its topics can't be made: %s", strerror(-r));
    return r;
}

/* ---- making and running ---------------------------------------------------------------------- */

static int start_worker(struct processor *processor)
{
    if (processor->worker)
        return 0;
    struct workers *workers = processor->owner->workers;
    int r = workers->start(workers, processor->name, &processor->worker);
    if (r)
        (void)refuse(processor, "no thread for it: %s", strerror(-r));
    return r;
}

static void start_runners(struct processor *processor)
{
    struct processors_load *load = processor->load;
    int r = start_worker(processor);
    if (r) {
        load_failed(processor, r);
        return;
    }
    processor->state = PROCESSOR_RUNNING;
    processor->load = NULL;
    int32_t count = task_count(processor);
    processor->runners = mem_zalloc((size_t)count, sizeof(struct runner *));
    for (int32_t i = 0; i < count; i++)
        processor->runners[processor->runner_count++] = runner_create(processor, i);
    for (int32_t i = 0; i < count; i++)
        runner_start(processor->runners[i]);
    doors_say(processor->owner->doors, LOG_INFO, "processor '%s' (%s) runs with %d task%s",
        processor->name, processor->file, count, count == 1 ? "" : "s");
    if (load) {
        load->loaded_name = processor->name;
        load->done(load, 0);
    }
}

static void made(struct unit *unit)
{
    struct processor *processor = container_of(unit, struct processor, unit);
    struct processors *owner = processor->owner;
    unit_done(unit);
    processor->recorded = true;
    start_runners(processor);
    if (owner->stopping && processor->state == PROCESSOR_RUNNING)
        processor_stop(processor);
    processor_open_next(owner);
}

/* Topics and entry, in one unit; then it runs. */
static void make(struct processor *processor)
{
    processor->state = PROCESSOR_MAKING;
    unit_init(&processor->unit, made);
    int r = check_partitions(processor);
    if (r == 0)
        r = check_state(processor);
    if (r == 0)
        r = add_topics(processor);
    if (r == 0 && !processor->recorded) {
        struct out entry = { 0 };
        entry_write(processor, &entry);
        unit_put(&processor->unit, STORE_PROCESSOR, bytes_text(processor->name),
            bytes_of(entry.data, entry.len));
        out_done(&entry);
    }
    bool something = processor->unit.put_count > 0;
    if (r == 0 && something) {
        r = log_commit(processor->owner->storage, &processor->unit);
        if (r && r != -EAGAIN)
            (void)refuse(processor, "it can't be recorded: %s", strerror(-r));
    }
    if (r == 0 && something)
        return;
    if (r == 0) {
        made(&processor->unit);
        return;
    }
    unit_done(&processor->unit);
    processor->wants_space = r == -EAGAIN;
    if (!processor->wants_space)
        load_failed(processor, r);
}

void processor_space(struct processor *processor)
{
    if (processor->wants_space) {
        processor->wants_space = false;
        if (processor->state == PROCESSOR_REMOVING)
            processor_remove(processor);
        else
            make(processor);
    }
    for (size_t i = 0; i < processor->runner_count; i++)
        runner_space(processor->runners[i]);
}

static void opened(struct work_job *job)
{
    struct processor *processor = container_of(job, struct processor, open_job);
    struct processors *owner = processor->owner;
    owner->opening = NULL;
    int r = processor->open_status;
    if (r == 0 && owner->stopping) {
        (void)refuse(processor, "the broker is stopping");
        r = -ESHUTDOWN;
    }
    if (r == 0)
        r = choose(processor);
    if (r == 0)
        r = check_name(processor);
    if (r == 0) {
        name_targets(processor);
        r = check_topics(processor);
    }
    if (r) {
        load_failed(processor, r);
        return;
    }
    if (processor->plugin.path && !processor->copy)
        processor->copy = mem_strdup(strrchr(processor->plugin.path, '/') + 1);
    make(processor);
}

void processor_refuse_queued(struct processor *processor)
{
    (void)refuse(processor, "the broker is stopping");
    load_failed(processor, -ESHUTDOWN);
}

void processor_open_next(struct processors *owner)
{
    if (owner->opening || owner->stopping)
        return;
    list_foreach (node, &owner->processors) {
        struct processor *processor = list_entry(node, struct processor, link);
        if (processor->state != PROCESSOR_QUEUED)
            continue;
        owner->opening = processor;
        processor->state = PROCESSOR_OPENING;
        processor->open_job = (struct work_job){ .run = open_run, .done = opened };
        work_submit(owner->doors->work, &processor->open_job);
        return;
    }
}

/* ---- stopping and removing ------------------------------------------------------------------- */

static bool delete_frame(void *context, struct bytes key, struct bytes value, uint64_t lsn)
{
    (void)value;
    (void)lsn;
    unit_put(context, STORE_TASK, key, (struct bytes){ NULL, 0 });
    return true;
}

/* Its state: frames, changelogs, dead letters. */
static int forget_state(struct processor *processor)
{
    struct storage *storage = processor->owner->storage;
    char *prefix = mem_printf("%s/", processor->name);
    store_each(storage, STORE_TASK, bytes_text(prefix), delete_frame, &processor->unit);
    mem_free(prefix);
    int r = 0;
    for (size_t i = processor->has_settings ? processor->settings.output_count : 0;
         r == 0 && i < processor->target_count; i++) {
        struct topic *topic = storage_topic(storage, bytes_text(processor->targets[i]));
        if (topic)
            r = unit_delete_topic(&processor->unit, storage, topic);
    }
    return r;
}

static void unload_ended(struct processor *processor, int status)
{
    struct processors_unload *unload = processor->unload;
    struct processors *owner = processor->owner;
    processor->unload = NULL;
    if (status)
        processor->state = PROCESSOR_FAILED;
    if (unload && status)
        (void)snprintf(unload->error, sizeof(unload->error), "%s", processor->reason);
    if (status == 0)
        processor_free(processor);
    if (unload)
        unload->done(unload, status);
    processors_check_stopped(owner);
}

static void removed(struct unit *unit)
{
    struct processor *processor = container_of(unit, struct processor, unit);
    unit_done(unit);
    doors_say(processor->owner->doors, LOG_INFO, "processor '%s' is unloaded%s", processor->name,
        processor->forget ? ", with its state" : "");
    unload_ended(processor, 0);
}

void processor_remove(struct processor *processor)
{
    processor->state = PROCESSOR_REMOVING;
    unit_init(&processor->unit, removed);
    if (processor->recorded)
        unit_put(&processor->unit, STORE_PROCESSOR, bytes_text(processor->name),
            (struct bytes){ NULL, 0 });
    int r = processor->forget ? forget_state(processor) : 0;
    if (r == 0)
        r = log_commit(processor->owner->storage, &processor->unit);
    if (r == 0)
        return;
    unit_done(&processor->unit);
    processor->wants_space = r == -EAGAIN;
    if (processor->wants_space)
        return;
    (void)refuse(processor, "it has stopped but can't be removed: %s", strerror(-r));
    unload_ended(processor, r);
}

static void stopped(struct processor *processor)
{
    struct processors *owner = processor->owner;
    free_runners(processor);
    if (processor->unload) {
        processor_remove(processor);
    } else if (processor->restart && !owner->stopping) {
        processor->restart = false;
        make(processor);
    } else {
        processor->state = PROCESSOR_FAILED;
        (void)refuse(processor, "stopped");
        processors_check_stopped(owner);
    }
}

void processor_runner_stopped(struct processor *processor)
{
    CHECK(processor->runners_left > 0);
    if (--processor->runners_left == 0)
        stopped(processor);
}

void processor_stop(struct processor *processor)
{
    processor->state = PROCESSOR_STOPPING;
    processor->runners_left = processor->runner_count;
    if (processor->runners_left == 0) {
        stopped(processor);
        return;
    }
    size_t count = processor->runner_count; /* the last one to stop frees them all, but later */
    for (size_t i = 0; i < count; i++)
        runner_stop(processor->runners[i]);
}
