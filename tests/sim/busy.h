/*
 * busy.h - a plugin that uses all there is, for tests: counts in two windows, sums, remembers,
 * emits, drops and buries. Its declarations serve other plugins as well.
 */
#ifndef TESTS_SIM_BUSY_H
#define TESTS_SIM_BUSY_H

#include <stdio.h>
#include <string.h>

#include "processors/include/millrace/processor.h"

#define LIST(type, name, ...) static const type *const name[] = { __VA_ARGS__, NULL }

static const mr_in_decl in = { sizeof(in), MR_IN_STREAM, 0, 0, 0, "in" };
LIST(mr_in_decl, ins, &in);
static const mr_out_decl out = { sizeof(out), 0, "out", 0, 0 };
LIST(mr_out_decl, outs, &out);
static const mr_win_decl hop = { sizeof(hop), MR_WIN_HOP, 0, 60, 10, 5, 0, 3, "hop" };
static const mr_win_decl tumble = { sizeof(hop), MR_WIN_TUMBLE, 0, 25, 0, 5, 0, 0, "tumble" };
LIST(mr_win_decl, wins, &hop, &tumble);
static const mr_store_decl words = { sizeof(words), MR_STORE_WINDOW_COUNT, 1, 0, 0, 0, 0, "words" };
static const mr_store_decl all = { sizeof(all), MR_STORE_WINDOW_COUNT, 1, 1, 0, 0, 0, "all" };
static const mr_store_decl sums = { sizeof(sums), MR_STORE_COUNT, 1, 0, 0, 0, 0, "sums" };
static const mr_store_decl last = { sizeof(last), MR_STORE_KV, 1, 0, 0, 0, 0, "last" };
LIST(mr_store_decl, everything, &words, &all, &sums, &last);

enum { WORDS, ALL, SUMS, LAST };

static mr_buf text(const char *from)
{
    return mr_bytes(from, strlen(from));
}

static void emit_number(mr_task *t, mr_buf key, const char *what, int64_t number)
{
    char value[64];
    int n = snprintf(value, sizeof(value), "%s %lld", what, (long long)number);
    mr_emit(t, 0, key, mr_bytes(value, (size_t)n));
}

/* Uses all there is: counts words in both windows, sums, remembers, emits, drops and buries. */
static int busy_batch(mr_task *t, mr_batch *b)
{
    for (const mr_rec *r; (r = mr_next(b));) {
        mr_win_add(t, WORDS, r->value, 1);
        mr_win_add(t, ALL, r->key, 1);
        int64_t sum = mr_add(t, SUMS, r->key, (int64_t)r->value.n);
        mr_buf before = mr_get(t, LAST, r->key);
        if (before.p && before.n == r->value.n && memcmp(before.p, r->value.p, before.n) == 0)
            mr_put(t, LAST, r->key, mr_bytes(NULL, 0));
        else
            mr_put(t, LAST, r->key, r->value);
        if (sum % 3 == 0)
            emit_number(t, r->key, "sum", sum);
        if (r->value.p[0] == 'd')
            return t->h->fail(t, MR_DROP, "it begins with d");
        if (r->value.p[0] == 'x')
            return t->h->fail(t, MR_DEAD, "it begins with x");
    }
    return MR_OK;
}

static int busy_window(mr_task *t, const mr_window *w, mr_rows *rows)
{
    for (const mr_row *r; (r = mr_next_row(rows));) {
        char value[64];
        int n = snprintf(value, sizeof(value), "%u %lld-%lld %lld", w->store, (long long)w->start,
            (long long)w->end, (long long)r->num);
        mr_emit(t, 0, r->key, mr_bytes(value, (size_t)n));
        mr_add(t, SUMS, text("rows"), 1);
    }
    return MR_OK;
}

static const mr_processor busy = { sizeof(busy), MR_P_ONE_TASK, "busy", "1", "", ins, outs,
    everything, wins, NULL, NULL, NULL, busy_batch, busy_window };

#endif
