/*
 * nearest.h - the known name that a mistyped one probably meant.
 */
#ifndef BASE_NEAREST_H
#define BASE_NEAREST_H

#include <stddef.h>

/* Names longer than this are compared no further; they are never suggested. */
enum { NEAREST_NAME_MAX = 128 };

struct nearest {
    const char *wanted;
    const char *best; /* borrowed from the caller of nearest_offer; NULL: nothing is near */
    size_t best_distance;
};

/* `wanted` is borrowed for as long as names are offered. */
void nearest_init(struct nearest *nearest, const char *wanted);
/* Consider `name`: it wins when it is nearer than those before (the first of equals stays) and no
 * more than a third of `wanted`, at least one character, would have to change. A swap of two
 * neighbours and a wrong case count as one change; a name that `wanted` is the start of counts as
 * one too. */
void nearest_offer(struct nearest *nearest, const char *name);

#endif
