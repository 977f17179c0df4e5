/* topics.h - the commands below `millrace topics`. */
#ifndef CLIENT_TOPICS_H
#define CLIENT_TOPICS_H

#include "tools/command.h"

extern const struct command topics_commands[];

#endif
