/* See messages.h. */
#include "tests/messages.h"

#include <string.h>

enum { TEXT_LEN_MAX = 12 };

static size_t size_of_type(const struct field *field)
{
    static const size_t sizes[] = {
        [FIELD_BOOL] = sizeof(bool),
        [FIELD_INT8] = sizeof(int8_t),
        [FIELD_INT16] = sizeof(int16_t),
        [FIELD_UINT16] = sizeof(uint16_t),
        [FIELD_INT32] = sizeof(int32_t),
        [FIELD_UINT32] = sizeof(uint32_t),
        [FIELD_INT64] = sizeof(int64_t),
        [FIELD_FLOAT64] = sizeof(double),
        [FIELD_UUID] = sizeof(struct uuid),
        [FIELD_STRING] = sizeof(struct bytes),
        [FIELD_BYTES] = sizeof(struct bytes),
        [FIELD_RECORDS] = sizeof(struct records),
    };
    return field->type == FIELD_STRUCT ? field->child->size : sizes[field->type];
}

static bool pointer_to_struct(const struct field *field)
{
    return field->type == FIELD_STRUCT && !field->array &&
           field->nullable.min <= field->nullable.max;
}

static struct bytes random_run(struct filler *filler, bool text)
{
    static const char *const words[] = { "a", "é", "日本", "𝄞", "-", "topic" };
    size_t len = 1 + random_below(&filler->random, TEXT_LEN_MAX);
    uint8_t *data = arena_alloc(filler->arena, len + TEXT_LEN_MAX);
    CHECK(data);
    if (!text) {
        random_bytes(&filler->random, data, len);
        return bytes_of(data, len);
    }
    size_t written = 0;
    while (written < len) {
        const char *word = words[random_below(&filler->random, ARRAY_COUNT(words))];
        memcpy(data + written, word, strlen(word));
        written += strlen(word);
    }
    return bytes_of(data, written);
}

static void fill_value(struct filler *filler, const struct field *field, void *to)
{
    uint64_t number;
    struct bytes run;
    struct uuid uuid;
    switch (field->type) {
    case FIELD_STRUCT: messages_fill(filler, field->child, to); return;
    case FIELD_STRING:
    case FIELD_BYTES:
        run = random_run(filler, field->type == FIELD_STRING);
        memcpy(to, &run, sizeof(run));
        return;
    case FIELD_RECORDS:
        run = random_run(filler, false);
        memcpy(to, &(struct records){ .data = run.data, .len = run.len }, sizeof(struct records));
        return;
    case FIELD_UUID:
        uuid = uuid_random(&filler->random);
        memcpy(to, &uuid, sizeof(uuid));
        return;
    case FIELD_BOOL: number = !field->initial; break;
    default:
        do
            number = random_u64(&filler->random) >> random_below(&filler->random, 64);
        while (memcmp(&number, &field->initial, size_of_type(field)) == 0);
        break;
    }
    memcpy(to, &number, size_of_type(field));
}

static void fill_field(struct filler *filler, const struct field *field, char *base)
{
    bool null = filler->fill == FILL_NULLS && versions_have(field->nullable, filler->version);
    size_t size = size_of_type(field);
    char *elements = NULL;
    int32_t count = null ? -1 : (int32_t)(1 + random_below(&filler->random, 3));
    if (field->array) {
        if (!null) {
            elements = arena_alloc(filler->arena, (size_t)count * size);
            CHECK(elements);
        }
        memcpy(base + field->offset, &elements, sizeof(elements));
        memcpy(base + field->count_offset, &count, sizeof(count));
        for (int32_t i = 0; i < count; i++)
            fill_value(filler, field, elements + (size_t)i * size);
    } else if (pointer_to_struct(field)) {
        if (!null) {
            elements = arena_alloc(filler->arena, size);
            CHECK(elements);
            fill_value(filler, field, elements);
        }
        memcpy(base + field->offset, &elements, sizeof(elements));
    } else if (null) {
        memset(base + field->offset, 0, size);
    } else {
        fill_value(filler, field, base + field->offset);
    }
}

void messages_fill(struct filler *filler, const struct struct_table *table, void *body)
{
    struct_defaults(table, body);
    for (size_t i = 0; i < table->field_count && filler->fill != FILL_DEFAULTS; i++) {
        if (versions_have(table->fields[i].versions, filler->version))
            fill_field(filler, &table->fields[i], body);
    }
}

static bool value_equal(const struct field *field, const void *a, const void *b)
{
    struct bytes run[2];
    struct records records[2];
    switch (field->type) {
    case FIELD_STRUCT: return messages_equal(field->child, a, b);
    case FIELD_STRING:
    case FIELD_BYTES:
        memcpy(&run[0], a, sizeof(run[0]));
        memcpy(&run[1], b, sizeof(run[1]));
        return !run[0].data == !run[1].data && bytes_equal(run[0], run[1]);
    case FIELD_RECORDS:
        memcpy(&records[0], a, sizeof(records[0]));
        memcpy(&records[1], b, sizeof(records[1]));
        return !records[0].data == !records[1].data &&
               bytes_equal(records_bytes(records[0]), records_bytes(records[1]));
    default: return memcmp(a, b, size_of_type(field)) == 0;
    }
}

static bool field_equal(const struct field *field, const char *a, const char *b)
{
    const char *elements[2];
    int32_t count[2];
    if (!field->array && !pointer_to_struct(field))
        return value_equal(field, a + field->offset, b + field->offset);
    memcpy(&elements[0], a + field->offset, sizeof(elements[0]));
    memcpy(&elements[1], b + field->offset, sizeof(elements[1]));
    if (!field->array) {
        if (!elements[0] || !elements[1])
            return elements[0] == elements[1];
        return value_equal(field, elements[0], elements[1]);
    }
    memcpy(&count[0], a + field->count_offset, sizeof(count[0]));
    memcpy(&count[1], b + field->count_offset, sizeof(count[1]));
    if (count[0] != count[1])
        return false;
    for (int32_t i = 0; i < count[0]; i++) {
        size_t at = (size_t)i * size_of_type(field);
        if (!value_equal(field, elements[0] + at, elements[1] + at))
            return false;
    }
    return true;
}

bool messages_equal(const struct struct_table *table, const void *a, const void *b)
{
    for (size_t i = 0; i < table->field_count; i++) {
        if (!field_equal(&table->fields[i], a, b))
            return false;
    }
    return true;
}
