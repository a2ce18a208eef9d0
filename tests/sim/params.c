#include "params.h"

#include <stdlib.h>

void params_add(struct params *p, const char *name, const char *value)
{
    if (value == NULL)
        return;
    if (p->count == p->cap) {
        p->cap = p->cap == 0 ? 16 : p->cap * 2;
        p->items = text_realloc(p->items, p->cap * sizeof(*p->items));
    }
    p->items[p->count++] = (struct param){.name = text_copy(name), .value = text_copy(value)};
}

void params_add_all(struct params *p, const struct params *more)
{
    for (size_t i = 0; i < more->count; i++)
        params_add(p, more->items[i].name, more->items[i].value);
}

void params_encode(struct text *out, const struct params *p)
{
    for (size_t i = 0; i < p->count; i++) {
        if (i > 0)
            text_add_char(out, '&');
        text_add_urlencoded(out, p->items[i].name);
        text_add_char(out, '=');
        text_add_urlencoded(out, p->items[i].value);
    }
}

void params_release(struct params *p)
{
    for (size_t i = 0; i < p->count; i++) {
        free(p->items[i].name);
        free(p->items[i].value);
    }
    free(p->items);
    *p = (struct params){0};
}
