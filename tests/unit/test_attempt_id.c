#include "check.h"

#include "worker/attempt_id.h"

#define OWL "\xf0\x9f\xa6\x89"

static void urls(void **state)
{
    static const struct {
        const char *url;
        const char *expected;
    } cases[] = {
        {"https://a.example/cb", "https://a.example/cb?attempt=7.2.ZGVzXzE"},
        {"https://a.example/cb?k=v", "https://a.example/cb?k=v&attempt=7.2.ZGVzXzE"},
        {"https://a.example/cb#rc=3&rp=all",
         "https://a.example/cb?attempt=7.2.ZGVzXzE#rc=3&rp=all"},
        {"https://a.example/cb?k=v#rc=3?x", "https://a.example/cb?k=v&attempt=7.2.ZGVzXzE#rc=3?x"},
        {"https://a.example/cb?", "https://a.example/cb?attempt=7.2.ZGVzXzE"},
        {"https://a.example/cb?k=v&", "https://a.example/cb?k=v&attempt=7.2.ZGVzXzE"},
        {"https://a.example", "https://a.example/?attempt=7.2.ZGVzXzE"},
        {"https://a.example?k=/", "https://a.example/?k=/&attempt=7.2.ZGVzXzE"},
        {"https://a.example:8443#rc=1/", "https://a.example:8443/?attempt=7.2.ZGVzXzE#rc=1/"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *url = attempt_id_url(cases[i].url, "des_1", 7, 2);

        check_string(cases[i].url, url, cases[i].expected);
        free(url);
    }
}

static void check_there_and_back(const char *destination_id, int64_t delivery_id, int attempt)
{
    struct attempt_id id;
    struct buf text;

    buf_init(&text, 4096);
    attempt_id_write(&text, destination_id, delivery_id, attempt);
    /* Unreserved characters alone. */
    check_int(text.data,
              strspn(text.data, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                "0123456789-._~"),
              (int64_t)text.length);
    check_true(text.data, attempt_id_parse(text.data, text.length, &id));
    check_string(text.data, id.destination_id, destination_id);
    check_int(text.data, id.delivery_id, delivery_id);
    check_int(text.data, id.attempt, attempt);
    attempt_id_release(&id);
    buf_release(&text);
}

static void there_and_back(void **state)
{
    char *longest = check_repeat(OWL, 255);

    (void)state;
    check_there_and_back("d", 1, 1);
    check_there_and_back("des_01?&=#/+ %41~", 42, 3);
    check_there_and_back("gr\xc3\xbc\xc3\x9f", INT64_MAX, INT32_MAX);
    check_there_and_back(longest, 1000, 10);
    free(longest);
}

static void refuses_any_other_form(void **state)
{
    static const char *const wrong[] = {
        "",
        ".",
        "..",
        "7",
        "7.2",
        "7.2.",
        "7..ZA",
        ".2.ZA",
        "0.2.ZA",
        "7.0.ZA",
        "07.2.ZA",
        "7.02.ZA",
        "+7.2.ZA",
        "-7.2.ZA",
        " 7.2.ZA",
        "7.2.ZA ",
        "7.2.ZA==",
        "7.2.Z",
        "7.2.ZB",
        "7.2.+/+/",
        "7,2,ZA",
        "7.2.ZA.",
        "7.2.ZA.3",
        "7a.2.ZA",
        "0x7.2.ZA",
        "7.2.%5AA",
        "9223372036854775808.2.ZA",
        "99999999999999999999.2.ZA",
        "7.2147483648.ZA",
        "7.4294967297.ZA",
        "7.2.AA",   /* a NUL */
        "7.2.ZAAA", /* "d\0\0" */
        "7.2.Cg",   /* a line feed */
        "7.2.woU",  /* U+0085 */
        "7.2._w",   /* 0xff */
        "7.2.7aCA", /* a surrogate */
    };

    (void)state;
    for (size_t i = 0; i < COUNT(wrong); i++) {
        struct attempt_id id;

        check_false(wrong[i], attempt_id_parse(wrong[i], strlen(wrong[i]), &id));
    }
}

static void refuses_an_id_that_is_too_long(void **state)
{
    static const char *const units[] = {"x", OWL};

    (void)state;
    for (size_t i = 0; i < COUNT(units); i++) {
        char *longer = check_repeat(units[i], 256);
        struct attempt_id id;
        struct buf text;

        buf_init(&text, 4096);
        attempt_id_write(&text, longer, 1, 1);
        assert_false(attempt_id_parse(text.data, text.length, &id));
        buf_release(&text);
        free(longer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls),
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(refuses_any_other_form),
        cmocka_unit_test(refuses_an_id_that_is_too_long),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
