#ifndef WORKER_SWEEP_H
#define WORKER_SWEEP_H

#include <stdbool.h>
#include <stdint.h>

/*
 * How far back a sweep looks. What has been dealt with leaves entries in an index that PostgreSQL
 * keeps as long as a long transaction lasts; walking through all of them every few seconds costs.
 * So most sweeps look at what came of age lately, and one a minute at everything. Zeroed: the
 * next one looks at everything.
 */
struct sweep {
    int64_t whole_at; /* monotonic: when to look at everything again */
};

/* Whether the sweep that begins now looks at everything. */
bool sweep_is_whole(struct sweep *sweep);

/* The reach of the sweep that begins now, in microseconds. */
int64_t sweep_reach(struct sweep *sweep);

#endif
