/*
 * roles.h - the clients of the simulated world: what they do, and what they ask of the answers.
 *
 * Each is made once and lives through all lives of the broker; the world destroys it.
 */
#ifndef TESTS_SIM_ROLES_H
#define TESTS_SIM_ROLES_H

#include "tests/sim/client.h"

/* Makes the topics, and keeps making, growing, deleting and describing some. Alone one for each. */
struct client *sim_admin_create(struct world *world, int index);

/* Sends batches. Idempotent ones send again what was not answered, and what was. */
struct client *sim_producer_create(struct world *world, int index);
/* Batches that it still has to bring home (in the calm: 0 at the end). */
size_t sim_producer_pending(const struct client *client);

/* Fetches from anywhere, with long polls; asks for offsets and epochs. */
struct client *sim_consumer_create(struct world *world, int index);

/* A member of a classic group that commits offsets; every group has several. */
struct member_style {
    int group;
    int seat; /* its index, or that of another, whose instance id it has, too */
    int pace_ms, session_ms;
    bool fixed;         /* static */
    bool doubled;       /* another has its instance id, too, and may leave or be fenced with it */
    bool cooperative;   /* it keeps partitions through a rebalance */
    bool unsteady;      /* it is late, says things twice, and changes its mind */
    bool transactional; /* it commits in transactions, too */
    bool mortal;        /* when faults end it may be dead for good */
    bool mixed;   /* members of its group speak both protocols, and the broker leads for a while */
    bool follows; /* it speaks the newer protocol */
    bool guest;   /* it stays away for long, and when faults end perhaps for good */
};
struct client *sim_member_create(struct world *world, int index, const struct member_style *style);
/* In the calm: of the mortal ones some die for good, now. */
void sim_members_thin(struct world *world);
/* In the calm: why the groups are not yet as they must be, or NULL. */
const char *sim_members_unsettled(struct world *world);
/* Is somebody in this group, and sure of it, in a later generation? If not, it may have been empty,
 * when it becomes one of the other protocol as a new one, as Kafka's does. */
bool sim_group_has_elder(const struct world *world, int group, int32_t generation);
/* Somebody was given these: fails if a classic member, who is surely in, has not let go of them. */
void sim_group_given(struct world *world, int group, int seat, uint32_t keys, const char *name);
/* Is somebody in it, and has been since before `sent`, who reads this key's topic? */
bool sim_group_wants(const struct world *world, int group, int key, uint64_t sent);
/* Since when (wall time) somebody who surely is in this group reads this key's topic; INT64_MAX:
 * nobody does. */
int64_t sim_members_read_since(const struct world *world, int group, int key);
int64_t sim_followers_read_since(const struct world *world, int group, int key);
/* The same for one group, which has members of both kinds (sim_followers_unsettled). */
const char *sim_mixed_unsettled(struct world *world, int group);

/* A member of a group of the consumer protocol, which the broker assigns (KIP-848). */
struct client *sim_follower_create(
    struct world *world, int index, const struct member_style *style);
/* In the calm: why this group is not yet as it must be, or NULL. Also what its members hold is
 * added to *keys (bits; never twice), what they want to *topics. */
const char *sim_followers_unsettled(
    struct world *world, int group, uint32_t *keys, uint32_t *topics);

/* Deletes groups and offsets, and leaves some to time. */
struct client *sim_janitor_create(struct world *world);
/* In the calm: it asks for all offsets and groups; with `gone` there must be no group. */
void sim_janitor_look(struct client *client, bool gone);
bool sim_janitor_has_looked(const struct client *client);

/* The oracle's own: reads all logs from start to end and compares with the ledger. */
struct client *sim_scanner_create(struct world *world, int index);
/* Begins; true once it is through. */
void sim_scanner_begin(struct client *client);
bool sim_scanner_done(const struct client *client);

#endif
