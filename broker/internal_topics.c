/*
 * See internal_topics.h. Versions of values are those that Kafka 4.3 writes; keys have the type in
 * front, values the version.
 *
 * To add records: a row in the kinds of the view, and its functions. Groups and their members:
 * group_records.c.
 */
#include "broker/internal_topics.h"

#include <inttypes.h>
#include <string.h>

#include "broker/broker.h"
#include "broker/coordinator.h"
#include "broker/group_records.h"
#include "broker/transaction.h"
#include "broker/transaction_coordinator.h"
#include "broker/view.h"
#include "protocol/base/mem.h"
#include "protocol/codec.h"
#include "protocol/messages.h"

enum key_type { /* Kafka's CoordinatorRecordType, of each topic for itself */
    KEY_TRANSACTION_LOG = 0,
    KEY_OFFSET_COMMIT = 1,
};
enum {
    OFFSET_COMMIT_VERSION = 4,
    OFFSET_COMMIT_EXPIRES_VERSION =
        1, /* the only one that tells when; neither epoch nor topic id */
    TRANSACTION_LOG_VERSION = 1,
};

struct internal_topics {
    struct broker *broker;
    struct view_settings offsets_settings, transactions_settings;
    struct view *offsets, *transactions;
};

static const struct broker *broker_of(void *context)
{
    return ((const struct internal_topics *)context)->broker;
}

/* ---- partitions ---------------------------------------------------------------------------- */

/* Takes one code point of UTF-8; a byte that is none counts for itself. */
static uint32_t point_take(struct bytes *text)
{
    uint8_t first = text->data[0];
    size_t len = first < 0xc0 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    static const uint8_t masks[] = { 0xff, 0xff, 0x1f, 0x0f, 0x07 };
    if (len > text->len)
        len = 1;
    uint32_t point = first & masks[len];
    for (size_t i = 1; i < len; i++)
        point = (point << 6) | (text->data[i] & 0x3f);
    text->data += len;
    text->len -= len;
    return point;
}

int32_t internal_topic_partition(struct bytes id, int32_t partitions)
{
    uint32_t hash = 0;
    while (id.len) {
        uint32_t point = point_take(&id);
        if (point >= 0x10000) { /* two units of UTF-16 */
            hash = 31 * hash + (0xd800 + ((point - 0x10000) >> 10));
            point = 0xdc00 + ((point - 0x10000) & 0x3ff);
        }
        hash = 31 * hash + point;
    }
    uint32_t positive = hash >> 31 ? 0 - hash : hash;
    if (positive >> 31) /* INT32_MIN has none */
        positive = 0;
    return (int32_t)(positive % (uint32_t)partitions);
}

/* ---- records ------------------------------------------------------------------------------- */

static struct bytes or_empty(struct bytes text)
{
    return text.data ? text : bytes_of("", 0);
}

/* ---- committed offsets --------------------------------------------------------------------- */

static struct bytes offset_id(struct bytes key)
{
    struct coordinator_offset_place place;
    return coordinator_offset_place(key, &place) ? place.group : bytes_of(NULL, 0);
}

static int64_t offset_time(void *context, struct bytes key, struct bytes value)
{
    (void)context;
    (void)key;
    struct committed_offset offset;
    return coordinator_offset_decode(value, &offset) ? offset.commit_ms : -1;
}

static void offset_write(
    void *context, struct bytes key, struct bytes value, uint16_t forms, struct view_records *to)
{
    (void)forms;
    const struct internal_topics *topics = context;
    struct coordinator_offset_place place;
    struct committed_offset offset;
    struct offset_commit_key record_key;
    struct offset_commit_value record;
    if (!coordinator_offset_place(key, &place) ||
        (value.data && !coordinator_offset_decode(value, &offset)))
        return;
    const struct topic *topic = storage_topic_by_id(topics->broker->storage, &place.topic);
    if (!topic)
        return;
    codec_defaults(&offset_commit_key_message, &record_key);
    record_key.group = place.group;
    record_key.topic = bytes_text(topic->name);
    record_key.partition = place.partition;
    codec_defaults(&offset_commit_value_message, &record);
    if (value.data) {
        record.offset = offset.offset;
        record.leader_epoch = offset.leader_epoch;
        record.metadata = or_empty(offset.metadata);
        record.commit_timestamp = offset.commit_ms;
        record.topic_id = place.topic;
    }
    bool expires = value.data && offset.expire_ms;
    if (expires)
        record.expire_timestamp = offset.expire_ms;
    internal_record_add(to, KEY_OFFSET_COMMIT, &offset_commit_key_message, &record_key,
        expires ? OFFSET_COMMIT_EXPIRES_VERSION : OFFSET_COMMIT_VERSION,
        value.data ? &offset_commit_value_message : NULL, &record);
}

/* ---- groups -------------------------------------------------------------------------------- */

static struct bytes whole_key(struct bytes key)
{
    return key;
}

static uint16_t group_form(void *context, struct bytes key, struct bytes value)
{
    (void)context;
    (void)key;
    return group_records_form(value);
}

static int64_t group_time(void *context, struct bytes key, struct bytes value)
{
    (void)context;
    (void)key;
    return group_records_time_ms(value);
}

static void group_write(
    void *context, struct bytes key, struct bytes value, uint16_t forms, struct view_records *to)
{
    group_records_write(broker_of(context), key, value, forms, to);
}

static uint16_t member_form(void *context, struct bytes key, struct bytes value)
{
    (void)value;
    return member_records_form(broker_of(context), key);
}

static int64_t member_time(void *context, struct bytes key, struct bytes value)
{
    (void)value;
    return member_records_time_ms(broker_of(context), key);
}

static void member_write(
    void *context, struct bytes key, struct bytes value, uint16_t forms, struct view_records *to)
{
    member_records_write(broker_of(context), key, value, forms, to);
}

/* ---- transactions -------------------------------------------------------------------------- */

static int64_t transaction_time(void *context, struct bytes key, struct bytes value)
{
    (void)context;
    (void)key;
    struct transaction transaction = { 0 };
    transaction_init(&transaction, bytes_of("", 0));
    int64_t time_ms = transaction_decode(&transaction, value) == 0 ? transaction.now.update_ms : -1;
    transaction_done(&transaction);
    return time_ms;
}

/* The partitions by topic, as the transaction has them in order. */
static void parts_write(const struct internal_topics *topics, const struct transaction *transaction,
    struct transaction_log_value *record, int32_t *numbers)
{
    struct transaction_log_value_partitions_schema *row = NULL;
    const struct uuid *id = NULL;
    size_t used = 0; /* of numbers: the first row's begin there */
    for (size_t i = 0; i < transaction->part_count; i++) {
        const struct transaction_part *part = &transaction->parts[i];
        if (!id || !uuid_equal(*id, part->topic_id)) {
            const struct topic *topic =
                storage_topic_by_id(topics->broker->storage, &part->topic_id);
            id = &part->topic_id;
            row = NULL;
            if (!topic && !uuid_zero(*id))
                continue; /* deleted meanwhile */
            row = &record->transaction_partitions[record->transaction_partitions_count++];
            row->topic = bytes_text(topic ? topic->name : topics->offsets_settings.name);
            row->partition_ids = &numbers[used];
        }
        if (!row)
            continue;
        numbers[used++] = part->partition;
        row->partition_ids_count++;
    }
}

static void transaction_fill(const struct internal_topics *topics,
    const struct transaction *transaction, struct transaction_log_value *record)
{
    const struct transaction_fields *now = &transaction->now;
    record->producer_id = now->producer_id;
    record->previous_producer_id = now->previous_producer_id;
    record->producer_epoch = now->epoch;
    record->transaction_timeout_ms = now->timeout_ms;
    record->transaction_status = (int8_t)now->state;
    record->transaction_last_update_timestamp_ms = now->update_ms;
    record->transaction_start_timestamp_ms = now->start_ms;
    record->transaction_partitions_count = -1;
    record->transaction_partitions = NULL;
    if (now->state == TRANSACTION_EMPTY)
        return;
    record->transaction_partitions_count = 0;
    record->transaction_partitions =
        mem_zalloc(transaction->part_count + 1, sizeof(*record->transaction_partitions));
    int32_t *numbers = mem_zalloc(transaction->part_count + 1, sizeof(*numbers));
    parts_write(topics, transaction, record, numbers);
    if (!record->transaction_partitions_count)
        mem_free(numbers);
}

static void transaction_write(
    void *context, struct bytes key, struct bytes value, uint16_t forms, struct view_records *to)
{
    (void)forms;
    struct transaction transaction = { 0 };
    struct transaction_log_key record_key;
    struct transaction_log_value record;
    codec_defaults(&transaction_log_key_message, &record_key);
    record_key.transactional_id = key;
    codec_defaults(&transaction_log_value_message, &record);
    transaction_init(&transaction, key);
    bool good = !value.data || transaction_decode(&transaction, value) == 0;
    if (good && value.data)
        transaction_fill(context, &transaction, &record);
    if (good)
        internal_record_add(to, KEY_TRANSACTION_LOG, &transaction_log_key_message, &record_key,
            TRANSACTION_LOG_VERSION, value.data ? &transaction_log_value_message : NULL, &record);
    if (good && value.data && record.transaction_partitions_count > 0)
        mem_free(record.transaction_partitions[0].partition_ids);
    if (good && value.data)
        mem_free(record.transaction_partitions);
    transaction_done(&transaction);
}

/* ---- the two topics ------------------------------------------------------------------------ */

static const struct view_kind offsets_kinds[] = {
    { STORE_OFFSET, offset_id, NULL, offset_time, offset_write },
    { STORE_GROUP, whole_key, group_form, group_time, group_write },
    { STORE_GROUP_MEMBER, member_records_group, member_form, member_time, member_write },
};
static const struct view_kind transactions_kinds[] = {
    { STORE_TRANSACTION, whole_key, NULL, transaction_time, transaction_write },
};

/* As Kafka makes them. */
static const struct topic_config_entry offsets_entries[] = {
    { (char *)(uintptr_t) "cleanup.policy", (char *)(uintptr_t) "compact" },
    { (char *)(uintptr_t) "compression.type", (char *)(uintptr_t) "producer" },
    { (char *)(uintptr_t) "segment.bytes", (char *)(uintptr_t) "104857600" },
};
static const struct topic_config_entry transactions_entries[] = {
    { (char *)(uintptr_t) "cleanup.policy", (char *)(uintptr_t) "compact" },
    { (char *)(uintptr_t) "compression.type", (char *)(uintptr_t) "uncompressed" },
    { (char *)(uintptr_t) "segment.bytes", (char *)(uintptr_t) "104857600" },
    { (char *)(uintptr_t) "unclean.leader.election.enable", (char *)(uintptr_t) "false" },
};

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

struct internal_topics *internal_topics_create(struct broker *broker)
{
    struct internal_topics *topics = mem_zalloc(1, sizeof(*topics));
    topics->broker = broker;
    topics->offsets_settings = (struct view_settings){ .name = "__consumer_offsets",
        .partitions = INTERNAL_TOPIC_PARTITIONS,
        .entries = offsets_entries,
        .entry_count = COUNT_OF(offsets_entries),
        .kinds = offsets_kinds,
        .kind_count = COUNT_OF(offsets_kinds),
        .partition = internal_topic_partition,
        .context = topics };
    topics->transactions_settings = (struct view_settings){ .name = "__transaction_state",
        .partitions = INTERNAL_TOPIC_PARTITIONS,
        .entries = transactions_entries,
        .entry_count = COUNT_OF(transactions_entries),
        .kinds = transactions_kinds,
        .kind_count = COUNT_OF(transactions_kinds),
        .partition = internal_topic_partition,
        .context = topics };
    topics->offsets = view_create(&topics->offsets_settings, broker->doors, broker->storage);
    topics->transactions =
        view_create(&topics->transactions_settings, broker->doors, broker->storage);
    return topics;
}

void internal_topics_destroy(struct internal_topics *topics)
{
    if (!topics)
        return;
    view_destroy(topics->offsets);
    view_destroy(topics->transactions);
    mem_free(topics);
}

void internal_topics_change(struct internal_topics *topics, const struct store_change *change)
{
    view_change(topics->offsets, change);
    view_change(topics->transactions, change);
}

void internal_topics_turn(struct internal_topics *topics)
{
    view_turn(topics->offsets);
    view_turn(topics->transactions);
}

bool internal_topics_show(struct internal_topics *topics, struct bytes name)
{
    if (bytes_equal_text(name, topics->offsets_settings.name))
        return view_show(topics->offsets) != NULL;
    if (bytes_equal_text(name, topics->transactions_settings.name))
        return view_show(topics->transactions) != NULL;
    return false;
}
