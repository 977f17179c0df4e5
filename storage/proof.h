/*
 * proof.h - which bytes of a segment were verified since the start, and which are damaged.
 *
 * Kept with the segment on the loop; made by jobs of the pool (verify.h) and merged when they end.
 * Zeroed is one that knows nothing. Bounded: of too many spans the smallest is forgotten (it is
 * verified again when it is read), of too many damages neighbours become one.
 */
#ifndef STORAGE_PROOF_H
#define STORAGE_PROOF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PROOF_SPANS_MAX = 64, PROOF_DAMAGES_MAX = 64 };

/* Verified bytes [low, high) of the file. */
struct span {
    uint64_t low, high;
};

/* Batches that can't be read: bytes [position, end_position), offsets [offset, end_offset). What
 * lies behind can. */
struct damage {
    uint64_t position, end_position;
    int64_t offset, end_offset;
};

struct proof {
    struct span *spans; /* ascending, none touches another */
    struct damage *damages;
    size_t span_count, span_capacity, damage_count, damage_capacity;
};

void proof_done(struct proof *proof);
void proof_add_span(struct proof *proof, uint64_t low, uint64_t high);
/* False: it was known. */
bool proof_add_damage(struct proof *proof, const struct damage *damage);
/* Everything from `position` up to here was verified; `position` itself if not even one byte. */
uint64_t proof_reach(const struct proof *proof, uint64_t position);
/* The damage that ends behind `offset`: it contains it, or is the next above it. NULL: none. */
const struct damage *proof_damage_from(const struct proof *proof, int64_t offset);
/* As above, of a position. */
const struct damage *proof_damage_behind(const struct proof *proof, uint64_t position);

#endif
