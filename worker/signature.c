#include "worker/signature.h"

#include <ctype.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base64.h"
#include "common/buf.h"
#include "common/mem.h"

/* The pieces of a URL, as lengths of text in it. */
struct pieces {
    const char *scheme;
    int scheme_length;
    const char *host;
    int host_length;
    const char *port;
    int port_length;  /* 0: no port */
    const char *rest; /* path and query */
    int rest_length;
};

/* Host and port of an authority from which the user name is gone already. */
static void split_authority(struct pieces *p, const char *authority, int length)
{
    int host = 0;

    if (authority[0] == '[') { /* an IPv6 address has colons of its own */
        while (host < length && authority[host] != ']')
            host++;
    }
    while (host < length && authority[host] != ':')
        host++;
    p->host = authority;
    p->host_length = host;
    p->port = authority + host + (host < length);
    p->port_length = length - host - (host < length);
}

static void split(const char *url, struct pieces *ret_pieces)
{
    const char *colon = strstr(url, "://");
    const char *authority = colon != NULL ? colon + 3 : url;
    size_t length = strcspn(authority, "/?#");
    const char *at = memrchr(authority, '@', length);
    struct pieces p = {.scheme = url, .scheme_length = colon != NULL ? (int)(colon - url) : 0};

    p.rest = authority + length;
    p.rest_length = (int)strcspn(p.rest, "#");
    /* Nothing behind the '?': their URL libraries drop it. */
    if (p.rest_length > 0 && p.rest[p.rest_length - 1] == '?' &&
        memchr(p.rest, '?', (size_t)p.rest_length) == p.rest + p.rest_length - 1)
        p.rest_length--;
    if (at != NULL) {
        length -= (size_t)(at + 1 - authority);
        authority = at + 1;
    }
    split_authority(&p, authority, (int)length);
    *ret_pieces = p;
}

static char *join(const struct pieces *p, const char *port, int port_length)
{
    char *url =
        mem_printf("%.*s://%.*s%s%.*s%.*s", p->scheme_length, p->scheme, p->host_length, p->host,
                   port_length > 0 ? ":" : "", port_length, port, p->rest_length, p->rest);

    for (int i = 0; i < p->scheme_length; i++)
        url[i] = (char)tolower((unsigned char)url[i]);
    return url;
}

static char *with_port(const struct pieces *p)
{
    bool secure = p->scheme_length == 5; /* https, not http */

    if (p->port_length > 0)
        return join(p, p->port, p->port_length);
    return secure ? join(p, "443", 3) : join(p, "80", 2);
}

static int compare_pairs(const void *a, const void *b)
{
    const struct form_pair *left = a, *right = b;
    int order = strcmp(left->name, right->name); /* by bytes, as unsigned ones */

    return order != 0 ? order : strcmp(left->value, right->value);
}

static void add_sorted(struct buf *text, const struct form_pair *pairs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && compare_pairs(&pairs[i - 1], &pairs[i]) == 0)
            continue;
        buf_add_string(text, pairs[i].name);
        buf_add_string(text, pairs[i].value);
    }
}

/* All names and values, as they are appended to the URL. */
static char *join_parameters(const struct form *form)
{
    struct form_pair *sorted;
    struct buf text;

    buf_init(&text, SIZE_MAX / 2); /* bounded by the form */
    if (form != NULL && form->count > 0) {
        sorted = mem_zalloc(form->count * sizeof *sorted);
        memcpy(sorted, form->pairs, form->count * sizeof *sorted);
        qsort(sorted, form->count, sizeof *sorted, compare_pairs);
        add_sorted(&text, sorted, form->count);
        free(sorted);
    }
    return buf_detach(&text);
}

void signature_texts_init(struct signature_texts *texts, const char *url,
                          const struct form *parameters)
{
    char *tail = join_parameters(parameters);
    struct pieces pieces;
    char *urls[2];

    split(url, &pieces);
    urls[0] = join(&pieces, "", 0);
    urls[1] = with_port(&pieces);
    for (int i = 0; i < 2; i++) {
        texts->texts[i] = mem_printf("%s%s", urls[i], tail);
        texts->lengths[i] = strlen(texts->texts[i]);
        free(urls[i]);
    }
    free(tail);
}

void signature_texts_release(struct signature_texts *texts)
{
    free(texts->texts[0]);
    free(texts->texts[1]);
    *texts = (struct signature_texts){.lengths = {0, 0}};
}

static void sign(const char *token, const char *text, size_t length, char signature[SIGNATURE_SIZE])
{
    unsigned char digest[SHA_DIGEST_LENGTH];
    unsigned size = 0;

    _Static_assert(SIGNATURE_SIZE == BASE64_SIZE(SHA_DIGEST_LENGTH), "SHA-1 in base64");
    memset(digest, 0, sizeof digest);
    if (HMAC(EVP_sha1(), token, (int)strlen(token), (const unsigned char *)text, length, digest,
             &size) == NULL ||
        size != sizeof digest) {
        signature[0] = '\0'; /* nothing is equal to it */
        return;
    }
    base64_encode(digest, sizeof digest, signature);
}

bool signature_matches(const struct signature_texts *texts, const char *token,
                       const char *signature)
{
    bool matches = false;

    if (signature == NULL || strlen(signature) != SIGNATURE_SIZE - 1)
        signature = "----------------------------"; /* is none; costs the same time */
    for (int i = 0; i < 2; i++) {
        char expected[SIGNATURE_SIZE] = "";

        sign(token, texts->texts[i], texts->lengths[i], expected);
        matches |= CRYPTO_memcmp(expected, signature, SIGNATURE_SIZE - 1) == 0;
        mem_wipe(expected, sizeof expected);
    }
    return matches;
}

void signature_sha256(const void *bytes, size_t length, char out[SIGNATURE_SHA256_SIZE])
{
    unsigned char digest[SHA256_DIGEST_LENGTH];

    _Static_assert(SIGNATURE_SHA256_SIZE == 2 * SHA256_DIGEST_LENGTH + 1, "two digits a byte");
    SHA256(bytes, length, digest);
    for (size_t i = 0; i < sizeof digest; i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

bool signature_body_matches(const char *sha256, size_t sha256_length, const void *body,
                            size_t length)
{
    char expected[SIGNATURE_SHA256_SIZE];

    if (sha256 == NULL || sha256_length != sizeof expected - 1)
        return false;
    signature_sha256(body, length, expected);
    return CRYPTO_memcmp(expected, sha256, sha256_length) == 0;
}
