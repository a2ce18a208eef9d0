/* One HTTP POST on a connection of its own, on the event loop. */
#ifndef SIM_HTTP_CLIENT_H
#define SIM_HTTP_CLIENT_H

#include <stdint.h>

#include "text.h"

struct event_base;
struct http_post;

enum http_post_outcome {
    POST_NOT_CONNECTED, /* refused, unreachable, or no connection in time */
    POST_NO_ANSWER,     /* connected, but no answer, or none in time */
    POST_ANSWERED,
};

/* Called once, from the loop; the post is gone by then. `status` is 0 unless answered. */
typedef void http_post_done(void *arg, enum http_post_outcome outcome, int status);

/* Connects and sends `request`, a complete request that asks for the connection to be closed;
 * its bytes are taken over. Returns NULL if there cannot even be an attempt to connect, and then
 * calls nothing. Names are looked up on the spot. */
struct http_post *http_post_start(struct event_base *base, const char *host, const char *port,
                                  struct text *request, int64_t connect_ms, int64_t read_ms,
                                  http_post_done *done, void *arg);
/* Ends it without a call. */
void http_post_cancel(struct http_post *post);

#endif
