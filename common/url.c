#include "url.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <curl/curl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "utf8.h"

/* IPv4 blocks that are not globally reachable (IANA, RFC 6890 and its successors). */
static const struct {
    uint32_t network;
    int bits;
} local_blocks[] = {
    {0x00000000, 8},  /* this network */
    {0x0a000000, 8},  /* private */
    {0x64400000, 10}, /* carrier-grade NAT */
    {0x7f000000, 8},  /* loopback */
    {0xa9fe0000, 16}, /* link-local, clouds' metadata services */
    {0xac100000, 12}, /* private */
    {0xc0000000, 24}, /* protocol assignments */
    {0xc0000200, 24}, /* documentation */
    {0xc0a80000, 16}, /* private */
    {0xc6120000, 15}, /* benchmarks */
    {0xc6336400, 24}, /* documentation */
    {0xcb007100, 24}, /* documentation */
    {0xe0000000, 3},  /* multicast and reserved */
};

static const char *const local_suffixes[] = {
    ".localhost", ".local", ".internal", ".localdomain", ".home.arpa", ".lan", ".test", ".invalid",
};

static bool ipv4_public(uint32_t address)
{
    for (size_t i = 0; i < sizeof local_blocks / sizeof local_blocks[0]; i++) {
        if ((address ^ local_blocks[i].network) >> (32 - local_blocks[i].bits) == 0)
            return false;
    }
    return true;
}

static bool ipv6_public(const struct in6_addr *address)
{
    const uint8_t *b = address->s6_addr;
    uint32_t v4;

    if (IN6_IS_ADDR_V4MAPPED(address)) {
        memcpy(&v4, b + 12, sizeof v4);
        return ipv4_public(ntohl(v4));
    }
    /* 64:ff9b::/96 and 2002::/16 carry an IPv4 address that we'd have to judge: refuse them. */
    if (b[0] == 0x20 && b[1] == 0x02)
        return false;
    /* 2001::/23 is for protocols (Teredo carries an IPv4 address); the next two: documentation. */
    if (b[0] == 0x20 && b[1] == 0x01 && (b[2] < 0x02 || (b[2] == 0x0d && b[3] == 0xb8)))
        return false;
    if (b[0] == 0x3f && b[1] == 0xff && b[2] < 0x10)
        return false;
    return (b[0] & 0xe0) == 0x20; /* global unicast */
}

static bool name_public(const char *host)
{
    size_t length = strlen(host);

    if (length > 0 && host[length - 1] == '.')
        length--;
    if (memchr(host, '.', length) == NULL)
        return false;
    for (size_t i = 0; i < sizeof local_suffixes / sizeof local_suffixes[0]; i++) {
        size_t suffix = strlen(local_suffixes[i]);

        if (length >= suffix && strncasecmp(host + length - suffix, local_suffixes[i], suffix) == 0)
            return false;
    }
    return true;
}

/* A name whose last label is a number is a misspelt address for some clients and a name for others.
 */
static bool numeric_tail(const char *host)
{
    const char *label = host + strlen(host);

    if (label > host && label[-1] == '.')
        label--;
    while (label > host && label[-1] != '.')
        label--;
    return *label >= '0' && *label <= '9';
}

/* libcurl takes, and decodes, more than letters, digits, '-', '_' and dots; others may read that in
 * another way. */
static const char *judge_name(const char *host)
{
    for (const char *c = host; *c != '\0'; c++) {
        /* IDNA turns some of these into plain letters, digits and dots; we'd have to judge that. */
        if ((unsigned char)*c >= 0x80)
            return "has a host that is not ASCII (punycode was expected)";
        if (!isalnum((unsigned char)*c) && strchr("-_.", *c) == NULL)
            return "has a host with a character that no name has";
    }
    return NULL;
}

static const char *judge_host(const char *host)
{
    char bare[INET6_ADDRSTRLEN + 2];
    const char *fault;
    struct in6_addr v6;
    struct in_addr v4;

    if (host[0] == '[') {
        if (snprintf(bare, sizeof bare, "%.*s", (int)strcspn(host + 1, "]"), host + 1) >=
                (int)sizeof bare ||
            inet_pton(AF_INET6, bare, &v6) != 1)
            return "has a host that is no valid address";
        return ipv6_public(&v6) ? NULL : "has a private, loopback or link-local host";
    }
    if (inet_pton(AF_INET, host, &v4) == 1)
        return ipv4_public(ntohl(v4.s_addr)) ? NULL : "has a private, loopback or link-local host";
    fault = judge_name(host);
    if (fault != NULL)
        return fault;
    if (host[0] == '.' || strstr(host, "..") != NULL)
        return "has a host with an empty label";
    if (numeric_tail(host))
        return "has a host that is no valid address";
    if (!name_public(host))
        return "has a host that is not public (a name with a dot was expected)";
    return NULL;
}

/* Hosts that Twilio calls back: names without an underscore (its Messages resource). */
static const char *judge_callback_host(const char *host)
{
    return strchr(host, '_') != NULL ? "has an underscore in its host" : NULL;
}

static const char *judge(CURLU *parsed, const char *url, const char *(*host_fault)(const char *))
{
    const char *colon = strchr(url, ':');
    const char *verdict;
    char *part = NULL;

    if (url[strcspn(url, " \t\r\n")] != '\0' || utf8_has_control(url))
        return "has a blank or a control character in it";
    if (curl_url_set(parsed, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK)
        return "is not a URL";
    if (!url_has_scheme(url, "http") && !url_has_scheme(url, "https"))
        return "is not http or https";
    /* libcurl also takes one or three slashes, and a host that stands where the path should. */
    if (colon == NULL || strncmp(colon, "://", 3) != 0 || colon[3] == '/')
        return "has no host behind '://'";
    if (curl_url_get(parsed, CURLUPART_USER, &part, 0) == CURLUE_OK) {
        curl_free(part);
        return "has a user name in it";
    }
    if (curl_url_get(parsed, CURLUPART_PASSWORD, &part, 0) == CURLUE_OK) {
        curl_free(part);
        return "has a password in it";
    }
    if (curl_url_get(parsed, CURLUPART_HOST, &part, 0) != CURLUE_OK)
        return "has no host";
    verdict = host_fault(part);
    curl_free(part);
    return verdict;
}

static bool is_good(const char *url, const char *(*host_fault)(const char *), char *why,
                    size_t why_size)
{
    CURLU *parsed = curl_url();
    const char *verdict = parsed != NULL ? judge(parsed, url, host_fault) : "could not be parsed";

    curl_url_cleanup(parsed);
    if (verdict != NULL)
        snprintf(why, why_size, "%s", verdict);
    return verdict == NULL;
}

bool url_public(const char *url, char *why, size_t why_size)
{
    return is_good(url, judge_host, why, why_size);
}

bool url_callback(const char *url, char *why, size_t why_size)
{
    return is_good(url, judge_callback_host, why, why_size);
}

static char *url_part(const char *url, CURLUPart which)
{
    CURLU *parsed = curl_url();
    char *part = NULL;

    if (parsed != NULL &&
        curl_url_set(parsed, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK)
        curl_url_get(parsed, which, &part, 0);
    curl_url_cleanup(parsed);
    return part;
}

bool url_loopback(const char *url)
{
    char *host = url_part(url, CURLUPART_HOST);
    struct in_addr v4;
    bool loopback;

    if (host == NULL)
        return false;
    if (inet_pton(AF_INET, host, &v4) == 1)
        loopback = ntohl(v4.s_addr) >> 24 == 127;
    else
        loopback = strcasecmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0;
    curl_free(host);
    return loopback;
}

bool url_has_scheme(const char *url, const char *scheme)
{
    char *found = url_part(url, CURLUPART_SCHEME);
    bool same = found != NULL && strcasecmp(found, scheme) == 0;

    curl_free(found);
    return same;
}

#define HIDDEN "***"

/* "name=value", or a bare word. */
static void show_parameter(struct buf *out, const char *parameter, size_t length, const char *kept)
{
    const char *equals = memchr(parameter, '=', length);
    size_t name = equals != NULL ? (size_t)(equals - parameter) : 0;

    if (kept != NULL && name == strlen(kept) && strncmp(parameter, kept, name) == 0) {
        buf_add(out, parameter, length);
    } else if (length > 0) {
        buf_add(out, parameter, equals != NULL ? name + 1 : 0);
        buf_add_string(out, HIDDEN);
    }
}

/* From the '?' up to the fragment; returns its length. */
static size_t show_query(struct buf *out, const char *query, const char *kept)
{
    size_t end = strcspn(query, "#");

    for (size_t i = 0; i < end;) {
        size_t length;

        buf_add_char(out, query[i++]); /* '?' or '&' */
        length = strcspn(query + i, "&#");
        show_parameter(out, query + i, length, kept);
        i += length;
    }
    return end;
}

void url_show(struct buf *out, const char *url, const char *kept)
{
    const char *slashes = strstr(url, "://");
    size_t host = slashes != NULL ? (size_t)(slashes - url) + 3 : 0;
    size_t host_end = host + strcspn(url + host, "/?#");
    size_t path_end;

    buf_add(out, url, host);
    for (size_t i = host_end; i > host; i--) {
        if (url[i - 1] != '@')
            continue;
        buf_add_string(out, HIDDEN "@");
        host = i;
        break;
    }
    path_end = host + strcspn(url + host, "?#");
    buf_add(out, url + host, path_end - host);
    if (url[path_end] == '?')
        path_end += show_query(out, url + path_end, kept);
    buf_add_string(out, url + path_end);
}
