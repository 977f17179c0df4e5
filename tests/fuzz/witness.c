/* See witness.h. */
#include "tests/fuzz/witness.h"

#include "protocol/base/mem.h"
#include "protocol/header.h"
#include "protocol/messages.h"

enum { PARTITIONS_ASKED = 16, ASK_MS = 20, ASK_TIMES = 100 };

struct witness {
    struct house *house;
    struct house_client *client;
    struct arena arena; /* what is still to be asked */
    uint64_t sum;
    int16_t heard; /* key of the last answer */
    struct list_offsets_request_topic *topics;
    int32_t topic_count;
};

static uint64_t mix(uint64_t sum, const void *data, size_t len)
{
    const uint8_t *bytes = data;
    for (size_t i = 0; i < len; i++)
        sum = (sum ^ bytes[i]) * UINT64_C(0x100000001b3);
    return sum ^ sum >> 29;
}

static uint64_t mix_number(uint64_t sum, int64_t number)
{
    return mix(sum, &number, sizeof(number));
}

static void hear_metadata(struct witness *witness, const struct metadata_response *answer)
{
    witness->topics =
        codec_array(&witness->arena, &list_offsets_request_topic_table, answer->topics_count);
    CHECK(witness->topics);
    for (int32_t i = 0; i < answer->topics_count; i++) {
        const struct metadata_response_topic *topic = &answer->topics[i];
        if (topic->is_internal) /* views: they show from the first use of a life on */
            continue;
        struct list_offsets_request_topic *ask = &witness->topics[witness->topic_count++];
        uint64_t sum = mix(1, topic->name.data, topic->name.len);
        sum = mix(sum, &topic->topic_id, sizeof(topic->topic_id));
        sum = mix_number(sum, topic->partitions_count);
        witness->sum += mix_number(sum, topic->error_code);
        uint8_t *name = arena_copy(&witness->arena, topic->name.data, topic->name.len);
        CHECK(name);
        ask->name = bytes_of(name, topic->name.len);
        ask->partitions_count = topic->partitions_count;
    }
}

static void hear_offsets(struct witness *witness, const struct list_offsets_response *answer)
{
    for (int32_t i = 0; i < answer->topics_count; i++) {
        const struct list_offsets_response_topic_response *topic = &answer->topics[i];
        for (int32_t n = 0; n < topic->partitions_count; n++) {
            uint64_t sum = mix(2, topic->name.data, topic->name.len);
            sum = mix_number(sum, topic->partitions[n].partition_index);
            sum = mix_number(sum, topic->partitions[n].error_code);
            witness->sum += mix_number(sum, topic->partitions[n].offset);
        }
    }
}

static void hear_group(struct witness *witness, const struct offset_fetch_response *answer)
{
    for (int32_t i = 0; i < answer->topics_count; i++) {
        const struct offset_fetch_response_topic *topic = &answer->topics[i];
        for (int32_t n = 0; n < topic->partitions_count; n++) {
            uint64_t sum = mix(3, topic->name.data, topic->name.len);
            sum = mix_number(sum, topic->partitions[n].partition_index);
            sum = mix(sum, topic->partitions[n].metadata.data, topic->partitions[n].metadata.len);
            witness->sum += mix_number(sum, topic->partitions[n].committed_offset);
        }
    }
}

static void answered(void *context, const struct api_schema *api, int16_t version, const void *body)
{
    struct witness *witness = context;
    (void)version;
    witness->heard = api->key;
    if (api->key == API_METADATA)
        hear_metadata(witness, body);
    else if (api->key == API_LIST_OFFSETS)
        hear_offsets(witness, body);
    else if (api->key == API_OFFSET_FETCH)
        hear_group(witness, body);
}

static void ask(struct witness *witness, int16_t key, int16_t version, const void *body)
{
    struct out out = { 0 };
    witness->heard = -1;
    CHECK(request_encode(api_schema_find(key), version, 1, bytes_text("w"), body, &out) == 0);
    house_send(witness->client, out.data, out.len);
    for (int i = 0; i < ASK_TIMES && witness->heard != key; i++)
        house_pass(witness->house, ASK_MS);
    CHECK(witness->heard == key);
    out_done(&out);
}

/* Its first and last offsets, a topic at a time. */
static void ask_offsets(struct witness *witness, struct list_offsets_request_topic *topic)
{
    struct list_offsets_request request;
    int32_t count =
        topic->partitions_count < PARTITIONS_ASKED ? topic->partitions_count : PARTITIONS_ASKED;
    codec_defaults(&list_offsets_request_message, &request);
    request.topics = topic;
    request.topics_count = 1;
    topic->partitions = codec_array(&witness->arena, &list_offsets_request_partition_table, count);
    CHECK(topic->partitions);
    topic->partitions_count = count;
    for (int64_t timestamp = -2; timestamp <= -1; timestamp++) {
        for (int32_t i = 0; i < count; i++) {
            topic->partitions[i].partition_index = i;
            topic->partitions[i].current_leader_epoch = -1;
            topic->partitions[i].timestamp = timestamp;
        }
        ask(witness, API_LIST_OFFSETS, 5, &request);
    }
}

static void ask_group(struct witness *witness, const char *group)
{
    struct offset_fetch_request request;
    codec_defaults(&offset_fetch_request_message, &request);
    request.group_id = bytes_text(group);
    request.topics = NULL;
    request.topics_count = -1;
    ask(witness, API_OFFSET_FETCH, 5, &request);
}

uint64_t witness_sum(struct house *house)
{
    struct witness witness = { .house = house, .client = &house->clients[0] };
    struct metadata_request request;
    arena_init(&witness.arena, 64 << 20);
    house->answered = answered;
    house->context = &witness;
    codec_defaults(&metadata_request_message, &request);
    request.topics = NULL;
    request.topics_count = -1;
    ask(&witness, API_METADATA, 12, &request);
    for (int32_t i = 0; i < witness.topic_count; i++)
        ask_offsets(&witness, &witness.topics[i]);
    ask_group(&witness, "g");
    ask_group(&witness, "h");
    house->answered = NULL;
    house_drop(witness.client);
    arena_done(&witness.arena);
    return witness.sum;
}
