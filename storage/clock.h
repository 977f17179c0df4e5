/*
 * clock.h - the door to time.
 *
 * monotonic_ns never goes back and is for deadlines; wall_ms is Unix time in milliseconds, jumps
 * when somebody sets it, and is for timestamps of records only.
 */
#ifndef STORAGE_CLOCK_H
#define STORAGE_CLOCK_H

#include <stdint.h>

struct clock {
    int64_t (*monotonic_ns)(struct clock *clock);
    int64_t (*wall_ms)(struct clock *clock);
};

/* The machine's clocks. */
struct clock clock_real(void);

static inline int64_t clock_monotonic_ns(struct clock *clock)
{
    return clock->monotonic_ns(clock);
}
static inline int64_t clock_wall_ms(struct clock *clock)
{
    return clock->wall_ms(clock);
}

#define CLOCK_NS_PER_MS INT64_C(1000000)
/* `ms` (≥ 0, as large as a configuration likes) after now_ns. */
static inline int64_t clock_after_ms(int64_t now_ns, int64_t ms)
{
    return ms < (INT64_MAX - now_ns) / CLOCK_NS_PER_MS ? now_ns + ms * CLOCK_NS_PER_MS : INT64_MAX;
}

#endif
