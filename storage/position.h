/*
 * position.h - what happens when the write-ahead log's positions move: high watermarks, wake-ups,
 * the ends of units, waiters. Inside storage/ only.
 */
#ifndef STORAGE_POSITION_H
#define STORAGE_POSITION_H

#include <stdint.h>

struct log;
struct storage;
struct unit;

void position_init(struct storage *storage);
void position_done(struct storage *storage);
/* written or durable moved: everything that waited for it goes on. */
void position_moved(struct storage *storage);
/* Once per turn: waiters that were durable when they came. */
void position_turn(struct storage *storage);
/* The unit ended at unit->end_lsn: waits for its level. */
void position_await_unit(struct storage *storage, struct unit *unit);
/* The log's first invisible entry is a new one: waits for its level. */
void position_await(struct log *log);
/* The log waits for nothing and wakes nobody. */
void position_forget(struct log *log);
/* The log's waiters are woken at the end of this move. */
void position_wake(struct log *log);
/* The log's waiters are woken when `lsn` is durable. */
void position_notice(struct log *log, uint64_t lsn);

#endif
