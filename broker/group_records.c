/*
 * See group_records.h.
 *
 * An entry of the store becomes: the tombstones of the forms that it had before (a group changed
 * its kind), then the records of the form that it has; of an entry that is gone only the former.
 * Which form a member's row has is known by its group's row, which is always stored first.
 *
 * A row that can't be read, as of a newer broker, is left out. Everything a record is made of is in
 * one arena, which ends with the call.
 */
#include "broker/group_records.h"

#include <string.h>

#include "broker/broker.h"
#include "broker/classic_group.h"
#include "broker/consumer_group.h"
#include "broker/coordinator.h"
#include "broker/share_group.h"
#include "broker/shares.h"
#include "protocol/base/arena.h"
#include "protocol/base/mem.h"
#include "protocol/codec.h"
#include "protocol/messages.h"

enum key_type { /* Kafka's CoordinatorRecordType */
    KEY_GROUP_METADATA = 2,
    KEY_CONSUMER_METADATA = 3,
    KEY_CONSUMER_MEMBER = 5,
    KEY_CONSUMER_TARGET_METADATA = 6,
    KEY_CONSUMER_TARGET_MEMBER = 7,
    KEY_CONSUMER_CURRENT = 8,
    KEY_SHARE_MEMBER = 10,
    KEY_SHARE_METADATA = 11,
    KEY_SHARE_TARGET_METADATA = 12,
    KEY_SHARE_TARGET_MEMBER = 13,
    KEY_SHARE_CURRENT = 14,
    KEY_SHARE_STATE = 15,
    KEY_CONSUMER_REGEX = 16,
};
enum { GROUP_METADATA_VERSION = 3 }; /* of the other values: 0 */

/* Kafka's state of a member of a share group; there is one only. */
enum { SHARE_STABLE = 0 };

static const int64_t ns_per_ms = 1000000;

/* Whose records are written. */
struct writing {
    const struct broker *broker;
    struct bytes group, member;
    struct view_records *to;
    struct arena arena;
};

static void *take(struct writing *writing, size_t count, size_t size)
{
    void *taken = arena_alloc(&writing->arena, count * size);
    CHECK(taken); /* there is no limit but the rows' own */
    return taken;
}

static struct bytes or_empty(struct bytes text)
{
    return text.data ? text : bytes_of("", 0);
}

static struct bytes text_or_null(const char *text)
{
    return text ? bytes_text(text) : bytes_of(NULL, 0);
}

static struct bytes *names_write(
    struct writing *writing, char *const *names, size_t count, int32_t *ret_count)
{
    struct bytes *to = take(writing, count, sizeof(*to));
    for (size_t i = 0; i < count; i++)
        to[i] = bytes_text(names[i]);
    *ret_count = (int32_t)count;
    return to;
}

void internal_record_add(struct view_records *to, int16_t key_type,
    const struct message *key_message, const void *key, int16_t version,
    const struct message *value_message, const void *value)
{
    struct out key_bytes = { 0 }, value_bytes = { 0 };
    be_put16(out_add(&key_bytes, 2), (uint16_t)key_type);
    int status = codec_encode(key_message, 0, key, &key_bytes, NULL);
    if (value_message && status == 0) {
        be_put16(out_add(&value_bytes, 2), (uint16_t)version);
        status = codec_encode(value_message, version, value, &value_bytes, NULL);
    }
    if (status == 0)
        view_record_add(to, bytes_of(key_bytes.data, key_bytes.len),
            bytes_of(value_bytes.data, value_bytes.len));
    out_done(&key_bytes);
    out_done(&value_bytes);
}

/* The keys of groups all look alike, and those of members. */
static void group_record_add(struct writing *writing, enum key_type type, int16_t version,
    const struct message *value_message, const void *value)
{
    struct consumer_group_metadata_key key = { .group_id = writing->group };
    internal_record_add(writing->to, (int16_t)type, &consumer_group_metadata_key_message, &key,
        version, value_message, value);
}

static void member_record_add(struct writing *writing, enum key_type type,
    const struct message *value_message, const void *value)
{
    struct consumer_group_member_metadata_key key = { .group_id = writing->group,
        .member_id = writing->member };
    internal_record_add(writing->to, (int16_t)type, &consumer_group_member_metadata_key_message,
        &key, 0, value_message, value);
}

/* ---- partitions ---------------------------------------------------------------------------- */

/* Of one topic. Kafka's records have them under several names. */
struct topic_run {
    struct uuid topic;
    int32_t *partitions, *epochs;
    int32_t count;
};

static struct topic_run *runs_of(
    struct writing *writing, const struct partition_set *set, int32_t *ret_count)
{
    struct topic_run *runs = take(writing, set->count, sizeof(*runs));
    int32_t *partitions = take(writing, set->count, sizeof(*partitions));
    int32_t *epochs = take(writing, set->count, sizeof(*epochs));
    *ret_count = 0;
    for (size_t at = 0; at < set->count;) {
        size_t count = partition_set_run(set, at);
        runs[(*ret_count)++] = (struct topic_run){ set->items[at].topic, &partitions[at],
            &epochs[at], (int32_t)count };
        for (; count; count--, at++) {
            partitions[at] = set->items[at].index;
            epochs[at] = set->items[at].epoch;
        }
    }
    return runs;
}

/* ---- classic groups ------------------------------------------------------------------------ */

static struct group_metadata_value_member_metadata *classic_members(
    struct classic_row *row, int32_t *ret_count)
{
    struct group_metadata_value_member_metadata *members = NULL;
    struct classic_row_member member;
    size_t capacity = 0;
    *ret_count = 0;
    while (classic_row_next(row, &member)) {
        mem_grow(members, &capacity, (size_t)*ret_count + 1);
        struct group_metadata_value_member_metadata *to = &members[(*ret_count)++];
        struct_defaults(&group_metadata_value_member_metadata_table, to);
        to->member_id = or_empty(member.id);
        to->group_instance_id = member.instance_id;
        to->client_id = or_empty(member.client_id);
        to->client_host = or_empty(member.client_host);
        to->rebalance_timeout = (int32_t)(member.rebalance_timeout_ns / ns_per_ms);
        to->session_timeout = (int32_t)(member.session_timeout_ns / ns_per_ms);
        to->subscription = or_empty(member.metadata);
        to->assignment = or_empty(member.assignment);
    }
    return members;
}

static void classic_write(struct writing *writing, struct bytes value)
{
    struct classic_row row = { 0 };
    struct group_metadata_value record;
    if (classic_row_parse(value, &row) < 0)
        return;
    codec_defaults(&group_metadata_value_message, &record);
    record.protocol_type = or_empty(row.protocol_type);
    record.generation = row.generation;
    record.protocol = row.protocol_name;
    record.leader = row.leader;
    record.current_state_timestamp = row.state_since_ms;
    record.members = classic_members(&row, &record.members_count);
    group_record_add(writing, KEY_GROUP_METADATA, GROUP_METADATA_VERSION,
        &group_metadata_value_message, &record);
    mem_free(record.members);
}

/* ---- consumer groups ----------------------------------------------------------------------- */

static void consumer_write(struct writing *writing, struct bytes value)
{
    struct consumer_group_metadata_value group;
    struct consumer_group_target_assignment_metadata_value target;
    struct consumer_group_row row;
    if (consumer_group_row_parse(value, &row) < 0)
        return;
    codec_defaults(&consumer_group_metadata_value_message, &group);
    group.epoch = row.epoch;
    group.metadata_hash = (int64_t)row.topics_hash;
    codec_defaults(&consumer_group_target_assignment_metadata_value_message, &target);
    target.assignment_epoch = row.assignment_epoch;
    group_record_add(
        writing, KEY_CONSUMER_METADATA, 0, &consumer_group_metadata_value_message, &group);
    group_record_add(writing, KEY_CONSUMER_TARGET_METADATA, 0,
        &consumer_group_target_assignment_metadata_value_message, &target);
}

/* What the group has found to match. NULL: it has not looked in this life. */
static const struct consumer_regex *regex_find(
    const struct writing *writing, const char *regex, int64_t *ret_version, int64_t *ret_since_ms)
{
    const struct consumer_group *group =
        consumer_group_of(coordinator_group(writing->broker->coordinator, writing->group));
    if (!group)
        return NULL;
    *ret_version = (int64_t)group->topics_version;
    *ret_since_ms = group->base.state_since_ms;
    list_foreach (node, &group->regexes) {
        const struct consumer_regex *found = list_entry(node, struct consumer_regex, link);
        if (strcmp(found->regex, regex) == 0)
            return found;
    }
    return NULL;
}

static void regex_write(struct writing *writing, const char *regex)
{
    struct consumer_group_regular_expression_key key = { .group_id = writing->group,
        .regular_expression = bytes_text(regex) };
    struct consumer_group_regular_expression_value value;
    codec_defaults(&consumer_group_regular_expression_value_message, &value);
    const struct consumer_regex *found =
        regex_find(writing, regex, &value.version, &value.timestamp);
    if (!found)
        return;
    value.topics =
        names_write(writing, found->names.names, found->names.count, &value.topics_count);
    internal_record_add(writing->to, KEY_CONSUMER_REGEX,
        &consumer_group_regular_expression_key_message, &key, 0,
        &consumer_group_regular_expression_value_message, &value);
}

static struct consumer_group_member_metadata_value_classic_member_metadata *classic_of(
    struct writing *writing, const struct consumer_classic *classic)
{
    struct consumer_group_member_metadata_value_classic_member_metadata *to =
        take(writing, 1, sizeof(*to));
    to->session_timeout_ms = classic->session_timeout_ms;
    to->supported_protocols_count = (int32_t)classic->protocol_count;
    to->supported_protocols =
        take(writing, classic->protocol_count, sizeof(*to->supported_protocols));
    for (size_t i = 0; i < classic->protocol_count; i++) {
        to->supported_protocols[i].name = bytes_text(classic->protocols[i].name);
        to->supported_protocols[i].metadata = or_empty(classic->protocols[i].metadata);
    }
    return to;
}

static void consumer_member_metadata_write(
    struct writing *writing, const struct consumer_member *member)
{
    struct consumer_group_member_metadata_value value;
    codec_defaults(&consumer_group_member_metadata_value_message, &value);
    value.instance_id = text_or_null(member->instance_id);
    value.rack_id = text_or_null(member->rack_id);
    value.client_id = bytes_text(member->client_id);
    value.client_host = bytes_text(member->client_host);
    value.subscribed_topic_names = names_write(
        writing, member->names.names, member->names.count, &value.subscribed_topic_names_count);
    value.subscribed_topic_regex = text_or_null(member->regex);
    value.rebalance_timeout_ms = member->rebalance_timeout_ms;
    value.server_assignor = text_or_null(member->assignor);
    if (member->classic)
        value.classic_member_metadata = classic_of(writing, member->classic);
    member_record_add(
        writing, KEY_CONSUMER_MEMBER, &consumer_group_member_metadata_value_message, &value);
}

static void consumer_target_write(struct writing *writing, const struct partition_set *set)
{
    struct consumer_group_target_assignment_member_value value;
    codec_defaults(&consumer_group_target_assignment_member_value_message, &value);
    const struct topic_run *runs = runs_of(writing, set, &value.topic_partitions_count);
    value.topic_partitions =
        take(writing, (size_t)value.topic_partitions_count, sizeof(*value.topic_partitions));
    for (int32_t i = 0; i < value.topic_partitions_count; i++)
        value.topic_partitions[i] =
            (struct consumer_group_target_assignment_member_value_topic_partition){
                .topic_id = runs[i].topic,
                .partitions = runs[i].partitions,
                .partitions_count = runs[i].count,
            };
    member_record_add(writing, KEY_CONSUMER_TARGET_MEMBER,
        &consumer_group_target_assignment_member_value_message, &value);
}

static struct consumer_group_current_member_assignment_value_topic_partitions *consumer_topics(
    struct writing *writing, const struct partition_set *set, int32_t *ret_count)
{
    const struct topic_run *runs = runs_of(writing, set, ret_count);
    struct consumer_group_current_member_assignment_value_topic_partitions *topics =
        take(writing, (size_t)*ret_count, sizeof(*topics));
    for (int32_t i = 0; i < *ret_count; i++)
        topics[i] = (struct consumer_group_current_member_assignment_value_topic_partitions){
            .topic_id = runs[i].topic,
            .partitions = runs[i].partitions,
            .partitions_count = runs[i].count,
            .assignment_epochs = runs[i].epochs,
            .assignment_epochs_count = runs[i].count,
        };
    return topics;
}

static void consumer_current_write(struct writing *writing, const struct consumer_member *member)
{
    struct consumer_group_current_member_assignment_value value;
    codec_defaults(&consumer_group_current_member_assignment_value_message, &value);
    value.member_epoch = member->epoch;
    value.previous_member_epoch = member->previous_epoch;
    value.state = (int8_t)member->state; /* Kafka's numbers */
    value.assigned_partitions =
        consumer_topics(writing, &member->assigned, &value.assigned_partitions_count);
    value.partitions_pending_revocation =
        consumer_topics(writing, &member->revoking, &value.partitions_pending_revocation_count);
    member_record_add(writing, KEY_CONSUMER_CURRENT,
        &consumer_group_current_member_assignment_value_message, &value);
}

static void consumer_member_write(struct writing *writing, struct bytes value)
{
    struct consumer_member member = { 0 };
    if (consumer_member_row_parse(value, &member) == 0) {
        if (member.regex)
            regex_write(writing, member.regex);
        consumer_member_metadata_write(writing, &member);
        consumer_target_write(writing, &member.target);
        consumer_current_write(writing, &member);
    }
    consumer_member_done(&member);
}

/* ---- share groups -------------------------------------------------------------------------- */

static void state_take(void *context, const struct uuid *topic, int32_t index)
{
    partition_set_add(context, topic, index, 0);
}

/* What the group has begun to read; nothing if that is nothing. */
static void share_state_write(struct writing *writing)
{
    struct share_group_state_partition_metadata_value value;
    struct partition_set set = { 0 };
    int32_t count;
    shares_each(writing->broker->shares, writing->group, state_take, &set);
    const struct topic_run *runs = runs_of(writing, &set, &count);
    partition_set_done(&set);
    codec_defaults(&share_group_state_partition_metadata_value_message, &value);
    value.initialized_topics = take(writing, (size_t)count, sizeof(*value.initialized_topics));
    for (int32_t i = 0; i < count; i++) {
        const struct topic *topic = storage_topic_by_id(writing->broker->storage, &runs[i].topic);
        if (!topic)
            continue; /* deleted meanwhile */
        value.initialized_topics[value.initialized_topics_count++] =
            (struct share_group_state_partition_metadata_value_topic_partitions_info){
                .topic_id = runs[i].topic,
                .topic_name = bytes_text(topic->name),
                .partitions = runs[i].partitions,
                .partitions_count = runs[i].count,
            };
    }
    if (value.initialized_topics_count)
        group_record_add(writing, KEY_SHARE_STATE, 0,
            &share_group_state_partition_metadata_value_message, &value);
}

static void share_write(struct writing *writing, struct bytes value)
{
    struct share_group_metadata_value group;
    struct share_group_target_assignment_metadata_value target;
    struct share_group_row row;
    if (share_group_row_parse(value, &row) < 0)
        return;
    codec_defaults(&share_group_metadata_value_message, &group);
    group.epoch = row.epoch;
    codec_defaults(&share_group_target_assignment_metadata_value_message, &target);
    target.assignment_epoch = row.epoch; /* they move together */
    share_state_write(writing);
    group_record_add(writing, KEY_SHARE_METADATA, 0, &share_group_metadata_value_message, &group);
    group_record_add(writing, KEY_SHARE_TARGET_METADATA, 0,
        &share_group_target_assignment_metadata_value_message, &target);
}

static void share_member_metadata_write(struct writing *writing, const struct share_member *member)
{
    struct share_group_member_metadata_value value;
    codec_defaults(&share_group_member_metadata_value_message, &value);
    value.rack_id = text_or_null(member->rack);
    value.client_id = bytes_text(member->client_id);
    value.client_host = bytes_text(member->client_host);
    value.subscribed_topic_names = names_write(
        writing, member->topics, member->topic_count, &value.subscribed_topic_names_count);
    member_record_add(
        writing, KEY_SHARE_MEMBER, &share_group_member_metadata_value_message, &value);
}

static void share_assignment_write(struct writing *writing, const struct share_member *member)
{
    struct share_group_target_assignment_member_value target;
    struct share_group_current_member_assignment_value current;
    struct partition_set set = { 0 };
    int32_t count;
    for (size_t i = 0; i < member->place_count; i++)
        partition_set_add(&set, &member->places[i].topic, member->places[i].partition, 0);
    partition_set_sort(&set);
    const struct topic_run *runs = runs_of(writing, &set, &count);
    partition_set_done(&set);
    codec_defaults(&share_group_target_assignment_member_value_message, &target);
    codec_defaults(&share_group_current_member_assignment_value_message, &current);
    current.member_epoch = member->epoch;
    current.previous_member_epoch = member->previous_epoch;
    current.state = SHARE_STABLE;
    target.topic_partitions = take(writing, (size_t)count, sizeof(*target.topic_partitions));
    current.assigned_partitions =
        take(writing, (size_t)count, sizeof(*current.assigned_partitions));
    target.topic_partitions_count = current.assigned_partitions_count = count;
    for (int32_t i = 0; i < count; i++) {
        target.topic_partitions[i].topic_id = current.assigned_partitions[i].topic_id =
            runs[i].topic;
        target.topic_partitions[i].partitions = current.assigned_partitions[i].partitions =
            runs[i].partitions;
        target.topic_partitions[i].partitions_count =
            current.assigned_partitions[i].partitions_count = runs[i].count;
    }
    member_record_add(writing, KEY_SHARE_TARGET_MEMBER,
        &share_group_target_assignment_member_value_message, &target);
    member_record_add(
        writing, KEY_SHARE_CURRENT, &share_group_current_member_assignment_value_message, &current);
}

static void share_member_write(struct writing *writing, struct bytes value)
{
    struct share_member member = { 0 };
    if (share_member_row_parse(value, &member) == 0) {
        share_member_metadata_write(writing, &member);
        share_assignment_write(writing, &member);
    }
    share_member_done(&member);
}

/* ---- rows ---------------------------------------------------------------------------------- */

static const struct form {
    enum group_kind kind;
    void (*group_write)(struct writing *writing, struct bytes value);
    void (*member_write)(struct writing *writing, struct bytes value);
    enum key_type group_keys[4], member_keys[4]; /* of the tombstones, to the first 0 */
} forms_known[] = {
    { GROUP_CLASSIC, classic_write, NULL, { KEY_GROUP_METADATA }, { 0 } },
    { GROUP_CONSUMER, consumer_write, consumer_member_write,
        { KEY_CONSUMER_TARGET_METADATA, KEY_CONSUMER_METADATA },
        { KEY_CONSUMER_CURRENT, KEY_CONSUMER_TARGET_MEMBER, KEY_CONSUMER_MEMBER } },
    { GROUP_SHARE, share_write, share_member_write,
        { KEY_SHARE_STATE, KEY_SHARE_TARGET_METADATA, KEY_SHARE_METADATA },
        { KEY_SHARE_CURRENT, KEY_SHARE_TARGET_MEMBER, KEY_SHARE_MEMBER } },
};
enum { FORM_COUNT = sizeof(forms_known) / sizeof(forms_known[0]) };

/* Bit of a group's row; 0: unknown. */
uint16_t group_records_form(struct bytes value)
{
    for (size_t i = 0; i < FORM_COUNT; i++)
        if (value.len && value.data[0] == (uint8_t)forms_known[i].kind)
            return (uint16_t)(1U << i);
    return 0;
}

int64_t group_records_time_ms(struct bytes value)
{
    struct classic_row classic;
    struct consumer_group_row consumer;
    struct share_group_row share;
    if (classic_row_parse(value, &classic) == 0)
        return classic.state_since_ms;
    if (consumer_group_row_parse(value, &consumer) == 0)
        return consumer.state_since_ms;
    return share_group_row_parse(value, &share) == 0 ? share.state_since_ms : -1;
}

void group_records_write(const struct broker *broker, struct bytes key, struct bytes value,
    uint16_t forms, struct view_records *to)
{
    struct writing writing = { .broker = broker, .group = key, .to = to };
    uint16_t now = group_records_form(value);
    arena_init(&writing.arena, SIZE_MAX);
    for (size_t i = 0; i < FORM_COUNT; i++)
        for (const enum key_type *type = forms_known[i].group_keys;
             (forms & ~now & 1U << i) && *type; type++)
            group_record_add(&writing, *type, 0, NULL, NULL);
    for (size_t i = 0; i < FORM_COUNT; i++)
        if (now & 1U << i)
            forms_known[i].group_write(&writing, value);
    arena_done(&writing.arena);
}

struct bytes member_records_group(struct bytes key)
{
    struct bytes group, member;
    return coordinator_member_place(key, &group, &member) ? group : bytes_of(NULL, 0);
}

static struct bytes group_row(const struct broker *broker, struct bytes member_key)
{
    struct bytes row;
    (void)store_get(broker->storage, STORE_GROUP, member_records_group(member_key), &row, NULL);
    return row;
}

uint16_t member_records_form(const struct broker *broker, struct bytes key)
{
    return group_records_form(group_row(broker, key));
}

int64_t member_records_time_ms(const struct broker *broker, struct bytes key)
{
    return group_records_time_ms(group_row(broker, key));
}

void member_records_write(const struct broker *broker, struct bytes key, struct bytes value,
    uint16_t forms, struct view_records *to)
{
    struct writing writing = { .broker = broker, .to = to };
    uint16_t now = value.data ? member_records_form(broker, key) : 0;
    if (!coordinator_member_place(key, &writing.group, &writing.member))
        return;
    arena_init(&writing.arena, SIZE_MAX);
    for (size_t i = 0; i < FORM_COUNT; i++)
        for (const enum key_type *type = forms_known[i].member_keys;
             (forms & ~now & 1U << i) && *type; type++)
            member_record_add(&writing, *type, NULL, NULL);
    for (size_t i = 0; i < FORM_COUNT; i++)
        if ((now & 1U << i) && forms_known[i].member_write)
            forms_known[i].member_write(&writing, value);
    arena_done(&writing.arena);
}
