/*
 * topics.h - the topics and their logs, as STORE_TOPIC puts make them. Inside storage/ only.
 *
 *   key    the name
 *   value  format u8 = 1 | id 16 bytes | count u32, log id u32 each
 *        | count u32, { name len u16, value len u32, name, value } each   (configuration)
 */
#ifndef STORAGE_TOPICS_H
#define STORAGE_TOPICS_H

#include "protocol/base/list.h"
#include "protocol/base/tree.h"
#include "storage/storage.h"

struct topics {
    struct tree by_name, by_id;
    struct list deleted;   /* struct topic that somebody still holds */
    uint64_t deletion_lsn; /* of the newest one */
    uint64_t version;      /* storage_topics_version */
};

enum {
    TOPIC_NAME_MAX = 249,     /* Kafka's */
    DIRECTORY_NAME_MAX = 255, /* the file system's; "<name>-<partition>" must fit */
};

void topics_init(struct topics *topics);
void topics_done(struct storage *storage);
/* A put of STORE_TOPIC. value.data NULL: the topic is deleted. -EUCLEAN: no such value. */
int topics_apply(
    struct storage *storage, struct bytes name, struct bytes value, uint64_t lsn) MUST_CHECK;
/* Frees deleted topics that nobody holds any more. */
void topics_reap(struct storage *storage);
struct log *topics_log_by_id(const struct storage *storage, uint32_t id);

#endif
