/*
 * wal_world.h - one write-ahead log in the simulated world, and a model of what it was given.
 *
 * Every group has a number; its records' lengths and bytes follow from it, so a replay can be
 * checked without keeping the bytes. After each end of a life world_open compares what is replayed
 * with the model: an unbroken run of whole groups that holds at least everything promised.
 */
#ifndef TESTS_UNIT_WAL_WORLD_H
#define TESTS_UNIT_WAL_WORLD_H

#include "storage/wal.h"
#include "tests/sim/sim.h"

enum { WORLD_GROUPS_MAX = 60000, WORLD_FILE_BYTES = 64 << 10 };

struct world_group {
    uint64_t number, lsn, end; /* lsn of its first record */
    bool damaged;              /* in a replay: some record was shown as damaged */
};

struct world {
    struct sim sim;
    struct wal_config config;
    struct wal *wal;
    uint64_t from; /* the checkpoint */
    struct wal_found found;
    /* the model: groups appended and not known to be lost, oldest first */
    struct world_group groups[WORLD_GROUPS_MAX];
    size_t group_count;
    uint64_t next_number;
    /* Everything below must be there after the end of this life; and if the power goes then. */
    uint64_t promised, promised_durable;
    /* the last replay */
    struct world_group replayed[WORLD_GROUPS_MAX];
    size_t replayed_count;
    uint32_t replayed_records; /* of the newest group */
    bool group_is_open;
    /* events */
    unsigned moved, space, pressure, failed;
    int failed_status;
};

/* Big: from mem_alloc. The directory is "/wal". */
struct world *world_create(uint64_t seed);
void world_destroy(struct world *world);

/* wal_open, with every record of the replay checked against the number of its group. */
int world_try_open(struct world *world);
/* The same, must succeed, and the replay must agree with the model, which then holds just that. */
void world_open(struct world *world);
/* The end of a life. Written (kill) or durable (power) is promised, as are checkpoints. */
void world_kill(struct world *world);
void world_power(struct world *world);
/* An open that dies after `calls` blocking calls (or right behind its end), by a kill or power cut.
 */
void world_die_opening(struct world *world, int64_t calls, bool power);
/* Closes what is idle; nothing is lost. */
void world_close(struct world *world);

/* Bytes that group `number` takes in the log. */
size_t world_group_size(uint64_t number);
/* The next group; 0 or what wal_begin said. */
int world_append(struct world *world);
/* Turns and steps until nothing is left to do in the next half second. */
void world_run(struct world *world);
/* Appends, makes durable, waits, and releases. Returns its end. */
uint64_t world_append_durable(struct world *world);
/* Everything appended becomes durable. */
void world_flush(struct world *world);
/* Written back, and checkpointed, up to a group's end ≤ lsn and ≤ what is durable. */
void world_checkpoint(struct world *world, uint64_t lsn);

/* Every payload that is not released is still in the ring. */
void world_check_ring(struct world *world);
/* No two files have the same number; padding on the medium is zeros. */
void world_check_files(struct world *world);

/* Overwrites bytes of a file, durably. */
void world_poke(
    struct world *world, const char *path, uint64_t position, const void *data, size_t len);
void world_peek(struct world *world, const char *path, uint64_t position, void *data, size_t len);

/* What the medium and the model hold between two lives, to try several continuations. */
enum { WORLD_FILES_MAX = 8 };
struct world_image {
    uint8_t *files[WORLD_FILES_MAX]; /* NULL: absent */
    struct world_group groups[WORLD_GROUPS_MAX];
    size_t group_count;
    uint64_t next_number, promised, promised_durable, from;
};
struct world_image *world_save(struct world *world);
struct world_image *world_save_open(struct world *world); /* while it lives */
void world_load(struct world *world, const struct world_image *image);
void world_image_free(struct world_image *image);
/* The files and model are the same bytes. */
bool world_is(struct world *world, const struct world_image *image);

#endif
