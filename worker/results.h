#ifndef WORKER_RESULTS_H
#define WORKER_RESULTS_H

#include <event2/event.h>
#include <stdbool.h>

#include "common/config.h"
#include "common/kafka.h"
#include "common/pg.h"
#include "worker/delivery.h"
#include "worker/marks.h"
#include "worker/result_json.h"

/*
 * Publishes results on the status topic (schemas/result.schema.json) and rejected events on the
 * dead-letter topic. PostgreSQL is the outbox: a result is published after it was committed there,
 * and marked as published when the brokers have it. What should have been by now and isn't,
 * whoever's it was, is published by the outbox's sweep (outbox.h): at least once, and the stable
 * result_id tells repetitions.
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

/*
 * Publishes a result that is committed, with the event's trace headers (may be NULL); takes over
 * `mark`. While results are held nothing is, and the sweep has it later.
 */
void results_send(struct results *results, const struct result *result, const char *traceparent,
                  const char *tracestate, struct mark *mark);

/*
 * Publishes a dead letter beside its result, for which `mark` counts two records. `headers` are as
 * kafka.h has them, with one named mms-truncated whose value is NULL: it becomes "true" if the
 * topic doesn't take as many bytes; they are in mms.rejected_events.
 */
void results_send_dead_letter(struct results *results, struct kafka_record *record,
                              struct kafka_header *truncated, struct mark *mark);

/*
 * True once after a dead letter was found too large for its topic: it was not published, and is
 * worth another try at once, without its bytes.
 */
bool results_learnt_limit(struct results *results);

/* To be called every so often: tells in the log when records are taken again. */
void results_look(struct results *results);

/* While Kafka is away nothing is published; the outbox's sweep has it later. */
void results_hold(struct results *results, bool hold);

/* No failure is worth a word any more. */
void results_stop(struct results *results);

/* True if every result handed over is in Kafka (or given up) and marked in PostgreSQL. */
bool results_is_idle(const struct results *results);

void results_close(struct results *results);

#endif
