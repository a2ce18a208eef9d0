#include "check.h"

#include "common/form.h"

#define MAX 4

struct form_case {
    const char *text;
    const char *seen; /* "name=value|" for each; NULL: refused */
};

static void show(const struct form *form, char *out, size_t size)
{
    size_t length = 0;

    out[0] = '\0';
    for (size_t i = 0; i < form->count; i++)
        length += (size_t)snprintf(out + length, size - length, "%s=%s|", form->pairs[i].name,
                                   form->pairs[i].value);
}

static void parses(void **state)
{
    static const struct form_case cases[] = {
        {"", ""},
        {"a=1", "a=1|"},
        {"b=2&a=1&b=3", "b=2|a=1|b=3|"},
        {"a", "a=|"},
        {"a=", "a=|"},
        {"=1", "=1|"},
        {"=", "=|"},
        {"a=b=c", "a=b=c|"},
        {"&&a=1&&", "a=1|"},
        {"a+b=c+d%2B%20", "a b=c d+ |"},
        {"%41=%c3%BC", "A=\xc3\xbc|"},
        {"a=%ff\xfe", "a=\xff\xfe|"},
        {"a=%3D%26%25", "a==&%|"},
        {"a=%2541", "a=%41|"},
        {"1=1&2=2&3=3&4=4", "1=1|2=2|3=3|4=4|"},
        {"1=1&2=2&3=3&4=4&", "1=1|2=2|3=3|4=4|"},
        {"1=1&2=2&3=3&4=4&5", NULL},
        {"a=%", NULL},
        {"a=%4", NULL},
        {"a=%4g", NULL},
        {"a=%g4", NULL},
        {"a%=1", NULL},
        {"a=%%41", NULL},
        {"a=%&4=1", NULL},
        {"a=%00", NULL},
        {"a%00b=1", NULL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct form form;
        char seen[256];

        check_int(cases[i].text, form_parse(cases[i].text, strlen(cases[i].text), MAX, &form),
                  cases[i].seen != NULL);
        show(&form, seen, sizeof seen);
        if (cases[i].seen != NULL)
            check_string(cases[i].text, seen, cases[i].seen);
        form_release(&form);
    }
}

static void a_nul_is_refused(void **state)
{
    struct form form;

    (void)state;
    assert_false(form_parse("a=1\0&b=2", 8, MAX, &form));
    form_release(&form);
    assert_false(form_parse("a=1\0", 4, MAX, &form));
    form_release(&form);
}

static void what_is_there_twice_is_not_read(void **state)
{
    static const char text[] = "a=1&b=2&a=1&B=3";
    struct form form;

    (void)state;
    assert_true(form_parse(text, strlen(text), MAX, &form));
    assert_null(form_only(&form, "a"));
    assert_null(form_only(&form, "c"));
    assert_string_equal(form_only(&form, "b"), "2");
    assert_string_equal(form_only(&form, "B"), "3");
    form_release(&form);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses),
        cmocka_unit_test(a_nul_is_refused),
        cmocka_unit_test(what_is_there_twice_is_not_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
