#ifndef WORKER_INQUIRY_H
#define WORKER_INQUIRY_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#include "worker/delivery.h"
#include "worker/lookup.h"

/*
 * An attempt that Twilio is asked about: what it would have made there, whose credentials may ask,
 * and when an answer can be believed. Made from a row of reconcile.sql.
 */
struct inquiry {
    struct delivery *delivery; /* NULL once it was handed on */
    int lookups;
    char *account_sid;
    char *user, *password;
    char *to, *from, *messaging_service_sid, *body, *media;
    char *told_sid; /* by a status callback, of this very attempt; NULL: by none */
    bool links_shortened, body_discarded; /* by Twilio, as it was asked to */
    char *witness; /* SID of a message of the destination that the list must have; NULL: none */
    int64_t began, ended; /* the exchange, at the outside (database clock) */
    int64_t unknown_since;
    bool given_up;   /* left to a person: only there because a message may be its */
    bool never_sent; /* it could not even be rendered */
    bool unsure;     /* something else may have been sent: the destination has been changed */
    char why[256];   /* why Twilio can't be asked; "" if it can */
    struct inquiry *next;
};

struct inquiry_options {
    struct retry_policy default_policy;
    const char *twilio_base_url;
    const struct secrets *secrets; /* what destinations' references lead to */
    int64_t exchange_max;          /* from the slot to the end of the exchange, at the most */
};

/*
 * What was sent is taken from the evidence. A lost worker left none: then it is rendered again, if
 * the destination's row is still as it was.
 */
struct inquiry *inquiry_from_row(const PGresult *rows, int row,
                                 const struct inquiry_options *options);

/* Whether one list of messages answers both. */
bool inquiry_same_list(const struct inquiry *a, const struct inquiry *b);

/* Twilio's clock, from an answer of it: how far it is ahead of the database's, at least, at most.
 */
struct twilio_clock {
    int64_t ahead_min, ahead_max;
    int64_t now; /* by that clock */
};

/*
 * What is looked for. `delay` after an exchange nothing of it comes into being any more; `settle`
 * after a message was made its own attempt has reported it, or is unknown as well.
 */
struct sought inquiry_sought(const struct inquiry *inquiry, int64_t delay, int64_t settle,
                             const struct twilio_clock *clock);

/* Frees one, with its delivery. Wipes the secrets. */
void inquiry_free(struct inquiry *inquiry);

#endif
