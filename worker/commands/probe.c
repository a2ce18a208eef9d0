#include <ctype.h>
#include <curl/curl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/clock.h"
#include "worker/commands/commands.h"

/* An image without a shell or curl has this for its health check. */

#define LIMIT            (3 * CLOCK_SECOND)
#define ANSWER_MAX_BYTES ((size_t)16 << 10)

/* Where a worker is reached that listens on any address of its machine. */
static const struct {
    const char *any, *loopback;
} hosts[] = {{"0.0.0.0", "127.0.0.1"}, {"[::]", "[::1]"}, {"::", "[::1]"}};

/* The page of the worker with these settings; "" if its port is known to itself only. */
static void page_of(const char *listen, const char *path, char *ret_url, size_t size)
{
    const char *colon = strrchr(listen, ':');
    int length = (int)(colon - listen);
    const char *host = listen;
    bool bare; /* an IPv6 address without its brackets */

    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        if (strlen(hosts[i].any) == (size_t)length && strncmp(listen, hosts[i].any, length) == 0) {
            host = hosts[i].loopback;
            length = (int)strlen(host);
            break;
        }
    }
    bare = host[0] != '[' && memchr(host, ':', length) != NULL;
    ret_url[0] = '\0';
    if (strspn(colon + 1, "0") != strlen(colon + 1))
        snprintf(ret_url, size, "http://%s%.*s%s%s%s", bare ? "[" : "", length, host,
                 bare ? "]" : "", colon, path);
}

static size_t on_answer(char *data, size_t size, size_t count, void *arg)
{
    buf_add(arg, data, size * count); /* as far as there is room */
    return size * count;
}

/* Another program may listen there, and its answer goes to a terminal. */
static void print_answer(const struct buf *answer)
{
    for (size_t i = 0; i < answer->length; i++) {
        unsigned char c = (unsigned char)answer->data[i];

        putchar(c == '\n' || !iscntrl(c) ? c : '?');
    }
    if (answer->length > 0 && answer->data[answer->length - 1] != '\n')
        putchar('\n');
}

static CURLcode ask(const char *url, struct buf *answer, long *ret_status, char *error)
{
    CURL *easy = curl_easy_init();
    CURLcode code;

    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "*"); /* proxies are for Twilio */
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)(LIMIT / CLOCK_MS));
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, error);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_answer);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, answer);
    code = curl_easy_perform(easy);
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, ret_status);
    curl_easy_cleanup(easy);
    return code;
}

static int judge(const struct arguments *arguments, const char *url, CURLcode code, long status,
                 const char *error)
{
    if (code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_URL_MALFORMAT)
        return command_wrong(arguments, "'%s' is not valid, expected an http or https URL", url);
    if (code != CURLE_OK)
        return command_failed(arguments, "%s: %s", url,
                              error[0] != '\0' ? error : curl_easy_strerror(code));
    if (status != 200)
        return command_failed(arguments, "%s: HTTP status %ld, expected 200", url, status);
    return COMMAND_DONE;
}

static int probe_url(const struct arguments *arguments, const char *url)
{
    char error[CURL_ERROR_SIZE] = "";
    struct buf answer;
    long status = 0;
    CURLcode code;

    buf_init(&answer, ANSWER_MAX_BYTES);
    code = ask(url, &answer, &status, error);
    print_answer(&answer);
    buf_release(&answer);
    return judge(arguments, url, code, status, error);
}

static int probe_worker(const struct arguments *arguments, const char *path)
{
    struct settings settings;
    char error[SETTINGS_ERROR_SIZE], url[512];

    if (!settings_load_database(&settings, environ, error, sizeof error)) {
        settings_release(&settings);
        return command_wrong(arguments, "%s", error);
    }
    page_of(settings.http_listen, path, url, sizeof url);
    settings_release(&settings);
    if (url[0] == '\0')
        return command_wrong(arguments, "MMS_HTTP_LISTEN: has port 0, expected a URL as argument");
    return probe_url(arguments, url);
}

static int run(const struct arguments *arguments)
{
    bool ready = argument(arguments, "ready") != NULL;

    if (arguments->operand_count == 0)
        return probe_worker(arguments, ready ? "/readyz" : "/healthz");
    if (ready)
        return command_wrong(arguments, "--ready: is for the worker here, expected no URL");
    return probe_url(arguments, arguments->operands[0]);
}

static const struct command_option options[] = {
    {"ready", NULL, "asks /readyz: whether everything that the worker depends on is there"},
    {NULL, NULL, NULL},
};

const struct command command_probe = {
    "probe",
    "[URL]",
    "ask a running worker how it is, for health checks",
    "Asks the worker that runs with the same MMS_HTTP_LISTEN for /healthz, or whatever is at the\n"
    "URL, and prints the answer. Exit status 0: it answered with 200, within 3 seconds; 1: it\n"
    "didn't. Containers have it as their health check, for their image has no curl.\n",
    options,
    COMMAND_NEEDS_NOTHING,
    run,
    false,
    NULL,
};
