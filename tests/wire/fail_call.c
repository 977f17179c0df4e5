/*
 * fail_call - an LD_PRELOAD shim: the k-th system call on files below a directory fails, or is
 * slow.
 *
 *   FAIL_DIR     calls on paths below it, and on descriptors opened there, count
 *   FAIL_AT      which of them fails, from 1 on; 0: none, they are counted only
 *   FAIL_WITH    EIO, ENOSPC, EMFILE, EINTR, or `short` (a read or write transfers half; EIO where
 *                there is nothing to be short of)
 *   FAIL_CALLS   which of them count: names between commas; not set: all
 *   FAIL_STATE   a file of sizeof(struct state) that is mapped: how many were counted, what failed,
 *                and by how much the wall clock is wrong
 *   FAIL_SLOW_MS every preadv2 of a segment (.log) that may wait sleeps that long (a cold, slow
 *                disk); one that may not (RWF_NOWAIT) says EAGAIN
 *
 * With _FILE_OFFSET_BITS=64 (as meson sets it) each name here is the one with 64 in it, for the
 * shim as for the broker.
 *
 * A failed call does nothing: it is refused before the kernel sees it. That is the weakest failure
 * of a sync or write; what a disk does that lies is the simulation's part.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { FDS_MAX = 32768, WHAT_SIZE = 240, SHORT = -1 };

struct state {
    _Atomic uint64_t count, failed;
    char what[WHAT_SIZE];
    _Atomic int64_t wall_s; /* seconds by which CLOCK_REALTIME is ahead */
};

static struct {
    const char *dir, *calls;
    size_t dir_len;
    uint64_t at;
    int with; /* errno, or SHORT */
    long slow_ms;
    struct state *state;
    atomic_bool ours[FDS_MAX];
} fail;

static int error_named(const char *name)
{
    static const struct {
        const char *name;
        int number;
    } errors[] = { { "EIO", EIO }, { "ENOSPC", ENOSPC }, { "EMFILE", EMFILE }, { "EINTR", EINTR },
        { "short", SHORT } };
    for (size_t i = 0; name && i < sizeof(errors) / sizeof(errors[0]); i++) {
        if (strcmp(name, errors[i].name) == 0)
            return errors[i].number;
    }
    return EIO;
}

__attribute__((constructor)) static void begin(void)
{
    static struct state none;
    const char *at = getenv("FAIL_AT"), *path = getenv("FAIL_STATE"),
               *slow = getenv("FAIL_SLOW_MS");
    fail.dir = getenv("FAIL_DIR");
    fail.dir_len = fail.dir ? strlen(fail.dir) : 0;
    fail.calls = getenv("FAIL_CALLS");
    fail.at = at ? strtoull(at, NULL, 10) : 0;
    fail.with = error_named(getenv("FAIL_WITH"));
    fail.slow_ms = slow ? strtol(slow, NULL, 10) : 0;
    fail.state = &none;
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *mapped = mmap(NULL, sizeof(struct state), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapped != MAP_FAILED)
        fail.state = mapped;
    (void)close(fd);
}

static bool path_counts(const char *path)
{
    return fail.dir && strncmp(path, fail.dir, fail.dir_len) == 0;
}

static bool fd_counts(int fd)
{
    return fd >= 0 && fd < FDS_MAX && atomic_load(&fail.ours[fd]);
}

static bool call_counts(const char *call)
{
    size_t len = strlen(call);
    for (const char *at = fail.calls; at && (at = strstr(at, call)); at += len) {
        if ((at == fail.calls || at[-1] == ',') && (at[len] == ',' || at[len] == '\0'))
            return true;
    }
    return !fail.calls;
}

static const char *name_of(int fd, char name[WHAT_SIZE])
{
    char link[64];
    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, name, WHAT_SIZE - 1);
    name[len > 0 ? len : 0] = '\0';
    return name;
}

/* Is it this one's turn? */
static bool turn_of(const char *call, const char *path, int fd)
{
    if (!(path ? path_counts(path) : fd_counts(fd)) || !call_counts(call))
        return false;
    if (atomic_fetch_add(&fail.state->count, 1) + 1 != fail.at)
        return false;
    char name[WHAT_SIZE];
    if (!path)
        path = name_of(fd, name);
    (void)snprintf(fail.state->what, WHAT_SIZE, "%s %.200s", call, path);
    atomic_store(&fail.state->failed, 1);
    errno = fail.with == SHORT ? EIO : fail.with;
    return true;
}

static void *next(const char *name)
{
    void *function = dlsym(RTLD_NEXT, name);
    if (!function)
        abort();
    return function;
}

/* A function pointer of the type of the function being replaced. */
#define NEXT(name) ((__typeof__(&name))(uintptr_t)next(#name))

/* ---- by path ------------------------------------------------------------------------------- */

static int opened(int fd, const char *path)
{
    if (fd >= 0 && fd < FDS_MAX)
        atomic_store(&fail.ours[fd], path_counts(path));
    return fd;
}

int open(const char *path, int flags, ...)
{
    va_list more;
    va_start(more, flags);
    mode_t mode = flags & O_CREAT ? va_arg(more, mode_t) : 0;
    va_end(more);
    return turn_of("open", path, -1) ? -1 : opened(NEXT(open)(path, flags, mode), path);
}

int mkdir(const char *path, mode_t mode)
{
    return turn_of("mkdir", path, -1) ? -1 : NEXT(mkdir)(path, mode);
}

int unlink(const char *path)
{
    return turn_of("unlink", path, -1) ? -1 : NEXT(unlink)(path);
}

int rmdir(const char *path)
{
    return turn_of("rmdir", path, -1) ? -1 : NEXT(rmdir)(path);
}

/* ---- by descriptor ------------------------------------------------------------------------- */

int close(int fd)
{
    if (fd >= 0 && fd < FDS_MAX)
        atomic_store(&fail.ours[fd], false);
    return NEXT(close)(fd);
}

int fdatasync(int fd)
{
    return turn_of("fdatasync", NULL, fd) ? -1 : NEXT(fdatasync)(fd);
}

int fsync(int fd)
{
    return turn_of("fsync", NULL, fd) ? -1 : NEXT(fsync)(fd);
}

int syncfs(int fd)
{
    return turn_of("syncfs", NULL, fd) ? -1 : NEXT(syncfs)(fd);
}

int fallocate(int fd, int mode, off_t position, off_t len)
{
    return turn_of("fallocate", NULL, fd) ? -1 : NEXT(fallocate)(fd, mode, position, len);
}

int ftruncate(int fd, off_t size)
{
    return turn_of("ftruncate", NULL, fd) ? -1 : NEXT(ftruncate)(fd, size);
}

/* The first half of what was to be transferred (in units that O_DIRECT takes), or an error. */
static ssize_t be_short(int fd, const struct iovec *iov, off_t position, int flags, bool write)
{
    struct iovec half = iov[0];
    half.iov_len = half.iov_len >= 1024 ? half.iov_len / 2 & ~(size_t)511 : half.iov_len / 2;
    if (half.iov_len == 0 || fail.with != SHORT)
        return -1;
    return write ? NEXT(pwritev2)(fd, &half, 1, position, flags)
                 : NEXT(preadv2)(fd, &half, 1, position, flags);
}

ssize_t pwritev2(int fd, const struct iovec *iov, int count, off_t position, int flags)
{
    if (turn_of("pwrite", NULL, fd))
        return be_short(fd, iov, position, flags, true);
    return NEXT(pwritev2)(fd, iov, count, position, flags);
}

static bool slow(int fd, int flags)
{
    char name[WHAT_SIZE];
    if (fail.slow_ms == 0 || !fd_counts(fd) || !strstr(name_of(fd, name), ".log"))
        return false;
    if (flags & RWF_NOWAIT) {
        errno = EAGAIN;
        return true;
    }
    struct timespec wait = { fail.slow_ms / 1000, fail.slow_ms % 1000 * 1000000 };
    (void)nanosleep(&wait, NULL);
    return false;
}

ssize_t preadv2(int fd, const struct iovec *iov, int count, off_t position, int flags)
{
    if (slow(fd, flags))
        return -1;
    if (turn_of("pread", NULL, fd))
        return be_short(fd, iov, position, flags, false);
    return NEXT(preadv2)(fd, iov, count, position, flags);
}

/* ---- time ---------------------------------------------------------------------------------- */

int clock_gettime(clockid_t clock, struct timespec *ret)
{
    int result = NEXT(clock_gettime)(clock, ret);
    if (result == 0 && clock == CLOCK_REALTIME)
        ret->tv_sec += atomic_load(&fail.state->wall_s);
    return result;
}
