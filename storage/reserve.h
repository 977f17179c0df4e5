/*
 * reserve.h - DIR/reserve: blocks of the disk that are kept for a start on a full one. Inside
 * storage/ only.
 *
 * A life that ends on a full disk leaves records that are in the write-ahead log only. The next
 * start writes them to their segments, and may have to make a write-ahead file: it gives the
 * reserve up first. It is made again when the disk has room. Nothing depends on it being there: no
 * fallocate, or too little room, means none.
 */
#ifndef STORAGE_RESERVE_H
#define STORAGE_RESERVE_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol/base/check.h"
#include "storage/disk.h"

struct storage;

/* What a start may need: the ring's records in segments, a write-ahead file, and some names. */
uint64_t reserve_size(const struct storage *storage);
/* Before the replay. `named`: the directory has a file of that name. Blocking. An error is one of
 * the directory's sync. */
int reserve_prepare(struct storage *storage, bool named) MUST_CHECK;
/* Makes it. Blocking, any thread; 0, or -errno and it is not there. */
int reserve_make(struct disk *disk, const char *dir, uint64_t size) MUST_CHECK;

#endif
