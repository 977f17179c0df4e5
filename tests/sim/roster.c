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
    static const char *const names[ROSTER_GROUPS] = { "group-a", "group-b", "simple", "group-c",
        "group-d", "group-e" };
    return names[group];
}

/* ---- topics ---- */

bool roster_ready(struct world *world)
{
    for (int t = 0; t < ROSTER_TOPICS; t++) {
        struct roster_topic *topic = &world->roster.topics[t];
        if (!topic->name || topic->partitions > 0)
            continue;
        const struct ledger_topic *known =
            topic->slot < 0 ? NULL : world->ledger.newest[topic->slot];
        if (!known || !known->known)
            return false;
        topic->id = known->id;
        topic->partitions = slots[topic->slot].partitions;
    }
    return true;
}

uint32_t roster_keys(const struct world *world, uint32_t topics)
{
    uint32_t keys = 0;
    for (int key = 0; key < ROSTER_KEYS; key++) {
        if (topics & 1u << key / ROSTER_PARTITIONS &&
            roster_partition(key) < roster_topic(world, key)->partitions)
            keys |= 1u << key;
    }
    return keys;
}

const struct roster_topic *roster_topic(const struct world *world, int key)
{
    return &world->roster.topics[key / ROSTER_PARTITIONS];
}

int32_t roster_partition(int key)
{
    return key % ROSTER_PARTITIONS;
}

/* ---- who is gone ---- */

static uint64_t hash_of(int group, const char *id)
{
    uint64_t hash = UINT64_C(14695981039346656037) + (uint64_t)group;
    for (; *id; id++)
        hash = (hash ^ (uint8_t)*id) * UINT64_C(1099511628211);
    return hash;
}

void roster_gone(struct world *world, int group, const char *id)
{
    struct roster *roster = &world->roster;
    if (!id[0])
        return;
    size_t at = roster->gone_count++ % ROSTER_GONE;
    roster->gone[at].hash = hash_of(group, id);
    roster->gone[at].known = world->moment;
    roster->gone[at].life = world->life;
}

static bool is_gone(const struct world *world, const struct roster_claim *claim)
{
    const struct roster *roster = &world->roster;
    uint64_t hash = hash_of(claim->group, claim->id);
    for (size_t i = 0; i < roster->gone_count && i < ROSTER_GONE; i++) {
        if (roster->gone[i].hash == hash && roster->gone[i].life == world->life &&
            roster->gone[i].known < claim->sent)
            return true;
    }
    return false;
}

/* ---- deleted groups ---- */

bool roster_is_closed(const struct world *world, int group)
{
    return !world->calm && world->roster.groups[group].closed_ns > world->sim.now_ns;
}

void roster_deletion(struct world *world, int group)
{
    world->roster.groups[group].deletes++;
    world->roster.groups[group].deleting = true;
}

static void begin_anew(struct roster_group *group)
{
    group->count = 0;
    group->epoch = 0;
    for (int seat = 0; seat < ROSTER_SEATS; seat++)
        group->seats[seat].keys = 0;
}

void roster_vanished(struct world *world, int group)
{
    struct roster_group *g = &world->roster.groups[group];
    world_say(world, "    %s begins anew", roster_group_name(group));
    world->totals->groups_vanished++;
    g->deletes++;
    g->anew = world->moment;
    begin_anew(g);
}

void roster_deletion_told(struct world *world, int group, int64_t sent_ns)
{
    struct roster_group *g = &world->roster.groups[group];
    if (g->joined_ns >= sent_ns)
        return;
    g->deleting = false;
    begin_anew(g);
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

void roster_accepted(struct world *world, const struct roster_claim *claim, const char *what)
{
    const struct roster_group *g = &world->roster.groups[claim->group];
    const struct generation *newer = generation_newer(g, claim->generation, claim->sent);
    if (newer && !g->deleting && claim->sent >= g->anew)
        world_fail(world, "%s: %s of generation %" PRId32 " was accepted, there is %" PRId32,
            roster_group_name(claim->group), what, claim->generation, newer->number);
    if (claim->id[0] && is_gone(world, claim))
        world_fail(world, "%s: %s of %s was accepted, who is gone", roster_group_name(claim->group),
            what, claim->id);
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

/* The newest one below `number` in which the key has a known owner: 1 + seat, or 0. */
static int owner_before(const struct roster_group *group, int key, int32_t number)
{
    const struct generation *newest = NULL;
    for (size_t i = 0; i < group->count; i++) {
        const struct generation *generation = &group->generations[i];
        if (generation->number < number && generation->owners[key] &&
            (!newest || generation->number > newest->number))
            newest = generation;
    }
    return newest ? newest->owners[key] : 0;
}

/* Nobody of this generation may hold what another got in it. Who holds what was given away while he
 * was not there is about to be told. */
static void check_holder(struct world *world, int group, const struct generation *now, int seat)
{
    const struct roster_group *g = &world->roster.groups[group];
    const struct seat *holder = &g->seats[seat];
    for (int key = 0; key < ROSTER_KEYS; key++) {
        if (holder->keys & 1u << key && holder->generation == now->number && now->owners[key] &&
            now->owners[key] != seat + 1 && owner_before(g, key, now->number) == seat + 1)
            world_fail(world,
                "%s: seat %d was given key %d in generation %" PRId32 ", and seat %d holds it",
                roster_group_name(group), now->owners[key] - 1, key, now->number, seat);
    }
}

/* Of two members with one instance id the older one is gone. */
static void sit(struct world *world, const struct roster_claim *claim)
{
    struct seat *seat = &world->roster.groups[claim->group].seats[claim->seat];
    if (strcmp(seat->id, claim->id) != 0) {
        if (seat->id_moment < claim->sent)
            roster_gone(world, claim->group, seat->id);
        (void)snprintf(seat->id, sizeof(seat->id), "%s", claim->id);
    }
    seat->id_moment = world->moment;
    seat->generation = claim->generation;
}

void roster_joined(
    struct world *world, const struct roster_claim *claim, const char *leader, bool keeps)
{
    struct roster_group *g = &world->roster.groups[claim->group];
    struct generation *known = generation_find(g, claim->generation);
    /* A leader with another id may be the same one who came back, or the next group's. */
    if (g->count && claim->generation <= g->generations[g->count - 1].number &&
        !(known && strcmp(known->leader, leader) == 0) &&
        (g->deleting || roster_may_vanish(world, claim->group))) {
        if (g->deleting)
            begin_anew(g);
        else
            roster_vanished(world, claim->group);
        known = NULL;
    }
    if (!known && claim->sent < g->anew)
        return; /* perhaps of the group before */
    roster_accepted(world, claim, "a join");
    g->joined_ns = world->sim.now_ns;
    sit(world, claim);
    if (!keeps)
        g->seats[claim->seat].keys = 0;
    if (known) {
        if (!same_leader(known->leader, leader))
            world_fail(world, "%s: generation %" PRId32 " has two leaders: %s and %s",
                roster_group_name(claim->group), claim->generation, known->leader, leader);
        check_holder(world, claim->group, known, claim->seat);
        return;
    }
    mem_grow(g->generations, &g->capacity, g->count + 1);
    known = &g->generations[g->count++];
    *known = (struct generation){ .number = claim->generation, .known = world->moment };
    (void)snprintf(known->leader, sizeof(known->leader), "%s", leader);
    world->totals->rebalances++;
}

void roster_synced(
    struct world *world, const struct roster_claim *claim, uint32_t nonce, uint32_t keys)
{
    struct roster_group *g = &world->roster.groups[claim->group];
    struct generation *known = generation_find(g, claim->generation);
    roster_accepted(world, claim, "a sync");
    if (!known && g->deletes)
        return; /* it began anew, as far as we know, between join and sync */
    if (!known)
        world_fail(world, "%s: sync of an unknown generation %" PRId32,
            roster_group_name(claim->group), claim->generation);
    if (known->nonce && nonce && known->nonce != nonce)
        world_fail(world, "%s: generation %" PRId32 " has two assignments",
            roster_group_name(claim->group), claim->generation);
    if (nonce)
        known->nonce = nonce;
    if (strcmp(g->seats[claim->seat].id, claim->id) == 0) /* else another sits there by now */
        g->seats[claim->seat].keys = keys;
    for (int k = 0; k < ROSTER_KEYS; k++) {
        if (!(keys & 1u << k))
            continue;
        if (known->owners[k] && known->owners[k] != claim->seat + 1)
            world_fail(world, "%s: generation %" PRId32 ": partition %d has two owners",
                roster_group_name(claim->group), claim->generation, k);
        known->owners[k] = claim->seat + 1;
    }
    for (int seat = 0; seat < ROSTER_SEATS; seat++) {
        if (seat != claim->seat)
            check_holder(world, claim->group, known, seat);
    }
}

void roster_lets_go(struct world *world, int group, int seat)
{
    world->roster.groups[group].seats[seat].keys = 0;
}

/* ---- KIP-848 ---- */

void roster_epoch(struct world *world, int group, int32_t epoch)
{
    struct roster_group *g = &world->roster.groups[group];
    world->totals->rebalances += epoch > g->epoch;
    if (epoch > g->epoch)
        g->joined_ns = world->sim.now_ns;
    if (epoch > g->epoch)
        g->epoch = epoch;
}

void roster_granted(struct world *world, int group, const struct roster_grant *grant)
{
    struct roster_group *g = &world->roster.groups[group];
    for (int key = 0; key < ROSTER_KEYS; key++) {
        if (!(grant->keys & 1u << key))
            continue;
        g->holders[key].seat = grant->seat;
        g->holders[key].moment = grant->sure ? world->moment : 0;
        g->holders[key].since = grant->since;
    }
}

void roster_holds(
    struct world *world, const struct roster_claim *claim, uint32_t keys, const char *what)
{
    const struct roster_group *g = &world->roster.groups[claim->group];
    for (int key = 0; key < ROSTER_KEYS; key++) {
        if (keys & 1u << key && g->holders[key].moment && g->holders[key].seat != claim->seat &&
            g->holders[key].moment < claim->sent)
            world_fail(world,
                "%s: %s of %s in epoch %" PRId32 " was accepted, and seat %d has key %d",
                roster_group_name(claim->group), what, claim->id, claim->generation,
                g->holders[key].seat, key);
        if (keys & 1u << key && g->holders[key].moment && g->holders[key].seat == claim->seat &&
            g->holders[key].moment < claim->sent && claim->generation < g->holders[key].since)
            world_fail(world,
                "%s: %s of %s in epoch %" PRId32
                " was accepted, and it had key %d only from %" PRId32 " on",
                roster_group_name(claim->group), what, claim->id, claim->generation, key,
                g->holders[key].since);
    }
}

/* ---- offsets ---- */

static struct register_of *register_find(struct world *world, int group, int key)
{
    return &world->roster.groups[group].registers[key];
}

int64_t roster_commit(struct world *world, int group, int key, enum commit_outcome outcome)
{
    struct register_of *reg = register_find(world, group, key);
    if (reg->count == 0)
        reg->count = 1;
    mem_grow(reg->commits, &reg->capacity, reg->count + 1);
    reg->commits[reg->count] =
        (struct commit_note){ .outcome = outcome, .sent = UINT64_MAX, .keep_ms = -1 };
    return (int64_t)reg->count++;
}

int64_t roster_erase(struct world *world, int group, int key)
{
    int64_t number = roster_commit(world, group, key, COMMIT_PENDING);
    register_find(world, group, key)->commits[number].erases = true;
    return number;
}

void roster_commit_sent(struct world *world, int group, int key, int64_t offset)
{
    struct commit_note *note = &register_find(world, group, key)->commits[offset];
    if (note->sent != UINT64_MAX)
        return; /* it is sent again */
    note->sent = world->moment;
    note->sent_ms = clock_wall_ms(world->sim.doors.clock);
}

static void resolve(const struct world *world, struct commit_note *note)
{
    if (note->resolved)
        return;
    note->resolved = world->moment;
    note->resolved_ms = clock_wall_ms(world->sim.doors.clock);
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
    if (outcome == COMMIT_PENDING)
        return;
    resolve(world, note);
    if (outcome == COMMIT_DONE)
        ledger_durable(world, note->sent);
}

void roster_commit_placed(struct world *world, int group, int key, int64_t offset)
{
    struct commit_note *note = &register_find(world, group, key)->commits[offset];
    if (note->placed)
        return;
    note->placed = world->moment;
    note->placed_ms = clock_wall_ms(world->sim.doors.clock);
}

size_t roster_overwritten(const struct register_of *reg, size_t a, uint64_t sent)
{
    const struct commit_note *old = reg->count ? &reg->commits[a] : NULL;
    for (size_t b = 1; b < reg->count; b++) {
        const struct commit_note *note = &reg->commits[b];
        uint64_t placed = a == 0 ? 0 : old->placed ? old->placed : old->resolved;
        bool before = a == 0 || (placed && placed < note->sent);
        if (b != a && note->outcome == COMMIT_DONE && note->resolved < sent && before)
            return b;
    }
    return 0;
}

/* None was told: nothing was committed yet, or a deletion has taken effect. Returns what must have
 * overwritten all of those. */
static size_t none_overwritten(const struct register_of *reg, uint64_t sent)
{
    size_t by = roster_overwritten(reg, 0, sent);
    for (size_t i = reg->count; by && i-- > 1;) {
        const struct commit_note *note = &reg->commits[i];
        if (note->erases && note->outcome != COMMIT_REFUSED && note->sent != UINT64_MAX &&
            !roster_overwritten(reg, i, sent))
            by = 0;
    }
    return by;
}

bool roster_may_be_none(struct world *world, int group, int key, uint64_t sent)
{
    return none_overwritten(register_find(world, group, key), sent) == 0 ||
           roster_time_takes(world, group, key, sent, false);
}

/* Nothing that has surely taken effect comes back. */
static void none_told(struct world *world, struct register_of *reg, uint64_t sent)
{
    for (size_t i = reg->count; i-- > 1;) {
        struct commit_note *note = &reg->commits[i];
        if (note->outcome == COMMIT_DONE && note->resolved < sent && !note->left)
            note->left = world->moment;
    }
}

void roster_fetched(struct world *world, int group, int key, int64_t offset, uint64_t sent)
{
    struct register_of *reg = register_find(world, group, key);
    size_t told = offset < 0 ? 0 : (size_t)offset;
    if (offset == 0 || (told && (told >= reg->count || reg->commits[told].erases)))
        world_fail(world, "%s: key %d: offset %" PRId64 " was never committed",
            roster_group_name(group), key, offset);
    size_t by = told ? roster_overwritten(reg, told, sent) : none_overwritten(reg, sent);
    bool expired = !told && by && roster_time_takes(world, group, key, sent, true);
    world->totals->offsets_expired += expired && reg->told;
    if (by && !expired)
        world_fail(world, "%s: key %d: offset %" PRId64 " is told, but %zu was committed after it",
            roster_group_name(group), key, offset, by);
    world->totals->offset_fetches++;
    if (reg->told && reg->told != told && reg->told_moment < sent)
        reg->commits[reg->told].left = world->moment;
    if (!told) {
        none_told(world, reg, sent);
        if (reg->told_moment < sent)
            reg->told = 0;
        return;
    }
    struct commit_note *note = &reg->commits[told];
    if (note->outcome == COMMIT_REFUSED || note->outcome == COMMIT_HELD)
        world_fail(world, "%s: key %d: offset %" PRId64 " is told, but was %s",
            roster_group_name(group), key, offset,
            note->outcome == COMMIT_HELD ? "never to be committed" : "refused");
    if (note->left && note->left < sent)
        world_fail(world, "%s: key %d: offset %" PRId64 " is told again, after another was",
            roster_group_name(group), key, offset);
    reg->told = told;
    reg->told_moment = world->moment;
    /* It has taken effect, and that is durable: as good as acknowledged. */
    if (note->outcome == COMMIT_PENDING || note->outcome == COMMIT_UNKNOWN) {
        note->outcome = COMMIT_DONE;
        resolve(world, note);
    }
    roster_time_spares(world, group, key, note);
}

/* ---- producers ---- */

void roster_producer(struct world *world, int producer, int64_t id, int16_t epoch)
{
    struct roster *roster = &world->roster;
    bool first = roster->producers[producer].moment == 0;
    if (!first && roster->producers[producer].id == id &&
        epoch <= roster->producers[producer].epoch)
        return;
    roster->producers[producer].id = id;
    roster->producers[producer].epoch = epoch;
    roster->producers[producer].moment = world->moment;
}

bool roster_fenced(
    const struct world *world, int producer, int64_t id, int16_t epoch, uint64_t sent)
{
    const struct roster *roster = &world->roster;
    return roster->producers[producer].moment && roster->producers[producer].moment < sent &&
           (roster->producers[producer].id != id || roster->producers[producer].epoch > epoch);
}
