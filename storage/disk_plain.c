/*
 * The plain side: works everywhere. One thread carries out the asynchronous ops by blocking calls,
 * one after the other (the write-ahead log has one write in flight; several syncs queue up).
 *
 *   submit   loop: → fresh                    (no lock, no system call)
 *   flush    loop: fresh → queue, signal      (the thread is started by the first)
 *   thread   queue → run → finished, eventfd
 *   poll     loop: finished → done
 *
 * Under the lock: queue, finished, ending. An op belongs to the thread between queue and finished.
 * destroy waits for the thread; all ops must be done then.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "protocol/base/mem.h"
#include "storage/disk_posix.h"

struct disk_plain {
    struct disk disk; /* first: the door */
    struct list fresh;
    size_t pending; /* submitted and not done */
    int eventfd;
    bool started;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    struct list queue, finished;
    bool ending;
};

static struct disk_plain *plain_of(struct disk *disk)
{
    return container_of(disk, struct disk_plain, disk);
}

static void tell(const struct disk_plain *plain)
{
    /* Fails only when the counter is full, and then the descriptor is readable anyway. */
    while (eventfd_write(plain->eventfd, 1) < 0 && errno == EINTR)
        continue;
}

static void *plain_thread(void *context)
{
    struct disk_plain *plain = context;
    CHECK(pthread_mutex_lock(&plain->mutex) == 0);
    for (;;) {
        struct list *node = list_pop(&plain->queue);
        if (node) {
            struct disk_op *op = list_entry(node, struct disk_op, link);
            CHECK(pthread_mutex_unlock(&plain->mutex) == 0);
            op->status = disk_posix_run(op);
            CHECK(pthread_mutex_lock(&plain->mutex) == 0);
            list_append(&plain->finished, &op->link);
            tell(plain);
        } else if (plain->ending) {
            break;
        } else {
            CHECK(pthread_cond_wait(&plain->wake, &plain->mutex) == 0);
        }
    }
    CHECK(pthread_mutex_unlock(&plain->mutex) == 0);
    return NULL;
}

/* Signals are the loop's. */
static int thread_start(struct disk_plain *plain)
{
    sigset_t all, before;
    (void)sigfillset(&all);
    CHECK(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    int status = -pthread_create(&plain->thread, NULL, plain_thread, plain);
    CHECK(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    plain->started = status == 0;
    return status;
}

static void plain_submit(struct disk *disk, struct disk_op *op)
{
    struct disk_plain *plain = plain_of(disk);
    plain->pending++;
    list_append(&plain->fresh, &op->link);
}

static void plain_flush(struct disk *disk)
{
    struct disk_plain *plain = plain_of(disk);
    if (list_empty(&plain->fresh))
        return;
    int status = plain->started ? 0 : thread_start(plain);
    CHECK(pthread_mutex_lock(&plain->mutex) == 0);
    if (status < 0) {
        list_foreach (node, &plain->fresh)
            list_entry(node, struct disk_op, link)->status = status;
        list_splice(&plain->finished, &plain->fresh);
        tell(plain);
    } else {
        list_splice(&plain->queue, &plain->fresh);
        CHECK(pthread_cond_signal(&plain->wake) == 0);
    }
    CHECK(pthread_mutex_unlock(&plain->mutex) == 0);
}

static int plain_poll_descriptor(struct disk *disk)
{
    return plain_of(disk)->eventfd;
}

static void plain_poll(struct disk *disk)
{
    struct disk_plain *plain = plain_of(disk);
    eventfd_t ignored;
    (void)eventfd_read(plain->eventfd, &ignored); /* -EAGAIN: nothing was told */
    struct list finished;
    list_init(&finished);
    CHECK(pthread_mutex_lock(&plain->mutex) == 0);
    list_splice(&finished, &plain->finished);
    CHECK(pthread_mutex_unlock(&plain->mutex) == 0);
    for (struct list *node; (node = list_pop(&finished));) {
        struct disk_op *op = list_entry(node, struct disk_op, link);
        plain->pending--;
        op->done(op, op->status);
    }
}

static void plain_destroy(struct disk *disk)
{
    struct disk_plain *plain = plain_of(disk);
    CHECK(plain->pending == 0);
    if (plain->started) {
        CHECK(pthread_mutex_lock(&plain->mutex) == 0);
        plain->ending = true;
        CHECK(pthread_cond_signal(&plain->wake) == 0);
        CHECK(pthread_mutex_unlock(&plain->mutex) == 0);
        CHECK(pthread_join(plain->thread, NULL) == 0);
    }
    (void)pthread_cond_destroy(&plain->wake);
    (void)pthread_mutex_destroy(&plain->mutex);
    (void)close(plain->eventfd);
    mem_free(plain);
}

static const struct disk_table table = {
    .name = "plain",
    DISK_POSIX_CALLS,
    .submit = plain_submit,
    .flush = plain_flush,
    .poll_descriptor = plain_poll_descriptor,
    .poll = plain_poll,
    .destroy = plain_destroy,
};

int disk_plain_create(struct disk **ret_disk)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0)
        return -errno;
    struct disk_plain *plain = mem_zalloc(1, sizeof(*plain));
    plain->disk.table = &table;
    plain->eventfd = fd;
    list_init(&plain->fresh);
    list_init(&plain->queue);
    list_init(&plain->finished);
    CHECK(pthread_mutex_init(&plain->mutex, NULL) == 0);
    CHECK(pthread_cond_init(&plain->wake, NULL) == 0);
    *ret_disk = &plain->disk;
    return 0;
}
