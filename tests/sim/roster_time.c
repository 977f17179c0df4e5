/*
 * What time takes of committed offsets and of groups: the part of roster.h about it.
 *
 * Nobody tells when a broker looks for what is too old, so an offset whose time may be over may be
 * told or not. When that is at the earliest is known: a commit was sent then, so it cannot be
 * older; who was heard of so lately is still a member, and the group not empty; who surely is one
 * now, since then, has kept what he reads. And at the latest: in the end, when nobody is there any
 * more (emptied_ms).
 *
 * Whether a transaction was open, and held the partition, is known only afterwards: when its
 * producer has committed it.
 *
 * All times are wall times, in milliseconds; the wall clock is only ever set forward.
 */
#include <inttypes.h>

#include "tests/sim/roles.h"
#include "tests/sim/world.h"

/* An interval of looking (sim_groups.c), and time to do it. */
enum { LOOK_MS = 1000 };

static int64_t now_ms(const struct world *world)
{
    return clock_wall_ms(world->sim.doors.clock);
}

static int64_t later_of(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* ---- what is known ---- */

void roster_commit_keeps(struct world *world, int group, int key, int64_t offset, int64_t keep_ms)
{
    world->roster.groups[group].registers[key].commits[offset].keep_ms = keep_ms;
}

void roster_commit_ending(struct world *world, int group, int key, int64_t offset)
{
    world->roster.groups[group].registers[key].commits[offset].ending = true;
}

void roster_commit_ended(struct world *world, int group, int key, int64_t offset)
{
    if (world->roster.groups[group].registers[key].commits[offset].robbed)
        world_fail(world,
            "%s: key %d: time took what was there while a transaction held offset %" PRId64,
            roster_group_name(group), key, offset);
}

static int64_t read_since(const struct world *world, int group, int key)
{
    int64_t members = sim_members_read_since(world, group, key);
    int64_t followers = sim_followers_read_since(world, group, key);
    return members < followers ? members : followers;
}

bool roster_is_occupied(const struct world *world, int group)
{
    for (int topic = 0; topic < ROSTER_TOPICS; topic++)
        if (read_since(world, group, topic * ROSTER_PARTITIONS) != INT64_MAX)
            return true;
    return false;
}

void roster_seen(struct world *world, int group)
{
    struct roster_group *g = &world->roster.groups[group];
    if (now_ms(world) - g->seen_ms >= world->roster.retention_ms)
        g->lapsed_ms = now_ms(world);
    g->seen_ms = now_ms(world);
}

void roster_jump(struct world *world, int64_t by_ms)
{
    bool occupied[ROSTER_GROUPS];
    for (int g = 0; g < ROSTER_GROUPS; g++) {
        occupied[g] = roster_is_occupied(world, g);
        if (occupied[g])
            roster_seen(world, g);
    }
    world_say(world, "world: the clock is set forward by %" PRId64 " ms", by_ms);
    sim_jump(&world->sim, by_ms);
    for (int g = 0; g < ROSTER_GROUPS; g++)
        if (occupied[g])
            world->roster.groups[g].seen_ms = now_ms(world);
}

/* ---- what may go ---- */

/* When the time of an offset is over, at the earliest. */
static int64_t over_ms(
    const struct world *world, const struct roster_group *group, const struct commit_note *note)
{
    int64_t since_ms = note->sent_ms;
    if (note->keep_ms >= 0)
        return since_ms + note->keep_ms;
    if (!group->choosy && since_ms >= group->lapsed_ms)
        since_ms = later_of(since_ms, group->seen_ms);
    return since_ms + world->roster.retention_ms;
}

/* A deletion may have taken it out of its transaction. */
static bool is_held(const struct register_of *reg, const struct commit_note *held, uint64_t sent)
{
    if (held->outcome != COMMIT_HELD || held->ending || !held->placed || held->placed >= sent)
        return false;
    for (size_t i = 1; i < reg->count; i++) {
        const struct commit_note *note = &reg->commits[i];
        if (note->erases && note->outcome != COMMIT_REFUSED &&
            (!note->resolved || note->resolved > held->sent))
            return false;
    }
    return true;
}

bool roster_time_takes(struct world *world, int group, int key, uint64_t sent, bool told)
{
    const struct roster_group *g = &world->roster.groups[group];
    const struct register_of *reg = &g->registers[key];
    int64_t first_ms = INT64_MAX, read_ms;
    if (!world->roster.retention_ms)
        return false;
    read_ms = read_since(world, group, key);
    for (size_t i = reg->count; i-- > 1;) {
        const struct commit_note *note = &reg->commits[i];
        int64_t at_ms =
            note->erases || note->sent == UINT64_MAX ? INT64_MAX : over_ms(world, g, note);
        if (at_ms <= now_ms(world) && at_ms < read_ms && at_ms < first_ms &&
            note->outcome != COMMIT_HELD && note->outcome != COMMIT_REFUSED &&
            !roster_overwritten(reg, i, sent))
            first_ms = at_ms;
    }
    for (size_t i = reg->count; told && first_ms != INT64_MAX && i-- > 1;) {
        struct commit_note *note = &reg->commits[i];
        note->robbed |= note->placed_ms < first_ms && is_held(reg, note, sent);
    }
    return first_ms != INT64_MAX;
}

bool roster_may_vanish(struct world *world, int group)
{
    if (!world->roster.retention_ms || roster_is_occupied(world, group))
        return false;
    for (int key = 0; key < ROSTER_KEYS; key++)
        if (!roster_may_be_none(world, group, key, world->moment + 1))
            return false;
    return true;
}

/* ---- what must go ---- */

void roster_time_spares(struct world *world, int group, int key, const struct commit_note *note)
{
    const struct roster *roster = &world->roster;
    const struct register_of *reg = &roster->groups[group].registers[key];
    int64_t keep_ms = note->keep_ms >= 0 ? note->keep_ms : roster->retention_ms;
    if (!roster->retention_ms || note->resolved_ms + keep_ms + LOOK_MS >= now_ms(world))
        return;
    int64_t empty_ms = roster->emptied_ms + (note->keep_ms >= 0 ? 0 : roster->retention_ms);
    if (roster->emptied_ms && empty_ms + LOOK_MS < now_ms(world))
        world_fail(world, "%s: key %d: offset %" PRId64 " is told, whose time is over",
            roster_group_name(group), key, (int64_t)(note - reg->commits));
    if (read_since(world, group, key) <= note->sent_ms + keep_ms)
        world->totals->offsets_read++;
    for (size_t i = 1; i < reg->count; i++)
        if (is_held(reg, &reg->commits[i], world->moment)) {
            world->totals->offsets_waited++;
            break;
        }
}
