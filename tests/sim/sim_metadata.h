/* sim_metadata.h - asks for topics, and compares the answer with the ledger. */
#ifndef TESTS_SIM_SIM_METADATA_H
#define TESTS_SIM_SIM_METADATA_H

#include "tests/sim/client.h"

enum { METADATA_ALL = -1 };

/* Of one slot, or all. `create`: topics that are not there are made. */
void sim_metadata_ask(struct client *client, int slot, bool create);

#endif
