/*
 * life.h - lives of a storage in the simulated world: what history.c and compaction_world.c have in
 * common.
 */
#ifndef TESTS_SIM_LIFE_H
#define TESTS_SIM_LIFE_H

#include "storage/storage.h"
#include "tests/sim/sim.h"

/* The life ends inside its start, by kill -9 or (true) by a power cut; the machine is there again.
 */
static inline bool life_fall(struct sim *sim, struct random *random)
{
    bool power = !random_chance(random, 1, 2);
    if (power)
        sim_power(sim);
    else
        sim_kill(sim);
    sim_restart(sim);
    return power;
}

/* Is anything of this life safe, so that somebody may have been told? */
static inline bool life_told(const struct storage *storage)
{
    struct bytes value;
    uint64_t lsn;
    return store_get(storage, STORE_CLUSTER, bytes_text("starts"), &value, &lsn) &&
           storage_is_durable(storage, lsn);
}

/* Adds up structs of uint64_t. */
static inline void counts_add(void *sum, const void *add, size_t size)
{
    uint64_t *to = sum;
    const uint64_t *from = add;
    for (size_t i = 0; i < size / sizeof(*to); i++)
        to[i] += from[i];
}

#endif
