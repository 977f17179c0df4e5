/* See doors_test.h. */
#include "tests/unit/doors_test.h"

#include <errno.h>
#include <ftw.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "protocol/base/mem.h"

/* ---- the disk that can fail ---------------------------------------------------------------- */

struct disk_file {
    struct disk *disk;
    struct disk_file *inner;
    char *path;
};

struct op_test {
    struct disk_op inner;
    struct disk_op *outer;
    struct doors_test *test;
};

static struct doors_test *test_of(struct disk *disk)
{
    return container_of(disk, struct doors_test, disk);
}

static int fault(struct doors_test *test, enum disk_call call, const char *path)
{
    struct disk_fault *fault = &test->faults[call];
    test->calls[call]++;
    if (!fault->status || (fault->path && !strstr(path, fault->path)))
        return 0;
    if (fault->skip) {
        fault->skip--;
        return 0;
    }
    return fault->status;
}

static int wrap_open(struct disk *disk, const char *path, int flags, struct disk_file **ret_file)
{
    struct doors_test *test = test_of(disk);
    struct disk_file *inner;
    int status = fault(test, CALL_OPEN, path);
    if (status == 0)
        status = test->inner->table->open(test->inner, path, flags, &inner);
    if (status < 0)
        return status;
    *ret_file = mem_zalloc(1, sizeof(**ret_file));
    **ret_file = (struct disk_file){ .disk = disk, .inner = inner, .path = mem_strdup(path) };
    return 0;
}

static void wrap_close(struct disk_file *file)
{
    test_of(file->disk)->inner->table->close(file->inner);
    mem_free(file->path);
    mem_free(file);
}

static int wrap_mkdir(struct disk *disk, const char *path)
{
    struct doors_test *test = test_of(disk);
    int status = fault(test, CALL_MKDIR, path);
    return status < 0 ? status : test->inner->table->mkdir(test->inner, path);
}

static int wrap_list(struct disk *disk, const char *path,
    void (*each)(void *context, const char *name), void *context)
{
    struct doors_test *test = test_of(disk);
    return test->inner->table->list(test->inner, path, each, context);
}

static int wrap_read(
    struct disk_file *file, uint64_t position, void *to, size_t len, size_t *ret_len)
{
    struct doors_test *test = test_of(file->disk);
    int status = fault(test, CALL_READ, file->path);
    return status < 0 ? status : test->inner->table->read(file->inner, position, to, len, ret_len);
}

static int wrap_read_nowait(
    struct disk_file *file, uint64_t position, void *to, size_t len, size_t *ret_len)
{
    struct doors_test *test = test_of(file->disk);
    int status = fault(test, CALL_READ_NOWAIT, file->path);
    return status < 0 ? status
                      : test->inner->table->read_nowait(file->inner, position, to, len, ret_len);
}

static int wrap_writev(
    struct disk_file *file, uint64_t position, const struct iovec *iov, int iov_count)
{
    struct doors_test *test = test_of(file->disk);
    int status = fault(test, CALL_WRITE, file->path);
    return status < 0 ? status : test->inner->table->writev(file->inner, position, iov, iov_count);
}

static int wrap_fallocate(struct disk_file *file, uint64_t position, uint64_t len)
{
    struct doors_test *test = test_of(file->disk);
    int status = fault(test, CALL_FALLOCATE, file->path);
    return status < 0 ? status : test->inner->table->fallocate(file->inner, position, len);
}

static int wrap_truncate(struct disk_file *file, uint64_t size)
{
    struct doors_test *test = test_of(file->disk);
    int status = fault(test, CALL_TRUNCATE, file->path);
    return status < 0 ? status : test->inner->table->truncate(file->inner, size);
}

static int wrap_size(struct disk_file *file, uint64_t *ret_size)
{
    return test_of(file->disk)->inner->table->size(file->inner, ret_size);
}

static int wrap_sync(struct disk_file *file)
{
    struct doors_test *test = test_of(file->disk);
    int status = fault(test, CALL_SYNC, file->path);
    return status < 0 ? status : test->inner->table->sync(file->inner);
}

static int wrap_sync_dir(struct disk *disk, const char *path)
{
    struct doors_test *test = test_of(disk);
    int status = fault(test, CALL_SYNC, path);
    return status < 0 ? status : test->inner->table->sync_dir(test->inner, path);
}

static int wrap_sync_all(struct disk_file *file)
{
    struct doors_test *test = test_of(file->disk);
    int status = fault(test, CALL_SYNC_ALL, file->path);
    return status < 0 ? status : test->inner->table->sync_all(file->inner);
}

static int wrap_rename(struct disk *disk, const char *from, const char *to)
{
    struct doors_test *test = test_of(disk);
    return test->inner->table->rename(test->inner, from, to);
}

static int wrap_remove(struct disk *disk, const char *path)
{
    struct doors_test *test = test_of(disk);
    int status = fault(test, CALL_REMOVE, path);
    return status < 0 ? status : test->inner->table->remove(test->inner, path);
}

static int wrap_space(struct disk *disk, const char *path, struct disk_space *ret_space)
{
    struct doors_test *test = test_of(disk);
    int status = test->inner->table->space(test->inner, path, ret_space);
    if (status == 0 && test->free_bytes != UINT64_MAX)
        ret_space->available = test->free_bytes;
    return status;
}

static int wrap_lock(struct disk_file *file)
{
    return test_of(file->disk)->inner->table->lock(file->inner);
}

static bool wrap_is_buffered(struct disk_file *file)
{
    return test_of(file->disk)->inner->table->is_buffered(file->inner);
}

static int wrap_descriptor(struct disk_file *file)
{
    return test_of(file->disk)->inner->table->descriptor(file->inner);
}

static void op_done(struct disk_op *inner, int status)
{
    struct op_test *op = container_of(inner, struct op_test, inner);
    struct disk_op *outer = op->outer;
    struct doors_test *test = op->test;
    mem_free(op);
    test->ops--;
    if (!test->forgetting)
        outer->done(outer, status);
}

static void wrap_submit(struct disk *disk, struct disk_op *outer)
{
    struct doors_test *test = test_of(disk);
    outer->status = fault(test, CALL_SUBMIT, outer->file->path);
    if (outer->status < 0) {
        list_append(&test->failing, &outer->link);
        return;
    }
    struct op_test *op = mem_zalloc(1, sizeof(*op));
    op->outer = outer;
    op->test = test;
    op->inner = *outer;
    op->inner.file = outer->file->inner;
    op->inner.done = op_done;
    test->ops++;
    test->inner->table->submit(test->inner, &op->inner);
}

static void wrap_flush(struct disk *disk)
{
    struct doors_test *test = test_of(disk);
    test->inner->table->flush(test->inner);
}

static int wrap_poll_descriptor(struct disk *disk)
{
    struct doors_test *test = test_of(disk);
    return test->inner->table->poll_descriptor(test->inner);
}

static void wrap_poll(struct disk *disk)
{
    struct doors_test *test = test_of(disk);
    struct list failing;
    list_init(&failing);
    list_splice(&failing, &test->failing);
    for (struct list *node; (node = list_pop(&failing));) {
        struct disk_op *op = list_entry(node, struct disk_op, link);
        op->done(op, op->status);
    }
    test->inner->table->poll(test->inner);
}

static const struct disk_table wrap_table = {
    .name = "test",
    .open = wrap_open,
    .close = wrap_close,
    .mkdir = wrap_mkdir,
    .list = wrap_list,
    .read = wrap_read,
    .read_nowait = wrap_read_nowait,
    .writev = wrap_writev,
    .fallocate = wrap_fallocate,
    .truncate = wrap_truncate,
    .size = wrap_size,
    .sync = wrap_sync,
    .sync_dir = wrap_sync_dir,
    .sync_all = wrap_sync_all,
    .rename = wrap_rename,
    .remove = wrap_remove,
    .space = wrap_space,
    .lock = wrap_lock,
    .is_buffered = wrap_is_buffered,
    .descriptor = wrap_descriptor,
    .submit = wrap_submit,
    .flush = wrap_flush,
    .poll_descriptor = wrap_poll_descriptor,
    .poll = wrap_poll,
};

/* ---- the other doors ----------------------------------------------------------------------- */

static int64_t test_monotonic(struct clock *clock)
{
    return container_of(clock, struct doors_test, clock)->now_ns;
}

static int64_t test_wall(struct clock *clock)
{
    return container_of(clock, struct doors_test, clock)->wall_ms;
}

static void test_work(struct work *work, struct work_job *job)
{
    list_append(&container_of(work, struct doors_test, work)->submitted, &job->link);
}

static void test_say(void *context, enum log_level level, const char *line)
{
    struct doors_test *test = context;
    char *said = mem_printf("%s%s\n", test->said, line);
    mem_free(test->said);
    test->said = said;
    if (test->verbose)
        (void)fprintf(stderr, "# %d %s\n", level, line);
}

bool doors_test_said(const struct doors_test *test, const char *text)
{
    return strstr(test->said, text) != NULL;
}

void doors_test_begin(struct doors_test *test)
{
    const char *parent = getenv("TMPDIR");
    char *base = mem_printf("%s/millrace-test-XXXXXX", parent ? parent : "/tmp");
    *test = (struct doors_test){
        .disk = { .table = &wrap_table },
        .free_bytes = UINT64_MAX,
        .clock = { .monotonic_ns = test_monotonic, .wall_ms = test_wall },
        .now_ns = INT64_C(1000000000),
        .wall_ms = INT64_C(1700000000000),
        .work = { .submit = test_work },
        .random = random_seeded(1),
        .said = mem_strdup(""),
    };
    CHECK(mkdtemp(base));
    test->base = base;
    test->dir = mem_printf("%s/data", base);
    list_init(&test->failing);
    list_init(&test->submitted);
    list_init(&test->finished);
    buffer_pool_init(&test->buffers, 8 << 20);
    CHECK(disk_plain_create(&test->inner) == 0);
    test->doors = (struct doors){
        .disk = &test->disk,
        .clock = &test->clock,
        .work = &test->work,
        .timers = &test->timers,
        .random = &test->random,
        .buffers = &test->buffers,
        .say = test_say,
        .say_context = test,
    };
}

static int remove_entry(const char *path, const struct stat *stat, int type, struct FTW *ftw)
{
    (void)stat;
    (void)type;
    (void)ftw;
    return remove(path);
}

void doors_test_end(struct doors_test *test)
{
    CHECK(nftw(test->base, remove_entry, 16, FTW_DEPTH | FTW_PHYS) == 0);
    test->inner->table->destroy(test->inner);
    timers_done(&test->timers);
    buffer_pool_done(&test->buffers);
    mem_free(test->base);
    mem_free(test->dir);
    mem_free(test->said);
}

void doors_test_pass(struct doors_test *test, int64_t ms)
{
    int64_t until_ns = test->now_ns + ms * CLOCK_NS_PER_MS;
    /* Timer by timer, so that one that sets itself again fires as often as it would. */
    while (timers_next(&test->timers) <= until_ns) {
        int64_t next_ns = timers_next(&test->timers);
        if (next_ns > test->now_ns) {
            test->wall_ms += (next_ns - test->now_ns) / CLOCK_NS_PER_MS;
            test->now_ns = next_ns;
        }
        timers_run(&test->timers, test->now_ns);
    }
    test->wall_ms += (until_ns - test->now_ns) / CLOCK_NS_PER_MS;
    test->now_ns = until_ns;
}

static bool step_jobs(struct doors_test *test)
{
    if (test->hold_jobs)
        return false;
    struct list *node = list_pop(&test->finished);
    if (node) {
        struct work_job *job = list_entry(node, struct work_job, link);
        job->done(job);
        return true;
    }
    node = list_pop(&test->submitted);
    if (node) {
        struct work_job *job = list_entry(node, struct work_job, link);
        job->run(job);
        list_append(&test->finished, node);
    }
    return node != NULL;
}

void doors_test_poll(struct doors_test *test)
{
    wrap_flush(&test->disk);
    timers_run(&test->timers, test->now_ns);
    bool progress = step_jobs(test);
    struct pollfd fd = { .fd = wrap_poll_descriptor(&test->disk), .events = POLLIN };
    bool idle = !progress && list_empty(&test->failing);
    (void)poll(&fd, 1, idle ? 1 : 0);
    wrap_poll(&test->disk);
}

static int64_t real_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

bool doors_test_until(
    struct doors_test *test, void (*turn)(void *context), void *context, const bool *flag)
{
    int64_t end_ms = real_ms() + 10000;
    while (!*flag && real_ms() < end_ms) {
        turn(context);
        doors_test_poll(test);
    }
    return *flag;
}

void doors_test_forget(struct doors_test *test)
{
    test->forgetting = true;
    while (list_pop(&test->submitted) || list_pop(&test->finished) || list_pop(&test->failing))
        continue;
    wrap_flush(&test->disk);
    while (test->ops) {
        struct pollfd fd = { .fd = wrap_poll_descriptor(&test->disk), .events = POLLIN };
        (void)poll(&fd, 1, 1);
        wrap_poll(&test->disk);
    }
    for (struct heap_node *node; (node = heap_first(&test->timers.heap));)
        heap_remove(&test->timers.heap, node);
    test->forgetting = false;
}

/* ---- looking at files ---------------------------------------------------------------------- */

static FILE *file_open(const struct doors_test *test, const char *name, const char *mode)
{
    char *path = mem_printf("%s/%s", test->dir, name);
    FILE *file = fopen(path, mode);
    mem_free(path);
    return file;
}

uint8_t *doors_test_file(const struct doors_test *test, const char *name, size_t *ret_len)
{
    FILE *file = file_open(test, name, "rb");
    if (!file)
        return NULL;
    CHECK(fseek(file, 0, SEEK_END) == 0);
    *ret_len = (size_t)ftell(file);
    rewind(file);
    uint8_t *bytes = mem_alloc(*ret_len);
    CHECK(fread(bytes, 1, *ret_len, file) == *ret_len);
    (void)fclose(file);
    return bytes;
}

void doors_test_overwrite(
    const struct doors_test *test, const char *name, uint64_t at, const void *bytes, size_t len)
{
    FILE *file = file_open(test, name, "r+b");
    if (!file)
        file = file_open(test, name, "w+b");
    CHECK(file && fseek(file, (long)at, SEEK_SET) == 0);
    CHECK(fwrite(bytes, 1, len, file) == len && fclose(file) == 0);
}

void doors_test_truncate(const struct doors_test *test, const char *name, uint64_t len)
{
    char *path = mem_printf("%s/%s", test->dir, name);
    CHECK(truncate(path, (off_t)len) == 0);
    mem_free(path);
}

bool doors_test_exists(const struct doors_test *test, const char *name)
{
    char *path = mem_printf("%s/%s", test->dir, name);
    bool there = access(path, F_OK) == 0;
    mem_free(path);
    return there;
}
