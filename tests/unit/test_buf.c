#include "check.h"

#include "common/buf.h"

static void starts_empty(void **state)
{
    struct buf buf;

    (void)state;
    buf_init(&buf, 10);
    assert_null(buf.data);
    assert_int_equal(buf.length, 0);
    assert_int_equal(buf.max, 10);
    assert_false(buf.overflow);
    buf_release(&buf);
}

static void adds_and_terminates(void **state)
{
    struct buf buf;

    (void)state;
    buf_init(&buf, 100);
    assert_true(buf_add(&buf, "ab", 2));
    assert_string_equal(buf.data, "ab");
    assert_true(buf_add_char(&buf, 'c'));
    assert_string_equal(buf.data, "abc");
    assert_true(buf_add_string(&buf, "de"));
    assert_string_equal(buf.data, "abcde");
    assert_true(buf_printf(&buf, "%d-%s", 7, "x"));
    assert_string_equal(buf.data, "abcde7-x");
    assert_int_equal(buf.length, 8);
    assert_true(buf_add(&buf, "\0z", 2));
    assert_int_equal(buf.length, 10);
    assert_memory_equal(buf.data, "abcde7-x\0z", 11);
    buf_release(&buf);
}

static void adds_nothing_from_nowhere(void **state)
{
    struct buf buf;

    (void)state;
    buf_init(&buf, 4);
    assert_true(buf_add(&buf, NULL, 0));
    assert_int_equal(buf.length, 0);
    assert_string_equal(buf.data, "");
    buf_release(&buf);
}

static void cuts_at_its_bound(void **state)
{
    static const struct {
        size_t max;
        const char *first, *second;
        bool first_fits, second_fits, overflow;
        const char *expected;
    } cases[] = {
        {6, "abc", "def", true, true, false, "abcdef"},
        {5, "abc", "def", true, false, true, "abcde"},
        {3, "abc", "def", true, false, true, "abc"},
        {2, "abc", "d", false, false, true, "ab"},
        {0, "a", "", false, true, true, ""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf buf;

        buf_init(&buf, cases[i].max);
        check_int(cases[i].expected, buf_add_string(&buf, cases[i].first), cases[i].first_fits);
        check_int(cases[i].expected, buf_add_string(&buf, cases[i].second), cases[i].second_fits);
        check_string(cases[i].expected, buf.data, cases[i].expected);
        check_int(cases[i].expected, buf.overflow, cases[i].overflow);
        check_int(cases[i].expected, (int64_t)buf.length, (int64_t)strlen(cases[i].expected));
        buf_release(&buf);
    }
}

static void overflow_stays_set(void **state)
{
    struct buf buf;

    (void)state;
    buf_init(&buf, 4);
    assert_false(buf_add_string(&buf, "abcde"));
    assert_true(buf_add(&buf, "", 0));
    assert_true(buf.overflow);
    buf_clear(&buf);
    assert_false(buf.overflow);
    assert_string_equal(buf.data, "");
    assert_true(buf_add_string(&buf, "xy"));
    assert_string_equal(buf.data, "xy");
    buf_release(&buf);
}

static void printf_keeps_to_the_bound(void **state)
{
    struct buf buf;

    (void)state;
    buf_init(&buf, 5);
    assert_true(buf_add_string(&buf, "ab"));
    assert_true(buf_printf(&buf, "%s", "cde"));
    assert_string_equal(buf.data, "abcde");
    assert_false(buf.overflow);
    assert_false(buf_printf(&buf, "%d", 1));
    assert_true(buf.overflow);
    assert_string_equal(buf.data, "abcde");
    buf_release(&buf);
}

static void grows_over_many_steps(void **state)
{
    struct buf buf;

    (void)state;
    buf_init(&buf, 100000);
    for (int i = 0; i < 10000; i++)
        assert_true(buf_printf(&buf, "%05d", i));
    assert_int_equal(buf.length, 50000);
    for (int i = 0; i < 10000; i++) {
        char expected[16];

        snprintf(expected, sizeof expected, "%05d", i);
        assert_memory_equal(buf.data + 5 * i, expected, 5);
    }
    assert_int_equal(buf.data[50000], '\0');
    buf_release(&buf);
    assert_null(buf.data);
    assert_int_equal(buf.max, 100000);
}

static void integers_are_big_endian(void **state)
{
    static const unsigned char expected[] = {0xde, 0xad, 0xbe, 0xef, 0x01, 0x02,
                                             0x03, 0x04, 0x05, 0x06, 0x07, 0x08};
    struct buf buf;

    (void)state;
    buf_init(&buf, 12);
    assert_true(buf_add_be32(&buf, 0xdeadbeef));
    assert_true(buf_add_be64(&buf, UINT64_C(0x0102030405060708)));
    assert_int_equal(buf.length, sizeof expected);
    assert_memory_equal(buf.data, expected, sizeof expected);
    assert_false(buf_add_be32(&buf, 1));
    assert_true(buf.overflow);
    buf_release(&buf);
}

static void detach_hands_over(void **state)
{
    struct buf buf;
    char *text;

    (void)state;
    buf_init(&buf, 10);
    text = buf_detach(&buf);
    assert_string_equal(text, "");
    free(text);
    buf_add_string(&buf, "abc");
    text = buf_detach(&buf);
    assert_string_equal(text, "abc");
    assert_null(buf.data);
    assert_int_equal(buf.length, 0);
    assert_int_equal(buf.max, 10);
    buf_add_string(&buf, "new");
    assert_string_equal(text, "abc");
    free(text);
    buf_release(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_empty),
        cmocka_unit_test(adds_and_terminates),
        cmocka_unit_test(adds_nothing_from_nowhere),
        cmocka_unit_test(cuts_at_its_bound),
        cmocka_unit_test(overflow_stays_set),
        cmocka_unit_test(printf_keeps_to_the_bound),
        cmocka_unit_test(grows_over_many_steps),
        cmocka_unit_test(integers_are_big_endian),
        cmocka_unit_test(detach_hands_over),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
