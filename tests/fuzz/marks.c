/* See marks.h. */
#include "tests/fuzz/marks.h"

struct walk {
    struct marks *marks;
    struct bytes wire;
    size_t at;
    int16_t version;
    bool flexible;
};

static uint32_t read_uvarint(struct walk *walk)
{
    uint32_t value = 0;
    for (int shift = 0; shift < 35; shift += 7) {
        CHECK(walk->at < walk->wire.len);
        uint8_t byte = walk->wire.data[walk->at++];
        value |= (uint32_t)(byte & 127) << shift;
        if (byte < 128)
            return value;
    }
    check_failed(__FILE__, __LINE__, "a varint that does not end");
}

static void add(struct walk *walk, size_t at, enum mark_kind kind, enum mark_form form)
{
    struct marks *marks = walk->marks;
    CHECK(marks->count < MARKS_MAX);
    marks->items[marks->count++] = (struct mark){ at, walk->at - at, kind, form };
}

static int64_t read_length(struct walk *walk, size_t width, bool compact, enum mark_kind kind)
{
    size_t at = walk->at;
    int64_t length;
    if (compact) {
        length = (int64_t)read_uvarint(walk) - 1;
        add(walk, at, kind, MARK_COMPACT);
        return length;
    }
    walk->at += width;
    CHECK(walk->at <= walk->wire.len);
    length = width == 2 ? (int16_t)be_get16(walk->wire.data + at)
                        : (int32_t)be_get32(walk->wire.data + at);
    add(walk, at, kind, width == 2 ? MARK_FIXED_2 : MARK_FIXED_4);
    return length;
}

static void walk_struct(struct walk *walk, const struct struct_table *table);

static void walk_value(struct walk *walk, const struct field *field, bool compact)
{
    bool string = field->type == FIELD_STRING;
    if (field->type == FIELD_STRUCT) {
        walk_struct(walk, field->child);
    } else if (string || field->type == FIELD_BYTES || field->type == FIELD_RECORDS) {
        int64_t len = read_length(walk, string ? 2 : 4, compact, MARK_LENGTH);
        size_t at = walk->at;
        walk->at += len > 0 ? (size_t)len : 0;
        if (string && len > 0)
            add(walk, at, MARK_TEXT, MARK_RUN);
    } else {
        walk->at += field_width(field);
    }
    CHECK(walk->at <= walk->wire.len);
}

static void walk_field(struct walk *walk, const struct field *field, bool tagged)
{
    bool compact = walk->flexible && !field->never_flexible;
    bool pointer = field->type == FIELD_STRUCT && field->nullable.min <= field->nullable.max;
    int64_t count = 1;
    size_t at = walk->at;
    if (field->array) {
        count = read_length(walk, 4, compact, MARK_COUNT);
    } else if (pointer && tagged) {
        count = read_uvarint(walk) != 0;
        add(walk, at, MARK_PRESENCE, MARK_UVARINT);
    } else if (pointer) {
        count = (int8_t)walk->wire.data[walk->at++] >= 0;
        add(walk, at, MARK_PRESENCE, MARK_FIXED_1);
    }
    for (int64_t i = 0; i < count; i++)
        walk_value(walk, field, compact);
}

static void walk_tags(struct walk *walk, const struct struct_table *table)
{
    size_t at = walk->at;
    uint32_t count = read_uvarint(walk);
    add(walk, at, MARK_TAGS, MARK_UVARINT);
    for (uint32_t i = 0; i < count; i++) {
        const struct field *field = NULL;
        uint32_t tag = read_uvarint(walk);
        at = walk->at;
        uint32_t size = read_uvarint(walk);
        add(walk, at, MARK_TAG_SIZE, MARK_UVARINT);
        size_t end = walk->at + size;
        for (size_t n = 0; n < table->field_count && !field; n++) {
            const struct field *candidate = &table->fields[n];
            if (versions_have(candidate->tagged, walk->version) && candidate->tag == tag)
                field = candidate;
        }
        if (field)
            walk_field(walk, field, true);
        else
            walk->at = end;
        CHECK(walk->at == end);
    }
}

static void walk_struct(struct walk *walk, const struct struct_table *table)
{
    for (size_t i = 0; i < table->field_count; i++) {
        const struct field *field = &table->fields[i];
        if (versions_have(field->versions, walk->version) &&
            !versions_have(field->tagged, walk->version))
            walk_field(walk, field, false);
    }
    if (walk->flexible)
        walk_tags(walk, table);
}

void marks_find(
    struct marks *marks, const struct message *message, int16_t version, struct bytes wire)
{
    struct walk walk = { .marks = marks, .wire = wire, .version = version };
    walk.flexible = versions_have(message->flexible, version);
    marks->count = 0;
    walk_struct(&walk, message->body);
    marks->end = walk.at;
}

static size_t write_uvarint(uint8_t *to, uint32_t value)
{
    size_t len = 0;
    for (; value > 127; value >>= 7)
        to[len++] = (uint8_t)(value | 128);
    to[len++] = (uint8_t)value;
    return len;
}

size_t mark_write(const struct mark *mark, int64_t value, uint8_t *to)
{
    switch (mark->form) {
    case MARK_FIXED_1: to[0] = (uint8_t)value; return 1;
    case MARK_FIXED_2: be_put16(to, (uint16_t)value); return 2;
    case MARK_FIXED_4: be_put32(to, (uint32_t)value); return 4;
    case MARK_COMPACT: return write_uvarint(to, (uint32_t)(value + 1));
    case MARK_UVARINT: return write_uvarint(to, (uint32_t)value);
    case MARK_RUN: break;
    }
    check_failed(__FILE__, __LINE__, "no number there");
}
