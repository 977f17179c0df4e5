/* See proof.h. */
#include "storage/proof.h"

#include <string.h>

#include "protocol/base/mem.h"

void proof_done(struct proof *proof)
{
    mem_free(proof->spans);
    mem_free(proof->damages);
    *proof = (struct proof){ 0 };
}

/* ---- spans --------------------------------------------------------------------------------- */

static void span_remove(struct proof *proof, size_t from, size_t count)
{
    memmove(proof->spans + from, proof->spans + from + count,
        (proof->span_count - from - count) * sizeof(*proof->spans));
    proof->span_count -= count;
}

static void forget_smallest(struct proof *proof)
{
    size_t smallest = 0;
    for (size_t i = 1; i < proof->span_count; i++) {
        const struct span *span = &proof->spans[i], *best = &proof->spans[smallest];
        if (span->high - span->low < best->high - best->low)
            smallest = i;
    }
    span_remove(proof, smallest, 1);
}

void proof_add_span(struct proof *proof, uint64_t low, uint64_t high)
{
    if (high <= low)
        return;
    size_t first = 0, end;
    while (first < proof->span_count && proof->spans[first].high < low)
        first++;
    for (end = first; end < proof->span_count && proof->spans[end].low <= high; end++) {
        if (proof->spans[end].low < low)
            low = proof->spans[end].low;
        if (proof->spans[end].high > high)
            high = proof->spans[end].high;
    }
    if (end > first) {
        span_remove(proof, first + 1, end - first - 1);
    } else {
        mem_grow(proof->spans, &proof->span_capacity, proof->span_count + 1);
        memmove(proof->spans + first + 1, proof->spans + first,
            (proof->span_count - first) * sizeof(*proof->spans));
        proof->span_count++;
    }
    proof->spans[first] = (struct span){ low, high };
    if (proof->span_count > PROOF_SPANS_MAX)
        forget_smallest(proof);
}

uint64_t proof_reach(const struct proof *proof, uint64_t position)
{
    for (size_t i = 0; i < proof->span_count; i++) {
        if (proof->spans[i].low <= position && position < proof->spans[i].high)
            return proof->spans[i].high;
    }
    return position;
}

/* ---- damages ------------------------------------------------------------------------------- */

static void widen(struct damage *damage, const struct damage *by)
{
    if (by->position < damage->position)
        damage->position = by->position;
    if (by->end_position > damage->end_position)
        damage->end_position = by->end_position;
    if (by->offset < damage->offset)
        damage->offset = by->offset;
    if (by->end_offset > damage->end_offset)
        damage->end_offset = by->end_offset;
}

static void damage_remove(struct proof *proof, size_t from, size_t count)
{
    memmove(proof->damages + from, proof->damages + from + count,
        (proof->damage_count - from - count) * sizeof(*proof->damages));
    proof->damage_count -= count;
}

/* The two that lie closest become one. */
static void join_closest(struct proof *proof)
{
    size_t closest = 1;
    for (size_t i = 2; i < proof->damage_count; i++) {
        if (proof->damages[i].position - proof->damages[i - 1].end_position <
            proof->damages[closest].position - proof->damages[closest - 1].end_position)
            closest = i;
    }
    widen(&proof->damages[closest - 1], &proof->damages[closest]);
    damage_remove(proof, closest, 1);
}

bool proof_add_damage(struct proof *proof, const struct damage *damage)
{
    size_t first = 0, end;
    struct damage whole = *damage;
    while (first < proof->damage_count && proof->damages[first].end_position < damage->position)
        first++;
    for (end = first;
         end < proof->damage_count && proof->damages[end].position <= whole.end_position; end++) {
        const struct damage *known = &proof->damages[end];
        if (known->position <= damage->position && known->end_position >= damage->end_position &&
            known->offset <= damage->offset && known->end_offset >= damage->end_offset)
            return false;
        widen(&whole, known);
    }
    if (end > first) {
        damage_remove(proof, first + 1, end - first - 1);
    } else {
        mem_grow(proof->damages, &proof->damage_capacity, proof->damage_count + 1);
        memmove(proof->damages + first + 1, proof->damages + first,
            (proof->damage_count - first) * sizeof(*proof->damages));
        proof->damage_count++;
    }
    proof->damages[first] = whole;
    if (proof->damage_count > PROOF_DAMAGES_MAX)
        join_closest(proof);
    return true;
}

const struct damage *proof_damage_from(const struct proof *proof, int64_t offset)
{
    for (size_t i = 0; i < proof->damage_count; i++) {
        if (proof->damages[i].end_offset > offset)
            return &proof->damages[i];
    }
    return NULL;
}

const struct damage *proof_damage_behind(const struct proof *proof, uint64_t position)
{
    for (size_t i = 0; i < proof->damage_count; i++) {
        if (proof->damages[i].end_position > position)
            return &proof->damages[i];
    }
    return NULL;
}
