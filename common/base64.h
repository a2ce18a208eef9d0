#ifndef COMMON_BASE64_H
#define COMMON_BASE64_H

#include <stdbool.h>
#include <stddef.h>

#include "buf.h"

/* Base64 as RFC 4648 has it. */

/* Room for what `length` bytes become, with the NUL behind it. */
#define BASE64_SIZE(length) (((length) + 2) / 3 * 4 + 1)

/*
 * Writes BASE64_SIZE(length) bytes at most to `out`: section 4, padded. Into the caller's memory,
 * so that a secret leaves no copies in a buffer that grew.
 */
void base64_encode(const void *bytes, size_t length, char *out);

/* Section 5: the alphabet for URLs, without padding. */
void base64url_encode(const void *bytes, size_t length, char *out);

/*
 * Appends what base64url_encode() made `text` from. False if it could not have made it (padding,
 * another alphabet, left-over bits), or if it does not fit.
 */
bool base64url_decode(const char *text, size_t length, struct buf *out);

#endif
