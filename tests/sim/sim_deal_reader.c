/*
 * A reader of committed data: fetches all partitions from their start on, drops what was aborted as
 * clients do (a list of the aborted per answer, markers take producers off it), and writes down
 * what is left. When it begins anew it must see the same at the same places. It asks for the
 * groups' offsets, too.
 */
#include <inttypes.h>
#include <string.h>

#include "broker/partition.h"
#include "protocol/base/mem.h"
#include "protocol/error.h"
#include "protocol/record.h"
#include "tests/sim/deals.h"

enum { PRODUCERS_MAX = 64, FETCH_LAST_VERSION = 12, FETCH_FIRST_VERSION = 4 };

struct reader_part {
    int64_t offset;
    size_t sights; /* seen since it began */
    bool at_end;   /* of everything, committed or not */
    struct {
        int64_t id;
        int16_t epoch;
    } producers[PRODUCERS_MAX]; /* newest epochs met in this log */
    size_t producer_count;
};

struct deal_reader {
    struct client client; /* first */
    bool waiting;
    bool again; /* an answer to what was asked before does not count */
    struct reader_part parts[DEAL_PARTS];
};

static struct deal_reader *reader_of_client(struct client *client)
{
    return container_of(client, struct deal_reader, client);
}

/* ---- what it sees -------------------------------------------------------------------------- */

static void check_epoch(struct deal_reader *r, int part, const struct batch_view *batch)
{
    struct reader_part *p = &r->parts[part];
    size_t i = 0;
    while (i < p->producer_count && p->producers[i].id != batch->producer_id)
        i++;
    CHECK(i < PRODUCERS_MAX);
    if (i == p->producer_count)
        p->producers[p->producer_count++].id = batch->producer_id;
    else if (batch->producer_epoch < p->producers[i].epoch)
        world_fail(r->client.world,
            "part %d offset %" PRId64 ": epoch %d of producer %" PRId64 " behind epoch %d", part,
            batch->base_offset, batch->producer_epoch, batch->producer_id, p->producers[i].epoch);
    p->producers[i].epoch = batch->producer_epoch;
}

static void see(struct deal_reader *r, int part, const struct batch_view *batch)
{
    struct world *w = r->client.world;
    struct deals *deals = deals_of(w);
    struct reader_part *p = &r->parts[part];
    struct record_reader records;
    struct record_view record;
    record_reader_init(&records, batch, batch->records);
    if (!record_next(&records, &record) || record.value.len < 8)
        world_fail(w, "part %d offset %" PRId64 ": not one of ours", part, batch->base_offset);
    struct sight sight = { batch->base_offset, le_get32(record.value.data),
        le_get32(record.value.data + 4) };
    if (sight.deal == 0 || sight.deal > deals->count)
        world_fail(w, "part %d offset %" PRId64 ": no such deal", part, batch->base_offset);
    struct deal *deal = &deals->deals[sight.deal - 1];
    if (deal->fate == DEAL_OPEN || deal->fate == DEAL_ABORTED)
        world_fail(w, "part %d offset %" PRId64 ": deal %" PRIu32 " was never committed", part,
            batch->base_offset, sight.deal);
    if (p->sights < deals->sight_count[part]) {
        const struct sight *before = &deals->sights[part][p->sights];
        if (memcmp(before, &sight, sizeof(sight)) != 0)
            world_fail(w,
                "part %d: deal %" PRIu32 " at %" PRId64 ", where another reader saw %" PRIu32
                " at %" PRId64,
                part, sight.deal, sight.offset, before->deal, before->offset);
    } else {
        if (sight.index != deal->seen[part] || sight.index >= deal->sent[part])
            world_fail(w,
                "part %d offset %" PRId64 ": batch %" PRIu32 " of deal %" PRIu32 ", after %" PRIu32
                " of %" PRIu32,
                part, sight.offset, sight.index, sight.deal, deal->seen[part], deal->sent[part]);
        deal->seen[part]++;
        mem_grow(deals->sights[part], &deals->sight_capacity[part], deals->sight_count[part] + 1);
        deals->sights[part][deals->sight_count[part]++] = sight;
    }
    p->sights++;
}

/* The producers whose batches are to be dropped, of one answer. */
struct dropping {
    const struct fetch_response_partition_data *row;
    bool *taken; /* entries of the list that have begun */
    int64_t ids[PRODUCERS_MAX];
    size_t count;
};

static void drop_from(struct dropping *dropping, int64_t offset)
{
    for (int32_t i = 0; i < dropping->row->aborted_transactions_count; i++) {
        if (dropping->taken[i] || dropping->row->aborted_transactions[i].first_offset > offset)
            continue;
        dropping->taken[i] = true;
        CHECK(dropping->count < PRODUCERS_MAX);
        dropping->ids[dropping->count++] = dropping->row->aborted_transactions[i].producer_id;
    }
}

static bool is_dropped(const struct dropping *dropping, int64_t id)
{
    for (size_t i = 0; i < dropping->count; i++)
        if (dropping->ids[i] == id)
            return true;
    return false;
}

static void drop_end(struct dropping *dropping, const struct batch_view *batch)
{
    struct control_marker marker;
    if (control_parse(batch, batch->records, &marker) || marker.type != CONTROL_ABORT)
        return;
    for (size_t i = 0; i < dropping->count; i++)
        if (dropping->ids[i] == batch->producer_id) {
            dropping->ids[i] = dropping->ids[--dropping->count];
            return;
        }
}

static void read_row(struct deal_reader *r, int part,
    const struct fetch_response_partition_data *row, int64_t sent_ns)
{
    struct world *w = r->client.world;
    struct reader_part *p = &r->parts[part];
    struct bytes run = records_bytes(row->records);
    struct batch_view batch;
    struct dropping dropping = { .row = row };
    if (row->error_code) {
        if (row->error_code != KAFKA_ERROR_KAFKA_STORAGE_ERROR || world_was_calm(w, sent_ns))
            world_fail(w, "part %d: %s", part, error_name(row->error_code));
        return;
    }
    dropping.taken = mem_zalloc((size_t)row->aborted_transactions_count + 1, sizeof(bool));
    while (run.len) {
        if (batch_next(&run, &batch) != BATCH_OK)
            world_fail(
                w, "part %d: %zu bytes that are no batch at %" PRId64, part, run.len, p->offset);
        if (batch.base_offset != p->offset || batch_last_offset(&batch) >= row->last_stable_offset)
            world_fail(w,
                "part %d: a batch from %" PRId64 " to %" PRId64 " at %" PRId64
                ", stable is %" PRId64,
                part, batch.base_offset, batch_last_offset(&batch), p->offset,
                row->last_stable_offset);
        p->offset = batch_last_offset(&batch) + 1;
        check_epoch(r, part, &batch);
        drop_from(&dropping, batch_last_offset(&batch));
        if (batch_is_control(&batch))
            drop_end(&dropping, &batch);
        else if (is_dropped(&dropping, batch.producer_id))
            deals_of(w)->counts->aborted_skipped++;
        else
            see(r, part, &batch);
    }
    p->at_end = p->offset == row->high_watermark;
    mem_free(dropping.taken);
}

static void fetched(struct client *client, struct call *call, void *body)
{
    struct deal_reader *r = reader_of_client(client);
    const struct fetch_response *answer = body;
    r->waiting = false;
    for (int32_t t = 0; answer && !r->again && t < answer->responses_count; t++) {
        int topic = 0;
        while (!bytes_equal_text(answer->responses[t].topic, deal_topics[topic]))
            topic++;
        for (int32_t p = 0; p < answer->responses[t].partitions_count; p++) {
            const struct fetch_response_partition_data *row = &answer->responses[t].partitions[p];
            read_row(r, topic * DEAL_PARTITIONS + row->partition_index, row, call->sent_ns);
        }
    }
    deals_of(client->world)->counts->reads += answer != NULL;
    mem_free(call);
}

static void ask_fetch(struct deal_reader *r)
{
    struct world *w = r->client.world;
    struct call *call = mem_zalloc(1, sizeof(*call));
    struct fetch_request request;
    codec_defaults(&fetch_request_message, &request);
    request.max_wait_ms = (int32_t)world_pick(w, 0, 300);
    request.min_bytes = 1;
    request.max_bytes = (int32_t)world_pick(w, 1, 20000);
    request.isolation_level = ISOLATION_READ_COMMITTED;
    request.topics = scratch_array(w, &fetch_request_topic_table, DEAL_TOPICS);
    request.topics_count = DEAL_TOPICS;
    int first = (int)random_below(&w->random, DEAL_TOPICS);
    for (int i = 0; i < DEAL_TOPICS; i++) {
        int topic = (first + i) % DEAL_TOPICS;
        struct fetch_request_topic *row = &request.topics[i];
        row->topic = bytes_text(deal_topics[topic]);
        row->partitions = scratch_array(w, &fetch_request_partition_table, DEAL_PARTITIONS);
        row->partitions_count = DEAL_PARTITIONS;
        for (int32_t p = 0; p < DEAL_PARTITIONS; p++) {
            row->partitions[p].partition = p;
            row->partitions[p].fetch_offset = r->parts[topic * DEAL_PARTITIONS + p].offset;
            row->partitions[p].partition_max_bytes = (int32_t)world_pick(w, 1, 8000);
        }
    }
    call->answered = fetched;
    r->waiting = true;
    client_send(&r->client, call, API_FETCH,
        (int16_t)world_pick(w, FETCH_FIRST_VERSION, FETCH_LAST_VERSION), &request, false);
}

/* ---- offsets ------------------------------------------------------------------------------- */

static uint32_t seen_in_all(const struct deal *deal)
{
    uint32_t seen = 0;
    for (int i = 0; i < DEAL_PARTS; i++)
        seen += deal->seen[i];
    return seen;
}

/* In the calm, when all was read: the newest deal that was seen. */
static int64_t newest_offset(const struct deals *deals, int id, int partition)
{
    for (size_t i = deals->count; i > 0; i--) {
        const struct deal *deal = &deals->deals[i - 1];
        if (deal->id == id && deal->offset_partition == partition && seen_in_all(deal))
            return (int64_t)i;
    }
    return -1;
}

struct offset_call {
    struct call call; /* first */
    int id;
    bool stable;
};

static void offset_told(struct client *client, struct call *call, void *body)
{
    struct deal_reader *r = reader_of_client(client);
    struct offset_call *asked = container_of(call, struct offset_call, call);
    struct world *w = client->world;
    struct deals *deals = deals_of(w);
    const struct offset_fetch_response *answer = body;
    bool all_read = sim_deal_reader_done(client);
    r->waiting = false;
    for (int32_t p = 0; answer && p < DEAL_PARTITIONS; p++) {
        const struct offset_fetch_response_partition *row = &answer->topics->partitions[p];
        if (row->error_code == KAFKA_ERROR_UNSTABLE_OFFSET_COMMIT && asked->stable) {
            deals->counts->unstable++;
            continue;
        }
        if (row->error_code)
            world_fail(w, "OffsetFetch: %s", error_name(row->error_code));
        int64_t offset = row->committed_offset;
        if (offset < 0 && !all_read)
            continue;
        if (offset == 0 || offset > (int64_t)deals->count ||
            (offset > 0 && (deals->deals[offset - 1].id != asked->id ||
                               deals->deals[offset - 1].offset_partition != p ||
                               deals->deals[offset - 1].fate == DEAL_OPEN ||
                               deals->deals[offset - 1].fate == DEAL_ABORTED)))
            world_fail(
                w, "group %d: the offset %" PRId64 " was never committed", asked->id, offset);
        if (w->quiet && all_read && offset != newest_offset(deals, asked->id, p))
            world_fail(w, "group %d partition %d: offset %" PRId64 ", but %" PRId64 " was seen",
                asked->id, p, offset, newest_offset(deals, asked->id, p));
    }
    mem_free(asked);
}

static void ask_offsets(struct deal_reader *r)
{
    static const char *const groups[DEAL_IDS] = { "group-0", "group-1", "group-2" };
    struct world *w = r->client.world;
    struct offset_call *asked = mem_zalloc(1, sizeof(*asked));
    struct offset_fetch_request request;
    asked->id = (int)random_below(&w->random, DEAL_IDS);
    asked->stable = w->quiet || world_chance(w, 1, 2);
    codec_defaults(&offset_fetch_request_message, &request);
    request.group_id = bytes_text(groups[asked->id]);
    request.topics = scratch_array(w, &offset_fetch_request_topic_table, 1);
    request.topics_count = 1;
    request.topics->name = bytes_text(deal_topics[0]);
    request.topics->partition_indexes = scratch_alloc(w, DEAL_PARTITIONS * sizeof(int32_t));
    for (int32_t p = 0; p < DEAL_PARTITIONS; p++)
        request.topics->partition_indexes[request.topics->partition_indexes_count++] = p;
    request.require_stable = asked->stable;
    asked->call.answered = offset_told;
    r->waiting = true;
    client_send(&r->client, &asked->call, API_OFFSET_FETCH, 7, &request, false);
}

/* ---- the role ------------------------------------------------------------------------------ */

static void step(struct client *client)
{
    struct deal_reader *r = reader_of_client(client);
    struct world *w = client->world;
    client_again(client, 20);
    if (r->waiting || !client_connect(client))
        return;
    if (r->again)
        memset(r->parts, 0, sizeof(r->parts));
    r->again = false;
    if (!storage_topic(w->broker->storage, bytes_text(deal_topics[DEAL_TOPICS - 1])))
        return; /* nobody has made them yet */
    if (world_chance(w, 1, w->quiet ? 2 : 10))
        ask_offsets(r);
    else
        ask_fetch(r);
}

static void lost(struct client *client)
{
    reader_of_client(client)->waiting = false;
}

static void destroy(struct client *client)
{
    client_done(client);
    mem_free(reader_of_client(client));
}

void sim_deal_reader_again(struct client *client)
{
    reader_of_client(client)->again = true;
}

bool sim_deal_reader_done(const struct client *client)
{
    const struct deal_reader *r = container_of_const(client, struct deal_reader, client);
    const struct deals *deals = deals_of(client->world);
    for (int i = 0; i < DEAL_PARTS; i++)
        if (r->again || !r->parts[i].at_end || r->parts[i].sights != deals->sight_count[i])
            return false;
    return true;
}

struct client *sim_deal_reader_create(struct world *world, int index)
{
    struct deal_reader *r = mem_zalloc(1, sizeof(*r));
    client_init(&r->client, world, "reader", index);
    r->client.step = step;
    r->client.lost = lost;
    r->client.destroy = destroy;
    return &r->client;
}
