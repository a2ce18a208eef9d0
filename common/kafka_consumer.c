#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "config.h"
#include "json.h"
#include "kafka.h"
#include "kafka_conf.h"
#include "log.h"
#include "mem.h"
#include "metrics.h"

/* An idle or paused consumer must still be polled, or the group takes it for dead. */
#define POLL_INTERVAL CLOCK_SECOND
/* How long a revocation waits for the batch in hand. */
#define REVOKE_LIMIT (10 * CLOCK_SECOND)
#define CLOSE_LIMIT  (10 * CLOCK_SECOND)

/*
 * Of what it has fetched ahead, up to 20 000 records, librdkafka counts the values alone: a MiB of
 * headers with each would be 20 GB. So they are counted here, by those of the records that came
 * last. Beyond this what was fetched ahead is thrown away, and nothing is fetched until the batch
 * in hand is done.
 */
#define AHEAD_MAX_BYTES ((size_t)48 << 20)
/* Where there may be so much, it is looked at so often. */
#define AHEAD_INTERVAL (50 * CLOCK_MS)
/* A batch's headers, which go no further than its transaction's parameters: two short ones of each.
 */
#define HEADERS_MAX_BYTES ((size_t)4 << 20)
/* What a header takes beside its name and value, once librdkafka has read it; and before. */
#define HEADER_READ_BYTES 64
#define HEADER_WIRE_BYTES 2
/* librdkafka reads no more than 100 000 headers of a record, and doesn't say how large more are. */
#define HEADERS_UNREAD_BYTES ((size_t)1 << 20)

/* Records that are fetched ahead. */
#define PREFETCH_RECORDS  20000
#define STRING_OF(number) #number
#define STRING(number)    STRING_OF(number)

/* Messages with the events that own them. */
struct pile {
    rd_kafka_event_t **events;
    rd_kafka_message_t **messages;
    int count;
    int capacity;
    size_t bytes;
    size_t headers; /* bytes of them, in memory */
    size_t beside;  /* bytes of headers and keys as they came: what librdkafka doesn't count */
};

struct kafka_consumer {
    struct kafka_consumer_options options;
    rd_kafka_t *rk;
    rd_kafka_queue_t *queue;
    struct event *wake;
    int wake_fd;
    struct event *timer;
    struct pile next; /* being gathered */
    struct pile hand; /* with the caller */
    bool in_hand;
    bool hold;
    bool alone;          /* nothing is fetched until the batch in hand is done */
    size_t beside;       /* bytes of headers and key of a record of the latest batch, on average */
    struct event *ahead; /* looks at what was fetched ahead, while that may be much */
    bool forsaken;       /* the batch in hand belongs to an assignment that has ended */
    rd_kafka_event_t *revocation; /* waits for the batch in hand */
    int64_t revoke_by;
    enum kafka_condition condition;
    const char *trouble; /* static: why we are no settled member of the group; NULL if we are */
    char why[160];       /* why a broker could not be reached, or refused us, last */
    bool refused;        /* it is a refusal */
    bool rebalancing;    /* the last statistics said so */
    struct said said;    /* of what is wrong, since we were settled last */
};

enum { STATISTICS, ASSIGNED, REBALANCES, DISCONNECTS, UNREADABLE, LAG };

static struct metric metrics[] = {
    [STATISTICS] = {.name = "mms_kafka_statistics_total",
                    .type = "counter",
                    .help = "Statistics received from the Kafka client, every 2 s; they stop if "
                            "its threads hang"},
    [ASSIGNED] = {.name = "mms_kafka_assigned_partitions",
                  .type = "gauge",
                  .help = "Partitions with events that this worker has"},
    [REBALANCES] = {.name = "mms_kafka_assignments_total",
                    .type = "counter",
                    .help = "Times that this worker was given its share of the partitions"},
    [DISCONNECTS] = {.name = "mms_kafka_disconnects_total",
                     .type = "counter",
                     .help = "Connections to brokers that ended (the consumer's)"},
    [UNREADABLE] = {.name = "mms_kafka_unreadable_total",
                    .type = "counter",
                    .help = "Tries to read records that can't be unpacked; their partition stands "
                            "still"},
    [LAG] = {.name = "mms_kafka_consumer_lag_events",
             .type = "gauge",
             .absent = true,
             .help = "Events in this worker's partitions that are not in PostgreSQL yet, as of the "
                     "last fetch (nothing is fetched while PostgreSQL is away)"},
};

static void pump(struct kafka_consumer *consumer);

/* ---- piles ---- */

static void pile_clear(struct pile *pile)
{
    for (int i = 0; i < pile->count; i++)
        rd_kafka_event_destroy(pile->events[i]);
    pile->count = 0;
    pile->bytes = pile->headers = pile->beside = 0;
}

static void pile_release(struct pile *pile)
{
    pile_clear(pile);
    free(pile->events);
    free(pile->messages);
    *pile = (struct pile){.count = 0};
}

static void add_headers(struct pile *pile, const rd_kafka_message_t *message)
{
    rd_kafka_headers_t *headers;
    rd_kafka_resp_err_t error = rd_kafka_message_headers(message, &headers);
    const void *value;
    const char *name;
    size_t length, wire = 0, i = 0;

    if (error == RD_KAFKA_RESP_ERR__NOENT)
        return;
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
        wire = HEADERS_UNREAD_BYTES;
    } else {
        for (; rd_kafka_header_get_all(headers, i, &name, &value, &length) == error; i++)
            wire += strlen(name) + length + HEADER_WIRE_BYTES;
    }
    pile->headers += wire + i * HEADER_READ_BYTES;
    pile->beside += wire;
}

static void pile_add(struct pile *pile, rd_kafka_event_t *event, rd_kafka_message_t *message)
{
    if (pile->count == pile->capacity) {
        pile->capacity = pile->capacity > 0 ? pile->capacity * 2 : 64;
        pile->events = mem_realloc(pile->events, (size_t)pile->capacity * sizeof *pile->events);
        pile->messages =
            mem_realloc(pile->messages, (size_t)pile->capacity * sizeof *pile->messages);
    }
    pile->events[pile->count] = event;
    pile->messages[pile->count++] = message;
    pile->bytes += message->len + message->key_len;
    pile->beside += message->key_len;
    add_headers(pile, message);
}

static bool pile_full(const struct kafka_consumer *consumer)
{
    return consumer->next.count >= consumer->options.batch_max ||
           consumer->next.bytes >= consumer->options.batch_max_bytes ||
           consumer->next.headers >= HEADERS_MAX_BYTES;
}

/* ---- condition ---- */

static void tell(struct kafka_consumer *consumer)
{
    const char *trouble = consumer->trouble;
    char text[256];

    if (consumer->refused || (consumer->condition == KAFKA_AWAY && consumer->why[0] != '\0')) {
        snprintf(text, sizeof text, "%s: %s", trouble, consumer->why);
        trouble = text;
    }
    consumer->options.changed(consumer->options.arg, consumer->condition, trouble);
}

static void set_condition(struct kafka_consumer *consumer, enum kafka_condition condition,
                          const char *trouble)
{
    if (consumer->condition == condition && consumer->trouble == trouble)
        return;
    consumer->condition = condition;
    consumer->trouble = trouble;
    if (condition == KAFKA_SETTLED)
        said_forget(&consumer->said);
    tell(consumer);
}

static void set_away(struct kafka_consumer *consumer)
{
    static const char trouble[] = "no broker can be reached";

    set_condition(consumer, KAFKA_AWAY, trouble);
}

static void set_unsettled(struct kafka_consumer *consumer, bool coordinator)
{
    static const char without[] = "the group's coordinator can't be reached";
    static const char joining[] = "joining the consumer group";

    set_condition(consumer, KAFKA_UNSETTLED, coordinator ? joining : without);
}

/*
 * A rebalance passes: a settled member is none any more once two statistics in a row say so. The
 * first of them may be older than the assignment that was taken before it.
 */
static void note_join_state(struct kafka_consumer *consumer, bool steady)
{
    if (steady) {
        consumer->refused = false; /* whatever was refused: it's over */
        set_condition(consumer, KAFKA_SETTLED, NULL);
    } else if (consumer->rebalancing || consumer->condition != KAFKA_SETTLED) {
        set_unsettled(consumer, true);
    }
    consumer->rebalancing = !steady;
}

static bool member_is(const json_t *object, const char *name, const char *expected)
{
    const char *value = json_member_string(object, name);

    return value != NULL && strcmp(value, expected) == 0;
}

static int64_t member_integer(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

/* Behind what is stored; before anything is, behind what was committed, or all that there is. */
static int64_t lag_of(const json_t *partition)
{
    int64_t lag = member_integer(partition, "consumer_lag_stored");
    int64_t low = member_integer(partition, "lo_offset");

    if (lag < 0)
        lag = member_integer(partition, "consumer_lag");
    if (lag < 0 && low >= 0)
        lag = member_integer(partition, "hi_offset") - low;
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
static void read_statistics(struct kafka_consumer *consumer, const char *text)
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
        any_up = any_up || member_is(broker, "state", "UP");
        disconnects += member_integer(broker, "disconnects");
    }
    metrics[DISCONNECTS].value = disconnects;
    note_lag(statistics);
    group = json_object_get(statistics, "cgrp");
    if (!any_up)
        set_away(consumer);
    else if (!member_is(group, "state", "up"))
        set_unsettled(consumer, false);
    else
        note_join_state(consumer, member_is(group, "join_state", "steady"));
    json_decref(statistics);
}

/* A refusal is told at once: it is what an operator needs to know. */
static void note_why(struct kafka_consumer *consumer, rd_kafka_resp_err_t error, const char *text,
                     long length)
{
    snprintf(consumer->why, sizeof consumer->why, "%.*s", (int)length, text);
    consumer->refused = kafka_is_refusal(error);
    if (consumer->refused && consumer->trouble != NULL)
        tell(consumer);
}

static bool is_unreadable(rd_kafka_resp_err_t error)
{
    return error == RD_KAFKA_RESP_ERR__BAD_COMPRESSION || error == RD_KAFKA_RESP_ERR__BAD_MSG ||
           error == RD_KAFKA_RESP_ERR__NOT_IMPLEMENTED;
}

/* librdkafka tries again for ever; where the next record that can be read begins nobody knows. */
static void note_unreadable(struct kafka_consumer *consumer, rd_kafka_event_t *event,
                            const char *text)
{
    rd_kafka_topic_partition_t *place = rd_kafka_event_topic_partition(event);

    metrics[UNREADABLE].value++;
    if (said_is_new(&consumer->said, text))
        log_error("a partition stands still: its next records can't be read",
                  log_str("topic", place != NULL ? place->topic : NULL),
                  log_int("partition", place != NULL ? place->partition : -1),
                  log_int("offset", place != NULL ? place->offset : -1), log_str("error", text));
    if (place != NULL)
        rd_kafka_topic_partition_destroy(place);
}

static void take_error(struct kafka_consumer *consumer, rd_kafka_event_t *event)
{
    rd_kafka_resp_err_t error = rd_kafka_event_error(event);
    const char *text = rd_kafka_event_error_string(event);
    const char *after = strstr(text, " (after "); /* and how long that took */
    bool warning;

    if (is_unreadable(error)) {
        note_unreadable(consumer, event, text);
        return;
    }
    warning = !kafka_is_unreachable(error) && said_is_new(&consumer->said, text);
    if (rd_kafka_event_error_is_fatal(event)) {
        consumer->condition = KAFKA_REFUSED;
        consumer->options.changed(consumer->options.arg, KAFKA_REFUSED, text);
        return;
    }
    if (error == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
        set_away(consumer);
    else if (kafka_is_unreachable(error) || kafka_is_refusal(error))
        note_why(consumer, error, text, after != NULL ? after - text : (long)strlen(text));
    /* librdkafka mends these by itself; a missing topic is looked for again and again. */
    log_news(warning, "Kafka consumer", log_str("error", text));
}

static void take_commit(struct kafka_consumer *consumer, rd_kafka_event_t *event)
{
    rd_kafka_resp_err_t error = rd_kafka_event_error(event);
    bool warning;

    if (error == RD_KAFKA_RESP_ERR_NO_ERROR || error == RD_KAFKA_RESP_ERR__NO_OFFSET)
        return;
    warning = said_is_new(&consumer->said, rd_kafka_event_error_string(event));
    log_news(warning, "offsets not committed; events may be read again, once each is kept",
             log_str("error", rd_kafka_event_error_string(event)));
}

/* ---- rebalance ---- */

/* Nothing more is fetched while we are held back, or a heavy batch is to stay alone. */
static void apply_pause(struct kafka_consumer *consumer)
{
    rd_kafka_topic_partition_list_t *assigned = NULL;

    if (rd_kafka_assignment(consumer->rk, &assigned) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return;
    if (consumer->hold || consumer->alone)
        rd_kafka_pause_partitions(consumer->rk, assigned);
    else
        rd_kafka_resume_partitions(consumer->rk, assigned);
    rd_kafka_topic_partition_list_destroy(assigned);
}

static void finish_revocation(struct kafka_consumer *consumer)
{
    rd_kafka_event_destroy(consumer->revocation);
    consumer->revocation = NULL;
    /* What was gathered isn't stored; whoever gets the partitions reads it again. */
    pile_clear(&consumer->next);
    rd_kafka_assign(consumer->rk, NULL);
    metrics[ASSIGNED].value = 0;
    log_info("partitions revoked");
}

static void take_rebalance(struct kafka_consumer *consumer, rd_kafka_event_t *event)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_event_topic_partition_list(event);

    if (rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        rd_kafka_assign(consumer->rk, list);
        /* A partition that was paused when it was taken away is still paused when it comes back. */
        apply_pause(consumer);
        note_join_state(consumer, true);
        metrics[ASSIGNED].value = list->cnt;
        metrics[REBALANCES].value++;
        log_info("partitions assigned", log_int("count", list->cnt));
        rd_kafka_event_destroy(event);
        return;
    }
    consumer->revocation = event;
    consumer->revoke_by = clock_now() + REVOKE_LIMIT;
    if (!consumer->in_hand || consumer->forsaken)
        finish_revocation(consumer);
}

/* ---- gathering ---- */

static void take_message(struct kafka_consumer *consumer, rd_kafka_event_t *event)
{
    const rd_kafka_message_t *message = rd_kafka_event_message_next(event);

    if (message == NULL || message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        rd_kafka_event_destroy(event);
        return;
    }
    pile_add(&consumer->next, event, (rd_kafka_message_t *)message);
}

static void take_event(struct kafka_consumer *consumer, rd_kafka_event_t *event)
{
    switch (rd_kafka_event_type(event)) {
    case RD_KAFKA_EVENT_FETCH:
        take_message(consumer, event);
        return;
    case RD_KAFKA_EVENT_REBALANCE:
        take_rebalance(consumer, event);
        return;
    case RD_KAFKA_EVENT_ERROR:
        take_error(consumer, event);
        break;
    case RD_KAFKA_EVENT_STATS:
        read_statistics(consumer, rd_kafka_event_stats(event));
        break;
    case RD_KAFKA_EVENT_LOG:
        kafka_log_event(event, &consumer->said);
        break;
    case RD_KAFKA_EVENT_OFFSET_COMMIT:
        take_commit(consumer, event);
        break;
    default:
        break;
    }
    rd_kafka_event_destroy(event);
}

/* Pausing throws away what was fetched ahead. */
static void set_alone(struct kafka_consumer *consumer, bool alone)
{
    if (consumer->alone == alone)
        return;
    consumer->alone = alone;
    if (!consumer->hold)
        apply_pause(consumer);
}

/* Whether there may be too much, sooner or later. */
static bool is_heavy(const struct kafka_consumer *consumer)
{
    return consumer->beside * PREFETCH_RECORDS > AHEAD_MAX_BYTES;
}

static void on_ahead(evutil_socket_t fd, short what, void *arg)
{
    static const struct timeval interval = {.tv_usec = AHEAD_INTERVAL};
    struct kafka_consumer *consumer = arg;

    (void)fd;
    (void)what;
    if (!consumer->in_hand || consumer->alone)
        return;
    if (rd_kafka_queue_length(consumer->queue) * consumer->beside > AHEAD_MAX_BYTES)
        set_alone(consumer, true);
    else
        event_add(consumer->ahead, &interval);
}

static void hand_over(struct kafka_consumer *consumer)
{
    struct pile empty = consumer->hand;

    consumer->beside = consumer->next.beside / (size_t)consumer->next.count;
    consumer->hand = consumer->next;
    consumer->next = empty;
    consumer->in_hand = true;
    consumer->forsaken = false;
    if (is_heavy(consumer))
        on_ahead(-1, 0, consumer);
    consumer->options.batch(consumer->options.arg, consumer->hand.messages, consumer->hand.count);
}

/*
 * Takes what the queue has, up to a full batch. Stopping early is safe only because
 * kafka_consumer_done() comes back here without a wake-up. While held back nothing is fetched any
 * more, so everything is taken: that poll is what keeps us in the group.
 */
static void pump(struct kafka_consumer *consumer)
{
    rd_kafka_event_t *event;

    while ((consumer->hold || !pile_full(consumer)) && consumer->revocation == NULL &&
           (event = rd_kafka_queue_poll(consumer->queue, 0)) != NULL)
        take_event(consumer, event);
    if (!consumer->in_hand && !consumer->hold && consumer->revocation == NULL &&
        consumer->next.count > 0)
        hand_over(consumer);
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    kafka_wake_clear(fd);
    pump(arg);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct kafka_consumer *consumer = arg;

    (void)fd;
    (void)what;
    if (consumer->revocation != NULL && clock_now() >= consumer->revoke_by) {
        log_warn("partitions given up with a batch in hand; its events will be read again");
        consumer->forsaken = true;
        finish_revocation(consumer);
    }
    pump(consumer);
}

static void store_offsets(struct kafka_consumer *consumer)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(16);

    for (int i = 0; i < consumer->hand.count; i++) {
        const rd_kafka_message_t *message = consumer->hand.messages[i];
        const char *topic = rd_kafka_topic_name(message->rkt);
        rd_kafka_topic_partition_t *partition =
            rd_kafka_topic_partition_list_find(list, topic, message->partition);

        if (partition == NULL)
            partition = rd_kafka_topic_partition_list_add(list, topic, message->partition);
        partition->offset = message->offset + 1; /* the next one to read */
    }
    if (rd_kafka_offsets_store(consumer->rk, list) != RD_KAFKA_RESP_ERR_NO_ERROR)
        log_debug("some offsets not stored: their partitions were taken away");
    rd_kafka_topic_partition_list_destroy(list);
}

void kafka_consumer_done(struct kafka_consumer *consumer)
{
    if (!consumer->forsaken)
        store_offsets(consumer);
    consumer->in_hand = false;
    pile_clear(&consumer->hand);
    set_alone(consumer, false);
    if (consumer->revocation != NULL)
        finish_revocation(consumer);
    /* Not from here: the caller may be deep in a callback of its own. */
    event_active(consumer->wake, EV_READ, 0);
}

void kafka_consumer_hold(struct kafka_consumer *consumer, bool hold)
{
    if (consumer->hold == hold)
        return;
    consumer->hold = hold;
    apply_pause(consumer);
    event_active(consumer->wake, EV_READ, 0);
}

/* ---- opening and closing ---- */

static bool subscribe(rd_kafka_t *rk, const char *topics, char *error, size_t error_size)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(4);
    const char *rest = topics;
    rd_kafka_resp_err_t result;

    for (char *topic; (topic = config_next(&rest)) != NULL; free(topic))
        rd_kafka_topic_partition_list_add(list, topic, RD_KAFKA_PARTITION_UA);
    result = list->cnt > 0 ? rd_kafka_subscribe(rk, list) : RD_KAFKA_RESP_ERR__INVALID_ARG;
    if (result != RD_KAFKA_RESP_ERR_NO_ERROR)
        snprintf(error, error_size, "cannot subscribe to '%s': %s", topics,
                 rd_kafka_err2str(result));
    rd_kafka_topic_partition_list_destroy(list);
    return result == RD_KAFKA_RESP_ERR_NO_ERROR;
}

static rd_kafka_t *open_handle(const struct kafka_consumer_options *options, char *error,
                               size_t error_size)
{
    const char *const own[] = {
        "bootstrap.servers", options->bootstrap_servers, "client.id", options->client_id,
        "group.id", options->group,
        /* An offset is stored by us, once its event is in PostgreSQL; storing is not committing. */
        "enable.auto.offset.store", "false", "enable.auto.commit", "true",
        "auto.commit.interval.ms", "1000",
        /* A dead worker's partitions go to the others within seconds (45 s as delivered). */
        "session.timeout.ms", "10000",
        /* A new group begins at the beginning: nothing is lost. */
        "auto.offset.reset", "earliest", "partition.assignment.strategy", "range,roundrobin",
        /* Topics made later, or matching a pattern later, are found within this. */
        "topic.metadata.refresh.interval.ms", "10000",
        /* What is fetched ahead is memory. Much less, and fetching would stop for a second (fixed
           in librdkafka before 2.2) each time the queue is full. */
        "queued.min.messages", STRING(PREFETCH_RECORDS), "queued.max.messages.kbytes", "16384",
        "fetch.wait.max.ms", "500", "fetch.error.backoff.ms", "500", "reconnect.backoff.max.ms",
        "2000", "socket.keepalive.enable", "true", "log.queue", "true", "statistics.interval.ms",
        "2000", NULL};
    rd_kafka_conf_t *conf = kafka_conf_new(own, options->properties, error, error_size);
    rd_kafka_t *rk;
    char why[256];

    if (conf == NULL)
        return NULL;
    rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_FETCH | RD_KAFKA_EVENT_REBALANCE |
                                       RD_KAFKA_EVENT_OFFSET_COMMIT | RD_KAFKA_EVENT_ERROR |
                                       RD_KAFKA_EVENT_LOG | RD_KAFKA_EVENT_STATS);
    rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why);
    if (rk == NULL) {
        snprintf(error, error_size, "Kafka consumer: %s", why);
        rd_kafka_conf_destroy(conf);
        return NULL;
    }
    rd_kafka_poll_set_consumer(rk);
    if (!subscribe(rk, options->topics, error, error_size)) {
        rd_kafka_destroy(rk);
        return NULL;
    }
    return rk;
}

struct kafka_consumer *kafka_consumer_open(struct event_base *base,
                                           const struct kafka_consumer_options *options,
                                           char *error, size_t error_size)
{
    static const struct timeval interval = {.tv_sec = POLL_INTERVAL / CLOCK_SECOND};
    rd_kafka_t *rk = open_handle(options, error, error_size);
    struct kafka_consumer *consumer;

    if (rk == NULL)
        return NULL;
    consumer = mem_zalloc(sizeof *consumer);
    consumer->options = *options;
    consumer->rk = rk;
    consumer->condition = KAFKA_UNSETTLED;
    metrics_register_all(metrics, sizeof metrics / sizeof metrics[0]);
    consumer->queue = rd_kafka_queue_get_consumer(rk);
    rd_kafka_set_log_queue(rk, consumer->queue);
    consumer->wake = kafka_wake_new(base, consumer->queue, on_wake, consumer, &consumer->wake_fd);
    consumer->ahead = evtimer_new(base, on_ahead, consumer);
    consumer->timer = event_new(base, -1, EV_PERSIST, on_timer, consumer);
    event_add(consumer->timer, &interval);
    /* Whatever came before the descriptor was in place makes no wake-up. */
    event_active(consumer->wake, EV_READ, 0);
    return consumer;
}

/* Serves the last rebalance: closing unassigns, which commits what was stored. */
static bool leave_group(rd_kafka_t *rk)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    int64_t limit = clock_now() + CLOSE_LIMIT;
    rd_kafka_error_t *error = rd_kafka_consumer_close_queue(rk, queue);
    bool closed = false;

    rd_kafka_error_destroy(error);
    while (!(closed = (rd_kafka_consumer_closed(rk) != 0)) && clock_now() < limit) {
        rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 50);

        if (event != NULL && rd_kafka_event_type(event) == RD_KAFKA_EVENT_REBALANCE)
            rd_kafka_assign(rk, NULL);
        rd_kafka_event_destroy(event);
    }
    rd_kafka_queue_destroy(queue);
    return closed;
}

void kafka_consumer_close(struct kafka_consumer *consumer)
{
    bool closed;

    if (consumer == NULL)
        return;
    if (consumer->revocation != NULL)
        finish_revocation(consumer);
    pile_release(&consumer->next);
    pile_release(&consumer->hand);
    rd_kafka_queue_io_event_enable(consumer->queue, -1, NULL, 0);
    rd_kafka_queue_destroy(consumer->queue);
    closed = leave_group(consumer->rk);
    if (!closed)
        log_warn("left Kafka without a goodbye: the group notices when the session times out");
    rd_kafka_destroy_flags(consumer->rk, closed ? 0 : RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    kafka_wake_free(consumer->wake, consumer->wake_fd);
    event_free(consumer->timer);
    event_free(consumer->ahead);
    free(consumer);
}
