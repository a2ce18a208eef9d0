#include "check.h"

#include "check_advice.h"

/* Every code that we know of from Twilio's dictionary, listed here by hand. */
static const int known[] = {
    10001, 11200, 11210, 11220, 11751, 12300, 14107, 20003, 20005, 20006, 20008, 20403, 20404,
    20422, 20426, 20429, 20500, 20503, 20504, 21211, 21212, 21214, 21217, 21265, 21266, 21408,
    21601, 21602, 21603, 21604, 21606, 21607, 21608, 21609, 21610, 21611, 21612, 21614, 21616,
    21617, 21618, 21619, 21620, 21621, 21622, 21623, 21624, 21635, 21659, 21660, 21661, 21701,
    21702, 21703, 21704, 21705, 30001, 30002, 30003, 30004, 30005, 30006, 30007, 30008, 30010,
    30011, 30017, 30019, 30022, 30023, 30024, 30027, 30032, 30033, 30034, 30035, 30036, 30037,
    30410, 30450, 30453, 30454, 30485, 30500, 30610, 30615, 63017, 63018, 63019, 63021, 63038,
    70051, 90009, 90010,
    /* What content_retention and address_retention may be answered with. */
    30029, 30030};

static bool has(const int *list, size_t count, int code)
{
    for (size_t i = 0; i < count; i++) {
        if (list[i] == code)
            return true;
    }
    return false;
}

static void every_code_has_its_rule(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(known); i++) {
        const struct verdict_rule *rule = verdicts_of_code(known[i]);
        char name[16];

        snprintf(name, sizeof name, "%d", known[i]);
        check_true(name, rule != NULL);
        check_int(name, rule->code, known[i]);
        check_advice(name, rule->advice);
        check_string(name, verdicts_advice_of_code(known[i]), rule->advice);
        check_true(name, rule->reason != NULL && rule->reason[0] != '\0');
        check_int(name, (int64_t)strspn(rule->reason, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_"),
                  (int64_t)strlen(rule->reason));
    }
}

/* Nothing stands in the table that isn't known here; a search that fails would hide some, too. */
static void no_other_code_has_a_rule(void **state)
{
    size_t found = 0;

    (void)state;
    for (int code = -10; code < 1000000; code++) {
        char name[16];

        if (verdicts_of_code(code) == NULL)
            continue;
        snprintf(name, sizeof name, "%d", code);
        check_true(name, has(known, COUNT(known), code));
        found++;
    }
    assert_int_equal(found, COUNT(known));
}

/* What each kind of rule may be, whatever the code. */
static void rules_hold_together(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(known); i++) {
        const struct verdict_rule *rule = verdicts_of_code(known[i]);
        char name[16];

        snprintf(name, sizeof name, "%d", known[i]);
        check_true(name, rule->outcome == OUTCOME_RETRY || rule->outcome == OUTCOME_FAILED ||
                             rule->outcome == OUTCOME_UNKNOWN);
        check_true(name, rule->scope == SCOPE_MESSAGE || rule->scope == SCOPE_DESTINATION ||
                             rule->scope == SCOPE_ACCOUNT);
        /* Trouble of a destination or an account is waited out, nothing else. */
        check_true(name, rule->scope == SCOPE_MESSAGE || rule->outcome == OUTCOME_RETRY);
        check_int(name, rule->busy, strcmp(rule->reason, "TOO_MANY_REQUESTS") == 0);
        check_true(name, !rule->busy || rule->scope == SCOPE_ACCOUNT);
    }
}

static void knows_what_sms_can_mend(void **state)
{
    static const int no_mms[] = {21612, 21621, 21622, 21703, 30011};

    (void)state;
    for (size_t i = 0; i < COUNT(known); i++) {
        char name[16];

        snprintf(name, sizeof name, "%d", known[i]);
        check_int(name, verdicts_of_code(known[i])->no_mms, has(no_mms, COUNT(no_mms), known[i]));
    }
}

/* Where Twilio can't say what became of a message, nobody may conclude that it wasn't sent. */
static void doubt_is_never_sent_again(void **state)
{
    static const int doubtful[] = {20500, 20503, 20504, 30008, 30410, 30500, 90009};

    (void)state;
    for (size_t i = 0; i < COUNT(known); i++) {
        char name[16];

        snprintf(name, sizeof name, "%d", known[i]);
        check_int(name, verdicts_of_code(known[i])->outcome == OUTCOME_UNKNOWN,
                  has(doubtful, COUNT(doubtful), known[i]));
    }
}

/* An advice has the words that somebody acts on. */
static void advice_names_the_remedy(void **state)
{
    static const struct {
        int code;
        const char *words;
    } cases[] = {
        {20003, "auth.auth_token"},
        {20404, "MMS_TWILIO_BASE_URL"},
        {20429, "concurrency"},
        {21408, "Messaging > Geo permissions"},
        {21603, "messaging_service_sid"},
        {21606, "from"},
        {21608, "Verify"},
        {21609, "MMS_STATUS_CALLBACK_URL"},
        {21610, "mms.opt_outs"},
        {21612, "sms_fallback"},
        {21617, "body_overflow"},
        {21624, "36000"},
        {21703, "sms_fallback"},
        {30007, "filtered"},
        {30011, "sms_fallback"},
        {30034, "10DLC"},
        {30410, "before it is sent again"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        check_contains(cases[i].words, verdicts_advice_of_code(cases[i].code), cases[i].words);
}

static void an_unknown_code_has_advice(void **state)
{
    static const int unknown[] = {-20429, 0, 1, 20430, 29999, 30009, 63999, 999999};

    (void)state;
    for (size_t i = 0; i < COUNT(unknown); i++) {
        assert_null(verdicts_of_code(unknown[i]));
        assert_string_equal(verdicts_advice_of_code(unknown[i]),
                            "Look up the error code at twilio.com/docs/api/errors.");
    }
    check_advice("unknown", verdicts_advice_of_code(0));
}

static void every_reason_of_our_own_has_advice(void **state)
{
    static const char *const reasons[] = {
        "CONFIG_INVALID", "TO_INVALID", "TOKEN_MISSING", "TOO_LONG", "BODY_EMPTY", "BODY_TOO_LONG",
        "MEDIA_URLS_COUNT", "MEDIA_URL_INVALID", "EXPIRED", "NOT_CONNECTED", "CERTIFICATE_REFUSED",
        "TIMEOUT", "CONNECTION_LOST", "ANSWER_CUT", "ANSWER_UNREADABLE", "SERVER_ERROR",
        "WORKER_LOST", "MESSAGE_TAKEN", "UNKNOWN", "RECIPIENT_OPTED_OUT",
        /* by HTTP status */
        "AUTHENTICATION_FAILED", "ACCOUNT_NOT_FOUND", "ACCESS_DENIED", "TOO_MANY_REQUESTS",
        "REQUEST_REFUSED", "REDIRECTED"};
    const char *none = verdicts_advice("NO_SUCH_REASON");

    (void)state;
    check_advice("NO_SUCH_REASON", none);
    for (size_t i = 0; i < COUNT(reasons); i++) {
        check_advice(reasons[i], verdicts_advice(reasons[i]));
        check_true(reasons[i], verdicts_advice(reasons[i]) != none);
    }
}

/* Of our own refusal the remedy is another one than of Twilio's. */
static void our_own_refusals_have_advice_of_their_own(void **state)
{
    (void)state;
    check_contains("opt-out", verdicts_advice("RECIPIENT_OPTED_OUT"), "mms.opt_outs");
    check_contains("config", verdicts_advice("CONFIG_INVALID"), "error_message");
    check_contains("expired", verdicts_advice("EXPIRED"), "MMS_EXPIRE_AFTER");
    check_contains("unknown", verdicts_advice("UNKNOWN"), "OPERATING.md");
    assert_string_not_equal(verdicts_advice("RECIPIENT_OPTED_OUT"), verdicts_advice_of_code(21610));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_has_its_rule),
        cmocka_unit_test(no_other_code_has_a_rule),
        cmocka_unit_test(rules_hold_together),
        cmocka_unit_test(knows_what_sms_can_mend),
        cmocka_unit_test(doubt_is_never_sent_again),
        cmocka_unit_test(advice_names_the_remedy),
        cmocka_unit_test(an_unknown_code_has_advice),
        cmocka_unit_test(every_reason_of_our_own_has_advice),
        cmocka_unit_test(our_own_refusals_have_advice_of_their_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
