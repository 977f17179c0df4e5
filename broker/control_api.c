/*
 * control_api.c - what the paths of the control socket mean (control.h).
 *
 * Answers are built from what the broker's parts tell; nothing is kept here.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "broker/control.h"
#include "processors/processors.h"
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

/* ---- processors: list ---- */

static json_t *text_or_null(const char *text)
{
    json_t *string = text ? json_string(text) : NULL; /* NULL too when it is not UTF-8 */
    return string ? string : json_null();
}

static json_t *texts(const char *const *items, size_t count)
{
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++)
        (void)json_array_append_new(array, text_or_null(items[i]));
    return array;
}

/* {"topic": {"0": 123}} */
static json_t *positions(const struct processors_info *info)
{
    json_t *object = json_object();
    for (size_t i = 0; i < info->position_count; i++) {
        const struct processors_position *one = &info->positions[i];
        char partition[16];
        json_t *topic = json_object_get(object, one->topic);
        if (!topic) {
            topic = json_object();
            (void)json_object_set_new(object, one->topic, topic);
        }
        (void)snprintf(partition, sizeof(partition), "%d", one->partition);
        (void)json_object_set_new(topic, partition, json_integer(one->position));
    }
    return object;
}

static json_t *metrics(const struct processors_info *info)
{
    json_t *object = json_object();
    for (size_t i = 0; i < info->metric_count; i++)
        (void)json_object_set_new(
            object, info->metrics[i].name, json_integer(info->metrics[i].value));
    return object;
}

static json_t *integer_unless(int64_t value, int64_t unknown)
{
    return value == unknown ? json_null() : json_integer(value);
}

static bool add_processor(void *context, const struct processors_info *info)
{
    json_t *one = json_pack("{s:o, s:o, s:s, s:o, s:o, s:o, s:o, s:o}", "name",
        text_or_null(info->name), "file", text_or_null(info->file), "state", info->state, "inputs",
        texts(info->inputs, info->input_count), "outputs", texts(info->outputs, info->output_count),
        "position", positions(info), "lag", integer_unless(info->lag, -1), "error",
        text_or_null(info->error));
    json_t *more = json_pack("{s:i, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o}", "tasks",
        (int)info->tasks, "watermark", integer_unless(info->watermark, INT64_MIN), "records",
        (json_int_t)info->records, "emitted", (json_int_t)info->emitted, "late",
        (json_int_t)info->late, "dropped", (json_int_t)info->dropped, "dead",
        (json_int_t)info->dead, "units", (json_int_t)info->units, "last_commit_ms",
        integer_unless(info->last_commit_ms, -1), "metrics", metrics(info));
    (void)json_object_update(one, more);
    json_decref(more);
    (void)json_array_append_new(context, one);
    return true;
}

static void list_processors(struct control *control, struct control_request *request)
{
    json_t *array = json_array();
    processors_each(control->broker->processors, add_processor, array);
    request->answer(request, 200, json_pack("{s:o}", "processors", array));
}

/* ---- processors: load, unload ---- */

static int http_of(int status)
{
    switch (status) {
    case -EINVAL:
    case -ENOEXEC: return 400;
    case -ENOENT: return 404;
    case -EEXIST:
    case -EBUSY: return 409;
    case -EMFILE:
    case -ESHUTDOWN: return 503;
    default: return 500;
    }
}

struct load_call {
    struct processors_load load;
    struct control_request *request;
};

static void load_done(struct processors_load *load, int status)
{
    struct load_call *call = container_of(load, struct load_call, load);
    struct control_request *request = call->request;
    if (status)
        request->answer(request, http_of(status),
            control_error("%s", load->error[0] ? load->error : strerror(-status)));
    else
        request->answer(request, 201, json_pack("{s:o}", "name", text_or_null(load->loaded_name)));
    mem_free(call);
}

/* The members of the body. NULL: all is well; else what is wrong. */
static const char *read_load(
    struct processors_load *load, const json_t *body, struct setting *settings)
{
    const json_t *name = json_object_get(body, "name");
    json_t *config = json_object_get(body, "config"), *value;
    const char *key;
    if (!json_is_object(body))
        return "an object with \"file\" is wanted";
    load->file = json_string_value(json_object_get(body, "file"));
    if (!load->file)
        return "\"file\" is wanted, the path of a .so";
    if (name && !json_is_null(name) && !json_is_string(name))
        return "\"name\" is a string";
    load->name = json_string_value(name);
    if (config && !json_is_null(config) && !json_is_object(config))
        return "\"config\" is an object";
    json_object_foreach(config, key, value)
    {
        if (!json_is_string(value))
            return "the values of \"config\" are strings";
        settings[load->setting_count++] = (struct setting){ key, json_string_value(value) };
    }
    return NULL;
}

static void load_processor(struct control *control, struct control_request *request)
{
    struct load_call *call = mem_zalloc(1, sizeof(*call));
    struct setting *settings = mem_zalloc(
        json_object_size(json_object_get(request->body, "config")) + 1, sizeof(*settings));
    call->request = request;
    call->load.done = load_done;
    call->load.settings = settings;
    const char *wrong = read_load(&call->load, request->body, settings);
    if (wrong) {
        mem_free(call);
        request->answer(request, 400, control_error("%s", wrong));
    } else {
        processors_load(control->broker->processors, &call->load);
    }
    mem_free(settings);
}

struct unload_call {
    struct processors_unload unload;
    struct control_request *request;
    char *name;
};

static void unload_done(struct processors_unload *unload, int status)
{
    struct unload_call *call = container_of(unload, struct unload_call, unload);
    struct control_request *request = call->request;
    if (status)
        request->answer(request, http_of(status),
            control_error("%s", unload->error[0] ? unload->error : strerror(-status)));
    else
        request->answer(request, 200, json_pack("{s:o}", "name", text_or_null(call->name)));
    mem_free(call->name);
    mem_free(call);
}

static void unload_processor(
    struct control *control, struct control_request *request, const char *name)
{
    struct unload_call *call = mem_zalloc(1, sizeof(*call));
    call->request = request;
    call->name = mem_strdup(name);
    call->unload.name = call->name;
    call->unload.forget = request->forget;
    call->unload.done = unload_done;
    processors_unload(control->broker->processors, &call->unload);
}

/* ---- the table of paths ---- */

static bool is_method(const struct control_request *request, const char *method)
{
    return strcmp(request->method, method) == 0;
}

void control_handle(struct control *control, struct control_request *request)
{
    static const char processors[] = "/v1/processors", one[] = "/v1/processors/";
    bool is_one =
        strncmp(request->path, one, sizeof(one) - 1) == 0 && request->path[sizeof(one) - 1] != 0;
    bool is_list = strcmp(request->path, processors) == 0;
    bool is_status = strcmp(request->path, "/v1/status") == 0;
    if (is_status && is_method(request, "GET"))
        answer_status(control, request);
    else if (is_list && is_method(request, "GET"))
        list_processors(control, request);
    else if (is_list && is_method(request, "POST"))
        load_processor(control, request);
    else if (is_one && is_method(request, "DELETE"))
        unload_processor(control, request, request->path + sizeof(one) - 1);
    else if (is_status || is_list || is_one)
        request->answer(
            request, 405, control_error("%s is not for %s", request->path, request->method));
    else
        request->answer(request, 404, control_error("there is no %s", request->path));
}
