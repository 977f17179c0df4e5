/* One share-partition, as transcripts: an event, what came of it, and the state.
 *
 *     take a 5 from 0: 0-3 4-9 x10     a wants 5 records; what was read, x: nothing may be
 * delivered exactly a 5 from 0: 0-9          the same in record-limit mode say a 0-3 A a
 * acknowledges: A accept, R release, J reject, G gap, N renew gone a | wait 30 | log 5-20      a's
 * session ends; so many seconds pass; where the log lies
 *
 * The state is START | RANGES | END; a range is FIRST-LAST with the holder's letter and delivery
 * (a1), free and its deliveries (free0), or done. Locks last 30 s, records_max is 100, deliveries
 * are 3 at most.
 */
#include "broker/share_partition.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/base/mem.h"
#include "protocol/base/random.h"
#include "tests/test.h"

static const int64_t second_ns = 1000000000;

enum { SPANS_MAX = 16 };

struct play {
    struct share_partition partition;
    struct share_limits limits;
    int64_t now;
    char said[1000];
};

static void begin(struct play *play)
{
    *play = (struct play){ .limits = { 100, 3, 30 * second_ns }, .now = second_ns };
    share_partition_init(&play->partition, 0);
}

static void say_run(struct play *play, int64_t first, int64_t last)
{
    if (first == last)
        SAY(play->said, " %lld", (long long)first);
    else
        SAY(play->said, " %lld-%lld", (long long)first, (long long)last);
}

static void say_state(struct play *play)
{
    struct share_range *range = NULL;
    SAY(play->said, " = %lld |", (long long)play->partition.start);
    while ((range = share_partition_range_after(&play->partition, range))) {
        say_run(play, range->first, range->last);
        if (range->state == SHARE_ACQUIRED)
            SAY(play->said, " %c%d", (char)range->owner, range->delivery);
        else if (range->state == SHARE_AVAILABLE)
            SAY(play->said, " free%d", range->delivery);
        else
            SAY(play->said, " done");
    }
    SAY(play->said, " | %lld", (long long)play->partition.end);
}

static bool run_parse(const char **at, int64_t *ret_first, int64_t *ret_last)
{
    char *end;
    *ret_first = *ret_last = strtoll(*at, &end, 10);
    if (end == *at)
        return false;
    if (*end == '-')
        *ret_last = strtoll(end + 1, &end, 10);
    *at = end;
    return true;
}

static void take(struct play *play, const char *at, bool exact)
{
    struct share_span spans[SPANS_MAX];
    struct share_acquired_list list = { 0 };
    struct share_want want = { .owner = (uint64_t)*at, .spans = spans, .exact = exact };
    char *end;
    want.records_max = strtoll(at + 2, &end, 10);
    at = end + strlen(" from ");
    want.from = strtoll(at, &end, 10);
    for (at = end + 1; *at;) {
        struct share_span *span = &spans[want.span_count++];
        at += strspn(at, " ");
        span->nothing = *at == 'x';
        at += span->nothing;
        cr_assert(run_parse(&at, &span->first, &span->last));
    }
    share_partition_acquire(&play->partition, &want, &play->limits, play->now, &list);
    SAY(play->said, "got");
    for (size_t i = 0; i < list.count; i++) {
        say_run(play, list.rows[i].first, list.rows[i].last);
        SAY(play->said, " x%d", list.rows[i].delivery);
    }
    mem_free(list.rows);
}

static void acknowledge(struct play *play, const char *at)
{
    struct share_ack acks[SPANS_MAX];
    int8_t answers[200];
    size_t count = 0, used = 0;
    uint64_t owner = (uint64_t)*at++;
    while (*at) {
        struct share_ack *ack = &acks[count++];
        at += strspn(at, " ");
        cr_assert(run_parse(&at, &ack->first, &ack->last));
        ack->answers = answers + used;
        ack->answer_count = 0;
        for (at++; *at && *at != ' '; at++, ack->answer_count++)
            answers[used++] = (int8_t)(strchr("GARJN?", *at) - "GARJN?");
    }
    int status =
        share_partition_acknowledge(&play->partition, owner, acks, count, &play->limits, play->now);
    SAY(play->said, "%s", status == 0 ? "ok" : status == -EPERM ? "not yours" : "invalid");
}

static bool starts(const char **at, const char *word)
{
    if (strncmp(*at, word, strlen(word)) != 0)
        return false;
    *at += strlen(word);
    return true;
}

static const char *after(struct play *play, const char *event)
{
    int64_t first, last;
    play->said[0] = 0;
    if (starts(&event, "take "))
        take(play, event, false);
    else if (starts(&event, "exactly "))
        take(play, event, true);
    else if (starts(&event, "say "))
        acknowledge(play, event);
    else if (starts(&event, "gone "))
        SAY(play->said, share_partition_release(&play->partition, (uint64_t)*event, &play->limits)
                            ? "freed"
                            : "held nothing");
    else if (starts(&event, "wait ")) {
        play->now += strtoll(event, NULL, 10) * second_ns;
        SAY(play->said,
            share_partition_tick(&play->partition, &play->limits, play->now) ? "freed" : "-");
    } else if (starts(&event, "log ") && run_parse(&event, &first, &last))
        SAY(play->said, share_partition_trim(&play->partition, first, last) ? "lost" : "-");
    else
        cr_assert_fail("what is %s", event);
    say_state(play);
    share_partition_check(&play->partition);
    return play->said;
}

#define STEP(event, expected)                                                                      \
    cr_assert_str_eq(after(&play, event), expected, "%s: %s", event, play.said)

TEST(share_partition, two_members_share_and_accept)
{
    struct play play;
    begin(&play);
    STEP("take a 10 from 0: 0-9 10-19", "got 0-9 x1 = 0 | 0-9 a1 | 10");
    STEP("take b 10 from 10: 10-19 20-29", "got 10-19 x1 = 0 | 0-9 a1 10-19 b1 | 20");
    STEP("say b 10-19 A", "ok = 0 | 0-9 a1 10-19 done | 20");
    STEP("say a 0-4 A 5-9 AAAJG", "ok = 20 | | 20");
    share_partition_done(&play.partition);
}

TEST(share_partition, what_is_released_comes_first_and_counts)
{
    struct play play;
    begin(&play);
    STEP("take a 10 from 0: 0-9", "got 0-9 x1 = 0 | 0-9 a1 | 10");
    STEP("say a 0-3 A 4-5 R 6-9 A", "ok = 4 | 4-5 free1 6-9 done | 10");
    cr_assert_eq(share_partition_next(&play.partition), 4);
    STEP("take b 10 from 4: 0-9 10-11", "got 4-5 x2 10-11 x1 = 4 | 4-5 b2 6-9 done 10-11 b1 | 12");
    cr_assert_eq(share_partition_next(&play.partition), 12);
    cr_assert_eq(share_partition_lag(&play.partition, 20), 12);
    share_partition_done(&play.partition);
}

TEST(share_partition, the_last_delivery_is_alone_and_then_it_is_archived)
{
    struct play play;
    begin(&play);
    STEP("take a 10 from 0: 0-2", "got 0-2 x1 = 0 | 0-2 a1 | 3");
    STEP("say a 0-2 R", "ok = 0 | 0-2 free1 | 3");
    STEP("take a 10 from 0: 0-2", "got 0-2 x2 = 0 | 0-2 a2 | 3");
    STEP("say a 0-2 R", "ok = 0 | 0-2 free2 | 3");
    STEP("take a 10 from 0: 0-2", "got 0 x3 = 0 | 0 a3 1-2 free2 | 3");
    STEP("say a 0 R", "ok = 1 | 1-2 free2 | 3");
    STEP("take a 10 from 1: 0-2", "got 1 x3 = 1 | 1 a3 2 free2 | 3");
    STEP("wait 30", "freed = 2 | 2 free2 | 3");
    STEP("take a 10 from 2: 0-2 3-4", "got 2 x3 = 2 | 2 a3 | 3");
    STEP("say a 2 A", "ok = 3 | | 3");
    share_partition_done(&play.partition);
}

TEST(share_partition, a_lock_that_times_out_counts_and_one_that_is_renewed_does_not)
{
    struct play play;
    begin(&play);
    STEP("take a 10 from 0: 0-4", "got 0-4 x1 = 0 | 0-4 a1 | 5");
    STEP("wait 20", "- = 0 | 0-4 a1 | 5");
    STEP("say a 1-2 N", "ok = 0 | 0 a1 1-2 a1 3-4 a1 | 5");
    STEP("wait 10", "freed = 0 | 0 free1 1-2 a1 3-4 free1 | 5");
    STEP("say a 0 A", "not yours = 0 | 0 free1 1-2 a1 3-4 free1 | 5");
    STEP("say a 1-2 A", "ok = 0 | 0 free1 1-2 done 3-4 free1 | 5");
    cr_assert_eq(share_partition_deadline(&play.partition), INT64_MAX);
    share_partition_done(&play.partition);
}

TEST(share_partition, who_goes_gives_back)
{
    struct play play;
    begin(&play);
    STEP("take a 10 from 0: 0-4", "got 0-4 x1 = 0 | 0-4 a1 | 5");
    STEP("take b 10 from 5: 5-9", "got 5-9 x1 = 0 | 0-4 a1 5-9 b1 | 10");
    STEP("gone a", "freed = 0 | 0-4 free1 5-9 b1 | 10");
    STEP("gone a", "held nothing = 0 | 0-4 free1 5-9 b1 | 10");
    STEP("say a 0 A", "not yours = 0 | 0-4 free1 5-9 b1 | 10");
    STEP("take b 10 from 0: 0-9", "got 0-4 x2 = 0 | 0-4 b2 5-9 b1 | 10");
    share_partition_done(&play.partition);
}

TEST(share_partition, what_is_said_is_all_or_nothing)
{
    struct play play;
    begin(&play);
    STEP("take a 4 from 0: 0-3", "got 0-3 x1 = 0 | 0-3 a1 | 4");
    STEP("take b 4 from 4: 4-7", "got 4-7 x1 = 0 | 0-3 a1 4-7 b1 | 8");
    STEP("say a 0-3 A 4-4 A", "not yours = 0 | 0-3 a1 4-7 b1 | 8");
    STEP("say a 0-1 A 8 A", "invalid = 0 | 0-3 a1 4-7 b1 | 8");
    STEP("say a 2-3 A 0-1 A", "invalid = 0 | 0-3 a1 4-7 b1 | 8");
    STEP("say a 0-3 AA", "invalid = 0 | 0-3 a1 4-7 b1 | 8");
    STEP("say a 0-3 ?", "invalid = 0 | 0-3 a1 4-7 b1 | 8");
    STEP("say a 3-2 A", "invalid = 0 | 0-3 a1 4-7 b1 | 8");
    STEP("say a 0-3 A", "ok = 4 | 4-7 b1 | 8");
    STEP("say a 0-3 A", "ok = 4 | 4-7 b1 | 8");
    share_partition_done(&play.partition);
}

TEST(share_partition, holes_markers_and_aborted_batches_are_done_at_once)
{
    struct play play;
    begin(&play);
    STEP("take a 20 from 0: 2-3 x4-5 6-7 10-10 x11",
        "got 2-3 x1 6-7 x1 10 x1 = 2 | 2-3 a1 4-5 done 6-7 a1 8-9 done 10 a1 11 done | 12");
    STEP("say a 2-3 R 6-7 R 10 A", "ok = 2 | 2-3 free1 4-5 done 6-7 free1 8-11 done | 12");
    /* Compaction took 2 and 3 meanwhile. */
    STEP("take a 20 from 2: 6-7", "got 6-7 x2 = 6 | 6-7 a2 8-11 done | 12");
    share_partition_done(&play.partition);
}

TEST(share_partition, limits_hold_to_the_batch_or_to_the_record)
{
    struct play play;
    begin(&play);
    STEP("take a 5 from 0: 0-3 4-7 8-11", "got 0-7 x1 = 0 | 0-7 a1 | 8");
    STEP("exactly b 5 from 8: 8-11 12-15", "got 8-12 x1 = 0 | 0-7 a1 8-12 b1 | 13");
    play.limits.records_max = 20;
    STEP("take c 50 from 13: 12-15 16-99", "got 13-19 x1 = 0 | 0-7 a1 8-12 b1 13-19 c1 | 20");
    STEP("take c 50 from 20: 16-99", "got = 0 | 0-7 a1 8-12 b1 13-19 c1 | 20");
    cr_assert_not(share_partition_has_room(&play.partition, &play.limits));
    /* What is done in the middle makes room. */
    STEP("say b 8-12 A", "ok = 0 | 0-7 a1 8-12 done 13-19 c1 | 20");
    STEP("take c 50 from 20: 16-99", "got 20-24 x1 = 0 | 0-7 a1 8-12 done 13-24 c1 | 25");
    play.limits.delivery_max = 1;
    STEP("say a 0-7 R", "ok = 13 | 13-24 c1 | 25");
    share_partition_done(&play.partition);
}

TEST(share_partition, runs_end_where_a_batch_brings_them_to_the_size)
{
    struct share_span spans[] = { { 0, 3, false }, { 4, 7, false }, { 8, 11, false } };
    struct share_want want = {
        .owner = 'a', .spans = spans, .span_count = 3, .records_max = 100, .batch_size = 5
    };
    struct share_acquired_list list = { 0 };
    struct play play;
    begin(&play);
    share_partition_acquire(&play.partition, &want, &play.limits, 0, &list);
    cr_assert_eq(list.count, 2);
    cr_assert_eq(list.rows[0].last, 7);
    cr_assert_eq(list.rows[1].first, 8);
    cr_assert_eq(list.records, 12);
    mem_free(list.rows);
    share_partition_done(&play.partition);
}

TEST(share_partition, what_the_log_lost_is_forgotten)
{
    struct play play;
    begin(&play);
    STEP("take a 5 from 0: 0-4", "got 0-4 x1 = 0 | 0-4 a1 | 5");
    STEP("take b 5 from 5: 5-9", "got 5-9 x1 = 0 | 0-4 a1 5-9 b1 | 10");
    STEP("log 0-50", "- = 0 | 0-4 a1 5-9 b1 | 10");
    STEP("log 2-50", "lost = 2 | 2-4 a1 5-9 b1 | 10");
    STEP("say a 0-4 A", "ok = 5 | 5-9 b1 | 10");
    STEP("log 5-8", "lost = 5 | 5-7 b1 | 8");
    STEP("log 20-50", "lost = 20 | | 20");
    STEP("log 0-7", "lost = 7 | | 7");
    share_partition_done(&play.partition);
}

/* Encodes, decodes into another, and says that one's state. */
static const char *restored(struct play *play)
{
    struct out out = { 0 };
    share_partition_encode(&play->partition, &out);
    for (size_t len = 0; len < out.len; len++) {
        struct share_partition cut;
        share_partition_init(&cut, 0);
        cr_assert_eq(share_partition_decode(&cut, bytes_of(out.data, len)), -EBADMSG);
        share_partition_done(&cut);
    }
    share_partition_done(&play->partition);
    share_partition_init(&play->partition, 0);
    cr_assert_eq(share_partition_decode(&play->partition, bytes_of(out.data, out.len)), 0);
    share_partition_check(&play->partition);
    out_done(&out);
    play->said[0] = 0;
    say_state(play);
    return play->said;
}

TEST(share_partition, a_restart_frees_what_was_held_and_keeps_its_deliveries)
{
    struct play play;
    begin(&play);
    cr_assert_str_eq(restored(&play), " = 0 | | 0");
    STEP("take a 9 from 0: 0-8", "got 0-8 x1 = 0 | 0-8 a1 | 9");
    STEP("say a 0-1 A 2 R 5 J", "ok = 2 | 2 free1 3-4 a1 5 done 6-8 a1 | 9");
    STEP("take b 1 from 2: 2", "got 2 x2 = 2 | 2 b2 3-4 a1 5 done 6-8 a1 | 9");
    cr_assert_str_eq(restored(&play), " = 2 | 2 free2 3-4 free1 5 done 6-8 free1 | 9");
    share_partition_done(&play.partition);
}

/* ---- against a model that keeps every record on its own ------------------------------------- */

enum { RECORDS = 120, MEMBERS = 3, STEPS = 400, ROUNDS = 150 };

struct model {
    uint8_t state[RECORDS];
    uint64_t owner[RECORDS];
    int delivery[RECORDS];
    int64_t deadline[RECORDS];
    bool nothing[RECORDS]; /* what the log has there */
    int batch_end[RECORDS];
    int start, end, log_end;
};

static void model_compare(const struct model *model, const struct share_partition *partition)
{
    cr_assert_eq(partition->start, model->start);
    cr_assert_eq(partition->end, model->end);
    for (struct share_range *range = NULL; (range = share_partition_range_after(partition, range));)
        for (int64_t i = range->first; i <= range->last; i++) {
            cr_assert_eq(range->state, model->state[i]);
            if (range->state != SHARE_DONE)
                cr_assert_eq(range->delivery, model->delivery[i]);
            if (range->state == SHARE_ACQUIRED)
                cr_assert(range->owner == model->owner[i] && range->lock.key == model->deadline[i]);
        }
}

static void model_settle(struct model *model)
{
    while (model->start < model->end && model->state[model->start] == SHARE_DONE)
        model->start++;
}

static void model_free(struct model *model, int at, int delivery_max)
{
    model->state[at] = model->delivery[at] < delivery_max ? SHARE_AVAILABLE : SHARE_DONE;
}

static int64_t model_room(const struct model *model, const struct share_limits *limits)
{
    int64_t used = 0;
    for (int i = model->start; i < model->end; i++)
        used += model->state[i] != SHARE_DONE;
    return limits->records_max - used;
}

/* One by one; returns the records that were had, marked in `had`. */
static void model_acquire(struct model *model, const struct share_want *want,
    const struct share_limits *limits, int64_t now, bool *had)
{
    int64_t taken = 0;
    for (size_t s = 0; s < want->span_count; s++) {
        if (taken >= want->records_max)
            return;
        for (int i = (int)want->spans[s].first; i <= want->spans[s].last; i++) {
            if (i < model->start)
                continue;
            bool fresh = i >= model->end;
            if (want->spans[s].nothing) {
                if (fresh || model->state[i] == SHARE_AVAILABLE)
                    model->state[i] = SHARE_DONE;
                model->end = fresh ? i + 1 : model->end;
                continue;
            }
            if (!fresh && model->state[i] != SHARE_AVAILABLE)
                continue;
            if (fresh && (model_room(model, limits) <= 0))
                return;
            if (want->exact && taken >= want->records_max)
                return;
            model->delivery[i] = fresh ? 0 : model->delivery[i];
            if (model->delivery[i] >= limits->delivery_max) {
                model->state[i] = SHARE_DONE; /* it was held, for the last time, at a restart */
                continue;
            }
            bool last = model->delivery[i] >= 2 && model->delivery[i] + 1 >= limits->delivery_max;
            if (last && taken > 0)
                return;
            model->end = fresh ? i + 1 : model->end;
            model->state[i] = SHARE_ACQUIRED;
            model->owner[i] = want->owner;
            model->delivery[i]++;
            model->deadline[i] = now + limits->lock_ns;
            had[i] = true;
            taken++;
            if (last)
                return;
        }
    }
}

static void random_acquire(struct random *random, struct model *model,
    struct share_partition *partition, const struct share_limits *limits, int64_t now)
{
    struct share_span spans[RECORDS];
    struct share_acquired_list list = { 0 };
    bool had[RECORDS] = { 0 };
    struct share_want want = { .owner = 'a' + random_below(random, MEMBERS),
        .from = share_partition_next(partition),
        .spans = spans,
        .records_max = random_between(random, 1, 20),
        .batch_size = (int32_t)random_between(random, 0, 9),
        .exact = random_chance(random, 1, 2) };
    int at = (int)want.from, to = (int)random_between(random, at, model->log_end);
    while (at < to && model->nothing[at] && random_chance(random, 1, 2))
        at = model->batch_end[at] + 1; /* a hole at the beginning says the same as x */
    while (at < to) {
        spans[want.span_count++] =
            (struct share_span){ at, model->batch_end[at], model->nothing[at] };
        at = model->batch_end[at] + 1;
    }
    if (want.span_count == 0)
        return;
    share_partition_acquire(partition, &want, limits, now, &list);
    for (int i = (int)want.from; i < spans[0].first; i++) {
        if (i >= model->end || model->state[i] == SHARE_AVAILABLE)
            model->state[i] = SHARE_DONE;
        if (i >= model->end)
            model->end = i + 1;
    }
    model_settle(model);
    model_acquire(model, &want, limits, now, had);
    model_settle(model);
    for (size_t i = 0; i < list.count; i++)
        for (int64_t o = list.rows[i].first; o <= list.rows[i].last; o++) {
            cr_assert(had[o]);
            cr_assert_eq(list.rows[i].delivery, model->delivery[o]);
            cr_assert_leq(list.rows[i].delivery, limits->delivery_max);
            had[o] = false;
        }
    for (int i = 0; i < RECORDS; i++)
        cr_assert_not(had[i]);
    mem_free(list.rows);
}

static void random_acknowledge(struct random *random, struct model *model,
    struct share_partition *partition, const struct share_limits *limits, int64_t now)
{
    int8_t answers[RECORDS];
    int first =
        (int)random_below(random, model->end < RECORDS ? (uint64_t)model->end + 1 : RECORDS);
    int last =
        (int)random_between(random, first, first + 12 < RECORDS - 1 ? first + 12 : RECORDS - 1);
    uint64_t owner = 'a' + random_below(random, MEMBERS);
    struct share_ack ack = { .first = first, .last = last, .answers = answers };
    ack.answer_count = random_chance(random, 1, 2) ? 1 : last - first + 1;
    int expected = last >= model->end ? -EINVAL : 0;
    for (int i = 0; i < ack.answer_count; i++)
        answers[i] = (int8_t)random_between(random, SHARE_GAP, SHARE_RENEW);
    for (int i = first; i <= last && !expected; i++) {
        int8_t answer = answers[ack.answer_count == 1 ? 0 : i - first];
        if (i < model->start || (answer == SHARE_GAP && model->state[i] == SHARE_DONE))
            continue;
        if (model->state[i] != SHARE_ACQUIRED || model->owner[i] != owner)
            expected = -EPERM;
    }
    cr_assert_eq(share_partition_acknowledge(partition, owner, &ack, 1, limits, now), expected);
    for (int i = first; i <= last && !expected; i++) {
        int8_t answer = answers[ack.answer_count == 1 ? 0 : i - first];
        if (i < model->start || model->state[i] != SHARE_ACQUIRED)
            continue;
        if (answer == SHARE_RENEW)
            model->deadline[i] = now + limits->lock_ns;
        else if (answer == SHARE_RELEASE)
            model_free(model, i, limits->delivery_max);
        else
            model->state[i] = SHARE_DONE;
    }
    model_settle(model);
}

static void random_other(struct random *random, struct model *model,
    struct share_partition *partition, const struct share_limits *limits, int64_t *now)
{
    uint64_t owner = 'a' + random_below(random, MEMBERS);
    struct out out = { 0 };
    switch (random_below(random, 8)) {
    case 0:
        share_partition_release(partition, owner, limits);
        for (int i = model->start; i < model->end; i++)
            if (model->state[i] == SHARE_ACQUIRED && model->owner[i] == owner)
                model_free(model, i, limits->delivery_max);
        break;
    case 1: /* a restart */
        share_partition_encode(partition, &out);
        share_partition_done(partition);
        share_partition_init(partition, 0);
        cr_assert_eq(share_partition_decode(partition, bytes_of(out.data, out.len)), 0);
        out_done(&out);
        for (int i = model->start; i < model->end; i++)
            if (model->state[i] == SHARE_ACQUIRED)
                model_free(model, i, INT32_MAX);
        break;
    case 2:
        if (random_chance(random, 1, 10) && model->start + 3 <= model->end) {
            model->start += (int)random_below(random, 3);
            share_partition_trim(partition, model->start, RECORDS);
        }
        break;
    default:
        *now += random_between(random, 0, 15);
        share_partition_tick(partition, limits, *now);
        for (int i = model->start; i < model->end; i++)
            if (model->state[i] == SHARE_ACQUIRED && model->deadline[i] <= *now)
                model_free(model, i, limits->delivery_max);
        break;
    }
    model_settle(model);
}

static void random_round(struct random *random)
{
    struct share_limits limits = { random_between(random, 5, 40), 4, 20 };
    struct share_partition partition;
    struct model model = { .log_end = RECORDS };
    int64_t now = 1;
    for (int at = 0; at < RECORDS;) {
        int end = (int)random_between(random, at, at + 9 < RECORDS - 1 ? at + 9 : RECORDS - 1);
        bool nothing = random_chance(random, 1, 5);
        for (int first = at; at <= end; at++) {
            model.batch_end[at] = end;
            model.nothing[at] = nothing;
            (void)first;
        }
    }
    share_partition_init(&partition, 0);
    for (int step = 0; step < STEPS; step++) {
        switch (random_below(random, 4)) {
        case 0: random_acquire(random, &model, &partition, &limits, now); break;
        case 1: random_other(random, &model, &partition, &limits, &now); break;
        default: random_acknowledge(random, &model, &partition, &limits, now); break;
        }
        share_partition_check(&partition);
        model_compare(&model, &partition);
        cr_assert_leq(partition.counts[SHARE_AVAILABLE] + partition.counts[SHARE_ACQUIRED],
            limits.records_max);
    }
    share_partition_done(&partition);
}

TEST(share_partition, does_as_a_model_of_single_records)
{
    struct random random = random_seeded(932);
    for (int round = 0; round < ROUNDS; round++)
        random_round(&random);
}
