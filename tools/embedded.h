/* embedded.h - files whose text is part of the program (made by embed.py). */
#ifndef TOOLS_EMBEDDED_H
#define TOOLS_EMBEDDED_H

#include <stddef.h>

struct embedded_file {
    const char *name; /* NAME stands for the name of what is made: "NAME.c", "include/x.h" */
    const char *text; /* @NAME@ likewise */
};

/* Ends with a nameless one. */
extern const struct embedded_file embedded_files[];

#endif
