/*
 * producers.h - what idempotent producers wrote last to one log, so that a batch sent twice is
 * stored once (KIP-98; semantics of Kafka's ProducerStateManager).
 *
 * Per log and producer id: the epoch and the last five batches. Derived from the headers of the
 * batches appended, live and in replay; the checkpoint carries it. Forgotten after a time without
 * use, and beyond a number over all logs, the longest unused first: after that any sequence is
 * accepted, as with Kafka. Never forgotten while it has a transaction open.
 */
#ifndef STORAGE_PRODUCERS_H
#define STORAGE_PRODUCERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/base/list.h"
#include "protocol/base/tree.h"
#include "protocol/batch.h"
#include "storage/cursor.h"
#include "storage/storage.h"

struct open_transaction;

enum { PRODUCER_BATCHES = 5 }; /* a client has at most five requests in flight */

/* Over all logs of a storage. */
struct producer_table {
    struct list used; /* struct producer without an open transaction, the longest unused first */
    size_t count, max;
    int64_t expire_ms;
    uint64_t evicted; /* forgotten because of `max` */
};

struct producer_batch {
    int64_t last_offset;
    int64_t append_ms; /* -1: CreateTime */
    uint64_t lsn;      /* the end of its unit; 0 if long durable */
    int32_t last_sequence, offset_delta;
};

struct producer {
    struct tree_node node;
    struct list used_link;
    struct producers *owner;
    int64_t id;
    int64_t used_ms;               /* wall time */
    int64_t last_ms;               /* timestamp of its newest batch; -1: none */
    struct open_transaction *open; /* in the log's transactions; NULL: none */
    int32_t coordinator_epoch;     /* of its newest marker; -1: none */
    int16_t epoch;
    uint8_t count;                                   /* of batches known, newest last */
    struct producer_batch batches[PRODUCER_BATCHES]; /* ascending */
};

/* Of one log. */
struct producers {
    struct tree tree; /* by id */
    struct producer_table *table;
};

void producer_table_init(struct producer_table *table, size_t max, int64_t expire_ms);
/* Forgets who was not used since expire_ms before `now_ms`. */
void producer_table_expire(struct producer_table *table, int64_t now_ms);

struct producers *producers_create(struct producer_table *table);
/* NULL is fine. */
void producers_destroy(struct producers *producers);

/* `producers` may be NULL (nothing known). For PRODUCER_DUPLICATE *ret is the batch known. The
 * verdicts are those of storage.h. */
enum producer_verdict producers_check(const struct producers *producers,
    const struct batch_view *batch, const struct producer_batch **ret);
/* The batch was appended; its view has its base offset. Only for batches with a producer id. */
struct producer *producers_note(
    struct producers *producers, const struct batch_view *batch, uint64_t lsn, int64_t now_ms);
/* NULL: not known. `producers` may be NULL. */
struct producer *producers_find(const struct producers *producers, int64_t id);
/* It has a transaction open from now on, or (NULL) none any more. */
void producer_set_open(struct producer *producer, struct open_transaction *open);
struct producer_state producer_state(const struct producer *producer);

/* All by id, with the last offset of the newest data batch; -1: none is known. */
void producers_each(const struct producers *producers,
    void (*each)(void *context, int64_t id, int16_t epoch, int64_t last_offset), void *context);

void producers_save(const struct producers *producers, struct out *out);
/* Errors show in the cursor. `format`: SLOT_FORMAT of what is read. */
void producers_load(struct producers *producers, struct cursor *cursor, uint32_t format);

#endif
