#include "signature.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b)
{
    const struct param *left = *(struct param *const *)a;
    const struct param *right = *(struct param *const *)b;
    int order = strcmp(left->name, right->name);

    return order != 0 ? order : strcmp(left->value, right->value);
}

/* Twilio's order is that of the bytes, case and all. */
static void add_sorted(struct text *out, const struct params *params)
{
    const struct param **sorted = text_alloc_zeroed((params->count + 1) * sizeof(*sorted));

    for (size_t i = 0; i < params->count; i++)
        sorted[i] = &params->items[i];
    qsort(sorted, params->count, sizeof(*sorted), compare);
    for (size_t i = 0; i < params->count; i++) {
        if (i > 0 && compare(&sorted[i - 1], &sorted[i]) == 0)
            continue;
        text_add_string(out, sorted[i]->name);
        text_add_string(out, sorted[i]->value);
    }
    free(sorted);
}

void signature_add(struct text *out, const char *key, const char *url, const struct params *params)
{
    struct text data = {0};
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned char base64[EVP_MAX_MD_SIZE * 2];
    unsigned len = 0;

    text_add_string(&data, url);
    add_sorted(&data, params);
    HMAC(EVP_sha1(), key, (int)strlen(key), (const unsigned char *)data.data, data.len, digest,
         &len);
    EVP_EncodeBlock(base64, digest, (int)len);
    text_add_string(out, (const char *)base64);
    text_release(&data);
}
