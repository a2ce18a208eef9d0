#include "twilio_api.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

#include "fault_reply.h"
#include "text.h"
#include "twilio_request.h"
#include "twilio_resource.h"

/* A request on its way. It goes through the stages in this order, skipping those that need no
 * waiting: CALL_HUNG      waits for its rule to be removed, or its client to go away CALL_DELAYED
 * waits out a delay before Twilio handles it CALL_ANSWERING is handled, and waits out the latency
 * (and an accept_first delay) before its answer */
struct call {
    TAILQ_ENTRY(call) link;
    struct twilio_api *api;
    struct http_exchange *ex;
    struct twilio_request req;
    struct fault *rule; /* NULL: none; holds a reference */
    struct reply reply;
    uint64_t log_handle;
    struct event *timer; /* NULL until one is needed */
    enum { CALL_HUNG, CALL_DELAYED, CALL_ANSWERING } stage;
};

struct twilio_api {
    struct event_base *base;
    struct wall *wall;
    struct store *store;
    struct faults *faults;
    struct requests_log *log;
    struct twilio_auth *auth;
    struct opt_outs opt_outs;
    struct callbacks *callbacks;
    struct lives *lives;
    int64_t latency_ms;
    struct rng rng; /* for request ids */
    TAILQ_HEAD(call_list, call) calls;
    unsigned calls_count;
};

struct twilio_api *twilio_api_new(struct event_base *base, struct wall *wall)
{
    struct twilio_api *api = text_alloc_zeroed(sizeof(*api));

    api->base = base;
    api->wall = wall;
    api->store = store_new(wall);
    api->faults = faults_new();
    api->log = requests_log_new();
    api->auth = twilio_auth_new();
    api->callbacks = callbacks_new(base, wall, api->auth);
    api->lives = lives_new(base, api->store, api->callbacks);
    rng_init_random(&api->rng);
    TAILQ_INIT(&api->calls);
    return api;
}

/* Frees a call whose exchange has been ended. */
static void call_free(struct call *c)
{
    TAILQ_REMOVE(&c->api->calls, c, link);
    c->api->calls_count--;
    if (c->timer != NULL)
        event_free(c->timer);
    twilio_request_release(&c->req);
    reply_release(&c->reply);
    fault_unref(c->rule);
    free(c);
}

static void drop_all_calls(struct twilio_api *api)
{
    struct call *c;

    while ((c = TAILQ_FIRST(&api->calls)) != NULL) {
        struct http_exchange *ex = c->ex; /* NOLINT(clang-analyzer-unix.Malloc) */

        call_free(c);
        http_exchange_drop(ex, false);
    }
}

void twilio_api_free(struct twilio_api *api)
{
    drop_all_calls(api);
    lives_free(api->lives);
    callbacks_free(api->callbacks);
    opt_outs_clear(&api->opt_outs);
    store_free(api->store);
    faults_free(api->faults);
    requests_log_free(api->log);
    twilio_auth_free(api->auth);
    free(api);
}

void twilio_api_reset(struct twilio_api *api)
{
    drop_all_calls(api);
    lives_reset(api->lives);
    callbacks_reset(api->callbacks);
    opt_outs_clear(&api->opt_outs);
    store_reset(api->store);
    faults_clear(api->faults);
    requests_log_reset(api->log);
    twilio_auth_reset(api->auth);
    api->latency_ms = 0;
    api->wall->offset = 0;
}

/* The headers that the real API puts on every answer of its own. */
static void add_twilio_headers(struct call *c, struct text *headers)
{
    struct timespec now;
    char id[33];
    int64_t took;

    clock_gettime(CLOCK_REALTIME, &now);
    took = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec - c->req.http->arrived_at;
    if (took < 0)
        took = 0;
    rng_hex32(&c->api->rng, id);
    text_addf(headers,
              "Twilio-Request-Id: RQ%s\r\nTwilio-Concurrent-Requests: %u\r\n"
              "Twilio-Request-Duration: %d.%03d\r\nX-Home-Region: us1\r\n"
              "X-API-Domain: api.twilio.com\r\nX-Powered-By: AT-5000\r\nX-Shenanigans: none\r\n",
              id, c->api->calls_count, (int)(took / 1000000000), (int)(took / 1000000 % 1000));
}

/* Sends the reply in the manner that the rule wants, and ends the call. */
static void call_finish(struct call *c)
{
    struct http_exchange *ex = c->ex;
    struct http_answer answer = {.status = c->reply.status,
                                 .content_type = c->reply.content_type,
                                 .body_len = c->reply.body.len};
    enum fault_ending ending = fault_reply_ending(c->rule);
    struct requests_log *log = c->api->log;
    uint64_t handle = c->log_handle;

    if (ending != ENDING_ANSWER) {
        call_free(c);
        http_exchange_drop(ex, ending == ENDING_RESET);
        return;
    }
    add_twilio_headers(c, &c->reply.headers);
    answer.headers = text_string(&c->reply.headers);
    answer.body = text_string(&c->reply.body);
    fault_reply_cut(&answer, c->rule);
    /* The log first: whoever has the answer may ask for the log. */
    if (http_exchange_connected(ex))
        requests_log_set_status(log, handle, answer.status);
    /* The answer quotes the call, and sending it may start the connection's next one: free it
     * after. */
    http_exchange_answer(ex, &answer);
    call_free(c);
}

static void call_handle(struct call *c);

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct call *c = arg;

    (void)fd;
    (void)what;
    if (c->stage == CALL_DELAYED)
        call_handle(c);
    else
        call_finish(c);
}

static void call_wait(struct call *c, int64_t ms)
{
    struct timeval wait = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

    if (c->timer == NULL)
        c->timer = evtimer_new(c->api->base, on_timer, c);
    evtimer_add(c->timer, &wait);
}

/* Does what Twilio does, and then what the rule makes of it. */
static void call_handle(struct call *c)
{
    struct twilio_api *api = c->api;
    struct twilio twilio = {.store = api->store, .auth = api->auth, .opt_outs = &api->opt_outs};
    int64_t wait = api->latency_ms;

    c->stage = CALL_ANSWERING;
    if (fault_reply_wants_handling(c->rule))
        twilio_resource_handle(&c->reply, &c->req, &twilio);
    if (c->reply.created != NULL) {
        requests_log_set_sid(api->log, c->log_handle, c->reply.created->sid);
        lives_start(api->lives, c->reply.created); /* whenever the answer comes, if at all */
    }
    fault_reply_apply(&c->reply, c->rule, &c->req);
    if (c->rule != NULL && c->rule->kind == FAULT_DELAY && c->rule->accept_first)
        wait += c->rule->ms;
    if (wait > 0)
        call_wait(c, wait);
    else
        call_finish(c);
}

/* A hung request whose client gives up is forgotten; all others are carried on with, as Twilio
 * does. */
static void on_gone(struct http_exchange *ex, void *arg)
{
    struct call *c = arg;

    if (c->stage != CALL_HUNG)
        return;
    call_free(c);
    http_exchange_drop(ex, false);
}

static void call_start(struct call *c)
{
    if (c->rule != NULL && c->rule->kind == FAULT_HANG) {
        c->stage = CALL_HUNG;
    } else if (c->rule != NULL && c->rule->kind == FAULT_DELAY && !c->rule->accept_first) {
        c->stage = CALL_DELAYED;
        call_wait(c, c->rule->ms);
    } else {
        call_handle(c);
    }
}

static struct fault *choose_rule(struct call *c)
{
    struct fault_subject subject = {.params = {.account = c->req.account,
                                               .to = form_get(&c->req.params, "To"),
                                               .from = form_get(&c->req.params, "From"),
                                               .body = form_get(&c->req.params, "Body")},
                                    .method = c->req.http->method,
                                    .nth = c->req.http->nth};
    struct fault *rule = faults_choose(c->api->faults, &subject);

    if (rule != NULL)
        requests_log_set_fault(c->api->log, c->log_handle, fault_kind_name(rule->kind));
    if (rule != NULL && rule->kind == FAULT_XML)
        c->req.format = RENDER_XML;
    return rule;
}

void twilio_api_handle(struct twilio_api *api, struct http_exchange *ex)
{
    struct call *c = text_alloc_zeroed(sizeof(*c));
    const char *user;

    c->api = api;
    c->ex = ex;
    TAILQ_INSERT_TAIL(&api->calls, c, link);
    api->calls_count++;
    twilio_request_parse(&c->req, http_exchange_request(ex));
    user = c->req.credentials.user == NULL ? "" : c->req.credentials.user;
    c->log_handle = requests_log_add(api->log, c->req.http, c->req.account, user);
    http_exchange_on_gone(ex, on_gone, c);
    c->rule = choose_rule(c);
    call_start(c);
}

void twilio_api_set_latency(struct twilio_api *api, int64_t ms)
{
    api->latency_ms = ms;
}

void twilio_api_set_clock(struct twilio_api *api, int64_t offset_ms)
{
    api->wall->offset = offset_ms * 1000000;
}

void twilio_api_release_hung(struct twilio_api *api, uint64_t id)
{
    struct call *c = TAILQ_FIRST(&api->calls);

    while (c != NULL) {
        struct call *next = TAILQ_NEXT(c, link);

        if (c->stage == CALL_HUNG && (id == 0 || c->rule->id == id))
            call_handle(c);
        c = next;
    }
}

struct store *twilio_api_store(struct twilio_api *api)
{
    return api->store;
}

struct faults *twilio_api_faults(struct twilio_api *api)
{
    return api->faults;
}

struct requests_log *twilio_api_log(struct twilio_api *api)
{
    return api->log;
}

struct twilio_auth *twilio_api_auth(struct twilio_api *api)
{
    return api->auth;
}

struct lives *twilio_api_lives(struct twilio_api *api)
{
    return api->lives;
}

struct callbacks *twilio_api_callbacks(struct twilio_api *api)
{
    return api->callbacks;
}

struct opt_outs *twilio_api_opt_outs(struct twilio_api *api)
{
    return &api->opt_outs;
}
