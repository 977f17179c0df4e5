/*
 * removal.h - files and directories that nothing refers to any more, removed in the pool.
 *
 * A removal begins when the put that caused it is durable (before that a crash would bring the log
 * back without its bytes), when nobody uses the file, and for segments after file.delete.delay.ms.
 * One at a time: unlinking is slow on some disks.
 *
 * Removals are not written down. After a crash recovery finds what they left: directories that are
 * no log's, and files in a log's directory that are no segment's (storage.scrub).
 *
 * A directory is known by its path while its removal is not done; a new log of the same name waits
 * for it before it makes its own. Inside storage/ only.
 */
#ifndef STORAGE_REMOVAL_H
#define STORAGE_REMOVAL_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol/base/heap.h"
#include "protocol/base/list.h"
#include "protocol/base/tree.h"
#include "storage/timers.h"

struct log;
struct segment;
struct storage;
struct removal;

struct removals {
    struct list directories; /* struct removal, in the order of their lsn */
    struct tree by_path;     /* of directories, also the one in the pool */
    struct heap segments;    /* by when they are due */
    struct list waiting;     /* the same */
    struct list scrubs;      /* struct log_body whose directory is to be looked through */
    struct removal *running; /* in the pool */
    struct timer timer;
};

void removals_init(struct storage *storage);
void removals_done(struct storage *storage);
/* Takes the dropped segment over. */
void removals_add_segment(struct storage *storage, struct segment *segment, uint64_t lsn);
/* The directory of a deleted log. */
void removals_add_directory(struct storage *storage, struct log *log, uint64_t lsn);
/* A directory that recovery found to be nobody's. */
void removals_add_orphan(struct storage *storage, const char *path);
/* If the log's directory is being removed: marks the log as busy until it is, and says true. */
bool removals_block(struct storage *storage, struct log *log);
void removals_step(struct storage *storage);
/* Nothing left to do; while closing, delays do not count. */
bool removals_idle(const struct storage *storage);

#endif
