/*
 * command.c - from argv to a filled struct and a call.
 *
 * The way of a call: command_main walks down the tables as long as the words name commands, then
 * command_parse takes presets, options and words, then `run` gets the settings.
 *
 * What goes wrong is always the user's: unknown names (told with the nearest known one), missing or
 * impossible values, too few or too many words. The answer is one line and the way to the help,
 * exit 2.
 */
#include "tools/command.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/base/mem.h"
#include "protocol/base/nearest.h"

enum { PATH_SIZE = 128, ERROR_SIZE = 512, HELP_COLUMN = 30 };

void texts_add(struct texts *texts, const char *text)
{
    if (texts->count == texts->capacity)
        mem_grow(texts->items, &texts->capacity, texts->count + 1);
    texts->items[texts->count++] = text;
}

void texts_done(struct texts *texts)
{
    mem_free(texts->items);
    *texts = (struct texts){ 0 };
}

void command_error(const struct settings *settings, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)fprintf(stderr, "millrace %s: ", settings->path);
    (void)vfprintf(stderr, format, arguments);
    (void)fputc('\n', stderr);
    va_end(arguments);
}

static void *field(struct settings *settings, const struct option *option)
{
    return (char *)settings + option->offset;
}

static int take_integer(
    const struct option *option, const char *text, int64_t *ret, char *error, size_t error_size)
{
    char *end;

    errno = 0;
    intmax_t value = strtoimax(text, &end, 10);
    if (errno || end == text || *end || value < option->min || value > option->max) {
        if (option->max == INT64_MAX)
            (void)snprintf(error, error_size,
                "--%s wants a whole number from %" PRId64 ", not '%s'", option->name, option->min,
                text);
        else
            (void)snprintf(error, error_size,
                "--%s wants a whole number from %" PRId64 " to %" PRId64 ", not '%s'", option->name,
                option->min, option->max, text);
        return -EINVAL;
    }
    *ret = value;
    return 0;
}

static int take(struct settings *settings, const struct option *option, const char *text,
    char *error, size_t error_size)
{
    switch (option->kind) {
    case OPTION_SWITCH: *(bool *)field(settings, option) = true; return 0;
    case OPTION_TEXT: *(const char **)field(settings, option) = text; return 0;
    case OPTION_TEXTS: texts_add(field(settings, option), text); return 0;
    case OPTION_INTEGER:
        return take_integer(option, text, field(settings, option), error, error_size);
    }
    return -EINVAL;
}

static const struct option help_option[] = {
    { 'h', "help", NULL, "print this text", NULL, OPTION_SWITCH, offsetof(struct settings, help), 0,
        0 },
    { 0 },
};

/* The tables of a command, in the order of the help. */
static const struct option *table(const struct command *command, size_t index)
{
    static const struct option none[] = { { 0 } };
    const struct option *tables[] = { command->own, command->shared, help_option };

    CHECK(index < ARRAY_COUNT(tables));
    return tables[index] ? tables[index] : none;
}
enum { TABLE_COUNT = 3 };

static const struct option *find_long(
    const struct command *command, const char *name, size_t name_len, struct nearest *nearest)
{
    for (size_t i = 0; i < TABLE_COUNT; i++)
        for (const struct option *option = table(command, i); option->name; option++) {
            if (strlen(option->name) == name_len && memcmp(option->name, name, name_len) == 0)
                return option;
            nearest_offer(nearest, option->name);
        }
    return NULL;
}

static const struct option *find_short(const struct command *command, char letter)
{
    for (size_t i = 0; i < TABLE_COUNT; i++)
        for (const struct option *option = table(command, i); option->name; option++)
            if (option->letter == letter)
                return option;
    return NULL;
}

struct parse {
    const struct command *command;
    struct settings *settings;
    char **argv;
    int argc, next; /* argv[next] is the word after the one in hand */
    char *error;
    size_t error_size;
};

static int parse_long(struct parse *parse, const char *word)
{
    const char *equals = strchr(word, '=');
    size_t name_len = equals ? (size_t)(equals - word) : strlen(word);
    char name[NEAREST_NAME_MAX];
    struct nearest nearest;

    (void)snprintf(name, sizeof(name), "%.*s", (int)(name_len < 100 ? name_len : 100), word);
    nearest_init(&nearest, name);
    const struct option *option = find_long(parse->command, word, name_len, &nearest);
    if (!option) {
        (void)snprintf(parse->error, parse->error_size, "no option --%s%s%s%s", name,
            nearest.best ? "; did you mean --" : "", nearest.best ? nearest.best : "",
            nearest.best ? "?" : "");
        return -EINVAL;
    }
    if (!option->value && equals) {
        (void)snprintf(parse->error, parse->error_size, "--%s takes no value", option->name);
        return -EINVAL;
    }
    const char *value = equals ? equals + 1 : NULL;
    if (option->value && !equals) {
        if (parse->next >= parse->argc) {
            (void)snprintf(
                parse->error, parse->error_size, "--%s wants a %s", option->name, option->value);
            return -EINVAL;
        }
        value = parse->argv[parse->next++];
    }
    return take(parse->settings, option, value, parse->error, parse->error_size);
}

/* "-f", "-K:", "-K :", "-fq". */
static int parse_short(struct parse *parse, const char *letters)
{
    for (; *letters; letters++) {
        const struct option *option = find_short(parse->command, *letters);
        if (!option) {
            (void)snprintf(parse->error, parse->error_size, "no option -%c", *letters);
            return -EINVAL;
        }
        const char *value = NULL;
        if (option->value && letters[1]) {
            value = letters + 1;
        } else if (option->value) {
            if (parse->next >= parse->argc) {
                (void)snprintf(
                    parse->error, parse->error_size, "-%c wants a %s", *letters, option->value);
                return -EINVAL;
            }
            value = parse->argv[parse->next++];
        }
        int error = take(parse->settings, option, value, parse->error, parse->error_size);
        if (error || value)
            return error;
    }
    return 0;
}

static int take_presets(struct parse *parse)
{
    for (size_t i = 0; i < TABLE_COUNT; i++)
        for (const struct option *option = table(parse->command, i); option->name; option++)
            if (option->preset)
                CHECK(take(parse->settings, option, option->preset, parse->error,
                          parse->error_size) == 0);
    return 0;
}

int command_parse(const struct command *command, int argc, char **argv, struct settings *settings,
    char *error, size_t error_size)
{
    struct parse parse = { command, settings, argv, argc, 0, error, error_size };
    bool options_over = false;

    (void)take_presets(&parse);
    while (parse.next < argc) {
        const char *word = argv[parse.next++];
        int failed = 0;
        if (options_over || word[0] != '-' || word[1] == '\0')
            texts_add(&settings->words, word);
        else if (strcmp(word, "--") == 0)
            options_over = true;
        else if (word[1] == '-')
            failed = parse_long(&parse, word + 2);
        else
            failed = parse_short(&parse, word + 1);
        if (failed)
            return failed;
    }
    if (settings->help)
        return 0;
    if (settings->words.count < command->words_min) {
        (void)snprintf(error, error_size, "too few words; it goes: millrace %s %s", settings->path,
            command->synopsis);
        return -EINVAL;
    }
    if (settings->words.count > command->words_max) {
        (void)snprintf(error, error_size, "'%s' is one word too many; it goes: millrace %s %s",
            settings->words.items[command->words_max], settings->path, command->synopsis);
        return -EINVAL;
    }
    return 0;
}

void command_settings_done(const struct command *command, struct settings *settings)
{
    for (size_t i = 0; i < TABLE_COUNT; i++)
        for (const struct option *option = table(command, i); option->name; option++)
            if (option->kind == OPTION_TEXTS)
                texts_done(field(settings, option));
    texts_done(&settings->words);
}

/* ---- help ----------------------------------------------------------------------------------- */

/* `text`, its further lines indented to the column of the first. */
static void print_column(const char *text, const char *preset)
{
    for (const char *end; (end = strchr(text, '\n')); text = end + 1)
        printf("%.*s\n%*s", (int)(end - text), text, HELP_COLUMN, "");
    printf("%s", text);
    if (preset)
        printf(" (default: %s)", preset);
    printf("\n");
}

static void print_options(const struct option *option)
{
    for (; option->name; option++) {
        char left[64];
        char letter[] = { '-', option->letter, ',', ' ', '\0' };
        int len = snprintf(left, sizeof(left), "  %s--%s%s%s", option->letter ? letter : "    ",
            option->name, option->value ? " " : "", option->value ? option->value : "");
        if (len >= HELP_COLUMN - 1)
            printf("%s\n%*s", left, HELP_COLUMN, "");
        else
            printf("%-*s", HELP_COLUMN, left);
        print_column(option->help, option->preset);
    }
}

static void print_help(const struct command *command, const char *path)
{
    printf("Usage: %s %s\n\n%s\n", path, command->synopsis, command->summary);
    if (command->commands) {
        printf("\nCommands:\n");
        for (const struct command *child = command->commands; child->name; child++)
            printf("  %-20s %s\n", child->name, child->summary);
    } else {
        printf("\nOptions:\n");
        for (size_t i = 0; i < TABLE_COUNT; i++)
            print_options(table(command, i));
    }
    if (command->details)
        printf("\n%s", command->details);
}

/* ---- finding and running -------------------------------------------------------------------- */

static int usage(const char *path, const char *text)
{
    (void)fprintf(stderr, "%s: %s\nSee: %s --help\n", path, text, path);
    return EXIT_USAGE;
}

static int unknown_command(const struct command *group, const char *path, const char *word)
{
    char text[ERROR_SIZE];
    struct nearest nearest;

    nearest_init(&nearest, word);
    for (const struct command *child = group->commands; child->name; child++)
        nearest_offer(&nearest, child->name);
    (void)snprintf(text, sizeof(text), "no %s '%s'%s%s%s", word[0] == '-' ? "option" : "command",
        word, nearest.best ? "; did you mean '" : "", nearest.best ? nearest.best : "",
        nearest.best ? "'?" : "");
    return usage(path, text);
}

static const struct command *find_command(const struct command *group, const char *word)
{
    for (const struct command *child = group->commands; child->name; child++)
        if (strcmp(child->name, word) == 0)
            return child;
    return NULL;
}

/* stdout is often a pipe: what could not be written must not look like success. */
static int finish_output(const char *path, int code)
{
    bool broken = ferror(stdout) != 0;

    if (fflush(stdout) != 0 || broken) {
        if (errno == EPIPE)
            return code;
        (void)fprintf(stderr, "%s: cannot write the output: %s\n", path, strerror(errno));
        return code == EXIT_DONE ? EXIT_FAILED : code;
    }
    return code;
}

static int run_leaf(const struct command *command, const char *path, int argc, char **argv)
{
    char error[ERROR_SIZE];
    struct settings *settings = mem_zalloc(1, command->settings_size);
    const char *space = strchr(path, ' ');
    int code;

    settings->path = space ? space + 1 : path;
    if (command_parse(command, argc, argv, settings, error, sizeof(error)) < 0) {
        code = usage(path, error);
    } else if (settings->help) {
        print_help(command, path);
        code = EXIT_DONE;
    } else {
        code = command->run(settings);
    }
    command_settings_done(command, settings);
    mem_free(settings);
    return code;
}

int command_main(const struct command *root, const char *program, int argc, char **argv)
{
    char path[PATH_SIZE];
    const struct command *command = root;
    int next = 1, code;

    (void)snprintf(path, sizeof(path), "%s", program);
    while (command->commands) {
        if (next >= argc) {
            code = usage(path, "a command is missing");
            return code;
        }
        const char *word = argv[next++];
        if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0) {
            print_help(command, path);
            return finish_output(path, EXIT_DONE);
        }
        const struct command *child = find_command(command, word);
        if (!child)
            return unknown_command(command, path, word);
        command = child;
        size_t len = strlen(path);
        (void)snprintf(path + len, sizeof(path) - len, " %s", word);
    }
    code = run_leaf(command, path, argc - next, argv + next);
    return finish_output(path, code);
}
