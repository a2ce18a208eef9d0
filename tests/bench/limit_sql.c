/*
 * The worker's statements, in its batches and on its three connections, without a worker: nothing
 * is sent, no slot is waited for (spacing and start window are 0), results count as published at
 * once. Everything that knows the statements' parameters is in the part "statements".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/pg.h"
#include "limits.h"
#include "sql.h"
#include "worker/delivery.h"
#include "worker/limits.h"
#include "worker/pace.h"

#define INTAKE_BATCH 500
#define CLAIM_BATCH  200
/* Batches of claimed deliveries in a process' hands; more wait in the database. */
#define LIVE_BATCHES 4
/* Deliveries that a process keeps waiting in the database, by taking in more when they are fewer.
 */
#define WAITING_MIN 4000
/* A claim that found nothing comes again after this long. */
#define EMPTY_PAUSE_US 2000

#define LEASE (90 * CLOCK_SECOND)

static const char *const message = "Your order has left our house and will be with you tomorrow.";
static const char *const request =
    "{\"method\": \"POST\", \"url\": \"http://127.0.0.1:8080/2010-04-01/Accounts/"
    "AC0123456789abcdef0123456789abcdef/Messages.json\", \"parameters\": {\"To\": "
    "\"+15551000000\", "
    "\"From\": \"+15550001111\", \"Body\": \"width-0000000: Your order has left our house and will "
    "be with you tomorrow.\", \"MediaUrl\": [\"https://demo.twilio.com/owl.png\"]}}";
static const char *const response_headers =
    "{\"content-type\": \"application/json\", \"twilio-concurrent-requests\": \"1\", "
    "\"twilio-request-id\": \"RQ0123456789abcdef0123456789abcdef\", "
    "\"twilio-request-duration\": \"0.100\"}";
static const char *const response_body =
    "{\"account_sid\":\"AC0123456789abcdef0123456789abcdef\",\"api_version\":\"2010-04-01\","
    "\"body\":"
    "\"width-0000000: Your order has left our house and will be with you "
    "tomorrow.\",\"date_created\":"
    "\"Sat, 31 Jan 2026 12:00:00 +0000\",\"date_sent\":null,\"date_updated\":\"Sat, 31 Jan 2026 "
    "12:00:00 +0000\",\"direction\":\"outbound-api\",\"error_code\":null,\"error_message\":null,"
    "\"from\":\"+15550001111\",\"messaging_service_sid\":null,\"num_media\":\"1\",\"num_segments\":"
    "\"1\",\"price\":null,\"price_unit\":\"USD\",\"sid\":\"MM0123456789abcdef0123456789abcdef\","
    "\"status\":\"queued\",\"subresource_uris\":{\"media\":\"/2010-04-01/Accounts/"
    "AC0123456789abcdef"
    "0123456789abcdef/Messages/MM0123456789abcdef0123456789abcdef/Media.json\"},\"to\":"
    "\"+15551000000\",\"uri\":\"/2010-04-01/Accounts/AC0123456789abcdef0123456789abcdef/Messages/"
    "MM0123456789abcdef0123456789abcdef.json\"}";
static const char *const timing =
    "{\"lookup\": 21, \"connect\": 0, \"tls\": 0, \"first_byte\": 100843, \"total\": 100871, "
    "\"new_connection\": false}";

struct claimed {
    char *destination_id;
    int64_t id;
    int32_t attempt;
    int64_t slot_at, lease_until, reserved_until;
    unsigned char result_id[16];
};

/* Deliveries that were claimed together. */
struct batch {
    struct side *side;
    struct claimed *rows;
    int count;
};

/* What one worker would be. */
struct side {
    const struct sql_limit *limit;
    int number;
    char name[64];
    atomic_ullong *done;
    struct event_base *base;
    struct pg *intake, *pacer, *evidence;
    struct event *claim_timer;
    bool taking_in, claiming;
    int live;              /* batches in hand */
    struct batch *started; /* claimed last; its attempts are stored with the next one's slots */
    uint64_t serial;       /* of the next event */
    uint64_t taken;
};

static void take_in(struct side *side);
static void claim(struct side *side);

/* ---- statements ---- */

static void arrays_init(struct pg_array *arrays, const enum pg_type *types, size_t count)
{
    for (size_t i = 0; i < count; i++)
        pg_array_init(&arrays[i], types[i]);
}

static void add_event(struct pg_array *a, struct side *side)
{
    /* Neighbours are far apart, as events of many destinations are. */
    int destination = (int)((side->serial * 7919 + (uint64_t)side->number * 104729) %
                            (uint64_t)side->limit->destinations);
    char event_id[64], destination_id[32], event[512];

    snprintf(event_id, sizeof event_id, "limit-%d-%llu", side->number,
             (unsigned long long)side->serial);
    snprintf(destination_id, sizeof destination_id, "des_%05d", destination);
    snprintf(event, sizeof event,
             "{\"event_id\": \"%s\", \"destination_id\": \"%s\", \"connection_id\": \"con_bench\", "
             "\"occurred_at\": \"2026-01-31T12:00:00Z\", \"payload\": {\"message\": \"%s\", "
             "\"order\": 4711}}",
             event_id, destination_id, message);
    pg_array_add_text(a++, event_id);
    pg_array_add_text(a++, destination_id);
    pg_array_add_text(a++, "con_bench");
    pg_array_add_text(a++, event);
    pg_array_add_bytes(a++, event_id, strlen(event_id));
    pg_array_add_null(a++);
    pg_array_add_null(a++);
    pg_array_add_text(a++, "mms.events");
    pg_array_add_int4(a++, side->number);
    pg_array_add_int8(a++, (int64_t)side->serial++);
}

static void intake_statements(struct pg_unit *unit, struct side *side)
{
    static const enum pg_type types[] = {PG_TEXT, PG_TEXT, PG_TEXT, PG_JSON, PG_BYTEA,
                                         PG_TEXT, PG_TEXT, PG_TEXT, PG_INT4, PG_INT8};
    struct pg_array a[sizeof types / sizeof types[0]];

    arrays_init(a, types, sizeof types / sizeof types[0]);
    for (int i = 0; i < INTAKE_BATCH; i++)
        add_event(a, side);
    pg_unit_statement(unit, sql_intake);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        pg_unit_array(unit, &a[i]);
    pg_unit_text(unit, side->name);
    pg_unit_statement(unit, sql_intake_lock);
    pg_unit_array(unit, &a[1]);
    pg_unit_statement(unit, sql_intake_wake);
    pg_unit_array(unit, &a[1]);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        pg_array_release(&a[i]);
}

static void claim_statements(struct pg_unit *unit, const struct side *side)
{
    pg_unit_statement(unit, sql_claim_lock);
    pg_unit_int8(unit, PACE_LOOK_AHEAD);
    pg_unit_int8(unit, CLAIM_BATCH);
    pg_unit_text(unit, "-infinity"); /* nothing is due before */
    pg_unit_statement(unit, sql_claim);
    pg_unit_int8(unit, PACE_LOOK_AHEAD);
    pg_unit_int8(unit, LEASE);
    pg_unit_int8(unit, 0); /* spacing */
    pg_unit_int8(unit, 0); /* start window */
    pg_unit_text(unit, side->name);
    pg_unit_int8(unit, 0);                                  /* from pending_from on */
    pg_unit_text(unit, "00000000000000000000000000000000"); /* the claim's id */
    pg_unit_int8(unit, LIMIT_CLAIM_BYTES);
    pg_unit_int8(unit, LIMIT_CONFIG_BYTES);
    pg_unit_int8(unit, INT32_MAX);
    pg_unit_statement(unit, sql_claim_next);
    pg_unit_text(unit, "-infinity");
}

/* Takes over what claim.sql returned, by its columns' names. */
static void read_claimed(struct claimed *claimed, const PGresult *rows, int row)
{
    claimed->destination_id = mem_strdup(pg_text(rows, row, PQfnumber(rows, "destination_id")));
    claimed->id = pg_int8(rows, row, PQfnumber(rows, "id"));
    claimed->attempt = pg_int4(rows, row, PQfnumber(rows, "attempts"));
    claimed->slot_at = pg_time(rows, row, PQfnumber(rows, "slot_at"));
    claimed->lease_until = pg_time(rows, row, PQfnumber(rows, "lease_until"));
    claimed->reserved_until = pg_time(rows, row, PQfnumber(rows, "reserved_until"));
    delivery_random_id(claimed->result_id);
}

static void lock_statement(struct pg_unit *unit, const struct batch *slots)
{
    struct pg_array ids;

    pg_array_init(&ids, PG_TEXT);
    for (int i = 0; i < slots->count; i++)
        pg_array_add_text(&ids, slots->rows[i].destination_id);
    pg_unit_statement(unit, sql_pacing_lock);
    pg_unit_arrays(unit, &ids, 1);
}

static void slots_statement(struct pg_unit *unit, const struct batch *batch)
{
    static const enum pg_type types[] = {PG_TEXT, PG_TIMESTAMPTZ, PG_TIMESTAMPTZ};
    struct pg_array a[sizeof types / sizeof types[0]];

    arrays_init(a, types, sizeof types / sizeof types[0]);
    for (int i = 0; i < batch->count; i++) {
        pg_array_add_text(&a[0], batch->rows[i].destination_id);
        pg_array_add_time(&a[1], batch->rows[i].reserved_until);
        pg_array_add_time(&a[2], batch->rows[i].slot_at);
    }
    pg_unit_statement(unit, sql_evidence_slots);
    pg_unit_arrays(unit, a, sizeof types / sizeof types[0]);
}

/* Each message has a SID of its own. */
static void add_sid(struct pg_array *array, const struct claimed *claimed)
{
    char sid[35] = "MM";

    for (size_t i = 0; i < 16; i++)
        snprintf(sid + 2 + 2 * i, 3, "%02x", claimed->result_id[i]);
    pg_array_add_text(array, sid);
}

static void add_attempt(struct pg_array *a, const struct claimed *claimed)
{
    pg_array_add_text(a++, claimed->destination_id);
    pg_array_add_int8(a++, claimed->id);
    pg_array_add_int4(a++, claimed->attempt);
    pg_array_add_time(a++, claimed->lease_until);
    pg_array_add_uuid(a++, claimed->result_id);
    pg_array_add_text(a++, "accepted");
    pg_array_add_null(a++); /* reason */
    pg_array_add_text(a++, "accepted");
    pg_array_add_int4(a++, 1); /* budget_spent */
    pg_array_add_time(a++, claimed->slot_at);
    pg_array_add_time(a++, claimed->slot_at);                  /* started_at */
    pg_array_add_time(a++, claimed->slot_at + 100 * CLOCK_MS); /* finished_at */
    pg_array_add_null(a++);                                    /* next_attempt_at */
    pg_array_add_text(a++, request);
    pg_array_add_int4(a++, 201);
    pg_array_add_text(a++, response_headers);
    pg_array_add_text(a++, response_body);
    add_sid(a++, claimed);
    pg_array_add_text(a++, "queued");
    pg_array_add_null(a++); /* error_code */
    pg_array_add_null(a++); /* error_message */
    pg_array_add_text(a++, timing);
    pg_array_add_int4(a++, 0); /* keeps its place */
    pg_array_add_null(a++);    /* advice */
    pg_array_add_int4(a++, 0); /* as SMS */
}

static void attempts_statement(struct pg_unit *unit, const struct batch *batch)
{
    static const enum pg_type types[] = {
        PG_TEXT, PG_INT8, PG_INT4,        PG_TIMESTAMPTZ, PG_UUID,        PG_TEXT,        PG_TEXT,
        PG_TEXT, PG_INT4, PG_TIMESTAMPTZ, PG_TIMESTAMPTZ, PG_TIMESTAMPTZ, PG_TIMESTAMPTZ, PG_JSON,
        PG_INT4, PG_JSON, PG_TEXT,        PG_TEXT,        PG_TEXT,        PG_INT4,        PG_TEXT,
        PG_JSON, PG_INT4, PG_TEXT,        PG_INT4,
    };
    struct pg_array a[sizeof types / sizeof types[0]];

    arrays_init(a, types, sizeof types / sizeof types[0]);
    for (int i = 0; i < batch->count; i++)
        add_attempt(a, &batch->rows[i]);
    pg_unit_statement(unit, sql_evidence_attempts);
    pg_unit_arrays(unit, a, sizeof types / sizeof types[0]);
    pg_unit_text(unit, batch->side->name);
    pg_unit_int8(unit, CLOCK_SECOND); /* reconcile delay */
    pg_unit_int8(unit, CLOCK_SECOND); /* delay of polls */
}

static void marks_statements(struct pg_unit *unit, const struct batch *batch)
{
    static const enum pg_type types[] = {PG_TEXT, PG_INT8, PG_INT4, PG_UUID};
    struct pg_array a[sizeof types / sizeof types[0]];

    arrays_init(a, types, sizeof types / sizeof types[0]);
    for (int i = 0; i < batch->count; i++) {
        pg_array_add_text(&a[0], batch->rows[i].destination_id);
        pg_array_add_int8(&a[1], batch->rows[i].id);
        pg_array_add_int4(&a[2], batch->rows[i].attempt);
        pg_array_add_uuid(&a[3], batch->rows[i].result_id);
    }
    pg_unit_statement(unit, sql_published_attempts);
    pg_unit_arrays(unit, a, sizeof types / sizeof types[0]);
}

/* ---- the round of a delivery ---- */

static void check(const struct pg_reply *reply, const char *what)
{
    if (reply->status != PG_OK)
        limits_fail(what, reply->message);
}

static enum pg_next intake_done(void *arg, const struct pg_reply *reply)
{
    struct side *side = arg;

    check(reply, "intake");
    side->taking_in = false;
    side->taken += INTAKE_BATCH;
    take_in(side);
    return PG_FINISHED;
}

static void take_in(struct side *side)
{
    struct pg_unit *unit;

    if (!side->limit->intake || side->taking_in ||
        side->taken > atomic_load(side->done) + WAITING_MIN)
        return;
    side->taking_in = true;
    unit = pg_unit_new(intake_done, side);
    intake_statements(unit, side);
    pg_submit(side->intake, unit);
}

static void batch_free(struct batch *batch)
{
    for (int i = 0; i < batch->count; i++)
        free(batch->rows[i].destination_id);
    free(batch->rows);
    free(batch);
}

static enum pg_next marks_done(void *arg, const struct pg_reply *reply)
{
    struct batch *batch = arg;
    struct side *side = batch->side;

    check(reply, "marks");
    atomic_fetch_add(side->done, (unsigned long long)batch->count);
    side->live--;
    batch_free(batch);
    take_in(side);
    claim(side);
    return PG_FINISHED;
}

static enum pg_next evidence_done(void *arg, const struct pg_reply *reply)
{
    struct batch *batch = arg;
    struct pg_unit *unit;

    check(reply, "evidence");
    if (batch == NULL)
        return PG_FINISHED; /* the first batch's slots, with nobody's attempts */
    unit = pg_unit_new(marks_done, batch);
    marks_statements(unit, batch);
    pg_submit(batch->side->evidence, unit);
    return PG_FINISHED;
}

/* The slots of a batch that has just started, and the attempts of the one before. */
static void store_evidence(struct side *side, struct batch *batch)
{
    struct pg_unit *unit = pg_unit_new(evidence_done, side->started);

    lock_statement(unit, batch);
    slots_statement(unit, batch);
    if (side->started != NULL)
        attempts_statement(unit, side->started);
    side->started = batch;
    pg_submit(side->evidence, unit);
}

static enum pg_next claim_done(void *arg, const struct pg_reply *reply)
{
    static const struct timeval pause = {.tv_usec = EMPTY_PAUSE_US};
    struct side *side = arg;
    const PGresult *rows;
    struct batch *batch;

    check(reply, "claim");
    side->claiming = false;
    rows = reply->results[1];
    if (PQntuples(rows) == 0) {
        event_add(side->claim_timer, &pause);
        return PG_FINISHED;
    }
    batch = mem_zalloc(sizeof *batch);
    batch->side = side;
    batch->count = PQntuples(rows);
    batch->rows = mem_zalloc((size_t)batch->count * sizeof batch->rows[0]);
    for (int i = 0; i < batch->count; i++)
        read_claimed(&batch->rows[i], rows, i);
    side->live++;
    store_evidence(side, batch);
    claim(side);
    return PG_FINISHED;
}

static void claim(struct side *side)
{
    struct pg_unit *unit;

    if (side->claiming || side->live >= LIVE_BATCHES)
        return;
    side->claiming = true;
    unit = pg_unit_new(claim_done, side);
    claim_statements(unit, side);
    pg_submit(side->pacer, unit);
}

static void on_claim_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    claim(arg);
}

/* ---- a process ---- */

static void on_changed(void *arg, struct pg *pg, const char *reason)
{
    (void)arg;
    (void)pg;
    if (reason != NULL)
        limits_fail("PostgreSQL", reason);
}

static struct pg *connect_as(struct side *side, const char *room)
{
    const struct pg_options options = {
        .conninfo = side->limit->conninfo, .name = room, .changed = on_changed, .arg = side};

    return pg_open(side->base, &options);
}

static void cycle_for_ever(const void *arg, int process, atomic_ullong *done)
{
    struct side side = {.limit = arg, .number = process, .done = done};

    snprintf(side.name, sizeof side.name, "limits-%d", (int)getpid());
    side.base = event_base_new();
    side.claim_timer = evtimer_new(side.base, on_claim_timer, &side);
    side.intake = connect_as(&side, "limits intake");
    side.pacer = connect_as(&side, "limits pacer");
    side.evidence = connect_as(&side, "limits evidence");
    take_in(&side);
    claim(&side);
    event_base_dispatch(side.base);
}

double sql_limit(const struct limits_rounds *rounds, const struct sql_limit *limit)
{
    return limits_measure(rounds, cycle_for_ever, limit);
}
