/*
 * wal_files.h - the files DIR/NNNN.wal: slots that are used for one turn after the other. For
 * wal*.c only.
 *
 *   FREE  → USED       its turn has come (the header is written with the turn's first records)
 *   USED  → FREE       everything in it is checkpointed, or it held the torn end of a lost history
 *   EMPTY → PREPARING  a job of the pool makes the file (space, zeros, sync, sync of the
 * directory), or looks through one that an earlier life made and did not use PREPARING → FREE, or
 * EMPTY when that failed
 *
 * A slot's memory stays where it is from wal_files_open to wal_files_done.
 */
#ifndef STORAGE_WAL_FILES_H
#define STORAGE_WAL_FILES_H

#include "storage/doors.h"
#include "storage/wal_format.h"

enum wal_slot_state { WAL_SLOT_EMPTY, WAL_SLOT_PREPARING, WAL_SLOT_FREE, WAL_SLOT_USED };

struct wal_slot {
    enum wal_slot_state state;
    struct disk_file *file; /* NULL for EMPTY and PREPARING */
    uint64_t size;          /* when it was opened */
    /* What was found in it; `head` is the newest that is known. */
    bool has_head;
    struct wal_file_head head;
    bool has_first; /* a valid record stands directly behind the header */
    struct wal_record first;
    bool blank;   /* header and first block are zeros: prepared and never used */
    bool visited; /* recovery: the log runs through it */
    /* Writing. */
    bool unflushed; /* writes that no sync covers */
};

struct wal_prepare {
    struct work_job job;
    struct wal_files *files;
    size_t index;
    char *path;
    struct disk_file *file; /* result */
    int status;             /* result */
    bool directory_failed;  /* result: the error is of sync_dir, which nobody may try again */
    bool running;
};

struct wal_files {
    struct doors *doors;
    char *dir;
    struct wal_format format;
    struct wal_slot *slots;
    size_t count; /* slots; the index is the number in the file's name */
    struct wal_prepare prepare;
    /* Called on the loop when a preparation ended. */
    void (*prepared)(struct wal_files *files, size_t index, int status, bool directory_failed);
};

enum { WAL_FILES_COUNT_MAX = 10000 };

/* Opens what is there, at least room for `files_max`; takes each file's lock, syncs each file and
 * the directory, then reads the headers. format is zero if no file has a header.
 * -EBUSY: locked; -EUCLEAN: files of two directories; -EPROTONOSUPPORT: of a newer format. On an
 * error wal_files_done is called by the caller as well. */
int wal_files_open(
    struct wal_files *files, struct doors *doors, const char *dir, size_t files_max) MUST_CHECK;
/* Accepts a zeroed struct. */
void wal_files_done(struct wal_files *files);

/* Blocking: is a slot that has a file zeros behind its header's block, so that there never was a
 * record? Reads it. */
int wal_files_check_blank(
    struct wal_files *files, const struct wal_slot *slot, bool *ret_blank) MUST_CHECK;

/* Blocking: makes slot `index` a file that is ready, durable, with its header. Fast: blocks are
 * allocated, not written. */
int wal_files_create(
    struct wal_files *files, size_t index, const struct wal_file_head *head) MUST_CHECK;
/* Hands the preparation of an EMPTY slot to the pool. One at a time. */
void wal_files_prepare(struct wal_files *files, size_t index);
/* Blocking: a FREE file at once, above the number asked for at open if all are in use. */
int wal_files_prepare_now(struct wal_files *files) MUST_CHECK;

/* The slot that is USED and holds file `number`, or NULL. */
struct wal_slot *wal_files_find(struct wal_files *files, uint64_t number);
/* A FREE slot for file `number`, or NULL. One that holds an old file of that number comes first, so
 * that there are never two. */
struct wal_slot *wal_files_pick(struct wal_files *files, uint64_t number);
size_t wal_files_count(const struct wal_files *files, enum wal_slot_state state);
/* The path of a slot's file, in `path`. */
void wal_files_path(const struct wal_files *files, size_t index, char *path, size_t size);
/* Memory aligned to DISK_ALIGNMENT, zeroed, not touched until used; NULL when there is none. */
void *wal_memory_map(size_t size) MUST_CHECK;
void wal_memory_unmap(void *memory, size_t size);

#endif
