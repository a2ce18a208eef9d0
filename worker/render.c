#include "worker/render.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/e164.h"
#include "common/mem.h"
#include "common/template.h"
#include "common/url.h"
#include "common/utf8.h"

#define TO_MAX_BYTES  256
#define URL_MAX_BYTES 2048
/* One character more than the limit is enough to know that it is exceeded, and where to cut. */
#define BODY_MAX_BYTES ((size_t)(RENDER_BODY_MAX + 1) * 4)

#define ELLIPSIS "\u2026"

struct fault {
    const char **reason;
    char *why;
    size_t size;
};

static bool fail(struct fault *fault, const char *reason, const char *why)
{
    *fault->reason = reason;
    snprintf(fault->why, fault->size, "%s", why);
    return false;
}

/* Renders a template that must be complete and short. */
static bool render_strict(const char *template, const char *field, const json_t *event, size_t max,
                          char **ret_text, struct fault *fault)
{
    char missing[192], why[256];
    struct buf text;
    bool rendered;

    buf_init(&text, max);
    rendered =
        template_render(template, event, TEMPLATE_MISSING_FAILS, &text, missing, sizeof missing);
    if (!rendered) {
        bool overflow = text.overflow;

        buf_release(&text);
        if (overflow)
            snprintf(why, sizeof why, "config.%s: rendered to too much, expected at most %zu bytes",
                     field, max);
        else
            snprintf(why, sizeof why, "config.%s: %s", field, missing);
        return fail(fault, overflow ? "TOO_LONG" : "TOKEN_MISSING", why);
    }
    *ret_text = buf_detach(&text);
    return true;
}

static bool render_to(const struct destination *destination, const json_t *event,
                      struct message *message, struct fault *fault)
{
    if (!render_strict(destination->to, "to", event, TO_MAX_BYTES, &message->to, fault))
        return false;
    if (e164_valid(message->to))
        return true;
    return fail(fault, "TO_INVALID",
                "config.to: did not render to an E.164 number such as +37120000000");
}

static bool render_body(const struct destination *destination, const json_t *event,
                        struct message *message, struct fault *fault)
{
    struct buf text;
    char unused[192];

    buf_init(&text, BODY_MAX_BYTES);
    template_render(destination->body_template, event, TEMPLATE_MISSING_EMPTY, &text, unused,
                    sizeof unused);
    message->body = buf_detach(&text);
    if (message->body[0] == '\0')
        return fail(fault, "BODY_EMPTY", "config.body_template: rendered to nothing");
    if (utf8_length(message->body) <= RENDER_BODY_MAX)
        return true;
    if (!destination->truncate)
        return fail(fault, "BODY_TOO_LONG",
                    "config.body_template: rendered to more than 1600 characters");
    message->body[utf8_prefix(message->body, RENDER_BODY_MAX)] = '\0';
    return true;
}

/* Takes over `url`. */
static bool add_media(struct message *message, size_t element, char *url, struct fault *fault)
{
    char verdict[128], why[256];

    if (message->media_count == RENDER_MEDIA_MAX) {
        free(url);
        return fail(fault, "MEDIA_URLS_COUNT",
                    "config.media_urls: rendered to more than 10 URLs, expected 1 to 10");
    }
    message->media_urls[message->media_count++] = url;
    if (strlen(url) > URL_MAX_BYTES)
        snprintf(verdict, sizeof verdict, "is longer than %d bytes", URL_MAX_BYTES);
    else if (url_public(url, verdict, sizeof verdict))
        return true;
    snprintf(why, sizeof why,
             "config.media_urls[%zu]: the rendered URL %s, expected a public http(s) URL", element,
             verdict);
    return fail(fault, "MEDIA_URL_INVALID", why);
}

/* An array of strings becomes as many URLs. */
static bool expand_media(const json_t *array, size_t element, struct message *message,
                         struct fault *fault)
{
    const json_t *value;
    char why[128];
    size_t i;

    json_array_foreach((json_t *)array, i, value)
    {
        if (!json_is_string(value)) {
            snprintf(why, sizeof why,
                     "config.media_urls[%zu]: an element of the array is not a string", element);
            return fail(fault, "MEDIA_URL_INVALID", why);
        }
        if (!add_media(message, element, mem_strdup(json_string_value(value)), fault))
            return false;
    }
    return true;
}

static bool render_media(const struct destination *destination, const json_t *event,
                         struct message *message, struct fault *fault)
{
    const json_t *element;
    size_t i;

    json_array_foreach((json_t *)destination->media_urls, i, element)
    {
        const char *template = json_string_value(element);
        const json_t *value;
        char field[48];
        bool is_token;
        char *url = NULL;

        value = template_single_value(template, event, &is_token);
        if (is_token && json_is_array(value)) {
            if (!expand_media(value, i, message, fault))
                return false;
            continue;
        }
        snprintf(field, sizeof field, "media_urls[%zu]", i);
        if (!render_strict(template, field, event, URL_MAX_BYTES, &url, fault))
            return false;
        if (!add_media(message, i, url, fault))
            return false;
    }
    if (message->media_count == 0)
        return fail(fault, "MEDIA_URLS_COUNT",
                    "config.media_urls: rendered to no URL, expected 1 to 10");
    return true;
}

bool render_message(const struct destination *destination, const json_t *event,
                    struct message *ret_message, const char **ret_reason, char *why,
                    size_t why_size)
{
    struct fault fault = {ret_reason, why, why_size};

    *ret_message = (struct message){.to = NULL};
    return render_to(destination, event, ret_message, &fault) &&
           render_body(destination, event, ret_message, &fault) &&
           render_media(destination, event, ret_message, &fault);
}

/* How many of the URLs, from the first on, fit into `room` characters, each with a line's end. */
static int urls_that_fit(const struct message *message, size_t room, size_t *ret_characters)
{
    int count = 0;

    *ret_characters = 0;
    while (count < message->media_count) {
        size_t more = *ret_characters + 1 + utf8_length(message->media_urls[count]);

        if (more > room)
            break;
        *ret_characters = more;
        count++;
    }
    return count;
}

/* The text in at most `room` characters. */
static void add_text(struct buf *out, const char *text, size_t room)
{
    if (utf8_length(text) <= room) {
        buf_add_string(out, text);
    } else {
        buf_add(out, text, utf8_prefix(text, room - 1));
        buf_add_string(out, ELLIPSIS);
    }
}

void message_to_sms(struct message *message)
{
    size_t least = utf8_length(message->body), links;
    struct buf body;
    int count;

    if (least > RENDER_SMS_TEXT_MIN)
        least = RENDER_SMS_TEXT_MIN + 1; /* the ellipsis */
    count = urls_that_fit(message, RENDER_BODY_MAX - least, &links);
    buf_init(&body, BODY_MAX_BYTES);
    add_text(&body, message->body, RENDER_BODY_MAX - links);
    for (int i = 0; i < message->media_count; i++) {
        if (i < count)
            buf_printf(&body, "\n%s", message->media_urls[i]);
        free(message->media_urls[i]);
    }
    free(message->body);
    message->body = buf_detach(&body);
    message->media_count = 0;
    message->sms = true;
}

void message_release(struct message *message)
{
    free(message->to);
    free(message->body);
    for (int i = 0; i < message->media_count; i++)
        free(message->media_urls[i]);
    *message = (struct message){.to = NULL};
}
