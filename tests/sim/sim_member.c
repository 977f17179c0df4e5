/*
 * A member of a classic consumer group.
 *
 *     OUT ──join──▶ JOINING ──▶ JOINED ──sync──▶ SYNCING ──▶ IN: heartbeats, commits, fetches
 *      ▲                                                      │
 *      └────────── told to rebalance, or that it is unknown ──┘
 *
 * Members crash (and come back, as themselves or anew), leave, stall, sleep until their session is
 * over, sync late, say things twice, and change what they want to read. Some are static, and two of
 * them may believe that they are the same one. Eager ones let go of everything before they join;
 * cooperative ones keep what they hold, let go of what the assignment does not name any more, and
 * join again (KIP-429). The leader gives each partition to one member; a number in the assignment
 * tells which leader's work it is. Some commit in transactions. Those without membership commit
 * from outside.
 *
 * Where others speak the newer protocol the broker leads for a while (style.mixed): nobody is told
 * that he leads, generations are epochs, and the oracle asks who holds what as it does of
 * followers.
 *
 * A member whose sync or heartbeat was accepted within its session must not be told that it is
 * unknown. (A join says less: as with Kafka, one that makes no rebalance does not renew the
 * session.)
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "protocol/base/mem.h"
#include "protocol/error.h"
#include "tests/sim/assignor.h"
#include "tests/sim/member_offsets.h"
#include "tests/sim/roles.h"

enum {
    MEMBERS_MAX = 16,
    REBALANCE_MS = 4000,
    HEARTBEAT_MS = 700,
    CALM_MS = 600,
    CALLS_MAX = 3,
    /* A join is answered when the rebalance is over, and so long on its way at most. */
    JOIN_MS_MAX = REBALANCE_MS + 6000,
};

enum stage { OUT, JOINING, JOINED, SYNCING, IN };

struct sim_member {
    struct client client; /* first */
    struct member_style style;
    enum stage stage;
    char instance[32]; /* "": dynamic */
    char id[ROSTER_ID_SIZE];
    char protocol[32]; /* that the group chose */
    int32_t generation;
    bool leader, skips;                /* the leader's: nothing to assign */
    struct share members[MEMBERS_MAX]; /* the leader's */
    int member_count;
    uint32_t topics;      /* that it wants, by bit */
    uint32_t keys;        /* that it holds, by bit */
    uint32_t assigned_of; /* the leader's: keys that there were when it assigned */
    uint32_t nonce;       /* of that work */
    int32_t held_since;   /* generation of its keys */
    int64_t heard_ns;     /* when a request was sent that the group accepted; 0: never */
    int64_t heartbeat_ns; /* when the next is due */
    bool busy;            /* a join, sync, heartbeat or leave is under way */
    bool commits_first;   /* before it joins again */
    int64_t busy_ns;      /* until then it only heartbeats, though all join again (KIP-62) */
    bool decided, dead;   /* faults have ended; it is dead for good */
    uint64_t in_moment;   /* when it was told its part */
    int64_t in_ms;        /* the same in wall time */
    bool led;             /* by the broker, when it joined */
    int32_t generation_most;
    uint32_t deletes; /* of its group, when it was told that */
    struct spender spender;
};

struct member_call {
    struct call call; /* first */
    struct roster_claim claim;
    uint32_t keys; /* that it held */
};

static struct sim_member *member_of(struct client *client)
{
    return container_of(client, struct sim_member, client);
}

static bool is_simple(const struct sim_member *member)
{
    return member->style.group == ROSTER_SIMPLE;
}

/* One that plays somebody else's instance, until faults end. */
static bool is_twin(const struct sim_member *member)
{
    return member->style.seat != member->client.index;
}

static struct roster_claim claim_of(const struct sim_member *member)
{
    struct roster_claim claim = {
        .group = member->style.group, .seat = member->style.seat, .generation = member->generation
    };
    memcpy(claim.id, member->id, sizeof(claim.id));
    return claim;
}

static struct member_call *call_make(const struct sim_member *member,
    void (*answered)(struct client *client, struct call *call, void *answer))
{
    struct member_call *call = mem_zalloc(1, sizeof(*call));
    call->call.answered = answered;
    call->claim = claim_of(member);
    call->keys = member->keys;
    return call;
}

static struct member_call *call_of(struct call *base)
{
    struct member_call *call = container_of(base, struct member_call, call);
    call->claim.sent = base->sent;
    return call;
}

static struct bytes instance_of(const struct sim_member *member)
{
    return member->instance[0] ? bytes_text(member->instance) : (struct bytes){ 0 };
}

static struct bytes group_of(const struct sim_member *member)
{
    return bytes_text(roster_group_name(member->style.group));
}

static void let_go(struct sim_member *member)
{
    member->keys = 0;
    roster_lets_go(member->client.world, member->style.group, member->style.seat);
}

static void forget_id(struct sim_member *member)
{
    member->id[0] = 0;
    member->heard_ns = 0;
}

/* Its session has not ended, and it has not asked to leave. */
static bool is_surely_in(const struct sim_member *member)
{
    int64_t session_ns = member->style.session_ms * CLOCK_NS_PER_MS;
    return member->heard_ns && member->heard_ns + session_ns > member->client.world->sim.now_ns;
}

/* Accepted: the session counts from there at the earliest. */
static void heard(struct sim_member *member, const struct call *call)
{
    if (call->sent_ns > member->heard_ns)
        member->heard_ns = call->sent_ns;
    if (member->stage == IN && !member->style.doubled && is_surely_in(member))
        roster_seen(member->client.world, member->style.group);
}

/* What it held is somebody else's. */
static void lose_all(struct sim_member *member)
{
    member->busy_ns = 0;
    let_go(member);
    member->stage = OUT;
}

/* What an error makes of a member; fails for one that may not be. */
static void refused(
    struct sim_member *member, const struct call *call, const char *id, int16_t error)
{
    struct world *w = member->client.world;
    world_say(w, "    %s: %s", member->client.name, error_name(error));
    switch (error) {
    case KAFKA_ERROR_GROUP_ID_NOT_FOUND: /* of a commit, when it was deleted */
    case KAFKA_ERROR_UNKNOWN_MEMBER_ID:
        if (error == KAFKA_ERROR_GROUP_ID_NOT_FOUND &&
            !w->roster.groups[member->style.group].deletes &&
            !roster_may_vanish(w, member->style.group))
            world_fail(w, "%s: its group is gone", member->client.name);
        if (!member->style.doubled && is_surely_in(member))
            world_fail(w, "%s: unknown to %s although it was heard %.3f ms ago (%s)",
                member->client.name, roster_group_name(member->style.group),
                (double)(w->sim.now_ns - member->heard_ns) / 1e6, call->schema->name);
        roster_gone(w, member->style.group, id);
        w->totals->expired++;
        forget_id(member);
        lose_all(member);
        break;
    case KAFKA_ERROR_FENCED_INSTANCE_ID:
        if (!member->instance[0])
            world_fail(w, "%s: fenced, and has no instance id", member->client.name);
        roster_gone(w, member->style.group, id);
        w->totals->instances_fenced++;
        forget_id(member);
        lose_all(member);
        if (is_twin(member)) /* it comes back when nobody thinks of it any more */
            event_set(w, &member->client.act, world_pick(w, 1000, 15000) * CLOCK_NS_PER_MS);
        break;
    case KAFKA_ERROR_ILLEGAL_GENERATION:
        w->totals->generations_fenced++;
        lose_all(member);
        break;
    case KAFKA_ERROR_REBALANCE_IN_PROGRESS:
        if (member->busy_ns > w->sim.now_ns)
            break;
        if (member->style.unsteady && !w->calm && member->stage == IN && world_chance(w, 1, 25)) {
            member->busy_ns = w->sim.now_ns + world_pick(w, 4000, 20000) * CLOCK_NS_PER_MS;
            member->heard_ns = 0; /* who does not come is dropped, however alive */
            w->totals->busy++;
            break;
        }
        member->commits_first = member->stage == IN && world_chance(w, 1, 2);
        member->stage = OUT;
        break;
    case KAFKA_ERROR_COORDINATOR_NOT_AVAILABLE: break; /* no room, or it stops: again */
    default:
        world_fail(w, "%s: %s: %s", member->client.name, call->schema->name, error_name(error));
    }
}

/* Somebody sent it before; only what it must not do counts. */
static void heard_twice(struct client *client, struct call *base, void *body)
{
    (void)client;
    (void)body;
    mem_free(call_of(base));
}

static void send(struct sim_member *member, struct member_call *call, int16_t api, int16_t version,
    const void *request)
{
    struct world *w = member->client.world;
    bool twice = member->style.unsteady && !w->calm && world_chance(w, 1, 20);
    struct member_call *again = call_make(member, heard_twice);
    client_send(&member->client, &call->call, api, version, request, false);
    if (twice)
        client_send_again(&member->client, &again->call, &call->call);
    else
        mem_free(again);
    w->totals->repeated += twice;
}

/* ---- JoinGroup ---- */

static void copy_id(struct sim_member *member, char *to, struct bytes from)
{
    if (from.len >= ROSTER_ID_SIZE)
        world_fail(
            member->client.world, "%s: a member id of %zu bytes", member->client.name, from.len);
    memcpy(to, from.data, from.len);
    to[from.len] = 0;
}

static void keep_members(struct sim_member *member, const struct join_group_response *answer)
{
    struct world *w = member->client.world;
    bool myself = false;
    if (answer->members_count > MEMBERS_MAX)
        world_fail(w, "%s: %" PRId32 " members", member->client.name, answer->members_count);
    member->member_count = answer->members_count;
    for (int i = 0; i < answer->members_count; i++) {
        const struct join_group_response_member *one = &answer->members[i];
        copy_id(member, member->members[i].id, one->member_id);
        myself |= strcmp(member->members[i].id, member->id) == 0;
        subscription_decode(w, one->metadata, &member->members[i]);
    }
    if (member->leader && !myself)
        world_fail(w, "%s: the leader is not among the members", member->client.name);
    if (!member->leader && answer->members_count)
        world_fail(w, "%s: is told the members, and does not lead", member->client.name);
    arena_reset(&w->scratch);
}

static void destroy(struct client *client);

bool sim_group_has_elder(const struct world *world, int group, int32_t generation)
{
    list_foreach (node, &world->clients) {
        struct client *client = list_entry(node, struct client, link);
        const struct sim_member *member = member_of(client);
        if (client->destroy == destroy && member->style.group == group && member->stage == IN &&
            is_surely_in(member) && member->generation > generation)
            return true;
    }
    return false;
}

bool sim_group_wants(const struct world *world, int group, int key, uint64_t sent)
{
    list_foreach (node, &world->clients) {
        struct client *client = list_entry(node, struct client, link);
        const struct sim_member *member = member_of(client);
        if (client->destroy == destroy && member->style.group == group && member->stage == IN &&
            !member->style.doubled && member->in_moment < sent && is_surely_in(member) &&
            member->topics & 1u << key / ROSTER_PARTITIONS)
            return true;
    }
    return false;
}

int64_t sim_members_read_since(const struct world *world, int group, int key)
{
    int64_t since_ms = INT64_MAX;
    list_foreach (node, &world->clients) {
        struct client *client = list_entry(node, struct client, link);
        const struct sim_member *member = member_of(client);
        if (client->destroy == destroy && member->style.group == group && member->stage == IN &&
            !member->style.doubled && member->topics & 1u << key / ROSTER_PARTITIONS &&
            member->in_ms < since_ms && is_surely_in(member))
            since_ms = member->in_ms;
    }
    return since_ms;
}

void sim_group_given(struct world *world, int group, int seat, uint32_t keys, const char *name)
{
    list_foreach (node, &world->clients) {
        struct client *client = list_entry(node, struct client, link);
        const struct sim_member *member = member_of(client);
        if (client->destroy == destroy && member->style.group == group &&
            member->style.seat != seat && member->keys & keys && is_surely_in(member))
            world_fail(world, "%s: is given keys %x, and %s still holds %x", name, keys,
                client->name, member->keys);
    }
}

/* In a group of both protocols. */
static void joined_mixed(struct sim_member *member, const char *leader)
{
    struct world *w = member->client.world;
    const struct roster_group *group = &w->roster.groups[member->style.group];
    bool led = leader[0] == '\0';
    if (group->deletes != member->deletes ||
        !sim_group_has_elder(w, member->style.group, member->generation))
        member->generation_most = 0; /* it was empty, and began anew */
    if (member->generation < member->generation_most)
        world_fail(w, "%s: generation %" PRId32 ", it was %" PRId32, member->client.name,
            member->generation, member->generation_most);
    member->generation_most = member->generation;
    member->deletes = group->deletes;
    w->totals->upgrades += led && !member->led;
    w->totals->downgrades += !led && member->led;
    w->totals->led_by_broker += led;
    member->led = led;
    roster_epoch(w, member->style.group, member->generation);
}

static void keep_join(
    struct sim_member *member, const struct call *base, const struct join_group_response *answer)
{
    struct world *w = member->client.world;
    char leader[ROSTER_ID_SIZE];
    copy_id(member, member->id, answer->member_id);
    copy_id(member, leader, answer->leader);
    if (answer->protocol_name.len >= sizeof(member->protocol))
        world_fail(w, "%s: nobody offers that protocol", member->client.name);
    memset(member->protocol, 0, sizeof(member->protocol));
    memcpy(member->protocol, answer->protocol_name.data, answer->protocol_name.len);
    w->totals->joins++;
    world_say(w, "    %s is %s in generation %" PRId32 " of %s", member->client.name, member->id,
        answer->generation_id, leader);
    member->generation = answer->generation_id;
    struct roster_claim claim = claim_of(member);
    claim.sent = base->sent;
    if (member->style.mixed)
        joined_mixed(member, leader);
    else
        roster_joined(w, &claim, leader, member->style.cooperative);
    member->leader = strcmp(leader, member->id) == 0;
    member->skips = answer->skip_assignment;
    keep_members(member, answer);
    member->stage = JOINED;
    if (member->style.unsteady && !w->calm && world_chance(w, 1, 12)) {
        w->totals->late++; /* its sync */
        event_set(w, &member->client.act, world_pick(w, 500, 6000) * CLOCK_NS_PER_MS);
    }
}

static void joined(struct client *client, struct call *base, void *body)
{
    struct sim_member *member = member_of(client);
    struct member_call *call = call_of(base);
    const struct join_group_response *answer = body;
    member->busy = false;
    member->stage = OUT;
    if (answer && client->world->sim.now_ns - base->sent_ns > JOIN_MS_MAX * CLOCK_NS_PER_MS &&
        client->stalled_ns < base->sent_ns)
        world_fail(client->world, "%s: a rebalance that is never over: its join took %.3f ms",
            client->name, (double)(client->world->sim.now_ns - base->sent_ns) / 1e6);
    if (answer && answer->error_code == KAFKA_ERROR_MEMBER_ID_REQUIRED)
        copy_id(member, member->id, answer->member_id);
    else if (answer && answer->error_code)
        refused(member, base, call->claim.id, answer->error_code);
    else if (answer)
        keep_join(member, base, answer);
    mem_free(call);
}

static void offer_protocols(struct sim_member *member, struct join_group_request *request)
{
    struct world *w = member->client.world;
    static const char *const eager[] = { "range", "roundrobin" };
    struct share share = { .topics = member->topics, .generation = member->held_since };
    if (member->style.cooperative)
        share.owned = member->keys;
    struct bytes words = subscription_encode(w, &share, member->style.cooperative);
    request->protocol_type = bytes_text("consumer");
    request->protocols_count = member->style.cooperative ? 1 : 2;
    request->protocols = scratch_array(w, &join_group_request_protocol_table, 2);
    for (int i = 0; i < 2; i++) {
        request->protocols[i].name = member->style.cooperative
                                         ? bytes_text("cooperative-sticky")
                                         : bytes_text(eager[(i + member->client.index) % 2]);
        request->protocols[i].metadata = words;
    }
}

static void join(struct sim_member *member)
{
    struct join_group_request request;
    /* A static leader that comes back is told that it leads from version 9 on (KIP-814); with an
     * older one nobody looks after topics that grow. */
    int16_t oldest = (int16_t)(!member->instance[0] ? 1 : member->id[0] ? 5 : 9);
    int16_t version = client_version(&member->client, API_JOIN_GROUP, oldest);
    if (!member->style.cooperative)
        let_go(member);
    codec_defaults(&join_group_request_message, &request);
    request.group_id = group_of(member);
    request.session_timeout_ms = member->style.session_ms;
    if (member->style.session_ms > REBALANCE_MS)
        member->heard_ns = 0; /* one who joins and does not sync is dropped before */
    request.rebalance_timeout_ms = REBALANCE_MS;
    request.member_id = bytes_text(member->id);
    request.group_instance_id = instance_of(member);
    offer_protocols(member, &request);
    member->stage = JOINING;
    member->busy = true;
    send(member, call_make(member, joined), API_JOIN_GROUP, version, &request);
}

/* ---- SyncGroup ---- */

static void keep_assignment(
    struct sim_member *member, const struct member_call *call, struct bytes assignment)
{
    struct world *w = member->client.world;
    uint32_t nonce = 0, keys = 0;
    if (assignment.len)
        assignment_decode(w, assignment, &nonce, &keys);
    if (assignment.len && !nonce && !member->style.mixed)
        world_fail(w, "%s: an assignment of nobody's", member->client.name);
    if (!assignment.len && !member->instance[0]) /* one who was not there when they were made */
        world_fail(w, "%s: no assignment", member->client.name);
    arena_reset(&w->scratch);
    uint32_t revoked = member->style.cooperative ? member->keys & ~keys : 0;
    /* Of an answer that took so long the group may think differently by now. */
    bool late = w->sim.now_ns - call->call.sent_ns > member->style.session_ms * CLOCK_NS_PER_MS / 2;
    if (member->style.mixed && !late)
        sim_group_given(w, call->claim.group, call->claim.seat, keys, member->client.name);
    if (member->style.mixed)
        roster_granted(
            w, call->claim.group, &(struct roster_grant){ call->claim.seat, keys, 0, !late });
    else
        roster_synced(w, &call->claim, nonce, keys);
    if (nonce != member->nonce)
        member->assigned_of = 0; /* an older one was taken: if it leads, it assigns again */
    member->keys = keys;
    member->held_since = call->claim.generation;
    member->in_moment = w->moment;
    member->in_ms = clock_wall_ms(w->sim.doors.clock);
    member->stage = revoked ? OUT : IN; /* what it let go of is for somebody else: again */
    w->totals->revoked += revoked != 0;
    member->heartbeat_ns = w->sim.now_ns;
}

static void synced(struct client *client, struct call *base, void *body)
{
    struct sim_member *member = member_of(client);
    struct member_call *call = call_of(base);
    const struct sync_group_response *answer = body;
    member->busy = false;
    if (!answer) {
        if (member->stage == SYNCING)
            member->stage = JOINED;
    } else if (answer->error_code) {
        member->stage = JOINED;
        refused(member, base, call->claim.id, answer->error_code);
    } else {
        keep_assignment(member, call, answer->assignment);
        heard(member, base);
    }
    mem_free(call);
}

static void assign(struct sim_member *member, struct sync_group_request *request)
{
    struct world *w = member->client.world;
    uint32_t nonce = 1 + (uint32_t)random_below(&w->random, UINT32_MAX);
    member->assigned_of = roster_keys(w, ~0u);
    member->nonce = nonce;
    shares_assign(w, member->members, member->member_count, member->style.cooperative);
    uint32_t given = 0, wanted = 0;
    for (int i = 0; i < member->member_count; i++) {
        given |= member->members[i].keys;
        wanted |= roster_keys(w, member->members[i].topics);
    }
    if (given != wanted) /* who is to let go may be away, and has nothing by now: once more, then */
        member->assigned_of = 0;
    request->assignments_count = member->member_count;
    request->assignments =
        scratch_array(w, &sync_group_request_assignment_table, member->member_count);
    for (int i = 0; i < member->member_count; i++) {
        request->assignments[i].member_id = bytes_text(member->members[i].id);
        request->assignments[i].assignment = assignment_encode(w, nonce, member->members[i].keys);
    }
}

static void sync(struct sim_member *member)
{
    struct sync_group_request request;
    codec_defaults(&sync_group_request_message, &request);
    request.group_id = group_of(member);
    request.generation_id = member->generation;
    request.member_id = bytes_text(member->id);
    request.group_instance_id = instance_of(member);
    request.protocol_type = bytes_text("consumer");
    request.protocol_name = bytes_text(member->protocol);
    request.assignments_count = 0;
    if (member->leader && !member->skips)
        assign(member, &request);
    member->stage = SYNCING;
    member->busy = true;
    int16_t version = client_version(&member->client, API_SYNC_GROUP, member->instance[0] ? 3 : 0);
    send(member, call_make(member, synced), API_SYNC_GROUP, version, &request);
}

/* ---- Heartbeat, LeaveGroup ---- */

static void beaten(struct client *client, struct call *base, void *body)
{
    struct sim_member *member = member_of(client);
    struct member_call *call = call_of(base);
    const struct heartbeat_response *answer = body;
    member->busy = false;
    if (answer && answer->error_code) {
        refused(member, base, call->claim.id, answer->error_code);
    } else if (answer) {
        if (member->style.mixed)
            roster_holds(client->world, &call->claim, call->keys, "a heartbeat");
        else
            roster_accepted(client->world, &call->claim, "a heartbeat");
        heard(member, base);
    }
    mem_free(call);
}

/* Of a generation that is over: whatever became of the member, it is refused. */
static void beaten_late(struct client *client, struct call *base, void *body)
{
    struct member_call *call = call_of(base);
    const struct heartbeat_response *answer = body;
    if (answer && !answer->error_code)
        world_fail(client->world,
            "%s: a heartbeat of an older generation than %" PRId32 " was accepted", client->name,
            call->claim.generation);
    client->world->totals->late_beats += answer != NULL;
    mem_free(call);
}

static void beat(struct sim_member *member, bool late)
{
    struct world *w = member->client.world;
    struct heartbeat_request request;
    codec_defaults(&heartbeat_request_message, &request);
    request.group_id = group_of(member);
    request.generation_id = member->generation - late;
    request.member_id = bytes_text(member->id);
    request.group_instance_id = instance_of(member);
    int16_t version = client_version(&member->client, API_HEARTBEAT, member->instance[0] ? 3 : 0);
    if (late) {
        struct member_call *call = call_make(member, beaten_late);
        client_send(&member->client, &call->call, API_HEARTBEAT, version, &request, false);
        return;
    }
    member->busy = true;
    member->heartbeat_ns = w->sim.now_ns + HEARTBEAT_MS * CLOCK_NS_PER_MS;
    send(member, call_make(member, beaten), API_HEARTBEAT, version, &request);
}

static void gone(struct client *client, struct call *base, void *body)
{
    struct sim_member *member = member_of(client);
    struct member_call *call = call_of(base);
    const struct leave_group_response *answer = body;
    member->busy = false;
    if (answer) {
        int16_t error = answer->error_code;
        if (!error && answer->members_count == 1)
            error = answer->members[0].error_code;
        if (error)
            refused(member, base, call->claim.id, error);
        else
            roster_gone(client->world, member->style.group, call->claim.id);
        client->world->totals->left += error == 0;
    }
    forget_id(member);
    member->stage = OUT;
    mem_free(call);
}

static void leave(struct sim_member *member)
{
    struct world *w = member->client.world;
    struct leave_group_request request;
    codec_defaults(&leave_group_request_message, &request);
    request.group_id = group_of(member);
    request.member_id = bytes_text(member->id);
    request.members_count = 1;
    request.members = scratch_array(w, &leave_group_request_member_identity_table, 1);
    request.members->member_id = bytes_text(member->id);
    request.members->group_instance_id = instance_of(member);
    member->busy = true;
    member->heard_ns = 0; /* from now on it may be unknown */
    let_go(member);
    int16_t version = client_version(&member->client, API_LEAVE_GROUP, member->instance[0] ? 3 : 0);
    send(member, call_make(member, gone), API_LEAVE_GROUP, version, &request);
}

/* ---- offsets ---- */

static void commit_refused(
    struct client *client, const struct call *call, const struct roster_claim *claim, int16_t error)
{
    struct sim_member *member = member_of(client);
    /* One that comes late says nothing of what the member is by now. */
    if (is_simple(member) || (member->stage == IN && member->generation == claim->generation &&
                                 strcmp(member->id, claim->id) == 0))
        refused(member, call, claim->id, error);
}

static struct party party_of(const struct sim_member *member)
{
    struct party party = { .claim = claim_of(member),
        .instance = member->instance,
        .keys = is_simple(member) ? roster_keys(member->client.world, ~0u) : member->keys,
        .refused = commit_refused };
    if (is_simple(member))
        party.claim.generation = -1;
    return party;
}

static void commit(struct sim_member *member)
{
    struct party party = party_of(member);
    if (!party.keys)
        return;
    /* What it still had to commit of the generation before. */
    bool late = !is_simple(member) && member->style.unsteady && !member->client.world->calm &&
                member->generation > 1 && world_chance(member->client.world, 1, 12);
    if (late) {
        party.claim.generation--;
        member->client.world->totals->late_commits++;
        offsets_commit(&member->client, &party);
        return;
    }
    if (member->style.transactional && !member->client.world->calm &&
        !spender_is_busy(&member->spender) && world_chance(member->client.world, 1, 2))
        spender_begin(&member->client, &member->spender, &party);
    else
        offsets_commit(&member->client, &party);
}

/* ---- what it does ---- */

/* The client program dies. It comes back later, perhaps as somebody new. */
static void die(struct sim_member *member)
{
    struct world *w = member->client.world;
    world_say(w, "%s: dies", member->client.name);
    client_reset(&member->client);
    if (world_chance(w, 1, 2))
        forget_id(member);
    lose_all(member);
    event_set(w, &member->client.act, world_pick(w, 10, 8000) * CLOCK_NS_PER_MS);
}

/* Another set of topics, or (the leader) other topics. */
static bool wants_to_join_again(struct sim_member *member)
{
    struct world *w = member->client.world;
    /* A static one that comes back with other wishes makes no rebalance, and may be as it was. */
    if (member->style.unsteady && !member->style.fixed && !w->calm && world_chance(w, 1, 120)) {
        uint32_t all = (1u << ROSTER_TOPICS) - 1;
        member->topics = 1 + (uint32_t)random_below(&w->random, all);
        w->roster.groups[member->style.group].choosy = true;
        w->totals->resubscribed++;
        return true;
    }
    return member->leader && member->assigned_of != roster_keys(w, ~0u);
}

static void act_inside(struct sim_member *member)
{
    struct world *w = member->client.world;
    if (w->sim.now_ns >= member->heartbeat_ns)
        beat(member, false);
    else if (member->busy_ns > w->sim.now_ns)
        return;
    else if (member->busy_ns) {
        member->busy_ns = 0;
        member->stage = OUT;
    } else if (member->style.unsteady && !w->calm && world_chance(w, 1, 60))
        beat(member, true);
    else if (wants_to_join_again(member))
        member->stage = OUT;
    else if (roster_is_closed(w, member->style.group) || (!w->calm && world_chance(w, 1, 150)))
        leave(member);
    else if (world_chance(w, 1, 3))
        commit(member);
    else if (world_chance(w, 1, 3))
        offsets_fetch(&member->client, member->style.group);
}

static void act_simple(struct sim_member *member)
{
    if (member->client.call_count >= CALLS_MAX)
        return;
    if (world_chance(member->client.world, 1, 2) &&
        !roster_is_closed(member->client.world, member->style.group))
        commit(member);
    else
        offsets_fetch(&member->client, member->style.group);
}

static void act_out(struct sim_member *member)
{
    struct party party = party_of(member);
    if (member->commits_first)
        offsets_commit(&member->client, &party);
    else
        join(member);
    member->commits_first = false;
}

/* True: this step does nothing else. */
static bool misbehave(struct sim_member *member)
{
    struct world *w = member->client.world;
    if (w->calm || spender_is_busy(&member->spender))
        return false;
    if (world_chance(w, 1, 250)) {
        die(member);
        return true;
    }
    if (!member->style.unsteady || member->stage != IN || !world_chance(w, 1, 100))
        return false;
    w->totals->late++; /* its heartbeats */
    event_set(w, &member->client.act, world_pick(w, 1000, 8000) * CLOCK_NS_PER_MS);
    return true;
}

static void die_for_good(struct sim_member *member)
{
    struct world *w = member->client.world;
    if (!member->style.mortal || member->dead || !world_chance(w, 1, 3))
        return;
    world_say(w, "%s: dies for good", member->client.name);
    w->totals->retired++;
    member->dead = true;
    client_reset(&member->client);
    let_go(member);
}

/* Faults have ended: some never come back, and the others must take over. */
static bool is_dead(struct sim_member *member)
{
    if (member->client.world->calm && !member->decided && !spender_is_busy(&member->spender)) {
        member->decided = true;
        die_for_good(member);
    }
    return member->dead;
}

static void step(struct client *client)
{
    struct sim_member *member = member_of(client);
    struct world *w = client->world;
    client_again(client, member->style.unsteady && w->calm ? CALM_MS : member->style.pace_ms);
    bool closed = roster_is_closed(w, member->style.group);
    client->may_be_closed = (w->calm && is_twin(member)) || closed; /* it is silent for long */
    if (w->quiet || is_dead(member) || !roster_ready(w) || !client_connect(client))
        return;
    if (client->call_count <= CALLS_MAX)
        spender_step(client, &member->spender);
    if (is_simple(member)) {
        act_simple(member);
        return;
    }
    if ((w->calm && is_twin(member)) || misbehave(member) || member->busy ||
        client->call_count > CALLS_MAX)
        return;
    if (member->stage == OUT && closed)
        return;
    if (member->stage == OUT)
        act_out(member);
    else if (member->stage == JOINED)
        sync(member);
    else if (member->stage == IN)
        act_inside(member);
}

static void lost(struct client *client)
{
    member_of(client)->busy = false;
}

static void destroy(struct client *client)
{
    client_done(client);
    mem_free(member_of(client));
}

/* ---- coming to rest ---- */

void sim_members_thin(struct world *world)
{
    list_foreach (node, &world->clients) {
        struct client *client = list_entry(node, struct client, link);
        if (client->destroy == destroy)
            die_for_good(member_of(client));
    }
}

static const char *group_unsettled(
    struct world *world, int group, uint32_t *ret_keys, uint32_t *ret_topics)
{
    uint32_t keys = *ret_keys, topics = *ret_topics;
    int32_t generation = -1;
    list_foreach (node, &world->clients) {
        struct client *client = list_entry(node, struct client, link);
        if (client->destroy != destroy || member_of(client)->style.group != group)
            continue;
        const struct sim_member *member = member_of(client);
        if (spender_is_busy(&member->spender))
            return "a transaction is open";
        if (is_simple(member) || is_twin(member) || member->dead)
            continue;
        if (!member->decided)
            return "a member sleeps";
        if (member->stage != IN || member->busy_ns)
            return "a member is not in";
        if (!is_surely_in(member))             /* nor while it leaves, however early that is */
            return "a member is not heard of"; /* an answer stalls since before */
        if (generation >= 0 && member->generation != generation)
            return "members are of different generations";
        if (keys & member->keys)
            return "a partition has two owners";
        if (member->keys & ~roster_keys(world, member->topics))
            return "a member has what it does not want";
        generation = member->generation;
        keys |= member->keys;
        topics |= member->topics;
    }
    *ret_keys = keys;
    *ret_topics = topics;
    return NULL;
}

static const char *all_are_owned(struct world *world, int group, uint32_t keys, uint32_t topics)
{
    if (keys == roster_keys(world, topics))
        return NULL;
    world_say(world, "%s: keys %x are held, of %x", roster_group_name(group), keys,
        roster_keys(world, topics));
    return "a partition has no owner";
}

static bool is_mixed(const struct world *world, int group)
{
    list_foreach (node, &world->clients) {
        struct client *client = list_entry(node, struct client, link);
        if (client->destroy == destroy && member_of(client)->style.group == group)
            return member_of(client)->style.mixed;
    }
    return false;
}

const char *sim_members_unsettled(struct world *world)
{
    for (int g = 0; g < ROSTER_GROUPS; g++) {
        uint32_t keys = 0, topics = 0;
        const char *why = group_unsettled(world, g, &keys, &topics);
        if (!why && !is_mixed(world, g))
            why = all_are_owned(world, g, keys, topics);
        if (why)
            return why;
    }
    return NULL;
}

const char *sim_mixed_unsettled(struct world *world, int group)
{
    uint32_t keys = 0, topics = 0;
    const char *why = group_unsettled(world, group, &keys, &topics);
    if (!why)
        why = sim_followers_unsettled(world, group, &keys, &topics);
    return why ? why : all_are_owned(world, group, keys, topics);
}

struct client *sim_member_create(struct world *world, int index, const struct member_style *style)
{
    struct sim_member *member = mem_zalloc(1, sizeof(*member));
    client_init(&member->client, world, "member", index);
    member->style = *style;
    member->topics = (1u << ROSTER_TOPICS) - 1;
    member->spender.producer = index / 2;
    if (style->fixed)
        (void)snprintf(member->instance, sizeof(member->instance), "static-%d", style->seat);
    member->client.step = step;
    member->client.lost = lost;
    member->client.destroy = destroy;
    return &member->client;
}
