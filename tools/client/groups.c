/*
 * groups.c - `millrace groups list|describe`.
 *
 * describe joins three answers by partition: the committed offsets of the group, the members with
 * what is assigned to them, and each partition's next offset. A partition is shown when the group
 * has committed there or somebody owns it; its lag is the next offset minus the committed one
 * (unknown without a commit).
 */
#include "tools/client/groups.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/base/mem.h"
#include "tools/client/session.h"
#include "tools/table.h"

/* ---- list ----------------------------------------------------------------------------------- */

static int by_group_id(const void *a, const void *b)
{
    const rd_kafka_ConsumerGroupListing_t *const *left = a, *const *right = b;

    return strcmp(rd_kafka_ConsumerGroupListing_group_id(*left),
        rd_kafka_ConsumerGroupListing_group_id(*right));
}

static const char *listing_state(const rd_kafka_ConsumerGroupListing_t *listing)
{
    return rd_kafka_consumer_group_state_name(rd_kafka_ConsumerGroupListing_state(listing));
}

static void print_groups(const rd_kafka_ConsumerGroupListing_t **groups, size_t count, bool as_json)
{
    static const char *const heads[] = { "GROUP", "STATE" };
    json_t *list = json_array();
    struct table table;

    table_init(&table, heads, ARRAY_COUNT(heads));
    for (size_t i = 0; i < count; i++) {
        const char *id = rd_kafka_ConsumerGroupListing_group_id(groups[i]);
        const char *state = listing_state(groups[i]);
        table_cell(&table, "%s", id);
        table_cell(&table, "%s", state);
        (void)json_array_append_new(list, json_pack("{s:s, s:s}", "group", id, "state", state));
    }
    if (as_json)
        print_json(json_pack("{s:O}", "groups", list));
    else
        table_print(&table, stdout);
    table_done(&table);
    json_decref(list);
}

/* A cluster may answer in part: what came is printed, what failed is told. */
static int tell_groups(struct session *session, rd_kafka_event_t *event)
{
    const rd_kafka_ListConsumerGroups_result_t *result =
        rd_kafka_event_ListConsumerGroups_result(event);
    size_t count, error_count;
    const rd_kafka_ConsumerGroupListing_t **groups =
        rd_kafka_ListConsumerGroups_result_valid(result, &count);
    const rd_kafka_error_t **errors =
        rd_kafka_ListConsumerGroups_result_errors(result, &error_count);
    int code = EXIT_DONE;

    if (count > 0)
        qsort(groups, count, sizeof(rd_kafka_ConsumerGroupListing_t *), by_group_id);
    print_groups(groups, count, session->common->json);
    for (size_t i = 0; i < error_count; i++)
        code = session_failed(session, "list groups", rd_kafka_error_code(errors[i]),
            rd_kafka_error_string(errors[i]));
    return code;
}

static int groups_list(struct settings *base)
{
    struct common *common = container_of(base, struct common, settings);
    struct session session;
    const struct rd_kafka_metadata *metadata;

    int code = session_start(&session, common);
    if (!code)
        code = session_metadata(&session, NULL, &metadata);
    if (!code) {
        rd_kafka_metadata_destroy(metadata);
        rd_kafka_AdminOptions_t *options =
            session_admin_options(&session, RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPS);
        rd_kafka_queue_t *queue = rd_kafka_queue_new(session.rk);
        rd_kafka_event_t *event;
        rd_kafka_ListConsumerGroups(session.rk, options, queue);
        code = session_await(&session, queue, "list groups", &event);
        if (!code) {
            code = tell_groups(&session, event);
            rd_kafka_event_destroy(event);
        }
        rd_kafka_queue_destroy(queue);
        rd_kafka_AdminOptions_destroy(options);
    }
    session_close(&session);
    return code;
}

/* ---- describe ------------------------------------------------------------------------------- */

struct row {
    const char *topic; /* borrowed from one of the events */
    int32_t partition;
    int64_t committed;                          /* -1: none */
    int64_t end;                                /* -1: not known */
    const rd_kafka_MemberDescription_t *member; /* NULL: nobody owns it */
};

struct group {
    struct session session;
    const char *id;
    rd_kafka_queue_t *queue;
    rd_kafka_event_t *described, *committed;
    const rd_kafka_ConsumerGroupDescription_t *description; /* in `described` */
    struct row *rows;
    size_t row_count, row_capacity;
};

static struct row *find_row(struct group *group, const char *topic, int32_t partition)
{
    for (size_t i = 0; i < group->row_count; i++)
        if (group->rows[i].partition == partition && strcmp(group->rows[i].topic, topic) == 0)
            return &group->rows[i];
    mem_grow(group->rows, &group->row_capacity, group->row_count + 1);
    struct row *row = &group->rows[group->row_count++];
    *row = (struct row){ .topic = topic, .partition = partition, .committed = -1, .end = -1 };
    return row;
}

static int ask_description(struct group *group)
{
    struct session *session = &group->session;
    rd_kafka_AdminOptions_t *options =
        session_admin_options(session, RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS);
    size_t count;

    rd_kafka_DescribeConsumerGroups(session->rk, &group->id, 1, options, group->queue);
    int code = session_await(session, group->queue, "describe group", &group->described);
    rd_kafka_AdminOptions_destroy(options);
    if (code)
        return code;
    group->description = rd_kafka_DescribeConsumerGroups_result_groups(
        rd_kafka_event_DescribeConsumerGroups_result(group->described), &count)[0];
    const rd_kafka_error_t *error = rd_kafka_ConsumerGroupDescription_error(group->description);
    if (error)
        return session_failed(
            session, group->id, rd_kafka_error_code(error), rd_kafka_error_string(error));
    return EXIT_DONE;
}

/* Every partition of the cluster: librdkafka 2.0 cannot ask for "all that are committed". */
static rd_kafka_topic_partition_list_t *all_partitions(const struct rd_kafka_metadata *metadata)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(16);

    for (int t = 0; t < metadata->topic_cnt; t++)
        for (int p = 0; p < metadata->topics[t].partition_cnt; p++)
            (void)rd_kafka_topic_partition_list_add(
                list, metadata->topics[t].topic, metadata->topics[t].partitions[p].id);
    return list;
}

static void add_committed(struct group *group, const rd_kafka_group_result_t *result)
{
    const rd_kafka_topic_partition_list_t *list = rd_kafka_group_result_partitions(result);

    for (int i = 0; list && i < list->cnt; i++)
        if (list->elems[i].offset >= 0)
            find_row(group, list->elems[i].topic, list->elems[i].partition)->committed =
                list->elems[i].offset;
}

static int ask_committed(struct group *group, const struct rd_kafka_metadata *metadata)
{
    struct session *session = &group->session;
    rd_kafka_topic_partition_list_t *list = all_partitions(metadata);
    rd_kafka_AdminOptions_t *options =
        session_admin_options(session, RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS);
    int code = EXIT_DONE;
    size_t count;

    if (list->cnt > 0) {
        rd_kafka_ListConsumerGroupOffsets_t *request =
            rd_kafka_ListConsumerGroupOffsets_new(group->id, list);
        rd_kafka_ListConsumerGroupOffsets(session->rk, &request, 1, options, group->queue);
        code = session_await(session, group->queue, "committed offsets", &group->committed);
        rd_kafka_ListConsumerGroupOffsets_destroy(request);
    }
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_topic_partition_list_destroy(list);
    if (code || !group->committed)
        return code;
    const rd_kafka_group_result_t *result = rd_kafka_ListConsumerGroupOffsets_result_groups(
        rd_kafka_event_ListConsumerGroupOffsets_result(group->committed), &count)[0];
    const rd_kafka_error_t *error = rd_kafka_group_result_error(result);
    if (error)
        return session_failed(
            session, group->id, rd_kafka_error_code(error), rd_kafka_error_string(error));
    add_committed(group, result);
    return EXIT_DONE;
}

static void add_members(struct group *group)
{
    size_t members = rd_kafka_ConsumerGroupDescription_member_count(group->description);

    for (size_t m = 0; m < members; m++) {
        const rd_kafka_MemberDescription_t *member =
            rd_kafka_ConsumerGroupDescription_member(group->description, m);
        const rd_kafka_MemberAssignment_t *assignment =
            rd_kafka_MemberDescription_assignment(member);
        const rd_kafka_topic_partition_list_t *list =
            assignment ? rd_kafka_MemberAssignment_partitions(assignment) : NULL;
        for (int i = 0; list && i < list->cnt; i++)
            find_row(group, list->elems[i].topic, list->elems[i].partition)->member = member;
    }
}

static int by_topic_and_partition(const void *a, const void *b)
{
    const struct row *left = a, *right = b;
    int order = strcmp(left->topic, right->topic);

    return order ? order
                 : (left->partition > right->partition) - (left->partition < right->partition);
}

static int ask_ends(struct group *group)
{
    for (size_t i = 0; i < group->row_count; i++) {
        struct row *row = &group->rows[i];
        int64_t low;
        int code = session_range(&group->session, row->topic, row->partition, &low, &row->end);
        if (code)
            return code;
    }
    return EXIT_DONE;
}

static int describe(struct group *group)
{
    const struct rd_kafka_metadata *metadata;

    int code = session_metadata(&group->session, NULL, &metadata);
    if (code)
        return code;
    group->queue = rd_kafka_queue_new(group->session.rk);
    code = ask_description(group);
    if (!code)
        code = ask_committed(group, metadata);
    rd_kafka_metadata_destroy(metadata);
    if (code)
        return code;
    add_members(group);
    if (group->row_count > 0)
        qsort(group->rows, group->row_count, sizeof(*group->rows), by_topic_and_partition);
    rd_kafka_consumer_group_state_t state =
        rd_kafka_ConsumerGroupDescription_state(group->description);
    if (state == RD_KAFKA_CONSUMER_GROUP_STATE_DEAD && group->row_count == 0) {
        command_error(&group->session.common->settings, "there is no group '%s'", group->id);
        return EXIT_FAILED;
    }
    return ask_ends(group);
}

/* ---- printing ------------------------------------------------------------------------------- */

static json_t *number_or_null(int64_t number)
{
    return number < 0 ? json_null() : json_integer(number);
}

static json_t *text_or_null(const char *text)
{
    return text ? json_string(text) : json_null();
}

static int64_t row_lag(const struct row *row)
{
    if (row->committed < 0 || row->end < 0)
        return -1;
    return row->end > row->committed ? row->end - row->committed : 0;
}

static json_t *rows_as_json(const struct group *group)
{
    json_t *list = json_array();

    for (size_t i = 0; i < group->row_count; i++) {
        const struct row *row = &group->rows[i];
        (void)json_array_append_new(list,
            json_pack("{s:s, s:i, s:o, s:o, s:o, s:o}", "topic", row->topic, "partition",
                (int)row->partition, "committed", number_or_null(row->committed), "end",
                number_or_null(row->end), "lag", number_or_null(row_lag(row)), "member",
                text_or_null(
                    row->member ? rd_kafka_MemberDescription_consumer_id(row->member) : NULL)));
    }
    return list;
}

static json_t *members_as_json(const struct group *group)
{
    json_t *list = json_array();
    size_t count = rd_kafka_ConsumerGroupDescription_member_count(group->description);

    for (size_t i = 0; i < count; i++) {
        const rd_kafka_MemberDescription_t *member =
            rd_kafka_ConsumerGroupDescription_member(group->description, i);
        (void)json_array_append_new(
            list, json_pack("{s:s, s:s, s:s}", "id", rd_kafka_MemberDescription_consumer_id(member),
                      "client", rd_kafka_MemberDescription_client_id(member), "host",
                      rd_kafka_MemberDescription_host(member)));
    }
    return list;
}

static void print_rows(const struct group *group)
{
    static const char *const heads[] = { "TOPIC", ">PARTITION", ">COMMITTED", ">END", ">LAG",
        "MEMBER", "HOST" };
    struct table table;

    table_init(&table, heads, ARRAY_COUNT(heads));
    for (size_t i = 0; i < group->row_count; i++) {
        const struct row *row = &group->rows[i];
        const int64_t numbers[] = { row->committed, row->end, row_lag(row) };
        table_cell(&table, "%s", row->topic);
        table_cell(&table, "%" PRId32, row->partition);
        for (size_t n = 0; n < ARRAY_COUNT(numbers); n++) {
            if (numbers[n] < 0)
                table_cell(&table, "-");
            else
                table_cell(&table, "%" PRId64, numbers[n]);
        }
        table_cell(
            &table, "%s", row->member ? rd_kafka_MemberDescription_consumer_id(row->member) : "");
        table_cell(&table, "%s", row->member ? rd_kafka_MemberDescription_host(row->member) : "");
    }
    table_print(&table, stdout);
    table_done(&table);
}

static void print_group(const struct group *group)
{
    const rd_kafka_Node_t *node = rd_kafka_ConsumerGroupDescription_coordinator(group->description);
    const char *assignor = rd_kafka_ConsumerGroupDescription_partition_assignor(group->description);
    const char *state = rd_kafka_consumer_group_state_name(
        rd_kafka_ConsumerGroupDescription_state(group->description));
    size_t members = rd_kafka_ConsumerGroupDescription_member_count(group->description);

    if (group->session.common->json) {
        print_json(json_pack("{s:s, s:s, s:o, s:o, s:o, s:o}", "group", group->id, "state", state,
            "assignor", text_or_null(assignor && *assignor ? assignor : NULL), "coordinator",
            node ? json_integer(rd_kafka_Node_id(node)) : json_null(), "members",
            members_as_json(group), "partitions", rows_as_json(group)));
        return;
    }
    printf("Group %s: %s, %zu member%s", group->id, state, members, members == 1 ? "" : "s");
    if (assignor && *assignor)
        printf(", assignor %s", assignor);
    if (node)
        printf(", coordinator %s:%d", rd_kafka_Node_host(node), (int)rd_kafka_Node_port(node));
    printf("\n");
    print_rows(group);
}

static int groups_describe(struct settings *base)
{
    struct common *common = container_of(base, struct common, settings);
    struct group group = { .id = base->words.items[0] };

    int code = session_start(&group.session, common);
    if (!code)
        code = describe(&group);
    if (!code)
        print_group(&group);
    if (group.described)
        rd_kafka_event_destroy(group.described);
    if (group.committed)
        rd_kafka_event_destroy(group.committed);
    if (group.queue)
        rd_kafka_queue_destroy(group.queue);
    mem_free(group.rows);
    session_close(&group.session);
    return code;
}

const struct command groups_commands[] = {
    { .name = "list",
        .synopsis = "[OPTION]...",
        .summary = "The consumer groups of the cluster, and their states.",
        .details = "Examples:\n"
                   "  millrace groups list\n",
        .shared = common_options,
        .settings_size = sizeof(struct common),
        .run = groups_list },
    { .name = "describe",
        .synopsis = "GROUP [OPTION]...",
        .summary = "Members, committed offsets and lag of a group.",
        .details = "Examples:\n"
                   "  millrace groups describe readers\n"
                   "  millrace groups describe readers --json | jq '[.partitions[].lag] | add'\n",
        .shared = common_options,
        .words_min = 1,
        .words_max = 1,
        .settings_size = sizeof(struct common),
        .run = groups_describe },
    { .name = NULL },
};
