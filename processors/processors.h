/*
 * processors.h - the one face of processors/ for broker/: the stream processors of one broker.
 *
 * Everything here is for the loop's thread. Plugins are loaded in the work pool, their code runs on
 * worker threads (workers.h); results come back through callbacks on the loop, exactly once, never
 * inside the call.
 *
 * What was loaded is kept in storage (STORE_PROCESSOR) with a private copy of its file in
 * dir/plugins, so a restart finds it again; how far each task is, too (STORE_TASK).
 *
 * A crash in a plugin's code is a crash of the broker: load only what you trust.
 */
#ifndef PROCESSORS_PROCESSORS_H
#define PROCESSORS_PROCESSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "processors/include/millrace/processor.h"
#include "processors/settings.h"
#include "processors/workers.h"
#include "protocol/base/check.h"
#include "storage/storage.h"

enum {
    PROCESSORS_MAX = 64,         /* loaded at once */
    PROCESSORS_TASKS_MAX = 1024, /* of one processor */
    PROCESSORS_STOP_MS = 5000,   /* how long processors_stop waits for callbacks that run */
    PROCESSORS_ERROR_SIZE = 1024,
};

struct processors;

struct processors_config {
    const char *dir;            /* the data directory */
    int32_t default_partitions; /* of topics that must be made: num.partitions */
    /* Modules without a file, for tests and for what ships inside: loaded as "builtin:NAME", the
     * name of the module. NULL-terminated, or NULL. */
    const mr_module *const *builtins;
};

/* Doors, storage, workers and what config points to outlive it. */
struct processors *processors_create(const struct processors_config *config, struct doors *doors,
    struct storage *storage, struct workers *workers);
/* Loads what was loaded before the last stop, in the background. What can't be loaded any more is
 * listed as FAILED. Call once, before anything else. */
void processors_start(struct processors *processors);

/* ---- load, unload ---------------------------------------------------------------------------- */

/* Owned by the caller until done. */
struct processors_load {
    /* filled by the caller; borrowed until processors_load returns */
    const char *file;
    const char *name; /* what to call it; NULL: as the file does. If the file has several processors
                         it also says which. */
    const struct setting *settings;
    size_t setting_count;
    void (*done)(struct processors_load *load, int status);
    /* result: status 0: it is loaded for good (durable) and runs; `name` below is valid in done.
     * Else -errno and a text: -EINVAL (declaration, configuration), -ENOENT, -ENOEXEC (the file),
     * -EEXIST (name), -EMFILE (PROCESSORS_MAX), -ESHUTDOWN, or of storage */
    char error[PROCESSORS_ERROR_SIZE];
    const char *loaded_name;
    struct list link; /* processors' own */
    int status;       /* processors' own */
};
void processors_load(struct processors *processors, struct processors_load *load);

struct processors_unload {
    const char *name; /* borrowed until processors_unload returns */
    bool forget; /* its state as well: positions, changelogs, the dead-letter topic. Else loading
                    one of the same name goes on where this one stopped. */
    void (*done)(struct processors_unload *unload, int status);
    /* result: 0 when it has stopped and that is durable; -ENOENT, -EBUSY (being loaded or
     * unloaded), -ESHUTDOWN */
    char error[PROCESSORS_ERROR_SIZE];
    struct list link; /* processors' own */
    int status;       /* processors' own */
};
void processors_unload(struct processors *processors, struct processors_unload *unload);

/* ---- what the broker tells ------------------------------------------------------------------- */

/* storage_hooks.space: a log_commit that said -EAGAIN may succeed now. */
void processors_space(struct processors *processors);
/* Partitions were added to a topic: processors that read it go on with all of them. */
void processors_topics_changed(struct processors *processors);

/* Ends every callback, commits what was done, stops the workers; done(status) once: 0, or
 * -ETIMEDOUT: a callback did not return within PROCESSORS_STOP_MS (said through the doors); then
 * processors_destroy leaves it alone and the process must end. Before storage_close. */
void processors_stop(
    struct processors *processors, void (*done)(void *context, int status), void *context);
/* After stop's done, or as a crash does (simulation: no job may be in flight). Accepts NULL. */
void processors_destroy(struct processors *processors);

/* ---- what there is --------------------------------------------------------------------------- */

struct processors_position {
    const char *topic;
    int32_t partition;
    int64_t position; /* committed: the next offset to be processed */
    int64_t end;      /* high watermark */
};

struct processors_metric {
    const char *name;
    int64_t value;
};

struct processors_info {
    const char *name;
    const char *file;                           /* as given to load */
    const char *state;                          /* LOADING, RESTORING, RUNNING, FAILED, STOPPING */
    const char *error;                          /* of FAILED; else NULL */
    const char *const *inputs, *const *outputs; /* topics */
    size_t input_count, output_count;
    const struct processors_position *positions;
    size_t position_count;
    int64_t lag; /* records not yet processed, of all inputs; -1: not known */
    int32_t tasks;
    int64_t watermark;                              /* the least of its tasks; INT64_MIN: none */
    uint64_t records, emitted, late, dropped, dead; /* since it was first loaded */
    uint64_t units;                                 /* commits since the broker's start */
    int64_t last_commit_ms;                         /* wall time; -1: none yet */
    const struct processors_metric *metrics;        /* of all tasks, by name */
    size_t metric_count;
};
/* In the order of loading; the info is valid during the call. `each` returns false to stop. */
void processors_each(struct processors *processors,
    bool (*each)(void *context, const struct processors_info *info), void *context);

#endif
