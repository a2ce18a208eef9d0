#ifndef COMMON_KAFKA_AHEAD_H
#define COMMON_KAFKA_AHEAD_H

#include <event2/event.h>
#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stddef.h>

/*
 * Whether a consumer fetches records ahead of the batch in hand: not while it is held back, and not
 * while those that were fetched already may take too much memory.
 *
 * Of what it has fetched ahead librdkafka counts the values alone: a MiB of headers with each
 * record would be 20 GB. So they are counted here, by those of the records that came last. Beyond
 * KAFKA_AHEAD_MAX_BYTES what was fetched ahead is thrown away, and nothing is fetched until the
 * batch in hand is done.
 */
struct kafka_ahead;

/* Records that librdkafka is to fetch ahead. */
#define KAFKA_AHEAD_RECORDS   20000
#define KAFKA_AHEAD_MAX_BYTES ((size_t)48 << 20)

/* Fetches. Handle and queue, where records wait, are borrowed. */
struct kafka_ahead *kafka_ahead_new(struct event_base *base, rd_kafka_t *rk,
                                    rd_kafka_queue_t *queue);
void kafka_ahead_free(struct kafka_ahead *ahead);

/* Holds back, or no longer; false if nothing has changed. */
bool kafka_ahead_hold(struct kafka_ahead *ahead, bool hold);
bool kafka_ahead_is_held(const struct kafka_ahead *ahead);

/* Partitions have been assigned: fetching from them is paused, or isn't, like from all before. */
void kafka_ahead_assigned(struct kafka_ahead *ahead);

/*
 * A batch is in hand, until kafka_ahead_done(): a record of it has so many bytes on average that
 * librdkafka doesn't count.
 */
void kafka_ahead_batch(struct kafka_ahead *ahead, size_t beside);
void kafka_ahead_done(struct kafka_ahead *ahead);

#endif
