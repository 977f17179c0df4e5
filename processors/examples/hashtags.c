/*
 * hashtags.c - posts to trending tags: the ten most used hashtags of the last 60 s, every 10 s.
 *
 * Input   `posts`: values are JSON lines or plain text; a tag is #[0-9A-Za-z_\x80-\xff]{1,100} (a
 *         longer one is skipped); A-Z count as a-z. The time of a post is its record's timestamp.
 * Output  `trending`, one partition: for each window that closed up to ten records, rank 1 first:
 *         key    the window's end and the rank, "1700000010000/1"
 *         value
 * {"window_start":1699999950000,"window_end":1700000010000,"rank":1,"tag":"#x","count":42} time the
 * window's end - 1 Equal counts are in the order of their bytes.
 */
#include <millrace/processor.h>

#include <stdio.h>
#include <string.h>

enum { TAG_MAX = 100 };

/* What may stand in a tag, made lower case; 0 for what may not. */
static char letter(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (char)(c - 'A' + 'a');
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || (c & 0x80) ? c : 0;
}

static int batch(mr_task *t, mr_batch *b) MR_CB
{
    for (const mr_rec *r; (r = mr_next(b));) {
        const char *at = r->value.p, *end = r->value.n ? at + r->value.n : at;
        while (at < end && (at = (const char *)memchr(at, '#', (size_t)(end - at)))) {
            char tag[1 + TAG_MAX] = "#", c;
            size_t n = 1;
            for (++at; at < end && (c = letter(*at)); at++, n++)
                if (n <= TAG_MAX)
                    tag[n] = c;
            if (n > 1 && n <= 1 + TAG_MAX)
                mr_win_add(t, 0, mr_bytes(tag, n), 1);
        }
    }
    return MR_OK;
}

static int window(mr_task *t, const mr_window *w, mr_rows *rows) MR_CB
{
    unsigned long long rank = rows->first;
    for (const mr_row *r; (r = mr_next_row(rows));) {
        char key[64], value[256];
        int k = snprintf(key, sizeof(key), "%lld/%llu", (long long)w->end, ++rank);
        int v = snprintf(value, sizeof(value),
            "{\"window_start\":%lld,\"window_end\":%lld,\"rank\":%llu,\"tag\":\"%.*s\",\"count\":%"
            "lld}",
            (long long)w->start, (long long)w->end, rank, (int)r->key.n, r->key.p,
            (long long)r->num);
        mr_emit(t, 0, mr_bytes(key, (size_t)k), mr_bytes(value, (size_t)v));
    }
    return MR_OK;
}

static const mr_in_decl posts = { sizeof(posts), MR_IN_STREAM, 0, 0, 0, "posts" };
static const mr_out_decl trending = { sizeof(trending), 0, "trending", 1, 0 };
static const mr_win_decl hop = { sizeof(hop), MR_WIN_HOP, MR_EMIT_FINAL, 60000, 10000, 2000, 0, 10,
    "hop" };
static const mr_store_decl counts = { sizeof(counts), MR_STORE_WINDOW_COUNT, 1, 0, 0, 0, 0,
    "counts" };

static const mr_in_decl *const inputs[] = { &posts, NULL };
static const mr_out_decl *const outputs[] = { &trending, NULL };
static const mr_win_decl *const windows[] = { &hop, NULL };
static const mr_store_decl *const stores[] = { &counts, NULL };
static const mr_processor hashtags = { sizeof(hashtags), MR_P_ONE_TASK, "hashtags", "1",
    "posts to trending tags: top 10 of 60 s, every 10 s", inputs, outputs, stores, windows, NULL,
    NULL, NULL, batch, window };
static const mr_processor *const processors[] = { &hashtags, NULL };
static const mr_module module = { MR_MAGIC, sizeof(module), MR_ABI_MAJOR, MR_ABI_MINOR, 0, 0,
    "hashtags", "1", "Apache-2.0", processors, NULL };

const mr_module *mr_module_v0(void) MR_CB
{
    return &module;
}
