#include "worker/commands/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/kafka_conf.h"
#include "common/mem.h"

struct client {
    rd_kafka_t *rk;
    struct client_record *record; /* under way; NULL: none */
    rd_kafka_resp_err_t error;    /* what became of it */
    enum client_groups groups;
    char told[256];    /* by on_error() */
    char trouble[256]; /* what client_trouble() returned */
};

/* From rd_kafka_poll(), on our own thread. */
static void on_error(rd_kafka_t *rk, int error, const char *reason, void *opaque)
{
    struct client *client = opaque;

    (void)rk;
    /* That all are down says less than what was told of each. */
    if (error != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN || client->told[0] == '\0')
        snprintf(client->told, sizeof client->told, "%.*s", (int)strcspn(reason, "\n"), reason);
}

static void ignore_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    (void)rk;
    (void)level;
    (void)facility;
    (void)text;
}

/* From rd_kafka_poll(), on our own thread. */
static void on_delivered(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    struct client *client = opaque;

    (void)rk;
    if (client->record == NULL)
        return;
    client->error = message->err;
    client->record->partition = message->partition;
    client->record->offset = message->offset;
    client->record = NULL;
}

struct client *client_try(const struct settings *settings, rd_kafka_type_t type,
                          const char *const *own, char *error, size_t error_size)
{
    struct client *client = mem_zalloc(sizeof *client);
    rd_kafka_conf_t *conf = kafka_conf_new(own, &settings->kafka_properties, error, error_size);

    if (conf != NULL) {
        rd_kafka_conf_set(conf, "bootstrap.servers", settings->kafka_bootstrap_servers, error,
                          error_size);
        rd_kafka_conf_set_opaque(conf, client);
        rd_kafka_conf_set_error_cb(conf, on_error);
        if (type == RD_KAFKA_PRODUCER)
            rd_kafka_conf_set_dr_msg_cb(conf, on_delivered);
        rd_kafka_conf_set_log_cb(conf, ignore_log);
        client->rk = rd_kafka_new(type, conf, error, error_size);
        if (client->rk == NULL)
            rd_kafka_conf_destroy(conf);
    }
    if (client->rk == NULL) {
        free(client);
        return NULL;
    }
    return client;
}

struct client *client_open(const struct arguments *arguments, rd_kafka_type_t type,
                           const char *const *own)
{
    char error[256];
    struct client *client = client_try(arguments->settings, type, own, error, sizeof error);

    if (client == NULL)
        command_failed(arguments, "Kafka: %s", error);
    return client;
}

struct client *client_open_producer(const struct arguments *arguments)
{
    static const char *const own[] = {
        "enable.idempotence", "true",  "linger.ms", "0", "message.max.bytes", "16000000",
        "message.timeout.ms", "30000", NULL};

    return client_open(arguments, RD_KAFKA_PRODUCER, own);
}

static void add_header(rd_kafka_headers_t *headers, const char *name, const char *value)
{
    if (value != NULL)
        rd_kafka_header_add(headers, name, -1, value, -1);
}

const char *client_produce(struct client *client, struct client_record *record)
{
    rd_kafka_headers_t *headers = rd_kafka_headers_new(2);
    rd_kafka_resp_err_t error;

    add_header(headers, "traceparent", record->traceparent);
    add_header(headers, "tracestate", record->tracestate);
    client->record = record;
    error = rd_kafka_producev(client->rk, RD_KAFKA_V_TOPIC(record->topic),
                              RD_KAFKA_V_KEY((void *)record->key, record->key_length),
                              RD_KAFKA_V_VALUE((void *)record->value, record->value_length),
                              RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_HEADERS(headers),
                              RD_KAFKA_V_END);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
        rd_kafka_headers_destroy(headers); /* ours still, as nothing was queued */
        client->record = NULL;
        return client_trouble(client, error);
    }
    /* The report comes in any case: librdkafka has a time limit of its own. */
    while (client->record != NULL)
        rd_kafka_poll(client->rk, 1000);
    return client->error == RD_KAFKA_RESP_ERR_NO_ERROR ? NULL
                                                       : client_trouble(client, client->error);
}

enum client_groups client_groups(const struct client *client)
{
    return client->groups;
}

void client_set_groups(struct client *client, enum client_groups groups)
{
    client->groups = groups;
}

void client_close(struct client *client)
{
    if (client == NULL)
        return;
    if (rd_kafka_type(client->rk) == RD_KAFKA_PRODUCER)
        rd_kafka_purge(client->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    rd_kafka_destroy(client->rk);
    free(client);
}

rd_kafka_t *client_handle(struct client *client)
{
    return client->rk;
}

const char *client_trouble(struct client *client, rd_kafka_resp_err_t error)
{
    rd_kafka_poll(client->rk, 0);
    snprintf(client->trouble, sizeof client->trouble, "%s",
             client->told[0] != '\0' &&
                     (error == RD_KAFKA_RESP_ERR_NO_ERROR ||
                      error == RD_KAFKA_RESP_ERR__MSG_TIMED_OUT || kafka_is_unreachable(error))
                 ? client->told
                 : rd_kafka_err2str(error));
    return client->trouble;
}
