/*
 * Sealed secrets: opened they are what they were, and only with their key; what anybody changes, or
 * another program makes, doesn't open.
 */
#include "worker/seal.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "tests/fuzz/fuzz.h"

#define KEY    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define OTHER  "BAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define NONCE  crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define TAG    crypto_aead_xchacha20poly1305_ietf_ABYTES
#define BASE64 sodium_base64_VARIANT_URLSAFE_NO_PADDING
#define HEADER (SEAL_HEADER_SIZE - 1)

static struct seal_key key, other;

static void open_once(void)
{
    if (key.id[0] != '\0')
        return;
    seal_init();
    must(seal_key_parse(KEY, strlen(KEY), &key) && seal_key_parse(OTHER, strlen(OTHER), &other));
}

/* Nobody opens it. */
static void check_closed(const char *text)
{
    must(seal_open(&key, text) == NULL && seal_open(&other, text) == NULL);
}

/* What opens is to the byte what that key makes. */
static void check_any(const char *text)
{
    const struct seal_key *keys[] = {&key, &other};

    for (int i = 0; i < 2; i++) {
        char *secret = seal_open(keys[i], text), *again;

        if (secret == NULL)
            continue;
        again = seal_make(keys[i], secret);
        must(again != NULL && strcmp(again, text) == 0);
        free(again);
        free(secret);
    }
    if (!seal_is_sealed(text))
        check_closed(text);
    else
        must(fuzz_matches("^sealed:v1:[0-9a-f]{8}:[A-Za-z0-9_-]+$", text) &&
             strlen(text) <= SEAL_TEXT_MAX);
}

/* One character another, one more, one less. `place` is where. */
static void check_tampered(const char *text, const char *place)
{
    size_t length = strlen(text), at = (size_t)atoi(place) % length;
    char c = place[strcspn(place, " ")] == ' ' ? place[strcspn(place, " ") + 1] : 'A';
    char *changed = mem_printf("%s%c", text, c);

    if (c != '\0')
        check_closed(changed);
    changed[length] = '\0';
    if (c != '\0' && changed[at] != c) {
        changed[at] = c;
        check_closed(changed);
        changed[at] = text[at];
    }
    changed[at] = '\0';
    check_closed(changed);
    free(changed);
}

/* Another key, also if it says that it is this one. */
static void check_other_key(const char *text)
{
    struct seal_key liar = other;

    must(seal_open(&other, text) == NULL);
    memcpy(liar.id, key.id, sizeof liar.id);
    must(seal_open(&liar, text) == NULL);
}

static void check_secret(const char *secret, const char *place)
{
    char *text = seal_make(&key, secret), *again, *opened, id[SEAL_ID_DIGITS + 1];

    must((text != NULL) == (secret[0] != '\0' && strlen(secret) <= SEAL_SECRET_MAX));
    if (text == NULL)
        return;
    must(seal_is_sealed(text));
    check_any(text);
    seal_key_id(text, id);
    must(strcmp(id, key.id) == 0);
    opened = seal_open(&key, text);
    must(opened != NULL && strcmp(opened, secret) == 0);
    again = seal_make(&key, secret);
    must(strcmp(again, text) == 0);
    must(strlen(secret) < 8 || strstr(text + HEADER, secret) == NULL);
    check_other_key(text);
    check_tampered(text, place);
    free(again);
    free(opened);
    free(text);
}

/* What a program of somebody's makes who has the key: any nonce, any bytes. */
static void check_foreign(const char *bytes, size_t length, const char *nonce_text)
{
    unsigned char sealed[NONCE + SEAL_SECRET_MAX + TAG] = {0}, nonce[NONCE] = {0};
    char text[SEAL_TEXT_MAX + 1], *opened;
    size_t count = strlen(nonce_text);

    if (length > SEAL_SECRET_MAX)
        return;
    if (strcmp(nonce_text, "right") == 0)
        crypto_generichash(nonce, NONCE, (const unsigned char *)bytes, length, key.nonce_key,
                           sizeof key.nonce_key);
    else
        memcpy(nonce, nonce_text, count < NONCE ? count : NONCE);
    memcpy(sealed, nonce, NONCE);
    memcpy(text, "sealed:v1:", strlen("sealed:v1:"));
    memcpy(text + strlen("sealed:v1:"), key.id, SEAL_ID_DIGITS);
    text[HEADER - 1] = ':';
    crypto_aead_xchacha20poly1305_ietf_encrypt(sealed + NONCE, NULL, (const unsigned char *)bytes,
                                               length, (unsigned char *)text, HEADER, NULL, nonce,
                                               key.cipher_key);
    sodium_bin2base64(text + HEADER, sizeof text - HEADER, sealed, NONCE + length + TAG, BASE64);
    opened = seal_open(&key, text);
    must((opened != NULL) ==
         (strcmp(nonce_text, "right") == 0 && length > 0 && memchr(bytes, '\0', length) == NULL));
    must(opened == NULL || (strlen(opened) == length && memcmp(opened, bytes, length) == 0));
    check_any(text);
    free(opened);
}

/* 32 bytes in base64, whose last digit has two bits of nothing, or in hexadecimal. */
static void check_key(const char *text, size_t length)
{
    char *exact = fuzz_exact(text, length);
    bool is_key =
        strlen(text) == length && (fuzz_matches("^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$", text) ||
                                   fuzz_matches("^[0-9a-fA-F]{64}$", text));
    struct seal_key parsed;

    must(seal_key_parse(exact, length, &parsed) == is_key);
    must(!is_key || fuzz_matches("^[0-9a-f]{8}$", parsed.id));
    free(exact);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input;

    open_once();
    fuzz_split(data, size, &input);
    check_secret(fuzz_text(&input, 0), fuzz_text(&input, 1));
    check_foreign(input.pieces[0], input.lengths[0], fuzz_text(&input, 2));
    if (input.count > 3)
        check_any(fuzz_text(&input, 3));
    if (input.count > 4)
        check_key(input.pieces[4], input.lengths[4]);
    fuzz_release(&input);
    return 0;
}
