/*
 * marks.h - where lengths, counts and texts lie in the bytes of a message.
 *
 * Walks bytes that are known to be right by the tables of the schema, by a path of its own: nothing
 * here calls the codec. So it is also a second reader of the grammar: what it does not understand
 * is a CHECK.
 */
#ifndef TESTS_FUZZ_MARKS_H
#define TESTS_FUZZ_MARKS_H

#include <stddef.h>
#include <stdint.h>

#include "protocol/codec.h"

enum mark_kind {
    MARK_LENGTH,   /* of a string, bytes or records */
    MARK_COUNT,    /* of an array */
    MARK_TAGS,     /* number of tagged fields */
    MARK_TAG_SIZE, /* of a tagged field */
    MARK_PRESENCE, /* of a nullable struct */
    MARK_TEXT,     /* the bytes of a string that is not empty */
};

enum mark_form { MARK_FIXED_1, MARK_FIXED_2, MARK_FIXED_4, MARK_COMPACT, MARK_UVARINT, MARK_RUN };

struct mark {
    size_t at, size; /* in the bytes given */
    enum mark_kind kind;
    enum mark_form form; /* how a number is written there; MARK_COMPACT is one more than it means */
};

enum { MARKS_MAX = 1024 };

struct marks {
    struct mark items[MARKS_MAX];
    size_t count;
    size_t end; /* of the message */
};

/* Of one message body at the beginning of `wire`. */
void marks_find(
    struct marks *marks, const struct message *message, int16_t version, struct bytes wire);
/* The number `value` as it stands at such a mark; returns how many bytes, at most 5. */
size_t mark_write(const struct mark *mark, int64_t value, uint8_t *to);

#endif
