/*
 * The host's side of millrace/processor.h: the table of functions that plugins call. See task.h for
 * what is behind, processor.h for what is promised.
 *
 * What a plugin hands over is not trusted to be in range; memory it points to must exist, since it
 * shares the process. A wrong effect is noted once (task_stick) and ends the unit when the callback
 * is over.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "processors/task.h"
#include "protocol/base/mem.h"
#include "protocol/murmur2.h"

enum { HEADERS_MAX = 100000, WHY_MAX = 200, LINE_MAX_LEN = 500, METRIC_NAME_MAX = 100 };

/* mr_task is the first member of struct task. */
static struct task *task_of(mr_task *face)
{
    return container_of(face, struct task, face);
}

static struct bytes bytes_from(mr_buf buf)
{
    return (struct bytes){ (const uint8_t *)buf.p, buf.p ? buf.n : 0 };
}

static mr_buf buf_from(struct bytes bytes)
{
    return (mr_buf){ (const char *)bytes.data, bytes.len };
}

static const void *host_ext(mr_task *face, const char *id)
{
    (void)face;
    (void)id;
    return NULL;
}

/* ---- emit ------------------------------------------------------------------------------------ */

static int check_out(struct task *task, const mr_out *out)
{
    if (out->size < sizeof(*out))
        return task_stick(
            task, MR_EINVAL, "emit: mr_out.size is %u, expected %zu", out->size, sizeof(*out));
    for (size_t i = sizeof(*out); i < out->size; i++) {
        if (((const uint8_t *)out)[i])
            return task_stick(task, MR_EINVAL, "emit: mr_out has members newer than this host");
    }
    if (out->out >= task->settings->output_count)
        return task_stick(task, MR_EINVAL, "emit: output %u is not declared", out->out);
    if (out->flags & ~(MR_OUT_TS | MR_OUT_PARTITION | MR_OUT_COPY_HEADERS))
        return task_stick(task, MR_EINVAL, "emit: flags 0x%x are not known", out->flags);
    if (out->key.n > INT32_MAX / 2 || out->value.n > INT32_MAX / 2 || out->nheaders > HEADERS_MAX)
        return task_stick(task, MR_ELIMIT, "emit: a key, a value or the headers are too large");
    if (out->flags & MR_OUT_TS && out->ts < -1)
        return task_stick(task, MR_EINVAL, "emit: timestamp %lld", (long long)out->ts);
    return 0;
}

/* Headers, encoded into the task's scratch; their count, or a failure. */
static int encode_headers(struct task *task, const mr_out *out)
{
    int count = 0;
    task->scratch.len = 0;
    if (out->flags & MR_OUT_COPY_HEADERS && task->callback == CALL_BATCH) {
        const struct task_meta *meta = &task->metas[task->rec_first + task->hand - 1];
        out_bytes(&task->scratch, meta->headers.data, meta->headers.len);
        count = meta->header_count;
    }
    for (uint32_t i = 0; i < out->nheaders; i++) {
        const mr_kv *header = &out->headers[i];
        if (!header->key.p || header->key.n > INT16_MAX || header->value.n > INT32_MAX / 2)
            return task_stick(task, MR_EINVAL,
                "emit: header %u has no key, or one too long, or a value too long", i);
        record_header_add(&task->scratch, bytes_from(header->key), bytes_from(header->value));
    }
    return count + (int)out->nheaders;
}

static int64_t inherited_time(const struct task *task)
{
    if (task->callback == CALL_WINDOW)
        return task->firing.end - 1;
    uint32_t i = task->rec_first + task->hand - 1;
    return task->metas[i].event_ts != TASK_NO_TIME ? task->metas[i].event_ts : task->recs[i].ts;
}

static int choose_partition(struct task *task, const mr_out *out)
{
    int32_t count = task->targets[out->out].partitions;
    if (out->flags & MR_OUT_PARTITION) {
        if (out->partition < 0 || out->partition >= count)
            return task_stick(task, MR_EINVAL, "emit: partition %d of output '%s', which has %d",
                out->partition, task->settings->outputs[out->out], count);
        return out->partition;
    }
    if (out->key.p)
        return murmur2_partition(bytes_from(out->key), count);
    if (task->callback == CALL_WINDOW)
        return 0;
    return task->recs[task->rec_first + task->hand - 1].partition % count;
}

static int host_emit(mr_task *face, const mr_out *out)
{
    struct task *task = task_of(face);
    if (task->callback != CALL_WINDOW && !task_touch(task))
        return MR_EINVAL;
    int r = check_out(task, out);
    if (r)
        return r;
    int headers = encode_headers(task, out);
    if (headers < 0)
        return headers;
    int partition = choose_partition(task, out);
    if (partition < 0)
        return partition;
    struct record_view record = {
        .timestamp = out->flags & MR_OUT_TS ? out->ts : inherited_time(task),
        .key = bytes_from(out->key),
        .value = bytes_from(out->value),
        .headers = bytes_of(task->scratch.data, task->scratch.len),
        .header_count = headers,
    };
    return task_emit(task, out->out, partition, &record);
}

/* ---- time ------------------------------------------------------------------------------------ */

static int host_event_time(mr_task *face, int64_t ts)
{
    struct task *task = task_of(face);
    if (!task_touch(task))
        return MR_EINVAL;
    uint32_t i = task->rec_first + task->hand - 1;
    struct task_meta *meta = &task->metas[i];
    const struct task_input *input = &task->inputs[meta->slot];
    if (!(task->processor->inputs[input->input]->flags & MR_IN_EVENT_TIME))
        return task_stick(task, MR_EINVAL,
            "event_time: input '%s' is not declared with MR_IN_EVENT_TIME",
            task->settings->inputs[input->input]);
    if (meta->event_ts != TASK_NO_TIME)
        return task_stick(task, MR_EINVAL, "event_time: told twice for a record");
    if (ts < 0 || ts > SLICES_TIME_MAX)
        return task_stick(task, MR_EINVAL, "event_time: %lld is no time", (long long)ts);
    meta->event_ts = ts;
    int64_t watermark = task_watermark_with(task, input, ts);
    if (task->boundary != INT64_MAX && watermark >= task->boundary)
        task_cut(task);
    return 0;
}

static int64_t host_watermark(mr_task *face)
{
    struct task *task = task_of(face);
    if (task->callback == CALL_BATCH && task->batch.next > task->call_from)
        (void)task_touch(task);
    return task->watermark;
}

static int64_t host_now_ms(mr_task *face)
{
    return task_of(face)->now_ms;
}

/* ---- state ----------------------------------------------------------------------------------- */

/* The store if it exists, is of one of the kinds (bits), and the callback may do this. */
static struct task_store *store_of(
    struct task *task, uint16_t index, unsigned kinds, bool effect, const char *call)
{
    if (index >= task->settings->store_count || !(1u << task->stores[index].decl->kind & kinds)) {
        (void)task_stick(
            task, MR_EINVAL, "%s: store %u is not declared, or of another kind", call, index);
        return NULL;
    }
    if (effect && task->callback == CALL_BATCH && !task_touch(task))
        return NULL;
    if (effect && task->callback != CALL_BATCH && task->callback != CALL_WINDOW) {
        (void)task_stick(task, MR_EINVAL, "%s: create and destroy have no effects", call);
        return NULL;
    }
    return &task->stores[index];
}

enum {
    KV = 1u << MR_STORE_KV,
    COUNT = 1u << MR_STORE_COUNT,
    WINDOW_COUNT = 1u << MR_STORE_WINDOW_COUNT,
};

static mr_buf host_get(mr_task *face, uint16_t index, mr_buf key)
{
    struct task_store *store = store_of(task_of(face), index, KV | COUNT, false, "get");
    return store ? buf_from(keyed_get(&store->keyed, bytes_from(key))) : (mr_buf){ NULL, 0 };
}

static int host_put(mr_task *face, uint16_t index, mr_buf key, mr_buf value)
{
    struct task *task = task_of(face);
    struct task_store *store = store_of(task, index, KV, true, "put");
    if (!store)
        return MR_EINVAL;
    if (keyed_put(&store->keyed, bytes_from(key), bytes_from(value)))
        return task_stick(task, MR_EINVAL,
            "put: the key is null or longer than %d bytes, or the value too long", KEYED_KEY_MAX);
    return task_effect(task);
}

static int64_t host_add(mr_task *face, uint16_t index, mr_buf key, int64_t delta)
{
    struct task *task = task_of(face);
    struct task_store *store = store_of(task, index, COUNT, true, "add");
    if (!store)
        return MR_EINVAL;
    struct bytes was = keyed_get(&store->keyed, bytes_from(key));
    int64_t count = was.data ? (int64_t)be_get64(was.data) : 0;
    uint8_t value[8];
    if (__builtin_add_overflow(count, delta, &count))
        return task_stick(
            task, MR_ERANGE, "add: the count of a key of store '%s' overflows", store->decl->name);
    be_put64(value, (uint64_t)count);
    if (keyed_put(&store->keyed, bytes_from(key), bytes_of(value, 8)))
        return task_stick(
            task, MR_EINVAL, "add: the key is null or longer than %d bytes", KEYED_KEY_MAX);
    (void)task_effect(task);
    return count;
}

static mr_iter *host_scan(mr_task *face, const mr_range *range)
{
    struct task *task = task_of(face);
    if (range->size < sizeof(*range) || range->flags) {
        (void)task_stick(task, MR_EINVAL, "scan: size or flags of mr_range are not known");
        return NULL;
    }
    struct task_store *store = store_of(task, range->store, KV | COUNT, false, "scan");
    if (!store)
        return NULL;
    for (size_t i = 0; i < TASK_SCANS_MAX; i++) {
        mr_iter *iter = &task->scans[i];
        if (iter->open)
            continue;
        struct bytes high = bytes_from(range->hi);
        iter->high.len = 0;
        if (high.data) {
            out_bytes(&iter->high, high.data, high.len);
            high = bytes_of(iter->high.data ? iter->high.data : (const uint8_t *)"", high.len);
        }
        iter->open = true;
        iter->counts = store->decl->kind == MR_STORE_COUNT;
        keyed_scan_begin(&iter->scan, &store->keyed, bytes_from(range->lo), high);
        return iter;
    }
    (void)task_stick(task, MR_ELIMIT, "scan: more than %d open at once", TASK_SCANS_MAX);
    return NULL;
}

static int host_next(mr_task *face, mr_iter *iter, mr_row *row)
{
    (void)face;
    struct bytes key, value;
    if (!iter || !iter->open)
        return 0;
    if (!keyed_scan_next(&iter->scan, &key, &value)) {
        iter->open = false;
        return 0;
    }
    *row = (mr_row){ .key = buf_from(key), .value = buf_from(value) };
    if (iter->counts)
        row->num = (int64_t)be_get64(value.data);
    return 1;
}

static int host_win_add(mr_task *face, uint16_t index, mr_buf key, int64_t delta)
{
    struct task *task = task_of(face);
    if (!task_touch(task))
        return MR_EINVAL;
    struct task_store *store = store_of(task, index, WINDOW_COUNT, false, "win_add");
    if (!store)
        return MR_EINVAL;
    const struct task_meta *meta = &task->metas[task->rec_first + task->hand - 1];
    int r = slices_add(&store->slices, bytes_from(key), meta->event_ts, delta);
    if (r == SLICES_LATE) {
        task->counters.late++;
        return MR_ELATE;
    }
    if (r == -ERANGE)
        return task_stick(task, MR_ERANGE, "win_add: the count of a key of store '%s' overflows",
            store->decl->name);
    if (r)
        return task_stick(
            task, MR_EINVAL, "win_add: the key is null or longer than %d bytes", SLICES_KEY_MAX);
    return task_effect(task);
}

/* ---- configuration, log, counters ------------------------------------------------------------ */

static int64_t host_conf_int(mr_task *face, const char *key)
{
    const struct setting_value *value = settings_value(task_of(face)->settings, key);
    return value ? value->number : 0;
}

static mr_buf host_conf_str(mr_task *face, const char *key)
{
    const struct setting_value *value = settings_value(task_of(face)->settings, key);
    return value ? buf_from(bytes_text(value->text)) : (mr_buf){ NULL, 0 };
}

static int host_fail(mr_task *face, int verdict, const char *why)
{
    struct task *task = task_of(face);
    if (!task->sticky)
        (void)snprintf(task->why, sizeof(task->why), "%.*s", WHY_MAX, why ? why : "");
    return verdict;
}

static void host_log(mr_task *face, int level, const char *text)
{
    struct task *task = task_of(face);
    if (task->line_count == TASK_LINES_MAX) {
        task->lines_lost++;
        return;
    }
    task->lines[task->line_count++] = (struct task_line){ .level = level,
        .text = mem_printf("%.*s", LINE_MAX_LEN, text ? text : "") };
}

static void host_count(mr_task *face, const char *metric, int64_t n)
{
    struct task *task = task_of(face);
    size_t i = 0;
    while (i < task->metric_count && strcmp(task->metrics[i].name, metric) != 0)
        i++;
    if (i == TASK_METRICS_MAX || strnlen(metric, METRIC_NAME_MAX + 1) > METRIC_NAME_MAX)
        return;
    if (i == task->metric_count)
        task->metrics[task->metric_count++] =
            (struct task_metric){ .name = mem_strdup(metric), .value = 0 };
    if (__builtin_add_overflow(task->metrics[i].value, n, &task->metrics[i].value))
        task->metrics[i].value = n < 0 ? INT64_MIN : INT64_MAX;
}

const mr_host task_host = {
    .size = sizeof(mr_host),
    .minor = MR_ABI_MINOR,
    .product = "millrace " MILLRACE_VERSION,
    .ext = host_ext,
    .emit = host_emit,
    .event_time = host_event_time,
    .get = host_get,
    .put = host_put,
    .add = host_add,
    .scan = host_scan,
    .next = host_next,
    .win_add = host_win_add,
    .watermark = host_watermark,
    .now_ms = host_now_ms,
    .conf_int = host_conf_int,
    .conf_str = host_conf_str,
    .fail = host_fail,
    .log = host_log,
    .count = host_count,
};
