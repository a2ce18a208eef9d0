#ifndef WORKER_PREPARE_H
#define WORKER_PREPARE_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#include "worker/delivery.h"
#include "worker/destination.h"
#include "worker/retry.h"

/*
 * What a claim gave, a row of claim.sql, becomes a delivery with a request that is ready to be
 * sent.
 */

struct prepare_options {
    struct retry_policy default_policy; /* for events without a policy of their own */
    const char *twilio_base_url;
    const char *status_callback_url; /* where Twilio reports what becomes of a message; "": not */
    const struct secrets *secrets;   /* what destinations' references lead to */
    /* Told of each destination that is used, whose account it is. May be NULL. */
    void (*account)(void *arg, const struct destination *destination);
    void *arg;
};

/* The delivery of a row, owned by the caller. */
struct delivery *prepare_take(const PGresult *rows, int row, const struct retry_policy *policy);

/* When its event was taken in (database clock). */
int64_t prepare_created_at(const PGresult *rows, int row);

/* Whether somebody has opted out from its destination's sender. */
bool prepare_has_opt_outs(const PGresult *rows, int row);

/*
 * Judges the destination, renders the message and builds the request. False if that can't be: the
 * verdict then says why.
 */
bool prepare_request(const struct prepare_options *options, struct delivery *delivery,
                     const PGresult *rows, int row);

#endif
