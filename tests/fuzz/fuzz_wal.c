/*
 * fuzz_wal.c - the write-ahead log opens on hostile files.
 *
 * Input: a byte of choices, then edits of a good directory of three or four files: overwrite, flip,
 * move, zero, cut short, remove. By choice every record that still has its magic is sealed again
 * (lsn kept; chain, checksums made right), so that headers which lie get past the checksums.
 *
 * What must hold: nothing is read out of bounds, and replays are in order. An open that gives
 * nothing up shows all that any valid record in the files calls durable (and the checkpoint does
 * not hold). If the log opens, what is appended then is there at the next open, behind exactly what
 * the first open showed; where something was given up, behind the checkpoint that the store takes
 * then.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/base/mem.h"
#include "protocol/crc32c.h"
#include "storage/wal.h"
#include "storage/wal_format.h"
#include "tests/sim/sim.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FILE_BYTES = 64 << 10, FILES = 4, EDITS_MAX = 64 };
static const char dir[] = "/wal";

/* ---- a life ---- */

struct life {
    struct sim sim;
    struct wal *wal;
    uint64_t from;
    struct wal_found found;
    uint64_t lsn_next, records, hash;
    uint64_t prefix, prefix_hash; /* the hash when so many records were shown */
};

static int on_check(void *context, const struct wal_head *head, struct bytes payload)
{
    (void)context;
    CHECK(head->checked_len < head->len && payload.len == head->len);
    return crc32c(1, payload.data, payload.len) % 16 == 0 ? -EBADMSG : 0;
}

static int on_record(
    void *context, uint64_t lsn, const struct wal_head *head, struct bytes payload, bool damaged)
{
    struct life *life = context;
    CHECK(lsn >= life->lsn_next && lsn >= life->from);
    CHECK(head->type >= WAL_USER && head->checked_len <= head->len && payload.len == head->len);
    life->lsn_next = lsn + wal_record_size(head->len);
    life->records++;
    life->hash = life->hash * 31 + crc32c((uint32_t)lsn, payload.data, payload.len) + damaged;
    if (life->records == life->prefix)
        life->prefix_hash = life->hash;
    return 0;
}

static void on_event(void *context)
{
    (void)context;
}
static void on_failed(void *context, int status, const char *what)
{
    (void)context, (void)status, (void)what;
    CHECK(false); /* the disk is a good one */
}

static int life_open(struct life *life, uint64_t from, bool accept_loss)
{
    struct wal_config config = { .dir = dir,
        .file_bytes = FILE_BYTES,
        .files_max = FILES,
        .interval_ns = 1,
        .interval_bytes = 1,
        .accept_loss = accept_loss };
    struct wal_events events = { life, on_event, on_event, on_event, on_failed };
    struct wal_replay replay = { life, on_check, on_record, NULL };
    life->from = from;
    life->lsn_next = life->records = life->hash = life->prefix_hash = 0;
    return wal_open(&life->wal, &config, &life->sim.doors, &events, from, &replay, &life->found);
}

static void life_run(struct life *life)
{
    do
        wal_turn(life->wal);
    while (sim_step(&life->sim));
}

/* False: there is no room. */
static bool life_append(struct life *life, uint32_t records, uint32_t len)
{
    size_t size = records * wal_record_size(len);
    for (int tries = 0; wal_begin(life->wal, size) < 0; tries++) {
        if (tries == 2)
            return false;
        life_run(life); /* a file may have to be made */
    }
    for (uint32_t i = 0; i < records; i++) {
        struct wal_head head = { .type = WAL_USER + 1, .log = 7, .len = len, .checked_len = len };
        uint64_t lsn;
        memset(wal_add(life->wal, &head, &lsn), (int)(len + i), len);
    }
    wal_want_durable(life->wal, wal_end(life->wal));
    life_run(life);
    CHECK(wal_durable(life->wal) == wal_written(life->wal));
    wal_release(life->wal, wal_written(life->wal));
    return true;
}

static void life_close(struct life *life)
{
    CHECK(wal_idle(life->wal));
    wal_destroy(life->wal);
    life->wal = NULL;
}

/* ---- files ---- */

struct image {
    uint8_t files[FILES][FILE_BYTES];
    size_t sizes[FILES];
    bool there[FILES];
    uint64_t from;
};

static struct image *good[2];

static void path_of(size_t index, char *path, size_t size)
{
    (void)snprintf(path, size, "%s/%04zu.wal", dir, index);
}

static void image_save(struct image *image, struct life *life, uint64_t from)
{
    struct disk *disk = &life->sim.disk;
    for (size_t i = 0; i < FILES; i++) {
        char path[32];
        path_of(i, path, sizeof(path));
        struct disk_file *file;
        image->there[i] = disk->table->open(disk, path, DISK_READ, &file) == 0;
        if (!image->there[i])
            continue;
        CHECK(disk->table->read(file, 0, image->files[i], FILE_BYTES, &image->sizes[i]) == 0);
        disk->table->close(file);
    }
    image->from = from;
}

static void image_load(const struct image *image, struct life *life)
{
    struct disk *disk = &life->sim.disk;
    for (size_t i = 0; i < FILES; i++) {
        char path[32];
        path_of(i, path, sizeof(path));
        struct disk_file *file;
        if (!image->there[i])
            continue;
        CHECK(disk->table->open(disk, path, DISK_WRITE | DISK_CREATE, &file) == 0);
        struct iovec iov = { (void *)(uintptr_t)image->files[i], image->sizes[i] };
        CHECK(disk->table->writev(file, 0, &iov, 1) == 0);
        disk->table->close(file);
    }
}

static void life_init(struct life *life)
{
    memset(life, 0, sizeof(*life));
    sim_init(&life->sim, 1);
    life->sim.verbose = getenv("V") != NULL;
    CHECK(life->sim.disk.table->mkdir(&life->sim.disk, dir) == 0);
}

/* A short log; or one of several turns, with a checkpoint, two lives and groups of several records.
 */
static void image_make(struct image *image, bool is_long)
{
    struct life life;
    life_init(&life);
    CHECK(life_open(&life, 0, false) == 0);
    uint64_t from = 0;
    for (uint32_t i = 0; i < (is_long ? 60 : 6); i++) {
        CHECK(life_append(&life, 1 + i % 3, 40 + i * 37 % 3000));
        if (is_long && i == 40) {
            from = wal_written(life.wal);
            wal_recycle(life.wal, from);
        }
        if (i % 25 == 4) {
            life_close(&life);
            CHECK(life_open(&life, from, false) == 0);
        }
    }
    life_close(&life);
    image_save(image, &life, from);
    sim_done(&life.sim);
}

/* ---- edits ---- */

struct input {
    const uint8_t *data;
    size_t len;
};

static unsigned next_byte(struct input *input)
{
    if (input->len == 0)
        return 0;
    input->len--;
    return *input->data++;
}

static size_t next_position(struct input *input)
{
    size_t position = next_byte(input);
    return position << 8 | next_byte(input);
}

static size_t bounded(size_t len, size_t position)
{
    return len < FILE_BYTES - position ? len : FILE_BYTES - position;
}

static void edit(struct image *image, struct input *input)
{
    unsigned what = next_byte(input);
    size_t file = next_byte(input) % FILES, at = next_position(input);
    uint8_t *bytes = image->files[file];
    unsigned n = next_byte(input);
    switch (what % 7) {
    case 0: /* overwrite */
    case 1: /* ... the fields of a header */
        at = what % 7 ? (at & ~(size_t)63) | n % 64 : at;
        for (size_t i = 0; i < 1 + n / 32 && at + i < FILE_BYTES; i++)
            bytes[at + i] = (uint8_t)next_byte(input);
        break;
    case 2: bytes[at] ^= (uint8_t)(1 << n % 8); break;
    case 3: { /* move blocks, perhaps from another file */
        size_t from = next_position(input) & ~(size_t)63, to = at & ~(size_t)63;
        size_t len = bounded(bounded((size_t)(n + 1) * 64, from), to);
        memmove(bytes + to, image->files[next_byte(input) % FILES] + from, len);
        break;
    }
    case 4: memset(bytes + at, 0, bounded((size_t)(n + 1) * 64, at)); break;
    case 5: image->sizes[file] = at; break;
    default: image->there[file] = n % 2;
    }
}

static void seal_file(uint8_t *bytes)
{
    struct wal_file_head head;
    if (wal_file_head_decode(bytes, &head) < 0)
        return;
    uint64_t chain = head.chain;
    for (size_t at = WAL_BLOCK; at < FILE_BYTES;) {
        uint8_t *place = bytes + at;
        if (le_get32(place) != wal_record_magic(&head.format)) {
            at += WAL_HEAD_SIZE;
            continue;
        }
        struct wal_record record = {
            .lsn = le_get64(place + 8),
            .durable_lsn = le_get64(place + 16),
            .chain = chain,
            .base_offset = (int64_t)le_get64(place + 32),
            .len = le_get32(place + 40),
            .checked_len = le_get32(place + 44),
            .log = le_get32(place + 52),
            .incarnation = le_get32(place + 56),
            .type = place[60],
            .flags = place[61],
        };
        size_t room = FILE_BYTES - at - WAL_HEAD_SIZE;
        record.payload_crc =
            crc32c(0, place + WAL_HEAD_SIZE, record.checked_len < room ? record.checked_len : room);
        wal_record_encode(place, &record, &head.format);
        chain = wal_record_chain(place, &head.format);
        at += record.len <= room ? wal_record_size(record.len) : WAL_HEAD_SIZE;
    }
}

/* ---- the target ---- */

/* The greatest durable position that the valid records of a file carry. `all`: or else where they
 * are not to be looked for, in a file that begins as if it were unused or another one (see the
 * search in wal_recovery.c). */
static uint64_t told_by_file(const uint8_t *bytes, const struct wal_format *format, bool all)
{
    struct wal_file_head head = { .number = UINT64_MAX };
    struct wal_record record;
    uint64_t told = 0;
    bool whole = wal_file_head_decode(bytes, &head) == 0 &&
                 wal_record_decode(bytes + WAL_BLOCK, &record, format) &&
                 record.lsn == head.number * FILE_BYTES + WAL_BLOCK;
    bool unused = bytes[0] == 0 && memcmp(bytes, bytes + 1, 2 * WAL_BLOCK - 1) == 0;
    for (size_t at = 0; at < FILE_BYTES; at += WAL_HEAD_SIZE) {
        if (!wal_record_decode(bytes + at, &record, format) || record.lsn % FILE_BYTES != at)
            continue;
        bool home = record.lsn / FILE_BYTES == head.number;
        if (home ? record.incarnation < head.incarnation : !all && (whole || unused))
            continue;
        if (record.durable_lsn > told)
            told = record.durable_lsn;
    }
    return told;
}

static uint64_t told_by(const struct image *image, const struct wal_format *format, bool all)
{
    uint64_t told = 0;
    for (size_t i = 0; i < FILES; i++) {
        uint64_t file = image->there[i] ? told_by_file(image->files[i], format, all) : 0;
        told = file > told ? file : told;
    }
    return told;
}

/* Opens again: what was `shown` must come, and `appended` records, unless something is given up. */
static void try_again(
    struct life *life, uint64_t from, bool accept_loss, const struct life *shown, uint64_t appended)
{
    life->prefix = shown ? shown->records : 0;
    CHECK(life_open(life, from, accept_loss) == 0);
    CHECK(accept_loss || !life->found.lost);
    CHECK(life->found.lost || life->records == life->prefix + appended);
    CHECK(life->found.lost || !shown || life->prefix_hash == shown->hash);
    life_close(life);
}

static void try_log(const struct image *image, uint64_t from, bool accept_loss)
{
    struct wal_file_head head;
    CHECK(wal_file_head_decode(good[0]->files[0], &head) == 0);
    struct life life;
    life_init(&life);
    image_load(image, &life);
    if (life_open(&life, from, accept_loss) == 0) {
        struct life first = life;
        bool lost = life.found.lost;
        CHECK(wal_appended(life.wal) >= from && wal_appended(life.wal) >= life.found.torn_lsn);
        uint64_t end = life.found.torn_lsn > from ? life.found.torn_lsn : from;
        CHECK(lost || told_by(image, &head.format, end % FILE_BYTES == 0) <= end);
        bool appended = life_append(&life, 2, 500);
        /* The store checkpoints behind the first record of its life. */
        uint64_t checkpoint = wal_appended(life.wal);
        appended &= life_append(&life, 1, 5000);
        life_close(&life);
        /* Who dies before that checkpoint may be asked again: the files that were given up have
         * been written over since, and what is left of them may look like another end of the log.
         */
        if (appended)
            try_again(&life, from, lost, &first, 3);
        if (appended && lost)
            try_again(&life, checkpoint, false, NULL, 1);
    }
    sim_done(&life.sim);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct image *image;
    if (!image) {
        for (int i = 0; i < 2; i++) {
            good[i] = mem_zalloc(1, sizeof(*good[i]));
            image_make(good[i], i);
        }
        image = mem_alloc(sizeof(*image));
    }
    struct input input = { data, size };
    unsigned choice = next_byte(&input);
    memcpy(image, good[choice & 1], sizeof(*image));
    for (int i = 0; i < EDITS_MAX && input.len > 0; i++)
        edit(image, &input);
    for (size_t i = 0; i < FILES; i++) {
        if (choice & 2)
            seal_file(image->files[i]);
        memset(image->files[i] + image->sizes[i], 0, FILE_BYTES - image->sizes[i]);
    }
    uint64_t from = choice & 8 ? 0 : image->from;
    if (choice & 16)
        from = wal_round_up(from, choice & 32 ? FILE_BYTES : WAL_BLOCK);
    try_log(image, from, choice & 4);
    return 0;
}
