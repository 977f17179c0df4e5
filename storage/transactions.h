/*
 * transactions.h - of one log: the transactions whose end readers cannot see yet, and those that
 * were aborted. Inside storage/ only; storage.h has the face.
 *
 *   first transactional batch of a producer   begins: the last stable offset stays before it
 *   marker (a control batch)                  ended: still unstable ...
 *   marker is below the high watermark        ... until here
 *
 * Derived from the batches appended, live and in replay; the checkpoint carries it. The aborted
 * ones are kept until the log's start passes their marker; how many there may be over all logs is
 * storage_config.transactions_max (each begun transaction has its place reserved).
 */
#ifndef STORAGE_TRANSACTIONS_H
#define STORAGE_TRANSACTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/base/list.h"
#include "storage/cursor.h"
#include "storage/storage.h"

struct producer;
struct producers;

/* Over all logs of a storage. */
struct transaction_table {
    size_t count, max; /* begun and aborted */
};

struct open_transaction {
    struct list link;       /* transactions.unstable, by first offset */
    struct list ended_link; /* transactions.ended, by marker offset */
    int64_t producer_id;
    int64_t first_offset;
    int64_t marker_offset; /* -1: it goes on */
};

struct transactions {
    struct transaction_table *table;
    struct list unstable, ended;
    struct aborted_transaction *aborted; /* by last offset */
    size_t aborted_count, aborted_capacity;
};

struct transactions *transactions_create(struct transaction_table *table);
/* NULL is fine. Before the producers, which point into it. */
void transactions_destroy(struct transactions *transactions);

static inline bool transaction_table_is_full(const struct transaction_table *table)
{
    return table->count >= table->max;
}

/* The producer's first transactional batch begins at `offset`. */
struct open_transaction *transactions_begin(
    struct transactions *transactions, int64_t producer_id, int64_t offset);
/* Its marker is at `offset`. */
void transactions_end(struct transactions *transactions, struct open_transaction *open,
    int64_t offset, bool committed);
/* Everything below `offset` is visible. */
void transactions_show(struct transactions *transactions, int64_t offset);
/* The first offset of the oldest unstable one; INT64_MAX: none. NULL is fine. */
int64_t transactions_unstable(const struct transactions *transactions);
/* The log begins at `offset` now. NULL is fine. */
void transactions_trim(struct transactions *transactions, int64_t offset);

/* The aborted whose marker is at or behind `from`: the place of the first. */
size_t transactions_aborted_at(const struct transactions *transactions, int64_t from);

void transactions_save(const struct transactions *transactions, struct out *out);
/* Finds each one's producer. Errors show in the cursor. */
void transactions_load(
    struct transactions *transactions, struct producers *producers, struct cursor *cursor);

#endif
