/*
 * text.h - bytes that may be no text: base64, JSON strings, escapes.
 */
#ifndef CLIENT_TEXT_H
#define CLIENT_TEXT_H

#include "protocol/base/bytes.h"

/* `bytes`, which must be UTF-8, as a JSON string with its quotes. */
void text_json_string(struct out *out, struct bytes bytes);
/* RFC 4648 section 4, padded. */
void text_base64(struct out *out, struct bytes bytes);
/* The inverse: 0, or -EINVAL for anything that text_base64 does not write. `to` has room for
 * text.len / 4 * 3 bytes; *ret_len of them are filled. */
int text_base64_decode(struct bytes text, uint8_t *to, size_t *ret_len) MUST_CHECK;
/* `text` with \n, \r, \t, \0, \\ and \xHH replaced by what they stand for: 0 or -EINVAL. */
int text_unescape(const char *text, struct out *out) MUST_CHECK;

#endif
