/* What only one check can see: bytes of the disk that no other checksum covers, changed between two
 * lives. Run by sim_mutants, too, which lets that check fall. */
#include <errno.h>
#include <string.h>

#include "protocol/base/bytes.h"
#include "protocol/base/mem.h"
#include "storage/slot.h"
#include "tests/test.h"
#include "tests/unit/storage_test.h"

/* ---- leader epochs: neither in a batch's checksum nor, while it is not sealed, in a hash ------
 */

enum { AT_EPOCH = 12 };
static const char segment[] = "t-0/00000000000000000000.log";

/* Three batches of one record each in an unsealed segment; the middle one's epoch is changed. */
static void epoch_changes(bool clean, const char epoch[4], int expected)
{
    struct storage_test test;
    storage_test_begin(&test);
    struct log *log = storage_test_topic(&test, "t", 1);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(storage_test_append(&test, log, 1, -1), 0);
    storage_test_pass(&test, 31000); /* a checkpoint: recovery does not write them again */
    cr_assert_eq(storage_stats(test.storage).checkpoints, 1);
    if (clean)
        cr_assert_eq(storage_test_close(&test), 0);
    else
        storage_test_crash(&test);
    size_t len;
    uint8_t *bytes = doors_test_file(&test.doors, segment, &len);
    uint64_t second = be_get32(bytes + 8) + 12;
    cr_assert_gt(len, second + AT_EPOCH);
    mem_free(bytes);
    doors_test_overwrite(&test.doors, segment, second + AT_EPOCH, epoch, 4);
    storage_test_open(&test);
    log = storage_test_log(&test, "t", 0);
    cr_assert_eq(log->high_watermark, 3);
    struct buffer *buffer = NULL;
    cr_assert_eq(storage_test_read(&test, log, 1, 1000, &buffer), expected);
    buffer_unref(buffer);
    for (int64_t offset = 0; offset < 3; offset += 2) {
        cr_assert_eq(storage_test_read(&test, log, offset, 1, &buffer), 0);
        buffer_unref(buffer);
    }
    storage_test_end(&test);
}

TEST(verify, a_foreign_leader_epoch_is_damage)
{
    for (int clean = 0; clean < 2; clean++) {
        epoch_changes(clean, "\x00\x00\x00\x00", 0); /* what it was */
        epoch_changes(clean, "\x00\x00\x00\x01", -EBADMSG);
        epoch_changes(clean, "\x00\x00\x40\x00", -EBADMSG);
    }
}

/* ---- the head of a slot ---------------------------------------------------------------------- */

static void slot_make(struct disk *disk, const char *dir, uint64_t generation)
{
    struct out out = { 0 };
    struct slot_head head = { .generation = generation, .lsn = 1000 * generation };
    slot_begin(&out);
    out_bytes(&out, "body", 4);
    slot_seal(&out, &head);
    cr_assert_eq(slot_write(disk, dir, generation, bytes_of(out.data, out.len)), 0);
    out_done(&out);
}

/* One byte of the newer one is another: the older one counts. */
static void head_changes(struct doors_test *test, uint64_t at)
{
    char flipped = 0;
    size_t len;
    slot_make(test->doors.disk, test->dir, 1);
    slot_make(test->doors.disk, test->dir, 2);
    uint8_t *bytes = doors_test_file(test, "meta.b", &len);
    flipped = (char)(bytes[at] ^ 1);
    mem_free(bytes);
    doors_test_overwrite(test, "meta.b", at, &flipped, 1);
    struct slot_head head = { 0 };
    struct out body = { 0 };
    int invalid;
    cr_assert_eq(slot_read(test->doors.disk, test->dir, &head, &body, &invalid), 0);
    out_done(&body);
    cr_assert_eq(head.generation, 1, "a change of byte %d is not seen", (int)at);
    cr_assert_eq(head.lsn, 1000);
    cr_assert_eq(invalid, 1);
}

TEST(verify, every_byte_of_a_slots_head_counts)
{
    struct doors_test test;
    doors_test_begin(&test);
    cr_assert_eq(test.doors.disk->table->mkdir(test.doors.disk, test.dir), 0);
    for (uint64_t at = 0; at < SLOT_HEAD_SIZE; at++)
        head_changes(&test, at);
    doors_test_end(&test);
}
