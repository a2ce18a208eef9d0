#include <stdlib.h>

#include "clock.h"
#include "kafka.h"
#include "kafka_ahead.h"
#include "kafka_conf.h"
#include "kafka_group.h"
#include "kafka_member.h"
#include "kafka_pile.h"
#include "log.h"
#include "mem.h"
#include "metrics.h"

/* An idle or paused consumer must still be polled, or the group takes it for dead. */
#define POLL_INTERVAL CLOCK_SECOND
/* How long a revocation waits for the batch in hand. */
#define REVOKE_LIMIT (10 * CLOCK_SECOND)

struct kafka_consumer {
    struct kafka_consumer_options options;
    rd_kafka_t *rk;
    rd_kafka_queue_t *queue;
    struct event *wake;
    int wake_fd;
    struct event *timer;
    struct kafka_member *member;
    struct kafka_ahead *ahead;
    struct kafka_pile next; /* being gathered */
    struct kafka_pile hand; /* with the caller */
    bool in_hand;
    bool forsaken;                /* the batch in hand belongs to an assignment that has ended */
    rd_kafka_event_t *revocation; /* waits for the batch in hand */
    int64_t revoke_by;
};

enum { ASSIGNED, REBALANCES, UNREADABLE };

static struct metric metrics[] = {
    [ASSIGNED] = {.name = "mms_kafka_assigned_partitions",
                  .type = "gauge",
                  .help = "Partitions with events that this worker has"},
    [REBALANCES] = {.name = "mms_kafka_assignments_total",
                    .type = "counter",
                    .help = "Times that this worker was given its share of the partitions"},
    [UNREADABLE] = {.name = "mms_kafka_unreadable_total",
                    .type = "counter",
                    .help = "Tries to read records that can't be unpacked; their partition stands "
                            "still"},
};

/* ---- errors ---- */

static bool is_unreadable(rd_kafka_resp_err_t error)
{
    return error == RD_KAFKA_RESP_ERR__BAD_COMPRESSION || error == RD_KAFKA_RESP_ERR__BAD_MSG ||
           error == RD_KAFKA_RESP_ERR__NOT_IMPLEMENTED;
}

/* librdkafka tries again for ever; where the next record that can be read begins nobody knows. */
static void note_unreadable(struct kafka_consumer *consumer, rd_kafka_event_t *event,
                            const char *text)
{
    rd_kafka_topic_partition_t *place = rd_kafka_event_topic_partition(event);

    metrics[UNREADABLE].value++;
    if (said_is_new(kafka_member_said(consumer->member), text))
        log_error("a partition stands still: its next records can't be read",
                  log_str("topic", place != NULL ? place->topic : NULL),
                  log_int("partition", place != NULL ? place->partition : -1),
                  log_int("offset", place != NULL ? place->offset : -1), log_str("error", text));
    if (place != NULL)
        rd_kafka_topic_partition_destroy(place);
}

static void take_error(struct kafka_consumer *consumer, rd_kafka_event_t *event)
{
    rd_kafka_resp_err_t error = rd_kafka_event_error(event);
    const char *text = rd_kafka_event_error_string(event);

    if (is_unreadable(error))
        note_unreadable(consumer, event, text);
    else
        kafka_member_error(consumer->member, error, text, rd_kafka_event_error_is_fatal(event));
}

static void take_commit(struct kafka_consumer *consumer, rd_kafka_event_t *event)
{
    rd_kafka_resp_err_t error = rd_kafka_event_error(event);
    bool warning;

    if (error == RD_KAFKA_RESP_ERR_NO_ERROR || error == RD_KAFKA_RESP_ERR__NO_OFFSET)
        return;
    warning = said_is_new(kafka_member_said(consumer->member), rd_kafka_event_error_string(event));
    log_news(warning, "offsets not committed; events may be read again, once each is kept",
             log_str("error", rd_kafka_event_error_string(event)));
}

/* ---- rebalance ---- */

static void finish_revocation(struct kafka_consumer *consumer)
{
    rd_kafka_event_destroy(consumer->revocation);
    consumer->revocation = NULL;
    /* What was gathered isn't stored; whoever gets the partitions reads it again. */
    kafka_pile_clear(&consumer->next);
    rd_kafka_assign(consumer->rk, NULL);
    metrics[ASSIGNED].value = 0;
    log_info("partitions revoked");
}

static void take_rebalance(struct kafka_consumer *consumer, rd_kafka_event_t *event)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_event_topic_partition_list(event);

    if (rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        rd_kafka_assign(consumer->rk, list);
        kafka_ahead_assigned(consumer->ahead);
        kafka_member_assigned(consumer->member);
        metrics[ASSIGNED].value = list->cnt;
        metrics[REBALANCES].value++;
        log_info("partitions assigned", log_int("count", list->cnt));
        rd_kafka_event_destroy(event);
        return;
    }
    consumer->revocation = event;
    consumer->revoke_by = clock_now() + REVOKE_LIMIT;
    if (!consumer->in_hand || consumer->forsaken)
        finish_revocation(consumer);
}

/* ---- gathering ---- */

static void take_message(struct kafka_consumer *consumer, rd_kafka_event_t *event)
{
    const rd_kafka_message_t *message = rd_kafka_event_message_next(event);

    if (message == NULL || message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        rd_kafka_event_destroy(event);
        return;
    }
    kafka_pile_add(&consumer->next, event, (rd_kafka_message_t *)message);
}

static void take_event(struct kafka_consumer *consumer, rd_kafka_event_t *event)
{
    switch (rd_kafka_event_type(event)) {
    case RD_KAFKA_EVENT_FETCH:
        take_message(consumer, event);
        return;
    case RD_KAFKA_EVENT_REBALANCE:
        take_rebalance(consumer, event);
        return;
    case RD_KAFKA_EVENT_ERROR:
        take_error(consumer, event);
        break;
    case RD_KAFKA_EVENT_STATS:
        kafka_member_statistics(consumer->member, rd_kafka_event_stats(event));
        break;
    case RD_KAFKA_EVENT_LOG:
        kafka_log_event(event, kafka_member_said(consumer->member));
        break;
    case RD_KAFKA_EVENT_OFFSET_COMMIT:
        take_commit(consumer, event);
        break;
    default:
        break;
    }
    rd_kafka_event_destroy(event);
}

static void hand_over(struct kafka_consumer *consumer)
{
    struct kafka_pile empty = consumer->hand;

    consumer->hand = consumer->next;
    consumer->next = empty;
    consumer->in_hand = true;
    consumer->forsaken = false;
    kafka_ahead_batch(consumer->ahead, consumer->hand.beside / (size_t)consumer->hand.count);
    consumer->options.batch(consumer->options.arg, consumer->hand.messages, consumer->hand.count);
}

/* While held back nothing is fetched any more, so everything is taken: polls keep us in the group.
 */
static bool has_room(const struct kafka_consumer *consumer)
{
    return kafka_ahead_is_held(consumer->ahead) ||
           !kafka_pile_full(&consumer->next, consumer->options.batch_max,
                            consumer->options.batch_max_bytes);
}

/*
 * Takes what the queue has, up to a full batch. Stopping early is safe only because
 * kafka_consumer_done() comes back here without a wake-up. Whoever is told of an event may hold us
 * back meanwhile.
 */
static void pump(struct kafka_consumer *consumer)
{
    rd_kafka_event_t *event;

    while (has_room(consumer) && consumer->revocation == NULL &&
           (event = rd_kafka_queue_poll(consumer->queue, 0)) != NULL)
        take_event(consumer, event);
    if (!consumer->in_hand && !kafka_ahead_is_held(consumer->ahead) &&
        consumer->revocation == NULL && consumer->next.count > 0)
        hand_over(consumer);
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    kafka_wake_clear(fd);
    pump(arg);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct kafka_consumer *consumer = arg;

    (void)fd;
    (void)what;
    if (consumer->revocation != NULL && clock_now() >= consumer->revoke_by) {
        log_warn("partitions given up with a batch in hand; its events will be read again");
        consumer->forsaken = true;
        finish_revocation(consumer);
    }
    pump(consumer);
}

static void store_offsets(struct kafka_consumer *consumer)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(16);

    for (int i = 0; i < consumer->hand.count; i++) {
        const rd_kafka_message_t *message = consumer->hand.messages[i];
        const char *topic = rd_kafka_topic_name(message->rkt);
        rd_kafka_topic_partition_t *partition =
            rd_kafka_topic_partition_list_find(list, topic, message->partition);

        if (partition == NULL)
            partition = rd_kafka_topic_partition_list_add(list, topic, message->partition);
        partition->offset = message->offset + 1; /* the next one to read */
    }
    if (rd_kafka_offsets_store(consumer->rk, list) != RD_KAFKA_RESP_ERR_NO_ERROR)
        log_debug("some offsets not stored: their partitions were taken away");
    rd_kafka_topic_partition_list_destroy(list);
}

void kafka_consumer_done(struct kafka_consumer *consumer)
{
    if (!consumer->forsaken)
        store_offsets(consumer);
    consumer->in_hand = false;
    kafka_pile_clear(&consumer->hand);
    kafka_ahead_done(consumer->ahead);
    if (consumer->revocation != NULL)
        finish_revocation(consumer);
    /* Not from here: the caller may be deep in a callback of its own. */
    event_active(consumer->wake, EV_READ, 0);
}

void kafka_consumer_hold(struct kafka_consumer *consumer, bool hold)
{
    if (kafka_ahead_hold(consumer->ahead, hold))
        event_active(consumer->wake, EV_READ, 0);
}

/* ---- opening and closing ---- */

struct kafka_consumer *kafka_consumer_open(struct event_base *base,
                                           const struct kafka_consumer_options *options,
                                           char *error, size_t error_size)
{
    static const struct timeval interval = {.tv_sec = POLL_INTERVAL / CLOCK_SECOND};
    rd_kafka_t *rk = kafka_group_join(options, error, error_size);
    struct kafka_consumer *consumer;

    if (rk == NULL)
        return NULL;
    consumer = mem_zalloc(sizeof *consumer);
    consumer->options = *options;
    consumer->rk = rk;
    consumer->member = kafka_member_new(options->changed, options->arg);
    metrics_register_all(metrics, sizeof metrics / sizeof metrics[0]);
    consumer->queue = rd_kafka_queue_get_consumer(rk);
    rd_kafka_set_log_queue(rk, consumer->queue);
    consumer->wake = kafka_wake_new(base, consumer->queue, on_wake, consumer, &consumer->wake_fd);
    consumer->ahead = kafka_ahead_new(base, rk, consumer->queue);
    consumer->timer = event_new(base, -1, EV_PERSIST, on_timer, consumer);
    event_add(consumer->timer, &interval);
    /* Whatever came before the descriptor was in place makes no wake-up. */
    event_active(consumer->wake, EV_READ, 0);
    return consumer;
}

void kafka_consumer_close(struct kafka_consumer *consumer)
{
    if (consumer == NULL)
        return;
    if (consumer->revocation != NULL)
        finish_revocation(consumer);
    kafka_pile_release(&consumer->next);
    kafka_pile_release(&consumer->hand);
    rd_kafka_queue_io_event_enable(consumer->queue, -1, NULL, 0);
    rd_kafka_queue_destroy(consumer->queue);
    kafka_group_leave(consumer->rk);
    kafka_wake_free(consumer->wake, consumer->wake_fd);
    event_free(consumer->timer);
    kafka_ahead_free(consumer->ahead);
    kafka_member_free(consumer->member);
    free(consumer);
}
