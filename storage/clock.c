/* See clock.h. */
#include "storage/clock.h"

#include <time.h>

static int64_t real_monotonic_ns(struct clock *clock)
{
    (void)clock;
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* can't fail with this clock id */
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int64_t real_wall_ms(struct clock *clock)
{
    (void)clock;
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

struct clock clock_real(void)
{
    return (struct clock){ .monotonic_ns = real_monotonic_ns, .wall_ms = real_wall_ms };
}
