/*
 * storage.c - `millrace storage check`: is everything in a data directory whole? Nothing is written
 * (storage/check.h); the directory's lock is held meanwhile.
 *
 * What is found is printed as it comes; with --json one object at the end. Errors that recovery
 * tells of go to standard error (and into the object).
 */
#include "tools/storage.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "protocol/base/mem.h"
#include "storage/check.h"

struct storage_settings {
    struct settings settings;
    const char *data_dir;
    bool json;
};

#define FIELD(member) offsetof(struct storage_settings, member)
static const struct option check_options[] = {
    { 'd', "data-dir", "DIR",
        "the data directory (log.dirs of the broker); else /var/lib/millrace (root) or\n"
        "~/.local/share/millrace",
        NULL, OPTION_TEXT, FIELD(data_dir), 0, 0 },
    { 0, "json", NULL, "print JSON for programs", NULL, OPTION_SWITCH, FIELD(json), 0, 0 },
    { 0 },
};
#undef FIELD

struct printer {
    json_t *root, *logs, *segments, *said; /* NULL: text */
    char *log;                             /* "<topic>-<partition>" */
    bool headed;
};

static const char *const footers[] = {
    [CHECK_FOOTER_NONE] = "none",
    [CHECK_FOOTER_WHOLE] = "whole",
    [CHECK_FOOTER_MISSING] = "missing",
    [CHECK_FOOTER_BAD] = "bad",
};

/* ---- text ---------------------------------------------------------------------------------- */

static void text_segment(struct printer *printer, const struct check_segment *segment)
{
    if (!printer->headed)
        (void)printf(
            "%-32s %14s %14s %12s %12s  %s\n", "LOG", "FROM", "TO", "RECORDS", "BYTES", "FOOTER");
    printer->headed = true;
    (void)printf("%-32s %14" PRId64 " %14" PRId64 " %12" PRIu64 " %12" PRIu64 "  %s\n",
        printer->log, segment->base_offset, segment->end_offset - 1, segment->records,
        segment->size, footers[segment->footer]);
    if (segment->status < 0)
        (void)printf("  DAMAGED: %s: offsets %" PRId64 " to %" PRId64 ": the file: %s\n",
            printer->log, segment->base_offset, segment->end_offset - 1,
            strerrordesc_np(-segment->status));
    for (size_t i = 0; i < segment->damage_count; i++) {
        const struct damage *damage = &segment->damages[i];
        (void)printf("  DAMAGED: %s: offsets %" PRId64 " to %" PRId64 " (bytes %" PRIu64
                     " to %" PRIu64 " of the segment that begins at %" PRId64 ")\n",
            printer->log, damage->offset, damage->end_offset - 1, damage->position,
            damage->end_position - 1, segment->base_offset);
    }
}

static void text_totals(const char *dir, const struct check_totals *totals, bool damaged)
{
    (void)printf("%s: %s: %" PRIu64 " logs, %" PRIu64 " segments, %" PRIu64 " records, %" PRIu64
                 " bytes; the last stop was %s\n",
        dir, damaged ? "DAMAGED" : "whole", totals->logs, totals->segments, totals->records,
        totals->bytes, totals->unclean ? "not clean" : "clean");
    if (totals->damages)
        (void)printf("%" PRIu64 " damaged places take %" PRIu64 " offsets\n", totals->damages,
            totals->offsets_damaged);
    if (totals->refused)
        (void)puts("a start refuses this directory unless it is told --accept-loss");
}

/* ---- events -------------------------------------------------------------------------------- */

static void on_log(void *context, const struct check_log *log)
{
    struct printer *printer = context;
    mem_free(printer->log);
    printer->log = mem_printf("%s-%" PRId32, log->topic, log->partition);
    if (log->refused_from >= 0 && !printer->root)
        (void)printf("  DAMAGED: %s: offsets %" PRId64 " to %" PRId64
                     ": in the write-ahead log; reads from there on and appends are refused\n",
            printer->log, log->refused_from, log->end_offset - 1);
    if (!printer->root)
        return;
    printer->segments = json_array();
    json_t *value = json_pack("{s:s, s:i, s:I, s:I, s:I, s:o}", "topic", log->topic, "partition",
        log->partition, "start_offset", (json_int_t)log->start_offset, "end_offset",
        (json_int_t)log->end_offset, "bytes", (json_int_t)log->size, "segments", printer->segments);
    if (value && log->refused_from >= 0)
        (void)json_object_set_new(value, "refused_from", json_integer(log->refused_from));
    (void)json_array_append_new(printer->logs, value);
}

static void on_segment(void *context, const struct check_segment *segment)
{
    struct printer *printer = context;
    if (!printer->root) {
        text_segment(printer, segment);
        return;
    }
    json_t *damages = json_array();
    for (size_t i = 0; i < segment->damage_count; i++) {
        const struct damage *damage = &segment->damages[i];
        (void)json_array_append_new(damages,
            json_pack("{s:I, s:I, s:I, s:I}", "offset", (json_int_t)damage->offset, "end_offset",
                (json_int_t)damage->end_offset, "position", (json_int_t)damage->position,
                "end_position", (json_int_t)damage->end_position));
    }
    json_t *value = json_pack("{s:I, s:I, s:I, s:I, s:I, s:s, s:o}", "base_offset",
        (json_int_t)segment->base_offset, "end_offset", (json_int_t)segment->end_offset, "bytes",
        (json_int_t)segment->size, "records", (json_int_t)segment->records, "batches",
        (json_int_t)segment->batches, "footer", footers[segment->footer], "damaged", damages);
    if (value && segment->status < 0)
        (void)json_object_set_new(value, "error", json_string(strerrordesc_np(-segment->status)));
    (void)json_array_append_new(printer->segments, value);
}

static void on_say(void *context, enum log_level level, const char *line)
{
    static const char *const levels[] = { "error", "warning", "info", "debug" };
    struct printer *printer = context;
    (void)fprintf(stderr, "%s: %s\n", levels[level], line);
    if (printer->root)
        (void)json_array_append_new(
            printer->said, json_pack("{s:s, s:s}", "level", levels[level], "line", line));
}

/* ---- the command --------------------------------------------------------------------------- */

static char *directory_of(const struct storage_settings *settings)
{
    const char *home = getenv("HOME");
    if (settings->data_dir)
        return mem_strdup(settings->data_dir);
    if (geteuid() == 0 || !home)
        return mem_strdup("/var/lib/millrace");
    return mem_printf("%s/.local/share/millrace", home);
}

static void print_json(
    struct printer *printer, const char *dir, const struct check_totals *totals, bool damaged)
{
    json_t *value = json_pack("{s:s, s:b, s:b, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:O, s:O}", "dir",
        dir, "damaged", damaged, "refused", totals->refused, "clean", !totals->unclean,
        "logs_count", (json_int_t)totals->logs, "segments", (json_int_t)totals->segments, "records",
        (json_int_t)totals->records, "bytes", (json_int_t)totals->bytes, "damages",
        (json_int_t)totals->damages, "offsets_damaged", (json_int_t)totals->offsets_damaged, "logs",
        printer->logs, "said", printer->said);
    (void)json_dumpf(value, stdout, JSON_COMPACT);
    (void)putchar('\n');
    json_decref(value);
}

static int check_run(struct settings *common)
{
    struct storage_settings *settings = container_of(common, struct storage_settings, settings);
    struct printer printer = { 0 };
    struct check_events events = { &printer, on_log, on_segment, on_say };
    struct check_totals totals = { 0 };
    struct disk *disk;
    char *dir = directory_of(settings);
    if (settings->json) {
        printer.root = json_object();
        printer.logs = json_array();
        printer.said = json_array();
    }
    int status = disk_plain_create(&disk);
    if (status == 0) {
        status = storage_check(dir, disk, &events, &totals);
        disk->table->destroy(disk);
    }
    bool damaged = totals.refused || totals.damages || totals.errors;
    if (status == -EBUSY)
        command_error(common, "%s is in use: stop the broker first", dir);
    else if (status < 0)
        command_error(common, "%s can't be checked: %s", dir, strerrordesc_np(-status));
    else if (settings->json)
        print_json(&printer, dir, &totals, damaged);
    else
        text_totals(dir, &totals, damaged);
    json_decref(printer.root);
    json_decref(printer.logs);
    json_decref(printer.said);
    mem_free(printer.log);
    mem_free(dir);
    return status < 0 ? EXIT_USAGE : damaged ? EXIT_FAILED : EXIT_DONE;
}

const struct command storage_commands[] = {
    { .name = "check",
        .synopsis = "[OPTION]...",
        .summary = "Read all of a data directory and tell whether it is whole. Writes nothing.",
        .details =
            "Reads every segment to its end and verifies every byte, runs the recovery that a\n"
            "start would run (in memory), and names what is damaged: topic, partition, offsets.\n"
            "The broker must be stopped.\n"
            "\n"
            "Exit codes: 0 all is whole, 1 something is damaged, 2 it could not be checked.\n"
            "\n"
            "Examples:\n"
            "  millrace storage check --data-dir /var/lib/millrace\n"
            "  millrace storage check --json | jq '.logs[].segments[].damaged[]'\n",
        .own = check_options,
        .settings_size = sizeof(struct storage_settings),
        .run = check_run },
    { .name = NULL },
};
