#ifndef COMMON_KAFKA_H
#define COMMON_KAFKA_H

#include <event2/event.h>
#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"

/*
 * A consumer and a producer on the event loop. librdkafka's threads wake us through a descriptor;
 * everything of ours runs in the loop's thread.
 */

/* ---- consumer ---- */

struct kafka_consumer;

enum kafka_condition {
    KAFKA_SETTLED,   /* we are a member of the group, with our share of the partitions */
    KAFKA_UNSETTLED, /* brokers are there, the membership isn't: for more than a rebalance */
    KAFKA_AWAY,      /* no broker can be reached */
    KAFKA_REFUSED    /* this consumer will never work again */
};

/* Told of a change: `reason` says what is wrong, NULL if KAFKA_SETTLED. */
typedef void kafka_changed(void *arg, enum kafka_condition condition, const char *reason);

struct kafka_consumer_options {
    const char *bootstrap_servers;
    const char *client_id; /* what brokers, and who asks them for the group, call this member */
    const char *group;
    const char *topics; /* comma list; a name that begins with '^' is a regular expression */
    const struct config_pairs *properties; /* passed to librdkafka as they are */
    int batch_max;                         /* messages */
    size_t batch_max_bytes;                /* a batch ends once it holds this much */
    /*
     * Takes a batch. The messages are borrowed until kafka_consumer_done() is called, which may
     * happen later; no further batch comes before.
     */
    void (*batch)(void *arg, rd_kafka_message_t *const *messages, int count);
    kafka_changed *changed;
    void *arg;
};

/*
 * A consumer, which connects by itself. NULL, and one line in `error`, if librdkafka doesn't accept
 * the settings. The same goes for kafka_producer_open().
 */
struct kafka_consumer *kafka_consumer_open(struct event_base *base,
                                           const struct kafka_consumer_options *options,
                                           char *error, size_t error_size);

/*
 * Ends the batch in hand: its events are safe, its offsets may be committed. (They aren't, if the
 * partitions were taken away meanwhile; the next owner reads those events again.)
 */
void kafka_consumer_done(struct kafka_consumer *consumer);

/* While held back, nothing is fetched, but the group membership stays alive. */
void kafka_consumer_hold(struct kafka_consumer *consumer, bool hold);

/*
 * Commits what is done, leaves the group and frees the consumer; a batch still in hand is not
 * committed. Blocks for as long as the brokers take, at most some seconds.
 */
void kafka_consumer_close(struct kafka_consumer *consumer);

/* ---- producer ---- */

struct kafka_producer;

/* A delivery report: `error` NULL once the brokers have it. `tag` is what was given with it. */
typedef void kafka_delivered(void *arg, void *tag, const char *error, bool too_large);

struct kafka_producer_options {
    const char *bootstrap_servers;
    const struct config_pairs *properties;
    kafka_delivered *delivered;
    void *arg;
};

struct kafka_header {
    const char *name;
    const char *value; /* NULL leaves the header out */
};

struct kafka_record {
    const char *topic;
    const void *key; /* may be NULL */
    size_t key_length;
    const void *value; /* may be NULL */
    size_t value_length;
    const struct kafka_header *headers; /* ends with a NULL name; may be NULL */
    void *tag;
};

struct kafka_producer *kafka_producer_open(struct event_base *base,
                                           const struct kafka_producer_options *options,
                                           char *error, size_t error_size);

/*
 * Copies the record and sends it in its own time; the delivery report tells the end. False if the
 * queue is full or the record can't be queued (nothing will be reported); *ret_too_large says that
 * it never can.
 */
bool kafka_producer_send(struct kafka_producer *producer, const struct kafka_record *record,
                         bool *ret_too_large);

/* Records handed over and not yet reported. */
size_t kafka_producer_pending(const struct kafka_producer *producer);

void kafka_producer_close(struct kafka_producer *producer);

#endif
