#ifndef WORKER_SEAL_H
#define WORKER_SEAL_H

#include <stdbool.h>
#include <stddef.h>

/*
 * A secret as a text that says nothing to who lacks the key:
 *
 *     sealed:v1:KEYID:base64url(nonce, ciphertext, tag)
 *
 * XChaCha20-Poly1305 of libsodium, with everything before the base64url as additional data. The
 * nonce is a keyed hash (BLAKE2b) of the secret: under one key a secret has one text, so that
 * whether two are the same can be told from their texts, and what was opened can be held against
 * its nonce. Without I/O.
 */

#define SEAL_PREFIX      "sealed:"
#define SEAL_KEY_BYTES   32
#define SEAL_ID_DIGITS   8
#define SEAL_KEY_TEXT    45 /* room for a key in base64, with its NUL */
#define SEAL_SECRET_MAX  255
#define SEAL_TEXT_MAX    414 /* characters that the longest secret becomes */
#define SEAL_HEADER_SIZE sizeof("sealed:v1:00000000:")

struct seal_key {
    unsigned char nonce_key[32], cipher_key[32];
    char id[SEAL_ID_DIGITS + 1]; /* hexadecimal, made from the key: which one it was */
};

/* Before anything else here; may be repeated. */
void seal_init(void);

/* A new random key, as base64. To be wiped by the caller. */
void seal_key_make(char ret_text[SEAL_KEY_TEXT]);

/*
 * Reads a key: its 32 bytes in base64 or hexadecimal, and nothing else. False if it is none. The
 * key is to be wiped by the caller.
 */
bool seal_key_parse(const char *text, size_t length, struct seal_key *ret_key);

/* The sealed text, owned. NULL if the secret is empty or longer than SEAL_SECRET_MAX. */
char *seal_make(const struct seal_key *key, const char *secret);

/* Whether a text could be a sealed one, of any key. */
bool seal_is_sealed(const char *text);

/* Which key it was sealed with. `text` is one that seal_is_sealed() takes. */
void seal_key_id(const char *text, char ret_id[SEAL_ID_DIGITS + 1]);

/* The secret, owned; NULL if `text` isn't to the byte what the key made of one. */
char *seal_open(const struct seal_key *key, const char *text);

#endif
