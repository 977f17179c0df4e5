/*
 * record.c - the text forms of a record.
 *
 * Writing JSON is done by hand, since it happens for every record consumed; reading goes through
 * jansson, and whatever is wrong with the line is told by the member's name.
 */
#include "tools/client/record.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>

#include "protocol/base/mem.h"
#include "tools/client/text.h"
#include "tools/client/when.h"

/* ---- to JSON -------------------------------------------------------------------------------- */

static void write_member(struct out *out, const char *name, struct bytes bytes)
{
    bool text = !bytes.data || bytes_utf8(bytes);

    out_printf(out, ",\"%s%s\":", name, text ? "" : "_base64");
    if (!bytes.data) {
        out_text(out, "null");
    } else if (text) {
        text_json_string(out, bytes);
    } else {
        out_text(out, "\"");
        text_base64(out, bytes);
        out_text(out, "\"");
    }
}

static void write_header(struct out *out, const struct record_header *header)
{
    struct bytes name = bytes_text(header->name);

    out_text(out, "{\"name\":");
    if (bytes_utf8(name)) {
        text_json_string(out, name);
    } else {
        /* Kafka asks for UTF-8; what comes instead is kept visible. */
        out_text(out, "\"base64:");
        text_base64(out, name);
        out_text(out, "\"");
    }
    write_member(out, "value", header->value);
    out_text(out, "}");
}

void record_to_json(const struct record *record, struct out *out)
{
    out_text(out, "{\"topic\":");
    text_json_string(out, bytes_text(record->topic));
    out_printf(
        out, ",\"partition\":%" PRId32 ",\"offset\":%" PRId64, record->partition, record->offset);
    if (record->timestamp_ms >= 0) {
        out_printf(out, ",\"timestamp\":%" PRId64, record->timestamp_ms);
        out_printf(
            out, ",\"timestamp_type\":\"%s\"", record->appended ? "LogAppendTime" : "CreateTime");
    }
    write_member(out, "key", record->key);
    write_member(out, "value", record->value);
    out_text(out, ",\"headers\":[");
    for (size_t i = 0; i < record->header_count; i++) {
        out_text(out, i ? "," : "");
        write_header(out, &record->headers[i]);
    }
    out_text(out, "]}");
}

/* ---- from JSON ------------------------------------------------------------------------------ */

struct reading {
    struct arena *arena;
    char *error;
    size_t error_size;
};

static int no_memory(struct reading *reading)
{
    (void)snprintf(reading->error, reading->error_size, "the record is too large");
    return -ENOMEM;
}

static int keep(struct reading *reading, const void *data, size_t len, struct bytes *ret)
{
    uint8_t *copy = arena_alloc(reading->arena, len + 1); /* one more: empty is not null */

    if (!copy)
        return no_memory(reading);
    if (len > 0)
        memcpy(copy, data, len);
    *ret = bytes_of(copy, len);
    return 0;
}

static int read_base64(
    struct reading *reading, const char *name, const json_t *value, struct bytes *ret)
{
    if (!json_is_string(value)) {
        (void)snprintf(reading->error, reading->error_size, "%s_base64 must be a string", name);
        return -EINVAL;
    }
    struct bytes text = bytes_of(json_string_value(value), json_string_length(value));
    uint8_t *data = arena_alloc(reading->arena, text.len / 4 * 3 + 1);
    if (!data)
        return no_memory(reading);
    size_t len = 0;
    if (text_base64_decode(text, data, &len) < 0) {
        (void)snprintf(reading->error, reading->error_size, "%s_base64 is not base64", name);
        return -EINVAL;
    }
    *ret = bytes_of(data, len);
    return 0;
}

/* The member `name` of `object`, or `name`_base64, or null when there is neither. */
static int read_member(
    struct reading *reading, const json_t *object, const char *name, struct bytes *ret)
{
    char base64_name[32];

    *ret = bytes_of(NULL, 0);
    (void)snprintf(base64_name, sizeof(base64_name), "%s_base64", name);
    const json_t *encoded = json_object_get(object, base64_name);
    const json_t *value = json_object_get(object, name);
    if (encoded && value) {
        (void)snprintf(
            reading->error, reading->error_size, "both %s and %s are there", name, base64_name);
        return -EINVAL;
    }
    if (encoded)
        return read_base64(reading, name, encoded, ret);
    if (!value || json_is_null(value))
        return 0;
    if (json_is_string(value))
        return keep(reading, json_string_value(value), json_string_length(value), ret);
    size_t size = json_dumpb(value, NULL, 0, JSON_COMPACT | JSON_ENCODE_ANY);
    char *text = arena_alloc(reading->arena, size + 1);
    if (!text)
        return no_memory(reading);
    (void)json_dumpb(value, text, size, JSON_COMPACT | JSON_ENCODE_ANY);
    *ret = bytes_of(text, size);
    return 0;
}

static int read_header(struct reading *reading, const char *name, size_t name_len,
    const json_t *holder, struct record_header *header)
{
    struct bytes kept = { NULL, 0 };

    if (strlen(name) != name_len) {
        (void)snprintf(reading->error, reading->error_size, "a header's name holds a NUL");
        return -EINVAL;
    }
    int error = keep(reading, name, name_len, &kept); /* keep leaves a zero byte behind it */
    header->name = (const char *)kept.data;
    return error ? error : read_member(reading, holder, "value", &header->value);
}

/* headers: {"n":"v"} */
static int read_header_object(
    struct reading *reading, json_t *object, struct record_header *headers)
{
    const char *name;
    json_t *value;
    size_t i = 0;

    json_object_foreach(object, name, value)
    {
        json_t *holder = json_object();
        int error = holder && json_object_set(holder, "value", value) == 0
                        ? read_header(reading, name, strlen(name), holder, &headers[i++])
                        : no_memory(reading);
        json_decref(holder);
        if (error)
            return error;
    }
    return 0;
}

/* headers: [{"name":"n","value":"v"}] */
static int read_header_array(
    struct reading *reading, const json_t *array, struct record_header *headers)
{
    for (size_t i = 0; i < json_array_size(array); i++) {
        const json_t *holder = json_array_get(array, i);
        const json_t *name = json_object_get(holder, "name");
        if (!json_is_string(name)) {
            (void)snprintf(reading->error, reading->error_size,
                "headers[%zu] must be an object with a name, as {\"name\":\"n\",\"value\":\"v\"}",
                i);
            return -EINVAL;
        }
        int error = read_header(
            reading, json_string_value(name), json_string_length(name), holder, &headers[i]);
        if (error)
            return error;
    }
    return 0;
}

static int read_headers(struct reading *reading, json_t *value, struct record *record)
{
    size_t count = json_is_object(value) ? json_object_size(value) : json_array_size(value);

    if (!value || json_is_null(value))
        return 0;
    if (!json_is_object(value) && !json_is_array(value)) {
        (void)snprintf(
            reading->error, reading->error_size, "headers must be an object or an array");
        return -EINVAL;
    }
    if (count > RECORD_HEADERS_MAX) {
        (void)snprintf(
            reading->error, reading->error_size, "more than %d headers", RECORD_HEADERS_MAX);
        return -EINVAL;
    }
    struct record_header *headers = arena_alloc(reading->arena, (count + 1) * sizeof(*headers));
    if (!headers)
        return no_memory(reading);
    record->headers = headers;
    record->header_count = count;
    return json_is_object(value) ? read_header_object(reading, value, headers)
                                 : read_header_array(reading, value, headers);
}

static int read_numbers(struct reading *reading, const json_t *root, struct record *record)
{
    const json_t *partition = json_object_get(root, "partition");
    const json_t *timestamp = json_object_get(root, "timestamp");

    if (partition && !json_is_null(partition)) {
        json_int_t number = json_integer_value(partition);
        if (!json_is_integer(partition) || number < 0 || number > INT32_MAX) {
            (void)snprintf(
                reading->error, reading->error_size, "partition must be a number from 0");
            return -EINVAL;
        }
        record->partition = (int32_t)number;
    }
    if (!timestamp || json_is_null(timestamp))
        return 0;
    if (json_is_integer(timestamp) && json_integer_value(timestamp) >= 0) {
        record->timestamp_ms = json_integer_value(timestamp);
        return 0;
    }
    if (json_is_string(timestamp) &&
        when_parse_iso(json_string_value(timestamp), &record->timestamp_ms) == 0 &&
        record->timestamp_ms >= 0)
        return 0;
    (void)snprintf(reading->error, reading->error_size,
        "timestamp must be milliseconds since 1970, or a time like \"2026-01-31T12:30:00Z\"");
    return -EINVAL;
}

/* A misspelt member must not pass as an absent one. */
static int check_names(struct reading *reading, json_t *root)
{
    static const char *const known[] = { "topic", "partition", "offset", "timestamp",
        "timestamp_type", "key", "key_base64", "value", "value_base64", "headers" };
    const char *name;
    json_t *value;

    json_object_foreach(root, name, value)
    {
        bool found = false;
        for (size_t i = 0; i < ARRAY_COUNT(known); i++)
            found = found || strcmp(name, known[i]) == 0;
        if (!found) {
            (void)snprintf(reading->error, reading->error_size,
                "no member \"%.40s\" in a record; it has key, value, headers, partition, timestamp",
                name);
            return -EINVAL;
        }
    }
    return 0;
}

static int read_root(struct reading *reading, json_t *root, struct record *record)
{
    if (!json_is_object(root)) {
        (void)snprintf(
            reading->error, reading->error_size, "a record is an object, as {\"value\":\"v\"}");
        return -EINVAL;
    }
    int error = check_names(reading, root);
    if (!error)
        error = read_numbers(reading, root, record);
    if (!error)
        error = read_member(reading, root, "key", &record->key);
    if (!error)
        error = read_member(reading, root, "value", &record->value);
    return error ? error : read_headers(reading, json_object_get(root, "headers"), record);
}

int record_from_json(
    struct bytes text, struct arena *arena, struct record *ret, char *error, size_t error_size)
{
    struct reading reading = { arena, error, error_size };
    struct record record = { .partition = -1, .timestamp_ms = -1 };
    json_error_t problem;
    json_t *root = json_loadb((const char *)text.data, text.len,
        JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &problem);

    if (!root) {
        (void)snprintf(error, error_size, "not JSON: %s", problem.text);
        return -EINVAL;
    }
    int failed = read_root(&reading, root, &record);
    json_decref(root);
    if (!failed)
        *ret = record;
    return failed;
}
