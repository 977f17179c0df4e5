/* The frame of a task: back and forth, and from bytes that are none. */
#include <errno.h>

#include "processors/task_frame.h"
#include "protocol/base/random.h"
#include "tests/test.h"

static void write_one(struct out *out)
{
    struct task_frame_input inputs[] = {
        { { { 1 } }, 3, 100, 5000, 5001, 7 },
        { { { 2 } }, 0, 0, INT64_MIN, INT64_MIN, 0 },
    };
    struct task_frame_store stores[] = {
        { bytes_text("counts"), 4, 1, 60000, 10000, { { 9 } }, 77, 120000 },
        { bytes_text("kv"), 1, 2, 0, 0, { { 8 } }, 0, INT64_MIN },
    };
    struct task_frame frame = { .seq = 5,
        .watermark = -1,
        .records = 1,
        .emitted = 2,
        .late = 3,
        .dropped = 4,
        .dead = 5,
        .firing = true,
        .firing_store = 1,
        .firing_end = 99,
        .firing_told = 256,
        .inputs = inputs,
        .input_count = 2,
        .stores = stores,
        .store_count = 2 };
    task_frame_write(&frame, out);
}

TEST(task_frame, comes_back_as_it_went)
{
    struct out out = { 0 }, again = { 0 };
    struct task_frame frame;
    write_one(&out);
    cr_assert_eq(task_frame_read(bytes_of(out.data, out.len), &frame), 0);
    cr_assert_eq(frame.seq, 5);
    cr_assert_eq(frame.dead, 5);
    cr_assert_eq(frame.firing_told, 256);
    cr_assert_eq(frame.inputs[0].order_seq, 7);
    cr_assert_eq(frame.inputs[1].max_ts, INT64_MIN);
    cr_assert(bytes_equal_text(frame.stores[1].name, "kv"));
    task_frame_write(&frame, &again);
    cr_assert(bytes_equal(bytes_of(out.data, out.len), bytes_of(again.data, again.len)));
    task_frame_done(&frame);
    out_done(&out);
    out_done(&again);
}

TEST(task_frame, cut_or_damaged_is_an_error_or_another_frame_never_a_crash)
{
    struct out out = { 0 };
    struct task_frame frame;
    struct random random = random_seeded(1);
    write_one(&out);
    for (size_t len = 0; len < out.len; len++) {
        uint8_t *cut = memcpy(malloc(len + 1), out.data, len); /* so that a byte too far is seen */
        cr_assert_eq(task_frame_read(bytes_of(cut, len), &frame), -EBADMSG, "%zu", len);
        free(cut);
    }
    out_bytes(&out, "x", 1);
    cr_assert_eq(task_frame_read(bytes_of(out.data, out.len), &frame), -EBADMSG);
    out.len--;
    for (int i = 0; i < 20000; i++) {
        size_t at = random_below(&random, out.len);
        uint8_t was = out.data[at];
        out.data[at] = (uint8_t)random_u64(&random);
        if (task_frame_read(bytes_of(out.data, out.len), &frame) == 0)
            task_frame_done(&frame);
        out.data[at] = was;
    }
    out.data[0] = TASK_FRAME_VERSION + 1;
    cr_assert_eq(task_frame_read(bytes_of(out.data, out.len), &frame), -EPROTO);
    out_done(&out);
}
