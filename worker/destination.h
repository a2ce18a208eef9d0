#ifndef WORKER_DESTINATION_H
#define WORKER_DESTINATION_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "worker/options.h"

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
    const char *auth_token;      /* what Twilio signs its callbacks with, whoever sends */
    const char *user, *password; /* for Basic auth: account SID and token, or API key and secret */
    bool sms_fallback;           /* what can't be sent as MMS is sent as SMS */
    struct options options;      /* owned */
    char warning[512];           /* what is allowed and hardly meant, one line; "": nothing */
};

/*
 * Judges the row's `type` and `config` (JSON text). False if a rule is broken: `why` then has one
 * line that names the field and what was expected, never a secret. Release in either case.
 */
bool destination_parse(const char *type, const char *config, struct destination *ret_destination,
                       char *why, size_t why_size);

/* Whether a config may have this field. */
bool destination_has_field(const char *field);

/* Wipes the secrets and frees the rest. */
void destination_release(struct destination *destination);

#endif
