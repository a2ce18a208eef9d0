#ifndef WORKER_HEALTH_H
#define WORKER_HEALTH_H

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>

/*
 * What the worker depends on, and whether it is there: each change is one log line (another reason
 * of a part that isn't there is one as well, the first time), and /readyz says so to who asks: a
 * line for each part that isn't there, with the reason and since when. Also serves /metrics and
 * /healthz. All answers come from the worker's one loop: that /healthz answers at all says that it
 * turns. A loop that hangs can't say so; who probes takes no answer within a time limit for red.
 */
struct health;

enum health_part {
    HEALTH_POSTGRESQL_INTAKE,
    HEALTH_POSTGRESQL_PACER,
    HEALTH_POSTGRESQL_EVIDENCE,
    HEALTH_KAFKA,
    HEALTH_TWILIO,
    HEALTH_STOPPING,
    HEALTH_PARTS
};

/* Listens on `listen` (address:port; port 0 takes any). NULL and one line in `error` on failure. */
struct health *health_open(struct event_base *base, const char *listen, char *error,
                           size_t error_size);
void health_close(struct health *health);

/*
 * `reason`: why the part is not there; NULL if it is. Parts begin as "not tried yet", except
 * Twilio: a worker without anything to send is ready.
 */
void health_set(struct health *health, enum health_part part, const char *reason);

bool health_is_ready(const struct health *health);

#endif
