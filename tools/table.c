/*
 * table.c - cells are kept until all widths are known, then printed row by row.
 *
 * Widths count UTF-8 characters, not bytes; wide glyphs are not measured.
 */
#include "tools/table.h"

#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

#include "protocol/base/mem.h"

void table_init(struct table *table, const char *const *heads, size_t columns)
{
    *table = (struct table){ .heads = heads, .columns = columns };
}

void table_cell(struct table *table, const char *format, ...)
{
    char *text;
    va_list arguments;

    va_start(arguments, format);
    int len = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    CHECK(len >= 0);
    text = mem_alloc((size_t)len + 2);
    va_start(arguments, format);
    (void)vsnprintf(text, (size_t)len + 1, format, arguments);
    va_end(arguments);
    if (len == 0)
        memcpy(text, "-", 2);
    for (char *at = text; *at; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            *at = '?';
    if (table->count == table->capacity)
        mem_grow(table->cells, &table->capacity, table->count + 1);
    table->cells[table->count++] = text;
}

static size_t width(const char *text)
{
    size_t characters = 0;

    for (; *text; text++)
        characters += ((unsigned char)*text & 0xc0) != 0x80;
    return characters;
}

static void print_cell(const char *text, size_t wide, bool right, bool last, FILE *to)
{
    size_t fill = wide - width(text);

    (void)fprintf(to, "%*s%s", right ? (int)fill : 0, "", text);
    if (!last)
        (void)fprintf(to, "%*s", (right ? 0 : (int)fill) + 2, "");
}

static void print_row(
    const struct table *table, const char *const *cells, const size_t *widths, FILE *to)
{
    for (size_t c = 0; c < table->columns; c++) {
        bool right = table->heads[c][0] == '>';
        const char *text = cells == table->heads && right ? cells[c] + 1 : cells[c];
        print_cell(text, widths[c], right, c + 1 == table->columns, to);
    }
    (void)fputc('\n', to);
}

void table_print(const struct table *table, FILE *to)
{
    size_t rows = table->count / table->columns;
    size_t *widths = mem_zalloc(table->columns, sizeof(*widths));

    for (size_t c = 0; c < table->columns; c++) {
        widths[c] = width(table->heads[c]) - (table->heads[c][0] == '>');
        for (size_t r = 0; r < rows; r++) {
            size_t cell = width(table->cells[r * table->columns + c]);
            widths[c] = cell > widths[c] ? cell : widths[c];
        }
    }
    print_row(table, table->heads, widths, to);
    for (size_t r = 0; r < rows; r++)
        print_row(table, (const char *const *)&table->cells[r * table->columns], widths, to);
    mem_free(widths);
}

void table_done(struct table *table)
{
    for (size_t i = 0; i < table->count; i++)
        mem_free(table->cells[i]);
    mem_free(table->cells);
    *table = (struct table){ 0 };
}
