/*
 * wal_recovery.h - reads the write-ahead files after a start, shows what they hold, and says where
 * to go on. For wal.c only.
 */
#ifndef STORAGE_WAL_RECOVERY_H
#define STORAGE_WAL_RECOVERY_H

#include "storage/wal.h"
#include "storage/wal_files.h"

struct wal_end {
    uint64_t end;         /* the log ends here; what lies behind is not of it */
    uint64_t chain;       /* of the record behind */
    uint64_t next;        /* where to write on: a fresh block, or a file's beginning */
    uint32_t incarnation; /* one that no record carries */
};

/* `ring` is files->format.file_bytes of scratch memory (wal_memory_map). Blocking; writes nothing,
 * so a second recovery of the same bytes finds the same. Slots through which the log runs end USED,
 * the others FREE or EMPTY. `from` and the errors: wal_open. */
int wal_recover(struct wal_files *files, uint8_t *ring, uint64_t from, bool accept_loss,
    const struct wal_replay *replay, struct wal_found *ret_found,
    struct wal_end *ret_end) MUST_CHECK;

#endif
