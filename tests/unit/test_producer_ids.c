/* Producer ids, and InitProducerId as clients see it: protocol.md trap 22. */
#include "protocol/error.h"
#include "protocol/messages.h"
#include "tests/test.h"
#include "tests/unit/client_test.h"

#include "broker/producer_ids.h"

static struct init_producer_id_response *init(
    struct client *client, int16_t version, const char *transactional_id)
{
    struct init_producer_id_request request;
    codec_defaults(&init_producer_id_request_message, &request);
    request.transactional_id = transactional_id ? bytes_text(transactional_id) : bytes_of(NULL, 0);
    request.transaction_timeout_ms = 60000;
    struct init_producer_id_response *answer =
        client_call(client, API_INIT_PRODUCER_ID, version, &request);
    cr_assert_not_null(answer);
    return answer;
}

TEST(producer_ids, every_request_gets_a_new_id)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    int64_t last = -1;
    for (int i = 0; i < 2 * PRODUCER_IDS_BLOCK + 10; i++) {
        struct init_producer_id_response *answer = init(client, (int16_t)(i % 6), NULL);
        cr_assert_eq(answer->error_code, 0);
        cr_assert_eq(answer->producer_epoch, 0);
        cr_assert_eq(answer->producer_id, last + 1);
        last = answer->producer_id;
    }
    world_close(&world);
}

TEST(producer_ids, an_id_that_was_told_is_never_given_again)
{
    struct world world;
    world_open(&world, NULL);
    int64_t last = -1;
    for (int life = 0; life < 6; life++) {
        struct client *client = client_connect(&world);
        for (int i = 0; i < 3; i++) {
            struct init_producer_id_response *answer = init(client, 4, NULL);
            cr_assert(answer->producer_id > last);
            last = answer->producer_id;
        }
        if (life % 3 == 2)
            world_stop(&world);
        else
            world_crash(&world, life % 3 == 0);
        world_start(&world, NULL);
    }
    world_close(&world);
}

TEST(producer_ids, an_empty_transactional_id_is_none)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    for (int16_t version = 0; version <= 6; version++) {
        struct init_producer_id_response *answer = init(client, version, "");
        cr_assert_eq(answer->error_code, KAFKA_ERROR_INVALID_REQUEST);
        cr_assert_eq(answer->producer_id, -1);
        cr_assert_eq(answer->producer_epoch, -1);
        cr_assert_eq(init(client, version, "tx")->error_code, KAFKA_ERROR_NONE);
    }
    world_close(&world);
}
