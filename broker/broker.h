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
#include "protocol/base/list.h"
#include "storage/doors.h"
#include "storage/storage.h"

struct coordinator;  /* groups and offsets: coordinator.h */
struct processors;   /* processors/processors.h */
struct producer_ids; /* producer_ids.h */

struct broker {
    struct doors *doors;
    const struct broker_config *config;
    struct storage *storage;
    struct coordinator *coordinator;
    struct processors *processors;
    struct producer_ids *producer_ids;
    struct list connections; /* struct connection */
    uint32_t connection_count;
    struct list parked; /* struct request, waiting for room in the ring */
    bool stopping;
    struct broker_counters {
        uint64_t connections, refused, requests, bytes_in, bytes_out, bad_frames;
    } counters;
};

/* Opens the storage below config->log_dir and starts every part. Blocking (recovery). The doors and
 * the config stay the caller's and outlive the broker. `failed` is called when the write-ahead log
 * failed: log and abort. */
int broker_open(struct broker **ret_broker, const struct broker_config *config, struct doors *doors,
    void (*failed)(void *context, int status, const char *what), void *context) MUST_CHECK;
/* Refuses new requests, drains processors and answers, checkpoints; done runs later. */
void broker_close(struct broker *broker, void (*done)(void *context, int status), void *context);
void broker_destroy(struct broker *broker);
/* Once per turn, after everything of the turn. */
void broker_turn(struct broker *broker);

#endif
