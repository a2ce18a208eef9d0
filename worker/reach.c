#include "worker/reach.h"

#include <stdlib.h>

#include "common/backoff.h"
#include "common/clock.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "worker/pace.h"

/* One connection that fails may be an accident. */
#define FAILURES_MAX 3

#define PAUSE_BASE CLOCK_SECOND
#define PAUSE_MAX  (30 * CLOCK_SECOND)

#define PROBE_TIMEOUT (10 * CLOCK_SECOND)
/* That an answer comes is all that matters. */
#define ANSWER_MAX_BYTES 1

struct reach {
    struct reach_options options;
    char *url;
    struct event *timer; /* the next probe */
    int failures;        /* exchanges in a row that could not connect */
    bool away;
    /* Probes since the last answer to an exchange: one that succeeds while nothing can be sent all
       the same doesn't make the pauses short again. */
    unsigned probes;
};

static struct metric reachable_metric = {.name = "mms_twilio_reachable",
                                         .type = "gauge",
                                         .help = "0 while this worker can't connect to Twilio",
                                         .value = 1};
static struct metric probes_metric = {.name = "mms_twilio_probes_total",
                                      .type = "counter",
                                      .help = "Probes whether Twilio can be reached again"};

static void arm(struct reach *reach)
{
    int64_t pause = backoff_exponential(PAUSE_BASE, PAUSE_MAX, reach->probes);
    struct timeval tv;

    pause = pause / 2 + backoff_jitter(pause / 2);
    tv = (struct timeval){.tv_sec = pause / CLOCK_SECOND, .tv_usec = pause % CLOCK_SECOND};
    event_add(reach->timer, &tv);
}

static void set_away(struct reach *reach, const char *reason)
{
    reach->away = reason != NULL;
    reach->failures = 0;
    reachable_metric.value = !reach->away;
    reach->options.changed(reach->options.arg, reason);
}

static void on_done(void *arg, const struct http_response *response)
{
    struct reach *reach = arg;

    if (response->status != 0)
        set_away(reach, NULL);
    else
        arm(reach);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct reach *reach = arg;
    const struct http_request probe = {
        .url = reach->url,
        .fresh = true,
        /* As long as a send has to connect: what is too slow for it is out of reach. */
        .start_by = clock_now() + PACE_START_WINDOW - PACE_START_MARGIN,
        .timeout = PROBE_TIMEOUT,
        .response_max = ANSWER_MAX_BYTES,
        .done = on_done,
        .arg = reach,
    };

    (void)fd;
    (void)what;
    probes_metric.value++;
    reach->probes++;
    http_send(reach->options.http, &probe);
}

void reach_answered(struct reach *reach)
{
    /* While away this is the end of an exchange from before: it says nothing about new ones. */
    if (reach->away)
        return;
    reach->failures = 0;
    reach->probes = 0;
}

void reach_not_connected(struct reach *reach, const char *reason)
{
    if (reach->away || ++reach->failures < FAILURES_MAX)
        return;
    set_away(reach, reason);
    arm(reach);
}

struct reach *reach_open(const struct reach_options *options)
{
    struct reach *reach = mem_zalloc(sizeof *reach);

    reach->options = *options;
    reach->url = mem_printf("%s/", options->base_url);
    reach->timer = evtimer_new(options->base, on_timer, reach);
    metrics_register(&reachable_metric);
    metrics_register(&probes_metric);
    return reach;
}

void reach_close(struct reach *reach)
{
    if (reach == NULL)
        return;
    event_free(reach->timer);
    free(reach->url);
    free(reach);
}
