/*
 * handle_transactions.h - what the handlers that have to do with transactions share: error codes.
 */
#ifndef BROKER_HANDLE_TRANSACTIONS_H
#define BROKER_HANDLE_TRANSACTIONS_H

#include <stdint.h>

/* PRODUCER_FENCED is INVALID_PRODUCER_EPOCH to versions below `knows_fenced`. */
int16_t transaction_code_for(int16_t code, int16_t version, int16_t knows_fenced);
/* Of a status of transaction_coordinator_step. */
int16_t transaction_code_of(int status);

#endif
