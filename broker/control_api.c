/*
 * control_api.c - what the paths of the control socket mean (control.h).
 *
 * Answers are built from what the broker's parts tell; nothing is kept here.
 */
#include <errno.h>
#include <unistd.h>

#include "broker/control.h"
#include "protocol/base/mem.h"

static json_t *status_listeners(const struct listeners *listeners)
{
    json_t *array = json_array();
    for (size_t i = 0; i < listeners->count; i++) {
        const struct listener *listener = &listeners->items[i];
        json_t *one = json_pack("{s:s, s:s, s:i, s:I}", "name", listener->config->name, "host",
            listener->config->host, "port", (int)listener->port, "connections",
            (json_int_t)listener->connections);
        (void)json_array_append_new(array, one); /* fails for want of memory only */
    }
    return array;
}

static json_t *status_storage(const struct storage *storage)
{
    struct storage_stats stats = storage_stats(storage);
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "topics",
        (json_int_t)storage_topic_count(storage), "partitions",
        (json_int_t)storage_log_count(storage), "batches", (json_int_t)stats.batches, "bytes",
        (json_int_t)stats.bytes, "wal_writes", (json_int_t)stats.wal_writes, "wal_syncs",
        (json_int_t)stats.wal_syncs, "writebacks", (json_int_t)stats.writebacks, "checkpoints",
        (json_int_t)stats.checkpoints, "replayed_records", (json_int_t)stats.replayed_records,
        "recovery_us", (json_int_t)(stats.recovery_ns / 1000));
}

static json_t *status_memory(const struct broker *broker)
{
    const struct broker_config *config = broker->config;
    return json_pack("{s:I, s:I, s:I, s:I}", "limit", (json_int_t)config->memory_limit, "frames",
        (json_int_t)broker->memory.frames, "requests", (json_int_t)broker->memory.requests,
        "answers", (json_int_t)broker->memory.answers);
}

static void answer_status(struct control *control, struct control_request *request)
{
    const struct broker *broker = control->broker;
    const struct broker_counters *counters = &broker->counters;
    int64_t up_ns = clock_monotonic_ns(broker->doors->clock) - control->started_ns;
    json_t *answer = json_pack("{s:s, s:i, s:s, s:s, s:s, s:i, s:I, s:o, s:I, s:o, s:o, s:o}",
        "version", MILLRACE_VERSION, "pid", (int)getpid(), "data", broker->config->log_dir, "disk",
        broker->doors->disk->table->name, "cluster_id", storage_cluster_id(broker->storage),
        "node_id", (int)broker->config->node_id, "up_ms", (json_int_t)(up_ns / CLOCK_NS_PER_MS),
        "listeners", status_listeners(control->listeners), "connections",
        (json_int_t)broker->connection_count, "counters",
        json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "connections",
            (json_int_t)counters->connections, "refused", (json_int_t)counters->refused, "requests",
            (json_int_t)counters->requests, "bytes_in", (json_int_t)counters->bytes_in, "bytes_out",
            (json_int_t)counters->bytes_out, "bad_frames", (json_int_t)counters->bad_frames),
        "storage", status_storage(broker->storage), "memory", status_memory(broker));
    if (answer)
        request->answer(request, 200, answer);
    else
        request->answer(request, 500, control_error("the status cannot be told as JSON"));
}

void control_handle(struct control *control, struct control_request *request)
{
    if (strcmp(request->path, "/v1/status") != 0)
        request->answer(request, 404, control_error("there is no %s", request->path));
    else if (strcmp(request->method, "GET") != 0)
        request->answer(
            request, 405, control_error("%s is not for %s", request->method, request->path));
    else
        answer_status(control, request);
}
