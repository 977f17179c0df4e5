/*
 * shelf.h - the oracle of a share group (KIP-932): what became of each record, as its members were
 * told, and the role of a member (sim_shares.c).
 *
 * What must hold (world_fail otherwise)
 *   - a record is held by one member at a time: nobody is given what another was given before he
 *     asked, as long as the lock of the other surely lasts, he is connected, and the broker lives
 *   - what a member says of a record that it surely holds is not refused
 *   - a record whose accept or reject was acknowledged is never given again, whatever happens
 *   - the count of deliveries that is told is between 1 and the limit, and grows within one life
 *   - the start that the group is told only goes forward, and only over records that were accepted,
 *     rejected, or delivered as often as may be; deliveries whose answers were lost count as well
 *   - what is given is what was produced at that offset
 */
#ifndef TESTS_SIM_SHELF_H
#define TESTS_SIM_SHELF_H

#include "tests/sim/client.h"

enum {
    SHELF_TOPICS = 2,
    SHELF_PARTITIONS = 2,
    SHELF_PARTS = SHELF_TOPICS * SHELF_PARTITIONS,
    SHELF_SEATS = 6,
    SHELF_LIMIT = 5,      /* deliveries (world.c) */
    SHELF_LOCK_MS = 2000, /* (world.c) */
};

extern const char *const shelf_topics[SHELF_TOPICS];
extern const char shelf_group[];

/* OPEN: nobody said anything for good; UNSURE: somebody did, and the answer was lost. */
enum item_fate { ITEM_OPEN, ITEM_UNSURE, ITEM_DONE };

struct item {
    enum item_fate fate;
    bool known, acked; /* somebody was shown it; its produce was acknowledged */
    uint32_t number;   /* in its record */
    int saying;        /* accepts and rejects under way */
    uint64_t done;     /* the moment; 0: not */
    int seat;          /* the newest that was given it; -1: it said that it is through with it */
    uint64_t told;     /* when */
    int64_t sure_ns;   /* until then it has the lock for sure */
    uint64_t life;     /* of the broker */
    uint64_t session;  /* of the seat, when it was given */
    int deliveries;    /* the newest count, and the greatest */
    int deliveries_most;
    uint64_t lost; /* answers to fetches of the part that were lost before it was there */
};

struct shelf_part {
    struct item *items; /* by offset */
    size_t count, capacity;
    int64_t start; /* of the group, as told */
    uint64_t start_told;
    int64_t lag;     /* as told with it */
    uint64_t lost;   /* answers to fetches that were lost */
    uint64_t flying; /* fetches that are not answered: they may have been given something */
};

struct shelf {
    struct shelf_part parts[SHELF_PARTS];
    struct uuid ids[SHELF_TOPICS]; /* zero: not there yet */
    struct client *seats[SHELF_SEATS];
    uint64_t sessions[SHELF_SEATS]; /* that are over: what they held is anybody's */
    bool ready;                     /* the group is set up */
    uint32_t produced;
    struct shelf_counts {
        uint64_t joins, expired, sessions, sessions_lost, given, again, redelivered_after_crash,
            accepted, rejected, released, renewed, refused_late, unsure, timed_out, at_limit,
            lost_fetches, starts, produced;
    } * counts;
};

/* The world's; set before the roles are made. */
struct shelf *shelf_of(struct world *world);
void shelf_done(struct shelf *shelf);
/* -1: none of ours. */
int shelf_part_of(const struct shelf *shelf, const struct uuid *topic, int32_t partition);
struct item *shelf_item(struct shelf *shelf, int part, int64_t offset);

/* A produce was acknowledged. */
void shelf_stocked(struct world *world, int part, int64_t base, uint32_t number, int32_t count);
/* The answer to a fetch: this record was given to the seat, as its `delivery`th. */
struct gift {
    int part, seat, delivery;
    int64_t offset;
    uint32_t number;
    uint64_t sent;
    int64_t sent_ns;
};
void shelf_given(struct world *world, const struct gift *gift);
/* Has the seat this record for sure, now? */
bool shelf_holds(struct world *world, int part, int64_t offset, int seat);
/* The group's start and lag, asked for at `sent`. */
void shelf_started(struct world *world, int part, int64_t start, int64_t lag, uint64_t sent);
/* In the calm: has everything that is there been dealt with? */
bool shelf_is_empty(struct world *world);

struct client *sim_sharer_create(struct world *world, int seat);

#endif
