/*
 * history.h - storage in the simulated world, with a model of its history. For sim_storage,
 * sim_exhaustive and sim_mutants.
 *
 * The history is every commit in its order (append unit, put, topic made or deleted, start of a log
 * raised), whether it was acknowledged and what that promised. The commits that are lost at the end
 * of a life leave it. After each start:
 *
 *   1. what is there is a prefix of the history: some k commits, whole, in every log, topic, key;
 *   2. k is past everything whose promise holds: after a kill everything acknowledged; after a
 *      power cut (or a failed sync) everything acknowledged, or shown to a reader, as durable, and
 *      in mode `interval` everything older than the interval;
 *   3. every batch in it is byte-equal (by its CRC, which is checked), offsets have no gaps;
 *   4. the last batch of each producer is recognised as a duplicate, the next sequence as new;
 *   5. after an unclean end every leader epoch has grown.
 * While it lives: nothing is acknowledged after a fail-stop, no more files are open than the limits
 * say, and no batch is served that is not at its place in the history.
 *
 * A violation prints the seed and what was seen, and exits with 1.
 */
#ifndef TESTS_SIM_HISTORY_H
#define TESTS_SIM_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/base/bytes.h"
#include "storage/storage.h"
#include "tests/sim/sim.h"

enum { SLOTS = 4, PARTITIONS = 3, KEYS = 6, PARTS_MAX = 4, GHOSTS_MAX = 8, STUCK_STEPS = 200000 };

enum {
    SLOT_ACKS,
    SLOT_FSYNC,
    SLOT_INTERVAL,
    SLOT_OS
}; /* topics by their durability, however said */

enum op_kind { OP_APPEND, OP_PUT, OP_CREATE, OP_DELETE, OP_RAISE };

struct part {
    int slot, partition;
    int64_t base;
    int32_t count, epoch;
    uint32_t crc;
};

/* One commit of the history. */
struct op {
    enum op_kind kind;
    struct part parts[PARTS_MAX];
    int part_count;
    int key; /* OP_PUT */
    uint64_t value;
    int slot; /* OP_CREATE, OP_DELETE, OP_RAISE */
    struct uuid id;
    int partition; /* OP_RAISE */
    int64_t start;
    bool durable;  /* its acknowledgement promises stable media ... */
    bool interval; /* ... or does so after the interval */
    bool acked;
    int64_t acked_ns;
    bool shown; /* a reader may have seen it before the crash */
};

/* What the history says is there. */
struct state {
    bool present[SLOTS];
    struct uuid ids[SLOTS];
    int64_t starts[SLOTS][PARTITIONS], ends[SLOTS][PARTITIONS];
    uint64_t keys[KEYS]; /* 0: absent */
};

struct flight {
    struct unit unit;
    struct world *world;
    size_t op;
};

/* Commits that a recovery did not find. As long as the life after it told nobody anything, they may
 * be found by the next recovery (wal_recovery.c says how). */
struct ghosts {
    size_t base; /* they follow that many commits */
    struct op *ops;
    size_t count;
};

struct totals {
    uint64_t operations, commits, reads, refused, full, kills, powers, closes, recovery_crashes;
    uint64_t failures_stopped, lost_commits, kept_unacked, duplicates_checked, back, raises, births,
        freed, flushes;
    uint64_t flips, misdirected, zeroed, deleted, damage_refused, damage_named, damage_harmless;
    struct storage_stats storage;
    struct sim_counts sim;
};

struct world {
    struct sim sim;
    struct storage *storage;
    struct storage_config config;
    struct random random; /* of the workload, apart from the sim's */
    struct op *ops;
    size_t op_count, op_capacity;
    struct ghosts ghosts[GHOSTS_MAX];
    size_t ghost_count;
    struct flight **flights;
    size_t flight_count, flight_capacity;
    int32_t epochs[SLOTS][PARTITIONS];
    size_t stopped;     /* commits at the last clean stop */
    bool failed;        /* the write-ahead log said so: the process would have aborted */
    bool calm;          /* no crash inside recovery */
    bool small;         /* batches of some hundred bytes */
    bool closed, young; /* young: starts die more often than not, and soon */
    bool damaged;       /* life_damage looks */
    int64_t late_ns;    /* the longest time for which the loop of this life did not turn */
    uint64_t seed;
    const char *label;    /* a failure prints it; NULL: nothing */
    uint64_t sync_errors; /* that were seen before this life */
    struct totals *totals;
};

void fail(struct world *w, const char *format, ...) PRINTF_LIKE(2, 3) NORETURN;
/* Clean doors, an empty directory, a first life. `seed` also draws the workload. */
void world_begin(struct world *w, uint64_t seed, struct totals *totals);
/* For a cut (sim_cut) of `from`, whose life goes on: its history on that disk, dead; life_check is
 * next. After life_note and survivors_least. */
void world_branch(
    struct world *w, const struct world *from, const struct sim_image *disk, uint64_t seed);
/* What the checks after a crash will ask of the history, in one number. */
uint64_t world_hash(const struct world *w);
/* Ends the life, adds the counts to the totals, frees everything. */
void world_end(struct world *w);
/* Lets the time pass until then; the loop turns after each event, or (late) only at the end. */
void world_run_until(struct world *w, int64_t until_ns, bool late);

/* Commits; random where not told. A commit that is refused leaves no trace. */
void do_append(struct world *w);
void do_append_to(struct world *w, int (*logs)[2], int count, int16_t acks);
void do_put(struct world *w);
/* Makes topic `slot`, or deletes it when it is there. */
void do_topic(struct world *w, int slot);
void do_raise(struct world *w);
void do_read(struct world *w);

/* Ends of a life; each opens the next one and checks what is there. unclean false: the end fell
 * into a stop, which may have been complete but for its end. */
void life_crash(struct world *w, bool power, bool unclean);
void life_close(struct world *w);
/* Opens until it succeeds. True: the power went inside a recovery, or a sync failed there. */
bool life_open(struct world *w);

/* As log_read at `from` < high watermark: every batch is checked against the history. Where it got
 * to, or -errno; -ECANCELED: the life ended meanwhile. */
int64_t read_try(struct world *w, struct log *log, int slot, int64_t from, size_t max);

/* The parts of the above, for those who end lives in ways of their own. */
size_t survivors_least(struct world *w, bool power);
void flights_drop(struct world *w);
struct state state_of(const struct world *w, size_t count);
bool state_matches(struct world *w, const struct state *state);
struct log *log_of(struct world *w, int slot, int partition);
const struct part *part_at(
    const struct world *w, size_t count, int slot, int partition, int64_t offset);
/* Of the life that ends: what clients may have been told. Before life_drop. */
void life_note(struct world *w);
struct storage_hooks world_hooks(struct world *w);
/* Asks storage to stop and waits. False: the life ended otherwise. */
bool storage_stop(struct world *w);
/* Ends a life between its last word and the next start. */
void life_drop(struct world *w, bool power);
/* Opens and compares with the history, of which at least `least` commits must be there
 * (`least_power` if the power goes meanwhile); what did not survive leaves it. */
void life_check(struct world *w, size_t least, size_t least_power, bool unclean);
void stats_add(struct world *w);
/* Damage below the durable point, between two lives: on copies of the disk bits are flipped, writes
 * misdirected or lost, files deleted, each alone. A start on it must be refused with a word for the
 * operator, or tell the log that is damaged, or refuse the read of what is damaged; everything else
 * is there, and nothing wrong is ever served. The life goes on with the disk as it was. */
void life_damage(struct world *w);
void totals_add_sim(struct world *w);

#endif
