#include "worker/delivery.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/backoff.h"
#include "common/clock.h"
#include "worker/pace.h"

/* A destination in trouble is tried again after 10 s, 20 s, … 10 minutes. */
#define PARK_BASE (10 * CLOCK_SECOND)
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
    free(delivery);
}

void delivery_random_id(unsigned char ret_id[16])
{
    if (getrandom(ret_id, 16, 0) != 16)
        abort(); /* cannot happen for so few bytes (getrandom(2)) */
    ret_id[6] = (unsigned char)((ret_id[6] & 0x0f) | 0x40);
    ret_id[8] = (unsigned char)((ret_id[8] & 0x3f) | 0x80);
}

static void give_up(struct delivery *delivery, const char *why)
{
    struct verdict *verdict = &delivery->verdict;
    size_t length = strlen(verdict->error_message);

    verdict->outcome = OUTCOME_FAILED;
    delivery->state = "failed";
    snprintf(verdict->error_message + length, sizeof verdict->error_message - length, "%s%s",
             length > 0 ? "; " : "", why);
}

static void park(struct delivery *delivery, int64_t now)
{
    const struct verdict *verdict = &delivery->verdict;
    int64_t pause = backoff_exponential(PARK_BASE, PARK_MAX,
                                        delivery->trouble > 0 ? (unsigned)delivery->trouble : 0);

    if (pause < verdict->retry_after)
        pause = verdict->retry_after;
    delivery->state = "pending";
    delivery->keeps_place = true;
    delivery->parked_until = now + pause;
    delivery->next_attempt_at = now + pause;
}

/* It is not this worker's turn: whoever is next may try, a slot later. */
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

void delivery_settle(struct delivery *delivery, int64_t now)
{
    const struct verdict *verdict = &delivery->verdict;

    delivery_random_id(delivery->result_id);
    delivery->well = verdict->scope == SCOPE_MESSAGE && verdict->http_status != 0 &&
                     verdict->outcome != OUTCOME_UNKNOWN && delivery->trouble > 0;
    switch (verdict->outcome) {
    case OUTCOME_ACCEPTED:
        delivery->state = "accepted";
        delivery->budget_spent++;
        break;
    case OUTCOME_RETRY:
        if (verdict->scope == SCOPE_DESTINATION)
            park(delivery, now);
        else if (verdict->scope == SCOPE_WORKER)
            pass_on(delivery, now);
        else
            try_again(delivery, now);
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
        verdict->error_message[0] = '\0';
        verdict->error_code = 0;
        delivery->state = "accepted";
        break;
    case FOUND_NOTHING:
        verdict->outcome = OUTCOME_RETRY;
        resolve_absent(delivery, now);
        break;
    case FOUND_DOUBT:
        verdict->outcome = OUTCOME_UNKNOWN;
        delivery->state = "unknown";
        delivery->given_up = true;
        break;
    }
}

void delivery_doubt(struct delivery *delivery)
{
    struct verdict *verdict = &delivery->verdict;

    snprintf(verdict->error_message, sizeof verdict->error_message,
             "the answer names message %s, which another attempt has", verdict->message_sid);
    verdict->outcome = OUTCOME_UNKNOWN;
    verdict->reason = "MESSAGE_TAKEN";
    verdict->message_sid[0] = '\0';
    verdict->message_status[0] = '\0';
    delivery->state = "unknown";
}

bool delivery_is_final(const struct delivery *delivery)
{
    return delivery->given_up ||
           (strcmp(delivery->state, "pending") != 0 && strcmp(delivery->state, "unknown") != 0);
}
