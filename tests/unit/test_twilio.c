#include "check.h"

#include "common/json.h"
#include "common/mem.h"
#include "common/utf8.h"
#include "worker/twilio.h"

#define ACCOUNT "AC0123456789abcdef0123456789abcdef"
#define TOKEN   "f00dfeed1badcafe2deadbee3c0ffee4"

/* "ACCOUNT:TOKEN" in base64, by another program */
#define BASIC \
    "QUMwMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZjpmMDBkZmVlZDFiYWRjYWZlMmRlYWRiZWUzYzBmZmVlNA=="

static void build(struct twilio_request *request, const struct destination *changes,
                  const struct message *message)
{
    struct destination destination = *changes;

    if (destination.account_sid == NULL)
        destination.account_sid = ACCOUNT;
    if (destination.auth_token == NULL)
        destination.auth_token = TOKEN;
    if (destination.user == NULL) {
        destination.user = ACCOUNT;
        destination.password = TOKEN;
    }
    twilio_request_build("https://api.twilio.com", &destination, message, NULL, request);
}

static void make_message(struct message *message, const char *to, const char *body,
                         const char *const *urls, int count)
{
    *message = (struct message){.to = mem_strdup(to), .body = mem_strdup(body)};
    for (int i = 0; i < count; i++)
        message->media_urls[message->media_count++] = mem_strdup(urls[i]);
}

static void addresses_the_account(void **state)
{
    static const char *const urls[] = {"https://a.example/1"};
    struct destination key = {.from = "Acme", .user = "SK1", .password = "hush"};
    struct destination plain = {.from = "Acme"};
    struct twilio_request request;
    struct message message;

    (void)state;
    make_message(&message, "+37120000000", "hi", urls, 1);
    build(&request, &plain, &message);
    assert_string_equal(request.url,
                        "https://api.twilio.com/2010-04-01/Accounts/" ACCOUNT "/Messages.json");
    assert_string_equal(request.user, ACCOUNT);
    assert_string_equal(request.password, TOKEN);
    twilio_request_release(&request);
    assert_null(request.password);
    assert_null(request.form);
    build(&request, &key, &message);
    assert_string_equal(request.url,
                        "https://api.twilio.com/2010-04-01/Accounts/" ACCOUNT "/Messages.json");
    assert_string_equal(request.user, "SK1");
    assert_string_equal(request.password, "hush");
    twilio_request_release(&request);
    message_release(&message);
}

static void writes_the_form(void **state)
{
    static const struct {
        const char *name;
        struct destination destination;
        const char *body;
        const char *urls[3];
        int count;
        const char *expected;
    } cases[] = {
        {"plus, sender",
         {.from = "+16824246644"},
         "hi",
         {"https://a.example/1"},
         1,
         "To=%2B37120000000&From=%2B16824246644&Body=hi&MediaUrl=https%3A%2F%2Fa.example%2F1"},
        {"service",
         {.messaging_service_sid = "MG1"},
         "hi",
         {"https://a.example/1"},
         1,
         "To=%2B37120000000&MessagingServiceSid=MG1&Body=hi"
         "&MediaUrl=https%3A%2F%2Fa.example%2F1"},
        {"service and sender",
         {.from = "12345", .messaging_service_sid = "MG1"},
         "hi",
         {"https://a.example/1"},
         1,
         "To=%2B37120000000&From=12345&MessagingServiceSid=MG1&Body=hi"
         "&MediaUrl=https%3A%2F%2Fa.example%2F1"},
        {"MediaUrl is repeated",
         {.from = "A b"},
         "hi",
         {"https://a.example/1", "http://b.example/2", "https://a.example/1"},
         3,
         "To=%2B37120000000&From=A%20b&Body=hi&MediaUrl=https%3A%2F%2Fa.example%2F1"
         "&MediaUrl=http%3A%2F%2Fb.example%2F2&MediaUrl=https%3A%2F%2Fa.example%2F1"},
        {"reserved characters",
         {.from = "1"},
         "a&b=c+d e%20;,/?:@$!*'()#[]\"<>\\^`{|}",
         {"https://a.example/?x=1&y=%2B#z"},
         1,
         "To=%2B37120000000&From=1&Body=a%26b%3Dc%2Bd%20e%2520%3B%2C%2F%3F%3A%40%24%21%2A%27%28%29"
         "%23%5B%5D%22%3C%3E%5C%5E%60%7B%7C%7D"
         "&MediaUrl=https%3A%2F%2Fa.example%2F%3Fx%3D1%26y%3D%252B%23z"},
        {"unreserved characters",
         {.from = "1"},
         "AZaz09-._~",
         {"https://a.example/1"},
         1,
         "To=%2B37120000000&From=1&Body=AZaz09-._~&MediaUrl=https%3A%2F%2Fa.example%2F1"},
        {"other bytes",
         {.from = "1"},
         "\xe2\x82\xac\n\r\t\x01\x7f",
         {"https://a.example/1"},
         1,
         "To=%2B37120000000&From=1&Body=%E2%82%AC%0A%0D%09%01%7F"
         "&MediaUrl=https%3A%2F%2Fa.example%2F1"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct twilio_request request;
        struct message message;

        make_message(&message, "+37120000000", cases[i].body, cases[i].urls, cases[i].count);
        build(&request, &cases[i].destination, &message);
        check_string(cases[i].name, request.form, cases[i].expected);
        check_int(cases[i].name, (int64_t)request.form_length, (int64_t)strlen(cases[i].expected));
        check_lacks(cases[i].name, request.form, TOKEN);
        twilio_request_release(&request);
        message_release(&message);
    }
}

/* ---- options ---- */

/* An option's value is owned by its destination, which these tests don't have. */
#define OPTION(name, value)   \
    {                         \
        name, (char *)(value) \
    }

#define ALL_OPTIONS                                                                \
    {                                                                              \
        .list = {OPTION("StatusCallback", "https://a.example/cb?x=1&y=\xc3\xa9+"), \
                 OPTION("ApplicationSid", "AP1"),                                  \
                 OPTION("MaxPrice", "0.5"),                                        \
                 OPTION("ProvideFeedback", "true"),                                \
                 OPTION("ValidityPeriod", "60"),                                   \
                 OPTION("SmartEncoded", "false"),                                  \
                 OPTION("ShortenUrls", "true"),                                    \
                 OPTION("ContentRetention", "discard"),                            \
                 OPTION("AddressRetention", "obfuscate"),                          \
                 OPTION("SendAsMms", "true"),                                      \
                 OPTION("RiskCheck", "enable")},                                   \
        .count = OPTIONS_MAX                                                       \
    }

#define HEAD "To=%2B37120000000&From=%2B16824246644&Body=%C4%81%2B"
#define TAIL                                                                                   \
    "&StatusCallback=https%3A%2F%2Fa.example%2Fcb%3Fx%3D1%26y%3D%C3%A9%2B&ApplicationSid=AP1"  \
    "&MaxPrice=0.5&ProvideFeedback=true&ValidityPeriod=60&SmartEncoded=false&ShortenUrls=true" \
    "&ContentRetention=discard&AddressRetention=obfuscate"
#define MEDIA_PART "&MediaUrl=https%3A%2F%2Fa.example%2F1&MediaUrl=https%3A%2F%2Fa.example%2F%C3%A9"

static const struct destination with_all = {.from = "+16824246644", .options = ALL_OPTIONS};

static void make_short_message(struct message *message)
{
    static const char *const urls[] = {"https://a.example/1", "https://a.example/\xc3\xa9"};

    make_message(message, "+37120000000", "\xc4\x81+", urls, 2);
}

static void sends_every_option(void **state)
{
    struct twilio_request request;
    struct message message;

    (void)state;
    make_short_message(&message);
    build(&request, &with_all, &message);
    assert_string_equal(request.form, HEAD MEDIA_PART TAIL "&SendAsMms=true&RiskCheck=enable");
    assert_int_equal(request.form_length, strlen(request.form));
    twilio_request_release(&request);
    message_release(&message);
}

#define ADDRESS "\"url\":\"https://api.twilio.com/2010-04-01/Accounts/" ACCOUNT "/Messages.json\""
#define JSON_TAIL                                                                           \
    ",\"StatusCallback\":\"https://a.example/cb?x=***&y=***\",\"ApplicationSid\":\"AP1\","  \
    "\"MaxPrice\":\"0.5\",\"ProvideFeedback\":\"true\",\"ValidityPeriod\":\"60\","          \
    "\"SmartEncoded\":\"false\",\"ShortenUrls\":\"true\",\"ContentRetention\":\"discard\"," \
    "\"AddressRetention\":\"obfuscate\""

static void the_evidence_has_every_option(void **state)
{
    struct twilio_request request;
    struct message message;

    (void)state;
    make_short_message(&message);
    build(&request, &with_all, &message);
    assert_string_equal(
        request.evidence,
        "{\"method\":\"POST\"," ADDRESS ",\"parameters\":{\"To\":\"+37120000000\","
        "\"From\":\"+16824246644\",\"Body\":\"\xc4\x81+\",\"MediaUrl\":[\"https://a.example/1\","
        "\"https://a.example/\xc3\xa9\"]" JSON_TAIL
        ",\"SendAsMms\":\"true\",\"RiskCheck\":\"enable\"}}");
    twilio_request_release(&request);
    message_release(&message);
}

/* As SMS there are no media, and nothing asks for MMS. */
static void an_sms_has_no_media(void **state)
{
    struct twilio_request request;
    struct message message;

    (void)state;
    make_short_message(&message);
    message_to_sms(&message);
    build(&request, &with_all, &message);
    assert_string_equal(request.form, HEAD
                        "%0Ahttps%3A%2F%2Fa.example%2F1%0Ahttps%3A%2F%2Fa.example%2F%C3%A9" TAIL
                        "&RiskCheck=enable");
    assert_string_equal(request.evidence,
                        "{\"method\":\"POST\"," ADDRESS ",\"parameters\":{\"To\":\"+37120000000\","
                        "\"From\":\"+16824246644\",\"Body\":\"\xc4\x81+\\nhttps://a.example/1\\n"
                        "https://a.example/\xc3\xa9\"" JSON_TAIL ",\"RiskCheck\":\"enable\"}}");
    twilio_request_release(&request);
    message_release(&message);
}

#define OURS  "https://worker.example/status/1?a=b"
#define SHOWN "https://worker.example/status/1?a=***"

/* The row's own wish wins: with either of the two, Twilio reports there. */
static void our_callback_yields(void **state)
{
    static const struct {
        const char *name;
        struct options options;
        const char *ours, *form, *evidence; /* what stands behind the media */
    } cases[] = {
        {"nobody wants one", {.count = 0}, NULL, "", ""},
        {"ours",
         {.count = 0},
         OURS,
         "&StatusCallback=https%3A%2F%2Fworker.example%2Fstatus%2F1%3Fa%3Db",
         ",\"StatusCallback\":\"" SHOWN "\""},
        {"ours, and options",
         {.list = {OPTION("ValidityPeriod", "60")}, .count = 1},
         OURS,
         "&StatusCallback=https%3A%2F%2Fworker.example%2Fstatus%2F1%3Fa%3Db&ValidityPeriod=60",
         ",\"StatusCallback\":\"" SHOWN "\",\"ValidityPeriod\":\"60\""},
        {"the row's",
         {.list = {OPTION("StatusCallback", "http://b/")}, .count = 1},
         OURS,
         "&StatusCallback=http%3A%2F%2Fb%2F",
         ",\"StatusCallback\":\"http://b/\""},
        {"the row's application",
         {.list = {OPTION("ApplicationSid", "AP1")}, .count = 1},
         OURS,
         "&ApplicationSid=AP1",
         ",\"ApplicationSid\":\"AP1\""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct destination destination = {.from = "1",
                                          .account_sid = ACCOUNT,
                                          .auth_token = TOKEN,
                                          .user = ACCOUNT,
                                          .password = TOKEN,
                                          .options = cases[i].options};
        struct twilio_request request;
        struct message message;
        char form[300], evidence[300];

        make_short_message(&message);
        snprintf(form, sizeof form, "%s%s", MEDIA_PART, cases[i].form);
        snprintf(evidence, sizeof evidence, "\xc3\xa9\"]%s}}", cases[i].evidence);
        twilio_request_build("https://api.twilio.com", &destination, &message, cases[i].ours,
                             &request);
        check_string(cases[i].name, strstr(request.form, "&MediaUrl="), form);
        check_string(cases[i].name, strstr(request.evidence, "\xc3\xa9\"]"), evidence);
        twilio_request_release(&request);
        message_release(&message);
    }
}

static void the_largest_message_fits(void **state)
{
    char *body = check_repeat("\xf0\x9f\x98\x80", 1600), *url = check_repeat("\"", 2048);
    const char *urls[RENDER_MEDIA_MAX];
    struct destination destination = {
        .from = "1", .options = {.list = {OPTION("StatusCallback", url)}, .count = 1}};
    struct twilio_request request;
    struct message message;
    json_t *evidence = NULL;

    (void)state;
    for (int i = 0; i < RENDER_MEDIA_MAX; i++)
        urls[i] = url;
    make_message(&message, "+37120000000", body, urls, RENDER_MEDIA_MAX);
    build(&request, &destination, &message);
    assert_int_equal(request.form_length, strlen("To=%2B37120000000&From=1&Body=") + 1600 * 12 +
                                              10 * (strlen("&MediaUrl=") + 2048 * 3) +
                                              strlen("&StatusCallback=") + 2048 * 3);
    assert_int_equal(request.form_length, strlen(request.form));
    assert_int_equal(json_parse(request.evidence, strlen(request.evidence), &evidence, NULL, 0),
                     JSON_OK);
    assert_true(json_is_object(evidence));
    json_decref(evidence);
    twilio_request_release(&request);
    message_release(&message);
    free(body);
    free(url);
}

static void keeps_evidence_without_secrets(void **state)
{
    static const char *const urls[] = {"https://a.example/1", "https://a.example/\"2\""};
    static const struct {
        struct destination destination;
        const char *expected;
    } cases[] = {
        {{.from = "+16824246644"},
         "{\"method\":\"POST\",\"url\":\"https://api.twilio.com/2010-04-01/Accounts/" ACCOUNT
         "/Messages.json\",\"parameters\":{\"To\":\"+37120000000\",\"From\":\"+16824246644\","
         "\"Body\":\"hi\\n\xe2\x82\xac\",\"MediaUrl\":[\"https://a.example/1\","
         "\"https://a.example/\\\"2\\\"\"]}}"},
        {{.messaging_service_sid = "MG1"},
         "{\"method\":\"POST\",\"url\":\"https://api.twilio.com/2010-04-01/Accounts/" ACCOUNT
         "/Messages.json\",\"parameters\":{\"To\":\"+37120000000\",\"MessagingServiceSid\":\"MG1\","
         "\"Body\":\"hi\\n\xe2\x82\xac\",\"MediaUrl\":[\"https://a.example/1\","
         "\"https://a.example/\\\"2\\\"\"]}}"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct twilio_request request;
        struct message message;

        make_message(&message, "+37120000000", "hi\n\xe2\x82\xac", urls, 2);
        build(&request, &cases[i].destination, &message);
        check_string("evidence", request.evidence, cases[i].expected);
        check_lacks("evidence", request.evidence, TOKEN);
        check_lacks("evidence", request.evidence, BASIC);
        twilio_request_release(&request);
        message_release(&message);
    }
}

/* ---- secrets ---- */

/* Both kinds, whichever is sent; and what proxies are sent. */
static void knows_what_an_answer_must_not_show(void **state)
{
    static const char *const texts[] = {
        "f00dfeed1badcafe2deadbee3c0ffee4", /* the token */
        "kkkkEEEEyyyy0123",                 /* the API key's secret */
        "U0sxOmtra2tFRUVFeXl5eTAxMjM=",     /* "SK1:" and the secret, in base64 */
        "tunnel@hush",                      /* the proxy's password */
        "bWU6dHVubmVsQGh1c2g=",             /* "me:" and the password, in base64 */
    };
    const struct destination destination = {
        .account_sid = ACCOUNT, .auth_token = TOKEN, .user = "SK1", .password = "kkkkEEEEyyyy0123"};
    struct redactor *redactor;

    (void)state;
    setenv("https_proxy", "http://me:tunnel%40hush@proxy.example:3128", 1);
    redactor = twilio_redactor(&destination);
    unsetenv("https_proxy");
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct buf out;

        buf_init(&out, 100);
        redact(redactor, texts[i], strlen(texts[i]), &out);
        out.data[strcspn(out.data, "=")] = '\0';
        check_string(texts[i], out.data, "***");
        buf_release(&out);
    }
    redactor_free(redactor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_the_account),
        cmocka_unit_test(writes_the_form),
        cmocka_unit_test(sends_every_option),
        cmocka_unit_test(the_evidence_has_every_option),
        cmocka_unit_test(an_sms_has_no_media),
        cmocka_unit_test(our_callback_yields),
        cmocka_unit_test(the_largest_message_fits),
        cmocka_unit_test(keeps_evidence_without_secrets),
        cmocka_unit_test(knows_what_an_answer_must_not_show),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
