/*
 * doors.h - all doors in one bundle, handed to constructors; nobody else touches the world.
 */
#ifndef STORAGE_DOORS_H
#define STORAGE_DOORS_H

#include "protocol/base/buffer.h"
#include "protocol/base/check.h"
#include "protocol/base/random.h"
#include "storage/clock.h"
#include "storage/disk.h"
#include "storage/timers.h"
#include "storage/work.h"

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

struct doors {
    struct disk *disk;
    struct clock *clock;
    struct work *work;
    struct timers *timers;
    struct random *random;
    struct buffer_pool *buffers; /* for bytes read from logs and for frames */
    /* One line for the operator, without a newline. Called where a failure is handled or a fact of
     * the start is known, on the loop thread. */
    void (*say)(void *say_context, enum log_level level, const char *line);
    void *say_context;
};

void doors_say(struct doors *doors, enum log_level level, const char *format, ...)
    PRINTF_LIKE(3, 4);

#endif
