/*
 * barriers.h - every sync, ordering and check on which the promises of storage rest, by name.
 *
 * Each stands in the code as BARRIER(NAME), a constant true. The test build (MILLRACE_MUTANTS) lets
 * one at a time fall, and the suite must notice: tests/sim/sim_mutants.c. Whoever adds a sync, an
 * ordering or a check adds its name here; whoever finds that the suite does not miss it makes the
 * suite better, or takes it out.
 *
 * No barriers, since nothing is lost without them:
 *  - the syncs of a footer: it is made again from its segment;
 *  - that a record says its own position: so does the chain, by the header before it;
 *  - the second copy of a write-ahead file's header: a torn first write of a file held nothing that
 *    was told; the copy spares the operator an alarm when a bit rots;
 *  - that write-back takes only what the write-ahead log has: what is beyond a claim is cut;
 *  - that a failed write to a segment stops everything: it could be tried again, unlike a sync;
 *  - that units wait for the start record of a life: its first write is durable, and holds it.
 */
#ifndef STORAGE_BARRIERS_H
#define STORAGE_BARRIERS_H

#include <stdbool.h>

#define BARRIERS(X)                                                                                \
    /* the write-ahead log, live */                                                                \
    X(WAL_WRITE_DURABLE, "a write that somebody waits for is durable when it is complete")         \
    X(WAL_DURABLE_ALONE, "a durable write says nothing of earlier unflushed ones")                 \
    X(WAL_SYNC, "unflushed bytes are synced before they count as durable")                         \
    X(WAL_SYNC_EVERY_FILE, "... in every file that has some")                                      \
    X(WAL_WRITE_FAILS, "a failed write stops everything")                                          \
    X(WAL_SYNC_FAILS, "a failed sync stops everything")                                            \
    X(WAL_RING_RELEASED, "the ring is not overwritten before it is released")                      \
    X(WAL_MARK, "when idle, a record tells what is durable")                                       \
    X(WAL_PREPARE_ZEROS, "a file that seems unused is looked through before its turn")             \
    /* the write-ahead log, at open */                                                             \
    X(WAL_OPEN_SYNC, "files are synced before they are read")                                      \
    X(WAL_OPEN_DIR_SYNC, "their names, too")                                                       \
    X(WAL_REWRITE, "what a failed sync left in the page cache is written again")                   \
    X(WAL_CREATE_SYNC, "the first file is synced")                                                 \
    X(WAL_CREATE_DIR_SYNC, "its name, too")                                                        \
    X(WAL_PREPARE_DIR_SYNC, "the name of each further file is synced before its turn")             \
    X(WAL_HOLES, "a missing file is damage")                                                       \
    X(WAL_FILE_HEAD_CRC, "checksum of a file's header")                                            \
    X(WAL_HEAD_CRC, "checksum of a record's header")                                               \
    X(WAL_CHAIN, "a record stands behind the one that it was written behind")                      \
    X(WAL_PAYLOAD_CRC, "checksum of a payload's covered part")                                     \
    X(WAL_PAYLOAD_CHECK, "the payload's own checksum covers the rest")                             \
    X(WAL_GROUP_WHOLE, "a group is shown when its last record has come")                           \
    X(WAL_RESUME_FITS, "a history goes on only behind the end that it names")                      \
    X(WAL_DAMAGE, "what is missing below a known durable position is damage, not a torn tail")     \
    X(WAL_SEARCH, "that position is looked for everywhere")                                        \
    X(WAL_BOUNDARY, "at a file's end the file before tells which history the next belongs to")     \
    /* the state of a checkpoint */                                                                \
    X(SLOT_SYNC, "a slot is synced before the log is recycled")                                    \
    X(SLOT_DIR_SYNC, "a new slot's name, too")                                                     \
    X(SLOT_IN_TURN, "the newest whole slot is never written over")                                 \
    X(SLOT_REWRITE, "the newest slot is written again and synced before anything is built on it")  \
    X(SLOT_HEAD_CRC, "checksum of a slot's head")                                                  \
    X(SLOT_BODY_CRC, "checksum of a slot's body")                                                  \
    X(SLOT_FAILS, "a slot that was not written does not count")                                    \
    X(RECYCLE_AFTER_SLOT, "the log is recycled when the slot is durable")                          \
    X(CHECKPOINT_DURABLE, "a checkpoint ends where the log is durable")                            \
    X(CHECKPOINT_WRITTEN_BACK, "... and written back to segments")                                 \
    X(SEGMENT_SYNC, "segments are synced before the slot")                                         \
    X(SEGMENT_DIR_SYNC, "their names, too")                                                        \
    X(WHOLE_SYNC, "or the whole file system")                                                      \
    X(ROOT_SYNC, "new directories' names are synced before the slot")                              \
    X(SEGMENT_SYNC_FAILS, "a failed sync of a segment stops everything")                           \
    X(TRANSIENT_SYNC, "a file that is closed at once is synced first")                             \
    X(TRANSIENT_DIR_SYNC, "its name, too")                                                         \
    /* units and readers */                                                                        \
    X(UNIT_PUT_DURABLE, "a put is durable before it is acknowledged")                              \
    X(UNIT_FSYNC, "so is a batch under `fsync`")                                                   \
    X(UNIT_INTERVAL, "a batch under `interval` is durable after that")                             \
    X(UNITS_DURABLE, "a unit is told when durable, not when written")                              \
    X(VISIBLE_DURABLE, "a batch is visible when durable, not when written")                        \
    X(EPOCH_RAISED, "leader epochs grow after an unclean stop")                                    \
    X(READ_CRC, "what was not verified since the start is checked when read")                      \
    X(READ_EPOCH, "... and its leader epoch is the one of its offset")                             \
    X(READ_EXTENT, "... and in a sealed segment it has the hash that was written down")            \
    /* compaction */                                                                               \
    X(CLEAN_SYNC, "a compacted segment is synced before it takes the place of others")             \
    X(CLEAN_DIR_SYNC, "its name, too")                                                             \
    X(CLEAN_CHECK, "what is compacted is checked: each batch, and the whole against its root")     \
    X(CLEAN_SETTLED, "only what a checkpoint names as sealed is compacted")                        \
    X(CLEAN_STABLE, "nothing of a transaction that is open is")                                    \
    X(CLEAN_NAME_NEW, "no file gets a name that another had in this life")                         \
    X(CLEAN_HORIZON, "a tombstone stays for delete.retention.ms")                                  \
    /* the directory */                                                                            \
    X(PARENT_SYNC, "a new data directory's name is synced")                                        \
    X(MADE_DIR_SYNC, "what a new directory holds is synced before its format file is there")       \
    X(FORMAT_SYNC, "the format file is synced")                                                    \
    X(FORMAT_DIR_SYNC, "its name, too")                                                            \
    X(FORMAT_REWRITE, "... and written again at each start")                                       \
    X(START_DIR_SYNC, "names in the data directory are synced before anything is built on them")   \
    X(REMOVAL_DURABLE, "files are removed when what gave them up is durable")                      \
    X(REMOVAL_BLOCKS, "a name is not used again while what had it is being removed")

#ifdef MILLRACE_MUTANTS
#define BARRIER_NAME(name, text) BARRIER_##name,
enum barrier { BARRIERS(BARRIER_NAME) BARRIER_COUNT };
#undef BARRIER_NAME
/* False for the one that fell. The test's own. */
bool barrier_stands(enum barrier barrier);
#define BARRIER(name) barrier_stands(BARRIER_##name)
#else
#define BARRIER(name) true
#endif

#endif
