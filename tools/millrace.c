/*
 * millrace.c - the program `millrace`: each command goes to the one that can do it.
 *
 * `topics`, `produce`, `consume` and `groups` are done by millrace-client, a program beside this
 * one (or in
 * ../libexec/millrace of an installation), so that the broker never loads librdkafka: it is started
 * in this process' place with the same words.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "broker/serve.h"
#include "protocol/base/mem.h"
#include "protocol/base/nearest.h"
#include "tools/command.h"
#include "tools/process.h"
#include "tools/storage.h"

enum { LINK_SIZE = 4096 };

static const char help[] =
    "Usage: millrace COMMAND [ARGUMENT]...\n"
    "\n"
    "A Kafka broker that also runs stream processors.\n"
    "\n"
    "Commands:\n"
    "  serve                 Run the broker.\n"
    "  topics                Create, list, describe and delete topics.\n"
    "  produce               Send the lines of a file (or of standard input) to a topic.\n"
    "  consume               Print the records of a topic.\n"
    "  groups                List and describe consumer groups.\n"
    "  process               Load, list, unload and begin stream processors.\n"
    "  storage               Check the data directory of a stopped broker.\n"
    "\n"
    "  --version             Print the version.\n"
    "  --help                Print this text; `millrace COMMAND --help` tells more.\n"
    "\n"
    "topics, produce, consume and groups work with any Kafka cluster (-b HOST:PORT).\n"
    "\n"
    "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 no broker answered, 130 interrupted.\n";

static bool try_client(const char *directory, const char *below, char **argv)
{
    char *path = mem_printf("%s/%s", directory, below);

    (void)execv(path, argv);
    bool missing = errno == ENOENT;
    if (!missing)
        (void)fprintf(stderr, "millrace: cannot start %s: %s\n", path, strerror(errno));
    mem_free(path);
    return missing;
}

/* Does not come back when it goes well. */
static int run_client(char **argv)
{
    char self[LINK_SIZE];
    ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);

    if (len < 0) {
        (void)fprintf(stderr, "millrace: cannot read /proc/self/exe: %s\n", strerror(errno));
        return EXIT_FAILED;
    }
    self[len] = '\0';
    char *slash = strrchr(self, '/');
    if (slash)
        *slash = '\0';
    (void)fflush(stdout);
    if (try_client(self, "millrace-client", argv) &&
        try_client(self, "../libexec/millrace/millrace-client", argv))
        (void)fprintf(stderr,
            "millrace: the program millrace-client is missing: it belongs into %s or "
            "%s/../libexec/millrace\n",
            self, self);
    return EXIT_FAILED;
}

static int unknown_command(const char *word)
{
    static const char *const names[] = { "serve", "topics", "produce", "consume", "groups",
        "process", "storage", "--version", "--help" };
    struct nearest nearest;

    nearest_init(&nearest, word);
    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        nearest_offer(&nearest, names[i]);
    (void)fprintf(stderr, "millrace: no %s '%s'", word[0] == '-' ? "option" : "command", word);
    if (nearest.best)
        (void)fprintf(stderr, "; did you mean '%s'?", nearest.best);
    (void)fprintf(stderr, "\nSee: millrace --help\n");
    return EXIT_USAGE;
}

static int run_process(int argc, char **argv)
{
    static const struct command commands[] = {
        { .name = "process",
            .synopsis = "COMMAND",
            .summary = "Load, list, unload and begin stream processors.",
            .commands = process_commands },
        { .name = NULL },
    };
    static const struct command root = { .synopsis = "COMMAND", .commands = commands };

    return command_main(&root, "millrace", argc, argv);
}

static int run_storage(int argc, char **argv)
{
    static const struct command commands[] = {
        { .name = "storage",
            .synopsis = "COMMAND",
            .summary = "Check the data directory of a stopped broker.",
            .commands = storage_commands },
        { .name = NULL },
    };
    static const struct command root = { .synopsis = "COMMAND", .commands = commands };

    return command_main(&root, "millrace", argc, argv);
}

static int print(const char *text)
{
    if (fputs(text, stdout) >= 0 && fflush(stdout) == 0)
        return EXIT_DONE;
    (void)fprintf(stderr, "millrace: cannot write the output: %s\n", strerror(errno));
    return EXIT_FAILED;
}

int main(int argc, char **argv)
{
    static const char *const client_commands[] = { "topics", "produce", "consume", "groups" };
    const char *word = argc > 1 ? argv[1] : "";

    if (argc < 2) {
        (void)fputs(help, stderr);
        return EXIT_USAGE;
    }
    for (size_t i = 0; i < ARRAY_COUNT(client_commands); i++)
        if (strcmp(word, client_commands[i]) == 0)
            return run_client(argv);
    if (strcmp(word, "serve") == 0)
        return serve_main(argc - 1, argv + 1);
    if (strcmp(word, "process") == 0)
        return run_process(argc, argv);
    if (strcmp(word, "storage") == 0)
        return run_storage(argc, argv);
    if (strcmp(word, "--version") == 0)
        return print("millrace " MILLRACE_VERSION "\n");
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0)
        return print(help);
    return unknown_command(word);
}
