/*
 * verify.h - is what a segment file holds what was written? In the pool. Inside storage/ only.
 *
 * A segment with a root (footer.h) is verified by extents: every byte is covered. One without is
 * verified batch by batch: the checksum, and what it does not cover by what must be there: magic,
 * the length (the next batch begins behind it), the base offset (offsets have no holes), the leader
 * epoch (the log knows which epoch wrote which offset).
 *
 * Damage is narrowed down to the batches that are not whole; behind it verification finds the next
 * whole batch from an index entry, or by looking for one from which the headers lead exactly to a
 * place that is known: the next index entry, or the segment's end.
 */
#ifndef STORAGE_VERIFY_H
#define STORAGE_VERIFY_H

#include "storage/epochs.h"
#include "storage/footer.h"
#include "storage/proof.h"
#include "storage/scan.h"

enum {
    VERIFY_WINDOW = 256 * 1024,
    /* Where damage took the headers that lead on and no known place can be reached: so many whole
     * batches behind one another are believed, too. */
    VERIFY_CHAIN = 8,
};

struct verifier {
    /* filled by the caller */
    const struct source *source;
    const struct index *index; /* known places, or NULL */
    const uint64_t *extents;   /* NULL: batch by batch */
    const struct epoch_start *epochs;
    size_t epoch_count;
    /* found; the caller takes them or calls verify_done */
    struct proof proof;
    /* its own */
    uint8_t *window;
    uint64_t window_at;
    bool headers_only; /* the window need not be large */
    size_t window_len;
};

/* Frees everything; accepts a zeroed one. */
void verify_done(struct verifier *verifier);

/* Verifies [*limit, until): everything from `place` (where a batch begins) to *limit is known to be
 * good. Raises *limit as far as that is so, perhaps beyond `until`. Where it meets damage *limit is
 * where that begins (or `place`, if that lies inside), and *ret_damage tells of it (else its
 * end_position is 0). An error of the disk: *limit may have been raised nevertheless. */
int verify_more(struct verifier *verifier, const struct place *place, uint64_t until,
    uint64_t *limit, struct damage *ret_damage) MUST_CHECK;
/* The whole file, batch by batch, into a footer (footer_init was called). -EBADMSG: it is damaged;
 * then all damages are in the proof and the footer is of no use. */
int verify_all(struct verifier *verifier, struct footer *footer) MUST_CHECK;
/* An index of the whole file from headers alone, over damages if there are any (they are in the
 * proof then). */
int verify_index(struct verifier *verifier, uint32_t step, struct index *ret) MUST_CHECK;

#endif
