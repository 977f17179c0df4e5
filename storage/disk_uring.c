/*
 * The io_uring side: asynchronous ops go to the kernel without a thread of ours.
 *
 *   submit   → waiting
 *   flush    waiting → submission queue → kernel, one system call     (what does not fit waits on)
 *   poll     completions → done, or → waiting again: a short write goes on, EINTR is tried again
 *
 * The kernel says through an eventfd that there is something to reap. Flags: COOP_TASKRUN, where
 * completions do not interrupt the loop; older kernels have none. Not DEFER_TASKRUN, where they
 * wait until they are asked for: of what the kernel's own workers do (all of a tmpfs) the eventfd
 * did not always tell, and who had asked waited for ever (Linux 6.18; file_systems.py,
 * test_full_tmpfs, one run in ten).
 *
 * Nothing is registered beyond the eventfd: buffers and files that are would count against
 * RLIMIT_MEMLOCK. In the kernel are never more ops than the completion queue holds.
 *
 * Invariant: an op is in exactly one of waiting, the kernel (`inside`), and finished.
 */
#include <errno.h>
#include <liburing.h>
#include <limits.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "protocol/base/mem.h"
#include "storage/disk_posix.h"

enum { SUBMISSIONS = 64, COMPLETIONS = 256 };

struct disk_uring {
    struct disk disk; /* first: the door */
    struct disk_table table;
    struct io_uring ring;
    int eventfd;
    struct list waiting, finished;
    size_t inside;  /* handed to the ring and not reaped */
    size_t pending; /* submitted and not done */
};

static struct disk_uring *uring_of(struct disk *disk)
{
    return container_of(disk, struct disk_uring, disk);
}

/* Makes the loop call poll. */
static void tell(const struct disk_uring *uring)
{
    /* Fails only when the counter is full, and then the descriptor is readable anyway. */
    while (eventfd_write(uring->eventfd, 1) < 0 && errno == EINTR)
        continue;
}

static void uring_submit(struct disk *disk, struct disk_op *op)
{
    struct disk_uring *uring = uring_of(disk);
    CHECK(op->len <= INT_MAX);
    op->status = 0; /* of a write: bytes that are done */
    uring->pending++;
    list_append(&uring->waiting, &op->link);
}

static void prepare(struct io_uring_sqe *sqe, struct disk_op *op)
{
    if (op->kind == DISK_OP_SYNC) {
        io_uring_prep_fsync(sqe, op->file->fd, IORING_FSYNC_DATASYNC);
    } else {
        size_t from = (size_t)op->status;
        io_uring_prep_write(sqe, op->file->fd, (const uint8_t *)op->data + from,
            (unsigned)(op->len - from), op->position + from);
        sqe->rw_flags = op->kind == DISK_OP_WRITE_DURABLE ? RWF_DSYNC : 0;
    }
    io_uring_sqe_set_data(sqe, op);
}

static void uring_flush(struct disk *disk)
{
    struct disk_uring *uring = uring_of(disk);
    if (list_empty(&uring->waiting) && io_uring_sq_ready(&uring->ring) == 0)
        return;
    while (!list_empty(&uring->waiting) && uring->inside < COMPLETIONS) {
        struct io_uring_sqe *sqe = io_uring_get_sqe(&uring->ring);
        if (!sqe) {
            if (io_uring_submit(&uring->ring) <= 0)
                break;
            continue;
        }
        prepare(sqe, list_entry(list_pop(&uring->waiting), struct disk_op, link));
        uring->inside++;
    }
    /* An error leaves them in the queue (the kernel is short of memory, or a signal came). */
    (void)io_uring_submit(&uring->ring);
    if (io_uring_sq_ready(&uring->ring) > 0)
        tell(uring);
}

/* What became of one trip of `op` to the kernel: true when it goes there again. */
static bool goes_on(struct disk_op *op, int result, int *ret_status)
{
    if (op->kind == DISK_OP_SYNC) {
        *ret_status = result;
        return false; /* never tried again, whatever it said */
    }
    if (result < 0) {
        *ret_status = result;
        return result == -EINTR || result == -EAGAIN || disk_posix_gave_up_direct(op->file, result);
    }
    op->status += result;
    *ret_status = result == 0 && op->len > 0 ? -EIO : 0; /* would never end */
    return result > 0 && (size_t)op->status < op->len;
}

static void uring_poll(struct disk *disk)
{
    struct disk_uring *uring = uring_of(disk);
    eventfd_t ignored;
    (void)eventfd_read(uring->eventfd, &ignored); /* -EAGAIN: nothing was told */
    struct io_uring_cqe *cqe;
    while (uring->inside > 0 && io_uring_peek_cqe(&uring->ring, &cqe) == 0) {
        struct disk_op *op = io_uring_cqe_get_data(cqe);
        int result = cqe->res, status = 0;
        io_uring_cqe_seen(&uring->ring, cqe);
        uring->inside--;
        if (goes_on(op, result, &status)) {
            list_append(&uring->waiting, &op->link);
        } else {
            op->status = status;
            list_append(&uring->finished, &op->link);
        }
    }
    /* What waited for room or goes on; done may submit, that is the loop's to flush. */
    uring_flush(disk);
    struct list finished;
    list_init(&finished);
    list_splice(&finished, &uring->finished);
    for (struct list *node; (node = list_pop(&finished));) {
        struct disk_op *op = list_entry(node, struct disk_op, link);
        uring->pending--;
        op->done(op, op->status);
    }
}

static int uring_poll_descriptor(struct disk *disk)
{
    return uring_of(disk)->eventfd;
}

static void uring_destroy(struct disk *disk)
{
    struct disk_uring *uring = uring_of(disk);
    CHECK(uring->pending == 0);
    io_uring_queue_exit(&uring->ring);
    (void)close(uring->eventfd);
    mem_free(uring);
}

static const struct disk_table table = {
    .name = "io_uring",
    DISK_POSIX_CALLS,
    .submit = uring_submit,
    .flush = uring_flush,
    .poll_descriptor = uring_poll_descriptor,
    .poll = uring_poll,
    .destroy = uring_destroy,
};

static const struct {
    const char *name;
    unsigned flags;
} setups[] = {
    { "io_uring (cooperative)", IORING_SETUP_COOP_TASKRUN },
    { "io_uring", 0 },
};

static int set_up(struct disk_uring *uring)
{
    int status = -ENOSYS;
    for (size_t i = 0; i < ARRAY_COUNT(setups); i++) {
        struct io_uring_params params = {
            .flags = setups[i].flags | IORING_SETUP_CQSIZE,
            .cq_entries = COMPLETIONS,
        };
        status = io_uring_queue_init_params(SUBMISSIONS, &uring->ring, &params);
        if (status == -EINVAL)
            continue; /* an older kernel */
        uring->table.name = setups[i].name;
        break;
    }
    return status == -EINVAL ? -ENOSYS : status;
}

/* Has the kernel what we use? */
static int check_operations(struct disk_uring *uring)
{
    struct io_uring_probe *probe = io_uring_get_probe_ring(&uring->ring);
    if (!probe)
        return -ENOSYS;
    bool has = io_uring_opcode_supported(probe, IORING_OP_WRITE) &&
               io_uring_opcode_supported(probe, IORING_OP_FSYNC);
    io_uring_free_probe(probe);
    return has ? 0 : -ENOSYS;
}

int disk_uring_create(struct disk **ret_disk)
{
    struct disk_uring *uring = mem_zalloc(1, sizeof(*uring));
    uring->table = table;
    uring->disk.table = &uring->table;
    list_init(&uring->waiting);
    list_init(&uring->finished);
    int status = set_up(uring);
    if (status < 0)
        goto no_ring;
    status = check_operations(uring);
    uring->eventfd = status < 0 ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (status == 0 && uring->eventfd < 0)
        status = -errno;
    if (status == 0)
        status = io_uring_register_eventfd(&uring->ring, uring->eventfd);
    if (status == 0) {
        *ret_disk = &uring->disk;
        return 0;
    }
    if (uring->eventfd >= 0)
        (void)close(uring->eventfd);
    io_uring_queue_exit(&uring->ring);
no_ring:
    mem_free(uring);
    return status;
}
