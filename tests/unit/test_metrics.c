#include "check.h"

#include "common/metrics.h"

static char *written(void)
{
    struct buf out;

    buf_init(&out, 1 << 16);
    metrics_write(&out);
    return buf_detach(&out);
}

static int reset(void **state)
{
    (void)state;
    metrics_reset();
    return 0;
}

static void values_stand_with_their_name_help_and_type(void **state)
{
    static struct metric sent = {
        .name = "sent_total", .type = "counter", .help = "Sent", .value = 7};
    static struct metric age = {
        .name = "age_seconds", .type = "gauge", .help = "Age", .micros = true, .value = 1500001};
    static struct metric gone = {
        .name = "gone", .type = "gauge", .help = "Nobody knows", .absent = true};
    char *text;

    (void)state;
    metrics_register(&sent);
    metrics_register(&age);
    metrics_register(&gone);
    text = written();
    assert_string_equal(text, "# HELP sent_total Sent\n"
                              "# TYPE sent_total counter\n"
                              "sent_total 7\n"
                              "# HELP age_seconds Age\n"
                              "# TYPE age_seconds gauge\n"
                              "age_seconds 1.500001\n");
    free(text);
}

static void seconds_are_exact(void **state)
{
    static struct metric age = {.name = "s", .type = "gauge", .help = "S", .micros = true};
    static const struct {
        const char *name;
        int64_t us;
    } cases[] = {
        {"s 0\n", 0},         {"s 1e-06\n", 1},      {"s 0.001\n", 1000},
        {"s 60\n", 60000000}, {"s -0.5\n", -500000}, {"s 1795467827.12345\n", 1795467827123450},
    };

    (void)state;
    metrics_register(&age);
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *text;

        age.value = cases[i].us;
        text = written();
        check_contains(cases[i].name, text, cases[i].name);
        free(text);
    }
}

static void metrics_of_one_name_come_together(void **state)
{
    static struct metric a = {
        .name = "a", .type = "gauge", .help = "A", .labels = {"kind", "one"}, .value = 1};
    static struct metric b = {.name = "b", .type = "gauge", .help = "B", .value = 2};
    static struct metric again = {.name = "a",
                                  .type = "gauge",
                                  .help = "A",
                                  .labels = {"kind", "two", "of", "x"},
                                  .value = 3};
    char *text;

    (void)state;
    metrics_register(&a);
    metrics_register(&b);
    metrics_register(&again);
    text = written();
    assert_string_equal(text, "# HELP a A\n"
                              "# TYPE a gauge\n"
                              "a{kind=\"one\"} 1\n"
                              "a{kind=\"two\",of=\"x\"} 3\n"
                              "# HELP b B\n"
                              "# TYPE b gauge\n"
                              "b 2\n");
    free(text);
}

static void help_and_labels_are_escaped(void **state)
{
    static struct metric m = {.name = "m",
                              .type = "gauge",
                              .help = "a \"b\" \\ c\nd",
                              .labels = {"l", "a \"b\" \\ c\nd"}};
    char *text;

    (void)state;
    metrics_register(&m);
    text = written();
    assert_string_equal(text, "# HELP m a \"b\" \\\\ c\\nd\n"
                              "# TYPE m gauge\n"
                              "m{l=\"a \\\"b\\\" \\\\ c\\nd\"} 0\n");
    free(text);
}

static void buckets_are_cumulative(void **state)
{
    static struct histogram histogram = {.bounds = {5000, 1000000}};
    static struct metric m = {.name = "h_seconds",
                              .type = "histogram",
                              .help = "H",
                              .labels = {"l", "v"},
                              .histogram = &histogram};
    static const int64_t durations[] = {-3, 0, 5000, 5001, 1000000, 1000001, INT64_C(1) << 40};
    char *text;

    (void)state;
    for (size_t i = 0; i < COUNT(durations); i++)
        histogram_observe(&histogram, durations[i]);
    metrics_register(&m);
    text = written();
    assert_string_equal(text, "# HELP h_seconds H\n"
                              "# TYPE h_seconds histogram\n"
                              "h_seconds_bucket{l=\"v\",le=\"0.005\"} 3\n"
                              "h_seconds_bucket{l=\"v\",le=\"1\"} 5\n"
                              "h_seconds_bucket{l=\"v\",le=\"+Inf\"} 7\n"
                              "h_seconds_sum{l=\"v\"} 1099513.637778\n"
                              "h_seconds_count{l=\"v\"} 7\n");
    free(text);
}

static void an_untouched_histogram_is_shown(void **state)
{
    static struct histogram histogram = {.bounds = {1000}};
    static struct metric m = {
        .name = "h", .type = "histogram", .help = "H", .histogram = &histogram};
    char *text;

    (void)state;
    metrics_register(&m);
    text = written();
    check_contains("bucket", text, "h_bucket{le=\"0.001\"} 0\nh_bucket{le=\"+Inf\"} 0\n");
    check_contains("sum", text, "h_sum 0\nh_count 0\n");
    free(text);
}

/* As many bounds as there may be: the last bucket is still there. */
static void a_full_histogram_has_its_last_bucket(void **state)
{
    static struct histogram histogram;
    static struct metric m = {
        .name = "h", .type = "histogram", .help = "H", .histogram = &histogram};
    char *text;

    (void)state;
    for (int i = 0; i < HISTOGRAM_BUCKETS_MAX; i++)
        histogram.bounds[i] = (i + 1) * INT64_C(1000000);
    histogram_observe(&histogram, INT64_C(1000000000));
    metrics_register(&m);
    text = written();
    check_contains("last bound", text, "h_bucket{le=\"16\"} 0\nh_bucket{le=\"+Inf\"} 1\n");
    free(text);
}

static void add_one(void *arg)
{
    ++*(int64_t *)arg;
}

static void values_are_looked_up_when_they_are_written(void **state)
{
    static struct metric m = {.name = "m", .type = "gauge", .help = "M"};
    char *text;

    (void)state;
    metrics_register(&m);
    metrics_on_write(add_one, &m.value);
    free(written());
    text = written();
    check_contains("twice", text, "m 2\n");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(values_stand_with_their_name_help_and_type, reset),
        cmocka_unit_test_setup(seconds_are_exact, reset),
        cmocka_unit_test_setup(metrics_of_one_name_come_together, reset),
        cmocka_unit_test_setup(help_and_labels_are_escaped, reset),
        cmocka_unit_test_setup(buckets_are_cumulative, reset),
        cmocka_unit_test_setup(an_untouched_histogram_is_shown, reset),
        cmocka_unit_test_setup(a_full_histogram_has_its_last_bucket, reset),
        cmocka_unit_test_setup(values_are_looked_up_when_they_are_written, reset),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
