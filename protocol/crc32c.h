/*
 * crc32c.h - CRC-32C (Castagnoli), the checksum of Kafka's record batches (RFC 3720, B.4).
 *
 * Pure functions, usable from any thread. Which instructions run is decided at run time; every side
 * gives the same number.
 */
#ifndef PROTOCOL_CRC32C_H
#define PROTOCOL_CRC32C_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The checksum of `len` bytes. `seed` is 0, or the checksum of the bytes before these. `data` may
 * be NULL when `len` is 0. */
uint32_t crc32c(uint32_t seed, const void *data, size_t len);

/* The checksum of A followed by B, from the checksum of each and the size of B. Costs no reading:
 * about log2(len_b) multiplications. */
uint32_t crc32c_combine(uint32_t crc_a, uint32_t crc_b, uint64_t len_b);

/* The checksum of a run of bytes after some of them changed: `crc` is the checksum of the whole run
 * before, `was` and `is` are the checksums of the changed part alone, `len_after` is the count of
 * (unchanged) bytes that follow it. */
uint32_t crc32c_patch(uint32_t crc, uint32_t was, uint32_t is, uint64_t len_after);

/* The two sides behind crc32c(), for tests and benches. Call crc32c_by_instruction only when
 * crc32c_has_instruction() says so. */
uint32_t crc32c_by_table(uint32_t seed, const void *data, size_t len);
bool crc32c_has_instruction(void);
uint32_t crc32c_by_instruction(uint32_t seed, const void *data, size_t len);

#endif
