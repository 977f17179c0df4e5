/*
 * handle_fetch.c - Fetch, versions 4 to 18.
 *
 *                  ┌───────────── enough has come, or the deadline ◀───────────┐
 *                  ▼                                                           │
 *   request ──▶ LOOK ──▶ READ ──cold reads done──▶ JUDGE ──not enough yet──▶ WAIT
 *           checks, one     in request order;        │
 *           row each        within the limits        └──▶ answer (holds the buffers, copies
 * nothing)
 *
 * LOOK answers each partition from the state of now: unknown, fenced (KIP-320), diverged (KIP-595's
 * LastFetchedEpoch), out of range, or what there is to read. READ takes batches below the high
 * watermark, or the last stable offset for read_committed. JUDGE answers if there is an error, a
 * divergence, min_bytes, or no time left. A wait gives the buffers back and looks anew, so it holds
 * no memory and sees topics come and go.
 *
 * Limits. Partitions are served in the order of the request. max_bytes (at most fetch.max.bytes and
 * what the broker has left for answers) holds for all, partition_max_bytes for each, and yet the
 * first partition that has anything gets one whole batch, however large. Cold reads run side by
 * side; each reserves its limit of max_bytes until it is known how much it took. If the batch that
 * had to come did not (its range cannot be read), those that got nothing are asked again.
 * Everything promised or read counts in memory.answers from here until it was sent. Where little
 * is left of that share, batches that are small are read for a client that reads; else the fetch
 * waits for it, and answers with no records when its time is up.
 *
 * Readers of committed data get the aborted transactions of what they are given (by producer, with
 * their first offset) and drop those batches themselves.
 *
 * Sessions (KIP-227, sessions.h). A full fetch wants what it names, and may get a session; one
 * within a session wants what that holds, with the changes that it names. What is wanted is copied
 * at the beginning, so nothing happens to a fetch that waits when its session goes: the answer then
 * tells everything and that there is no session. Otherwise it tells what is news. The rack means
 * nothing here; there is no other replica to prefer.
 */
#include <errno.h>
#include <string.h>

#include "broker/answer.h"
#include "broker/api.h"
#include "broker/broker.h"
#include "broker/partition.h"
#include "broker/sessions.h"
#include "broker/waits.h"
#include "protocol/batch.h"
#include "protocol/messages.h"

struct fetch_part {
    struct fetch *fetch;
    const struct session_want *want;
    const struct fetch_request_partition *asked; /* of want */
    struct fetch_response_partition_data *row;
    struct log *log;      /* of this look; NULL: nothing to read or to wait for */
    struct uuid topic_id; /* of the log's topic, to find it again: see logs_again */
    struct log_read read;
    bool first;            /* of its topic in the request */
    bool reading, refused; /* refused: there is something, but it did not fit */
    struct buffer *buffer;
};

enum fetch_kind {
    FETCH_ALONE,  /* no session */
    FETCH_FIRST,  /* full; a session may be made */
    FETCH_WITHIN, /* within the session that the request names */
};

struct fetch {
    struct request *request;
    enum fetch_kind kind;
    int32_t session_epoch;      /* FETCH_WITHIN: that of the session while nobody else used it */
    struct session_want *wants; /* by part */
    struct fetch_response_partition_data *rows; /* by part, until answer_build */
    struct fetch_part *parts;
    size_t part_count, next;       /* parts before next have been read or are being */
    size_t limit, total, reserved; /* bytes of this look: allowed, read, promised to cold reads */
    size_t reading;                /* cold reads under way */
    bool one_promised;             /* a batch of any size is coming, or has come */
    bool at_once;                  /* an error or divergence: answer without waiting */
    bool starved;                  /* there is something to read, and memory for little at most */
    int64_t deadline_ns;
    struct wait wait;
    struct wait_log *wait_logs;
    struct answer_waiter hungry;
};

static void fetch_read(struct fetch *fetch);

static const uint8_t no_records[1];

/* ---- LOOK ---------------------------------------------------------------------------------- */

static void row_refuse(struct fetch_part *part, int16_t code)
{
    struct fetch_response_partition_data *row = part->row;
    row->error_code = code;
    row->high_watermark = row->last_stable_offset = row->log_start_offset = -1;
    row->aborted_transactions_count = -1;
    part->fetch->at_once = true;
    part->log = NULL;
}

/* There is no such log. Kafka's list of aborted transactions is empty then, and not null. */
static void row_miss(struct fetch_part *part, int16_t code)
{
    row_refuse(part, code);
    part->row->aborted_transactions_count = 0;
}

/* Whether the log that the client read so far is not ours (12+); then the row says from where. */
static bool row_diverges(struct fetch_part *part, const struct log *log)
{
    int32_t asked = part->asked->last_fetched_epoch, epoch;
    int64_t end;
    if (asked < 0)
        return false;
    log_epoch_end(log, asked, &epoch, &end);
    if (epoch < 0 || end < 0) {
        row_refuse(part, KAFKA_ERROR_OFFSET_OUT_OF_RANGE);
        return true;
    }
    if (epoch >= asked && end >= part->asked->fetch_offset)
        return false;
    part->row->diverging_epoch.epoch = epoch;
    part->row->diverging_epoch.end_offset = end;
    part->fetch->at_once = true;
    return true;
}

static void row_leader(struct fetch_part *part, const struct log *log)
{
    if (part->fetch->request->version < 16)
        return;
    part->row->current_leader.leader_id = part->fetch->request->broker->config->node_id;
    part->row->current_leader.leader_epoch = log->leader_epoch;
}

/* The broker that fetches, to hold a copy; below 0: a client. */
static int32_t follower(const struct request *request)
{
    const struct fetch_request *body = request->body;
    return request->version < 15 ? body->replica_id : body->replica_state.replica_id;
}

static void look_at_log(struct fetch_part *part, struct log *log)
{
    const struct fetch_request *body = part->fetch->request->body;
    struct fetch_response_partition_data *row = part->row;
    int32_t epoch = part->asked->current_leader_epoch;
    int16_t code = epoch < 0 ? KAFKA_ERROR_NONE : partition_check_epoch(log, epoch);
    if (code) {
        row_refuse(part, code);
        if (code == KAFKA_ERROR_FENCED_LEADER_EPOCH)
            row_leader(part, log);
        return;
    }
    if (follower(part->fetch->request) >= 0) { /* a broker of another cluster: none has copies */
        row_refuse(part, KAFKA_ERROR_NOT_LEADER_OR_FOLLOWER);
        row_leader(part, log);
        return;
    }
    row->high_watermark = log->high_watermark;
    row->last_stable_offset = log->last_stable_offset;
    row->log_start_offset = log->start_offset;
    if (body->isolation_level == ISOLATION_READ_COMMITTED)
        row->aborted_transactions_count = 0; /* filled when there are records */
    if (row_diverges(part, log))
        return;
    if (part->asked->fetch_offset < log->start_offset ||
        part->asked->fetch_offset > log->end_offset) {
        row_refuse(part, KAFKA_ERROR_OFFSET_OUT_OF_RANGE);
        return;
    }
    part->log = log;
    part->topic_id = log->topic->id;
}

static bool same_topic(const struct session_want *a, const struct session_want *b)
{
    return uuid_equal(a->topic_id, b->topic_id) && bytes_equal(a->topic, b->topic);
}

static void look_at(struct fetch_part *part, struct topic *topic)
{
    bool by_id = part->fetch->request->version >= 13;
    struct log *log = topic ? topic_log(topic, part->asked->partition) : NULL;
    struct_defaults(&fetch_response_partition_data_table, part->row);
    part->row->partition_index = part->asked->partition;
    part->row->aborted_transactions_count = -1;
    part->row->records = (struct records){ .data = no_records };
    part->log = NULL;
    part->refused = false;
    if (log)
        look_at_log(part, log);
    else
        row_miss(part, !topic && by_id ? KAFKA_ERROR_UNKNOWN_TOPIC_ID
                                       : KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION);
}

static void fetch_look(struct fetch *fetch)
{
    const struct fetch_request *body = fetch->request->body;
    const struct broker_config *config = fetch->request->broker->config;
    int64_t limit = config->fetch_max_bytes < config->answers_bytes_max ? config->fetch_max_bytes
                                                                        : config->answers_bytes_max;
    struct topic *topic = NULL;
    if (limit > body->max_bytes)
        limit = body->max_bytes > 0 ? body->max_bytes : 0;
    fetch->limit = (size_t)limit;
    fetch->total = fetch->reserved = fetch->next = 0;
    fetch->one_promised = fetch->at_once = fetch->starved = false;
    for (size_t i = 0; i < fetch->part_count; i++) {
        const struct session_want *want = &fetch->wants[i];
        if (i == 0 || !same_topic(want, want - 1))
            topic = answer_topic(fetch->request, want->topic, &want->topic_id);
        look_at(&fetch->parts[i], topic);
    }
    fetch_read(fetch);
}

/* ---- the answer ---------------------------------------------------------------------------- */

static int64_t now_ms(const struct fetch *fetch)
{
    return clock_monotonic_ns(fetch->request->broker->doors->clock) / CLOCK_NS_PER_MS;
}

/* After a full fetch: a session for what it wants, if there is room. */
static void session_begin(struct fetch *fetch)
{
    struct fetch_response *answer = fetch->request->answer;
    struct sessions *sessions = &fetch->request->broker->sessions;
    struct session *session =
        session_create(sessions, fetch->request->version >= 13, fetch->part_count, now_ms(fetch));
    for (size_t i = 0; session && i < fetch->part_count; i++) {
        struct session_part *part = session_want(sessions, session, &fetch->wants[i]);
        if (part) {
            session_note(part, &fetch->rows[i]);
        } else {
            session_remove(sessions, session);
            session = NULL;
        }
    }
    answer->session_id = session ? session->id : SESSION_NONE;
}

/* Marks the rows that are no news; false: the session is somebody else's by now, and says so. */
static bool session_select(struct fetch *fetch, bool *told)
{
    const struct fetch_request *body = fetch->request->body;
    struct fetch_response *answer = fetch->request->answer;
    struct session *session = session_find(&fetch->request->broker->sessions, body->session_id);
    if (!session)
        return true; /* it went: everything is told, and that there is none */
    answer->session_id = session->id;
    if (session->epoch != fetch->session_epoch) {
        answer->error_code = KAFKA_ERROR_INVALID_FETCH_SESSION_EPOCH;
        return false;
    }
    for (size_t i = 0; i < fetch->part_count; i++) {
        struct session_part *part = session_part(session, &fetch->wants[i]);
        told[i] = part && session_tell(session, part, &fetch->rows[i]);
    }
    return true;
}

/* Whether the row goes to another topic's rows than the one told before it. */
static bool begins_topic(const struct fetch *fetch, size_t index, const struct session_want *last)
{
    if (fetch->kind != FETCH_WITHIN)
        return fetch->parts[index].first; /* as the request has it, repetitions too */
    return !last || !same_topic(last, &fetch->wants[index]);
}

/* The rows that are told, by topic, in order. False: the request has failed. */
static bool rows_gather(struct fetch *fetch, const bool *told)
{
    struct fetch_response *answer = fetch->request->answer;
    struct fetch_response_fetchable_topic_response *topic = NULL;
    const struct session_want *last = NULL;
    int32_t topic_count = 0;
    size_t kept = 0;
    for (size_t i = 0; i < fetch->part_count; i++) {
        if (!told[i])
            continue;
        topic_count += begins_topic(fetch, i, last);
        last = &fetch->wants[i];
    }
    answer->responses =
        answer_array(fetch->request, &fetch_response_fetchable_topic_response_table, topic_count);
    if (!answer->responses)
        return false;
    last = NULL;
    for (size_t i = 0; i < fetch->part_count; i++) {
        if (!told[i])
            continue;
        if (!topic || begins_topic(fetch, i, last)) {
            topic = &answer->responses[answer->responses_count++];
            topic->topic = fetch->wants[i].topic;
            topic->topic_id = fetch->wants[i].topic_id;
            topic->partitions = &fetch->rows[kept];
        }
        last = &fetch->wants[i];
        fetch->rows[kept++] = fetch->rows[i];
        topic->partitions_count++;
    }
    return true;
}

/* False: the request has failed. */
static bool answer_build(struct fetch *fetch)
{
    bool *told = request_alloc(fetch->request, fetch->part_count);
    if (!told)
        return false;
    memset(told, true, fetch->part_count);
    if (fetch->kind == FETCH_FIRST)
        session_begin(fetch);
    if (fetch->kind == FETCH_WITHIN && !session_select(fetch, told))
        return true;
    return rows_gather(fetch, told);
}

/* ---- JUDGE and WAIT ------------------------------------------------------------------------ */

static void buffers_drop(struct fetch *fetch)
{
    for (size_t i = 0; i < fetch->part_count; i++) {
        struct buffer *buffer = fetch->parts[i].buffer;
        if (buffer)
            broker_answer_give(fetch->request->broker, buffer->capacity);
        buffer_unref(buffer);
        fetch->parts[i].buffer = NULL;
    }
}

/* Versions 16 and up tell a fenced client where the leader is; a broker knows. */
static void endpoints_fill(struct fetch *fetch)
{
    struct request *request = fetch->request;
    struct fetch_response *answer = request->answer;
    bool any = false;
    for (size_t i = 0; i < fetch->part_count; i++)
        any |= fetch->parts[i].row->current_leader.leader_id >= 0;
    if (!any || follower(request) >= 0)
        return;
    answer->node_endpoints = answer_array(request, &fetch_response_node_endpoint_table, 1);
    if (!answer->node_endpoints)
        return;
    answer->node_endpoints_count = 1;
    answer->node_endpoints->node_id = request->broker->config->node_id;
    answer->node_endpoints->host = request_advertised_host(request);
    answer->node_endpoints->port = request_advertised_port(request);
    if (request->broker->config->rack)
        answer->node_endpoints->rack = bytes_text(request->broker->config->rack);
}

struct aborted_rows {
    struct fetch_response_aborted_transaction *rows; /* NULL: only counted */
    int32_t count;
};

static bool aborted_row(void *context, const struct aborted_transaction *aborted)
{
    struct aborted_rows *rows = context;
    if (rows->rows)
        rows->rows[rows->count] =
            (struct fetch_response_aborted_transaction){ .producer_id = aborted->producer_id,
                .first_offset = aborted->first_offset };
    rows->count++;
    return true;
}

/* Behind the last record of a run of whole batches. */
static int64_t end_of(const struct buffer *buffer)
{
    int64_t end = 0;
    (void)batch_run_end(bytes_of(buffer->data, buffer->len), &end);
    return end;
}

/* The aborted transactions of the records. If the log lost its beginning while they were read, so
 * did its list: then they are not told at all. False: the request has failed. */
static bool aborted_fill(struct fetch_part *part)
{
    struct request *request = part->fetch->request;
    struct fetch_response_partition_data *row = part->row;
    struct aborted_rows rows = { 0 };
    int64_t from = part->asked->fetch_offset, below;
    if (!part->buffer)
        return true;
    if (!part->log || part->log->start_offset > from) {
        row->records = (struct records){ .data = no_records };
        return true;
    }
    below = end_of(part->buffer);
    log_each_aborted(part->log, from, below, aborted_row, &rows);
    if (rows.count == 0)
        return true;
    rows.rows = answer_array(request, &fetch_response_aborted_transaction_table, rows.count);
    if (!rows.rows)
        return false;
    rows.count = 0;
    log_each_aborted(part->log, from, below, aborted_row, &rows);
    row->aborted_transactions = rows.rows;
    row->aborted_transactions_count = rows.count;
    return true;
}

static void fetch_finish(struct fetch *fetch)
{
    const struct fetch_request *body = fetch->request->body;
    if (body->isolation_level == ISOLATION_READ_COMMITTED) {
        for (size_t i = 0; i < fetch->part_count; i++)
            if (!aborted_fill(&fetch->parts[i]))
                return;
    }
    endpoints_fill(fetch);
    for (size_t i = 0; i < fetch->part_count; i++) {
        struct buffer *buffer = fetch->parts[i].buffer;
        fetch->parts[i].buffer = NULL;
        if (!buffer)
            continue;
        broker_answer_give(fetch->request->broker, buffer->capacity);
        request_hold(fetch->request, buffer);
    }
    if (answer_build(fetch))
        request_finish(fetch->request);
}

static void wait_over(struct wait *wait)
{
    struct fetch *fetch = container_of(wait, struct fetch, wait);
    list_remove(&fetch->hungry.link);
    fetch_look(fetch);
}

static void room_again(struct answer_waiter *waiter)
{
    struct fetch *fetch = container_of(waiter, struct fetch, hungry);
    wait_end(&fetch->wait);
    fetch_look(fetch);
}

/* Until there is memory for an answer, or the deadline. */
static void fetch_hunger(struct fetch *fetch)
{
    struct broker *broker = fetch->request->broker;
    wait_begin(&fetch->wait, broker->doors->timers, NULL, 0, wait_over);
    wait_arm(&fetch->wait, 0, fetch->deadline_ns);
    broker_answer_wait(broker, &fetch->hungry);
}

static uint64_t bytes_wanted(const struct fetch *fetch)
{
    const struct fetch_request *body = fetch->request->body;
    uint64_t wanted = body->min_bytes > 0 ? (uint64_t)body->min_bytes : 0;
    uint64_t possible = fetch->limit > 0 ? fetch->limit : 1; /* one batch comes all the same */
    return wanted < possible ? wanted : possible;
}

static void fetch_wait(struct fetch *fetch)
{
    struct request *request = fetch->request;
    const struct fetch_request *body = request->body;
    if (!fetch->wait_logs)
        fetch->wait_logs = request_alloc(request, fetch->part_count * sizeof(*fetch->wait_logs));
    if (!fetch->wait_logs)
        return;
    uint64_t missing = bytes_wanted(fetch) - fetch->total;
    buffers_drop(fetch);
    wait_begin(&fetch->wait, request->broker->doors->timers, fetch->wait_logs,
        body->isolation_level, wait_over);
    for (size_t i = 0; i < fetch->part_count; i++)
        if (fetch->parts[i].log)
            wait_add(&fetch->wait, fetch->parts[i].log, fetch->parts[i].asked->fetch_offset);
    wait_arm(&fetch->wait, missing, fetch->deadline_ns);
}

/* Nothing was read although there is something: one of those that got nothing because of the limits
 * gets its batch. True if there was one. */
static bool read_refused(struct fetch *fetch)
{
    if (fetch->total > 0)
        return false;
    for (size_t i = 0; i < fetch->part_count; i++) {
        if (!fetch->parts[i].refused || !fetch->parts[i].log)
            continue;
        fetch->next = i;
        fetch->one_promised = false;
        return true;
    }
    return false;
}

static void fetch_judge(struct fetch *fetch)
{
    struct broker *broker = fetch->request->broker;
    if (!fetch->starved && read_refused(fetch)) {
        fetch_read(fetch);
        return;
    }
    bool late = clock_monotonic_ns(broker->doors->clock) >= fetch->deadline_ns;
    if (fetch->at_once || late || broker->stopping || fetch->part_count == 0 ||
        fetch->total >= bytes_wanted(fetch))
        fetch_finish(fetch);
    else if (fetch->starved && fetch->total == 0)
        fetch_hunger(fetch);
    else
        fetch_wait(fetch);
}

/* ---- READ ---------------------------------------------------------------------------------- */

static void part_take(struct fetch_part *part, int status)
{
    struct fetch *fetch = part->fetch;
    struct buffer *buffer = status ? NULL : part->read.buffer;
    if (part->read.at_least_one && !buffer)
        fetch->one_promised = false;
    if (status) {
        row_refuse(
            part, status == -ENOMEM ? KAFKA_ERROR_KAFKA_STORAGE_ERROR : request_error_of(status));
        return;
    }
    part->refused = !buffer && !part->read.at_least_one;
    if (!buffer)
        return;
    part->buffer = buffer;
    broker_answer_take(fetch->request->broker, buffer->capacity);
    part->row->records = (struct records){ .data = buffer->data, .len = buffer->len };
    fetch->total += buffer->len;
}

/* Cold reads take more than a turn, in which topics of other parts may have gone for good. */
static void logs_again(struct fetch *fetch)
{
    struct request *request = fetch->request;
    for (size_t i = 0; i < fetch->part_count; i++) {
        struct fetch_part *part = &fetch->parts[i];
        if (!part->log || part->reading)
            continue;
        if (answer_topic(request, bytes_of(NULL, 0), &part->topic_id))
            continue;
        if (part->buffer)
            part->log = NULL;
        else
            row_refuse(part, request->version >= 13 ? KAFKA_ERROR_UNKNOWN_TOPIC_ID
                                                    : KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION);
    }
}

static void part_done(struct log_read *read, int status)
{
    struct fetch_part *part = container_of(read, struct fetch_part, read);
    part->reading = false;
    part->fetch->reading--;
    part->fetch->reserved -= read->max_bytes;
    broker_answer_give(part->fetch->request->broker, read->max_bytes);
    part_take(part, status);
    logs_again(part->fetch);
    fetch_read(part->fetch);
}

/* False: what is left of the limit is promised to cold reads; go on when they are done. */
static bool part_read(struct fetch_part *part)
{
    struct fetch *fetch = part->fetch;
    const struct fetch_request *body = fetch->request->body;
    int64_t end = partition_visible_end(part->log, body->isolation_level);
    size_t used = fetch->total + fetch->reserved;
    size_t room = used < fetch->limit ? fetch->limit - used : 0;
    size_t left = broker_answer_room(fetch->request->broker);
    size_t most =
        part->asked->partition_max_bytes > 0 ? (size_t)part->asked->partition_max_bytes : 0;
    /* It may have moved since the look; what is told must cover what is shown. */
    request_depends(fetch->request, part->log->topic->lsn);
    part->row->high_watermark = part->log->high_watermark;
    part->row->last_stable_offset = part->log->last_stable_offset;
    if (part->asked->fetch_offset >= end)
        return true;
    bool small = left == 0;
    if (small && !fetch->one_promised && request_client_reads(fetch->request))
        left = broker_answer_small_room(fetch->request->broker);
    if (left == 0 && !fetch->one_promised) {
        fetch->starved = true;
        return true;
    }
    room = room < left ? room : left;
    if (room == 0 && fetch->one_promised) {
        part->refused = fetch->reading == 0;
        return fetch->reading == 0;
    }
    part->read = (struct log_read){ .log = part->log,
        .offset = part->asked->fetch_offset,
        .end_offset = end,
        .max_bytes = most < room ? most : room,
        .at_least_one = !fetch->one_promised && !small,
        .done = part_done };
    fetch->one_promised |= part->read.at_least_one;
    fetch->starved |= small;
    int error = log_read(fetch->request->broker->storage, &part->read);
    if (error == -EINPROGRESS) {
        part->reading = true;
        fetch->reading++;
        fetch->reserved += part->read.max_bytes;
        broker_answer_take(fetch->request->broker, part->read.max_bytes);
        return true;
    }
    part_take(part, error);
    return true;
}

static void fetch_read(struct fetch *fetch)
{
    while (fetch->next < fetch->part_count) {
        struct fetch_part *part = &fetch->parts[fetch->next];
        if (part->log && !part->buffer && !part->reading && !part_read(part))
            return;
        fetch->next++;
    }
    if (fetch->reading == 0)
        fetch_judge(fetch);
}

/* ---- the request --------------------------------------------------------------------------- */

static void fetch_cancel(struct request *request)
{
    struct fetch *fetch = request->state;
    wait_end(&fetch->wait);
    for (size_t i = 0; i < fetch->part_count; i++)
        if (fetch->parts[i].reading) {
            log_read_cancel(&fetch->parts[i].read);
            broker_answer_give(request->broker, fetch->parts[i].read.max_bytes);
        }
    list_remove(&fetch->hungry.link);
    buffers_drop(fetch);
}

/* A part for each that is wanted. False: the request has failed. */
static bool parts_create(struct fetch *fetch, size_t count)
{
    struct request *request = fetch->request;
    fetch->parts = request_alloc(request, count * sizeof(*fetch->parts));
    if (!fetch->parts)
        return false;
    fetch->rows = answer_array(request, &fetch_response_partition_data_table, (int32_t)count);
    if (!fetch->rows)
        return false;
    for (size_t i = 0; i < count; i++)
        fetch->parts[i] = (struct fetch_part){ .fetch = fetch,
            .want = &fetch->wants[i],
            .asked = &fetch->wants[i].asked,
            .row = &fetch->rows[i] };
    fetch->part_count = count;
    return true;
}

static struct session_want want_of(const struct request *request,
    const struct fetch_request_topic *topic, const struct fetch_request_partition *partition)
{
    bool by_id = request->version >= 13;
    return (struct session_want){ .topic = by_id ? bytes_of(NULL, 0) : topic->topic,
        .topic_id = by_id ? topic->topic_id : (struct uuid){ { 0 } },
        .asked = *partition };
}

/* What the request names. False: the request has failed (so below). */
static bool wants_named(struct fetch *fetch)
{
    struct request *request = fetch->request;
    const struct fetch_request *body = request->body;
    size_t count = 0, next = 0;
    for (int32_t t = 0; t < body->topics_count; t++)
        count += (size_t)body->topics[t].partitions_count;
    fetch->wants = request_alloc(request, count * sizeof(*fetch->wants));
    if (!fetch->wants)
        return false;
    for (int32_t t = 0; t < body->topics_count; t++)
        for (int32_t p = 0; p < body->topics[t].partitions_count; p++)
            fetch->wants[next++] =
                want_of(request, &body->topics[t], &body->topics[t].partitions[p]);
    if (!parts_create(fetch, count))
        return false;
    for (int32_t t = 0, part = 0; t < body->topics_count; t++) {
        if (body->topics[t].partitions_count > 0)
            fetch->parts[part].first = true;
        part += body->topics[t].partitions_count;
    }
    return true;
}

/* What the session holds. */
static bool wants_held(struct fetch *fetch, const struct session *session)
{
    struct request *request = fetch->request;
    size_t count = session->parts_by_key.count, next = 0;
    fetch->wants = request_alloc(request, count * sizeof(*fetch->wants));
    if (!fetch->wants)
        return false;
    list_foreach (node, &session->parts) {
        struct session_want *want = &fetch->wants[next++];
        *want = list_entry(node, struct session_part, link)->want;
        if (!want->topic.data)
            continue;
        if (next > 1 && bytes_equal(want->topic, want[-1].topic)) {
            want->topic = want[-1].topic;
            continue;
        }
        const char *name = answer_strdup(request, want->topic);
        if (!name)
            return false;
        want->topic = bytes_of(name, want->topic.len);
    }
    return parts_create(fetch, count);
}

/* The session with the changes that the request names, or NULL and why. */
static struct session *session_enter(struct fetch *fetch, int16_t *ret_code)
{
    const struct request *request = fetch->request;
    const struct fetch_request *body = request->body;
    struct sessions *sessions = &request->broker->sessions;
    struct session *session = session_find(sessions, body->session_id);
    if (!session || session->epoch != body->session_epoch) {
        *ret_code = session ? KAFKA_ERROR_INVALID_FETCH_SESSION_EPOCH
                            : KAFKA_ERROR_FETCH_SESSION_ID_NOT_FOUND;
        return NULL;
    }
    if (session->by_id != (request->version >= 13)) {
        *ret_code = KAFKA_ERROR_FETCH_SESSION_TOPIC_ID_ERROR;
        return NULL;
    }
    for (int32_t t = 0; t < body->topics_count; t++) {
        for (int32_t p = 0; p < body->topics[t].partitions_count; p++) {
            struct session_want want =
                want_of(request, &body->topics[t], &body->topics[t].partitions[p]);
            if (session_want(sessions, session, &want))
                continue;
            session_remove(sessions, session); /* it has outgrown the share of memory */
            *ret_code = KAFKA_ERROR_FETCH_SESSION_ID_NOT_FOUND;
            return NULL;
        }
    }
    for (int32_t t = 0; t < body->forgotten_topics_data_count; t++) {
        const struct fetch_request_forgotten_topic *forgotten = &body->forgotten_topics_data[t];
        for (int32_t p = 0; p < forgotten->partitions_count; p++)
            session_forget(sessions, session, forgotten->topic, &forgotten->topic_id,
                forgotten->partitions[p]);
    }
    return session;
}

/* Sets what the fetch wants. False: it is answered, or the request has failed. */
static bool fetch_plan(struct fetch *fetch)
{
    const struct fetch_request *body = fetch->request->body;
    struct fetch_response *answer = fetch->request->answer;
    struct sessions *sessions = &fetch->request->broker->sessions;
    struct session *session = NULL;
    if (body->session_epoch == SESSION_EPOCH_FIRST || body->session_epoch == SESSION_EPOCH_FINAL) {
        if (body->session_id != SESSION_NONE)
            session = session_find(sessions, body->session_id);
        if (session)
            session_remove(sessions, session);
        fetch->kind = body->session_epoch == SESSION_EPOCH_FIRST ? FETCH_FIRST : FETCH_ALONE;
        return wants_named(fetch);
    }
    session = session_enter(fetch, &answer->error_code);
    if (!session) {
        request_finish(fetch->request);
        return false;
    }
    if (!wants_held(fetch, session))
        return false;
    if (session->parts_by_key.count == 0) {
        session_remove(sessions, session); /* nothing is left to fetch in it */
        return true;
    }
    session_touch(sessions, session, now_ms(fetch));
    fetch->kind = FETCH_WITHIN;
    fetch->session_epoch = session->epoch;
    return true;
}

void handle_fetch(struct request *request)
{
    const struct fetch_request *body = request->body;
    struct fetch *fetch = request_alloc(request, sizeof(*fetch));
    if (!fetch)
        return;
    fetch->request = request;
    fetch->hungry.room = room_again;
    list_init(&fetch->hungry.link);
    if (!fetch_plan(fetch))
        return;
    int64_t wait_ms = body->max_wait_ms > 0 ? body->max_wait_ms : 0;
    fetch->deadline_ns =
        clock_monotonic_ns(request->broker->doors->clock) + wait_ms * CLOCK_NS_PER_MS;
    request->state = fetch;
    request->cancel = fetch_cancel;
    fetch_look(fetch);
}
