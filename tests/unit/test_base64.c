#include "check.h"

#include "common/base64.h"

/* RFC 4648, section 10, and the bytes that tell the alphabets apart. */
static const struct {
    const char *bytes;
    const char *standard;
    const char *for_urls;
} cases[] = {
    {"", "", ""},
    {"f", "Zg==", "Zg"},
    {"fo", "Zm8=", "Zm8"},
    {"foo", "Zm9v", "Zm9v"},
    {"foob", "Zm9vYg==", "Zm9vYg"},
    {"fooba", "Zm9vYmE=", "Zm9vYmE"},
    {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
    {"\xfb\xff\xfe", "+//+", "-__-"},
    {"\xff\xff", "//8=", "__8"},
};

static void encodes(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char out[64];

        base64_encode(cases[i].bytes, strlen(cases[i].bytes), out);
        check_string(cases[i].bytes, out, cases[i].standard);
        base64url_encode(cases[i].bytes, strlen(cases[i].bytes), out);
        check_string(cases[i].bytes, out, cases[i].for_urls);
    }
}

static void decodes_what_it_encodes(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf out;

        buf_init(&out, 64);
        assert_true(base64url_decode(cases[i].for_urls, strlen(cases[i].for_urls), &out));
        check_string(cases[i].bytes, out.data != NULL ? out.data : "", cases[i].bytes);
        buf_release(&out);
    }
}

static void any_length_has_room(void **state)
{
    (void)state;
    for (size_t length = 0; length < 40; length++) {
        char *bytes = check_repeat("\xfe", length);
        char *encoded = malloc(BASE64_SIZE(length)); /* the sanitizer watches its end */
        struct buf out;

        base64_encode(bytes, length, encoded);
        assert_int_equal(strlen(encoded), BASE64_SIZE(length) - 1);
        base64url_encode(bytes, length, encoded);
        buf_init(&out, length);
        assert_true(base64url_decode(encoded, strlen(encoded), &out));
        assert_int_equal(out.length, length);
        buf_release(&out);
        free(encoded);
        free(bytes);
    }
}

static void refuses_what_it_never_writes(void **state)
{
    static const char *const wrong[] = {"Zg==", "Z",    "A",    "Zm9vA", "Zm9vZ", "Zh",
                                        "Zm9",  "Zm 8", "+//+", "Zg\n",  "Z.g"};

    (void)state;
    for (size_t i = 0; i < COUNT(wrong); i++) {
        struct buf out;

        buf_init(&out, 64);
        check_false(wrong[i], base64url_decode(wrong[i], strlen(wrong[i]), &out));
        buf_release(&out);
    }
}

static void keeps_the_bound(void **state)
{
    struct buf out;

    (void)state;
    buf_init(&out, 5);
    assert_false(base64url_decode("Zm9vYmFy", 8, &out));
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encodes),
        cmocka_unit_test(decodes_what_it_encodes),
        cmocka_unit_test(any_length_has_room),
        cmocka_unit_test(refuses_what_it_never_writes),
        cmocka_unit_test(keeps_the_bound),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
