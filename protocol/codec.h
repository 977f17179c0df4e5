/*
 * codec.h - Kafka's messages between bytes and plain C structs.
 *
 * The structs and their tables are generated from messages.schema into "protocol/messages.h"; this
 * is the one interpreter of the tables. Rules of the encoding: KIP-482 (flexible versions, tags)
 * and the protocol guide of Apache Kafka.
 *
 * What a member looks like
 *   string, bytes  struct bytes; data == NULL is null, an empty one has data != NULL
 *   records        struct records, below
 *   array          `struct x *things; int32_t things_count;` count -1 is null
 *   struct         embedded; a nullable one is a pointer, NULL is null
 *
 * One struct serves all versions of a message. What a version lacks has its default after decoding
 * and is left out, whatever its value, when encoding. Always start from codec_defaults (or
 * codec_array for elements): defaults are not all zero, and a zeroed string is null.
 */
#ifndef PROTOCOL_CODEC_H
#define PROTOCOL_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/base/arena.h"
#include "protocol/base/bytes.h"
#include "protocol/base/check.h"
#include "protocol/uuid.h"

enum { CODEC_STRING_LEN_MAX = 32767 };

/*
 * Record batches inside a message; the codec never looks into them.
 *   null      data == NULL and source == NULL
 *   here      data, len: borrowed
 *   elsewhere data == NULL, source != NULL, len: bytes that the sender fetches itself (a file
 * range, a refcounted buffer: `source` means something to the caller only). Can be encoded only
 *             with an externals list.
 * Decoded ones are always here or null.
 */
struct records {
    const uint8_t *data;
    size_t len;
    void *source;
};

static inline struct bytes records_bytes(struct records records)
{
    return bytes_of(records.data, records.len);
}

/* Both ends included; min > max is none. */
struct versions {
    int16_t min, max;
};

static inline bool versions_have(struct versions versions, int16_t version)
{
    return version >= versions.min && version <= versions.max;
}

/* ---- tables (generated) ---- */

enum field_type {
    FIELD_BOOL,
    FIELD_INT8,
    FIELD_INT16,
    FIELD_UINT16,
    FIELD_INT32,
    FIELD_UINT32,
    FIELD_INT64,
    FIELD_FLOAT64,
    FIELD_UUID,
    FIELD_STRING,
    FIELD_BYTES,
    FIELD_RECORDS,
    FIELD_STRUCT,
};

struct struct_table;

struct field {
    const char *name;                 /* Kafka's */
    const struct struct_table *child; /* of a struct or an array of structs */
    int64_t initial;                  /* default of a number or bool; of a float64 its bits */
    uint32_t offset;                  /* of the member */
    uint32_t count_offset;            /* of an array's count */
    struct versions versions, nullable, tagged;
    uint8_t type; /* enum field_type, of the elements if array */
    uint8_t tag;
    bool array, initial_null, never_flexible;
};

/* Bytes of a number (of an element of an array) on the wire, which are also its bytes in C; 0 for
 * what has a length, and for a struct. */
size_t field_width(const struct field *field);

struct struct_table {
    const char *name; /* Kafka's */
    const struct field *fields;
    const uint8_t *tags; /* indexes of the tagged fields, by rising tag */
    uint32_t size;       /* of the C struct */
    uint16_t field_count;
    uint8_t tag_count;
};

struct message {
    const char *name;
    const struct struct_table *body;
    struct versions versions, flexible;
};

/* One per API: what is served, and what ApiVersions tells. */
struct api_schema {
    const char *name;
    const struct message *request, *response;
    struct versions served, advertised;
    int16_t key;
};

/* ---- defaults ---- */

/* Fills all of `body` (a struct of message->body->size bytes). Allocates nothing. */
void codec_defaults(const struct message *message, void *body);
void struct_defaults(const struct struct_table *table, void *to);
/* `count` >= 0 elements, each with its defaults; for arrays of numbers and strings use arena_alloc.
 * NULL when the arena's limit is reached. */
void *codec_array(struct arena *arena, const struct struct_table *table, int32_t count) MUST_CHECK;

/* ---- decoding ---- */

/* What decoding the bytes of a peer may take, however its counts lie: the limit of the arena that
 * such bytes are decoded into. Elements are larger in memory than on the wire (a string is 16 bytes
 * and its own length or two more), so an array of nothing but tiny ones is refused; elements with
 * names of twelve letters or more always fit, in any number (test_codec). */
enum { CODEC_ARENA_MIN = 16 * 1024, CODEC_ARENA_FACTOR = 4 };

static inline size_t codec_arena_max(size_t input_size)
{
    return CODEC_ARENA_MIN + CODEC_ARENA_FACTOR * input_size;
}

/*
 * A place in the input, and the first thing that went wrong there (sticky: reading on after an
 * error does nothing).
 */
struct reader {
    const uint8_t *at, *end;
    int error;          /* 0 or -errno, see codec_decode */
    const char *field;  /* Kafka's name of the field that failed, or NULL */
    const char *reason; /* static text for the log, or NULL */
};

static inline struct reader reader_of(struct bytes input)
{
    const uint8_t *end = input.len ? input.data + input.len : input.data; /* data may be NULL */
    return (struct reader){ .at = input.data, .end = end };
}
static inline size_t reader_left(const struct reader *reader)
{
    return (size_t)(reader->end - reader->at);
}

/*
 * Reads one message body and moves `reader` behind it; bytes left over are the caller's business.
 * Strings, bytes and records borrow from the input; arrays and nullable structs live in `arena`
 * (NULL will do for a message without them). `body` is filled whole on success only.
 * Returns 0, or what `reader->error` keeps:
 *   -EBADMSG  malformed: cut short, null where none may be, count beyond the bytes left, bad
 * UTF-8... -ENOMEM   the arena's limit is reached -ENOTSUP  the message has no such version
 */
int codec_decode(const struct message *message, int16_t version, struct reader *reader,
    struct arena *arena, void *body) MUST_CHECK;

/* ---- encoding ---- */

/* Record bytes that are not copied into the output but belong at `position`, in rising order. */
struct external {
    size_t position; /* bytes of the out before it; several may share one */
    struct records records;
};

/* Zeroed is a valid empty one. */
struct externals {
    struct external *items;
    size_t count, capacity;
    size_t len; /* sum of all */
};
void externals_done(struct externals *externals);

/*
 * Appends one message body to `out`. With `externals` no record bytes are copied: each non-empty
 * records field leaves a gap of no bytes in `out` and an entry in the list; every length prefix
 * counts the bytes that belong there. Without it (NULL) they are copied.
 * Returns 0, or with `out` and `externals` unchanged:
 *   -EINVAL   null where none may be, string over 32767 bytes, bytes over 2^31 - 1, records that
 * are elsewhere without `externals` -ENOTSUP  the message has no such version
 */
int codec_encode(const struct message *message, int16_t version, const void *body, struct out *out,
    struct externals *externals) MUST_CHECK;

#endif
