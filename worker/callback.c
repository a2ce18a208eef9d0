#include "worker/callback.h"

#include <event2/buffer.h>
#include <event2/http.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/clock.h"
#include "common/form.h"
#include "common/json.h"
#include "common/listen.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "worker/attempt_id.h"
#include "worker/callback_form.h"
#include "worker/signature.h"
#include "worker/visitors.h"

#define HEADERS_MAX_BYTES 16384
#define BODY_MAX_BYTES    16384
#define PARAMETERS_MAX    100
#define CONNECTIONS_MAX   256
#define IDLE_SECONDS      10
#define CONNECTION_LIFE   (30 * CLOCK_SECOND)
/* Refusals are one line in so long. */
#define SAY_INTERVAL (60 * CLOCK_SECOND)

/* What an unknown account's signature is compared with, so that it takes as long. */
#define NOBODYS_TOKEN "00000000000000000000000000000000"

enum result { TAKEN, REFUSED, MALFORMED, FOREIGN, BUSY };

#define CALLBACKS                                     \
    .name = "mms_callbacks_total", .type = "counter", \
    .help = "Status callbacks of Twilio, by what became of them"

/* In the order of enum result. */
static struct metric result_metrics[] = {
    {CALLBACKS, .labels = {"result", "taken"}},     {CALLBACKS, .labels = {"result", "refused"}},
    {CALLBACKS, .labels = {"result", "malformed"}}, {CALLBACKS, .labels = {"result", "foreign"}},
    {CALLBACKS, .labels = {"result", "busy"}},
};

struct callback {
    struct callback_options options;
    char *url; /* that Twilio was given, without its query */
    struct evhttp *server;
    struct evhttp_bound_socket *socket; /* NULL once it is closed */
    struct visitors *visitors;
    int64_t say_at;  /* monotonic: when the next refusal may be said */
    int64_t refused; /* since one was said */
};

/* A request as it is being judged. What it points to is the request's, except the form. */
struct incoming {
    const char *query; /* without its '?'; "" if there is none */
    const char *signature;
    const char *body;
    size_t length;
    bool is_json;
    json_t *json; /* what a JSON body's form points into */
    struct form form;
    const char *token; /* that signed it; the accounts' */
};

/* ---- answers ---- */

static void answer(struct evhttp_request *request, enum result result, int status, const char *text)
{
    struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
    struct evbuffer *body = NULL;

    result_metrics[result].value++;
    evhttp_add_header(headers, "Connection", "close");
    if (text != NULL) {
        body = evbuffer_new();
        evbuffer_add(body, text, strlen(text));
        evhttp_add_header(headers, "Content-Type", "text/plain; charset=utf-8");
    }
    evhttp_send_reply(request, status, NULL, body);
    if (body != NULL)
        evbuffer_free(body);
}

static void malformed(struct evhttp_request *request, int status, const char *why)
{
    log_debug("malformed status callback", log_int("http_status", status), log_str("reason", why));
    answer(request, MALFORMED, status, "not a status callback\n");
}

/* The log may know why; the answer doesn't. */
static void refuse(struct callback *callback, struct evhttp_request *request, const char *why,
                   const char *account_sid)
{
    int64_t now = clock_now();

    callback->refused++;
    if (now >= callback->say_at) {
        log_warn("status callbacks refused", log_int("count", callback->refused),
                 log_str("last_reason", why), log_str("last_account_sid", account_sid));
        callback->say_at = now + SAY_INTERVAL;
        callback->refused = 0;
    }
    answer(request, REFUSED, 403, "refused\n");
}

/* ---- what is asked ---- */

/* The value of the last parameter `name` in a query, as it stands there; NULL if there is none. */
static const char *query_value(const char *query, const char *name, size_t *ret_length)
{
    size_t name_length = strlen(name);
    const char *value = NULL;

    *ret_length = 0;
    while (*query != '\0') {
        size_t length = strcspn(query, "&");

        if (length > name_length && strncmp(query, name, name_length) == 0 &&
            query[name_length] == '=') {
            value = query + name_length + 1;
            *ret_length = length - name_length - 1;
        }
        query += length + (query[length] == '&');
    }
    return value;
}

static bool is_media_type(const char *header, const char *type)
{
    size_t length = strcspn(header, "; \t");

    return length == strlen(type) && strncasecmp(header, type, length) == 0;
}

/* Whether its content is of a kind that can be signed. */
static bool judge_type(struct incoming *in, const char *type)
{
    size_t length;

    if (type == NULL)
        return false;
    in->is_json = is_media_type(type, "application/json") &&
                  query_value(in->query, "bodySHA256", &length) != NULL;
    return in->is_json || is_media_type(type, "application/x-www-form-urlencoded");
}

/* The texts of a JSON object as if they had come as a form. */
static bool take_json(struct incoming *in)
{
    const char *name;
    json_t *value;

    if (json_parse(in->body, in->length, &in->json, NULL, 0) != JSON_OK ||
        !json_is_object(in->json) || json_object_size(in->json) > PARAMETERS_MAX)
        return false;
    in->form.pairs = mem_zalloc(json_object_size(in->json) * sizeof *in->form.pairs);
    json_object_foreach(in->json, name, value)
    {
        if (json_is_string(value))
            in->form.pairs[in->form.count++] =
                (struct form_pair){.name = name, .value = json_string_value(value)};
    }
    return true;
}

static bool take_form(struct incoming *in)
{
    return in->is_json ? take_json(in)
                       : form_parse(in->body, in->length, PARAMETERS_MAX, &in->form);
}

/* ---- whether it is Twilio ---- */

static bool is_body_signed(const struct incoming *in)
{
    size_t length;
    const char *sha256 = query_value(in->query, "bodySHA256", &length);

    return signature_body_matches(sha256, length, in->body, in->length);
}

static void texts_of(const struct callback *callback, const struct incoming *in,
                     struct signature_texts *ret_texts)
{
    char *url = mem_printf("%s%s%s", callback->url, in->query[0] != '\0' ? "?" : "", in->query);

    signature_texts_init(ret_texts, url, in->is_json ? NULL : &in->form);
    free(url);
}

/* NULL if the account's owner signed it; otherwise what is wrong, static. */
static const char *signature_fault(const struct callback *callback, struct incoming *in,
                                   const char *account_sid)
{
    const char *tokens[TOKENS_OF_ACCOUNT] = {NOBODYS_TOKEN};
    int known = accounts_tokens(callback->options.accounts, account_sid, tokens);
    struct signature_texts texts;

    texts_of(callback, in, &texts);
    for (int i = 0; i < (known > 0 ? known : 1); i++) {
        if (signature_matches(&texts, tokens[i], in->signature))
            in->token = tokens[i];
    }
    if (in->is_json && !is_body_signed(in))
        in->token = NULL;
    signature_texts_release(&texts);
    if (known == 0)
        return "no destination has this account";
    if (in->token != NULL)
        return NULL;
    return in->signature != NULL ? "wrong signature" : "no signature";
}

/* ---- a request ---- */

/* What it says in words is kept. */
static void hide_token(struct status *status, const char *token)
{
    struct redactor *redactor = redactor_new();

    redactor_add(redactor, token);
    status_redact(status, redactor);
    redactor_free(redactor);
}

/* It is Twilio's: is it about an attempt of ours? */
static void receive(struct callback *callback, struct evhttp_request *request,
                    const struct incoming *in, struct attempt_id *id)
{
    struct status *status;

    if (id->destination_id == NULL) {
        log_debug("status callback without an attempt ignored",
                  log_str("message_sid", form_only(&in->form, "MessageSid")));
        answer(request, FOREIGN, 204, NULL);
        return;
    }
    if (!callback->options.has_room(callback->options.arg)) {
        answer(request, BUSY, 503, "busy\n");
        return;
    }
    status = callback_form_status(&in->form, id);
    status->signers = accounts_signers(callback->options.accounts, status->account_sid, in->token);
    hide_token(status, in->token);
    answer(request, TAKEN, 204, NULL);
    callback->options.received(callback->options.arg, status);
}

static void judge(struct callback *callback, struct evhttp_request *request, struct incoming *in,
                  struct attempt_id *id)
{
    const char *account_sid = form_only(&in->form, "AccountSid");
    const char *fault;

    /* Before everything has been read once, an unknown account may be a known one. */
    if (!accounts_loaded(callback->options.accounts)) {
        answer(request, BUSY, 503, "busy\n");
        return;
    }
    fault = signature_fault(callback, in, account_sid);
    if (fault != NULL)
        refuse(callback, request, fault, account_sid);
    else
        receive(callback, request, in, id);
}

static void judge_form(struct callback *callback, struct evhttp_request *request,
                       struct incoming *in)
{
    struct attempt_id id = {.destination_id = NULL};
    size_t length;
    const char *attempt = query_value(in->query, ATTEMPT_ID_PARAMETER, &length);
    const char *fault = callback_form_fault(&in->form);

    if (fault == NULL && attempt != NULL && !attempt_id_parse(attempt, length, &id))
        fault = "the attempt in its query is none that we wrote";
    if (fault != NULL)
        malformed(request, 400, fault);
    else
        judge(callback, request, in, &id);
    attempt_id_release(&id);
}

static void take_body(struct incoming *in, struct evhttp_request *request)
{
    struct evbuffer *body = evhttp_request_get_input_buffer(request);

    in->length = evbuffer_get_length(body);
    in->body = in->length > 0 ? (const char *)evbuffer_pullup(body, -1) : "";
}

/* The cheapest first. */
static void on_request(struct evhttp_request *request, void *arg)
{
    struct callback *callback = arg;
    struct evkeyvalq *headers = evhttp_request_get_input_headers(request);
    const char *target = evhttp_request_get_uri(request);
    const char *query = strchr(target, '?');
    struct incoming in = {.query = query != NULL ? query + 1 : "",
                          .signature = evhttp_find_header(headers, "X-Twilio-Signature")};

    if (evhttp_request_get_command(request) != EVHTTP_REQ_POST) {
        evhttp_add_header(evhttp_request_get_output_headers(request), "Allow", "POST");
        malformed(request, 405, "not a POST");
        return;
    }
    /* A fragment isn't signed, so nobody must find an attempt in it; and no client sends one. */
    if (strchr(target, '#') != NULL) {
        malformed(request, 400, "a fragment in its request target");
        return;
    }
    if (!judge_type(&in, evhttp_find_header(headers, "Content-Type"))) {
        malformed(request, 415, "neither a form nor a signed JSON body");
        return;
    }
    take_body(&in, request);
    if (take_form(&in))
        judge_form(callback, request, &in);
    else
        malformed(request, 400, "its parameters can't be read");
    form_release(&in.form);
    json_decref(in.json);
}

/* ---- opening and closing ---- */

/* Up to its query, as it is before every attempt's parameter. */
static char *without_query(const char *callback_url)
{
    char *url = attempt_id_url(callback_url, "-", 1, 1);

    url[strcspn(url, "?")] = '\0';
    return url;
}

static void open_server(struct callback *callback)
{
    struct evhttp *server = evhttp_new(callback->options.base);

    /* Methods are judged here: evhttp would answer 501. */
    evhttp_set_allowed_methods(server, UINT16_MAX);
    evhttp_set_max_headers_size(server, HEADERS_MAX_BYTES);
    evhttp_set_max_body_size(server, BODY_MAX_BYTES);
    evhttp_set_timeout(server, IDLE_SECONDS);
    /* Reads what is too long to its end, or who sends it would never read the 413. */
    evhttp_set_flags(server, EVHTTP_SERVER_LINGERING_CLOSE);
    evhttp_set_gencb(server, on_request, callback);
    callback->server = server;
    callback->visitors =
        visitors_new(callback->options.base, server, CONNECTIONS_MAX, CONNECTION_LIFE);
}

struct callback *callback_open(const struct callback_options *options, char *error,
                               size_t error_size)
{
    struct callback *callback = mem_zalloc(sizeof *callback);

    metrics_register_all(result_metrics, sizeof result_metrics / sizeof result_metrics[0]);
    callback->options = *options;
    callback->url = without_query(options->url);
    open_server(callback);
    callback->socket = listen_http(callback->server, options->listen);
    if (callback->socket == NULL) {
        snprintf(error, error_size, "MMS_CALLBACK_LISTEN: cannot listen on %s", options->listen);
        callback_close(callback);
        return NULL;
    }
    log_info("listening for callbacks", log_int("port", listen_port(callback->socket)));
    return callback;
}

void callback_stop(struct callback *callback)
{
    if (callback == NULL || callback->socket == NULL)
        return;
    evhttp_del_accept_socket(callback->server, callback->socket);
    callback->socket = NULL;
}

void callback_close(struct callback *callback)
{
    if (callback == NULL)
        return;
    evhttp_free(callback->server);
    visitors_free(callback->visitors);
    free(callback->url);
    free(callback);
}
