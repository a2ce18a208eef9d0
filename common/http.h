#ifndef COMMON_HTTP_H
#define COMMON_HTTP_H

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "redact.h"

/*
 * An HTTP client on the event loop (libcurl's multi interface) for requests that must not be
 * repeated: each goes out once at most, and the end says whether a byte of it can have left.
 *
 * libcurl sends a POST again by itself when a kept-alive connection dies before the first byte of
 * the answer (Curl_retry_request(); curl pull request 18417). The server may have processed the
 * first copy. Here the second copy is refused before it is sent, and the exchange ends as
 * HTTP_BROKEN. Redirects are never followed, for the same reason. When an exchange has ended, no
 * byte of it is sent any more, not by the kernel either.
 *
 * An https URL is spoken to over TLS 1.2 or later, once the certificate has been verified and is of
 * that host; there is no way to have that left out. Proxies come from the environment, as libcurl
 * reads it (https_proxy, no_proxy, …).
 */
struct http;

enum http_result {
    HTTP_ANSWERED, /* a complete answer is there */
    HTTP_NOT_SENT, /* no byte of the request left this machine */
    HTTP_BROKEN    /* bytes left, and no complete answer came: nobody here knows what happened */
};

#define HTTP_KEPT_HEADERS 8

/*
 * What is read of an answer's headers; and of its body beyond `response_max`, to be forgotten.
 * After that the exchange ends as HTTP_BROKEN and the connection is closed: an answer without an
 * end would have the loop busy until the time limit.
 */
#define HTTP_HEADERS_READ ((size_t)64 << 10)
#define HTTP_BEYOND_READ  ((size_t)1 << 20)

struct http_header {
    const char *name; /* lower case */
    char value[256];  /* valid UTF-8, cut to fit */
};

struct http_response {
    enum http_result result;
    bool late;         /* HTTP_NOT_SENT because `start_by` had passed */
    bool distrusted;   /* HTTP_NOT_SENT because the certificate was not accepted */
    const char *error; /* HTTP_NOT_SENT, HTTP_BROKEN: one line that says why */
    int status;        /* 0 if none came; HTTP_BROKEN may have one */
    const char *body;  /* what came, at most `response_max` bytes, NUL-terminated */
    size_t body_length;
    struct http_header headers[HTTP_KEPT_HEADERS]; /* those worth keeping */
    int header_count;
    int64_t started;  /* monotonic: just before the first byte left; 0 if none did */
    int64_t finished; /* monotonic */
    int64_t lookup_us, connect_us, tls_us, first_byte_us, total_us; /* each since the beginning */
    bool new_connection;
};

struct http_request {
    const char *url;
    const char *user, *password; /* Basic auth; NULL for none */
    const char *body;            /* a form; NULL makes it a GET */
    size_t body_length;
    bool fresh;       /* on a new connection, also if one is open */
    int64_t start_by; /* monotonic: a request that couldn't start by then is not sent */
    int64_t timeout;  /* microseconds for the whole exchange */
    size_t response_max;
    /*
     * Told once the first bytes have left, with a moment at which they certainly had. Not called
     * for requests that are not sent.
     */
    void (*sent)(void *arg, int64_t at);
    /* Told of the end; `response` is borrowed. Always called, except by http_close(). */
    void (*done)(void *arg, const struct http_response *response);
    void *arg;
};

/*
 * `agent`: the User-Agent. `ca_file`: PEM certificates of the authorities that are believed,
 * instead of the system's; "" for those. At most `connections_max` connections are open at a time.
 */
struct http *http_open(struct event_base *base, const char *agent, const char *ca_file,
                       long connections_max);

/* Ends all exchanges without a word and frees the client. */
void http_close(struct http *http);

/*
 * Begins an exchange. Everything in `request` is copied. Callbacks come from the loop, never from
 * within this call.
 */
void http_send(struct http *http, const struct http_request *request);

/*
 * Adds the logins of the proxies that the environment names, as libcurl reads it: a proxy may echo
 * what it was sent.
 */
void http_redact_proxies(struct redactor *redactor);

/* The value of a kept header, or NULL. */
const char *http_header_value(const struct http_response *response, const char *name);

#endif
