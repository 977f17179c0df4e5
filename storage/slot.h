/*
 * slot.h - the two files that hold the state of a checkpoint, written in turn.
 *
 *     DIR/meta.a, DIR/meta.b:
 *       0 magic "MILLRACE"      16 generation u64      40 crc32c of the body u32
 *       8 format u32            24 lsn u64             44 crc32c of bytes 0 to 43 u32
 *      12 flags u32             32 body length u64     48 body
 *
 * The generation grows by one with each; the newest valid slot counts. A slot is written over in
 * place and never cut, so once it has its size it needs no more of a full disk. No rename.
 */
#ifndef STORAGE_SLOT_H
#define STORAGE_SLOT_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol/base/bytes.h"
#include "protocol/base/check.h"
#include "storage/disk.h"

/* Of the body; an older one is read too (checkpoint_load). 2: transactions. 3: flags and root of
 * segments. 4: lsns in the store. */
enum { SLOT_HEAD_SIZE = 48, SLOT_FORMAT = 4 };
enum slot_flag { SLOT_CLEAN = 1 }; /* storage was closed at this lsn */

struct slot_head {
    uint64_t generation, lsn;
    uint32_t flags;
    uint32_t format; /* as read; slot_seal writes SLOT_FORMAT */
};

/* Room for the head at the beginning of a fresh `out`; slot_seal fills it when the body is there.
 */
void slot_begin(struct out *out);
void slot_seal(struct out *out, const struct slot_head *head);
/* Writes and syncs the slot of that generation in `dir`. Blocking; from the pool or at start. The
 * directory is synced too when the file is new. */
int slot_write(
    struct disk *disk, const char *dir, uint64_t generation, struct bytes bytes) MUST_CHECK;
/* Reads and checks both; gives the newest. -ENOENT: no valid one. ret_body: caller's to
 * out_done. *ret_invalid: how many are there but not valid (a checkpoint that a crash cut short, or
 * damage). */
int slot_read(struct disk *disk, const char *dir, struct slot_head *ret_head, struct out *ret_body,
    int *ret_invalid) MUST_CHECK;
/* Before anything is built on what slot_read gave: see rewrite.h. */
int slot_rewrite(struct disk *disk, const char *dir, uint64_t generation) MUST_CHECK;

#endif
