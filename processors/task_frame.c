/*
 * See task_frame.h. Little-endian:
 *
 *     u8 version | u64 seq | i64 watermark | 5 × u64 counters
 *   | u8 firing | u16 store | i64 end | u64 told
 *   | u32 inputs × { 16 topic | i32 partition | i64 position | i64 max_ts
 *                   | i64 order_ts | u64 order_seq }
 *   | u32 stores × { u16 len, name | u16 kind | u16 version | i64 size | i64 step | 16 changelog
 *                  | i64 log_start | i64 closed_end }
 */
#include "processors/task_frame.h"

#include <errno.h>

#include "protocol/base/mem.h"

static void put16(struct out *out, uint16_t v)
{
    le_put16(out_add(out, 2), v);
}

static void put32(struct out *out, uint32_t v)
{
    le_put32(out_add(out, 4), v);
}

static void put64(struct out *out, int64_t v)
{
    le_put64(out_add(out, 8), (uint64_t)v);
}

void task_frame_write(const struct task_frame *frame, struct out *out)
{
    *out_add(out, 1) = TASK_FRAME_VERSION;
    put64(out, (int64_t)frame->seq);
    put64(out, frame->watermark);
    const uint64_t counters[] = { frame->records, frame->emitted, frame->late, frame->dropped,
        frame->dead };
    for (size_t i = 0; i < ARRAY_COUNT(counters); i++)
        put64(out, (int64_t)counters[i]);
    *out_add(out, 1) = frame->firing;
    put16(out, frame->firing_store);
    put64(out, frame->firing_end);
    put64(out, (int64_t)frame->firing_told);
    put32(out, (uint32_t)frame->input_count);
    for (size_t i = 0; i < frame->input_count; i++) {
        const struct task_frame_input *input = &frame->inputs[i];
        out_bytes(out, input->topic.b, sizeof(input->topic.b));
        put32(out, (uint32_t)input->partition);
        put64(out, input->position);
        put64(out, input->max_ts);
        put64(out, input->order_ts);
        put64(out, (int64_t)input->order_seq);
    }
    put32(out, (uint32_t)frame->store_count);
    for (size_t i = 0; i < frame->store_count; i++) {
        const struct task_frame_store *store = &frame->stores[i];
        put16(out, (uint16_t)store->name.len);
        out_bytes(out, store->name.data, store->name.len);
        put16(out, store->kind);
        put16(out, store->version);
        put64(out, store->size_ms);
        put64(out, store->step_ms);
        out_bytes(out, store->changelog.b, sizeof(store->changelog.b));
        put64(out, store->log_start);
        put64(out, store->closed_end);
    }
}

/* A reader that fails for good at the first byte too few; then everything reads as 0. */
struct reader {
    struct bytes left;
    bool failed;
};

static struct bytes take(struct reader *reader, size_t len)
{
    static const uint8_t zeros[16];
    if (reader->failed || reader->left.len < len) {
        reader->failed = true;
        return bytes_of(zeros, len <= sizeof(zeros) ? len : 0);
    }
    struct bytes taken = { reader->left.data, len };
    reader->left.data += len;
    reader->left.len -= len;
    return taken;
}

static uint16_t get16(struct reader *reader)
{
    return le_get16(take(reader, 2).data);
}

static uint32_t get32(struct reader *reader)
{
    return le_get32(take(reader, 4).data);
}

static int64_t get64(struct reader *reader)
{
    return (int64_t)le_get64(take(reader, 8).data);
}

static struct uuid get_uuid(struct reader *reader)
{
    struct uuid uuid;
    memcpy(uuid.b, take(reader, sizeof(uuid.b)).data, sizeof(uuid.b));
    return uuid;
}

/* A count of elements of at least `size` bytes, all of which must still be there. */
static size_t get_count(struct reader *reader, size_t size)
{
    size_t count = get32(reader);
    if (count > TASK_FRAME_LISTS_MAX || count * size > reader->left.len)
        reader->failed = true;
    return reader->failed ? 0 : count;
}

static void read_lists(struct reader *reader, struct task_frame *frame)
{
    frame->input_count = get_count(reader, 52);
    frame->inputs = mem_zalloc(frame->input_count, sizeof(*frame->inputs));
    for (size_t i = 0; i < frame->input_count; i++) {
        struct task_frame_input *input = &frame->inputs[i];
        input->topic = get_uuid(reader);
        input->partition = (int32_t)get32(reader);
        input->position = get64(reader);
        input->max_ts = get64(reader);
        input->order_ts = get64(reader);
        input->order_seq = (uint64_t)get64(reader);
    }
    frame->store_count = get_count(reader, 54);
    frame->stores = mem_zalloc(frame->store_count, sizeof(*frame->stores));
    for (size_t i = 0; i < frame->store_count; i++) {
        struct task_frame_store *store = &frame->stores[i];
        store->name = take(reader, get16(reader));
        store->kind = get16(reader);
        store->version = get16(reader);
        store->size_ms = get64(reader);
        store->step_ms = get64(reader);
        store->changelog = get_uuid(reader);
        store->log_start = get64(reader);
        store->closed_end = get64(reader);
    }
}

int task_frame_read(struct bytes from, struct task_frame *ret)
{
    struct reader reader = { from, false };
    uint8_t version = *take(&reader, 1).data;
    if (reader.failed || version == 0)
        return -EBADMSG;
    if (version > TASK_FRAME_VERSION)
        return -EPROTO;
    struct task_frame frame = { 0 };
    frame.seq = (uint64_t)get64(&reader);
    frame.watermark = get64(&reader);
    uint64_t *const counters[] = { &frame.records, &frame.emitted, &frame.late, &frame.dropped,
        &frame.dead };
    for (size_t i = 0; i < ARRAY_COUNT(counters); i++)
        *counters[i] = (uint64_t)get64(&reader);
    frame.firing = *take(&reader, 1).data;
    frame.firing_store = get16(&reader);
    frame.firing_end = get64(&reader);
    frame.firing_told = (uint64_t)get64(&reader);
    read_lists(&reader, &frame);
    if (reader.failed || reader.left.len) {
        task_frame_done(&frame);
        return -EBADMSG;
    }
    *ret = frame;
    return 0;
}

void task_frame_done(struct task_frame *frame)
{
    mem_free(frame->inputs);
    mem_free(frame->stores);
    *frame = (struct task_frame){ 0 };
}
