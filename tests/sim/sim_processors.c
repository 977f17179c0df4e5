/*
 * sim_processors - exactly once, in the simulated world.   sim_processors [FIRST-SEED [COUNT]]
 *
 * Two processors (the shipped `hashtags`, and `busy`, which uses all there is) read topics of four
 * partitions while lives end: kill -9, power cuts, clean stops, at moments that the seed picks,
 * also while state is restored. A producer for each partition goes on after a crash where the
 * recovered log ends, as an idempotent client does. When all is processed, every output topic must
 * be equal, record for record (partition, offset, timestamp, key, value), to that of a run in which
 * nothing ended.
 *
 * The data comes from its own seed (there are a few), so the partitions are the same in every run;
 * how they interleave, where batches and units fall, is not. A failing run prints its seed. The
 * counts at the end prove that things happened; a zero fails.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/base/mem.h"
#include "tests/sim/busy.h"
#include "tests/sim/engine_world.h"

enum { PARTITIONS = 4, RECORDS = 600, DATA_SEEDS = 4, TEXT_SIZE = 48, STEPS_MAX = 100000 };

LIST(mr_processor, busy_list, &busy);
static const mr_module busy_module = { MR_MAGIC, sizeof(mr_module), MR_ABI_MAJOR, MR_ABI_MINOR, 0,
    0, "busy", "1", "", busy_list, NULL };

/* What is produced, and what came out of it. */
struct data {
    struct engine_record posts[PARTITIONS][RECORDS], words[PARTITIONS][RECORDS];
    char texts[PARTITIONS][RECORDS][TEXT_SIZE];
};

static const char *const topics[] = { "posts", "in" };
static const char *const outputs_of[] = { "trending", "out", "busy.dead" };
enum { OUTPUTS = 3 };

struct totals {
    uint64_t seeds, kills, powers, stops, units, replays, late, dead, full, trimmed, restoring;
};

static void make_data(struct data *data, uint64_t seed)
{
    static const char *const values[] = { "apple", "bee", "cat", "dog", "xray", "apple", "bee" };
    static const char *const keys[] = { "a", "b", "c", "d", "e", "f" };
    struct random random = random_seeded(seed);
    for (int p = 0; p < PARTITIONS; p++) {
        int64_t now = 1000000, tick = 1000;
        for (int i = 0; i < RECORDS; i++) {
            now += random_between(&random, 0, 900);
            tick += random_between(&random, 0, 4);
            /* The last few are a marker far behind: with it all windows before are closed. */
            bool marker = i >= RECORDS - 3;
            (void)snprintf(data->texts[p][i], TEXT_SIZE, "on #Tag%d and #t%d",
                (int)random_below(&random, 30), (int)random_below(&random, 5));
            data->posts[p][i] = (struct engine_record){ marker ? 9000000 + i : now, NULL,
                marker ? "the end" : data->texts[p][i] };
            /* Out of order beyond what the windows allow: some are late, always the same. */
            data->words[p][i] =
                (struct engine_record){ marker ? 100000 + i : tick - random_between(&random, 0, 20),
                    keys[random_below(&random, 6)],
                    marker ? "end" : values[random_below(&random, 7)] };
        }
    }
}

struct run {
    struct engine_world world;
    const struct data *data;
    struct random random;
    struct totals *totals;
    uint64_t seed;
};

static void load(struct run *run)
{
    static const char *const settings[] = { "idle.ms=400d", "idle.advance=none", NULL };
    for (size_t i = 0; i < ARRAY_COUNT(topics); i++)
        engine_make_topic(&run->world, topics[i], PARTITIONS);
    CHECK(engine_load(&run->world, "builtin:hashtags", NULL, settings, NULL) == 0);
    CHECK(engine_load(&run->world, "builtin:busy", NULL, settings, NULL) == 0);
}

/* The next records of a partition, in one batch. False: all are there. */
static bool produce(struct run *run, int topic, int partition)
{
    const struct engine_record *records =
        topic ? run->data->words[partition] : run->data->posts[partition];
    int64_t at = engine_end_offset(&run->world, topics[topic], partition);
    if (at == RECORDS)
        return false;
    int64_t count = random_between(&run->random, 1, 25);
    if (count > RECORDS - at)
        count = RECORDS - at;
    engine_produce(&run->world, topics[topic], partition, records + at, (size_t)count);
    return true;
}

static bool all_produced(struct run *run)
{
    for (int t = 0; t < 2; t++) {
        for (int p = 0; p < PARTITIONS; p++) {
            if (engine_end_offset(&run->world, topics[t], p) < RECORDS)
                return false;
        }
    }
    return true;
}

static bool is_restoring(struct run *run)
{
    return strcmp(engine_info(&run->world, "busy").state, "RESTORING") == 0 ||
           strcmp(engine_info(&run->world, "hashtags").state, "RESTORING") == 0;
}

static void note_end(struct run *run)
{
    run->totals->units += engine_info(&run->world, "hashtags").units;
    run->totals->units += engine_info(&run->world, "busy").units;
    run->totals->restoring += is_restoring(run);
}

static void end_a_life(struct run *run)
{
    struct totals *totals = run->totals;
    note_end(run);
    uint64_t how = random_below(&run->random, 10);
    if (how == 0) {
        CHECK(engine_stop(&run->world) == 0);
        engine_open(&run->world);
        totals->stops++;
    } else {
        engine_crash(&run->world, how < 4);
        how < 4 ? totals->powers++ : totals->kills++;
    }
    totals->replays += storage_stats(run->world.storage).replayed_records;
}

static void work(struct run *run, bool crashes)
{
    for (int i = 0; !all_produced(run); i++) {
        CHECK(i < STEPS_MAX);
        for (uint64_t n = random_below(&run->random, 4); n-- > 0;)
            (void)produce(run, (int)random_below(&run->random, 2),
                (int)random_below(&run->random, PARTITIONS));
        for (uint64_t n = random_below(&run->random, 30); n-- > 0;)
            (void)engine_turn(&run->world);
        if (crashes && random_chance(&run->random, 1, 12))
            end_a_life(run);
        /* Often a second end soon after the first: while state is restored. */
        while (crashes && is_restoring(run) && random_chance(&run->random, 1, 8))
            end_a_life(run);
    }
    engine_settle(&run->world, "hashtags");
    engine_settle(&run->world, "busy");
}

/* Runs it all and leaves the texts of the outputs in `ret`. */
static void perform(struct run *run, bool crashes, char *ret[OUTPUTS])
{
    struct engine_world *world = &run->world;
    const mr_module *const builtins[] = { hashtags_module(), &busy_module, NULL };
    engine_begin(world, run->seed, builtins);
    world->config.default_partitions = 2;
    world->storage_config.wal_file_bytes = 512 << 10; /* its unit holds what one record may close */
    world->storage_config.wal_files_max = 3;
    world->sim.faults.latency_max_ns = 2000000;
    world->sim.faults.cold_read = 2000;
    run->random = random_seeded(run->seed ^ 0x9e37);
    engine_open(world);
    load(run);
    work(run, crashes);
    note_end(run);
    struct engine_info info = engine_info(world, "busy");
    if (strcmp(info.state, "RUNNING") != 0) {
        (void)fprintf(
            stderr, "seed %" PRIu64 ": busy is %s: %s\n", run->seed, info.state, info.error);
        exit(1);
    }
    run->totals->late += info.late;
    run->totals->dead += info.dead;
    const struct topic *log = storage_topic(world->storage, bytes_text("busy-words-changelog"));
    run->totals->trimmed += log->logs[0]->start_offset > 0;
    for (int i = 0; i < OUTPUTS; i++)
        ret[i] = engine_text(world, outputs_of[i]);
    engine_end(world);
}

static int compare(uint64_t seed, char *const expected[OUTPUTS], char *const got[OUTPUTS])
{
    for (int i = 0; i < OUTPUTS; i++) {
        if (strcmp(expected[i], got[i]) == 0)
            continue;
        size_t at = 0;
        while (expected[i][at] == got[i][at])
            at++;
        while (at > 0 && expected[i][at - 1] != '\n')
            at--;
        (void)fprintf(stderr, "seed %" PRIu64 ": %s differs:\n  expected %.*s\n  got      %.*s\n",
            seed, outputs_of[i], (int)strcspn(expected[i] + at, "\n"), expected[i] + at,
            (int)strcspn(got[i] + at, "\n"), got[i] + at);
        return 1;
    }
    return 0;
}

static int print_totals(const struct totals *totals)
{
    const struct {
        const char *name;
        uint64_t count;
    } counts[] = {
        { "seeds", totals->seeds },
        { "kills", totals->kills },
        { "power cuts", totals->powers },
        { "clean stops", totals->stops },
        { "ends while restoring", totals->restoring },
        { "units", totals->units },
        { "log records replayed", totals->replays },
        { "late", totals->late },
        { "dead letters", totals->dead },
    };
    int status = 0;
    for (size_t i = 0; i < ARRAY_COUNT(counts); i++) {
        (void)printf("%12" PRIu64 " %s\n", counts[i].count, counts[i].name);
        if (counts[i].count == 0) {
            (void)fprintf(stderr, "no %s: this run proves nothing\n", counts[i].name);
            status = 1;
        }
    }
    return status;
}

int main(int argc, char **argv)
{
    uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 10) : 20;
    struct totals totals = { 0 };
    struct data *data = mem_alloc(sizeof(*data));
    struct run *run = mem_zalloc(1, sizeof(*run));
    int status = 0;
    for (uint64_t d = 0; status == 0 && d < DATA_SEEDS && d < count; d++) {
        char *expected[OUTPUTS], *got[OUTPUTS];
        struct totals unused = { 0 };
        make_data(data, d + 1);
        *run = (struct run){ .data = data, .seed = 1000000 + d, .totals = &unused };
        perform(run, false, expected);
        CHECK(strlen(expected[0]) > 10000 && strlen(expected[1]) > 10000);
        for (uint64_t seed = first + d; status == 0 && seed < first + count; seed += DATA_SEEDS) {
            *run = (struct run){ .data = data, .seed = seed, .totals = &totals };
            perform(run, true, got);
            status = compare(seed, expected, got);
            totals.seeds++;
            for (int i = 0; i < OUTPUTS; i++)
                mem_free(got[i]);
        }
        for (int i = 0; i < OUTPUTS; i++)
            mem_free(expected[i]);
    }
    mem_free(run);
    mem_free(data);
    return status ? status : print_totals(&totals);
}
