#ifndef WORKER_ACCOUNTS_H
#define WORKER_ACCOUNTS_H

#include <event2/event.h>
#include <stdbool.h>

#include "common/pg.h"
#include "worker/tokens.h"

/*
 * Whose signature a status callback may have: the auth tokens of all destinations, disabled ones
 * too, kept in memory, so that no callback, forged or not, costs a query. What was changed is
 * looked at every second, everything every five minutes; in between a token that was taken out of
 * its destination stays valid.
 */
struct accounts;

/* `pg` is borrowed, and outlives the accounts. */
struct accounts *accounts_open(struct event_base *base, struct pg *pg);
void accounts_close(struct accounts *accounts);

/* False as long as not everything has been read once: an account may be missing. */
bool accounts_loaded(const struct accounts *accounts);

/* A token that this worker has just used; both strings are copied. */
void accounts_learn(struct accounts *accounts, const char *account_sid, const char *auth_token);

/* As tokens_find(). */
int accounts_tokens(const struct accounts *accounts, const char *account_sid,
                    const char *ret_tokens[TOKENS_OF_ACCOUNT]);

#endif
