#ifndef WORKER_RENDER_H
#define WORKER_RENDER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "worker/destination.h"

/* Twilio's limits (Messages resource: Body, MediaUrl). */
#define RENDER_BODY_MAX  1600 /* characters */
#define RENDER_MEDIA_MAX 10
/* What an SMS keeps of its text, whatever links it has to carry. */
#define RENDER_SMS_TEXT_MIN 160

/* A message, rendered: what Twilio is asked to send. Strings are owned. */
struct message {
    char *to;
    char *body;
    char *media_urls[RENDER_MEDIA_MAX];
    int media_count;
    bool sms; /* goes out as SMS: it has no media, and they are links in its body */
};

/*
 * Renders `destination`'s templates with `event`. False if the event can't become a message:
 * *ret_reason is a static UPPER_SNAKE word, `why` one line. Release the message in either case.
 */
bool render_message(const struct destination *destination, const json_t *event,
                    struct message *ret_message, const char **ret_reason, char *why,
                    size_t why_size);

/*
 * Makes the message one that is sent as SMS: the media URLs stand behind the text, each on a line
 * of its own. The body stays within RENDER_BODY_MAX characters: the text is cut ("…" then ends it)
 * to RENDER_SMS_TEXT_MIN characters at the least, URLs never are; those that then don't fit are
 * left out, the last ones first.
 */
void message_to_sms(struct message *message);

void message_release(struct message *message);

#endif
