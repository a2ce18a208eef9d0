#include "worker/commands/row.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/redact.h"
#include "common/utf8.h"
#include "worker/destination.h"

#define ID_MAX            255 /* characters */
#define CHANGES_MAX_BYTES ((size_t)16 << 10)

static bool wrong(char *why, const char *field, const char *fault, const char *expected)
{
    snprintf(why, ROW_WHY, "%s: %s, expected %s", field, fault, expected);
    return false;
}

/* ---- rules ---- */

/* Events name it, and theirs are judged in the same way. */
static bool judge_id(const json_t *value, char *why)
{
    static const char expected[] = "a string of 1 to 255 printable characters";
    const char *text = json_string_value(value);

    if (value == NULL)
        return wrong(why, "id", "missing", expected);
    if (text == NULL)
        return wrong(why, "id", "not a string", expected);
    if (text[0] == '\0' || utf8_length(text) > ID_MAX || utf8_has_control(text))
        return wrong(why, "id", "not valid", expected);
    return true;
}

static bool judge_text(const json_t *value, const char *field, const char *expected, char *why)
{
    if (value == NULL || json_is_string(value))
        return true;
    return wrong(why, field, "not a string", expected);
}

static bool judge_disabled_at(const json_t *value, char *why)
{
    if (value == NULL || (json_is_string(value) && clock_is_rfc3339(json_string_value(value))))
        return true;
    return wrong(why, "disabled_at", "not valid",
                 "null, or an RFC 3339 date-time such as 2026-01-31T12:00:00Z");
}

static bool judge_names(const json_t *row, char *why)
{
    static const char *const names[] = {"id",          "name",       "type",      "config",
                                        "disabled_at", "created_at", "updated_at"};
    const json_t *value;
    const char *name;

    json_object_foreach((json_t *)row, name, value)
    {
        size_t i = 0;

        while (i < sizeof names / sizeof names[0] && strcmp(name, names[i]) != 0)
            i++;
        if (i < sizeof names / sizeof names[0])
            continue;
        snprintf(why, ROW_WHY, "%.*s: no such field, expected id, name, type, config, disabled_at",
                 redact_is_name(name) ? (int)strlen(name) : 0, name);
        return false;
    }
    return true;
}

bool row_judge_config(const char *type, const char *config, char why[ROW_WHY],
                      char ret_warning[ROW_WHY])
{
    struct destination destination;
    bool fine = destination_parse(type, config, &destination, why, ROW_WHY);

    snprintf(ret_warning, ROW_WHY, "%s", fine ? destination.warning : "");
    destination_release(&destination);
    return fine;
}

static bool judge_config(const json_t *row, char *why, char *ret_warning)
{
    const json_t *config = json_member(row, "config");
    char *text;
    bool fine;

    if (config == NULL)
        return wrong(why, "config", "missing", "the destination's settings");
    text = row_text(config, 0); /* as PostgreSQL writes it, whose table bounds its length */
    fine = row_judge_config(row_type(row), text, why, ret_warning);
    mem_wipe(text, strlen(text));
    free(text);
    return fine;
}

bool row_judge(const json_t *row, char why[ROW_WHY], char ret_warning[ROW_WHY])
{
    if (!json_is_object(row)) {
        snprintf(why, ROW_WHY, "not an object, expected {\"id\": …, \"config\": {…}}");
        return false;
    }
    return judge_names(row, why) && judge_id(json_member(row, "id"), why) &&
           judge_text(json_member(row, "name"), "name", "a name for people", why) &&
           judge_text(json_member(row, "type"), "type", "TWILIO_MMS", why) &&
           judge_disabled_at(json_member(row, "disabled_at"), why) &&
           judge_config(row, why, ret_warning);
}

const char *row_type(const json_t *row)
{
    const char *type = json_member_string(row, "type");

    return type != NULL ? type : "TWILIO_MMS";
}

/* ---- order ---- */

/* The members of these names first, in this order, the others behind them as they come. */
static json_t *ordered(json_t *object, const char *const *names, size_t count)
{
    json_t *copy = json_object(), *value;
    const char *name;

    for (size_t i = 0; i < count; i++) {
        if (json_object_get(object, names[i]) != NULL)
            json_object_set(copy, names[i], json_object_get(object, names[i]));
    }
    json_object_foreach(object, name, value)
    {
        json_object_set(copy, name, value);
    }
    return copy;
}

#define ORDERED(object, names) ordered(object, names, sizeof(names) / sizeof((names)[0]))

json_t *row_ordered(json_t *config)
{
    static const char *const names[] = {
        "from",       "messaging_service_sid", "to",        "body_template", "body_overflow",
        "media_urls", "sms_fallback",          "auth_type", "auth"};
    static const char *const auth_names[] = {"account_sid", "auth_token", "api_key_sid",
                                             "api_key_secret"};
    json_t *copy, *auth;

    if (!json_is_object(config))
        return json_incref(config);
    copy = ORDERED(config, names);
    auth = json_object_get(copy, "auth");
    if (json_is_object(auth))
        json_object_set_new(copy, "auth", ORDERED(auth, auth_names));
    return copy;
}

/* ---- what has changed ---- */

static void add_change(struct buf *out, const char *prefix, const char *name)
{
    buf_printf(out, "%s%s%s", out->length > 0 ? ", " : "", prefix, name);
}

/* Members that only one has, or that differ. Of `deeper`, if both are objects, its members. */
static void add_changes(struct buf *out, const char *prefix, const json_t *old, const json_t *new,
                        const char *deeper)
{
    const json_t *value;
    const char *name;

    json_object_foreach((json_t *)old, name, value)
    {
        const json_t *other = json_object_get(new, name);

        if (deeper != NULL && strcmp(name, deeper) == 0 && json_is_object(value) &&
            json_is_object(other))
            add_changes(out, "config.auth.", value, other, NULL);
        else if (other == NULL || !json_equal(value, other))
            add_change(out, prefix, name);
    }
    json_object_foreach((json_t *)new, name, value)
    {
        if (json_object_get(old, name) == NULL)
            add_change(out, prefix, name);
    }
}

static bool same_text(const json_t *old, const json_t *row, const char *name)
{
    const char *a = json_member_string(old, name), *b = json_member_string(row, name);

    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

char *row_changes(const json_t *old, const json_t *row)
{
    const json_t *old_config = json_member(old, "config"), *config = json_member(row, "config");
    struct buf out;

    buf_init(&out, CHANGES_MAX_BYTES);
    if (!same_text(old, row, "name"))
        add_change(&out, "", "name");
    if (strcmp(row_type(old), row_type(row)) != 0)
        add_change(&out, "", "type");
    if (json_is_object(old_config))
        add_changes(&out, "config.", old_config, config, "auth");
    else
        add_change(&out, "", "config");
    if (!same_text(old, row, "disabled_at"))
        add_change(&out, "", "disabled_at");
    return buf_detach(&out);
}

/* ---- text ---- */

char *row_text(const json_t *value, size_t flags)
{
    /* 17 digits tell any two numbers apart, but make 0.050000000000000003 of 0.05. */
    for (int digits = 15; digits < 17; digits++) {
        char *text = json_dumps(value, flags | JSON_ENCODE_ANY | JSON_REAL_PRECISION(digits));
        json_t *back = NULL;
        bool same;

        json_parse(text, strlen(text), &back, NULL, 0);
        same = json_equal(value, back) != 0;
        json_decref(back);
        if (same)
            return text;
        free(text);
    }
    return json_dumps(value, flags | JSON_ENCODE_ANY | JSON_REAL_PRECISION(17));
}
