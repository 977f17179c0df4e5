/* The arena: alignment, limit, reuse after a reset. */
#include "protocol/base/arena.h"

#include <stdint.h>
#include <string.h>

#include "tests/test.h"

TEST(arena, hands_out_zeroed_aligned_memory)
{
    struct arena arena;
    arena_init(&arena, 1 << 20);
    for (size_t size = 1; size < 3000; size = size * 2 + 1) {
        uint8_t *piece = arena_alloc(&arena, size);
        cr_assert_not_null(piece);
        cr_assert_eq((uintptr_t)piece % 16, 0);
        for (size_t i = 0; i < size; i++)
            cr_assert_eq(piece[i], 0);
        memset(piece, 0xff, size);
    }
    arena_reset(&arena);
    uint8_t *again = arena_alloc(&arena, 64);
    for (size_t i = 0; i < 64; i++)
        cr_assert_eq(again[i], 0, "a reset arena hands out old bytes");
    arena_done(&arena);
}

TEST(arena, refuses_beyond_its_limit)
{
    struct arena arena;
    arena_init(&arena, 1000);
    cr_assert_not_null(arena_alloc(&arena, 600));
    cr_assert_null(arena_alloc(&arena, 401));
    cr_assert_null(arena_alloc(&arena, SIZE_MAX));
    cr_assert_not_null(arena_alloc(&arena, 300));
    cr_assert_null(arena_alloc(&arena, 101), "more than was to be handed out");
    cr_assert_null(arena_alloc(&arena, 100), "more than the heap was to give");
    arena_reset(&arena);
    cr_assert_not_null(arena_copy(&arena, "text", 4));
    arena_done(&arena);
}

/* What it takes from the heap has the same limit: chunks stop growing where it is near. */
TEST(arena, takes_no_more_than_its_limit)
{
    for (size_t piece = 8; piece < 5000; piece = piece * 3 + 1) {
        struct arena arena;
        arena_init(&arena, 20000);
        while (arena_alloc(&arena, piece))
            cr_assert_leq(arena.held, arena.limit, "pieces of %zu", piece);
        cr_assert_leq(arena.held, arena.limit);
        cr_assert_geq(arena.used, piece < 100 ? 9000 : 5000, "pieces of %zu", piece);
        arena_done(&arena);
    }
}
