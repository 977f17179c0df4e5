/*
 * recovery.h - from a data directory to a storage that is ready. Inside storage/ only.
 *
 *     DIR/lock             held while the process lives
 *     DIR/millrace.format  "5\n"; made last, so without it there is nothing yet
 *     DIR/meta.a, meta.b   slot.h
 *     DIR/wal/             wal.h
 *     DIR/reserve          reserve.h
 *     DIR/<topic>-<partition>/<20 digits>.log, and .idx when it is sealed (footer.h)
 */
#ifndef STORAGE_RECOVERY_H
#define STORAGE_RECOVERY_H

#include "protocol/base/check.h"

struct storage;
struct wal_events;

/* An older directory is read and becomes this one at its start. 2: the slots carry transactions.
 * 3: claims of segments have flags and a root, sealed segments a footer file (footer.h).
 * 4: the store's entries keep the lsns of their changes. 5: a committed offset may say when it
 * expires, 6: and where it stood while a transaction held it (broker/coordinator.c). */
enum { STORAGE_FORMAT = 6 };

/* Blocking. Errors of storage_open; each said. */
int recovery_run(struct storage *storage, const struct wal_events *events) MUST_CHECK;

#endif
