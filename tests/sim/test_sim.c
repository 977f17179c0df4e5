/* The simulated disk keeps what it promises and loses what it may: see sim.h. */
#include "tests/sim/sim.h"
#include "tests/test.h"

#include <errno.h>
#include <string.h>

enum { SIZE = 4096, ROUNDS = 40 };

/* Of every side (disk.h): a file begins with its disk. */
struct disk_file {
    struct disk *disk;
};

static struct disk_file *open_file(struct sim *sim, const char *path, int flags)
{
    struct disk_file *file = NULL;
    cr_assert_eq(sim->disk.table->open(&sim->disk, path, flags, &file), 0);
    return file;
}

static void fill(struct disk_file *file, uint8_t byte)
{
    uint8_t data[SIZE];
    memset(data, byte, sizeof(data));
    struct iovec iov = { data, sizeof(data) };
    cr_assert_eq(file->disk->table->writev(file, 0, &iov, 1), 0);
}

static size_t count_bytes(struct sim *sim, const char *path, uint8_t byte)
{
    struct disk_file *file = NULL;
    if (sim->disk.table->open(&sim->disk, path, DISK_READ, &file) < 0)
        return 0;
    uint8_t data[SIZE];
    size_t len = 0, count = 0;
    cr_assert_eq(sim->disk.table->read(file, 0, data, sizeof(data), &len), 0);
    for (size_t i = 0; i < len; i++)
        count += data[i] == byte;
    sim->disk.table->close(file);
    return count;
}

static void make_synced(struct sim *sim, uint8_t byte)
{
    cr_assert_eq(sim->disk.table->mkdir(&sim->disk, "/d"), 0);
    struct disk_file *file = open_file(sim, "/d/f", DISK_WRITE | DISK_CREATE);
    fill(file, byte);
    cr_assert_eq(sim->disk.table->sync(file), 0);
    cr_assert_eq(sim->disk.table->sync_dir(&sim->disk, "/"), 0);
    cr_assert_eq(sim->disk.table->sync_dir(&sim->disk, "/d"), 0);
    sim->disk.table->close(file);
}

TEST(sim, synced_bytes_survive_a_power_cut_and_unsynced_sectors_may_not)
{
    size_t mixed = 0;
    for (uint64_t seed = 0; seed < ROUNDS; seed++) {
        struct sim sim;
        sim_init(&sim, seed);
        make_synced(&sim, 'a');
        struct disk_file *file = open_file(&sim, "/d/f", DISK_WRITE);
        fill(file, 'b');
        sim_power(&sim);
        sim.disk.table->close(file);
        sim_restart(&sim);
        size_t old = count_bytes(&sim, "/d/f", 'a'), new = count_bytes(&sim, "/d/f", 'b');
        cr_assert_eq(old + new, SIZE, "a sector is old or new");
        mixed += old && new;
        sim_done(&sim);
    }
    cr_assert_gt(mixed, ROUNDS / 2);
}

TEST(sim, a_kill_keeps_what_was_written)
{
    struct sim sim;
    sim_init(&sim, 7);
    cr_assert_eq(sim.disk.table->mkdir(&sim.disk, "/d"), 0);
    struct disk_file *file = open_file(&sim, "/d/f", DISK_WRITE | DISK_CREATE);
    fill(file, 'x');
    sim_kill(&sim);
    size_t len;
    cr_assert_eq(sim.disk.table->read(file, 0, &(char){ 0 }, 1, &len), -EIO);
    sim.disk.table->close(file);
    sim_restart(&sim);
    cr_assert_eq(count_bytes(&sim, "/d/f", 'x'), SIZE);
    sim_done(&sim);
}

TEST(sim, a_name_without_sync_dir_may_be_lost)
{
    size_t lost = 0;
    for (uint64_t seed = 0; seed < ROUNDS; seed++) {
        struct sim sim;
        sim_init(&sim, seed);
        make_synced(&sim, 'a');
        struct disk_file *file = open_file(&sim, "/d/g", DISK_WRITE | DISK_CREATE);
        fill(file, 'g');
        cr_assert_eq(sim.disk.table->sync(file), 0);
        sim_power(&sim);
        sim.disk.table->close(file);
        sim_restart(&sim);
        lost += count_bytes(&sim, "/d/g", 'g') == 0;
        cr_assert_eq(count_bytes(&sim, "/d/f", 'a'), SIZE);
        sim_done(&sim);
    }
    cr_assert_gt(lost, 5);
    cr_assert_lt(lost, ROUNDS - 5);
}

struct async {
    struct disk_op op;
    int status;
    int calls;
};

static void async_done(struct disk_op *op, int status)
{
    struct async *async = container_of(op, struct async, op);
    async->status = status;
    async->calls++;
}

static void submit(struct sim *sim, struct async *async, struct disk_file *file,
    enum disk_op_kind kind, uint64_t position, void *data)
{
    *async = (struct async){ .op = { .kind = kind,
                                 .file = file,
                                 .position = position,
                                 .data = data,
                                 .len = SIZE,
                                 .done = async_done } };
    sim->disk.table->submit(&sim->disk, &async->op);
}

/* On a disk with FUA a durable write says nothing of earlier plain ones. */
static size_t lost_before_durable(bool fua)
{
    size_t lost = 0;
    for (uint64_t seed = 0; seed < ROUNDS; seed++) {
        struct sim sim;
        sim_init(&sim, seed);
        sim.faults.fua = fua;
        make_synced(&sim, 'a');
        struct disk_file *file = open_file(&sim, "/d/f", DISK_WRITE | DISK_DIRECT);
        uint8_t first[SIZE], second[SIZE];
        memset(first, 'b', SIZE);
        memset(second, 'c', SIZE);
        struct async a, b;
        submit(&sim, &a, file, DISK_OP_WRITE, 0, first);
        while (sim_step(&sim))
            continue;
        submit(&sim, &b, file, DISK_OP_WRITE_DURABLE, SIZE, second);
        while (sim_step(&sim))
            continue;
        cr_assert_eq(a.calls + b.calls, 2);
        cr_assert_eq(a.status | b.status, 0);
        sim_power(&sim);
        sim.disk.table->close(file);
        sim_restart(&sim);
        lost += count_bytes(&sim, "/d/f", 'b') != SIZE;
        sim_done(&sim);
    }
    return lost;
}

TEST(sim, fua_is_modelled)
{
    cr_assert_eq(lost_before_durable(false), 0);
    cr_assert_gt(lost_before_durable(true), ROUNDS / 2);
}

TEST(sim, the_same_seed_gives_the_same_trace)
{
    uint64_t hashes[3];
    for (int i = 0; i < 3; i++) {
        struct sim sim;
        sim_init(&sim, i == 2 ? 6 : 5);
        make_synced(&sim, 'a');
        struct disk_file *file = open_file(&sim, "/d/f", DISK_WRITE);
        uint8_t data[SIZE] = { 0 };
        struct async ops[4];
        for (int k = 0; k < 4; k++)
            submit(&sim, &ops[k], file, DISK_OP_WRITE, (uint64_t)k * SIZE, data);
        while (sim_step(&sim))
            continue;
        sim.disk.table->close(file);
        hashes[i] = sim_trace_hash(&sim);
        sim_done(&sim);
    }
    cr_assert_eq(hashes[0], hashes[1]);
    cr_assert_neq(hashes[0], hashes[2]);
}

TEST(sim, crash_after_counts_calls)
{
    struct sim sim;
    sim_init(&sim, 1);
    sim.crash_after = 1;
    cr_assert_eq(sim.disk.table->mkdir(&sim.disk, "/d"), 0);
    cr_assert_eq(sim.disk.table->mkdir(&sim.disk, "/e"), -EIO);
    cr_assert_eq(sim.dead, true);
    sim_kill(&sim);
    sim_restart(&sim);
    cr_assert_eq(sim.disk.table->mkdir(&sim.disk, "/e"), 0);
    sim_done(&sim);
}
