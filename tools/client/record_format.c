/*
 * record_format.c - a format is parsed once into pieces: literal bytes, or one token each.
 */
#include <errno.h>
#include <inttypes.h>

#include "protocol/base/mem.h"
#include "tools/client/record.h"
#include "tools/client/text.h"

enum { PIECES_MAX = 256 };

struct piece {
    char token; /* 0: literal */
    struct out literal;
};

struct record_format {
    struct piece pieces[PIECES_MAX];
    size_t count;
};

static const char tokens[] = "tpokKvsVSTh";

static struct piece *add_piece(struct record_format *format, char token)
{
    if (format->count == PIECES_MAX)
        return NULL;
    struct piece *piece = &format->pieces[format->count++];
    piece->token = token;
    return piece;
}

/* The text up to the next percent sign. */
static int add_literal(struct record_format *format, const char *text, size_t len)
{
    struct piece *piece = add_piece(format, 0);

    if (!piece)
        return -E2BIG;
    char *copy = mem_strndup(text, len);
    int error = text_unescape(copy, &piece->literal);
    mem_free(copy);
    return error;
}

static int parse(struct record_format *format, const char *text, char *error, size_t error_size)
{
    while (*text) {
        size_t len = strcspn(text, "%");
        int failed = len ? add_literal(format, text, len) : 0;
        if (failed) {
            (void)snprintf(error, error_size,
                failed == -E2BIG
                    ? "the format has too many tokens"
                    : "a backslash in the format wants n, r, t, 0, \\ or xHH behind it");
            return failed;
        }
        text += len;
        if (!*text)
            break;
        char token = text[1];
        struct piece *piece = add_piece(format, token == '%' ? 0 : token);
        if (!piece || !token || (token != '%' && !strchr(tokens, token))) {
            (void)snprintf(error, error_size,
                piece ? "no token %%%c in a format; there are %s and %%%%"
                      : "the format has too many tokens",
                token ? token : ' ', "%t %p %o %k %K %v %V %s %S %T %h");
            return -EINVAL;
        }
        if (token == '%')
            out_text(&piece->literal, "%");
        text += 2;
    }
    return 0;
}

struct record_format *record_format_create(const char *text, char *error, size_t error_size)
{
    struct record_format *format = mem_zalloc(1, sizeof(*format));

    if (parse(format, text, error, error_size) < 0) {
        record_format_destroy(format);
        return NULL;
    }
    return format;
}

void record_format_destroy(struct record_format *format)
{
    if (!format)
        return;
    for (size_t i = 0; i < format->count; i++)
        out_done(&format->pieces[i].literal);
    mem_free(format);
}

static void write_size(struct out *out, struct bytes bytes)
{
    out_printf(out, "%" PRId64, bytes.data ? (int64_t)bytes.len : -1);
}

static void write_headers(struct out *out, const struct record *record)
{
    for (size_t i = 0; i < record->header_count; i++) {
        const struct record_header *header = &record->headers[i];
        out_printf(out, "%s%s=", i ? "," : "", header->name);
        if (header->value.data)
            out_bytes(out, header->value.data, header->value.len);
        else
            out_text(out, "NULL");
    }
}

static void write_token(char token, const struct record *record, struct out *out)
{
    switch (token) {
    case 't': out_text(out, record->topic); break;
    case 'p': out_printf(out, "%" PRId32, record->partition); break;
    case 'o': out_printf(out, "%" PRId64, record->offset); break;
    case 'k': out_bytes(out, record->key.data, record->key.len); break;
    case 'K': write_size(out, record->key); break;
    case 'v':
    case 's': out_bytes(out, record->value.data, record->value.len); break;
    case 'V':
    case 'S': write_size(out, record->value); break;
    case 'T': out_printf(out, "%" PRId64, record->timestamp_ms); break;
    case 'h': write_headers(out, record); break;
    default: CHECK(token == 0); break; /* parse() lets no other through */
    }
}

void record_format_write(
    const struct record_format *format, const struct record *record, struct out *out)
{
    for (size_t i = 0; i < format->count; i++) {
        const struct piece *piece = &format->pieces[i];
        if (piece->token)
            write_token(piece->token, record, out);
        else
            out_bytes(out, piece->literal.data, piece->literal.len);
    }
}
