/*
 * seal.h - sealed segments get their footers (footer.h). Inside storage/ only.
 *
 * When nothing is appended to a segment any more and all of it is in its file, one job of the pool
 * reads it, verifies every batch, and writes and syncs the footer; then the claim gets its root,
 * and the next checkpoint carries it. One segment at a time.
 *
 * Nothing waits for it: a segment without a footer is read and verified batch by batch. After a
 * start all sealed segments without a root (of an older format, or sealed shortly before a crash)
 * have their turn, and so has one whose footer a reader did not find whole. Damage is never sealed:
 * such a segment stays without a root, and what is damaged is said.
 */
#ifndef STORAGE_SEAL_H
#define STORAGE_SEAL_H

#include <stdbool.h>

#include "protocol/base/list.h"
#include "storage/timers.h"

struct segment;
struct storage;
struct seal;

enum { SEAL_RETRY_MS = 10000 }; /* after an error that passes (a full disk) */

struct seals {
    struct list todo;     /* struct segment, by its `seal` */
    struct seal *running; /* in the pool */
    bool paused;          /* until the timer fires */
    struct timer timer;
};

void seals_init(struct storage *storage);
void seals_done(struct storage *storage);
/* The segment is sealed and has no footer, or none that is whole. */
void seals_add(struct storage *storage, struct segment *segment);
void seals_step(struct storage *storage);
/* Nothing in the pool. */
bool seals_idle(const struct storage *storage);

#endif
