#include "check.h"

#include "common/template.h"

static const char document_text[] =
    "{\"event_id\":\"evt_1\",\"n\":7,\"yes\":true,\"nothing\":null,\"empty\":\"\",\"real\":1.5,"
    "\"obj\":{\"b\":1,\"a\":[1,\"two\",{\"deep\":\"x\"}]},\"list\":[\"a\",[\"b\",\"c\"]],"
    "\"message\":\"outer\",\"euro\":\"\xe2\x82\xac\","
    "\"payload\":{\"message\":\"inner\",\"url\":\"https://a.example/1\",\"payload\":\"p2\","
    "\"quote\":\"say \\\"hi\\\"\\n\",\"token\":\"{{event_id}}\",\"half\":\"{{\",\"n\":8,"
    "\"\xc3\xa9t\xc3\xa9\":\"summer\",\"x-y_z\":\"odd\",\"dot.ted\":\"no\",\"sub\":{\"k\":\"v\"}}}";

static json_t *document;

static int load(void **state)
{
    (void)state;
    document = json_loads(document_text, 0, NULL);
    return document == NULL;
}

static int unload(void **state)
{
    (void)state;
    json_decref(document);
    return 0;
}

static void judges_templates(void **state)
{
    static const struct {
        const char *text;
        const char *why; /* NULL: it is fine */
    } cases[] = {
        {"", NULL},
        {"plain", NULL},
        {"{{a}}", NULL},
        {"{{ a }}", NULL},
        {"{{\ta.b.0\n}}", NULL},
        {"x{{a}}{{b}}y", NULL},
        {"a } } { b", NULL},
        {"}} a", NULL},
        {"{a}", NULL},
        {"{{a}}}}", NULL},
        {"{{a-b_c}}", NULL},
        {"{{", "without '}}'"},
        {"{{a", "without '}}'"},
        {"{{a}", "without '}}'"},
        {"{{a}} {{", "without '}}'"},
        {"{{}}", "empty token"},
        {"{{   }}", "empty token"},
        {"{{\n}}", "empty token"},
        {"{{a b}}", "blank or a brace"},
        {"{{a\tb}}", "blank or a brace"},
        {"{{{a}}}", "blank or a brace"},
        {"{{a{{b}}", "blank or a brace"},
        {"{{.a}}", "empty step"},
        {"{{a.}}", "empty step"},
        {"{{a..b}}", "empty step"},
        {"{{.}}", "empty step"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char why[96] = "";

        check_int(cases[i].text, template_valid(cases[i].text, why, sizeof why),
                  cases[i].why == NULL);
        check_contains(cases[i].text, why, cases[i].why != NULL ? cases[i].why : "");
    }
}

static void renders(void **state)
{
    static const struct {
        const char *text, *expected;
    } cases[] = {
        {"", ""},
        {"plain } text {", "plain } text {"},
        {"{{event_id}}", "evt_1"},
        {"{{  event_id\t}}", "evt_1"},
        {"a{{event_id}}b{{n}}c", "aevt_1b7c"},
        {"{{event_id}}{{event_id}}", "evt_1evt_1"},
        {"{{n}}", "7"},
        {"{{yes}}", "true"},
        {"{{real}}", "1.5"},
        {"{{nothing}}", "null"},
        {"<{{empty}}>", "<>"},
        {"{{euro}}", "\xe2\x82\xac"},
        {"{{obj}}", "{\"b\":1,\"a\":[1,\"two\",{\"deep\":\"x\"}]}"},
        {"{{obj.a}}", "[1,\"two\",{\"deep\":\"x\"}]"},
        {"{{obj.a.0}}", "1"},
        {"{{obj.a.1}}", "two"},
        {"{{obj.a.2.deep}}", "x"},
        {"{{list.1.1}}", "c"},
        {"{{payload.message}}", "inner"},
        {"{{message}}", "outer"},
        {"{{url}}", "https://a.example/1"},
        {"{{payload.url}}", "https://a.example/1"},
        {"{{payload.payload}}", "p2"},
        {"{{quote}}", "say \"hi\"\n"},
        {"{{sub}}", "{\"k\":\"v\"}"},
        {"{{\xc3\xa9t\xc3\xa9}}", "summer"},
        {"{{x-y_z}}", "odd"},
        {"{{token}}", "{{event_id}}"},
        {"{{half}}event_id}}", "{{event_id}}"},
        {"{{{{event_id}}", "{{{{event_id}}"}, /* not a valid template: stays as it is */
        {"{{event_id}}}}", "evt_1}}"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char why[96] = "";
        struct buf out;

        buf_init(&out, 1000);
        check_true(cases[i].text, template_render(cases[i].text, document, TEMPLATE_MISSING_FAILS,
                                                  &out, why, sizeof why));
        check_string(cases[i].text, out.data, cases[i].expected);
        buf_release(&out);
    }
}

static void missing_tokens(void **state)
{
    static const struct {
        const char *text, *rest, *names;
    } cases[] = {
        {"a{{absent}}b", "ab", "{{absent}}"},
        {"a{{ absent }}b", "ab", "{{absent}}"},
        {"{{obj.absent}}", "", "{{obj.absent}}"},
        {"{{sub.k}}", "", "{{sub.k}}"}, /* dotted: not looked up in payload */
        {"{{dot.ted}}", "", "{{dot.ted}}"},
        {"{{event_id.x}}", "", "{{event_id.x}}"},
        {"{{n.0}}", "", "{{n.0}}"},
        {"{{nothing.x}}", "", "{{nothing.x}}"},
        {"{{list.2}}", "", "{{list.2}}"},
        {"{{list.-1}}", "", "{{list.-1}}"},
        {"{{list.x}}", "", "{{list.x}}"},
        {"{{list.1x}}", "", "{{list.1x}}"},
        {"{{list.99999999999999999999}}", "", "{{list.99999999999999999999}}"},
        {"{{list.4294967296}}", "", "{{list.4294967296}}"},
        {"{{list.18446744073709551616}}", "", "{{list.18446744073709551616}}"},
        {"{{Event_id}}", "", "{{Event_id}}"},
        {"{{a\x04z}}", "", "{{}}"}, /* what is said of it is one line */
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char why[200] = "";
        struct buf out;

        buf_init(&out, 1000);
        check_true(cases[i].text, template_render(cases[i].text, document, TEMPLATE_MISSING_EMPTY,
                                                  &out, why, sizeof why));
        check_string(cases[i].text, out.data, cases[i].rest);
        buf_clear(&out);
        check_false(cases[i].text, template_render(cases[i].text, document, TEMPLATE_MISSING_FAILS,
                                                   &out, why, sizeof why));
        check_contains(cases[i].text, why, cases[i].names);
        check_false(cases[i].text, out.overflow);
        buf_release(&out);
    }
}

static void bare_names_need_an_object_as_payload(void **state)
{
    static const struct {
        const char *event, *expected;
    } cases[] = {
        {"{\"payload\":\"text\"}", "<>"},
        {"{\"payload\":null}", "<>"},
        {"{}", "<>"},
        {"{\"payload\":{\"m\":\"y\"}}", "<y>"},
        {"{\"m\":null,\"payload\":{\"m\":\"y\"}}", "<null>"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        json_t *event = json_loads(cases[i].event, 0, NULL);
        char why[96];
        struct buf out;

        buf_init(&out, 100);
        check_true(cases[i].event, template_render("<{{m}}>", event, TEMPLATE_MISSING_EMPTY, &out,
                                                   why, sizeof why));
        check_string(cases[i].event, out.data, cases[i].expected);
        buf_release(&out);
        json_decref(event);
    }
}

static void a_full_buffer_is_told(void **state)
{
    static const struct {
        const char *text;
        size_t needed;
    } cases[] = {
        {"abcdef", 6},
        {"{{event_id}}", 5},
        {"ab{{event_id}}cd", 9},
        {"{{obj.a}}", 22},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        for (size_t max = cases[i].needed - 1; max <= cases[i].needed; max++) {
            char why[96];
            struct buf out;

            buf_init(&out, max);
            check_int(cases[i].text,
                      template_render(cases[i].text, document, TEMPLATE_MISSING_EMPTY, &out, why,
                                      sizeof why),
                      max == cases[i].needed);
            check_int(cases[i].text, out.overflow, max < cases[i].needed);
            buf_release(&out);
        }
    }
}

static void single_values(void **state)
{
    static const struct {
        const char *text;
        bool is_token;
        const char *expected; /* compact JSON; NULL: none */
    } cases[] = {
        {"{{list}}", true, "[\"a\",[\"b\",\"c\"]]"},
        {"{{ list }}", true, "[\"a\",[\"b\",\"c\"]]"},
        {"{{list.1}}", true, "[\"b\",\"c\"]"},
        {"{{url}}", true, "\"https://a.example/1\""},
        {"{{absent}}", true, NULL},
        {"{{list}} ", false, NULL},
        {" {{list}}", false, NULL},
        {"{{list}}{{list}}", false, NULL},
        {"plain", false, NULL},
        {"", false, NULL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        bool is_token = !cases[i].is_token;
        json_t *value = template_single_value(cases[i].text, document, &is_token);
        char *text = value != NULL ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;

        check_int(cases[i].text, is_token, cases[i].is_token);
        check_string(cases[i].text, text, cases[i].expected);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(judges_templates),
        cmocka_unit_test(renders),
        cmocka_unit_test(missing_tokens),
        cmocka_unit_test(bare_names_need_an_object_as_payload),
        cmocka_unit_test(a_full_buffer_is_told),
        cmocka_unit_test(single_values),
    };

    return cmocka_run_group_tests(tests, load, unload);
}
