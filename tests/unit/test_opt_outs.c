#include "check.h"

#include "check_advice.h"

#include "common/clock.h"
#include "worker/opt_outs.h"

#define SINCE (INT64_C(1795333709) * CLOCK_SECOND + 29 * CLOCK_MS) /* 2026-11-22T07:48:29.029Z */

static void who_opted_out_is_refused_without_a_request(void **state)
{
    struct verdict verdict;

    (void)state;
    memset(&verdict, 0x5a, sizeof verdict);
    opt_outs_refuse(&verdict, SINCE);
    assert_int_equal(verdict.outcome, OUTCOME_FAILED);
    assert_int_equal(verdict.scope, SCOPE_MESSAGE);
    assert_string_equal(verdict.reason, "RECIPIENT_OPTED_OUT");
    check_advice("advice", verdict.advice);
    assert_string_equal(verdict.advice, verdicts_advice("RECIPIENT_OPTED_OUT"));
    assert_non_null(strstr(verdict.advice, "mms.opt_outs"));
    assert_int_equal(verdict.http_status, 0);
    assert_int_equal(verdict.error_code, 0);
    assert_int_equal(verdict.retry_after, 0);
    assert_string_equal(verdict.message_sid, "");
    assert_string_equal(verdict.message_status, "");
    assert_false(verdict.busy || verdict.no_mms);
}

/* Since when, why, and what to do: whoever reads it has no other place to look. */
static void the_words_say_since_when(void **state)
{
    static const struct {
        int64_t since;
        const char *text;
    } cases[] = {
        {SINCE, "2026-11-22T07:48:29.029"},
        {CLOCK_SECOND, "1970-01-01T00:00:01"},
        {INT64_C(253402300799) * CLOCK_SECOND, "9999-12-31T23:59:59"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct verdict verdict;

        opt_outs_refuse(&verdict, cases[i].since);
        check_contains(cases[i].text, verdict.error_message, cases[i].text);
        check_contains(cases[i].text, verdict.error_message, "21610");
        check_contains(cases[i].text, verdict.error_message, "opted out from this sender");
        check_contains(cases[i].text, verdict.error_message,
                       "not sent while mms.opt_outs has a row of it");
    }
}

/* The destination has no part in it. */
static void it_ends_the_event_and_parks_nobody(void **state)
{
    struct delivery delivery = {.policy = {.attempts = 5}, .trouble = 3, .sms_fallback = true};

    (void)state;
    opt_outs_refuse(&delivery.verdict, SINCE);
    delivery_settle(&delivery, SINCE + CLOCK_SECOND);
    assert_string_equal(delivery.state, "failed");
    assert_true(delivery_is_final(&delivery));
    assert_int_equal(delivery.next_attempt_at, 0);
    assert_int_equal(delivery.parked_until, 0);
    assert_false(delivery.falls_back);
    assert_false(delivery.well); /* nobody has asked Twilio */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_opted_out_is_refused_without_a_request),
        cmocka_unit_test(the_words_say_since_when),
        cmocka_unit_test(it_ends_the_event_and_parks_nobody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
