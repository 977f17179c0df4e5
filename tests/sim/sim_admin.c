/*
 * An admin. It makes the stable topics, and then makes and deletes the others, lets some grow, and
 * asks the broker about itself.
 *
 * There is one for each name at a time, so it knows what may be there: what it asked for and was
 * told is certain, what was not answered is not.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/base/mem.h"
#include "protocol/error.h"
#include "tests/sim/roles.h"
#include "tests/sim/sim_metadata.h"

enum {
    CREATE_WITH_IDS = 7,
    DELETE_BY_ID = 6,
    RESOURCE_TOPIC = 2,
    RESOURCE_GROUP = 32,
    SETTING_LEAST = 45000, /* of consumer.session.timeout.ms */
    SETTING_MOST = 60000,
    PARTITIONS_LIMIT = 6, /* that topics grow to */
};

struct sim_admin {
    struct client client; /* first */
    int made;             /* stable topics that are known to be there */
    bool busy;
    char cluster_id[64];
    /* A value of its own that only grows: asked for last, and promised by an answer; 0: none. */
    int32_t setting_asked, setting_promised;
};

struct admin_call {
    struct call call; /* first */
    int slot;
    struct ledger_topic *topic;
    int32_t count;
    bool sure;       /* the name was there, and nobody deletes it */
    int32_t setting; /* asked for, or promised when it was asked about */
};

static struct sim_admin *admin_of(struct client *client)
{
    return container_of(client, struct sim_admin, client);
}

static struct admin_call *call_make(int slot, struct ledger_topic *topic,
    void (*answered)(struct client *client, struct call *call, void *answer))
{
    struct admin_call *call = mem_zalloc(1, sizeof(*call));
    call->call.answered = answered;
    call->slot = slot;
    call->topic = topic;
    return call;
}

static bool passes(const struct world *w, int16_t error)
{
    return (error == KAFKA_ERROR_NOT_LEADER_OR_FOLLOWER && w->stopping) ||
           (error == KAFKA_ERROR_KAFKA_STORAGE_ERROR &&
               (w->sim.counts.no_space || w->sim.counts.write_errors || w->sim.counts.sync_errors));
}

/* ---- CreateTopics ---- */

static void created(struct client *client, struct call *base, void *body)
{
    struct admin_call *call = container_of(base, struct admin_call, call);
    const struct create_topics_response *answer = body;
    struct world *w = client->world;
    admin_of(client)->busy = false;
    if (!answer) {
        mem_free(call);
        return;
    }
    const struct create_topics_response_creatable_topic_result *row = &answer->topics[0];
    if (answer->topics_count != 1 || !bytes_equal_text(row->name, slots[call->slot].name))
        world_fail(w, "%s: CreateTopics answers for another topic", client->name);
    if (row->error_code == 0) {
        w->totals->created++;
        w->ledger.promised[call->slot] = w->moment;
        ledger_durable(w, base->sent);
        if (call->sure)
            world_fail(w, "%s: %s is made again", client->name, slots[call->slot].name);
        if (base->version >= CREATE_WITH_IDS)
            ledger_partitions(w, ledger_meet(w, call->slot, &row->topic_id, base->sent), 0,
                slots[call->slot].partitions);
    } else if (row->error_code == KAFKA_ERROR_TOPIC_ALREADY_EXISTS) {
        w->ledger.promised[call->slot] = w->moment;
    } else if (!passes(w, row->error_code)) {
        world_fail(w, "%s: CreateTopics of %s: %s", client->name, slots[call->slot].name,
            error_name(row->error_code));
    }
    mem_free(call);
}

static void create(struct sim_admin *admin, int slot)
{
    struct world *w = admin->client.world;
    const struct slot_info *info = &slots[slot];
    struct ledger_topic *topic = w->ledger.newest[slot];
    struct admin_call *call = call_make(slot, topic, created);
    struct create_topics_request request;
    codec_defaults(&create_topics_request_message, &request);
    request.topics_count = 1;
    request.topics = scratch_array(w, &create_topics_request_creatable_topic_table, 1);
    request.topics->name = bytes_text(info->name);
    request.topics->num_partitions = info->partitions;
    request.topics->replication_factor = 1;
    request.topics->configs =
        scratch_array(w, &create_topics_request_creatable_topic_config_table, LEDGER_CONFIGS_MAX);
    for (int i = 0; info->configs[2 * i]; i++) {
        request.topics->configs[i].name = bytes_text(info->configs[2 * i]);
        request.topics->configs[i].value = bytes_text(info->configs[2 * i + 1]);
        request.topics->configs_count++;
    }
    call->sure = topic && topic->known && !topic->delete_sent;
    admin->busy = true;
    int16_t version = client_version(&admin->client, API_CREATE_TOPICS, 2);
    client_send(&admin->client, &call->call, API_CREATE_TOPICS, version, &request, false);
}

/* ---- DeleteTopics ---- */

static void deleted(struct client *client, struct call *base, void *body)
{
    struct admin_call *call = container_of(base, struct admin_call, call);
    const struct delete_topics_response *answer = body;
    struct world *w = client->world;
    admin_of(client)->busy = false;
    if (!answer) {
        mem_free(call);
        return;
    }
    int16_t error = answer->responses[0].error_code;
    if (error == 0) {
        w->totals->deleted++;
        ledger_durable(w, base->sent);
        if (!call->topic->gone)
            call->topic->gone = w->moment;
    } else if (error == KAFKA_ERROR_UNKNOWN_TOPIC_ID ||
               error == KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION) {
        ledger_miss(w, call->topic, base->sent);
    } else if (!passes(w, error)) {
        world_fail(w, "%s: DeleteTopics of %s: %s", client->name, slots[call->slot].name,
            error_name(error));
    }
    mem_free(call);
}

static void delete (struct sim_admin *admin, struct ledger_topic *topic)
{
    struct world *w = admin->client.world;
    struct admin_call *call = call_make(topic->slot, topic, deleted);
    struct delete_topics_request request;
    int16_t version = client_version(&admin->client, API_DELETE_TOPICS, 1);
    struct bytes name = bytes_text(slots[topic->slot].name);
    codec_defaults(&delete_topics_request_message, &request);
    request.topic_names = scratch_alloc(w, sizeof(*request.topic_names));
    *request.topic_names = name;
    request.topic_names_count = 1;
    request.topics = scratch_array(w, &delete_topics_request_delete_topic_state_table, 1);
    request.topics_count = 1;
    if (version >= DELETE_BY_ID && world_chance(w, 1, 2))
        request.topics->topic_id = topic->id;
    else
        request.topics->name = name;
    request.timeout_ms = 30000;
    w->ledger.promised[topic->slot] = 0;
    if (!topic->delete_sent)
        topic->delete_sent = w->moment + 1;
    admin->busy = true;
    client_send(&admin->client, &call->call, API_DELETE_TOPICS, version, &request, false);
}

/* ---- CreatePartitions ---- */

static void grown(struct client *client, struct call *base, void *body)
{
    struct admin_call *call = container_of(base, struct admin_call, call);
    const struct create_partitions_response *answer = body;
    struct world *w = client->world;
    admin_of(client)->busy = false;
    if (answer && answer->results[0].error_code == 0) {
        w->totals->grown++;
        ledger_durable(w, base->sent);
        ledger_partitions(w, call->topic, call->count, call->count);
    } else if (answer && answer->results[0].error_code != KAFKA_ERROR_INVALID_PARTITIONS &&
               !passes(w, answer->results[0].error_code)) {
        world_fail(w, "%s: CreatePartitions of %s: %s", client->name, slots[call->slot].name,
            error_name(answer->results[0].error_code));
    }
    mem_free(call);
}

static void grow(struct sim_admin *admin, struct ledger_topic *topic)
{
    struct world *w = admin->client.world;
    struct admin_call *call = call_make(topic->slot, topic, grown);
    struct create_partitions_request request;
    codec_defaults(&create_partitions_request_message, &request);
    call->count = topic->partitions_max + 1;
    topic->partitions_max = call->count;
    request.topics_count = 1;
    request.topics = scratch_array(w, &create_partitions_request_topic_table, 1);
    request.topics->name = bytes_text(slots[topic->slot].name);
    request.topics->count = call->count;
    request.topics->assignments_count = -1;
    request.timeout_ms = 30000;
    admin->busy = true;
    int16_t version = client_version(&admin->client, API_CREATE_PARTITIONS, 0);
    client_send(&admin->client, &call->call, API_CREATE_PARTITIONS, version, &request, false);
}

/* ---- what the broker says of itself ---- */

static void cluster_described(struct client *client, struct call *call, void *body)
{
    struct sim_admin *admin = admin_of(client);
    const struct describe_cluster_response *answer = body;
    if (answer) {
        size_t len = answer->cluster_id.len;
        if (answer->error_code || answer->brokers_count != 1 || len >= sizeof(admin->cluster_id) ||
            (admin->cluster_id[0] && !bytes_equal_text(answer->cluster_id, admin->cluster_id)))
            world_fail(client->world, "%s: another cluster: %.*s", client->name, (int)len,
                (const char *)answer->cluster_id.data);
        memcpy(admin->cluster_id, answer->cluster_id.data, len);
        client->world->totals->described++;
    }
    mem_free(call);
}

static void describe_cluster(struct sim_admin *admin)
{
    struct client *client = &admin->client;
    struct call *call = mem_zalloc(1, sizeof(*call));
    struct describe_cluster_request request;
    codec_defaults(&describe_cluster_request_message, &request);
    call->answered = cluster_described;
    client_send(client, call, API_DESCRIBE_CLUSTER, client_version(client, API_DESCRIBE_CLUSTER, 0),
        &request, false);
}

static void configs_described(struct client *client, struct call *base, void *body)
{
    struct admin_call *call = container_of(base, struct admin_call, call);
    const struct describe_configs_response *answer = body;
    struct world *w = client->world;
    const struct slot_info *info = &slots[call->slot];
    for (int i = 0; answer && info->configs[2 * i]; i++) {
        const struct describe_configs_response_result *result = &answer->results[0];
        bool found = false;
        for (int32_t k = 0; k < result->configs_count; k++)
            found |= bytes_equal_text(result->configs[k].name, info->configs[2 * i]) &&
                     bytes_equal_text(result->configs[k].value, info->configs[2 * i + 1]);
        if (!found || result->error_code)
            world_fail(w, "%s: %s has lost its %s (%s, %" PRId32 " values)", client->name,
                info->name, info->configs[2 * i], error_name(result->error_code),
                result->configs_count);
        w->totals->described++;
    }
    mem_free(call);
}

static void describe_configs(struct sim_admin *admin, int slot)
{
    struct client *client = &admin->client;
    struct world *w = client->world;
    struct admin_call *call = call_make(slot, NULL, configs_described);
    struct describe_configs_request request;
    codec_defaults(&describe_configs_request_message, &request);
    request.resources_count = 1;
    request.resources = scratch_array(w, &describe_configs_request_resource_table, 1);
    request.resources->resource_type = RESOURCE_TOPIC;
    request.resources->resource_name = bytes_text(slots[slot].name);
    request.resources->configuration_keys_count = -1;
    client_send(client, &call->call, API_DESCRIBE_CONFIGS,
        client_version(client, API_DESCRIBE_CONFIGS, 1), &request, false);
}

/* ---- a value set at run time ---- */

static struct bytes setting_name(struct sim_admin *admin)
{
    return bytes_text(admin->client.name);
}

static void setting_set(struct client *client, struct call *base, void *body)
{
    struct admin_call *call = container_of(base, struct admin_call, call);
    const struct incremental_alter_configs_response *answer = body;
    struct world *w = client->world;
    if (answer) {
        int16_t error = answer->responses[0].error_code;
        if (!error)
            admin_of(client)->setting_promised = call->setting;
        else if (!passes(w, error))
            world_fail(w, "%s: a value could not be set: %s", client->name, error_name(error));
        w->totals->settings_set += !error;
    }
    mem_free(call);
}

static void set_setting(struct sim_admin *admin)
{
    struct client *client = &admin->client;
    struct world *w = client->world;
    struct incremental_alter_configs_request request;
    char text[16];
    if (admin->setting_asked == SETTING_MOST)
        return;
    struct admin_call *call = call_make(0, NULL, setting_set);
    admin->setting_asked = admin->setting_asked ? admin->setting_asked + 1 : SETTING_LEAST;
    call->setting = admin->setting_asked;
    (void)snprintf(text, sizeof(text), "%" PRId32, call->setting);
    codec_defaults(&incremental_alter_configs_request_message, &request);
    request.resources_count = 1;
    request.resources =
        scratch_array(w, &incremental_alter_configs_request_alter_configs_resource_table, 1);
    request.resources->resource_type = RESOURCE_GROUP;
    request.resources->resource_name = setting_name(admin);
    request.resources->configs_count = 1;
    request.resources->configs =
        scratch_array(w, &incremental_alter_configs_request_alterable_config_table, 1);
    request.resources->configs->name = bytes_text("consumer.session.timeout.ms");
    request.resources->configs->value = bytes_text(text);
    client_send(client, &call->call, API_INCREMENTAL_ALTER_CONFIGS,
        client_version(client, API_INCREMENTAL_ALTER_CONFIGS, 0), &request, false);
}

/* What was promised is there, and nothing that was not asked for. */
static void setting_told(struct client *client, struct call *base, void *body)
{
    struct admin_call *call = container_of(base, struct admin_call, call);
    const struct describe_configs_response *answer = body;
    struct sim_admin *admin = admin_of(client);
    if (answer) {
        const struct describe_configs_response_resource_result *row = answer->results[0].configs;
        char text[16] = "";
        if (answer->results[0].error_code || row->value.len >= sizeof(text))
            world_fail(client->world, "%s: its value is not told", client->name);
        memcpy(text, row->value.data, row->value.len);
        long told = strtol(text, NULL, 10);
        bool own = row->config_source == 8; /* else the default */
        if ((own && (told < call->setting || told > admin->setting_asked)) ||
            (!own && call->setting))
            world_fail(client->world,
                "%s: %ld is told (source %d); %" PRId32 " was promised, %" PRId32 " asked for",
                client->name, told, row->config_source, call->setting, admin->setting_asked);
        client->world->totals->settings_told += own;
        if (own && told > admin->setting_promised)
            admin->setting_promised = (int32_t)told; /* what was told may not go */
    }
    mem_free(call);
}

static void ask_setting(struct sim_admin *admin)
{
    struct client *client = &admin->client;
    struct world *w = client->world;
    struct admin_call *call = call_make(0, NULL, setting_told);
    struct describe_configs_request request;
    struct bytes key = bytes_text("consumer.session.timeout.ms");
    call->setting = admin->setting_promised;
    codec_defaults(&describe_configs_request_message, &request);
    request.resources_count = 1;
    request.resources = scratch_array(w, &describe_configs_request_resource_table, 1);
    request.resources->resource_type = RESOURCE_GROUP;
    request.resources->resource_name = setting_name(admin);
    request.resources->configuration_keys = &key;
    request.resources->configuration_keys_count = 1;
    client_send(client, &call->call, API_DESCRIBE_CONFIGS,
        client_version(client, API_DESCRIBE_CONFIGS, 1), &request, false);
}

static void groups_listed(struct client *client, struct call *call, void *body)
{
    const struct list_groups_response *answer = body;
    for (int32_t i = 0; answer && i < answer->groups_count; i++) {
        bool known = false;
        for (int g = 0; g < ROSTER_GROUPS; g++)
            known |= bytes_equal_text(answer->groups[i].group_id, roster_group_name(g));
        if (!known)
            world_fail(client->world, "%s: a group that nobody made", client->name);
        client->world->totals->described++;
    }
    mem_free(call);
}

static void list_groups(struct sim_admin *admin)
{
    struct client *client = &admin->client;
    struct call *call = mem_zalloc(1, sizeof(*call));
    struct list_groups_request request;
    codec_defaults(&list_groups_request_message, &request);
    call->answered = groups_listed;
    client_send(
        client, call, API_LIST_GROUPS, client_version(client, API_LIST_GROUPS, 0), &request, false);
}

static void group_described(struct client *client, struct call *call, void *body)
{
    const struct describe_groups_response *answer = body;
    if (answer) {
        const struct describe_groups_response_described_group *group = &answer->groups[0];
        static const char *const states[] = { "Empty", "PreparingRebalance", "CompletingRebalance",
            "Stable", "Dead" };
        bool known = false;
        for (size_t i = 0; i < ARRAY_COUNT(states); i++)
            known |= bytes_equal_text(group->group_state, states[i]);
        if (!known)
            world_fail(client->world, "%s: a group is %.*s", client->name,
                (int)group->group_state.len, (const char *)group->group_state.data);
        client->world->totals->described++;
    }
    mem_free(call);
}

static void describe_group(struct sim_admin *admin)
{
    struct client *client = &admin->client;
    struct world *w = client->world;
    struct call *call = mem_zalloc(1, sizeof(*call));
    struct describe_groups_request request;
    codec_defaults(&describe_groups_request_message, &request);
    request.groups = scratch_alloc(w, sizeof(*request.groups));
    *request.groups = bytes_text(roster_group_name((int)random_below(&w->random, ROSTER_GROUPS)));
    request.groups_count = 1;
    call->answered = group_described;
    client_send(client, call, API_DESCRIBE_GROUPS, client_version(client, API_DESCRIBE_GROUPS, 0),
        &request, false);
}

/* ---- what it does ---- */

static bool is_there(const struct world *w, int slot)
{
    const struct ledger_topic *topic = w->ledger.newest[slot];
    return topic && topic->known && !topic->gone;
}

static void churn(struct sim_admin *admin)
{
    struct world *w = admin->client.world;
    int slot = (int)world_pick(w, SLOT_CHURN_A, SLOT_CHURN_B);
    struct ledger_topic *topic = w->ledger.newest[slot];
    if (!is_there(w, slot) && world_chance(w, 2, 3))
        create(admin, slot);
    else if (!is_there(w, slot))
        sim_metadata_ask(&admin->client, slot, false);
    else if (topic->partitions == 0 || world_chance(w, 1, 2))
        sim_metadata_ask(&admin->client, slot, false);
    else if (world_chance(w, 1, 3))
        delete (admin, topic);
}

static void grow_some(struct sim_admin *admin)
{
    struct world *w = admin->client.world;
    int slot = world_chance(w, 1, 2) ? SLOT_SYNCED : SLOT_AUTO_A;
    struct ledger_topic *topic = w->ledger.newest[slot];
    if (is_there(w, slot) && topic->partitions_max < PARTITIONS_LIMIT)
        grow(admin, topic);
}

static void look_around(struct sim_admin *admin)
{
    struct world *w = admin->client.world;
    switch (random_below(&w->random, 8)) {
    case 0: sim_metadata_ask(&admin->client, METADATA_ALL, false); break;
    case 1:
        sim_metadata_ask(&admin->client, (int)world_pick(w, SLOT_AUTO_A, SLOT_AUTO_B), true);
        break;
    case 2: describe_cluster(admin); break;
    case 3:
        if (is_there(w, SLOT_SYNCED))
            describe_configs(admin, SLOT_SYNCED);
        break;
    case 4: list_groups(admin); break;
    case 5: set_setting(admin); break;
    case 6: ask_setting(admin); break;
    default: describe_group(admin);
    }
}

static void step(struct client *client)
{
    struct sim_admin *admin = admin_of(client);
    struct world *w = client->world;
    client_again(client, admin->made < SLOT_STABLE_COUNT ? 5 : 150);
    client->may_be_closed = w->calm && client->call_count == 0; /* it is silent then */
    if (w->quiet || admin->busy || !client_connect(client))
        return;
    while (admin->made < SLOT_STABLE_COUNT && is_there(w, admin->made))
        admin->made++;
    if (admin->made < SLOT_STABLE_COUNT) {
        if (w->ledger.promised[admin->made] || world_chance(w, 1, 4))
            sim_metadata_ask(client, admin->made, false);
        else
            create(admin, admin->made);
        return;
    }
    if (w->calm || client->call_count > 2)
        return;
    if (world_chance(w, 1, 2))
        churn(admin);
    else if (world_chance(w, 1, 6))
        grow_some(admin);
    else
        look_around(admin);
}

static void lost(struct client *client)
{
    admin_of(client)->busy = false;
}

static void destroy(struct client *client)
{
    client_done(client);
    mem_free(admin_of(client));
}

struct client *sim_admin_create(struct world *world, int index)
{
    struct sim_admin *admin = mem_zalloc(1, sizeof(*admin));
    client_init(&admin->client, world, "admin", index);
    admin->client.step = step;
    admin->client.lost = lost;
    admin->client.destroy = destroy;
    return &admin->client;
}
