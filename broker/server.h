/*
 * server.h - the process around a broker: loop, real doors, signals, start and stop.
 *
 *     server_run  binds, opens, listens, says so, serves until a signal, stops cleanly
 *
 * Stop: SIGTERM or SIGINT closes the listeners, refuses further requests, lets the storage write
 * its checkpoint, sends what is answered, and ends within SERVER_STOP_MS; a second signal ends at
 * once (as a kill does: recovery repairs).
 */
#ifndef BROKER_SERVER_H
#define BROKER_SERVER_H

#include "broker/config.h"

enum { SERVER_STOP_MS = 10000 };

/* Blocks until the end. 0: a clean stop; else -errno, said on standard error. `warnings` are lines
 * to say at the start. */
int server_run(struct broker_config *config, const char *warnings) MUST_CHECK;

#endif
