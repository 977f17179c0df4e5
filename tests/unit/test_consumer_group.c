/*
 * Groups of the consumer protocol (KIP-848) as transcripts: what members say, what the coordinator
 * answers, time in seconds. The expected text is the specification.
 *
 *   "a(4) has t0 t1: epoch 5, may read t0"   member a, at epoch 4, owns t-0 and t-1; it is told
 *   an epoch and, if anything about it is told, what it may read.
 */
#include "broker/consumer_group.h"
#include "tests/test.h"

#include <stdio.h>
#include <string.h>

#include "broker/consumer_protocol.h"
#include "protocol/base/mem.h"
#include "protocol/base/random.h"
#include "protocol/codec.h"
#include "protocol/error.h"
#include "protocol/messages.h"

#define SECOND INT64_C(1000000000)

enum { TOPICS = 4, MEMBERS = 8 };

struct client {
    char name[16];
    int32_t epoch;
    struct partition_set owned;
    bool joined;
};

struct row {
    char *member; /* NULL: the group's */
    struct bytes value;
};

struct world {
    struct consumer_group *group;
    struct group_owner owner;
    struct consumer_effects effects;
    struct classic_effects classic;
    struct consumer_settings settings;
    struct topic_view view;
    char names[TOPICS][8];
    int32_t partitions[TOPICS];
    uint64_t version;
    struct client clients[MEMBERS];
    struct out said;
    struct row rows[32];
    size_t row_count;
    int64_t now;
    int ids;
    int16_t persist_error;
    bool downgraded;
};

/* ---- the surroundings ---- */

static uint64_t view_version(void *context)
{
    return ((struct world *)context)->version;
}

static bool topic_fill(struct world *w, int t, struct topic_facts *facts)
{
    *facts = (struct topic_facts){ w->names[t], { { (uint8_t)(t + 1) } }, w->partitions[t] };
    return w->partitions[t] > 0;
}

static bool view_by_name(void *context, struct bytes name, struct topic_facts *facts)
{
    struct world *w = context;
    for (int t = 0; t < TOPICS; t++)
        if (bytes_equal_text(name, w->names[t]))
            return topic_fill(w, t, facts);
    return false;
}

static bool view_by_id(void *context, const struct uuid *id, struct topic_facts *facts)
{
    return id->b[0] >= 1 && id->b[0] <= TOPICS && topic_fill(context, id->b[0] - 1, facts);
}

static bool view_next(void *context, const char *after, struct topic_facts *facts)
{
    struct world *w = context;
    for (int t = 0; t < TOPICS; t++)
        if ((!after || strcmp(w->names[t], after) > 0) && topic_fill(w, t, facts))
            return true;
    return false;
}

static void row_put(struct world *w, const char *member, struct bytes value)
{
    size_t i = 0;
    for (; i < w->row_count; i++)
        if (!member == !w->rows[i].member && (!member || strcmp(member, w->rows[i].member) == 0))
            break;
    if (i == w->row_count) {
        cr_assert_lt(w->row_count, ARRAY_COUNT(w->rows));
        w->rows[w->row_count++].member = member ? mem_strdup(member) : NULL;
    } else {
        mem_free((void *)(uintptr_t)w->rows[i].value.data);
    }
    w->rows[i].value =
        value.data ? bytes_of(mem_strndup((const char *)value.data, value.len), value.len) : value;
}

static void put_group(void *context, struct bytes value)
{
    row_put(context, NULL, value);
}

static void put_member(void *context, const char *member, struct bytes value)
{
    row_put(context, member, value);
}

static int16_t persist(void *context, struct group *group)
{
    struct world *w = context;
    struct group_rows rows = { w, put_group, put_member };
    if (w->persist_error)
        return w->persist_error;
    group->operations->save(group, &rows, false);
    if (group->operations->saved)
        group->operations->saved(group);
    return KAFKA_ERROR_NONE;
}

static void no_schedule(void *context, struct group *group)
{
    (void)context;
    (void)group;
}

static void next_id(void *context, struct bytes prefix, char *to, size_t size)
{
    struct world *w = context;
    (void)snprintf(to, size, "%.*s-%d", (int)prefix.len, (const char *)prefix.data, ++w->ids);
}

static void settings(void *context, const struct group *group, struct consumer_settings *ret)
{
    (void)group;
    *ret = ((struct world *)context)->settings;
}

static void downgrade(void *context, struct group *group, int64_t now)
{
    struct world *w = context;
    (void)group;
    (void)now;
    w->downgraded = true;
}

static void say_set(struct world *w, const struct partition_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        out_printf(&w->said, " %s%d", w->names[set->items[i].topic.b[0] - 1], set->items[i].index);
    if (set->count == 0)
        out_text(&w->said, " nothing");
}

static void say_time(struct world *w)
{
    out_printf(&w->said, "%lld: ", (long long)(w->now / SECOND));
}

static void say_join(
    void *context, struct group *group, void *token, const struct classic_join_answer *answer)
{
    struct world *w = context;
    (void)group;
    (void)token;
    say_time(w);
    if (answer->error)
        out_printf(&w->said, "join: %s, id %s\n", error_name(answer->error), answer->member_id);
    else
        out_printf(&w->said, "%s joined: generation %d, %s, leader '%s'\n", answer->member_id,
            answer->generation, answer->protocol_name, answer->leader);
}

static void say_sync(
    void *context, struct group *group, void *token, const struct classic_sync_answer *answer)
{
    struct world *w = context;
    struct partition_set set = { 0 };
    (void)group;
    say_time(w);
    out_printf(&w->said, "%s synced: ", (const char *)token);
    if (answer->error) {
        out_printf(&w->said, "%s\n", error_name(answer->error));
        return;
    }
    cr_assert_eq(consumer_assignment_read(answer->assignment, &w->view, &set), 0);
    out_printf(&w->said, "%s, may read", answer->protocol_name);
    say_set(w, &set);
    out_text(&w->said, "\n");
    partition_set_done(&set);
}

static const char *const assignors[] = { "uniform", "range" };

static void world_init(struct world *w)
{
    *w = (struct world){ .partitions = { 3, 2 }, .version = 1 };
    for (int t = 0; t < TOPICS; t++)
        (void)snprintf(w->names[t], sizeof(w->names[t]), "%c", "tuvx"[t]);
    w->owner = (struct group_owner){ .context = w,
        .persist = persist,
        .schedule = no_schedule,
        .member_id = next_id,
        .bytes_max = 1000000 };
    w->settings = (struct consumer_settings){ .session_timeout_ms = 45000,
        .heartbeat_interval_ms = 5000,
        .classic_session_min_ms = 6000,
        .classic_session_max_ms = 1800000,
        .members_max = 5,
        .assignors = assignors,
        .assignor_count = 2,
        .downgrade = true };
    w->view = (struct topic_view){ w, view_version, view_by_name, view_by_id, view_next };
    w->classic = (struct classic_effects){ w, say_join, say_sync };
    w->effects = (struct consumer_effects){ w, settings, downgrade, &w->view, &w->classic };
    w->group = consumer_group_create(bytes_text("g"), &w->owner, &w->effects);
    w->group->epoch = 0; /* so that the first epoch is 1; where they begin means nothing */
}

static void world_done(struct world *w)
{
    w->group->base.operations->destroy(&w->group->base);
    cr_assert_eq(w->owner.bytes, 0);
    for (int c = 0; c < MEMBERS; c++)
        partition_set_done(&w->clients[c].owned);
    for (size_t i = 0; i < w->row_count; i++) {
        mem_free(w->rows[i].member);
        mem_free((void *)(uintptr_t)w->rows[i].value.data);
    }
    out_done(&w->said);
}

static void pass(struct world *w, int64_t seconds)
{
    int64_t until = w->now + seconds * SECOND, next;
    while ((next = group_next_deadline(&w->group->base)) <= until) {
        w->now = next;
        group_tick(&w->group->base, w->now);
    }
    w->now = until;
}

static void expect(struct world *w, const char *text)
{
    out_bytes(&w->said, "", 1);
    cr_assert_str_eq((char *)w->said.data, text);
    w->said.len = 0;
}

/* No partition is in two members' hands, and no epoch is above the assignment's. */
static void check(const struct world *w)
{
    list_foreach (x, &w->group->members) {
        const struct consumer_member *a = list_entry(x, struct consumer_member, link);
        cr_assert_leq(a->epoch, w->group->assignment_epoch);
        cr_assert(!partition_set_meets(&a->assigned, &a->revoking));
        list_foreach (y, &w->group->members) {
            const struct consumer_member *b = list_entry(y, struct consumer_member, link);
            cr_assert(a == b || (!partition_set_meets(&a->assigned, &b->assigned) &&
                                    !partition_set_meets(&a->assigned, &b->revoking) &&
                                    !partition_set_meets(&a->revoking, &b->revoking)));
        }
    }
}

/* ---- members ---- */

static struct client *client_of(struct world *w, const char *name)
{
    for (int c = 0; c < MEMBERS; c++) {
        struct client *client = &w->clients[c];
        if (!client->name[0])
            (void)snprintf(client->name, sizeof(client->name), "%s", name);
        if (strcmp(client->name, name) == 0)
            return client;
    }
    cr_assert_fail("too many clients");
    return NULL;
}

struct extra {
    const char *instance, *regex, *assignor;
    const char *names[3];
    bool keeps;  /* does not take what it is told as its own at once */
    bool silent; /* does not say what it has */
};

static void beat(struct world *w, const char *name, int32_t epoch, struct extra extra)
{
    struct client *client = client_of(w, name);
    struct consumer_answer answer;
    struct bytes names[3];
    size_t count = 0;
    for (; count < 3 && extra.names[count]; count++)
        names[count] = bytes_text(extra.names[count]);
    if (epoch == 0)
        partition_set_clear(&client->owned);
    struct consumer_heartbeat heartbeat = {
        .member_id = bytes_text(name),
        .epoch = epoch,
        .instance_id = extra.instance ? bytes_text(extra.instance) : (struct bytes){ 0 },
        .client_id = bytes_text("client"),
        .client_host = "/127.0.0.1",
        .rebalance_timeout_ms = epoch == 0 ? 60000 : -1,
        .names = count || epoch == 0 ? names : NULL,
        .name_count = count,
        .regex = extra.regex ? bytes_text(extra.regex) : (struct bytes){ 0 },
        .assignor = extra.assignor ? bytes_text(extra.assignor) : (struct bytes){ 0 },
        .owned = extra.silent ? NULL : &client->owned,
    };
    say_time(w);
    out_printf(&w->said, "%s(%d)", name, epoch);
    if (epoch > 0 && !extra.silent) {
        out_text(&w->said, " has");
        say_set(w, &client->owned);
    }
    consumer_group_heartbeat(w->group, &heartbeat, w->now, &answer);
    check(w);
    if (answer.error) {
        out_printf(&w->said, ": %s\n", error_name(answer.error));
        return;
    }
    client->epoch = answer.epoch;
    out_printf(&w->said, ": epoch %d", answer.epoch);
    if (answer.assigned) {
        out_text(&w->said, ", may read");
        say_set(w, answer.assigned);
        if (!extra.keeps)
            partition_set_copy(&client->owned, answer.assigned);
    }
    out_text(&w->said, "\n");
}

static void join(struct world *w, const char *name, const char *topic)
{
    beat(w, name, 0, (struct extra){ .names = { topic } });
}

static void go_on(struct world *w, const char *name)
{
    beat(w, name, client_of(w, name)->epoch, (struct extra){ 0 });
}

static void keep_on(struct world *w, const char *name)
{
    beat(w, name, client_of(w, name)->epoch, (struct extra){ .keeps = true });
}

TEST(consumer_group, a_second_member_waits_for_what_the_first_gives_up)
{
    struct world w;
    world_init(&w);
    cr_assert_str_eq(consumer_group_state_name(w.group), "Empty");
    join(&w, "a", "t");
    cr_assert_str_eq(consumer_group_state_name(w.group), "Stable");
    join(&w, "b", "t");
    cr_assert_str_eq(consumer_group_state_name(w.group), "Reconciling");
    /* a is told to give one up, and stays at its epoch until it did. */
    keep_on(&w, "a");
    go_on(&w, "b");
    keep_on(&w, "a");
    partition_set_copy(
        &client_of(&w, "a")->owned, &consumer_group_member(w.group, bytes_text("a"))->assigned);
    go_on(&w, "a");
    go_on(&w, "b");
    cr_assert_str_eq(consumer_group_state_name(w.group), "Stable");
    go_on(&w, "a");
    expect(&w, "0: a(0): epoch 1, may read t0 t1 t2\n"
               "0: b(0): epoch 2, may read nothing\n"
               "0: a(1) has t0 t1 t2: epoch 1, may read t1 t2\n"
               "0: b(2) has nothing: epoch 2\n"
               "0: a(1) has t0 t1 t2: epoch 1\n"
               "0: a(1) has t1 t2: epoch 2\n"
               "0: b(2) has nothing: epoch 2, may read t0\n"
               "0: a(2) has t1 t2: epoch 2\n");
    world_done(&w);
}

TEST(consumer_group, who_does_not_give_up_in_time_is_fenced)
{
    struct world w;
    world_init(&w);
    join(&w, "a", "t");
    join(&w, "b", "t");
    keep_on(&w, "a");
    for (int i = 0; i < 6; i++) {
        pass(&w, 10);
        w.said.len = 0;
        keep_on(&w, "a");
        keep_on(&w, "b");
    }
    /* The rebalance timeout is 60 s from when it was asked. */
    go_on(&w, "b");
    expect(&w, "60: a(1) has t0 t1 t2: UNKNOWN_MEMBER_ID\n"
               "60: b(2) has nothing: epoch 3, may read t0 t1 t2\n"
               "60: b(3) has nothing: epoch 3\n");
    world_done(&w);
}

TEST(consumer_group, who_gave_up_in_time_has_time_to_give_up_more)
{
    struct world w;
    world_init(&w);
    join(&w, "a", "t");
    join(&w, "b", "t");
    keep_on(&w, "a"); /* from now on it has 60 s to give up one */
    pass(&w, 30);
    keep_on(&w, "a");
    keep_on(&w, "b");
    join(&w, "c", "t");
    pass(&w, 20);
    keep_on(&w, "b");
    keep_on(&w, "c");
    w.said.len = 0;
    partition_set_copy(
        &client_of(&w, "a")->owned, &consumer_group_member(w.group, bytes_text("a"))->assigned);
    keep_on(&w, "a"); /* it did, and is to give up another one */
    pass(&w, 20);
    keep_on(&w, "b");
    keep_on(&w, "c");
    go_on(&w, "a");
    expect(&w, "50: a(1) has t1 t2: epoch 2, may read t2\n"
               "70: b(3) has nothing: epoch 3, may read t0\n"
               "70: c(3) has nothing: epoch 3\n"
               "70: a(2) has t1 t2: epoch 2\n");
    world_done(&w);
}

TEST(consumer_group, who_is_silent_for_its_session_is_out)
{
    struct world w;
    world_init(&w);
    join(&w, "a", "t");
    join(&w, "b", "u");
    pass(&w, 44);
    go_on(&w, "b");
    pass(&w, 2);
    go_on(&w, "a");
    beat(&w, "b", 2, (struct extra){ .names = { "t", "u" } });
    pass(&w, 100);
    cr_assert_str_eq(consumer_group_state_name(w.group), "Empty");
    expect(&w, "0: a(0): epoch 1, may read t0 t1 t2\n"
               "0: b(0): epoch 2, may read u0 u1\n"
               "44: b(2) has u0 u1: epoch 2\n"
               "46: a(1) has t0 t1 t2: UNKNOWN_MEMBER_ID\n"
               "46: b(2) has u0 u1: epoch 4, may read t0 t1 t2 u0 u1\n");
    world_done(&w);
}

TEST(consumer_group, epochs_that_do_not_fit_are_fenced)
{
    struct world w;
    world_init(&w);
    join(&w, "a", "t");
    beat(&w, "a", 2, (struct extra){ 0 });
    beat(&w, "x", 1, (struct extra){ 0 });
    beat(&w, "a", 1, (struct extra){ .names = { "u" }, .keeps = true });
    /* It gives up what it was told to; then the answer with the next epoch is lost. */
    partition_set_clear(&client_of(&w, "a")->owned);
    beat(&w, "a", 1, (struct extra){ .keeps = true });
    beat(&w, "a", 1, (struct extra){ .keeps = true });
    struct uuid t = { { 1 } };
    partition_set_add(&client_of(&w, "a")->owned, &t, 0, 0);
    beat(&w, "a", 1, (struct extra){ .keeps = true });
    join(&w, "a", "u");
    expect(&w, "0: a(0): epoch 1, may read t0 t1 t2\n"
               "0: a(2) has t0 t1 t2: FENCED_MEMBER_EPOCH\n"
               "0: x(1) has nothing: UNKNOWN_MEMBER_ID\n"
               "0: a(1) has t0 t1 t2: epoch 1, may read nothing\n"
               "0: a(1) has nothing: epoch 2, may read u0 u1\n"
               "0: a(1) has nothing: epoch 2\n"
               "0: a(1) has t0: FENCED_MEMBER_EPOCH\n"
               "0: a(0): epoch 2, may read u0 u1\n");
    world_done(&w);
}

TEST(consumer_group, a_static_member_comes_back_to_what_it_had)
{
    struct world w;
    world_init(&w);
    struct extra first = { .instance = "i", .names = { "t" } };
    beat(&w, "a", 0, first);
    beat(&w, "b", 0, first);
    beat(&w, "b", 1, (struct extra){ .instance = "i" });
    beat(&w, "b", 1, (struct extra){ .instance = "j" });
    beat(&w, "a", -2, (struct extra){ .instance = "i" });
    beat(&w, "b", 0, first);
    beat(&w, "a", 1, (struct extra){ .instance = "i" });
    go_on(&w, "b");
    beat(&w, "b", -2, (struct extra){ .instance = "i" });
    pass(&w, 46);
    expect(&w, "0: a(0): epoch 1, may read t0 t1 t2\n"
               "0: b(0): UNRELEASED_INSTANCE_ID\n"
               "0: b(1) has nothing: FENCED_INSTANCE_ID\n"
               "0: b(1) has nothing: UNKNOWN_MEMBER_ID\n"
               "0: a(-2): epoch -2\n"
               "0: b(0): epoch 1, may read t0 t1 t2\n"
               "0: a(1) has t0 t1 t2: FENCED_INSTANCE_ID\n"
               "0: b(1) has t0 t1 t2: epoch 1\n"
               "0: b(-2): epoch -2\n");
    cr_assert_eq(w.group->member_count, 0, "a place is kept for a session, not longer");
    world_done(&w);
}

TEST(consumer_group, leaving_frees_what_one_had)
{
    struct world w;
    world_init(&w);
    join(&w, "a", "t");
    join(&w, "b", "t");
    beat(&w, "a", -1, (struct extra){ 0 });
    go_on(&w, "b");
    beat(&w, "a", -1, (struct extra){ 0 });
    beat(&w, "b", -1, (struct extra){ 0 });
    expect(&w, "0: a(0): epoch 1, may read t0 t1 t2\n"
               "0: b(0): epoch 2, may read nothing\n"
               "0: a(-1): epoch -1\n"
               "0: b(2) has nothing: epoch 3, may read t0 t1 t2\n"
               "0: a(-1): UNKNOWN_MEMBER_ID\n"
               "0: b(-1): epoch -1\n");
    cr_assert_str_eq(consumer_group_state_name(w.group), "Empty");
    world_done(&w);
}

static void topic_set(struct world *w, int t, int32_t partitions)
{
    w->partitions[t] = partitions;
    w->version++;
}

TEST(consumer_group, topics_that_change_make_a_new_assignment)
{
    struct world w;
    world_init(&w);
    beat(&w, "a", 0, (struct extra){ .names = { "t", "v" } });
    topic_set(&w, 0, 4); /* grows */
    go_on(&w, "a");
    topic_set(&w, 2, 1); /* is made */
    go_on(&w, "a");
    topic_set(&w, 3, 9); /* nobody wants it */
    go_on(&w, "a");
    topic_set(&w, 0, 0); /* is deleted */
    go_on(&w, "a");
    go_on(&w, "a");
    expect(&w, "0: a(0): epoch 1, may read t0 t1 t2\n"
               "0: a(1) has t0 t1 t2: epoch 2, may read t0 t1 t2 t3\n"
               "0: a(2) has t0 t1 t2 t3: epoch 3, may read t0 t1 t2 t3 v0\n"
               "0: a(3) has t0 t1 t2 t3 v0: epoch 3\n"
               "0: a(3) has t0 t1 t2 t3 v0: epoch 3, may read v0\n"
               "0: a(3) has v0: epoch 4\n");
    world_done(&w);
}

TEST(consumer_group, an_expression_follows_the_topics)
{
    struct world w;
    world_init(&w);
    beat(&w, "a", 0, (struct extra){ .regex = "[tv]" });
    topic_set(&w, 2, 1);
    go_on(&w, "a");
    beat(&w, "a", 2, (struct extra){ .regex = "u|nothing", .keeps = true });
    beat(&w, "a", 2, (struct extra){ .regex = "(" });
    beat(&w, "b", 0, (struct extra){ .regex = "(?:" });
    beat(&w, "c", 0, (struct extra){ .regex = "t", .names = { "v" } });
    expect(&w, "0: a(0): epoch 1, may read t0 t1 t2\n"
               "0: a(1) has t0 t1 t2: epoch 2, may read t0 t1 t2 v0\n"
               "0: a(2) has t0 t1 t2 v0: epoch 2, may read nothing\n"
               "0: a(2) has t0 t1 t2 v0: INVALID_REGULAR_EXPRESSION\n"
               "0: b(0): INVALID_REGULAR_EXPRESSION\n"
               "0: c(0): epoch 4, may read nothing\n");
    cr_assert(group_is_subscribed(&w.group->base, bytes_text("u")));
    cr_assert(group_is_subscribed(&w.group->base, bytes_text("v")));
    cr_assert(!group_is_subscribed(&w.group->base, bytes_text("x")));
    world_done(&w);
}

TEST(consumer_group, expressions_that_nobody_has_any_more_take_no_memory)
{
    struct world w;
    world_init(&w);
    beat(&w, "a", 0, (struct extra){ .regex = "t1" });
    size_t bytes = w.owner.bytes;
    for (int i = 0; i < 20; i++) {
        char regex[8];
        (void)snprintf(regex, sizeof(regex), "x%c", 'a' + i);
        beat(&w, "a", client_of(&w, "a")->epoch, (struct extra){ .regex = regex });
    }
    cr_assert_eq(w.owner.bytes, bytes);
    world_done(&w);
}

TEST(consumer_group, the_assignor_that_most_name_is_used)
{
    struct world w;
    world_init(&w);
    beat(&w, "a", 0, (struct extra){ .names = { "t" } });
    cr_assert_str_eq(consumer_group_assignor(w.group), "uniform");
    beat(&w, "b", 0, (struct extra){ .names = { "t" }, .assignor = "range" });
    cr_assert_str_eq(consumer_group_assignor(w.group), "range");
    beat(&w, "c", 0, (struct extra){ .names = { "t" }, .assignor = "uniform" });
    beat(&w, "a", 1, (struct extra){ .assignor = "uniform" });
    cr_assert_str_eq(consumer_group_assignor(w.group), "uniform");
    world_done(&w);
}

TEST(consumer_group, assignments_keep_a_distance)
{
    struct world w;
    world_init(&w);
    w.settings.assignment_interval_ms = 10000;
    join(&w, "a", "t");
    pass(&w, 2);
    join(&w, "b", "t");
    cr_assert_str_eq(consumer_group_state_name(w.group), "Assigning");
    pass(&w, 5);
    go_on(&w, "a");
    pass(&w, 5);
    go_on(&w, "a");
    go_on(&w, "a");
    go_on(&w, "b");
    expect(&w, "0: a(0): epoch 1, may read t0 t1 t2\n"
               "2: b(0): epoch 1, may read nothing\n"
               "7: a(1) has t0 t1 t2: epoch 1\n"
               "12: a(1) has t0 t1 t2: epoch 1, may read t1 t2\n"
               "12: a(1) has t1 t2: epoch 2\n"
               "12: b(1) has nothing: epoch 2, may read t0\n");
    world_done(&w);
}

TEST(consumer_group, what_is_still_to_be_given_up_is_not_forgotten)
{
    struct world w;
    world_init(&w);
    join(&w, "a", "t");
    join(&w, "b", "t");
    keep_on(&w, "a");
    /* It wants more now, and still has what it was to give up: b does not get that yet. */
    beat(&w, "a", 1, (struct extra){ .names = { "t", "u" }, .keeps = true });
    go_on(&w, "b");
    /* A third one joins: what a gives up was the first half of it. */
    join(&w, "c", "t");
    struct uuid t = { { 1 } };
    partition_set_clear(&client_of(&w, "a")->owned);
    partition_set_add(&client_of(&w, "a")->owned, &t, 1, 0);
    partition_set_add(&client_of(&w, "a")->owned, &t, 2, 0);
    keep_on(&w, "a");
    go_on(&w, "b");
    partition_set_clear(&client_of(&w, "a")->owned);
    partition_set_add(&client_of(&w, "a")->owned, &t, 2, 0);
    /* Now it has given up all that it was told, and there is more by now: one epoch on. */
    go_on(&w, "a");
    go_on(&w, "a");
    expect(&w, "0: a(0): epoch 1, may read t0 t1 t2\n"
               "0: b(0): epoch 2, may read nothing\n"
               "0: a(1) has t0 t1 t2: epoch 1, may read t1 t2\n"
               "0: a(1) has t0 t1 t2: epoch 1, may read t2\n"
               "0: b(2) has nothing: epoch 3\n"
               "0: c(0): epoch 4, may read nothing\n"
               "0: a(1) has t1 t2: epoch 1\n"
               "0: b(3) has nothing: epoch 4\n"
               "0: a(1) has t2: epoch 2, may read nothing\n"
               "0: a(2) has nothing: epoch 4, may read u0 u1\n");
    world_done(&w);
}

TEST(consumer_group, a_group_is_full_at_its_size)
{
    struct world w;
    world_init(&w);
    w.settings.members_max = 1;
    join(&w, "a", "t");
    join(&w, "b", "t");
    join(&w, "a", "u");
    w.settings.members_max = 5;
    w.owner.bytes_max = w.owner.bytes + 100;
    join(&w, "b", "t");
    expect(&w, "0: a(0): epoch 1, may read t0 t1 t2\n"
               "0: b(0): GROUP_MAX_SIZE_REACHED\n"
               "0: a(0): epoch 2, may read u0 u1\n"
               "0: b(0): GROUP_MAX_SIZE_REACHED\n");
    world_done(&w);
}

TEST(consumer_group, what_could_not_be_kept_is_told_later)
{
    struct world w;
    world_init(&w);
    w.persist_error = KAFKA_ERROR_COORDINATOR_NOT_AVAILABLE;
    join(&w, "a", "t");
    w.persist_error = 0;
    join(&w, "a", "t");
    go_on(&w, "a");
    expect(&w, "0: a(0): COORDINATOR_NOT_AVAILABLE\n"
               "0: a(0): epoch 1, may read t0 t1 t2\n"
               "0: a(1) has t0 t1 t2: epoch 1\n");
    cr_assert_eq(w.row_count, 2, "the group's row and a's");
    world_done(&w);
}

/* Clients say everything again behind an error; who does not is told what it missed all the same.
 */
TEST(consumer_group, what_an_error_hid_is_told_by_the_next_answer)
{
    struct world w;
    world_init(&w);
    join(&w, "a", "t");
    join(&w, "b", "t");
    w.persist_error = KAFKA_ERROR_COORDINATOR_NOT_AVAILABLE;
    beat(&w, "a", 1, (struct extra){ .silent = true });
    w.persist_error = 0;
    beat(&w, "a", 1, (struct extra){ .silent = true });
    w.persist_error = KAFKA_ERROR_COORDINATOR_NOT_AVAILABLE;
    go_on(&w, "a");
    join(&w, "c", "u");
    beat(&w, "a", 1, (struct extra){ .silent = true });
    beat(&w, "b", 2, (struct extra){ .silent = true });
    w.persist_error = 0;
    pass(&w, 1);
    beat(&w, "a", 1, (struct extra){ .silent = true });
    beat(&w, "b", 2, (struct extra){ .silent = true });
    beat(&w, "b", 3, (struct extra){ .silent = true });
    beat(&w, "b", 2, (struct extra){ .silent = true });
    expect(&w, "0: a(0): epoch 1, may read t0 t1 t2\n"
               "0: b(0): epoch 2, may read nothing\n"
               "0: a(1): COORDINATOR_NOT_AVAILABLE\n"
               "0: a(1): epoch 1, may read t1 t2\n"
               "0: a(1) has t1 t2: COORDINATOR_NOT_AVAILABLE\n"
               "0: c(0): COORDINATOR_NOT_AVAILABLE\n"
               "0: a(1): COORDINATOR_NOT_AVAILABLE\n"
               "0: b(2): COORDINATOR_NOT_AVAILABLE\n"
               "1: a(1): epoch 3, may read t1 t2\n"
               "1: b(2): epoch 3, may read t0\n"
               "1: b(3): epoch 3\n"
               "1: b(2): FENCED_MEMBER_EPOCH\n");
    world_done(&w);
}

/* ---- random lives ---- */

struct walk {
    struct random random;
    size_t heartbeats, fences, handed_over;
};

/* A client as they are: it gives up what it is told to after a while, joins again when it is
 * fenced, and an answer may be lost. */
static void walk_beat(struct world *w, struct walk *walk, struct client *client)
{
    struct consumer_answer answer;
    struct bytes names[2] = { bytes_text("t"), bytes_text("u") };
    bool first = !client->joined;
    if (first)
        partition_set_clear(&client->owned);
    struct consumer_heartbeat heartbeat = {
        .member_id = bytes_text(client->name),
        .epoch = first ? 0 : client->epoch,
        .client_host = "/h",
        .rebalance_timeout_ms = 60000,
        .names = names,
        .name_count = 1 + random_below(&walk->random, 2),
        .owned = &client->owned,
    };
    if (!first && random_chance(&walk->random, 4, 5)) {
        heartbeat.names = NULL;
        heartbeat.name_count = 0;
    }
    consumer_group_heartbeat(w->group, &heartbeat, w->now, &answer);
    check(w);
    walk->heartbeats++;
    if (answer.error) {
        walk->fences++;
        client->joined = false;
        return;
    }
    if (random_chance(&walk->random, 1, 10))
        return; /* the answer is lost */
    walk->handed_over += answer.assigned && answer.assigned->count > client->owned.count;
    client->joined = true;
    client->epoch = answer.epoch;
    if (answer.assigned)
        partition_set_copy(&client->owned, answer.assigned);
}

static void walk_step(struct world *w, struct walk *walk)
{
    struct client *client = &w->clients[random_below(&walk->random, MEMBERS)];
    switch (random_below(&walk->random, 20)) {
    case 0:
        if (client->joined)
            beat(w, client->name, -1, (struct extra){ 0 });
        client->joined = false;
        break;
    case 1: topic_set(w, 0, 1 + (int32_t)random_below(&walk->random, 9)); break;
    case 2: pass(w, (int64_t)random_below(&walk->random, 20)); break;
    case 3: client->joined = false; break; /* its process ended; it may come again */
    case 4: w->persist_error = random_chance(&walk->random, 1, 2) ? 15 : 0; break;
    default: walk_beat(w, walk, client); break;
    }
    w->said.len = 0;
}

/* Nobody who reads reads what another may: what a client owns and was not told to give up lies in
 * what the group says it has. */
static void walk_owns(const struct world *w)
{
    list_foreach (node, &w->group->members) {
        const struct consumer_member *member = list_entry(node, struct consumer_member, link);
        for (int c = 0; c < MEMBERS; c++) {
            const struct client *client = &w->clients[c];
            if (!client->joined || strcmp(client->name, member->id) != 0 ||
                client->epoch != member->epoch)
                continue;
            for (size_t i = 0; i < client->owned.count; i++) {
                const struct partition_id *item = &client->owned.items[i];
                cr_assert(partition_set_find(&member->assigned, &item->topic, item->index) ||
                          partition_set_find(&member->revoking, &item->topic, item->index));
            }
        }
    }
}

/* Left alone, with everybody sending heartbeats, all are where they are to be after a few rounds.
 */
static void walk_settle(struct world *w, struct walk *walk)
{
    w->persist_error = 0;
    for (int round = 0; round < 60; round++) {
        pass(w, 3);
        for (int c = 0; c < MEMBERS; c++) {
            if (!w->clients[c].joined)
                continue;
            beat(w, w->clients[c].name, w->clients[c].epoch, (struct extra){ 0 });
            w->said.len = 0;
        }
        walk_owns(w);
    }
    (void)walk;
    size_t given = 0, wanted = 0;
    bool anybody = w->group->member_count > 0, u = false;
    list_foreach (node, &w->group->members) {
        const struct consumer_member *member = list_entry(node, struct consumer_member, link);
        cr_assert_eq(member->state, CONSUMER_STABLE);
        given += member->assigned.count;
        u |= name_list_has(&member->names, bytes_text("u"));
    }
    wanted = (size_t)w->partitions[0] + (u ? (size_t)w->partitions[1] : 0);
    cr_assert_str_eq(consumer_group_state_name(w->group), anybody ? "Stable" : "Empty");
    cr_assert_eq(given, anybody ? wanted : 0);
}

TEST(consumer_group, whatever_members_do_nobody_shares_and_all_come_to_rest)
{
    struct walk all = { 0 };
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct world w;
        struct walk walk = { .random = random_seeded(seed) };
        world_init(&w);
        w.settings.members_max = MEMBERS;
        for (int c = 0; c < MEMBERS; c++)
            (void)snprintf(w.clients[c].name, sizeof(w.clients[c].name), "m%d", c);
        w.settings.assignment_interval_ms = seed % 2 ? 0 : 1000;
        for (int i = 0; i < 400; i++) {
            int32_t epoch = w.group->epoch;
            walk_step(&w, &walk);
            walk_owns(&w);
            cr_assert_geq(w.group->epoch, epoch);
        }
        walk_settle(&w, &walk);
        all.heartbeats += walk.heartbeats;
        all.fences += walk.fences;
        all.handed_over += walk.handed_over;
        world_done(&w);
    }
    cr_assert_gt(all.heartbeats, 10000);
    cr_assert_gt(all.fences, 100);
    cr_assert_gt(all.handed_over, 1000);
}

/* ---- offsets ---- */

static const char *commits(struct world *w, const char *member, int32_t epoch, int version, int t)
{
    struct group *base = &w->group->base;
    struct group_offset_client client = {
        .member_id = bytes_text(member), .epoch = epoch, .version = (int16_t)version
    };
    struct uuid topic = { { 1 } };
    int16_t error = base->operations->check_commit(base, &client, w->now);
    if (!error && client.by_partition)
        error = base->operations->check_commit_partition(base, &client, &topic, t);
    return error_name(error);
}

static const char *fetches(struct world *w, const char *member, int32_t epoch)
{
    struct group_offset_client client = {
        .member_id = member ? bytes_text(member) : (struct bytes){ 0 }, .epoch = epoch
    };
    return error_name(w->group->base.operations->check_fetch(&w->group->base, &client));
}

TEST(consumer_group, offsets_are_for_members_of_this_epoch)
{
    struct world w;
    world_init(&w);
    cr_assert_str_eq(commits(&w, "", -1, 9, 0), "NONE", "nobody is there");
    join(&w, "a", "t");
    cr_assert_str_eq(commits(&w, "", -1, 9, 0), "UNKNOWN_MEMBER_ID");
    cr_assert_str_eq(commits(&w, "x", 1, 9, 0), "UNKNOWN_MEMBER_ID");
    cr_assert_str_eq(commits(&w, "a", 1, 8, 0), "UNSUPPORTED_VERSION");
    cr_assert_str_eq(commits(&w, "a", 1, 9, 0), "NONE");
    cr_assert_str_eq(commits(&w, "a", 2, 9, 0), "STALE_MEMBER_EPOCH");
    cr_assert_str_eq(fetches(&w, NULL, -1), "NONE");
    cr_assert_str_eq(fetches(&w, "", -1), "UNKNOWN_MEMBER_ID");
    cr_assert_str_eq(fetches(&w, "a", 1), "NONE");
    cr_assert_str_eq(fetches(&w, "a", 2), "STALE_MEMBER_EPOCH");
    cr_assert_str_eq(fetches(&w, "x", 1), "UNKNOWN_MEMBER_ID");
    beat(&w, "a", 1, (struct extra){ .names = { "t", "u" } });
    topic_set(&w, 0, 4);
    go_on(&w, "a");
    /* It is at 3 and commits with 1: what it had then it still has; the new one it had not. */
    cr_assert_eq(client_of(&w, "a")->epoch, 3);
    cr_assert_str_eq(commits(&w, "a", 1, 9, 0), "NONE");
    cr_assert_str_eq(commits(&w, "a", 1, 9, 3), "STALE_MEMBER_EPOCH");
    cr_assert_str_eq(commits(&w, "a", 3, 9, 3), "NONE");
    cr_assert_str_eq(commits(&w, "a", 1, 9, 9), "STALE_MEMBER_EPOCH");
    cr_assert_str_eq(fetches(&w, "a", 1), "STALE_MEMBER_EPOCH");
    world_done(&w);
}

/* ---- the durable form ---- */

static int load(struct world *from, struct world *to, const struct row *cut, size_t cut_len)
{
    const struct group_operations *operations = to->group->base.operations;
    struct bytes group = { 0 };
    for (size_t i = 0; i < from->row_count; i++)
        if (!from->rows[i].member)
            group = &from->rows[i] == cut ? bytes_of(from->rows[i].value.data, cut_len)
                                          : from->rows[i].value;
    int status = operations->load(&to->group->base, group, 0);
    for (size_t i = 0; !status && i < from->row_count; i++) {
        struct row *row = &from->rows[i];
        struct bytes value = row == cut ? bytes_of(row->value.data, cut_len) : row->value;
        if (row->member && row->value.data)
            status = operations->load_member(&to->group->base, bytes_text(row->member), value, 0);
    }
    return status;
}

static void everything(struct world *w)
{
    world_init(w);
    beat(w, "a", 0, (struct extra){ .instance = "i", .names = { "t", "u" }, .assignor = "range" });
    beat(w, "b", 0, (struct extra){ .regex = "t|u" });
    keep_on(w, "a"); /* a has something to give up */
    join(w, "c", "t");
    beat(w, "c", -1, (struct extra){ 0 });
    w->said.len = 0;
}

TEST(consumer_group, what_is_stored_comes_back_and_heartbeats_go_on)
{
    struct world w, again;
    everything(&w);
    world_init(&again);
    cr_assert_eq(load(&w, &again, NULL, 0), 0);
    memcpy(again.clients, w.clients, sizeof(again.clients));
    memset(w.clients, 0, sizeof(w.clients));
    cr_assert_eq(again.group->member_count, 2);
    cr_assert_str_eq(consumer_group_state_name(again.group), "Assigning");
    const struct consumer_member *a = consumer_group_member(again.group, bytes_text("a"));
    cr_assert_eq(a->state, CONSUMER_UNREVOKED);
    cr_assert_str_eq(a->instance_id, "i");
    cr_assert_str_eq(a->assignor, "range");
    cr_assert_eq(a->rebalance_timeout_ms, 60000);
    keep_on(&again, "a");
    go_on(&again, "b");
    /* A full session from the start, and as long to give up as it had. */
    pass(&again, 40);
    keep_on(&again, "a");
    pass(&again, 19);
    again.said.len = 0;
    keep_on(&again, "a");
    cr_assert_eq(client_of(&again, "a")->epoch, a->epoch);
    pass(&again, 2);
    again.said.len = 0;
    beat(&again, "a", 1, (struct extra){ .instance = "i" });
    expect(&again, "61: a(1) has t0 t1 t2 u0 u1: UNKNOWN_MEMBER_ID\n");
    world_done(&again);
    world_init(&again);
    cr_assert_eq(load(&w, &again, NULL, 0), 0);
    pass(&again, 44);
    cr_assert_eq(again.group->member_count, 2);
    pass(&again, 2);
    cr_assert_eq(again.group->member_count, 0);
    world_done(&again);
    world_done(&w);
}

TEST(consumer_group, what_is_cut_short_is_no_group)
{
    struct world w, again;
    everything(&w);
    for (size_t i = 0; i < w.row_count; i++) {
        for (size_t len = 0; len < w.rows[i].value.len; len++) {
            world_init(&again);
            cr_assert_neq(load(&w, &again, &w.rows[i], len), 0);
            world_done(&again);
        }
    }
    world_done(&w);
}

/* ---- classic members ---- */

static struct bytes subscription(
    struct world *w, const char *topic, const struct partition_set *owned)
{
    struct consumer_protocol_subscription body;
    struct consumer_protocol_subscription_topic_partition part = { 0 };
    struct bytes names[] = { bytes_text(topic) };
    int32_t indexes[8];
    struct out out = { 0 };
    codec_defaults(&consumer_protocol_subscription_message, &body);
    body.topics = names;
    body.topics_count = 1;
    for (size_t i = 0; owned && i < owned->count; i++)
        indexes[part.partitions_count++] = owned->items[i].index;
    part.topic = bytes_text(w->names[0]);
    part.partitions = indexes;
    body.owned_partitions = &part;
    body.owned_partitions_count = part.partitions_count > 0;
    be_put16(out_add(&out, 2), 1);
    cr_assert_eq(codec_encode(&consumer_protocol_subscription_message, 1, &body, &out, NULL), 0);
    return bytes_of(out.data, out.len); /* the caller's */
}

static void classic_join(struct world *w, struct group *group, const char *id, const char *topic,
    const struct partition_set *owned)
{
    struct bytes metadata = subscription(w, topic, owned);
    struct classic_join_protocol protocol = { bytes_text("cooperative-sticky"), metadata };
    struct classic_join request = { .member_id = bytes_text(id),
        .client_id = bytes_text("k"),
        .client_host = "/h",
        .protocol_type = bytes_text("consumer"),
        .protocols = &protocol,
        .protocol_count = 1,
        .session_timeout_ms = 10000,
        .rebalance_timeout_ms = 60000,
        .require_member_id = true };
    group->operations->join(group, &request, (void *)(uintptr_t)id, w->now);
    mem_free((void *)(uintptr_t)metadata.data);
}

static void classic_sync(struct world *w, const char *id, int32_t generation)
{
    struct classic_sync request = { .member_id = bytes_text(id), .generation = generation };
    w->group->base.operations->sync(&w->group->base, &request, (void *)(uintptr_t)id, w->now);
}

static void classic_beat(struct world *w, const char *id, int32_t generation)
{
    int16_t error = w->group->base.operations->heartbeat(
        &w->group->base, bytes_text(id), (struct bytes){ 0 }, generation, w->now);
    say_time(w);
    out_printf(&w->said, "%s beats: %s\n", id, error_name(error));
}

/* The settling of the owner. */
static bool downgrades(struct world *w)
{
    w->downgraded = false;
    w->group->base.operations->settle(&w->group->base, w->now);
    return w->downgraded;
}

TEST(consumer_group, a_classic_member_joins_and_syncs_among_consumers)
{
    struct world w;
    world_init(&w);
    join(&w, "a", "t");
    classic_join(&w, &w.group->base, "", "t", NULL);
    classic_join(&w, &w.group->base, "k-1", "t", NULL);
    classic_sync(&w, "k-1", 2);
    classic_beat(&w, "k-1", 2);
    keep_on(&w, "a");
    partition_set_copy(
        &client_of(&w, "a")->owned, &consumer_group_member(w.group, bytes_text("a"))->assigned);
    go_on(&w, "a");
    classic_beat(&w, "k-1", 2);
    classic_join(&w, &w.group->base, "k-1", "t", NULL);
    classic_sync(&w, "k-1", 2);
    classic_sync(&w, "k-1", 1);
    classic_beat(&w, "k-1", 2);
    cr_assert(!downgrades(&w));
    expect(&w, "0: a(0): epoch 1, may read t0 t1 t2\n"
               "0: join: MEMBER_ID_REQUIRED, id k-1\n"
               "0: k-1 joined: generation 2, cooperative-sticky, leader ''\n"
               "0: k-1 synced: cooperative-sticky, may read nothing\n"
               "0: k-1 beats: NONE\n"
               "0: a(1) has t0 t1 t2: epoch 1, may read t1 t2\n"
               "0: a(1) has t1 t2: epoch 2\n"
               "0: k-1 beats: REBALANCE_IN_PROGRESS\n"
               "0: k-1 joined: generation 2, cooperative-sticky, leader ''\n"
               "0: k-1 synced: cooperative-sticky, may read t0\n"
               "0: k-1 synced: ILLEGAL_GENERATION\n"
               "0: k-1 beats: NONE\n");
    world_done(&w);
}

TEST(consumer_group, a_classic_member_that_is_called_and_does_not_come_is_out)
{
    struct world w;
    world_init(&w);
    join(&w, "a", "t");
    classic_join(&w, &w.group->base, "k", "t", NULL);
    /* It joined and never syncs. */
    for (int i = 0; i < 7; i++) {
        w.said.len = 0;
        classic_beat(&w, "k", 2);
        keep_on(&w, "a");
        pass(&w, 9);
    }
    w.said.len = 0;
    classic_beat(&w, "k", 2);
    expect(&w, "63: k beats: UNKNOWN_MEMBER_ID\n");
    world_done(&w);
}

/* A classic group of k alone, who reads t and was assigned `has`, and said when it joined that it
 * owns all three. */
static struct classic_group *classic_of_one(struct world *w, const struct classic_limits *limits,
    const struct partition_set *all, const struct partition_set *has)
{
    struct classic_group *classic =
        classic_group_create(bytes_text("g"), &w->owner, limits, &w->classic);
    struct bytes metadata = subscription(w, "t", all);
    struct classic_join_protocol protocol = { bytes_text("cooperative-sticky"), metadata };
    struct out said = { 0 };
    struct classic_join request = { .member_id = bytes_text("k"),
        .client_id = bytes_text("k"),
        .client_host = "/h",
        .protocol_type = bytes_text("consumer"),
        .protocols = &protocol,
        .protocol_count = 1,
        .session_timeout_ms = 10000,
        .rebalance_timeout_ms = 60000 };
    if (has)
        consumer_assignment_write(&said, 1, has, &w->view);
    classic_group_adopt(classic, &request, bytes_of(said.data, said.len), w->now);
    classic->generation = 7;
    out_done(&said);
    mem_free((void *)(uintptr_t)metadata.data);
    return classic;
}

static size_t assigned_of(struct world *w, const char *id)
{
    return consumer_group_member(w->group, bytes_text(id))->assigned.count;
}

static void become_consumers(struct world *w, struct classic_group *classic)
{
    consumer_group_from_classic(w->group, classic, w->now);
    classic->base.operations->destroy(&classic->base);
}

/* Else others would be given what it still reads. */
TEST(consumer_group, what_a_classic_member_still_holds_is_known_on_both_sides)
{
    struct world w;
    struct classic_limits limits = { 0, 6000, 1800000, 10 };
    struct partition_set all = { 0 };
    struct uuid t = { { 1 } };
    for (int32_t p = 0; p < 3; p++)
        partition_set_add(&all, &t, p, 0);
    /* It joined, and the leader has not assigned anything yet. */
    world_init(&w);
    become_consumers(&w, classic_of_one(&w, &limits, &all, NULL));
    cr_assert_eq(assigned_of(&w, "k"), 3);
    world_done(&w);
    /* It joined, and has not heard yet that the leader has left it one of them. */
    struct partition_set one = { 0 };
    partition_set_add(&one, &t, 0, 0);
    world_init(&w);
    become_consumers(&w, classic_of_one(&w, &limits, &all, &one));
    cr_assert_eq(assigned_of(&w, "k"), 3);
    cr_assert_eq(consumer_group_member(w.group, bytes_text("k"))->target.count, 1);
    partition_set_done(&one);
    world_done(&w);
    /* It is to give something up, has not, and the group is a classic one and another again. */
    world_init(&w);
    become_consumers(&w, classic_of_one(&w, &limits, &all, &all));
    join(&w, "a", "t");
    classic_join(&w, &w.group->base, "k", "t", &all);
    cr_assert_lt(assigned_of(&w, "k"), 3);
    beat(&w, "a", -1, (struct extra){ 0 });
    cr_assert(downgrades(&w));
    struct classic_group *classic =
        classic_group_create(bytes_text("g"), &w.owner, &limits, &w.classic);
    consumer_group_to_classic(w.group, classic, w.now);
    struct world again;
    world_init(&again);
    become_consumers(&again, classic);
    cr_assert_eq(assigned_of(&again, "k"), 3);
    world_done(&again);
    world_done(&w);
    partition_set_done(&all);
}

TEST(consumer_group, a_classic_group_becomes_one_of_consumers_and_goes_back)
{
    struct world w;
    struct classic_limits limits = { 0, 6000, 1800000, 10 };
    struct out said = { 0 };
    world_init(&w);
    struct classic_group *classic =
        classic_group_create(bytes_text("g"), &w.owner, &limits, &w.classic);
    struct partition_set all = { 0 };
    struct uuid t = { { 1 } };
    /* A classic group of one, which reads everything. */
    for (int32_t p = 0; p < 3; p++)
        partition_set_add(&all, &t, p, 0);
    struct bytes metadata = subscription(&w, "t", &all);
    struct classic_join_protocol protocol = { bytes_text("cooperative-sticky"), metadata };
    struct classic_join request = { .member_id = bytes_text("k"),
        .client_id = bytes_text("k"),
        .client_host = "/h",
        .protocol_type = bytes_text("consumer"),
        .protocols = &protocol,
        .protocol_count = 1,
        .session_timeout_ms = 10000,
        .rebalance_timeout_ms = 60000 };
    consumer_assignment_write(&said, 1, &all, &w.view);
    classic_group_adopt(classic, &request, bytes_of(said.data, said.len), w.now);
    classic->generation = 7;
    classic->state = CLASSIC_STABLE;
    classic->protocol_name = mem_strdup("cooperative-sticky");
    cr_assert(consumer_group_can_take(classic, 1));
    cr_assert(!consumer_group_can_take(classic, 0));
    consumer_group_from_classic(w.group, classic, w.now);
    classic->base.operations->destroy(&classic->base);
    cr_assert(downgrades(&w), "only classic members");
    /* The one who came the new way, and the classic one is called to give up. */
    join(&w, "a", "t");
    cr_assert(!downgrades(&w));
    classic_beat(&w, "k", 7);
    classic_join(&w, &w.group->base, "k", "t", &all);
    classic_sync(&w, "k", 7);
    classic_beat(&w, "k", 7);
    classic_join(&w, &w.group->base, "k", "t", NULL);
    classic_sync(&w, "k", 8);
    go_on(&w, "a");
    beat(&w, "a", -1, (struct extra){ 0 });
    cr_assert(downgrades(&w));
    classic = classic_group_create(bytes_text("g"), &w.owner, &limits, &w.classic);
    consumer_group_to_classic(w.group, classic, w.now);
    cr_assert_eq(classic->generation, 8);
    cr_assert_eq(classic->state, CLASSIC_PREPARING);
    cr_assert_eq(classic->member_count, 1);
    classic_join(&w, &classic->base, "k", "t", NULL);
    expect(&w, "0: a(0): epoch 8, may read nothing\n"
               "0: k beats: REBALANCE_IN_PROGRESS\n"
               "0: k joined: generation 7, cooperative-sticky, leader ''\n"
               "0: k synced: cooperative-sticky, may read t1 t2\n"
               "0: k beats: REBALANCE_IN_PROGRESS\n"
               "0: k joined: generation 8, cooperative-sticky, leader ''\n"
               "0: k synced: cooperative-sticky, may read t1 t2\n"
               "0: a(8) has nothing: epoch 8, may read t0\n"
               "0: a(-1): epoch -1\n"
               "0: k joined: generation 9, cooperative-sticky, leader 'k'\n");
    classic->base.operations->destroy(&classic->base);
    mem_free((void *)(uintptr_t)metadata.data);
    partition_set_done(&all);
    out_done(&said);
    world_done(&w);
}
