#include "opt_outs.h"

#include <stdlib.h>
#include <string.h>

#include "text.h"

struct opt_out {
    char *from, *to;
};

/* Its place, or `count`. */
static size_t find(const struct opt_outs *o, const char *from, const char *to)
{
    size_t i = 0;

    while (i < o->count && (strcmp(o->items[i].from, from) != 0 || strcmp(o->items[i].to, to) != 0))
        i++;
    return i;
}

bool opt_outs_has(const struct opt_outs *o, const char *from, const char *to)
{
    return from != NULL && find(o, from, to) < o->count;
}

void opt_outs_add(struct opt_outs *o, const char *from, const char *to)
{
    if (opt_outs_has(o, from, to))
        return;
    if (o->count == o->cap) {
        o->cap = o->cap == 0 ? 8 : o->cap * 2;
        o->items = text_realloc(o->items, o->cap * sizeof(*o->items));
    }
    o->items[o->count++] = (struct opt_out){.from = text_copy(from), .to = text_copy(to)};
}

size_t opt_outs_remove(struct opt_outs *o, const char *from, const char *to)
{
    size_t i = find(o, from, to);

    if (i == o->count)
        return 0;
    free(o->items[i].from);
    free(o->items[i].to);
    o->items[i] = o->items[--o->count];
    return 1;
}

size_t opt_outs_clear(struct opt_outs *o)
{
    size_t count = o->count;

    for (size_t i = 0; i < count; i++) {
        free(o->items[i].from);
        free(o->items[i].to);
    }
    free(o->items);
    *o = (struct opt_outs){0};
    return count;
}
