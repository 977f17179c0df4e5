/*
 * The oracle's own consumer: reads every log from its start to its end, one after the other, and
 * then lets the ledger look at it as a whole (ledger_check). What it reads is compared on the way,
 * as with any consumer.
 */
#include <inttypes.h>

#include "protocol/base/mem.h"
#include "protocol/error.h"
#include "tests/sim/roles.h"

enum { VERSION_WITH_IDS = 13, AT_EARLIEST = -2, SCAN_BYTES = 1 << 18 };

struct sim_scanner {
    struct client client; /* first */
    bool running, waiting;
    struct ledger_log *log; /* that was asked about */
    size_t topic;
    int32_t partition;
    int64_t offset; /* -1: ask where the log begins */
    int64_t first, visible;
};

static struct sim_scanner *scanner_of(struct client *client)
{
    return container_of(client, struct sim_scanner, client);
}

static void next_log(struct sim_scanner *scanner)
{
    scanner->partition++;
    scanner->offset = -1;
}

/* The log to read, or NULL: all are read. */
static struct ledger_log *current(struct sim_scanner *scanner)
{
    const struct ledger *ledger = &scanner->client.world->ledger;
    for (; scanner->topic < ledger->topic_count; scanner->topic++, scanner->partition = 0) {
        struct ledger_topic *topic = ledger->topics[scanner->topic];
        if (topic->known && !topic->delete_sent && scanner->partition < topic->partitions)
            return &topic->logs[scanner->partition];
    }
    return NULL;
}

/* False: an error that may be: try again, or there is nothing to scan any more. */
static bool is_fine(
    struct client *client, const struct call *call, int16_t error, struct ledger_log *log)
{
    if (error == KAFKA_ERROR_UNKNOWN_TOPIC_ID || error == KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION) {
        ledger_miss(client->world, log->topic, call->sent);
        next_log(scanner_of(client));
        return false;
    }
    if (error &&
        (error != KAFKA_ERROR_KAFKA_STORAGE_ERROR || world_was_calm(client->world, call->sent_ns)))
        world_fail(client->world, "scan of %s: %s", ledger_name(log), error_name(error));
    return error == 0;
}

static void began(struct client *client, struct call *call, void *body)
{
    struct sim_scanner *scanner = scanner_of(client);
    const struct list_offsets_response *answer = body;
    struct ledger_log *log = scanner->log;
    scanner->waiting = false;
    if (answer && is_fine(client, call, answer->topics[0].partitions[0].error_code, log)) {
        scanner->offset = scanner->first = answer->topics[0].partitions[0].offset;
        ledger_start(client->world, log, 0, scanner->offset);
    }
    mem_free(call);
}

static void ask_start(struct sim_scanner *scanner, const struct ledger_log *log)
{
    struct world *w = scanner->client.world;
    struct call *call = mem_zalloc(1, sizeof(*call));
    struct list_offsets_request request;
    codec_defaults(&list_offsets_request_message, &request);
    request.replica_id = -1;
    request.topics_count = 1;
    request.topics = scratch_array(w, &list_offsets_request_topic_table, 1);
    request.topics->name = bytes_text(slots[log->topic->slot].name);
    request.topics->partitions_count = 1;
    request.topics->partitions = scratch_array(w, &list_offsets_request_partition_table, 1);
    request.topics->partitions->partition_index = log->partition;
    request.topics->partitions->timestamp = AT_EARLIEST;
    call->answered = began;
    client_send(&scanner->client, call, API_LIST_OFFSETS,
        client_version(&scanner->client, API_LIST_OFFSETS, 1), &request, false);
}

static void read_on(
    struct client *client, struct ledger_log *log, const struct fetch_response_partition_data *row)
{
    struct sim_scanner *scanner = scanner_of(client);
    struct world *w = client->world;
    struct bytes run = records_bytes(row->records);
    ledger_visible(w, log, scanner->visible, row->high_watermark);
    ledger_start(w, log, 0, row->log_start_offset);
    if (run.len == 0 && scanner->offset < row->high_watermark)
        world_fail(w, "scan of %s: nothing at %" PRId64 ", visible is %" PRId64, ledger_name(log),
            scanner->offset, row->high_watermark);
    while (run.len) {
        struct batch_view batch;
        if (batch_next(&run, &batch) != BATCH_OK || batch.base_offset != scanner->offset)
            world_fail(w, "scan of %s: no batch at %" PRId64, ledger_name(log), scanner->offset);
        ledger_shown(w, log, &batch);
        scanner->offset = batch_last_offset(&batch) + 1;
    }
    if (scanner->offset < row->high_watermark)
        return;
    /* Retention may have taken what it began with. */
    int64_t first = scanner->first < log->start ? log->start : scanner->first;
    ledger_check(w, log, first, scanner->offset);
    w->totals->scans++;
    next_log(scanner);
}

/* Nothing, since there was no memory for an answer: it asks again. */
static bool came_hungry(
    struct world *w, const struct call *call, const struct fetch_response_partition_data *row)
{
    return records_bytes(row->records).len == 0 && w->answers_short_ns >= call->sent_ns;
}

static void fetched(struct client *client, struct call *call, void *body)
{
    struct sim_scanner *scanner = scanner_of(client);
    const struct fetch_response *answer = body;
    struct ledger_log *log = scanner->log;
    scanner->waiting = false;
    if (answer) {
        const struct fetch_response_partition_data *row = &answer->responses[0].partitions[0];
        if (row->error_code == KAFKA_ERROR_OFFSET_OUT_OF_RANGE && log->topic->slot == SLOT_SHORT)
            scanner->offset = -1; /* it was deleted just now */
        else if (is_fine(client, call, row->error_code, log) &&
                 !came_hungry(client->world, call, row))
            read_on(client, log, row);
    }
    mem_free(call);
}

static void ask_more(struct sim_scanner *scanner, const struct ledger_log *log)
{
    struct world *w = scanner->client.world;
    struct call *call = mem_zalloc(1, sizeof(*call));
    struct fetch_request request;
    codec_defaults(&fetch_request_message, &request);
    request.max_bytes = SCAN_BYTES;
    request.topics_count = 1;
    request.topics = scratch_array(w, &fetch_request_topic_table, 1);
    request.topics->topic_id = log->topic->id;
    request.topics->partitions_count = 1;
    request.topics->partitions = scratch_array(w, &fetch_request_partition_table, 1);
    request.topics->partitions->partition = log->partition;
    request.topics->partitions->fetch_offset = scanner->offset;
    request.topics->partitions->partition_max_bytes = SCAN_BYTES;
    call->answered = fetched;
    scanner->visible = log->visible;
    client_send(&scanner->client, call, API_FETCH,
        client_version(&scanner->client, API_FETCH, VERSION_WITH_IDS), &request, false);
}

static void step(struct client *client)
{
    struct sim_scanner *scanner = scanner_of(client);
    client_again(client, 2);
    if (!scanner->running || scanner->waiting || !client_connect(client))
        return;
    struct ledger_log *log = current(scanner);
    if (log != scanner->log)
        scanner->offset = -1;
    scanner->log = log;
    scanner->running = log != NULL;
    if (!log)
        return;
    scanner->waiting = true;
    if (scanner->offset < 0)
        ask_start(scanner, log);
    else
        ask_more(scanner, log);
}

static void lost(struct client *client)
{
    scanner_of(client)->offset = -1; /* the log from its start: it is another life */
}

static void destroy(struct client *client)
{
    client_done(client);
    mem_free(scanner_of(client));
}

void sim_scanner_begin(struct client *client)
{
    struct sim_scanner *scanner = scanner_of(client);
    scanner->running = true;
    scanner->topic = 0;
    scanner->partition = 0;
    scanner->offset = -1;
}

bool sim_scanner_done(const struct client *client)
{
    return !container_of_const(client, struct sim_scanner, client)->running;
}

struct client *sim_scanner_create(struct world *world, int index)
{
    struct sim_scanner *scanner = mem_zalloc(1, sizeof(*scanner));
    client_init(&scanner->client, world, "scanner", index);
    scanner->client.alone = true;
    scanner->client.step = step;
    scanner->client.lost = lost;
    scanner->client.destroy = destroy;
    return &scanner->client;
}
