/* The worker's POSTs by libcurl and epoll, and nothing else. */
#include <curl/curl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#include "common/clock.h"
#include "limits.h"

#define EVENTS 256

/* As the worker's for an event of the bench. */
static const char form[] =
    "To=%2B15551000000&From=%2B15550001111&Body=width-0000000%3A%20Your%20order%20has%20left%20our"
    "%20house%20and%20will%20be%20with%20you%20tomorrow.&MediaUrl=https%3A%2F%2Fdemo.twilio.com"
    "%2Fowl.png";

struct poster {
    CURLM *multi;
    int epoll;
    int64_t wake_at; /* CLOCK_FOREVER: libcurl waits for sockets alone */
    struct curl_slist *headers;
    char url[512];
    atomic_ullong *done;
};

static int watch_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
    struct poster *poster = arg;
    struct epoll_event event = {.data.fd = fd,
                                .events = ((what & CURL_POLL_IN) != 0 ? EPOLLIN : 0U) |
                                          ((what & CURL_POLL_OUT) != 0 ? EPOLLOUT : 0U)};

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        epoll_ctl(poster->epoll, EPOLL_CTL_DEL, fd, NULL);
        curl_multi_assign(poster->multi, fd, NULL);
        return 0;
    }
    epoll_ctl(poster->epoll, known == NULL ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &event);
    curl_multi_assign(poster->multi, fd, poster);
    return 0;
}

static int watch_timer(CURLM *multi, long timeout_ms, void *arg)
{
    struct poster *poster = arg;

    (void)multi;
    poster->wake_at = timeout_ms < 0 ? CLOCK_FOREVER : clock_now() + timeout_ms * CLOCK_MS;
    return 0;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *arg)
{
    (void)bytes;
    (void)arg;
    return size * count;
}

static void add_exchange(struct poster *poster)
{
    CURL *easy = curl_easy_init();

    if (easy == NULL)
        limits_fail("curl", "no memory");
    curl_easy_setopt(easy, CURLOPT_URL, poster->url);
    curl_easy_setopt(easy, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
    curl_easy_setopt(easy, CURLOPT_USERNAME, "AC0123456789abcdef0123456789abcdef");
    curl_easy_setopt(easy, CURLOPT_PASSWORD, "a-very-secret-auth-token");
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long)(sizeof form - 1));
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, form);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, poster->headers);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "mms-worker/1");
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_multi_add_handle(poster->multi, easy);
}

/* Each exchange that has ended begins again. */
static void settle(struct poster *poster)
{
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(poster->multi, &left)) != NULL) {
        CURL *easy = message->easy_handle;
        long status = 0;

        if (message->data.result != CURLE_OK)
            limits_fail("http", curl_easy_strerror(message->data.result));
        curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
        if (status != 201)
            limits_fail("http", "an answer other than 201");
        atomic_fetch_add(poster->done, 1);
        curl_multi_remove_handle(poster->multi, easy);
        curl_multi_add_handle(poster->multi, easy);
    }
}

static void turn(struct poster *poster)
{
    struct epoll_event events[EVENTS];
    int64_t left = poster->wake_at - clock_now();
    int running, count;

    count = epoll_wait(poster->epoll, events, EVENTS,
                       poster->wake_at == CLOCK_FOREVER ? 1000
                       : left <= 0                      ? 0
                                                        : (int)(left / CLOCK_MS) + 1);
    for (int i = 0; i < count; i++)
        curl_multi_socket_action(
            poster->multi, events[i].data.fd,
            ((events[i].events & (EPOLLIN | EPOLLHUP)) != 0 ? CURL_CSELECT_IN : 0) |
                ((events[i].events & EPOLLOUT) != 0 ? CURL_CSELECT_OUT : 0) |
                ((events[i].events & EPOLLERR) != 0 ? CURL_CSELECT_ERR : 0),
            &running);
    if (clock_now() >= poster->wake_at) {
        poster->wake_at = CLOCK_FOREVER;
        curl_multi_socket_action(poster->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    }
    settle(poster);
}

static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static void post_for_ever(const void *arg, int process, atomic_ullong *done)
{
    const struct http_limit *limit = arg;
    struct poster poster = {.done = done, .wake_at = CLOCK_FOREVER};

    (void)process;
    raise_descriptor_limit();
    poster.epoll = epoll_create1(EPOLL_CLOEXEC);
    poster.headers = curl_slist_append(NULL, "Accept: application/json");
    poster.multi = curl_multi_init();
    snprintf(poster.url, sizeof poster.url,
             "%s/2010-04-01/Accounts/AC0123456789abcdef0123456789abcdef/Messages.json",
             limit->base_url);
    curl_multi_setopt(poster.multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
    curl_multi_setopt(poster.multi, CURLMOPT_SOCKETDATA, &poster);
    curl_multi_setopt(poster.multi, CURLMOPT_TIMERFUNCTION, watch_timer);
    curl_multi_setopt(poster.multi, CURLMOPT_TIMERDATA, &poster);
    curl_multi_setopt(poster.multi, CURLMOPT_MAXCONNECTS, (long)limit->connections);
    for (int i = 0; i < limit->connections; i++)
        add_exchange(&poster);
    for (;;)
        turn(&poster);
}

double http_limit(const struct limits_rounds *rounds, const struct http_limit *limit)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
    return limits_measure(rounds, post_for_ever, limit);
}
