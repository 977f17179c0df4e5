/*
 * tree.h - an intrusive ordered map: a balanced tree whose nodes live in the elements.
 *
 * Find, insert, remove and "the next after this key" are O(log n). The shape depends on the order
 * of the calls only, never on addresses or hashes, so a run from a seed replays the same.
 */
#ifndef BASE_TREE_H
#define BASE_TREE_H

#include <stddef.h>
#include <stdint.h>

struct tree_node {
    struct tree_node *left, *right;
    uint32_t level;
};

struct tree {
    struct tree_node *root;
    size_t count;
    /* < 0, 0, > 0 as `key` sorts before, at, after the element of `node`. */
    int (*compare)(const void *key, const struct tree_node *node);
};

/* The element at `key`, or NULL. */
struct tree_node *tree_find(const struct tree *tree, const void *key);
/* The least element ≥ `key` (tree_at), > `key` (tree_after); NULL if there is none. */
struct tree_node *tree_at(const struct tree *tree, const void *key);
struct tree_node *tree_after(const struct tree *tree, const void *key);
/* The greatest element ≤ `key`, or NULL. */
struct tree_node *tree_floor(const struct tree *tree, const void *key);
struct tree_node *tree_first(const struct tree *tree);
/* `key` is the node's own and not in the tree yet. */
void tree_insert(struct tree *tree, const void *key, struct tree_node *node);
/* Takes the element at `key` out and returns it, or NULL. */
struct tree_node *tree_remove(struct tree *tree, const void *key);

#endif
