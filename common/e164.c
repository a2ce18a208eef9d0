#include "e164.h"

#include <string.h>

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
