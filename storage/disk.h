/*
 * disk.h - the door to files.
 *
 * Three sides fill the table: disk_uring.c (io_uring), disk_plain.c (a thread; works everywhere)
 * and tests/sim/disk_sim.c (seeded faults and crashes). Nobody else in storage/ touches a file.
 *
 * Two ways in:
 *  - blocking calls, for start-up, tools and jobs of the work pool. Thread-safe for different
 * files; calls on one file are serialised by its owner, except read, which may run beside anything.
 *  - one asynchronous way, submit(), for the write-ahead log, from the loop thread only.
 *
 * All return 0 or -errno; -EINTR and short transfers are handled inside. An error of a sync is
 * never retried (the kernel may have marked the pages clean): the caller fails stop.
 */
#ifndef STORAGE_DISK_H
#define STORAGE_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "protocol/base/bytes.h"
#include "protocol/base/check.h"
#include "protocol/base/list.h"

struct disk;
struct disk_file; /* each side's own; begins with `struct disk *disk` */

enum disk_open_flag {
    DISK_READ = 0,
    DISK_WRITE = 1,     /* read and write */
    DISK_CREATE = 2,    /* with DISK_WRITE; mode 0600 */
    DISK_EXCLUSIVE = 4, /* with DISK_CREATE: -EEXIST if it is there */
    DISK_TRUNCATE = 8,
    DISK_DIRECT = 16, /* bypass the page cache where the file system can; else buffered */
};

/* Alignment that positions, lengths and memory of I/O on a DISK_DIRECT file keep. */
enum { DISK_ALIGNMENT = 4096 };

enum disk_op_kind {
    DISK_OP_WRITE,         /* handed to the device or page cache: survives a kill -9 */
    DISK_OP_WRITE_DURABLE, /* as O_DSYNC: this range is on stable media; says nothing of earlier
                              writes */
    DISK_OP_SYNC, /* as fdatasync: all writes of this file completed before the submit are on
                     stable media */
};

/* Owned by the caller, untouched until done runs. done runs exactly once, from disk_poll, never
 * inside submit; it may submit again. */
struct disk_op {
    enum disk_op_kind kind;
    struct disk_file *file;
    uint64_t position;
    const void *data; /* aligned to DISK_ALIGNMENT for DISK_DIRECT files; valid until done */
    size_t len;
    void (*done)(struct disk_op *op, int status); /* 0: all of len; else -errno */
    struct list link;                             /* the side's own */
    int status;                                   /* the side's own */
};

struct disk_space {
    uint64_t total, available; /* bytes of the file system */
};

struct disk_table {
    const char *name; /* "io_uring ...", "plain", "simulated"; for the operator */
    int (*open)(struct disk *disk, const char *path, int flags, struct disk_file **ret_file);
    void (*close)(struct disk_file *file);
    int (*mkdir)(struct disk *disk, const char *path); /* mode 0700; -EEXIST is an error */
    /* Calls each(context, name) for every entry but "." and ".."; order is not defined. */
    int (*list)(struct disk *disk, const char *path, void (*each)(void *context, const char *name),
        void *context);
    /* Reads up to len; *ret_len < len only at the end of the file. */
    int (*read)(struct disk_file *file, uint64_t position, void *to, size_t len, size_t *ret_len);
    /* As read, but -EAGAIN where it would wait for the device. May be called on the loop. */
    int (*read_nowait)(
        struct disk_file *file, uint64_t position, void *to, size_t len, size_t *ret_len);
    /* Writes everything or fails (then an unknown part is written). */
    int (*writev)(
        struct disk_file *file, uint64_t position, const struct iovec *iov, int iov_count);
    /* Blocks for [position, position + len) without changing the file's size (KEEP_SIZE);
     * -EOPNOTSUPP where the file system can't. */
    int (*fallocate)(struct disk_file *file, uint64_t position, uint64_t len);
    int (*truncate)(struct disk_file *file, uint64_t size);
    int (*size)(struct disk_file *file, uint64_t *ret_size);
    int (*sync)(struct disk_file *file);
    int (*sync_dir)(struct disk *disk, const char *path);
    /* As syncfs: everything written so far to the file system that holds the file, names too, is on
     * stable media. Tells of errors of the kernel's own write-back since the file was opened. */
    int (*sync_all)(struct disk_file *file);
    int (*rename)(struct disk *disk, const char *from, const char *to);
    int (*remove)(struct disk *disk, const char *path); /* a file, or an empty directory */
    int (*space)(struct disk *disk, const char *path, struct disk_space *ret_space);
    /* An exclusive lock for the life of the process or until close; -EBUSY if somebody has it (and
     * still has after a second: a killed process keeps it until its last write is over). */
    int (*lock)(struct disk_file *file);
    /* Do reads and writes go through the page cache? (Not DISK_DIRECT, or it was given up.) */
    bool (*is_buffered)(struct disk_file *file);
    /* A descriptor for sendfile, or -1. Valid until close. */
    int (*descriptor)(struct disk_file *file);

    void (*submit)(struct disk *disk, struct disk_op *op);
    /* Hands everything submitted since the last flush to the kernel; once per turn of the loop. */
    void (*flush)(struct disk *disk);
    /* Readable when poll has something to do; -1 for the simulated side. */
    int (*poll_descriptor)(struct disk *disk);
    /* Runs done of every finished op. */
    void (*poll)(struct disk *disk);
    /* All ops must be done. */
    void (*destroy)(struct disk *disk);
};

struct disk {
    const struct disk_table *table;
};

/* Any error (-ENOSYS, -EPERM: the kernel or a seccomp filter forbids it; -ENOMEM: RLIMIT_MEMLOCK):
 * use disk_plain_create. The first flush decides to which thread the asynchronous way belongs. */
int disk_uring_create(struct disk **ret_disk) MUST_CHECK;
int disk_plain_create(struct disk **ret_disk) MUST_CHECK;

#endif
