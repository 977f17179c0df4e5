/*
 * heap.h - an intrusive binary min-heap on a signed 64-bit key: timers, deadlines.
 *
 * Nodes are owned by the caller and know their slot, so removal of any node is O(log n). Equal keys
 * leave in the order of their insertion (a run from a seed must replay the same).
 */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heap_node {
    int64_t key;
    uint64_t order; /* set by heap_insert */
    size_t slot;    /* 1 + position in the heap; 0 = not in a heap */
};

struct heap {
    struct heap_node **nodes;
    size_t count, capacity;
    uint64_t inserted;
};

/* A zeroed heap is a valid empty one. */
void heap_done(struct heap *heap);
/* `node` must not be in a heap; it stays where it is until removed. */
void heap_insert(struct heap *heap, struct heap_node *node, int64_t key);
/* Does nothing for a node that is not in this heap. */
void heap_remove(struct heap *heap, struct heap_node *node);
/* The node of least key, or NULL; it stays in. */
struct heap_node *heap_first(const struct heap *heap);
static inline bool heap_node_in(const struct heap_node *node)
{
    return node->slot != 0;
}

#endif
