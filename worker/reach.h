#ifndef WORKER_REACH_H
#define WORKER_REACH_H

#include <event2/event.h>
#include <stdbool.h>

#include "common/http.h"

/*
 * Whether Twilio can be reached from this worker. Who sends reports how each exchange went. After
 * several in a row that could not even connect, Twilio is out of reach: a probe then asks with
 * growing pauses, always on a new connection, whether it answers at all. Any HTTP answer to the
 * probe, and nothing else, means that it can be reached again.
 */
struct reach;

struct reach_options {
    struct event_base *base;
    struct http *http;    /* borrowed; closed before reach_close() */
    const char *base_url; /* the probe asks for base_url + "/", without credentials */
    /* Told of each change: `reason` says why Twilio is out of reach, NULL that it isn't any more.
     */
    void (*changed)(void *arg, const char *reason);
    void *arg;
};

/* Twilio is within reach until the contrary is known. */
struct reach *reach_open(const struct reach_options *options);
void reach_close(struct reach *reach);

/* An exchange was answered, whatever the answer. */
void reach_answered(struct reach *reach);

/* An exchange could not connect; `reason` is one line without secrets. */
void reach_not_connected(struct reach *reach, const char *reason);

#endif
