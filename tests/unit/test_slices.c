/* Windows by slices, against an oracle that keeps every addition and looks at all of them. */
#include <errno.h>
#include <stdio.h>

#include "processors/slices.h"
#include "protocol/base/mem.h"
#include "protocol/base/random.h"
#include "tests/test.h"

enum { KEYS = 12, ADDS_MAX = 4000 };

static struct bytes key_of(unsigned number)
{
    /* Lengths differ and one is the start of another, so order by bytes is tried. */
    static const char *const names[KEYS] = { "a", "aa", "ab", "b", "", "z", "\xff", "abc", "q",
        "qq", "r", "0" };
    return bytes_text(names[number]);
}

/* ---- the oracle ------------------------------------------------------------------------------ */

struct add {
    unsigned key;
    int64_t time, delta;
    int64_t closed_end; /* windows with an end up to here were closed when it came */
};

struct oracle {
    struct window_spec spec;
    struct add adds[ADDS_MAX];
    size_t count;
    int64_t watermark, closed_end;
};

static int64_t oracle_window(const struct oracle *oracle, int64_t end, int64_t counts[KEYS])
{
    int64_t held = 0;
    for (unsigned i = 0; i < KEYS; i++)
        counts[i] = 0;
    for (size_t i = 0; i < oracle->count; i++) {
        const struct add *add = &oracle->adds[i];
        if (add->time >= end - oracle->spec.size_ms && add->time < end && end > add->closed_end) {
            counts[add->key] += add->delta;
            held++;
        }
    }
    return held;
}

/* The earliest window that holds an addition, is open, and is due. */
static bool oracle_due(const struct oracle *oracle, int64_t *ret_end)
{
    bool found = false;
    for (size_t i = 0; i < oracle->count; i++) {
        const struct window_spec *spec = &oracle->spec;
        for (int64_t start = -spec->size_ms / spec->step_ms * spec->step_ms;
             start <= oracle->adds[i].time; start += spec->step_ms) {
            int64_t end = start + spec->size_ms;
            if (oracle->adds[i].time >= end || end <= oracle->closed_end ||
                end <= oracle->adds[i].closed_end || end + spec->grace_ms > oracle->watermark)
                continue;
            if (!found || end < *ret_end)
                *ret_end = end;
            found = true;
        }
    }
    return found;
}

static bool oracle_late(const struct oracle *oracle, int64_t time)
{
    int64_t start = time / oracle->spec.step_ms * oracle->spec.step_ms;
    return start + oracle->spec.size_ms <= oracle->closed_end;
}

/* The rows the slow way: take the best one again and again. */
static void check_rows(
    const struct oracle *oracle, int64_t end, const struct slice_rows *rows, uint64_t seed)
{
    int64_t counts[KEYS];
    bool told[KEYS] = { false };
    (void)oracle_window(oracle, end, counts);
    size_t expected = 0;
    for (;; expected++) {
        int best = -1;
        for (int i = 0; i < KEYS; i++) {
            if (told[i] || counts[i] == 0)
                continue;
            struct bytes a = key_of((unsigned)i);
            struct bytes b = best < 0 ? a : key_of((unsigned)best);
            size_t shared = a.len < b.len ? a.len : b.len;
            int order = memcmp(a.data, b.data, shared);
            bool before = order ? order < 0 : a.len < b.len;
            if (best < 0 ||
                (oracle->spec.top && counts[i] != counts[best] ? counts[i] > counts[best] : before))
                best = i;
        }
        if (best < 0 || (oracle->spec.top && expected == oracle->spec.top))
            break;
        told[best] = true;
        cr_assert(expected < rows->count, "seed %llu: too few rows", (unsigned long long)seed);
        const struct slice_row *row = &rows->rows[expected];
        cr_assert(bytes_equal(bytes_of(row->key, row->key_len), key_of((unsigned)best)),
            "seed %llu, window %lld, row %zu: key", (unsigned long long)seed, (long long)end,
            expected);
        cr_assert_eq(row->num, counts[best]);
    }
    cr_assert_eq(rows->count, expected, "seed %llu: too many rows", (unsigned long long)seed);
}

/* ---- the runs -------------------------------------------------------------------------------- */

struct world {
    struct oracle oracle;
    struct slices slices;
    struct journal journal;
    struct slice_rows rows;
    struct random random;
    uint64_t seed;
    size_t windows, lates, undone, restarts;
    struct out log; /* changelog: u32 key len, key, u32 value len, value */
};

static void log_change(void *context, struct bytes key, struct bytes value)
{
    struct out *log = context;
    le_put32(out_add(log, 4), (uint32_t)key.len);
    out_bytes(log, key.data, key.len);
    le_put32(out_add(log, 4), (uint32_t)value.len);
    out_bytes(log, value.data, value.len);
}

static void commit(struct world *world)
{
    slices_changes(&world->slices, log_change, &world->log);
    slices_settle(&world->slices);
    journal_keep(&world->journal);
}

static void restart(struct world *world)
{
    int64_t closed_end = world->slices.closed_end;
    slices_done(&world->slices);
    slices_init(&world->slices, &world->oracle.spec, &world->journal);
    world->slices.closed_end = closed_end;
    const uint8_t *at = world->log.data, *end = at ? at + world->log.len : NULL;
    for (int64_t offset = 0; at < end; offset++) {
        struct bytes key = bytes_of(at + 4, le_get32(at));
        at = key.data + key.len;
        struct bytes value = bytes_of(at + 4, le_get32(at));
        at = value.data + value.len;
        cr_assert_eq(slices_restore(&world->slices, key, value, offset), 0);
    }
    world->restarts++;
}

static void add(struct world *world)
{
    struct oracle *oracle = &world->oracle;
    struct random *random = &world->random;
    int64_t base = oracle->watermark == SLICES_NEVER ? 500 : oracle->watermark;
    struct add made = {
        .key = (unsigned)random_below(random, KEYS),
        .time = random_between(random, base > 300 ? base - 300 : 0, base + 100),
        .delta = random_between(random, -1, 3),
        .closed_end = oracle->closed_end,
    };
    bool undo = random_chance(random, 1, 8);
    size_t mark = world->journal.count;
    int r = slices_add(&world->slices, key_of(made.key), made.time, made.delta);
    bool late = oracle_late(oracle, made.time);
    cr_assert_eq(r, late ? SLICES_LATE : 0, "seed %llu: time %lld", (unsigned long long)world->seed,
        (long long)made.time);
    world->lates += late;
    if (undo) {
        journal_undo(&world->journal, mark);
        world->undone++;
    } else if (!late) {
        oracle->adds[oracle->count++] = made;
    }
}

static void fire(struct world *world)
{
    struct oracle *oracle = &world->oracle;
    int64_t end, expected = 0;
    while (oracle_due(oracle, &expected)) {
        int64_t counts[KEYS];
        while (slices_due(&world->slices, oracle->watermark, &end) && end < expected) {
            /* Only undone additions are in it: nothing is to be told. */
            slices_rows(&world->slices, end, &world->rows);
            cr_assert_eq(world->rows.count, 0);
            slices_close(&world->slices, end);
        }
        cr_assert(slices_due(&world->slices, oracle->watermark, &end));
        cr_assert_eq(end, expected, "seed %llu: window %lld, expected %lld",
            (unsigned long long)world->seed, (long long)end, (long long)expected);
        (void)oracle_window(oracle, end, counts);
        slices_rows(&world->slices, end, &world->rows);
        check_rows(oracle, end, &world->rows, world->seed);
        slices_close(&world->slices, end);
        oracle->closed_end = end;
        world->windows++;
    }
    while (slices_due(&world->slices, oracle->watermark, &end)) {
        slices_rows(&world->slices, end, &world->rows);
        cr_assert_eq(world->rows.count, 0);
        slices_close(&world->slices, end);
    }
    slices_advance(&world->slices, oracle->watermark);
    oracle->closed_end = world->slices.closed_end;
    const struct window_spec *spec = &oracle->spec;
    cr_assert(oracle->closed_end + spec->grace_ms <= oracle->watermark);
    cr_assert(oracle->closed_end + spec->step_ms + spec->grace_ms > oracle->watermark);
    cr_assert_eq(
        slices_boundary(&world->slices), oracle->closed_end + spec->step_ms + spec->grace_ms);
}

static void run(struct world *world, uint64_t seed)
{
    static const int64_t sizes[][2] = { { 60, 10 }, { 10, 10 }, { 50, 20 }, { 7, 3 }, { 1, 1 } };
    world->seed = seed;
    world->random = random_seeded(seed);
    struct random *random = &world->random;
    size_t shape = random_below(random, ARRAY_COUNT(sizes));
    world->oracle =
        (struct oracle){ .spec = { sizes[shape][0], sizes[shape][1], random_between(random, 0, 40),
                             (uint32_t)random_below(random, 5) },
            .watermark = SLICES_NEVER,
            .closed_end = SLICES_NEVER };
    slices_init(&world->slices, &world->oracle.spec, &world->journal);
    for (int step = 0; step < 300; step++) {
        add(world);
        if (random_chance(random, 1, 6)) {
            int64_t *watermark = &world->oracle.watermark;
            *watermark = *watermark == SLICES_NEVER ? random_between(random, 0, 600)
                                                    : *watermark + random_between(random, 0, 60);
            fire(world);
        }
        if (random_chance(random, 1, 20)) {
            commit(world);
            if (random_chance(random, 1, 2))
                restart(world);
        }
    }
    commit(world);
    slices_done(&world->slices);
    cr_assert_eq(world->slices.bytes, 0);
    journal_done(&world->journal);
    slice_rows_done(&world->rows);
    out_done(&world->log);
}

TEST(slices, equal_the_oracle_with_late_undone_and_restored_additions)
{
    struct world *world = mem_zalloc(1, sizeof(*world));
    for (uint64_t seed = 1; seed <= 300; seed++)
        run(world, seed);
    /* A run in which nothing of this happens proves nothing. */
    cr_assert(world->windows > 1000 && world->lates > 1000 && world->undone > 1000);
    cr_assert(world->restarts > 500);
    mem_free(world);
}

/* ---- single cases ---------------------------------------------------------------------------- */

static struct journal journal;
static struct slices slices;

static void begin(int64_t size, int64_t step, uint32_t top)
{
    struct window_spec spec = { size, step, 0, top };
    slices_init(&slices, &spec, &journal);
}

static void end(void)
{
    slices_settle(&slices);
    journal_keep(&journal);
    slices_done(&slices);
    journal_done(&journal);
}

TEST(slices, equal_counts_are_in_the_order_of_the_keys_bytes)
{
    static const char *const keys[] = { "#b", "#a", "#ab", "#\xc3\xa4", "#A" };
    static const char *const expected[] = { "#A", "#a", "#ab" };
    struct slice_rows rows = { 0 };
    begin(10, 10, 3);
    for (size_t i = 0; i < ARRAY_COUNT(keys); i++)
        cr_assert_eq(slices_add(&slices, bytes_text(keys[i]), 5, 7), 0);
    slices_rows(&slices, 10, &rows);
    cr_assert_eq(rows.count, 3);
    for (size_t i = 0; i < rows.count; i++)
        cr_assert(bytes_equal_text(bytes_of(rows.rows[i].key, rows.rows[i].key_len), expected[i]));
    slice_rows_done(&rows);
    end();
}

TEST(slices, a_partly_late_addition_counts_in_the_windows_still_open)
{
    struct slice_rows rows = { 0 };
    int64_t due;
    begin(30, 10, 0);
    cr_assert_eq(slices_add(&slices, bytes_text("k"), 5, 1), 0);
    cr_assert(slices_due(&slices, 10, &due));
    cr_assert_eq(due, 10); /* [-20, 10) */
    slices_close(&slices, 10);
    cr_assert_eq(slices_add(&slices, bytes_text("k"), 5, 1), 0);
    cr_assert(slices_due(&slices, 25, &due));
    cr_assert_eq(due, 20);
    slices_rows(&slices, 20, &rows);
    cr_assert_eq(rows.rows[0].num, 2);
    slices_close(&slices, 20);
    slices_close(&slices, 30);
    cr_assert_eq(slices_add(&slices, bytes_text("k"), 5, 1), SLICES_LATE);
    slice_rows_done(&rows);
    end();
}

TEST(slices, times_that_are_none_and_numbers_that_overflow)
{
    begin(10, 10, 0);
    cr_assert_eq(slices_add(&slices, bytes_text("k"), -1, 1), SLICES_LATE);
    cr_assert_eq(slices_add(&slices, bytes_text("k"), INT64_MAX, 1), SLICES_LATE);
    cr_assert_eq(slices_add(&slices, (struct bytes){ NULL, 0 }, 1, 1), -EINVAL);
    cr_assert_eq(slices_add(&slices, bytes_text("k"), 1, INT64_MAX), 0);
    cr_assert_eq(slices_add(&slices, bytes_text("k"), 1, 1), -ERANGE);
    cr_assert_eq(slices_add(&slices, bytes_text("k"), SLICES_TIME_MAX, 1), 0);
    end();
}

TEST(slices, a_foreign_changelog_record_is_refused)
{
    uint8_t count[8] = { 0 }, key[9] = "k";
    begin(10, 10, 0);
    be_put64(key + 1, 20);
    cr_assert_eq(slices_restore(&slices, bytes_of(key, 9), bytes_of(count, 8), 0), 0);
    be_put64(key + 1, 21); /* no slice begins there */
    cr_assert_eq(slices_restore(&slices, bytes_of(key, 9), bytes_of(count, 8), 0), -EBADMSG);
    cr_assert_eq(slices_restore(&slices, bytes_of(key, 7), bytes_of(count, 8), 0), -EBADMSG);
    cr_assert_eq(slices_restore(&slices, bytes_of(key, 9), bytes_of(count, 7), 0), -EBADMSG);
    cr_assert_eq(slices_restore(&slices, bytes_of(key, 9), (struct bytes){ NULL, 0 }, 0), -EBADMSG);
    end();
}

TEST(slices, the_changelog_begins_where_the_oldest_live_slice_does)
{
    begin(10, 10, 0);
    cr_assert_eq(slices_log_start(&slices), INT64_MAX);
    slices.log_offset = 100;
    cr_assert_eq(slices_add(&slices, bytes_text("k"), 1, 1), 0);
    slices.log_offset = 200;
    cr_assert_eq(slices_add(&slices, bytes_text("k"), 11, 1), 0);
    cr_assert_eq(slices_add(&slices, bytes_text("k"), 2, 1), 0);
    cr_assert_eq(slices_log_start(&slices), 100);
    slices_close(&slices, 10);
    cr_assert_eq(slices_log_start(&slices), 200);
    end();
}
