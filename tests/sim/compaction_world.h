/*
 * compaction_world.h - a compacted topic in the simulated world, with an oracle.
 *
 * One log with a few keys: values, tombstones, transactions that commit or abort, DeleteRecords;
 * random reads; a clock; kill -9, power cut and clean stop at any point, also inside a slice of the
 * cleaner and inside recovery; faults of the disk. The history is what was committed, by offset.
 * At any time a reader from the beginning must find:
 *
 *   1. only records of the history, each at its offset, in order;
 *   2. all of them, but for those that may go: an older value of a key that has a newer one, a
 *      tombstone whose delete.retention.ms is over, aborted data, a marker without its data;
 *   3. no old value of a key whose tombstone is gone;
 *   4. what was aborted and is still there is known to be aborted;
 *   5. after an end of a life at least what was promised, and a prefix of what was committed; the
 *      start offset where a DeleteRecords had put it;
 *   6. the producers' last batches known as duplicates, their next ones as new.
 *
 * In one seed of eight a bit of a segment flips: then some of it can't be read, and what can is
 * right all the same.
 *
 * What is wrong is said with its seed, and ends the process with 1.
 */
#ifndef TESTS_SIM_COMPACTION_WORLD_H
#define TESTS_SIM_COMPACTION_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "storage/storage.h"
#include "tests/sim/sim.h"

struct compaction_totals {
    uint64_t operations, commits, scans, reads, kills, powers, closes, recovery_crashes;
    uint64_t stops, lost, gone_records, gone_tombstones, gone_aborted, gone_markers, raises;
    uint64_t flips, damage_seen, expired;
    struct storage_stats storage;
    struct sim_counts sim;
};

/* One seed; gives the hash of its trace. */
uint64_t compaction_run(
    uint64_t seed, size_t operations, bool verbose, struct compaction_totals *totals);

#endif
