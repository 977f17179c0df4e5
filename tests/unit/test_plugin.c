/* Loading shared objects: what is wrong with one is said, and never hurts this process. */
#include "processors/plugin.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "protocol/base/mem.h"
#include "protocol/base/random.h"
#include "tests/test.h"

/* PLUGINS: where meson puts the shared objects of tests/unit/plugins. */

struct place {
    char base[64], dir[80], file[80];
};

static void begin(struct place *place)
{
    (void)snprintf(place->base, sizeof(place->base), "/tmp/millrace-test-XXXXXX");
    cr_assert(mkdtemp(place->base));
    (void)snprintf(place->dir, sizeof(place->dir), "%s/plugins", place->base);
    (void)snprintf(place->file, sizeof(place->file), "%s/made.so", place->base);
}

static int remove_entry(const char *path, const struct stat *stat, int type, struct FTW *ftw)
{
    (void)stat;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void end(const struct place *place)
{
    cr_assert_eq(nftw(place->base, remove_entry, 16, FTW_DEPTH | FTW_PHYS), 0);
}

static struct out read_file(const char *path)
{
    struct out content = { 0 };
    FILE *file = fopen(path, "rb");
    cr_assert(file, "%s", path);
    for (int c; (c = fgetc(file)) != EOF;)
        *out_add(&content, 1) = (uint8_t)c;
    (void)fclose(file);
    return content;
}

static void write_file(const char *path, const void *bytes, size_t len)
{
    FILE *file = fopen(path, "wb");
    cr_assert(file && fwrite(bytes, 1, len, file) == len);
    cr_assert_eq(fclose(file), 0);
}

static int try_open(struct place *place, const char *file, char error[1024])
{
    struct plugin plugin = { .try_ms = 2000 };
    error[0] = '\0';
    int r = plugin_open(&plugin, file, place->dir, error, 1024);
    if (r == 0)
        plugin_close(&plugin);
    else
        cr_assert(*error, "no text for %d", r);
    return r;
}

TEST(plugin, a_good_one_is_loaded_from_a_private_copy)
{
    struct place place;
    struct plugin plugin = { 0 }, again = { 0 };
    char error[1024];
    begin(&place);
    struct out content = read_file(PLUGINS "/plugin_good.so");
    write_file(place.file, content.data, content.len);
    cr_assert_eq(plugin_open(&plugin, place.file, place.dir, error, sizeof(error)), 0, "%s", error);
    cr_assert_str_eq(plugin.module->name, "copy");
    cr_assert_eq(strncmp(plugin.path, place.dir, strlen(place.dir)), 0);
    /* The file may change or go: the copy is what runs, and what a restart opens. */
    write_file(place.file, "gone", 4);
    cr_assert_str_eq(plugin.module->processors[0]->name, "copy");
    cr_assert_eq(plugin_open(&again, plugin.path, place.dir, error, sizeof(error)), 0, "%s", error);
    cr_assert_str_eq(again.path, plugin.path);
    plugin_close(&again);
    plugin_close(&plugin);
    out_done(&content);
    end(&place);
}

TEST(plugin, a_damaged_copy_is_written_again)
{
    struct place place;
    struct plugin plugin = { 0 };
    char error[1024];
    begin(&place);
    cr_assert_eq(
        plugin_open(&plugin, PLUGINS "/plugin_good.so", place.dir, error, sizeof(error)), 0);
    char *path = mem_strdup(plugin.path);
    plugin_close(&plugin);
    struct out content = read_file(path);
    write_file(path, content.data, content.len / 2);
    cr_assert_eq(
        plugin_open(&plugin, PLUGINS "/plugin_good.so", place.dir, error, sizeof(error)), 0);
    cr_assert_str_eq(plugin.path, path);
    plugin_close(&plugin);
    mem_free(path);
    out_done(&content);
    end(&place);
}

TEST(plugin, what_is_wrong_is_said)
{
    static const struct {
        const char *file;
        int status;
        const char *error;
    } cases[] = {
        { "/nowhere.so", -ENOENT, "No such file" },
        { "", -EINVAL, "not a regular file" }, /* the directory itself */
        { "/plugin_no_entry.so", -ENOEXEC, "does not export mr_module_v0" },
        { "/plugin_newer_entry.so", -ENOEXEC, "exports mr_module_v1, this host knows" },
        { "/plugin_wrong_magic.so", -ENOEXEC, "magic 0x00000007" },
        { "/plugin_wrong_major.so", -ENOEXEC, "built for version 1 of millrace/processor.h" },
        { "/plugin_needs_more.so", -ENOEXEC, "needs a host of version 0.99" },
        { "/plugin_crashes.so", -ENOEXEC, "crashed with Segmentation fault" },
        { "/plugin_exits.so", -ENOEXEC, "(status 3)" },
        { "/plugin_entry_crashes.so", -ENOEXEC, "crashed with Aborted" },
        { "/plugin_unresolved.so", -ENOEXEC, "nobody_has_this" },
        { "/plugin_sessions.so", -ENOEXEC, "window kind 3 (session) is not implemented" },
    };
    struct place place;
    char error[1024];
    begin(&place);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        char *path = mem_printf("%s%s", PLUGINS, cases[i].file);
        int status = try_open(&place, path, error);
        cr_assert_eq(status, cases[i].status, "%s: %d %s", path, status, error);
        cr_assert(strstr(error, cases[i].error), "%s: '%s'", path, error);
        cr_assert_eq(strncmp(error, path, strlen(path)), 0, "'%s' does not name the file", error);
        mem_free(path);
    }
    end(&place);
}

TEST(plugin, one_that_hangs_is_given_up)
{
    struct place place;
    struct plugin plugin = { .try_ms = 100 };
    char error[1024];
    begin(&place);
    cr_assert_eq(plugin_open(&plugin, PLUGINS "/plugin_hangs.so", place.dir, error, sizeof(error)),
        -ETIMEDOUT);
    cr_assert(strstr(error, "within 100 ms"), "%s", error);
    end(&place);
}

TEST(plugin, files_that_are_something_else)
{
    static const char script[] = "#!/bin/sh\necho no\n";
    struct place place;
    char error[1024];
    begin(&place);
    write_file(place.file, script, sizeof(script));
    cr_assert_eq(try_open(&place, place.file, error), -ENOEXEC);
    cr_assert(strstr(error, "not an ELF file"), "%s", error);
    write_file(place.file, "", 0);
    cr_assert_eq(try_open(&place, place.file, error), -ENOEXEC);
    cr_assert_eq(unlink(place.file), 0);
    cr_assert_eq(mkfifo(place.file, 0600), 0);
    cr_assert_eq(try_open(&place, place.file, error), -EINVAL);
    cr_assert_eq(try_open(&place, "/proc/self/exe", error), -ENOEXEC); /* a program, no plugin */
    struct out content = read_file(PLUGINS "/plugin_good.so");
    content.data[18] ^= 0x40; /* e_machine */
    cr_assert(strstr(plugin_fault(bytes_of(content.data, content.len)), "another kind of machine"));
    out_done(&content);
    end(&place);
}

/* Anything may be cut or flipped. Loading may even succeed (a flip in a text); it must not crash.
 */
TEST(plugin, damage_never_hurts_this_process)
{
    struct place place;
    char error[1024];
    size_t refused = 0, crashed = 0;
    struct random random = random_seeded(1);
    begin(&place);
    struct out content = read_file(PLUGINS "/plugin_good.so");
    for (size_t len = 0; len < content.len; len += 1 + random_below(&random, content.len / 60)) {
        write_file(place.file, content.data, len);
        (void)try_open(&place, place.file, error);
    }
    for (int i = 0; i < 120; i++) {
        size_t at = random_below(&random, i % 8 == 0 ? content.len : 0x1000);
        uint8_t mask = (uint8_t)(1 << random_below(&random, 8));
        content.data[at] ^= mask;
        write_file(place.file, content.data, content.len);
        int r = try_open(&place, place.file, error);
        refused += r != 0;
        crashed += strstr(error, "loading it") != NULL;
        content.data[at] ^= mask;
    }
    cr_assert(refused > 5, "%zu refused", refused);
    cr_assert(crashed > 0, "none would have crashed: this proves little");
    out_done(&content);
    end(&place);
}
