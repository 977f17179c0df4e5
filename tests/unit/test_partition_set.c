/* Sets of partitions against the plainest model: an array of flags. */
#include "broker/partition_set.h"
#include "tests/test.h"

#include "protocol/base/random.h"
#include "storage/cursor.h"

enum { TOPICS = 3, PARTITIONS = 5, ALL = TOPICS * PARTITIONS };

static struct uuid topic_id(int n)
{
    return (struct uuid){ { (uint8_t)(7 * n + 1) } };
}

/* Added in any order, and some of them twice. */
static void set_of(struct partition_set *set, const bool *in, struct random *random)
{
    partition_set_clear(set);
    for (int i = 0; i < 200; i++) {
        int n = (int)(random_u64(random) % ALL);
        struct uuid id = topic_id(n / PARTITIONS);
        if (in[n])
            partition_set_add(set, &id, n % PARTITIONS, n);
    }
    for (int n = 0; n < ALL; n++) {
        struct uuid id = topic_id(n / PARTITIONS);
        if (in[n])
            partition_set_add(set, &id, n % PARTITIONS, n);
    }
    partition_set_sort(set);
}

static void is(const struct partition_set *set, const bool *in)
{
    size_t count = 0;
    for (int n = 0; n < ALL; n++) {
        struct uuid id = topic_id(n / PARTITIONS);
        const struct partition_id *found = partition_set_find(set, &id, n % PARTITIONS);
        cr_assert_eq(found != NULL, in[n]);
        cr_assert(!found || found->epoch == n);
        count += in[n];
    }
    cr_assert_eq(set->count, count);
}

TEST(partition_set, does_what_flags_do)
{
    struct random random;
    random = random_seeded(848);
    for (int round = 0; round < 300; round++) {
        bool x[ALL], y[ALL], out[ALL];
        bool covers = true, meets = false, equal = true;
        struct partition_set a = { 0 }, b = { 0 }, c = { 0 };
        for (int n = 0; n < ALL; n++) {
            x[n] = random_u64(&random) % 2;
            y[n] = random_u64(&random) % 3 == 0 ? x[n] : random_u64(&random) % 2;
            covers &= !y[n] || x[n];
            meets |= x[n] && y[n];
            equal &= x[n] == y[n];
        }
        set_of(&a, x, &random);
        set_of(&b, y, &random);
        is(&a, x);
        cr_assert_eq(partition_set_covers(&a, &b), covers);
        cr_assert_eq(partition_set_meets(&a, &b), meets);
        cr_assert_eq(partition_set_equal(&a, &b), equal);
        partition_set_copy(&c, &a);
        partition_set_keep(&c, &b);
        for (int n = 0; n < ALL; n++)
            out[n] = x[n] && y[n];
        is(&c, out);
        partition_set_copy(&c, &a);
        partition_set_subtract(&c, &b);
        for (int n = 0; n < ALL; n++)
            out[n] = x[n] && !y[n];
        is(&c, out);
        partition_set_union(&c, &b);
        for (int n = 0; n < ALL; n++)
            out[n] = x[n] || y[n];
        is(&c, out);
        partition_set_done(&a);
        partition_set_done(&b);
        partition_set_done(&c);
    }
}

TEST(partition_set, is_written_and_read_back_and_cut_short_is_bad)
{
    struct random random;
    bool in[ALL] = { true, false, true, true, false, [7] = true, [14] = true };
    struct partition_set set = { 0 }, again = { 0 };
    struct out out = { 0 };
    random = random_seeded(1);
    set_of(&set, in, &random);
    partition_set_put(&out, &set);
    struct cursor cursor = cursor_of(bytes_of(out.data, out.len));
    partition_set_take(&cursor, &again);
    cr_assert(!cursor.bad && cursor.left == 0);
    is(&again, in);
    for (size_t len = 0; len < out.len; len++) {
        cursor = cursor_of(bytes_of(out.data, len));
        partition_set_take(&cursor, &again);
        cr_assert(cursor.bad);
    }
    out_done(&out);
    partition_set_done(&set);
    partition_set_done(&again);
}
