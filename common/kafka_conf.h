#ifndef COMMON_KAFKA_CONF_H
#define COMMON_KAFKA_CONF_H

#include <event2/event.h>
#include <librdkafka/rdkafka.h>
#include <stdbool.h>

#include "config.h"
#include "said.h"

/* What the consumer and the producer share: properties, wake-ups, librdkafka's own log lines. */

/*
 * True if the operator may set this property to this value. Otherwise `why` has a few words, which
 * never repeat a secret.
 */
bool kafka_property_check(const struct config_pair *property, char *why, size_t why_size);

/*
 * A configuration with our `own` properties (name, value, …, NULL) and, over them, the operator's.
 * NULL, and one line in `error`, if one isn't known, isn't valid, or is not the operator's to set.
 */
rd_kafka_conf_t *kafka_conf_new(const char *const *own, const struct config_pairs *properties,
                                char *error, size_t error_size);

/*
 * Calls `woken` on the loop when `queue` has something; it must then poll the queue until NULL,
 * or come back by itself. `*ret_fd` is closed by kafka_wake_free().
 */
struct event *kafka_wake_new(struct event_base *base, rd_kafka_queue_t *queue,
                             event_callback_fn woken, void *arg, int *ret_fd);
void kafka_wake_free(struct event *event, int fd);

/* Takes the wake-up off the descriptor. */
void kafka_wake_clear(int fd);

/* Whether an error only means that brokers can't be reached: librdkafka tells of each try. */
bool kafka_is_unreachable(rd_kafka_resp_err_t error);

/* Whether it says that brokers are there and don't let us in: passwords, certificates, rights. */
bool kafka_is_refusal(rd_kafka_resp_err_t error);

/* Writes an RD_KAFKA_EVENT_LOG to our log; as a warning, if it is worth one and not said yet. */
void kafka_log_event(rd_kafka_event_t *event, struct said *said);

#endif
