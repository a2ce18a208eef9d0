#include "check.h"

#include "common/buf.h"
#include "worker/options.h"

#define X32     "0123456789abcdefABCDEF0123456789"
#define AP      "AP" X32
#define SERVICE "\"messaging_service_sid\":\"MG" X32 "\""

static bool parse(const char *config, struct options *options, char *why, size_t why_size)
{
    json_t *json = json_loads(config, 0, NULL);
    bool good;

    check_true(config, json != NULL);
    good = options_parse(json, options, why, why_size);
    json_decref(json);
    return good;
}

/* As "Name=value Name=value"; owned by the caller. */
static char *as_text(const struct options *options)
{
    struct buf out;

    buf_init(&out, 8192);
    for (int i = 0; i < options->count; i++)
        buf_printf(&out, "%s%s=%s", i > 0 ? " " : "", options->list[i].name,
                   options->list[i].value);
    return buf_detach(&out);
}

static void check_taken(const char *config, const char *expected)
{
    struct options options;
    char why[300] = "", *text;

    check_true(config, parse(config, &options, why, sizeof why));
    check_string(config, why, "");
    text = as_text(&options);
    check_string(config, text, expected);
    free(text);
    options_release(&options);
    check_int(config, options.count, 0);
}

static void each_goes_under_its_own_name(void **state)
{
    static const struct {
        const char *config, *expected;
    } cases[] = {
        {"{}", ""},
        {"{\"status_callback\":\"https://a.example/cb?x=1\"}",
         "StatusCallback=https://a.example/cb?x=1"},
        {"{\"status_callback\":\"http://127.0.0.1:8080/cb\"}",
         "StatusCallback=http://127.0.0.1:8080/cb"},
        {"{\"status_callback\":\"https://a.example/under_score\"}",
         "StatusCallback=https://a.example/under_score"},
        {"{\"application_sid\":\"" AP "\"}", "ApplicationSid=" AP},
        {"{\"max_price\":0}", "MaxPrice=0"},
        {"{\"max_price\":-0.0}", "MaxPrice=0"},
        {"{\"max_price\":2}", "MaxPrice=2"},
        {"{\"max_price\":2.0}", "MaxPrice=2"},
        {"{\"max_price\":0.5}", "MaxPrice=0.5"},
        {"{\"max_price\":0.1}", "MaxPrice=0.1"},
        {"{\"max_price\":0.0075}", "MaxPrice=0.0075"},
        {"{\"max_price\":0.30000000000000004}", "MaxPrice=0.30000000000000004"},
        {"{\"provide_feedback\":true}", "ProvideFeedback=true"},
        {"{\"provide_feedback\":false}", "ProvideFeedback=false"},
        {"{\"validity_period\":1}", "ValidityPeriod=1"},
        {"{\"validity_period\":60}", "ValidityPeriod=60"},
        {"{\"validity_period\":60.0}", "ValidityPeriod=60"},
        {"{\"validity_period\":36000}", "ValidityPeriod=36000"},
        {"{\"smart_encoded\":true}", "SmartEncoded=true"},
        {"{\"smart_encoded\":false}", "SmartEncoded=false"},
        {"{\"shorten_urls\":false}", "ShortenUrls=false"},
        {"{\"shorten_urls\":true," SERVICE "}", "ShortenUrls=true"},
        {"{\"content_retention\":\"retain\"}", "ContentRetention=retain"},
        {"{\"content_retention\":\"discard\"}", "ContentRetention=discard"},
        {"{\"address_retention\":\"retain\"}", "AddressRetention=retain"},
        {"{\"address_retention\":\"obfuscate\"}", "AddressRetention=obfuscate"},
        {"{\"send_as_mms\":true}", "SendAsMms=true"},
        {"{\"send_as_mms\":false}", "SendAsMms=false"},
        {"{\"risk_check\":\"enable\"}", "RiskCheck=enable"},
        {"{\"risk_check\":\"disable\"}", "RiskCheck=disable"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        check_taken(cases[i].config, cases[i].expected);
}

/* However the config has them. */
static void all_of_them_are_in_one_order(void **state)
{
    (void)state;
    check_taken("{\"risk_check\":\"enable\",\"send_as_mms\":true,\"address_retention\":\"retain\","
                "\"content_retention\":\"retain\",\"shorten_urls\":true,\"smart_encoded\":true,"
                "\"validity_period\":60,\"provide_feedback\":true,\"max_price\":1,"
                "\"application_sid\":\"" AP "\",\"status_callback\":\"https://a.example/\"," SERVICE
                "}",
                "StatusCallback=https://a.example/ ApplicationSid=" AP
                " MaxPrice=1 ProvideFeedback=true ValidityPeriod=60 SmartEncoded=true "
                "ShortenUrls=true ContentRetention=retain AddressRetention=retain SendAsMms=true "
                "RiskCheck=enable");
}

static const char *const fields[] = {
    "status_callback",   "application_sid", "max_price",    "provide_feedback",
    "validity_period",   "smart_encoded",   "shorten_urls", "content_retention",
    "address_retention", "send_as_mms",     "risk_check",
};

static void null_is_absent(void **state)
{
    (void)state;
    assert_int_equal(COUNT(fields), OPTIONS_MAX);
    for (size_t i = 0; i < COUNT(fields); i++) {
        char config[100];

        snprintf(config, sizeof config, "{\"%s\":null}", fields[i]);
        check_taken(config, "");
        check_true(fields[i], options_has_field(fields[i]));
    }
    assert_false(options_has_field("from"));
    assert_false(options_has_field("StatusCallback"));
}

static void check_refused(const char *field, const char *value, const char *fault,
                          const char *expected)
{
    char config[400], said[400], why[300] = "";
    struct options options;

    snprintf(config, sizeof config, "{\"%s\":%s}", field, value);
    snprintf(said, sizeof said, "config.%s: %s, expected %s", field, fault, expected);
    check_false(config, parse(config, &options, why, sizeof why));
    check_string(config, why, said);
    options_release(&options);
}

#define URL     "an http(s) URL without an underscore in its host"
#define SID     "AP and 32 letters or digits"
#define PRICE   "a number that is not negative"
#define SECONDS "a whole number of seconds from 1 to 36000"
#define CONTENT "\"retain\" or \"discard\""
#define ADDRESS "\"retain\" or \"obfuscate\""
#define RISK    "\"enable\" or \"disable\""

static void each_is_judged(void **state)
{
    static const struct {
        const char *field, *value, *fault, *expected;
    } cases[] = {
        {"status_callback", "7", "not a string", URL},
        {"status_callback", "\"\"", "the URL is not a URL", URL},
        {"status_callback", "\"soon\"", "the URL is not a URL", URL},
        {"status_callback", "\"ftp://a.example/\"", "the URL is not http or https", URL},
        {"status_callback", "\"https://my_host.example/\"", "the URL has an underscore in its host",
         URL},
        {"status_callback", "\"https://u:p@a.example/\"", "the URL has a user name in it", URL},
        {"status_callback", "\"https://a.example/ \"",
         "the URL has a blank or a control character in it", URL},
        {"application_sid", "7", "not a string", SID},
        {"application_sid", "\"\"", "not valid", SID},
        {"application_sid", "\"AP1\"", "not valid", SID},
        {"application_sid", "\"AC" X32 "\"", "not valid", SID},
        {"application_sid", "\"ap" X32 "\"", "not valid", SID},
        {"application_sid", "\"" AP "0\"", "not valid", SID},
        {"max_price", "\"0.5\"", "not a number", PRICE},
        {"max_price", "true", "not a number", PRICE},
        {"max_price", "-1", "not valid", PRICE},
        {"max_price", "-0.01", "not valid", PRICE},
        {"provide_feedback", "\"true\"", "not a boolean", "true or false"},
        {"provide_feedback", "1", "not a boolean", "true or false"},
        {"validity_period", "\"60\"", "not a number", SECONDS},
        {"validity_period", "true", "not a number", SECONDS},
        {"validity_period", "0", "not valid", SECONDS},
        {"validity_period", "-1", "not valid", SECONDS},
        {"validity_period", "0.5", "not valid", SECONDS},
        {"validity_period", "60.5", "not valid", SECONDS},
        {"validity_period", "36001", "not valid", SECONDS},
        {"validity_period", "36000.5", "not valid", SECONDS},
        {"validity_period", "9223372036854775807", "not valid", SECONDS},
        {"validity_period", "1e300", "not valid", SECONDS},
        {"smart_encoded", "\"true\"", "not a boolean", "true or false"},
        {"smart_encoded", "0", "not a boolean", "true or false"},
        {"shorten_urls", "\"yes\"", "not a boolean", "true or false"},
        {"shorten_urls", "[]", "not a boolean", "true or false"},
        {"content_retention", "true", "not a string", CONTENT},
        {"content_retention", "\"\"", "not valid", CONTENT},
        {"content_retention", "\"obfuscate\"", "not valid", CONTENT},
        {"content_retention", "\"Retain\"", "not valid", CONTENT},
        {"address_retention", "{}", "not a string", ADDRESS},
        {"address_retention", "\"discard\"", "not valid", ADDRESS},
        {"send_as_mms", "\"false\"", "not a boolean", "true or false"},
        {"send_as_mms", "1.0", "not a boolean", "true or false"},
        {"risk_check", "true", "not a string", RISK},
        {"risk_check", "\"on\"", "not valid", RISK},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        check_refused(cases[i].field, cases[i].value, cases[i].fault, cases[i].expected);
}

static void short_links_need_a_service(void **state)
{
    struct options options;
    char why[300] = "";

    (void)state;
    assert_false(
        parse("{\"shorten_urls\":true,\"messaging_service_sid\":null}", &options, why, sizeof why));
    assert_string_equal(why, "config.shorten_urls: true without a service, expected "
                             "messaging_service_sid beside it");
    options_release(&options);
}

static void bounds_the_callback(void **state)
{
    static const char head[] = "https://a.example/";

    (void)state;
    for (size_t length = 2047; length <= 2049; length++) {
        char *path = check_repeat("x", length - strlen(head)), config[2200], why[300] = "";
        struct options options;

        snprintf(config, sizeof config, "{\"status_callback\":\"%s%s\"}", head, path);
        check_int(path, parse(config, &options, why, sizeof why), length <= 2048);
        check_contains(path, why, length <= 2048 ? "" : "the URL is longer than 2048 bytes");
        options_release(&options);
        free(path);
    }
}

static void a_value_is_found_by_its_name(void **state)
{
    struct options options;
    char why[300];

    (void)state;
    assert_true(parse("{\"validity_period\":60,\"content_retention\":\"discard\"}", &options, why,
                      sizeof why));
    assert_string_equal(options_value(&options, "ValidityPeriod"), "60");
    assert_string_equal(options_value(&options, "ContentRetention"), "discard");
    assert_null(options_value(&options, "AddressRetention"));
    assert_null(options_value(&options, "validity_period"));
    options_release(&options);
}

static void warns_of_what_is_hardly_meant(void **state)
{
    static const struct {
        const char *config, *expected;
    } cases[] = {
        {"{}", NULL},
        {"{\"status_callback\":\"https://a.example/cb\"}", NULL},
        {"{\"application_sid\":\"" AP "\"}", NULL},
        {"{\"validity_period\":6}", NULL},
        {"{\"validity_period\":5}",
         "; config.validity_period: Twilio recommends more than 5 seconds"},
        {"{\"validity_period\":1}",
         "; config.validity_period: Twilio recommends more than 5 seconds"},
        {"{\"max_price\":1}",
         "; config.max_price: obsolete, without effect at Twilio since 2024-06-03"},
        {"{\"status_callback\":\"https://a.example/cb\",\"application_sid\":\"" AP "\"}",
         "; config.application_sid: Twilio ignores it beside status_callback"},
        {"{\"status_callback\":\"http://10.0.0.1/cb\"}",
         "; config.status_callback: the URL has a private, loopback or link-local host, Twilio "
         "can't reach that"},
        {"{\"status_callback\":\"http://10.0.0.1/cb\",\"application_sid\":\"" AP
         "\",\"max_price\":0,\"validity_period\":2}",
         "; config.status_callback: the URL has a private, loopback or link-local host, Twilio "
         "can't reach that; config.application_sid: Twilio ignores it beside status_callback; "
         "config.max_price: obsolete, without effect at Twilio since 2024-06-03; "
         "config.validity_period: Twilio recommends more than 5 seconds"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct options options;
        struct buf out;
        char why[300];

        buf_init(&out, 1000);
        check_true(cases[i].config, parse(cases[i].config, &options, why, sizeof why));
        options_warn(&options, &out);
        check_string(cases[i].config, out.data, cases[i].expected);
        buf_release(&out);
        options_release(&options);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_goes_under_its_own_name),
        cmocka_unit_test(all_of_them_are_in_one_order),
        cmocka_unit_test(null_is_absent),
        cmocka_unit_test(each_is_judged),
        cmocka_unit_test(short_links_need_a_service),
        cmocka_unit_test(bounds_the_callback),
        cmocka_unit_test(a_value_is_found_by_its_name),
        cmocka_unit_test(warns_of_what_is_hardly_meant),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
