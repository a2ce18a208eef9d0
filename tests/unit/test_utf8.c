#include "check.h"

#include "common/utf8.h"

static void tells_well_formed_from_not(void **state)
{
    static const struct {
        const char *name;
        const char *bytes;
        bool valid;
    } cases[] = {
        {"empty", "", true},
        {"ascii", "a~\x7f", true},
        {"two bytes, first", "\xc2\x80", true},
        {"two bytes, last", "\xdf\xbf", true},
        {"three bytes, first", "\xe0\xa0\x80", true},
        {"three bytes, last before surrogates", "\xed\x9f\xbf", true},
        {"three bytes, first after surrogates", "\xee\x80\x80", true},
        {"three bytes, last", "\xef\xbf\xbf", true},
        {"four bytes, first", "\xf0\x90\x80\x80", true},
        {"four bytes, last", "\xf4\x8f\xbf\xbf", true},
        {"continuation alone", "\x80", false},
        {"two continuations", "\xbf\xbf", false},
        {"overlong slash, two bytes", "\xc0\xaf", false},
        {"overlong, c1", "\xc1\xbf", false},
        {"overlong slash, three bytes", "\xe0\x80\xaf", false},
        {"overlong, three bytes, last", "\xe0\x9f\xbf", false},
        {"overlong slash, four bytes", "\xf0\x80\x80\xaf", false},
        {"overlong, four bytes, last", "\xf0\x8f\xbf\xbf", false},
        {"first surrogate", "\xed\xa0\x80", false},
        {"last surrogate", "\xed\xbf\xbf", false},
        {"surrogate pair", "\xed\xa0\xbd\xed\xb8\x80", false},
        {"beyond unicode", "\xf4\x90\x80\x80", false},
        {"f5", "\xf5\x80\x80\x80", false},
        {"five bytes", "\xf8\x88\x80\x80\x80", false},
        {"ff", "\xff", false},
        {"latin 1", "caf\xe9 ", false},
        {"two bytes cut", "a\xc3", false},
        {"three bytes cut", "\xe2\x82", false},
        {"four bytes cut", "\xf0\x9f\x98", false},
        {"second byte is ascii", "\xe2\x41\x82", false},
        {"third byte is a lead", "\xe2\x82\xc3", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        check_int(cases[i].name, utf8_valid(cases[i].bytes, strlen(cases[i].bytes)),
                  cases[i].valid);
    assert_true(utf8_valid("a\0b", 3));
    assert_false(utf8_valid("\xe2\x82\xac", 2));
}

static void counts_characters(void **state)
{
    static const struct {
        const char *text;
        size_t expected;
    } cases[] = {
        {"", 0}, {"abc", 3}, {"\xc3\xa9", 1}, {"a\xe2\x82\xac", 2}, {"\xf0\x9f\x98\x80z", 2},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        check_int(cases[i].text, (int64_t)utf8_length(cases[i].text), (int64_t)cases[i].expected);
}

static void cuts_between_characters(void **state)
{
    static const struct {
        const char *name;
        const char *text;
        size_t characters, expected;
    } cases[] = {
        {"none", "abc", 0, 0},
        {"some", "abc", 2, 2},
        {"all", "abc", 3, 3},
        {"more than there are", "abc", 9, 3},
        {"of nothing", "", 5, 0},
        {"one of two bytes", "\xc3\xa9\xc3\xa8", 1, 2},
        {"one of four bytes", "\xf0\x9f\x98\x80\xf0\x9f\x98\x81", 1, 4},
        {"mixed", "a\xe2\x82\xac\xf0\x9f\x98\x80z", 3, 8},
        {"nothing before a wide one", "\xe2\x82\xac", 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        check_int(cases[i].name, (int64_t)utf8_prefix(cases[i].text, cases[i].characters),
                  (int64_t)cases[i].expected);
}

static void finds_control_characters(void **state)
{
    static const struct {
        const char *name;
        const char *text;
        bool expected;
    } cases[] = {
        {"plain", "evt_1 ~", false},
        {"empty", "", false},
        {"U+0001", "a\x01", true},
        {"tab", "\tb", true},
        {"new line", "a\nb", true},
        {"escape", "\x1b[0m", true},
        {"U+001F", "\x1f", true},
        {"blank", " ", false},
        {"DEL", "a\x7f", true},
        {"U+0080", "\xc2\x80", true},
        {"next line U+0085", "a\xc2\x85", true},
        {"U+009F", "\xc2\x9f", true},
        {"U+00A0 is none", "\xc2\xa0", false},
        {"U+00C2 is none", "\xc3\x82", false},
        {"continuation bytes 80..9f of others are none", "\xe2\x82\x80\xf0\x9f\x98\x85", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        check_int(cases[i].name, utf8_has_control(cases[i].text), cases[i].expected);
}

static void shows_a_line_of_a_strangers_word(void **state)
{
    char *euros = check_repeat("\u20ac", 65), *letters = check_repeat("a", 300);
    const struct {
        const char *name;
        const char *word;
        size_t length;
        int expected;
    } cases[] = {
        {"all of it", "field", 5, 5},
        {"no more than it is", "field}} and more", 5, 5},
        {"128 bytes", letters, 300, 128},
        {"whole characters", euros, strlen(euros), 126},
        {"nothing with a control character", "a\x1b[2J", 5, 0},
        {"whatever stands behind it", "a\n", 1, 1},
        {"C1", "\xc2\x9b", 2, 0},
        {"nothing", "", 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        check_int(cases[i].name, utf8_shown(cases[i].word, cases[i].length), cases[i].expected);
    free(euros);
    free(letters);
}

#define FFFD "\xef\xbf\xbd"

static void cleans_what_strangers_say(void **state)
{
    static const struct {
        const char *name;
        const char *bytes;
        size_t length;
        const char *expected;
    } cases[] = {
        {"empty", "", 0, ""},
        {"plain", "abc", 3, "abc"},
        {"valid stays", "a\xe2\x82\xac", 4, "a\xe2\x82\xac"},
        {"NUL", "a\0b", 3, "a" FFFD "b"},
        {"NUL at both ends", "\0a\0", 3, FFFD "a" FFFD},
        {"latin 1", "caf\xe9!", 5, "caf" FFFD "!"},
        {"cut at the end", "a\xe2\x82", 3, "a" FFFD FFFD},
        {"bytes in a row", "\xff\xfe", 2, FFFD FFFD},
        {"surrogate", "\xed\xa0\x80", 3, FFFD FFFD FFFD},
        {"valid behind invalid", "\xc3\xc3\xa9", 3, FFFD "\xc3\xa9"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf buf;

        buf_init(&buf, 100);
        buf_add_string(&buf, "<");
        check_true(cases[i].name, utf8_clean(&buf, cases[i].bytes, cases[i].length));
        check_string(cases[i].name, buf.data + 1, cases[i].expected);
        check_false(cases[i].name, buf.overflow);
        buf_release(&buf);
    }
}

static void cleaning_cuts_whole_characters(void **state)
{
    static const struct {
        const char *name;
        size_t max;
        const char *bytes;
        bool fits;
        const char *expected;
    } cases[] = {
        {"just fits", 4, "a\xe2\x82\xac", true, "a\xe2\x82\xac"},
        {"one byte short", 3, "a\xe2\x82\xac", false, "a"},
        {"two bytes short", 2, "a\xe2\x82\xac", false, "a"},
        {"nothing fits", 1, "\xe2\x82\xac", false, ""},
        {"ascii", 2, "abc", false, "ab"},
        {"replacement just fits", 4, "a\xff", true, "a" FFFD},
        {"replacement does not fit", 3, "a\xff", false, "a"},
        {"later small ones do not slip in", 3,
         "ab\xe2\x82\xac"
         "c",
         false, "ab"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf buf;

        buf_init(&buf, cases[i].max);
        check_int(cases[i].name, utf8_clean(&buf, cases[i].bytes, strlen(cases[i].bytes)),
                  cases[i].fits);
        check_string(cases[i].name, buf.data, cases[i].expected);
        check_int(cases[i].name, buf.overflow, !cases[i].fits);
        buf_release(&buf);
    }
}

/* Plain text is looked at in words; one odd byte among it is found wherever it stands. */
static void one_odd_byte_is_found_everywhere(void **state)
{
    static const char odd[] = {'\0', '\x80', '\xff', '\xc3'};

    (void)state;
    for (size_t length = 1; length <= 24; length++) {
        for (size_t at = 0; at < length * COUNT(odd); at++) {
            char bytes[24], expected[32];
            struct buf buf;

            memset(bytes, '\x01', sizeof bytes);
            bytes[at % length] = odd[at / length];
            assert_int_equal(utf8_valid(bytes, length), odd[at / length] == '\0');
            memset(expected, '\x01', sizeof expected);
            memcpy(expected + at % length, FFFD, 3);
            buf_init(&buf, 100);
            assert_true(utf8_clean(&buf, bytes, length));
            assert_int_equal(buf.length, length + 2);
            assert_memory_equal(buf.data, expected, length + 2);
            buf_release(&buf);
        }
    }
}

/* Any bytes at any bound: valid UTF-8, within the bound, and never fewer characters than fit. */
static void cleaning_always_ends_in_utf8(void **state)
{
    uint64_t seed = 1;

    (void)state;
    for (int round = 0; round < 20000; round++) {
        static const unsigned char menu[] = {0x00, 0x41, 0x7f, 0x80, 0xbf, 0xc2, 0xc3, 0xe0,
                                             0xe2, 0xed, 0xef, 0xf0, 0xf4, 0xff, 0x9f, 0xa0};
        char bytes[24], name[32];
        size_t length = check_random(&seed, sizeof bytes + 1);
        struct buf buf;

        for (size_t i = 0; i < length; i++)
            bytes[i] = (char)menu[check_random(&seed, sizeof menu)];
        buf_init(&buf, check_random(&seed, 40));
        snprintf(name, sizeof name, "round %d", round);
        if (utf8_clean(&buf, bytes, length))
            check_false(name, buf.overflow);
        else
            check_true(name, buf.overflow && buf.length + 4 > buf.max);
        check_true(name, buf.length <= buf.max && utf8_valid(buf.data, buf.length));
        check_true(name, buf.length == 0 || memchr(buf.data, '\0', buf.length) == NULL);
        if (length > 0 && utf8_valid(bytes, length) && memchr(bytes, '\0', length) == NULL)
            check_true(name, memcmp(buf.data, bytes, buf.length) == 0);
        buf_release(&buf);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_well_formed_from_not),
        cmocka_unit_test(counts_characters),
        cmocka_unit_test(cuts_between_characters),
        cmocka_unit_test(finds_control_characters),
        cmocka_unit_test(shows_a_line_of_a_strangers_word),
        cmocka_unit_test(cleans_what_strangers_say),
        cmocka_unit_test(cleaning_cuts_whole_characters),
        cmocka_unit_test(one_odd_byte_is_found_everywhere),
        cmocka_unit_test(cleaning_always_ends_in_utf8),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
