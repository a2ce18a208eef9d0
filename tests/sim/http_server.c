#include "http_server.h"

#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http_parse.h"
#include "http_socket.h"
#include "text.h"
#include "wall.h"

enum {
    READ_SIZE = 4000, /* most requests fit, and ten thousand idle connections cost little */
    READ_BODY_SIZE = 32 * 1024,
    /* A client that pipelines while its request waits is read up to here and no further. */
    MAX_READ_AHEAD = 128 * 1024,
    /* No further request is taken from a client that does not read its answers. */
    MAX_UNSENT = 256 * 1024,
    /* A buffer that grew beyond this goes back to the heap when it is empty. */
    KEEP_BUFFER = 8 * 1024,
    ACCEPTS_AT_ONCE = 64,
    LINGER_SECONDS = 2,
};

struct conn {
    TAILQ_ENTRY(conn) link;
    struct http_server *server;
    enum {
        CONN_HEAD,    /* waits for the rest of a head */
        CONN_BODY,    /* has a head, waits for the rest of its body */
        CONN_BUSY,    /* the handler has the exchange */
        CONN_CLOSING, /* closes once everything is sent */
        CONN_LINGER, /* sent all and said FIN; swallows input, since closing on it would destroy the
                        answer */
        CONN_DEAD,   /* to be freed as soon as nobody is in the middle of it */
    } state;
    int fd;
    struct event *on_read, *on_write;
    struct text in, out;
    size_t sent;              /* how much of `out` is sent */
    int64_t read_at;          /* arrival of what was read last */
    int64_t first_byte_at;    /* arrival of the request at the start of `in` */
    struct http_exchange *ex; /* in CONN_BODY and CONN_BUSY */
    size_t content_length;
    bool chunked;
    struct http_chunks chunks;
    bool keep_alive;
    bool linger;   /* closing must not cut off a client that is still sending */
    bool stepping; /* conn_run is on the stack: leave freeing to it */
    uint32_t id, nth;
};

struct http_exchange {
    struct http_request req;
    struct conn *conn; /* NULL once the client is gone */
    char *head;
    struct text body;
    http_handler *gone;
    void *gone_arg;
};

struct http_server {
    struct event_base *base;
    const struct wall *wall;
    http_handler *handler;
    void *arg;
    int fd;
    struct event *on_accept;
    bool accepting; /* false while out of descriptors */
    TAILQ_HEAD(conn_list, conn) conns;
    uint32_t open, total;
};

static void exchange_free(struct http_exchange *ex)
{
    free(ex->head);
    text_release(&ex->body);
    free(ex);
}

static void conn_free(struct conn *c)
{
    struct http_server *server = c->server;

    TAILQ_REMOVE(&server->conns, c, link);
    server->open--;
    event_free(c->on_read);
    event_free(c->on_write);
    close(c->fd);
    text_release(&c->in);
    text_release(&c->out);
    free(c);
    if (!server->accepting) {
        server->accepting = true;
        event_add(server->on_accept, NULL);
    }
}

/* Ends the connection, and leaves it to be freed. Its exchange, if the handler has it, lives on
 * without a client. */
static void conn_die(struct conn *c)
{
    struct http_exchange *ex = c->ex;

    if (c->state == CONN_DEAD)
        return;
    c->ex = NULL;
    if (ex != NULL && c->state == CONN_BODY) {
        exchange_free(ex);
        ex = NULL;
    }
    c->state = CONN_DEAD;
    if (ex != NULL) {
        ex->conn = NULL;
        if (ex->gone != NULL)
            ex->gone(ex, ex->gone_arg);
    }
}

static void conn_kill(struct conn *c)
{
    conn_die(c);
    if (!c->stepping)
        conn_free(c);
}

static void conn_sent_all(struct conn *c)
{
    struct timeval wait = {.tv_sec = LINGER_SECONDS};

    c->sent = 0;
    if (c->out.cap > KEEP_BUFFER)
        text_release(&c->out);
    else
        text_clear(&c->out);
    event_del(c->on_write);
    if (c->state != CONN_CLOSING)
        return;
    if (!c->linger) {
        conn_die(c);
        return;
    }
    c->state = CONN_LINGER;
    shutdown(c->fd, SHUT_WR);
    event_add(c->on_read, &wait);
}

/* For who is stepping, and frees what has died. */
static void conn_send(struct conn *c)
{
    while (c->sent < c->out.len) {
        ssize_t n = send(c->fd, c->out.data + c->sent, c->out.len - c->sent, MSG_NOSIGNAL);

        if (n > 0) {
            c->sent += (size_t)n;
        } else if (errno == EAGAIN) {
            event_add(c->on_write, NULL);
            return;
        } else if (errno != EINTR) {
            conn_die(c);
            return;
        }
    }
    conn_sent_all(c);
}

/* With `head_only` everything but the body goes out, as an answer to HEAD must be. */
static void add_answer(struct conn *c, const struct http_answer *a, bool close_after,
                       bool head_only)
{
    size_t body_len = a->cut && a->cut_after < a->body_len ? a->cut_after : a->body_len;
    struct text *out = &c->out;
    char date[WALL_HTTP_DATE_SIZE];

    wall_http_date(c->server->wall, date);
    text_addf(out, "HTTP/1.1 %d %s\r\nDate: %s\r\n", a->status, http_reason(a->status), date);
    if (a->content_type != NULL)
        text_addf(out, "Content-Type: %s\r\n", a->content_type);
    if (a->status != 204)
        text_addf(out, "Content-Length: %zu\r\n", a->body_len);
    text_addf(out, "Connection: %s\r\n", close_after ? "close" : "keep-alive");
    if (a->headers != NULL)
        text_add_string(out, a->headers);
    text_add(out, "\r\n", 2);
    if (a->status != 204 && !head_only)
        text_add(out, a->body, body_len);
}

/* Answers what is not a proper request, and gives the connection up. */
static void conn_refuse(struct conn *c, int status)
{
    struct http_answer a = {.status = status, .content_type = "text/plain"};

    a.body = http_reason(status);
    a.body_len = strlen(a.body);
    add_answer(c, &a, true, false);
    if (c->ex != NULL)
        exchange_free(c->ex);
    c->ex = NULL;
    c->state = CONN_CLOSING;
    c->linger = true;
    event_del(c->on_read);
    conn_send(c);
}

/* Gives a head of `len` bytes at the start of `in` an exchange, and gets ready for the body. */
static void conn_begin(struct conn *c, size_t len)
{
    struct http_exchange *ex = text_alloc_zeroed(sizeof(*ex));
    struct http_head h;
    int refusal;

    ex->conn = c;
    ex->head = text_copy_bytes(c->in.data, len);
    text_consume(&c->in, len);
    c->ex = ex;
    refusal = http_head_parse(ex->head, len, &h);
    if (refusal == 0 && h.content_length > HTTP_MAX_BODY)
        refusal = 413;
    if (refusal != 0) {
        conn_refuse(c, refusal);
        return;
    }
    ex->req.method = h.method;
    ex->req.path = h.path;
    ex->req.query = h.query;
    ex->req.authorization = h.authorization;
    ex->req.content_type = h.content_type;
    ex->req.arrived_at = c->first_byte_at;
    ex->req.connection = c->id;
    ex->req.nth = ++c->nth;
    c->content_length = h.content_length;
    c->chunked = h.chunked;
    c->chunks = (struct http_chunks){0};
    c->keep_alive = h.keep_alive;
    c->state = CONN_BODY;
    if (h.expects_continue && c->in.len == 0) {
        text_add_string(&c->out, "HTTP/1.1 100 Continue\r\n\r\n");
        conn_send(c);
    }
}

static bool step_head(struct conn *c)
{
    size_t skip = 0;
    const char *end;

    /* Blank lines before a request are forgiven, as RFC 9112 asks. */
    while (skip < c->in.len && (c->in.data[skip] == '\r' || c->in.data[skip] == '\n'))
        skip++;
    text_consume(&c->in, skip);
    if (c->in.len == 0 || c->out.len - c->sent > MAX_UNSENT)
        return false;
    end = memmem(c->in.data, c->in.len, "\r\n\r\n", 4);
    if (end != NULL && (size_t)(end - c->in.data) < HTTP_MAX_HEAD)
        conn_begin(c, (size_t)(end - c->in.data) + 4);
    else if (c->in.len >= HTTP_MAX_HEAD)
        conn_refuse(c, 431);
    else
        return false;
    return true;
}

/* Moves input to the body. Returns 1 when it is complete, 0 when not, or a refusal. */
static int take_body(struct conn *c)
{
    struct text *body = &c->ex->body;
    size_t take = c->content_length - body->len;

    if (c->chunked)
        return http_chunks_feed(&c->chunks, &c->in, body, HTTP_MAX_BODY);
    if (take > c->in.len)
        take = c->in.len;
    text_add(body, text_string(&c->in), take);
    text_consume(&c->in, take);
    return body->len == c->content_length;
}

static bool step_body(struct conn *c)
{
    struct http_exchange *ex = c->ex;
    int got = take_body(c);

    if (got == 0)
        return false;
    if (got != 1) {
        conn_refuse(c, got);
        return true;
    }
    ex->req.body = text_string(&ex->body);
    ex->req.body_len = ex->body.len;
    c->first_byte_at = c->read_at;
    c->state = CONN_BUSY;
    c->server->handler(ex, c->server->arg);
    return true;
}

/* Does everything that can be done with what has been read. May free the connection. */
static void conn_run(struct conn *c)
{
    bool more = true;

    if (c->stepping)
        return;
    c->stepping = true;
    while (more) {
        if (c->state == CONN_HEAD)
            more = step_head(c);
        else if (c->state == CONN_BODY)
            more = step_body(c);
        else
            more = false;
    }
    c->stepping = false;
    if (c->in.len == 0 && c->in.cap > KEEP_BUFFER)
        text_release(&c->in);
    if (c->state == CONN_DEAD)
        conn_free(c);
    else if (c->in.len > MAX_READ_AHEAD)
        event_del(c->on_read);
    else if (c->state != CONN_CLOSING && c->state != CONN_LINGER)
        event_add(c->on_read, NULL);
}

static void linger_readable(struct conn *c, short what)
{
    char waste[8192];
    ssize_t n = recv(c->fd, waste, sizeof(waste), 0);

    /* A timeout ends the patience as an end of input does. */
    if ((what & EV_TIMEOUT) != 0 || n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        conn_kill(c);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct conn *c = arg;
    bool fresh = c->in.len == 0 && c->state != CONN_BODY;
    ssize_t n;

    (void)fd;
    if (c->state == CONN_LINGER) {
        linger_readable(c, what);
        return;
    }
    /* The kernel reports the time of the last segment that a read touches. Reading one byte first
     * gives the time of a request's beginning even when more of it has arrived since. */
    n = http_socket_receive(c->fd, &c->in,
                            fresh                   ? 1
                            : c->state == CONN_BODY ? READ_BODY_SIZE
                                                    : READ_SIZE,
                            &c->read_at);
    if (n > 0 && fresh) {
        c->first_byte_at = c->read_at;
        http_socket_receive(c->fd, &c->in, READ_SIZE,
                            &c->read_at); /* its errors and end of file are seen again next time */
    }
    if (n == 0 && c->state == CONN_HEAD && c->sent < c->out.len) {
        event_del(c->on_read);
        c->state = CONN_CLOSING;
    } else if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        conn_kill(c);
    } else {
        conn_run(c);
    }
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct conn *c = arg;

    (void)fd;
    (void)what;
    c->stepping = true;
    conn_send(c);
    c->stepping = false;
    conn_run(c);
}

static void conn_new(struct http_server *server, int fd)
{
    struct conn *c = text_alloc_zeroed(sizeof(*c));
    int yes = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &yes, sizeof(yes));
    c->server = server;
    c->fd = fd;
    c->id = ++server->total;
    server->open++;
    c->on_read = event_new(server->base, fd, EV_READ | EV_PERSIST, on_readable, c);
    c->on_write = event_new(server->base, fd, EV_WRITE | EV_PERSIST, on_writable, c);
    TAILQ_INSERT_TAIL(&server->conns, c, link);
    event_add(c->on_read, NULL);
}

static void on_acceptable(evutil_socket_t fd, short what, void *arg)
{
    struct http_server *server = arg;

    (void)what;
    for (int i = 0; i < ACCEPTS_AT_ONCE; i++) {
        int client = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (client >= 0) {
            conn_new(server, client);
        } else if ((errno == EMFILE || errno == ENFILE) && server->open > 0) {
            /* The waiting client would wake us for ever; go on when a connection has been closed.
             */
            event_del(server->on_accept);
            server->accepting = false;
            return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            return;
        }
    }
}

struct http_server *http_server_new(struct event_base *base, const struct wall *wall,
                                    const char *address, http_handler *handler, void *arg,
                                    char *error, size_t error_size)
{
    struct http_server *server;
    int fd = http_socket_listen(address, error, error_size);

    if (fd < 0)
        return NULL;
    server = text_alloc_zeroed(sizeof(*server));
    server->base = base;
    server->wall = wall;
    server->handler = handler;
    server->arg = arg;
    server->fd = fd;
    server->accepting = true;
    TAILQ_INIT(&server->conns);
    server->on_accept = event_new(base, fd, EV_READ | EV_PERSIST, on_acceptable, server);
    event_add(server->on_accept, NULL);
    return server;
}

void http_server_free(struct http_server *server)
{
    struct conn *c;

    server->accepting = true; /* nothing is to be taken up again */
    while ((c = TAILQ_FIRST(&server->conns)) != NULL)
        conn_kill(c); /* NOLINT(clang-analyzer-unix.Malloc) */
    event_free(server->on_accept);
    close(server->fd);
    free(server);
}

uint16_t http_server_port(const struct http_server *server)
{
    return http_socket_port(server->fd);
}

void http_server_connections(const struct http_server *server, uint32_t *ret_open,
                             uint32_t *ret_total)
{
    *ret_open = server->open;
    *ret_total = server->total;
}

const struct http_request *http_exchange_request(const struct http_exchange *ex)
{
    return &ex->req;
}

void http_exchange_on_gone(struct http_exchange *ex, http_handler *gone, void *arg)
{
    ex->gone = gone;
    ex->gone_arg = arg;
}

bool http_exchange_connected(const struct http_exchange *ex)
{
    return ex->conn != NULL;
}

void http_exchange_answer(struct http_exchange *ex, const struct http_answer *answer)
{
    struct conn *c = ex->conn;
    bool close_after;

    if (c == NULL) {
        exchange_free(ex);
        return;
    }
    close_after = !c->keep_alive || answer->close || answer->cut;
    add_answer(c, answer, close_after && !answer->cut, strcmp(ex->req.method, "HEAD") == 0);
    exchange_free(ex); /* not before: the answer may quote the request */
    c->ex = NULL;
    c->state = close_after ? CONN_CLOSING : CONN_HEAD;
    if (close_after)
        event_del(c->on_read);
    if (c->stepping) {
        conn_send(c);
        return;
    }
    c->stepping = true;
    conn_send(c);
    c->stepping = false;
    if (c->state == CONN_DEAD)
        conn_free(c);
    else if (c->in.len > 0)
        /* A pipelined request is left to the loop: the caller may be in the middle of a list of
         * exchanges, and must not find it changed by a handler that runs below it. */
        event_active(c->on_write, EV_WRITE, 0);
}

void http_exchange_drop(struct http_exchange *ex, bool reset)
{
    struct conn *c = ex->conn;
    struct linger abort = {.l_onoff = 1, .l_linger = 0};

    exchange_free(ex);
    if (c == NULL)
        return;
    c->ex = NULL;
    if (reset)
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &abort, sizeof(abort));
    conn_kill(c);
}
