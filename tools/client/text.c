/*
 * text.c - what a record's bytes need to travel through a terminal, a pipe or JSON unharmed.
 */
#include "tools/client/text.h"

#include <errno.h>

/* ---- JSON ----------------------------------------------------------------------------------- */

void text_json_string(struct out *out, struct bytes bytes)
{
    size_t from = 0;

    out_text(out, "\"");
    for (size_t i = 0; i < bytes.len; i++) {
        uint8_t c = bytes.data[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        out_bytes(out, bytes.data + from, i - from);
        from = i + 1;
        if (c == '"' || c == '\\')
            out_printf(out, "\\%c", c);
        else if (c == '\n')
            out_text(out, "\\n");
        else if (c == '\t')
            out_text(out, "\\t");
        else
            out_printf(out, "\\u%04x", c);
    }
    out_bytes(out, bytes.data + from, bytes.len - from);
    out_text(out, "\"");
}

/* ---- base64 --------------------------------------------------------------------------------- */

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void text_base64(struct out *out, struct bytes bytes)
{
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t n = bytes.len - i < 3 ? bytes.len - i : 3;
        uint32_t bits = (uint32_t)bytes.data[i] << 16;
        bits |= n > 1 ? (uint32_t)bytes.data[i + 1] << 8 : 0;
        bits |= n > 2 ? bytes.data[i + 2] : 0;
        char four[4] = { digits[bits >> 18], digits[bits >> 12 & 63],
            n > 1 ? digits[bits >> 6 & 63] : '=', n > 2 ? digits[bits & 63] : '=' };
        out_bytes(out, four, sizeof(four));
    }
}

static int digit_value(uint8_t c)
{
    const char *at = c ? strchr(digits, c) : NULL;

    return at ? (int)(at - digits) : -1;
}

int text_base64_decode(struct bytes text, uint8_t *to, size_t *ret_len)
{
    size_t len = 0;

    if (text.len % 4 != 0)
        return -EINVAL;
    for (size_t i = 0; i < text.len; i += 4) {
        bool last = i + 4 == text.len;
        size_t pads = !last || text.data[i + 3] != '=' ? 0 : text.data[i + 2] != '=' ? 1 : 2;
        uint32_t bits = 0;
        for (size_t j = 0; j < 4; j++) {
            int value = j >= 4 - pads ? 0 : digit_value(text.data[i + j]);
            if (value < 0)
                return -EINVAL;
            bits = bits << 6 | (uint32_t)value;
        }
        if ((pads == 1 && bits & 0xff) || (pads == 2 && bits & 0xffff))
            return -EINVAL;
        for (size_t j = 0; j < 3 - pads; j++)
            to[len++] = (uint8_t)(bits >> (16 - 8 * j));
    }
    *ret_len = len;
    return 0;
}

/* ---- escapes -------------------------------------------------------------------------------- */

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int text_unescape(const char *text, struct out *out)
{
    for (; *text; text++) {
        uint8_t byte = (uint8_t)*text;
        if (*text == '\\') {
            text++;
            switch (*text) {
            case 'n': byte = '\n'; break;
            case 'r': byte = '\r'; break;
            case 't': byte = '\t'; break;
            case '0': byte = '\0'; break;
            case '\\': byte = '\\'; break;
            case 'x':
                if (hex_value(text[1]) < 0 || hex_value(text[2]) < 0)
                    return -EINVAL;
                byte = (uint8_t)(hex_value(text[1]) << 4 | hex_value(text[2]));
                text += 2;
                break;
            default: return -EINVAL;
            }
        }
        out_bytes(out, &byte, 1);
    }
    return 0;
}
