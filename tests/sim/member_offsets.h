/*
 * member_offsets.h - how members (and those without membership) commit and fetch offsets, with the
 * roster looking on. For every kind of member.
 */
#ifndef TESTS_SIM_MEMBER_OFFSETS_H
#define TESTS_SIM_MEMBER_OFFSETS_H

#include "tests/sim/client.h"

/* As whom. */
struct party {
    struct roster_claim claim; /* generation -1: without membership */
    const char *instance;      /* "": none; lives as long as the client */
    uint32_t keys;             /* for some of these */
    bool follows;              /* KIP-848: what it claims as its generation is its epoch */
    /* A partition of a commit was refused. */
    void (*refused)(struct client *client, const struct call *call,
        const struct roster_claim *claim, int16_t error);
};

/* Nothing, if chance wants no key. */
void offsets_commit(struct client *client, const struct party *party);
void offsets_fetch(struct client *client, int group);

/* What is committed with an offset, and must come back with it. In world->scratch. */
struct bytes offset_note(struct world *world, int64_t offset);

/* ---- in a transaction (KIP-98, KIP-447) ---- */

enum spending { SPENDING_NOTHING, SPENDING_INIT, SPENDING_ADD, SPENDING_OFFSETS, SPENDING_END };

/* A producer that commits offsets of a group. Zeroed, but for `producer`. */
struct spender {
    int producer; /* instances with the same number share the transactional id */
    enum spending stage;
    bool named, v2, waiting, commits;
    int64_t id;
    int16_t epoch;
    struct party party; /* as whom the transaction that is open commits */
    int64_t offsets[ROSTER_KEYS];
};

/* Begins a transaction for this party. */
void spender_begin(struct client *client, struct spender *spender, const struct party *party);
/* Its next request, if it has one. */
void spender_step(struct client *client, struct spender *spender);
/* A transaction is open. */
bool spender_is_busy(const struct spender *spender);

#endif
