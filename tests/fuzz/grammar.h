/*
 * grammar.h - requests by the tables of the schema: filled with what a client might say, changed in
 * one place, and tied to what the broker has answered.
 *
 * A fuzzer that throws bytes rarely gets beyond the decoder. Here a field's name tells what to put
 * there: names of a few topics and groups so that requests meet, small and extreme numbers, whole
 * record batches. What only the broker knows (topic ids, member ids, generations, producer ids) is
 * a placeholder in the input, and grammar_bind puts in what grammar_learn heard, so that an input
 * of plain bytes can hold a conversation.
 */
#ifndef TESTS_FUZZ_GRAMMAR_H
#define TESTS_FUZZ_GRAMMAR_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol/base/arena.h"
#include "protocol/base/random.h"
#include "protocol/codec.h"

struct grammar {
    struct random random;
    struct arena *arena;
    int16_t version;
    bool full; /* arrays of two, nothing null, texts short: the request that is cut everywhere */
};

/* Every field that the version has, arrays of 0 to 3. `body` is filled whole. */
void grammar_fill(struct grammar *grammar, const struct struct_table *table, void *body);
/* One field of `body` becomes something else; false if it has none. */
bool grammar_change(struct grammar *grammar, const struct struct_table *table, void *body);

/* The `which`th array of `body` gets `count` elements, alike but for their texts and numbers, which
 * are each another's. False: it has no such array, or the arena ended. */
bool grammar_crowd(struct grammar *grammar, const struct struct_table *table, void *body,
    size_t which, int32_t count);

enum { GRAMMAR_KNOWN = 4, GRAMMAR_NAME_SIZE = 128 };

/* What the broker has said last. Zeroed: nothing yet. */
struct grammar_known {
    struct uuid topics[GRAMMAR_KNOWN];
    char members[GRAMMAR_KNOWN][GRAMMAR_NAME_SIZE];
    uint32_t topic_count, member_count;
    int32_t generation, member_epoch, session;
    int64_t producer_id;
    int16_t producer_epoch;
};

/* From an answer's fields, by their names. */
void grammar_learn(struct grammar_known *known, const struct struct_table *table, int16_t version,
    const void *body);
/* Placeholders in a decoded request become what is known. True if there was one. Text and records
 * are copied into `arena`. */
bool grammar_bind(const struct grammar_known *known, struct arena *arena,
    const struct struct_table *table, int16_t version, void *body);

#endif
