/* See varint.h. */
#include "protocol/varint.h"

const uint8_t *varint_read_raw(const uint8_t *at, const uint8_t *end, int bits, uint64_t *ret)
{
    uint64_t value = 0;
    for (int shift = 0; shift < bits && at < end; shift += 7) {
        uint8_t byte = *at++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            if (bits - shift < 7 && byte >> (bits - shift) != 0)
                return NULL;
            *ret = value;
            return at;
        }
    }
    return NULL;
}
