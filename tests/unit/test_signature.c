#include "check.h"

#include "worker/signature.h"

/*
 * Expected signatures: those of Twilio's documentation and of its libraries' own tests; the others
 * were made with twilio-python's RequestValidator.
 */
#define TOKEN "12345"
#define URL   "https://mycompany.com/myapp.php?foo=1&bar=2"
#define CALL                                                                               \
    "CallSid=CA1234567890ABCDE&Caller=%2B14158675309&Digits=1234&From=%2B14158675309&To=%" \
    "2B18005551212"
#define PLAIN  "RSOYDt4T1cUTdK1PDd93/VVr8B8="
#define P443   "kvajT1Ptam85bY51eRf/AJRuM3w="
#define EMPTY  "zYQTYrRWXE7LtzbG4PfP7/bkkGo="
#define SHA256 "0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620"

struct signature_case {
    const char *name;
    const char *url;
    const char *form; /* NULL: the body is none */
    const char *signature;
    bool matches;
};

static bool matches_with(const char *token, const struct signature_case *c)
{
    struct signature_texts texts;
    struct form form = {.count = 0};
    bool matches;

    if (c->form != NULL)
        assert_true(form_parse(c->form, strlen(c->form), 100, &form));
    signature_texts_init(&texts, c->url, c->form != NULL ? &form : NULL);
    matches = signature_matches(&texts, token, c->signature);
    signature_texts_release(&texts);
    form_release(&form);
    return matches;
}

static void check(const struct signature_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++)
        check_int(cases[i].name, matches_with(TOKEN, &cases[i]), cases[i].matches);
}

static void twilios_vectors(void **state)
{
    static const struct signature_case cases[] = {
        {"documentation", "https://example.com/myapp.php?foo=1&bar=2",
         "CallSid=CA1234567890ABCDE&Caller=%2B14158675310&Digits=1234&From=%2B14158675310&"
         "To=%2B18005551212",
         "L/OH5YylLD5NRKLltdqwSvS0BnU=", true},
        {"no port", URL, CALL, PLAIN, true},
        {"443 is signed", "https://mycompany.com:443/myapp.php?foo=1&bar=2", CALL, P443, true},
        {"80 is signed", "http://mycompany.com:80/myapp.php?foo=1&bar=2", CALL,
         "0ZXoZLH/DfblKGATFgpif+LLRf4=", true},
        {"1234 is signed", "http://mycompany.com:1234/myapp.php?foo=1&bar=2", CALL,
         "Zmvh+3yNM1Phv2jhDCwEM3q5ebU=", true},
        {"repeated names", URL, "Sid=CA123&SidAccount=AC123&Digits=5678&Digits=1234&Digits=1234",
         "IK+Dwps556ElfBT0I3Rgjkr1wJU=", true},
        {"a body that is no form", URL "&bodySHA256=" SHA256, NULL,
         "a9nBmqA0ju/hNViExpshrM61xv4=", true},
    };

    (void)state;
    check(cases, COUNT(cases));
}

static void either_port(void **state)
{
    static const struct signature_case cases[] = {
        {"443 added by Twilio", URL, CALL, P443, true},
        {"443 taken out by Twilio", "https://mycompany.com:443/myapp.php?foo=1&bar=2", CALL, PLAIN,
         true},
        {"80 added", "http://mycompany.com/myapp.php?foo=1&bar=2", CALL,
         "0ZXoZLH/DfblKGATFgpif+LLRf4=", true},
        {"any port taken out", "https://mycompany.com:8443/myapp.php?foo=1&bar=2", CALL, PLAIN,
         true},
        {"443 is not 8443", "https://mycompany.com:8443/myapp.php?foo=1&bar=2", CALL, P443, false},
        {"80 isn't for https", "https://mycompany.com/myapp.php?foo=1&bar=2", CALL,
         "0ZXoZLH/DfblKGATFgpif+LLRf4=", false},
        {"IPv6", "http://[::1]:8080/x", CALL, "Xo0SclrFzGbRkp59EYXME1+rCHQ=", true},
        {"IPv6, 80 added", "http://[::1]/x", CALL, "VYycYNrFIzvKjArvh4BmBZLBjVY=", true},
        {"IPv6, port taken out", "http://[::1]:80/x", CALL, "H37hyDHqrISKrpI5Jmd92yp+mMM=", true},
    };

    (void)state;
    check(cases, COUNT(cases));
}

static void what_is_not_signed_of_a_url(void **state)
{
    static const struct signature_case cases[] = {
        {"fragment", URL "#rc=3&rp=all", CALL, PLAIN, true},
        {"user name", "https://user:pass@mycompany.com/myapp.php?foo=1&bar=2", CALL, PLAIN, true},
        {"user name and port", "https://user@mycompany.com:443/myapp.php?foo=1&bar=2", CALL, P443,
         true},
        {"an @ behind the host", "https://mycompany.com/myapp.php?foo=1&bar=2@", CALL, PLAIN,
         false},
        {"scheme in capitals", "HTTPS://mycompany.com/myapp.php?foo=1&bar=2", CALL, PLAIN, true},
        {"host in capitals", "https://MyCompany.com/myapp.php?foo=1&bar=2", CALL, PLAIN, false},
        {"other scheme", "http://mycompany.com/myapp.php?foo=1&bar=2", CALL, PLAIN, false},
        {"other order", "https://mycompany.com/myapp.php?bar=2&foo=1", CALL, PLAIN, false},
        {"other path", "https://mycompany.com/myapp.php/?foo=1&bar=2", CALL, PLAIN, false},
        {"a query more", URL "&", CALL, PLAIN, false},
        {"a query encoded again", "https://mycompany.com/myapp.php?foo=%31&bar=2", CALL, PLAIN,
         false},
    };

    (void)state;
    check(cases, COUNT(cases));
}

static void parameters(void **state)
{
    static const struct signature_case cases[] = {
        {"another order of arrival", URL,
         "To=%2B18005551212&From=%2B14158675309&Digits=1234&Caller=%2B14158675309&"
         "CallSid=CA1234567890ABCDE",
         PLAIN, true},
        {"none at all", URL, "", EMPTY, true},
        {"none of a form is the same", URL, NULL, EMPTY, true},
        {"empty values", URL, "B=&A=", "vFsoCmvyJhPj1cv5uUxZxmM3JS8=", true},
        {"a name that begins another", URL, "Ab=c&A=bc", "Ccq1Z+Oo8a7BgRWQRoiCdwEVIms=", true},
        {"capitals first", URL, "a=y&A=bc&Ab=c&AB=x", "8S1SW0aM9B2VoWJnhDJee+T7azc=", true},
        {"UTF-8, and blanks at the ends", URL,
         "%C3%A4=1&From=%2B1&Body=+gr%C3%BC%C3%9F+dich+%F0%9F%A6%89+",
         "sPq94Ppcvey1Dmh4oVSl85pDsY4=", true},
        {"blanks cut off", URL, "%C3%A4=1&From=%2B1&Body=gr%C3%BC%C3%9F+dich+%F0%9F%A6%89",
         "sPq94Ppcvey1Dmh4oVSl85pDsY4=", false},
        {"one more", URL, CALL "&X=", PLAIN, false},
        {"one less", URL, "CallSid=CA1234567890ABCDE", PLAIN, false},
        {"one changed", URL,
         "CallSid=CA1234567890ABCDE&Caller=%2B14158675309&Digits=1235&From=%2B14158675309&"
         "To=%2B18005551212",
         PLAIN, false},
    };

    (void)state;
    check(cases, COUNT(cases));
}

static void what_is_no_signature(void **state)
{
    static const struct signature_case cases[] = {
        {"absent", URL, CALL, NULL, false},
        {"empty", URL, CALL, "", false},
        {"cut", URL, CALL, "RSOYDt4T1cUTdK1PDd93/VVr8B8", false},
        {"the beginning", URL, CALL, "RSOY", false},
        {"longer", URL, CALL, PLAIN "=", false},
        {"blank behind it", URL, CALL, PLAIN " ", false},
        {"one character", URL, CALL, "RSOYDt4T1cUTdK1PDd93/VVr8B9=", false},
        {"the first character", URL, CALL, "SSOYDt4T1cUTdK1PDd93/VVr8B8=", false},
        {"small letters", URL, CALL, "rsoydt4t1cutdk1pdd93/vvr8b8=", false},
        {"garbage", URL, CALL, "\x01\xff\xfe%s%n!!!!!!!!!!!!!!!!!!!!!", false},
        {"what absent ones are compared as", URL, CALL, "----------------------------", false},
    };

    (void)state;
    check(cases, COUNT(cases));
}

static void another_token(void **state)
{
    const struct signature_case plain = {"", URL, CALL, PLAIN, true};
    const struct signature_case other = {"", URL, CALL, "cM8kXEjnCoOawPITZjVIc8AT2sI=", true};
    char *token = check_repeat("k", 100); /* longer than SHA-1's block */

    (void)state;
    assert_false(matches_with("12346", &plain));
    assert_false(matches_with("", &plain));
    assert_true(matches_with(token, &other));
    free(token);
}

static void bodies(void **state)
{
    static const char body[] = "{\"property\": \"value\", \"boolean\": true}";
    static const char capitals[] =
        "0A1FF7634D9AB3B95DB5C9A2DFE9416E41502B283A80C7CF19632632F96E6620";
    size_t length = strlen(body);

    (void)state;
    assert_true(signature_body_matches(SHA256, 64, body, length));
    assert_false(signature_body_matches(SHA256, 64, body, length - 1));
    assert_false(signature_body_matches(SHA256, 63, body, length));
    assert_false(signature_body_matches("", 0, body, length));
    assert_false(signature_body_matches(NULL, 0, body, length));
    assert_false(signature_body_matches(capitals, 64, body, length));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(twilios_vectors),
        cmocka_unit_test(either_port),
        cmocka_unit_test(what_is_not_signed_of_a_url),
        cmocka_unit_test(parameters),
        cmocka_unit_test(what_is_no_signature),
        cmocka_unit_test(another_token),
        cmocka_unit_test(bodies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
