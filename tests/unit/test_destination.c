#include "check.h"

#include "common/mem.h"
#include "common/utf8.h"
#include "worker/destination.h"

#define SID(prefix) prefix "0123456789abcdefABCDEF0123456789"
#define TOKEN       "hush-token"
#define KEY_SECRET  "hush-secret"

/* A config that is fine; each case changes one field of it. */
#define BASE                                                                                     \
    "{\"from\":\"+16824246644\",\"to\":\"{{payload.to}}\",\"body_template\":\"Hi {{message}}\"," \
    "\"media_urls\":[\"https://demo.twilio.com/owl.png\"],\"auth_type\":\"TWILIO_AUTH_TOKEN\","  \
    "\"auth\":{\"account_sid\":\"" SID("AC") "\",\"auth_token\":\"" TOKEN "\"}}"

/* The example of the product's documentation, as it stands there. */
static const char example[] = "{\n"
                              "    \"from\": \"+16824246644\",\n"
                              "    \"to\": \"+37120000000\",\n"
                              "    \"body_template\": \"FastHook MMS event {{event_id}}\\n"
                              "{{payload}}\",\n"
                              "    \"media_urls\": [\n"
                              "      \"https://demo.twilio.com/owl.png\"\n"
                              "    ],\n"
                              "    \"messaging_service_sid\": null,\n"
                              "    \"auth_type\": \"TWILIO_AUTH_TOKEN\",\n"
                              "    \"auth\": {\n"
                              "      \"account_sid\": \"ACxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\",\n"
                              "      \"auth_token\": \"twilio-auth-token\"\n"
                              "    },\n"
                              "    \"rate_limit\": 1,\n"
                              "    \"rate_limit_period\": \"second\"\n"
                              "  }";

static void takes_the_example(void **state)
{
    struct destination d;
    char why[300] = "";

    (void)state;
    check_true(why, destination_parse("TWILIO_MMS", example, &d, why, sizeof why));
    assert_string_equal(d.from, "+16824246644");
    assert_string_equal(d.to, "+37120000000");
    assert_string_equal(d.body_template, "FastHook MMS event {{event_id}}\n{{payload}}");
    assert_int_equal(json_array_size(d.media_urls), 1);
    assert_null(d.messaging_service_sid);
    assert_string_equal(d.account_sid, "ACxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
    assert_string_equal(d.user, d.account_sid);
    assert_null(d.auth_token);
    assert_null(d.password);
    check_true(why, destination_reveal(&d, NULL, why, sizeof why));
    assert_string_equal(d.password, "twilio-auth-token");
    assert_string_equal(d.auth_token, "twilio-auth-token");
    assert_string_equal(d.warning, "");
    assert_int_equal(d.options.count, 0);
    assert_false(d.sms_fallback);
    assert_false(d.truncate);
    destination_release(&d);
    assert_null(d.json);
    assert_null(d.password);
}

/* BASE with one field (of `auth` if the name begins with "auth.") set, or removed if NULL. */
static char *variant(const char *field, const char *value)
{
    json_t *config = json_loads(BASE, 0, NULL);
    bool in_auth = strncmp(field, "auth.", 5) == 0;
    json_t *object = in_auth ? json_object_get(config, "auth") : config;
    const char *name = in_auth ? field + 5 : field;
    char *text;

    assert_non_null(config);
    if (value == NULL) {
        json_object_del(object, name);
    } else {
        json_t *parsed = json_loads(value, JSON_DECODE_ANY, NULL);

        check_true(value, parsed != NULL);
        json_object_set_new(object, name, parsed);
    }
    text = json_dumps(config, 0);
    json_decref(config);
    return text;
}

struct field_case {
    const char *field, *value; /* NULL: the field is missing */
    const char *expected;      /* a part of the message behind the field's name */
};

static void check_refused(const struct field_case *c, const char *field)
{
    char *config = variant(c->field, c->value);
    char why[300] = "", name[400];
    struct destination d;

    snprintf(name, sizeof name, "%s = %.300s", c->field, c->value != NULL ? c->value : "(none)");
    check_false(name, destination_parse("TWILIO_MMS", config, &d, why, sizeof why));
    check_contains(name, why, field);
    check_contains(name, why, c->expected);
    check_contains(name, why, ", expected ");
    check_lacks(name, why, "hush");
    check_lacks(name, why, "\n");
    destination_release(&d);
    free(config);
}

#define SENDER "an E.164 number, a short code or an alphanumeric sender ID"
#define MG     "MG and 32 letters or digits"
#define MEDIA  "an array of 1 to 10 templates"
#define PACE   "(the pace is locked)"
#define X32    "0123456789abcdefABCDEF0123456789"

static void refuses_each_broken_field(void **state)
{
    static const struct field_case cases[] = {
        {"from", NULL, SENDER},
        {"from", "null", SENDER},
        {"from", "7", SENDER},
        {"from", "\"\"", SENDER},
        {"from", "\"+1 682 424 6644\"", SENDER},
        {"from", "\"a sender too long\"", SENDER},
        {"from", "\"{{payload.from}}\"", SENDER},
        {"messaging_service_sid", "7", MG},
        {"messaging_service_sid", "\"\"", MG},
        {"messaging_service_sid", "\"MG123\"", MG},
        {"messaging_service_sid", "\"mg" X32 "\"", MG},
        {"messaging_service_sid", "\"AC" X32 "\"", MG},
        {"messaging_service_sid", "\"MG" X32 "0\"", MG},
        {"messaging_service_sid", "\"MG0123456789abcdefABCDEF012345678/\"", MG},
        {"messaging_service_sid", "\" MG0123456789abcdefABCDEF012345678\"", MG},
        {"to", NULL, "missing"},
        {"to", "null", "missing"},
        {"to", "37120000000", "not a string"},
        {"to", "\"\"", "empty"},
        {"to", "\"{{payload.to\"", "without '}}'"},
        {"to", "\"{{ }}\"", "an empty token"},
        {"body_template", NULL, "missing"},
        {"body_template", "null", "missing"},
        {"body_template", "[\"a\"]", "not a string"},
        {"body_template", "\"\"", "empty"},
        {"body_template", "\"{{a b}}\"", "a blank"},
        {"body_overflow", "\"cut\"", "\"fail\" or \"truncate\""},
        {"body_overflow", "\"\"", "\"fail\" or \"truncate\""},
        {"body_overflow", "true", "\"fail\" or \"truncate\""},
        {"media_urls", NULL, MEDIA},
        {"media_urls", "null", MEDIA},
        {"media_urls", "[]", MEDIA},
        {"media_urls", "\"https://demo.twilio.com/owl.png\"", MEDIA},
        {"media_urls", "{}", MEDIA},
        {"media_urls", "[\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\"]",
         MEDIA},
        {"auth_type", "\"BASIC\"", "TWILIO_AUTH_TOKEN"},
        {"auth_type", "\"\"", "TWILIO_AUTH_TOKEN"},
        {"auth_type", "1", "TWILIO_AUTH_TOKEN"},
        {"auth", NULL, "account_sid and auth_token"},
        {"auth", "null", "account_sid and auth_token"},
        {"auth", "\"hush\"", "account_sid and auth_token"},
        {"auth", "[]", "account_sid and auth_token"},
        {"auth.account_sid", NULL, "AC and 32 letters or digits"},
        {"auth.account_sid", "null", "missing"},
        {"auth.account_sid", "7", "not valid"},
        {"auth.account_sid", "\"\"", "AC and 32"},
        {"auth.account_sid", "\"ACshort\"", "AC and 32"},
        {"auth.account_sid", "\"SK" X32 "\"", "AC and 32"},
        {"auth.account_sid", "\"AC" X32 "\\n\"", "AC and 32"},
        {"auth.account_sid", "\"AC../../0123456789abcdef0123456789\"", "AC and 32"},
        {"auth.auth_token", NULL, "missing"},
        {"auth.auth_token", "null", "missing"},
        {"auth.auth_token", "\"\"", "not valid"},
        {"auth.auth_token", "7", "not valid"},
        {"auth.auth_token", "\"hush \"", "not valid"},
        {"auth.auth_token", "\" hush\"", "not valid"},
        {"auth.auth_token", "\"hush\\n\"", "not valid"},
        {"auth.auth_token", "\"hu\\u0007sh hush\"", "not valid"},
        {"auth.auth_token", "\"env:hush\"", "not valid, expected env: and the name"},
        {"auth.auth_token", "\"env:PGPASSWORD\"", "not valid, expected env: and the name"},
        {"auth.auth_token", "\"file:hush\"", "not valid, expected file: and an absolute path"},
        {"auth.auth_token", "\"sealed:hush\"", "not valid, expected what 'mms-worker secret seal'"},
        {"rate_limit", "2", PACE},
        {"rate_limit", "0", PACE},
        {"rate_limit", "1.5", PACE},
        {"rate_limit", "\"1\"", PACE},
        {"rate_limit", "true", PACE},
        {"rate_limit_period", "\"minute\"", PACE},
        {"rate_limit_period", "\"\"", PACE},
        {"rate_limit_period", "1", PACE},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        check_refused(&cases[i], cases[i].field);
}

static void names_the_element_of_media_urls(void **state)
{
    static const struct field_case cases[] = {
        {"media_urls", "[7]", "media_urls[0]"},
        {"media_urls", "[\"a\",null]", "media_urls[1]"},
        {"media_urls", "[\"a\",\"b\",\"\"]", "media_urls[2]"},
        {"media_urls", "[\"a\",\"{{b\"]", "media_urls[1]: has '{{' without '}}'"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        check_refused(&cases[i], "config.media_urls");
}

struct key_case {
    const char *sid, *secret, *field;
};

static void check_api_keys(const struct key_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char config[600], why[300] = "";
        struct destination d;

        snprintf(config, sizeof config, "%.*s,\"api_key_sid\":%s,\"api_key_secret\":%s}}",
                 (int)strlen(BASE) - 2, BASE, cases[i].sid, cases[i].secret);
        check_false(config, destination_parse("TWILIO_MMS", config, &d, why, sizeof why));
        check_contains(config, why, cases[i].field);
        check_contains(config, why, ", expected ");
        check_lacks(config, why, "hush");
        destination_release(&d);
    }
}

static void refuses_broken_api_keys(void **state)
{
    static const struct key_case cases[] = {
        {"\"AC" X32 "\"", "\"" KEY_SECRET "\"", "config.auth.api_key_sid: not valid"},
        {"\"SK1\"", "\"" KEY_SECRET "\"", "config.auth.api_key_sid: not valid"},
        {"null", "\"" KEY_SECRET "\"", "config.auth.api_key_sid: missing"},
        {"\"SK" X32 "\"", "null", "config.auth.api_key_secret: missing"},
        {"\"SK" X32 "\"", "\"\"", "config.auth.api_key_secret: not valid"},
        {"\"SK" X32 "\"", "\"hush secret\"", "config.auth.api_key_secret: not valid"},
        {"\"SK" X32 "\"", "\"file:/hush/../x\"",
         "config.auth.api_key_secret: not valid, expected "
         "file: and an absolute path"},
    };

    (void)state;
    check_api_keys(cases, COUNT(cases));
}

static void names_api_keys_that_are_no_strings(void **state)
{
    static const struct key_case cases[] = {
        {"7", "\"" KEY_SECRET "\"", "config.auth.api_key_sid: not a string"},
        {"\"SK" X32 "\"", "[\"hush\"]", "config.auth.api_key_secret: not a string"},
    };

    (void)state;
    check_api_keys(cases, COUNT(cases));
}

static void takes_each_variant(void **state)
{
    static const struct field_case cases[] = {
        {"from", "\"12345\"", NULL},
        {"from", "\"Acme\"", NULL},
        {"messaging_service_sid", "\"MG" X32 "\"", NULL},
        {"to", "\"+37120000000\"", NULL},
        {"to", "\"+{{ payload.country }}{{n}}\"", NULL},
        {"body_overflow", "\"fail\"", NULL},
        {"body_overflow", "\"truncate\"", NULL},
        {"body_overflow", "null", NULL},
        {"media_urls", "[\"{{media_urls}}\"]", NULL},
        {"media_urls", "[\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\"]", NULL},
        {"auth_type", NULL, NULL},
        {"auth_type", "null", NULL},
        {"auth.api_key_sid", "null", NULL},
        {"auth.api_key_secret", "null", NULL},
        {"rate_limit", NULL, NULL},
        {"rate_limit", "null", NULL},
        {"rate_limit", "1", NULL},
        {"rate_limit", "1.0", NULL},
        {"rate_limit_period", "null", NULL},
        {"rate_limit_period", "\"second\"", NULL},
        {"status_callback", "null", NULL},
        {"sms_fallback", "null", NULL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *config = variant(cases[i].field, cases[i].value);
        char why[300] = "";
        struct destination d;

        destination_parse("TWILIO_MMS", config, &d, why, sizeof why);
        check_string(config, why, "");
        check_int(config, d.truncate,
                  cases[i].value != NULL && strcmp(cases[i].value, "\"truncate\"") == 0);
        destination_release(&d);
        free(config);
    }
}

static void a_service_stands_in_for_the_sender(void **state)
{
    static const char config[] = "{\"messaging_service_sid\":\"" SID(
        "MG") "\",\"to\":\"+37120000000\","
              "\"body_template\":\"x\",\"media_urls\":[\"https://a.example/\"],\"from\":null,"
              "\"auth\":{\"account_sid\":\"" SID(
                  "AC") "\",\"auth_token\":\"" TOKEN "\","
                        "\"api_key_sid\":\"" SID("SK") "\",\"api_key_secret\":\"" KEY_SECRET "\"}}";
    struct destination d;
    char why[300] = "";

    (void)state;
    check_true(why, destination_parse("TWILIO_MMS", config, &d, why, sizeof why));
    assert_null(d.from);
    assert_string_equal(d.messaging_service_sid, SID("MG"));
    /* The API key signs, the account stays in the address. */
    assert_string_equal(d.account_sid, SID("AC"));
    assert_string_equal(d.user, SID("SK"));
    check_true(why, destination_reveal(&d, NULL, why, sizeof why));
    assert_string_equal(d.password, KEY_SECRET);
    /* Callbacks are signed with the token all the same. */
    assert_string_equal(d.auth_token, TOKEN);
    destination_release(&d);
}

/* Optional parameters of Twilio's: never left out in silence. */
static void an_option_is_sent(void **state)
{
    static const struct {
        const char *field, *value, *name, *sent;
    } cases[] = {
        {"status_callback", "\"https://a.example/cb\"", "StatusCallback", "https://a.example/cb"},
        {"application_sid", "\"" SID("AP") "\"", "ApplicationSid", SID("AP")},
        {"max_price", "0.5", "MaxPrice", "0.5"},
        {"provide_feedback", "true", "ProvideFeedback", "true"},
        {"validity_period", "60", "ValidityPeriod", "60"},
        {"smart_encoded", "true", "SmartEncoded", "true"},
        {"shorten_urls", "false", "ShortenUrls", "false"},
        {"content_retention", "\"discard\"", "ContentRetention", "discard"},
        {"address_retention", "\"obfuscate\"", "AddressRetention", "obfuscate"},
        {"send_as_mms", "true", "SendAsMms", "true"},
        {"risk_check", "\"enable\"", "RiskCheck", "enable"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *config = variant(cases[i].field, cases[i].value);
        char why[300] = "";
        struct destination d;

        check_true(why, destination_parse("TWILIO_MMS", config, &d, why, sizeof why));
        check_int(cases[i].field, d.options.count, 1);
        check_string(cases[i].field, d.options.list[0].name, cases[i].name);
        check_string(cases[i].field, d.options.list[0].value, cases[i].sent);
        destination_release(&d);
        check_int(cases[i].field, d.options.count, 0);
        free(config);
    }
}

static void refuses_broken_options(void **state)
{
    static const struct field_case cases[] = {
        {"status_callback", "\"https://my_host.example/\"", "underscore"},
        {"validity_period", "0", "not valid, expected a whole number of seconds from 1 to 36000"},
        {"shorten_urls", "true", "messaging_service_sid"},
        {"sms_fallback", "\"true\"", "not a boolean, expected true or false"},
        {"sms_fallback", "1", "true or false"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        check_refused(&cases[i], cases[i].field);
}

static void falls_back_if_it_is_told_to(void **state)
{
    static const struct {
        const char *value;
        bool expected;
    } cases[] = {{NULL, false}, {"null", false}, {"false", false}, {"true", true}};

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *config = variant("sms_fallback", cases[i].value);
        char why[300] = "";
        struct destination d;

        check_true(why, destination_parse("TWILIO_MMS", config, &d, why, sizeof why));
        check_int(config, d.sms_fallback, cases[i].expected);
        destination_release(&d);
        free(config);
    }
}

#define ALPHANUMERIC "config.from: Twilio sends no MMS from an alphanumeric sender ID"

static void warns_on_one_line(void **state)
{
    static const struct {
        const char *field, *value, *expected;
    } cases[] = {
        {"from", "\"+16824246644\"", ""},
        {"from", "\"12345\"", ""},
        {"from", "\"Acme\"", ALPHANUMERIC},
        {"from", "\"+1a\"", ALPHANUMERIC},
        {"max_price", "0.5",
         "config.max_price: obsolete, without effect at Twilio since 2024-06-03"},
        {"validity_period", "60", ""},
        {"validity_period", "5", "config.validity_period: Twilio recommends more than 5 seconds"},
        {"status_callback", "\"https://a.example/?hush\"", ""},
        {"status_callback", "\"https://10.0.0.1/?hush\"",
         "config.status_callback: the URL has a private, loopback or link-local host, Twilio can't "
         "reach that"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *config = variant(cases[i].field, cases[i].value);
        char why[300] = "";
        struct destination d;

        check_true(why, destination_parse("TWILIO_MMS", config, &d, why, sizeof why));
        check_string(config, d.warning, cases[i].expected);
        destination_release(&d);
        free(config);
    }
}

static void all_warnings_fit(void **state)
{
    static const char more[] = "{\"from\":\"Acme\",\"max_price\":1,\"validity_period\":1,"
                               "\"status_callback\":\"http://a-name/\","
                               "\"application_sid\":\"" SID("AP") "\"}";
    json_t *json = json_loads(BASE, 0, NULL);
    char *config, why[300] = "";
    struct destination d;

    (void)state;
    assert_int_equal(json_object_update_new(json, json_loads(more, 0, NULL)), 0);
    config = json_dumps(json, 0);
    check_true(why, destination_parse("TWILIO_MMS", config, &d, why, sizeof why));
    check_contains("first", d.warning, ALPHANUMERIC "; config.status_callback: ");
    check_contains("last", d.warning, "Twilio recommends more than 5 seconds");
    assert_true(strlen(d.warning) < sizeof d.warning - 1);
    destination_release(&d);
    json_decref(json);
    free(config);
}

/* Both together are one sender of the service's. */
static void takes_each_kind_of_sender(void **state)
{
    static const char *const senders[] = {"+16824246644", "12345", "Acme", NULL};

    (void)state;
    for (size_t i = 0; i < 2 * COUNT(senders); i++) {
        const char *from = senders[i / 2], *service = i % 2 == 0 ? NULL : SID("MG");
        json_t *json = json_loads(BASE, 0, NULL);
        char *config, why[300] = "";
        struct destination d;

        json_object_set_new(json, "from", from != NULL ? json_string(from) : json_null());
        json_object_set_new(json, "messaging_service_sid",
                            service != NULL ? json_string(service) : json_null());
        config = json_dumps(json, 0);
        check_int(config, destination_parse("TWILIO_MMS", config, &d, why, sizeof why),
                  from != NULL || service != NULL);
        check_string(config, d.from, from);
        check_string(config, d.messaging_service_sid, service);
        destination_release(&d);
        json_decref(json);
        free(config);
    }
}

static void refuses_unknown_fields(void **state)
{
    static const struct {
        const char *field;
        const char *shown;
    } cases[] = {
        {"form", "config.form: no such field"},
        {"From", "config.From: no such field"},
        {"media_url", "config.media_url: no such field"},
        {"auth_token", "config.auth_token: no such field"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *config = variant(cases[i].field, "\"hush\"");
        struct destination d;
        char why[300];

        check_false(cases[i].field, destination_parse("TWILIO_MMS", config, &d, why, sizeof why));
        check_contains(cases[i].field, why, cases[i].shown);
        check_lacks(cases[i].field, why, "hush");
        destination_release(&d);
        free(config);
    }
}

/* What is shown of a name that strangers chose stays one line of valid UTF-8. */
static void unknown_names_stay_one_line(void **state)
{
    static const char *const units[] = {"\n", "x\x7f", "x", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};

    (void)state;
    for (size_t i = 0; i < COUNT(units); i++) {
        char *name = check_repeat(units[i], 100), *config = variant(name, "1");
        struct destination d;
        char why[300];

        check_false(name, destination_parse("TWILIO_MMS", config, &d, why, sizeof why));
        check_true(name, utf8_valid(why, strlen(why)));
        check_false(name, utf8_has_control(why));
        destination_release(&d);
        check_false(name, destination_parse(name, config, &d, why, sizeof why));
        check_true(name, utf8_valid(why, strlen(why)));
        check_false(name, utf8_has_control(why));
        destination_release(&d);
        free(config);
        free(name);
    }
}

static void refuses_other_rows(void **state)
{
    static const struct {
        const char *type, *config, *why;
    } cases[] = {
        {"TWILIO_SMS", BASE, "type: 'TWILIO_SMS'"},
        {"twilio_mms", BASE, "expected TWILIO_MMS"},
        {"", BASE, "type: "},
        {NULL, BASE, "type: "},
        {"TWILIO_MMS", "", "config: not an object"},
        {"TWILIO_MMS", "null", "config: not an object"},
        {"TWILIO_MMS", "[]", "config: not an object"},
        {"TWILIO_MMS", "{\"validity_period\":99999999999999999999}",
         "config: a number is out of range"},
        {"TWILIO_MMS", "\"hush\"", "config: not an object"},
        {"TWILIO_MMS", "{\"auth\":{\"auth_token\":\"hush\"}", "config: not an object"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct destination d;
        char why[300];

        check_false(cases[i].why,
                    destination_parse(cases[i].type, cases[i].config, &d, why, sizeof why));
        check_contains(cases[i].config, why, cases[i].why);
        check_lacks(cases[i].config, why, "hush");
        destination_release(&d);
    }
}

static void bounds_the_token(void **state)
{
    (void)state;
    for (size_t length = 254; length <= 257; length++) {
        char *token = check_repeat("t", length), value[300], why[300];
        struct destination d;
        char *config;

        snprintf(value, sizeof value, "\"%s\"", token);
        config = variant("auth.auth_token", value);
        check_int(token, destination_parse("TWILIO_MMS", config, &d, why, sizeof why),
                  length <= 255);
        destination_release(&d);
        free(config);
        free(token);
    }
}

/* It parses anywhere; what it leads to is there or not. */
static void reveals_both_or_neither(void **state)
{
    static const struct {
        const char *token, *secret; /* in the environment; NULL: not set */
        const char *why;            /* NULL: it works */
        bool warns;                 /* of a short one */
    } cases[] = {
        {"hush-first", "hush-second", NULL, false},
        {"hush-1", "hush-second", NULL, true},
        {"hush-first", "hush-2", NULL, true},
        {"hush-1", "hush-2", NULL, true},
        {NULL, "hush-2", "config.auth.auth_token: env:UNIT_A: not set, expected ", false},
        {"hush-1", NULL, "config.auth.api_key_secret: env:UNIT_B: not set, expected ", false},
        {"hush 1", "hush-2", "config.auth.auth_token: env:UNIT_A: what is there is not valid",
         false},
    };
    char *base = variant("auth.auth_token", "\"env:UNIT_A\"");
    char *config = mem_printf("%.*s,\"api_key_sid\":\"" SID("SK") "\",\"api_key_secret\":"
                                                                  "\"env:UNIT_B\"}}",
                              (int)strlen(base) - 2, base);

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct destination d;
        char why[512] = "";

        unsetenv("UNIT_A");
        unsetenv("UNIT_B");
        if (cases[i].token != NULL)
            setenv("UNIT_A", cases[i].token, 1);
        if (cases[i].secret != NULL)
            setenv("UNIT_B", cases[i].secret, 1);
        check_true(why, destination_parse("TWILIO_MMS", config, &d, why, sizeof why));
        check_int(why, destination_reveal(&d, NULL, why, sizeof why), cases[i].why == NULL);
        check_contains("why", why, cases[i].why != NULL ? cases[i].why : "");
        check_lacks("why", why, "hush");
        check_string("warning", d.warning,
                     cases[i].warns ? "config.auth: a secret of less than 8 characters is none of "
                                      "Twilio's, and is not masked in what it answers"
                                    : "");
        check_string(why, d.auth_text, "env:UNIT_A");
        if (cases[i].why == NULL) {
            check_string("token", d.auth_token, cases[i].token);
            check_string("secret", d.password, cases[i].secret);
        } else {
            check_string(why, d.auth_token, NULL);
            check_string(why, d.password, NULL);
        }
        destination_release(&d);
    }
    free(base);
    free(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_the_example),
        cmocka_unit_test(refuses_each_broken_field),
        cmocka_unit_test(names_the_element_of_media_urls),
        cmocka_unit_test(refuses_broken_api_keys),
        cmocka_unit_test(names_api_keys_that_are_no_strings),
        cmocka_unit_test(takes_each_variant),
        cmocka_unit_test(a_service_stands_in_for_the_sender),
        cmocka_unit_test(an_option_is_sent),
        cmocka_unit_test(refuses_broken_options),
        cmocka_unit_test(falls_back_if_it_is_told_to),
        cmocka_unit_test(warns_on_one_line),
        cmocka_unit_test(all_warnings_fit),
        cmocka_unit_test(takes_each_kind_of_sender),
        cmocka_unit_test(refuses_unknown_fields),
        cmocka_unit_test(reveals_both_or_neither),
        cmocka_unit_test(unknown_names_stay_one_line),
        cmocka_unit_test(refuses_other_rows),
        cmocka_unit_test(bounds_the_token),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
