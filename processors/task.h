/*
 * task.h - one instance of a processor at work: records in, one sealed unit out. No storage, no
 * clock, no thread of its own.
 *
 * The loop fills in what the step may use (chunks in the intakes, the fields marked "loop"), then
 * task_step runs on a worker thread and touches nothing else; then the loop looks at the result.
 * Never both at once. A step makes at most one unit:
 *
 *     loop    add chunks, set active, now_ms, ... ─▶ submit
 *     worker                                          task_step: callbacks, effects, sealed unit
 *     loop    log_commit the sealed unit          ◀─ done
 *     loop    add chunks, ...                     ─▶ task_step: first keeps the unit of before
 *
 * Once log_commit has said 0 the unit will be durable or the process ends, so the next step may
 * begin on top of it at once. If it said no for good, the task is over: nothing is undone, it is
 * destroyed.
 *
 * WHICH RECORD COMES NEXT (align; the default with windows)
 *   A record's place is (t, n, partition): t the greatest timestamp of its partition up to and with
 *   it, n how many records before it there have the same t; inputs and partitions in the order of
 *   declaration. The first place comes next. A partition without a next record holds back what
 *   could come after one from it, as long as the partition is active; the loop calls it inactive
 *   when its position has been the high watermark for idle.ms.
 * TIME
 *   The watermark is the smallest, over the active partitions, of the greatest timestamp processed;
 *   it never goes back. Windows close between two records: after the one that lets the watermark
 *   reach their end + grace.
 * Therefore, as long as no partition is inactive (and no idle.advance strikes), what is late, what
 * each window holds and the order of all records in each output partition are a function of the
 * contents of the input partitions: not of batch boundaries, reads, units or restarts. A partition
 * that was inactive and comes back with timestamps below the watermark is late where that matters.
 * If every partition is in timestamp order (or no more than `grace` out of it) nothing is late, and
 * inactive partitions change nothing unless they come back behind.
 */
#ifndef PROCESSORS_TASK_H
#define PROCESSORS_TASK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "processors/intake.h"
#include "processors/journal.h"
#include "processors/keyed.h"
#include "processors/outputs.h"
#include "processors/settings.h"
#include "processors/slices.h"
#include "processors/task_frame.h"
#include "protocol/base/arena.h"
#include "protocol/compress.h"

enum {
    TASK_ARRAY_MAX = 256,          /* records, rows, in one call */
    TASK_RECORDS_MAX = 65536,      /* in one unit */
    TASK_UNIT_BYTES = 1 << 20,     /* a unit ends when it is so large */
    TASK_UNIT_BYTES_MAX = 4 << 20, /* and fails if one record makes it so large */
    TASK_EFFECTS_MAX = 1 << 19,    /* a unit ends after so many */
    TASK_BATCH_MAX = 512 << 10,    /* bytes of one output batch */
    TASK_LINES_MAX = 64,
    TASK_METRICS_MAX = 32,
    TASK_SCANS_MAX = 16,
    TASK_REASON_SIZE = 512,
};
#define TASK_NO_TIME INT64_MIN

struct task_order {
    int64_t ts; /* TASK_NO_TIME: no record yet */
    uint64_t seq;
};

struct task_input {
    struct intake intake;
    uint16_t input; /* index of the declaration */
    int32_t partition;
    struct uuid topic;
    bool active;      /* loop: see above; true whenever it has chunks */
    bool handed;      /* records of it are in the array in hand */
    int64_t max_ts;   /* greatest time processed, or TASK_NO_TIME */
    int64_t ahead_ts; /* the same, with the records of the array in hand */
    int64_t mark_ts;  /* as of the unit's beginning */
    struct task_order order, ahead_order,
        mark_order; /* of the last record; ahead, mark: as above */
};

struct task_store {
    const mr_store_decl *decl;
    struct keyed keyed;   /* of MR_STORE_KV, MR_STORE_COUNT */
    struct slices slices; /* of MR_STORE_WINDOW_COUNT */
    struct uuid changelog;
    int64_t log_next;  /* loop: end offset of its changelog */
    int64_t log_begin; /* a keyed store's changelog begins to matter here */
    int64_t log_start; /* as of the frame last written */
    int64_t mark_closed;
    struct intake log; /* loop: its changelog, while it is restored */
};

/* Something records are appended to: outputs first, then changelogs, then the dead letters. */
struct task_target {
    int32_t partitions; /* loop */
    size_t size_max;    /* loop: max.message.bytes */
};

enum task_status {
    TASK_IDLE,   /* nothing to commit */
    TASK_SEALED, /* a unit is to be committed */
    TASK_RETRY,  /* undone; try again later */
    TASK_FAILED, /* undone, for good; `reason` */
};

struct task_line {
    int level;
    char *text;
};

struct task_metric {
    char *name;
    int64_t value;
};

struct task_counters {
    uint64_t records, emitted, late, dropped, dead;
};

/* What a record array needs beside the records. */
struct task_meta {
    struct bytes headers; /* encoded */
    struct task_order order;
    int32_t header_count;
    uint32_t slot;    /* in task.inputs */
    int64_t event_ts; /* the record's time: its ts, or what event_time said, or TASK_NO_TIME */
};

struct mr_iter {
    struct keyed_scan scan;
    struct out high;
    uint8_t count[8];
    bool counts, open;
};

enum task_callback { CALL_NONE, CALL_CREATE, CALL_DESTROY, CALL_BATCH, CALL_WINDOW };

struct task {
    mr_task face; /* first: what the plugin sees */
    const struct settings *settings;
    const mr_processor *processor;
    int32_t index; /* among the processor's tasks; the partition of its changelogs */
    struct task_input *inputs;
    size_t input_count, input_capacity;
    struct task_store *stores; /* settings->store_count */
    struct task_target *targets;
    size_t target_count;

    int64_t now_ms;     /* loop: wall time */
    int64_t advance_to; /* loop: when all are inactive, time goes on to here; or TASK_NO_TIME */
    size_t unit_bytes;  /* loop: TASK_UNIT_BYTES, or less if storage takes less */
    size_t unit_bytes_max;

    /* result of a step */
    enum task_status status;
    char reason[TASK_REASON_SIZE];
    bool more; /* stopped at a limit: step again */
    struct out sealed;
    struct sealed_batch *batches;
    size_t batch_count, batch_capacity;
    struct out frame; /* value of the STORE_TASK put */
    struct task_line lines[TASK_LINES_MAX];
    size_t line_count;
    uint64_t lines_lost;
    struct task_metric metrics[TASK_METRICS_MAX];
    size_t metric_count;
    struct task_counters counters, mark_counters;
    int64_t next_due; /* the watermark that would close a window; INT64_MAX: none is open */

    /* inside */
    struct journal journal;
    struct outputs outputs;
    struct compressor compressor;
    bool created, unit_sealed;
    uint64_t seq;
    int64_t watermark, low, mark_watermark;
    int64_t ahead_watermark, ahead_low;
    int64_t boundary;
    size_t turn; /* not aligned: the input to go on with */
    struct task_firing {
        bool on, loaded;
        uint16_t store;
        int64_t end;
        uint64_t told;
    } firing, mark_firing;
    struct slice_rows rows;

    enum task_callback callback;
    mr_batch batch;
    mr_rows window_rows;
    uint32_t call_max;  /* records or rows in the call that are to be done (n as we set it) */
    uint32_t call_from; /* records before it are settled */
    uint32_t hand;      /* 1 + record in hand whose effects begin at hand_mark; 0: none */
    uint32_t accounted; /* records of the call whose time and position were counted */
    size_t hand_mark;
    int sticky;
    char why[TASK_REASON_SIZE]; /* of fail() and sticky errors */
    mr_rec recs[TASK_ARRAY_MAX];
    struct task_meta metas[TASK_ARRAY_MAX];
    uint32_t rec_first, rec_count;
    mr_row row_array[TASK_ARRAY_MAX];
    struct arena extras;
    struct out scratch; /* encoded headers */
    mr_iter scans[TASK_SCANS_MAX];

    /* for the loop's watchdog, at any time */
    atomic_uint_fast64_t progress;
    atomic_int running; /* enum task_callback */
};

/* settings borrow until task_destroy. The inputs are added next, in the order of declaration and
 * partition. */
struct task *task_create(const struct settings *settings, int32_t index);
/* `was`: as of the frame, or task_frame_input_new. */
struct task_input *task_add_input(struct task *task, uint16_t input, int32_t partition,
    struct uuid topic, const struct task_frame_input *was);
/* Lays the frame's time, counters and windows over a task just created (inputs have theirs from
 * task_add_input). -EINVAL: its stores are not those declared; `reason` says which. */
int task_resume(struct task *task, const struct task_frame *frame) MUST_CHECK;

/* Worker: applies the changelog records in stores[].log. TASK_IDLE or TASK_FAILED. */
void task_restore(struct task *task);
/* Worker: one step. Sets status and the rest of the result. */
void task_step(struct task *task);
/* Worker: the instance's destroy. */
void task_end(struct task *task);
/* Loop: gives back all buffers and memory; after task_end. */
void task_destroy(struct task *task);

/* Loop, after a step: gives back the buffers it is done with. */
void task_drop_finished(struct task *task);
uint32_t task_target_changelog(const struct task *task, size_t store);
uint32_t task_target_dead(const struct task *task);

/* ---- between task.c and host.c -------------------------------------------------------------- */

extern const mr_host task_host;
/* Every host call that needs a record in hand: counts the records before it. False (and sticky
 * MR_EINVAL) if there is none. */
bool task_touch(struct task *task);
/* Notes the first failure of an effect. Returns the code. */
int task_stick(struct task *task, int code, const char *format, ...) PRINTF_LIKE(3, 4);
/* After an effect: lowers the call's n when the unit is full; sticky MR_ELIMIT at the hard limits.
 */
int task_effect(struct task *task);
/* The callback ends after the record (row) in hand. */
void task_cut(struct task *task);
/* The watermark as it will be when the record in hand has this time. */
int64_t task_watermark_with(const struct task *task, const struct task_input *input, int64_t ts);
int task_emit(struct task *task, uint32_t target, int32_t partition, const struct record_view *);

#endif
