/* See commit.h. */
#include "broker/commit.h"

#include "broker/broker.h"
#include "protocol/base/mem.h"

void commit_drop(struct commit *commit)
{
    if (!commit)
        return;
    list_remove(&commit->link);
    list_remove(&commit->mine);
    unit_done(&commit->unit);
    mem_free(commit);
}

static void unit_is_done(struct unit *unit)
{
    struct commit *commit = container_of(unit, struct commit, unit);
    struct request *request = commit->request;
    void (*done)(struct request *) = commit->done;
    commit_drop(commit);
    if (request)
        done(request);
}

struct commit *commit_create(struct request *request, void (*done)(struct request *request))
{
    struct commit *commit = mem_zalloc(1, sizeof(*commit));
    unit_init(&commit->unit, unit_is_done);
    commit->broker = request->broker;
    commit->request = request;
    commit->done = done;
    list_init(&commit->mine);
    list_init(&commit->link);
    return commit;
}

int commit_run(struct commit *commit)
{
    int error = log_commit(commit->broker->storage, &commit->unit);
    if (error)
        commit_drop(commit);
    else
        list_append(&commit->broker->commits, &commit->link);
    return error;
}

void commit_forget(struct commit *commit)
{
    if (!commit)
        return;
    commit->request = NULL;
    list_remove(&commit->mine);
}

void commits_done(struct broker *broker)
{
    struct list *node;
    while ((node = list_first(&broker->commits)))
        commit_drop(list_entry(node, struct commit, link));
}
