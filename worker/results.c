#include "worker/results.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/metrics.h"

#define RESULT_MAX_BYTES ((size_t)64 << 10)

struct results {
    struct results_options options;
    struct kafka_producer *producer;
    struct marks *marks;
    size_t dead_letter_max;           /* larger ones go without their bytes */
    bool learnt_limit;                /* since that was asked */
    bool failing;                     /* the last condition that was told: records are not taken */
    bool failed_lately, taken_lately; /* since the last look */
    bool hold, stopped;
};

static struct metric published_metric = {.name = "mms_results_published_total",
                                         .type = "counter",
                                         .help = "Results that the brokers have"};
static struct metric failed_metric = {
    .name = "mms_results_publish_failures_total",
    .type = "counter",
    .help = "Records that could not be published; the sweep repeats them"};

static struct metric in_flight_metric = {
    .name = "mms_results_in_flight",
    .type = "gauge",
    .help = "Records handed to the Kafka producer that the brokers haven't confirmed yet"};

/* ---- records ---- */

static void record_settled(struct results *results, struct mark *mark, bool failed)
{
    mark->failed = mark->failed || failed;
    if (--mark->records > 0)
        return;
    if (mark->failed) {
        failed_metric.value++;
        mark_free(mark);
        return;
    }
    published_metric.value++;
    marks_published(results->marks, mark);
}

/* The dead-letter topic doesn't take that much: such events go without their bytes from now on. */
static void learn_limit(struct results *results, const struct mark *mark)
{
    if (mark->kind != MARK_REJECTED || mark->size == 0 || mark->size > results->dead_letter_max)
        return;
    results->dead_letter_max = mark->size - 1;
    results->learnt_limit = true;
}

bool results_learnt_limit(struct results *results)
{
    bool learnt = results->learnt_limit;

    results->learnt_limit = false;
    return learnt;
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

void results_look(struct results *results)
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
    record_settled(results, mark, error != NULL);
}

static void send_record(struct results *results, const struct kafka_record *record)
{
    bool too_large;

    if (kafka_producer_send(results->producer, record, &too_large))
        return;
    if (too_large)
        learn_limit(results, record->tag);
    record_settled(results, record->tag, true);
}

void results_send(struct results *results, const struct result *result, const char *traceparent,
                  const char *tracestate, struct mark *mark)
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

    if (results->hold) {
        mark->failed = true;
        mark_free(mark);
        return;
    }
    buf_init(&text, RESULT_MAX_BYTES);
    result_json_write(result, &text);
    record.value = text.data;
    record.value_length = text.length;
    send_record(results, &record);
    buf_release(&text);
}

void results_send_dead_letter(struct results *results, struct kafka_record *record,
                              struct kafka_header *truncated, struct mark *mark)
{
    record->topic = results->options.dead_letter_topic;
    record->tag = mark;
    /* What the topic doesn't take is in mms.rejected_events: first the value goes, then the key. */
    if (record->key_length + record->value_length > results->dead_letter_max) {
        record->value = NULL;
        record->value_length = 0;
        truncated->value = "true";
    }
    if (record->key_length > results->dead_letter_max) {
        record->key = NULL;
        record->key_length = 0;
    }
    mark->size = record->key_length + record->value_length;
    send_record(results, record);
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
    struct mark *mark =
        mark_new(MARK_ATTEMPT, delivery->destination_id, delivery->id, delivery->attempt);

    memcpy(mark->result_id, delivery->result_id, sizeof mark->result_id);
    results_send(results, &result, delivery->traceparent, delivery->tracestate, mark);
    delivery_free(delivery);
}

void results_hold(struct results *results, bool hold)
{
    results->hold = hold;
}

void results_stop(struct results *results)
{
    results->stopped = true;
}

bool results_is_idle(const struct results *results)
{
    return kafka_producer_pending(results->producer) == 0 && marks_idle(results->marks);
}

/* ---- opening and closing ---- */

static void update(void *arg)
{
    const struct results *results = arg;

    in_flight_metric.value = (int64_t)kafka_producer_pending(results->producer);
}

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
    results->marks = marks_open(options->base, options->pg);
    metrics_register(&published_metric);
    metrics_register(&failed_metric);
    metrics_register(&in_flight_metric);
    metrics_on_write(update, results);
    return results;
}

void results_close(struct results *results)
{
    if (results == NULL)
        return;
    results->stopped = true;
    kafka_producer_close(results->producer);
    marks_close(results->marks);
    free(results);
}
