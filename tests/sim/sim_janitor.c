/*
 * Deletes groups, and offsets of groups (DeleteGroups, OffsetDelete; KIP-229, KIP-496).
 *
 * A group without members it deletes as it is. Another it closes first: all of its members stay
 * away (roster_is_closed) for long enough that nobody of them is missed any more; meanwhile it
 * keeps asking, and what it is told when a member is still there is that. Offsets it deletes at any
 * time: those of a topic that a member is subscribed to must stay. A deletion is a commit of
 * nothing, for the oracle; an answer that got lost leaves it open, as with a commit.
 *
 * Some it closes and does not delete: it sets the clock forward until time has taken offsets, and
 * perhaps the group, and asks what is left. In the end, when nobody is in any group, it looks for
 * all that time has left (sim_janitor_look).
 */
#include <inttypes.h>

#include "protocol/base/mem.h"
#include "protocol/error.h"
#include "tests/sim/member_offsets.h"
#include "tests/sim/roles.h"

enum {
    PACE_MS = 400,
    CLOSED_MS_MIN = 2000,
    CLOSED_MS_MAX = 12000, /* some leave, others must be missed first */
    JUMP_MS_MIN = 20000,
    JUMP_MS_MAX = 90000,
};

struct janitor {
    struct client client; /* first */
    bool busy;
    int closed;       /* a group; -1: none */
    bool waits;       /* ... and it is left to time */
    bool looks, gone; /* as sim_janitor_look says */
};

struct janitor_call {
    struct call call; /* first */
    int group;
    bool whole;
    int64_t numbers[ROSTER_KEYS]; /* of the deletions; 0: not of this call */
};

static struct janitor *janitor_of(struct client *client)
{
    return container_of(client, struct janitor, client);
}

static struct janitor_call *call_make(struct janitor *janitor, int group, uint32_t keys,
    void (*answered)(struct client *client, struct call *call, void *answer))
{
    struct world *w = janitor->client.world;
    struct janitor_call *call = mem_zalloc(1, sizeof(*call));
    call->call.answered = answered;
    call->group = group;
    for (int key = 0; key < ROSTER_KEYS; key++)
        if (keys & 1u << key)
            call->numbers[key] = roster_erase(w, group, key);
    janitor->busy = true;
    return call;
}

static void sent(struct world *w, const struct janitor_call *call)
{
    for (int key = 0; key < ROSTER_KEYS; key++)
        if (call->numbers[key])
            roster_commit_sent(w, call->group, key, call->numbers[key]);
}

static void resolve(
    struct world *w, struct janitor_call *call, int key, enum commit_outcome outcome)
{
    if (call->numbers[key])
        roster_committed(w, call->group, key, call->numbers[key], outcome);
    call->numbers[key] = 0;
}

static void resolve_all(struct world *w, struct janitor_call *call, enum commit_outcome outcome)
{
    for (int key = 0; key < ROSTER_KEYS; key++)
        resolve(w, call, key, outcome);
}

/* ---- DeleteGroups ---- */

static void group_deleted(struct client *client, struct call *base, void *body)
{
    struct janitor_call *call = container_of(base, struct janitor_call, call);
    struct world *w = client->world;
    const struct delete_groups_response *answer = body;
    enum commit_outcome outcome = COMMIT_UNKNOWN;
    janitor_of(client)->busy = false;
    if (answer && answer->results_count != 1)
        world_fail(w, "janitor: DeleteGroups answers for %" PRId32, answer->results_count);
    int16_t error = answer ? answer->results[0].error_code : KAFKA_ERROR_NONE;
    switch (error) {
    case KAFKA_ERROR_NONE:
        outcome = answer ? COMMIT_DONE : COMMIT_UNKNOWN;
        w->totals->groups_deleted += answer != NULL;
        break;
    case KAFKA_ERROR_NON_EMPTY_GROUP:
    case KAFKA_ERROR_GROUP_ID_NOT_FOUND: outcome = COMMIT_REFUSED; break;
    case KAFKA_ERROR_COORDINATOR_NOT_AVAILABLE: break;
    default: world_fail(w, "janitor: DeleteGroups: %s", error_name(error));
    }
    w->totals->deletions_refused += error == KAFKA_ERROR_NON_EMPTY_GROUP;
    /* Not empty now: it may have been deleted by one whose answer got lost, and be there again. */
    if (answer && (error == KAFKA_ERROR_NONE || error == KAFKA_ERROR_GROUP_ID_NOT_FOUND))
        roster_deletion_told(w, call->group, call->call.sent_ns);
    resolve_all(w, call, outcome);
    mem_free(call);
}

static void delete_group(struct janitor *janitor, int group)
{
    struct world *w = janitor->client.world;
    struct delete_groups_request request;
    struct bytes *name = scratch_alloc(w, sizeof(*name));
    codec_defaults(&delete_groups_request_message, &request);
    *name = bytes_text(roster_group_name(group));
    request.groups_names = name;
    request.groups_names_count = 1;
    struct janitor_call *call = call_make(janitor, group, ~0u, group_deleted);
    roster_deletion(w, group);
    client_send(&janitor->client, &call->call, API_DELETE_GROUPS,
        client_version(&janitor->client, API_DELETE_GROUPS, 0), &request, false);
    sent(w, call);
}

/* ---- OffsetDelete ---- */

static void offset_row(struct world *w, struct janitor_call *call, int key, int16_t error)
{
    if (key < 0 || call->numbers[key] == 0)
        world_fail(w, "janitor: OffsetDelete answers for another partition");
    if (error && error != KAFKA_ERROR_GROUP_SUBSCRIBED_TO_TOPIC)
        world_fail(w, "janitor: OffsetDelete of key %d: %s", key, error_name(error));
    if (!error && sim_group_wants(w, call->group, key, call->call.sent))
        world_fail(w, "janitor: the offset of key %d of %s was deleted, and a member reads it", key,
            roster_group_name(call->group));
    w->totals->offsets_deleted += !error;
    w->totals->offsets_spared += error != 0;
    resolve(w, call, key, error ? COMMIT_REFUSED : COMMIT_DONE);
}

static void offsets_deleted(struct client *client, struct call *base, void *body)
{
    struct janitor_call *call = container_of(base, struct janitor_call, call);
    struct world *w = client->world;
    const struct offset_delete_response *answer = body;
    janitor_of(client)->busy = false;
    int16_t error = answer ? answer->error_code : KAFKA_ERROR_NONE;
    for (int32_t i = 0; answer && i < answer->topics_count; i++) {
        const struct offset_delete_response_topic *topic = &answer->topics[i];
        for (int t = 0; t < ROSTER_TOPICS; t++) {
            if (!bytes_equal_text(topic->name, w->roster.topics[t].name))
                continue;
            for (int32_t p = 0; p < topic->partitions_count; p++)
                offset_row(w, call, t * ROSTER_PARTITIONS + topic->partitions[p].partition_index,
                    topic->partitions[p].error_code);
        }
    }
    if (error == KAFKA_ERROR_GROUP_ID_NOT_FOUND)
        resolve_all(w, call, COMMIT_REFUSED);
    else if (error && error != KAFKA_ERROR_COORDINATOR_NOT_AVAILABLE)
        world_fail(w, "janitor: OffsetDelete: %s", error_name(error));
    for (int key = 0; answer && !error && key < ROSTER_KEYS; key++)
        if (call->numbers[key])
            world_fail(w, "janitor: OffsetDelete leaves out key %d", key);
    resolve_all(w, call, COMMIT_UNKNOWN);
    mem_free(call);
}

static void delete_offsets(struct janitor *janitor, int group)
{
    struct world *w = janitor->client.world;
    struct offset_delete_request request;
    uint32_t keys = roster_keys(w, ~0u);
    codec_defaults(&offset_delete_request_message, &request);
    request.group_id = bytes_text(roster_group_name(group));
    request.topics = scratch_array(w, &offset_delete_request_topic_table, ROSTER_TOPICS);
    for (int key = 0; key < ROSTER_KEYS; key++)
        keys &= world_chance(w, 1, 3) ? ~0u : ~(1u << key);
    if (!keys)
        return;
    for (int t = 0; t < ROSTER_TOPICS; t++) {
        struct offset_delete_request_topic *topic = &request.topics[request.topics_count];
        topic->partitions =
            scratch_array(w, &offset_delete_request_partition_table, ROSTER_PARTITIONS);
        for (int32_t p = 0; p < ROSTER_PARTITIONS; p++)
            if (keys & 1u << (t * ROSTER_PARTITIONS + p))
                topic->partitions[topic->partitions_count++].partition_index = p;
        topic->name = bytes_text(w->roster.topics[t].name);
        request.topics_count += topic->partitions_count > 0;
    }
    struct janitor_call *call = call_make(janitor, group, keys, offsets_deleted);
    client_send(&janitor->client, &call->call, API_OFFSET_DELETE, 0, &request, false);
    sent(w, call);
}

/* ---- what it does ---- */

static void close_group(struct janitor *janitor, int group)
{
    struct world *w = janitor->client.world;
    world_say(w, "janitor: %s is closed", roster_group_name(group));
    janitor->closed = group;
    janitor->waits = group == ROSTER_SIMPLE || world_chance(w, 1, 2);
    if (janitor->waits && world_chance(w, 1, 2))
        roster_jump(w, world_pick(w, JUMP_MS_MIN, JUMP_MS_MAX));
    w->roster.groups[group].closed_ns =
        w->sim.now_ns + world_pick(w, CLOSED_MS_MIN, CLOSED_MS_MAX) * CLOCK_NS_PER_MS;
}

static void wait_for_time(struct janitor *janitor)
{
    struct world *w = janitor->client.world;
    if (!roster_is_occupied(w, janitor->closed) && world_chance(w, 1, 6))
        roster_jump(w, world_pick(w, JUMP_MS_MIN, JUMP_MS_MAX));
    offsets_fetch(&janitor->client, janitor->closed);
}

static void act(struct janitor *janitor)
{
    struct world *w = janitor->client.world;
    int group = (int)random_below(&w->random, ROSTER_GROUPS);
    if (janitor->closed >= 0 && !roster_is_closed(w, janitor->closed))
        janitor->closed = -1;
    if (janitor->closed < 0 && world_chance(w, 1, 25))
        close_group(janitor, group);
    if (janitor->closed >= 0 && world_chance(w, 1, 2))
        group = janitor->closed;
    if (group == janitor->closed && janitor->waits)
        wait_for_time(janitor);
    else if (group == janitor->closed ? world_chance(w, 1, 2) : world_chance(w, 1, 12))
        delete_group(janitor, group);
    else if (world_chance(w, 1, 4))
        delete_offsets(janitor, group);
    else if (world_chance(w, 1, 2))
        offsets_fetch(&janitor->client, group);
}

/* ---- in the end ---- */

static void listed(struct client *client, struct call *call, void *body)
{
    struct janitor *janitor = janitor_of(client);
    const struct list_groups_response *answer = body;
    if (answer && answer->error_code)
        world_fail(client->world, "janitor: ListGroups: %s", error_name(answer->error_code));
    if (answer && janitor->gone && answer->groups_count)
        world_fail(client->world, "janitor: nobody is left, and there are %" PRId32 " groups",
            answer->groups_count);
    if (answer && !janitor->gone)
        client->world->totals->groups_ended += (uint64_t)answer->groups_count;
    janitor->looks &= !answer;
    mem_free(call);
}

static void look(struct janitor *janitor)
{
    struct list_groups_request request;
    struct call *call = mem_zalloc(1, sizeof(*call));
    for (int group = 0; group < ROSTER_GROUPS; group++)
        offsets_fetch(&janitor->client, group);
    call->answered = listed;
    codec_defaults(&list_groups_request_message, &request);
    client_send(&janitor->client, call, API_LIST_GROUPS,
        client_version(&janitor->client, API_LIST_GROUPS, 0), &request, false);
}

void sim_janitor_look(struct client *client, bool gone)
{
    janitor_of(client)->looks = true;
    janitor_of(client)->gone = gone;
}

bool sim_janitor_has_looked(const struct client *client)
{
    return !container_of_const(client, struct janitor, client)->looks;
}

static void step(struct client *client)
{
    struct janitor *janitor = janitor_of(client);
    struct world *w = client->world;
    client_again(client, PACE_MS);
    if (janitor->looks && !client->call_count && client_connect(client))
        look(janitor);
    client->may_be_closed = w->calm; /* it is silent then */
    if (!w->calm && !w->quiet && !janitor->busy && roster_ready(w) && client_connect(client))
        act(janitor);
}

static void lost(struct client *client)
{
    janitor_of(client)->busy = false;
}

static void destroy(struct client *client)
{
    client_done(client);
    mem_free(janitor_of(client));
}

struct client *sim_janitor_create(struct world *world)
{
    struct janitor *janitor = mem_zalloc(1, sizeof(*janitor));
    client_init(&janitor->client, world, "janitor", 0);
    janitor->closed = -1;
    janitor->client.step = step;
    janitor->client.lost = lost;
    janitor->client.destroy = destroy;
    return &janitor->client;
}
