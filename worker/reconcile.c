#include "worker/reconcile.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/backoff.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "sql.h"
#include "worker/inquiry.h"
#include "worker/limits.h"
#include "worker/lookup.h"
#include "worker/pace.h"
#include "worker/question.h"
#include "worker/sweep.h"
#include "worker/verdicts.h"

/* Sweeps come twelve times in the delay, within these bounds: a lookup is late by a twelfth. */
#define SWEEPS_IN_DELAY    12
#define SWEEP_INTERVAL_MIN (500 * CLOCK_MS)
#define SWEEP_INTERVAL_MAX (5 * CLOCK_SECOND)
#define LEASES_MAX         100
/* Attempts taken up at a time, and how many of one destination. */
#define TAKEN_MAX    200
#define TAKEN_OF_ONE 100
/* Lists that are being asked for at a time, each on a connection. */
#define ASKING_MAX 16
/* Taking up an attempt keeps others from it for so long beyond an exchange. */
#define LOOKUP_LEASE (60 * CLOCK_SECOND)
/* What could not be told is asked again after a sixth of the delay, then twice that, … */
#define AGAIN_PART 6
#define AGAIN_MAX  (600 * CLOCK_SECOND)
/* However old it is, it is not given up before so many lookups. */
#define LOOKUPS_MIN 3

/* Questions that wait, or are being asked. */
struct questions {
    struct question *list[TAKEN_MAX];
    int count;
};

struct reconcile {
    struct reconcile_options options;
    struct event *timer;
    int64_t interval; /* of sweeps */
    struct sweep lease_sweep;
    bool sweeping;
    struct question_options question_options;
    struct questions waiting, asking;
    struct pg_array again[6]; /* rows of reconcile_again.sql, gathered */
    bool more;                /* there may be more than was taken up */
    bool stopped;
};

#define LOOKUPS                                     \
    .name = "mms_lookups_total", .type = "counter", \
    .help = "Unknown attempts that were looked up, by finding"

enum finding { FINDING_FOUND, FINDING_ABSENT, FINDING_AGAIN, FINDING_GIVEN_UP };

/* In the order of enum finding. */
static struct metric finding_metrics[] = {
    {LOOKUPS, .labels = {"finding", "found"}},
    {LOOKUPS, .labels = {"finding", "absent"}},
    {LOOKUPS, .labels = {"finding", "undecided"}},
    {LOOKUPS, .labels = {"finding", "given_up"}},
};
static struct metric lost_metric = {.name = "mms_deliveries_taken_over_total",
                                    .type = "counter",
                                    .help =
                                        "Deliveries whose worker was lost; they are unknown then"};

static void arm(struct reconcile *reconcile, int64_t delay)
{
    struct timeval tv = {.tv_sec = delay / CLOCK_SECOND, .tv_usec = delay % CLOCK_SECOND};

    if (!reconcile->stopped)
        event_add(reconcile->timer, &tv);
}

/* The earliest that the database's clock can say now. */
static int64_t db_now(const struct reconcile *reconcile)
{
    return db_clock_earliest(reconcile->options.clock, clock_now());
}

/* ---- what was found out ---- */

/* What the list said of the message, if it is more than that Twilio has it. */
static struct status *status_of(const struct delivery *delivery)
{
    const struct verdict *v = &delivery->verdict;
    struct status *status;

    if (delivery->account_sid == NULL || status_rank(v->message_status) <= status_rank("queued"))
        return NULL;
    status = mem_zalloc(sizeof *status);
    status->destination_id = mem_strdup(delivery->destination_id);
    status->delivery_id = delivery->id;
    status->attempt = delivery->attempt;
    status->source = STATUS_POLL;
    snprintf(status->account_sid, sizeof status->account_sid, "%s", delivery->account_sid);
    snprintf(status->message_sid, sizeof status->message_sid, "%.34s", v->message_sid);
    snprintf(status->name, sizeof status->name, "%s", v->message_status);
    return status;
}

struct status *reconcile_committed(const struct delivery *delivery)
{
    const struct verdict *v = &delivery->verdict;
    enum finding finding = FINDING_ABSENT;

    if (!delivery->stands)
        return NULL;
    if (v->outcome == OUTCOME_ACCEPTED)
        finding = FINDING_FOUND;
    else if (delivery->given_up)
        finding = FINDING_GIVEN_UP;
    finding_metrics[finding].value++;
    log_info("resolved", log_str("event_id", delivery->event_id),
             log_str("destination_id", delivery->destination_id),
             log_int("attempt", delivery->attempt), log_str("outcome", outcome_name(v->outcome)),
             log_str("message_sid", v->message_sid[0] != '\0' ? v->message_sid : NULL),
             log_str("resolution", delivery->resolution));
    return v->outcome == OUTCOME_ACCEPTED ? status_of(delivery) : NULL;
}

static void resolve(struct reconcile *reconcile, struct inquiry *inquiry, enum found found,
                    char *resolution)
{
    struct delivery *delivery = inquiry->delivery;

    delivery->resolution = resolution;
    delivery_resolve(delivery, found, db_clock_latest(reconcile->options.clock, clock_now()));
    inquiry->delivery = NULL;
    evidence_resolution(reconcile->options.evidence, delivery);
}

static void resolve_found(struct reconcile *reconcile, struct inquiry *inquiry,
                          const struct listed *message)
{
    struct verdict *verdict = &inquiry->delivery->verdict;
    char created[CLOCK_TEXT_SIZE];

    inquiry->delivery->account_sid = mem_strdup(inquiry->account_sid);
    snprintf(verdict->message_sid, sizeof verdict->message_sid, "%s", message->sid);
    snprintf(verdict->message_status, sizeof verdict->message_status, "%s", message->status);
    resolve(reconcile, inquiry, FOUND_MESSAGE,
            mem_printf("was unknown (%s); Twilio has the message, made at %s by its clock",
                       inquiry->delivery->was, clock_format(message->created_at, created)));
}

/*
 * A callback has named the attempt and its message: nothing is left to be asked. The statuses that
 * it and others told have results of their own, behind this one.
 */
static void resolve_told(struct reconcile *reconcile, struct inquiry *inquiry)
{
    struct verdict *verdict = &inquiry->delivery->verdict;

    snprintf(verdict->message_sid, sizeof verdict->message_sid, "%s", inquiry->told_sid);
    inquiry->delivery->told = true;
    resolve(reconcile, inquiry, FOUND_MESSAGE,
            mem_printf("was unknown (%s); Twilio's status callback named its message",
                       inquiry->delivery->was));
}

static void resolve_absent(struct reconcile *reconcile, struct inquiry *inquiry)
{
    int64_t after = (db_now(reconcile) - inquiry->ended) / CLOCK_SECOND;

    resolve(reconcile, inquiry, FOUND_NOTHING,
            mem_printf("was unknown (%s); Twilio did not have the message %lld s after",
                       inquiry->delivery->was, (long long)after));
}

/* After a pause that grows. */
static int64_t again_at(const struct reconcile *reconcile, const struct inquiry *inquiry)
{
    int64_t pause = backoff_exponential(reconcile->options.delay / AGAIN_PART, AGAIN_MAX,
                                        inquiry->lookups > 1 ? (unsigned)inquiry->lookups - 1 : 0);

    return db_now(reconcile) + pause + backoff_jitter(pause / 4);
}

/* Gives the lookup up until `at`; `why` goes into the evidence, NULL leaves that as it is. */
static void ask_again(struct reconcile *reconcile, const struct inquiry *inquiry, int64_t at,
                      const char *why)
{
    const struct delivery *d = inquiry->delivery;
    struct pg_array *a = reconcile->again;

    pg_array_add_text(a++, d->destination_id);
    pg_array_add_int8(a++, d->id);
    pg_array_add_int4(a++, d->attempt);
    pg_array_add_time(a++, d->lookup_lease);
    pg_array_add_time(a++, at);
    pg_array_add_text(a++, why);
}

static void again_init(struct reconcile *reconcile)
{
    static const enum pg_type types[] = {PG_TEXT,        PG_INT8,        PG_INT4,
                                         PG_TIMESTAMPTZ, PG_TIMESTAMPTZ, PG_TEXT};

    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        pg_array_init(&reconcile->again[i], types[i]);
}

static enum pg_next put_off_done(void *arg, const struct pg_reply *reply)
{
    (void)arg;
    (void)reply; /* if it failed, the lookup's lease runs out */
    return PG_FINISHED;
}

/* Writes what was gathered by ask_again(). */
static void put_off(struct reconcile *reconcile)
{
    struct pg_unit *unit;

    if (reconcile->again[0].count == 0)
        return;
    unit = pg_unit_new(put_off_done, NULL);
    pg_unit_statement(unit, sql_reconcile_again);
    pg_unit_arrays(unit, reconcile->again, sizeof reconcile->again / sizeof reconcile->again[0]);
    again_init(reconcile);
    pg_submit(reconcile->options.pg, unit);
}

/* Somebody who sets a limit below the delay wants all of it left to people. */
static bool is_switched_off(const struct reconcile *reconcile)
{
    return reconcile->options.limit < reconcile->options.delay;
}

static bool is_time_up(const struct reconcile *reconcile, const struct inquiry *inquiry)
{
    return is_switched_off(reconcile) ||
           (db_now(reconcile) - inquiry->unknown_since >= reconcile->options.limit &&
            inquiry->lookups >= LOOKUPS_MIN);
}

static void resolve_undecided(struct reconcile *reconcile, struct inquiry *inquiry, const char *why)
{
    char *text;

    if (is_time_up(reconcile, inquiry)) {
        resolve(reconcile, inquiry, FOUND_DOUBT,
                mem_printf("unknown for good (%s), a person has to decide: %s",
                           inquiry->delivery->was, why));
        return;
    }
    finding_metrics[FINDING_AGAIN].value++;
    log_info("still unknown", log_str("event_id", inquiry->delivery->event_id),
             log_str("destination_id", inquiry->delivery->destination_id),
             log_int("attempt", inquiry->delivery->attempt), log_str("reason", why));
    text = mem_printf("still unknown (%s): %s", inquiry->delivery->was, why);
    ask_again(reconcile, inquiry, again_at(reconcile, inquiry), text);
    free(text);
}

/*
 * Absence is believed only if nothing of the exchange could come into being any more when the list
 * was asked for.
 */
static void on_answered(void *arg, struct inquiry *inquiry, const struct sought *sought,
                        int64_t asked_at)
{
    struct reconcile *reconcile = arg;

    if (inquiry->given_up)
        ask_again(reconcile, inquiry, INT64_MAX, NULL); /* never: a person decides */
    else if (sought->finding == SOUGHT_FOUND)
        resolve_found(reconcile, inquiry, sought->message);
    else if (sought->finding == SOUGHT_UNDECIDED)
        resolve_undecided(reconcile, inquiry, sought->why);
    else if (db_clock_earliest(reconcile->options.clock, asked_at) <
             inquiry->ended + reconcile->options.delay)
        ask_again(reconcile, inquiry, inquiry->ended + reconcile->options.delay, NULL);
    else if (inquiry->unsure)
        resolve_undecided(reconcile, inquiry,
                          "the destination was changed after its worker was lost; what that had "
                          "sent can't be told");
    else
        resolve_absent(reconcile, inquiry);
}

/* ---- questions ---- */

static void ask_next(struct reconcile *reconcile)
{
    struct questions *waiting = &reconcile->waiting, *asking = &reconcile->asking;

    while (waiting->count > 0 && asking->count < ASKING_MAX && !reconcile->stopped) {
        struct question *question = waiting->list[--waiting->count];

        asking->list[asking->count++] = question;
        question_ask(question);
    }
    if (asking->count == 0 && reconcile->more)
        arm(reconcile, SWEEP_INTERVAL_MIN);
}

static void on_ended(void *arg, struct question *question)
{
    struct reconcile *reconcile = arg;
    struct questions *asking = &reconcile->asking;

    for (int i = 0; i < asking->count; i++) {
        if (asking->list[i] == question)
            asking->list[i] = asking->list[--asking->count];
    }
    question_free(question);
    put_off(reconcile);
    ask_next(reconcile);
}

static void add_inquiry(struct reconcile *reconcile, struct inquiry *inquiry)
{
    struct questions *waiting = &reconcile->waiting;

    for (int i = 0; i < waiting->count; i++) {
        if (question_add(waiting->list[i], inquiry))
            return;
    }
    waiting->list[waiting->count++] = question_new(&reconcile->question_options, inquiry);
}

static void questions_free(struct questions *questions)
{
    while (questions->count > 0)
        question_free(questions->list[--questions->count]);
}

/* ---- the sweep ---- */

static void take_up(struct reconcile *reconcile, const PGresult *rows, int row)
{
    const struct inquiry_options options = {.default_policy = reconcile->options.default_policy,
                                            .twilio_base_url = reconcile->options.twilio_base_url,
                                            .secrets = reconcile->options.secrets,
                                            .exchange_max = PACE_START_WINDOW +
                                                            reconcile->options.twilio_timeout};
    struct inquiry *inquiry = inquiry_from_row(rows, row, &options);

    if (inquiry->told_sid != NULL) {
        resolve_told(reconcile, inquiry);
        inquiry_free(inquiry);
        return;
    }
    if (inquiry->why[0] == '\0' && !inquiry->never_sent && !is_switched_off(reconcile)) {
        add_inquiry(reconcile, inquiry);
        return;
    }
    if (inquiry->given_up)
        ask_again(reconcile, inquiry, INT64_MAX, NULL);
    else if (inquiry->never_sent)
        resolve_absent(reconcile, inquiry);
    else if (is_switched_off(reconcile))
        resolve_undecided(reconcile, inquiry, "MMS_RECONCILE_LIMIT forbids to look it up");
    else
        resolve_undecided(reconcile, inquiry, inquiry->why);
    inquiry_free(inquiry);
}

static enum pg_next swept(void *arg, const struct pg_reply *reply)
{
    struct reconcile *reconcile = arg;
    int lost, taken;

    reconcile->sweeping = false;
    if (reply->status != PG_OK)
        reconcile->lease_sweep.whole_at = 0;
    if (reply->status != PG_OK || reconcile->stopped)
        return PG_FINISHED;
    lost = PQntuples(reply->results[0]);
    taken = PQntuples(reply->results[1]);
    if (lost == LEASES_MAX)
        reconcile->lease_sweep.whole_at = 0;
    lost_metric.value += lost;
    if (lost > 0)
        log_warn("took over deliveries whose worker was lost; they are unknown now",
                 log_int("count", lost));
    for (int row = 0; row < taken; row++)
        take_up(reconcile, reply->results[1], row);
    reconcile->more = taken >= TAKEN_OF_ONE;
    put_off(reconcile);
    ask_next(reconcile);
    return PG_FINISHED;
}

static void sweep(struct reconcile *reconcile)
{
    const struct reconcile_options *o = &reconcile->options;
    struct pg_unit *unit;

    reconcile->more = false;
    if (reconcile->sweeping)
        return;
    reconcile->sweeping = true;
    unit = pg_unit_new(swept, reconcile);
    pg_unit_statement(unit, sql_lease);
    pg_unit_int8(unit, LEASES_MAX);
    pg_unit_text(unit, o->worker);
    pg_unit_int8(unit, sweep_reach(&reconcile->lease_sweep));
    pg_unit_int8(unit, PACE_START_WINDOW + o->twilio_timeout + o->delay);
    pg_unit_text(unit, verdicts_advice(DELIVERY_WORKER_LOST));
    pg_unit_statement(unit, sql_reconcile);
    pg_unit_int8(unit, TAKEN_MAX);
    pg_unit_int8(unit, TAKEN_OF_ONE);
    pg_unit_int8(unit, o->twilio_timeout + LOOKUP_LEASE);
    pg_unit_int8(unit, 2 * AGAIN_MAX);
    pg_unit_int8(unit, o->delay);
    pg_unit_int8(unit, LIMIT_LOOKUP_BYTES);
    pg_unit_int8(unit, LIMIT_CONFIG_BYTES);
    pg_submit(o->pg, unit);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct reconcile *reconcile = arg;

    (void)fd;
    (void)what;
    arm(reconcile, reconcile->interval + backoff_jitter(reconcile->interval / 5));
    if (!pg_is_up(reconcile->options.pg) || !db_clock_known(reconcile->options.clock))
        reconcile->lease_sweep.whole_at = 0; /* what ran out meanwhile is not of late */
    else if (reconcile->asking.count == 0)
        sweep(reconcile);
}

void reconcile_stop(struct reconcile *reconcile)
{
    reconcile->stopped = true;
    event_del(reconcile->timer);
}

struct reconcile *reconcile_open(const struct reconcile_options *options)
{
    struct reconcile *reconcile = mem_zalloc(sizeof *reconcile);

    reconcile->options = *options;
    reconcile->interval = options->delay / SWEEPS_IN_DELAY;
    if (reconcile->interval < SWEEP_INTERVAL_MIN)
        reconcile->interval = SWEEP_INTERVAL_MIN;
    if (reconcile->interval > SWEEP_INTERVAL_MAX)
        reconcile->interval = SWEEP_INTERVAL_MAX;
    again_init(reconcile);
    reconcile->question_options =
        (struct question_options){.http = options->http,
                                  .pg = options->pg,
                                  .clock = options->clock,
                                  .twilio_base_url = options->twilio_base_url,
                                  .twilio_timeout = options->twilio_timeout,
                                  .delay = options->delay,
                                  .answered = on_answered,
                                  .ended = on_ended,
                                  .arg = reconcile};
    reconcile->timer = evtimer_new(options->base, on_timer, reconcile);
    metrics_register_all(finding_metrics, sizeof finding_metrics / sizeof finding_metrics[0]);
    metrics_register(&lost_metric);
    arm(reconcile, CLOCK_SECOND);
    return reconcile;
}

void reconcile_close(struct reconcile *reconcile)
{
    if (reconcile == NULL)
        return;
    questions_free(&reconcile->waiting);
    questions_free(&reconcile->asking);
    for (size_t i = 0; i < sizeof reconcile->again / sizeof reconcile->again[0]; i++)
        pg_array_release(&reconcile->again[i]);
    event_free(reconcile->timer);
    free(reconcile);
}
