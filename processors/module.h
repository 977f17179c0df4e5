/*
 * module.h - what a plugin declares, checked before any of it is used. Pure.
 *
 * Everything unknown is refused: a flag bit, a kind, a role, bytes behind the structs we know that
 * are not zero. So a declaration that was accepted is one that is obeyed.
 */
#ifndef PROCESSORS_MODULE_H
#define PROCESSORS_MODULE_H

#include <stddef.h>

#include "processors/include/millrace/processor.h"
#include "protocol/base/check.h"

enum {
    MODULE_PROCESSORS_MAX = 64,
    MODULE_TOPICS_MAX = 64, /* inputs, and outputs, of one processor */
    MODULE_STORES_MAX = 16,
    MODULE_WINDOWS_MAX = 16,
    MODULE_CONF_MAX = 64,
    MODULE_NAME_MAX = 100,
};

/* 0, or -EINVAL with a sentence in `error` that names the place and says what was expected. */
int module_check(const mr_module *module, char *error, size_t error_size) MUST_CHECK;
/* By name; NULL name: the only one. NULL if there is none, or several and no name. */
const mr_processor *module_processor(const mr_module *module, const char *name);

#endif
