/* See subscription.h. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "broker/subscription.h"

#include <errno.h>
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "broker/group.h"
#include "protocol/base/mem.h"
#include "storage/cursor.h"

/* ---- names ---- */

void name_list_done(struct name_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        mem_free(list->names[i]);
    mem_free(list->names);
    *list = (struct name_list){ 0 };
}

static int names_compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void names_sort(struct name_list *list)
{
    size_t kept = 0;
    if (list->count < 2)
        return;
    qsort(list->names, list->count, sizeof(*list->names), names_compare);
    for (size_t i = 1; i < list->count; i++) {
        if (strcmp(list->names[kept], list->names[i]) == 0)
            mem_free(list->names[i]);
        else
            list->names[++kept] = list->names[i];
    }
    list->count = kept + 1;
}

void name_list_set(struct name_list *list, const struct bytes *names, size_t count)
{
    name_list_done(list);
    list->names = mem_zalloc(count, sizeof(*list->names));
    list->count = count;
    for (size_t i = 0; i < count; i++)
        list->names[i] = mem_strndup((const char *)names[i].data, names[i].len);
    names_sort(list);
}

bool name_list_has(const struct name_list *list, struct bytes name)
{
    size_t low = 0, high = list->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = bytes_compare(bytes_text(list->names[middle]), name);
        if (order == 0)
            return true;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

bool name_list_equal(const struct name_list *a, const struct name_list *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (strcmp(a->names[i], b->names[i]) != 0)
            return false;
    return true;
}

bool name_list_is(const struct name_list *list, const struct bytes *names, size_t count)
{
    struct name_list other = { 0 };
    name_list_set(&other, names, count);
    bool same = name_list_equal(list, &other);
    name_list_done(&other);
    return same;
}

void name_list_copy(struct name_list *to, const struct name_list *from)
{
    name_list_done(to);
    to->names = mem_zalloc(from->count, sizeof(*to->names));
    to->count = from->count;
    for (size_t i = 0; i < from->count; i++)
        to->names[i] = mem_strdup(from->names[i]);
}

size_t name_list_size(const struct name_list *list)
{
    size_t size = list->count * sizeof(*list->names);
    for (size_t i = 0; i < list->count; i++)
        size += strlen(list->names[i]) + 1;
    return size;
}

void name_list_put(struct out *out, const struct name_list *list)
{
    out_u32(out, (uint32_t)list->count);
    for (size_t i = 0; i < list->count; i++)
        group_put_blob(out, bytes_text(list->names[i]));
}

void name_list_take(struct cursor *cursor, struct name_list *ret_list)
{
    uint32_t count = cursor_count(cursor, 4);
    name_list_done(ret_list);
    ret_list->names = mem_zalloc(count, sizeof(*ret_list->names));
    for (uint32_t i = 0; i < count; i++) {
        char *name = group_take_text(cursor);
        ret_list->names[ret_list->count++] = name ? name : mem_strdup("");
        cursor->bad |= !name;
    }
    names_sort(ret_list);
}

/* ---- expressions ---- */

enum {
    MATCH_LIMIT = 100000,   /* steps for one name */
    MATCH_HEAP_KIB = 1024,  /* for one name */
    NEST_MAX = 50,          /* parentheses */
    WORKSPACE_COUNT = 4096, /* states of the automaton at once; more: it does not match */
};

static pcre2_code *regex_compile(struct bytes regex, char **why)
{
    int error = 0;
    PCRE2_SIZE at = 0;
    pcre2_compile_context *limits = pcre2_compile_context_create(NULL);
    CHECK(limits);
    (void)pcre2_set_max_pattern_length(limits, REGEX_LEN_MAX);
    (void)pcre2_set_parens_nest_limit(limits, NEST_MAX);
    pcre2_code *code = pcre2_compile(regex.data, regex.len,
        PCRE2_ANCHORED | PCRE2_NO_AUTO_CAPTURE | PCRE2_NEVER_BACKSLASH_C | PCRE2_UTF, &error, &at,
        limits);
    pcre2_compile_context_free(limits);
    uint32_t back = 0;
    if (code && pcre2_pattern_info(code, PCRE2_INFO_BACKREFMAX, &back) == 0 && back > 0) {
        pcre2_code_free(code);
        code = NULL;
        if (why)
            *why = mem_strdup("back references are not served");
    } else if (!code && why) {
        PCRE2_UCHAR text[128];
        (void)pcre2_get_error_message(error, text, sizeof(text));
        *why = mem_printf("%s (at character %zu)", (const char *)text, at);
    }
    return code;
}

int regex_check(struct bytes regex, char **why)
{
    pcre2_code *code = regex_compile(regex, why);
    pcre2_code_free(code);
    return code ? 0 : -EINVAL;
}

void regex_resolve(struct bytes regex, const struct topic_view *topics, struct name_list *ret_list)
{
    name_list_done(ret_list);
    pcre2_code *code = regex_compile(regex, NULL);
    if (!code)
        return;
    pcre2_match_data *match = pcre2_match_data_create(1, NULL);
    pcre2_match_context *limits = pcre2_match_context_create(NULL);
    int *workspace = mem_alloc(WORKSPACE_COUNT * sizeof(*workspace));
    CHECK(match && limits);
    (void)pcre2_set_match_limit(limits, MATCH_LIMIT);
    (void)pcre2_set_heap_limit(limits, MATCH_HEAP_KIB);
    size_t capacity = 0;
    struct topic_facts topic = { 0 };
    while (topics->next(topics->context, topic.name, &topic)) {
        size_t len = strlen(topic.name);
        int status = pcre2_dfa_match(code, (PCRE2_SPTR)topic.name, len, 0, PCRE2_ENDANCHORED, match,
            limits, workspace, WORKSPACE_COUNT);
        /* The longest match comes first, and compiled end anchors don't bind the automaton. */
        if (status < 0 || pcre2_get_ovector_pointer(match)[1] != len)
            continue;
        mem_grow(ret_list->names, &capacity, ret_list->count + 1);
        ret_list->names[ret_list->count++] = mem_strdup(topic.name);
    }
    mem_free(workspace);
    pcre2_match_context_free(limits);
    pcre2_match_data_free(match);
    pcre2_code_free(code);
    names_sort(ret_list);
}

/* ---- topics ---- */

void topic_list_done(struct topic_list *list)
{
    mem_free(list->items);
    *list = (struct topic_list){ 0 };
}

void topic_list_add(
    struct topic_list *list, const struct name_list *names, const struct topic_view *topics)
{
    for (size_t i = 0; i < names->count; i++) {
        struct topic_facts facts;
        if (!topics->by_name(topics->context, bytes_text(names->names[i]), &facts))
            continue;
        mem_grow(list->items, &list->capacity, list->count + 1);
        list->items[list->count++] = facts;
    }
}

static int topics_compare(const void *a, const void *b)
{
    const struct topic_facts *x = a, *y = b;
    return memcmp(x->id.b, y->id.b, sizeof(x->id.b));
}

void topic_list_sort(struct topic_list *list)
{
    size_t kept = 0;
    if (list->count == 0)
        return;
    qsort(list->items, list->count, sizeof(*list->items), topics_compare);
    for (size_t i = 1; i < list->count; i++)
        if (topics_compare(&list->items[kept], &list->items[i]) != 0)
            list->items[++kept] = list->items[i];
    list->count = kept + 1;
}

const struct topic_facts *topic_list_find(const struct topic_list *list, const struct uuid *id)
{
    struct topic_facts key = { .id = *id };
    return list->count
               ? bsearch(&key, list->items, list->count, sizeof(*list->items), topics_compare)
               : NULL;
}

uint64_t topic_list_hash(const struct topic_list *list)
{
    struct out out = { 0 };
    for (size_t i = 0; i < list->count; i++) {
        const struct topic_facts *topic = &list->items[i];
        out_bytes(&out, topic->id.b, sizeof(topic->id.b));
        out_u32(&out, (uint32_t)topic->partition_count);
        out_bytes(&out, topic->name, strlen(topic->name) + 1);
    }
    uint64_t hash = out.len ? XXH3_64bits(out.data, out.len) : 0;
    out_done(&out);
    return hash;
}
