/*
 * partition.h - what Fetch, ListOffsets and OffsetForLeaderEpoch check of a partition alike.
 */
#ifndef BROKER_PARTITION_H
#define BROKER_PARTITION_H

#include "protocol/error.h"
#include "storage/storage.h"

enum isolation { ISOLATION_READ_UNCOMMITTED = 0, ISOLATION_READ_COMMITTED = 1 };

/* The first offset that a consumer does not get to see. */
static inline int64_t partition_visible_end(const struct log *log, int8_t isolation)
{
    return isolation == ISOLATION_READ_COMMITTED ? log->last_stable_offset : log->high_watermark;
}

/* The leader epoch that a client believes in, against ours; -1: it does not say (KIP-320). */
static inline int16_t partition_check_epoch(const struct log *log, int32_t current_leader_epoch)
{
    if (current_leader_epoch == -1 || current_leader_epoch == log->leader_epoch)
        return KAFKA_ERROR_NONE;
    return current_leader_epoch < log->leader_epoch ? KAFKA_ERROR_FENCED_LEADER_EPOCH
                                                    : KAFKA_ERROR_UNKNOWN_LEADER_EPOCH;
}

#endif
