#include "worker/delivery.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/backoff.h"
#include "common/clock.h"
#include "common/mem.h"
#include "worker/pace.h"
#include "worker/verdicts.h"

/*
 * A destination in trouble is tried again after 10 s, 20 s, … 10 minutes. One that is merely too
 * much at a time begins with 1 s, 2 s, …: that may be over in a moment.
 */
#define PARK_BASE (10 * CLOCK_SECOND)
#define BUSY_BASE (1 * CLOCK_SECOND)
#define PARK_MAX  (600 * CLOCK_SECOND)

void delivery_free(struct delivery *delivery)
{
    if (delivery == NULL)
        return;
    twilio_request_release(&delivery->request);
    free(delivery->destination_id);
    free(delivery->event_id);
    free(delivery->connection_id);
    free(delivery->traceparent);
    free(delivery->tracestate);
    free(delivery->response_body);
    free(delivery->response_headers);
    free(delivery->timing);
    free(delivery->resolution);
    free(delivery->was);
    free(delivery->account_sid);
    free(delivery);
}

size_t delivery_bytes(const struct delivery *delivery)
{
    const struct twilio_request *request = &delivery->request;

    return request->form_length + (request->evidence != NULL ? strlen(request->evidence) : 0);
}

void delivery_random_id(unsigned char ret_id[16])
{
    if (getrandom(ret_id, 16, 0) != 16)
        abort(); /* cannot happen for so few bytes (getrandom(2)) */
    ret_id[6] = (unsigned char)((ret_id[6] & 0x0f) | 0x40);
    ret_id[8] = (unsigned char)((ret_id[8] & 0x3f) | 0x80);
}

static void append_words(struct verdict *verdict, const char *words)
{
    size_t length = strlen(verdict->error_message);

    snprintf(verdict->error_message + length, sizeof verdict->error_message - length, "%s%s",
             length > 0 ? "; " : "", words);
}

static void give_up(struct delivery *delivery, const char *why)
{
    delivery->verdict.outcome = OUTCOME_FAILED;
    delivery->state = "failed";
    append_words(&delivery->verdict, why);
}

static void park(struct delivery *delivery, int64_t now)
{
    const struct verdict *verdict = &delivery->verdict;
    int64_t pause = backoff_exponential(verdict->busy ? BUSY_BASE : PARK_BASE, PARK_MAX,
                                        delivery->trouble > 0 ? (unsigned)delivery->trouble : 0);

    if (pause < verdict->retry_after)
        pause = verdict->retry_after;
    delivery->parked_until = now + pause;
}

/*
 * What it met is not its own fault: it waits with its destination, and nothing is spent. It stays
 * first in the queue, unless others may fare better: then another one is the next probe.
 */
static void wait_parked(struct delivery *delivery)
{
    delivery->state = "pending";
    delivery->keeps_place = !delivery->verdict.varies;
    delivery->next_attempt_at = delivery->parked_until;
}

/* It keeps its place, for the next slot: in this worker's hands or another's. */
static void pass_on(struct delivery *delivery, int64_t now)
{
    int64_t next_slot_at = delivery->slot_at + PACE_SPACING;

    delivery->state = "pending";
    delivery->keeps_place = true;
    delivery->next_attempt_at = next_slot_at > now ? next_slot_at : now;
}

static void try_again(struct delivery *delivery, int64_t now)
{
    struct verdict *verdict = &delivery->verdict;
    int64_t pause;

    delivery->budget_spent++;
    if (retry_decide(&delivery->policy, delivery->budget_spent, verdict->http_status,
                     verdict->retry_after, &pause)) {
        delivery->state = "pending";
        delivery->next_attempt_at = now + pause;
    } else if (delivery->budget_spent >= delivery->policy.attempts) {
        give_up(delivery, "given up: the retry policy allows no more attempts");
    } else {
        give_up(delivery, "given up: the retry policy does not list this HTTP status");
    }
}

static void settle_retry(struct delivery *delivery, int64_t now)
{
    switch (delivery->verdict.scope) {
    case SCOPE_MESSAGE:
        if (delivery->falls_back)
            pass_on(delivery, now);
        else
            try_again(delivery, now);
        break;
    case SCOPE_DESTINATION:
    case SCOPE_ACCOUNT:
        park(delivery, now);
        if (delivery->verdict.busy)
            try_again(delivery, now);
        else
            wait_parked(delivery);
        break;
    case SCOPE_WORKER:
        pass_on(delivery, now);
        break;
    }
}

/* It can't go there as MMS: the next slot is its own, as SMS. That is no retry, and spends none. */
static void fall_back(struct delivery *delivery)
{
    struct verdict *verdict = &delivery->verdict;

    verdict->outcome = OUTCOME_RETRY;
    verdict->scope = SCOPE_MESSAGE;
    append_words(verdict, "sent as SMS in the next slot");
    delivery->falls_back = true;
}

void delivery_settle(struct delivery *delivery, int64_t now)
{
    const struct verdict *verdict = &delivery->verdict;

    delivery_random_id(delivery->result_id);
    if (verdict->no_mms && delivery->sms_fallback)
        fall_back(delivery);
    delivery->well = verdict->scope == SCOPE_MESSAGE && verdict->http_status != 0 &&
                     verdict->outcome != OUTCOME_UNKNOWN && delivery->trouble > 0;
    switch (verdict->outcome) {
    case OUTCOME_ACCEPTED:
        delivery->state = "accepted";
        delivery->budget_spent++;
        break;
    case OUTCOME_RETRY:
        settle_retry(delivery, now);
        break;
    case OUTCOME_FAILED:
        delivery->state = "failed";
        delivery->budget_spent++;
        break;
    case OUTCOME_UNKNOWN:
        delivery->state = "unknown";
        delivery->budget_spent++;
        break;
    case OUTCOME_EXPIRED:
        delivery->state = "expired";
        break;
    }
}

/* A failed attempt has no resend ahead of it, unless somebody orders one. */
static const char *advice_of_absent(const struct delivery *delivery)
{
    if (strcmp(delivery->state, "failed") == 0)
        return "Send the event again under a new event_id if it still matters; Twilio does not "
               "have the message.";
    return "Nothing for now; Twilio does not have the message, and the worker sends it again.";
}

static void resolve_absent(struct delivery *delivery, int64_t now)
{
    bool lost = strcmp(delivery->was, DELIVERY_WORKER_LOST) == 0;

    /* It has been counted when it became unknown. */
    if (lost && delivery->budget_spent < delivery->policy.attempts + DELIVERY_LOST_MAX) {
        delivery->state = "pending";
        delivery->next_attempt_at = now;
    } else {
        delivery->budget_spent--;
        try_again(delivery, now);
    }
}

void delivery_resolve(struct delivery *delivery, enum found found, int64_t now)
{
    struct verdict *verdict = &delivery->verdict;

    delivery_random_id(delivery->result_id);
    delivery->finished_at = now;
    verdict->scope = SCOPE_MESSAGE;
    verdict->reason = found == FOUND_MESSAGE ? NULL : delivery->was;
    switch (found) {
    case FOUND_MESSAGE:
        verdict->outcome = OUTCOME_ACCEPTED;
        verdict->advice = NULL;
        verdict->error_message[0] = '\0';
        verdict->error_code = 0;
        delivery->state = "accepted";
        break;
    case FOUND_NOTHING:
        verdict->outcome = OUTCOME_RETRY;
        resolve_absent(delivery, now);
        verdict->advice = advice_of_absent(delivery);
        break;
    case FOUND_DOUBT:
        verdict->outcome = OUTCOME_UNKNOWN;
        verdict->advice = verdicts_advice("UNKNOWN");
        delivery->state = "unknown";
        delivery->given_up = true;
        break;
    }
}

void delivery_doubt(struct delivery *delivery)
{
    struct verdict *verdict = &delivery->verdict;

    snprintf(verdict->error_message, sizeof verdict->error_message,
             "the %s names message %s, which another attempt has",
             delivery->told ? "status callback" : "answer", verdict->message_sid);
    verdict->outcome = OUTCOME_UNKNOWN;
    verdict->reason = "MESSAGE_TAKEN";
    verdict->advice = verdicts_advice(delivery->told ? "UNKNOWN" : verdict->reason);
    if (delivery->told) {
        free(delivery->resolution);
        delivery->resolution = mem_printf("unknown for good (%s), a person has to decide: %s",
                                          delivery->was, verdict->error_message);
        delivery->given_up = true;
    }
    verdict->message_sid[0] = '\0';
    verdict->message_status[0] = '\0';
    delivery->state = "unknown";
}

bool delivery_is_final(const struct delivery *delivery)
{
    return delivery->given_up ||
           (strcmp(delivery->state, "pending") != 0 && strcmp(delivery->state, "unknown") != 0);
}
