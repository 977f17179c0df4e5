/* groups.h - the commands below `millrace groups`. */
#ifndef CLIENT_GROUPS_H
#define CLIENT_GROUPS_H

#include "tools/command.h"

extern const struct command groups_commands[];

#endif
