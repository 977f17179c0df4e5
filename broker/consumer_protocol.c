/* See consumer_protocol.h. A version i16, then the message in that version; readers of an older
 * version than the writer's read what they know and leave the rest. */
#include "broker/consumer_protocol.h"

#include <errno.h>

#include "protocol/codec.h"

enum {
    SUBSCRIPTION_NEWEST = 3,
    ARENA_BASE = 16 * 1024,
    ARENA_PER_BYTE = 64, /* far more than a decoded byte takes */
};

int consumer_subscription_read(struct consumer_subscription *subscription, struct bytes data)
{
    if (data.len < 2)
        return -EBADMSG;
    int16_t version = (int16_t)be_get16(data.data);
    if (version < 0)
        return -EBADMSG;
    subscription->version = version < SUBSCRIPTION_NEWEST ? version : SUBSCRIPTION_NEWEST;
    arena_init(&subscription->arena, ARENA_BASE + ARENA_PER_BYTE * data.len);
    struct reader reader = reader_of(bytes_of(data.data + 2, data.len - 2));
    int status = codec_decode(&consumer_protocol_subscription_message, subscription->version,
        &reader, &subscription->arena, &subscription->body);
    if (status < 0) {
        arena_done(&subscription->arena);
        return -EBADMSG;
    }
    return 0;
}

void consumer_subscription_done(struct consumer_subscription *subscription)
{
    arena_done(&subscription->arena);
}

bool consumer_subscription_has(const struct consumer_subscription *subscription, struct bytes topic)
{
    for (int32_t i = 0; i < subscription->body.topics_count; i++)
        if (bytes_equal(subscription->body.topics[i], topic))
            return true;
    return false;
}
