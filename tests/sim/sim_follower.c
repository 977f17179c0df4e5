/*
 * A member of a group of the consumer protocol (KIP-848), which the broker assigns and leads.
 *
 *     OUT ──heartbeat of epoch 0──▶ IN: heartbeats with the epoch that was told last
 *      ▲                             │
 *      └── fenced, unknown, left ────┘
 *
 * What an answer assigns it takes at once; what it does not name any more it gives up, perhaps
 * after a while, and says so with its next heartbeat. It dies, leaves (for good, or as a static
 * member for a while), is late, changes what it wants, says things twice, and commits offsets, also
 * as whom it was some epochs ago, which may be accepted only of what it has had ever since.
 *
 * What must hold beside roster.h: the epoch that it is told only grows, also across its deaths, and
 * nothing is assigned that it did not ask for.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "protocol/base/mem.h"
#include "protocol/error.h"
#include "tests/sim/member_offsets.h"
#include "tests/sim/roles.h"

enum { REBALANCE_MS = 4000, HEARTBEAT_MS = 700, CALM_MS = 600, CALLS_MAX = 3, VERSION_NAMED = 1 };

enum { EPOCH_JOIN = 0, EPOCH_LEAVE = -1, EPOCH_LEAVE_STATIC = -2 };

struct follower {
    struct client client; /* first */
    struct member_style style;
    bool in, busy, leaves;
    bool full;  /* the next heartbeat says everything: an answer may have got lost */
    bool owned; /* ... says what it holds */
    bool wants; /* ... says what it wants */
    bool dead, decided;
    char instance[32]; /* "": dynamic */
    char id[ROSTER_ID_SIZE];
    int32_t epoch, epoch_most;
    uint32_t deletes; /* of its group, when it was told epoch_most */
    uint32_t topics;  /* that it wants, by bit; */
    uint32_t asked;   /* it asked for any of these since it joined: answers may be older */
    uint32_t keys;    /* that it holds, by bit */
    uint32_t target;  /* that it was assigned */
    int64_t give_up_ns, heartbeat_ns;
    int64_t heard_ns; /* when a heartbeat was sent that was accepted */
    int64_t sure_ns;  /* the same, of one that owed nothing: it is not fenced for what it holds */
    int64_t reads_ms; /* wall time: since then it surely reads `topics`; INT64_MAX: it may not */
    struct spender spender;
    struct roster_claim past; /* as whom it commits late; id "": as nobody */
    uint32_t past_keys;
};

struct follower_call {
    struct call call; /* first */
    struct roster_claim claim;
    uint32_t keys;    /* that it held */
    uint32_t topics;  /* that it told; 0: it did not */
    int32_t most;     /* epoch of the group that was told by then */
    uint32_t deletes; /* of the group, asked for by then: the answer may be older than later ones */
    bool leaves;
};

static struct follower *follower_of(struct client *client)
{
    return container_of(client, struct follower, client);
}

static struct roster_claim claim_of(const struct follower *f)
{
    struct roster_claim claim = {
        .group = f->style.group, .seat = f->style.seat, .generation = f->epoch
    };
    memcpy(claim.id, f->id, sizeof(claim.id));
    return claim;
}

static void out(struct follower *f)
{
    f->in = f->leaves = false;
    f->keys = f->target = 0;
    f->reads_ms = INT64_MAX;
    f->sure_ns = 0;
    f->past.id[0] = '\0';
    f->epoch = EPOCH_JOIN;
}

/* Guests leave, and come again after a while. */
static void go(struct follower *f)
{
    struct world *w = f->client.world;
    out(f);
    if (f->style.guest && !w->calm)
        event_set(w, &f->client.act, world_pick(w, 500, 6000) * CLOCK_NS_PER_MS);
}

static void refused(struct follower *f, const struct call *call, int16_t error)
{
    struct world *w = f->client.world;
    world_say(w, "    %s: %s", f->client.name, error_name(error));
    switch (error) {
    case KAFKA_ERROR_GROUP_ID_NOT_FOUND: /* it was deleted, or is a classic one by now */
        if (!f->style.mixed && !w->roster.groups[f->style.group].deletes &&
            !roster_may_vanish(w, f->style.group))
            world_fail(w, "%s: its group is gone", f->client.name);
        out(f);
        break;
    case KAFKA_ERROR_UNKNOWN_MEMBER_ID:
        w->totals->expired++;
        out(f);
        break;
    case KAFKA_ERROR_FENCED_MEMBER_EPOCH:
    case KAFKA_ERROR_FENCED_INSTANCE_ID:
        w->totals->epochs_fenced++;
        out(f);
        break;
    case KAFKA_ERROR_UNRELEASED_INSTANCE_ID: w->totals->unreleased++; break;
    case KAFKA_ERROR_STALE_MEMBER_EPOCH:
    case KAFKA_ERROR_COORDINATOR_NOT_AVAILABLE: break; /* again */
    default: world_fail(w, "%s: %s: %s", f->client.name, call->schema->name, error_name(error));
    }
}

/* ---- heartbeats ---- */

static uint32_t keys_of(const struct world *w,
    const struct consumer_group_heartbeat_response_topic_partitions *rows, int32_t count)
{
    uint32_t keys = 0;
    for (int32_t i = 0; i < count; i++) {
        for (int t = 0; t < ROSTER_TOPICS; t++) {
            if (!uuid_equal(w->roster.topics[t].id, rows[i].topic_id))
                continue;
            for (int32_t p = 0; p < rows[i].partitions_count; p++)
                keys |= 1u << (t * ROSTER_PARTITIONS + rows[i].partitions[p]);
        }
    }
    return keys;
}

static void give_up(struct follower *f)
{
    f->client.world->totals->revoked++;
    f->keys &= f->target;
    f->give_up_ns = 0;
    f->owned = true;
    f->heartbeat_ns = f->client.world->sim.now_ns;
}

/* known: the epoch that it was told before; 0: it has just joined. */
static void take_assignment(struct follower *f, uint32_t target, int32_t known, bool late)
{
    struct world *w = f->client.world;
    for (int key = 0; key < ROSTER_KEYS; key++) {
        if (target & 1u << key && !(f->asked & 1u << key / ROSTER_PARTITIONS))
            world_fail(w, "%s: is assigned key %d, which it did not ask for", f->client.name, key);
    }
    f->target = target;
    struct roster_grant grant = { f->style.seat, target & ~f->keys, known, !late };
    if (f->style.mixed && !late)
        sim_group_given(w, f->style.group, f->style.seat, grant.keys, f->client.name);
    roster_granted(w, f->style.group, &grant);
    f->keys |= target;
    f->owned = true;
    f->heartbeat_ns = w->sim.now_ns;
    if ((f->keys & ~target) == 0)
        f->give_up_ns = 0;
    else if (f->style.unsteady && !w->calm && world_chance(w, 1, 3))
        f->give_up_ns = w->sim.now_ns + world_pick(w, 1, 6000) * CLOCK_NS_PER_MS;
    else
        give_up(f);
}

static void accepted(struct follower *f, const struct follower_call *call,
    const struct consumer_group_heartbeat_response *answer)
{
    struct world *w = f->client.world;
    if (call->leaves) {
        w->totals->left++;
        go(f);
        return;
    }
    if (!f->in && answer->member_epoch < call->most && roster_may_vanish(w, f->style.group))
        roster_vanished(w, f->style.group);
    if (f->deletes != w->roster.groups[f->style.group].deletes)
        f->epoch_most = 0;
    f->deletes = call->deletes;
    if (answer->member_epoch < f->epoch_most && f->style.mixed && !f->in &&
        !sim_group_has_elder(w, f->style.group, answer->member_epoch))
        f->epoch_most = 0; /* it was empty, and began anew */
    if (answer->member_epoch < f->epoch_most)
        world_fail(w, "%s: epoch %" PRId32 ", it was %" PRId32, f->client.name,
            answer->member_epoch, f->epoch_most);
    if (!f->in)
        w->totals->joins++;
    roster_epoch(w, f->style.group, answer->member_epoch);
    roster_holds(w, &call->claim, call->keys, "a heartbeat");
    int32_t known = f->in ? f->epoch : 0;
    f->epoch = f->epoch_most = answer->member_epoch;
    f->heard_ns = call->call.sent_ns;
    f->in = true;
    /* Of an answer that took so long the group may think differently by now. */
    bool late = w->sim.now_ns - call->call.sent_ns > f->style.session_ms * CLOCK_NS_PER_MS / 2;
    if (answer->assignment)
        take_assignment(f,
            keys_of(w, answer->assignment->topic_partitions,
                answer->assignment->topic_partitions_count),
            known, late);
    if (!answer->assignment && !(call->keys & ~f->target))
        f->sure_ns = call->call.sent_ns;
    if (call->topics == f->topics && f->reads_ms == INT64_MAX)
        f->reads_ms = clock_wall_ms(w->sim.doors.clock);
}

static void beaten(struct client *client, struct call *base, void *body)
{
    struct follower *f = follower_of(client);
    struct follower_call *call = container_of(base, struct follower_call, call);
    const struct consumer_group_heartbeat_response *answer = body;
    call->claim.sent = base->sent;
    f->busy = false;
    /* It died meanwhile: what it was told it never heard. */
    bool same = strcmp(call->claim.id, f->id) == 0 && call->claim.generation == f->epoch;
    if (!answer)
        f->full = true;
    else if (same && answer->error_code)
        refused(f, base, answer->error_code);
    else if (same)
        accepted(f, call, answer);
    mem_free(call);
}

static void heard_twice(struct client *client, struct call *base, void *body)
{
    follower_of(client)->full |= body != NULL; /* an assignment may have been in it */
    mem_free(container_of(base, struct follower_call, call));
}

static void say_keys(
    struct world *w, uint32_t keys, struct consumer_group_heartbeat_request *request)
{
    request->topic_partitions =
        scratch_array(w, &consumer_group_heartbeat_request_topic_partitions_table, ROSTER_TOPICS);
    request->topic_partitions_count = 0;
    for (int t = 0; t < ROSTER_TOPICS; t++) {
        struct consumer_group_heartbeat_request_topic_partitions *row =
            &request->topic_partitions[request->topic_partitions_count];
        row->topic_id = w->roster.topics[t].id;
        row->partitions = scratch_alloc(w, ROSTER_PARTITIONS * sizeof(*row->partitions));
        for (int32_t p = 0; p < ROSTER_PARTITIONS; p++) {
            if (keys & 1u << (t * ROSTER_PARTITIONS + p))
                row->partitions[row->partitions_count++] = p;
        }
        request->topic_partitions_count += row->partitions_count > 0;
    }
}

static void say_topics(struct follower *f, struct consumer_group_heartbeat_request *request)
{
    struct world *w = f->client.world;
    request->subscribed_topic_names =
        scratch_alloc(w, ROSTER_TOPICS * sizeof(*request->subscribed_topic_names));
    request->subscribed_topic_names_count = 0;
    for (int t = 0; t < ROSTER_TOPICS; t++) {
        if (f->topics & 1u << t)
            request->subscribed_topic_names[request->subscribed_topic_names_count++] =
                bytes_text(w->roster.topics[t].name);
    }
}

static void name_itself(struct follower *f)
{
    (void)snprintf(f->id, sizeof(f->id), "%s-%016" PRIx64, f->client.name,
        random_below(&f->client.world->random, UINT64_MAX));
}

static void beat(struct follower *f)
{
    struct world *w = f->client.world;
    struct consumer_group_heartbeat_request request;
    codec_defaults(&consumer_group_heartbeat_request_message, &request);
    bool joins = !f->in, full = joins || f->full;
    if (!f->id[0])
        name_itself(f);
    request.group_id = bytes_text(roster_group_name(f->style.group));
    request.member_id = bytes_text(f->id);
    request.member_epoch = f->epoch;
    if (f->instance[0])
        request.instance_id = bytes_text(f->instance);
    if (f->leaves)
        request.member_epoch = f->instance[0] ? EPOCH_LEAVE_STATIC : EPOCH_LEAVE;
    if (joins)
        f->asked = 0;
    if (full)
        request.rebalance_timeout_ms = REBALANCE_MS;
    if (full || f->wants) {
        f->asked |= f->topics;
        say_topics(f, &request);
    }
    if (full || f->owned)
        say_keys(w, f->keys, &request);
    /* One that tells what it holds is not said twice: what is assigned by the answer to the first
     * is not in the second, which would give it up. Clients have one in flight, too. */
    bool repeatable = !full && !f->owned;
    uint32_t topics = full || f->wants ? f->topics : 0;
    f->full = f->owned = f->wants = false;
    f->busy = true;
    f->heartbeat_ns = w->sim.now_ns + HEARTBEAT_MS * CLOCK_NS_PER_MS;
    struct follower_call *call = mem_zalloc(1, sizeof(*call));
    call->call.answered = beaten;
    call->claim = claim_of(f);
    call->keys = f->keys;
    call->topics = topics;
    call->most = w->roster.groups[f->style.group].epoch;
    call->deletes = w->roster.groups[f->style.group].deletes;
    call->leaves = f->leaves;
    client_send(
        &f->client, &call->call, API_CONSUMER_GROUP_HEARTBEAT, VERSION_NAMED, &request, false);
    if (!repeatable || !f->style.unsteady || w->calm || !world_chance(w, 1, 20))
        return;
    struct follower_call *again = mem_zalloc(1, sizeof(*again));
    again->call.answered = heard_twice;
    w->totals->repeated++;
    client_send_again(&f->client, &again->call, &call->call);
}

/* ---- offsets ---- */

static void commit_refused(
    struct client *client, const struct call *call, const struct roster_claim *claim, int16_t error)
{
    struct follower *f = follower_of(client);
    if (f->in && strcmp(f->id, claim->id) == 0 && f->epoch == claim->generation)
        refused(f, call, error);
}

/* What it still had to commit of an epoch that is over, as the same member. */
static bool commit_late(struct follower *f)
{
    struct world *w = f->client.world;
    struct party party = { .claim = f->past,
        .instance = f->instance,
        .keys = f->past_keys,
        .follows = true,
        .refused = commit_refused };
    if (!f->past.id[0] || w->calm) {
        f->past = claim_of(f);
        f->past_keys = f->keys;
        return false;
    }
    if (strcmp(f->past.id, f->id) != 0 || f->past.generation >= f->epoch)
        return false;
    w->totals->late_commits++;
    offsets_commit(&f->client, &party);
    if (world_chance(w, 1, 3))
        f->past.id[0] = '\0';
    return true;
}

static void commit(struct follower *f)
{
    struct world *w = f->client.world;
    if (world_chance(w, 1, 3) && commit_late(f))
        return;
    struct party party = { .claim = claim_of(f),
        .instance = f->instance,
        .keys = f->keys,
        .follows = true,
        .refused = commit_refused };
    if (f->style.transactional && !w->calm && !spender_is_busy(&f->spender) &&
        world_chance(w, 1, 2))
        spender_begin(&f->client, &f->spender, &party);
    else
        offsets_commit(&f->client, &party);
}

/* ---- what it does ---- */

static void die(struct follower *f)
{
    struct world *w = f->client.world;
    world_say(w, "%s: dies", f->client.name);
    client_reset(&f->client);
    if (world_chance(w, 1, 2))
        f->id[0] = 0;
    out(f);
    event_set(w, &f->client.act, world_pick(w, 10, 8000) * CLOCK_NS_PER_MS);
}

static bool is_dead(struct follower *f)
{
    struct world *w = f->client.world;
    if (!w->calm || f->decided || spender_is_busy(&f->spender))
        return f->dead;
    f->decided = true;
    f->dead = (f->style.mortal && world_chance(w, 1, 3)) ||
              (f->style.guest && (w->seed % 3 == 0 || world_chance(w, 1, 3)));
    if (f->dead) {
        world_say(w, "%s: dies for good", f->client.name);
        w->totals->retired++;
        client_reset(&f->client);
        out(f);
    }
    return f->dead;
}

/* True: this step does nothing else. */
static bool misbehave(struct follower *f)
{
    struct world *w = f->client.world;
    if (w->calm || !f->style.unsteady || spender_is_busy(&f->spender))
        return false;
    if (world_chance(w, 1, 250)) {
        die(f);
        return true;
    }
    if (!f->in || !world_chance(w, 1, 100))
        return false;
    w->totals->late++;
    event_set(w, &f->client.act, world_pick(w, 1000, 8000) * CLOCK_NS_PER_MS);
    return true;
}

static void act(struct follower *f)
{
    struct world *w = f->client.world;
    bool closed = roster_is_closed(w, f->style.group);
    if (f->give_up_ns && f->give_up_ns <= w->sim.now_ns)
        give_up(f);
    if (closed && f->in && !f->leaves) {
        f->leaves = true;
        f->heartbeat_ns = 0;
    }
    if (closed && !f->in)
        return;
    if (!f->in || w->sim.now_ns >= f->heartbeat_ns) {
        beat(f);
    } else if (!w->calm && world_chance(w, 1, 120)) {
        f->topics = 1 + (uint32_t)random_below(&w->random, (1u << ROSTER_TOPICS) - 1);
        f->wants = true;
        f->reads_ms = INT64_MAX;
        w->totals->resubscribed++;
    } else if (!w->calm && world_chance(w, 1, f->style.guest ? 30 : 150)) {
        f->leaves = true;
        f->heartbeat_ns = 0;
    } else if (world_chance(w, 1, 3) && f->keys) {
        commit(f);
    } else if (world_chance(w, 1, 3)) {
        offsets_fetch(&f->client, f->style.group);
    }
}

static void step(struct client *client)
{
    struct follower *f = follower_of(client);
    struct world *w = client->world;
    client_again(client, w->calm ? CALM_MS : f->style.pace_ms);
    client->may_be_closed = roster_is_closed(w, f->style.group); /* it is silent for long */
    if (w->quiet || is_dead(f) || !roster_ready(w) || !client_connect(client))
        return;
    if (client->call_count <= CALLS_MAX)
        spender_step(client, &f->spender);
    if (misbehave(f) || f->busy || client->call_count > CALLS_MAX)
        return;
    act(f);
}

static void lost(struct client *client)
{
    follower_of(client)->busy = false;
    follower_of(client)->full = true;
}

static void destroy(struct client *client)
{
    client_done(client);
    mem_free(follower_of(client));
}

int64_t sim_followers_read_since(const struct world *world, int group, int key)
{
    int64_t since_ms = INT64_MAX;
    list_foreach (node, &world->clients) {
        struct client *client = list_entry(node, struct client, link);
        const struct follower *f = follower_of(client);
        if (client->destroy == destroy && f->style.group == group && f->in && !f->leaves &&
            f->topics & 1u << key / ROSTER_PARTITIONS && f->reads_ms < since_ms && f->sure_ns &&
            f->sure_ns + f->style.session_ms * CLOCK_NS_PER_MS > world->sim.now_ns)
            since_ms = f->reads_ms;
    }
    return since_ms;
}

const char *sim_followers_unsettled(
    struct world *world, int group, uint32_t *keys, uint32_t *topics)
{
    list_foreach (node, &world->clients) {
        struct client *client = list_entry(node, struct client, link);
        if (client->destroy != destroy || follower_of(client)->style.group != group)
            continue;
        const struct follower *f = follower_of(client);
        if (spender_is_busy(&f->spender))
            return "a transaction is open";
        if (f->dead)
            continue;
        if (!f->in || !f->decided)
            return "a follower is not in";
        if (world->sim.now_ns - f->heard_ns > f->style.session_ms * CLOCK_NS_PER_MS)
            return "a follower is not heard of"; /* an answer stalls since before */
        if (f->keys != f->target || f->owned || f->full)
            return "a follower has not done what it was told";
        if (*keys & f->keys)
            return "a partition has two owners";
        if (f->keys & ~roster_keys(world, f->topics))
            return "a follower has what it does not want";
        *keys |= f->keys;
        *topics |= f->topics;
    }
    return NULL;
}

struct client *sim_follower_create(struct world *world, int index, const struct member_style *style)
{
    struct follower *f = mem_zalloc(1, sizeof(*f));
    client_init(&f->client, world, "follower", index);
    f->style = *style;
    f->topics = (1u << ROSTER_TOPICS) - 1;
    f->reads_ms = INT64_MAX;
    f->spender.producer = index / 2;
    if (style->fixed)
        (void)snprintf(f->instance, sizeof(f->instance), "static-%d", style->seat);
    f->client.step = step;
    f->client.lost = lost;
    f->client.destroy = destroy;
    return &f->client;
}
