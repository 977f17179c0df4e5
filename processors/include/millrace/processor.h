/*
 * millrace/processor.h - write a stream processor for Millrace. C11 or C++17, nothing to link to.
 *
 * A processor is a shared object with ONE exported function, mr_module_v0, that returns static
 * data: what it is called, which topics it reads and writes, which state it keeps, and a few
 * callbacks. The broker loads it (`millrace process load FILE.so`), hands it records and makes
 * everything that it does (records emitted, state changed, input consumed) ONE commit: after a
 * crash the outputs are those of a run without a crash.
 *
 *     cc -shared -fPIC -fvisibility=hidden -Wl,-z,defs -I.../include mine.c -o mine.so
 *
 * The smallest useful one:
 *
 *     static int batch(mr_task *t, mr_batch *b) MR_CB
 *     {
 *         for (const mr_rec *r; (r = mr_next(b));)
 *             if (r->value.n > 100)
 *                 mr_emit(t, 0, r->key, r->value);
 *         return MR_OK;
 *     }
 *
 * THE RULES, for all callbacks and host calls
 *   Threads   Calls for one task never overlap, but successive ones may come on different threads:
 *             keep no thread-locals and no globals, start no threads. A host call is allowed only
 *             during a callback of that task, on the thread of that callback.
 *   Memory    What a callback is given (records, rows, keys) may be read until that callback
 *             returns. What a host call is given is copied before it returns. What a host call
 *             returns is valid as its comment says. Use malloc for your own.
 *   State     Keep what must survive in stores. Memory of your own (task->self) is a cache: it is
 *             gone after a restart, and the host may destroy and create the instance at any time
 *             between two callbacks; it always does so after an undone unit.
 *   Effects   emit, put, add, win_add are effects. Nobody sees them until the unit they belong
 *             to is committed, with the position in the input, all or nothing. An effect that
 *             fails is STICKY: whatever the callback then answers, the unit is undone and the
 *             processor stops; `millrace process list` shows why. So effects need no checks.
 *   Never     leave a callback by an exception, a panic or longjmp; block for long; fork. A
 *             crash of the processor is a crash of the broker (they share the process; worker
 *             processes are planned). A callback without progress for `max.record.ms` is
 *             reported in the broker's log.
 *   Growth    A minor version only appends: members at the end of structs that begin with
 *             `size`, functions at the end of mr_host, new values, new flag bits. Set `size` to
 *             the sizeof you compiled with. Reserved members (rsv) and unused ones are zero.
 *             mr_buf, mr_kv, mr_rec and mr_row travel in arrays: they never grow in a major.
 *
 * Until this interface has carried worker processes, a cluster runner and joins it is version 0:
 * the exported symbol is mr_module_v0, and a broker with version 1 will refuse it.
 */
#ifndef MILLRACE_PROCESSOR_H
#define MILLRACE_PROCESSOR_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define MR_CB     noexcept /* part of the type in C++: a callback that may throw does not compile */
#define MR_ASSERT static_assert
extern "C" {
#else
#define MR_CB
#define MR_ASSERT _Static_assert
#endif

#define MR_ABI_MAJOR 0
#define MR_ABI_MINOR 1
#define MR_MAGIC     0x3130524Du
#define MR_ENTRY     "mr_module_v0"

/* ---- answers ------------------------------------------------------------------------------- */

/*
 * What a callback answers.
 *   MR_OK     All records (rows) are done. To say so before the end of the batch is fatal.
 *   MR_DROP   The record in hand is skipped: its effects are undone, it is counted. The host calls
 *             again with the same batch, from the next record on. From `batch` only.
 *   MR_DEAD   As MR_DROP, and the record goes to the topic `<processor>.dead`, with its headers and
 *             millrace.topic, millrace.partition, millrace.offset and millrace.reason (see fail),
 *             in the same commit. From `batch` only.
 *   MR_RETRY  The whole unit is undone; the host tries again later (100 ms, doubling to 30 s).
 *   MR_FATAL  The whole unit is undone; the processor stops with the reason given to fail.
 * Anything else counts as MR_FATAL.
 */
enum { MR_OK = 0, MR_DROP = 1, MR_DEAD = 2, MR_RETRY = -1, MR_FATAL = -2 };

/*
 * What a host call answers besides values >= 0.
 *   MR_EINVAL  The call is wrong: an output, store or key that was not declared, a negative size, a
 *              window store used as a key-value store, a call where it is not allowed.
 *   MR_ELIMIT  A named limit: a record larger than the output topic takes (max.message.bytes),
 * state beyond `state.bytes.max`, one record's effects beyond the largest unit. MR_ERANGE  A 64-bit
 * counter would overflow. MR_ELATE   Not an error, not sticky: win_add was too late for every
 * window, and was counted.
 */
enum { MR_EINVAL = -10, MR_ELIMIT = -11, MR_ERANGE = -13, MR_ELATE = -14 };

/* ---- data ---------------------------------------------------------------------------------- */

/* A run of bytes. p NULL is Kafka's null; an empty run has p != NULL. Not NUL-terminated, not
 * aligned. */
typedef struct {
    const char *p;
    size_t n;
} mr_buf;

typedef struct {
    mr_buf key, value;
} mr_kv;

/* What few processors ask for. Given only to inputs declared with MR_IN_HEADERS. */
typedef struct {
    uint32_t size;
    uint32_t nheaders;
    const mr_kv *headers; /* in the order of the record; nheaders of them */
} mr_extra;

/* One record of an input. Frozen: 64 bytes, one cache line. Valid until the callback returns. */
typedef struct {
    mr_buf key, value;
    int64_t ts;            /* ms since 1970, as in the log (producer's or append time); -1: none */
    int64_t offset;        /* in its partition */
    const mr_extra *extra; /* NULL: nothing more to say */
    int32_t partition;
    uint16_t input; /* index in mr_processor.inputs */
    uint16_t flags; /* 0 */
} mr_rec;

/*
 * Up to 256 records, in the order in which they are to be processed. Walk it with mr_next, nothing
 * else: `next` tells the host which record is in hand (next - 1), so that an effect or a verdict
 * belongs to that record. Any host call may lower n (a window is due, the unit is full): the rest
 * comes in the next call; therefore never copy n.
 */
typedef struct {
    uint32_t size;
    uint32_t n;
    volatile uint32_t next;
    uint32_t rsv;
    const mr_rec *recs;
} mr_batch;

enum {
    MR_OUT_TS = 1,           /* ts below is meant; else it is inherited, see mr_out */
    MR_OUT_PARTITION = 2,    /* partition below is meant */
    MR_OUT_COPY_HEADERS = 4, /* the headers of the record in hand first, then those below */
};

/*
 * A record to be written. All zero but size, key and value is a good one:
 *   time       that of the record in hand (in a window callback: the window's end - 1)
 *   partition  murmur2 of the key modulo the partitions, as Kafka's Java client; for a null key the
 *              partition of the record in hand modulo the partitions (window callback: 0)
 */
typedef struct {
    uint32_t size;
    uint16_t out; /* index in mr_processor.outputs */
    uint16_t flags;
    mr_buf key, value;
    int64_t ts;
    const mr_kv *headers;
    uint32_t nheaders;
    int32_t partition;
} mr_out;

/* A window that closed: [start, end) in ms. Final: it is told once, and never again. */
enum { MR_WIN_FINAL = 1 };
typedef struct {
    uint32_t size;
    uint16_t store; /* index in mr_processor.stores */
    uint16_t flags; /* MR_WIN_FINAL */
    int64_t start, end;
    mr_buf key; /* null (room for session windows) */
} mr_window;

/* One key of a window, or of a scan. Frozen: 64 bytes. Valid until the callback returns (from
 * `next`: until the next host call for that store). */
typedef struct {
    mr_buf key, value;     /* value is null where num is meant */
    int64_t num;           /* of counting stores */
    int64_t win_start;     /* of the window; 0 in a scan */
    const mr_extra *extra; /* NULL */
    uint64_t rsv;
} mr_row;

/*
 * Rows of a closed window, at most 256 in a call; `next` and `n` as in mr_batch, walk with
 * mr_next_row. With `top` N in the declaration: the N greatest counts, greatest first, equal counts
 * in the order of their keys' bytes. Without: all keys in the order of their bytes.
 */
enum { MR_ROWS_FIRST = 1, MR_ROWS_LAST = 2 }; /* the window's first, last call */
typedef struct {
    uint32_t size;
    uint32_t n;
    volatile uint32_t next;
    uint32_t flags;
    const mr_row *rows;
    uint64_t first; /* how many rows of this window came in calls before */
} mr_rows;

/* Keys k with lo <= k < hi in the order of their bytes; a null lo or hi means no bound. */
typedef struct {
    uint32_t size;
    uint16_t store, flags; /* flags: 0 */
    mr_buf lo, hi;
} mr_range;

/* ---- what the host offers ------------------------------------------------------------------ */

typedef struct mr_host mr_host;

/* One instance of a processor: with MR_P_ONE_TASK one for all partitions of its inputs, else one
 * for each partition number. The start of the host's own struct; `self` is yours. */
typedef struct {
    const mr_host *h;
    void *self;
} mr_task;

typedef struct mr_iter mr_iter;

struct mr_host {
    uint32_t size, minor; /* of the host; see MR_HAS */
    const char *product;  /* "millrace 0.1.0" */

    /* An optional interface by its name, or NULL. None exist yet. */
    const void *(*ext)(mr_task *, const char *id);

    /* EFFECT. Writes a record to an output, any number of times. 0, MR_EINVAL (no such output or
     * partition), MR_ELIMIT. */
    int (*emit)(mr_task *, const mr_out *);

    /* Says the time of the record in hand, from its content. Once per record, before win_add and
     * emit, and for inputs declared with MR_IN_EVENT_TIME only (their records' own ts then does not
     * move time). 0, MR_EINVAL (sticky). */
    int (*event_time)(mr_task *, int64_t ts);

    /* The value of a key in a key-value or counting store, with all effects so far; p NULL if
     * absent. A count is 8 bytes, big-endian. Valid until the next effect on that store or until
     * the callback returns. */
    mr_buf (*get)(mr_task *, uint16_t store, mr_buf key);

    /* EFFECT. Sets (val.p NULL: deletes) a key of a key-value store. Key and value may be views
     * that `get` returned. 0, MR_EINVAL, MR_ELIMIT. */
    int (*put)(mr_task *, uint16_t store, mr_buf key, mr_buf val);

    /* EFFECT. Adds to a key of a counting store (absent: 0) and returns the new value, which may be
     * negative; whether it failed is not to be seen from it (failures are sticky). */
    int64_t (*add)(mr_task *, uint16_t store, mr_buf key, int64_t delta);

    /* Begins a scan of a key-value or counting store. NULL (and sticky MR_EINVAL) if there is no
     * such store. At most 16 open at once in a callback. An effect on the store ends its scans:
     * next then says 0. The first scan of a store orders all its keys, later ones are cheap. */
    mr_iter *(*scan)(mr_task *, const mr_range *);
    /* 1 with a row, 0 at the end (the iterator is closed then, and at the callback's return). */
    int (*next)(mr_task *, mr_iter *, mr_row *);

    /* EFFECT. Adds to the count of `key` in every window of the store that contains the time of the
     * record in hand and has not closed. 0; MR_ELATE if all have closed, or the record has no
     * time; MR_EINVAL, MR_ELIMIT, MR_ERANGE. */
    int (*win_add)(mr_task *, uint16_t store, mr_buf key, int64_t delta);

    /* No record older than this is expected any more, ms; INT64_MIN before the first record. */
    int64_t (*watermark)(mr_task *);
    /* Wall time in ms, the same during one callback. Outputs that depend on it are not repeatable.
     */
    int64_t (*now_ms)(mr_task *);

    /* The value of a declared configuration key: MR_INT, MR_BOOL (0, 1), MR_DURATION (ms), MR_SIZE
     * (bytes) by conf_int (0 for an unknown key); any by conf_str (NUL-terminated; p NULL for an
     * unknown key; valid as long as the task). */
    int64_t (*conf_int)(mr_task *, const char *key);
    mr_buf (*conf_str)(mr_task *, const char *key);

    /* Notes why a verdict other than MR_OK is given (copied, at most 200 bytes) and returns the
     * verdict: `return t->h->fail(t, MR_DEAD, "no such user");` */
    int (*fail)(mr_task *, int verdict, const char *why);
    /* A line in the broker's log. level: MR_LOG_*. At most 64 lines per unit, the rest is counted.
     */
    void (*log)(mr_task *, int level, const char *text);
    /* Adds to a counter that `process list` shows; at most 32 names per task, the rest is ignored.
     * Counts of undone units stay counted. */
    void (*count)(mr_task *, const char *metric, int64_t n);
};

enum { MR_LOG_ERROR = 0, MR_LOG_WARNING = 1, MR_LOG_INFO = 2, MR_LOG_DEBUG = 3 };

/* Whether the host has a function newer than your needs_minor. */
#define MR_HAS(t, f) ((t)->h->size >= offsetof(mr_host, f) + sizeof((t)->h->f))

/* ---- what you declare ---------------------------------------------------------------------- */
/*
 * Static data. The host reads it when it loads the file and refuses what it does not know or does
 * not implement, with a message that names it. All lists are arrays of pointers with NULL at the
 * end; a NULL list is empty. Names of processors, stores, windows and metrics: 1 to 100 of
 * [a-zA-Z0-9._-]; topics: Kafka's rules.
 */

enum {
    MR_IN_EVENT_TIME = 1,  /* `batch` tells each record's time by event_time */
    MR_IN_COPARTITION = 2, /* as many partitions as every other input so marked, or no load */
    MR_IN_HEADERS = 4,     /* mr_rec.extra is wanted */
};
enum { MR_IN_STREAM = 0 }; /* roles. 1, 2: reserved for tables */
typedef struct {
    uint32_t size;
    uint16_t role;  /* MR_IN_STREAM */
    uint16_t store; /* 0 */
    uint32_t flags; /* MR_IN_* */
    uint32_t rsv;
    const char *topic; /* default name; `input.<topic>=` in the configuration replaces it */
} mr_in_decl;

typedef struct {
    uint32_t size;
    uint32_t flags;     /* 0 */
    const char *topic;  /* default name; `output.<topic>=` replaces it */
    int32_t partitions; /* if it must be created: so many; 0: the broker's num.partitions */
    int32_t rsv;
} mr_out_decl;

enum {
    MR_STORE_KV = 1,           /* key -> bytes: get, put, scan */
    MR_STORE_COUNT = 2,        /* key -> 64-bit count: get, add, scan */
    MR_STORE_WINDOW_COUNT = 4, /* (key, window) -> 64-bit count: win_add; told by `window` */
    /* 3: reserved for windows with an accumulator of your own */
};
/* State, one copy per task, in memory, made durable by the compacted topic
 * `<processor>-<store>-changelog`. */
typedef struct {
    uint32_t size;
    uint16_t kind;
    uint16_t
        version;     /* raise it when the meaning of the content changes: the old is then refused */
    uint16_t window; /* MR_STORE_WINDOW_COUNT: index in mr_processor.windows; else 0 */
    uint16_t rsv;
    uint32_t flags; /* 0 */
    int64_t ttl_ms; /* 0 */
    const char *name;
} mr_store_decl;

enum { MR_WIN_TUMBLE = 1, MR_WIN_HOP = 2 }; /* 3, 4: reserved for session and sliding windows */
enum { MR_EMIT_FINAL = 0 };                 /* 1, 2: reserved for early results */
/*
 * Windows start at multiples of step_ms since 1970. One closes when the task's watermark reaches
 * its end + grace_ms. Overridden by the configuration: window.<name>.size.ms, .step.ms, .grace.ms,
 * .top.
 */
typedef struct {
    uint32_t size;
    uint16_t kind;    /* MR_WIN_* */
    uint16_t emit;    /* MR_EMIT_FINAL */
    int64_t size_ms;  /* 1 ms to 400 days */
    int64_t step_ms;  /* hop: 1 to size_ms, at most 1000 steps in a size; tumble: 0 or size_ms */
    int64_t grace_ms; /* how late a record may be; 0 to 400 days */
    int64_t every_ms; /* 0 */
    int64_t top;      /* tell only the `top` greatest counts (at most 100,000); 0: tell all keys */
    const char *name;
} mr_win_decl;

enum { MR_STR = 1, MR_INT = 2, MR_BOOL = 3, MR_DURATION = 5, MR_SIZE = 6 };
/* MR_DURATION takes 250, 250ms, 10s, 5m, 2h, 1d and is read as ms; MR_SIZE 65536, 64k, 16m, 1g. */
typedef struct {
    uint32_t size;
    uint16_t type;
    uint16_t flags; /* 0 */
    const char *key;
    const char *dflt; /* as text; NULL: must be given */
    const char *help;
} mr_conf_decl;

enum {
    MR_P_ONE_TASK = 1, /* one task reads all partitions: state over all of the input. Else task i
                          reads partition i of each input, with state of its own. */
};

typedef struct {
    uint32_t size;
    uint32_t flags; /* MR_P_* */
    const char *name, *version, *help;
    const mr_in_decl *const *inputs;   /* 1 to 64 */
    const mr_out_decl *const *outputs; /* up to 64 */
    const mr_store_decl *const *stores;
    const mr_win_decl *const *windows;
    const mr_conf_decl *const *conf;

    /* Makes self. May read the configuration; no effects. MR_OK, or MR_FATAL / MR_RETRY. May be
     * NULL. */
    int (*create)(mr_task *) MR_CB;
    /* Frees self; also after a create that failed. No host calls but log. May be NULL. */
    void (*destroy)(mr_task *) MR_CB;
    /* Records came. */
    int (*batch)(mr_task *, mr_batch *) MR_CB;
    /* A window closed: its rows, in one or more calls. NULL if there is no window store. */
    int (*window)(mr_task *, const mr_window *, mr_rows *) MR_CB;
} mr_processor;

typedef struct {
    uint32_t magic, size;  /* MR_MAGIC, sizeof(mr_module) */
    uint16_t major, minor; /* MR_ABI_MAJOR, MR_ABI_MINOR: the header it was built with */
    uint16_t needs_minor;  /* the oldest host that will do */
    uint16_t rsv;
    const char *name, *version, *license;
    const mr_processor *const *processors; /* 1 to 64 */
    const char *const *needs_ext; /* names for ext() without which it cannot run, or NULL */
} mr_module;

#if defined(__GNUC__)
__attribute__((visibility("default")))
#endif
/* The only exported symbol. Called once or more, before anything else; no effects. The data lives
 * as long as the library is loaded. */
const mr_module *
mr_module_v0(void) MR_CB;

MR_ASSERT(sizeof(void *) == 8, "64-bit machines only");
MR_ASSERT(sizeof(mr_buf) == 16 && sizeof(mr_rec) == 64 && sizeof(mr_row) == 64, "layout");
MR_ASSERT(sizeof(mr_out) == 64 && offsetof(mr_rec, flags) == 62, "layout");
MR_ASSERT(offsetof(mr_batch, recs) == 16 && offsetof(mr_host, emit) == 24, "layout");

/* ---- shorthands: inline, no part of the interface ------------------------------------------- */

/* The next record, or NULL at the end of the batch. */
static inline const mr_rec *mr_next(mr_batch *b)
{
    uint32_t i = b->next;
    if (i >= b->n)
        return NULL;
    b->next = i + 1;
    return &b->recs[i];
}
static inline const mr_row *mr_next_row(mr_rows *b)
{
    uint32_t i = b->next;
    if (i >= b->n)
        return NULL;
    b->next = i + 1;
    return &b->rows[i];
}
static inline mr_buf mr_bytes(const void *p, size_t n)
{
    mr_buf b;
    b.p = (const char *)p;
    b.n = n;
    return b;
}
static inline int mr_emit(mr_task *t, uint16_t out, mr_buf key, mr_buf value)
{
    mr_out o = { sizeof(mr_out), out, 0, key, value, 0, NULL, 0, 0 };
    return t->h->emit(t, &o);
}
static inline mr_buf mr_get(mr_task *t, uint16_t store, mr_buf key)
{
    return t->h->get(t, store, key);
}
static inline int mr_put(mr_task *t, uint16_t store, mr_buf key, mr_buf val)
{
    return t->h->put(t, store, key, val);
}
static inline int64_t mr_add(mr_task *t, uint16_t store, mr_buf key, int64_t delta)
{
    return t->h->add(t, store, key, delta);
}
static inline int mr_win_add(mr_task *t, uint16_t store, mr_buf key, int64_t delta)
{
    return t->h->win_add(t, store, key, delta);
}

#ifdef __cplusplus
}
#endif
#endif
