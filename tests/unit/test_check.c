/* Looking at a data directory changes nothing and names what is damaged. */
#include "storage/check.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "protocol/base/mem.h"
#include "storage/disk_overlay.h"
#include "tests/test.h"
#include "tests/unit/storage_test.h"

struct seen {
    struct check_totals totals;
    int status;
    struct damage damage; /* of the newest damaged segment */
    int64_t refused_from;
    enum check_footer footers[8];
    size_t segment_count;
    struct out said;
};

static void on_log(void *context, const struct check_log *log)
{
    struct seen *seen = context;
    if (log->refused_from >= 0)
        seen->refused_from = log->refused_from;
}

static void on_segment(void *context, const struct check_segment *segment)
{
    struct seen *seen = context;
    if (segment->damage_count)
        seen->damage = segment->damages[0];
    if (seen->segment_count < ARRAY_COUNT(seen->footers))
        seen->footers[seen->segment_count++] = segment->footer;
}

static void on_say(void *context, enum log_level level, const char *line)
{
    struct seen *seen = context;
    (void)level;
    out_text(&seen->said, line);
    out_text(&seen->said, "\n");
}

static bool said(struct seen *seen, const char *text)
{
    out_bytes(&seen->said, "", 1);
    seen->said.len--;
    return strstr((const char *)seen->said.data, text) != NULL;
}

/* The caller frees seen.said. Nothing is changed: no call that would is made. */
static struct seen look(struct storage_test *test)
{
    static const enum disk_call changing[] = { CALL_MKDIR, CALL_WRITE, CALL_FALLOCATE,
        CALL_TRUNCATE, CALL_SYNC, CALL_SYNC_ALL, CALL_REMOVE, CALL_SUBMIT };
    struct seen seen = { .refused_from = -1 };
    struct check_events events = { &seen, on_log, on_segment, on_say };
    uint64_t before[CALL_COUNT];
    memcpy(before, test->doors.calls, sizeof(before));
    seen.status = storage_check(test->doors.dir, test->doors.doors.disk, &events, &seen.totals);
    for (size_t i = 0; i < ARRAY_COUNT(changing); i++)
        cr_assert_eq(test->doors.calls[changing[i]], before[changing[i]], "call %zu", i);
    return seen;
}

static struct log *begin(struct storage_test *test)
{
    storage_test_begin(test);
    struct log *log = storage_test_topic(test, "t", 2);
    storage_test_fill(test, log, 100000);
    storage_test_pass(test, 3000);
    return log;
}

static void flip(struct storage_test *test, const char *name, uint64_t at)
{
    size_t len;
    uint8_t *bytes = doors_test_file(&test->doors, name, &len);
    cr_assert(bytes && at < len, "%s", name);
    bytes[at] ^= 0x21;
    doors_test_overwrite(&test->doors, name, at, bytes + at, 1);
    mem_free(bytes);
}

TEST(check, finds_all_of_a_whole_directory_and_touches_nothing)
{
    struct storage_test test;
    struct log *log = begin(&test);
    uint64_t records = (uint64_t)log->end_offset;
    for (int end = 0; end < 2; end++) {
        if (end == 0)
            storage_test_crash(&test);
        else
            cr_assert_eq(storage_test_close(&test), 0);
        struct seen seen = look(&test);
        cr_assert_eq(seen.status, 0);
        cr_assert_eq(seen.totals.records, records);
        cr_assert_eq(seen.totals.logs, 2);
        /* What is replayed rolls by the defaults of the one who replays it. */
        cr_assert_eq(seen.totals.segments, end == 0 ? 1 : 2);
        cr_assert_eq(seen.totals.damages, 0);
        cr_assert_eq(seen.totals.errors, 0, "%.*s", (int)seen.said.len, seen.said.data);
        cr_assert_eq(seen.totals.unclean, end == 0);
        cr_assert(!seen.totals.refused);
        cr_assert_eq(seen.footers[0], end == 0 ? CHECK_FOOTER_NONE : CHECK_FOOTER_WHOLE);
        out_done(&seen.said);
        if (end == 0) {
            storage_test_open(&test);
            storage_test_check(&test, storage_test_log(&test, "t", 0));
            storage_test_pass(&test, 1000);
        }
    }
    storage_test_end(&test);
}

TEST(check, names_damaged_offsets_and_footers)
{
    struct storage_test test;
    (void)begin(&test);
    cr_assert_eq(storage_test_close(&test), 0);
    flip(&test, "t-0/00000000000000000000.log", 30000);
    for (int footer = 0; footer < 2; footer++) {
        struct seen seen = look(&test);
        cr_assert_eq(seen.status, 0);
        cr_assert_eq(seen.totals.damages, 1);
        cr_assert_eq(seen.totals.offsets_damaged, 10);
        cr_assert_leq(seen.damage.position, 30000);
        cr_assert_gt(seen.damage.end_position, 30000);
        cr_assert_eq(seen.damage.end_offset, seen.damage.offset + 10);
        cr_assert_eq(seen.footers[0], footer ? CHECK_FOOTER_BAD : CHECK_FOOTER_WHOLE);
        out_done(&seen.said);
        flip(&test, "t-0/00000000000000000000.idx", 50 + (uint64_t)footer);
    }
    storage_test_end(&test);
}

TEST(check, says_what_a_start_would_refuse_and_what_is_left)
{
    struct storage_test test;
    struct log *log = begin(&test);
    cr_assert_eq(storage_test_append(&test, log, 5, -1), 0);
    cr_assert_eq(storage_test_append(&test, log, 5, -1), 0);
    storage_test_settle(&test);
    storage_test_crash(&test);
    flip(&test, "meta.a", 60);
    struct seen seen = look(&test);
    bool told = seen.totals.refused || said(&seen, "one of two state files is not whole");
    cr_assert(told, "%.*s", (int)seen.said.len, seen.said.data);
    out_done(&seen.said);
    flip(&test, "meta.a", 60);
    doors_test_truncate(&test.doors, "meta.a", 10);
    doors_test_overwrite(&test.doors, "meta.b", 0, "damage", 6);
    seen = look(&test);
    cr_assert_eq(seen.status, 0);
    cr_assert(seen.totals.refused);
    cr_assert_gt(seen.totals.errors, 0);
    cr_assert(said(&seen, "can't read the state"));
    out_done(&seen.said);
    doors_test_end(&test.doors);
}

TEST(check, is_of_data_directories_that_nobody_uses)
{
    struct storage_test test;
    storage_test_begin(&test);
    struct seen seen = look(&test);
    cr_assert_eq(seen.status, -EBUSY);
    out_done(&seen.said);
    cr_assert_eq(storage_test_close(&test), 0);
    doors_test_overwrite(&test.doors, "millrace.format", 0, "99\n", 3);
    seen = look(&test);
    cr_assert_eq(seen.status, -EPROTO);
    cr_assert(said(&seen, "use a newer millrace"));
    out_done(&seen.said);
    char *dir = test.doors.dir;
    test.doors.dir = test.doors.base;
    seen = look(&test);
    cr_assert_eq(seen.status, -EPROTO);
    cr_assert(said(&seen, "is no data directory of Millrace"));
    out_done(&seen.said);
    test.doors.dir = dir;
    doors_test_end(&test.doors);
}

/* ---- the disk it looks through ------------------------------------------------------------- */

static void read_back(struct disk_file *file, uint64_t at, size_t len, const char *expected)
{
    char bytes[20000] = "";
    size_t got;
    cr_assert_eq((*(struct disk **)file)->table->read(file, at, bytes, len, &got), 0);
    cr_assert_eq(got, strlen(expected) < len ? strlen(expected) : len, "%zu", got);
    cr_assert_eq(memcmp(bytes, expected, got), 0);
}

struct listed {
    int count;
    bool made, there;
};

static void list_name(void *context, const char *name)
{
    struct listed *listed = context;
    listed->count++;
    listed->made |= strcmp(name, "made") == 0;
    listed->there |= strcmp(name, "there") == 0;
}

TEST(overlay, shows_its_own_writes_over_what_lies_below)
{
    struct storage_test test;
    storage_test_setup(&test);
    struct disk *base = test.doors.doors.disk;
    cr_assert_eq(base->table->mkdir(base, test.doors.dir), 0);
    char pattern[10001] = "";
    memset(pattern, 'p', 10000);
    doors_test_overwrite(&test.doors, "there", 0, pattern, 10000);
    doors_test_overwrite(&test.doors, "other", 0, pattern, 10000);
    struct disk *disk = disk_overlay_create(base);
    char *other = mem_printf("%s/other", test.doors.dir);
    char *there = mem_printf("%s/there", test.doors.dir),
         *made = mem_printf("%s/made", test.doors.dir);
    struct disk_file *file;
    uint64_t size;
    cr_assert_eq(disk->table->open(disk, made, DISK_WRITE, &file), -ENOENT);
    cr_assert_eq(disk->table->open(disk, there, DISK_WRITE, &file), 0);
    char xyz[] = "xyz";
    struct iovec iov = { xyz, 3 };
    cr_assert_eq(disk->table->writev(file, 4095, &iov, 1), 0);
    memcpy(pattern + 4095, "xyz", 3);
    read_back(file, 0, 20000, pattern);
    read_back(file, 4090, 10, "pppppxyzpp");
    cr_assert_eq(disk->table->truncate(file, 5), 0);
    read_back(file, 0, 100, "ppppp");
    cr_assert_eq(disk->table->writev(file, 7, &iov, 1), 0);
    char bytes[11] = "";
    size_t got;
    cr_assert_eq(disk->table->read(file, 0, bytes, 11, &got), 0);
    cr_assert(
        got == 10 && memcmp(bytes, "ppppp\0\0xyz", 10) == 0, "what was cut does not come back");
    disk->table->close(file);
    cr_assert_eq(disk->table->open(disk, other, DISK_WRITE, &file), 0);
    cr_assert_eq(disk->table->truncate(file, 5000), 0);
    cr_assert_eq(disk->table->writev(file, 9000, &iov, 1), 0);
    cr_assert_eq(disk->table->read(file, 4998, bytes, 5, &got), 0);
    cr_assert(got == 5 && memcmp(bytes, "pp\0\0\0", 5) == 0);
    cr_assert_eq(disk->table->read(file, 8995, bytes, 11, &got), 0);
    cr_assert(got == 8 && memcmp(bytes, "\0\0\0\0\0xyz", 8) == 0);
    disk->table->close(file);
    mem_free(other);
    cr_assert_eq(disk->table->open(disk, made, DISK_WRITE | DISK_CREATE, &file), 0);
    cr_assert_eq(disk->table->writev(file, 0, &iov, 1), 0);
    cr_assert_eq(disk->table->size(file, &size), 0);
    cr_assert_eq(size, 3);
    disk->table->close(file);
    struct listed listed = { 0 };
    cr_assert_eq(disk->table->list(disk, test.doors.dir, list_name, &listed), 0);
    cr_assert(listed.count == 3 && listed.made && listed.there);
    cr_assert_eq(disk->table->remove(disk, there), 0);
    cr_assert_eq(disk->table->open(disk, there, DISK_READ, &file), -ENOENT);
    listed = (struct listed){ 0 };
    cr_assert_eq(disk->table->list(disk, test.doors.dir, list_name, &listed), 0);
    cr_assert(listed.count == 2 && listed.made);
    disk->table->destroy(disk);
    uint8_t *below = doors_test_file(&test.doors, "there", &got);
    cr_assert(got == 10000 && memchr(below, 'x', got) == NULL, "nothing changed below");
    mem_free(below);
    cr_assert(!doors_test_exists(&test.doors, "made"));
    mem_free(there);
    mem_free(made);
    doors_test_end(&test.doors);
}
