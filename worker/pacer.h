#ifndef WORKER_PACER_H
#define WORKER_PACER_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/clock.h"
#include "common/pg.h"
#include "worker/evidence.h"
#include "worker/prepare.h"
#include "worker/sender.h"

/*
 * Claims deliveries whose slot opens soon, renders them, and hands each to the sender at its
 * moment. What waits in the database costs nothing here: the pacer knows when the next destination
 * is due, and sleeps until shortly before.
 */
struct pacer;

struct pacer_options {
    struct event_base *base;
    struct pg *pg;             /* borrowed */
    struct evidence *evidence; /* borrowed */
    struct sender *sender;     /* borrowed */
    struct db_clock *clock;    /* borrowed; the pacer keeps it up to date */
    const char *worker;
    struct prepare_options prepare;
    int64_t lease;
    int64_t expire_after; /* 0: never */
};

struct pacer *pacer_open(const struct pacer_options *options);
void pacer_close(struct pacer *pacer);

/* There may be something due now: intake took in events, or there is room again. */
void pacer_kick(struct pacer *pacer);

/* Some destination may be due at this moment of the database's clock. */
void pacer_due(struct pacer *pacer, int64_t at);

/* A delivery of so many bytes (delivery_bytes()) that the pacer claimed has left the worker's
 * hands. */
void pacer_left(struct pacer *pacer, size_t bytes);

/*
 * While held it claims nothing and gives back what waits for its slot, but goes on to follow the
 * database's clock.
 */
void pacer_hold(struct pacer *pacer, bool hold);

/* Claims no more, and gives back what waits for its slot. */
void pacer_stop(struct pacer *pacer);

/* Deliveries in this worker's hands. */
int pacer_live(const struct pacer *pacer);

/* True while a claim, or a poll, is on its way or being undone. */
bool pacer_is_claiming(const struct pacer *pacer);

#endif
