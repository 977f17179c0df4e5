/*
 * process.c - `millrace process list|load|unload|new`: stream processors of the running broker.
 *
 * list, load and unload are one HTTP request each (control.h); new writes files and asks nobody.
 */
#include "tools/process.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/base/bytes.h"
#include "protocol/base/mem.h"
#include "tools/control.h"
#include "tools/table.h"
#include "tools/template.h"

struct process_settings {
    struct settings settings;
    const char *socket;
    int64_t timeout_s;
    bool json;
};

#define FIELD(member) offsetof(struct process_settings, member)
static const struct option process_options[] = {
    { 's', "socket", "PATH",
        "the broker's control socket; else $MILLRACE_SOCKET, else control.sock in\n"
        "/var/lib/millrace (root) or ~/.local/share/millrace",
        NULL, OPTION_TEXT, FIELD(socket), 0, 0 },
    { 0, "timeout", "SECONDS", "how long to wait for an answer", "10", OPTION_INTEGER,
        FIELD(timeout_s), 1, 86400 },
    { 0, "json", NULL, "print JSON for programs", NULL, OPTION_SWITCH, FIELD(json), 0, 0 },
    { 0 },
};
#undef FIELD

/* As control_request; what goes wrong is told. */
static int ask(const struct process_settings *settings, const char *method, const char *path,
    json_t *body, json_t **ret)
{
    char *socket = control_socket_path(settings->socket);
    struct control control = { .socket = socket, .timeout_s = settings->timeout_s };

    int code = control_request(&control, method, path, body, ret);
    if (code)
        command_error(&settings->settings, "%s", control.error);
    mem_free(socket);
    return code;
}

static void print_json(const json_t *value)
{
    (void)json_dumpf(value, stdout, JSON_COMPACT);
    (void)putchar('\n');
}

/* ---- list ----------------------------------------------------------------------------------- */

/* "a,b" of an array of texts. */
static void cell_of_texts(struct table *table, const json_t *texts)
{
    struct out out = { 0 };

    for (size_t i = 0; i < json_array_size(texts); i++) {
        const char *text = json_string_value(json_array_get(texts, i));
        out_printf(&out, "%s%s", i ? "," : "", text ? text : "?");
    }
    table_cell(table, "%.*s", (int)out.len, out.data ? (const char *)out.data : "");
    out_done(&out);
}

static void cell_of_text(struct table *table, const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    table_cell(table, "%s", text ? text : "");
}

static void cell_of_number(struct table *table, const json_t *object, const char *name)
{
    const json_t *number = json_object_get(object, name);

    if (json_is_integer(number))
        table_cell(table, "%" JSON_INTEGER_FORMAT, json_integer_value(number));
    else
        table_cell(table, "-");
}

static void print_table(const json_t *processors)
{
    static const char *const heads[] = { "NAME", "STATE", "INPUTS", "OUTPUTS", ">RECORDS",
        ">EMITTED", ">LAG", "ERROR" };
    struct table table;

    table_init(&table, heads, ARRAY_COUNT(heads));
    for (size_t i = 0; i < json_array_size(processors); i++) {
        const json_t *one = json_array_get(processors, i);
        cell_of_text(&table, one, "name");
        cell_of_text(&table, one, "state");
        cell_of_texts(&table, json_object_get(one, "inputs"));
        cell_of_texts(&table, json_object_get(one, "outputs"));
        cell_of_number(&table, one, "records");
        cell_of_number(&table, one, "emitted");
        cell_of_number(&table, one, "lag");
        cell_of_text(&table, one, "error");
    }
    table_print(&table, stdout);
    table_done(&table);
}

static int process_list(struct settings *base)
{
    struct process_settings *settings = container_of(base, struct process_settings, settings);
    json_t *answer;

    int code = ask(settings, "GET", "/v1/processors", NULL, &answer);
    if (code)
        return code;
    if (settings->json)
        print_json(answer);
    else
        print_table(json_object_get(answer, "processors"));
    json_decref(answer);
    return EXIT_DONE;
}

/* ---- load ----------------------------------------------------------------------------------- */

struct load_settings {
    struct process_settings process;
    const char *name;
    struct texts configs;
};

static const struct option load_options[] = {
    { 'n', "name", "NAME", "what to call it; else the name that its file gives", NULL, OPTION_TEXT,
        offsetof(struct load_settings, name), 0, 0 },
    { 'c', "config", "KEY=VALUE", "a setting of the processor (repeatable)", NULL, OPTION_TEXTS,
        offsetof(struct load_settings, configs), 0, 0 },
    { 0 },
};

static int parse_configs(const struct load_settings *settings, json_t *configs)
{
    for (size_t i = 0; i < settings->configs.count; i++) {
        const char *config = settings->configs.items[i], *equals = strchr(config, '=');
        if (!equals || equals == config) {
            command_error(
                &settings->process.settings, "--config wants KEY=VALUE, not '%s'", config);
            return EXIT_USAGE;
        }
        char *key = mem_strndup(config, (size_t)(equals - config));
        int failed = json_object_set_new(configs, key, json_string(equals + 1));
        mem_free(key);
        if (failed) {
            command_error(&settings->process.settings, "--config '%s' is not UTF-8", config);
            return EXIT_USAGE;
        }
    }
    return EXIT_DONE;
}

static int make_load_body(const struct load_settings *settings, json_t *body)
{
    const char *file = settings->process.settings.words.items[0];
    char path[PATH_MAX];

    if (!realpath(file, path)) {
        command_error(&settings->process.settings, "cannot load %s: %s", file, strerror(errno));
        return EXIT_FAILED;
    }
    json_t *configs = json_object();
    int failed = json_object_set_new(body, "file", json_string(path));
    if (settings->name)
        failed |= json_object_set_new(body, "name", json_string(settings->name));
    failed |= json_object_set_new(body, "config", configs);
    if (!failed)
        return parse_configs(settings, configs);
    command_error(&settings->process.settings, "the file's path and the name must be UTF-8");
    return EXIT_USAGE;
}

static int process_load(struct settings *base)
{
    struct load_settings *settings = container_of(base, struct load_settings, process.settings);
    json_t *body = json_object(), *answer;

    int code = make_load_body(settings, body);
    if (code) {
        json_decref(body);
        return code;
    }
    code = ask(&settings->process, "POST", "/v1/processors", body, &answer);
    if (code)
        return code;
    const char *name = json_string_value(json_object_get(answer, "name"));
    if (settings->process.json)
        print_json(answer);
    else
        printf("%s: loaded\n", name ? name : "?");
    json_decref(answer);
    return EXIT_DONE;
}

/* ---- unload --------------------------------------------------------------------------------- */

struct unload_settings {
    struct process_settings process;
    bool forget;
};

static const struct option unload_options[] = {
    { 0, "forget", NULL, "its state and its position in the inputs as well", NULL, OPTION_SWITCH,
        offsetof(struct unload_settings, forget), 0, 0 },
    { 0 },
};

static int process_unload(struct settings *base)
{
    struct unload_settings *settings = container_of(base, struct unload_settings, process.settings);
    char *segment = control_segment(base->words.items[0]);
    char *path = mem_printf("/v1/processors/%s%s", segment, settings->forget ? "?forget=true" : "");
    json_t *answer;

    int code = ask(&settings->process, "DELETE", path, NULL, &answer);
    mem_free(path);
    mem_free(segment);
    if (code)
        return code;
    if (settings->process.json)
        print_json(answer);
    else
        printf("%s: unloaded%s\n", base->words.items[0], settings->forget ? " and forgotten" : "");
    json_decref(answer);
    return EXIT_DONE;
}

/* ---- new ------------------------------------------------------------------------------------ */

struct new_settings {
    struct settings settings;
    const char *directory;
};

static const struct option new_options[] = {
    { 'd', "dir", "DIR", "where; else a directory of that name, here", NULL, OPTION_TEXT,
        offsetof(struct new_settings, directory), 0, 0 },
    { 0 },
};

static int process_new(struct settings *base)
{
    struct new_settings *settings = container_of(base, struct new_settings, settings);
    const char *name = base->words.items[0];
    const char *directory = settings->directory ? settings->directory : name;
    struct out failed_path = { 0 };

    if (template_check_name(name) < 0) {
        command_error(base,
            "'%s' is no name for a processor: 1 to %d of a-z 0-9 _ -, a letter first", name,
            TEMPLATE_NAME_MAX);
        return EXIT_USAGE;
    }
    int error = template_write(directory, name, &failed_path);
    if (error)
        command_error(
            base, "cannot write %s: %s", (const char *)failed_path.data, strerror(-error));
    else
        printf("%s: made. Next:\n  make -C %s\n  millrace process load %s/%s.so\n", directory,
            directory, directory, name);
    out_done(&failed_path);
    return error ? EXIT_FAILED : EXIT_DONE;
}

/* ---- the tables ----------------------------------------------------------------------------- */

const struct command process_commands[] = {
    { .name = "list",
        .synopsis = "[OPTION]...",
        .summary = "The processors of the running broker, and how they are.",
        .details = "Examples:\n"
                   "  millrace process list\n"
                   "  millrace process list --json | jq '.processors[].lag'\n",
        .shared = process_options,
        .settings_size = sizeof(struct process_settings),
        .run = process_list },
    { .name = "load",
        .synopsis = "FILE.so [OPTION]...",
        .summary = "Load a processor; the broker starts it, now and after each restart.",
        .details = "Examples:\n"
                   "  millrace process load ./hashtags.so\n"
                   "  millrace process load ./hashtags.so --name tags --config window.hop.top=20\n",
        .shared = process_options,
        .own = load_options,
        .words_min = 1,
        .words_max = 1,
        .settings_size = sizeof(struct load_settings),
        .run = process_load },
    { .name = "unload",
        .synopsis = "NAME [OPTION]...",
        .summary = "Stop a processor. Its topics stay; loaded again it goes on where it was.",
        .details = "Examples:\n"
                   "  millrace process unload hashtags\n"
                   "  millrace process unload hashtags --forget\n",
        .shared = process_options,
        .own = unload_options,
        .words_min = 1,
        .words_max = 1,
        .settings_size = sizeof(struct unload_settings),
        .run = process_unload },
    { .name = "new",
        .synopsis = "NAME [OPTION]...",
        .summary = "Write a directory with a processor that builds, to start from.",
        .details = "Examples:\n"
                   "  millrace process new wordcount && make -C wordcount\n",
        .own = new_options,
        .words_min = 1,
        .words_max = 1,
        .settings_size = sizeof(struct new_settings),
        .run = process_new },
    { .name = NULL },
};
