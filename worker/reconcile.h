#ifndef WORKER_RECONCILE_H
#define WORKER_RECONCILE_H

#include <event2/event.h>
#include <stdint.h>

#include "common/clock.h"
#include "common/http.h"
#include "common/pg.h"
#include "worker/evidence.h"
#include "worker/retry.h"
#include "worker/status.h"

/*
 * Finds out what became of attempts whose fate is unknown: of this worker's, of others', and of
 * those that a dead worker left when its lease ran out. Some time after the attempt Twilio is asked
 * for the messages to its phone (lookup.h). Found: accepted. Surely absent: the retry policy's.
 * Neither: asked again, with growing pauses, and in the end left to a person.
 */
struct reconcile;

struct reconcile_options {
    struct event_base *base;
    struct pg *pg;                /* borrowed */
    struct http *http;            /* borrowed; closed before this is */
    struct evidence *evidence;    /* borrowed */
    const struct db_clock *clock; /* borrowed */
    const char *worker;
    const char *twilio_base_url;
    const struct secrets *secrets; /* borrowed: what destinations' references lead to */
    int64_t twilio_timeout;
    int64_t delay;                      /* after the end of an attempt; then absence is believed */
    int64_t limit;                      /* after this a person has to decide */
    struct retry_policy default_policy; /* for events without a policy of their own */
};

struct reconcile *reconcile_open(const struct reconcile_options *options);

/* Drops what is being asked; others ask again. */
void reconcile_close(struct reconcile *reconcile);

/*
 * A resolution was committed, or overtaken: says so. Returns what Twilio's list said about the
 * message's status, owned by the caller; NULL if nothing.
 */
struct status *reconcile_committed(const struct delivery *delivery);

/* Asks no more. */
void reconcile_stop(struct reconcile *reconcile);

#endif
