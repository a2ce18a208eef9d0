#include "kafka_group.h"

#include <stdio.h>
#include <stdlib.h>

#include "clock.h"
#include "config.h"
#include "kafka_ahead.h"
#include "kafka_conf.h"
#include "log.h"

#define CLOSE_LIMIT (10 * CLOCK_SECOND)

#define STRING_OF(number) #number
#define STRING(number)    STRING_OF(number)

static bool subscribe(rd_kafka_t *rk, const char *topics, char *error, size_t error_size)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(4);
    const char *rest = topics;
    rd_kafka_resp_err_t result;

    for (char *topic; (topic = config_next(&rest)) != NULL; free(topic))
        rd_kafka_topic_partition_list_add(list, topic, RD_KAFKA_PARTITION_UA);
    result = list->cnt > 0 ? rd_kafka_subscribe(rk, list) : RD_KAFKA_RESP_ERR__INVALID_ARG;
    if (result != RD_KAFKA_RESP_ERR_NO_ERROR)
        snprintf(error, error_size, "cannot subscribe to '%s': %s", topics,
                 rd_kafka_err2str(result));
    rd_kafka_topic_partition_list_destroy(list);
    return result == RD_KAFKA_RESP_ERR_NO_ERROR;
}

rd_kafka_t *kafka_group_join(const struct kafka_consumer_options *options, char *error,
                             size_t error_size)
{
    const char *const own[] = {
        "bootstrap.servers", options->bootstrap_servers, "client.id", options->client_id,
        "group.id", options->group,
        /* An offset is stored by us, once its event is in PostgreSQL; storing is not committing. */
        "enable.auto.offset.store", "false", "enable.auto.commit", "true",
        "auto.commit.interval.ms", "1000",
        /* A dead worker's partitions go to the others within seconds (45 s as delivered). */
        "session.timeout.ms", "10000",
        /* A new group begins at the beginning: nothing is lost. */
        "auto.offset.reset", "earliest", "partition.assignment.strategy", "range,roundrobin",
        /* Topics made later, or matching a pattern later, are found within this. */
        "topic.metadata.refresh.interval.ms", "10000",
        /* What is fetched ahead is memory. Much less, and fetching would stop for a second (fixed
           in librdkafka before 2.2) each time the queue is full. */
        "queued.min.messages", STRING(KAFKA_AHEAD_RECORDS), "queued.max.messages.kbytes", "16384",
        "fetch.wait.max.ms", "500", "fetch.error.backoff.ms", "500", "reconnect.backoff.max.ms",
        "2000", "socket.keepalive.enable", "true", "log.queue", "true", "statistics.interval.ms",
        "2000", NULL};
    rd_kafka_conf_t *conf = kafka_conf_new(own, options->properties, error, error_size);
    rd_kafka_t *rk;
    char why[256];

    if (conf == NULL)
        return NULL;
    rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_FETCH | RD_KAFKA_EVENT_REBALANCE |
                                       RD_KAFKA_EVENT_OFFSET_COMMIT | RD_KAFKA_EVENT_ERROR |
                                       RD_KAFKA_EVENT_LOG | RD_KAFKA_EVENT_STATS);
    rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why);
    if (rk == NULL) {
        snprintf(error, error_size, "Kafka consumer: %s", why);
        rd_kafka_conf_destroy(conf);
        return NULL;
    }
    rd_kafka_poll_set_consumer(rk);
    if (!subscribe(rk, options->topics, error, error_size)) {
        rd_kafka_destroy(rk);
        return NULL;
    }
    return rk;
}

/* Serves the last rebalance: closing unassigns, which commits what was stored. */
static bool say_goodbye(rd_kafka_t *rk)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    int64_t limit = clock_now() + CLOSE_LIMIT;
    rd_kafka_error_t *error = rd_kafka_consumer_close_queue(rk, queue);
    bool closed = false;

    rd_kafka_error_destroy(error);
    while (!(closed = (rd_kafka_consumer_closed(rk) != 0)) && clock_now() < limit) {
        rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 50);

        if (event != NULL && rd_kafka_event_type(event) == RD_KAFKA_EVENT_REBALANCE)
            rd_kafka_assign(rk, NULL);
        rd_kafka_event_destroy(event);
    }
    rd_kafka_queue_destroy(queue);
    return closed;
}

void kafka_group_leave(rd_kafka_t *rk)
{
    bool closed = say_goodbye(rk);

    if (!closed)
        log_warn("left Kafka without a goodbye: the group notices when the session times out");
    rd_kafka_destroy_flags(rk, closed ? 0 : RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
}
