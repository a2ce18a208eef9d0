#ifndef COMMON_UTF8_H
#define COMMON_UTF8_H

#include <stdbool.h>
#include <stddef.h>

#include "buf.h"

/* True if the bytes are well-formed UTF-8 (RFC 3629: shortest form, no surrogates). */
bool utf8_valid(const char *bytes, size_t length);

/* The number of characters (code points) in valid UTF-8. */
size_t utf8_length(const char *text);

/* The byte length of the first `characters` characters of valid UTF-8, or of all of it. */
size_t utf8_prefix(const char *text, size_t characters);

/* True if valid UTF-8 has a control character (C0, DEL or C1) in it. */
bool utf8_has_control(const char *text);

/*
 * How many of the first `length` bytes of valid UTF-8, a stranger's word, may stand in a line about
 * it: whole characters in 128 at most; none at all if one of them is a control character.
 */
int utf8_shown(const char *word, size_t length);

/*
 * Appends bytes of any kind as valid UTF-8 that PostgreSQL and Kafka's readers take: what isn't
 * UTF-8, and NUL, becomes U+FFFD. Used for what strangers answer.
 */
bool utf8_clean(struct buf *buf, const char *bytes, size_t length);

#endif
