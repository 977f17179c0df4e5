/*
 * ledger.h - the oracle of topics and records: what clients were told, and what follows from it.
 *
 * Every batch that a client sends is written down with a hash of its records; the number of the
 * batch stands in each of its records, so whatever a consumer is shown can be looked up. Every
 * answer is compared with what was known before its request was sent, never with what became known
 * meanwhile: answers overtake each other on their way.
 *
 * What must hold (world_fail otherwise)
 *   - a batch that was acknowledged or shown lies at its offset, byte for byte, for ever: after a
 *     kill always; after a power cut if its durability promised so, or if anything that happened
 *     after it was promised to be durable (one sequence: a power cut leaves a prefix of history)
 *   - offsets have no gaps; at an offset another batch only after a loss, and with a higher leader
 *     epoch
 *   - a batch lies in a log once, however often it was sent; what was refused nowhere
 *   - a producer's sequences follow each other in a log
 *   - what is visible stays visible; topics and partitions that were told stay until deleted, and
 *     then never come back
 */
#ifndef TESTS_SIM_LEDGER_H
#define TESTS_SIM_LEDGER_H

#include "protocol/base/bytes.h"
#include "protocol/batch.h"
#include "protocol/uuid.h"
#include "storage/topic_config.h"

struct world;

enum { LEDGER_PARTITIONS_MAX = 8, LEDGER_TOPICS_MAX = 256, LEDGER_CONFIGS_MAX = 3 };

/* Names of topics. The stable ones are made once and stay. */
enum slot {
    SLOT_ACKED,
    SLOT_SYNCED,
    SLOT_FLUSHED,
    SLOT_LOOSE,
    SLOT_STAMPED, /* the broker stamps and recodes its batches */
    SLOT_SHORT,   /* old segments are deleted */
    SLOT_CHURN_A, /* made and deleted again and again */
    SLOT_CHURN_B,
    SLOT_AUTO_A, /* made by asking for them */
    SLOT_AUTO_B,
    SLOT_COUNT
};
enum { SLOT_STABLE_COUNT = SLOT_CHURN_A };

struct slot_info {
    const char *name;
    enum durability durability;
    int32_t partitions;
    const char *configs[2 * LEDGER_CONFIGS_MAX + 1]; /* key, value, ..., NULL */
};
extern const struct slot_info slots[SLOT_COUNT];

/* What an acknowledgement promises. */
enum level { LEVEL_WRITTEN, LEVEL_INTERVAL, LEVEL_DURABLE };

/* One batch in a log, as told. */
struct entry {
    int64_t base;
    int32_t count;
    int32_t epoch;   /* -1: not shown yet */
    uint32_t number; /* of its note */
    uint64_t known;  /* the moment since when */
    int64_t known_ns;
    bool durable; /* survives everything */
    bool unsure;  /* a power cut may have taken it */
};

struct ledger_log {
    struct ledger_topic *topic;
    int32_t partition;
    struct entry *entries; /* by base */
    size_t count, capacity;
    int64_t visible; /* below it everything must be visible */
    int64_t start;   /* the greatest log start offset that was told */
    int32_t epoch;   /* the greatest leader epoch that was told */
    bool lost;       /* a power cut may have taken something since the start of the log */
};

struct ledger_topic {
    struct uuid id;
    int slot;
    uint64_t known;         /* moment; 0: only asked for */
    uint64_t delete_sent;   /* moment; 0: nobody asked for it */
    uint64_t gone;          /* moment when it was told that it is gone */
    int32_t partitions;     /* at least; told */
    int32_t partitions_max; /* at most; asked for */
    struct ledger_log logs[LEDGER_PARTITIONS_MAX];
};

/* A batch that a client made. */
struct note {
    int slot;
    int32_t partition;
    struct uuid topic; /* zero: it was addressed by name */
    int64_t producer_id;
    int32_t sequence;
    int32_t count;
    uint64_t content;  /* hash of the records */
    int64_t timestamp; /* of the first; each has one more */
    uint64_t sent;     /* moment of the first time; 0: not yet */
    enum level level;
    bool refused;
    struct ledger_log *log; /* where it lies; NULL: not known */
    int64_t base;
};

struct ledger {
    struct ledger_topic **topics;
    size_t topic_count, topic_capacity;
    struct ledger_topic *newest[SLOT_COUNT]; /* of that name; NULL: never seen */
    uint64_t promised[SLOT_COUNT]; /* moment: it was told that the name is there; 0: nothing */
    struct note *notes;            /* by number */
    size_t note_count, note_capacity;
    /* Everything that was known before this moment survives a power cut. */
    uint64_t durable_moment;
    uint64_t powers; /* power cuts so far */
    int64_t *producer_ids;
    size_t producer_id_count, producer_id_capacity;
};

void ledger_init(struct ledger *ledger);
void ledger_done(struct ledger *ledger);

/* ---- topics ---- */

struct ledger_topic *ledger_topic(struct world *world, const struct uuid *id);
/* An answer to a request sent at `sent` shows this topic. */
struct ledger_topic *ledger_meet(
    struct world *world, int slot, const struct uuid *id, uint64_t sent);
/* It says that the topic is not there. Fails if it must be. */
void ledger_miss(struct world *world, struct ledger_topic *topic, uint64_t sent);
void ledger_partitions(
    struct world *world, struct ledger_topic *topic, int32_t floor, int32_t count);
void ledger_epoch(struct world *world, struct ledger_log *log, int32_t floor, int32_t epoch);
/* SLOT_COUNT: none of ours. */
int ledger_slot(struct bytes name);
enum level ledger_level(int slot, int16_t acks);

/* ---- batches ---- */

struct batch_wish {
    int slot;
    int32_t partition;
    struct uuid topic; /* zero: by name */
    int16_t acks;
    enum codec codec;
    int64_t producer_id; /* -1: none */
    int16_t producer_epoch;
    int32_t sequence;
    int32_t count;
    size_t value_max;
};
/* Builds the batch and writes it down; returns its number. */
uint32_t ledger_build(struct world *world, const struct batch_wish *wish, struct out *out);
struct note *ledger_note(struct world *world, uint32_t number);
void ledger_sent(struct world *world, uint32_t number);
/* The produce answer says so. */
void ledger_acked(
    struct world *world, uint32_t number, struct ledger_topic *topic, int64_t base_offset);
/* Nothing of it was or will be appended. */
void ledger_refused(struct world *world, uint32_t number);
/* A consumer was shown this batch of the log. */
void ledger_shown(struct world *world, struct ledger_log *log, const struct batch_view *batch);
/* A producer id was given out. */
void ledger_producer_id(struct world *world, int64_t id);
/* Something was promised to be durable that came after `sent`. */
void ledger_durable(struct world *world, uint64_t sent);

/* The entry that contains the offset, or NULL. */
struct entry *ledger_entry(struct ledger_log *log, int64_t offset);
/* A high watermark was told by an answer; `floor` is what log->visible was at the request. */
void ledger_visible(struct world *world, struct ledger_log *log, int64_t floor, int64_t offset);
void ledger_start(struct world *world, struct ledger_log *log, int64_t floor, int64_t offset);
/* A scan has read all of [first, end): no holes, and every producer's sequences in order. */
void ledger_check(struct world *world, struct ledger_log *log, int64_t first, int64_t end);
/* "topic-3" in static memory. */
const char *ledger_name(const struct ledger_log *log);

/* ---- ends of lives ---- */

void ledger_crash(struct world *world, bool power);
/* Recovery or a clean stop is done: whatever is there now stays. */
void ledger_settle(struct world *world);
/* May a power cut have taken acknowledged batches of this kind? */
bool ledger_may_lose(const struct world *world, int slot, int16_t acks);

#endif
