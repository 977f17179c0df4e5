/*
 * See producers.h. Happy path: check finds the batch to be the next in sequence, note remembers it
 * behind the others and drops the sixth. A batch that equals one of the five exactly (first and
 * last sequence) is a duplicate; anything else out of line is out of order.
 *
 * All producers of all logs hang in one list by time of use, so the oldest can go first.
 */
#include "storage/producers.h"

#include <string.h>

#include "protocol/base/mem.h"
#include "storage/storage.h"
#include "storage/transactions.h"

static int compare(const void *key, const struct tree_node *node)
{
    int64_t a = *(const int64_t *)key;
    int64_t b = container_of_const(node, struct producer, node)->id;
    return (a > b) - (a < b);
}

void producer_table_init(struct producer_table *table, size_t max, int64_t expire_ms)
{
    *table = (struct producer_table){ .max = max, .expire_ms = expire_ms };
    list_init(&table->used);
}

static void producer_destroy(struct producer *producer)
{
    (void)tree_remove(&producer->owner->tree, &producer->id);
    list_remove(&producer->used_link);
    producer->owner->table->count--;
    mem_free(producer);
}

static struct producer *longest_unused(const struct producer_table *table)
{
    struct list *node = list_first(&table->used);
    return node ? list_entry(node, struct producer, used_link) : NULL;
}

void producer_table_expire(struct producer_table *table, int64_t now_ms)
{
    struct producer *producer;
    while ((producer = longest_unused(table)) && producer->used_ms < now_ms - table->expire_ms)
        producer_destroy(producer);
}

struct producers *producers_create(struct producer_table *table)
{
    struct producers *producers = mem_alloc(sizeof(*producers));
    *producers = (struct producers){ .tree = { .compare = compare }, .table = table };
    return producers;
}

void producers_destroy(struct producers *producers)
{
    if (!producers)
        return;
    for (struct tree_node *node; (node = tree_first(&producers->tree));)
        producer_destroy(container_of(node, struct producer, node));
    mem_free(producers);
}

struct producer *producers_find(const struct producers *producers, int64_t id)
{
    struct tree_node *node = producers ? tree_find(&producers->tree, &id) : NULL;
    return node ? container_of(node, struct producer, node) : NULL;
}

/* The known batch with the same first and last sequence. */
static const struct producer_batch *known(
    const struct producer *producer, const struct batch_view *batch)
{
    for (uint8_t i = 0; i < producer->count; i++) {
        const struct producer_batch *old = &producer->batches[i];
        if (old->last_sequence == batch_last_sequence(batch) &&
            old->offset_delta == batch->last_offset_delta)
            return old;
    }
    return NULL;
}

enum producer_verdict producers_check(const struct producers *producers,
    const struct batch_view *batch, const struct producer_batch **ret)
{
    const struct producer *producer = producers_find(producers, batch->producer_id);
    if (batch->producer_id < 0 || !producer)
        return PRODUCER_OK;
    if (batch->producer_epoch < producer->epoch)
        return PRODUCER_FENCED_EPOCH;
    *ret = batch->producer_epoch == producer->epoch ? known(producer, batch) : NULL;
    if (*ret)
        return PRODUCER_DUPLICATE;
    if (producer->open && !batch_is_transactional(batch))
        return PRODUCER_IN_TRANSACTION;
    if (batch->producer_epoch > producer->epoch)
        return batch->base_sequence == 0 ? PRODUCER_OK : PRODUCER_OUT_OF_ORDER;
    int32_t next = 0;
    if (producer->count)
        next = batch_sequence_add(producer->batches[producer->count - 1].last_sequence, 1);
    return batch->base_sequence == next ? PRODUCER_OK : PRODUCER_OUT_OF_ORDER;
}

static struct producer *producer_get(struct producers *producers, int64_t id)
{
    struct producer *producer = producers_find(producers, id);
    if (producer)
        return producer;
    struct producer_table *table = producers->table;
    struct producer *oldest;
    while (table->count >= table->max && (oldest = longest_unused(table))) {
        producer_destroy(oldest);
        table->evicted++;
    }
    producer = mem_zalloc(1, sizeof(*producer));
    producer->owner = producers;
    producer->id = id;
    producer->coordinator_epoch = -1;
    producer->last_ms = -1;
    list_init(&producer->used_link);
    tree_insert(&producers->tree, &id, &producer->node);
    table->count++;
    return producer;
}

static void producer_used(struct producer *producer, int64_t now_ms)
{
    producer->used_ms = now_ms;
    list_remove(&producer->used_link);
    if (!producer->open)
        list_append(&producer->owner->table->used, &producer->used_link);
}

void producer_set_open(struct producer *producer, struct open_transaction *open)
{
    producer->open = open;
    producer_used(producer, producer->used_ms);
}

struct producer_state producer_state(const struct producer *producer)
{
    return (struct producer_state){
        .id = producer->id,
        .epoch = producer->epoch,
        .coordinator_epoch = producer->coordinator_epoch,
        .last_sequence =
            producer->count ? producer->batches[producer->count - 1].last_sequence : -1,
        .last_ms = producer->last_ms,
        .first_offset = producer->open ? producer->open->first_offset : -1,
    };
}

static void batch_push(struct producer *producer, const struct producer_batch *batch)
{
    if (producer->count == PRODUCER_BATCHES) {
        memmove(producer->batches, producer->batches + 1,
            sizeof(*producer->batches) * (PRODUCER_BATCHES - 1));
        producer->count--;
    }
    producer->batches[producer->count++] = *batch;
}

struct producer *producers_note(
    struct producers *producers, const struct batch_view *batch, uint64_t lsn, int64_t now_ms)
{
    struct producer *producer = producer_get(producers, batch->producer_id);
    if (producer->epoch != batch->producer_epoch)
        producer->count = 0;
    producer->epoch = batch->producer_epoch;
    producer->last_ms = batch->max_timestamp;
    producer_used(producer, now_ms);
    if (batch->base_sequence < 0) /* a control batch speaks of the epoch only */
        return producer;
    struct producer_batch newest = {
        .last_offset = batch_last_offset(batch),
        .append_ms = batch_is_log_append_time(batch) ? batch->max_timestamp : -1,
        .lsn = lsn,
        .last_sequence = batch_last_sequence(batch),
        .offset_delta = batch->last_offset_delta,
    };
    batch_push(producer, &newest);
    return producer;
}

void producers_each(const struct producers *producers,
    void (*each)(void *context, int64_t id, int16_t epoch, int64_t last_offset), void *context)
{
    struct tree_node *node = tree_first(&producers->tree);
    while (node) {
        const struct producer *producer = container_of(node, struct producer, node);
        int64_t last = -1;
        if (producer->count)
            last = producer->batches[producer->count - 1].last_offset;
        each(context, producer->id, producer->epoch, last);
        node = tree_after(&producers->tree, &producer->id);
    }
}

static void producer_save(const struct producer *producer, struct out *out)
{
    out_u64(out, (uint64_t)producer->id);
    out_u64(out, (uint64_t)producer->used_ms);
    out_u16(out, (uint16_t)producer->epoch);
    out_u64(out, (uint64_t)producer->last_ms);
    out_u32(out, (uint32_t)producer->coordinator_epoch);
    out_u8(out, producer->count);
    for (uint8_t i = 0; i < producer->count; i++) {
        const struct producer_batch *batch = &producer->batches[i];
        out_u64(out, (uint64_t)batch->last_offset);
        out_u64(out, (uint64_t)batch->append_ms);
        out_u32(out, (uint32_t)batch->last_sequence);
        out_u32(out, (uint32_t)batch->offset_delta);
    }
}

static void save_subtree(const struct tree_node *node, struct out *out)
{
    if (!node)
        return;
    save_subtree(node->left, out);
    producer_save(container_of_const(node, struct producer, node), out);
    save_subtree(node->right, out);
}

void producers_save(const struct producers *producers, struct out *out)
{
    out_u32(out, producers ? (uint32_t)producers->tree.count : 0);
    save_subtree(producers ? producers->tree.root : NULL, out);
}

static void producer_load(struct producers *producers, struct cursor *cursor, uint32_t format)
{
    int64_t id = cursor_i64(cursor);
    int64_t used_ms = cursor_i64(cursor), last_ms = -1;
    int16_t epoch = (int16_t)cursor_u16(cursor);
    int32_t coordinator_epoch = -1;
    if (format >= 2) {
        last_ms = cursor_i64(cursor);
        coordinator_epoch = cursor_i32(cursor);
    }
    uint8_t count = cursor_u8(cursor);
    if (cursor->bad || count > PRODUCER_BATCHES || producers_find(producers, id)) {
        cursor->bad = true;
        return;
    }
    struct producer *producer = producer_get(producers, id);
    producer->epoch = epoch;
    producer->last_ms = last_ms;
    producer->coordinator_epoch = coordinator_epoch;
    producer_used(producer, used_ms);
    for (; count; count--) {
        struct producer_batch batch = { .last_offset = cursor_i64(cursor) };
        batch.append_ms = cursor_i64(cursor);
        batch.last_sequence = cursor_i32(cursor);
        batch.offset_delta = cursor_i32(cursor);
        batch_push(producer, &batch);
    }
}

void producers_load(struct producers *producers, struct cursor *cursor, uint32_t format)
{
    for (uint32_t count = cursor_count(cursor, 19); count && !cursor->bad; count--)
        producer_load(producers, cursor, format);
}
