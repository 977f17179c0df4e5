/*
 * A member of a consumer group.
 *
 *     OUT ──join──▶ JOINING ──▶ JOINED ──sync──▶ SYNCING ──▶ IN: heartbeats, commits, fetches
 *      ▲                                                      │
 *      └────────── told to rebalance, or that it is unknown ──┘
 *
 * Members crash (and come back, as themselves or anew), leave, and stall. Some are static. The
 * leader gives each partition to one member; a number in the assignment tells which leader's work
 * it is. The last ones have no membership: they commit from outside.
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
#include "tests/sim/roles.h"

enum {
    MEMBERS_MAX = 8,
    SESSION_MS = 3000,
    REBALANCE_MS = 4000,
    HEARTBEAT_MS = 700,
    GROUPS_WITH_MEMBERS = ROSTER_SIMPLE,
    ASSIGNMENT_SIZE = 8, /* number of the assignment, bits of keys */
    COMMIT_WITH_IDS = 10,
    FETCH_OF_GROUPS = 8,
    FETCH_WITH_IDS = 10,
};

enum stage { OUT, JOINING, JOINED, SYNCING, IN };

struct sim_member {
    struct client client; /* first */
    int group;
    enum stage stage;
    char instance[32]; /* "": dynamic */
    char id[ROSTER_ID_SIZE];
    int32_t generation;
    bool leader;
    char members[MEMBERS_MAX][ROSTER_ID_SIZE]; /* the leader's */
    int member_count;
    uint32_t keys;        /* assigned, by bit */
    int64_t heard_ns;     /* when a request was sent that the group accepted; 0: never */
    int64_t heartbeat_ns; /* when the next is due */
    bool busy;            /* a join, sync, heartbeat or leave is under way */
};

struct member_call {
    struct call call;             /* first */
    int64_t offsets[ROSTER_KEYS]; /* committed; 0: not of this call */
    uint32_t nonce;
    int32_t generation;
    bool all;
};

static struct sim_member *member_of(struct client *client)
{
    return container_of(client, struct sim_member, client);
}

static bool is_simple(const struct sim_member *member)
{
    return member->group == ROSTER_SIMPLE;
}

static struct member_call *call_make(
    void (*answered)(struct client *client, struct call *call, void *answer))
{
    struct member_call *call = mem_zalloc(1, sizeof(*call));
    call->call.answered = answered;
    return call;
}

static struct bytes instance_of(const struct sim_member *member)
{
    return member->instance[0] ? bytes_text(member->instance) : (struct bytes){ 0 };
}

static struct bytes group_of(const struct sim_member *member)
{
    return bytes_text(roster_group_name(member->group));
}

static void go_out(struct sim_member *member)
{
    member->stage = OUT;
    member->keys = 0;
}

static void forget_id(struct sim_member *member)
{
    member->id[0] = 0;
    member->heard_ns = 0;
}

/* Accepted: the session counts from there at the earliest. */
static void heard(struct sim_member *member, const struct call *call)
{
    if (call->sent_ns > member->heard_ns)
        member->heard_ns = call->sent_ns;
}

/* What an error makes of a member; fails for one that may not be. */
static void refused(struct sim_member *member, const struct call *call, int16_t error)
{
    struct world *w = member->client.world;
    world_say(w, "    %s: %s", member->client.name, error_name(error));
    switch (error) {
    case KAFKA_ERROR_UNKNOWN_MEMBER_ID:
        if (member->heard_ns && member->heard_ns + SESSION_MS * CLOCK_NS_PER_MS > w->sim.now_ns)
            world_fail(w, "%s: unknown to %s although it was heard %.3f ms ago (%s)",
                member->client.name, roster_group_name(member->group),
                (double)(w->sim.now_ns - member->heard_ns) / 1e6, call->schema->name);
        w->totals->expired++;
        forget_id(member);
        go_out(member);
        break;
    case KAFKA_ERROR_FENCED_INSTANCE_ID:
        if (!member->instance[0])
            world_fail(w, "%s: fenced, and has no instance id", member->client.name);
        forget_id(member);
        go_out(member);
        break;
    case KAFKA_ERROR_ILLEGAL_GENERATION:
    case KAFKA_ERROR_REBALANCE_IN_PROGRESS: go_out(member); break;
    case KAFKA_ERROR_COORDINATOR_NOT_AVAILABLE: break; /* no room, or it stops: again */
    default:
        world_fail(w, "%s: %s: %s", member->client.name, call->schema->name, error_name(error));
    }
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
        copy_id(member, member->members[i], one->member_id);
        myself |= strcmp(member->members[i], member->id) == 0;
        if (one->metadata.len < 7 || memcmp(one->metadata.data, "member-", 7) != 0)
            world_fail(w, "%s: another metadata of %s", member->client.name, member->members[i]);
    }
    if (member->leader && !myself)
        world_fail(w, "%s: the leader is not among the members", member->client.name);
}

static void joined(struct client *client, struct call *base, void *body)
{
    struct sim_member *member = member_of(client);
    const struct join_group_response *answer = body;
    char leader[ROSTER_ID_SIZE];
    member->busy = false;
    if (!answer) {
        go_out(member);
    } else if (answer->error_code == KAFKA_ERROR_MEMBER_ID_REQUIRED) {
        copy_id(member, member->id, answer->member_id);
        go_out(member);
    } else if (answer->error_code) {
        go_out(member);
        refused(member, base, answer->error_code);
    } else {
        copy_id(member, member->id, answer->member_id);
        copy_id(member, leader, answer->leader);
        client->world->totals->joins++;
        world_say(client->world, "    %s is %s in generation %" PRId32 " of %s", client->name,
            member->id, answer->generation_id, leader);
        roster_joined(client->world, member->group, answer->generation_id, leader, base->sent);
        member->generation = answer->generation_id;
        member->leader = strcmp(leader, member->id) == 0;
        keep_members(member, answer);
        member->stage = JOINED;
    }
    mem_free(container_of(base, struct member_call, call));
}

static void join(struct sim_member *member)
{
    struct world *w = member->client.world;
    struct join_group_request request;
    int16_t version = client_version(&member->client, API_JOIN_GROUP, member->instance[0] ? 5 : 1);
    codec_defaults(&join_group_request_message, &request);
    request.group_id = group_of(member);
    request.session_timeout_ms = SESSION_MS;
    request.rebalance_timeout_ms = REBALANCE_MS;
    request.member_id = bytes_text(member->id);
    request.group_instance_id = instance_of(member);
    request.protocol_type = bytes_text("consumer");
    request.protocols_count = 2;
    request.protocols = scratch_array(w, &join_group_request_protocol_table, 2);
    request.protocols[0].name = bytes_text("range");
    request.protocols[1].name = bytes_text("roundrobin");
    request.protocols[0].metadata = request.protocols[1].metadata = bytes_text(member->client.name);
    member->stage = JOINING;
    member->busy = true;
    client_send(
        &member->client, &call_make(joined)->call, API_JOIN_GROUP, version, &request, false);
}

/* ---- SyncGroup ---- */

static void synced(struct client *client, struct call *base, void *body)
{
    struct sim_member *member = member_of(client);
    struct member_call *call = container_of(base, struct member_call, call);
    const struct sync_group_response *answer = body;
    struct world *w = client->world;
    member->busy = false;
    if (!answer) {
        if (member->stage == SYNCING)
            member->stage = JOINED;
    } else if (answer->error_code) {
        member->stage = JOINED;
        refused(member, base, answer->error_code);
    } else {
        if (answer->assignment.len != ASSIGNMENT_SIZE &&
            (answer->assignment.len != 0 || !member->instance[0]))
            world_fail(w, "%s: another assignment than the leader's", client->name);
        uint32_t nonce = 0;
        member->keys = 0;
        if (answer->assignment.len) {
            nonce = be_get32(answer->assignment.data);
            member->keys = be_get32(answer->assignment.data + 4);
        }
        roster_accepted(w, member->group, call->generation, base->sent, "a sync");
        if (nonce)
            roster_synced(w, member->group, call->generation, client->index, nonce, member->keys);
        member->stage = IN;
        member->heartbeat_ns = w->sim.now_ns;
        heard(member, base);
    }
    mem_free(call);
}

/* One partition after the other to the members in turn. */
static void assign(struct sim_member *member, struct sync_group_request *request, uint32_t nonce)
{
    struct world *w = member->client.world;
    request->assignments_count = member->member_count;
    request->assignments =
        scratch_array(w, &sync_group_request_assignment_table, member->member_count);
    for (int i = 0; i < member->member_count; i++) {
        uint8_t *data = scratch_alloc(w, ASSIGNMENT_SIZE);
        uint32_t keys = 0;
        for (int k = i; k < ROSTER_KEYS; k += member->member_count)
            keys |= 1u << k;
        be_put32(data, nonce);
        be_put32(data + 4, keys);
        request->assignments[i].member_id = bytes_text(member->members[i]);
        request->assignments[i].assignment = bytes_of(data, ASSIGNMENT_SIZE);
    }
}

static void sync(struct sim_member *member)
{
    struct world *w = member->client.world;
    struct member_call *call = call_make(synced);
    struct sync_group_request request;
    codec_defaults(&sync_group_request_message, &request);
    request.group_id = group_of(member);
    request.generation_id = member->generation;
    request.member_id = bytes_text(member->id);
    request.group_instance_id = instance_of(member);
    request.protocol_type = bytes_text("consumer");
    request.protocol_name = bytes_text("range");
    request.assignments_count = 0;
    call->generation = member->generation;
    if (member->leader)
        assign(member, &request, 1 + (uint32_t)random_below(&w->random, UINT32_MAX));
    member->stage = SYNCING;
    member->busy = true;
    int16_t version = client_version(&member->client, API_SYNC_GROUP, member->instance[0] ? 3 : 0);
    client_send(&member->client, &call->call, API_SYNC_GROUP, version, &request, false);
}

/* ---- Heartbeat, LeaveGroup ---- */

static void beaten(struct client *client, struct call *base, void *body)
{
    struct sim_member *member = member_of(client);
    struct member_call *call = container_of(base, struct member_call, call);
    const struct heartbeat_response *answer = body;
    member->busy = false;
    if (answer && answer->error_code) {
        refused(member, base, answer->error_code);
    } else if (answer) {
        roster_accepted(client->world, member->group, call->generation, base->sent, "a heartbeat");
        heard(member, base);
    }
    mem_free(call);
}

static void beat(struct sim_member *member)
{
    struct world *w = member->client.world;
    struct member_call *call = call_make(beaten);
    struct heartbeat_request request;
    codec_defaults(&heartbeat_request_message, &request);
    request.group_id = group_of(member);
    request.generation_id = call->generation = member->generation;
    request.member_id = bytes_text(member->id);
    request.group_instance_id = instance_of(member);
    member->busy = true;
    member->heartbeat_ns = w->sim.now_ns + HEARTBEAT_MS * CLOCK_NS_PER_MS;
    int16_t version = client_version(&member->client, API_HEARTBEAT, member->instance[0] ? 3 : 0);
    client_send(&member->client, &call->call, API_HEARTBEAT, version, &request, false);
}

static void gone(struct client *client, struct call *base, void *body)
{
    struct sim_member *member = member_of(client);
    const struct leave_group_response *answer = body;
    member->busy = false;
    if (answer) {
        int16_t error = answer->error_code;
        if (!error && answer->members_count == 1)
            error = answer->members[0].error_code;
        if (error)
            refused(member, base, error);
        client->world->totals->left += error == 0;
    }
    forget_id(member);
    go_out(member);
    mem_free(container_of(base, struct member_call, call));
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
    int16_t version = client_version(&member->client, API_LEAVE_GROUP, member->instance[0] ? 3 : 0);
    client_send(&member->client, &call_make(gone)->call, API_LEAVE_GROUP, version, &request, false);
}

/* ---- OffsetCommit ---- */

static int key_of(
    struct world *w, struct bytes name, const struct uuid *id, bool by_id, int32_t partition)
{
    for (int key = 0; key < ROSTER_KEYS; key++) {
        int slot = roster_slot(key);
        bool same = by_id ? uuid_equal(w->ledger.newest[slot]->id, *id)
                          : bytes_equal_text(name, slots[slot].name);
        if (same && roster_partition(key) == partition)
            return key;
    }
    return -1;
}

static void commit_row(struct sim_member *member, struct member_call *call, int key, int16_t error)
{
    struct world *w = member->client.world;
    if (key < 0 || call->offsets[key] == 0)
        world_fail(w, "%s: OffsetCommit answers for another partition", member->client.name);
    roster_committed(
        w, member->group, key, call->offsets[key], error ? COMMIT_REFUSED : COMMIT_DONE);
    call->offsets[key] = 0;
    w->totals->commits += error == 0;
    w->totals->commits_refused += error != 0;
    /* One that comes late says nothing of what the member is by now. */
    if (error &&
        (is_simple(member) || (member->stage == IN && member->generation == call->generation)))
        refused(member, &call->call, error);
    if (!error && !is_simple(member))
        roster_accepted(w, member->group, call->generation, call->call.sent, "a commit");
}

static void committed(struct client *client, struct call *base, void *body)
{
    struct sim_member *member = member_of(client);
    struct member_call *call = container_of(base, struct member_call, call);
    const struct offset_commit_response *answer = body;
    for (int32_t t = 0; answer && t < answer->topics_count; t++) {
        const struct offset_commit_response_topic *topic = &answer->topics[t];
        for (int32_t p = 0; p < topic->partitions_count; p++) {
            int key = key_of(client->world, topic->name, &topic->topic_id,
                base->version >= COMMIT_WITH_IDS, topic->partitions[p].partition_index);
            commit_row(member, call, key, topic->partitions[p].error_code);
        }
    }
    for (int key = 0; key < ROSTER_KEYS; key++) {
        if (!call->offsets[key])
            continue;
        if (answer)
            world_fail(client->world, "%s: OffsetCommit leaves out key %d", client->name, key);
        roster_committed(client->world, member->group, key, call->offsets[key], COMMIT_UNKNOWN);
    }
    mem_free(call);
}

/* What is committed with an offset, and must come back with it. */
static struct bytes note_of(struct world *w, int64_t offset)
{
    char *text = scratch_alloc(w, 64);
    int len = snprintf(text, 64, "offset %" PRId64, offset);
    if (offset % 7 == 0)
        return (struct bytes){ 0 }; /* null, which is told as empty */
    return bytes_of(text, (size_t)len);
}

static void commit(struct sim_member *member)
{
    struct world *w = member->client.world;
    struct member_call *call = call_make(committed);
    struct offset_commit_request request;
    int16_t version =
        client_version(&member->client, API_OFFSET_COMMIT, member->instance[0] ? 7 : 2);
    codec_defaults(&offset_commit_request_message, &request);
    request.group_id = group_of(member);
    request.member_id = bytes_of("", 0);
    call->generation = -1;
    if (!is_simple(member)) {
        request.generation_id_or_member_epoch = call->generation = member->generation;
        request.member_id = bytes_text(member->id);
        request.group_instance_id = instance_of(member);
    }
    request.topics = scratch_array(w, &offset_commit_request_topic_table, ROSTER_KEYS);
    for (int key = 0; key < ROSTER_KEYS; key++) {
        if (!(member->keys & 1u << key) || world_chance(w, 1, 3))
            continue;
        struct offset_commit_request_topic *topic = &request.topics[request.topics_count++];
        call->offsets[key] = roster_commit(w, member->group, key);
        topic->name = bytes_text(slots[roster_slot(key)].name);
        topic->topic_id = w->ledger.newest[roster_slot(key)]->id;
        topic->partitions_count = 1;
        topic->partitions = scratch_array(w, &offset_commit_request_partition_table, 1);
        topic->partitions->partition_index = roster_partition(key);
        topic->partitions->committed_offset = call->offsets[key];
        topic->partitions->committed_leader_epoch = (int32_t)(call->offsets[key] % 100);
        topic->partitions->committed_metadata = note_of(w, call->offsets[key]);
    }
    if (request.topics_count == 0) {
        mem_free(call);
        return;
    }
    for (int key = 0; key < ROSTER_KEYS; key++) {
        if (call->offsets[key])
            roster_commit_sent(w, member->group, key, call->offsets[key]);
    }
    client_send(&member->client, &call->call, API_OFFSET_COMMIT, version, &request, false);
}

/* ---- OffsetFetch ---- */

struct told {
    int64_t offset;
    int32_t epoch;
    struct bytes metadata;
    int16_t error;
};

static void fetch_row(
    struct sim_member *member, struct member_call *call, int key, const struct told *told)
{
    struct world *w = member->client.world;
    if (key < 0 || told->error)
        world_fail(
            w, "%s: OffsetFetch of key %d: %s", member->client.name, key, error_name(told->error));
    call->offsets[key] = 1; /* seen */
    roster_fetched(w, member->group, key, told->offset, call->call.sent);
    if (told->offset < 0)
        return;
    struct bytes note = note_of(w, told->offset);
    /* Older commits tell no epoch. */
    if (!bytes_equal(note, told->metadata) ||
        (told->epoch != -1 && told->epoch != told->offset % 100))
        world_fail(w, "%s: offset %" PRId64 " came back with another note", member->client.name,
            told->offset);
}

static void rows_of_group(
    struct sim_member *member, struct member_call *call, const struct offset_fetch_response *answer)
{
    struct world *w = member->client.world;
    if (answer->groups_count != 1 || answer->groups[0].error_code)
        world_fail(w, "%s: OffsetFetch: no such group", member->client.name);
    for (int32_t t = 0; t < answer->groups[0].topics_count; t++) {
        const struct offset_fetch_response_topics *topic = &answer->groups[0].topics[t];
        for (int32_t p = 0; p < topic->partitions_count; p++) {
            const struct offset_fetch_response_partitions *row = &topic->partitions[p];
            struct told told = { row->committed_offset, row->committed_leader_epoch, row->metadata,
                row->error_code };
            fetch_row(member, call,
                key_of(w, topic->name, &topic->topic_id, call->call.version >= FETCH_WITH_IDS,
                    row->partition_index),
                &told);
        }
    }
}

static void rows_of_old(
    struct sim_member *member, struct member_call *call, const struct offset_fetch_response *answer)
{
    struct world *w = member->client.world;
    if (answer->error_code)
        world_fail(w, "%s: OffsetFetch: %s", member->client.name, error_name(answer->error_code));
    for (int32_t t = 0; t < answer->topics_count; t++) {
        const struct offset_fetch_response_topic *topic = &answer->topics[t];
        for (int32_t p = 0; p < topic->partitions_count; p++) {
            const struct offset_fetch_response_partition *row = &topic->partitions[p];
            struct told told = { row->committed_offset, row->committed_leader_epoch, row->metadata,
                row->error_code };
            fetch_row(
                member, call, key_of(w, topic->name, NULL, false, row->partition_index), &told);
        }
    }
}

static void fetched(struct client *client, struct call *base, void *body)
{
    struct sim_member *member = member_of(client);
    struct member_call *call = container_of(base, struct member_call, call);
    if (!body) {
        mem_free(call);
        return;
    }
    if (base->version >= FETCH_OF_GROUPS)
        rows_of_group(member, call, body);
    else
        rows_of_old(member, call, body);
    for (int key = 0; key < ROSTER_KEYS; key++) {
        if (call->offsets[key])
            continue;
        if (!call->all)
            world_fail(client->world, "%s: OffsetFetch leaves out key %d", client->name, key);
        roster_fetched(client->world, member->group, key, -1, base->sent);
    }
    arena_reset(&client->world->scratch);
    mem_free(call);
}

/* Topics and partitions of all keys; v1-7 and the later ones have structs of their own. */
static void ask_rows(struct world *w, struct offset_fetch_request *request)
{
    struct offset_fetch_request_group *group = request->groups;
    group->topics = scratch_array(w, &offset_fetch_request_topics_table, ROSTER_KEYS);
    request->topics = scratch_array(w, &offset_fetch_request_topic_table, ROSTER_KEYS);
    group->topics_count = request->topics_count = ROSTER_KEYS;
    for (int key = 0; key < ROSTER_KEYS; key++) {
        int slot = roster_slot(key);
        int32_t *partition = scratch_alloc(w, sizeof(*partition));
        *partition = roster_partition(key);
        group->topics[key].name = request->topics[key].name = bytes_text(slots[slot].name);
        group->topics[key].topic_id = w->ledger.newest[slot]->id;
        group->topics[key].partition_indexes = request->topics[key].partition_indexes = partition;
        group->topics[key].partition_indexes_count = request->topics[key].partition_indexes_count =
            1;
    }
}

static void fetch(struct sim_member *member)
{
    struct world *w = member->client.world;
    struct member_call *call = call_make(fetched);
    struct offset_fetch_request request;
    codec_defaults(&offset_fetch_request_message, &request);
    call->all = world_chance(w, 1, 3);
    request.group_id = group_of(member);
    request.require_stable = false;
    request.groups_count = 1;
    request.groups = scratch_array(w, &offset_fetch_request_group_table, 1);
    request.groups->group_id = group_of(member);
    ask_rows(w, &request);
    if (call->all) {
        request.topics = NULL;
        request.groups->topics = NULL;
        request.topics_count = request.groups->topics_count = -1;
    }
    int16_t version = client_version(&member->client, API_OFFSET_FETCH, call->all ? 2 : 1);
    client_send(&member->client, &call->call, API_OFFSET_FETCH, version, &request, false);
}

/* ---- what it does ---- */

static bool topics_are_there(const struct world *w)
{
    for (int key = 0; key < ROSTER_KEYS; key++) {
        const struct ledger_topic *topic = w->ledger.newest[roster_slot(key)];
        if (!topic || !topic->known)
            return false;
    }
    return true;
}

/* The client program dies. It comes back later, perhaps as somebody new. */
static void die(struct sim_member *member)
{
    struct world *w = member->client.world;
    world_say(w, "%s: dies", member->client.name);
    client_reset(&member->client);
    if (world_chance(w, 1, 2))
        forget_id(member);
    go_out(member);
    event_set(w, &member->client.act, world_pick(w, 10, 8000) * CLOCK_NS_PER_MS);
}

static void act_inside(struct sim_member *member)
{
    struct world *w = member->client.world;
    if (w->sim.now_ns >= member->heartbeat_ns)
        beat(member);
    else if (!w->calm && world_chance(w, 1, 150))
        leave(member);
    else if (world_chance(w, 1, 3) && member->keys)
        commit(member);
    else if (world_chance(w, 1, 3))
        fetch(member);
}

static void step(struct client *client)
{
    struct sim_member *member = member_of(client);
    struct world *w = client->world;
    client_again(client, 120);
    if (w->quiet || !topics_are_there(w) || !client_connect(client))
        return;
    if (is_simple(member)) {
        if (client->call_count < 3 && world_chance(w, 1, 2))
            commit(member);
        else if (client->call_count < 3)
            fetch(member);
        return;
    }
    if (!w->calm && world_chance(w, 1, 250)) {
        die(member);
        return;
    }
    if (member->busy || client->call_count > 3)
        return;
    if (member->stage == OUT)
        join(member);
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

const char *sim_members_unsettled(struct world *world)
{
    for (int g = 0; g < GROUPS_WITH_MEMBERS; g++) {
        uint32_t keys = 0;
        int32_t generation = -1;
        list_foreach (node, &world->clients) {
            struct client *client = list_entry(node, struct client, link);
            if (client->destroy != destroy || member_of(client)->group != g)
                continue;
            const struct sim_member *member = member_of(client);
            if (member->stage != IN)
                return "a member is not in";
            if (generation >= 0 && member->generation != generation)
                return "members are of different generations";
            if (keys & member->keys)
                return "a partition has two owners";
            generation = member->generation;
            keys |= member->keys;
        }
        if (keys != (1u << ROSTER_KEYS) - 1)
            return "a partition has no owner";
    }
    return NULL;
}

struct client *sim_member_create(struct world *world, int index)
{
    struct sim_member *member = mem_zalloc(1, sizeof(*member));
    client_init(&member->client, world, "member", index);
    member->group = index % ROSTER_GROUPS;
    if (is_simple(member))
        member->keys = (1u << ROSTER_KEYS) - 1;
    else if (index < ROSTER_GROUPS)
        (void)snprintf(member->instance, sizeof(member->instance), "static-%d", index);
    member->client.step = step;
    member->client.lost = lost;
    member->client.destroy = destroy;
    return &member->client;
}
