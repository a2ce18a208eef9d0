#include "kafka_conf.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "log.h"

/* Promises hang on these; an operator's value would break them quietly. */
static const char *const reserved[] = {
    "bootstrap.servers",
    "group.id",
    "enable.auto.offset.store",
    "enable.auto.commit",
    "log.queue",
    "statistics.interval.ms",
    "enable.idempotence",
    "enable.partition.eof",
};

static const char *refusal(const struct config_pair *pair)
{
    for (size_t i = 0; i < sizeof reserved / sizeof reserved[0]; i++) {
        if (strcmp(pair->name, reserved[i]) == 0)
            return "is set by the worker itself";
    }
    if (strcmp(pair->name, "partition.assignment.strategy") == 0 &&
        strstr(pair->value, "cooperative") != NULL)
        return "must be eager (range, roundrobin): intake is over in milliseconds";
    return NULL;
}

static bool set(rd_kafka_conf_t *conf, const char *name, const char *value, char *why, size_t size)
{
    char said[256];

    switch (rd_kafka_conf_set(conf, name, value, said, sizeof said)) {
    case RD_KAFKA_CONF_OK:
        return true;
    case RD_KAFKA_CONF_UNKNOWN:
        snprintf(why, size, "there is no such property of librdkafka (%s)", name);
        return false;
    default:
        /* librdkafka's message repeats the value, which may be a secret. */
        said[strcspn(said, "\n")] = '\0';
        snprintf(why, size, "%s: %s", name, config_name_is_secret(name) ? "not accepted" : said);
        return false;
    }
}

bool kafka_property_check(const struct config_pair *property, char *why, size_t why_size)
{
    const char *refused = refusal(property);
    rd_kafka_conf_t *conf;
    bool accepted;

    if (refused != NULL) {
        snprintf(why, why_size, "%s %s", property->name, refused);
        return false;
    }
    conf = rd_kafka_conf_new();
    accepted = set(conf, property->name, property->value, why, why_size);
    rd_kafka_conf_destroy(conf);
    return accepted;
}

rd_kafka_conf_t *kafka_conf_new(const char *const *own, const struct config_pairs *properties,
                                char *error, size_t error_size)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();

    for (; own[0] != NULL; own += 2) {
        if (!set(conf, own[0], own[1], error, error_size))
            goto refused;
    }
    for (size_t i = 0; i < properties->count; i++) {
        if (!kafka_property_check(&properties->pairs[i], error, error_size) ||
            !set(conf, properties->pairs[i].name, properties->pairs[i].value, error, error_size))
            goto refused;
    }
    return conf;

refused:
    rd_kafka_conf_destroy(conf);
    return NULL;
}

struct event *kafka_wake_new(struct event_base *base, rd_kafka_queue_t *queue,
                             event_callback_fn woken, void *arg, int *ret_fd)
{
    static const uint64_t one = 1;
    /* Non-blocking: a full descriptor must not hang librdkafka's thread (librdkafka#2932). */
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    struct event *event = event_new(base, fd, EV_READ | EV_PERSIST, woken, arg);

    event_add(event, NULL);
    rd_kafka_queue_io_event_enable(queue, fd, &one, sizeof one);
    *ret_fd = fd;
    return event;
}

void kafka_wake_free(struct event *event, int fd)
{
    event_free(event);
    close(fd);
}

void kafka_wake_clear(int fd)
{
    uint64_t count;

    if (read(fd, &count, sizeof count) < 0)
        return; /* nothing was there */
}

bool kafka_is_unreachable(rd_kafka_resp_err_t error)
{
    return error == RD_KAFKA_RESP_ERR__TRANSPORT || error == RD_KAFKA_RESP_ERR__RESOLVE ||
           error == RD_KAFKA_RESP_ERR__TIMED_OUT || error == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN;
}

bool kafka_is_refusal(rd_kafka_resp_err_t error)
{
    return error == RD_KAFKA_RESP_ERR__AUTHENTICATION || error == RD_KAFKA_RESP_ERR__SSL ||
           error == RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED ||
           error == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED ||
           error == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED ||
           error == RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED;
}

void kafka_log_event(rd_kafka_event_t *event, struct said *said)
{
    const char *facility, *text;
    bool warning;
    int level;

    if (rd_kafka_event_log(event, &facility, &text, &level) != 0)
        return;
    /* A broker that can't be reached (FAIL) comes as an error as well; so does the end of a session
       that nothing was heard in. */
    warning = level <= 4 && strcmp(facility, "FAIL") != 0 && strcmp(facility, "SESSTMOUT") != 0 &&
              said_is_new(said, text);
    log_news(warning, "librdkafka", log_str("facility", facility), log_str("text", text));
}
