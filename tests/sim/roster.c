/* See roster.h. */
#include "tests/sim/roster.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "protocol/base/mem.h"
#include "tests/sim/world.h"

enum { UUID_LEN = 36 };

void roster_done(struct roster *roster)
{
    for (int g = 0; g < ROSTER_GROUPS; g++) {
        mem_free(roster->groups[g].generations);
        for (int k = 0; k < ROSTER_KEYS; k++)
            mem_free(roster->groups[g].registers[k].commits);
    }
}

const char *roster_group_name(int group)
{
    static const char *const names[ROSTER_GROUPS] = { "group-a", "group-b", "simple" };
    return names[group];
}

int roster_slot(int key)
{
    return key < slots[SLOT_ACKED].partitions ? SLOT_ACKED : SLOT_SYNCED;
}

int32_t roster_partition(int key)
{
    int32_t acked = slots[SLOT_ACKED].partitions;
    return key < acked ? key : key - acked;
}

/* ---- generations ---- */

static struct generation *generation_find(struct roster_group *group, int32_t number)
{
    for (size_t i = group->count; i-- > 0;) {
        if (group->generations[i].number == number)
            return &group->generations[i];
    }
    return NULL;
}

/* A newer one that was told before `sent`, or NULL. */
static const struct generation *generation_newer(
    const struct roster_group *group, int32_t number, uint64_t sent)
{
    for (size_t i = group->count; i-- > 0;) {
        const struct generation *generation = &group->generations[i];
        if (generation->number > number && generation->known < sent)
            return generation;
    }
    return NULL;
}

void roster_accepted(
    struct world *world, int group, int32_t generation, uint64_t sent, const char *what)
{
    const struct generation *newer =
        generation_newer(&world->roster.groups[group], generation, sent);
    if (newer)
        world_fail(world, "%s: %s of generation %" PRId32 " was accepted, there is %" PRId32,
            roster_group_name(group), what, generation, newer->number);
}

/* A member id without what makes it unique: a static member gets a new one when it comes back. */
static size_t prefix_len(const char *id)
{
    size_t len = strlen(id);
    return len > UUID_LEN ? len - UUID_LEN : 0;
}

static bool same_leader(const char *a, const char *b)
{
    return prefix_len(a) == prefix_len(b) && strncmp(a, b, prefix_len(a)) == 0;
}

void roster_joined(
    struct world *world, int group, int32_t generation, const char *leader, uint64_t sent)
{
    struct roster_group *g = &world->roster.groups[group];
    struct generation *known = generation_find(g, generation);
    roster_accepted(world, group, generation, sent, "a join");
    if (known) {
        if (!same_leader(known->leader, leader))
            world_fail(world, "%s: generation %" PRId32 " has two leaders: %s and %s",
                roster_group_name(group), generation, known->leader, leader);
        return;
    }
    mem_grow(g->generations, &g->capacity, g->count + 1);
    known = &g->generations[g->count++];
    *known = (struct generation){ .number = generation, .known = world->moment };
    (void)snprintf(known->leader, sizeof(known->leader), "%s", leader);
    world->totals->rebalances++;
}

void roster_synced(
    struct world *world, int group, int32_t generation, int client, uint32_t nonce, uint32_t keys)
{
    struct generation *known = generation_find(&world->roster.groups[group], generation);
    if (!known)
        world_fail(world, "%s: sync of an unknown generation %" PRId32, roster_group_name(group),
            generation);
    if (known->nonce && known->nonce != nonce)
        world_fail(world, "%s: generation %" PRId32 " has two assignments",
            roster_group_name(group), generation);
    known->nonce = nonce;
    for (int k = 0; k < ROSTER_KEYS; k++) {
        if (!(keys & 1u << k))
            continue;
        if (known->owners[k] && known->owners[k] != client + 1)
            world_fail(world, "%s: generation %" PRId32 ": partition %d has two owners",
                roster_group_name(group), generation, k);
        known->owners[k] = client + 1;
    }
}

/* ---- offsets ---- */

static struct register_of *register_find(struct world *world, int group, int key)
{
    return &world->roster.groups[group].registers[key];
}

int64_t roster_commit(struct world *world, int group, int key)
{
    struct register_of *reg = register_find(world, group, key);
    if (reg->count == 0)
        reg->count = 1;
    mem_grow(reg->commits, &reg->capacity, reg->count + 1);
    reg->commits[reg->count] = (struct commit_note){ .sent = UINT64_MAX };
    return (int64_t)reg->count++;
}

void roster_commit_sent(struct world *world, int group, int key, int64_t offset)
{
    register_find(world, group, key)->commits[offset].sent = world->moment;
}

void roster_committed(
    struct world *world, int group, int key, int64_t offset, enum commit_outcome outcome)
{
    struct commit_note *note = &register_find(world, group, key)->commits[offset];
    bool told = note->outcome == COMMIT_DONE; /* a fetch saw it before its answer came */
    if (told && outcome == COMMIT_REFUSED)
        world_fail(world, "%s: key %d: offset %" PRId64 " was told, and then refused",
            roster_group_name(group), key, offset);
    if (!told)
        note->outcome = outcome;
    if (!note->resolved)
        note->resolved = world->moment;
    if (outcome == COMMIT_DONE)
        ledger_durable(world, note->sent);
}

/* Is commit `a` overwritten for certain when a fetch is sent at `sent`? By which? */
static size_t overwritten(const struct register_of *reg, size_t a, uint64_t sent)
{
    const struct commit_note *old = reg->count ? &reg->commits[a] : NULL;
    for (size_t b = 1; b < reg->count; b++) {
        const struct commit_note *note = &reg->commits[b];
        bool before = a == 0 || (old->resolved && old->resolved < note->sent);
        if (b != a && note->outcome == COMMIT_DONE && note->resolved < sent && before)
            return b;
    }
    return 0;
}

void roster_fetched(struct world *world, int group, int key, int64_t offset, uint64_t sent)
{
    struct register_of *reg = register_find(world, group, key);
    size_t told = offset < 0 ? 0 : (size_t)offset;
    if (offset == 0 || (told && told >= reg->count))
        world_fail(world, "%s: key %d: offset %" PRId64 " was never committed",
            roster_group_name(group), key, offset);
    size_t by = overwritten(reg, told, sent);
    if (by)
        world_fail(world, "%s: key %d: offset %" PRId64 " is told, but %zu was committed after it",
            roster_group_name(group), key, offset, by);
    world->totals->offset_fetches++;
    if (!told)
        return;
    struct commit_note *note = &reg->commits[told];
    if (note->outcome == COMMIT_REFUSED)
        world_fail(world, "%s: key %d: offset %" PRId64 " is told, but was refused",
            roster_group_name(group), key, offset);
    /* It has taken effect, and that is durable: as good as acknowledged. */
    if (note->outcome == COMMIT_PENDING || note->outcome == COMMIT_UNKNOWN) {
        note->outcome = COMMIT_DONE;
        if (!note->resolved)
            note->resolved = world->moment;
    }
}
