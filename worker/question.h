#ifndef WORKER_QUESTION_H
#define WORKER_QUESTION_H

#include <stdbool.h>
#include <stdint.h>

#include "common/clock.h"
#include "common/http.h"
#include "common/pg.h"
#include "worker/inquiry.h"
#include "worker/lookup.h"

/*
 * A question to Twilio that answers several inquiries at once: which messages to this phone does
 * the account have? Reads the list page by page, asks PostgreSQL which of its messages belong to
 * attempts already, and matches the rest.
 */
struct question;

struct question_options {
    struct http *http;            /* borrowed; closed before the question is freed */
    struct pg *pg;                /* borrowed */
    const struct db_clock *clock; /* borrowed */
    const char *twilio_base_url;
    int64_t twilio_timeout;
    int64_t delay; /* as inquiry_sought() has it */
    /*
     * Told of each inquiry what was found, by a list that was asked for at `asked_at` (monotonic).
     * May take the inquiry's delivery. What can't be told is SOUGHT_UNDECIDED.
     */
    void (*answered)(void *arg, struct inquiry *inquiry, const struct sought *sought,
                     int64_t asked_at);
    /* Told after the last of them; frees the question. */
    void (*ended)(void *arg, struct question *question);
    void *arg;
};

/* A question with its first inquiry, which it takes over. `options` must outlive it. */
struct question *question_new(const struct question_options *options, struct inquiry *inquiry);

/* Takes over one more inquiry, if the same list answers it. */
bool question_add(struct question *question, struct inquiry *inquiry);

/* Asks. The answers come from the loop, never from within this call. */
void question_ask(struct question *question);

/* Frees it and its inquiries; nothing is told any more. */
void question_free(struct question *question);

#endif
