#include "worker/sid.h"

#include <ctype.h>
#include <string.h>

bool sid_valid(const char *text, const char *kind)
{
    size_t length = strlen(text);

    if (length != 34 || strncmp(text, kind, 2) != 0)
        return false;
    for (size_t i = 2; i < length; i++) {
        if (!isalnum((unsigned char)text[i]))
            return false;
    }
    return true;
}
