#ifndef WORKER_CALLBACK_H
#define WORKER_CALLBACK_H

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>

#include "worker/accounts.h"
#include "worker/status.h"

/*
 * The receiver of Twilio's status callbacks: a small HTTP server that strangers reach. Nothing in a
 * request is believed before its signature is verified, and that costs neither a query nor more
 * than a line in the log a minute, whatever comes. It answers
 *
 *     204  taken; also what is well signed but not about an attempt of ours: that is ignored
 *     400  no status callback, or an attempt that we never wrote
 *     403  the signature is absent or wrong, or the account isn't known: which of these isn't said
 *     405, 413, 415   not a POST; too large; neither a form nor a signed JSON body
 *     503  no room for it, or the accounts aren't known yet. Twilio repeats it if the URL says so
 *          ("#rc=5&rp=all")
 *
 * and closes the connection. Any path is taken, for a proxy in front may have cut it: what was
 * signed is the URL that Twilio was given, with the query as it is received.
 */
struct callback;

struct callback_options {
    struct event_base *base;
    const char *listen; /* address:port; port 0 takes any */
    const char *url;    /* MMS_STATUS_CALLBACK_URL: that of Twilio's side */
    struct accounts *accounts;
    /*
     * Takes the status over. It is the word of who knows the token of `signers` and says
     * `account_sid`, not about the attempt: every destination's owner can sign any attempt's id.
     * Who stores it looks whether the attempt is that account's, and the token its destination's.
     */
    void (*received)(void *arg, struct status *status);
    /* Whether `received` could take one more now; otherwise Twilio is told to come again. */
    bool (*has_room)(void *arg);
    void *arg;
};

/* `options.listen` and `url` are needed during the call only. NULL and one line in `error` on
 * failure. */
struct callback *callback_open(const struct callback_options *options, char *error,
                               size_t error_size);

/* Listens no more. What is being received ends as it would have. */
void callback_stop(struct callback *callback);

void callback_close(struct callback *callback);

#endif
