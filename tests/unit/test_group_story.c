/*
 * The KIPs of classic groups as stories. A line with > is said to the group, or lets time pass; the
 * lines behind it are what the group says then, in milliseconds of its clock. `kept` is what it
 * would know after a restart.
 *
 *   > NAME joins [as ID] [static I] [version V] [offering X,Y] [saying S] [session MS] [rebalance
 * MS] > ID syncs N [static I] [protocol P] [giving ID=S ...]       (to be answered later: "ID
 * synced") > ID heartbeats N [static I] => CODE > ID leaves [static I] => CODE            (ID "-":
 * an admin, who names the instance only) > ID commits N [static I] => CODE         (ID "-": without
 * membership) > ID commits-in-a-transaction N => CODE > wait MS         > at-most N
 * (group.max.size)         > restart
 */
#include "tests/test.h"
#include "tests/unit/group_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/base/mem.h"
#include "protocol/error.h"

enum { WORDS_MAX = 24, GIVEN_MAX = 8, LINE_MAX = 300 };

struct line {
    char text[LINE_MAX];
    const char *words[WORDS_MAX]; /* in text */
    size_t count;
};

static void line_split(struct line *line, const char *from, size_t len)
{
    char *rest = line->text, *word;
    cr_assert_lt(len, (size_t)LINE_MAX);
    memcpy(line->text, from, len);
    line->text[len] = '\0';
    line->count = 0;
    while ((word = strsep(&rest, " ")))
        if (*word) {
            cr_assert_lt(line->count, (size_t)WORDS_MAX);
            line->words[line->count++] = word;
        }
}

/* The word behind this one, or `otherwise`. */
static const char *word_of(const struct line *line, const char *name, const char *otherwise)
{
    for (size_t i = 1; i + 1 < line->count; i++)
        if (strcmp(line->words[i], name) == 0)
            return line->words[i + 1];
    return otherwise;
}

static int32_t number_of(const struct line *line, const char *name, int32_t otherwise)
{
    const char *word = word_of(line, name, NULL);
    return word ? (int32_t)strtol(word, NULL, 10) : otherwise;
}

/* "-": nobody. */
static struct bytes id_of(const struct line *line)
{
    return bytes_text(strcmp(line->words[0], "-") == 0 ? "" : line->words[0]);
}

static void joins(struct world *w, struct line *line)
{
    static const char *const names[] = { "a", "b", "c", "d" };
    struct who who = { .id = word_of(line, "as", ""),
        .instance = word_of(line, "static", NULL),
        .metadata = word_of(line, "saying", NULL),
        .version = number_of(line, "version", 3),
        .session_ms = number_of(line, "session", 0),
        .rebalance_ms = number_of(line, "rebalance", 0) };
    char *rest = (char *)(uintptr_t)word_of(line, "offering", NULL);
    for (size_t i = 0; i < 4; i++) /* the token outlives the line */
        if (strcmp(line->words[0], names[i]) == 0)
            who.name = names[i];
    cr_assert_not_null(who.name);
    who.protocols[0] = "range";
    for (size_t i = 0; rest && i < 3; i++)
        who.protocols[i] = strsep(&rest, ",");
    join(w, who);
}

/* Tokens of syncs that wait: ids as text that lasts. */
static const char *lasting(struct world *w, const char *id)
{
    const struct classic_member *member = classic_group_member(w->group, bytes_text(id));
    return member ? member->id : "somebody";
}

static void syncs(struct world *w, const struct line *line)
{
    struct classic_assignment given[GIVEN_MAX];
    const char *instance = word_of(line, "static", NULL);
    const char *protocol = word_of(line, "protocol", NULL);
    struct classic_sync request = { .member_id = id_of(line),
        .instance_id = maybe(instance),
        .generation = number_of(line, "syncs", 0),
        .protocol_name = maybe(protocol),
        .assignments = given };
    for (size_t i = 1; i < line->count; i++) {
        const char *equals = strchr(line->words[i], '=');
        if (!equals || request.assignment_count == GIVEN_MAX)
            continue;
        given[request.assignment_count++] = (struct classic_assignment){
            bytes_of(line->words[i], (size_t)(equals - line->words[i])), bytes_text(equals + 1)
        };
    }
    w->group->base.operations->sync(
        &w->group->base, &request, (void *)(uintptr_t)lasting(w, line->words[0]), w->now);
}

static int16_t ask(struct world *w, const struct line *line)
{
    struct group *base = &w->group->base;
    struct bytes instance = maybe(word_of(line, "static", NULL));
    const char *verb = line->words[1];
    struct group_offset_client client = { .member_id = id_of(line),
        .instance_id = instance,
        .epoch = number_of(line, verb, -1),
        .transactional = strcmp(verb, "commits-in-a-transaction") == 0 };
    if (strcmp(verb, "heartbeats") == 0)
        return base->operations->heartbeat(base, client.member_id, instance, client.epoch, w->now);
    if (strcmp(verb, "leaves") == 0) {
        int16_t error = base->operations->leave(base, client.member_id, instance, w->now);
        base->operations->left(base, w->now);
        return error;
    }
    cr_assert(client.transactional || strcmp(verb, "commits") == 0, "no such verb: %s", verb);
    return base->operations->check_commit(base, &client, w->now);
}

static void row_put(void *context, struct bytes row)
{
    out_bytes(context, row.data, row.len);
}

/* Who waits is not answered any more; the clock goes on. */
static void restart(struct world *w)
{
    struct out row = { 0 };
    struct group *base = &w->group->base;
    struct group_rows rows = { .context = &row, .put_group = row_put };
    base->operations->save(base, &rows, true);
    base->operations->destroy(base);
    w->group = classic_group_create(bytes_text("g"), &w->owner, &w->limits, &w->effects);
    base = &w->group->base;
    cr_assert_eq(base->operations->load(base, bytes_of(row.data, row.len), w->now), 0);
    out_done(&row);
}

static void say(struct world *w, struct line *line)
{
    if (strcmp(line->words[0], "wait") == 0)
        pass(w, number_of(line, "ms", 0));
    else if (strcmp(line->words[0], "at-most") == 0)
        w->limits.members_max = strtoul(line->words[1], NULL, 10);
    else if (strcmp(line->words[0], "restart") == 0)
        restart(w);
    else if (strcmp(line->words[1], "joins") == 0)
        joins(w, line);
    else if (strcmp(line->words[1], "syncs") == 0)
        syncs(w, line);
    else
        cr_assert_str_eq(error_name(ask(w, line)), word_of(line, "=>", "(nothing)"), "%s %s %s",
            line->words[0], line->words[1], line->words[2]);
}

static void story(int64_t delay_ms, const char *text)
{
    struct world w;
    struct line line;
    struct out told = { 0 };
    world_init(&w, delay_ms);
    while (*text) {
        size_t len = strcspn(text, "\n");
        cr_assert_eq(text[0], '>');
        line_split(&line, text + 2, len - 2);
        text += len + (text[len] == '\n');
        if (strcmp(line.words[0], "wait") == 0) { /* as the others have it: a name before */
            line.words[2] = line.words[1];
            line.words[1] = "ms";
            line.count = 3;
        }
        say(&w, &line);
        told.len = 0;
        while (*text && *text != '>') {
            len = strcspn(text, "\n") + 1;
            out_bytes(&told, text, len);
            text += len;
        }
        out_bytes(&told, "", 1);
        expect(&w, (char *)told.data);
    }
    out_done(&told);
    world_done(&w);
}

/* KIP-134: the first rebalance of an empty group waits group.initial.rebalance.delay.ms, and again
 * as long as members keep coming, but no longer than their rebalance timeout. */
TEST(group_story, kip_134_an_empty_group_waits_for_more_members)
{
    story(3000, "> a joins rebalance 7000\n"
                "> wait 2000\n"
                "> b joins rebalance 7000\n"
                "> wait 2000\n"
                "> c joins rebalance 7000\n"
                "> wait 2000\n"
                "> d joins rebalance 7000\n"
                "> wait 2000\n"
                "7000: kept: CompletingRebalance, generation 1\n"
                "7000: a joined: a-1, generation 1, range, leader a-1, of a-1=a b-2=b c-3=c d-4=d\n"
                "7000: b joined: b-2, generation 1, range, leader a-1\n"
                "7000: c joined: c-3, generation 1, range, leader a-1\n"
                "7000: d joined: d-4, generation 1, range, leader a-1\n");
}

/* KIP-62: a background thread heartbeats for a member that is busy; it has the rebalance timeout to
 * join again, and its session only says whether it is alive. */
TEST(group_story, kip_62_who_is_alive_but_busy_has_the_rebalance_timeout)
{
    story(0, "> a joins session 6000 rebalance 20000\n"
             "> b joins session 6000 rebalance 20000\n"
             "> wait 0\n"
             "0: kept: CompletingRebalance, generation 1\n"
             "0: a joined: a-1, generation 1, range, leader a-1, of a-1=a b-2=b\n"
             "0: b joined: b-2, generation 1, range, leader a-1\n"
             "> a-1 syncs 1 giving a-1=p0 b-2=p1\n"
             "0: kept: Stable, generation 1\n"
             "0: a-1 synced: p0\n"
             "> b-2 syncs 1\n"
             "0: b-2 synced: p1\n"
             "> wait 1000\n"
             "> c joins session 6000 rebalance 20000\n"
             "> a-1 heartbeats 1 => REBALANCE_IN_PROGRESS\n"
             "> a joins as a-1 session 6000 rebalance 20000\n"
             "> wait 4000\n"
             "> b-2 heartbeats 1 => REBALANCE_IN_PROGRESS\n"
             "> wait 5000\n"
             "> b-2 heartbeats 1 => REBALANCE_IN_PROGRESS\n"
             "> wait 5000\n"
             "> b-2 heartbeats 1 => REBALANCE_IN_PROGRESS\n"
             "> wait 5999\n"
             "> b-2 heartbeats 1 => REBALANCE_IN_PROGRESS\n"
             "> wait 1\n"
             "21000: kept: CompletingRebalance, generation 2\n"
             "21000: a joined: a-1, generation 2, range, leader a-1, of a-1=a c-3=c\n"
             "21000: c joined: c-3, generation 2, range, leader a-1\n"
             "> b-2 heartbeats 1 => UNKNOWN_MEMBER_ID\n");
}

TEST(group_story, kip_62_who_is_dead_is_missed_after_its_session)
{
    story(0, "> a joins session 6000 rebalance 60000\n"
             "> b joins session 6000 rebalance 60000\n"
             "> wait 0\n"
             "0: kept: CompletingRebalance, generation 1\n"
             "0: a joined: a-1, generation 1, range, leader a-1, of a-1=a b-2=b\n"
             "0: b joined: b-2, generation 1, range, leader a-1\n"
             "> a-1 syncs 1 giving a-1=p0 b-2=p1\n"
             "0: kept: Stable, generation 1\n"
             "0: a-1 synced: p0\n"
             "> b-2 syncs 1\n"
             "0: b-2 synced: p1\n"
             "> wait 4000\n"
             "> a-1 heartbeats 1 => NONE\n"
             "> wait 1999\n"
             "> a-1 heartbeats 1 => NONE\n"
             "> wait 1\n"
             "> a-1 heartbeats 1 => REBALANCE_IN_PROGRESS\n"
             "> a joins as a-1 session 6000 rebalance 60000\n"
             "6000: kept: CompletingRebalance, generation 2\n"
             "6000: a joined: a-1, generation 2, range, leader a-1, of a-1=a\n");
}

/* KIP-345: a static member bounces without a rebalance, for its new member id goes with what its
 * instance had; whoever has the old one is fenced, whatever it says. */
TEST(group_story, kip_345_a_static_member_bounces_and_its_zombie_is_fenced)
{
    story(0, "> a joins static x version 5\n"
             "> b joins static y version 5\n"
             "> wait 0\n"
             "0: kept: CompletingRebalance, generation 1\n"
             "0: a joined: x-1, generation 1, range, leader x-1, of x-1=a y-2=b\n"
             "0: b joined: y-2, generation 1, range, leader x-1\n"
             "> x-1 syncs 1 static x giving x-1=p0 y-2=p1\n"
             "0: kept: Stable, generation 1\n"
             "0: x-1 synced: p0\n"
             "> y-2 syncs 1 static y\n"
             "0: y-2 synced: p1\n"
             "> wait 5000\n"
             "> b joins static y version 5\n"
             "5000: kept: Stable, generation 1\n"
             "5000: b joined: y-3, generation 1, range, leader x-1\n"
             "> y-3 syncs 1 static y\n"
             "5000: y-3 synced: p1\n"
             "> y-2 heartbeats 1 static y => FENCED_INSTANCE_ID\n"
             "> y-2 commits 1 static y => FENCED_INSTANCE_ID\n"
             "> y-2 commits-in-a-transaction 1 static y => FENCED_INSTANCE_ID\n"
             "> y-2 leaves static y => FENCED_INSTANCE_ID\n"
             "> y-2 syncs 1 static y\n"
             "5000: somebody synced: FENCED_INSTANCE_ID\n"
             "> b joins as y-2 static y version 5\n"
             "5000: b joined: FENCED_INSTANCE_ID, id y-2\n"
             "> y-3 heartbeats 1 static y => NONE\n"
             "> y-3 heartbeats 1 static z => UNKNOWN_MEMBER_ID\n"
             "> x-1 heartbeats 1 static x => NONE\n");
}

/* ... if it offers other protocols, so that another is chosen, it is a rebalance all the same; what
 * it wants to read is for the leader to see. */
TEST(group_story, kip_345_a_static_member_that_offers_other_protocols_makes_a_rebalance)
{
    story(0, "> a joins static x version 5 offering range,sticky\n"
             "> b joins static y version 5 offering range,sticky\n"
             "> wait 0\n"
             "0: kept: CompletingRebalance, generation 1\n"
             "0: a joined: x-1, generation 1, range, leader x-1, of x-1=a y-2=b\n"
             "0: b joined: y-2, generation 1, range, leader x-1\n"
             "> x-1 syncs 1 static x giving x-1=p0 y-2=p1\n"
             "0: kept: Stable, generation 1\n"
             "0: x-1 synced: p0\n"
             "> y-2 syncs 1 static y\n"
             "0: y-2 synced: p1\n"
             "> b joins static y version 5 offering range,sticky saying other-topics\n"
             "0: kept: Stable, generation 1\n"
             "0: b joined: y-3, generation 1, range, leader x-1\n"
             "> x-1 heartbeats 1 static x => NONE\n"
             "> b joins static y version 5 offering sticky\n"
             "> x-1 heartbeats 1 static x => REBALANCE_IN_PROGRESS\n"
             "> a joins as x-1 static x version 5 offering range,sticky\n"
             "0: kept: CompletingRebalance, generation 2\n"
             "0: a joined: x-1, generation 2, sticky, leader x-1, of x-1=a y-4=b\n"
             "0: b joined: y-4, generation 2, sticky, leader x-1\n");
}

/* ... it does not leave when it closes, and is waited for until its session ends; an admin may take
 * it out at once, by its instance id. */
TEST(group_story, kip_345_an_admin_takes_a_static_member_out)
{
    story(0, "> a joins static x version 5\n"
             "> b joins static y version 5\n"
             "> wait 0\n"
             "0: kept: CompletingRebalance, generation 1\n"
             "0: a joined: x-1, generation 1, range, leader x-1, of x-1=a y-2=b\n"
             "0: b joined: y-2, generation 1, range, leader x-1\n"
             "> x-1 syncs 1 static x giving x-1=p0 y-2=p1\n"
             "0: kept: Stable, generation 1\n"
             "0: x-1 synced: p0\n"
             "> y-2 syncs 1 static y\n"
             "0: y-2 synced: p1\n"
             "> - leaves static nobody => UNKNOWN_MEMBER_ID\n"
             "> - leaves static y => NONE\n"
             "> x-1 heartbeats 1 static x => REBALANCE_IN_PROGRESS\n"
             "> y-2 heartbeats 1 static y => UNKNOWN_MEMBER_ID\n"
             "> a joins as x-1 static x version 5\n"
             "0: kept: CompletingRebalance, generation 2\n"
             "0: a joined: x-1, generation 2, range, leader x-1, of x-1=a\n");
}

/* ... a static member that is missing in a rebalance stays a member, but does not lead it; of the
 * next generation it must be told. */
TEST(group_story, kip_345_a_rebalance_goes_on_without_a_static_leader)
{
    story(0, "> a joins static x version 5 session 60000 rebalance 10000\n"
             "> b joins static y version 5 session 60000 rebalance 10000\n"
             "> wait 0\n"
             "0: kept: CompletingRebalance, generation 1\n"
             "0: a joined: x-1, generation 1, range, leader x-1, of x-1=a y-2=b\n"
             "0: b joined: y-2, generation 1, range, leader x-1\n"
             "> x-1 syncs 1 static x giving x-1=p0 y-2=p1\n"
             "0: kept: Stable, generation 1\n"
             "0: x-1 synced: p0\n"
             "> y-2 syncs 1 static y\n"
             "0: y-2 synced: p1\n"
             "> b joins as y-2 static y version 5 session 60000 rebalance 10000 saying more\n"
             "> wait 10000\n"
             "10000: kept: CompletingRebalance, generation 2\n"
             "10000: b joined: y-2, generation 2, range, leader y-2, of x-1=a y-2=more\n"
             "> y-2 syncs 2 static y giving x-1=p0 y-2=p1\n"
             "10000: kept: Stable, generation 2\n"
             "10000: y-2 synced: p1\n"
             "> x-1 heartbeats 1 static x => ILLEGAL_GENERATION\n"
             "> x-1 commits 1 static x => ILLEGAL_GENERATION\n"
             "> a joins as x-1 static x version 5 session 60000 rebalance 10000\n"
             "10000: a joined: x-1, generation 2, range, leader y-2\n"
             "> x-1 syncs 2 static x\n"
             "10000: x-1 synced: p0\n");
}

/* KIP-814: a static leader that comes back must watch what it assigned; from version 9 on it is
 * told the members and to skip the assignment, before it is told that another leads. */
TEST(group_story, kip_814_a_static_leader_comes_back)
{
    story(0, "> a joins static x version 9\n"
             "> b joins static y version 9\n"
             "> wait 0\n"
             "0: kept: CompletingRebalance, generation 1\n"
             "0: a joined: x-1, generation 1, range, leader x-1, of x-1=a y-2=b\n"
             "0: b joined: y-2, generation 1, range, leader x-1\n"
             "> x-1 syncs 1 static x giving x-1=p0 y-2=p1\n"
             "0: kept: Stable, generation 1\n"
             "0: x-1 synced: p0\n"
             "> y-2 syncs 1 static y\n"
             "0: y-2 synced: p1\n"
             "> a joins static x version 9\n"
             "0: kept: Stable, generation 1\n"
             "0: a joined: x-3, generation 1, range, leader x-3, skip assignment, of x-3=a y-2=b\n"
             "> x-3 syncs 1 static x\n"
             "0: x-3 synced: p0\n"
             "> a joins static x version 8\n"
             "0: kept: Stable, generation 1\n"
             "0: a joined: x-4, generation 1, range, leader x-3\n"
             "> x-4 syncs 1 static x\n"
             "0: x-4 synced: p0\n");
}

/* KIP-394: a member joins with an id that it was given, so that one who never hears the answer
 * leaves nobody behind. */
TEST(group_story, kip_394_a_member_that_never_heard_its_id_is_no_member)
{
    story(0, "> a joins version 4\n"
             "0: a joined: MEMBER_ID_REQUIRED, id a-1\n"
             "> a joins version 4\n"
             "0: a joined: MEMBER_ID_REQUIRED, id a-2\n"
             "> a joins as a-2 version 4\n"
             "> wait 9999\n"
             "0: kept: CompletingRebalance, generation 1\n"
             "0: a joined: a-2, generation 1, range, leader a-2, of a-2=a\n"
             "> wait 1\n"
             "10000: kept: Empty, generation 2\n"
             "> a-2 syncs 1 giving a-2=p0\n"
             "10000: somebody synced: UNKNOWN_MEMBER_ID\n"
             "> a joins as a-1 version 4\n"
             "10000: a joined: UNKNOWN_MEMBER_ID, id a-1\n");
}

/* ... and one that was given out and is not needed any more can be given back. */
TEST(group_story, kip_394_an_id_is_given_back)
{
    story(3000, "> a joins\n"
                "> wait 3000\n"
                "3000: kept: CompletingRebalance, generation 1\n"
                "3000: a joined: a-1, generation 1, range, leader a-1, of a-1=a\n"
                "> a-1 syncs 1 giving a-1=p0\n"
                "3000: kept: Stable, generation 1\n"
                "3000: a-1 synced: p0\n"
                "> b joins version 4\n"
                "3000: b joined: MEMBER_ID_REQUIRED, id b-2\n"
                "> a joins as a-1 saying again\n"
                "> b-2 leaves => NONE\n"
                "3000: kept: CompletingRebalance, generation 2\n"
                "3000: a joined: a-1, generation 2, range, leader a-1, of a-1=again\n"
                "> b joins as b-2 version 4\n"
                "3000: b joined: UNKNOWN_MEMBER_ID, id b-2\n");
}

/* KIP-429: who keeps what it holds says so when it joins; what has to move is given to nobody in
 * the first rebalance, its owner lets go of it and joins again, and the second one gives it away.
 */
TEST(group_story, kip_429_what_moves_is_let_go_of_before_it_is_given_away)
{
    story(0, "> a joins offering cooperative-sticky saying has-nothing\n"
             "> wait 0\n"
             "0: kept: CompletingRebalance, generation 1\n"
             "0: a joined: a-1, generation 1, cooperative-sticky, leader a-1, of a-1=has-nothing\n"
             "> a-1 syncs 1 giving a-1=p0,p1\n"
             "0: kept: Stable, generation 1\n"
             "0: a-1 synced: p0,p1\n"
             "> b joins offering cooperative-sticky saying has-nothing\n"
             "> a-1 heartbeats 1 => REBALANCE_IN_PROGRESS\n"
             "> a-1 commits 1 => NONE\n" /* it goes on reading */
             "> a joins as a-1 offering cooperative-sticky saying has-p0,p1\n"
             "0: kept: CompletingRebalance, generation 2\n"
             "0: a joined: a-1, generation 2, cooperative-sticky, leader a-1, of a-1=has-p0,p1 "
             "b-2=has-nothing\n"
             "0: b joined: b-2, generation 2, cooperative-sticky, leader a-1\n"
             "> b-2 syncs 2\n"
             "> a-1 syncs 2 giving a-1=p0 b-2=nothing\n"
             "0: kept: Stable, generation 2\n"
             "0: a-1 synced: p0\n"
             "0: b-2 synced: nothing\n"
             "> a joins as a-1 offering cooperative-sticky saying has-p0\n"
             "> b-2 heartbeats 2 => REBALANCE_IN_PROGRESS\n"
             "> b joins as b-2 offering cooperative-sticky saying has-nothing\n"
             "0: kept: CompletingRebalance, generation 3\n"
             "0: a joined: a-1, generation 3, cooperative-sticky, leader a-1, of a-1=has-p0 "
             "b-2=has-nothing\n"
             "0: b joined: b-2, generation 3, cooperative-sticky, leader a-1\n"
             "> a-1 syncs 3 giving a-1=p0 b-2=p1\n"
             "0: kept: Stable, generation 3\n"
             "0: a-1 synced: p0\n"
             "> b-2 syncs 3\n"
             "0: b-2 synced: p1\n");
}

/* KIP-447: a producer commits the offsets of a member in its transaction. The group refuses one
 * that is not what it was any more; also while members join, and (other than OffsetCommit) while
 * the leader assigns. A producer that names no member is nobody's zombie. */
TEST(group_story, kip_447_a_transaction_of_an_older_generation_is_refused)
{
    story(0, "> - commits-in-a-transaction -1 => NONE\n"
             "> a joins\n"
             "> wait 0\n"
             "0: kept: CompletingRebalance, generation 1\n"
             "0: a joined: a-1, generation 1, range, leader a-1, of a-1=a\n"
             "> a-1 commits 1 => REBALANCE_IN_PROGRESS\n"
             "> a-1 commits-in-a-transaction 1 => NONE\n"
             "> a-1 syncs 1 giving a-1=p0\n"
             "0: kept: Stable, generation 1\n"
             "0: a-1 synced: p0\n"
             "> a-1 commits-in-a-transaction 1 => NONE\n"
             "> - commits-in-a-transaction -1 => NONE\n"
             "> - commits -1 => UNKNOWN_MEMBER_ID\n"
             "> b joins\n"
             "> a-1 commits-in-a-transaction 1 => NONE\n"
             "> a joins as a-1\n"
             "0: kept: CompletingRebalance, generation 2\n"
             "0: a joined: a-1, generation 2, range, leader a-1, of a-1=a b-2=b\n"
             "0: b joined: b-2, generation 2, range, leader a-1\n"
             "> a-1 commits-in-a-transaction 1 => ILLEGAL_GENERATION\n"
             "> a-1 commits 1 => ILLEGAL_GENERATION\n"
             "> c-9 commits-in-a-transaction 2 => UNKNOWN_MEMBER_ID\n");
}

/* KIP-559: a sync that names another protocol than the group has is refused. */
TEST(group_story, kip_559_a_sync_says_which_protocol_it_means)
{
    story(0, "> a joins offering range,sticky\n"
             "> wait 0\n"
             "0: kept: CompletingRebalance, generation 1\n"
             "0: a joined: a-1, generation 1, range, leader a-1, of a-1=a\n"
             "> a-1 syncs 1 protocol sticky giving a-1=p0\n"
             "0: a-1 synced: INCONSISTENT_GROUP_PROTOCOL\n"
             "> a-1 syncs 1 protocol range giving a-1=p0\n"
             "0: kept: Stable, generation 1\n"
             "0: a-1 synced: p0\n");
}

/* Each member votes for the first of its protocols that all offer; most votes win. */
TEST(group_story, the_protocol_is_voted_for)
{
    story(0, "> a joins offering range,sticky\n"
             "> b joins offering new,sticky,range\n"
             "> c joins offering sticky,range,other\n"
             "> d joins offering new,other\n"
             "0: d joined: INCONSISTENT_GROUP_PROTOCOL, id \n"
             "> wait 0\n"
             "0: kept: CompletingRebalance, generation 1\n"
             "0: a joined: a-1, generation 1, sticky, leader a-1, of a-1=a b-2=b c-3=c\n"
             "0: b joined: b-2, generation 1, sticky, leader a-1\n"
             "0: c joined: c-3, generation 1, sticky, leader a-1\n");
}

/* The leader is missed: of those who came the one who has been there longest leads. */
TEST(group_story, another_leads_when_the_leader_is_gone)
{
    story(0, "> a joins\n"
             "> b joins\n"
             "> c joins\n"
             "> wait 0\n"
             "0: kept: CompletingRebalance, generation 1\n"
             "0: a joined: a-1, generation 1, range, leader a-1, of a-1=a b-2=b c-3=c\n"
             "0: b joined: b-2, generation 1, range, leader a-1\n"
             "0: c joined: c-3, generation 1, range, leader a-1\n"
             "> a-1 syncs 1 giving a-1=p0 b-2=p1 c-3=p2\n"
             "0: kept: Stable, generation 1\n"
             "0: a-1 synced: p0\n"
             "> b-2 syncs 1\n"
             "0: b-2 synced: p1\n"
             "> c-3 syncs 1\n"
             "0: c-3 synced: p2\n"
             "> a-1 leaves => NONE\n"
             "> c joins as c-3\n"
             "> b joins as b-2\n"
             "0: kept: CompletingRebalance, generation 2\n"
             "0: b joined: b-2, generation 2, range, leader b-2, of b-2=b c-3=c\n"
             "0: c joined: c-3, generation 2, range, leader b-2\n"
             "> b-2 syncs 2 giving b-2=p0 c-3=p1\n"
             "0: kept: Stable, generation 2\n"
             "0: b-2 synced: p0\n"
             "> c-3 syncs 2\n"
             "0: c-3 synced: p1\n");
}

/* group.max.size: who is not a member finds a full group; while members join, the first to come
 * have the places. */
TEST(group_story, a_group_is_full)
{
    story(0, "> at-most 2\n"
             "> a joins\n"
             "> b joins\n"
             "> c joins\n"
             "0: c joined: GROUP_MAX_SIZE_REACHED, id \n"
             "> wait 0\n"
             "0: kept: CompletingRebalance, generation 1\n"
             "0: a joined: a-1, generation 1, range, leader a-1, of a-1=a b-2=b\n"
             "0: b joined: b-2, generation 1, range, leader a-1\n"
             "> c joins\n"
             "0: c joined: GROUP_MAX_SIZE_REACHED, id \n"
             "> a-1 syncs 1 giving a-1=p0 b-2=p1\n"
             "0: kept: Stable, generation 1\n"
             "0: a-1 synced: p0\n"
             "> b-2 syncs 1\n"
             "0: b-2 synced: p1\n"
             "> c joins\n"
             "0: c joined: GROUP_MAX_SIZE_REACHED, id \n"
             "> a joins as a-1 saying again\n"
             "> c joins\n"
             "> b joins as b-2\n"
             "0: kept: CompletingRebalance, generation 2\n"
             "0: a joined: a-1, generation 2, range, leader a-1, of a-1=again c-3=c\n"
             "0: c joined: c-3, generation 2, range, leader a-1\n"
             "0: b joined: GROUP_MAX_SIZE_REACHED, id \n"
             "> wait 30000\n"
             "10000: kept: Empty, generation 3\n");
}

/* A broker that starts again knows what was kept: in the middle of a rebalance that members join;
 * with a generation that nobody was told of, a greater one. */
TEST(group_story, a_restart_in_the_middle_of_a_rebalance)
{
    story(0, "> a joins\n"
             "> b joins\n"
             "> wait 0\n"
             "0: kept: CompletingRebalance, generation 1\n"
             "0: a joined: a-1, generation 1, range, leader a-1, of a-1=a b-2=b\n"
             "0: b joined: b-2, generation 1, range, leader a-1\n"
             "> restart\n"
             "> a-1 syncs 1 giving a-1=p0 b-2=p1\n"
             "0: a-1 synced: REBALANCE_IN_PROGRESS\n"
             "> b-2 heartbeats 1 => REBALANCE_IN_PROGRESS\n"
             "> b joins as b-2\n"
             "> a joins as a-1\n"
             "0: kept: CompletingRebalance, generation 2\n"
             "0: a joined: a-1, generation 2, range, leader a-1, of a-1=a b-2=b\n"
             "0: b joined: b-2, generation 2, range, leader a-1\n"
             "> a-1 syncs 2 giving a-1=p0 b-2=p1\n"
             "0: kept: Stable, generation 2\n"
             "0: a-1 synced: p0\n"
             "> restart\n"
             "> b-2 syncs 2\n"
             "0: b-2 synced: p1\n"
             "> a-1 heartbeats 2 => NONE\n"
             "> wait 9000\n"
             "> a-1 heartbeats 2 => NONE\n"
             "> wait 1000\n"
             "> a-1 heartbeats 2 => REBALANCE_IN_PROGRESS\n");
}
