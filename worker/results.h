#ifndef WORKER_RESULTS_H
#define WORKER_RESULTS_H

#include <event2/event.h>
#include <stdbool.h>

#include "common/config.h"
#include "common/pg.h"
#include "worker/delivery.h"

/*
 * Publishes results on the status topic (schemas/result.schema.json) and rejected events on the
 * dead-letter topic. PostgreSQL is the outbox: a result is published after it was committed there,
 * and marked as published when the brokers have it. A sweep publishes what should have been by now
 * and isn't, whoever's it was: at least once, and the stable result_id tells repetitions.
 */
struct results;

struct results_options {
    struct event_base *base;
    struct pg *pg; /* borrowed */
    const char *worker;
    const char *bootstrap_servers;
    const struct config_pairs *properties;
    const char *status_topic;
    const char *dead_letter_topic;
};

/* NULL and one line in `error` if Kafka's settings are wrong. */
struct results *results_open(const struct results_options *options, char *error, size_t error_size);

/* Publishes the result of a stored attempt, and frees the delivery. */
void results_publish(struct results *results, struct delivery *delivery);

/* Rejected events have been stored: publishes them soon. */
void results_rejected(struct results *results);

/* While Kafka is away the sweep rests, and what is to be published is left to it. */
void results_hold(struct results *results, bool hold);

/* No more sweeps. */
void results_stop(struct results *results);

/* True if every result handed over is in Kafka (or given up) and marked in PostgreSQL. */
bool results_is_idle(const struct results *results);

void results_close(struct results *results);

#endif
