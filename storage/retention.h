/*
 * retention.h - old segments go, by age and by size of their log; and producers that nobody uses.
 * Inside storage/ only.
 *
 * A timer looks at every log whose cleanup.policy says delete. What is too old (all of the
 * segment's records, by its largest timestamp) or too much is given up by raising the log's start
 * offset in a unit; once that is durable the files are removed (removal.h). Another timer looks for
 * producers (producers.h).
 */
#ifndef STORAGE_RETENTION_H
#define STORAGE_RETENTION_H

#include <stdbool.h>

#include "storage/storage.h"
#include "storage/timers.h"

enum { RETENTION_PUTS_MAX = 256 }; /* logs in one unit */

struct retention {
    struct timer timer, producer_timer;
    struct unit unit;
    bool committed; /* the unit is on its way */
    bool running;   /* logs behind `after` are still to be looked at */
    uint32_t after; /* log id */
};

void retention_init(struct storage *storage);
void retention_done(struct storage *storage);
void retention_start_timers(struct storage *storage);
/* Goes on with a pass that waited. */
void retention_step(struct storage *storage);

#endif
