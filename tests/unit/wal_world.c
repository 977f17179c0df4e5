/* See wal_world.h. */
#include "tests/unit/wal_world.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/base/mem.h"
#include "storage/wal_format.h"

static const char dir[] = "/wal";
enum { USER_TYPE = WAL_USER + 1 };

/* ---- groups from numbers ---- */

static struct random group_random(uint64_t number)
{
    return random_seeded(number * 1000003 + 17);
}

static uint32_t group_records(uint64_t number)
{
    struct random random = group_random(number);
    return random_chance(&random, 2, 3) ? 1 : 1 + (uint32_t)random_below(&random, 5);
}

static uint32_t record_len(uint64_t number, uint32_t index)
{
    struct random random = group_random(number + index * 7919);
    return random_chance(&random, 1, 20) ? (uint32_t)random_below(&random, 2800)
                                         : (uint32_t)random_below(&random, 400);
}

static struct wal_head record_head(uint64_t number, uint32_t index)
{
    uint32_t len = record_len(number, index);
    return (struct wal_head){
        .type = USER_TYPE,
        .log = (uint32_t)number,
        .base_offset = index,
        .len = len,
        /* every third leaves the end of its payload to wal_replay.check */
        .checked_len = number % 3 == 0 ? len / 2 : len,
    };
}

static void record_fill(uint64_t number, uint32_t index, uint8_t *to, uint32_t len)
{
    struct random random = group_random(number + index * 104729);
    random_bytes(&random, to, len);
}

static bool record_is(uint64_t number, uint32_t index, struct bytes payload)
{
    uint8_t *want = mem_alloc(payload.len + 1);
    record_fill(number, index, want, (uint32_t)payload.len);
    bool same = memcmp(want, payload.data, payload.len) == 0;
    mem_free(want);
    return same;
}

size_t world_group_size(uint64_t number)
{
    size_t size = 0;
    for (uint32_t i = 0; i < group_records(number); i++)
        size += wal_record_size(record_len(number, i));
    return size;
}

/* ---- the replay ---- */

static int replay_check(void *context, const struct wal_head *head, struct bytes payload)
{
    (void)context;
    return record_is(head->log, (uint32_t)head->base_offset, payload) ? 0 : -EBADMSG;
}

static int replay_record(
    void *context, uint64_t lsn, const struct wal_head *head, struct bytes payload, bool damaged)
{
    struct world *world = context;
    uint32_t index = (uint32_t)head->base_offset;
    struct wal_head want = record_head(head->log, index);
    cr_assert_eq(head->type, USER_TYPE);
    cr_assert_eq(head->len, want.len);
    cr_assert_eq(head->checked_len, want.checked_len);
    cr_assert_eq(payload.len, want.len);
    cr_assert_eq(record_is(head->log, index, payload), !damaged, "record %u of group %u at %lu",
        index, head->log, (unsigned long)lsn);
    struct world_group *group;
    if (!world->group_is_open) {
        cr_assert_eq(index, 0, "group %u begins with record %u", head->log, index);
        cr_assert_lt(world->replayed_count, WORLD_GROUPS_MAX);
        group = &world->replayed[world->replayed_count++];
        *group = (struct world_group){ .number = head->log, .lsn = lsn };
        world->group_is_open = true;
    } else {
        group = &world->replayed[world->replayed_count - 1];
        cr_assert_eq(group->number, head->log, "group %lu is cut", (unsigned long)group->number);
        cr_assert_eq(index, world->replayed_records);
        cr_assert_eq(lsn, group->end);
    }
    group->damaged |= damaged;
    group->end = lsn + wal_record_size(head->len);
    world->replayed_records = index + 1;
    world->group_is_open = world->replayed_records < group_records(head->log);
    return 0;
}

/* ---- events ---- */

static void event_moved(void *context)
{
    ((struct world *)context)->moved++;
}
static void event_space(void *context)
{
    ((struct world *)context)->space++;
}
static void event_pressure(void *context)
{
    ((struct world *)context)->pressure++;
}
static void event_failed(void *context, int status, const char *what)
{
    struct world *world = context;
    cr_assert_not_null(what);
    world->failed++;
    world->failed_status = status;
}

/* ---- lives ---- */

struct world *world_create(uint64_t seed)
{
    struct world *world = mem_zalloc(1, sizeof(*world));
    sim_init(&world->sim, seed);
    world->sim.verbose = getenv("V") != NULL;
    world->config = (struct wal_config){
        .dir = dir,
        .file_bytes = WORLD_FILE_BYTES,
        .files_max = 4,
        .interval_ns = 50 * CLOCK_NS_PER_MS,
        .interval_bytes = 32 << 10,
    };
    world->next_number = 1;
    struct disk *disk = &world->sim.disk;
    cr_assert_eq(disk->table->mkdir(disk, dir), 0);
    cr_assert_eq(disk->table->sync_dir(disk, "/"), 0);
    return world;
}

void world_destroy(struct world *world)
{
    if (world->wal)
        wal_destroy(world->wal);
    sim_done(&world->sim);
    mem_free(world);
}

int world_try_open(struct world *world)
{
    cr_assert_null(world->wal);
    world->replayed_count = 0;
    world->group_is_open = false;
    world->moved = world->space = world->pressure = world->failed = 0;
    struct wal_events events = { world, event_moved, event_space, event_pressure, event_failed };
    struct wal_replay replay = { world, replay_check, replay_record, NULL };
    int status = wal_open(&world->wal, &world->config, &world->sim.doors, &events, world->from,
        &replay, &world->found);
    if (status == 0)
        cr_assert_not(world->group_is_open, "the last group is cut");
    return status;
}

void world_open(struct world *world)
{
    cr_assert_eq(world_try_open(world), 0);
    size_t first = 0;
    while (first < world->group_count && world->groups[first].lsn < world->from)
        first++;
    cr_assert_leq(world->replayed_count, world->group_count - first);
    for (size_t i = 0; i < world->replayed_count; i++) {
        const struct world_group *want = &world->groups[first + i], *got = &world->replayed[i];
        cr_assert_eq(got->number, want->number, "group %lu where %lu was expected",
            (unsigned long)got->number, (unsigned long)want->number);
        cr_assert_eq(got->lsn, want->lsn);
        cr_assert_eq(got->end, want->end);
    }
    size_t kept = first + world->replayed_count;
    if (kept < world->group_count)
        cr_assert_gt(world->groups[kept].end, world->promised, "group %lu was promised",
            (unsigned long)world->groups[kept].number);
    world->group_count = kept;
    world->promised = world->promised_durable = wal_durable(world->wal);
    if (kept > 0)
        cr_assert_geq(wal_appended(world->wal), world->groups[kept - 1].end);
    cr_assert_geq(wal_appended(world->wal), world->from);
    cr_assert_eq(wal_appended(world->wal), wal_durable(world->wal));
}

static void life_end(struct world *world, uint64_t promised)
{
    world->promised = promised;
    wal_destroy(world->wal);
    world->wal = NULL;
    sim_restart(&world->sim);
}

void world_kill(struct world *world)
{
    uint64_t written = wal_written(world->wal);
    world->promised_durable = wal_durable(world->wal);
    sim_kill(&world->sim);
    life_end(world, written);
}

void world_power(struct world *world)
{
    uint64_t durable = wal_durable(world->wal);
    world->promised_durable = durable;
    sim_power(&world->sim);
    life_end(world, durable);
}

void world_die_opening(struct world *world, int64_t calls, bool power)
{
    world->sim.crash_after = calls;
    (void)world_try_open(world);
    wal_destroy(world->wal);
    world->wal = NULL;
    if (power)
        sim_power(&world->sim);
    else
        sim_kill(&world->sim);
    if (power)
        world->promised = world->promised_durable;
    sim_restart(&world->sim);
}

void world_close(struct world *world)
{
    cr_assert(wal_idle(world->wal));
    world->promised = wal_written(world->wal);
    world->promised_durable = wal_durable(world->wal);
    wal_destroy(world->wal);
    world->wal = NULL;
}

/* ---- deeds ---- */

int world_append(struct world *world)
{
    uint64_t number = world->next_number;
    int status = wal_begin(world->wal, world_group_size(number));
    if (status < 0)
        return status;
    cr_assert_lt(world->group_count, WORLD_GROUPS_MAX);
    struct world_group *group = &world->groups[world->group_count++];
    *group = (struct world_group){ .number = number };
    for (uint32_t i = 0; i < group_records(number); i++) {
        struct wal_head head = record_head(number, i);
        uint64_t lsn;
        record_fill(number, i, wal_add(world->wal, &head, &lsn), head.len);
        group->lsn = i == 0 ? lsn : group->lsn;
        cr_assert(record_is(number, i, bytes_of(wal_payload(world->wal, lsn), head.len)));
    }
    group->end = wal_end(world->wal);
    cr_assert_eq(group->end, group->lsn + world_group_size(number));
    world->next_number++;
    return 0;
}

void world_run(struct world *world)
{
    int64_t until = world->sim.now_ns + 500 * CLOCK_NS_PER_MS;
    do
        wal_turn(world->wal);
    while (sim_next_ns(&world->sim) < until && sim_step(&world->sim));
    sim_run_until(&world->sim, until - 1);
}

uint64_t world_append_durable(struct world *world)
{
    cr_assert_eq(world_append(world), 0);
    uint64_t end = world->groups[world->group_count - 1].end;
    wal_want_durable(world->wal, end);
    world_run(world);
    cr_assert_geq(wal_durable(world->wal), end);
    wal_release(world->wal, end);
    return end;
}

void world_flush(struct world *world)
{
    wal_want_durable(world->wal, wal_appended(world->wal));
    world_run(world);
    cr_assert_eq(wal_durable(world->wal), wal_written(world->wal));
}

void world_checkpoint(struct world *world, uint64_t lsn)
{
    uint64_t from = world->from, durable = wal_durable(world->wal);
    lsn = lsn < durable ? lsn : durable;
    for (size_t i = 0; i < world->group_count && world->groups[i].end <= lsn; i++)
        from = world->groups[i].end;
    wal_release(world->wal, from);
    wal_recycle(world->wal, from);
    world->from = from;
}

void world_check_ring(struct world *world)
{
    for (size_t i = 0; i < world->group_count; i++) {
        uint64_t lsn = world->groups[i].lsn, number = world->groups[i].number;
        if (lsn < wal_released(world->wal))
            continue;
        for (uint32_t k = 0; k < group_records(number); k++) {
            uint32_t len = record_len(number, k);
            cr_assert(record_is(number, k, bytes_of(wal_payload(world->wal, lsn), len)),
                "group %lu is overwritten", (unsigned long)number);
            lsn += wal_record_size(len);
        }
    }
}

/* ---- bytes ---- */

static struct disk_file *file_open(struct world *world, const char *path)
{
    struct disk *disk = &world->sim.disk;
    struct disk_file *file = NULL;
    cr_assert_eq(disk->table->open(disk, path, DISK_WRITE, &file), 0, "%s", path);
    return file;
}

void world_poke(
    struct world *world, const char *path, uint64_t position, const void *data, size_t len)
{
    const struct disk_table *disk = world->sim.disk.table;
    struct disk_file *file = file_open(world, path);
    struct iovec iov = { (void *)(uintptr_t)data, len };
    cr_assert_eq(disk->writev(file, position, &iov, 1), 0);
    cr_assert_eq(disk->sync(file), 0);
    disk->close(file);
}

void world_peek(struct world *world, const char *path, uint64_t position, void *data, size_t len)
{
    const struct disk_table *disk = world->sim.disk.table;
    struct disk_file *file = file_open(world, path);
    size_t got = 0;
    cr_assert_eq(disk->read(file, position, data, len, &got), 0);
    cr_assert_eq(got, len);
    disk->close(file);
}

/* ---- images ---- */

static void path_of(int index, char *path, size_t size)
{
    (void)snprintf(path, size, "%s/%04d.wal", dir, index);
}

static uint8_t *file_bytes(struct world *world, int index)
{
    char path[64];
    path_of(index, path, sizeof(path));
    struct disk *disk = &world->sim.disk;
    struct disk_file *file = NULL;
    if (disk->table->open(disk, path, DISK_READ, &file) < 0)
        return NULL;
    uint8_t *bytes = mem_zalloc(1, WORLD_FILE_BYTES);
    size_t len;
    cr_assert_eq(disk->table->read(file, 0, bytes, WORLD_FILE_BYTES, &len), 0);
    disk->table->close(file);
    return bytes;
}

static void check_padding(const uint8_t *bytes, const struct wal_format *format)
{
    for (size_t at = WAL_BLOCK; at < WORLD_FILE_BYTES; at += WAL_HEAD_SIZE) {
        struct wal_record record;
        if (!wal_record_decode(bytes + at, &record, format) || record.type != WAL_PAD)
            continue;
        for (size_t in = at + WAL_HEAD_SIZE; in % WAL_BLOCK != 0; in++)
            cr_assert_eq(bytes[in], 0, "padding at %zu", in);
    }
}

void world_check_files(struct world *world)
{
    uint64_t numbers[WORLD_FILES_MAX];
    int count = 0;
    for (int i = 0; i < WORLD_FILES_MAX; i++) {
        uint8_t *bytes = file_bytes(world, i);
        struct wal_file_head head;
        if (bytes && wal_file_head_decode(bytes, &head) == 0) {
            for (int k = 0; k < count; k++)
                cr_assert_neq(numbers[k], head.number, "two files of one number");
            numbers[count++] = head.number;
            check_padding(bytes, &head.format);
        }
        mem_free(bytes);
    }
}

struct world_image *world_save(struct world *world)
{
    cr_assert_null(world->wal);
    return world_save_open(world);
}

struct world_image *world_save_open(struct world *world)
{
    struct world_image *image = mem_zalloc(1, sizeof(*image));
    for (int i = 0; i < WORLD_FILES_MAX; i++)
        image->files[i] = file_bytes(world, i);
    memcpy(image->groups, world->groups, sizeof(image->groups));
    image->group_count = world->group_count;
    image->next_number = world->next_number;
    image->promised = world->promised;
    image->promised_durable = world->promised_durable;
    image->from = world->from;
    return image;
}

void world_load(struct world *world, const struct world_image *image)
{
    cr_assert_null(world->wal);
    struct disk *disk = &world->sim.disk;
    for (int i = 0; i < WORLD_FILES_MAX; i++) {
        char path[64];
        path_of(i, path, sizeof(path));
        (void)disk->table->remove(disk, path);
        if (!image->files[i])
            continue;
        struct disk_file *file = NULL;
        cr_assert_eq(disk->table->open(disk, path, DISK_WRITE | DISK_CREATE, &file), 0);
        struct iovec iov = { image->files[i], WORLD_FILE_BYTES };
        cr_assert_eq(disk->table->writev(file, 0, &iov, 1), 0);
        cr_assert_eq(disk->table->sync(file), 0);
        disk->table->close(file);
    }
    cr_assert_eq(disk->table->sync_dir(disk, dir), 0);
    memcpy(world->groups, image->groups, sizeof(image->groups));
    world->group_count = image->group_count;
    world->next_number = image->next_number;
    world->promised = image->promised;
    world->promised_durable = image->promised_durable;
    world->from = image->from;
}

void world_image_free(struct world_image *image)
{
    for (int i = 0; i < WORLD_FILES_MAX; i++)
        mem_free(image->files[i]);
    mem_free(image);
}

bool world_is(struct world *world, const struct world_image *image)
{
    bool same = true;
    for (int i = 0; i < WORLD_FILES_MAX; i++) {
        uint8_t *bytes = file_bytes(world, i);
        same &= !bytes == !image->files[i] &&
                (!bytes || memcmp(bytes, image->files[i], WORLD_FILE_BYTES) == 0);
        mem_free(bytes);
    }
    return same;
}
