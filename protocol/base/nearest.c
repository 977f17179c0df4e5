/*
 * nearest.c - edit distance with swaps of neighbours (optimal string alignment).
 *
 * Three rows of the usual table are enough: the current one and, for swaps, the two before.
 */
#include "protocol/base/nearest.h"

#include <stdbool.h>
#include <string.h>

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static size_t distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
    size_t rows[3][NEAREST_NAME_MAX + 1];

    for (size_t j = 0; j <= b_len; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        size_t *row = rows[i % 3], *above = rows[(i + 2) % 3], *swap = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t change = a[i - 1] == b[j - 1] ? 0 : 1;
            row[j] = least(least(above[j], row[j - 1]) + 1, above[j - 1] + change);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], swap[j - 2] + 1);
        }
    }
    return rows[a_len % 3][b_len];
}

void nearest_init(struct nearest *nearest, const char *wanted)
{
    nearest->wanted = wanted;
    nearest->best = NULL;
    nearest->best_distance = 0;
}

void nearest_offer(struct nearest *nearest, const char *name)
{
    char a[NEAREST_NAME_MAX], b[NEAREST_NAME_MAX];
    size_t a_len = strlen(nearest->wanted), b_len = strlen(name);
    bool same_case = strcmp(nearest->wanted, name) == 0;

    if (a_len == 0 || b_len == 0 || a_len > NEAREST_NAME_MAX || b_len > NEAREST_NAME_MAX)
        return;
    for (size_t i = 0; i < a_len; i++)
        a[i] = lower(nearest->wanted[i]);
    for (size_t i = 0; i < b_len; i++)
        b[i] = lower(name[i]);

    size_t changes = distance(a, a_len, b, b_len);
    if (changes == 0 && !same_case)
        changes = 1;
    if (a_len >= 3 && b_len > a_len && memcmp(a, b, a_len) == 0)
        changes = 1;
    size_t allowed = a_len < 6 ? (a_len < 3 ? 1 : 2) : a_len / 3;
    if (changes > allowed)
        return;
    if (!nearest->best || changes < nearest->best_distance) {
        nearest->best = name;
        nearest->best_distance = changes;
    }
}
