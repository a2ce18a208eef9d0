#include "http.h"

#include <curl/curl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "base64.h"
#include "buf.h"
#include "clock.h"
#include "mem.h"
#include "utf8.h"

#define CONNECT_LIMIT (10 * CLOCK_SECOND)
/* Idle connections are dropped before the peer may have dropped them (Twilio's limit is unknown).
 */
#define IDLE_SECONDS 50L
#define FREE_MAX     256

struct exchange {
    struct http *http;
    CURL *easy;
    struct http_request request; /* its strings are not valid any more; callbacks and numbers are */
    char *form;
    struct curl_slist *headers;
    struct buf body;
    struct http_response response;
    size_t headers_read, body_read;
    const char *excess; /* which of them was too much; NULL: none */
    char error[CURL_ERROR_SIZE];
    int send_attempts; /* how often libcurl was about to send */
    int64_t sent;
    struct exchange *prev, *next; /* all that are under way */
    struct exchange *next_sent;   /* those whose sending the caller hasn't been told of */
};

struct http {
    struct event_base *base;
    CURLM *multi;
    struct event *timer;
    char *agent;
    char *ca_file;
    struct exchange *active;
    struct exchange *just_sent;
    CURL *free_handles[FREE_MAX]; /* easy handles to use again, with their caches */
    int free_count;
};

static const char *const kept_headers[] = {
    "content-type",
    "retry-after",
    "twilio-request-id",
    "twilio-concurrent-requests",
    "location",
    "twilio-request-duration",
    "date",
};

/* ---- what libcurl calls during a transfer ---- */

/*
 * Called for each new socket. What the kernel has not sent when we close, it throws away (SO_LINGER
 * of 0, socket(7)); and what the peer has not acknowledged within the time of an exchange it gives
 * up (TCP_USER_TIMEOUT, tcp(7)), also for a process that is stopped. Otherwise it would go on
 * trying for minutes, and a request could arrive long after everybody believes that it can't any
 * more.
 */
static int on_new_socket(void *arg, curl_socket_t fd, curlsocktype purpose)
{
    const struct exchange *exchange = arg;
    const struct linger linger = {.l_onoff = 1, .l_linger = 0};
    const unsigned timeout_ms = (unsigned)(exchange->request.timeout / CLOCK_MS);

    (void)purpose;
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof timeout_ms);
    return CURL_SOCKOPT_OK;
}

/*
 * Called before each attempt to send. One is allowed, and only while there is time; anything more
 * would be the silent repetition of a POST.
 */
static int on_before_send(void *arg, char *ip, char *local_ip, int port, int local_port)
{
    struct exchange *exchange = arg;

    (void)ip;
    (void)local_ip;
    (void)port;
    (void)local_port;
    if (++exchange->send_attempts > 1)
        return CURL_PREREQFUNC_ABORT;
    exchange->response.started = clock_now();
    if (exchange->response.started > exchange->request.start_by) {
        exchange->response.late = true;
        return CURL_PREREQFUNC_ABORT;
    }
    return CURL_PREREQFUNC_OK;
}

/* Called after each step of a transfer; the first call after on_before_send() follows the write. */
static int on_progress(void *arg, curl_off_t down_total, curl_off_t down, curl_off_t up_total,
                       curl_off_t up)
{
    struct exchange *exchange = arg;

    (void)down_total;
    (void)down;
    (void)up_total;
    (void)up;
    if (exchange->send_attempts == 1 && exchange->sent == 0 && !exchange->response.late) {
        exchange->sent = clock_now();
        exchange->next_sent = exchange->http->just_sent;
        exchange->http->just_sent = exchange;
    }
    return 0;
}

/* Counts what came; false ends the exchange. */
static bool read_more(struct exchange *exchange, size_t *read, size_t length, size_t max,
                      const char *excess)
{
    *read += length;
    if (*read > max)
        exchange->excess = excess;
    return *read <= max;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *arg)
{
    struct exchange *exchange = arg;
    size_t room = exchange->body.max - exchange->body.length;

    if (!read_more(exchange, &exchange->body_read, size * count,
                   exchange->body.max + HTTP_BEYOND_READ, "the answer's body has no end in sight"))
        return 0;
    /* The rest is read and forgotten: an answer that is too long is still an answer. */
    buf_add(&exchange->body, bytes, size * count < room ? size * count : room);
    return size * count;
}

static void keep_header(struct http_response *response, const char *name, const char *value,
                        size_t length)
{
    struct http_header *header;
    struct buf clean;

    if (response->header_count == HTTP_KEPT_HEADERS || http_header_value(response, name) != NULL)
        return; /* of several with one name the first counts */
    while (length > 0 && strchr(" \t\r\n", value[0]) != NULL) {
        value++;
        length--;
    }
    while (length > 0 && strchr(" \t\r\n", value[length - 1]) != NULL)
        length--;
    header = &response->headers[response->header_count++];
    header->name = name;
    buf_init(&clean, sizeof header->value - 1);
    utf8_clean(&clean, value, length);
    memcpy(header->value, clean.data != NULL ? clean.data : "", clean.length + 1);
    buf_release(&clean);
}

static size_t on_header(char *bytes, size_t size, size_t count, void *arg)
{
    struct exchange *exchange = arg;
    size_t length = size * count;

    /* Interim answers count as well: there may be any number. */
    if (!read_more(exchange, &exchange->headers_read, length, HTTP_HEADERS_READ,
                   "the answer's headers have no end in sight"))
        return 0;
    if (length >= 5 && strncmp(bytes, "HTTP/", 5) == 0)
        exchange->response.header_count = 0; /* an interim answer came before */
    for (size_t i = 0; i < sizeof kept_headers / sizeof kept_headers[0]; i++) {
        size_t name = strlen(kept_headers[i]);

        if (length > name && bytes[name] == ':' && strncasecmp(bytes, kept_headers[i], name) == 0)
            keep_header(&exchange->response, kept_headers[i], bytes + name + 1, length - name - 1);
    }
    return length;
}

/* ---- exchanges ---- */

static void unlink_exchange(struct exchange *exchange)
{
    struct http *http = exchange->http;

    if (exchange->prev != NULL)
        exchange->prev->next = exchange->next;
    else
        http->active = exchange->next;
    if (exchange->next != NULL)
        exchange->next->prev = exchange->prev;
}

/* Takes the transfer out of libcurl; its handle may be used again. */
static void exchange_free(struct exchange *exchange)
{
    struct http *http = exchange->http;

    curl_multi_remove_handle(http->multi, exchange->easy);
    curl_easy_reset(exchange->easy);
    if (http->free_count < FREE_MAX)
        http->free_handles[http->free_count++] = exchange->easy;
    else
        curl_easy_cleanup(exchange->easy);
    unlink_exchange(exchange);
    buf_release(&exchange->body);
    curl_slist_free_all(exchange->headers);
    free(exchange->form);
    free(exchange);
}

static int64_t timing(CURL *easy, CURLINFO which)
{
    curl_off_t us = 0;

    curl_easy_getinfo(easy, which, &us);
    return us;
}

static enum http_result judge(const struct exchange *exchange, CURLcode code)
{
    long request_bytes = 0;

    if (code == CURLE_OK)
        return HTTP_ANSWERED;
    if (exchange->send_attempts == 0)
        return HTTP_NOT_SENT; /* the size below would count a proxy's CONNECT */
    /* Refused sockets, name errors, TLS failures: CURLE_OPERATION_TIMEDOUT alone can't tell. */
    curl_easy_getinfo(exchange->easy, CURLINFO_REQUEST_SIZE, &request_bytes);
    return request_bytes > 0 || exchange->send_attempts > 1 ? HTTP_BROKEN : HTTP_NOT_SENT;
}

static const char *explain(const struct exchange *exchange, CURLcode code)
{
    static const char proxy_url[] = "Unsupported proxy"; /* and then all of it, with its password */

    if (exchange->response.late)
        return "the moment to start had passed";
    if (exchange->send_attempts > 1)
        return "the connection died before an answer came";
    if (exchange->excess != NULL)
        return exchange->excess;
    if (strncmp(exchange->error, proxy_url, strlen(proxy_url)) == 0)
        return "the proxy's URL in the environment is not valid, expected a host, a port, and a "
               "login that is percent-encoded";
    return exchange->error[0] != '\0' ? exchange->error : curl_easy_strerror(code);
}

static void fill_response(struct exchange *exchange, CURLcode code)
{
    struct http_response *response = &exchange->response;
    long number = 0;

    response->result = judge(exchange, code);
    response->distrusted =
        response->result == HTTP_NOT_SENT && code == CURLE_PEER_FAILED_VERIFICATION;
    if (response->result == HTTP_NOT_SENT)
        response->started = 0;
    if (response->result != HTTP_ANSWERED)
        response->error = explain(exchange, code);
    curl_easy_getinfo(exchange->easy, CURLINFO_RESPONSE_CODE, &number);
    response->status = (int)number;
    curl_easy_getinfo(exchange->easy, CURLINFO_NUM_CONNECTS, &number);
    response->new_connection = number > 0;
    response->body = exchange->body.data != NULL ? exchange->body.data : "";
    response->body_length = exchange->body.length;
    response->finished = clock_now();
    response->lookup_us = timing(exchange->easy, CURLINFO_NAMELOOKUP_TIME_T);
    response->connect_us = timing(exchange->easy, CURLINFO_CONNECT_TIME_T);
    response->tls_us = timing(exchange->easy, CURLINFO_APPCONNECT_TIME_T);
    response->first_byte_us = timing(exchange->easy, CURLINFO_STARTTRANSFER_TIME_T);
    response->total_us = timing(exchange->easy, CURLINFO_TOTAL_TIME_T);
}

static void tell_sent(struct http *http)
{
    while (http->just_sent != NULL) {
        struct exchange *exchange = http->just_sent;

        http->just_sent = exchange->next_sent;
        if (exchange->request.sent != NULL)
            exchange->request.sent(exchange->request.arg, exchange->sent);
    }
}

/* After libcurl did something: first who has been sent, then who has ended. */
static void settle(struct http *http)
{
    CURLMsg *message;
    int left;

    tell_sent(http);
    while ((message = curl_multi_info_read(http->multi, &left)) != NULL) {
        struct exchange *exchange;
        CURLcode code = message->data.result; /* the message dies with the handle's removal */

        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&exchange);
        fill_response(exchange, code);
        exchange->request.done(exchange->request.arg, &exchange->response);
        exchange_free(exchange);
    }
}

/* ---- the loop ---- */

static void on_socket(evutil_socket_t fd, short what, void *arg)
{
    struct http *http = arg;
    int flags = ((what & EV_READ) != 0 ? CURL_CSELECT_IN : 0) |
                ((what & EV_WRITE) != 0 ? CURL_CSELECT_OUT : 0);
    int running;

    curl_multi_socket_action(http->multi, fd, flags, &running);
    settle(http);
}

static void on_timeout(evutil_socket_t fd, short what, void *arg)
{
    struct http *http = arg;
    int running;

    (void)fd;
    (void)what;
    curl_multi_socket_action(http->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    settle(http);
}

static int watch_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
    struct http *http = arg;
    struct event *event = socket_arg;
    short flags = (short)((what == CURL_POLL_OUT ? 0 : EV_READ) |
                          (what == CURL_POLL_IN ? 0 : EV_WRITE) | EV_PERSIST);

    (void)easy;
    if (event != NULL)
        event_free(event);
    event = NULL;
    if (what != CURL_POLL_REMOVE) {
        event = event_new(http->base, fd, flags, on_socket, http);
        event_add(event, NULL);
    }
    curl_multi_assign(http->multi, fd, event);
    return 0;
}

static int watch_timer(CURLM *multi, long timeout_ms, void *arg)
{
    struct http *http = arg;
    struct timeval delay = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};

    (void)multi;
    if (timeout_ms < 0)
        event_del(http->timer);
    else
        event_add(http->timer, &delay);
    return 0;
}

/* ---- opening, sending, closing ---- */

struct http *http_open(struct event_base *base, const char *agent, const char *ca_file,
                       long connections_max)
{
    struct http *http = mem_zalloc(sizeof *http);

    http->base = base;
    http->agent = mem_strdup(agent);
    http->ca_file = mem_strdup(ca_file);
    http->timer = evtimer_new(base, on_timeout, http);
    http->multi = curl_multi_init();
    curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
    curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http);
    curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, watch_timer);
    curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http);
    curl_multi_setopt(http->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, connections_max);
    curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, connections_max);
    return http;
}

void http_close(struct http *http)
{
    if (http == NULL)
        return;
    while (http->active != NULL)
        exchange_free(http->active); /* NOLINT(clang-analyzer-unix.Malloc) */
    while (http->free_count > 0)
        curl_easy_cleanup(http->free_handles[--http->free_count]);
    curl_multi_cleanup(http->multi);
    event_free(http->timer);
    free(http->agent);
    free(http->ca_file);
    free(http);
}

static void set_callbacks(CURL *easy, struct exchange *exchange)
{
    curl_easy_setopt(easy, CURLOPT_PRIVATE, exchange);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, exchange->error);
    curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, on_new_socket);
    curl_easy_setopt(easy, CURLOPT_SOCKOPTDATA, exchange);
    curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_before_send);
    curl_easy_setopt(easy, CURLOPT_PREREQDATA, exchange);
    curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(easy, CURLOPT_XFERINFODATA, exchange);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, exchange);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, exchange);
}

/* No connection is waited for beyond the last moment at which the request may start. */
static long connect_timeout_ms(const struct http_request *request)
{
    int64_t left = request->start_by - clock_now();

    if (left > CONNECT_LIMIT)
        left = CONNECT_LIMIT;
    return left < CLOCK_MS ? 1 : (long)(left / CLOCK_MS);
}

/*
 * Basic auth by a header of our own: what is given to libcurl as a password stays with the
 * connection and with the handle, for as long as those are kept.
 */
static struct curl_slist *add_authorization(struct curl_slist *headers,
                                            const struct http_request *request)
{
    static const char name[] = "Authorization: Basic ";
    char *pair = mem_printf("%s:%s", request->user, request->password);
    size_t length = strlen(pair);
    char *header = mem_zalloc(sizeof name + BASE64_SIZE(length));

    memcpy(header, name, sizeof name);
    base64_encode(pair, length, header + strlen(name));
    headers = curl_slist_append(headers, header);
    mem_wipe(pair, length);
    mem_wipe(header, strlen(header));
    free(pair);
    free(header);
    return headers;
}

static struct curl_slist *make_headers(const struct http_request *request)
{
    struct curl_slist *headers = curl_slist_append(NULL, "Accept: application/json");

    return request->user != NULL ? add_authorization(headers, request) : headers;
}

static void set_request(CURL *easy, const struct http_request *request, const char *form)
{
    curl_easy_setopt(easy, CURLOPT_URL, request->url);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, connect_timeout_ms(request));
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)(request->timeout / CLOCK_MS));
    curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, (long)request->fresh);
    if (form != NULL) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_length);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, form);
    }
}

/* The defaults of libcurl, but for the version: nobody's build or environment changes them. */
static void set_trust(CURL *easy, const struct http *http)
{
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(easy, CURLOPT_PROXY_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (http->ca_file[0] == '\0')
        return;
    /* Without the directories, or the system's authorities would be believed as well. */
    curl_easy_setopt(easy, CURLOPT_CAINFO, http->ca_file);
    curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    curl_easy_setopt(easy, CURLOPT_PROXY_CAINFO, http->ca_file);
    curl_easy_setopt(easy, CURLOPT_PROXY_CAPATH, NULL);
}

static void set_manners(CURL *easy, const struct http *http)
{
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L); /* librdkafka makes this process threaded */
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    /* The guard against a second copy was tried with HTTP/1.1 only. */
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, IDLE_SECONDS);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, http->agent);
}

void http_send(struct http *http, const struct http_request *request)
{
    struct exchange *exchange = mem_zalloc(sizeof *exchange);
    CURL *easy = http->free_count > 0 ? http->free_handles[--http->free_count] : curl_easy_init();

    if (easy == NULL)
        abort(); /* out of memory, as mem.h has it */
    exchange->http = http;
    exchange->easy = easy;
    exchange->request = *request;
    buf_init(&exchange->body, request->response_max);
    if (request->body != NULL)
        exchange->form = mem_copy(request->body, request->body_length);
    set_callbacks(easy, exchange);
    set_request(easy, request, exchange->form);
    set_trust(easy, http);
    set_manners(easy, http);
    exchange->headers = make_headers(request);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, exchange->headers);
    exchange->next = http->active;
    if (http->active != NULL)
        http->active->prev = exchange;
    http->active = exchange;
    curl_multi_add_handle(http->multi, easy);
}

const char *http_header_value(const struct http_response *response, const char *name)
{
    for (int i = 0; i < response->header_count; i++) {
        if (strcmp(response->headers[i].name, name) == 0)
            return response->headers[i].value;
    }
    return NULL;
}

static void add_proxy(struct redactor *redactor, const char *url)
{
    CURLU *parsed = curl_url();
    char *user = NULL, *password = NULL;

    if (parsed != NULL &&
        curl_url_set(parsed, CURLUPART_URL, url, CURLU_DEFAULT_SCHEME | CURLU_NON_SUPPORT_SCHEME) ==
            CURLUE_OK &&
        curl_url_get(parsed, CURLUPART_PASSWORD, &password, CURLU_URLDECODE) == CURLUE_OK) {
        curl_url_get(parsed, CURLUPART_USER, &user, CURLU_URLDECODE);
        redactor_add_login(redactor, user != NULL ? user : "", password);
        mem_wipe(password, strlen(password));
    }
    curl_free(user);
    curl_free(password);
    curl_url_cleanup(parsed);
}

void http_redact_proxies(struct redactor *redactor)
{
    static const char *const names[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy",
                                        "ALL_PROXY"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *url = getenv(names[i]);

        if (url != NULL && url[0] != '\0')
            add_proxy(redactor, url);
    }
}
