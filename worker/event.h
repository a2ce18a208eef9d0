#ifndef WORKER_EVENT_H
#define WORKER_EVENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An event as producers write it (schemas/event.schema.json). */

/* Larger events are rejected. */
#define EVENT_MAX_BYTES ((size_t)1 << 20)
/*
 * Values in it, keys not counted. A MiB has room for 350 000, which take 80 MB and 50 ms to parse;
 * this many take no longer than a MiB of text does.
 */
#define EVENT_VALUES_MAX 100000
/* event_id, destination_id and connection_id, in characters. */
#define EVENT_ID_MAX 255

struct event {
    json_t *json; /* the whole event; what is below borrows from it */
    const char *event_id;
    const char *destination_id;
    const char *connection_id; /* NULL if absent */
};

/* Why an event was rejected: `reason` is a static word, `detail` one line. */
struct event_rejection {
    const char *reason;
    char detail[256];
};

/*
 * Parses and judges the value of a Kafka record (NULL for a tombstone). On success `ret_event` is
 * filled; release it with event_release(). Otherwise `ret_rejection` says why, and `ret_event` has
 * the ids that could be read nevertheless; release it too.
 */
bool event_parse(const char *bytes, size_t length, struct event *ret_event,
                 struct event_rejection *ret_rejection);

void event_release(struct event *event);

#endif
