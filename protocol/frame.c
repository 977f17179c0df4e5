/*
 * See frame.h.
 *
 *     block:  | frames handed out | waiting bytes | room |
 *             0                   taken           len    capacity
 *
 * The happy path for a small frame: it arrives whole within the block, becomes a slice with one
 * more reference on the block, and when nothing waits behind it the block is let go.
 *
 * A large frame: blocks are made for a frame like the last one, but the first read into a block is
 * short (PROBE), so that its size is known before its bulk is read; then exactly the rest is. If
 * the block is too small for it, the few bytes that wait move to a new one. Thus the bulk of a
 * large frame is not copied, up to TRUST bytes; beyond, the block doubles as the bytes arrive,
 * since the size alone is only a claim.
 *
 * Invariants: taken <= len <= capacity; the block is NULL or something waits in it or it has just
 * been made; a block never holds bytes behind a frame that is larger than PROBE.
 */
#include "protocol/frame.h"

#include <errno.h>
#include <string.h>

enum { PREFIX = 4, PROBE = 4096, TRUST = 1024 * 1024 };

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t most(size_t a, size_t b)
{
    return a > b ? a : b;
}

void frame_input_init(struct frame_input *input, struct buffer_pool *pool, size_t size_max)
{
    CHECK(size_max <= INT32_MAX);
    *input = (struct frame_input){ .pool = pool, .size_max = size_max };
}

void frame_input_done(struct frame_input *input)
{
    buffer_unref(input->buffer);
    input->buffer = NULL;
}

static size_t waiting(const struct frame_input *input)
{
    return input->buffer ? input->buffer->len - input->taken : 0;
}

static bool tls_greeting(const uint8_t *at)
{
    /* A record of type handshake, version 3.0 to 3.4. */
    return at[0] == 0x16 && at[1] == 3 && at[2] <= 4;
}

static bool http_greeting(const uint8_t *at)
{
    static const char starts[][5] = { "GET ", "POST", "PUT ", "HEAD", "OPTI", "DELE", "PATC",
        "CONN", "TRAC", "PRI " };
    for (size_t i = 0; i < ARRAY_COUNT(starts); i++) {
        if (memcmp(at, starts[i], PREFIX) == 0)
            return true;
    }
    return false;
}

/* SSH, a PROXY line, AMQP, redis, ... As a size it would be half a gigabyte and more. */
static bool any_letters(const uint8_t *at)
{
    for (size_t i = 0; i < PREFIX; i++)
        if ((at[i] < 0x20 && at[i] != '\r' && at[i] != '\n') || at[i] > 0x7e)
            return false;
    return at[0] >= 0x20;
}

static int refuse(struct frame_input *input, int error, const char *reason)
{
    input->error = error;
    input->reason = reason;
    return error;
}

/* The size of the frame at the front, without its prefix. 0, -EAGAIN, or a lasting error. */
static int front_size(struct frame_input *input, size_t *ret_size)
{
    if (input->error)
        return input->error;
    if (waiting(input) < PREFIX)
        return -EAGAIN;
    const uint8_t *at = input->buffer->data + input->taken;
    int32_t size = (int32_t)be_get32(at);
    if (size >= 0 && (size_t)size <= input->size_max) {
        *ret_size = (size_t)size;
        return 0;
    }
    if (tls_greeting(at))
        return refuse(input, -EPROTO, "the peer speaks TLS, this listener does not");
    if (http_greeting(at))
        return refuse(input, -EPROTO, "the peer speaks HTTP, this is a Kafka listener");
    if (size < 0)
        return refuse(input, -EBADMSG, "negative frame size");
    if (any_letters(at))
        return refuse(input, -EPROTO,
            "the peer speaks no Kafka: it began with letters, not with the size of a request");
    input->refused_size = size;
    return refuse(input, -EMSGSIZE, "frame larger than the limit");
}

/* A new block with the waiting bytes at its front. */
static int move_to_block(struct frame_input *input, size_t capacity)
{
    size_t count = waiting(input);
    struct buffer *block = buffer_create(input->pool, capacity);
    if (!block)
        return -ENOMEM;
    if (count)
        memcpy(block->data, input->buffer->data + input->taken, count);
    block->len = count;
    buffer_unref(input->buffer);
    input->buffer = block;
    input->taken = 0;
    return 0;
}

/* The capacity to make a block with; `total` is 0 while the size is not known. */
static size_t block_capacity(const struct frame_input *input, size_t total)
{
    if (total == 0)
        return most(PROBE, least(PREFIX + input->expected, TRUST));
    return most(PROBE, least(total, most(TRUST, 2 * waiting(input))));
}

/* Can the frame at the front go on in its block? A large one only if that was made for it. */
static bool block_serves(const struct frame_input *input, size_t total)
{
    const struct buffer *block = input->buffer;
    if (!block || block->len == block->capacity)
        return false;
    if (total == 0) /* copying 3 bytes is cheaper than a short read */
        return block->capacity - block->len >= PROBE / 4;
    return block->capacity - input->taken >= least(total, TRUST);
}

int frame_input_reserve(struct frame_input *input, uint8_t **ret_at, size_t *ret_len)
{
    size_t size = 0, total = 0, limit = PROBE;
    int status = front_size(input, &size);
    if (status && status != -EAGAIN)
        return status;
    if (!status)
        total = PREFIX + size;
    CHECK(total == 0 || waiting(input) < total);
    if (!block_serves(input, total)) {
        status = move_to_block(input, block_capacity(input, total));
        if (status)
            return status;
    }
    if (total > PROBE)
        limit = total - waiting(input);
    *ret_at = input->buffer->data + input->buffer->len;
    *ret_len = least(limit, input->buffer->capacity - input->buffer->len);
    return 0;
}

void frame_input_received(struct frame_input *input, size_t len)
{
    CHECK(input->buffer && len <= input->buffer->capacity - input->buffer->len);
    input->buffer->len += len;
}

int frame_input_next(struct frame_input *input, struct frame *ret_frame)
{
    size_t size;
    int status = front_size(input, &size);
    if (!status && waiting(input) < PREFIX + size)
        status = -EAGAIN;
    if (status == -EAGAIN && waiting(input) == 0) {
        buffer_unref(input->buffer);
        input->buffer = NULL;
        input->taken = 0;
    }
    if (status)
        return status;
    ret_frame->buffer = buffer_ref(input->buffer);
    ret_frame->bytes = bytes_of(input->buffer->data + input->taken + PREFIX, size);
    input->taken += PREFIX + size;
    input->expected = size;
    return 0;
}

struct bytes frame_input_peek(const struct frame_input *input)
{
    size_t have = waiting(input);
    if (input->error || have < PREFIX)
        return bytes_of(NULL, 0);
    const uint8_t *at = input->buffer->data + input->taken;
    if (have - PREFIX < be_get32(at))
        return bytes_of(NULL, 0);
    return bytes_of(at + PREFIX, be_get32(at));
}

size_t frame_input_wanted(const struct frame_input *input)
{
    size_t have = waiting(input);
    if (input->error)
        return 0;
    if (have < PREFIX)
        return PREFIX - have;
    size_t size = be_get32(input->buffer->data + input->taken);
    if (size > input->size_max) /* refused by the next call */
        return 1;
    return have < PREFIX + size ? PREFIX + size - have : 1;
}
