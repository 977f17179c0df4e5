/* See uuid.h. 128 bits are 21 characters of 6 bits and one of 2, whose low 4 bits must be zero. */
#include "protocol/uuid.h"

#include <errno.h>

#include "protocol/base/random.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

bool uuid_zero(struct uuid uuid)
{
    return uuid_equal(uuid, (struct uuid){ { 0 } });
}

void uuid_text(struct uuid uuid, char text[UUID_TEXT_LEN + 1])
{
    uint32_t bits = 0;
    int held = 0, written = 0;
    for (size_t i = 0; i < sizeof(uuid.b); i++) {
        bits = bits << 8 | uuid.b[i];
        for (held += 8; held >= 6; held -= 6)
            text[written++] = alphabet[bits >> (held - 6) & 63];
    }
    text[written++] = alphabet[bits << (6 - held) & 63];
    text[written] = '\0';
}

int uuid_parse(struct bytes text, struct uuid *ret_uuid)
{
    struct uuid uuid;
    uint32_t bits = 0;
    int held = 0;
    size_t written = 0;
    if (text.len != UUID_TEXT_LEN)
        return -EINVAL;
    for (size_t i = 0; i < text.len; i++) {
        const char *at = text.data[i] ? strchr(alphabet, text.data[i]) : NULL;
        if (!at)
            return -EINVAL;
        bits = bits << 6 | (uint32_t)(at - alphabet);
        held += 6;
        if (held >= 8) {
            held -= 8;
            uuid.b[written++] = (uint8_t)(bits >> held);
        }
    }
    if (bits & ((1u << held) - 1))
        return -EINVAL;
    *ret_uuid = uuid;
    return 0;
}

static bool reserved(struct uuid uuid)
{
    static const uint8_t zeros[15];
    return memcmp(uuid.b, zeros, sizeof(zeros)) == 0;
}

struct uuid uuid_random(struct random *random)
{
    for (;;) {
        struct uuid uuid;
        random_bytes(random, uuid.b, sizeof(uuid.b));
        uuid.b[6] = (uint8_t)((uuid.b[6] & 0x0f) | 0x40);
        uuid.b[8] = (uint8_t)((uuid.b[8] & 0x3f) | 0x80);
        if (!reserved(uuid) && uuid.b[0] >> 2 != 62)
            return uuid;
    }
}
