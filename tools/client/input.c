/*
 * input.c - one buffer, read into at its end, given out from its start.
 *
 *     data:  | given out | from ... searched ... to | free |
 *
 * input_fill moves what is left to the front and doubles the buffer only when it is full, up to
 * record_max and one delimiter. A record that does not fit then is dropped piece by piece
 * (`skipping`) until its delimiter comes.
 */
#include "tools/client/input.h"

#include <errno.h>
#include <unistd.h>

#include "protocol/base/mem.h"

enum { READ_SIZE = 256 * 1024 };

void input_init(struct input *input, int fd, struct bytes delimiter, size_t record_max)
{
    CHECK(delimiter.len > 0);
    *input = (struct input){ .fd = fd, .delimiter = delimiter, .record_max = record_max };
}

void input_done(struct input *input)
{
    mem_free(input->data);
    input->data = NULL;
}

static void make_room(struct input *input)
{
    size_t left = input->to - input->from;
    size_t most = input->record_max + input->delimiter.len + READ_SIZE;

    if (left > 0 && input->from > 0)
        memmove(input->data, input->data + input->from, left);
    input->from = 0;
    input->to = left;
    if (input->capacity - left >= READ_SIZE)
        return;
    size_t larger = input->capacity * 2 > left + READ_SIZE ? input->capacity * 2 : left + READ_SIZE;
    input->capacity = larger < most ? larger : most;
    input->data = mem_realloc(input->data, input->capacity);
}

int input_fill(struct input *input)
{
    make_room(input);
    ssize_t got = read(input->fd, input->data + input->to, input->capacity - input->to);
    if (got < 0)
        return errno == EINTR ? 0 : -errno;
    if (got == 0)
        input->ended = true;
    input->to += (size_t)got;
    return 0;
}

/* Where the next delimiter begins, or NULL; remembers what was searched in vain. */
static const uint8_t *find_delimiter(struct input *input)
{
    size_t left = input->to - input->from, len = input->delimiter.len;
    const uint8_t *start = input->data + input->from;
    const uint8_t *at =
        memmem(start + input->searched, left - input->searched, input->delimiter.data, len);

    if (!at)
        input->searched = left >= len ? left - (len - 1) : 0;
    return at;
}

/* data[from..from + len) and `behind` more bytes leave the buffer. */
static enum input_result give(struct input *input, size_t len, size_t behind, struct bytes *ret)
{
    bool too_long = input->skipping || len > input->record_max;

    *ret = bytes_of(input->data + input->from, len);
    input->from += len + behind;
    input->searched = 0;
    input->skipping = false;
    input->number++;
    return too_long ? INPUT_TOO_LONG : INPUT_RECORD;
}

enum input_result input_next(struct input *input, struct bytes *ret)
{
    size_t left = input->to - input->from;
    const uint8_t *at = left > 0 ? find_delimiter(input) : NULL;

    if (at)
        return give(input, (size_t)(at - (input->data + input->from)), input->delimiter.len, ret);
    if (input->ended)
        return left > 0 || input->skipping ? give(input, left, 0, ret) : INPUT_END;
    if (left > input->record_max + input->delimiter.len) {
        /* Keep only what may be the start of a delimiter. */
        input->from = input->to - (input->delimiter.len - 1);
        input->searched = 0;
        input->skipping = true;
    }
    return INPUT_EMPTY;
}
