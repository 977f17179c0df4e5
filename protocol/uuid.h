/*
 * uuid.h - Kafka's 16-byte ids of topics, clusters and directories, and their text form.
 *
 * The text is base64url without padding, always 22 characters ("kPv2vGN7QMu6IY2vQWNKwA"). On the
 * wire an uuid is its 16 bytes; all zero means "none".
 */
#ifndef PROTOCOL_UUID_H
#define PROTOCOL_UUID_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "protocol/base/bytes.h"

struct random;

enum { UUID_TEXT_LEN = 22 };

struct uuid {
    uint8_t b[16];
};

static inline bool uuid_equal(struct uuid a, struct uuid b)
{
    return memcmp(a.b, b.b, sizeof(a.b)) == 0;
}

bool uuid_zero(struct uuid uuid);
/* Writes 22 characters and a NUL. */
void uuid_text(struct uuid uuid, char text[UUID_TEXT_LEN + 1]);
/* 0 or -EINVAL: not 22 characters of the alphabet, or bits set behind the 128th. */
int uuid_parse(struct bytes text, struct uuid *ret_uuid) MUST_CHECK;
/*
 * A fresh id (version 4): never zero, never one of the ids Kafka reserves (those whose first 15
 * bytes are zero), and its text never begins with '-', which a command line would take for an
 * option.
 */
struct uuid uuid_random(struct random *random);

#endif
