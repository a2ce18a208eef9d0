#include "check.h"

#include "common/said.h"

static void each_text_is_news_once(void **state)
{
    struct said said = {.count = 0};

    (void)state;
    assert_true(said_is_new(&said, "refused"));
    assert_true(said_is_new(&said, "starting up"));
    assert_false(said_is_new(&said, "refused"));
    assert_false(said_is_new(&said, "starting up"));
    said_forget(&said);
    assert_true(said_is_new(&said, "refused"));
}

static void durations_and_counts_are_no_news(void **state)
{
    struct said said = {.count = 0};

    (void)state;
    assert_true(said_is_new(&said, "a:1: Connection refused (after 0ms in state CONNECT)"));
    assert_false(
        said_is_new(&said, "a:1: Connection refused (after 3ms in state CONNECT, 2 more)"));
    assert_true(said_is_new(&said, "b:1: Connection refused (after 0ms in state CONNECT)"));
    assert_true(said_is_new(&said, " (after "));
    assert_false(said_is_new(&said, ""));
}

static void it_ends(void **state)
{
    struct said said = {.count = 0};
    int lines = 0;

    (void)state;
    for (int i = 0; i < 100; i++) {
        char text[32];

        snprintf(text, sizeof text, "reason %d", i);
        lines += said_is_new(&said, text);
    }
    assert_int_equal(lines, SAID_MAX);
}

static void long_texts_are_told_apart_by_their_beginning(void **state)
{
    struct said said = {.count = 0};
    char text[1000];

    (void)state;
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    assert_true(said_is_new(&said, text));
    text[900] = 'y';
    assert_false(said_is_new(&said, text));
    text[0] = 'y';
    assert_true(said_is_new(&said, text));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_text_is_news_once),
        cmocka_unit_test(durations_and_counts_are_no_news),
        cmocka_unit_test(it_ends),
        cmocka_unit_test(long_texts_are_told_apart_by_their_beginning),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
