/*
 * group_world.h - a classic group, its members and its clock: what they say to each other comes out
 * as lines of text, in milliseconds of that clock. For test_classic_group.c and test_group_story.c.
 */
#ifndef TESTS_UNIT_GROUP_WORLD_H
#define TESTS_UNIT_GROUP_WORLD_H

#include "broker/classic_group.h"

#define MS INT64_C(1000000)

struct world {
    struct classic_group *group;
    struct classic_limits limits;
    struct group_owner owner;
    struct classic_effects effects;
    struct out said;
    int64_t now;
    int ids;
    int16_t persist_error;
};

void world_init(struct world *w, int64_t delay_ms);
void world_done(struct world *w);
/* The clock goes on; deadlines on the way are met at their time. */
void pass(struct world *w, int64_t ms);
/* That, and nothing else, was said since the last time. */
void expect(struct world *w, const char *text);

/* NULL: null */
static inline struct bytes maybe(const char *text)
{
    return text ? bytes_text(text) : (struct bytes){ 0 };
}

struct who {
    const char *name;     /* the token, and the client id */
    const char *id;       /* "" on the first join */
    const char *instance; /* NULL: dynamic */
    const char *protocols[3];
    int version;
    const char *metadata; /* NULL: the name */
    int32_t session_ms;   /* 0: 10000 */
    int32_t rebalance_ms; /* 0: 30000 */
    bool hurried;         /* it gives the others no time to come */
};

void join(struct world *w, struct who who);
/* The token is `name`. */
void synced(struct world *w, const char *name, const char *id, int32_t generation,
    const struct classic_assignment *assignments, size_t count);
const char *heartbeat(struct world *w, const char *id, int32_t generation);

#endif
