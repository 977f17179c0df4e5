/*
 * broker.h - the owner of all parts of a running broker. No socket, no libuv: doors come in, bytes
 * come in through connection_input, bytes go out through the transport of each connection; so a
 * whole broker runs in a test, in one thread, in virtual time.
 *
 * One turn of the loop:
 *   read everything → handle it → broker_turn: one commit → answer what became durable
 */
#ifndef BROKER_BROKER_H
#define BROKER_BROKER_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/config.h"
#include "broker/sessions.h"
#include "protocol/base/list.h"
#include "storage/doors.h"
#include "storage/storage.h"

struct coordinator;     /* groups and offsets: coordinator.h */
struct expiry;          /* expiry.h */
struct internal_topics; /* internal_topics.h */
struct processors;      /* processors/processors.h */
struct workers;         /* processors/workers.h */
struct overrides;       /* overrides.h */
struct producer_ids;    /* producer_ids.h */
struct transaction_coordinator;
struct validation; /* validation.h */

struct broker {
    struct doors *doors;
    struct workers *workers;
    const struct broker_config *config; /* in force now: see overrides.h */
    struct overrides *overrides;
    struct storage *storage;
    struct coordinator *coordinator;
    struct expiry *expiry;
    struct shares *shares;
    struct processors *processors;
    struct producer_ids *producer_ids;
    struct transaction_coordinator *transactions;
    struct validation *validation;
    struct internal_topics *internal_topics;
    struct sessions sessions; /* of fetches */
    struct list commits;      /* struct commit: units of requests, under way */
    struct list connections;  /* struct connection */
    uint32_t connection_count;
    struct list ready;    /* struct connection: the next turn goes on with it */
    struct list starving; /* struct connection: waits for a share of memory, first come first */
    struct list parked;   /* struct request: waits for room in the ring, in order */
    struct list hungry;   /* struct answer_waiter: waits for room for its answer, in order */
    bool space;           /* the ring has room again */
    bool stopping;
    struct broker_memory {
        size_t frames;   /* large ones that arrive or are handled: config->frames_bytes_max */
        size_t requests; /* what handling takes: config->requests_bytes_max, but one request of each
                            connection goes on */
        size_t answers;  /* promised to reads, read, or not yet sent; blocks count whole until the
                            last of their bytes was sent: config->answers_bytes_max */
    } memory;
    struct list spare_requests; /* struct request, to be used again */
    uint32_t spare_count;
    struct timer stall; /* looks for connections that hold a share and do not go on */
    struct broker_counters {
        uint64_t connections, refused, requests, bytes_in, bytes_out, bad_frames;
    } counters;
    struct broker_complaints { /* lines about clients: a few per second, then a count */
        int64_t second;
        uint32_t said, unsaid;
    } complaints;
    struct broker_hooks {
        void (*failed)(void *context, int status, const char *what);
        void *context;
    } hooks;
    struct broker_end {
        void (*done)(void *context, int status);
        void *context;
        int status; /* of the processors */
    } end;
};

/* Opens the storage below config->log_dir and starts every part. Blocking (recovery). The doors,
 * the workers and the config stay the caller's and outlive the broker. `failed` is called when the
 * write-ahead log failed: log and abort. */
int broker_open(struct broker **ret_broker, const struct broker_config *config, struct doors *doors,
    struct workers *workers, void (*failed)(void *context, int status, const char *what),
    void *context) MUST_CHECK;
/* Refuses new requests, drains processors and answers, checkpoints; done runs later. */
void broker_close(struct broker *broker, void (*done)(void *context, int status), void *context);
void broker_destroy(struct broker *broker);
/* Once per turn, after everything of the turn. Goes on with what can go on, then starts the commit;
 * answers that are ready lie in their connections, and wants_output was called. */
void broker_turn(struct broker *broker);

/* Bytes that a Fetch may put into its answer now: what is left of three quarters of the share of
 * answers. At 0 it waits, with an answer_waiter; who holds the share and does not read is closed
 * after a while. The last quarter is for small answers to those who read: what is left of it, at
 * most ANSWER_SMALL_MAX, so that one who consumes a little does not wait for those who stall. */
enum { ANSWER_SMALL_MAX = 64 * 1024 };
size_t broker_answer_room(const struct broker *broker);
size_t broker_answer_small_room(const struct broker *broker);
void broker_answer_take(struct broker *broker, size_t size);
void broker_answer_give(struct broker *broker, size_t size);

/* Told once, in a later turn, that there is room again; first come, first served. The owner's. */
struct answer_waiter {
    struct list link; /* init with list_init */
    void (*room)(struct answer_waiter *waiter);
};
void broker_answer_wait(struct broker *broker, struct answer_waiter *waiter);

/* What the configuration means for compaction: the memory for keys is a share of memory.limit. */
struct cleaner_config broker_cleaner(const struct broker_config *config);

/* One line about what a client did wrong, LOG_WARNING; when too many come, only their number. */
void broker_complain(struct broker *broker, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
