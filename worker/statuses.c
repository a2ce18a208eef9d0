#include "worker/statuses.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "sql.h"
#include "worker/limits.h"
#include "worker/outbox.h"
#include "worker/verdicts.h"

/* A batch is gathered for this long, and has so many reports at most. */
#define LINGER    (10 * CLOCK_MS)
#define BATCH_MAX 200
/* Of a sender's or a recipient's name. */
#define PARTY_MAX_BYTES 255
/*
 * `sent` is where many messages stay, since carriers say nothing more: polls go on much later, as
 * if there had been four (sql/poll.sql has the pauses).
 */
#define SENT_PAUSES    256
#define SENT_PAUSE_MAX (CLOCK_SECOND * 3600 * 12)

struct statuses {
    struct statuses_options options;
    struct results *results; /* NULL: not yet */
    struct event *timer;
    struct status *first, **last; /* waiting, in the order in which they came */
    size_t waiting, waiting_bytes;
    struct status *writing;        /* the batch on its way */
    size_t written, written_bytes; /* how many reports it has */
    size_t singly;                 /* how many of the first go alone: together they were refused */
};

#define STATUSES                                             \
    .name = "mms_message_statuses_total", .type = "counter", \
    .help = "Reports of messages' statuses from Twilio, by source"

static struct metric stored_metrics[] = {
    {STATUSES, .labels = {"source", "callback"}},
    {STATUSES, .labels = {"source", "poll"}},
};
static struct metric dropped_metric = {
    .name = "mms_message_statuses_dropped_total",
    .type = "counter",
    .help = "Reports for which there was no room; polls make up for it"};

static struct metric waiting_metric = {
    .name = "mms_message_statuses_waiting",
    .type = "gauge",
    .help = "Reports of messages' statuses that wait to be stored, or are on their way"};

static const char *const sources[] = {"callback", "poll"};

static void arm(struct statuses *statuses)
{
    const struct timeval linger = {.tv_usec = LINGER};

    if (statuses->writing == NULL && !event_pending(statuses->timer, EV_TIMEOUT, NULL))
        event_add(statuses->timer, &linger);
}

static void list_free(struct status *status)
{
    while (status != NULL) {
        struct status *next = status->next;

        status_free(status);
        status = next;
    }
}

/* ---- statements ---- */

static const enum pg_type lock_types[] = {PG_TEXT, PG_INT8};

static void add_lock(struct pg_array *a, const struct status *status)
{
    pg_array_add_text(a++, status->destination_id);
    pg_array_add_int8(a++, status->delivery_id);
}

/* The columns of statuses.sql, in its order. */
static const enum pg_type status_types[] = {
    PG_TEXT, PG_INT8, PG_INT4, PG_TEXT, PG_TEXT, PG_TEXT, PG_INT4, PG_INT4, PG_INT4,
    PG_TEXT, PG_TEXT, PG_TEXT, PG_TEXT, PG_JSON, PG_TEXT, PG_TEXT, PG_TEXT,
};

#define STATUS_COLUMNS (sizeof status_types / sizeof status_types[0])

/* What is longer is no number and no service, and no key of a table's either. */
static const char *party(const char *text)
{
    return text != NULL && strlen(text) <= PARTY_MAX_BYTES ? text : NULL;
}

static void add_status(struct pg_array *a, const struct status *s)
{
    const char *service = party(s->messaging_service_sid);
    const struct verdict_rule *rule = verdicts_of_code(s->error_code);

    pg_array_add_text(a++, s->destination_id);
    pg_array_add_int8(a++, s->delivery_id);
    pg_array_add_int4(a++, s->attempt);
    pg_array_add_text(a++, s->account_sid);
    pg_array_add_text(a++, s->message_sid);
    pg_array_add_text(a++, s->name);
    pg_array_add_int4(a++, status_rank(s->name));
    pg_array_add_int4(a++, status_is_final(s->name));
    if (s->error_code != 0)
        pg_array_add_int4(a++, s->error_code);
    else
        pg_array_add_null(a++);
    pg_array_add_text(a++, s->error_message);
    pg_array_add_text(a++, rule != NULL ? rule->reason : NULL);
    pg_array_add_text(a++, s->error_code != 0 ? verdicts_advice_of_code(s->error_code) : NULL);
    pg_array_add_text(a++, sources[s->source]);
    pg_array_add_text(a++, s->parameters);
    pg_array_add_text(a++, service != NULL ? service : party(s->from));
    pg_array_add_text(a++, party(s->to));
    pg_array_add_text(a++, s->signers != NULL ? s->signers : "");
}

static void add_statement(struct pg_unit *unit, const char *sql, const enum pg_type *types,
                          size_t columns, const struct status *status,
                          void (*add)(struct pg_array *a, const struct status *status))
{
    struct pg_array a[STATUS_COLUMNS]; /* the widest */

    for (size_t i = 0; i < columns; i++)
        pg_array_init(&a[i], types[i]);
    for (; status != NULL; status = status->next)
        add(a, status);
    pg_unit_statement(unit, sql);
    pg_unit_arrays(unit, a, columns);
}

/* ---- storing ---- */

/* The columns of statuses.sql's result that matter here. */
enum column { C_EVENT_ID = 11, C_WAITS = 15 };

static void publish(struct statuses *statuses, const PGresult *rows)
{
    for (int row = 0; row < PQntuples(rows); row++) {
        if (statuses->results != NULL && pg_int4(rows, row, C_WAITS) == 0)
            outbox_publish_status(statuses->results, rows, row, statuses->options.worker);
    }
}

/* One report that is refused must not cost the others: Twilio doesn't tell them again. */
static void put_back(struct statuses *statuses)
{
    struct status **end = &statuses->writing;

    while (*end != NULL)
        end = &(*end)->next;
    if (statuses->first == NULL)
        statuses->last = end;
    *end = statuses->first;
    statuses->first = statuses->writing;
    statuses->writing = NULL;
    statuses->waiting += statuses->written;
    statuses->waiting_bytes += statuses->written_bytes;
    statuses->singly = statuses->written;
}

static enum pg_next stored(void *arg, const struct pg_reply *reply)
{
    struct statuses *statuses = arg;

    if (reply->status == PG_LOST || (reply->status == PG_FAILED && reply->transient))
        return PG_REPEAT;
    if (reply->status == PG_FAILED && statuses->written > 1)
        put_back(statuses);
    else if (reply->status == PG_FAILED)
        log_error("status of a message refused by PostgreSQL", log_str("sqlstate", reply->sqlstate),
                  log_str("error", reply->message),
                  log_str("message_sid", statuses->writing->message_sid));
    else
        publish(statuses, reply->results[1]);
    list_free(statuses->writing);
    statuses->writing = NULL;
    if (statuses->first != NULL)
        arm(statuses);
    return PG_FINISHED;
}

static int64_t sent_pause(const struct statuses *statuses)
{
    int64_t pause = statuses->options.poll_delay * SENT_PAUSES;

    return pause < SENT_PAUSE_MAX ? pause : SENT_PAUSE_MAX;
}

/* Takes a batch off what waits. */
static struct status *take_batch(struct statuses *statuses)
{
    struct status *batch = statuses->first;
    struct status **end = &statuses->first;
    size_t most = BATCH_MAX;

    if (statuses->singly > 0) {
        statuses->singly--;
        most = 1;
    }
    statuses->written_bytes = 0;
    for (statuses->written = 0; statuses->written < most && *end != NULL; statuses->written++) {
        statuses->written_bytes += status_bytes(*end);
        end = &(*end)->next;
    }
    statuses->waiting -= statuses->written;
    statuses->waiting_bytes -= statuses->written_bytes;
    statuses->first = *end;
    *end = NULL;
    if (statuses->first == NULL)
        statuses->last = &statuses->first;
    return batch;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct statuses *statuses = arg;
    struct pg_unit *unit;

    (void)fd;
    (void)what;
    if (statuses->writing != NULL || statuses->first == NULL)
        return;
    statuses->writing = take_batch(statuses);
    unit = pg_unit_new(stored, statuses);
    add_statement(unit, sql_statuses_lock, lock_types, 2, statuses->writing, add_lock);
    add_statement(unit, sql_statuses, status_types, STATUS_COLUMNS, statuses->writing, add_status);
    pg_unit_text(unit, statuses->options.worker);
    pg_unit_int8(unit, sent_pause(statuses));
    pg_unit_int8(unit, LIMIT_STATUSES_OF_ATTEMPT);
    pg_submit(statuses->options.pg, unit);
}

bool statuses_has_room(const struct statuses *statuses)
{
    return statuses->waiting < LIMIT_STATUSES && statuses->waiting_bytes < LIMIT_STATUSES_BYTES;
}

void statuses_add(struct statuses *statuses, struct status *status)
{
    if (!statuses_has_room(statuses)) {
        dropped_metric.value++;
        status_free(status);
        return;
    }
    log_debug("status", log_str("destination_id", status->destination_id),
              log_int("attempt", status->attempt), log_str("message_sid", status->message_sid),
              log_str("message_status", status->name), log_str("source", sources[status->source]));
    stored_metrics[status->source].value++;
    status->next = NULL;
    *statuses->last = status;
    statuses->last = &status->next;
    statuses->waiting++;
    statuses->waiting_bytes += status_bytes(status);
    arm(statuses);
}

bool statuses_is_idle(const struct statuses *statuses)
{
    return statuses->first == NULL && statuses->writing == NULL;
}

void statuses_set_results(struct statuses *statuses, struct results *results)
{
    statuses->results = results;
}

static void update(void *arg)
{
    const struct statuses *statuses = arg;

    waiting_metric.value =
        (int64_t)(statuses->waiting + (statuses->writing != NULL ? statuses->written : 0));
}

struct statuses *statuses_open(const struct statuses_options *options)
{
    struct statuses *statuses = mem_zalloc(sizeof *statuses);

    statuses->options = *options;
    statuses->last = &statuses->first;
    statuses->timer = evtimer_new(options->base, on_timer, statuses);
    metrics_register_all(stored_metrics, sizeof stored_metrics / sizeof stored_metrics[0]);
    metrics_register(&dropped_metric);
    metrics_register(&waiting_metric);
    metrics_on_write(update, statuses);
    return statuses;
}

void statuses_close(struct statuses *statuses)
{
    if (statuses == NULL)
        return;
    list_free(statuses->first);
    list_free(statuses->writing);
    event_free(statuses->timer);
    free(statuses);
}
