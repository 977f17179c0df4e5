/* For unit tests over storage/ as sim_mutants builds it: the barrier named by MILLRACE_FALLEN fell.
 */
#include <stdlib.h>
#include <string.h>

#include "protocol/base/check.h"
#include "storage/barriers.h"

static const char *const names[] = {
#define BARRIER_TEXT(name, text) #name,
    BARRIERS(BARRIER_TEXT)
#undef BARRIER_TEXT
};

bool barrier_stands(enum barrier barrier)
{
    const char *fallen = getenv("MILLRACE_FALLEN");
    return !fallen || strcmp(fallen, names[barrier]) != 0;
}
