#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "common/config.h"
#include "worker/commands/check.h"
#include "worker/commands/client.h"
#include "worker/commands/group.h"

#define ENTRIES_MAX 128 /* topics by name */

/* What brokers told. */
struct brokers {
    struct check *check;
    struct client *client;
    const struct rd_kafka_metadata *metadata;
    const char *auto_create; /* "true", "false"; NULL: they don't say */
    rd_kafka_event_t *configs;
};

/* ---- topics' and the brokers' configuration ---- */

/* The configuration of a resource, or NULL; brokers may not have it, or not tell. */
static const rd_kafka_ConfigResource_t *config_of(const struct brokers *brokers,
                                                  rd_kafka_ResourceType_t type, const char *name)
{
    size_t count = 0;
    const rd_kafka_ConfigResource_t **resources =
        brokers->configs != NULL
            ? rd_kafka_DescribeConfigs_result_resources(brokers->configs, &count)
            : NULL;

    for (size_t i = 0; i < count; i++) {
        if (rd_kafka_ConfigResource_type(resources[i]) == type &&
            (name == NULL || strcmp(rd_kafka_ConfigResource_name(resources[i]), name) == 0))
            return resources[i];
    }
    return NULL;
}

static const char *config_value(const rd_kafka_ConfigResource_t *resource, const char *name)
{
    size_t count = 0;
    const rd_kafka_ConfigEntry_t **entries =
        resource != NULL ? rd_kafka_ConfigResource_configs(resource, &count) : NULL;

    for (size_t i = 0; i < count; i++) {
        if (strcmp(rd_kafka_ConfigEntry_name(entries[i]), name) == 0)
            return rd_kafka_ConfigEntry_value(entries[i]);
    }
    return NULL;
}

static int wanted_configs(const struct brokers *brokers, rd_kafka_ConfigResource_t **ret_wanted)
{
    const struct settings *settings = brokers->check->settings;
    const char *rest = settings->event_topics;
    char *name, broker[16];
    int count = 0;

    snprintf(broker, sizeof broker, "%d", brokers->metadata->brokers[0].id);
    ret_wanted[count++] = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_BROKER, broker);
    ret_wanted[count++] =
        rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, settings->status_topic);
    ret_wanted[count++] =
        rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, settings->dead_letter_topic);
    for (; count < ENTRIES_MAX && (name = config_next(&rest)) != NULL; free(name)) {
        if (name[0] != '^')
            ret_wanted[count++] = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, name);
    }
    return count;
}

static void read_configs(struct brokers *brokers)
{
    rd_kafka_t *rk = client_handle(brokers->client);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_AdminOptions_t *options =
        rd_kafka_AdminOptions_new(rk, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
    rd_kafka_ConfigResource_t *wanted[ENTRIES_MAX];
    int count = wanted_configs(brokers, wanted);
    int timeout_ms = brokers->check->seconds * 1000;
    char why[128];

    rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, why, sizeof why);
    rd_kafka_DescribeConfigs(rk, wanted, (size_t)count, options, queue);
    brokers->configs = rd_kafka_queue_poll(queue, timeout_ms + 1000);
    rd_kafka_ConfigResource_destroy_array(wanted, (size_t)count);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
    if (brokers->configs != NULL && rd_kafka_event_error(brokers->configs) != 0) {
        rd_kafka_event_destroy(brokers->configs);
        brokers->configs = NULL;
    }
    brokers->auto_create = config_value(config_of(brokers, RD_KAFKA_RESOURCE_BROKER, NULL),
                                        "auto.create.topics.enable");
}

/* ---- topics ---- */

static const struct rd_kafka_metadata_topic *find_topic(const struct brokers *brokers,
                                                        const char *name)
{
    for (int i = 0; i < brokers->metadata->topic_cnt; i++) {
        if (strcmp(brokers->metadata->topics[i].topic, name) == 0)
            return &brokers->metadata->topics[i];
    }
    return NULL;
}

static void judge_missing(const struct brokers *brokers, const char *setting, const char *name)
{
    const rd_kafka_ConfigResource_t *config = config_of(brokers, RD_KAFKA_RESOURCE_TOPIC, name);
    rd_kafka_resp_err_t refused = config != NULL ? rd_kafka_ConfigResource_error(config) : 0;

    if (refused == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED)
        check_say(brokers->check, FINDING_FAILED, "topic",
                  "Let the user of MMS_KAFKA_SASL_USERNAME, or of the certificate, use it",
                  "%s (%s): not authorized, or there is none", name, setting);
    else if (brokers->auto_create == NULL)
        check_say(brokers->check, FINDING_WARNING, "topic",
                  "Make it, unless the brokers make topics by themselves", "%s (%s) does not exist",
                  name, setting);
    else if (strcmp(brokers->auto_create, "true") == 0)
        check_say(brokers->check, FINDING_WARNING, "topic",
                  "Make it beforehand to choose its number of partitions",
                  "%s (%s) does not exist; the brokers make it when it is first written to", name,
                  setting);
    else
        check_say(brokers->check, FINDING_FAILED, "topic",
                  "Make it with kafka-topics.sh --create, or mend the setting",
                  "%s (%s) does not exist, and the brokers don't make topics by themselves", name,
                  setting);
}

static void judge_topic(const struct brokers *brokers, const char *setting, const char *name)
{
    const struct rd_kafka_metadata_topic *topic = find_topic(brokers, name);

    if (topic == NULL || topic->err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
        judge_missing(brokers, setting, name);
    else if (topic->err != RD_KAFKA_RESP_ERR_NO_ERROR)
        check_say(brokers->check, FINDING_FAILED, "topic", "Check the brokers and their ACLs",
                  "%s (%s): %s", name, setting, rd_kafka_err2str(topic->err));
    else
        check_say(brokers->check, FINDING_OK, "topic", NULL, "%s (%s), %d partition%s", name,
                  setting, topic->partition_cnt, topic->partition_cnt == 1 ? "" : "s");
}

static void judge_pattern(const struct brokers *brokers, const char *pattern)
{
    int matches = 0;
    regex_t regex;

    if (regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB) != 0)
        return; /* settings have been judged */
    for (int i = 0; i < brokers->metadata->topic_cnt; i++)
        matches += regexec(&regex, brokers->metadata->topics[i].topic, 0, NULL, 0) == 0;
    regfree(&regex);
    if (matches > 0)
        check_say(brokers->check, FINDING_OK, "topic", NULL, "%s (MMS_EVENT_TOPICS), %d match%s",
                  pattern, matches, matches == 1 ? "" : "es");
    else
        check_say(brokers->check, FINDING_WARNING, "topic",
                  "Make one, or mend the pattern; workers find a new one within 10 s",
                  "%s (MMS_EVENT_TOPICS) matches no topic", pattern);
}

static long long record_max(const struct brokers *brokers, const char *topic)
{
    const char *value =
        config_value(config_of(brokers, RD_KAFKA_RESOURCE_TOPIC, topic), "max.message.bytes");

    return value != NULL ? strtoll(value, NULL, 10) : 0;
}

static void judge_topics(const struct brokers *brokers)
{
    const struct settings *settings = brokers->check->settings;
    const char *rest = settings->event_topics;
    long long dead_letter = record_max(brokers, settings->dead_letter_topic), largest = 0;
    char *name;

    for (; (name = config_next(&rest)) != NULL; free(name)) {
        if (name[0] == '^')
            judge_pattern(brokers, name);
        else
            judge_topic(brokers, "MMS_EVENT_TOPICS", name);
        if (record_max(brokers, name) > largest)
            largest = record_max(brokers, name);
    }
    judge_topic(brokers, "MMS_STATUS_TOPIC", settings->status_topic);
    judge_topic(brokers, "MMS_DEAD_LETTER_TOPIC", settings->dead_letter_topic);
    if (dead_letter > 0 && dead_letter < largest)
        check_say(brokers->check, FINDING_WARNING, "topic", "Raise its max.message.bytes",
                  "%s (MMS_DEAD_LETTER_TOPIC) takes %lld bytes, an event may have %lld",
                  settings->dead_letter_topic, dead_letter, largest);
}

/* ---- the group ---- */

/* A cluster that is new, or has just been started, needs a moment until it has a coordinator. */
static bool describe(const struct brokers *brokers, struct group *group, char *error, size_t size)
{
    const char *name = brokers->check->settings->consumer_group;
    int64_t end = clock_now() + brokers->check->seconds * CLOCK_SECOND;

    for (;;) {
        if (group_describe(brokers->client, name, brokers->check->seconds * 1000, group, error,
                           size))
            return true;
        if (strstr(error, "oordinator") == NULL || clock_now() >= end)
            return false;
        group_release(group);
        nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
    }
}

static void judge_group(const struct brokers *brokers)
{
    const char *name = brokers->check->settings->consumer_group;
    struct group group;
    char error[256] = "";

    if (!describe(brokers, &group, error, sizeof error))
        check_say(brokers->check,
                  strstr(error, "uthoriz") != NULL ? FINDING_FAILED : FINDING_WARNING, "group",
                  strstr(error, "can't describe") != NULL
                      ? NULL
                      : "Let the worker's user read and describe it",
                  "%s (MMS_CONSUMER_GROUP): %s", name, error);
    else if (strstr(group.assignor, "cooperative") != NULL)
        check_say(brokers->check, FINDING_FAILED, "group",
                  "Stop its other members, or choose another group",
                  "%s (MMS_CONSUMER_GROUP) has %d member%s with the assignor '%s', which workers "
                  "can't join",
                  name, group.member_count, group.member_count == 1 ? "" : "s", group.assignor);
    else if (group.member_count == 0)
        check_say(brokers->check, FINDING_OK, "group", NULL,
                  "%s (MMS_CONSUMER_GROUP) has no members%s", name,
                  strcmp(group.state, "Dead") == 0 ? "; a new one begins at the oldest event" : "");
    else
        check_say(brokers->check, FINDING_OK, "group", NULL,
                  "%s (MMS_CONSUMER_GROUP), %d member%s, %s", name, group.member_count,
                  group.member_count == 1 ? "" : "s", group.state);
    group_release(&group);
}

/* ---- all of it ---- */

static void judge_brokers(struct brokers *brokers)
{
    int count = brokers->metadata->broker_cnt;

    check_say(brokers->check, FINDING_OK, "kafka", NULL, "%d broker%s", count,
              count == 1 ? "" : "s");
    if (count > 0)
        read_configs(brokers);
    judge_topics(brokers);
    judge_group(brokers);
    if (brokers->configs != NULL)
        rd_kafka_event_destroy(brokers->configs);
}

void check_kafka(struct check *check)
{
    static const char *const own[] = {NULL};
    char error[256];
    struct brokers brokers = {
        .check = check,
        .client = client_try(check->settings, RD_KAFKA_PRODUCER, own, error, sizeof error),
    };
    rd_kafka_resp_err_t code;

    if (brokers.client == NULL) {
        check_say(check, FINDING_FAILED, "kafka", "Mend the MMS_KAFKA_… settings", "%s", error);
        return;
    }
    code = rd_kafka_metadata(client_handle(brokers.client), 1, NULL, &brokers.metadata,
                             check->seconds * 1000);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        judge_brokers(&brokers);
    else
        check_say(check, FINDING_FAILED, "kafka",
                  "Check MMS_KAFKA_BOOTSTRAP_SERVERS, the network, and security.protocol, sasl.* "
                  "and ssl.* (topics and group could not be looked at)",
                  "%s", client_trouble(brokers.client, code));
    if (brokers.metadata != NULL)
        rd_kafka_metadata_destroy(brokers.metadata);
    client_close(brokers.client);
}
