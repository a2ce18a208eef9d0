#ifndef COMMON_KAFKA_PILE_H
#define COMMON_KAFKA_PILE_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stddef.h>

/*
 * A batch's headers, which go no further than its transaction's parameters: two short ones of each.
 */
#define KAFKA_PILE_HEADERS_MAX ((size_t)4 << 20)

/* Records that are gathered, and what they take. All zero is an empty pile. */
struct kafka_pile {
    rd_kafka_message_t **messages;
    rd_kafka_event_t **events; /* which own them */
    int count;
    int capacity;
    size_t bytes;   /* of values and keys */
    size_t headers; /* what headers take in memory, once they are read */
    size_t beside;  /* bytes of headers and keys as they came: what librdkafka doesn't count */
};

/* Takes the event over, and with it `message`, which is its. */
void kafka_pile_add(struct kafka_pile *pile, rd_kafka_event_t *event, rd_kafka_message_t *message);

/* Whether it has so many records, so many bytes, or KAFKA_PILE_HEADERS_MAX. */
bool kafka_pile_full(const struct kafka_pile *pile, int max, size_t max_bytes);

/* Gives the records back to librdkafka; the room for them stays, until kafka_pile_release(). */
void kafka_pile_clear(struct kafka_pile *pile);
void kafka_pile_release(struct kafka_pile *pile);

#endif
