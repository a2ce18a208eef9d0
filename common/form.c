#include "form.h"

#include <stdlib.h>
#include <string.h>

#include "mem.h"

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

/* The byte that the escape at `text` (behind its '%') stands for; 0 if it is none that we take. */
static char unescape(const char *text)
{
    int high = hex_value(text[0]);
    int low = high >= 0 ? hex_value(text[1]) : -1;

    return (char)(low >= 0 ? high * 16 + low : 0);
}

/* Decodes in place; what comes out is never longer. */
static bool decode(char *text)
{
    char *out = text;

    for (const char *in = text; *in != '\0'; in++) {
        char c = (char)(*in == '+' ? ' ' : *in);

        if (*in == '%') {
            c = unescape(in + 1);
            if (c == '\0')
                return false;
            in += 2;
        }
        *out++ = c;
    }
    *out = '\0';
    return true;
}

static bool add(struct form *form, char *piece)
{
    char *equals = strchr(piece, '=');
    char *value = equals != NULL ? equals + 1 : piece + strlen(piece);

    if (equals != NULL)
        *equals = '\0';
    form->pairs[form->count++] = (struct form_pair){.name = piece, .value = value};
    return decode(piece) && decode(value);
}

static size_t count_pieces(const char *bytes, size_t length)
{
    size_t count = 1;

    for (size_t i = 0; i < length; i++)
        count += bytes[i] == '&';
    return count;
}

bool form_parse(const char *bytes, size_t length, size_t max, struct form *ret_form)
{
    size_t pieces = count_pieces(bytes, length);
    char *rest, *piece;

    *ret_form = (struct form){.bytes = mem_copy(bytes, length)};
    if (strlen(ret_form->bytes) != length) /* a NUL */
        return false;
    ret_form->pairs = mem_zalloc((pieces < max ? pieces : max) * sizeof *ret_form->pairs);
    rest = ret_form->bytes;
    while ((piece = strsep(&rest, "&")) != NULL) {
        if (piece[0] == '\0')
            continue;
        if (ret_form->count == max || !add(ret_form, piece))
            return false;
    }
    return true;
}

void form_release(struct form *form)
{
    free(form->pairs);
    free(form->bytes);
    *form = (struct form){.count = 0};
}

const char *form_only(const struct form *form, const char *name)
{
    const char *value = NULL;

    for (size_t i = 0; i < form->count; i++) {
        if (strcmp(form->pairs[i].name, name) != 0)
            continue;
        if (value != NULL)
            return NULL;
        value = form->pairs[i].value;
    }
    return value;
}
