#include "template.h"

#include <stdio.h>
#include <string.h>

#include "json.h"
#include "redact.h"
#include "utf8.h"

/* The part of a template between its braces, blanks stripped. Borrowed, not terminated. */
struct token {
    const char *path;
    size_t length;
    const char *end; /* first character behind the closing braces */
};

#define BLANKS " \t\r\n"

/* Reads the token that begins at `open`, which points at "{{". NULL, or what is wrong with it. */
static const char *token_read(const char *open, struct token *ret_token)
{
    const char *path = open + 2;
    const char *close = strstr(path, "}}");
    size_t length;

    if (close == NULL)
        return "has '{{' without '}}'";
    path += strspn(path, BLANKS);
    length = close > path ? (size_t)(close - path) : 0;
    while (length > 0 && strchr(BLANKS, path[length - 1]) != NULL)
        length--;
    if (length == 0)
        return "has an empty token";
    for (size_t i = 0; i < length; i++) {
        bool edge = i == 0 || path[i - 1] == '.';

        if (strchr("{}" BLANKS, path[i]) != NULL)
            return "has a token with a blank or a brace in its path";
        if (path[i] == '.' && (edge || i + 1 == length))
            return "has a token with an empty step in its path";
    }
    *ret_token = (struct token){.path = path, .length = length, .end = close + 2};
    return NULL;
}

bool template_valid(const char *text, char *why, size_t why_size)
{
    struct token token;

    while ((text = strstr(text, "{{")) != NULL) {
        const char *fault = token_read(text, &token);

        if (fault != NULL) {
            snprintf(why, why_size, "%s", fault);
            return false;
        }
        text = token.end;
    }
    return true;
}

/* One step of a path: a member of an object or, by number, an element of an array. */
static json_t *step_into(const json_t *value, const char *name, size_t length)
{
    size_t index = 0;

    if (json_is_object(value))
        return json_object_getn(value, name, length);
    if (!json_is_array(value) || length > 9)
        return NULL;
    for (size_t i = 0; i < length; i++) {
        if (name[i] < '0' || name[i] > '9')
            return NULL;
        index = index * 10 + (size_t)(name[i] - '0');
    }
    return json_array_get(value, index);
}

static json_t *look_up(const struct token *token, const json_t *document)
{
    const char *step = token->path;
    const char *end = token->path + token->length;
    const json_t *value = document;
    json_t *found = NULL;
    bool bare = memchr(step, '.', token->length) == NULL;

    while (step < end) {
        const char *dot = memchr(step, '.', (size_t)(end - step));
        size_t length = (size_t)((dot != NULL ? dot : end) - step);

        found = step_into(value, step, length);
        if (found == NULL)
            break;
        value = found;
        step += length + 1;
    }
    if (found == NULL && bare)
        found = step_into(json_object_get(document, "payload"), token->path, token->length);
    return found;
}

static bool render_value(const json_t *value, struct buf *out)
{
    if (json_is_string(value))
        return buf_add(out, json_string_value(value), json_string_length(value));
    return json_append(out, value);
}

static bool render_token(const struct token *token, const json_t *document,
                         enum template_missing missing, struct buf *out, char *why, size_t why_size)
{
    const json_t *value = look_up(token, document);

    if (value != NULL)
        return render_value(value, out);
    if (missing == TEMPLATE_MISSING_EMPTY)
        return true;
    snprintf(why, why_size, "the event has no {{%.*s}}", utf8_shown(token->path, token->length),
             token->path);
    if (redact_suspects(why))
        snprintf(why, why_size, "the event lacks what a token names");
    return false;
}

bool template_render(const char *text, const json_t *document, enum template_missing missing,
                     struct buf *out, char *why, size_t why_size)
{
    const char *open;
    struct token token;

    while ((open = strstr(text, "{{")) != NULL) {
        if (!buf_add(out, text, (size_t)(open - text)))
            return false;
        if (token_read(open, &token) != NULL)
            break; /* a template that wasn't checked: the rest is taken as it stands */
        if (!render_token(&token, document, missing, out, why, why_size))
            return false;
        text = token.end;
    }
    return buf_add_string(out, text);
}

json_t *template_single_value(const char *text, const json_t *document, bool *ret_is_token)
{
    struct token token;

    *ret_is_token =
        strncmp(text, "{{", 2) == 0 && token_read(text, &token) == NULL && token.end[0] == '\0';
    return *ret_is_token ? look_up(&token, document) : NULL;
}
