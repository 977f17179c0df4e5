/* __consumer_offsets and __transaction_state as clients see them: what is in the records, what a
 * reader sees of changes, and that offsets never go back. */
#include "protocol/error.h"
#include "protocol/messages.h"
#include "tests/test.h"
#include "tests/unit/client_test.h"

#include <stdio.h>

#include "broker/coordinator.h"
#include "broker/internal_topics.h"
#include "broker/shares.h"
#include "broker/transaction_coordinator.h"
#include "broker/view.h"
#include "protocol/base/mem.h"

#define OFFSETS      "__consumer_offsets"
#define TRANSACTIONS "__transaction_state"

static struct world world;
static struct client *client;

static void begin(void)
{
    world_open(&world, NULL);
    client = client_connect(&world);
    client_create_topic(client, "t", 4, NULL);
}

static void end_life(bool crash)
{
    if (crash)
        world_crash(&world, false);
    else
        world_stop(&world);
}

static void again(bool crash)
{
    end_life(crash);
    world_start(&world, NULL);
    client = client_connect(&world);
}

static void again_accepting_loss(bool crash)
{
    end_life(crash);
    world_start_accepting_loss(&world, NULL);
    client = client_connect(&world);
}

static int32_t place(const char *id)
{
    return internal_topic_partition(bytes_text(id), INTERNAL_TOPIC_PARTITIONS);
}

/* ---- changes ------------------------------------------------------------------------------- */

static void commit_many(const char *group, int32_t first, int32_t count, int64_t offset)
{
    struct offset_commit_request request;
    struct offset_commit_request_topic wanted;
    codec_defaults(&offset_commit_request_message, &request);
    struct_defaults(&offset_commit_request_topic_table, &wanted);
    wanted.name = bytes_text("t");
    wanted.partitions = client_alloc(client, (size_t)count * sizeof(*wanted.partitions));
    wanted.partitions_count = count;
    for (int32_t p = 0; p < count; p++) {
        struct_defaults(&offset_commit_request_partition_table, &wanted.partitions[p]);
        wanted.partitions[p].partition_index = first + p;
        wanted.partitions[p].committed_offset = offset;
        wanted.partitions[p].committed_metadata = bytes_text("m");
    }
    request.group_id = bytes_text(group);
    request.generation_id_or_member_epoch = -1;
    request.topics = &wanted;
    request.topics_count = 1;
    struct offset_commit_response *answer = client_call(client, API_OFFSET_COMMIT, 8, &request);
    cr_assert_eq(answer->topics->partitions->error_code, 0);
}

static void commit(const char *group, int32_t partition, int64_t offset)
{
    commit_many(group, partition, 1, offset);
}

static void drop_group(const char *name)
{
    struct delete_groups_request request;
    struct bytes names[] = { bytes_text(name) };
    codec_defaults(&delete_groups_request_message, &request);
    request.groups_names = names;
    request.groups_names_count = 1;
    struct delete_groups_response *answer = client_call(client, API_DELETE_GROUPS, 2, &request);
    cr_assert_eq(answer->results[0].error_code, 0);
}

/* ---- records as text ----------------------------------------------------------------------- */

static struct reader prefixed(struct bytes bytes, int16_t *ret_prefix)
{
    cr_assert_geq(bytes.len, 2);
    *ret_prefix = (int16_t)be_get16(bytes.data);
    return reader_of(bytes_of(bytes.data + 2, bytes.len - 2));
}

static void decode(
    const struct message *message, int16_t version, struct reader *reader, void *body)
{
    cr_assert_eq(codec_decode(message, version, reader, &client->arena, body), 0);
    cr_assert_eq(reader_left(reader), 0, "%s: bytes are left over", message->name);
}

static void say_offset(struct out *to, const struct record_view *record, struct reader *key)
{
    struct offset_commit_key place_of;
    struct offset_commit_value value;
    int16_t version;
    decode(&offset_commit_key_message, 0, key, &place_of);
    out_printf(to, "offset %.*s %.*s-%d", (int)place_of.group.len, place_of.group.data,
        (int)place_of.topic.len, place_of.topic.data, place_of.partition);
    if (!record->value.data)
        return;
    struct reader reader = prefixed(record->value, &version);
    decode(&offset_commit_value_message, version, &reader, &value);
    cr_assert_eq(value.commit_timestamp, record->timestamp);
    const struct topic *topic = storage_topic(world.broker->storage, place_of.topic);
    cr_assert(topic);
    cr_assert(version >= 4 ? uuid_equal(value.topic_id, topic->id) : uuid_zero(value.topic_id));
    out_printf(to, " = %d '%.*s' v%d", (int)value.offset, (int)value.metadata.len,
        value.metadata.data, version);
    if (value.expire_timestamp != -1)
        out_printf(to, " for %lld", (long long)(value.expire_timestamp - value.commit_timestamp));
}

static void say_group(struct out *to, const struct record_view *record, struct reader *key)
{
    struct group_metadata_key name;
    struct group_metadata_value value;
    int16_t version;
    decode(&group_metadata_key_message, 0, key, &name);
    out_printf(to, "group %.*s", (int)name.group.len, name.group.data);
    if (!record->value.data)
        return;
    struct reader reader = prefixed(record->value, &version);
    decode(&group_metadata_value_message, version, &reader, &value);
    cr_assert_eq(value.current_state_timestamp, record->timestamp);
    out_printf(to, " = %.*s generation %d %.*s", (int)value.protocol_type.len,
        value.protocol_type.data, value.generation, (int)value.protocol.len,
        value.protocol.data ? (const char *)value.protocol.data : "");
    for (int32_t i = 0; i < value.members_count; i++)
        out_printf(to, " [%.*s %.*s %d/%d %zu %zu%s]", (int)value.members[i].client_id.len,
            value.members[i].client_id.data, (int)value.members[i].client_host.len,
            value.members[i].client_host.data, value.members[i].rebalance_timeout,
            value.members[i].session_timeout, value.members[i].subscription.len,
            value.members[i].assignment.len,
            bytes_equal(value.members[i].member_id, value.leader) ? " leads" : "");
}

static void say_transaction(struct out *to, const struct record_view *record, struct reader *key)
{
    struct transaction_log_key id;
    struct transaction_log_value value;
    int16_t version;
    decode(&transaction_log_key_message, 0, key, &id);
    out_printf(to, "transaction %.*s", (int)id.transactional_id.len, id.transactional_id.data);
    if (!record->value.data)
        return;
    struct reader reader = prefixed(record->value, &version);
    decode(&transaction_log_value_message, version, &reader, &value);
    out_printf(to, " = state %d epoch %d timeout %d v%d", value.transaction_status,
        value.producer_epoch, value.transaction_timeout_ms, version);
    if (value.transaction_partitions_count < 0)
        out_text(to, " null");
    for (int32_t t = 0; t < value.transaction_partitions_count; t++) {
        out_printf(to, " %.*s", (int)value.transaction_partitions[t].topic.len,
            value.transaction_partitions[t].topic.data);
        for (int32_t p = 0; p < value.transaction_partitions[t].partition_ids_count; p++)
            out_printf(to, "%c%d", p ? ',' : ':', value.transaction_partitions[t].partition_ids[p]);
    }
}

static void say_text(struct out *to, const char *what, struct bytes text)
{
    if (!text.data)
        text = bytes_text("-");
    out_printf(to, "%s%.*s", what, (int)text.len, (const char *)text.data);
}

static void say_partitions(struct out *to, const struct uuid *topic, const int32_t *partitions,
    int32_t count, const int32_t *epochs)
{
    const struct topic *known = storage_topic_by_id(world.broker->storage, topic);
    out_printf(to, " %s", known ? known->name : "?");
    for (int32_t i = 0; i < count; i++) {
        out_printf(to, "%c%d", i ? ',' : ':', partitions[i]);
        if (epochs)
            out_printf(to, "@%d", epochs[i]);
    }
}

static void say_names(struct out *to, const struct bytes *names, int32_t count)
{
    for (int32_t i = 0; i < count; i++)
        say_text(to, i ? "," : " ", names[i]);
}

/* Values of groups and members of the newer kinds, by the type of their key. */
static void say_consumer_metadata(struct out *to, struct reader *reader)
{
    struct consumer_group_metadata_value value;
    decode(&consumer_group_metadata_value_message, 0, reader, &value);
    out_printf(to, "epoch %d%s", value.epoch, value.metadata_hash ? " hashed" : "");
}

static void say_consumer_member(struct out *to, struct reader *reader)
{
    struct consumer_group_member_metadata_value value;
    decode(&consumer_group_member_metadata_value_message, 0, reader, &value);
    say_text(to, "", value.client_id);
    say_text(to, " ", value.client_host);
    say_text(to, " instance ", value.instance_id);
    say_text(to, " rack ", value.rack_id);
    say_text(to, " assignor ", value.server_assignor);
    say_text(to, " regex ", value.subscribed_topic_regex);
    out_printf(to, " timeout %d wants", value.rebalance_timeout_ms);
    say_names(to, value.subscribed_topic_names, value.subscribed_topic_names_count);
    if (value.classic_member_metadata)
        out_printf(to, " session %d protocols %d",
            value.classic_member_metadata->session_timeout_ms,
            value.classic_member_metadata->supported_protocols_count);
}

static void say_target_metadata(struct out *to, struct reader *reader)
{
    struct consumer_group_target_assignment_metadata_value value;
    decode(&consumer_group_target_assignment_metadata_value_message, 0, reader, &value);
    out_printf(to, "epoch %d", value.assignment_epoch);
    cr_assert_eq(value.assignment_timestamp, 0);
}

static void say_target_member(struct out *to, struct reader *reader)
{
    struct consumer_group_target_assignment_member_value value;
    decode(&consumer_group_target_assignment_member_value_message, 0, reader, &value);
    out_text(to, "is to have");
    for (int32_t i = 0; i < value.topic_partitions_count; i++)
        say_partitions(to, &value.topic_partitions[i].topic_id,
            value.topic_partitions[i].partitions, value.topic_partitions[i].partitions_count, NULL);
}

static void say_consumer_current(struct out *to, struct reader *reader)
{
    struct consumer_group_current_member_assignment_value value;
    decode(&consumer_group_current_member_assignment_value_message, 0, reader, &value);
    out_printf(to, "epoch %d after %d state %d has", value.member_epoch,
        value.previous_member_epoch, value.state);
    for (int32_t i = 0; i < value.assigned_partitions_count; i++)
        say_partitions(to, &value.assigned_partitions[i].topic_id,
            value.assigned_partitions[i].partitions, value.assigned_partitions[i].partitions_count,
            value.assigned_partitions[i].assignment_epochs);
    out_text(to, " gives");
    for (int32_t i = 0; i < value.partitions_pending_revocation_count; i++)
        say_partitions(to, &value.partitions_pending_revocation[i].topic_id,
            value.partitions_pending_revocation[i].partitions,
            value.partitions_pending_revocation[i].partitions_count, NULL);
}

static void say_regex(struct out *to, struct reader *reader)
{
    struct consumer_group_regular_expression_value value;
    decode(&consumer_group_regular_expression_value_message, 0, reader, &value);
    out_text(to, "matches");
    say_names(to, value.topics, value.topics_count);
}

static void say_share_member(struct out *to, struct reader *reader)
{
    struct share_group_member_metadata_value value;
    decode(&share_group_member_metadata_value_message, 0, reader, &value);
    say_text(to, "", value.client_id);
    say_text(to, " ", value.client_host);
    say_text(to, " rack ", value.rack_id);
    out_text(to, " wants");
    say_names(to, value.subscribed_topic_names, value.subscribed_topic_names_count);
}

static void say_share_metadata(struct out *to, struct reader *reader)
{
    struct share_group_metadata_value value;
    decode(&share_group_metadata_value_message, 0, reader, &value);
    out_printf(to, "epoch %d", value.epoch);
}

static void say_share_current(struct out *to, struct reader *reader)
{
    struct share_group_current_member_assignment_value value;
    decode(&share_group_current_member_assignment_value_message, 0, reader, &value);
    out_printf(to, "epoch %d after %d state %d has", value.member_epoch,
        value.previous_member_epoch, value.state);
    for (int32_t i = 0; i < value.assigned_partitions_count; i++)
        say_partitions(to, &value.assigned_partitions[i].topic_id,
            value.assigned_partitions[i].partitions, value.assigned_partitions[i].partitions_count,
            NULL);
}

static void say_share_state(struct out *to, struct reader *reader)
{
    struct share_group_state_partition_metadata_value value;
    decode(&share_group_state_partition_metadata_value_message, 0, reader, &value);
    cr_assert_eq(value.initializing_topics_count + value.deleting_topics_count, 0);
    out_text(to, "reads");
    for (int32_t i = 0; i < value.initialized_topics_count; i++) {
        say_text(to, " ", value.initialized_topics[i].topic_name);
        say_partitions(to, &value.initialized_topics[i].topic_id,
            value.initialized_topics[i].partitions, value.initialized_topics[i].partitions_count,
            NULL);
    }
}

static const struct {
    const char *name;
    int fields; /* of the key: 1 or 2 texts */
    void (*say)(struct out *to, struct reader *reader);
} newer[] = {
    [3] = { "consumer", 1, say_consumer_metadata },
    [5] = { "consumer-member", 2, say_consumer_member },
    [6] = { "consumer-target", 1, say_target_metadata },
    [7] = { "consumer-target-member", 2, say_target_member },
    [8] = { "consumer-current", 2, say_consumer_current },
    [10] = { "share-member", 2, say_share_member },
    [11] = { "share", 1, say_share_metadata },
    [12] = { "share-target", 1, say_target_metadata },
    [13] = { "share-target-member", 2, say_target_member },
    [14] = { "share-current", 2, say_share_current },
    [15] = { "share-state", 1, say_share_state },
    [16] = { "consumer-regex", 2, say_regex },
};

static void say_newer(
    struct out *to, const struct record_view *record, int16_t type, struct reader *key)
{
    int16_t version;
    cr_assert(type > 0 && (size_t)type < sizeof(newer) / sizeof(newer[0]) && newer[type].name,
        "type %d", type);
    out_text(to, newer[type].name);
    if (newer[type].fields == 1) {
        struct consumer_group_metadata_key group;
        decode(&consumer_group_metadata_key_message, 0, key, &group);
        say_text(to, " ", group.group_id);
    } else {
        struct consumer_group_member_metadata_key member;
        decode(&consumer_group_member_metadata_key_message, 0, key, &member);
        say_text(to, " ", member.group_id);
        say_text(to, " ", member.member_id);
    }
    if (!record->value.data)
        return;
    struct reader reader = prefixed(record->value, &version);
    cr_assert_eq(version, 0);
    cr_assert_gt(record->timestamp, 0);
    out_text(to, " = ");
    newer[type].say(to, &reader);
}

static void say(struct out *to, const struct record_view *record, bool transactions)
{
    int16_t type;
    struct reader key = prefixed(record->key, &type);
    if (transactions)
        say_transaction(to, record, &key);
    else if (type == 1)
        say_offset(to, record, &key);
    else if (type == 2)
        say_group(to, record, &key);
    else
        say_newer(to, record, type, &key);
    out_text(to, record->value.data ? "\n" : " is gone\n");
}

struct seen {
    struct out text; /* a line for each record */
    int64_t offset;  /* of the newest record */
    int64_t next;    /* to go on from */
    int32_t batches, records;
};

/* Takes a row's records, each batch with its checks. */
static void take(
    struct seen *seen, const char *topic, const struct fetch_response_partition_data *row)
{
    struct bytes run = bytes_of(row->records.data, row->records.len);
    cr_assert_eq(row->error_code, 0);
    while (run.len) {
        struct batch_view view;
        struct record_reader reader;
        struct record_view record;
        cr_assert_eq(batch_next(&run, &view), BATCH_OK);
        cr_assert_eq(batch_check(&view), BATCH_OK, "the checksum");
        cr_assert_geq(view.base_offset, seen->next);
        record_reader_init(&reader, &view, view.records);
        while (record_next(&reader, &record)) {
            cr_assert_geq(record.offset, seen->next);
            say(&seen->text, &record, strcmp(topic, TRANSACTIONS) == 0);
            seen->offset = record.offset;
            seen->next = record.offset + 1;
            seen->records++;
        }
        cr_assert_eq(record_reader_end(&reader), 0);
        seen->next = view.base_offset + view.last_offset_delta + 1;
        seen->batches++;
    }
}

/* Reads to the end. Returns the end. */
static int64_t read_on(struct seen *seen, const char *topic, int32_t partition)
{
    for (;;) {
        struct fetch_request *request = client_fetch_request(client, topic, partition, seen->next);
        request->max_wait_ms = 0;
        request->isolation_level = 1;
        struct fetch_response_partition_data *row = client_fetch(client, 12, request);
        cr_assert_eq(row->high_watermark, row->last_stable_offset);
        cr_assert_eq(row->log_start_offset, 0);
        if (seen->next == row->high_watermark)
            return row->high_watermark;
        int64_t before = seen->next;
        take(seen, topic, row);
        cr_assert_gt(seen->next, before, "it gets on");
        cr_assert_leq(seen->next, row->high_watermark);
    }
}

static void expect(const char *topic, int32_t partition, const char *text)
{
    struct seen seen = { 0 };
    (void)read_on(&seen, topic, partition);
    out_bytes(&seen.text, "", 1);
    cr_assert_str_eq((const char *)seen.text.data, text);
    out_done(&seen.text);
}

/* ---- what is in the records ---------------------------------------------------------------- */

TEST(internal_topics, a_group_is_where_kafka_looks_for_it)
{
    /* "...".hashCode() in Java */
    cr_assert_eq(internal_topic_partition(bytes_text(""), 50), 0);
    cr_assert_eq(internal_topic_partition(bytes_text("g"), 50), 103 % 50);
    cr_assert_eq(internal_topic_partition(bytes_text("console-consumer-60967"), INT32_MAX),
        internal_topic_partition(bytes_text("console-consumer-60967"), INT32_MAX));
    cr_assert_eq(internal_topic_partition(bytes_text("polygenelubricants"), 50), 0,
        "the hash without an absolute value");
    cr_assert_eq(internal_topic_partition(bytes_text("\xc3\xa9"), 1000), 233);
    cr_assert_eq(internal_topic_partition(bytes_text("\xf0\x9f\x98\x80"), INT32_MAX), 1772899);
    cr_assert_eq(internal_topic_partition(bytes_text("\xff\xfe"), 1000000), 31 * 0xff + 0xfe,
        "bytes that are no text have a place, too");
}

TEST(internal_topics, an_offset_is_a_record_as_kafka_writes_it)
{
    begin();
    commit("g", 2, 300);
    struct fetch_request *request = client_fetch_request(client, OFFSETS, place("g"), 0);
    struct fetch_response_partition_data *row = client_fetch(client, 12, request);
    struct bytes run = bytes_of(row->records.data, row->records.len);
    struct batch_view view;
    struct record_reader reader;
    struct record_view record;
    cr_assert_eq(batch_next(&run, &view), BATCH_OK);
    record_reader_init(&reader, &view, view.records);
    cr_assert(record_next(&reader, &record));
    static const uint8_t key[] = { 0, 1, 0, 1, 'g', 0, 1, 't', 0, 0, 0, 2 };
    cr_assert(bytes_equal(record.key, bytes_of(key, sizeof(key))));
    static const uint8_t value[] = { 0, 4, 0, 0, 0, 0, 0, 0, 1, 44, 255, 255, 255, 255, 2, 'm' };
    static const uint8_t tags[] = { 1, 0, 16 }; /* one: number 0, of so many bytes */
    const uint8_t *behind = record.value.data + sizeof(value);
    cr_assert_eq(record.value.len, sizeof(value) + 8 + sizeof(tags) + 16);
    cr_assert_eq(memcmp(record.value.data, value, sizeof(value)), 0);
    cr_assert_eq((int64_t)be_get64(behind), record.timestamp);
    cr_assert_eq(memcmp(behind + 8, tags, sizeof(tags)), 0);
    struct uuid id = storage_topic(world.broker->storage, bytes_text("t"))->id;
    cr_assert_eq(memcmp(behind + 8 + sizeof(tags), id.b, 16), 0);
    world_close(&world);
}

TEST(internal_topics, each_change_takes_the_place_of_the_one_before)
{
    begin();
    commit("g", 0, 1);
    commit("g", 1, 2);
    commit("h", 0, 7);
    expect(OFFSETS, place("g"), "offset g t-0 = 1 'm' v4\noffset g t-1 = 2 'm' v4\n");
    expect(OFFSETS, place("h"), "offset h t-0 = 7 'm' v4\n");
    expect(OFFSETS, (place("h") + 1) % 50, "");
    commit("g", 0, 3);
    expect(OFFSETS, place("g"), "offset g t-1 = 2 'm' v4\noffset g t-0 = 3 'm' v4\n");
    drop_group("g");
    expect(OFFSETS, place("g"), "offset g t-0 is gone\noffset g t-1 is gone\n");
    world_close(&world);
}

static void join_and_sync_as(const char *group, struct bytes metadata, struct bytes given)
{
    struct join_group_request request;
    struct join_group_request_protocol protocol;
    struct sync_group_request sync;
    struct sync_group_request_assignment assignment;
    codec_defaults(&join_group_request_message, &request);
    struct_defaults(&join_group_request_protocol_table, &protocol);
    protocol.name = bytes_text("range");
    protocol.metadata = metadata;
    request.group_id = bytes_text(group);
    request.session_timeout_ms = 6000;
    request.rebalance_timeout_ms = 7000;
    request.protocol_type = bytes_text("consumer");
    request.protocols = &protocol;
    request.protocols_count = 1;
    struct join_group_response *joined = client_call(client, API_JOIN_GROUP, 3, &request);
    cr_assert_eq(joined->error_code, 0);
    codec_defaults(&sync_group_request_message, &sync);
    struct_defaults(&sync_group_request_assignment_table, &assignment);
    assignment.member_id = joined->member_id;
    assignment.assignment = given;
    sync.group_id = bytes_text(group);
    sync.generation_id = joined->generation_id;
    sync.member_id = joined->member_id;
    sync.assignments = &assignment;
    sync.assignments_count = 1;
    struct sync_group_response *synced = client_call(client, API_SYNC_GROUP, 3, &sync);
    cr_assert_eq(synced->error_code, 0);
}

static void join_and_sync(const char *group)
{
    join_and_sync_as(group, bytes_text("12345"), bytes_text("123"));
}

/* What time takes is deleted as by hand. */
TEST(internal_topics, what_expires_leaves_tombstones)
{
    struct offset_commit_request request;
    struct offset_commit_request_topic wanted;
    struct offset_commit_request_partition part;
    world_open(&world,
        (const char *[]){ "offsets.retention.minutes=1", "offsets.retention.check.interval.ms=1000",
            "group.initial.rebalance.delay.ms=0", NULL });
    client = client_connect(&world);
    client_create_topic(client, "t", 4, NULL);
    commit("g", 0, 1);
    codec_defaults(&offset_commit_request_message, &request);
    struct_defaults(&offset_commit_request_topic_table, &wanted);
    struct_defaults(&offset_commit_request_partition_table, &part);
    request.group_id = bytes_text("g");
    request.retention_time_ms = 120000;
    request.topics = &wanted;
    request.topics_count = 1;
    wanted.name = bytes_text("t");
    wanted.partitions = &part;
    wanted.partitions_count = 1;
    part.partition_index = 1;
    part.committed_offset = 2;
    (void)client_call(client, API_OFFSET_COMMIT, 4, &request);
    expect(OFFSETS, place("g"), "offset g t-0 = 1 'm' v4\noffset g t-1 = 2 '' v1 for 120000\n");
    join_and_sync("c");
    world_run(&world, 5000);
    expect(OFFSETS, place("c"),
        "group c = consumer generation 1 range [test /127.0.0.1 7000/6000 5 3 leads]\n");
    world_run(&world, 60000);
    expect(OFFSETS, place("g"), "offset g t-1 = 2 '' v1 for 120000\noffset g t-0 is gone\n");
    expect(OFFSETS, place("c"), "group c is gone\n");
    world_run(&world, 60000);
    expect(OFFSETS, place("g"), "offset g t-0 is gone\noffset g t-1 is gone\n");
    world_close(&world);
}

TEST(internal_topics, a_group_is_there_with_its_members)
{
    begin();
    client->id = "me";
    join_and_sync("g");
    expect(OFFSETS, place("g"),
        "group g = consumer generation 1 range [me /127.0.0.1 7000/6000 5 3 leads]\n");
    again(true);
    expect(OFFSETS, place("g"),
        "group g = consumer generation 1 range [me /127.0.0.1 7000/6000 5 3 leads]\n");
    world_close(&world);
}

/* ---- groups of the newer kinds -------------------------------------------------------------- */

/* One heartbeat; a regex NULL: none, and the topic t by its name. */
static int32_t consumer_beat(
    const char *group, const char *member, int32_t epoch, const char *regex)
{
    struct consumer_group_heartbeat_request request;
    struct bytes name = bytes_text("t");
    codec_defaults(&consumer_group_heartbeat_request_message, &request);
    request.group_id = bytes_text(group);
    request.member_id = bytes_text(member);
    request.member_epoch = epoch;
    if (epoch == 0) {
        request.rebalance_timeout_ms = 5000;
        request.subscribed_topic_names = &name;
        request.subscribed_topic_names_count = regex ? 0 : 1;
        request.topic_partitions_count = 0;
        request.rack_id = bytes_text("r");
    }
    if (epoch == 0 && regex)
        request.subscribed_topic_regex = bytes_text(regex);
    struct consumer_group_heartbeat_response *answer =
        client_call(client, API_CONSUMER_GROUP_HEARTBEAT, 1, &request);
    cr_assert_eq(answer->error_code, 0, "%d", answer->error_code);
    return answer->member_epoch;
}

static void share_beat(const char *group, const char *member, int32_t epoch)
{
    struct share_group_heartbeat_request request;
    struct bytes name = bytes_text("t");
    codec_defaults(&share_group_heartbeat_request_message, &request);
    request.group_id = bytes_text(group);
    request.member_id = bytes_text(member);
    request.member_epoch = epoch;
    if (epoch == 0) {
        request.subscribed_topic_names = &name;
        request.subscribed_topic_names_count = 1;
    }
    struct share_group_heartbeat_response *answer =
        client_call(client, API_SHARE_GROUP_HEARTBEAT, 1, &request);
    cr_assert_eq(answer->error_code, 0, "%d", answer->error_code);
}

#define CONSUMER_GROUP(epoch)                                                                      \
    "consumer g = epoch " epoch " hashed\n"                                                        \
    "consumer-target g = epoch " epoch "\n"
#define CONSUMER_MEMBER                                                                            \
    "consumer-member g a = me /127.0.0.1 instance - rack r assignor - regex - timeout 5000 "       \
    "wants t\n"

TEST(internal_topics, a_consumer_group_is_there_with_its_members)
{
    begin();
    client->id = "me";
    (void)consumer_beat("g", "a", 0, NULL);
    expect(OFFSETS, place("g"),
        CONSUMER_GROUP("2") CONSUMER_MEMBER
        "consumer-target-member g a = is to have t:0,1,2,3\n"
        "consumer-current g a = epoch 2 after 0 state 0 has t:0@2,1@2,2@2,3@2 gives\n");
    (void)consumer_beat("g", "b", 0, NULL);
    world_run(&world, 2000); /* group.consumer.assignment.interval.ms */
    (void)consumer_beat("g", "b", 2, NULL);
    (void)consumer_beat("g", "a", 2, NULL);
    struct seen seen = { 0 };
    (void)read_on(&seen, OFFSETS, place("g"));
    out_bytes(&seen.text, "", 1);
    const char *text = (const char *)seen.text.data;
    cr_assert(strstr(text, CONSUMER_GROUP("3")), "%s", text);
    static const char gets[] = "consumer-target-member g b = is to have ";
    const char *to_get = strstr(text, gets);
    cr_assert(to_get, "%s", text);
    to_get += sizeof(gets) - 1;
    cr_assert_eq(strcspn(to_get, "\n"), strlen("t:0,1"), "two of four: %s", text);
    const char *gives = strstr(text, "consumer-current g a = epoch 2 after 2 state 1 has t:");
    cr_assert(gives, "%s", text);
    gives = strstr(gives, " gives ");
    cr_assert(gives, "%s", text);
    cr_assert_eq(strncmp(gives + strlen(" gives "), to_get, strlen("t:0,1\n")), 0, "%s", text);
    cr_assert(
        strstr(text, "consumer-current g b = epoch 3 after 2 state 2 has gives\n"), "%s", text);
    again(true);
    expect(OFFSETS, place("g"), text);
    out_done(&seen.text);
    world_close(&world);
}

TEST(internal_topics, what_is_gone_of_a_consumer_group_has_its_own_tombstones)
{
    begin();
    client->id = "me";
    (void)consumer_beat("g", "a", 0, NULL);
    (void)consumer_beat("g", "a", -1, NULL);
    expect(OFFSETS, place("g"),
        "consumer g = epoch 3\nconsumer-target g = epoch 2\n"
        "consumer-current g a is gone\n"
        "consumer-target-member g a is gone\n"
        "consumer-member g a is gone\n");
    again(true);
    expect(OFFSETS, place("g"), "consumer g = epoch 3\nconsumer-target g = epoch 2\n");
    drop_group("g");
    expect(OFFSETS, place("g"), "consumer-target g is gone\nconsumer g is gone\n");
    world_close(&world);
}

TEST(internal_topics, an_expression_is_there_with_what_it_matches)
{
    begin();
    client->id = "me";
    client_create_topic(client, "t2", 1, NULL);
    client_create_topic(client, "u", 1, NULL);
    (void)consumer_beat("g", "a", 0, "t.*");
    struct seen seen = { 0 };
    (void)read_on(&seen, OFFSETS, place("g"));
    out_bytes(&seen.text, "", 1);
    const char *text = (const char *)seen.text.data;
    cr_assert(
        strstr(text, "\nconsumer-regex g t.* = matches t,t2\nconsumer-member g a = "), "%s", text);
    cr_assert(strstr(text, " regex t.* timeout 5000 wants\n"), "%s", text);
    out_done(&seen.text);
    again(true);
    struct seen later = { 0 };
    (void)read_on(&later, OFFSETS, place("g"));
    out_bytes(&later.text, "", 1);
    text = (const char *)later.text.data;
    cr_assert(!strstr(text, "consumer-regex"), "nobody has looked in this life: %s", text);
    cr_assert_eq(later.offset, seen.offset, "the others are where they were");
    out_done(&later.text);
    world_close(&world);
}

#define SHARE_GROUP "share g = epoch 1\nshare-target g = epoch 1\n"
#define SHARE_MEMBER                                                                               \
    "share-member g a = me /127.0.0.1 rack - wants t\n"                                            \
    "share-target-member g a = is to have t:0,1,2,3\n"                                             \
    "share-current g a = epoch 1 after 0 state 0 has t:0,1,2,3\n"

TEST(internal_topics, a_share_group_is_there_with_its_members)
{
    begin();
    client->id = "me";
    share_beat("g", "a", 0);
    expect(OFFSETS, place("g"), SHARE_GROUP SHARE_MEMBER);
    struct unit unit;
    struct uuid id = client_topic_id(client, "t");
    unit_init(&unit, unit_done);
    shares_move(&unit, bytes_text("g"), &id, 3, 0);
    shares_move(&unit, bytes_text("g"), &id, 1, 0);
    cr_assert_eq(log_commit(world.broker->storage, &unit), 0);
    world_run(&world, 1000);
    again(true);
    expect(OFFSETS, place("g"), "share-state g = reads t t:1,3\n" SHARE_GROUP SHARE_MEMBER);
    share_beat("g", "a", -1);
    expect(OFFSETS, place("g"),
        "share-state g = reads t t:1,3\n"
        "share g = epoch 2\nshare-target g = epoch 2\n"
        "share-current g a is gone\n"
        "share-target-member g a is gone\n"
        "share-member g a is gone\n");
    again(false);
    drop_group("g");
    expect(OFFSETS, place("g"), "share-state g is gone\nshare-target g is gone\nshare g is gone\n");
    world_close(&world);
}

/* Who reads on sees the end of the records of the kind that it was. */
TEST(internal_topics, a_group_that_changes_its_kind_leaves_tombstones_of_the_old)
{
    begin();
    client->id = "me";
    (void)consumer_beat("g", "a", 0, NULL);
    (void)consumer_beat("g", "a", -1, NULL);
    struct seen seen = { 0 };
    (void)read_on(&seen, OFFSETS, place("g"));
    seen.text.len = 0;
    join_and_sync("g");
    (void)read_on(&seen, OFFSETS, place("g"));
    out_bytes(&seen.text, "", 1);
    cr_assert_str_eq((const char *)seen.text.data,
        "consumer-target g is gone\nconsumer g is gone\n"
        "group g = consumer generation 1 range [me /127.0.0.1 7000/6000 5 3 leads]\n");
    again(true);
    expect(OFFSETS, place("g"),
        "group g = consumer generation 1 range [me /127.0.0.1 7000/6000 5 3 leads]\n");
    out_done(&seen.text);
    world_close(&world);
}

TEST(internal_topics, a_member_of_both_protocols_is_there_with_what_it_said_in_each)
{
    static const uint8_t wants_t[] = { 0, 0, 0, 0, 0, 1, 0, 1, 't', 255, 255, 255, 255 };
    static const uint8_t has_0[] = { 0, 0, 0, 0, 0, 1, 0, 1, 't', 0, 0, 0, 1, 0, 0, 0, 0, 255, 255,
        255, 255 };
    begin();
    client->id = "me";
    join_and_sync_as("g", bytes_of(wants_t, sizeof(wants_t)), bytes_of(has_0, sizeof(has_0)));
    (void)consumer_beat("g", "b", 0, NULL);
    struct seen seen = { 0 };
    (void)read_on(&seen, OFFSETS, place("g"));
    out_bytes(&seen.text, "", 1);
    const char *text = (const char *)seen.text.data;
    cr_assert_eq(strncmp(text, "group g is gone\nconsumer g = epoch ", 35), 0, "%s", text);
    cr_assert(strstr(text, " regex - timeout 7000 wants t session 6000 protocols 1\n"), "%s", text);
    cr_assert(strstr(text, " = epoch 1 after 1 state 0 has t:0@0 gives\n"), "%s", text);
    out_done(&seen.text);
    world_close(&world);
}

TEST(internal_topics, rows_that_can_not_be_read_are_left_out)
{
    static const char *const rows[] = { "", "\1", "\2", "\3", "\4", "\2\1garbage" };
    begin();
    struct unit unit;
    unit_init(&unit, unit_done);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char name[2] = { (char)('a' + i), 0 };
        uint8_t member[] = { 0, 1, (uint8_t)('a' + i), 'm' };
        unit_put(&unit, STORE_GROUP, bytes_text(name), bytes_text(rows[i]));
        unit_put(&unit, STORE_GROUP_MEMBER, bytes_of(member, sizeof(member)), bytes_text(rows[i]));
    }
    unit_put(&unit, STORE_GROUP_MEMBER, bytes_of("\0\1z", 3), bytes_text("no member's key"));
    unit_put(&unit, STORE_GROUP_MEMBER, bytes_of("\0\1zm", 4), bytes_text("no group"));
    cr_assert_eq(log_commit(world.broker->storage, &unit), 0);
    world_run(&world, 1000);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char name[2] = { (char)('a' + i), 0 };
        expect(OFFSETS, place(name), "");
    }
    expect(OFFSETS, place("z"), "");
    world_close(&world);
}

static struct transaction_effects step(
    const char *id, struct transaction_event event, const struct transaction_effects *as)
{
    struct transaction_effects effects;
    uint64_t lsn;
    event.timeout_ms = 60000;
    event.protocol = TRANSACTION_V1;
    event.producer_id = as ? as->producer_id : -1;
    event.epoch = as ? as->epoch : -1;
    cr_assert_eq(transaction_coordinator_step(
                     world.broker->transactions, bytes_text(id), &event, &effects, &lsn),
        0);
    cr_assert_eq(effects.error, 0);
    return effects;
}

TEST(internal_topics, a_transaction_is_there_with_its_partitions)
{
    begin();
    struct transaction_effects one =
        step("x", (struct transaction_event){ .kind = TRANSACTION_INIT }, NULL);
    expect(TRANSACTIONS, place("x"), "transaction x = state 0 epoch 0 timeout 60000 v1 null\n");
    struct transaction_part parts[] = { { .partition = 9 },
        { .topic_id = client_topic_id(client, "t"), .partition = 1 },
        { .topic_id = client_topic_id(client, "t"), .partition = 3 } };
    (void)step("x",
        (struct transaction_event){ .kind = TRANSACTION_ADD, .parts = parts, .part_count = 3 },
        &one);
    expect(TRANSACTIONS, place("x"),
        "transaction x = state 1 epoch 0 timeout 60000 v1 __consumer_offsets:9 t:1,3\n");
    (void)step("x", (struct transaction_event){ .kind = TRANSACTION_END, .committed = true }, &one);
    expect(TRANSACTIONS, place("x"), "transaction x = state 4 epoch 0 timeout 60000 v1\n");
    world_close(&world);
}

/* ---- readers ------------------------------------------------------------------------------- */

TEST(internal_topics, who_waits_at_the_end_sees_the_next_change)
{
    begin();
    commit("g", 0, 1);
    struct seen seen = { 0 };
    (void)read_on(&seen, OFFSETS, place("g"));
    struct client *reader = client_connect(&world);
    struct fetch_request *request = client_fetch_request(reader, OFFSETS, place("g"), seen.next);
    request->max_wait_ms = 60000;
    for (int large = 0; large < 2; large++) {
        request->min_bytes = large ? 100 : 1;
        request->topics->partitions->fetch_offset = seen.next;
        int64_t before = world_now_ms(&world);
        (void)client_send(reader, API_FETCH, 12, request);
        world_run(&world, 100);
        cr_assert_null(client_poll(reader, API_FETCH, 12), "nothing has come");
        commit("g", 0, 2);
        struct fetch_response *answer = client_receive(reader, API_FETCH, 12);
        cr_assert_lt(world_now_ms(&world) - before, 5000, "it was not the deadline");
        take(&seen, OFFSETS, answer->responses->partitions);
    }
    out_bytes(&seen.text, "", 1);
    cr_assert_str_eq((const char *)seen.text.data,
        "offset g t-0 = 1 'm' v4\noffset g t-0 = 2 'm' v4\noffset g t-0 = 2 'm' v4\n");
    out_done(&seen.text);
    world_close(&world);
}

/* Whoever read to the end finds nothing new after a restart, and everything that comes then. */
TEST(internal_topics, offsets_last_and_never_go_back)
{
    begin();
    commit("g", 0, 0);
    commit("g", 1, 0);
    struct seen before = { 0 };
    int64_t end = read_on(&before, OFFSETS, place("g"));
    cr_assert_eq(end, before.offset + 1, "a reader gets to the end");
    struct uuid id = client_topic_id(client, OFFSETS);
    for (int life = 0; life < 4; life++) {
        again(life % 2 == 0);
        struct seen seen = { 0 };
        cr_assert_eq(read_on(&seen, OFFSETS, place("g")), end, "life %d", life);
        cr_assert_eq(seen.offset, before.offset);
        cr_assert_eq(seen.text.len, before.text.len);
        cr_assert(uuid_equal(client_topic_id(client, OFFSETS), id), "the same topic");
        out_done(&seen.text);
    }
    drop_group("g");
    end = read_on(&before, OFFSETS, place("g"));
    for (int life = 0; life < 4; life++) {
        again(life % 2 == 0);
        struct seen seen = { 0 };
        int64_t now = read_on(&seen, OFFSETS, place("g"));
        cr_assert_geq(now, end, "life %d: nothing is left, and yet the end is no lower", life);
        cr_assert_eq(seen.next, now);
        cr_assert_eq(seen.records, 0, "tombstones end with the life");
        end = now;
        out_done(&seen.text);
    }
    commit("g", 0, 5);
    before.text.len = 0;
    (void)read_on(&before, OFFSETS, place("g"));
    out_bytes(&before.text, "", 1);
    cr_assert_str_eq((const char *)before.text.data, "offset g t-0 = 5 'm' v4\n");
    out_done(&before.text);
    world_close(&world);
}

/* No answer tells what a crash could still take back. */
TEST(internal_topics, a_change_is_told_when_it_is_durable)
{
    begin();
    commit("g", 0, 1);
    struct seen seen = { 0 };
    (void)read_on(&seen, OFFSETS, place("g"));
    struct client *reader = client_connect(&world);
    struct fetch_request *request = client_fetch_request(reader, OFFSETS, place("g"), seen.next);
    request->max_wait_ms = 60000;
    (void)client_send(reader, API_FETCH, 12, request);
    world_run(&world, 100);
    struct committed_offset offset = { .offset = 2, .metadata = bytes_text("m") };
    struct uuid id = client_topic_id(client, "t");
    struct unit unit;
    unit_init(&unit, unit_done);
    coordinator_put_offset(&unit, bytes_text("g"), &id, 0, &offset);
    cr_assert_eq(log_commit(world.broker->storage, &unit), 0);
    struct iovec iov[8];
    broker_turn(world.broker);
    cr_assert_eq(connection_output(reader->connection, iov, 8), 0, "it is in memory only");
    struct fetch_response *answer = client_receive(reader, API_FETCH, 12);
    take(&seen, OFFSETS, answer->responses->partitions);
    cr_assert_eq(seen.records, 2);
    out_done(&seen.text);
    world_close(&world);
}

/* A reader from before a crash asks by the epoch of then: nothing that it read was taken back. */
TEST(internal_topics, nothing_is_ever_truncated)
{
    begin();
    commit("g", 0, 0);
    struct seen seen = { 0 };
    (void)read_on(&seen, OFFSETS, place("g"));
    again(true);
    struct fetch_request *request = client_fetch_request(client, OFFSETS, place("g"), seen.next);
    request->topics->partitions->last_fetched_epoch = 0;
    request->topics->partitions->current_leader_epoch = 1;
    request->max_wait_ms = 0;
    struct fetch_response_partition_data *row = client_fetch(client, 12, request);
    cr_assert_eq(row->error_code, 0);
    cr_assert_eq(row->diverging_epoch.epoch, -1);
    request->topics->partitions->current_leader_epoch = 0;
    row = client_fetch(client, 12, request);
    cr_assert_eq(row->error_code, KAFKA_ERROR_FENCED_LEADER_EPOCH);
    out_done(&seen.text);
    world_close(&world);
}

/* Records that a group had read may be lost: it goes on at the end. */
TEST(internal_topics, an_offset_behind_the_end_is_lowered_when_loss_was_accepted)
{
    begin();
    (void)client_produce(client, "t", 0, client_batch(client, CODEC_NONE, 0, 3));
    commit("g", 0, 3);
    commit("h", 0, 500);
    again(true);
    expect(OFFSETS, place("h"), "offset h t-0 = 500 'm' v4\n");
    again_accepting_loss(false);
    expect(OFFSETS, place("h"), "offset h t-0 = 500 'm' v4\n");
    again_accepting_loss(true);
    expect(OFFSETS, place("g"), "offset g t-0 = 3 'm' v4\n");
    expect(OFFSETS, place("h"), "offset h t-0 = 3 'm' v4\n");
    world_close(&world);
}

enum { MANY = 3000 };

/* Reads are small however much there is, the walk goes on where it was; a search takes turns. */
TEST(internal_topics, much_is_read_in_small_pieces)
{
    world_open(&world, NULL);
    client = client_connect(&world);
    client_create_topic(client, "t", MANY, NULL);
    for (int32_t p = 0; p < MANY; p += 500)
        commit_many("g", p, 500, p);
    struct seen seen = { 0 };
    (void)read_on(&seen, OFFSETS, place("g"));
    cr_assert_eq(seen.records, MANY);
    cr_assert_gt(seen.batches, MANY * 40 / VIEW_BATCH_MAX);
    struct fetch_request *request = client_fetch_request(client, OFFSETS, place("g"), 0);
    struct fetch_response_partition_data *row = client_fetch(client, 12, request);
    cr_assert_leq(row->records.len, VIEW_READ_MAX);
    request->topics->partitions->partition_max_bytes = 1000;
    row = client_fetch(client, 12, request);
    cr_assert(row->records.len > 500 && row->records.len <= 1000);
    request->topics->partitions->partition_max_bytes = 1;
    row = client_fetch(client, 12, request);
    cr_assert_gt(row->records.len, 61, "one record comes all the same");
    request->topics->partitions->fetch_offset = seen.next + 1;
    row = client_fetch(client, 12, request);
    cr_assert_eq(row->error_code, KAFKA_ERROR_OFFSET_OUT_OF_RANGE);
    out_done(&seen.text);
    world_close(&world);
}

static struct list_offsets_response_partition_response *list(int32_t partition, int64_t timestamp)
{
    struct list_offsets_request request;
    struct list_offsets_request_topic topic;
    struct list_offsets_request_partition part;
    codec_defaults(&list_offsets_request_message, &request);
    struct_defaults(&list_offsets_request_topic_table, &topic);
    struct_defaults(&list_offsets_request_partition_table, &part);
    part.partition_index = partition;
    part.timestamp = timestamp;
    topic.name = bytes_text(OFFSETS);
    topic.partitions = &part;
    topic.partitions_count = 1;
    request.topics = &topic;
    request.topics_count = 1;
    struct list_offsets_response *answer = client_call(client, API_LIST_OFFSETS, 7, &request);
    cr_assert_eq(answer->topics->partitions->error_code, 0);
    return answer->topics->partitions;
}

TEST(internal_topics, offsets_are_found_by_time)
{
    world_open(&world, NULL);
    client = client_connect(&world);
    client_create_topic(client, "t", MANY, NULL);
    cr_assert(internal_topics_show(world.broker->internal_topics, bytes_text(OFFSETS)));
    cr_assert_eq(list(place("g"), -1)->offset, 0);
    cr_assert_eq(list(place("g"), -3)->offset, -1);
    for (int32_t p = 0; p < MANY; p += 500) {
        commit_many("g", p, 500, p);
        world_run(&world, 1000);
    }
    struct seen seen = { 0 };
    int64_t end = read_on(&seen, OFFSETS, place("g"));
    out_done(&seen.text);
    cr_assert_eq(list(place("g"), -1)->offset, end);
    cr_assert_eq(list(place("g"), -2)->offset, 0);
    struct list_offsets_response_partition_response *newest = list(place("g"), -3);
    int64_t last_ms = newest->timestamp;
    cr_assert(newest->offset > end - 500 * 4096 && newest->offset < end);
    cr_assert_eq(list(place("g"), last_ms)->offset, newest->offset, "the first of that time");
    cr_assert_eq(list(place("g"), last_ms + 1)->offset, -1);
    cr_assert_lt(list(place("g"), last_ms - 1500)->offset, newest->offset);
    /* Whoever asks and goes away while it is looked for. */
    struct client *other = client_connect(&world);
    (void)client_send(other, API_LIST_OFFSETS, 7,
        &(struct list_offsets_request){ .replica_id = -1, .topics_count = 0 });
    client_close(other);
    world_close(&world);
}

/* ---- what is refused ----------------------------------------------------------------------- */

TEST(internal_topics, are_shown_as_internal_and_compacted_and_nobody_changes_them)
{
    begin();
    struct create_topics_request creation;
    struct create_topics_request_creatable_topic wanted;
    codec_defaults(&create_topics_request_message, &creation);
    struct_defaults(&create_topics_request_creatable_topic_table, &wanted);
    wanted.name = bytes_text(OFFSETS);
    wanted.num_partitions = wanted.replication_factor = 1;
    creation.topics = &wanted;
    creation.topics_count = 1;
    struct create_topics_response *created = client_call(client, API_CREATE_TOPICS, 7, &creation);
    cr_assert_eq(created->topics->error_code, KAFKA_ERROR_TOPIC_ALREADY_EXISTS);

    const struct topic *topic = storage_topic(world.broker->storage, bytes_text(OFFSETS));
    cr_assert_eq(topic->log_count, 50);
    cr_assert_eq(topic->config.cleanup_policy, CLEANUP_COMPACT);

    struct delete_topics_request deletion;
    struct bytes name = bytes_text(OFFSETS);
    codec_defaults(&delete_topics_request_message, &deletion);
    deletion.topic_names = &name;
    deletion.topic_names_count = 1;
    struct delete_topics_response *deleted = client_call(client, API_DELETE_TOPICS, 5, &deletion);
    cr_assert_eq(deleted->responses->error_code, KAFKA_ERROR_INVALID_TOPIC_EXCEPTION);

    struct create_partitions_request growth;
    struct create_partitions_request_topic more;
    codec_defaults(&create_partitions_request_message, &growth);
    struct_defaults(&create_partitions_request_topic_table, &more);
    more.name = name;
    more.count = 60;
    growth.topics = &more;
    growth.topics_count = 1;
    struct create_partitions_response *grown =
        client_call(client, API_CREATE_PARTITIONS, 3, &growth);
    cr_assert_eq(grown->results->error_code, KAFKA_ERROR_INVALID_TOPIC_EXCEPTION);

    cr_assert_eq(
        client_produce(client, OFFSETS, 0, client_batch(client, CODEC_NONE, 0, 1))->error_code,
        KAFKA_ERROR_INVALID_TOPIC_EXCEPTION);
    world_close(&world);
}

TEST(internal_topics, their_configuration_stays)
{
    begin();
    cr_assert(internal_topics_show(world.broker->internal_topics, bytes_text(OFFSETS)));
    struct incremental_alter_configs_request request;
    struct incremental_alter_configs_request_alter_configs_resource resource;
    struct incremental_alter_configs_request_alterable_config config;
    codec_defaults(&incremental_alter_configs_request_message, &request);
    struct_defaults(&incremental_alter_configs_request_alter_configs_resource_table, &resource);
    struct_defaults(&incremental_alter_configs_request_alterable_config_table, &config);
    config.name = bytes_text("cleanup.policy");
    config.value = bytes_text("delete");
    resource.resource_type = 2;
    resource.resource_name = bytes_text(OFFSETS);
    resource.configs = &config;
    resource.configs_count = 1;
    request.resources = &resource;
    request.resources_count = 1;
    struct incremental_alter_configs_response *answer =
        client_call(client, API_INCREMENTAL_ALTER_CONFIGS, 1, &request);
    cr_assert_eq(answer->responses->error_code, KAFKA_ERROR_INVALID_TOPIC_EXCEPTION);
    world_close(&world);
}

TEST(internal_topics, a_topic_of_that_name_from_before_is_left_alone)
{
    begin();
    struct unit unit;
    unit_init(&unit, unit_done);
    struct uuid id = { { 1, 2, 3 } };
    cr_assert_eq(
        unit_create_topic(&unit, world.broker->storage, bytes_text(OFFSETS), &id, 1, NULL, 0), 0);
    cr_assert_eq(log_commit(world.broker->storage, &unit), 0);
    world_run(&world, 1000);
    commit("g", 0, 1);
    const struct topic *topic = storage_topic(world.broker->storage, bytes_text(OFFSETS));
    cr_assert_eq(topic->log_count, 1);
    cr_assert(!topic->computed);
    again(true);
    topic = storage_topic(world.broker->storage, bytes_text(OFFSETS));
    cr_assert(!topic->computed);
    world_close(&world);
}
