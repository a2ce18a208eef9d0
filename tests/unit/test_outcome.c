#include "check.h"

#include "check_advice.h"

#include "common/clock.h"
#include "common/utf8.h"
#include "worker/outcome.h"

#define ACCEPTED OUTCOME_ACCEPTED
#define RETRY    OUTCOME_RETRY
#define FAILED   OUTCOME_FAILED
#define UNKNOWN  OUTCOME_UNKNOWN
#define MESSAGE  SCOPE_MESSAGE
#define DEST     SCOPE_DESTINATION
#define ACCOUNT  SCOPE_ACCOUNT
#define WORKER   SCOPE_WORKER

#define MM   "MM0123456789abcdefABCDEF0123456789"
#define SM   "SM0123456789abcdefABCDEF0123456789"
#define NOW  INT64_C(1795333709) /* Sun, 22 Nov 2026 07:48:29 GMT */
#define HTML "<html><head><title>504 Gateway Time-out</title></head></html>"

static void judge(enum http_result result, int status, const char *body, const char *error,
                  struct verdict *verdict)
{
    struct http_response response = {
        .result = result,
        .status = status,
        .error = error,
        .body = body,
        .body_length = strlen(body),
    };

    outcome_judge(&response, NOW, verdict);
}

/* ---- answers with a code ---- */

static const struct {
    int status, code;
    enum outcome outcome;
    enum scope scope;
    const char *reason;
} codes[] = {
    {403, 10001, RETRY, ACCOUNT, "ACCOUNT_INACTIVE"},
    {401, 20003, RETRY, ACCOUNT, "AUTHENTICATION_FAILED"},
    {403, 20005, RETRY, ACCOUNT, "ACCOUNT_INACTIVE"},
    {403, 20006, RETRY, ACCOUNT, "ACCESS_DENIED"},
    {403, 20008, RETRY, DEST, "TEST_CREDENTIALS"},
    {403, 20403, RETRY, ACCOUNT, "ACCOUNT_CLOSED"},
    {404, 20404, RETRY, DEST, "ACCOUNT_NOT_FOUND"},
    {426, 20426, RETRY, DEST, "UPGRADE_REQUIRED"},
    {403, 30002, RETRY, ACCOUNT, "ACCOUNT_SUSPENDED"},
    {400, 30037, RETRY, ACCOUNT, "MESSAGING_DISABLED"},
    {429, 30454, RETRY, ACCOUNT, "DAILY_LIMIT"},
    {429, 63038, RETRY, ACCOUNT, "DAILY_LIMIT"},
    {403, 70051, RETRY, ACCOUNT, "API_KEY_RESTRICTED"},
    {403, 90010, RETRY, ACCOUNT, "ACCOUNT_INACTIVE"},
    {400, 21212, RETRY, DEST, "SENDER_INVALID"},
    {400, 21408, RETRY, DEST, "REGION_NOT_ENABLED"},
    {400, 21601, RETRY, DEST, "SENDER_NOT_CAPABLE"},
    {400, 21603, RETRY, DEST, "SENDER_MISSING"},
    {400, 21606, RETRY, DEST, "SENDER_NOT_CAPABLE"},
    {400, 21607, RETRY, DEST, "SENDER_NOT_TRIAL_NUMBER"},
    {400, 21609, RETRY, DEST, "STATUS_CALLBACK_INVALID"},
    {429, 21611, RETRY, DEST, "SENDER_QUEUE_FULL"},
    {400, 21616, RETRY, DEST, "SENDER_AMBIGUOUS"},
    {400, 21621, RETRY, DEST, "SENDER_NOT_CAPABLE"},
    {400, 21622, RETRY, DEST, "MMS_NOT_ENABLED"},
    {400, 21624, RETRY, DEST, "VALIDITY_PERIOD_INVALID"},
    {400, 21659, RETRY, DEST, "SENDER_INVALID"},
    {400, 21660, RETRY, DEST, "SENDER_NOT_OWNED"},
    {400, 21661, RETRY, DEST, "SENDER_NOT_CAPABLE"},
    {404, 21701, RETRY, DEST, "MESSAGING_SERVICE_NOT_FOUND"},
    {400, 21702, RETRY, DEST, "MESSAGING_SERVICE_UNAVAILABLE"},
    {400, 21704, RETRY, DEST, "MESSAGING_SERVICE_EMPTY"},
    {400, 21705, RETRY, DEST, "MESSAGING_SERVICE_INVALID"},
    {422, 20422, FAILED, MESSAGE, "PARAMETER_INVALID"},
    {400, 21211, FAILED, MESSAGE, "RECIPIENT_INVALID"},
    {400, 21214, FAILED, MESSAGE, "RECIPIENT_UNREACHABLE"},
    {400, 21217, FAILED, MESSAGE, "RECIPIENT_INVALID"},
    {400, 21265, FAILED, MESSAGE, "RECIPIENT_IS_SHORT_CODE"},
    {400, 21266, FAILED, MESSAGE, "RECIPIENT_IS_SENDER"},
    {400, 21602, FAILED, MESSAGE, "BODY_REQUIRED"},
    {400, 21604, FAILED, MESSAGE, "RECIPIENT_MISSING"},
    {400, 21608, FAILED, MESSAGE, "RECIPIENT_NOT_VERIFIED"},
    {400, 21610, FAILED, MESSAGE, "RECIPIENT_OPTED_OUT"},
    {400, 21612, FAILED, MESSAGE, "RECIPIENT_UNREACHABLE"},
    {400, 21614, FAILED, MESSAGE, "RECIPIENT_NOT_MOBILE"},
    {400, 21617, FAILED, MESSAGE, "BODY_TOO_LONG"},
    {400, 21618, FAILED, MESSAGE, "BODY_REFUSED"},
    {400, 21619, FAILED, MESSAGE, "CONTENT_REQUIRED"},
    {400, 21620, FAILED, MESSAGE, "MEDIA_URL_INVALID"},
    {400, 21623, FAILED, MESSAGE, "MEDIA_URLS_COUNT"},
    {400, 21635, FAILED, MESSAGE, "RECIPIENT_IS_LANDLINE"},
    {400, 21703, FAILED, MESSAGE, "MESSAGING_SERVICE_NOT_CAPABLE"},
    {429, 20429, RETRY, ACCOUNT, "TOO_MANY_REQUESTS"},
    {429, 63017, RETRY, ACCOUNT, "TOO_MANY_REQUESTS"},
    {429, 63018, RETRY, ACCOUNT, "TOO_MANY_REQUESTS"},
    {500, 20500, UNKNOWN, MESSAGE, "SERVER_ERROR"},
    {503, 20503, UNKNOWN, MESSAGE, "SERVER_ERROR"},
    {500, 20504, UNKNOWN, MESSAGE, "SERVER_ERROR"},
    /* Codes that a message usually gets later, should a create ever be answered with them. */
    {400, 11200, FAILED, MESSAGE, "FETCH_FAILED"},
    {400, 11210, FAILED, MESSAGE, "FETCH_FAILED"},
    {400, 11220, FAILED, MESSAGE, "FETCH_FAILED"},
    {400, 11751, FAILED, MESSAGE, "MEDIA_TOO_LARGE"},
    {400, 12300, FAILED, MESSAGE, "MEDIA_TYPE_INVALID"},
    {400, 14107, RETRY, MESSAGE, "PAIR_RATE_LIMIT"},
    {400, 30001, RETRY, DEST, "SENDER_QUEUE_FULL"},
    {400, 30003, FAILED, MESSAGE, "HANDSET_UNREACHABLE"},
    {400, 30004, FAILED, MESSAGE, "MESSAGE_BLOCKED"},
    {400, 30005, FAILED, MESSAGE, "HANDSET_UNKNOWN"},
    {400, 30006, FAILED, MESSAGE, "CARRIER_UNREACHABLE"},
    {400, 30007, FAILED, MESSAGE, "MESSAGE_FILTERED"},
    {400, 30008, UNKNOWN, MESSAGE, "DELIVERY_ERROR"},
    {400, 30010, FAILED, MESSAGE, "PRICE_TOO_HIGH"},
    {400, 30011, FAILED, MESSAGE, "MMS_NOT_SUPPORTED"},
    {400, 30017, RETRY, MESSAGE, "CARRIER_CONGESTED"},
    {400, 30019, FAILED, MESSAGE, "MEDIA_TOO_LARGE"},
    {400, 30022, RETRY, DEST, "CARRIER_RATE_LIMIT"},
    {400, 30023, RETRY, DEST, "CARRIER_DAILY_LIMIT"},
    {400, 30024, RETRY, DEST, "SENDER_NOT_PROVISIONED"},
    {400, 30027, RETRY, DEST, "CARRIER_DAILY_LIMIT"},
    {400, 30029, RETRY, DEST, "CONTENT_RETENTION_INVALID"},
    {400, 30030, RETRY, DEST, "ADDRESS_RETENTION_INVALID"},
    {400, 30032, RETRY, DEST, "SENDER_NOT_VERIFIED"},
    {400, 30033, RETRY, DEST, "CAMPAIGN_SUSPENDED"},
    {400, 30034, RETRY, DEST, "SENDER_NOT_REGISTERED"},
    {400, 30035, RETRY, DEST, "SENDER_NOT_READY"},
    {400, 30036, FAILED, MESSAGE, "VALIDITY_EXPIRED"},
    {400, 30410, UNKNOWN, MESSAGE, "PROVIDER_TIMEOUT"},
    {400, 30450, FAILED, MESSAGE, "FRAUD_BLOCKED"},
    {400, 30453, FAILED, MESSAGE, "FRAUD_BLOCKED"},
    {400, 30485, FAILED, MESSAGE, "FRAUD_BLOCKED"},
    {400, 30500, UNKNOWN, MESSAGE, "SERVER_ERROR"},
    {400, 30610, RETRY, MESSAGE, "QUIET_HOURS"},
    {400, 30615, RETRY, MESSAGE, "QUIET_HOURS"},
    {400, 63019, FAILED, MESSAGE, "MEDIA_FETCH_FAILED"},
    {400, 63021, FAILED, MESSAGE, "MEDIA_INVALID"},
    {409, 90009, UNKNOWN, MESSAGE, "MESSAGE_SID_CONFLICT"},
};

static void judge_code(int status, int code, struct verdict *verdict)
{
    char body[160];

    snprintf(body, sizeof body,
             "{\"code\": %d, \"message\": \"It is so.\", \"more_info\": \"…\", \"status\": %d}",
             code, status);
    judge(HTTP_ANSWERED, status, body, NULL, verdict);
}

static bool is_busy_code(int code)
{
    return code == 20429 || code == 63017 || code == 63018;
}

static void knows_twilio_codes(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(codes); i++) {
        struct verdict v;
        char name[32];

        snprintf(name, sizeof name, "code %d", codes[i].code);
        judge_code(codes[i].status, codes[i].code, &v);
        check_int(name, v.outcome, codes[i].outcome);
        check_int(name, v.scope, codes[i].scope);
        check_string(name, v.reason, codes[i].reason);
        check_int(name, v.error_code, codes[i].code);
        check_int(name, v.http_status, codes[i].status);
        check_string(name, v.error_message, "It is so.");
        check_string(name, v.message_sid, "");
        check_string(name, v.advice, verdicts_advice_of_code(codes[i].code));
        check_int(name, v.busy, is_busy_code(codes[i].code));
        check_int(name, v.no_mms, verdicts_of_code(codes[i].code)->no_mms);
    }
}

/* The code decides, whatever 4xx it comes with; a 5xx stays unknown, whatever code it has. */
static void the_code_decides_before_the_status(void **state)
{
    static const int client[] = {400, 401, 403, 404, 408, 422, 429, 451};
    static const int server[] = {500, 502, 503, 504, 599};

    (void)state;
    for (size_t i = 0; i < COUNT(codes); i++) {
        struct verdict v;
        char name[48];

        for (size_t k = 0; k < COUNT(client); k++) {
            snprintf(name, sizeof name, "code %d with status %d", codes[i].code, client[k]);
            judge_code(client[k], codes[i].code, &v);
            check_int(name, v.outcome, codes[i].outcome);
            check_int(name, v.scope, codes[i].scope);
            check_string(name, v.reason, codes[i].reason);
            check_int(name, v.busy, is_busy_code(codes[i].code));
        }
        for (size_t k = 0; k < COUNT(server); k++) {
            snprintf(name, sizeof name, "code %d with status %d", codes[i].code, server[k]);
            judge_code(server[k], codes[i].code, &v);
            check_int(name, v.outcome, UNKNOWN);
            check_int(name, v.scope, MESSAGE);
            check_int(name, v.error_code, codes[i].code);
            check_advice(name, v.advice);
            check_false(name, v.busy || v.no_mms);
        }
    }
}

static void the_status_decides_without_a_known_code(void **state)
{
    static const struct {
        int status;
        enum outcome outcome;
        enum scope scope;
        const char *reason;
    } cases[] = {
        {301, RETRY, DEST, "REDIRECTED"},
        {302, RETRY, DEST, "REDIRECTED"},
        {307, RETRY, DEST, "REDIRECTED"},
        {400, FAILED, MESSAGE, "REQUEST_REFUSED"},
        {401, RETRY, ACCOUNT, "AUTHENTICATION_FAILED"},
        {402, FAILED, MESSAGE, "REQUEST_REFUSED"},
        {403, RETRY, ACCOUNT, "AUTHENTICATION_FAILED"},
        {404, RETRY, DEST, "ACCOUNT_NOT_FOUND"},
        {405, FAILED, MESSAGE, "REQUEST_REFUSED"},
        {407, RETRY, DEST, "ACCESS_DENIED"},
        {408, UNKNOWN, MESSAGE, "TIMEOUT"},
        {413, FAILED, MESSAGE, "REQUEST_REFUSED"},
        {422, FAILED, MESSAGE, "REQUEST_REFUSED"},
        {425, RETRY, MESSAGE, "TOO_MANY_REQUESTS"},
        {429, RETRY, ACCOUNT, "TOO_MANY_REQUESTS"},
        {451, RETRY, DEST, "ACCESS_DENIED"},
        {499, FAILED, MESSAGE, "REQUEST_REFUSED"},
        {500, UNKNOWN, MESSAGE, "SERVER_ERROR"},
        {502, UNKNOWN, MESSAGE, "SERVER_ERROR"},
        {503, UNKNOWN, MESSAGE, "SERVER_ERROR"},
        {504, UNKNOWN, MESSAGE, "SERVER_ERROR"},
        {599, UNKNOWN, MESSAGE, "SERVER_ERROR"},
    };
    static const struct {
        const char *body;
        int code;
    } bodies[] = {
        {HTML, 0},
        {"", 0},
        {"Unavailable For Legal Reasons", 0},
        {"{\"code\": 29999, \"message\": \"new\"}", 29999},
        {"{\"code\": \"20429\"}", 0},
        {"{\"code\": null}", 0},
        {"{\"code\": 20429.0}", 0},
        {"{\"code\": -20429}", 0},
        {"{\"code\": 4294987725}", 0}, /* 2^32 + 20429 */
        {"{\"error\": {\"code\": 20429}}", 0},
        {"[20429]", 0},
        {"20429", 0},
        {"null", 0},
        {"{\"code\": 20429", 0},
        {"\xff\xfe", 0},
        {"<TwilioResponse><RestException><Code>20429</Code></RestException></TwilioResponse>", 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        for (size_t k = 0; k < COUNT(bodies); k++) {
            struct verdict v;
            char name[160];

            snprintf(name, sizeof name, "%d %s", cases[i].status, bodies[k].body);
            judge(HTTP_ANSWERED, cases[i].status, bodies[k].body, NULL, &v);
            check_int(name, v.outcome, cases[i].outcome);
            check_int(name, v.scope, cases[i].scope);
            check_string(name, v.reason, cases[i].reason);
            check_int(name, v.error_code, bodies[k].code);
            check_true(name, v.error_message[0] != '\0');
            check_string(name, v.message_sid, "");
            check_string(name, v.advice, verdicts_advice(cases[i].reason));
            check_int(name, v.busy, cases[i].status == 429);
            check_false(name, v.no_mms);
        }
    }
}

/* ---- success ---- */

static void success_needs_a_sid(void **state)
{
    static const struct {
        int status;
        const char *body, *sid, *message_status; /* sid NULL: unknown */
    } cases[] = {
        {201, "{\"sid\":\"" MM "\",\"status\":\"queued\",\"error_code\":null}", MM, "queued"},
        {200, "{\"sid\":\"" SM "\",\"status\":\"accepted\"}", SM, "accepted"},
        {202, "{\"sid\":\"" MM "\"}", MM, ""},
        {201, "{\"sid\":\"" MM "\",\"status\":null}", MM, ""},
        {201, "{\"sid\":\"" MM "\",\"status\":201}", MM, ""},
        {201, "{\"sid\":\"" MM "\",\"status\":\"a new one\"}", MM, "a new one"},
        {201, "{\"sid\":\"" MM "\",\"status\":\"que\\nued\"}", MM, ""},
        {201, "{\"sid\":\"" MM "\",\"status\":\"0123456789012345678901234567890\"}", MM,
         "0123456789012345678901234567890"},
        {201, "{\"sid\":\"" MM "\",\"status\":\"01234567890123456789012345678901\"}", MM, ""},
        {201, "{\"sid\":\"" MM "\",\"code\":20429,\"status\":\"queued\"}", MM, "queued"},
        {201, "", NULL, ""},
        {201, "{}", NULL, ""},
        {201, "{\"sid\":null}", NULL, ""},
        {201, "{\"sid\":7}", NULL, ""},
        {201, "{\"sid\":\"\"}", NULL, ""},
        {201, "{\"sid\":\"MM0123456789abcdef0123456789abcde\"}", NULL, ""},
        {201, "{\"sid\":\"MM0123456789abcdef0123456789abcdef0\"}", NULL, ""},
        {201, "{\"sid\":\"MM0123456789abcdef0123456789abcdeg\"}", NULL, ""},
        {201, "{\"sid\":\"AC0123456789abcdef0123456789abcdef\"}", NULL, ""},
        {201, "{\"sid\":\"mm0123456789abcdef0123456789abcdef\"}", NULL, ""},
        {201, "{\"sid\":\"" MM "\",\"status\":\"que", NULL, ""},
        {201, "{\"sid\":\"" MM "\"} x", NULL, ""},
        {201, "[{\"sid\":\"" MM "\"}]", NULL, ""},
        {200, HTML, NULL, ""},
        {204, "", NULL, ""},
        {201, "<TwilioResponse><Message><Sid>" MM "</Sid></Message></TwilioResponse>", NULL, ""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct verdict v;

        judge(HTTP_ANSWERED, cases[i].status, cases[i].body, NULL, &v);
        check_int(cases[i].body, v.outcome, cases[i].sid != NULL ? ACCEPTED : UNKNOWN);
        check_string(cases[i].body, v.reason, cases[i].sid != NULL ? NULL : "ANSWER_UNREADABLE");
        check_int(cases[i].body, v.scope, MESSAGE);
        check_string(cases[i].body, v.message_sid, cases[i].sid != NULL ? cases[i].sid : "");
        check_string(cases[i].body, v.message_status, cases[i].message_status);
        check_int(cases[i].body, v.http_status, cases[i].status);
        check_int(cases[i].body, v.error_code, 0);
        if (cases[i].sid != NULL)
            check_string(cases[i].body, v.advice, NULL);
        else
            check_advice(cases[i].body, v.advice);
    }
}

/* ---- no complete answer ---- */

static void judges_what_was_not_answered(void **state)
{
    static const struct {
        enum http_result result;
        int status;
        const char *body, *error;
        enum outcome outcome;
        enum scope scope;
        const char *reason;
    } cases[] = {
        {HTTP_NOT_SENT, 0, "", "Could not connect", RETRY, WORKER, "NOT_CONNECTED"},
        {HTTP_NOT_SENT, 0, "", "Connection timed out", RETRY, WORKER, "NOT_CONNECTED"},
        {HTTP_BROKEN, 0, "", "Server returned nothing", UNKNOWN, MESSAGE, "CONNECTION_LOST"},
        {HTTP_BROKEN, 0, "", "Operation timed out after 35000 ms", UNKNOWN, MESSAGE, "TIMEOUT"},
        {HTTP_BROKEN, 201, "{\"sid\":\"" MM "\"", "transfer closed", UNKNOWN, MESSAGE,
         "ANSWER_CUT"},
        {HTTP_BROKEN, 201, "{\"sid\":\"" MM "\"}", "transfer closed", UNKNOWN, MESSAGE,
         "ANSWER_CUT"},
        {HTTP_BROKEN, 200, "", "Operation timed out", UNKNOWN, MESSAGE, "ANSWER_CUT"},
        {HTTP_BROKEN, 400, "{\"code\":21211,", "transfer closed", FAILED, MESSAGE,
         "REQUEST_REFUSED"},
        {HTTP_BROKEN, 401, "", "transfer closed", RETRY, ACCOUNT, "AUTHENTICATION_FAILED"},
        {HTTP_BROKEN, 408, "", "transfer closed", UNKNOWN, MESSAGE, "TIMEOUT"},
        {HTTP_BROKEN, 429, "", "transfer closed", RETRY, ACCOUNT, "TOO_MANY_REQUESTS"},
        {HTTP_BROKEN, 500, "{\"code\":20429}", "transfer closed", UNKNOWN, MESSAGE,
         "CONNECTION_LOST"},
        {HTTP_BROKEN, 504, HTML, "Operation timed out", UNKNOWN, MESSAGE, "TIMEOUT"},
        {HTTP_BROKEN, 100, "", "transfer closed", UNKNOWN, MESSAGE, "CONNECTION_LOST"},
        {HTTP_ANSWERED, 0, "", NULL, UNKNOWN, MESSAGE, "ANSWER_UNREADABLE"},
        {HTTP_ANSWERED, 101, "", NULL, UNKNOWN, MESSAGE, "ANSWER_UNREADABLE"},
        {HTTP_ANSWERED, 999, "", NULL, UNKNOWN, MESSAGE, "SERVER_ERROR"},
        {HTTP_ANSWERED, 4, "{\"code\":21611}", NULL, UNKNOWN, MESSAGE, "ANSWER_UNREADABLE"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct verdict v;
        char name[120];

        snprintf(name, sizeof name, "result %d, status %d, %s", (int)cases[i].result,
                 cases[i].status, cases[i].error != NULL ? cases[i].error : "");
        judge(cases[i].result, cases[i].status, cases[i].body, cases[i].error, &v);
        check_int(name, v.outcome, cases[i].outcome);
        check_int(name, v.scope, cases[i].scope);
        check_string(name, v.reason, cases[i].reason);
        check_int(name, v.http_status, cases[i].status);
        check_true(name, v.error_message[0] != '\0');
        check_string(name, v.message_sid, "");
        check_string(name, v.advice, verdicts_advice(cases[i].reason));
        check_int(name, v.busy, cases[i].status == 429);
    }
}

static void judges_a_certificate(void **state)
{
    const struct http_response response = {.result = HTTP_NOT_SENT,
                                           .distrusted = true,
                                           .error = "certificate has expired",
                                           .body = ""};
    struct verdict v;

    (void)state;
    outcome_judge(&response, 0, &v);
    assert_int_equal(v.outcome, RETRY);
    assert_int_equal(v.scope, WORKER);
    assert_string_equal(v.reason, "CERTIFICATE_REFUSED");
    assert_string_equal(v.error_message, "certificate has expired");
}

/* ---- Retry-After ---- */

static void reads_retry_after(void **state)
{
    static const struct {
        const char *value; /* NULL: no such header */
        int64_t seconds;
    } cases[] = {
        {NULL, 0},
        {"0", 0},
        {"1", 1},
        {"120", 120},
        {"3600", 3600},
        {"3601", 3600},
        {"86400", 3600},
        {"99999999999999999999999", 3600},
        {"-1", 0},
        {"-99999999999999999999999", 0},
        {"", 0},
        {"soon", 0},
        {"1.5", 0},
        {"120s", 0},
        {"Sun, 22 Nov 2026 07:50:29 GMT", 120},
        {"Sunday, 22-Nov-26 07:50:29 GMT", 120},
        {"Sun Nov 22 07:50:29 2026", 120},
        {"Sun, 22 Nov 2026 07:48:29 GMT", 0},
        {"Sun, 22 Nov 2026 07:48:28 GMT", 0},
        {"Wed, 21 Oct 2015 07:28:00 GMT", 0},
        {"Mon, 23 Nov 2026 07:48:29 GMT", 3600},
        {"Fri, 31 Dec 9999 23:59:59 GMT", 3600},
        {"Sun, 99 Nov 2026 07:50:29 GMT", 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct http_response response = {
            .result = HTTP_ANSWERED, .status = 429, .body = "", .header_count = 1};
        struct verdict v;

        response.headers[0].name = cases[i].value != NULL ? "retry-after" : "content-type";
        snprintf(response.headers[0].value, sizeof response.headers[0].value, "%s",
                 cases[i].value != NULL ? cases[i].value : "120");
        outcome_judge(&response, NOW, &v);
        check_int(response.headers[0].value, v.retry_after, cases[i].seconds * CLOCK_SECOND);
        check_int(response.headers[0].value, v.outcome, RETRY);
    }
}

static void retry_after_holds_with_every_answer(void **state)
{
    static const int statuses[] = {201, 301, 400, 401, 429, 503};

    (void)state;
    for (size_t i = 0; i < COUNT(statuses); i++) {
        struct http_response response = {.result = HTTP_ANSWERED,
                                         .status = statuses[i],
                                         .body = "",
                                         .header_count = 1,
                                         .headers = {{"retry-after", "7"}}};
        struct verdict v;

        outcome_judge(&response, NOW, &v);
        check_int("status", v.retry_after, 7 * CLOCK_SECOND);
    }
}

/* ---- text ---- */

static void messages_are_cut_to_valid_utf8(void **state)
{
    static const char *const units[] = {"x", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};

    (void)state;
    for (size_t i = 0; i < COUNT(units); i++) {
        char *message = check_repeat(units[i], 700), body[3000];
        size_t length = strlen(units[i]);
        struct verdict v;

        snprintf(body, sizeof body, "{\"code\":21211,\"message\":\"%s\"}", message);
        judge(HTTP_ANSWERED, 400, body, NULL, &v);
        check_int(units[i], (int64_t)strlen(v.error_message), (int64_t)(511 / length * length));
        check_true(units[i], utf8_valid(v.error_message, strlen(v.error_message)));
        free(message);
    }
}

static void text_of_the_client_is_cleaned(void **state)
{
    struct verdict v;

    (void)state;
    judge(HTTP_NOT_SENT, 0, "", "no route to caf\xe9", &v);
    assert_string_equal(v.error_message, "no route to caf\xef\xbf\xbd");
}

static void refuses_without_a_request(void **state)
{
    struct verdict v;

    (void)state;
    outcome_refuse(&v, RETRY, DEST, "CONFIG_INVALID", "config.to: missing");
    assert_int_equal(v.outcome, RETRY);
    assert_int_equal(v.scope, DEST);
    assert_string_equal(v.reason, "CONFIG_INVALID");
    assert_string_equal(v.error_message, "config.to: missing");
    assert_int_equal(v.http_status, 0);
    assert_int_equal(v.error_code, 0);
    assert_int_equal(v.retry_after, 0);
    assert_string_equal(v.message_sid, "");
    assert_string_equal(v.advice, verdicts_advice("CONFIG_INVALID"));
    assert_false(v.busy);
    outcome_refuse(&v, FAILED, MESSAGE, "RECIPIENT_OPTED_OUT", "opted out");
    assert_string_equal(v.advice, verdicts_advice("RECIPIENT_OPTED_OUT"));
}

/* The table of codes here and the one of the worker have the same ones. */
static void every_code_is_tried(void **state)
{
    size_t count = 0;

    (void)state;
    for (int code = 1; code < 100000; code++)
        count += verdicts_of_code(code) != NULL;
    assert_int_equal(count, COUNT(codes));
    for (size_t i = 0; i < COUNT(codes); i++) {
        for (size_t k = 0; k < i; k++)
            assert_int_not_equal(codes[i].code, codes[k].code);
    }
}

static void names_are_those_of_the_tables(void **state)
{
    (void)state;
    assert_string_equal(outcome_name(OUTCOME_ACCEPTED), "accepted");
    assert_string_equal(outcome_name(OUTCOME_RETRY), "retry");
    assert_string_equal(outcome_name(OUTCOME_FAILED), "failed");
    assert_string_equal(outcome_name(OUTCOME_UNKNOWN), "unknown");
    assert_string_equal(outcome_name(OUTCOME_EXPIRED), "expired");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_twilio_codes),
        cmocka_unit_test(every_code_is_tried),
        cmocka_unit_test(the_code_decides_before_the_status),
        cmocka_unit_test(the_status_decides_without_a_known_code),
        cmocka_unit_test(success_needs_a_sid),
        cmocka_unit_test(judges_what_was_not_answered),
        cmocka_unit_test(judges_a_certificate),
        cmocka_unit_test(reads_retry_after),
        cmocka_unit_test(retry_after_holds_with_every_answer),
        cmocka_unit_test(messages_are_cut_to_valid_utf8),
        cmocka_unit_test(text_of_the_client_is_cleaned),
        cmocka_unit_test(refuses_without_a_request),
        cmocka_unit_test(names_are_those_of_the_tables),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
