/* storage.h - `millrace storage check`: looks at a data directory of a broker that is stopped. */
#ifndef TOOLS_STORAGE_H
#define TOOLS_STORAGE_H

#include "tools/command.h"

/* What comes behind "millrace storage". */
extern const struct command storage_commands[];

#endif
