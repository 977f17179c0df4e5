/* Keyed state against a plain array: changes, undo, units, scans and restarts in random order. */
#include <errno.h>
#include <stdio.h>

#include "processors/keyed.h"
#include "protocol/base/mem.h"
#include "protocol/base/random.h"
#include "tests/test.h"

enum { KEYS = 200, NONE = -1 };

struct model {
    int now[KEYS], unit[KEYS], record[KEYS]; /* values; as of the unit's, the record's beginning */
    int logged[KEYS];                        /* what the changelog says */
};

static struct bytes key_of(int number, char to[8])
{
    /* Order of the bytes = order of the numbers. */
    return bytes_of(to, (size_t)snprintf(to, 8, "k%04d", number));
}

static struct bytes value_of(int number, char to[16])
{
    return number == NONE ? (struct bytes){ NULL, 0 }
                          : bytes_of(to, (size_t)snprintf(to, 16, "%d", number));
}

static void check_all(struct keyed *keyed, const int *expected, int low, int high)
{
    char key[8], value[16], low_text[8], high_text[8];
    for (int i = 0; i < KEYS; i++) {
        struct bytes found = keyed_get(keyed, key_of(i, key));
        cr_assert_eq(found.data == NULL, expected[i] == NONE);
        cr_assert(expected[i] == NONE || bytes_equal(found, value_of(expected[i], value)));
    }
    struct keyed_scan scan;
    struct bytes found_key, found_value;
    keyed_scan_begin(&scan, keyed, key_of(low, low_text), key_of(high, high_text));
    for (int i = low; i < high; i++) {
        if (expected[i] == NONE)
            continue;
        cr_assert(keyed_scan_next(&scan, &found_key, &found_value));
        cr_assert(bytes_equal(found_key, key_of(i, key)));
        cr_assert(bytes_equal(found_value, value_of(expected[i], value)));
    }
    cr_assert_not(keyed_scan_next(&scan, &found_key, &found_value));
}

static void log_change(void *context, struct bytes key, struct bytes value)
{
    int *logged = context;
    char text[16] = "";
    memcpy(text, key.data + 1, 4);
    int number = (int)strtol(text, NULL, 10);
    memset(text, 0, sizeof(text));
    if (value.data)
        memcpy(text, value.data, value.len);
    cr_assert(value.data || logged[number] != NONE, "a tombstone for a key nobody wrote");
    logged[number] = value.data ? (int)strtol(text, NULL, 10) : NONE;
}

static void restart(struct keyed *keyed, struct journal *journal, const int *logged)
{
    char key[8], value[16];
    keyed_done(keyed);
    keyed_init(keyed, journal);
    for (int i = 0; i < KEYS; i++) {
        cr_assert_eq(keyed_restore(keyed, key_of(i, key), value_of(7, value)), 0);
        cr_assert_eq(keyed_restore(keyed, key_of(i, key), value_of(logged[i], value)), 0);
    }
}

static void run(uint64_t seed)
{
    struct random random = random_seeded(seed);
    struct journal journal = { 0 };
    struct keyed keyed;
    struct model model;
    memset(&model, 0xff, sizeof(model)); /* all NONE */
    keyed_init(&keyed, &journal);
    for (int step = 0; step < 400; step++) {
        size_t mark = journal.count;
        memcpy(model.record, model.now, sizeof(model.now));
        for (uint64_t i = random_below(&random, 4); i-- > 0;) {
            char key[8], value[16];
            int number = (int)random_below(&random, KEYS);
            int to = random_chance(&random, 1, 3) ? NONE : (int)random_below(&random, 100000);
            model.now[number] = to;
            cr_assert_eq(keyed_put(&keyed, key_of(number, key), value_of(to, value)), 0);
        }
        if (random_chance(&random, 1, 5)) {
            journal_undo(&journal, mark);
            memcpy(model.now, model.record, sizeof(model.now));
        }
        if (random_chance(&random, 1, 10)) {
            int low = (int)random_below(&random, KEYS);
            check_all(&keyed, model.now, low, (int)random_between(&random, low, KEYS));
        }
        if (random_chance(&random, 1, 15)) {
            journal_undo(&journal, 0);
            keyed_settle(&keyed);
            memcpy(model.now, model.unit, sizeof(model.now));
        } else if (random_chance(&random, 1, 10)) {
            keyed_changes(&keyed, log_change, model.logged);
            cr_assert_arr_eq(model.logged, model.now, sizeof(model.now));
            journal_keep(&journal);
            keyed_settle(&keyed);
            memcpy(model.unit, model.now, sizeof(model.now));
            if (random_chance(&random, 1, 3))
                restart(&keyed, &journal, model.logged);
        }
    }
    journal_undo(&journal, 0);
    keyed_settle(&keyed);
    check_all(&keyed, model.unit, 0, KEYS);
    keyed_done(&keyed);
    journal_done(&journal);
}

TEST(keyed, equals_a_plain_array)
{
    for (uint64_t seed = 1; seed <= 100; seed++)
        run(seed);
}

TEST(keyed, a_change_ends_the_scans_of_its_table)
{
    struct journal journal = { 0 };
    struct keyed keyed;
    struct keyed_scan scan;
    struct bytes key, value;
    keyed_init(&keyed, &journal);
    cr_assert_eq(keyed_put(&keyed, bytes_text("a"), bytes_text("1")), 0);
    cr_assert_eq(keyed_put(&keyed, bytes_text("b"), bytes_text("2")), 0);
    keyed_scan_begin(&scan, &keyed, (struct bytes){ NULL, 0 }, (struct bytes){ NULL, 0 });
    cr_assert(keyed_scan_next(&scan, &key, &value));
    cr_assert(bytes_equal_text(key, "a"));
    cr_assert_eq(keyed_put(&keyed, key, value), 0); /* views of itself */
    cr_assert(bytes_equal_text(keyed_get(&keyed, bytes_text("a")), "1"));
    cr_assert_not(keyed_scan_next(&scan, &key, &value));
    journal_keep(&journal);
    keyed_settle(&keyed);
    keyed_done(&keyed);
    journal_done(&journal);
}

TEST(keyed, memory_is_counted_back_to_what_it_was)
{
    struct journal journal = { 0 };
    struct keyed keyed;
    keyed_init(&keyed, &journal);
    size_t before = keyed.bytes;
    cr_assert_eq(keyed_put(&keyed, bytes_text("a"), bytes_text("1")), 0);
    cr_assert_eq(keyed_put(&keyed, bytes_text("a"), bytes_text("22")), 0);
    cr_assert(keyed.bytes > before);
    cr_assert_eq(keyed_put(&keyed, bytes_text("a"), (struct bytes){ NULL, 0 }), 0);
    journal_keep(&journal);
    keyed_settle(&keyed);
    cr_assert_eq(keyed.bytes, before);
    cr_assert_eq(keyed.count, 0);
    cr_assert_eq(keyed_put(&keyed, (struct bytes){ NULL, 0 }, bytes_text("1")), -EINVAL);
    cr_assert_eq(keyed_restore(&keyed, (struct bytes){ NULL, 0 }, bytes_text("1")), -EBADMSG);
    keyed_done(&keyed);
    journal_done(&journal);
}
