#include "render.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

bool render_set_error(struct twilio_error *e, int status, int code, const char *format, ...)
{
    va_list args;

    e->status = status;
    e->code = code;
    e->detail = NULL;
    va_start(args, format);
    vsnprintf(e->message, sizeof(e->message), format, args);
    va_end(args);
    return false;
}

bool render_default_error(int code, int *ret_status, const char **ret_message)
{
    static const struct {
        int code, status;
        const char *message;
    } defaults[] = {
        {10001, 403, "Account is not active"},
        {20003, 401, "Authenticate"},
        {20005, 403, "Account not active"},
        {20006, 403, "Access Denied"},
        {20008, 403, "Resource not accessible with Test Account Credentials"},
        {20403, 403, "Forbidden"},
        {20404, 404, "The requested resource was not found"},
        {20422, 422, "Invalid Parameter"},
        {20429, 429, "Too many requests"},
        {20500, 500, "An internal server error has occurred"},
        {20503, 503, "Service is unavailable. Please try again"},
        {20504, 500, "Twilio Internal Error"},
        {21211, 400, "The 'To' number is not a valid phone number."},
        {21212, 400,
         "The 'From' number is not a valid phone number, shortcode, or alphanumeric sender ID."},
        {21408, 400,
         "Permission to send an SMS has not been enabled for the region indicated by the 'To' "
         "number."},
        {21602, 400, "Message body is required."},
        {21603, 400, "A 'From' phone number is required."},
        {21604, 400, "A 'To' phone number is required."},
        {21606, 400,
         "The From phone number is not a valid, SMS-capable inbound phone number or short code "
         "for your account."},
        {21608, 400,
         "The number is unverified. Trial accounts cannot send messages to unverified numbers; "
         "verify it at twilio.com/user/account/phone-numbers/verified, or purchase a Twilio "
         "number to send messages to unverified numbers."},
        {21610, 400, "Attempt to send to unsubscribed recipient"},
        {21611, 429, "SMS queue is full."},
        {21612, 400,
         "The 'To' phone number is not currently reachable using the 'From' phone number via SMS"},
        {21614, 400, "'To' number is not a valid mobile number"},
        {21617, 400, "The concatenated message body exceeds the 1600 character limit."},
        {21619, 400, "A text message body or media urls must be specified."},
        {21620, 400, "Invalid media URL(s)"},
        {21621, 400, "The 'From' phone number is not enabled for MMS."},
        {21622, 400, "MMS is not enabled for your account."},
        {21623, 400, "Number of media files exceeds allowed limit."},
        {21635, 400, "'To' number cannot be a landline"},
        {21659, 400,
         "The 'From' number is not a Twilio phone number or Short Code country mismatch"},
        {21660, 400, "Mismatch between the 'From' number and the account"},
        {21661, 400, "The 'From' number is not SMS-capable"},
        {21701, 404, "The Messaging Service does not exist."},
        {21702, 400, "The Messaging Service is not available to send messages."},
        {21703, 400, "The Messaging Service has no phone number for this recipient."},
        {21704, 400, "The Messaging Service contains no phone numbers."},
        {21705, 400, "The Messaging Service is invalid."},
        {63038, 429, "Account exceeded the daily messages limit"},
        {70051, 403, "Authorization Failed"},
        {90010, 403, "Account is not active"},
    };

    for (size_t i = 0; i < sizeof(defaults) / sizeof(defaults[0]); i++) {
        if (defaults[i].code == code) {
            *ret_status = defaults[i].status;
            *ret_message = defaults[i].message;
            return true;
        }
    }
    return false;
}

/* Writes fields one after the other, in either format. */
struct writer {
    struct text *out;
    enum render_format format;
    bool first;
};

/* "date_created" is "DateCreated" in XML. */
static void add_pascal(struct text *out, const char *name)
{
    bool upper = true;

    for (; *name != '\0'; name++) {
        if (*name == '_') {
            upper = true;
            continue;
        }
        text_add_char(out, (char)(upper ? toupper((unsigned char)*name) : *name));
        upper = false;
    }
}

static void add_tag(struct writer *w, const char *name, const char *open)
{
    text_add_string(w->out, open);
    add_pascal(w->out, name);
    text_add_char(w->out, '>');
}

static void begin_field(struct writer *w, const char *name)
{
    if (w->format == RENDER_XML) {
        add_tag(w, name, "<");
        return;
    }
    if (!w->first)
        text_add_string(w->out, ", ");
    w->first = false;
    text_add_char(w->out, '"');
    text_add_string(w->out, name);
    text_add_string(w->out, "\": ");
}

static void end_field(struct writer *w, const char *name)
{
    if (w->format == RENDER_XML)
        add_tag(w, name, "</");
}

/* A string, or null (an empty element in XML). */
static void field(struct writer *w, const char *name, const char *value)
{
    begin_field(w, name);
    if (w->format == RENDER_XML)
        text_add_xml(w->out, value);
    else
        text_add_json(w->out, value);
    end_field(w, name);
}

static void number_field(struct writer *w, const char *name, int value)
{
    begin_field(w, name);
    text_addf(w->out, "%d", value);
    end_field(w, name);
}

static void number_or_null_field(struct writer *w, const char *name, int value)
{
    if (value != 0)
        number_field(w, name, value);
    else
        field(w, name, NULL);
}

/* Twilio writes numbers of media and segments as strings. */
static void count_field(struct writer *w, const char *name, size_t value)
{
    char digits[24];

    snprintf(digits, sizeof(digits), "%zu", value);
    field(w, name, digits);
}

/* RFC 2822 in GMT. Most messages of a busy second are written in that second: the last one is kept.
 */
static void date_field(struct writer *w, const char *name, int64_t at)
{
    static time_t cached_second = -1;
    static char cached[40];
    time_t second = (time_t)(at / 1000000000);
    struct tm parts;

    if (second != cached_second) {
        gmtime_r(&second, &parts);
        strftime(cached, sizeof(cached), "%a, %d %b %Y %H:%M:%S +0000", &parts);
        cached_second = second;
    }
    field(w, name, cached);
}

void render_day(int64_t at, char out[16])
{
    time_t second = (time_t)(at / 1000000000);
    struct tm parts;

    gmtime_r(&second, &parts);
    strftime(out, 16, "%Y-%m-%d", &parts);
}

static void uri_fields(struct writer *w, const struct message *m)
{
    const char *extension = w->format == RENDER_XML ? "" : ".json";
    char uri[160];

    snprintf(uri, sizeof(uri), "/2010-04-01/Accounts/%s/Messages/%s%s", m->account, m->sid,
             extension);
    field(w, "uri", uri);
    snprintf(uri, sizeof(uri), "/2010-04-01/Accounts/%s/Messages/%s/Media%s", m->account, m->sid,
             extension);
    begin_field(w, "subresource_uris");
    if (w->format == RENDER_JSON)
        text_add_char(w->out, '{');
    w->first = true;
    field(w, "media", uri);
    w->first = false;
    if (w->format == RENDER_JSON)
        text_add_char(w->out, '}');
    end_field(w, "subresource_uris");
}

static void message_fields(struct writer *w, const struct message *m, bool without_sid)
{
    if (!without_sid)
        field(w, "sid", m->sid);
    date_field(w, "date_created", m->created_at);
    date_field(w, "date_updated", m->updated_at);
    if (m->sent_at != 0)
        date_field(w, "date_sent", m->sent_at);
    else
        field(w, "date_sent", NULL);
    field(w, "account_sid", m->account);
    field(w, "to", message_shown_to(m));
    field(w, "from", m->from);
    field(w, "messaging_service_sid", m->service);
    field(w, "body", message_shown_body(m));
    field(w, "status", m->status);
    count_field(w, "num_segments",
                strcmp(m->status, "accepted") == 0 ? 0 : (size_t)m->num_segments);
    count_field(w, "num_media", m->media_count);
    field(w, "direction", "outbound-api");
    field(w, "api_version", "2010-04-01");
    field(w, "price", NULL);
    field(w, "price_unit", "USD");
    number_or_null_field(w, "error_code", m->error_code);
    field(w, "error_message", m->error_message);
    uri_fields(w, m);
}

void render_message(struct text *out, const struct message *m, enum render_format format,
                    bool without_sid)
{
    struct writer w = {.out = out, .format = format, .first = true};

    text_add_string(out, format == RENDER_XML ? "<Message>" : "{");
    message_fields(&w, m, without_sid);
    text_add_string(out, format == RENDER_XML ? "</Message>" : "}");
}

static void begin_document(struct text *out, enum render_format format)
{
    if (format == RENDER_XML)
        text_add_string(out, "<?xml version='1.0' encoding='UTF-8'?>\n<TwilioResponse>");
}

static void end_document(struct text *out, enum render_format format)
{
    if (format == RENDER_XML)
        text_add_string(out, "</TwilioResponse>");
}

void render_message_document(struct text *out, const struct message *m, enum render_format format,
                             bool without_sid)
{
    begin_document(out, format);
    render_message(out, m, format, without_sid);
    end_document(out, format);
}

void render_account_document(struct text *out, const char *account, enum render_format format)
{
    struct writer w = {.out = out, .format = format, .first = true};
    char uri[96];

    snprintf(uri, sizeof(uri), "/2010-04-01/Accounts/%s%s", account,
             format == RENDER_XML ? "" : ".json");
    begin_document(out, format);
    text_add_string(out, format == RENDER_XML ? "<Account>" : "{");
    field(&w, "sid", account);
    field(&w, "friendly_name", "simulated");
    field(&w, "status", "active");
    field(&w, "type", "Full");
    field(&w, "owner_account_sid", account);
    field(&w, "uri", uri);
    text_add_string(out, format == RENDER_XML ? "</Account>" : "}");
    end_document(out, format);
}

void render_error_document(struct text *out, const struct twilio_error *e,
                           enum render_format format)
{
    struct writer w = {.out = out, .format = format, .first = true};
    char more_info[64];

    snprintf(more_info, sizeof(more_info), "https://www.twilio.com/docs/errors/%d", e->code);
    begin_document(out, format);
    text_add_string(out, format == RENDER_XML ? "<RestException>" : "{");
    number_field(&w, "code", e->code);
    if (e->detail != NULL)
        field(&w, "detail", e->detail);
    field(&w, "message", e->message);
    field(&w, "more_info", more_info);
    number_field(&w, "status", e->status);
    text_add_string(out, format == RENDER_XML ? "</RestException>" : "}");
    end_document(out, format);
}

const char *render_content_type(enum render_format format)
{
    return format == RENDER_XML ? "application/xml" : "application/json;charset=utf-8";
}
