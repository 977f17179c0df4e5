/*
 * answer.h - small things every handler needs to build its answer.
 *
 * All memory is the request's arena: it ends with the request. When the arena's limit is reached
 * the request has failed (its connection closes) and NULL comes back: the handler returns at once.
 */
#ifndef BROKER_ANSWER_H
#define BROKER_ANSWER_H

#include "broker/request.h"
#include "protocol/codec.h"

/* `count` elements of an array of the answer, each at its defaults. NULL: the request has failed.
 */
void *answer_array(
    struct request *request, const struct struct_table *table, int32_t count) MUST_CHECK;
/* printf into the arena, for error messages. Null bytes if the arena is full (a message may be
 * missing, an answer may not). */
struct bytes answer_text(struct request *request, const char *format, ...) PRINTF_LIKE(2, 3);
/* A NUL-terminated copy; NULL: the request has failed. */
char *answer_strdup(struct request *request, struct bytes text) MUST_CHECK;
/* error_text() of a code as bytes. */
struct bytes answer_error_text(int16_t code);

/* The topic of a request's row: by name, or by id when the name is null. What the answer says of it
 * waits until the topic's newest change is durable. NULL: there is none; saying so waits until the
 * newest deletion is durable. */
struct topic *answer_topic(struct request *request, struct bytes name, const struct uuid *id);

#endif
