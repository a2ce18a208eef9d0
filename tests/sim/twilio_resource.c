#include "twilio_resource.h"

#include <string.h>

#include "twilio_create.h"
#include "twilio_list.h"

void reply_release(struct reply *reply)
{
    text_release(&reply->headers);
    text_release(&reply->body);
    *reply = (struct reply){0};
}

void reply_set_error(struct reply *reply, const struct twilio_error *e, enum render_format format)
{
    reply->status = e->status;
    reply->content_type = render_content_type(format);
    text_clear(&reply->body);
    render_error_document(&reply->body, e, format);
    if (e->status == 401)
        text_add_string(&reply->headers, "WWW-Authenticate: Basic realm=\"Twilio API\"\r\n");
}

static void set_message(struct reply *reply, int status, const struct message *m,
                        enum render_format format)
{
    reply->status = status;
    reply->content_type = render_content_type(format);
    render_message_document(&reply->body, m, format, false);
}

static void not_found(struct reply *reply, const struct twilio_request *r)
{
    struct twilio_error e;

    render_set_error(&e, 404, 20404, "The requested resource %s was not found", r->http->path);
    reply_set_error(reply, &e, r->format);
}

static void wrong_method(struct reply *reply, const struct twilio_request *r)
{
    struct twilio_error e;

    render_set_error(&e, 405, 20004, "Method not allowed");
    reply_set_error(reply, &e, r->format);
}

static void create(struct reply *reply, const struct twilio_request *r, const struct twilio *twilio)
{
    struct twilio_error e;

    reply->created = twilio_create(twilio->store, twilio->opt_outs, r->account, &r->params, &e);
    if (reply->created == NULL)
        reply_set_error(reply, &e, r->format);
    else
        set_message(reply, 201, reply->created, r->format);
}

/* Standard API keys may not read it; that Twilio calls an invalid user. */
static void handle_account(struct reply *reply, const struct twilio_request *r)
{
    struct twilio_error e;

    if (strcmp(r->http->method, "GET") != 0) {
        wrong_method(reply, r);
    } else if (strcmp(r->credentials.user, r->account) != 0) {
        render_set_error(&e, 401, 20003, "Authentication Error - invalid username");
        reply_set_error(reply, &e, r->format);
    } else {
        reply->status = 200;
        reply->content_type = render_content_type(r->format);
        render_account_document(&reply->body, r->account, r->format);
    }
}

static void handle_messages(struct reply *reply, const struct twilio_request *r,
                            const struct twilio *twilio)
{
    if (strcmp(r->http->method, "POST") == 0) {
        create(reply, r, twilio);
    } else if (strcmp(r->http->method, "GET") == 0) {
        reply->status = 200;
        reply->content_type = render_content_type(r->format);
        twilio_list(&reply->body, twilio->store, r->account, r->http->path, &r->params, r->format);
    } else {
        wrong_method(reply, r);
    }
}

/* Redaction and cancelling. */
static void update(struct store *store, struct message *m, const struct form *params)
{
    const char *status = form_get(params, "Status");

    if (form_get(params, "Body") != NULL)
        store_redact(store, m);
    if (status != NULL && strcmp(status, "canceled") == 0)
        store_move(store, m, "canceled", 0, NULL);
}

static void handle_message(struct reply *reply, const struct twilio_request *r, struct store *store)
{
    struct message *m = store_find(store, r->account, r->sid);

    if (m == NULL) {
        not_found(reply, r);
    } else if (strcmp(r->http->method, "GET") == 0) {
        set_message(reply, 200, m, r->format);
    } else if (strcmp(r->http->method, "POST") == 0) {
        update(store, m, &r->params);
        set_message(reply, 200, m, r->format);
    } else if (strcmp(r->http->method, "DELETE") == 0) {
        store_delete(store, m);
        reply->status = 204;
    } else {
        wrong_method(reply, r);
    }
}

/* With an API key, the password is not the account's own. */
static void learn_token(const struct twilio_request *r, struct twilio_auth *auth)
{
    if (strcmp(r->credentials.user, r->account) == 0)
        twilio_auth_learn(auth, r->account, r->credentials.password);
}

static void handle_authorized(struct reply *reply, const struct twilio_request *r,
                              const struct twilio *twilio)
{
    learn_token(r, twilio->auth);
    if (r->route == ROUTE_ACCOUNT)
        handle_account(reply, r);
    else if (r->route == ROUTE_MESSAGES)
        handle_messages(reply, r, twilio);
    else
        handle_message(reply, r, twilio->store);
}

void twilio_resource_handle(struct reply *reply, const struct twilio_request *r,
                            const struct twilio *twilio)
{
    struct twilio_error e;

    if (r->route == ROUTE_UNKNOWN || !twilio_auth_is_sid(r->account, "AC"))
        not_found(reply, r);
    else if (!twilio_auth_check(twilio->auth, r->account, &r->credentials, &e))
        reply_set_error(reply, &e, r->format);
    else
        handle_authorized(reply, r, twilio);
}
