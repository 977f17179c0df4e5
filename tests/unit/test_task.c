/* A task's step: what it promises in task.h, with plugins made for the purpose. */
#include <errno.h>
#include <string.h>

#include "tests/sim/busy.h"
#include "tests/unit/task_world.h"

/* ---- more declarations for plugins ------------------------------------------------------------
 */

static const mr_in_decl in_headers = { sizeof(in), MR_IN_STREAM, 0, MR_IN_HEADERS, 0, "in" };
static const mr_in_decl in_event = { sizeof(in), MR_IN_STREAM, 0, MR_IN_EVENT_TIME, 0, "in" };
LIST(mr_in_decl, ins_headers, &in_headers);
LIST(mr_in_decl, ins_event, &in_event);
LIST(mr_store_decl, keyed_only, &sums, &last);

/* ---- exactly once ---------------------------------------------------------------------------- */

/* Posts in the order of time up to `disorder`, in batches of some. */
static void produce_random(struct world *world, uint64_t seed, int64_t disorder)
{
    static const char *const values[] = { "apple", "bee", "cat", "dog", "xray", "apple", "bee" };
    static const char *const keys[] = { "a", "b", "c", "d", "e", "f" };
    struct random random = random_seeded(seed);
    for (int p = 0; p < WORLD_PARTITIONS; p++) {
        int64_t now = 100;
        for (int batch = 0; batch < 40; batch++) {
            struct world_record records[20];
            size_t count = 1 + random_below(&random, ARRAY_COUNT(records));
            for (size_t i = 0; i < count; i++) {
                now += random_between(&random, 0, 4);
                records[i] = (struct world_record){
                    .ts = now - random_between(&random, 0, disorder),
                    .key = keys[random_below(&random, ARRAY_COUNT(keys))],
                    .value = values[random_below(&random, ARRAY_COUNT(values))],
                };
            }
            world_produce(world, p, records, count);
        }
    }
}

struct texts {
    char *out, *dead;
    uint64_t late;
    size_t crashed, units;
};

static struct texts run_busy(
    uint64_t data_seed, uint64_t seed, int64_t disorder, bool crashes, uint32_t codecs)
{
    struct world *world = mem_alloc(sizeof(*world));
    world_begin(world, &busy, NULL, 0, seed);
    world->crashes = crashes;
    world->codecs = codecs;
    produce_random(world, data_seed, disorder);
    world_run(world);
    cr_assert_neq(world->task->status, TASK_FAILED, "%s", world->task->reason);
    struct texts texts = {
        .out = world_text(world, 0),
        .dead = world_text(world, task_target_dead(world->task)),
        .late = world->task->counters.late,
        .crashed = world->crashed,
        .units = world->units,
    };
    world_end(world);
    mem_free(world);
    return texts;
}

/* Reads, units, codecs and crashes fall differently in each run; what comes out may not. Late
 * records are judged by the data alone as well. */
static void same_whatever_happens(int64_t disorder, bool expect_late)
{
    size_t crashed = 0;
    for (uint64_t data = 1; data <= 3; data++) {
        struct texts first = run_busy(data, 1000, disorder, false, 0);
        cr_assert_eq(first.late > 0, expect_late);
        cr_assert(strlen(first.out) > 10000 && strlen(first.dead) > 1000);
        for (uint64_t seed = 1; seed <= 12; seed++) {
            struct texts again = run_busy(data, seed, disorder, true, seed % 2);
            cr_assert_str_eq(again.out, first.out, "data %llu, seed %llu", (unsigned long long)data,
                (unsigned long long)seed);
            cr_assert_str_eq(again.dead, first.dead);
            cr_assert_eq(again.late, first.late);
            crashed += again.crashed;
            mem_free(again.out);
            mem_free(again.dead);
        }
        mem_free(first.out);
        mem_free(first.dead);
    }
    cr_assert(crashed > 200);
}

TEST(task, outputs_are_the_same_whatever_crashes)
{
    same_whatever_happens(5, false);
}

TEST(task, outputs_are_the_same_whatever_crashes_with_late_records)
{
    same_whatever_happens(60, true);
}

TEST(task, state_comes_back_from_the_changelog)
{
    struct world *world = mem_alloc(sizeof(*world));
    world_begin(world, &busy, NULL, 0, 5);
    produce_random(world, 9, 0);
    world_run(world);
    char *before = world_text(world, 0);
    world_kill(world);
    world_start(world);
    cr_assert_eq(world_step(world, 1), TASK_IDLE);
    struct world_record record = { 5000, "a", "q" };
    for (int p = 0; p < WORLD_PARTITIONS; p++)
        world_produce(world, p, &record, 1);
    world_run(world);
    char *after = world_text(world, 0);
    cr_assert(strlen(after) > strlen(before) + 50); /* the open windows closed, from state */
    mem_free(before);
    mem_free(after);
    world_end(world);
    mem_free(world);
}

/* ---- verdicts -------------------------------------------------------------------------------- */

static const mr_processor judge = { sizeof(judge), MR_P_ONE_TASK, "judge", "1", "", ins_headers,
    outs, keyed_only, NULL, NULL, NULL, NULL, NULL, NULL };

static mr_processor with_batch(int (*batch)(mr_task *, mr_batch *))
{
    mr_processor processor = judge;
    processor.batch = batch;
    return processor;
}

static int judge_batch(mr_task *t, mr_batch *b)
{
    for (const mr_rec *r; (r = mr_next(b));) {
        mr_add(t, 0, text("n"), 1);
        mr_emit(t, 0, r->key, r->value);
        emit_number(t, r->key, "n", mr_add(t, 0, text("n"), 0));
        if (r->value.p[0] == 'd')
            return MR_DROP;
        if (r->value.p[0] == 'x')
            return t->h->fail(t, MR_DEAD, "marked");
    }
    return MR_OK;
}

static struct world *begin_with(const mr_processor *processor)
{
    struct world *world = mem_alloc(sizeof(*world));
    world_begin(world, processor, NULL, 0, 1);
    world->target_partitions = 1;
    return world;
}

static void end_world(struct world *world)
{
    world_end(world);
    mem_free(world);
}

TEST(task, a_verdict_undoes_the_effects_of_its_record_alone)
{
    static const struct world_record records[] = { { 1, "k1", "a" }, { 2, "k2", "drop" },
        { 3, "k3", "x" }, { 4, "k4", "b" } };
    mr_processor processor = with_batch(judge_batch);
    struct world *world = begin_with(&processor);
    world_produce(world, 0, records, ARRAY_COUNT(records));
    world_run(world);
    world_expect(world, 0, "0 0 1 k1=a\n0 1 1 k1=n 1\n0 2 4 k4=b\n0 3 4 k4=n 2\n");
    world_expect(world, task_target_dead(world->task),
        "0 0 3 k3=x {h:1} {millrace.topic:in} {millrace.partition:0} {millrace.offset:2} "
        "{millrace.reason:marked}\n");
    cr_assert_eq(world->task->counters.dropped, 1);
    cr_assert_eq(world->task->counters.dead, 1);
    cr_assert_eq(world->task->counters.records, 4);
    end_world(world);
}

static int verdict_at_once(mr_task *t, mr_batch *b)
{
    (void)t;
    (void)b;
    return MR_DROP;
}
static int ok_too_early(mr_task *t, mr_batch *b)
{
    (void)t;
    (void)mr_next(b);
    return MR_OK;
}
static int past_the_end(mr_task *t, mr_batch *b)
{
    (void)t;
    b->next = b->n + 1;
    return MR_OK;
}
static int nonsense(mr_task *t, mr_batch *b)
{
    (void)t;
    (void)mr_next(b);
    return 77;
}
static int gives_up(mr_task *t, mr_batch *b)
{
    (void)mr_next(b);
    mr_emit(t, 0, text("k"), text("v"));
    return t->h->fail(t, MR_FATAL, "no more");
}
static int no_such_output(mr_task *t, mr_batch *b)
{
    while (mr_next(b))
        mr_emit(t, 3, text("k"), text("v"));
    return MR_OK;
}
static int no_such_store(mr_task *t, mr_batch *b)
{
    while (mr_next(b))
        mr_put(t, 9, text("k"), text("v"));
    return MR_OK;
}
static int wrong_kind(mr_task *t, mr_batch *b)
{
    while (mr_next(b))
        mr_win_add(t, 0, text("k"), 1);
    return MR_OK;
}
static int wrong_partition(mr_task *t, mr_batch *b)
{
    mr_out o = { .size = sizeof(o), .flags = MR_OUT_PARTITION, .partition = 7 };
    while (mr_next(b))
        t->h->emit(t, &o);
    return MR_OK;
}
static int effect_first(mr_task *t, mr_batch *b)
{
    mr_emit(t, 0, text("k"), text("v"));
    while (mr_next(b))
        ;
    return MR_OK;
}
static int null_key(mr_task *t, mr_batch *b)
{
    while (mr_next(b))
        mr_put(t, 1, mr_bytes(NULL, 0), text("v"));
    return MR_OK;
}
static int overflows(mr_task *t, mr_batch *b)
{
    while (mr_next(b)) {
        mr_add(t, 0, text("k"), INT64_MAX);
        mr_add(t, 0, text("k"), 1);
    }
    return MR_OK;
}
static int tells_time(mr_task *t, mr_batch *b)
{
    while (mr_next(b))
        t->h->event_time(t, 5);
    return MR_OK;
}
static int newer_out(mr_task *t, mr_batch *b)
{
    struct {
        mr_out o;
        uint64_t newer;
    } big = { .o = { .size = sizeof(big) }, .newer = 1 };
    while (mr_next(b))
        t->h->emit(t, &big.o);
    return MR_OK;
}
static int large_record(mr_task *t, mr_batch *b)
{
    char *big = mem_zalloc(1, 2 << 20);
    while (mr_next(b))
        mr_emit(t, 0, text("k"), mr_bytes(big, 2 << 20));
    mem_free(big);
    return MR_OK;
}
static int large_unit(mr_task *t, mr_batch *b)
{
    char *big = mem_zalloc(1, 1 << 19);
    while (mr_next(b)) {
        for (int i = 0; i < 20; i++)
            mr_emit(t, 0, text("k"), mr_bytes(big, 1 << 19));
    }
    mem_free(big);
    return MR_OK;
}

TEST(task, what_a_plugin_does_wrong_fails_it_with_a_reason)
{
    static const struct {
        int (*batch)(mr_task *, mr_batch *);
        const char *reason;
    } wrongs[] = {
        { verdict_at_once, "verdict without a record in hand" },
        { ok_too_early, "MR_OK before the end" },
        { past_the_end, "past the end" },
        { nonsense, "answered 77" },
        { gives_up, "`batch` gave up: no more" },
        { no_such_output, "output 3 is not declared, with the record of in-0 at offset 0" },
        { no_such_store, "put: store 9" },
        { wrong_kind, "win_add: store 0" },
        { wrong_partition, "partition 7 of output 'out', which has 1" },
        { effect_first, "without one" },
        { null_key, "key is null" },
        { overflows, "overflows" },
        { tells_time, "MR_IN_EVENT_TIME" },
        { newer_out, "newer than this host" },
        { large_record, "larger than the topic takes" },
        { large_unit, "larger than the largest unit" },
    };
    static const struct world_record records[] = { { 1, "k1", "a" }, { 2, "k2", "b" } };
    for (size_t i = 0; i < ARRAY_COUNT(wrongs); i++) {
        mr_processor processor = with_batch(wrongs[i].batch);
        struct world *world = begin_with(&processor);
        world_produce(world, 0, records, ARRAY_COUNT(records));
        world_run(world);
        cr_assert_eq(world->task->status, TASK_FAILED, "%s", wrongs[i].reason);
        cr_assert(strstr(world->task->reason, wrongs[i].reason), "case %zu: '%s' is not in '%s'", i,
            wrongs[i].reason, world->task->reason);
        cr_assert_eq(world->units, 0);
        cr_assert_eq(world->task->inputs[0].intake.position, 0);
        end_world(world);
    }
}

/* ---- undone units and the instance ----------------------------------------------------------- */

struct instance {
    int number, seen;
};

static int instances, alive; /* of this test process */

static int make_instance(mr_task *t)
{
    struct instance *made = mem_zalloc(1, sizeof(*made));
    made->number = ++instances;
    alive++;
    t->self = made;
    return MR_OK;
}

static void end_instance(mr_task *t)
{
    mem_free(t->self);
    t->self = NULL;
    alive--;
}

static int retry_twice(mr_task *t, mr_batch *b)
{
    struct instance *self = t->self;
    while (mr_next(b)) {
        self->seen++;
        emit_number(t, text("k"), "seen", self->seen);
        emit_number(t, text("k"), "count", mr_add(t, 0, text("n"), 1));
        if (self->number < 3 && self->seen == 2)
            return t->h->fail(t, MR_RETRY, "not yet");
    }
    return MR_OK;
}

TEST(task, an_undone_unit_leaves_nothing_and_makes_the_instance_anew)
{
    static const struct world_record records[] = { { 1, "k1", "a" }, { 2, "k2", "b" } };
    mr_processor processor = with_batch(retry_twice);
    processor.create = make_instance;
    processor.destroy = end_instance;
    struct world *world = begin_with(&processor);
    world->codecs = 1;
    world_produce(world, 0, records, ARRAY_COUNT(records));
    world_run(world);
    cr_assert_eq(world->retries, 2);
    cr_assert_eq(instances, 3);
    cr_assert_eq(alive, 1);
    world_expect(world, 0, "0 0 1 k=seen 1\n0 1 1 k=count 1\n0 2 2 k=seen 2\n0 3 2 k=count 2\n");
    end_world(world);
    cr_assert_eq(alive, 0);
}

static int no_instance(mr_task *t)
{
    mr_emit(t, 0, text("k"), text("v"));
    return MR_OK;
}

TEST(task, create_has_no_effects)
{
    static const struct world_record record = { 1, "k1", "a" };
    mr_processor processor = with_batch(judge_batch);
    processor.create = no_instance;
    struct world *world = begin_with(&processor);
    world_produce(world, 0, &record, 1);
    world_run(world);
    cr_assert_eq(world->task->status, TASK_FAILED);
    end_world(world);
}

/* ---- limits ---------------------------------------------------------------------------------- */

static int fat_batch(mr_task *t, mr_batch *b)
{
    char *big = mem_zalloc(1, 100000);
    for (const mr_rec *r; (r = mr_next(b));)
        mr_emit(t, 0, r->key, mr_bytes(big, 100000));
    mem_free(big);
    return MR_OK;
}

TEST(task, a_full_unit_ends_behind_the_record_in_hand)
{
    struct world_record records[100];
    for (int i = 0; i < 100; i++)
        records[i] = (struct world_record){ i, "k", "v" };
    mr_processor processor = with_batch(fat_batch);
    struct world *world = begin_with(&processor);
    world_produce(world, 0, records, 100);
    world_run(world);
    cr_assert_eq(world->targets[0][0].end_offset, 100);
    cr_assert(world->units >= 10 && world->units <= 11, "%zu units", world->units);
    end_world(world);
}

static int grow_state(mr_task *t, mr_batch *b)
{
    char key[32];
    for (const mr_rec *r; (r = mr_next(b));) {
        for (int i = 0; i < 2000; i++) {
            int n = snprintf(key, sizeof(key), "%lld/%d", (long long)r->offset, i);
            mr_put(t, 1, mr_bytes(key, (size_t)n), r->value);
        }
    }
    return MR_OK;
}

TEST(task, state_has_a_limit)
{
    struct world_record records[10];
    for (int i = 0; i < 10; i++)
        records[i] = (struct world_record){ i, "k", "v" };
    mr_processor processor = with_batch(grow_state);
    struct setting small = { "state.bytes.max", "512k" };
    struct world *world = mem_alloc(sizeof(*world));
    world_begin(world, &processor, &small, 1, 1);
    world_produce(world, 0, records, 10);
    world_run(world);
    cr_assert_eq(world->task->status, TASK_FAILED);
    cr_assert(strstr(world->task->reason, "state.bytes.max"), "%s", world->task->reason);
    end_world(world);
}

/* ---- time ------------------------------------------------------------------------------------ */

static void step_all(struct world *world)
{
    while (world_step(world, 100) == TASK_SEALED)
        world_commit(world);
    cr_assert_eq(world->task->status, TASK_IDLE, "%s", world->task->reason);
}

static int count_batch(mr_task *t, mr_batch *b)
{
    for (const mr_rec *r; (r = mr_next(b));)
        mr_win_add(t, 0, r->value, 1);
    return MR_OK;
}

static const mr_win_decl tens = { sizeof(tens), MR_WIN_TUMBLE, 0, 10, 0, 0, 0, 0, "tens" };
LIST(mr_win_decl, one_window, &tens);
LIST(mr_store_decl, one_store, &words);
static const mr_processor counter = { sizeof(counter), MR_P_ONE_TASK, "counter", "1", "", ins, outs,
    one_store, one_window, NULL, NULL, NULL, count_batch, busy_window };

static int only_window(mr_task *t, const mr_window *w, mr_rows *rows)
{
    for (const mr_row *r; (r = mr_next_row(rows));)
        emit_number(t, r->key, w->end == 10 ? "first" : w->end == 20 ? "second" : "later", r->num);
    return MR_OK;
}

static void produce_one(struct world *world, int partition, int64_t ts, const char *value)
{
    struct world_record record = { ts, "k", value };
    world_produce(world, partition, &record, 1);
}

TEST(task, an_active_partition_holds_the_others_back_an_idle_one_does_not)
{
    mr_processor processor = counter;
    processor.window = only_window;
    struct world *world = begin_with(&processor);
    world_start(world);
    for (int p = 0; p < 3; p++) {
        produce_one(world, p, 5, "w");
        produce_one(world, p, 15 + p, "w");
    }
    step_all(world);
    cr_assert_eq(world->task->counters.records, 0); /* partition 3 may still have something older */
    produce_one(world, 3, 1, "w");
    step_all(world);
    cr_assert_eq(world->task->counters.records, 1); /* and now something between 1 and 5 */
    world->task->inputs[3].active = false;
    step_all(world);
    cr_assert_eq(world->task->counters.records, 5); /* until one of 0, 1, 2 has no more */
    world_expect(world, 0, "");
    world->task->inputs[0].active = false;
    step_all(world);
    world->task->inputs[1].active = false;
    step_all(world);
    world_expect(world, 0, "0 0 9 w=first 4\n");
    /* It comes back, behind: late, and said so. */
    produce_one(world, 3, 6, "w");
    world->task->inputs[3].active = true;
    world->task->inputs[2].active = false;
    step_all(world);
    cr_assert_eq(world->task->counters.late, 1);
    end_world(world);
}

TEST(task, when_all_are_idle_time_goes_on_as_far_as_it_is_told)
{
    mr_processor processor = counter;
    processor.window = only_window;
    struct world *world = begin_with(&processor);
    world_start(world);
    produce_one(world, 0, 5, "w");
    produce_one(world, 1, 12, "w");
    for (int p = 0; p < WORLD_PARTITIONS; p++)
        world->task->inputs[p].active = false;
    step_all(world);
    world_expect(world, 0, "0 0 9 w=first 1\n"); /* 12 is the greatest time seen */
    cr_assert_eq(world->task->next_due, 20);
    world->task->advance_to = 19;
    step_all(world);
    cr_assert_eq(world->task->watermark, 19);
    world->task->advance_to = 20;
    step_all(world);
    world_expect(world, 0, "0 0 9 w=first 1\n0 1 19 w=second 1\n");
    cr_assert_eq(world->task->next_due, INT64_MAX);
    end_world(world);
}

static int event_batch(mr_task *t, mr_batch *b)
{
    for (const mr_rec *r; (r = mr_next(b));) {
        t->h->event_time(t, (int64_t)strtol(r->key.p, NULL, 10));
        mr_win_add(t, 0, r->value, 1);
        emit_number(t, r->value, "wm", t->h->watermark(t) < 0 ? -1 : t->h->watermark(t));
    }
    return MR_OK;
}

TEST(task, event_time_closes_windows_between_the_same_records_in_any_batch)
{
    char *first = NULL;
    mr_processor processor = counter;
    processor.inputs = ins_event;
    processor.batch = event_batch;
    processor.window = only_window;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct world *world = mem_alloc(sizeof(*world));
        world_begin(world, &processor, NULL, 0, seed);
        world->target_partitions = 1;
        world->crashes = seed > 1;
        struct random data = random_seeded(3);
        for (int p = 0; p < WORLD_PARTITIONS; p++) {
            for (int i = 0; i < 50; i++) {
                char key[32];
                struct world_record record = { i, key, i % 3 ? "w" : "v" };
                (void)snprintf(key, sizeof(key), "%lld ",
                    (long long)(1000 + i * 3 - random_between(&data, 0, 30)));
                world_produce(world, p, &record, 1);
            }
        }
        world_run(world);
        char *again = world_text(world, 0);
        cr_assert(world->task->counters.late > 5);
        if (first)
            cr_assert_str_eq(again, first, "seed %llu", (unsigned long long)seed);
        else
            first = mem_strdup(again);
        cr_assert(strstr(again, "later"));
        mem_free(again);
        end_world(world);
    }
    mem_free(first);
}

/* ---- windows in pieces ----------------------------------------------------------------------- */

static int many_batch(mr_task *t, mr_batch *b)
{
    char key[32];
    for (const mr_rec *r; (r = mr_next(b));) {
        for (int i = 0; i < 50; i++) {
            int n = snprintf(key, sizeof(key), "%c%02d", r->value.p[0], i);
            mr_win_add(t, 0, mr_bytes(key, (size_t)n), i);
        }
    }
    return MR_OK;
}

static int pieces_window(mr_task *t, const mr_window *w, mr_rows *rows)
{
    static char filler[60000];
    char key[64];
    uint64_t rank = rows->first;
    (void)w;
    for (const mr_row *r; (r = mr_next_row(rows));) {
        rank++;
        int n = snprintf(key, sizeof(key), "%llu %.*s %lld%s", (unsigned long long)rank,
            (int)r->key.n, r->key.p, (long long)r->num,
            rank == 1 && rows->flags & MR_ROWS_FIRST ? " first" : "");
        mr_emit(t, 0, mr_bytes(key, (size_t)n), mr_bytes(filler, sizeof(filler)));
    }
    return MR_OK;
}

TEST(task, a_large_window_is_told_in_several_units_each_row_once)
{
    mr_processor processor = counter;
    processor.batch = many_batch;
    processor.window = pieces_window;
    for (int crashes = 0; crashes < 2; crashes++) {
        struct world *world = begin_with(&processor);
        world->crashes = crashes;
        char value[2] = "A";
        for (; value[0] <= 'T'; value[0]++) {
            for (int p = 0; p < WORLD_PARTITIONS; p++)
                produce_one(world, p, 3, value);
        }
        for (int p = 0; p < WORLD_PARTITIONS; p++)
            produce_one(world, p, 30, "z");
        world_run(world);
        cr_assert(world->units > 50, "%zu units", world->units);
        cr_assert_eq(world->targets[0][0].end_offset, 20 * 49); /* key 00 has count 0 */
        char *told = world_text(world, 0), *line = told;
        for (int i = 0; i < 20 * 49; i++) {
            char expected[64];
            (void)snprintf(expected, sizeof(expected), "0 %d 9 %d %c%02d %d%s=", i, i + 1,
                'A' + i / 49, i % 49 + 1, (i % 49 + 1) * 4, i == 0 ? " first" : "");
            cr_assert_eq(strncmp(line, expected, strlen(expected)), 0, "'%.40s' is not '%s'", line,
                expected);
            line = strchr(line, '\n') + 1;
        }
        mem_free(told);
        end_world(world);
    }
}

/* ---- what else the host offers --------------------------------------------------------------- */

static const mr_conf_decl conf_n = { sizeof(conf_n), MR_DURATION, 0, "n", "5s", "a number" };
static const mr_conf_decl conf_s = { sizeof(conf_s), MR_STR, 0, "s", "hello", "a text" };
LIST(mr_conf_decl, confs, &conf_n, &conf_s);

static int all_batch(mr_task *t, mr_batch *b)
{
    for (const mr_rec *r; (r = mr_next(b));) {
        mr_kv header = { text("more"), text("2") };
        mr_out o = { .size = sizeof(o),
            .flags = MR_OUT_TS | MR_OUT_COPY_HEADERS,
            .key = t->h->conf_str(t, "s"),
            .value = r->extra->headers[0].value,
            .ts = t->h->conf_int(t, "n"),
            .headers = &header,
            .nheaders = 1 };
        t->h->emit(t, &o);
        mr_put(t, 1, r->key, r->value);
        mr_range range = { .size = sizeof(range), .store = 1, .lo = text("b") };
        mr_iter *iter = t->h->scan(t, &range);
        for (mr_row row; t->h->next(t, iter, &row);)
            mr_emit(t, 0, row.key, row.value);
        t->h->log(t, MR_LOG_INFO, "one more");
        t->h->count(t, "seen", 2);
    }
    return MR_OK;
}

TEST(task, headers_configuration_scans_log_and_counters)
{
    static const struct world_record records[] = { { 1, "c", "3" }, { 2, "a", "1" },
        { 3, "b", "2" } };
    mr_processor processor = with_batch(all_batch);
    processor.conf = confs;
    struct world *world = begin_with(&processor);
    world_produce(world, 0, records, ARRAY_COUNT(records));
    world_start(world);
    cr_assert_eq(world_step(world, 9), TASK_SEALED, "%s", world->task->reason);
    world_commit(world);
    world_expect(world, 0,
        "0 0 5000 hello=1 {h:1} {more:2}\n0 1 1 c=3\n0 2 5000 hello=1 {h:1} {more:2}\n0 3 2 c=3\n"
        "0 4 5000 hello=1 {h:1} {more:2}\n0 5 3 b=2\n0 6 3 c=3\n");
    cr_assert_eq(world->task->line_count, 3);
    cr_assert_eq(world->task->metrics[0].value, 6);
    world_expect(world, task_target_changelog(world->task, 1),
        "0 0 1000 c=3\n0 1 1000 a=1\n0 2 "
        "1000 b=2\n");
    end_world(world);
}

TEST(task, damaged_input_fails_with_its_place)
{
    static const struct world_record records[] = { { 1, "c", "3" }, { 2, "a", "1" } };
    mr_processor processor = with_batch(judge_batch);
    struct world *world = begin_with(&processor);
    world_produce(world, 2, records, 2);
    world_produce(world, 2, records, 2);
    world->inputs[2].bytes.data[world->inputs[2].at[1] + BATCH_HEADER_SIZE] = 0xff;
    world_run(world);
    cr_assert_eq(world->task->status, TASK_FAILED);
    cr_assert_str_eq(world->task->reason, "input in-2: the record batch at offset 2 is damaged");
    end_world(world);
}

TEST(task, state_of_another_shape_is_refused)
{
    struct task_frame_store was = {
        .name = bytes_text("sums"), .kind = MR_STORE_COUNT, .version = 2, .closed_end = INT64_MIN
    };
    struct task_frame frame = { .stores = &was, .store_count = 1 };
    mr_processor processor = with_batch(judge_batch);
    struct world *world = begin_with(&processor);
    world_start(world);
    cr_assert_eq(task_resume(world->task, &frame), -EINVAL);
    cr_assert(strstr(world->task->reason, "version 2"), "%s", world->task->reason);
    was.name = bytes_text("gone");
    cr_assert_eq(task_resume(world->task, &frame), -EINVAL);
    cr_assert(strstr(world->task->reason, "'gone' is no longer declared"));
    was.name = bytes_text("sums");
    was.version = 1;
    cr_assert_eq(task_resume(world->task, &frame), 0);
    end_world(world);
}
