/* See bytes.h. */
#include "protocol/base/bytes.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "protocol/base/mem.h"

/* Continuation bytes behind the lead byte at `at`, or -1; the first of them may be restricted. */
static int utf8_following(const uint8_t *at, size_t left)
{
    uint8_t lead = at[0], low = 0x80, high = 0xbf;
    int following;
    if (lead < 0x80)
        return 0;
    if (lead < 0xc2 || lead > 0xf4)
        return -1;
    if (lead < 0xe0)
        following = 1;
    else if (lead < 0xf0)
        following = 2;
    else
        following = 3;
    if (lead == 0xe0)
        low = 0xa0; /* shorter forms exist below */
    else if (lead == 0xed)
        high = 0x9f; /* surrogates above */
    else if (lead == 0xf0)
        low = 0x90;
    else if (lead == 0xf4)
        high = 0x8f;
    if (left <= (size_t)following || at[1] < low || at[1] > high)
        return -1;
    for (int i = 2; i <= following; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return -1;
    }
    return following;
}

bool bytes_utf8(struct bytes run)
{
    size_t i = 0;
    while (i < run.len) {
        /* Names are mostly ASCII: eight bytes at a time. */
        if (run.len - i >= 8 && !(le_get64(run.data + i) & UINT64_C(0x8080808080808080))) {
            i += 8;
            continue;
        }
        int following = utf8_following(run.data + i, run.len - i);
        if (following < 0)
            return false;
        i += (size_t)following + 1;
    }
    return true;
}

void out_done(struct out *out)
{
    mem_free(out->data);
    *out = (struct out){ 0 };
}

int out_reserve(struct out *out, size_t size)
{
    if (size <= out->capacity - out->len)
        return 0;
    if (size > SIZE_MAX / 2 - out->len)
        return -ENOMEM;
    uint8_t *data = mem_try_realloc(out->data, out->len + size);
    if (!data)
        return -ENOMEM;
    out->data = data;
    out->capacity = out->len + size;
    return 0;
}

uint8_t *out_add(struct out *out, size_t size)
{
    /* Never NULL, not even for nothing: callers add to the pointer. */
    mem_grow(out->data, &out->capacity, out->len + size + (out->data ? 0 : 1));
    uint8_t *at = out->data + out->len;
    out->len += size;
    return at;
}

void out_bytes(struct out *out, const void *data, size_t len)
{
    if (len)
        memcpy(out_add(out, len), data, len);
}

void out_text(struct out *out, const char *text)
{
    out_bytes(out, text, strlen(text));
}

void out_printf(struct out *out, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    CHECK(len >= 0);
    /* vsnprintf writes a NUL behind the text: make room for it, do not count it. */
    uint8_t *at = out_add(out, (size_t)len + 1);
    (void)vsnprintf((char *)at, (size_t)len + 1, format, again);
    va_end(again);
    out->len--;
}
