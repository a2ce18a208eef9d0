#include "worker/commands/preview.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/mem.h"
#include "common/template.h"
#include "common/url.h"
#include "worker/attempt_id.h"
#include "worker/destination.h"
#include "worker/event.h"
#include "worker/render.h"
#include "worker/twilio.h"

#define FIELDS_MAX 64

/* As the evidence has it. */
static char *shown_callback(const char *url)
{
    struct buf out;

    buf_init(&out, SIZE_MAX);
    url_show(&out, url, ATTEMPT_ID_PARAMETER);
    return buf_detach(&out);
}

static void take_request(const struct twilio_request *request, struct preview *preview)
{
    preview->url = mem_strdup(request->url);
    preview->user = mem_strdup(request->user);
    preview->evidence = mem_strdup(request->evidence);
    form_parse(request->form, request->form_length, FIELDS_MAX, &preview->form);
    for (size_t i = 0; i < preview->form.count; i++) {
        struct form_pair *pair = &preview->form.pairs[i];

        if (strcmp(pair->name, "StatusCallback") == 0)
            pair->value = preview->callback = shown_callback(pair->value);
    }
}

/* There is no delivery yet: the URL that Twilio would report to has the first one's numbers. */
static void build(const struct preview_input *input, const struct destination *destination,
                  const struct message *message, struct preview *preview)
{
    struct twilio_request request;
    char *callback = NULL;

    if (input->status_callback_url[0] != '\0')
        callback = attempt_id_url(input->status_callback_url, input->destination_id, 1, 1);
    twilio_request_build(input->twilio_base_url, destination, message, callback, &request);
    take_request(&request, preview);
    preview->sms_fallback = destination->sms_fallback;
    preview->ready = true;
    twilio_request_release(&request);
    free(callback);
}

/* A worker leaves it empty and says nothing; here somebody is looking. */
static void look_for_missing(const struct destination *destination, const json_t *event,
                             struct preview *preview)
{
    struct buf body;
    char why[200];

    buf_init(&body, EVENT_MAX_BYTES);
    if (!template_render(destination->body_template, event, TEMPLATE_MISSING_FAILS, &body, why,
                         sizeof why) &&
        !body.overflow)
        snprintf(preview->missing, sizeof preview->missing, "body_template: %s, it renders empty",
                 why);
    buf_release(&body);
}

static void render(const struct preview_input *input, const json_t *event, struct preview *preview)
{
    struct destination destination;
    struct message message = {.to = NULL};

    if (!destination_parse(input->type, input->config, &destination, preview->why,
                           sizeof preview->why) ||
        !destination_reveal(&destination, input->secrets, preview->why, sizeof preview->why)) {
        preview->reason = "CONFIG_INVALID";
    } else {
        snprintf(preview->warning, sizeof preview->warning, "%s", destination.warning);
        if (render_message(&destination, event, &message, &preview->reason, preview->why,
                           sizeof preview->why)) {
            look_for_missing(&destination, event, preview);
            build(input, &destination, &message, preview);
        }
    }
    message_release(&message);
    destination_release(&destination);
}

void preview_make(const struct preview_input *input, struct preview *ret_preview)
{
    struct event_rejection rejection;
    struct event event;

    *ret_preview = (struct preview){.ready = false};
    if (event_parse(input->event, input->event_length, &event, &rejection)) {
        render(input, event.json, ret_preview);
    } else {
        ret_preview->reason = rejection.reason;
        snprintf(ret_preview->why, sizeof ret_preview->why, "%s", rejection.detail);
    }
    ret_preview->event_id = mem_strdup(event.event_id);
    event_release(&event);
}

void preview_release(struct preview *preview)
{
    free(preview->event_id);
    free(preview->url);
    free(preview->user);
    free(preview->evidence);
    form_release(&preview->form);
    free(preview->callback);
    *preview = (struct preview){.ready = false};
}
