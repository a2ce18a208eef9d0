#ifndef WORKER_STATISTICS_H
#define WORKER_STATISTICS_H

#include <event2/event.h>

/*
 * Numbers about the whole database for /metrics: what waits, what is parked, what isn't published.
 * They are the same whichever worker is asked. PostgreSQL is asked only when metrics are, not more
 * often than every 10 s, and at most a fiftieth of the time; a scrape never waits for it, but shows
 * what is known, and how old that is. The connection is the room's own, made at the first scrape:
 * claims and evidence don't wait behind a count.
 */
struct statistics;

/* `database_url` is borrowed. */
struct statistics *statistics_open(struct event_base *base, const char *database_url);
void statistics_close(struct statistics *statistics);

#endif
