/*
 * feature_levels.h - the features that Kafka 4.3 knows (KIP-584), and the level of each here.
 *
 * ApiVersions tells them; clients choose by them (transaction.version), and so do kafka-features
 * and people's tests. They are what the program can do, so they change with the program only.
 */
#ifndef BROKER_FEATURE_LEVELS_H
#define BROKER_FEATURE_LEVELS_H

#include <stddef.h>
#include <stdint.h>

#include "protocol/base/bytes.h"

struct feature {
    const char *name;
    int16_t min, max; /* levels that Kafka 4.3 knows */
    int16_t level;    /* what holds; 0: it is off, and not told */
};

const struct feature *features(size_t *ret_count);
/* NULL: nobody knows it. */
const struct feature *feature_find(struct bytes name);
/* To be raised with every change of a level: clients believe the higher one. */
int64_t features_epoch(void);

#endif
