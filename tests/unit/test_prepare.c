#include "check.h"

#include <jansson.h>

#include "check_advice.h"
#include "rows.h"

#include "common/clock.h"
#include "common/mem.h"
#include "common/pg_value.h"
#include "worker/attempt_id.h"
#include "worker/prepare.h"

#define S        CLOCK_SECOND
#define NOW      (INT64_C(1795333709) * S)
#define BASE     "https://api.twilio.com"
#define ACCOUNT  "AC0123456789abcdef0123456789abcdef"
#define TOKEN    "hush-token"
#define CALLBACK "https://mms.example/status"
#define MEDIA    "https://a.example/1"

/* ---- a row of claim.sql ---- */

struct row {
    const char *event, *config; /* NULL: good ones */
    const char *type;
    bool bare; /* nothing that may be null is there */
    bool as_sms, has_opt_outs;
    int trouble;
};

#define CONFIG(more)                                                                          \
    "{\"from\":\"+16824246644\",\"to\":\"{{to}}\",\"body_template\":\"Hi {{name}}\","         \
    "\"media_urls\":[\"" MEDIA "\"],\"auth\":{\"account_sid\":\"" ACCOUNT "\",\"auth_token\"" \
    ":\"" TOKEN "\"}" more "}"
#define EVENT(more) "{\"to\":\"+37120000001\",\"name\":\"Ann\"" more "}"

static PGresult *make_rows(const struct row *row)
{
    PGresult *rows = rows_new(19);

    put_text(rows, 0, "des_1");
    put_int8(rows, 1, 7);
    put_text(rows, 2, "evt_1");
    put_text(rows, 3, row->bare ? NULL : "con_1");
    put_text(rows, 4, row->event != NULL ? row->event : EVENT(""));
    put_text(rows, 5, row->bare ? NULL : "00-1-2-01");
    put_text(rows, 6, row->bare ? NULL : "a=b");
    put_int4(rows, 7, 3);
    put_int4(rows, 8, 2);
    put_int8(rows, 9, pg_time_to_wire(NOW));
    put_int8(rows, 10, pg_time_to_wire(NOW + 60 * S));
    put_int8(rows, 11, pg_time_to_wire(NOW - 5 * S));
    put_int8(rows, 12, pg_time_to_wire(NOW + 4 * S));
    put_int4(rows, 13, row->trouble);
    put_text(rows, 14, row->type != NULL ? row->type : "TWILIO_MMS");
    put_text(rows, 15, row->config != NULL ? row->config : CONFIG(""));
    put_int8(rows, 16, pg_time_to_wire(NOW - 3600 * S));
    put_int4(rows, 17, row->as_sms ? 1 : 0);
    put_int4(rows, 18, row->has_opt_outs ? 1 : 0);
    return rows;
}

static const struct retry_policy default_policy = {.attempts = 5, .base = 30 * S, .max = 60 * S};

/* ---- who is told of the account ---- */

struct told {
    int times;
    char account_sid[64], auth_token[64];
};

static void on_account(void *arg, const struct destination *destination)
{
    struct told *told = arg;

    told->times++;
    snprintf(told->account_sid, sizeof told->account_sid, "%s", destination->account_sid);
    snprintf(told->auth_token, sizeof told->auth_token, "%s", destination->auth_token);
}

static struct delivery *prepare(const struct row *row, const char *callback_url, struct told *told,
                                bool *ret_ready)
{
    const struct prepare_options options = {
        .default_policy = default_policy,
        .twilio_base_url = BASE,
        .status_callback_url = callback_url,
        .account = told != NULL ? on_account : NULL,
        .arg = told,
    };
    PGresult *rows = make_rows(row);
    struct delivery *delivery = prepare_take(rows, 0, &default_policy);

    *ret_ready = prepare_request(&options, delivery, rows, 0);
    PQclear(rows);
    return delivery;
}

/* A parameter of the request, as text; "" if it has none. Owned by the caller. */
static char *parameter(const struct delivery *delivery, const char *name)
{
    json_t *evidence = json_loads(delivery->request.evidence, 0, NULL);
    const json_t *value;
    char *text;

    assert_non_null(evidence);
    value = json_object_get(json_object_get(evidence, "parameters"), name);
    if (json_is_string(value))
        text = mem_strdup(json_string_value(value));
    else
        text = value != NULL ? json_dumps(value, JSON_COMPACT) : mem_strdup("");
    json_decref(evidence);
    return text;
}

static void check_parameter(const char *case_name, const struct delivery *delivery,
                            const char *name, const char *expected)
{
    char *text = parameter(delivery, name);

    check_string(case_name, text, expected);
    free(text);
}

/* ---- taking ---- */

static void takes_what_was_claimed(void **state)
{
    static const struct row row = {.trouble = 4};
    PGresult *rows = make_rows(&row);
    struct delivery *d = prepare_take(rows, 0, &default_policy);

    (void)state;
    assert_string_equal(d->destination_id, "des_1");
    assert_int_equal(d->id, 7);
    assert_string_equal(d->event_id, "evt_1");
    assert_string_equal(d->connection_id, "con_1");
    assert_string_equal(d->traceparent, "00-1-2-01");
    assert_string_equal(d->tracestate, "a=b");
    assert_int_equal(d->attempt, 3);
    assert_int_equal(d->budget_spent, 2);
    assert_int_equal(d->trouble, 4);
    assert_int_equal(d->slot_at, NOW);
    assert_int_equal(d->lease_until, NOW + 60 * S);
    assert_int_equal(d->reserved_until, NOW + 4 * S);
    assert_int_equal(d->config_of, NOW - 3600 * S);
    assert_int_equal(prepare_created_at(rows, 0), NOW - 5 * S);
    assert_int_equal(d->policy.attempts, 5);
    assert_int_equal(d->policy.base, 30 * S);
    assert_false(d->as_sms || d->sms_fallback || d->falls_back || d->keeps_place);
    assert_null(d->state); /* it goes back unattempted, as long as nothing else is known */
    assert_null(d->request.url);
    assert_int_equal(d->started_at, 0);
    delivery_free(d);
    PQclear(rows);
}

static void takes_what_may_be_null(void **state)
{
    static const struct row row = {.bare = true};
    PGresult *rows = make_rows(&row);
    struct delivery *d = prepare_take(rows, 0, &default_policy);

    (void)state;
    assert_string_equal(d->event_id, "evt_1");
    assert_null(d->connection_id);
    assert_null(d->traceparent);
    assert_null(d->tracestate);
    delivery_free(d);
    PQclear(rows);
}

static void takes_what_is_yes_or_no(void **state)
{
    (void)state;
    for (int bits = 0; bits < 4; bits++) {
        const struct row row = {.as_sms = bits & 1, .has_opt_outs = bits & 2};
        PGresult *rows = make_rows(&row);
        struct delivery *d = prepare_take(rows, 0, &default_policy);

        check_int("as_sms", d->as_sms, row.as_sms);
        check_int("has_opt_outs", prepare_has_opt_outs(rows, 0), row.has_opt_outs);
        delivery_free(d);
        PQclear(rows);
    }
}

/* ---- preparing ---- */

static void builds_the_request(void **state)
{
    static const struct row row = {.config = NULL};
    struct told told = {.times = 0};
    struct delivery *d;
    bool ready;

    (void)state;
    d = prepare(&row, CALLBACK, &told, &ready);
    assert_true(ready);
    assert_string_equal(d->request.url, BASE "/2010-04-01/Accounts/" ACCOUNT "/Messages.json");
    assert_string_equal(d->request.user, ACCOUNT);
    assert_string_equal(d->request.password, TOKEN);
    check_parameter("to", d, "To", "+37120000001");
    check_parameter("from", d, "From", "+16824246644");
    check_parameter("body", d, "Body", "Hi Ann");
    check_parameter("media", d, "MediaUrl", "[\"" MEDIA "\"]");
    assert_null(strstr(d->request.evidence, TOKEN));
    assert_int_equal(told.times, 1);
    assert_string_equal(told.account_sid, ACCOUNT);
    assert_string_equal(told.auth_token, TOKEN);
    assert_null(d->verdict.reason);
    assert_null(d->state);
    delivery_free(d);
}

/* Twilio is given the attempt's own URL; without one of ours, none. */
static void the_callback_names_the_attempt(void **state)
{
    static const struct row row = {.config = NULL};
    struct attempt_id id;
    struct delivery *d;
    char *url;
    bool ready;

    (void)state;
    d = prepare(&row, CALLBACK, NULL, &ready);
    assert_true(ready);
    url = parameter(d, "StatusCallback");
    assert_memory_equal(url, CALLBACK "?attempt=", strlen(CALLBACK "?attempt="));
    assert_true(attempt_id_parse(url + strlen(CALLBACK "?attempt="),
                                 strlen(url) - strlen(CALLBACK "?attempt="), &id));
    assert_string_equal(id.destination_id, "des_1");
    assert_int_equal(id.delivery_id, 7);
    assert_int_equal(id.attempt, 3);
    attempt_id_release(&id);
    free(url);
    delivery_free(d);

    d = prepare(&row, "", NULL, &ready);
    assert_true(ready);
    check_parameter("none of ours", d, "StatusCallback", "");
    delivery_free(d);
}

static void a_callback_of_the_destinations_own_is_kept(void **state)
{
    static const char *const configs[] = {
        CONFIG(",\"status_callback\":\"https://theirs.example/x\""),
        CONFIG(",\"application_sid\":\"AP0123456789abcdef0123456789abcdef\""),
    };
    static const char *const expected[] = {"https://theirs.example/x", ""};

    (void)state;
    for (size_t i = 0; i < COUNT(configs); i++) {
        const struct row row = {.config = configs[i]};
        struct delivery *d;
        bool ready;

        d = prepare(&row, CALLBACK, NULL, &ready);
        check_true(configs[i], ready);
        check_parameter(configs[i], d, "StatusCallback", expected[i]);
        delivery_free(d);
    }
}

static void who_signs_callbacks_is_not_who_sends(void **state)
{
    static const struct row row = {
        .config = "{\"from\":\"+16824246644\",\"to\":\"{{to}}\",\"body_template\":\"Hi\","
                  "\"media_urls\":[\"" MEDIA "\"],\"auth\":{\"account_sid\":\"" ACCOUNT "\","
                  "\"auth_token\":\"" TOKEN "\",\"api_key_sid\":"
                  "\"SK0123456789abcdef0123456789abcdef\",\"api_key_secret\":\"hush-secret\"}}",
    };
    struct told told = {.times = 0};
    struct delivery *d;
    bool ready;

    (void)state;
    d = prepare(&row, CALLBACK, &told, &ready);
    assert_true(ready);
    assert_string_equal(d->request.user, "SK0123456789abcdef0123456789abcdef");
    assert_string_equal(d->request.password, "hush-secret");
    assert_string_equal(told.account_sid, ACCOUNT);
    assert_string_equal(told.auth_token, TOKEN);
    delivery_free(d);
}

/* What may go as SMS, and what already does: the second has nothing left to fall back to. */
static void the_destination_says_whether_it_may_go_as_sms(void **state)
{
    static const struct {
        const char *name, *config;
        bool as_sms, fallback;
        const char *body, *media;
    } cases[] = {
        {"no wish", CONFIG(""), false, false, "Hi Ann", "[\"" MEDIA "\"]"},
        {"no", CONFIG(",\"sms_fallback\":false"), false, false, "Hi Ann", "[\"" MEDIA "\"]"},
        {"yes", CONFIG(",\"sms_fallback\":true"), false, true, "Hi Ann", "[\"" MEDIA "\"]"},
        {"yes, is SMS", CONFIG(",\"sms_fallback\":true"), true, false, "Hi Ann\n" MEDIA, ""},
        {"no more, is SMS", CONFIG(""), true, false, "Hi Ann\n" MEDIA, ""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct row row = {.config = cases[i].config, .as_sms = cases[i].as_sms};
        struct delivery *d;
        bool ready;

        d = prepare(&row, "", NULL, &ready);
        check_true(cases[i].name, ready);
        check_int(cases[i].name, d->sms_fallback, cases[i].fallback);
        check_int(cases[i].name, d->as_sms, cases[i].as_sms);
        check_parameter(cases[i].name, d, "Body", cases[i].body);
        check_parameter(cases[i].name, d, "MediaUrl", cases[i].media);
        check_int(cases[i].name, strstr(d->request.form, "MediaUrl=") != NULL, !cases[i].as_sms);
        delivery_free(d);
    }
}

static void the_event_brings_its_policy(void **state)
{
    static const struct row own = {.event = EVENT(",\"retry\":{\"count\":1,\"interval\":7000}")};
    static const struct row none = {.event = NULL};
    struct delivery *d;
    bool ready;

    (void)state;
    d = prepare(&own, "", NULL, &ready);
    assert_true(ready);
    assert_int_equal(d->policy.attempts, 2);
    assert_int_equal(d->policy.base, 7 * S);
    delivery_free(d);
    d = prepare(&none, "", NULL, &ready);
    assert_true(ready);
    assert_int_equal(d->policy.attempts, 5);
    assert_int_equal(d->policy.base, 30 * S);
    delivery_free(d);
}

/* Nothing can be sent: the verdict says whose fault that is, and there is no request. */
static void refuses_what_cannot_be_sent(void **state)
{
    static const struct {
        const char *name;
        struct row row;
        enum outcome outcome;
        enum scope scope;
        const char *reason, *words;
    } cases[] = {
        {"another type", {.type = "SMTP"}, OUTCOME_RETRY, SCOPE_DESTINATION, "CONFIG_INVALID", ""},
        {"no object", {.config = "[]"}, OUTCOME_RETRY, SCOPE_DESTINATION, "CONFIG_INVALID", ""},
        {"nothing", {.config = "{}"}, OUTCOME_RETRY, SCOPE_DESTINATION, "CONFIG_INVALID", ""},
        {"odd field",
         {.config = CONFIG(",\"sms_fallback\":\"perhaps\"")},
         OUTCOME_RETRY,
         SCOPE_DESTINATION,
         "CONFIG_INVALID",
         "sms_fallback"},
        {"no number",
         {.event = "{\"to\":\"nobody\"}"},
         OUTCOME_FAILED,
         SCOPE_MESSAGE,
         "TO_INVALID",
         "config.to"},
        {"no body",
         {.event = "{\"to\":\"+37120000001\"}",
          .config = "{\"from\":\"+16824246644\",\"to\":\"{{to}}\",\"body_template\":\"{{name}}\","
                    "\"media_urls\":[\"" MEDIA "\"],\"auth\":{\"account_sid\":\"" ACCOUNT "\","
                    "\"auth_token\":\"" TOKEN "\"}}"},
         OUTCOME_FAILED,
         SCOPE_MESSAGE,
         "BODY_EMPTY",
         "config.body_template"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *name = cases[i].name;
        struct told told = {.times = 0};
        struct delivery *d;
        bool ready;

        d = prepare(&cases[i].row, CALLBACK, &told, &ready);
        check_false(name, ready);
        check_int(name, d->verdict.outcome, cases[i].outcome);
        check_int(name, d->verdict.scope, cases[i].scope);
        check_string(name, d->verdict.reason, cases[i].reason);
        check_advice(name, d->verdict.advice);
        check_true(name, d->verdict.error_message[0] != '\0');
        check_contains(name, d->verdict.error_message, cases[i].words);
        check_lacks(name, d->verdict.error_message, TOKEN);
        check_int(name, d->verdict.http_status, 0);
        check_true(name, d->request.url == NULL && d->request.evidence == NULL);
        check_false(name, d->sms_fallback);
        check_int(name, told.times, 0);
        delivery_free(d);
    }
}

/* An event's policy counts for what is refused here as well. */
static void what_is_refused_has_its_policy(void **state)
{
    static const struct row row = {.event = EVENT(",\"retry\":{\"count\":0}"), .config = "{}"};
    struct delivery *d;
    bool ready;

    (void)state;
    d = prepare(&row, "", NULL, &ready);
    assert_false(ready);
    assert_int_equal(d->policy.attempts, 1);
    delivery_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_what_was_claimed),
        cmocka_unit_test(takes_what_may_be_null),
        cmocka_unit_test(takes_what_is_yes_or_no),
        cmocka_unit_test(builds_the_request),
        cmocka_unit_test(the_callback_names_the_attempt),
        cmocka_unit_test(a_callback_of_the_destinations_own_is_kept),
        cmocka_unit_test(who_signs_callbacks_is_not_who_sends),
        cmocka_unit_test(the_destination_says_whether_it_may_go_as_sms),
        cmocka_unit_test(the_event_brings_its_policy),
        cmocka_unit_test(refuses_what_cannot_be_sent),
        cmocka_unit_test(what_is_refused_has_its_policy),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
