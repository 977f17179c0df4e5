/*
 * check.h - what is in a data directory, and is all of it whole? Looks and changes nothing:
 * recovery runs over disk_overlay.h as it would at a start, then every segment is read and verified
 * (verify.h), whatever was verified before. For tools.
 *
 * Blocking; one thread. Memory: what recovery writes (at most OVERLAY_BYTES_MAX), and the indexes
 * of one segment at a time.
 */
#ifndef STORAGE_CHECK_H
#define STORAGE_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "storage/doors.h"
#include "storage/proof.h"

enum check_footer {
    CHECK_FOOTER_NONE,    /* the active segment's, or one that is not sealed yet */
    CHECK_FOOTER_WHOLE,   /* it is there and its root is the checkpoint's */
    CHECK_FOOTER_MISSING, /* it will be made again */
    CHECK_FOOTER_BAD,     /* damaged, or another's; it will be made again */
};

/* Valid during the call. */
struct check_segment {
    int64_t base_offset, end_offset;
    uint64_t size, records, batches; /* records and batches: of those that are whole */
    enum check_footer footer;
    const struct damage *damages; /* ascending */
    size_t damage_count;
    int status; /* -EIO and so on: the file can't be read; then nothing else is known */
};

struct check_log {
    const char *topic;
    int32_t partition;
    int64_t start_offset, end_offset;
    uint64_t size;
    int64_t refused_from; /* damaged in the write-ahead log from here on; -1: it is not */
};

struct check_events {
    void *context;
    void (*log)(void *context, const struct check_log *log); /* then its segments */
    void (*segment)(void *context, const struct check_segment *segment);
    /* What a start would say. */
    void (*say)(void *context, enum log_level level, const char *line);
};

struct check_totals {
    uint64_t logs, segments, records, bytes;
    uint64_t damages, offsets_damaged; /* ranges, and how many offsets they take */
    uint64_t errors;                   /* lines of LOG_ERROR */
    bool refused; /* a start would refuse; told is what --accept-loss would find */
    bool unclean; /* the last stop was not clean */
    uint32_t format;
};

/* 0: looked at, see totals. -ENOENT: no directory; -EPROTO: not ours, or of a newer format; -EBUSY:
 * a broker runs on it; other errors: it can't be read. Each said. */
int storage_check(const char *dir, struct disk *base, const struct check_events *events,
    struct check_totals *ret) MUST_CHECK;

#endif
