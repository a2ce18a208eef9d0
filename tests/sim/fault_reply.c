#include "fault_reply.h"

#include <string.h>

/* What gateways say, word for word in the case of openresty. */
static void set_gateway_page(struct reply *reply, int status, const char *reason)
{
    reply->status = status;
    reply->content_type = "text/html";
    text_clear(&reply->body);
    text_addf(&reply->body,
              "<html>\r\n<head><title>%d %s</title></head>\r\n<body>\r\n"
              "<center><h1>%d %s</h1></center>\r\n<hr><center>openresty</center>\r\n"
              "</body>\r\n</html>\r\n",
              status, reason, status, reason);
}

static const char *gateway_reason(int status)
{
    switch (status) {
    case 502:
        return "Bad Gateway";
    case 503:
        return "Service Temporarily Unavailable";
    case 504:
        return "Gateway Time-out";
    default:
        return "Error";
    }
}

static void add_retry_after(struct reply *reply, const struct fault *rule)
{
    if (rule->retry_after != NULL)
        text_addf(&reply->headers, "Retry-After: %s\r\n", rule->retry_after);
}

static void apply_status(struct reply *reply, const struct fault *rule)
{
    set_gateway_page(reply, rule->status, gateway_reason(rule->status));
    if (rule->body != NULL) {
        text_clear(&reply->body);
        text_add_string(&reply->body, rule->body);
    }
    if (rule->content_type != NULL)
        reply->content_type = rule->content_type;
    add_retry_after(reply, rule);
}

static void apply_error(struct reply *reply, const struct fault *rule, enum render_format format)
{
    struct twilio_error e;
    const char *message = "Error";
    int status = 400;

    render_default_error(rule->code, &status, &message);
    render_set_error(&e, rule->status != 0 ? rule->status : status, rule->code, "%s",
                     rule->message != NULL ? rule->message : message);
    if (rule->code == 20003)
        e.detail = "Your AccountSid or AuthToken was incorrect.";
    if (rule->code == 20429)
        e.detail = "Too many requests for the associated account being sent.";
    reply_set_error(reply, &e, format);
    add_retry_after(reply, rule);
}

static void apply_echo(struct reply *reply, const struct fault *rule,
                       const struct twilio_request *r)
{
    const char *header = r->http->authorization;

    set_gateway_page(reply, rule->status != 0 ? rule->status : 502, "Bad Gateway");
    text_clear(&reply->body);
    text_addf(&reply->body,
              "<html><body><h1>%d Bad Gateway</h1><pre>%s %s\r\nAuthorization: ", reply->status,
              r->http->method, r->http->path);
    text_add_xml(&reply->body, header == NULL ? "" : header);
    text_add_string(&reply->body, "</pre></body></html>");
}

static void apply_no_sid(struct reply *reply, const struct twilio_request *r)
{
    if (reply->created == NULL)
        return;
    text_clear(&reply->body);
    render_message_document(&reply->body, reply->created, r->format, true);
}

static void apply_garbage(struct reply *reply)
{
    if (reply->status / 100 != 2)
        return;
    text_clear(&reply->body);
    text_add_string(&reply->body, "\x1f\x8b<<not json>> {\"sid\": ");
}

/* Adds a long field to a JSON object, so that the whole has at least the wanted size. */
static void apply_padding(struct reply *reply, size_t bytes)
{
    static const char open[] = ", \"padding\": \"";
    struct text *body = &reply->body;
    size_t fill;

    if (body->len < 2 || body->data[body->len - 1] != '}')
        return;
    body->len--;
    text_add_string(body, open);
    fill = bytes > body->len + 2 ? bytes - body->len - 2 : 0;
    text_reserve(body, fill);
    memset(body->data + body->len, 'x', fill);
    body->len += fill;
    text_add_string(body, "\"}");
}

bool fault_reply_wants_handling(const struct fault *rule)
{
    if (rule == NULL)
        return true;
    switch (rule->kind) {
    case FAULT_DROP:
        return false;
    case FAULT_STATUS:
    case FAULT_ERROR:
    case FAULT_ECHO_AUTHORIZATION:
        return rule->accept;
    default:
        return true;
    }
}

void fault_reply_apply(struct reply *reply, const struct fault *rule,
                       const struct twilio_request *r)
{
    if (rule == NULL)
        return;
    switch (rule->kind) {
    case FAULT_STATUS:
        apply_status(reply, rule);
        break;
    case FAULT_ERROR:
        apply_error(reply, rule, r->format);
        break;
    case FAULT_ECHO_AUTHORIZATION:
        apply_echo(reply, rule, r);
        break;
    case FAULT_ACCEPT_NO_SID:
        apply_no_sid(reply, r);
        break;
    case FAULT_ACCEPT_GARBAGE:
        apply_garbage(reply);
        break;
    case FAULT_HUGE_BODY:
        apply_padding(reply, (size_t)rule->bytes);
        break;
    default:
        break;
    }
}

enum fault_ending fault_reply_ending(const struct fault *rule)
{
    if (rule == NULL)
        return ENDING_ANSWER;
    switch (rule->kind) {
    case FAULT_DROP:
    case FAULT_ACCEPT_THEN_DROP:
    case FAULT_CLOSE_KEPT_ALIVE:
        return ENDING_DROP;
    case FAULT_ACCEPT_THEN_RESET:
        return ENDING_RESET;
    default:
        return ENDING_ANSWER;
    }
}

void fault_reply_cut(struct http_answer *answer, const struct fault *rule)
{
    if (rule == NULL || rule->kind != FAULT_ACCEPT_CUT)
        return;
    answer->cut = true;
    answer->cut_after = rule->bytes >= 0 ? (size_t)rule->bytes : answer->body_len / 2;
}
