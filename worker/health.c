#include "worker/health.h"

#include <event2/buffer.h>
#include <event2/http.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/listen.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "common/said.h"
#include "worker/visitors.h"

#define METRICS_MAX_BYTES ((size_t)1 << 20)
/* Who asks needs neither a body nor long headers. */
#define REQUEST_MAX_BYTES 8192
#define CONNECTIONS_MAX   64
#define CONNECTION_LIFE   (30 * CLOCK_SECOND)

static const char *const part_names[HEALTH_PARTS] = {
    "postgresql (intake)",
    "postgresql (pacer)",
    "postgresql (evidence)",
    "kafka",
    "twilio",
    "stopping",
};

struct health {
    struct evhttp *server;
    struct visitors *visitors;
    char reasons[HEALTH_PARTS][256]; /* "" if the part is there */
    int64_t since[HEALTH_PARTS];     /* wall clock: when it went away */
    struct said said[HEALTH_PARTS];  /* since it was there last */
};

static struct metric ready_metric = {.name = "mms_worker_ready",
                                     .type = "gauge",
                                     .help = "1 if everything the worker depends on is there"};

/* In the order of enum health_part. */
static struct metric part_metrics[HEALTH_PARTS];

#define PLAIN   "text/plain; charset=utf-8"
#define METRICS "text/plain; version=0.0.4; charset=utf-8"

static void reply(struct evhttp_request *request, int status, const char *type, const char *text)
{
    struct evbuffer *body = evbuffer_new();

    evbuffer_add(body, text, strlen(text));
    evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Type", type);
    evhttp_add_header(evhttp_request_get_output_headers(request), "Connection", "close");
    evhttp_send_reply(request, status, NULL, body);
    evbuffer_free(body);
}

static void on_healthz(struct evhttp_request *request, void *arg)
{
    (void)arg;
    reply(request, 200, PLAIN, "ok\n");
}

/* A line of /readyz: what isn't there, why, since when. */
static void describe(const struct health *health, int part, struct buf *text)
{
    char since[CLOCK_TEXT_SIZE];

    buf_printf(text, "%s: %s (since %s, %lld s)\n", part_names[part], health->reasons[part],
               clock_format(health->since[part], since),
               (long long)((clock_wall() - health->since[part]) / CLOCK_SECOND));
}

static void on_readyz(struct evhttp_request *request, void *arg)
{
    const struct health *health = arg;
    struct buf text;

    buf_init(&text, 4096);
    for (int i = 0; i < HEALTH_PARTS; i++) {
        if (health->reasons[i][0] != '\0')
            describe(health, i, &text);
    }
    if (text.length == 0)
        buf_add_string(&text, "ok\n");
    reply(request, health_is_ready(health) ? 200 : 503, PLAIN, text.data);
    buf_release(&text);
}

static void on_metrics(struct evhttp_request *request, void *arg)
{
    struct buf text;

    (void)arg;
    buf_init(&text, METRICS_MAX_BYTES);
    metrics_write(&text);
    reply(request, 200, METRICS, text.data != NULL ? text.data : "");
    buf_release(&text);
}

static void on_other(struct evhttp_request *request, void *arg)
{
    (void)arg;
    reply(request, 404, PLAIN, "not found: there are /healthz, /readyz and /metrics\n");
}

static void begin_parts(struct health *health)
{
    for (int i = 0; i < HEALTH_PARTS; i++) {
        bool tried = i == HEALTH_TWILIO || i == HEALTH_STOPPING;

        snprintf(health->reasons[i], sizeof health->reasons[i], "%s", tried ? "" : "not tried yet");
        health->since[i] = clock_wall();
        part_metrics[i] = (struct metric){
            .name = "mms_part_ready",
            .type = "gauge",
            .help = "1 if this part of what the worker depends on is there; /readyz says why not",
            .labels = {"part", part_names[i]},
            .value = tried};
        if (i != HEALTH_STOPPING)
            metrics_register(&part_metrics[i]);
    }
    metrics_register(&ready_metric);
}

struct health *health_open(struct event_base *base, const char *listen, char *error,
                           size_t error_size)
{
    struct health *health = mem_zalloc(sizeof *health);
    struct evhttp_bound_socket *socket;

    begin_parts(health);
    health->server = evhttp_new(base);
    evhttp_set_allowed_methods(health->server, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD);
    evhttp_set_max_headers_size(health->server, REQUEST_MAX_BYTES);
    evhttp_set_max_body_size(health->server, REQUEST_MAX_BYTES);
    evhttp_set_timeout(health->server, 10);
    health->visitors = visitors_new(base, health->server, CONNECTIONS_MAX, CONNECTION_LIFE);
    evhttp_set_cb(health->server, "/healthz", on_healthz, health);
    evhttp_set_cb(health->server, "/readyz", on_readyz, health);
    evhttp_set_cb(health->server, "/metrics", on_metrics, health);
    evhttp_set_gencb(health->server, on_other, health);
    socket = listen_http(health->server, listen);
    if (socket == NULL) {
        snprintf(error, error_size, "MMS_HTTP_LISTEN: cannot listen on %s", listen);
        health_close(health);
        return NULL;
    }
    log_info("listening", log_int("port", listen_port(socket)));
    return health;
}

void health_close(struct health *health)
{
    if (health == NULL)
        return;
    evhttp_free(health->server);
    visitors_free(health->visitors);
    free(health);
}

bool health_is_ready(const struct health *health)
{
    for (int i = 0; i < HEALTH_PARTS; i++) {
        if (health->reasons[i][0] != '\0')
            return false;
    }
    return true;
}

void health_set(struct health *health, enum health_part part, const char *reason)
{
    char *held = health->reasons[part];

    if (strcmp(held, reason != NULL ? reason : "") == 0)
        return;
    if (held[0] == '\0')
        health->since[part] = clock_wall();
    snprintf(held, sizeof health->reasons[part], "%s", reason != NULL ? reason : "");
    ready_metric.value = health_is_ready(health);
    part_metrics[part].value = reason == NULL;
    if (part == HEALTH_STOPPING)
        return;
    if (reason == NULL) {
        said_forget(&health->said[part]);
        log_info("ready", log_str("part", part_names[part]));
    } else {
        log_news(said_is_new(&health->said[part], reason), "not ready, trying again",
                 log_str("part", part_names[part]), log_str("reason", reason));
    }
}
