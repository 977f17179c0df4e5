/*
 * Recovery: which records are the log, and is what is missing a torn tail or damage?
 *
 *   start    in the file of `from`, at its first record: the file's header says its chain. (At a
 *            boundary: in the file before, if it is there.) Records below `from` are walked for
 *            their chains and not shown; holes in their payloads do not matter.
 *   walk     a record is next if its header is whole, says this lsn, and carries the hash of the
 *            header before it, and its payload is whole. Its group is shown when its last record
 *            has come.
 *   stop     at the first record that is not. Then, in this order:
 *     1. RESUME: an earlier recovery stopped here too, and its history goes on at the next block,
 *        or at the beginning of a later file, with a RESUME record that names this end and carries
 *        its chain. What lies between is dead, however whole it looks.
 *     2. below `from`: a bad payload is passed over. A bad header hides what is above `from`: if
 *        the search finds a record up there, or one that tells of a durable position up there,
 *        damage as below D; if not, nothing is lost.
 *     3. below D = the greatest durable position that any valid record found by the search carries:
 *        this was acknowledged, so it is damage. A bad payload behind a good header is shown as
 *        damaged; a bad header is -EUCLEAN.
 *     4. otherwise the tail is torn: nobody was told of it, the log ends with the last whole group.
 *
 * The search. Where all looks like the plain end of a log (is_plain_end) it reads what is left of
 * the file, elsewhere every byte of every file, and takes each valid record at its word, whatever
 * its file's header says: a write that went astray gives a file another's header, or leaves it an
 * old one. What it does not see is two faults at once: a hole that looks like a torn tail, and
 * behind it a file whose whole beginning is an older one's, or zeros. For that each start would
 * have to read all files.
 *
 * Why a dead tail can't come back. The next history starts at a fresh block (no block with records
 * is ever rewritten) with a RESUME record that carries a new incarnation number, greater than any
 * in a valid header anywhere. A dead record is only followed behind the very header it was written
 * behind: on the way to it lies either a hole (which stays: what is written there chains otherwise)
 * or a header of the new incarnation, whose hash it does not carry.
 * (Until the first write of the new history is complete, a torn part of it may fill the hole, with
 * a block's zeros or the file's header, and the dead tail be found after all. Nobody was told
 * anything meanwhile: that write holds the start record on which every answer waits.)
 *
 * Dead records also keep telling of durable positions; those lie at or below the end at which the
 * new history began, so they can't make a later torn tail look like damage - except where damage
 * was accepted. There, and where damage lies below `from`, the new history starts in a file of a
 * number above all that was seen.
 *
 * Nothing is written here: a crash in or after a recovery meets the same bytes again.
 *
 * The file being read lies in the ring at its own positions, so a group is in one piece and memory
 * is bounded by the ring. Lengths in headers are believed only after wal_record_decode has put them
 * inside the file.
 */
#include "storage/wal_recovery.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "protocol/crc32c.h"
#include "storage/barriers.h"

enum { READ_PIECE = 1 << 20 };
/* In the scratch copy of a header: the payload is damaged. */
enum { FLAG_DAMAGED = 0x80 };

/* How far the search has come. */
enum searched { SEARCHED_NOTHING, SEARCHED_REST, SEARCHED_ALL };

enum finding {
    FOUND_RECORD,
    FOUND_BAD_PAYLOAD,
    FOUND_BAD_HEADER,
};

struct recovery {
    struct wal_files *files;
    struct wal_format format;
    uint8_t *ring;
    uint64_t from;
    bool accept_loss;
    const struct wal_replay *replay;
    struct wal_found found;
    /* the walk */
    struct wal_slot *slot; /* lies in the ring up to `loaded` */
    uint64_t loaded;
    uint64_t at, chain;      /* the next record: its lsn, what it must carry */
    uint64_t end, end_chain; /* behind the last whole group */
    bool in_group;
    uint64_t resumed_at;         /* the newest RESUME; the next lies above, so the walk ends */
    bool jumped;                 /* over damage, to `from` */
    bool began_before;           /* in the file before that of `from` */
    uint32_t incarnation_before; /* the greatest in that file, wherever in it */
    uint32_t incarnation;        /* of the newest record that was accepted */
    bool telling;                /* the search tells of what is lost */
    /* everywhere */
    enum searched searched;
    uint64_t number_max;
    uint32_t incarnation_max;
    uint32_t incarnation_above; /* the greatest of the caller's records from `from` on; 0: none */
};

static uint64_t number_of(const struct recovery *recovery, uint64_t lsn)
{
    return lsn / recovery->format.file_bytes;
}

static uint64_t within(const struct recovery *recovery, uint64_t lsn)
{
    return lsn & (recovery->format.file_bytes - 1);
}

static uint64_t first_lsn(const struct recovery *recovery, uint64_t number)
{
    return number * recovery->format.file_bytes + WAL_BLOCK;
}

static struct wal_slot *slot_of(struct recovery *recovery, uint64_t number)
{
    for (size_t i = 0; i < recovery->files->count; i++) {
        struct wal_slot *slot = &recovery->files->slots[i];
        if (slot->has_head && slot->head.number == number)
            return slot;
    }
    return NULL;
}

/* Reads [position, position + len) of a slot; zeros where the file is short. An unreadable place is
 * an error, or zeros where the operator accepts loss. */
static int slot_read(
    struct recovery *recovery, struct wal_slot *slot, uint64_t position, uint8_t *to, size_t len)
{
    size_t got = 0;
    const struct disk_table *disk = recovery->files->doors->disk->table;
    int status = disk->read(slot->file, position, to, len, &got);
    if (status < 0) {
        doors_say(recovery->files->doors, LOG_ERROR,
            "%s/%04zu.wal: can't be read at %" PRIu64 ": %s", recovery->files->dir,
            (size_t)(slot - recovery->files->slots), position, strerror(-status));
        if (!recovery->accept_loss)
            return status;
        recovery->found.lost = true;
        got = 0;
    }
    memset(to + got, 0, len - got);
    return 0;
}

static int load(struct recovery *recovery, uint64_t upto)
{
    while (recovery->loaded < upto) {
        uint64_t left = recovery->format.file_bytes - recovery->loaded;
        size_t piece = left < READ_PIECE ? (size_t)left : READ_PIECE;
        int status = slot_read(
            recovery, recovery->slot, recovery->loaded, recovery->ring + recovery->loaded, piece);
        if (status < 0)
            return status;
        recovery->loaded += piece;
    }
    return 0;
}

/* ---- the search for durable positions ---- */

/* `at_home`: in a file of its number, or of none. Others may be a dead history's in a file that was
 * used again: what they say was durable was so, but they say nothing of which history goes on. */
static void search_note(struct recovery *recovery, const struct wal_record *record, bool at_home)
{
    if (record->durable_lsn > recovery->found.durable_lsn)
        recovery->found.durable_lsn = record->durable_lsn;
    if (record->incarnation > recovery->incarnation_max)
        recovery->incarnation_max = record->incarnation;
    if (number_of(recovery, record->lsn) > recovery->number_max)
        recovery->number_max = number_of(recovery, record->lsn);
    if (!at_home)
        return;
    if (number_of(recovery, record->lsn) + 1 == number_of(recovery, recovery->from) &&
        record->incarnation > recovery->incarnation_before)
        recovery->incarnation_before = record->incarnation;
    if (record->lsn >= recovery->from && record->type >= WAL_USER &&
        record->incarnation > recovery->incarnation_above)
        recovery->incarnation_above = record->incarnation;
}

static struct wal_head head_of(const struct wal_record *record)
{
    return (struct wal_head){
        .type = record->type,
        .log = record->log,
        .base_offset = record->base_offset,
        .len = record->len,
        .checked_len = record->checked_len,
    };
}

/* Records of a dead history do not count; `behind` is what follows the header. */
static void tell(
    const struct recovery *recovery, const struct wal_record *record, struct bytes behind)
{
    uint64_t from = recovery->end > recovery->from ? recovery->end : recovery->from;
    if (record->type < WAL_USER || record->lsn < from ||
        record->incarnation < recovery->incarnation)
        return;
    struct wal_head head = head_of(record);
    if (behind.len > record->len)
        behind.len = record->len;
    recovery->replay->lost(recovery->replay->context, &head, behind);
}

/* What a file held of a history before the one that began it again is dead, and was told of there.
 */
static bool is_older(const struct wal_slot *slot, const struct wal_record *record)
{
    return slot->has_head && record->lsn / slot->head.format.file_bytes == slot->head.number &&
           record->incarnation < slot->head.incarnation;
}

/* Every place where a header may stand is looked at: a payload is no shelter, its length may be a
 * dead record's. */
static int search_slot(
    struct recovery *recovery, struct wal_slot *slot, uint64_t position, uint8_t *scratch)
{
    uint32_t magic = wal_record_magic(&recovery->format);
    for (; position < recovery->format.file_bytes; position += READ_PIECE) {
        uint64_t left = recovery->format.file_bytes - position;
        size_t piece = left < READ_PIECE ? (size_t)left : READ_PIECE;
        int status = slot_read(recovery, slot, position, scratch, piece);
        if (status < 0)
            return status;
        for (size_t at = 0; at < piece; at += WAL_HEAD_SIZE) {
            struct wal_record record;
            if (le_get32(scratch + at) == magic &&
                wal_record_decode(scratch + at, &record, &recovery->format) &&
                within(recovery, record.lsn) == position + at && !is_older(slot, &record)) {
                search_note(recovery, &record,
                    !slot->has_head || number_of(recovery, record.lsn) == slot->head.number);
                if (recovery->telling)
                    tell(recovery, &record,
                        bytes_of(scratch + at + WAL_HEAD_SIZE, piece - at - WAL_HEAD_SIZE));
            }
        }
    }
    return 0;
}

/* The log ends inside of the newest file, and no other is out of order. (The header of a file is
 * written together with its first record, and a file in use has its full size.) */
static bool is_plain_end(const struct recovery *recovery)
{
    if (within(recovery, recovery->end) == 0 || within(recovery, recovery->at) == 0 ||
        recovery->at < recovery->from)
        return false;
    for (size_t i = 0; i < recovery->files->count; i++) {
        const struct wal_slot *slot = &recovery->files->slots[i];
        if (slot->file && !slot->blank &&
            (!slot->has_first || slot->size < recovery->format.file_bytes ||
                slot->head.number > number_of(recovery, recovery->at)))
            return false;
    }
    return true;
}

/* What the walk passed before tells of nothing above itself. */
static int search(struct recovery *recovery, enum searched upto)
{
    if (recovery->searched >= upto && !recovery->telling)
        return 0;
    recovery->searched = upto;
    /* A part of a group is no part of the log yet: its lengths may be a dead record's. */
    uint64_t rest = number_of(recovery, recovery->end) == number_of(recovery, recovery->at)
                        ? within(recovery, recovery->end)
                        : 0;
    uint8_t *scratch = wal_memory_map(READ_PIECE);
    int status = scratch ? 0 : -ENOMEM;
    for (size_t i = 0; status == 0 && i < recovery->files->count; i++) {
        struct wal_slot *slot = &recovery->files->slots[i];
        if (slot->file && upto == SEARCHED_ALL)
            status = search_slot(recovery, slot, 0, scratch);
        else if (slot->file && slot == recovery->slot)
            status = search_slot(recovery, slot, rest & ~(uint64_t)(WAL_BLOCK - 1), scratch);
    }
    wal_memory_unmap(scratch, READ_PIECE);
    return status;
}

/* What lies behind the stop and will not be reached. (Searched for in any case: what comes must lie
 * above all of it.) */
static int tell_of_losses(struct recovery *recovery)
{
    recovery->telling = recovery->replay->lost != NULL;
    int status = search(recovery, SEARCHED_ALL);
    recovery->telling = false;
    return status;
}

/* ---- the walk ---- */

/* Stands at `lsn`: its file lies in the ring as far as it is read. False: there is no such file. */
static bool enter(struct recovery *recovery, uint64_t lsn)
{
    struct wal_slot *slot = slot_of(recovery, number_of(recovery, lsn));
    if (!slot)
        return false;
    if (slot != recovery->slot)
        recovery->loaded = 0;
    recovery->slot = slot;
    recovery->at = lsn;
    return true;
}

static int header_at(struct recovery *recovery, struct wal_record *ret_record, bool *ret_good)
{
    *ret_good = false;
    uint64_t position = within(recovery, recovery->at);
    if (position == 0) {
        /* No group crosses the end of a file. */
        if (recovery->in_group || !enter(recovery, recovery->at))
            return 0;
        recovery->at += WAL_BLOCK;
        position = WAL_BLOCK;
    }
    int status = load(recovery, position + WAL_HEAD_SIZE);
    if (status < 0)
        return status;
    *ret_good = wal_record_decode(recovery->ring + position, ret_record, &recovery->format) &&
                ret_record->lsn == recovery->at &&
                (!BARRIER(WAL_CHAIN) || ret_record->chain == recovery->chain) &&
                /* a group is the caller's records and nothing else */
                (!recovery->in_group || ret_record->type >= WAL_USER);
    return 0;
}

static int payload_check(struct recovery *recovery, const struct wal_record *record, bool *ret_good)
{
    uint64_t position = within(recovery, record->lsn) + WAL_HEAD_SIZE;
    int status = load(recovery, position + record->len);
    if (status < 0)
        return status;
    const uint8_t *payload = recovery->ring + position;
    *ret_good =
        !BARRIER(WAL_PAYLOAD_CRC) || crc32c(0, payload, record->checked_len) == record->payload_crc;
    if (!*ret_good || record->checked_len == record->len || !recovery->replay->check ||
        !BARRIER(WAL_PAYLOAD_CHECK))
        return 0;
    struct wal_head head = head_of(record);
    status =
        recovery->replay->check(recovery->replay->context, &head, bytes_of(payload, record->len));
    *ret_good = status == 0;
    return status == -EBADMSG ? 0 : status;
}

static int find_next(
    struct recovery *recovery, struct wal_record *ret_record, enum finding *ret_finding)
{
    bool good;
    *ret_finding = FOUND_BAD_HEADER;
    int status = header_at(recovery, ret_record, &good);
    if (status < 0 || !good)
        return status;
    *ret_finding = FOUND_RECORD;
    if (ret_record->type < WAL_USER)
        return 0;
    status = payload_check(recovery, ret_record, &good);
    if (!good)
        *ret_finding = FOUND_BAD_PAYLOAD;
    return status;
}

/* The whole group [end, at) lies in the ring and its headers were checked. */
static int group_show(struct recovery *recovery)
{
    uint64_t lsn = recovery->end;
    if (within(recovery, lsn) == 0)
        lsn += WAL_BLOCK;
    recovery->found.groups += lsn >= recovery->from;
    while (lsn < recovery->at) {
        uint8_t *place = recovery->ring + within(recovery, lsn);
        bool damaged = place[61] & FLAG_DAMAGED;
        struct wal_head head = {
            .type = place[60],
            .log = le_get32(place + 52),
            .base_offset = (int64_t)le_get64(place + 32),
            .len = le_get32(place + 40),
            .checked_len = le_get32(place + 44),
        };
        if (lsn >= recovery->from) {
            recovery->found.records++;
            recovery->found.bytes += wal_record_size(head.len);
            recovery->found.damaged += damaged;
            int status = recovery->replay->record(recovery->replay->context, lsn, &head,
                bytes_of(place + WAL_HEAD_SIZE, head.len), damaged);
            if (status < 0)
                return status;
        }
        lsn += wal_record_size(head.len);
    }
    return 0;
}

static int accept(struct recovery *recovery, const struct wal_record *record, bool damaged)
{
    uint8_t *place = recovery->ring + within(recovery, record->lsn);
    search_note(recovery, record, true);
    recovery->chain = wal_record_chain(place, &recovery->format);
    recovery->incarnation = record->incarnation;
    if (damaged)
        place[61] |= FLAG_DAMAGED;
    recovery->at = record->lsn + wal_record_size(record->len);
    recovery->in_group = (record->flags & WAL_MORE) && BARRIER(WAL_GROUP_WHOLE);
    if (recovery->in_group)
        return 0;
    int status = record->type >= WAL_USER ? group_show(recovery) : 0;
    recovery->end = recovery->at;
    recovery->end_chain = recovery->chain;
    recovery->slot->visited = true;
    return status;
}

/* ---- a stop ---- */

static bool is_resume(const struct recovery *recovery, const struct wal_record *record)
{
    return record->type == WAL_RESUME &&
           (!BARRIER(WAL_RESUME_FITS) || (record->base_offset == (int64_t)recovery->end &&
                                             record->chain == recovery->end_chain)) &&
           record->lsn > recovery->resumed_at;
}

static void resume_at(struct recovery *recovery, uint64_t lsn)
{
    recovery->at = lsn;
    recovery->chain = recovery->end_chain;
    recovery->in_group = false;
}

static int resume_in_file(struct recovery *recovery, bool *ret_resumed)
{
    uint64_t lsn = wal_round_up(recovery->end, WAL_BLOCK);
    /* A block's beginning is where the walk itself has looked. */
    if (lsn == recovery->end || within(recovery, lsn) == 0 || !enter(recovery, lsn))
        return 0;
    int status = load(recovery, within(recovery, lsn) + WAL_HEAD_SIZE);
    struct wal_record record;
    if (status < 0 ||
        !wal_record_decode(recovery->ring + within(recovery, lsn), &record, &recovery->format) ||
        record.lsn != lsn || !is_resume(recovery, &record))
        return status;
    resume_at(recovery, lsn);
    recovery->resumed_at = lsn;
    *ret_resumed = true;
    return 0;
}

static bool resume_in_later_file(struct recovery *recovery)
{
    struct wal_slot *best = NULL;
    for (size_t i = 0; i < recovery->files->count; i++) {
        struct wal_slot *slot = &recovery->files->slots[i];
        if (!slot->has_head || !slot->has_first || slot == recovery->slot ||
            slot->first.lsn <= recovery->end || !is_resume(recovery, &slot->first))
            continue;
        if (!best || slot->head.number < best->head.number)
            best = slot;
    }
    if (!best || !enter(recovery, best->first.lsn))
        return false;
    resume_at(recovery, best->first.lsn);
    recovery->resumed_at = best->first.lsn;
    return true;
}

/* Damage below `from` and records above it, and the operator wants what is left. */
static int jump_over_damage(struct recovery *recovery, bool *ret_resumed)
{
    if (recovery->jumped || recovery->at >= recovery->from ||
        within(recovery, recovery->from) < WAL_BLOCK || !enter(recovery, recovery->from))
        return 0;
    recovery->jumped = true;
    int status = load(recovery, within(recovery, recovery->from) + WAL_HEAD_SIZE);
    struct wal_record record;
    if (status < 0 ||
        !wal_record_decode(
            recovery->ring + within(recovery, recovery->from), &record, &recovery->format) ||
        record.lsn != recovery->from)
        return status;
    recovery->end = recovery->from;
    recovery->end_chain = record.chain;
    resume_at(recovery, recovery->from);
    *ret_resumed = true;
    return 0;
}

/* The file before that of `from` does not lead there: its own place was taken by a later one, of
 * which the crash kept only a part. Then the file of `from` has had its turn in the same history,
 * or a newer one, and says its chain itself. (Or it is damaged. Where it holds a record of a life
 * that came after the one of the file of `from`, that life ended its history before that file: what
 * is there is dead, and nothing leads on.) */
static bool begin_again(struct recovery *recovery)
{
    struct wal_slot *slot = slot_of(recovery, number_of(recovery, recovery->from));
    if (!recovery->began_before || recovery->at >= recovery->from || !slot ||
        slot->head.incarnation < recovery->incarnation_before)
        return false;
    recovery->began_before = false;
    recovery->slot->visited = false;
    slot->visited = true;
    (void)enter(recovery, first_lsn(recovery, slot->head.number));
    recovery->end = recovery->at;
    recovery->chain = recovery->end_chain = slot->head.chain;
    recovery->in_group = false;
    return true;
}

/* 0 with *ret_go: go on at recovery->at. 0 without: the log ends at recovery->end. */
static int stop(
    struct recovery *recovery, const struct wal_record *record, enum finding finding, bool *ret_go)
{
    uint64_t at = recovery->at;
    *ret_go = false;
    int status = resume_in_file(recovery, ret_go);
    if (status < 0 || *ret_go)
        return status;
    *ret_go = resume_in_later_file(recovery);
    if (*ret_go)
        return 0;
    (void)enter(recovery, at); /* resume_in_file may have gone elsewhere in the same file */
    recovery->at = at;
    if (BARRIER(WAL_SEARCH))
        status = search(recovery, is_plain_end(recovery) ? SEARCHED_REST : SEARCHED_ALL);
    if (status < 0)
        return status;
    uint64_t durable = recovery->found.durable_lsn;
    if (finding == FOUND_BAD_PAYLOAD && (at < durable || at < recovery->from)) {
        *ret_go = true;
        return accept(recovery, record, true);
    }
    *ret_go = begin_again(recovery);
    if (*ret_go)
        return 0;
    /* Below `from` only what lies above it matters, and `from` was durable: with records up there
     * that are not dead the way to them is damaged. */
    if (!BARRIER(WAL_DAMAGE))
        return 0;
    bool above = recovery->incarnation_above > 0 &&
                 recovery->incarnation_above >= recovery->incarnation_before;
    /* A group is durable as a whole, so a part of one is missing from its beginning on. */
    uint64_t needed = recovery->in_group ? recovery->end : at;
    if (needed < recovery->from)
        needed = recovery->from;
    if (durable <= needed && (at >= recovery->from || !above))
        return 0;
    doors_say(recovery->files->doors, LOG_ERROR,
        "%s: the write-ahead log is damaged at %" PRIu64 " (file %04zu.wal, byte %" PRIu64
        "): acknowledged data in [%" PRIu64 ", %" PRIu64 ") can't be read%s",
        recovery->files->dir, at,
        recovery->slot ? (size_t)(recovery->slot - recovery->files->slots) : 0,
        within(recovery, at), recovery->end, durable > recovery->from ? durable : recovery->from,
        recovery->accept_loss ? "; it is given up" : "");
    if (recovery->accept_loss) {
        recovery->found.lost = true;
        status = jump_over_damage(recovery, ret_go);
        if (status < 0 || *ret_go)
            return status;
    }
    status = tell_of_losses(recovery);
    return status == 0 && !recovery->accept_loss ? -EUCLEAN : status;
}

static int walk(struct recovery *recovery)
{
    for (;;) {
        struct wal_record record;
        enum finding finding;
        int status = find_next(recovery, &record, &finding);
        bool go = true;
        if (status == 0)
            status = finding == FOUND_RECORD ? accept(recovery, &record, false)
                                             : stop(recovery, &record, finding, &go);
        if (status < 0 || !go)
            return status;
    }
}

/* ---- beginning and end ---- */

/* Stands at the first record of the file of `from`. Where that is its very beginning, the file may
 * not have had its turn yet and be a dead history's: the one before, if it is still there, has the
 * chain that tells. (It is, or begin_again finds that it is not: only a later file can have taken
 * its place, and then the file of `from` had its turn.) */
static bool begin(struct recovery *recovery)
{
    uint64_t number = number_of(recovery, recovery->from);
    struct wal_slot *slot = NULL;
    if (!BARRIER(WAL_BOUNDARY))
        slot = slot_of(recovery, number);
    if (!slot && number > 0 && within(recovery, recovery->from) <= WAL_BLOCK)
        slot = slot_of(recovery, number - 1);
    if (!slot)
        slot = slot_of(recovery, number);
    if (!slot) {
        /* Unless somebody gave that file up before: his history goes on from here. */
        recovery->end = recovery->from;
        return resume_in_later_file(recovery);
    }
    recovery->began_before = slot->head.number < number;
    slot->visited = true;
    (void)enter(recovery, first_lsn(recovery, slot->head.number));
    recovery->end = recovery->at;
    recovery->chain = recovery->end_chain = slot->head.chain;
    return true;
}

/* The file before that of `from` is not there. Recycled, or has it lost its header? Then it may
 * still tell that the file of `from` is dead: that one is no file of this log. */
static int dead_part(struct recovery *recovery)
{
    uint64_t number = number_of(recovery, recovery->from);
    struct wal_slot *slot = slot_of(recovery, number);
    if (!slot || number == 0 || within(recovery, recovery->from) > WAL_BLOCK ||
        slot_of(recovery, number - 1) || !BARRIER(WAL_BOUNDARY))
        return 0;
    uint8_t *scratch = wal_memory_map(READ_PIECE);
    int status = scratch ? 0 : -ENOMEM;
    for (size_t i = 0; status == 0 && i < recovery->files->count; i++) {
        struct wal_slot *other = &recovery->files->slots[i];
        if (other->file && !other->has_head && !other->blank)
            status = search_slot(recovery, other, 0, scratch);
    }
    wal_memory_unmap(scratch, READ_PIECE);
    if (slot->head.incarnation < recovery->incarnation_before)
        slot->has_head = slot->has_first = false;
    return status;
}

/* There are files, and none holds `from`. */
static int begin_is_missing(struct recovery *recovery)
{
    doors_say(recovery->files->doors, LOG_ERROR,
        "%s: no write-ahead file holds position %" PRIu64
        ", where the last checkpoint ended: it was removed or its header is damaged%s",
        recovery->files->dir, recovery->from,
        recovery->accept_loss ? "; what it held is given up" : "");
    int status = tell_of_losses(recovery);
    if (status == 0 && !recovery->accept_loss)
        status = -EUCLEAN;
    recovery->found.lost = true;
    return status;
}

static void slots_settle(struct recovery *recovery)
{
    for (size_t i = 0; i < recovery->files->count; i++) {
        struct wal_slot *slot = &recovery->files->slots[i];
        if (!slot->file)
            continue;
        slot->state = slot->visited ? WAL_SLOT_USED : WAL_SLOT_FREE;
        if (slot->visited || (!slot->blank && slot->size == recovery->format.file_bytes))
            continue;
        /* Of no use as it is: prepared anew. */
        recovery->files->doors->disk->table->close(slot->file);
        *slot = (struct wal_slot){ .state = WAL_SLOT_EMPTY };
    }
}

static uint64_t next_of(const struct recovery *recovery)
{
    if (!recovery->found.lost && recovery->end >= recovery->from)
        return wal_round_up(recovery->end, WAL_BLOCK);
    uint64_t number = number_of(recovery, recovery->from);
    if (number < recovery->number_max)
        number = recovery->number_max;
    return (number + 1) * recovery->format.file_bytes;
}

/* What is written from here on must be readable at the next start. */
static int end_check(const struct recovery *recovery)
{
    if (next_of(recovery) <= wal_lsn_max / 2 && recovery->incarnation_max < UINT32_MAX)
        return 0;
    doors_say(recovery->files->doors, LOG_ERROR,
        "%s: the write-ahead files tell of position %" PRIu64 " and life %" PRIu32
        ": no log comes that far, they were made by hand",
        recovery->files->dir, next_of(recovery), recovery->incarnation_max);
    return -EUCLEAN;
}

int wal_recover(struct wal_files *files, uint8_t *ring, uint64_t from, bool accept_loss,
    const struct wal_replay *replay, struct wal_found *ret_found, struct wal_end *ret_end)
{
    struct recovery recovery = {
        .files = files,
        .format = files->format,
        .ring = ring,
        .from = from,
        .accept_loss = accept_loss,
        .replay = replay,
    };
    for (size_t i = 0; i < files->count; i++) {
        const struct wal_slot *slot = &files->slots[i];
        if (slot->has_head && slot->head.number > recovery.number_max)
            recovery.number_max = slot->head.number;
        if (slot->has_head && slot->head.incarnation > recovery.incarnation_max)
            recovery.incarnation_max = slot->head.incarnation;
    }
    int status = dead_part(&recovery);
    if (status == 0)
        status = begin(&recovery) ? walk(&recovery) : begin_is_missing(&recovery);
    if (status == 0)
        status = end_check(&recovery);
    if (status < 0)
        return status;
    slots_settle(&recovery);
    recovery.found.torn_lsn = recovery.end;
    *ret_found = recovery.found;
    *ret_end = (struct wal_end){
        .end = recovery.end,
        .chain = recovery.end_chain,
        .next = next_of(&recovery),
        .incarnation = recovery.incarnation_max + 1,
    };
    return 0;
}
