/*
 * template.h - the directory that `millrace process new NAME` writes.
 */
#ifndef TOOLS_TEMPLATE_H
#define TOOLS_TEMPLATE_H

#include "protocol/base/bytes.h"
#include "protocol/base/check.h"

enum { TEMPLATE_NAME_MAX = 60 };

/* 1 to 60 of [a-z0-9_-], the first one a letter: fit for a file, a topic and a processor. */
int template_check_name(const char *name) MUST_CHECK;
/* Write the files below `directory`, which is made if it is missing. No file is overwritten:
 * -EEXIST then. 0 or -errno; `failed_path` gets the path that could not be written (free with
 * out_done). */
int template_write(const char *directory, const char *name, struct out *failed_path) MUST_CHECK;

#endif
