/* See real_doors.h. The loop is poll(2) over two descriptors: the disk's, and one that workers
 * write to. */
#include "tests/bench/real_doors.h"

#include <ftw.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "protocol/base/mem.h"

static void wake_up(void *context)
{
    struct real_doors *real = context;
    uint64_t one = 1;
    CHECK(write(real->wake, &one, sizeof(one)) == (ssize_t)sizeof(one));
}

void real_doors_turn(struct real_doors *real, struct storage *storage)
{
    storage_turn(storage);
    real->disk->table->flush(real->disk);
    int64_t now = clock_monotonic_ns(&real->clock), next = timers_next(&real->timers);
    int64_t wait_ms = next <= now ? 0 : (next - now) / CLOCK_NS_PER_MS + 1;
    struct pollfd ready[] = {
        { .fd = real->wake, .events = POLLIN },
        { .fd = real->disk->table->poll_descriptor(real->disk), .events = POLLIN },
    };
    (void)poll(ready, ARRAY_COUNT(ready), wait_ms < 1000 ? (int)wait_ms : 1000);
    uint64_t count;
    if (ready[0].revents)
        CHECK(read(real->wake, &count, sizeof(count)) == (ssize_t)sizeof(count));
    real->disk->table->poll(real->disk);
    workers_threads_poll(real->workers);
    timers_run(&real->timers, clock_monotonic_ns(&real->clock));
}

static void say(void *context, enum log_level level, const char *line)
{
    (void)context;
    if (level <= LOG_WARNING)
        (void)fprintf(stderr, "%s\n", line);
}

void real_doors_failed(void *context, int status, const char *what)
{
    (void)context;
    (void)fprintf(stderr, "the storage failed: %s: %s\n", what, strerror(-status));
    exit(2);
}

void real_doors_begin(struct real_doors *real, const char *where)
{
    *real = (struct real_doors){ .wake = eventfd(0, EFD_NONBLOCK) };
    real->clock = clock_real();
    real->random = random_seeded(1);
    buffer_pool_init(&real->buffers, 32 << 20);
    CHECK(disk_uring_create(&real->disk) == 0 || disk_plain_create(&real->disk) == 0);
    real->workers = workers_threads_create(wake_up, real);
    CHECK(real->workers->start(real->workers, "pool", &real->pool) == 0);
    real->doors = (struct doors){ real->disk, &real->clock, real->pool, &real->timers,
        &real->random, &real->buffers, say, NULL };
    real->dir = mem_printf("%s/bench-XXXXXX", where);
    CHECK(mkdtemp(real->dir));
    real->data = mem_printf("%s/data", real->dir);
}

static int remove_entry(const char *path, const struct stat *stat, int type, struct FTW *ftw)
{
    (void)stat;
    (void)type;
    (void)ftw;
    return remove(path);
}

void real_doors_end(struct real_doors *real)
{
    real->workers->stop(real->workers, real->pool);
    workers_threads_destroy(real->workers);
    real->disk->table->destroy(real->disk);
    timers_done(&real->timers);
    buffer_pool_done(&real->buffers);
    (void)close(real->wake);
    (void)nftw(real->dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    mem_free(real->data);
    mem_free(real->dir);
}
