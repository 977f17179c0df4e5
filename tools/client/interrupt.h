/*
 * interrupt.h - SIGINT and SIGTERM as a descriptor, so that a command ends at a place of its
 * choice.
 *
 * From interrupt_open on the two signals no longer end the process: whoever opens it must look.
 * SIGPIPE is ignored: a reader that went away shows as EPIPE.
 */
#ifndef CLIENT_INTERRUPT_H
#define CLIENT_INTERRUPT_H

#include <stdbool.h>

struct interrupt {
    int fd;
    bool happened;
};

/* Other threads must have the two signals blocked (librdkafka's have all of them). */
void interrupt_open(struct interrupt *interrupt);
void interrupt_close(struct interrupt *interrupt);
/* Has one come since the start (or since `happened` was set to false)? */
bool interrupt_happened(struct interrupt *interrupt);
/* Sleep until `fd` (-1: none) is readable, a signal came, or `timeout_ms` passed: true when fd is
 * readable. */
bool interrupt_wait(struct interrupt *interrupt, int fd, int timeout_ms);
/* Whoever reads what we write to `fd` has gone. */
bool interrupt_reader_gone(int fd);

#endif
