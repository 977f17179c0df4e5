/*
 * sieve.h - what of a compacted log's batches stays: bytes in, bytes out, no files, no clock.
 *
 * Two passes over the log. The first (sieve_learn) reads the new part and remembers the newest
 * offset of each key; the second (sieve_pass) goes over everything from the beginning and lets
 * through what is still needed:
 *
 *   a record        if its key has no newer one below `known_to`; always from `known_to` on
 *   a tombstone     (null value) until its delete horizon: the first pass that meets it stamps its
 *                   batch with now + delete.retention.ms, a later one lets it fall (KIP-534)
 *   aborted data    never
 *   a marker        until no batch of its transaction was met, and a horizon after that
 *   the last batch  of each live idempotent producer and the one at `round_end` stay, empty if need
 *                   be: sequences and the end of what was cleaned are not forgotten
 *
 * Records keep their offsets, batches their base offset, last offset, sequence and codec. A record
 * without a key falls: it can't be there unless the topic was not compacted before.
 *
 * Semantics of Kafka's Cleaner, except: a tombstone from `known_to` on gets no horizon yet, since
 * older values of its key are still there.
 */
#ifndef STORAGE_SIEVE_H
#define STORAGE_SIEVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/batch.h"
#include "protocol/compress.h"
#include "protocol/record.h"
#include "storage/offset_map.h"

/* A batch's records, decompressed, take at most this; larger: -E2BIG. */
enum { SIEVE_RECORDS_MAX = 64 << 20 };

/* A live producer. */
struct sieve_producer {
    int64_t id;
    int64_t last_offset; /* of its newest data batch; -1: none, then its markers of `epoch` stay */
    int16_t epoch;
};

/* An aborted transaction: its data lies in [first_offset, last_offset]. */
struct sieve_aborted {
    int64_t producer_id, first_offset, last_offset;
};

struct sieve_counts {
    uint64_t batches_in, batches_out, records_in, records_out, horizons, emptied;
};

struct sieve {
    /* filled by the caller */
    int64_t now_ms, delete_retention_ms;
    int64_t known_from;               /* the first offset to learn */
    int64_t round_end;                /* the batch that ends there stays */
    struct sieve_producer *producers; /* sieve_sort orders them */
    size_t producer_count;
    struct sieve_aborted *aborted; /* sieve_sort orders them */
    size_t aborted_count, aborted_capacity;
    /* result of learning: below it every key's newest offset is known */
    int64_t known_to;
    struct sieve_counts counts;
    /* own */
    struct offset_map map;
    struct compressor compressor;
    struct batch_builder builder;
    int64_t *open; /* producers with transactional data since their last marker, ascending */
    size_t open_count, open_capacity;
};

/* The producers and aborted transactions are there. */
void sieve_sort(struct sieve *sieve);
/* Frees what the sieve made, and `producers` and `aborted`. Accepts a zeroed one. */
void sieve_done(struct sieve *sieve);
/* From the beginning again (between learning and passing, and between rounds). */
void sieve_rewind(struct sieve *sieve);
/* Learns the keys of a whole batch with a right checksum; in order, from the one that contains
 * known_from on. -ENOSPC: the map is full, known_to is as far as it got; -EBADMSG, -E2BIG, -ENOMEM:
 * the records can't be read. */
int sieve_learn(struct sieve *sieve, const struct batch_view *batch) MUST_CHECK;
/* Appends what stays of the batch (one batch, or nothing) to `out`. Errors as above. */
int sieve_pass(struct sieve *sieve, const struct batch_view *batch, struct out *out) MUST_CHECK;

#endif
