#include "worker/event.h"

#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/json.h"
#include "common/utf8.h"
#include "worker/retry.h"

static bool reject(struct event_rejection *rejection, const char *reason, const char *detail)
{
    rejection->reason = reason;
    snprintf(rejection->detail, sizeof rejection->detail, "%s", detail);
    return false;
}

static bool reject_field(struct event_rejection *rejection, const char *reason, const char *field,
                         const char *fault)
{
    rejection->reason = reason;
    snprintf(rejection->detail, sizeof rejection->detail,
             "%s: %s, expected a string of 1 to %d printable characters", field, fault,
             EVENT_ID_MAX);
    return false;
}

/* What is wrong with an id, or NULL. */
static const char *judge_id(const json_t *value)
{
    const char *text = json_string_value(value);

    if (value == NULL)
        return "missing";
    if (text == NULL)
        return "not a string";
    if (text[0] == '\0')
        return "empty";
    if (utf8_length(text) > EVENT_ID_MAX)
        return "too long";
    if (utf8_has_control(text))
        return "has a control character";
    return NULL;
}

static bool take_id(const json_t *json, const char *field, const char *reason, const char **ret_id,
                    struct event_rejection *rejection)
{
    const json_t *value = json_object_get(json, field);
    const char *fault = judge_id(value);

    if (fault != NULL)
        return reject_field(rejection, reason, field, fault);
    *ret_id = json_string_value(value);
    return true;
}

static bool take_connection(const json_t *json, const char **ret_id,
                            struct event_rejection *rejection)
{
    return json_member(json, "connection_id") == NULL ||
           take_id(json, "connection_id", "CONNECTION_ID_INVALID", ret_id, rejection);
}

static bool judge_occurred_at(const json_t *json, struct event_rejection *rejection)
{
    const json_t *value = json_member(json, "occurred_at");

    if (value == NULL || (json_is_string(value) && clock_is_rfc3339(json_string_value(value))))
        return true;
    return reject(rejection, "OCCURRED_AT_INVALID",
                  "occurred_at: not valid, expected an RFC 3339 date-time such as "
                  "2026-01-31T12:00:00Z");
}

static bool judge_retry(const json_t *json, struct event_rejection *rejection)
{
    struct retry_policy policy;
    char why[200];

    if (retry_policy_parse(json_member(json, "retry"), &policy, why, sizeof why))
        return true;
    return reject(rejection, "RETRY_INVALID", why);
}

static bool parse_failed(enum json_fault fault, const char *detail,
                         struct event_rejection *rejection)
{
    switch (fault) {
    case JSON_FAULT_UTF8:
        return reject(rejection, "NOT_UTF8", detail);
    case JSON_FAULT_DUPLICATE_KEY:
        return reject(rejection, "DUPLICATE_KEY", detail);
    case JSON_FAULT_DEPTH:
        return reject(rejection, "TOO_DEEP", detail);
    case JSON_FAULT_NUMBER:
        return reject(rejection, "NUMBER_OUT_OF_RANGE", detail);
    case JSON_FAULT_NUL:
        return reject(rejection, "NUL_CHARACTER", detail);
    default:
        return reject(rejection, "NOT_JSON", detail);
    }
}

/* Ids for the record of a rejection, where they are usable. */
static void salvage_ids(struct event *event)
{
    const struct {
        const char *field;
        const char **id;
    } ids[] = {{"event_id", &event->event_id},
               {"destination_id", &event->destination_id},
               {"connection_id", &event->connection_id}};

    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        const json_t *value = json_object_get(event->json, ids[i].field);

        if (judge_id(value) == NULL)
            *ids[i].id = json_string_value(value);
    }
}

bool event_parse(const char *bytes, size_t length, struct event *ret_event,
                 struct event_rejection *ret_rejection)
{
    struct event *event = ret_event;
    enum json_fault fault;
    size_t values, depth;
    char detail[200];

    *event = (struct event){.json = NULL};
    if (bytes == NULL)
        return reject(ret_rejection, "TOMBSTONE", "the record has no value, expected an event");
    if (length > EVENT_MAX_BYTES) {
        snprintf(detail, sizeof detail, "%zu bytes, expected at most %zu", length, EVENT_MAX_BYTES);
        return reject(ret_rejection, "TOO_LARGE", detail);
    }
    values = json_count(bytes, length, &depth);
    if (values > EVENT_VALUES_MAX && depth <= JSON_DEPTH_MAX && utf8_valid(bytes, length)) {
        snprintf(detail, sizeof detail, "more than %d JSON values, expected at most so many",
                 EVENT_VALUES_MAX);
        return reject(ret_rejection, "TOO_MANY_VALUES", detail);
    }
    fault = json_parse(bytes, length, &event->json, detail, sizeof detail);
    if (fault != JSON_OK)
        return parse_failed(fault, detail, ret_rejection);
    if (!json_is_object(event->json))
        return reject(ret_rejection, "NOT_AN_OBJECT", "not an object, expected a JSON object");
    salvage_ids(event);
    return take_id(event->json, "event_id", "EVENT_ID_INVALID", &event->event_id, ret_rejection) &&
           take_id(event->json, "destination_id", "DESTINATION_ID_INVALID", &event->destination_id,
                   ret_rejection) &&
           take_connection(event->json, &event->connection_id, ret_rejection) &&
           judge_occurred_at(event->json, ret_rejection) && judge_retry(event->json, ret_rejection);
}

void event_release(struct event *event)
{
    json_decref(event->json);
    *event = (struct event){.json = NULL};
}
