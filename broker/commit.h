/*
 * commit.h - a unit of a request that may go away before the unit is done.
 *
 * The unit lives in the commit, which ends itself: after the unit is done, or at once if nothing
 * was committed. Forget it when the request is cancelled. Those under way are in broker->commits;
 * after a crash of the storage (simulation) commits_done frees them.
 */
#ifndef BROKER_COMMIT_H
#define BROKER_COMMIT_H

#include "broker/request.h"
#include "storage/storage.h"

struct commit {
    struct unit unit; /* fill it with unit_append, unit_put, ... */
    struct broker *broker;
    struct request *request; /* NULL: nobody waits */
    void (*done)(struct request *request);
    struct list mine; /* for the request's use; left before done is called, and when dropped */
    struct list link; /* in broker->commits */
};

/* `done` is called on the loop when the unit is as durable as it promises. */
struct commit *commit_create(struct request *request, void (*done)(struct request *request));
/* As log_commit. After an error the commit is gone. */
int commit_run(struct commit *commit) MUST_CHECK;
/* Gives up what was not run. NULL is fine. */
void commit_drop(struct commit *commit);
/* The request goes away, or does not wait: done will not be called. NULL is fine. */
void commit_forget(struct commit *commit);

/* Frees all that are under way; their units will not be done any more. */
void commits_done(struct broker *broker);

#endif
