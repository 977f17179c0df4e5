/*
 * bench_storage - what group commit is worth: batches per second of log_commit in mode `fsync`,
 * against one fdatasync of each partition's own file, side by side.
 *
 *   bench_storage [ROUNDS [MS [PARTITIONS [BATCH-BYTES [DIRECTORY]]]]]         (5 1000 100 1024 .)
 *
 * No sockets. Every partition is busy: as soon as its batch is durable it gets the next one.
 *
 *   group    the storage as the broker has it: one write-ahead log for all partitions
 *   serial   append to the partition's file, fdatasync it, take the next partition
 *   parallel the same by 8 threads (Apache Kafka's num.io.threads), a share of the partitions each
 *
 * The three take turns within a round, so that a disk that gets slower gets slower for all. Prints
 * what each round saw, then medians, syncs per batch, and the ratios. Exit code 1 if the storage
 * put fewer than GOAL batches into one flush of the disk: that is a count, no matter how fast the
 * disk was.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "processors/workers.h"
#include "protocol/base/mem.h"
#include "protocol/batch.h"
#include "protocol/record.h"
#include "storage/storage.h"
#include "tests/bench/real_doors.h"

enum { GOAL = 20, THREADS = 8, ROUNDS_MAX = 101, SMALL_GOAL_BELOW = 2 * GOAL };

struct plan {
    int rounds;
    int64_t span_ns;
    int32_t partitions;
    size_t batch_bytes;
    const char *where;
};

/* What one side did in one round. */
struct score {
    uint64_t batches, syncs;
    double rate;
};

struct bench;

/* A partition that always has one batch on its way. */
struct lane {
    struct unit unit;
    struct bench *bench;
    struct log *log;
    bool waits; /* the ring was full */
};

struct bench {
    struct plan plan;
    struct real_doors real;
    struct storage *storage;
    struct out batch;
    struct lane *lanes;
    int *files; /* of the other two sides */
    uint64_t done_batches;
    size_t in_flight;
    bool running, closed;
};

/* ---- a loop -------------------------------------------------------------------------------- */

static void turn(struct bench *bench)
{
    real_doors_turn(&bench->real, bench->storage);
}

/* ---- group: the storage -------------------------------------------------------------------- */

static void lane_done(struct unit *unit);

static void lane_go(struct lane *lane)
{
    struct bench *bench = lane->bench;
    unit_init(&lane->unit, lane_done);
    unit_append(&lane->unit, lane->log, bytes_of(bench->batch.data, bench->batch.len));
    int status = log_commit(bench->storage, &lane->unit);
    lane->waits = status == -EAGAIN;
    if (lane->waits) {
        unit_done(&lane->unit);
        return;
    }
    CHECK(status == 0);
    bench->in_flight++;
}

static void lane_done(struct unit *unit)
{
    struct lane *lane = container_of(unit, struct lane, unit);
    unit_done(unit);
    lane->bench->in_flight--;
    lane->bench->done_batches++;
    if (lane->bench->running)
        lane_go(lane);
}

static void on_space(void *context)
{
    struct bench *bench = context;
    for (int32_t i = 0; bench->running && i < bench->plan.partitions; i++) {
        if (bench->lanes[i].waits)
            lane_go(&bench->lanes[i]);
    }
}

static uint64_t flushes(const struct bench *bench)
{
    struct storage_stats stats = storage_stats(bench->storage);
    return stats.wal_durable_writes + stats.wal_syncs;
}

static struct score group_round(struct bench *bench)
{
    uint64_t batches = bench->done_batches, syncs = flushes(bench);
    int64_t began = clock_monotonic_ns(&bench->real.clock), now = began;
    bench->running = true;
    for (int32_t i = 0; i < bench->plan.partitions; i++)
        lane_go(&bench->lanes[i]);
    for (; now - began < bench->plan.span_ns; now = clock_monotonic_ns(&bench->real.clock))
        turn(bench);
    struct score score = { bench->done_batches - batches, flushes(bench) - syncs, 0 };
    score.rate = (double)score.batches * 1e9 / (double)(now - began);
    bench->running = false;
    while (bench->in_flight)
        turn(bench);
    return score;
}

static void created(struct unit *unit)
{
    struct lane *lane = container_of(unit, struct lane, unit);
    unit_done(unit);
    lane->bench->in_flight--;
}

static void lanes_open(struct bench *bench)
{
    struct uuid id = uuid_random(&bench->real.random);
    bench->lanes = mem_zalloc((size_t)bench->plan.partitions, sizeof(*bench->lanes));
    for (int32_t i = 0; i < bench->plan.partitions; i++)
        bench->lanes[i].bench = bench;
    struct unit *unit = &bench->lanes[0].unit;
    unit_init(unit, created);
    CHECK(unit_create_topic(unit, bench->storage, bytes_text("bench"), &id, bench->plan.partitions,
              NULL, 0) == 0);
    CHECK(log_commit(bench->storage, unit) == 0);
    for (bench->in_flight = 1; bench->in_flight;)
        turn(bench);
    const struct topic *topic = storage_topic(bench->storage, bytes_text("bench"));
    for (int32_t i = 0; i < bench->plan.partitions; i++)
        bench->lanes[i].log = topic_log(topic, i);
}

/* ---- serial and parallel: a sync of each file -------------------------------------------------
 */

struct share {
    pthread_t thread;
    struct bench *bench;
    int32_t from, to;
    int64_t until_ns;
    uint64_t batches;
};

static void *share_run(void *context)
{
    struct share *share = context;
    struct bench *bench = share->bench;
    const struct out *batch = &bench->batch;
    while (share->from < share->to) {
        for (int32_t i = share->from; i < share->to; i++) {
            if (clock_monotonic_ns(&bench->real.clock) >= share->until_ns)
                return NULL;
            CHECK(write(bench->files[i], batch->data, batch->len) == (ssize_t)batch->len);
            CHECK(fdatasync(bench->files[i]) == 0);
            share->batches++;
        }
    }
    return NULL;
}

static struct score files_round(struct bench *bench, int threads)
{
    struct share shares[THREADS];
    int64_t began = clock_monotonic_ns(&bench->real.clock);
    struct score score = { 0 };
    for (int i = 0; i < threads; i++) {
        shares[i] = (struct share){
            .bench = bench,
            .from = bench->plan.partitions * i / threads,
            .to = bench->plan.partitions * (i + 1) / threads,
            .until_ns = began + bench->plan.span_ns,
        };
        CHECK(pthread_create(&shares[i].thread, NULL, share_run, &shares[i]) == 0);
    }
    for (int i = 0; i < threads; i++) {
        CHECK(pthread_join(shares[i].thread, NULL) == 0);
        score.batches += shares[i].batches;
    }
    score.syncs = score.batches;
    int64_t took_ns = clock_monotonic_ns(&bench->real.clock) - began;
    score.rate = (double)score.batches * 1e9 / (double)took_ns;
    return score;
}

static void files_open(struct bench *bench)
{
    bench->files = mem_zalloc((size_t)bench->plan.partitions, sizeof(*bench->files));
    for (int32_t i = 0; i < bench->plan.partitions; i++) {
        char *path = mem_printf("%s/%" PRId32 ".log", bench->real.dir, i);
        bench->files[i] = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        CHECK(bench->files[i] >= 0);
        mem_free(path);
    }
}

/* ---- begin and end ------------------------------------------------------------------------- */

static void batch_make(struct bench *bench)
{
    struct batch_builder builder = { 0 };
    struct batch_options options = batch_options_plain(CODEC_NONE);
    uint8_t *value = mem_zalloc(1, bench->plan.batch_bytes);
    struct record_view record = { .timestamp = clock_wall_ms(&bench->real.clock) };
    record.value = bytes_of(value, bench->plan.batch_bytes);
    memset(value, 'x', bench->plan.batch_bytes);
    batch_builder_begin(&builder, &options);
    CHECK(batch_builder_append(&builder, &record) == 0);
    CHECK(batch_builder_finish(&builder, NULL, &bench->batch) == 0);
    batch_builder_done(&builder);
    mem_free(value);
}

static void begin(struct bench *bench)
{
    real_doors_begin(&bench->real, bench->plan.where);
    struct storage_config config = storage_config_default();
    config.dir = bench->real.data;
    char error[128];
    CHECK(topic_config_set(&config.defaults, bytes_text("durability"), bytes_text("fsync"), error,
              sizeof(error)) == 0);
    struct storage_hooks hooks = {
        .context = bench, .space = on_space, .failed = real_doors_failed
    };
    CHECK(storage_open(&bench->storage, &config, &bench->real.doors, &hooks) == 0);
    batch_make(bench);
    lanes_open(bench);
    files_open(bench);
}

static void on_closed(void *context, int status)
{
    struct bench *bench = context;
    CHECK(status == 0);
    bench->closed = true;
}

static void end(struct bench *bench)
{
    storage_close(bench->storage, on_closed, bench);
    while (!bench->closed)
        turn(bench);
    storage_destroy(bench->storage);
    for (int32_t i = 0; i < bench->plan.partitions; i++)
        (void)close(bench->files[i]);
    real_doors_end(&bench->real);
    out_done(&bench->batch);
    mem_free(bench->lanes);
    mem_free(bench->files);
}

/* ---- the rounds ---------------------------------------------------------------------------- */

enum side { GROUP, SERIAL, PARALLEL, SIDES };
static const char *const side_names[] = { "group", "serial", "parallel" };

static int compare_rates(const void *a, const void *b)
{
    const struct score *x = a, *y = b;
    return (x->rate > y->rate) - (x->rate < y->rate);
}

/* True: at least GOAL batches share a flush (half of the partitions where those are few). */
static bool report(struct score scores[SIDES][ROUNDS_MAX], const struct plan *plan)
{
    double medians[SIDES];
    uint64_t batches = 0, syncs = 0;
    for (int side = 0; side < SIDES; side++) {
        qsort(scores[side], (size_t)plan->rounds, sizeof(scores[side][0]), compare_rates);
        medians[side] = scores[side][plan->rounds / 2].rate;
        printf("%-8s median %10.0f batches/s   (%.0f to %.0f)\n", side_names[side], medians[side],
            scores[side][0].rate, scores[side][plan->rounds - 1].rate);
    }
    for (int round = 0; round < plan->rounds; round++) {
        batches += scores[GROUP][round].batches;
        syncs += scores[GROUP][round].syncs;
    }
    double shared = syncs ? (double)batches / (double)syncs : 0;
    double goal = plan->partitions < SMALL_GOAL_BELOW ? plan->partitions / 2.0 : GOAL;
    printf("group commit: %" PRIu64 " batches in %" PRIu64 " flushes of the disk: %.1f in each\n",
        batches, syncs, shared);
    printf("group is %.1f x serial (goal %d), %.1f x %d threads\n",
        medians[GROUP] / medians[SERIAL], GOAL, medians[GROUP] / medians[PARALLEL], THREADS);
    return shared >= goal;
}

static long word(int argc, char **argv, int at, long otherwise)
{
    return argc > at ? strtol(argv[at], NULL, 10) : otherwise;
}

int main(int argc, char **argv)
{
    static struct score scores[SIDES][ROUNDS_MAX];
    struct bench bench = { 0 };
    bench.plan = (struct plan){
        .rounds = (int)word(argc, argv, 1, 5),
        .span_ns = word(argc, argv, 2, 1000) * CLOCK_NS_PER_MS,
        .partitions = (int32_t)word(argc, argv, 3, 100),
        .batch_bytes = (size_t)word(argc, argv, 4, 1024),
        .where = argc > 5 ? argv[5] : ".",
    };
    const struct plan *plan = &bench.plan;
    if (plan->rounds < 1 || plan->rounds > ROUNDS_MAX || plan->span_ns <= 0 ||
        plan->partitions < 1 || plan->partitions > 10000 || plan->batch_bytes > 1 << 20) {
        (void)fprintf(
            stderr, "bench_storage [ROUNDS [MS [PARTITIONS [BATCH-BYTES [DIRECTORY]]]]]\n");
        return 2;
    }
    begin(&bench);
    printf("%" PRId32 " partitions, batches of %zu bytes, disk: %s\n", plan->partitions,
        bench.batch.len, bench.real.disk->table->name);
    (void)group_round(&bench); /* touches the ring and makes the files */
    for (int round = 0; round < plan->rounds; round++) {
        scores[GROUP][round] = group_round(&bench);
        scores[SERIAL][round] = files_round(&bench, 1);
        scores[PARALLEL][round] = files_round(&bench, THREADS);
        for (int side = 0; side < SIDES; side++)
            printf("round %d %-8s %10.0f batches/s %8" PRIu64 " batches %8" PRIu64 " syncs\n",
                round + 1, side_names[side], scores[side][round].rate, scores[side][round].batches,
                scores[side][round].syncs);
    }
    bool good = report(scores, plan);
    end(&bench);
    return good ? 0 : 1;
}
