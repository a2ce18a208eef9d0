#include "check.h"

#include "worker/commands/row.h"

static void names_what_has_changed(void **state)
{
    static const struct {
        const char *old, *row, *changes;
    } cases[] = {
        {"{\"config\":{}}", "{\"config\":{}}", ""},
        {"{\"name\":null,\"type\":\"TWILIO_MMS\",\"config\":{}}", "{\"config\":{}}", ""},
        {"{\"name\":\"a\",\"config\":{}}", "{\"name\":\"b\",\"config\":{}}", "name"},
        {"{\"name\":\"a\",\"type\":\"X\",\"config\":{}}", "{\"config\":{}}", "name, type"},
        {"{\"config\":{\"to\":\"a\",\"from\":1}}", "{\"config\":{\"to\":\"b\",\"max_price\":1}}",
         "config.to, config.from, config.max_price"},
        {"{\"config\":{\"auth\":{\"auth_token\":\"a\",\"x\":1}}}",
         "{\"config\":{\"auth\":{\"auth_token\":\"b\",\"y\":1}}}",
         "config.auth.auth_token, config.auth.x, config.auth.y"},
        {"{\"config\":{\"auth\":\"a\"}}", "{\"config\":{\"auth\":{\"y\":1}}}", "config.auth"},
        {"{\"config\":null}", "{\"config\":{\"to\":\"a\"}}", "config"},
        {"{\"config\":[]}", "{\"config\":{\"to\":\"a\"}}", "config"},
        {"{\"config\":{},\"disabled_at\":\"a\"}", "{\"config\":{},\"disabled_at\":null}",
         "disabled_at"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        json_t *old = json_loads(cases[i].old, 0, NULL), *row = json_loads(cases[i].row, 0, NULL);
        char *changes = row_changes(old, row);

        check_string(cases[i].row, changes, cases[i].changes);
        free(changes);
        json_decref(old);
        json_decref(row);
    }
}

static void puts_fields_in_order(void **state)
{
    static const struct {
        const char *config, *ordered;
    } cases[] = {
        {"{\"to\":1,\"auth\":{\"auth_token\":2,\"x\":3,\"account_sid\":4},\"y\":5,\"from\":null}",
         "{\"from\":null,\"to\":1,\"auth\":{\"account_sid\":4,\"auth_token\":2,\"x\":3},\"y\":5}"},
        {"{\"to\":1,\"auth\":\"a\"}", "{\"to\":1,\"auth\":\"a\"}"},
        {"{}", "{}"},
        {"[1]", "[1]"},
        {"null", "null"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        json_t *config = json_loads(cases[i].config, JSON_DECODE_ANY, NULL);
        json_t *ordered = row_ordered(config);
        char *text = row_text(ordered, JSON_COMPACT);

        check_string(cases[i].config, text, cases[i].ordered);
        free(text);
        json_decref(ordered);
        json_decref(config);
    }
}

/* No digit is lost and none is made up. */
static void writes_numbers_as_they_came(void **state)
{
    static const char *const cases[] = {
        "[0.05,0.1]", "[1,1.0,-2.5]", "[0.1,0.30000000000000004]", "[1e+300]",
        "\"text\"",   "null",         "[9223372036854775807]",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        json_t *value = json_loads(cases[i], JSON_DECODE_ANY, NULL);
        char *text = row_text(value, JSON_COMPACT);
        json_t *back = json_loads(text, JSON_DECODE_ANY, NULL);

        check_true(cases[i], json_equal(value, back));
        if (strchr(cases[i], 'e') == NULL && strstr(cases[i], "00004") == NULL)
            check_string(cases[i], text, cases[i]);
        free(text);
        json_decref(value);
        json_decref(back);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_what_has_changed),
        cmocka_unit_test(puts_fields_in_order),
        cmocka_unit_test(writes_numbers_as_they_came),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
