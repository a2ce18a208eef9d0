#include "worker/intake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/kafka.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "common/utf8.h"
#include "sql.h"
#include "worker/event.h"
#include "worker/limits.h"

/* Trace headers are short (W3C: tracestate up to 512 characters); longer ones are left out. */
#define TRACE_MAX 1024

/* Messages [from, to) of the batch in hand, as one transaction. */
struct range {
    struct intake *intake;
    int from, to;
    bool refused; /* PostgreSQL refused this one event as a delivery: it becomes a rejected event */
    bool has_rejected, has_events; /* what its transaction has statements for, in this order */
};

struct intake {
    struct intake_options options;
    struct kafka_consumer *consumer;
    rd_kafka_message_t *const *messages; /* the batch in hand; NULL: none */
    int ranges;                          /* transactions of it that are not done yet */
    struct event *rest;                  /* ends the batch, when it took the loop long */
    int64_t rest_until;                  /* monotonic */
    int64_t taken, rejected;
    bool stopped;
};

static struct metric read_metric = {.name = "mms_events_read_total",
                                    .type = "counter",
                                    .help = "Events read from Kafka, repeated ones included"};
static struct metric taken_metric = {
    .name = "mms_events_taken_total", .type = "counter", .help = "Events that became deliveries"};
#define REJECTED                                            \
    .name = "mms_events_rejected_total", .type = "counter", \
    .help = "Events that can't become deliveries, by reason"

/* All reasons that event.c, this file and intake.sql give. */
static struct metric rejected_metrics[] = {
    {REJECTED, .labels = {"reason", "NOT_UTF8"}},
    {REJECTED, .labels = {"reason", "NOT_JSON"}},
    {REJECTED, .labels = {"reason", "NOT_AN_OBJECT"}},
    {REJECTED, .labels = {"reason", "TOMBSTONE"}},
    {REJECTED, .labels = {"reason", "TOO_LARGE"}},
    {REJECTED, .labels = {"reason", "TOO_DEEP"}},
    {REJECTED, .labels = {"reason", "TOO_MANY_VALUES"}},
    {REJECTED, .labels = {"reason", "DUPLICATE_KEY"}},
    {REJECTED, .labels = {"reason", "NUMBER_OUT_OF_RANGE"}},
    {REJECTED, .labels = {"reason", "NUL_CHARACTER"}},
    {REJECTED, .labels = {"reason", "EVENT_ID_INVALID"}},
    {REJECTED, .labels = {"reason", "DESTINATION_ID_INVALID"}},
    {REJECTED, .labels = {"reason", "CONNECTION_ID_INVALID"}},
    {REJECTED, .labels = {"reason", "OCCURRED_AT_INVALID"}},
    {REJECTED, .labels = {"reason", "RETRY_INVALID"}},
    {REJECTED, .labels = {"reason", "DESTINATION_UNKNOWN"}},
    {REJECTED, .labels = {"reason", "DESTINATION_TYPE"}},
    {REJECTED, .labels = {"reason", "REFUSED_BY_DATABASE"}},
};
static struct metric in_hand_metric = {.name = "mms_intake_events_in_hand",
                                       .type = "gauge",
                                       .help = "Events of the batch on its way to PostgreSQL"};

static void submit(struct intake *intake, int from, int to, bool refused);

/* ---- arrays ---- */

enum event_array {
    E_EVENT_ID,
    E_DESTINATION_ID,
    E_CONNECTION_ID,
    E_EVENT,
    E_KEY,
    E_TRACEPARENT,
    E_TRACESTATE,
    E_TOPIC,
    E_PARTITION,
    E_OFFSET,
    E_COUNT
};

enum rejected_array {
    R_TOPIC,
    R_PARTITION,
    R_OFFSET,
    R_EVENT_ID,
    R_DESTINATION_ID,
    R_CONNECTION_ID,
    R_KEY,
    R_BYTES,
    R_REASON,
    R_DETAIL,
    R_TRACEPARENT,
    R_TRACESTATE,
    R_COUNT
};

static const enum pg_type event_types[E_COUNT] = {PG_TEXT, PG_TEXT, PG_TEXT, PG_JSON, PG_BYTEA,
                                                  PG_TEXT, PG_TEXT, PG_TEXT, PG_INT4, PG_INT8};
static const enum pg_type rejected_types[R_COUNT] = {PG_TEXT, PG_INT4, PG_INT8,  PG_TEXT,
                                                     PG_TEXT, PG_TEXT, PG_BYTEA, PG_BYTEA,
                                                     PG_TEXT, PG_TEXT, PG_TEXT,  PG_TEXT};

static void arrays_init(struct pg_array *arrays, const enum pg_type *types, int count)
{
    for (int i = 0; i < count; i++)
        pg_array_init(&arrays[i], types[i]);
}

static void add_bytes(struct pg_array *array, const void *bytes, size_t length)
{
    if (bytes == NULL)
        pg_array_add_null(array);
    else
        pg_array_add_bytes(array, bytes, length);
}

/* A record's header as text, if it is usable as that. */
static void add_header(struct pg_array *array, const rd_kafka_message_t *message, const char *name)
{
    rd_kafka_headers_t *headers;
    const void *value;
    size_t length;

    if (rd_kafka_message_headers(message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR &&
        rd_kafka_header_get_last(headers, name, &value, &length) == RD_KAFKA_RESP_ERR_NO_ERROR &&
        value != NULL && length <= TRACE_MAX && utf8_valid(value, length) &&
        memchr(value, '\0', length) == NULL)
        pg_array_add_bytes(array, value, length);
    else
        pg_array_add_null(array);
}

static void add_event(struct pg_array *a, const rd_kafka_message_t *message,
                      const struct event *event)
{
    pg_array_add_text(&a[E_EVENT_ID], event->event_id);
    pg_array_add_text(&a[E_DESTINATION_ID], event->destination_id);
    pg_array_add_text(&a[E_CONNECTION_ID], event->connection_id);
    pg_array_add_bytes(&a[E_EVENT], message->payload, message->len);
    add_bytes(&a[E_KEY], message->key, message->key_len);
    add_header(&a[E_TRACEPARENT], message, "traceparent");
    add_header(&a[E_TRACESTATE], message, "tracestate");
    pg_array_add_text(&a[E_TOPIC], rd_kafka_topic_name(message->rkt));
    pg_array_add_int4(&a[E_PARTITION], message->partition);
    pg_array_add_int8(&a[E_OFFSET], message->offset);
}

/* What is kept of a rejected record. */
static void add_cut(struct pg_array *array, const void *bytes, size_t length)
{
    add_bytes(array, bytes, length < LIMIT_REJECTED_BYTES ? length : LIMIT_REJECTED_BYTES);
}

/* Says what is missing of it. */
static void add_detail(struct pg_array *array, const rd_kafka_message_t *message,
                       const struct event_rejection *rejection)
{
    char *detail;

    if (message->len <= LIMIT_REJECTED_BYTES && message->key_len <= LIMIT_REJECTED_BYTES) {
        pg_array_add_text(array, rejection->detail);
        return;
    }
    detail = mem_printf("%s; of %zu bytes and %zu of its key the first %zu each are kept",
                        rejection->detail, message->len, message->key_len, LIMIT_REJECTED_BYTES);
    pg_array_add_text(array, detail);
    free(detail);
}

static void add_rejected(struct pg_array *a, const rd_kafka_message_t *message,
                         const struct event *event, const struct event_rejection *rejection)
{
    pg_array_add_text(&a[R_TOPIC], rd_kafka_topic_name(message->rkt));
    pg_array_add_int4(&a[R_PARTITION], message->partition);
    pg_array_add_int8(&a[R_OFFSET], message->offset);
    pg_array_add_text(&a[R_EVENT_ID], event->event_id);
    pg_array_add_text(&a[R_DESTINATION_ID], event->destination_id);
    pg_array_add_text(&a[R_CONNECTION_ID], event->connection_id);
    add_cut(&a[R_KEY], message->key, message->key_len);
    add_cut(&a[R_BYTES], message->payload, message->len);
    pg_array_add_text(&a[R_REASON], rejection->reason);
    add_detail(&a[R_DETAIL], message, rejection);
    add_header(&a[R_TRACEPARENT], message, "traceparent");
    add_header(&a[R_TRACESTATE], message, "tracestate");
}

/* ---- a transaction ---- */

static void judge(const struct intake *intake, const struct range *range, struct pg_array *events,
                  struct pg_array *rejected)
{
    for (int i = range->from; i < range->to; i++) {
        const rd_kafka_message_t *message = intake->messages[i];
        struct event_rejection rejection = {
            "REFUSED_BY_DATABASE",
            "PostgreSQL refused to store the event; the worker's log says why"};
        struct event event;

        if (event_parse(message->payload, message->len, &event, &rejection) && !range->refused)
            add_event(events, message, &event);
        else
            add_rejected(rejected, message, &event, &rejection);
        event_release(&event);
    }
}

static void next_batch(struct intake *intake)
{
    intake->messages = NULL;
    in_hand_metric.value = 0;
    kafka_consumer_done(intake->consumer);
}

static void on_rested(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    next_batch(arg);
}

static void batch_done(struct intake *intake)
{
    int64_t rest = intake->rest_until - clock_now();
    const struct timeval tv = {.tv_sec = rest / CLOCK_SECOND, .tv_usec = rest % CLOCK_SECOND};

    taken_metric.value += intake->taken;
    intake->options.taken(intake->options.arg, intake->taken, intake->rejected);
    if (rest > 0)
        event_add(intake->rest, &tv);
    else
        next_batch(intake);
}

/* Something in the range isn't to PostgreSQL's taste: halves, until it is one event. */
static void split(const struct range *range, const struct pg_reply *reply)
{
    const rd_kafka_message_t *message = range->intake->messages[range->from];
    int middle = range->from + (range->to - range->from) / 2;

    if (range->to - range->from > 1) {
        submit(range->intake, range->from, middle, false);
        submit(range->intake, middle, range->to, false);
        return;
    }
    log_error("event refused by PostgreSQL", log_str("sqlstate", reply->sqlstate),
              log_str("error", reply->message), log_str("topic", rd_kafka_topic_name(message->rkt)),
              log_int("partition", message->partition), log_int("offset", message->offset));
    submit(range->intake, range->from, range->to, true);
}

static void add_rejections(struct intake *intake, const char *reason, int64_t count)
{
    intake->rejected += count;
    for (size_t i = 0; i < sizeof rejected_metrics / sizeof rejected_metrics[0]; i++) {
        if (strcmp(reason, rejected_metrics[i].labels[1]) == 0)
            rejected_metrics[i].value += count;
    }
}

/* The columns of intake.sql's only row. */
enum stored_column { S_TAKEN, S_DESTINATION_UNKNOWN, S_DESTINATION_TYPE };

static void count_stored(const struct range *range, PGresult *const *results)
{
    struct intake *intake = range->intake;

    if (range->has_rejected) {
        for (int row = 0; row < PQntuples(results[0]); row++)
            add_rejections(intake, pg_text(results[0], row, 0), 1);
        results++;
    }
    if (range->has_events) {
        intake->taken += pg_int8(results[0], 0, S_TAKEN);
        add_rejections(intake, "DESTINATION_UNKNOWN",
                       pg_int8(results[0], 0, S_DESTINATION_UNKNOWN));
        add_rejections(intake, "DESTINATION_TYPE", pg_int8(results[0], 0, S_DESTINATION_TYPE));
    }
}

static enum pg_next range_done(void *arg, const struct pg_reply *reply)
{
    struct range *range = arg;
    struct intake *intake = range->intake;

    if (reply->status == PG_LOST ||
        (reply->status == PG_FAILED && (reply->transient || range->refused))) {
        /* What is no fault of the events is on /readyz. */
        log_variadic(reply->transient || reply->repeats > 0 ? LOG_DEBUG : LOG_WARN,
                     "events not stored yet, trying again", log_str("error", reply->message),
                     LOG_END);
        return PG_REPEAT;
    }
    if (reply->status == PG_FAILED) {
        split(range, reply);
    } else {
        count_stored(range, reply->results);
    }
    free(range);
    if (--intake->ranges == 0)
        batch_done(intake);
    return PG_FINISHED;
}

static void reject_statement(struct pg_unit *unit, struct range *range, struct pg_array *rejected)
{
    pg_unit_statement(unit, sql_reject);
    for (int i = 0; i < R_COUNT; i++)
        pg_unit_array(unit, &rejected[i]);
    pg_unit_text(unit, range->intake->options.worker);
    range->has_rejected = true;
}

static void intake_statements(struct pg_unit *unit, struct range *range, struct pg_array *events)
{
    const char *const wake[] = {sql_intake_lock, sql_intake_wake};

    pg_unit_statement(unit, sql_intake);
    for (int i = 0; i < E_COUNT; i++)
        pg_unit_array(unit, &events[i]);
    pg_unit_text(unit, range->intake->options.worker);
    for (size_t i = 0; i < sizeof wake / sizeof wake[0]; i++) {
        pg_unit_statement(unit, wake[i]);
        pg_unit_array(unit, &events[E_DESTINATION_ID]);
    }
    range->has_events = true;
}

static void submit_range(struct range *range)
{
    struct pg_unit *unit = pg_unit_new(range_done, range);
    struct pg_array events[E_COUNT], rejected[R_COUNT];

    arrays_init(events, event_types, E_COUNT);
    arrays_init(rejected, rejected_types, R_COUNT);
    judge(range->intake, range, events, rejected);
    if (rejected[0].count > 0)
        reject_statement(unit, range, rejected);
    if (events[0].count > 0)
        intake_statements(unit, range, events);
    for (int i = 0; i < E_COUNT; i++)
        pg_array_release(&events[i]);
    for (int i = 0; i < R_COUNT; i++)
        pg_array_release(&rejected[i]);
    pg_submit(range->intake->options.pg, unit);
}

static void submit(struct intake *intake, int from, int to, bool refused)
{
    struct range *range = mem_zalloc(sizeof *range);

    *range = (struct range){.intake = intake, .from = from, .to = to, .refused = refused};
    intake->ranges++;
    submit_range(range);
}

static void on_batch(void *arg, rd_kafka_message_t *const *messages, int count)
{
    struct intake *intake = arg;
    int64_t begun = clock_now();
    int64_t ended;

    read_metric.value += count;
    in_hand_metric.value = count;
    intake->messages = messages;
    intake->taken = intake->rejected = 0;
    submit(intake, 0, count, false);
    ended = clock_now();
    intake->rest_until = ended + limit_rest(ended - begun);
}

static void on_changed(void *arg, enum kafka_condition condition, const char *reason)
{
    struct intake *intake = arg;

    intake->options.changed(intake->options.arg, condition, reason);
}

void intake_hold(struct intake *intake, bool hold)
{
    if (!intake->stopped)
        kafka_consumer_hold(intake->consumer, hold);
}

void intake_stop(struct intake *intake)
{
    kafka_consumer_hold(intake->consumer, true);
    intake->stopped = true;
}

bool intake_is_busy(const struct intake *intake)
{
    return intake->messages != NULL;
}

struct intake *intake_open(const struct intake_options *options, char *error, size_t error_size)
{
    struct intake *intake = mem_zalloc(sizeof *intake);
    const struct kafka_consumer_options consumer = {.bootstrap_servers = options->bootstrap_servers,
                                                    .client_id = options->worker,
                                                    .group = options->group,
                                                    .topics = options->topics,
                                                    .properties = options->properties,
                                                    .batch_max = LIMIT_INTAKE_EVENTS,
                                                    .batch_max_bytes = LIMIT_INTAKE_BYTES,
                                                    .batch = on_batch,
                                                    .changed = on_changed,
                                                    .arg = intake};

    intake->options = *options;
    intake->rest = evtimer_new(options->base, on_rested, intake);
    intake->consumer = kafka_consumer_open(options->base, &consumer, error, error_size);
    if (intake->consumer == NULL) {
        event_free(intake->rest);
        free(intake);
        return NULL;
    }
    metrics_register(&read_metric);
    metrics_register(&taken_metric);
    metrics_register_all(rejected_metrics, sizeof rejected_metrics / sizeof rejected_metrics[0]);
    metrics_register(&in_hand_metric);
    return intake;
}

void intake_close(struct intake *intake)
{
    if (intake == NULL)
        return;
    kafka_consumer_close(intake->consumer);
    event_free(intake->rest);
    free(intake);
}
