/*
 * owner.h - struct storage: everything hangs off it. Inside storage/ only.
 */
#ifndef STORAGE_OWNER_H
#define STORAGE_OWNER_H

#include "storage/checkpoint.h"
#include "storage/compaction.h"
#include "storage/log.h"
#include "storage/producers.h"
#include "storage/removal.h"
#include "storage/retention.h"
#include "storage/seal.h"
#include "storage/segment.h"
#include "storage/storage.h"
#include "storage/store.h"
#include "storage/topics.h"
#include "storage/transactions.h"
#include "storage/wal.h"
#include "storage/writeback.h"

/* wal record types. */
enum {
    WAL_BATCH = WAL_USER, /* log, base offset; payload: the batch, patched */
    WAL_PUT,              /* payload: kind u16, 0 u16, key len u32, value len u32 (-1: delete), key,
                             value */
};
enum { WAL_PUT_HEAD = 12 };

struct storage {
    struct storage_config config;
    struct doors *doors;
    const struct disk_table *disk; /* doors->disk->table */
    struct storage_hooks hooks;
    char *dir;
    struct disk_file *lock;
    struct wal *wal;
    struct storage_stats stats;

    struct store store;
    struct topics topics;
    struct tree logs; /* of struct log_body, by id: in order of creation */
    struct producer_table producers;
    struct transaction_table transactions;
    struct residents residents;

    /* who waits for what: position.c */
    struct list units_written, units_durable; /* struct unit, by end_lsn */
    struct heap await_written, await_durable; /* struct log_body with entries not visible */
    struct list waiters;                      /* struct storage_waiter, by lsn */
    struct list wakes;                        /* struct log_body whose waiters are to be woken */
    struct list notices;                      /* struct log_body changed by a put, by notice_lsn */
    struct timer ready_timer;                 /* a waiter was durable when it came */

    struct list visits; /* struct visit in the pool */
    struct list dirty;  /* struct segment */
    bool root_dirty;    /* the data directory has names that no sync has seen */

    struct writeback writeback;
    struct checkpoint checkpoint;
    struct removals removals;
    struct retention retention;
    struct compaction compaction;
    struct seals seals;

    char cluster_id[UUID_TEXT_LEN + 1];
    uint32_t epoch; /* of all logs: unclean stops so far */
    uint32_t next_log;
    struct unit start_unit; /* the first record of this life */
    uint64_t start_lsn;     /* until it is durable everything waits for durable */
    bool unclean;
    bool recovering; /* storage_open runs */
    bool reserve_there;
    bool closing, failed;
    void (*close_done)(void *context, int status); /* NULL: not closing, or told */
    void (*close_told)(void *context, int status);
    void *close_context;
    int close_status;
    struct timer close_timer;
};

/* Fail-stop. */
void storage_fail(struct storage *storage, int status, const char *what);
/* A put takes effect, live and in replay; lsn: behind its own record, so that no two have the same,
 * and what waits for it waits for its unit, which is one write. -EUCLEAN: the value is not one
 * (replay only). */
int storage_apply(struct storage *storage, uint16_t kind, struct bytes key, struct bytes value,
    uint64_t lsn) MUST_CHECK;
/* Something that closing waits for may have ended. */
void storage_close_step(struct storage *storage);

/* unit_put for every kind, storage's own included, under a condition that log_commit checks. */
enum put_condition {
    PUT_ALWAYS,
    PUT_TOPIC_ABSENT,    /* -EEXIST */
    PUT_TOPIC_UNCHANGED, /* the topic has this id and lsn: -ENOENT, -ESTALE */
    PUT_LOG_THERE,       /* -ENOENT */
};
struct unit_put {
    uint8_t *memory; /* key and value behind one another */
    struct bytes key, value;
    uint64_t topic_lsn;
    uint64_t lsn; /* behind its record, once it has one */
    struct uuid topic_id;
    uint16_t kind;
    uint8_t condition;
};
struct unit_put *unit_put_any(
    struct unit *unit, uint16_t kind, struct bytes key, struct bytes value);

#endif
