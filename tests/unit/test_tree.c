/* The ordered map, against a plain array of what should be in it. */
#include "protocol/base/tree.h"

#include "protocol/base/check.h"
#include "protocol/base/random.h"
#include "tests/test.h"

enum { KEYS = 512 };

struct element {
    struct tree_node node;
    int key;
};

static int compare(const void *key, const struct tree_node *node)
{
    int a = *(const int *)key, b = container_of_const(node, struct element, node)->key;
    return (a > b) - (a < b);
}

static int key_of(const struct tree_node *node)
{
    return node ? container_of_const(node, struct element, node)->key : -1;
}

static int depth(const struct tree_node *node)
{
    if (!node)
        return 0;
    int left = depth(node->left), right = depth(node->right);
    return 1 + (left > right ? left : right);
}

/* What makes it an AA tree: a left child stands one level below, a right one there or beside, and
 * of two right links in a row only one stays on the level. */
static void check_levels(const struct tree_node *node)
{
    if (!node)
        return;
    uint32_t left = node->left ? node->left->level : 0;
    uint32_t right = node->right ? node->right->level : 0;
    uint32_t second = node->right && node->right->right ? node->right->right->level : 0;
    cr_assert_eq(left, node->level - 1);
    cr_assert(right == node->level || right == node->level - 1);
    cr_assert_lt(second, node->level);
    check_levels(node->left);
    check_levels(node->right);
}

static void check_around(const struct tree *tree, const bool *in, int key)
{
    int at = key, after = key + 1, floor = key;
    while (at < KEYS && !in[at])
        at++;
    while (after < KEYS && !in[after])
        after++;
    while (floor >= 0 && !in[floor])
        floor--;
    cr_assert_eq(key_of(tree_find(tree, &key)), in[key] ? key : -1);
    cr_assert_eq(key_of(tree_at(tree, &key)), at < KEYS ? at : -1);
    cr_assert_eq(key_of(tree_after(tree, &key)), after < KEYS ? after : -1);
    cr_assert_eq(key_of(tree_floor(tree, &key)), floor);
}

TEST(tree, agrees_with_an_array)
{
    static struct element elements[KEYS];
    static bool in[KEYS];
    struct tree tree = { .compare = compare };
    struct random random = random_seeded(7);
    size_t count = 0;
    for (int i = 0; i < KEYS; i++)
        elements[i].key = i;
    for (int round = 0; round < 40000; round++) {
        int key = (int)random_below(&random, KEYS);
        /* Mostly filling, then mostly emptying. */
        bool insert = random_chance(&random, round % 8000 < 4000 ? 7 : 3, 10);
        if (insert && !in[key]) {
            tree_insert(&tree, &key, &elements[key].node);
            count++;
            in[key] = true;
        } else if (!insert) {
            cr_assert_eq(key_of(tree_remove(&tree, &key)), in[key] ? key : -1);
            count -= in[key];
            in[key] = false;
        }
        cr_assert_eq(tree.count, count);
        check_around(&tree, in, (int)random_below(&random, KEYS));
        cr_assert_leq(depth(tree.root), 20); /* 2 log2(512) + 2 */
        if (round % 50 == 0)
            check_levels(tree.root);
    }
}

TEST(tree, stays_flat_for_ascending_keys)
{
    static struct element elements[KEYS];
    struct tree tree = { .compare = compare };
    for (int i = 0; i < KEYS; i++) {
        elements[i].key = i;
        tree_insert(&tree, &i, &elements[i].node);
    }
    cr_assert_leq(depth(tree.root), 20);
    int seen = 0;
    for (struct tree_node *node = tree_first(&tree); node;
         node = tree_after(&tree, &container_of(node, struct element, node)->key))
        cr_assert_eq(key_of(node), seen++);
    cr_assert_eq(seen, KEYS);
}
