/*
 * assignor.h - what members of a classic group say to each other through the coordinator: Kafka's
 * consumer protocol (subscriptions up, assignments down), and the leader's work. Keys are the
 * roster's.
 */
#ifndef TESTS_SIM_ASSIGNOR_H
#define TESTS_SIM_ASSIGNOR_H

#include "protocol/base/bytes.h"
#include "tests/sim/roster.h"

/* A member as its leader sees it. */
struct share {
    char id[ROSTER_ID_SIZE];
    uint32_t topics;    /* bits: it is subscribed to */
    uint32_t owned;     /* bits of keys: it says that it holds */
    int32_t generation; /* in which */
    uint32_t keys;      /* what it gets */
};

/* In world->scratch; some version that can say it. */
struct bytes subscription_encode(struct world *world, const struct share *share, bool cooperative);
/* Fails the run if it is none of ours. */
void subscription_decode(struct world *world, struct bytes from, struct share *share);
/* nonce: whose work it is. */
struct bytes assignment_encode(struct world *world, uint32_t nonce, uint32_t keys);
/* *ret_nonce 0: it is the broker's. */
void assignment_decode(
    struct world *world, struct bytes from, uint32_t *ret_nonce, uint32_t *ret_keys);

/* Gives every partition of the topics that somebody wants to one of those who want it, as evenly as
 * it goes. cooperative: as far as it may, it stays where it is; what has to move is given to nobody
 * until its owner let it go (KIP-429). */
void shares_assign(const struct world *world, struct share *shares, int count, bool cooperative);

#endif
