/*
 * handle_metadata.c - Metadata, versions 0 to 13: which topics there are and who leads them.
 *
 * One node: it is the controller, leads every partition and is its only replica. The address told
 * is the one that the client's own listener advertises.
 *
 *   null (v0: empty) → all topics · empty (v1+) → none · names · ids (v12+; then names are ignored)
 *
 * A name or id that comes twice is answered once, as Kafka does; otherwise a small request could
 * ask for a giant answer.
 *
 * Auto-creation: unknown names that are allowed are created in one unit, if both the request and
 * auto.create.topics.enable say so. The answer already shows the new topics and leaves when they
 * are durable. When the ring is full the request is parked and tried again from there. Internal
 * topics are not created but shown (internal_topics.h).
 */
#include <errno.h>

#include "broker/answer.h"
#include "broker/api.h"
#include "broker/broker.h"
#include "broker/creation.h"
#include "broker/internal_topics.h"
#include "broker/operations.h"
#include "protocol/error.h"
#include "protocol/messages.h"

struct metadata {
    struct metadata_response_topic *rows;
    int32_t row_count;
    int32_t *self; /* an array of one: the replicas of every partition */
};

static const struct uuid no_id;

static struct bytes of_id(const struct uuid *id)
{
    return bytes_of(id->b, sizeof(id->b));
}

/* Fills the row of a topic that is there. False: the request has failed. */
static bool row_fill(
    struct request *request, struct metadata_response_topic *row, struct topic *topic)
{
    const struct metadata_request *body = request->body;
    const struct metadata *metadata = request->state;
    /* The answer waits, and the topic may be gone by then. */
    const char *name = answer_strdup(request, bytes_text(topic->name));
    if (!name)
        return false;
    row->error_code = 0;
    row->name = bytes_text(name);
    row->topic_id = topic->id;
    row->is_internal = topic_name_is_internal(row->name);
    if (body->include_topic_authorized_operations)
        row->topic_authorized_operations = OPERATIONS_TOPIC;
    row->partitions = answer_array(request, &metadata_response_partition_table, topic->log_count);
    if (!row->partitions)
        return false;
    row->partitions_count = topic->log_count;
    for (int32_t i = 0; i < topic->log_count; i++) {
        struct metadata_response_partition *partition = &row->partitions[i];
        partition->partition_index = i;
        partition->leader_id = request->broker->config->node_id;
        partition->leader_epoch = topic->logs[i]->leader_epoch;
        partition->replica_nodes = partition->isr_nodes = metadata->self;
        partition->replica_nodes_count = partition->isr_nodes_count = 1;
    }
    request_depends(request, topic->lsn);
    return true;
}

/* The rows of all topics, or empty rows of what was asked for, each once. False: failed. */
static bool rows_all(struct request *request)
{
    struct metadata *metadata = request->state;
    struct storage *storage = request->broker->storage;
    metadata->row_count = (int32_t)storage_topic_count(storage);
    metadata->rows = answer_array(request, &metadata_response_topic_table, metadata->row_count);
    if (!metadata->rows)
        return false;
    int32_t i = 0;
    request_depends(request, storage_deletion_lsn(storage)); /* what is left out is told, too */
    for (struct topic *t = storage_topic_next(storage, NULL); t; t = storage_topic_next(storage, t))
        if (!row_fill(request, &metadata->rows[i++], t))
            return false;
    return true;
}

static bool rows_asked(struct request *request, bool by_id)
{
    const struct metadata_request *body = request->body;
    struct metadata *metadata = request->state;
    struct name_set seen;
    int32_t count = body->topics_count, number;
    metadata->rows = answer_array(request, &metadata_response_topic_table, count);
    if (!metadata->rows)
        return false;
    if (name_set_init(&seen, &request->arena, (size_t)count,
            random_u64(request->broker->doors->random), false)) {
        request_fail(request, "the request names too many topics");
        return false;
    }
    for (int32_t i = 0; i < count; i++) {
        const struct metadata_request_topic *asked = &body->topics[i];
        if (by_id && uuid_zero(asked->topic_id))
            continue;
        struct bytes name = asked->name.data ? asked->name : bytes_of("", 0);
        struct bytes key = by_id ? of_id(&asked->topic_id) : name;
        if (!name_set_add(&seen, key, i, &number, NULL))
            continue;
        struct metadata_response_topic *row = &metadata->rows[metadata->row_count++];
        row->name = by_id ? bytes_of(NULL, 0) : name;
        row->topic_id = by_id ? asked->topic_id : no_id;
        row->error_code =
            by_id ? KAFKA_ERROR_UNKNOWN_TOPIC_ID : KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION;
    }
    return true;
}

/* What the row of an unknown name says when it is not created. */
static int16_t unknown_code(struct bytes name)
{
    return topic_name_fault(name) ? KAFKA_ERROR_INVALID_TOPIC_EXCEPTION
                                  : KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION;
}

static void finish(struct request *request)
{
    const struct metadata *metadata = request->state;
    struct metadata_response *answer = request->answer;
    answer->topics = metadata->rows;
    answer->topics_count = metadata->row_count;
    request_finish(request);
}

/* Fills the rows of what is there by now. False: the request has failed. */
static bool rows_known(struct request *request)
{
    struct metadata *metadata = request->state;
    for (int32_t i = 0; i < metadata->row_count; i++) {
        struct metadata_response_topic *row = &metadata->rows[i];
        if (!row->error_code)
            continue;
        struct topic *topic = answer_topic(request, row->name, &row->topic_id);
        if (topic && !row_fill(request, row, topic))
            return false;
    }
    return true;
}

static void create_missing(struct request *request)
{
    struct metadata *metadata = request->state;
    struct creation creation = { .request = request, .topics_max = (size_t)metadata->row_count };
    for (int32_t i = 0; i < metadata->row_count; i++) {
        struct metadata_response_topic *row = &metadata->rows[i];
        if (!row->error_code || !row->name.data)
            continue;
        row->error_code = unknown_code(row->name);
        if (internal_topics_show(request->broker->internal_topics, row->name) ||
            topic_name_is_internal(row->name))
            continue;
        struct topic_plan plan = { .name = row->name,
            .partitions = request->broker->config->num_partitions };
        struct bytes message;
        int16_t code = creation_add(&creation, &plan, &message);
        if (code == KAFKA_ERROR_UNKNOWN_SERVER_ERROR && !message.data) {
            commit_drop(creation.commit);
            return;
        }
        if (code && code != KAFKA_ERROR_POLICY_VIOLATION && code != KAFKA_ERROR_INVALID_REQUEST)
            row->error_code = code;
    }
    int error = 0;
    if (creation.commit) {
        struct commit *commit = creation.commit;
        error = commit_run(commit);
        if (!error)
            commit_forget(commit); /* the topics' own lsn says when the answer may leave */
    }
    if (error == -EAGAIN)
        request_park(request, create_missing);
    else if (rows_known(request))
        finish(request);
}

static void cluster_fill(struct request *request)
{
    const struct metadata_request *body = request->body;
    struct metadata_response *answer = request->answer;
    const struct broker_config *config = request->broker->config;
    struct metadata_response_broker *self = answer->brokers;
    self->node_id = config->node_id;
    self->host = request_advertised_host(request);
    self->port = request_advertised_port(request);
    if (config->rack)
        self->rack = bytes_text(config->rack);
    answer->cluster_id = bytes_text(storage_cluster_id(request->broker->storage));
    answer->controller_id = config->node_id;
    if (body->include_cluster_authorized_operations)
        answer->cluster_authorized_operations = OPERATIONS_CLUSTER;
}

/*
 * Ids came with version 10, but only versions 12 and up may ask by them, or leave names out. The
 * answer says that of every topic, and nothing else, as Kafka's does.
 */
static bool refuse_ids(struct request *request, bool by_id)
{
    const struct metadata_request *body = request->body;
    struct metadata *metadata = request->state;
    bool bad = by_id;
    for (int32_t i = 0; i < body->topics_count; i++)
        bad |= !body->topics[i].name.data;
    if (!bad || request->version >= 12)
        return false;
    struct metadata_response *answer = request->answer;
    metadata->rows = answer_array(request, &metadata_response_topic_table, body->topics_count);
    if (!metadata->rows)
        return true;
    for (; metadata->row_count < body->topics_count; metadata->row_count++) {
        const struct metadata_request_topic *asked = &body->topics[metadata->row_count];
        struct metadata_response_topic *row = &metadata->rows[metadata->row_count];
        row->name = asked->name.data ? asked->name : bytes_of("", 0);
        row->topic_id = asked->topic_id;
        row->error_code = KAFKA_ERROR_INVALID_REQUEST;
    }
    answer->brokers_count = 0;
    answer->cluster_id = bytes_of(NULL, 0);
    answer->controller_id = -1;
    answer->cluster_authorized_operations = INT32_MIN;
    finish(request);
    return true;
}

void handle_metadata(struct request *request)
{
    const struct metadata_request *body = request->body;
    struct metadata_response *answer = request->answer;
    struct metadata *metadata = request->state = request_alloc(request, sizeof(*metadata));
    if (!metadata)
        return;
    metadata->self = request_alloc(request, sizeof(*metadata->self));
    if (!metadata->self)
        return;
    *metadata->self = request->broker->config->node_id;
    answer->brokers = answer_array(request, &metadata_response_broker_table, 1);
    if (!answer->brokers)
        return;
    answer->brokers_count = 1;
    cluster_fill(request);
    if (body->topics_count < 0 || (request->version == 0 && body->topics_count == 0)) {
        if (rows_all(request))
            finish(request);
        return;
    }
    bool by_id = false;
    for (int32_t i = 0; i < body->topics_count; i++)
        by_id |= !uuid_zero(body->topics[i].topic_id);
    if (refuse_ids(request, by_id) || !rows_asked(request, by_id) || !rows_known(request))
        return;
    if (!by_id && body->allow_auto_topic_creation && request->broker->config->auto_create_topics) {
        create_missing(request);
        return;
    }
    for (int32_t i = 0; i < metadata->row_count; i++)
        if (metadata->rows[i].error_code && !by_id)
            metadata->rows[i].error_code = unknown_code(metadata->rows[i].name);
    finish(request);
}
