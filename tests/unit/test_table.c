/* Columns for people. */
#include "tools/table.h"

#include "tests/test.h"

static void expect(const struct table *table, const char *text)
{
    char *printed = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&printed, &size);

    table_print(table, file);
    cr_assert_eq(fclose(file), 0);
    cr_assert_str_eq(printed, text);
    free(printed);
}

TEST(table, is_as_wide_as_its_widest_cell)
{
    static const char *const heads[] = { "NAME", ">COUNT", "STATE" };
    struct table table;

    table_init(&table, heads, 3);
    table_cell(&table, "%s", "a-long-name");
    table_cell(&table, "%d", 7);
    table_cell(&table, "%s", "ok");
    table_cell(&table, "%s", "b");
    table_cell(&table, "%d", 1234567);
    table_cell(&table, "%s", "");
    expect(&table, "NAME           COUNT  STATE\n"
                   "a-long-name        7  ok\n"
                   "b            1234567  -\n");
    table_done(&table);
}

TEST(table, measures_characters_and_hides_control_bytes)
{
    static const char *const heads[] = { "A", "B" };
    struct table table;

    table_init(&table, heads, 2);
    table_cell(&table, "%s", "h\xc3\xa4\xc3\xb6");
    table_cell(&table, "%s", "\x1b[31m\n");
    expect(&table, "A    B\nh\xc3\xa4\xc3\xb6  ?[31m?\n");
    table_done(&table);
}

TEST(table, prints_heads_without_rows)
{
    static const char *const heads[] = { "TOPIC", ">N" };
    struct table table;

    table_init(&table, heads, 2);
    expect(&table, "TOPIC  N\n");
    table_done(&table);
}
