#include "http_client.h"

#include <errno.h>
#include <event2/event.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_SIZE = 4096 };

struct http_post {
    struct event_base *base;
    enum { POST_CONNECTING, POST_SENDING, POST_READING } state;
    int fd;
    struct event *event; /* for what the state waits for */
    struct text out, in;
    size_t sent;
    int64_t read_ms;
    http_post_done *done;
    void *arg;
};

void http_post_cancel(struct http_post *post)
{
    event_free(post->event);
    close(post->fd);
    text_release(&post->out);
    text_release(&post->in);
    free(post);
}

/* The status in what was received, 0 while the head is not complete. */
static int answer_status(const struct http_post *post)
{
    const char *in = text_string(&post->in);

    if (strncmp(in, "HTTP/1.", 7) != 0 || strstr(in, "\r\n\r\n") == NULL)
        return 0;
    return in[8] == ' ' ? (int)strtol(in + 9, NULL, 10) : 0;
}

/* Whether everything is there. Where no length is given, the server's closing tells. */
static bool is_complete(const struct http_post *post)
{
    const char *in = text_string(&post->in);
    const char *end = strstr(in, "\r\n\r\n");
    const char *length = strcasestr(in, "\r\nContent-Length:");

    if (answer_status(post) == 0)
        return false;
    if (answer_status(post) == 204 || answer_status(post) == 304)
        return true;
    if (length == NULL || length > end)
        return false;
    return post->in.len - (size_t)(end + 4 - in) >= strtoul(length + 17, NULL, 10);
}

static void finish(struct http_post *post, enum http_post_outcome outcome)
{
    http_post_done *done = post->done;
    void *arg = post->arg;
    int status = outcome == POST_ANSWERED ? answer_status(post) : 0;

    http_post_cancel(post);
    done(arg, outcome, status);
}

/* No more will come: what is there has to do. */
static void finish_with_what_is_there(struct http_post *post)
{
    finish(post, answer_status(post) == 0 ? POST_NO_ANSWER : POST_ANSWERED);
}

static void on_event(evutil_socket_t fd, short what, void *arg);

static void wait_for(struct http_post *post, short what, int64_t ms)
{
    struct timeval wait = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

    event_assign(post->event, post->base, post->fd, what, on_event, post);
    event_add(post->event, &wait);
}

static void send_more(struct http_post *post)
{
    ssize_t n = send(post->fd, post->out.data + post->sent, post->out.len - post->sent,
                     MSG_NOSIGNAL | MSG_DONTWAIT);

    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        finish(post, POST_NO_ANSWER);
        return;
    }
    if (n > 0)
        post->sent += (size_t)n;
    post->state = post->sent == post->out.len ? POST_READING : POST_SENDING;
    wait_for(post, post->state == POST_READING ? EV_READ : EV_WRITE, post->read_ms);
}

static void check_connection(struct http_post *post)
{
    int error = 0;
    socklen_t len = sizeof(error);

    if (getsockopt(post->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0 || error != 0)
        finish(post, POST_NOT_CONNECTED);
    else
        send_more(post);
}

static void read_more(struct http_post *post)
{
    ssize_t n;

    text_reserve(&post->in, READ_SIZE);
    n = recv(post->fd, post->in.data + post->in.len, READ_SIZE, MSG_DONTWAIT);
    if (n > 0) {
        post->in.len += (size_t)n;
        post->in.data[post->in.len] = '\0';
    }
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        finish_with_what_is_there(post);
    else if (is_complete(post))
        finish(post, POST_ANSWERED);
    else
        wait_for(post, EV_READ, post->read_ms);
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
    struct http_post *post = arg;

    (void)fd;
    if (post->state == POST_CONNECTING && (what & EV_TIMEOUT) != 0)
        finish(post, POST_NOT_CONNECTED);
    else if ((what & EV_TIMEOUT) != 0)
        finish_with_what_is_there(post);
    else if (post->state == POST_CONNECTING)
        check_connection(post);
    else if (post->state == POST_SENDING)
        send_more(post);
    else
        read_more(post);
}

/* A socket on its way to the first address that has one, or -1. */
static int begin_connecting(const char *host, const char *port)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found;
    int fd = -1;

    if (getaddrinfo(host, port, &hints, &found) != 0)
        return -1;
    for (const struct addrinfo *i = found; i != NULL && fd < 0; i = i->ai_next) {
        fd = socket(i->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd >= 0 && connect(fd, i->ai_addr, i->ai_addrlen) != 0 && errno != EINPROGRESS) {
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(found);
    return fd;
}

struct http_post *http_post_start(struct event_base *base, const char *host, const char *port,
                                  struct text *request, int64_t connect_ms, int64_t read_ms,
                                  http_post_done *done, void *arg)
{
    int fd = begin_connecting(host, port);
    struct http_post *post;

    if (fd < 0)
        return NULL;
    post = text_alloc_zeroed(sizeof(*post));
    post->base = base;
    post->fd = fd;
    post->out = *request;
    *request = (struct text){0};
    post->read_ms = read_ms;
    post->done = done;
    post->arg = arg;
    post->event = event_new(base, fd, EV_WRITE, on_event, post);
    wait_for(post, EV_WRITE, connect_ms);
    return post;
}
