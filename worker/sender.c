#include "worker/sender.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/json.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "worker/attempt_log.h"
#include "worker/pace.h"

/* A message resource is about 1 KiB; what is longer is kept in part. */
#define ANSWER_MAX_BYTES   ((size_t)64 << 10)
#define EVIDENCE_MAX_BYTES ((size_t)16 << 10)

struct sender {
    struct sender_options options;
};

/* In milliseconds: a send may start up to 3 s (PACE_START_WINDOW) after its slot … */
static struct histogram lateness = {.bounds = {1 * CLOCK_MS, 2 * CLOCK_MS, 5 * CLOCK_MS,
                                               10 * CLOCK_MS, 20 * CLOCK_MS, 50 * CLOCK_MS,
                                               100 * CLOCK_MS, 200 * CLOCK_MS, 500 * CLOCK_MS,
                                               1000 * CLOCK_MS, 2000 * CLOCK_MS, 3000 * CLOCK_MS}};
/* … and Twilio answers within 30 s, mostly within one. */
static struct histogram latency = {
    .bounds = {10 * CLOCK_MS, 25 * CLOCK_MS, 50 * CLOCK_MS, 100 * CLOCK_MS, 250 * CLOCK_MS,
               500 * CLOCK_MS, 1000 * CLOCK_MS, 2500 * CLOCK_MS, 5000 * CLOCK_MS, 10000 * CLOCK_MS,
               20000 * CLOCK_MS, 40000 * CLOCK_MS}};
static struct metric metrics[] = {
    {.name = "mms_slot_lateness_seconds",
     .type = "histogram",
     .help = "From a slot to the start of its POST",
     .histogram = &lateness},
    {.name = "mms_twilio_latency_seconds",
     .type = "histogram",
     .help = "From the start of a POST to the end of Twilio's answer",
     .histogram = &latency},
};
static struct metric missed_metric = {
    .name = "mms_slots_missed_total",
    .type = "counter",
    .help = "Slots whose send couldn't start in time; the delivery gets another"};

/* ---- evidence of an answer ---- */

static char *mask(const struct delivery *delivery, const char *bytes, size_t length, size_t max)
{
    struct buf text;

    buf_init(&text, max);
    redact(delivery->request.redactor, bytes, length, &text);
    return buf_detach(&text);
}

static void keep_headers(struct delivery *delivery, const struct http_response *response)
{
    struct buf json;

    buf_init(&json, EVIDENCE_MAX_BYTES);
    buf_add_char(&json, '{');
    for (int i = 0; i < response->header_count; i++) {
        const char *value = response->headers[i].value;
        char *masked = mask(delivery, value, strlen(value), sizeof response->headers[i].value);

        json_add_text(&json, response->headers[i].name, masked);
        free(masked);
    }
    buf_add_char(&json, '}');
    delivery->response_headers = buf_detach(&json);
}

static void keep_timing(struct delivery *delivery, const struct http_response *response)
{
    struct buf json;

    buf_init(&json, EVIDENCE_MAX_BYTES);
    buf_add_char(&json, '{');
    json_add_integer(&json, "lookup", response->lookup_us);
    json_add_integer(&json, "connect", response->connect_us);
    json_add_integer(&json, "tls", response->tls_us);
    json_add_integer(&json, "first_byte", response->first_byte_us);
    json_add_integer(&json, "total", response->total_us);
    json_add_bool(&json, "new_connection", response->new_connection);
    buf_add_char(&json, '}');
    delivery->timing = buf_detach(&json);
}

static void keep_answer(struct delivery *delivery, const struct http_response *response)
{
    if (response->status != 0) {
        keep_headers(delivery, response);
        delivery->response_body =
            mask(delivery, response->body, response->body_length, EVIDENCE_MAX_BYTES);
    }
    keep_timing(delivery, response);
}

static void mask_field(const struct delivery *delivery, char *field, size_t size)
{
    char *masked = mask(delivery, field, strlen(field), size - 1);

    snprintf(field, size, "%s", masked);
    free(masked);
}

/* What Twilio (or a proxy) says in words may hold a secret as well. */
static void mask_verdict(struct delivery *delivery)
{
    struct verdict *verdict = &delivery->verdict;

    mask_field(delivery, verdict->error_message, sizeof verdict->error_message);
    mask_field(delivery, verdict->message_status, sizeof verdict->message_status);
}

/* ---- an exchange ---- */

static void on_sent(void *arg, int64_t at)
{
    struct delivery *delivery = arg;
    struct sender *sender = delivery->room;

    /* `at` is after the first byte, and the latest that the database's clock can have said then. */
    evidence_slot(sender->options.evidence, delivery->destination_id, delivery->reserved_until,
                  db_clock_latest(sender->options.clock, at) + PACE_SPACING);
}

static void measure(const struct delivery *delivery, const struct http_response *response)
{
    if (response->started == 0)
        return;
    histogram_observe(&lateness, delivery->started_at - delivery->slot_at);
    if (response->result == HTTP_ANSWERED)
        histogram_observe(&latency, response->finished - response->started);
}

/* Of HTTP_BROKEN without a status nothing follows: it connected, and perhaps long ago. */
static void tell_reach(struct reach *reach, const struct http_response *response,
                       const struct verdict *verdict)
{
    if (response->result == HTTP_NOT_SENT)
        reach_not_connected(reach, verdict->error_message);
    else if (response->status != 0)
        reach_answered(reach);
}

static void on_done(void *arg, const struct http_response *response)
{
    struct delivery *delivery = arg;
    struct sender *sender = delivery->room;
    const struct db_clock *clock = sender->options.clock;

    if (response->late) {
        /* Not an attempt: it goes back, and gets a slot again. */
        missed_metric.value++;
        log_info("slot missed", log_str("event_id", delivery->event_id),
                 log_str("destination_id", delivery->destination_id),
                 log_int("attempt", delivery->attempt));
        evidence_release(sender->options.evidence, delivery);
        return;
    }
    outcome_judge(response, (int64_t)time(NULL), &delivery->verdict);
    mask_verdict(delivery);
    keep_answer(delivery, response);
    if (response->started != 0)
        delivery->started_at = db_clock_earliest(clock, response->started);
    else /* nothing left this machine; the slot counts as used all the same */
        evidence_slot(sender->options.evidence, delivery->destination_id, delivery->reserved_until,
                      delivery->slot_at + PACE_SPACING);
    delivery->finished_at = db_clock_earliest(clock, response->finished);
    delivery_settle(delivery, db_clock_latest(clock, clock_now()));
    measure(delivery, response);
    attempt_log(delivery, response);
    tell_reach(sender->options.reach, response, &delivery->verdict);
    evidence_attempt(sender->options.evidence, delivery);
}

/*
 * A worker that was stopped or starved meanwhile must not send what isn't its own any more: neither
 * the slot, nor (once the lease could run out before the exchange does) the delivery.
 */
static int64_t last_start_of(const struct sender *sender, const struct delivery *delivery)
{
    int64_t by_slot = delivery->slot_at + PACE_START_WINDOW - PACE_START_MARGIN;
    int64_t by_lease = delivery->lease_until - sender->options.timeout;

    return by_slot < by_lease ? by_slot : by_lease;
}

void sender_send(struct sender *sender, struct delivery *delivery)
{
    const struct twilio_request *request = &delivery->request;
    int64_t last_start = last_start_of(sender, delivery);
    struct http_request http_request = {
        .url = request->url,
        .user = request->user,
        .password = request->password,
        .body = request->form,
        .body_length = request->form_length,
        .start_by = db_clock_before(sender->options.clock, last_start),
        .timeout = sender->options.timeout,
        .response_max = ANSWER_MAX_BYTES,
        .sent = on_sent,
        .done = on_done,
        .arg = delivery,
    };

    delivery->room = sender;
    http_send(sender->options.http, &http_request);
}

struct sender *sender_open(const struct sender_options *options)
{
    struct sender *sender = mem_zalloc(sizeof *sender);

    sender->options = *options;
    metrics_register_all(metrics, sizeof metrics / sizeof metrics[0]);
    metrics_register(&missed_metric);
    return sender;
}

void sender_close(struct sender *sender)
{
    free(sender);
}
