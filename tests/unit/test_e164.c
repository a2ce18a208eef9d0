#include "check.h"

#include "common/e164.h"

static void judges_numbers_and_senders(void **state)
{
    static const struct {
        const char *text;
        bool number, sender;
    } cases[] = {
        {"+37120000000", true, true},
        {"+15005550006", true, true},
        {"+12", true, true},
        {"+123456789012345", true, true},
        {"+99", true, true},
        {"+1234567890123456", false, false},
        {"+1", false, false},
        {"+", false, false},
        {"+0", false, false},
        {"+0123456789", false, false},
        {"", false, false},
        {"37120000000", false, false},
        {"0037120000000", false, false},
        {"++37120000000", false, false},
        {"+371 20000000", false, false},
        {"+371-20000000", false, false},
        {"+(371)20000000", false, false},
        {"+37120000000 ", false, false},
        {" +37120000000", false, false},
        {"+37120000000\n", false, false},
        {"+3712000000a", false, false},
        {"+371200000000x1", false, false},
        {"tel:+37120000000", false, false},
        {"whatsapp:+37120000000", false, false},
        {"+\xd9\xa1\xd9\xa2\xd9\xa3", false, false},
        {"12", false, false},
        {"123", false, true},
        {"12345678", false, true},
        {"123456789", false, false},
        {"12 45", false, false},
        {"Acme", false, true},
        {"A", false, true},
        {"ACME Ltd 24", false, true},
        {"ACME Ltd 245", false, false},
        {"A+b-c_d&e f", false, true},
        {"+1a", false, true},
        {"Acme!", false, false},
        {"Acme.com", false, false},
        {"A\tb", false, false},
        {"Acme\n", false, false},
        {"Caf\xc3\xa9", false, false},
        {"-_& ", false, false},
        {"123-456", false, false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        check_int(cases[i].text, e164_valid(cases[i].text), cases[i].number);
        check_int(cases[i].text, e164_valid_sender(cases[i].text), cases[i].sender);
        /* The other kinds have no letter. */
        check_int(cases[i].text, e164_alphanumeric(cases[i].text),
                  cases[i].sender && strpbrk(cases[i].text, "Aa") != NULL);
    }
}

static void bounds_the_number_of_digits(void **state)
{
    (void)state;
    for (size_t digits = 0; digits <= 20; digits++) {
        char *tail = check_repeat("7", digits);
        char text[32];

        snprintf(text, sizeof text, "+%s", tail);
        check_int(text, e164_valid(text), digits >= 2 && digits <= 15);
        check_int(tail, e164_valid_sender(tail), digits >= 3 && digits <= 8);
        free(tail);
    }
}

/* Every byte in every place, against the rule as it is written. */
static void takes_digits_only(void **state)
{
    (void)state;
    for (int c = 1; c < 256; c++) {
        for (int place = 0; place < 4; place++) {
            char text[] = "+371", name[32];
            bool expected = place == 0 ? c == '+' : c >= (place == 1 ? '1' : '0') && c <= '9';

            text[place] = (char)c;
            snprintf(name, sizeof name, "byte %02x in place %d", (unsigned)c, place);
            check_int(name, e164_valid(text), expected);
        }
    }
}

static void masks_numbers_wherever_they_stand(void **state)
{
    static const struct {
        const char *name, *text, *expected;
    } cases[] = {
        {"nothing", "", ""},
        {"alone", "+37120000000", "+371******00"},
        {"in words", "The 'To' number +15557770001 is invalid",
         "The 'To' number +155******01 is invalid"},
        {"two", "+15557770001,+15557770002", "+155******01,+155******02"},
        {"side by side", "+15557770001+15557770002", "+155******01+155******02"},
        {"with a channel", "whatsapp:+15557770001", "whatsapp:+155******01"},
        {"in a URL", "Messages.json?To=%2B15557770001&Page=2",
         "Messages.json?To=%2B155******01&Page=2"},
        {"in a URL, lower case", "?To=%2b15557770001", "?To=%2b155******01"},
        {"seven digits", "+1234567", "+123**67"},
        {"fifteen digits", "+123456789012345", "+123**********45"},
        {"six digits", "+123456", "+123456"},
        {"sixteen digits", "+1234567890123456", "+1234567890123456"},
        {"no plus", "15557770001 1795467827", "15557770001 1795467827"},
        {"a SID", "SM01234567890123456789012345678901", "SM01234567890123456789012345678901"},
        {"another escape", "%2F15557770001 %", "%2F15557770001 %"},
        {"a plus at the end", "1+", "1+"},
        {"half an escape", "%2", "%2"},
        {"a zone", "2026-11-22T07:48:29+02:00", "2026-11-22T07:48:29+02:00"},
        {"after a plus", "++15557770001", "++155******01"},
        {"in UTF-8", "grün +15557770001🦉", "grün +155******01🦉"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[128];

        snprintf(text, sizeof text, "%s", cases[i].text);
        e164_mask(text);
        check_string(cases[i].name, text, cases[i].expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(judges_numbers_and_senders),
        cmocka_unit_test(bounds_the_number_of_digits),
        cmocka_unit_test(takes_digits_only),
        cmocka_unit_test(masks_numbers_wherever_they_stand),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
