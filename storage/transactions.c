/*
 * See transactions.h.
 *
 * Happy path: a producer's first transactional batch begins one at the end of `unstable`; its
 * marker puts it on `ended` too, and on the list of the aborted if it was one; when the high
 * watermark passes the marker it is forgotten. So the first of `unstable` is where readers of
 * committed data must stop.
 *
 * Invariants: `unstable` ascends in first offsets, `ended` and `aborted` in marker offsets, because
 * offsets are given out in that order. All of them lie in the log's own range.
 */
#include "storage/transactions.h"

#include "protocol/base/mem.h"
#include "storage/producers.h"

enum { ABORTED_SIZE = 32, OPEN_SIZE = 16 }; /* bytes in a checkpoint */

struct transactions *transactions_create(struct transaction_table *table)
{
    struct transactions *transactions = mem_zalloc(1, sizeof(*transactions));
    transactions->table = table;
    list_init(&transactions->unstable);
    list_init(&transactions->ended);
    return transactions;
}

static void open_destroy(struct transactions *transactions, struct open_transaction *open)
{
    if (open->marker_offset < 0)
        transactions->table->count--;
    list_remove(&open->link);
    list_remove(&open->ended_link);
    mem_free(open);
}

void transactions_destroy(struct transactions *transactions)
{
    if (!transactions)
        return;
    for (struct list *node; (node = list_first(&transactions->unstable));)
        open_destroy(transactions, list_entry(node, struct open_transaction, link));
    transactions->table->count -= transactions->aborted_count;
    mem_free(transactions->aborted);
    mem_free(transactions);
}

struct open_transaction *transactions_begin(
    struct transactions *transactions, int64_t producer_id, int64_t offset)
{
    struct open_transaction *open = mem_alloc(sizeof(*open));
    *open = (struct open_transaction){
        .producer_id = producer_id,
        .first_offset = offset,
        .marker_offset = -1,
    };
    list_init(&open->ended_link);
    list_append(&transactions->unstable, &open->link);
    transactions->table->count++;
    return open;
}

/* The last stable offset as it is once this one has ended (Kafka's transaction index says the
 * same): later aborted ones begin at or behind it. */
static int64_t stable_without(
    const struct transactions *transactions, const struct open_transaction *ended, int64_t offset)
{
    list_foreach (node, &transactions->unstable) {
        const struct open_transaction *open = list_entry(node, struct open_transaction, link);
        if (open != ended && open->marker_offset < 0)
            return open->first_offset;
    }
    return offset + 1;
}

static void aborted_push(
    struct transactions *transactions, const struct aborted_transaction *aborted)
{
    mem_grow(
        transactions->aborted, &transactions->aborted_capacity, transactions->aborted_count + 1);
    transactions->aborted[transactions->aborted_count++] = *aborted;
    transactions->table->count++;
}

void transactions_end(struct transactions *transactions, struct open_transaction *open,
    int64_t offset, bool committed)
{
    CHECK(open->marker_offset < 0);
    if (!committed) {
        struct aborted_transaction aborted = {
            .producer_id = open->producer_id,
            .first_offset = open->first_offset,
            .last_offset = offset,
            .last_stable_offset = stable_without(transactions, open, offset),
        };
        aborted_push(transactions, &aborted);
    }
    open->marker_offset = offset;
    transactions->table->count--;
    list_append(&transactions->ended, &open->ended_link);
}

void transactions_show(struct transactions *transactions, int64_t offset)
{
    for (struct list *node; (node = list_first(&transactions->ended));) {
        struct open_transaction *open = list_entry(node, struct open_transaction, ended_link);
        if (open->marker_offset >= offset)
            break;
        open_destroy(transactions, open);
    }
}

int64_t transactions_unstable(const struct transactions *transactions)
{
    if (!transactions || list_empty(&transactions->unstable))
        return INT64_MAX;
    return list_entry(transactions->unstable.next, struct open_transaction, link)->first_offset;
}

size_t transactions_aborted_at(const struct transactions *transactions, int64_t from)
{
    size_t low = 0, high = transactions ? transactions->aborted_count : 0;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (transactions->aborted[middle].last_offset < from)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void transactions_trim(struct transactions *transactions, int64_t offset)
{
    size_t gone = transactions_aborted_at(transactions, offset);
    if (gone == 0)
        return;
    transactions->aborted_count -= gone;
    transactions->table->count -= gone;
    for (size_t i = 0; i < transactions->aborted_count; i++)
        transactions->aborted[i] = transactions->aborted[i + gone];
    if (transactions->aborted_count == 0) {
        mem_free(transactions->aborted);
        transactions->aborted = NULL;
        transactions->aborted_capacity = 0;
    }
}

/* ---- the checkpoint ------------------------------------------------------------------------ */

static uint32_t open_count(const struct transactions *transactions)
{
    uint32_t count = 0;
    list_foreach (node, &transactions->unstable)
        count += list_entry(node, struct open_transaction, link)->marker_offset < 0;
    return count;
}

void transactions_save(const struct transactions *transactions, struct out *out)
{
    if (!transactions) {
        out_u32(out, 0);
        out_u32(out, 0);
        return;
    }
    out_u32(out, open_count(transactions));
    list_foreach (node, &transactions->unstable) {
        const struct open_transaction *open = list_entry(node, struct open_transaction, link);
        if (open->marker_offset >= 0) /* what is recovered is visible */
            continue;
        out_u64(out, (uint64_t)open->producer_id);
        out_u64(out, (uint64_t)open->first_offset);
    }
    out_u32(out, (uint32_t)transactions->aborted_count);
    for (size_t i = 0; i < transactions->aborted_count; i++) {
        const struct aborted_transaction *aborted = &transactions->aborted[i];
        out_u64(out, (uint64_t)aborted->producer_id);
        out_u64(out, (uint64_t)aborted->first_offset);
        out_u64(out, (uint64_t)aborted->last_offset);
        out_u64(out, (uint64_t)aborted->last_stable_offset);
    }
}

static void open_load(
    struct transactions *transactions, struct producers *producers, struct cursor *cursor)
{
    int64_t id = cursor_i64(cursor);
    int64_t offset = cursor_i64(cursor);
    struct producer *producer = producers_find(producers, id);
    struct list *last = transactions->unstable.prev;
    if (cursor->bad || offset < 0 || !producer || producer->open ||
        (last != &transactions->unstable &&
            list_entry(last, struct open_transaction, link)->first_offset >= offset)) {
        cursor->bad = true;
        return;
    }
    producer_set_open(producer, transactions_begin(transactions, id, offset));
}

static void aborted_load(struct transactions *transactions, struct cursor *cursor)
{
    struct aborted_transaction aborted = { .producer_id = cursor_i64(cursor) };
    aborted.first_offset = cursor_i64(cursor);
    aborted.last_offset = cursor_i64(cursor);
    aborted.last_stable_offset = cursor_i64(cursor);
    int64_t before = transactions->aborted_count
                         ? transactions->aborted[transactions->aborted_count - 1].last_offset
                         : -1;
    if (cursor->bad || aborted.first_offset < 0 || aborted.last_offset <= before)
        cursor->bad = true;
    else
        aborted_push(transactions, &aborted);
}

void transactions_load(
    struct transactions *transactions, struct producers *producers, struct cursor *cursor)
{
    for (uint32_t count = cursor_count(cursor, OPEN_SIZE); count && !cursor->bad; count--)
        open_load(transactions, producers, cursor);
    for (uint32_t count = cursor_count(cursor, ABORTED_SIZE); count && !cursor->bad; count--)
        aborted_load(transactions, cursor);
}
