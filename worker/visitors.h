#ifndef WORKER_VISITORS_H
#define WORKER_VISITORS_H

#include <event2/event.h>
#include <event2/http.h>
#include <stdint.h>

/*
 * Bounds the connections of an evhttp server, which has no such setting (libevent 2.1): so many at
 * a time, and each for so long, whatever it sends or doesn't. A connection too many costs the
 * oldest its place: who says what he has to say is gone long before, and who is silent keeps nobody
 * out. One with more than 64 KiB that evhttp can't make anything of is closed, and one with more
 * than 4 MiB in all. For a server that closes the connection with each answer, and whose bounds for
 * headers and bodies are below that.
 */
struct visitors;

/* `life` in microseconds. The server has no connections yet. */
struct visitors *visitors_new(struct event_base *base, struct evhttp *server, int max,
                              int64_t life);

/* After the server was freed, and before the base is. */
void visitors_free(struct visitors *visitors);

#endif
