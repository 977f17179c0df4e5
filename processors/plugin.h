/*
 * plugin.h - shared objects on disk: checked, copied, tried, loaded. The one place that calls
 * dlopen.
 *
 * Blocking: call it from a job of the work pool. One load at a time.
 */
#ifndef PROCESSORS_PLUGIN_H
#define PROCESSORS_PLUGIN_H

#include <stddef.h>

#include "processors/include/millrace/processor.h"
#include "protocol/base/bytes.h"
#include "protocol/base/check.h"

enum {
    PLUGIN_SIZE_MAX = 64 << 20,
    PLUGIN_TRY_MS = 5000,
};

struct plugin {
    int try_ms; /* set by the caller: how long a constructor may take; 0: PLUGIN_TRY_MS */
    const mr_module *module; /* valid until plugin_close; passed module_check */
    void *handle;
    char *path; /* of the private copy */
};

/* Loads a private copy of `file`, kept as `dir`/<hash of the content>.so (`dir` is made if it is
 * missing). `file` may be such a copy. 0, or -errno with `error` filled: what, where, what to do.
 */
int plugin_open(struct plugin *plugin, const char *file, const char *dir, char *error,
    size_t error_size) MUST_CHECK;
/* No code of it may run any more. Accepts a zeroed one. The copy on disk stays. */
void plugin_close(struct plugin *plugin);

/* Pure: whether the bytes are a complete ELF shared object for this machine; a text for people, or
 * NULL if all is well. */
const char *plugin_fault(struct bytes content);

#endif
