#ifndef WORKER_COMMANDS_MASK_H
#define WORKER_COMMANDS_MASK_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* What stands for a secret when a destination is shown, and for "as it is" when it comes back. */
#define MASK "***"

/*
 * A destination's config without secrets: auth_token, api_key_secret and whatever else is in `auth`
 * but valid SIDs and references to secrets; URLs with a password, and what the query of
 * status_callback says; and what may be a secret in a wrong place: the values of fields that no
 * config has, copies of the row's secrets, and what looks like a token. A new reference.
 */
json_t *mask_config(json_t *config);

/*
 * A config that came back: where it has MASK, what `old` (NULL: there is no row) has there. A new
 * reference; NULL if there is nothing hidden at that place in the old one, `why` then has one line
 * that names the field.
 */
json_t *unmask_config(json_t *config, json_t *old, char *why, size_t why_size);

/* Whether `value` (any JSON) has a secret in it that nobody has masked. */
bool mask_has_secret(const json_t *value);

#endif
