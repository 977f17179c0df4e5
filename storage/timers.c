/* See timers.h. */
#include "storage/timers.h"

#include "protocol/base/check.h"

void timers_done(struct timers *timers)
{
    heap_done(&timers->heap);
}

void timer_set(struct timers *timers, struct timer *timer, int64_t at_ns)
{
    heap_remove(&timers->heap, &timer->node);
    heap_insert(&timers->heap, &timer->node, at_ns);
}

void timer_cancel(struct timers *timers, struct timer *timer)
{
    heap_remove(&timers->heap, &timer->node);
}

bool timer_is_set(const struct timer *timer)
{
    return heap_node_in(&timer->node);
}

void timers_run(struct timers *timers, int64_t now_ns)
{
    struct heap_node *node;
    while ((node = heap_first(&timers->heap)) && node->key <= now_ns) {
        struct timer *timer = container_of(node, struct timer, node);
        heap_remove(&timers->heap, node);
        timer->fire(timer);
    }
}

int64_t timers_next(const struct timers *timers)
{
    struct heap_node *node = heap_first(&timers->heap);
    return node ? node->key : INT64_MAX;
}
