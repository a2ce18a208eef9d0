#include "worker/commands/mask.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/json.h"
#include "common/redact.h"
#include "common/url.h"
#include "common/utf8.h"
#include "worker/destination.h"
#include "worker/secret.h"
#include "worker/sid.h"

#define FIELD_SIZE 128

static bool is_mask(const json_t *value)
{
    return json_is_string(value) && strcmp(json_string_value(value), MASK) == 0;
}

/* "https://user:password@host/": an '@' before the path begins. */
static bool has_password(const char *text)
{
    const char *authority = strstr(text, "://");

    if (authority == NULL)
        return false;
    authority += strlen("://");
    return authority[strcspn(authority, "/?#@")] == '@';
}

/* Paths of media have long words in them. */
static bool is_url(const char *text)
{
    return strncasecmp(text, "http://", 7) == 0 || strncasecmp(text, "https://", 8) == 0;
}

/* Whether a copy of one of the row's secrets is in it. */
static bool has_copy(const struct redactor *redactor, const char *text)
{
    struct buf out;
    bool same;

    buf_init(&out, SIZE_MAX);
    redact(redactor, text, strlen(text), &out);
    same = strcmp(out.data != NULL ? out.data : "", text) == 0;
    buf_release(&out);
    return !same;
}

/* Who is called back may want to see a key in the query. */
static json_t *shown_callback(const char *url)
{
    struct buf out;
    json_t *shown;

    buf_init(&out, SIZE_MAX);
    url_show(&out, url, NULL);
    shown = json_string(out.data != NULL ? out.data : "");
    buf_release(&out);
    return shown;
}

/* Paths of media have long words in them; elsewhere such a word may be a secret in a wrong place.
 */
static json_t *masked_text(const char *field, const char *text, const struct redactor *redactor)
{
    if (has_password(text) || has_copy(redactor, text) || (!is_url(text) && redact_suspects(text)))
        return json_string(MASK);
    return strcmp(field, "status_callback") == 0 ? shown_callback(text) : json_string(text);
}

static json_t *masked_value(const char *field, json_t *value, const struct redactor *redactor)
{
    json_t *copy, *element;
    size_t i;

    if (json_is_string(value))
        return masked_text(field, json_string_value(value), redactor);
    if (json_is_object(value))
        return json_string(MASK); /* no field is one, but auth */
    copy = json_copy(value);
    json_array_foreach(value, i, element)
    {
        json_array_set_new(copy, i, masked_value(field, element, redactor));
    }
    return copy;
}

/*
 * A SID names an account or a key, and is no secret; but what isn't one may be the token. Nor is a
 * reference to a secret one: who sees it lacks the worker's environment, files and keys.
 */
static bool is_shown_of_auth(const char *name, const json_t *value)
{
    const char *text = json_string_value(value);

    if (json_is_null(value))
        return true;
    return text != NULL && (secret_is_reference(text) ||
                            (strcmp(name, "account_sid") == 0 && sid_valid(text, "AC")) ||
                            (strcmp(name, "api_key_sid") == 0 && sid_valid(text, "SK")));
}

/* Nobody can tell whether such a name is the secret itself. */
static void hide_member(json_t *object, const char *name)
{
    json_object_del(object, name);
    json_object_set_new(object, MASK, json_string(MASK));
}

static json_t *masked_auth(json_t *auth)
{
    json_t *copy, *value;
    const char *name;

    if (!json_is_object(auth))
        return json_is_null(auth) ? json_null() : json_string(MASK);
    copy = json_copy(auth);
    json_object_foreach(auth, name, value)
    {
        if (!redact_is_name(name))
            hide_member(copy, name);
        else if (!is_shown_of_auth(name, value))
            json_object_set_new(copy, name, json_string(MASK));
    }
    return copy;
}

static struct redactor *redactor_of(const json_t *config)
{
    const json_t *auth = json_object_get(config, "auth");
    struct redactor *redactor = redactor_new();

    redactor_add(redactor, json_member_string(auth, "auth_token"));
    redactor_add(redactor, json_member_string(auth, "api_key_secret"));
    return redactor;
}

json_t *mask_config(json_t *config)
{
    struct redactor *redactor;
    json_t *copy, *value;
    const char *name;

    if (!json_is_object(config))
        return json_is_null(config) ? json_null() : json_string(MASK);
    redactor = redactor_of(config);
    copy = json_copy(config);
    json_object_foreach(config, name, value)
    {
        if (strcmp(name, "auth") == 0)
            json_object_set_new(copy, name, masked_auth(value));
        else if (destination_has_field(name))
            json_object_set_new(copy, name, masked_value(name, value, redactor));
        else if (redact_is_name(name) && !json_is_null(value))
            json_object_set_new(copy, name, json_string(MASK));
        else if (!redact_is_name(name))
            hide_member(copy, name);
    }
    redactor_free(redactor);
    return copy;
}

/* ---- back ---- */

/* A place in the old row: what it has, and what of that is shown. */
struct old {
    json_t *value;
    json_t *shown;
};

static struct old old_member(struct old old, const char *name)
{
    return (struct old){json_object_get(old.value, name), json_object_get(old.shown, name)};
}

static struct old old_element(struct old old, size_t i)
{
    return (struct old){json_array_get(old.value, i), json_array_get(old.shown, i)};
}

struct fault {
    char *why;
    size_t size;
};

static json_t *unmasked(json_t *value, struct old old, const char *field, struct fault *fault);

static json_t *unmasked_object(json_t *value, struct old old, const char *field,
                               struct fault *fault)
{
    json_t *copy = json_copy(value), *member;
    const char *name;

    json_object_foreach(value, name, member)
    {
        char path[FIELD_SIZE];
        json_t *back;

        snprintf(path, sizeof path, "%s.%.*s", field,
                 utf8_has_control(name) ? 0 : (int)utf8_prefix(name, 16), name);
        back = unmasked(member, old_member(old, name), path, fault);
        if (back == NULL) {
            json_decref(copy);
            return NULL;
        }
        json_object_set_new(copy, name, back);
    }
    return copy;
}

static json_t *unmasked_array(json_t *value, struct old old, const char *field, struct fault *fault)
{
    const struct old nothing = {.value = NULL};
    /* Whose place is whose can't be told if there are fewer or more. */
    bool same = json_array_size(value) == json_array_size(old.value);
    json_t *copy = json_copy(value), *element;
    size_t i;

    json_array_foreach(value, i, element)
    {
        char path[FIELD_SIZE];
        json_t *back;

        snprintf(path, sizeof path, "%s[%zu]", field, i);
        back = unmasked(element, same ? old_element(old, i) : nothing, path, fault);
        if (back == NULL) {
            json_decref(copy);
            return NULL;
        }
        json_array_set_new(copy, i, back);
    }
    return copy;
}

/* A callback's query is shown with its values masked; also where there is a list of them. */
static bool has_mask(const json_t *value, const char *field)
{
    static const char callback[] = "config.status_callback";
    const char *text = json_string_value(value);

    return is_mask(value) || (text != NULL && strncmp(field, callback, sizeof callback - 1) == 0 &&
                              strstr(text, MASK) != NULL);
}

static json_t *unmasked(json_t *value, struct old old, const char *field, struct fault *fault)
{
    if (json_is_object(value))
        return unmasked_object(value, old, field, fault);
    if (json_is_array(value))
        return unmasked_array(value, old, field, fault);
    if (!has_mask(value, field))
        return json_incref(value);
    if (json_equal(value, old.shown) && old.value != NULL)
        return json_incref(old.value);
    if (strcmp(field, "config.body_template") == 0)
        return json_incref(value); /* three stars are a text like others */
    snprintf(fault->why, fault->size,
             "%s: \"" MASK "\" stands for what the row has, and it has nothing hidden there, "
             "expected the value itself",
             field);
    return NULL;
}

json_t *unmask_config(json_t *config, json_t *old, char *why, size_t why_size)
{
    struct fault fault = {why, why_size};
    struct old place = {old, old != NULL ? mask_config(old) : NULL};
    json_t *back = unmasked(config, place, "config", &fault);

    json_decref(place.shown);
    return back;
}

/* ---- what may be seen by others ---- */

static bool is_secret_member(const char *name, const json_t *value)
{
    if (!json_is_string(value) || is_mask(value) || secret_is_reference(json_string_value(value)))
        return false;
    return strcmp(name, "auth_token") == 0 || strcmp(name, "api_key_secret") == 0 ||
           strcmp(name, "auth") == 0;
}

bool mask_has_secret(const json_t *value)
{
    const json_t *child;
    const char *name;
    size_t i;

    if (json_is_string(value))
        return has_password(json_string_value(value));
    json_array_foreach((json_t *)value, i, child)
    {
        if (mask_has_secret(child))
            return true;
    }
    json_object_foreach((json_t *)value, name, child)
    {
        if (is_secret_member(name, child) || mask_has_secret(child))
            return true;
    }
    return false;
}
