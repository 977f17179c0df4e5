/*
 * How a processor was loaded: the value of STORE_PROCESSOR, its key is the processor's name.
 *
 *     u8 version | text file | text copy | text own name | u32 settings × { text key | text value }
 *     text: u32 len, bytes (little-endian); copy: last part of the path below dir/plugins, or empty
 */
#include <errno.h>

#include "processors/engine.h"
#include "protocol/base/mem.h"

enum { ENTRY_VERSION = 1, SETTINGS_MAX = 10000 };

static void put_text(struct out *out, const char *text)
{
    size_t len = text ? strlen(text) : 0;
    le_put32(out_add(out, 4), (uint32_t)len);
    out_bytes(out, text ? text : "", len);
}

void entry_write(const struct processor *processor, struct out *out)
{
    *out_add(out, 1) = ENTRY_VERSION;
    put_text(out, processor->file);
    put_text(out, processor->copy);
    put_text(out, processor->own_name);
    le_put32(out_add(out, 4), (uint32_t)processor->given_count);
    for (size_t i = 0; i < processor->given_count; i++) {
        put_text(out, processor->given[i].key);
        put_text(out, processor->given[i].value);
    }
}

/* NULL when the bytes end before it. */
static char *get_text(struct bytes *from)
{
    if (from->len < 4 || le_get32(from->data) > from->len - 4)
        return NULL;
    size_t len = le_get32(from->data);
    char *text = mem_strndup((const char *)from->data + 4, len);
    from->data += 4 + len;
    from->len -= 4 + len;
    return text;
}

/* False when they are not there in full. */
static bool get_settings(struct bytes *from, struct setting **ret, size_t *ret_count)
{
    if (from->len < 4 || le_get32(from->data) > SETTINGS_MAX)
        return false;
    size_t count = le_get32(from->data);
    from->data += 4;
    from->len -= 4;
    *ret = mem_zalloc(count, sizeof(**ret));
    *ret_count = count;
    for (size_t i = 0; i < count; i++) {
        (*ret)[i].key = get_text(from);
        (*ret)[i].value = (*ret)[i].key ? get_text(from) : NULL;
        if (!(*ret)[i].value)
            return false;
    }
    return from->len == 0;
}

int entry_read(
    struct processors *owner, struct bytes name, struct bytes value, struct processor **ret)
{
    if (value.len < 1 || value.data[0] == 0)
        return -EBADMSG;
    if (value.data[0] > ENTRY_VERSION)
        return -EPROTO;
    struct bytes left = bytes_of(value.data + 1, value.len - 1);
    char *shown = mem_strndup((const char *)name.data, name.len);
    struct processor *processor = processor_create(owner, shown, "", NULL, 0);
    mem_free(shown);
    mem_free(processor->file);
    mem_free(processor->given);
    processor->given = NULL;
    processor->file = get_text(&left);
    processor->copy = processor->file ? get_text(&left) : NULL;
    processor->own_name = processor->copy ? get_text(&left) : NULL;
    if (!processor->own_name || !get_settings(&left, &processor->given, &processor->given_count)) {
        processor_free(processor);
        return -EBADMSG;
    }
    if (!*processor->copy) {
        mem_free(processor->copy);
        processor->copy = NULL;
    }
    processor->recorded = true;
    *ret = processor;
    return 0;
}
