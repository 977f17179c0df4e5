/*
 * Assignors, by what must hold of every assignment: random groups that change step by step.
 *   valid     only subscribed topics and partitions there are; each exactly once if anybody wants
 * it even      nobody has two more than another who could take one of them (uniform) sticky    what
 * does not have to move stays: with one subscription for all, exactly the surplus moves (uniform)
 */
#include "broker/assignor.h"
#include "tests/test.h"

#include <stdio.h>
#include <string.h>

#include "protocol/base/mem.h"
#include "protocol/base/random.h"

enum { TOPICS = 6, MEMBERS = 12 };

struct group {
    struct assignor_member members[MEMBERS];
    struct partition_set owned[MEMBERS];
    char ids[MEMBERS][8];
    size_t count;
    int32_t partitions[TOPICS];
    bool wants[MEMBERS][TOPICS];
};

static const char *const names[TOPICS] = { "a", "b", "c", "d", "e", "f" };

static struct topic_facts facts(const struct group *g, int t)
{
    return (struct topic_facts){ names[t], { { (uint8_t)(t + 1) } }, g->partitions[t] };
}

static void subscribe(struct group *g)
{
    for (size_t m = 0; m < g->count; m++) {
        struct topic_list *topics = &g->members[m].topics;
        topics->count = 0;
        for (int t = 0; t < TOPICS; t++) {
            if (!g->wants[m][t] || g->partitions[t] == 0)
                continue;
            mem_grow(topics->items, &topics->capacity, topics->count + 1);
            topics->items[topics->count++] = facts(g, t);
        }
        topic_list_sort(topics);
        (void)snprintf(g->ids[m], sizeof(g->ids[m]), "m%02zu", m);
        g->members[m].id = g->ids[m];
        g->members[m].owned = &g->owned[m];
    }
}

static void done(struct group *g)
{
    for (size_t m = 0; m < MEMBERS; m++) {
        topic_list_done(&g->members[m].topics);
        partition_set_done(&g->members[m].result);
        partition_set_done(&g->owned[m]);
    }
}

static int holder(const struct group *g, int t, int32_t p)
{
    struct topic_facts topic = facts(g, t);
    int found = -1;
    for (size_t m = 0; m < g->count; m++) {
        if (!partition_set_find(&g->members[m].result, &topic.id, p))
            continue;
        cr_assert_eq(found, -1, "two owners of %s-%d", names[t], p);
        cr_assert(g->wants[m][t], "%s-%d of somebody who did not want it", names[t], p);
        found = (int)m;
    }
    return found;
}

static void valid(const struct group *g)
{
    size_t total = 0, given = 0;
    for (int t = 0; t < TOPICS; t++) {
        bool wanted = false;
        for (size_t m = 0; m < g->count; m++)
            wanted |= g->wants[m][t];
        for (int32_t p = 0; p < g->partitions[t]; p++)
            cr_assert_eq(holder(g, t, p) >= 0, wanted, "%s-%d", names[t], p);
        total += wanted ? (size_t)g->partitions[t] : 0;
    }
    for (size_t m = 0; m < g->count; m++)
        given += g->members[m].result.count;
    cr_assert_eq(given, total);
}

static void even(const struct group *g)
{
    for (int t = 0; t < TOPICS; t++) {
        for (int32_t p = 0; p < g->partitions[t]; p++) {
            int owner = holder(g, t, p);
            for (size_t m = 0; owner >= 0 && m < g->count; m++)
                cr_assert(!g->wants[m][t] ||
                              g->members[owner].result.count <= g->members[m].result.count + 1,
                    "m%d has %zu, m%zu only %zu and wants %s too", owner,
                    g->members[owner].result.count, m, g->members[m].result.count, names[t]);
        }
    }
}

static void take_over(struct group *g)
{
    for (size_t m = 0; m < g->count; m++)
        partition_set_copy(&g->owned[m], &g->members[m].result);
}

static void change(struct group *g, struct random *random, bool alike)
{
    switch (random_below(random, 4)) {
    case 0: g->count += g->count < MEMBERS; break;
    case 1:
        if (g->count > 1)
            partition_set_clear(&g->owned[--g->count]);
        break;
    case 2:
        g->partitions[random_below(random, TOPICS)] += 1 + (int32_t)random_below(random, 5);
        break;
    default: g->partitions[random_below(random, TOPICS)] = (int32_t)random_below(random, 10); break;
    }
    for (size_t m = 0; m < MEMBERS; m++)
        for (int t = 0; t < TOPICS; t++)
            if (alike)
                g->wants[m][t] = true;
            else if (random_chance(random, 1, 8))
                g->wants[m][t] = random_chance(random, 1, 2);
    subscribe(g);
}

TEST(assignor, uniform_is_valid_and_even_whatever_the_subscriptions)
{
    const struct assignor *uniform = assignor_find(bytes_text("uniform"));
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct random random = random_seeded(seed);
        struct group g = { .count = 1 };
        for (int step = 0; step < 30; step++) {
            change(&g, &random, false);
            uniform->assign(g.members, g.count);
            valid(&g);
            even(&g);
            take_over(&g);
            uniform->assign(g.members, g.count);
            for (size_t m = 0; m < g.count; m++)
                cr_assert(partition_set_equal(&g.members[m].result, &g.owned[m]),
                    "nothing changed, so nothing moves");
        }
        done(&g);
    }
}

/* With one subscription for all: of the partitions that are still there, those stay that fit into
 * the even shares, the larger shares going to those who had most. */
static size_t must_move(const struct group *g)
{
    size_t total = 0, larger, stays = 0, kept[MEMBERS], had = 0;
    for (int t = 0; t < TOPICS; t++)
        total += (size_t)g->partitions[t];
    larger = total % g->count;
    for (size_t m = 0; m < g->count; m++) {
        kept[m] = 0;
        for (size_t i = 0; i < g->owned[m].count; i++) {
            const struct partition_id *item = &g->owned[m].items[i];
            kept[m] += item->index < g->partitions[item->topic.b[0] - 1];
        }
        had += kept[m];
    }
    for (size_t m = 0; m < g->count; m++) {
        size_t share = total / g->count;
        if (kept[m] > share && larger > 0) {
            share++;
            larger--;
        }
        stays += kept[m] < share ? kept[m] : share;
    }
    return had - stays;
}

TEST(assignor, uniform_moves_no_more_than_it_must)
{
    const struct assignor *uniform = assignor_find(bytes_text("uniform"));
    size_t moved_in_all = 0;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct random random = random_seeded(seed);
        struct group g = { .count = 1 };
        for (int step = 0; step < 30; step++) {
            change(&g, &random, true);
            uniform->assign(g.members, g.count);
            valid(&g);
            even(&g);
            size_t moved = 0;
            for (size_t m = 0; m < g.count; m++) {
                for (size_t i = 0; i < g.owned[m].count; i++) {
                    const struct partition_id *item = &g.owned[m].items[i];
                    moved += item->index < g.partitions[item->topic.b[0] - 1] &&
                             !partition_set_find(&g.members[m].result, &item->topic, item->index);
                }
            }
            cr_assert_eq(moved, must_move(&g));
            moved_in_all += moved;
            take_over(&g);
        }
        done(&g);
    }
    cr_assert_gt(moved_in_all, 100, "the test looked at moves at all");
}

static void is(const struct group *g, const char *expected)
{
    struct out said = { 0 };
    for (size_t m = 0; m < g->count; m++) {
        out_printf(&said, "%s%s:", m ? " " : "", g->members[m].id);
        for (size_t i = 0; i < g->members[m].result.count; i++)
            out_printf(&said, "%s%d", names[g->members[m].result.items[i].topic.b[0] - 1],
                g->members[m].result.items[i].index);
    }
    out_bytes(&said, "", 1);
    cr_assert_str_eq((char *)said.data, expected);
    out_done(&said);
}

TEST(assignor, range_lays_runs_topic_by_topic_static_members_first)
{
    const struct assignor *range = assignor_find(bytes_text("range"));
    struct group g = { .count = 3, .partitions = { 4, 3, 2 } };
    for (size_t m = 0; m < 3; m++)
        g.wants[m][0] = g.wants[m][1] = true;
    g.wants[1][2] = true;
    subscribe(&g);
    range->assign(g.members, g.count);
    valid(&g);
    is(&g, "m00:a0a1b0 m01:a2b1c0c1 m02:a3b2");
    g.members[2].instance_id = "z";
    g.members[1].instance_id = "y";
    range->assign(g.members, g.count);
    is(&g, "m00:a3b2 m01:a0a1b0c0c1 m02:a2b1");
    done(&g);
}

TEST(assignor, range_is_valid_whatever_the_subscriptions)
{
    const struct assignor *range = assignor_find(bytes_text("range"));
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct random random = random_seeded(seed);
        struct group g = { .count = 1 };
        for (int step = 0; step < 20; step++) {
            change(&g, &random, false);
            range->assign(g.members, g.count);
            valid(&g);
        }
        done(&g);
    }
}

TEST(assignor, there_are_two)
{
    cr_assert_null(assignor_find(bytes_text("sticky")));
    cr_assert_null(assignor_find(bytes_text("")));
}
