/*
 * creation.c - see creation.h.
 *
 * Collisions of '.' and '_' are looked up in a folded set of all names that have one of the two; it
 * is built by the first new name that has one, so usual names cost nothing.
 */
#include "broker/creation.h"

#include <errno.h>

#include "broker/answer.h"
#include "broker/broker.h"
#include "broker/internal_topics.h"
#include "protocol/error.h"

static bool can_collide(struct bytes name)
{
    return memchr(name.data, '.', name.len) || memchr(name.data, '_', name.len);
}

static int folded_build(struct creation *creation)
{
    struct request *request = creation->request;
    struct storage *storage = request->broker->storage;
    size_t count = 0;
    for (struct topic *t = storage_topic_next(storage, NULL); t; t = storage_topic_next(storage, t))
        count += can_collide(bytes_text(t->name));
    int error = name_set_init(&creation->folded, &request->arena, count + creation->topics_max,
        random_u64(request->broker->doors->random), true);
    if (error)
        return error;
    int32_t number;
    for (struct topic *t = storage_topic_next(storage, NULL); t; t = storage_topic_next(storage, t))
        if (can_collide(bytes_text(t->name)))
            (void)name_set_add(&creation->folded, bytes_text(t->name), 0, &number, NULL);
    creation->folded_ready = true;
    return 0;
}

/* 0; INVALID_TOPIC_EXCEPTION with a message; -1: the request has failed. */
static int16_t collision_check(
    struct creation *creation, struct bytes name, struct bytes *ret_message)
{
    if (!can_collide(name))
        return 0;
    if (!creation->folded_ready && folded_build(creation)) {
        request_fail(creation->request, "no memory to compare the names of all topics");
        return KAFKA_ERROR_UNKNOWN_SERVER_ERROR;
    }
    int32_t number;
    struct bytes other;
    if (name_set_add(&creation->folded, name, 0, &number, &other))
        return 0;
    *ret_message = answer_text(creation->request,
        "topic '%.*s' collides with '%.*s': names that differ only in '.' and '_' may not both "
        "exist",
        (int)name.len, name.data, (int)other.len, other.data);
    return KAFKA_ERROR_INVALID_TOPIC_EXCEPTION;
}

bool creation_room(
    struct request *request, int64_t in_request, int64_t more, struct bytes *ret_message)
{
    if (in_request + more > CREATION_PARTITIONS_PER_REQUEST_MAX) {
        *ret_message = answer_text(request, "one request may create at most %d partitions",
            CREATION_PARTITIONS_PER_REQUEST_MAX);
        return false;
    }
    if ((int64_t)storage_log_count(request->broker->storage) + in_request + more >
        BROKER_PARTITIONS_MAX) {
        *ret_message = answer_text(
            request, "this broker may have at most %d partitions", BROKER_PARTITIONS_MAX);
        return false;
    }
    return true;
}

static int16_t unit_add(
    struct creation *creation, struct topic_plan *plan, struct bytes *ret_message)
{
    struct request *request = creation->request;
    struct broker *broker = request->broker;
    if (!creation->commit)
        creation->commit = commit_create(request, creation->done);
    plan->id = uuid_random(broker->doors->random);
    int error = unit_create_topic(&creation->commit->unit, broker->storage, plan->name, &plan->id,
        plan->partitions, plan->entries, plan->entry_count);
    if (!error)
        return 0;
    int16_t code = error == -EEXIST ? KAFKA_ERROR_TOPIC_ALREADY_EXISTS : request_error_of(error);
    *ret_message = answer_error_text(code);
    return code;
}

int16_t creation_add(struct creation *creation, struct topic_plan *plan, struct bytes *ret_message)
{
    struct request *request = creation->request;
    const char *fault = topic_name_fault(plan->name);
    if (fault) {
        *ret_message = bytes_text(fault);
        return KAFKA_ERROR_INVALID_TOPIC_EXCEPTION;
    }
    if (bytes_equal_text(plan->name, "__cluster_metadata")) {
        *ret_message = bytes_text("__cluster_metadata is the log of Kafka's controllers");
        return KAFKA_ERROR_INVALID_REQUEST;
    }
    if (internal_topics_show(request->broker->internal_topics, plan->name) ||
        answer_topic(request, plan->name, NULL)) {
        *ret_message = answer_text(
            request, "topic '%.*s' already exists", (int)plan->name.len, plan->name.data);
        return KAFKA_ERROR_TOPIC_ALREADY_EXISTS;
    }
    if (!creation_room(request, creation->partitions, plan->partitions, ret_message))
        return KAFKA_ERROR_POLICY_VIOLATION;
    *ret_message = bytes_of(NULL, 0);
    int16_t code = collision_check(creation, plan->name, ret_message);
    if (code)
        return code;
    if (!creation->validate_only)
        code = unit_add(creation, plan, ret_message);
    if (!code)
        creation->partitions += plan->partitions;
    return code;
}
