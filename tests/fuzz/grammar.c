/*
 * See grammar.h. All three walk a struct by its table in the same way (`visit`); what they do with
 * a place is a callback.
 */
#include "tests/fuzz/grammar.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "protocol/base/mem.h"
#include "protocol/record.h"

enum {
    MARK_BYTE = 0xee,         /* of a uuid's first 15 bytes: the rest is an index */
    MARK_16 = 0x7eee,         /* of an epoch */
    MARK_32 = 0x7eee0000,     /* of a generation, epoch, session */
    ELEMENTS_MAX = 3,         /* of a new array */
    VISIT_ELEMENTS_MAX = 512, /* of an array that was decoded */
};
static const int64_t mark_64 = INT64_C(0x7eee00000000);
static const char mark_member[] = "$member";

/* ---- places ---- */

struct place {
    const struct field *field;
    void *at;       /* of the element, or of the member */
    int32_t *count; /* of the array itself; NULL: `at` is a value */
};

typedef void (*place_fn)(void *context, const struct place *place);

static size_t size_of(const struct field *field)
{
    if (field->type == FIELD_STRUCT)
        return field->child->size;
    size_t width = field_width(field);
    size_t run = field->type == FIELD_RECORDS ? sizeof(struct records) : sizeof(struct bytes);
    return width ? width : run;
}

static bool is_pointer(const struct field *field)
{
    return field->type == FIELD_STRUCT && !field->array &&
           field->nullable.min <= field->nullable.max;
}

static void *load(const void *at)
{
    void *pointer;
    memcpy(&pointer, at, sizeof(pointer));
    return pointer;
}

static void visit(
    const struct struct_table *table, int16_t version, void *base, place_fn each, void *context);

static void visit_array(
    const struct field *field, int16_t version, char *base, place_fn each, void *context)
{
    int32_t *count = (int32_t *)(void *)(base + field->count_offset);
    each(context, &(struct place){ field, base + field->offset, count });
    char *elements = load(base + field->offset);
    for (int32_t i = 0; i < *count && i < VISIT_ELEMENTS_MAX; i++) {
        char *at = elements + (size_t)i * size_of(field);
        if (field->type == FIELD_STRUCT)
            visit(field->child, version, at, each, context);
        else
            each(context, &(struct place){ field, at, NULL });
    }
}

/* Every value that the version has, and every array before its elements. */
static void visit(
    const struct struct_table *table, int16_t version, void *base, place_fn each, void *context)
{
    for (size_t i = 0; i < table->field_count; i++) {
        const struct field *field = &table->fields[i];
        char *at = (char *)base + field->offset;
        if (!versions_have(field->versions, version))
            continue;
        if (field->array) {
            visit_array(field, version, base, each, context);
        } else if (is_pointer(field)) {
            void *child = load(at);
            if (child)
                visit(field->child, version, child, each, context);
        } else if (field->type == FIELD_STRUCT) {
            visit(field->child, version, at, each, context);
        } else {
            each(context, &(struct place){ field, at, NULL });
        }
    }
}

/* ---- what a client might say ---- */

static uint64_t below(struct grammar *g, uint64_t bound)
{
    return random_below(&g->random, bound);
}

static bool named(const struct field *field, const char *part)
{
    return strstr(field->name, part) != NULL;
}

static struct bytes keep(struct grammar *g, const void *data, size_t len)
{
    static const uint8_t nothing[1];
    void *copy = len ? arena_copy(g->arena, data, len) : NULL;
    return bytes_of(copy ? copy : nothing, copy ? len : 0);
}

static struct bytes word(struct grammar *g, const char *const *words, size_t count)
{
    return bytes_text(words[below(g, count)]);
}

static struct bytes odd_text(struct grammar *g)
{
    static const char *const words[] = { "", ".", "..", "a b", "\xf0\x9d\x84\x9e", "__consumer",
        "/etc", "%s%n", "t.u", "t_u", "-1", "true", "0x7f", "999999999999999999999" };
    uint8_t text[400];
    size_t len = below(g, 8) ? below(g, 12) : below(g, sizeof(text));
    if (below(g, 2))
        return word(g, words, ARRAY_COUNT(words));
    memset(text, "aZ09._-"[below(g, 7)], sizeof(text));
    return keep(g, text, len);
}

static struct bytes text_of(struct grammar *g, const struct field *field)
{
    static const char *const topics[] = { "t", "t", "u", "v", "compacted" };
    static const char *const groups[] = { "g", "g", "h" };
    static const char *const members[] = { "", "$member0", "$member0", "$member1", "nobody" };
    static const char *const protocols[] = { "range", "range", "consumer", "roundrobin" };
    static const char *const keys[] = { "cleanup.policy", "retention.ms", "retention.bytes",
        "segment.bytes", "max.message.bytes", "compression.type", "min.insync.replicas",
        "message.timestamp.type", "flush.messages", "delete.retention.ms" };
    static const char *const values[] = { "compact", "delete", "1", "0", "-1", "1000", "gzip",
        "CreateTime", "LogAppendTime", "compact,delete", "9223372036854775807" };
    static const char *const ids[] = { "x", "x", "y", "" };
    if (!g->full && below(g, 12) == 0)
        return odd_text(g);
    if (named(field, "Group"))
        return word(g, groups, ARRAY_COUNT(groups));
    if (named(field, "MemberId"))
        return word(g, members, ARRAY_COUNT(members));
    if (named(field, "Protocol") || named(field, "Assignor"))
        return word(g, protocols, ARRAY_COUNT(protocols));
    if (named(field, "Transactional") || named(field, "InstanceId"))
        return word(g, ids, ARRAY_COUNT(ids));
    if (named(field, "Config") || named(field, "Key"))
        return below(g, 3) ? word(g, keys, ARRAY_COUNT(keys)) : word(g, groups, 3);
    if (named(field, "Value") || named(field, "Metadata"))
        return word(g, values, ARRAY_COUNT(values));
    if (named(field, "Name") && below(g, 4) == 0)
        return word(g, below(g, 2) ? keys : protocols, ARRAY_COUNT(protocols));
    return word(g, topics, ARRAY_COUNT(topics));
}

static int64_t number_of(struct grammar *g, const struct field *field)
{
    static const int64_t any[] = { 0, 0, 1, 1, 2, 3, -1, -1, -2, 5, 10, 100, 1000, 10000, INT16_MAX,
        INT16_MIN, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN, -3, -4, -5, -6 };
    bool wild = !g->full && below(g, 8) == 0;
    if (wild)
        return below(g, 4) ? any[below(g, ARRAY_COUNT(any))] : (int64_t)random_u64(&g->random);
    if (named(field, "SessionTimeout") || named(field, "RebalanceTimeout"))
        return 6000 + (int64_t)below(g, 3) * 10000;
    if (named(field, "Generation") || named(field, "MemberEpoch") || named(field, "SessionId"))
        return below(g, 4) ? MARK_32 : (int64_t)below(g, 4) - 1;
    if (named(field, "ProducerId"))
        return below(g, 4) ? mark_64 : (int64_t)below(g, 4) - 1;
    if (named(field, "ProducerEpoch"))
        return below(g, 4) ? MARK_16 : (int64_t)below(g, 4) - 1;
    if (named(field, "ReplicationFactor"))
        return below(g, 2) ? 1 : -1;
    if (named(field, "Acks"))
        return (int64_t)below(g, 3) - 1;
    if (named(field, "Bytes"))
        return below(g, 2) ? 1 << 20 : (int64_t)below(g, 100);
    if (named(field, "Ms") || named(field, "Timeout"))
        return (int64_t[]){ 0, 1, 10, 500, 30000, 60000 }[below(g, 6)];
    if (named(field, "Partition") || named(field, "Index") || named(field, "Broker"))
        return (int64_t)below(g, 3);
    return any[below(g, 13)];
}

static struct uuid uuid_of(struct grammar *g)
{
    struct uuid uuid = { { 0 } };
    if (below(g, 8) == 0)
        return below(g, 2) ? uuid : uuid_random(&g->random);
    memset(&uuid, MARK_BYTE, 15);
    ((uint8_t *)&uuid)[15] = (uint8_t)below(g, GRAMMAR_KNOWN);
    return uuid;
}

/* Zero to three batches; most of them a broker accepts. */
static struct bytes records_of(struct grammar *g)
{
    struct out out = { 0 };
    struct compressor compressor;
    compressor_init(&compressor);
    for (uint64_t i = below(g, 8) ? 1 : below(g, 4); i > 0; i--) {
        struct batch_options options = batch_options_plain((enum codec)below(g, CODEC_COUNT));
        struct batch_builder builder = { 0 };
        uint8_t value[64] = { 'v' };
        size_t start = out.len;
        if (below(g, 3) == 0) {
            options.producer_id = mark_64;
            options.producer_epoch = MARK_16;
            options.base_sequence = (int32_t)below(g, 6);
        }
        if (below(g, 8) == 0)
            options.attributes = (uint16_t)(below(g, 16) << 3);
        batch_builder_begin(&builder, &options);
        for (uint64_t n = 1 + below(g, 4); n > 0; n--) {
            struct record_view record = { .timestamp = (int64_t)below(g, 3) * 1000,
                .key = below(g, 3) ? bytes_of(value, below(g, 3)) : bytes_of(NULL, 0),
                .value = below(g, 8) ? bytes_of(value, below(g, 64)) : bytes_of(NULL, 0) };
            CHECK(batch_builder_append(&builder, &record) == 0);
        }
        CHECK(batch_builder_finish(&builder, &compressor, &out) == 0);
        batch_builder_done(&builder);
        if (below(g, 8) == 0)
            out.data[start + below(g, out.len - start)] ^= (uint8_t)(1 << below(g, 8));
    }
    struct bytes records = keep(g, out.data, out.len);
    compressor_done(&compressor);
    out_done(&out);
    return records;
}

/* What lies in the bytes of groups: a consumer's subscription or assignment. */
static struct bytes bytes_field(struct grammar *g)
{
    static const char subscription[] = "\0\1\0\0\0\1\0\1t\xff\xff\xff\xff\0\0\0\0";
    static const char assignment[] = "\0\0\0\0\0\1\0\1t\0\0\0\1\0\0\0\0\xff\xff\xff\xff";
    uint8_t noise[40];
    switch (below(g, 4)) {
    case 0: return bytes_of(assignment, sizeof(assignment) - 1);
    case 1: random_bytes(&g->random, noise, sizeof(noise)); return keep(g, noise, below(g, 40));
    default: return bytes_of(subscription, sizeof(subscription) - 1);
    }
}

/* ---- fill ---- */

static void fill_value(struct grammar *g, const struct field *field, void *at)
{
    struct bytes run;
    struct uuid uuid;
    int64_t number;
    switch (field->type) {
    case FIELD_STRUCT: grammar_fill(g, field->child, at); return;
    case FIELD_STRING:
    case FIELD_BYTES:
        run = field->type == FIELD_STRING ? text_of(g, field) : bytes_field(g);
        memcpy(at, &run, sizeof(run));
        return;
    case FIELD_RECORDS:
        run = records_of(g);
        memcpy(at, &(struct records){ .data = run.data, .len = run.len }, sizeof(struct records));
        return;
    case FIELD_UUID:
        uuid = uuid_of(g);
        memcpy(at, &uuid, sizeof(uuid));
        return;
    default:
        number = number_of(g, field);
        if (field->type == FIELD_BOOL)
            number = (int64_t)below(g, 2);
        memcpy(at, &number, size_of(field));
        return;
    }
}

static bool makes_null(struct grammar *g, const struct field *field)
{
    return versions_have(field->nullable, g->version) && !g->full && below(g, 4) == 0;
}

static void fill_array(struct grammar *g, const struct field *field, char *base)
{
    uint64_t drawn = below(g, 4) ? 1 : below(g, ELEMENTS_MAX + 1);
    int32_t count = makes_null(g, field) ? -1 : g->full ? 2 : (int32_t)drawn;
    char *elements = count > 0 ? arena_alloc(g->arena, (size_t)count * size_of(field)) : NULL;
    if (!elements && count > 0)
        count = 0;
    for (int32_t i = 0; i < count; i++)
        fill_value(g, field, elements + (size_t)i * size_of(field));
    memcpy(base + field->offset, &elements, sizeof(elements));
    memcpy(base + field->count_offset, &count, sizeof(count));
}

static void fill_field(struct grammar *g, const struct field *field, char *base)
{
    char *at = base + field->offset;
    if (field->array) {
        fill_array(g, field, base);
    } else if (is_pointer(field)) {
        void *child = makes_null(g, field) ? NULL : arena_alloc(g->arena, field->child->size);
        if (child)
            grammar_fill(g, field->child, child);
        memcpy(at, &child, sizeof(child));
    } else if (makes_null(g, field)) {
        memset(at, 0, size_of(field));
    } else {
        fill_value(g, field, at);
    }
}

void grammar_fill(struct grammar *g, const struct struct_table *table, void *body)
{
    struct_defaults(table, body);
    for (size_t i = 0; i < table->field_count; i++) {
        const struct field *field = &table->fields[i];
        bool may_lack = versions_have(field->tagged, g->version) && !g->full && below(g, 3) == 0;
        if (versions_have(field->versions, g->version) && !may_lack)
            fill_field(g, field, body);
    }
}

/* ---- change ---- */

struct choice {
    struct grammar *grammar;
    uint64_t seen;
    struct place place;
};

/* Each place with the same chance. */
static void choose(void *context, const struct place *place)
{
    struct choice *choice = context;
    if (below(choice->grammar, ++choice->seen) == 0)
        choice->place = *place;
}

/* An element more (often the same once more), or one less. */
static void change_array(struct grammar *g, const struct place *place)
{
    size_t size = size_of(place->field);
    int32_t count = *place->count > 0 ? *place->count : 0;
    if (count > 0 && below(g, 3) == 0) {
        *place->count = count - 1;
        return;
    }
    char *elements = arena_alloc(g->arena, (size_t)(count + 1) * size);
    if (!elements)
        return;
    const void *old = load(place->at);
    if (count > 0)
        memcpy(elements, old, (size_t)count * size);
    if (count > 0 && below(g, 2))
        memcpy(elements + (size_t)count * size, old, size);
    else
        fill_value(g, place->field, elements + (size_t)count * size);
    memcpy(place->at, &elements, sizeof(elements));
    *place->count = count + 1;
}

bool grammar_change(struct grammar *g, const struct struct_table *table, void *body)
{
    struct choice choice = { .grammar = g };
    visit(table, g->version, body, choose, &choice);
    if (choice.seen == 0)
        return false;
    if (choice.place.count)
        change_array(g, &choice.place);
    else
        fill_value(g, choice.place.field, choice.place.at);
    return true;
}

/* ---- crowd ---- */

struct crowd {
    struct arena *arena;
    size_t which, seen;
    struct place place;
    int32_t number; /* of the element whose values become its own */
};

static void find_array(void *context, const struct place *place)
{
    struct crowd *crowd = context;
    if (place->count && crowd->seen++ == crowd->which)
        crowd->place = *place;
}

static void become_own(void *context, const struct place *place)
{
    struct crowd *crowd = context;
    char text[16];
    if (place->count)
        return;
    if (place->field->type == FIELD_STRING) {
        int len = snprintf(text, sizeof(text), "n%d", crowd->number);
        struct bytes run = bytes_of(arena_copy(crowd->arena, text, (size_t)len), (size_t)len);
        if (run.data)
            memcpy(place->at, &run, sizeof(run));
    } else if (place->field->type == FIELD_INT32) {
        memcpy(place->at, &crowd->number, sizeof(crowd->number));
    }
}

bool grammar_crowd(
    struct grammar *g, const struct struct_table *table, void *body, size_t which, int32_t count)
{
    struct crowd crowd = { .arena = g->arena, .which = which };
    visit(table, g->version, body, find_array, &crowd);
    const struct field *field = crowd.place.field;
    if (!field)
        return false;
    char *elements = arena_alloc(g->arena, (size_t)count * size_of(field));
    if (!elements)
        return false;
    for (crowd.number = 0; crowd.number < count; crowd.number++) {
        char *at = elements + (size_t)crowd.number * size_of(field);
        fill_value(g, field, at);
        if (field->type == FIELD_STRUCT)
            visit(field->child, g->version, at, become_own, &crowd);
        else
            become_own(&crowd, &(struct place){ field, at, NULL });
    }
    memcpy(crowd.place.at, &elements, sizeof(elements));
    *crowd.place.count = count;
    return true;
}

/* ---- learn ---- */

static void learn_member(struct grammar_known *known, struct bytes id)
{
    char *to = known->members[known->member_count % GRAMMAR_KNOWN];
    if (!id.data || id.len == 0 || id.len >= GRAMMAR_NAME_SIZE)
        return;
    memcpy(to, id.data, id.len);
    to[id.len] = 0;
    known->member_count++;
}

static void learn_topic(struct grammar_known *known, const void *at)
{
    static const struct uuid none;
    for (size_t i = 0; i < GRAMMAR_KNOWN; i++) {
        if (memcmp(&known->topics[i], at, sizeof(none)) == 0)
            return;
    }
    if (memcmp(at, &none, sizeof(none)) != 0)
        memcpy(&known->topics[known->topic_count++ % GRAMMAR_KNOWN], at, sizeof(none));
}

static void learn(void *context, const struct place *place)
{
    struct grammar_known *known = context;
    const struct field *field = place->field;
    struct bytes run;
    if (place->count)
        return;
    if (field->type == FIELD_UUID && named(field, "TopicId"))
        learn_topic(known, place->at);
    if (field->type == FIELD_STRING && strcmp(field->name, "MemberId") == 0) {
        memcpy(&run, place->at, sizeof(run));
        learn_member(known, run);
    }
    if (field->type == FIELD_INT32 && named(field, "GenerationId"))
        memcpy(&known->generation, place->at, 4);
    if (field->type == FIELD_INT32 && named(field, "MemberEpoch"))
        memcpy(&known->member_epoch, place->at, 4);
    if (field->type == FIELD_INT32 && named(field, "SessionId"))
        memcpy(&known->session, place->at, 4);
    if (field->type == FIELD_INT64 && strcmp(field->name, "ProducerId") == 0)
        memcpy(&known->producer_id, place->at, 8);
    if (field->type == FIELD_INT16 && strcmp(field->name, "ProducerEpoch") == 0)
        memcpy(&known->producer_epoch, place->at, 2);
}

void grammar_learn(struct grammar_known *known, const struct struct_table *table, int16_t version,
    const void *body)
{
    /* learn() only reads */
    union {
        const void *from;
        void *to;
    } base = { .from = body };
    visit(table, version, base.to, learn, known);
}

/* ---- bind ---- */

struct binding {
    const struct grammar_known *known;
    struct arena *arena;
    bool bound;
};

static void bind_uuid(struct binding *binding, void *at)
{
    uint8_t *bytes = at;
    for (int i = 0; i < 15; i++) {
        if (bytes[i] != MARK_BYTE)
            return;
    }
    memcpy(at, &binding->known->topics[bytes[15] % GRAMMAR_KNOWN], sizeof(struct uuid));
    binding->bound = true;
}

static void bind_text(struct binding *binding, void *at)
{
    struct bytes run;
    size_t len = sizeof(mark_member) - 1;
    memcpy(&run, at, sizeof(run));
    if (run.len != len + 1 || memcmp(run.data, mark_member, len) != 0)
        return;
    run = bytes_text(binding->known->members[run.data[len] % GRAMMAR_KNOWN]);
    memcpy(at, &run, sizeof(run));
    binding->bound = true;
}

static void bind_32(struct binding *binding, const struct field *field, void *at)
{
    const struct grammar_known *known = binding->known;
    int32_t value;
    memcpy(&value, at, sizeof(value));
    if (value != MARK_32)
        return;
    value = named(field, "Session")       ? known->session
            : named(field, "MemberEpoch") ? known->member_epoch
                                          : known->generation;
    memcpy(at, &value, sizeof(value));
    binding->bound = true;
}

static void bind_records(struct binding *binding, void *at)
{
    struct records records;
    memcpy(&records, at, sizeof(records));
    uint8_t *copy = records.len ? arena_copy(binding->arena, records.data, records.len) : NULL;
    struct bytes run = bytes_of(copy, copy ? records.len : 0);
    struct batch_view batch;
    while (copy && batch_next(&run, &batch) == BATCH_OK) {
        uint8_t *at_batch = copy + (batch.data - copy);
        if (batch.producer_id != mark_64 || batch_check(&batch) != BATCH_OK)
            continue;
        be_put64(at_batch + BATCH_AT_PRODUCER_ID, (uint64_t)binding->known->producer_id);
        be_put16(at_batch + BATCH_AT_PRODUCER_EPOCH, (uint16_t)binding->known->producer_epoch);
        batch_set_crc(at_batch);
        binding->bound = true;
    }
    if (copy)
        records.data = copy;
    memcpy(at, &records, sizeof(records));
}

static void bind_place(void *context, const struct place *place)
{
    struct binding *binding = context;
    const struct grammar_known *known = binding->known;
    if (place->count)
        return;
    switch (place->field->type) {
    case FIELD_UUID: bind_uuid(binding, place->at); return;
    case FIELD_STRING: bind_text(binding, place->at); return;
    case FIELD_INT32: bind_32(binding, place->field, place->at); return;
    case FIELD_RECORDS: bind_records(binding, place->at); return;
    case FIELD_INT64:
        if (memcmp(place->at, &mark_64, 8) != 0)
            return;
        memcpy(place->at, &known->producer_id, 8);
        binding->bound = true;
        return;
    case FIELD_INT16:
        if (memcmp(place->at, &(int16_t){ MARK_16 }, 2) != 0)
            return;
        memcpy(place->at, &known->producer_epoch, 2);
        binding->bound = true;
        return;
    default: return;
    }
}

bool grammar_bind(const struct grammar_known *known, struct arena *arena,
    const struct struct_table *table, int16_t version, void *body)
{
    struct binding binding = { .known = known, .arena = arena };
    visit(table, version, body, bind_place, &binding);
    return binding.bound;
}
