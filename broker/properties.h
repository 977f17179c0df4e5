/*
 * properties.h - Java's .properties text, key by key.
 *
 * Lines with # or ! first are comments; a backslash at the end of a line joins the next, without
 * its leading blanks; key and value part at the first unescaped =, : or blank; \t \n \r \f, \uXXXX
 * (UTF-16, pairs become one character of UTF-8) and \x for any other x. Bytes above 127 are taken
 * as they are. Reference: the text of java.util.Properties.load.
 */
#ifndef BROKER_PROPERTIES_H
#define BROKER_PROPERTIES_H

#include "protocol/base/bytes.h"

struct properties {
    struct bytes text; /* borrowed */
    size_t at;
    int line;              /* of the last key, from 1 */
    int next_line;         /* the reader's own */
    struct out key, value; /* the last ones, unescaped */
};

void properties_init(struct properties *properties, struct bytes text);
void properties_done(struct properties *properties);
/* 0: key and value are filled (valid until the next call); -ENOENT: the end; -EBADMSG: a broken
 * \u escape or a NUL in the line `line` (the reader stands behind it). */
int properties_next(struct properties *properties) MUST_CHECK;

#endif
