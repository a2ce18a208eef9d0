/*
 * Who may do what: Basic authentication as Twilio does it. Any well-formed account with any
 * password is right, until an account is given the one password that it accepts.
 */
#ifndef SIM_TWILIO_AUTH_H
#define SIM_TWILIO_AUTH_H

#include <stdbool.h>

#include "render.h"

struct twilio_auth;

struct twilio_auth *twilio_auth_new(void);
void twilio_auth_free(struct twilio_auth *auth);
/* Forgets all passwords. */
void twilio_auth_reset(struct twilio_auth *auth);
/* From now on only `token` is right for `account`, both for the account itself and for its API
 * keys. */
void twilio_auth_set(struct twilio_auth *auth, const char *account, const char *token);
/* Takes note of a password that `account` itself has used and that was right: it is the auth token.
 * It restricts nothing. */
void twilio_auth_learn(struct twilio_auth *auth, const char *account, const char *token);
/* The auth token, which callbacks are signed with; NULL if it is not known. Borrowed. */
const char *twilio_auth_token(const struct twilio_auth *auth, const char *account);

/* "AC" (or another prefix) and 32 letters or digits. */
bool twilio_auth_is_sid(const char *s, const char *prefix);

/* User and password of an Authorization header, each NULL if there is none. */
struct twilio_credentials {
    char *user; /* owned, as is the password */
    char *password;
};
/* `header` may be NULL. Release with twilio_credentials_release, which also wipes the password. */
void twilio_credentials_parse(struct twilio_credentials *ret_credentials, const char *header);
void twilio_credentials_release(struct twilio_credentials *c);

/* Whether these credentials may use `account`; if not, *ret_error says why. */
bool twilio_auth_check(const struct twilio_auth *auth, const char *account,
                       const struct twilio_credentials *c, struct twilio_error *ret_error);

#endif
