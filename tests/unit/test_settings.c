/* Declarations with configuration laid over them. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "processors/settings.h"
#include "tests/test.h"

#define LIST(type, name, ...) static const type *const name[] = { __VA_ARGS__, NULL }

static const mr_in_decl in = { sizeof(in), 0, 0, 0, 0, "posts" };
LIST(mr_in_decl, ins, &in);
static const mr_out_decl out = { sizeof(out), 0, "tags", 0, 0 };
LIST(mr_out_decl, outs, &out);
static const mr_win_decl hop = { sizeof(hop), MR_WIN_HOP, 0, 60000, 10000, 2000, 0, 10, "hop" };
LIST(mr_win_decl, wins, &hop);
static const mr_store_decl store = { sizeof(store), MR_STORE_WINDOW_COUNT, 1, 0, 0, 0, 0, "s" };
LIST(mr_store_decl, stores, &store);
static const mr_conf_decl confs_all[] = {
    { sizeof(mr_conf_decl), MR_STR, 0, "name", "none", "" },
    { sizeof(mr_conf_decl), MR_INT, 0, "most", "7", "how many" },
    { sizeof(mr_conf_decl), MR_BOOL, 0, "loud", "false", "" },
    { sizeof(mr_conf_decl), MR_DURATION, 0, "wait", "2s", "" },
    { sizeof(mr_conf_decl), MR_SIZE, 0, "room", "64k", "" },
};
LIST(
    mr_conf_decl, confs, &confs_all[0], &confs_all[1], &confs_all[2], &confs_all[3], &confs_all[4]);
static const mr_processor processor = { sizeof(processor), 0, "p", "1", "", ins, outs, stores, wins,
    confs, NULL, NULL, NULL, NULL };

TEST(settings, defaults)
{
    struct settings settings;
    char error[512];
    cr_assert_eq(
        settings_init(&settings, &processor, NULL, 0, error, sizeof(error)), 0, "%s", error);
    cr_assert_str_eq(settings.inputs[0], "posts");
    cr_assert_str_eq(settings.outputs[0], "tags");
    cr_assert_eq(settings.windows[0].size_ms, 60000);
    cr_assert_eq(settings.windows[0].top, 10);
    cr_assert_eq(settings.idle_ms, 5000);
    cr_assert_eq(settings.idle_advance, IDLE_ELAPSED);
    cr_assert(settings.align);
    cr_assert_not(settings.start_latest);
    cr_assert_eq(settings_value(&settings, "wait")->number, 2000);
    cr_assert_eq(settings_value(&settings, "room")->number, 65536);
    cr_assert_eq(settings_value(&settings, "most")->number, 7);
    cr_assert_str_eq(settings_value(&settings, "name")->text, "none");
    cr_assert_null(settings_value(&settings, "nothing"));
    settings_done(&settings);
}

TEST(settings, everything_set)
{
    static const struct setting given[] = {
        { "input.posts", "tweets" },
        { "output.tags", "t" },
        { "window.hop.size.ms", "1m" },
        { "window.hop.step.ms", "30000" },
        { "window.hop.grace.ms", "1500ms" },
        { "window.hop.top", "0" },
        { "start", "latest" },
        { "idle.ms", "1h" },
        { "idle.advance", "wallclock" },
        { "align", "false" },
        { "commit.interval.ms", "10" },
        { "max.record.ms", "2d" },
        { "state.bytes.max", "1g" },
        { "compression", "zstd" },
        { "most", "-3" },
        { "loud", "true" },
        { "name", "" },
    };
    struct settings settings;
    char error[512];
    cr_assert_eq(
        settings_init(&settings, &processor, given, ARRAY_COUNT(given), error, sizeof(error)), 0,
        "%s", error);
    cr_assert_str_eq(settings.inputs[0], "tweets");
    cr_assert_str_eq(settings.outputs[0], "t");
    cr_assert_eq(settings.windows[0].size_ms, 60000);
    cr_assert_eq(settings.windows[0].step_ms, 30000);
    cr_assert_eq(settings.windows[0].grace_ms, 1500);
    cr_assert_eq(settings.windows[0].top, 0);
    cr_assert(settings.start_latest);
    cr_assert_not(settings.align);
    cr_assert_eq(settings.idle_ms, 3600000);
    cr_assert_eq(settings.idle_advance, IDLE_WALLCLOCK);
    cr_assert_eq(settings.commit_interval_ms, 10);
    cr_assert_eq(settings.max_record_ms, 172800000);
    cr_assert_eq(settings.state_bytes_max, INT64_C(1) << 30);
    cr_assert_eq(settings.compression, CODEC_ZSTD);
    cr_assert_eq(settings_value(&settings, "most")->number, -3);
    cr_assert_eq(settings_value(&settings, "loud")->number, 1);
    cr_assert_str_eq(settings_value(&settings, "name")->text, "");
    settings_done(&settings);
}

TEST(settings, what_is_refused)
{
    static const struct {
        struct setting setting;
        const char *error;
    } wrongs[] = {
        { { "starts", "latest" }, "has no key 'starts'; did you mean 'start'" },
        { { "completely.other", "1" }, "has no key 'completely.other'" },
        { { "start", "late" }, "expected earliest or latest" },
        { { "idle.ms", "0" }, "expected a duration" },
        { { "idle.ms", "5 s" }, "expected a duration" },
        { { "idle.ms", "99999999999999999999" }, "expected a duration" },
        { { "idle.ms", "9223372036854775807d" }, "expected a duration" },
        { { "idle.advance", "fast" }, "elapsed, wallclock or none" },
        { { "align", "yes" }, "true or false" },
        { { "state.bytes.max", "1" }, "64k to 2g" },
        { { "compression", "rar" }, "zstd" },
        { { "input.other", "x" }, "declares no topic 'other'" },
        { { "input.posts", "a b" }, "not a topic name" },
        { { "window.hip.top", "1" }, "no such window" },
        { { "window.hop.shape", "1" }, "a window has" },
        { { "window.hop.top", "x" }, "expected a number" },
        { { "window.hop.top", "-1" }, "0 (all) to 100000" },
        { { "window.hop.size.ms", "0" }, "size of 0 ms" },
        { { "window.hop.step.ms", "61s" }, "step of 61000 ms" },
        { { "window.hop.step.ms", "1" }, "at most 1000 steps" },
        { { "window.hop.grace.ms", "-5" }, "grace of -5 ms" },
        { { "most", "many" }, "expected a number (how many)" },
        { { "room", "4q" }, "expected a size" },
        { { "loud", "1" }, "true or false" },
    };
    struct settings settings;
    char error[512];
    for (size_t i = 0; i < ARRAY_COUNT(wrongs); i++) {
        error[0] = '\0';
        cr_assert_eq(
            settings_init(&settings, &processor, &wrongs[i].setting, 1, error, sizeof(error)),
            -EINVAL, "%s=%s", wrongs[i].setting.key, wrongs[i].setting.value);
        cr_assert(strstr(error, wrongs[i].error), "'%s' is not in '%s'", wrongs[i].error, error);
    }
}

TEST(settings, a_key_without_default_must_be_given)
{
    static const mr_conf_decl must = { sizeof(must), MR_STR, 0, "who", NULL, "whom to greet" };
    LIST(mr_conf_decl, list, &must);
    static const struct setting given = { "who", "you" };
    mr_processor greedy = processor;
    greedy.conf = list;
    struct settings settings;
    char error[512];
    cr_assert_eq(settings_init(&settings, &greedy, NULL, 0, error, sizeof(error)), -EINVAL);
    cr_assert(strstr(error, "needs the key 'who': text (whom to greet)"), "%s", error);
    cr_assert_eq(settings_init(&settings, &greedy, &given, 1, error, sizeof(error)), 0);
    settings_done(&settings);
}
