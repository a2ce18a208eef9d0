#ifndef WORKER_DELIVERY_H
#define WORKER_DELIVERY_H

#include <stdbool.h>
#include <stdint.h>

#include "worker/outcome.h"
#include "worker/retry.h"
#include "worker/twilio.h"

/* The reason of an attempt whose worker did not report within its lease (sql/lease.sql). */
#define DELIVERY_WORKER_LOST "WORKER_LOST"

/*
 * A delivery that this worker has claimed, on its way through the rooms of the worker:
 *
 *     pacer (claims it, waits for its slot) → sender (POST, verdict) → evidence (PostgreSQL)
 *     → results (status topic)
 *
 * One room owns it at a time and hands it on; the last one frees it. Moments are the database's
 * clock unless they say otherwise.
 */
struct delivery {
    /* From the claim. Strings are owned; connection_id and the trace headers may be NULL. */
    char *destination_id;
    int64_t id;
    char *event_id;
    char *connection_id;
    char *traceparent;
    char *tracestate;
    int attempt;
    int budget_spent;
    int trouble; /* how often in a row its destination was parked */
    int64_t slot_at;
    int64_t reserved_until; /* the destination's next slot, until the start is confirmed */
    int64_t lease_until;
    int64_t config_of; /* when the destination's row had been changed last */
    bool as_sms;       /* Twilio has refused it as MMS */
    bool sms_fallback; /* then it may go as SMS */
    struct retry_policy policy;
    struct twilio_request request; /* empty if it was refused before it could be built */

    /* What became of the attempt. */
    struct verdict verdict;
    const char *state;  /* the state that the delivery goes to: static */
    bool well;          /* the destination's trouble is over */
    int64_t started_at; /* 0: no POST was made */
    int64_t finished_at;
    int64_t next_attempt_at; /* 0: none */
    int64_t parked_until;    /* 0: the destination isn't parked */
    bool keeps_place;        /* in the queue: pending again as if nothing had been tried */
    bool falls_back;         /* it is sent as SMS from now on */
    char *response_body;     /* these three: NULL if there was no answer */
    char *response_headers;
    char *timing;
    unsigned char result_id[16];

    /* Only if this is a second look at an attempt that was unknown (reconcile.h). */
    char *resolution;     /* in words: how it came to its outcome; NULL: no such look */
    char *was;            /* the reason why it was unknown */
    int64_t lookup_lease; /* what its row must have */
    char *account_sid;    /* of a message that was found */
    bool told;            /* Twilio's own callback says which message it made */
    bool given_up;        /* it stays unknown, a person has to decide */
    bool stands;          /* committed as it is here, and not overtaken by something else */

    /* The room's own. */
    void *room;
    struct delivery *next;
};

void delivery_free(struct delivery *delivery);

/* What its request takes of memory, by and large. The same from when that is built to the end. */
size_t delivery_bytes(const struct delivery *delivery);

/*
 * Turns the verdict into what happens next: `state`, `budget_spent`, `next_attempt_at`,
 * `parked_until`, `keeps_place`, `well`; a verdict of retry whose budget is used up becomes failed.
 * A busy one that failed parks its destination all the same. `now` is the database's clock. Also
 * gives the attempt its result_id.
 */
void delivery_settle(struct delivery *delivery, int64_t now);

/* What Twilio was found to have of an attempt that is unknown. */
enum found {
    FOUND_MESSAGE, /* `verdict` has its SID and status */
    FOUND_NOTHING, /* surely: it was not sent */
    FOUND_DOUBT    /* nobody can tell, and time is up */
};

/*
 * The same for an attempt that was unknown, whose `was`, `budget_spent`, `verdict.http_status` and
 * `policy` are known: it becomes accepted, is tried again or failed under its retry policy, or is
 * left to a person. A lost worker is not the event's fault: that alone doesn't fail it until it
 * has happened DELIVERY_LOST_MAX times beyond the policy.
 */
#define DELIVERY_LOST_MAX 3
void delivery_resolve(struct delivery *delivery, enum found found, int64_t now);

/*
 * Makes an accepted attempt an unknown one: the message that the answer names is another attempt's.
 * If it is a callback that names it (`told`), it is left to a person: it would be told again.
 */
void delivery_doubt(struct delivery *delivery);

/* Whether nothing more will happen to it by itself. */
bool delivery_is_final(const struct delivery *delivery);

/* A random UUID (RFC 9562, version 4). */
void delivery_random_id(unsigned char ret_id[16]);

#endif
