/*
 * handle_describe_topic_partitions.c - DescribeTopicPartitions, version 0 (KIP-966): as Metadata,
 * in the order of the names and a page at a time.
 *
 *   no topics named → all that are there · names → each once, with an error if it is not there
 *
 * A page has at most ResponsePartitionLimit partitions (and max.request.partition.size.limit, and
 * at least one); what did not fit begins at NextCursor, which the client gives back. A cursor must
 * name a topic that was asked for.
 */
#include <stdlib.h>

#include "broker/answer.h"
#include "broker/api.h"
#include "broker/broker.h"
#include "broker/names.h"
#include "broker/operations.h"
#include "protocol/error.h"
#include "protocol/messages.h"

struct page {
    struct request *request;
    int32_t *self; /* an array of one: the replicas of every partition */
    int32_t room;  /* partitions */
    bool full;
};

static int compare_names(const void *a, const void *b)
{
    return bytes_compare(*(const struct bytes *)a, *(const struct bytes *)b);
}

/* The next page begins there. */
static void page_end(struct page *page, struct bytes name, int32_t partition)
{
    struct describe_topic_partitions_response *answer = page->request->answer;
    struct describe_topic_partitions_response_cursor *cursor =
        request_alloc(page->request, sizeof(*cursor));
    if (!cursor)
        return;
    cursor->topic_name = name;
    cursor->partition_index = partition;
    answer->next_cursor = cursor;
    page->full = true;
}

static bool partitions_fill(struct page *page, const struct topic *topic, int32_t first,
    struct describe_topic_partitions_response_topic *row)
{
    struct request *request = page->request;
    int32_t count = topic->log_count > first ? topic->log_count - first : 0;
    if (count > page->room)
        count = page->room;
    row->partitions =
        answer_array(request, &describe_topic_partitions_response_partition_table, count);
    if (!row->partitions)
        return false;
    row->partitions_count = count;
    for (int32_t i = 0; i < count; i++) {
        struct describe_topic_partitions_response_partition *partition = &row->partitions[i];
        partition->partition_index = first + i;
        partition->leader_id = request->broker->config->node_id;
        partition->leader_epoch = topic->logs[first + i]->leader_epoch;
        partition->replica_nodes = partition->isr_nodes = page->self;
        partition->replica_nodes_count = partition->isr_nodes_count = 1;
        partition->eligible_leader_replicas_count = partition->last_known_elr_count = 0;
    }
    page->room -= count;
    if (first + count < topic->log_count)
        page_end(page, row->name, first + count);
    return true;
}

/* One topic; false: the request has failed. */
static bool topic_fill(struct page *page, struct bytes name, int32_t first)
{
    struct request *request = page->request;
    struct describe_topic_partitions_response *answer = request->answer;
    struct describe_topic_partitions_response_topic *row = &answer->topics[answer->topics_count++];
    struct topic *topic = answer_topic(request, name, NULL);
    row->name = name;
    row->is_internal = topic_name_is_internal(name);
    row->topic_authorized_operations = OPERATIONS_TOPIC;
    if (!topic) {
        row->error_code = topic_name_fault(name) ? KAFKA_ERROR_INVALID_TOPIC_EXCEPTION
                                                 : KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION;
        return true;
    }
    row->topic_id = topic->id;
    return partitions_fill(page, topic, first, row);
}

static bool page_fill(struct page *page, const struct bytes *names, int32_t count)
{
    const struct describe_topic_partitions_request *body = page->request->body;
    for (int32_t i = 0; i < count && !page->full; i++) {
        if (page->room == 0) {
            page_end(page, names[i], 0);
            break;
        }
        bool resumed = body->cursor && bytes_equal(names[i], body->cursor->topic_name);
        if (!topic_fill(page, names[i], resumed ? body->cursor->partition_index : 0))
            return false;
    }
    return true;
}

/* The names from the cursor on, in order, each once. NULL: the request has failed. */
static struct bytes *names_asked(struct request *request, int32_t *ret_count)
{
    const struct describe_topic_partitions_request *body = request->body;
    struct bytes *names = request_alloc(request, (size_t)body->topics_count * sizeof(*names));
    int32_t count = 0, kept = 0;
    if (!names)
        return NULL;
    for (int32_t i = 0; i < body->topics_count; i++)
        if (!body->cursor || bytes_compare(body->topics[i].name, body->cursor->topic_name) >= 0)
            names[count++] = body->topics[i].name;
    qsort(names, (size_t)count, sizeof(*names), compare_names);
    for (int32_t i = 0; i < count; i++)
        if (i == 0 || !bytes_equal(names[i], names[kept - 1]))
            names[kept++] = names[i];
    *ret_count = kept;
    return names;
}

/* Of all topics as many as can be on the page, and one more to point at. */
static struct bytes *names_all(struct request *request, int32_t room, int32_t *ret_count)
{
    const struct describe_topic_partitions_request *body = request->body;
    struct storage *storage = request->broker->storage;
    size_t most = storage_topic_count(storage);
    if (most > (size_t)room + 1)
        most = (size_t)room + 1;
    struct bytes *names = request_alloc(request, most * sizeof(*names));
    int32_t count = 0;
    request_depends(request, storage_deletion_lsn(storage));
    for (struct topic *t = storage_topic_next(storage, NULL); names && t && (size_t)count < most;
         t = storage_topic_next(storage, t)) {
        if (body->cursor && bytes_compare(bytes_text(t->name), body->cursor->topic_name) < 0)
            continue;
        char *name = answer_strdup(request, bytes_text(t->name));
        if (!name)
            return NULL;
        names[count++] = bytes_text(name);
    }
    *ret_count = count;
    return names;
}

/* Every topic asked for says so. */
static void refuse(struct request *request)
{
    const struct describe_topic_partitions_request *body = request->body;
    struct describe_topic_partitions_response *answer = request->answer;
    answer->topics_count = body->topics_count;
    for (int32_t i = 0; i < body->topics_count; i++) {
        answer->topics[i].name = body->topics[i].name;
        answer->topics[i].error_code = KAFKA_ERROR_INVALID_REQUEST;
    }
    request_finish(request);
}

static bool cursor_good(struct request *request, const struct bytes *names, int32_t count)
{
    const struct describe_topic_partitions_request *body = request->body;
    if (!body->cursor)
        return true;
    bool asked =
        body->topics_count == 0 || (count > 0 && bytes_equal(names[0], body->cursor->topic_name));
    return asked && body->cursor->partition_index >= 0;
}

void handle_describe_topic_partitions(struct request *request)
{
    const struct describe_topic_partitions_request *body = request->body;
    struct describe_topic_partitions_response *answer = request->answer;
    struct page page = { .request = request, .room = body->response_partition_limit };
    int32_t most = request->broker->config->partitions_per_answer_max, count = 0;
    if (page.room > most)
        page.room = most;
    if (page.room < 1)
        page.room = 1;
    page.self = request_alloc(request, sizeof(*page.self));
    struct bytes *names = body->topics_count == 0 ? names_all(request, page.room, &count)
                                                  : names_asked(request, &count);
    if (!page.self || !names)
        return;
    *page.self = request->broker->config->node_id;
    answer->topics = answer_array(request, &describe_topic_partitions_response_topic_table,
        count > body->topics_count ? count : body->topics_count);
    if (!answer->topics)
        return;
    if (!cursor_good(request, names, count))
        refuse(request);
    else if (page_fill(&page, names, count))
        request_finish(request);
}
