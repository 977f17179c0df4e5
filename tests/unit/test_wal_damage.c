/*
 * The write-ahead log on bytes that are not what was written: torn tails, dead histories, damage
 * below what was durable, files that are missing, foreign or of another format.
 */
#include "storage/wal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "protocol/base/mem.h"
#include "protocol/crc32c.h"
#include "storage/wal_format.h"
#include "tests/test.h"
#include "tests/unit/wal_world.h"

enum { SECTOR = 512 };
static const char file_0[] = "/wal/0000.wal";
static const char file_1[] = "/wal/0001.wal";

/* A log of `count` durable groups in its first file, closed. */
static struct world *world_with(uint64_t seed, int count)
{
    struct world *world = world_create(seed);
    world_open(world);
    for (int i = 0; i < count; i++)
        (void)world_append_durable(world);
    world_close(world);
    return world;
}

/* Opens what is there, lives on for a bit, and opens again. */
static void world_goes_on(struct world *world)
{
    world_open(world);
    (void)world_append_durable(world);
    (void)world_append_durable(world);
    world_kill(world);
    world_open(world);
    (void)world_append_durable(world);
    world_power(world);
    world_open(world);
    world_close(world);
}

static void file_resize(struct world *world, const char *path, int flags, uint64_t size)
{
    struct disk *disk = &world->sim.disk;
    struct disk_file *file = NULL;
    cr_assert_eq(disk->table->open(disk, path, DISK_WRITE | flags, &file), 0);
    cr_assert_eq(disk->table->truncate(file, size), 0);
    disk->table->close(file);
}

/* ---- torn tails ---- */

/* Sectors [from, to) of the last write, by `arrived`. */
struct tear {
    struct world *world;
    struct world_image *before, *after;
    uint64_t from, to;
    size_t whole; /* groups before that write */
};

static struct tear tear_make(uint64_t seed, const struct world_image *stale)
{
    struct tear tear = { .world = world_with(seed, 5) };
    struct world *world = tear.world;
    world_open(world);
    (void)world_append_durable(world);
    world_close(world);
    world_open(world);
    tear.whole = world->group_count;
    tear.from = wal_appended(world->wal);
    for (int i = 0; i < 9; i++)
        cr_assert_eq(world_append(world), 0);
    world_run(world);
    tear.to = wal_written(world->wal);
    cr_assert_eq(wal_stats(world->wal).writes, 1);
    cr_assert_geq(tear.to - tear.from, 2 * WAL_BLOCK);
    cr_assert_lt(tear.to, WORLD_FILE_BYTES);
    world_close(world);
    tear.after = world_save(world);
    tear.before = world_save(world);
    if (stale)
        memcpy(tear.before->files[0] + tear.from, stale->files[0] + tear.from, tear.to - tear.from);
    else
        memset(tear.before->files[0] + tear.from, 0, tear.to - tear.from);
    return tear;
}

static void tear_done(struct tear *tear)
{
    world_image_free(tear->before);
    world_image_free(tear->after);
    world_destroy(tear->world);
}

/* The groups up to the first lost sector must be there, and the log goes on. */
static void tear_try(
    struct tear *tear, bool (*arrived)(uint64_t sector, uint64_t chosen), uint64_t k)
{
    struct world *world = tear->world;
    world_load(world, tear->after);
    uint64_t first_lost = tear->to;
    for (uint64_t at = tear->from; at < tear->to; at += SECTOR) {
        if (arrived((at - tear->from) / SECTOR, k))
            continue;
        world_poke(world, file_0, at, tear->before->files[0] + at, SECTOR);
        if (first_lost == tear->to)
            first_lost = at;
    }
    size_t expected = tear->whole;
    while (expected < tear->after->group_count && tear->after->groups[expected].end <= first_lost)
        expected++;
    world->promised = world->promised_durable = tear->from;
    world_open(world);
    cr_assert_eq(world->found.damaged, 0);
    cr_assert_eq(world->found.lost, false);
    cr_assert_geq(world->group_count, expected, "sector %lu", (unsigned long)k);
    world_close(world);
    world_goes_on(world);
}

static bool arrived_before(uint64_t sector, uint64_t chosen)
{
    return sector < chosen;
}
static bool arrived_but_one(uint64_t sector, uint64_t chosen)
{
    return sector != chosen;
}
static bool arrived_from(uint64_t sector, uint64_t chosen)
{
    return sector >= chosen;
}

static void tears(const struct world_image *stale)
{
    for (uint64_t seed = 20; seed < 24; seed++) {
        struct tear tear = tear_make(seed, stale);
        uint64_t sectors = (tear.to - tear.from) / SECTOR;
        for (uint64_t k = 0; k <= sectors; k++) {
            tear_try(&tear, arrived_before, k);
            tear_try(&tear, arrived_but_one, k);
            tear_try(&tear, arrived_from, k);
        }
        tear_done(&tear);
    }
}

TEST(wal_damage, a_write_torn_at_any_sector_is_a_tail)
{
    tears(NULL);
}

/* The blocks of the torn write held records of an earlier turn of the file. */
TEST(wal_damage, a_torn_write_over_old_records_is_a_tail)
{
    struct world *old = world_with(77, 14);
    struct world_image *stale = world_save(old);
    tears(stale);
    world_image_free(stale);
    world_destroy(old);
}

TEST(wal_damage, a_cut_group_is_no_group)
{
    struct world *world = world_with(30, 3);
    world_open(world);
    uint64_t at = wal_appended(world->wal);
    /* One group of three records, each in a block of its own. */
    cr_assert_eq(wal_begin(world->wal, (size_t)3 * WAL_BLOCK), 0);
    struct wal_head head = { .type = WAL_USER + 1, .len = WAL_BLOCK - 64 };
    for (int i = 0; i < 3; i++) {
        uint64_t lsn;
        memset(wal_add(world->wal, &head, &lsn), i, head.len);
    }
    (void)wal_end(world->wal);
    world_run(world);
    world_close(world);
    uint8_t zeros[64] = { 0 };
    world_poke(world, file_0, at + (uint64_t)2 * WAL_BLOCK, zeros, sizeof(zeros));
    world_goes_on(world); /* the replay would meet records it does not know */
    cr_assert_eq(world->replayed_count, 3 + 3);
    world_destroy(world);
}

/* ---- dead histories ---- */

/* Life 1 writes a tail of which the first block is lost; life 2 writes something else of the same
 * sizes over the hole and dies. What life 1 had written behind it must stay dead. */
TEST(wal_damage, a_dead_tail_does_not_come_back)
{
    size_t dead_seen = 0;
    for (uint64_t seed = 0; seed < 40; seed++) {
        struct world *world = world_with(seed, 3);
        struct world_image *base = world_save(world);
        world_open(world);
        uint64_t from = wal_appended(world->wal);
        for (int i = 0; i < 6; i++) {
            cr_assert_eq(world_append(world), 0);
            world_run(world); /* a write each */
        }
        uint64_t to = wal_written(world->wal);
        world_close(world);
        /* The first write is lost, the others arrived. */
        world_poke(world, file_0, from, base->files[0] + from, WAL_BLOCK);
        world->promised = world->promised_durable = from;
        for (int life = 0; life < 4; life++) {
            world_open(world);
            cr_assert_eq(world->group_count, 3 + (size_t)life);
            /* The very bytes that were lost, at first: only the incarnation is another. */
            world->next_number = 4 + (uint64_t)life;
            cr_assert_eq(world_append(world), 0);
            wal_want_durable(world->wal, wal_appended(world->wal));
            world_run(world);
            dead_seen += wal_written(world->wal) < to;
            if (life % 2)
                world_kill(world);
            else
                world_power(world);
        }
        world_goes_on(world);
        world_image_free(base);
        world_destroy(world);
    }
    cr_assert_gt(dead_seen, 40, "the dead tail was always overwritten");
}

/* Unflushed writes: a later file arrived on the medium, an earlier one's end did not. */
TEST(wal_damage, a_later_file_without_its_past_is_dead)
{
    struct world *world = world_with(41, 2);
    world_open(world);
    uint64_t hole = wal_appended(world->wal);
    while (wal_written(world->wal) < (uint64_t)WORLD_FILE_BYTES + 3 * WAL_BLOCK) {
        int status = world_append(world);
        world_run(world);
        wal_release(world->wal, wal_written(world->wal));
        cr_assert(status == 0 || status == -EAGAIN);
    }
    world_close(world);
    uint8_t zeros[WAL_BLOCK] = { 0 };
    world_poke(world, file_0, hole, zeros, sizeof(zeros));
    world->promised = world->promised_durable = hole;
    /* The dead file lies behind a free one that would do, too. */
    struct disk *disk = &world->sim.disk;
    cr_assert_eq(disk->table->rename(disk, file_1, "/wal/0003.wal"), 0);
    file_resize(world, file_1, DISK_CREATE, WORLD_FILE_BYTES);
    world_open(world);
    cr_assert_eq(world->group_count, 2);
    world_close(world);
    for (int i = 0; i < 30; i++) {
        world_check_files(world);
        world_open(world);
        (void)world_append_durable(world);
        (void)world_append_durable(world);
        world_close(world);
    }
    cr_assert_gt(world->groups[world->group_count - 1].end, WORLD_FILE_BYTES);
    world_goes_on(world);
    world_destroy(world);
}

TEST(wal_damage, a_second_recovery_finds_the_same_and_writes_nothing)
{
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct world *world = world_with(seed, 4);
        world_open(world);
        for (int i = 0; i < 8; i++) {
            (void)world_append(world);
            wal_turn(world->wal);
            (void)sim_step(&world->sim);
        }
        world_power(world);
        world_open(world);
        struct wal_found first = world->found;
        uint64_t next = wal_appended(world->wal);
        world_close(world);
        struct world_image *image = world_save(world);
        for (int i = 0; i < 3; i++) {
            world_open(world);
            cr_assert_eq(memcmp(&first, &world->found, sizeof(first)), 0);
            cr_assert_eq(wal_appended(world->wal), next);
            world_close(world);
            cr_assert(world_is(world, image));
        }
        world_image_free(image);
        world_destroy(world);
    }
}

/* ---- damage below the durable position ---- */

/* Every byte of a group's record that others behind it call durable: a damaged payload is shown as
 * damaged, a damaged header is refused. */
TEST(wal_damage, any_flipped_bit_below_the_durable_position_is_found)
{
    struct world *world = world_with(50, 6);
    struct world_image *image = world_save(world);
    struct world_group victim = world->groups[2];
    uint64_t durable = world->groups[4].end;
    unsigned damaged = 0, refused = 0, harmless = 0;
    for (uint64_t at = WAL_BLOCK; at < durable; at += at < victim.lsn || at > victim.end ? 64 : 1) {
        world_load(world, image);
        cr_assert_eq(sim_flip(&world->sim, file_0, at, (uint8_t)(1 << (at % 8))), 0);
        int status = world_try_open(world);
        if (status == -EUCLEAN) {
            refused++;
            cr_assert_null(world->wal);
            continue;
        }
        cr_assert_eq(status, 0);
        cr_assert_eq(world->replayed_count, 6, "byte %lu", (unsigned long)at);
        for (size_t i = 0; i < 6; i++) {
            cr_assert_eq(world->replayed[i].number, world->groups[i].number);
            cr_assert_eq(world->replayed[i].damaged,
                world->groups[i].lsn <= at && at < world->groups[i].end && world->found.damaged);
        }
        cr_assert_leq(world->found.damaged, 1);
        damaged += world->found.damaged == 1;
        harmless += world->found.damaged == 0; /* padding */
        world_close(world);
    }
    cr_assert_gt(damaged, 10);
    cr_assert_geq(refused, 64);
    cr_assert_gt(harmless, 10);
    world_image_free(image);
    world_destroy(world);
}

TEST(wal_damage, a_flipped_bit_above_the_durable_position_is_a_torn_tail)
{
    struct world *world = world_with(51, 6);
    struct world_image *image = world_save(world);
    struct world_group last = world->groups[5];
    for (uint64_t at = last.lsn; at < last.end; at++) {
        world_load(world, image);
        world->promised = world->promised_durable = world->groups[4].end;
        cr_assert_eq(sim_flip(&world->sim, file_0, at, 0x10), 0);
        world_open(world);
        cr_assert_geq(world->group_count, 5);
        cr_assert_eq(world->found.damaged, 0);
        world_close(world);
    }
    world_goes_on(world);
    world_image_free(image);
    world_destroy(world);
}

TEST(wal_damage, accepted_loss_is_lost_once)
{
    for (uint64_t seed = 60; seed < 70; seed++) {
        struct world *world = world_with(seed, 8);
        uint64_t victim = world->groups[3].lsn;
        cr_assert_eq(sim_flip(&world->sim, file_0, victim + 9, 4), 0);
        cr_assert_eq(world_try_open(world), -EUCLEAN);
        world->config.accept_loss = true;
        world->promised = world->promised_durable = victim;
        world_open(world);
        cr_assert_eq(world->group_count, 3);
        cr_assert(world->found.lost);
        cr_assert_geq(wal_appended(world->wal), (uint64_t)WORLD_FILE_BYTES,
            "not among records that speak of what is lost");
        (void)world_append_durable(world);
        world_power(world);
        world->config.accept_loss = false;
        world_open(world);
        cr_assert_eq(world->group_count, 4);
        cr_assert(!(world->found.lost));
        /* A torn tail in the new history is no damage, whatever the dead say. */
        (void)world_append_durable(world);
        uint64_t torn = world->groups[4].lsn;
        world_close(world);
        struct world_image *image = world_save(world);
        int slot = 0;
        while (!image->files[slot] || le_get64(image->files[slot] + 16) != torn / WORLD_FILE_BYTES)
            slot++;
        char path[64];
        (void)snprintf(path, sizeof(path), "/wal/%04d.wal", slot);
        cr_assert_eq(sim_flip(&world->sim, path, torn % WORLD_FILE_BYTES + 9, 4), 0);
        world->promised = world->promised_durable = torn;
        world_open(world);
        cr_assert_eq(world->group_count, 4);
        world_close(world);
        world_goes_on(world);
        world_image_free(image);
        world_destroy(world);
    }
}

/* ---- checkpoints ---- */

/* A log of several files with the checkpoint in its middle. */
static struct world *world_long(uint64_t seed, bool durable)
{
    struct world *world = world_create(seed);
    world_open(world);
    while (wal_written(world->wal) < (uint64_t)2 * WORLD_FILE_BYTES + WORLD_FILE_BYTES / 2) {
        int status = world_append(world);
        cr_assert(status == 0 || status == -EAGAIN);
        if (durable)
            wal_want_durable(world->wal, wal_appended(world->wal));
        world_run(world);
        wal_release(world->wal, wal_written(world->wal));
        if (wal_written(world->wal) > WORLD_FILE_BYTES + WORLD_FILE_BYTES / 2 && !world->from)
            world_checkpoint(world, WORLD_FILE_BYTES + WORLD_FILE_BYTES / 3);
    }
    world_close(world);
    return world;
}

TEST(wal_damage, what_is_checkpointed_is_not_shown)
{
    struct world *world = world_long(80, true);
    world_open(world);
    cr_assert_gt(world->replayed_count, 3);
    cr_assert_geq(world->replayed[0].lsn, world->from);
    cr_assert_lt(world->replayed_count, world->group_count);
    world_close(world);
    world_goes_on(world);
    world_destroy(world);
}

TEST(wal_damage, damaged_payloads_below_the_checkpoint_do_not_matter)
{
    struct world *world = world_long(81, true);
    unsigned flipped = 0;
    for (size_t i = 0; i < world->group_count; i++) {
        const struct world_group *group = &world->groups[i];
        if (group->end > world->from || group->lsn < WORLD_FILE_BYTES ||
            group->end - group->lsn < 128)
            continue;
        uint64_t at = group->lsn % WORLD_FILE_BYTES + 64;
        flipped += sim_flip(&world->sim, file_1, at, 1) == 0;
    }
    cr_assert_gt(flipped, 3);
    world_open(world);
    cr_assert_eq(world->found.damaged, 0);
    world_close(world);
    world_goes_on(world);
    world_destroy(world);
}

TEST(wal_damage, a_damaged_header_below_the_checkpoint_hides_the_rest)
{
    struct world *world = world_long(82, true);
    size_t i = 0;
    while (world->groups[i].lsn < WORLD_FILE_BYTES)
        i++;
    uint64_t at = world->groups[i + 1].lsn % WORLD_FILE_BYTES;
    cr_assert_eq(sim_flip(&world->sim, file_1, at, 1), 0);
    cr_assert_eq(world_try_open(world), -EUCLEAN);
    world->config.accept_loss = true;
    world_open(world); /* and nothing is lost in truth */
    cr_assert(world->found.lost);
    world_close(world);
    world_destroy(world);
}

TEST(wal_damage, a_log_that_ends_below_its_checkpoint_goes_on_above)
{
    struct world *world = world_create(83);
    world_open(world);
    (void)world_append_durable(world);
    uint64_t hole = wal_appended(world->wal);
    for (int i = 0; i < 5; i++) {
        cr_assert_eq(world_append(world), 0);
        world_run(world);
    }
    world_flush(world);
    world_checkpoint(world, wal_written(world->wal));
    cr_assert_gt(world->from, hole);
    world_close(world);
    uint8_t zeros[WAL_BLOCK] = { 0 };
    for (uint64_t at = hole; at < WORLD_FILE_BYTES; at += sizeof(zeros))
        world_poke(world, file_0, at, zeros, sizeof(zeros));
    world_open(world); /* checks that positions stay above `from` */
    cr_assert_eq(world->replayed_count, 0);
    for (int i = 0; i < 3; i++) {
        (void)world_append_durable(world);
        world_close(world);
        world_open(world);
        cr_assert_eq(world->replayed_count, (size_t)i + 1);
    }
    world_close(world);
    world_goes_on(world);
    world_destroy(world);
}

/* Fills the first file to its last byte and checkpoints there. */
static void checkpoint_at_the_end_of_file_0(struct world *world)
{
    size_t max = wal_group_max(world->wal);
    struct wal_head head = { .type = WAL_USER };
    uint64_t lsn, left = WORLD_FILE_BYTES - wal_appended(world->wal);
    left -= 64; /* the RESUME record */
    while (left > 0) {
        size_t size = left < max ? left : max;
        head.len = (uint32_t)size - 64;
        cr_assert_eq(wal_begin(world->wal, size), 0);
        memset(wal_add(world->wal, &head, &lsn), 1, head.len);
        (void)wal_end(world->wal);
        world_run(world);
        left -= size;
        if (wal_written(world->wal) % WAL_BLOCK == 0 && left > 0)
            left = WORLD_FILE_BYTES - wal_written(world->wal);
    }
    world_flush(world);
    cr_assert_eq(wal_written(world->wal), WORLD_FILE_BYTES);
    wal_release(world->wal, WORLD_FILE_BYTES);
    wal_recycle(world->wal, WORLD_FILE_BYTES);
    world->from = WORLD_FILE_BYTES;
    world->group_count = 0;
}

TEST(wal_damage, a_checkpoint_at_the_end_of_a_file_needs_no_next_one)
{
    struct world *world = world_create(84);
    world_open(world);
    checkpoint_at_the_end_of_file_0(world);
    world_close(world);
    for (int i = 0; i < 3; i++) {
        world_open(world);
        cr_assert_eq(world->replayed_count, (size_t)i);
        (void)world_append_durable(world);
        world_power(world);
    }
    world_open(world);
    world_destroy(world);
}

/* A history that was lost in the first file had gone on in the second one. */
TEST(wal_damage, a_dead_file_behind_the_checkpoint_stays_dead)
{
    struct world *world = world_create(85);
    world_open(world);
    while (wal_written(world->wal) < WORLD_FILE_BYTES + (uint64_t)3 * WAL_BLOCK) {
        cr_assert_eq(world_append(world), 0);
        world_run(world);
        wal_release(world->wal, wal_written(world->wal));
    }
    world_close(world);
    uint64_t hole = world->groups[2].end;
    uint8_t zeros[WAL_HEAD_SIZE] = { 0 };
    world_poke(world, file_0, hole, zeros, sizeof(zeros));
    world->promised = world->promised_durable = hole;
    world_open(world);
    cr_assert_eq(world->replayed_count, 3);
    checkpoint_at_the_end_of_file_0(world);
    world_close(world);
    world_open(world);
    cr_assert_eq(world->replayed_count, 0);
    world_close(world);
    world_goes_on(world);
    world_destroy(world);
}

/* ... which a checkpoint at the end of the first file does not know of. Gives the lsn of a record
 * that the first life wrote. */
static struct world *world_with_a_dead_file(uint64_t seed, uint64_t *ret_lsn)
{
    struct world *world = world_create(seed);
    world_open(world);
    while (wal_written(world->wal) < WORLD_FILE_BYTES + (uint64_t)3 * WAL_BLOCK) {
        cr_assert_eq(world_append(world), 0);
        world_run(world);
        wal_release(world->wal, wal_written(world->wal));
    }
    world_close(world);
    uint64_t hole = world->groups[2].end;
    *ret_lsn = world->groups[1].lsn;
    uint8_t zeros[WAL_HEAD_SIZE] = { 0 };
    world_poke(world, file_0, hole, zeros, sizeof(zeros));
    world->promised = world->promised_durable = hole;
    world_open(world);
    cr_assert_eq(world->replayed_count, 3);
    checkpoint_at_the_end_of_file_0(world);
    world_close(world);
    return world;
}

/* Where the way to it is damaged, too, what is dead must not take the place of the log. */
TEST(wal_damage, a_dead_file_behind_the_checkpoint_stays_dead_behind_damage)
{
    uint64_t lsn;
    uint8_t zeros[WAL_HEAD_SIZE] = { 0 };
    struct world *world = world_with_a_dead_file(86, &lsn);
    world_poke(world, file_0, lsn, zeros, sizeof(zeros));
    world_open(world);
    cr_assert_eq(world->replayed_count, 0);
    (void)world_append_durable(world);
    world_power(world);
    world_open(world);
    cr_assert_eq(world->replayed_count, 1);
    world_close(world);
    world_goes_on(world);
    world_destroy(world);
}

TEST(wal_damage, a_dead_file_behind_a_file_without_its_header_stays_dead)
{
    uint64_t lsn;
    uint8_t zeros[WAL_BLOCK] = { 0 };
    struct world *world = world_with_a_dead_file(87, &lsn);
    world_poke(world, file_0, 0, zeros, sizeof(zeros));
    cr_assert_eq(world_try_open(world), -EUCLEAN);
    world->config.accept_loss = true;
    world_open(world);
    cr_assert_eq(world->replayed_count, 0);
    world_destroy(world);
}

/* ---- files ---- */

TEST(wal_damage, one_torn_copy_of_a_file_header_is_enough)
{
    struct world *world = world_with(90, 4);
    struct world_image *image = world_save(world);
    for (int copy = 0; copy < 2; copy++) {
        world_load(world, image);
        uint8_t zeros[SECTOR] = { 0 };
        world_poke(world, file_0, (uint64_t)copy * WAL_FILE_HEAD_COPY, zeros, sizeof(zeros));
        world_open(world);
        cr_assert_eq(world->replayed_count, 4);
        world_close(world);
    }
    world_image_free(image);
    world_destroy(world);
}

TEST(wal_damage, a_file_without_its_header_is_damage)
{
    struct world *world = world_with(91, 4);
    uint8_t zeros[WAL_BLOCK] = { 0 };
    world_poke(world, file_0, 0, zeros, sizeof(zeros));
    cr_assert_eq(world_try_open(world), -EUCLEAN);
    world->config.accept_loss = true;
    world->promised = world->promised_durable = 0;
    world_open(world);
    cr_assert(world->found.lost);
    cr_assert_eq(world->group_count, 0);
    (void)world_append_durable(world);
    world_close(world);
    world->config.accept_loss = false;
    world_goes_on(world);
    world_destroy(world);

    world = world_long(92, true);
    world_poke(world, file_1, 0, zeros, sizeof(zeros));
    cr_assert_eq(world_try_open(world), -EUCLEAN);
    world->config.accept_loss = true;
    world->promised = world->promised_durable = 0;
    world_open(world);
    cr_assert(world->found.lost);
    cr_assert_eq(world->replayed_count, 0);
    cr_assert_gt(wal_appended(world->wal), (uint64_t)3 * WORLD_FILE_BYTES - 1);
    (void)world_append_durable(world);
    world_close(world);
    world->config.accept_loss = false;
    world_goes_on(world);
    world_destroy(world);
}

TEST(wal_damage, missing_files_are_damage)
{
    struct world *world = world_long(93, true);
    struct world_image *image = world_save(world);
    struct disk *disk = &world->sim.disk;
    cr_assert_eq(le_get64(image->files[0] + 16), 2, "the newest");
    cr_assert_eq(disk->table->remove(disk, file_0), 0);
    cr_assert_eq(world_try_open(world), -EUCLEAN, "nothing else tells of the newest but the hole");
    world_load(world, image);
    cr_assert_eq(disk->table->remove(disk, file_1), 0);
    cr_assert_eq(world_try_open(world), -EUCLEAN);
    for (int i = 0; i < 4; i++) {
        char path[64];
        (void)snprintf(path, sizeof(path), "/wal/%04d.wal", i);
        (void)disk->table->remove(disk, path);
    }
    cr_assert_eq(world_try_open(world), -EUCLEAN, "no files, and a checkpoint that needs them");
    world->config.accept_loss = true;
    world->promised = world->promised_durable = 0;
    world_open(world); /* above the checkpoint */
    cr_assert(world->found.lost);
    (void)world_append_durable(world);
    world_power(world);
    world->config.accept_loss = false;
    world_open(world);
    cr_assert_eq(world->replayed_count, 1);
    world_close(world);
    world_load(world, image);
    world->from = 0; /* the checkpoint is gone, and the first file was used again */
    cr_assert_eq(world_try_open(world), -EUCLEAN);
    world_image_free(image);
    world_destroy(world);
}

TEST(wal_damage, the_loss_of_files_is_accepted_once)
{
    struct world *world = world_create(96);
    struct disk *disk = &world->sim.disk;
    world_open(world);
    while (wal_written(world->wal) < (uint64_t)2 * WORLD_FILE_BYTES + WORLD_FILE_BYTES / 2)
        (void)world_append_durable(world); /* nothing is released: three files */
    world_close(world);
    cr_assert_eq(disk->table->remove(disk, file_0), 0);
    cr_assert_eq(disk->table->remove(disk, file_1), 0);
    cr_assert_eq(world_try_open(world), -EUCLEAN);
    world->config.accept_loss = true;
    world->promised = world->promised_durable = 0;
    cr_assert_eq(world_try_open(world), 0);
    cr_assert(world->found.lost, "they were needed");
    world->from = wal_appended(world->wal); /* as the store does after a loss: a checkpoint */
    world_close(world);
    world->config.accept_loss = false;
    cr_assert_eq(world_try_open(world), 0, "and are not needed again");
    cr_assert_not(world->found.lost);
    world_close(world);
    world_destroy(world);
}

/* ... also where the last file is one that was just being made: it has a name and nothing else. */
TEST(wal_damage, the_loss_of_a_file_before_an_unfinished_one_is_accepted_once)
{
    struct world *world = world_with(99, 3);
    file_resize(world, "/wal/0003.wal", DISK_CREATE, 0);
    cr_assert_eq(world_try_open(world), -EUCLEAN);
    world->config.accept_loss = true;
    world_open(world);
    cr_assert(world->found.lost);
    world_close(world);
    world->config.accept_loss = false;
    world_open(world);
    cr_assert_not(world->found.lost);
    world_close(world);
    world_goes_on(world);
    world_destroy(world);
}

TEST(wal_damage, a_file_of_another_directory_is_refused)
{
    struct world *other = world_with(94, 3), *world = world_with(95, 3);
    struct world_image *foreign = world_save(other), *image = world_save(world);
    image->files[5] = foreign->files[0];
    world_load(world, image);
    world->config.accept_loss = true;
    cr_assert_eq(world_try_open(world), -EUCLEAN);
    image->files[5] = NULL;
    world_load(world, image);
    world_open(world);
    cr_assert_eq(world->replayed_count, 3);
    world_image_free(image);
    world_image_free(foreign);
    world_destroy(other);
    world_destroy(world);
}

TEST(wal_damage, a_newer_format_is_refused)
{
    struct world *world = world_with(96, 1);
    uint8_t block[WAL_BLOCK];
    world_peek(world, file_0, 0, block, sizeof(block));
    for (size_t at = 0; at < sizeof(block); at += WAL_FILE_HEAD_COPY) {
        le_put32(block + at + 8, WAL_FORMAT + 1);
        le_put32(block + at + 60, crc32c(0, block + at, 60));
    }
    world_poke(world, file_0, 0, block, sizeof(block));
    cr_assert_eq(world_try_open(world), -EPROTONOSUPPORT);
    world_destroy(world);
}

TEST(wal_damage, a_directory_keeps_its_file_size_and_may_shrink)
{
    struct world *world = world_with(97, 1);
    world_open(world);
    while (wal_appended(world->wal) < (uint64_t)2 * WORLD_FILE_BYTES + 2 * WAL_BLOCK)
        (void)world_append_durable(world);
    world_close(world);
    world->config.file_bytes = 4 * WORLD_FILE_BYTES;
    world->config.files_max = 2;
    world_open(world);
    cr_assert_eq(wal_group_max(world->wal), WORLD_FILE_BYTES / 8 * 3 - 2 * WAL_BLOCK);
    world_checkpoint(world, wal_written(world->wal));
    while (wal_appended(world->wal) < (uint64_t)3 * WORLD_FILE_BYTES + 2 * WAL_BLOCK) {
        (void)world_append_durable(world);
        world_checkpoint(world, wal_written(world->wal));
    }
    world_close(world);
    struct world_image *image = world_save(world);
    cr_assert_not_null(image->files[2]);
    world_image_free(image);
    world_open(world);
    world_close(world);
    image = world_save(world);
    cr_assert_null(image->files[2]);
    world_image_free(image);
    world_goes_on(world);
    world_destroy(world);
}

/* Bytes that a client could send can't pass for records of the log. */
static void fakes_in_a_payload(uint64_t known)
{
    struct world *world = world_with(98, 2);
    uint8_t id[8];
    world_peek(world, file_0, 24, id, sizeof(id));
    uint64_t directory_id = le_get64(id);
    world_open(world);
    uint64_t at = wal_appended(world->wal);
    cr_assert_eq(wal_begin(world->wal, (size_t)2 * WAL_BLOCK), 0);
    struct wal_head head = { .type = WAL_USER + 1, .len = 2 * WAL_BLOCK - 64 };
    uint64_t lsn;
    uint8_t *payload = wal_add(world->wal, &head, &lsn);
    memset(payload, 0, head.len);
    /* The sender guesses everything but the directory's id, of which he even knows a part. */
    struct wal_format guessed = { .directory_id = directory_id & known,
        .file_bytes = WORLD_FILE_BYTES };
    for (uint64_t in = 64; in + 64 <= head.len; in += 64) {
        struct wal_record fake = { .lsn = lsn + in,
            .durable_lsn = lsn + in,
            .incarnation = UINT32_MAX,
            .type = WAL_USER,
            .flags = 0 };
        wal_record_encode(payload + in - 64, &fake, &guessed);
    }
    (void)wal_end(world->wal);
    world_run(world);
    world_close(world);
    /* A torn tail with fakes in it. */
    cr_assert_eq(sim_flip(&world->sim, file_0, at + 64 + 5, 1), 0);
    world_goes_on(world);
    world_destroy(world);
}

TEST(wal_damage, records_inside_of_payloads_are_only_bytes)
{
    fakes_in_a_payload(0);
    fakes_in_a_payload(UINT32_MAX);
    fakes_in_a_payload((uint64_t)UINT32_MAX << 32);
}

TEST(wal_damage, headers_that_say_what_can_not_be_are_none)
{
    struct wal_format format = { .directory_id = 0x123456789, .file_bytes = WORLD_FILE_BYTES };
    struct wal_record good = { .lsn = WORLD_FILE_BYTES + WAL_BLOCK,
        .durable_lsn = WORLD_FILE_BYTES,
        .len = 100,
        .checked_len = 50,
        .type = WAL_USER };
    struct wal_record bad[] = { good, good, good, good, good, good, good, good, good, good, good };
    size_t n = 0;
    bad[n++].lsn += 32;      /* not aligned */
    bad[n].lsn -= WAL_BLOCK; /* in the file's header */
    bad[n++].durable_lsn = 0;
    bad[n++].lsn = UINT64_MAX & ~(uint64_t)63 & ~(uint64_t)0x8000; /* out of this world */
    bad[n++].durable_lsn = good.lsn + 1;                           /* knows the future */
    bad[n++].checked_len = 101;                                    /* checks more than there is */
    bad[n++].len = WORLD_FILE_BYTES - WAL_BLOCK - 63;              /* leaves the file */
    bad[n++].len = UINT32_MAX;
    bad[n++].type = 0;
    bad[n++].flags = 2;
    bad[n].type = WAL_MARK; /* with a payload */
    bad[n++].checked_len = 0;
    bad[n].type = WAL_PAD; /* that ends inside of a block */
    bad[n++].checked_len = 0;
    cr_assert_eq(n, ARRAY_COUNT(bad));
    uint8_t head[WAL_HEAD_SIZE];
    struct wal_record got;
    wal_record_encode(head, &good, &format);
    cr_assert(wal_record_decode(head, &got, &format));
    cr_assert_eq(got.lsn, good.lsn);
    cr_assert_eq(got.len, good.len);
    for (size_t i = 0; i < n; i++) {
        wal_record_encode(head, &bad[i], &format);
        cr_assert_not(wal_record_decode(head, &got, &format), "%zu", i);
    }
    good.type = WAL_PAD;
    good.checked_len = 0;
    good.len = WAL_BLOCK - 64;
    wal_record_encode(head, &good, &format);
    cr_assert(wal_record_decode(head, &got, &format));
    good.flags = WAL_MORE;
    wal_record_encode(head, &good, &format);
    cr_assert_not(wal_record_decode(head, &got, &format));
}

/* ---- found by breaking the code ---- */

/* The end of the first life lies inside of a block, and the first write of the second life loses
 * its beginning: its later blocks speak of a durable position. */
TEST(wal_damage, a_torn_tail_after_a_torn_tail)
{
    struct world *world = world_with(110, 3);
    uint64_t inside = world->groups[2].end;
    cr_assert_neq(inside % WAL_BLOCK, 0);
    uint8_t zeros[WAL_BLOCK] = { 0 };
    world_poke(world, file_0, inside, zeros, 64); /* the PAD of the last block */
    world->promised = world->promised_durable = inside;
    world_open(world);
    cr_assert_eq(world->found.torn_lsn, inside);
    uint64_t from = wal_appended(world->wal);
    cr_assert_gt(from, inside);
    for (int i = 0; i < 20; i++)
        cr_assert_eq(world_append(world), 0);
    world_run(world);
    cr_assert_gt(wal_written(world->wal), from + WAL_BLOCK);
    world_close(world);
    world_poke(world, file_0, from, zeros, sizeof(zeros));
    world->promised = world->promised_durable = inside;
    world_open(world);
    cr_assert_eq(world->group_count, 3);
    world_close(world);
    world_goes_on(world);
    world_destroy(world);
}

TEST(wal_damage, a_lost_payload_below_the_checkpoint_hides_nothing)
{
    struct world *world = world_create(111);
    world_open(world);
    for (int i = 0; i < 8; i++) {
        cr_assert_eq(world_append(world), 0);
        world_run(world);
    }
    world_flush(world); /* and no record tells */
    world_checkpoint(world, world->groups[4].end);
    world_close(world);
    size_t victim = 0;
    while (world->groups[victim].end - world->groups[victim].lsn < 256)
        victim++;
    cr_assert_lt(victim, 4);
    cr_assert_eq(sim_flip(&world->sim, file_0, world->groups[victim].lsn + 64, 1), 0);
    world_open(world);
    cr_assert_eq(world->replayed_count, 3);
    cr_assert_eq(world->found.durable_lsn, WAL_BLOCK);
    world_close(world);
    world_goes_on(world);
    world_destroy(world);
}

TEST(wal_damage, a_damaged_header_below_the_checkpoint_and_nothing_above_is_no_matter)
{
    struct world *world = world_with(112, 8);
    world_open(world);
    world_checkpoint(world, wal_written(world->wal));
    world_close(world);
    cr_assert_eq(sim_flip(&world->sim, file_0, world->groups[2].lsn + 9, 1), 0);
    world_open(world);
    cr_assert_not(world->found.lost);
    cr_assert_geq(wal_appended(world->wal), (uint64_t)WORLD_FILE_BYTES);
    (void)world_append_durable(world);
    world_close(world);
    world_goes_on(world);
    world_destroy(world);
}

TEST(wal_damage, a_lost_end_of_a_file_is_told_by_the_next)
{
    struct world *world = world_long(113, true);
    size_t last = 0;
    while (world->groups[last + 1].lsn < (uint64_t)2 * WORLD_FILE_BYTES)
        last++;
    cr_assert_gt(world->groups[last].lsn, world->from);
    uint64_t at = world->groups[last].lsn % WORLD_FILE_BYTES;
    uint8_t *zeros = mem_zalloc(1, WORLD_FILE_BYTES);
    world_poke(world, file_1, at, zeros, WORLD_FILE_BYTES - at);
    mem_free(zeros);
    cr_assert_eq(world_try_open(world), -EUCLEAN);
    world_destroy(world);
}

/* The newest file's header is gone: its records tell of what it was, and of its number. */
TEST(wal_damage, a_newest_file_without_its_header_is_damage)
{
    struct world *world = world_long(114, true);
    struct world_image *image = world_save(world);
    int newest = 0;
    for (int i = 0; i < 3; i++) {
        if (image->files[i] && le_get64(image->files[i] + 16) > le_get64(image->files[newest] + 16))
            newest = i;
    }
    char path[64];
    (void)snprintf(path, sizeof(path), "/wal/%04d.wal", newest);
    uint64_t number = le_get64(image->files[newest] + 16);
    uint8_t zeros[WAL_BLOCK] = { 0 };
    world_poke(world, path, 0, zeros, sizeof(zeros));
    cr_assert_eq(world_try_open(world), -EUCLEAN);
    world->config.accept_loss = true;
    world->promised = world->promised_durable = 0;
    world_open(world);
    cr_assert(world->found.lost);
    cr_assert_gt(wal_appended(world->wal) / WORLD_FILE_BYTES, number);
    (void)world_append_durable(world);
    world_close(world);
    world->config.accept_loss = false;
    world_goes_on(world);
    world_image_free(image);
    world_destroy(world);
}

TEST(wal_damage, a_changed_file_header_is_damage)
{
    struct world *world = world_with(115, 3);
    for (uint64_t at = 0; at < 64; at++) {
        for (uint64_t copy = 0; copy < 2; copy++)
            cr_assert_eq(sim_flip(&world->sim, file_0, at + copy * WAL_FILE_HEAD_COPY, 2), 0);
        cr_assert_eq(world_try_open(world), -EUCLEAN, "byte %lu", (unsigned long)at);
        for (uint64_t copy = 0; copy < 2; copy++)
            cr_assert_eq(sim_flip(&world->sim, file_0, at + copy * WAL_FILE_HEAD_COPY, 2), 0);
    }
    world_open(world);
    cr_assert_eq(world->replayed_count, 3);
    world_destroy(world);
}

/* An older file of the same number: of a history that is dead. */
TEST(wal_damage, of_two_files_of_one_number_the_newer_counts)
{
    for (int order = 0; order < 2; order++) {
        struct world *world = world_with(116, 3);
        struct world_image *image = world_save(world);
        uint8_t *older = mem_zalloc(1, WORLD_FILE_BYTES);
        memcpy(older, image->files[0], WORLD_FILE_BYTES);
        memset(older + WAL_BLOCK, 0, WORLD_FILE_BYTES - WAL_BLOCK);
        uint8_t *newer = image->files[0];
        for (size_t at = 0; at < WAL_BLOCK; at += WAL_FILE_HEAD_COPY) {
            le_put32(newer + at + 40, 7);
            le_put32(newer + at + 60, crc32c(0, newer + at, 60));
        }
        mem_free(image->files[1]);
        image->files[0] = order ? newer : older;
        image->files[1] = order ? older : newer;
        world_load(world, image);
        world_open(world);
        cr_assert_eq(world->replayed_count, 3);
        world_close(world);
        world_goes_on(world);
        world_image_free(image);
        world_destroy(world);
    }
}

/* A file that was being made, and one that is free and too short, are made anew before their turn.
 */
TEST(wal_damage, short_files_are_made_anew)
{
    struct world *world = world_long(117, true);
    world_open(world);
    world_checkpoint(world, wal_written(world->wal));
    world_close(world);
    uint8_t number[8];
    world_peek(world, file_1, 16, number, sizeof(number));
    cr_assert_eq(le_get64(number), 1, "is free");
    file_resize(world, file_1, 0, WORLD_FILE_BYTES / 2);
    file_resize(world, "/wal/0002.wal", DISK_CREATE, (uint64_t)3 * WAL_BLOCK);
    world_open(world);
    while (wal_stats(world->wal).wraps < 4) {
        int status = world_append(world);
        cr_assert(status == 0 || status == -EAGAIN);
        world_flush(world);
        wal_release(world->wal, wal_written(world->wal));
        if (wal_stats(world->wal).wraps == 3)
            world_checkpoint(world, wal_written(world->wal));
    }
    cr_assert_eq(wal_stats(world->wal).files_created, 3, "%lu",
        (unsigned long)wal_stats(world->wal).files_created);
    world_close(world);
    world_goes_on(world);
    world_destroy(world);
}

static struct disk_table changed_table;
static int (*real_read)(
    struct disk_file *file, uint64_t position, void *to, size_t len, size_t *ret_len);
static int failing_read(
    struct disk_file *file, uint64_t position, void *to, size_t len, size_t *ret_len)
{
    return len > 2 * WAL_BLOCK ? -EIO : real_read(file, position, to, len, ret_len);
}

TEST(wal_damage, what_can_not_be_read_is_an_error_or_accepted_loss)
{
    struct world *world = world_with(118, 3);
    const struct disk_table *table = world->sim.disk.table;
    changed_table = *table;
    real_read = table->read;
    changed_table.read = failing_read;
    world->sim.disk.table = &changed_table;
    cr_assert_eq(world_try_open(world), -EIO);
    world->config.accept_loss = true;
    world->promised = world->promised_durable = 0;
    world_open(world);
    cr_assert(world->found.lost);
    cr_assert_eq(world->replayed_count, 0);
    world->sim.disk.table = table;
    world_destroy(world);
}

/* A full disk took a part of the header's block, and nothing was ever written behind it. */
TEST(wal_damage, a_first_file_with_a_part_of_its_header_is_a_new_log)
{
    struct world *world = world_create(119);
    uint8_t block[WAL_BLOCK] = { 'M', 'W' };
    world_open(world);
    world_close(world);
    world_poke(world, file_0, 0, block, sizeof(block));
    cr_assert_eq(world_try_open(world), 0);
    cr_assert_not(world->found.lost);
    (void)world_append_durable(world);
    world_close(world);
    world_goes_on(world);
    world_destroy(world);
}

/* The beginning of the only file is lost, and so it looks as if nothing had ever been written. */
TEST(wal_damage, a_log_without_its_beginning_is_no_new_log)
{
    struct world *world = world_with(120, 9);
    uint8_t *zeros = mem_zalloc(1, (size_t)4 * WAL_BLOCK);
    world_poke(world, file_0, 0, zeros, (size_t)4 * WAL_BLOCK);
    mem_free(zeros);
    cr_assert_eq(world_try_open(world), -EUCLEAN);
    world->config.accept_loss = true;
    world->promised = world->promised_durable = 0;
    world_open(world);
    cr_assert(world->found.lost);
    world_close(world);
    world->config.accept_loss = false;
    world_goes_on(world);
    world_destroy(world);
}

/* The same of the newest of several, when the one before is full to the last byte. */
TEST(wal_damage, a_newest_file_without_its_beginning_is_damage)
{
    struct world *world = world_long(121, true);
    uint8_t *zeros = mem_zalloc(1, (size_t)4 * WAL_BLOCK);
    world_poke(world, file_0, 0, zeros, (size_t)4 * WAL_BLOCK); /* number 2 */
    mem_free(zeros);
    cr_assert_eq(world_try_open(world), -EUCLEAN);
    world_destroy(world);
}

/* ... and behind a damaged payload, which the walk passes. */
TEST(wal_damage, a_newest_file_without_its_beginning_is_damage_behind_damage)
{
    struct world *world = world_long(123, true);
    size_t victim = 0;
    while (world->groups[victim].lsn < world->from ||
           world->groups[victim].end - world->groups[victim].lsn < 256)
        victim++;
    cr_assert_lt(world->groups[victim].end, (uint64_t)2 * WORLD_FILE_BYTES - WAL_BLOCK);
    cr_assert_eq(
        sim_flip(&world->sim, file_1, world->groups[victim].lsn % WORLD_FILE_BYTES + 64, 1), 0);
    uint8_t *zeros = mem_zalloc(1, (size_t)4 * WAL_BLOCK);
    world_poke(world, file_0, 0, zeros, (size_t)4 * WAL_BLOCK); /* number 2 */
    mem_free(zeros);
    cr_assert_eq(world_try_open(world), -EUCLEAN);
    world_destroy(world);
}

/* Refused; when it is accepted the store takes a checkpoint above it, and all is well again. */
static void loss_is_accepted_once(struct world *world)
{
    cr_assert_eq(world_try_open(world), -EUCLEAN);
    world->config.accept_loss = true;
    world->promised = world->promised_durable = 0;
    cr_assert_eq(world_try_open(world), 0);
    cr_assert(world->found.lost);
    world->group_count = 0;
    world_checkpoint(world, world_append_durable(world));
    world_close(world);
    world->config.accept_loss = false;
    world_open(world);
    cr_assert_not(world->found.lost);
    cr_assert_eq(world->replayed_count, 0);
    (void)world_append_durable(world);
    world_close(world);
    world_open(world);
    cr_assert_eq(world->replayed_count, 1);
    world_close(world);
    world_goes_on(world);
}

/* The first write of the newest file's turn was lost: its header is the one of the turn before, and
 * only records far behind tell what it is. */
TEST(wal_damage, a_newest_file_with_its_old_beginning_is_damage)
{
    struct world *old = world_with(124, 3);
    struct world_image *first = world_save(old);
    struct world *world = world_long(124, true);
    uint8_t number[8];
    world_peek(world, file_0, 16, number, sizeof(number));
    cr_assert_eq(le_get64(number), 2);
    /* The same seed: the same directory, the same records. */
    world_poke(world, file_0, 0, first->files[0], (size_t)3 * WAL_BLOCK);
    loss_is_accepted_once(world);
    world_image_free(first);
    world_destroy(old);
    world_destroy(world);
}

/* The beginning of the file before went astray and hit the file of the checkpoint, and the walk
 * stops below it. */
TEST(wal_damage, what_a_misdirected_beginning_hides_is_damage)
{
    struct world *world = world_long(125, true);
    world_open(world);
    uint64_t written = wal_written(world->wal);
    world_checkpoint(world, (uint64_t)2 * WORLD_FILE_BYTES + WAL_BLOCK);
    world_close(world);
    world->from = (uint64_t)2 * WORLD_FILE_BYTES; /* as if no more had been written back */
    cr_assert_gt(written, world->from + 4 * WAL_BLOCK);
    struct world_image *image = world_save(world);
    world_poke(world, file_0, 0, image->files[1], (size_t)2 * WAL_BLOCK);
    loss_is_accepted_once(world);
    world_image_free(image);
    world_destroy(world);
}

/* Below the checkpoint a header is damaged, above it all groups are; what lies between them tells.
 */
TEST(wal_damage, a_position_above_the_checkpoint_is_told_by_what_is_left)
{
    struct world *world = world_long(126, true);
    uint8_t zeros[WAL_HEAD_SIZE] = { 0 };
    size_t i = 0, gone = 0;
    while (world->groups[i].lsn < WORLD_FILE_BYTES)
        i++;
    world_poke(world, file_1, world->groups[i + 1].lsn % WORLD_FILE_BYTES, zeros, sizeof(zeros));
    for (; i < world->group_count; i++) {
        uint64_t lsn = world->groups[i].lsn;
        for (; lsn >= world->from && lsn < world->groups[i].end; lsn += WAL_HEAD_SIZE, gone++)
            world_poke(world, lsn / WORLD_FILE_BYTES == 1 ? file_1 : file_0, lsn % WORLD_FILE_BYTES,
                zeros, sizeof(zeros));
    }
    cr_assert_gt(gone, 10);
    loss_is_accepted_once(world);
    world_destroy(world);
}

/* A header went astray: the file that it hit holds nothing behind it, the other one all. */
TEST(wal_damage, a_copied_header_does_not_take_the_place_of_its_file)
{
    struct world *world = world_long(127, true);
    uint8_t block[WAL_BLOCK];
    world_peek(world, file_1, 0, block, sizeof(block));
    world_poke(world, file_0, 0, block, sizeof(block));
    cr_assert_eq(world_try_open(world), -EUCLEAN);
    world->config.accept_loss = true;
    world->promised = world->promised_durable = 0;
    world_open(world);
    cr_assert_gt(world->replayed_count, 3);
    world_destroy(world);
}

static struct wal_format format_of(struct world *world)
{
    uint8_t id[8];
    world_peek(world, file_0, 24, id, sizeof(id));
    return (struct wal_format){ .directory_id = le_get64(id), .file_bytes = WORLD_FILE_BYTES };
}

/* With a right checksum: it says that it is one record of a group, and so long that all that tells
 * of what was durable lies inside of it. */
TEST(wal_damage, a_record_that_swallows_the_rest_hides_nothing)
{
    struct world *world = world_with(128, 8);
    struct wal_format format = format_of(world);
    uint64_t lsn = world->groups[2].lsn, end = world->groups[7].end + 4 * WAL_BLOCK;
    cr_assert_lt(end, WORLD_FILE_BYTES);
    uint8_t head[WAL_HEAD_SIZE], *payload = mem_zalloc(1, WORLD_FILE_BYTES);
    struct wal_record record;
    world_peek(world, file_0, lsn, head, sizeof(head));
    cr_assert(wal_record_decode(head, &record, &format));
    record.flags = WAL_MORE;
    record.len = record.checked_len = (uint32_t)(end - lsn - WAL_HEAD_SIZE);
    world_peek(world, file_0, lsn + WAL_HEAD_SIZE, payload, record.len);
    record.payload_crc = crc32c(0, payload, record.len);
    wal_record_encode(head, &record, &format);
    world_poke(world, file_0, lsn, head, sizeof(head));
    mem_free(payload);
    loss_is_accepted_once(world);
    world_destroy(world);
}

/* Behind a greater one no file could be begun that the next start can read. */
TEST(wal_damage, a_position_that_no_log_reaches_is_refused)
{
    struct world *world = world_with(129, 8);
    struct wal_format format = format_of(world);
    uint64_t at = world->groups[7].end + 4 * WAL_BLOCK;
    uint8_t head[WAL_HEAD_SIZE];
    struct wal_record record = { .lsn =
                                     (UINT64_MAX >> 1) / WORLD_FILE_BYTES * WORLD_FILE_BYTES + at,
        .durable_lsn = (uint64_t)1 << 60,
        .incarnation = 9,
        .type = WAL_USER };
    wal_record_encode(head, &record, &format);
    world_poke(world, file_0, at, head, sizeof(head));
    world->config.accept_loss = true;
    cr_assert_eq(world_try_open(world), -EUCLEAN);
    record.lsn = WORLD_FILE_BYTES + at; /* fits, but there is no life after the last one */
    record.incarnation = UINT32_MAX;
    record.durable_lsn = 0;
    wal_record_encode(head, &record, &format);
    world_poke(world, file_0, at, head, sizeof(head));
    cr_assert_eq(world_try_open(world), -EUCLEAN);
    world_destroy(world);
}

/* A later life began the file again, and its first record is torn. */
TEST(wal_damage, what_a_file_held_before_it_was_begun_again_tells_nothing)
{
    struct world *world = world_with(130, 8);
    uint8_t blocks[2 * WAL_BLOCK] = { 0 };
    world_peek(world, file_0, 0, blocks, WAL_BLOCK);
    for (size_t at = 0; at < WAL_BLOCK; at += WAL_FILE_HEAD_COPY) {
        le_put32(blocks + at + 40, 7);
        le_put32(blocks + at + 60, crc32c(0, blocks + at, 60));
    }
    world_poke(world, file_0, 0, blocks, sizeof(blocks));
    world->promised = world->promised_durable = 0;
    world_open(world);
    cr_assert_not(world->found.lost);
    cr_assert_eq(world->replayed_count, 0);
    world_close(world);
    world_goes_on(world);
    world_destroy(world);
}

/* A file that an earlier life made, did not use, and of which only the end is not zeros any more.
 */
TEST(wal_damage, a_made_file_is_looked_through_before_its_turn)
{
    struct world *world = world_with(122, 2);
    file_resize(world, file_1, DISK_CREATE, WORLD_FILE_BYTES);
    uint8_t junk[WAL_BLOCK];
    memset(junk, 0x5a, sizeof(junk));
    world_poke(world, file_1, (uint64_t)10 * WAL_BLOCK, junk, sizeof(junk));
    world_open(world);
    uint64_t syncs = world->sim.counts.syncs;
    for (int i = 0; i < 3; i++)
        (void)world_append_durable(world);
    cr_assert_eq(wal_stats(world->wal).files_created, 1);
    cr_assert_eq(world->sim.counts.syncs, syncs + 1, "it was written anew");
    world_close(world);
    world_peek(world, file_1, (uint64_t)10 * WAL_BLOCK, junk, sizeof(junk));
    for (size_t i = 0; i < sizeof(junk); i++)
        cr_assert_eq(junk[i], 0);
    world_open(world);
    syncs = world->sim.counts.syncs;
    (void)world_append_durable(world);
    cr_assert_eq(wal_stats(world->wal).files_created, 1);
    cr_assert_eq(world->sim.counts.syncs, syncs, "it was good as it was");
    world_destroy(world);
}
