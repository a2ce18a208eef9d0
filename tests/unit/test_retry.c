#include "check.h"

#include "worker/retry.h"

#define SECOND INT64_C(1000000)

static bool parse(const char *text, struct retry_policy *policy, char *why, size_t size)
{
    json_t *retry = json_loads(text, JSON_DECODE_ANY, NULL);
    bool ok;

    check_true(text, retry != NULL);
    ok = retry_policy_parse(retry, policy, why, size);
    json_decref(retry);
    return ok;
}

static void absent_leaves_the_policy_alone(void **state)
{
    struct retry_policy policy = {.attempts = 7, .base = 11, .max = 13, .jitter = true};
    struct retry_policy before;
    char why[200];

    (void)state;
    memcpy(&before, &policy, sizeof before);
    assert_true(retry_policy_parse(NULL, &policy, why, sizeof why));
    assert_memory_equal(&policy, &before, sizeof policy);
}

static void reads_policies(void **state)
{
    static const struct {
        const char *text;
        int64_t attempts, base;
        bool linear;
        int ranges;
    } cases[] = {
        {"{\"strategy\":\"linear\",\"count\":3,\"interval\":1500}", 4, 1500000, true, 0},
        {"{\"strategy\":\"exponential\",\"count\":5,\"interval\":60000,"
         "\"response_status_codes\":[\"429\",\"500-599\"]}",
         6, 60 * SECOND, false, 2},
        {"{\"count\":0,\"interval\":0}", 1, 0, false, 0},
        {"{\"count\":100,\"interval\":86400000}", 101, 86400 * SECOND, false, 0},
        {"{\"response_status_codes\":[429,\"100\",599]}", 6, 60 * SECOND, false, 3},
        {"{\"response_status_codes\":null,\"strategy\":null,\"count\":null,\"interval\":null}", 6,
         60 * SECOND, false, 0},
        {"{\"strategy\":\"linear\",\"type\":\"retry\"}", 6, 60 * SECOND, true, 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct retry_policy policy = {.range_count = 9, .jitter = true};
        char why[200];

        check_true(cases[i].text, parse(cases[i].text, &policy, why, sizeof why));
        check_int(cases[i].text, policy.attempts, cases[i].attempts);
        check_int(cases[i].text, policy.base, cases[i].base);
        check_int(cases[i].text, policy.linear, cases[i].linear);
        check_int(cases[i].text, policy.range_count, cases[i].ranges);
        check_true(cases[i].text, policy.max >= policy.base);
    }
}

static void refuses_policies(void **state)
{
    static const struct {
        const char *text, *field;
    } cases[] = {
        {"5", "retry:"},
        {"\"linear\"", "retry:"},
        {"[]", "retry:"},
        {"true", "retry:"},
        {"{\"strategy\":\"fast\"}", "retry.strategy"},
        {"{\"strategy\":\"Linear\"}", "retry.strategy"},
        {"{\"strategy\":1}", "retry.strategy"},
        {"{\"count\":-1}", "retry.count"},
        {"{\"count\":101}", "retry.count"},
        {"{\"count\":\"5\"}", "retry.count"},
        {"{\"count\":5.0}", "retry.count"},
        {"{\"count\":true}", "retry.count"},
        {"{\"count\":9223372036854775807}", "retry.count"},
        {"{\"interval\":-1}", "retry.interval"},
        {"{\"interval\":86400001}", "retry.interval"},
        {"{\"interval\":\"60s\"}", "retry.interval"},
        {"{\"interval\":1.5}", "retry.interval"},
        {"{\"response_status_codes\":[]}", "retry.response_status_codes"},
        {"{\"response_status_codes\":\"429\"}", "retry.response_status_codes"},
        {"{\"response_status_codes\":[null]}", "retry.response_status_codes"},
        {"{\"response_status_codes\":[true]}", "retry.response_status_codes"},
        {"{\"response_status_codes\":[\"\"]}", "retry.response_status_codes"},
        {"{\"response_status_codes\":[\"5xx\"]}", "retry.response_status_codes"},
        {"{\"response_status_codes\":[\"42\"]}", "retry.response_status_codes"},
        {"{\"response_status_codes\":[\"4290\"]}", "retry.response_status_codes"},
        {"{\"response_status_codes\":[\"099\"]}", "retry.response_status_codes"},
        {"{\"response_status_codes\":[\"600\"]}", "retry.response_status_codes"},
        {"{\"response_status_codes\":[\"599-500\"]}", "retry.response_status_codes"},
        {"{\"response_status_codes\":[\"500-\"]}", "retry.response_status_codes"},
        {"{\"response_status_codes\":[\"-500\"]}", "retry.response_status_codes"},
        {"{\"response_status_codes\":[\"500-599-\"]}", "retry.response_status_codes"},
        {"{\"response_status_codes\":[\"500 - 599\"]}", "retry.response_status_codes"},
        {"{\"response_status_codes\":[\" 429\"]}", "retry.response_status_codes"},
        {"{\"response_status_codes\":[\"429 \"]}", "retry.response_status_codes"},
        {"{\"response_status_codes\":[\"+42\"]}", "retry.response_status_codes"},
        {"{\"response_status_codes\":[\"500-600\"]}", "retry.response_status_codes"},
        {"{\"response_status_codes\":[99]}", "retry.response_status_codes"},
        {"{\"response_status_codes\":[600]}", "retry.response_status_codes"},
        {"{\"response_status_codes\":[429.0]}", "retry.response_status_codes"},
        {"{\"response_status_codes\":[4294967725]}", "retry.response_status_codes"},
        {"{\"response_status_codes\":[\"429\",\"x\"]}", "retry.response_status_codes"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct retry_policy policy = {.attempts = 1};
        char why[200] = "";

        check_false(cases[i].text, parse(cases[i].text, &policy, why, sizeof why));
        check_contains(cases[i].text, why, cases[i].field);
        check_contains(cases[i].text, why, "expected");
        check_lacks(cases[i].text, why, "\n");
    }
}

/* -(2^32) + 429: a status once it is squeezed into 32 bits. */
static void refuses_a_status_out_of_range(void **state)
{
    struct retry_policy policy = {.attempts = 1};
    char why[200];

    (void)state;
    assert_false(parse("{\"response_status_codes\":[-4294966867]}", &policy, why, sizeof why));
}

static void bounds_the_number_of_ranges(void **state)
{
    (void)state;
    for (size_t count = 15; count <= 17; count++) {
        char *list = check_repeat("\"429\",", count), text[300];
        struct retry_policy policy = {.attempts = 1};
        char why[200];

        list[strlen(list) - 1] = '\0';
        snprintf(text, sizeof text, "{\"response_status_codes\":[%s]}", list);
        check_int(text, parse(text, &policy, why, sizeof why), count <= RETRY_STATUS_RANGES);
        free(list);
    }
}

static void decides_when(void **state)
{
    static const struct {
        const char *name;
        bool linear;
        int64_t attempts, base, max;
        int64_t spent, retry_after;
        int64_t pause; /* -1: no more */
    } cases[] = {
        {"exponential, first", false, 5, 30, 3600, 1, 0, 30},
        {"exponential, second", false, 5, 30, 3600, 2, 0, 60},
        {"exponential, fourth", false, 5, 30, 3600, 4, 0, 240},
        {"exponential, used up", false, 5, 30, 3600, 5, 0, -1},
        {"exponential, more than used up", false, 5, 30, 3600, 6, 0, -1},
        {"exponential, limited", false, 50, 30, 3600, 9, 0, 3600},
        {"exponential, nothing spent", false, 5, 30, 3600, 0, 0, 30},
        {"linear, first", true, 5, 30, 3600, 1, 0, 30},
        {"linear, fourth", true, 5, 30, 3600, 4, 0, 30},
        {"linear, used up", true, 5, 30, 3600, 5, 0, -1},
        {"one attempt in all", false, 1, 30, 3600, 1, 0, -1},
        {"asked for more", true, 5, 30, 3600, 1, 100, 100},
        {"asked for more than the limit", false, 5, 30, 60, 1, 3600, 3600},
        {"asked for less", true, 5, 30, 3600, 1, 10, 30},
        {"asked for more, used up", true, 5, 30, 3600, 5, 100, -1},
        {"no pause", true, 5, 0, 3600, 1, 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct retry_policy policy = {
            .attempts = cases[i].attempts,
            .base = cases[i].base * SECOND,
            .max = cases[i].max * SECOND,
            .linear = cases[i].linear,
        };
        int64_t pause = -SECOND;

        check_int(cases[i].name,
                  retry_decide(&policy, cases[i].spent, 429, cases[i].retry_after * SECOND, &pause),
                  cases[i].pause >= 0);
        if (cases[i].pause >= 0)
            check_int(cases[i].name, pause, cases[i].pause * SECOND);
    }
}

static void jitter_takes_a_part(void **state)
{
    struct retry_policy policy = {
        .attempts = 5, .base = 30 * SECOND, .max = 3600 * SECOND, .jitter = true};
    bool differs = false;

    (void)state;
    for (int i = 0; i < 300; i++) {
        int64_t pause = -1;

        assert_true(retry_decide(&policy, 2, 429, 0, &pause));
        assert_true(pause >= 0 && pause <= 60 * SECOND);
        differs = differs || (pause != 60 * SECOND && pause != 0);
        assert_true(retry_decide(&policy, 2, 429, 60 * SECOND, &pause));
        assert_true(pause == 60 * SECOND); /* what the peer asked for is never shortened */
    }
    assert_true(differs);
}

static void statuses_are_listed_or_not(void **state)
{
    static const char limited[] = "{\"response_status_codes\":[\"429\",\"500-503\"]}";
    static const struct {
        int status;
        bool expected;
    } cases[] = {
        {0, true},   {428, false}, {429, true}, {430, false}, {499, false},
        {500, true}, {502, true},  {503, true}, {504, false}, {201, false},
    };
    struct retry_policy policy = {.attempts = 1};
    char why[200];

    (void)state;
    assert_true(parse(limited, &policy, why, sizeof why));
    for (size_t i = 0; i < COUNT(cases); i++) {
        char name[32];
        int64_t pause;

        snprintf(name, sizeof name, "status %d", cases[i].status);
        check_int(name, retry_decide(&policy, 1, cases[i].status, 0, &pause), cases[i].expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(absent_leaves_the_policy_alone),
        cmocka_unit_test(reads_policies),
        cmocka_unit_test(refuses_policies),
        cmocka_unit_test(refuses_a_status_out_of_range),
        cmocka_unit_test(bounds_the_number_of_ranges),
        cmocka_unit_test(decides_when),
        cmocka_unit_test(jitter_takes_a_part),
        cmocka_unit_test(statuses_are_listed_or_not),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
