#include "check.h"

#include "common/base64.h"
#include "common/mem.h"
#include "common/redact.h"
#include "common/utf8.h"

#define USER  "AC0123456789abcdef0123456789abcdef"
#define TOKEN "f00dfeed1badcafe2deadbee3c0ffee4"
/* "USER:TOKEN" in base64, by another program, as are the others here */
#define BASIC \
    "QUMwMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZjpmMDBkZmVlZDFiYWRjYWZlMmRlYWRiZWUzYzBmZmVlNA"
/* A secret with everything in it that somebody may want to escape. */
#define ODD "p%41+/=\"<&>'\\:~?0"

static struct redactor *with_token(void)
{
    struct redactor *redactor = redactor_new();

    redactor_add_login(redactor, USER, TOKEN);
    return redactor;
}

static void check_redacted(const struct redactor *redactor, const char *text, const char *expected)
{
    struct buf out;

    buf_init(&out, 4000);
    redact(redactor, text, strlen(text), &out);
    check_string(text, out.data, expected);
    check_false(text, out.overflow);
    buf_release(&out);
}

static void takes_out_every_copy(void **state)
{
    static const struct {
        const char *text, *expected;
    } cases[] = {
        {"hello", "hello"},
        {"a " TOKEN " b", "a *** b"},
        {"Authorization: Basic " BASIC "==\r\n", "Authorization: Basic ***==\r\n"},
        {TOKEN, "***"},
        {BASIC, "***"},
        {TOKEN "x", "***x"},
        {"x" TOKEN, "x***"},
        {TOKEN TOKEN, "***"},
        {BASIC "-" TOKEN "-" BASIC, "***-***-***"},
        {"a" TOKEN "b" BASIC "|c" TOKEN "d" TOKEN "e", "a***b***|c***d***e"},
        {"f00dfeed1ba" TOKEN, "f00dfeed1ba***"},
        {"\xff" TOKEN "\xe2\x82\xac", "\xef\xbf\xbd***\xe2\x82\xac"},
        {USER, USER},
        /* upper case, hexadecimal */
        {"F00DFEED1BADCAFE2DEADBEE3C0FFEE4", "***"},
        {"663030646665656431626164636166653264656164626565336330666665653434", "***34"},
        {"0x6630306466656564316261646361666532646561646265653363306666656534.", "0x***."},
        {"6630306466656564316261646361666532646561646265653363306666656534", "***"},
        /* base64 at the other offsets: "token=", "xtoken=", "xxtoken=" before it */
        {"dG9rZW49ZjAwZGZlZWQxYmFkY2FmZTJkZWFkYmVlM2MwZmZlZTQ=", "dG9rZW49***Q="},
        {"eHRva2VuPWYwMGRmZWVkMWJhZGNhZmUyZGVhZGJlZTNjMGZmZWU0", "eHRva2VuPW***"},
        {"eHh0b2tlbj1mMDBkZmVlZDFiYWRjYWZlMmRlYWRiZWUzYzBmZmVlNA==", "eHh0b2tlbj1***A=="},
        /* one character escaped, or all of them */
        {"%66%30%30%64%66%65%65%64%31%62%61%64%63%61%66%65%32%64%65%61%64%62%65%65%33%63%30%66%66%"
         "65%65%34",
         "***"},
        {"f00dfeed1badcafe2deadbee3c0ffee%34", "***"},
        {"%2566%2530%2530dfeed1badcafe2deadbee3c0ffee4", "***"},
        {"\\u0066\\u0030\\u0030dfeed1badcafe2deadbee3c0ffee4", "***"},
        {"\\\\u00660\\\\u0030dfeed1badcafe2deadbee3c0ffee4", "***"},
        {"\\x66\\x30\\x30dfeed1badcafe2deadbee3c0ffee4", "***"},
        {"&#102;&#48;&#x30;&#X64;feed1badcafe2deadbee3c0ffee&#0000052;", "***"},
        {"QUMwMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZjpmMDBkZmVlZDFiYWRjYWZlMmRlYWRiZWUzYzBmZmVl"
         "%4eA%3D%3D",
         "***%3D%3D"},
        /* what looks like an escape and is none */
        {"% %4 %zz \\ \\u00 &amp; &# &#; &#x; &#99999999999; &", /* and at the end, cut */
         "% %4 %zz \\ \\u00 &amp; &# &#; &#x; &#99999999999; &"},
    };
    struct redactor *redactor = with_token();

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        check_redacted(redactor, cases[i].text, cases[i].expected);
    redactor_free(redactor);
}

static void takes_out_what_is_escaped(void **state)
{
    static const char *const texts[] = {
        ODD,
        "p%2541%2B%2F%3D%22%3C%26%3E%27%5C%3A%7E%3F0", /* form */
        "p%2541%2b%2f%3d%22%3c%26%3e%27%5c%3a%7e%3f0", /* lower case */
        "p%41+\\/=\\\"<&>'\\\\:~?0",                   /* JSON */
        "p%41\\u002b\\u002F=\\u0022\\u003c\\u0026\\u003e'\\u005c:~?0",
        "p%41+\\\\\\/=\\\\\\\"<&>'\\\\\\\\:~?0", /* JSON in JSON */
        "p%41+/=&quot;&lt;&amp;&gt;&#39;\\:~?0", /* HTML */
        "p%41&plus;&sol;&equals;&#x22;&lt;&amp;&gt;&apos;\\:~?0",
        "p%41+/=\\&quot;<&amp;>'\\\\:~?0",                    /* JSON in HTML */
        "p%41+/=\\u0026quot;\\u003c\\u0026amp;>'\\\\:~?0",    /* HTML in JSON */
        "p%2541%2B%5C%2F%3D%5C%22%3C%26%3E%27%5C%5C%3A~%3F0", /* JSON in a query */
        "p%252541%252B%252F%253D%2522%253C%2526%253E%2527%255C%253A%257E%253F0", /* a query twice */
        "cCU0MSsvPSI8Jj4nXDp+PzA",                                               /* base64 */
        "cCU0MSsvPSI8Jj4nXDp-PzA",                                               /* and for URLs */
        "cCU0MSsvPSI8Jj4nXDp%2BPzA",
    };
    struct redactor *redactor = redactor_new();

    (void)state;
    redactor_add(redactor, ODD);
    for (size_t i = 0; i < COUNT(texts); i++) {
        char text[200], expected[200];
        bool base64 = strncmp(texts[i], "cCU", 3) == 0;

        snprintf(text, sizeof text, "<%s>", texts[i]);
        /* What the end of base64 shows is shared with what follows: four bits. */
        snprintf(expected, sizeof expected, "<***%s>", base64 ? "A" : "");
        check_redacted(redactor, text, expected);
    }
    redactor_free(redactor);
}

/* A whole request, with its header, in base64 once more. */
static void takes_out_a_dump_of_the_request(void **state)
{
    struct redactor *redactor = with_token();

    (void)state;
    for (size_t before = 0; before < 6; before++) {
        char text[300], dump[BASE64_SIZE(300)];
        struct buf out;

        snprintf(text, sizeof text, "%.*sBasic " BASIC "==\r\n", (int)before, "GET / ");
        base64_encode(text, strlen(text), dump);
        buf_init(&out, 1000);
        redact(redactor, dump, strlen(dump), &out);
        check_true(dump, out.length < 40 && strstr(out.data, "***") != NULL);
        buf_release(&out);
    }
    redactor_free(redactor);
}

static void passes_over_a_nul(void **state)
{
    static const char text[] = "a\0" TOKEN "\0b";
    struct redactor *redactor = with_token();
    struct buf out;

    (void)state;
    buf_init(&out, 1000);
    redact(redactor, text, sizeof text - 1, &out);
    assert_string_equal(out.data, "a\xef\xbf\xbd***\xef\xbf\xbd"
                                  "b");
    buf_release(&out);
    redactor_free(redactor);
}

static void short_words_are_no_secrets(void **state)
{
    struct redactor *redactor = redactor_new();

    (void)state;
    redactor_add(redactor, NULL);
    redactor_add(redactor, "");
    redactor_add(redactor, "seven77");
    check_redacted(redactor, "seven77 \xff", "seven77 \xef\xbf\xbd");
    redactor_add_login(redactor, USER, "t");
    /* With the name before it, it is recognised. */
    check_redacted(redactor, "t QUMwMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZjp0", "t ***");
    redactor_free(redactor);
    redactor_free(NULL);
}

/* Secrets and odd bytes, cut by the buffer's bound at every place. */
static void keeps_any_bound(void **state)
{
    static const char text[] = "\xe2\x82\xac" TOKEN "\xf0\x9f\x98\x80" BASIC "\xff"
                               "ab" TOKEN "z";
    static const char whole[] = "\xe2\x82\xac***\xf0\x9f\x98\x80***\xef\xbf\xbd"
                                "ab***z";
    struct redactor *redactor = with_token();

    (void)state;
    for (size_t max = 0; max <= sizeof whole; max++) {
        struct buf out;
        char name[32];

        snprintf(name, sizeof name, "at most %zu bytes", max);
        buf_init(&out, max);
        redact(redactor, text, sizeof text - 1, &out);
        check_true(name, out.length <= max && utf8_valid(out.data, out.length));
        check_int(name, out.overflow, max < sizeof whole - 1);
        check_true(name, out.length == 0 || strncmp(out.data, whole, out.length) == 0);
        buf_release(&out);
    }
    redactor_free(redactor);
}

/*
 * Answers, headers and error messages come cut to a size: of a secret at the end only the beginning
 * may be left, and most of a token is as good as all of it.
 */
static void takes_out_a_secret_cut_at_the_end(void **state)
{
    static const struct {
        const char *secret;
        int least; /* bytes that write eight characters */
    } cases[] = {
        {TOKEN, 8},
        {BASIC, 8},
        {"%66%30%30%64%66%65%65%64%31%62%61%64%63%61", 24},
        {"\\u0066\\u0030\\u0030\\u0064\\u0066\\u0065\\u0065\\u0064\\u0031\\u0062", 48},
        {"&#102;&#48;&#48;&#100;&#102;&#101;&#101;&#100;&#49;&#98;", 46},
        {"6630306466656564316261646361666532646561", 8},
    };
    struct redactor *redactor = with_token();

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        for (int kept = (int)strlen(cases[i].secret); kept >= cases[i].least; kept--) {
            char text[200];

            snprintf(text, sizeof text, "Authorization: %.*s", kept, cases[i].secret);
            check_redacted(redactor, text, "Authorization: ***");
        }
    }
    redactor_free(redactor);
}

/* Who echoes a header may have shortened it; a secret's first letters alone are anybody's. */
static void takes_out_a_secret_cut_on_the_way(void **state)
{
    static const char *const secrets[] = {TOKEN, BASIC, "6630306466656564316261646361666532646561"};
    struct redactor *redactor = with_token();

    (void)state;
    for (size_t i = 0; i < COUNT(secrets); i++) {
        for (int kept = (int)strlen(secrets[i]) - 1; kept >= REDACT_BEGINNING; kept--) {
            char text[200];

            snprintf(text, sizeof text, "{\"echo\": \"%.*s...\"}", kept, secrets[i]);
            check_redacted(redactor, text, "{\"echo\": \"***...\"}");
        }
    }
    check_redacted(redactor, "f00dfeed1ba...", "f00dfeed1ba...");
    redactor_free(redactor);
}

/* As long as an answer may be, and full of beginnings. */
static void takes_time_in_proportion(void **state)
{
    static const char *const pieces[] = {"f00dfee", "\\", "%25", "&#0", "%66%30", "QUMw", "&", "%"};
    struct redactor *redactor = with_token();

    (void)state;
    for (size_t i = 0; i < COUNT(pieces); i++) {
        char *text = check_repeat(pieces[i], 1 << 16);
        struct buf out;

        buf_init(&out, 16 << 10);
        redact(redactor, text, strlen(text), &out);
        check_int(pieces[i], (int64_t)out.length, 16 << 10);
        buf_release(&out);
        free(text);
    }
    redactor_free(redactor);
}

static void suspects_what_looks_like_a_token(void **state)
{
    static const struct {
        const char *text;
        bool suspect;
    } cases[] = {
        {TOKEN, true},
        {"a word " TOKEN ".", true},
        {"https://a.example/?key=" TOKEN, true},
        {"kkkkEEEEyyyy0123kkkkEEEEyyyy0123", true},
        {USER, false},
        {"MG0123456789abcdefABCDEF0123456789", false},
        {"+371" TOKEN, true},
        {"messaging_service_sid", false},
        {"donaudampfschifffahrtsgesellschaft", false},
        {"123456789012345678901234567890", false},
        {"payload.media.0.url", false},
        {"evt-0123456789-abcdefghi", false},
        {"", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        check_int(cases[i].text, redact_suspects(cases[i].text), cases[i].suspect);
}

static void shows_names_alone(void **state)
{
    static const struct {
        const char *text;
        bool name;
    } cases[] = {
        {"body_template", true},
        {"Media-Urls 2.0", true},
        {"", true},
        {"account", true},
        {TOKEN, false},
        {"auth=" TOKEN, false},
        {"a\x1b", false},
        {"a/b", false},
        {"n\xc3\xa4me", false},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        check_int(cases[i].text, redact_is_name(cases[i].text), cases[i].name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_out_every_copy),
        cmocka_unit_test(takes_out_what_is_escaped),
        cmocka_unit_test(takes_out_a_dump_of_the_request),
        cmocka_unit_test(passes_over_a_nul),
        cmocka_unit_test(short_words_are_no_secrets),
        cmocka_unit_test(keeps_any_bound),
        cmocka_unit_test(takes_out_a_secret_cut_at_the_end),
        cmocka_unit_test(takes_out_a_secret_cut_on_the_way),
        cmocka_unit_test(takes_time_in_proportion),
        cmocka_unit_test(suspects_what_looks_like_a_token),
        cmocka_unit_test(shows_names_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
