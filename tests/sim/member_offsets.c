/*
 * See member_offsets.h.
 *
 * A transaction of a spender: INIT once, then for each ADD (version 1), OFFSETS, END. A request
 * whose connection was lost is sent again. A refusal by the group makes it an abort; a fence ends
 * it: what it held is refused, unless its commit had been asked for, when nobody knows.
 */
#include "tests/sim/member_offsets.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "protocol/base/mem.h"
#include "protocol/error.h"

enum {
    COMMIT_KEEPS_LAST = 4,
    KEEP_MS_MAX = 3000,
    COMMIT_WITH_IDS = 10,
    FETCH_OF_GROUPS = 8,
    FETCH_WITH_IDS = 10,
    FETCH_STABLE = 7
};

struct offsets_call {
    struct call call; /* first */
    struct party party;
    int64_t offsets[ROSTER_KEYS]; /* committed; 0: not of this call */
    bool all, stable;
};

static struct offsets_call *call_make(
    void (*answered)(struct client *client, struct call *call, void *answer), int group)
{
    struct offsets_call *call = mem_zalloc(1, sizeof(*call));
    call->call.answered = answered;
    call->party.claim.group = group;
    return call;
}

static struct bytes group_of(int group)
{
    return bytes_text(roster_group_name(group));
}

static struct bytes instance_of(const struct party *party)
{
    return party->instance[0] ? bytes_text(party->instance) : (struct bytes){ 0 };
}

static bool is_member(const struct party *party)
{
    return party->claim.generation >= 0;
}

/* -1: none of ours. */
static int key_of(
    const struct world *w, struct bytes name, const struct uuid *id, bool by_id, int32_t partition)
{
    for (int t = 0; t < ROSTER_TOPICS; t++) {
        const struct roster_topic *topic = &w->roster.topics[t];
        bool same = topic->name &&
                    (by_id ? uuid_equal(topic->id, *id) : bytes_equal_text(name, topic->name));
        if (same && partition >= 0 && partition < ROSTER_PARTITIONS)
            return t * ROSTER_PARTITIONS + partition;
    }
    return -1;
}

/* ---- OffsetCommit ---- */

static void commit_row(struct client *client, struct offsets_call *call, int key, int16_t error)
{
    struct world *w = client->world;
    struct party *party = &call->party;
    if (key < 0 || call->offsets[key] == 0)
        world_fail(w, "%s: OffsetCommit answers for another partition", client->name);
    roster_committed(
        w, party->claim.group, key, call->offsets[key], error ? COMMIT_REFUSED : COMMIT_DONE);
    call->offsets[key] = 0;
    w->totals->commits += error == 0;
    w->totals->commits_refused += error != 0;
    if (error)
        party->refused(client, &call->call, &party->claim, error);
    else if (party->follows)
        roster_holds(w, &party->claim, 1u << key, "a commit");
    else if (is_member(party))
        roster_accepted(w, &party->claim, "a commit");
}

static void committed(struct client *client, struct call *base, void *body)
{
    struct offsets_call *call = container_of(base, struct offsets_call, call);
    const struct offset_commit_response *answer = body;
    struct world *w = client->world;
    call->party.claim.sent = base->sent;
    for (int32_t t = 0; answer && t < answer->topics_count; t++) {
        const struct offset_commit_response_topic *topic = &answer->topics[t];
        for (int32_t p = 0; p < topic->partitions_count; p++) {
            int key = key_of(w, topic->name, &topic->topic_id, base->version >= COMMIT_WITH_IDS,
                topic->partitions[p].partition_index);
            commit_row(client, call, key, topic->partitions[p].error_code);
        }
    }
    for (int key = 0; key < ROSTER_KEYS; key++) {
        if (!call->offsets[key])
            continue;
        if (answer)
            world_fail(w, "%s: OffsetCommit leaves out key %d", client->name, key);
        roster_committed(w, call->party.claim.group, key, call->offsets[key], COMMIT_UNKNOWN);
    }
    mem_free(call);
}

struct bytes offset_note(struct world *w, int64_t offset)
{
    char *text = scratch_alloc(w, 64);
    int len = snprintf(text, 64, "offset %" PRId64, offset);
    if (offset % 7 == 0)
        return (struct bytes){ 0 }; /* null, which is told as empty */
    return bytes_of(text, (size_t)len);
}

/* Some commits say how long they are good for. */
static void keep_for(struct world *w, const struct offsets_call *call, int16_t version,
    struct offset_commit_request *request)
{
    if (!w->roster.retention_ms || version > COMMIT_KEEPS_LAST || !world_chance(w, 1, 3))
        return;
    request->retention_time_ms = world_pick(w, 0, KEEP_MS_MAX);
    for (int key = 0; key < ROSTER_KEYS; key++)
        if (call->offsets[key])
            roster_commit_keeps(
                w, call->party.claim.group, key, call->offsets[key], request->retention_time_ms);
}

void offsets_commit(struct client *client, const struct party *party)
{
    struct world *w = client->world;
    struct offset_commit_request request;
    int16_t version = client_version(client, API_OFFSET_COMMIT,
        party->follows       ? 9
        : party->instance[0] ? 7
                             : 2);
    codec_defaults(&offset_commit_request_message, &request);
    request.group_id = group_of(party->claim.group);
    request.generation_id_or_member_epoch = party->claim.generation;
    request.member_id = is_member(party) ? bytes_text(party->claim.id) : bytes_of("", 0);
    request.group_instance_id = instance_of(party);
    request.topics = scratch_array(w, &offset_commit_request_topic_table, ROSTER_KEYS);
    struct offsets_call *call = call_make(committed, party->claim.group);
    call->party = *party;
    for (int key = 0; key < ROSTER_KEYS; key++) {
        if (!(party->keys & 1u << key) || world_chance(w, 1, 3))
            continue;
        struct offset_commit_request_topic *topic = &request.topics[request.topics_count++];
        call->offsets[key] = roster_commit(w, party->claim.group, key, COMMIT_PENDING);
        topic->name = bytes_text(roster_topic(w, key)->name);
        topic->topic_id = roster_topic(w, key)->id;
        topic->partitions_count = 1;
        topic->partitions = scratch_array(w, &offset_commit_request_partition_table, 1);
        topic->partitions->partition_index = roster_partition(key);
        topic->partitions->committed_offset = call->offsets[key];
        topic->partitions->committed_leader_epoch = (int32_t)(call->offsets[key] % 100);
        topic->partitions->committed_metadata = offset_note(w, call->offsets[key]);
    }
    if (request.topics_count == 0) {
        mem_free(call);
        return;
    }
    keep_for(w, call, version, &request);
    client_send(client, &call->call, API_OFFSET_COMMIT, version, &request, false);
    for (int key = 0; key < ROSTER_KEYS; key++) {
        if (call->offsets[key])
            roster_commit_sent(w, party->claim.group, key, call->offsets[key]);
    }
}

/* ---- OffsetFetch ---- */

struct told {
    int64_t offset;
    int32_t epoch;
    struct bytes metadata;
    int16_t error;
};

static void fetch_row(
    struct client *client, struct offsets_call *call, int key, const struct told *told)
{
    struct world *w = client->world;
    bool unstable = told->error == KAFKA_ERROR_UNSTABLE_OFFSET_COMMIT && call->stable;
    if (key < 0 || (told->error && !unstable))
        world_fail(w, "%s: OffsetFetch of key %d: %s", client->name, key, error_name(told->error));
    call->offsets[key] = 1; /* seen */
    w->totals->offsets_unstable += unstable;
    if (unstable)
        return;
    roster_fetched(w, call->party.claim.group, key, told->offset, call->call.sent);
    if (told->offset < 0)
        return;
    struct bytes note = offset_note(w, told->offset);
    /* Older commits tell no epoch. */
    if (!bytes_equal(note, told->metadata) ||
        (told->epoch != -1 && told->epoch != told->offset % 100))
        world_fail(
            w, "%s: offset %" PRId64 " came back with another note", client->name, told->offset);
}

static void rows_of_group(
    struct client *client, struct offsets_call *call, const struct offset_fetch_response *answer)
{
    struct world *w = client->world;
    if (answer->groups_count != 1 || answer->groups[0].error_code)
        world_fail(w, "%s: OffsetFetch: no such group", client->name);
    for (int32_t t = 0; t < answer->groups[0].topics_count; t++) {
        const struct offset_fetch_response_topics *topic = &answer->groups[0].topics[t];
        for (int32_t p = 0; p < topic->partitions_count; p++) {
            const struct offset_fetch_response_partitions *row = &topic->partitions[p];
            struct told told = { row->committed_offset, row->committed_leader_epoch, row->metadata,
                row->error_code };
            fetch_row(client, call,
                key_of(w, topic->name, &topic->topic_id, call->call.version >= FETCH_WITH_IDS,
                    row->partition_index),
                &told);
        }
    }
}

static void rows_of_old(
    struct client *client, struct offsets_call *call, const struct offset_fetch_response *answer)
{
    struct world *w = client->world;
    if (answer->error_code)
        world_fail(w, "%s: OffsetFetch: %s", client->name, error_name(answer->error_code));
    for (int32_t t = 0; t < answer->topics_count; t++) {
        const struct offset_fetch_response_topic *topic = &answer->topics[t];
        for (int32_t p = 0; p < topic->partitions_count; p++) {
            const struct offset_fetch_response_partition *row = &topic->partitions[p];
            struct told told = { row->committed_offset, row->committed_leader_epoch, row->metadata,
                row->error_code };
            fetch_row(
                client, call, key_of(w, topic->name, NULL, false, row->partition_index), &told);
        }
    }
}

static void fetched(struct client *client, struct call *base, void *body)
{
    struct offsets_call *call = container_of(base, struct offsets_call, call);
    if (!body) {
        mem_free(call);
        return;
    }
    if (base->version >= FETCH_OF_GROUPS)
        rows_of_group(client, call, body);
    else
        rows_of_old(client, call, body);
    uint32_t keys = call->party.keys;
    for (int key = 0; key < ROSTER_KEYS; key++) {
        if (call->offsets[key] || !(keys & 1u << key))
            continue;
        if (!call->all)
            world_fail(client->world, "%s: OffsetFetch leaves out key %d", client->name, key);
        roster_fetched(client->world, call->party.claim.group, key, -1, base->sent);
    }
    arena_reset(&client->world->scratch);
    mem_free(call);
}

/* Topics and partitions of the keys; v1-7 and the later ones have structs of their own. */
static void ask_rows(struct world *w, struct offset_fetch_request *request, uint32_t keys)
{
    struct offset_fetch_request_group *group = request->groups;
    group->topics = scratch_array(w, &offset_fetch_request_topics_table, ROSTER_KEYS);
    request->topics = scratch_array(w, &offset_fetch_request_topic_table, ROSTER_KEYS);
    group->topics_count = request->topics_count = 0;
    for (int key = 0; key < ROSTER_KEYS; key++) {
        if (!(keys & 1u << key))
            continue;
        const struct roster_topic *topic = roster_topic(w, key);
        struct offset_fetch_request_topics *row = &group->topics[group->topics_count++];
        struct offset_fetch_request_topic *old = &request->topics[request->topics_count++];
        int32_t *partition = scratch_alloc(w, sizeof(*partition));
        *partition = roster_partition(key);
        row->name = old->name = bytes_text(topic->name);
        row->topic_id = topic->id;
        row->partition_indexes = old->partition_indexes = partition;
        row->partition_indexes_count = old->partition_indexes_count = 1;
    }
}

void offsets_fetch(struct client *client, int party_group)
{
    struct world *w = client->world;
    struct offsets_call *call = call_make(fetched, party_group);
    struct offset_fetch_request request;
    codec_defaults(&offset_fetch_request_message, &request);
    call->all = world_chance(w, 1, 3);
    call->party.keys = roster_keys(w, ~0u);
    request.group_id = group_of(party_group);
    request.groups_count = 1;
    request.groups = scratch_array(w, &offset_fetch_request_group_table, 1);
    request.groups->group_id = group_of(party_group);
    ask_rows(w, &request, call->party.keys);
    if (call->all) {
        request.topics = NULL;
        request.groups->topics = NULL;
        request.topics_count = request.groups->topics_count = -1;
    }
    int16_t version = client_version(client, API_OFFSET_FETCH, call->all ? 2 : 1);
    call->stable = request.require_stable = version >= FETCH_STABLE && world_chance(w, 1, 2);
    client_send(client, &call->call, API_OFFSET_FETCH, version, &request, false);
}

/* ---- transactions ---- */

struct spender_call {
    struct call call; /* first */
    struct spender *spender;
};

static void ask(struct client *client, struct spender *spender, int16_t api, int16_t version,
    const void *request, void (*answered)(struct client *client, struct call *call, void *answer))
{
    struct spender_call *call = mem_zalloc(1, sizeof(*call));
    call->call.answered = answered;
    call->spender = spender;
    spender->waiting = true;
    client_send(client, &call->call, api, version, request, false);
}

static struct spender *heard(struct call *call)
{
    struct spender *spender = container_of(call, struct spender_call, call)->spender;
    spender->waiting = false;
    return spender;
}

static void call_free(struct call *call)
{
    mem_free(container_of(call, struct spender_call, call));
}

static struct bytes id_of(const struct spender *spender)
{
    static const char *const ids[ROSTER_PRODUCERS] = { "spender-0", "spender-1", "spender-2",
        "spender-3", "spender-4", "spender-5", "spender-6", "spender-7", "spender-8", "spender-9",
        "spender-10", "spender-11" };
    return bytes_text(ids[spender->producer]);
}

bool spender_is_busy(const struct spender *spender)
{
    return spender->stage == SPENDING_ADD || spender->stage == SPENDING_OFFSETS ||
           spender->stage == SPENDING_END || spender->waiting;
}

/* What became of the offsets that it holds. */
static void resolve(struct client *client, struct spender *spender, enum commit_outcome outcome)
{
    for (int key = 0; key < ROSTER_KEYS; key++) {
        if (spender->offsets[key])
            roster_committed(
                client->world, spender->party.claim.group, key, spender->offsets[key], outcome);
        if (outcome != COMMIT_PENDING)
            spender->offsets[key] = 0;
    }
}

static void each_held(struct client *client, const struct spender *spender,
    void (*each)(struct world *world, int group, int key, int64_t offset))
{
    for (int key = 0; key < ROSTER_KEYS; key++)
        if (spender->offsets[key])
            each(client->world, spender->party.claim.group, key, spender->offsets[key]);
}

/* Somebody else has its transactional id, or it took too long. */
static void fenced(struct client *client, struct spender *spender, enum commit_outcome outcome)
{
    struct totals *totals = client->world->totals;
    bool asked = spender->stage == SPENDING_END && spender->commits;
    totals->deals_fenced++;
    totals->deals_unsure += asked && outcome == COMMIT_UNKNOWN;
    resolve(client, spender, asked ? outcome : COMMIT_REFUSED);
    spender->stage = SPENDING_INIT;
    spender->named = false;
}

static bool passes(int16_t error)
{
    return error == KAFKA_ERROR_CONCURRENT_TRANSACTIONS ||
           error == KAFKA_ERROR_COORDINATOR_NOT_AVAILABLE ||
           error == KAFKA_ERROR_REQUEST_TIMED_OUT || error == KAFKA_ERROR_KAFKA_STORAGE_ERROR ||
           error == KAFKA_ERROR_NOT_LEADER_OR_FOLLOWER;
}

/* True if it went well. */
static bool is_fine(
    struct client *client, struct spender *spender, const struct call *call, int16_t error)
{
    struct world *w = client->world;
    bool zombie = roster_fenced(w, spender->producer, spender->id, spender->epoch, call->sent);
    switch (error) {
    case KAFKA_ERROR_NONE:
        if (zombie)
            world_fail(w, "%s: %s of a zombie (%" PRId64 "/%d) was accepted", client->name,
                call->schema->name, spender->id, spender->epoch);
        return true;
    case KAFKA_ERROR_INVALID_PRODUCER_EPOCH:
    case KAFKA_ERROR_PRODUCER_FENCED:
    case KAFKA_ERROR_INVALID_PRODUCER_ID_MAPPING:
    case KAFKA_ERROR_TRANSACTION_ABORTABLE:
        w->totals->zombies += zombie;
        fenced(client, spender, COMMIT_UNKNOWN);
        return false;
    case KAFKA_ERROR_INVALID_TXN_STATE:
        /* Only an abort by time, or by another instance, can have come before a commit. */
        fenced(client, spender, spender->v2 ? COMMIT_REFUSED : COMMIT_UNKNOWN);
        return false;
    default: break;
    }
    if (!passes(error))
        world_fail(w, "%s: %s: %s", client->name, call->schema->name, error_name(error));
    return false;
}

static void init_told(struct client *client, struct call *call, void *body)
{
    struct spender *spender = heard(call);
    const struct init_producer_id_response *answer = body;
    if (answer && !answer->error_code) {
        spender->id = answer->producer_id;
        spender->epoch = answer->producer_epoch;
        spender->named = true;
        spender->stage = SPENDING_NOTHING;
        roster_producer(client->world, spender->producer, spender->id, spender->epoch);
    } else if (answer && !passes(answer->error_code)) {
        world_fail(
            client->world, "%s: InitProducerId: %s", client->name, error_name(answer->error_code));
    }
    call_free(call);
}

static void ask_init(struct client *client, struct spender *spender)
{
    struct init_producer_id_request request;
    codec_defaults(&init_producer_id_request_message, &request);
    request.transactional_id = id_of(spender);
    request.transaction_timeout_ms = (int32_t)world_pick(client->world, 1000, 6000);
    spender->v2 = world_chance(client->world, 1, 2);
    ask(client, spender, API_INIT_PRODUCER_ID, (int16_t)world_pick(client->world, 0, 5), &request,
        init_told);
}

void spender_begin(struct client *client, struct spender *spender, const struct party *party)
{
    struct world *w = client->world;
    if (!spender->named) {
        spender->stage = SPENDING_INIT;
        return;
    }
    spender->party = *party;
    for (int key = 0; key < ROSTER_KEYS; key++) {
        if (party->keys & 1u << key && world_chance(w, 1, 2))
            spender->offsets[key] = roster_commit(w, party->claim.group, key, COMMIT_HELD);
    }
    spender->commits = world_chance(w, 3, 4);
    spender->stage = spender->v2 ? SPENDING_OFFSETS : SPENDING_ADD;
}

static void added(struct client *client, struct call *call, void *body)
{
    struct spender *spender = heard(call);
    const struct add_offsets_to_txn_response *answer = body;
    if (answer && is_fine(client, spender, call, answer->error_code))
        spender->stage = SPENDING_OFFSETS;
    call_free(call);
}

static void ask_add(struct client *client, struct spender *spender)
{
    struct add_offsets_to_txn_request request;
    codec_defaults(&add_offsets_to_txn_request_message, &request);
    request.transactional_id = id_of(spender);
    request.producer_id = spender->id;
    request.producer_epoch = spender->epoch;
    request.group_id = group_of(spender->party.claim.group);
    ask(client, spender, API_ADD_OFFSETS_TO_TXN, (int16_t)world_pick(client->world, 0, 4), &request,
        added);
}

/* The group does not know the member any more: all that is left is to abort. */
static bool is_refusal(int16_t error)
{
    return error == KAFKA_ERROR_ILLEGAL_GENERATION || error == KAFKA_ERROR_UNKNOWN_MEMBER_ID ||
           error == KAFKA_ERROR_FENCED_INSTANCE_ID || error == KAFKA_ERROR_STALE_MEMBER_EPOCH;
}

static void spent(struct client *client, struct call *call, void *body)
{
    struct spender *spender = heard(call);
    struct party *party = &spender->party;
    const struct txn_offset_commit_response *answer = body;
    int16_t error = KAFKA_ERROR_NONE;
    for (int32_t i = 0; answer && !error && i < answer->topics_count; i++)
        error = answer->topics[i].partitions->error_code;
    if (answer && is_refusal(error) && is_member(party)) {
        client->world->totals->members_refused++;
        resolve(client, spender, COMMIT_REFUSED);
        spender->commits = false;
        spender->stage = SPENDING_END;
    } else if (answer && is_fine(client, spender, call, error)) {
        party->claim.sent = call->sent;
        if (is_member(party) && !party->follows && answer->topics_count)
            roster_accepted(client->world, &party->claim, "a commit in a transaction");
        for (int key = 0; key < ROSTER_KEYS; key++) {
            if (spender->offsets[key])
                roster_commit_placed(client->world, party->claim.group, key, spender->offsets[key]);
        }
        spender->stage = SPENDING_END;
    }
    call_free(call);
}

static void ask_offsets(struct client *client, struct spender *spender)
{
    struct world *w = client->world;
    const struct party *party = &spender->party;
    struct txn_offset_commit_request request;
    codec_defaults(&txn_offset_commit_request_message, &request);
    request.transactional_id = id_of(spender);
    request.group_id = group_of(party->claim.group);
    request.producer_id = spender->id;
    request.producer_epoch = spender->epoch;
    request.generation_id = party->claim.generation;
    request.member_id = is_member(party) ? bytes_text(party->claim.id) : bytes_of("", 0);
    request.group_instance_id = instance_of(party);
    request.topics = scratch_array(w, &txn_offset_commit_request_topic_table, ROSTER_KEYS);
    for (int key = 0; key < ROSTER_KEYS; key++) {
        if (!spender->offsets[key])
            continue;
        struct txn_offset_commit_request_topic *topic = &request.topics[request.topics_count++];
        topic->name = bytes_text(roster_topic(w, key)->name);
        topic->partitions_count = 1;
        topic->partitions = scratch_array(w, &txn_offset_commit_request_partition_table, 1);
        topic->partitions->partition_index = roster_partition(key);
        topic->partitions->committed_offset = spender->offsets[key];
        topic->partitions->committed_leader_epoch = (int32_t)(spender->offsets[key] % 100);
        topic->partitions->committed_metadata = offset_note(w, spender->offsets[key]);
    }
    if (request.topics_count == 0) {
        spender->commits = false;
        spender->stage = SPENDING_END;
        return;
    }
    int16_t version = spender->v2 ? 5 : (int16_t)world_pick(w, 3, 4);
    ask(client, spender, API_TXN_OFFSET_COMMIT, version, &request, spent);
    for (int key = 0; key < ROSTER_KEYS; key++) {
        if (spender->offsets[key])
            roster_commit_sent(w, party->claim.group, key, spender->offsets[key]);
    }
}

static void ended(struct client *client, struct call *call, void *body)
{
    struct spender *spender = heard(call);
    const struct end_txn_response *answer = body;
    if (answer && is_fine(client, spender, call, answer->error_code)) {
        struct totals *totals = client->world->totals;
        *(spender->commits ? &totals->deals_committed : &totals->deals_aborted) += 1;
        if (spender->commits) /* an abort may have come before, by time: that is as good */
            each_held(client, spender, roster_commit_ended);
        resolve(client, spender, spender->commits ? COMMIT_DONE : COMMIT_REFUSED);
        if (spender->v2) {
            spender->id = answer->producer_id;
            spender->epoch = answer->producer_epoch;
            roster_producer(client->world, spender->producer, spender->id, spender->epoch);
        }
        spender->stage = SPENDING_NOTHING;
    }
    call_free(call);
}

static void ask_end(struct client *client, struct spender *spender)
{
    struct end_txn_request request;
    codec_defaults(&end_txn_request_message, &request);
    request.transactional_id = id_of(spender);
    request.producer_id = spender->id;
    request.producer_epoch = spender->epoch;
    request.committed = spender->commits;
    each_held(client, spender, roster_commit_ending);
    if (spender->commits)
        resolve(client, spender, COMMIT_PENDING);
    ask(client, spender, API_END_TXN, spender->v2 ? 5 : (int16_t)world_pick(client->world, 0, 4),
        &request, ended);
}

void spender_step(struct client *client, struct spender *spender)
{
    /* What it holds may become too old in a group that is left alone. */
    uint32_t patience = roster_is_closed(client->world, spender->party.claim.group) ? 15 : 3;
    if (spender->waiting)
        return;
    switch (spender->stage) {
    case SPENDING_NOTHING: break;
    case SPENDING_INIT:
        if (!client->world->calm)
            ask_init(client, spender);
        break;
    case SPENDING_ADD: ask_add(client, spender); break;
    case SPENDING_OFFSETS: ask_offsets(client, spender); break;
    case SPENDING_END: /* others commit meanwhile */
        if (client->world->calm || world_chance(client->world, 1, patience))
            ask_end(client, spender);
        break;
    }
}
