#include "check.h"

#include "common/json.h"
#include "worker/callback_form.h"

#define ACCOUNT "AccountSid=AC0123456789abcdef0123456789abcdef"
#define MESSAGE "MessageSid=MM0123456789abcdef0123456789ABCDEF"
#define WHOLE   ACCOUNT "&" MESSAGE "&MessageStatus=delivered"

static void parse(const char *text, struct form *ret_form)
{
    check_true(text, form_parse(text, strlen(text), 100, ret_form));
}

static struct status *read_status(const char *text)
{
    struct attempt_id id = {.destination_id = strdup("des_1"), .delivery_id = 7, .attempt = 2};
    struct status *status;
    struct form form;

    parse(text, &form);
    assert_null(callback_form_fault(&form));
    status = callback_form_status(&form, &id);
    assert_null(id.destination_id);
    form_release(&form);
    return status;
}

static void faults(void **state)
{
    static const struct {
        const char *text;
        const char *fault; /* a part of it; NULL: none */
    } cases[] = {
        {WHOLE, NULL},
        {ACCOUNT "&MessageSid=SM0123456789abcdef0123456789abcdef&MessageStatus=x", NULL},
        {WHOLE "&MessageStatusX=1&New=2", NULL},
        {ACCOUNT "&" MESSAGE "&MessageStatus=1234567890123456789012345678901", NULL},
        {ACCOUNT "&" MESSAGE "&MessageStatus=12345678901234567890123456789012", "MessageStatus"},
        {ACCOUNT "&" MESSAGE "&MessageStatus=", "MessageStatus"},
        {ACCOUNT "&" MESSAGE "&MessageStatus=a%0a", "MessageStatus"},
        {ACCOUNT "&" MESSAGE "&MessageStatus=gr%C3%BCn", "MessageStatus"},
        {ACCOUNT "&" MESSAGE, "MessageStatus"},
        {WHOLE "&MessageStatus=delivered", "MessageStatus"},
        {WHOLE "&" MESSAGE, "MessageSid"},
        {WHOLE "&" ACCOUNT, "AccountSid"},
        {ACCOUNT "&MessageStatus=sent", "MessageSid"},
        {ACCOUNT "&MessageSid=MM0123456789abcdef0123456789abcde&MessageStatus=sent", "MessageSid"},
        {ACCOUNT "&MessageSid=MM0123456789abcdef0123456789abcdef0&MessageStatus=sent",
         "MessageSid"},
        {ACCOUNT "&MessageSid=MM0123456789abcdef0123456789abcdeg&MessageStatus=sent", "MessageSid"},
        {ACCOUNT "&MessageSid=CA0123456789abcdef0123456789abcdef&MessageStatus=sent", "MessageSid"},
        {MESSAGE "&MessageStatus=sent", "AccountSid"},
        {"AccountSid=AC0123456789abcdef0123456789abcde'&" MESSAGE "&MessageStatus=sent",
         "AccountSid"},
        {"", "AccountSid"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *fault;
        struct form form;

        parse(cases[i].text, &form);
        fault = callback_form_fault(&form);
        check_int(cases[i].text, fault != NULL, cases[i].fault != NULL);
        if (fault != NULL)
            check_contains(cases[i].text, fault, cases[i].fault);
        form_release(&form);
    }
}

static void fills_a_status(void **state)
{
    struct status *s = read_status(
        WHOLE
        "&ErrorCode=30007&ErrorMessage=Carrier+%22violation%22&From=%2B15550001111&To=%2B1555777&"
        "MessagingServiceSid=MG1&RawDlrDoneDate=2611221200");

    (void)state;
    assert_string_equal(s->destination_id, "des_1");
    assert_int_equal(s->delivery_id, 7);
    assert_int_equal(s->attempt, 2);
    assert_int_equal(s->source, STATUS_CALLBACK);
    assert_string_equal(s->account_sid, "AC0123456789abcdef0123456789abcdef");
    assert_string_equal(s->message_sid, "MM0123456789abcdef0123456789ABCDEF");
    assert_string_equal(s->name, "delivered");
    assert_int_equal(s->error_code, 30007);
    assert_string_equal(s->error_message, "Carrier \"violation\"");
    assert_string_equal(s->from, "+15550001111");
    assert_string_equal(s->to, "+1555777");
    assert_string_equal(s->messaging_service_sid, "MG1");
    assert_string_equal(
        s->parameters,
        "{\"AccountSid\":\"AC0123456789abcdef0123456789abcdef\","
        "\"MessageSid\":\"MM0123456789abcdef0123456789ABCDEF\",\"MessageStatus\":\"delivered\","
        "\"ErrorCode\":\"30007\",\"ErrorMessage\":\"Carrier \\\"violation\\\"\","
        "\"From\":\"+15550001111\",\"To\":\"+1555777\",\"MessagingServiceSid\":\"MG1\","
        "\"RawDlrDoneDate\":\"2611221200\"}");
    assert_null(s->next);
    status_free(s);
}

static void what_is_not_said_is_null(void **state)
{
    struct status *s = read_status(WHOLE "&From=&To=1&To=2");

    (void)state;
    assert_int_equal(s->error_code, 0);
    assert_null(s->error_message);
    assert_null(s->from);
    assert_null(s->to);
    assert_null(s->messaging_service_sid);
    status_free(s);
}

static void error_codes(void **state)
{
    static const struct {
        const char *text;
        int code;
    } cases[] = {{"30003", 30003},
                 {"1", 1},
                 {"999999", 999999},
                 {"0", 0},
                 {"1000000", 0},
                 {"", 0},
                 {"-30003", 0},
                 {"+30003", 0},
                 {"30003x", 0},
                 {"%2030003", 0},
                 {"3.1", 0},
                 {"030003", 30003},
                 {"99999999999999999999", 0}};

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[512];
        struct status *s;

        snprintf(text, sizeof text, WHOLE "&ErrorCode=%s", cases[i].text);
        s = read_status(text);
        check_int(cases[i].text, s->error_code, cases[i].code);
        status_free(s);
    }
}

static json_t *check_parameters(const struct status *status)
{
    json_t *parameters = NULL;

    check_int(status->parameters,
              json_parse(status->parameters, strlen(status->parameters), &parameters, NULL, 0),
              JSON_OK);
    assert_true(strlen(status->parameters) <= 8192);
    return parameters;
}

static void strange_bytes_become_text(void **state)
{
    struct status *s = read_status(WHOLE "&%ff=1&%fe=2&n=%ff%01%0a&ErrorMessage=%c3%28&n=again");
    json_t *parameters = check_parameters(s);

    (void)state;
    assert_string_equal(s->error_message, "\xef\xbf\xbd(");
    assert_string_equal(json_member_string(parameters, "\xef\xbf\xbd"), "1"); /* each name once */
    assert_string_equal(json_member_string(parameters, "n"), "\xef\xbf\xbd\x01\n");
    json_decref(parameters);
    status_free(s);
}

static void parameters_are_bounded(void **state)
{
    char *filler = check_repeat("%ff", 2000); /* 6000 bytes of U+FFFD */
    char *quotes = check_repeat("\"", 3000);
    char *text = malloc(64000);
    json_t *parameters;
    struct status *s;

    (void)state;
    snprintf(text, 64000, WHOLE "&a=%s&b=%s&c=%s&d=last", filler, filler, quotes);
    s = read_status(text);
    parameters = check_parameters(s);
    assert_non_null(json_member(parameters, "a"));
    assert_null(json_member(parameters, "b"));
    assert_null(json_member(parameters, "c"));
    assert_string_equal(json_member_string(parameters, "d"), "last");
    json_decref(parameters);
    status_free(s);
    free(text);
    free(quotes);
    free(filler);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(faults),
        cmocka_unit_test(fills_a_status),
        cmocka_unit_test(what_is_not_said_is_null),
        cmocka_unit_test(error_codes),
        cmocka_unit_test(strange_bytes_become_text),
        cmocka_unit_test(parameters_are_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
