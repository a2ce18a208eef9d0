#include "check.h"

#include "common/flood.h"

#define SECOND INT64_C(1000000)

static int said_of(struct flood *flood, int kind, const char *text, int times, int64_t now)
{
    int said = 0;

    for (int i = 0; i < times; i++)
        said += flood_admits(flood, kind, text, now);
    return said;
}

static void the_first_are_said_the_others_counted(void **state)
{
    struct flood flood = {0};
    struct flood_text ended;

    (void)state;
    assert_int_equal(said_of(&flood, 1, "full", 1000, SECOND), FLOOD_MAX);
    assert_int_equal(flood_next_end(&flood), SECOND + FLOOD_WINDOW);
    assert_false(flood_take_ended(&flood, SECOND + FLOOD_WINDOW - 1, &ended));
    assert_true(flood_take_ended(&flood, SECOND + FLOOD_WINDOW, &ended));
    assert_string_equal(ended.text, "full");
    assert_int_equal(ended.kind, 1);
    assert_int_equal(ended.held, 1000 - FLOOD_MAX);
    assert_false(flood_take_ended(&flood, SECOND + FLOOD_WINDOW, &ended));
    assert_int_equal(flood_next_end(&flood), INT64_MAX);
}

static void few_are_no_flood(void **state)
{
    struct flood flood = {0};
    struct flood_text ended;

    (void)state;
    assert_int_equal(said_of(&flood, 1, "full", FLOOD_MAX, 0), FLOOD_MAX);
    assert_int_equal(flood_next_end(&flood), INT64_MAX);
    assert_false(flood_take_ended(&flood, FLOOD_WINDOW, &ended));
    assert_int_equal(said_of(&flood, 1, "full", FLOOD_MAX, FLOOD_WINDOW), FLOOD_MAX);
}

static void each_text_and_kind_has_its_own_count(void **state)
{
    struct flood flood = {0};
    struct flood_text ended;
    int64_t held = 0;

    (void)state;
    assert_int_equal(said_of(&flood, 1, "full", 20, 0), FLOOD_MAX);
    assert_int_equal(said_of(&flood, 2, "full", 20, 0), FLOOD_MAX);
    assert_int_equal(said_of(&flood, 1, "empty", 20, 0), FLOOD_MAX);
    while (flood_take_ended(&flood, FLOOD_WINDOW, &ended))
        held += ended.held;
    assert_int_equal(held, 3 * (20 - FLOOD_MAX));
}

static void the_next_window_begins_anew(void **state)
{
    struct flood flood = {0};
    struct flood_text ended;

    (void)state;
    said_of(&flood, 1, "full", 20, 0);
    assert_true(flood_take_ended(&flood, FLOOD_WINDOW, &ended));
    assert_int_equal(said_of(&flood, 1, "full", 20, FLOOD_WINDOW), FLOOD_MAX);
    assert_int_equal(flood_next_end(&flood), 2 * FLOOD_WINDOW);
}

/* More texts than there is room for: none is lost, and those that are known stay bounded. */
static void what_is_not_remembered_is_said(void **state)
{
    struct flood flood = {0};
    struct flood_text ended;
    char text[32];
    int counts = 0;

    (void)state;
    for (int i = 0; i < FLOOD_TEXTS; i++) {
        snprintf(text, sizeof text, "text %d", i);
        assert_int_equal(said_of(&flood, 1, text, 11, 0), FLOOD_MAX);
    }
    assert_int_equal(said_of(&flood, 1, "one more", 100, 0), 100);
    assert_false(flood_admits(&flood, 1, "text 0", 0));
    while (flood_take_ended(&flood, FLOOD_WINDOW, &ended))
        counts++;
    assert_int_equal(counts, FLOOD_TEXTS);
    assert_int_equal(said_of(&flood, 1, "one more", 100, FLOOD_WINDOW), FLOOD_MAX);
}

static void long_texts_are_told_apart_by_their_beginning(void **state)
{
    struct flood flood = {0};
    char *text = check_repeat("x", 500);

    (void)state;
    assert_int_equal(said_of(&flood, 1, text, 20, 0), FLOOD_MAX);
    text[400] = 'y';
    assert_false(flood_admits(&flood, 1, text, 0));
    text[0] = 'y';
    assert_true(flood_admits(&flood, 1, text, 0));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_are_said_the_others_counted),
        cmocka_unit_test(few_are_no_flood),
        cmocka_unit_test(each_text_and_kind_has_its_own_count),
        cmocka_unit_test(the_next_window_begins_anew),
        cmocka_unit_test(what_is_not_remembered_is_said),
        cmocka_unit_test(long_texts_are_told_apart_by_their_beginning),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
