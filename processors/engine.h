/*
 * engine.h - inside processors/: the owner, a processor, a runner. The loop's side of everything.
 *
 *   processors ─┬─ processor ─┬─ runner: reads inputs, submits steps of its task, commits units
 *               │  (plugin,   ├─ runner
 *               │  settings,  ...
 *               │  worker)
 *               └─ processor ...
 */
#ifndef PROCESSORS_ENGINE_H
#define PROCESSORS_ENGINE_H

#include "processors/plugin.h"
#include "processors/processors.h"
#include "processors/task.h"

struct processors {
    struct processors_config config;
    struct doors *doors;
    struct storage *storage;
    struct workers *workers;
    char *plugin_dir;
    struct list processors;    /* struct processor, in the order of loading */
    struct processor *opening; /* its file is with the pool; one at a time */
    struct timer watchdog, stop_limit, refused_timer;
    struct list refused_loads, refused_unloads; /* to be answered soon */
    bool stopping, timed_out;
    void (*stop_done)(void *context, int status);
    void *stop_context;
};

enum { WATCHDOG_MS = 200 };

enum processor_state {
    PROCESSOR_QUEUED,   /* to be opened */
    PROCESSOR_OPENING,  /* its file is with the pool */
    PROCESSOR_MAKING,   /* its topics and its entry are being committed */
    PROCESSOR_RUNNING,  /* its runners are what they are */
    PROCESSOR_FAILED,   /* without runners; reason */
    PROCESSOR_STOPPING, /* its runners are ending */
    PROCESSOR_REMOVING, /* its entry's end is being committed */
};

struct processor {
    struct list link;
    struct processors *owner;
    enum processor_state state;
    char *name;     /* NULL until the file is open, if none was given */
    char *file;     /* as given */
    char *copy;     /* what to open: a file in plugin_dir (its last part), or NULL: `file` */
    char *own_name; /* of the processor in the module; NULL until the file is open */
    struct setting *given;
    size_t given_count;
    bool recorded; /* its entry is in the store */
    char reason[PROCESSORS_ERROR_SIZE];

    struct work_job open_job;
    int open_status;
    struct plugin plugin;
    const mr_module *module;
    struct settings settings;
    bool has_settings;
    char **targets; /* topics, by target of a task */
    size_t target_count;
    struct work *worker;
    struct runner **runners;
    size_t runner_count, runners_left; /* left: not yet stopped */
    struct unit unit;                  /* of MAKING and REMOVING */
    bool restart;                      /* STOPPING ends in running again */
    bool wants_space;                  /* MAKING or REMOVING waits for room in the ring */

    struct processors_load *load;     /* to be told, or NULL */
    struct processors_unload *unload; /* to be told, or NULL */
    bool forget;
};

/* ---- processor.c: one processor's life ---- */

struct processor *processor_create(struct processors *owner, const char *name, const char *file,
    const struct setting *given, size_t given_count);
/* No runner may be left. */
void processor_free(struct processor *processor);
/* Opens the next queued one, if none is with the pool. */
void processor_open_next(struct processors *owner);
/* Begins to stop its runners; what comes then depends on `unload` and `restart`. */
void processor_stop(struct processor *processor);
/* Deletes its entry (and, to forget, its state); it has stopped. Then it is gone, or FAILED. */
void processor_remove(struct processor *processor);
/* It was to be opened, and the broker stops. */
void processor_refuse_queued(struct processor *processor);
void processor_space(struct processor *processor);
/* A runner has stopped. */
void processor_runner_stopped(struct processor *processor);
/* All have stopped? Then stop's done. */
void processors_check_stopped(struct processors *processors);

/* ---- entry.c: how it was loaded, in the store ---- */

void entry_write(const struct processor *processor, struct out *out);
/* A processor as its entry says. -EBADMSG; -EPROTO: written by a newer version. */
int entry_read(struct processors *owner, struct bytes name, struct bytes value,
    struct processor **ret) MUST_CHECK;

/* ---- runner.c: one task's life on the loop ---- */

enum {
    RUNNER_READ_BYTES = 256 << 10,    /* one read of one input */
    RUNNER_READ_BYTES_MIN = 16 << 10, /* with many inputs */
    RUNNER_INPUT_BYTES = 4 << 20,     /* read ahead for all inputs of a task, about */
    RUNNER_CHUNKS = 2,                /* read ahead of one input, waiting for the next step */
    RUNNER_RETRY_MS = 100,            /* after MR_RETRY, doubling */
    RUNNER_RETRY_MAX_MS = 30000,
    RUNNER_FULL_MS = 1000,       /* after a full disk */
    RUNNER_TRIM_RECORDS = 10000, /* cut a changelog's start when so many are of no use */
};

enum runner_state {
    RUNNER_RESTORING,
    RUNNER_RUNNING,
    RUNNER_FAILED,
    RUNNER_ENDING, /* the last job is running */
    RUNNER_STOPPED,
};

struct runner_input {
    struct runner *runner;
    struct log *log;
    struct log_waiter waiter;
    struct log_read read;
    bool reading;
    int64_t next_offset; /* where the next read begins */
    struct runner_chunk {
        struct buffer *buffer;
        int64_t end_offset;
        struct intake_aborted aborted;
    } chunks[RUNNER_CHUNKS]; /* read, not yet with the task */
    size_t chunk_count;
    int64_t caught_up_ns; /* position was the high watermark since then; -1: it is not */
    int64_t in_ring;      /* position as of the last unit that log_commit took */
    int64_t committed;    /* position as of the last unit that is done: what may be shown */
};

struct runner {
    struct processor *processor;
    struct processors *owner;
    int32_t index;
    enum runner_state state;
    char reason[PROCESSORS_ERROR_SIZE];
    struct task *task;
    struct runner_input *inputs; /* as task->inputs */
    size_t input_count;

    struct work_job job;
    enum runner_job { JOB_RESTORE, JOB_STEP, JOB_END } job_kind;
    bool job_running;
    uint64_t watched; /* progress at the last look of the watchdog */
    int64_t watched_ns;
    bool warned;

    bool news;      /* a step could do something that the last could not */
    bool sealed;    /* task holds a unit that is not yet in the ring */
    bool in_flight; /* `unit` is in the ring and not done */
    bool wants_space, said_full;
    bool stopping;
    struct unit unit;
    int64_t timer_at_ns;
    struct timer timer;    /* the next time something is due without an event */
    int64_t not_before_ns; /* no step before: retry, commit interval */
    int64_t retry_ms;

    size_t restoring; /* the store */
    struct log *restore_log;
    struct log_read restore_read;
    bool restore_reading;
    int64_t restore_next, restore_end;

    uint64_t units;
    int64_t last_commit_ms;
    struct task_counters in_ring, shown; /* as of the last unit taken, done */
    struct processors_metric
        metrics[TASK_METRICS_MAX]; /* as of the last step; names are the task's */
    size_t metric_count;
    int64_t in_ring_watermark, shown_watermark;
};

/* The task of the given number, with what the store knows of it. If it can't go on from there the
 * runner is FAILED. */
struct runner *runner_create(struct processor *processor, int32_t index);
/* Begins to restore, then to run. */
void runner_start(struct runner *runner);
/* Ends it, with what it has done committed; processor_runner_stopped is called, later or now. */
void runner_stop(struct runner *runner);
void runner_space(struct runner *runner);
/* As a crash does if it has not stopped. */
void runner_free(struct runner *runner);
/* Says it once if the callback that runs makes no progress. True if a job is running. */
bool runner_watch(struct runner *runner);
/* The newest frame of a task; an empty one if there is none. As task_frame_read. */
int runner_read_frame(
    const struct processor *processor, int32_t index, struct task_frame *ret) MUST_CHECK;
/* "name/index": the key of its frame. */
char *runner_key(const struct processor *processor, int32_t index);

#endif
