/* See feature_levels.h. The numbers are those of Apache Kafka 4.3.1. */
#include "broker/feature_levels.h"

#include "protocol/base/check.h"

enum { EPOCH = 3 };

static const struct feature table[] = {
    /* Of replicas that may lead again; there is one. */
    { "eligible.leader.replicas.version", 0, 1, 0 },
    /* 1: groups of the newer consumer protocol (KIP-848). */
    { "group.version", 0, 1, 1 },
    { "kraft.version", 0, 1, 1 },
    { "metadata.version", 7, 30, 30 },
    { "share.version", 0, 1, 1 },
    { "streams.version", 0, 1, 0 },
    /* 2: an epoch for each transaction (KIP-890). */
    { "transaction.version", 0, 2, 2 },
};

const struct feature *features(size_t *ret_count)
{
    *ret_count = ARRAY_COUNT(table);
    return table;
}

const struct feature *feature_find(struct bytes name)
{
    for (size_t i = 0; i < ARRAY_COUNT(table); i++)
        if (bytes_equal_text(name, table[i].name))
            return &table[i];
    return NULL;
}

int64_t features_epoch(void)
{
    return EPOCH;
}
