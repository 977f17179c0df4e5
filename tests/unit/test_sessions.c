/* Fetch sessions: the cache by itself, and as clients see it (KIP-227). */
#include "protocol/error.h"
#include "protocol/messages.h"
#include "tests/test.h"
#include "tests/unit/client_test.h"

#include <limits.h>
#include <stdio.h>

#include "broker/sessions.h"

/* ---- the cache ----------------------------------------------------------------------------- */

static struct session *make(struct sessions *sessions, size_t part_count, int64_t now_ms)
{
    struct session *session = session_create(sessions, false, part_count, now_ms);
    for (size_t i = 0; session && i < part_count; i++) {
        struct session_want want = { .topic = bytes_text("t"), .asked.partition = (int32_t)i };
        cr_assert_not_null(session_want(sessions, session, &want));
    }
    return session;
}

TEST(sessions, whose_place_a_new_one_takes)
{
    struct random random = random_seeded(1);
    struct sessions sessions;
    const int64_t minute = 60000;
    sessions_init(&sessions, &random, 3, 1 << 20);
    struct session *small = make(&sessions, 2, 0), *large = make(&sessions, 5, 0);
    int32_t small_id = small->id, large_id = large->id;
    session_touch(&sessions, small, minute);
    struct session *young = make(&sessions, 1, 2 * minute);
    int32_t young_id = young->id;
    /* All have been used in the last two minutes, and none has lived longer. */
    cr_assert_null(make(&sessions, 9, 2 * minute));
    session_touch(&sessions, large, 2 * minute + 1);
    /* Only a larger one may take the place of the smallest that is old enough. */
    cr_assert_null(make(&sessions, 2, 2 * minute + 2));
    struct session *larger = make(&sessions, 3, 2 * minute + 2);
    cr_assert_not_null(larger);
    cr_assert_null(session_find(&sessions, small_id));
    cr_assert_not_null(session_find(&sessions, young_id));
    /* Whoever was not used for more than two minutes goes first, however large. */
    session_touch(&sessions, young, 4 * minute + 2);
    cr_assert_not_null(make(&sessions, 1, 4 * minute + 2));
    cr_assert_null(session_find(&sessions, large_id));
    cr_assert_eq(sessions.by_id.count, 3);
    cr_assert_eq(sessions.evicted, 2);
    sessions_done(&sessions);
    cr_assert_eq(sessions.bytes, 0);
}

TEST(sessions, their_memory_is_limited)
{
    struct random random = random_seeded(1);
    struct sessions sessions;
    sessions_init(&sessions, &random, 1000, 4000);
    cr_assert_null(make(&sessions, 100, 0));
    struct session *session = make(&sessions, 2, 0);
    cr_assert_not_null(session);
    struct session_want want = { .topic = bytes_text("t") };
    int32_t added = 0;
    for (; added < 100; added++) {
        want.asked.partition = 10 + added;
        if (!session_want(&sessions, session, &want))
            break;
    }
    cr_assert(added > 5 && added < 50, "%d", added);
    cr_assert_leq(sessions.bytes, 4000);
    session_forget(&sessions, session, bytes_text("t"), NULL, 10);
    cr_assert_not_null(session_want(&sessions, session, &want));
    sessions_done(&sessions);
    sessions_init(&sessions, &random, 0, 4000); /* no slots: none at all */
    cr_assert_null(make(&sessions, 1, 0));
    sessions_done(&sessions);
}

TEST(sessions, epochs_go_round_without_the_first)
{
    cr_assert_eq(session_epoch_after(0), 1);
    cr_assert_eq(session_epoch_after(7), 8);
    cr_assert_eq(session_epoch_after(INT32_MAX), 1);
    cr_assert_eq(session_epoch_after(-1), -1);
}

/* ---- clients ------------------------------------------------------------------------------- */

/* A fetch that asks for partitions `first` to `first + count - 1` of a topic from offset 0. */
static struct fetch_request *wanting(struct client *client, int16_t version, const char *topic,
    int32_t first, int32_t count, int32_t session_id, int32_t session_epoch)
{
    struct fetch_request *request = client_fetch_request(client, topic, 0, 0);
    struct fetch_request_partition *partitions =
        client_alloc(client, (size_t)(count + 1) * sizeof(*partitions));
    for (int32_t i = 0; i < count; i++) {
        partitions[i] = request->topics->partitions[0];
        partitions[i].partition = first + i;
    }
    request->topics->partitions = partitions;
    request->topics->partitions_count = count;
    request->topics_count = count > 0;
    request->max_wait_ms = 0;
    request->session_id = session_id;
    request->session_epoch = session_epoch;
    if (version >= 13)
        request->topics->topic_id = client_topic_id(client, topic);
    return request;
}

static struct fetch_response *go(struct client *client, int16_t version, const char *topic,
    int32_t first, int32_t count, int32_t session_id, int32_t session_epoch)
{
    struct fetch_response *answer = client_call(client, API_FETCH, version,
        wanting(client, version, topic, first, count, session_id, session_epoch));
    cr_assert_not_null(answer);
    return answer;
}

/* "0 2": the partitions that an answer tells, in order. */
static const char *told(struct client *client, const struct fetch_response *answer)
{
    char *text = client_alloc(client, 64);
    for (int32_t t = 0; t < answer->responses_count; t++)
        for (int32_t p = 0; p < answer->responses[t].partitions_count; p++)
            (void)snprintf(text + strlen(text), 64 - strlen(text), "%s%d", *text ? " " : "",
                answer->responses[t].partitions[p].partition_index);
    return text;
}

static void produce(struct client *client, const char *topic, int32_t partition)
{
    struct bytes batch = client_batch(client, CODEC_NONE, 0, 10);
    cr_assert_eq(client_produce(client, topic, partition, batch)->error_code, 0);
}

TEST(sessions, only_news_is_told)
{
    for (int16_t version = 7; version <= 18; version++) {
        struct world world;
        world_open(&world, NULL);
        struct client *client = client_connect(&world);
        client_create_topic(client, "t", 3, NULL);
        struct fetch_response *answer = go(client, version, "t", 0, 3, 0, 0);
        int32_t id = answer->session_id;
        cr_assert_gt(id, 0);
        cr_assert_str_eq(told(client, answer), "0 1 2");
        answer = go(client, version, "t", 0, 0, id, 1);
        cr_assert_eq(answer->error_code, 0);
        cr_assert_eq(answer->session_id, id);
        cr_assert_str_eq(told(client, answer), "");
        produce(client, "t", 1);
        answer = go(client, version, "t", 0, 0, id, 2);
        cr_assert_str_eq(told(client, answer), "1");
        cr_assert_eq(answer->responses->partitions->high_watermark, 10);
        cr_assert_gt(answer->responses->partitions->records.len, 0);
        cr_assert(version >= 13
                      ? uuid_equal(answer->responses->topic_id, client_topic_id(client, "t"))
                      : bytes_equal_text(answer->responses->topic, "t"));
        /* The client did not say that it goes on elsewhere: the same again. */
        cr_assert_str_eq(told(client, go(client, version, "t", 0, 0, id, 3)), "1");
        struct fetch_request *request = wanting(client, version, "t", 1, 1, id, 4);
        request->topics->partitions->fetch_offset = 10;
        answer = client_call(client, API_FETCH, version, request);
        cr_assert_str_eq(told(client, answer), "");
        /* More partitions, fewer partitions. */
        produce(client, "t", 0);
        produce(client, "t", 2);
        request = wanting(client, version, "t", 0, 0, id, 5);
        int32_t forgotten = 0;
        struct fetch_request_forgotten_topic gone = { .topic = bytes_text("t"),
            .topic_id = client_topic_id(client, "t"),
            .partitions = &forgotten,
            .partitions_count = 1 };
        request->forgotten_topics_data = &gone;
        request->forgotten_topics_data_count = 1;
        answer = client_call(client, API_FETCH, version, request);
        cr_assert_str_eq(told(client, answer), "2");
        cr_assert_str_eq(told(client, go(client, version, "t", 0, 1, id, 6)), "2 0");
        world_close(&world);
    }
}

TEST(sessions, what_brought_records_is_served_last_the_next_time)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 3, NULL);
    for (int32_t p = 0; p < 3; p++)
        produce(client, "t", p);
    struct fetch_response *answer = go(client, 12, "t", 0, 3, 0, 0);
    int32_t id = answer->session_id;
    /* One batch only: each has its turn. */
    static const char *const turns[] = { "0", "1", "2", "0", "1" };
    for (int32_t i = 0; i < 5; i++) {
        struct fetch_request *request = wanting(client, 12, "t", 0, 0, id, 1 + i);
        request->max_bytes = 1;
        answer = client_call(client, API_FETCH, 12, request);
        cr_assert_str_eq(told(client, answer), turns[i], "turn %d: %s", i, told(client, answer));
    }
    world_close(&world);
}

TEST(sessions, an_error_and_its_end_are_told)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 1, NULL);
    struct fetch_response *answer = go(client, 12, "t", 0, 2, 0, 0);
    int32_t id = answer->session_id;
    cr_assert_eq(
        answer->responses->partitions[1].error_code, KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION);
    answer = go(client, 12, "t", 0, 0, id, 1);
    cr_assert_str_eq(told(client, answer), "1");
    cr_assert_eq(
        answer->responses->partitions[0].error_code, KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION);
    struct create_partitions_request request;
    struct create_partitions_request_topic topic = { bytes_text("t"), 2, NULL, -1 };
    codec_defaults(&create_partitions_request_message, &request);
    request.topics = &topic;
    request.topics_count = 1;
    struct create_partitions_response *grown =
        client_call(client, API_CREATE_PARTITIONS, 3, &request);
    cr_assert_eq(grown->results->error_code, 0);
    answer = go(client, 12, "t", 0, 0, id, 2);
    cr_assert_str_eq(told(client, answer), "1");
    cr_assert_eq(answer->responses->partitions[0].error_code, 0);
    cr_assert_str_eq(told(client, go(client, 12, "t", 0, 0, id, 3)), "");
    world_close(&world);
}

TEST(sessions, what_does_not_fit_together_is_refused)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 1, NULL);
    int32_t id = go(client, 12, "t", 0, 1, 0, 0)->session_id;
    static const struct {
        int32_t id, epoch; /* id 0: another one than the session's; -1: the session's */
        int16_t version, code;
    } rows[] = {
        { 0, 1, 12, KAFKA_ERROR_FETCH_SESSION_ID_NOT_FOUND },
        { 0, 1, 7, KAFKA_ERROR_FETCH_SESSION_ID_NOT_FOUND },
        { -1, 2, 12, KAFKA_ERROR_INVALID_FETCH_SESSION_EPOCH },
        { -1, INT_MAX, 12, KAFKA_ERROR_INVALID_FETCH_SESSION_EPOCH },
        { -1, -2, 12, KAFKA_ERROR_INVALID_FETCH_SESSION_EPOCH },
        { -1, 1, 13, KAFKA_ERROR_FETCH_SESSION_TOPIC_ID_ERROR },
        { -1, 1, 12, 0 },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        int32_t wanted = rows[i].id < 0 ? id : id == 5 ? 6 : 5;
        struct fetch_response *answer =
            go(client, rows[i].version, "t", 0, 0, wanted, rows[i].epoch);
        cr_assert_eq(answer->error_code, rows[i].code, "row %zu: %d", i, answer->error_code);
        cr_assert_eq(answer->session_id, rows[i].code ? 0 : id);
        cr_assert_eq(answer->responses_count, 0);
    }
    /* A full fetch ends the session that it names; with the final epoch there is no new one. */
    int32_t other = go(client, 12, "t", 0, 1, id, 0)->session_id;
    cr_assert(other != 0 && other != id);
    cr_assert_eq(
        go(client, 12, "t", 0, 0, id, 2)->error_code, KAFKA_ERROR_FETCH_SESSION_ID_NOT_FOUND);
    struct fetch_response *answer = go(client, 12, "t", 0, 1, other, -1);
    cr_assert_eq(answer->session_id, 0);
    cr_assert_str_eq(told(client, answer), "0");
    cr_assert_eq(world.broker->sessions.by_id.count, 0);
    world_close(&world);
}

TEST(sessions, one_without_partitions_is_over)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 1, NULL);
    int32_t id = go(client, 12, "t", 0, 1, 0, 0)->session_id, zero = 0;
    struct fetch_request *request = wanting(client, 12, "t", 0, 0, id, 1);
    struct fetch_request_forgotten_topic gone = {
        .topic = bytes_text("t"), .partitions = &zero, .partitions_count = 1
    };
    request->forgotten_topics_data = &gone;
    request->forgotten_topics_data_count = 1;
    struct fetch_response *answer = client_call(client, API_FETCH, 12, request);
    cr_assert_eq(answer->error_code, 0);
    cr_assert_eq(answer->session_id, 0);
    cr_assert_eq(world.broker->sessions.by_id.count, 0);
    world_close(&world);
}

TEST(sessions, a_session_that_goes_while_its_fetch_waits)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world), *other = client_connect(&world);
    client_create_topic(client, "t", 2, NULL);
    for (int how = 0; how < 2; how++) {
        int32_t id = go(client, 12, "t", 0, 2, 0, 0)->session_id;
        struct fetch_request *request = wanting(client, 12, "t", 0, 0, id, 1);
        request->max_wait_ms = 1000;
        request->min_bytes = 1 << 20;
        (void)client_send(client, API_FETCH, 12, request);
        world_run(&world, 100);
        if (how == 0)
            (void)go(other, 12, "t", 0, 0, id, -1); /* ends it */
        else
            cr_assert_eq(go(other, 12, "t", 0, 0, id, 2)->error_code, 0); /* takes it over */
        struct fetch_response *answer = client_receive(client, API_FETCH, 12);
        cr_assert_eq(answer->error_code, how ? KAFKA_ERROR_INVALID_FETCH_SESSION_EPOCH : 0);
        cr_assert_eq(answer->session_id, how ? id : 0);
        cr_assert_str_eq(told(client, answer), how ? "" : "0 1");
    }
    world_close(&world);
}

TEST(sessions, without_slots_every_fetch_is_full)
{
    struct world world;
    world_open(&world, (const char *[]){ "max.incremental.fetch.session.cache.slots=1", NULL });
    struct client *client = client_connect(&world), *other = client_connect(&world);
    client_create_topic(client, "t", 2, NULL);
    cr_assert_gt(go(client, 12, "t", 0, 2, 0, 0)->session_id, 0);
    struct fetch_response *answer = go(other, 12, "t", 0, 2, 0, 0);
    cr_assert_eq(answer->session_id, 0);
    cr_assert_str_eq(told(other, answer), "0 1");
    world_close(&world);
}
