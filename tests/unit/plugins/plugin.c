/*
 * plugin.c - shared objects for test_plugin.c, one for each CASE: a good one, and one for each
 * thing that can be wrong with it.
 */
#include "processors/include/millrace/processor.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#define GOOD          0
#define NO_ENTRY      1
#define NEWER_ENTRY   2
#define WRONG_MAGIC   3
#define WRONG_MAJOR   4
#define NEEDS_MORE    5
#define CRASHES       6
#define EXITS         7
#define HANGS         8
#define UNRESOLVED    9
#define ENTRY_CRASHES 10
#define SESSIONS      11

static int batch(mr_task *t, mr_batch *b) MR_CB
{
    for (const mr_rec *r; (r = mr_next(b));)
        mr_emit(t, 0, r->key, r->value);
    return MR_OK;
}

static int window(mr_task *t, const mr_window *w, mr_rows *rows) MR_CB
{
    (void)t;
    (void)w;
    while (mr_next_row(rows))
        continue;
    return MR_OK;
}

static const mr_in_decl in = { sizeof(in), MR_IN_STREAM, 0, 0, 0, "in" };
static const mr_in_decl *const ins[] = { &in, NULL };
static const mr_out_decl out = { sizeof(out), 0, "out", 0, 0 };
static const mr_out_decl *const outs[] = { &out, NULL };
static const mr_win_decl win = { sizeof(win), CASE == SESSIONS ? 3 : MR_WIN_TUMBLE, 0, 1000, 0, 0,
    0, 0, "w" };
static const mr_win_decl *const wins[] = { &win, NULL };
static const mr_store_decl store = { sizeof(store), MR_STORE_WINDOW_COUNT, 1, 0, 0, 0, 0, "s" };
static const mr_store_decl *const stores[] = { &store, NULL };
static const mr_processor processor = { sizeof(processor), 0, "copy", "1", "", ins, outs, stores,
    wins, NULL, NULL, NULL, batch, window };
static const mr_processor *const processors[] = { &processor, NULL };
static const mr_module module = { CASE == WRONG_MAGIC ? 7 : MR_MAGIC, sizeof(module),
    CASE == WRONG_MAJOR ? 1 : MR_ABI_MAJOR, MR_ABI_MINOR, CASE == NEEDS_MORE ? 99 : 0, 0, "copy",
    "1", "", processors, NULL };

#if CASE == CRASHES || CASE == EXITS || CASE == HANGS
__attribute__((constructor)) static void start(void)
{
#if CASE == CRASHES
    (void)raise(SIGSEGV);
#elif CASE == EXITS
    _exit(3);
#else
    for (;;)
        (void)pause();
#endif
}
#endif

#if CASE == NO_ENTRY
const mr_module *nothing(void);
__attribute__((visibility("default"))) const mr_module *nothing(void)
{
    return &module;
}
#elif CASE == NEWER_ENTRY
const mr_module *mr_module_v1(void);
__attribute__((visibility("default"))) const mr_module *mr_module_v1(void)
{
    return &module;
}
#else
#if CASE == UNRESOLVED
int nobody_has_this(void);
#endif
const mr_module *mr_module_v0(void) MR_CB
{
#if CASE == ENTRY_CRASHES
    abort();
#elif CASE == UNRESOLVED
    return nobody_has_this() ? &module : NULL;
#endif
    return &module;
}
#endif
