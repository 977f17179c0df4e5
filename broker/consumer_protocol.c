/* See consumer_protocol.h. A version i16, then the message in that version; readers of an older
 * version than the writer's read what they know and leave the rest. */
#include "broker/consumer_protocol.h"

#include <errno.h>

#include "protocol/base/mem.h"
#include "protocol/codec.h"

enum {
    NEWEST = 3, /* of both messages */
    ARENA_BASE = 16 * 1024,
    ARENA_PER_BYTE = 64, /* far more than a decoded byte takes */
};

/* 0 and an arena to be done with, or -EBADMSG. */
static int decode(const struct message *message, struct bytes data, struct arena *arena,
    int16_t *ret_version, void *body)
{
    int16_t version = data.len >= 2 ? (int16_t)be_get16(data.data) : -1;
    if (version < 0)
        return -EBADMSG;
    *ret_version = version < NEWEST ? version : NEWEST;
    arena_init(arena, ARENA_BASE + ARENA_PER_BYTE * data.len);
    struct reader reader = reader_of(bytes_of(data.data + 2, data.len - 2));
    if (codec_decode(message, *ret_version, &reader, arena, body) == 0)
        return 0;
    arena_done(arena);
    return -EBADMSG;
}

int consumer_subscription_read(struct consumer_subscription *subscription, struct bytes data)
{
    return decode(&consumer_protocol_subscription_message, data, &subscription->arena,
        &subscription->version, &subscription->body);
}

void consumer_subscription_done(struct consumer_subscription *subscription)
{
    arena_done(&subscription->arena);
}

static void add_all(struct partition_set *set, struct bytes name, const int32_t *partitions,
    int32_t count, const struct topic_view *topics)
{
    struct topic_facts facts;
    if (!topics->by_name(topics->context, name, &facts))
        return;
    for (int32_t i = 0; i < count; i++)
        if (partitions[i] >= 0 && partitions[i] < facts.partition_count)
            partition_set_add(set, &facts.id, partitions[i], 0);
}

void consumer_subscription_owned(const struct consumer_subscription *subscription,
    const struct topic_view *topics, struct partition_set *ret_owned)
{
    partition_set_clear(ret_owned);
    for (int32_t t = 0; t < subscription->body.owned_partitions_count; t++)
        add_all(ret_owned, subscription->body.owned_partitions[t].topic,
            subscription->body.owned_partitions[t].partitions,
            subscription->body.owned_partitions[t].partitions_count, topics);
    partition_set_sort(ret_owned);
}

int consumer_assignment_read(
    struct bytes data, const struct topic_view *topics, struct partition_set *ret_assigned)
{
    struct consumer_protocol_assignment body;
    struct arena arena;
    int16_t version;
    partition_set_clear(ret_assigned);
    if (data.len == 0)
        return 0;
    if (decode(&consumer_protocol_assignment_message, data, &arena, &version, &body) < 0)
        return -EBADMSG;
    for (int32_t t = 0; t < body.assigned_partitions_count; t++)
        add_all(ret_assigned, body.assigned_partitions[t].topic,
            body.assigned_partitions[t].partitions, body.assigned_partitions[t].partitions_count,
            topics);
    partition_set_sort(ret_assigned);
    arena_done(&arena);
    return 0;
}

void consumer_assignment_write(struct out *out, int16_t version,
    const struct partition_set *assigned, const struct topic_view *topics)
{
    struct consumer_protocol_assignment body;
    int32_t *partitions = mem_alloc(assigned->count * sizeof(*partitions));
    codec_defaults(&consumer_protocol_assignment_message, &body);
    body.assigned_partitions = mem_zalloc(assigned->count, sizeof(*body.assigned_partitions));
    for (size_t i = 0, run; i < assigned->count; i += run) {
        struct topic_facts facts;
        run = partition_set_run(assigned, i);
        if (!topics->by_id(topics->context, &assigned->items[i].topic, &facts))
            continue; /* deleted */
        struct consumer_protocol_assignment_topic_partition *to =
            &body.assigned_partitions[body.assigned_partitions_count++];
        to->topic = bytes_text(facts.name);
        to->partitions = &partitions[i];
        to->partitions_count = (int32_t)run;
        for (size_t p = 0; p < run; p++)
            partitions[i + p] = assigned->items[i + p].index;
    }
    be_put16(out_add(out, 2), (uint16_t)version);
    /* Names of topics are short, and every version has every field. */
    CHECK(codec_encode(&consumer_protocol_assignment_message, version, &body, out, NULL) == 0);
    mem_free(body.assigned_partitions);
    mem_free(partitions);
}
