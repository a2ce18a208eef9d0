#ifndef WORKER_COMMANDS_CLIENT_H
#define WORKER_COMMANDS_CLIENT_H

#include <librdkafka/rdkafka.h>

#include "worker/commands/command.h"

/* Kafka for the subcommands: calls wait, and nobody watches a log. */
struct client;

/*
 * A client of the settings' brokers with our `own` properties (name, value, …, NULL) and the
 * operator's. Does not wait for a broker. NULL after a complaint.
 */
struct client *client_open(const struct arguments *arguments, rd_kafka_type_t type,
                           const char *const *own);

/* The same for who goes on without: NULL, and one line in `error`. */
struct client *client_try(const struct settings *settings, rd_kafka_type_t type,
                          const char *const *own, char *error, size_t error_size);

/*
 * A producer of records that are each waited for: as the worker's own, it repeats nothing and
 * loses nothing. NULL after a complaint.
 */
struct client *client_open_producer(const struct arguments *arguments);

/* Records that were not delivered are dropped. */
void client_close(struct client *client);

/* Whether its brokers know of groups: NEW until group.c has found out. */
enum client_groups { CLIENT_GROUPS_NEW, CLIENT_GROUPS_KNOWN, CLIENT_GROUPS_UNKNOWN };
enum client_groups client_groups(const struct client *client);
void client_set_groups(struct client *client, enum client_groups groups);

/* Borrowed. */
rd_kafka_t *client_handle(struct client *client);

struct client_record {
    const char *topic;
    const char *key; /* NULL: none, any partition */
    size_t key_length;
    const char *value;
    size_t value_length;
    const char *traceparent; /* headers; NULL: none */
    const char *tracestate;
    int32_t partition; /* where it went */
    int64_t offset;
};

/*
 * Produces one record and waits until it is on the topic, half a minute at most. The client is a
 * producer. Returns NULL, with where it went filled in; or why it isn't there
 * (or why nobody knows), as client_trouble() does.
 */
const char *client_produce(struct client *client, struct client_record *record);

/*
 * Why a call didn't succeed, in one line without secrets: the last trouble with a broker that
 * librdkafka told of, or else what `error` means. Valid until the next call.
 */
const char *client_trouble(struct client *client, rd_kafka_resp_err_t error);

#endif
