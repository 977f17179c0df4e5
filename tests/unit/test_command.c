/* Options and words from argv. */
#include "tools/command.h"

#include "protocol/base/mem.h"
#include "tests/test.h"

struct brew {
    struct settings settings;
    const char *bean;
    int64_t cups;
    struct texts extras;
    bool hot, sweet;
};

static const struct option shared_options[] = {
    { 0, "hot", NULL, "not iced", NULL, OPTION_SWITCH, offsetof(struct brew, hot), 0, 0 },
    { 0 },
};
static const struct option own_options[] = {
    { 'b', "bean", "NAME", "which", "arabica", OPTION_TEXT, offsetof(struct brew, bean), 0, 0 },
    { 'c', "cups", "N", "how many", "1", OPTION_INTEGER, offsetof(struct brew, cups), 1, 12 },
    { 'e', "extra", "TEXT", "more", NULL, OPTION_TEXTS, offsetof(struct brew, extras), 0, 0 },
    { 's', "sweet", NULL, "sugar", NULL, OPTION_SWITCH, offsetof(struct brew, sweet), 0, 0 },
    { 0 },
};
static const struct command brew_command = {
    .name = "brew",
    .synopsis = "[POT]...",
    .shared = shared_options,
    .own = own_options,
    .words_min = 1,
    .words_max = 2,
    .settings_size = sizeof(struct brew),
};

struct parsed {
    struct brew brew;
    char error[256];
    int result;
};

static struct parsed parse(const char *const *words)
{
    struct parsed parsed = { .brew = { .settings = { .path = "brew" } } };
    char *argv[16];
    int argc = 0;

    for (; words[argc]; argc++)
        argv[argc] = (char *)(uintptr_t)words[argc];
    parsed.result = command_parse(
        &brew_command, argc, argv, &parsed.brew.settings, parsed.error, sizeof(parsed.error));
    return parsed;
}
#define PARSE(...) parse((const char *const[]){ __VA_ARGS__, NULL })

static void done(struct parsed *parsed)
{
    command_settings_done(&brew_command, &parsed->brew.settings);
}

TEST(command, takes_presets)
{
    struct parsed p = PARSE("pot");

    cr_assert_eq(p.result, 0);
    cr_assert_str_eq(p.brew.bean, "arabica");
    cr_assert_eq(p.brew.cups, 1);
    cr_assert_not(p.brew.hot);
    cr_assert_eq(p.brew.extras.count, 0);
    done(&p);
}

TEST(command, takes_every_way_to_write_an_option)
{
    struct parsed p =
        PARSE("--bean=robusta", "pot", "-c", "3", "-emilk", "--extra", "", "-se", "foam", "--hot");

    cr_assert_eq(p.result, 0, "%s", p.error);
    cr_assert_str_eq(p.brew.bean, "robusta");
    cr_assert_eq(p.brew.cups, 3);
    cr_assert_eq(p.brew.extras.count, 3);
    cr_assert_str_eq(p.brew.extras.items[0], "milk");
    cr_assert_str_eq(p.brew.extras.items[1], "");
    cr_assert_str_eq(p.brew.extras.items[2], "foam");
    cr_assert(p.brew.sweet && p.brew.hot);
    cr_assert_eq(p.brew.settings.words.count, 1);
    done(&p);
}

TEST(command, takes_words_that_look_like_options_after_two_dashes)
{
    struct parsed p = PARSE("--", "--hot", "-");

    cr_assert_eq(p.result, 0, "%s", p.error);
    cr_assert_not(p.brew.hot);
    cr_assert_str_eq(p.brew.settings.words.items[0], "--hot");
    cr_assert_str_eq(p.brew.settings.words.items[1], "-");
    done(&p);
}

TEST(command, takes_a_value_that_begins_with_a_dash)
{
    struct parsed p = PARSE("pot", "--bean", "-10m");

    cr_assert_eq(p.result, 0, "%s", p.error);
    cr_assert_str_eq(p.brew.bean, "-10m");
    done(&p);
}

TEST(command, help_needs_no_words)
{
    struct parsed p = PARSE("--help");

    cr_assert_eq(p.result, 0);
    cr_assert(p.brew.settings.help);
    done(&p);
}

#define REFUSED(text, ...)                                                                         \
    do {                                                                                           \
        struct parsed p = PARSE(__VA_ARGS__);                                                      \
        cr_assert_neq(p.result, 0);                                                                \
        cr_assert(strstr(p.error, text) != NULL, "'%s' is not in '%s'", text, p.error);            \
        done(&p);                                                                                  \
    } while (0)

TEST(command, refuses_what_makes_no_sense)
{
    REFUSED("did you mean --bean?", "pot", "--baen", "x");
    REFUSED("no option -x", "pot", "-x");
    REFUSED("no option -x", "pot", "-sx");
    REFUSED("takes no value", "pot", "--hot=yes");
    REFUSED("--bean wants a NAME", "pot", "--bean");
    REFUSED("-b wants a NAME", "pot", "-b");
    REFUSED("from 1 to 12, not '13'", "pot", "--cups", "13");
    REFUSED("not '0'", "pot", "--cups=0");
    REFUSED("not ''", "pot", "--cups=");
    REFUSED("not '3x'", "pot", "-c3x");
    REFUSED("not '99999999999999999999'", "pot", "-c", "99999999999999999999");
    REFUSED("too few words", "--hot");
    REFUSED("'c' is one word too many", "a", "b", "c");
}

TEST(command, survives_a_giant_option_name)
{
    char giant[5000] = "--";

    memset(giant + 2, 'a', sizeof(giant) - 3);
    giant[sizeof(giant) - 1] = '\0';
    REFUSED("no option --aaa", "pot", giant);
}
