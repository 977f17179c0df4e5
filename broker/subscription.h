/*
 * subscription.h - what a member of a group that the broker assigns wants to read: names of topics,
 * and a regular expression over all of them (KIP-848, SubscribedTopicRegex); and the topics that
 * follow from it.
 *
 * The expression must match the whole name. Kafka takes RE2's syntax; here it is PCRE2's without
 * what needs to go back (back references), which for names of topics reads the same, matched by its
 * automaton with a limit, so that no expression can hold the loop up.
 */
#ifndef BROKER_SUBSCRIPTION_H
#define BROKER_SUBSCRIPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/topic_view.h"
#include "protocol/base/bytes.h"

struct cursor;

/* Names, sorted, each once. */
struct name_list {
    char **names;
    size_t count;
};

void name_list_done(struct name_list *list);
/* From a request; the list was empty or is replaced. */
void name_list_set(struct name_list *list, const struct bytes *names, size_t count);
bool name_list_has(const struct name_list *list, struct bytes name);
bool name_list_equal(const struct name_list *a, const struct name_list *b);
bool name_list_is(const struct name_list *list, const struct bytes *names, size_t count);
void name_list_copy(struct name_list *to, const struct name_list *from);
size_t name_list_size(const struct name_list *list); /* bytes it takes */
void name_list_put(struct out *out, const struct name_list *list);
void name_list_take(struct cursor *cursor, struct name_list *ret_list);

/* Longer ones are refused. */
enum { REGEX_LEN_MAX = 1024 };
/* 0, or -EINVAL: no expression; *why (owned by the caller) says so. */
int regex_check(struct bytes regex, char **why);
/* The names of topics that match, which is nothing for an expression that cannot be compiled. */
void regex_resolve(struct bytes regex, const struct topic_view *topics, struct name_list *ret_list);

/* ---- topics that a group is subscribed to ---- */

struct topic_list {
    struct topic_facts *items; /* sorted by id, each once */
    size_t count, capacity;
};
void topic_list_done(struct topic_list *list);
/* Adds those of the names that are topics; then topic_list_sort. */
void topic_list_add(
    struct topic_list *list, const struct name_list *names, const struct topic_view *topics);
void topic_list_sort(struct topic_list *list);
/* NULL: not in. */
const struct topic_facts *topic_list_find(const struct topic_list *list, const struct uuid *id);
/* Of names, ids and partition counts: changes exactly when an assignment may have to. */
uint64_t topic_list_hash(const struct topic_list *list);

#endif
