/* See bytes.h. */
#include "protocol/base/bytes.h"

#include <stdarg.h>
#include <stdio.h>

#include "protocol/base/mem.h"

void out_done(struct out *out)
{
    mem_free(out->data);
    *out = (struct out){ 0 };
}

uint8_t *out_add(struct out *out, size_t size)
{
    mem_grow(out->data, &out->capacity, out->len + size);
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
