/*
 * See properties.h.
 *
 * One pass: skip blanks and comments, then unescape characters of the logical line into the key
 * until a separator, then into the value until the line ends.
 */
#include "broker/properties.h"

#include <errno.h>

void properties_init(struct properties *properties, struct bytes text)
{
    *properties = (struct properties){ .text = text, .next_line = 1 };
}

void properties_done(struct properties *properties)
{
    out_done(&properties->key);
    out_done(&properties->value);
}

static bool at_end(const struct properties *p)
{
    return p->at == p->text.len;
}

static bool blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\f';
}

static void skip_blanks(struct properties *p)
{
    while (!at_end(p) && blank(p->text.data[p->at]))
        p->at++;
}

/* Steps over one line end, if the reader stands at one: \n, \r or \r\n. */
static bool take_newline(struct properties *p)
{
    if (at_end(p) || (p->text.data[p->at] != '\n' && p->text.data[p->at] != '\r'))
        return false;
    if (p->text.data[p->at] == '\r' && p->at + 1 < p->text.len && p->text.data[p->at + 1] == '\n')
        p->at++;
    p->at++;
    p->next_line++;
    return true;
}

static void skip_line(struct properties *p)
{
    while (!at_end(p) && p->text.data[p->at] != '\n' && p->text.data[p->at] != '\r')
        p->at++;
    (void)take_newline(p);
}

static int hex4(struct properties *p, uint32_t *ret_unit)
{
    uint32_t unit = 0;
    if (p->text.len - p->at < 4)
        return -EBADMSG;
    for (int i = 0; i < 4; i++) {
        uint8_t c = p->text.data[p->at], digit;
        if (c >= '0' && c <= '9')
            digit = (uint8_t)(c - '0');
        else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
            digit = (uint8_t)((c | 0x20) - 'a' + 10);
        else
            return -EBADMSG;
        unit = unit << 4 | digit;
        p->at++;
    }
    *ret_unit = unit;
    return 0;
}

static void add_utf8(struct out *to, uint32_t c)
{
    uint8_t bytes[4];
    size_t len = 0;
    if (c < 0x80) {
        bytes[len++] = (uint8_t)c;
    } else if (c < 0x800) {
        bytes[len++] = (uint8_t)(0xc0 | c >> 6);
    } else if (c < 0x10000) {
        bytes[len++] = (uint8_t)(0xe0 | c >> 12);
        bytes[len++] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
    } else {
        bytes[len++] = (uint8_t)(0xf0 | c >> 18);
        bytes[len++] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
        bytes[len++] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
    }
    if (c >= 0x80)
        bytes[len++] = (uint8_t)(0x80 | (c & 0x3f));
    out_bytes(to, bytes, len);
}

/* Behind "\u". A high surrogate takes the low one behind it along. */
static int take_unicode(struct properties *p, struct out *to)
{
    uint32_t unit, low;
    if (hex4(p, &unit) || unit == 0)
        return -EBADMSG;
    if (unit >= 0xd800 && unit < 0xdc00) {
        if (p->text.len - p->at < 6 || memcmp(p->text.data + p->at, "\\u", 2) != 0)
            return -EBADMSG;
        p->at += 2;
        if (hex4(p, &low) || low < 0xdc00 || low > 0xdfff)
            return -EBADMSG;
        unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
    } else if (unit >= 0xdc00 && unit <= 0xdfff) {
        return -EBADMSG;
    }
    add_utf8(to, unit);
    return 0;
}

/* Behind a backslash. */
static int take_escape(struct properties *p, struct out *to)
{
    if (at_end(p))
        return 0;
    if (take_newline(p)) {
        skip_blanks(p);
        return 0;
    }
    uint8_t c = p->text.data[p->at++];
    switch (c) {
    case 't': c = '\t'; break;
    case 'n': c = '\n'; break;
    case 'r': c = '\r'; break;
    case 'f': c = '\f'; break;
    case 'u': return take_unicode(p, to);
    default: break;
    }
    out_bytes(to, &c, 1);
    return 0;
}

/* Up to the end of the logical line, or (for a key) to a separator. */
static int take_text(struct properties *p, struct out *to, bool key)
{
    while (!at_end(p)) {
        uint8_t c = p->text.data[p->at];
        if (c == '\n' || c == '\r' || (key && (c == '=' || c == ':' || blank(c))))
            return 0;
        if (c == 0)
            return -EBADMSG;
        p->at++;
        if (c != '\\')
            out_bytes(to, &c, 1);
        else if (take_escape(p, to))
            return -EBADMSG;
    }
    return 0;
}

static int take_pair(struct properties *p)
{
    if (take_text(p, &p->key, true))
        return -EBADMSG;
    skip_blanks(p);
    if (!at_end(p) && (p->text.data[p->at] == '=' || p->text.data[p->at] == ':')) {
        p->at++;
        skip_blanks(p);
    }
    return take_text(p, &p->value, false);
}

int properties_next(struct properties *p)
{
    for (;;) {
        skip_blanks(p);
        if (at_end(p))
            return -ENOENT;
        if (take_newline(p))
            continue;
        if (p->text.data[p->at] != '#' && p->text.data[p->at] != '!')
            break;
        skip_line(p);
    }
    p->line = p->next_line;
    p->key.len = p->value.len = 0;
    int status = take_pair(p);
    skip_line(p);
    return status;
}
