/* See group.h. */
#include "broker/group.h"

#include "protocol/base/mem.h"
#include "storage/cursor.h"

static size_t own_bytes(const struct group *group)
{
    return sizeof(*group) + strlen(group->id) + 1;
}

void group_init(struct group *group, const struct group_operations *operations, struct bytes id,
    struct group_owner *owner)
{
    group->operations = operations;
    group->owner = owner;
    group->id = mem_strndup((const char *)id.data, id.len);
    list_init(&group->link);
    list_init(&group->bucket);
    owner->bytes += own_bytes(group);
}

void group_done(struct group *group)
{
    group->owner->bytes -= own_bytes(group);
    heap_done(&group->deadlines);
    mem_free(group->id);
}

int16_t group_persist(struct group *group)
{
    return group->owner->persist(group->owner->context, group);
}

static void schedule(struct group *group)
{
    group->owner->schedule(group->owner->context, group);
}

void group_deadline_set(struct group *group, struct heap_node *node, int64_t at)
{
    heap_remove(&group->deadlines, node);
    heap_insert(&group->deadlines, node, at);
    schedule(group);
}

void group_deadline_clear(struct group *group, struct heap_node *node)
{
    heap_remove(&group->deadlines, node);
    schedule(group);
}

bool group_owner_is_full(const struct group_owner *owner, size_t more)
{
    return owner->bytes + more > owner->bytes_max;
}

bool group_is_full(const struct group *group, size_t more)
{
    return group_owner_is_full(group->owner, more);
}

struct look_for {
    struct bytes topic;
    bool found;
};

static void look_for(void *context, struct bytes topic)
{
    struct look_for *look = context;
    look->found |= bytes_equal(topic, look->topic);
}

bool group_is_subscribed(const struct group *group, struct bytes topic)
{
    struct look_for look = { topic, false };
    return group->operations->each_subscribed &&
           (!group->operations->each_subscribed(group, look_for, &look) || look.found);
}

int64_t group_next_deadline(const struct group *group)
{
    struct heap_node *node = heap_first(&group->deadlines);
    return node ? node->key : INT64_MAX;
}

void group_tick(struct group *group, int64_t now)
{
    struct heap_node *node;
    while ((node = heap_first(&group->deadlines)) && node->key <= now) {
        heap_remove(&group->deadlines, node);
        group->operations->expire(group, node, now);
    }
    schedule(group);
}

void group_put_blob(struct out *out, struct bytes blob)
{
    out_u32(out, blob.data ? (uint32_t)blob.len : UINT32_MAX);
    if (blob.data)
        out_bytes(out, blob.data, blob.len);
}

struct bytes group_take_blob(struct cursor *cursor)
{
    uint32_t len = cursor_u32(cursor);
    return cursor->bad || len == UINT32_MAX ? (struct bytes){ 0 } : cursor_bytes(cursor, len);
}

char *group_take_text(struct cursor *cursor)
{
    struct bytes text = group_take_blob(cursor);
    return text.data ? mem_strndup((const char *)text.data, text.len) : NULL;
}
