/* Which topics follow from names and regular expressions. */
#include "broker/subscription.h"
#include "tests/test.h"

#include <stdio.h>
#include <string.h>

#include "protocol/base/mem.h"

static const char *const names[] = { "orders", "orders-eu", "orders.eu", "payments", "x" };

static uint64_t version(void *context)
{
    (void)context;
    return 1;
}

static bool fill(size_t i, struct topic_facts *facts)
{
    if (i >= ARRAY_COUNT(names))
        return false;
    *facts = (struct topic_facts){ names[i], { { (uint8_t)(100 - i) } }, (int32_t)i + 1 };
    return true;
}

static bool by_name(void *context, struct bytes name, struct topic_facts *facts)
{
    (void)context;
    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        if (bytes_equal_text(name, names[i]))
            return fill(i, facts);
    return false;
}

static bool by_id(void *context, const struct uuid *id, struct topic_facts *facts)
{
    (void)context;
    return fill((size_t)(100 - id->b[0]), facts);
}

static bool next(void *context, const char *after, struct topic_facts *facts)
{
    (void)context;
    size_t i = 0;
    while (after && i < ARRAY_COUNT(names) && strcmp(names[i], after) <= 0)
        i++;
    return fill(i, facts);
}

static const struct topic_view view = { NULL, version, by_name, by_id, next };

static void matches(const char *regex, const char *expected)
{
    struct name_list list = { 0 };
    struct out said = { 0 };
    regex_resolve(bytes_text(regex), &view, &list);
    for (size_t i = 0; i < list.count; i++)
        out_printf(&said, "%s%s", i ? " " : "", list.names[i]);
    out_bytes(&said, "", 1);
    cr_assert_str_eq((char *)said.data, expected, "%s: %s", regex, (char *)said.data);
    out_done(&said);
    name_list_done(&list);
}

TEST(subscription, an_expression_matches_whole_names)
{
    matches("orders", "orders");
    matches("orders.*", "orders orders-eu orders.eu");
    matches("orders.eu", "orders-eu orders.eu");
    matches("orders\\.eu", "orders.eu");
    matches("^(orders|payments)$", "orders payments");
    matches("(?i)ORDERS", "orders");
    matches(".*[xs]", "orders payments x");
    matches("[a-z]+", "orders payments x");
    matches("nothing", "");
    matches("", "");
}

static void refused(const char *regex)
{
    char *why = NULL;
    cr_assert_neq(regex_check(bytes_text(regex), &why), 0, "%s", regex);
    cr_assert(why && why[0]);
    mem_free(why);
}

TEST(subscription, what_is_no_expression_is_refused_with_a_reason)
{
    char *why = NULL;
    char huge[REGEX_LEN_MAX + 2];
    cr_assert_eq(regex_check(bytes_text("a+(b|c)"), &why), 0);
    refused("[");
    refused("(a");
    refused("a**b(");
    refused("(a)\\1");
    refused("a{70000}");
    refused("\xff\xfe");
    memset(huge, 'a', sizeof(huge));
    huge[sizeof(huge) - 1] = 0;
    refused(huge);
    /* Would hold a backtracking matcher up; compiled or not, it ends at once. */
    matches("(((o*)*)*)*rders!", "");
    matches("(?R)?", "");
}

TEST(subscription, lists_of_names_are_sorted_sets)
{
    struct name_list list = { 0 }, copy = { 0 };
    struct bytes given[] = { bytes_text("b"), bytes_text("a"), bytes_text("b"), bytes_text("ab") };
    name_list_set(&list, given, 4);
    cr_assert_eq(list.count, 3);
    cr_assert(name_list_has(&list, bytes_text("ab")));
    cr_assert(name_list_has(&list, bytes_text("a")));
    cr_assert(!name_list_has(&list, bytes_text("abc")));
    cr_assert(!name_list_has(&list, bytes_text("")));
    name_list_copy(&copy, &list);
    cr_assert(name_list_equal(&copy, &list));
    cr_assert(name_list_is(&copy, given, 4));
    cr_assert(!name_list_is(&copy, given, 2 - 1));
    name_list_done(&list);
    name_list_done(&copy);
}

TEST(subscription, topics_are_sorted_by_id_and_their_hash_follows_them)
{
    struct name_list list = { 0 };
    struct topic_list topics = { 0 };
    struct bytes given[] = { bytes_text("x"), bytes_text("gone"), bytes_text("orders") };
    name_list_set(&list, given, 3);
    topic_list_add(&topics, &list, &view);
    topic_list_add(&topics, &list, &view);
    topic_list_sort(&topics);
    cr_assert_eq(topics.count, 2);
    cr_assert_str_eq(topics.items[0].name, "x");
    cr_assert_str_eq(topics.items[1].name, "orders");
    uint64_t hash = topic_list_hash(&topics);
    topics.items[1].partition_count++;
    cr_assert_neq(topic_list_hash(&topics), hash);
    topic_list_done(&topics);
    name_list_done(&list);
}
