#include "worker/run.h"

#include <curl/curl.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/http.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/pg.h"
#include "worker/evidence.h"
#include "worker/health.h"
#include "worker/intake.h"
#include "worker/pacer.h"
#include "worker/reach.h"
#include "worker/reconcile.h"
#include "worker/results.h"
#include "worker/schema.h"
#include "worker/sender.h"

/* Deliveries in one worker's hands at a time, and connections to Twilio. Bounds memory. */
#define LIVE_MAX 2000

/* The end: how often it is looked at, and what comes on top of an exchange with Twilio. */
#define STOP_INTERVAL (20 * CLOCK_MS)
#define STOP_MARGIN   (10 * CLOCK_SECOND)
#define RESULTS_LIMIT (5 * CLOCK_SECOND)

struct worker {
    const struct settings *settings;
    char *name;
    struct event_base *base;
    struct health *health;
    struct pg *intake_pg, *pacer_pg, *evidence_pg;
    struct db_clock clock;
    struct http *http;
    struct reach *reach;
    struct evidence *evidence;
    struct sender *sender;
    struct pacer *pacer;
    struct intake *intake;
    struct results *results;
    struct reconcile *reconcile;
    struct event *on_term, *on_int;
    struct event *stop_timer;
    bool stopping;
    bool failed;
    int64_t stop_by;    /* for what is in flight */
    int64_t results_by; /* then for the results; 0: not there yet */
};

static struct timeval to_timeval(int64_t us)
{
    return (struct timeval){.tv_sec = us / CLOCK_SECOND, .tv_usec = us % CLOCK_SECOND};
}

/* ---- stopping ---- */

static void end(struct worker *worker, bool clean)
{
    if (!clean) {
        log_error("stopped before everything was finished; other workers carry on",
                  log_int("deliveries", pacer_live(worker->pacer)));
        worker->failed = true;
    }
    event_base_loopbreak(worker->base);
}

/*
 * True if no delivery, claim or batch is in this worker's hands. A claim or a batch that waits for
 * a database that is away hasn't begun; evidence is waited for.
 */
static bool hands_empty(const struct worker *worker)
{
    return pacer_live(worker->pacer) == 0 && evidence_pending(worker->evidence) == 0 &&
           !(pacer_is_claiming(worker->pacer) && pg_is_up(worker->pacer_pg)) &&
           !(intake_is_busy(worker->intake) && pg_is_up(worker->intake_pg));
}

static void on_stop_timer(evutil_socket_t fd, short what, void *arg)
{
    struct worker *worker = arg;
    int64_t now = clock_now();

    (void)fd;
    (void)what;
    if (!hands_empty(worker)) {
        if (now >= worker->stop_by)
            end(worker, false);
        return;
    }
    /* What isn't published in time is in the outbox; another worker's sweep has it. */
    if (worker->results_by == 0)
        worker->results_by = now + RESULTS_LIMIT;
    if (results_is_idle(worker->results) || now >= worker->results_by)
        end(worker, true);
}

static void stop(struct worker *worker)
{
    struct timeval interval = to_timeval(STOP_INTERVAL);

    worker->stopping = true;
    worker->stop_by = clock_now() + worker->settings->twilio_timeout + STOP_MARGIN;
    health_set(worker->health, HEALTH_STOPPING, "asked to stop");
    reconcile_stop(worker->reconcile);
    intake_stop(worker->intake);
    pacer_stop(worker->pacer);
    results_stop(worker->results);
    event_add(worker->stop_timer, &interval);
}

static void on_signal(evutil_socket_t number, short what, void *arg)
{
    struct worker *worker = arg;

    (void)what;
    if (worker->stopping) {
        end(worker, false);
        return;
    }
    log_info("stopping: finishing what is in flight", log_int("signal", number));
    stop(worker);
}

/* ---- what the rooms tell each other ---- */

static void on_taken(void *arg, int64_t taken, int64_t rejected)
{
    struct worker *worker = arg;

    if (taken > 0)
        pacer_kick(worker->pacer);
    if (rejected > 0)
        results_rejected(worker->results);
}

static void on_committed(void *arg, struct delivery *delivery, bool publish)
{
    struct worker *worker = arg;
    bool claimed = delivery->resolution == NULL;

    if (!claimed)
        reconcile_committed(delivery);
    if (publish)
        results_publish(worker->results, delivery);
    else
        delivery_free(delivery);
    if (claimed)
        pacer_left(worker->pacer);
}

static void on_due(void *arg, int64_t at)
{
    struct worker *worker = arg;

    pacer_due(worker->pacer, at);
}

static void on_kafka_changed(void *arg, enum kafka_condition condition, const char *reason)
{
    struct worker *worker = arg;

    health_set(worker->health, HEALTH_KAFKA, reason);
    if (worker->results != NULL)
        results_hold(worker->results, condition == KAFKA_AWAY);
    if (condition == KAFKA_REFUSED && !worker->stopping) {
        log_error("Kafka refuses this worker for good; stopping", log_str("error", reason));
        worker->failed = true;
        stop(worker);
    }
}

static void on_twilio_changed(void *arg, const char *reason)
{
    struct worker *worker = arg;

    health_set(worker->health, HEALTH_TWILIO, reason);
    pacer_hold(worker->pacer, reason != NULL);
}

static void on_pg_changed(void *arg, struct pg *pg, const char *reason)
{
    struct worker *worker = arg;

    if (pg == worker->intake_pg) {
        health_set(worker->health, HEALTH_POSTGRESQL_INTAKE, reason);
        if (worker->intake != NULL)
            intake_hold(worker->intake, reason != NULL);
    } else if (pg == worker->pacer_pg) {
        health_set(worker->health, HEALTH_POSTGRESQL_PACER, reason);
    } else {
        health_set(worker->health, HEALTH_POSTGRESQL_EVIDENCE, reason);
    }
}

/* ---- wiring ---- */

/* Unique enough for people; what protects a delivery is its lease and attempt, not this name. */
static char *worker_name(void)
{
    char host[256] = "worker";

    gethostname(host, sizeof host - 1);
    return mem_printf("%s-%d", host, (int)getpid());
}

static struct pg *open_pg(struct worker *worker, const char *room)
{
    char *name = mem_printf("mms-worker %s", room);
    const struct pg_options options = {.conninfo = worker->settings->database_url,
                                       .name = name,
                                       .greeting = schema_greeting,
                                       .greeted = schema_judge,
                                       .changed = on_pg_changed,
                                       .arg = worker};
    struct pg *pg = pg_open(worker->base, &options);

    free(name);
    return pg;
}

static struct event_base *open_base(void)
{
    struct event_config *config = event_config_new();
    struct event_base *base;

    /* Slots want better than the millisecond that epoll_wait() has; and the time of a timer must
       count from now, not from when this turn of the loop began. */
    event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER | EVENT_BASE_FLAG_NO_CACHE_TIME);
    base = event_base_new_with_config(config);
    event_config_free(config);
    return base;
}

static struct retry_policy default_policy(const struct settings *settings)
{
    return (struct retry_policy){.attempts = settings->max_attempts,
                                 .base = settings->retry_base,
                                 .max = settings->retry_max,
                                 .jitter = true};
}

static void open_pacing(struct worker *worker)
{
    const struct settings *settings = worker->settings;
    const struct evidence_options evidence = {.base = worker->base,
                                              .pg = worker->evidence_pg,
                                              .worker = worker->name,
                                              .reconcile_delay = settings->reconcile_delay,
                                              .committed = on_committed,
                                              .due = on_due,
                                              .arg = worker};
    struct reach_options reach;
    struct sender_options sender;
    struct pacer_options pacer;
    struct reconcile_options reconcile;

    worker->evidence = evidence_open(&evidence);
    worker->http = http_open(worker->base, TWILIO_AGENT, LIVE_MAX);
    reach = (struct reach_options){.base = worker->base,
                                   .http = worker->http,
                                   .base_url = settings->twilio_base_url,
                                   .changed = on_twilio_changed,
                                   .arg = worker};
    worker->reach = reach_open(&reach);
    sender = (struct sender_options){.http = worker->http,
                                     .reach = worker->reach,
                                     .evidence = worker->evidence,
                                     .clock = &worker->clock,
                                     .timeout = settings->twilio_timeout};
    worker->sender = sender_open(&sender);
    pacer = (struct pacer_options){.base = worker->base,
                                   .pg = worker->pacer_pg,
                                   .evidence = worker->evidence,
                                   .sender = worker->sender,
                                   .clock = &worker->clock,
                                   .worker = worker->name,
                                   .twilio_base_url = settings->twilio_base_url,
                                   .lease = settings->lease,
                                   .expire_after = settings->expire_after,
                                   .default_policy = default_policy(settings),
                                   .live_max = LIVE_MAX};
    worker->pacer = pacer_open(&pacer);
    reconcile = (struct reconcile_options){.base = worker->base,
                                           .http = worker->http,
                                           .pg = worker->evidence_pg,
                                           .evidence = worker->evidence,
                                           .clock = &worker->clock,
                                           .worker = worker->name,
                                           .twilio_base_url = settings->twilio_base_url,
                                           .twilio_timeout = settings->twilio_timeout,
                                           .delay = settings->reconcile_delay,
                                           .limit = settings->reconcile_limit,
                                           .default_policy = default_policy(settings)};
    worker->reconcile = reconcile_open(&reconcile);
}

static bool open_kafka(struct worker *worker, char *error, size_t size)
{
    const struct settings *settings = worker->settings;
    const struct results_options results = {.base = worker->base,
                                            .pg = worker->evidence_pg,
                                            .worker = worker->name,
                                            .bootstrap_servers = settings->kafka_bootstrap_servers,
                                            .properties = &settings->kafka_properties,
                                            .status_topic = settings->status_topic,
                                            .dead_letter_topic = settings->dead_letter_topic};
    const struct intake_options intake = {.base = worker->base,
                                          .pg = worker->intake_pg,
                                          .worker = worker->name,
                                          .bootstrap_servers = settings->kafka_bootstrap_servers,
                                          .group = settings->consumer_group,
                                          .topics = settings->event_topics,
                                          .properties = &settings->kafka_properties,
                                          .taken = on_taken,
                                          .changed = on_kafka_changed,
                                          .arg = worker};

    worker->results = results_open(&results, error, size);
    if (worker->results == NULL)
        return false;
    worker->intake = intake_open(&intake, error, size);
    if (worker->intake == NULL)
        return false;
    intake_hold(worker->intake, !pg_is_up(worker->intake_pg));
    return true;
}

static void open_events(struct worker *worker)
{
    worker->on_term = evsignal_new(worker->base, SIGTERM, on_signal, worker);
    worker->on_int = evsignal_new(worker->base, SIGINT, on_signal, worker);
    event_add(worker->on_term, NULL);
    event_add(worker->on_int, NULL);
    worker->stop_timer = event_new(worker->base, -1, EV_PERSIST, on_stop_timer, worker);
}

/* A connection for each live delivery must fit into our descriptors. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static void close_all(struct worker *worker)
{
    intake_close(worker->intake);
    results_close(worker->results);
    pacer_close(worker->pacer);
    http_close(worker->http);
    reconcile_close(worker->reconcile);
    sender_close(worker->sender);
    reach_close(worker->reach);
    evidence_close(worker->evidence);
    pg_close(worker->intake_pg);
    pg_close(worker->pacer_pg);
    pg_close(worker->evidence_pg);
    if (worker->on_term != NULL) {
        event_free(worker->on_term);
        event_free(worker->on_int);
        event_free(worker->stop_timer);
    }
    health_close(worker->health);
    event_base_free(worker->base);
    free(worker->name);
    libevent_global_shutdown();
    curl_global_cleanup();
}

int run_worker(const struct settings *settings)
{
    struct worker worker = {.settings = settings, .name = worker_name()};
    char error[512] = "";

    signal(SIGPIPE, SIG_IGN);
    raise_descriptor_limit();
    curl_global_init(CURL_GLOBAL_DEFAULT); /* before librdkafka's threads */
    worker.base = open_base();
    settings_log(settings);
    worker.health = health_open(worker.base, settings->http_listen, error, sizeof error);
    if (worker.health != NULL) {
        worker.intake_pg = open_pg(&worker, "intake");
        worker.pacer_pg = open_pg(&worker, "pacer");
        worker.evidence_pg = open_pg(&worker, "evidence");
        open_pacing(&worker);
        if (open_kafka(&worker, error, sizeof error)) {
            open_events(&worker);
            log_info("running", log_str("worker", worker.name));
            event_base_dispatch(worker.base);
            log_info("stopped", log_str("worker", worker.name));
        }
    }
    if (error[0] != '\0') {
        log_error(error);
        worker.failed = true;
    }
    close_all(&worker);
    return worker.failed ? 1 : 0;
}
