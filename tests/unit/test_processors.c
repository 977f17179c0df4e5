/* The engine over real storage in the simulated world: loading, running, stopping, coming back. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "protocol/base/mem.h"
#include "tests/sim/engine_world.h"
#include "tests/test.h"

#define LIST(type, name, ...) static const type *const name[] = { __VA_ARGS__, NULL }

/* ---- a second module: totals by key, one task per partition ---------------------------------- */

static const mr_in_decl words_in = { sizeof(words_in), MR_IN_STREAM, 0, 0, 0, "words" };
LIST(mr_in_decl, totals_ins, &words_in);
static const mr_out_decl totals_out = { sizeof(totals_out), 0, "totals", 2, 0 };
LIST(mr_out_decl, totals_outs, &totals_out);
static const mr_store_decl totals_store = { sizeof(totals_store), MR_STORE_COUNT, 1, 0, 0, 0, 0,
    "sums" };
LIST(mr_store_decl, totals_stores, &totals_store);

static int totals_batch(mr_task *t, mr_batch *b)
{
    for (const mr_rec *r; (r = mr_next(b));) {
        char value[32];
        if (r->value.n && r->value.p[0] == 'x')
            return t->h->fail(t, MR_DEAD, "an x");
        if (r->value.n && r->value.p[0] == '!')
            return t->h->fail(t, MR_FATAL, "a bang");
        int n = snprintf(value, sizeof(value), "%lld", (long long)mr_add(t, 0, r->key, 1));
        mr_emit(t, 0, r->key, mr_bytes(value, (size_t)n));
        t->h->count(t, "words", 1);
    }
    return MR_OK;
}

static const mr_processor totals = { sizeof(totals), 0, "totals", "1", "", totals_ins, totals_outs,
    totals_stores, NULL, NULL, NULL, NULL, totals_batch, NULL };
static const mr_store_decl totals_store_2 = { sizeof(totals_store), MR_STORE_COUNT, 2, 0, 0, 0, 0,
    "sums" };
LIST(mr_store_decl, totals_stores_2, &totals_store_2);
static const mr_processor totals_2 = { sizeof(totals), 0, "newer", "2", "", totals_ins, totals_outs,
    totals_stores_2, NULL, NULL, NULL, NULL, totals_batch, NULL };
LIST(mr_processor, totals_list, &totals, &totals_2);
static const mr_module totals_module = { MR_MAGIC, sizeof(mr_module), MR_ABI_MAJOR, MR_ABI_MINOR, 0,
    0, "totals", "1", "", totals_list, NULL };

static const mr_module *builtins[] = { NULL, &totals_module, NULL };

static struct engine_world *begin(void)
{
    struct engine_world *world = mem_alloc(sizeof(*world));
    builtins[0] = hashtags_module();
    engine_begin(world, 1, builtins);
    engine_open(world);
    return world;
}

static void end(struct engine_world *world)
{
    engine_end(world);
    mem_free(world);
}

static void expect(struct engine_world *world, const char *topic, const char *expected)
{
    char *text = engine_text(world, topic);
    cr_assert_str_eq(text, expected, "got:\n%s\nexpected:\n%s", text, expected);
    mem_free(text);
}

static void produce_one(struct engine_world *world, const char *topic, int32_t partition,
    const char *key, int64_t ts, const char *value)
{
    struct engine_record record = { ts, key, value };
    engine_produce(world, topic, partition, &record, 1);
}

/* ---- the way of a record --------------------------------------------------------------------- */

TEST(processors, hashtags_end_to_end)
{
    struct engine_world *world = begin();
    cr_assert_eq(engine_load(world, "builtin:hashtags", NULL, NULL, NULL), 0);
    cr_assert_eq(engine_end_offset(world, "posts", 3), 0); /* four partitions were made */
    cr_assert_eq(engine_end_offset(world, "trending", 0), 0);
    for (int p = 0; p < 4; p++) {
        produce_one(world, "posts", p, NULL, 100000, "Good #Morning #world");
        produce_one(world, "posts", p, NULL, 104000, "{\"text\":\"#morning again\"}");
        produce_one(world, "posts", p, NULL, 112000, "nothing");
    }
    engine_settle(world, "hashtags");
    expect(world, "trending",
        "0 0 109999 110000/1={\"window_start\":50000,\"window_end\":110000,\"rank\":1,\"tag\":"
        "\"#morning\",\"count\":8}\n"
        "0 1 109999 110000/2={\"window_start\":50000,\"window_end\":110000,\"rank\":2,\"tag\":"
        "\"#world\",\"count\":4}\n");
    struct engine_info info = engine_info(world, "hashtags");
    cr_assert_eq(info.records, 12);
    cr_assert_eq(info.emitted, 2);
    cr_assert_eq(info.late, 0);
    cr_assert_eq(info.watermark, 112000);
    cr_assert_eq(info.tasks, 1);
    end(world);
}

TEST(processors, a_stop_and_a_start_go_on_where_it_was)
{
    struct engine_world *world = begin();
    cr_assert_eq(engine_load(world, "builtin:totals", "totals", NULL, NULL), 0);
    for (int i = 0; i < 3; i++) {
        for (int p = 0; p < 4; p++)
            produce_one(world, "words", p, p % 2 ? "odd" : "even", 10 * i, "w");
        engine_settle(world, "totals");
        if (i == 0)
            cr_assert_eq(engine_stop(world), 0);
        else
            engine_crash(world, i == 2);
        if (i == 0)
            engine_open(world);
    }
    engine_settle(world, "totals");
    /* Each partition has a sum of its own; the order between them is not promised. */
    char *text = engine_text(world, "totals");
    size_t threes = 0, lines = 0;
    for (char *line = text; *line; line = strchr(line, '\n') + 1, lines++)
        threes += strncmp(strchr(line, '='), "=3\n", 3) == 0;
    cr_assert_eq(lines, 12);
    cr_assert_eq(threes, 4);
    mem_free(text);
    cr_assert_eq(engine_info(world, "totals").tasks, 4);
    cr_assert_eq(engine_info(world, "totals").records, 12);
    end(world);
}

TEST(processors, dead_letters_come_with_the_commit)
{
    struct engine_world *world = begin();
    cr_assert_eq(engine_load(world, "builtin:totals", "totals", NULL, NULL), 0);
    produce_one(world, "words", 2, "k", 5, "x-ray");
    produce_one(world, "words", 2, "k", 6, "w");
    engine_settle(world, "totals");
    expect(world, "totals.dead", "2 0 5 k=x-ray\n");
    cr_assert_eq(engine_info(world, "totals").dead, 1);
    end(world);
}

/* ---- idle inputs ----------------------------------------------------------------------------- */

TEST(processors, the_last_window_closes_though_nothing_comes)
{
    struct engine_world *world = begin();
    cr_assert_eq(engine_load(world, "builtin:hashtags", NULL, NULL, NULL), 0);
    produce_one(world, "posts", 1, NULL, 100000, "#a");
    engine_pass(world, 4000);
    cr_assert_eq(engine_end_offset(world, "trending", 0), 0); /* the others might have something */
    engine_pass(world, 2000); /* idle.ms: they have not; the post is processed */
    cr_assert_eq(engine_info(world, "hashtags").lag, 0);
    cr_assert_eq(engine_end_offset(world, "trending", 0), 0);
    /* The window ends at 110,000 + 2,000 grace: 12 s after the post, counted from when it was
     * processed, as fast as the clock. */
    engine_pass(world, 10000);
    cr_assert_eq(engine_end_offset(world, "trending", 0), 0);
    engine_pass(world, 2000);
    cr_assert_eq(engine_end_offset(world, "trending", 0), 1);
    engine_pass(world, 60000);
    cr_assert_eq(engine_end_offset(world, "trending", 0), 6); /* in each window it lies in */
    uint64_t units = engine_info(world, "hashtags").units;
    engine_pass(world, 600000);
    cr_assert_eq(engine_info(world, "hashtags").units, units); /* and then there is peace */
    end(world);
}

TEST(processors, idle_advance_is_obeyed)
{
    static const char *const none[] = { "idle.advance=none", "idle.ms=1s", NULL };
    static const char *const wall[] = { "idle.advance=wallclock", "idle.ms=1s",
        "output.trending=t2", NULL };
    struct engine_world *world = begin();
    cr_assert_eq(engine_load(world, "builtin:hashtags", NULL, none, NULL), 0);
    cr_assert_eq(engine_load(world, "builtin:hashtags", "second", wall, NULL), 0);
    produce_one(world, "posts", 1, NULL, 100000, "#a");
    engine_pass(world, 500000);
    cr_assert_eq(engine_end_offset(world, "trending", 0), 0);
    cr_assert_eq(engine_end_offset(world, "t2", 0), 6);
    end(world);
}

/* ---- loading --------------------------------------------------------------------------------- */

TEST(processors, what_is_refused_at_load_says_why_and_leaves_nothing)
{
    static const char *const typo[] = { "idle.mss=5", NULL };
    static const char *const loop[] = { "output.trending=posts", NULL };
    static const char *const bad[] = { "window.hop.size.ms=0", NULL };
    static const struct {
        const char *file, *name;
        const char *const *settings;
        int status;
        const char *error;
    } wrongs[] = {
        { "builtin:nothing", NULL, NULL, -ENOENT, "no built-in module 'nothing'" },
        { "builtin:totals", NULL, NULL, -EINVAL, "'totals', 'newer'; name one of them" },
        { "builtin:totals", "third", NULL, -EINVAL, "name one of them, not 'third'" },
        { "builtin:hashtags", "a/b", NULL, -EINVAL, "not a name" },
        { "builtin:hashtags", NULL, typo, -EINVAL, "did you mean 'idle.ms'" },
        { "builtin:hashtags", NULL, loop, -EINVAL, "input and output at once" },
        { "builtin:hashtags", NULL, bad, -EINVAL, "size of 0 ms" },
        { "/nowhere/x.so", NULL, NULL, -ENOENT, "/nowhere/x.so: No such file" },
    };
    char error[PROCESSORS_ERROR_SIZE];
    struct engine_world *world = begin();
    for (size_t i = 0; i < ARRAY_COUNT(wrongs); i++) {
        int status = engine_load(world, wrongs[i].file, wrongs[i].name, wrongs[i].settings, error);
        cr_assert_eq(status, wrongs[i].status, "%zu: %d %s", i, status, error);
        cr_assert(strstr(error, wrongs[i].error), "%zu: '%s'", i, error);
    }
    cr_assert_eq(storage_topic_count(world->storage), 0);
    cr_assert_eq(engine_load(world, "builtin:hashtags", NULL, NULL, NULL), 0);
    cr_assert_eq(engine_load(world, "builtin:hashtags", NULL, NULL, error), -EEXIST);
    cr_assert_eq(engine_load(world, "builtin:hashtags", "hashtags", NULL, error), -EEXIST);
    cr_assert_eq(engine_unload(world, "nobody", false, error), -ENOENT);
    end(world);
}

TEST(processors, unload_keeps_the_state_or_forgets_it)
{
    struct engine_world *world = begin();
    char error[PROCESSORS_ERROR_SIZE];
    cr_assert_eq(engine_load(world, "builtin:totals", "totals", NULL, NULL), 0);
    produce_one(world, "words", 0, "k", 1, "w");
    engine_settle(world, "totals");
    cr_assert_eq(engine_unload(world, "totals", false, error), 0, "%s", error);
    cr_assert_str_eq(engine_info(world, "totals").state, "");
    produce_one(world, "words", 0, "k", 2, "w");
    engine_pass(world, 100);
    engine_crash(world, true); /* it does not come back by itself */
    engine_pass(world, 100);
    cr_assert_str_eq(engine_info(world, "totals").state, "");
    cr_assert_eq(engine_load(world, "builtin:totals", "totals", NULL, NULL), 0);
    produce_one(world, "words", 0, "k", 3, "w");
    engine_settle(world, "totals");
    cr_assert_eq(engine_info(world, "totals").records, 3);
    cr_assert_eq(engine_unload(world, "totals", true, error), 0, "%s", error);
    cr_assert_eq(engine_end_offset(world, "totals-sums-changelog", 0), -1);
    cr_assert_eq(engine_load(world, "builtin:totals", "totals", NULL, NULL), 0);
    engine_settle(world, "totals");
    cr_assert_eq(engine_info(world, "totals").records, 3); /* from the beginning again */
    char *text = engine_text(world, "totals");
    cr_assert(strstr(text, " 5 3 k=3\n") && strstr(text, " 3 1 k=1\n"), "%s", text);
    mem_free(text);
    end(world);
}

TEST(processors, state_that_does_not_fit_refuses_the_load)
{
    struct engine_world *world = begin();
    char error[PROCESSORS_ERROR_SIZE];
    cr_assert_eq(engine_load(world, "builtin:totals", "newer", NULL, NULL), 0);
    produce_one(world, "words", 0, "k", 1, "w");
    engine_settle(world, "newer");
    cr_assert_eq(engine_unload(world, "newer", false, NULL), 0);
    /* The same name with another version of the store. */
    LIST(mr_processor, older, &totals);
    static mr_processor renamed;
    static const mr_processor *const list[] = { &renamed, NULL };
    static mr_module old;
    static const mr_module *const others[] = { &old, NULL };
    renamed = *older[0];
    renamed.name = "newer";
    old = totals_module;
    old.processors = list;
    world->config.builtins = others;
    engine_crash(world, false);
    cr_assert_eq(engine_load(world, "builtin:totals", "newer", NULL, error), -EINVAL);
    cr_assert(strstr(error, "was written as kind 2, version 2"), "%s", error);
    cr_assert_str_eq(engine_info(world, "newer").state, "");
    end(world);
}

TEST(processors, latest_begins_at_the_end)
{
    static const char *const latest[] = { "start=latest", NULL };
    struct engine_world *world = begin();
    engine_make_topic(world, "words", 2);
    produce_one(world, "words", 0, "k", 1, "w");
    while (world->in_flight)
        (void)engine_turn(world);
    cr_assert_eq(engine_load(world, "builtin:totals", "totals", latest, NULL), 0);
    produce_one(world, "words", 0, "k", 2, "w");
    engine_settle(world, "totals");
    cr_assert_eq(engine_info(world, "totals").records, 1);
    end(world);
}

/* A transactional batch of one record, the only one of its producer. */
static void produce_in(struct engine_world *world, int64_t producer, const char *key)
{
    struct engine_record record = { 5, key, "w" };
    struct batch_options options = batch_options_plain(CODEC_NONE);
    options.producer_id = producer;
    options.producer_epoch = 0;
    options.base_sequence = 0;
    options.attributes = BATCH_ATTRIBUTE_TRANSACTIONAL;
    engine_produce_as(world, "words", 0, &record, 1, &options);
}

TEST(processors, only_committed_records_are_processed)
{
    struct engine_world *world = begin();
    engine_make_topic(world, "words", 1);
    produce_one(world, "words", 0, "plain", 1, "w");
    produce_in(world, 1, "aborted");
    produce_in(world, 2, "committed");
    engine_mark(world, "words", 0, 1, false);
    engine_mark(world, "words", 0, 2, true);
    produce_in(world, 3, "open");
    produce_one(world, "words", 0, "behind", 1, "w");
    while (world->in_flight)
        (void)engine_turn(world);
    cr_assert_eq(engine_load(world, "builtin:totals", "totals", NULL, NULL), 0);
    engine_settle(world, "totals");
    cr_assert_eq(engine_info(world, "totals").records, 2, "plain and committed");
    engine_mark(world, "words", 0, 3, false);
    engine_settle(world, "totals");
    cr_assert_eq(engine_info(world, "totals").records, 3, "and what came behind the open one");
    end(world);
}

/* ---- failing --------------------------------------------------------------------------------- */

TEST(processors, a_fatal_verdict_fails_it_and_others_go_on)
{
    struct engine_world *world = begin();
    cr_assert_eq(engine_load(world, "builtin:totals", "totals", NULL, NULL), 0);
    cr_assert_eq(engine_load(world, "builtin:hashtags", NULL, NULL, NULL), 0);
    produce_one(world, "words", 0, "k", 1, "w");
    engine_settle(world, "totals");
    produce_one(world, "words", 0, "k", 2, "!");
    engine_settle(world, "totals");
    engine_pass(world, 100);
    struct engine_info info = engine_info(world, "totals");
    cr_assert_str_eq(info.state, "FAILED");
    cr_assert(strstr(info.error, "gave up: a bang"), "%s", info.error);
    cr_assert_str_eq(engine_info(world, "hashtags").state, "RUNNING");
    expect(world, "totals", "0 0 1 k=1\n");
    engine_crash(world, false); /* the record is still there, and so is the reason */
    engine_pass(world, 100);
    cr_assert_str_eq(engine_info(world, "totals").state, "FAILED");
    cr_assert_eq(engine_unload(world, "totals", false, NULL), 0);
    end(world);
}

TEST(processors, deleted_topics_are_named)
{
    static const char *const gone[] = { "words", "totals", "totals-sums-changelog" };
    for (size_t i = 0; i < ARRAY_COUNT(gone); i++) {
        struct engine_world *world = begin();
        cr_assert_eq(engine_load(world, "builtin:totals", "totals", NULL, NULL), 0);
        produce_one(world, "words", 0, "k", 1, "w");
        engine_settle(world, "totals");
        engine_delete_topic(world, gone[i]);
        if (i > 0)
            produce_one(world, "words", 0, "k", 2, "w");
        engine_pass(world, 1000);
        struct engine_info info = engine_info(world, "totals");
        cr_assert_str_eq(info.state, "FAILED");
        cr_assert(strstr(info.error, gone[i]) && strstr(info.error, "deleted"), "%s", info.error);
        cr_assert_eq(engine_unload(world, "totals", true, NULL), 0);
        end(world);
    }
}

TEST(processors, what_can_not_be_loaded_at_a_start_stays_in_the_list)
{
    static const mr_module *const nothing[] = { NULL };
    struct engine_world *world = begin();
    cr_assert_eq(engine_load(world, "builtin:totals", "totals", NULL, NULL), 0);
    world->config.builtins = nothing;
    engine_crash(world, false);
    engine_pass(world, 100);
    struct engine_info info = engine_info(world, "totals");
    cr_assert_str_eq(info.state, "FAILED");
    cr_assert(strstr(info.error, "no built-in module"), "%s", info.error);
    world->config.builtins = builtins;
    engine_crash(world, false);
    engine_pass(world, 100);
    cr_assert_str_eq(engine_info(world, "totals").state, "RUNNING");
    end(world);
}

/* ---- growth ---------------------------------------------------------------------------------- */

TEST(processors, new_partitions_are_read_as_well)
{
    struct engine_world *world = begin();
    engine_make_topic(world, "words", 1);
    engine_make_topic(world, "posts", 1);
    cr_assert_eq(engine_load(world, "builtin:totals", "totals", NULL, NULL), 0);
    cr_assert_eq(engine_load(world, "builtin:hashtags", NULL, NULL, NULL), 0);
    produce_one(world, "words", 0, "k", 1, "w");
    engine_settle(world, "totals");
    engine_add_partitions(world, "words", 3);
    engine_add_partitions(world, "posts", 3);
    for (int p = 0; p < 3; p++) {
        produce_one(world, "words", p, "k", 2, "w");
        produce_one(world, "posts", p, NULL, 100000, "#a");
    }
    engine_settle(world, "totals");
    engine_settle(world, "hashtags");
    cr_assert_eq(engine_info(world, "totals").tasks, 3);
    cr_assert_eq(engine_info(world, "totals").records, 4);
    cr_assert_eq(engine_info(world, "hashtags").tasks, 1);
    cr_assert_eq(engine_info(world, "hashtags").position_count, 3);
    end(world);
}

TEST(processors, a_changelog_is_cut_behind_the_closed_windows)
{
    static const char *const settings[] = { "window.hop.size.ms=10s", "idle.advance=none", NULL };
    struct engine_world *world = begin();
    engine_make_topic(world, "posts", 1);
    cr_assert_eq(engine_load(world, "builtin:hashtags", NULL, settings, NULL), 0);
    char text[64];
    for (int i = 0; i < 30000; i += 1000) {
        struct engine_record records[1000];
        char values[1000][24];
        for (int j = 0; j < 1000; j++) {
            (void)snprintf(values[j], sizeof(values[j]), "#t%d", i + j);
            records[j] = (struct engine_record){ 1000000 + 10 * (i + j), NULL, values[j] };
        }
        engine_produce(world, "posts", 0, records, 1000);
        engine_settle(world, "hashtags");
    }
    struct topic *topic = storage_topic(world->storage, bytes_text("hashtags-counts-changelog"));
    cr_assert(
        topic->logs[0]->start_offset > 15000, "%lld", (long long)topic->logs[0]->start_offset);
    cr_assert(topic->logs[0]->end_offset >= 30000);
    /* What is cut is not missed. */
    engine_crash(world, false);
    engine_pass(world, 1000);
    (void)snprintf(text, sizeof(text), "#t29999");
    produce_one(world, "posts", 0, NULL, 1310000, text);
    engine_settle(world, "hashtags");
    char *told = engine_text(world, "trending");
    cr_assert(strstr(told, "\"window_end\":1300000,\"rank\":10"));
    mem_free(told);
    end(world);
}

TEST(processors, lines_and_counters_of_a_plugin_are_shown)
{
    struct engine_world *world = begin();
    cr_assert_eq(engine_load(world, "builtin:totals", "totals", NULL, NULL), 0);
    cr_assert(engine_said(world, "I processor 'totals' (builtin:totals) runs with 4 tasks"));
    produce_one(world, "words", 0, "k", 2, "!");
    engine_settle(world, "totals");
    cr_assert(engine_said(world, "E processor 'totals' failed: `batch` gave up: a bang"));
    end(world);
}
