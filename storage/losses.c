/* See losses.h. The records were found behind damage: their headers are whole, their payloads may
 * not be, so what is read from a payload is only used to say more. */
#include "storage/losses.h"

#include <assert.h>
#include <inttypes.h>

#include "protocol/base/mem.h"
#include "storage/owner.h"

static struct lost_log *lost_log(struct losses *losses, uint32_t log)
{
    for (size_t i = 0; i < losses->log_count; i++) {
        if (losses->logs[i].log == log)
            return &losses->logs[i];
    }
    if (losses->log_count == LOSSES_LOGS_MAX)
        return NULL;
    mem_grow(losses->logs, &losses->log_capacity, losses->log_count + 1);
    struct lost_log *lost = &losses->logs[losses->log_count++];
    *lost = (struct lost_log){ .log = log, .first = INT64_MAX, .last = -1 };
    return lost;
}

static void add_batch(struct losses *losses, const struct wal_head *head, struct bytes begin)
{
    struct lost_log *lost = lost_log(losses, head->log);
    struct batch_view view;
    int64_t last = head->base_offset;
    if (!lost) {
        losses->more++;
        return;
    }
    if (begin.len >= BATCH_HEADER_SIZE && batch_parse_header(begin, &view) == BATCH_OK &&
        view.base_offset == head->base_offset && view.last_offset_delta >= 0)
        last = batch_last_offset(&view);
    lost->batches++;
    if (head->base_offset < lost->first)
        lost->first = head->base_offset;
    if (last > lost->last)
        lost->last = last;
}

void losses_add(struct losses *losses, const struct wal_head *head, struct bytes begin)
{
    if (head->type == WAL_BATCH) {
        add_batch(losses, head, begin);
        return;
    }
    uint16_t kind = begin.len >= 2 ? le_get16(begin.data) : 0;
    losses->kinds[kind < STORE_KINDS ? kind : 0]++;
}

#define KIND_FITS(name, number, text)                                                              \
    static_assert((number) > 0 && (number) < STORE_KINDS, #name " is above STORE_KINDS");
STORE_KIND_TABLE(KIND_FITS)
#undef KIND_FITS

static const char *const kind_names[STORE_KINDS] = {
#define KIND_NAME(name, number, text) [number] = (text),
    STORE_KIND_TABLE(KIND_NAME)
#undef KIND_NAME
};

static void say_log(const struct lost_log *lost, struct storage *storage)
{
    const struct log *log = topics_log_by_id(storage, lost->log);
    if (!log) {
        doors_say(storage->doors, LOG_ERROR,
            "lost: offsets %" PRId64 " to at least %" PRId64
            " of a log whose topic was made in what is lost (%" PRIu64 " batches)",
            lost->first, lost->last, lost->batches);
        return;
    }
    int64_t first = log->end_offset < lost->first ? log->end_offset : lost->first;
    doors_say(storage->doors, LOG_ERROR,
        "lost: %s-%" PRId32 ": offsets %" PRId64 " to at least %" PRId64, log->topic->name,
        log->partition, first, lost->last);
}

void losses_say(const struct losses *losses, struct storage *storage)
{
    for (size_t i = 0; i < losses->log_count; i++)
        say_log(&losses->logs[i], storage);
    if (losses->more)
        doors_say(
            storage->doors, LOG_ERROR, "lost: %" PRIu64 " batches of more logs", losses->more);
    for (size_t kind = 0; kind < STORE_KINDS; kind++) {
        if (losses->kinds[kind])
            doors_say(storage->doors, LOG_ERROR, "lost: %" PRIu64 " changes of %s",
                losses->kinds[kind], kind_names[kind] ? kind_names[kind] : "other state");
    }
}

void losses_done(struct losses *losses)
{
    mem_free(losses->logs);
    *losses = (struct losses){ 0 };
}
