/* CRC-32C: known answers, and both of its sides against each other and against the definition. */
#include "protocol/crc32c.h"

#include <string.h>

#include "protocol/base/random.h"
#include "tests/test.h"

/* The definition, bit by bit: what the fast sides must give. */
static uint32_t by_definition(uint32_t seed, const uint8_t *data, size_t len)
{
    uint32_t crc = ~seed;
    for (size_t i = 0; i < len; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
    }
    return ~crc;
}

/* RFC 3720, B.4. */
TEST(crc32c, known_answers)
{
    uint8_t bytes[48];
    memset(bytes, 0, 32);
    cr_assert_eq(crc32c(0, bytes, 32), 0x8a9136aau);
    cr_assert_eq(crc32c_by_table(0, bytes, 32), 0x8a9136aau);
    memset(bytes, 0xff, 32);
    cr_assert_eq(crc32c(0, bytes, 32), 0x62a8ab43u);
    for (int i = 0; i < 32; i++)
        bytes[i] = (uint8_t)i;
    cr_assert_eq(crc32c(0, bytes, 32), 0x46dd794eu);
    for (int i = 0; i < 32; i++)
        bytes[i] = (uint8_t)(31 - i);
    cr_assert_eq(crc32c(0, bytes, 32), 0x113fdb5cu);
    const uint8_t scsi_read[48] = { 0x01,
        0xc0, [16] = 0x14, [22] = 0x04, [27] = 0x14, [31] = 0x18, [32] = 0x28, [40] = 0x02 };
    cr_assert_eq(crc32c(0, scsi_read, 48), 0xd9963a56u);
    cr_assert_eq(crc32c_by_table(0, scsi_read, 48), 0xd9963a56u);
    cr_assert_eq(crc32c(0, "123456789", 9), 0xe3069283u);
    cr_assert_eq(crc32c(0, NULL, 0), 0);
    cr_assert_eq(crc32c(0x1234, NULL, 0), 0x1234);
}

enum { SIZE = 3 * 8192 * 2 + 5000 };

static void expect_same(uint32_t seed, const uint8_t *data, size_t len)
{
    uint32_t want = by_definition(seed, data, len);
    cr_assert_eq(crc32c_by_table(seed, data, len), want, "table, %zu bytes", len);
    cr_assert_eq(crc32c(seed, data, len), want, "chosen side, %zu bytes", len);
    if (crc32c_has_instruction())
        cr_assert_eq(crc32c_by_instruction(seed, data, len), want, "instruction, %zu bytes", len);
}

TEST(crc32c, sides_agree_on_every_length_and_alignment)
{
    static uint8_t bytes[SIZE + 8];
    struct random random = random_seeded(1);
    random_bytes(&random, bytes, sizeof(bytes));
    for (size_t len = 0; len < 900; len++)
        expect_same((uint32_t)random_u64(&random), bytes + len % 8, len);
    /* Around each size at which the lanes change. */
    const size_t edges[] = { 768, 1536, 3072, 3840, 24576, 27648, 49152, SIZE };
    for (size_t i = 0; i < sizeof(edges) / sizeof(edges[0]); i++) {
        for (size_t less = 0; less < 9; less++)
            expect_same((uint32_t)random_u64(&random), bytes + less % 8, edges[i] - less);
    }
    for (int i = 0; i < 200; i++)
        expect_same((uint32_t)random_u64(&random), bytes + random_below(&random, 8),
            random_below(&random, SIZE));
}

TEST(crc32c, continues_combines_and_patches)
{
    static uint8_t bytes[SIZE];
    struct random random = random_seeded(2);
    random_bytes(&random, bytes, sizeof(bytes));
    for (int i = 0; i < 200; i++) {
        size_t len = random_below(&random, SIZE), cut = random_below(&random, len + 1);
        uint32_t whole = crc32c(0, bytes, len), front = crc32c(0, bytes, cut);
        cr_assert_eq(crc32c(front, bytes + cut, len - cut), whole);
        uint32_t back = crc32c(0, bytes + cut, len - cut);
        cr_assert_eq(crc32c_combine(front, back, len - cut), whole);

        /* Bytes [cut, end) change: the sum of the whole follows from their own sums. */
        size_t end = cut + random_below(&random, len - cut + 1);
        uint32_t was = crc32c(0, bytes + cut, end - cut);
        random_bytes(&random, bytes + cut, end - cut);
        uint32_t is = crc32c(0, bytes + cut, end - cut);
        cr_assert_eq(crc32c_patch(whole, was, is, len - end), crc32c(0, bytes, len));
    }
}

/* A terabyte of zeros behind a byte, at once and by the GiB. */
TEST(crc32c, combines_beyond_32_bits_of_length)
{
    enum { PIECES = 1 << 10 };
    const uint64_t piece_len = UINT64_C(1) << 30;
    uint32_t piece = crc32c(0, "\0", 1);
    for (uint64_t len = 1; len < piece_len; len *= 2)
        piece = crc32c_combine(piece, piece, len); /* 2^30 zeros */
    uint32_t step_by_step = crc32c(0, "x", 1), whole = 0;
    for (int i = 0; i < PIECES; i++) {
        step_by_step = crc32c_combine(step_by_step, piece, piece_len);
        whole = crc32c_combine(whole, piece, piece_len);
    }
    cr_assert_eq(crc32c_combine(crc32c(0, "x", 1), whole, PIECES * piece_len), step_by_step);
}
