/*
 * Counts in slices. See slices.h.
 *
 * The happy path: slices_add finds the slice of the time (usually the one of the call before), then
 * the key in the slice's own hash table, adds, and notes the old value in the journal and, once per
 * unit, the key among the dirty ones. When a window is due, slices_rows sums its slices.
 *
 * A slice is one block of entries, one of key bytes and one hash index, so that dropping it is
 * three frees however many keys it holds.
 *
 *   live:   [0,10) [10,20) [20,30) ...          width 10
 *   window:  start ------------------> end      size 60: six slices
 *
 * Invariants
 *  - live is ordered by start, no two alike; no live slice lies in closed windows only.
 *  - a key undone in the unit that made it stays as an entry that is not `held`: no row, no change.
 *  - a slice dropped in a unit lives until the unit is kept: undo puts it back.
 */
#include "processors/slices.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

struct entry {
    uint64_t hash;
    int64_t count;
    uint32_t key_at, key_len;
    bool held;  /* counted at least once (and not undone) */
    bool dirty; /* among the changes of this unit */
};

struct slice {
    int64_t start;
    int64_t log_offset; /* none of its changes is at a lower offset of the changelog */
    struct slices *owner;
    bool dropped;
    struct entry *entries;
    size_t count, capacity;
    uint8_t *keys;
    size_t keys_len, keys_capacity;
    uint32_t *index; /* entry + 1, or 0 */
    size_t index_size;
};

struct slice_change {
    struct slice *slice;
    uint32_t entry;
};

enum { INDEX_SMALLEST = 64, CHANGE_OVERHEAD = 32 };

/* ---- time ----------------------------------------------------------------------------------- */

static int64_t floor_to(int64_t time, int64_t step)
{
    int64_t rest = time % step;
    return time - rest - (rest < 0 ? step : 0);
}

static int64_t gcd(int64_t a, int64_t b)
{
    while (b) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* The ends of the earliest and the latest window that contains `time`. */
static int64_t first_end(const struct slices *slices, int64_t time)
{
    return floor_to(time - slices->spec.size_ms, slices->spec.step_ms) + slices->spec.step_ms +
           slices->spec.size_ms;
}

static int64_t last_end(const struct slices *slices, int64_t time)
{
    return floor_to(time, slices->spec.step_ms) + slices->spec.size_ms;
}

/* ---- one slice ------------------------------------------------------------------------------ */

static size_t slice_bytes(const struct slice *slice)
{
    return sizeof(*slice) + slice->capacity * sizeof(*slice->entries) + slice->keys_capacity +
           slice->index_size * sizeof(*slice->index);
}

static void slice_free(struct slice *slice)
{
    mem_free(slice->entries);
    mem_free(slice->keys);
    mem_free(slice->index);
    mem_free(slice);
}

static void index_put(uint32_t *index, size_t size, uint64_t hash, uint32_t slot)
{
    size_t at = hash & (size - 1);
    while (index[at])
        at = (at + 1) & (size - 1);
    index[at] = slot + 1;
}

static void slice_reindex(struct slice *slice)
{
    slice->index_size = slice->index_size ? slice->index_size * 2 : INDEX_SMALLEST;
    mem_free(slice->index);
    slice->index = mem_zalloc(slice->index_size, sizeof(*slice->index));
    for (size_t i = 0; i < slice->count; i++)
        index_put(slice->index, slice->index_size, slice->entries[i].hash, (uint32_t)i);
}

/* The entry's slot, or -1. */
static int64_t slice_find(const struct slice *slice, struct bytes key, uint64_t hash)
{
    if (!slice->index_size)
        return -1;
    for (size_t at = hash & (slice->index_size - 1);; at = (at + 1) & (slice->index_size - 1)) {
        if (!slice->index[at])
            return -1;
        const struct entry *entry = &slice->entries[slice->index[at] - 1];
        if (entry->hash == hash && entry->key_len == key.len &&
            memcmp(slice->keys + entry->key_at, key.data, key.len) == 0)
            return slice->index[at] - 1;
    }
}

static uint32_t slice_insert(struct slice *slice, struct bytes key, uint64_t hash)
{
    size_t before = slice_bytes(slice);
    if ((slice->count + 1) * 2 > slice->index_size)
        slice_reindex(slice);
    mem_grow(slice->entries, &slice->capacity, slice->count + 1);
    mem_grow(slice->keys, &slice->keys_capacity, slice->keys_len + key.len + 1); /* never NULL */
    if (key.len)
        memcpy(slice->keys + slice->keys_len, key.data, key.len);
    uint32_t slot = (uint32_t)slice->count++;
    slice->entries[slot] = (struct entry){
        .hash = hash, .key_at = (uint32_t)slice->keys_len, .key_len = (uint32_t)key.len
    };
    slice->keys_len += key.len;
    index_put(slice->index, slice->index_size, hash, slot);
    slice->owner->bytes += slice_bytes(slice) - before;
    return slot;
}

/* ---- the live ones --------------------------------------------------------------------------- */

void slices_init(struct slices *slices, const struct window_spec *spec, struct journal *journal)
{
    *slices = (struct slices){
        .spec = *spec,
        .width_ms = gcd(spec->size_ms, spec->step_ms),
        .closed_end = SLICES_NEVER,
        .journal = journal,
    };
}

void slices_done(struct slices *slices)
{
    for (size_t i = 0; i < slices->count; i++)
        slice_free(slices->live[i]);
    mem_free(slices->live);
    mem_free(slices->dirty);
    *slices = (struct slices){ 0 };
}

/* The place of `start` among the live slices: the first that is not before it. */
static size_t place_of(const struct slices *slices, int64_t start)
{
    size_t low = 0, high = slices->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (slices->live[middle]->start < start)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void live_insert(struct slices *slices, struct slice *slice)
{
    size_t at = place_of(slices, slice->start);
    mem_grow(slices->live, &slices->capacity, slices->count + 1);
    memmove(&slices->live[at + 1], &slices->live[at], (slices->count - at) * sizeof(slice));
    slices->live[at] = slice;
    slices->count++;
    slices->bytes += slice_bytes(slice);
}

static struct slice *slice_at(struct slices *slices, int64_t time_ms, int64_t log_offset)
{
    int64_t start = floor_to(time_ms, slices->width_ms);
    if (slices->recent && slices->recent->start == start)
        return slices->recent;
    size_t at = place_of(slices, start);
    if (at < slices->count && slices->live[at]->start == start)
        return slices->recent = slices->live[at];
    struct slice *slice = mem_zalloc(1, sizeof(*slice));
    slice->start = start;
    slice->owner = slices;
    slice->log_offset = log_offset;
    live_insert(slices, slice);
    return slices->recent = slice;
}

/* ---- adding ---------------------------------------------------------------------------------- */

static void undo_add(struct undo *undo)
{
    struct slice *slice = undo->object;
    struct entry *entry = &slice->entries[undo->a.number >> 1];
    entry->count = undo->b.number;
    entry->held = undo->a.number & 1;
}

static const struct undo_kind add_kind = { undo_add, NULL };

int slices_add(struct slices *slices, struct bytes key, int64_t time_ms, int64_t delta)
{
    if (!key.data || key.len > SLICES_KEY_MAX)
        return -EINVAL;
    if (time_ms < 0 || time_ms > SLICES_TIME_MAX || last_end(slices, time_ms) <= slices->closed_end)
        return SLICES_LATE;
    struct slice *slice = slice_at(slices, time_ms, slices->log_offset);
    uint64_t hash = XXH3_64bits(key.data, key.len);
    int64_t found = slice_find(slice, key, hash);
    uint32_t slot = found >= 0 ? (uint32_t)found : slice_insert(slice, key, hash);
    struct entry *entry = &slice->entries[slot];
    int64_t count;
    if (__builtin_add_overflow(entry->count, delta, &count))
        return -ERANGE;
    journal_add(slices->journal, &add_kind, slice,
        (union undo_value){ .number = (int64_t)slot << 1 | entry->held },
        (union undo_value){ .number = entry->count });
    entry->count = count;
    entry->held = true;
    if (!entry->dirty) {
        entry->dirty = true;
        mem_grow(slices->dirty, &slices->dirty_capacity, slices->dirty_count + 1);
        slices->dirty[slices->dirty_count++] = (struct slice_change){ slice, slot };
        slices->dirty_bytes += CHANGE_OVERHEAD + key.len;
    }
    return 0;
}

/* ---- closing --------------------------------------------------------------------------------- */

int64_t slices_boundary(const struct slices *slices)
{
    if (slices->closed_end == SLICES_NEVER)
        return SLICES_NEVER;
    return slices->closed_end + slices->spec.step_ms + slices->spec.grace_ms;
}

/* The end of the earliest window that is not closed and touches a live slice. */
static int64_t next_end(const struct slices *slices)
{
    int64_t end = first_end(slices, slices->live[0]->start);
    if (slices->closed_end != SLICES_NEVER && end <= slices->closed_end)
        end = slices->closed_end + slices->spec.step_ms;
    return end;
}

int64_t slices_next_due(const struct slices *slices)
{
    return slices->count ? next_end(slices) + slices->spec.grace_ms : INT64_MAX;
}

bool slices_due(const struct slices *slices, int64_t watermark, int64_t *ret_end)
{
    if (slices_next_due(slices) > watermark)
        return false;
    *ret_end = next_end(slices);
    return true;
}

static void undo_drop(struct undo *undo)
{
    struct slice *slice = undo->object;
    slice->dropped = false;
    live_insert(slice->owner, slice);
}

static void keep_drop(struct undo *undo)
{
    slice_free(undo->object);
}

static const struct undo_kind drop_kind = { undo_drop, keep_drop };

void slices_close(struct slices *slices, int64_t end)
{
    slices->closed_end = end;
    size_t gone = 0;
    while (gone < slices->count && last_end(slices, slices->live[gone]->start) <= end)
        gone++;
    if (!gone)
        return;
    for (size_t i = 0; i < gone; i++) {
        struct slice *slice = slices->live[i];
        slice->dropped = true;
        slices->bytes -= slice_bytes(slice);
        journal_add(
            slices->journal, &drop_kind, slice, (union undo_value){ 0 }, (union undo_value){ 0 });
    }
    slices->count -= gone;
    memmove(slices->live, slices->live + gone, slices->count * sizeof(*slices->live));
    slices->recent = NULL;
}

void slices_advance(struct slices *slices, int64_t watermark)
{
    int64_t latest = watermark - slices->spec.grace_ms - slices->spec.size_ms;
    int64_t end = floor_to(latest, slices->spec.step_ms) + slices->spec.size_ms;
    if (end > slices->closed_end)
        slices_close(slices, end);
}

/* ---- rows ------------------------------------------------------------------------------------ */

void slice_rows_done(struct slice_rows *rows)
{
    mem_free(rows->rows);
    mem_free(rows->index);
    *rows = (struct slice_rows){ 0 };
}

static void rows_reindex(struct slice_rows *rows, size_t size)
{
    if (rows->index_size < size) {
        mem_free(rows->index);
        rows->index = mem_alloc(size * sizeof(*rows->index));
        rows->index_size = size;
    }
    memset(rows->index, 0, rows->index_size * sizeof(*rows->index));
    for (size_t i = 0; i < rows->count; i++)
        index_put(rows->index, rows->index_size, rows->rows[i].hash, (uint32_t)i);
}

static void rows_add(struct slice_rows *rows, const struct slice *slice, const struct entry *entry)
{
    const uint8_t *key = slice->keys + entry->key_at;
    size_t mask = rows->index_size - 1, at = entry->hash & mask;
    for (; rows->index[at]; at = (at + 1) & mask) {
        struct slice_row *row = &rows->rows[rows->index[at] - 1];
        if (row->hash == entry->hash && row->key_len == entry->key_len &&
            memcmp(row->key, key, entry->key_len) == 0) {
            if (__builtin_add_overflow(row->num, entry->count, &row->num))
                row->num = entry->count < 0 ? INT64_MIN : INT64_MAX;
            return;
        }
    }
    mem_grow(rows->rows, &rows->capacity, rows->count + 1);
    rows->rows[rows->count++] =
        (struct slice_row){ key, entry->key_len, entry->hash, entry->count };
    rows->index[at] = (uint32_t)rows->count;
    if (rows->count * 2 > rows->index_size)
        rows_reindex(rows, rows->index_size * 2);
}

static int by_key(const void *left, const void *right)
{
    const struct slice_row *a = left, *b = right;
    uint32_t shared = a->key_len < b->key_len ? a->key_len : b->key_len;
    int order = memcmp(a->key, b->key, shared);
    return order ? order : (a->key_len > b->key_len) - (a->key_len < b->key_len);
}

static int by_count(const void *left, const void *right)
{
    const struct slice_row *a = left, *b = right;
    return a->num != b->num ? (a->num < b->num) - (a->num > b->num) : by_key(a, b);
}

/* A heap whose root is the worst of the rows kept so far. */
static void sift(struct slice_row *heap, size_t count, size_t at)
{
    for (;;) {
        size_t worst = at, left = 2 * at + 1;
        for (size_t child = left; child < left + 2 && child < count; child++) {
            if (by_count(&heap[child], &heap[worst]) > 0)
                worst = child;
        }
        if (worst == at)
            return;
        struct slice_row swap = heap[at];
        heap[at] = heap[worst];
        heap[worst] = swap;
        at = worst;
    }
}

/* Moves the `top` best to the front, in no order. */
static void rows_select(struct slice_rows *rows, size_t top)
{
    for (size_t i = top / 2; i-- > 0;)
        sift(rows->rows, top, i);
    for (size_t i = top; i < rows->count; i++) {
        if (by_count(&rows->rows[i], &rows->rows[0]) < 0) {
            rows->rows[0] = rows->rows[i];
            sift(rows->rows, top, 0);
        }
    }
    rows->count = top;
}

static void rows_drop_zeros(struct slice_rows *rows)
{
    size_t kept = 0;
    for (size_t i = 0; i < rows->count; i++) {
        if (rows->rows[i].num != 0)
            rows->rows[kept++] = rows->rows[i];
    }
    rows->count = kept;
}

void slices_rows(const struct slices *slices, int64_t end, struct slice_rows *ret)
{
    ret->count = 0;
    rows_reindex(ret, INDEX_SMALLEST);
    for (size_t i = place_of(slices, end - slices->spec.size_ms); i < slices->count; i++) {
        const struct slice *slice = slices->live[i];
        if (slice->start >= end)
            break;
        for (size_t j = 0; j < slice->count; j++) {
            if (slice->entries[j].held)
                rows_add(ret, slice, &slice->entries[j]);
        }
    }
    rows_drop_zeros(ret);
    uint32_t top = slices->spec.top;
    if (top && ret->count > top)
        rows_select(ret, top);
    if (ret->count)
        qsort(ret->rows, ret->count, sizeof(*ret->rows), top ? by_count : by_key);
}

/* ---- changelog ------------------------------------------------------------------------------- */

void slices_changes(const struct slices *slices,
    void (*each)(void *context, struct bytes key, struct bytes value), void *context)
{
    uint8_t key[SLICES_KEY_MAX + 8], value[8];
    for (size_t i = 0; i < slices->dirty_count; i++) {
        const struct slice *slice = slices->dirty[i].slice;
        const struct entry *entry = &slice->entries[slices->dirty[i].entry];
        if (slice->dropped || !entry->held)
            continue;
        memcpy(key, slice->keys + entry->key_at, entry->key_len);
        be_put64(key + entry->key_len, (uint64_t)slice->start);
        be_put64(value, (uint64_t)entry->count);
        each(context, bytes_of(key, entry->key_len + 8), bytes_of(value, 8));
    }
}

void slices_settle(struct slices *slices)
{
    for (size_t i = 0; i < slices->dirty_count; i++)
        slices->dirty[i].slice->entries[slices->dirty[i].entry].dirty = false;
    slices->dirty_count = 0;
    slices->dirty_bytes = 0;
}

int slices_restore(struct slices *slices, struct bytes key, struct bytes value, int64_t offset)
{
    if (!key.data || key.len < 8 || key.len > SLICES_KEY_MAX + 8 || !value.data || value.len != 8)
        return -EBADMSG;
    int64_t start = (int64_t)be_get64(key.data + key.len - 8);
    if (start < 0 || start > SLICES_TIME_MAX || start % slices->width_ms)
        return -EBADMSG;
    if (last_end(slices, start) <= slices->closed_end)
        return 0;
    key.len -= 8;
    struct slice *slice = slice_at(slices, start, offset);
    uint64_t hash = XXH3_64bits(key.data, key.len);
    int64_t found = slice_find(slice, key, hash);
    uint32_t slot = found >= 0 ? (uint32_t)found : slice_insert(slice, key, hash);
    slice->entries[slot].count = (int64_t)be_get64(value.data);
    slice->entries[slot].held = true;
    return 0;
}

int64_t slices_log_start(const struct slices *slices)
{
    int64_t start = INT64_MAX;
    for (size_t i = 0; i < slices->count; i++) {
        if (slices->live[i]->log_offset < start)
            start = slices->live[i]->log_offset;
    }
    return start;
}
