/*
 * See share_group.h.
 *
 * A heartbeat: find or make the member, take what it says, look whether its topics are what they
 * were when the group was last assigned; if anything changed raise the epoch and assign; move the
 * member to the group's epoch; save.
 *
 * Rows: the group's is u8 kind, i32 epoch, i64 since. A member's is texts of rack (may be null),
 * client id and host, i32 epoch, i32 previous epoch, u32 count and names of topics, u32 count and
 * places (uuid, i32). Members whose row is damaged make the group unreadable: it is dropped, and
 * its members join anew.
 *
 * When rows cannot be saved now, the change stays marked and goes with the next; the client hears
 * an error and comes again.
 */
#include "broker/share_group.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/base/mem.h"
#include "protocol/error.h"
#include "storage/cursor.h"

static const struct group_operations operations;

static struct share_group *own(struct group *base)
{
    return container_of(base, struct share_group, base);
}

static const struct share_group *own_const(const struct group *base)
{
    return container_of_const(base, struct share_group, base);
}

static struct share_member *member_of(struct list *node)
{
    return list_entry(node, struct share_member, link);
}

/* ---- members ------------------------------------------------------------------------------- */

static void topics_free(struct share_member *member)
{
    for (size_t i = 0; i < member->topic_count; i++)
        mem_free(member->topics[i]);
    mem_free(member->topics);
    member->topics = NULL;
    member->topic_count = 0;
}

void share_member_done(struct share_member *member)
{
    topics_free(member);
    mem_free(member->id);
    mem_free(member->client_id);
    mem_free(member->client_host);
    mem_free(member->rack);
    mem_free(member->places);
    mem_free(member->next);
}

static void member_free(struct share_member *member)
{
    share_member_done(member);
    mem_free(member);
}

/* Counts anew what the member takes. */
static void member_measure(struct share_group *group, struct share_member *member)
{
    size_t bytes = sizeof(*member) + strlen(member->id) + strlen(member->client_id) +
                   strlen(member->client_host) + (member->rack ? strlen(member->rack) : 0) +
                   member->place_capacity * sizeof(*member->places);
    for (size_t i = 0; i < member->topic_count; i++)
        bytes += 2 * (sizeof(char *) + sizeof(struct share_topic) + strlen(member->topics[i]));
    group->base.owner->bytes += bytes;
    group->base.owner->bytes -= member->bytes;
    member->bytes = bytes;
}

struct share_member *share_group_member(const struct share_group *group, struct bytes id)
{
    list_foreach (node, &group->members)
        if (bytes_equal_text(id, member_of(node)->id))
            return member_of(node);
    return NULL;
}

/* Takes over the id. */
static struct share_member *member_add(struct share_group *group, char *id)
{
    struct share_member *member = mem_zalloc(1, sizeof(*member));
    struct list *before = &group->members;
    member->id = id;
    list_foreach (node, &group->members)
        if (before == &group->members && strcmp(member_of(node)->id, id) > 0)
            before = node;
    list_insert_before(before, &member->link);
    group->member_count++;
    return member;
}

static void member_remove(struct share_group *group, struct share_member *member)
{
    mem_grow(group->gone, &group->gone_capacity, group->gone_count + 1);
    group->gone[group->gone_count++] = mem_strdup(member->id);
    group_deadline_clear(&group->base, &member->deadline);
    group->base.owner->bytes -= member->bytes;
    list_remove(&member->link);
    group->member_count--;
    member_free(member);
}

static void member_heard(struct share_group *group, struct share_member *member, int64_t now)
{
    int64_t session = group->effects->session_ns(group->effects->context, &group->base);
    group_deadline_set(&group->base, &member->deadline, now + session);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool member_wants(const struct share_member *member, const char *name)
{
    return bsearch(&name, member->topics, member->topic_count, sizeof(char *), compare_names);
}

/* True: it wants others than before. */
static bool topics_set(struct share_member *member, const struct bytes *names, int32_t count)
{
    char **topics = mem_zalloc((size_t)count + 1, sizeof(char *));
    size_t kept = 0;
    for (int32_t i = 0; i < count; i++)
        topics[i] = mem_strndup((const char *)names[i].data, names[i].len);
    qsort(topics, (size_t)count, sizeof(char *), compare_names);
    for (int32_t i = 0; i < count; i++)
        if (kept && strcmp(topics[kept - 1], topics[i]) == 0)
            mem_free(topics[i]);
        else
            topics[kept++] = topics[i];
    bool same = kept == member->topic_count;
    for (size_t i = 0; i < kept && same; i++)
        same = strcmp(topics[i], member->topics[i]) == 0;
    topics_free(member);
    member->topics = topics;
    member->topic_count = kept;
    return !same;
}

static bool text_set(char **text, const char *value, size_t len)
{
    if (*text && strlen(*text) == len && memcmp(*text, value, len) == 0)
        return false;
    mem_free(*text);
    *text = mem_strndup(value, len);
    return true;
}

/* ---- topics -------------------------------------------------------------------------------- */

static int compare_topics(const void *a, const void *b)
{
    return strcmp(((const struct share_topic *)a)->name, ((const struct share_topic *)b)->name);
}

static void group_topics_free(struct share_group *group)
{
    for (size_t i = 0; i < group->topic_count; i++)
        mem_free(group->topics[i].name);
    group->topic_count = 0;
}

static struct share_topic topic_now(const struct share_group *group, char *name)
{
    struct share_topic topic = { .name = name };
    if (!group->effects->topic(
            group->effects->context, bytes_text(name), &topic.id, &topic.partitions))
        topic.partitions = 0;
    return topic;
}

/* Whether the member's topics are what they were when the group was assigned. */
static bool topics_moved(const struct share_group *group, const struct share_member *member)
{
    for (size_t i = 0; i < member->topic_count; i++) {
        struct share_topic now = topic_now(group, member->topics[i]);
        const struct share_topic *then =
            group->topic_count
                ? bsearch(&now, group->topics, group->topic_count, sizeof(now), compare_topics)
                : NULL;
        if (!then || then->partitions != now.partitions ||
            (now.partitions && !uuid_equal(then->id, now.id)))
            return true;
    }
    return false;
}

/* What all members want together, as it is now. */
static void topics_look(struct share_group *group)
{
    size_t total = 0;
    char **names = NULL;
    list_foreach (node, &group->members)
        total += member_of(node)->topic_count;
    names = mem_zalloc(total + 1, sizeof(char *));
    total = 0;
    list_foreach (node, &group->members)
        for (size_t i = 0; i < member_of(node)->topic_count; i++)
            names[total++] = member_of(node)->topics[i];
    qsort(names, total, sizeof(char *), compare_names);
    group_topics_free(group);
    for (size_t i = 0; i < total; i++) {
        if (i && strcmp(names[i], names[i - 1]) == 0)
            continue;
        mem_grow(group->topics, &group->topic_capacity, group->topic_count + 1);
        group->topics[group->topic_count++] = topic_now(group, mem_strdup(names[i]));
    }
    mem_free(names);
}

/* ---- the assignor -------------------------------------------------------------------------- */

/* One topic and those who want it. */
struct sharing {
    const struct share_topic *topic;
    struct share_member **members;
    size_t member_count;
    size_t *loads;   /* members: partitions each has; or partitions: members each has */
    size_t *choices; /* partitions: 1 + the member's index; or members: 1 + the partition; 0 none */
    size_t few, more; /* each gets `few`, and so many of them one more */
};

/* May one more go to `index`? */
static bool load_add(struct sharing *sharing, size_t index)
{
    if (sharing->loads[index] > sharing->few ||
        (sharing->loads[index] == sharing->few && sharing->more == 0))
        return false;
    if (sharing->loads[index]++ == sharing->few)
        sharing->more--;
    return true;
}

/* Who has least, the first of them. */
static size_t load_least(const struct sharing *sharing, size_t count)
{
    size_t least = 0;
    for (size_t i = 1; i < count; i++)
        if (sharing->loads[i] < sharing->loads[least])
            least = i;
    return least;
}

static void place_add(struct share_member *member, struct uuid topic, int32_t partition)
{
    mem_grow(member->next, &member->next_capacity, member->next_count + 1);
    member->next[member->next_count++] = (struct share_place){ topic, partition };
}

/* Each partition to one member. */
static void share_partitions(struct sharing *sharing)
{
    size_t partitions = (size_t)sharing->topic->partitions;
    sharing->few = partitions / sharing->member_count;
    sharing->more = partitions % sharing->member_count;
    for (size_t m = 0; m < sharing->member_count; m++) {
        const struct share_member *member = sharing->members[m];
        for (size_t i = 0; i < member->place_count; i++) {
            size_t partition = (size_t)member->places[i].partition;
            if (uuid_equal(member->places[i].topic, sharing->topic->id) && partition < partitions &&
                !sharing->choices[partition] && load_add(sharing, m))
                sharing->choices[partition] = m + 1;
        }
    }
    for (size_t p = 0; p < partitions; p++) {
        if (!sharing->choices[p]) {
            size_t m = load_least(sharing, sharing->member_count);
            CHECK(load_add(sharing, m));
            sharing->choices[p] = m + 1;
        }
        place_add(sharing->members[sharing->choices[p] - 1], sharing->topic->id, (int32_t)p);
    }
}

/* Each member one partition. */
static void share_members(struct sharing *sharing)
{
    size_t partitions = (size_t)sharing->topic->partitions;
    sharing->few = sharing->member_count / partitions;
    sharing->more = sharing->member_count % partitions;
    for (size_t m = 0; m < sharing->member_count; m++) {
        const struct share_member *member = sharing->members[m];
        for (size_t i = 0; i < member->place_count && !sharing->choices[m]; i++) {
            size_t partition = (size_t)member->places[i].partition;
            if (uuid_equal(member->places[i].topic, sharing->topic->id) && partition < partitions &&
                load_add(sharing, partition))
                sharing->choices[m] = partition + 1;
        }
    }
    for (size_t m = 0; m < sharing->member_count; m++) {
        if (!sharing->choices[m]) {
            size_t partition = load_least(sharing, partitions);
            CHECK(load_add(sharing, partition));
            sharing->choices[m] = partition + 1;
        }
        place_add(sharing->members[m], sharing->topic->id, (int32_t)(sharing->choices[m] - 1));
    }
}

static void topic_assign(struct share_group *group, const struct share_topic *topic)
{
    struct sharing sharing = { .topic = topic };
    if (topic->partitions == 0)
        return;
    size_t most = group->member_count > (size_t)topic->partitions ? group->member_count
                                                                  : (size_t)topic->partitions;
    sharing.members = mem_zalloc(group->member_count, sizeof(*sharing.members));
    sharing.loads = mem_zalloc(most, sizeof(size_t));
    sharing.choices = mem_zalloc(most, sizeof(size_t));
    list_foreach (node, &group->members)
        if (member_wants(member_of(node), topic->name))
            sharing.members[sharing.member_count++] = member_of(node);
    if (sharing.member_count > (size_t)topic->partitions)
        share_members(&sharing);
    else if (sharing.member_count > 0)
        share_partitions(&sharing);
    mem_free(sharing.members);
    mem_free(sharing.loads);
    mem_free(sharing.choices);
}

static bool places_equal(const struct share_member *member)
{
    if (member->next_count != member->place_count)
        return false;
    for (size_t i = 0; i < member->place_count; i++)
        if (!uuid_equal(member->next[i].topic, member->places[i].topic) ||
            member->next[i].partition != member->places[i].partition)
            return false;
    return true;
}

/* A new epoch, and who gets what in it. */
static void group_assign(struct share_group *group)
{
    group->epoch++;
    group->changed = true;
    topics_look(group);
    for (size_t i = 0; i < group->topic_count; i++)
        topic_assign(group, &group->topics[i]);
    list_foreach (node, &group->members) {
        struct share_member *member = member_of(node);
        if (!places_equal(member)) {
            struct share_place *places = member->places;
            size_t capacity = member->place_capacity;
            member->places = member->next;
            member->place_count = member->next_count;
            member->place_capacity = member->next_capacity;
            member->next = places;
            member->next_capacity = capacity;
            member->told = false;
            member->changed = true;
        }
        mem_free(member->next);
        member->next = NULL;
        member->next_count = member->next_capacity = 0;
        member_measure(group, member);
    }
}

/* ---- events -------------------------------------------------------------------------------- */

static void leave(struct share_group *group, const struct share_heartbeat *heartbeat,
    struct share_heartbeat_answer *ret)
{
    struct share_member *member = share_group_member(group, heartbeat->member_id);
    if (!member) {
        ret->error = KAFKA_ERROR_UNKNOWN_MEMBER_ID;
        return;
    }
    member_remove(group, member);
    group_assign(group);
    ret->error = group_persist(&group->base);
}

static int16_t member_check(
    const struct share_group *group, const struct share_heartbeat *heartbeat)
{
    const struct share_member *member = share_group_member(group, heartbeat->member_id);
    size_t more = sizeof(struct share_member) + heartbeat->member_id.len;
    for (int32_t i = 0; i < heartbeat->topic_count; i++)
        more += 2 * heartbeat->topics[i].len + 64;
    if (heartbeat->topic_count > 0 && group_is_full(&group->base, more))
        return KAFKA_ERROR_GROUP_MAX_SIZE_REACHED;
    if (!member && heartbeat->epoch != SHARE_EPOCH_JOIN)
        return KAFKA_ERROR_UNKNOWN_MEMBER_ID;
    if (!member && group->member_count >= group->effects->members_max(group->effects->context))
        return KAFKA_ERROR_GROUP_MAX_SIZE_REACHED;
    if (member && heartbeat->epoch != SHARE_EPOCH_JOIN && heartbeat->epoch != member->epoch &&
        heartbeat->epoch != member->previous_epoch)
        return KAFKA_ERROR_FENCED_MEMBER_EPOCH;
    return KAFKA_ERROR_NONE;
}

/* Takes what the member says. True: the group must be assigned anew. */
static bool member_take(
    struct share_group *group, struct share_member *member, const struct share_heartbeat *heartbeat)
{
    bool moved = false;
    const struct bytes *rack = &heartbeat->rack, *client = &heartbeat->client_id;
    member->changed |=
        text_set(&member->client_id, client->data ? (const char *)client->data : "", client->len);
    member->changed |=
        text_set(&member->client_host, heartbeat->client_host, strlen(heartbeat->client_host));
    if (rack->data)
        member->changed |= text_set(&member->rack, (const char *)rack->data, rack->len);
    if (heartbeat->topic_count >= 0)
        moved = topics_set(member, heartbeat->topics, heartbeat->topic_count);
    member->changed |= moved;
    member_measure(group, member);
    return moved || topics_moved(group, member);
}

void share_group_heartbeat(struct share_group *group, const struct share_heartbeat *heartbeat,
    int64_t now, struct share_heartbeat_answer *ret)
{
    *ret = (struct share_heartbeat_answer){ 0 };
    if (heartbeat->epoch == SHARE_EPOCH_LEAVE) {
        leave(group, heartbeat, ret);
        return;
    }
    ret->error = member_check(group, heartbeat);
    if (ret->error)
        return;
    struct share_member *member = share_group_member(group, heartbeat->member_id);
    bool fresh = !member;
    if (fresh)
        member = member_add(
            group, mem_strndup((const char *)heartbeat->member_id.data, heartbeat->member_id.len));
    if (member_take(group, member, heartbeat) || fresh)
        group_assign(group);
    /* Who says what it wants says everything, and hears everything. */
    ret->places = heartbeat->epoch == SHARE_EPOCH_JOIN || heartbeat->topic_count >= 0 ||
                  !member->told || heartbeat->epoch != member->epoch;
    if (member->epoch != group->epoch) {
        member->previous_epoch = member->epoch;
        member->epoch = group->epoch;
        member->changed = true;
    }
    member->told = true;
    member_heard(group, member, now);
    ret->error = group_persist(&group->base);
    ret->member = ret->error ? NULL : member;
    if (ret->error)
        member->told = false;
}

static void share_expire(struct group *base, struct heap_node *node, int64_t now)
{
    struct share_group *group = own(base);
    (void)now;
    member_remove(group, container_of(node, struct share_member, deadline));
    group_assign(group);
    (void)group_persist(base); /* what was not saved goes with the next */
}

/* ---- rows ---------------------------------------------------------------------------------- */

static void member_save(const struct share_member *member, const struct group_rows *rows)
{
    struct out out = { 0 };
    group_put_blob(&out, member->rack ? bytes_text(member->rack) : (struct bytes){ 0 });
    group_put_blob(&out, bytes_text(member->client_id));
    group_put_blob(&out, bytes_text(member->client_host));
    out_u32(&out, (uint32_t)member->epoch);
    out_u32(&out, (uint32_t)member->previous_epoch);
    out_u32(&out, (uint32_t)member->topic_count);
    for (size_t i = 0; i < member->topic_count; i++)
        group_put_blob(&out, bytes_text(member->topics[i]));
    out_u32(&out, (uint32_t)member->place_count);
    for (size_t i = 0; i < member->place_count; i++) {
        out_bytes(&out, member->places[i].topic.b, sizeof(member->places[i].topic.b));
        out_u32(&out, (uint32_t)member->places[i].partition);
    }
    rows->put_member(rows->context, member->id, bytes_of(out.data, out.len));
    out_done(&out);
}

static void share_save(struct group *base, const struct group_rows *rows, bool all)
{
    struct share_group *group = own(base);
    struct out out = { 0 };
    if (all || group->changed) {
        out_u8(&out, GROUP_SHARE);
        out_u32(&out, (uint32_t)group->epoch);
        out_u64(&out, (uint64_t)base->state_since_ms);
        rows->put_group(rows->context, bytes_of(out.data, out.len));
        out_done(&out);
    }
    for (size_t i = 0; i < group->gone_count; i++)
        if (!share_group_member(group, bytes_text(group->gone[i])))
            rows->put_member(rows->context, group->gone[i], bytes_of(NULL, 0));
    list_foreach (node, &group->members)
        if (all || member_of(node)->changed)
            member_save(member_of(node), rows);
}

static void gone_free(struct share_group *group)
{
    for (size_t i = 0; i < group->gone_count; i++)
        mem_free(group->gone[i]);
    group->gone_count = 0;
}

static void share_saved(struct group *base)
{
    struct share_group *group = own(base);
    group->changed = false;
    gone_free(group);
    list_foreach (node, &group->members)
        member_of(node)->changed = false;
}

int share_group_row_parse(struct bytes row, struct share_group_row *ret_row)
{
    struct cursor cursor = cursor_of(row);
    uint8_t kind = cursor_u8(&cursor);
    ret_row->epoch = cursor_i32(&cursor);
    ret_row->state_since_ms = cursor_i64(&cursor);
    return kind != GROUP_SHARE || ret_row->epoch < 0 || cursor.bad || cursor.left ? -EBADMSG : 0;
}

static int share_load(struct group *base, struct bytes row, int64_t now)
{
    struct share_group *group = own(base);
    struct share_group_row read;
    int status = share_group_row_parse(row, &read);
    (void)now;
    group->epoch = read.epoch;
    base->state_since_ms = read.state_since_ms;
    group->changed = false;
    return status;
}

static bool member_decode(struct share_member *member, struct cursor *cursor)
{
    member->rack = group_take_text(cursor);
    member->client_id = group_take_text(cursor);
    member->client_host = group_take_text(cursor);
    member->epoch = cursor_i32(cursor);
    member->previous_epoch = cursor_i32(cursor);
    size_t topics = cursor_count(cursor, 4);
    member->topics = mem_zalloc(topics + 1, sizeof(char *));
    for (; member->topic_count < topics && !cursor->bad; member->topic_count++) {
        char *name = group_take_text(cursor);
        if (!name)
            return false;
        member->topics[member->topic_count] = name;
    }
    size_t places = cursor_count(cursor, sizeof(struct uuid) + 4);
    for (size_t i = 0; i < places; i++) {
        struct uuid topic = { { 0 } };
        struct bytes id = cursor_bytes(cursor, sizeof(topic.b));
        if (id.data)
            memcpy(topic.b, id.data, id.len);
        place_add(member, topic, cursor_i32(cursor));
    }
    member->places = member->next;
    member->place_count = member->next_count;
    member->place_capacity = member->next_capacity;
    member->next = NULL;
    member->next_count = member->next_capacity = 0;
    return member->client_id && member->client_host && !cursor->bad && !cursor->left;
}

int share_member_row_parse(struct bytes row, struct share_member *ret_member)
{
    struct cursor cursor = cursor_of(row);
    return member_decode(ret_member, &cursor) ? 0 : -EBADMSG;
}

static int share_load_member(struct group *base, struct bytes id, struct bytes row, int64_t now)
{
    struct share_group *group = own(base);
    struct cursor cursor = cursor_of(row);
    struct share_member *member = member_add(group, mem_strndup((const char *)id.data, id.len));
    if (!member_decode(member, &cursor)) {
        list_remove(&member->link);
        group->member_count--;
        member_free(member);
        return -EBADMSG;
    }
    member_measure(group, member);
    member_heard(group, member, now);
    return 0;
}

/* ---- the table ----------------------------------------------------------------------------- */

static void share_destroy(struct group *base)
{
    struct share_group *group = own(base);
    for (struct list *node; (node = list_pop(&group->members));) {
        struct share_member *member = member_of(node);
        heap_remove(&base->deadlines, &member->deadline);
        base->owner->bytes -= member->bytes;
        member_free(member);
    }
    group_topics_free(group);
    gone_free(group);
    mem_free(group->topics);
    mem_free(group->gone);
    group_done(base);
    mem_free(group);
}

static const char *share_state_name(const struct group *base)
{
    return own_const(base)->member_count ? "Stable" : "Empty";
}

static const char *share_protocol_type(const struct group *base)
{
    (void)base;
    return "share";
}

static bool share_is_empty(const struct group *base)
{
    return own_const(base)->member_count == 0;
}

/* Share groups have no committed offsets: to those who commit there is no such group. */
static int16_t share_check_commit(
    struct group *base, struct group_offset_client *client, int64_t now)
{
    (void)base;
    (void)client;
    (void)now;
    return KAFKA_ERROR_GROUP_ID_NOT_FOUND;
}

static const struct group_operations operations = {
    .kind = GROUP_SHARE,
    .type_name = "share",
    .destroy = share_destroy,
    .state_name = share_state_name,
    .protocol_type = share_protocol_type,
    .is_empty = share_is_empty,
    .expire = share_expire,
    .save = share_save,
    .saved = share_saved,
    .load = share_load,
    .load_member = share_load_member,
    .check_commit = share_check_commit,
};

struct share_group *share_group_create(
    struct bytes id, struct group_owner *owner, const struct share_group_effects *effects)
{
    struct share_group *group = mem_zalloc(1, sizeof(*group));
    list_init(&group->members);
    group_init(&group->base, &operations, id, owner);
    group->effects = effects;
    group->changed = true;
    return group;
}

struct share_group *share_group_of(struct group *group)
{
    return group && group->operations == &operations ? own(group) : NULL;
}
