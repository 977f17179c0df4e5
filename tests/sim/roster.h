/*
 * roster.h - the oracle of groups and of committed offsets.
 *
 * What must hold (world_fail otherwise)
 *   - generations that were told only grow; one leader each; all members of a generation are told
 *     the assignment that its leader made; a partition has one owner in it
 *   - across generations, for those who keep what they hold through a rebalance (KIP-429): nobody
 *     is given what a member of the same generation still holds
 *   - nothing is accepted from an older generation once a newer one was told, nor in the same life
 *     of the broker from a member that was told to be gone, or whose instance id another has
 *   - of those whom the broker leads (KIP-848) nobody is served as the owner of what another was
 *     given before he asked, nor of what he was given himself only in a later epoch
 *   - a committed offset that was acknowledged, or told, is told from then on until a later commit
 *     (or deletion: then none is) takes effect; what was refused is never told, nor what a
 *     transaction holds whose commit
 *     nobody asked for; what was told and then not any more never comes back. Commits may overtake
 *     each other, so "later" means sent after the other had been answered.
 *   - time (roster_time.c) takes an offset only when it is over, counted as the offset or the
 * broker says, from no earlier than the commit or the last sign of a member; not while a member
 * reads the topic, nor while a transaction holds an offset of the partition. What it took is never
 *     told again. In the end everything goes that is old, and every group without offsets.
 *   - of the instances of a transactional producer only the newest that was told is served
 */
#ifndef TESTS_SIM_ROSTER_H
#define TESTS_SIM_ROSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/uuid.h"

struct world;

enum {
    ROSTER_GROUPS = 6,
    ROSTER_SIMPLE = 2, /* the group without members: commits from outside */
    ROSTER_TOPICS = 3,
    ROSTER_PARTITIONS = 4, /* of a topic, at most */
    ROSTER_KEYS = ROSTER_TOPICS * ROSTER_PARTITIONS,
    ROSTER_SEATS = 24,
    ROSTER_PRODUCERS = 12,
    ROSTER_GONE = 128,
    ROSTER_ID_SIZE = 100,
};

/* What groups read. Key = index of the topic * ROSTER_PARTITIONS + partition. */
struct roster_topic {
    const char *name;   /* NULL: none */
    int slot;           /* of the ledger, or -1 */
    int32_t partitions; /* that were told; 0: it was not told yet */
    struct uuid id;
};

struct generation {
    int32_t number;
    uint64_t known; /* moment when it was first told */
    char leader[ROSTER_ID_SIZE];
    uint32_t nonce;          /* of its assignment; 0: not told yet */
    int owners[ROSTER_KEYS]; /* 1 + seat; 0: not told */
};

/* HELD: in a transaction, and nobody has asked to commit it. */
enum commit_outcome { COMMIT_HELD, COMMIT_PENDING, COMMIT_DONE, COMMIT_REFUSED, COMMIT_UNKNOWN };

struct commit_note {
    enum commit_outcome outcome;
    bool erases; /* it is a deletion: none is told afterwards */
    uint64_t sent;
    uint64_t resolved; /* moment when it had taken effect or never would; 0: pending */
    uint64_t placed;   /* moment when its place among the others was fixed, if that was before */
    uint64_t left;     /* moment when another was told after it; 0: never */
    /* wall time */
    int64_t sent_ms, resolved_ms, placed_ms;
    int64_t keep_ms; /* for so long, as it said itself; -1: it did not */
    bool ending;     /* its transaction was asked to end */
    bool robbed;     /* what it would replace was told to be gone before that */
};

/* Committed offsets are numbered 1, 2, ...: the number is the offset. */
struct register_of {
    struct commit_note *commits; /* [0] is unused */
    size_t count, capacity;
    size_t told; /* the last one; 0: none */
    uint64_t told_moment;
};

/* A member as those see it who have only heard of it: a client, or several with one instance id. */
struct seat {
    uint32_t keys;      /* that it holds */
    int32_t generation; /* of its last join that was answered */
    char id[ROSTER_ID_SIZE];
    uint64_t id_moment;
};

struct roster_group {
    struct generation *generations; /* by number, rising */
    size_t count, capacity;
    struct register_of registers[ROSTER_KEYS];
    struct seat seats[ROSTER_SEATS];
    int64_t closed_ns; /* until then all its members stay away */
    uint32_t deletes;  /* of the whole group, asked for or (by time) seen */
    bool deleting;     /* ... and it is not known what became of that */
    int64_t joined_ns; /* when somebody last heard of a join, or of an epoch that is new */
    uint64_t anew;     /* moment when it was seen that time took the group before */
    int64_t seen_ms;   /* wall time when somebody was surely in, the last time */
    int64_t lapsed_ms; /* what was sent before that may have been without members for long since */
    bool choosy;       /* a member may not read all topics, or the time counts from the commit */
    /* KIP-848 */
    int32_t epoch; /* the greatest that was told */
    struct {
        int seat;
        uint64_t moment; /* when it was told that it has the key; 0: nobody was */
        int32_t since;   /* it did not have it before this epoch */
    } holders[ROSTER_KEYS];
};

struct roster {
    struct roster_topic topics[ROSTER_TOPICS];
    struct roster_group groups[ROSTER_GROUPS];
    struct {
        uint64_t hash, known, life;
    } gone[ROSTER_GONE];
    size_t gone_count;
    int64_t retention_ms; /* of offsets; 0: time takes nothing */
    int64_t emptied_ms;   /* wall time: since then all groups are surely empty; 0: they are not */
    struct {
        int64_t id;
        int16_t epoch;
        uint64_t moment;
    } producers[ROSTER_PRODUCERS];
};

void roster_done(struct roster *roster);
const char *roster_group_name(int group);

/* Are all topics there, as far as clients were told? */
bool roster_ready(struct world *world);
/* Bits of the keys of these topics (bits). */
uint32_t roster_keys(const struct world *world, uint32_t topics);
const struct roster_topic *roster_topic(const struct world *world, int key);
int32_t roster_partition(int key);

/* As whom a client sent something. */
struct roster_claim {
    int group, seat;
    int32_t generation;
    uint64_t sent;
    char id[ROSTER_ID_SIZE];
};

/* The answer to a join. claim->generation and id: what was told. `keeps`: it still holds its keys.
 */
void roster_joined(
    struct world *world, const struct roster_claim *claim, const char *leader, bool keeps);
/* A member was told its part (bits by key) of the assignment `nonce`. */
void roster_synced(
    struct world *world, const struct roster_claim *claim, uint32_t nonce, uint32_t keys);
/* It holds nothing any more. */
void roster_lets_go(struct world *world, int group, int seat);
/* Something of this member, sent then, was accepted. */
void roster_accepted(struct world *world, const struct roster_claim *claim, const char *what);
/* Are the members of the group to stay away now? */
bool roster_is_closed(const struct world *world, int group);
/* Somebody asks to delete the group. Until it is known what became of that, nobody knows which
 * group is meant; one that was deleted begins anew, with generation 1. */
void roster_deletion(struct world *world, int group);
/* That one, sent at `sent_ns`, was done. Who has joined since may be in the next group of the name:
 * then nobody knows still. */
void roster_deletion_told(struct world *world, int group, int64_t sent_ns);
/* It was told that this member id is none (any more). */
void roster_gone(struct world *world, int group, const char *id);

/* ---- KIP-848 ---- */

void roster_epoch(struct world *world, int group, int32_t epoch);
/* It was told that it has these keys, too. */
struct roster_grant {
    int seat;
    uint32_t keys;
    int32_t since; /* it had none of them up to this epoch; 0: nobody knows */
    bool sure;     /* and has them still */
};
void roster_granted(struct world *world, int group, const struct roster_grant *grant);
/* Something of this member was accepted, who holds these keys. */
void roster_holds(
    struct world *world, const struct roster_claim *claim, uint32_t keys, const char *what);

/* ---- offsets ---- */

/* Returns the offset to commit; told at the send with its moment. */
int64_t roster_commit(struct world *world, int group, int key, enum commit_outcome outcome);
void roster_commit_sent(struct world *world, int group, int key, int64_t offset);
void roster_committed(
    struct world *world, int group, int key, int64_t offset, enum commit_outcome outcome);
/* The same for the deletion of an offset: returns its number. */
int64_t roster_erase(struct world *world, int group, int key);
/* A transaction has it: commits that are sent from now on come behind it, whenever it ends. */
void roster_commit_placed(struct world *world, int group, int key, int64_t offset);
/* offset -1: none was told. */
void roster_fetched(struct world *world, int group, int key, int64_t offset, uint64_t sent);

/* May none be told of this key, as far as commits and time go? */
bool roster_may_be_none(struct world *world, int group, int key, uint64_t sent);
/* Has another commit, DONE at `sent`, surely taken the place of `a` (0: of none) by then? Which? */
size_t roster_overwritten(const struct register_of *reg, size_t a, uint64_t sent);

/* ---- time ---- */

/* This commit is to be kept for so long only (OffsetCommit 2-4). */
void roster_commit_keeps(struct world *world, int group, int key, int64_t offset, int64_t keep_ms);
/* Its transaction is asked to end; has been committed so, and was open until then: fails if time
 * took meanwhile what it held. */
void roster_commit_ending(struct world *world, int group, int key, int64_t offset);
void roster_commit_ended(struct world *world, int group, int key, int64_t offset);
/* The wall clock is set forward. */
void roster_jump(struct world *world, int64_t by_ms);
/* Somebody is surely in this group. */
void roster_seen(struct world *world, int group);
bool roster_is_occupied(const struct world *world, int group);
/* May this group be gone by now, or another in its place, since it had neither members nor offsets?
 */
bool roster_may_vanish(struct world *world, int group);
/* It was so. */
void roster_vanished(struct world *world, int group);
/* May time have taken what was committed? Asked because none was told (`told`), or in thought. */
bool roster_time_takes(struct world *world, int group, int key, uint64_t sent, bool told);
/* This one was told: fails if time must have taken it. */
void roster_time_spares(struct world *world, int group, int key, const struct commit_note *note);

/* InitProducerId's answer. */
void roster_producer(struct world *world, int producer, int64_t id, int16_t epoch);
/* Was another told to be the newest before that was sent? */
bool roster_fenced(
    const struct world *world, int producer, int64_t id, int16_t epoch, uint64_t sent);

#endif
