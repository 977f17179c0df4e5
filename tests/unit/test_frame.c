/* Frames out of a stream: any cut of the stream gives the same frames; what is refused, and when.
 */
#include "protocol/frame.h"

#include <errno.h>

#include "protocol/base/random.h"
#include "tests/test.h"

enum { SIZE_MAX_TEST = 8 * 1024 * 1024 };

/* Feeds `len` bytes in reads of at most `step`; frames are compared with the stream itself. */
static void feed(struct frame_input *input, struct bytes stream, size_t step, size_t *frame_at)
{
    size_t fed = 0;
    while (fed < stream.len) {
        uint8_t *at;
        size_t len;
        struct frame frame;
        int status;
        cr_assert_eq(frame_input_reserve(input, &at, &len), 0);
        cr_assert_gt(len, 0);
        if (len > step)
            len = step;
        if (len > stream.len - fed)
            len = stream.len - fed;
        memcpy(at, stream.data + fed, len);
        fed += len;
        frame_input_received(input, len);
        while ((status = frame_input_next(input, &frame)) == 0) {
            size_t size = be_get32(stream.data + *frame_at);
            cr_assert_eq(frame.bytes.len, size);
            cr_assert(bytes_equal(frame.bytes, bytes_of(stream.data + *frame_at + 4, size)));
            *frame_at += 4 + size;
            buffer_unref(frame.buffer);
        }
        cr_assert_eq(status, -EAGAIN);
    }
}

static void add_frame(struct out *stream, struct random *random, size_t size)
{
    uint8_t *at = out_add(stream, 4 + size);
    be_put32(at, (uint32_t)size);
    random_bytes(random, at + 4, size);
}

TEST(frame, any_cut_gives_the_same_frames)
{
    static const size_t sizes[] = { 0, 1, 10, 100, 250, 4091, 4092, 4093, 5000, 66000, 70000, 3,
        1048572, 1048576, 3000000, 8, 65536, 65536 };
    static const size_t steps[] = { 1, 3, 4, 5, 100, 4096, 65536, SIZE_MAX };
    struct random random = random_seeded(7);
    struct buffer_pool pool;
    struct out small = { 0 }, all = { 0 };
    buffer_pool_init(&pool, 1 << 20);
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        add_frame(&all, &random, sizes[i]);
        if (sizes[i] <= 5000)
            add_frame(&small, &random, sizes[i]);
    }
    for (size_t i = 0; i < ARRAY_COUNT(steps); i++) {
        struct frame_input input;
        struct out *stream = steps[i] < 4096 ? &small : &all;
        size_t frame_at = 0;
        frame_input_init(&input, &pool, SIZE_MAX_TEST);
        feed(&input, bytes_of(stream->data, stream->len), steps[i], &frame_at);
        cr_assert_eq(frame_at, stream->len);
        cr_assert_null(input.buffer, "memory is held between frames");
        frame_input_done(&input);
        cr_assert_eq(pool.out, 0);
    }
    buffer_pool_done(&pool);
    out_done(&small);
    out_done(&all);
}

static void receive(struct frame_input *input, const void *data, size_t count)
{
    uint8_t *at;
    size_t len;
    cr_assert_eq(frame_input_reserve(input, &at, &len), 0);
    cr_assert_geq(len, count);
    memcpy(at, data, count);
    frame_input_received(input, count);
}

TEST(frame, frames_outlive_the_input)
{
    struct buffer_pool pool;
    struct frame_input input;
    struct frame first, second;
    buffer_pool_init(&pool, 0);
    frame_input_init(&input, &pool, 100);
    receive(&input, "\0\0\0\2ab\0\0\0\3cde\0\0", 15);
    cr_assert_eq(frame_input_next(&input, &first), 0);
    cr_assert_eq(frame_input_next(&input, &second), 0);
    cr_assert_eq(frame_input_next(&input, &second), -EAGAIN);
    cr_assert_eq(frame_input_wanted(&input), 2);
    frame_input_done(&input);
    cr_assert(bytes_equal_text(first.bytes, "ab"));
    cr_assert(bytes_equal_text(second.bytes, "cde"));
    buffer_unref(first.buffer);
    buffer_unref(second.buffer);
    buffer_pool_done(&pool);
}

TEST(frame, tells_how_many_bytes_are_wanted)
{
    struct frame_input input;
    struct frame frame;
    frame_input_init(&input, NULL, 100000);
    cr_assert_eq(frame_input_wanted(&input), 4);
    receive(&input, "\0", 1);
    cr_assert_eq(frame_input_wanted(&input), 3);
    receive(&input, "\0\x27\x10", 3);
    cr_assert_eq(frame_input_wanted(&input), 10000);
    cr_assert_eq(frame_input_next(&input, &frame), -EAGAIN);
    receive(&input, "xyz", 3);
    cr_assert_eq(frame_input_wanted(&input), 9997);
    frame_input_done(&input);
}

/* Of a large frame exactly the rest is asked for, into one block that is large enough. */
TEST(frame, large_frames_are_read_in_place)
{
    struct frame_input input;
    struct frame frame;
    uint8_t *at, *start;
    size_t len;
    frame_input_init(&input, NULL, SIZE_MAX_TEST);
    receive(&input, "\0\1\0\0", 4);
    cr_assert_eq(frame_input_reserve(&input, &start, &len), 0);
    cr_assert_eq(len, 65536);
    frame_input_received(&input, 60000);
    cr_assert_eq(frame_input_reserve(&input, &at, &len), 0);
    cr_assert_eq(len, 5536);
    cr_assert_eq(at, start + 60000);
    frame_input_received(&input, 5536);
    cr_assert_eq(frame_input_next(&input, &frame), 0);
    buffer_unref(frame.buffer);
    cr_assert_eq(frame_input_next(&input, &frame), -EAGAIN);
    /* The next one is expected to be as large: its few first bytes need not move. */
    receive(&input, "\0\1\0\0", 4);
    start = input.buffer->data;
    cr_assert_eq(frame_input_reserve(&input, &at, &len), 0);
    cr_assert_eq(at, start + 4);
    cr_assert_eq(len, 65536);
    frame_input_done(&input);
}

TEST(frame, a_claimed_size_takes_no_memory_before_its_bytes)
{
    struct buffer_pool pool;
    struct frame_input input;
    struct frame frame;
    uint8_t *at;
    size_t len, received = 4;
    buffer_pool_init(&pool, 0);
    frame_input_init(&input, &pool, 100 << 20);
    receive(&input, "\x06\0\0\0", 4); /* 96 MiB */
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(frame_input_next(&input, &frame), -EAGAIN);
        cr_assert_eq(frame_input_reserve(&input, &at, &len), 0);
        size_t bound = 2 * received > (1 << 20) ? 2 * received : 1 << 20;
        cr_assert_leq(input.buffer->capacity, bound);
        memset(at, 0, len);
        frame_input_received(&input, len);
        received += len;
    }
    cr_assert_eq(received, 4 << 20);
    frame_input_done(&input);
    buffer_pool_done(&pool);
}

static void expect_refusal(const void *start, size_t len, int error)
{
    struct buffer_pool pool;
    struct frame_input input;
    struct frame frame;
    uint8_t *at;
    size_t room;
    buffer_pool_init(&pool, 0);
    frame_input_init(&input, &pool, 100 << 20);
    receive(&input, start, len);
    cr_assert_leq(pool.out, 4096, "memory was taken for a refused size");
    cr_assert_eq(frame_input_next(&input, &frame), error);
    cr_assert_not_null(input.reason);
    cr_assert_eq(frame_input_next(&input, &frame), error);
    cr_assert_eq(frame_input_reserve(&input, &at, &room), error);
    cr_assert_eq(frame_input_wanted(&input), 0);
    frame_input_done(&input);
    buffer_pool_done(&pool);
}

TEST(frame, refuses_sizes_and_strangers)
{
    expect_refusal("\xff\xff\xff\xff", 4, -EBADMSG);
    expect_refusal("\x80\0\0\0", 4, -EBADMSG);
    expect_refusal("\x06\x40\0\x01", 4, -EMSGSIZE); /* 100 MiB + 1 */
    expect_refusal("\x7f\xff\xff\xff", 4, -EMSGSIZE);
    expect_refusal("SSH-2.0", 7, -EPROTO);
    expect_refusal("PROXY TCP4", 10, -EPROTO);
    expect_refusal("*1\r\n", 4, -EPROTO);
    expect_refusal("SSH\x01", 4, -EMSGSIZE);
    expect_refusal("\x16\x03\x01\x02\x00\x01\x00", 7, -EPROTO);
    expect_refusal("\x16\x03\x03\x00\x7a", 5, -EPROTO);
    expect_refusal("GET / HTTP/1.1\r\n", 16, -EPROTO);
    expect_refusal("POST /x HTTP/1.1\r\n", 18, -EPROTO);
    expect_refusal("PRI * HTTP/2.0\r\n", 16, -EPROTO);
}

TEST(frame, accepts_the_largest_size)
{
    struct frame_input input;
    struct frame frame;
    frame_input_init(&input, NULL, 5);
    receive(&input, "\0\0\0\5hello\0\0\0\6", 13);
    cr_assert_eq(frame_input_next(&input, &frame), 0);
    cr_assert(bytes_equal_text(frame.bytes, "hello"));
    buffer_unref(frame.buffer);
    cr_assert_eq(frame_input_next(&input, &frame), -EMSGSIZE);
    frame_input_done(&input);
}
