#include "worker/twilio.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#include "common/http.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/url.h"
#include "worker/attempt_id.h"

#define FORM_MAX_BYTES     ((size_t)256 << 10)
#define EVIDENCE_MAX_BYTES ((size_t)64 << 10)
#define CALLBACK_PARAMETER "StatusCallback"

static void add_to_form(struct buf *form, const char *name, const char *value)
{
    char *escaped;

    if (value == NULL)
        return;
    escaped = curl_easy_escape(NULL, value, (int)strlen(value));
    buf_printf(form, "%s%s=%s", form->length > 0 ? "&" : "", name, escaped != NULL ? escaped : "");
    curl_free(escaped);
}

/* Who is called back may want to see a key in the query. */
static void add_callback(struct buf *json, const char *name, const char *url)
{
    struct buf shown;

    buf_init(&shown, EVIDENCE_MAX_BYTES);
    url_show(&shown, url, ATTEMPT_ID_PARAMETER);
    json_add_text(json, name, shown.data);
    buf_release(&shown);
}

static void add_to_json(struct buf *json, const char *name, const char *value)
{
    if (value != NULL && strcmp(name, CALLBACK_PARAMETER) == 0)
        add_callback(json, name, value);
    else if (value != NULL)
        json_add_text(json, name, value);
}

/* What a request is made of; the form and the evidence say the same. */
struct parts {
    const struct destination *destination;
    const struct message *message;
    const char *status_callback; /* ours; NULL if the destination has its own, or there is none */
};

/* Adds a parameter unless its value is NULL. */
typedef void add_fn(struct buf *out, const char *name, const char *value);

/* What comes before the media. */
static void add_message(const struct parts *parts, struct buf *out, add_fn *add)
{
    add(out, "To", parts->message->to);
    add(out, "From", parts->destination->from);
    add(out, "MessagingServiceSid", parts->destination->messaging_service_sid);
    add(out, "Body", parts->message->body);
}

/* What comes behind them. */
static void add_options(const struct parts *parts, struct buf *out, add_fn *add)
{
    const struct options *options = &parts->destination->options;

    add(out, CALLBACK_PARAMETER, parts->status_callback);
    for (int i = 0; i < options->count; i++) {
        /* The row's wish is for MMS; what is sent as SMS is sent so because that failed. */
        if (!parts->message->sms || strcmp(options->list[i].name, "SendAsMms") != 0)
            add(out, options->list[i].name, options->list[i].value);
    }
}

static void build_form(const struct parts *parts, struct twilio_request *request)
{
    const struct message *message = parts->message;
    struct buf form;

    buf_init(&form, FORM_MAX_BYTES);
    add_message(parts, &form, add_to_form);
    for (int i = 0; i < message->media_count; i++)
        add_to_form(&form, "MediaUrl", message->media_urls[i]);
    add_options(parts, &form, add_to_form);
    request->form_length = form.length;
    request->form = buf_detach(&form);
}

static void add_media_to_json(const struct message *message, struct buf *json)
{
    json_add_name(json, "MediaUrl");
    for (int i = 0; i < message->media_count; i++) {
        buf_add_char(json, i == 0 ? '[' : ',');
        json_escape(json, message->media_urls[i]);
    }
    buf_add_string(json, message->media_count > 0 ? "]" : "[]");
}

static void build_evidence(const struct parts *parts, struct twilio_request *request)
{
    struct buf json;

    buf_init(&json, EVIDENCE_MAX_BYTES);
    buf_add_char(&json, '{');
    json_add_text(&json, "method", "POST");
    json_add_text(&json, "url", request->url);
    json_add_name(&json, "parameters");
    buf_add_char(&json, '{');
    add_message(parts, &json, add_to_json);
    if (!parts->message->sms)
        add_media_to_json(parts->message, &json);
    add_options(parts, &json, add_to_json);
    buf_add_string(&json, "}}");
    if (json.overflow) {
        buf_clear(&json);
        buf_add_string(&json, "null");
    }
    request->evidence = buf_detach(&json);
}

/* A destination that says who is to be told is taken at its word. */
static const char *own_callback(const struct destination *destination, const char *status_callback)
{
    const struct options *options = &destination->options;

    if (options_value(options, CALLBACK_PARAMETER) != NULL ||
        options_value(options, "ApplicationSid") != NULL)
        return NULL;
    return status_callback;
}

void twilio_request_build(const char *base_url, const struct destination *destination,
                          const struct message *message, const char *status_callback,
                          struct twilio_request *ret_request)
{
    const struct parts parts = {
        .destination = destination,
        .message = message,
        .status_callback = own_callback(destination, status_callback),
    };

    ret_request->url =
        mem_printf("%s/2010-04-01/Accounts/%s/Messages.json", base_url, destination->account_sid);
    ret_request->user = mem_strdup(destination->user);
    ret_request->password = mem_strdup(destination->password);
    ret_request->redactor = twilio_redactor(destination);
    build_form(&parts, ret_request);
    build_evidence(&parts, ret_request);
}

void twilio_request_release(struct twilio_request *request)
{
    if (request->password != NULL)
        mem_wipe(request->password, strlen(request->password));
    free(request->password);
    redactor_free(request->redactor);
    free(request->url);
    free(request->user);
    free(request->form);
    free(request->evidence);
    *request = (struct twilio_request){.url = NULL};
}

struct redactor *twilio_redactor(const struct destination *destination)
{
    struct redactor *redactor = redactor_new();

    redactor_add_login(redactor, destination->user, destination->password);
    if (strcmp(destination->auth_token, destination->password) != 0)
        redactor_add(redactor, destination->auth_token);
    http_redact_proxies(redactor);
    return redactor;
}
