#include "check.h"

#include "worker/attempt_log.h"

static void urls_are_left_out(void **state)
{
    static const struct {
        const char *name, *text, *expected;
    } cases[] = {
        {"nothing", "", ""},
        {"no URL", "the 'To' number is not valid", "the 'To' number is not valid"},
        {"alone", "https://a.example/b?c=d", "(URL)"},
        {"at the end", "Invalid media URL: http://a.example/b", "Invalid media URL: (URL)"},
        {"in quotes", "got 'https://a.example/b', hm", "got '(URL)', hm"},
        {"two", "http://a/ and HTTPS://b/", "(URL) and (URL)"},
        {"behind letters", "hhhttps://a.example/", "hh(URL)"},
        {"no scheme", "http: https:/ ftp://a.example", "http: https:/ ftp://a.example"},
        {"UTF-8", "grün https://ü.example/ü 🦉", "grün (URL) 🦉"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char out[512];

        attempt_log_without_urls(cases[i].text, out, sizeof out);
        check_string(cases[i].name, out, cases[i].expected);
    }
}

static void it_fits(void **state)
{
    char out[8];

    (void)state;
    attempt_log_without_urls("0123456789", out, sizeof out);
    assert_string_equal(out, "0123456");
    attempt_log_without_urls("0123 https://a.example/ rest", out, sizeof out);
    assert_string_equal(out, "0123 (U");
    attempt_log_without_urls("012345hhhh", out, sizeof out);
    assert_string_equal(out, "012345h");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_are_left_out),
        cmocka_unit_test(it_fits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
