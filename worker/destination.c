#include "worker/destination.h"

#include <stdio.h>
#include <string.h>

#include "common/e164.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/redact.h"
#include "common/template.h"
#include "common/utf8.h"
#include "worker/limits.h"
#include "worker/sid.h"

#define MEDIA_URLS_MAX 10

/* Those that are not options. */
static const char *const known_fields[] = {
    "from",          "to",
    "body_template", "body_overflow",
    "media_urls",    "messaging_service_sid",
    "auth_type",     "auth",
    "rate_limit",    "rate_limit_period",
    "sms_fallback",
};

struct judge {
    char *why;
    size_t size;
};

/* How much of a stranger's word is shown: all of it, or nothing if it may be a secret. */
static int shown(const char *word)
{
    return redact_is_name(word) ? (int)strlen(word) : 0;
}

static bool wrong(struct judge *judge, const char *field, const char *fault, const char *expected)
{
    snprintf(judge->why, judge->size, "config.%s: %s, expected %s", field, fault, expected);
    return false;
}

static bool listed(const char *name, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(name, list[i]) == 0)
            return true;
    }
    return false;
}

#define LISTED(name, list) listed(name, list, sizeof(list) / sizeof((list)[0]))

bool destination_has_field(const char *field)
{
    return LISTED(field, known_fields) || options_has_field(field);
}

static bool judge_names(struct judge *judge, const json_t *config)
{
    const json_t *value;
    const char *name;

    json_object_foreach((json_t *)config, name, value)
    {
        if (json_is_null(value) || destination_has_field(name))
            continue;
        snprintf(judge->why, judge->size,
                 "config.%.*s: no such field, expected those of destination.schema.json",
                 shown(name), name);
        return false;
    }
    return true;
}

/* Takes a string field; an absent one stays NULL. */
static bool take_string(struct judge *judge, const json_t *config, const char *field,
                        const char *expected, const char **ret_text)
{
    const json_t *value = json_member(config, field);

    *ret_text = NULL;
    if (value == NULL)
        return true;
    if (!json_is_string(value))
        return wrong(judge, field, "not a string", expected);
    *ret_text = json_string_value(value);
    return true;
}

static bool judge_sender(struct judge *judge, const json_t *config, struct destination *d)
{
    static const char sender[] = "an E.164 number, a short code or an alphanumeric sender ID "
                                 "(or messaging_service_sid instead)";
    static const char service[] = "MG and 32 letters or digits";

    if (!take_string(judge, config, "from", sender, &d->from) ||
        !take_string(judge, config, "messaging_service_sid", service, &d->messaging_service_sid))
        return false;
    if (d->messaging_service_sid != NULL && !sid_valid(d->messaging_service_sid, "MG"))
        return wrong(judge, "messaging_service_sid", "not valid", service);
    if (d->from == NULL && d->messaging_service_sid == NULL)
        return wrong(judge, "from", "missing", sender);
    if (d->from != NULL && !e164_valid_sender(d->from))
        return wrong(judge, "from", "not valid", sender);
    return true;
}

/* A required template; an empty one can render nothing. */
static bool take_template(struct judge *judge, const json_t *config, const char *field,
                          const char *expected, const char **ret_template)
{
    char why[96];

    if (!take_string(judge, config, field, expected, ret_template))
        return false;
    if (*ret_template == NULL)
        return wrong(judge, field, "missing", expected);
    if ((*ret_template)[0] == '\0')
        return wrong(judge, field, "empty", expected);
    if (!template_valid(*ret_template, why, sizeof why))
        return wrong(judge, field, why, expected);
    return true;
}

static bool judge_body(struct judge *judge, const json_t *config, struct destination *d)
{
    const char *overflow;

    if (!take_template(judge, config, "to", "a template that renders to an E.164 number", &d->to) ||
        !take_template(judge, config, "body_template", "a template for the text of the message",
                       &d->body_template) ||
        !take_string(judge, config, "body_overflow", "\"fail\" or \"truncate\"", &overflow))
        return false;
    d->truncate = overflow != NULL && strcmp(overflow, "truncate") == 0;
    if (overflow != NULL && !d->truncate && strcmp(overflow, "fail") != 0)
        return wrong(judge, "body_overflow", "not valid", "\"fail\" or \"truncate\"");
    return true;
}

static bool judge_media(struct judge *judge, const json_t *config, struct destination *d)
{
    static const char expected[] = "an array of 1 to 10 templates of media URLs";
    const json_t *element;
    char field[48], why[96];
    size_t i;

    d->media_urls = json_member(config, "media_urls");
    if (d->media_urls == NULL)
        return wrong(judge, "media_urls", "missing", expected);
    if (!json_is_array(d->media_urls))
        return wrong(judge, "media_urls", "not an array", expected);
    if (json_array_size(d->media_urls) == 0)
        return wrong(judge, "media_urls", "empty", expected);
    if (json_array_size(d->media_urls) > MEDIA_URLS_MAX)
        return wrong(judge, "media_urls", "more than 10 elements", expected);
    json_array_foreach((json_t *)d->media_urls, i, element)
    {
        const char *text = json_string_value(element);

        snprintf(field, sizeof field, "media_urls[%zu]", i);
        if (text == NULL || text[0] == '\0')
            return wrong(judge, field, "not a string or empty", "a template of a media URL");
        if (!template_valid(text, why, sizeof why))
            return wrong(judge, field, why, "a template of a media URL");
    }
    return true;
}

static const char *fault(const json_t *value)
{
    if (value == NULL)
        return "missing";
    return json_is_string(value) ? "not valid" : "not a string";
}

static bool judge_api_key(struct judge *judge, const json_t *auth, struct destination *d)
{
    static const char key[] = "SK and 32 letters or digits, together with api_key_secret";
    const char *secret = "the API key's secret or a reference to it, together with api_key_sid";
    const json_t *sid = json_member(auth, "api_key_sid");
    const json_t *text = json_member(auth, "api_key_secret");

    if (sid == NULL && text == NULL)
        return true;
    if (!json_is_string(sid) || !sid_valid(json_string_value(sid), "SK"))
        return wrong(judge, "auth.api_key_sid", fault(sid), key);
    if (!json_is_string(text) || secret_form(json_string_value(text), &secret) == SECRET_INVALID)
        return wrong(judge, "auth.api_key_secret", fault(text), secret);
    d->user = json_string_value(sid);
    d->password_text = json_string_value(text);
    return true;
}

/* A misspelt api_key_sid would quietly use the auth token. */
static bool judge_auth_names(struct judge *judge, const json_t *auth)
{
    static const char *const names[] = {"account_sid", "auth_token", "api_key_sid",
                                        "api_key_secret"};
    const json_t *value;
    const char *name;

    json_object_foreach((json_t *)auth, name, value)
    {
        if (json_is_null(value) || LISTED(name, names))
            continue;
        snprintf(judge->why, judge->size,
                 "config.auth.%.*s: no such field, expected account_sid, auth_token, api_key_sid, "
                 "api_key_secret",
                 shown(name), name);
        return false;
    }
    return true;
}

static bool judge_auth(struct judge *judge, const json_t *config, struct destination *d)
{
    static const char account[] = "AC and 32 letters or digits";
    const char *token =
        "Twilio's auth token, or a reference to it (env:NAME, file:/path, sealed:…)";
    const json_t *auth = json_member(config, "auth");
    const char *type;

    if (!take_string(judge, config, "auth_type", "TWILIO_AUTH_TOKEN", &type))
        return false;
    if (type != NULL && strcmp(type, "TWILIO_AUTH_TOKEN") != 0)
        return wrong(judge, "auth_type", "not valid", "TWILIO_AUTH_TOKEN");
    if (!json_is_object(auth))
        return wrong(judge, "auth", auth == NULL ? "missing" : "not an object",
                     "account_sid and auth_token");
    d->account_sid = json_member_string(auth, "account_sid");
    d->user = d->account_sid;
    d->auth_text = json_member_string(auth, "auth_token");
    d->password_text = d->auth_text;
    if (d->account_sid == NULL || !sid_valid(d->account_sid, "AC"))
        return wrong(judge, "auth.account_sid",
                     json_member(auth, "account_sid") == NULL ? "missing" : "not valid", account);
    if (d->auth_text == NULL || secret_form(d->auth_text, &token) == SECRET_INVALID)
        return wrong(judge, "auth.auth_token",
                     json_member(auth, "auth_token") == NULL ? "missing" : "not valid", token);
    return judge_auth_names(judge, auth) && judge_api_key(judge, auth, d);
}

/* The pace is the product's promise, not a setting; the fields are there for who reads the row. */
static bool judge_rate(struct judge *judge, const json_t *config)
{
    const json_t *limit = json_member(config, "rate_limit");
    const json_t *period = json_member(config, "rate_limit_period");

    if (limit != NULL && !(json_is_number(limit) && json_number_value(limit) == 1.0))
        return wrong(judge, "rate_limit", "not valid", "1 (the pace is locked)");
    if (period != NULL &&
        !(json_is_string(period) && strcmp(json_string_value(period), "second") == 0))
        return wrong(judge, "rate_limit_period", "not valid", "\"second\" (the pace is locked)");
    return true;
}

static bool judge_fallback(struct judge *judge, const json_t *config, struct destination *d)
{
    const json_t *value = json_member(config, "sms_fallback");

    if (value != NULL && !json_is_boolean(value))
        return wrong(judge, "sms_fallback", "not a boolean", "true or false");
    d->sms_fallback = json_is_true(value);
    return true;
}

static const char short_secret[] = "config.auth: a secret of less than 8 characters is none of "
                                   "Twilio's, and is not masked in what it answers";

/* Of a reference it can't be told before it is revealed. */
static bool is_short(const char *text)
{
    return !secret_is_reference(text) && strlen(text) < REDACT_MIN;
}

static bool has_short_secret(const struct destination *d)
{
    return is_short(d->auth_text) || is_short(d->password_text);
}

static void warn(struct destination *d)
{
    struct buf out;

    buf_init(&out, sizeof d->warning + 1);
    if (d->from != NULL && e164_alphanumeric(d->from))
        buf_add_string(&out, "; config.from: Twilio sends no MMS from an alphanumeric sender ID");
    if (has_short_secret(d))
        buf_printf(&out, "; %s", short_secret);
    options_warn(&d->options, &out);
    if (out.length > 0)
        snprintf(d->warning, sizeof d->warning, "%s", out.data + strlen("; "));
    buf_release(&out);
}

static bool judge_row(const char *type, const char *config, struct destination *d, char *why,
                      size_t why_size)
{
    struct judge judge = {why, why_size};
    enum json_fault parsed;
    char detail[192];

    if (type == NULL || strcmp(type, "TWILIO_MMS") != 0) {
        snprintf(why, why_size, "type: '%.*s' is not served here, expected TWILIO_MMS",
                 type != NULL ? shown(type) : 0, type != NULL ? type : "");
        return false;
    }
    if (config == NULL || strlen(config) > LIMIT_CONFIG_BYTES) {
        snprintf(why, why_size, "config: too large, expected at most %d bytes of settings",
                 LIMIT_CONFIG_BYTES);
        return false;
    }
    parsed = json_parse(config, strlen(config), &d->json, detail, sizeof detail);
    if (!json_is_object(d->json)) {
        /* Columns have objects that we can't read: a number beyond 64 bits, too deep nesting. */
        snprintf(why, why_size, "config: %s, expected the destination's settings",
                 parsed == JSON_OK || parsed == JSON_FAULT_SYNTAX ? "not an object" : detail);
        return false;
    }
    return judge_names(&judge, d->json) && judge_sender(&judge, d->json, d) &&
           judge_body(&judge, d->json, d) && judge_media(&judge, d->json, d) &&
           judge_auth(&judge, d->json, d) && judge_rate(&judge, d->json) &&
           judge_fallback(&judge, d->json, d) && options_parse(d->json, &d->options, why, why_size);
}

bool destination_parse(const char *type, const char *config, struct destination *ret_destination,
                       char *why, size_t why_size)
{
    *ret_destination = (struct destination){.json = NULL};
    if (!judge_row(type, config, ret_destination, why, why_size))
        return false;
    warn(ret_destination);
    return true;
}

static char *reveal(const struct secrets *secrets, const char *text, const char *field, char *why,
                    size_t why_size)
{
    char detail[480];
    char *secret = secret_reveal(secrets, text, detail, sizeof detail);

    if (secret == NULL)
        snprintf(why, why_size, "config.auth.%s: %s", field, detail);
    return secret;
}

/* What `warn` could not see. */
static void warn_of_revealed(struct destination *d)
{
    size_t length = strlen(d->warning);

    if (has_short_secret(d) ||
        (strlen(d->auth_token) >= REDACT_MIN && strlen(d->password) >= REDACT_MIN))
        return;
    snprintf(d->warning + length, sizeof d->warning - length, "%s%s", length > 0 ? "; " : "",
             short_secret);
}

bool destination_reveal(struct destination *d, const struct secrets *secrets, char *why,
                        size_t why_size)
{
    bool has_key = d->password_text != d->auth_text;
    char *token = reveal(secrets, d->auth_text, "auth_token", why, why_size);
    char *password = token == NULL ? NULL
                     : has_key ? reveal(secrets, d->password_text, "api_key_secret", why, why_size)
                               : mem_strdup(token);

    if (password == NULL) {
        secret_free(token);
        return false;
    }
    d->auth_token = token;
    d->password = password;
    warn_of_revealed(d);
    return true;
}

void destination_release(struct destination *destination)
{
    static const char *const secrets[] = {"auth_token", "api_key_secret"};
    const json_t *auth = json_object_get(destination->json, "auth");

    for (size_t i = 0; i < sizeof secrets / sizeof secrets[0]; i++) {
        char *secret = (char *)json_member_string(auth, secrets[i]);

        if (secret != NULL)
            mem_wipe(secret, strlen(secret));
    }
    secret_free(destination->auth_token);
    secret_free(destination->password);
    options_release(&destination->options);
    json_decref(destination->json);
    *destination = (struct destination){.json = NULL};
}
