/*
 * transaction.h - one transactional id, as a pure state machine: no sockets, no disk, no clock.
 *
 *                 add                    end: commit
 *     EMPTY ────────────▶ ONGOING ─────────────────────▶ COMPLETE_COMMIT ──▶ add, init
 *       ▲ init (epoch + 1)   │  ▲ add (again)
 *       │                    │  end: abort; time is up; init by somebody else (epoch + 1)
 *       └────────────────────┴─────────────────────────▶ COMPLETE_ABORT ───▶ add, init
 *
 * An event goes in with the time of now; transaction_step says, and changes nothing: the answer,
 * the fields as they will be, and which markers must be written. Whoever asked commits all of it in
 * one unit and then calls transaction_become; if the unit is refused nothing has happened. So there
 * is no moment at which a transaction is prepared but not complete: Kafka's states PrepareCommit,
 * PrepareAbort and PrepareEpochFence are passed within a step, and Dead is one that is gone. They
 * are named here because clients filter by them.
 *
 * Rules: KIP-98; KIP-360 (a producer goes on after an error, last_epoch tells its retry from a
 * stranger); KIP-890 (version 2: each end raises the epoch, so nothing late can get into the next
 * transaction; when epochs run out the producer id changes). Kafka 4.3's TransactionCoordinator and
 * TransactionMetadata; a fence raises the epoch once (KAFKA-19367). Error codes are Kafka's newest,
 * the handlers translate them for old versions.
 */
#ifndef BROKER_TRANSACTION_H
#define BROKER_TRANSACTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/base/bytes.h"
#include "protocol/uuid.h"

enum transaction_state { /* Kafka's numbers */
    TRANSACTION_EMPTY,
    TRANSACTION_ONGOING,
    TRANSACTION_PREPARE_COMMIT,
    TRANSACTION_PREPARE_ABORT,
    TRANSACTION_COMPLETE_COMMIT,
    TRANSACTION_COMPLETE_ABORT,
    TRANSACTION_DEAD,
    TRANSACTION_PREPARE_EPOCH_FENCE,
    TRANSACTION_STATE_COUNT
};
/* "CompleteCommit" */
const char *transaction_state_name(enum transaction_state state);

/* The last epoch but one of a producer id: behind it there is only one to fence with. */
enum { TRANSACTION_EPOCH_MAX = INT16_MAX - 1 };
/* The protocol that an event speaks: 1 all that was before KIP-890. */
enum transaction_protocol { TRANSACTION_V1 = 1, TRANSACTION_V2 = 2 };

/* A partition in a transaction. The zero topic stands for __consumer_offsets. */
struct transaction_part {
    struct uuid topic_id;
    int32_t partition;
};

/* What changes as a whole. */
struct transaction_fields {
    enum transaction_state state;
    int64_t producer_id;
    int64_t previous_producer_id; /* before the newest change; -1: none */
    int16_t epoch;                /* -1: given to nobody yet */
    int16_t last_epoch;           /* before the newest raise by its own producer; -1: none */
    int32_t timeout_ms;
    int64_t start_ms, update_ms; /* wall time; start -1: none was begun */
};

struct transaction {
    char *id;
    struct transaction_fields now;
    struct transaction_part *parts; /* ascending */
    size_t part_count, part_capacity;
};

/* Not in use yet: its first event must be an init with that producer id as fresh_id. */
void transaction_init(struct transaction *transaction, struct bytes id);
void transaction_done(struct transaction *transaction);

enum transaction_event_kind {
    TRANSACTION_INIT,   /* InitProducerId */
    TRANSACTION_ADD,    /* partitions are added: none already there is no error */
    TRANSACTION_VERIFY, /* as add, but all must be there already */
    TRANSACTION_END,    /* EndTxn */
    TRANSACTION_LATE,   /* its time is up */
};

struct transaction_event {
    enum transaction_event_kind kind;
    enum transaction_protocol protocol; /* of add and end */
    int64_t producer_id;                /* who asks; of init -1: does not say */
    int16_t epoch;
    int32_t timeout_ms; /* of init */
    bool committed;     /* of end */
    const struct transaction_part *parts;
    size_t part_count;
    int64_t fresh_id; /* a new producer id if transaction_wants_id, else -1 */
};

/* May the next step need a new producer id? */
bool transaction_wants_id(const struct transaction *transaction);

enum transaction_marker {
    TRANSACTION_NO_MARKER,
    TRANSACTION_COMMIT_MARKER,
    TRANSACTION_ABORT_MARKER
};

struct transaction_effects {
    int16_t error;       /* the answer; NONE: with producer id and epoch as they are for it */
    int64_t producer_id; /* -1 with an error */
    int16_t epoch;
    bool changed;                   /* commit `next` and the markers, then transaction_become */
    struct transaction_fields next; /* parts: united with the event's while ONGOING, else none */
    enum transaction_marker marker; /* for every part, from the present producer id ... */
    int16_t marker_epoch;           /* ... with this epoch */
};

void transaction_step(const struct transaction *transaction, const struct transaction_event *event,
    int64_t now_ms, struct transaction_effects *ret);
/* The effects, which are `changed`, happened. */
void transaction_become(struct transaction *transaction, const struct transaction_event *event,
    const struct transaction_effects *effects);

bool transaction_has(const struct transaction *transaction, const struct transaction_part *part);

/* The durable form of what it is (effects NULL), or of what it will be. */
void transaction_encode(const struct transaction *transaction,
    const struct transaction_event *event, const struct transaction_effects *effects,
    struct out *out);
/* Restores one that has just been initialised. -EBADMSG: that is none (the transaction is to be
 * done). */
int transaction_decode(struct transaction *transaction, struct bytes data) MUST_CHECK;

#endif
