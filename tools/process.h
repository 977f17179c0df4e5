/* process.h - the commands below `millrace process`. */
#ifndef TOOLS_PROCESS_H
#define TOOLS_PROCESS_H

#include "tools/command.h"

extern const struct command process_commands[];

#endif
