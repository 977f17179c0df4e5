/*
 * roster.h - the oracle of groups and of committed offsets.
 *
 * What must hold (world_fail otherwise)
 *   - generations that were told only grow; one leader each; all members of a generation are told
 *     the assignment that its leader made; a partition has one owner in it
 *   - nothing is accepted from an older generation once a newer one was told
 *   - a committed offset that was acknowledged, or told, is told from then on until a later commit
 *     takes effect; what was refused is never told. Commits may overtake each other, so "later"
 *     means sent after the other had been answered.
 */
#ifndef TESTS_SIM_ROSTER_H
#define TESTS_SIM_ROSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct world;

enum {
    ROSTER_GROUPS = 3,
    ROSTER_SIMPLE = 2, /* the group without members: commits from outside */
    ROSTER_KEYS = 5,   /* partitions that a group reads */
    ROSTER_ID_SIZE = 100,
};

struct generation {
    int32_t number;
    uint64_t known; /* moment when it was first told */
    char leader[ROSTER_ID_SIZE];
    uint32_t nonce;          /* of its assignment; 0: not told yet */
    int owners[ROSTER_KEYS]; /* 1 + index of the client; 0: not told */
};

enum commit_outcome { COMMIT_PENDING, COMMIT_DONE, COMMIT_REFUSED, COMMIT_UNKNOWN };

struct commit_note {
    enum commit_outcome outcome;
    uint64_t sent;
    uint64_t resolved; /* moment when it had taken effect or never would; 0: pending */
};

/* Committed offsets are numbered 1, 2, ...: the number is the offset. */
struct register_of {
    struct commit_note *commits; /* [0] is unused */
    size_t count, capacity;
};

struct roster_group {
    struct generation *generations; /* by number, rising */
    size_t count, capacity;
    struct register_of registers[ROSTER_KEYS];
};

struct roster {
    struct roster_group groups[ROSTER_GROUPS];
};

void roster_done(struct roster *roster);
const char *roster_group_name(int group);
/* Slot and partition of a key. */
int roster_slot(int key);
int32_t roster_partition(int key);

/* The answer to a join that was sent at `sent`. */
void roster_joined(
    struct world *world, int group, int32_t generation, const char *leader, uint64_t sent);
/* A member was told its part (bits by key) of the assignment `nonce`. */
void roster_synced(
    struct world *world, int group, int32_t generation, int client, uint32_t nonce, uint32_t keys);
/* Something of this generation, sent then, was accepted. */
void roster_accepted(
    struct world *world, int group, int32_t generation, uint64_t sent, const char *what);

/* Returns the offset to commit; told at the send with its moment. */
int64_t roster_commit(struct world *world, int group, int key);
void roster_commit_sent(struct world *world, int group, int key, int64_t offset);
void roster_committed(
    struct world *world, int group, int key, int64_t offset, enum commit_outcome outcome);
/* offset -1: none was told. */
void roster_fetched(struct world *world, int group, int key, int64_t offset, uint64_t sent);

#endif
