/*
 * record.h - the records inside a batch: walk them, build a batch of them, control records.
 *
 *     record: varint length | int8 attributes | varlong timestamp delta | varint offset delta
 *           | varint key len (-1: null) key | varint value len (-1: null) value
 *           | varint header count | { varint key len, key, varint value len (-1: null), value }
 *
 * All varints are zig-zag (varint.h). `length` counts the bytes behind itself. Offset and timestamp
 * are relative to the batch's base. Source: KIP-98, KIP-82 (headers).
 *
 * Everything handed out borrows from the records' bytes and is valid as long as they are.
 */
#ifndef PROTOCOL_RECORD_H
#define PROTOCOL_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/base/bytes.h"
#include "protocol/base/check.h"
#include "protocol/batch.h"
#include "protocol/compress.h"
#include "protocol/varint.h"

/* ---- reading ------------------------------------------------------------------------------- */

/* One record. A builder takes the same struct and looks at the fields marked (*) only. */
struct record_view {
    int64_t offset;
    int64_t timestamp;    /* (*) ms; the batch's if that says LogAppendTime */
    struct bytes key;     /* (*) data NULL: null */
    struct bytes value;   /* (*) data NULL: null */
    struct bytes headers; /* (*) encoded, see record_header_next */
    int32_t header_count; /* (*) */
    int32_t offset_delta; /* as encoded */
    int64_t timestamp_delta;
    struct bytes whole; /* the encoded record with its length in front */
};

struct record_header {
    struct bytes key;   /* never null; UTF-8 by convention, not checked */
    struct bytes value; /* data NULL: null */
};

struct record_reader {
    const uint8_t *at, *end;
    int32_t left; /* records still expected */
    int64_t base_offset, base_timestamp;
    int64_t append_time; /* of every record, if has_append_time */
    bool has_append_time;
    int error; /* sticky */
};

/* Over the records of `batch`; `records` are its decompressed bytes (see batch_records). */
void record_reader_init(
    struct record_reader *reader, const struct batch_view *batch, struct bytes records);
/* True with the next record; false at the end or at an error: ask record_reader_end then. */
bool record_next(struct record_reader *reader, struct record_view *ret);
/* After record_next said false: 0 if that was the end, -EBADMSG if the bytes are no records, or
 * more or fewer than the batch declares. */
int record_reader_end(const struct record_reader *reader) MUST_CHECK;

/* Takes the next header from the run. False when none is left (or the run is not from a record). */
bool record_header_next(struct bytes *headers, struct record_header *ret);

/* Takes one record from [*at, end) with everything in it checked; fills all of `ret` but offset
 * and timestamp. False if it is malformed. Inline because validation runs it for each record. */
static inline bool record_parse(const uint8_t **at, const uint8_t *end, struct record_view *ret);

/* ---- building ------------------------------------------------------------------------------ */

/* Appends one header to an encoded run. */
void record_header_add(struct out *headers, struct bytes key, struct bytes value);

/* What a new batch says of itself. Start from batch_options_plain or batch_options_like. */
struct batch_options {
    enum codec codec;
    int level;
    int64_t base_offset;
    int32_t leader_epoch;
    int64_t producer_id; /* -1: none; then epoch and sequence are -1 as well */
    int16_t producer_epoch;
    int32_t base_sequence;
    uint16_t attributes;       /* BATCH_ATTRIBUTE_*, the codec's bits left out */
    int64_t max_timestamp;     /* with BATCH_ATTRIBUTE_LOG_APPEND_TIME, or without records; else
                                  it is the records' own */
    int64_t base_timestamp;    /* or BATCH_TIMESTAMP_OF_FIRST */
    int32_t last_offset_delta; /* or -1: the last record's */
};
#define BATCH_TIMESTAMP_OF_FIRST INT64_MIN

/* Offset 0, no producer, leader epoch -1, CreateTime. */
struct batch_options batch_options_plain(enum codec codec);
/* All as in `batch`, its codec at the default level, base timestamp and last offset kept: for a
 * batch that loses some of its records. */
struct batch_options batch_options_like(const struct batch_view *batch);

struct batch_builder {
    struct batch_options options;
    struct out records; /* encoded, not compressed */
    int32_t count;
    int32_t last_delta; /* -1: no record yet */
    int64_t base_timestamp, max_timestamp;
};

/* Zeroed or used before: the memory is used again. */
void batch_builder_begin(struct batch_builder *builder, const struct batch_options *options);
void batch_builder_done(struct batch_builder *builder);
/* Size of the finished batch as it stands, and with one record more, before compression.
 * (Compression makes incompressible data a little larger, by less than 1 % + 64 bytes.) */
size_t batch_builder_size(const struct batch_builder *builder);
size_t batch_builder_size_with(
    const struct batch_builder *builder, const struct record_view *record);
/* At the offset after the last. -E2BIG: the batch would not be representable (2 GiB, 2^31 records);
 * -ENOMEM. A refused record changes nothing. */
int batch_builder_append(
    struct batch_builder *builder, const struct record_view *record) MUST_CHECK;
/* At base offset + `offset_delta`, which must be beyond the last: else -EINVAL. */
int batch_builder_append_at(struct batch_builder *builder, int32_t offset_delta,
    const struct record_view *record) MUST_CHECK;
/* The encoded record as it is, for a builder with options like the batch it comes from. */
int batch_builder_copy(struct batch_builder *builder, const struct record_view *record) MUST_CHECK;
/* Appends the batch with its checksum to `out`. The builder stays as it is. Errors: -ENOMEM,
 * -E2BIG, -ENOTSUP; `out` is as long as before then. Without records the batch is not compressed
 * and its base timestamp is -1 (unless that is a delete horizon). `compressor` may be NULL for
 * CODEC_NONE. */
int batch_builder_finish(
    struct batch_builder *builder, struct compressor *compressor, struct out *out) MUST_CHECK;

/* ---- control records ----------------------------------------------------------------------- */

/* The type in a control record's key. */
enum control_type {
    CONTROL_ABORT = 0,
    CONTROL_COMMIT = 1,
    CONTROL_LEADER_CHANGE = 2,
    CONTROL_SNAPSHOT_HEADER = 3,
    CONTROL_SNAPSHOT_FOOTER = 4,
    CONTROL_KRAFT_VERSION = 5,
    CONTROL_KRAFT_VOTERS = 6,
    CONTROL_UNKNOWN = -1 /* a newer one: to be passed over */
};

struct control_marker {
    enum control_type type;
    int32_t coordinator_epoch; /* of an abort or commit; else -1 */
};

/* Reads the first record of a control batch (BATCH_ATTRIBUTE_CONTROL). -EBADMSG if it is none. */
int control_parse(
    const struct batch_view *batch, struct bytes records, struct control_marker *ret) MUST_CHECK;
/* Appends a marker that ends the transaction of a producer, `commit` or abort, to `out`: a batch of
 * one control record, with offset 0 and leader epoch -1 to be set. */
void control_build(struct out *out, const struct batch_options *producer, bool commit,
    int32_t coordinator_epoch, int64_t timestamp);

/* ---- inside -------------------------------------------------------------------------------- */

/* A length and so many bytes; -1 gives null. */
static inline bool record_run_read(const uint8_t **at, const uint8_t *end, struct bytes *ret)
{
    int32_t len;
    if (!varint_read(at, end, &len) || len < -1 || len > end - *at)
        return false;
    *ret = (struct bytes){ len < 0 ? NULL : *at, len < 0 ? 0 : (size_t)len };
    *at += len < 0 ? 0 : len;
    return true;
}

/* A whole run of `count` headers: false unless it ends where they end. */
bool record_headers_check(struct bytes headers, int32_t count);

static inline bool record_parse(const uint8_t **at, const uint8_t *end, struct record_view *ret)
{
    const uint8_t *from = *at;
    int32_t len;
    if (!varint_read(at, end, &len) || len < 1 || len > end - *at)
        return false;
    end = *at + len;
    ++*at; /* attributes: none is in use */
    if (!varlong_read(at, end, &ret->timestamp_delta) ||
        !varint_read(at, end, &ret->offset_delta) || !record_run_read(at, end, &ret->key) ||
        !record_run_read(at, end, &ret->value) || !varint_read(at, end, &ret->header_count))
        return false;
    ret->headers = bytes_of(*at, (size_t)(end - *at));
    *at = end;
    ret->whole = bytes_of(from, (size_t)(end - from));
    return (ret->header_count == 0 && ret->headers.len == 0) ||
           record_headers_check(ret->headers, ret->header_count);
}

#endif
