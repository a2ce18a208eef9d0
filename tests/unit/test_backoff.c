#include "check.h"

#include "common/backoff.h"

static void doubles_up_to_the_limit(void **state)
{
    static const struct {
        const char *name;
        int64_t base, max;
        unsigned times;
        int64_t expected;
    } cases[] = {
        {"not at all", 30, 3600, 0, 30},
        {"once", 30, 3600, 1, 60},
        {"six times", 30, 3600, 6, 1920},
        {"past the limit", 30, 3600, 7, 3600},
        {"exactly the limit", 10, 80, 3, 80},
        {"odd limit", 10, 79, 3, 79},
        {"limit below base", 100, 50, 0, 50},
        {"limit below base, doubled", 100, 50, 4, 50},
        {"limit is base", 50, 50, 9, 50},
        {"zero", 0, 50, 9, 0},
        {"very often", 1, 3600, 4000000000U, 3600},
        {"near the end of the range", INT64_MAX / 2, INT64_MAX, 1, INT64_MAX - 1},
        {"no overflow", INT64_MAX / 2 + 1, INT64_MAX, 1, INT64_MAX},
        {"no overflow, often", 3, INT64_MAX, 100, INT64_MAX},
        {"62 doublings of one", 1, INT64_MAX, 62, INT64_C(1) << 62},
        {"63 doublings of one", 1, INT64_MAX, 63, INT64_MAX},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        check_int(cases[i].name, backoff_exponential(cases[i].base, cases[i].max, cases[i].times),
                  cases[i].expected);
}

static void jitter_stays_within(void **state)
{
    static const int64_t limits[] = {1, 2, 1000, INT64_C(3600000000), INT64_MAX};

    (void)state;
    for (size_t i = 0; i < COUNT(limits); i++) {
        for (int k = 0; k < 500; k++) {
            int64_t value = backoff_jitter(limits[i]);

            assert_true(value >= 0 && value <= limits[i]);
        }
    }
    assert_int_equal(backoff_jitter(0), 0);
    assert_int_equal(backoff_jitter(-5), 0);
}

/* Each of the five values misses 500 draws once in 10^48 runs. */
static void jitter_reaches_every_value(void **state)
{
    int seen[5] = {0};

    (void)state;
    for (int k = 0; k < 500; k++)
        seen[backoff_jitter(4)]++;
    for (int value = 0; value < 5; value++)
        assert_true(seen[value] > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(doubles_up_to_the_limit),
        cmocka_unit_test(jitter_stays_within),
        cmocka_unit_test(jitter_reaches_every_value),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
