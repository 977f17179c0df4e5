/*
 * The durable form of a group of the consumer protocol: a row for the group, one for each member.
 *
 *   group    u8 GROUP_CONSUMER | u8 format (1) | i32 epoch | i32 assignment epoch | u64 topics hash
 * | i64 state_since_ms member   u8 format (1) | u8 state | i32 epoch | i32 previous epoch | i32
 * rebalance timeout (ms) | text instance, rack, client id, client host, regex, assignor | names |
 *            partitions assigned, revoking, target |
 *            u8 classic, and then: i32 session timeout (ms) | u32 protocols, each: text name, blob
 *            metadata
 *
 * text, blob: group_put_blob; names: name_list_put; partitions: partition_set_put. Little-endian.
 * Deadlines and what members' expressions match are not kept: everybody gets a full session, and
 * the expressions are looked up again; if they match other topics now the hash says so.
 */
#include <errno.h>
#include <string.h>

#include "broker/consumer_group.h"
#include "protocol/base/mem.h"
#include "storage/cursor.h"

enum { FORMAT = 1, MEMBER_FORMAT = 1 };

#define NS_PER_MS INT64_C(1000000)

static struct consumer_group *own(struct group *base)
{
    return container_of(base, struct consumer_group, base);
}

static struct bytes text_of(const char *text)
{
    return text ? bytes_text(text) : (struct bytes){ 0 };
}

static void put_classic(struct out *out, const struct consumer_classic *classic)
{
    out_u8(out, classic != NULL);
    if (!classic)
        return;
    out_u32(out, (uint32_t)classic->session_timeout_ms);
    out_u32(out, (uint32_t)classic->protocol_count);
    for (size_t i = 0; i < classic->protocol_count; i++) {
        group_put_blob(out, text_of(classic->protocols[i].name));
        group_put_blob(out, classic->protocols[i].metadata);
    }
}

static void put_member(struct out *out, const struct consumer_member *member)
{
    out_u8(out, MEMBER_FORMAT);
    out_u8(out, (uint8_t)member->state);
    out_u32(out, (uint32_t)member->epoch);
    out_u32(out, (uint32_t)member->previous_epoch);
    out_u32(out, (uint32_t)member->rebalance_timeout_ms);
    group_put_blob(out, text_of(member->instance_id));
    group_put_blob(out, text_of(member->rack_id));
    group_put_blob(out, text_of(member->client_id));
    group_put_blob(out, text_of(member->client_host));
    group_put_blob(out, text_of(member->regex));
    group_put_blob(out, text_of(member->assignor));
    name_list_put(out, &member->names);
    partition_set_put(out, &member->assigned);
    partition_set_put(out, &member->revoking);
    partition_set_put(out, &member->target);
    put_classic(out, member->classic);
}

void consumer_group_save(struct group *base, const struct group_rows *rows, bool all)
{
    struct consumer_group *group = own(base);
    struct out out = { 0 };
    if (all || group->changed) {
        out_u8(&out, GROUP_CONSUMER);
        out_u8(&out, FORMAT);
        out_u32(&out, (uint32_t)group->epoch);
        out_u32(&out, (uint32_t)group->assignment_epoch);
        out_u64(&out, group->topics_hash);
        out_u64(&out, (uint64_t)base->state_since_ms);
        rows->put_group(rows->context, bytes_of(out.data, out.len));
    }
    list_foreach (node, &group->gone)
        rows->put_member(
            rows->context, list_entry(node, struct consumer_gone, link)->id, (struct bytes){ 0 });
    list_foreach (node, &group->members) {
        const struct consumer_member *member = list_entry(node, struct consumer_member, link);
        if (!all && !member->changed)
            continue;
        out.len = 0;
        put_member(&out, member);
        rows->put_member(rows->context, member->id, bytes_of(out.data, out.len));
    }
    out_done(&out);
}

void consumer_group_saved(struct group *base)
{
    struct consumer_group *group = own(base);
    group->changed = false;
    for (struct list *node; (node = list_pop(&group->gone));) {
        struct consumer_gone *gone = list_entry(node, struct consumer_gone, link);
        mem_free(gone->id);
        mem_free(gone);
    }
    list_foreach (node, &group->members)
        list_entry(node, struct consumer_member, link)->changed = false;
}

int consumer_group_row_parse(struct bytes row, struct consumer_group_row *ret_row)
{
    struct cursor cursor = cursor_of(row);
    uint8_t kind = cursor_u8(&cursor), format = cursor_u8(&cursor);
    ret_row->epoch = cursor_i32(&cursor);
    ret_row->assignment_epoch = cursor_i32(&cursor);
    ret_row->topics_hash = cursor_u64(&cursor);
    ret_row->state_since_ms = cursor_i64(&cursor);
    return cursor.bad || cursor.left || kind != GROUP_CONSUMER || format != FORMAT ||
                   ret_row->epoch < 0 || ret_row->assignment_epoch < 0 ||
                   ret_row->assignment_epoch > ret_row->epoch
               ? -EBADMSG
               : 0;
}

int consumer_group_load(struct group *base, struct bytes row, int64_t now)
{
    struct consumer_group *group = own(base);
    struct consumer_group_row read;
    int status = consumer_group_row_parse(row, &read);
    (void)now;
    group->epoch = read.epoch;
    group->assignment_epoch = read.assignment_epoch;
    group->topics_hash = read.topics_hash;
    base->state_since_ms = read.state_since_ms;
    group->changed = false;
    /* Not seen yet in this life: the next heartbeat looks. */
    group->topics_version = UINT64_MAX;
    return status;
}

static void take_text(struct cursor *cursor, char **to)
{
    mem_free(*to);
    *to = group_take_text(cursor);
}

static void take_classic(struct cursor *cursor, struct consumer_member *member)
{
    if (!cursor_u8(cursor))
        return;
    struct consumer_classic *classic = mem_zalloc(1, sizeof(*classic));
    member->classic = classic;
    classic->session_timeout_ms = cursor_i32(cursor);
    uint32_t count = cursor_count(cursor, 8);
    classic->protocols = mem_zalloc(count, sizeof(*classic->protocols));
    for (uint32_t i = 0; i < count; i++) {
        char *name = group_take_text(cursor);
        struct bytes metadata = group_take_blob(cursor);
        char *copy = mem_strndup(metadata.data ? (const char *)metadata.data : "", metadata.len);
        classic->protocols[i].name = name ? name : mem_strdup("");
        classic->protocols[i].metadata = bytes_of(copy, metadata.len);
        classic->protocol_count = i + 1;
    }
    cursor->bad |= count == 0;
}

static bool take_member(struct cursor *cursor, struct consumer_member *member)
{
    uint8_t format = cursor_u8(cursor), state = cursor_u8(cursor);
    member->state = (enum consumer_member_state)state;
    member->epoch = cursor_i32(cursor);
    member->previous_epoch = cursor_i32(cursor);
    member->rebalance_timeout_ms = cursor_i32(cursor);
    take_text(cursor, &member->instance_id);
    take_text(cursor, &member->rack_id);
    take_text(cursor, &member->client_id);
    take_text(cursor, &member->client_host);
    take_text(cursor, &member->regex);
    take_text(cursor, &member->assignor);
    name_list_take(cursor, &member->names);
    partition_set_take(cursor, &member->assigned);
    partition_set_take(cursor, &member->revoking);
    partition_set_take(cursor, &member->target);
    take_classic(cursor, member);
    return !cursor->bad && !cursor->left && format == MEMBER_FORMAT &&
           state <= CONSUMER_UNRELEASED && member->client_id && member->client_host;
}

int consumer_member_row_parse(struct bytes row, struct consumer_member *ret_member)
{
    struct cursor cursor = cursor_of(row);
    return take_member(&cursor, ret_member) ? 0 : -EBADMSG;
}

int consumer_group_load_member(struct group *base, struct bytes id, struct bytes row, int64_t now)
{
    struct consumer_group *group = own(base);
    struct cursor cursor = cursor_of(row);
    if (id.len == 0 || memchr(id.data, 0, id.len))
        return -EBADMSG;
    struct consumer_member *member = consumer_group_add(group, id);
    bool good = take_member(&cursor, member);
    member->changed = false;
    consumer_member_count_bytes(member);
    if (!good)
        return -EBADMSG;
    consumer_member_heard(member, now);
    if (member->state == CONSUMER_UNREVOKED)
        group_deadline_set(
            base, &member->rebalance, now + member->rebalance_timeout_ms * NS_PER_MS);
    return 0;
}
