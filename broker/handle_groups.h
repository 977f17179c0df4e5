/*
 * handle_groups.h - how answers of a group reach the requests that wait for them.
 */
#ifndef BROKER_HANDLE_GROUPS_H
#define BROKER_HANDLE_GROUPS_H

#include "broker/classic_group.h"

struct request;

/* The coordinator's effects: finish the request that the token is. Everything is copied. */
void handle_join_group_answer(
    struct request *request, struct group *group, const struct classic_join_answer *from);
void handle_sync_group_answer(
    struct request *request, struct group *group, const struct classic_sync_answer *from);

/* The group, of which the answer is to tell: it waits until what is told is durable, also that
 * there is none (any more: NULL). */
struct group *group_to_tell(struct request *request, struct bytes id);

/* Kafka's rule for a group id in requests of members, and ours: no NUL inside. */
bool group_id_valid(struct bytes id);
/* Said, and nothing but blanks: Kafka takes that for nothing. */
bool group_text_blank(struct bytes text);

#endif
