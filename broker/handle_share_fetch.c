/*
 * handle_share_fetch.c - ShareFetch (1-2): what a member says of records that it holds, and then
 * more records for it.
 *
 *                   ┌─ something may have come or become free, or the deadline ◀─┐
 *                   ▼                                                            │
 *   request ──▶ SAY ──▶ LOOK ──▶ READ ──▶ JUDGE ──not enough yet─────────────▶ WAIT
 *           session,  a row for  one log     │
 *           answers   each that  after the   └──▶ TAKE: acquire what was read ──▶ answer, or
 *           kept      is wanted  other            LOOK again if all of it was nothing
 *
 * Reading is as Fetch reads: whole batches into a buffer which the answer then holds, nothing is
 * copied. Nothing is acquired before the answer is certain to leave with it (the connection may go
 * while this waits), and it is acquired in the turn in which the answer is made, so that two
 * members that read the same batches share them. Of each buffer the answer tells only the batches
 * from the first to the last with an acquired record. How much to read is guessed from how large
 * the log's records are on average, since records_max counts records and not bytes.
 *
 * A group that reads committed records gets nothing behind the last stable offset, and batches of
 * aborted transactions count as nothing; so do control batches for everybody.
 *
 * Between LOOK and TAKE topics, share-partitions and the session itself may go: parts keep a use of
 * their share-partition, logs are found anew after every wait and cold read, and TAKE asks for the
 * session. ROUNDS_MAX bounds what one turn does where long stretches hold nothing to deliver.
 */
#include <errno.h>

#include "broker/answer.h"
#include "broker/api.h"
#include "broker/broker.h"
#include "broker/coordinator.h"
#include "broker/handle_groups.h"
#include "broker/partition.h"
#include "broker/share_config.h"
#include "broker/share_request.h"
#include "broker/waits.h"
#include "protocol/base/mem.h"
#include "protocol/batch.h"
#include "protocol/error.h"
#include "protocol/messages.h"

enum {
    ROUNDS_MAX = 16,
    READ_BYTES_LEAST = 64 * 1024, /* of a log in one look, whatever its average says */
    RECORDS_MAX = 10000,          /* group.share.partition.max.record.locks goes no further */
    SPANS_MAX = 16384,            /* batches of one log that are looked at for one answer */
    ACQUIRE_RECORDS = 1,          /* ShareAcquireMode: max_records holds to the record */
};

struct share_fetch_part {
    struct share_fetch *fetch;
    struct uuid topic;
    int32_t index;
    struct share_part *part; /* one use; NULL: none now */
    struct log *log;         /* of this look; NULL: nothing to read or wait for */
    struct share_fetch_response_partition_data *row;
    struct share_waiter waiter;
    struct log_read read;
    struct buffer *buffer;
    bool said;  /* the request says something of it: its row is told */
    bool again; /* it may have more */
};

enum share_fetch_stage { STAGE_LOOK, STAGE_READ, STAGE_JUDGE, STAGE_TAKE };

struct share_fetch {
    struct request *request;
    uint64_t owner; /* of the session */
    int8_t isolation;
    struct share_fetch_part *parts;
    struct share_fetch_response_partition_data *rows; /* by part */
    size_t part_count, next;                          /* parts before next have been read */
    enum share_fetch_stage stage;
    int32_t rounds;
    size_t limit, total;
    int64_t records; /* that what was read can give at most */
    bool reading, starved, at_once;
    int64_t deadline_ns;
    struct wait wait;
    struct wait_log *wait_logs;
    struct answer_waiter hungry;
};

static void fetch_step(struct share_fetch *fetch);

static const uint8_t no_records[1];

static const struct share_fetch_request *body_of(const struct share_fetch *fetch)
{
    return fetch->request->body;
}

static struct broker *broker_of(const struct share_fetch *fetch)
{
    return fetch->request->broker;
}

/* ---- LOOK ---------------------------------------------------------------------------------- */

static void part_leave(struct share_fetch_part *part)
{
    if (part->part)
        share_part_unuse(part->part);
    part->part = NULL;
}

static void buffers_drop(struct share_fetch *fetch)
{
    for (size_t i = 0; i < fetch->part_count; i++) {
        struct buffer *buffer = fetch->parts[i].buffer;
        if (buffer)
            broker_answer_give(broker_of(fetch), buffer->capacity);
        buffer_unref(buffer);
        fetch->parts[i].buffer = NULL;
    }
}

static void row_refuse(struct share_fetch_part *part, int16_t code)
{
    part->row->error_code = code;
    part->row->error_message = answer_error_text(code);
    part->fetch->at_once = true;
    part->log = NULL;
}

static void look_at(struct share_fetch_part *part)
{
    struct share_fetch *fetch = part->fetch;
    struct request *request = fetch->request;
    struct topic *topic = answer_topic(request, bytes_of(NULL, 0), &part->topic);
    struct log *log = topic ? topic_log(topic, part->index) : NULL;
    part_leave(part);
    part->log = NULL;
    part->again = false;
    part->row->error_code = KAFKA_ERROR_NONE;
    part->row->error_message = bytes_of(NULL, 0);
    if (!log) {
        row_refuse(
            part, topic ? KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION : KAFKA_ERROR_UNKNOWN_TOPIC_ID);
        return;
    }
    part->part = share_part_use(request->broker->shares, body_of(fetch)->group_id, log);
    if (!part->part) {
        row_refuse(part, KAFKA_ERROR_COORDINATOR_NOT_AVAILABLE);
        return;
    }
    part->log = log;
    if (!part->part->ready || part->part->lsn == 0)
        return; /* it tells when it knows where it begins, and that is written */
    share_part_refresh(part->part, log);
    request_depends(request, part->part->lsn);
    part->again = share_part_has_room(part->part);
}

static void fetch_look(struct share_fetch *fetch)
{
    const struct broker_config *config = broker_of(fetch)->config;
    int64_t limit = config->fetch_max_bytes < config->answers_bytes_max ? config->fetch_max_bytes
                                                                        : config->answers_bytes_max;
    if (limit > body_of(fetch)->max_bytes)
        limit = body_of(fetch)->max_bytes; /* > 0: fetch_begin */
    fetch->limit = (size_t)limit;
    fetch->total = fetch->next = 0;
    fetch->records = 0;
    fetch->at_once = fetch->starved = false;
    for (size_t i = 0; i < fetch->part_count; i++)
        look_at(&fetch->parts[i]);
}

/* ---- READ ---------------------------------------------------------------------------------- */

/* Bytes that hold as many records as are wanted, as far as the log's average can tell. */
static size_t guess(const struct share_fetch *fetch, const struct log *log)
{
    int64_t count = log->end_offset - log->start_offset;
    double average = count > 0 ? (double)log->size_bytes / (double)count : 0;
    int64_t most = body_of(fetch)->max_records - fetch->records;
    double wanted = average * 1.25 * (double)(most < RECORDS_MAX ? most : RECORDS_MAX);
    return wanted > (double)READ_BYTES_LEAST
               ? (wanted < (double)(1 << 30) ? (size_t)wanted : (size_t)1 << 30)
               : READ_BYTES_LEAST;
}

static int64_t end_of(const struct buffer *buffer)
{
    int64_t end = 0;
    (void)batch_run_end(bytes_of(buffer->data, buffer->len), &end);
    return end;
}

static void part_take(struct share_fetch_part *part, int status)
{
    struct share_fetch *fetch = part->fetch;
    if (status) {
        row_refuse(
            part, status == -ENOMEM ? KAFKA_ERROR_KAFKA_STORAGE_ERROR : request_error_of(status));
        return;
    }
    part->buffer = part->read.buffer;
    if (!part->buffer)
        return;
    broker_answer_take(broker_of(fetch), part->buffer->capacity);
    fetch->total += part->buffer->len;
    fetch->records += end_of(part->buffer) - part->read.offset;
}

/* A cold read took more than a turn: topics may have gone. */
static void logs_again(struct share_fetch *fetch)
{
    for (size_t i = 0; i < fetch->part_count; i++) {
        struct share_fetch_part *part = &fetch->parts[i];
        if (part->log && !answer_topic(fetch->request, bytes_of(NULL, 0), &part->topic))
            row_refuse(part, KAFKA_ERROR_UNKNOWN_TOPIC_ID);
    }
}

static void read_done(struct log_read *read, int status)
{
    struct share_fetch_part *part = container_of(read, struct share_fetch_part, read);
    struct share_fetch *fetch = part->fetch;
    fetch->reading = false;
    fetch->next++;
    broker_answer_give(broker_of(fetch), read->max_bytes);
    part_take(part, status);
    logs_again(fetch);
    fetch_step(fetch);
}

/* False: it is under way, read_done goes on. */
static bool part_read(struct share_fetch_part *part)
{
    struct share_fetch *fetch = part->fetch;
    struct broker *broker = broker_of(fetch);
    int64_t offset = share_partition_next(&part->part->partition);
    int64_t end = partition_visible_end(part->log, fetch->isolation);
    size_t left = broker_answer_room(broker);
    size_t room = fetch->limit > fetch->total ? fetch->limit - fetch->total : 0;
    size_t most = guess(fetch, part->log);
    if (offset >= end || fetch->records >= body_of(fetch)->max_records ||
        (room == 0 && fetch->total > 0))
        return true;
    bool small = left == 0;
    if (small && fetch->total == 0 && request_client_reads(fetch->request))
        left = broker_answer_small_room(broker);
    if (left == 0) {
        fetch->starved = true;
        return true;
    }
    fetch->starved |= small;
    most = most < room ? most : room;
    part->read = (struct log_read){ .log = part->log,
        .offset = offset,
        .end_offset = end,
        .max_bytes = most < left ? most : left,
        .at_least_one = fetch->total == 0 && !small,
        .done = read_done };
    int status = log_read(broker->storage, &part->read);
    fetch->reading = status == -EINPROGRESS;
    if (fetch->reading)
        broker_answer_take(broker, part->read.max_bytes);
    else
        part_take(part, status);
    return !fetch->reading;
}

/* False: it goes on later. */
static bool fetch_read(struct share_fetch *fetch)
{
    for (; fetch->next < fetch->part_count; fetch->next++) {
        struct share_fetch_part *part = &fetch->parts[fetch->next];
        if (part->log && part->again && !part_read(part))
            return false;
    }
    return true;
}

/* ---- WAIT ---------------------------------------------------------------------------------- */

static void waiters_leave(struct share_fetch *fetch)
{
    wait_end(&fetch->wait);
    list_remove(&fetch->hungry.link);
    for (size_t i = 0; i < fetch->part_count; i++)
        list_remove(&fetch->parts[i].waiter.link);
}

static void look_again(struct share_fetch *fetch)
{
    waiters_leave(fetch);
    fetch->rounds = 0;
    fetch->stage = STAGE_LOOK;
    fetch_step(fetch);
}

static void wait_over(struct wait *wait)
{
    look_again(container_of(wait, struct share_fetch, wait));
}

static void room_again(struct answer_waiter *waiter)
{
    look_again(container_of(waiter, struct share_fetch, hungry));
}

static void part_woken(struct share_waiter *waiter)
{
    look_again(container_of(waiter, struct share_fetch_part, waiter)->fetch);
}

static uint64_t bytes_wanted(const struct share_fetch *fetch)
{
    int32_t wanted = body_of(fetch)->min_bytes;
    uint64_t possible = fetch->limit > 0 ? fetch->limit : 1;
    if (wanted <= 0)
        return 0;
    return (uint64_t)wanted < possible ? (uint64_t)wanted : possible;
}

/* Until something comes, is free again, or there is memory for it; `deadline` at the latest. */
static void fetch_wait(struct share_fetch *fetch, int64_t deadline_ns)
{
    struct broker *broker = broker_of(fetch);
    uint64_t wanted = bytes_wanted(fetch);
    uint64_t missing = wanted > fetch->total ? wanted - fetch->total : 1;
    buffers_drop(fetch);
    wait_begin(&fetch->wait, broker->doors->timers, fetch->wait_logs, fetch->isolation, wait_over);
    for (size_t i = 0; i < fetch->part_count; i++) {
        struct share_fetch_part *part = &fetch->parts[i];
        if (part->part)
            share_part_wait(part->part, &part->waiter);
        if (part->log && part->again && !fetch->starved)
            wait_add(&fetch->wait, part->log, share_partition_next(&part->part->partition));
    }
    wait_arm(&fetch->wait, missing, deadline_ns);
    if (fetch->starved)
        broker_answer_wait(broker, &fetch->hungry);
}

/* ---- TAKE ---------------------------------------------------------------------------------- */

/* Whether readers of this group are given nothing of the batch. */
static bool is_nothing(const struct share_fetch_part *part, const struct batch_view *batch)
{
    if (batch_is_control(batch))
        return true;
    return part->fetch->isolation == ISOLATION_READ_COMMITTED && batch_is_transactional(batch) &&
           log_is_aborted(part->log, batch->producer_id, batch->base_offset);
}

static size_t batches_in(const struct buffer *buffer)
{
    struct bytes run = bytes_of(buffer->data, buffer->len);
    struct batch_view batch;
    size_t count = 0;
    while (count < SPANS_MAX && batch_next(&run, &batch) == BATCH_OK)
        count++;
    return count;
}

/* The batches from that of `first` to that of `last`. */
static struct records records_between(const struct buffer *buffer, int64_t first, int64_t last)
{
    struct bytes run = bytes_of(buffer->data, buffer->len);
    const uint8_t *from = NULL, *to = NULL;
    struct batch_view batch;
    for (const uint8_t *at = run.data; batch_next(&run, &batch) == BATCH_OK; at = run.data) {
        if (batch_last_offset(&batch) < first || batch.base_offset > last)
            continue;
        from = from ? from : at;
        to = run.data;
    }
    return (struct records){ .data = from ? from : no_records, .len = (size_t)(to - from) };
}

static bool row_fill(struct share_fetch_part *part, const struct share_acquired_list *list)
{
    struct share_fetch_response_partition_data *row = part->row;
    row->acquired_records = answer_array(
        part->fetch->request, &share_fetch_response_acquired_records_table, (int32_t)list->count);
    if (!row->acquired_records)
        return false;
    for (size_t i = 0; i < list->count; i++)
        row->acquired_records[row->acquired_records_count++] =
            (struct share_fetch_response_acquired_records){ list->rows[i].first, list->rows[i].last,
                (int16_t)list->rows[i].delivery };
    row->records =
        records_between(part->buffer, list->rows[0].first, list->rows[list->count - 1].last);
    return true;
}

/* Acquires of one part; *left is what may still be had. False: the request has failed (so below),
 * and its connection with what was acquired. */
static bool part_acquire(struct share_fetch_part *part, int64_t *left)
{
    const struct share_fetch_request *body = body_of(part->fetch);
    struct broker *broker = broker_of(part->fetch);
    struct share_acquired_list list = { 0 };
    struct bytes run = bytes_of(part->buffer->data, part->buffer->len);
    struct batch_view batch;
    size_t count = batches_in(part->buffer);
    struct share_span *spans = request_alloc(part->fetch->request, (count + 1) * sizeof(*spans));
    if (!spans)
        return false;
    struct share_want want = { .owner = part->fetch->owner,
        .from = part->read.offset,
        .spans = spans,
        .records_max = *left,
        .batch_size = body->batch_size,
        .exact = body->share_acquire_mode == ACQUIRE_RECORDS };
    while (want.span_count < count && batch_next(&run, &batch) == BATCH_OK)
        spans[want.span_count++] = (struct share_span){ batch.base_offset,
            batch_last_offset(&batch), is_nothing(part, &batch) };
    struct share_limits limits = share_config_limits(broker, body->group_id);
    share_partition_acquire(
        &part->part->partition, &want, &limits, clock_monotonic_ns(broker->doors->clock), &list);
    share_part_acquired(part->part);
    *left -= list.records;
    bool filled = list.count == 0 || row_fill(part, &list);
    mem_free(list.rows);
    return filled;
}

/* What was read may have been lost, moved or acquired by others since. */
static bool part_usable(const struct share_fetch_part *part)
{
    return part->buffer && part->log && part->part && part->part->ready &&
           part->log->start_offset <= part->read.offset &&
           part->read.offset <= part->part->partition.end;
}

static void topics_gather(
    struct share_fetch *fetch, struct share_fetch_response_share_fetchable_topic_response *topics)
{
    struct share_fetch_response *answer = fetch->request->answer;
    const struct uuid *last = NULL;
    bool first = body_of(fetch)->share_session_epoch == SHARE_SESSION_FIRST; /* tells them all */
    size_t kept = 0;
    answer->responses = topics;
    for (size_t i = 0; i < fetch->part_count; i++) {
        struct share_fetch_part *part = &fetch->parts[i];
        if (!first && !part->said && part->row->acquired_records_count == 0 &&
            !part->row->error_code)
            continue;
        if (!last || !uuid_equal(*last, part->topic)) {
            struct share_fetch_response_share_fetchable_topic_response *topic =
                &answer->responses[answer->responses_count++];
            topic->topic_id = part->topic;
            topic->partitions = &fetch->rows[kept];
        }
        last = &part->topic;
        answer->responses[answer->responses_count - 1].partitions_count++;
        fetch->rows[kept++] = *part->row;
    }
}

static void fetch_finish(struct share_fetch *fetch)
{
    struct request *request = fetch->request;
    struct share_fetch_response_share_fetchable_topic_response *topics = answer_array(request,
        &share_fetch_response_share_fetchable_topic_response_table, (int32_t)fetch->part_count);
    if (!topics)
        return;
    topics_gather(fetch, topics);
    for (size_t i = 0; i < fetch->part_count; i++) {
        struct buffer *buffer = fetch->parts[i].buffer;
        fetch->parts[i].buffer = NULL;
        part_leave(&fetch->parts[i]);
        if (!buffer)
            continue;
        broker_answer_give(request->broker, buffer->capacity);
        request_hold(request, buffer);
    }
    request_finish(request);
}

static void fetch_refuse(struct share_fetch *fetch, int16_t code)
{
    struct share_fetch_response *answer = fetch->request->answer;
    buffers_drop(fetch);
    for (size_t i = 0; i < fetch->part_count; i++)
        part_leave(&fetch->parts[i]);
    answer->error_code = code;
    answer->error_message = answer_error_text(code);
    request_finish(fetch->request);
}

/* True: the fetch has ended. False: nothing was there to be had. */
static bool fetch_take(struct share_fetch *fetch, bool last)
{
    const struct share_fetch_request *body = body_of(fetch);
    struct shares *shares = broker_of(fetch)->shares;
    struct share_session *session = share_session_find(shares, body->group_id, body->member_id);
    int64_t left = body->max_records;
    if (fetch->part_count > 0 && (!session || session->owner != fetch->owner)) {
        fetch_refuse(fetch, KAFKA_ERROR_SHARE_SESSION_NOT_FOUND);
        return true;
    }
    for (size_t i = 0; i < fetch->part_count && left > 0; i++) {
        struct share_fetch_part *part = &fetch->parts[i];
        if (!part_usable(part))
            continue;
        if (!part_acquire(part, &left))
            return true;
        if (part->row->acquired_records_count > 0)
            share_session_served(session, part->topic, part->index);
    }
    if (left == body->max_records && !last)
        return false;
    fetch_finish(fetch);
    return true;
}

/* ---- the stages ----------------------------------------------------------------------------- */

static bool fetch_is_late(const struct share_fetch *fetch)
{
    const struct broker *broker = broker_of(fetch);
    return fetch->at_once || broker->stopping || fetch->part_count == 0 ||
           clock_monotonic_ns(broker->doors->clock) >= fetch->deadline_ns;
}

static bool fetch_has_enough(const struct share_fetch *fetch)
{
    return fetch->total > 0 &&
           (fetch->total >= bytes_wanted(fetch) || fetch->records >= body_of(fetch)->max_records);
}

static void fetch_step(struct share_fetch *fetch)
{
    for (;;) {
        switch (fetch->stage) {
        case STAGE_LOOK:
            buffers_drop(fetch);
            fetch_look(fetch);
            fetch->stage = STAGE_READ;
            break;
        case STAGE_READ:
            if (!fetch_read(fetch))
                return;
            fetch->stage = STAGE_JUDGE;
            break;
        case STAGE_JUDGE:
            if (!fetch_is_late(fetch) && !fetch_has_enough(fetch)) {
                fetch_wait(fetch, fetch->deadline_ns);
                return;
            }
            fetch->stage = STAGE_TAKE;
            break;
        case STAGE_TAKE:
            if (fetch_take(fetch, fetch_is_late(fetch)))
                return;
            fetch->stage = STAGE_LOOK;
            if (++fetch->rounds < ROUNDS_MAX)
                break;
            fetch_wait(fetch, 0); /* at once, but in another turn */
            return;
        }
    }
}

static void fetch_cancel(struct request *request)
{
    struct share_fetch *fetch = request->state;
    waiters_leave(fetch);
    if (fetch->reading) {
        struct share_fetch_part *part = &fetch->parts[fetch->next];
        log_read_cancel(&part->read);
        broker_answer_give(request->broker, part->read.max_bytes);
    }
    buffers_drop(fetch);
    for (size_t i = 0; i < fetch->part_count; i++)
        part_leave(&fetch->parts[i]);
}

/* ---- the request ---------------------------------------------------------------------------- */

static struct share_fetch_part *part_named(
    const struct share_fetch *fetch, struct uuid topic, int32_t index)
{
    for (size_t i = 0; i < fetch->part_count; i++)
        if (fetch->parts[i].index == index && uuid_equal(fetch->parts[i].topic, topic))
            return &fetch->parts[i];
    return NULL;
}

static struct share_fetch_part *part_add(
    struct share_fetch *fetch, struct uuid topic, int32_t index)
{
    struct share_fetch_part *part = part_named(fetch, topic, index);
    if (part)
        return part;
    part = &fetch->parts[fetch->part_count];
    part->fetch = fetch;
    part->topic = topic;
    part->index = index;
    part->row = &fetch->rows[fetch->part_count++];
    part->row->partition_index = index;
    part->row->records = (struct records){ .data = no_records };
    part->waiter.wake = part_woken;
    list_init(&part->waiter.link);
    return part;
}

/* Room for what the session wants and what the request names. False: the request has failed. */
static bool parts_create(struct share_fetch *fetch, const struct share_session *session)
{
    const struct share_fetch_request *body = body_of(fetch);
    size_t most = session ? session->part_count : 0;
    for (int32_t t = 0; t < body->topics_count; t++)
        most += (size_t)body->topics[t].partitions_count;
    fetch->parts = request_alloc(fetch->request, (most + 1) * sizeof(*fetch->parts));
    if (!fetch->parts)
        return false;
    fetch->wait_logs = request_alloc(fetch->request, (most + 1) * sizeof(*fetch->wait_logs));
    if (!fetch->wait_logs)
        return false;
    fetch->rows =
        answer_array(fetch->request, &share_fetch_response_partition_data_table, (int32_t)most);
    return fetch->rows != NULL;
}

static bool partition_say(struct share_fetch *fetch, const struct share_session *session,
    struct uuid topic, const struct share_fetch_request_fetch_partition *from)
{
    struct share_ack *acks =
        share_request_acks(fetch->request, from->acknowledgement_batches_count);
    if (!acks)
        return false;
    for (int32_t i = 0; i < from->acknowledgement_batches_count; i++) {
        const struct share_fetch_request_acknowledgement_batch *batch =
            &from->acknowledgement_batches[i];
        acks[i] = (struct share_ack){ batch->first_offset, batch->last_offset,
            batch->acknowledge_types, batch->acknowledge_types_count };
    }
    struct share_said said = { topic, from->partition_index, acks,
        (size_t)from->acknowledgement_batches_count, body_of(fetch)->is_renew_ack };
    struct share_fetch_part *part = part_add(fetch, topic, from->partition_index);
    part->said = true;
    part->row->acknowledge_error_code = share_request_say(fetch->request, session, &said);
    if (part->row->acknowledge_error_code)
        part->row->acknowledge_error_message = answer_error_text(part->row->acknowledge_error_code);
    return true;
}

/* What is said of records comes first. False: the request has failed. */
static bool topics_say(struct share_fetch *fetch, const struct share_session *session)
{
    const struct share_fetch_request *body = body_of(fetch);
    for (int32_t t = 0; t < body->topics_count; t++)
        for (int32_t p = 0; p < body->topics[t].partitions_count; p++) {
            const struct share_fetch_request_fetch_partition *partition =
                &body->topics[t].partitions[p];
            if (partition->acknowledgement_batches_count > 0 &&
                !partition_say(fetch, session, body->topics[t].topic_id, partition))
                return false;
        }
    return true;
}

static bool says_anything(const struct share_fetch_request *body)
{
    for (int32_t t = 0; t < body->topics_count; t++)
        for (int32_t p = 0; p < body->topics[t].partitions_count; p++)
            if (body->topics[t].partitions[p].acknowledgement_batches_count > 0)
                return true;
    return false;
}

/* What was said is in memory: once it is in the ring, fetch. */
static void fetch_begin(struct request *request)
{
    struct share_fetch *fetch = request->state;
    int status = shares_save(request->broker->shares);
    if (status == -EAGAIN) {
        request_park(request, fetch_begin);
        return;
    }
    for (size_t i = 0; status && i < fetch->part_count; i++)
        if (fetch->parts[i].said && !fetch->parts[i].row->acknowledge_error_code)
            fetch->parts[i].row->acknowledge_error_code = KAFKA_ERROR_KAFKA_STORAGE_ERROR;
    if (says_anything(request->body))
        request_depends(request, storage_appended(request->broker->storage));
    const struct share_fetch_request *body = request->body;
    if (body->share_session_epoch == SHARE_SESSION_FINAL || body->is_renew_ack ||
        body->max_records <= 0 || body->max_bytes <= 0) {
        fetch_finish(fetch); /* it only says something */
        return;
    }
    fetch_step(fetch);
}

/* What the request names joins the session, or leaves it. False: too many. */
static bool session_change(struct request *request, struct share_session *session)
{
    const struct share_fetch_request *body = request->body;
    struct shares *shares = request->broker->shares;
    for (int32_t t = 0; t < body->topics_count; t++)
        for (int32_t p = 0; p < body->topics[t].partitions_count; p++)
            if (!share_session_add(shares, session, body->topics[t].topic_id,
                    body->topics[t].partitions[p].partition_index))
                return false;
    for (int32_t t = 0; t < body->forgotten_topics_data_count; t++)
        for (int32_t p = 0; p < body->forgotten_topics_data[t].partitions_count; p++)
            share_session_forget(shares, session, body->forgotten_topics_data[t].topic_id,
                body->forgotten_topics_data[t].partitions[p]);
    return true;
}

/* Who only asks for more time asks for nothing else. */
static bool renews_and_reads(const struct share_fetch_request *body)
{
    return body->is_renew_ack &&
           (body->max_bytes || body->min_bytes || body->max_records || body->max_wait_ms);
}

/* A session is of a share group: there must be one, be it an empty one. */
static int16_t group_check(struct request *request)
{
    const struct share_fetch_request *body = request->body;
    struct coordinator *coordinator = request->broker->coordinator;
    struct group *base = coordinator_group(coordinator, body->group_id);
    bool fresh = !base;
    if (fresh)
        base = coordinator_group_make(coordinator, body->group_id, GROUP_SHARE);
    if (!base)
        return KAFKA_ERROR_SHARE_SESSION_LIMIT_REACHED;
    if (!share_group_of(base))
        return KAFKA_ERROR_INVALID_REQUEST;
    return fresh ? group_persist(base) : KAFKA_ERROR_NONE;
}

/* NULL and why. */
static struct share_session *session_of(struct request *request, int16_t *ret_code)
{
    const struct share_fetch_request *body = request->body;
    struct shares *shares = request->broker->shares;
    struct share_session *session;
    if (!share_request_named(body->group_id, body->member_id) || !group_id_valid(body->group_id) ||
        body->member_id.len > GROUP_MEMBER_ID_SIZE ||
        (body->share_session_epoch == SHARE_SESSION_FIRST && says_anything(body)) ||
        renews_and_reads(body)) {
        *ret_code = KAFKA_ERROR_INVALID_REQUEST;
        return NULL;
    }
    if (body->share_session_epoch != SHARE_SESSION_FIRST) {
        session = share_request_enter(
            request, body->group_id, body->member_id, body->share_session_epoch, ret_code);
    } else {
        *ret_code = group_check(request);
        if (*ret_code)
            return NULL;
        *ret_code = KAFKA_ERROR_SHARE_SESSION_LIMIT_REACHED;
        session = share_session_open(shares, body->group_id, body->member_id, request->connection);
    }
    if (session && body->share_session_epoch != SHARE_SESSION_FINAL &&
        !session_change(request, session)) {
        share_session_close(shares, session);
        *ret_code = KAFKA_ERROR_SHARE_SESSION_LIMIT_REACHED;
        return NULL;
    }
    return session;
}

void handle_share_fetch(struct request *request)
{
    const struct share_fetch_request *body = request->body;
    struct share_fetch_response *answer = request->answer;
    struct broker *broker = request->broker;
    struct share_fetch *fetch = request_alloc(request, sizeof(*fetch));
    int16_t code;
    if (!fetch)
        return;
    fetch->request = request;
    fetch->hungry.room = room_again;
    list_init(&fetch->hungry.link);
    struct share_session *session = session_of(request, &code);
    if (!session) {
        fetch_refuse(fetch, code);
        return;
    }
    bool final = body->share_session_epoch == SHARE_SESSION_FINAL;
    fetch->owner = session->owner;
    fetch->isolation = share_config_isolation(broker, body->group_id);
    fetch->deadline_ns = clock_monotonic_ns(broker->doors->clock) +
                         (body->max_wait_ms > 0 ? body->max_wait_ms : 0) * CLOCK_NS_PER_MS;
    answer->acquisition_lock_timeout_ms = share_config_lock_ms(broker, body->group_id);
    request->state = fetch;
    request->cancel = fetch_cancel;
    if (!parts_create(fetch, final ? NULL : session) || !topics_say(fetch, session))
        return;
    if (final)
        share_session_close(broker->shares, session);
    else
        list_foreach (node, &session->parts) {
            struct share_session_part *part = list_entry(node, struct share_session_part, link);
            part_add(fetch, part->topic, part->index);
        }
    fetch_begin(request);
}
