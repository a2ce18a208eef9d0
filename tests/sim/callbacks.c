#include "callbacks.h"

#include <event2/event.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "callback_url.h"
#include "http_client.h"
#include "rng.h"
#include "signature.h"

enum { RETRY_AFTER_MS = 100 };

struct callback {
    struct callbacks *owner;
    struct message *message;
    struct callback_options options; /* without `extra`: it is in `params` */
    struct params params;
    char *status;
    struct callback *next;   /* waits for this one; NULL: none */
    struct callback_url url; /* from here on: once it has begun */
    char token[33];          /* the same on every attempt */
    char *signature;         /* NULL: none */
    int attempts;
    int answer; /* HTTP status; 0: none */
    int64_t began_at, ended_at;
    bool done;
    struct event *timer; /* for the delay, and between attempts */
    struct http_post *post;
};

struct callback_list {
    struct callback **items;
    size_t count, cap;
};

struct callbacks {
    struct event_base *base;
    const struct wall *wall;
    const struct twilio_auth *auth;
    struct rng rng; /* for tokens */
    struct callback_list all;
    struct callback_list begun; /* the log */
    size_t open;
};

static int64_t machine_time(void)
{
    return wall_now(&(struct wall){0});
}

static void list_add(struct callback_list *list, struct callback *cb)
{
    if (list->count == list->cap) {
        list->cap = list->cap == 0 ? 64 : list->cap * 2;
        list->items = text_realloc(list->items, list->cap * sizeof(struct callback *));
    }
    list->items[list->count++] = cb;
}

struct callbacks *callbacks_new(struct event_base *base, const struct wall *wall,
                                const struct twilio_auth *auth)
{
    struct callbacks *c = text_alloc_zeroed(sizeof(*c));

    c->base = base;
    c->wall = wall;
    c->auth = auth;
    rng_init_random(&c->rng);
    return c;
}

static void callback_free(struct callback *cb)
{
    if (cb->timer != NULL)
        event_free(cb->timer);
    if (cb->post != NULL)
        http_post_cancel(cb->post);
    callback_url_release(&cb->url);
    params_release(&cb->params);
    free(cb->status);
    free(cb->signature);
    free(cb);
}

void callbacks_reset(struct callbacks *c)
{
    for (size_t i = 0; i < c->all.count; i++)
        callback_free(c->all.items[i]);
    free(c->all.items);
    free(c->begun.items);
    c->all = (struct callback_list){0};
    c->begun = (struct callback_list){0};
    c->open = 0;
}

void callbacks_free(struct callbacks *c)
{
    callbacks_reset(c);
    free(c);
}

size_t callbacks_open(const struct callbacks *c)
{
    return c->open;
}

/* YYMMDDhhmm; only final reports of carriers have it. */
static void add_report_date(struct params *p, const struct wall *wall, const char *status)
{
    time_t second = (time_t)(wall_now(wall) / 1000000000);
    char date[16];
    struct tm parts;

    if (strcmp(status, "delivered") != 0 && strcmp(status, "undelivered") != 0)
        return;
    gmtime_r(&second, &parts);
    strftime(date, sizeof(date), "%y%m%d%H%M", &parts);
    params_add(p, "RawDlrDoneDate", date);
}

static void add_error(struct params *p, const struct message *m)
{
    char digits[16];

    if (m->error_code == 0)
        return;
    snprintf(digits, sizeof(digits), "%d", m->error_code);
    params_add(p, "ErrorCode", digits);
    params_add(p, "ErrorMessage", m->error_message);
}

static void add_message(struct params *p, const struct message *m)
{
    params_add(p, "AccountSid", m->account);
    params_add(p, "ApiVersion", "2010-04-01");
    params_add(p, "From", m->from);
    params_add(p, "To", m->to);
    params_add(p, "MessageSid", m->sid);
    params_add(p, "SmsSid", m->sid);
    params_add(p, "MessageStatus", m->status);
    params_add(p, "SmsStatus", m->status);
    params_add(p, "MessagingServiceSid", m->service);
}

static void on_timer(evutil_socket_t fd, short what, void *arg);

struct callback *callbacks_prepare(struct callbacks *c, struct message *m,
                                   const struct callback_options *options)
{
    struct callback *cb = text_alloc_zeroed(sizeof(*cb));

    cb->owner = c;
    cb->message = m;
    cb->options = *options;
    cb->options.extra = (struct params){0};
    cb->status = text_copy(m->status);
    cb->timer = evtimer_new(c->base, on_timer, cb);
    add_message(&cb->params, m);
    add_error(&cb->params, m);
    add_report_date(&cb->params, c->wall, m->status);
    params_add_all(&cb->params, &options->extra);
    rng_hex32(&c->rng, cb->token);
    list_add(&c->all, cb);
    c->open++;
    return cb;
}

static void begin(struct callback *cb);

static void end(struct callback *cb)
{
    cb->done = true;
    cb->ended_at = machine_time();
    cb->owner->open--;
    if (cb->next != NULL)
        begin(cb->next);
}

static void wait_for(struct callback *cb, int64_t ms)
{
    struct timeval wait = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

    evtimer_add(cb->timer, &wait);
}

static bool deserves_retry(const struct callback *cb, enum http_post_outcome outcome)
{
    unsigned failure = outcome == POST_NOT_CONNECTED ? RETRY_CONNECT
                       : outcome == POST_NO_ANSWER   ? RETRY_READ
                       : cb->answer >= 500           ? RETRY_5XX
                       : cb->answer >= 400           ? RETRY_4XX
                                                     : 0;

    return (cb->url.retry_on & failure) != 0 && cb->attempts <= cb->url.retries;
}

static void on_result(void *arg, enum http_post_outcome outcome, int status)
{
    struct callback *cb = arg;

    cb->post = NULL;
    cb->answer = status;
    if (deserves_retry(cb, outcome))
        wait_for(cb, RETRY_AFTER_MS);
    else
        end(cb);
}

/* A bad one is right in form: it is made with another key. */
static void sign(struct callback *cb)
{
    const char *token = twilio_auth_token(cb->owner->auth, cb->message->account);
    struct text key = {0};
    struct text signature = {0};

    free(cb->signature);
    cb->signature = NULL;
    if (token == NULL || cb->options.signature == SIGNATURE_ABSENT)
        return;
    text_add_string(&key, token);
    if (cb->options.signature == SIGNATURE_BAD)
        text_add_string(&key, " but another");
    signature_add(&signature, key.data, cb->url.without_hash, &cb->params);
    cb->signature = signature.data;
    text_release(&key);
}

static void add_request(struct text *out, const struct callback *cb)
{
    struct text form = {0};

    params_encode(&form, &cb->params);
    text_addf(out,
              "POST %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: TwilioProxy/1.1\r\nAccept: */*\r\n"
              "Connection: close\r\n"
              "Content-Type: application/x-www-form-urlencoded; charset=UTF-8\r\n"
              "Content-Length: %zu\r\n",
              cb->url.target, cb->url.authority, form.len);
    if (cb->signature != NULL)
        text_addf(out, "X-Twilio-Signature: %s\r\n", cb->signature);
    if (cb->attempts > 1)
        text_addf(out, "I-Twilio-Idempotency-Token: %s\r\n", cb->token);
    text_add_string(out, "\r\n");
    text_add(out, form.data, form.len);
    text_release(&form);
}

static void attempt(struct callback *cb)
{
    struct text request = {0};

    cb->attempts++;
    sign(cb);
    add_request(&request, cb);
    cb->post = http_post_start(cb->owner->base, cb->url.host, cb->url.port, &request,
                               cb->url.connect_ms, cb->url.read_ms, on_result, cb);
    text_release(&request);
    if (cb->post == NULL)
        on_result(cb, POST_NOT_CONNECTED, 0);
}

static void begin(struct callback *cb)
{
    cb->began_at = machine_time();
    list_add(&cb->owner->begun, cb);
    if (callback_url_parse(&cb->url, cb->message->callback))
        attempt(cb);
    else
        end(cb);
}

static void take_turn(struct callback *cb)
{
    struct callback *before = cb->message->last_callback;

    if (!cb->options.parallel)
        cb->message->last_callback = cb;
    if (!cb->options.parallel && before != NULL && !before->done)
        before->next = cb;
    else
        begin(cb);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct callback *cb = arg;

    (void)fd;
    (void)what;
    if (cb->began_at == 0)
        take_turn(cb);
    else
        attempt(cb);
}

void callback_send(struct callback *cb)
{
    if (cb->options.delay_ms > 0)
        wait_for(cb, cb->options.delay_ms);
    else
        take_turn(cb);
}

static void add_params(struct text *out, const struct params *params)
{
    text_add_string(out, ",\"params\":[");
    for (size_t i = 0; i < params->count; i++) {
        text_add_string(out, i > 0 ? ",[" : "[");
        text_add_json(out, params->items[i].name);
        text_add_char(out, ',');
        text_add_json(out, params->items[i].value);
        text_add_char(out, ']');
    }
    text_add_char(out, ']');
}

static void add_entry(struct text *out, uint64_t n, const struct callback *cb)
{
    text_addf(out, "{\"n\":%" PRIu64 ",\"sid\":\"%s\",\"status\":", n, cb->message->sid);
    text_add_json(out, cb->status);
    text_add_string(out, ",\"url\":");
    text_add_json(out, cb->message->callback);
    add_params(out, &cb->params);
    text_add_string(out, ",\"signature\":");
    text_add_json(out, cb->signature);
    text_addf(out, ",\"attempts\":%d,\"http_status\":", cb->attempts);
    if (cb->answer == 0)
        text_add_string(out, "null");
    else
        text_addf(out, "%d", cb->answer);
    text_addf(out, ",\"done\":%s,\"at\":%" PRId64 ".%06" PRId64 ",\"duration_ms\":",
              cb->done ? "true" : "false", cb->began_at / 1000000000,
              cb->began_at / 1000 % 1000000);
    if (cb->done)
        text_addf(out, "%.3f}", (double)(cb->ended_at - cb->began_at) / 1e6);
    else
        text_add_string(out, "null}");
}

bool callbacks_report(struct text *out, const struct callbacks *c, uint64_t since, uint64_t limit)
{
    uint64_t n = since;
    uint64_t written = 0;

    text_add_char(out, '[');
    for (; n < c->begun.count && written < limit; n++) {
        if (written++ > 0)
            text_add_string(out, ",\n");
        add_entry(out, n + 1, c->begun.items[n]);
    }
    text_add_char(out, ']');
    return n < c->begun.count;
}
