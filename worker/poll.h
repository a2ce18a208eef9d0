#ifndef WORKER_POLL_H
#define WORKER_POLL_H

#include <event2/event.h>
#include <stdint.h>

#include "common/http.h"
#include "common/pg.h"
#include "worker/statuses.h"

/*
 * Asks Twilio what became of messages that no callback told about: sparingly, some a second, with
 * pauses that grow, until their status is final or a day has passed.
 */
struct poll;

struct poll_options {
    struct event_base *base;
    struct http *http;             /* borrowed */
    struct pg *pg;                 /* borrowed */
    struct statuses *statuses;     /* borrowed */
    const struct secrets *secrets; /* borrowed: what destinations' references lead to */
    const char *twilio_base_url;
    int64_t twilio_timeout;
    int64_t delay; /* the first pause */
    int64_t rate;  /* messages a second at most; 0: none */
};

struct poll *poll_open(const struct poll_options *options);

/* Asks no more. */
void poll_stop(struct poll *poll);

/* To be called after http_close(), which ends what is being asked. */
void poll_close(struct poll *poll);

/*
 * What an answer says about the message that was asked for, as JSON of Twilio's Message resource;
 * false if it can't be read or is another message's. Fills what `ret_status` lacks.
 */
bool poll_read(const char *json, size_t length, struct status *ret_status);

#endif
