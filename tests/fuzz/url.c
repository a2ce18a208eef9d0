/* URLs that strangers give us: who is public by our rules is so by inet_aton's and others' as well.
 */
#include "common/url.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "tests/fuzz/fuzz.h"

/* Blocks that nobody outside reaches, in the spelling of old clients too: 0x7f.1, 2130706433. */
static bool is_private(const char *host)
{
    struct in_addr address;
    uint32_t a;

    if (inet_aton(host, &address) == 0)
        return strcasecmp(host, "localhost") == 0;
    a = ntohl(address.s_addr);
    return a >> 24 == 10 || a >> 24 == 127 || a >> 24 == 0 || a >> 20 == 0xac1 ||
           a >> 16 == 0xc0a8 || a >> 16 == 0xa9fe || a >> 28 >= 0xe;
}

static char *part_of(const char *url, CURLUPart part, unsigned flags)
{
    CURLU *parsed = curl_url();
    char *text = NULL;

    must(curl_url_set(parsed, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK);
    curl_url_get(parsed, part, &text, flags);
    curl_url_cleanup(parsed);
    return text;
}

/* What both rules promise. */
static void check_accepted(const char *url)
{
    size_t authority = strncasecmp(url, "https://", 8) == 0 ? 8 : 7;

    must(strncasecmp(url, "http://", 7) == 0 || strncasecmp(url, "https://", 8) == 0);
    must(url[authority] != '/' && url[authority] != '\0');
    must(memchr(url + authority, '@', strcspn(url + authority, "/?#")) == NULL);
    for (const char *c = url; *c != '\0'; c++)
        must((unsigned char)*c > 0x20 && *c != 0x7f);
    must(url_has_scheme(url, "http") != url_has_scheme(url, "https"));
}

static void check_public(const char *url)
{
    char *host = part_of(url, CURLUPART_HOST, CURLU_URLDECODE);
    char *whole = part_of(url, CURLUPART_URL, 0);
    char why[128] = "";

    check_accepted(url);
    must(!url_loopback(url));
    must(host != NULL && !is_private(host));
    must(host[0] == '[' || strchr(host, '.') != NULL);
    for (const char *c = host; *c != '\0'; c++)
        must((unsigned char)*c > 0x20 && (unsigned char)*c < 0x7f);
    must(url_public(whole, why, sizeof why)); /* as a client would write it */
    curl_free(host);
    curl_free(whole);
}

static void check_callback(const char *url)
{
    char *host = part_of(url, CURLUPART_HOST, 0);

    check_accepted(url);
    must(host != NULL && strchr(host, '_') == NULL);
    curl_free(host);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input;
    const char *url;
    char why[128] = "";

    fuzz_split(data, size, &input);
    url = fuzz_text(&input, 0);
    if (url_public(url, why, sizeof why))
        check_public(url);
    else
        must(fuzz_is_line(why, sizeof why));
    if (url_callback(url, why, sizeof why))
        check_callback(url);
    else
        must(fuzz_is_line(why, sizeof why));
    if (url_loopback(url))
        must(!url_public(url, why, sizeof why));
    fuzz_release(&input);
    return 0;
}
