/* See heap.h. The array is a binary tree: the parent of slot i is slot i / 2, counted from 1. */
#include "protocol/base/heap.h"

#include "protocol/base/mem.h"

static bool before(const struct heap_node *a, const struct heap_node *b)
{
    return a->key < b->key || (a->key == b->key && a->order < b->order);
}

static void place(struct heap *heap, size_t slot, struct heap_node *node)
{
    heap->nodes[slot - 1] = node;
    node->slot = slot;
}

static void sift_up(struct heap *heap, struct heap_node *node)
{
    size_t slot = node->slot;
    while (slot > 1 && before(node, heap->nodes[slot / 2 - 1])) {
        place(heap, slot, heap->nodes[slot / 2 - 1]);
        slot /= 2;
    }
    place(heap, slot, node);
}

static void sift_down(struct heap *heap, struct heap_node *node)
{
    size_t slot = node->slot;
    for (;;) {
        size_t child = slot * 2;
        if (child > heap->count)
            break;
        if (child < heap->count && before(heap->nodes[child], heap->nodes[child - 1]))
            child++;
        if (!before(heap->nodes[child - 1], node))
            break;
        place(heap, slot, heap->nodes[child - 1]);
        slot = child;
    }
    place(heap, slot, node);
}

void heap_done(struct heap *heap)
{
    mem_free(heap->nodes);
    *heap = (struct heap){ 0 };
}

void heap_insert(struct heap *heap, struct heap_node *node, int64_t key)
{
    CHECK(node->slot == 0);
    mem_grow(heap->nodes, &heap->capacity, heap->count + 1);
    node->key = key;
    node->order = heap->inserted++;
    place(heap, ++heap->count, node);
    sift_up(heap, node);
}

void heap_remove(struct heap *heap, struct heap_node *node)
{
    size_t slot = node->slot;
    if (slot == 0 || slot > heap->count || heap->nodes[slot - 1] != node)
        return;
    struct heap_node *last = heap->nodes[heap->count - 1];
    heap->count--;
    node->slot = 0;
    if (last == node)
        return;
    place(heap, slot, last);
    sift_up(heap, last);
    sift_down(heap, last);
}

struct heap_node *heap_first(const struct heap *heap)
{
    return heap->count ? heap->nodes[0] : NULL;
}
