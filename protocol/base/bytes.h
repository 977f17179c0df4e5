/*
 * bytes.h - borrowed runs of bytes, a growable output, and the fixed integer encodings.
 *
 * Wire integers are big-endian (be_*), our own disk formats little-endian (le_*).
 */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "protocol/base/check.h"

/* A run somebody else owns. data == NULL is Kafka's null; an empty run has data != NULL. */
struct bytes {
    const uint8_t *data;
    size_t len;
};

static inline struct bytes bytes_of(const void *data, size_t len)
{
    return (struct bytes){ (const uint8_t *)data, len };
}
static inline struct bytes bytes_text(const char *text)
{
    return bytes_of(text, strlen(text));
}
static inline bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.len == b.len &&
           (a.len == 0 || (a.data && b.data && memcmp(a.data, b.data, a.len) == 0));
}
static inline bool bytes_equal_text(struct bytes a, const char *text)
{
    return bytes_equal(a, bytes_text(text));
}
/* As bytes sort: < 0, 0, > 0; what another begins with comes before it. Null is as empty. */
static inline int bytes_compare(struct bytes a, struct bytes b)
{
    size_t shorter = a.len < b.len ? a.len : b.len;
    int order = shorter ? memcmp(a.data, b.data, shorter) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}
static inline bool bytes_begin_with(struct bytes run, struct bytes prefix)
{
    return run.len >= prefix.len &&
           (prefix.len == 0 || memcmp(run.data, prefix.data, prefix.len) == 0);
}
/* Behind the last byte; NULL for null, to which C lets nobody add even 0. */
static inline const uint8_t *bytes_end(struct bytes run)
{
    return run.data ? run.data + run.len : NULL;
}

/* Well-formed UTF-8: no overlong forms, no surrogates, nothing above U+10FFFF. */
bool bytes_utf8(struct bytes run);

/* Growable output. Zeroed is a valid empty one. Sizes here are the program's own: growth aborts on
 * exhaustion, so whoever fills it from a client's numbers bounds them first. */
struct out {
    uint8_t *data;
    size_t len, capacity;
};
void out_done(struct out *out);
/* Memory for `size` more bytes, so that the next out_add of so many cannot abort: for sizes that
 * somebody else named. 0 or -ENOMEM; len stays. */
int out_reserve(struct out *out, size_t size) MUST_CHECK;
/* Room for `size` more bytes, which the caller fills; len is raised by it. Valid until the next. */
uint8_t *out_add(struct out *out, size_t size);
void out_bytes(struct out *out, const void *data, size_t len);
void out_text(struct out *out, const char *text);
void out_printf(struct out *out, const char *format, ...) PRINTF_LIKE(2, 3)
    __attribute__((nonnull(2)));

#define BYTES_DEFINE_INT(bits)                                                                     \
    static inline uint##bits##_t be_get##bits(const void *at)                                      \
    {                                                                                              \
        uint##bits##_t v;                                                                          \
        memcpy(&v, at, sizeof(v));                                                                 \
        return __builtin_bswap##bits(v);                                                           \
    }                                                                                              \
    static inline void be_put##bits(void *at, uint##bits##_t v)                                    \
    {                                                                                              \
        v = __builtin_bswap##bits(v);                                                              \
        memcpy(at, &v, sizeof(v));                                                                 \
    }                                                                                              \
    static inline uint##bits##_t le_get##bits(const void *at)                                      \
    {                                                                                              \
        uint##bits##_t v;                                                                          \
        memcpy(&v, at, sizeof(v));                                                                 \
        return v;                                                                                  \
    }                                                                                              \
    static inline void le_put##bits(void *at, uint##bits##_t v)                                    \
    {                                                                                              \
        memcpy(at, &v, sizeof(v));                                                                 \
    }
BYTES_DEFINE_INT(16)
BYTES_DEFINE_INT(32)
BYTES_DEFINE_INT(64)
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "le_* assume a little-endian machine");

#endif
