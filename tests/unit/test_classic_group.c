/*
 * Classic groups as transcripts: what members, the coordinator's clock and the group say to each
 * other, one line an event, time in milliseconds. The expected text is the specification (group.h
 * names the KIPs).
 */
#include "tests/test.h"
#include "tests/unit/group_world.h"

#include <stdio.h>
#include <string.h>

#include "protocol/base/mem.h"
#include "protocol/error.h"

#define RANGE .protocols = { "range" }

/* Two members, a leads, both know their assignments. */
static void stable_pair(struct world *w)
{
    world_init(w, 0);
    join(w, (struct who){ "a", "", RANGE });
    join(w, (struct who){ "b", "", RANGE });
    pass(w, 0);
    struct classic_assignment both[] = { { bytes_text("a-1"), bytes_text("p0") },
        { bytes_text("b-2"), bytes_text("p1") } };
    synced(w, "b", "b-2", 1, NULL, 0);
    synced(w, "a", "a-1", 1, both, 2);
    w->said.len = 0;
}

TEST(classic_group, two_members_join_within_the_delay_and_share)
{
    struct world w;
    world_init(&w, 3000);
    join(&w, (struct who){ "a", "", RANGE });
    pass(&w, 1000);
    join(&w, (struct who){ "b", "", RANGE });
    pass(&w, 6000);
    struct classic_assignment both[] = { { bytes_text("a-1"), bytes_text("p0") },
        { bytes_text("b-2"), bytes_text("p1") } };
    synced(&w, "b", "b-2", 1, NULL, 0);
    synced(&w, "a", "a-1", 1, both, 2);
    expect(&w, "6000: kept: CompletingRebalance, generation 1\n"
               "6000: a joined: a-1, generation 1, range, leader a-1, of a-1=a b-2=b\n"
               "6000: b joined: b-2, generation 1, range, leader a-1\n"
               "7000: kept: Stable, generation 1\n"
               "7000: a synced: p0\n"
               "7000: b synced: p1\n");
    world_done(&w);
}

TEST(classic_group, a_member_id_is_required_from_v4)
{
    struct world w;
    world_init(&w, 0);
    join(&w, (struct who){ "a", "", RANGE, .version = 4 });
    expect(&w, "0: a joined: MEMBER_ID_REQUIRED, id a-1\n");
    join(&w, (struct who){ "a", "a-1", RANGE, .version = 4 });
    pass(&w, 0);
    expect(&w, "0: kept: CompletingRebalance, generation 1\n"
               "0: a joined: a-1, generation 1, range, leader a-1, of a-1=a\n");
    join(&w, (struct who){ "x", "nobody", RANGE, .version = 4 });
    expect(&w, "0: x joined: UNKNOWN_MEMBER_ID, id nobody\n");
    world_done(&w);
}

TEST(classic_group, an_id_given_and_never_used_is_forgotten)
{
    struct world w;
    world_init(&w, 0);
    join(&w, (struct who){ "a", "", RANGE, .version = 4 });
    pass(&w, 10000);
    cr_assert(list_empty(&w.group->pending));
    w.said.len = 0;
    join(&w, (struct who){ "a", "a-1", RANGE, .version = 4 });
    expect(&w, "10000: a joined: UNKNOWN_MEMBER_ID, id a-1\n");
    world_done(&w);
}

TEST(classic_group, a_silent_member_is_expelled_and_the_other_takes_over)
{
    struct world w;
    stable_pair(&w);
    pass(&w, 9000);
    cr_assert_str_eq(heartbeat(&w, "b-2", 1), "NONE");
    pass(&w, 1000);
    cr_assert_str_eq(heartbeat(&w, "b-2", 1), "REBALANCE_IN_PROGRESS");
    join(&w, (struct who){ "b", "b-2", RANGE });
    expect(&w, "10000: kept: CompletingRebalance, generation 2\n"
               "10000: b joined: b-2, generation 2, range, leader b-2, of b-2=b\n");
    cr_assert_str_eq(heartbeat(&w, "a-1", 1), "UNKNOWN_MEMBER_ID");
    cr_assert_str_eq(heartbeat(&w, "b-2", 1), "ILLEGAL_GENERATION");
    world_done(&w);
}

TEST(classic_group, a_newcomer_makes_everybody_join_again)
{
    struct world w;
    stable_pair(&w);
    join(&w, (struct who){ "c", "", RANGE });
    cr_assert_str_eq(heartbeat(&w, "a-1", 1), "REBALANCE_IN_PROGRESS");
    join(&w, (struct who){ "a", "a-1", RANGE });
    expect(&w, "");
    join(&w, (struct who){ "b", "b-2", RANGE });
    expect(&w, "0: kept: CompletingRebalance, generation 2\n"
               "0: a joined: a-1, generation 2, range, leader a-1, of a-1=a b-2=b c-3=c\n"
               "0: b joined: b-2, generation 2, range, leader a-1\n"
               "0: c joined: c-3, generation 2, range, leader a-1\n");
    world_done(&w);
}

TEST(classic_group, who_does_not_rejoin_in_time_is_dropped)
{
    struct world w;
    stable_pair(&w);
    join(&w, (struct who){ "c", "", RANGE });
    join(&w, (struct who){ "a", "a-1", RANGE });
    for (int i = 0; i < 6; i++) {
        pass(&w, 5000);
        (void)heartbeat(&w, "b-2", 1); /* alive, but busy */
    }
    expect(&w, "30000: kept: CompletingRebalance, generation 2\n"
               "30000: a joined: a-1, generation 2, range, leader a-1, of a-1=a c-3=c\n"
               "30000: c joined: c-3, generation 2, range, leader a-1\n");
    world_done(&w);
}

TEST(classic_group, who_joins_and_never_syncs_is_dropped)
{
    struct world w;
    world_init(&w, 0);
    join(&w, (struct who){ "a", "", RANGE });
    join(&w, (struct who){ "b", "", RANGE });
    pass(&w, 0);
    synced(&w, "a", "a-1", 1, NULL, 0);
    w.said.len = 0;
    for (int i = 0; i < 6; i++) {
        pass(&w, 5000);
        (void)heartbeat(&w, "a-1", 1);
        (void)heartbeat(&w, "b-2", 1);
    }
    cr_assert_str_eq(heartbeat(&w, "b-2", 1), "UNKNOWN_MEMBER_ID");
    cr_assert_str_eq(heartbeat(&w, "a-1", 1), "REBALANCE_IN_PROGRESS");
    world_done(&w);
}

static const char *leave(struct world *w, const char *id)
{
    return error_name(w->group->base.operations->leave(
        &w->group->base, bytes_text(id), (struct bytes){ 0 }, w->now));
}

static void left(struct world *w)
{
    w->group->base.operations->left(&w->group->base, w->now);
}

TEST(classic_group, the_last_one_to_leave_empties_the_group)
{
    struct world w;
    stable_pair(&w);
    cr_assert_str_eq(leave(&w, "a-1"), "NONE");
    left(&w);
    cr_assert_str_eq(leave(&w, "b-2"), "NONE");
    left(&w);
    expect(&w, "0: kept: Empty, generation 2\n");
    cr_assert_eq(w.group->state, CLASSIC_EMPTY);
    cr_assert_str_eq(leave(&w, "b-2"), "UNKNOWN_MEMBER_ID");
    left(&w);
    expect(&w, "");
    world_done(&w);
}

TEST(classic_group, who_leaves_with_others_does_not_join_a_last_time)
{
    struct world w;
    stable_pair(&w);
    join(&w, (struct who){ "b", "b-2", RANGE, .metadata = "new" });
    cr_assert_str_eq(leave(&w, "a-1"), "NONE");
    cr_assert_str_eq(leave(&w, "b-2"), "NONE");
    left(&w);
    expect(&w, "0: b joined: UNKNOWN_MEMBER_ID, id \n"
               "0: kept: Empty, generation 2\n");
    world_done(&w);
}

TEST(classic_group, of_a_full_group_those_are_in_who_joined_first)
{
    struct world w;
    stable_pair(&w);
    w.limits.members_max = 2;
    join(&w, (struct who){ "c", "", RANGE });
    expect(&w, "0: c joined: GROUP_MAX_SIZE_REACHED, id \n");
    join(&w, (struct who){ "a", "a-1", RANGE });
    join(&w, (struct who){ "c", "", RANGE });
    expect(&w, "");
    join(&w, (struct who){ "d", "", RANGE });
    expect(&w, "0: d joined: GROUP_MAX_SIZE_REACHED, id \n");
    join(&w, (struct who){ "b", "b-2", RANGE });
    expect(&w, "0: kept: CompletingRebalance, generation 2\n"
               "0: a joined: a-1, generation 2, range, leader a-1, of a-1=a c-3=c\n"
               "0: c joined: c-3, generation 2, range, leader a-1\n"
               "0: b joined: GROUP_MAX_SIZE_REACHED, id \n");
    world_done(&w);
}

TEST(classic_group, members_must_share_a_protocol)
{
    struct world w;
    world_init(&w, 0);
    join(&w, (struct who){ "a", "", .protocols = { "range", "roundrobin" } });
    join(&w, (struct who){ "b", "", .protocols = { "sticky" } });
    expect(&w, "0: b joined: INCONSISTENT_GROUP_PROTOCOL, id \n");
    join(&w, (struct who){ "c", "", .protocols = { "sticky", "roundrobin" } });
    pass(&w, 0);
    expect(&w, "0: kept: CompletingRebalance, generation 1\n"
               "0: a joined: a-1, generation 1, roundrobin, leader a-1, of a-1=a c-2=c\n"
               "0: c joined: c-2, generation 1, roundrobin, leader a-1\n");
    world_done(&w);
}

TEST(classic_group, a_static_member_comes_back_without_a_rebalance)
{
    struct world w;
    world_init(&w, 0);
    join(&w, (struct who){ "a", "", "i1", RANGE, .version = 5 });
    pass(&w, 0);
    struct classic_assignment all[] = { { bytes_text("i1-1"), bytes_text("p0") } };
    synced(&w, "a", "i1-1", 1, all, 1);
    w.said.len = 0;
    join(&w, (struct who){ "A", "", "i1", RANGE, .version = 9, .metadata = "a" });
    expect(&w, "0: kept: Stable, generation 1\n"
               "0: A joined: i1-2, generation 1, range, leader i1-2, skip assignment, of i1-2=a\n");
    synced(&w, "A", "i1-2", 1, NULL, 0);
    expect(&w, "0: A synced: p0\n");
    join(&w, (struct who){ "A", "", "i1", RANGE, .version = 9, .metadata = "other" });
    expect(&w,
        "0: kept: Stable, generation 1\n"
        "0: A joined: i1-3, generation 1, range, leader i1-3, skip assignment, of i1-3=other\n");
    cr_assert_eq(w.group->base.operations->heartbeat(
                     &w.group->base, bytes_text("i1-1"), bytes_text("i1"), 1, w.now),
        KAFKA_ERROR_FENCED_INSTANCE_ID);
    world_done(&w);
}

TEST(classic_group, a_static_member_is_waited_for_until_its_session_ends)
{
    struct world w;
    world_init(&w, 0);
    join(&w, (struct who){ "a", "", "i1", RANGE, .version = 5 });
    join(&w, (struct who){ "b", "", RANGE });
    pass(&w, 0);
    synced(&w, "b", "b-2", 1, NULL, 0);
    synced(&w, "a", "i1-1", 1, NULL, 0);
    cr_assert_eq(w.group->state, CLASSIC_STABLE);
    pass(&w, 5000);
    (void)heartbeat(&w, "b-2", 1);
    cr_assert_eq(w.group->member_count, 2);
    pass(&w, 5000);
    cr_assert_eq(w.group->member_count, 1);
    world_done(&w);
}

/* Found by fuzzing: it was due again at once, for ever. */
TEST(classic_group, a_join_without_time_that_comes_to_nothing_is_tried_a_little_later)
{
    struct world w;
    world_init(&w, 0);
    join(&w, (struct who){ "a", "", "i1", RANGE, .version = 5 });
    pass(&w, 0);
    synced(&w, "a", "i1-1", 1, NULL, 0);
    join(&w, (struct who){ "a", "i1-1", "i1", RANGE, .version = 5, .hurried = true });
    synced(&w, "a", "i1-1", 2, NULL, 0);
    cr_assert_eq(w.group->state, CLASSIC_STABLE);
    join(&w, (struct who){ "b", "", RANGE, .hurried = true });
    (void)w.group->base.operations->leave(
        &w.group->base, bytes_text("b-2"), (struct bytes){ 0 }, w.now);
    cr_assert_eq(w.group->state, CLASSIC_PREPARING);
    group_tick(&w.group->base, w.now);
    cr_assert_gt(group_next_deadline(&w.group->base), w.now, "only static members, none came");
    w.persist_error = KAFKA_ERROR_COORDINATOR_NOT_AVAILABLE;
    join(&w, (struct who){ "a", "i1-1", "i1", RANGE, .version = 5, .hurried = true });
    group_tick(&w.group->base, w.now);
    cr_assert_gt(group_next_deadline(&w.group->base), w.now, "not durable");
    world_done(&w);
}

static int16_t check_commit(struct world *w, struct bytes id, int32_t generation)
{
    struct group_offset_client client = { .member_id = id, .epoch = generation };
    return w->group->base.operations->check_commit(&w->group->base, &client, w->now);
}

TEST(classic_group, commits_are_for_members_of_this_generation_or_for_simple_consumers)
{
    struct world w;
    stable_pair(&w);
    cr_assert_eq(check_commit(&w, bytes_text("a-1"), 1), 0);
    cr_assert_eq(check_commit(&w, bytes_text("a-1"), 0), KAFKA_ERROR_ILLEGAL_GENERATION);
    cr_assert_eq(check_commit(&w, bytes_text("x"), 1), KAFKA_ERROR_UNKNOWN_MEMBER_ID);
    cr_assert_eq(check_commit(&w, bytes_of("", 0), -1), KAFKA_ERROR_UNKNOWN_MEMBER_ID);
    join(&w, (struct who){ "c", "", RANGE });
    cr_assert_eq(
        check_commit(&w, bytes_text("a-1"), 1), 0, "while the others join one may still commit");
    world_done(&w);
    world_init(&w, 0);
    cr_assert_eq(check_commit(&w, bytes_of("", 0), -1), 0);
    world_done(&w);
}

TEST(classic_group, a_generation_that_cannot_be_kept_is_not_told)
{
    struct world w;
    world_init(&w, 0);
    w.persist_error = KAFKA_ERROR_COORDINATOR_NOT_AVAILABLE;
    join(&w, (struct who){ "a", "", RANGE });
    pass(&w, 0);
    expect(&w, "0: kept: CompletingRebalance, generation 1\n"
               "0: a joined: COORDINATOR_NOT_AVAILABLE, id a-1\n");
    w.persist_error = 0;
    join(&w, (struct who){ "a", "a-1", RANGE });
    expect(&w, "0: kept: CompletingRebalance, generation 2\n"
               "0: a joined: a-1, generation 2, range, leader a-1, of a-1=a\n");
    world_done(&w);
}

static void row_put(void *context, struct bytes row)
{
    out_bytes(context, row.data, row.len);
}

static void row_of(struct world *w, struct out *out)
{
    struct group_rows rows = { .context = out, .put_group = row_put };
    w->group->base.operations->save(&w->group->base, &rows, true);
}

static int load(struct world *w, struct bytes row)
{
    return w->group->base.operations->load(&w->group->base, row, 0);
}

TEST(classic_group, what_is_stored_comes_back_and_heartbeats_go_on)
{
    struct world w, again;
    stable_pair(&w);
    struct out stored = { 0 };
    row_of(&w, &stored);
    world_init(&again, 0);
    cr_assert_eq(load(&again, bytes_of(stored.data, stored.len)), 0);
    cr_assert_eq(again.group->state, CLASSIC_STABLE);
    cr_assert_str_eq(heartbeat(&again, "a-1", 1), "NONE");
    synced(&again, "b", "b-2", 1, NULL, 0);
    expect(&again, "0: b synced: p1\n");
    struct out second = { 0 };
    row_of(&again, &second);
    cr_assert(bytes_equal(bytes_of(stored.data, stored.len), bytes_of(second.data, second.len)));
    world_done(&again);
    for (size_t len = 0; len < stored.len; len++) {
        world_init(&again, 0);
        cr_assert_neq(load(&again, bytes_of(stored.data, len)), 0);
        world_done(&again);
    }
    out_done(&stored);
    out_done(&second);
    world_done(&w);
}

TEST(classic_group, a_client_that_went_away_is_not_answered)
{
    struct world w;
    world_init(&w, 3000);
    join(&w, (struct who){ "a", "", RANGE });
    join(&w, (struct who){ "b", "", RANGE });
    w.group->base.operations->forget_token(&w.group->base,
        w.group->members.next
            ? list_entry(w.group->members.next, struct classic_member, link)->join_token
            : NULL);
    pass(&w, 3000);
    pass(&w, 3000);
    expect(&w, "6000: kept: CompletingRebalance, generation 1\n"
               "6000: b joined: b-2, generation 1, range, leader a-1\n");
    world_done(&w);
}

TEST(classic_group, a_rebalance_waits_for_an_id_that_was_given_out)
{
    struct world w;
    stable_pair(&w);
    join(&w, (struct who){ "c", "", RANGE });
    join(&w, (struct who){ "d", "", RANGE, .version = 4 });
    join(&w, (struct who){ "a", "a-1", RANGE });
    join(&w, (struct who){ "b", "b-2", RANGE });
    expect(&w, "0: d joined: MEMBER_ID_REQUIRED, id d-4\n");
    join(&w, (struct who){ "d", "d-4", RANGE, .version = 4 });
    expect(&w, "0: kept: CompletingRebalance, generation 2\n"
               "0: a joined: a-1, generation 2, range, leader a-1, of a-1=a b-2=b c-3=c d-4=d\n"
               "0: b joined: b-2, generation 2, range, leader a-1\n"
               "0: c joined: c-3, generation 2, range, leader a-1\n"
               "0: d joined: d-4, generation 2, range, leader a-1\n");
    world_done(&w);
}

/* All groups share memory; what one member may say is limited too. */
TEST(classic_group, members_end_where_their_memory_does)
{
    struct world w;
    char metadata[2001], name[20];
    memset(metadata, 'm', 2000);
    metadata[2000] = 0;
    world_init(&w, 0);
    w.owner.bytes_max = 50000;
    int joined = 0;
    for (; joined < 100 && w.said.len == 0; joined++) {
        (void)snprintf(name, sizeof(name), "a%d", joined);
        join(&w, (struct who){ name, "", RANGE, .metadata = metadata });
    }
    out_bytes(&w.said, "", 1);
    cr_assert(strstr((char *)w.said.data, "GROUP_MAX_SIZE_REACHED"), "%s", (char *)w.said.data);
    cr_assert_geq(joined, 10);
    cr_assert_leq(w.owner.bytes, w.owner.bytes_max);
    size_t full = w.owner.bytes;
    cr_assert_str_eq(leave(&w, "a0-1"), "NONE");
    left(&w);
    cr_assert_leq(w.owner.bytes, full - 2000);
    world_done(&w);
}

TEST(classic_group, a_member_offers_few_protocols)
{
    struct world w;
    struct classic_join_protocol protocols[CLASSIC_PROTOCOLS_MAX + 1];
    world_init(&w, 0);
    for (size_t i = 0; i < ARRAY_COUNT(protocols); i++)
        protocols[i] = (struct classic_join_protocol){ bytes_text("p"), bytes_text("") };
    struct classic_join request = { .member_id = bytes_text(""),
        .client_id = bytes_text("c"),
        .client_host = "/127.0.0.1",
        .protocol_type = bytes_text("consumer"),
        .protocols = protocols,
        .protocol_count = ARRAY_COUNT(protocols),
        .session_timeout_ms = 10000,
        .rebalance_timeout_ms = 30000 };
    char token[] = "a";
    w.group->base.operations->join(&w.group->base, &request, token, w.now);
    expect(&w, "0: a joined: INCONSISTENT_GROUP_PROTOCOL, id \n");
    world_done(&w);
}
