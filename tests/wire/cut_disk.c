/*
 * cut_disk - a disk whose power can be cut: a file that keeps a log of every write and flush.
 *
 *   cut_disk MOUNTPOINT IMAGE LOG
 *
 * Mounts itself over the regular file MOUNTPOINT as a FUSE file system that is nothing but that
 * file (the kernel's own protocol, linux/fuse.h; needs the right to mount). It holds what IMAGE
 * holds and has its size. A loop device over it with a file system on it (power_cut.py) has a
 * volatile write cache, and its flushes arrive here as fsync. Before a write or flush is answered,
 * it stands in LOG:
 *
 *     u32 kind (1 write, 2 flush), u32 len, u64 position, len bytes
 *
 * What the disk would hold after a power cut is then up to who replays: all writes in front of the
 * last flush, and any part of those behind it. IMAGE itself stays as it was.
 *
 * One thread, so the log's order is the order of arrival. Ends when it is unmounted, or with its
 * parent.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WRITE_MAX = 1 << 20, REQUEST_MAX = WRITE_MAX + 4096, KIND_WRITE = 1, KIND_FLUSH = 2 };

struct entry {
    uint32_t kind, len;
    uint64_t position;
};

struct cut_disk {
    int fuse, log;
    uint8_t *bytes; /* private: what is written here is not in IMAGE */
    uint64_t size;
    uint8_t *request;
};

static void fail(const char *what)
{
    (void)fprintf(stderr, "cut_disk: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* ---- answers ------------------------------------------------------------------------------- */

static void answer(
    struct cut_disk *disk, const struct fuse_in_header *in, int error, const void *data, size_t len)
{
    struct fuse_out_header out = { .error = -error, .unique = in->unique };
    struct iovec iov[] = {
        { &out, sizeof(out) },
        { (void *)(uintptr_t)data, error ? 0 : len },
    };
    out.len = (uint32_t)(sizeof(out) + iov[1].iov_len);
    if (writev(disk->fuse, iov, 2) < 0 && errno != ENOENT) /* ENOENT: interrupted meanwhile */
        fail("answer");
}

static void be_init(struct cut_disk *disk, const struct fuse_in_header *in, const void *body)
{
    const struct fuse_init_in *want = body;
    struct fuse_init_out out = {
        .major = FUSE_KERNEL_VERSION,
        .minor = FUSE_KERNEL_MINOR_VERSION,
        .max_readahead = want->max_readahead,
        .flags = want->flags & (FUSE_BIG_WRITES | FUSE_MAX_PAGES),
        .max_background = 16,
        .congestion_threshold = 12,
        .max_write = WRITE_MAX,
        .time_gran = 1,
        .max_pages = WRITE_MAX / 4096,
    };
    answer(disk, in, 0, &out, sizeof(out));
}

static void be_attributes(struct cut_disk *disk, const struct fuse_in_header *in)
{
    struct fuse_attr_out out = { .attr_valid = 3600 };
    out.attr.ino = FUSE_ROOT_ID;
    out.attr.size = disk->size;
    out.attr.blocks = disk->size / 512;
    out.attr.mode = S_IFREG | 0600;
    out.attr.nlink = 1;
    out.attr.blksize = 4096;
    answer(disk, in, 0, &out, sizeof(out));
}

static void be_open(struct cut_disk *disk, const struct fuse_in_header *in)
{
    struct fuse_open_out out = { .open_flags = FOPEN_KEEP_CACHE };
    answer(disk, in, 0, &out, sizeof(out));
}

static void be_statfs(struct cut_disk *disk, const struct fuse_in_header *in)
{
    struct fuse_statfs_out out = {
        .st = { .blocks = disk->size / 4096, .bsize = 4096, .frsize = 4096, .namelen = 255 }
    };
    answer(disk, in, 0, &out, sizeof(out));
}

static void be_read(struct cut_disk *disk, const struct fuse_in_header *in, const void *body)
{
    const struct fuse_read_in *want = body;
    uint64_t left = want->offset < disk->size ? disk->size - want->offset : 0;
    answer(disk, in, 0, disk->bytes + (left ? want->offset : 0),
        left < want->size ? left : want->size);
}

/* ---- what is logged ------------------------------------------------------------------------ */

static void note(struct cut_disk *disk, struct entry entry, const void *data)
{
    struct iovec iov[] = { { &entry, sizeof(entry) }, { (void *)(uintptr_t)data, entry.len } };
    if (writev(disk->log, iov, 2) != (ssize_t)(sizeof(entry) + entry.len))
        fail("log");
}

static void be_written(struct cut_disk *disk, const struct fuse_in_header *in, const void *body)
{
    const struct fuse_write_in *want = body;
    const uint8_t *data = (const uint8_t *)body + sizeof(*want);
    if (want->offset > disk->size || want->size > disk->size - want->offset) {
        answer(disk, in, ENOSPC, NULL, 0);
        return;
    }
    memcpy(disk->bytes + want->offset, data, want->size);
    note(disk, (struct entry){ KIND_WRITE, want->size, want->offset }, data);
    struct fuse_write_out out = { .size = want->size };
    answer(disk, in, 0, &out, sizeof(out));
}

static void be_flushed(struct cut_disk *disk, const struct fuse_in_header *in)
{
    note(disk, (struct entry){ KIND_FLUSH, 0, 0 }, NULL);
    answer(disk, in, 0, NULL, 0);
}

/* ---- requests ------------------------------------------------------------------------------ */

static void serve(struct cut_disk *disk)
{
    const struct fuse_in_header *in = (const void *)disk->request;
    const void *body = disk->request + sizeof(*in);
    switch (in->opcode) {
    case FUSE_INIT: be_init(disk, in, body); break;
    case FUSE_GETATTR:
    case FUSE_SETATTR: be_attributes(disk, in); break;
    case FUSE_OPEN: be_open(disk, in); break;
    case FUSE_READ: be_read(disk, in, body); break;
    case FUSE_WRITE: be_written(disk, in, body); break;
    case FUSE_FSYNC: be_flushed(disk, in); break;
    case FUSE_STATFS: be_statfs(disk, in); break;
    case FUSE_FLUSH:
    case FUSE_ACCESS:
    case FUSE_RELEASE:
    case FUSE_DESTROY: answer(disk, in, 0, NULL, 0); break;
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
    case FUSE_INTERRUPT: break; /* have no answer */
    default: answer(disk, in, ENOSYS, NULL, 0);
    }
}

static void image_open(struct cut_disk *disk, const char *path)
{
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &info) < 0)
        fail(path);
    disk->size = (uint64_t)info.st_size;
    disk->bytes = mmap(NULL, disk->size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    if (disk->bytes == MAP_FAILED)
        fail(path);
    (void)close(fd); /* only read */
}

int main(int argc, char **argv)
{
    struct cut_disk disk = { 0 };
    char options[128];
    if (argc != 4) {
        (void)fprintf(stderr, "cut_disk MOUNTPOINT IMAGE LOG\n");
        return 2;
    }
    image_open(&disk, argv[2]);
    disk.request = aligned_alloc(4096, REQUEST_MAX);
    disk.log = open(argv[3], O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    if (disk.log < 0 || !disk.request)
        fail(argv[3]);
    disk.fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (disk.fuse < 0)
        fail("/dev/fuse");
    (void)snprintf(options, sizeof(options), "fd=%d,rootmode=%o,user_id=0,group_id=0", disk.fuse,
        S_IFREG | 0600);
    if (mount("cut_disk", argv[1], "fuse", MS_NOSUID | MS_NODEV, options) < 0)
        fail("mount");
    for (;;) {
        ssize_t len = read(disk.fuse, disk.request, REQUEST_MAX);
        if (len < 0 && errno == ENODEV) /* unmounted */
            break;
        if (len < 0 && errno != EINTR && errno != ENOENT && errno != EAGAIN)
            fail("read");
        if (len >= (ssize_t)sizeof(struct fuse_in_header))
            serve(&disk);
    }
    free(disk.request);
    return 0;
}
