#include "kafka_member.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "kafka_conf.h"
#include "log.h"
#include "mem.h"
#include "metrics.h"

struct kafka_member {
    kafka_changed *changed;
    void *arg;
    enum kafka_condition condition;
    const char *trouble; /* static: why we are no settled member of the group; NULL if we are */
    char why[160];       /* why a broker could not be reached, or refused us, last */
    bool refused;        /* it is a refusal */
    bool rebalancing;    /* the last statistics said so */
    struct said said;
};

enum { STATISTICS, DISCONNECTS, LAG };

static struct metric metrics[] = {
    [STATISTICS] = {.name = "mms_kafka_statistics_total",
                    .type = "counter",
                    .help = "Statistics received from the Kafka client, every 2 s; they stop if "
                            "its threads hang"},
    [DISCONNECTS] = {.name = "mms_kafka_disconnects_total",
                     .type = "counter",
                     .help = "Connections to brokers that ended (the consumer's)"},
    [LAG] = {.name = "mms_kafka_consumer_lag_events",
             .type = "gauge",
             .absent = true,
             .help = "Events in this worker's partitions that are not in PostgreSQL yet, as of the "
                     "last fetch (nothing is fetched while PostgreSQL is away)"},
};

/* ---- condition ---- */

static void tell(struct kafka_member *member)
{
    const char *trouble = member->trouble;
    char text[256];

    if (member->refused || (member->condition == KAFKA_AWAY && member->why[0] != '\0')) {
        snprintf(text, sizeof text, "%s: %s", trouble, member->why);
        trouble = text;
    }
    member->changed(member->arg, member->condition, trouble);
}

static void set_condition(struct kafka_member *member, enum kafka_condition condition,
                          const char *trouble)
{
    if (member->condition == KAFKA_REFUSED ||
        (member->condition == condition && member->trouble == trouble))
        return;
    member->condition = condition;
    member->trouble = trouble;
    if (condition == KAFKA_SETTLED)
        said_forget(&member->said);
    tell(member);
}

static void set_away(struct kafka_member *member)
{
    static const char trouble[] = "no broker can be reached";

    set_condition(member, KAFKA_AWAY, trouble);
}

static void set_unsettled(struct kafka_member *member, bool coordinator)
{
    static const char without[] = "the group's coordinator can't be reached";
    static const char joining[] = "joining the consumer group";

    set_condition(member, KAFKA_UNSETTLED, coordinator ? joining : without);
}

/*
 * A rebalance passes: a settled member is none any more once two statistics in a row say so. The
 * first of them may be older than the assignment that was taken before it.
 */
static void note_join_state(struct kafka_member *member, bool steady)
{
    if (steady) {
        if (member->refused) /* it's over, and no reason for what comes later */
            member->why[0] = '\0';
        member->refused = false;
        set_condition(member, KAFKA_SETTLED, NULL);
    } else if (member->rebalancing || member->condition != KAFKA_SETTLED) {
        set_unsettled(member, true);
    }
    member->rebalancing = !steady;
}

void kafka_member_assigned(struct kafka_member *member)
{
    note_join_state(member, true);
}

/* ---- statistics ---- */

static bool text_is(const json_t *object, const char *name, const char *expected)
{
    const char *value = json_member_string(object, name);

    return value != NULL && strcmp(value, expected) == 0;
}

static int64_t integer_of(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

/* Behind what is stored; before anything is, behind what was committed, or all that there is. */
static int64_t lag_of(const json_t *partition)
{
    int64_t lag = integer_of(partition, "consumer_lag_stored");
    int64_t low = integer_of(partition, "lo_offset");

    if (lag < 0)
        lag = integer_of(partition, "consumer_lag");
    if (lag < 0 && low >= 0)
        lag = integer_of(partition, "hi_offset") - low;
    return lag > 0 ? lag : 0;
}

static void note_lag(const json_t *statistics)
{
    const json_t *topic, *partition;
    const char *name, *number;
    int64_t lag = 0;

    json_object_foreach(json_object_get(statistics, "topics"), name, topic)
    {
        json_object_foreach(json_object_get(topic, "partitions"), number, partition)
        {
            if (json_is_true(json_object_get(partition, "desired")) && number[0] != '-')
                lag += lag_of(partition);
        }
    }
    metrics[LAG].absent = false;
    metrics[LAG].value = lag;
}

/* librdkafka tells its condition in the statistics alone: brokers' and the group's states. */
void kafka_member_statistics(struct kafka_member *member, const char *text)
{
    json_t *statistics = NULL;
    const json_t *group, *broker;
    const char *name;
    int64_t disconnects = 0;
    bool any_up = false;

    metrics[STATISTICS].value++;
    if (json_parse(text, strlen(text), &statistics, NULL, 0) != JSON_OK)
        return;
    json_object_foreach(json_object_get(statistics, "brokers"), name, broker)
    {
        any_up = any_up || text_is(broker, "state", "UP");
        disconnects += integer_of(broker, "disconnects");
    }
    metrics[DISCONNECTS].value = disconnects;
    note_lag(statistics);
    group = json_object_get(statistics, "cgrp");
    if (!any_up)
        set_away(member);
    else if (!text_is(group, "state", "up"))
        set_unsettled(member, false);
    else
        note_join_state(member, text_is(group, "join_state", "steady"));
    json_decref(statistics);
}

/* ---- errors ---- */

/* A refusal is told at once: it is what an operator needs to know. */
static void note_why(struct kafka_member *member, rd_kafka_resp_err_t error, const char *text)
{
    const char *after = strstr(text, " (after "); /* and how long that took */
    size_t length = after != NULL ? (size_t)(after - text) : strlen(text);

    snprintf(member->why, sizeof member->why, "%.*s", (int)length, text);
    member->refused = kafka_is_refusal(error);
    if (member->refused && member->trouble != NULL)
        tell(member);
}

void kafka_member_error(struct kafka_member *member, rd_kafka_resp_err_t error, const char *text,
                        bool fatal)
{
    bool warning = !kafka_is_unreachable(error) && said_is_new(&member->said, text);

    if (fatal) {
        member->condition = KAFKA_REFUSED;
        member->changed(member->arg, KAFKA_REFUSED, text);
        return;
    }
    if (error == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
        set_away(member);
    else if (kafka_is_unreachable(error) || kafka_is_refusal(error))
        note_why(member, error, text);
    /* librdkafka mends these by itself; a missing topic is looked for again and again. */
    log_news(warning, "Kafka consumer", log_str("error", text));
}

/* ---- beginning and end ---- */

struct said *kafka_member_said(struct kafka_member *member)
{
    return &member->said;
}

struct kafka_member *kafka_member_new(kafka_changed *changed, void *arg)
{
    struct kafka_member *member = mem_zalloc(sizeof *member);

    member->changed = changed;
    member->arg = arg;
    member->condition = KAFKA_UNSETTLED;
    metrics_register_all(metrics, sizeof metrics / sizeof metrics[0]);
    return member;
}

void kafka_member_free(struct kafka_member *member)
{
    free(member);
}
