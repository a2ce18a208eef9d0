#include "worker/commands/group.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

#define PARTITIONS_MAX_BYTES 4096
#define LIST_MS              1000

/* ---- calls of the admin API ---- */

static rd_kafka_AdminOptions_t *options_new(rd_kafka_t *rk, rd_kafka_admin_op_t operation,
                                            int timeout_ms)
{
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(rk, operation);
    char why[128];

    rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, why, sizeof why);
    return options;
}

/* The answer, or NULL and one line in `error`. */
static rd_kafka_event_t *take(struct client *client, rd_kafka_queue_t *queue, int timeout_ms,
                              char *error, size_t error_size)
{
    /* The call itself gives up after its time-out; this is for a client that hangs. */
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, timeout_ms + 1000);
    rd_kafka_resp_err_t code =
        event != NULL ? rd_kafka_event_error(event) : RD_KAFKA_RESP_ERR__TIMED_OUT;

    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return event;
    snprintf(error, error_size, "%s", client_trouble(client, code));
    if (event != NULL)
        rd_kafka_event_destroy(event);
    return NULL;
}

/* ---- members ---- */

/* The end of the run of partitions of one topic that begins at `first`. */
static int run_end(const rd_kafka_topic_partition_list_t *list, int first)
{
    int last = first;

    while (last + 1 < list->cnt &&
           strcmp(list->elems[last + 1].topic, list->elems[first].topic) == 0 &&
           list->elems[last + 1].partition == list->elems[last].partition + 1)
        last++;
    return last;
}

void group_add_partitions(struct buf *out, rd_kafka_topic_partition_list_t *list)
{
    const char *topic = NULL;

    rd_kafka_topic_partition_list_sort(list, NULL, NULL);
    for (int i = 0; i < list->cnt; i++) {
        const rd_kafka_topic_partition_t *first = &list->elems[i];

        if (topic == NULL || strcmp(topic, first->topic) != 0)
            buf_printf(out, "%s%s ", topic != NULL ? "; " : "", first->topic);
        else
            buf_add_char(out, ',');
        topic = first->topic;
        i = run_end(list, i);
        buf_printf(out, "%d", first->partition);
        if (list->elems[i].partition != first->partition)
            buf_printf(out, "-%d", list->elems[i].partition);
    }
}

static char *partitions_text(const rd_kafka_MemberDescription_t *member)
{
    const rd_kafka_MemberAssignment_t *assignment = rd_kafka_MemberDescription_assignment(member);
    const rd_kafka_topic_partition_list_t *list =
        assignment != NULL ? rd_kafka_MemberAssignment_partitions(assignment) : NULL;
    struct buf out;

    buf_init(&out, PARTITIONS_MAX_BYTES);
    if (list != NULL) {
        rd_kafka_topic_partition_list_t *copy = rd_kafka_topic_partition_list_copy(list);

        group_add_partitions(&out, copy);
        rd_kafka_topic_partition_list_destroy(copy);
    }
    return buf_detach(&out);
}

static int compare_members(const void *a, const void *b)
{
    const struct group_member *one = a, *other = b;

    return strcmp(one->client_id, other->client_id);
}

static void copy_description(const rd_kafka_ConsumerGroupDescription_t *description,
                             struct group *group)
{
    size_t count = rd_kafka_ConsumerGroupDescription_member_count(description);
    const char *assignor = rd_kafka_ConsumerGroupDescription_partition_assignor(description);

    snprintf(
        group->state, sizeof group->state, "%s",
        rd_kafka_consumer_group_state_name(rd_kafka_ConsumerGroupDescription_state(description)));
    snprintf(group->assignor, sizeof group->assignor, "%s", assignor != NULL ? assignor : "");
    group->members = mem_zalloc((count + 1) * sizeof *group->members);
    for (; group->member_count < (int)count; group->member_count++) {
        const rd_kafka_MemberDescription_t *member =
            rd_kafka_ConsumerGroupDescription_member(description, (size_t)group->member_count);
        const char *host = rd_kafka_MemberDescription_host(member);

        group->members[group->member_count] = (struct group_member){
            .client_id = mem_strdup(rd_kafka_MemberDescription_client_id(member)),
            .host = mem_strdup(host + (host[0] == '/')),
            .partitions = partitions_text(member),
        };
    }
    qsort(group->members, count, sizeof *group->members, compare_members);
}

/*
 * Whether the brokers know of groups; the embedded one doesn't. Whom DescribeConsumerGroups can't
 * be sent to makes librdkafka use what it has freed (librdkafka#3663, up to 2.14): it hangs or
 * aborts. This older call can be refused. It waits for all brokers, so not for long.
 */
static bool know_of_groups(rd_kafka_t *rk, const char *name)
{
    const struct rd_kafka_group_list *list;
    rd_kafka_resp_err_t code = rd_kafka_list_groups(rk, name, &list, LIST_MS);

    if (code == RD_KAFKA_RESP_ERR_NO_ERROR || code == RD_KAFKA_RESP_ERR__PARTIAL)
        rd_kafka_group_list_destroy(list);
    return code != RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE;
}

static bool read_description(struct client *client, const rd_kafka_event_t *event,
                             struct group *group, char *error, size_t error_size)
{
    size_t count = 0;
    const rd_kafka_ConsumerGroupDescription_t **descriptions =
        rd_kafka_DescribeConsumerGroups_result_groups(event, &count);
    const rd_kafka_error_t *wrong =
        count > 0 ? rd_kafka_ConsumerGroupDescription_error(descriptions[0]) : NULL;

    if (wrong != NULL || count == 0) {
        snprintf(error, error_size, "%s", client_trouble(client, rd_kafka_error_code(wrong)));
        return false;
    }
    copy_description(descriptions[0], group);
    return true;
}

bool group_describe(struct client *client, const char *name, int timeout_ms,
                    struct group *ret_group, char *error, size_t error_size)
{
    rd_kafka_t *rk = client_handle(client);
    rd_kafka_queue_t *queue;
    rd_kafka_AdminOptions_t *options;
    rd_kafka_event_t *event;
    bool good;

    *ret_group = (struct group){.member_count = 0};
    if (client_groups(client) == CLIENT_GROUPS_NEW)
        client_set_groups(client,
                          know_of_groups(rk, name) ? CLIENT_GROUPS_KNOWN : CLIENT_GROUPS_UNKNOWN);
    if (client_groups(client) == CLIENT_GROUPS_UNKNOWN) {
        snprintf(error, error_size, "this broker can't describe groups");
        return false;
    }
    queue = rd_kafka_queue_new(rk);
    options = options_new(rk, RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS, timeout_ms);
    rd_kafka_DescribeConsumerGroups(rk, &name, 1, options, queue);
    event = take(client, queue, timeout_ms, error, error_size);
    good = event != NULL && read_description(client, event, ret_group, error, error_size);
    if (event != NULL)
        rd_kafka_event_destroy(event);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
    return good;
}

/* ---- lag ---- */

/* What the group has committed, all partitions; NULL after an error. */
static rd_kafka_topic_partition_list_t *committed(struct client *client, const char *name,
                                                  int timeout_ms, char *error, size_t error_size)
{
    rd_kafka_t *rk = client_handle(client);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_AdminOptions_t *options =
        options_new(rk, RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS, timeout_ms);
    rd_kafka_ListConsumerGroupOffsets_t *wanted = rd_kafka_ListConsumerGroupOffsets_new(name, NULL);
    rd_kafka_topic_partition_list_t *list = NULL;
    rd_kafka_event_t *event;

    rd_kafka_ListConsumerGroupOffsets(rk, &wanted, 1, options, queue);
    event = take(client, queue, timeout_ms, error, error_size);
    if (event != NULL) {
        size_t count = 0;
        const rd_kafka_group_result_t **groups =
            rd_kafka_ListConsumerGroupOffsets_result_groups(event, &count);
        const rd_kafka_error_t *wrong = count > 0 ? rd_kafka_group_result_error(groups[0]) : NULL;

        if (wrong != NULL)
            snprintf(error, error_size, "%s", client_trouble(client, rd_kafka_error_code(wrong)));
        else
            list = count > 0 ? rd_kafka_topic_partition_list_copy(
                                   rd_kafka_group_result_partitions(groups[0]))
                             : rd_kafka_topic_partition_list_new(0);
        rd_kafka_event_destroy(event);
    }
    rd_kafka_ListConsumerGroupOffsets_destroy(wanted);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
    return list;
}

/* Where the partitions of `list` end; NULL after an error. */
static rd_kafka_topic_partition_list_t *ends(struct client *client,
                                             const rd_kafka_topic_partition_list_t *list,
                                             int timeout_ms, char *error, size_t error_size)
{
    rd_kafka_topic_partition_list_t *found = rd_kafka_topic_partition_list_copy(list);
    rd_kafka_resp_err_t code;

    /* The protocol has the end as the time -1; one request to each leader, whatever there is. */
    for (int i = 0; i < found->cnt; i++)
        found->elems[i].offset = RD_KAFKA_OFFSET_END;
    code = found->cnt > 0 ? rd_kafka_offsets_for_times(client_handle(client), found, timeout_ms)
                          : RD_KAFKA_RESP_ERR_NO_ERROR;
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return found;
    snprintf(error, error_size, "%s", client_trouble(client, code));
    rd_kafka_topic_partition_list_destroy(found);
    return NULL;
}

static struct group_topic *topic_of(struct group *group, const char *name)
{
    for (int i = 0; i < group->topic_count; i++) {
        if (strcmp(group->topics[i].name, name) == 0)
            return &group->topics[i];
    }
    group->topics =
        mem_realloc(group->topics, (size_t)(group->topic_count + 1) * sizeof *group->topics);
    group->topics[group->topic_count] = (struct group_topic){.name = mem_strdup(name)};
    return &group->topics[group->topic_count++];
}

static void add_lag(struct group *group, const rd_kafka_topic_partition_t *position,
                    const rd_kafka_topic_partition_t *end)
{
    struct group_topic *topic;

    if (position->offset < 0 || end == NULL || end->err != RD_KAFKA_RESP_ERR_NO_ERROR ||
        end->offset < 0)
        return; /* nothing committed there, or the partition is gone */
    topic = topic_of(group, position->topic);
    topic->partitions++;
    if (end->offset > position->offset)
        topic->lag += end->offset - position->offset;
}

bool group_measure(struct client *client, const char *name, int timeout_ms, struct group *group,
                   char *error, size_t error_size)
{
    rd_kafka_topic_partition_list_t *positions =
        committed(client, name, timeout_ms, error, error_size);
    rd_kafka_topic_partition_list_t *found;

    if (positions == NULL)
        return false;
    rd_kafka_topic_partition_list_sort(positions, NULL, NULL);
    found = ends(client, positions, timeout_ms, error, error_size);
    for (int i = 0; found != NULL && i < positions->cnt; i++) {
        const rd_kafka_topic_partition_t *position = &positions->elems[i];

        add_lag(group, position,
                rd_kafka_topic_partition_list_find(found, position->topic, position->partition));
    }
    rd_kafka_topic_partition_list_destroy(positions);
    if (found == NULL)
        return false;
    rd_kafka_topic_partition_list_destroy(found);
    return true;
}

void group_release(struct group *group)
{
    for (int i = 0; i < group->member_count; i++) {
        free(group->members[i].client_id);
        free(group->members[i].host);
        free(group->members[i].partitions);
    }
    for (int i = 0; i < group->topic_count; i++)
        free(group->topics[i].name);
    free(group->members);
    free(group->topics);
    *group = (struct group){.member_count = 0};
}
