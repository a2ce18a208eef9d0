#include "check.h"

#include "check_advice.h"

#include "common/clock.h"
#include "common/mem.h"
#include "worker/delivery.h"

#define NOW (INT64_C(1795333709) * CLOCK_SECOND)
#define S   CLOCK_SECOND

/* A policy of `attempts` with a linear pause of 30 s. */
static struct delivery make(enum outcome outcome, enum scope scope, const char *reason, int status)
{
    return (struct delivery){
        .policy = {.attempts = 5, .base = 30 * S, .max = 3600 * S, .linear = true},
        .verdict = {.outcome = outcome, .scope = scope, .reason = reason, .http_status = status},
        .slot_at = NOW,
    };
}

static void settles_each_outcome(void **state)
{
    static const struct {
        const char *name;
        enum outcome outcome;
        enum scope scope;
        const char *reason;
        int status, spent;
        /* what is expected */
        const char *state;
        int spent_after;
        enum outcome outcome_after;
        int64_t next, parked; /* seconds from now, 0: none */
        bool final;
    } cases[] = {
        {"accepted", OUTCOME_ACCEPTED, SCOPE_MESSAGE, NULL, 201, 0, "accepted", 1, OUTCOME_ACCEPTED,
         0, 0, true},
        {"failed", OUTCOME_FAILED, SCOPE_MESSAGE, "RECIPIENT_INVALID", 400, 0, "failed", 1,
         OUTCOME_FAILED, 0, 0, true},
        {"failed without a request", OUTCOME_FAILED, SCOPE_MESSAGE, "BODY_TOO_LONG", 0, 2, "failed",
         3, OUTCOME_FAILED, 0, 0, true},
        {"unknown", OUTCOME_UNKNOWN, SCOPE_MESSAGE, "TIMEOUT", 0, 0, "unknown", 1, OUTCOME_UNKNOWN,
         0, 0, false},
        {"unknown, budget used up", OUTCOME_UNKNOWN, SCOPE_MESSAGE, "SERVER_ERROR", 500, 9,
         "unknown", 10, OUTCOME_UNKNOWN, 0, 0, false},
        {"expired", OUTCOME_EXPIRED, SCOPE_MESSAGE, "EXPIRED", 0, 1, "expired", 1, OUTCOME_EXPIRED,
         0, 0, true},
        {"retry, first", OUTCOME_RETRY, SCOPE_MESSAGE, "TOO_MANY_REQUESTS", 429, 0, "pending", 1,
         OUTCOME_RETRY, 30, 0, false},
        {"retry, last but one", OUTCOME_RETRY, SCOPE_MESSAGE, "TOO_MANY_REQUESTS", 429, 3,
         "pending", 4, OUTCOME_RETRY, 30, 0, false},
        {"retry, used up", OUTCOME_RETRY, SCOPE_MESSAGE, "TOO_MANY_REQUESTS", 429, 4, "failed", 5,
         OUTCOME_FAILED, 0, 0, true},
        {"parked", OUTCOME_RETRY, SCOPE_DESTINATION, "AUTHENTICATION_FAILED", 401, 0, "pending", 0,
         OUTCOME_RETRY, 10, 10, false},
        {"parked, the account's", OUTCOME_RETRY, SCOPE_ACCOUNT, "ACCOUNT_SUSPENDED", 403, 4,
         "pending", 4, OUTCOME_RETRY, 10, 10, false},
        {"parked, budget nearly used up", OUTCOME_RETRY, SCOPE_DESTINATION, "SENDER_QUEUE_FULL",
         429, 4, "pending", 4, OUTCOME_RETRY, 10, 10, false},
        {"parked, nothing sent", OUTCOME_RETRY, SCOPE_DESTINATION, "CONFIG_INVALID", 0, 0,
         "pending", 0, OUTCOME_RETRY, 10, 10, false},
        {"not connected", OUTCOME_RETRY, SCOPE_WORKER, "NOT_CONNECTED", 0, 4, "pending", 4,
         OUTCOME_RETRY, 1, 0, false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct delivery d =
            make(cases[i].outcome, cases[i].scope, cases[i].reason, cases[i].status);
        const char *name = cases[i].name;

        d.budget_spent = cases[i].spent;
        delivery_settle(&d, NOW);
        check_string(name, d.state, cases[i].state);
        check_int(name, d.budget_spent, cases[i].spent_after);
        check_int(name, d.verdict.outcome, cases[i].outcome_after);
        check_string(name, d.verdict.reason, cases[i].reason);
        check_int(name, d.next_attempt_at, cases[i].next > 0 ? NOW + cases[i].next * S : 0);
        check_int(name, d.parked_until, cases[i].parked > 0 ? NOW + cases[i].parked * S : 0);
        check_int(name, d.keeps_place,
                  cases[i].outcome_after == OUTCOME_RETRY && cases[i].scope != SCOPE_MESSAGE);
        check_int(name, delivery_is_final(&d), cases[i].final);
        check_false(name, d.well);
    }
}

static void giving_up_says_why(void **state)
{
    static const struct {
        const char *name;
        int spent, status;
        const char *said, *expected;
    } cases[] = {
        {"used up", 4, 429, "Too many requests",
         "Too many requests; given up: the retry policy allows no more attempts"},
        {"used up, no words", 4, 429, "", "given up: the retry policy allows no more attempts"},
        {"not listed", 0, 400, "Odd",
         "Odd; given up: the retry policy does not list this HTTP status"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct delivery d =
            make(OUTCOME_RETRY, SCOPE_MESSAGE, "TOO_MANY_REQUESTS", cases[i].status);

        d.budget_spent = cases[i].spent;
        d.policy.range_count = 1;
        d.policy.ranges[0].from = 429;
        d.policy.ranges[0].to = 429;
        snprintf(d.verdict.error_message, sizeof d.verdict.error_message, "%s", cases[i].said);
        delivery_settle(&d, NOW);
        check_string(cases[i].name, d.state, "failed");
        check_int(cases[i].name, d.verdict.outcome, OUTCOME_FAILED);
        check_string(cases[i].name, d.verdict.error_message, cases[i].expected);
        check_int(cases[i].name, d.next_attempt_at, 0);
    }
}

static void giving_up_keeps_a_long_message(void **state)
{
    struct delivery d = make(OUTCOME_RETRY, SCOPE_MESSAGE, "TOO_MANY_REQUESTS", 429);

    (void)state;
    d.budget_spent = 4;
    memset(d.verdict.error_message, 'x', sizeof d.verdict.error_message - 1);
    delivery_settle(&d, NOW);
    assert_int_equal(strlen(d.verdict.error_message), sizeof d.verdict.error_message - 1);
    assert_int_equal(d.verdict.error_message[510], 'x');
}

static void the_budget_is_the_policy(void **state)
{
    (void)state;
    for (int attempts = 1; attempts <= 7; attempts++) {
        struct delivery d = make(OUTCOME_RETRY, SCOPE_MESSAGE, "TOO_MANY_REQUESTS", 429);
        int tried = 0;

        d.policy.attempts = attempts;
        do {
            d.verdict.outcome = OUTCOME_RETRY;
            d.verdict.error_message[0] = '\0';
            delivery_settle(&d, NOW);
            tried++;
        } while (!delivery_is_final(&d) && tried < 100);
        assert_int_equal(tried, attempts);
        assert_int_equal(d.budget_spent, attempts);
    }
}

static void parked_pauses_grow_to_their_limit(void **state)
{
    static const struct {
        const char *reason;
        int64_t pauses[9]; /* by trouble: 0, 1, …; the last one for very much trouble */
    } cases[] = {
        {"AUTHENTICATION_FAILED", {10, 20, 40, 80, 160, 320, 600, 600, 600}},
        {"CONFIG_INVALID", {10, 20, 40, 80, 160, 320, 600, 600, 600}},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        for (int trouble = 0; trouble < 9; trouble++) {
            struct delivery d = make(OUTCOME_RETRY, SCOPE_DESTINATION, cases[i].reason, 0);

            d.trouble = trouble < 8 ? trouble : INT32_MAX;
            delivery_settle(&d, NOW);
            check_int(cases[i].reason, d.parked_until - NOW, cases[i].pauses[trouble] * S);
            check_int(cases[i].reason, d.next_attempt_at, d.parked_until);
            check_int(cases[i].reason, d.budget_spent, 0);
            check_false(cases[i].reason, d.well);
        }
    }
}

/* Too much at a time: the destination pauses, and the event's own policy counts it all the same. */
static void a_busy_account_parks_and_is_counted(void **state)
{
    static const struct {
        const char *name;
        int spent, trouble;
        int64_t retry_after; /* seconds */
        /* what is expected */
        const char *state;
        int64_t next, parked; /* seconds from now; next 0: none */
    } cases[] = {
        {"first", 0, 0, 0, "pending", 30, 1},
        {"second", 1, 1, 0, "pending", 30, 2},
        {"last but one", 3, 3, 0, "pending", 30, 8},
        {"used up", 4, 4, 0, "failed", 0, 16},
        {"after other trouble", 0, 6, 0, "pending", 30, 64},
        {"nearly the limit", 0, 9, 0, "pending", 30, 512},
        {"the limit", 0, 10, 0, "pending", 30, 600},
        {"very much trouble", 0, INT32_MAX, 0, "pending", 30, 600},
        {"asked for less", 0, 3, 7, "pending", 30, 8},
        {"asked for more than the park", 0, 0, 7, "pending", 30, 7},
        {"asked for more than both", 0, 0, 120, "pending", 120, 120},
        {"asked for more than the limit", 0, 10, 3600, "pending", 3600, 3600},
        {"asked for and used up", 4, 0, 120, "failed", 0, 120},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct delivery d = make(OUTCOME_RETRY, SCOPE_ACCOUNT, "TOO_MANY_REQUESTS", 429);
        const char *name = cases[i].name;
        bool failed = strcmp(cases[i].state, "failed") == 0;

        d.verdict.busy = true;
        d.verdict.retry_after = cases[i].retry_after * S;
        d.budget_spent = cases[i].spent;
        d.trouble = cases[i].trouble;
        delivery_settle(&d, NOW);
        check_string(name, d.state, cases[i].state);
        check_int(name, d.verdict.outcome, failed ? OUTCOME_FAILED : OUTCOME_RETRY);
        check_int(name, d.budget_spent, cases[i].spent + 1);
        check_int(name, d.parked_until, NOW + cases[i].parked * S);
        check_int(name, d.next_attempt_at, failed ? 0 : NOW + cases[i].next * S);
        check_false(name, d.keeps_place);
        check_false(name, d.well);
        check_int(name, delivery_is_final(&d), failed);
    }
}

/* A policy that doesn't list 429 is the event's own affair: its destination pauses all the same. */
static void a_busy_account_parks_whatever_the_policy_lists(void **state)
{
    struct delivery d = make(OUTCOME_RETRY, SCOPE_ACCOUNT, "TOO_MANY_REQUESTS", 429);

    (void)state;
    d.verdict.busy = true;
    d.policy.range_count = 1;
    d.policy.ranges[0].from = 500;
    d.policy.ranges[0].to = 599;
    delivery_settle(&d, NOW);
    assert_string_equal(d.state, "failed");
    assert_string_equal(d.verdict.error_message,
                        "given up: the retry policy does not list this HTTP status");
    assert_int_equal(d.parked_until, NOW + 1 * S);
    assert_int_equal(d.budget_spent, 1);
}

/* A second from slot to slot, however long the connection was waited for. */
static void a_worker_out_of_reach_passes_on(void **state)
{
    static const struct {
        int64_t after, next; /* the slot: when the try ended, when the next one may be */
    } cases[] = {{0, 1 * S}, {1 * S - 1, 1 * S}, {1 * S, 1 * S}, {3 * S, 3 * S}};

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct delivery d = make(OUTCOME_RETRY, SCOPE_WORKER, "NOT_CONNECTED", 0);

        d.trouble = 3;
        delivery_settle(&d, NOW + cases[i].after);
        check_string("state", d.state, "pending");
        check_int("next", d.next_attempt_at - NOW, cases[i].next);
        check_int("parked", d.parked_until, 0);
        check_int("spent", d.budget_spent, 0);
        check_true("place", d.keeps_place);
    }
}

static void retry_after_is_never_shortened(void **state)
{
    static const struct {
        const char *name;
        enum scope scope;
        int64_t asked, expected; /* seconds */
    } cases[] = {
        {"retry, less than the pause", SCOPE_MESSAGE, 7, 30},
        {"retry, more than the pause", SCOPE_MESSAGE, 120, 120},
        {"retry, an hour", SCOPE_MESSAGE, 3600, 3600},
        {"parked, less than the pause", SCOPE_DESTINATION, 7, 10},
        {"parked, more than the pause", SCOPE_DESTINATION, 120, 120},
        {"parked, more than the limit", SCOPE_DESTINATION, 3600, 3600},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct delivery d = make(OUTCOME_RETRY, cases[i].scope, "TOO_MANY_REQUESTS", 429);

        d.verdict.retry_after = cases[i].asked * S;
        delivery_settle(&d, NOW);
        check_int(cases[i].name, d.next_attempt_at - NOW, cases[i].expected * S);
    }
}

static void the_policy_sets_the_pause(void **state)
{
    static const int64_t pauses[] = {30, 60, 120, 240};

    (void)state;
    for (int spent = 0; spent < 4; spent++) {
        struct delivery d = make(OUTCOME_RETRY, SCOPE_MESSAGE, "TOO_MANY_REQUESTS", 429);

        d.policy.linear = false;
        d.budget_spent = spent;
        delivery_settle(&d, NOW);
        check_int("exponential", d.next_attempt_at - NOW, pauses[spent] * S);
        d = make(OUTCOME_RETRY, SCOPE_MESSAGE, "TOO_MANY_REQUESTS", 429);
        d.policy.jitter = true;
        d.budget_spent = spent;
        delivery_settle(&d, NOW);
        check_true("jitter", d.next_attempt_at >= NOW && d.next_attempt_at <= NOW + 30 * S);
    }
}

/* A destination is well again once Twilio has judged a message of it, and only if it wasn't. */
static void trouble_ends_with_an_answer(void **state)
{
    static const struct {
        const char *name;
        enum outcome outcome;
        enum scope scope;
        const char *reason;
        int status, trouble;
        bool well;
    } cases[] = {
        {"accepted", OUTCOME_ACCEPTED, SCOPE_MESSAGE, NULL, 201, 3, true},
        {"failed", OUTCOME_FAILED, SCOPE_MESSAGE, "RECIPIENT_INVALID", 400, 1, true},
        {"too many requests", OUTCOME_RETRY, SCOPE_MESSAGE, "TOO_MANY_REQUESTS", 429, 1, true},
        {"accepted, there was none", OUTCOME_ACCEPTED, SCOPE_MESSAGE, NULL, 201, 0, false},
        {"unknown", OUTCOME_UNKNOWN, SCOPE_MESSAGE, "SERVER_ERROR", 500, 3, false},
        {"time-out", OUTCOME_UNKNOWN, SCOPE_MESSAGE, "TIMEOUT", 0, 3, false},
        {"refused here", OUTCOME_FAILED, SCOPE_MESSAGE, "BODY_TOO_LONG", 0, 3, false},
        {"expired", OUTCOME_EXPIRED, SCOPE_MESSAGE, "EXPIRED", 0, 3, false},
        {"parked again", OUTCOME_RETRY, SCOPE_DESTINATION, "AUTHENTICATION_FAILED", 401, 3, false},
        {"parked again, the account's", OUTCOME_RETRY, SCOPE_ACCOUNT, "AUTHENTICATION_FAILED", 401,
         3, false},
        {"not connected", OUTCOME_RETRY, SCOPE_WORKER, "NOT_CONNECTED", 0, 3, false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct delivery d =
            make(cases[i].outcome, cases[i].scope, cases[i].reason, cases[i].status);

        d.trouble = cases[i].trouble;
        delivery_settle(&d, NOW);
        check_int(cases[i].name, d.well, cases[i].well);
    }
}

/* ---- SMS instead of MMS ---- */

/* Twilio has refused it as MMS, by `code`; its destination wants SMS then. */
static struct delivery make_no_mms(int code)
{
    const struct verdict_rule *rule = verdicts_of_code(code);
    struct delivery d;

    assert_non_null(rule);
    d = make(rule->outcome, rule->scope, rule->reason, 400);
    d.verdict.error_code = code;
    d.verdict.advice = rule->advice;
    d.verdict.no_mms = rule->no_mms;
    d.sms_fallback = true;
    return d;
}

static const int no_mms_codes[] = {21612, 21621, 21622, 21703, 30011};

static void what_cannot_go_as_mms_falls_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(no_mms_codes); i++) {
        struct delivery d = make_no_mms(no_mms_codes[i]);
        const char *reason = d.verdict.reason, *advice = d.verdict.advice;
        char name[32];

        snprintf(name, sizeof name, "code %d", no_mms_codes[i]);
        d.budget_spent = 3;
        snprintf(d.verdict.error_message, sizeof d.verdict.error_message, "It is so.");
        delivery_settle(&d, NOW);
        check_int(name, d.verdict.outcome, OUTCOME_RETRY);
        check_int(name, d.verdict.scope, SCOPE_MESSAGE);
        check_string(name, d.state, "pending");
        check_true(name, d.falls_back);
        check_true(name, d.keeps_place);
        check_int(name, d.next_attempt_at, NOW + 1 * S);
        check_int(name, d.budget_spent, 3);
        check_int(name, d.parked_until, 0);
        check_false(name, d.well);
        check_false(name, delivery_is_final(&d));
        check_string(name, d.verdict.error_message, "It is so.; sent as SMS in the next slot");
        /* What happened is still told as it was. */
        check_string(name, d.verdict.reason, reason);
        check_string(name, d.verdict.advice, advice);
        check_int(name, d.verdict.error_code, no_mms_codes[i]);
        check_int(name, d.verdict.http_status, 400);
    }
}

/* Neither the policy's budget nor its list of statuses has a say: it is no retry. */
static void falling_back_spends_nothing(void **state)
{
    (void)state;
    for (int attempts = 1; attempts <= 3; attempts++) {
        struct delivery d = make_no_mms(21612);

        d.policy.attempts = attempts;
        d.policy.range_count = 1;
        d.policy.ranges[0].from = 500;
        d.policy.ranges[0].to = 599;
        d.budget_spent = attempts - 1;
        delivery_settle(&d, NOW);
        assert_string_equal(d.state, "pending");
        assert_int_equal(d.budget_spent, attempts - 1);
        assert_string_equal(d.verdict.error_message, "sent as SMS in the next slot");
    }
}

/* A second from slot to slot, however long Twilio took to answer; a Retry-After isn't asked. */
static void the_fallback_has_the_next_slot(void **state)
{
    static const struct {
        int64_t after, next; /* the slot: when the answer came, when the next one may be */
    } cases[] = {
        {0, 1 * S},      {1, 1 * S}, {1 * S - 1, 1 * S}, {1 * S, 1 * S}, {1 * S + 1, 1 * S + 1},
        {30 * S, 30 * S}};

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct delivery d = make_no_mms(21612);

        delivery_settle(&d, NOW + cases[i].after);
        check_int("next", d.next_attempt_at - NOW, cases[i].next);
    }
}

/* Twilio has judged a message: what its destination was parked for is over. */
static void falling_back_ends_trouble(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(no_mms_codes); i++) {
        for (int trouble = 0; trouble < 3; trouble++) {
            struct delivery d = make_no_mms(no_mms_codes[i]);
            char name[48];

            snprintf(name, sizeof name, "code %d, trouble %d", no_mms_codes[i], trouble);
            d.trouble = trouble;
            delivery_settle(&d, NOW);
            check_int(name, d.well, trouble > 0);
            check_int(name, d.parked_until, 0);
            check_int(name, d.next_attempt_at, NOW + 1 * S);
        }
    }
}

static void without_the_wish_it_ends_as_ever(void **state)
{
    static const struct {
        int code;
        bool parks;
    } cases[] = {{21612, false}, {21621, true}, {21622, true}, {21703, false}, {30011, false}};

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct delivery d = make_no_mms(cases[i].code);
        char name[32];

        snprintf(name, sizeof name, "code %d", cases[i].code);
        /* Also of what was sent as SMS already: prepare.c. */
        d.sms_fallback = false;
        d.as_sms = i % 2 == 0;
        delivery_settle(&d, NOW);
        check_string(name, d.state, cases[i].parks ? "pending" : "failed");
        check_int(name, d.verdict.outcome, cases[i].parks ? OUTCOME_RETRY : OUTCOME_FAILED);
        check_int(name, d.verdict.scope, cases[i].parks ? SCOPE_DESTINATION : SCOPE_MESSAGE);
        check_int(name, d.parked_until, cases[i].parks ? NOW + 10 * S : 0);
        check_int(name, d.budget_spent, cases[i].parks ? 0 : 1);
        check_false(name, d.falls_back);
        check_string(name, d.verdict.error_message, "");
    }
}

/* Only what Twilio refused as MMS, whatever the destination wants. */
static void the_wish_alone_changes_nothing(void **state)
{
    static const enum outcome outcomes[] = {OUTCOME_ACCEPTED, OUTCOME_RETRY, OUTCOME_FAILED,
                                            OUTCOME_UNKNOWN, OUTCOME_EXPIRED};

    (void)state;
    for (size_t i = 0; i < COUNT(outcomes); i++) {
        struct delivery d = make(outcomes[i], SCOPE_MESSAGE, "TOO_MANY_REQUESTS", 429);

        d.sms_fallback = true;
        delivery_settle(&d, NOW);
        check_int(outcome_name(outcomes[i]), d.verdict.outcome, outcomes[i]);
        check_false(outcome_name(outcomes[i]), d.falls_back);
        check_false(outcome_name(outcomes[i]), d.keeps_place);
        check_string(outcome_name(outcomes[i]), d.verdict.error_message, "");
    }
}

static void falling_back_keeps_a_long_message(void **state)
{
    struct delivery d = make_no_mms(21612);

    (void)state;
    memset(d.verdict.error_message, 'x', sizeof d.verdict.error_message - 1);
    delivery_settle(&d, NOW);
    assert_int_equal(strlen(d.verdict.error_message), sizeof d.verdict.error_message - 1);
    assert_int_equal(d.verdict.error_message[sizeof d.verdict.error_message - 2], 'x');
}

static void result_ids_are_random_uuids(void **state)
{
    unsigned char seen[200][16];

    (void)state;
    for (size_t i = 0; i < COUNT(seen); i++) {
        delivery_random_id(seen[i]);
        assert_int_equal(seen[i][6] >> 4, 4);
        assert_int_equal(seen[i][8] >> 6, 2);
        for (size_t k = 0; k < i; k++)
            assert_memory_not_equal(seen[i], seen[k], 16);
    }
}

static void settling_gives_a_result_id(void **state)
{
    static const unsigned char none[16];
    struct delivery first = make(OUTCOME_ACCEPTED, SCOPE_MESSAGE, NULL, 201), second = first;

    (void)state;
    delivery_settle(&first, NOW);
    delivery_settle(&second, NOW);
    assert_memory_not_equal(first.result_id, none, 16);
    assert_memory_not_equal(first.result_id, second.result_id, 16);
    assert_int_equal(first.result_id[6] >> 4, 4);
}

/* ---- a second look at an attempt that was unknown ---- */

/* It was counted when it became unknown: its budget is spent already. */
static struct delivery make_unknown(char *was, int status, int spent)
{
    struct delivery d = make(OUTCOME_UNKNOWN, SCOPE_MESSAGE, NULL, status);

    d.was = was;
    d.verdict.advice = "Old.";
    d.budget_spent = spent;
    snprintf(d.verdict.error_message, sizeof d.verdict.error_message, "Odd");
    return d;
}

#define ABSENT_AGAIN \
    "Nothing for now; Twilio does not have the message, and the worker sends it again."
#define ABSENT_FAILED                                                                          \
    "Send the event again under a new event_id if it still matters; Twilio does not have the " \
    "message."

static const char *advice_of(enum found found, const char *delivery_state)
{
    if (found == FOUND_MESSAGE)
        return NULL;
    if (found == FOUND_DOUBT)
        return verdicts_advice("UNKNOWN");
    return strcmp(delivery_state, "failed") == 0 ? ABSENT_FAILED : ABSENT_AGAIN;
}

static void advice_of_a_second_look_is_as_every_other(void **state)
{
    (void)state;
    check_advice("again", ABSENT_AGAIN);
    check_advice("failed", ABSENT_FAILED);
}

static void resolves_what_was_unknown(void **state)
{
    static const struct {
        const char *name;
        enum found found;
        char was[24];
        int status, spent;
        /* what is expected */
        const char *state;
        enum outcome outcome;
        int64_t next; /* seconds from now, -1: none */
        const char *message;
        bool final;
    } cases[] = {
        {"found", FOUND_MESSAGE, "TIMEOUT", 0, 1, "accepted", OUTCOME_ACCEPTED, -1, "", true},
        {"found, an answer came", FOUND_MESSAGE, "SERVER_ERROR", 500, 2, "accepted",
         OUTCOME_ACCEPTED, -1, "", true},
        {"found, budget used up", FOUND_MESSAGE, "TIMEOUT", 0, 5, "accepted", OUTCOME_ACCEPTED, -1,
         "", true},
        {"found, worker lost", FOUND_MESSAGE, DELIVERY_WORKER_LOST, 0, 9, "accepted",
         OUTCOME_ACCEPTED, -1, "", true},
        {"absent", FOUND_NOTHING, "TIMEOUT", 0, 1, "pending", OUTCOME_RETRY, 30, "Odd", false},
        {"absent, an answer came", FOUND_NOTHING, "SERVER_ERROR", 500, 1, "pending", OUTCOME_RETRY,
         30, "Odd", false},
        {"absent, last but one", FOUND_NOTHING, "TIMEOUT", 0, 4, "pending", OUTCOME_RETRY, 30,
         "Odd", false},
        {"absent, used up", FOUND_NOTHING, "TIMEOUT", 0, 5, "failed", OUTCOME_FAILED, -1,
         "Odd; given up: the retry policy allows no more attempts", true},
        {"absent, more than used up", FOUND_NOTHING, "CONNECTION_LOST", 0, 7, "failed",
         OUTCOME_FAILED, -1, "Odd; given up: the retry policy allows no more attempts", true},
        {"lost", FOUND_NOTHING, DELIVERY_WORKER_LOST, 0, 1, "pending", OUTCOME_RETRY, 0, "Odd",
         false},
        {"lost, used up", FOUND_NOTHING, DELIVERY_WORKER_LOST, 0, 5, "pending", OUTCOME_RETRY, 0,
         "Odd", false},
        {"lost, last beyond", FOUND_NOTHING, DELIVERY_WORKER_LOST, 0, 4 + DELIVERY_LOST_MAX,
         "pending", OUTCOME_RETRY, 0, "Odd", false},
        {"lost too often", FOUND_NOTHING, DELIVERY_WORKER_LOST, 0, 5 + DELIVERY_LOST_MAX, "failed",
         OUTCOME_FAILED, -1, "Odd; given up: the retry policy allows no more attempts", true},
        {"doubt", FOUND_DOUBT, "TIMEOUT", 0, 1, "unknown", OUTCOME_UNKNOWN, -1, "Odd", true},
        {"doubt, worker lost", FOUND_DOUBT, DELIVERY_WORKER_LOST, 0, 9, "unknown", OUTCOME_UNKNOWN,
         -1, "Odd", true},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char was[sizeof cases[i].was];
        struct delivery d;
        const char *name = cases[i].name;

        memcpy(was, cases[i].was, sizeof was);
        d = make_unknown(was, cases[i].status, cases[i].spent);
        delivery_resolve(&d, cases[i].found, NOW);
        check_string(name, d.state, cases[i].state);
        check_int(name, d.verdict.outcome, cases[i].outcome);
        check_int(name, d.verdict.scope, SCOPE_MESSAGE);
        check_string(name, d.verdict.reason, cases[i].found == FOUND_MESSAGE ? NULL : cases[i].was);
        check_string(name, d.verdict.error_message, cases[i].message);
        check_int(name, d.budget_spent, cases[i].spent);
        check_int(name, d.next_attempt_at, cases[i].next >= 0 ? NOW + cases[i].next * S : 0);
        check_int(name, d.parked_until, 0);
        check_int(name, d.finished_at, NOW);
        check_int(name, d.given_up, cases[i].found == FOUND_DOUBT);
        check_int(name, delivery_is_final(&d), cases[i].final);
        check_string(name, d.verdict.advice, advice_of(cases[i].found, cases[i].state));
    }
}

/* Of a lost worker no answer is known: the list is about answers. */
static void absence_follows_the_listed_statuses(void **state)
{
    static const struct {
        char was[24];
        int status;
        const char *state, *message;
    } cases[] = {
        {"SERVER_ERROR", 500, "failed",
         "Odd; given up: the retry policy does not list this HTTP status"},
        {"SERVER_ERROR", 503, "pending", "Odd"},
        {"TIMEOUT", 0, "pending", "Odd"},
        {DELIVERY_WORKER_LOST, 0, "pending", "Odd"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char was[sizeof cases[i].was];
        struct delivery d;

        memcpy(was, cases[i].was, sizeof was);
        d = make_unknown(was, cases[i].status, 1);
        d.policy.range_count = 1;
        d.policy.ranges[0].from = 502;
        d.policy.ranges[0].to = 504;
        delivery_resolve(&d, FOUND_NOTHING, NOW);
        check_string(was, d.state, cases[i].state);
        check_string(was, d.verdict.error_message, cases[i].message);
        check_int(was, d.budget_spent, 1);
    }
}

static void absence_pauses_as_the_policy_says(void **state)
{
    static const int64_t pauses[] = {30, 60, 120, 240};

    (void)state;
    for (int spent = 1; spent <= 4; spent++) {
        char was[] = "TIMEOUT";
        struct delivery d = make_unknown(was, 0, spent);

        d.policy.linear = false;
        delivery_resolve(&d, FOUND_NOTHING, NOW);
        check_int("exponential", d.next_attempt_at - NOW, pauses[spent - 1] * S);
    }
}

/* As many attempts as the policy has, and DELIVERY_LOST_MAX more if every worker was lost. */
static void lost_workers_do_not_go_on_for_ever(void **state)
{
    (void)state;
    for (int attempts = 1; attempts <= 7; attempts++) {
        char was[] = DELIVERY_WORKER_LOST;
        struct delivery d = make_unknown(was, 0, 0);
        int tried = 0;

        d.policy.attempts = attempts;
        do {
            d.budget_spent++; /* sql/lease.sql */
            delivery_resolve(&d, FOUND_NOTHING, NOW);
            tried++;
        } while (!delivery_is_final(&d) && tried < 100);
        assert_int_equal(tried, attempts + DELIVERY_LOST_MAX);
        assert_string_equal(d.state, "failed");
    }
}

static void resolving_gives_another_result_id(void **state)
{
    static const enum found found[] = {FOUND_MESSAGE, FOUND_NOTHING, FOUND_DOUBT};

    (void)state;
    for (size_t i = 0; i < COUNT(found); i++) {
        struct delivery d = make(OUTCOME_UNKNOWN, SCOPE_MESSAGE, "TIMEOUT", 0);
        unsigned char before[16];
        char was[] = "TIMEOUT";

        delivery_settle(&d, NOW);
        memcpy(before, d.result_id, sizeof before);
        d.was = was;
        delivery_resolve(&d, found[i], NOW + 60 * S);
        assert_memory_not_equal(d.result_id, before, 16);
        assert_int_equal(d.result_id[6] >> 4, 4);
    }
}

/* The answer named a message that is another attempt's: what became of this one is not known. */
static void doubt_makes_an_accepted_attempt_unknown(void **state)
{
    static const struct {
        const char *name;
        int spent, trouble;
        bool well;
    } cases[] = {
        {"first attempt", 0, 0, false},
        {"last attempt", 4, 0, false},
        {"its destination was in trouble", 0, 3, true},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *name = cases[i].name;
        struct delivery d = make(OUTCOME_ACCEPTED, SCOPE_MESSAGE, NULL, 201);
        unsigned char before[16];

        d.budget_spent = cases[i].spent;
        d.trouble = cases[i].trouble;
        strcpy(d.verdict.message_sid, "MM00000000000000000000000000000001");
        strcpy(d.verdict.message_status, "queued");
        delivery_settle(&d, NOW);
        memcpy(before, d.result_id, sizeof before);
        delivery_doubt(&d);
        check_string(name, d.state, "unknown");
        check_int(name, d.verdict.outcome, OUTCOME_UNKNOWN);
        check_string(name, d.verdict.reason, "MESSAGE_TAKEN");
        check_string(name, d.verdict.advice, verdicts_advice("MESSAGE_TAKEN"));
        check_string(name, d.verdict.message_sid, "");
        check_string(name, d.verdict.message_status, "");
        check_string(name, d.verdict.error_message,
                     "the answer names message MM00000000000000000000000000000001, which another "
                     "attempt has");
        check_int(name, d.verdict.http_status, 201);
        check_int(name, d.budget_spent, cases[i].spent + 1);
        check_int(name, d.next_attempt_at, 0);
        check_int(name, d.parked_until, 0);
        check_int(name, d.well, cases[i].well); /* Twilio did answer */
        check_false(name, delivery_is_final(&d));
        check_int(name, memcmp(d.result_id, before, sizeof before), 0); /* nobody has seen it */
    }
}

/* It is looked up like any other: nothing there is a retry under its policy. */
static void what_was_doubted_can_be_resolved(void **state)
{
    char was[] = "MESSAGE_TAKEN";
    struct delivery d = make(OUTCOME_ACCEPTED, SCOPE_MESSAGE, NULL, 201);

    (void)state;
    delivery_settle(&d, NOW);
    delivery_doubt(&d);
    d.was = was;
    delivery_resolve(&d, FOUND_NOTHING, NOW);
    assert_string_equal(d.state, "pending");
    assert_int_equal(d.budget_spent, 1);
    assert_int_equal(d.next_attempt_at, NOW + 30 * S);
}

/* The sanitizer says if something is left or freed twice. */
static void free_takes_everything(void **state)
{
    struct delivery *d = mem_zalloc(sizeof *d);

    (void)state;
    delivery_free(NULL);
    delivery_free(d);
    d = mem_zalloc(sizeof *d);
    d->destination_id = mem_strdup("des_1");
    d->event_id = mem_strdup("evt_1");
    d->connection_id = mem_strdup("con_1");
    d->traceparent = mem_strdup("00-1");
    d->tracestate = mem_strdup("a=b");
    d->request.url = mem_strdup("https://api.twilio.com");
    d->request.password = mem_strdup("hush");
    d->response_body = mem_strdup("{}");
    d->response_headers = mem_strdup("{}");
    d->timing = mem_strdup("{}");
    d->resolution = mem_strdup("was unknown");
    d->was = mem_strdup("TIMEOUT");
    delivery_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(settles_each_outcome),
        cmocka_unit_test(giving_up_says_why),
        cmocka_unit_test(giving_up_keeps_a_long_message),
        cmocka_unit_test(the_budget_is_the_policy),
        cmocka_unit_test(parked_pauses_grow_to_their_limit),
        cmocka_unit_test(a_busy_account_parks_and_is_counted),
        cmocka_unit_test(a_busy_account_parks_whatever_the_policy_lists),
        cmocka_unit_test(a_worker_out_of_reach_passes_on),
        cmocka_unit_test(retry_after_is_never_shortened),
        cmocka_unit_test(the_policy_sets_the_pause),
        cmocka_unit_test(trouble_ends_with_an_answer),
        cmocka_unit_test(what_cannot_go_as_mms_falls_back),
        cmocka_unit_test(falling_back_spends_nothing),
        cmocka_unit_test(the_fallback_has_the_next_slot),
        cmocka_unit_test(falling_back_ends_trouble),
        cmocka_unit_test(without_the_wish_it_ends_as_ever),
        cmocka_unit_test(the_wish_alone_changes_nothing),
        cmocka_unit_test(falling_back_keeps_a_long_message),
        cmocka_unit_test(result_ids_are_random_uuids),
        cmocka_unit_test(settling_gives_a_result_id),
        cmocka_unit_test(advice_of_a_second_look_is_as_every_other),
        cmocka_unit_test(resolves_what_was_unknown),
        cmocka_unit_test(absence_follows_the_listed_statuses),
        cmocka_unit_test(absence_pauses_as_the_policy_says),
        cmocka_unit_test(lost_workers_do_not_go_on_for_ever),
        cmocka_unit_test(resolving_gives_another_result_id),
        cmocka_unit_test(doubt_makes_an_accepted_attempt_unknown),
        cmocka_unit_test(what_was_doubted_can_be_resolved),
        cmocka_unit_test(free_takes_everything),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
