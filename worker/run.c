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
#include "common/metrics.h"
#include "common/pg.h"
#include "common/url.h"
#include "worker/accounts.h"
#include "worker/callback.h"
#include "worker/evidence.h"
#include "worker/health.h"
#include "worker/intake.h"
#include "worker/limits.h"
#include "worker/outbox.h"
#include "worker/pacer.h"
#include "worker/poll.h"
#include "worker/reach.h"
#include "worker/reconcile.h"
#include "worker/results.h"
#include "worker/schema.h"
#include "worker/sender.h"
#include "worker/statistics.h"
#include "worker/statuses.h"
#include "worker/vitals.h"

/* The end: how often it is looked at, and what comes on top of an exchange with Twilio. */
#define STOP_INTERVAL (20 * CLOCK_MS)
#define STOP_MARGIN   (10 * CLOCK_SECOND)
#define RESULTS_LIMIT (5 * CLOCK_SECOND)

struct worker {
    const struct settings *settings;
    const struct secrets *secrets;
    char *name;
    struct event_base *base;
    struct health *health;
    struct statistics *statistics;
    struct pg *intake_pg, *pacer_pg, *evidence_pg;
    struct db_clock clock;
    struct http *http;
    struct reach *reach;
    struct evidence *evidence;
    struct sender *sender;
    struct pacer *pacer;
    struct intake *intake;
    struct results *results;
    struct outbox *outbox;
    struct statuses *statuses;
    struct poll *poll;
    struct reconcile *reconcile;
    struct accounts *accounts; /* these two: NULL if nobody listens for callbacks */
    struct callback *callback;
    struct event *on_term, *on_int;
    struct event *stop_timer;
    struct event *log_timer; /* lines that are held back are counted then */
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
           !(intake_is_busy(worker->intake) && pg_is_up(worker->intake_pg)) &&
           (statuses_is_idle(worker->statuses) || !pg_is_up(worker->evidence_pg));
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
    callback_stop(worker->callback);
    reconcile_stop(worker->reconcile);
    intake_stop(worker->intake);
    pacer_stop(worker->pacer);
    results_stop(worker->results);
    outbox_stop(worker->outbox);
    poll_stop(worker->poll);
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
        outbox_rejected(worker->outbox);
}

static void on_committed(void *arg, struct delivery *delivery, bool publish)
{
    struct worker *worker = arg;
    bool claimed = delivery->resolution == NULL;
    size_t bytes = delivery_bytes(delivery);
    struct status *status = claimed ? NULL : reconcile_committed(delivery);

    if (status != NULL)
        statuses_add(worker->statuses, status);
    if (publish)
        results_publish(worker->results, delivery);
    else
        delivery_free(delivery);
    if (claimed)
        pacer_left(worker->pacer, bytes);
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
    if (worker->outbox != NULL) {
        results_hold(worker->results, condition == KAFKA_AWAY);
        outbox_hold(worker->outbox, condition == KAFKA_AWAY);
    }
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

/* Whose callbacks may come soon. */
static void on_account(void *arg, const struct destination *destination)
{
    struct worker *worker = arg;

    if (worker->accounts != NULL)
        accounts_learn(worker->accounts, destination);
}

static void on_status(void *arg, struct status *status)
{
    struct worker *worker = arg;

    statuses_add(worker->statuses, status);
}

static bool has_room_for_status(void *arg)
{
    const struct worker *worker = arg;

    return statuses_has_room(worker->statuses);
}

/* ---- the log ---- */

static void on_held(void *arg)
{
    struct worker *worker = arg;
    struct timeval delay = to_timeval(log_held_until() - clock_now());

    event_add(worker->log_timer, &delay);
}

static void on_log_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    log_write_held(false);
    if (log_held_until() != CLOCK_FOREVER)
        on_held(arg);
}

static void on_libevent_log(int severity, const char *text)
{
    static const enum log_level levels[] = {
        [EVENT_LOG_DEBUG] = LOG_DEBUG,
        [EVENT_LOG_MSG] = LOG_INFO,
        [EVENT_LOG_WARN] = LOG_WARN,
        [EVENT_LOG_ERR] = LOG_ERROR,
    };

    log_variadic(levels[severity], "libevent", log_str("text", text), LOG_END);
}

static void open_log(struct worker *worker)
{
    if (worker->settings->log_phone_numbers)
        log_show_phone_numbers();
    event_set_log_callback(on_libevent_log);
    worker->log_timer = evtimer_new(worker->base, on_log_timer, worker);
    log_on_held(on_held, worker);
}

static void close_log(struct worker *worker)
{
    log_write_held(true);
    log_on_held(NULL, NULL);
    event_free(worker->log_timer);
}

/* Twilio calls back from the internet, unless it is a simulator. */
static void warn_of_callback_url(const struct settings *settings)
{
    const char *url = settings->status_callback_url;
    char why[128], unused[128];

    if (url[0] == '\0' || url_public(url, why, sizeof why) ||
        !url_public(settings->twilio_base_url, unused, sizeof unused))
        return;
    log_warn("Twilio will hardly reach MMS_STATUS_CALLBACK_URL: it is called from the internet",
             log_str("reason", why));
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
    vitals_add_connection(pg, room);
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

/* Nobody asks: then what is to be asked for isn't noted either. */
static int64_t poll_delay(const struct settings *settings)
{
    return settings->status_poll_rate > 0 ? settings->status_poll_delay : 0;
}

static void open_statuses(struct worker *worker)
{
    const struct settings *settings = worker->settings;
    const struct statuses_options statuses = {.base = worker->base,
                                              .pg = worker->evidence_pg,
                                              .worker = worker->name,
                                              .poll_delay = settings->status_poll_delay};
    struct poll_options poll;

    worker->statuses = statuses_open(&statuses);
    poll = (struct poll_options){.base = worker->base,
                                 .http = worker->http,
                                 .pg = worker->evidence_pg,
                                 .statuses = worker->statuses,
                                 .secrets = worker->secrets,
                                 .twilio_base_url = settings->twilio_base_url,
                                 .twilio_timeout = settings->twilio_timeout,
                                 .delay = settings->status_poll_delay,
                                 .rate = settings->status_poll_rate};
    worker->poll = poll_open(&poll);
}

static void open_pacing(struct worker *worker)
{
    const struct settings *settings = worker->settings;
    const struct evidence_options evidence = {.base = worker->base,
                                              .pg = worker->evidence_pg,
                                              .worker = worker->name,
                                              .reconcile_delay = settings->reconcile_delay,
                                              .poll_delay = poll_delay(settings),
                                              .committed = on_committed,
                                              .due = on_due,
                                              .arg = worker};
    struct reach_options reach;
    struct sender_options sender;
    struct pacer_options pacer;
    struct reconcile_options reconcile;

    worker->evidence = evidence_open(&evidence);
    worker->http =
        http_open(worker->base, TWILIO_AGENT, worker->settings->twilio_ca_file, LIMIT_LIVE);
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
                                   .prepare = {.default_policy = default_policy(settings),
                                               .twilio_base_url = settings->twilio_base_url,
                                               .status_callback_url = settings->status_callback_url,
                                               .secrets = worker->secrets,
                                               .account = on_account,
                                               .arg = worker},
                                   .lease = settings->lease,
                                   .expire_after = settings->expire_after};
    worker->pacer = pacer_open(&pacer);
    reconcile = (struct reconcile_options){.base = worker->base,
                                           .http = worker->http,
                                           .pg = worker->evidence_pg,
                                           .evidence = worker->evidence,
                                           .clock = &worker->clock,
                                           .worker = worker->name,
                                           .twilio_base_url = settings->twilio_base_url,
                                           .secrets = worker->secrets,
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
    struct outbox_options outbox;

    worker->results = results_open(&results, error, size);
    if (worker->results == NULL)
        return false;
    statuses_set_results(worker->statuses, worker->results);
    outbox = (struct outbox_options){.base = worker->base,
                                     .pg = worker->evidence_pg,
                                     .results = worker->results,
                                     .worker = worker->name};
    worker->outbox = outbox_open(&outbox);
    worker->intake = intake_open(&intake, error, size);
    if (worker->intake == NULL)
        return false;
    intake_hold(worker->intake, !pg_is_up(worker->intake_pg));
    return true;
}

static bool open_callbacks(struct worker *worker, char *error, size_t size)
{
    const struct settings *settings = worker->settings;
    struct callback_options callback;

    if (settings->callback_listen[0] == '\0')
        return true;
    worker->accounts = accounts_open(worker->base, worker->evidence_pg, worker->secrets);
    callback = (struct callback_options){.base = worker->base,
                                         .listen = settings->callback_listen,
                                         .url = settings->status_callback_url,
                                         .accounts = worker->accounts,
                                         .received = on_status,
                                         .has_room = has_room_for_status,
                                         .arg = worker};
    worker->callback = callback_open(&callback, error, size);
    return worker->callback != NULL;
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
    callback_close(worker->callback);
    accounts_close(worker->accounts);
    intake_close(worker->intake);
    results_close(worker->results);
    outbox_close(worker->outbox);
    pacer_close(worker->pacer);
    http_close(worker->http);
    poll_close(worker->poll);
    statuses_close(worker->statuses);
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
    statistics_close(worker->statistics);
    health_close(worker->health);
    metrics_reset();
    close_log(worker);
    event_base_free(worker->base);
    free(worker->name);
    libevent_global_shutdown();
    curl_global_cleanup();
}

int run_worker(const struct settings *settings, const struct secrets *secrets)
{
    struct worker worker = {.settings = settings, .secrets = secrets, .name = worker_name()};
    char error[512] = "";

    signal(SIGPIPE, SIG_IGN);
    raise_descriptor_limit();
    curl_global_init(CURL_GLOBAL_DEFAULT); /* before librdkafka's threads */
    worker.base = open_base();
    open_log(&worker);
    settings_log(settings);
    warn_of_callback_url(settings);
    if (secrets_warning(secrets)[0] != '\0')
        log_warn(secrets_warning(secrets));
    vitals_open();
    worker.health = health_open(worker.base, settings->http_listen, error, sizeof error);
    if (worker.health != NULL) {
        worker.statistics = statistics_open(worker.base, settings->database_url);
        worker.intake_pg = open_pg(&worker, "intake");
        worker.pacer_pg = open_pg(&worker, "pacer");
        worker.evidence_pg = open_pg(&worker, "evidence");
        open_pacing(&worker);
        open_statuses(&worker);
        if (open_callbacks(&worker, error, sizeof error) &&
            open_kafka(&worker, error, sizeof error)) {
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
