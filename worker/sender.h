#ifndef WORKER_SENDER_H
#define WORKER_SENDER_H

#include <event2/event.h>
#include <stdint.h>

#include "common/clock.h"
#include "common/http.h"
#include "worker/delivery.h"
#include "worker/evidence.h"
#include "worker/reach.h"

/*
 * Sends a delivery to Twilio when its slot has come, confirms the start, and turns the answer into
 * a verdict for the evidence.
 */
struct sender;

struct sender_options {
    struct http *http;            /* borrowed */
    struct reach *reach;          /* borrowed; told how each exchange went */
    struct evidence *evidence;    /* borrowed */
    const struct db_clock *clock; /* borrowed */
    int64_t timeout;              /* of one exchange */
};

struct sender *sender_open(const struct sender_options *options);

/*
 * To be called after http_close(), which ends exchanges under way without a word; their deliveries
 * become unknown when leases run out.
 */
void sender_close(struct sender *sender);

/* Sends `delivery`, whose request is built; takes it over. */
void sender_send(struct sender *sender, struct delivery *delivery);

#endif
