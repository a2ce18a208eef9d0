#include "e164.h"

#include <string.h>
#include <strings.h>

#define DIGITS  "0123456789"
#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

bool e164_valid(const char *text)
{
    size_t digits;

    if (text[0] != '+' || text[1] < '1' || text[1] > '9')
        return false;
    digits = strspn(text + 1, DIGITS);
    return text[1 + digits] == '\0' && digits >= 2 && digits <= 15;
}

static bool short_code(const char *text)
{
    size_t length = strlen(text);

    return length >= 3 && length <= 8 && strspn(text, DIGITS) == length;
}

bool e164_alphanumeric(const char *text)
{
    size_t length = strlen(text);

    return length >= 1 && length <= 11 && strspn(text, LETTERS DIGITS " +-_&") == length &&
           strpbrk(text, LETTERS) != NULL;
}

bool e164_valid_sender(const char *text)
{
    return e164_valid(text) || short_code(text) || e164_alphanumeric(text);
}

#define MASK_MIN   7
#define MASK_MAX   15
#define MASK_FIRST 3
#define MASK_LAST  2

void e164_mask(char *text)
{
    while ((text = strpbrk(text, "+%")) != NULL) {
        size_t digits;

        if (*text == '%' && strncasecmp(text, "%2B", 3) != 0) {
            text++;
            continue;
        }
        text += *text == '+' ? 1 : 3;
        digits = strspn(text, DIGITS);
        if (digits >= MASK_MIN && digits <= MASK_MAX)
            memset(text + MASK_FIRST, '*', digits - MASK_FIRST - MASK_LAST);
        text += digits;
    }
}
