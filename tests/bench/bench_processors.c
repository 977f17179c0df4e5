/*
 * bench_processors - hashtags over stored posts: posts per CPU-second, exactly once.
 *
 *   bench_processors [POSTS [POSTS-PER-SECOND-OF-EVENT-TIME [DIRECTORY]]]      (1,000,000  5,000)
 *
 * Storage, engine, worker thread and the shipped plugin, as the broker has them, without its
 * sockets: JSON posts of 261 bytes are stored in four partitions first (not counted), then the
 * processor is loaded and the CPU time of the whole process is taken until everything is processed
 * and its last commit is durable. Every row is compared with a count made here; what differs makes
 * the exit code 1 (so the suite `threads` runs it as well, with few posts).
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "processors/processors.h"
#include "protocol/base/mem.h"
#include "protocol/record.h"
#include "tests/bench/real_doors.h"

const mr_module *hashtags_module(void);

enum { PARTITIONS = 4, TAGS = 100000, POST_SIZE = 261, BATCH_RECORDS = 200 };

struct bench {
    struct real_doors real;
    struct storage *storage;
    struct processors *processors;
    bool done, space;
    int status;
    size_t in_flight;
    struct use {
        int64_t ts;
        uint32_t tag;
    } * uses; /* every tag of every post, in the order of time */
    size_t use_count, use_capacity;
};

/* ---- a loop ---------------------------------------------------------------------------------- */

static void turn(struct bench *bench)
{
    real_doors_turn(&bench->real, bench->storage);
}

static void on_space(void *context)
{
    struct bench *bench = context;
    if (bench->processors)
        processors_space(bench->processors);
}

static void on_done(void *context, int status)
{
    struct bench *bench = context;
    bench->done = true;
    bench->status = status;
}

static void until_done(struct bench *bench)
{
    while (!bench->done)
        turn(bench);
    bench->done = false;
    if (bench->status) {
        (void)fprintf(stderr, "failed: %s\n", strerror(-bench->status));
        exit(1);
    }
}

static void begin(struct bench *bench, const char *where)
{
    static const mr_module *builtins[2];
    builtins[0] = hashtags_module();
    real_doors_begin(&bench->real, where);
    struct storage_config config = storage_config_default();
    config.dir = bench->real.data;
    struct storage_hooks hooks = {
        .context = bench, .space = on_space, .failed = real_doors_failed
    };
    CHECK(storage_open(&bench->storage, &config, &bench->real.doors, &hooks) == 0);
    struct processors_config engine = { bench->real.data, PARTITIONS, builtins };
    bench->processors =
        processors_create(&engine, &bench->real.doors, bench->storage, bench->real.workers);
    processors_start(bench->processors);
}

static void end(struct bench *bench)
{
    processors_stop(bench->processors, on_done, bench);
    until_done(bench);
    processors_destroy(bench->processors);
    bench->processors = NULL;
    storage_close(bench->storage, on_done, bench);
    until_done(bench);
    storage_destroy(bench->storage);
    real_doors_end(&bench->real);
}

/* ---- posts ----------------------------------------------------------------------------------- */

struct flight {
    struct unit unit;
    struct bench *bench;
};

static void landed(struct unit *unit)
{
    struct flight *flight = container_of(unit, struct flight, unit);
    flight->bench->in_flight--;
    unit_done(unit);
    mem_free(flight);
}

static struct flight *take_off(struct bench *bench)
{
    struct flight *flight = mem_zalloc(1, sizeof(*flight));
    flight->bench = bench;
    unit_init(&flight->unit, landed);
    return flight;
}

static void commit(struct bench *bench, struct flight *flight)
{
    int r;
    while ((r = log_commit(bench->storage, &flight->unit)) == -EAGAIN)
        turn(bench);
    CHECK(r == 0);
    bench->in_flight++;
    while (bench->in_flight > 8)
        turn(bench);
}

/* Few tags are used often, many seldom: the square of a uniform number, to the fourth. */
static unsigned tag(struct bench *bench)
{
    double x = (double)(random_u64(&bench->real.random) >> 11) / (double)(UINT64_C(1) << 53);
    return (unsigned)(x * x * x * x * TAGS);
}

static void use_tag(struct bench *bench, int64_t ts, uint32_t number)
{
    mem_grow(bench->uses, &bench->use_capacity, bench->use_count + 1);
    bench->uses[bench->use_count++] = (struct use){ ts, number };
}

static size_t make_post(
    struct bench *bench, char *to, size_t size, uint64_t number, int64_t ts, bool count)
{
    int n =
        snprintf(to, size, "{\"id\":%" PRIu64 ",\"user\":\"user%u\",\"lang\":\"en\",\"text\":\"",
            number, (unsigned)random_below(&bench->real.random, 1000000));
    for (uint64_t left = random_below(&bench->real.random, 4); left-- > 0;) {
        unsigned used = tag(bench);
        n += snprintf(to + n, size - (size_t)n, "some words and #Tag%u ", used);
        if (count)
            use_tag(bench, ts, used);
    }
    while (n < POST_SIZE - 2)
        n += snprintf(to + n, size - (size_t)n, n + 5 < POST_SIZE - 2 ? "word " : ".");
    n += snprintf(to + n, size - (size_t)n, "\"}");
    return (size_t)n;
}

/* All posts in the order of time, a batch for each partition in turn; then one far ahead in each,
 * so that every window closes. */
static void store_posts(struct bench *bench, uint64_t posts, uint64_t rate)
{
    const struct topic *topic = storage_topic(bench->storage, bytes_text("posts"));
    struct batch_builder builder = { 0 };
    struct batch_options options = batch_options_plain(CODEC_NONE);
    struct out batch = { 0 };
    int64_t start = clock_wall_ms(&bench->real.clock) - (int64_t)(posts * 1000 / rate);
    char post[2 * POST_SIZE];
    for (uint64_t i = 0; i < posts + PARTITIONS;) {
        int32_t partition = (int32_t)(i < posts ? i / BATCH_RECORDS % PARTITIONS : i - posts);
        uint64_t until = i < posts ? i + BATCH_RECORDS : i + 1;
        batch_builder_begin(&builder, &options);
        for (; i < until && (i < posts || until == i + 1); i++) {
            struct record_view record = { .timestamp = start + (int64_t)(i * 1000 / rate) };
            size_t len = make_post(bench, post, sizeof(post), i, record.timestamp, i < posts);
            if (i >= posts) /* the same in all, or the first would hold back the rest */
                record.timestamp = start + (int64_t)(posts * 1000 / rate) + 200000;
            else
                record.value = bytes_of(post, len);
            CHECK(batch_builder_append(&builder, &record) == 0);
        }
        batch.len = 0;
        CHECK(batch_builder_finish(&builder, NULL, &batch) == 0);
        struct flight *flight = take_off(bench);
        unit_append(&flight->unit, topic->logs[partition], bytes_of(batch.data, batch.len));
        commit(bench, flight);
    }
    while (bench->in_flight)
        turn(bench);
    out_done(&batch);
    batch_builder_done(&builder);
}

/* ---- the measurement ------------------------------------------------------------------------- */

static double cpu_seconds(void)
{
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void loaded(struct processors_load *load, int status)
{
    if (status) {
        (void)fprintf(stderr, "%s\n", load->error);
        exit(1);
    }
}

struct progress {
    bool settled, failed;
    uint64_t records, emitted, late, units;
};

static bool look_at(void *context, const struct processors_info *info)
{
    struct progress *progress = context;
    *progress = (struct progress){ .settled = strcmp(info->state, "RUNNING") == 0 && info->lag == 0,
        .failed = strcmp(info->state, "FAILED") == 0,
        .records = info->records,
        .emitted = info->emitted,
        .late = info->late,
        .units = info->units };
    if (progress->failed)
        (void)fprintf(stderr, "%s\n", info->error);
    return false;
}

static struct progress process(struct bench *bench)
{
    struct setting settings[] = { { "idle.advance", "none" }, { "idle.ms", "1h" } };
    struct processors_load load = { .file = "builtin:hashtags",
        .settings = settings,
        .setting_count = ARRAY_COUNT(settings),
        .done = loaded };
    struct progress progress = { 0 };
    processors_load(bench->processors, &load);
    while (!progress.settled && !progress.failed) {
        turn(bench);
        processors_each(bench->processors, look_at, &progress);
    }
    return progress;
}

/* ---- the check ------------------------------------------------------------------------------- */

/* Counts of all tags in the window now looked at. */
struct checking {
    struct bench *bench;
    int64_t end;
    uint32_t *counts;
    uint64_t rows, last_count, told[10];
    size_t told_count;
    const char *wrong;
};

static size_t first_use(const struct bench *bench, int64_t ts)
{
    size_t low = 0, high = bench->use_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (bench->uses[middle].ts < ts)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The window is complete: no tag that was not told may have more than the last that was. */
static void end_window(struct checking *checking)
{
    if (!checking->told_count)
        return;
    for (size_t i = 0; i < checking->told_count; i++)
        checking->counts[checking->told[i]] = 0;
    for (uint32_t i = 0; i < TAGS; i++) {
        if (checking->counts[i] > checking->last_count)
            checking->wrong = "a tag that belongs to the first ten was not told";
    }
    checking->told_count = 0;
}

static void begin_window(struct checking *checking, int64_t start, int64_t end)
{
    const struct bench *bench = checking->bench;
    if (end <= checking->end)
        checking->wrong = "windows are not told in the order of time";
    checking->end = end;
    memset(checking->counts, 0, TAGS * sizeof(*checking->counts));
    for (size_t i = first_use(bench, start); i < bench->use_count && bench->uses[i].ts < end; i++)
        checking->counts[bench->uses[i].tag]++;
}

static void check_row(struct checking *checking, struct bytes value)
{
    char text[256];
    long long start, end;
    unsigned rank, number;
    unsigned long long count;
    (void)snprintf(text, sizeof(text), "%.*s", (int)value.len, (const char *)value.data);
    if (sscanf(text,
            "{\"window_start\":%lld,\"window_end\":%lld,\"rank\":%u,\"tag\":\"#tag%u\","
            "\"count\":%llu}",
            &start, &end, &rank, &number, &count) != 5 ||
        number >= TAGS || rank < 1 || rank > 10) {
        checking->wrong = "a row can't be read";
        return;
    }
    if (rank == 1) {
        end_window(checking);
        begin_window(checking, start, end);
    }
    if (end != checking->end || rank != checking->told_count + 1 ||
        (rank > 1 && count > checking->last_count))
        checking->wrong = "ranks are not in order";
    if (checking->counts[number] != count)
        checking->wrong = "a count is wrong";
    checking->told[checking->told_count++ % 10] = number;
    checking->last_count = count;
    checking->rows++;
}

static void check_buffer(struct checking *checking, const struct buffer *buffer, int64_t *offset)
{
    struct bytes run = bytes_of(buffer->data, buffer->len);
    struct batch_view batch;
    while (batch_next(&run, &batch) == BATCH_OK) {
        struct record_reader reader;
        struct record_view record;
        record_reader_init(&reader, &batch, batch.records);
        while (record_next(&reader, &record))
            check_row(checking, record.value);
        *offset = batch_last_offset(&batch) + 1;
    }
}

static void read_ended(struct log_read *read, int status)
{
    (void)read;
    CHECK(status == 0);
}

/* Every row that was told, against the posts. NULL, or what is wrong. */
static const char *check_rows(struct bench *bench, uint64_t emitted)
{
    struct log *log = storage_topic(bench->storage, bytes_text("trending"))->logs[0];
    struct checking checking = {
        .bench = bench, .end = INT64_MIN, .counts = mem_zalloc(TAGS, sizeof(uint32_t))
    };
    for (int64_t offset = 0; offset < log->high_watermark;) {
        struct log_read read = { .log = log,
            .offset = offset,
            .end_offset = log->high_watermark,
            .max_bytes = 1 << 20,
            .at_least_one = true,
            .done = read_ended };
        int status = log_read(bench->storage, &read);
        while (status == -EINPROGRESS && !read.buffer)
            turn(bench);
        CHECK(read.buffer);
        check_buffer(&checking, read.buffer, &offset);
        buffer_unref(read.buffer);
    }
    end_window(&checking);
    mem_free(checking.counts);
    if (!checking.wrong && checking.rows != emitted)
        return "not every row that was counted is there";
    return checking.wrong;
}

static void make_topic(struct bench *bench)
{
    struct flight *flight = take_off(bench);
    struct uuid id = uuid_random(&bench->real.random);
    CHECK(unit_create_topic(
              &flight->unit, bench->storage, bytes_text("posts"), &id, PARTITIONS, NULL, 0) == 0);
    commit(bench, flight);
    while (bench->in_flight)
        turn(bench);
}

int main(int argc, char **argv)
{
    uint64_t posts = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000;
    uint64_t rate = argc > 2 ? strtoull(argv[2], NULL, 10) : 5000;
    struct bench *bench = mem_zalloc(1, sizeof(*bench));
    begin(bench, argc > 3 ? argv[3] : "/tmp");
    make_topic(bench);
    store_posts(bench, posts, rate);
    double cpu = cpu_seconds();
    int64_t start_ns = clock_monotonic_ns(&bench->real.clock);
    struct progress progress = process(bench);
    cpu = cpu_seconds() - cpu;
    double wall = (double)(clock_monotonic_ns(&bench->real.clock) - start_ns) / 1e9;
    CHECK(progress.failed || progress.records == posts + PARTITIONS);
    (void)printf("%" PRIu64 " posts, %" PRIu64 " tags, %" PRIu64 " rows told, %" PRIu64
                 " late, %" PRIu64 " units, disk %s\n",
        posts, (uint64_t)bench->use_count, progress.emitted, progress.late, progress.units,
        bench->real.disk->table->name);
    (void)printf("%.3f s, %.3f CPU-s: %.0f posts per CPU-second, %.0f per second\n", wall, cpu,
        (double)posts / cpu, (double)posts / wall);
    const char *wrong = progress.failed ? "it failed" : check_rows(bench, progress.emitted);
    if (wrong)
        (void)fprintf(stderr, "%s\n", wrong);
    end(bench);
    mem_free(bench->uses);
    mem_free(bench);
    return wrong || progress.late;
}
