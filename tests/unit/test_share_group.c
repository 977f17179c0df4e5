/* One share group, as transcripts: an event, and what the member is told; then the members.
 *
 *     join a t u      a joins, wanting topics t and u (epoch 0)
 *     beat a 3 [t]    a heartbeat with epoch 3, wanting other topics or the same
 *     leave a         epoch -1
 *     wait 50         so many seconds pass; sessions last 45
 *     topic t 4       topic t has 4 partitions now; 0: it is gone
 *
 * What is told: an error, or the epoch and, if they must be told, the partitions (t0 t1); then all
 * members with theirs.
 */
#include "broker/share_group.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/base/mem.h"
#include "protocol/error.h"
#include "tests/test.h"

static const int64_t second_ns = 1000000000;

struct play {
    struct share_group *group;
    struct group_owner owner;
    struct share_group_effects effects;
    int32_t partitions[26]; /* of topics a to z */
    size_t members_max;
    int64_t now;
    int16_t persist_error;
    char said[1000];
    struct saved_row {
        char member[8]; /* empty: the group's */
        struct out value;
    } rows[16];
    size_t row_count;
};

/* ---- the world ---- */

static struct saved_row *row_of(struct play *play, const char *member)
{
    for (size_t i = 0; i < play->row_count; i++)
        if (strcmp(play->rows[i].member, member) == 0)
            return &play->rows[i];
    struct saved_row *row = &play->rows[play->row_count++];
    (void)snprintf(row->member, sizeof(row->member), "%s", member);
    return row;
}

static void row_put(struct play *play, const char *member, struct bytes value)
{
    struct saved_row *row = row_of(play, member);
    row->value.len = 0;
    if (value.data)
        out_bytes(&row->value, value.data, value.len);
}

static void put_group(void *context, struct bytes value)
{
    row_put(context, "", value);
}

static void put_member(void *context, const char *member, struct bytes value)
{
    row_put(context, member, value);
}

static int16_t persist(void *context, struct group *group)
{
    struct play *play = context;
    struct group_rows rows = { play, put_group, put_member };
    if (play->persist_error)
        return play->persist_error;
    group->operations->save(group, &rows, false);
    group->operations->saved(group);
    return 0;
}

static void schedule(void *context, struct group *group)
{
    (void)context;
    (void)group;
}

static bool topic_now(
    void *context, struct bytes name, struct uuid *ret_id, int32_t *ret_partitions)
{
    struct play *play = context;
    *ret_id = (struct uuid){ { name.data[0] } };
    *ret_partitions = play->partitions[name.data[0] - 'a'];
    return *ret_partitions > 0;
}

static int64_t session_ns(void *context, const struct group *group)
{
    (void)context;
    (void)group;
    return 45 * second_ns;
}

static size_t members_max(void *context)
{
    return ((struct play *)context)->members_max;
}

static void begin(struct play *play)
{
    *play = (struct play){ .members_max = 10, .now = second_ns };
    play->owner = (struct group_owner){
        .context = play, .persist = persist, .schedule = schedule, .bytes_max = 1 << 20
    };
    play->effects = (struct share_group_effects){
        .context = play, .topic = topic_now, .session_ns = session_ns, .members_max = members_max
    };
    play->group = share_group_create(bytes_text("g"), &play->owner, &play->effects);
}

static void end(struct play *play)
{
    play->group->base.operations->destroy(&play->group->base);
    cr_assert_eq(play->owner.bytes, 0);
    for (size_t i = 0; i < play->row_count; i++)
        out_done(&play->rows[i].value);
}

/* ---- events ---- */

static void say_places(struct play *play, const struct share_member *member)
{
    for (size_t i = 0; i < member->place_count; i++)
        SAY(play->said, " %c%d", member->places[i].topic.b[0], member->places[i].partition);
}

static void heartbeat(struct play *play, const char *member, int32_t epoch, const char *topics)
{
    struct bytes names[8];
    int32_t count = 0;
    for (; topics && *topics; topics++)
        if (*topics != ' ')
            names[count++] = bytes_of(topics, 1);
    struct share_heartbeat_answer answer;
    struct share_heartbeat beat = { .member_id = bytes_of(member, 1),
        .client_id = bytes_text("client"),
        .client_host = "/127.0.0.1",
        .epoch = epoch,
        .topics = names,
        .topic_count = count ? count : -1 };
    share_group_heartbeat(play->group, &beat, play->now, &answer);
    if (answer.error) {
        SAY(play->said, "error %d", answer.error);
        return;
    }
    SAY(play->said, "%d", answer.member ? answer.member->epoch : SHARE_EPOCH_LEAVE);
    if (answer.places)
        say_places(play, answer.member);
}

static const char *after(struct play *play, const char *event)
{
    int32_t epoch;
    char name;
    play->said[0] = 0;
    if (strncmp(event, "join ", 5) == 0)
        heartbeat(play, event + 5, SHARE_EPOCH_JOIN, event + 6);
    else if (sscanf(event, "beat %c %d", &name, &epoch) == 2)
        heartbeat(play, &name, epoch, strchr(event + 7, ' '));
    else if (sscanf(event, "leave %c", &name) == 1)
        heartbeat(play, &name, SHARE_EPOCH_LEAVE, NULL);
    else if (sscanf(event, "topic %c %d", &name, &epoch) == 2)
        play->partitions[name - 'a'] = epoch;
    else if (sscanf(event, "wait %d", &epoch) == 1) {
        play->now += epoch * second_ns;
        group_tick(&play->group->base, play->now);
    } else
        cr_assert_fail("what is %s", event);
    SAY(play->said, " |");
    list_foreach (node, &play->group->members) {
        const struct share_member *member = list_entry(node, struct share_member, link);
        SAY(play->said, " %s:", member->id);
        say_places(play, member);
    }
    return play->said;
}

#define STEP(event, expected)                                                                      \
    cr_assert_str_eq(after(&play, event), expected, "%s: %s", event, play.said)

TEST(share_group, fewer_members_than_partitions_share_them_out)
{
    struct play play;
    begin(&play);
    (void)after(&play, "topic t 4");
    STEP("join a t", "1 t0 t1 t2 t3 | a: t0 t1 t2 t3");
    STEP("join b t", "2 t2 t3 | a: t0 t1 b: t2 t3");
    STEP("beat a 1", "2 t0 t1 | a: t0 t1 b: t2 t3");
    STEP("beat a 2", "2 | a: t0 t1 b: t2 t3");
    STEP("join c t", "3 t3 | a: t0 t1 b: t2 c: t3");
    STEP("leave a", "-1 | b: t0 t2 c: t1 t3");
    STEP("beat b 2", "4 t0 t2 | b: t0 t2 c: t1 t3");
    cr_assert_str_eq(play.group->base.operations->state_name(&play.group->base), "Stable");
    end(&play);
}

TEST(share_group, more_members_than_partitions_share_each)
{
    struct play play;
    begin(&play);
    (void)after(&play, "topic t 2");
    (void)after(&play, "topic u 1");
    STEP("join a t", "1 t0 t1 | a: t0 t1");
    STEP("join b t u", "2 t1 u0 | a: t0 b: t1 u0");
    STEP("join c t", "3 t0 | a: t0 b: t1 u0 c: t0");
    STEP("join d t", "4 t1 | a: t0 b: t1 u0 c: t0 d: t1");
    STEP("leave b", "-1 | a: t0 c: t0 d: t1");
    end(&play);
}

TEST(share_group, topics_that_come_grow_and_go_are_noticed)
{
    struct play play;
    begin(&play);
    STEP("join a t", "1 | a:");
    STEP("beat a 1", "1 | a:");
    (void)after(&play, "topic t 1");
    STEP("beat a 1", "2 t0 | a: t0");
    (void)after(&play, "topic t 2");
    STEP("beat a 2", "3 t0 t1 | a: t0 t1");
    (void)after(&play, "topic u 1");
    STEP("beat a 3 u", "4 u0 | a: u0");
    (void)after(&play, "topic u 0");
    STEP("beat a 4", "5 | a:");
    end(&play);
}

TEST(share_group, epochs_fence_and_what_was_not_heard_is_told_again)
{
    struct play play;
    begin(&play);
    (void)after(&play, "topic t 2");
    STEP("beat a 1", "error 25 |"); /* UNKNOWN_MEMBER_ID */
    STEP("leave a", "error 25 |");
    STEP("join a t", "1 t0 t1 | a: t0 t1");
    STEP("beat a 2", "error 110 | a: t0 t1"); /* FENCED_MEMBER_EPOCH */
    STEP("join b t", "2 t1 | a: t0 b: t1");
    STEP("beat a 1", "2 t0 | a: t0 b: t1");
    STEP("beat a 1", "2 t0 | a: t0 b: t1"); /* the answer was lost */
    STEP("join a t", "2 t0 | a: t0 b: t1");
    end(&play);
}

TEST(share_group, silence_takes_a_member_out_and_the_group_has_a_size)
{
    struct play play;
    begin(&play);
    (void)after(&play, "topic t 1");
    play.members_max = 2;
    STEP("join a t", "1 t0 | a: t0");
    STEP("wait 30", " | a: t0");
    STEP("join b t", "2 t0 | a: t0 b: t0");
    STEP("join c t", "error 81 | a: t0 b: t0"); /* GROUP_MAX_SIZE_REACHED */
    STEP("wait 15", " | b: t0");
    STEP("wait 45", " |");
    cr_assert(play.group->base.operations->is_empty(&play.group->base));
    end(&play);
}

TEST(share_group, what_could_not_be_kept_is_told_with_the_next)
{
    struct play play;
    begin(&play);
    (void)after(&play, "topic t 1");
    play.persist_error = KAFKA_ERROR_COORDINATOR_NOT_AVAILABLE;
    STEP("join a t", "error 15 | a: t0");
    play.persist_error = 0;
    STEP("join a t", "1 t0 | a: t0");
    cr_assert_gt(row_of(&play, "a")->value.len, 0);
    end(&play);
}

TEST(share_group, rows_bring_it_back)
{
    struct play play;
    begin(&play);
    (void)after(&play, "topic t 3");
    (void)after(&play, "join a t");
    (void)after(&play, "join b t");
    (void)after(&play, "join c t");
    (void)after(&play, "leave c");
    cr_assert_eq(row_of(&play, "c")->value.len, 0);
    play.group->base.operations->destroy(&play.group->base);
    play.group = share_group_create(bytes_text("g"), &play.owner, &play.effects);
    struct group *base = &play.group->base;
    for (size_t i = 0; i < play.row_count; i++) {
        struct saved_row *row = &play.rows[i];
        struct bytes value = bytes_of(row->value.data, row->value.len);
        if (!row->member[0])
            cr_assert_eq(base->operations->load(base, value, play.now), 0);
        else if (row->value.len) {
            cr_assert_eq(
                base->operations->load_member(base, bytes_text(row->member), value, play.now), 0);
            value.len--; /* damaged */
            cr_assert_lt(base->operations->load_member(base, bytes_text("x"), value, play.now), 0);
        }
    }
    STEP("beat b 2", "5 t2 | a: t0 t1 b: t2");
    end(&play);
}
