#include "worker/prepare.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/pg_value.h"
#include "worker/attempt_id.h"
#include "worker/destination.h"
#include "worker/render.h"

/* The columns of claim.sql. */
enum column {
    C_DESTINATION_ID,
    C_ID,
    C_EVENT_ID,
    C_CONNECTION_ID,
    C_EVENT,
    C_TRACEPARENT,
    C_TRACESTATE,
    C_ATTEMPT,
    C_BUDGET_SPENT,
    C_SLOT_AT,
    C_LEASE_UNTIL,
    C_CREATED_AT,
    C_RESERVED_UNTIL,
    C_TROUBLE,
    C_TYPE,
    C_CONFIG,
    C_UPDATED_AT,
    C_AS_SMS,
    C_HAS_OPT_OUTS
};

struct delivery *prepare_take(const PGresult *rows, int row, const struct retry_policy *policy)
{
    struct delivery *d = mem_zalloc(sizeof *d);

    d->destination_id = mem_strdup(pg_text(rows, row, C_DESTINATION_ID));
    d->id = pg_int8(rows, row, C_ID);
    d->event_id = mem_strdup(pg_text(rows, row, C_EVENT_ID));
    d->connection_id = mem_strdup(pg_text(rows, row, C_CONNECTION_ID));
    d->traceparent = mem_strdup(pg_text(rows, row, C_TRACEPARENT));
    d->tracestate = mem_strdup(pg_text(rows, row, C_TRACESTATE));
    d->attempt = pg_int4(rows, row, C_ATTEMPT);
    d->budget_spent = pg_int4(rows, row, C_BUDGET_SPENT);
    d->trouble = pg_int4(rows, row, C_TROUBLE);
    d->slot_at = pg_time(rows, row, C_SLOT_AT);
    d->reserved_until = pg_time(rows, row, C_RESERVED_UNTIL);
    d->lease_until = pg_time(rows, row, C_LEASE_UNTIL);
    d->config_of = pg_time(rows, row, C_UPDATED_AT);
    d->as_sms = pg_int4(rows, row, C_AS_SMS) != 0;
    d->policy = *policy;
    return d;
}

int64_t prepare_created_at(const PGresult *rows, int row)
{
    return pg_time(rows, row, C_CREATED_AT);
}

bool prepare_has_opt_outs(const PGresult *rows, int row)
{
    return pg_int4(rows, row, C_HAS_OPT_OUTS) != 0;
}

/* FNV-1a */
static uint64_t add_hash(uint64_t hash, const char *text)
{
    for (const char *c = text; *c != '\0'; c++)
        hash = (hash ^ (unsigned char)*c) * 1099511628211U;
    return hash;
}

/*
 * What is allowed and hardly meant is told once for each change of a row (or of a file with its
 * secret), not for each event. Rows that share a place here are told of again, now and then.
 */
static void warn(const struct delivery *delivery, const char *warning)
{
    static int64_t told[1024];
    uint64_t hash;

    if (warning[0] == '\0')
        return;
    hash = add_hash(add_hash(14695981039346656037U, delivery->destination_id), warning);
    hash ^= (uint64_t)delivery->config_of;
    if (told[hash % 1024] == (int64_t)hash)
        return;
    told[hash % 1024] = (int64_t)hash;
    log_warn("destination", log_str("destination_id", delivery->destination_id),
             log_str("warning", warning));
}

static void build(const struct prepare_options *options, struct delivery *delivery,
                  const struct destination *destination, struct message *message)
{
    char *callback = NULL;

    if (options->status_callback_url[0] != '\0')
        callback = attempt_id_url(options->status_callback_url, delivery->destination_id,
                                  delivery->id, delivery->attempt);
    if (delivery->as_sms)
        message_to_sms(message);
    twilio_request_build(options->twilio_base_url, destination, message, callback,
                         &delivery->request);
    delivery->sms_fallback = destination->sms_fallback && !delivery->as_sms;
    if (options->account != NULL)
        options->account(options->arg, destination);
    free(callback);
}

bool prepare_request(const struct prepare_options *options, struct delivery *delivery,
                     const PGresult *rows, int row)
{
    struct destination destination;
    struct message message = {.to = NULL};
    const char *event_text = pg_text(rows, row, C_EVENT);
    const char *reason = NULL;
    json_t *event = NULL;
    char why[512] = "";
    bool ready = false;

    json_parse(event_text, strlen(event_text), &event, NULL, 0);
    retry_policy_parse(json_member(event, "retry"), &delivery->policy, why, sizeof why);
    if (!destination_parse(pg_text(rows, row, C_TYPE), pg_text(rows, row, C_CONFIG), &destination,
                           why, sizeof why) ||
        !destination_reveal(&destination, options->secrets, why, sizeof why)) {
        outcome_refuse(&delivery->verdict, OUTCOME_RETRY, SCOPE_DESTINATION, "CONFIG_INVALID", why);
    } else if (!render_message(&destination, event, &message, &reason, why, sizeof why)) {
        outcome_refuse(&delivery->verdict, OUTCOME_FAILED, SCOPE_MESSAGE, reason, why);
    } else {
        warn(delivery, destination.warning);
        build(options, delivery, &destination, &message);
        ready = true;
    }
    message_release(&message);
    destination_release(&destination);
    json_decref(event);
    return ready;
}
