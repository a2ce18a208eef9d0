#include "worker/results.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/backoff.h"
#include "common/clock.h"
#include "common/kafka.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "sql.h"
#include "worker/result_json.h"
#include "worker/sweep.h"

/* Marks are gathered for this long before they are written. */
#define MARK_LINGER (100 * CLOCK_MS)
#define MARKS_MAX   500

/*
 * What isn't published this long after it was stored is the sweep's. Longer than the producer
 * tries (message.timeout.ms), so that nothing is published twice by one worker.
 */
#define SWEEP_AGE      (15 * CLOCK_SECOND)
#define SWEEP_INTERVAL (5 * CLOCK_SECOND)
#define SWEEP_MAX      500
#define REJECTED_MAX   200
#define REJECTED_BYTES (4 << 20)

#define RESULT_MAX_BYTES ((size_t)64 << 10)

/* What to mark once the brokers have it: an attempt, or a rejected event (which has two records).
 */
struct mark {
    struct results *results;
    bool rejected;
    bool swept;  /* read by a sweep, not fresh from the evidence */
    int records; /* still without a report */
    bool failed;
    char *id;       /* destination_id, or topic */
    int64_t number; /* delivery id, or offset */
    int which;      /* attempt, or partition */
    size_t size;    /* of the dead letter as sent, key and value */
    unsigned char result_id[16];
    struct mark *next;
};

struct results {
    struct results_options options;
    struct kafka_producer *producer;
    struct event *mark_timer;
    struct event *sweep_timer;
    struct mark *published; /* reported, to be written */
    size_t published_count;
    bool marking;
    bool sweeping_attempts, sweeping_rejected; /* the query is on its way */
    struct sweep sweep;
    size_t swept;           /* marks of the last sweep that are not settled yet */
    bool attempts_again;    /* when they are, look for results again: the batch was full */
    bool rejected_again;    /* … for rejected events */
    bool rejected_soon;     /* do so although one failed */
    size_t dead_letter_max; /* larger ones go without their bytes */
    bool failing;           /* the last condition that was told: records are not taken */
    bool failed_lately, taken_lately; /* since the last look */
    bool hold, stopped;
};

static struct metric published_metric = {
    "mms_results_published_total", "counter", "Results that the brokers have", NULL, 0, NULL};
static struct metric failed_metric = {"mms_results_publish_failures_total",
                                      "counter",
                                      "Records that could not be published; the sweep repeats them",
                                      NULL,
                                      0,
                                      NULL};

static void sweep_attempts(struct results *results);

static void arm(struct event *timer, int64_t us)
{
    struct timeval tv = {.tv_sec = us / CLOCK_SECOND, .tv_usec = us % CLOCK_SECOND};

    if (!event_pending(timer, EV_TIMEOUT, NULL))
        event_add(timer, &tv);
}

/* ---- marks ---- */

static void mark_free(struct mark *mark)
{
    struct results *results = mark->results;

    results->swept -= mark->swept;
    free(mark->id);
    free(mark);
    if (results->swept == 0 && results->attempts_again)
        sweep_attempts(results);
    if (results->swept == 0 && results->rejected_again)
        results_rejected(results);
}

static void marks_free(struct mark *mark)
{
    while (mark != NULL) {
        struct mark *next = mark->next;

        mark_free(mark);
        mark = next;
    }
}

struct mark_batch {
    struct results *results;
    struct mark *marks;
};

static enum pg_next marks_written(void *arg, const struct pg_reply *reply)
{
    struct mark_batch *batch = arg;
    struct results *results = batch->results;

    if (reply->status == PG_LOST || (reply->status == PG_FAILED && reply->transient))
        return PG_REPEAT;
    if (reply->status == PG_FAILED)
        log_error("published results not marked; they will be published again",
                  log_str("error", reply->message));
    results->marking = false;
    marks_free(batch->marks);
    free(batch);
    if (results->published != NULL)
        arm(results->mark_timer, MARK_LINGER);
    return PG_FINISHED;
}

/* The statement, unless there is nothing to mark. */
static void add_marks(struct pg_unit *unit, const char *sql, struct pg_array *arrays, size_t count)
{
    if (arrays[0].count > 0) {
        pg_unit_statement(unit, sql);
        pg_unit_arrays(unit, arrays, count);
    } else {
        for (size_t i = 0; i < count; i++)
            pg_array_release(&arrays[i]);
    }
}

static void attempt_marks(struct pg_unit *unit, const struct mark *mark)
{
    struct pg_array a[4];

    pg_array_init(&a[0], PG_TEXT);
    pg_array_init(&a[1], PG_INT8);
    pg_array_init(&a[2], PG_INT4);
    pg_array_init(&a[3], PG_UUID);
    for (; mark != NULL; mark = mark->next) {
        if (mark->rejected)
            continue;
        pg_array_add_text(&a[0], mark->id);
        pg_array_add_int8(&a[1], mark->number);
        pg_array_add_int4(&a[2], mark->which);
        pg_array_add_uuid(&a[3], mark->result_id);
    }
    add_marks(unit, sql_published_attempts, a, 4);
}

static void rejected_marks(struct pg_unit *unit, const struct mark *mark)
{
    struct pg_array a[3];

    pg_array_init(&a[0], PG_TEXT);
    pg_array_init(&a[1], PG_INT4);
    pg_array_init(&a[2], PG_INT8);
    for (; mark != NULL; mark = mark->next) {
        if (!mark->rejected)
            continue;
        pg_array_add_text(&a[0], mark->id);
        pg_array_add_int4(&a[1], mark->which);
        pg_array_add_int8(&a[2], mark->number);
    }
    add_marks(unit, sql_published_rejected, a, 3);
}

static void write_marks(struct results *results)
{
    struct mark_batch *batch;
    struct pg_unit *unit;

    if (results->marking || results->published == NULL)
        return;
    event_del(results->mark_timer);
    batch = mem_zalloc(sizeof *batch);
    batch->results = results;
    batch->marks = results->published;
    results->published = NULL;
    results->published_count = 0;
    results->marking = true;
    unit = pg_unit_new(marks_written, batch);
    attempt_marks(unit, batch->marks);
    rejected_marks(unit, batch->marks);
    pg_submit(results->options.pg, unit);
}

static void on_mark_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    write_marks(arg);
}

/* ---- records ---- */

static void record_settled(struct mark *mark, bool failed)
{
    struct results *results = mark->results;

    mark->failed = mark->failed || failed;
    if (--mark->records > 0)
        return;
    if (mark->failed) {
        failed_metric.value++;
        results->rejected_again = results->rejected_soon; /* otherwise the sweep comes round */
        results->rejected_soon = false;
        results->attempts_again = false;
        mark_free(mark);
        return;
    }
    published_metric.value++;
    mark->next = results->published;
    results->published = mark;
    if (++results->published_count >= MARKS_MAX)
        write_marks(results);
    else
        arm(results->mark_timer, MARK_LINGER);
}

/* The dead-letter topic doesn't take that much: such events go without their bytes from now on. */
static void learn_limit(struct results *results, const struct mark *mark)
{
    if (!mark->rejected || mark->size == 0 || mark->size > results->dead_letter_max)
        return;
    results->dead_letter_max = mark->size - 1;
    results->rejected_soon = true;
}

/* One line however many records fail; details at debug level. */
static void note_failure(struct results *results, const char *error)
{
    log_variadic(results->failing ? LOG_DEBUG : LOG_WARN,
                 "results not published; the sweep will try again", log_str("error", error),
                 LOG_END);
    results->failing = true;
    results->failed_lately = true;
}

/* Every so often: whether records are taken again. */
static void look_whether_failing(struct results *results)
{
    if (results->failing && results->taken_lately && !results->failed_lately) {
        results->failing = false;
        log_info("results are published again");
    }
    results->failed_lately = results->taken_lately = false;
}

static void on_delivered(void *arg, void *tag, const char *error, bool too_large)
{
    struct results *results = arg;
    struct mark *mark = tag;

    if (too_large)
        learn_limit(results, mark);
    if (error != NULL && !results->stopped)
        note_failure(results, error);
    results->taken_lately = results->taken_lately || error == NULL;
    record_settled(mark, error != NULL);
}

static void send_record(struct results *results, const struct kafka_record *record)
{
    bool too_large;

    if (kafka_producer_send(results->producer, record, &too_large))
        return;
    if (too_large)
        learn_limit(results, record->tag);
    record_settled(record->tag, true);
}

static struct mark *mark_new(struct results *results, bool rejected, bool swept, const char *id,
                             int64_t number, int which)
{
    struct mark *mark = mem_zalloc(sizeof *mark);

    mark->results = results;
    mark->rejected = rejected;
    mark->swept = swept;
    results->swept += swept;
    mark->id = mem_strdup(id);
    mark->number = number;
    mark->which = which;
    mark->records = rejected ? 2 : 1;
    return mark;
}

static void send_result(struct results *results, const struct result *result,
                        const char *traceparent, const char *tracestate, struct mark *mark)
{
    const struct kafka_header headers[] = {
        {"traceparent", traceparent}, {"tracestate", tracestate}, {NULL, NULL}};
    struct kafka_record record = {.topic = results->options.status_topic,
                                  .key = result->event_id,
                                  .key_length =
                                      result->event_id != NULL ? strlen(result->event_id) : 0,
                                  .headers = headers,
                                  .tag = mark};
    struct buf text;

    buf_init(&text, RESULT_MAX_BYTES);
    result_json_write(result, &text);
    record.value = text.data;
    record.value_length = text.length;
    send_record(results, &record);
    buf_release(&text);
}

void results_publish(struct results *results, struct delivery *delivery)
{
    const struct verdict *v = &delivery->verdict;
    struct result result = {.result_id = delivery->result_id,
                            .kind = "attempt",
                            .event_id = delivery->event_id,
                            .destination_id = delivery->destination_id,
                            .connection_id = delivery->connection_id,
                            .attempt = delivery->attempt,
                            .outcome = outcome_name(v->outcome),
                            .final = delivery_is_final(delivery),
                            .reason = v->reason,
                            .http_status = v->http_status,
                            .message_sid = v->message_sid,
                            .message_status = v->message_status,
                            .error_code = v->error_code,
                            .error_message = v->error_message,
                            .next_attempt_at = delivery->next_attempt_at,
                            .worker = results->options.worker,
                            .at = delivery->finished_at};
    struct mark *mark;

    if (results->hold) {
        delivery_free(delivery);
        return;
    }
    mark =
        mark_new(results, false, false, delivery->destination_id, delivery->id, delivery->attempt);
    memcpy(mark->result_id, delivery->result_id, sizeof mark->result_id);
    send_result(results, &result, delivery->traceparent, delivery->tracestate, mark);
    delivery_free(delivery);
}

/* ---- the sweep ---- */

/* The columns of outbox_attempts.sql. */
enum attempt_column {
    A_DESTINATION_ID,
    A_DELIVERY_ID,
    A_ATTEMPT,
    A_RESULT_ID,
    A_OUTCOME,
    A_REASON,
    A_FINAL,
    A_HTTP_STATUS,
    A_MESSAGE_SID,
    A_MESSAGE_STATUS,
    A_ERROR_CODE,
    A_ERROR_MESSAGE,
    A_NEXT_ATTEMPT_AT,
    A_WORKER,
    A_FINISHED_AT,
    A_EVENT_ID,
    A_CONNECTION_ID,
    A_TRACEPARENT,
    A_TRACESTATE
};

static void publish_swept(struct results *results, const PGresult *rows, int row)
{
    size_t length;
    const char *id = pg_bytes(rows, row, A_RESULT_ID, &length);
    struct result result = {.result_id = (const unsigned char *)id,
                            .kind = "attempt",
                            .event_id = pg_text(rows, row, A_EVENT_ID),
                            .destination_id = pg_text(rows, row, A_DESTINATION_ID),
                            .connection_id = pg_text(rows, row, A_CONNECTION_ID),
                            .attempt = pg_int4(rows, row, A_ATTEMPT),
                            .outcome = pg_text(rows, row, A_OUTCOME),
                            .final = PQgetvalue(rows, row, A_FINAL)[0] != 0,
                            .reason = pg_text(rows, row, A_REASON),
                            .http_status = pg_int4(rows, row, A_HTTP_STATUS),
                            .message_sid = pg_text(rows, row, A_MESSAGE_SID),
                            .message_status = pg_text(rows, row, A_MESSAGE_STATUS),
                            .error_code = pg_int4(rows, row, A_ERROR_CODE),
                            .error_message = pg_text(rows, row, A_ERROR_MESSAGE),
                            .next_attempt_at = pg_is_null(rows, row, A_NEXT_ATTEMPT_AT)
                                                   ? 0
                                                   : pg_time(rows, row, A_NEXT_ATTEMPT_AT),
                            .worker = pg_text(rows, row, A_WORKER),
                            .at = pg_time(rows, row, A_FINISHED_AT)};
    struct mark *mark = mark_new(results, false, true, result.destination_id,
                                 pg_int8(rows, row, A_DELIVERY_ID), result.attempt);

    memcpy(mark->result_id, id, sizeof mark->result_id);
    send_result(results, &result, pg_text(rows, row, A_TRACEPARENT),
                pg_text(rows, row, A_TRACESTATE), mark);
}

static enum pg_next attempts_found(void *arg, const struct pg_reply *reply)
{
    struct results *results = arg;
    int count;

    results->sweeping_attempts = false;
    results->sweep.whole_at = reply->status == PG_OK ? results->sweep.whole_at : 0;
    if (reply->status != PG_OK || results->stopped)
        return PG_FINISHED;
    count = PQntuples(reply->results[0]);
    for (int row = 0; row < count; row++)
        publish_swept(results, reply->results[0], row);
    results->attempts_again = count == SWEEP_MAX;
    if (results->attempts_again)
        results->sweep.whole_at = 0;
    if (count > 0)
        log_info("publishing results that were left over", log_int("count", count));
    return PG_FINISHED;
}

static void sweep_attempts(struct results *results)
{
    struct pg_unit *unit;

    results->attempts_again = false;
    if (results->sweeping_attempts || results->stopped || results->hold)
        return;
    results->sweeping_attempts = true;
    unit = pg_unit_new(attempts_found, results);
    pg_unit_statement(unit, sql_outbox_attempts);
    pg_unit_int8(unit, SWEEP_AGE);
    pg_unit_int8(unit, SWEEP_MAX);
    pg_unit_int8(unit, sweep_reach(&results->sweep));
    pg_submit(results->options.pg, unit);
}

/* ---- rejected events ---- */

/* The columns of outbox_rejected.sql. */
enum rejected_column {
    R_TOPIC,
    R_PARTITION,
    R_OFFSET,
    R_RESULT_ID,
    R_EVENT_ID,
    R_DESTINATION_ID,
    R_CONNECTION_ID,
    R_KEY,
    R_BYTES,
    R_REASON,
    R_DETAIL,
    R_TRACEPARENT,
    R_TRACESTATE,
    R_WORKER,
    R_REJECTED_AT
};

static void send_dead_letter(struct results *results, const PGresult *rows, int row,
                             struct mark *mark)
{
    const char *topic = pg_text(rows, row, R_TOPIC);
    char *source = mem_printf("%s/%d/%lld", topic, pg_int4(rows, row, R_PARTITION),
                              (long long)pg_int8(rows, row, R_OFFSET));
    struct kafka_header headers[] = {
        {"mms-reason", pg_text(rows, row, R_REASON)},
        {"mms-detail", pg_text(rows, row, R_DETAIL)},
        {"mms-source", source},
        {"mms-truncated", NULL},
        {"traceparent", pg_text(rows, row, R_TRACEPARENT)},
        {"tracestate", pg_text(rows, row, R_TRACESTATE)},
        {NULL, NULL},
    };
    struct kafka_record record = {
        .topic = results->options.dead_letter_topic, .headers = headers, .tag = mark};

    record.key = pg_bytes(rows, row, R_KEY, &record.key_length);
    record.value = pg_bytes(rows, row, R_BYTES, &record.value_length);
    /* What the topic doesn't take is in mms.rejected_events: first the value goes, then the key. */
    if (record.key_length + record.value_length > results->dead_letter_max) {
        record.value = NULL;
        record.value_length = 0;
        headers[3].value = "true";
    }
    if (record.key_length > results->dead_letter_max) {
        record.key = NULL;
        record.key_length = 0;
    }
    mark->size = record.key_length + record.value_length;
    send_record(results, &record);
    free(source);
}

static void publish_rejected(struct results *results, const PGresult *rows, int row)
{
    size_t length;
    struct result result = {.result_id =
                                (const unsigned char *)pg_bytes(rows, row, R_RESULT_ID, &length),
                            .kind = "rejection",
                            .event_id = pg_text(rows, row, R_EVENT_ID),
                            .destination_id = pg_text(rows, row, R_DESTINATION_ID),
                            .connection_id = pg_text(rows, row, R_CONNECTION_ID),
                            .outcome = "rejected",
                            .final = true,
                            .reason = pg_text(rows, row, R_REASON),
                            .error_message = pg_text(rows, row, R_DETAIL),
                            .worker = pg_text(rows, row, R_WORKER),
                            .at = pg_time(rows, row, R_REJECTED_AT)};
    struct mark *mark = mark_new(results, true, true, pg_text(rows, row, R_TOPIC),
                                 pg_int8(rows, row, R_OFFSET), pg_int4(rows, row, R_PARTITION));

    send_result(results, &result, pg_text(rows, row, R_TRACEPARENT),
                pg_text(rows, row, R_TRACESTATE), mark);
    send_dead_letter(results, rows, row, mark);
}

static enum pg_next rejected_found(void *arg, const struct pg_reply *reply)
{
    struct results *results = arg;
    int count;

    results->sweeping_rejected = false;
    if (reply->status != PG_OK || results->stopped)
        return PG_FINISHED;
    count = PQntuples(reply->results[0]);
    for (int row = 0; row < count; row++)
        publish_rejected(results, reply->results[0], row);
    if (count > 0)
        results->rejected_again = true; /* there may be more: looked for when these are through */
    return PG_FINISHED;
}

/* One round at a time: a row is read again as long as it isn't marked. */
void results_rejected(struct results *results)
{
    struct pg_unit *unit;

    if (results->hold || results->stopped)
        return;
    results->rejected_again = results->sweeping_rejected || results->swept > 0;
    if (results->rejected_again)
        return;
    results->sweeping_rejected = true;
    unit = pg_unit_new(rejected_found, results);
    pg_unit_statement(unit, sql_outbox_rejected);
    pg_unit_int8(unit, SWEEP_AGE);
    pg_unit_int8(unit, REJECTED_MAX);
    pg_unit_int8(unit, REJECTED_BYTES);
    pg_unit_text(unit, results->options.worker);
    pg_submit(results->options.pg, unit);
}

static void on_sweep_timer(evutil_socket_t fd, short what, void *arg)
{
    struct results *results = arg;

    (void)fd;
    (void)what;
    arm(results->sweep_timer, SWEEP_INTERVAL + backoff_jitter(SWEEP_INTERVAL / 5));
    look_whether_failing(results);
    if (results->hold || results->stopped || pg_pending(results->options.pg) > 8)
        return;
    if (!results->sweeping_attempts && results->swept == 0)
        sweep_attempts(results);
    results_rejected(results);
}

void results_hold(struct results *results, bool hold)
{
    results->hold = hold;
    results->sweep.whole_at = 0;
}

void results_stop(struct results *results)
{
    results->stopped = true;
    event_del(results->sweep_timer);
}

bool results_is_idle(const struct results *results)
{
    return kafka_producer_pending(results->producer) == 0 && results->published == NULL &&
           !results->marking;
}

/* ---- opening and closing ---- */

struct results *results_open(const struct results_options *options, char *error, size_t error_size)
{
    struct results *results = mem_zalloc(sizeof *results);
    const struct kafka_producer_options producer = {.bootstrap_servers = options->bootstrap_servers,
                                                    .properties = options->properties,
                                                    .delivered = on_delivered,
                                                    .arg = results};

    results->options = *options;
    results->dead_letter_max = SIZE_MAX;
    results->producer = kafka_producer_open(options->base, &producer, error, error_size);
    if (results->producer == NULL) {
        free(results);
        return NULL;
    }
    results->mark_timer = evtimer_new(options->base, on_mark_timer, results);
    results->sweep_timer = evtimer_new(options->base, on_sweep_timer, results);
    arm(results->sweep_timer, SWEEP_INTERVAL);
    metrics_register(&published_metric);
    metrics_register(&failed_metric);
    return results;
}

void results_close(struct results *results)
{
    if (results == NULL)
        return;
    results->stopped = true;
    kafka_producer_close(results->producer);
    marks_free(results->published);
    event_free(results->mark_timer);
    event_free(results->sweep_timer);
    free(results);
}
