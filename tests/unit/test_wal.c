/*
 * The write-ahead log: what is told written or durable is there after the end of a life, whole
 * groups only, and nothing else comes back. The world (wal_world.h) checks every replay.
 */
#include "storage/wal.h"

#include <errno.h>
#include <string.h>

#include "protocol/base/mem.h"
#include "storage/wal_format.h"
#include "tests/test.h"
#include "tests/unit/wal_world.h"

static const char file_0[] = "/wal/0000.wal";

/* ---- the plain way ---- */

TEST(wal, a_new_log_is_empty_and_small_to_open)
{
    struct world *world = world_create(1);
    world_open(world);
    cr_assert_eq(world->found.records, 0);
    cr_assert_eq(world->found.torn_lsn, WAL_BLOCK);
    cr_assert_eq(wal_appended(world->wal), WAL_BLOCK);
    cr_assert_leq(world->sim.counts.writes, 1, "the first file is not written, only its header");
    world_close(world);
    world_open(world);
    cr_assert_eq(wal_appended(world->wal), WAL_BLOCK);
    world_destroy(world);
}

TEST(wal, appended_then_written_then_durable)
{
    struct world *world = world_create(2);
    world_open(world);
    uint64_t start = wal_appended(world->wal);
    cr_assert_eq(world_append(world), 0);
    uint64_t end = world->groups[0].end;
    cr_assert_eq(wal_appended(world->wal), end);
    cr_assert_eq(wal_written(world->wal), start);
    world_run(world);
    cr_assert_geq(wal_written(world->wal), end);
    cr_assert_eq(wal_durable(world->wal), start, "nobody wanted it durable");
    cr_assert_eq(world->moved, 1);
    wal_want_durable(world->wal, end);
    world_run(world);
    cr_assert_geq(wal_durable(world->wal), end);
    cr_assert_eq(world->moved, 2);
    struct wal_stats stats = wal_stats(world->wal);
    cr_assert_eq(stats.syncs, 1);
    cr_assert_eq(stats.durable_writes, 0);
    world_append_durable(world);
    stats = wal_stats(world->wal);
    cr_assert_eq(stats.syncs, 1, "nothing earlier was unflushed: one durable write");
    cr_assert_eq(stats.durable_writes, 1);
    world_power(world);
    world_open(world);
    cr_assert_eq(world->replayed_count, 2);
    world_destroy(world);
}

TEST(wal, a_durable_write_promises_nothing_of_earlier_plain_ones)
{
    for (uint64_t seed = 0; seed < 30; seed++) {
        struct world *world = world_create(seed);
        world->sim.faults.fua = true;
        world_open(world);
        cr_assert_eq(world_append(world), 0);
        world_run(world);
        world_append_durable(world);
        world_power(world);
        world_open(world); /* checks */
        cr_assert_eq(world->replayed_count, 2);
        world_destroy(world);
    }
}

TEST(wal, what_arrives_during_a_write_is_the_next_write)
{
    struct world *world = world_create(3);
    world_open(world);
    cr_assert_eq(world_append(world), 0);
    wal_turn(world->wal);
    for (int i = 0; i < 10; i++) {
        cr_assert_eq(world_append(world), 0);
        wal_turn(world->wal);
    }
    cr_assert_eq(wal_stats(world->wal).writes, 1);
    world_run(world);
    cr_assert_eq(wal_stats(world->wal).writes, 2);
    world_kill(world);
    world_open(world);
    cr_assert_eq(world->replayed_count, 11);
    world_destroy(world);
}

TEST(wal, wraps_many_times)
{
    struct world *world = world_create(4);
    world_open(world);
    for (int i = 0; i < 3000; i++) {
        for (int k = i % 30; k > 0; k--)
            (void)world_append(world); /* the ring may be full */
        world_run(world);
        world_append_durable(world);
        world_check_ring(world);
        if (i % 100 == 99)
            world_check_files(world);
        if (i % 3 == 0)
            world_checkpoint(world, wal_durable(world->wal));
        if (i % 500 == 250) {
            world_power(world);
            world_open(world);
        }
    }
    cr_assert_gt(wal_appended(world->wal) / WORLD_FILE_BYTES, 50);
    struct wal_stats stats = wal_stats(world->wal);
    cr_assert_gt(stats.wraps, 10);
    cr_assert_gt(stats.files_recycled, 10);
    world_check_files(world);
    world_destroy(world);
}

TEST(wal, a_group_of_the_greatest_size_fits_and_one_above_does_not)
{
    struct world *world = world_create(5);
    world_open(world);
    size_t max = wal_group_max(world->wal);
    cr_assert_eq(max, WORLD_FILE_BYTES / 8 * 3 - 2 * WAL_BLOCK);
    cr_assert_eq(wal_begin(world->wal, max + 64), -EMSGSIZE);
    for (int i = 0; i < 40; i++) {
        int status = wal_begin(world->wal, max);
        if (status == -EAGAIN) {
            world_run(world); /* makes the next file */
            wal_release(world->wal, wal_written(world->wal));
            wal_recycle(world->wal, wal_written(world->wal));
            status = wal_begin(world->wal, max);
        }
        cr_assert_eq(status, 0, "round %d: %d", i, status);
        struct wal_head head = { .type = WAL_USER, .len = (uint32_t)max - 64 };
        uint64_t lsn;
        memset(wal_add(world->wal, &head, &lsn), i, head.len);
        uint64_t end = wal_end(world->wal);
        cr_assert_eq(lsn / WORLD_FILE_BYTES, (end - 1) / WORLD_FILE_BYTES, "crosses a file's end");
        wal_want_durable(world->wal, end);
        world_run(world);
        cr_assert_geq(wal_durable(world->wal), end);
    }
    world_destroy(world);
}

/* ---- limits ---- */

TEST(wal, a_full_ring_says_so_and_then_tells_of_space)
{
    struct world *world = world_create(6);
    world_open(world);
    int status;
    uint64_t rounds = 0;
    while ((status = world_append(world)) == 0 || world->space == 0) {
        cr_assert_lt(rounds++, 5000);
        if (status == 0) {
            wal_want_durable(world->wal, wal_appended(world->wal));
            world_run(world);
            continue;
        }
        cr_assert_eq(status, -EAGAIN);
        world_run(world);
        if (world->space)
            break; /* the next file was made */
        cr_assert_geq(wal_appended(world->wal) - wal_released(world->wal), WORLD_FILE_BYTES / 2);
        wal_release(world->wal, wal_written(world->wal));
    }
    unsigned before = world->space;
    /* Now with a next file: only the ring is the limit. */
    for (;;) {
        status = world_append(world);
        if (status < 0)
            break;
        world_run(world);
    }
    cr_assert_eq(status, -EAGAIN);
    world_run(world);
    world_check_ring(world);
    cr_assert_eq(world->space, before, "nothing was released");
    cr_assert_eq(world_append(world), -EAGAIN);
    wal_release(world->wal, wal_written(world->wal));
    wal_release(world->wal, 0);
    cr_assert_eq(wal_released(world->wal), wal_written(world->wal), "it only moves up");
    world_run(world);
    cr_assert_eq(world->space, before + 1);
    cr_assert_eq(world_append(world), 0);
    world_destroy(world);
}

TEST(wal, a_full_ring_keeps_what_is_not_released)
{
    for (uint64_t seed = 200; seed < 210; seed++) {
        struct world *world = world_create(seed);
        world_open(world);
        world->next_number = seed * 100;
        for (int i = 0; i < 2000; i++) {
            if (world_append(world) < 0) {
                world_flush(world);
                world_check_ring(world);
                /* One group more is released, in the middle of a block. */
                size_t k = 0;
                while (world->groups[k].end <= wal_released(world->wal))
                    k++;
                wal_release(world->wal, world->groups[k].end);
                wal_recycle(world->wal, wal_released(world->wal));
            }
        }
        world_run(world);
        world_check_ring(world);
        world_check_files(world);
        world_destroy(world);
    }
}

TEST(wal, a_backlog_is_several_writes)
{
    struct world *world = world_create(15);
    world_open(world);
    while (wal_appended(world->wal) < WORLD_FILE_BYTES - 16 * 1024)
        cr_assert_eq(world_append(world), 0);
    wal_want_durable(world->wal, wal_appended(world->wal));
    uint64_t before = wal_written(world->wal);
    unsigned steps = 0;
    while (wal_durable(world->wal) < world->groups[world->group_count - 1].end) {
        wal_turn(world->wal);
        cr_assert(sim_step(&world->sim));
        cr_assert_lt(wal_written(world->wal) - before, WORLD_FILE_BYTES / 2);
        before = wal_written(world->wal);
        steps++;
    }
    cr_assert_geq(wal_stats(world->wal).writes, 3);
    cr_assert_eq(wal_stats(world->wal).durable_writes, wal_stats(world->wal).writes);
    world_power(world);
    world_open(world);
    world_destroy(world);
}

TEST(wal, one_process_at_a_time)
{
    struct world *world = world_create(16);
    world_open(world);
    struct wal *first = world->wal;
    world->wal = NULL;
    cr_assert_eq(world_try_open(world), -EBUSY);
    wal_destroy(first);
    world_open(world);
    world_destroy(world);
}

TEST(wal, without_recycling_the_files_are_the_limit)
{
    struct world *world = world_create(7);
    world_open(world);
    int status;
    for (;;) {
        status = world_append(world);
        world_run(world);
        wal_release(world->wal, wal_written(world->wal));
        if (status < 0 && wal_stats(world->wal).files_created == 3 && world_append(world) < 0)
            break;
    }
    cr_assert_eq(status, -EAGAIN);
    cr_assert_geq(wal_appended(world->wal), 3 * WORLD_FILE_BYTES);
    cr_assert_gt(world->pressure, 0);
    unsigned before = world->space;
    world_flush(world);
    cr_assert_eq(world->space, before);
    world_checkpoint(world, WORLD_FILE_BYTES);
    world_run(world);
    cr_assert_eq(world->space, before, "the first file's last group is not checkpointed");
    world_checkpoint(world, wal_written(world->wal));
    world_run(world);
    cr_assert_eq(world->space, before + 1);
    cr_assert_eq(world_append(world), 0);
    world_kill(world);
    world_open(world);
    world_destroy(world);
}

TEST(wal, a_full_disk_is_no_failure)
{
    struct world *world = world_create(8);
    world_open(world);
    world->sim.faults.capacity = WORLD_FILE_BYTES + 4096;
    int status;
    while ((status = world_append(world)) == 0) {
        world_run(world);
        wal_release(world->wal, wal_written(world->wal));
    }
    for (int i = 0; i < 3 && status == -EAGAIN; i++) {
        for (int k = 0; k < 10; k++) {
            wal_turn(world->wal);
            (void)sim_step(&world->sim);
        }
        status = world_append(world);
    }
    cr_assert_eq(status, -ENOSPC);
    cr_assert_eq(world->failed, 0);
    cr_assert_eq(world->space, 0);
    struct world_image *image = world_save_open(world);
    cr_assert_not_null(image->files[1]);
    uint8_t byte;
    size_t len = 1;
    struct disk_file *file;
    const struct disk_table *disk = world->sim.disk.table;
    cr_assert_eq(disk->open(&world->sim.disk, "/wal/0001.wal", DISK_READ, &file), 0);
    cr_assert_eq(disk->read(file, 0, &byte, 1, &len), 0);
    cr_assert_eq(len, 0, "what could not be made gives its space back");
    disk->close(file);
    world_image_free(image);
    world->sim.faults.capacity = 0;
    for (int i = 0; i < 4; i++)
        world_run(world); /* half a second each; it is tried each second */
    cr_assert_eq(world->space, 1);
    cr_assert_eq(world_append(world), 0);
    world_append_durable(world);
    world_power(world);
    world_open(world);
    world_destroy(world);
}

/* ---- wishes ---- */

TEST(wal, the_interval_is_kept_by_time_and_by_bytes)
{
    struct world *world = world_create(9);
    world_open(world);
    cr_assert_eq(world_append(world), 0);
    uint64_t end = world->groups[0].end;
    wal_want_interval(world->wal, end);
    int64_t began = world->sim.now_ns;
    sim_run_until(&world->sim, began + 1);
    wal_turn(world->wal);
    sim_run_until(&world->sim, began + 49 * CLOCK_NS_PER_MS);
    wal_turn(world->wal);
    cr_assert_geq(wal_written(world->wal), end);
    cr_assert_lt(wal_durable(world->wal), end);
    sim_run_until(&world->sim, began + 52 * CLOCK_NS_PER_MS);
    cr_assert_geq(wal_durable(world->wal), end);
    /* By bytes: no time passes beyond the writes. */
    began = world->sim.now_ns;
    uint64_t from = wal_durable(world->wal);
    while (wal_durable(world->wal) == from) {
        cr_assert_eq(world_append(world), 0);
        wal_want_interval(world->wal, wal_appended(world->wal));
        wal_turn(world->wal);
        while (!wal_idle(world->wal) && sim_step(&world->sim))
            wal_turn(world->wal);
        wal_release(world->wal, wal_written(world->wal));
        cr_assert_lt(wal_written(world->wal) - from, 3 * world->config.interval_bytes);
        if (world->sim.now_ns > began + 40 * CLOCK_NS_PER_MS)
            cr_skip_test("the writes took longer than the interval");
    }
    world_destroy(world);
}

TEST(wal, a_sync_is_not_starved_by_a_stream_of_writes)
{
    struct world *world = world_create(10);
    world_open(world);
    cr_assert_eq(world_append(world), 0);
    world_run(world);
    uint64_t end = world->groups[0].end;
    wal_want_durable(world->wal, end);
    for (int i = 0; i < 6; i++) {
        cr_assert_eq(world_append(world), 0);
        wal_turn(world->wal);
        (void)sim_step(&world->sim);
    }
    cr_assert_geq(wal_durable(world->wal), end);
    world_destroy(world);
}

TEST(wal, an_idle_log_marks_what_is_durable)
{
    struct world *world = world_create(11);
    world->config.idle_mark_ns = 5 * CLOCK_NS_PER_MS;
    world_open(world);
    uint64_t end = world_append_durable(world); /* runs until the mark is made, too */
    cr_assert_eq(wal_stats(world->wal).marks, 1);
    world_run(world);
    cr_assert_eq(wal_stats(world->wal).marks, 1, "one is enough");
    world_close(world);
    world_open(world);
    cr_assert_geq(world->found.durable_lsn, end);
    world_run(world);
    cr_assert_eq(wal_stats(world->wal).marks, 0);
    /* Damage to the last group is now known to be damage. */
    uint64_t lsn = world->groups[0].lsn;
    world_close(world);
    cr_assert_eq(sim_flip(&world->sim, file_0, lsn + 8, 1), 0);
    cr_assert_eq(world_try_open(world), -EUCLEAN);
    world_destroy(world);
}

TEST(wal, a_clean_stop_marks_at_once)
{
    struct world *world = world_create(12);
    world_open(world);
    cr_assert_eq(wal_mark(world->wal), wal_durable(world->wal), "nothing to tell");
    uint64_t end = world_append_durable(world);
    uint64_t mark = wal_mark(world->wal);
    cr_assert_gt(mark, end);
    world_run(world);
    cr_assert_geq(wal_durable(world->wal), mark);
    world_close(world);
    world_open(world);
    cr_assert_geq(world->found.durable_lsn, end);
    world_destroy(world);
}

/* ---- failures ---- */

TEST(wal, any_write_or_sync_error_is_the_end)
{
    for (int kind = 0; kind < 2; kind++) {
        struct world *world = world_create(13);
        world_open(world);
        world_append_durable(world);
        uint64_t durable = wal_durable(world->wal);
        cr_assert_eq(world_append(world), 0);
        world_run(world);
        if (kind == 0)
            world->sim.faults.write_error = 10000;
        else
            world->sim.faults.sync_error = 10000;
        cr_assert_eq(world_append(world), 0);
        unsigned moved = world->moved;
        uint64_t written = wal_written(world->wal);
        wal_want_durable(world->wal, wal_appended(world->wal));
        for (int i = 0; i < 10; i++)
            world_run(world);
        cr_assert_eq(world->failed, 1);
        cr_assert_eq(world->failed_status, -EIO);
        cr_assert_eq(wal_durable(world->wal), durable);
        if (kind == 0)
            cr_assert_eq(wal_written(world->wal), written);
        cr_assert_eq(world->moved, moved + (unsigned)kind, "only the write before the sync");
        cr_assert_eq(world_append(world), -EIO);
        world->sim.faults.write_error = world->sim.faults.sync_error = 0;
        world_run(world);
        cr_assert_eq(wal_durable(world->wal), durable, "a sync is never tried again");
        world_power(world);
        world_open(world);
        world_destroy(world);
    }
}

static struct disk_table changed_table;
static int failing_sync_dir(struct disk *disk, const char *path)
{
    (void)disk;
    (void)path;
    return -EIO;
}

TEST(wal, a_failed_sync_of_the_directory_is_the_end)
{
    struct world *world = world_create(17);
    world_open(world);
    changed_table = *world->sim.disk.table;
    changed_table.sync_dir = failing_sync_dir;
    world->sim.disk.table = &changed_table;
    for (int i = 0; i < 100 && !world->failed; i++) {
        int status = world_append(world);
        cr_assert(status == 0 || status == -EIO);
        world_run(world);
        if (!world->failed)
            wal_release(world->wal, wal_written(world->wal));
    }
    cr_assert_eq(world->failed, 1);
    cr_assert_eq(world_append(world), -EIO);
    world_destroy(world);
}

TEST(wal, errors_while_opening_are_errors)
{
    int64_t calls = 0;
    for (int64_t fail_at = 0;; fail_at++) {
        struct world *world = world_create(14);
        world_open(world);
        for (int i = 0; i < 40; i++)
            world_append_durable(world);
        world_power(world);
        world->sim.crash_after = fail_at;
        int status = world_try_open(world);
        if (status == 0) {
            calls = fail_at;
            world_destroy(world);
            break;
        }
        cr_assert_eq(status, -EIO);
        cr_assert_null(world->wal);
        sim_power(&world->sim);
        sim_restart(&world->sim);
        world_open(world); /* what was promised is still there */
        cr_assert_eq(world->replayed_count, 40);
        world_destroy(world);
    }
    cr_assert_gt(calls, 5);
}

static bool death_in_the_first_open(int64_t fail_at, uint64_t seed, bool power)
{
    struct world *world = world_create(seed);
    world->sim.faults.fua = true;
    world->sim.crash_after = fail_at;
    bool over = world_try_open(world) == 0;
    if (!over) {
        if (power)
            sim_power(&world->sim);
        else
            sim_kill(&world->sim);
        sim_restart(&world->sim);
        world_open(world);
    }
    /* The power goes as soon as it is durable: before the next file is made. */
    cr_assert_eq(world_append(world), 0);
    wal_want_durable(world->wal, wal_appended(world->wal));
    wal_turn(world->wal);
    while (wal_durable(world->wal) < world->groups[0].end)
        cr_assert(sim_step(&world->sim));
    world_power(world);
    world_open(world);
    cr_assert_eq(world->replayed_count, 1);
    world_destroy(world);
    return over;
}

TEST(wal, a_death_in_the_first_open_leaves_no_trap)
{
    int64_t fail_at = 0;
    bool over = false;
    while (!over) {
        for (uint64_t seed = 0; seed < 16; seed++)
            over = death_in_the_first_open(fail_at, seed, seed % 2);
        fail_at++;
    }
    cr_assert_gt(fail_at, 6);
}

/* ---- many lives ---- */

static void live(struct world *world, struct random *random)
{
    int steps = (int)random_below(random, 120);
    for (int i = 0; i < steps; i++) {
        for (uint64_t k = random_below(random, 4); k > 0; k--) {
            if (world_append(world) < 0)
                break;
            uint64_t end = wal_appended(world->wal);
            if (random_chance(random, 1, 3))
                wal_want_durable(world->wal, end);
            else if (random_chance(random, 1, 2))
                wal_want_interval(world->wal, end);
        }
        wal_turn(world->wal);
        for (uint64_t k = random_below(random, 4); k > 0; k--)
            (void)sim_step(&world->sim);
        if (random_chance(random, 1, 3))
            wal_release(world->wal, wal_written(world->wal));
        if (random_chance(random, 1, 15))
            world_checkpoint(world, wal_written(world->wal));
    }
}

TEST(wal, many_lives_lose_nothing_promised)
{
    uint64_t torn = 0, replayed = 0;
    for (uint64_t seed = 0; seed < 150; seed++) {
        struct world *world = world_create(seed);
        struct random random = random_seeded(seed + 999);
        world->sim.faults.fua = random_chance(&random, 1, 2);
        world->config.files_max = 2 + (uint32_t)random_below(&random, 4);
        world->config.idle_mark_ns = random_chance(&random, 1, 2) ? 100000 : 0;
        world_open(world);
        for (int life = 0; life < 12; life++) {
            live(world, &random);
            size_t groups = world->group_count;
            if (random_chance(&random, 1, 3))
                world_kill(world);
            else
                world_power(world);
            /* Often the next life ends during its recovery, or before it wrote much. */
            while (random_chance(&random, 1, 3))
                world_die_opening(
                    world, (int64_t)random_below(&random, 30), random_chance(&random, 1, 2));
            world_open(world);
            torn += world->group_count < groups;
            replayed += world->replayed_count;
        }
        world_destroy(world);
    }
    cr_assert_gt(torn, 100, "the lives ended too quietly: %lu", (unsigned long)torn);
    cr_assert_gt(replayed, 10000);
}

TEST(wal, an_interval_is_not_put_off_by_later_writes)
{
    struct world *world = world_create(61);
    const int64_t step_ns = 20 * CLOCK_NS_PER_MS;
    world->config.interval_ns = 50 * CLOCK_NS_PER_MS;
    world->config.interval_bytes = UINT64_MAX;
    world_open(world);
    for (int i = 0; i < 30; i++) {
        cr_assert_eq(world_append(world), 0);
        wal_want_interval(world->wal, wal_appended(world->wal));
        wal_turn(world->wal);
        int64_t until_ns = world->sim.now_ns + step_ns;
        while (sim_next_ns(&world->sim) <= until_ns) {
            (void)sim_step(&world->sim);
            wal_turn(world->wal);
        }
        world->sim.now_ns = until_ns;
        wal_release(world->wal, wal_written(world->wal));
    }
    cr_assert_geq(wal_stats(world->wal).syncs + wal_stats(world->wal).durable_writes, 9);
    world_destroy(world);
}
