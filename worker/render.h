#ifndef WORKER_RENDER_H
#define WORKER_RENDER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "worker/destination.h"

/* Twilio's limits (Messages resource: Body, MediaUrl). */
#define RENDER_BODY_MAX  1600 /* characters */
#define RENDER_MEDIA_MAX 10

/* A message, rendered: what Twilio is asked to send. Strings are owned. */
struct message {
    char *to;
    char *body;
    char *media_urls[RENDER_MEDIA_MAX];
    int media_count;
};

/*
 * Renders `destination`'s templates with `event`. False if the event can't become a message:
 * *ret_reason is a static UPPER_SNAKE word, `why` one line. Release the message in either case.
 */
bool render_message(const struct destination *destination, const json_t *event,
                    struct message *ret_message, const char **ret_reason, char *why,
                    size_t why_size);

void message_release(struct message *message);

#endif
