#ifndef WORKER_EVIDENCE_H
#define WORKER_EVIDENCE_H

#include <event2/event.h>
#include <stdint.h>

#include "common/pg.h"
#include "worker/delivery.h"

/*
 * Writes what happened to PostgreSQL, in batches: while one batch is on its way the next gathers.
 * A batch whose commit got lost is written again; every statement names the state, lease and
 * attempt that it expects, so a repetition changes nothing.
 */
struct evidence;

struct evidence_options {
    struct event_base *base;
    struct pg *pg;      /* borrowed */
    const char *worker; /* borrowed */
    int64_t reconcile_delay;
    int64_t poll_delay; /* a message's status is asked for so long after; 0: never */
    /*
     * Told once a delivery's part of a batch is committed; takes the delivery over. `publish`: its
     * result stands and is to be published. It is not if the delivery was given back; if the result
     * has to wait behind an earlier one of its event, for the outbox's sweep; if somebody else had
     * moved the delivery on before; or if PostgreSQL refused the row itself: the lease (or the
     * lookup's) will run out then.
     */
    void (*committed)(void *arg, struct delivery *delivery, bool publish);
    /* Told after each batch: some destination of it may be due at this moment (database clock). */
    void (*due)(void *arg, int64_t at);
    void *arg;
};

struct evidence *evidence_open(const struct evidence_options *options);
void evidence_close(struct evidence *evidence);

/*
 * Moves a destination's next slot from `reserved_until` to where it belongs. Both are the
 * database's clock.
 */
void evidence_slot(struct evidence *evidence, const char *destination_id, int64_t reserved_until,
                   int64_t next_slot_at);

/* Stores a settled attempt. Takes the delivery over until `committed`. */
void evidence_attempt(struct evidence *evidence, struct delivery *delivery);

/* Stores the resolution of an attempt that was unknown. Takes the delivery over until `committed`.
 */
void evidence_resolution(struct evidence *evidence, struct delivery *delivery);

/*
 * Gives a delivery that was claimed and not attempted back to the queue, and its slot with it.
 * Takes the delivery over until `committed`.
 */
void evidence_release(struct evidence *evidence, struct delivery *delivery);

/* What is gathered or on its way. */
size_t evidence_pending(const struct evidence *evidence);

#endif
