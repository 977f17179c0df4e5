/*
 * losses.h - what a start can't bring back, by log and by kind of state, for the operator. Inside
 * storage/ only.
 */
#ifndef STORAGE_LOSSES_H
#define STORAGE_LOSSES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "storage/store.h"
#include "storage/wal.h"

enum { LOSSES_LOGS_MAX = 1024 }; /* told one by one; of the rest: that they are */

struct storage;

struct losses {
    struct lost_log {
        uint32_t log;
        int64_t first, last; /* offsets; the last one that is known of */
        uint64_t batches;
    } * logs;
    size_t log_count, log_capacity;
    uint64_t kinds[STORE_KINDS]; /* puts by enum store_kind; 0: not known */
    uint64_t more;               /* batches of other logs */
};

/* See wal_replay.lost. */
void losses_add(struct losses *losses, const struct wal_head *head, struct bytes begin);
/* A line for each log and kind. */
void losses_say(const struct losses *losses, struct storage *storage);
void losses_done(struct losses *losses);

#endif
