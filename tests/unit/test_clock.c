#include "check.h"

#include "common/clock.h"

static void formats_utc_with_microseconds(void **state)
{
    static const struct {
        int64_t unix_us;
        const char *expected;
    } cases[] = {
        {0, "1970-01-01T00:00:00.000000Z"},
        {1, "1970-01-01T00:00:00.000001Z"},
        {INT64_C(1795333709123456), "2026-11-22T07:48:29.123456Z"},
        {INT64_C(951782400000000), "2000-02-29T00:00:00.000000Z"},
        {INT64_C(4102444799999999), "2099-12-31T23:59:59.999999Z"},
    };
    char text[CLOCK_TEXT_SIZE];

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        check_string(cases[i].expected, clock_format(cases[i].unix_us, text), cases[i].expected);
        check_true(cases[i].expected, clock_is_rfc3339(text));
    }
    assert_ptr_equal(clock_format(0, text), text);
}

static void formats_moments_before_1970(void **state)
{
    char text[CLOCK_TEXT_SIZE];

    (void)state;
    assert_string_equal(clock_format(-1, text), "1969-12-31T23:59:59.999999Z");
    assert_string_equal(clock_format(-CLOCK_SECOND, text), "1969-12-31T23:59:59.000000Z");
}

static void now_goes_forward(void **state)
{
    int64_t first = clock_now(), second = clock_now();

    (void)state;
    assert_true(first > 0);
    assert_true(second >= first);
    /* After 2020 and before 2100: microseconds, neither seconds nor nanoseconds. */
    assert_in_range(clock_wall(), INT64_C(1577836800000000), INT64_C(4102444800000000));
}

struct text_case {
    const char *text;
    bool expected;
};

static void check_rfc3339(const struct text_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++)
        check_int(cases[i].text, clock_is_rfc3339(cases[i].text), cases[i].expected);
}

static void judges_rfc3339(void **state)
{
    static const struct text_case cases[] = {
        {"2026-11-22T07:48:29Z", true},
        {"2026-11-22t07:48:29z", true},
        {"2026-11-22 07:48:29Z", true},
        {"2026-11-22T07:48:29.5+02:00", true},
        {"2026-11-22T07:48:29.123456789012Z", true},
        {"2026-11-22T07:48:29-23:59", true},
        {"2016-12-31T23:59:60Z", true},
        {"0000-01-01T00:00:00Z", true},
        {"2024-02-29T00:00:00Z", true},
        {"", false},
        {"2026-11-22", false},
        {"2026-11-22T07:48:29", false},
        {"2026-11-22T07:48Z", false},
        {"2026-11-22T07:48:29.Z", false},
        {"2026-11-22T07:48:29,5Z", false},
        {"2026-11-22T07:48:29+0200", false},
        {"2026-11-22T07:48:29+02", false},
        {"2026-11-22T07:48:29+24:00", false},
        {"2026-11-22T07:48:29+02:60", false},
        {"2026-11-22T07:48:29ZZ", false},
        {"2026-11-22T07:48:29Z ", false},
        {" 2026-11-22T07:48:29Z", false},
        {"2026-11-22_07:48:29Z", false},
        {"2026-00-22T07:48:29Z", false},
        {"2026-13-22T07:48:29Z", false},
        {"2026-11-00T07:48:29Z", false},
        {"2026-11-32T07:48:29Z", false},
        {"2026-11-22T24:00:00Z", false},
        {"2026-11-22T07:60:29Z", false},
        {"2026-11-22T07:48:61Z", false},
        {"26-11-22T07:48:29Z", false},
        {"2026-1-22T07:48:29Z", false},
        {"+2026-11-22T07:48:29Z", false},
        {"20261122T074829Z", false},
        {"1795333709", false},
        {"Sun, 22 Nov 2026 07:48:29 GMT", false},
    };

    (void)state;
    check_rfc3339(cases, COUNT(cases));
}

/* RFC 3339, 5.7: the day depends on the month and the year. */
static void judges_days_of_months(void **state)
{
    static const struct text_case cases[] = {
        {"2026-01-31T00:00:00Z", true},  {"2026-04-30T00:00:00Z", true},
        {"2026-02-28T00:00:00Z", true},  {"2000-02-29T00:00:00Z", true},
        {"2026-04-31T00:00:00Z", false}, {"2026-06-31T00:00:00Z", false},
        {"2026-09-31T00:00:00Z", false}, {"2026-11-31T00:00:00Z", false},
        {"2026-02-30T00:00:00Z", false}, {"2026-02-29T00:00:00Z", false},
        {"1900-02-29T00:00:00Z", false},
    };

    (void)state;
    check_rfc3339(cases, COUNT(cases));
}

/* ---- the database's clock ---- */

/* A database whose clock runs apart from ours: an offset, a rate, and jumps. */
struct world {
    int64_t offset;
    int64_t ppm;
    int64_t jump;
};

static int64_t world_stamp(const struct world *world, int64_t at)
{
    int64_t ahead = at * world->ppm;

    /* Rounded down, as clocks are read. */
    return at + world->offset + world->jump + ahead / 1000000 - (ahead % 1000000 < 0);
}

/* A round trip from `sent` on that takes `width`; the database looks at its clock `share` % in. */
static int64_t world_sample(const struct world *world, struct db_clock *clock, int64_t sent,
                            int64_t width, int64_t share)
{
    db_clock_sample(clock, world_stamp(world, sent + width * share / 100), sent, sent + width);
    return sent + width;
}

static void reads_dates_of_servers(void **state)
{
    static const struct {
        const char *text;
        int64_t expected; /* seconds */
    } cases[] = {
        {"Fri, 24 May 2019 17:44:46 +0000", 1558719886},
        {"Fri, 24 May 2019 17:44:46 GMT", 1558719886},
        {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
        {"Fri, 31 Dec 9999 23:59:59 GMT", INT64_C(253402300799)},
        {"Sat, 01 Jan 10000 00:00:00 GMT", 0},
        {"Fri, 24 May 2019000", 0}, /* that many microseconds are too many for 64 bits */
        {"yesterday", 0},
        {"", 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        check_int(cases[i].text, clock_parse_date(cases[i].text), cases[i].expected * CLOCK_SECOND);
    assert_int_equal(clock_parse_date(NULL), 0);
}

static void nothing_is_known_at_first(void **state)
{
    struct db_clock clock = {0};

    (void)state;
    assert_false(db_clock_known(&clock));
    db_clock_sample(&clock, 5000, 100, 200);
    assert_true(db_clock_known(&clock));
    assert_false(clock.stepped);
}

static void one_sample_gives_bounds(void **state)
{
    struct db_clock clock = {0};

    (void)state;
    db_clock_sample(&clock, INT64_C(50000000), 1000, 3000);
    /* At `received` it was between `stamp` and `stamp` + the round trip, and little beyond. */
    assert_in_range(INT64_C(50000000) - db_clock_earliest(&clock, 3000), 0, 1);
    assert_in_range(db_clock_latest(&clock, 3000) - INT64_C(50002000), 0, 2);
    /* Ten seconds later the drift has widened that by a millisecond to each side. */
    assert_in_range(INT64_C(60000000) - db_clock_earliest(&clock, 10003000), 1000, 1002);
    assert_in_range(db_clock_latest(&clock, 10003000) - INT64_C(60002000), 1000, 1002);
    assert_in_range(db_clock_when(&clock, INT64_C(60000000)) - 10003000, 1000, 1002);
    /* And it has surely not passed the stamp a round trip, and the drift, before. */
    assert_in_range(10001000 - db_clock_before(&clock, INT64_C(60000000)), 1000, 1002);
}

static void a_tighter_sample_replaces(void **state)
{
    struct db_clock clock = {0};

    (void)state;
    db_clock_sample(&clock, 1000000, 0, 1000);
    db_clock_sample(&clock, 1002000, 1900, 2100);
    assert_int_equal(clock.received, 2100);
    assert_false(clock.stepped);
}

static void a_wider_sample_is_left_until_the_old_one_has_aged(void **state)
{
    struct db_clock clock = {0};

    (void)state;
    db_clock_sample(&clock, 1000000, 1000, 1100);
    db_clock_sample(&clock, 1009000, 10000, 11000);
    assert_int_equal(clock.received, 1100);
    /* Ten seconds of drift are 2 × 1 ms: by now a round trip of 1 ms is the better one. */
    db_clock_sample(&clock, 11009000, 10010000, 10011000);
    assert_int_equal(clock.received, 10011000);
    assert_false(clock.stepped);
}

static void a_jump_is_noticed(void **state)
{
    static const struct {
        const char *name;
        int64_t jump;
        int64_t width;
    } cases[] = {
        {"an hour ahead", 3600 * CLOCK_SECOND, 1000},
        {"an hour back", -3600 * CLOCK_SECOND, 1000},
        {"50 ms ahead", 50 * CLOCK_MS, 1000},
        {"50 ms back", -50 * CLOCK_MS, 1000},
        {"a second ahead, in a slow round trip", CLOCK_SECOND, 400 * CLOCK_MS},
        {"a second back, in a slow round trip", -CLOCK_SECOND, 400 * CLOCK_MS},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct world world = {.offset = INT64_C(1700000000000000), .ppm = 20};
        struct db_clock clock = {0};
        int64_t at = world_sample(&world, &clock, CLOCK_SECOND, 1000, 50);

        at = world_sample(&world, &clock, at + CLOCK_SECOND, 1000, 50);
        check_false(cases[i].name, clock.stepped);
        world.jump = cases[i].jump;
        at = world_sample(&world, &clock, at + CLOCK_SECOND, cases[i].width, 50);
        check_true(cases[i].name, clock.stepped);
        check_true(cases[i].name, db_clock_earliest(&clock, at) <= world_stamp(&world, at));
        check_true(cases[i].name, db_clock_latest(&clock, at) >= world_stamp(&world, at));
        world_sample(&world, &clock, at + CLOCK_SECOND, cases[i].width, 50);
        check_false(cases[i].name, clock.stepped);
    }
}

enum look { LOOK_BOUNDS, LOOK_WHEN, LOOK_STEPPED };

/* Whether what the clock says of the moment `at`, and of a stamp near it, is true. */
static bool holds(const struct world *world, const struct db_clock *clock, enum look look,
                  int64_t at)
{
    int64_t now = world_stamp(world, at);

    switch (look) {
    case LOOK_BOUNDS:
        return db_clock_earliest(clock, at) <= now && now <= db_clock_latest(clock, at);
    case LOOK_WHEN:
        return world_stamp(world, db_clock_when(clock, now)) >= now &&
               world_stamp(world, db_clock_before(clock, now)) <= now;
    default:
        return !clock->stepped;
    }
}

/*
 * Many worlds, in each a row of round trips of any length in which the database looks at its clock
 * at any moment (often just after the start or just before the end, the worst cases).
 */
static void simulate(enum look look, int64_t horizon)
{
    static const int64_t shares[] = {0, 0, 1, 37, 50, 99, 100, 100};
    static const int64_t rates[] = {-100, -100, -31, 0, 17, 100, 100};
    uint64_t seed = 42;

    for (int i = 0; i < 400; i++) {
        struct world world = {
            .offset = (int64_t)check_random(&seed, UINT64_C(3600000000000000)),
            .ppm = rates[check_random(&seed, COUNT(rates))],
        };
        int64_t at = 1 + (int64_t)check_random(&seed, UINT64_C(100000000000));
        struct db_clock clock = {0};
        char name[96];

        for (int k = 0; k < 40; k++) {
            int64_t width = (int64_t)check_random(&seed, k % 5 == 0 ? 500000 : 3000);
            int64_t sent = at + (int64_t)check_random(&seed, 3000000);

            at = world_sample(&world, &clock, sent, width, shares[check_random(&seed, 8)]);
            for (int look_at = 0; look_at < 5; look_at++) {
                int64_t moment = at + (int64_t)check_random(&seed, (uint64_t)horizon);

                snprintf(name, sizeof name, "world %d (%d ppm), sample %d, %lld us later", i,
                         (int)world.ppm, k, (long long)(moment - at));
                check_true(name, holds(&world, &clock, look, at));
                check_true(name, holds(&world, &clock, look, moment));
            }
        }
    }
}

static void bounds_contain_the_truth(void **state)
{
    (void)state;
    simulate(LOOK_BOUNDS, 60 * CLOCK_SECOND);
}

static void when_is_never_early(void **state)
{
    (void)state;
    simulate(LOOK_WHEN, 60 * CLOCK_SECOND);
}

/* A retry may be an hour ahead. */
static void when_is_never_early_for_far_moments(void **state)
{
    (void)state;
    simulate(LOOK_WHEN, 3600 * CLOCK_SECOND);
}

static void a_steady_world_has_no_jumps(void **state)
{
    (void)state;
    simulate(LOOK_STEPPED, CLOCK_SECOND);
}

/* Never early must not become never: at most what the round trip and the drift leave open. */
static void when_is_not_late(void **state)
{
    struct world world = {.offset = INT64_C(1700000000000000), .ppm = 0};
    struct db_clock clock = {0};
    int64_t at = world_sample(&world, &clock, CLOCK_SECOND, 800, 0);
    int64_t stamp = world_stamp(&world, at + 250 * CLOCK_MS);

    (void)state;
    assert_in_range(db_clock_when(&clock, stamp) - (at + 250 * CLOCK_MS), 0, 800 + 25 + 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats_utc_with_microseconds),
        cmocka_unit_test(formats_moments_before_1970),
        cmocka_unit_test(now_goes_forward),
        cmocka_unit_test(judges_rfc3339),
        cmocka_unit_test(judges_days_of_months),
        cmocka_unit_test(reads_dates_of_servers),
        cmocka_unit_test(nothing_is_known_at_first),
        cmocka_unit_test(one_sample_gives_bounds),
        cmocka_unit_test(a_tighter_sample_replaces),
        cmocka_unit_test(a_wider_sample_is_left_until_the_old_one_has_aged),
        cmocka_unit_test(a_jump_is_noticed),
        cmocka_unit_test(bounds_contain_the_truth),
        cmocka_unit_test(when_is_never_early),
        cmocka_unit_test(when_is_never_early_for_far_moments),
        cmocka_unit_test(a_steady_world_has_no_jumps),
        cmocka_unit_test(when_is_not_late),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
