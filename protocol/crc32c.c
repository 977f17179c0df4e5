/*
 * See crc32c.h.
 *
 * The crc of a message is its polynomial times x^32 modulo Castagnoli's, with the register set to
 * ones before and inverted after. Two sides:
 *
 * - by table: slicing-by-8, eight table look-ups for eight bytes. Runs everywhere.
 * - by instruction: the crc32 instruction takes 8 bytes but answers after 3 cycles, so one stream
 *   uses a third of what the unit can do. Long runs are cut in three neighbouring lanes that are
 *   summed side by side:
 *
 *       |---- lane ----|---- lane ----|---- lane ----|
 *        a              b              c
 *
 *   and joined: crc = a * x^(16 lane) + b * x^(8 lane) + c. Each product is one carry-less
 *   multiplication by a constant, reduced by a crc instruction of its own. Lanes of 8 KiB, then
 *   1 KiB, then 256 bytes eat what there is; the rest goes through one stream.
 *
 * Because all this is linear, a change of a few bytes can be carried into the sum of a long run
 * without reading the run again (crc32c_patch); the inversions cancel.
 */
#include "protocol/crc32c.h"

#include <string.h>

#include "protocol/base/bytes.h"
#include "protocol/base/check.h"
#include "protocol/crc32c_tables.h"

uint32_t crc32c_by_table(uint32_t seed, const void *data, size_t len)
{
    const uint8_t *at = data;
    uint32_t crc = ~seed;
    for (; len >= 8; at += 8, len -= 8) {
        uint64_t word = le_get64(at) ^ crc;
        crc = slice[7][word & 0xff] ^ slice[6][word >> 8 & 0xff] ^ slice[5][word >> 16 & 0xff] ^
              slice[4][word >> 24 & 0xff] ^ slice[3][word >> 32 & 0xff] ^
              slice[2][word >> 40 & 0xff] ^ slice[1][word >> 48 & 0xff] ^ slice[0][word >> 56];
    }
    for (; len > 0; at++, len--)
        crc = crc >> 8 ^ slice[0][(crc ^ *at) & 0xff];
    return ~crc;
}

/* a * b modulo the polynomial; bit 31 is x^0. */
static uint32_t multiply(uint32_t a, uint32_t b)
{
    uint32_t product = 0;
    for (uint32_t bit = 1u << 31; bit != 0; bit >>= 1) {
        product ^= b & -(uint32_t)((a & bit) != 0);
        b = b >> 1 ^ (0x82f63b78u & -(b & 1));
    }
    return product;
}

/* The crc register after `len` zero bytes more. */
static uint32_t append_zeros(uint32_t crc, uint64_t len)
{
    for (int power = 0; len != 0; power++, len >>= 1) {
        if (len & 1)
            crc = multiply(crc, zeros[power]);
    }
    return crc;
}

uint32_t crc32c_combine(uint32_t crc_a, uint32_t crc_b, uint64_t len_b)
{
    return append_zeros(crc_a, len_b) ^ crc_b;
}

uint32_t crc32c_patch(uint32_t crc, uint32_t was, uint32_t is, uint64_t len_after)
{
    return crc ^ append_zeros(was ^ is, len_after);
}

#if defined(__x86_64__)

#include <immintrin.h>

#define BY_INSTRUCTION __attribute__((target("sse4.2,pclmul")))

bool crc32c_has_instruction(void)
{
    return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul");
}

BY_INSTRUCTION static inline uint64_t step8(uint64_t crc, const uint8_t *at)
{
    return _mm_crc32_u64(crc, le_get64(at));
}

BY_INSTRUCTION static inline uint64_t step1(uint64_t crc, uint8_t byte)
{
    return _mm_crc32_u8((uint32_t)crc, byte);
}

/* crc times the power of x behind `factor`. */
BY_INSTRUCTION static inline uint64_t fold(uint64_t crc, uint32_t factor)
{
    __m128i product =
        _mm_clmulepi64_si128(_mm_cvtsi64_si128((int64_t)crc), _mm_cvtsi32_si128((int)factor), 0);
    return _mm_crc32_u64(0, (uint64_t)_mm_cvtsi128_si64(product));
}

#elif defined(__aarch64__) && defined(__ARM_FEATURE_CRC32)

#include <arm_acle.h>

#define BY_INSTRUCTION

bool crc32c_has_instruction(void)
{
    return true;
}

static inline uint64_t step8(uint64_t crc, const uint8_t *at)
{
    return __crc32cd((uint32_t)crc, le_get64(at));
}

static inline uint64_t step1(uint64_t crc, uint8_t byte)
{
    return __crc32cb((uint32_t)crc, byte);
}

/* As above. The carry-less multiplication is an extension of its own there: do it by hand, three
 * times in some KiB. `factor` misses x^33 (see tools/crc32c_tables.py), which a multiplication
 * brings back. */
static inline uint64_t fold(uint64_t crc, uint32_t factor)
{
    return multiply(multiply((uint32_t)crc, factor), multiply(zeros[2], 1u << 30));
}

#else
#define NO_INSTRUCTION
#endif

#ifdef NO_INSTRUCTION

bool crc32c_has_instruction(void)
{
    return false;
}

uint32_t crc32c_by_instruction(uint32_t seed, const void *data, size_t len)
{
    return crc32c_by_table(seed, data, len);
}

#else

/* Eats whole triples of lanes. The constants must be known to the compiler: hence inline. */
BY_INSTRUCTION static inline uint64_t sum_lanes(uint64_t crc, const uint8_t **at, size_t *len,
    size_t lane, uint32_t fold_two, uint32_t fold_one)
{
    while (*len >= 3 * lane) {
        uint64_t second = 0, third = 0;
        const uint8_t *end = *at + lane;
        for (const uint8_t *a = *at; a < end; a += 8) {
            crc = step8(crc, a);
            second = step8(second, a + lane);
            third = step8(third, a + 2 * lane);
        }
        crc = fold(crc, fold_two) ^ fold(second, fold_one) ^ third;
        *at += 3 * lane;
        *len -= 3 * lane;
    }
    return crc;
}

BY_INSTRUCTION uint32_t crc32c_by_instruction(uint32_t seed, const void *data, size_t len)
{
    const uint8_t *at = data;
    uint64_t crc = (uint32_t)~seed;
    crc = sum_lanes(crc, &at, &len, LANE_8192, FOLD_8192_2, FOLD_8192_1);
    crc = sum_lanes(crc, &at, &len, LANE_1024, FOLD_1024_2, FOLD_1024_1);
    crc = sum_lanes(crc, &at, &len, LANE_256, FOLD_256_2, FOLD_256_1);
    for (; len >= 8; at += 8, len -= 8)
        crc = step8(crc, at);
    for (; len > 0; at++, len--)
        crc = step1(crc, *at);
    return ~(uint32_t)crc;
}

#endif

uint32_t crc32c(uint32_t seed, const void *data, size_t len)
{
    return crc32c_has_instruction() ? crc32c_by_instruction(seed, data, len)
                                    : crc32c_by_table(seed, data, len);
}
