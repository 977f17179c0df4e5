/*
 * sim_groups - a whole broker and groups of consumers in the simulated world, with an oracle.
 *
 *     sim_groups [FIRST-SEED [COUNT [STEPS]]] and the options of seeds.h
 *
 * For each seed: members of classic groups, eager and cooperative, static and dynamic, some of them
 * twice, of a group that the broker assigns (KIP-848), of one whose members speak both protocols
 * and which becomes one or the other while it runs, and one without membership, while groups and
 * offsets are deleted, topics grow, members change what they want to read, come late, say things
 * twice, die and come back, commit offsets, plainly and in transactions, the network stalls and
 * breaks, the disk fails, and the broker is killed, loses power, stops and starts. What must hold
 * meanwhile is told in roster.h. Then faults end, and
 *
 *   1. every group is stable within SETTLE_MS: each member in, each partition of what they want
 * with exactly one of those who want it; no transaction is open
 *   2. it stays as it is, in the same generation, through a clean stop and a power cut: nobody
 * joins again, and the offsets are there
 *   3. when nobody comes any more and its time is over, nothing is left of it: no offset, no group
 *
 * A failing run prints its seed and the end of its trace, and exits with 1; so does a seed of less
 * than EVENTS_MIN events (requests, answers, connections and lives that end), and from FOR_COUNTS
 * seeds on a count of zero.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "protocol/base/mem.h"
#include "protocol/error.h"
#include "tests/sim/roles.h"
#include "tests/sim/seeds.h"

enum {
    SETTLE_MS = 60000,
    SETTLE_STEP_MS = 50,
    SESSION_MS = 3000,
    LONG_SESSION_MS = 7000, /* longer than a rebalance: who is missed in it is still a member */
    STAY_MS = 8000,         /* longer than all */
    EVENTS_MIN = 1000,
    FOR_COUNTS = 150,
    EMPTY_MS = 12000, /* then nobody is missed any more: a session, and a rebalance */
    RETENTION_MS = 60000,
    LOOK_MS = 1500, /* time enough to find what is too old */
    TOPICS_ASKED_VERSION = 12,
};

struct simulation {
    struct totals totals;
    uint64_t events, events_least;
};

/* ---- the topics ---- */

struct topics {
    struct client client; /* first */
    bool busy;
    int32_t asked[ROSTER_TOPICS]; /* count that was asked for */
};

static struct topics *topics_of(struct client *client)
{
    return container_of(client, struct topics, client);
}

static void topics_told(struct client *client, struct call *call, void *body)
{
    struct world *w = client->world;
    const struct metadata_response *answer = body;
    topics_of(client)->busy = false;
    for (int32_t i = 0; answer && i < answer->topics_count; i++) {
        const struct metadata_response_topic *row = &answer->topics[i];
        for (int t = 0; t < ROSTER_TOPICS; t++) {
            struct roster_topic *topic = &w->roster.topics[t];
            if (row->error_code || !bytes_equal_text(row->name, topic->name))
                continue;
            topic->id = row->topic_id;
            topic->partitions = row->partitions_count;
        }
    }
    mem_free(call);
}

static struct call *ask(
    struct topics *topics, void (*answered)(struct client *client, struct call *call, void *answer))
{
    struct call *call = mem_zalloc(1, sizeof(*call));
    call->answered = answered;
    topics->busy = true;
    return call;
}

static void topics_make(struct topics *topics)
{
    struct world *w = topics->client.world;
    struct metadata_request request;
    codec_defaults(&metadata_request_message, &request);
    request.topics = scratch_array(w, &metadata_request_topic_table, ROSTER_TOPICS);
    request.topics_count = ROSTER_TOPICS;
    for (int t = 0; t < ROSTER_TOPICS; t++)
        request.topics[t].name = bytes_text(w->roster.topics[t].name);
    request.allow_auto_topic_creation = true;
    client_send(&topics->client, ask(topics, topics_told), API_METADATA, TOPICS_ASKED_VERSION,
        &request, false);
}

/* An answer that got lost is asked for until it comes: what is there is what was asked for. */
static void grown(struct client *client, struct call *call, void *body)
{
    struct topics *topics = topics_of(client);
    struct world *w = client->world;
    const struct create_partitions_response *answer = body;
    topics->busy = false;
    for (int t = 0; answer && t < ROSTER_TOPICS; t++) {
        struct roster_topic *topic = &w->roster.topics[t];
        int16_t error = answer->results[0].error_code;
        if (!bytes_equal_text(answer->results[0].name, topic->name) ||
            (error && error != KAFKA_ERROR_INVALID_PARTITIONS))
            continue;
        w->totals->grown += topic->partitions != topics->asked[t];
        topic->partitions = topics->asked[t];
    }
    mem_free(call);
}

static void topic_grow(struct topics *topics, int t)
{
    struct world *w = topics->client.world;
    struct create_partitions_request request;
    codec_defaults(&create_partitions_request_message, &request);
    topics->asked[t] = w->roster.topics[t].partitions + 1;
    request.topics_count = 1;
    request.topics = scratch_array(w, &create_partitions_request_topic_table, 1);
    request.topics->name = bytes_text(w->roster.topics[t].name);
    request.topics->count = topics->asked[t];
    request.topics->assignments_count = -1;
    request.timeout_ms = 30000;
    client_send(&topics->client, ask(topics, grown), API_CREATE_PARTITIONS,
        client_version(&topics->client, API_CREATE_PARTITIONS, 0), &request, false);
}

static void topics_step(struct client *client)
{
    struct topics *topics = topics_of(client);
    struct world *w = client->world;
    int t = (int)random_below(&w->random, ROSTER_TOPICS);
    client_again(client, roster_ready(w) ? 1000 : 20);
    for (int i = 0; i < ROSTER_TOPICS; i++) {
        if (topics->asked[i] > w->roster.topics[i].partitions)
            t = i;
    }
    bool due = topics->asked[t] > w->roster.topics[t].partitions;
    bool grows = due || (!w->calm && w->roster.topics[t].partitions < ROSTER_PARTITIONS &&
                            world_chance(w, 1, 12));
    if (topics->busy || (roster_ready(w) && !grows) || !client_connect(client))
        return;
    client->may_be_closed = true; /* it is silent for long */
    if (roster_ready(w))
        topic_grow(topics, t);
    else
        topics_make(topics);
}

static void topics_lost(struct client *client)
{
    topics_of(client)->busy = false;
}

static void topics_destroy(struct client *client)
{
    client_done(client);
    mem_free(topics_of(client));
}

static struct client *topics_create(struct world *world)
{
    static const char *const names[ROSTER_TOPICS] = { "ga", "gb", "gc" };
    struct topics *topics = mem_zalloc(1, sizeof(*topics));
    for (int t = 0; t < ROSTER_TOPICS; t++)
        world->roster.topics[t] = (struct roster_topic){ names[t], .slot = -1 };
    client_init(&topics->client, world, "topics", 0);
    topics->client.step = topics_step;
    topics->client.lost = topics_lost;
    topics->client.destroy = topics_destroy;
    return &topics->client;
}

static bool topics_are_settled(const struct client *client)
{
    const struct topics *topics = container_of_const(client, struct topics, client);
    for (int t = 0; t < ROSTER_TOPICS; t++) {
        if (topics->asked[t] > client->world->roster.topics[t].partitions)
            return false;
    }
    return true;
}

/* ---- who is there ---- */

enum {
    EAGER = 0,
    COOPERATIVE = 1,
    STATIC = 3,
    FOLLOWERS = 4,
    MIXED = 5,
}; /* groups of the roster, beside ROSTER_SIMPLE */

static void members_create(struct world *w)
{
    static const struct member_style styles[] = {
        { EAGER, .seat = 0, .fixed = true, .doubled = true, .transactional = true },
        { EAGER, .seat = 1, .fixed = true },
        { EAGER, .seat = 2, .transactional = true },
        { EAGER, .seat = 3, .transactional = true, .mortal = true },
        { EAGER, .seat = 0, .fixed = true, .doubled = true }, /* believes that it is the first */
        { COOPERATIVE, .seat = 5, .fixed = true, .cooperative = true, .transactional = true },
        { COOPERATIVE, .seat = 6, .cooperative = true },
        { COOPERATIVE, .seat = 7, .cooperative = true, .transactional = true },
        { COOPERATIVE, .seat = 8, .cooperative = true, .mortal = true },
        { ROSTER_SIMPLE, .seat = 9, .transactional = true },
        { STATIC, .seat = 10, .fixed = true, .cooperative = true },
        { STATIC, .seat = 11, .fixed = true, .cooperative = true, .transactional = true,
            .mortal = true },
        { FOLLOWERS, .seat = 12 },
        { FOLLOWERS, .seat = 13, .fixed = true, .transactional = true },
        { FOLLOWERS, .seat = 14, .transactional = true, .mortal = true },
        { FOLLOWERS, .seat = 15, .mortal = true },
        { MIXED, .seat = 16, .cooperative = true, .mixed = true },
        { MIXED, .seat = 17, .cooperative = true, .mixed = true, .transactional = true },
        { MIXED, .seat = 18, .cooperative = true, .mixed = true, .fixed = true },
        { MIXED, .seat = 19, .mixed = true, .guest = true, .follows = true },
        { MIXED, .seat = 20, .mixed = true, .guest = true, .follows = true, .transactional = true },
    };
    w->roster.groups[FOLLOWERS].choosy = w->roster.groups[MIXED].choosy = true;
    for (size_t i = 0; i < ARRAY_COUNT(styles); i++) {
        struct member_style style = styles[i];
        style.pace_ms = 100;
        style.session_ms = style.group == STATIC ? LONG_SESSION_MS : SESSION_MS;
        style.unsteady = true;
        if (style.group == FOLLOWERS || style.follows)
            (void)sim_follower_create(w, (int)i, &style);
        else
            (void)sim_member_create(w, (int)i, &style);
    }
}

/* ---- the busy part ---- */

static void trouble(struct world *w, uint64_t rebalances)
{
    /* What was just told of a new generation must be durable by now. */
    if (w->totals->rebalances != rebalances && world_chance(w, 1, 30)) {
        world_crash(w, true);
        return;
    }
    switch (random_below(&w->random, 16000)) {
    case 0:
    case 1: w->sim.crash_after = (int64_t)random_below(&w->random, 40); break;
    case 2:
    case 3: world_crash(w, false); break;
    case 4:
    case 5: world_crash(w, true); break;
    case 6: world_stop(w, world_chance(w, 1, 2)); break;
    case 7:
    case 8: world_draw_faults(w); break;
    case 9: roster_jump(w, world_pick(w, 1000, RETENTION_MS)); break;
    default: break;
    }
}

/* ---- coming to rest ---- */

static const char *unsettled(struct world *w, const struct client *topics)
{
    uint32_t keys = 0, wanted = 0;
    const char *why = sim_followers_unsettled(w, FOLLOWERS, &keys, &wanted);
    if (!topics_are_settled(topics))
        return "a topic is still growing";
    if (!why && keys != roster_keys(w, wanted))
        why = "a partition has no owner";
    if (!why)
        why = sim_mixed_unsettled(w, MIXED);
    return why ? why : sim_members_unsettled(w);
}

static size_t generations(const struct world *w)
{
    size_t count = 0;
    for (int g = 0; g < ROSTER_GROUPS; g++)
        count += w->roster.groups[g].count + (size_t)w->roster.groups[g].epoch;
    return count;
}

/* Stable is what stays so: who was there under another name must have been missed first. */
static void settle(struct world *w, const struct client *topics)
{
    const char *why = "groups rebalance on and on";
    size_t before = 0;
    for (int64_t ms = 0, since = 0; ms < SETTLE_MS; ms += SETTLE_STEP_MS) {
        const char *now = unsettled(w, topics);
        if (now || generations(w) != before) {
            since = ms;
            before = generations(w);
            why = now ? now : why;
        } else if (ms - since >= STAY_MS) {
            return;
        }
        world_pass(w, SETTLE_STEP_MS);
    }
    world_fail(w, "faults have ended %d ms ago, and yet: %s", SETTLE_MS, why);
}

/* For longer than a session; members heartbeat, commit and ask for offsets. */
static void stay(struct world *w, const struct client *topics, const char *when)
{
    size_t before = generations(w);
    world_pass(w, STAY_MS);
    const char *why = unsettled(w, topics);
    if (why)
        world_fail(w, "%s, and a group does not stay as it is: %s", when, why);
    if (generations(w) != before)
        world_fail(w, "%s, and a group rebalances", when);
}

static void look(struct world *w, struct client *janitor, bool gone)
{
    sim_janitor_look(janitor, gone);
    for (int64_t ms = 0; !sim_janitor_has_looked(janitor); ms += SETTLE_STEP_MS) {
        if (ms > SETTLE_MS)
            world_fail(w, "nobody answers the janitor");
        world_pass(w, SETTLE_STEP_MS);
    }
}

/* Nobody comes any more. First what says its time itself is too old, or what was committed long
 * before its group was empty would be if that counted; then all is. */
static void vanish(struct world *w, struct client *janitor)
{
    if (world_chance(w, 1, 2))
        roster_jump(w, RETENTION_MS);
    w->quiet = true;
    world_pass(w, EMPTY_MS);
    w->roster.emptied_ms = clock_wall_ms(w->sim.doors.clock);
    world_pass(w, 2 * LOOK_MS);
    world_crash(w, world_chance(w, 1, 2));
    world_pass(w, LOOK_MS);
    look(w, janitor, false);
    int64_t passed_ms = clock_wall_ms(w->sim.doors.clock) - w->roster.emptied_ms;
    roster_jump(w, RETENTION_MS - passed_ms);
    world_pass(w, LOOK_MS);
    look(w, janitor, true);
}

static void finish(struct world *w, const struct client *topics, struct client *janitor)
{
    world_say(w, "world: faults have ended");
    world_calm(w);
    settle(w, topics);
    world_stop(w, world_chance(w, 1, 2));
    stay(w, topics, "the broker was stopped and started");
    world_crash(w, true);
    stay(w, topics, "the power was gone");
    /* Who dies with the broker is missed by the next one. */
    sim_members_thin(w);
    world_crash(w, world_chance(w, 1, 2));
    settle(w, topics);
    vanish(w, janitor);
    world_end(w, world_chance(w, 1, 2));
}

static uint64_t events_of(const struct totals *t)
{
    return t->requests + t->answers + t->connects + t->kills + t->powers + t->stops +
           t->recovery_crashes;
}

static const char *const options[] = { "offsets.retention.minutes=1",
    "offsets.retention.check.interval.ms=500", NULL };

static uint64_t run(void *context, uint64_t seed, uint64_t steps, bool verbose)
{
    struct simulation *simulation = context;
    struct world *w = mem_zalloc(1, sizeof(*w));
    uint64_t before = events_of(&simulation->totals);
    world_init(w, seed, verbose, &simulation->totals, options);
    w->roster.retention_ms = RETENTION_MS;
    struct client *topics = topics_create(w);
    members_create(w);
    struct client *janitor = sim_janitor_create(w);
    for (uint64_t i = 0; i < steps; i++) {
        uint64_t rebalances = w->totals->rebalances;
        world_step(w);
        trouble(w, rebalances);
    }
    finish(w, topics, janitor);
    uint64_t trace = sim_trace_hash(&w->sim), events = events_of(&simulation->totals) - before;
    if (events < EVENTS_MIN)
        world_fail(w, "only %" PRIu64 " events", events);
    simulation->events += events;
    if (!simulation->events_least || events < simulation->events_least)
        simulation->events_least = events;
    world_done(w);
    mem_free(w);
    return trace;
}

/* ---- counts ---- */

static int tables(const void *context, bool must)
{
    const struct simulation *simulation = context;
    const struct totals *t = &simulation->totals;
    const struct seeds_row rows[] = {
        { "events, of the least seed", simulation->events_least },
        { "joins", t->joins },
        { "rebalances", t->rebalances },
        { "members unknown by now", t->expired },
        { "members left", t->left },
        { "instances fenced", t->instances_fenced },
        { "generations, epochs fenced", t->generations_fenced + t->epochs_fenced },
        { "instances not released", t->unreleased },
        { "revocations", t->revoked },
        { "subscriptions changed", t->resubscribed },
        { "topics grown", t->grown },
        { "groups deleted", t->groups_deleted },
        { "... not: they had members", t->deletions_refused },
        { "offsets deleted", t->offsets_deleted },
        { "... not: they are wanted", t->offsets_spared },
        { "offsets expired", t->offsets_expired },
        { "... not: they are read", t->offsets_read },
        { "... not: transactions wait", t->offsets_waited },
        { "groups vanished", t->groups_vanished },
        { "... in the end", t->groups_ended },
        { "joins that the broker leads", t->led_by_broker },
        { "... of groups that were classic", t->upgrades },
        { "joins of groups that were not", t->downgrades },
        { "late for sync or heartbeat", t->late },
        { "too busy to join again", t->busy },
        { "dead for good", t->retired },
        { "requests sent twice", t->repeated },
        { "commits of an older epoch", t->late_commits },
        { "heartbeats of an older one", t->late_beats },
        { "offsets committed", t->commits },
        { "commits refused", t->commits_refused },
        { "offsets fetched", t->offset_fetches },
        { "offsets not stable", t->offsets_unstable },
        { "transactions committed", t->deals_committed },
        { "transactions aborted", t->deals_aborted },
        { "transactions fenced", t->deals_fenced },
        { "... commit asked for", t->deals_unsure },
        { "zombie producers refused", t->zombies },
        { "zombie members refused", t->members_refused },
        { "connections", t->connects },
        { "connections cut", t->resets },
        { "answers not read for long", t->stalls },
        { "kills", t->kills },
        { "power cuts", t->powers },
        { "clean stops", t->stops },
        { "crashes in recovery", t->recovery_crashes },
        { "fail-stops", t->fail_stops },
        { "checkpoints", t->storage.checkpoints },
        { "records replayed", t->storage.replayed_records },
        { "no space", t->sim.no_space },
    };
    return seeds_rows(rows, ARRAY_COUNT(rows), must);
}

static uint64_t happened(const void *context)
{
    const struct simulation *simulation = context;
    return simulation->events;
}

int main(int argc, char **argv)
{
    struct simulation simulation = { 0 };
    struct seeds seeds = { .first = 1,
        .count = 100,
        .length = 15000,
        .lengths = "events",
        .for_counts = FOR_COUNTS,
        .run = run,
        .happened = happened,
        .tables = tables,
        .context = &simulation };
    return seeds_run(&seeds, argc, argv);
}
