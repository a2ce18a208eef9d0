/*
 * Status callbacks: their form, their signature, their way to the StatusCallback of a message, with
 * repetition as the URL's fragment asks for it, and the log of them.
 *
 * The callbacks of one message go one after the other: each begins when the one before has been
 * answered or given up. So a test decides in what order they arrive. A parallel one does not wait,
 * and nobody waits for it.
 */
#ifndef SIM_CALLBACKS_H
#define SIM_CALLBACKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "params.h"
#include "store.h"
#include "twilio_auth.h"

struct event_base;
struct callback;
struct callbacks;

struct callback_options {
    enum { SIGNATURE_GOOD, SIGNATURE_BAD, SIGNATURE_ABSENT } signature;
    int64_t delay_ms; /* before it takes its turn */
    bool parallel;
    struct params extra; /* parameters beside Twilio's own */
};

/* All borrowed. Signatures are made with the account's token in `auth`; without one there is none.
 */
struct callbacks *callbacks_new(struct event_base *base, const struct wall *wall,
                                const struct twilio_auth *auth);
void callbacks_free(struct callbacks *c);
/* Forgets all: those under way, those to come, the log. Before the messages are forgotten. */
void callbacks_reset(struct callbacks *c);

/* A callback that tells of `m`, which has a StatusCallback, as it is now. It counts as open. Owned
 * by `c`; m->last_callback is used. */
struct callback *callbacks_prepare(struct callbacks *c, struct message *m,
                                   const struct callback_options *options);
/* Sends it, once. */
void callback_send(struct callback *cb);

/* How many were prepared and are neither answered nor given up. */
size_t callbacks_open(const struct callbacks *c);
/* The log as JSON: those that were begun, in that order, with n > since, at most `limit`. Returns
 * whether there are more. */
bool callbacks_report(struct text *out, const struct callbacks *c, uint64_t since, uint64_t limit);

#endif
