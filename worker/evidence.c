#include "worker/evidence.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "sql.h"

/*
 * A batch is gathered for this long: long enough to share a commit, short against a slot. When the
 * database is busy, as long as the last one took.
 */
#define LINGER     (5 * CLOCK_MS)
#define LINGER_MAX (100 * CLOCK_MS)
#define BATCH_MAX  500

struct slot_move {
    char *destination_id;
    int64_t reserved_until;
    int64_t next_slot_at;
};

/* Which statements of its unit a batch has results of; -1: it has no such statement. */
struct places {
    int attempts, resolutions;
};

struct batch {
    struct evidence *evidence;
    struct places places;
    bool reclaims; /* takes its message from an attempt that was only found to have made it */
    struct slot_move *slots;
    size_t slot_count, slot_capacity;
    struct delivery **deliveries;
    size_t delivery_count, delivery_capacity;
};

struct evidence {
    struct evidence_options options;
    struct event *timer;
    struct batch *gathering;
    bool busy; /* a batch is on its way */
    int64_t linger;
    size_t pending;
};

#define ATTEMPTS "mms_attempts_total", "counter", "Attempts by outcome"

/* In the order of enum outcome. */
static struct metric outcome_metrics[] = {
    {ATTEMPTS, "outcome=\"accepted\"", 0, NULL}, {ATTEMPTS, "outcome=\"retry\"", 0, NULL},
    {ATTEMPTS, "outcome=\"failed\"", 0, NULL},   {ATTEMPTS, "outcome=\"unknown\"", 0, NULL},
    {ATTEMPTS, "outcome=\"expired\"", 0, NULL},
};

/* What is written of a delivery. */
enum kind {
    KIND_ATTEMPT,
    KIND_RESOLUTION,
    KIND_RELEASE /* goes back unattempted: it has no state to go to */
};

static enum kind kind_of(const struct delivery *delivery)
{
    if (delivery->state == NULL)
        return KIND_RELEASE;
    return delivery->resolution != NULL ? KIND_RESOLUTION : KIND_ATTEMPT;
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

/* ---- batches ---- */

static struct batch *batch_new(struct evidence *evidence)
{
    struct batch *batch = mem_zalloc(sizeof *batch);

    batch->evidence = evidence;
    return batch;
}

static void batch_free(struct batch *batch)
{
    for (size_t i = 0; i < batch->slot_count; i++)
        free(batch->slots[i].destination_id);
    free(batch->slots);
    free(batch->deliveries);
    free(batch);
}

static void batch_add(struct batch *batch, struct delivery *delivery)
{
    if (batch->delivery_count == batch->delivery_capacity) {
        batch->delivery_capacity = batch->delivery_capacity > 0 ? batch->delivery_capacity * 2 : 32;
        batch->deliveries =
            mem_realloc(batch->deliveries, batch->delivery_capacity * sizeof *batch->deliveries);
    }
    batch->deliveries[batch->delivery_count++] = delivery;
}

static void batch_add_slot(struct batch *batch, const struct slot_move *move)
{
    if (batch->slot_count == batch->slot_capacity) {
        batch->slot_capacity = batch->slot_capacity > 0 ? batch->slot_capacity * 2 : 32;
        batch->slots = mem_realloc(batch->slots, batch->slot_capacity * sizeof *batch->slots);
    }
    batch->slots[batch->slot_count++] = *move;
}

/* ---- statements ---- */

/* When its destination must be looked at because of this delivery; 0: not. */
static int64_t wake_at(const struct delivery *delivery)
{
    if (kind_of(delivery) == KIND_RELEASE)
        return delivery->slot_at;
    return strcmp(delivery->state, "pending") == 0 ? delivery->next_attempt_at : 0;
}

/* Whether its destination's pacing changes because of this delivery. */
static bool is_wake(const struct delivery *delivery)
{
    return wake_at(delivery) != 0 || delivery->well;
}

/* What most batches bring, accepted sends, changes no pacing and needs no lock. */
static void lock_statement(struct pg_unit *unit, const struct batch *batch)
{
    struct pg_array ids;

    pg_array_init(&ids, PG_TEXT);
    for (size_t i = 0; i < batch->slot_count; i++)
        pg_array_add_text(&ids, batch->slots[i].destination_id);
    for (size_t i = 0; i < batch->delivery_count; i++) {
        if (is_wake(batch->deliveries[i]))
            pg_array_add_text(&ids, batch->deliveries[i]->destination_id);
    }
    if (ids.count > 0) {
        pg_unit_statement(unit, sql_pacing_lock);
        pg_unit_array(unit, &ids);
    }
    pg_array_release(&ids);
}

static void slots_statement(struct pg_unit *unit, const struct batch *batch)
{
    struct pg_array a[3];

    pg_array_init(&a[0], PG_TEXT);
    pg_array_init(&a[1], PG_TIMESTAMPTZ);
    pg_array_init(&a[2], PG_TIMESTAMPTZ);
    for (size_t i = 0; i < batch->slot_count; i++) {
        pg_array_add_text(&a[0], batch->slots[i].destination_id);
        pg_array_add_time(&a[1], batch->slots[i].reserved_until);
        pg_array_add_time(&a[2], batch->slots[i].next_slot_at);
    }
    pg_unit_statement(unit, sql_evidence_slots);
    pg_unit_arrays(unit, a, 3);
}

static void add_status(struct pg_array *array, int number)
{
    if (number == 0)
        pg_array_add_null(array);
    else
        pg_array_add_int4(array, number);
}

static const char *or_null(const char *text)
{
    return text[0] != '\0' ? text : NULL;
}

/* The columns of evidence_attempts.sql, in its order. */
static const enum pg_type attempt_types[] = {
    PG_TEXT,        PG_INT8, PG_INT4, PG_TIMESTAMPTZ, PG_UUID,        PG_TEXT,
    PG_TEXT,        PG_TEXT, PG_INT4, PG_TIMESTAMPTZ, PG_TIMESTAMPTZ, PG_TIMESTAMPTZ,
    PG_TIMESTAMPTZ, PG_JSON, PG_INT4, PG_JSON,        PG_TEXT,        PG_TEXT,
    PG_TEXT,        PG_INT4, PG_TEXT, PG_JSON,        PG_INT4,
};

#define ATTEMPT_COLUMNS (sizeof attempt_types / sizeof attempt_types[0])

static void add_attempt(struct pg_array *a, const struct delivery *d)
{
    const struct verdict *v = &d->verdict;

    pg_array_add_text(a++, d->destination_id);
    pg_array_add_int8(a++, d->id);
    pg_array_add_int4(a++, d->attempt);
    pg_array_add_time(a++, d->lease_until);
    pg_array_add_uuid(a++, d->result_id);
    pg_array_add_text(a++, outcome_name(v->outcome));
    pg_array_add_text(a++, v->reason);
    pg_array_add_text(a++, d->state);
    pg_array_add_int4(a++, d->budget_spent);
    pg_array_add_time(a++, d->slot_at);
    pg_array_add_time(a++, d->started_at);
    pg_array_add_time(a++, d->finished_at);
    pg_array_add_time(a++, d->next_attempt_at);
    pg_array_add_text(a++, d->request.evidence);
    add_status(a++, v->http_status);
    pg_array_add_text(a++, d->response_headers);
    pg_array_add_text(a++, d->response_body);
    pg_array_add_text(a++, or_null(v->message_sid));
    pg_array_add_text(a++, or_null(v->message_status));
    add_status(a++, v->error_code);
    pg_array_add_text(a++, or_null(v->error_message));
    pg_array_add_text(a++, d->timing);
    pg_array_add_int4(a++, d->keeps_place);
}

/* The columns of evidence_resolve.sql, in its order. */
static const enum pg_type resolution_types[] = {
    PG_TEXT, PG_INT8,        PG_INT4,        PG_TIMESTAMPTZ, PG_UUID, PG_TEXT, PG_TEXT, PG_TEXT,
    PG_INT4, PG_TIMESTAMPTZ, PG_TIMESTAMPTZ, PG_TEXT,        PG_TEXT, PG_TEXT, PG_TEXT,
};

#define RESOLUTION_COLUMNS (sizeof resolution_types / sizeof resolution_types[0])

static void add_resolution(struct pg_array *a, const struct delivery *d)
{
    const struct verdict *v = &d->verdict;

    pg_array_add_text(a++, d->destination_id);
    pg_array_add_int8(a++, d->id);
    pg_array_add_int4(a++, d->attempt);
    pg_array_add_time(a++, d->lookup_lease);
    pg_array_add_uuid(a++, d->result_id);
    pg_array_add_text(a++, outcome_name(v->outcome));
    pg_array_add_text(a++, v->reason);
    pg_array_add_text(a++, d->state);
    pg_array_add_int4(a++, delivery_is_final(d));
    pg_array_add_time(a++, d->next_attempt_at);
    pg_array_add_time(a++, d->finished_at);
    pg_array_add_text(a++, or_null(v->message_sid));
    pg_array_add_text(a++, or_null(v->message_status));
    pg_array_add_text(a++, or_null(v->error_message));
    pg_array_add_text(a++, d->resolution);
}

/* The columns of evidence_release.sql, in its order. */
static const enum pg_type release_types[] = {PG_TEXT, PG_INT8, PG_INT4, PG_TIMESTAMPTZ};

#define RELEASE_COLUMNS (sizeof release_types / sizeof release_types[0])

static void add_release(struct pg_array *a, const struct delivery *d)
{
    pg_array_add_text(a++, d->destination_id);
    pg_array_add_int8(a++, d->id);
    pg_array_add_int4(a++, d->attempt);
    pg_array_add_time(a++, d->lease_until);
}

/* A statement with a row for each delivery of a kind; false if there is none. */
static bool rows_statement(struct pg_unit *unit, const struct batch *batch, enum kind kind,
                           const char *sql, const enum pg_type *types, size_t columns,
                           void (*add)(struct pg_array *a, const struct delivery *d))
{
    struct pg_array a[ATTEMPT_COLUMNS]; /* the widest */
    size_t count = 0;

    for (size_t i = 0; i < columns; i++)
        pg_array_init(&a[i], types[i]);
    for (size_t i = 0; i < batch->delivery_count; i++) {
        if (kind_of(batch->deliveries[i]) == kind) {
            add(a, batch->deliveries[i]);
            count++;
        }
    }
    if (count == 0)
        return false;
    pg_unit_statement(unit, sql);
    pg_unit_arrays(unit, a, columns);
    return true;
}

static void wake_statement(struct pg_unit *unit, const struct batch *batch)
{
    struct pg_array a[6];
    size_t count = 0;

    pg_array_init(&a[0], PG_TEXT);
    pg_array_init(&a[1], PG_TIMESTAMPTZ);
    pg_array_init(&a[2], PG_TIMESTAMPTZ);
    pg_array_init(&a[3], PG_TEXT);
    pg_array_init(&a[4], PG_INT4);
    pg_array_init(&a[5], PG_TIMESTAMPTZ);
    for (size_t i = 0; i < batch->delivery_count; i++) {
        const struct delivery *d = batch->deliveries[i];

        if (!is_wake(d))
            continue;
        pg_array_add_text(&a[0], d->destination_id);
        pg_array_add_time(&a[1], wake_at(d));
        pg_array_add_time(&a[2], d->parked_until);
        pg_array_add_text(&a[3], d->parked_until != 0 ? d->verdict.reason : NULL);
        pg_array_add_int4(&a[4], d->well);
        pg_array_add_time(&a[5], d->config_of);
        count++;
    }
    if (count > 0) {
        pg_unit_statement(unit, sql_evidence_wake);
        pg_unit_arrays(unit, a, 6);
    }
    for (size_t i = 0; i < 6; i++)
        pg_array_release(&a[i]);
}

/* ---- sending ---- */

static void batch_send(struct batch *batch);

/* Everything that waited for a batch, one batch each: one row must not hold up the others. */
static void send_singly(struct batch *batch)
{
    struct batch *single = batch_new(batch->evidence);

    for (size_t i = 0; i < batch->slot_count; i++) {
        batch_add_slot(single, &batch->slots[i]);
        batch->slots[i].destination_id = NULL;
    }
    if (single->slot_count > 0)
        batch_send(single);
    else
        batch_free(single);
    for (size_t i = 0; i < batch->delivery_count; i++) {
        single = batch_new(batch->evidence);
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
        int64_t at = wake_at(batch->deliveries[i]);

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
    int count = rows != NULL ? PQntuples(rows) : 0;

    for (int i = 0; i < count; i++, *row = (*row + 1) % count) {
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
    struct evidence *evidence = batch->evidence;
    bool ok = reply->status == PG_OK;
    const PGresult *attempts = ok ? result_at(reply, batch->places.attempts) : NULL;
    const PGresult *resolutions = ok ? result_at(reply, batch->places.resolutions) : NULL;
    int64_t due = first_due(batch);
    int attempt_row = 0, resolution_row = 0;

    evidence->pending -= batch->slot_count + batch->delivery_count;
    for (size_t i = 0; i < batch->delivery_count; i++) {
        struct delivery *delivery = batch->deliveries[i];
        bool publish = kind_of(delivery) == KIND_RESOLUTION
                           ? may_publish(delivery, resolutions, &resolution_row)
                           : may_publish(delivery, attempts, &attempt_row);

        evidence->options.committed(evidence->options.arg, delivery, publish);
    }
    batch_free(batch);
    if (due != INT64_MAX)
        evidence->options.due(evidence->options.arg, due);
}

/* Whether a single attempt was refused because another has its message (attempts_message). */
static bool is_taken(const struct batch *batch, const struct pg_reply *reply)
{
    const struct delivery *d = batch->delivery_count > 0 ? batch->deliveries[0] : NULL;

    return d != NULL && kind_of(d) == KIND_ATTEMPT && d->verdict.message_sid[0] != '\0' &&
           strcmp(reply->sqlstate, "23505") == 0;
}

/*
 * Twilio's own answer beats what a lookup found. But if the other attempt got the same SID in an
 * answer, then one of the two answers is not to be believed: it is looked up.
 */
static void settle_taken(struct batch *batch)
{
    struct delivery *delivery = batch->deliveries[0];

    log_warn("Twilio's answer names a message that another attempt has",
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
    struct evidence *evidence = batch->evidence;
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

static void reclaim_statement(struct pg_unit *unit, const struct delivery *delivery)
{
    pg_unit_statement(unit, sql_evidence_reclaim);
    pg_unit_text(unit, delivery->verdict.message_sid);
    pg_unit_text(unit, delivery->destination_id);
    pg_unit_int8(unit, delivery->id);
    pg_unit_int8(unit, delivery->attempt);
}

/* The statements about deliveries, between those about pacing. */
static void delivery_statements(struct pg_unit *unit, struct batch *batch)
{
    batch->places = (struct places){-1, -1};
    if (batch->reclaims)
        reclaim_statement(unit, batch->deliveries[0]);
    if (rows_statement(unit, batch, KIND_ATTEMPT, sql_evidence_attempts, attempt_types,
                       ATTEMPT_COLUMNS, add_attempt)) {
        pg_unit_text(unit, batch->evidence->options.worker);
        pg_unit_int8(unit, batch->evidence->options.reconcile_delay);
        batch->places.attempts = pg_unit_statements(unit) - 1;
    }
    if (rows_statement(unit, batch, KIND_RESOLUTION, sql_evidence_resolve, resolution_types,
                       RESOLUTION_COLUMNS, add_resolution))
        batch->places.resolutions = pg_unit_statements(unit) - 1;
    rows_statement(unit, batch, KIND_RELEASE, sql_evidence_release, release_types, RELEASE_COLUMNS,
                   add_release);
}

static void batch_send(struct batch *batch)
{
    struct pg_unit *unit = pg_unit_new(batch_done, batch);

    lock_statement(unit, batch);
    if (batch->slot_count > 0)
        slots_statement(unit, batch);
    delivery_statements(unit, batch);
    wake_statement(unit, batch);
    batch->evidence->busy = true;
    pg_submit(batch->evidence->options.pg, unit);
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
    evidence->pending++;
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
    outcome_metrics[delivery->verdict.outcome].value++;
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
    for (size_t i = 0; i < sizeof outcome_metrics / sizeof outcome_metrics[0]; i++)
        metrics_register(&outcome_metrics[i]);
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
