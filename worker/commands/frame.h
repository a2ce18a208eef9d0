#ifndef WORKER_COMMANDS_FRAME_H
#define WORKER_COMMANDS_FRAME_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "worker/commands/group.h"

/* One picture of `mms-worker top`: data become text, or JSON. Pure. */

/* A count that goes no further is shown as "100k+". */
#define FRAME_COUNT_MAX 100000

/* A destination; numbers of the last minute unless they say otherwise. */
struct frame_destination {
    const char *id;
    const char *condition; /* active, parked, disabled, missing */
    int64_t waiting;
    int64_t oldest_s; /* how long the oldest of them has waited; -1: none waits */
    int64_t accepted, retry, failed, unknown, expired;
    int64_t sends_10s;         /* begun in the last ten seconds */
    int64_t parked_s;          /* for how long it is parked yet; -1: it isn't */
    const char *parked_reason; /* NULL: none */
};

struct frame_worker {
    const char *name;
    int64_t sends;
};

struct frame {
    const char *at; /* RFC 3339, the database's clock (this machine's without a database) */
    int interval_s; /* 0: no live view */
    /* Everything of PostgreSQL's; nothing of it is there if `database_trouble` is set. */
    const char *database_trouble;
    int64_t waiting, sending, unknown, disabled, outbox, parked, sent;
    const struct frame_destination *destinations; /* those that need attention first */
    int destination_count;
    int64_t destinations_all; /* of which those are the first */
    const struct frame_worker *workers;
    int worker_count;
    /* Everything of Kafka's; the same. */
    const char *kafka_trouble;
    const char *group_name;
    const struct group *group;
};

/*
 * Appends lines, each of at most `width` columns (or 40, if that is more), at most `height` of them
 * (0: as many as there are): what doesn't fit becomes "… and 213 more".
 */
void frame_add_text(struct buf *out, const struct frame *frame, int width, int height);

/* Appends one JSON object, without the end of the line. */
void frame_add_json(struct buf *out, const struct frame *frame);

/* How many destinations frame_add_text() can show in `height` lines at most. */
int frame_room(int height);

/* "59s", "12m", "3h 5m", "4d 2h". */
void frame_add_age(struct buf *out, int64_t seconds);

#endif
