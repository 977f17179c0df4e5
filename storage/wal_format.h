/*
 * wal_format.h - the bytes of write-ahead files. For wal*.c, tests and tools that look into them.
 *
 *   file    one block of 4096 bytes with the file's header, twice (at 0 and at 2048, so that a
 *           write torn at any sector leaves one whole), then records
 *   record  a header of 64 bytes, then the payload, zeros up to a multiple of 64
 *
 * A record's header carries the hash of the header before it (its chain), so a record is valid only
 * behind the one it was written behind. Its magic and checksum are mixed with the directory's
 * random id, which never leaves the directory: bytes that a client sends can't pass for a header.
 *
 * Little-endian. To change the format: raise WAL_FORMAT, keep reading the old one.
 */
#ifndef STORAGE_WAL_FORMAT_H
#define STORAGE_WAL_FORMAT_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol/base/check.h"

enum {
    WAL_FORMAT = 1,
    WAL_BLOCK = 4096,
    WAL_HEAD_SIZE = 64, /* and what records are aligned to */
    WAL_FILE_HEAD_COPY = 2048,
    WAL_FILE_BYTES_MIN = 64 << 10,
    WAL_FILE_BYTES_MAX = 1 << 30,
};

/* No log comes that far, and no header of a file says so. */
static const uint64_t wal_lsn_max = UINT64_MAX >> 2;

/* What all files of a directory share. */
struct wal_format {
    uint64_t directory_id; /* random, secret */
    uint32_t file_bytes;   /* a power of two */
};

struct wal_file_head {
    struct wal_format format;
    uint64_t number; /* the file holds lsn number * file_bytes and on */
    uint64_t chain;  /* of the file's first record */
    uint32_t incarnation;
};

void wal_file_head_encode(uint8_t *block, const struct wal_file_head *head);
/* -ENODATA: neither copy is a header; -EPROTONOSUPPORT: of a format we do not know. Of two whole
 * copies the one with the greater number counts: the write of the block was torn. */
int wal_file_head_decode(const uint8_t *block, struct wal_file_head *ret_head) MUST_CHECK;

enum wal_record_flag {
    WAL_MORE = 1, /* more records of this group follow */
};

struct wal_record {
    uint64_t lsn;
    uint64_t durable_lsn; /* was durable when the record was made */
    uint64_t chain;       /* wal_record_chain of the header before */
    int64_t base_offset;  /* WAL_RESUME: the lsn where the log before had ended */
    uint32_t len, checked_len;
    uint32_t payload_crc; /* crc32c of the first checked_len bytes */
    uint32_t log;
    uint32_t incarnation; /* counts wal_open */
    uint8_t type, flags;
};

void wal_record_encode(
    uint8_t *head, const struct wal_record *record, const struct wal_format *format);
/* False: not a header of this directory, or one that says what can't be. A record that decodes lies
 * wholly inside its file. */
bool wal_record_decode(
    const uint8_t *head, struct wal_record *ret_record, const struct wal_format *format) MUST_CHECK;
/* The first four bytes of every header, for those who search. */
uint32_t wal_record_magic(const struct wal_format *format);
uint64_t wal_record_chain(const uint8_t *head, const struct wal_format *format);

static inline uint64_t wal_round_up(uint64_t value, uint64_t power_of_two)
{
    return (value + power_of_two - 1) & ~(power_of_two - 1);
}

#endif
