#include "worker/batch.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "sql.h"

enum batch_kind batch_kind_of(const struct delivery *delivery)
{
    if (delivery->state == NULL)
        return BATCH_RELEASE;
    return delivery->resolution != NULL ? BATCH_RESOLUTION : BATCH_ATTEMPT;
}

/* ---- batches ---- */

struct batch *batch_new(void *room)
{
    struct batch *batch = mem_zalloc(sizeof *batch);

    batch->room = room;
    return batch;
}

void batch_free(struct batch *batch)
{
    for (size_t i = 0; i < batch->slot_count; i++)
        free(batch->slots[i].destination_id);
    free(batch->slots);
    free(batch->deliveries);
    free(batch);
}

void batch_add(struct batch *batch, struct delivery *delivery)
{
    if (batch->delivery_count == batch->delivery_capacity) {
        batch->delivery_capacity = batch->delivery_capacity > 0 ? batch->delivery_capacity * 2 : 32;
        batch->deliveries =
            mem_realloc(batch->deliveries, batch->delivery_capacity * sizeof *batch->deliveries);
    }
    batch->deliveries[batch->delivery_count++] = delivery;
}

void batch_add_slot(struct batch *batch, const struct slot_move *move)
{
    if (batch->slot_count == batch->slot_capacity) {
        batch->slot_capacity = batch->slot_capacity > 0 ? batch->slot_capacity * 2 : 32;
        batch->slots = mem_realloc(batch->slots, batch->slot_capacity * sizeof *batch->slots);
    }
    batch->slots[batch->slot_count++] = *move;
}

/* ---- statements ---- */

int64_t batch_wake_at(const struct delivery *delivery)
{
    if (batch_kind_of(delivery) == BATCH_RELEASE)
        return delivery->slot_at;
    return strcmp(delivery->state, "pending") == 0 ? delivery->next_attempt_at : 0;
}

/* Whether it is tried to see if its destination's trouble is over: nothing else is, meanwhile. */
static bool is_probe(const struct delivery *delivery)
{
    return batch_kind_of(delivery) != BATCH_RESOLUTION && delivery->trouble > 0;
}

/* Whether its destination's pacing changes because of this delivery. */
static bool is_wake(const struct delivery *delivery)
{
    return batch_wake_at(delivery) != 0 || delivery->parked_until != 0 || delivery->well ||
           is_probe(delivery);
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
    PG_TEXT, PG_INT8, PG_INT4,        PG_TIMESTAMPTZ, PG_UUID,        PG_TEXT,        PG_TEXT,
    PG_TEXT, PG_INT4, PG_TIMESTAMPTZ, PG_TIMESTAMPTZ, PG_TIMESTAMPTZ, PG_TIMESTAMPTZ, PG_JSON,
    PG_INT4, PG_JSON, PG_TEXT,        PG_TEXT,        PG_TEXT,        PG_INT4,        PG_TEXT,
    PG_JSON, PG_INT4, PG_TEXT,        PG_INT4,
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
    pg_array_add_text(a++, v->advice);
    pg_array_add_int4(a++, d->falls_back);
}

/* The columns of evidence_resolve.sql, in its order. */
static const enum pg_type resolution_types[] = {
    PG_TEXT, PG_INT8,        PG_INT4,        PG_TIMESTAMPTZ, PG_UUID, PG_TEXT, PG_TEXT, PG_TEXT,
    PG_INT4, PG_TIMESTAMPTZ, PG_TIMESTAMPTZ, PG_TEXT,        PG_TEXT, PG_TEXT, PG_TEXT, PG_TEXT,
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
    pg_array_add_text(a++, v->advice);
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

/* A statement with a row for each delivery that `is` says; false if there is none. */
static bool rows_statement(struct pg_unit *unit, const struct batch *batch,
                           bool (*is)(const struct delivery *d), const char *sql,
                           const enum pg_type *types, size_t columns,
                           void (*add)(struct pg_array *a, const struct delivery *d))
{
    struct pg_array a[ATTEMPT_COLUMNS]; /* the widest */
    size_t count = 0;

    for (size_t i = 0; i < columns; i++)
        pg_array_init(&a[i], types[i]);
    for (size_t i = 0; i < batch->delivery_count; i++) {
        if (is(batch->deliveries[i])) {
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

/* The columns of evidence_wake.sql, in its order. */
static const enum pg_type wake_types[] = {
    PG_TEXT, PG_TIMESTAMPTZ, PG_TIMESTAMPTZ, PG_TEXT, PG_INT4, PG_TIMESTAMPTZ, PG_INT4,
};

#define WAKE_COLUMNS (sizeof wake_types / sizeof wake_types[0])

static void add_wake(struct pg_array *a, const struct delivery *d)
{
    pg_array_add_text(a++, d->destination_id);
    pg_array_add_time(a++, batch_wake_at(d));
    pg_array_add_time(a++, d->parked_until);
    pg_array_add_text(a++, d->parked_until != 0 ? d->verdict.reason : NULL);
    pg_array_add_int4(a++, d->well);
    pg_array_add_time(a++, d->config_of);
    pg_array_add_int4(a++, is_probe(d) ? d->trouble : 0);
}

static void reclaim_statement(struct pg_unit *unit, const struct delivery *delivery)
{
    pg_unit_statement(unit, sql_evidence_reclaim);
    pg_unit_text(unit, delivery->verdict.message_sid);
    pg_unit_text(unit, delivery->destination_id);
    pg_unit_int8(unit, delivery->id);
    pg_unit_int8(unit, delivery->attempt);
}

static bool is_attempt(const struct delivery *delivery)
{
    return batch_kind_of(delivery) == BATCH_ATTEMPT;
}

static bool is_resolution(const struct delivery *delivery)
{
    return batch_kind_of(delivery) == BATCH_RESOLUTION;
}

static bool is_release(const struct delivery *delivery)
{
    return batch_kind_of(delivery) == BATCH_RELEASE;
}

/* The statements about deliveries, between those about pacing. */
static void delivery_statements(struct batch *batch, const struct batch_options *options,
                                struct pg_unit *unit)
{
    batch->attempts_at = batch->resolutions_at = -1;
    if (batch->reclaims)
        reclaim_statement(unit, batch->deliveries[0]);
    if (rows_statement(unit, batch, is_attempt, sql_evidence_attempts, attempt_types,
                       ATTEMPT_COLUMNS, add_attempt)) {
        pg_unit_text(unit, options->worker);
        pg_unit_int8(unit, options->reconcile_delay);
        pg_unit_int8(unit, options->poll_delay);
        batch->attempts_at = pg_unit_statements(unit) - 1;
    }
    if (rows_statement(unit, batch, is_resolution, sql_evidence_resolve, resolution_types,
                       RESOLUTION_COLUMNS, add_resolution)) {
        pg_unit_int8(unit, options->poll_delay);
        batch->resolutions_at = pg_unit_statements(unit) - 1;
    }
    rows_statement(unit, batch, is_release, sql_evidence_release, release_types, RELEASE_COLUMNS,
                   add_release);
}

void batch_statements(struct batch *batch, const struct batch_options *options,
                      struct pg_unit *unit)
{
    lock_statement(unit, batch);
    if (batch->slot_count > 0)
        slots_statement(unit, batch);
    delivery_statements(batch, options, unit);
    rows_statement(unit, batch, is_wake, sql_evidence_wake, wake_types, WAKE_COLUMNS, add_wake);
}
