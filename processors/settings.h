/*
 * settings.h - how one processor is to run: what it declares, with the configuration it was loaded
 * with laid over it. Pure; no thread.
 *
 * Keys of every processor (the table is in settings.c and in the README):
 *   input.<topic>, output.<topic>     another topic in the place of a declared one
 *   window.<name>.size.ms, .step.ms, .grace.ms, .top
 *   start                 earliest, latest: where to begin without a position      (earliest)
 *   idle.ms               a partition without new records for so long holds nobody   (5000)
 *   idle.advance          when all are idle, time goes on by: elapsed, wallclock, none (elapsed)
 *   align                 read partitions in the order of their timestamps (with windows: true)
 *   commit.interval.ms    at most one commit in so long                                (0)
 *   max.record.ms         report a callback without progress                           (1000)
 *   state.bytes.max       memory of the stores of one task                             (256m)
 *   compression           codec of the outputs                                        (none)
 * and those the processor declares.
 */
#ifndef PROCESSORS_SETTINGS_H
#define PROCESSORS_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "processors/include/millrace/processor.h"
#include "processors/slices.h"
#include "protocol/base/check.h"
#include "protocol/compress.h"

struct setting {
    const char *key, *value;
};

enum idle_advance {
    IDLE_ELAPSED,   /* from the newest record's time on, as fast as the wall clock */
    IDLE_WALLCLOCK, /* to the wall clock's time */
    IDLE_NONE,
};

struct setting_value {
    const char *key; /* of the declaration */
    char *text;
    int64_t number; /* of a type that has one */
};

struct settings {
    const mr_processor *processor;
    size_t input_count, output_count, store_count, window_count, value_count;
    char **inputs, **outputs; /* topics, by index of the declaration */
    struct window_spec *windows;
    struct setting_value *values;
    bool start_latest, align;
    int64_t idle_ms, commit_interval_ms, max_record_ms, state_bytes_max;
    enum idle_advance idle_advance;
    enum codec compression;
};

/* `processor` passed module_check. -EINVAL: `error` says what is wrong and what would be right.
 * settings_done is needed after success only. */
int settings_init(struct settings *settings, const mr_processor *processor,
    const struct setting *given, size_t given_count, char *error, size_t error_size) MUST_CHECK;
void settings_done(struct settings *settings);
const struct setting_value *settings_value(const struct settings *settings, const char *key);

/* Entries of a list that ends with NULL; a NULL list has none. */
size_t settings_list_count(const void *const *list);

#endif
