/*
 * rewrite.h - bytes that were read are written again, so that a sync means them.
 *
 * When a sync fails, the kernel marks the pages clean all the same (Rebello et al., "Can
 * applications recover from fsync failures?", 2020): as long as the machine runs, every reader sees
 * what was written, every later sync succeeds, and the medium holds something else. We stop at such
 * an error, but the next start reads those pages, and builds on what a power cut takes back. A
 * program cannot see which pages those are. So what a start builds on is made dirty again before
 * it is synced. Only buffered files know this: a direct read asks the device.
 *
 * Same bytes at the same place: a crash meanwhile leaves what was there.
 */
#ifndef STORAGE_REWRITE_H
#define STORAGE_REWRITE_H

#include <stdint.h>

#include "protocol/base/check.h"
#include "storage/disk.h"

/* Reads [0, len) of a buffered file, or what there is of it, writes it again and syncs. Blocking.
 */
int rewrite(struct disk *door, struct disk_file *file, uint64_t len) MUST_CHECK;

#endif
