/*
 * One suite over every side of the disk door: plain and io_uring, each on the file system of the
 * build directory and on /dev/shm, and the simulated one. A side that the machine forbids is named
 * and left out.
 *
 * System calls are wrapped at link time (meson.build), so that they can be made to be short or to
 * fail; `faults` says how.
 */
#include "storage/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "protocol/base/mem.h"
#include "protocol/base/random.h"
#include "tests/sim/sim.h"
#include "tests/test.h"

enum { BLOCK = DISK_ALIGNMENT };

/* ---- wrapped calls ---- */

static struct {
    bool short_transfers; /* about half of what was asked */
    unsigned interrupts;  /* so many calls say EINTR first */
    bool no_direct_open;  /* open with O_DIRECT says EINVAL */
    bool no_direct_io;    /* I/O while the file has O_DIRECT says EINVAL */
    bool no_dsync;        /* RWF_DSYNC is not supported */
    unsigned no_setup;    /* io_uring_setup with any of these flags says EINVAL */
    int setup_error;      /* io_uring_setup fails so */
    unsigned calls, refused;
} faults;

ssize_t __real_pwritev64v2(int fd, const struct iovec *iov, int count, off_t at, int flags);
ssize_t __wrap_pwritev64v2(int fd, const struct iovec *iov, int count, off_t at, int flags);
ssize_t __real_preadv64v2(int fd, const struct iovec *iov, int count, off_t at, int flags);
ssize_t __wrap_preadv64v2(int fd, const struct iovec *iov, int count, off_t at, int flags);
int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);
int __real_io_uring_submit(struct io_uring *ring);
int __wrap_io_uring_submit(struct io_uring *ring);
int __real_io_uring_queue_init_params(
    unsigned entries, struct io_uring *ring, struct io_uring_params *params);
int __wrap_io_uring_queue_init_params(
    unsigned entries, struct io_uring *ring, struct io_uring_params *params);

int __wrap_io_uring_queue_init_params(
    unsigned entries, struct io_uring *ring, struct io_uring_params *params)
{
    if (faults.setup_error)
        return faults.setup_error;
    if (params->flags & faults.no_setup) {
        faults.refused++;
        return -EINVAL;
    }
    return __real_io_uring_queue_init_params(entries, ring, params);
}

/* -1 and errno: refused. */
static int refuse(int fd, int flags)
{
    faults.calls++;
    int error = 0;
    if (faults.interrupts > 0) {
        faults.interrupts--;
        error = EINTR;
    } else if (faults.no_dsync && (flags & RWF_DSYNC)) {
        error = EOPNOTSUPP;
    } else if (faults.no_direct_io && (fcntl(fd, F_GETFL) & O_DIRECT)) {
        error = EINVAL;
    }
    if (!error)
        return 0;
    faults.refused++;
    errno = error;
    return -1;
}

static struct iovec shorter(const struct iovec *iov)
{
    return (struct iovec){ iov->iov_base, faults.short_transfers ? (iov->iov_len + 1) / 2 : 0 };
}

ssize_t __wrap_pwritev64v2(int fd, const struct iovec *iov, int count, off_t at, int flags)
{
    struct iovec part = shorter(iov);
    if (refuse(fd, flags) < 0)
        return -1;
    return part.iov_len ? __real_pwritev64v2(fd, &part, 1, at, flags)
                        : __real_pwritev64v2(fd, iov, count, at, flags);
}

ssize_t __wrap_preadv64v2(int fd, const struct iovec *iov, int count, off_t at, int flags)
{
    struct iovec part = shorter(iov);
    if (refuse(fd, flags) < 0)
        return -1;
    return part.iov_len ? __real_preadv64v2(fd, &part, 1, at, flags)
                        : __real_preadv64v2(fd, iov, count, at, flags);
}

int __wrap_open64(const char *path, int flags, ...)
{
    if (faults.no_direct_open && (flags & O_DIRECT)) {
        faults.refused++;
        /* As the kernel does: the file is made first. */
        if (flags & O_CREAT)
            (void)close(__real_open64(path, flags & ~O_DIRECT, 0600));
        errno = EINVAL;
        return -1;
    }
    return __real_open64(path, flags, 0600);
}

/* A write that is asked to be shorter is a short write for the side. */
int __wrap_io_uring_submit(struct io_uring *ring)
{
    struct io_uring_sq *sq = &ring->sq;
    for (unsigned i = sq->sqe_head; i != sq->sqe_tail; i++) {
        struct io_uring_sqe *sqe = &sq->sqes[i & *sq->kring_mask];
        faults.calls++;
        if (sqe->opcode == IORING_OP_WRITE && faults.short_transfers && sqe->len > 1)
            sqe->len = (sqe->len + 1) / 2;
    }
    return __real_io_uring_submit(ring);
}

/* ---- sides ---- */

struct side {
    const char *name;
    struct disk *disk;
    struct sim *sim; /* of the simulated one */
    char dir[64];
};

static char *path_in(const struct side *side, const char *name)
{
    return mem_printf("%s/%s", side->dir, name);
}

static int side_open(struct side *side, const char *name, int flags, struct disk_file **ret_file)
{
    char *path = path_in(side, name);
    int status = side->disk->table->open(side->disk, path, flags, ret_file);
    mem_free(path);
    return status;
}

static struct disk_file *must_open(struct side *side, const char *name, int flags)
{
    struct disk_file *file = NULL;
    cr_assert_eq(side_open(side, name, flags, &file), 0, "%s: %s", side->name, name);
    return file;
}

static int side_remove(struct side *side, const char *name)
{
    char *path = path_in(side, name);
    int status = side->disk->table->remove(side->disk, path);
    mem_free(path);
    return status;
}

static void must_write(
    struct side *side, struct disk_file *file, uint64_t at, const void *data, size_t len)
{
    struct iovec iov = { (void *)(uintptr_t)data, len };
    cr_assert_eq(side->disk->table->writev(file, at, &iov, 1), 0, "%s", side->name);
}

static void must_hold(
    struct side *side, struct disk_file *file, uint64_t at, const void *data, size_t len)
{
    uint8_t *got = mem_alloc(len + 1);
    size_t got_len = 0;
    cr_assert_eq(side->disk->table->read(file, at, got, len, &got_len), 0, "%s", side->name);
    cr_assert_eq(got_len, len, "%s: %zu of %zu bytes", side->name, got_len, len);
    cr_assert_eq(memcmp(got, data, len), 0, "%s: other bytes", side->name);
    mem_free(got);
}

/* Waits for the next completion. */
static void side_wait(struct side *side)
{
    if (side->sim) {
        cr_assert(sim_step(side->sim));
        return;
    }
    struct pollfd watched = { .fd = side->disk->table->poll_descriptor(side->disk),
        .events = POLLIN };
    cr_assert_eq(poll(&watched, 1, 20000), 1, "%s: nothing is told", side->name);
    side->disk->table->poll(side->disk);
}

static void on_plain(void (*test)(struct side *side), const char *parent)
{
    struct side side = { .name = "plain" };
    (void)snprintf(side.dir, sizeof(side.dir), "%s/test_disk-XXXXXX", parent);
    cr_assert_not_null(mkdtemp(side.dir));
    cr_assert_eq(disk_plain_create(&side.disk), 0);
    test(&side);
    side.disk->table->destroy(side.disk);
    cr_assert_eq(rmdir(side.dir), 0, "%s: files are left in %s", side.name, side.dir);
}

static void on_uring(void (*test)(struct side *side), const char *parent)
{
    struct side side = { .name = "io_uring" };
    int status = disk_uring_create(&side.disk);
    if (status < 0) {
        (void)fprintf(stderr, "io_uring is left out: %s\n", strerror(-status));
        return;
    }
    (void)snprintf(side.dir, sizeof(side.dir), "%s/test_disk-XXXXXX", parent);
    cr_assert_not_null(mkdtemp(side.dir));
    test(&side);
    side.disk->table->destroy(side.disk);
    cr_assert_eq(rmdir(side.dir), 0, "%s: files are left in %s", side.name, side.dir);
}

static void on_real_sides(void (*test)(struct side *side))
{
    static const char *const parents[] = { ".", "/dev/shm" };
    for (size_t i = 0; i < ARRAY_COUNT(parents); i++) {
        if (access(parents[i], W_OK) < 0) {
            (void)fprintf(stderr, "%s is left out: %s\n", parents[i], strerror(errno));
            continue;
        }
        on_plain(test, parents[i]);
        on_uring(test, parents[i]);
    }
}

static void on_all_sides(void (*test)(struct side *side))
{
    struct sim sim;
    sim_init(&sim, 1);
    struct side side = { .name = "simulated", .disk = &sim.disk, .sim = &sim, .dir = "/d" };
    cr_assert_eq(side.disk->table->mkdir(side.disk, side.dir), 0);
    test(&side);
    cr_assert_eq(sim.open_files, 0);
    sim_done(&sim);
    on_real_sides(test);
}

/* ---- blocking calls ---- */

static void opens_as_told(struct side *side)
{
    struct disk_file *file = NULL;
    cr_assert_eq(side_open(side, "f", DISK_READ, &file), -ENOENT);
    cr_assert_eq(side_open(side, "f", DISK_WRITE, &file), -ENOENT);
    cr_assert_null(file);
    file = must_open(side, "f", DISK_WRITE | DISK_CREATE | DISK_EXCLUSIVE);
    cr_assert_eq(*(struct disk **)(void *)file, side->disk, "a file begins with its disk");
    must_write(side, file, 0, "twelve bytes", 12);
    side->disk->table->close(file);
    file = NULL;
    cr_assert_eq(side_open(side, "f", DISK_WRITE | DISK_CREATE | DISK_EXCLUSIVE, &file), -EEXIST);
    file = must_open(side, "f", DISK_WRITE | DISK_CREATE);
    must_hold(side, file, 0, "twelve bytes", 12);
    side->disk->table->close(file);
    file = must_open(side, "f", DISK_WRITE | DISK_TRUNCATE);
    uint64_t size = 1;
    cr_assert_eq(side->disk->table->size(file, &size), 0);
    cr_assert_eq(size, 0);
    side->disk->table->close(file);
    side->disk->table->close(NULL);
    if (!side->sim) {
        char *path = path_in(side, "f");
        struct stat info;
        cr_assert_eq(stat(path, &info), 0);
        cr_assert_eq(info.st_mode & 0777, 0600);
        mem_free(path);
    }
    cr_assert_eq(side_remove(side, "f"), 0);
}
TEST(disk, opens_as_told)
{
    on_all_sides(opens_as_told);
}

static void reads_what_was_written(struct side *side)
{
    struct disk_file *file = must_open(side, "f", DISK_WRITE | DISK_CREATE);
    struct iovec iov[200];
    uint8_t *data = mem_alloc(200 * 199);
    struct random random = random_seeded(5);
    random_bytes(&random, data, 200 * 199);
    size_t len = 0;
    for (size_t i = 0; i < ARRAY_COUNT(iov); i++) {
        iov[i] = (struct iovec){ data + len, i % 5 ? i : 0 };
        len += iov[i].iov_len;
    }
    cr_assert_eq(side->disk->table->writev(file, 100, iov, ARRAY_COUNT(iov)), 0);
    must_hold(side, file, 100, data, len);
    uint64_t size;
    cr_assert_eq(side->disk->table->size(file, &size), 0);
    cr_assert_eq(size, 100 + len);
    uint8_t got[64];
    size_t got_len = 99;
    cr_assert_eq(side->disk->table->read(file, size - 10, got, sizeof(got), &got_len), 0);
    cr_assert_eq(got_len, 10);
    cr_assert_eq(memcmp(got, data + len - 10, 10), 0);
    cr_assert_eq(side->disk->table->read(file, size + 10, got, sizeof(got), &got_len), 0);
    cr_assert_eq(got_len, 0);
    int status = side->disk->table->read_nowait(file, 100, got, sizeof(got), &got_len);
    cr_assert(status == -EAGAIN || (status == 0 && got_len == 64), "%s: %d", side->name, status);
    if (status == 0)
        cr_assert_eq(memcmp(got, data, 64), 0);
    side->disk->table->close(file);
    cr_assert_eq(side_remove(side, "f"), 0);
    mem_free(data);
}
TEST(disk, reads_what_was_written)
{
    on_all_sides(reads_what_was_written);
}

static void sizes_are_kept(struct side *side)
{
    const struct disk_table *disk = side->disk->table;
    struct disk_file *file = must_open(side, "f", DISK_WRITE | DISK_CREATE);
    int status = disk->fallocate(file, 0, 1 << 20);
    cr_assert(status == 0 || status == -EOPNOTSUPP);
    uint64_t size = 1;
    cr_assert_eq(disk->size(file, &size), 0);
    cr_assert_eq(size, 0);
    must_write(side, file, 0, "0123456789", 10);
    cr_assert_eq(disk->truncate(file, 4), 0);
    cr_assert_eq(disk->truncate(file, 8), 0);
    must_hold(side, file, 0, "0123\0\0\0\0", 8);
    cr_assert_eq(disk->size(file, &size), 0);
    cr_assert_eq(size, 8);
    cr_assert_eq(disk->sync(file), 0);
    struct disk_space space = { 0 };
    cr_assert_eq(disk->space(side->disk, side->dir, &space), 0);
    cr_assert_gt(space.total, 0);
    cr_assert_leq(space.available, space.total);
    int fd = disk->descriptor(file);
    cr_assert_eq(fd >= 0, !side->sim);
    disk->close(file);
    cr_assert_eq(side_remove(side, "f"), 0);
}
TEST(disk, sizes_are_kept)
{
    on_all_sides(sizes_are_kept);
}

static void count_names(void *context, const char *name)
{
    unsigned *found = context;
    cr_assert_neq(name[0], '.');
    *found += name[0] == 'a' ? 1 : name[0] == 'b' ? 10 : 100;
}

static void names_come_and_go(struct side *side)
{
    const struct disk_table *disk = side->disk->table;
    char *a = path_in(side, "a"), *b = path_in(side, "b"), *sub = path_in(side, "sub");
    char *below = path_in(side, "sub/x");
    disk->close(must_open(side, "a", DISK_WRITE | DISK_CREATE));
    cr_assert_eq(disk->rename(side->disk, a, b), 0);
    cr_assert_eq(disk->rename(side->disk, a, b), -ENOENT);
    cr_assert_eq(disk->mkdir(side->disk, sub), 0);
    cr_assert_eq(disk->mkdir(side->disk, sub), -EEXIST);
    disk->close(must_open(side, "sub/x", DISK_WRITE | DISK_CREATE));
    cr_assert_eq(disk->sync_dir(side->disk, side->dir), 0);
    cr_assert_eq(disk->sync_dir(side->disk, sub), 0);
    unsigned found = 0;
    cr_assert_eq(disk->list(side->disk, side->dir, count_names, &found), 0);
    cr_assert_eq(found, 110, "%s: %u", side->name, found);
    cr_assert_eq(disk->list(side->disk, a, count_names, &found), -ENOENT);
    cr_assert_eq(disk->remove(side->disk, sub), -ENOTEMPTY);
    cr_assert_eq(disk->remove(side->disk, below), 0);
    cr_assert_eq(disk->remove(side->disk, sub), 0);
    cr_assert_eq(disk->remove(side->disk, sub), -ENOENT);
    cr_assert_eq(disk->remove(side->disk, b), 0);
    found = 0;
    cr_assert_eq(disk->list(side->disk, side->dir, count_names, &found), 0);
    cr_assert_eq(found, 0);
    mem_free(a);
    mem_free(b);
    mem_free(sub);
    mem_free(below);
}
TEST(disk, names_come_and_go)
{
    on_all_sides(names_come_and_go);
}

static void a_lock_is_for_one(struct side *side)
{
    const struct disk_table *disk = side->disk->table;
    struct disk_file *first = must_open(side, "f", DISK_WRITE | DISK_CREATE);
    struct disk_file *second = must_open(side, "f", DISK_WRITE);
    cr_assert_eq(disk->lock(first), 0);
    cr_assert_eq(disk->lock(second), -EBUSY);
    disk->close(first);
    cr_assert_eq(disk->lock(second), 0);
    disk->close(second);
    cr_assert_eq(side_remove(side, "f"), 0);
}
TEST(disk, a_lock_is_for_one)
{
    on_all_sides(a_lock_is_for_one);
}

/* ---- the asynchronous way ---- */

struct async {
    struct disk_op op;
    struct side *side;
    int status;
    unsigned done;
    unsigned again; /* so many more from done */
};

static void async_submit(struct async *async)
{
    unsigned before = async->done;
    async->side->disk->table->submit(async->side->disk, &async->op);
    cr_assert_eq(async->done, before, "%s: done inside submit", async->side->name);
}

static void async_done(struct disk_op *op, int status)
{
    struct async *async = container_of(op, struct async, op);
    async->done++;
    async->status = status;
    if (async->again > 0) {
        async->again--;
        async->op.position += async->op.len;
        async_submit(async);
    }
}

static struct async async_make(struct side *side, struct disk_file *file, enum disk_op_kind kind,
    uint64_t position, const void *data, size_t len)
{
    return (struct async){
        .op = { .kind = kind,
            .file = file,
            .position = position,
            .data = data,
            .len = len,
            .done = async_done },
        .side = side,
        .status = 1,
    };
}

static int async_run(struct async *async)
{
    async_submit(async);
    async->side->disk->table->flush(async->side->disk);
    cr_assert_eq(async->done, 0, "%s: done inside flush", async->side->name);
    while (!async->done)
        side_wait(async->side);
    cr_assert_eq(async->done, 1);
    return async->status;
}

static void writes_and_syncs(struct side *side)
{
    struct disk_file *file = must_open(side, "f", DISK_WRITE | DISK_CREATE);
    uint8_t *data = mem_alloc(3 << 20);
    struct random random = random_seeded(6);
    random_bytes(&random, data, 3 << 20);
    static const enum disk_op_kind kinds[] = { DISK_OP_WRITE, DISK_OP_WRITE_DURABLE };
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        struct async write = async_make(side, file, kinds[i], i * 777, data + i, (3 << 20) - 7);
        cr_assert_eq(async_run(&write), 0);
        must_hold(side, file, i * 777, data + i, (3 << 20) - 7);
    }
    struct async sync = async_make(side, file, DISK_OP_SYNC, 0, NULL, 0);
    cr_assert_eq(async_run(&sync), 0);
    side->disk->table->close(file);
    cr_assert_eq(side_remove(side, "f"), 0);
    mem_free(data);
}
TEST(disk, writes_and_syncs)
{
    on_all_sides(writes_and_syncs);
}

static void direct_files_take_aligned_writes(struct side *side)
{
    struct disk_file *file = must_open(side, "f", DISK_WRITE | DISK_CREATE | DISK_DIRECT);
    uint8_t *data = aligned_alloc(BLOCK, 64 * BLOCK);
    memset(data, 0, 64 * BLOCK);
    for (size_t i = 0; i < 64; i++)
        data[i * BLOCK] = (uint8_t)i;
    struct async write = async_make(side, file, DISK_OP_WRITE_DURABLE, BLOCK, data, 64 * BLOCK);
    cr_assert_eq(async_run(&write), 0);
    uint8_t *got = aligned_alloc(BLOCK, 64 * BLOCK);
    size_t len = 0;
    cr_assert_eq(side->disk->table->read(file, BLOCK, got, 64 * BLOCK, &len), 0);
    cr_assert_eq(len, 64 * BLOCK);
    cr_assert_eq(memcmp(got, data, len), 0);
    struct iovec iov = { data, BLOCK };
    cr_assert_eq(side->disk->table->writev(file, 0, &iov, 1), 0);
    side->disk->table->close(file);
    cr_assert_eq(side_remove(side, "f"), 0);
    free(data);
    free(got);
}
TEST(disk, direct_files_take_aligned_writes)
{
    on_all_sides(direct_files_take_aligned_writes);
}

enum { MANY = 700 };

static void many_at_once(struct side *side)
{
    struct disk_file *file = must_open(side, "f", DISK_WRITE | DISK_CREATE);
    static uint8_t data[256];
    memset(data, 0xab, sizeof(data));
    struct async *all = mem_zalloc(MANY, sizeof(*all));
    for (size_t i = 0; i < MANY; i++) {
        all[i] = async_make(side, file, DISK_OP_WRITE, i * 2 * sizeof(data), data, sizeof(data));
        all[i].again = i % 2; /* some submit again from done */
        async_submit(&all[i]);
        if (i % 100 == 99)
            side->disk->table->flush(side->disk);
    }
    for (size_t i = 0; i < MANY; i++) {
        while (all[i].done < 1 + i % 2) {
            side->disk->table->flush(side->disk);
            side_wait(side);
        }
        cr_assert_eq(all[i].status, 0);
    }
    for (size_t i = 0; i < MANY; i++) {
        cr_assert_eq(all[i].done, 1 + i % 2);
        must_hold(side, file, i * 2 * sizeof(data), data, sizeof(data));
        if (i % 2)
            must_hold(side, file, (i * 2 + 1) * sizeof(data), data, sizeof(data));
    }
    mem_free(all);
    side->disk->table->close(file);
    cr_assert_eq(side_remove(side, "f"), 0);
}
TEST(disk, many_at_once)
{
    on_all_sides(many_at_once);
}

static void errors_are_told(struct side *side)
{
    side->disk->table->close(must_open(side, "f", DISK_WRITE | DISK_CREATE));
    struct disk_file *file = must_open(side, "f", DISK_READ);
    static uint8_t data[BLOCK];
    struct async write = async_make(side, file, DISK_OP_WRITE, 0, data, sizeof(data));
    cr_assert_eq(async_run(&write), -EBADF, "%s: %d", side->name, write.status);
    struct iovec iov = { data, sizeof(data) };
    cr_assert_eq(side->disk->table->writev(file, 0, &iov, 1), -EBADF);
    side->disk->table->close(file);
    cr_assert_eq(side_remove(side, "f"), 0);
}
TEST(disk, errors_are_told)
{
    on_real_sides(errors_are_told);
}

/* ---- unkind kernels ---- */

TEST(disk, short_and_interrupted_calls_go_on)
{
    faults.short_transfers = true;
    on_real_sides(reads_what_was_written);
    on_real_sides(writes_and_syncs);
    cr_assert_gt(faults.calls, 50);
    faults.short_transfers = false;
    for (unsigned k = 1; k < 4; k++) {
        faults.interrupts = k;
        on_plain(reads_what_was_written, ".");
        cr_assert_eq(faults.interrupts, 0);
        faults.interrupts = k;
        on_plain(writes_and_syncs, ".");
        cr_assert_eq(faults.interrupts, 0);
    }
}

TEST(disk, a_file_system_without_direct_io_is_buffered)
{
    faults.no_direct_open = true;
    on_real_sides(direct_files_take_aligned_writes);
    cr_assert_gt(faults.refused, 1);
    faults.no_direct_open = false;
    faults.refused = 0;
    faults.no_direct_io = true;
    on_plain(direct_files_take_aligned_writes, ".");
    cr_assert_eq(faults.refused, 1, "given up once");
}

/* Odd lengths on a file with O_DIRECT: what the kernel itself refuses. */
static void unaligned_direct_io_works_buffered(struct side *side)
{
    struct disk_file *file = must_open(side, "f", DISK_WRITE | DISK_CREATE | DISK_DIRECT);
    struct async write = async_make(side, file, DISK_OP_WRITE_DURABLE, 3, "seventeen letters", 17);
    cr_assert_eq(async_run(&write), 0, "%s: %d", side->name, write.status);
    must_hold(side, file, 3, "seventeen letters", 17);
    side->disk->table->close(file);
    cr_assert_eq(side_remove(side, "f"), 0);
}
TEST(disk, what_direct_io_refuses_is_done_buffered)
{
    on_real_sides(unaligned_direct_io_works_buffered);
}

TEST(disk, durable_without_the_flag_is_write_and_sync)
{
    faults.no_dsync = true;
    on_plain(writes_and_syncs, ".");
    cr_assert_geq(faults.refused, 1);
}

TEST(disk, older_kernels_get_older_flags)
{
    faults.no_setup = IORING_SETUP_COOP_TASKRUN;
    on_uring(writes_and_syncs, ".");
    on_uring(many_at_once, ".");
    if (access("/dev/shm", W_OK) == 0)
        on_uring(writes_and_syncs, "/dev/shm");
}

TEST(disk, forbidden_io_uring_is_an_error)
{
    struct disk *disk = NULL;
    faults.setup_error = -EPERM;
    cr_assert_eq(disk_uring_create(&disk), -EPERM);
    faults.setup_error = -ENOSYS;
    cr_assert_eq(disk_uring_create(&disk), -ENOSYS);
    faults.setup_error = -EINVAL;
    cr_assert_eq(disk_uring_create(&disk), -ENOSYS);
    cr_assert_null(disk);
}

static void reads_go_on(struct side *side)
{
    struct disk_file *file =
        must_open(side, "f", DISK_WRITE | DISK_CREATE | DISK_EXCLUSIVE | DISK_DIRECT);
    uint8_t *data = aligned_alloc(BLOCK, BLOCK);
    memset(data, 7, BLOCK);
    must_write(side, file, 0, data, BLOCK);
    faults.interrupts = 3;
    size_t len = 0;
    cr_assert_eq(side->disk->table->read(file, 0, data, BLOCK, &len), 0);
    cr_assert_eq(faults.interrupts, 0);
    side->disk->table->close(file);
    file = must_open(side, "f", DISK_READ | DISK_DIRECT);
    cr_assert_eq(side->disk->table->read(file, 0, data, BLOCK, &len), 0);
    cr_assert_eq(len, BLOCK);
    side->disk->table->close(file);
    cr_assert_eq(side_remove(side, "f"), 0);
    free(data);
}

TEST(disk, reads_go_on_without_direct_io_and_after_signals)
{
    on_plain(reads_go_on, ".");
    faults.no_direct_io = true;
    on_plain(reads_go_on, ".");
    faults.no_direct_open = true;
    on_plain(reads_go_on, ".");
}
