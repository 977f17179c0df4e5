/* See group_world.h. */
#include "tests/unit/group_world.h"

#include <stdio.h>
#include <string.h>

#include "protocol/base/mem.h"
#include "protocol/error.h"
#include <criterion/criterion.h>

/* A token is the name of the one who waits. */
static void say_join(
    void *context, struct group *group, void *token, const struct classic_join_answer *answer)
{
    struct world *w = context;
    (void)group;
    out_printf(&w->said, "%lld: %s joined: ", (long long)(w->now / MS), (const char *)token);
    if (answer->error)
        out_printf(&w->said, "%s, id %s\n", error_name(answer->error), answer->member_id);
    else
        out_printf(&w->said, "%s, generation %d, %s, leader %s%s", answer->member_id,
            answer->generation, answer->protocol_name, answer->leader,
            answer->skip_assignment ? ", skip assignment" : "");
    if (answer->members) {
        out_text(&w->said, ", of");
        list_foreach (node, &answer->members->members) {
            struct classic_member *member = list_entry(node, struct classic_member, link);
            struct bytes metadata = classic_member_metadata(member);
            out_printf(
                &w->said, " %s=%.*s", member->id, (int)metadata.len, (const char *)metadata.data);
        }
    }
    if (!answer->error)
        out_text(&w->said, "\n");
}

static void say_sync(
    void *context, struct group *group, void *token, const struct classic_sync_answer *answer)
{
    struct world *w = context;
    (void)group;
    out_printf(&w->said, "%lld: %s synced: ", (long long)(w->now / MS), (const char *)token);
    if (answer->error)
        out_printf(&w->said, "%s\n", error_name(answer->error));
    else
        out_printf(
            &w->said, "%.*s\n", (int)answer->assignment.len, (const char *)answer->assignment.data);
}

static int16_t say_persist(void *context, struct group *base)
{
    struct world *w = context;
    const struct classic_group *group = classic_group_of(base);
    out_printf(&w->said, "%lld: kept: %s, generation %d\n", (long long)(w->now / MS),
        classic_state_name(group->state), group->generation);
    return w->persist_error;
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

void world_init(struct world *w, int64_t delay_ms)
{
    *w = (struct world){ .limits = { .initial_delay_ns = delay_ms * MS,
                             .session_min_ms = 6000,
                             .session_max_ms = 1800000,
                             .members_max = 100 } };
    w->owner = (struct group_owner){ .context = w,
        .persist = say_persist,
        .schedule = no_schedule,
        .member_id = next_id,
        .bytes_max = 1000000 };
    w->effects = (struct classic_effects){ .context = w, .join = say_join, .sync = say_sync };
    w->group = classic_group_create(bytes_text("g"), &w->owner, &w->limits, &w->effects);
}

void world_done(struct world *w)
{
    w->group->base.operations->destroy(&w->group->base);
    cr_assert_eq(w->owner.bytes, 0);
    out_done(&w->said);
}

void pass(struct world *w, int64_t ms)
{
    int64_t until = w->now + ms * MS;
    int64_t next;
    while ((next = group_next_deadline(&w->group->base)) <= until) {
        w->now = next;
        group_tick(&w->group->base, w->now);
    }
    w->now = until;
}

void expect(struct world *w, const char *text)
{
    out_bytes(&w->said, "", 1);
    cr_assert_str_eq((char *)w->said.data, text);
    w->said.len = 0;
}

void join(struct world *w, struct who who)
{
    struct classic_join_protocol protocols[3];
    size_t count = 0;
    for (; count < 3 && who.protocols[count]; count++)
        protocols[count] = (struct classic_join_protocol){ bytes_text(who.protocols[count]),
            bytes_text(who.metadata ? who.metadata : who.name) };
    struct classic_join request = { .member_id = bytes_text(who.id),
        .instance_id = maybe(who.instance),
        .client_id = bytes_text(who.name),
        .client_host = "/127.0.0.1",
        .protocol_type = bytes_text("consumer"),
        .protocols = protocols,
        .protocol_count = count,
        .session_timeout_ms = who.session_ms ? who.session_ms : 10000,
        .rebalance_timeout_ms = who.hurried        ? 0
                                : who.rebalance_ms ? who.rebalance_ms
                                                   : 30000,
        .require_member_id = who.version >= 4,
        .can_skip_assignment = who.version >= 9 };
    w->group->base.operations->join(&w->group->base, &request, (void *)(uintptr_t)who.name, w->now);
}

void synced(struct world *w, const char *name, const char *id, int32_t generation,
    const struct classic_assignment *assignments, size_t count)
{
    struct classic_sync request = { .member_id = bytes_text(id),
        .generation = generation,
        .assignments = assignments,
        .assignment_count = count };
    w->group->base.operations->sync(&w->group->base, &request, (void *)(uintptr_t)name, w->now);
}

const char *heartbeat(struct world *w, const char *id, int32_t generation)
{
    return error_name(w->group->base.operations->heartbeat(
        &w->group->base, bytes_text(id), (struct bytes){ 0 }, generation, w->now));
}
