/* See sessions.h. */
#include "broker/sessions.h"

#include <string.h>

#include "protocol/base/mem.h"
#include "protocol/base/random.h"

/* ---- keys ---------------------------------------------------------------------------------- */

struct part_key {
    struct bytes topic;
    int32_t partition;
};

static int compare_part(const void *key, const struct tree_node *node)
{
    const struct part_key *wanted = key;
    const struct session_part *part = container_of_const(node, struct session_part, node);
    int order = bytes_compare(wanted->topic, bytes_of(part->key, part->key_len));
    if (!order)
        order = (wanted->partition > part->want.asked.partition) -
                (wanted->partition < part->want.asked.partition);
    return order;
}

static int compare_session(const void *key, const struct tree_node *node)
{
    int32_t wanted = *(const int32_t *)key;
    int32_t id = container_of_const(node, struct session, node)->id;
    return (wanted > id) - (wanted < id);
}

static struct part_key key_of(const struct session *session, struct bytes topic,
    const struct uuid *topic_id, int32_t partition)
{
    return (struct part_key){ session->by_id ? bytes_of(topic_id->b, sizeof(topic_id->b)) : topic,
        partition };
}

/* ---- life ---------------------------------------------------------------------------------- */

void sessions_init(struct sessions *sessions, struct random *random, size_t slots, size_t bytes_max)
{
    *sessions = (struct sessions){ .random = random,
        .by_id = { .compare = compare_session },
        .slots = slots,
        .bytes_max = bytes_max };
    list_init(&sessions->used);
}

void sessions_done(struct sessions *sessions)
{
    for (struct tree_node *node; sessions->by_id.compare && (node = tree_first(&sessions->by_id));)
        session_remove(sessions, container_of(node, struct session, node));
}

struct session *session_find(const struct sessions *sessions, int32_t id)
{
    struct tree_node *node = tree_find(&sessions->by_id, &id);
    return node ? container_of(node, struct session, node) : NULL;
}

static size_t part_size(size_t key_len)
{
    return sizeof(struct session_part) + key_len;
}

static void part_remove(
    struct sessions *sessions, struct session *session, struct session_part *part)
{
    struct part_key key = { bytes_of(part->key, part->key_len), part->want.asked.partition };
    (void)tree_remove(&session->parts_by_key, &key);
    list_remove(&part->link);
    session->bytes -= part_size(part->key_len);
    sessions->bytes -= part_size(part->key_len);
    mem_free(part);
}

void session_remove(struct sessions *sessions, struct session *session)
{
    for (struct list *node; (node = list_first(&session->parts));)
        part_remove(sessions, session, list_entry(node, struct session_part, link));
    (void)tree_remove(&sessions->by_id, &session->id);
    list_remove(&session->used_link);
    sessions->bytes -= sizeof(*session);
    mem_free(session);
}

/* The one whose place a session of so many partitions may take, or NULL. */
static struct session *victim(const struct sessions *sessions, size_t part_count, int64_t now_ms)
{
    struct session *smallest = NULL;
    list_foreach (node, &sessions->used) {
        struct session *session = list_entry(node, struct session, used_link);
        if (now_ms - session->used_ms > SESSION_PROTECTED_MS)
            return session; /* they are in the order of use, so this is the first */
        if (now_ms - session->created_ms <= SESSION_PROTECTED_MS ||
            session->parts_by_key.count >= part_count)
            continue;
        if (!smallest || session->parts_by_key.count < smallest->parts_by_key.count)
            smallest = session;
    }
    return smallest;
}

static bool is_full(const struct sessions *sessions, size_t part_count)
{
    size_t least = sizeof(struct session) + part_count * part_size(1);
    return sessions->by_id.count >= sessions->slots || sessions->bytes > sessions->bytes_max ||
           sessions->bytes_max - sessions->bytes < least;
}

struct session *session_create(
    struct sessions *sessions, bool by_id, size_t part_count, int64_t now_ms)
{
    while (is_full(sessions, part_count)) {
        struct session *session = victim(sessions, part_count, now_ms);
        if (!session)
            return NULL;
        session_remove(sessions, session);
        sessions->evicted++;
    }
    struct session *session = mem_zalloc(1, sizeof(*session));
    do
        session->id = (int32_t)(random_u64(sessions->random) & INT32_MAX);
    while (session->id == SESSION_NONE || session_find(sessions, session->id));
    session->epoch = session_epoch_after(SESSION_EPOCH_FIRST);
    session->by_id = by_id;
    session->created_ms = session->used_ms = now_ms;
    session->parts_by_key.compare = compare_part;
    list_init(&session->parts);
    tree_insert(&sessions->by_id, &session->id, &session->node);
    list_append(&sessions->used, &session->used_link);
    sessions->bytes += sizeof(*session);
    return session;
}

int32_t session_epoch_after(int32_t epoch)
{
    if (epoch < 0)
        return SESSION_EPOCH_FINAL;
    return epoch == INT32_MAX ? 1 : epoch + 1;
}

void session_touch(struct sessions *sessions, struct session *session, int64_t now_ms)
{
    session->epoch = session_epoch_after(session->epoch);
    session->used_ms = now_ms;
    list_remove(&session->used_link);
    list_append(&sessions->used, &session->used_link);
}

/* ---- partitions ---------------------------------------------------------------------------- */

static struct session_part *part_find(const struct session *session, const struct part_key *key)
{
    struct tree_node *node = tree_find(&session->parts_by_key, key);
    return node ? container_of(node, struct session_part, node) : NULL;
}

struct session_part *session_part(const struct session *session, const struct session_want *want)
{
    struct part_key key = key_of(session, want->topic, &want->topic_id, want->asked.partition);
    return part_find(session, &key);
}

struct session_part *session_want(
    struct sessions *sessions, struct session *session, const struct session_want *want)
{
    struct part_key key = key_of(session, want->topic, &want->topic_id, want->asked.partition);
    struct session_part *part = part_find(session, &key);
    if (part) {
        part->want.asked = want->asked;
        return part;
    }
    size_t size = part_size(key.topic.len);
    if (sessions->bytes > sessions->bytes_max || sessions->bytes_max - sessions->bytes < size)
        return NULL;
    part = mem_zalloc(1, size);
    part->key_len = key.topic.len;
    if (part->key_len)
        memcpy(part->key, key.topic.data, part->key_len);
    part->want = *want;
    part->want.topic = session->by_id ? bytes_of(NULL, 0) : bytes_of(part->key, part->key_len);
    part->high_watermark = part->log_start_offset = -1;
    list_append(&session->parts, &part->link);
    tree_insert(&session->parts_by_key, &key, &part->node);
    session->bytes += size;
    sessions->bytes += size;
    return part;
}

void session_forget(struct sessions *sessions, struct session *session, struct bytes topic,
    const struct uuid *topic_id, int32_t partition)
{
    struct part_key key = key_of(session, topic, topic_id, partition);
    struct session_part *part = part_find(session, &key);
    if (part)
        part_remove(sessions, session, part);
}

void session_note(struct session_part *part, const struct fetch_response_partition_data *row)
{
    /* -1 after an error, so that its end is news. */
    part->high_watermark = row->high_watermark;
    part->log_start_offset = row->log_start_offset;
}

bool session_tell(struct session *session, struct session_part *part,
    const struct fetch_response_partition_data *row)
{
    bool news = row->records.len > 0 || row->high_watermark != part->high_watermark ||
                row->log_start_offset != part->log_start_offset || row->error_code != 0 ||
                row->preferred_read_replica != -1 || row->diverging_epoch.epoch >= 0;
    session_note(part, row);
    if (row->records.len > 0) {
        list_remove(&part->link);
        list_append(&session->parts, &part->link);
    }
    return news;
}
