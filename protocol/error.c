/* See error.h. Rows are by code without gaps from -1, so a code is a slot. */
#include "protocol/error.h"

#include <stddef.h>

#include "protocol/base/check.h"

struct row {
    const char *name, *text;
    bool retriable;
};

static const struct row rows[] = {
#define X(code, name, retriable, text) [(code) + 1] = { #name, text, retriable },
    KAFKA_ERRORS(X)
#undef X
};

static const struct row *row_of(int16_t code)
{
    return code >= -1 && (size_t)(code + 1) < ARRAY_COUNT(rows) ? &rows[code + 1] : NULL;
}

const char *error_name(int16_t code)
{
    const struct row *row = row_of(code);
    return row ? row->name : "UNKNOWN";
}

const char *error_text(int16_t code)
{
    const struct row *row = row_of(code);
    return row ? row->text : "an error code that is not known";
}

bool error_retriable(int16_t code)
{
    const struct row *row = row_of(code);
    return row && row->retriable;
}
