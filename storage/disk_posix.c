/*
 * The blocking calls. Short transfers go on where they stopped, EINTR is tried again, everything
 * else is the caller's to judge; a failed sync is never repeated here.
 *
 * O_DIRECT is asked for and given up quietly: at open where the file system refuses the flag
 * (-EINVAL: some tmpfs, overlay and network file systems), at the first I/O where it takes the flag
 * and refuses the I/O. The bytes are the same; a durable write stays durable (RWF_DSYNC).
 */
#include "storage/disk_posix.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "protocol/base/mem.h"

/* A descriptor of a killed process lives on until its io_uring writes are over, and with it the
 * lock: worth waiting for, where another broker is worth an error. */
enum { LOCK_TRIES = 100, LOCK_WAIT_NS = 10 * 1000 * 1000 };
enum { IOV_BATCH = 64 };

int disk_posix_open(struct disk *disk, const char *path, int flags, struct disk_file **ret_file)
{
    int how = O_CLOEXEC | (flags & DISK_WRITE ? O_RDWR : O_RDONLY);
    how |= flags & DISK_CREATE ? O_CREAT : 0;
    how |= flags & DISK_EXCLUSIVE ? O_EXCL : 0;
    how |= flags & DISK_TRUNCATE ? O_TRUNC : 0;
    bool direct = flags & DISK_DIRECT;
    int fd;
    do {
        fd = open(path, direct ? how | O_DIRECT : how, 0600);
        if (fd < 0 && errno == EINVAL && direct) {
            /* The refused open may have made the file. */
            direct = false;
            how &= ~O_EXCL;
            errno = EINTR;
        }
    } while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return -errno;
    struct disk_file *file = mem_zalloc(1, sizeof(*file));
    file->disk = disk;
    file->fd = fd;
    atomic_init(&file->direct, direct);
    *ret_file = file;
    return 0;
}

void disk_posix_close(struct disk_file *file)
{
    if (!file)
        return;
    (void)close(file->fd); /* whoever cares for the bytes has synced them */
    mem_free(file);
}

int disk_posix_mkdir(struct disk *disk, const char *path)
{
    (void)disk;
    return mkdir(path, 0700) < 0 ? -errno : 0;
}

int disk_posix_list(struct disk *disk, const char *path,
    void (*each)(void *context, const char *name), void *context)
{
    (void)disk;
    DIR *directory = opendir(path);
    if (!directory)
        return -errno;
    int status = 0;
    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(directory);
        if (!entry) {
            status = -errno;
            break;
        }
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            each(context, entry->d_name);
    }
    (void)closedir(directory);
    return status;
}

bool disk_posix_gave_up_direct(struct disk_file *file, int status)
{
    if (status != -EINVAL || !atomic_load_explicit(&file->direct, memory_order_relaxed))
        return false;
    int flags = fcntl(file->fd, F_GETFL);
    if (flags < 0 || fcntl(file->fd, F_SETFL, flags & ~O_DIRECT) < 0)
        return false;
    atomic_store_explicit(&file->direct, false, memory_order_relaxed);
    return true;
}

static int read_all(
    struct disk_file *file, uint64_t position, void *to, size_t len, int flags, size_t *ret_len)
{
    size_t got = 0;
    while (got < len) {
        struct iovec iov = { (uint8_t *)to + got, len - got };
        ssize_t part = preadv2(file->fd, &iov, 1, (off_t)(position + got), flags);
        if (part == 0)
            break;
        if (part > 0)
            got += (size_t)part;
        else if (errno != EINTR && !disk_posix_gave_up_direct(file, -errno))
            return -errno;
    }
    *ret_len = got;
    return 0;
}

int disk_posix_read(
    struct disk_file *file, uint64_t position, void *to, size_t len, size_t *ret_len)
{
    return read_all(file, position, to, len, 0, ret_len);
}

int disk_posix_read_nowait(
    struct disk_file *file, uint64_t position, void *to, size_t len, size_t *ret_len)
{
    int status = read_all(file, position, to, len, RWF_NOWAIT, ret_len);
    /* A file system or kernel that can't promise it might wait. */
    return status == -EOPNOTSUPP || status == -ENOSYS || status == -EINVAL ? -EAGAIN : status;
}

/* Writes `count` ≤ IOV_BATCH pieces, which are its own to change. */
static int write_all(
    struct disk_file *file, uint64_t position, struct iovec *iov, int count, int flags)
{
    while (count > 0) {
        if (iov->iov_len == 0) {
            iov++;
            count--;
            continue;
        }
        ssize_t part = pwritev2(file->fd, iov, count, (off_t)position, flags);
        if (part < 0 && errno != EINTR && !disk_posix_gave_up_direct(file, -errno))
            return -errno;
        if (part == 0)
            return -EIO; /* would never end */
        position += part > 0 ? (uint64_t)part : 0;
        for (size_t left = part > 0 ? (size_t)part : 0; left > 0;) {
            size_t step = left < iov->iov_len ? left : iov->iov_len;
            iov->iov_base = (uint8_t *)iov->iov_base + step;
            iov->iov_len -= step;
            left -= step;
            if (iov->iov_len == 0) {
                iov++;
                count--;
            }
        }
    }
    return 0;
}

int disk_posix_writev(
    struct disk_file *file, uint64_t position, const struct iovec *iov, int iov_count)
{
    while (iov_count > 0) {
        struct iovec batch[IOV_BATCH];
        int count = iov_count < IOV_BATCH ? iov_count : IOV_BATCH;
        memcpy(batch, iov, (size_t)count * sizeof(*iov));
        int status = write_all(file, position, batch, count, 0);
        if (status < 0)
            return status;
        for (int i = 0; i < count; i++)
            position += iov[i].iov_len;
        iov += count;
        iov_count -= count;
    }
    return 0;
}

int disk_posix_fallocate(struct disk_file *file, uint64_t position, uint64_t len)
{
    int result;
    do
        result = fallocate(file->fd, FALLOC_FL_KEEP_SIZE, (off_t)position, (off_t)len);
    while (result < 0 && errno == EINTR);
    if (result == 0)
        return 0;
    return errno == ENOSYS ? -EOPNOTSUPP : -errno;
}

int disk_posix_truncate(struct disk_file *file, uint64_t size)
{
    int result;
    do
        result = ftruncate(file->fd, (off_t)size);
    while (result < 0 && errno == EINTR);
    return result < 0 ? -errno : 0;
}

int disk_posix_size(struct disk_file *file, uint64_t *ret_size)
{
    struct stat info;
    if (fstat(file->fd, &info) < 0)
        return -errno;
    *ret_size = (uint64_t)info.st_size;
    return 0;
}

int disk_posix_sync(struct disk_file *file)
{
    return fdatasync(file->fd) < 0 ? -errno : 0;
}

int disk_posix_sync_dir(struct disk *disk, const char *path)
{
    (void)disk;
    int fd;
    do
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return -errno;
    int status = fsync(fd) < 0 ? -errno : 0;
    (void)close(fd); /* only read */
    return status;
}

int disk_posix_sync_all(struct disk_file *file)
{
    return syncfs(file->fd) < 0 ? -errno : 0;
}

int disk_posix_rename(struct disk *disk, const char *from, const char *to)
{
    (void)disk;
    return rename(from, to) < 0 ? -errno : 0;
}

int disk_posix_remove(struct disk *disk, const char *path)
{
    (void)disk;
    if (unlink(path) == 0)
        return 0;
    if (errno != EISDIR)
        return -errno;
    return rmdir(path) < 0 ? -errno : 0;
}

int disk_posix_space(struct disk *disk, const char *path, struct disk_space *ret_space)
{
    (void)disk;
    struct statvfs info;
    if (statvfs(path, &info) < 0)
        return -errno;
    ret_space->total = (uint64_t)info.f_blocks * info.f_frsize;
    ret_space->available = (uint64_t)info.f_bavail * info.f_frsize;
    return 0;
}

int disk_posix_lock(struct disk_file *file)
{
    for (int tries = 0; flock(file->fd, LOCK_EX | LOCK_NB) < 0; tries++) {
        if (errno != EINTR && errno != EWOULDBLOCK)
            return -errno;
        if (tries == LOCK_TRIES)
            return -EBUSY;
        struct timespec wait = { .tv_nsec = LOCK_WAIT_NS };
        (void)nanosleep(&wait, NULL); /* shorter is fine */
    }
    return 0;
}

bool disk_posix_is_buffered(struct disk_file *file)
{
    return !atomic_load_explicit(&file->direct, memory_order_relaxed);
}

int disk_posix_descriptor(struct disk_file *file)
{
    return file->fd;
}

static int write_durable(struct disk_file *file, uint64_t position, struct iovec iov)
{
    struct iovec copy = iov;
    int status = write_all(file, position, &copy, 1, RWF_DSYNC);
    if (status != -EOPNOTSUPP && status != -ENOSYS)
        return status;
    /* A file system without the flag. */
    status = write_all(file, position, &iov, 1, 0);
    return status < 0 ? status : disk_posix_sync(file);
}

int disk_posix_run(const struct disk_op *op)
{
    /* The write side of struct iovec takes no const. */
    struct iovec iov = { (void *)(uintptr_t)op->data, op->len };
    switch (op->kind) {
    case DISK_OP_WRITE: return write_all(op->file, op->position, &iov, 1, 0);
    case DISK_OP_WRITE_DURABLE: return write_durable(op->file, op->position, iov);
    case DISK_OP_SYNC: return disk_posix_sync(op->file);
    }
    return -EINVAL;
}
