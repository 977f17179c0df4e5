/* See assignor.h. */
#include "tests/sim/assignor.h"

#include "tests/sim/client.h"

enum { NEWEST_VERSION = 3, VERSION_WITH_GENERATION = 2, NONCE_SIZE = 4 };

/* ---- words ---- */

static struct bytes encode(
    struct world *world, const struct message *message, int16_t version, const void *body)
{
    struct out out = { 0 };
    be_put16(out_add(&out, 2), (uint16_t)version);
    CHECK(codec_encode(message, version, body, &out, NULL) == 0);
    uint8_t *copy = scratch_alloc(world, out.len);
    memcpy(copy, out.data, out.len);
    struct bytes words = bytes_of(copy, out.len);
    out_done(&out);
    return words;
}

static void decode(
    struct world *world, struct bytes from, const struct message *message, void *body)
{
    if (from.len < 2 || be_get16(from.data) > NEWEST_VERSION)
        world_fail(world, "other words than a member's, %zu bytes", from.len);
    struct reader reader = reader_of(bytes_of(from.data + 2, from.len - 2));
    if (codec_decode(message, (int16_t)be_get16(from.data), &reader, &world->scratch, body) ||
        reader_left(&reader))
        world_fail(world, "a member's words came back spoilt");
}

/* The partitions of one topic among the keys; returns how many. */
static int32_t partitions_of(
    struct world *world, uint32_t keys, int topic, int32_t **ret_partitions)
{
    int32_t count = 0, *partitions = scratch_alloc(world, ROSTER_PARTITIONS * sizeof(*partitions));
    for (int32_t p = 0; p < ROSTER_PARTITIONS; p++) {
        if (keys & 1u << (topic * ROSTER_PARTITIONS + p))
            partitions[count++] = p;
    }
    *ret_partitions = partitions;
    return count;
}

static uint32_t keys_of(
    struct world *world, struct bytes topic, const int32_t *partitions, int32_t count)
{
    uint32_t keys = 0;
    for (int t = 0; t < ROSTER_TOPICS; t++) {
        const char *name = world->roster.topics[t].name;
        for (int32_t i = 0; name && bytes_equal_text(topic, name) && i < count; i++)
            keys |= 1u << (t * ROSTER_PARTITIONS + partitions[i]);
    }
    return keys;
}

struct bytes subscription_encode(struct world *world, const struct share *share, bool cooperative)
{
    struct consumer_protocol_subscription words;
    int16_t version =
        (int16_t)world_pick(world, cooperative ? VERSION_WITH_GENERATION : 0, NEWEST_VERSION);
    codec_defaults(&consumer_protocol_subscription_message, &words);
    words.topics = scratch_alloc(world, ROSTER_TOPICS * sizeof(*words.topics));
    words.owned_partitions =
        scratch_array(world, &consumer_protocol_subscription_topic_partition_table, ROSTER_TOPICS);
    for (int t = 0; t < ROSTER_TOPICS; t++) {
        if (!world->roster.topics[t].name)
            continue;
        struct bytes name = bytes_text(world->roster.topics[t].name);
        if (share->topics & 1u << t)
            words.topics[words.topics_count++] = name;
        struct consumer_protocol_subscription_topic_partition *row =
            &words.owned_partitions[words.owned_partitions_count];
        row->topic = name;
        row->partitions_count = partitions_of(world, share->owned, t, &row->partitions);
        words.owned_partitions_count += row->partitions_count > 0;
    }
    words.generation_id = share->generation;
    return encode(world, &consumer_protocol_subscription_message, version, &words);
}

void subscription_decode(struct world *world, struct bytes from, struct share *share)
{
    struct consumer_protocol_subscription words;
    decode(world, from, &consumer_protocol_subscription_message, &words);
    share->topics = share->owned = 0;
    share->generation = words.generation_id;
    for (int32_t i = 0; i < words.topics_count; i++) {
        for (int t = 0; t < ROSTER_TOPICS; t++) {
            const char *name = world->roster.topics[t].name;
            if (name && bytes_equal_text(words.topics[i], name))
                share->topics |= 1u << t;
        }
    }
    for (int32_t i = 0; i < words.owned_partitions_count; i++)
        share->owned |= keys_of(world, words.owned_partitions[i].topic,
            words.owned_partitions[i].partitions, words.owned_partitions[i].partitions_count);
}

struct bytes assignment_encode(struct world *world, uint32_t nonce, uint32_t keys)
{
    struct consumer_protocol_assignment words;
    uint8_t *data = scratch_alloc(world, NONCE_SIZE);
    codec_defaults(&consumer_protocol_assignment_message, &words);
    be_put32(data, nonce);
    words.user_data = bytes_of(data, NONCE_SIZE);
    words.assigned_partitions =
        scratch_array(world, &consumer_protocol_assignment_topic_partition_table, ROSTER_TOPICS);
    for (int t = 0; t < ROSTER_TOPICS; t++) {
        struct consumer_protocol_assignment_topic_partition *row =
            &words.assigned_partitions[words.assigned_partitions_count];
        row->partitions_count = partitions_of(world, keys, t, &row->partitions);
        if (row->partitions_count == 0)
            continue;
        row->topic = bytes_text(world->roster.topics[t].name);
        words.assigned_partitions_count++;
    }
    return encode(world, &consumer_protocol_assignment_message,
        (int16_t)world_pick(world, 0, NEWEST_VERSION), &words);
}

void assignment_decode(
    struct world *world, struct bytes from, uint32_t *ret_nonce, uint32_t *ret_keys)
{
    struct consumer_protocol_assignment words;
    decode(world, from, &consumer_protocol_assignment_message, &words);
    if (words.user_data.len && words.user_data.len != NONCE_SIZE)
        world_fail(world, "another assignment than the leader's");
    *ret_nonce = words.user_data.len ? be_get32(words.user_data.data) : 0;
    *ret_keys = 0;
    for (int32_t i = 0; i < words.assigned_partitions_count; i++)
        *ret_keys |= keys_of(world, words.assigned_partitions[i].topic,
            words.assigned_partitions[i].partitions, words.assigned_partitions[i].partitions_count);
}

/* ---- the leader's work ---- */

static int keys_count(uint32_t keys)
{
    return __builtin_popcount(keys);
}

/* Who holds the key: of several the one who was there last. -1: nobody who wants it. */
static int holder_of(const struct share *shares, int count, int key)
{
    int holder = -1;
    for (int i = 0; i < count; i++) {
        if (shares[i].owned & 1u << key && shares[i].topics & 1u << key / ROSTER_PARTITIONS &&
            (holder < 0 || shares[i].generation > shares[holder].generation))
            holder = i;
    }
    return holder;
}

static bool is_held_by_another(const struct share *shares, int count, int key, int who)
{
    for (int i = 0; i < count; i++) {
        if (i != who && shares[i].owned & 1u << key)
            return true;
    }
    return false;
}

/* The one of those who want it that has least; -1: nobody does. */
static int poorest(const struct share *shares, int count, int key)
{
    int best = -1;
    for (int i = 0; i < count; i++) {
        if (shares[i].topics & 1u << key / ROSTER_PARTITIONS &&
            (best < 0 || keys_count(shares[i].keys) < keys_count(shares[best].keys)))
            best = i;
    }
    return best;
}

void shares_assign(const struct world *world, struct share *shares, int count, bool cooperative)
{
    uint32_t all = roster_keys(world, ~0u), rest = all;
    int fair = (keys_count(all) + count - 1) / (count ? count : 1);
    for (int i = 0; i < count; i++)
        shares[i].keys = 0;
    for (int key = 0; cooperative && key < ROSTER_KEYS; key++) {
        int holder = all & 1u << key ? holder_of(shares, count, key) : -1;
        if (holder < 0 || keys_count(shares[holder].keys) >= fair)
            continue;
        shares[holder].keys |= 1u << key;
        rest &= ~(1u << key);
    }
    for (int key = 0; key < ROSTER_KEYS; key++) {
        int who = rest & 1u << key ? poorest(shares, count, key) : -1;
        if (who >= 0)
            shares[who].keys |= 1u << key;
    }
    for (int key = 0; cooperative && key < ROSTER_KEYS; key++) {
        for (int i = 0; i < count; i++) {
            if (shares[i].keys & 1u << key && is_held_by_another(shares, count, key, i))
                shares[i].keys &= ~(1u << key);
        }
    }
}
