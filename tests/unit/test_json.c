#include "check.h"

#include "common/json.h"

#define OK     JSON_OK
#define SYNTAX JSON_FAULT_SYNTAX
#define UTF8   JSON_FAULT_UTF8
#define TWICE  JSON_FAULT_DUPLICATE_KEY
#define NUMBER JSON_FAULT_NUMBER

static void judges_documents(void **state)
{
    static const struct {
        const char *text;
        enum json_fault expected;
    } cases[] = {
        {"{}", OK},
        {" [1, 2.5, -3e2, true, null] \n", OK},
        {"\"\\ud83d\\ude00\"", OK},
        {"7", OK},
        {"null", OK},
        {"{\"a\":{\"x\":1},\"b\":{\"x\":1}}", OK},
        {"9223372036854775807", OK},
        {"-9223372036854775808", OK},
        {"", SYNTAX},
        {"   ", SYNTAX},
        {"{", SYNTAX},
        {"[1,]", SYNTAX},
        {"{\"a\":1,}", SYNTAX},
        {"{a:1}", SYNTAX},
        {"{'a':1}", SYNTAX},
        {"{\"a\" 1}", SYNTAX},
        {"[01]", SYNTAX},
        {"[.5]", SYNTAX},
        {"[+1]", SYNTAX},
        {"[NaN]", SYNTAX},
        {"[Infinity]", SYNTAX},
        {"[0x10]", SYNTAX},
        {"// no\n{}", SYNTAX},
        {"\"a\nb\"", SYNTAX},
        {"\"\\x\"", SYNTAX},
        {"\"\\ud83d\"", SYNTAX},
        {"\"\\u0000\"", JSON_FAULT_NUL},
        {"{} {}", SYNTAX},
        {"{}x", SYNTAX},
        {"\xef\xbb\xbf{}", SYNTAX},
        {"\"caf\xe9\"", UTF8},
        {"\"\xed\xa0\x80\"", UTF8},
        {"{}\xff", UTF8},
        {"{\"\xc0\xaf\":1}", UTF8},
        {"{\"a\":1,\"a\":2}", TWICE},
        {"{\"a\":1,\"a\":1}", TWICE},
        {"{\"a\":1,\"\\u0061\":2}", TWICE},
        {"[{\"x\":{\"k\":null,\"k\":null}}]", TWICE},
        {"9223372036854775808", NUMBER},
        {"[1e400]", NUMBER},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        json_t *value = NULL;
        char detail[200] = "";

        check_int(cases[i].text,
                  json_parse(cases[i].text, strlen(cases[i].text), &value, detail, sizeof detail),
                  cases[i].expected);
        check_int(cases[i].text, value != NULL, cases[i].expected == JSON_OK);
        check_int(cases[i].text, detail[0] != '\0', cases[i].expected != JSON_OK);
        json_decref(value);
        value = NULL;
        check_int(cases[i].text, json_parse(cases[i].text, strlen(cases[i].text), &value, NULL, 0),
                  cases[i].expected);
        json_decref(value);
    }
}

static void a_nul_byte_is_no_json(void **state)
{
    json_t *value = NULL;

    (void)state;
    assert_int_equal(json_parse("{}\0", 3, &value, NULL, 0), JSON_FAULT_SYNTAX);
    assert_int_equal(json_parse("\"a\0b\"", 5, &value, NULL, 0), JSON_FAULT_SYNTAX);
    assert_null(value);
}

/* `depth` containers around `core`. */
static char *nested(const char *open, const char *core, const char *close, size_t depth)
{
    char *left = check_repeat(open, depth), *right = check_repeat(close, depth);
    size_t size = strlen(left) + strlen(core) + strlen(right) + 1;
    char *text = malloc(size);

    assert_non_null(text);
    snprintf(text, size, "%s%s%s", left, core, right);
    free(left);
    free(right);
    return text;
}

static void bounds_the_depth(void **state)
{
    static const struct {
        const char *name, *open, *core, *close;
        size_t depth;
        enum json_fault expected;
    } cases[] = {
        {"64 arrays", "[", "1", "]", 64, JSON_OK},
        {"64 empty arrays", "[", "", "]", 64, JSON_OK},
        {"65 arrays", "[", "", "]", 65, JSON_FAULT_DEPTH},
        {"64 objects", "{\"a\":", "1", "}", 64, JSON_OK},
        {"65 objects", "{\"a\":", "1", "}", 65, JSON_FAULT_DEPTH},
        {"64 levels, mixed", "[{\"a\":", "1", "}]", 32, JSON_OK},
        {"66 levels, mixed", "[{\"a\":", "1", "}]", 33, JSON_FAULT_DEPTH},
        {"deep behind shallow ones", "[[],", "[]", "]", 64, JSON_FAULT_DEPTH},
        {"deeper than the parser goes", "[", "", "]", 5000, JSON_FAULT_DEPTH},
        {"absurdly deep", "[", "", "]", 400000, JSON_FAULT_DEPTH},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *text = nested(cases[i].open, cases[i].core, cases[i].close, cases[i].depth);
        json_t *value = NULL;
        char detail[200] = "";

        check_int(cases[i].name, json_parse(text, strlen(text), &value, detail, sizeof detail),
                  cases[i].expected);
        if (cases[i].expected != JSON_OK)
            check_contains(cases[i].name, detail, "64 levels");
        json_decref(value);
        free(text);
    }
}

static void detail_names_the_place_and_not_the_input(void **state)
{
    static const char *const texts[] = {
        "{\n \"hush\": hush}",
        "{\"hush\":1,\"hush\":2}",
        "{\"a\":\"hush\xff\"}",
        "[\"hush\", 99999999999999999999]",
    };
    char detail[200];
    json_t *value = NULL;

    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        json_parse(texts[i], strlen(texts[i]), &value, detail, sizeof detail);
        check_lacks(texts[i], detail, "hush");
        check_lacks(texts[i], detail, "9999");
        check_lacks(texts[i], detail, "\n");
    }
    json_parse(texts[0], strlen(texts[0]), &value, detail, sizeof detail);
    check_contains("place", detail, "line 2");
    assert_null(value);
}

static void escapes_strings(void **state)
{
    static const struct {
        const char *bytes;
        size_t length;
        const char *expected;
    } cases[] = {
        {"", 0, "\"\""},
        {"abc", 3, "\"abc\""},
        {"say \"x\"\\", 8, "\"say \\\"x\\\"\\\\\""},
        {"a\nb", 3, "\"a\\nb\""},
        {"\t\r\x1f", 3, "\"\\u0009\\u000d\\u001f\""},
        {"a\0b", 3, "\"a\\u0000b\""},
        {"\"\"", 2, "\"\\\"\\\"\""},
        {"\xe2\x82\xac/", 4, "\"\xe2\x82\xac/\""},
        {"\x7f\xc2\x80\xc2\x9f", 5, "\"\\u007f\\u0080\\u009f\""},
        {"\xc2\xa0\xc3\x80", 4, "\"\xc2\xa0\xc3\x80\""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf buf;

        buf_init(&buf, 100);
        check_true(cases[i].expected, json_escape_bytes(&buf, cases[i].bytes, cases[i].length));
        check_string(cases[i].expected, buf.data, cases[i].expected);
        if (strlen(cases[i].bytes) == cases[i].length) {
            buf_clear(&buf);
            check_true(cases[i].expected, json_escape(&buf, cases[i].bytes));
            check_string(cases[i].expected, buf.data, cases[i].expected);
        }
        buf_release(&buf);
    }
}

static void escaping_says_when_it_does_not_fit(void **state)
{
    (void)state;
    for (size_t max = 0; max < 9; max++) {
        struct buf buf;

        buf_init(&buf, max);
        check_int("a\"\\n needs 8 bytes", json_escape(&buf, "ab\"\n"), max >= 8);
        check_int("a\"\\n needs 8 bytes", buf.overflow, max < 8);
        buf_release(&buf);
    }
}

static void appends_compact_json(void **state)
{
    static const char *const texts[] = {
        "{\"b\":1,\"a\":[true,null,\"x\\\"y\"],\"c\":{}}", "\"text\"", "7", "null", "-2.5", "[]",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        json_t *value = NULL;
        struct buf buf;

        buf_init(&buf, 100);
        check_int(texts[i], json_parse(texts[i], strlen(texts[i]), &value, NULL, 0), JSON_OK);
        check_true(texts[i], json_append(&buf, value));
        check_string(texts[i], buf.data, texts[i]);
        buf_release(&buf);
        buf_init(&buf, strlen(texts[i]) - 1);
        check_false(texts[i], json_append(&buf, value));
        check_true(texts[i], buf.overflow);
        buf_release(&buf);
        json_decref(value);
    }
}

static void writes_an_object_member_by_member(void **state)
{
    struct buf buf;

    (void)state;
    buf_init(&buf, 1000);
    buf_add_char(&buf, '{');
    json_add_text(&buf, "text", "a\"b");
    json_add_text(&buf, "nothing", NULL);
    json_add_integer(&buf, "least", INT64_MIN);
    json_add_bool(&buf, "yes", true);
    json_add_name(&buf, "inner");
    buf_add_char(&buf, '{');
    json_add_bool(&buf, "no", false);
    buf_add_string(&buf, "}}");
    assert_string_equal(buf.data, "{\"text\":\"a\\\"b\",\"nothing\":null,"
                                  "\"least\":-9223372036854775808,\"yes\":true,"
                                  "\"inner\":{\"no\":false}}");
    buf_release(&buf);
}

static void members(void **state)
{
    json_t *object = json_pack("{s:s, s:i, s:n}", "text", "abc", "number", 7, "nothing");
    json_t *array = json_pack("[s]", "text");

    (void)state;
    assert_string_equal(json_member_string(object, "text"), "abc");
    assert_null(json_member_string(object, "number"));
    assert_null(json_member_string(object, "nothing"));
    assert_null(json_member_string(object, "absent"));
    assert_null(json_member_string(array, "text"));
    assert_null(json_member_string(NULL, "text"));
    assert_int_equal(json_integer_value(json_member(object, "number")), 7);
    assert_null(json_member(object, "nothing"));
    assert_null(json_member(object, "absent"));
    assert_null(json_member(array, "text"));
    assert_null(json_member(NULL, "text"));
    json_decref(object);
    json_decref(array);
}

/* What json_count() tells of texts. */
static void counts_values_and_levels(void **state)
{
    const struct {
        const char *text;
        size_t count, depth;
    } cases[] = {
        {"1", 1, 0},
        {"[]", 1, 1},
        {"[1,2,3]", 4, 1},
        {"{\"a\":1,\"b\":[{ \n}]}", 4, 3},
        {"[\"[,{\",\"\\\"[[\",\"\\\\\",[]]", 5, 2},
        {"", 1, 0},
        {"\"", 1, 0},
        {"\"\\", 1, 0},
        {"]]}[", 2, 1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t depth;
        size_t count = json_count(cases[i].text, strlen(cases[i].text), &depth);

        check_int(cases[i].text, (int64_t)count, (int64_t)cases[i].count);
        check_int(cases[i].text, (int64_t)depth, (int64_t)cases[i].depth);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(judges_documents),
        cmocka_unit_test(a_nul_byte_is_no_json),
        cmocka_unit_test(bounds_the_depth),
        cmocka_unit_test(detail_names_the_place_and_not_the_input),
        cmocka_unit_test(escapes_strings),
        cmocka_unit_test(escaping_says_when_it_does_not_fit),
        cmocka_unit_test(appends_compact_json),
        cmocka_unit_test(writes_an_object_member_by_member),
        cmocka_unit_test(members),
        cmocka_unit_test(counts_values_and_levels),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
