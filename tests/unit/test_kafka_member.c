#include "check.h"

#include "common/buf.h"
#include "common/kafka_member.h"
#include "common/log.h"
#include "common/metrics.h"

/* What was told: how often, and what last. */
struct told {
    int count;
    enum kafka_condition condition;
    char reason[300]; /* "" if there was none */
};

struct fixture {
    struct kafka_member *member;
    struct told told;
};

static const char joining[] = "joining the consumer group";
static const char away[] = "no broker can be reached";

static void on_changed(void *arg, enum kafka_condition condition, const char *reason)
{
    struct told *told = arg;

    told->count++;
    told->condition = condition;
    snprintf(told->reason, sizeof told->reason, "%s", reason != NULL ? reason : "");
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    log_configure(LOG_ERROR, true);
    metrics_reset();
    f->member = kafka_member_new(on_changed, &f->told);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    kafka_member_free(f->member);
    free(f);
    return 0;
}

/* Statistics with a broker, the group and, as JSON, topics. */
static void statistics(struct fixture *f, const char *broker, const char *group, const char *join,
                       const char *topics)
{
    char text[2000];

    snprintf(text, sizeof text,
             "{\"brokers\": {\"a:9092/1\": {\"state\": \"%s\", \"disconnects\": 2},"
             "              \"b:9092/2\": {\"state\": \"DOWN\", \"disconnects\": 3}},"
             " \"cgrp\": {\"state\": \"%s\", \"join_state\": \"%s\"}, \"topics\": {%s}}",
             broker, group, join, topics);
    kafka_member_statistics(f->member, text);
}

static void steady(struct fixture *f)
{
    statistics(f, "UP", "up", "steady", "");
}

static void unsteady(struct fixture *f)
{
    statistics(f, "UP", "up", "wait-sync", "");
}

static void settle(struct fixture *f)
{
    steady(f);
    assert_int_equal(f->told.condition, KAFKA_SETTLED);
    assert_string_equal(f->told.reason, "");
    f->told.count = 0;
}

static char *scrape(void)
{
    struct buf out;

    buf_init(&out, 1 << 16);
    metrics_write(&out);
    return buf_detach(&out);
}

static void check_metric(const char *name, const char *part, bool wanted)
{
    char *text = scrape();

    if (wanted)
        check_contains(name, text, part);
    else
        check_lacks(name, text, part);
    free(text);
}

/* The first test of this program: before it no member has had statistics. */
static void lag_is_absent_until_it_is_known(void **state)
{
    struct fixture *f = *state;

    check_metric("at start", "mms_kafka_consumer_lag_events", false);
    kafka_member_statistics(f->member, "{\"topics\": ");
    check_metric("no JSON", "mms_kafka_consumer_lag_events", false);
    steady(f);
    check_metric("statistics", "mms_kafka_consumer_lag_events 0\n", true);
}

#define PARTITION(number, desired, stored, lag, low, high)                        \
    "\"" number "\": {\"desired\": " desired ", \"consumer_lag_stored\": " stored \
    ", \"consumer_lag\": " lag ", \"lo_offset\": " low ", \"hi_offset\": " high "}"

static void lag_is_the_sum_over_our_partitions(void **state)
{
    static const struct {
        const char *name, *topics, *sum;
    } cases[] = {
        {"no topic", "", "0"},
        {"behind what is stored",
         "\"t\": {\"partitions\": {" PARTITION("0", "true", "7", "9", "0", "100") "}}", "7"},
        {"nothing stored: behind what was committed",
         "\"t\": {\"partitions\": {" PARTITION("0", "true", "-1", "9", "0", "100") "}}", "9"},
        {"nothing committed: all that there is",
         "\"t\": {\"partitions\": {" PARTITION("0", "true", "-1", "-1", "40", "100") "}}", "60"},
        {"nothing committed, where the partition begins isn't known",
         "\"t\": {\"partitions\": {" PARTITION("0", "true", "-1", "-1", "-1001", "100") "}}", "0"},
        {"nothing is known",
         "\"t\": {\"partitions\": {" PARTITION("0", "true", "-1", "-1", "-1001", "-1001") "}}",
         "0"},
        {"somebody else's",
         "\"t\": {\"partitions\": {" PARTITION("0", "false", "7", "9", "0", "100") "}}", "0"},
        {"no partition",
         "\"t\": {\"partitions\": {" PARTITION("-1", "true", "7", "9", "0", "100") "}}", "0"},
        {"all of them",
         "\"t\": {\"partitions\": {" PARTITION("0", "true", "7", "9", "0", "100") ", " PARTITION(
             "1", "true", "20", "20", "0", "100") "}},"
                                                  "\"u\": {\"partitions\": {" PARTITION(
                                                      "0", "true", "-1", "300", "0",
                                                      "400") ", " PARTITION("1", "true", "-1", "-1",
                                                                            "-1001", "-1001") "}}",
         "327"},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        char line[80];

        statistics(*state, "UP", "up", "steady", cases[i].topics);
        snprintf(line, sizeof line, "mms_kafka_consumer_lag_events %s\n", cases[i].sum);
        check_metric(cases[i].name, line, true);
    }
}

static void disconnects_are_the_sum_over_brokers(void **state)
{
    steady(*state);
    check_metric("sum", "mms_kafka_disconnects_total 5\n", true);
}

static void what_statistics_say_is_told(void **state)
{
    static const struct {
        const char *name, *broker, *group, *join;
        enum kafka_condition condition;
        const char *reason;
    } cases[] = {
        {"no broker", "TRY_CONNECT", "query-coord", "init", KAFKA_AWAY, away},
        {"no coordinator", "UP", "wait-broker-transport", "init", KAFKA_UNSETTLED,
         "the group's coordinator can't be reached"},
        {"joining", "UP", "up", "wait-join", KAFKA_UNSETTLED, joining},
        {"settled", "UP", "up", "steady", KAFKA_SETTLED, ""},
        {"no coordinator any more", "UP", "query-coord", "steady", KAFKA_UNSETTLED,
         "the group's coordinator can't be reached"},
        {"settled again", "UP", "up", "steady", KAFKA_SETTLED, ""},
        {"no broker any more", "DOWN", "up", "steady", KAFKA_AWAY, away},
        {"back, and joining", "UP", "up", "init", KAFKA_UNSETTLED, joining},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        for (int again = 0; again < 2; again++)
            statistics(f, cases[i].broker, cases[i].group, cases[i].join, "");
        check_int(cases[i].name, f->told.condition, cases[i].condition);
        check_string(cases[i].name, f->told.reason, cases[i].reason);
        check_int(cases[i].name, f->told.count, (int)i + 1);
    }
}

static void what_is_no_statistics_changes_nothing(void **state)
{
    static const char *const cases[] = {"", "{", "{\"brokers\": {}} {}"};
    struct fixture *f = *state;

    settle(f);
    for (size_t i = 0; i < COUNT(cases); i++) {
        kafka_member_statistics(f->member, cases[i]);
        check_int(cases[i], f->told.count, 0);
    }
}

static void one_statistics_does_not_unsettle_two_in_a_row_do(void **state)
{
    struct fixture *f = *state;

    settle(f);
    unsteady(f);
    assert_int_equal(f->told.count, 0);
    unsteady(f);
    assert_int_equal(f->told.count, 1);
    assert_int_equal(f->told.condition, KAFKA_UNSETTLED);
    assert_string_equal(f->told.reason, joining);
    unsteady(f);
    assert_int_equal(f->told.count, 1);
    steady(f);
    assert_int_equal(f->told.count, 2);
    assert_int_equal(f->told.condition, KAFKA_SETTLED);
}

static void a_rebalance_does_not_flap(void **state)
{
    struct fixture *f = *state;

    settle(f);
    for (int i = 0; i < 10; i++) {
        unsteady(f);
        steady(f);
    }
    for (int i = 0; i < 10; i++) {
        unsteady(f);
        kafka_member_assigned(f->member);
        /* These are older than the assignment. */
        unsteady(f);
        kafka_member_assigned(f->member);
    }
    assert_int_equal(f->told.count, 0);
}

static void an_assignment_settles(void **state)
{
    struct fixture *f = *state;

    unsteady(f);
    assert_int_equal(f->told.condition, KAFKA_UNSETTLED);
    kafka_member_assigned(f->member);
    assert_int_equal(f->told.condition, KAFKA_SETTLED);
    f->told.count = 0;
    unsteady(f);
    assert_int_equal(f->told.count, 0);
}

static void a_refusal_is_told_at_once(void **state)
{
    struct fixture *f = *state;

    kafka_member_error(f->member, RD_KAFKA_RESP_ERR__AUTHENTICATION, "too early", false);
    assert_int_equal(f->told.count, 0);
    statistics(f, "AUTH_SASL", "init", "init", "");
    assert_string_equal(f->told.reason, "no broker can be reached: too early");
    kafka_member_error(f->member, RD_KAFKA_RESP_ERR__AUTHENTICATION,
                       "wrong password (after 3ms in state AUTH_REQ)", false);
    assert_int_equal(f->told.count, 2);
    assert_string_equal(f->told.reason, "no broker can be reached: wrong password");
    unsteady(f);
    assert_string_equal(f->told.reason, "joining the consumer group: wrong password");
    kafka_member_error(f->member, RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, "no right", false);
    assert_string_equal(f->told.reason, "joining the consumer group: no right");
    assert_int_equal(f->told.condition, KAFKA_UNSETTLED);
}

static void a_refusal_that_is_over_is_not_told_again(void **state)
{
    static const rd_kafka_resp_err_t refusals[] = {
        RD_KAFKA_RESP_ERR__AUTHENTICATION,
        RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED,
        RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < COUNT(refusals); i++) {
        const char *name = rd_kafka_err2name(refusals[i]);

        unsteady(f);
        unsteady(f);
        kafka_member_error(f->member, refusals[i], "refused", false);
        check_string(name, f->told.reason, "joining the consumer group: refused");
        settle(f);
        unsteady(f);
        unsteady(f);
        check_string(name, f->told.reason, joining);
        settle(f);
        statistics(f, "DOWN", "up", "steady", "");
        check_string(name, f->told.reason, away);
        settle(f);
        /* Of what a settled member is refused nothing is told, then or later. */
        kafka_member_error(f->member, refusals[i], "refused", false);
        check_int(name, f->told.count, 0);
        steady(f);
        kafka_member_error(f->member, RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, "all down", false);
        check_string(name, f->told.reason, away);
    }
}

static void why_no_broker_is_reached_is_told_with_it(void **state)
{
    struct fixture *f = *state;

    settle(f);
    kafka_member_error(f->member, RD_KAFKA_RESP_ERR__TRANSPORT,
                       "a:9092: Connection refused (after 0ms in state CONNECT)", false);
    assert_int_equal(f->told.count, 0);
    kafka_member_error(f->member, RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, "1/1 brokers down", false);
    assert_int_equal(f->told.count, 1);
    assert_int_equal(f->told.condition, KAFKA_AWAY);
    assert_string_equal(f->told.reason, "no broker can be reached: a:9092: Connection refused");
    /* It says nothing about a group whose brokers are there. */
    unsteady(f);
    assert_string_equal(f->told.reason, joining);
}

static void other_errors_change_nothing(void **state)
{
    struct fixture *f = *state;

    settle(f);
    kafka_member_error(f->member, RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, "no topic", false);
    assert_int_equal(f->told.count, 0);
    statistics(f, "DOWN", "up", "steady", "");
    assert_string_equal(f->told.reason, away);
}

static void a_fatal_error_is_for_good(void **state)
{
    struct fixture *f = *state;

    settle(f);
    kafka_member_error(f->member, RD_KAFKA_RESP_ERR__FATAL, "fenced", true);
    assert_int_equal(f->told.count, 1);
    assert_int_equal(f->told.condition, KAFKA_REFUSED);
    assert_string_equal(f->told.reason, "fenced");
    statistics(f, "UP", "up", "steady", "");
    statistics(f, "DOWN", "up", "steady", "");
    assert_int_equal(f->told.count, 1);
}

static void what_was_said_is_forgotten_by_a_settled_member(void **state)
{
    struct fixture *f = *state;
    struct said *said = kafka_member_said(f->member);

    unsteady(f);
    kafka_member_error(f->member, RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, "no topic", false);
    kafka_member_error(f->member, RD_KAFKA_RESP_ERR__TRANSPORT, "not reached", false);
    assert_false(said_is_new(said, "no topic"));
    assert_true(said_is_new(said, "not reached"));
    unsteady(f);
    assert_false(said_is_new(said, "no topic"));
    settle(f);
    assert_true(said_is_new(said, "no topic"));
    steady(f);
    assert_false(said_is_new(said, "no topic"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(lag_is_absent_until_it_is_known),
        TEST(lag_is_the_sum_over_our_partitions),
        TEST(disconnects_are_the_sum_over_brokers),
        TEST(what_statistics_say_is_told),
        TEST(what_is_no_statistics_changes_nothing),
        TEST(one_statistics_does_not_unsettle_two_in_a_row_do),
        TEST(a_rebalance_does_not_flap),
        TEST(an_assignment_settles),
        TEST(a_refusal_is_told_at_once),
        TEST(a_refusal_that_is_over_is_not_told_again),
        TEST(why_no_broker_is_reached_is_told_with_it),
        TEST(other_errors_change_nothing),
        TEST(a_fatal_error_is_for_good),
        TEST(what_was_said_is_forgotten_by_a_settled_member),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
