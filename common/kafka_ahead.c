#include "kafka_ahead.h"

#include <stdlib.h>

#include "clock.h"
#include "mem.h"

/* Where there may be so much, it is looked at so often. */
#define INTERVAL (50 * CLOCK_MS)

struct kafka_ahead {
    rd_kafka_t *rk;
    rd_kafka_queue_t *queue;
    struct event *look; /* at what was fetched ahead, while that may be much */
    size_t beside;      /* as kafka_ahead_batch() has it */
    bool hold;
    bool alone; /* nothing is fetched until the batch in hand is done */
};

/* Pausing throws away what was fetched ahead. */
static void apply(struct kafka_ahead *ahead)
{
    rd_kafka_topic_partition_list_t *assigned = NULL;

    if (rd_kafka_assignment(ahead->rk, &assigned) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return;
    if (ahead->hold || ahead->alone)
        rd_kafka_pause_partitions(ahead->rk, assigned);
    else
        rd_kafka_resume_partitions(ahead->rk, assigned);
    rd_kafka_topic_partition_list_destroy(assigned);
}

static void set_alone(struct kafka_ahead *ahead, bool alone)
{
    if (ahead->alone == alone)
        return;
    ahead->alone = alone;
    if (!ahead->hold)
        apply(ahead);
}

static void on_look(evutil_socket_t fd, short what, void *arg)
{
    static const struct timeval interval = {.tv_usec = INTERVAL};
    struct kafka_ahead *ahead = arg;

    (void)fd;
    (void)what;
    if (rd_kafka_queue_length(ahead->queue) * ahead->beside > KAFKA_AHEAD_MAX_BYTES)
        set_alone(ahead, true);
    else
        event_add(ahead->look, &interval);
}

void kafka_ahead_batch(struct kafka_ahead *ahead, size_t beside)
{
    ahead->beside = beside;
    /* Whether there may be too much, sooner or later. */
    if (beside * KAFKA_AHEAD_RECORDS > KAFKA_AHEAD_MAX_BYTES)
        on_look(-1, 0, ahead);
}

void kafka_ahead_done(struct kafka_ahead *ahead)
{
    event_del(ahead->look);
    set_alone(ahead, false);
}

bool kafka_ahead_hold(struct kafka_ahead *ahead, bool hold)
{
    if (ahead->hold == hold)
        return false;
    ahead->hold = hold;
    apply(ahead);
    return true;
}

bool kafka_ahead_is_held(const struct kafka_ahead *ahead)
{
    return ahead->hold;
}

/* A partition that was paused when it was taken away is still paused when it comes back. */
void kafka_ahead_assigned(struct kafka_ahead *ahead)
{
    apply(ahead);
}

struct kafka_ahead *kafka_ahead_new(struct event_base *base, rd_kafka_t *rk,
                                    rd_kafka_queue_t *queue)
{
    struct kafka_ahead *ahead = mem_zalloc(sizeof *ahead);

    ahead->rk = rk;
    ahead->queue = queue;
    ahead->look = evtimer_new(base, on_look, ahead);
    return ahead;
}

void kafka_ahead_free(struct kafka_ahead *ahead)
{
    event_free(ahead->look);
    free(ahead);
}
