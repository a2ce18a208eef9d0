/*
 * A small HTTP/1.1 server on a libevent loop that gives its user power over each connection's
 * bytes.
 *
 * evhttp is not used because faults need what it hides: answers cut in the middle, resets, a close
 * without a byte. Sockets are read with recvmsg, so that a request's arrival is the kernel's time
 * stamp of its first byte and not the moment when this process got round to it.
 *
 * A request becomes an exchange. The handler ends it, at once or later, by exactly one of
 * http_exchange_answer and http_exchange_drop. An exchange outlives its connection: when the client
 * goes away it stays valid until it is ended, as a real server carries on with what it has begun.
 */
#ifndef SIM_HTTP_SERVER_H
#define SIM_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event_base;
struct http_server;
struct http_exchange;
struct wall;

enum { HTTP_MAX_HEAD = 64 * 1024, HTTP_MAX_BODY = 1024 * 1024 };

/* All strings are owned by the exchange. */
struct http_request {
    const char *method;
    const char *path;
    const char *query;         /* "" without one */
    const char *authorization; /* NULL without one */
    const char *content_type;  /* NULL without one */
    const char *body;          /* NUL-terminated */
    size_t body_len;
    int64_t arrived_at;  /* nanoseconds since 1970 */
    uint32_t connection; /* counted from 1 */
    uint32_t nth;        /* on its connection, counted from 1 */
};

struct http_answer {
    int status;
    const char *content_type; /* NULL: no such header */
    const char *headers;      /* more header lines, each with its CRLF; NULL: none */
    const char *body;
    size_t body_len;
    bool cut;         /* send only `cut_after` bytes of the body, then close */
    size_t cut_after; /* bytes */
    bool close;       /* close after the answer although the client would keep alive */
};

typedef void http_handler(struct http_exchange *ex, void *arg);

/* Listens on `address`, "host:port" or "[v6]:port"; port 0 means any. `wall`, borrowed, is what
 * every answer's Date comes from. Returns NULL and says why in `error`. */
struct http_server *http_server_new(struct event_base *base, const struct wall *wall,
                                    const char *address, http_handler *handler, void *arg,
                                    char *error, size_t error_size);
/* Closes everything. Exchanges that were not ended stay valid, without a client. */
void http_server_free(struct http_server *server);
uint16_t http_server_port(const struct http_server *server);
void http_server_connections(const struct http_server *server, uint32_t *ret_open,
                             uint32_t *ret_total);

/* Borrowed until the exchange is ended. */
const struct http_request *http_exchange_request(const struct http_exchange *ex);
/* Have `gone` called, once, if the client goes away before the exchange is ended. */
void http_exchange_on_gone(struct http_exchange *ex, http_handler *gone, void *arg);
/* Whether there is still a client to answer. */
bool http_exchange_connected(const struct http_exchange *ex);
/* Ends the exchange with an answer, which is sent if there is still a client. The answer is not
 * kept. */
void http_exchange_answer(struct http_exchange *ex, const struct http_answer *answer);
/* Ends the exchange by closing the connection without a byte; with `reset` by RST instead of FIN.
 */
void http_exchange_drop(struct http_exchange *ex, bool reset);

#endif
