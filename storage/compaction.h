/*
 * compaction.h - the cleaner: logs whose cleanup.policy says compact keep the newest record of each
 * key. Inside storage/ only.
 *
 * Every log.cleaner.backoff.ms the dirtiest log is looked for, as Kafka does:
 *
 *     start ... first dirty ........ round end ........ active segment
 *     | clean   | dirty              | not yet          |
 *
 * round end: before the active segment, the last stable offset, what is younger than
 * min.compaction.lag.ms, and (ours) what no checkpoint knows to be sealed. It is cleaned when the
 * dirty part is more than min.cleanable.dirty.ratio of the whole, or holds what is older than
 * max.compaction.lag.ms. One log at a time, in slices in the pool (cleaning.h), what is read and
 * written within log.cleaner.io.max.bytes.per.second.
 *
 * Segments that go together into one file are replaced by a put: STORE_SEGMENTS, under the log's
 * id,
 *
 *     format u8 = 1 | from u64 | to u64 | first dirty u64 (-1: as before) | there u8
 *     if there is a new segment, its claim: eight u64, flags u32, generation u32
 *
 * It is not kept in the store: the checkpoint has segments and first dirty offsets. The old files
 * are removed when it is durable (removal.h), so a crash leaves the old segments or the new one;
 * what is nobody's then is cleared up. Only segments that a checkpoint names as sealed are
 * replaced: a replay finds them as they were, whatever segment.bytes is by then.
 *
 * A log that can't be read (a damaged batch, a read error) is uncleanable until the next start, and
 * that is said. A full disk, too many files: later again.
 */
#ifndef STORAGE_COMPACTION_H
#define STORAGE_COMPACTION_H

#include <stdbool.h>

#include "storage/cursor.h"
#include "storage/storage.h"
#include "storage/timers.h"

struct cleaning_round;

struct compaction {
    struct timer timer; /* look for a log; or (paused) go on */
    struct cleaning_round *round;
    struct unit unit; /* of the replacement */
    bool committed;   /* it is on its way */
    bool due;         /* look for a log now */
};

void compaction_init(struct storage *storage);
/* The pool has nothing in flight any more. */
void compaction_done(struct storage *storage);
void compaction_start_timer(struct storage *storage);
/* Goes on as far as it can; ends what must end (topic deleted, closing). */
void compaction_step(struct storage *storage);
bool compaction_idle(const struct storage *storage);

/* A put of STORE_SEGMENTS takes effect. -EUCLEAN: it does not fit the log. */
int compaction_apply(
    struct storage *storage, struct bytes key, struct bytes value, uint64_t lsn) MUST_CHECK;
/* What a checkpoint keeps of it, behind the logs; absent where nothing was ever cleaned. */
void compaction_save(const struct storage *storage, struct out *out);
int compaction_load(struct storage *storage, struct cursor *cursor) MUST_CHECK;

#endif
