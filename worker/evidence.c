#include "worker/evidence.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "worker/batch.h"

/*
 * A batch is gathered for this long: long enough to share a commit, short against a slot. When the
 * database is busy, as long as the last one took.
 */
#define LINGER     (5 * CLOCK_MS)
#define LINGER_MAX (100 * CLOCK_MS)
#define BATCH_MAX  500

struct evidence {
    struct evidence_options options;
    struct event *timer;
    struct batch *gathering;
    bool busy; /* a batch is on its way */
    int64_t linger;
    size_t pending;
};

#define ATTEMPTS                                                                               \
    .name = "mms_attempts_total", .type = "counter",                                           \
    .help = "Attempts whose evidence is stored, by outcome; what a lookup finds out later of " \
            "unknown ones is in mms_lookups_total"

/* In the order of enum outcome. */
static struct metric outcome_metrics[] = {
    {ATTEMPTS, .labels = {"outcome", "accepted"}}, {ATTEMPTS, .labels = {"outcome", "retry"}},
    {ATTEMPTS, .labels = {"outcome", "failed"}},   {ATTEMPTS, .labels = {"outcome", "unknown"}},
    {ATTEMPTS, .labels = {"outcome", "expired"}},
};

#define ENDED                                                                                     \
    .name = "mms_deliveries_ended_total", .type = "counter",                                      \
    .help = "Deliveries that have ended, by state; one that was held to be failed and turns out " \
            "to be accepted counts as both"

static struct metric ended_metrics[] = {
    {ENDED, .labels = {"state", "accepted"}},
    {ENDED, .labels = {"state", "failed"}},
    {ENDED, .labels = {"state", "expired"}},
};
static struct metric waiting_metric = {
    .name = "mms_evidence_waiting",
    .type = "gauge",
    .help =
        "Attempts, resolutions and slots that are gathered for, or on their way to, PostgreSQL"};

static void count(const struct delivery *delivery)
{
    if (batch_kind_of(delivery) == BATCH_ATTEMPT)
        outcome_metrics[delivery->verdict.outcome].value++;
    for (size_t i = 0; i < sizeof ended_metrics / sizeof ended_metrics[0]; i++) {
        if (strcmp(delivery->state, ended_metrics[i].labels[1]) == 0)
            ended_metrics[i].value++;
    }
}

static void set_linger(struct evidence *evidence, int64_t took)
{
    evidence->linger = took < LINGER ? LINGER : took > LINGER_MAX ? LINGER_MAX : took;
}

static void arm(struct evidence *evidence)
{
    const struct timeval linger = {.tv_usec = evidence->linger};

    if (!evidence->busy && !event_pending(evidence->timer, EV_TIMEOUT, NULL))
        event_add(evidence->timer, &linger);
}

/* ---- sending ---- */

static void batch_send(struct batch *batch);

/* Everything that waited for a batch, one batch each: one row must not hold up the others. */
static void send_singly(struct batch *batch)
{
    struct batch *single = batch_new(batch->room);

    for (size_t i = 0; i < batch->slot_count; i++) {
        batch_add_slot(single, &batch->slots[i]);
        batch->slots[i].destination_id = NULL;
    }
    if (single->slot_count > 0)
        batch_send(single);
    else
        batch_free(single);
    for (size_t i = 0; i < batch->delivery_count; i++) {
        single = batch_new(batch->room);
        batch_add(single, batch->deliveries[i]);
        batch_send(single);
    }
    batch_free(batch);
}

/* The first moment at which this batch made a destination due; INT64_MAX: none. */
static int64_t first_due(const struct batch *batch)
{
    int64_t first = INT64_MAX;

    for (size_t i = 0; i < batch->slot_count; i++) {
        if (batch->slots[i].next_slot_at < first)
            first = batch->slots[i].next_slot_at;
    }
    for (size_t i = 0; i < batch->delivery_count; i++) {
        int64_t at = batch_wake_at(batch->deliveries[i]);

        if (at != 0 && at < first)
            first = at;
    }
    return first;
}

/* A row of what a statement returns about results: result_id, whether an earlier one waits. */
enum standing_column { S_RESULT_ID, S_WAITS };

/* Whether the delivery's result stands, and may be published now. Rows are mostly in our order. */
static bool may_publish(struct delivery *delivery, const PGresult *rows, int *row)
{
    int total = rows != NULL ? PQntuples(rows) : 0;

    for (int i = 0; i < total; i++, *row = (*row + 1) % total) {
        size_t length;
        const char *id = pg_bytes(rows, *row, S_RESULT_ID, &length);

        if (memcmp(id, delivery->result_id, sizeof delivery->result_id) == 0) {
            delivery->stands = true;
            return pg_int4(rows, *row, S_WAITS) == 0;
        }
    }
    return false;
}

static const PGresult *result_at(const struct pg_reply *reply, int place)
{
    return place >= 0 ? reply->results[place] : NULL;
}

static void batch_end(struct batch *batch, const struct pg_reply *reply)
{
    struct evidence *evidence = batch->room;
    bool ok = reply->status == PG_OK;
    const PGresult *attempts = ok ? result_at(reply, batch->attempts_at) : NULL;
    const PGresult *resolutions = ok ? result_at(reply, batch->resolutions_at) : NULL;
    int64_t due = first_due(batch);
    int attempt_row = 0, resolution_row = 0;

    evidence->pending -= batch->slot_count + batch->delivery_count;
    waiting_metric.value = (int64_t)evidence->pending;
    for (size_t i = 0; i < batch->delivery_count; i++) {
        struct delivery *delivery = batch->deliveries[i];
        bool publish = batch_kind_of(delivery) == BATCH_RESOLUTION
                           ? may_publish(delivery, resolutions, &resolution_row)
                           : may_publish(delivery, attempts, &attempt_row);

        if (delivery->stands)
            count(delivery);
        evidence->options.committed(evidence->options.arg, delivery, publish);
    }
    batch_free(batch);
    if (due != INT64_MAX)
        evidence->options.due(evidence->options.arg, due);
}

/*
 * Whether a single attempt was refused because another has its message (attempts_message), though
 * Twilio itself says that it is this one's: in its answer, or in a callback.
 */
static bool is_taken(const struct batch *batch, const struct pg_reply *reply)
{
    const struct delivery *d = batch->delivery_count > 0 ? batch->deliveries[0] : NULL;

    return d != NULL && d->verdict.message_sid[0] != '\0' &&
           strcmp(reply->sqlstate, "23505") == 0 && (batch_kind_of(d) == BATCH_ATTEMPT || d->told);
}

/*
 * Twilio's own word beats what a lookup found. But if the other attempt got the same SID in an
 * answer, then one of the two answers is not to be believed: it is looked up. (Or left to a person,
 * if it was a callback that named it: a lookup would only be told the same.)
 */
static void settle_taken(struct batch *batch)
{
    struct delivery *delivery = batch->deliveries[0];

    log_warn("Twilio names a message that another attempt has",
             log_str("event_id", delivery->event_id),
             log_str("message_sid", delivery->verdict.message_sid));
    if (batch->reclaims)
        delivery_doubt(delivery);
    batch->reclaims = !batch->reclaims;
    batch_send(batch);
}

static enum pg_next batch_done(void *arg, const struct pg_reply *reply)
{
    struct batch *batch = arg;
    struct evidence *evidence = batch->room;
    bool single = batch->slot_count + batch->delivery_count == 1;

    if (reply->status == PG_LOST || (reply->status == PG_FAILED && reply->transient)) {
        log_debug("evidence not written yet, trying again", log_str("error", reply->message),
                  log_int("attempts", (int64_t)batch->delivery_count));
        return PG_REPEAT;
    }
    evidence->busy = false;
    set_linger(evidence, reply->received - reply->sent);
    if (reply->status == PG_OK) {
        batch_end(batch, reply);
    } else if (single && is_taken(batch, reply)) {
        settle_taken(batch);
    } else if (single || batch->delivery_count == 0) {
        log_error(
            "evidence refused by PostgreSQL", log_str("sqlstate", reply->sqlstate),
            log_str("error", reply->message),
            log_str("event_id", batch->delivery_count > 0 ? batch->deliveries[0]->event_id : NULL));
        batch_end(batch, reply);
    } else {
        send_singly(batch);
    }
    if (evidence->gathering != NULL)
        arm(evidence);
    return PG_FINISHED;
}

static void batch_send(struct batch *batch)
{
    struct evidence *evidence = batch->room;
    const struct batch_options options = {.worker = evidence->options.worker,
                                          .reconcile_delay = evidence->options.reconcile_delay,
                                          .poll_delay = evidence->options.poll_delay};
    struct pg_unit *unit = pg_unit_new(batch_done, batch);

    batch_statements(batch, &options, unit);
    evidence->busy = true;
    pg_submit(evidence->options.pg, unit);
}

static void send_gathered(struct evidence *evidence)
{
    struct batch *batch = evidence->gathering;

    evidence->gathering = NULL;
    event_del(evidence->timer);
    if (batch != NULL)
        batch_send(batch);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct evidence *evidence = arg;

    (void)fd;
    (void)what;
    if (!evidence->busy)
        send_gathered(evidence);
}

static struct batch *gather(struct evidence *evidence)
{
    waiting_metric.value = (int64_t)++evidence->pending;
    if (evidence->gathering == NULL)
        evidence->gathering = batch_new(evidence);
    return evidence->gathering;
}

static void gathered(struct evidence *evidence)
{
    if (!evidence->busy && evidence->gathering->delivery_count >= BATCH_MAX)
        send_gathered(evidence);
    else
        arm(evidence);
}

void evidence_slot(struct evidence *evidence, const char *destination_id, int64_t reserved_until,
                   int64_t next_slot_at)
{
    struct slot_move move = {mem_strdup(destination_id), reserved_until, next_slot_at};

    batch_add_slot(gather(evidence), &move);
    gathered(evidence);
}

static void add_delivery(struct evidence *evidence, struct delivery *delivery)
{
    batch_add(gather(evidence), delivery);
    gathered(evidence);
}

void evidence_attempt(struct evidence *evidence, struct delivery *delivery)
{
    add_delivery(evidence, delivery);
}

void evidence_resolution(struct evidence *evidence, struct delivery *delivery)
{
    add_delivery(evidence, delivery);
}

void evidence_release(struct evidence *evidence, struct delivery *delivery)
{
    delivery->state = NULL;
    evidence_slot(evidence, delivery->destination_id, delivery->reserved_until, delivery->slot_at);
    add_delivery(evidence, delivery);
}

size_t evidence_pending(const struct evidence *evidence)
{
    return evidence->pending;
}

struct evidence *evidence_open(const struct evidence_options *options)
{
    struct evidence *evidence = mem_zalloc(sizeof *evidence);

    evidence->options = *options;
    evidence->linger = LINGER;
    evidence->timer = evtimer_new(options->base, on_timer, evidence);
    metrics_register_all(outcome_metrics, sizeof outcome_metrics / sizeof outcome_metrics[0]);
    metrics_register_all(ended_metrics, sizeof ended_metrics / sizeof ended_metrics[0]);
    metrics_register(&waiting_metric);
    return evidence;
}

void evidence_close(struct evidence *evidence)
{
    if (evidence == NULL)
        return;
    event_free(evidence->timer);
    if (evidence->gathering != NULL) {
        for (size_t i = 0; i < evidence->gathering->delivery_count; i++)
            delivery_free(evidence->gathering->deliveries[i]);
        batch_free(evidence->gathering);
    }
    free(evidence);
}
