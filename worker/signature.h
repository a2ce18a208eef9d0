#ifndef WORKER_SIGNATURE_H
#define WORKER_SIGNATURE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/form.h"

/*
 * X-Twilio-Signature: whether a request is from who knows an account's auth token. As Twilio's own
 * validators have it (Security page, twilio-python's request_validator.py): HMAC-SHA1, keyed with
 * the token, over the URL and then each POST parameter's name and value, sorted by name, without
 * anything in between; in base64. Without I/O.
 */

#define SIGNATURE_SIZE        29
#define SIGNATURE_SHA256_SIZE 65

/* What was signed, if the request is Twilio's: its URL without a port, and with one. */
struct signature_texts {
    char *texts[2];
    size_t lengths[2];
};

/*
 * `url`: absolute, as Twilio was given it, with the query as it was received. User name and
 * fragment are dropped; "Twilio's back end is inconsistent" about the port, so it is taken out, and
 * its scheme's added. `parameters`: of a form; NULL if the body isn't one (see below). Of a name
 * that is repeated each value counts once, in their order by bytes. Release the texts.
 */
void signature_texts_init(struct signature_texts *texts, const char *url,
                          const struct form *parameters);
void signature_texts_release(struct signature_texts *texts);

/* True if `signature` (NULL: there was none) was made with `token`. Compares in constant time. */
bool signature_matches(const struct signature_texts *texts, const char *token,
                       const char *signature);

/* SHA-256 in lower-case hexadecimal. */
void signature_sha256(const void *bytes, size_t length, char out[SIGNATURE_SHA256_SIZE]);

/*
 * A body that isn't a form is signed by its SHA-256: the parameter bodySHA256 in the query of the
 * URL, as lower-case hexadecimal. `sha256`, of `sha256_length` bytes, may be NULL: there was none.
 */
bool signature_body_matches(const char *sha256, size_t sha256_length, const void *body,
                            size_t length);

#endif
