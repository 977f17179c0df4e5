/* See life_damage in history.h. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "protocol/base/mem.h"
#include "tests/sim/history.h"

enum { ROUNDS = 6, FILES_MAX = 256, WRITE_BYTES = 4096, PATH_BYTES = 200 };

struct target {
    char path[PATH_BYTES];
    uint64_t size;
};

struct targets {
    struct target at[FILES_MAX];
    size_t count;
};

static void target_add(void *context, const char *path, uint64_t size)
{
    struct targets *targets = context;
    size_t len = strlen(path);
    if (size == 0 || targets->count == FILES_MAX || len >= PATH_BYTES)
        return;
    struct target *target = &targets->at[targets->count++];
    memcpy(target->path, path, len + 1);
    target->size = size;
}

/* The block of a write, or what there is of it. */
static uint64_t block_of(struct world *w, const struct target *target, size_t *ret_len)
{
    uint64_t at = random_below(&w->random, target->size) & ~(uint64_t)(WRITE_BYTES - 1);
    uint64_t left = target->size - at;
    *ret_len = left < WRITE_BYTES ? (size_t)left : WRITE_BYTES;
    return at;
}

static bool is_segment(const struct target *target)
{
    size_t len = strlen(target->path);
    return len > 4 && strcmp(target->path + len - 4, ".log") == 0;
}

/* Known limit: the last file of the write-ahead log may be the newest one, and then nothing is left
 * that tells of it. A hole before it is seen. */
static bool is_last_wal(const struct targets *targets, const struct target *target)
{
    const struct target *last = NULL;
    for (size_t i = 0; i < targets->count; i++) {
        if (strstr(targets->at[i].path, "/wal/") &&
            (!last || strcmp(targets->at[i].path, last->path) > 0))
            last = &targets->at[i];
    }
    return target == last;
}

/* One thing goes wrong. */
static void damage(struct world *w, struct targets *targets, char *what, size_t size)
{
    bool favour = random_chance(&w->random, 1, 4); /* the state of a checkpoint */
    struct target *target = &targets->at[random_below(&w->random, targets->count)];
    for (int i = 0; i < 20 && !strstr(target->path, "/meta.") && favour; i++)
        target = &targets->at[random_below(&w->random, targets->count)];
    struct target *other = &targets->at[random_below(&w->random, targets->count)];
    uint64_t at = random_below(&w->random, target->size);
    if (at >= 64 && random_chance(&w->random, 1, 4)) /* where heads are */
        at = at % 64 + (random_chance(&w->random, 1, 4) && target->size > 4096 ? 2048 : 0);
    size_t len, other_len;
    int status = 0;
    uint64_t kind = random_below(&w->random, 8);
    if ((kind == 2 || kind == 3) && is_segment(target))
        kind = 4;
    if (kind == 0 && is_last_wal(targets, target))
        kind = 4;
    switch (kind) {
    case 0:
        w->totals->deleted++;
        (void)snprintf(what, size, "%s is deleted", target->path);
        status = sim_lose(&w->sim, target->path);
        break;
    case 1:
        w->totals->zeroed++;
        at = block_of(w, target, &len);
        (void)snprintf(what, size, "%s at %" PRIu64 ": zeros", target->path, at);
        status = sim_zero(&w->sim, target->path, at, len);
        break;
    case 2:
    case 3: {
        w->totals->misdirected++;
        at = block_of(w, target, &len);
        uint64_t from = block_of(w, other, &other_len);
        (void)snprintf(what, size, "%s at %" PRIu64 ": the bytes of %s at %" PRIu64, target->path,
            at, other->path, from);
        status = sim_misdirect(
            &w->sim, other->path, from, target->path, at, len < other_len ? len : other_len);
        break;
    }
    default:
        w->totals->flips++;
        if (strstr(target->path, "/meta.") && favour && target->size >= 48)
            at = random_below(&w->random, 48);
        (void)snprintf(what, size, "%s at %" PRIu64 ": a bit flipped", target->path, at);
        status = sim_flip(&w->sim, target->path, at, (uint8_t)(1 << random_below(&w->random, 8)));
    }
    CHECK(status == 0);
}

/* As state_matches, but for the ends of logs that are said to be damaged. */
static bool matches_but_damaged(struct world *w, struct state *state)
{
    for (int s = 0; s < SLOTS; s++) {
        for (int p = 0; p < PARTITIONS; p++) {
            const struct log *log = log_of(w, s, p);
            if (log && !log_takes_appends(log))
                state->ends[s][p] = log->end_offset;
        }
    }
    return state_matches(w, state);
}

/* Where the first batch behind `offset` begins; -1: there is none. */
static int64_t next_base(
    const struct world *w, int slot, int partition, int64_t offset, int64_t end)
{
    while (++offset < end) {
        if (part_at(w, w->op_count, slot, partition, offset))
            return offset;
    }
    return -1;
}

/* The number of reads that were refused. */
static uint64_t read_all(struct world *w)
{
    uint64_t refused = 0;
    for (int s = 0; s < SLOTS; s++) {
        for (int p = 0; p < PARTITIONS; p++) {
            struct log *log = log_of(w, s, p);
            int64_t at = log ? log->start_offset : -1;
            while (at >= 0 && at < log->high_watermark) {
                int64_t next = read_try(w, log, s, at, 20000);
                if (w->failed)
                    return refused + 1;
                refused += next < 0;
                at = next < 0 ? next_base(w, s, p, at, log->high_watermark) : next;
            }
            refused += log && !log_takes_appends(log);
        }
    }
    return refused;
}

static void judge(struct world *w, size_t least, const char *what)
{
    bool found = false;
    size_t all = w->op_count, k = all + 1;
    while (!found && k-- > least) {
        struct state state = state_of(w, k);
        found = matches_but_damaged(w, &state);
    }
    if (!found)
        fail(w, "%s: a start on it says nothing, and less than %zu commits are there", what, least);
    w->op_count = k; /* a write may have been in flight when the life ended */
    if (read_all(w))
        w->totals->damage_named++;
    else
        w->totals->damage_harmless++;
    w->op_count = all;
}

static void look(struct world *w, struct targets *targets, size_t least)
{
    char what[3 * PATH_BYTES];
    damage(w, targets, what, sizeof(what));
    if (w->sim.verbose)
        (void)fprintf(stderr, "[%10.3f ms] %s\n", (double)w->sim.now_ns / 1e6, what);
    uint64_t said = w->sim.said[LOG_ERROR];
    struct storage_hooks hooks = world_hooks(w);
    w->failed = false;
    int status = storage_open(&w->storage, &w->config, &w->sim.doors, &hooks);
    if (status == 0) {
        judge(w, least, what);
        life_drop(w, false);
        return;
    }
    if (w->sim.said[LOG_ERROR] == said)
        fail(w, "%s: refused without a word: %s", what, strerror(-status));
    w->totals->damage_refused++;
    sim_kill(&w->sim);
    sim_restart(&w->sim);
}

void life_damage(struct world *w)
{
    struct sim_faults faults = w->sim.faults;
    w->sim.faults = (struct sim_faults){ .latency_max_ns = 100000,
        .fua = faults.fua,
        .no_direct = faults.no_direct,
        .no_fallocate = faults.no_fallocate };
    /* Idle, so that a record tells of all that is durable. */
    world_run_until(w, w->sim.now_ns + 5000 * CLOCK_NS_PER_MS, false);
    bool clean = random_chance(&w->random, 1, 2);
    if (w->failed || w->sim.dead || (clean && !storage_stop(w))) {
        w->sim.faults = faults;
        life_crash(w, true, !clean);
        return;
    }
    life_note(w);
    size_t least = survivors_least(w, true), least_kill = survivors_least(w, false);
    life_drop(w, false);
    struct targets *targets = mem_zalloc(1, sizeof(*targets));
    sim_each_file(&w->sim, target_add, targets);
    struct sim_image *image = sim_save(&w->sim);
    w->damaged = true;
    for (int i = 0; i < ROUNDS && targets->count; i++) {
        look(w, targets, least);
        sim_load(&w->sim, image);
    }
    w->damaged = false;
    sim_image_free(image);
    mem_free(targets);
    w->sim.faults = faults;
    life_check(w, least_kill, least, !clean);
}
