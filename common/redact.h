#ifndef COMMON_REDACT_H
#define COMMON_REDACT_H

#include <stdbool.h>
#include <stddef.h>

#include "buf.h"

/*
 * Takes secrets out of what strangers say: a proxy may echo a request, its Authorization header
 * with it, in any of the ways in which pages, headers and JSON write text.
 */
struct redactor;

/* What is shorter is no secret: without its letters a text could not be read, and would tell it. */
#define REDACT_MIN 8

/* So much of a secret's beginning counts as one, wherever it was cut. */
#define REDACT_BEGINNING 12

/* What stands for a secret. */
#define REDACTED "***"

/* Without secrets: it lets everything pass. */
struct redactor *redactor_new(void);

/* NULL is fine. Wipes the secrets. */
void redactor_free(struct redactor *redactor);

/* Adds a secret, and what it looks like in base64 and hexadecimal. NULL or a short one: nothing. */
void redactor_add(struct redactor *redactor, const char *secret);

/* Adds the password of a login, and both as HTTP's Basic authentication has them. */
void redactor_add_login(struct redactor *redactor, const char *user, const char *password);

/*
 * Appends `bytes` with every copy of a secret replaced by REDACTED, as valid UTF-8 (utf8_clean()).
 * Found are copies in plain text, in base64 (at any offset, either alphabet) and in hexadecimal, in
 * upper or lower case, whatever of it is escaped, up to four times over: %41, \u0041, \x41, \/,
 * &#65;, &amp;.
 * Of a copy that was cut the beginning counts as one: from REDACT_BEGINNING characters on, and at
 * the end, where the bytes may have been cut, from REDACT_MIN on. Takes time in proportion to
 * `length` (below 4 GiB).
 */
void redact(const struct redactor *redactor, const char *bytes, size_t length, struct buf *out);

/*
 * Whether something in the text looks like a token that nobody knows: 20 letters and digits in a
 * row, some of each, that are no SID of Twilio's.
 */
bool redact_suspects(const char *text);

/*
 * Whether a name that a stranger chose may be shown: letters, digits, "_-. ", at most 64 of them,
 * and nothing that looks like a token.
 */
bool redact_is_name(const char *text);

#endif
