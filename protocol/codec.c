/*
 * See codec.h. One interpreter of the generated tables; each rule of the encoding is written once.
 *
 * Decoding walks a struct's fields in the order of its table. A field that the version lacks gets
 * its default; one that is tagged in this version gets its default too and is filled when the tag
 * section behind the struct brings it. The reader's error is sticky, so the walk goes on without
 * asking after each field; loops over counts do ask.
 *
 * What a hostile input can cost: an array's count must fit the bytes left (by the least each
 * element takes on the wire), so memory is at most input * (struct size / wire size), and the
 * arena's limit ends that. Nothing else allocates. The recursion is as deep as the schema, whatever
 * the input.
 *
 * Encoding runs twice over the struct: first with `to` NULL, which finds every error and measures;
 * then into exactly that much of the out. A tagged value is measured once more for its size prefix.
 *
 * Members are reached by offset through memcpy: no aliasing questions, and a bool is only ever
 * stored as 0 or 1.
 */
#include "protocol/codec.h"

#include <errno.h>
#include <string.h>

#include "protocol/base/mem.h"

static const uint8_t empty_run[1];

/* field_width */
static const uint8_t widths[] = {
    [FIELD_BOOL] = 1,
    [FIELD_INT8] = 1,
    [FIELD_INT16] = 2,
    [FIELD_UINT16] = 2,
    [FIELD_INT32] = 4,
    [FIELD_UINT32] = 4,
    [FIELD_INT64] = 8,
    [FIELD_FLOAT64] = 8,
    [FIELD_UUID] = 16,
    [FIELD_STRUCT] = 0,
};
_Static_assert(
    sizeof(bool) == 1 && sizeof(double) == 8 && sizeof(struct uuid) == 16, "as widths[]");

size_t field_width(const struct field *field)
{
    return field->type < ARRAY_COUNT(widths) ? widths[field->type] : 0;
}

static void *member_of(const struct field *field, void *base)
{
    return (char *)base + field->offset;
}

static const void *const_member_of(const struct field *field, const void *base)
{
    return (const char *)base + field->offset;
}

static int32_t load_count(const struct field *field, const void *base)
{
    int32_t count;
    memcpy(&count, (const char *)base + field->count_offset, sizeof(count));
    return count;
}

static const void *load_pointer(const void *at)
{
    const void *pointer;
    memcpy(&pointer, at, sizeof(pointer));
    return pointer;
}

static void store_array(const struct field *field, void *base, void *elements, int32_t count)
{
    memcpy(member_of(field, base), &elements, sizeof(elements));
    memcpy((char *)base + field->count_offset, &count, sizeof(count));
}

/* Bytes of one element in C. */
static size_t element_size(const struct field *field)
{
    switch (field->type) {
    case FIELD_STRUCT: return field->child->size;
    case FIELD_STRING:
    case FIELD_BYTES: return sizeof(struct bytes);
    case FIELD_RECORDS: return sizeof(struct records);
    default: return widths[field->type];
    }
}

static bool nullable_struct(const struct field *field)
{
    return field->type == FIELD_STRUCT && !field->array &&
           field->nullable.min <= field->nullable.max;
}

/* Stores a number given as 64 bits; unlike the wire the machine is little-endian. */
static void store_number(uint8_t type, void *at, uint64_t value)
{
    if (type == FIELD_BOOL)
        value = value != 0;
    memcpy(at, &value, widths[type]);
}

/* ---- defaults ---- */

static void field_defaults(const struct field *field, void *base)
{
    void *at = member_of(field, base);
    struct bytes run = { field->initial_null ? NULL : empty_run, 0 };
    void *null = NULL;
    if (field->array) {
        store_array(field, base, NULL, field->initial_null ? -1 : 0);
        return;
    }
    switch (field->type) {
    case FIELD_STRUCT:
        if (nullable_struct(field))
            memcpy(at, &null, sizeof(null));
        else
            struct_defaults(field->child, at);
        return;
    case FIELD_STRING:
    case FIELD_BYTES: memcpy(at, &run, sizeof(run)); return;
    case FIELD_RECORDS: memset(at, 0, sizeof(struct records)); return;
    case FIELD_UUID: memset(at, 0, sizeof(struct uuid)); return;
    default: store_number(field->type, at, (uint64_t)field->initial); return;
    }
}

void struct_defaults(const struct struct_table *table, void *to)
{
    for (size_t i = 0; i < table->field_count; i++)
        field_defaults(&table->fields[i], to);
}

void codec_defaults(const struct message *message, void *body)
{
    struct_defaults(message->body, body);
}

void *codec_array(struct arena *arena, const struct struct_table *table, int32_t count)
{
    CHECK(count >= 0);
    char *elements = arena_alloc(arena, (size_t)count * table->size);
    if (!elements)
        return NULL;
    for (int32_t i = 0; i < count; i++)
        struct_defaults(table, elements + (size_t)i * table->size);
    return elements;
}

static bool struct_is_default(const struct struct_table *table, const void *base);

static bool field_is_default(const struct field *field, const void *base)
{
    const void *at = const_member_of(field, base);
    uint64_t initial = (uint64_t)field->initial;
    struct bytes run;
    struct records records;
    if (field->array)
        return load_count(field, base) == (field->initial_null ? -1 : 0);
    switch (field->type) {
    case FIELD_STRUCT:
        return nullable_struct(field) ? !load_pointer(at) : struct_is_default(field->child, at);
    case FIELD_STRING:
    case FIELD_BYTES:
        memcpy(&run, at, sizeof(run));
        return field->initial_null ? !run.data : run.data && run.len == 0;
    case FIELD_RECORDS:
        memcpy(&records, at, sizeof(records));
        return !records.data && !records.source;
    case FIELD_UUID: return memcmp(at, &(struct uuid){ { 0 } }, sizeof(struct uuid)) == 0;
    default: return memcmp(at, &initial, widths[field->type]) == 0;
    }
}

static bool struct_is_default(const struct struct_table *table, const void *base)
{
    for (size_t i = 0; i < table->field_count; i++) {
        if (!field_is_default(&table->fields[i], base))
            return false;
    }
    return true;
}

/* ---- decoding ---- */

struct decoding {
    struct reader *reader;
    struct arena *arena;
    const struct field *field; /* being read, for the report */
    int16_t version;
    bool flexible;
};

static void fail(struct decoding *d, int error, const char *reason)
{
    if (d->reader->error)
        return;
    d->reader->error = error;
    d->reader->reason = reason;
    d->reader->field = d->field ? d->field->name : NULL;
}

/* The next `size` bytes, or NULL after an error. */
static const uint8_t *take(struct decoding *d, size_t size)
{
    struct reader *r = d->reader;
    if (r->error)
        return NULL;
    if (reader_left(r) < size) {
        fail(d, -EBADMSG, "cut short");
        return NULL;
    }
    const uint8_t *at = r->at;
    r->at += size;
    return at;
}

/* Big-endian, not sign-extended; 0 after an error. */
static uint64_t take_number(struct decoding *d, size_t width)
{
    const uint8_t *at = take(d, width);
    uint64_t value = 0;
    for (size_t i = 0; at && i < width; i++)
        value = value << 8 | at[i];
    return value;
}

static uint32_t take_uvarint(struct decoding *d)
{
    uint32_t value = 0;
    for (unsigned shift = 0; shift < 35; shift += 7) {
        const uint8_t *at = take(d, 1);
        if (!at)
            return 0;
        if (shift == 28 && *at > 15)
            break;
        value |= (uint32_t)(*at & 127) << shift;
        if (*at < 128)
            return value;
    }
    fail(d, -EBADMSG, "varint of more than 32 bits");
    return 0;
}

/* Elements of an array are never null: the field's nullable versions are those of the array. */
static bool value_nullable(const struct field *field, int16_t version)
{
    return !field->array && versions_have(field->nullable, version);
}

/* A length or count; -1 is null, and also what comes after an error. */
static int64_t take_length(struct decoding *d, size_t width, bool compact, bool nullable)
{
    int64_t length;
    if (compact)
        length = (int64_t)take_uvarint(d) - 1;
    else if (width == 2)
        length = (int16_t)take_number(d, 2);
    else
        length = (int32_t)take_number(d, 4);
    if (d->reader->error)
        return -1;
    if (length < -1 || length > INT32_MAX) {
        fail(d, -EBADMSG, "length out of range");
        return -1;
    }
    if (length == -1 && !nullable)
        fail(d, -EBADMSG, "null where none may be");
    return length;
}

/* Leaves null after an error. */
static struct bytes take_run(struct decoding *d, const struct field *field, bool compact)
{
    bool string = field->type == FIELD_STRING;
    bool nullable = value_nullable(field, d->version);
    int64_t len = take_length(d, string ? 2 : 4, compact, nullable);
    if (len < 0)
        return (struct bytes){ NULL, 0 };
    if (string && len > CODEC_STRING_LEN_MAX)
        fail(d, -EBADMSG, "string longer than 32767 bytes");
    struct bytes run = { take(d, (size_t)len), (size_t)len };
    if (!run.data)
        return (struct bytes){ NULL, 0 };
    if (string && !bytes_utf8(run))
        fail(d, -EBADMSG, "string is not UTF-8");
    return run;
}

static void decode_struct(struct decoding *d, const struct struct_table *table, void *base);

/* One element, or the whole of a field that is no array, neither null nor a pointer. */
static void decode_value(struct decoding *d, const struct field *field, void *to)
{
    bool compact = d->flexible && !field->never_flexible;
    struct bytes run;
    const uint8_t *at;
    switch (field->type) {
    case FIELD_STRUCT: decode_struct(d, field->child, to); return;
    case FIELD_STRING:
    case FIELD_BYTES:
        run = take_run(d, field, compact);
        memcpy(to, &run, sizeof(run));
        return;
    case FIELD_RECORDS:
        run = take_run(d, field, compact);
        memcpy(to, &(struct records){ .data = run.data, .len = run.len }, sizeof(struct records));
        return;
    case FIELD_UUID:
        at = take(d, sizeof(struct uuid));
        if (at)
            memcpy(to, at, sizeof(struct uuid));
        return;
    default: store_number(field->type, to, take_number(d, widths[field->type])); return;
    }
}

/* The least bytes an element can take on the wire; never 0, so a count is bounded by the input. */
static size_t wire_size_min(const struct decoding *d, const struct field *field)
{
    if (widths[field->type])
        return widths[field->type];
    if (d->flexible || field->type == FIELD_STRUCT)
        return 1;
    return field->type == FIELD_STRING ? 2 : 4;
}

static void decode_array(struct decoding *d, const struct field *field, void *base)
{
    bool compact = d->flexible && !field->never_flexible;
    int64_t count = take_length(d, 4, compact, versions_have(field->nullable, d->version));
    size_t size = element_size(field);
    store_array(field, base, NULL, (int32_t)count);
    if (count <= 0)
        return;
    if ((uint64_t)count > reader_left(d->reader) / wire_size_min(d, field)) {
        fail(d, -EBADMSG, "count beyond the bytes left");
        return;
    }
    char *elements = arena_alloc(d->arena, (size_t)count * size);
    if (!elements) {
        fail(d, -ENOMEM, "the message would take too much memory");
        return;
    }
    store_array(field, base, elements, (int32_t)count);
    for (int64_t i = 0; i < count && !d->reader->error; i++) {
        d->field = field;
        decode_value(d, field, elements + (size_t)i * size);
    }
}

static void decode_nullable_struct(
    struct decoding *d, const struct field *field, void *base, bool tag)
{
    void *child = NULL;
    bool present;
    if (tag)
        present = take_uvarint(d) != 0;
    else
        present = (int8_t)take_number(d, 1) >= 0;
    if (!present && !versions_have(field->nullable, d->version))
        fail(d, -EBADMSG, "null where none may be");
    if (present && !d->reader->error) {
        child = arena_alloc(d->arena, field->child->size);
        if (child)
            decode_struct(d, field->child, child);
        else
            fail(d, -ENOMEM, "the message would take too much memory");
    }
    memcpy(member_of(field, base), &child, sizeof(child));
}

static void decode_field(struct decoding *d, const struct field *field, void *base, bool tag)
{
    d->field = field;
    if (field->array)
        decode_array(d, field, base);
    else if (nullable_struct(field))
        decode_nullable_struct(d, field, base, tag);
    else
        decode_value(d, field, member_of(field, base));
}

static const struct field *field_of_tag(const struct struct_table *table, uint32_t tag)
{
    for (size_t i = 0; i < table->tag_count; i++) {
        if (table->fields[table->tags[i]].tag == tag)
            return &table->fields[table->tags[i]];
    }
    return NULL;
}

static void decode_tags(struct decoding *d, const struct struct_table *table, void *base)
{
    struct reader *r = d->reader;
    d->field = NULL;
    uint32_t count = take_uvarint(d);
    for (uint32_t i = 0; i < count && !r->error; i++) {
        const struct field *field = field_of_tag(table, take_uvarint(d));
        uint32_t size = take_uvarint(d);
        d->field = field;
        const uint8_t *value = take(d, size);
        if (!value || !field) /* unknown: skipped */
            continue;
        if (!versions_have(field->tagged, d->version)) {
            fail(d, -EBADMSG, "tag in a version that lacks it");
            return;
        }
        /* The value may not reach beyond its size, nor end before it. */
        const uint8_t *end = r->end;
        r->at = value;
        r->end = value + size;
        decode_field(d, field, base, true);
        if (!r->error && r->at != r->end)
            fail(d, -EBADMSG, "tagged field shorter than its size");
        r->end = end;
        d->field = NULL;
    }
}

static void decode_struct(struct decoding *d, const struct struct_table *table, void *base)
{
    for (size_t i = 0; i < table->field_count; i++) {
        const struct field *field = &table->fields[i];
        if (versions_have(field->versions, d->version) && !versions_have(field->tagged, d->version))
            decode_field(d, field, base, false);
        else
            field_defaults(field, base);
    }
    if (d->flexible)
        decode_tags(d, table, base);
}

int codec_decode(const struct message *message, int16_t version, struct reader *reader,
    struct arena *arena, void *body)
{
    struct decoding d = {
        .reader = reader,
        .arena = arena,
        .version = version,
        .flexible = versions_have(message->flexible, version),
    };
    if (!versions_have(message->versions, version))
        fail(&d, -ENOTSUP, "no such version");
    else if (!reader->error)
        decode_struct(&d, message->body, body);
    return reader->error;
}

/* ---- encoding ---- */

struct encoding {
    uint8_t *to; /* NULL: measure only */
    size_t len;  /* bytes written or measured */
    size_t external_len;
    struct externals *externals;
    size_t start; /* position of `to` in the out */
    int error;
    int16_t version;
    bool flexible;
};

static void put(struct encoding *e, const void *data, size_t size)
{
    if (e->to && size)
        memcpy(e->to + e->len, data, size);
    e->len += size;
}

/* The low `width` bytes of `value`, big-endian. */
static void put_number(struct encoding *e, uint64_t value, size_t width)
{
    uint8_t wire[8];
    be_put64(wire, value);
    put(e, wire + 8 - width, width);
}

static void put_uvarint(struct encoding *e, uint32_t value)
{
    uint8_t wire[5];
    size_t size = 0;
    for (; value >= 128; value >>= 7)
        wire[size++] = (uint8_t)(value | 128);
    wire[size++] = (uint8_t)value;
    put(e, wire, size);
}

static void put_null(struct encoding *e, size_t width, bool compact, bool nullable)
{
    if (!nullable)
        e->error = -EINVAL;
    if (compact)
        put_uvarint(e, 0);
    else
        put_number(e, UINT64_MAX, width);
}

static void put_length(struct encoding *e, size_t length, size_t width, bool compact)
{
    if (length > (width == 2 ? CODEC_STRING_LEN_MAX : INT32_MAX))
        e->error = -EINVAL;
    if (compact)
        put_uvarint(e, (uint32_t)length + 1);
    else
        put_number(e, length, width);
}

static void encode_run(
    struct encoding *e, const struct field *field, const void *from, bool compact)
{
    size_t width = field->type == FIELD_STRING ? 2 : 4;
    struct bytes run;
    memcpy(&run, from, sizeof(run));
    if (!run.data) {
        put_null(e, width, compact, value_nullable(field, e->version));
        return;
    }
    put_length(e, run.len, width, compact);
    put(e, run.data, run.len);
}

static void encode_records(
    struct encoding *e, const struct field *field, const void *from, bool compact)
{
    struct records records;
    memcpy(&records, from, sizeof(records));
    if (!records.data && !records.source) {
        put_null(e, 4, compact, value_nullable(field, e->version));
        return;
    }
    put_length(e, records.len, 4, compact);
    if (!e->externals) {
        if (!records.data && records.len)
            e->error = -EINVAL;
        else
            put(e, records.data, records.len);
        return;
    }
    e->external_len += records.len;
    if (e->to && records.len) {
        struct externals *list = e->externals;
        mem_grow(list->items, &list->capacity, list->count + 1);
        list->items[list->count++] = (struct external){ e->start + e->len, records };
    }
}

static void encode_struct(struct encoding *e, const struct struct_table *table, const void *base);

static void encode_value(struct encoding *e, const struct field *field, const void *from)
{
    bool compact = e->flexible && !field->never_flexible;
    uint64_t number = 0;
    switch (field->type) {
    case FIELD_STRUCT: encode_struct(e, field->child, from); return;
    case FIELD_STRING:
    case FIELD_BYTES: encode_run(e, field, from, compact); return;
    case FIELD_RECORDS: encode_records(e, field, from, compact); return;
    case FIELD_UUID: put(e, from, sizeof(struct uuid)); return;
    default:
        memcpy(&number, from, widths[field->type]);
        put_number(e, number, widths[field->type]);
        return;
    }
}

static void encode_array(struct encoding *e, const struct field *field, const void *base)
{
    const char *elements = load_pointer(const_member_of(field, base));
    int32_t count = load_count(field, base);
    size_t size = element_size(field);
    bool compact = e->flexible && !field->never_flexible;
    if (count < 0) {
        put_null(e, 4, compact, versions_have(field->nullable, e->version));
        return;
    }
    put_length(e, (size_t)count, 4, compact);
    for (int32_t i = 0; i < count && !e->error; i++)
        encode_value(e, field, elements + (size_t)i * size);
}

static void encode_nullable_struct(
    struct encoding *e, const struct field *field, const void *base, bool tag)
{
    const void *child = load_pointer(const_member_of(field, base));
    if (!child && !versions_have(field->nullable, e->version))
        e->error = -EINVAL;
    if (tag)
        put_uvarint(e, child != NULL);
    else
        put_number(e, child ? 1 : UINT64_MAX, 1);
    if (child)
        encode_struct(e, field->child, child);
}

static void encode_field(struct encoding *e, const struct field *field, const void *base, bool tag)
{
    if (field->array)
        encode_array(e, field, base);
    else if (nullable_struct(field))
        encode_nullable_struct(e, field, base, tag);
    else
        encode_value(e, field, const_member_of(field, base));
}

static void encode_tags(struct encoding *e, const struct struct_table *table, const void *base)
{
    uint32_t count = 0;
    for (int pass = 0; pass < 2; pass++) {
        if (pass)
            put_uvarint(e, count);
        for (size_t i = 0; i < table->tag_count; i++) {
            const struct field *field = &table->fields[table->tags[i]];
            if (!versions_have(field->tagged, e->version) || field_is_default(field, base))
                continue;
            count++;
            if (!pass)
                continue;
            struct encoding measure = *e;
            measure.to = NULL;
            measure.len = measure.external_len = 0;
            encode_field(&measure, field, base, true);
            size_t size = measure.len + measure.external_len;
            if (measure.error || size > INT32_MAX) {
                e->error = -EINVAL;
                return;
            }
            put_uvarint(e, field->tag);
            put_uvarint(e, (uint32_t)size);
            encode_field(e, field, base, true);
        }
    }
}

static void encode_struct(struct encoding *e, const struct struct_table *table, const void *base)
{
    for (size_t i = 0; i < table->field_count && !e->error; i++) {
        const struct field *field = &table->fields[i];
        if (versions_have(field->versions, e->version) && !versions_have(field->tagged, e->version))
            encode_field(e, field, base, false);
    }
    if (e->flexible && !e->error)
        encode_tags(e, table, base);
}

int codec_encode(const struct message *message, int16_t version, const void *body, struct out *out,
    struct externals *externals)
{
    struct encoding e = {
        .externals = externals,
        .start = out->len,
        .version = version,
        .flexible = versions_have(message->flexible, version),
    };
    if (!versions_have(message->versions, version))
        return -ENOTSUP;
    encode_struct(&e, message->body, body);
    if (e.error || e.len == 0)
        return e.error;
    size_t measured = e.len;
    e.to = out_add(out, measured);
    e.len = e.external_len = 0;
    encode_struct(&e, message->body, body);
    CHECK(!e.error && e.len == measured);
    if (externals)
        externals->len += e.external_len;
    return 0;
}

void externals_done(struct externals *externals)
{
    mem_free(externals->items);
    *externals = (struct externals){ 0 };
}
