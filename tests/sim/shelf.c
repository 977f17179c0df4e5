/* See shelf.h. */
#include "tests/sim/shelf.h"

#include <inttypes.h>

#include "protocol/base/mem.h"

const char *const shelf_topics[SHELF_TOPICS] = { "sa", "sb" };
const char shelf_group[] = "shared";

void shelf_done(struct shelf *shelf)
{
    for (int part = 0; part < SHELF_PARTS; part++)
        mem_free(shelf->parts[part].items);
}

int shelf_part_of(const struct shelf *shelf, const struct uuid *topic, int32_t partition)
{
    for (int t = 0; t < SHELF_TOPICS; t++)
        if (uuid_equal(shelf->ids[t], *topic) && partition >= 0 && partition < SHELF_PARTITIONS)
            return t * SHELF_PARTITIONS + partition;
    return -1;
}

struct item *shelf_item(struct shelf *shelf, int part, int64_t offset)
{
    struct shelf_part *p = &shelf->parts[part];
    while (p->count <= (size_t)offset) {
        mem_grow(p->items, &p->capacity, p->count + 1);
        p->items[p->count++] = (struct item){ .seat = -1, .lost = p->lost };
    }
    return &p->items[offset];
}

static void see(struct world *world, int part, int64_t offset, uint32_t number)
{
    struct item *item = shelf_item(shelf_of(world), part, offset);
    if (item->known && item->number != number)
        world_fail(world,
            "part %d: record %" PRIu32 " at offset %" PRId64 ", where %" PRIu32 " was", part,
            number, offset, item->number);
    item->known = true;
    item->number = number;
}

void shelf_stocked(struct world *world, int part, int64_t base, uint32_t number, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        see(world, part, base + i, number + (uint32_t)i);
        shelf_item(shelf_of(world), part, base + i)->acked = true;
    }
    shelf_of(world)->counts->produced += (uint64_t)count;
}

static bool is_held(struct world *world, const struct item *item)
{
    return item->seat >= 0 && item->life == world->life && item->sure_ns > world->sim.now_ns &&
           item->session == shelf_of(world)->sessions[item->seat] &&
           shelf_of(world)->seats[item->seat]->connection;
}

bool shelf_holds(struct world *world, int part, int64_t offset, int seat)
{
    const struct item *item = shelf_item(shelf_of(world), part, offset);
    return item->seat == seat && is_held(world, item);
}

void shelf_given(struct world *world, const struct gift *gift)
{
    struct shelf *shelf = shelf_of(world);
    see(world, gift->part, gift->offset, gift->number);
    struct item *item = shelf_item(shelf, gift->part, gift->offset);
    if (item->done && item->done < gift->sent)
        world_fail(world, "part %d: offset %" PRId64 " is given to seat %d, and was done with",
            gift->part, gift->offset, gift->seat);
    if (shelf->parts[gift->part].start > gift->offset &&
        shelf->parts[gift->part].start_told < gift->sent)
        world_fail(world, "part %d: offset %" PRId64 " is given to seat %d, below the start",
            gift->part, gift->offset, gift->seat);
    if (item->told < gift->sent && is_held(world, item))
        world_fail(world, "part %d: offset %" PRId64 " is given to seat %d, and seat %d holds it",
            gift->part, gift->offset, gift->seat, item->seat);
    if (gift->delivery < 1 || gift->delivery > SHELF_LIMIT)
        world_fail(world, "part %d: offset %" PRId64 " is given for the %dth time", gift->part,
            gift->offset, gift->delivery);
    if (item->told && item->told < gift->sent && item->life == world->life &&
        gift->delivery <= item->deliveries)
        world_fail(world,
            "part %d: offset %" PRId64 " is given for the %dth time, it was the %dth before",
            gift->part, gift->offset, gift->delivery, item->deliveries);
    shelf->counts->given++;
    shelf->counts->again += gift->delivery > 1;
    shelf->counts->redelivered_after_crash += item->told && item->life != world->life;
    shelf->counts->at_limit += gift->delivery == SHELF_LIMIT;
    shelf->counts->timed_out += item->seat >= 0 && item->life == world->life;
    item->seat = gift->seat;
    item->told = world->moment;
    item->sure_ns = gift->sent_ns + SHELF_LOCK_MS * CLOCK_NS_PER_MS;
    item->life = world->life;
    item->session = shelf->sessions[gift->seat];
    item->deliveries = gift->delivery;
    if (item->deliveries_most < gift->delivery)
        item->deliveries_most = gift->delivery;
}

static bool is_through(const struct shelf_part *part, const struct item *item)
{
    return item->fate != ITEM_OPEN || item->saying ||
           (uint64_t)item->deliveries_most + (part->lost - item->lost) + part->flying >=
               SHELF_LIMIT;
}

void shelf_started(struct world *world, int part, int64_t start, int64_t lag, uint64_t sent)
{
    struct shelf *shelf = shelf_of(world);
    struct shelf_part *p = &shelf->parts[part];
    if (p->start_told < sent && start < p->start)
        world_fail(world, "part %d: the group starts at %" PRId64 ", it was %" PRId64, part, start,
            p->start);
    for (int64_t offset = p->start; offset < start; offset++) {
        const struct item *item = shelf_item(shelf, part, offset);
        if (!is_through(p, item))
            world_fail(world,
                "part %d: the group starts at %" PRId64 ", and offset %" PRId64
                " was skipped: given %d times, %" PRIu64 " fetches were lost",
                part, start, offset, item->deliveries_most, p->lost - item->lost);
    }
    shelf->counts->starts++;
    if (start < p->start)
        return;
    p->start = start;
    p->start_told = world->moment;
    p->lag = lag;
}

bool shelf_is_empty(struct world *world)
{
    const struct shelf *shelf = shelf_of(world);
    for (int part = 0; part < SHELF_PARTS; part++) {
        const struct shelf_part *p = &shelf->parts[part];
        if (p->lag != 0 || p->start != (int64_t)p->count)
            return false;
    }
    return true;
}
