/*
 * producer_ids.h - ids for idempotent producers: never the same one twice, whatever happens.
 *
 * Ids come from blocks. Before the first id of a block is used, the store gets the first id behind
 * the block (STORE_PRODUCER_IDS); an answer that tells an id waits until that is durable. After a
 * restart the rest of the last block is lost, which costs nothing: there are 2^63 of them.
 */
#ifndef BROKER_PRODUCER_IDS_H
#define BROKER_PRODUCER_IDS_H

#include <stdint.h>

#include "protocol/base/check.h"

struct producer_ids;
struct storage;

enum { PRODUCER_IDS_BLOCK = 1000 };

/* Reads where the blocks have come to. -EBADMSG: the store's value is not one of ours. The storage
 * stays the caller's and outlives it. */
int producer_ids_create(struct producer_ids **ret_ids, struct storage *storage) MUST_CHECK;
/* NULL is fine. Of a storage that is destroyed next: units under way are dropped. */
void producer_ids_destroy(struct producer_ids *ids);
/* The next id, and the log position that must be durable before it is told. -EAGAIN: the ring is
 * full (as log_commit), or another error of it; -ERANGE: none is left. */
int producer_ids_next(struct producer_ids *ids, int64_t *ret_id, uint64_t *ret_lsn) MUST_CHECK;

#endif
