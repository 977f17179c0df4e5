/* What time takes of groups, in a broker whose clock runs as fast as it likes: retention is a
 * minute, a look every second. Which offsets go, and when, is as Apache Kafka 4.3 has it. */
#include "broker/expiry.h"

#include <errno.h>
#include <stdio.h>

#include "broker/coordinator.h"
#include "protocol/base/mem.h"
#include "protocol/error.h"
#include "protocol/messages.h"
#include "tests/test.h"
#include "tests/unit/client_test.h"

enum { SECOND = 1000, MINUTE = 60000 };

static struct world world;
static struct client *client;

static const char *const options[] = { "offsets.retention.minutes=1",
    "offsets.retention.check.interval.ms=1000", "group.initial.rebalance.delay.ms=0",
    "group.consumer.max.session.timeout.ms=1800000", "group.consumer.session.timeout.ms=1800000",
    NULL };

static const char *const seldom[] = { "offsets.retention.minutes=1",
    "offsets.retention.check.interval.ms=120000", NULL };

static void begin_with(const char *const *with)
{
    world_open(&world, with);
    client = client_connect(&world);
    client_create_topic(client, "t", 4, NULL);
    client_create_topic(client, "u", 4, NULL);
}

static void begin(void)
{
    begin_with(options);
}

enum life { RUNS, STOPS, IS_KILLED, LOSES_POWER, LIVES };

/* Another life of the broker, or the same. */
static void live(enum life life)
{
    if (life == RUNS)
        return;
    if (life == STOPS)
        world_stop(&world);
    else
        world_crash(&world, life == LOSES_POWER);
    world_start(&world, options);
    client = client_connect(&world);
}

static void pass(int64_t ms)
{
    world_run(&world, ms);
    if (!client->connection) /* it was idle for too long */
        client = client_connect(&world);
}

/* ---- offsets ------------------------------------------------------------------------------- */

struct who {
    const char *member;
    int32_t generation;
};
static const struct who nobody = { "", -1 };

static int16_t commit_as(const char *group, struct who who, int16_t version, int64_t retention_ms,
    const char *topic, int32_t partition)
{
    struct offset_commit_request request;
    struct offset_commit_request_topic wanted;
    struct offset_commit_request_partition part;
    codec_defaults(&offset_commit_request_message, &request);
    struct_defaults(&offset_commit_request_topic_table, &wanted);
    struct_defaults(&offset_commit_request_partition_table, &part);
    part.partition_index = partition;
    part.committed_offset = 5;
    part.committed_metadata = bytes_text("note");
    wanted.name = bytes_text(topic);
    wanted.partitions = &part;
    wanted.partitions_count = 1;
    request.group_id = bytes_text(group);
    request.member_id = bytes_text(who.member);
    request.generation_id_or_member_epoch = who.generation;
    request.retention_time_ms = retention_ms;
    request.topics = &wanted;
    request.topics_count = 1;
    struct offset_commit_response *answer =
        client_call(client, API_OFFSET_COMMIT, version, &request);
    return answer->topics->partitions->error_code;
}

static void commit(const char *group, const char *topic, int32_t partition)
{
    cr_assert_eq(commit_as(group, nobody, 8, -1, topic, partition), 0);
}

static void commit_for(const char *group, int32_t partition, int64_t retention_ms)
{
    for (int16_t version = 2; version <= 4; version++)
        cr_assert_eq(commit_as(group, nobody, version, retention_ms, "t", partition), 0);
}

static bool has(const char *group, const char *topic, int32_t partition)
{
    struct committed_offset offset;
    uint64_t lsn;
    const struct topic *found = storage_topic(world.broker->storage, bytes_text(topic));
    bool there = found && coordinator_get_offset(world.broker->coordinator, bytes_text(group),
                              &found->id, partition, &offset, &lsn);
    cr_assert(!there || (offset.offset == 5 && bytes_equal_text(offset.metadata, "note")));
    return there;
}

static bool is_there(const char *group)
{
    return coordinator_group(world.broker->coordinator, bytes_text(group)) != NULL;
}

/* What a client hears. */
static struct offset_fetch_request *fetch_request(const char *group)
{
    struct offset_fetch_request *request = client_alloc(client, sizeof(*request));
    struct offset_fetch_request_group *row = client_alloc(client, sizeof(*row));
    codec_defaults(&offset_fetch_request_message, request);
    struct_defaults(&offset_fetch_request_group_table, row);
    row->group_id = bytes_text(group);
    row->topics_count = -1;
    request->groups = row;
    request->groups_count = 1;
    return request;
}

static int32_t topics_told(const char *group)
{
    struct offset_fetch_response *answer =
        client_call(client, API_OFFSET_FETCH, 8, fetch_request(group));
    cr_assert_eq(answer->groups->error_code, 0);
    return answer->groups->topics_count;
}

/* ---- members ------------------------------------------------------------------------------- */

/* A classic member that reads `topic` comes, alone, and leads; `metadata` NULL: a subscription. */
static struct who join(const char *group, const char *type, const char *topic, const char *metadata)
{
    struct join_group_request request;
    struct join_group_request_protocol protocol = { .name = bytes_text("range") };
    struct consumer_protocol_subscription subscription;
    struct bytes name = bytes_text(topic);
    struct out out = { 0 };
    codec_defaults(&consumer_protocol_subscription_message, &subscription);
    subscription.topics = &name;
    subscription.topics_count = 1;
    be_put16(out_add(&out, 2), 1);
    cr_assert_eq(
        codec_encode(&consumer_protocol_subscription_message, 1, &subscription, &out, NULL), 0);
    protocol.metadata = metadata ? bytes_text(metadata) : bytes_of(out.data, out.len);
    codec_defaults(&join_group_request_message, &request);
    request.group_id = bytes_text(group);
    request.session_timeout_ms = 30 * MINUTE;
    request.rebalance_timeout_ms = 3 * MINUTE;
    request.protocol_type = bytes_text(type);
    request.protocols = &protocol;
    request.protocols_count = 1;
    struct join_group_response *answer = client_call(client, API_JOIN_GROUP, 3, &request);
    cr_assert_eq(answer->error_code, 0);
    out_done(&out);
    char *id = client_alloc(client, answer->member_id.len + 1);
    memcpy(id, answer->member_id.data, answer->member_id.len);
    return (struct who){ id, answer->generation_id };
}

static void sync_up(const char *group, struct who who)
{
    struct sync_group_request request;
    codec_defaults(&sync_group_request_message, &request);
    request.group_id = bytes_text(group);
    request.generation_id = who.generation;
    request.member_id = bytes_text(who.member);
    struct sync_group_response *answer = client_call(client, API_SYNC_GROUP, 3, &request);
    cr_assert_eq(answer->error_code, 0);
}

static struct who member(const char *group, const char *type, const char *topic)
{
    struct who who = join(group, type, topic, NULL);
    sync_up(group, who);
    return who;
}

static void leave(const char *group, const char *member_id)
{
    struct leave_group_request request;
    codec_defaults(&leave_group_request_message, &request);
    request.group_id = bytes_text(group);
    request.member_id = bytes_text(member_id);
    struct leave_group_response *answer = client_call(client, API_LEAVE_GROUP, 2, &request);
    cr_assert_eq(answer->error_code, 0);
}

/* A member of the consumer protocol; its epoch. */
static int32_t beat(const char *group, int32_t epoch, const char *topic, const char *regex)
{
    struct consumer_group_heartbeat_request request;
    struct bytes name = bytes_text(topic);
    codec_defaults(&consumer_group_heartbeat_request_message, &request);
    request.group_id = bytes_text(group);
    request.member_id = bytes_text("m");
    request.member_epoch = epoch;
    if (epoch == 0) {
        request.rebalance_timeout_ms = MINUTE;
        request.subscribed_topic_names = &name;
        request.subscribed_topic_names_count = regex ? 0 : 1;
        request.topic_partitions_count = 0;
    }
    if (epoch == 0 && regex)
        request.subscribed_topic_regex = bytes_text(regex);
    struct consumer_group_heartbeat_response *answer =
        client_call(client, API_CONSUMER_GROUP_HEARTBEAT, 1, &request);
    cr_assert_eq(answer->error_code, 0, "%d", answer->error_code);
    return answer->member_epoch;
}

/* ---- groups without members ---------------------------------------------------------------- */

TEST(expiry, a_simple_groups_offsets_count_from_their_commits)
{
    for (enum life life = RUNS; life < LIVES; life++) {
        begin();
        commit("g", "t", 0);
        pass(30 * SECOND);
        commit("g", "t", 1);
        pass(29 * SECOND);
        cr_assert(has("g", "t", 0) && has("g", "t", 1));
        pass(3 * SECOND);
        cr_assert(!has("g", "t", 0) && has("g", "t", 1));
        live(life);
        cr_assert(!has("g", "t", 0) && has("g", "t", 1));
        pass(26 * SECOND);
        commit("g", "t", 1); /* once more: its time begins anew */
        pass(58 * SECOND);
        cr_assert(has("g", "t", 1) && is_there("g"));
        pass(4 * SECOND);
        cr_assert(!has("g", "t", 1) && !is_there("g"));
        cr_assert_eq(topics_told("g"), 0);
        live(life);
        cr_assert(!has("g", "t", 1) && !is_there("g"));
        world_close(&world);
    }
}

TEST(expiry, what_a_commit_said_itself_counts_whatever_the_broker_keeps)
{
    for (enum life life = RUNS; life < LIVES; life++) {
        begin();
        commit_for("g", 0, 5 * SECOND);
        commit_for("g", 1, 2 * MINUTE);
        commit_for("g", 2, INT64_MAX);
        commit_for("g", 3, -1);
        commit_for("h", 0, INT64_MIN);
        commit_for("h", 1, 0);
        live(life);
        pass(3 * SECOND);
        cr_assert(has("g", "t", 0) && !has("h", "t", 0) && !has("h", "t", 1) && !is_there("h"));
        pass(4 * SECOND);
        cr_assert(!has("g", "t", 0) && has("g", "t", 1) && has("g", "t", 2) && has("g", "t", 3));
        pass(MINUTE);
        cr_assert(has("g", "t", 1) && has("g", "t", 2) && !has("g", "t", 3));
        live(life);
        pass(50 * SECOND);
        cr_assert(has("g", "t", 1));
        pass(12 * SECOND);
        cr_assert(!has("g", "t", 1) && has("g", "t", 2));
        commit("g", "t", 2); /* says nothing: the broker's time holds again */
        pass(63 * SECOND);
        cr_assert(!is_there("g"));
        world_close(&world);
    }
}

TEST(expiry, a_group_that_nobody_is_in_and_that_has_no_offsets_goes_at_the_next_look)
{
    begin();
    struct who who = member("g", "consumer", "t");
    pass(5 * MINUTE);
    cr_assert(is_there("g"), "it has a member");
    leave("g", who.member);
    (void)beat("c", 0, "t", NULL);
    (void)beat("c", -1, "t", NULL);
    cr_assert(is_there("g") && is_there("c"));
    pass(2 * SECOND);
    cr_assert(!is_there("g") && !is_there("c"));
    live(LOSES_POWER);
    cr_assert(!is_there("g") && !is_there("c"));
    world_close(&world);
}

TEST(expiry, who_was_told_to_come_back_finds_the_group)
{
    begin();
    struct join_group_request request;
    struct join_group_request_protocol protocol = { bytes_text("range"), bytes_text("") };
    codec_defaults(&join_group_request_message, &request);
    request.group_id = bytes_text("g");
    request.session_timeout_ms = 10 * SECOND;
    request.rebalance_timeout_ms = MINUTE;
    request.protocol_type = bytes_text("consumer");
    request.protocols = &protocol;
    request.protocols_count = 1;
    struct join_group_response *answer = client_call(client, API_JOIN_GROUP, 7, &request);
    cr_assert_eq(answer->error_code, KAFKA_ERROR_MEMBER_ID_REQUIRED);
    pass(5 * SECOND);
    cr_assert(is_there("g"));
    pass(7 * SECOND);
    cr_assert(!is_there("g"), "it did not come");
    world_close(&world);
}

/* ---- groups with members ------------------------------------------------------------------- */

TEST(expiry, of_consumers_only_what_they_do_not_read_goes)
{
    for (enum life life = RUNS; life < LIVES; life++) {
        begin();
        commit("g", "t", 0);
        commit("g", "u", 0);
        (void)member("g", "consumer", "t");
        live(life);
        pass(50 * SECOND);
        cr_assert(has("g", "u", 0));
        pass(20 * SECOND);
        cr_assert(has("g", "t", 0) && !has("g", "u", 0) && is_there("g"));
        pass(5 * MINUTE);
        cr_assert(has("g", "t", 0), "it is read");
        world_close(&world);
    }
}

TEST(expiry, when_the_members_are_gone_a_minute_is_left)
{
    for (enum life life = RUNS; life < LIVES; life++) {
        begin();
        struct who who = member("g", "consumer", "t");
        cr_assert_eq(commit_as("g", who, 8, -1, "t", 0), 0);
        pass(3 * MINUTE);
        leave("g", who.member);
        pass(30 * SECOND);
        live(life);
        pass(20 * SECOND);
        commit("g", "t", 1); /* by a tool: from now, although the group is empty for long */
        pass(8 * SECOND);
        cr_assert(has("g", "t", 0) && has("g", "t", 1));
        live(life);
        pass(5 * SECOND);
        cr_assert(!has("g", "t", 0) && has("g", "t", 1) && is_there("g"));
        pass(MINUTE);
        cr_assert(!is_there("g"));
        world_close(&world);
    }
}

/* Kafka asks only since when the group is empty, and would take what a tool has just set back. */
TEST(expiry, a_fresh_commit_stays_however_long_its_group_is_empty)
{
    for (enum life life = RUNS; life < LIVES; life++) {
        begin();
        struct who who = member("g", "consumer", "t");
        leave("g", who.member);
        commit_for("g", 0, 10 * MINUTE); /* so the group stays */
        pass(3 * MINUTE);
        live(life);
        commit("g", "t", 1);
        pass(55 * SECOND);
        cr_assert(has("g", "t", 0) && has("g", "t", 1));
        pass(7 * SECOND);
        cr_assert(has("g", "t", 0) && !has("g", "t", 1) && is_there("g"));
        world_close(&world);
    }
}

TEST(expiry, of_others_than_consumers_a_minute_is_left_too)
{
    begin();
    struct who who = member("g", "connect", "t");
    cr_assert_eq(commit_as("g", who, 8, -1, "t", 0), 0);
    pass(3 * MINUTE);
    cr_assert(has("g", "t", 0), "it has members");
    leave("g", who.member);
    pass(57 * SECOND);
    cr_assert(has("g", "t", 0));
    pass(5 * SECOND);
    cr_assert(!is_there("g"));
    world_close(&world);
}

TEST(expiry, while_nobody_knows_what_they_read_nothing_goes)
{
    begin();
    (void)member("connect", "connect", "t");
    (void)join("rebalances", "consumer", "t", NULL); /* its leader does not say who reads what */
    sync_up("unreadable", join("unreadable", "consumer", "t", "x"));
    static const char *const groups[] = { "connect", "rebalances", "unreadable" };
    for (int i = 0; i < 3; i++) {
        struct uuid id = storage_topic(world.broker->storage, bytes_text("u"))->id;
        struct committed_offset offset = { .offset = 5,
            .leader_epoch = -1,
            .commit_ms = clock_wall_ms(world.broker->doors->clock),
            .metadata = bytes_text("note") };
        struct pending_commit *commit_of =
            coordinator_commit_begin(world.broker->coordinator, NULL, NULL);
        coordinator_put_offset(
            pending_commit_unit(commit_of), bytes_text(groups[i]), &id, 0, &offset);
        cr_assert_eq(coordinator_commit(world.broker->coordinator, commit_of), 0);
    }
    pass(2 * MINUTE); /* the rebalance has three */
    cr_assert(has("rebalances", "u", 0));
    cr_assert(has("connect", "u", 0) && has("unreadable", "u", 0));
    pass(3 * MINUTE);
    cr_assert(!is_there("rebalances"), "it came to nothing, and a minute ago");
    cr_assert(has("connect", "u", 0) && has("unreadable", "u", 0));
    world_close(&world);
}

TEST(expiry, of_the_consumer_protocol_the_commit_counts_and_what_is_read_stays)
{
    for (int by_regex = 0; by_regex < 2; by_regex++) {
        for (enum life life = RUNS; life < LIVES; life++) {
            begin();
            int32_t epoch = beat("g", 0, "t", by_regex ? "t.*" : NULL);
            struct who who = { "m", epoch };
            cr_assert_eq(commit_as("g", who, 9, -1, "t", 0), 0);
            cr_assert_eq(commit_as("g", who, 9, -1, "u", 0), 0);
            live(life);
            pass(57 * SECOND);
            cr_assert(has("g", "t", 0) && has("g", "u", 0));
            pass(5 * SECOND);
            cr_assert(has("g", "t", 0) && !has("g", "u", 0));
            pass(MINUTE);
            cr_assert(has("g", "t", 0));
            (void)beat("g", -1, "t", NULL);
            pass(2 * SECOND);
            cr_assert(!has("g", "t", 0) && !is_there("g"), "its commit is old enough");
            live(life);
            cr_assert(!has("g", "t", 0) && !is_there("g"));
            world_close(&world);
        }
    }
}

TEST(expiry, of_a_share_group_nothing_goes)
{
    struct share_group_heartbeat_request request;
    struct bytes name = bytes_text("t");
    begin();
    codec_defaults(&share_group_heartbeat_request_message, &request);
    request.group_id = bytes_text("s");
    request.member_id = bytes_text("m");
    request.subscribed_topic_names = &name;
    request.subscribed_topic_names_count = 1;
    for (int32_t epoch = 0; epoch >= -1; epoch--) {
        request.member_epoch = epoch;
        struct share_group_heartbeat_response *answer =
            client_call(client, API_SHARE_GROUP_HEARTBEAT, 1, &request);
        cr_assert_eq(answer->error_code, 0);
    }
    pass(5 * MINUTE);
    cr_assert(is_there("s"));
    world_close(&world);
}

TEST(expiry, offsets_of_a_topic_that_is_gone_go_at_the_next_look)
{
    struct delete_topics_request request;
    struct bytes name = bytes_text("u");
    begin();
    (void)member("connect", "connect", "t"); /* nothing of it gets too old */
    struct uuid id = storage_topic(world.broker->storage, name)->id;
    commit("g", "t", 0);
    commit("g", "u", 0);
    codec_defaults(&delete_topics_request_message, &request);
    request.topic_names = &name;
    request.topic_names_count = 1;
    request.timeout_ms = 1000;
    struct delete_topics_response *answer = client_call(client, API_DELETE_TOPICS, 5, &request);
    cr_assert_eq(answer->responses[0].error_code, 0);
    struct committed_offset offset;
    uint64_t lsn;
    cr_assert(
        coordinator_get_offset(world.broker->coordinator, bytes_text("g"), &id, 0, &offset, &lsn));
    pass(2 * SECOND);
    cr_assert(
        !coordinator_get_offset(world.broker->coordinator, bytes_text("g"), &id, 0, &offset, &lsn));
    cr_assert(has("g", "t", 0));
    world_close(&world);
}

/* ---- transactions -------------------------------------------------------------------------- */

static int64_t producer_begin(void)
{
    struct init_producer_id_request request;
    codec_defaults(&init_producer_id_request_message, &request);
    request.transactional_id = bytes_text("tx");
    request.transaction_timeout_ms = 10 * MINUTE;
    struct init_producer_id_response *answer =
        client_call(client, API_INIT_PRODUCER_ID, 4, &request);
    cr_assert_eq(answer->error_code, 0);
    return answer->producer_id;
}

static void commit_in(int64_t producer_id, const char *group, int32_t partition_index)
{
    struct txn_offset_commit_request request;
    struct txn_offset_commit_request_topic topic;
    struct txn_offset_commit_request_partition partition;
    codec_defaults(&txn_offset_commit_request_message, &request);
    struct_defaults(&txn_offset_commit_request_topic_table, &topic);
    struct_defaults(&txn_offset_commit_request_partition_table, &partition);
    partition.partition_index = partition_index;
    partition.committed_offset = 5;
    partition.committed_metadata = bytes_text("note");
    topic.name = bytes_text("t");
    topic.partitions = &partition;
    topic.partitions_count = 1;
    request.transactional_id = bytes_text("tx");
    request.group_id = bytes_text(group);
    request.producer_id = producer_id;
    request.topics = &topic;
    request.topics_count = 1;
    struct txn_offset_commit_response *answer =
        client_call(client, API_TXN_OFFSET_COMMIT, 5, &request);
    cr_assert_eq(answer->topics->partitions->error_code, 0);
}

static void producer_end(int64_t producer_id, bool committed)
{
    struct end_txn_request request;
    codec_defaults(&end_txn_request_message, &request);
    request.transactional_id = bytes_text("tx");
    request.producer_id = producer_id;
    request.committed = committed;
    struct end_txn_response *answer = client_call(client, API_END_TXN, 4, &request);
    cr_assert_eq(answer->error_code, 0);
}

TEST(expiry, what_a_transaction_will_commit_keeps_the_offset_and_the_group)
{
    for (int committed = 0; committed < 2; committed++) {
        for (enum life life = RUNS; life < LIVES; life++) {
            begin();
            commit("g", "t", 0);
            commit("g", "t", 1);
            commit("h", "t", 0);
            int64_t producer = producer_begin();
            commit_in(producer, "g", 1);
            commit_in(producer, "h", 3);
            live(life);
            pass(2 * MINUTE);
            cr_assert(!has("g", "t", 0) && has("g", "t", 1), "it waits for an end");
            cr_assert(!has("h", "t", 0) && is_there("h"));
            pass(MINUTE);
            cr_assert(has("g", "t", 1) && is_there("h"));
            producer_end(producer, committed);
            cr_assert_eq(has("h", "t", 3), committed);
            pass(2 * SECOND); /* the commits are as old as the requests */
            cr_assert(!is_there("g") && !is_there("h"));
            world_close(&world);
        }
    }
}

/* ---- clocks -------------------------------------------------------------------------------- */

TEST(expiry, a_wall_clock_that_is_set_back_takes_nothing_early)
{
    begin();
    commit("g", "t", 0);
    commit_for("g", 1, MINUTE);
    struct who who = member("c", "consumer", "t");
    cr_assert_eq(commit_as("c", who, 8, -1, "t", 0), 0);
    leave("c", who.member);
    sim_jump(&world.sim, -(int64_t)10 * MINUTE);
    pass(9 * MINUTE);
    cr_assert(has("g", "t", 0) && has("g", "t", 1) && has("c", "t", 0));
    sim_jump(&world.sim, -clock_wall_ms(world.broker->doors->clock) - MINUTE); /* before 1970 */
    commit("g", "t", 2);
    commit_for("g", 3, INT64_MAX);
    pass(30 * SECOND);
    cr_assert(has("g", "t", 0) && has("g", "t", 1) && has("c", "t", 0) && has("g", "t", 2));
    sim_jump(&world.sim, INT64_C(1800000000000));
    pass(2 * SECOND);
    cr_assert(!has("g", "t", 0) && !has("g", "t", 1) && !has("g", "t", 2) && !is_there("c"));
    cr_assert(has("g", "t", 3));
    world_close(&world);
}

TEST(expiry, numbers_may_be_as_large_as_they_can)
{
    static const char *const large[] = { "offsets.retention.minutes=71583", /* 2^32 ms */
        "offsets.retention.check.interval.ms=1000", NULL };
    static const char *const largest[] = { "offsets.retention.minutes=2147483647",
        "offsets.retention.check.interval.ms=1000", NULL };
    static const char *const rare[] = { "offsets.retention.minutes=1",
        "offsets.retention.check.interval.ms=9223372036854775807", NULL };
    begin_with(large);
    commit("g", "t", 0);
    pass(5 * MINUTE);
    cr_assert(has("g", "t", 0));
    world_close(&world);
    begin_with(largest);
    commit("g", "t", 0);
    pass(MINUTE);
    sim_jump(&world.sim, INT64_C(100) * 365 * 86400000);
    pass(5 * SECOND);
    cr_assert(has("g", "t", 0));
    world_close(&world);
    begin_with(rare);
    commit("g", "t", 0);
    pass(10 * MINUTE);
    cr_assert(has("g", "t", 0), "there was no look");
    world_close(&world);
}

/* ---- much, and trouble --------------------------------------------------------------------- */

static size_t group_count(void)
{
    size_t count = 0;
    for (const struct group *group = NULL;
         (group = coordinator_group_next(world.broker->coordinator, group));)
        count++;
    return count;
}

static bool count_one(void *context, struct bytes key, struct bytes value, uint64_t lsn)
{
    (void)key;
    (void)value;
    (void)lsn;
    ++*(size_t *)context;
    return true;
}

static size_t offset_count(void)
{
    size_t count = 0;
    store_each(world.broker->storage, STORE_OFFSET, bytes_of("", 0), count_one, &count);
    return count;
}

/* `groups` with an offset each, and one with `many`, of which every `stay`th says that it stays. */
static void fill(int groups, int32_t many, int32_t stay)
{
    struct coordinator *coordinator = world.broker->coordinator;
    int64_t now_ms = clock_wall_ms(world.broker->doors->clock);
    struct uuid id = storage_topic(world.broker->storage, bytes_text("t"))->id;
    struct pending_commit *commit_of = coordinator_commit_begin(coordinator, NULL, NULL);
    struct committed_offset offset = {
        .offset = 5, .commit_ms = now_ms, .metadata = bytes_text("note")
    };
    for (int i = 0; i < groups; i++) {
        char name[20];
        (void)snprintf(name, sizeof(name), "group-%d", i);
        cr_assert(coordinator_group_make(coordinator, bytes_text(name), GROUP_CLASSIC));
        coordinator_put_offset(pending_commit_unit(commit_of), bytes_text(name), &id, 0, &offset);
    }
    cr_assert(coordinator_group_make(coordinator, bytes_text("many"), GROUP_CLASSIC));
    for (int32_t i = 0; i < many; i++) {
        offset.expire_ms = stay && i % stay == 0 ? now_ms + 5 * MINUTE : 0;
        coordinator_put_offset(pending_commit_unit(commit_of), bytes_text("many"), &id, i, &offset);
    }
    cr_assert_eq(coordinator_commit(coordinator, commit_of), 0);
}

TEST(expiry, much_goes_in_small_pieces)
{
    for (int32_t stay = 0; stay <= 3; stay += 3) {
        size_t most = 0, before, now;
        begin();
        fill(3 * EXPIRY_VISITS_MAX, 4 * EXPIRY_VISITS_MAX + 7, stay);
        pass(59 * SECOND);
        before = offset_count();
        cr_assert_eq(before, 7 * EXPIRY_VISITS_MAX + 7);
        int64_t until = world_now_ms(&world) + 4 * SECOND;
        while (world_now_ms(&world) < until) {
            (void)world_step(&world);
            now = offset_count();
            most = before - now > most ? before - now : most;
            before = now;
        }
        cr_assert(most > 0 && most <= EXPIRY_VISITS_MAX, "%zu at once", most);
        cr_assert_eq(before, stay ? 4 * EXPIRY_VISITS_MAX / 3 + 3 : 0, "%zu are left", before);
        cr_assert_eq(group_count(), stay ? 1 : 0);
        live(LOSES_POWER);
        cr_assert_eq(offset_count(), before);
        cr_assert_eq(group_count(), stay ? 1 : 0);
        pass(5 * MINUTE);
        cr_assert_eq(offset_count() + group_count(), 0);
        world_close(&world);
    }
}

TEST(expiry, one_look_is_enough_for_a_group_of_many_pieces)
{
    begin_with(seldom);
    fill(0, 2 * EXPIRY_VISITS_MAX, 0);
    pass(2 * MINUTE - world_now_ms(&world) + SECOND);
    cr_assert_eq(offset_count() + group_count(), 0);
    world_close(&world);
}

/* Whatever of a pass was lost, the next life's does it again. */
TEST(expiry, a_crash_in_the_midst_of_it_loses_nothing_that_is_kept)
{
    size_t partly = 0;
    for (int steps = 1; steps < 60; steps += 7) {
        begin();
        fill(2500, 1500, 2);
        pass(59 * SECOND);
        int64_t until = world_now_ms(&world) + 1 * SECOND;
        while (world_now_ms(&world) < until && offset_count() == 4000)
            (void)world_step(&world);
        for (int i = 0; i < steps; i++)
            (void)world_step(&world);
        live(steps % 2 ? LOSES_POWER : IS_KILLED);
        size_t left = offset_count();
        cr_assert(left >= 750 && left <= 4000);
        cr_assert_geq(group_count(), 1);
        partly += left > 750 && left < 4000;
        pass(3 * SECOND);
        cr_assert_eq(offset_count(), 750);
        cr_assert_eq(group_count(), 1);
        cr_assert(has("many", "t", 0) && !has("many", "t", 1));
        world_close(&world);
    }
    cr_assert_gt(partly, 3, "%zu crashes were in the midst of it", partly);
}

static int put_filler(size_t size)
{
    static uint8_t data[60000];
    struct pending_commit *filler = coordinator_commit_begin(world.broker->coordinator, NULL, NULL);
    unit_put(pending_commit_unit(filler), STORE_TASK, bytes_text("filler"), bytes_of(data, size));
    int status = coordinator_commit(world.broker->coordinator, filler);
    if (status == -EAGAIN)
        coordinator_commit_abandon(filler);
    return status;
}

static void fill_ring(void)
{
    static const size_t sizes[] = { 60000, 1000, 1 };
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        int status;
        while ((status = put_filler(sizes[i])) == 0)
            continue;
        cr_assert_eq(status, -EAGAIN);
    }
}

TEST(expiry, a_full_ring_is_waited_for)
{
    begin_with(seldom);
    commit("g", "t", 0);
    pass(2 * MINUTE - world_now_ms(&world) - 1);
    fill_ring();
    sim_run_until(&world.sim, (2 * MINUTE + 10) * CLOCK_NS_PER_MS); /* but no turn of the loop */
    cr_assert(has("g", "t", 0) && is_there("g"));
    pass(10 * SECOND);
    cr_assert(!has("g", "t", 0) && !is_there("g"));
    world_close(&world);
}

TEST(expiry, that_an_offset_is_gone_is_told_when_it_is_durable)
{
    begin();
    commit("g", "t", 0);
    pass(59 * SECOND);
    while (has("g", "t", 0))
        (void)sim_step(&world.sim); /* no turn of the loop: nothing is written yet */
    uint64_t lsn = store_deleted(world.broker->storage, STORE_OFFSET);
    cr_assert(!storage_is_durable(world.broker->storage, lsn));
    (void)client_send(client, API_OFFSET_FETCH, 8, fetch_request("g"));
    struct offset_fetch_response *answer;
    world_run(&world, 0);
    cr_assert(!storage_is_durable(world.broker->storage, lsn));
    cr_assert_null(client_poll(client, API_OFFSET_FETCH, 8), "told too early");
    while (!(answer = client_poll(client, API_OFFSET_FETCH, 8)))
        (void)world_step(&world);
    cr_assert_eq(answer->groups->topics_count, 0);
    cr_assert(storage_is_durable(world.broker->storage, lsn));
    world_close(&world);
}

/* ---- the form on the disk ------------------------------------------------------------------ */

TEST(expiry, an_offset_of_the_older_form_does_not_expire_by_itself)
{
    static const uint8_t old[] = { 5, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 7, 0, 0, 0, 0, 0,
        0, 0, 'n', 'o', 't', 'e' };
    struct committed_offset offset;
    struct out value = { 0 };
    cr_assert(coordinator_offset_decode(bytes_of(old, sizeof(old)), &offset));
    cr_assert(offset.offset == 5 && offset.leader_epoch == -1 && offset.commit_ms == 7 &&
              offset.expire_ms == 0 && bytes_equal_text(offset.metadata, "note"));
    coordinator_offset_value(&value, &offset);
    cr_assert(bytes_equal(bytes_of(value.data, value.len), bytes_of(old, sizeof(old))),
        "without a time of its own it is written as it was");
    value.len = 0;
    offset.expire_ms = 9;
    coordinator_offset_value(&value, &offset);
    cr_assert(coordinator_offset_decode(bytes_of(value.data, value.len), &offset));
    cr_assert(offset.offset == 5 && offset.leader_epoch == -1 && offset.commit_ms == 7 &&
              offset.expire_ms == 9 && bytes_equal_text(offset.metadata, "note"));
    for (size_t len = 0; len < value.len - 4; len++)
        cr_assert(!coordinator_offset_decode(bytes_of(value.data, len), &offset), "%zu", len);
    out_done(&value);
}
