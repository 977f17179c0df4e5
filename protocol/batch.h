/*
 * batch.h - Kafka's record batch, format 2 ("magic 2"): view, check, patch, validate.
 *
 *      0 base offset i64       21 attributes i16            43 producer id i64
 *      8 length i32 (behind)   23 last offset delta i32     51 producer epoch i16
 *     12 leader epoch i32      27 base timestamp i64        53 base sequence i32
 *     16 magic i8              35 max timestamp i64         57 count i32
 *     17 crc u32                                            61 records, compressed or not
 *
 * The crc (CRC-32C) covers everything from the attributes on, so base offset, length, leader epoch
 * and magic are not protected by it; a wrong length shows because the sum then covers other bytes,
 * a wrong magic because only 2 is accepted; base offset and leader epoch are the broker's own to
 * set.
 *
 * Source: KIP-98. What a broker accepts from a client: Kafka 4.3's behaviour, with the differences
 * listed at batch_validate.
 */
#ifndef PROTOCOL_BATCH_H
#define PROTOCOL_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/base/bytes.h"
#include "protocol/base/check.h"
#include "protocol/compress.h"

enum {
    BATCH_AT_BASE_OFFSET = 0,
    BATCH_AT_LENGTH = 8,
    BATCH_AT_LEADER_EPOCH = 12,
    BATCH_AT_MAGIC = 16,
    BATCH_AT_CRC = 17,
    BATCH_AT_ATTRIBUTES = 21,
    BATCH_AT_LAST_OFFSET_DELTA = 23,
    BATCH_AT_BASE_TIMESTAMP = 27,
    BATCH_AT_MAX_TIMESTAMP = 35,
    BATCH_AT_PRODUCER_ID = 43,
    BATCH_AT_PRODUCER_EPOCH = 51,
    BATCH_AT_BASE_SEQUENCE = 53,
    BATCH_AT_COUNT = 57,
    BATCH_HEADER_SIZE = 61,
    BATCH_PREFIX_SIZE = 12, /* base offset and length: what `length` does not count */
    BATCH_MAGIC = 2,

    BATCH_ATTRIBUTE_CODEC = 0x07, /* a mask: enum codec */
    BATCH_ATTRIBUTE_LOG_APPEND_TIME = 0x08,
    BATCH_ATTRIBUTE_TRANSACTIONAL = 0x10,
    BATCH_ATTRIBUTE_CONTROL = 0x20,
    BATCH_ATTRIBUTE_DELETE_HORIZON = 0x40, /* base timestamp is the horizon (KIP-534) */
};
/* The largest batch the length field can tell. */
#define BATCH_SIZE_MAX ((size_t)INT32_MAX + BATCH_PREFIX_SIZE)

/* What a look at some bytes came to. Fine enough for a broker to choose its error code. */
enum batch_outcome {
    BATCH_OK = 0,
    BATCH_END,             /* no bytes (left) */
    BATCH_PARTIAL,         /* the bytes end inside a batch */
    BATCH_BAD_SIZE,        /* the length field is less than a header takes */
    BATCH_BAD_MAGIC,       /* no format there ever was */
    BATCH_OLD_MAGIC,       /* formats 0 and 1 */
    BATCH_BAD_CRC,         /* the checksum differs */
    BATCH_NOT_ALONE,       /* bytes follow where one batch must be all */
    BATCH_BAD_OFFSET,      /* a client's base offset is not 0 */
    BATCH_TOO_LARGE,       /* larger than the rules allow */
    BATCH_BAD_COUNT,       /* no records, or offset range and count disagree */
    BATCH_CONTROL,         /* a control batch from a client */
    BATCH_BAD_SEQUENCE,    /* a producer id without a sequence */
    BATCH_CODEC_UNKNOWN,   /* codec 5, 6, 7 */
    BATCH_CODEC_REFUSED,   /* zstd from a request that is too old for it */
    BATCH_BAD_COMPRESSION, /* the records do not decompress */
    BATCH_BOMB,            /* they decompress to more than the rules allow */
    BATCH_BAD_RECORDS,     /* malformed, or not as many as declared */
    BATCH_BAD_TIMESTAMP,   /* some are out of range: see record_error */
    BATCH_NULL_KEY,        /* some lack a key where each needs one: see record_error */
    BATCH_NO_MEMORY,
    BATCH_OUTCOME_COUNT
};

/* A sentence part for people: "the checksum does not match". Static text. */
const char *batch_outcome_text(enum batch_outcome outcome);

/* ---- view ---------------------------------------------------------------------------------- */

/* The header, decoded; borrows the bytes. */
struct batch_view {
    const uint8_t *data;
    size_t size;          /* of the whole batch, prefix included */
    struct bytes records; /* as stored: compressed if the codec says so */
    int64_t base_offset;
    int32_t leader_epoch;
    uint32_t crc;
    uint16_t attributes;
    int32_t last_offset_delta;
    int64_t base_timestamp, max_timestamp;
    int64_t producer_id; /* -1: none */
    int16_t producer_epoch;
    int32_t base_sequence;
    int32_t count;
};

static inline enum codec batch_codec(const struct batch_view *batch)
{
    return (enum codec)(batch->attributes & BATCH_ATTRIBUTE_CODEC);
}
static inline bool batch_is_control(const struct batch_view *batch)
{
    return batch->attributes & BATCH_ATTRIBUTE_CONTROL;
}
static inline bool batch_is_transactional(const struct batch_view *batch)
{
    return batch->attributes & BATCH_ATTRIBUTE_TRANSACTIONAL;
}
static inline bool batch_is_log_append_time(const struct batch_view *batch)
{
    return batch->attributes & BATCH_ATTRIBUTE_LOG_APPEND_TIME;
}
static inline int64_t batch_last_offset(const struct batch_view *batch)
{
    return (int64_t)((uint64_t)batch->base_offset + (uint64_t)batch->last_offset_delta);
}
/* Sequences count from 0 to 2^31 - 1 and begin again; `by` >= 0. */
static inline int32_t batch_sequence_add(int32_t sequence, int32_t by)
{
    return (int32_t)(((uint32_t)sequence + (uint32_t)by) & INT32_MAX);
}
/* -1 if there is no sequence. */
static inline int32_t batch_last_sequence(const struct batch_view *batch)
{
    return batch->base_sequence < 0
               ? -1
               : batch_sequence_add(batch->base_sequence, batch->last_offset_delta);
}

/*
 * The batch at the beginning of `from`. BATCH_OK, BATCH_END, BATCH_PARTIAL, BATCH_BAD_SIZE,
 * BATCH_BAD_MAGIC or BATCH_OLD_MAGIC; only BATCH_OK fills `ret`. Believes the header: see
 * batch_check.
 */
enum batch_outcome batch_parse(struct bytes from, struct batch_view *ret) MUST_CHECK;
/* As batch_parse from the first BATCH_HEADER_SIZE bytes alone (a scan that does not read payloads):
 * `size` is that of the whole batch and may exceed `from`; `records` is null. */
enum batch_outcome batch_parse_header(struct bytes from, struct batch_view *ret) MUST_CHECK;
/* Takes the batch at the beginning of a run of batches off it. As batch_parse; the run is untouched
 * unless BATCH_OK. */
enum batch_outcome batch_next(struct bytes *run, struct batch_view *ret) MUST_CHECK;
/* The offset behind the last whole batch of a run; *ret_end stays as it is if there is none.
 * Returns what ended it: BATCH_END if all of it is whole batches. */
enum batch_outcome batch_run_end(struct bytes run, int64_t *ret_end);
/* BATCH_OK or BATCH_BAD_CRC. */
enum batch_outcome batch_check(const struct batch_view *batch) MUST_CHECK;

/*
 * The records, decompressed: the batch's own bytes or the compressor's scratch, valid until its
 * next use. -EBADMSG, -E2BIG (more than `size_max`), -ENOTSUP, -ENOMEM as of compressor_unpack().
 */
int batch_records(const struct batch_view *batch, struct compressor *compressor, size_t size_max,
    struct bytes *ret) MUST_CHECK;

/* ---- patches in place ---------------------------------------------------------------------- */

/* Not under the checksum. `batch` points to a whole batch. */
void batch_set_base_offset(uint8_t *batch, int64_t offset);
void batch_set_leader_epoch(uint8_t *batch, int32_t epoch);
/* The type of timestamps and the largest one; brings the checksum along (without reading the
 * records; it must be right before). Does nothing if nothing changes. */
void batch_set_timestamp(uint8_t *batch, bool log_append_time, int64_t max_timestamp);
/* Computes the checksum afresh. */
void batch_set_crc(uint8_t *batch);

/* ---- what a broker accepts ----------------------------------------------------------------- */

struct batch_rules {
    bool client;             /* false: from a coordinator, which may write control batches, any
                                offset range and no sequence */
    bool zstd_refused;       /* Produce before version 7 */
    bool keys_required;      /* a compacted topic */
    bool log_append_time;    /* message.timestamp.type; else the two limits apply */
    size_t size_max;         /* max.message.bytes: the whole batch, as it came */
    size_t decompressed_max; /* of the records */
    int64_t now_ms;
    int64_t before_max_ms, after_max_ms; /* INT64_MAX: no limit */
};

enum record_fault {
    RECORD_NO_KEY,
    RECORD_TIMESTAMP_RANGE, /* outside the limits */
    RECORD_TIMESTAMP_TYPE,  /* the client says LogAppendTime, which is the broker's to say */
};

struct record_error {
    int32_t index; /* in the batch */
    enum record_fault fault;
    int64_t timestamp;
};

enum { BATCH_ERRORS_MAX = 64 };

struct batch_verdict {
    enum batch_outcome outcome;
    struct bytes records;  /* decompressed, as of batch_records; null before that was reached */
    int64_t max_timestamp; /* to be set: the records' own, or now with log_append_time */
    bool rebuild;          /* to be rewritten with batch_rebuild before it may be stored */
    uint32_t error_count;  /* records at fault, with BATCH_BAD_TIMESTAMP and BATCH_NULL_KEY */
    struct record_error errors[BATCH_ERRORS_MAX]; /* the first of them */
};

/*
 * Whether the bytes of one partition in a produce request may be appended, in Kafka's order: one
 * batch and its format, zstd, base offset 0, size, checksum, offset range and count, no control
 * batch, sequence, then all records (as many as declared, well formed, nothing left over), then key
 * and timestamp of each. Reads only. BATCH_OK fills `ret_view` and means:
 *   - set base offset, leader epoch, and batch_set_timestamp(batch, rules.log_append_time,
 *     verdict.max_timestamp), then append; or
 *   - verdict.rebuild: batch_rebuild first. So it is if offsets inside are not 0, 1, 2, ... or if
 *     not everyone could read the compressed bytes (compress_portable).
 * `ret_view` is filled whenever a whole batch was found.
 *
 * Unlike Kafka: bytes behind the batch are refused even if they are no whole batch; offsets inside
 * are also looked at when nothing is compressed; lengths below -1 are errors, not nulls; varints
 * that exceed their type are errors; bytes behind the end of a compressed stream are errors; linked
 * lz4 blocks are rewritten, not refused; where a client says LogAppendTime for a CreateTime topic,
 * the records' own timestamps are judged (they are what will be read).
 */
void batch_validate(struct bytes from, const struct batch_rules *rules,
    struct compressor *compressor, struct batch_view *ret_view, struct batch_verdict *ret);

/*
 * Appends the batch anew to `out`: offsets 0 to n - 1, `codec` at `level`, all else kept,
 * timestamps as of batch_set_timestamp. `verdict` is the one of batch_validate with outcome
 * BATCH_OK; its records must still be valid. Also for a topic whose compression.type differs from
 * the batch's codec. 0, -ENOMEM, -E2BIG (not representable), -ENOTSUP.
 */
struct batch_recoding {
    enum codec codec;
    int level;
    bool log_append_time;
};
int batch_rebuild(const struct batch_view *batch, const struct batch_verdict *verdict,
    const struct batch_recoding *recoding, struct compressor *compressor,
    struct out *out) MUST_CHECK;

#endif
