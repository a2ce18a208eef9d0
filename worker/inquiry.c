#include "worker/inquiry.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/pg_value.h"
#include "worker/destination.h"
#include "worker/render.h"

/* How far Twilio's clock may be from what its Date header says, which has whole seconds. */
#define CLOCK_SLACK (5 * CLOCK_SECOND)

/*
 * An attempt is first looked up a delay after its exchange, at the soonest: after another one it
 * has been, whatever sweeps and the leases of lost workers add.
 */
#define OTHERS_DELAYS 2

/* The columns of reconcile.sql. */
enum column {
    C_DESTINATION_ID,
    C_ID,
    C_EVENT_ID,
    C_CONNECTION_ID,
    C_TRACEPARENT,
    C_TRACESTATE,
    C_ATTEMPT,
    C_BUDGET_SPENT,
    C_LOOKUP_LEASE,
    C_LOOKUPS,
    C_SLOT_AT,
    C_STARTED_AT,
    C_FINISHED_AT,
    C_HTTP_STATUS,
    C_ERROR_CODE,
    C_REASON,
    C_ERROR_MESSAGE,
    C_REQUEST,
    C_EVENT,
    C_RETRY,
    C_SAME_CONFIG,
    C_TYPE,
    C_CONFIG,
    C_IS_UNKNOWN,
    C_IS_GIVEN_UP,
    C_WITNESS,
    C_TOLD_SID,
    C_AS_SMS
};

static json_t *parse(const char *text)
{
    json_t *value = NULL;

    if (text != NULL)
        json_parse(text, strlen(text), &value, NULL, 0);
    return value;
}

static struct delivery *take_delivery(const PGresult *rows, int row,
                                      const struct inquiry_options *options)
{
    struct delivery *d = mem_zalloc(sizeof *d);
    const char *message = pg_text(rows, row, C_ERROR_MESSAGE);
    json_t *retry = parse(pg_text(rows, row, C_RETRY));
    char why[256];

    d->destination_id = mem_strdup(pg_text(rows, row, C_DESTINATION_ID));
    d->id = pg_int8(rows, row, C_ID);
    d->event_id = mem_strdup(pg_text(rows, row, C_EVENT_ID));
    d->connection_id = mem_strdup(pg_text(rows, row, C_CONNECTION_ID));
    d->traceparent = mem_strdup(pg_text(rows, row, C_TRACEPARENT));
    d->tracestate = mem_strdup(pg_text(rows, row, C_TRACESTATE));
    d->attempt = pg_int4(rows, row, C_ATTEMPT);
    d->budget_spent = pg_int4(rows, row, C_BUDGET_SPENT);
    d->as_sms = pg_int4(rows, row, C_AS_SMS) != 0;
    d->lookup_lease = pg_time(rows, row, C_LOOKUP_LEASE);
    d->was = mem_strdup(pg_text(rows, row, C_REASON));
    d->verdict.http_status = pg_int4(rows, row, C_HTTP_STATUS);
    d->verdict.error_code = pg_int4(rows, row, C_ERROR_CODE);
    snprintf(d->verdict.error_message, sizeof d->verdict.error_message, "%s",
             message != NULL ? message : "");
    d->policy = options->default_policy;
    if (retry != NULL && !json_is_null(retry))
        retry_policy_parse(retry, &d->policy, why, sizeof why);
    json_decref(retry);
    return d;
}

/* A live worker said when; of a lost one only the limits are known that it kept to. */
static void take_times(struct inquiry *inquiry, const PGresult *rows, int row,
                       const struct inquiry_options *options)
{
    int64_t slot = pg_time(rows, row, C_SLOT_AT);

    inquiry->unknown_since = pg_time(rows, row, C_FINISHED_AT);
    if (pg_is_null(rows, row, C_STARTED_AT)) {
        inquiry->began = slot;
        inquiry->ended = slot + options->exchange_max;
    } else {
        inquiry->began = pg_time(rows, row, C_STARTED_AT);
        inquiry->ended = inquiry->unknown_since;
    }
}

static char *copy_parameter(const json_t *parameters, const char *name)
{
    return mem_strdup(json_member_string(parameters, name));
}

/* base_url "/2010-04-01/Accounts/AC…/Messages.json"; NULL if it is another server's. */
static char *account_of(const char *url, const char *base_url)
{
    static const char before[] = "/2010-04-01/Accounts/";
    size_t base = strlen(base_url);

    if (url == NULL || strncmp(url, base_url, base) != 0 ||
        strncmp(url + base, before, sizeof before - 1) != 0)
        return NULL;
    url += base + sizeof before - 1;
    return mem_copy(url, strcspn(url, "/"));
}

static void forget_what(struct inquiry *inquiry)
{
    char **const fields[] = {&inquiry->account_sid,           &inquiry->to,   &inquiry->from,
                             &inquiry->messaging_service_sid, &inquiry->body, &inquiry->media};

    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        free(*fields[i]);
        *fields[i] = NULL;
    }
}

static void cannot(struct inquiry *inquiry, const char *why)
{
    snprintf(inquiry->why, sizeof inquiry->why, "%s", why);
}

/* What of the options changes how Twilio lists the message. Each may be NULL: it was not sent. */
static void take_options(struct inquiry *inquiry, const char *shorten_urls,
                         const char *content_retention, const char *address_retention)
{
    inquiry->links_shortened = shorten_urls != NULL && strcmp(shorten_urls, "true") == 0;
    inquiry->body_discarded =
        content_retention != NULL && strcmp(content_retention, "discard") == 0;
    if (address_retention != NULL && strcmp(address_retention, "obfuscate") == 0)
        cannot(inquiry, "the destination obfuscates recipients' numbers, so Twilio's list can't be "
                        "searched for them");
}

/* What the evidence says was sent; false if it says nothing. */
static bool take_request(struct inquiry *inquiry, const char *text, const char *base_url)
{
    json_t *request = parse(text);
    const json_t *parameters = json_member(request, "parameters");
    const json_t *media = json_member(parameters, "MediaUrl");

    inquiry->account_sid = account_of(json_member_string(request, "url"), base_url);
    inquiry->to = copy_parameter(parameters, "To");
    inquiry->from = copy_parameter(parameters, "From");
    inquiry->messaging_service_sid = copy_parameter(parameters, "MessagingServiceSid");
    inquiry->body = copy_parameter(parameters, "Body");
    /* An SMS has none. */
    inquiry->media =
        media != NULL ? json_dumps(media, JSON_COMPACT | JSON_ENCODE_ANY) : mem_strdup("[]");
    take_options(inquiry, json_member_string(parameters, "ShortenUrls"),
                 json_member_string(parameters, "ContentRetention"),
                 json_member_string(parameters, "AddressRetention"));
    json_decref(request);
    if (inquiry->account_sid != NULL && inquiry->to != NULL && inquiry->body != NULL)
        return true;
    forget_what(inquiry);
    return false;
}

static char *join_media(const struct message *message)
{
    json_t *array = json_array();
    char *text;

    for (int i = 0; i < message->media_count; i++)
        json_array_append_new(array, json_string(message->media_urls[i]));
    text = json_dumps(array, JSON_COMPACT);
    json_decref(array);
    return text;
}

/* What the lost worker must have sent, if anything. */
static void render_again(struct inquiry *inquiry, const struct destination *destination,
                         const char *event_text)
{
    const struct options *options = &destination->options;
    struct message message = {.to = NULL};
    json_t *event = parse(event_text);
    const char *reason;
    char why[256];

    inquiry->never_sent =
        !render_message(destination, event, &message, &reason, why, sizeof why) && !inquiry->unsure;
    if (inquiry->delivery->as_sms && message.body != NULL)
        message_to_sms(&message);
    inquiry->account_sid = mem_strdup(destination->account_sid);
    inquiry->from = mem_strdup(destination->from);
    inquiry->messaging_service_sid = mem_strdup(destination->messaging_service_sid);
    inquiry->to = mem_strdup(message.to != NULL ? message.to : "");
    inquiry->body = mem_strdup(message.body != NULL ? message.body : "");
    inquiry->media = join_media(&message);
    take_options(inquiry, options_value(options, "ShortenUrls"),
                 options_value(options, "ContentRetention"),
                 options_value(options, "AddressRetention"));
    message_release(&message);
    json_decref(event);
}

static void take_what(struct inquiry *inquiry, const PGresult *rows, int row,
                      const struct destination *destination, const char *base_url)
{
    const char *request = pg_text(rows, row, C_REQUEST);

    if (request != NULL) {
        if (!take_request(inquiry, request, base_url))
            cannot(inquiry, "it was sent to another base URL, or what was sent can't be read");
        else if (strcmp(inquiry->account_sid, destination->account_sid) != 0)
            cannot(inquiry, "the destination has another account now");
    } else {
        inquiry->unsure = pg_int4(rows, row, C_SAME_CONFIG) == 0;
        render_again(inquiry, destination, pg_text(rows, row, C_EVENT));
    }
}

/* A config that no request can be made of, and that was the same then. */
static bool could_not_send(const PGresult *rows, int row)
{
    return pg_is_null(rows, row, C_REQUEST) && pg_is_null(rows, row, C_STARTED_AT) &&
           pg_int4(rows, row, C_SAME_CONFIG) != 0;
}

struct inquiry *inquiry_from_row(const PGresult *rows, int row,
                                 const struct inquiry_options *options)
{
    struct inquiry *inquiry = mem_zalloc(sizeof *inquiry);
    struct destination destination = {.json = NULL};
    const char *config = pg_text(rows, row, C_CONFIG);
    char why[200] = "";

    inquiry->delivery = take_delivery(rows, row, options);
    inquiry->lookups = pg_int4(rows, row, C_LOOKUPS);
    inquiry->given_up = pg_int4(rows, row, C_IS_GIVEN_UP) != 0;
    inquiry->witness = mem_strdup(pg_text(rows, row, C_WITNESS));
    inquiry->told_sid = mem_strdup(pg_text(rows, row, C_TOLD_SID));
    take_times(inquiry, rows, row, options);
    if (pg_int4(rows, row, C_IS_UNKNOWN) == 0) {
        cannot(inquiry, "the delivery is unknown, but its latest attempt is not");
    } else if (pg_is_null(rows, row, C_TYPE)) {
        cannot(inquiry, "the destination is gone, and its credentials with it");
    } else if (!destination_parse(pg_text(rows, row, C_TYPE), config, &destination, why,
                                  sizeof why)) {
        inquiry->never_sent = could_not_send(rows, row);
        snprintf(inquiry->why, sizeof inquiry->why, "the destination's config is not valid: %s",
                 why);
    } else if (!destination_reveal(&destination, options->secrets, why, sizeof why)) {
        /* Nothing is said about what was sent: its worker may have had them. */
        snprintf(inquiry->why, sizeof inquiry->why, "the destination's secrets can't be had: %s",
                 why);
    } else {
        take_what(inquiry, rows, row, &destination, options->twilio_base_url);
        inquiry->user = mem_strdup(destination.user);
        inquiry->password = mem_strdup(destination.password);
    }
    destination_release(&destination);
    return inquiry;
}

bool inquiry_same_list(const struct inquiry *a, const struct inquiry *b)
{
    return strcmp(a->to, b->to) == 0 && strcmp(a->account_sid, b->account_sid) == 0 &&
           strcmp(a->user, b->user) == 0 && strcmp(a->password, b->password) == 0;
}

struct sought inquiry_sought(const struct inquiry *inquiry, int64_t delay, int64_t settle,
                             const struct twilio_clock *clock)
{
    int64_t until = inquiry->ended + delay + clock->ahead_max + CLOCK_SLACK;
    int64_t settled = clock->now - settle;

    return (struct sought){.to = inquiry->to,
                           .from = inquiry->from,
                           .messaging_service_sid = inquiry->messaging_service_sid,
                           .body = inquiry->body,
                           .media = inquiry->media,
                           .links_shortened = inquiry->links_shortened,
                           .body_discarded = inquiry->body_discarded,
                           .others_known = until + OTHERS_DELAYS * delay <= settled,
                           .created_from = inquiry->began + clock->ahead_min - CLOCK_SLACK,
                           .created_until = until,
                           .settled_by = settled,
                           .witness = inquiry->witness};
}

void inquiry_free(struct inquiry *inquiry)
{
    delivery_free(inquiry->delivery);
    if (inquiry->password != NULL)
        mem_wipe(inquiry->password, strlen(inquiry->password));
    free(inquiry->password);
    free(inquiry->user);
    free(inquiry->witness);
    free(inquiry->told_sid);
    forget_what(inquiry);
    free(inquiry);
}
