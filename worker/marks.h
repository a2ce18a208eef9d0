#ifndef WORKER_MARKS_H
#define WORKER_MARKS_H

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/pg.h"

/*
 * What was published is marked in PostgreSQL: the outbox's rows get their published_at, in batches.
 */
struct marks;

enum mark_kind { MARK_ATTEMPT, MARK_STATUS, MARK_REJECTED };

/* A row of the outbox that is being published. */
struct mark {
    enum mark_kind kind;
    char *id;                    /* destination_id, or topic; owned */
    int64_t number;              /* delivery id, or offset */
    int which;                   /* attempt, or partition */
    unsigned char result_id[16]; /* of an attempt */
    char *message_sid, *status;  /* of a status; owned */

    /* The publisher's own. */
    int records; /* still without a report */
    bool failed;
    size_t size; /* of the dead letter as sent, key and value */

    /* Told when it is out of the way: published and marked, or not published. NULL: nobody is. */
    void (*settled)(void *arg, bool published);
    void *arg;
    struct mark *next;
};

/* A mark for `id`, which is copied, and for one record. */
struct mark *mark_new(enum mark_kind kind, const char *id, int64_t number, int which);

/* Settles and frees one. */
void mark_free(struct mark *mark);

struct marks *marks_open(struct event_base *base, struct pg *pg);

/* Frees what waits; nobody is told. */
void marks_close(struct marks *marks);

/* The brokers have it: writes that down soon. Takes it over. */
void marks_published(struct marks *marks, struct mark *mark);

/* Whether everything is written. */
bool marks_idle(const struct marks *marks);

#endif
