/*
 * sim.h - a world in one thread and virtual time: clock, pool and disk behind the doors, all from
 * one seed.
 *
 * The simulated disk holds, for every file, what is on the medium and what a reader sees. Writes
 * land in what is seen; a sync (or a durable write) moves them to the medium; names of files are on
 * the medium only after sync_dir of their directory. Two ways to end a life:
 *
 *   sim_kill   the process dies (kill -9): what was written stays seen; an asynchronous write in
 * flight is kept in any part, sector by sector. sim_power  the power goes: every unsynced sector of
 * 512 bytes, file size and directory entry is kept or lost, each as the seed says.
 *
 * The order of an end: sim_kill or sim_power (nothing is in flight any more: no done of a job or op
 * will run, every call fails with -EIO), the owner destroys what used the doors, sim_restart, the
 * owner opens again. Pool jobs run inline at a time that the seed picks; a kill falls between jobs,
 * or inside one by `crash_after` (below).
 *
 * The same seed gives the same trace: sim_trace_hash.
 */
#ifndef TESTS_SIM_SIM_H
#define TESTS_SIM_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "storage/doors.h"

enum { SIM_SECTOR = 512 };

/* Chances are per call, `n` in 10,000. Zero: never. */
struct sim_faults {
    uint32_t read_error;  /* -EIO of one read */
    uint32_t write_error; /* -EIO of one write, blocking or asynchronous */
    uint32_t sync_error;  /* -EIO of one sync; the pages are clean afterwards, the medium is old */
    uint32_t no_space;    /* -ENOSPC of one blocking write or fallocate */
    uint32_t sync_no_space; /* -ENOSPC of one sync: the write-back found no room; as sync_error */
    uint32_t dir_error;     /* -EIO of one sync_dir; the names stay unsynced */
    uint32_t cold_read;     /* read_nowait says -EAGAIN */
    uint32_t spike;         /* an asynchronous op or a job takes a hundred times as long */
    uint64_t capacity;      /* bytes of all files; beyond: -ENOSPC. 0: no limit */
    bool fua;               /* a durable write does not flush earlier writes of the disk's cache */
    bool no_direct;         /* files are buffered although DISK_DIRECT was asked */
    bool no_fallocate;      /* -EOPNOTSUPP */
    int64_t latency_max_ns; /* of an asynchronous op or a job; at least 1 */
    /* Barrier mutations (the test mode of the suite): syncs that lie. */
    bool skip_sync, skip_sync_dir, skip_durable;
};

struct sim_counts {
    uint64_t reads, writes, durable_writes, syncs, dir_syncs, jobs, events;
    uint64_t read_errors, write_errors, sync_errors, no_space, cold_reads;
    uint64_t sync_no_space, dir_errors, spikes, clock_jumps;
    uint64_t kills, powers, sectors_lost, sectors_kept, names_lost, names_kept, torn_writes;
};

struct sim {
    struct disk disk; /* first: the door */
    struct clock clock;
    struct work work;
    struct timers timers;
    struct random random;
    struct buffer_pool buffers;
    struct doors doors; /* filled with all of the above */
    struct sim_faults faults;
    struct sim_counts counts;
    int64_t now_ns;
    int64_t wall_start_ms;
    int64_t latency_worst_ns; /* that any op or job of this life had */
    /* Blocking calls that still succeed before the process is dead; -1: no limit. At zero every
     * call fails with -EIO and `dead` is set: the owner unwinds, then calls sim_kill or sim_power.
     */
    int64_t crash_after;
    bool dead;
    bool top_made; /* a directory at the top was made, so its name can be lost */
    /* At the next power cut the i-th thing that differs is kept where bit i of the pattern is set;
     * behind the 64th it is drawn. `decisions` then tells how many there were. */
    bool pattern_on;
    uint64_t pattern;
    uint32_t decisions;
    bool verbose;     /* print what doors_say says */
    uint64_t said[4]; /* lines by enum log_level */
    uint64_t trace;
    struct list files, names, pending_ops, pending_jobs, finished_jobs;
    uint64_t next_id;
    uint32_t open_files;
};

void sim_init(struct sim *sim, uint64_t seed);
void sim_done(struct sim *sim);

/* Runs the earliest of {asynchronous op, job, timer}, moving the clock to it. False: nothing is
 * left to do. */
bool sim_step(struct sim *sim);
/* When the next of those is due; INT64_MAX: never. */
int64_t sim_next_ns(const struct sim *sim);
/* Steps until virtual time `until_ns`, then stands there. */
void sim_run_until(struct sim *sim, int64_t until_ns);

/* Ends the life: see above. Everything pending is forgotten, timers are dropped. */
void sim_kill(struct sim *sim);
void sim_power(struct sim *sim);
/* The doors work again. Every file must have been closed. */
void sim_restart(struct sim *sim);

/* Sets the wall clock by so much. */
void sim_jump(struct sim *sim, int64_t by_ms);

/* Folds a fact into the trace hash. */
void sim_note(struct sim *sim, const void *data, size_t len);
uint64_t sim_trace_hash(const struct sim *sim);

/* For tests that damage the medium: flips one bit of a file (seen and medium); -ENOENT if there is
 * none. */
int sim_flip(struct sim *sim, const char *path, uint64_t position, uint8_t mask);
/* What the seen disk holds, to try several continuations from one point; no file may be open. The
 * image is good for any number of sim_load. */
struct sim_image;
struct sim_image *sim_save(struct sim *sim);
void sim_load(struct sim *sim, const struct sim_image *image);
void sim_image_free(struct sim_image *image);
/* Of a life that goes on: all that is seen, on the medium and in flight now, and what a power cut
 * in this state would leave (`pattern` as above). Files may be open. */
struct sim_image *sim_still(struct sim *sim);
struct sim_image *sim_cut(const struct sim *sim, const struct sim_image *still, uint64_t pattern,
    uint32_t *ret_decisions);
/* Of names, order and contents: equal for what the next life can't tell apart. Of a cut only. */
uint64_t sim_image_hash(const struct sim_image *image);

/* More damage (seen and medium): bytes of one file over those of another (or the same), as a write
 * that went to the wrong place; zeros, as a write that never arrived; a name that is gone. -ENOENT:
 * there is no such file, or not so long. */
int sim_misdirect(struct sim *sim, const char *from, uint64_t from_position, const char *to,
    uint64_t to_position, size_t len);
int sim_zero(struct sim *sim, const char *path, uint64_t position, size_t len);
int sim_lose(struct sim *sim, const char *path);
/* Names of all files that are seen, in creation order. */
void sim_each_file(
    struct sim *sim, void (*each)(void *context, const char *path, uint64_t size), void *context);

#endif
