/* Kafka's rules for topic names, and the set of names. */
#include "broker/names.h"
#include "tests/test.h"

#include <stdio.h>
#include <string.h>

TEST(names, a_topic_may_be_called_by_letters_digits_dot_underscore_and_dash)
{
    char longest[TOPIC_NAME_LEN_MAX + 2];
    memset(longest, 'x', sizeof(longest));
    cr_assert_null(topic_name_fault(bytes_text("a")));
    cr_assert_null(topic_name_fault(bytes_text("Az09._-")));
    cr_assert_null(topic_name_fault(bytes_text("...")));
    cr_assert_null(topic_name_fault(bytes_of(longest, TOPIC_NAME_LEN_MAX)));
    cr_assert_not_null(topic_name_fault(bytes_of(longest, TOPIC_NAME_LEN_MAX + 1)));
    cr_assert_not_null(topic_name_fault(bytes_of(NULL, 0)));
    cr_assert_not_null(topic_name_fault(bytes_text("")));
    cr_assert_not_null(topic_name_fault(bytes_text(".")));
    cr_assert_not_null(topic_name_fault(bytes_text("..")));
    cr_assert_not_null(topic_name_fault(bytes_text("a/b")));
    cr_assert_not_null(topic_name_fault(bytes_text("a b")));
    cr_assert_not_null(topic_name_fault(bytes_text("\xc3\xa4")));
    cr_assert_not_null(topic_name_fault(bytes_of("a\0b", 3)));
}

TEST(names, three_topics_are_internal)
{
    cr_assert(topic_name_is_internal(bytes_text("__consumer_offsets")));
    cr_assert(topic_name_is_internal(bytes_text("__transaction_state")));
    cr_assert(topic_name_is_internal(bytes_text("__share_group_state")));
    cr_assert_not(topic_name_is_internal(bytes_text("__consumer_offset")));
    cr_assert_not(topic_name_is_internal(bytes_text("consumer_offsets")));
}

TEST(names, a_set_tells_who_was_there_first)
{
    struct arena arena;
    struct name_set set;
    int32_t number = -1;
    struct bytes key;
    arena_init(&arena, 1 << 20);
    cr_assert_eq(name_set_init(&set, &arena, 3, 7, false), 0);
    cr_assert(name_set_add(&set, bytes_text("a.b"), 10, &number, &key));
    cr_assert(name_set_add(&set, bytes_text("a_b"), 11, &number, &key));
    cr_assert(name_set_add(&set, bytes_text(""), 12, &number, &key));
    cr_assert_not(name_set_add(&set, bytes_text("a_b"), 13, &number, &key));
    cr_assert_eq(number, 11);
    cr_assert(bytes_equal_text(key, "a_b"));
    cr_assert_eq(name_set_find(&set, bytes_text(""), NULL), 12);
    cr_assert_eq(name_set_find(&set, bytes_text("c"), NULL), -1);
    arena_done(&arena);
}

TEST(names, a_folded_set_takes_dot_and_underscore_for_the_same)
{
    struct arena arena;
    struct name_set set;
    int32_t number = -1;
    struct bytes key;
    arena_init(&arena, 1 << 20);
    cr_assert_eq(name_set_init(&set, &arena, 2, 7, true), 0);
    cr_assert(name_set_add(&set, bytes_text("a.b_c"), 1, &number, &key));
    cr_assert_not(name_set_add(&set, bytes_text("a_b.c"), 2, &number, &key));
    cr_assert_eq(number, 1);
    cr_assert(bytes_equal_text(key, "a.b_c"));
    cr_assert(name_set_add(&set, bytes_text("a-b.c"), 3, &number, &key));
    arena_done(&arena);
}

TEST(names, a_set_holds_as_many_as_it_was_made_for)
{
    enum { COUNT = 1000 };
    static char text[COUNT][8];
    struct arena arena;
    struct name_set set;
    int32_t number;
    arena_init(&arena, 1 << 20);
    cr_assert_eq(name_set_init(&set, &arena, COUNT, 3, false), 0);
    for (int i = 0; i < COUNT; i++) {
        (void)snprintf(text[i], sizeof(text[i]), "t%d", i);
        cr_assert(name_set_add(&set, bytes_text(text[i]), i, &number, NULL));
    }
    for (int i = 0; i < COUNT; i++)
        cr_assert_eq(name_set_find(&set, bytes_text(text[i]), NULL), i);
    arena_done(&arena);
}

TEST(names, a_set_that_is_too_large_for_the_arena_says_so)
{
    struct arena arena;
    struct name_set set;
    arena_init(&arena, 1000);
    cr_assert_neq(name_set_init(&set, &arena, 1000, 3, false), 0);
    arena_done(&arena);
}
