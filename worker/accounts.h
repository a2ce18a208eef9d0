#ifndef WORKER_ACCOUNTS_H
#define WORKER_ACCOUNTS_H

#include <event2/event.h>
#include <stdbool.h>

#include "common/pg.h"
#include "worker/destination.h"
#include "worker/secret.h"
#include "worker/tokens.h"

/*
 * Whose signature a status callback may have: the auth tokens of all destinations, disabled ones
 * too, kept in memory, so that no callback, forged or not, costs a query. What was changed is
 * looked at every second, everything every five minutes; in between a token that was taken out of
 * its destination stays valid. What a reference leads to is looked at when the row is, and each
 * time this worker uses it.
 */
struct accounts;

/* `pg` and `secrets` (what destinations' references lead to) are borrowed, and outlive the
 * accounts. */
struct accounts *accounts_open(struct event_base *base, struct pg *pg,
                               const struct secrets *secrets);
void accounts_close(struct accounts *accounts);

/* False as long as not everything has been read once: an account may be missing. */
bool accounts_loaded(const struct accounts *accounts);

/* A destination that this worker has just used, revealed; what is needed of it is copied. */
void accounts_learn(struct accounts *accounts, const struct destination *destination);

/* As tokens_find(). */
int accounts_tokens(const struct accounts *accounts, const char *account_sid,
                    const char *ret_tokens[TOKENS_OF_ACCOUNT]);

/*
 * All texts of destinations' auth_token that stand for this token of the account, as far as is
 * known: itself, sealed with each of our keys, and the references that it was found by. The SHA-256
 * of each, in hexadecimal, with blanks between them; owned.
 */
char *accounts_signers(const struct accounts *accounts, const char *account_sid, const char *token);

#endif
