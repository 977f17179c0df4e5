/*
 * preparation.h - a batch of a client made ready for the log: validated, its timestamps set,
 * written anew where the topic wants another codec or the client's bytes cannot be kept. Pure: it
 * touches only the batch, itself and the compressor, so it may run on any thread.
 */
#ifndef BROKER_PREPARATION_H
#define BROKER_PREPARATION_H

#include "protocol/batch.h"

struct preparation {
    /* in */
    uint8_t *data; /* one partition's bytes as they came; patched in place */
    size_t len;
    struct batch_rules rules;
    int32_t codec; /* what the topic wants; -1: as the producer has it */
    int level;     /* of codec */
    size_t segment_bytes_max;

    /* out */
    bool finished;     /* the rest holds; BATCH_BOMB may be tried again with a larger limit */
    bool segment_full; /* fine, but larger than a segment may be */
    int error;         /* of writing it anew: -ENOMEM, -E2BIG; 0 */
    enum batch_outcome outcome;
    struct batch_view view;      /* if a whole batch was found; of the bytes as they came */
    struct bytes batch;          /* what to append; null unless all is well */
    struct record_error *errors; /* the records at fault, or NULL */
    uint32_t error_count;        /* in errors */
    struct out rebuilt;          /* the batch's bytes, if it was written anew */
};

void preparation_run(struct preparation *preparation, struct compressor *compressor);
/* Frees what the outcome holds. Accepts a zeroed one. */
void preparation_done(struct preparation *preparation);

#endif
