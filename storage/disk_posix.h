/*
 * disk_posix.h - the blocking calls of disk.h by plain system calls, shared by both real sides.
 *
 * For disk_plain.c and disk_uring.c only. Each side puts DISK_POSIX_CALLS into its table and adds
 * submit, flush, poll_descriptor, poll and destroy.
 */
#ifndef STORAGE_DISK_POSIX_H
#define STORAGE_DISK_POSIX_H

#include <stdatomic.h>

#include "storage/disk.h"

struct disk_file {
    struct disk *disk; /* first, as disk.h says */
    int fd;
    atomic_bool direct; /* opened with O_DIRECT and no I/O has said -EINVAL yet */
};

int disk_posix_open(struct disk *disk, const char *path, int flags, struct disk_file **ret_file);
void disk_posix_close(struct disk_file *file);
int disk_posix_mkdir(struct disk *disk, const char *path);
int disk_posix_list(struct disk *disk, const char *path,
    void (*each)(void *context, const char *name), void *context);
int disk_posix_read(
    struct disk_file *file, uint64_t position, void *to, size_t len, size_t *ret_len);
int disk_posix_read_nowait(
    struct disk_file *file, uint64_t position, void *to, size_t len, size_t *ret_len);
int disk_posix_writev(
    struct disk_file *file, uint64_t position, const struct iovec *iov, int iov_count);
int disk_posix_fallocate(struct disk_file *file, uint64_t position, uint64_t len);
int disk_posix_truncate(struct disk_file *file, uint64_t size);
int disk_posix_size(struct disk_file *file, uint64_t *ret_size);
int disk_posix_sync(struct disk_file *file);
int disk_posix_sync_dir(struct disk *disk, const char *path);
int disk_posix_sync_all(struct disk_file *file);
int disk_posix_rename(struct disk *disk, const char *from, const char *to);
int disk_posix_remove(struct disk *disk, const char *path);
int disk_posix_space(struct disk *disk, const char *path, struct disk_space *ret_space);
int disk_posix_lock(struct disk_file *file);
bool disk_posix_is_buffered(struct disk_file *file);
int disk_posix_descriptor(struct disk_file *file);

#define DISK_POSIX_CALLS                                                                           \
    .open = disk_posix_open, .close = disk_posix_close, .mkdir = disk_posix_mkdir,                 \
    .list = disk_posix_list, .read = disk_posix_read, .read_nowait = disk_posix_read_nowait,       \
    .writev = disk_posix_writev, .fallocate = disk_posix_fallocate,                                \
    .truncate = disk_posix_truncate, .size = disk_posix_size, .sync = disk_posix_sync,             \
    .sync_dir = disk_posix_sync_dir, .sync_all = disk_posix_sync_all, .rename = disk_posix_rename, \
    .remove = disk_posix_remove, .space = disk_posix_space, .lock = disk_posix_lock,               \
    .is_buffered = disk_posix_is_buffered, .descriptor = disk_posix_descriptor

/* An I/O failed with `status`: true when the file was O_DIRECT and is buffered from now on, so the
 * I/O is worth another try (file systems that take the flag and refuse the I/O). */
bool disk_posix_gave_up_direct(struct disk_file *file, int status);

/* Carries out an asynchronous op by blocking calls; 0 or -errno. Any thread. */
int disk_posix_run(const struct disk_op *op);

#endif
