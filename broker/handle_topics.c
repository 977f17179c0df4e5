/*
 * handle_creation.c - CreateTopics (2-7), DeleteTopics (1-6), CreatePartitions (0-3).
 *
 *   check every topic of the request → one unit with all that are fine → answer when it is durable
 *
 * Each topic has its own error code; those at fault do not keep the others from being made. If the
 * ring is full the request is parked and everything is checked again from the start, since topics
 * may have come and gone meanwhile.
 *
 * One node: the only possible replica list is this node, so a replication factor above 1 is
 * INVALID_REPLICATION_FACTOR (or 1, with replication.factor.clamp), and -1 means 1.
 * Assignments by hand are checked the same way.
 *
 * A name that comes twice in a request is answered once, with INVALID_REQUEST.
 */
#include <errno.h>

#include "broker/answer.h"
#include "broker/api.h"
#include "broker/broker.h"
#include "broker/config_view.h"
#include "broker/creation.h"
#include "broker/shares.h"
#include "processors/processors.h"
#include "protocol/error.h"
#include "protocol/messages.h"
#include "storage/topic_config.h"

/* What is wrong with one topic of a request. */
struct fault {
    int16_t code;
    struct bytes message;
};

static const struct fault no_fault;

/* How a topic that comes more than once was given, and that it has its row already. */
enum twice { TWICE_BY_NAME = 1, TWICE_BY_ID = 2, TWICE_ANSWERED = 4 };

/* Of every request here. */
struct rows {
    struct name_set names; /* → row */
    struct commit *commit; /* in flight */
    int32_t count;
    uint8_t *twice; /* by row: its name comes more than once (enum twice) */
};

static void topics_cancel(struct request *request)
{
    struct rows *rows = request->state;
    commit_forget(rows->commit);
}

/* Sets request->state. NULL: failed. */
static struct rows *rows_create(struct request *request, int32_t count)
{
    struct rows *rows = request_alloc(request, sizeof(*rows));
    if (!rows)
        return NULL;
    rows->twice = request_alloc(request, (size_t)count);
    if (!rows->twice)
        return NULL;
    if (name_set_init(&rows->names, &request->arena, (size_t)count,
            random_u64(request->broker->doors->random), false)) {
        request_fail(request, "the request names too many topics");
        return NULL;
    }
    request->state = rows;
    request->cancel = topics_cancel;
    return rows;
}

static void committed(struct request *request)
{
    struct rows *rows = request->state;
    rows->commit = NULL;
    request_finish(request);
}

/*
 * Commits what was collected, if anything: then the answer goes out when it is durable. Returns
 * -EAGAIN (parked, the caller's attempt runs again), or another error that the caller writes into
 * the rows, or 0.
 */
static int rows_commit(
    struct request *request, struct commit *commit, void (*attempt)(struct request *request))
{
    struct rows *rows = request->state;
    if (!commit) {
        request_finish(request);
        return 0;
    }
    int error = commit_run(commit);
    if (!error)
        rows->commit = commit;
    else if (error == -EAGAIN)
        request_park(request, attempt);
    return error;
}

static struct fault fault_of_commit(int error)
{
    int16_t code = error == -EMSGSIZE ? KAFKA_ERROR_POLICY_VIOLATION : request_error_of(error);
    return (struct fault){ code, error == -EMSGSIZE
                                     ? bytes_text("the request is too large to be done as one unit")
                                     : answer_error_text(code) };
}

/* Of a change of a topic that is computed (internal_topics.h). */
static struct fault fault_computed(void)
{
    return (struct fault){ KAFKA_ERROR_INVALID_TOPIC_EXCEPTION,
        bytes_text("the broker keeps this topic itself: it can only be read") };
}

static struct fault fault_twice(void)
{
    return (struct fault){ KAFKA_ERROR_INVALID_REQUEST,
        bytes_text("the topic comes more than once in the request") };
}

/* ---- CreateTopics -------------------------------------------------------------------------- */

/* A manual list of replicas can only be this node. */
static struct fault replicas_fault(
    struct request *request, const int32_t *ids, int32_t count, int32_t partition)
{
    int32_t self = request->broker->config->node_id;
    if (count == 1 && ids[0] == self)
        return no_fault;
    struct bytes message;
    if (count < 1)
        message = answer_text(request, "partition %d has no replicas assigned", partition);
    else if (ids[0] != self)
        message =
            answer_text(request, "partition %d is assigned to broker %d; the only broker is %d",
                partition, ids[0], self);
    else
        message =
            answer_text(request, "partition %d is assigned to %d replicas; the only broker is %d",
                partition, count, self);
    return (struct fault){ KAFKA_ERROR_INVALID_REPLICA_ASSIGNMENT, message };
}

static struct fault assignments_fault(
    struct request *request, const struct create_topics_request_creatable_topic *topic)
{
    int32_t count = topic->assignments_count;
    if (topic->replication_factor != -1 || topic->num_partitions != -1)
        return (struct fault){ KAFKA_ERROR_INVALID_REQUEST,
            bytes_text("with assignments given, partitions and replication factor must be -1") };
    if (count > CREATION_PARTITIONS_PER_REQUEST_MAX)
        return no_fault; /* refused by creation_add */
    bool *seen = arena_alloc(&request->arena, (size_t)count);
    if (!seen)
        return (struct fault){ KAFKA_ERROR_INVALID_REQUEST, bytes_text("too many assignments") };
    for (int32_t i = 0; i < count; i++) {
        int32_t partition = topic->assignments[i].partition_index;
        if (partition < 0 || partition >= count || seen[partition])
            return (struct fault){ KAFKA_ERROR_INVALID_REPLICA_ASSIGNMENT,
                bytes_text("the partitions assigned must be 0, 1, 2, ... each once") };
        seen[partition] = true;
        struct fault fault = replicas_fault(request, topic->assignments[i].broker_ids,
            topic->assignments[i].broker_ids_count, partition);
        if (fault.code)
            return fault;
    }
    return no_fault;
}

static struct fault shape_fault(
    struct request *request, const struct create_topics_request_creatable_topic *topic)
{
    if (topic->assignments_count > 0)
        return assignments_fault(request, topic);
    if (topic->replication_factor < -1 || topic->replication_factor == 0)
        return (struct fault){ KAFKA_ERROR_INVALID_REPLICATION_FACTOR,
            bytes_text("the replication factor must be larger than 0, or -1 for the default") };
    if (topic->num_partitions < -1 || topic->num_partitions == 0)
        return (struct fault){ KAFKA_ERROR_INVALID_PARTITIONS,
            bytes_text("the number of partitions must be larger than 0, or -1 for the default") };
    if (topic->replication_factor > 1 && !request->broker->config->replication_factor_clamp)
        return (struct fault){ KAFKA_ERROR_INVALID_REPLICATION_FACTOR,
            answer_text(request,
                "replication factor %d is not possible: there is one broker (see "
                "replication.factor.clamp)",
                topic->replication_factor) };
    return no_fault;
}

/* The values of a topic to be: text of its own, in the order of the table, and what they come to.
 */
struct values {
    struct topic_config_entry *entries; /* name NULL: not set */
    size_t entry_count;
    struct topic_config effective;
};

static struct fault value_add(struct request *request, struct values *values,
    const struct create_topics_request_creatable_topic_config *given)
{
    char error[256];
    const struct topic_config_key *key = topic_config_key(given->name);
    if (!key)
        return (struct fault){ KAFKA_ERROR_INVALID_CONFIG,
            answer_text(request, "unknown topic config '%.*s'",
                (int)(given->name.len < 100 ? given->name.len : 100), given->name.data) };
    if (!given->value.data || memchr(given->value.data, 0, given->value.len))
        return (struct fault){ KAFKA_ERROR_INVALID_CONFIG,
            answer_text(request, "%s: null is no value", key->name) };
    error[0] = 0;
    if (topic_config_set(&values->effective, given->name, given->value, error, sizeof(error)))
        return (struct fault){ KAFKA_ERROR_INVALID_CONFIG,
            answer_text(request, "%s", error[0] ? error : key->name) };
    char *copy = arena_alloc(&request->arena, given->value.len + 1);
    if (!copy)
        return (struct fault){ KAFKA_ERROR_INVALID_CONFIG, bytes_text("the values are too long") };
    memcpy(copy, given->value.data, given->value.len);
    size_t slot = 0; /* the last value of a key counts */
    while (slot < values->entry_count && strcmp(values->entries[slot].name, key->name) != 0)
        slot++;
    if (slot == values->entry_count)
        values->entries[values->entry_count++].name =
            arena_copy(&request->arena, key->name, strlen(key->name) + 1);
    values->entries[slot].value = copy;
    if (!values->entries[slot].name)
        return (struct fault){ KAFKA_ERROR_INVALID_CONFIG, bytes_text("too many values") };
    return no_fault;
}

static struct fault values_collect(struct request *request, struct values *values,
    const struct create_topics_request_creatable_topic *topic)
{
    size_t key_count;
    (void)topic_config_keys(&key_count);
    *values = (struct values){ .effective = request->broker->config->topic_defaults };
    values->entries = arena_alloc(&request->arena, key_count * sizeof(*values->entries));
    if (!values->entries)
        return (struct fault){ KAFKA_ERROR_INVALID_CONFIG, bytes_text("too many values") };
    for (int32_t i = 0; i < topic->configs_count; i++) {
        struct fault fault = value_add(request, values, &topic->configs[i]);
        if (fault.code)
            return fault;
    }
    char error[256];
    if (topic_config_check(&values->effective, error, sizeof(error)))
        return (struct fault){ KAFKA_ERROR_INVALID_CONFIG, answer_text(request, "%s", error) };
    return no_fault;
}

/* What the answer tells of a topic made (version 5 and up): its partitions and all values in force.
 */
static bool created_describe(struct request *request, const struct values *values,
    int32_t partitions, struct create_topics_response_creatable_topic_result *row)
{
    size_t count;
    const struct topic_config_key *keys = topic_config_keys(&count);
    row->num_partitions = partitions;
    row->replication_factor = 1;
    if (request->version < 5)
        return true;
    row->configs = answer_array(
        request, &create_topics_response_creatable_topic_configs_table, (int32_t)count);
    if (!row->configs)
        return false;
    row->configs_count = (int32_t)count;
    for (size_t i = 0; i < count; i++) {
        struct create_topics_response_creatable_topic_configs *config = &row->configs[i];
        const char *own = config_view_own_text(&keys[i], values->entries, values->entry_count);
        struct config_view view = config_view_of_topic(request, &keys[i], &values->effective, own);
        if (!view.value.data)
            return false;
        config->name = bytes_text(keys[i].name);
        config->value = view.value;
        config->config_source = (int8_t)view.origin;
    }
    return true;
}

/* One topic of the request into the unit, and its row. False: the request has failed. */
static bool topic_create(struct creation *creation,
    const struct create_topics_request_creatable_topic *topic,
    struct create_topics_response_creatable_topic_result *row)
{
    struct request *request = creation->request;
    struct values values = { 0 };
    struct fault fault = shape_fault(request, topic);
    if (!fault.code)
        fault = values_collect(request, &values, topic);
    struct topic_plan plan = { .name = topic->name,
        .partitions = topic->assignments_count > 0 ? topic->assignments_count
                      : topic->num_partitions > 0  ? topic->num_partitions
                                                   : request->broker->config->num_partitions,
        .entries = values.entries,
        .entry_count = values.entry_count };
    if (!fault.code) {
        fault.code = creation_add(creation, &plan, &fault.message);
        if (fault.code == KAFKA_ERROR_UNKNOWN_SERVER_ERROR && !fault.message.data)
            return false;
    }
    row->error_code = fault.code;
    row->error_message = fault.message;
    if (!fault.code) {
        row->topic_id = plan.id;
        return created_describe(request, &values, plan.partitions, row);
    }
    return true;
}

/* A row at its defaults again: an attempt before this one may have filled it. */
static void created_reset(
    struct create_topics_response_creatable_topic_result *row, struct bytes name)
{
    struct_defaults(&create_topics_response_creatable_topic_result_table, row);
    row->name = name;
}

static void create_attempt(struct request *request)
{
    const struct create_topics_request *body = request->body;
    struct create_topics_response *answer = request->answer;
    struct rows *rows = request->state;
    struct creation creation = { .request = request,
        .validate_only = body->validate_only,
        .topics_max = (size_t)rows->count,
        .done = committed };
    for (int32_t i = 0; i < body->topics_count; i++) {
        int32_t row = name_set_find(&rows->names, body->topics[i].name, NULL);
        if (rows->twice[row])
            continue;
        created_reset(&answer->topics[row], body->topics[i].name);
        if (!topic_create(&creation, &body->topics[i], &answer->topics[row])) {
            commit_drop(creation.commit);
            return;
        }
    }
    int error = rows_commit(request, creation.commit, create_attempt);
    if (!error || error == -EAGAIN)
        return;
    struct fault fault = fault_of_commit(error);
    for (int32_t row = 0; row < rows->count; row++) {
        struct bytes name = answer->topics[row].name;
        if (answer->topics[row].error_code)
            continue;
        created_reset(&answer->topics[row], name);
        answer->topics[row].error_code = fault.code;
        answer->topics[row].error_message = fault.message;
    }
    request_finish(request);
}

void handle_create_topics(struct request *request)
{
    const struct create_topics_request *body = request->body;
    struct create_topics_response *answer = request->answer;
    struct rows *rows = rows_create(request, body->topics_count);
    if (!rows)
        return;
    answer->topics = answer_array(
        request, &create_topics_response_creatable_topic_result_table, body->topics_count);
    if (!answer->topics)
        return;
    for (int32_t i = 0; i < body->topics_count; i++) {
        int32_t row;
        if (name_set_add(&rows->names, body->topics[i].name, rows->count, &row, NULL)) {
            answer->topics[rows->count++].name = body->topics[i].name;
            continue;
        }
        rows->twice[row] = TWICE_BY_NAME;
        answer->topics[row].error_code = fault_twice().code;
        answer->topics[row].error_message = fault_twice().message;
    }
    answer->topics_count = rows->count;
    create_attempt(request);
}

/* ---- DeleteTopics -------------------------------------------------------------------------- */

/* What one entry asks for. */
struct target {
    struct bytes name; /* null: by id */
    struct uuid id;
};

static struct target target_of(const struct request *request, int32_t i)
{
    const struct delete_topics_request *body = request->body;
    if (request->version < 6)
        return (struct target){ .name = body->topic_names[i] };
    return (struct target){ body->topics[i].name, body->topics[i].topic_id };
}

static struct fault target_fault(const struct target *target)
{
    bool named = target->name.data, identified = !uuid_zero(target->id);
    if (named == identified)
        return (struct fault){ KAFKA_ERROR_INVALID_REQUEST,
            named ? bytes_text("a topic is given by name or by id, not by both")
                  : bytes_text("neither a name nor an id is given") };
    return no_fault;
}

static struct fault topic_delete(
    struct request *request, struct commit *commit, struct topic *topic)
{
    if (!request->broker->config->delete_topics) {
        int16_t code = request->version < 3 ? KAFKA_ERROR_INVALID_REQUEST
                                            : KAFKA_ERROR_TOPIC_DELETION_DISABLED;
        return (struct fault){ code, bytes_text("delete.topic.enable is false") };
    }
    if (topic->computed)
        return fault_computed();
    int16_t code =
        request_error_of(unit_delete_topic(&commit->unit, request->broker->storage, topic));
    if (!code)
        shares_delete_topic(request->broker->shares, &commit->unit, &topic->id);
    return code ? (struct fault){ code, answer_error_text(code) } : no_fault;
}

/* The one row of a topic that comes more than once: with all that it was given by. */
static void twice_fill(struct request *request, const struct target *target, int32_t i,
    struct delete_topics_response_deletable_topic_result *row)
{
    const struct rows *rows = request->state;
    struct topic *topic = answer_topic(request, target->name, &target->id);
    row->name = target->name;
    row->topic_id = target->id;
    if (topic && (rows->twice[i] & TWICE_BY_NAME))
        row->name = bytes_text(topic->name);
    if (topic && (rows->twice[i] & TWICE_BY_ID))
        row->topic_id = topic->id;
    row->error_code = fault_twice().code;
    row->error_message = fault_twice().message;
}

/* One entry that comes alone: finds its row and topic. */
static void delete_one(struct request *request, struct commit *commit, const struct target *target,
    struct delete_topics_response_deletable_topic_result *row, bool *ret_any)
{
    struct fault fault = target_fault(target);
    struct topic *topic = fault.code ? NULL : answer_topic(request, target->name, &target->id);
    row->name = target->name;
    row->topic_id = target->id;
    if (topic) {
        row->name = bytes_text(topic->name);
        row->topic_id = topic->id;
        fault = topic_delete(request, commit, topic);
        *ret_any |= !fault.code;
    } else if (!fault.code) {
        fault.code = target->name.data ? KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION
                                       : KAFKA_ERROR_UNKNOWN_TOPIC_ID;
        fault.message = answer_error_text(fault.code);
    }
    row->error_code = fault.code;
    row->error_message = fault.message;
}

/* The topics' own memory may go with them. False: the request has failed. */
static bool names_keep(struct request *request)
{
    struct delete_topics_response *answer = request->answer;
    for (int32_t i = 0; i < answer->responses_count; i++) {
        struct bytes *name = &answer->responses[i].name;
        if (!name->data)
            continue;
        name->data = (uint8_t *)answer_strdup(request, *name);
        if (!name->data)
            return false;
    }
    return true;
}

/*
 * Marks every entry whose topic comes more than once, by name, by id or by both: it is not deleted
 * at all, and its first entry has the only row.
 */
static void mark_twice(struct request *request)
{
    struct rows *rows = request->state;
    for (int32_t i = 0; i < rows->count; i++) {
        struct target target = target_of(request, i);
        if (target_fault(&target).code)
            continue;
        struct topic *topic = answer_topic(request, target.name, &target.id);
        struct bytes key = topic              ? bytes_text(topic->name)
                           : target.name.data ? target.name
                                              : bytes_of(target.id.b, sizeof(target.id.b));
        const void *copy = arena_copy(&request->arena, key.data, key.len);
        int32_t before = i;
        if (!copy || name_set_add(&rows->names, bytes_of(copy, key.len), i, &before, NULL))
            continue;
        uint8_t way = target.name.data ? TWICE_BY_NAME : TWICE_BY_ID;
        struct target first = target_of(request, before);
        rows->twice[before] |= way | (first.name.data ? TWICE_BY_NAME : TWICE_BY_ID);
        rows->twice[i] = TWICE_ANSWERED;
    }
}

static void delete_attempt(struct request *request)
{
    struct rows *rows = request->state;
    struct delete_topics_response *answer = request->answer;
    struct commit *commit = commit_create(request, committed);
    bool any = false;
    answer->responses_count = 0;
    for (int32_t i = 0; i < rows->count; i++) {
        if (rows->twice[i] & TWICE_ANSWERED)
            continue;
        struct target target = target_of(request, i);
        struct delete_topics_response_deletable_topic_result *row =
            &answer->responses[answer->responses_count++];
        if (rows->twice[i])
            twice_fill(request, &target, i, row);
        else
            delete_one(request, commit, &target, row, &any);
    }
    if (!any) {
        commit_drop(commit);
        commit = NULL;
    }
    if (!names_keep(request)) {
        commit_drop(commit);
        return;
    }
    int error = rows_commit(request, commit, delete_attempt);
    if (!error || error == -EAGAIN)
        return;
    struct fault fault = fault_of_commit(error);
    for (int32_t i = 0; i < answer->responses_count; i++) {
        if (answer->responses[i].error_code)
            continue;
        answer->responses[i].error_code = fault.code;
        answer->responses[i].error_message = fault.message;
    }
    request_finish(request);
}

void handle_delete_topics(struct request *request)
{
    const struct delete_topics_request *body = request->body;
    struct delete_topics_response *answer = request->answer;
    int32_t count = request->version < 6 ? body->topic_names_count : body->topics_count;
    struct rows *rows = rows_create(request, count);
    if (!rows)
        return;
    answer->responses =
        answer_array(request, &delete_topics_response_deletable_topic_result_table, count);
    if (!answer->responses)
        return;
    rows->count = count;
    mark_twice(request);
    delete_attempt(request);
}

/* ---- CreatePartitions ---------------------------------------------------------------------- */

static struct fault growth_fault(struct request *request,
    const struct create_partitions_request_topic *asked, const struct topic *topic)
{
    int32_t more = asked->count > topic->log_count ? asked->count - topic->log_count : 0;
    if (topic->computed)
        return fault_computed();
    if (more == 0)
        return (struct fault){ KAFKA_ERROR_INVALID_PARTITIONS,
            answer_text(request, "topic '%s' has %d partitions; %d would not be more", topic->name,
                topic->log_count, asked->count) };
    if (asked->assignments_count < 0)
        return no_fault;
    if (asked->assignments_count != more)
        return (struct fault){ KAFKA_ERROR_INVALID_REPLICA_ASSIGNMENT,
            answer_text(request, "%d partitions are added, but %d assignments are given", more,
                asked->assignments_count) };
    for (int32_t i = 0; i < more; i++) {
        struct fault fault = replicas_fault(request, asked->assignments[i].broker_ids,
            asked->assignments[i].broker_ids_count, topic->log_count + i);
        if (fault.code)
            return fault;
    }
    return no_fault;
}

static struct fault topic_grow(struct request *request, struct commit *commit,
    const struct create_partitions_request_topic *asked, int64_t *partitions)
{
    const struct create_partitions_request *body = request->body;
    struct topic *topic = answer_topic(request, asked->name, NULL);
    if (!topic)
        return (struct fault){ KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION,
            answer_error_text(KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION) };
    struct fault fault = growth_fault(request, asked, topic);
    if (fault.code)
        return fault;
    int32_t more = asked->count - topic->log_count;
    if (!creation_room(request, *partitions, more, &fault.message)) {
        fault.code = KAFKA_ERROR_INVALID_PARTITIONS;
        return fault;
    }
    if (body->validate_only)
        return no_fault;
    int16_t code = request_error_of(
        unit_add_partitions(&commit->unit, request->broker->storage, topic, asked->count));
    if (code)
        return (struct fault){ code, answer_error_text(code) };
    *partitions += more;
    return no_fault;
}

static void grow_attempt(struct request *request)
{
    const struct create_partitions_request *body = request->body;
    struct create_partitions_response *answer = request->answer;
    struct rows *rows = request->state;
    struct broker *broker = request->broker;
    struct commit *commit = commit_create(request, committed);
    int64_t partitions = 0;
    for (int32_t i = 0; i < body->topics_count; i++) {
        int32_t row = name_set_find(&rows->names, body->topics[i].name, NULL);
        struct fault fault = rows->twice[row]
                                 ? fault_twice()
                                 : topic_grow(request, commit, &body->topics[i], &partitions);
        answer->results[row].error_code = fault.code;
        answer->results[row].error_message = fault.message;
    }
    if (partitions == 0) {
        commit_drop(commit);
        commit = NULL;
    }
    int error = rows_commit(request, commit, grow_attempt);
    if (!error && partitions > 0) /* the request may be gone */
        processors_topics_changed(broker->processors);
    if (!error || error == -EAGAIN)
        return;
    struct fault fault = fault_of_commit(error);
    for (int32_t row = 0; row < rows->count; row++) {
        if (answer->results[row].error_code)
            continue;
        answer->results[row].error_code = fault.code;
        answer->results[row].error_message = fault.message;
    }
    request_finish(request);
}

void handle_create_partitions(struct request *request)
{
    const struct create_partitions_request *body = request->body;
    struct create_partitions_response *answer = request->answer;
    struct rows *rows = rows_create(request, body->topics_count);
    if (!rows)
        return;
    answer->results =
        answer_array(request, &create_partitions_response_topic_result_table, body->topics_count);
    if (!answer->results)
        return;
    for (int32_t i = 0; i < body->topics_count; i++) {
        int32_t row;
        if (name_set_add(&rows->names, body->topics[i].name, rows->count, &row, NULL))
            answer->results[rows->count++].name = body->topics[i].name;
        else
            rows->twice[row] = TWICE_BY_NAME;
    }
    answer->results_count = rows->count;
    grow_attempt(request);
}
