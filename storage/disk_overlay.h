/*
 * disk_overlay.h - a disk that shows what another one holds, and keeps in memory whatever is
 * written: nothing on the other side changes. For looking at a data directory (check.h): recovery
 * runs on it as it would at a start.
 *
 * One thread. Files are opened for reading below, never made, cut or removed; locks are real. What
 * is held in memory is bounded: beyond OVERLAY_BYTES_MAX writes are -ENOSPC.
 */
#ifndef STORAGE_DISK_OVERLAY_H
#define STORAGE_DISK_OVERLAY_H

#include "protocol/base/check.h"
#include "storage/disk.h"

#define OVERLAY_BYTES_MAX (UINT64_C(2) << 30)

/* `base` stays the caller's and must outlive it; destroyed by its own table. */
struct disk *disk_overlay_create(struct disk *base);

#endif
