#ifndef WORKER_COMMANDS_PREVIEW_H
#define WORKER_COMMANDS_PREVIEW_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/form.h"
#include "worker/secret.h"

/*
 * The request that a worker would send for an event, by the worker's own parts, without sending it.
 * Without I/O.
 */
struct preview_input {
    const char *twilio_base_url;
    const char *status_callback_url; /* "": none */
    const struct secrets *secrets;   /* what the config's references lead to */
    const char *destination_id;
    const char *type, *config; /* of the row */
    const char *event;         /* JSON text */
    size_t event_length;
};

struct preview {
    bool ready;         /* it would be sent */
    const char *reason; /* if not: static, UPPER_SNAKE */
    char why[512];      /* and one line */
    char warning[512];  /* what is allowed and hardly meant; "": nothing */
    char missing[256];  /* a token of the body that renders empty; "": none */
    char *event_id;     /* NULL if the event has none that is valid */
    char *url;
    char *user;        /* of Basic auth: the account's SID, or the API key's */
    struct form form;  /* what is posted, decoded, in its order */
    char *callback;    /* what the form shows as StatusCallback; NULL: nothing */
    char *evidence;    /* the request, as evidence has it */
    bool sms_fallback; /* what can't be received as MMS is sent once more as SMS */
};

/* Nothing in the preview is a secret. Release it in either case. */
void preview_make(const struct preview_input *input, struct preview *ret_preview);

void preview_release(struct preview *preview);

#endif
