/* produce.h - `millrace produce`. */
#ifndef CLIENT_PRODUCE_H
#define CLIENT_PRODUCE_H

#include "tools/command.h"

extern const struct command produce_command;

#endif
