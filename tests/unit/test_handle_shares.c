/* Share groups (KIP-932) through a whole broker in a simulated world: what readers of committed
 * records get, where groups begin, and random members through crashes against a ledger. */
#include "protocol/error.h"
#include "protocol/messages.h"
#include "tests/test.h"
#include "tests/unit/client_test.h"

#include <errno.h>
#include <stdio.h>

#include "broker/share_config.h"
#include "broker/share_partition.h"
#include "protocol/base/mem.h"

static struct world world;

struct member {
    struct client *client;
    const char *id;
    int32_t epoch; /* of the next request; 0: no session */
    struct uuid topic;
};

static struct member member_of(const char *id)
{
    struct member member = { .client = client_connect(&world), .id = id };
    member.topic = client_topic_id(member.client, "t");
    return member;
}

static void begin(const char *const *options)
{
    world_open(&world, options);
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 1, NULL);
    client_close(client);
}

/* Its only row; NULL: nothing was had. The first fetch tells of every partition, others of those
 * with news. */
static struct share_fetch_response_partition_data *fetch(
    struct member *member, int32_t records, bool exact)
{
    struct share_fetch_request request;
    struct share_fetch_request_fetch_topic topic;
    struct share_fetch_request_fetch_partition partition;
    codec_defaults(&share_fetch_request_message, &request);
    struct_defaults(&share_fetch_request_fetch_topic_table, &topic);
    struct_defaults(&share_fetch_request_fetch_partition_table, &partition);
    topic.topic_id = member->topic;
    topic.partitions = &partition;
    topic.partitions_count = 1;
    request.group_id = bytes_text("g");
    request.member_id = bytes_text(member->id);
    request.share_session_epoch = member->epoch++;
    request.max_records = records;
    request.batch_size = records;
    request.share_acquire_mode = exact;
    request.topics = &topic;
    request.topics_count = 1;
    struct share_fetch_response *answer = client_call(member->client, API_SHARE_FETCH, 2, &request);
    cr_assert_not_null(answer);
    cr_assert_eq(answer->error_code, 0);
    if (answer->responses_count == 0) {
        cr_assert_neq(request.share_session_epoch, 0);
        return NULL;
    }
    cr_assert_eq(answer->responses[0].partitions[0].error_code, 0);
    if (answer->responses[0].partitions[0].acquired_records_count == 0) {
        cr_assert_eq(request.share_session_epoch, 0);
        return NULL;
    }
    return &answer->responses[0].partitions[0];
}

static struct share_acknowledge_request *said(
    struct member *member, int64_t first, int64_t last, int8_t kind)
{
    struct share_acknowledge_request *request = client_alloc(member->client, sizeof(*request));
    struct share_acknowledge_request_acknowledge_topic *topic =
        client_alloc(member->client, sizeof(*topic));
    struct share_acknowledge_request_acknowledge_partition *partition =
        client_alloc(member->client, sizeof(*partition));
    struct share_acknowledge_request_acknowledgement_batch *batch =
        client_alloc(member->client, sizeof(*batch));
    int8_t *types = client_alloc(member->client, 1);
    codec_defaults(&share_acknowledge_request_message, request);
    *types = kind;
    *batch = (struct share_acknowledge_request_acknowledgement_batch){ first, last, types, 1 };
    partition->acknowledgement_batches = batch;
    partition->acknowledgement_batches_count = 1;
    topic->topic_id = member->topic;
    topic->partitions = partition;
    topic->partitions_count = 1;
    request->group_id = bytes_text("g");
    request->member_id = bytes_text(member->id);
    request->share_session_epoch = member->epoch++;
    request->topics = topic;
    request->topics_count = 1;
    return request;
}

static int16_t acknowledge(struct member *member, int64_t first, int64_t last, int8_t kind)
{
    struct share_acknowledge_response *answer =
        client_call(member->client, API_SHARE_ACKNOWLEDGE, 2, said(member, first, last, kind));
    cr_assert_not_null(answer);
    cr_assert_eq(answer->error_code, 0);
    return answer->responses[0].partitions[0].error_code;
}

/* -1: the group has nothing yet. */
static int64_t start_of(struct client *client, int64_t *ret_lag)
{
    struct describe_share_group_offsets_request request;
    struct describe_share_group_offsets_request_group group;
    codec_defaults(&describe_share_group_offsets_request_message, &request);
    struct_defaults(&describe_share_group_offsets_request_group_table, &group);
    group.group_id = bytes_text("g");
    group.topics_count = -1;
    request.groups = &group;
    request.groups_count = 1;
    struct describe_share_group_offsets_response *answer =
        client_call(client, API_DESCRIBE_SHARE_GROUP_OFFSETS, 1, &request);
    if (answer->groups[0].topics_count == 0)
        return -1;
    *ret_lag = answer->groups[0].topics[0].partitions[0].lag;
    return answer->groups[0].topics[0].partitions[0].start_offset;
}

static void group_set(struct client *client, const char *name, const char *value)
{
    struct incremental_alter_configs_request request;
    struct incremental_alter_configs_request_alter_configs_resource resource;
    struct incremental_alter_configs_request_alterable_config config = { bytes_text(name), 0,
        bytes_text(value) };
    codec_defaults(&incremental_alter_configs_request_message, &request);
    struct_defaults(&incremental_alter_configs_request_alter_configs_resource_table, &resource);
    resource.resource_type = 32;
    resource.resource_name = bytes_text("g");
    resource.configs = &config;
    resource.configs_count = 1;
    request.resources = &resource;
    request.resources_count = 1;
    struct incremental_alter_configs_response *answer =
        client_call(client, API_INCREMENTAL_ALTER_CONFIGS, 1, &request);
    cr_assert_eq(answer->responses[0].error_code, 0);
}

static void expect_run(
    const struct share_fetch_response_partition_data *row, int32_t i, int64_t first, int64_t last)
{
    cr_assert_not_null(row);
    cr_assert_lt(i, row->acquired_records_count);
    cr_assert_eq(row->acquired_records[i].first_offset, first);
    cr_assert_eq(row->acquired_records[i].last_offset, last);
}

/* ---- committed records ----------------------------------------------------------------------- */

static void unit_over(struct unit *unit)
{
    unit_done(unit);
}

/* A transactional batch of so many records, or (0) a marker. */
static void append(int64_t producer, int32_t records, bool commit)
{
    static struct unit units[16];
    static size_t used;
    struct unit *unit = &units[used++ % 16];
    struct batch_options options = batch_options_plain(CODEC_NONE);
    struct batch_builder builder = { 0 };
    struct out out = { 0 };
    options.producer_id = producer;
    options.producer_epoch = 0;
    options.base_sequence = 0;
    options.attributes = BATCH_ATTRIBUTE_TRANSACTIONAL;
    if (records == 0) {
        control_build(&out, &options, commit, 1, 1);
    } else {
        batch_builder_begin(&builder, &options);
        struct record_view record = { .value = bytes_text("v") };
        for (int32_t i = 0; i < records; i++)
            cr_assert_eq(batch_builder_append(&builder, &record), 0);
        cr_assert_eq(batch_builder_finish(&builder, NULL, &out), 0);
        batch_builder_done(&builder);
    }
    unit_init(unit, unit_over);
    unit_append(unit, topic_log(storage_topic(world.broker->storage, bytes_text("t")), 0),
        bytes_of(out.data, out.len));
    cr_assert_eq(log_commit(world.broker->storage, unit), 0);
    out_done(&out);
    world_run(&world, 100);
}

TEST(handle_shares, readers_of_committed_records_get_those_only)
{
    begin(NULL);
    struct member member = member_of("m");
    group_set(member.client, "share.isolation.level", "read_committed");
    group_set(member.client, "share.auto.offset.reset", "earliest");
    append(1, 2, true); /* 0-1 of producer 1, aborted at 4 */
    append(2, 2, true); /* 2-3 of producer 2, committed at 5 */
    cr_assert_null(fetch(&member, 100, false));
    append(1, 0, false);
    append(2, 0, true);
    append(3, 3, true); /* 6-8, open */
    struct share_fetch_response_partition_data *row = fetch(&member, 100, false);
    expect_run(row, 0, 2, 3);
    cr_assert_eq(row->acquired_records_count, 1);
    cr_assert_eq(acknowledge(&member, 2, 3, SHARE_ACCEPT), 0);
    int64_t lag;
    cr_assert_eq(start_of(member.client, &lag), 6);
    cr_assert_null(fetch(&member, 100, false));
    world_close(&world);
}

TEST(handle_shares, readers_of_all_records_get_no_markers)
{
    begin(NULL);
    struct member member = member_of("m");
    cr_assert_null(fetch(&member, 100, false)); /* it begins here */
    append(1, 2, true);
    append(1, 0, false);
    append(1, 1, true);
    struct share_fetch_response_partition_data *row = fetch(&member, 100, false);
    expect_run(row, 0, 0, 1);
    expect_run(row, 1, 3, 3);
    world_close(&world);
}

/* ---- a full disk ----------------------------------------------------------------------------- */

/* Puts, smaller and smaller, until the write-ahead log takes no more. */
static void fill_disk(void)
{
    static struct unit units[512];
    static uint8_t value[60000];
    size_t size = sizeof(value);
    world.sim.faults.capacity = 1;
    for (size_t i = 0; i < 512; i++) {
        unit_init(&units[i], unit_over);
        unit_put(&units[i], STORE_OFFSET, bytes_text("nobody's"), bytes_of(value, size));
        int status = log_commit(world.broker->storage, &units[i]);
        if (status < 0)
            unit_done(&units[i]);
        world_run(&world, status < 0 ? 1000 : 10);
        if (status < 0 && size == 0)
            return;
        if (status < 0)
            size /= 8;
    }
    cr_assert_fail("there is room all the time");
}

TEST(handle_shares, a_full_disk_refuses_what_is_acknowledged_and_tells_where_the_group_is)
{
    static const char *const small[] = { "wal.file.bytes=1048576", "wal.files.max=2", NULL };
    int64_t lag;
    begin(small);
    struct member member = member_of("m");
    group_set(member.client, "share.auto.offset.reset", "earliest");
    client_produce(member.client, "t", 0, client_batch(member.client, CODEC_NONE, 0, 5));
    expect_run(fetch(&member, 2, true), 0, 0, 1);
    cr_assert_eq(acknowledge(&member, 0, 0, SHARE_ACCEPT), 0);
    fill_disk();
    cr_assert_eq(start_of(member.client, &lag), 1);
    expect_run(fetch(&member, 2, true), 0, 2, 3); /* nothing of that is written */
    (void)client_send(member.client, API_SHARE_ACKNOWLEDGE, 2, said(&member, 1, 1, SHARE_ACCEPT));
    world_run(&world, 1000);
    struct share_acknowledge_response *answer =
        client_poll(member.client, API_SHARE_ACKNOWLEDGE, 2);
    cr_assert_not_null(answer, "it waits");
    cr_assert_eq(answer->responses[0].partitions[0].error_code, KAFKA_ERROR_KAFKA_STORAGE_ERROR);
    cr_assert_eq(start_of(member.client, &lag), 1, "what is not kept is not told");
    world.sim.faults.capacity = 0;
    world_run(&world, 60000);
    cr_assert_eq(start_of(member.client, &lag), 2, "kept as soon as there is room");
    cr_assert_eq(acknowledge(&member, 1, 1, SHARE_ACCEPT), KAFKA_ERROR_INVALID_RECORD_STATE);
    expect_run(fetch(&member, 2, true), 0, 2, 3); /* again: their lock is over */
    cr_assert_eq(acknowledge(&member, 2, 3, SHARE_ACCEPT), 0);
    cr_assert_eq(start_of(member.client, &lag), 4);
    world_crash(&world, true);
    world_start(&world, small);
    cr_assert_eq(start_of(client_connect(&world), &lag), 4);
    world_close(&world);
}

/* ---- where a group begins -------------------------------------------------------------------- */

TEST(handle_shares, begin_at_the_end_or_so_long_ago)
{
    begin(NULL);
    struct member member = member_of("m");
    client_produce(member.client, "t", 0, client_batch(member.client, CODEC_NONE, 0, 5));
    cr_assert_null(fetch(&member, 100, false));
    int64_t lag;
    cr_assert_eq(start_of(member.client, &lag), 5);
    cr_assert_eq(lag, 0);
    client_close(member.client);
    world_close(&world);
    begin(NULL);
    member = member_of("m");
    group_set(member.client, "share.auto.offset.reset", "by_duration:P36500D");
    client_produce(member.client, "t", 0, client_batch(member.client, CODEC_NONE, 0, 5));
    cr_assert_null(fetch(&member, 100, false)); /* it is being looked for */
    world_run(&world, 100);
    expect_run(fetch(&member, 100, false), 0, 0, 4);
    world_close(&world);
}

TEST(handle_shares, durations)
{
    cr_assert_eq(share_config_duration(bytes_text("P1DT2H3M4.5S")), 93784500);
    cr_assert_eq(share_config_duration(bytes_text("PT10S")), 10000);
    cr_assert_eq(share_config_duration(bytes_text("P")), 0);
    cr_assert_eq(share_config_duration(bytes_text("10")), 0);
    cr_assert_eq(share_config_duration(bytes_text("P99999999999999999D")), INT64_MAX / 4);
}

/* ---- random members through crashes -----------------------------------------------------------
 */

enum { RECORDS_MAX = 200, MEMBERS = 3, LOCK_MS = 1000, LIMIT = 4, SEEDS = 6, EVENTS = 120 };

struct ledger {
    struct random random;
    struct member members[MEMBERS];
    int32_t records;
    struct entry {
        bool done, maybe; /* accepted or rejected and told so; or it was said and not answered */
        int holder;       /* -1: nobody */
        int64_t until_ms; /* of the lock, at least */
        int16_t delivery; /* of the newest one */
    } entries[RECORDS_MAX];
    uint64_t crashes, deliveries, expired, archived;
};

static void holder_gone(struct ledger *ledger, int holder)
{
    for (int32_t i = 0; i < ledger->records; i++)
        if (holder < 0 || ledger->entries[i].holder == holder)
            ledger->entries[i].holder = -1;
}

static void members_connect(struct ledger *ledger)
{
    static const char *const ids[MEMBERS] = { "a", "b", "c" };
    for (int m = 0; m < MEMBERS; m++)
        ledger->members[m] = member_of(ids[m]);
}

static void ledger_fetch(struct ledger *ledger, int m)
{
    int64_t now = world_now_ms(&world);
    struct share_fetch_response_partition_data *row = fetch(&ledger->members[m],
        (int32_t)random_between(&ledger->random, 1, 30), random_chance(&ledger->random, 1, 2));
    int64_t later = world_now_ms(&world);
    for (int32_t i = 0; row && i < row->acquired_records_count; i++)
        for (int64_t o = row->acquired_records[i].first_offset;
             o <= row->acquired_records[i].last_offset; o++) {
            struct entry *entry = &ledger->entries[o];
            cr_assert_lt(o, ledger->records);
            cr_assert_not(entry->done, "%d comes again", (int)o);
            cr_assert(entry->holder < 0 || entry->until_ms <= later, "%d is held by %d", (int)o,
                entry->holder);
            ledger->expired += entry->holder >= 0;
            entry->holder = m;
            entry->until_ms = now + LOCK_MS;
            entry->delivery = row->acquired_records[i].delivery_count;
            entry->maybe = false;
            cr_assert(entry->delivery >= 1 && entry->delivery <= LIMIT);
            ledger->deliveries++;
        }
}

/* A run that the member may still hold; false: none. */
static bool held_run(struct ledger *ledger, int m, int32_t *ret_first, int32_t *ret_last)
{
    int32_t at = (int32_t)random_below(&ledger->random, (uint64_t)ledger->records + 1), end;
    while (at < ledger->records && ledger->entries[at].holder != m)
        at++;
    for (end = at; end + 1 < ledger->records && ledger->entries[end + 1].holder == m &&
                   random_chance(&ledger->random, 4, 5);)
        end++;
    *ret_first = at;
    *ret_last = end;
    return at < ledger->records;
}

static void ledger_acknowledge(struct ledger *ledger, int m)
{
    static const int8_t kinds[] = { SHARE_ACCEPT, SHARE_ACCEPT, SHARE_RELEASE, SHARE_REJECT };
    int8_t kind = kinds[random_below(&ledger->random, 4)];
    int32_t first, last;
    if (!held_run(ledger, m, &first, &last))
        return;
    int16_t error = acknowledge(&ledger->members[m], first, last, kind);
    bool late = false;
    for (int32_t o = first; o <= last; o++) {
        struct entry *entry = &ledger->entries[o];
        late |= entry->until_ms <= world_now_ms(&world);
        if (error)
            continue;
        entry->holder = -1;
        entry->done |= kind != SHARE_RELEASE;
    }
    cr_assert(!error || late, "%d-%d: error %d", (int)first, (int)last, error);
}

/* The process dies, perhaps with something said and not answered. */
static void ledger_crash(struct ledger *ledger)
{
    int32_t first, last;
    int m = (int)random_below(&ledger->random, MEMBERS);
    if (random_chance(&ledger->random, 1, 2) && held_run(ledger, m, &first, &last)) {
        struct member *member = &ledger->members[m];
        client_send(
            member->client, API_SHARE_ACKNOWLEDGE, 2, said(member, first, last, SHARE_ACCEPT));
        for (uint64_t i = random_below(&ledger->random, 6); i > 0; i--)
            (void)world_step(&world);
        for (int32_t o = first; o <= last; o++)
            ledger->entries[o].maybe = true;
    }
    if (random_chance(&ledger->random, 1, 4))
        world_stop(&world);
    else
        world_crash(&world, random_chance(&ledger->random, 1, 2));
    static const char *const options[] = { "group.share.record.lock.duration.ms=1000",
        "group.share.delivery.count.limit=4", NULL };
    world_start(&world, options);
    ledger->crashes++;
    members_connect(ledger);
    holder_gone(ledger, -1);
}

static void ledger_event(struct ledger *ledger)
{
    int m = (int)random_below(&ledger->random, MEMBERS);
    struct member *member = &ledger->members[m];
    switch (random_below(&ledger->random, 12)) {
    case 0:
    case 1:
        if (ledger->records + 10 <= RECORDS_MAX) {
            int32_t count = (int32_t)random_between(&ledger->random, 1, 10);
            cr_assert_eq(client_produce(member->client, "t", 0,
                             client_batch(member->client, CODEC_NONE, ledger->records, count))
                             ->error_code,
                0);
            ledger->records += count;
        }
        break;
    case 2: world_run(&world, random_between(&ledger->random, 100, 600)); break;
    case 3:
        if (random_chance(&ledger->random, 1, 3)) {
            client_close(member->client);
            *member = member_of(member->id);
            holder_gone(ledger, m);
        }
        break;
    case 4:
        if (random_chance(&ledger->random, 1, 3))
            ledger_crash(ledger);
        break;
    case 5:
    case 6:
    case 7: ledger_fetch(ledger, m); break;
    default: ledger_acknowledge(ledger, m); break;
    }
}

/* One member takes and accepts what is left; then nothing may be missing. */
static void ledger_drain(struct ledger *ledger)
{
    struct member *member = &ledger->members[0];
    int64_t lag = 1;
    world_run(&world, 2 * LOCK_MS);
    holder_gone(ledger, -1);
    for (int round = 0; start_of(member->client, &lag) < ledger->records; round++) {
        cr_assert_lt(round, 10 * RECORDS_MAX);
        ledger_fetch(ledger, 0);
        for (int32_t o = 0; o < ledger->records; o++)
            if (ledger->entries[o].holder == 0) {
                cr_assert_eq(acknowledge(member, o, o, SHARE_ACCEPT), 0);
                ledger->entries[o].holder = -1;
                ledger->entries[o].done = true;
            }
    }
    cr_assert_eq(lag, 0);
    for (int32_t o = 0; o < ledger->records; o++) {
        const struct entry *entry = &ledger->entries[o];
        cr_assert(entry->done || entry->maybe || entry->delivery == LIMIT, "%d is lost", (int)o);
        ledger->archived += !entry->done && !entry->maybe;
    }
}

TEST(handle_shares, each_record_is_held_by_one_and_none_is_lost)
{
    static const char *const options[] = { "group.share.record.lock.duration.ms=1000",
        "group.share.delivery.count.limit=4", NULL };
    uint64_t crashes = 0, deliveries = 0, expired = 0, archived = 0;
    const char *seeds = getenv("SHARE_SEEDS");
    for (uint64_t seed = 1; seed <= (seeds ? strtoull(seeds, NULL, 10) : SEEDS); seed++) {
        struct ledger ledger = { .random = random_seeded(seed) };
        for (int32_t i = 0; i < RECORDS_MAX; i++)
            ledger.entries[i].holder = -1;
        begin(options);
        members_connect(&ledger);
        cr_assert_null(fetch(&ledger.members[0], 1, false)); /* the group begins here */
        for (int event = 0; event < EVENTS; event++)
            ledger_event(&ledger);
        ledger_drain(&ledger);
        world_close(&world);
        crashes += ledger.crashes;
        deliveries += ledger.deliveries;
        expired += ledger.expired;
        archived += ledger.archived;
    }
    if (seeds)
        (void)fprintf(stderr,
            "%s seeds: %zu crashes, %zu deliveries, %zu after a lock ended, %zu "
            "archived at the limit\n",
            seeds, (size_t)crashes, (size_t)deliveries, (size_t)expired, (size_t)archived);
    cr_assert(crashes > 0 && deliveries > 0 && expired > 0);
}
