#include "check.h"

#include "common/clock.h"
#include "common/config.h"

struct settings {
    char *name;
    int64_t count;
    int64_t pause;
    bool enabled;
    char *level;
    char *password;
    int64_t pin;
};

static const struct config_setting table[] = {
    {"T_NAME", CONFIG_STRING, offsetof(struct settings, name), NULL, "who", 0, 0, NULL, false},
    {"T_COUNT", CONFIG_INTEGER, offsetof(struct settings, count), "5", "how many", 1, 100, NULL,
     false},
    {"T_PAUSE", CONFIG_DURATION, offsetof(struct settings, pause), "35s", "how long", 0,
     INT64_C(3600000000), NULL, false},
    {"T_ENABLED", CONFIG_BOOL, offsetof(struct settings, enabled), "true", "whether", 0, 0, NULL,
     false},
    {"T_LEVEL", CONFIG_CHOICE, offsetof(struct settings, level), "info", "how much", 0, 0,
     "debug|info|warn", false},
    {"T_X_PASSWORD", CONFIG_STRING, offsetof(struct settings, password), "", "the secret", 0, 0,
     NULL, true},
    {"T_PIN", CONFIG_INTEGER, offsetof(struct settings, pin), "1", "a secret number", 0, 9999, NULL,
     true},
};

struct loaded {
    struct settings settings;
    struct config_pairs pairs;
    char error[300];
    bool ok;
};

static void load(struct loaded *loaded, const char *const *environment)
{
    *loaded = (struct loaded){.ok = false};
    loaded->ok =
        config_load(table, COUNT(table), "T_", "T_X_", (char *const *)environment,
                    &loaded->settings, &loaded->pairs, loaded->error, sizeof loaded->error);
}

static void release(struct loaded *loaded)
{
    config_release(table, COUNT(table), &loaded->settings, &loaded->pairs);
    assert_null(loaded->settings.name);
    assert_null(loaded->pairs.pairs);
    assert_int_equal(loaded->pairs.count, 0);
}

static void defaults_hold(void **state)
{
    static const char *const environment[] = {
        "PATH=/bin", "T_NAME=n", "T_COUNT=", "T_LEVEL=", "TT_COUNT=9", NULL};
    struct loaded l;

    (void)state;
    load(&l, environment);
    assert_true(l.ok);
    assert_string_equal(l.settings.name, "n");
    assert_int_equal(l.settings.count, 5);
    assert_int_equal(l.settings.pause, 35000000);
    assert_true(l.settings.enabled);
    assert_string_equal(l.settings.level, "info");
    assert_string_equal(l.settings.password, "");
    assert_int_equal(l.pairs.count, 0);
    release(&l);
}

static void values_are_taken(void **state)
{
    static const char *const environment[] = {
        "T_NAME=a=b c",      "T_COUNT=100", "T_PAUSE=250ms", "T_ENABLED=off", "T_LEVEL=debug",
        "T_X_PASSWORD=hush", NULL};
    struct loaded l;

    (void)state;
    load(&l, environment);
    assert_true(l.ok);
    assert_string_equal(l.settings.name, "a=b c");
    assert_int_equal(l.settings.count, 100);
    assert_int_equal(l.settings.pause, 250000);
    assert_false(l.settings.enabled);
    assert_string_equal(l.settings.level, "debug");
    assert_string_equal(l.settings.password, "hush");
    assert_int_equal(l.pairs.count, 0); /* in the table: no pair, though of the family */
    release(&l);
}

static void a_family_is_passed_on(void **state)
{
    static const char *const environment[] = {"T_NAME=n", "T_X_SECURITY_PROTOCOL=SASL_SSL",
                                              "T_X_EMPTY=", "T_X_SASL_PASSWORD=p=w", NULL};
    struct loaded l;

    (void)state;
    load(&l, environment);
    assert_true(l.ok);
    assert_int_equal(l.pairs.count, 2);
    assert_string_equal(l.pairs.pairs[0].name, "security.protocol");
    assert_string_equal(l.pairs.pairs[0].value, "SASL_SSL");
    assert_string_equal(l.pairs.pairs[1].name, "sasl.password");
    assert_string_equal(l.pairs.pairs[1].value, "p=w");
    release(&l);
}

static void faults_are_one_line(void **state)
{
    static const struct {
        const char *variable;
        const char *name;     /* in the error */
        const char *expected; /* in the error */
    } cases[] = {
        {"T_COUNT=0", "T_COUNT", "from 1 to 100"},
        {"T_COUNT=101", "'101'", "from 1 to 100"},
        {"T_COUNT=five", "'five'", "a whole number"},
        {"T_COUNT=5x", "'5x'", "a whole number"},
        {"T_COUNT= 5", "T_COUNT", "a whole number"},
        {"T_COUNT=5 ", "T_COUNT", "a whole number"},
        {"T_COUNT=5.0", "T_COUNT", "a whole number"},
        {"T_COUNT=-1", "T_COUNT", "a whole number"},
        {"T_COUNT=99999999999999999999", "T_COUNT", "a whole number"},
        {"T_PAUSE=2h", "'2h'", "from 0s to 3600s"},
        {"T_PAUSE=35", "'35'", "a duration"},
        {"T_PAUSE=-5s", "T_PAUSE", "a duration"},
        {"T_PAUSE=9223372036854775807d", "T_PAUSE", "a duration"},
        {"T_ENABLED=maybe", "'maybe'", "true or false"},
        {"T_ENABLED=2", "T_ENABLED", "true or false"},
        {"T_LEVEL=loud", "'loud'", "debug|info|warn"},
        {"T_LEVEL=INFO", "T_LEVEL", "debug|info|warn"},
        {"T_LEVEL=inf", "T_LEVEL", "debug|info|warn"},
        {"T_LEVEL=debug|info", "T_LEVEL", "debug|info|warn"},
        {"T_COUNTS=5", "T_COUNTS", "no such setting"},
        {"T_COUN=5", "T_COUN:", "no such setting"},
        {"T_=5", "T_:", "no such setting"},
        {"T_X_=5", "T_X_:", "no such setting"},
        {"T_count=5", "T_count", "no such setting"},
        {"T_SECRET=hush", "T_SECRET", "no such setting"},
        {"T_PIN=hush", "'***'", "from 0 to 9999"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *const environment[] = {"T_NAME=n", cases[i].variable, NULL};
        struct loaded l;

        load(&l, environment);
        check_false(cases[i].variable, l.ok);
        check_contains(cases[i].variable, l.error, cases[i].name);
        check_contains(cases[i].variable, l.error, cases[i].expected);
        check_lacks(cases[i].variable, l.error, "\n");
        check_lacks(cases[i].variable, l.error, "hush");
        release(&l);
    }
}

static void a_required_setting_must_be_set(void **state)
{
    static const char *const absent[] = {"T_COUNT=5", NULL};
    static const char *const empty[] = {"T_NAME=", NULL};
    const char *const *environments[] = {absent, empty};

    (void)state;
    for (size_t i = 0; i < COUNT(environments); i++) {
        struct loaded l;

        load(&l, environments[i]);
        check_false(environments[i][0], l.ok);
        check_string(environments[i][0], l.error, "T_NAME: required, but not set");
        release(&l);
    }
}

static void bounds_are_included(void **state)
{
    static const struct {
        const char *variable;
        int64_t count, pause;
    } cases[] = {
        {"T_COUNT=1", 1, 35 * CLOCK_SECOND},
        {"T_COUNT=100", 100, 35 * CLOCK_SECOND},
        {"T_PAUSE=0", 5, 0},
        {"T_PAUSE=1h", 5, 3600 * CLOCK_SECOND},
        {"T_PAUSE=3600000ms", 5, 3600 * CLOCK_SECOND},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *const environment[] = {"T_NAME=n", cases[i].variable, NULL};
        struct loaded l;

        load(&l, environment);
        check_true(cases[i].variable, l.ok);
        check_int(cases[i].variable, l.settings.count, cases[i].count);
        check_int(cases[i].variable, l.settings.pause, cases[i].pause);
        release(&l);
    }
}

static void reads_booleans(void **state)
{
    static const struct {
        const char *variable;
        bool expected;
    } cases[] = {
        {"T_ENABLED=true", true}, {"T_ENABLED=yes", true},  {"T_ENABLED=on", true},
        {"T_ENABLED=1", true},    {"T_ENABLED=TRUE", true}, {"T_ENABLED=false", false},
        {"T_ENABLED=no", false},  {"T_ENABLED=off", false}, {"T_ENABLED=0", false},
        {"T_ENABLED=No", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *const environment[] = {"T_NAME=n", cases[i].variable, NULL};
        struct loaded l;

        load(&l, environment);
        check_true(cases[i].variable, l.ok);
        check_int(cases[i].variable, l.settings.enabled, cases[i].expected);
        release(&l);
    }
}

static void reads_durations(void **state)
{
    static const struct {
        const char *text;
        int64_t expected; /* -1: none */
    } cases[] = {
        {"0", 0},
        {"0s", 0},
        {"1ms", 1000},
        {"250ms", 250000},
        {"35s", 35000000},
        {"5m", 300000000},
        {"1h", INT64_C(3600000000)},
        {"2d", INT64_C(172800000000)},
        {"007s", 7000000},
        {"9223372036854s", INT64_C(9223372036854000000)},
        {"9223372036855s", -1},
        {"9223372036854775808ms", -1},
        {"", -1},
        {"s", -1},
        {"5", -1},
        {"5 s", -1},
        {" 5s", -1},
        {"5s ", -1},
        {"5S", -1},
        {"1.5s", -1},
        {"-5s", -1},
        {"+5s", -1},
        {"5us", -1},
        {"5sec", -1},
        {"1h30m", -1},
        {"0x5s", -1},
        {"infinity", -1},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        int64_t us = 12345;

        check_int(cases[i].text, config_parse_duration(cases[i].text, &us), cases[i].expected >= 0);
        if (cases[i].expected >= 0)
            check_int(cases[i].text, us, cases[i].expected);
    }
}

static void knows_names_of_secrets(void **state)
{
    static const struct {
        const char *name;
        bool expected;
    } cases[] = {
        {"sasl.password", true},
        {"SASL_PASSWORD", true},
        {"ssl.key.password", true},
        {"ssl.key.pem", true},
        {"ssl.keystore.password", true},
        {"sasl.oauthbearer.client.secret", true},
        {"sasl.oauthbearer.config", true},
        {"sasl.jaas.config", true},
        {"auth_token", true},
        {"sasl.username", false},
        {"security.protocol", false},
        {"ssl.ca.location", false},
        {"bootstrap.servers", false},
        {"group.id", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        check_int(cases[i].name, config_name_is_secret(cases[i].name), cases[i].expected);
}

static void help_lists_everything(void **state)
{
    static const char *const parts[] = {"T_NAME  (required)",   "who",
                                        "T_COUNT  (default 5)", "T_PAUSE  (default 35s)",
                                        "debug|info|warn",      "T_X_PASSWORD\n"};
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    (void)state;
    assert_non_null(out);
    config_help(table, COUNT(table), out);
    fclose(out);
    for (size_t i = 0; i < COUNT(parts); i++)
        check_contains(parts[i], text, parts[i]);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_hold),
        cmocka_unit_test(values_are_taken),
        cmocka_unit_test(a_family_is_passed_on),
        cmocka_unit_test(faults_are_one_line),
        cmocka_unit_test(a_required_setting_must_be_set),
        cmocka_unit_test(bounds_are_included),
        cmocka_unit_test(reads_booleans),
        cmocka_unit_test(reads_durations),
        cmocka_unit_test(knows_names_of_secrets),
        cmocka_unit_test(help_lists_everything),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
