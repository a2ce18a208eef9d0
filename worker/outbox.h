#ifndef WORKER_OUTBOX_H
#define WORKER_OUTBOX_H

#include <event2/event.h>
#include <libpq-fe.h>
#include <stdbool.h>

#include "common/pg.h"
#include "worker/results.h"

/*
 * Sweeps PostgreSQL for results that should have been published by now and aren't, whoever's they
 * were, and for rejected events; hands them to results. One round at a time.
 */
struct outbox;

struct outbox_options {
    struct event_base *base;
    struct pg *pg;           /* borrowed */
    struct results *results; /* borrowed */
    const char *worker;      /* borrowed */
};

struct outbox *outbox_open(const struct outbox_options *options);

/* To be called after results_close(), which settles what is under way. */
void outbox_close(struct outbox *outbox);

/* Rejected events have been stored: publishes them soon. */
void outbox_rejected(struct outbox *outbox);

/* Publishes a row of statuses.sql that was stored by this `worker` just now. */
void outbox_publish_status(struct results *results, const PGresult *rows, int row,
                           const char *worker);

/* While Kafka is away the sweep rests. */
void outbox_hold(struct outbox *outbox, bool hold);

/* No more sweeps. */
void outbox_stop(struct outbox *outbox);

#endif
