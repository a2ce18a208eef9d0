#ifndef COMMON_KAFKA_MEMBER_H
#define COMMON_KAFKA_MEMBER_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>

#include "kafka.h"
#include "said.h"

/*
 * Whether a consumer is a settled member of its group, and if not, why. librdkafka says it in its
 * statistics, in assignments and in errors; here they become a condition, which is told when it
 * changes. Nothing here asks anybody.
 */
struct kafka_member;

/* One that is not settled, of which nothing is told until something is known. */
struct kafka_member *kafka_member_new(kafka_changed *changed, void *arg);
void kafka_member_free(struct kafka_member *member);

/*
 * Takes statistics (librdkafka's JSON), which come every 2 s: brokers' and the group's states, and
 * the lag.
 */
void kafka_member_statistics(struct kafka_member *member, const char *text);

/* We have been given our share of the partitions. */
void kafka_member_assigned(struct kafka_member *member);

/*
 * Takes an error, and logs it as a warning once. Why a broker can't be reached, or refuses us,
 * becomes a part of the reason that is told; `fatal` says that this consumer will never work again.
 */
void kafka_member_error(struct kafka_member *member, rd_kafka_resp_err_t error, const char *text,
                        bool fatal);

/* What has been said of what is wrong, by whomever, since the member was settled last. */
struct said *kafka_member_said(struct kafka_member *member);

#endif
