#ifndef WORKER_TWILIO_H
#define WORKER_TWILIO_H

#include <stdbool.h>
#include <stddef.h>

#include "common/redact.h"
#include "worker/destination.h"
#include "worker/render.h"

/* Our User-Agent. */
#define TWILIO_AGENT "mms-worker/1"

/* A request to Twilio's Messages resource, ready to be sent. Everything is owned. */
struct twilio_request {
    char *url;
    char *user, *password;
    char *form; /* application/x-www-form-urlencoded */
    size_t form_length;
    char *evidence;            /* JSON: the request as sent, without secrets */
    struct redactor *redactor; /* for what is answered */
};

/*
 * Builds the create request for `message`. `base_url` has no slash at its end. `status_callback` is
 * where Twilio is to report what becomes of the message, or NULL; a destination that has callbacks
 * of its own (status_callback or application_sid) keeps those.
 * Source: Twilio's Messages resource; MediaUrl is repeated for each URL, '+' goes as %2B.
 */
void twilio_request_build(const char *base_url, const struct destination *destination,
                          const struct message *message, const char *status_callback,
                          struct twilio_request *ret_request);

/* Wipes the secrets and frees the rest. */
void twilio_request_release(struct twilio_request *request);

/*
 * What must not be kept of an answer to this destination's requests: its secrets, and those for
 * proxies on the way. A proxy may echo the Authorization header in its error page.
 */
struct redactor *twilio_redactor(const struct destination *destination);

#endif
