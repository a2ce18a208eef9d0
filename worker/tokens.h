#ifndef WORKER_TOKENS_H
#define WORKER_TOKENS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The auth tokens of Twilio accounts, as far as destinations have them: a bounded map in memory.
 * An account has more than one while its token is being changed, or if a destination's is wrong.
 * Without I/O. A token that is dropped is overwritten.
 */
struct tokens;

#define TOKENS_OF_ACCOUNT   4
#define TOKENS_REFERENCES   4
#define TOKENS_ACCOUNTS_MAX 65536
#define TOKENS_LENGTH_MAX   256

struct tokens *tokens_new(void);
void tokens_free(struct tokens *tokens);

/*
 * Copies a token that was valid `at` (microseconds since 1970). Of an account the newest
 * TOKENS_OF_ACCOUNT are kept. What is no account SID, or empty or longer than TOKENS_LENGTH_MAX
 * bytes, is ignored. False if there is no room for one more account.
 * `reference` is where it was found ("file:/…"), NULL if it stood for itself. Of a token
 * TOKENS_REFERENCES are kept; one leads to one token of the account, the last that was added.
 */
bool tokens_add(struct tokens *tokens, const char *account_sid, const char *token,
                const char *reference, int64_t at);

/* The account's tokens, borrowed until the next change; returns how many. */
int tokens_find(const struct tokens *tokens, const char *account_sid,
                const char *ret_tokens[TOKENS_OF_ACCOUNT]);

/* Where a token of the account was found, borrowed until the next change; returns how many. */
int tokens_references(const struct tokens *tokens, const char *account_sid, const char *token,
                      const char *ret_references[TOKENS_REFERENCES]);

/* A look at everything begins and, if it came to its end, drops what was not added meanwhile. */
void tokens_begin(struct tokens *tokens);
void tokens_end(struct tokens *tokens);

size_t tokens_accounts(const struct tokens *tokens);

/* True if `text` is AC and 32 letters or digits. */
bool tokens_is_account(const char *text);

#endif
