/*
 * Loading a .so without being hurt by it. See plugin.h.
 *
 * The happy path:
 *  - read the file; look at its ELF header, and that every segment lies inside the file (a mapping
 *    beyond the end of a truncated file is a SIGBUS at first touch)
 *  - write it to dir/<xxh3-128>.so, under a temporary name at first: a file that is replaced under
 * a live mapping is a SIGBUS too, and dlopen of a path seen before returns the old handle
 *  - try it in a child process: dlopen, the entry, module_check. Whatever damage crashes the
 * dynamic linker, a constructor or the check crashes the child; one that hangs is killed after
 *    PLUGIN_TRY_MS
 *  - sync it, give it its name, load it here
 *
 * The child dies with its parent and closes every inherited descriptor first: it must not hold the
 * data directory's lock or a listening socket beyond the broker's death.
 */
#include "processors/plugin.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

#include "processors/module.h"
#include "protocol/base/mem.h"

#if defined(__x86_64__)
enum { MACHINE = EM_X86_64 };
#elif defined(__aarch64__)
enum { MACHINE = EM_AARCH64 };
#elif defined(__riscv)
enum { MACHINE = EM_RISCV };
#else
#error "name this machine's ELF number here"
#endif

enum { ERROR_SIZE = 1024 };

struct report {
    char *error;
    size_t size;
    const char *file;
};

PRINTF_LIKE(3, 4)
static int fail(const struct report *report, int status, const char *format, ...)
{
    char text[ERROR_SIZE];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    (void)snprintf(report->error, report->size, "%s: %s", report->file, text);
    return status;
}

/* ---- the bytes ------------------------------------------------------------------------------- */

static const char *segments_fault(struct bytes content, const Elf64_Ehdr *header)
{
    bool dynamic = false;
    for (size_t i = 0; i < header->e_phnum; i++) {
        Elf64_Phdr segment;
        memcpy(&segment, content.data + header->e_phoff + i * sizeof(segment), sizeof(segment));
        if (segment.p_type != PT_LOAD && segment.p_type != PT_DYNAMIC)
            continue;
        if (segment.p_offset > content.len || segment.p_filesz > content.len - segment.p_offset)
            return "the file is cut short or damaged (a segment lies beyond its end)";
        dynamic |= segment.p_type == PT_DYNAMIC;
    }
    return dynamic ? NULL : "it is not a shared object (link it with -shared)";
}

const char *plugin_fault(struct bytes content)
{
    Elf64_Ehdr header;
    if (content.len < SELFMAG || memcmp(content.data, ELFMAG, SELFMAG) != 0)
        return "it is not an ELF file: compile the processor to a shared object (cc -shared -fPIC)";
    if (content.len < sizeof(header))
        return "the file is cut short (its header is not complete)";
    memcpy(&header, content.data, sizeof(header));
    if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB ||
        header.e_machine != MACHINE)
        return "it is built for another kind of machine than this one";
    if (header.e_type != ET_DYN)
        return "it is not a shared object (link it with -shared)";
    if (header.e_phentsize != sizeof(Elf64_Phdr) || header.e_phoff > content.len ||
        header.e_phnum > (content.len - header.e_phoff) / sizeof(Elf64_Phdr))
        return "the file is cut short or damaged (its program headers lie beyond its end)";
    return segments_fault(content, &header);
}

static int read_all(const struct report *report, int fd, struct out *ret)
{
    struct stat stat;
    if (fstat(fd, &stat) < 0)
        return fail(report, -errno, "%s", strerror(errno));
    if (!S_ISREG(stat.st_mode))
        return fail(report, -EINVAL, "it is not a regular file");
    if (stat.st_size > PLUGIN_SIZE_MAX)
        return fail(report, -EFBIG, "it has %lld bytes, at most %d are allowed",
            (long long)stat.st_size, PLUGIN_SIZE_MAX);
    size_t size = (size_t)stat.st_size;
    uint8_t *to = out_add(ret, size);
    for (size_t done = 0; done < size;) {
        ssize_t n = read(fd, to + done, size - done);
        if (n == 0)
            return fail(report, -EAGAIN, "it changed while it was read; try again");
        if (n < 0 && errno != EINTR)
            return fail(report, -errno, "%s", strerror(errno));
        done += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

static int read_file(const struct report *report, struct out *ret)
{
    /* O_NONBLOCK: a pipe must not make us wait. */
    int fd = open(report->file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return fail(report, -errno, "%s", strerror(errno));
    int r = read_all(report, fd, ret);
    (void)close(fd); /* only read */
    if (r)
        return r;
    const char *fault = plugin_fault(bytes_of(ret->data, ret->len));
    return fault ? fail(report, -ENOEXEC, "%s", fault) : 0;
}

/* ---- the private copy ------------------------------------------------------------------------ */

static int write_all(int fd, const struct out *content)
{
    for (size_t done = 0; done < content->len;) {
        ssize_t n = write(fd, content->data + done, content->len - done);
        if (n < 0 && errno != EINTR)
            return -errno;
        done += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

static int write_draft(const char *path, const struct out *content)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int r = fd < 0 ? -errno : write_all(fd, content);
    if (fd >= 0 && close(fd) < 0 && r == 0)
        r = -errno;
    return r;
}

static int sync_path(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int r = fsync(fd) < 0 ? -errno : 0;
    (void)close(fd);
    return r;
}

/* From here on a restart finds it. */
static int adopt_draft(const char *draft, const char *path, const char *dir)
{
    int r = sync_path(draft, O_RDONLY);
    if (r == 0 && rename(draft, path) < 0)
        r = -errno;
    return r ? r : sync_path(dir, O_RDONLY | O_DIRECTORY);
}

/* True if `path` holds exactly `content`. */
static bool same_content(const char *path, const struct out *content)
{
    char error[ERROR_SIZE];
    struct report report = { error, sizeof(error), path };
    struct out present = { 0 };
    bool same =
        read_file(&report, &present) == 0 &&
        bytes_equal(bytes_of(present.data, present.len), bytes_of(content->data, content->len));
    out_done(&present);
    return same;
}

/* ---- dlopen ---------------------------------------------------------------------------------- */

static int no_entry(const struct report *report, void *handle)
{
    static const char *const newer[] = { "mr_module_v1", "mr_module_v2" };
    for (size_t i = 0; i < ARRAY_COUNT(newer); i++) {
        if (dlsym(handle, newer[i]))
            return fail(report, -ENOEXEC,
                "it exports %s, this host knows " MR_ENTRY
                ": compile it with the millrace/processor.h of this version",
                newer[i]);
    }
    return fail(report, -ENOEXEC,
        "it does not export " MR_ENTRY ": not a Millrace processor, or the function is not there "
        "or hidden (include millrace/processor.h where it is defined)");
}

static int load(const struct report *report, const char *path, struct plugin *ret)
{
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!handle)
        return fail(report, -ENOEXEC,
            "it can't be loaded: %s (link it with -Wl,-z,defs to see what is missing)", dlerror());
    const mr_module *(*entry)(void) = NULL;
    void *symbol = dlsym(handle, MR_ENTRY);
    int r = symbol ? 0 : no_entry(report, handle);
    if (r == 0) {
        char error[ERROR_SIZE - 200];
        memcpy(&entry, &symbol, sizeof(entry)); /* POSIX allows it, C has no cast for it */
        ret->module = entry();
        r = module_check(ret->module, error, sizeof(error));
        if (r)
            (void)fail(report, r, "%s", error);
    }
    if (r)
        (void)dlclose(handle);
    else
        ret->handle = handle;
    return r;
}

/* ---- the try in a child ---------------------------------------------------------------------- */

static NORETURN void try_in_child(const struct report *report, const char *path, int to)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct rlimit none = { 0, 0 };
    (void)setrlimit(RLIMIT_CORE, &none);
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; fd < 3; fd++)
        (void)dup2(nothing, fd); /* what it prints comes when it is loaded for good */
    if (dup2(to, 3) < 0)
        _exit(1);
    (void)syscall(SYS_close_range, 4U, ~0U, 0U);
    (void)signal(SIGSEGV, SIG_DFL);
    (void)signal(SIGBUS, SIG_DFL);
    struct plugin plugin = { 0 };
    int r = load(report, path, &plugin);
    plugin_close(&plugin); /* destructors as well */
    if (r)
        (void)!write(3, report->error, strlen(report->error));
    else
        (void)!write(3, "ok", 2);
    _exit(0);
}

static int64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* What the child said, up to its end or the deadline. False: it did not end in time. */
static bool listen_to(int from, char *text, size_t size, int try_ms)
{
    int64_t deadline = now_ms() + try_ms;
    size_t len = 0;
    for (;;) {
        text[len] = '\0';
        struct pollfd ready = { .fd = from, .events = POLLIN };
        int64_t left = deadline - now_ms();
        int n = left > 0 ? poll(&ready, 1, (int)left) : 0;
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        ssize_t got = read(from, text + len, size - 1 - len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return true;
        len += (size_t)got;
    }
}

static int judge(
    const struct report *report, const char *said, bool in_time, int status, int try_ms)
{
    if (!in_time)
        return fail(report, -ETIMEDOUT,
            "loading it did not end within %d ms; does a constructor wait for something?", try_ms);
    if (strcmp(said, "ok") == 0)
        return 0;
    if (*said) {
        (void)snprintf(report->error, report->size, "%s", said);
        return -ENOEXEC;
    }
    if (WIFSIGNALED(status))
        return fail(report, -ENOEXEC,
            "loading it crashed with %s (tried in a process of its own): the file is damaged, or a "
            "constructor or " MR_ENTRY " crashes",
            strsignal(WTERMSIG(status)));
    return fail(report, -ENOEXEC,
        "loading it ended the process it was tried in (status %d): the file is damaged, or a "
        "constructor or " MR_ENTRY " exits",
        WEXITSTATUS(status));
}

static int try_it(const struct report *report, const char *path, int try_ms)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return fail(report, -errno, "no pipe: %s", strerror(errno));
    char said[ERROR_SIZE];
    pid_t child = fork();
    if (child == 0) {
        struct report in_child = { said, sizeof(said), report->file };
        try_in_child(&in_child, path, ends[1]);
    }
    int status = child < 0 ? -errno : 0;
    (void)close(ends[1]);
    bool in_time = child > 0 && listen_to(ends[0], said, sizeof(said), try_ms);
    (void)close(ends[0]);
    if (child < 0)
        return fail(report, status, "no process to try it in: %s", strerror(-status));
    if (!in_time)
        (void)kill(child, SIGKILL);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    return judge(report, said, in_time, status, try_ms);
}

/* ---- all of it ------------------------------------------------------------------------------- */

/* The content as `path`, after it was tried; what fails the try leaves no file. */
static int copy_and_try(const struct report *report, const char *dir, const char *path,
    const struct out *content, int try_ms)
{
    if (same_content(path, content))
        return try_it(report, path, try_ms);
    char *draft = mem_printf("%s.new", path);
    int r = mkdir(dir, 0700) < 0 && errno != EEXIST ? -errno : write_draft(draft, content);
    bool written = r == 0;
    if (written)
        r = try_it(report, draft, try_ms);
    bool good = r == 0;
    if (good)
        r = adopt_draft(draft, path, dir);
    if (r)
        (void)unlink(draft);
    if (r && (good || !written))
        (void)fail(report, r, "its private copy %s can't be written: %s", path, strerror(-r));
    mem_free(draft);
    return r;
}

int plugin_open(
    struct plugin *plugin, const char *file, const char *dir, char *error, size_t error_size)
{
    struct report report = { error, error_size, file };
    struct out content = { 0 };
    struct plugin made = { 0 };
    int r = read_file(&report, &content);
    if (r == 0) {
        XXH128_hash_t hash = XXH3_128bits(content.data, content.len);
        made.path = mem_printf("%s/%016llx%016llx.so", dir, (unsigned long long)hash.high64,
            (unsigned long long)hash.low64);
        r = copy_and_try(
            &report, dir, made.path, &content, plugin->try_ms ? plugin->try_ms : PLUGIN_TRY_MS);
    }
    if (r == 0)
        r = load(&report, made.path, &made);
    out_done(&content);
    if (r)
        mem_free(made.path);
    else
        *plugin = made;
    return r;
}

void plugin_close(struct plugin *plugin)
{
    if (plugin->handle)
        (void)dlclose(plugin->handle);
    mem_free(plugin->path);
    *plugin = (struct plugin){ 0 };
}
