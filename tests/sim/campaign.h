/* campaign.h - one seed of random lives of a storage. For sim_storage and sim_mutants. */
#ifndef TESTS_SIM_CAMPAIGN_H
#define TESTS_SIM_CAMPAIGN_H

#include "tests/sim/history.h"

enum lie { LIE_NONE, LIE_SYNC, LIE_SYNC_DIR, LIE_DURABLE };

struct campaign {
    size_t operations; /* a seed */
    bool verbose;
    enum lie lie; /* the disk only says that it synced */
};

/* Exits with 1 when the oracle sees something wrong. Returns the hash of the trace. */
uint64_t campaign_run(const struct campaign *campaign, uint64_t seed, struct totals *totals);
/* A line for each count. Returns how many are zero although the issue wants them. */
int campaign_rows(const struct totals *totals, bool must);

#endif
