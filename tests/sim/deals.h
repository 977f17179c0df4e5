/*
 * deals.h - the oracle of transactions, and the two roles that it watches (sim_transactions.c).
 *
 * A deal is one transaction: batches in some partitions, each record with the deal's number, and
 * perhaps an offset, which is the number too. What must hold (world_fail otherwise):
 *
 *   - a reader of committed data sees all of a deal, each batch once, or nothing of it: all if its
 *     commit was acknowledged, nothing if no commit was ever sent, one of both if the answer got
 *     lost; and once it has seen something, all later readers see the same at the same place
 *   - a group's offset is the newest of those that were seen as a whole, never one of another deal
 *   - who was fenced before it sent something is refused, and epochs of a producer id never go back
 *     in a log
 */
#ifndef TESTS_SIM_DEALS_H
#define TESTS_SIM_DEALS_H

#include "tests/sim/client.h"

enum { DEAL_IDS = 3, DEAL_TOPICS = 3, DEAL_PARTITIONS = 2, DEAL_PARTS = 6 };

/* Part 0 is ta-0, part 1 ta-1, part 2 tb-0, ... */
extern const char *const deal_topics[DEAL_TOPICS];

enum deal_fate { DEAL_OPEN, DEAL_COMMIT_SENT, DEAL_COMMITTED, DEAL_ABORTED };

struct deal {
    int id;
    uint32_t sent[DEAL_PARTS]; /* batches */
    uint32_t seen[DEAL_PARTS];
    int offset_partition; /* of ta; -1: none */
    enum deal_fate fate;
};

/* A batch as a reader of committed data saw it. */
struct sight {
    int64_t offset;
    uint32_t deal, index; /* which of the deal's in the part */
};

struct deals {
    struct deal *deals; /* by number - 1 */
    size_t count, capacity;
    struct sight *sights[DEAL_PARTS];
    size_t sight_count[DEAL_PARTS], sight_capacity[DEAL_PARTS];
    struct {
        int64_t producer_id;
        int16_t epoch;
        uint64_t moment; /* when it was told */
    } newest[DEAL_IDS];  /* whom nobody has fenced */
    struct deal_counts {
        uint64_t begun, committed, aborted, left, late, fenced, zombies, retries, duplicates;
        uint64_t resolved_all, resolved_nothing, unstable, offsets, aborted_skipped, reads;
    } * counts;
};

/* The world's; set before the roles are made. */
struct deals *deals_of(struct world *world);

struct client *sim_transactor_create(struct world *world, int index);
/* In the calm: has it a deal that is not over? */
bool sim_transactor_busy(const struct client *client);

struct client *sim_deal_reader_create(struct world *world, int index);
/* From the beginning again; what comes must be what came. */
void sim_deal_reader_again(struct client *client);
/* Has it read all, and nothing is open? */
bool sim_deal_reader_done(const struct client *client);

#endif
