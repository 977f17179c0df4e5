/* See wal_format.h. */
#include "storage/wal_format.h"

#include <errno.h>
#include <string.h>
#include <xxhash.h>

#include "protocol/base/bytes.h"
#include "protocol/crc32c.h"
#include "storage/barriers.h"
#include "storage/wal.h"

enum { RECORD_MAGIC = 0x4c41576d };
static const uint8_t file_magic[8] = { 'M', 'R', 'W', 'A', 'L', 'F', 'I', 'L' };

/* A file's header:  0 magic  8 format  12 file_bytes  16 number  24 directory_id  32 chain
 * 40 incarnation  44 zeros  60 crc32c of the 60 bytes before. */
enum { FILE_HEAD_CRC = 60 };

void wal_file_head_encode(uint8_t *block, const struct wal_file_head *head)
{
    memset(block, 0, WAL_BLOCK);
    memcpy(block, file_magic, sizeof(file_magic));
    le_put32(block + 8, WAL_FORMAT);
    le_put32(block + 12, head->format.file_bytes);
    le_put64(block + 16, head->number);
    le_put64(block + 24, head->format.directory_id);
    le_put64(block + 32, head->chain);
    le_put32(block + 40, head->incarnation);
    le_put32(block + FILE_HEAD_CRC, crc32c(0, block, FILE_HEAD_CRC));
    memcpy(block + WAL_FILE_HEAD_COPY, block, WAL_HEAD_SIZE);
}

static int file_head_decode_copy(const uint8_t *at, struct wal_file_head *ret_head)
{
    if (memcmp(at, file_magic, sizeof(file_magic)) != 0 ||
        (BARRIER(WAL_FILE_HEAD_CRC) &&
            le_get32(at + FILE_HEAD_CRC) != crc32c(0, at, FILE_HEAD_CRC)))
        return -ENODATA;
    if (le_get32(at + 8) != WAL_FORMAT)
        return -EPROTONOSUPPORT;
    uint32_t file_bytes = le_get32(at + 12);
    uint64_t number = le_get64(at + 16);
    if (file_bytes < WAL_FILE_BYTES_MIN || file_bytes > WAL_FILE_BYTES_MAX ||
        (file_bytes & (file_bytes - 1)) || number > wal_lsn_max / file_bytes)
        return -ENODATA;
    *ret_head = (struct wal_file_head){
        .format = { .directory_id = le_get64(at + 24), .file_bytes = file_bytes },
        .number = number,
        .chain = le_get64(at + 32),
        .incarnation = le_get32(at + 40),
    };
    return 0;
}

int wal_file_head_decode(const uint8_t *block, struct wal_file_head *ret_head)
{
    struct wal_file_head first, second;
    int first_status = file_head_decode_copy(block, &first);
    int second_status = file_head_decode_copy(block + WAL_FILE_HEAD_COPY, &second);
    if (first_status == 0 && (second_status < 0 || first.number >= second.number))
        *ret_head = first;
    else if (second_status == 0)
        *ret_head = second;
    else
        return first_status == -EPROTONOSUPPORT ? first_status : second_status;
    return 0;
}

uint32_t wal_record_magic(const struct wal_format *format)
{
    return RECORD_MAGIC ^ (uint32_t)format->directory_id;
}

/* A record's header:  0 magic  4 crc32c of what follows  8 lsn  16 durable_lsn  24 chain
 * 32 base_offset  40 len  44 checked_len  48 payload_crc  52 log  56 incarnation  60 type  61 flags
 * 62 format  63 zero. */
static uint32_t record_crc(const uint8_t *head, const struct wal_format *format)
{
    return crc32c((uint32_t)(format->directory_id >> 32), head + 8, WAL_HEAD_SIZE - 8);
}

void wal_record_encode(
    uint8_t *head, const struct wal_record *record, const struct wal_format *format)
{
    le_put32(head, wal_record_magic(format));
    le_put64(head + 8, record->lsn);
    le_put64(head + 16, record->durable_lsn);
    le_put64(head + 24, record->chain);
    le_put64(head + 32, (uint64_t)record->base_offset);
    le_put32(head + 40, record->len);
    le_put32(head + 44, record->checked_len);
    le_put32(head + 48, record->payload_crc);
    le_put32(head + 52, record->log);
    le_put32(head + 56, record->incarnation);
    head[60] = record->type;
    head[61] = record->flags;
    head[62] = WAL_FORMAT;
    head[63] = 0;
    le_put32(head + 4, record_crc(head, format));
}

static bool record_is_sane(const struct wal_record *record, const struct wal_format *format)
{
    uint64_t at = record->lsn % format->file_bytes;
    bool user = record->type >= WAL_USER;
    bool pad = record->type == WAL_PAD;
    if (pad ? (at + WAL_HEAD_SIZE + record->len) % WAL_BLOCK != 0 : !user && record->len != 0)
        return false;
    return record->lsn % WAL_HEAD_SIZE == 0 && record->lsn <= UINT64_MAX >> 1 && at >= WAL_BLOCK &&
           at + WAL_HEAD_SIZE + record->len <= format->file_bytes &&
           record->checked_len <= record->len && record->durable_lsn <= record->lsn &&
           (user || pad || record->type == WAL_MARK || record->type == WAL_RESUME) &&
           (record->flags == 0 || (user && record->flags == WAL_MORE));
}

bool wal_record_decode(
    const uint8_t *head, struct wal_record *ret_record, const struct wal_format *format)
{
    if (le_get32(head) != wal_record_magic(format) ||
        (BARRIER(WAL_HEAD_CRC) && le_get32(head + 4) != record_crc(head, format)) ||
        head[62] != WAL_FORMAT)
        return false;
    struct wal_record record = {
        .lsn = le_get64(head + 8),
        .durable_lsn = le_get64(head + 16),
        .chain = le_get64(head + 24),
        .base_offset = (int64_t)le_get64(head + 32),
        .len = le_get32(head + 40),
        .checked_len = le_get32(head + 44),
        .payload_crc = le_get32(head + 48),
        .log = le_get32(head + 52),
        .incarnation = le_get32(head + 56),
        .type = head[60],
        .flags = head[61],
    };
    if (!record_is_sane(&record, format))
        return false;
    *ret_record = record;
    return true;
}

uint64_t wal_record_chain(const uint8_t *head, const struct wal_format *format)
{
    return XXH3_64bits_withSeed(head, WAL_HEAD_SIZE, format->directory_id);
}
