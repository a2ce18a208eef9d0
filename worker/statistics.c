#include "worker/statistics.h"

#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "common/pg.h"
#include "common/pg_value.h"
#include "sql.h"
#include "worker/schema.h"

#define INTERVAL_MIN (10 * CLOCK_SECOND)
/* A query is worth this share of a connection's time. */
#define INTERVAL_QUERIES 50
/* How far anything is counted. */
#define COUNT_MAX 100000

struct statistics {
    struct event_base *base;
    const char *database_url;
    struct pg *pg; /* NULL until somebody asks */
    bool asking;
    int64_t next_at;  /* monotonic: not asked before this */
    int64_t known_at; /* monotonic: when what is known was true; 0: nothing is */
};

#define ALL "; of the whole database, the same from every worker: use max()"
#define DELIVERIES                                                                               \
    .name = "mms_deliveries", .type = "gauge",                                                   \
    .help = "Deliveries that haven't ended, by state (pending: exact up to 100000, beyond that " \
            "PostgreSQL's estimate as of its last vacuum; unknown: counted up to 100000)" ALL
#define UNKNOWN                                                                                  \
    .name = "mms_unknown_deliveries", .type = "gauge",                                           \
    .help = "Deliveries whose fate is unknown, by what they wait for: a lookup at Twilio, or a " \
            "person's decision; counted up to 100000" ALL
#define UNPUBLISHED                                            \
    .name = "mms_outbox_unpublished_results", .type = "gauge", \
    .help = "Results that are not on the status topic yet, by kind; counted up to 100000" ALL
#define UNPUBLISHED_AGE                                                       \
    .name = "mms_outbox_oldest_age_seconds", .type = "gauge", .micros = true, \
    .help = "Age of the oldest result that is not on the status topic yet, by kind" ALL

/* In the order of the columns of statistics.sql. */
static struct metric metrics[] = {
    {DELIVERIES, .labels = {"state", "pending"}},
    {DELIVERIES, .labels = {"state", "sending"}},
    {DELIVERIES, .labels = {"state", "unknown"}},
    {UNKNOWN, .labels = {"waits_for", "lookup"}},
    {UNKNOWN, .labels = {"waits_for", "person"}},
    {.name = "mms_oldest_pending_age_seconds",
     .type = "gauge",
     .micros = true,
     .help = "How long a delivery has been allowed to go (since it came, or since its retry's "
             "pause) and still waits, at most; destinations that are disabled or parked don't "
             "count" ALL},
    {.name = "mms_parked_destinations", .type = "gauge", .help = "Destinations in trouble" ALL},
    {.name = "mms_parked_longest_seconds",
     .type = "gauge",
     .micros = true,
     .help = "How long the trouble of the destination lasts that is in trouble for longest" ALL},
    {UNPUBLISHED, .labels = {"kind", "attempt"}},
    {UNPUBLISHED, .labels = {"kind", "status"}},
    {UNPUBLISHED, .labels = {"kind", "rejection"}},
    {UNPUBLISHED_AGE, .labels = {"kind", "attempt"}},
    {UNPUBLISHED_AGE, .labels = {"kind", "status"}},
    {UNPUBLISHED_AGE, .labels = {"kind", "rejection"}},
};

#define COLUMNS (sizeof metrics / sizeof metrics[0])

static struct metric age_metric = {.name = "mms_database_statistics_age_seconds",
                                   .type = "gauge",
                                   .micros = true,
                                   .absent = true,
                                   .help = "How old the numbers about the whole database are"};

static struct metric duration_metric = {
    .name = "mms_database_statistics_duration_seconds",
    .type = "gauge",
    .micros = true,
    .absent = true,
    .help = "How long PostgreSQL took for the numbers about the whole database, the last time"};

/* Nothing that waits has no age: it is 0. */
static void take(struct statistics *statistics, const struct pg_reply *reply)
{
    const PGresult *row = reply->results[1];

    for (size_t i = 0; i < COLUMNS; i++) {
        metrics[i].absent = false;
        metrics[i].value = pg_is_null(row, 0, (int)i) ? 0 : pg_int8(row, 0, (int)i);
    }
    duration_metric.absent = false;
    duration_metric.value = reply->received - reply->sent;
    statistics->known_at = reply->received;
}

static enum pg_next answered(void *arg, const struct pg_reply *reply)
{
    struct statistics *statistics = arg;
    int64_t now = clock_now();
    int64_t took = reply->status == PG_LOST ? 0 : reply->received - reply->sent;
    int64_t pause = took * INTERVAL_QUERIES;

    statistics->asking = false;
    statistics->next_at = now + (pause > INTERVAL_MIN ? pause : INTERVAL_MIN);
    if (reply->status == PG_OK)
        take(statistics, reply);
    else
        log_debug("no numbers about the database", log_str("error", reply->message));
    return PG_FINISHED;
}

/* The other connections tell when PostgreSQL is away. */
static void on_changed(void *arg, struct pg *pg, const char *reason)
{
    (void)arg;
    (void)pg;
    (void)reason;
}

static void ask(struct statistics *statistics)
{
    const struct pg_options options = {.conninfo = statistics->database_url,
                                       .name = "mms-worker statistics",
                                       .greeting = schema_greeting,
                                       .greeted = schema_judge,
                                       .changed = on_changed};
    struct pg_unit *unit = pg_unit_new(answered, statistics);

    if (statistics->pg == NULL)
        statistics->pg = pg_open(statistics->base, &options);
    pg_unit_statement(unit, sql_statistics_limit);
    pg_unit_statement(unit, sql_statistics);
    pg_unit_int8(unit, COUNT_MAX);
    statistics->asking = true;
    pg_submit(statistics->pg, unit);
}

static void on_scrape(void *arg)
{
    struct statistics *statistics = arg;
    int64_t now = clock_now();

    age_metric.absent = statistics->known_at == 0;
    age_metric.value = now - statistics->known_at;
    if (!statistics->asking && now >= statistics->next_at)
        ask(statistics);
}

struct statistics *statistics_open(struct event_base *base, const char *database_url)
{
    struct statistics *statistics = mem_zalloc(sizeof *statistics);

    statistics->base = base;
    statistics->database_url = database_url;
    for (size_t i = 0; i < COLUMNS; i++)
        metrics[i].absent = true;
    metrics_register_all(metrics, COLUMNS);
    metrics_register(&age_metric);
    metrics_register(&duration_metric);
    metrics_on_write(on_scrape, statistics);
    return statistics;
}

void statistics_close(struct statistics *statistics)
{
    if (statistics == NULL)
        return;
    pg_close(statistics->pg);
    free(statistics);
}
