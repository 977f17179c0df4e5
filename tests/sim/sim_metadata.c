/* See sim_metadata.h. */
#include "tests/sim/sim_metadata.h"

#include <inttypes.h>
#include <string.h>

#include "protocol/base/mem.h"
#include "protocol/error.h"

enum { VERSION_WITH_IDS = 10, VERSION_WITH_EPOCHS = 7, VERSION_WITH_CREATE = 4 };

/* What was known when the request was sent. */
struct floor {
    struct ledger_topic *topic;
    int32_t partitions;
    int32_t epochs[LEDGER_PARTITIONS_MAX];
};

struct metadata_call {
    struct call call; /* first */
    int slot;
    bool create;
    bool seen[SLOT_COUNT];
    struct floor floors[SLOT_COUNT];
};

static void row_there(struct client *client, struct metadata_call *call, int slot,
    const struct metadata_response_topic *row)
{
    struct world *w = client->world;
    const struct floor *floor = &call->floors[slot];
    struct ledger_topic *before = w->ledger.newest[slot];
    struct ledger_topic *topic = call->call.version >= VERSION_WITH_IDS
                                     ? ledger_meet(w, slot, &row->topic_id, call->call.sent)
                                     : floor->topic;
    if (topic && topic != before && slot > SLOT_CHURN_B)
        w->totals->auto_created++;
    /* Without ids it may be another topic of the same name. */
    if (!topic || (call->call.version < VERSION_WITH_IDS && slot >= SLOT_STABLE_COUNT))
        return;
    bool same = topic == floor->topic;
    ledger_partitions(w, topic, same ? floor->partitions : 0, row->partitions_count);
    for (int32_t i = 0; i < row->partitions_count; i++) {
        const struct metadata_response_partition *partition = &row->partitions[i];
        if (partition->partition_index != i || partition->error_code ||
            partition->leader_id != w->config.node_id)
            world_fail(w, "%s: partition %" PRId32 " of %s is told wrong", client->name, i,
                slots[slot].name);
        if (call->call.version >= VERSION_WITH_EPOCHS)
            ledger_epoch(w, &topic->logs[i], same ? floor->epochs[i] : 0, partition->leader_epoch);
    }
}

static void missing(struct client *client, const struct metadata_call *call, int slot)
{
    struct world *w = client->world;
    uint64_t promised = w->ledger.promised[slot];
    ledger_miss(w, call->floors[slot].topic, call->call.sent);
    if (promised && promised < call->call.sent)
        world_fail(w, "%s: topic %s was created, and is not there", client->name, slots[slot].name);
}

static void row_check(
    struct client *client, struct metadata_call *call, const struct metadata_response_topic *row)
{
    struct world *w = client->world;
    int slot = ledger_slot(row->name);
    if (row->is_internal && slot == SLOT_COUNT) /* computed, of no client's making */
        return;
    if (slot == SLOT_COUNT || call->seen[slot])
        world_fail(w, "%s: Metadata tells of %.*s", client->name, (int)row->name.len,
            (const char *)row->name.data);
    call->seen[slot] = true;
    if (!row->error_code)
        row_there(client, call, slot, row);
    else if (row->error_code == KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION)
        missing(client, call, slot);
    else if (row->error_code != KAFKA_ERROR_KAFKA_STORAGE_ERROR &&
             !(row->error_code == KAFKA_ERROR_NOT_LEADER_OR_FOLLOWER && w->stopping))
        world_fail(w, "%s: Metadata of %s: %s", client->name, slots[slot].name,
            error_name(row->error_code));
}

static void told(struct client *client, struct call *base, void *body)
{
    struct metadata_call *call = container_of(base, struct metadata_call, call);
    struct world *w = client->world;
    const struct metadata_response *answer = body;
    if (!answer) {
        mem_free(call);
        return;
    }
    if (answer->brokers_count != 1 || answer->brokers[0].node_id != w->config.node_id)
        world_fail(w, "%s: Metadata tells of other brokers", client->name);
    for (int32_t i = 0; i < answer->topics_count; i++)
        row_check(client, call, &answer->topics[i]);
    for (int slot = 0; slot < SLOT_COUNT; slot++) {
        bool asked = call->slot == METADATA_ALL || call->slot == slot;
        if (asked && !call->seen[slot])
            missing(client, call, slot);
    }
    mem_free(call);
}

void sim_metadata_ask(struct client *client, int slot, bool create)
{
    struct world *w = client->world;
    struct metadata_call *call = mem_zalloc(1, sizeof(*call));
    struct metadata_request request;
    int16_t version = client_version(client, API_METADATA, create ? VERSION_WITH_CREATE : 1);
    /* Before version 4 asking is creating. */
    bool stays = slot == METADATA_ALL || (slot < SLOT_STABLE_COUNT && w->ledger.newest[slot]);
    if (version < VERSION_WITH_CREATE && !stays)
        version = VERSION_WITH_CREATE;
    codec_defaults(&metadata_request_message, &request);
    request.allow_auto_topic_creation = create;
    request.topics_count = slot == METADATA_ALL ? -1 : 1;
    if (slot != METADATA_ALL) {
        request.topics = scratch_array(w, &metadata_request_topic_table, 1);
        request.topics->name = bytes_text(slots[slot].name);
    }
    call->slot = slot;
    call->create = create;
    for (int s = 0; s < SLOT_COUNT; s++) {
        struct ledger_topic *topic = w->ledger.newest[s];
        struct floor *floor = &call->floors[s];
        floor->topic = topic;
        floor->partitions = topic ? topic->partitions : 0;
        for (int p = 0; topic && p < LEDGER_PARTITIONS_MAX; p++)
            floor->epochs[p] = topic->logs[p].epoch;
    }
    call->call.answered = told;
    client_send(client, &call->call, API_METADATA, version, &request, false);
}
