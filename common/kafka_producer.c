#include <stdio.h>
#include <stdlib.h>

#include "kafka.h"
#include "kafka_conf.h"
#include "log.h"
#include "mem.h"

/* A client that has failed for good is replaced after this. */
#define REPLACE_AFTER 5 /* seconds */

struct kafka_producer {
    struct event_base *base;
    struct kafka_producer_options options;
    rd_kafka_t *rk;
    rd_kafka_queue_t *queue;
    struct event *wake;
    int wake_fd;
    struct event *replacement;
    size_t pending;
    struct said said; /* of what is wrong, since the brokers took a record last */
};

static void take_reports(struct kafka_producer *producer, rd_kafka_event_t *event)
{
    const rd_kafka_message_t *message;

    while ((message = rd_kafka_event_message_next(event)) != NULL) {
        producer->pending--;
        if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR)
            said_forget(&producer->said);
        producer->options.delivered(
            producer->options.arg, message->_private,
            message->err != RD_KAFKA_RESP_ERR_NO_ERROR ? rd_kafka_err2str(message->err) : NULL,
            message->err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
    }
}

/* Brokers out of reach are the consumer's to tell of: they are the same ones. */
static void take_error(struct kafka_producer *producer, rd_kafka_event_t *event)
{
    const char *text = rd_kafka_event_error_string(event);
    bool warning =
        !kafka_is_unreachable(rd_kafka_event_error(event)) && said_is_new(&producer->said, text);

    log_news(warning, "Kafka producer", log_str("error", text));
    if (rd_kafka_event_error_is_fatal(event)) {
        rd_kafka_purge(producer->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        event_add(producer->replacement, &(struct timeval){.tv_sec = REPLACE_AFTER});
    }
}

static void take_event(struct kafka_producer *producer, rd_kafka_event_t *event)
{
    switch (rd_kafka_event_type(event)) {
    case RD_KAFKA_EVENT_DR:
        take_reports(producer, event);
        break;
    case RD_KAFKA_EVENT_LOG:
        kafka_log_event(event, &producer->said);
        break;
    case RD_KAFKA_EVENT_ERROR:
        take_error(producer, event);
        break;
    default:
        break;
    }
    rd_kafka_event_destroy(event);
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    struct kafka_producer *producer = arg;
    rd_kafka_event_t *event;

    (void)what;
    kafka_wake_clear(fd);
    while ((event = rd_kafka_queue_poll(producer->queue, 0)) != NULL)
        take_event(producer, event);
}

static bool client_open(struct kafka_producer *producer, char *error, size_t error_size)
{
    const char *const own[] = {
        "bootstrap.servers", producer->options.bootstrap_servers,
        /* acks=all, retries without duplicates or reordering within a partition. */
        "enable.idempotence", "true", "linger.ms", "5",
        /* A topic may take less than librdkafka's 1 MB, and refuses a batch as a whole. */
        "batch.size", "32768",
        /* Kafka away: what doesn't fit stays in PostgreSQL and is published by the sweep. */
        "queue.buffering.max.messages", "20000", "queue.buffering.max.kbytes", "32768",
        "message.max.bytes", "16000000", "message.timeout.ms", "10000", "reconnect.backoff.max.ms",
        "2000", "socket.keepalive.enable", "true", "log.queue", "true", NULL};
    rd_kafka_conf_t *conf = kafka_conf_new(own, producer->options.properties, error, error_size);
    char why[256];

    if (conf == NULL)
        return false;
    rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_LOG);
    producer->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    if (producer->rk == NULL) {
        snprintf(error, error_size, "Kafka producer: %s", why);
        rd_kafka_conf_destroy(conf);
        return false;
    }
    producer->queue = rd_kafka_queue_get_main(producer->rk);
    rd_kafka_set_log_queue(producer->rk, producer->queue);
    producer->wake =
        kafka_wake_new(producer->base, producer->queue, on_wake, producer, &producer->wake_fd);
    event_active(producer->wake, EV_READ, 0);
    return true;
}

static void client_close(struct kafka_producer *producer)
{
    rd_kafka_queue_io_event_enable(producer->queue, -1, NULL, 0);
    rd_kafka_queue_destroy(producer->queue);
    rd_kafka_purge(producer->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    rd_kafka_destroy(producer->rk);
    kafka_wake_free(producer->wake, producer->wake_fd);
}

/*
 * An idempotent client that was refused a right, or lost count, takes no records any more. What it
 * had has been reported by now, or is later.
 */
static void on_replacement(evutil_socket_t fd, short what, void *arg)
{
    struct kafka_producer *producer = arg;
    char error[256];

    (void)fd;
    (void)what;
    if (producer->pending > 0) {
        event_add(producer->replacement, &(struct timeval){.tv_sec = REPLACE_AFTER});
        return;
    }
    client_close(producer);
    if (!client_open(producer, error, sizeof error))
        abort(); /* the settings were good enough before */
}

struct kafka_producer *kafka_producer_open(struct event_base *base,
                                           const struct kafka_producer_options *options,
                                           char *error, size_t error_size)
{
    struct kafka_producer *producer = mem_zalloc(sizeof *producer);

    producer->base = base;
    producer->options = *options;
    producer->replacement = evtimer_new(base, on_replacement, producer);
    if (client_open(producer, error, error_size))
        return producer;
    event_free(producer->replacement);
    free(producer);
    return NULL;
}

static rd_kafka_headers_t *make_headers(const struct kafka_header *header)
{
    rd_kafka_headers_t *headers = rd_kafka_headers_new(4);

    for (; header != NULL && header->name != NULL; header++) {
        if (header->value != NULL)
            rd_kafka_header_add(headers, header->name, -1, header->value, -1);
    }
    return headers;
}

bool kafka_producer_send(struct kafka_producer *producer, const struct kafka_record *record,
                         bool *ret_too_large)
{
    rd_kafka_headers_t *headers = make_headers(record->headers);
    rd_kafka_resp_err_t result =
        rd_kafka_producev(producer->rk, RD_KAFKA_V_TOPIC(record->topic),
                          RD_KAFKA_V_KEY(record->key, record->key_length),
                          RD_KAFKA_V_VALUE((void *)record->value, record->value_length),
                          RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_HEADERS(headers),
                          RD_KAFKA_V_OPAQUE(record->tag), RD_KAFKA_V_END);

    *ret_too_large = result == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
    if (result != RD_KAFKA_RESP_ERR_NO_ERROR) {
        rd_kafka_headers_destroy(headers); /* ours still, as nothing was queued */
        return false;
    }
    producer->pending++;
    return true;
}

size_t kafka_producer_pending(const struct kafka_producer *producer)
{
    return producer->pending;
}

void kafka_producer_close(struct kafka_producer *producer)
{
    if (producer == NULL)
        return;
    client_close(producer);
    event_free(producer->replacement);
    free(producer);
}
