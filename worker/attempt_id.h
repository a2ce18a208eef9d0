#ifndef WORKER_ATTEMPT_ID_H
#define WORKER_ATTEMPT_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"

/*
 * Which attempt a status callback is about: it stands in the query of the URL that Twilio was given
 * with the message, for a callback may come before we know the message's SID. Without I/O.
 *
 *     attempt=<delivery id>.<attempt>.<destination id, base64url without padding>
 *
 * Only unreserved characters of RFC 3986: nobody on the way has a reason to encode them again,
 * which would change what Twilio signs.
 */
#define ATTEMPT_ID_PARAMETER "attempt"

struct attempt_id {
    char *destination_id; /* 1 to 255 characters, valid UTF-8 without control characters */
    int64_t delivery_id;  /* above 0 */
    int attempt;          /* above 0 */
};

/* Appends the parameter's value. */
void attempt_id_write(struct buf *buf, const char *destination_id, int64_t delivery_id,
                      int attempt);

/*
 * Reads a parameter's value, only in the form in which it is written. On success release the id;
 * otherwise nothing is owned.
 */
bool attempt_id_parse(const char *text, size_t length, struct attempt_id *ret_id);
void attempt_id_release(struct attempt_id *id);

/*
 * `callback_url` with the parameter behind its query, before its fragment: that is Twilio's
 * connection override ("#rc=3&rp=all"), and has to be the end. A URL without a path gets "/", which
 * is what will be requested. Owned by the caller.
 */
char *attempt_id_url(const char *callback_url, const char *destination_id, int64_t delivery_id,
                     int attempt);

#endif
