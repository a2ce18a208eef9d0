#include "form.h"

#include <stdlib.h>
#include <string.h>

#include "text.h"

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Decodes in place; the result is never longer than what it replaces. */
static void decode(char *s)
{
    char *out = s;

    while (*s != '\0') {
        int high = *s == '%' ? hex_value(s[1]) : -1;
        int low = high >= 0 ? hex_value(s[2]) : -1;

        if (low >= 0) {
            *out++ = (char)(high * 16 + low);
            s += 3;
        } else {
            *out++ = (char)(*s == '+' ? ' ' : *s);
            s++;
        }
    }
    *out = '\0';
}

static void add_pair(struct form *f, char *pair)
{
    char *equals = strchr(pair, '=');
    char *value = pair + strlen(pair);

    if (equals != NULL) {
        *equals = '\0';
        value = equals + 1;
    }
    decode(pair);
    decode(value);
    f->pairs[f->count++] = (struct form_pair){.name = pair, .value = value};
}

static size_t count_pairs(const char *s)
{
    size_t count = 1;

    while ((s = strchr(s, '&')) != NULL && count < FORM_MAX_PAIRS) {
        count++;
        s++;
    }
    return count;
}

void form_parse(struct form *ret_form, const char *bytes, size_t len)
{
    struct form f = {.storage = text_copy_bytes(bytes, len)};
    size_t most = count_pairs(f.storage);
    char *rest = f.storage;
    char *pair;

    f.pairs = text_alloc_zeroed(most * sizeof(*f.pairs));
    while (f.count < most && (pair = strsep(&rest, "&")) != NULL) {
        if (*pair != '\0')
            add_pair(&f, pair);
    }
    *ret_form = f;
}

void form_release(struct form *f)
{
    free(f->pairs);
    free(f->storage);
    *f = (struct form){0};
}

const char *form_get_nth(const struct form *f, const char *name, size_t index)
{
    for (size_t i = 0; i < f->count; i++) {
        if (strcmp(f->pairs[i].name, name) == 0 && index-- == 0)
            return f->pairs[i].value;
    }
    return NULL;
}

const char *form_get(const struct form *f, const char *name)
{
    return form_get_nth(f, name, 0);
}

const char *form_get_nonempty(const struct form *f, const char *name)
{
    const char *value = form_get(f, name);

    return value == NULL || *value == '\0' ? NULL : value;
}
