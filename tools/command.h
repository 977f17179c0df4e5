/*
 * command.h - commands and their options as tables: parsing, --help and error texts come from them.
 *
 * A command is a leaf (it has `run`) or a group of commands (it has `commands`). A leaf's settings
 * are a struct of its own that begins with struct settings; options write into it at their offsets.
 *
 * Exit codes are part of the public surface; scripts may trust them.
 */
#ifndef TOOLS_COMMAND_H
#define TOOLS_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/base/check.h"

enum {
    EXIT_DONE = 0,          /* what was asked for has happened */
    EXIT_FAILED = 1,        /* it was tried and did not work; stderr says why */
    EXIT_USAGE = 2,         /* the command line makes no sense; nothing was tried */
    EXIT_UNREACHABLE = 3,   /* no broker answered in time */
    EXIT_INTERRUPTED = 130, /* SIGINT or SIGTERM came before it was done */
};

/* A growing list of borrowed texts; zeroed is empty. */
struct texts {
    const char **items;
    size_t count, capacity;
};

void texts_add(struct texts *texts, const char *text);
void texts_done(struct texts *texts);

enum option_kind {
    OPTION_SWITCH,  /* bool: true when given */
    OPTION_TEXT,    /* const char *: the last one given, borrowed from argv or the table */
    OPTION_INTEGER, /* int64_t between min and max */
    OPTION_TEXTS,   /* struct texts: each one given */
};

/* A table of these ends with one whose name is NULL. */
struct option {
    char letter;        /* 0: has no short form */
    const char *name;   /* without its dashes */
    const char *value;  /* what the help calls its value; NULL for a switch */
    const char *help;   /* lower case, no full stop; a newline starts another line */
    const char *preset; /* taken before the command line is read; NULL: zero */
    enum option_kind kind;
    size_t offset; /* of the field, from the start of the settings */
    int64_t min, max;
};

struct settings {
    const char *path;   /* "topics create": how error texts call this command */
    struct texts words; /* what is not an option */
    bool help;
};

struct command {
    const char *name;
    const char *synopsis;           /* what follows the name: "TOPIC... [OPTION]..." */
    const char *summary;            /* one line */
    const char *details;            /* printed below the options: explanations, examples */
    const struct command *commands; /* ends with a nameless one; NULL for a leaf */
    const struct option *shared;    /* NULL or a table; printed below the command's own */
    const struct option *own;       /* NULL or a table */
    size_t words_min, words_max;
    size_t settings_size;
    int (*run)(struct settings *settings); /* gives an exit code; settings end after it */
};

/* Find the command that argv[1...] names below `root`, fill its settings, run it. `program` is the
 * name that texts use. Every mistake is told on stderr. Gives the exit code; stdout is flushed, and
 * an output that could not be written turns EXIT_DONE into EXIT_FAILED. */
int command_main(const struct command *root, const char *program, int argc, char **argv);

/* "millrace PATH: TEXT" on stderr. */
void command_error(const struct settings *settings, const char *format, ...) PRINTF_LIKE(2, 3);

/* The pieces of command_main, for tests. */
/* Fill `settings` (zeroed) of `command` from the words after its name: 0, or -EINVAL after an error
 * text in `error`. */
int command_parse(const struct command *command, int argc, char **argv, struct settings *settings,
    char *error, size_t error_size) MUST_CHECK;
/* Frees what parsing made of `settings`; not `settings` itself. */
void command_settings_done(const struct command *command, struct settings *settings);

#endif
