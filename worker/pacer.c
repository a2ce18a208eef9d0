#include "worker/pacer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/backoff.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "sql.h"
#include "worker/attempt_log.h"
#include "worker/limits.h"
#include "worker/opt_outs.h"
#include "worker/pace.h"

/*
 * With nothing known to be due, a poll asks for the clock and for what is due first: one cheap
 * statement, that finds what other workers left.
 */
#define POLL_INTERVAL CLOCK_SECOND
/*
 * Claims look only at what is due from the last known first moment on: whatever was due before is
 * gone, and walking through it costs, while a long transaction keeps PostgreSQL from cleaning up. A
 * wake-up may become visible later than it says, when its commit is slow; what exceeds this
 * allowance is found by a look at everything, every so often.
 */
#define FLOOR_ALLOWANCE     (3 * CLOCK_SECOND)
#define WHOLE_LOOK_INTERVAL (10 * CLOCK_SECOND)

/*
 * Claims follow each other no faster, so that each finds a batch worth its round trip. When the
 * database is busy they take longer; then a pause follows, as long but bounded, and batches grow.
 */
#define CLAIM_INTERVAL  (10 * CLOCK_MS)
#define CLAIM_PAUSE_MAX (100 * CLOCK_MS)

/* A claimed delivery that waits here for its slot. */
struct waiting {
    struct pacer *pacer;
    struct delivery *delivery;
    struct event *timer;
    struct waiting *prev, *next;
};

struct pacer {
    struct pacer_options options;
    struct event *timer; /* the next claim */
    int64_t timer_at;    /* monotonic; CLOCK_FOREVER: not armed */
    bool poll;           /* the timer is for a poll only */
    bool claiming;       /* a claim or a poll is on its way */
    int64_t again_at;    /* asked for while claiming; CLOCK_FOREVER: not */
    bool held, stopped;
    int claim_max;
    int64_t next_claim;    /* monotonic: no claim before this */
    int64_t floor;         /* nothing is due before this (database clock) */
    int64_t whole_look_at; /* monotonic: when that is not to be relied on again */
    struct waiting *waiting;
    int live;
    size_t live_bytes;  /* of their requests */
    int64_t rest_until; /* monotonic: large events are left alone */
    char claim_id[33];  /* the claim that is on its way */
    int undoing;        /* claims whose answer was lost */
};

static struct metric claims_metric = {.name = "mms_claims_total",
                                      .type = "counter",
                                      .help = "Claims made (queries for deliveries that are due)"};
static struct metric claimed_metric = {
    .name = "mms_claimed_deliveries_total", .type = "counter", .help = "Deliveries claimed"};
static struct metric polls_metric = {.name = "mms_polls_total",
                                     .type = "counter",
                                     .help = "Polls made (queries for whether anything is due)"};
static struct metric live_metric = {
    .name = "mms_live_deliveries", .type = "gauge", .help = "Deliveries in this worker's hands"};

static void claim(struct pacer *pacer);
static void poll_due(struct pacer *pacer);

/* ---- when to claim ---- */

static void arm_at(struct pacer *pacer, int64_t at)
{
    int64_t delay = at - clock_now();
    struct timeval tv;

    if (delay < 0)
        delay = 0;
    tv = (struct timeval){.tv_sec = delay / CLOCK_SECOND, .tv_usec = delay % CLOCK_SECOND};
    pacer->timer_at = at;
    event_add(pacer->timer, &tv);
}

static void claim_by(struct pacer *pacer, int64_t at, bool poll)
{
    if (!pacer->stopped && !pacer->claiming && at < pacer->timer_at) {
        pacer->poll = poll;
        arm_at(pacer, at);
    }
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct pacer *pacer = arg;

    (void)fd;
    (void)what;
    pacer->timer_at = CLOCK_FOREVER;
    if (pacer->poll || pacer->held)
        poll_due(pacer);
    else
        claim(pacer);
}

/* The next claim is made at `at` (monotonic) or before, but not right behind the last one. */
static void claim_soon(struct pacer *pacer, int64_t at)
{
    if (pacer->held)
        return; /* who ends that kicks */
    if (pacer->claiming)
        pacer->again_at = at < pacer->again_at ? at : pacer->again_at;
    else
        claim_by(pacer, at > pacer->next_claim ? at : pacer->next_claim, false);
}

void pacer_kick(struct pacer *pacer)
{
    claim_soon(pacer, clock_now());
}

void pacer_due(struct pacer *pacer, int64_t at)
{
    claim_soon(pacer, db_clock_when(pacer->options.clock, at) - PACE_LOOK_AHEAD);
}

/* How many deliveries more this worker may have in its hands. */
static int room(const struct pacer *pacer)
{
    return pacer->live_bytes < LIMIT_LIVE_BYTES ? LIMIT_LIVE - pacer->live : 0;
}

/* After a query: when the next one is worth making. `next_due` INT64_MAX: nothing is due, ever. */
static void plan(struct pacer *pacer, int64_t next_due)
{
    int64_t now = clock_now();
    int64_t poll_at = now + POLL_INTERVAL + backoff_jitter(POLL_INTERVAL / 10);
    int64_t at = next_due == INT64_MAX
                     ? CLOCK_FOREVER
                     : db_clock_when(pacer->options.clock, next_due) - PACE_LOOK_AHEAD;

    if (pacer->again_at < at)
        at = pacer->again_at;
    pacer->again_at = CLOCK_FOREVER;
    if (at < pacer->next_claim)
        at = pacer->next_claim;
    /* With no room, who leaves kicks. */
    if (at < poll_at && room(pacer) > 0 && !pacer->held)
        claim_by(pacer, at, false);
    else
        claim_by(pacer, poll_at, true);
}

/* ---- a slot's moment ---- */

static void waiting_remove(struct waiting *waiting)
{
    if (waiting->prev != NULL)
        waiting->prev->next = waiting->next;
    else
        waiting->pacer->waiting = waiting->next;
    if (waiting->next != NULL)
        waiting->next->prev = waiting->prev;
    event_free(waiting->timer);
    free(waiting);
}

/* Arms the timer for the slot; false if it has come. */
static bool wait_for_slot(struct waiting *waiting)
{
    const struct pacer *pacer = waiting->pacer;
    int64_t delay = db_clock_when(pacer->options.clock, waiting->delivery->slot_at) - clock_now();
    struct timeval tv = {.tv_sec = delay / CLOCK_SECOND, .tv_usec = delay % CLOCK_SECOND};

    if (delay <= 0)
        return false;
    event_add(waiting->timer, &tv);
    return true;
}

static void on_slot(evutil_socket_t fd, short what, void *arg)
{
    struct waiting *waiting = arg;
    struct pacer *pacer = waiting->pacer;
    struct delivery *delivery = waiting->delivery;

    (void)fd;
    (void)what;
    /* Never early: what we know of the database's clock may have changed meanwhile. */
    if (wait_for_slot(waiting))
        return;
    waiting_remove(waiting);
    sender_send(pacer->options.sender, delivery);
}

static void await_slot(struct pacer *pacer, struct delivery *delivery)
{
    struct waiting *waiting = mem_zalloc(sizeof *waiting);

    waiting->pacer = pacer;
    waiting->delivery = delivery;
    waiting->timer = evtimer_new(pacer->options.base, on_slot, waiting);
    waiting->next = pacer->waiting;
    if (pacer->waiting != NULL)
        pacer->waiting->prev = waiting;
    pacer->waiting = waiting;
    if (!wait_for_slot(waiting))
        on_slot(-1, 0, waiting);
}

/* ---- what was claimed ---- */

/* An attempt that ends without a request: its slot is free again, its evidence is written. */
static void refuse(struct pacer *pacer, struct delivery *delivery)
{
    const struct db_clock *clock = pacer->options.clock;
    int64_t now = clock_now();

    delivery->finished_at = db_clock_earliest(clock, now);
    delivery_settle(delivery, db_clock_latest(clock, now));
    attempt_log(delivery, NULL);
    evidence_slot(pacer->options.evidence, delivery->destination_id, delivery->reserved_until,
                  delivery->slot_at);
    evidence_attempt(pacer->options.evidence, delivery);
}

static void release(struct pacer *pacer, struct delivery *delivery)
{
    evidence_release(pacer->options.evidence, delivery);
}

static bool prepare(struct pacer *pacer, struct delivery *delivery, const PGresult *rows, int row)
{
    int64_t begun = clock_now();
    bool ready = prepare_request(&pacer->options.prepare, delivery, rows, row);
    int64_t ended = clock_now();

    if (ended + limit_rest(ended - begun) > pacer->rest_until)
        pacer->rest_until = ended + limit_rest(ended - begun);
    pacer->live_bytes += delivery_bytes(delivery);
    return ready;
}

static void take_claimed(struct pacer *pacer, const PGresult *rows, int row,
                         struct opt_outs_check *check)
{
    struct delivery *delivery = prepare_take(rows, row, &pacer->options.prepare.default_policy);
    int64_t waited =
        db_clock_earliest(pacer->options.clock, clock_now()) - prepare_created_at(rows, row);

    live_metric.value = ++pacer->live;
    claimed_metric.value++;
    if (pacer->stopped || pacer->held) {
        release(pacer, delivery);
    } else if (pacer->options.expire_after > 0 && waited > pacer->options.expire_after) {
        outcome_refuse(&delivery->verdict, OUTCOME_EXPIRED, SCOPE_MESSAGE, "EXPIRED",
                       "waited longer than MMS_EXPIRE_AFTER");
        refuse(pacer, delivery);
    } else if (!prepare(pacer, delivery, rows, row)) {
        refuse(pacer, delivery);
    } else if (prepare_has_opt_outs(rows, row)) {
        opt_outs_add(check, delivery);
    } else {
        await_slot(pacer, delivery);
    }
}

/* What opt_outs found out about a delivery; `since` 0: the recipient has not opted out. */
static void on_checked(void *arg, struct delivery *delivery, int64_t since)
{
    struct pacer *pacer = arg;

    if (pacer->stopped || pacer->held) {
        release(pacer, delivery);
    } else if (since != 0) {
        opt_outs_refuse(&delivery->verdict, since);
        refuse(pacer, delivery);
    } else {
        await_slot(pacer, delivery);
    }
}

/* ---- claiming ---- */

static enum pg_next undone(void *arg, const struct pg_reply *reply)
{
    struct pacer *pacer = arg;

    if (reply->status != PG_OK)
        return PG_REPEAT;
    pacer->undoing--;
    if (pg_int8(reply->results[1], 0, 0) > 0)
        log_warn("undid a claim whose answer was lost",
                 log_int("deliveries", pg_int8(reply->results[1], 0, 0)));
    return PG_FINISHED;
}

/* Its answer was lost: it may have been committed, and then nobody knows of its deliveries. */
static void undo_claim(struct pacer *pacer)
{
    struct pg_unit *unit = pg_unit_new(undone, pacer);

    pg_unit_statement(unit, sql_claim_undo_lock);
    pg_unit_text(unit, pacer->claim_id);
    pg_unit_statement(unit, sql_claim_undo);
    pg_unit_text(unit, pacer->claim_id);
    pg_unit_int8(unit, PACE_SPACING + PACE_START_WINDOW);
    pacer->undoing++;
    pg_submit(pacer->options.pg, unit);
}

static void new_claim_id(struct pacer *pacer)
{
    unsigned char id[16];

    delivery_random_id(id);
    for (size_t i = 0; i < sizeof id; i++)
        snprintf(pacer->claim_id + 2 * i, 3, "%02x", id[i]);
}

static void claim_failed(struct pacer *pacer, const struct pg_reply *reply)
{
    pacer->whole_look_at = 0;
    /* 53200: the lock table is full. */
    if (strcmp(reply->sqlstate, "53200") == 0 && pacer->claim_max > 1)
        pacer->claim_max /= 2;
    /* What is no fault of the claim is on /readyz. */
    log_variadic(reply->transient ? LOG_DEBUG : LOG_WARN, "claim failed, trying again",
                 log_str("error", reply->message), log_int("claim_max", pacer->claim_max), LOG_END);
    claim_by(pacer, clock_now() + POLL_INTERVAL / 2, false);
}

/* What every query ends with: the database's clock, and what is due first, which is returned. */
static int64_t learn(struct pacer *pacer, const struct pg_reply *reply, const PGresult *row)
{
    int64_t now = pg_time(row, 0, 0);
    int64_t next_due = pg_is_null(row, 0, 1) ? INT64_MAX : pg_time(row, 0, 1);

    /* -infinity, by somebody's hand: everything is looked at until it is gone. */
    if (next_due < 0)
        next_due = 0;
    pacer->floor = (next_due < now ? next_due : now) - FLOOR_ALLOWANCE;
    db_clock_sample(pacer->options.clock, now, reply->sent, reply->received);
    if (pacer->options.clock->stepped)
        log_warn("the database's clock jumped; slots follow it");
    return next_due;
}

static void set_next_claim(struct pacer *pacer, const struct pg_reply *reply)
{
    int64_t took = reply->received - reply->sent;
    int64_t pause = took < CLAIM_PAUSE_MAX ? took : CLAIM_PAUSE_MAX;
    int64_t soonest = reply->sent + CLAIM_INTERVAL;

    pacer->next_claim = reply->received + pause > soonest ? reply->received + pause : soonest;
}

static enum pg_next claim_done(void *arg, const struct pg_reply *reply)
{
    struct pacer *pacer = arg;
    const PGresult *rows;
    struct opt_outs_check *check;
    int64_t next_due;

    pacer->claiming = false;
    if (reply->status != PG_OK) {
        if (reply->status == PG_LOST)
            undo_claim(pacer);
        claim_failed(pacer, reply);
        return PG_FINISHED;
    }
    set_next_claim(pacer, reply);
    rows = reply->results[1];
    next_due = learn(pacer, reply, reply->results[2]);
    check = opt_outs_check_new(on_checked, pacer);
    for (int row = 0; row < PQntuples(rows); row++)
        take_claimed(pacer, rows, row, check);
    opt_outs_check(check, pacer->options.pg);
    if (pacer->claim_max < LIMIT_CLAIM)
        pacer->claim_max++;
    plan(pacer, next_due);
    return PG_FINISHED;
}

/*
 * From when on to look for what is due, as the statements want it. Tells whether that is a look at
 * everything.
 */
static const char *look_from(struct pacer *pacer, char text[CLOCK_TEXT_SIZE], bool *ret_whole)
{
    *ret_whole = pacer->floor <= 0 || clock_now() >= pacer->whole_look_at;
    if (!*ret_whole)
        return clock_format(pacer->floor, text);
    pacer->whole_look_at = clock_now() + WHOLE_LOOK_INTERVAL;
    return "-infinity";
}

static void claim(struct pacer *pacer)
{
    int most = room(pacer);
    char floor_text[CLOCK_TEXT_SIZE];
    const char *floor;
    struct pg_unit *unit;
    bool whole;

    if (pacer->stopped || pacer->claiming)
        return;
    if (most > pacer->claim_max)
        most = pacer->claim_max;
    floor = look_from(pacer, floor_text, &whole);
    unit = pg_unit_new(claim_done, pacer);
    pg_unit_statement(unit, sql_claim_lock);
    pg_unit_int8(unit, PACE_LOOK_AHEAD);
    pg_unit_int8(unit, most > 0 ? most : 0);
    pg_unit_text(unit, floor);
    pg_unit_statement(unit, sql_claim);
    pg_unit_int8(unit, PACE_LOOK_AHEAD);
    pg_unit_int8(unit, pacer->options.lease);
    pg_unit_int8(unit, PACE_SPACING);
    pg_unit_int8(unit, PACE_START_WINDOW);
    pg_unit_text(unit, pacer->options.worker);
    pg_unit_int8(unit, whole);
    new_claim_id(pacer);
    pg_unit_text(unit, pacer->claim_id);
    pg_unit_int8(unit, LIMIT_CLAIM_BYTES);
    pg_unit_int8(unit, LIMIT_CONFIG_BYTES);
    pg_unit_int8(unit, clock_now() < pacer->rest_until ? LIMIT_LIGHT_BYTES : INT32_MAX);
    pg_unit_statement(unit, sql_claim_next);
    pg_unit_text(unit, floor);
    pacer->claiming = true;
    claims_metric.value++;
    pg_submit(pacer->options.pg, unit);
}

static enum pg_next poll_done(void *arg, const struct pg_reply *reply)
{
    struct pacer *pacer = arg;

    pacer->claiming = false;
    if (reply->status == PG_OK)
        plan(pacer, learn(pacer, reply, reply->results[0]));
    else
        claim_failed(pacer, reply);
    return PG_FINISHED;
}

static void poll_due(struct pacer *pacer)
{
    char floor[CLOCK_TEXT_SIZE];
    struct pg_unit *unit;
    bool whole;

    if (pacer->stopped || pacer->claiming)
        return;
    unit = pg_unit_new(poll_done, pacer);
    pg_unit_statement(unit, sql_claim_next);
    pg_unit_text(unit, look_from(pacer, floor, &whole));
    pacer->claiming = true;
    polls_metric.value++;
    pg_submit(pacer->options.pg, unit);
}

void pacer_left(struct pacer *pacer, size_t bytes)
{
    bool was_full = room(pacer) <= 0;

    live_metric.value = --pacer->live;
    pacer->live_bytes -= bytes;
    if (was_full && room(pacer) > 0)
        pacer_kick(pacer);
}

static void give_back_waiting(struct pacer *pacer)
{
    while (pacer->waiting != NULL) {
        struct delivery *delivery =
            pacer->waiting->delivery; /* NOLINT(clang-analyzer-unix.Malloc) */

        waiting_remove(pacer->waiting);
        evidence_release(pacer->options.evidence, delivery);
    }
}

void pacer_hold(struct pacer *pacer, bool hold)
{
    pacer->held = hold;
    if (hold)
        give_back_waiting(pacer);
    else
        pacer_kick(pacer);
}

void pacer_stop(struct pacer *pacer)
{
    pacer->stopped = true;
    event_del(pacer->timer);
    give_back_waiting(pacer);
}

int pacer_live(const struct pacer *pacer)
{
    return pacer->live;
}

bool pacer_is_claiming(const struct pacer *pacer)
{
    return pacer->claiming || pacer->undoing > 0;
}

struct pacer *pacer_open(const struct pacer_options *options)
{
    struct pacer *pacer = mem_zalloc(sizeof *pacer);

    pacer->options = *options;
    pacer->claim_max = LIMIT_CLAIM;
    pacer->timer = evtimer_new(options->base, on_timer, pacer);
    pacer->timer_at = CLOCK_FOREVER;
    pacer->again_at = CLOCK_FOREVER;
    metrics_register(&claims_metric);
    metrics_register(&polls_metric);
    metrics_register(&claimed_metric);
    metrics_register(&live_metric);
    pacer_kick(pacer);
    return pacer;
}

void pacer_close(struct pacer *pacer)
{
    if (pacer == NULL)
        return;
    while (pacer->waiting != NULL) {
        delivery_free(pacer->waiting->delivery); /* NOLINT(clang-analyzer-unix.Malloc) */
        waiting_remove(pacer->waiting);
    }
    event_free(pacer->timer);
    free(pacer);
}
