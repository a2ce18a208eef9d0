#include "check.h"

#include "worker/event.h"

#define IDS "\"event_id\":\"evt_1\",\"destination_id\":\"des_1\""

/* What should become of a record: the reason of its rejection (NULL: none) and the ids known. */
struct expected {
    const char *reason;
    const char *detail; /* a part of it */
    const char *event_id, *destination_id, *connection_id;
};

static void check_event(const char *name, const char *bytes, size_t length,
                        const struct expected *expected)
{
    struct event_rejection rejection = {.reason = NULL};
    struct event event;
    bool ok = event_parse(bytes, length, &event, &rejection);

    check_string(name, ok ? NULL : rejection.reason, expected->reason);
    check_string(name, event.event_id, expected->event_id);
    check_string(name, event.destination_id, expected->destination_id);
    check_string(name, event.connection_id, expected->connection_id);
    if (expected->reason != NULL) {
        check_contains(name, rejection.detail, expected->detail);
        check_lacks(name, rejection.detail, "\n");
        check_true(name, rejection.detail[0] != '\0');
    }
    event_release(&event);
    assert_null(event.json);
    assert_null(event.event_id);
}

struct event_case {
    const char *text;
    struct expected expected;
};

static void check_events(const struct event_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++)
        check_event(cases[i].text, cases[i].text, strlen(cases[i].text), &cases[i].expected);
}

#define FINE                               \
    {                                      \
        NULL, NULL, "evt_1", "des_1", NULL \
    }
#define NO_IDS NULL, NULL, NULL

static void takes_events(void **state)
{
    static const struct event_case cases[] = {
        {"{" IDS ",\"payload\":{}}", FINE},
        {"{" IDS "}", FINE},
        {" {" IDS ",\"payload\":[1,{\"a\":null}]}\n", FINE},
        {"{" IDS ",\"connection_id\":null,\"occurred_at\":null,\"retry\":null}", FINE},
        {"{" IDS ",\"connection_id\":\"con_1\"}", {NULL, NULL, "evt_1", "des_1", "con_1"}},
        {"{" IDS ",\"occurred_at\":\"2026-11-22T07:48:29+02:00\"}", FINE},
        {"{" IDS ",\"retry\":{\"strategy\":\"linear\",\"count\":5,\"interval\":60000,"
         "\"response_status_codes\":[\"429\",\"500-599\"]}}",
         FINE},
        {"{\"event_id\":\"e v/t\xe2\x82\xac\",\"destination_id\":\"\xc2\xa0\"}",
         {NULL, NULL, "e v/t\xe2\x82\xac", "\xc2\xa0", NULL}},
    };

    (void)state;
    check_events(cases, COUNT(cases));
}

static void refuses_what_is_no_json(void **state)
{
    static const struct event_case cases[] = {
        {"", {"NOT_JSON", "not JSON", NO_IDS}},
        {"hello", {"NOT_JSON", "line 1", NO_IDS}},
        {"{" IDS, {"NOT_JSON", "not JSON", NO_IDS}},
        {"{" IDS "} x", {"NOT_JSON", "not JSON", NO_IDS}},
        {"{" IDS ",\"a\":\"\\u0000\"}", {"NUL_CHARACTER", "u0000", NO_IDS}},
        {"{\"event_id\":\"\\ud800\",\"destination_id\":\"d\"}", {"NOT_JSON", "", NO_IDS}},
        {"<xml/>", {"NOT_JSON", "not JSON", NO_IDS}},
        {"\xff\xfe{", {"NOT_UTF8", "UTF-8", NO_IDS}},
        {"{" IDS ",\"a\":\"caf\xe9\"}", {"NOT_UTF8", "UTF-8", NO_IDS}},
        {"{" IDS ",\"a\":\"\xed\xa0\x80\"}", {"NOT_UTF8", "UTF-8", NO_IDS}},
        {"{" IDS ",\"a\":1,\"a\":2}", {"DUPLICATE_KEY", "twice", NO_IDS}},
        {"{\"event_id\":\"x\"," IDS "}", {"DUPLICATE_KEY", "twice", NO_IDS}},
        {"{" IDS ",\"payload\":{\"k\":{\"a\":1,\"\\u0061\":1}}}", {"DUPLICATE_KEY", "", NO_IDS}},
        {"{" IDS ",\"a\":18446744073709551616}", {"NUMBER_OUT_OF_RANGE", "64 bits", NO_IDS}},
        {"{" IDS ",\"a\":1e999}", {"NUMBER_OUT_OF_RANGE", "number", NO_IDS}},
        {"[{" IDS "}]", {"NOT_AN_OBJECT", "object", NO_IDS}},
        {"\"text\"", {"NOT_AN_OBJECT", "object", NO_IDS}},
        {"null", {"NOT_AN_OBJECT", "object", NO_IDS}},
        {"7", {"NOT_AN_OBJECT", "object", NO_IDS}},
    };

    (void)state;
    check_events(cases, COUNT(cases));
}

static void refuses_tombstones(void **state)
{
    static const struct expected expected = {"TOMBSTONE", "no value", NO_IDS};

    (void)state;
    check_event("tombstone", NULL, 0, &expected);
}

/* Each rule for each id; the other ids are salvaged. */
static void judges_ids(void **state)
{
    static const struct {
        const char *value; /* NULL: the field is missing */
        const char *fault; /* NULL: it is fine */
    } cases[] = {
        {NULL, "missing"},
        {"null", "not a string"},
        {"7", "not a string"},
        {"true", "not a string"},
        {"[\"x\"]", "not a string"},
        {"{}", "not a string"},
        {"\"\"", "empty"},
        {"\"a\\u0001\"", "control character"},
        {"\"a\\n\"", "control character"},
        {"\"\\tb\"", "control character"},
        {"\"\\u001f\"", "control character"},
        {"\"a\\u007fb\"", "control character"},
        {"\"a\x7f\"", "control character"},
        {"\"\\u0080\"", "control character"},
        {"\"a\\u0085\"", "control character"},
        {"\"\xc2\x9f\"", "control character"},
        {"\" \"", NULL},
        {"\"\\u00a0\"", NULL},
        {"\"\xf0\x9f\x98\x80\"", NULL},
    };
    static const char *const fields[] = {"event_id", "destination_id", "connection_id"};
    static const char *const reasons[] = {"EVENT_ID_INVALID", "DESTINATION_ID_INVALID",
                                          "CONNECTION_ID_INVALID"};

    (void)state;
    for (size_t field = 0; field < COUNT(fields); field++) {
        for (size_t i = 0; i < COUNT(cases); i++) {
            struct event_rejection rejection = {.reason = NULL};
            char text[300] = "{", name[100];
            struct event event;
            bool optional =
                field == 2 && (cases[i].value == NULL || strcmp(cases[i].value, "null") == 0);
            bool ok;

            for (size_t k = 0; k < COUNT(fields); k++) {
                const char *value = k == field ? cases[i].value : "\"other\"";

                if (value != NULL)
                    snprintf(text + strlen(text), sizeof text - strlen(text), "\"%s\":%s,",
                             fields[k], value);
            }
            strcat(text, "\"payload\":1}");
            snprintf(name, sizeof name, "%s = %s", fields[field], cases[i].value);
            ok = event_parse(text, strlen(text), &event, &rejection);
            check_int(name, ok, cases[i].fault == NULL || optional);
            if (!ok) {
                check_string(name, rejection.reason, reasons[field]);
                check_contains(name, rejection.detail, fields[field]);
                check_contains(name, rejection.detail, cases[i].fault);
                check_contains(name, rejection.detail, "1 to 255");
                check_string(name, event.event_id, field == 0 ? NULL : "other");
                check_string(name, event.destination_id, field == 1 ? NULL : "other");
                check_string(name, event.connection_id, field == 2 ? NULL : "other");
            }
            event_release(&event);
        }
    }
}

static void bounds_the_length_of_ids(void **state)
{
    static const char *const units[] = {"x", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
    static const char *const fields[] = {"event_id", "destination_id", "connection_id"};

    (void)state;
    for (size_t unit = 0; unit < COUNT(units); unit++) {
        for (size_t i = 0; i < 2 * COUNT(fields); i++) {
            size_t field = i / 2, length = 255 + i % 2;
            char *id = check_repeat(units[unit], length);
            struct event_rejection rejection = {.reason = NULL};
            char text[2000], name[100];
            struct event event;
            bool ok;

            snprintf(text, sizeof text,
                     "{\"event_id\":\"%s\",\"destination_id\":\"%s\",\"connection_id\":\"%s\"}",
                     field == 0 ? id : "e", field == 1 ? id : "d", field == 2 ? id : "c");
            snprintf(name, sizeof name, "%s of %zu '%s'", fields[field], length, units[unit]);
            ok = event_parse(text, strlen(text), &event, &rejection);
            check_int(name, ok, length == 255);
            if (!ok)
                check_contains(name, rejection.detail, "too long");
            event_release(&event);
            free(id);
        }
    }
}

static void bounds_the_depth(void **state)
{
    (void)state;
    for (size_t depth = 63; depth <= 66; depth++) {
        /* The event itself is one level. */
        char *open = check_repeat("[", depth - 1), *close = check_repeat("]", depth - 1);
        struct expected expected = {"TOO_DEEP", "64 levels", NO_IDS};
        char text[300], name[32];

        if (depth <= 64)
            expected = (struct expected){NULL, NULL, "evt_1", "des_1", NULL};
        snprintf(text, sizeof text, "{" IDS ",\"payload\":%s%s}", open, close);
        snprintf(name, sizeof name, "%zu levels", depth);
        check_event(name, text, strlen(text), &expected);
        free(open);
        free(close);
    }
}

/* The event, its three members, the array, and what is in it. */
static void bounds_the_values(void **state)
{
    static const struct expected many = {"TOO_MANY_VALUES", "more than 100000 JSON values", NO_IDS};
    static const struct expected fine = FINE;

    (void)state;
    for (size_t more = 0; more <= 1; more++) {
        char *values = check_repeat("{},", EVENT_VALUES_MAX - 5 + more);
        size_t size = strlen(values) + 200;
        char *text = malloc(size);

        snprintf(text, size, "{" IDS ",\"payload\":[%s0]}", values);
        check_event(more > 0 ? "too many" : "just enough", text, strlen(text),
                    more > 0 ? &many : &fine);
        free(text);
        free(values);
    }
}

static void bounds_the_size(void **state)
{
    static const struct expected fine = FINE;
    static const struct expected large = {"TOO_LARGE", "1048577 bytes, expected at most 1048576",
                                          NO_IDS};
    static const char head[] = "{" IDS ",\"payload\":\"", tail[] = "\"}";
    size_t overhead = sizeof head + sizeof tail - 2;

    (void)state;
    for (size_t more = 0; more < 2; more++) {
        char *filler = check_repeat("x", EVENT_MAX_BYTES - overhead + more);
        char *text = malloc(EVENT_MAX_BYTES + 2);

        assert_non_null(text);
        snprintf(text, EVENT_MAX_BYTES + 2, "%s%s%s", head, filler, tail);
        check_event("1 MiB", text, strlen(text), more == 0 ? &fine : &large);
        free(text);
        free(filler);
    }
}

static void judges_the_other_fields(void **state)
{
#define SAVED "evt_1", "des_1", "con_1"
#define ALL   "{" IDS ",\"connection_id\":\"con_1\","
    static const struct event_case cases[] = {
        {ALL "\"occurred_at\":\"yesterday\"}", {"OCCURRED_AT_INVALID", "occurred_at", SAVED}},
        {ALL "\"occurred_at\":1795333709}", {"OCCURRED_AT_INVALID", "RFC 3339", SAVED}},
        {ALL "\"occurred_at\":\"\"}", {"OCCURRED_AT_INVALID", "RFC 3339", SAVED}},
        {ALL "\"occurred_at\":\"2026-11-22\"}", {"OCCURRED_AT_INVALID", "RFC 3339", SAVED}},
        {ALL "\"retry\":5}", {"RETRY_INVALID", "retry: ", SAVED}},
        {ALL "\"retry\":{\"strategy\":\"often\"}}", {"RETRY_INVALID", "retry.strategy", SAVED}},
        {ALL "\"retry\":{\"count\":-1}}", {"RETRY_INVALID", "retry.count", SAVED}},
        {ALL "\"retry\":{\"interval\":\"1s\"}}", {"RETRY_INVALID", "retry.interval", SAVED}},
        {ALL "\"retry\":{\"response_status_codes\":[\"5xx\"]}}",
         {"RETRY_INVALID", "retry.response_status_codes", SAVED}},
    };

    (void)state;
    check_events(cases, COUNT(cases));
}

static void keeps_unknown_keys(void **state)
{
    static const char text[] = "{" IDS ",\"tenant\":{\"id\":9},\"payload\":{\"message\":\"hi\"}}";
    struct event_rejection rejection;
    struct event event;
    char *dumped;

    (void)state;
    assert_true(event_parse(text, strlen(text), &event, &rejection));
    dumped = json_dumps(event.json, JSON_COMPACT);
    assert_string_equal(dumped, text);
    free(dumped);
    event_release(&event);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_events),
        cmocka_unit_test(refuses_what_is_no_json),
        cmocka_unit_test(refuses_tombstones),
        cmocka_unit_test(judges_ids),
        cmocka_unit_test(bounds_the_length_of_ids),
        cmocka_unit_test(bounds_the_depth),
        cmocka_unit_test(bounds_the_size),
        cmocka_unit_test(bounds_the_values),
        cmocka_unit_test(judges_the_other_fields),
        cmocka_unit_test(keeps_unknown_keys),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
