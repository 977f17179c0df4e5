/*
 * An AA tree (Arne Andersson, 1993): a red-black tree in which only right children may be "red",
 * that is, stand on the level of their parent. Two repairs suffice: skew turns a left link on one
 * level to the right, split lifts the middle of two right links on one level.
 *
 * Depth is at most 2 log2(n), so the recursion below is bounded.
 */
#include "protocol/base/tree.h"

#include <stdbool.h>

#include "protocol/base/check.h"

static uint32_t level_of(const struct tree_node *node)
{
    return node ? node->level : 0;
}

static struct tree_node *skew(struct tree_node *node)
{
    if (!node || !node->left || node->left->level != node->level)
        return node;
    struct tree_node *left = node->left;
    node->left = left->right;
    left->right = node;
    return left;
}

static struct tree_node *split(struct tree_node *node)
{
    if (!node || !node->right || level_of(node->right->right) != node->level)
        return node;
    struct tree_node *right = node->right;
    node->right = right->left;
    right->left = node;
    right->level++;
    return right;
}

static struct tree_node *insert(
    struct tree *tree, struct tree_node *at, const void *key, struct tree_node *node)
{
    if (!at)
        return node;
    int order = tree->compare(key, at);
    CHECK(order != 0);
    if (order < 0)
        at->left = insert(tree, at->left, key, node);
    else
        at->right = insert(tree, at->right, key, node);
    return split(skew(at));
}

void tree_insert(struct tree *tree, const void *key, struct tree_node *node)
{
    *node = (struct tree_node){ .level = 1 };
    tree->root = insert(tree, tree->root, key, node);
    tree->count++;
}

/* After a child of `node` lost a level. */
static struct tree_node *repair(struct tree_node *node)
{
    uint32_t left = level_of(node->left), right = level_of(node->right);
    uint32_t level = (left < right ? left : right) + 1;
    if (level < node->level) {
        node->level = level;
        if (right > level)
            node->right->level = level;
    }
    node = skew(node);
    node->right = skew(node->right);
    if (node->right)
        node->right->right = skew(node->right->right);
    node = split(node);
    node->right = split(node->right);
    return node;
}

static struct tree_node *take_last(struct tree_node *node, struct tree_node **ret)
{
    if (!node->right) {
        *ret = node;
        return node->left;
    }
    node->right = take_last(node->right, ret);
    return repair(node);
}

/* The subtree without its root: the element before it takes its place. A node without a left child
 * stands on the lowest level, so what it has on the right is one leaf. */
static struct tree_node *without(struct tree_node *node)
{
    if (!node->left)
        return node->right;
    struct tree_node *heir;
    struct tree_node *left = take_last(node->left, &heir);
    *heir = (struct tree_node){ .left = left, .right = node->right, .level = node->level };
    return repair(heir);
}

static struct tree_node *take(
    struct tree *tree, struct tree_node *at, const void *key, struct tree_node **ret)
{
    if (!at)
        return NULL;
    int order = tree->compare(key, at);
    if (order == 0) {
        *ret = at;
        return without(at);
    }
    if (order < 0)
        at->left = take(tree, at->left, key, ret);
    else
        at->right = take(tree, at->right, key, ret);
    return repair(at);
}

struct tree_node *tree_remove(struct tree *tree, const void *key)
{
    struct tree_node *node = NULL;
    tree->root = take(tree, tree->root, key, &node);
    if (node)
        tree->count--;
    return node;
}

struct tree_node *tree_find(const struct tree *tree, const void *key)
{
    struct tree_node *node = tree_at(tree, key);
    return node && tree->compare(key, node) == 0 ? node : NULL;
}

struct tree_node *tree_at(const struct tree *tree, const void *key)
{
    struct tree_node *best = NULL;
    for (struct tree_node *at = tree->root; at;) {
        int order = tree->compare(key, at);
        if (order == 0)
            return at;
        if (order < 0)
            best = at;
        at = order < 0 ? at->left : at->right;
    }
    return best;
}

struct tree_node *tree_after(const struct tree *tree, const void *key)
{
    struct tree_node *best = NULL;
    for (struct tree_node *at = tree->root; at;) {
        bool before = tree->compare(key, at) < 0;
        if (before)
            best = at;
        at = before ? at->left : at->right;
    }
    return best;
}

struct tree_node *tree_floor(const struct tree *tree, const void *key)
{
    struct tree_node *best = NULL;
    for (struct tree_node *at = tree->root; at;) {
        bool before = tree->compare(key, at) < 0;
        if (!before)
            best = at;
        at = before ? at->left : at->right;
    }
    return best;
}

struct tree_node *tree_first(const struct tree *tree)
{
    struct tree_node *node = tree->root;
    while (node && node->left)
        node = node->left;
    return node;
}
