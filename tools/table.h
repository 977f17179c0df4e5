/*
 * table.h - columns for people: as wide as their widest cell, numbers to the right.
 */
#ifndef TOOLS_TABLE_H
#define TOOLS_TABLE_H

#include <stddef.h>
#include <stdio.h>

#include "protocol/base/check.h"

struct table {
    const char *const
        *heads; /* borrowed; a head that begins with '>' (not printed) is right-aligned */
    size_t columns;
    char **cells; /* row after row */
    size_t count, capacity;
};

void table_init(struct table *table, const char *const *heads, size_t columns);
/* The next cell, from left to right; a row is complete after `columns` of them. An empty text
 * prints as
 * "-". Control characters print as '?', so that a hostile name cannot steer a terminal. */
void table_cell(struct table *table, const char *format, ...) PRINTF_LIKE(2, 3);
/* The heads and every complete row. */
void table_print(const struct table *table, FILE *to);
void table_done(struct table *table);

#endif
