/*
 * frame.h - length-prefixed frames out of a stream of bytes. No socket, no copy of what matters.
 *
 * A frame is a big-endian int32 size and that many bytes. The bytes are received straight into
 * refcounted buffers, and frames are handed out as slices of them:
 *
 *     for each readable event
 *         frame_input_reserve(&input, &at, &len)       where to read to, and how much at most
 *         ... read n <= len bytes to `at` ...
 *         frame_input_received(&input, n)
 *         while (frame_input_next(&input, &frame) == 0)
 *             ... use frame, buffer_unref(frame.buffer) when done with it ...
 *
 * Small frames share a block of 4 KiB, so one read brings many; a larger frame has a block of its
 * own, and no byte beyond it is read into that. Between frames no memory is held, so an idle
 * connection costs none.
 *
 * Limits: a frame is at most `size_max` bytes; its size is checked before memory is taken for it,
 * and a frame over 1 MiB gets memory only as its bytes arrive (at most twice what has come).
 */
#ifndef PROTOCOL_FRAME_H
#define PROTOCOL_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include "protocol/base/buffer.h"
#include "protocol/base/bytes.h"
#include "protocol/base/check.h"

struct frame {
    struct buffer *buffer; /* one reference, the receiver's */
    struct bytes bytes;    /* in it, without the size */
};

struct frame_input {
    struct buffer_pool *pool; /* may be NULL */
    size_t size_max;          /* named by the owner: socket.request.max.bytes */
    struct buffer *buffer;    /* block being filled (len = received), or NULL */
    size_t taken;             /* bytes of it that were handed out */
    size_t expected;          /* size of the last frame, a guess for the next */
    int error;                /* sticky, see frame_input_next */
    const char *reason;       /* static text for the log, set with error */
    int32_t refused_size;     /* with -EMSGSIZE: what the frame said */
};

/* `size_max` <= 2^31 - 1. */
void frame_input_init(struct frame_input *input, struct buffer_pool *pool, size_t size_max);
/* Accepts a zeroed one. Frames handed out stay valid. */
void frame_input_done(struct frame_input *input);

/*
 * Room for the next bytes of the stream, at least one. Valid until the next call with this input.
 * Only after frame_input_next said -EAGAIN, or at the start: no whole frame may be waiting.
 * Returns 0, -ENOMEM, or the error of frame_input_next.
 */
int frame_input_reserve(struct frame_input *input, uint8_t **ret_at, size_t *ret_len) MUST_CHECK;
/* `len` bytes were put there, at most as many as reserved. */
void frame_input_received(struct frame_input *input, size_t len);

/*
 * The next whole frame. Returns 0, -EAGAIN when more bytes are needed, or (for good: what follows
 * in the stream has no meaning)
 *   -EMSGSIZE  the size is above size_max
 *   -EBADMSG   the size is negative
 *   -EPROTO    the peer does not speak Kafka: a TLS or HTTP greeting, or other letters, in the
 *              size's place
 */
int frame_input_next(struct frame_input *input, struct frame *ret_frame) MUST_CHECK;

/* The bytes of the next whole frame, without taking it; null: none is there yet. */
struct bytes frame_input_peek(const struct frame_input *input);

/* Bytes without which no further frame can be complete; at least 1. 0 after an error. */
size_t frame_input_wanted(const struct frame_input *input);

#endif
