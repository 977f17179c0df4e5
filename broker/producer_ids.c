/*
 * producer_ids.c - see producer_ids.h.
 *
 * The store holds one key, "next", whose value is 8 bytes little-endian: the first id that no block
 * has taken. Ids from `next` up to `end` are ours to give.
 */
#include "broker/producer_ids.h"

#include <errno.h>

#include "protocol/base/mem.h"
#include "storage/storage.h"

struct producer_ids {
    struct storage *storage;
    int64_t next, end;
    uint64_t lsn;        /* of the block */
    struct list commits; /* struct block_commit, under way */
};

struct block_commit {
    struct unit unit;
    struct list link;
};

static const struct bytes the_key = { (const uint8_t *)"next", 4 };

int producer_ids_create(struct producer_ids **ret_ids, struct storage *storage)
{
    struct bytes value;
    int64_t from = 0;
    if (store_get(storage, STORE_PRODUCER_IDS, the_key, &value, NULL)) {
        if (value.len != 8 || le_get64(value.data) > INT64_MAX)
            return -EBADMSG;
        from = (int64_t)le_get64(value.data);
    }
    struct producer_ids *ids = mem_zalloc(1, sizeof(*ids));
    ids->storage = storage;
    ids->next = ids->end = from;
    list_init(&ids->commits);
    *ret_ids = ids;
    return 0;
}

static void block_commit_free(struct block_commit *commit)
{
    list_remove(&commit->link);
    unit_done(&commit->unit);
    mem_free(commit);
}

void producer_ids_destroy(struct producer_ids *ids)
{
    struct list *node;
    while (ids && (node = list_first(&ids->commits)))
        block_commit_free(list_entry(node, struct block_commit, link));
    mem_free(ids);
}

static void block_done(struct unit *unit)
{
    block_commit_free(container_of(unit, struct block_commit, unit));
}

static int block_take(struct producer_ids *ids)
{
    if (ids->end > INT64_MAX - PRODUCER_IDS_BLOCK)
        return -ERANGE;
    uint8_t value[8];
    struct bytes ignored;
    le_put64(value, (uint64_t)(ids->end + PRODUCER_IDS_BLOCK));
    struct block_commit *commit = mem_zalloc(1, sizeof(*commit));
    list_append(&ids->commits, &commit->link);
    unit_init(&commit->unit, block_done);
    unit_put(&commit->unit, STORE_PRODUCER_IDS, the_key, bytes_of(value, sizeof(value)));
    int error = log_commit(ids->storage, &commit->unit);
    if (error) {
        block_commit_free(commit);
        return error;
    }
    CHECK(store_get(ids->storage, STORE_PRODUCER_IDS, the_key, &ignored, &ids->lsn));
    ids->next = ids->end;
    ids->end += PRODUCER_IDS_BLOCK;
    return 0;
}

int producer_ids_next(struct producer_ids *ids, int64_t *ret_id, uint64_t *ret_lsn)
{
    int error = ids->next == ids->end ? block_take(ids) : 0;
    if (error)
        return error;
    *ret_id = ids->next++;
    *ret_lsn = ids->lsn;
    return 0;
}
