/* Which known name a mistyped one meant. */
#include "protocol/base/nearest.h"

#include "tests/test.h"

static const char *nearest_of(const char *wanted, const char *const *names, size_t count)
{
    struct nearest nearest;

    nearest_init(&nearest, wanted);
    for (size_t i = 0; i < count; i++)
        nearest_offer(&nearest, names[i]);
    return nearest.best;
}

static const char *const commands[] = { "serve", "topics", "produce", "consume", "groups",
    "process" };
#define NEAREST(wanted) nearest_of(wanted, commands, sizeof(commands) / sizeof(commands[0]))

TEST(nearest, finds_a_changed_a_missing_a_further_and_a_swapped_letter)
{
    cr_assert_str_eq(NEAREST("servo"), "serve");
    cr_assert_str_eq(NEAREST("topcs"), "topics");
    cr_assert_str_eq(NEAREST("groupss"), "groups");
    cr_assert_str_eq(NEAREST("prodcue"), "produce");
}

TEST(nearest, counts_a_swap_as_one_change)
{
    static const char *const names[] = { "abxxef", "abdcef" };

    cr_assert_str_eq(nearest_of("abcdef", names, 2), "abdcef");
}

TEST(nearest, takes_case_and_beginnings_as_near)
{
    cr_assert_str_eq(NEAREST("TOPICS"), "topics");
    cr_assert_str_eq(NEAREST("cons"), "consume");
}

TEST(nearest, prefers_the_nearer_and_then_the_first)
{
    static const char *const names[] = { "log.dir", "log.dirs", "log.dirx" };

    cr_assert_str_eq(nearest_of("log.dirz", names, 3), "log.dir");
    cr_assert_str_eq(nearest_of("log.dirs", names, 3), "log.dirs");
}

TEST(nearest, stays_silent_when_nothing_is_near)
{
    cr_assert_null(NEAREST("xyzzy"));
    cr_assert_null(NEAREST(""));
    cr_assert_null(NEAREST("completely-different"));
}

TEST(nearest, takes_no_harm_from_giant_names)
{
    char giant[4096];
    const char *names[] = { giant };

    memset(giant, 'a', sizeof(giant) - 1);
    giant[sizeof(giant) - 1] = '\0';
    cr_assert_null(nearest_of(giant, names, 1));
    cr_assert_null(nearest_of("aaaa", names, 1));
    giant[NEAREST_NAME_MAX] = '\0';
    cr_assert_str_eq(nearest_of(giant, names, 1), giant);
}
