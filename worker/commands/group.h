#ifndef WORKER_COMMANDS_GROUP_H
#define WORKER_COMMANDS_GROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "worker/commands/client.h"

/* The consumer group of the workers, as the brokers describe it. */

struct group_member {
    char *client_id;  /* the worker's id, unless MMS_KAFKA_CLIENT_ID says otherwise */
    char *host;       /* its address */
    char *partitions; /* "mms.events 0-3,7"; "" if it has none */
};

struct group_topic {
    char *name;
    int partitions; /* that something is committed for */
    int64_t lag;    /* records that are not committed yet */
};

struct group {
    char state[32];    /* Stable, Empty, …; Dead: there is no such group */
    char assignor[64]; /* "" if it has no members */
    struct group_member *members;
    int member_count;
    struct group_topic *topics;
    int topic_count;
};

/* State, assignor and members. False, and one line in `error`; release in either case. */
bool group_describe(struct client *client, const char *name, int timeout_ms,
                    struct group *ret_group, char *error, size_t error_size);

/* Adds topics and their lag. False, and one line in `error`. */
bool group_measure(struct client *client, const char *name, int timeout_ms, struct group *group,
                   char *error, size_t error_size);

void group_release(struct group *group);

/* Appends "mms.events 0-3,7; other 0". Sorts the list. */
void group_add_partitions(struct buf *out, rd_kafka_topic_partition_list_t *list);

#endif
