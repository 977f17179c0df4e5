/*
 * main.c - millrace-client: the commands that speak Kafka's protocol as a client, to any cluster.
 *
 * A program of its own, so that the broker never loads librdkafka; `millrace topics ...` starts it.
 */
#include <stdio.h>
#include <string.h>

#include "tools/client/consume.h"
#include "tools/client/groups.h"
#include "tools/client/produce.h"
#include "tools/client/topics.h"

int main(int argc, char **argv)
{
    const struct command commands[] = {
        { .name = "topics",
            .synopsis = "COMMAND",
            .summary = "Create, list, describe and delete topics.",
            .commands = topics_commands },
        produce_command,
        consume_command,
        { .name = "groups",
            .synopsis = "COMMAND",
            .summary = "List and describe consumer groups.",
            .commands = groups_commands },
        { .name = NULL },
    };
    const struct command root = {
        .synopsis = "COMMAND",
        .summary = "Work with the topics of a Kafka cluster.",
        .commands = commands,
        .details =
            "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 no broker answered, 130 interrupted.\n",
    };

    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        printf("millrace-client %s\n", MILLRACE_VERSION);
        return 0;
    }
    return command_main(&root, "millrace", argc, argv);
}
