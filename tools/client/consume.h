/* consume.h - `millrace consume`. */
#ifndef CLIENT_CONSUME_H
#define CLIENT_CONSUME_H

#include "tools/command.h"

extern const struct command consume_command;

#endif
