/*
 * task_frame.h - a task's truth: what is written with every unit (STORE_TASK) and read at a
 * restart.
 *
 * Input positions, time, and where the state's changelog begins to matter. It is one put in the
 * unit that also holds the outputs and the changelog, so all three always agree.
 *
 * To change the format: raise TASK_FRAME_VERSION, keep reading the older ones, write the new one
 * only.
 */
#ifndef PROCESSORS_TASK_FRAME_H
#define PROCESSORS_TASK_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/base/bytes.h"
#include "protocol/base/check.h"
#include "protocol/uuid.h"

enum { TASK_FRAME_VERSION = 1, TASK_FRAME_LISTS_MAX = 1 << 20 };

struct task_frame_input {
    struct uuid topic;
    int32_t partition;
    int64_t position; /* the next offset to be read */
    int64_t max_ts;   /* greatest time seen, or INT64_MIN */
    int64_t order_ts; /* place of the last record in the order of all: see task.h */
    uint64_t order_seq;
};
static inline struct task_frame_input task_frame_input_new(int64_t position)
{
    return (struct task_frame_input){
        .position = position, .max_ts = INT64_MIN, .order_ts = INT64_MIN
    };
}

struct task_frame_store {
    struct bytes name;
    uint16_t kind, version;   /* as declared */
    int64_t size_ms, step_ms; /* of its window; else 0 */
    struct uuid changelog;    /* the topic */
    int64_t log_start;        /* state is rebuilt from here on */
    int64_t closed_end;       /* of its windows; else INT64_MIN */
};

struct task_frame {
    uint64_t seq; /* units committed */
    int64_t watermark;
    uint64_t records, emitted, late, dropped, dead; /* since the processor was first loaded */
    bool firing;                                    /* in the middle of telling a window: */
    uint16_t firing_store;
    int64_t firing_end;
    uint64_t firing_told; /* rows told so far */
    struct task_frame_input *inputs;
    size_t input_count;
    struct task_frame_store *stores;
    size_t store_count;
};

/* Appends the encoded frame. */
void task_frame_write(const struct task_frame *frame, struct out *out);
/* Names borrow from `from`. -EBADMSG: not a frame; -EPROTO: of a newer version. task_frame_done
 * after success. */
int task_frame_read(struct bytes from, struct task_frame *ret) MUST_CHECK;
void task_frame_done(struct task_frame *frame);

#endif
