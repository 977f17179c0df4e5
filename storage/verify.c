/*
 * See verify.h.
 *
 *   verify_more   with extents: hash after hash. One that differs: batch by batch from the last
 *                 index entry before it, to tell which batches are hit. If all of them look whole
 *                 (a header field that nothing else covers), all that touch the extent are damaged.
 *                 Without: batch by batch.
 *   batch         header sane and in its place, then the checksum over its bytes as they pass
 *                 through the window
 *   damage        resync looks for the next whole batch
 *
 * A client can put bytes into his records that look like a batch. That is why a batch found by
 * looking counts only if the headers from it lead exactly to a place that is known; and the place
 * where the damaged batch itself says that the next one begins is tried first.
 */
#include "storage/verify.h"

#include <errno.h>

#include "protocol/base/mem.h"
#include "protocol/crc32c.h"
#include "storage/barriers.h"

enum { HEADERS_WINDOW = 4096 };

void verify_done(struct verifier *verifier)
{
    mem_free(verifier->window);
    verifier->window = NULL;
    verifier->window_len = 0;
    proof_done(&verifier->proof);
}

/* ---- bytes --------------------------------------------------------------------------------- */

static int window_read(struct verifier *verifier, uint64_t position, size_t want)
{
    const struct source *source = verifier->source;
    size_t len = 0;
    int status = source->disk->read(source->file, position, verifier->window, want, &len);
    verifier->window_at = position;
    verifier->window_len = status == 0 ? len : 0;
    return status;
}

/* `len` bytes (at most VERIFY_WINDOW) at `position`, valid until the next call. -EBADMSG: the file
 * is shorter than its claim. */
static int bytes_at(struct verifier *verifier, uint64_t position, size_t len, const uint8_t **ret)
{
    uint64_t size = verifier->source->size;
    if (position + len > size)
        return -EBADMSG;
    if (!verifier->window)
        verifier->window = mem_alloc(VERIFY_WINDOW);
    if (position < verifier->window_at ||
        position + len > verifier->window_at + verifier->window_len) {
        size_t want =
            verifier->headers_only && len < HEADERS_WINDOW ? HEADERS_WINDOW : VERIFY_WINDOW;
        if (size - position < want)
            want = (size_t)(size - position);
        int status = window_read(verifier, position, want);
        if (status < 0 && len < want) /* perhaps only what lies behind can't be read */
            status = window_read(verifier, position, len);
        if (status < 0)
            return status;
    }
    if (position + len > verifier->window_at + verifier->window_len)
        return -EBADMSG;
    *ret = verifier->window + (position - verifier->window_at);
    return 0;
}

/* ---- one batch ----------------------------------------------------------------------------- */

static int32_t epoch_of(const struct verifier *verifier, int64_t offset)
{
    int32_t epoch = -1;
    for (size_t i = 0; i < verifier->epoch_count && verifier->epochs[i].offset <= offset; i++)
        epoch = verifier->epochs[i].epoch;
    return epoch;
}

static int header_at(
    struct verifier *verifier, const struct place *place, struct batch_view *ret_view)
{
    const uint8_t *header;
    int status = bytes_at(verifier, place->position, BATCH_HEADER_SIZE, &header);
    if (status < 0)
        return status;
    if (batch_parse_header(bytes_of(header, BATCH_HEADER_SIZE), ret_view) != BATCH_OK ||
        !source_is_sane(verifier->source, place, ret_view))
        return -EBADMSG;
    /* Where the start of the log lies inside the batch, the epochs before it are forgotten. */
    int32_t epoch = epoch_of(verifier, batch_last_offset(ret_view));
    return epoch >= 0 && epoch != ret_view->leader_epoch && BARRIER(READ_EPOCH) ? -EBADMSG : 0;
}

/* Is the batch whole? Its bytes go to the footer, too, if there is one. */
static int body_check(struct verifier *verifier, uint64_t position, const struct batch_view *view,
    struct footer *footer)
{
    uint64_t at = position, end = position + view->size;
    uint32_t crc = 0;
    while (at < end) {
        const uint8_t *bytes;
        size_t len = end - at < VERIFY_WINDOW ? (size_t)(end - at) : VERIFY_WINDOW;
        int status = bytes_at(verifier, at, len, &bytes);
        if (status < 0)
            return status;
        size_t skip = at == position ? BATCH_AT_ATTRIBUTES : 0;
        crc = crc32c(crc, bytes + skip, len - skip);
        if (footer)
            footer_bytes(footer, bytes, len);
        at += len;
    }
    return crc == view->crc || !BARRIER(READ_CRC) ? 0 : -EBADMSG;
}

/* From *place on until it stands at `until` or behind it. -EBADMSG: it stands at a batch that is
 * not whole. */
static int walk(
    struct verifier *verifier, struct place *place, uint64_t until, struct footer *footer)
{
    while (place->position < until && place->position < verifier->source->size) {
        struct batch_view view;
        int status = header_at(verifier, place, &view);
        if (status == 0 && footer)
            footer_batch(footer, &view);
        if (status == 0)
            status = body_check(verifier, place->position, &view, footer);
        if (status < 0)
            return status;
        place->position += view.size;
        place->offset = batch_last_offset(&view) + 1;
    }
    return 0;
}

/* ---- behind damage ------------------------------------------------------------------------- */

static struct place place_of(const struct source *source, const struct index_entry *entry)
{
    return (struct place){ entry->position, source->base_offset + entry->offset };
}

static struct place known_behind(const struct verifier *verifier, uint64_t position)
{
    const struct source *source = verifier->source;
    const struct index *index = verifier->index;
    size_t behind = index ? index_behind(index, position) : 0;
    return index && behind < index->count ? place_of(source, &index->entries[behind])
                                          : (struct place){ source->size, source->end_offset };
}

/* The last known place at or before. */
static struct place known_before(const struct verifier *verifier, uint64_t position)
{
    const struct source *source = verifier->source;
    const struct index *index = verifier->index;
    size_t behind = index ? index_behind(index, position) : 0;
    return behind > 0 ? place_of(source, &index->entries[behind - 1])
                      : (struct place){ 0, source->base_offset };
}

static bool is_reached(
    const struct verifier *verifier, const struct place *place, const struct place *goal)
{
    return place->position == goal->position &&
           (verifier->source->dense ? place->offset == goal->offset
                                    : place->offset <= goal->offset);
}

enum trail { TRAIL_NONE, TRAIL_CHAIN, TRAIL_GOAL };

/* Does a whole batch begin here, and where do the headers lead from it? */
static int follow(struct verifier *verifier, const struct place *from, const struct place *goal,
    enum trail *ret_trail)
{
    struct place place = *from;
    struct batch_view view;
    int whole = 0;
    *ret_trail = TRAIL_NONE;
    if (is_reached(verifier, &place, goal)) {
        *ret_trail = TRAIL_GOAL;
        return 0;
    }
    while (place.position < goal->position) {
        int status = header_at(verifier, &place, &view);
        if (status == 0 && whole < VERIFY_CHAIN) {
            status = body_check(verifier, place.position, &view, NULL);
            whole += status == 0;
        }
        if (status == -EBADMSG)
            break;
        if (status < 0)
            return status;
        place.position += view.size;
        place.offset = batch_last_offset(&view) + 1;
    }
    if (is_reached(verifier, &place, goal))
        *ret_trail = TRAIL_GOAL;
    else if (whole == VERIFY_CHAIN)
        *ret_trail = TRAIL_CHAIN;
    return 0;
}

/* Could these be the first bytes of a batch behind `at` and before `goal`? */
static bool may_begin(const uint8_t *bytes, const struct place *at, uint64_t position,
    const struct place *goal, int64_t *ret_offset)
{
    if (bytes[BATCH_AT_MAGIC] != BATCH_MAGIC)
        return false;
    int64_t offset = (int64_t)be_get64(bytes);
    uint64_t length = be_get32(bytes + BATCH_AT_LENGTH);
    *ret_offset = offset;
    return offset > at->offset && offset < goal->offset &&
           length >= BATCH_HEADER_SIZE - BATCH_PREFIX_SIZE &&
           length + BATCH_PREFIX_SIZE <= goal->position - position;
}

/* Looks at every byte behind `at` for a batch from which headers lead to `goal`. */
static int seek(
    struct verifier *verifier, const struct place *at, const struct place *goal, struct place *ret)
{
    enum { PIECE = 4096 };
    uint8_t piece[PIECE + BATCH_HEADER_SIZE];
    bool chained = false;
    *ret = *goal;
    for (uint64_t position = at->position + 1; position + BATCH_HEADER_SIZE <= goal->position;
         position += PIECE) {
        uint64_t left = goal->position - position;
        size_t len = left < sizeof(piece) ? (size_t)left : sizeof(piece);
        const uint8_t *bytes;
        int status = bytes_at(verifier, position, len, &bytes);
        if (status < 0)
            return status;
        memcpy(piece, bytes, len); /* following moves the window */
        for (size_t i = 0; i < PIECE && i + BATCH_HEADER_SIZE <= len; i++) {
            struct place from = { position + i, 0 };
            enum trail trail;
            if (!may_begin(piece + i, at, from.position, goal, &from.offset))
                continue;
            status = follow(verifier, &from, goal, &trail);
            if (status < 0)
                return status;
            if (trail == TRAIL_GOAL || (trail == TRAIL_CHAIN && !chained))
                *ret = from;
            if (trail == TRAIL_GOAL)
                return 0;
            chained |= trail == TRAIL_CHAIN;
        }
    }
    return 0;
}

/* *place stands at a batch that is not whole: moves it to the next that is, and notes the damage.
 */
static int resync(struct verifier *verifier, struct place *place, struct damage *ret)
{
    struct place goal = known_behind(verifier, place->position), next;
    struct batch_view view;
    enum trail trail = TRAIL_NONE;
    int status = header_at(verifier, place, &view);
    if (status == 0) { /* only its records are damaged, perhaps */
        next.position = place->position + view.size;
        next.offset = batch_last_offset(&view) + 1;
        status = follow(verifier, &next, &goal, &trail);
    }
    if (status == 0 || status == -EBADMSG)
        status = trail == TRAIL_GOAL ? 0 : seek(verifier, place, &goal, &next);
    if (status == -EBADMSG) { /* the file is too short */
        next = goal;
        status = 0;
    }
    if (status < 0)
        return status;
    *ret = (struct damage){ place->position, next.position, place->offset, next.offset };
    (void)proof_add_damage(&verifier->proof, ret);
    *place = next;
    return 0;
}

/* ---- extents ------------------------------------------------------------------------------- */

static int extent_check(struct verifier *verifier, size_t extent)
{
    uint64_t low = (uint64_t)extent * FOOTER_EXTENT, left = verifier->source->size - low;
    size_t len = left < FOOTER_EXTENT ? (size_t)left : FOOTER_EXTENT;
    const uint8_t *bytes;
    int status = bytes_at(verifier, low, len, &bytes);
    if (status < 0)
        return status;
    return footer_extent(bytes, len) == verifier->extents[extent] || !BARRIER(READ_EXTENT)
               ? 0
               : -EBADMSG;
}

/* The extent [low, high) is not what it was: which of its batches are? *ret_end: they were looked
 * at up to here. */
static int extent_narrow(struct verifier *verifier, uint64_t low, uint64_t high, uint64_t *ret_end)
{
    struct place place = known_before(verifier, low), first = place;
    bool found = false;
    while (place.position < high) {
        struct place from = place;
        struct batch_view view;
        int status = header_at(verifier, &place, &view);
        if (status == 0)
            status = walk(verifier, &place, place.position + 1, NULL);
        if (status == -EBADMSG) {
            struct damage damage;
            status = resync(verifier, &place, &damage);
            found |= status == 0 && damage.end_position > low;
        } else if (status == 0) {
            proof_add_span(&verifier->proof, from.position, place.position);
        }
        if (status < 0)
            return status;
        if (place.position <= low)
            first = place;
    }
    if (!found) { /* something that only the hash covers */
        struct damage damage = { first.position, place.position, first.offset, place.offset };
        (void)proof_add_damage(&verifier->proof, &damage);
    }
    *ret_end = place.position;
    return 0;
}

static int more_extents(struct verifier *verifier, const struct place *place, uint64_t until,
    uint64_t *limit, struct damage *ret_damage)
{
    uint64_t size = verifier->source->size;
    while (*limit < until && *limit < size) {
        size_t extent = (size_t)(*limit / FOOTER_EXTENT);
        uint64_t low = (uint64_t)extent * FOOTER_EXTENT;
        uint64_t high = size - low < FOOTER_EXTENT ? size : low + FOOTER_EXTENT;
        int status = extent_check(verifier, extent);
        if (status == 0) {
            proof_add_span(&verifier->proof, low, high);
            *limit = high;
            continue;
        }
        if (status == -EBADMSG)
            status = extent_narrow(verifier, low, high, &high);
        if (status < 0)
            return status;
        const struct damage *damage = proof_damage_behind(&verifier->proof, place->position);
        if (damage && damage->position < high) {
            *limit = damage->position > place->position ? damage->position : place->position;
            *ret_damage = *damage;
            return 0;
        }
        *limit = high; /* it lies before the place */
    }
    return 0;
}

/* ---- the face ------------------------------------------------------------------------------ */

int verify_more(struct verifier *verifier, const struct place *place, uint64_t until,
    uint64_t *limit, struct damage *ret_damage)
{
    *ret_damage = (struct damage){ 0 };
    if (*limit < place->position)
        *limit = place->position;
    if (verifier->extents)
        return more_extents(verifier, place, until, limit, ret_damage);
    struct place at = *place;
    int status = walk(verifier, &at, until, NULL);
    proof_add_span(&verifier->proof, place->position, at.position);
    *limit = at.position;
    return status == -EBADMSG ? resync(verifier, &at, ret_damage) : status;
}

int verify_all(struct verifier *verifier, struct footer *footer)
{
    const struct source *source = verifier->source;
    struct place place = { 0, source->base_offset };
    bool damaged = false;
    while (place.position < source->size) {
        struct place from = place;
        int status = walk(verifier, &place, source->size, damaged ? NULL : footer);
        proof_add_span(&verifier->proof, from.position, place.position);
        if (status == -EBADMSG) {
            struct damage damage;
            damaged = true;
            status = resync(verifier, &place, &damage);
        }
        if (status < 0)
            return status;
    }
    /* The last offset is the log's to say. */
    if (!damaged && place.offset != source->end_offset && source->dense)
        damaged = true;
    if (!damaged)
        footer_finish(footer, source->end_offset);
    return damaged ? -EBADMSG : 0;
}

/* No header is where one must be: is it gone, or did the batch before say a wrong length? */
static int back_and_resync(struct verifier *verifier, struct place *before, struct place *place)
{
    struct damage damage;
    struct place at = *before;
    int status = walk(verifier, &at, at.position + 1, NULL);
    if (status == -EBADMSG && before->position < place->position)
        *place = *before;
    else if (status < 0 && status != -EBADMSG)
        return status;
    status = resync(verifier, place, &damage);
    *before = *place;
    return status;
}

int verify_index(struct verifier *verifier, uint32_t step, struct index *ret)
{
    const struct source *source = verifier->source;
    struct place place = { 0, source->base_offset };
    struct place before = place; /* the batch that led here, or the same */
    int64_t max_timestamp = -1;
    index_init(ret, step, 0);
    while (place.position < source->size) {
        struct batch_view view;
        verifier->headers_only = true;
        int status = header_at(verifier, &place, &view);
        verifier->headers_only = false;
        if (status == -EBADMSG) {
            status = back_and_resync(verifier, &before, &place);
            if (status == 0)
                continue;
        }
        if (status < 0)
            return status;
        struct index_entry entry = {
            .offset = (uint32_t)(view.base_offset - source->base_offset),
            .position = (uint32_t)place.position,
            .max_timestamp = max_timestamp,
        };
        index_note(ret, &entry);
        if (view.max_timestamp > max_timestamp && view.count > 0)
            max_timestamp = view.max_timestamp;
        before = place;
        place.position += view.size;
        place.offset = batch_last_offset(&view) + 1;
    }
    return 0;
}
