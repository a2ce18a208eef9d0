#include "worker/twilio.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/mem.h"
#include "common/utf8.h"

#define FORM_MAX_BYTES ((size_t)256 << 10)
/* Fewer characters of a secret than this are no secret. */
#define CUT_SECRET_MIN     8
#define EVIDENCE_MAX_BYTES ((size_t)64 << 10)

static void add_parameter(struct buf *form, const char *name, const char *value)
{
    char *escaped;

    if (value == NULL)
        return;
    escaped = curl_easy_escape(NULL, value, (int)strlen(value));
    buf_printf(form, "%s%s=%s", form->length > 0 ? "&" : "", name, escaped != NULL ? escaped : "");
    curl_free(escaped);
}

static void build_form(const struct destination *destination, const struct message *message,
                       struct twilio_request *request)
{
    struct buf form;

    buf_init(&form, FORM_MAX_BYTES);
    add_parameter(&form, "To", message->to);
    add_parameter(&form, "From", destination->from);
    add_parameter(&form, "MessagingServiceSid", destination->messaging_service_sid);
    add_parameter(&form, "Body", message->body);
    for (int i = 0; i < message->media_count; i++)
        add_parameter(&form, "MediaUrl", message->media_urls[i]);
    request->form_length = form.length;
    request->form = buf_detach(&form);
}

static void add_if_set(struct buf *json, const char *name, const char *text)
{
    if (text != NULL)
        json_add_text(json, name, text);
}

static void build_evidence(const struct destination *destination, const struct message *message,
                           struct twilio_request *request)
{
    struct buf json;

    buf_init(&json, EVIDENCE_MAX_BYTES);
    buf_add_char(&json, '{');
    json_add_text(&json, "method", "POST");
    json_add_text(&json, "url", request->url);
    json_add_name(&json, "parameters");
    buf_add_char(&json, '{');
    json_add_text(&json, "To", message->to);
    add_if_set(&json, "From", destination->from);
    add_if_set(&json, "MessagingServiceSid", destination->messaging_service_sid);
    json_add_text(&json, "Body", message->body);
    json_add_name(&json, "MediaUrl");
    for (int i = 0; i < message->media_count; i++) {
        buf_add_char(&json, i == 0 ? '[' : ',');
        json_escape(&json, message->media_urls[i]);
    }
    buf_add_string(&json, message->media_count > 0 ? "]}}" : "[]}}");
    if (json.overflow) {
        buf_clear(&json);
        buf_add_string(&json, "null");
    }
    request->evidence = buf_detach(&json);
}

/* RFC 4648 base64, for the one thing that needs it. */
static char *base64(const char *text)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *in = (const unsigned char *)text;
    size_t length = strlen(text);
    char *out = mem_zalloc((length + 2) / 3 * 4 + 1);
    char *o = out;

    for (size_t i = 0; i < length; i += 3) {
        unsigned bits = (unsigned)in[i] << 16 | (i + 1 < length ? (unsigned)in[i + 1] << 8 : 0) |
                        (i + 2 < length ? in[i + 2] : 0);

        *o++ = digits[bits >> 18 & 63];
        *o++ = digits[bits >> 12 & 63];
        *o++ = i + 1 < length ? digits[bits >> 6 & 63] : '=';
        *o++ = i + 2 < length ? digits[bits & 63] : '=';
    }
    return out;
}

void twilio_request_build(const char *base_url, const struct destination *destination,
                          const struct message *message, struct twilio_request *ret_request)
{
    char *pair = mem_printf("%s:%s", destination->user, destination->password);

    ret_request->url =
        mem_printf("%s/2010-04-01/Accounts/%s/Messages.json", base_url, destination->account_sid);
    ret_request->user = mem_strdup(destination->user);
    ret_request->password = mem_strdup(destination->password);
    ret_request->basic = base64(pair);
    /* For masking alone: a page may have the padding escaped. */
    ret_request->basic[strcspn(ret_request->basic, "=")] = '\0';
    build_form(destination, message, ret_request);
    build_evidence(destination, message, ret_request);
    mem_wipe(pair, strlen(pair));
    free(pair);
}

static void wipe(char *secret)
{
    if (secret != NULL)
        mem_wipe(secret, strlen(secret));
    free(secret);
}

void twilio_request_release(struct twilio_request *request)
{
    wipe(request->password);
    wipe(request->basic);
    free(request->url);
    free(request->user);
    free(request->form);
    free(request->evidence);
    *request = (struct twilio_request){.url = NULL};
}

/* The first copy of any of the secrets in `bytes`; its length into `ret_length`. */
static const char *find_secret(const struct twilio_request *request, const char *bytes,
                               size_t length, size_t *ret_length)
{
    const char *secrets[] = {request->basic, request->password};
    const char *first = NULL;

    for (size_t i = 0; i < sizeof secrets / sizeof secrets[0]; i++) {
        const char *found;

        if (secrets[i] == NULL || secrets[i][0] == '\0')
            continue;
        found = memmem(bytes, length, secrets[i], strlen(secrets[i]));
        if (found != NULL && (first == NULL || found < first)) {
            first = found;
            *ret_length = strlen(secrets[i]);
        }
    }
    return first;
}

/*
 * What we are given may have been cut within a secret: the length of the longest beginning of one
 * that `bytes` ends with.
 */
static size_t cut_secret(const struct twilio_request *request, const char *bytes, size_t length)
{
    const char *secrets[] = {request->basic, request->password};
    size_t longest = 0;

    for (size_t i = 0; i < sizeof secrets / sizeof secrets[0]; i++) {
        size_t part = secrets[i] != NULL ? strlen(secrets[i]) : 0;

        if (part > length)
            part = length;
        for (; part >= CUT_SECRET_MIN && part > longest; part--) {
            if (memcmp(bytes + length - part, secrets[i], part) == 0)
                longest = part;
        }
    }
    return longest;
}

void twilio_mask(const struct twilio_request *request, const char *bytes, size_t length,
                 struct buf *out)
{
    const char *secret;
    size_t secret_length = 0;
    size_t cut;

    while ((secret = find_secret(request, bytes, length, &secret_length)) != NULL) {
        size_t before = (size_t)(secret - bytes);

        if (!utf8_clean(out, bytes, before))
            return;
        buf_add_string(out, "***");
        bytes += before + secret_length;
        length -= before + secret_length;
    }
    cut = cut_secret(request, bytes, length);
    if (utf8_clean(out, bytes, length - cut) && cut > 0)
        buf_add_string(out, "***");
}
