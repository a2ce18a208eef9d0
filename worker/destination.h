#ifndef WORKER_DESTINATION_H
#define WORKER_DESTINATION_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "worker/options.h"
#include "worker/secret.h"

/* A destination's config (schemas/destination.schema.json), judged. */
struct destination {
    json_t *json;     /* the whole config; what is below borrows from it */
    const char *from; /* NULL if absent */
    const char *to;
    const char *body_template;
    bool truncate; /* body_overflow: truncate */
    const json_t *media_urls;
    const char *messaging_service_sid; /* NULL if absent */
    const char *account_sid;
    const char *user;          /* for Basic auth: the account's SID, or the API key's */
    const char *auth_text;     /* what stands in auth_token: the token or a reference to it */
    const char *password_text; /* the same of the secret that goes with `user` */
    char *auth_token;          /* what Twilio signs its callbacks with; NULL until it is revealed */
    char *password;            /* for Basic auth; NULL until it is revealed */
    bool sms_fallback;         /* what can't be sent as MMS is sent as SMS */
    struct options options;    /* owned */
    char warning[512];         /* what is allowed and hardly meant, one line; "": nothing */
};

/*
 * Judges the row's `type` and `config` (JSON text). False if a rule is broken: `why` then has one
 * line that names the field and what was expected, never a secret. Release in either case.
 */
bool destination_parse(const char *type, const char *config, struct destination *ret_destination,
                       char *why, size_t why_size);

/*
 * Gets the secrets from where the config says they are; `warning` may grow by what they are. False
 * if one can't be had: `why` then has one line that names the field, and neither auth_token nor
 * password is set. Another machine may have another answer, and another moment too.
 */
bool destination_reveal(struct destination *destination, const struct secrets *secrets, char *why,
                        size_t why_size);

/* Whether a config may have this field. */
bool destination_has_field(const char *field);

/* Wipes the secrets and frees the rest. */
void destination_release(struct destination *destination);

#endif
