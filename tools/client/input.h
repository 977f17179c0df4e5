/*
 * input.h - a file or pipe cut into records by a delimiter.
 */
#ifndef CLIENT_INPUT_H
#define CLIENT_INPUT_H

#include <stdbool.h>

#include "protocol/base/bytes.h"

struct input {
    int fd;                 /* borrowed */
    struct bytes delimiter; /* borrowed, not empty */
    size_t record_max;      /* longer records are skipped and told */
    uint8_t *data;
    size_t capacity, from, to; /* data[from..to) is read and not yet given out */
    size_t searched;           /* data[from..from + searched) holds no delimiter */
    bool ended, skipping;
    uint64_t number; /* of the record given out last, from 1 */
};

enum input_result {
    INPUT_RECORD,   /* one more */
    INPUT_TOO_LONG, /* one that exceeds record_max was left out */
    INPUT_EMPTY,    /* nothing more in memory: wait until fd is readable, then input_fill */
    INPUT_END,
};

void input_init(struct input *input, int fd, struct bytes delimiter, size_t record_max);
void input_done(struct input *input);
/* Read once from fd (which blocks if it has nothing): 0 or -errno. At the end of the file what is
 * left without a delimiter is the last record. */
int input_fill(struct input *input) MUST_CHECK;
/* `ret` is valid until the next input_fill. */
enum input_result input_next(struct input *input, struct bytes *ret) MUST_CHECK;

#endif
