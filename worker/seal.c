#include "worker/seal.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

#define HEADER        "sealed:v1:"
#define HEADER_LENGTH (SEAL_HEADER_SIZE - 1)
#define NONCE         crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define TAG           crypto_aead_xchacha20poly1305_ietf_ABYTES
#define SEALED_MAX    (NONCE + SEAL_SECRET_MAX + TAG)
#define BASE64        sodium_base64_VARIANT_URLSAFE_NO_PADDING

_Static_assert(SEAL_TEXT_MAX + 1 >= HEADER_LENGTH + sodium_base64_ENCODED_LEN(SEALED_MAX, BASE64),
               "the longest text");
_Static_assert(SEAL_KEY_TEXT ==
                   sodium_base64_ENCODED_LEN(SEAL_KEY_BYTES, sodium_base64_VARIANT_ORIGINAL),
               "a key in base64");

void seal_init(void)
{
    if (sodium_init() < 0)
        abort(); /* no source of random bytes: then nothing of this may be used */
}

/* Whether libsodium can be asked: it takes any byte beyond ASCII for base64's last digit. */
static bool is_ascii(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)text[i] >= 0x80)
            return false;
    }
    return true;
}

/* ---- keys ---- */

void seal_key_make(char ret_text[SEAL_KEY_TEXT])
{
    unsigned char bytes[SEAL_KEY_BYTES];

    randombytes_buf(bytes, sizeof bytes);
    sodium_bin2base64(ret_text, SEAL_KEY_TEXT, bytes, sizeof bytes, sodium_base64_VARIANT_ORIGINAL);
    sodium_memzero(bytes, sizeof bytes);
}

/* One key for each purpose, and an id that says nothing about them. */
static void derive(const unsigned char bytes[SEAL_KEY_BYTES], struct seal_key *key)
{
    static const char context[crypto_kdf_CONTEXTBYTES + 1] = "mms-seal";
    unsigned char id[16];

    crypto_kdf_derive_from_key(key->nonce_key, sizeof key->nonce_key, 1, context, bytes);
    crypto_kdf_derive_from_key(key->cipher_key, sizeof key->cipher_key, 2, context, bytes);
    crypto_kdf_derive_from_key(id, sizeof id, 3, context, bytes);
    sodium_bin2hex(key->id, sizeof key->id, id, SEAL_ID_DIGITS / 2);
}

bool seal_key_parse(const char *text, size_t length, struct seal_key *ret_key)
{
    unsigned char bytes[SEAL_KEY_BYTES];
    size_t count = 0;
    bool good;

    if (length == sizeof bytes * 2)
        good = sodium_hex2bin(bytes, sizeof bytes, text, length, NULL, &count, NULL) == 0;
    else
        good = is_ascii(text, length) &&
               sodium_base642bin(bytes, sizeof bytes, text, length, NULL, &count, NULL,
                                 sodium_base64_VARIANT_ORIGINAL) == 0;
    good = good && count == sizeof bytes;
    if (good)
        derive(bytes, ret_key);
    sodium_memzero(bytes, sizeof bytes);
    return good;
}

/* ---- sealing ---- */

static void nonce_of(const struct seal_key *key, const unsigned char *secret, size_t length,
                     unsigned char ret_nonce[NONCE])
{
    crypto_generichash(ret_nonce, NONCE, secret, length, key->nonce_key, sizeof key->nonce_key);
}

char *seal_make(const struct seal_key *key, const char *secret)
{
    const unsigned char *bytes = (const unsigned char *)secret;
    size_t length = strlen(secret);
    unsigned char sealed[SEALED_MAX];
    char *text;

    if (length == 0 || length > SEAL_SECRET_MAX)
        return NULL;
    text = mem_zalloc(SEAL_TEXT_MAX + 1);
    snprintf(text, SEAL_HEADER_SIZE, HEADER "%s:", key->id);
    nonce_of(key, bytes, length, sealed);
    crypto_aead_xchacha20poly1305_ietf_encrypt(sealed + NONCE, NULL, bytes, length,
                                               (const unsigned char *)text, HEADER_LENGTH, NULL,
                                               sealed, key->cipher_key);
    sodium_bin2base64(text + HEADER_LENGTH, SEAL_TEXT_MAX + 1 - HEADER_LENGTH, sealed,
                      NONCE + length + TAG, BASE64);
    return text;
}

/* ---- opening ---- */

/* The bytes behind the header; how many, or 0 if it isn't one. */
static size_t decode(const char *text, unsigned char ret_sealed[SEALED_MAX])
{
    size_t length = 0;

    if (strlen(text) <= HEADER_LENGTH || strncmp(text, HEADER, strlen(HEADER)) != 0 ||
        strspn(text + strlen(HEADER), "0123456789abcdef") != SEAL_ID_DIGITS ||
        text[HEADER_LENGTH - 1] != ':')
        return 0;
    text += HEADER_LENGTH;
    if (!is_ascii(text, strlen(text)) ||
        sodium_base642bin(ret_sealed, SEALED_MAX, text, strlen(text), NULL, &length, NULL,
                          BASE64) != 0)
        return 0;
    return length > NONCE + TAG ? length : 0;
}

bool seal_is_sealed(const char *text)
{
    unsigned char sealed[SEALED_MAX];

    return decode(text, sealed) > 0;
}

void seal_key_id(const char *text, char ret_id[SEAL_ID_DIGITS + 1])
{
    snprintf(ret_id, SEAL_ID_DIGITS + 1, "%s", text + strlen(HEADER));
}

char *seal_open(const struct seal_key *key, const char *text)
{
    unsigned char sealed[SEALED_MAX], nonce[NONCE];
    size_t length = decode(text, sealed);
    char *secret;

    if (length == 0 || strncmp(text + strlen(HEADER), key->id, SEAL_ID_DIGITS) != 0)
        return NULL;
    secret = mem_zalloc(SEAL_SECRET_MAX + 1);
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(
            (unsigned char *)secret, NULL, NULL, sealed + NONCE, length - NONCE,
            (const unsigned char *)text, HEADER_LENGTH, sealed, key->cipher_key) == 0) {
        /* A text of the same key that another program made: it would be a second one for a secret.
         */
        nonce_of(key, (unsigned char *)secret, length - NONCE - TAG, nonce);
        if (memchr(secret, '\0', length - NONCE - TAG) == NULL &&
            sodium_memcmp(nonce, sealed, sizeof nonce) == 0)
            return secret;
    }
    mem_wipe(secret, SEAL_SECRET_MAX);
    free(secret);
    return NULL;
}
