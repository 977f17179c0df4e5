/*
 * fuzz_frame.c - a stream, cut anywhere: the frames must be those that a plain walk finds.
 *
 * Input: a byte that chooses the size limit, a byte that seeds the cuts, a byte n, n x 2 bytes of
 * sizes (the greatest stand for sizes up to 2 MiB), then raw bytes. The stream is n frames of those
 * sizes, then the raw bytes as they are, which may be the start of anything.
 */
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "protocol/base/bytes.h"
#include "protocol/base/random.h"
#include "protocol/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FRAMES_MAX = 6 };

/* The next frame by a plain walk: 0 and its size, -EAGAIN, or -1 where the stream goes wrong. */
static int walk(const struct out *stream, size_t at, size_t size_max, size_t *ret_size)
{
    if (stream->len - at < 4)
        return -EAGAIN;
    int64_t size = (int32_t)be_get32(stream->data + at);
    if (size < 0 || (size_t)size > size_max)
        return -1;
    *ret_size = (size_t)size;
    return stream->len - at - 4 < (size_t)size ? -EAGAIN : 0;
}

/* Each eight bytes tell their place, so that a byte out of place shows. */
static void add_frame(struct out *stream, size_t size)
{
    be_put32(out_add(stream, 4), (uint32_t)size);
    uint8_t *at = out_add(stream, size);
    memset(at, (int)size, size);
    for (size_t i = 0; i + 8 <= size; i += 8)
        le_put64(at + i, stream->len + i);
}

static void build(struct out *stream, const uint8_t *data, size_t size)
{
    enum { LARGE = 0xff00, STEP = 8209 };
    size_t count = size ? data[0] % (FRAMES_MAX + 1) : 0, at = 1;
    for (size_t i = 0; i < count && at + 2 <= size; i++, at += 2) {
        size_t frame_size = be_get16(data + at);
        add_frame(stream, frame_size < LARGE ? frame_size : (frame_size - LARGE) * STEP);
    }
    if (at < size)
        out_bytes(stream, data + at, size - at);
}

/* One read of a random length. */
static int receive(
    struct frame_input *input, const struct out *stream, size_t *fed, struct random *random)
{
    uint8_t *at;
    size_t len;
    int status = frame_input_reserve(input, &at, &len);
    if (status)
        return status;
    CHECK(len > 0 && frame_input_wanted(input) > 0);
    CHECK(input->buffer->capacity <= 4096 || input->buffer->capacity <= 2 * input->size_max + 8);
    if (random_chance(random, 1, 2))
        len = 1 + random_below(random, len);
    if (len > stream->len - *fed)
        len = stream->len - *fed;
    if (len)
        memcpy(at, stream->data + *fed, len);
    *fed += len;
    frame_input_received(input, len);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t limits[] = { 0, 5, 4096, 100000, 1 << 21, INT32_MAX };
    if (size < 2)
        return 0;
    struct random random = random_seeded(data[1]);
    struct frame_input input;
    struct buffer_pool pool;
    struct out stream = { 0 };
    size_t fed = 0, at = 0, expected = 0;
    int status = 0;
    buffer_pool_init(&pool, 1 << 20);
    frame_input_init(&input, &pool, limits[data[0] % ARRAY_COUNT(limits)]);
    build(&stream, data + 2, size - 2);
    while (fed < stream.len && (status = receive(&input, &stream, &fed, &random)) == 0) {
        struct frame frame;
        while ((status = frame_input_next(&input, &frame)) == 0) {
            CHECK(walk(&stream, at, input.size_max, &expected) == 0);
            CHECK(bytes_equal(frame.bytes, bytes_of(stream.data + at + 4, expected)));
            at += 4 + expected;
            buffer_unref(frame.buffer);
        }
        if (status != -EAGAIN)
            break;
        status = 0;
    }
    int end = walk(&stream, at, input.size_max, &expected);
    CHECK(end != 0);
    CHECK((end == -EAGAIN) == (status == 0));
    CHECK(status == 0 || input.reason);
    frame_input_done(&input);
    buffer_pool_done(&pool);
    out_done(&stream);
    return 0;
}
