/*
 * See view.h.
 *
 *     store ── change ──▶ entry at its new lsn ──▶ the log's end moves, its waiters are told at the
 *                                                  end of the turn
 *     read(offset)  entries above the offset, in order, each made into records, these into batches
 *     find(time)    the same walk, VIEW_SCAN_MAX entries at a time, the rest in later turns
 *
 * The index has the lsns and nothing else: key and value are looked up in the store. A tombstone
 * has its own copy of the key.
 *
 * Offsets: the n records of an entry with lsn L are L - n to L - 1. No two lsns are nearer than 64,
 * the size of the smallest record in the write-ahead log.
 */
#include "broker/view.h"

#include <errno.h>
#include <string.h>
#include <xxhash.h>

#include "protocol/base/mem.h"
#include "protocol/base/tree.h"
#include "protocol/record.h"

struct view_entry {
    struct tree_node node; /* in partition->entries, by lsn */
    uint64_t lsn;
    const struct store_entry *entry; /* NULL: a tombstone */
    uint32_t size;                   /* of key and value */
    uint16_t kind;                   /* index in the settings */
    uint16_t forms;
};

struct view_tombstone {
    struct view_entry base;
    struct list link; /* in view->tombstones, the oldest first */
    int32_t partition;
    int64_t deleted_ms;
    size_t key_len;
    uint8_t key[];
};

struct view_partition {
    struct tree entries;
    uint64_t end, size;
    struct list changed; /* in view->changed */
    int32_t index;
};

struct view {
    const struct view_settings *settings;
    struct doors *doors;
    struct storage *storage;
    struct topic *topic; /* NULL: not shown yet */
    bool refused;        /* the name was taken */
    struct log_source source;
    struct view_partition *partitions;
    struct list changed, tombstones, finds;
    size_t tombstone_count, tombstone_bytes;
    struct timer timer; /* goes on with finds */
    uint64_t lsn;       /* of the newest change */
    struct view_records records;
};

/* ---- the index ----------------------------------------------------------------------------- */

static int compare_lsn(const void *key, const struct tree_node *node)
{
    uint64_t a = *(const uint64_t *)key;
    uint64_t b = container_of_const(node, struct view_entry, node)->lsn;
    return (a > b) - (a < b);
}

static struct view_entry *entry_of(struct tree_node *node)
{
    return node ? container_of(node, struct view_entry, node) : NULL;
}

static struct view_entry *entry_after(const struct view_partition *partition, uint64_t lsn)
{
    return entry_of(tree_after(&partition->entries, &lsn));
}

/* Takes the entry out that has this lsn, if it is one of the store's. */
static struct view_entry *entry_take(struct view_partition *partition, uint64_t lsn)
{
    struct view_entry *entry = entry_of(tree_find(&partition->entries, &lsn));
    if (!entry || !entry->entry)
        return NULL;
    (void)tree_remove(&partition->entries, &lsn);
    partition->size -= entry->size;
    return entry;
}

/* Frees it if its place is taken, which a sound store never says. */
static void entry_put(struct view_partition *partition, struct view_entry *entry)
{
    if (tree_find(&partition->entries, &entry->lsn)) {
        mem_free(entry);
        return;
    }
    tree_insert(&partition->entries, &entry->lsn, &entry->node);
    partition->size += entry->size;
}

static void tombstone_drop(struct view *view, struct view_tombstone *tombstone)
{
    struct view_partition *partition = &view->partitions[tombstone->partition];
    (void)tree_remove(&partition->entries, &tombstone->base.lsn);
    partition->size -= tombstone->base.size;
    list_remove(&tombstone->link);
    view->tombstone_count--;
    view->tombstone_bytes -= tombstone->key_len;
    mem_free(tombstone);
}

static void tombstone_put(struct view *view, struct view_partition *partition, uint16_t kind,
    uint16_t forms, const struct store_change *change)
{
    struct view_tombstone *tombstone = mem_zalloc(1, sizeof(*tombstone) + change->key.len);
    tombstone->base = (struct view_entry){
        .lsn = change->lsn, .kind = kind, .forms = forms, .size = (uint32_t)change->key.len
    };
    tombstone->partition = partition->index;
    tombstone->deleted_ms = clock_wall_ms(view->doors->clock);
    tombstone->key_len = change->key.len;
    memcpy(tombstone->key, change->key.data, change->key.len);
    tree_insert(&partition->entries, &change->lsn, &tombstone->base.node);
    partition->size += tombstone->base.size;
    list_append(&view->tombstones, &tombstone->link);
    view->tombstone_count++;
    view->tombstone_bytes += tombstone->key_len;
    while (view->tombstone_count > VIEW_TOMBSTONES_MAX ||
           view->tombstone_bytes > VIEW_TOMBSTONE_BYTES_MAX)
        tombstone_drop(
            view, list_entry(list_first(&view->tombstones), struct view_tombstone, link));
}

/* What the topic says of the partition. */
static void log_tell(struct view *view, const struct view_partition *partition)
{
    struct log *log = view->topic->logs[partition->index];
    log->end_offset = log->high_watermark = log->last_stable_offset = (int64_t)partition->end;
    log->size_bytes = partition->size;
    view->topic->lsn = view->lsn;
}

static int kind_index(const struct view *view, uint16_t kind)
{
    for (size_t i = 0; i < view->settings->kind_count; i++)
        if (view->settings->kinds[i].kind == kind)
            return (int)i;
    return -1;
}

static uint16_t form_of(const struct view *view, int kind, const struct store_change *change)
{
    const struct view_kind *how = &view->settings->kinds[kind];
    return how->form ? how->form(view->settings->context, change->key, change->value) : 0;
}

/* Into the index; NULL: nothing of ours. */
static struct view_partition *change_apply(struct view *view, const struct store_change *change)
{
    int kind = kind_index(view, change->kind);
    if (kind < 0)
        return NULL;
    struct bytes id = view->settings->kinds[kind].id(change->key);
    if (!id.data || (!change->value.data && !change->before))
        return NULL;
    struct view_partition *partition =
        &view->partitions[view->settings->partition(id, view->settings->partitions)];
    struct view_entry *entry = change->before ? entry_take(partition, change->before) : NULL;
    uint16_t forms = entry ? entry->forms : 0;
    if (!change->value.data) {
        mem_free(entry);
        tombstone_put(view, partition, (uint16_t)kind, forms, change);
    } else {
        if (!entry)
            entry = mem_alloc(sizeof(*entry));
        *entry = (struct view_entry){ .lsn = change->lsn,
            .entry = change->entry,
            .kind = (uint16_t)kind,
            .forms = forms | form_of(view, kind, change),
            .size = (uint32_t)(change->key.len + change->value.len) };
        entry_put(partition, entry);
    }
    if (partition->end < change->lsn)
        partition->end = change->lsn;
    if (view->lsn < change->lsn)
        view->lsn = change->lsn;
    return partition;
}

void view_change(struct view *view, const struct store_change *change)
{
    struct view_partition *partition = change_apply(view, change);
    if (!partition || !view_show(view))
        return;
    log_tell(view, partition);
    list_remove(&partition->changed);
    list_append(&view->changed, &partition->changed);
}

void view_turn(struct view *view)
{
    for (struct list *node; (node = list_pop(&view->changed));)
        log_wake(view->topic->logs[list_entry(node, struct view_partition, changed)->index]);
}

/* ---- the records of an entry --------------------------------------------------------------- */

void view_record_add(struct view_records *to, struct bytes key, struct bytes value)
{
    CHECK(to->count < VIEW_RECORDS_MAX);
    struct view_record *record = &to->records[to->count++];
    *record = (struct view_record){ .key_at = to->bytes.len,
        .key_len = key.len,
        .value_at = to->bytes.len + key.len,
        .value_len = value.len,
        .tombstone = !value.data };
    out_bytes(&to->bytes, key.data, key.len);
    out_bytes(&to->bytes, value.data, value.len);
}

/* Into view->records. Returns their timestamp. */
static int64_t entry_write(struct view *view, const struct view_entry *entry)
{
    const struct view_kind *kind = &view->settings->kinds[entry->kind];
    struct bytes key, value;
    uint64_t lsn;
    view->records.count = view->records.bytes.len = 0;
    if (entry->entry) {
        store_entry_get(entry->entry, &key, &value, &lsn);
        kind->write(view->settings->context, key, value, entry->forms, &view->records);
        return kind->time_ms(view->settings->context, key, value);
    }
    const struct view_tombstone *tombstone = container_of_const(entry, struct view_tombstone, base);
    kind->write(view->settings->context, bytes_of(tombstone->key, tombstone->key_len),
        bytes_of(NULL, 0), entry->forms, &view->records);
    return tombstone->deleted_ms;
}

static int64_t entry_time_ms(const struct view *view, const struct view_entry *entry)
{
    struct bytes key, value;
    uint64_t lsn;
    if (!entry->entry)
        return container_of_const(entry, struct view_tombstone, base)->deleted_ms;
    store_entry_get(entry->entry, &key, &value, &lsn);
    return view->settings->kinds[entry->kind].time_ms(view->settings->context, key, value);
}

/* ---- reading ------------------------------------------------------------------------------- */

struct reading {
    struct view *view;
    int32_t leader_epoch;
    struct out out;               /* whole batches */
    struct batch_builder builder; /* the next one */
    int64_t base, next;           /* of it; all below `next` is told */
    size_t limit;
    size_t first_max; /* of the first record, whatever the limit */
};

static void batch_begin(struct reading *reading, int64_t base)
{
    struct batch_options options = batch_options_plain(CODEC_NONE);
    options.base_offset = reading->base = base;
    options.leader_epoch = reading->leader_epoch;
    batch_builder_begin(&reading->builder, &options);
}

static int batch_end(struct reading *reading)
{
    if (!reading->builder.count)
        return 0;
    int status = batch_builder_finish(&reading->builder, NULL, &reading->out);
    reading->builder.count = 0;
    return status;
}

static bool fits(const struct reading *reading, size_t more)
{
    return reading->out.len + more <= reading->limit ||
           (more <= reading->first_max && !reading->out.len && !reading->builder.count);
}

/* 0; -ENOSPC: it does not fit; another error. */
static int record_put(struct reading *reading, int64_t offset, const struct record_view *record)
{
    size_t size = batch_builder_size_with(&reading->builder, record);
    bool apart =
        reading->builder.count && (size > VIEW_BATCH_MAX || offset - reading->base > INT32_MAX);
    if (apart) {
        int status = batch_end(reading);
        if (status < 0)
            return status;
    }
    if (!reading->builder.count) {
        batch_begin(reading, offset);
        size = batch_builder_size_with(&reading->builder, record);
    }
    if (!fits(reading, size))
        return -ENOSPC;
    return batch_builder_append_at(&reading->builder, (int32_t)(offset - reading->base), record);
}

static int entry_read(struct reading *reading, const struct view_entry *entry)
{
    struct view *view = reading->view;
    int64_t time_ms = entry_write(view, entry);
    const struct view_records *records = &view->records;
    int64_t offset = (int64_t)entry->lsn - (int64_t)records->count;
    for (size_t i = 0; i < records->count; i++, offset++) {
        const struct view_record *record = &records->records[i];
        struct record_view made = { .timestamp = time_ms,
            .key = bytes_of(records->bytes.data + record->key_at, record->key_len) };
        if (!record->tombstone)
            made.value = bytes_of(records->bytes.data + record->value_at, record->value_len);
        if (offset < reading->next)
            continue;
        int status = record_put(reading, offset, &made);
        if (status < 0)
            return status;
        reading->next = offset + 1;
    }
    return 0;
}

/* Leads a reader over offsets that have nothing, up to `next`. */
static int gap_put(struct reading *reading, int64_t next)
{
    int status = batch_end(reading);
    if (status < 0 || reading->next >= next || !fits(reading, BATCH_HEADER_SIZE))
        return status;
    struct batch_options options = batch_options_plain(CODEC_NONE);
    options.base_offset = next - 1;
    options.leader_epoch = reading->leader_epoch;
    options.last_offset_delta = 0;
    options.max_timestamp = -1;
    batch_builder_begin(&reading->builder, &options);
    return batch_builder_finish(&reading->builder, NULL, &reading->out);
}

static int read_all(struct reading *reading, const struct view_partition *partition, int64_t end)
{
    int64_t seen = reading->next;
    uint32_t looked = 0;
    const struct view_entry *entry;
    while (looked < VIEW_SCAN_MAX && (entry = entry_after(partition, (uint64_t)seen)) &&
           (int64_t)entry->lsn <= end) {
        int status = entry_read(reading, entry);
        if (status == -ENOSPC)
            return batch_end(reading);
        if (status < 0)
            return status;
        seen = (int64_t)entry->lsn;
        looked++;
    }
    return gap_put(reading, looked < VIEW_SCAN_MAX ? end : seen);
}

static int view_read(void *context, struct log_read *read)
{
    struct view *view = context;
    struct reading reading = { .view = view,
        .leader_epoch = read->log->leader_epoch,
        .next = read->offset,
        .limit = read->max_bytes < VIEW_READ_MAX ? read->max_bytes : VIEW_READ_MAX,
        .first_max = read->at_least_one ? SIZE_MAX : read->max_bytes };
    int status = 0;
    if (read->offset < read->end_offset)
        status = read_all(&reading, &view->partitions[read->log->partition], read->end_offset);
    if (status == 0 && reading.out.len) {
        read->buffer = buffer_create(NULL, reading.out.len);
        status = read->buffer ? 0 : -ENOMEM;
    }
    if (status == 0 && reading.out.len) {
        memcpy(read->buffer->data, reading.out.data, reading.out.len);
        read->buffer->len = reading.out.len;
    }
    batch_builder_done(&reading.builder);
    out_done(&reading.out);
    return status;
}

/* ---- finding a time ------------------------------------------------------------------------ */

struct view_find {
    struct list link; /* in view->finds */
    struct log_find_time *find;
    uint64_t at; /* looked at so far */
};

/* True: it is over. */
static bool find_step(struct view *view, struct log_find_time *find, uint64_t *at)
{
    const struct view_partition *partition = &view->partitions[find->log->partition];
    for (uint32_t looked = 0; looked < VIEW_SCAN_MAX; looked++) {
        const struct view_entry *entry = entry_after(partition, *at);
        if (!entry || (int64_t)entry->lsn > find->end_offset)
            return true;
        *at = entry->lsn;
        int64_t time_ms = entry_time_ms(view, entry);
        if (find->max ? find->offset >= 0 && time_ms <= find->timestamp_ms
                      : time_ms < find->target_ms)
            continue;
        (void)entry_write(view, entry);
        if (!view->records.count)
            continue;
        find->offset = (int64_t)entry->lsn - (int64_t)view->records.count;
        find->timestamp_ms = time_ms;
        find->leader_epoch = find->log->leader_epoch;
        if (!find->max)
            return true;
    }
    return false;
}

static void finds_later(struct view *view)
{
    timer_set(view->doors->timers, &view->timer, clock_monotonic_ns(view->doors->clock));
}

static void finds_go_on(struct timer *timer)
{
    struct view *view = container_of(timer, struct view, timer);
    size_t count = 0; /* of those that wait now */
    list_foreach (node, &view->finds)
        count++;
    for (struct list *node; count && (node = list_pop(&view->finds)); count--) {
        struct view_find *going = list_entry(node, struct view_find, link);
        struct log_find_time *find = going->find;
        bool over = find_step(view, find, &going->at);
        if (over)
            mem_free(going);
        else
            list_append(&view->finds, node);
        if (over)
            find->done(find, 0);
    }
    if (!list_empty(&view->finds))
        finds_later(view);
}

static int view_find_time(void *context, struct log_find_time *find)
{
    struct view *view = context;
    uint64_t at = 0;
    if (find_step(view, find, &at))
        return 0;
    struct view_find *going = mem_zalloc(1, sizeof(*going));
    going->find = find;
    going->at = at;
    list_append(&view->finds, &going->link);
    finds_later(view);
    return -EINPROGRESS;
}

static void view_find_cancel(void *context, struct log_find_time *find)
{
    struct view *view = context;
    list_foreach_safe (node, next, &view->finds) {
        struct view_find *going = list_entry(node, struct view_find, link);
        if (going->find != find)
            continue;
        list_remove(node);
        mem_free(going);
    }
}

/* ---- life ---------------------------------------------------------------------------------- */

/* The same as long as the cluster lives: groups commit offsets of a topic by its id. */
static struct uuid topic_id(const struct view *view)
{
    struct out text = { 0 };
    struct uuid id;
    out_text(&text, storage_cluster_id(view->storage));
    out_text(&text, view->settings->name);
    XXH128_canonical_t hash;
    XXH128_canonicalFromHash(&hash, XXH3_128bits(text.data, text.len));
    out_done(&text);
    memcpy(id.b, hash.digest, sizeof(id.b));
    id.b[0] &= 0x7f; /* its text does not begin with '-' */
    id.b[6] = (uint8_t)((id.b[6] & 0x0f) | 0x40);
    id.b[8] = (uint8_t)((id.b[8] & 0x3f) | 0x80);
    return id;
}

struct topic *view_show(struct view *view)
{
    const struct view_settings *settings = view->settings;
    if (view->topic || view->refused)
        return view->topic;
    struct uuid id = topic_id(view);
    view->topic = storage_add_computed(view->storage, bytes_text(settings->name), &id,
        settings->partitions, settings->entries, settings->entry_count, &view->source);
    if (!view->topic) {
        view->refused = true;
        doors_say(view->doors, LOG_WARNING,
            "there is a topic %s with records of its own: it does not show the broker's state",
            settings->name);
        return NULL;
    }
    for (int32_t i = 0; i < settings->partitions; i++)
        log_tell(view, &view->partitions[i]);
    return view->topic;
}

static void load_one(void *context, const struct store_change *change)
{
    (void)change_apply(context, change);
}

struct view *view_create(
    const struct view_settings *settings, struct doors *doors, struct storage *storage)
{
    struct view *view = mem_zalloc(1, sizeof(*view));
    view->settings = settings;
    view->doors = doors;
    view->storage = storage;
    view->source = (struct log_source){ .context = view,
        .read = view_read,
        .find_time = view_find_time,
        .find_cancel = view_find_cancel };
    view->timer.fire = finds_go_on;
    list_init(&view->changed);
    list_init(&view->tombstones);
    list_init(&view->finds);
    uint64_t deleted = 0;
    for (size_t i = 0; i < settings->kind_count; i++) {
        uint64_t lsn = store_deleted(storage, settings->kinds[i].kind);
        deleted = lsn > deleted ? lsn : deleted;
    }
    view->lsn = deleted;
    view->partitions = mem_zalloc((size_t)settings->partitions, sizeof(*view->partitions));
    for (int32_t i = 0; i < settings->partitions; i++) {
        view->partitions[i] = (struct view_partition){
            .entries = { .compare = compare_lsn }, .end = deleted, .index = i
        };
        list_init(&view->partitions[i].changed);
    }
    for (size_t i = 0; i < settings->kind_count; i++)
        store_each_entry(storage, settings->kinds[i].kind, load_one, view);
    if (view->lsn)
        (void)view_show(view);
    return view;
}

void view_destroy(struct view *view)
{
    if (!view)
        return;
    timer_cancel(view->doors->timers, &view->timer);
    for (struct list *node; (node = list_pop(&view->finds));)
        mem_free(list_entry(node, struct view_find, link));
    for (struct list *node; (node = list_first(&view->tombstones));)
        tombstone_drop(view, list_entry(node, struct view_tombstone, link));
    for (int32_t i = 0; i < view->settings->partitions; i++)
        for (struct view_entry *entry; (entry = entry_after(&view->partitions[i], 0));)
            mem_free(entry_take(&view->partitions[i], entry->lsn));
    mem_free(view->partitions);
    out_done(&view->records.bytes);
    mem_free(view);
}
