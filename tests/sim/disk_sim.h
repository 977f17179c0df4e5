/* disk_sim.h - the disk of the simulated world; see sim.h. For sim.c only. */
#ifndef TESTS_SIM_DISK_SIM_H
#define TESTS_SIM_DISK_SIM_H

#include "tests/sim/sim.h"

void disk_sim_init(struct sim *sim);
void disk_sim_done(struct sim *sim);
int64_t disk_sim_next_ns(const struct sim *sim);
void disk_sim_finish_next(struct sim *sim);
/* power false: the process only. */
void disk_sim_crash(struct sim *sim, bool power);
int64_t sim_latency(struct sim *sim);

#endif
