#include "said.h"

#include <stdio.h>
#include <string.h>

bool said_is_new(struct said *said, const char *text)
{
    const char *after = strstr(text, " (after ");
    char cut[sizeof said->texts[0]];

    snprintf(cut, sizeof cut, "%.*s", (int)(after != NULL ? after - text : (long)sizeof cut), text);
    for (int i = 0; i < said->count; i++) {
        if (strcmp(said->texts[i], cut) == 0)
            return false;
    }
    if (said->count == SAID_MAX)
        return false;
    memcpy(said->texts[said->count++], cut, sizeof cut);
    return true;
}

void said_forget(struct said *said)
{
    said->count = 0;
}
