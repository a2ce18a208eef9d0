#ifndef WORKER_LIMITS_H
#define WORKER_LIMITS_H

#include <stddef.h>

#include "common/clock.h"

/*
 * How large things may grow, whoever makes them: producers of events, rows, Twilio, callers. What a
 * worker has in memory at a time is the sum of these; OPERATING.md ("Limits") says what happens
 * beyond each. An event's own bounds are in event.h, an answer's in common/http.h, a callback's in
 * callback.c, those of what librdkafka holds in common/kafka_ahead.h, kafka_group.c and
 * kafka_producer.c.
 */

/* ---- the loop's time ---- */

/*
 * A MiB of hostile JSON (100 000 values) or of text takes the loop 15 ms, and whoever has a slot in
 * them is late. Whatever is parsed for longer than this in one turn …
 */
#define LIMIT_TURN (5 * CLOCK_MS)
/* … is followed by a rest of so many times what it took beyond, before more of the kind comes … */
#define LIMIT_REST 5
/* … and not longer: the machine may have been busy, or the worker stopped. */
#define LIMIT_REST_MAX CLOCK_SECOND
/* While claims rest only events up to this are claimed: they take less than a turn. */
#define LIMIT_LIGHT_BYTES 65536

/* The rest after what has taken the loop so long. */
static inline int64_t limit_rest(int64_t took)
{
    int64_t rest = took > LIMIT_TURN ? LIMIT_REST * (took - LIMIT_TURN) : 0;

    return rest < LIMIT_REST_MAX ? rest : LIMIT_REST_MAX;
}

/* ---- intake ---- */

/* Records of a batch, which is one transaction … */
#define LIMIT_INTAKE_EVENTS 500
/* … and their bytes, keys and headers included; one record may be larger. */
#define LIMIT_INTAKE_BYTES ((size_t)1 << 20)
/*
 * Of a rejected record's value, and of its key, so much is kept. No topic takes as much unless it
 * is told to; but a compressed record may unfold to a thousand times what the topic has taken.
 */
#define LIMIT_REJECTED_BYTES ((size_t)16 << 20)

/* ---- what is on its way to Twilio ---- */

/* Deliveries in one worker's hands at a time, and connections to Twilio … */
#define LIMIT_LIVE 2000
/* … and the bytes of their requests: 32 KiB each on the average, 70 times what is usual. */
#define LIMIT_LIVE_BYTES ((size_t)64 << 20)
/*
 * Destinations of a claim. Each holds an advisory lock for the claim's duration; the lock table is
 * shared by everybody in the database (6400 as delivered). If it is full all the same, the batch is
 * halved until it fits, and grows again after.
 */
#define LIMIT_CLAIM 200
/* Bytes of the events of a claim; one event may be larger. What doesn't fit is put off, the largest
 * first. */
#define LIMIT_CLAIM_BYTES ((size_t)1 << 20)
/* Settings of a destination, as text; a constraint of the table says the same. */
#define LIMIT_CONFIG_BYTES 65536

/* ---- what Twilio says later ---- */

/* Reports of statuses that wait for PostgreSQL, their bytes, and what is kept of Twilio's words. */
#define LIMIT_STATUSES            5000
#define LIMIT_STATUSES_BYTES      ((size_t)16 << 20)
#define LIMIT_STATUS_TEXT_BYTES   1024
#define LIMIT_STATUS_PARAMS_BYTES 8192
/*
 * Statuses that are stored of one attempt. Twilio has eleven names for them, and an attempt one
 * message; who has a destination's token can sign any number.
 */
#define LIMIT_STATUSES_OF_ATTEMPT 100

/* ---- lookups ---- */

/* A page has 200 messages of 1600 characters, each of up to 12 bytes in JSON ("\ud83d\ude00"). */
#define LIMIT_PAGE_BYTES ((size_t)4 << 20)
#define LIMIT_PAGES      100
/* JSON values of a page: a message has 25. */
#define LIMIT_PAGE_VALUES 20000
/* What is kept of all pages of a list; 16 lists are read at a time. */
#define LIMIT_LIST_BYTES ((size_t)8 << 20)
/* Bytes of events that a look for unknown attempts brings along: those whose request isn't known.
 */
#define LIMIT_LOOKUP_BYTES ((size_t)8 << 20)

/* ---- results ---- */

/* Deliveries, messages, or rejected events of a sweep; bytes of the latter (the last may go
 * beyond).
 */
#define LIMIT_SWEEP          500
#define LIMIT_REJECTED_SWEEP ((size_t)1 << 20)

#endif
