#include "check.h"

#include "common/mem.h"
#include "worker/poll.h"

#define SID    "MM0123456789abcdefABCDEF0123456789"
#define OTHER  "MM0123456789abcdefABCDEF0123456780"
#define SECRET "the text that nobody but the recipient reads"

/* What is asked for: as the poll makes it before it has an answer. */
static struct status *make(void)
{
    struct status *status = mem_zalloc(sizeof *status);

    status->source = STATUS_POLL;
    snprintf(status->message_sid, sizeof status->message_sid, "%s", SID);
    return status;
}

static bool read_into(const char *json, struct status *status)
{
    return poll_read(json, strlen(json), status);
}

static void reads_a_message(void **state)
{
    static const char json[] =
        "{\"body\":\"" SECRET "\",\"num_segments\":\"1\",\"direction\":\"outbound-api\","
        "\"from\":\"+15550001111\",\"to\":\"+15557770000\","
        "\"date_updated\":\"Sun, 22 Nov 2026 07:48:30 +0000\",\"price\":\"-0.02000\","
        "\"error_message\":\"Unreachable destination handset\","
        "\"uri\":\"/2010-04-01/Accounts/AC1/Messages/" SID ".json\",\"account_sid\":\"AC1\","
        "\"num_media\":\"1\",\"status\":\"undelivered\",\"messaging_service_sid\":\"MG1\","
        "\"sid\":\"" SID "\",\"date_sent\":\"Sun, 22 Nov 2026 07:48:29 +0000\","
        "\"date_created\":\"Sun, 22 Nov 2026 07:48:28 +0000\",\"error_code\":30003,"
        "\"price_unit\":\"USD\",\"api_version\":\"2010-04-01\",\"subresource_uris\":{}}";
    struct status *status = make();

    (void)state;
    assert_true(read_into(json, status));
    assert_string_equal(status->name, "undelivered");
    assert_string_equal(status->message_sid, SID);
    assert_int_equal(status->error_code, 30003);
    assert_string_equal(status->error_message, "Unreachable destination handset");
    assert_string_equal(status->from, "+15550001111");
    assert_string_equal(status->to, "+15557770000");
    assert_string_equal(status->messaging_service_sid, "MG1");
    assert_int_equal(status->source, STATUS_POLL);
    assert_string_equal(
        status->parameters,
        "{\"status\":\"undelivered\",\"error_code\":30003,"
        "\"error_message\":\"Unreachable destination handset\","
        "\"date_sent\":\"Sun, 22 Nov 2026 07:48:29 +0000\","
        "\"date_updated\":\"Sun, 22 Nov 2026 07:48:30 +0000\",\"num_segments\":\"1\","
        "\"num_media\":\"1\",\"price\":\"-0.02000\",\"price_unit\":\"USD\"}");
    status_free(status);
}

static void what_is_not_said_is_null(void **state)
{
    static const char *const cases[] = {
        "{\"sid\":\"" SID "\",\"status\":\"sent\"}",
        "{\"sid\":\"" SID "\",\"status\":\"sent\",\"from\":null,\"to\":null,\"error_code\":null,"
        "\"error_message\":null,\"messaging_service_sid\":null}",
        "{\"sid\":\"" SID "\",\"status\":\"sent\",\"from\":7,\"to\":[],\"error_message\":{},"
        "\"messaging_service_sid\":true}",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct status *status = make();

        check_true(cases[i], read_into(cases[i], status));
        check_string(cases[i], status->name, "sent");
        check_int(cases[i], status->error_code, 0);
        check_string(cases[i], status->error_message, NULL);
        check_string(cases[i], status->from, NULL);
        check_string(cases[i], status->to, NULL);
        check_string(cases[i], status->messaging_service_sid, NULL);
        check_contains(cases[i], status->parameters, "\"status\":\"sent\"");
        status_free(status);
    }
}

static void refuses_what_is_not_the_messages_status(void **state)
{
    static const char *const cases[] = {
        /* no JSON, or no object */
        "",
        "<html><head><title>504 Gateway Time-out</title></head></html>",
        "<TwilioResponse><Message><Sid>" SID "</Sid><Status>sent</Status></Message>",
        "{\"sid\":\"" SID "\",\"status\":\"sent\"",
        "{\"sid\":\"" SID "\",\"status\":\"sent\"} x",
        "{\"sid\":\"" SID "\",\"status\":\"sent\",\"status\":\"failed\"}",
        "{\"sid\":\"" SID "\",\"status\":\"sent\",\"body\":\"\xff\"}",
        "{\"sid\":\"" SID "\",\"status\":\"sent\\u0000\"}",
        "[{\"sid\":\"" SID "\",\"status\":\"sent\"}]",
        "{\"messages\":[{\"sid\":\"" SID "\",\"status\":\"sent\"}]}",
        "\"" SID "\"",
        "null",
        "7",
        "{}",
        /* another message */
        "{\"status\":\"sent\"}",
        "{\"sid\":null,\"status\":\"sent\"}",
        "{\"sid\":7,\"status\":\"sent\"}",
        "{\"sid\":\"\",\"status\":\"sent\"}",
        "{\"sid\":\"" OTHER "\",\"status\":\"sent\"}",
        "{\"sid\":\"" SID "0\",\"status\":\"sent\"}",
        "{\"sid\":\"mm0123456789abcdefabcdef0123456789\",\"status\":\"sent\"}",
        "{\"SID\":\"" SID "\",\"status\":\"sent\"}",
        /* no status */
        "{\"sid\":\"" SID "\"}",
        "{\"sid\":\"" SID "\",\"status\":null}",
        "{\"sid\":\"" SID "\",\"status\":200}",
        "{\"sid\":\"" SID "\",\"status\":[\"sent\"]}",
        "{\"sid\":\"" SID "\",\"status\":{\"name\":\"sent\"}}",
        "{\"sid\":\"" SID "\",\"status\":\"\"}",
        /* one that can't be kept */
        "{\"sid\":\"" SID "\",\"status\":\"sent\\n\"}",
        "{\"sid\":\"" SID "\",\"status\":\"\\u0007\"}",
        "{\"sid\":\"" SID "\",\"status\":\"se\\u007fnt\"}",
        "{\"sid\":\"" SID "\",\"status\":\"se\\u0085nt\"}",
        "{\"sid\":\"" SID "\",\"status\":\"01234567890123456789012345678901\"}",
        /* an error */
        "{\"code\":20404,\"message\":\"not found\",\"status\":404}",
        "{\"code\":20404,\"message\":\"not found\",\"status\":404,\"sid\":\"" SID "\"}",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct status *status = make();

        check_false(cases[i], read_into(cases[i], status));
        check_string(cases[i], status->name, "");
        check_string(cases[i], status->message_sid, SID);
        check_string(cases[i], status->parameters, NULL);
        check_string(cases[i], status->error_message, NULL);
        check_string(cases[i], status->to, NULL);
        status_free(status);
    }
}

/* Only `length` bytes are the answer, whatever lies behind them. */
static void reads_no_further_than_the_answer(void **state)
{
    static const char json[] = "{\"sid\":\"" SID "\",\"status\":\"sent\"}}}}";
    struct status *status = make();

    (void)state;
    assert_false(poll_read(json, strlen(json), status));
    assert_false(poll_read(json, strlen(json) - 4, status));
    assert_false(poll_read(json, 0, status));
    assert_true(poll_read(json, strlen(json) - 3, status));
    assert_string_equal(status->name, "sent");
    status_free(status);
}

static void names_may_be_new_and_are_kept_whole(void **state)
{
    static const char *const names[] = {"teleporting", "Sent", "a new one", "zugestellt \xc3\xa4",
                                        "0123456789012345678901234567890"};

    (void)state;
    for (size_t i = 0; i < COUNT(names); i++) {
        struct status *status = make();
        char json[160];

        snprintf(json, sizeof json, "{\"sid\":\"" SID "\",\"status\":\"%s\"}", names[i]);
        check_true(names[i], read_into(json, status));
        check_string(names[i], status->name, names[i]);
        status_free(status);
    }
}

static void a_very_long_name_is_refused(void **state)
{
    char *name = check_repeat("long", 15000), *json = mem_printf("{\"sid\":\"" SID "\","
                                                                 "\"status\":\"%s\"}",
                                                                 name);
    struct status *status = make();

    (void)state;
    assert_false(read_into(json, status));
    assert_string_equal(status->name, "");
    assert_null(status->parameters);
    status_free(status);
    free(json);
    free(name);
}

static void the_error_code_is_a_number_or_none(void **state)
{
    static const struct {
        const char *json;
        int code;
    } cases[] = {
        {"30003", 30003},
        {"1", 1},
        {"999999", 999999},
        {"1000000", 0},
        {"0", 0},
        {"-30003", 0},
        {"4294997299", 0},  /* 2^32 + 30003 */
        {"-4294937293", 0}, /* -2^32 + 30003 */
        {"9223372036854775807", 0},
        {"30003.0", 0},
        {"3e4", 0},
        {"null", 0},
        {"\"30003\"", 0},
        {"\"\"", 0},
        {"true", 0},
        {"[30003]", 0},
        {"{\"code\":30003}", 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct status *status = make();
        char json[160];

        snprintf(json, sizeof json, "{\"sid\":\"" SID "\",\"status\":\"failed\",\"error_code\":%s}",
                 cases[i].json);
        check_true(cases[i].json, read_into(json, status));
        check_string(cases[i].json, status->name, "failed");
        check_int(cases[i].json, status->error_code, cases[i].code);
        status_free(status);
    }
}

/* No more than is a status's: neither what was written to the recipient, nor what it links to. */
static void the_parameters_have_nothing_of_the_message_itself(void **state)
{
    static const char *const cases[] = {
        "\"body\":\"" SECRET "\"",
        "\"body\":[\"" SECRET "\"]",
        "\"body\":{\"status\":\"" SECRET "\"}",
        "\"Body\":\"" SECRET "\"",
        "\"subresource_uris\":{\"media\":\"" SECRET "\"}",
        "\"tags\":{\"a\":\"" SECRET "\"}",
        "\"auth_token\":\"" SECRET "\"",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct status *status = make();
        char json[240];

        snprintf(json, sizeof json, "{\"sid\":\"" SID "\",\"status\":\"sent\",%s}", cases[i]);
        check_true(cases[i], read_into(json, status));
        check_string(cases[i], status->parameters, "{\"status\":\"sent\"}");
        status_free(status);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_message),
        cmocka_unit_test(what_is_not_said_is_null),
        cmocka_unit_test(refuses_what_is_not_the_messages_status),
        cmocka_unit_test(reads_no_further_than_the_answer),
        cmocka_unit_test(names_may_be_new_and_are_kept_whole),
        cmocka_unit_test(a_very_long_name_is_refused),
        cmocka_unit_test(the_error_code_is_a_number_or_none),
        cmocka_unit_test(the_parameters_have_nothing_of_the_message_itself),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
