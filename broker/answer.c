/* See answer.h. */
#include "broker/answer.h"

#include <stdarg.h>
#include <stdio.h>

#include "broker/broker.h"
#include "protocol/error.h"

enum { TEXT_MAX = 512 };

void *answer_array(struct request *request, const struct struct_table *table, int32_t count)
{
    void *elements = codec_array(&request->arena, table, count);
    if (!elements)
        request_fail(request, "the answer would be larger than a request may take");
    return elements;
}

struct bytes answer_text(struct request *request, const char *format, ...)
{
    char text[TEXT_MAX];
    va_list arguments;
    va_start(arguments, format);
    int len = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (len < 0)
        return bytes_of(NULL, 0);
    if ((size_t)len >= sizeof(text))
        len = (int)sizeof(text) - 1;
    const void *copy = arena_copy(&request->arena, text, (size_t)len);
    return bytes_of(copy, copy ? (size_t)len : 0);
}

char *answer_strdup(struct request *request, struct bytes text)
{
    char *copy = request_alloc(request, text.len + 1);
    if (copy && text.len)
        memcpy(copy, text.data, text.len);
    return copy;
}

struct bytes answer_error_text(int16_t code)
{
    return bytes_text(error_text(code));
}

struct topic *answer_topic(struct request *request, struct bytes name, const struct uuid *id)
{
    struct storage *storage = request->broker->storage;
    struct topic *topic =
        name.data ? storage_topic(storage, name) : storage_topic_by_id(storage, id);
    request_depends(request, topic ? topic->lsn : storage_deletion_lsn(storage));
    return topic;
}
