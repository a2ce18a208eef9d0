#include "worker/visitors.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "common/clock.h"
#include "common/mem.h"

/* How often those that have left are looked for; so late their descriptors are closed. */
#define SWEEP_INTERVAL (100 * CLOCK_MS)
/*
 * More than evhttp leaves unread of a request that it would take. But it waits for the end of the
 * line with a chunk's length for as long as there is none, and looks through all of it each time.
 * (A watermark doesn't help: at it libevent calls evhttp again and again.)
 */
#define UNREAD_MAX_BYTES 65536
/* And of a connection in all: what is too long is read to its end, but a body of empty lines has
 * none. */
#define READ_MAX_BYTES ((size_t)4 << 20)

/*
 * evhttp asks us for each connection's bufferevent, and lets go of it with the connection; of that
 * libevent tells nobody. So we hold on to it as well: one that has no callbacks any more has been
 * let go of. (Of a filter it would tell; but evhttp takes what a filter passed on for sent.)
 */
struct visitor {
    TAILQ_ENTRY(visitor) link;
    struct visitors *visitors;
    struct bufferevent *bufferevent;
    int64_t until; /* monotonic */
    size_t read;   /* bytes so far */
};

TAILQ_HEAD(visitor_list, visitor);

struct visitors {
    struct event *timer;      /* runs while somebody is in */
    struct visitor_list list; /* the oldest first */
    int count;
    int max;
    int64_t life;
};

static void on_input(struct evbuffer *unread, const struct evbuffer_cb_info *info, void *arg);

static bool has_left(const struct visitor *visitor)
{
    bufferevent_event_cb on_event = NULL;

    bufferevent_getcb(visitor->bufferevent, NULL, NULL, &on_event, NULL);
    return on_event == NULL;
}

static void forget(struct visitors *visitors, struct visitor *visitor)
{
    TAILQ_REMOVE(&visitors->list, visitor, link);
    visitors->count--;
    evbuffer_remove_cb(bufferevent_get_input(visitor->bufferevent), on_input, visitor);
    bufferevent_decref(visitor->bufferevent); /* closes the socket */
    free(visitor);
}

/* evhttp takes it for a time-out, and closes the connection without an answer. */
static void send_away(struct visitors *visitors, struct visitor *visitor)
{
    bufferevent_trigger_event(visitor->bufferevent, BEV_EVENT_READING | BEV_EVENT_TIMEOUT, 0);
    forget(visitors, visitor);
}

static void forget_who_left(struct visitors *visitors)
{
    struct visitor *visitor = TAILQ_FIRST(&visitors->list);

    while (visitor != NULL) {
        struct visitor *next = TAILQ_NEXT(visitor, link);

        if (has_left(visitor))
            forget(visitors, visitor);
        visitor = next;
    }
}

static bool goes_on(const struct visitor *visitor)
{
    struct evbuffer *unread = bufferevent_get_input(visitor->bufferevent);

    return visitor->read > READ_MAX_BYTES || evbuffer_get_length(unread) > UNREAD_MAX_BYTES;
}

static void send_away_who_goes_on(struct visitors *visitors)
{
    struct visitor *visitor = TAILQ_FIRST(&visitors->list);

    while (visitor != NULL) {
        struct visitor *next = TAILQ_NEXT(visitor, link);

        if (goes_on(visitor))
            send_away(visitors, visitor);
        visitor = next;
    }
}

/* From within the connection's own reading, where it can't be closed. */
static void on_input(struct evbuffer *unread, const struct evbuffer_cb_info *info, void *arg)
{
    struct visitor *visitor = arg;

    (void)unread;
    visitor->read += info->n_added;
    if (goes_on(visitor))
        event_active(visitor->visitors->timer, EV_TIMEOUT, 0);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct visitors *visitors = arg;
    struct visitor *oldest;

    (void)fd;
    (void)what;
    forget_who_left(visitors);
    send_away_who_goes_on(visitors);
    /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
    while ((oldest = TAILQ_FIRST(&visitors->list)) != NULL && oldest->until <= clock_now())
        send_away(visitors, oldest);
    if (oldest == NULL)
        event_del(visitors->timer);
}

static struct bufferevent *on_visitor(struct event_base *base, void *arg)
{
    static const struct timeval interval = {.tv_usec = SWEEP_INTERVAL};
    struct visitors *visitors = arg;
    struct visitor *visitor = mem_zalloc(sizeof *visitor);

    forget_who_left(visitors);
    if (visitors->count == visitors->max)
        send_away(visitors, TAILQ_FIRST(&visitors->list)); /* NOLINT(clang-analyzer-unix.Malloc) */
    if (visitors->count == 0)
        event_add(visitors->timer, &interval);
    visitor->visitors = visitors;
    visitor->bufferevent = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
    evbuffer_add_cb(bufferevent_get_input(visitor->bufferevent), on_input, visitor);
    bufferevent_incref(visitor->bufferevent);
    visitor->until = clock_now() + visitors->life;
    TAILQ_INSERT_TAIL(&visitors->list, visitor, link);
    visitors->count++;
    return visitor->bufferevent;
}

struct visitors *visitors_new(struct event_base *base, struct evhttp *server, int max, int64_t life)
{
    struct visitors *visitors = mem_zalloc(sizeof *visitors);

    visitors->timer = event_new(base, -1, EV_PERSIST, on_timer, visitors);
    TAILQ_INIT(&visitors->list);
    visitors->max = max;
    visitors->life = life;
    evhttp_set_bevcb(server, on_visitor, visitors);
    return visitors;
}

void visitors_free(struct visitors *visitors)
{
    struct visitor *visitor;

    if (visitors == NULL)
        return;
    while ((visitor = TAILQ_FIRST(&visitors->list)) != NULL)
        forget(visitors, visitor); /* NOLINT(clang-analyzer-unix.Malloc) */
    event_free(visitors->timer);
    free(visitors);
}
