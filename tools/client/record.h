/*
 * record.h - one record of a topic, and its two text forms: a JSON object per line, and a format.
 *
 * The JSON form is binary-safe and goes both ways (`consume --json | produce --json-lines`):
 *     {"topic":"t","partition":0,"offset":17,"timestamp":1767225600000,"key":"k","value":"v",
 *      "headers":[{"name":"n","value":"v"}]}
 * A key or value (of a record or header) that is not UTF-8 comes as "key_base64" or "value_base64".
 * Kafka's null is JSON's null. What is read may leave out everything, may write headers as an
 * object
 * {"n":"v"}, and a key or value may be any JSON value, which then travels as its compact text.
 */
#ifndef CLIENT_RECORD_H
#define CLIENT_RECORD_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "protocol/base/arena.h"
#include "protocol/base/bytes.h"

enum { RECORD_HEADERS_MAX = 10000 };

struct record_header {
    const char *name;
    struct bytes value;
};

/* Everything is borrowed. */
struct record {
    const char *topic;
    int32_t partition; /* -1: not chosen */
    int64_t offset;
    int64_t timestamp_ms;    /* -1: none */
    bool appended;           /* the timestamp is the broker's, not the producer's */
    struct bytes key, value; /* data NULL: null */
    const struct record_header *headers;
    size_t header_count;
};

/* Append the JSON form, without a newline. */
void record_to_json(const struct record *record, struct out *out);
/* Read the JSON form; what the record points to lies in `arena`. 0, or -EINVAL with the reason in
 * `error`, or -ENOMEM when the arena's limit is reached. `topic` and `offset` of the text are
 * checked for their type and dropped. */
int record_from_json(struct bytes text, struct arena *arena, struct record *ret, char *error,
    size_t error_size) MUST_CHECK;

/*
 * A format is text with tokens: %t topic, %p partition, %o offset, %k key, %K its size, %v or %s
 * value, %V or %S its size (-1 for null), %T timestamp in ms, %h headers as n=v,n=v, %% a percent
 * sign; \n \r \t \0 \\ \xHH are bytes.
 */
struct record_format;

/* NULL after a reason in `error`. */
struct record_format *record_format_create(const char *text, char *error, size_t error_size);
void record_format_destroy(struct record_format *format);
void record_format_write(
    const struct record_format *format, const struct record *record, struct out *out);

#endif
