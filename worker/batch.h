#ifndef WORKER_BATCH_H
#define WORKER_BATCH_H

#include <stddef.h>
#include <stdint.h>

#include "common/pg.h"
#include "worker/delivery.h"

/*
 * A batch of evidence: deliveries and slots, gathered to share a transaction, and the statements
 * that write them.
 */

struct slot_move {
    char *destination_id;
    int64_t reserved_until;
    int64_t next_slot_at;
};

struct batch {
    void *room;    /* the room's own */
    bool reclaims; /* takes its message from an attempt that was only found to have made it */
    struct slot_move *slots;
    size_t slot_count, slot_capacity;
    struct delivery **deliveries;
    size_t delivery_count, delivery_capacity;
    /* Which statements have results that tell what stands; -1: there is no such statement. */
    int attempts_at, resolutions_at;
};

/* What the statements need besides. */
struct batch_options {
    const char *worker;
    int64_t reconcile_delay;
    int64_t poll_delay; /* a message's status is asked for so long after; 0: never */
};

/* What is written of a delivery. */
enum batch_kind {
    BATCH_ATTEMPT,
    BATCH_RESOLUTION,
    BATCH_RELEASE /* goes back unattempted: it has no state to go to */
};

enum batch_kind batch_kind_of(const struct delivery *delivery);

/* An empty batch for `room`. */
struct batch *batch_new(void *room);

/* Frees the batch and its slots, not its deliveries. */
void batch_free(struct batch *batch);

void batch_add(struct batch *batch, struct delivery *delivery);

/* Takes over the move's string. */
void batch_add_slot(struct batch *batch, const struct slot_move *move);

/* When a delivery's destination must be looked at because of it (database clock); 0: not. */
int64_t batch_wake_at(const struct delivery *delivery);

/* Adds the statements that write the batch, in the order that keeps everybody from deadlocks. */
void batch_statements(struct batch *batch, const struct batch_options *options,
                      struct pg_unit *unit);

#endif
