#include "check.h"

#include "worker/commands/mask.h"
#include "worker/commands/row.h"

#define SID(prefix) prefix "0123456789abcdefABCDEF0123456789"
#define HUSH        "hush-hush"
#define LOST        "f00dfeed1badcafe2deadbee3c0ffee4"
#define SEALED                                                                                    \
    "sealed:v1:4b7bd3ad:QbEAT_Rj2zC03U27c7aZjndAxpd5xW6TBhYsQ2ScjMyXueFGb64yUq4mgUuz-zdr0HMSAL9J" \
    "oC1J9Miu9gQKuQ"
#define AUTH "\"auth\":{\"account_sid\":\"" SID("AC") "\",\"auth_token\":"

static json_t *parse(const char *text)
{
    return text != NULL ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;
}

static void check_json(const char *name, const json_t *value, const char *expected)
{
    char *text = value != NULL ? row_text(value, JSON_COMPACT) : NULL;

    check_string(name, text, expected);
    free(text);
}

static void hides_secrets(void **state)
{
    static const struct {
        const char *config, *shown;
    } cases[] = {
        {"{" AUTH "\"" HUSH "\"}}", "{" AUTH "\"***\"}}"},
        {"{" AUTH "null,\"api_key_sid\":\"" SID("SK") "\",\"api_key_secret\":\"" HUSH "\"}}",
         "{" AUTH "null,\"api_key_sid\":\"" SID("SK") "\",\"api_key_secret\":\"***\"}}"},
        {"{" AUTH "[\"" HUSH "\"],\"token\":\"" HUSH "\"}}",
         "{" AUTH "\"***\",\"token\":\"***\"}}"},
        {"{\"auth\":{\"account_sid\":\"" HUSH "\",\"api_key_sid\":\"" SID("AC") "\"}}",
         "{\"auth\":{\"account_sid\":\"***\",\"api_key_sid\":\"***\"}}"},
        {"{" AUTH "\"env:TOKEN\"}}", "{" AUTH "\"env:TOKEN\"}}"},
        {"{" AUTH "\"file:/run/secrets/t\"}}", "{" AUTH "\"file:/run/secrets/t\"}}"},
        {"{" AUTH "\"" SEALED "\"}}", "{" AUTH "\"" SEALED "\"}}"},
        {"{" AUTH "\"env:" HUSH "\"}}", "{" AUTH "\"***\"}}"},
        {"{" AUTH "\"sealed:" HUSH "\"}}", "{" AUTH "\"***\"}}"},
        {"{\"auth\":\"" HUSH "\"}", "{\"auth\":\"***\"}"},
        {"{\"auth\":[\"" HUSH "\"]}", "{\"auth\":\"***\"}"},
        {"{\"auth\":null}", "{\"auth\":null}"},
        {"{\"auth_token\":\"" HUSH "\",\"other\":null}", "{\"auth_token\":\"***\",\"other\":null}"},
        {"{\"other\":{\"a\":[\"" HUSH "\"]}}", "{\"other\":\"***\"}"},
        {"{\"from\":\"+16824246644\",\"max_price\":0.05,\"rate_limit\":1}",
         "{\"from\":\"+16824246644\",\"max_price\":0.05,\"rate_limit\":1}"},
        {"{\"media_urls\":[\"https://a.example/@b?c=@d\",\"https://u:" HUSH "@a.example/\"]}",
         "{\"media_urls\":[\"https://a.example/@b?c=@d\",\"***\"]}"},
        {"{\"status_callback\":\"https://" HUSH "@a.example/\"}", "{\"status_callback\":\"***\"}"},
        {"{\"status_callback\":\"https://a.example/?key=" HUSH "&b#rc=2\"}",
         "{\"status_callback\":\"https://a.example/?key=***&***#rc=2\"}"},
        /* what may be a secret in a wrong place */
        {"{" AUTH "\"" HUSH "\"},\"from\":\"" HUSH "\",\"body_template\":\"a HUSH-HUSH b\"}",
         "{" AUTH "\"***\"},\"from\":\"***\",\"body_template\":\"***\"}"},
        {"{\"messaging_service_sid\":\"" LOST "\",\"from\":\"" SID("MG") "\"}",
         "{\"messaging_service_sid\":\"***\",\"from\":\"" SID("MG") "\"}"},
        {"{\"media_urls\":[\"https://a.example/" LOST ".png\"],\"to\":{\"" LOST "\":1}}",
         "{\"media_urls\":[\"https://a.example/" LOST ".png\"],\"to\":\"***\"}"},
        {"{\"" LOST "\":1}", "{\"***\":\"***\"}"},
        {"\"" HUSH "\"", "\"***\""},
        {"[\"" HUSH "\"]", "\"***\""},
        {"null", "null"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        json_t *config = parse(cases[i].config), *shown = mask_config(config);

        check_json(cases[i].config, shown, cases[i].shown);
        check_json(cases[i].config, config, cases[i].config);
        json_decref(config);
        json_decref(shown);
    }
}

static void puts_them_back(void **state)
{
    static const struct {
        const char *config, *old, *whole; /* NULL: refused */
        const char *why;
    } cases[] = {
        {"{" AUTH "\"***\"}}", "{" AUTH "\"" HUSH "\"}}", "{" AUTH "\"" HUSH "\"}}", ""},
        {"{" AUTH "\"new\"}}", "{" AUTH "\"" HUSH "\"}}", "{" AUTH "\"new\"}}", ""},
        {"{\"to\":\"a\"}", NULL, "{\"to\":\"a\"}", ""},
        {"{\"auth\":\"***\"}", "{\"auth\":\"" HUSH "\"}", "{\"auth\":\"" HUSH "\"}", ""},
        {"{\"other\":\"***\"}", "{\"other\":{\"a\":\"" HUSH "\"}}",
         "{\"other\":{\"a\":\"" HUSH "\"}}", ""},
        {"{\"media_urls\":[\"a\",\"***\"]}", "{\"media_urls\":[\"b\",\"http://u@h/\"]}",
         "{\"media_urls\":[\"a\",\"http://u@h/\"]}", ""},
        {"{\"status_callback\":\"http://h/?a=***\"}", "{\"status_callback\":\"http://h/?a=b\"}",
         "{\"status_callback\":\"http://h/?a=b\"}", ""},
        {"{\"status_callback\":[\"http://h/?a=***\"]}", "{\"status_callback\":[\"http://h/?a=b\"]}",
         "{\"status_callback\":[\"http://h/?a=b\"]}", ""},
        {"{\"status_callback\":\"http://i/?a=***\"}", "{\"status_callback\":\"http://h/?a=b\"}",
         NULL, "config.status_callback: "},
        {"{\"***\":\"***\"}", "{\"" LOST "\":1}", NULL, "config.***: "},
        {"{\"body_template\":\"***\"}", "{\"body_template\":\"" LOST "\"}",
         "{\"body_template\":\"" LOST "\"}", ""},
        {"{\"body_template\":\"***\"}", NULL, "{\"body_template\":\"***\"}", ""},
        {"{" AUTH "\"***\"}}", NULL, NULL, "config.auth.auth_token: "},
        {"{" AUTH "\"***\"}}", "{\"auth\":\"" HUSH "\"}", NULL, "config.auth.auth_token: "},
        {"{" AUTH "\"***\"}}", "{" AUTH "null}}", NULL, "config.auth.auth_token: "},
        {"{\"auth\":\"***\"}", "{" AUTH "\"" HUSH "\"}}", NULL, "config.auth: "},
        {"{\"media_urls\":[\"a\",\"***\"]}", "{\"media_urls\":[\"http://u@h/\"]}", NULL,
         "config.media_urls[1]: "},
        {"{\"from\":\"***\"}", "{\"from\":\"+16824246644\"}", NULL, "config.from: "},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        json_t *config = parse(cases[i].config), *old = parse(cases[i].old);
        char why[ROW_WHY] = "";
        json_t *whole = unmask_config(config, old, why, sizeof why);

        check_json(cases[i].config, whole, cases[i].whole);
        check_contains(cases[i].config, why, cases[i].why);
        check_lacks(cases[i].config, why, HUSH);
        json_decref(config);
        json_decref(old);
        json_decref(whole);
    }
}

static void knows_what_others_must_not_see(void **state)
{
    static const struct {
        const char *patch;
        bool secret;
    } cases[] = {
        {"{\"config\":{" AUTH "\"" HUSH "\"}}}", true},
        {"{\"auth_token\":\"" HUSH "\"}", true},
        {"{\"config\":{\"x\":[{\"api_key_secret\":\"" HUSH "\"}]}}", true},
        {"{\"config\":{\"auth\":\"" HUSH "\"}}", true},
        {"{\"config\":{\"media_urls\":[\"https://u:" HUSH "@h/\"]}}", true},
        {"{\"config\":{" AUTH "\"***\"}}}", false},
        {"{\"config\":{" AUTH "null}}}", false},
        {"{\"config\":{" AUTH "\"" SEALED "\"}}}", false},
        {"{\"config\":{" AUTH "\"env:TOKEN\"}}}", false},
        {"{\"config\":{" AUTH "\"env:" HUSH "\"}}}", true},
        {"{\"name\":\"auth_token\",\"config\":{\"to\":\"+37120000000\"}}", false},
        {"null", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        json_t *patch = parse(cases[i].patch);

        check_int(cases[i].patch, mask_has_secret(patch), cases[i].secret);
        json_decref(patch);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hides_secrets),
        cmocka_unit_test(puts_them_back),
        cmocka_unit_test(knows_what_others_must_not_see),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
