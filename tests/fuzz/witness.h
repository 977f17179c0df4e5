/*
 * witness.h - the oracle of fuzz_connection: what a client that comes anew can see.
 */
#ifndef TESTS_FUZZ_WITNESS_H
#define TESTS_FUZZ_WITNESS_H

#include "tests/fuzz/house.h"

/* A sum over every topic (name, id, partitions, first and last offset of each) and every committed
 * offset of the groups that tests/fuzz/grammar.c names, asked for by requests. Does not depend on
 * the order in which the broker tells them. Every question must be answered. */
uint64_t witness_sum(struct house *house);

#endif
