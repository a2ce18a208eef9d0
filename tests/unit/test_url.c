#include "check.h"

#include "common/url.h"

#define SCHEME  "is not http or https"
#define NO_URL  "is not a URL"
#define LOCAL   "private, loopback or link-local"
#define NAME    "not public"
#define ADDRESS "no valid address"
#define USER    "user name"
#define BLANK   "blank or a control character"

struct url_case {
    const char *url;
    const char *why; /* a part of it; "" for any; NULL: the URL is fine */
};

static void check_urls(const struct url_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char why[160] = "";

        check_int(cases[i].url, url_public(cases[i].url, why, sizeof why), cases[i].why == NULL);
        check_contains(cases[i].url, why, cases[i].why != NULL ? cases[i].why : "");
        check_int(cases[i].url, why[0] != '\0', cases[i].why != NULL);
    }
}

static void takes_public_urls(void **state)
{
    static const struct url_case cases[] = {
        {"https://demo.twilio.com/owl.png", NULL},
        {"http://example.com", NULL},
        {"https://example.com/", NULL},
        {"HTTPS://EXAMPLE.COM/A.PNG", NULL},
        {"hTTp://Example.Com/a", NULL},
        {"https://example.com:8443/a?b=c&d=%20#e", NULL},
        {"https://example.com:65535/", NULL},
        {"https://example.com./a", NULL},
        {"https://xn--bcher-kva.example/a.png", NULL},
        {"https://example.com/b\xc3\xbc"
         "cher.png",
         NULL},
        {"https://example.com/user@host:1/a.png", NULL},
        {"https://example.com/?u=a@b", NULL},
        {"https://example.com/#a@127.0.0.1", NULL},
        {"https://example.com/http://127.0.0.1/", NULL},
        {"https://a_b.example.com/", NULL},
        {"https://1.example.com/", NULL},
        {"https://127.0.0.1.example.com/", NULL},
        {"https://localhost.example.com/", NULL},
        {"https://notlocalhost.com/", NULL},
        {"https://mylocal.net/", NULL},
        {"http://8.8.8.8/", NULL},
        {"http://172.15.255.255/", NULL},
        {"http://172.32.0.0/", NULL},
        {"http://100.63.255.255/", NULL},
        {"http://100.128.0.0/", NULL},
        {"http://9.255.255.255/", NULL},
        {"http://11.0.0.0/", NULL},
        {"http://192.169.0.1/", NULL},
        {"http://198.20.0.1/", NULL},
        {"http://223.255.255.255/", NULL},
        {"http://134744072/", NULL},
        {"http://[2606:4700:4700::1111]/", NULL},
        {"http://[2606:4700:4700::1111]:8080/a", NULL},
        {"http://[::ffff:8.8.8.8]/", NULL},
    };

    (void)state;
    check_urls(cases, COUNT(cases));
}

static void refuses_other_schemes(void **state)
{
    static const struct url_case cases[] = {
        {"ftp://example.com/a.png", SCHEME},
        {"file:///etc/passwd", SCHEME},
        {"FILE:///etc/passwd", SCHEME},
        {"gopher://example.com/", SCHEME},
        {"ws://example.com/", SCHEME},
        {"httpx://example.com/", SCHEME},
        {"s3://bucket.name/key", SCHEME},
        {"javascript:alert(1)", ""},
        {"javascript://example.com/%0aalert(1)", SCHEME},
        {"data:image/png;base64,iVBORw0KGgo=", ""},
        {"mailto:a@example.com", ""},
        {"//example.com/a.png", NO_URL},
        {"/a.png", NO_URL},
        {"example.com/a.png", NO_URL},
        {"http:example.com", NO_URL},
        {"://example.com", NO_URL},
        {"https//example.com", NO_URL},
        {"", NO_URL},
    };

    (void)state;
    check_urls(cases, COUNT(cases));
}

static void refuses_bad_hosts_and_ports(void **state)
{
    static const struct url_case cases[] = {
        {"http://", NO_URL},
        {"http:///", NO_URL},
        {"https://?a", NO_URL},
        {"https://#a", NO_URL},
        {"https://:443/", NO_URL},
        {"https://example.com:65536/", NO_URL},
        {"https://example.com:http/", NO_URL},
        {"https://example.com:-1/", NO_URL},
        {"https://example.com:80:80/", ""},
        {"https://exa<mple.com/", NO_URL},
        {"https://a.b\\.c/", NO_URL},
        {"https://https://example.com/", NAME},
        {"https://intranet/a.png", NAME},
        {"https://./a.png", ""},
        {"http://[::1", NO_URL},
        {"http://[example.com]/", ""},
        {"http://::1/", ""},
        {"http://127.0.0.1%00.example.com/", NO_URL},
        {"http://a%%66.example.com/", "a character that no name has"},
        {"http://a%25.example.com/", "a character that no name has"},
    };

    (void)state;
    check_urls(cases, COUNT(cases));
}

static void refuses_userinfo(void **state)
{
    static const struct url_case cases[] = {
        {"https://user@example.com/a.png", USER},
        {"https://user:hush@example.com/a.png", USER},
        {"https://:hush@example.com/a.png", USER},
        {"https://@example.com/a.png", USER},
        {"https://:@example.com/a.png", USER},
        {"https://example.com@127.0.0.1/", USER},
        {"https://example.com:80@127.0.0.1/", USER},
        {"https://a%40b@example.com/", USER},
        {"https://example.com\\@127.0.0.1/", USER},
        {"https://127.0.0.1\\@example.com/", USER},
        {"https://a@b@example.com/", ""},
    };

    (void)state;
    check_urls(cases, COUNT(cases));
    for (size_t i = 0; i < COUNT(cases); i++) {
        char why[160];

        url_public(cases[i].url, why, sizeof why);
        check_lacks(cases[i].url, why, "hush");
    }
}

static void refuses_blanks_and_control_characters(void **state)
{
    static const struct url_case cases[] = {
        {" https://example.com/", BLANK},
        {"https://example.com/ ", BLANK},
        {"https://example.com/a b.png", BLANK},
        {"https://exam ple.com/", BLANK},
        {"https://example.com/\n", BLANK},
        {"https://example.com/a\r\nHost: x", BLANK},
        {"java\tscript:alert(1)", BLANK},
        {"https://example.com/\ta", BLANK},
        {"https://example.com/\x01", BLANK},
        {"\x01https://example.com/", BLANK},
        {"https://example.com/\x7f", BLANK},
        {"https://example.com/\xc2\x85", BLANK},
        {" ", BLANK},
    };

    (void)state;
    check_urls(cases, COUNT(cases));
}

static void refuses_local_names(void **state)
{
    static const struct url_case cases[] = {
        {"http://localhost/", NAME},
        {"http://LOCALHOST/", NAME},
        {"http://LocalHost:8080/", NAME},
        {"http://localhost./", NAME},
        {"http://%6cocalhost/", NAME},
        {"http://%4C%4F%43alhost/", NAME},
        {"http://a.localhost/", NAME},
        {"http://a.LOCALHOST./", NAME},
        {"http://localhost.localdomain/", NAME},
        {"http://printer.local/", NAME},
        {"http://printer.local./", NAME},
        {"http://metadata.google.internal/", NAME},
        {"http://router.home.arpa/", NAME},
        {"http://nas.lan/", NAME},
        {"http://a.test/", NAME},
        {"http://a.invalid/", NAME},
        {"http://ip6-localhost/", NAME},
        {"http:/localhost/", ""},
        {"http:///localhost/", ""},
    };

    (void)state;
    check_urls(cases, COUNT(cases));
}

static void refuses_special_ipv4(void **state)
{
    static const struct url_case cases[] = {
        {"http://127.0.0.1/", LOCAL},
        {"http://127.255.255.254/", LOCAL},
        {"http://0.0.0.0/", LOCAL},
        {"http://0.1.2.3/", LOCAL},
        {"http://10.0.0.1/", LOCAL},
        {"http://10.255.255.255/", LOCAL},
        {"http://100.64.0.1/", LOCAL},
        {"http://100.127.255.255/", LOCAL},
        {"http://169.254.169.254/latest/meta-data", LOCAL},
        {"http://172.16.0.1/", LOCAL},
        {"http://172.31.255.255/", LOCAL},
        {"http://192.0.0.1/", LOCAL},
        {"http://192.0.2.1/", LOCAL},
        {"http://192.168.0.1/", LOCAL},
        {"http://198.18.0.1/", LOCAL},
        {"http://198.19.255.255/", LOCAL},
        {"http://198.51.100.7/", LOCAL},
        {"http://203.0.113.7/", LOCAL},
        {"http://224.0.0.1/", LOCAL},
        {"http://240.0.0.1/", LOCAL},
        {"http://255.255.255.255/", LOCAL},
        {"http://10.0.0.1:8080/", LOCAL},
    };

    (void)state;
    check_urls(cases, COUNT(cases));
}

static void refuses_disguised_ipv4(void **state)
{
    static const struct url_case cases[] = {
        {"http://2130706433/", LOCAL},
        {"http://0x7f000001/", LOCAL},
        {"http://0X7F000001/", LOCAL},
        {"http://017700000001/", LOCAL},
        {"http://0177.0.0.1/", LOCAL},
        {"http://0x7f.0.0.1/", LOCAL},
        {"http://0x7f.1/", LOCAL},
        {"http://127.1/", LOCAL},
        {"http://127.0.1/", LOCAL},
        {"http://127.00.00.01/", LOCAL},
        {"http://0/", LOCAL},
        {"http://0xa9fea9fe/", LOCAL},
        {"http://2852039166/", LOCAL},
        {"http://0xc0a80001/", LOCAL},
        {"http://3232235521/", LOCAL},
        {"http://012.0.0.1/", LOCAL},
        {"http://127%2e0%2e0%2e1/", LOCAL},
        {"http://%31%32%37.0.0.1/", LOCAL},
        {"http://127.0.0.1./", ADDRESS},
        {"http://127.1./", ADDRESS},
        {"http://2130706433./", ADDRESS},
        {"http://1.1.1.256/", ADDRESS},
        {"http://1.1.1.1.1/", ADDRESS},
        {"http://4294967296/", ADDRESS},
        {"http://08.8.8.8/", ADDRESS},
        {"http://example.0x7f/", ADDRESS},
        {"http://example.1/", ADDRESS},
    };

    (void)state;
    check_urls(cases, COUNT(cases));
}

static void refuses_special_ipv6(void **state)
{
    static const struct url_case cases[] = {
        {"http://[::1]/", LOCAL},
        {"http://[::1]:8080/", LOCAL},
        {"http://[0:0:0:0:0:0:0:1]/", LOCAL},
        {"http://[::]/", LOCAL},
        {"http://[::ffff:127.0.0.1]/", LOCAL},
        {"http://[::FFFF:7F00:1]/", LOCAL},
        {"http://[::ffff:10.0.0.1]/", LOCAL},
        {"http://[::ffff:169.254.169.254]/", LOCAL},
        {"http://[0:0:0:0:0:ffff:c0a8:0001]/", LOCAL},
        {"http://[::127.0.0.1]/", LOCAL},
        {"http://[::ffff:0:127.0.0.1]/", LOCAL},
        {"http://[64:ff9b::7f00:1]/", LOCAL},
        {"http://[64:ff9b:1::1]/", LOCAL},
        {"http://[2002:7f00:1::]/", LOCAL},
        {"http://[fe80::1]/", LOCAL},
        {"http://[fe80::1%25eth0]/", LOCAL},
        {"http://[fe80::1%eth0]/", LOCAL},
        {"http://[febf::1]/", LOCAL},
        {"http://[fec0::1]/", LOCAL},
        {"http://[fc00::1]/", LOCAL},
        {"http://[fd12:3456::1]/", LOCAL},
        {"http://[fd00:ec2::254]/", LOCAL},
        {"http://[ff02::1]/", LOCAL},
        {"http://[100::1]/", LOCAL},
        {"http://[2001:db8::1]/", LOCAL},
        {"http://[5f00::1]/", LOCAL},
        {"http://[4000::1]/", LOCAL},
    };

    (void)state;
    check_urls(cases, COUNT(cases));
}

/* IANA's IPv6 special-purpose registry within 2000::/3. */
static void refuses_special_ipv6_within_global_unicast(void **state)
{
    static const struct url_case cases[] = {
        {"http://[2001::7f00:1]/", LOCAL}, /* Teredo, carries an IPv4 address */
        {"http://[2001:2::1]/", LOCAL},    /* benchmarks */
        {"http://[2001:10::1]/", LOCAL},   /* ORCHID */
        {"http://[3fff:fff::1]/", LOCAL},  /* documentation, RFC 9637 */
        {"http://[2001:200::1]/", NULL},   /* the first behind 2001::/23 */
        {"http://[2001:4860:4860::8888]/", NULL}, {"http://[2003::1]/", NULL},
    };

    (void)state;
    check_urls(cases, COUNT(cases));
}

/* Names with an empty label: no name at all, and a way past the other rules. */
static void refuses_empty_labels(void **state)
{
    static const struct url_case cases[] = {
        {"http://../a.png", ""},         {"http://localhost../", ""},
        {"http://printer.local../", ""}, {"http://127.0.0.1../", ""},
        {"http://a..example.com/", ""},  {"http://.example.com/", ""},
    };

    (void)state;
    check_urls(cases, COUNT(cases));
}

/* Characters that IDNA maps to plain ones: clients turn these into the hosts refused above. */
static void refuses_lookalikes(void **state)
{
    static const struct url_case cases[] = {
        {"http://\xef\xbd\x8c\xef\xbd\x8f\xef\xbd\x83\xef\xbd\x81\xef\xbd\x8c\xef\xbd\x88"
         "\xef\xbd\x8f\xef\xbd\x93\xef\xbd\x94/",
         ""}, /* localhost, full width */
        {"http://127\xe3\x80\x82"
         "0\xe3\x80\x82"
         "0\xe3\x80\x82"
         "1/",
         ""}, /* ideographic stops */
        {"http://\xef\xbc\x91\xef\xbc\x92\xef\xbc\x97.0.0.\xef\xbc\x91/", ""}, /* 127.0.0.1 */
        {"http://printer.\xef\xbd\x8c\xef\xbd\x8f\xef\xbd\x83\xef\xbd\x81\xef\xbd\x8c/", ""},
        {"http://a.\xe2\x93\x9b\xe2\x93\x9e\xe2\x93\x92\xe2\x93\x90\xe2\x93\x9b/",
         ""}, /* circled */
        {"http://printer.lo\xc2\xad"
         "cal/",
         ""}, /* soft hyphen */
    };

    (void)state;
    check_urls(cases, COUNT(cases));
}

static void knows_loopback(void **state)
{
    static const struct {
        const char *url;
        bool expected;
    } cases[] = {
        {"http://localhost", true},
        {"http://LOCALHOST:8080/a", true},
        {"http://127.0.0.1:9464", true},
        {"http://127.9.9.9", true},
        {"http://127.1", true},
        {"http://[::1]:80/", true},
        {"https://api.twilio.com", false},
        {"http://128.0.0.1", false},
        {"http://126.255.255.255", false},
        {"http://10.0.0.1", false},
        {"http://[::2]", false},
        {"http://localhost.example.com", false},
        {"http://127.0.0.1.nip.io", false},
        {"http://localhost@example.com", false},
        {"http://0.0.0.0", false},
        {"http://example.com/127.0.0.1", false},
        {"localhost", false},
        {"", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        check_int(cases[i].url, url_loopback(cases[i].url), cases[i].expected);
}

static void knows_schemes(void **state)
{
    static const struct {
        const char *url, *scheme;
        bool expected;
    } cases[] = {
        {"https://example.com", "https", true},
        {"HTTPS://example.com", "https", true},
        {"http://example.com", "https", false},
        {"http://example.com", "http", true},
        {"https://example.com", "http", false},
        {"httpsx://example.com", "https", false},
        {"example.com", "http", false},
        {"//example.com", "http", false},
        {"ftp://example.com", "http", false},
        {"https://", "https", false},
        {"", "https", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        check_int(cases[i].url, url_has_scheme(cases[i].url, cases[i].scheme), cases[i].expected);
}

static void shows_urls_without_secrets(void **state)
{
    static const struct {
        const char *url, *kept, *shown;
    } cases[] = {
        {"https://a.example/cb", NULL, "https://a.example/cb"},
        {"https://a.example/cb?key=hush&b=hush", NULL, "https://a.example/cb?key=***&b=***"},
        {"https://a.example?hush", NULL, "https://a.example?***"},
        {"https://a.example/?a=hush&attempt=1.1.x&&c=#rc=3?x", "attempt",
         "https://a.example/?a=***&attempt=1.1.x&&c=***#rc=3?x"},
        {"https://a.example/?attempts=hush&attemp=hush", "attempt",
         "https://a.example/?attempts=***&attemp=***"},
        {"https://a.example/#?a=b", NULL, "https://a.example/#?a=b"},
        {"https://me:hush@a.example/@b?c=@hush", NULL, "https://***@a.example/@b?c=***"},
        {"https://me:hu@sh@a.example", NULL, "https://***@a.example"},
        {"me:hush@a.example?hush", NULL, "***@a.example?***"},
        {"", NULL, ""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf out;

        buf_init(&out, 200);
        url_show(&out, cases[i].url, cases[i].kept);
        check_string(cases[i].url, out.data, cases[i].shown);
        check_lacks(cases[i].url, out.data, "hush");
        buf_release(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_public_urls),
        cmocka_unit_test(refuses_other_schemes),
        cmocka_unit_test(refuses_bad_hosts_and_ports),
        cmocka_unit_test(refuses_userinfo),
        cmocka_unit_test(refuses_blanks_and_control_characters),
        cmocka_unit_test(refuses_local_names),
        cmocka_unit_test(refuses_special_ipv4),
        cmocka_unit_test(refuses_disguised_ipv4),
        cmocka_unit_test(refuses_special_ipv6),
        cmocka_unit_test(refuses_special_ipv6_within_global_unicast),
        cmocka_unit_test(refuses_empty_labels),
        cmocka_unit_test(refuses_lookalikes),
        cmocka_unit_test(knows_loopback),
        cmocka_unit_test(knows_schemes),
        cmocka_unit_test(shows_urls_without_secrets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
