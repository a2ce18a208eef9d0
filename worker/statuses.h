#ifndef WORKER_STATUSES_H
#define WORKER_STATUSES_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/pg.h"
#include "worker/results.h"
#include "worker/status.h"

/*
 * Stores what Twilio says about messages that it took, whoever learnt it (callback, poll), in
 * batches; publishes what is new as results of kind status.
 */
struct statuses;

struct statuses_options {
    struct event_base *base;
    struct pg *pg;      /* borrowed */
    const char *worker; /* borrowed */
    int64_t poll_delay; /* the first pause of polls */
};

struct statuses *statuses_open(const struct statuses_options *options);
void statuses_close(struct statuses *statuses);

/* Where results go; until this is said nothing is published, the outbox's sweep has it later. */
void statuses_set_results(struct statuses *statuses, struct results *results);

/* Stores a report, soon. Takes it over. With no room for it, it is dropped: polls make up for it.
 */
void statuses_add(struct statuses *statuses, struct status *status);

/* Whether there is room for another: not if the database is away, or doesn't keep up. */
bool statuses_has_room(const struct statuses *statuses);

/* Whether everything is stored. */
bool statuses_is_idle(const struct statuses *statuses);

#endif
