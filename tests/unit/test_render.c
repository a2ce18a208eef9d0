#include "check.h"

#include "common/buf.h"
#include "common/utf8.h"
#include "worker/render.h"

/* A destination of which only the templates matter; `media` is a JSON array. */
static void make(struct destination *d, const char *to, const char *body, const char *media)
{
    json_t *urls = json_loads(media, 0, NULL);

    check_true(media, urls != NULL);
    *d = (struct destination){.json = urls, .to = to, .body_template = body, .media_urls = urls};
}

struct rendered {
    struct message message;
    const char *reason;
    char why[300];
    bool ok;
};

static void render(struct rendered *r, const char *to, const char *body, bool truncate,
                   const char *media, const char *event_text)
{
    json_t *event = json_loads(event_text, 0, NULL);
    struct destination d;

    check_true(event_text, event != NULL);
    make(&d, to, body, media);
    d.truncate = truncate;
    *r = (struct rendered){.reason = NULL};
    r->ok = render_message(&d, event, &r->message, &r->reason, r->why, sizeof r->why);
    json_decref(d.json);
    json_decref(event);
}

#define TO    "+37120000000"
#define OWL   "https://demo.twilio.com/owl.png"
#define MEDIA "[\"" OWL "\"]"

static void renders_a_message(void **state)
{
    struct rendered r;

    (void)state;
    render(&r, "+{{payload.country}}{{ number }}", "{{event_id}}: {{message}} {{payload.n}}", false,
           "[\"{{media_url}}\",\"https://{{host}}/a?x={{n}}\"]",
           "{\"event_id\":\"evt_1\",\"payload\":{\"country\":371,\"number\":\"20000000\","
           "\"message\":\"hi\",\"n\":5,\"media_url\":\"" OWL "\",\"host\":\"a.example\"}}");
    check_string("why", r.why, "");
    assert_true(r.ok);
    assert_string_equal(r.message.to, TO);
    assert_string_equal(r.message.body, "evt_1: hi 5");
    assert_int_equal(r.message.media_count, 2);
    assert_string_equal(r.message.media_urls[0], OWL);
    assert_string_equal(r.message.media_urls[1], "https://a.example/a?x=5");
    message_release(&r.message);
    assert_null(r.message.to);
    assert_int_equal(r.message.media_count, 0);
}

/* What a value contains is never looked at again. */
static void values_are_not_rendered_again(void **state)
{
    struct rendered r;

    (void)state;
    render(&r, TO, "<{{message}}|{{open}}event_id}}>", false, MEDIA,
           "{\"event_id\":\"evt_1\",\"payload\":{\"message\":\"{{event_id}}\",\"open\":\"{{\"}}");
    assert_true(r.ok);
    assert_string_equal(r.message.body, "<{{event_id}}|{{event_id}}>");
    message_release(&r.message);
    render(&r, "{{to}}", "x", false, MEDIA, "{\"real\":\"" TO "\",\"to\":\"{{real}}\"}");
    assert_false(r.ok);
    assert_string_equal(r.reason, "TO_INVALID");
    message_release(&r.message);
    render(&r, TO, "x", false, "[\"{{u}}\"]", "{\"real\":\"" OWL "\",\"u\":[\"{{real}}\"]}");
    assert_false(r.ok);
    assert_string_equal(r.reason, "MEDIA_URL_INVALID");
    message_release(&r.message);
}

static void judges_the_recipient(void **state)
{
    static const struct {
        const char *to, *event;
        const char *reason; /* NULL: fine */
    } cases[] = {
        {"{{n}}", "{\"n\":\"" TO "\"}", NULL},
        {"+{{n}}", "{\"n\":37120000000}", NULL},
        {"{{n}}", "{\"n\":\"+12\"}", NULL},
        {"{{n}}", "{\"n\":\"+1\"}", "TO_INVALID"},
        {"{{n}}", "{\"n\":37120000000}", "TO_INVALID"},
        {"{{n}}", "{\"n\":null}", "TO_INVALID"},
        {"{{n}}", "{\"n\":\"\"}", "TO_INVALID"},
        {"{{n}}", "{\"n\":\"" TO "\\n\"}", "TO_INVALID"},
        {" {{n}}", "{\"n\":\"" TO "\"}", "TO_INVALID"},
        {"{{n}}", "{\"n\":\"+371 2000\"}", "TO_INVALID"},
        {"{{n}}", "{\"n\":[\"" TO "\"]}", "TO_INVALID"},
        {"{{n}},{{n}}", "{\"n\":\"" TO "\"}", "TO_INVALID"},
        {"{{n}}", "{\"m\":1}", "TOKEN_MISSING"},
        {"+371{{n}}", "{\"m\":1}", "TOKEN_MISSING"},
        {"{{payload.n}}", "{\"n\":\"" TO "\",\"payload\":{}}", "TOKEN_MISSING"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct rendered r;

        render(&r, cases[i].to, "x", false, MEDIA, cases[i].event);
        check_int(cases[i].event, r.ok, cases[i].reason == NULL);
        check_string(cases[i].event, r.reason, cases[i].reason);
        check_contains(cases[i].event, r.why, r.ok ? "" : "config.to: ");
        if (cases[i].reason != NULL && strcmp(cases[i].reason, "TOKEN_MISSING") == 0)
            check_contains(cases[i].event, r.why, "n}}");
        message_release(&r.message);
    }
}

static void a_recipient_of_any_length_is_refused(void **state)
{
    char *digits = check_repeat("1", 5000), *event = malloc(6000);
    struct rendered r;

    (void)state;
    assert_non_null(event);
    snprintf(event, 6000, "{\"n\":\"+%s\"}", digits);
    render(&r, "{{n}}", "x", false, MEDIA, event);
    assert_false(r.ok);
    assert_string_equal(r.reason, "TOO_LONG");
    message_release(&r.message);
    free(digits);
    free(event);
}

/* A body of `count` times `unit`; what becomes of it. */
static void check_body(const char *unit, size_t count, bool truncate)
{
    char *body = check_repeat(unit, count), *event = malloc(strlen(body) + 64), name[64];
    struct rendered r;

    assert_non_null(event);
    sprintf(event, "{\"message\":\"%s\"}", body);
    snprintf(name, sizeof name, "%zu times '%s'%s", count, unit, truncate ? ", truncated" : "");
    render(&r, TO, "{{message}}", truncate, MEDIA, event);
    check_int(name, r.ok, count <= 1600 || truncate);
    if (r.ok) {
        size_t kept = count < 1600 ? count : 1600;

        check_int(name, (int64_t)utf8_length(r.message.body), (int64_t)kept);
        check_int(name, (int64_t)strlen(r.message.body), (int64_t)(kept * strlen(unit)));
        check_true(name, strncmp(r.message.body, body, kept * strlen(unit)) == 0);
    } else {
        check_string(name, r.reason, "BODY_TOO_LONG");
        check_contains(name, r.why, "config.body_template");
    }
    message_release(&r.message);
    free(event);
    free(body);
}

static void bounds_the_body(void **state)
{
    static const char *const units[] = {"x", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
    static const size_t counts[] = {1, 1599, 1600, 1601, 1602, 3203, 6404, 6405, 20000};

    (void)state;
    for (size_t unit = 0; unit < COUNT(units); unit++) {
        for (size_t i = 0; i < COUNT(counts); i++) {
            check_body(units[unit], counts[i], false);
            check_body(units[unit], counts[i], true);
        }
    }
}

static void cuts_a_body_of_many_tokens(void **state)
{
    struct rendered r;
    char *template = check_repeat("{{m}}-", 700);

    (void)state;
    render(&r, TO, template, true, MEDIA, "{\"m\":\"\xe2\x82\xac\xf0\x9f\x98\x80\"}");
    assert_true(r.ok);
    assert_int_equal(utf8_length(r.message.body), 1600);
    assert_true(utf8_valid(r.message.body, strlen(r.message.body)));
    /* 533 whole units of three characters, and one character more. */
    assert_string_equal(r.message.body + 533 * 8, "\xe2\x82\xac");
    message_release(&r.message);
    free(template);
}

static void missing_tokens_of_the_body_are_empty(void **state)
{
    static const struct {
        const char *body, *expected; /* NULL: refused */
    } cases[] = {
        {"a{{absent}}b", "ab"}, {"{{payload.absent.x}}!", "!"}, {"{{nothing}}", "null"},
        {"{{absent}}", NULL},   {"{{empty}}{{absent}}", NULL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct rendered r;

        render(&r, TO, cases[i].body, i % 2 == 0, MEDIA, "{\"nothing\":null,\"empty\":\"\"}");
        check_int(cases[i].body, r.ok, cases[i].expected != NULL);
        if (r.ok)
            check_string(cases[i].body, r.message.body, cases[i].expected);
        else
            check_string(cases[i].body, r.reason, "BODY_EMPTY");
        message_release(&r.message);
    }
}

#define U(n) "\"https://a.example/" #n "\""
#define TEN  U(1) "," U(2) "," U(3) "," U(4) "," U(5) "," U(6) "," U(7) "," U(8) "," U(9) "," U(10)

static void judges_media(void **state)
{
    static const struct {
        const char *name, *media, *event;
        int count;          /* of URLs */
        const char *reason; /* NULL: fine */
        const char *why;
    } cases[] = {
        {"literal", MEDIA, "{}", 1, NULL, NULL},
        {"token", "[\"{{u}}\"]", "{\"u\":" U(1) "}", 1, NULL, NULL},
        {"array of three", "[\"{{u}}\"]", "{\"u\":[" U(1) "," U(2) "," U(3) "]}", 3, NULL, NULL},
        {"array in payload", "[\"{{ u }}\"]", "{\"payload\":{\"u\":[" U(1) "," U(2) "]}}", 2, NULL,
         NULL},
        {"array between others", "[" U(0) ",\"{{u}}\"," U(9) "]", "{\"u\":[" U(1) "," U(2) "]}", 4,
         NULL, NULL},
        {"empty array beside another", "[\"{{u}}\"," U(9) "]", "{\"u\":[]}", 1, NULL, NULL},
        {"element of an array", "[\"{{u.1}}\"]", "{\"u\":[7," U(2) "]}", 1, NULL, NULL},
        {"ten literals", "[" TEN "]", "{}", 10, NULL, NULL},
        {"ten in an array", "[\"{{u}}\"]", "{\"u\":[" TEN "]}", 10, NULL, NULL},
        {"eleven in an array", "[\"{{u}}\"]", "{\"u\":[" TEN "," U(11) "]}", 0, "MEDIA_URLS_COUNT",
         "more than 10"},
        {"ten and one", "[\"{{u}}\"," U(11) "]", "{\"u\":[" TEN "]}", 0, "MEDIA_URLS_COUNT",
         "more than 10"},
        {"empty array", "[\"{{u}}\"]", "{\"u\":[]}", 0, "MEDIA_URLS_COUNT", "no URL"},
        {"array of numbers", "[\"{{u}}\"]", "{\"u\":[1]}", 0, "MEDIA_URL_INVALID",
         "media_urls[0]: an element"},
        {"array of arrays", "[\"{{u}}\"]", "{\"u\":[[" U(1) "]]}", 0, "MEDIA_URL_INVALID",
         "not a string"},
        {"array with null", "[\"{{u}}\"]", "{\"u\":[" U(1) ",null]}", 0, "MEDIA_URL_INVALID",
         "not a string"},
        {"array within text", "[\"https://a.example/{{u}}\"]", "{\"u\":[\"a b\"]}", 0,
         "MEDIA_URL_INVALID", "blank"},
        {"private URL", "[" U(0) ",\"{{u}}\"]", "{\"u\":\"http://127.0.0.1/\"}", 0,
         "MEDIA_URL_INVALID", "media_urls[1]: the rendered URL has a private"},
        {"private URL in an array", "[\"{{u}}\"]", "{\"u\":[" U(1) ",\"http://10.0.0.1/\"]}", 0,
         "MEDIA_URL_INVALID", "has a private"},
        {"scheme", "[\"{{u}}\"]", "{\"u\":\"ftp://a.example/\"}", 0, "MEDIA_URL_INVALID",
         "http or https"},
        {"empty", "[\"{{u}}\"]", "{\"u\":\"\"}", 0, "MEDIA_URL_INVALID", "not a URL"},
        {"null", "[\"{{u}}\"]", "{\"u\":null}", 0, "MEDIA_URL_INVALID", "not a URL"},
        {"object", "[\"{{u}}\"]", "{\"u\":{}}", 0, "MEDIA_URL_INVALID", "not a URL"},
        {"new line", "[\"{{u}}\"]", "{\"u\":\"https://a.example/\\n\"}", 0, "MEDIA_URL_INVALID",
         "control character"},
        {"missing", "[" U(0) ",\"{{u}}\"]", "{}", 0, "TOKEN_MISSING",
         "media_urls[1]: the event has no {{u}}"},
        {"missing within text", "[\"https://a.example/{{u}}\"]", "{}", 0, "TOKEN_MISSING", "{{u}}"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct rendered r;

        render(&r, TO, "x", false, cases[i].media, cases[i].event);
        check_int(cases[i].name, r.ok, cases[i].reason == NULL);
        check_string(cases[i].name, r.reason, cases[i].reason);
        if (r.ok)
            check_int(cases[i].name, r.message.media_count, cases[i].count);
        else
            check_contains(cases[i].name, r.why, cases[i].why);
        message_release(&r.message);
    }
}

static void arrays_expand_in_order(void **state)
{
    static const char *const expected[] = {"https://a.example/0", "https://a.example/1",
                                           "https://a.example/2", "https://a.example/9"};
    struct rendered r;

    (void)state;
    render(&r, TO, "x", false, "[" U(0) ",\"{{u}}\"," U(9) "]", "{\"u\":[" U(1) "," U(2) "]}");
    assert_int_equal(r.message.media_count, COUNT(expected));
    for (size_t i = 0; i < COUNT(expected); i++)
        check_string(expected[i], r.message.media_urls[i], expected[i]);
    message_release(&r.message);
}

static void bounds_the_length_of_urls(void **state)
{
    static const char head[] = "https://a.example/";
    static const struct {
        const char *format;
        const char *reason;
    } cases[] = {{"{\"u\":\"%s%s\"}", "TOO_LONG"}, {"{\"u\":[\"%s%s\"]}", "MEDIA_URL_INVALID"}};

    (void)state;
    for (size_t i = 0; i < 2 * COUNT(cases); i++) {
        bool fits = i % 2 == 0;
        char *path = check_repeat("x", 2048 - strlen(head) + (fits ? 0 : 1)), event[3000];
        struct rendered r;

        snprintf(event, sizeof event, cases[i / 2].format, head, path);
        render(&r, TO, "x", false, "[\"{{u}}\"]", event);
        check_int(cases[i / 2].reason, r.ok, fits);
        check_string(event, r.reason, fits ? NULL : cases[i / 2].reason);
        message_release(&r.message);
        free(path);
    }
}

/* ---- as SMS ---- */

#define HEAD "https://a.example/"

/* Of `characters` characters. */
static char *make_url(size_t characters)
{
    char *path = check_repeat("x", characters - strlen(HEAD)), *url = malloc(characters + 1);

    assert_non_null(url);
    snprintf(url, characters + 1, HEAD "%s", path);
    free(path);
    return url;
}

/*
 * A text of `text` times `unit` and `count` URLs of `length` characters: how many characters of the
 * text and how many URLs are left.
 */
static void check_sms(const char *unit, size_t text, int count, size_t length, size_t kept,
                      int urls)
{
    char *whole = check_repeat(unit, text), *url = make_url(length), name[100];
    struct message message = {.media_count = count};
    struct buf expected;

    message.body = check_repeat(unit, text);
    for (int i = 0; i < count; i++)
        message.media_urls[i] = make_url(length);
    buf_init(&expected, 20000);
    buf_add(&expected, whole, kept * strlen(unit));
    if (kept < text)
        buf_add_string(&expected, "\u2026");
    for (int i = 0; i < urls; i++)
        buf_printf(&expected, "\n%s", url);
    snprintf(name, sizeof name, "%zu times %s, %d URLs of %zu", text, unit, count, length);
    message_to_sms(&message);
    check_string(name, message.body, expected.data);
    check_true(name, message.sms);
    check_int(name, message.media_count, 0);
    check_true(name, utf8_length(message.body) <= 1600);
    check_true(name, utf8_valid(message.body, strlen(message.body)));
    message_release(&message);
    buf_release(&expected);
    free(whole);
    free(url);
}

static void an_sms_has_links_behind_its_text(void **state)
{
    static const struct {
        size_t text;
        int count;
        size_t length; /* of a URL */
        size_t kept;   /* of the text */
        int urls;
    } cases[] = {
        {2, 1, 30, 2, 1},         {2, 10, 30, 2, 10},
        {2, 10, 158, 2, 10},      {10, 10, 158, 10, 10}, /* 1600 to the point */
        {11, 10, 158, 11, 9},                            /* a short text is never cut */
        {160, 10, 143, 160, 10},  {160, 10, 144, 160, 9},
        {161, 1, 1438, 161, 1}, /* 1600 to the point */
        {162, 1, 1438, 160, 1},   {1500, 1, 1438, 160, 1},
        {1500, 1, 1439, 1500, 0}, {160, 1, 1439, 160, 1},
        {160, 1, 1440, 160, 0},   {1500, 1, 99, 1500, 1},
        {1500, 1, 100, 1498, 1},  {1600, 1, 30, 1568, 1},
        {1600, 10, 30, 1289, 10}, {1600, 10, 142, 169, 10},
        {1600, 10, 143, 303, 9}, /* the text gets the room of what is left out */
        {1600, 3, 1600, 1600, 0}, {1600, 1, 2048, 1600, 0},
        {1600, 0, 30, 1600, 0},
    };
    static const char *const units[] = {"x", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        for (size_t unit = 0; unit < COUNT(units); unit++)
            check_sms(units[unit], cases[i].text, cases[i].count, cases[i].length, cases[i].kept,
                      cases[i].urls);
    }
}

static void the_last_links_are_left_out_first(void **state)
{
    static const size_t lengths[] = {30, 1400, 40, 50};
    struct message message = {.body = check_repeat("x", 200), .media_count = COUNT(lengths)};
    char *first = make_url(30), *second = make_url(1400), expected[1700];

    (void)state;
    for (size_t i = 0; i < COUNT(lengths); i++)
        message.media_urls[i] = make_url(lengths[i]);
    snprintf(expected, sizeof expected, "%.167s\u2026\n%s\n%s", message.body, first, second);
    message_to_sms(&message);
    assert_string_equal(message.body, expected);
    message_release(&message);
    free(first);
    free(second);
}

static void a_url_counts_by_its_characters(void **state)
{
    struct message message = {.body = check_repeat("x", 170), .media_count = 1};
    char *path = check_repeat("\xf0\x9f\x98\x80", 1411), expected[8000];

    (void)state;
    message.media_urls[0] = malloc(8000);
    assert_non_null(message.media_urls[0]);
    snprintf(message.media_urls[0], 8000, HEAD "%s", path);
    snprintf(expected, sizeof expected, "%s\n%s", message.body, message.media_urls[0]);
    message_to_sms(&message);
    assert_int_equal(utf8_length(expected), 1600);
    assert_string_equal(message.body, expected);
    message_release(&message);
    free(path);
}

static void twice_is_once(void **state)
{
    struct rendered r;

    (void)state;
    render(&r, TO, "hi", false, "[" U(1) "," U(2) "]", "{}");
    assert_true(r.ok);
    assert_false(r.message.sms);
    message_to_sms(&r.message);
    message_to_sms(&r.message);
    assert_string_equal(r.message.to, TO);
    assert_string_equal(r.message.body, "hi\nhttps://a.example/1\nhttps://a.example/2");
    message_release(&r.message);
    assert_false(r.message.sms);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(renders_a_message),
        cmocka_unit_test(values_are_not_rendered_again),
        cmocka_unit_test(judges_the_recipient),
        cmocka_unit_test(a_recipient_of_any_length_is_refused),
        cmocka_unit_test(bounds_the_body),
        cmocka_unit_test(cuts_a_body_of_many_tokens),
        cmocka_unit_test(missing_tokens_of_the_body_are_empty),
        cmocka_unit_test(judges_media),
        cmocka_unit_test(arrays_expand_in_order),
        cmocka_unit_test(bounds_the_length_of_urls),
        cmocka_unit_test(an_sms_has_links_behind_its_text),
        cmocka_unit_test(the_last_links_are_left_out_first),
        cmocka_unit_test(a_url_counts_by_its_characters),
        cmocka_unit_test(twice_is_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
