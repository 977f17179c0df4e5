/*
 * pieces.h - the input of fuzz_connection: pieces, each a control byte (two bits of client, two of
 * what, four of detail), then for bytes their length in two bytes and they themselves. Every run of
 * bytes is an input; what is cut short ends it.
 */
#ifndef TESTS_FUZZ_PIECES_H
#define TESTS_FUZZ_PIECES_H

#include "protocol/base/bytes.h"

enum piece_what {
    PIECE_DROP,  /* the connection goes away; with the details below the broker does */
    PIECE_PASS,  /* 2^detail ms */
    PIECE_FRAME, /* the bytes behind a right length */
    PIECE_RAW,
};
enum { PIECE_POWER = 14, PIECE_KILL = 15 };

struct piece {
    uint8_t client, detail;
    enum piece_what what;
    struct bytes bytes;
};

/* Takes the next piece off the input; false at its end. */
static inline bool piece_next(struct bytes *input, struct piece *ret)
{
    if (input->len == 0)
        return false;
    uint8_t control = input->data[0];
    *ret = (struct piece){ control & 3, control >> 4, (enum piece_what)(control >> 2 & 3),
        { input->data, 0 } };
    *input = bytes_of(input->data + 1, input->len - 1);
    if (ret->what == PIECE_DROP || ret->what == PIECE_PASS)
        return true;
    if (input->len < 2)
        return false;
    size_t len = be_get16(input->data), left = input->len - 2;
    ret->bytes = bytes_of(input->data + 2, len < left ? len : left);
    *input = bytes_of(input->data + 2 + ret->bytes.len, left - ret->bytes.len);
    return true;
}

static inline void piece_write(struct out *out, const struct piece *piece)
{
    uint8_t head[3] = { (uint8_t)(piece->client | piece->what << 2 | piece->detail << 4) };
    bool with_bytes = piece->what == PIECE_FRAME || piece->what == PIECE_RAW;
    size_t len = piece->bytes.len < UINT16_MAX ? piece->bytes.len : UINT16_MAX;
    be_put16(head + 1, (uint16_t)len);
    out_bytes(out, head, with_bytes ? 3 : 1);
    if (with_bytes)
        out_bytes(out, piece->bytes.data, len);
}

#endif
