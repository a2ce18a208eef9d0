#include "base64.h"

#include <stdint.h>
#include <string.h>

#define FIRST_62 "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

static const char standard[] = FIRST_62 "+/";
static const char for_urls[] = FIRST_62 "-_";

/* Without padding; returns the end of what was written. */
static char *encode(const char *digits, const void *bytes, size_t length, char *out)
{
    const unsigned char *in = bytes;

    for (size_t i = 0; i < length; i += 3) {
        unsigned bits = (unsigned)in[i] << 16 | (i + 1 < length ? (unsigned)in[i + 1] << 8 : 0) |
                        (i + 2 < length ? in[i + 2] : 0U);

        *out++ = digits[bits >> 18 & 63];
        *out++ = digits[bits >> 12 & 63];
        if (i + 1 < length)
            *out++ = digits[bits >> 6 & 63];
        if (i + 2 < length)
            *out++ = digits[bits & 63];
    }
    *out = '\0';
    return out;
}

void base64_encode(const void *bytes, size_t length, char *out)
{
    char *end = encode(standard, bytes, length, out);

    while ((end - out) % 4 != 0)
        *end++ = '=';
    *end = '\0';
}

void base64url_encode(const void *bytes, size_t length, char *out)
{
    encode(for_urls, bytes, length, out);
}

bool base64url_decode(const char *text, size_t length, struct buf *out)
{
    uint32_t bits = 0;
    int held = 0; /* bits that belong to no byte yet */
    bool fits = true;

    for (size_t i = 0; i < length && fits; i++) {
        const char *digit = text[i] != '\0' ? strchr(for_urls, text[i]) : NULL;

        if (digit == NULL)
            return false;
        bits = (bits << 6 | (uint32_t)(digit - for_urls)) & 0xffff;
        held += 6;
        if (held >= 8) {
            held -= 8;
            fits = buf_add_char(out, (char)(bits >> held & 0xff));
        }
    }
    /* A digit that adds no byte, or bits that are not zero: no encoder leaves those. */
    return fits && held < 6 && (bits & ((1U << held) - 1)) == 0;
}
