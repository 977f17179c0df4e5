/* Kafka's key hash: the answers of the Java client (UtilsTest, kafka-clients 4.3.1). */
#include "protocol/murmur2.h"

#include "tests/test.h"

static int32_t hash(const char *text)
{
    return (int32_t)murmur2(bytes_text(text));
}

TEST(murmur2, known_answers)
{
    cr_assert_eq(hash("21"), -973932308);
    cr_assert_eq(hash("foobar"), -790332482);
    cr_assert_eq(hash("a-little-bit-long-string"), -985981536);
    cr_assert_eq(hash("a-little-bit-longer-string"), -1486304829);
    cr_assert_eq(hash("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8"), -58897971);
    cr_assert_eq(hash("abc"), 479470107);
    cr_assert_eq(hash(""), 275646681);
}

TEST(murmur2, every_tail_and_bytes_beyond_ascii)
{
    const uint8_t bytes[] = { 0xff, 0x80, 0x00, 0xfe, 0x81, 0x7f, 0xc3 };
    const int32_t want[] = { 275646681, -311467685, -442788720, -616959190, 218625671, 1700763136,
        -208892454, -1530022663 };
    for (size_t len = 0; len <= sizeof(bytes); len++)
        cr_assert_eq((int32_t)murmur2(bytes_of(bytes, len)), want[len], "%zu bytes", len);
}

TEST(murmur2, partition_is_never_negative)
{
    cr_assert_eq(murmur2_partition(bytes_text("21"), 1), 0);
    cr_assert_eq(murmur2_partition(bytes_text("21"), 1000), (-973932308 & 0x7fffffff) % 1000);
    cr_assert_eq(murmur2_partition(bytes_text("abc"), 7), 479470107 % 7);
    cr_assert_eq(murmur2_partition(bytes_text("foobar"), INT32_MAX), -790332482 & 0x7fffffff);
}
