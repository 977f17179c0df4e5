/*
 * transaction_coordinator.h - the owner of all transactional ids: finds and makes them, steps them
 * (transaction.h), makes what follows durable, ends what takes too long, forgets what nobody uses.
 *
 * An end is one unit over everything: the markers on all partitions, the offsets that become the
 * groups' (or are dropped), and the new state. All of it or nothing, also after a crash.
 *
 * Transactions live in STORE_TRANSACTION as transaction_encode writes them. Offsets that wait for
 * the end live in STORE_TRANSACTION_OFFSET: key = the producer id (u64 big-endian), then the key of
 * the committed offset (coordinator.h), value as of the committed offset.
 *
 * One thread: the loop.
 */
#ifndef BROKER_TRANSACTION_COORDINATOR_H
#define BROKER_TRANSACTION_COORDINATOR_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/transaction.h"
#include "protocol/base/bytes.h"

struct broker;
struct committed_offset;
struct request;
struct transaction_coordinator;
struct unit;

/* More ids than this (each costs about 400 bytes), more bytes of them, or more partitions in all
 * open transactions together are refused until old ones expire or end. */
enum {
    TRANSACTIONS_MAX = 100000,
    TRANSACTION_ID_BYTES_MAX = 32 << 20,
    TRANSACTION_PARTS_MAX = 1000000,
};
/* Ours in markers; there is no other coordinator that it could be told from. */
enum { TRANSACTION_COORDINATOR_EPOCH = 0 };

/* Loads what the store holds. The broker, with storage and producer ids, outlives it. */
int transaction_coordinator_create(
    struct transaction_coordinator **ret_coordinator, struct broker *broker) MUST_CHECK;
/* NULL is fine. Of a storage that is destroyed next. */
void transaction_coordinator_destroy(struct transaction_coordinator *coordinator);

/* NULL: no such id. Valid until the next turn of the loop. */
struct transaction *transaction_coordinator_find(
    struct transaction_coordinator *coordinator, struct bytes id);
/* In the order of their making: NULL is before the first. */
struct transaction *transaction_coordinator_next(
    struct transaction_coordinator *coordinator, const struct transaction *after);

/* One step and, if something changes, the unit that makes it so: committed and in memory when this
 * returns 0 with effects->error NONE or not; *ret_lsn must be durable before the answer is told.
 * `id` is made for an init if it is not there. Otherwise nothing happened: -EAGAIN: the ring is
 * full (park the request); -E2BIG: one of the limits above, or the transaction would be larger than
 * a unit can end; another error of log_commit. fresh_id of the event is filled in here. */
int transaction_coordinator_step(struct transaction_coordinator *coordinator, struct bytes id,
    struct transaction_event *event, struct transaction_effects *ret_effects,
    uint64_t *ret_lsn) MUST_CHECK;

/* For a unit that somebody else commits, with what the transaction is about: `fill` adds the new
 * state to it and says the answer; when the unit was committed (and effects->changed) `apply` makes
 * it so. Nothing may happen in between. Only add and verify. `more`: bytes that the end will have
 * to put for what else is in the unit (transaction_put_offset). -E2BIG as above. */
int transaction_coordinator_fill(struct transaction_coordinator *coordinator, struct bytes id,
    const struct transaction_event *event, size_t more, struct unit *unit,
    struct transaction_effects *ret_effects) MUST_CHECK;
void transaction_coordinator_apply(struct transaction_coordinator *coordinator, struct bytes id,
    const struct transaction_event *event, const struct transaction_effects *effects);

/* ---- offsets that wait for an end ---- */

/* The part that stands for the offsets of a group. */
struct transaction_part transaction_offsets_part(struct bytes group);
/* Becomes the group's when the transaction that this producer has open is committed. Returns the
 * bytes for `more`. */
size_t transaction_put_offset(struct unit *unit, int64_t producer_id, struct bytes group,
    const struct uuid *topic, int32_t partition, const struct committed_offset *offset);
/* Does an offset of this partition wait? */
bool transaction_coordinator_offset_waits(struct transaction_coordinator *coordinator,
    struct bytes group, const struct uuid *topic, int32_t partition);
/* Tells of every offset of the group that waits its place, as the store's key of the committed one.
 * Returns how many open transactions it looked at. `each` must not commit. */
size_t transaction_coordinator_each_waiting(struct transaction_coordinator *coordinator,
    struct bytes group, void (*each)(void *context, struct bytes key), void *context);
/* An offset is deleted with this unit: what waits for its partition, too. */
void transaction_coordinator_drop_offset(struct transaction_coordinator *coordinator,
    struct unit *unit, struct bytes group, const struct uuid *topic, int32_t partition);
/* The group is deleted with this unit: what waits for it, too. */
void transaction_coordinator_drop_offsets(
    struct transaction_coordinator *coordinator, struct unit *unit, struct bytes group);

#endif
