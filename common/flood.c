#include "flood.h"

#include <stdio.h>
#include <string.h>

static bool is_text(const struct flood_text *known, int kind, const char *text)
{
    return known->kind == kind && strncmp(known->text, text, sizeof known->text - 1) == 0;
}

/* Where the text is remembered, or can be; NULL if there is no room. */
static struct flood_text *place_of(struct flood *flood, int kind, const char *text, int64_t now)
{
    struct flood_text *unused = NULL;

    for (int i = 0; i < FLOOD_TEXTS; i++) {
        struct flood_text *known = &flood->texts[i];

        if (known->until > now && is_text(known, kind, text))
            return known;
        if (known->until <= now && known->held == 0)
            unused = known;
    }
    if (unused != NULL) {
        *unused = (struct flood_text){.kind = kind, .until = now + FLOOD_WINDOW};
        snprintf(unused->text, sizeof unused->text, "%s", text);
    }
    return unused;
}

bool flood_admits(struct flood *flood, int kind, const char *text, int64_t now)
{
    struct flood_text *known = place_of(flood, kind, text, now);

    if (known == NULL)
        return true;
    if (known->said < FLOOD_MAX) {
        known->said++;
        return true;
    }
    known->held++;
    return false;
}

bool flood_take_ended(struct flood *flood, int64_t now, struct flood_text *ret_text)
{
    for (int i = 0; i < FLOOD_TEXTS; i++) {
        struct flood_text *known = &flood->texts[i];

        if (known->held > 0 && known->until <= now) {
            *ret_text = *known;
            known->held = 0;
            return true;
        }
    }
    return false;
}

int64_t flood_next_end(const struct flood *flood)
{
    int64_t next = INT64_MAX;

    for (int i = 0; i < FLOOD_TEXTS; i++) {
        if (flood->texts[i].held > 0 && flood->texts[i].until < next)
            next = flood->texts[i].until;
    }
    return next;
}
