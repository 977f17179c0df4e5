/*
 * share_request.h - what ShareFetch and ShareAcknowledge have in common: entering a share session,
 * and what a client says of the records that it holds.
 */
#ifndef BROKER_SHARE_REQUEST_H
#define BROKER_SHARE_REQUEST_H

#include "broker/request.h"
#include "broker/shares.h"

enum { SHARE_SESSION_FIRST = 0, SHARE_SESSION_FINAL = -1 };

/* The session of an acknowledgement, or of a fetch that is not the first; it is moved to the next
 * epoch (but for the final one). NULL and why. */
struct share_session *share_request_enter(struct request *request, struct bytes group,
    struct bytes member, int32_t epoch, int16_t *ret_code);
/* True: both ids are there. */
bool share_request_named(struct bytes group, struct bytes member);

/* What is said of one partition, as both messages have it. */
struct share_said {
    struct uuid topic;
    int32_t index;
    const struct share_ack *acks;
    size_t ack_count;
    bool renew; /* the request says that some ask for more time */
};
/* A Kafka error; in memory only: shares_save. */
int16_t share_request_say(
    struct request *request, const struct share_session *session, const struct share_said *said);
/* Room for the acknowledgements of a partition; NULL: the request has failed. */
struct share_ack *share_request_acks(struct request *request, int32_t count) MUST_CHECK;

#endif
