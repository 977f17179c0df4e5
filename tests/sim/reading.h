/*
 * reading.h - one read of a log to its end, cold or not, in a world that is driven by turns.
 */
#ifndef TESTS_SIM_READING_H
#define TESTS_SIM_READING_H

#include <errno.h>

#include "protocol/base/list.h"
#include "storage/storage.h"

/* More turns than any read takes. */
enum { READING_TURNS_MAX = 200000 };

struct reading {
    struct log_read read;
    int status;
    bool done;
};

static inline void reading_done(struct log_read *read, int status)
{
    struct reading *reading = container_of(read, struct reading, read);
    reading->status = status;
    reading->done = true;
}

/* What is visible from `from` on, at least a batch. `turn` lets the world go on by a step; false:
 * this life is over, and so is the read. *ret: the caller's; NULL: nothing is there, or an error:
 * log_read's own, -ECANCELED (it is over) or -ETIMEDOUT (it never ends). */
static inline int reading_run(struct storage *storage, struct log *log, int64_t from, size_t max,
    bool (*turn)(void *context), void *context, struct buffer **ret)
{
    struct reading reading = { .read = { .log = log,
                                   .offset = from,
                                   .end_offset = log->high_watermark,
                                   .max_bytes = max,
                                   .at_least_one = true,
                                   .done = reading_done } };
    int status = log_read(storage, &reading.read);
    bool cold = status == -EINPROGRESS;
    for (int turns = 0; cold && !reading.done; turns++) {
        bool stuck = turns == READING_TURNS_MAX;
        if (stuck || !turn(context)) {
            log_read_cancel(&reading.read);
            *ret = NULL;
            return stuck ? -ETIMEDOUT : -ECANCELED;
        }
    }
    if (cold)
        status = reading.status;
    *ret = status == 0 ? reading.read.buffer : NULL;
    return status;
}

#endif
