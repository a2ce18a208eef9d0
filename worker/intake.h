#ifndef WORKER_INTAKE_H
#define WORKER_INTAKE_H

#include <event2/event.h>
#include <stdbool.h>

#include "common/config.h"
#include "common/kafka.h"
#include "common/pg.h"

/*
 * Takes events from Kafka into PostgreSQL: a batch becomes deliveries and rejected events in one
 * transaction; only then are its offsets stored. While PostgreSQL is away the consumer is held.
 */
struct intake;

struct intake_options {
    struct event_base *base;
    struct pg *pg; /* borrowed */
    const char *worker;
    const char *bootstrap_servers;
    const char *group;
    const char *topics;
    const struct config_pairs *properties;
    /* Told after each committed batch: how many deliveries are new, how many events rejected. */
    void (*taken)(void *arg, int64_t taken, int64_t rejected);
    /* As kafka_consumer_options has it. */
    kafka_changed *changed;
    void *arg;
};

/* NULL and one line in `error` if Kafka's settings are wrong. */
struct intake *intake_open(const struct intake_options *options, char *error, size_t error_size);

/* PostgreSQL went away or came back. */
void intake_hold(struct intake *intake, bool hold);

/* Takes no further batch. */
void intake_stop(struct intake *intake);

/* True while a batch is on its way to PostgreSQL. */
bool intake_is_busy(const struct intake *intake);

/* Commits offsets, leaves the group, frees. */
void intake_close(struct intake *intake);

#endif
