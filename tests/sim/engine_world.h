/*
 * engine_world.h - storage and processors in the simulated world, for tests: topics, records in and
 * out, loading, crashes. One thread, virtual time, one seed.
 *
 * Worker threads are the simulated pool here, so a seed picks when their jobs run. Modules are
 * built-in ones (the simulated disk has no file that dlopen could see).
 */
#ifndef TESTS_SIM_ENGINE_WORLD_H
#define TESTS_SIM_ENGINE_WORLD_H

#include "processors/processors.h"
#include "protocol/record.h"
#include "tests/sim/sim.h"

/* processors/examples/hashtags.c, built in. */
const mr_module *hashtags_module(void);

struct engine_world {
    struct sim sim;
    struct storage_config storage_config;
    struct processors_config config;
    struct storage *storage;
    struct processors *processors;
    struct workers_inline workers;
    struct out said;
    size_t in_flight; /* produced, not yet acknowledged */
    struct list flights;
    bool failed; /* the write-ahead log failed */
};

struct engine_record {
    int64_t ts;
    const char *key, *value; /* NULL: null */
};

void engine_begin(struct engine_world *world, uint64_t seed, const mr_module *const *builtins);
/* As a crash, then the end. */
void engine_end(struct engine_world *world);
/* Opens storage and processors, as a start of the broker does. */
void engine_open(struct engine_world *world);
/* kill -9 or a power cut, and a new start. */
void engine_crash(struct engine_world *world, bool power);
/* processors_stop, storage_close. -ETIMEDOUT as of processors_stop. Then engine_open or
 * engine_end. */
int engine_stop(struct engine_world *world);

/* One turn of the loop. False: nothing is left to do. */
bool engine_turn(struct engine_world *world);
/* Turns while virtual time passes. */
void engine_pass(struct engine_world *world, int64_t ms);
/* Turns until the processor has read and committed all there is; fails the test if that never
 * comes. A FAILED one counts as done. */
void engine_settle(struct engine_world *world, const char *name);

void engine_make_topic(struct engine_world *world, const char *name, int32_t partitions);
void engine_add_partitions(struct engine_world *world, const char *name, int32_t partitions);
void engine_delete_topic(struct engine_world *world, const char *name);
int64_t engine_end_offset(struct engine_world *world, const char *topic, int32_t partition);
/* One batch. Acknowledged in some later turn. */
void engine_produce(struct engine_world *world, const char *topic, int32_t partition,
    const struct engine_record *records, size_t count);
/* With a producer id, in a transaction, ... */
void engine_produce_as(struct engine_world *world, const char *topic, int32_t partition,
    const struct engine_record *records, size_t count, const struct batch_options *options);
/* The marker that ends a producer's transaction. */
void engine_mark(struct engine_world *world, const char *topic, int32_t partition, int64_t producer,
    bool commits);
/* Every visible record of a topic, a line each: "partition offset ts key=value". mem_free it. */
char *engine_text(struct engine_world *world, const char *topic);

/* "key=value" texts, NULL at the end. Returns done's status; `error` of at least
 * PROCESSORS_ERROR_SIZE bytes, or NULL. */
int engine_load(struct engine_world *world, const char *file, const char *name,
    const char *const *settings, char *error);
int engine_unload(struct engine_world *world, const char *name, bool forget, char *error);

/* What processors_each tells of one; state "" if there is none. Texts are copies that last until
 * the next call. */
struct engine_info {
    char state[16], error[PROCESSORS_ERROR_SIZE];
    int64_t lag, watermark, last_commit_ms;
    int32_t tasks;
    uint64_t records, emitted, late, dropped, dead, units;
    int64_t positions[64];
    size_t position_count;
};
struct engine_info engine_info(struct engine_world *world, const char *name);
bool engine_said(const struct engine_world *world, const char *text);

#endif
