#ifndef COMMON_KAFKA_GROUP_H
#define COMMON_KAFKA_GROUP_H

#include <librdkafka/rdkafka.h>
#include <stddef.h>

#include "kafka.h"

/* Joining a consumer group, and leaving it: librdkafka's properties, the topics, the goodbye. */

/*
 * A handle that has subscribed to the topics, and joins by itself while it is polled. NULL, and one
 * line in `error`, if librdkafka doesn't accept the settings.
 */
rd_kafka_t *kafka_group_join(const struct kafka_consumer_options *options, char *error,
                             size_t error_size);

/*
 * Commits what was stored, leaves the group and destroys the handle, whose queues have been given
 * back. Blocks for as long as the brokers take, at most some seconds.
 */
void kafka_group_leave(rd_kafka_t *rk);

#endif
